# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The kernel: exact gradient-descent steps in reduced coordinates.

With C_jk = Σ_steps h s_k y_k v_j a_jk and the lifted Gram matrix G the pre-activations are
z_ji = z_ji(0) + Σ_k C_jk G_ki, so a run of any dimension is C (2 x 2) and v (2). Time is cut into
blocks of BLOCK_STEPS steps that start at multiples of BLOCK_STEPS. The bits of a block depend on the
State at its start alone, never on where a run is sampled, paused or ended.
"""

from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

import numpy as np


cdef extern from "_kernel/build.h" nogil:
    const char* TWONN_COMPILER
    const char* TWONN_FLAGS
    const char* TWONN_ISA
    int TWONN_CONTRACTED, TWONN_NOT_NEAREST, TWONN_FLUSHED, TWONN_EXCESS_PRECISION
    int twonn_arithmetic_faults() noexcept


# --------------------------------------------------------------------------------------------------
# Error-free transformations (Dekker, Knuth). They rely on round-to-nearest and on -ffp-contract=off.

cdef struct Sum:               # the unevaluated sum high + low
    double high
    double low


cdef inline Sum two_sum(double a, double b) noexcept nogil:
    cdef Sum r
    cdef double t
    r.high = a + b
    t = r.high - a
    r.low = (a - (r.high - t)) + (b - t)
    return r


cdef inline Sum two_product(double a, double b) noexcept nogil:
    # Dekker's splitting instead of fma: the same bits with and without hardware support.
    cdef Sum r
    cdef double splitter = 134217729.0  # 2^27 + 1
    cdef double t, a_high, a_low, b_high, b_low
    t = splitter * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = splitter * b
    b_high = t - (t - b)
    b_low = b - b_high
    r.high = a * b
    r.low = a_low * b_low - (((r.high - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return r


cdef inline Sum plus(Sum a, double b) noexcept nogil:
    cdef Sum r = two_sum(a.high, b)
    r.low += a.low
    return r


cdef inline Sum plus_product(Sum a, double b, double c) noexcept nogil:
    cdef Sum p = two_product(b, c)
    cdef Sum r = plus(a, p.high)
    r.low += p.low
    return r


cdef inline Sum finite_or(Sum a, double plain) noexcept nogil:
    """`a` with its high part rounded; near overflow, where splitting gives NaN, the plain evaluation."""
    cdef Sum r = two_sum(a.high, a.low)
    if r.high - r.high != 0.0:
        r.high = plain
    if r.low - r.low != 0.0:
        r.low = 0.0
    return r


cdef inline Sum times(Sum a, double b) noexcept nogil:
    cdef Sum r = two_product(a.high, b)
    r.low += a.low * b
    return finite_or(r, a.high * b)


# --------------------------------------------------------------------------------------------------
# Exponential: no libm, so that every platform gives the same bits.

cdef union Bits:
    double real
    uint64_t bits


cdef inline double power_of_two(int64_t k) noexcept nogil:
    cdef Bits b
    b.bits = <uint64_t>(k + 1023) << 52
    return b.real


cdef double exp_(double x) noexcept nogil:
    """exp(x), error below 0.7 ulp for normal results; inf, 0 and nan where libm gives them."""
    cdef double shift = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer
    cdef double ln2_high = 0.6931471805598903  # 42 bits, so that k * ln2_high is exact
    cdef double ln2_low = 5.497923018708371e-14  # ln 2 - ln2_high
    cdef double k, high, low, r, r_low, square, tail, one_plus
    cdef int64_t half
    if x != x:
        return x
    if x > 800.0:
        return INFINITY
    if x < -800.0:
        return 0.0
    k = (x * 1.4426950408889634 + shift) - shift
    high = x - k * ln2_high
    low = k * ln2_low
    r = high - low
    r_low = (high - r) - low
    # exp(r) = 1 + r + r^2/2 + ...: Taylor to degree 13, remainder below 0.35^14/14! = 2^-57.5.
    square = r * r
    tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
        + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
        + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))))
    one_plus = 1.0 + r
    tail += (r - (one_plus - 1.0)) + (r_low + r * r_low)
    # Two factors, because 2^k alone may not be a normal number.
    half = <int64_t>k >> 1
    return (one_plus + tail) * power_of_two(half) * power_of_two(<int64_t>k - half)


cdef inline double loss_slope(const Model* model, double margin) noexcept nogil:
    # s = −ℓ'(m)
    cdef double e
    if not model.logistic:
        return exp_(-margin)
    if margin < 0:
        return 1.0 / (1.0 + exp_(margin))
    e = exp_(-margin)
    return e / (1.0 + e)


cdef inline pair loss_slopes(const Model* model, pair margin) noexcept nogil:
    return pair_of(loss_slope(model, first(margin)), loss_slope(model, second(margin)))


# --------------------------------------------------------------------------------------------------
# From a State to a Block and back

cdef Sum lifted_dot(const double* w, double b, const double* x, Py_ssize_t d) noexcept nogil:
    """w·x + b with twice the working precision."""
    cdef Sum z
    cdef Py_ssize_t a
    cdef double plain = 0.0
    z.high = z.low = 0.0
    for a in range(d):
        z = plus_product(z, w[a], x[a])
        plain += w[a] * x[a]
    return finite_or(plus(z, b), plain + b)


cdef void set_model(Model* model, const double[:, ::1] x, bint bias, const double[:, ::1] w,
                    const double[::1] b) noexcept nogil:
    """Fill in the lifted Gram matrix and the pre-activations at step 0."""
    cdef Py_ssize_t d = x.shape[1]
    cdef Sum r
    cdef int i, j, k
    for i in range(2):
        for k in range(2):
            r = lifted_dot(&x[i, 0], 1.0 if bias else 0.0, &x[k, 0], d)
            model.gram[i][k] = r.high
            model.gram_low[i][k] = r.low
        for j in range(2):
            r = lifted_dot(&w[j, 0], b[j], &x[i, 0], d)
            model.start[j][i] = r.high
            model.start_low[j][i] = r.low


cdef double preactivation(const Model* model, const State* state, int j, int i) noexcept nogil:
    cdef Sum z
    cdef int k
    cdef double plain = model.start[j][i]
    z.high = model.start[j][i]
    z.low = model.start_low[j][i]
    for k in range(2):
        z = plus_product(z, state.c[j][k], model.gram[i][k])
        z.low += state.c_low[j][k] * model.gram[i][k] + state.c[j][k] * model.gram_low[i][k]
        plain += state.c[j][k] * model.gram[i][k]
    return finite_or(z, plain).high


cdef void open_block(const Model* model, const State* state, Block* block) noexcept nogil:
    """Unfold a State; decide whether the pattern provably holds for the whole block."""
    cdef int i, k
    cdef pair z, sums
    cdef pair zero = both(0.0)
    block.v = pair_of(state.v[0], state.v[1])
    block.dv = block.dv_low = zero
    for i in range(2):
        z = pair_of(preactivation(model, state, 0, i), preactivation(model, state, 1, i))
        block.kink[i] = -z
        block.base[i] = where(above(-z, zero), -z)
        block.output[i] = where(above(z, zero), z)
        block.dz[i] = block.impulse[i] = block.impulse_low[i] = zero
        for k in range(2):
            block.push[i][k] = both(model.rate * model.gram[i][k] * model.label[k])
            if not model.trained:
                block.push[i][k] = block.push[i][k] * block.v
    block.pattern = pattern_of(above(block.output[0], zero), above(block.output[1], zero))
    sums = sum_over_neurons(block.v * block.output[0], block.v * block.output[1])
    block.margin = pair_of(model.label[0], model.label[1]) * sums
    block.slope = loss_slopes(model, block.margin)
    block.change = block.anchor = block.total = block.total_low = zero
    expand(model, block.slope, block.taylor)
    block.smooth = not model.trained and is_smooth(model, block)


cdef inline pair sum_over_neurons(pair sample0, pair sample1) noexcept nogil:
    return firsts(sample0, sample1) + seconds(sample0, sample1)


cdef bint is_smooth(const Model* model, Block* block) noexcept nogil:
    """Prove that no pre-activation changes sign and that Δm stays small for BLOCK_STEPS steps.

    With |Δm_i| <= Σ_k |h H_ik| s_k <= 2^-14 at the start, s_k grows by less than a factor 1.03 within
    256 steps (its logarithm moves by at most 2^-14 x 1.03 a step), so that |Δm_i| < 2^-13 throughout and
    z_ji moves by less than 1.03 x 256 times its present rate. 1.05 leaves room for rounding.
    """
    cdef double[2] s = [first(block.slope), second(block.slope)]
    cdef double[2] v = [first(block.v), second(block.v)]
    cdef double[2][2] push
    cdef double rate, kink
    cdef int i, j, k
    for i in range(2):
        rate = 0.0
        for k in range(2):
            push[0][k] = first(block.push[i][k])
            push[1][k] = second(block.push[i][k])
            block.decay[i][k] = 0.0
            for j in range(2):
                if is_active(block.pattern, j, i) and is_active(block.pattern, j, k):
                    block.decay[i][k] -= model.label[i] * v[j] * push[j][k]
            rate += abs(block.decay[i][k]) * s[k]
        if not rate <= 6.103515625e-05:  # 2^-14, and not NaN
            return False
        if model.logistic and s[i] > 0.001953125:  # 2^-9, see smooth_steps
            return False
        for j in range(2):
            rate = 0.0
            for k in range(2):
                if is_active(block.pattern, j, k):
                    rate += abs(push[j][k]) * s[k]
            kink = first(block.kink[i]) if j == 0 else second(block.kink[i])
            if rate != 0.0 and not abs(kink) > 1.05 * BLOCK_STEPS * rate:
                return False
    return True


cdef inline bint is_active(int pattern, int j, int i) noexcept nogil:
    return pattern >> (2 * j + i) & 1


cdef void close_block(const Model* model, const State* start, const Block* block,
                      State* state) noexcept nogil:
    """Fold a Block at its present step back into a State."""
    cdef int j, k
    cdef Sum impulse, v
    for k in range(2):
        for j in range(2):
            impulse = impulse_of(block, j, k)
            impulse = times(impulse, model.rate * model.label[k])
            if not model.trained:
                impulse = times(impulse, start.v[j])
            impulse = moved(start.c[j][k], start.c_low[j][k], impulse)
            state.c[j][k] = impulse.high
            state.c_low[j][k] = impulse.low
    for j in range(2):
        v.high = first(block.dv) if j == 0 else second(block.dv)
        v.low = first(block.dv_low) if j == 0 else second(block.dv_low)
        v = moved(start.v[j], start.v_low[j], v)
        state.v[j] = v.high
        state.v_low[j] = v.low


cdef inline Sum impulse_of(const Block* block, int j, int k) noexcept nogil:
    """Σ a_jk s_k (times v_j if trained) since the block's start."""
    cdef Sum r
    if not block.smooth:
        r.high = first(block.impulse[k]) if j == 0 else second(block.impulse[k])
        r.low = first(block.impulse_low[k]) if j == 0 else second(block.impulse_low[k])
    elif is_active(block.pattern, j, k):
        r.high = first(block.total) if k == 0 else second(block.total)
        r.low = first(block.total_low) if k == 0 else second(block.total_low)
    else:
        r.high = r.low = 0.0
    return r


