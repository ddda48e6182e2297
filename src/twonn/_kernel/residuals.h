/* How hard a point pushes in a step of another optimizer, for a REAL of any width: by a Taylor series about the nearest
   number of a grid. Included by optimizers.h; NAME tells the widths apart.

   What an argument gives is a function of the argument alone, so it does not matter how long the coefficients have been
   kept. They hold as long as the argument is nearer to the same number, which is thousands of steps where margins
   change slowly. The grid's spacing is 2^-9, so the remainder is below 2^-50/120 of the value, a fifteenth of a
   unit's half in its last place. */

#ifndef TWONN_RESIDUALS
#define TWONN_RESIDUALS
#define GRID_SHIFT 0x1.8p43   /* adding it rounds to a multiple of 2^-9 */
#define HALF_SPACING 0x1p-10    /* half of that: beyond it, another number of the grid is nearer */
enum { TERMS = 5 };
#endif

typedef struct {
    REAL grid;          /* about what */
    REAL term[TERMS];   /* of the slope: its Taylor coefficients in grid - argument */
    REAL loss;          /* ln(1 + e^-grid), if that is asked for */
} NAME(Residual);

/* ln(1 + e) for e in [0, 1], relative error a few 2^-53: 2 artanh(e/(2 + e)), remainder below 9^-17/35. */
static REAL NAME(log1p_of)(REAL e)
{
    const REAL s = e / (2.0 + e), z = s * s, zero = {0};
    REAL series = 2 / 33.0 + zero;
    for (int n = 15; n > 0; n--)
        series = 2.0 / (2 * n + 1) + z * series;
    return 2.0 * s + s * (z * series);
}

/* The coefficients of weight e^-m, or, for a sigmoid, weight/(1 + e^m), about the number of the grid nearest to m. */
static void NAME(expand)(NAME(Residual) *residual, REAL m, double weight, int sigmoid, int loss)
{
    const REAL grid = (m + GRID_SHIFT) - GRID_SHIFT, zero = {0};
    residual->grid = grid;
    if (!sigmoid) {
        const REAL s = weight * NAME(exp)(-grid);
        residual->term[0] = residual->term[1] = s;
        residual->term[2] = s * 0.5;
        residual->term[3] = s * (1 / 6.0);
        residual->term[4] = s * (1 / 24.0);
        return;
    }
    if (NAME(all)(NAME(magnitude)(grid) > 800.0) && !loss) { /* what follows comes to this, more slowly */
        residual->term[0] = weight * NAME(chosen)(grid > 0.0, zero, 1.0 + zero);
        residual->term[1] = residual->term[2] = residual->term[3] = residual->term[4] = zero;
        return;
    }
    const REAL e = NAME(exp)(-NAME(magnitude)(grid)), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    const REAL s = NAME(chosen)(grid > 0.0, small, large), rest = NAME(chosen)(grid > 0.0, large, small);
    const REAL both = s * rest, tilt = rest - s; /* the derivatives are s (1 − s), s (1 − s)(1 − 2s), ... */
    residual->term[0] = weight * s;
    residual->term[1] = weight * both;
    residual->term[2] = weight * (both * (0.5 * tilt));
    residual->term[3] = weight * (both * ((1 / 6.0) - both));
    residual->term[4] = weight * (both * (tilt * ((1 / 24.0) - 0.5 * both)));
    if (loss)
        residual->loss = NAME(max)(-grid, zero) + NAME(log1p_of)(e);
}

/* How far the grid is away; the coefficients are renewed if need be. */
static ALWAYS_INLINE REAL NAME(offset)(
    NAME(Residual) *residual, REAL m, double weight, int sigmoid, int loss)
{
    REAL r = residual->grid - m;
    if (UNLIKELY(!NAME(all)(NAME(magnitude)(r) < HALF_SPACING))) {
        NAME(expand)(residual, m, weight, sigmoid, loss);
        r = residual->grid - m;
    }
    return r;
}

static ALWAYS_INLINE REAL NAME(slope)(const NAME(Residual) *residual, REAL r)
{
    const REAL *t = residual->term, square = r * r;
    return ((t[0] + t[1] * r) + t[2] * square) + (t[3] + t[4] * r) * (square * r);
}

/* ln(1 + e^-m), by the integral of the slope. */
static ALWAYS_INLINE REAL NAME(log_loss_near)(const NAME(Residual) *residual, REAL r)
{
    const REAL *t = residual->term, square = r * r;
    return (residual->loss + t[0] * r) + square * ((0.5 * t[1] + (1 / 3.0) * t[2] * r) + square * (0.25 * t[3]));
}
