/* Functions on a leap, given by their values at its NODES Chebyshev points, in GCC/Clang vector types as wide
   as the instruction set's registers. Every value is computed by the same operations in the same order
   whatever the width, so the width changes no bit. */
#ifndef TWONN_NODES_H
#define TWONN_NODES_H

#include <stdint.h>

enum { NODES = 24 };

#if defined(__AVX512F__)
enum { NODES_WIDTH = 8 };
#elif defined(__AVX__)
enum { NODES_WIDTH = 4 };
#else
enum { NODES_WIDTH = 2 };
#endif
enum { NODES_VECTORS = NODES / NODES_WIDTH };

typedef struct { double at[NODES]; } nodes;

typedef double nodes_vector __attribute__((vector_size(8 * NODES_WIDTH), aligned(8), may_alias));
typedef uint64_t nodes_bits __attribute__((vector_size(8 * NODES_WIDTH), aligned(8), may_alias));

/* out = matrix (start, f): a matrix of NODES + 1 columns times the values at the leap's start and its nodes. */
static inline void apply(const nodes *matrix, double start, const nodes *f, nodes *out)
{
    nodes_vector sum[NODES_VECTORS];
#pragma GCC unroll 12
    for (int n = 0; n < NODES_VECTORS; n++)
        sum[n] = start * ((const nodes_vector *)matrix)[n];
    for (int c = 0; c < NODES; c++) {
        const nodes_vector *column = (const nodes_vector *)(matrix + 1 + c);
#pragma GCC unroll 12
        for (int n = 0; n < NODES_VECTORS; n++)
            sum[n] += f->at[c] * column[n];
    }
#pragma GCC unroll 12
    for (int n = 0; n < NODES_VECTORS; n++)
        ((nodes_vector *)out)[n] = sum[n];
}

static inline nodes_bits bits_of_same(double value)
{
    union { double real; uint64_t bits; } u = {value};
    return u.bits - (nodes_bits){0};
}

/* exp at every node, error below 1 ulp; below -708 the result is 0, above 708 it is that of 708. */
static inline void exp_nodes(const nodes *x, nodes *out)
{
    const double shift = 0x1.8p52;         /* adding it rounds to an integer */
    const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45; /* as in exp_ */
    for (int n = 0; n < NODES_VECTORS; n++) {
        nodes_vector a = ((const nodes_vector *)x)[n];
        nodes_bits normal = (nodes_bits)(a >= -708.0), large = (nodes_bits)(a > 708.0);
        a = (nodes_vector)(((nodes_bits)a & ~large) | (bits_of_same(708.0) & large));
        nodes_vector shifted = a * 0x1.71547652b82fep0 + shift, k = shifted - shift;
        nodes_vector high = a - k * ln2_high, low = k * ln2_low;
        nodes_vector r = high - low, r_low = (high - r) - low, square = r * r, one_plus = 1.0 + r;
        nodes_vector tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
            + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
            + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))));
        tail += (r - (one_plus - 1.0)) + (r_low + r * r_low);
        nodes_bits power = ((nodes_bits)shifted - bits_of_same(shift) + 1023) << 52;
        ((nodes_vector *)out)[n] = (nodes_vector)(
            (nodes_bits)((one_plus + tail) * (nodes_vector)power) & normal);
    }
}

#endif