cdef inline Sum moved(double high, double low, Sum change) noexcept nogil:
    cdef Sum r
    r.high = high
    r.low = low + change.low
    r = plus(r, change.high)
    return two_sum(r.high, r.low)


cdef bint fits(const Model* model, const State* state) noexcept nogil:
    """Whether parameters, pre-activations and margins are below 2^996, the most that two_product splits."""
    cdef const double* entry = <const double*>state
    cdef double scale = 268435456.0  # 2^28: 2^996 times this is infinite
    cdef double zero = 0.0, z, term, size
    cdef int i, j, k, n
    for n in range(STATE_SIZE):
        zero += scale * entry[n] * 0.0
    for i in range(2):
        for j in range(2):
            z = model.start[j][i]
            size = abs(z)
            for k in range(2):
                term = state.c[j][k] * model.gram[i][k]
                z += term
                size += abs(term)
            if z > 0.0:
                size += abs(state.v[j]) * z
            zero += scale * size * 0.0
    return zero == 0.0


# --------------------------------------------------------------------------------------------------
# Steps

# One compiled body per case, chosen by the type of an argument: the loops are too long for compilers to
# specialise by themselves, and a branch inside them costs registers.
ctypedef char Exponential
ctypedef short Logistic
ctypedef fused Loss:
    Exponential
    Logistic
