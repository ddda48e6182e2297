/* Steps of optimizers other than gradient descent: of one run, and of one run in each lane of the vector registers. */
#ifndef TWONN_OPTIMIZERS_H
#define TWONN_OPTIMIZERS_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "smooth.h"
#include "vector_types.h"
#if defined(__SSE2__) && !defined(TWONN_NO_VECTOR_TYPES)
#include <immintrin.h>
#endif

enum { MOMENTUM, NORMALIZED, ADAM };

enum { OPTIMIZER_BLOCK = 256 }; /* the most steps between two looks at what has been met */

/* What is asked, whatever the run. */
typedef struct {
    int kind, logistic, trained, d;
    double step_size;      /* η */
    double weight;         /* of the reduction; 1 where it cancels */
    double options[3];     /* β, or β₁, β₂, ε */
    double rest[2];        /* 1 − β₁, 1 − β₂ */
    double carried;        /* η β */
    double label[2];       /* y_i */
    double bias_label[2];  /* y_i, or 0 if there are no biases */
    const double *x;       /* point by point */
    const double *signed_x; /* y_i x_i */
} OptimizerQuestion;

#define FAR_MARGIN 40.0         /* ln(1 + e^-m) = e^-m to the last bit beyond */
#define NO_POWER 0x1p-54 /* 1 - p = 1 below */
enum { MOST_UNROLLED = 2 }; /* coordinates of a point for which steps are compiled by themselves */

#define EACH_CHAIN UNROLL(4) for (int c = 0; c < CHAINS; c++)

#define REAL double
#define MASK int64_t
#define NAME(name) name##_one
#define WIDTH 1
#define CHAINS 1
#define PATTERNS int64_t
#include "optimizer_width.h"

#ifdef TWONN_NO_VECTOR_TYPES
typedef int64_t half_mask;
#else
typedef int64_t half_mask __attribute__((vector_size(4 * LANES)));
#endif
#define REAL half
#define MASK half_mask
#define NAME(name) name##_lanes
#if defined(TWONN_NO_VECTOR_TYPES)
#define WIDTH 1
#elif defined(__AVX512F__)
#define WIDTH 8
#elif defined(__AVX__)
#define WIDTH 4
#else
#define WIDTH 2
#endif
#define CHAINS 2
#define PATTERNS half_mask
#include "optimizer_width.h"

#include "optimizer_quads.h"

#undef EACH_CHAIN

#define FOR_KIND(q, d, function, ...) \
    do { \
        if ((q)->kind == MOMENTUM && (q)->trained) function(__VA_ARGS__, MOMENTUM, 1, d); \
        else if ((q)->kind == MOMENTUM) function(__VA_ARGS__, MOMENTUM, 0, d); \
        else if ((q)->kind == NORMALIZED && (q)->trained) function(__VA_ARGS__, NORMALIZED, 1, d); \
        else if ((q)->kind == NORMALIZED) function(__VA_ARGS__, NORMALIZED, 0, d); \
        else if ((q)->trained) function(__VA_ARGS__, ADAM, 1, d); \
        else function(__VA_ARGS__, ADAM, 0, d); \
    } while (0)

/* What steps have met (optimizer_steps.h). */
typedef struct { double nearest, steepest, largest, largest_output; } Met;

/* Takes n steps of one run; `ignored` are 4 numbers, inf for a pair that is not looked at. */
static void run_steps(const OptimizerQuestion *q, double *moving, double *power, const double *ignored, int n,
                      int64_t *patterns, Met *met)
{
    OptimizerGroup_one group;
    begin_one(q, &group);
    memcpy(group.power, power, sizeof(group.power));
    memcpy(group.ignored, ignored, sizeof(group.ignored));
    group.ignoring = 1;
    if (0) {
#ifdef TWONN_QUADS
    } else if (q->d == 1) {
        FOR_KIND(q, 1, run_stretch, q, &group, moving, n, patterns);
    } else if (q->d == 2) {
        FOR_KIND(q, 2, run_stretch, q, &group, moving, n, patterns);
#endif
    } else {
        FOR_KIND(q, q->d, optimizer_stretch_one, q, &group, moving, n, patterns, -1);
    }
    memcpy(power, group.power, sizeof(group.power));
    met->nearest = group.nearest[0], met->steepest = group.steepest[0];
    met->largest = group.largest[0], met->largest_output = group.largest_output[0];
}

/* Takes one step under this pattern. */
static void careful_step(const OptimizerQuestion *q, double *moving, double *power, int pattern)
{
    OptimizerGroup_one group;
    int64_t patterns[1];
    begin_one(q, &group);
    memcpy(group.power, power, sizeof(group.power));
    group.ignoring = 0;
    optimizer_stretch_one(q, &group, moving, 1, patterns, pattern, q->kind, q->trained, q->d);
    memcpy(power, group.power, sizeof(group.power));
}

/* Many runs, each number LANES times. */
typedef struct {
    double power[2][LANES], ignored[4][LANES];
    int ignoring;
    double nearest[LANES], steepest[LANES], largest[LANES], largest_output[LANES]; /* what each has met */
    int64_t changed[LANES];  /* bits of its pattern that have changed */
    int64_t patterns[OPTIMIZER_BLOCK][LANES];
} OptimizerLanes;

/* Takes n steps of each run. `moving` is aligned like a register. */
static void lane_steps(const OptimizerQuestion *q, OptimizerLanes *lanes, double *moving, int n)
{
    OptimizerGroup_lanes group;
    half_mask patterns[OPTIMIZER_BLOCK * 2], changed[2];
    begin_lanes(q, &group);
    memcpy(group.power, lanes->power, sizeof(group.power));
    memcpy(group.ignored, lanes->ignored, sizeof(group.ignored));
    group.ignoring = lanes->ignoring;
    if (q->d == 1)
        FOR_KIND(q, 1, optimizer_stretch_lanes, q, &group, (half *)moving, n, patterns, -1);
    else if (q->d == 2)
        FOR_KIND(q, 2, optimizer_stretch_lanes, q, &group, (half *)moving, n, patterns, -1);
    else
        FOR_KIND(q, q->d, optimizer_stretch_lanes, q, &group, (half *)moving, n, patterns, -1);
    for (int c = 0; c < 2; c++) {
        changed[c] = patterns[c] ^ patterns[c];
        for (int step = 1; step < n; step++)
            changed[c] |= patterns[2 * step + c] ^ patterns[c];
    }
    memcpy(lanes->power, group.power, sizeof(group.power));
    memcpy(lanes->nearest, group.nearest, sizeof(group.nearest));
    memcpy(lanes->steepest, group.steepest, sizeof(group.steepest));
    memcpy(lanes->largest, group.largest, sizeof(group.largest));
    memcpy(lanes->largest_output, group.largest_output, sizeof(group.largest_output));
    memcpy(lanes->changed, changed, sizeof(changed));
    memcpy(lanes->patterns, patterns, n * sizeof(lanes->patterns[0]));
}

#endif
