/* The loop of plain_loop.c over many runs at once, as a user would have the compiler vectorise it: OpenMP's simd
   loop over a few runs inside the loop over steps, OpenMP's threads around that, gcc's vector exp, -ffast-math.
   Sums are not compensated, and the bits depend on the machine. */
#include <math.h>

enum { TOGETHER = 32 }; /* runs of the inner loop, the best of 8, 16 and 32 */

/* Takes `steps` steps of `runs` runs in place; w, b and v are (2, runs). */
#define SIMD_LOOP(NAME, LOGISTIC, TRAINED)                                                                     \
    void NAME(const double *x, const double *y, double rate, double *w, double *b, double *v, long long steps, \
              long long runs, int threads)                                                                     \
    {                                                                                                          \
        const double x0 = x[0], x1 = x[1], y0 = y[0], y1 = y[1];                                               \
        _Pragma("omp parallel for num_threads(threads)") for (long long first = 0; first < runs;               \
                                                              first += TOGETHER)                               \
        {                                                                                                      \
            double p[6][TOGETHER];                                                                             \
            const int n = runs - first < TOGETHER ? (int)(runs - first) : TOGETHER;                            \
            for (int i = 0; i < TOGETHER; i++) {                                                               \
                const long long r = first + (i < n ? i : 0);                                                   \
                p[0][i] = w[r], p[1][i] = w[runs + r], p[2][i] = b[r], p[3][i] = b[runs + r];                  \
                p[4][i] = v[r], p[5][i] = v[runs + r];                                                         \
            }                                                                                                  \
            for (long long t = 0; t < steps; t++) {                                                            \
                _Pragma("omp simd") for (int i = 0; i < TOGETHER; i++)                                         \
                {                                                                                              \
                    const double v0 = p[4][i], v1 = p[5][i];                                                   \
                    const double z00 = p[0][i] * x0 + p[2][i], z01 = p[0][i] * x1 + p[2][i];                   \
                    const double z10 = p[1][i] * x0 + p[3][i], z11 = p[1][i] * x1 + p[3][i];                   \
                    const double r00 = z00 > 0 ? z00 : 0, r01 = z01 > 0 ? z01 : 0;                             \
                    const double r10 = z10 > 0 ? z10 : 0, r11 = z11 > 0 ? z11 : 0;                             \
                    const double e0 = exp(-y0 * (v0 * r00 + v1 * r10)), e1 = exp(-y1 * (v0 * r01 + v1 * r11)); \
                    const double g0 = rate * y0 * (LOGISTIC ? e0 / (1 + e0) : e0);                             \
                    const double g1 = rate * y1 * (LOGISTIC ? e1 / (1 + e1) : e1);                             \
                    const double g00 = z00 > 0 ? g0 : 0, g01 = z01 > 0 ? g1 : 0;                               \
                    const double g10 = z10 > 0 ? g0 : 0, g11 = z11 > 0 ? g1 : 0;                               \
                    p[0][i] += v0 * (g00 * x0 + g01 * x1);                                                     \
                    p[2][i] += v0 * (g00 + g01);                                                               \
                    p[1][i] += v1 * (g10 * x0 + g11 * x1);                                                     \
                    p[3][i] += v1 * (g10 + g11);                                                               \
                    if (TRAINED) {                                                                             \
                        p[4][i] = v0 + (g0 * r00 + g1 * r01);                                                  \
                        p[5][i] = v1 + (g0 * r10 + g1 * r11);                                                  \
                    }                                                                                          \
                }                                                                                              \
            }                                                                                                  \
            for (int i = 0; i < n; i++) {                                                                      \
                const long long r = first + i;                                                                 \
                w[r] = p[0][i], w[runs + r] = p[1][i], b[r] = p[2][i], b[runs + r] = p[3][i];                  \
                v[r] = p[4][i], v[runs + r] = p[5][i];                                                         \
            }                                                                                                  \
        }                                                                                                      \
    }

SIMD_LOOP(simd_exponential_fixed, 0, 0)
SIMD_LOOP(simd_exponential_trained, 0, 1)
SIMD_LOOP(simd_logistic_fixed, 1, 0)
SIMD_LOOP(simd_logistic_trained, 1, 1)