ctypedef char FixedOutput
ctypedef short TrainedOutput
ctypedef fused Output:
    FixedOutput
    TrainedOutput


cdef void smooth_steps(Block* block, int n, Loss loss) noexcept nogil:
    """n steps under a constant pattern with fixed output weights.

    s_k(t+1) = s_k(t) (1 + e), e = exp(−Δm_k) − 1, for the exponential loss. |Δm| < 2^-13, so e to degree 3
    leaves out less than 2^-56. For the logistic loss, with s_k <= 2^-9 x 1.03 and y = s_k e,
    s_k(t+1) = s_k (1 + e)/(1 + y) = s_k + y (1 − s_k)(1 − y + ...), leaving out less than 2^-56 of s_k.
    """
    cdef double s0 = first(block.slope), s1 = second(block.slope)
    cdef double d00 = block.decay[0][0], d01 = block.decay[0][1]
    cdef double d10 = block.decay[1][0], d11 = block.decay[1][1]
    # The halves keep a product off the critical path.
    cdef double f00 = 0.5 * d00, f01 = 0.5 * d01, f10 = 0.5 * d10, f11 = 0.5 * d11
    cdef double total0 = first(block.total), total1 = second(block.total)
    cdef double low0 = first(block.total_low), low1 = second(block.total_low)
    cdef double q0, q1, y0, y1, sum0, sum1
    cdef int step
    for step in range(n):
        sum0 = total0 + s0
        sum1 = total1 + s1
        low0 += s0 - (sum0 - total0)
        low1 += s1 - (sum1 - total1)
        total0 = sum0
        total1 = sum1
        q0 = d00 * s0 + d01 * s1
        q1 = d10 * s0 + d11 * s1
        y0 = (s0 * q0) * ((1.0 + (f00 * s0 + f01 * s1)) + (q0 * q0) * (1.0 / 6.0))
        y1 = (s1 * q1) * ((1.0 + (f10 * s0 + f11 * s1)) + (q1 * q1) * (1.0 / 6.0))
        if Loss is Logistic:
            s0 += (y0 * (1.0 - s0)) * (1.0 - y0)
            s1 += (y1 * (1.0 - s1)) * (1.0 - y1)
        else:
            s0 += y0
            s1 += y1
    block.slope = pair_of(s0, s1)
    block.total = pair_of(total0, total1)
    block.total_low = pair_of(low0, low1)


