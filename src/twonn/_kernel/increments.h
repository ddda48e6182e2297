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

/* Lets a factor fall that is what it was at the block's start plus a change. So it is never rounded but to be
   used: if each step rounded what the step before had rounded, thousands of steps that change it by less than half
   of the last place, or by the same part of it, would all err the same way. `now` comes from the change one step
   back, whose sum is ready in time. */
static ALWAYS_INLINE void NAME(lower)(REAL *now, REAL start, REAL *change, REAL fall)
{
    *now = (start + *change) - fall;
    *change -= fall;
}
