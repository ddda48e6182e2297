/* Stretches under an activation pattern that is known to hold: for one run, and for one run in each lane of a
   vector register, from the same text. */
#ifndef TWONN_SMOOTH_H
#define TWONN_SMOOTH_H

#include "pair.h"
#include "vector_types.h"

/* Two registers' worth of runs. */
#if defined(TWONN_NO_VECTOR_TYPES)
enum { LANES = 2 };
#elif defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
#ifdef TWONN_NO_VECTOR_TYPES
typedef double half;
#else
typedef double half __attribute__((vector_size(4 * LANES))); /* one register */
#endif

enum { GROUP = 8 }; /* steps that are added up before they are added to a compensated sum */

/* Chains of operations that go side by side. A type wider than a register would live in memory. */
#define EACH_CHAIN UNROLL(4) for (int c = 0; c < CHAINS; c++)

#define REAL double
#define NAME(name) name##_one
#define CHAINS 1
#include "losses.h"
#include "increments.h"
#include "smooth_steps.h"
#undef REAL
#undef NAME
#undef CHAINS

#define REAL half
#define NAME(name) name##_lanes
#define CHAINS 2
#include "losses.h"
#include "increments.h"
#include "smooth_steps.h"
#undef REAL
#undef NAME
#undef CHAINS

#define REAL pair
#define NAME(name) name##_pair
#define CHAINS 1
#include "losses.h"
#include "increments.h"
#include "decoupled_steps.h"
#undef REAL
#undef NAME
#undef CHAINS

#define REAL half
#define NAME(name) name##_halves
#define CHAINS 4
#include "losses.h"
#include "increments.h"
#include "decoupled_steps.h"
#undef REAL
#undef NAME
#undef CHAINS

#undef EACH_CHAIN

/* A struct of lanes is that of one run, with a number from each lane in place of each of these numbers. */
enum {
    FIXED_FIELDS = sizeof(FixedSmooth_one) / sizeof(double),
    TRAINED_FIELDS = sizeof(TrainedSmooth_one) / sizeof(double),
    DECOUPLED_FIELDS = sizeof(DecoupledSmooth_pair) / sizeof(double)
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