cdef inline void expand(const Model* model, pair s, pair* taylor) noexcept nogil:
    """Taylor coefficients of s in a fall x of the margin: ds/dx = s (exponential), s (1 − s) (logistic)."""
    taylor[0] = s
    taylor[1] = s * (both(1.0) - s) if model.logistic else s
    taylor[2] = taylor[1] * both(0.5)
    taylor[3] = taylor[1] * both(1.0 / 6.0)
    if model.logistic:
        taylor[2] = taylor[2] * (both(1.0) - both(2.0) * s)
        taylor[3] = taylor[3] * (both(1.0) - both(6.0) * s * (both(1.0) - s))


cdef void general_steps(const Model* model, Block* block, int n, uint8_t* patterns,
                        Output output) noexcept nogil:
    """n steps with every activation looked at, each step's pattern written to `patterns`.

    Changes since the block's start, dz_ji and dm_i, are formed directly, so that neither cancels. With
    kink = −z_ji(start), the unit's output now is max(dz, kink) − kink, and its rise since the start is
    max(dz, kink) − max(0, kink); the margin has changed by Σ_j y_i (v_j rise + dv_j output), v_j being the
    output weight at the start, where either term is exact to rounding. s_i then follows from its Taylor
    polynomial about an anchor, to degree 3, while the margins are within 2^-13 of the anchor's (remainder
    below 2^-56). Beyond that the step before becomes the anchor; if the step itself is longer than that,
    a full exp gives a new one.
    """
    cdef double near = 0.0001220703125  # 2^-13
    cdef pair s = block.slope, anchor = block.anchor, change = block.change, before, x
    cdef pair[4] taylor
    cdef pair impulse0 = block.impulse[0], impulse1 = block.impulse[1]
    cdef pair low0 = block.impulse_low[0], low1 = block.impulse_low[1]
    cdef pair dv = block.dv, dv_low = block.dv_low, v = block.v + block.dv
    cdef pair output0 = block.output[0], output1 = block.output[1]
    cdef pair dz0 = block.dz[0], dz1 = block.dz[1]
    cdef pair s0, s1, top0, top1, rise0, rise1, gain0, gain1, gain, total
    cdef pair label0 = both(model.label[0]), label1 = both(model.label[1])
    cdef pair rate0 = both(model.rate) * label0, rate1 = both(model.rate) * label1
    cdef pair weight0 = label0 * block.v, weight1 = label1 * block.v
    cdef pair_mask active0 = active_neurons(block.pattern, 0), active1 = active_neurons(block.pattern, 1)
    cdef int step
    for step in range(4):
        taylor[step] = block.taylor[step]
    for step in range(n):
        s0 = firsts(s, s)
        s1 = seconds(s, s)
        if Output is TrainedOutput:
            gain0 = where(active0, v) * s0
            gain1 = where(active1, v) * s1
        else:
            gain0 = where(active0, s0)
            gain1 = where(active1, s1)
        total = impulse0 + gain0
        low0 += gain0 - (total - impulse0)
        impulse0 = total
        total = impulse1 + gain1
        low1 += gain1 - (total - impulse1)
        impulse1 = total
        if Output is TrainedOutput:
            gain = (rate0 * output0) * s0 + (rate1 * output1) * s1
            total = dv + gain
            dv_low += (dv - (total - gain)) + (gain - (total - (total - gain)))
            dv = total
            v = block.v + dv
        # The samples' pushes may nearly cancel: summed step by step, no digit of the difference is lost.
        dz0 += block.push[0][0] * gain0 + block.push[0][1] * gain1
        dz1 += block.push[1][0] * gain0 + block.push[1][1] * gain1
        active0 = above(dz0, block.kink[0])
        active1 = above(dz1, block.kink[1])
        patterns[step] = pattern_of(active0, active1)
        top0 = larger(dz0, block.kink[0])
        top1 = larger(dz1, block.kink[1])
        rise0 = top0 - block.base[0]
        rise1 = top1 - block.base[1]
        before = change
        if Output is TrainedOutput:
            output0 = top0 - block.kink[0]
            output1 = top1 - block.kink[1]
            change = sum_over_neurons(weight0 * rise0 + (label0 * dv) * output0,
                                      weight1 * rise1 + (label1 * dv) * output1)
        else:
            change = sum_over_neurons(weight0 * rise0, weight1 * rise1)
        x = anchor - change
        if not both_within(x, near):
            if both_within(before - change, near):
                anchor = before
                expand(model, s, taylor)
            else:
                anchor = change
                expand(model, loss_slopes(model, block.margin + change), taylor)
            x = anchor - change
        s = (taylor[0] + taylor[1] * x) + (x * x) * (taylor[2] + taylor[3] * x)
    block.slope = s
    block.pattern = pattern_of(active0, active1)
    block.dz[0] = dz0
    block.dz[1] = dz1
    block.impulse[0] = impulse0
    block.impulse[1] = impulse1
    block.impulse_low[0] = low0
    block.impulse_low[1] = low1
    block.dv = dv
    block.dv_low = dv_low
    block.output[0] = output0
    block.output[1] = output1
    block.change = change
    block.anchor = anchor
    for step in range(4):
        block.taylor[step] = taylor[step]


