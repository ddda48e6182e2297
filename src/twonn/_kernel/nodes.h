/* Functions on a leap, given by their values at its NODES Chebyshev points, in vector types as wide
   as the instruction set's registers, or one by one. Every value is computed by the same operations in the same order
   whatever the width, so the width changes no bit. */
#ifndef TWONN_NODES_H
#define TWONN_NODES_H

#include <stdint.h>
#include <string.h>
#include "vector_types.h"

enum { NODES = 24 };

#if defined(TWONN_NO_VECTOR_TYPES)
enum { NODES_WIDTH = 1 };
#elif defined(__AVX512F__)
enum { NODES_WIDTH = 8 };
#elif defined(__AVX__)
enum { NODES_WIDTH = 4 };
#else
enum { NODES_WIDTH = 2 };
#endif
enum { NODES_VECTORS = NODES / NODES_WIDTH };

typedef struct { double at[NODES]; } nodes;

#ifdef TWONN_NO_VECTOR_TYPES
typedef double nodes_vector;
typedef uint64_t nodes_bits;
/* All ones where a comparison is true, else zeros. */
static inline nodes_bits mask_of(bool comparison) { return comparison ? ~(nodes_bits)0 : 0; }
#else
typedef double nodes_vector __attribute__((vector_size(8 * NODES_WIDTH), aligned(8), may_alias));
typedef uint64_t nodes_bits __attribute__((vector_size(8 * NODES_WIDTH), aligned(8), may_alias));
typedef int64_t nodes_mask __attribute__((vector_size(8 * NODES_WIDTH)));
static inline nodes_bits mask_of(nodes_mask comparison) { return (nodes_bits)comparison; }
#endif

/* out = matrix (start, f): a matrix of NODES + 1 columns times the values at the leap's start and its nodes. */
static inline void apply(const nodes *matrix, double start, const nodes *f, nodes *out)
{
    nodes_vector sum[NODES_VECTORS];
    UNROLL(12) for (int n = 0; n < NODES_VECTORS; n++)
        sum[n] = start * ((const nodes_vector *)matrix)[n];
    for (int c = 0; c < NODES; c++) {
        const nodes_vector *column = (const nodes_vector *)(matrix + 1 + c);
        UNROLL(12) for (int n = 0; n < NODES_VECTORS; n++)
            sum[n] += f->at[c] * column[n];
    }
    UNROLL(12) for (int n = 0; n < NODES_VECTORS; n++)
        ((nodes_vector *)out)[n] = sum[n];
}

static inline nodes_bits bits_of(nodes_vector a)
{
    nodes_bits bits;
    memcpy(&bits, &a, sizeof(bits));
    return bits;
}

static inline nodes_vector with_bits(nodes_bits bits)
{
    nodes_vector a;
    memcpy(&a, &bits, sizeof(a));
    return a;
}

static inline nodes_bits bits_of_same(double value)
{
    const nodes_vector zero = {0};
    return bits_of(value - zero);
}

/* exp at every node, error below 1 ulp; below -708 the result is 0, above 708 it is that of 708. */
static inline void exp_nodes(const nodes *x, nodes *out)
{
    const double shift = 0x1.8p52;         /* adding it rounds to an integer */
    const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45; /* as in exp_ */
    for (int n = 0; n < NODES_VECTORS; n++) {
        nodes_vector a = ((const nodes_vector *)x)[n];
        nodes_bits normal = mask_of(a >= -708.0), large = mask_of(a > 708.0);
        a = with_bits((bits_of(a) & ~large) | (bits_of_same(708.0) & large));
        nodes_vector shifted = a * 0x1.71547652b82fep0 + shift, k = shifted - shift;
        nodes_vector high = a - k * ln2_high, low = k * ln2_low;
        nodes_vector r = high - low, r_low = (high - r) - low, square = r * r, one_plus = 1.0 + r;
        nodes_vector tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
            + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
            + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))));
        tail += (r - (one_plus - 1.0)) + (r_low + r * r_low);
        nodes_bits power = (bits_of(shifted) - bits_of_same(shift) + 1023) << 52;
        ((nodes_vector *)out)[n] = with_bits(bits_of((one_plus + tail) * with_bits(power)) & normal);
    }
}

#endif
