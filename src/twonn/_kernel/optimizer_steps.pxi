"""Optimizers beside gradient descent, step by step, in the parameters' own coordinates.

p is (w_0, w_1, b_0, b_1, v_0, v_1), compensated; n = −∇L its downhill direction. With step size η:

    momentum        u ← β u + n,  p ← p + η u
    normalized_gd   p ← p + η n/L
    adam            f ← β₁ f + (1 − β₁) n,  s ← β₂ s + (1 − β₂) n²,
                    p ← p + η/(1 − β₁ᵗ) · f/(√s/√(1 − β₂ᵗ) + ε)   in the t-th step

The steps themselves are in optimizer_steps.h. They are taken in blocks, at full speed and without a look at what could
go wrong; then bounds of what they have met tell whether the sign of each pre-activation was certain and no number out
of bounds. If not, the block is done again step by step, each with the pattern known to twice the working precision and
with all rules applied. Either way gives the same bits where both apply, so that it does not matter how steps are cut
into blocks.
"""

cdef extern from "_kernel/optimizers.h" nogil:
    enum: OPTIMIZER_BLOCK
    ctypedef struct OptimizerQuestion:
        int kind, logistic, trained, d
        double step_size, weight, carried
        double options[3]
        double rest[2]
        double label[2]
        double bias_label[2]
        const double* x
        const double* signed_x
    ctypedef struct Met:
        double nearest, steepest, largest, largest_output
    ctypedef struct OptimizerLanes:
        double power[2][16]    # LANES
        double ignored[4][16]
        int ignoring
        double nearest[16]
        double steepest[16]
        double largest[16]
        double largest_output[16]
        int64_t changed[16]
        int64_t patterns[256][16]
    void run_steps(const OptimizerQuestion* q, double* moving, double* power, const double* ignored, int n,
                   int64_t* patterns, Met* met) noexcept
    void careful_step(const OptimizerQuestion* q, double* moving, double* power, int pattern) noexcept
    void lane_steps(const OptimizerQuestion* q, OptimizerLanes* lanes, double* moving, int n) noexcept

cpdef enum:
    MOMENTUM, NORMALIZED, ADAM       # as in optimizers.h

cdef enum:
    FEWEST_BLOCK_STEPS = 4           # below, steps are taken one at a time


cdef struct OptimizerState:          # what changes beside the parameters and their moments
    int64_t step
    double[2] powers                 # β₁ᵗ, β₂ᵗ, as long as they count beside 1
    int status
    int last_pattern
    int64_t n_samples
    int64_t n_transitions


cdef OptimizerState ANY_OPTIMIZER
STATE_DTYPES["other"] = np.asarray(<OptimizerState[:1]>&ANY_OPTIMIZER).dtype
assert STATE_DTYPES["other"].itemsize == sizeof(OptimizerState)


cdef struct OptimizerTask:           # what the runs of one question share; it does not own what it points to
    OptimizerQuestion question
    Py_ssize_t size                  # number of parameters
    double reach                     # |z_ji| is at most this times the largest parameter
    const int64_t* schedule
    int64_t n_scheduled
    int64_t transitions_kept
    double* before                   # room for a copy of `moving`


cdef struct OptimizerData:           # all that is known of a run; likewise
    OptimizerState now
    double* moving                   # p, its low part, first and second moments
    # what follows from it
    double[2][2] z
    double[2] margin
    int pattern
    # where to record
    int64_t* steps
    double* states
    uint8_t* patterns
    Dates* transition_times
    Patterns* transition_patterns
    Counts* counts                   # or NULL


cdef struct Bounds:                  # of a run before a block
    double parameter                 # |p|
    double output                    # |v|
    double moment                    # |u| or |f|