cdef void advance(const Model* model, Block* block, int n, uint8_t* patterns) noexcept nogil:
    """Move a Block n steps on; patterns[0..n) receives the pattern after each unless it is smooth."""
    if block.smooth:
        if model.logistic:
            smooth_steps(block, n, <Logistic>0)
        else:
            smooth_steps(block, n, <Exponential>0)
    elif model.trained:
        general_steps(model, block, n, patterns, <TrainedOutput>0)
    else:
        general_steps(model, block, n, patterns, <FixedOutput>0)


# --------------------------------------------------------------------------------------------------
# A run

cpdef enum:
    TRANSITIONS_KEPT = 10_000        # number recorded in full; all of them are counted

cpdef enum:
    RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED


cdef int steps_to_divergence(const Model* model, const State* start, int n) noexcept nogil:
    """Return the smallest number of steps in [1, n] after which the state does not fit; n is one."""
    cdef int good = 0, bad = n, middle
    cdef Block block
    cdef State state
    cdef uint8_t patterns[BLOCK_STEPS]
    while bad - good > 1:
        middle = (good + bad) // 2
        open_block(model, start, &block)
        advance(model, &block, middle, patterns)
        close_block(model, start, &block, &state)
        if fits(model, &state):
            good = middle
        else:
            bad = middle
    return bad


