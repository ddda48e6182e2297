/* What the extension was compiled with, and whether the processor computes as the bit contract demands. */
#ifndef TWONN_BUILD_H
#define TWONN_BUILD_H

#include <float.h>
#include "vector_types.h"

#if defined(__clang__)
#define TWONN_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define TWONN_COMPILER "gcc " __VERSION__
#else
#define TWONN_COMPILER "unknown"
#endif

#if defined(TWONN_NO_VECTOR_TYPES)
#define TWONN_ISA "scalar"
#elif defined(__AVX512F__)
#define TWONN_ISA "avx512"
#elif defined(__AVX2__)
#define TWONN_ISA "avx2"
#elif defined(__SSE2__)
#define TWONN_ISA "sse2"
#elif defined(__ARM_NEON)
#define TWONN_ISA "neon"
#else
#define TWONN_ISA "scalar"
#endif

#ifndef TWONN_FLAGS
#define TWONN_FLAGS "unknown"
#endif

/* Whether this processor, and its operating system, can run the wider build of that name. */
static int twonn_can_run(int avx512)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return __builtin_cpu_supports("avx2");
#else
    (void)avx512;
    return 0;
#endif
}

enum {
    TWONN_CONTRACTED = 1,        /* a*b + c rounds once instead of twice */
    TWONN_NOT_NEAREST = 2,       /* rounding is not to nearest, ties to even */
    TWONN_FLUSHED = 4,           /* subnormal numbers are taken for, or become, zero */
    TWONN_EXCESS_PRECISION = 8   /* intermediate results are wider than binary64 */
};

/* Bits of the list above. Every operand is read from a volatile, or the compiler would answer from its own
   arithmetic instead of asking the processor. */
static int twonn_arithmetic_faults(void)
{
    volatile double one_and_a_bit = 1.0 + 0x1p-27, square = 1.0 + 0x1p-26;
    volatile double one = 1.0, half_ulp = 0x1p-53, more_than_half_ulp = 0x1.8p-53;
    volatile double smallest_normal = DBL_MIN, half = 0.5, smallest = 0x1p-1074;
    volatile double huge = 1e308, ten = 10.0, tenth = 0.1, result;
    int faults = 0;
    {
        /* (1 + 2^-27)^2 = 1 + 2^-26 + 2^-54: the last term survives only unrounded. */
        double a = one_and_a_bit, b = one_and_a_bit, c = -square;
        result = a * b + c;
        if (result != 0.0)
            faults |= TWONN_CONTRACTED;
    }
    result = one + half_ulp;
    if (result != 1.0)
        faults |= TWONN_NOT_NEAREST;
    result = one + more_than_half_ulp;
    if (result != 1.0 + DBL_EPSILON)
        faults |= TWONN_NOT_NEAREST;
    result = -one - half_ulp;
    if (result != -1.0)
        faults |= TWONN_NOT_NEAREST;
    result = smallest_normal * half;
    if (result == 0.0)
        faults |= TWONN_FLUSHED;
    result = smallest / smallest_normal;
    if (result != 0x1p-52)
        faults |= TWONN_FLUSHED;
    {
        double a = huge, b = ten, c = tenth;
        result = a * b * c;
        if (result <= DBL_MAX)  /* inf when each product is rounded to binary64 */
            faults |= TWONN_EXCESS_PRECISION;
    }
    return faults;
}

#endif
