/* Two doubles, in one register where there are vector types: arithmetic is written with the plain operators,
   element by element, and rounds as scalars do. Here is what the operators lack. */
#ifndef TWONN_PAIR_H
#define TWONN_PAIR_H

#include "vector_types.h"

#ifdef TWONN_NO_VECTOR_TYPES
#include "scalar_pair.h"
#else

#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef double pair __attribute__((vector_size(16)));
typedef int64_t pair_mask __attribute__((vector_size(16)));

static inline pair pair_of(double first, double second) { return (pair){first, second}; }
static inline double first(pair p) { return p[0]; }
static inline double second(pair p) { return p[1]; }

/* All ones where a > b (never where either is NaN), else zeros. */
static inline pair_mask above(pair a, pair b) { return (pair_mask)(a > b); }

/* a or 0, without a branch: activation patterns that chatter defeat branch prediction. */
static inline pair where(pair_mask m, pair a)
{
#ifdef __SSE2__
    return (pair)_mm_and_pd((__m128d)m, (__m128d)a); /* stays in the floating-point domain */
#else
    return (pair)(m & (pair_mask)a);
#endif
}

/* The larger of a and b; b where either is NaN. */
static inline pair larger(pair a, pair b)
{
#ifdef __SSE2__
    return (pair)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    pair_mask m = above(a, b);
    return (pair)((m & (pair_mask)a) | (~m & (pair_mask)b));
#endif
}

/* Activation pattern from the masks over neurons of points 0 and 1: bit 2j + i. */
static inline int pattern_of(pair_mask point0, pair_mask point1)
{
    pair_mask bits = (point0 & (pair_mask){1, 4}) | (point1 & (pair_mask){2, 8});
    return (int)(bits[0] | bits[1]);
}
static inline pair_mask active_neurons(int pattern, int point)
{
    return (pair_mask){-(int64_t)(pattern >> point & 1), -(int64_t)(pattern >> (2 + point) & 1)};
}

/* Whether |a| <= bound in both places; false for NaN. */
static inline int both_within(pair a, double bound)
{
    pair_mask m = (pair_mask)(a <= bound) & (pair_mask)(a >= -bound);
    return (m[0] & m[1]) != 0;
}

#endif /* vector types */

static inline pair both(double value) { return pair_of(value, value); }

/* The first numbers of a and b, and the second ones. */
static inline pair firsts(pair a, pair b) { return pair_of(first(a), first(b)); }
static inline pair seconds(pair a, pair b) { return pair_of(second(a), second(b)); }

#endif