cdef class DirectRun:
    """One run, stepped directly: its state, its samples and its transitions.

    Parameters
    ----------
    x : ndarray, shape (2, d)
        The points.
    labels : ndarray of float64, shape (2,)
        y_i.
    rate : float
        h.
    bias, logistic, trained : bool
        Whether biases are trained, the loss, whether v is trained.
    w, b, v : ndarray, shapes (2, d), (2,), (2,)
        Parameters at step 0.
    schedule : ndarray of int64, shape (n,)
        Steps to record, increasing, the first 0, the last the horizon.

    Attributes
    ----------
    step : int
        Steps taken so far.
    status : int
        RUNNING, COMPLETED, STATIONARY, DIVERGED or INTERRUPTED.
    n_samples, n_transitions : int
        How many samples are recorded; how many transitions happened.
    sample_steps, sample_states, sample_patterns : ndarray
        Shapes (n_samples,), (n_samples, STATE_SIZE), (n_samples,).
    transition_steps, transition_before, transition_after : ndarray
        The first TRANSITIONS_KEPT transitions.
    transition_counts : ndarray of int64, shape (16, 16)
        How often each pattern (row) was followed by each other pattern (column).
    """

    cdef Model model
    cdef State state                 # at the start of the present block
    cdef readonly int64_t step
    cdef readonly int status
    cdef readonly int64_t n_samples
    cdef readonly int64_t n_transitions
    cdef int last_pattern            # −1 before the first
    cdef const int64_t[::1] schedule
    cdef int64_t[::1] _steps
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef int64_t[::1] _transition_steps
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double rate, bint bias,
                  bint logistic, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule):
        cdef int i, j
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and x.shape[1] == w.shape[1]):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (2, d), (2,), (2,)")
        steps = np.asarray(schedule)
        if len(steps) == 0 or steps[0] != 0 or np.any(np.diff(steps) <= 0):
            raise ValueError("schedule: expected increasing steps, the first of them 0")
        set_model(&self.model, x, bias, w, b)
        self.model.rate = rate
        self.model.logistic = logistic
        self.model.trained = trained
        for j in range(2):
            self.model.label[j] = labels[j]
            self.state.v[j] = v[j]
            self.state.v_low[j] = 0.0
            for i in range(2):
                self.state.c[j][i] = self.state.c_low[j][i] = 0.0
        self.schedule = schedule
        self.step = self.n_samples = self.n_transitions = 0
        self.status = RUNNING
        self.last_pattern = -1
        # One place more than scheduled: an early end is recorded too.
        self._steps = np.empty(len(schedule) + 1, dtype=np.int64)
        self._states = np.empty((len(schedule) + 1, STATE_SIZE))
        self._patterns = np.empty(len(schedule) + 1, dtype=np.uint8)
        self._transition_steps = np.empty(TRANSITIONS_KEPT, dtype=np.int64)
        self._transition_patterns = np.empty((TRANSITIONS_KEPT, 2), dtype=np.uint8)
        self._counts = np.zeros((16, 16), dtype=np.int64)

    @property
    def sample_steps(self):
        return np.asarray(self._steps)[:self.n_samples].copy()

    @property
    def sample_states(self):
        return np.asarray(self._states)[:self.n_samples].copy()

    @property
    def sample_patterns(self):
        return np.asarray(self._patterns)[:self.n_samples].copy()

    @property
    def transition_steps(self):
        return np.asarray(self._transition_steps)[:self.n_transitions].copy()

    @property
    def transition_before(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 0].copy()

    @property
    def transition_after(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 1].copy()

    @property
    def transition_counts(self):
        return np.asarray(self._counts).copy()

    def advance(self, int64_t steps):
        """Take at least `steps` more steps, to the end of a block, unless the run ends before."""
        cdef int64_t horizon = self.schedule[self.schedule.shape[0] - 1]
        cdef int64_t pause = horizon if steps > horizon - self.step else self.step + steps
        with nogil:
            while self.status == RUNNING and (self.step < pause or self.step == horizon):
                self.run_block(horizon)

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        cdef Block block
        if self.status != RUNNING:
            raise ValueError("the run has ended already")
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, self.step)
        self.sample(0, True)
        self.status = INTERRUPTED

    cdef void run_block(self, int64_t horizon) noexcept nogil:
        """Take the block that starts at `step`, up to the horizon or an earlier end."""
        cdef Block block
        cdef State after
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int last = BLOCK_STEPS
        cdef int status = RUNNING
        if horizon - self.step < BLOCK_STEPS:
            last = <int>(horizon - self.step)
            status = COMPLETED
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, self.step)
        if block.pattern == 0:
            last = 0
            status = STATIONARY
        else:
            advance(&self.model, &block, last, patterns)
            close_block(&self.model, &self.state, &block, &after)
            if not fits(&self.model, &after):
                # The last sample is the last state that fits, one step before the one named.
                last = steps_to_divergence(&self.model, &self.state, last) - 1
                status = DIVERGED
            if not block.smooth:
                last = self.scan(patterns, last, &status)
        self.sample(last, status != RUNNING)
        if status == RUNNING:
            self.state = after
        self.status = status
        self.step += last

    cdef int scan(self, const uint8_t* patterns, int last, int* status) noexcept nogil:
        """Note the transitions up to step `last` of the block; return the step at which all units died."""
        cdef int n
        # The pattern after BLOCK_STEPS steps is the next block's to tell.
        for n in range(1, min(last, BLOCK_STEPS - 1) + 1):
            if patterns[n - 1] == self.last_pattern:
                continue
            self.note(patterns[n - 1], self.step + n)
            if patterns[n - 1] == 0:
                status[0] = STATIONARY
                return n
        return last

    cdef void note(self, int pattern, int64_t step) noexcept nogil:
        """Take notice of the pattern at `step`; a change is a transition."""
        if self.last_pattern >= 0 and pattern != self.last_pattern:
            if self.n_transitions < TRANSITIONS_KEPT:
                self._transition_steps[self.n_transitions] = step
                self._transition_patterns[self.n_transitions, 0] = self.last_pattern
                self._transition_patterns[self.n_transitions, 1] = pattern
            self._counts[self.last_pattern, pattern] += 1
            self.n_transitions += 1
        self.last_pattern = pattern

    cdef void sample(self, int last, bint ended) noexcept nogil:
        """Record the scheduled steps of the present block before `last`, and `last` if the run ended."""
        cdef Block block
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int taken = 0, target
        cdef int64_t end = self.step + last
        cdef int64_t scheduled = self.next_scheduled()
        if not (scheduled < end or ended):
            return
        open_block(&self.model, &self.state, &block)
        while scheduled < end or ended:
            target = <int>(min(scheduled, end) - self.step)
            advance(&self.model, &block, target - taken, patterns)
            taken = target
            close_block(&self.model, &self.state, &block, <State*>&self._states[self.n_samples, 0])
            self._steps[self.n_samples] = self.step + taken
            self._patterns[self.n_samples] = block.pattern
            self.n_samples += 1
            if taken == last:
                return
            scheduled = self.next_scheduled()

    cdef int64_t next_scheduled(self) noexcept nogil:
        if self.n_samples < self.schedule.shape[0]:
            return self.schedule[self.n_samples]
        return INT64_MAX


