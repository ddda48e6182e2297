/* What the plain operators lack, for a REAL of any width: comparisons as masks, and the functions that round exactly
   in every instruction set. Included by optimizers.h; MASK is what a comparison of two REAL gives, all ones where it
   is true. NAME tells the widths apart, and WIDTH is the number of doubles in a REAL. */

static inline REAL NAME(where)(MASK m, REAL a)
{
#if WIDTH == 1
    return m ? a : 0.0;
#else
    return (REAL)(m & (MASK)a);
#endif
}

/* a where m holds, else b. */
static inline REAL NAME(chosen)(MASK m, REAL a, REAL b)
{
#if WIDTH == 1
    return m ? a : b;
#else
    return (REAL)((m & (MASK)a) | (~m & (MASK)b));
#endif
}

/* The larger one, b if either is NaN; likewise the smaller one. */
static inline REAL NAME(max)(REAL a, REAL b)
{
#if WIDTH == 8 && defined(__AVX512F__)
    return (REAL)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif WIDTH == 4 && defined(__AVX__)
    return (REAL)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif WIDTH == 2 && defined(__SSE2__)
    return (REAL)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return NAME(chosen)(a > b, a, b);
#endif
}

static inline REAL NAME(min)(REAL a, REAL b)
{
#if WIDTH == 8 && defined(__AVX512F__)
    return (REAL)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif WIDTH == 4 && defined(__AVX__)
    return (REAL)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif WIDTH == 2 && defined(__SSE2__)
    return (REAL)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return NAME(chosen)(a < b, a, b);
#endif
}

static inline REAL NAME(root)(REAL a)
{
#if WIDTH == 8 && defined(__AVX512F__)
    return (REAL)_mm512_sqrt_pd((__m512d)a);
#elif WIDTH == 4 && defined(__AVX__)
    return (REAL)_mm256_sqrt_pd((__m256d)a);
#elif WIDTH == 2 && defined(__SSE2__)
    return (REAL)_mm_sqrt_pd((__m128d)a);
#elif WIDTH == 1
    return sqrt(a);
#else
    for (int n = 0; n < WIDTH; n++)
        a[n] = sqrt(a[n]);
    return a;
#endif
}

static inline REAL NAME(magnitude)(REAL a)
{
#if WIDTH == 1
    return fabs(a);
#else
    return (REAL)((MASK)a & INT64_MAX);
#endif
}

/* Whether the mask holds everywhere. */
static inline int NAME(all)(MASK m)
{
#if WIDTH == 1
    return m != 0;
#elif WIDTH == 8 && defined(__AVX512DQ__)
    return _mm512_movepi64_mask((__m512i)m) == 255;
#elif WIDTH == 4 && defined(__AVX__)
    return _mm256_movemask_pd((__m256d)m) == 15;
#elif WIDTH == 2 && defined(__SSE2__)
    return _mm_movemask_pd((__m128d)m) == 3;
#else
    int64_t both = -1;
    for (int n = 0; n < WIDTH; n++)
        both &= m[n];
    return both != 0;
#endif
}

/* What holds nowhere. */
static inline MASK NAME(none)(void)
{
    const REAL zero = {0};
    return zero > 0.0;
}

/* A bit of an activation pattern where the mask holds. */
static inline MASK NAME(coded)(MASK m, int64_t bit)
{
#if WIDTH == 1
    return m ? bit : 0;
#else
    return m & bit;
#endif
}

/* A pattern that is given: it is for WIDTH 1. */
static inline MASK NAME(given_on)(int given, int bit)
{
#if WIDTH == 1
    return given >> bit & 1;
#else
    (void)given, (void)bit;
    return NAME(none)();
#endif
}

/* 2^k of integers that are held as 1.5 * 2^52 + k. */
static inline REAL NAME(power_of_two)(REAL shifted)
{
#if WIDTH == 1
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 1023) << 52; /* what the 1.5 * 2^52 leaves in the lower bits is 0 */
    memcpy(&shifted, &bits, sizeof(bits));
    return shifted;
#else
    return (REAL)(((MASK)shifted + 1023) << 52);
#endif
}

/* exp(x), error below 0.7 ulp for normal results: the operations of exp_sum in arithmetic.pxi. */
static inline REAL NAME(exp)(REAL x)
{
    const REAL zero = {0};
    const double shift = 0x1.8p52;         /* adding it rounds to an integer */
    const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
    x = NAME(min)(800.0 + zero, NAME(max)(-800.0 + zero, x)); /* NaN stays, as the second of the two */
    const REAL shifted = x * 0x1.71547652b82fep0 + shift, k = shifted - shift;
    const REAL high = x - k * ln2_high, low = k * ln2_low;
    const REAL r = high - low, r_low = (high - r) - low, square = r * r, one_plus = 1.0 + r;
    REAL tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
        + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
        + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))));
    tail += (r - (one_plus - 1.0)) + (r_low + r * r_low);
    /* Two factors, because 2^k alone may not be a normal number. */
    const REAL half = k * 0.5 + shift, rest = (k - (half - shift)) + shift;
    return ((one_plus + tail) * NAME(power_of_two)(half)) * NAME(power_of_two)(rest);
}