cdef void start_optimizer(const OptimizerTask* task, OptimizerData* run, const double[:, ::1] w, const double[::1] b,
                          const double[::1] v) noexcept nogil:
    """Put a run at step 0. `moving` is zeros, and where to record is filled in."""
    cdef Py_ssize_t a, d = task.question.d
    cdef int j
    for j in range(2):
        for a in range(d):
            run.moving[j * d + a] = w[j, a]
        run.moving[2 * d + j] = b[j]
        run.moving[2 * d + 2 + j] = v[j]
    memset(&run.now, 0, sizeof(OptimizerState))
    run.now.powers[0] = run.now.powers[1] = 1.0
    run.now.status = RUNNING
    look(task, run)
    run.now.last_pattern = run.pattern


cdef double own_preactivation(const double* p, const double* low, const double* x, Py_ssize_t d, int j) noexcept nogil:
    """z_j at a point, from the parameters and their low parts."""
    cdef Sum z = lifted_dot(p + j * d, p[2 * d + j], x, d)
    cdef double rest = low[2 * d + j]
    cdef Py_ssize_t a
    for a in range(d):
        rest += low[j * d + a] * x[a]
    return z.high + (z.low + rest)


cdef void look(const OptimizerTask* task, OptimizerData* run) noexcept nogil:
    """Fill in pre-activations, activation pattern and margins, with twice the working precision."""
    cdef Py_ssize_t d = task.question.d, size = task.size
    cdef double f
    cdef int i, j
    run.pattern = 0
    for i in range(2):
        f = 0.0
        for j in range(2):
            run.z[j][i] = own_preactivation(run.moving, run.moving + size, task.question.x + i * d, d, j)
            if run.z[j][i] > 0.0:
                run.pattern |= 1 << (2 * j + i)
                f += run.moving[2 * d + 2 + j] * run.z[j][i]
        run.margin[i] = task.question.label[i] * f


cdef bint is_in_bounds(const OptimizerTask* task, const OptimizerData* run) noexcept nogil:
    """Whether everything is finite, and below 2^996, the most that two_product splits."""
    cdef double zero = 0.0, scale = 268435456.0  # 2^28
    cdef Py_ssize_t n
    cdef int i
    for n in range(task.size):
        zero += scale * run.moving[n] * 0.0 + scale * run.moving[2 * task.size + n] * 0.0
    for i in range(2):
        zero += scale * run.margin[i] * 0.0 + scale * run.z[0][i] * 0.0 + scale * run.z[1][i] * 0.0
    return zero == 0.0


cdef bint coasts(const OptimizerTask* task, const OptimizerData* run) noexcept nogil:
    """Whether it moves without a gradient."""
    cdef Py_ssize_t n
    if task.question.kind != NORMALIZED:
        for n in range(task.size):
            if run.moving[2 * task.size + n] != 0.0:
                return True
    return False


# --------------------------------------------------------------------------------------------------
# What is recorded

cdef void record_present(const OptimizerTask* task, OptimizerData* run) noexcept nogil:
    cdef int64_t n = run.now.n_samples
    run.steps[n] = run.now.step
    memcpy(run.states + n * 2 * task.size, run.moving, 2 * task.size * sizeof(double))
    run.patterns[n] = run.pattern
    run.now.n_samples += 1


cdef void end_run(const OptimizerTask* task, OptimizerData* run, int status) noexcept nogil:
    if run.now.n_samples == 0 or run.steps[run.now.n_samples - 1] != run.now.step:
        record_present(task, run)
    run.now.status = status


cdef void notice(const OptimizerTask* task, OptimizerData* run, int pattern, int64_t step) noexcept nogil:
    """Take notice of the pattern at a step."""
    cdef int64_t n = run.now.n_transitions
    cdef double* row
    if pattern == run.now.last_pattern:
        return
    if n < task.transitions_kept:
        row = run.transition_times[n]
        row[0] = row[2] = row[3] = step
        row[1] = -INFINITY
        run.transition_patterns[n][0] = run.now.last_pattern
        run.transition_patterns[n][1] = pattern
    if run.counts != NULL:
        run.counts[run.now.last_pattern][pattern] += 1
    run.now.n_transitions += 1
    run.now.last_pattern = pattern