# --------------------------------------------------------------------------------------------------
# Between parameters and reduced coordinates, with twice the working precision

def preactivations(const double[:, :, ::1] w, const double[:, ::1] b, const double[:, ::1] x):
    """Return z[r, j, i] = w_j·x_i + b_j of run r, shape (runs, 2, 2)."""
    cdef Py_ssize_t r
    cdef int i, j
    if not (w.shape[1] == b.shape[1] == x.shape[0] == 2 and w.shape[0] == b.shape[0]
            and w.shape[2] == x.shape[1]):
        raise ValueError("w, b, x: expected shapes (runs, 2, d), (runs, 2), (2, d)")
    result = np.empty((w.shape[0], 2, 2))
    cdef double[:, :, ::1] out = result
    with nogil:
        for r in range(w.shape[0]):
            for j in range(2):
                for i in range(2):
                    out[r, j, i] = lifted_dot(&w[r, j, 0], b[r, j], &x[i, 0], x.shape[1]).high
    return result


cdef int check_states(const double[:, ::1] x, const double[:, ::1] w, const double[::1] b,
                      const double[:, ::1] states) except -1:
    if not (x.shape[0] == w.shape[0] == b.shape[0] == 2 and x.shape[1] == w.shape[1]
            and states.shape[1] == STATE_SIZE):
        raise ValueError("x, w, b, states: expected shapes (2, d), (2, d), (2,), (n, 12)")
    return 0


