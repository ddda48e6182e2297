/* Two doubles for compilers without vector types, in C++. Included by pair.h. */
#ifndef TWONN_SCALAR_PAIR_H
#define TWONN_SCALAR_PAIR_H

struct pair {
    double at[2];
    pair() = default;
    pair(double value) : at{value, value} {} /* a number among the operands, as in 1.0 - p */
    pair(double first, double second) : at{first, second} {}
};
struct pair_mask {
    bool at[2];
};

static inline pair operator+(pair a, pair b) { return pair(a.at[0] + b.at[0], a.at[1] + b.at[1]); }
static inline pair operator-(pair a, pair b) { return pair(a.at[0] - b.at[0], a.at[1] - b.at[1]); }
static inline pair operator*(pair a, pair b) { return pair(a.at[0] * b.at[0], a.at[1] * b.at[1]); }
static inline pair operator-(pair a) { return pair(-a.at[0], -a.at[1]); }
static inline pair &operator+=(pair &a, pair b) { return a = a + b; }
static inline pair &operator-=(pair &a, pair b) { return a = a - b; }

static inline pair pair_of(double first, double second) { return pair(first, second); }
static inline double first(pair p) { return p.at[0]; }
static inline double second(pair p) { return p.at[1]; }

static inline pair_mask above(pair a, pair b) { return {{a.at[0] > b.at[0], a.at[1] > b.at[1]}}; }

static inline pair where(pair_mask m, pair a) { return pair(m.at[0] ? a.at[0] : 0.0, m.at[1] ? a.at[1] : 0.0); }

static inline pair larger(pair a, pair b)
{
    return pair(a.at[0] > b.at[0] ? a.at[0] : b.at[0], a.at[1] > b.at[1] ? a.at[1] : b.at[1]);
}

static inline int pattern_of(pair_mask point0, pair_mask point1)
{
    return point0.at[0] | point1.at[0] << 1 | point0.at[1] << 2 | point1.at[1] << 3;
}
static inline pair_mask active_neurons(int pattern, int point)
{
    return {{(pattern >> point & 1) != 0, (pattern >> (2 + point) & 1) != 0}};
}

static inline bool within(double a, double bound) { return a <= bound && a >= -bound; }
static inline int both_within(pair a, double bound) { return within(a.at[0], bound) && within(a.at[1], bound); }

#endif