cdef void forget(const OptimizerTask* task, OptimizerData* run) noexcept nogil:
    """Let moments be 0 that are below 2^-900: they move nothing, but would become subnormal, which makes steps slow.

    That is done at every 256th step, so that it does not depend on where blocks end. A second moment is kept as long as
    the first: with a tiny ε a step is their quotient, however small both are.
    """
    cdef double* first = run.moving + 2 * task.size
    cdef double* second = first + task.size
    cdef Py_ssize_t n
    for n in range(task.size):
        if abs(first[n]) < 1.1830521861667747e-271:
            first[n] = 0.0
            if second[n] < 1.1830521861667747e-271:
                second[n] = 0.0


cdef bint goes_on(const OptimizerTask* task, OptimizerData* run) noexcept nogil:
    """Record the present step if it is scheduled; end a run that is complete or has come to rest."""
    if run.now.step % OPTIMIZER_BLOCK == 0:
        forget(task, run)
    if run.now.step == task.schedule[run.now.n_samples]:
        record_present(task, run)
        if run.now.n_samples == task.n_scheduled:
            run.now.status = COMPLETED
            return False
    if run.pattern == 0 and not coasts(task, run):
        end_run(task, run, STATIONARY)
        return False
    return True


# --------------------------------------------------------------------------------------------------
# Steps

cdef int64_t advance_optimizer(const OptimizerTask* task, OptimizerData* run, int64_t most) noexcept nogil:
    """Take at most so many steps, at least one unless the run ends; return how many."""
    cdef int64_t patterns[OPTIMIZER_BLOCK]
    cdef double ignored[4]
    cdef double powers[2]
    cdef Bounds bounds
    cdef Met met
    cdef int64_t n, changed = 0
    cdef int k
    if not goes_on(task, run):
        return 0
    n = min(most, block_steps(task, run))
    if n < FEWEST_BLOCK_STEPS:
        return step_carefully(task, run, n)
    bounds = bounds_of(task, run)
    fill_ignored(task, run, ignored)
    memcpy(task.before, run.moving, 4 * task.size * sizeof(double))
    powers = run.now.powers
    run_steps(&task.question, run.moving, run.now.powers, ignored, n, patterns, &met)
    for k in range(n):
        changed |= patterns[k] ^ patterns[0]
    if settles(task, run, &bounds, &met, n, patterns, 1, changed):
        return n
    memcpy(run.moving, task.before, 4 * task.size * sizeof(double))
    run.now.powers = powers
    look(task, run)
    return step_carefully(task, run, n)


cdef inline int64_t block_steps(const OptimizerTask* task, const OptimizerData* run) noexcept nogil:
    """How many steps may be taken before the next sample, and before moments are forgotten."""
    return min(task.schedule[run.now.n_samples] - run.now.step, OPTIMIZER_BLOCK - run.now.step % OPTIMIZER_BLOCK)


cdef int64_t step_carefully(const OptimizerTask* task, OptimizerData* run, int64_t n) noexcept nogil:
    """Take n steps, or fewer if the run ends; return how many."""
    cdef int64_t taken
    cdef double powers[2]
    for taken in range(n):
        if run.pattern == 0 and not coasts(task, run):
            end_run(task, run, STATIONARY)
            return taken
        memcpy(task.before, run.moving, 4 * task.size * sizeof(double))
        powers = run.now.powers
        careful_step(&task.question, run.moving, run.now.powers, run.pattern)
        look(task, run)
        if not is_in_bounds(task, run):
            memcpy(run.moving, task.before, 4 * task.size * sizeof(double))
            run.now.powers = powers
            look(task, run)
            end_run(task, run, DIVERGED)
            return taken
        run.now.step += 1
        notice(task, run, run.pattern, run.now.step)
    return n


