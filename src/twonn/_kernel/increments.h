/* What steps under a known pattern are made of, for a REAL of any width. Included by smooth.h; NAME tells the widths
   apart. */

/* Adds what a group has gathered to a compensated sum. Such sums grow steadily; where one passes through 0, and is
   smaller than what is added, what this costs is one rounding of that. */
static inline void NAME(add)(REAL *sum, REAL *low, REAL gain)
{
    const REAL total = *sum + gain;
    *low += gain - (total - *sum);
    *sum = total;
}

/* By how much S = h s falls while the margin rises by d; s itself has to be right only where the loss is logistic.
   Taylor's series of the loss, whose derivatives are s (exponential) and s, s (1 − s), s (1 − s)(1 − 2s), ...
   (logistic), to degree 4, or 3 if `cubic`; the remainder is below d^5/120, or d^4/24, of S. Arranged so that few
   operations follow each other once d is known. */
static inline __attribute__((always_inline)) REAL NAME(fall)(REAL pull, REAL s, REAL d, int logistic, int cubic)
{
    if (logistic) {
        const REAL rest = 1.0 - s, both = s * rest, tilt = rest - s; /* tilt = 1 − 2s */
        REAL third = (1.0 / 6.0) - both;
        if (!cubic)
            third -= d * (tilt * ((1.0 / 24.0) - 0.5 * both));
        return ((pull * rest) * d) * ((1.0 - tilt * (0.5 * d)) + (d * d) * third);
    }
    if (cubic) { /* 1 − d/2 + d²/6 = ((d − 3/2)² + 15/4)/6 */
        const REAL shifted = d - 1.5;
        return ((pull * d) * (1.0 / 6.0)) * (shifted * shifted + 3.75);
    }
    return (pull * d) * ((1.0 - 0.5 * d) + (d * d) * ((1.0 / 6.0) - d * (1.0 / 24.0)));
}

/* Lets a factor fall that is what it was at the block's start plus a change. So it is never rounded but to be
   used: if each step rounded what the step before had rounded, thousands of steps that change it by less than half
   of the last place, or by the same part of it, would all err the same way. `now` comes from the change one step
   back, whose sum is ready in time. */
static inline __attribute__((always_inline)) void NAME(lower)(REAL *now, REAL start, REAL *change, REAL fall)
{
    *now = (start + *change) - fall;
    *change -= fall;
}
