/* How far a push S = h s falls in a step: the losses of loss.pxi, for a REAL of any width. Included by smooth.h; NAME
   tells the widths apart.

   The fall is S less what it is when the margin has risen by d, by Taylor's series of the loss to degree 4, or 3 if
   `cubic`. The remainder is below d^5/120, or d^4/24, of S. Arranged so that few operations follow each other once d
   is known. s itself has to be right only where it counts beside 1. */

#ifndef TWONN_LOSSES
#define TWONN_LOSSES

enum { EXPONENTIAL, LOGISTIC };

/* Calls a function whose last arguments are the loss and the degree, each combination compiled for itself. */
#define FOR_LOSS(loss, cubic, function, ...) \
    do { \
        if ((loss) == LOGISTIC && (cubic)) \
            function(__VA_ARGS__, LOGISTIC, 1); \
        else if ((loss) == LOGISTIC) \
            function(__VA_ARGS__, LOGISTIC, 0); \
        else if (cubic) \
            function(__VA_ARGS__, EXPONENTIAL, 1); \
        else \
            function(__VA_ARGS__, EXPONENTIAL, 0); \
    } while (0)

#endif

/* The derivatives are s. */
static ALWAYS_INLINE REAL NAME(exponential_fall)(REAL pull, REAL d, int cubic)
{
    if (cubic) { /* 1 − d/2 + d²/6 = ((d − 3/2)² + 15/4)/6 */
        const REAL shifted = d - 1.5;
        return ((pull * d) * (1.0 / 6.0)) * (shifted * shifted + 3.75);
    }
    return (pull * d) * ((1.0 - 0.5 * d) + (d * d) * ((1.0 / 6.0) - d * (1.0 / 24.0)));
}

/* The derivatives are s (1 − s), s (1 − s)(1 − 2s), ... */
static ALWAYS_INLINE REAL NAME(logistic_fall)(REAL pull, REAL s, REAL d, int cubic)
{
    const REAL rest = 1.0 - s, both = s * rest, tilt = rest - s; /* tilt = 1 − 2s */
    REAL third = (1.0 / 6.0) - both;
    if (!cubic)
        third -= d * (tilt * ((1.0 / 24.0) - 0.5 * both));
    return ((pull * rest) * d) * ((1.0 - tilt * (0.5 * d)) + (d * d) * third);
}

static ALWAYS_INLINE REAL NAME(fall)(REAL pull, REAL s, REAL d, int loss, int cubic)
{
    return loss == LOGISTIC ? NAME(logistic_fall)(pull, s, d, cubic) : NAME(exponential_fall)(pull, d, cubic);
}