cdef bint settles(const OptimizerTask* task, OptimizerData* run, const Bounds* bounds, const Met* met, int64_t n,
                  const int64_t* patterns, Py_ssize_t stride, int64_t changed) noexcept nogil:
    """Accept the n steps of a block, whose patterns are every `stride`-th; or return False, with nothing changed.

    `changed` has the bits in which they differ.
    """
    cdef int64_t k
    look(task, run)
    if not (is_certain(task, bounds, met, n) and is_in_bounds(task, run)):
        return False
    # It may have come to rest before.
    if run.pattern == 0 and not coasts(task, run):
        return False
    if changed and task.question.kind == NORMALIZED:
        for k in range(n):
            if patterns[k * stride] == 0:
                return False
    if changed:
        for k in range(1, n):
            notice(task, run, patterns[k * stride], run.now.step + k)
    run.now.step += n
    notice(task, run, run.pattern, run.now.step)
    return True


# --------------------------------------------------------------------------------------------------
# Whether the sign of every pre-activation was certain

cdef Bounds bounds_of(const OptimizerTask* task, const OptimizerData* run) noexcept nogil:
    cdef Bounds bounds
    cdef double low = 0.0
    cdef Py_ssize_t n
    bounds.parameter = bounds.moment = 0.0
    for n in range(task.size):
        bounds.parameter = max(bounds.parameter, abs(run.moving[n]))
        low = max(low, abs(run.moving[task.size + n]))
        bounds.moment = max(bounds.moment, abs(run.moving[2 * task.size + n]))
    bounds.output = max(abs(run.moving[task.size - 2]), abs(run.moving[task.size - 1]))
    if not low <= 2.220446049250313e-16 * bounds.parameter:  # 2^-52: no steps leave this
        bounds.parameter = INFINITY
    return bounds


cdef bint is_certain(const OptimizerTask* task, const Bounds* bounds, const Met* met, int64_t n) noexcept nogil:
    """Whether z_ji, as the steps form them, had the signs of those that `look` forms, and nothing was out of bounds.

    The largest of |w| and |b| is p. If it is not Adam, whose steps have no bound, it is at most what it was and n times
    the largest change. From p the steps form z_ji in d + 1 operations, each of which errs by at most 2^-53 of p times
    `reach`, as does what they leave out with the low parts, or twice that.
    """
    cdef const OptimizerQuestion* q = &task.question
    cdef double most = 2.9073548971824276e+135  # 2^450
    cdef double p = met.largest, v = met.largest_output if q.trained else bounds.output
    cdef double gradient = 2.0 * met.steepest * v * task.reach
    if q.kind == MOMENTUM:
        p = bounds.parameter + 2.0 * n * q.step_size * max(bounds.moment, gradient / (1.0 - q.options[0]))
    elif q.kind == NORMALIZED:
        p = bounds.parameter + 2.0 * n * q.step_size * gradient
    if not (p * task.reach < most and v < most and met.steepest * task.reach < most
            and bounds.parameter < most and bounds.moment < most):
        return False
    return met.nearest > (q.d + 4) * 2.220446049250313e-16 * p * task.reach + 1e-300


cdef bint fill_ignored(const OptimizerTask* task, const OptimizerData* run, double* ignored) noexcept nogil:
    """Mark, with inf instead of 0, each z_ji that is 0 and stays so; return whether there is one."""
    cdef Py_ssize_t a, k, d = task.question.d
    cdef bint rests, any = False
    cdef int i, j, row
    for j in range(2):
        for i in range(2):
            ignored[2 * j + i] = 0.0
            if run.z[j][i] != 0.0:
                continue
            rests = True  # either all of the neuron, or the point is 0 and has no bias
            for row in range(3):
                for a in range(d):
                    k = row * task.size + j * d + a
                    rests = rests and (run.moving[k] == 0.0)
                rests = rests and run.moving[row * task.size + 2 * d + j] == 0.0
            if not rests and task.question.bias_label[0] == 0.0 and run.moving[2 * d + j] == 0.0:
                rests = run.moving[task.size + 2 * d + j] == run.moving[2 * task.size + 2 * d + j] == 0.0
                for a in range(d):
                    rests = rests and task.question.x[i * d + a] == 0.0
            if rests:
                ignored[2 * j + i] = INFINITY
                any = True
    return any
