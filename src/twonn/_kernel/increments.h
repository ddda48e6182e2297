/* What steps under a known pattern are made of, for a REAL of any width. Included by smooth.h; NAME tells the widths
   apart. */

/* Adds what a group has gathered to a compensated sum. */
static inline void NAME(add)(REAL *sum, REAL *low, REAL gain)
{
    const REAL total = *sum + gain, part = total - gain;
    *low += (*sum - part) + (gain - (total - part));
    *sum = total;
}

/* S after the margin has risen by d. */
static inline __attribute__((always_inline)) REAL NAME(pull_after)(REAL pull, REAL d, REAL inverse_rate, int logistic)
{
    const REAL fall = d - (d * d) * (0.5 - d * ((1.0 / 6.0) - d * (1.0 / 24.0))); /* 1 − e^−d */
    if (logistic) {
        const REAL s = pull * inverse_rate, y = -(s * fall);
        return pull - ((pull * fall) * (1.0 - s)) * (1.0 - y * (1.0 - y));
    }
    return pull - pull * fall;
}
