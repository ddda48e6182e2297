/* Stretches under an activation pattern that is known to hold: for one run, and for one run in each lane of a
   vector register, from the same text. */
#ifndef TWONN_SMOOTH_H
#define TWONN_SMOOTH_H

#include <stddef.h>

#define REAL double
#define NAME(name) name##_one
#include "smooth_steps.h"
#undef REAL
#undef NAME

/* Two registers' worth of runs: a step is a long chain of operations, and two of them keep the units busy. */
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef double lanes __attribute__((vector_size(8 * LANES)));
#define REAL lanes
#define NAME(name) name##_lanes
#include "smooth_steps.h"
#undef REAL
#undef NAME

/* Either struct of lanes is that of one run, with a vector for each of these numbers. */
enum {
    FIXED_FIELDS = sizeof(FixedSmooth_one) / sizeof(double),
    TRAINED_FIELDS = offsetof(TrainedSmooth_one, step) / sizeof(double)
};

static inline void put_in_lane(void *all, int lane, const void *one, int fields)
{
    for (int n = 0; n < fields; n++)
        ((double *)all)[n * LANES + lane] = ((const double *)one)[n];
}

static inline void take_from_lane(const void *all, int lane, void *one, int fields)
{
    for (int n = 0; n < fields; n++)
        ((double *)one)[n] = ((const double *)all)[n * LANES + lane];
}

#endif
