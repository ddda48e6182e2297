/* Stretches under an activation pattern that is known to hold: for one run, and for one run in each lane of a
   vector register, from the same text. */
#ifndef TWONN_SMOOTH_H
#define TWONN_SMOOTH_H

#include <stdint.h>

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

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8)));
#define REAL lanes
#define NAME(name) name##_lanes
#include "smooth_steps.h"
#undef REAL
#undef NAME

#endif