def state_preactivations(const double[:, ::1] x, bint bias, const double[:, ::1] w,
                         const double[::1] b, const double[:, ::1] states):
    """Return z[n, j, i] of recorded states, shape (n, 2, 2); w and b are those of step 0."""
    cdef Py_ssize_t n
    cdef int i, j
    cdef Model model
    check_states(x, w, b, states)
    result = np.empty((states.shape[0], 2, 2))
    cdef double[:, :, ::1] out = result
    with nogil:
        set_model(&model, x, bias, w, b)
        for n in range(states.shape[0]):
            for j in range(2):
                for i in range(2):
                    out[n, j, i] = preactivation(&model, <const State*>&states[n, 0], j, i)
    return result


def state_weights(const double[:, ::1] x, bint bias, const double[:, ::1] w, const double[::1] b,
                  const double[:, ::1] states):
    """Return w_j + Σ_k C_jk x_k, shape (n, 2, d), and b_j + Σ_k C_jk, shape (n, 2), of recorded states."""
    cdef Py_ssize_t n, a
    cdef int j
    check_states(x, w, b, states)
    weights = np.empty((states.shape[0], 2, w.shape[1]))
    biases = np.empty((states.shape[0], 2))
    cdef double[:, :, ::1] w_out = weights
    cdef double[:, ::1] b_out = biases
    cdef const State* state
    with nogil:
        for n in range(states.shape[0]):
            state = <const State*>&states[n, 0]
            for j in range(2):
                for a in range(w.shape[1]):
                    w_out[n, j, a] = parameter(w[j, a], state, j, x[0, a], x[1, a])
                b_out[n, j] = parameter(b[j], state, j, 1.0, 1.0) if bias else b[j]
    return weights, biases


cdef double parameter(double start, const State* state, int j, double x0, double x1) noexcept nogil:
    cdef Sum r
    r.high = start
    r.low = state.c_low[j][0] * x0 + state.c_low[j][1] * x1
    r = plus_product(plus_product(r, state.c[j][0], x0), state.c[j][1], x1)
    return finite_or(r, start + (state.c[j][0] * x0 + state.c[j][1] * x1)).high


def exp(const double[::1] x):
    """Return the kernel's own exponential of each number, shape (n,)."""
    cdef Py_ssize_t n
    result = np.empty(x.shape[0])
    cdef double[::1] out = result
    for n in range(x.shape[0]):
        out[n] = exp_(x[n])
    return result


# --------------------------------------------------------------------------------------------------
# The build

COMPILER = TWONN_COMPILER.decode()
FLAGS = TWONN_FLAGS.decode()
ISA = TWONN_ISA.decode()


def arithmetic_faults():
    """Return what is wrong with the floating-point arithmetic of this thread, a list of phrases."""
    cdef int faults = twonn_arithmetic_faults()
    phrases = {
        TWONN_CONTRACTED: "a*b + c is contracted",
        TWONN_NOT_NEAREST: "rounding is not to nearest",
        TWONN_FLUSHED: "subnormal numbers are flushed to zero",
        TWONN_EXCESS_PRECISION: "intermediate results are wider than binary64",
    }
    return [phrase for bit, phrase in phrases.items() if faults & bit]
