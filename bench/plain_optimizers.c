/* The loops a user would write for optimizers other than gradient descent: the textbook recurrences in plain doubles
   with libm's exp, on points of 1 and 2 coordinates, counting activation-pattern transitions. As in plain_loop.c,
   divergence is looked for once, at the end.

   p are w (2 x D), b and v; n is downhill, -gradient. `rate` is the step size, `weight` what the reduction multiplies
   the sum of the losses by. */
#include <math.h>

enum { MOMENTUM, NORMALIZED, ADAM };

static inline __attribute__((always_inline)) long long plain(
    int kind, int D, int logistic, int trained, const double *x, const double *y, double rate, double weight,
    const double *options, double *parameters, long long steps)
{
    const int size = 2 * D + 4, moved = trained ? size : size - 2;
    const double beta = options[0], beta2 = options[1], epsilon = options[2];
    double p[8], n[8], first[8] = {0}, second[8] = {0}, power = 1, power2 = 1;
    long long transitions = 0;
    int before = -1;
    for (int k = 0; k < size; k++)
        p[k] = parameters[k];
    double *b = p + 2 * D, *v = b + 2;
    for (long long t = 0; t <= steps; t++) {
        double z[2][2], m[2], push[2], total = 0;
        int pattern = 0;
        for (int j = 0; j < 2; j++)
            for (int i = 0; i < 2; i++) {
                z[j][i] = b[j];
                for (int a = 0; a < D; a++)
                    z[j][i] += p[j * D + a] * x[i * D + a];
                pattern |= (z[j][i] > 0) << (2 * j + i);
            }
        transitions += before >= 0 && pattern != before;
        before = pattern;
        if (t == steps)
            break;
        for (int i = 0; i < 2; i++) {
            m[i] = y[i] * (v[0] * (z[0][i] > 0 ? z[0][i] : 0) + v[1] * (z[1][i] > 0 ? z[1][i] : 0));
            const double e = exp(-m[i]);
            push[i] = weight * y[i] * (logistic ? e / (1 + e) : e);
            if (kind == NORMALIZED)
                total += weight * (logistic ? log1p(e) : e);
        }
        for (int j = 0; j < 2; j++) {
            const double push0 = z[j][0] > 0 ? push[0] : 0, push1 = z[j][1] > 0 ? push[1] : 0;
            for (int a = 0; a < D; a++)
                n[j * D + a] = v[j] * (push0 * x[a] + push1 * x[D + a]);
            n[2 * D + j] = v[j] * (push0 + push1);
            n[2 * D + 2 + j] = push0 * z[j][0] + push1 * z[j][1];
        }
        if (kind == ADAM)
            power *= beta, power2 *= beta2;
        const double length = rate / (1 - power), root = sqrt(1 - power2);
        for (int k = 0; k < moved; k++) {
            if (kind == MOMENTUM) {
                first[k] = beta * first[k] + n[k];
                p[k] += rate * first[k];
            } else if (kind == NORMALIZED) {
                p[k] += rate * (n[k] / total);
            } else {
                first[k] = beta * first[k] + (1 - beta) * n[k];
                second[k] = beta2 * second[k] + (1 - beta2) * n[k] * n[k];
                p[k] += length * (first[k] / (sqrt(second[k]) / root + epsilon));
            }
        }
    }
    double sum = 0;
    for (int k = 0; k < size; k++)
        sum += parameters[k] = p[k];
    return isfinite(sum) ? transitions : -1;
}

/* Takes `steps` steps in place; returns the number of transitions, or -1 if the run diverged. */
#define PLAIN(NAME, KIND, D, LOGISTIC, TRAINED)                                                            \
    long long NAME(const double *x, const double *y, double rate, double weight, const double *options,    \
                   double *parameters, long long steps)                                                    \
    {                                                                                                      \
        return plain(KIND, D, LOGISTIC, TRAINED, x, y, rate, weight, options, parameters, steps);          \
    }
#define PLAIN_OF(NAME, KIND, D)                                                                            \
    PLAIN(NAME##_##D##_exponential_fixed, KIND, D, 0, 0) PLAIN(NAME##_##D##_exponential_trained, KIND, D, 0, 1) \
    PLAIN(NAME##_##D##_logistic_fixed, KIND, D, 1, 0) PLAIN(NAME##_##D##_logistic_trained, KIND, D, 1, 1)

PLAIN_OF(momentum, MOMENTUM, 1)
PLAIN_OF(momentum, MOMENTUM, 2)
PLAIN_OF(normalized_gd, NORMALIZED, 1)
PLAIN_OF(normalized_gd, NORMALIZED, 2)
PLAIN_OF(adam, ADAM, 1)
PLAIN_OF(adam, ADAM, 2)
