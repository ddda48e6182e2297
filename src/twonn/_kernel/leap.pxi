"""The leap: many steps under a constant activation pattern, solved at once; here what it is, and its start.

With σ = step + constant and τ = ln σ the unknowns are P_k = σ g_k, g_k = h s_k, as functions of τ: nearly
constant once the transient is over. What a run accumulates are sums Σ g_k f over steps, which the
Euler–Maclaurin formula turns into an integral over τ and derivatives with powers of ε = 1/σ:

    Σ f P/σ = ∫ F dτ − ε F/2 + ε²/12 (∂ − 1)F − ε⁴/720 (∂ − 1)(∂ − 2)(∂ − 3)F,  F = f P, ∂ = d/dτ,

less its value at the start. F is a polynomial given at Chebyshev points, so a sum is a matrix. Only ln σ
and ε appear, so no number of steps overflows. The margins m_k that the sums lead to must give back P_k;
q_k = ln σ + ln h − m_k is found by Newton's method (newton.pxi), where neurons slide or pushes balance with the
means of averaging.pxi and the unknowns of balance.pxi. The derivation is in docs/numerics.md.
"""

cpdef enum:                    # why a leap was not possible
    NONE
    LARGE_STEPS                # a step changes a margin by more than 1/256
    NEAR_KINK                  # a unit may change its activity within FEWEST_STEPS
    UNRESOLVED                 # no leap of FEWEST_STEPS or more met the accuracy

cdef enum:
    LAST_LOG = 2_400_000       # beyond ln of the longest horizon
    FEWEST_STEPS = 384         # what costs as much as a leap
    SUMS = 8


cdef struct Leap:
    const Model* model
    int pattern
    int sliding                # pairs of neuron and point that slide, coded like a pattern; inactive in `pattern`
    bint coupled               # a neuron is active on both points
    bint frozen                # nothing moves before LAST_LOG
    bint affine                # every sum grows linearly in τ: the closed form
    bint balanced              # see balance.pxi: the pushes are those of x̃_0 by b and of x̂_1 by g_1
    bint settled               # y is y* to rounding
    bint converged             # and nothing moves any more
    Sum ratio                  # ρ
    double imbalance           # y at the start
    double relaxation          # λ; where the rest of the way is linear, −ln(1 − λ)
    double longest             # steps until y is y* to rounding
    double remainder           # what b still sums up to, where the pushes of x̂_1 are 0
    bint[2] seen               # point i moves a neuron
    double[2][2][2] gram       # G_ik as neuron j feels it, one that slides along its kink less
    double[2][2][2] gram_low
    double[2][2] z             # at the start
    double[2] v
    double[2] margin
    double[2] margin_low       # what rounding left of it
    double[2] extent           # the larger of |v_j| and z_jk/√G_kk on the points that neuron j sees
    double[2][2] coupling      # K_ik = dm_i/dA_k, A_k the accumulated g_k
    double log_scale           # ln σ
    double inverse             # ε = 1/σ
    double max_relative_step   # the most that P, or a neuron's parameters, may change by in a step, relatively
    double[2] scaled_push      # P_k
    double push_error          # and its relative error
    double[2] share            # 1 − ω_k, ω_k = −d ln s_k/dm_k: s_k for the logistic loss, 0 for the exponential one
    double[2] rest             # ω_k
    Sum[2] mass_growth         # affine: dA_k/dτ
    double log_length          # L = τ at the end − τ at the start
    # at the nodes
    nodes epsilon              # ε
    nodes decay                # ε / ε at the start
    nodes[POINTS] matrix       # F -> its sum over the steps
    nodes[2] q                 # L x − (m_k − m_k(0)): ln P_k less its value at the start, for the exponential loss
    nodes imbalances           # y
    nodes[2] p                 # P_k
    nodes[2] log_push_slope    # ω_k = −d ln P_k/dm_k
    nodes[2] vs                # v_j
    nodes[2][2] zs             # z_ji
    nodes[2] mean              # of the z_ji that slides
    nodes[2] mean_relu         # mean of max(0, z_ji) there
    double[2] mean_at_start
    double[2] mean_relu_at_start
    double[2] lasting_push     # h s(0) of a point at whose kink neurons slide while none serves it; else 0
    double slack               # how far rounding may put θ off
    double entry_error         # what beginning to average adds to the error of the parameters
    nodes[SUMS] sum            # fixed output: A_k; trained: Σ g_k v_j at 2j + k, Σ g_k z_jk at 4 + 2j + k
    int iterations             # taken in all
    int searches               # evaluations in search of a crossing
    double reached             # τ passed when the leap ends
    double landing             # and where the run goes on: the same, or a little later, behind a kink
    bint before_kink           # it ends where steps are about to take a unit across its kink
    int onto                   # the guard that it ends on, of a kink that attracts; −1 for none
    double doubt               # bound on the relative error of the sums


# --------------------------------------------------------------------------------------------------
# The start of a leap

cdef void unfold(const Model* model, const State* state, Leap* leap) noexcept nogil:
    """Fill in what is known of a State at the start of a leap."""
    cdef int i, j, k
    leap.model = model
    leap.pattern = leap.sliding = 0
    leap.frozen = leap.affine = leap.balanced = leap.converged = False
    leap.iterations = leap.searches = 0
    leap.before_kink = False
    leap.onto = -1
    leap.push_error = 1e-15
    leap.lasting_push[0] = leap.lasting_push[1] = 0.0
    for j in range(2):
        leap.v[j] = state.v[j]
        for i in range(2):
            leap.z[j][i] = preactivation(model, state, j, i)
            if leap.z[j][i] > 0.0:
                leap.pattern |= 1 << (2 * j + i)
            for k in range(2):
                leap.gram[j][i][k] = model.gram[i][k]
                leap.gram_low[j][i][k] = model.gram_low[i][k]
    for i in range(2):
        set_margin(leap, i)


cdef void set_margin(Leap* leap, int i) noexcept nogil:
    """m_i at the start, to twice the working precision."""
    cdef Sum m = exactly(0.0)
    cdef int j
    for j in range(2):
        if is_active(leap.pattern, j, i):
            m = plus_product(m, leap.v[j], leap.z[j][i])
        elif is_active(leap.sliding, j, i):
            m = plus_product(m, leap.v[j], leap.mean_relu_at_start[j])
    m = two_sum(m.high, m.low)
    leap.margin[i] = leap.model.label[i] * m.high
    leap.margin_low[i] = leap.model.label[i] * m.low


cdef void couple(Leap* leap) noexcept nogil:
    """Fill in which points move neurons, and how much the margins then move."""
    cdef int i, j, k
    leap.coupled = False
    for j in range(2):
        leap.extent[j] = abs(leap.v[j])
        for i in range(2):
            if is_active(leap.pattern, j, i) and leap.model.gram[i][i] > 0.0:
                leap.extent[j] = max(leap.extent[j], leap.z[j][i] / sqrt(leap.model.gram[i][i]))
        leap.coupled |= is_active(leap.pattern, j, 0) and is_active(leap.pattern, j, 1)
    for i in range(2):
        leap.seen[i] = False
        for j in range(2):
            if is_active(leap.pattern, j, i):
                leap.seen[i] |= leap.model.trained or leap.v[j] != 0.0
        for k in range(2):
            leap.coupling[i][k] = coupling_of(leap, i, k)


cdef double coupling_of(const Leap* leap, int i, int k) noexcept nogil:
    """K_ik at the start of the leap."""
    cdef double sum = 0.0
    cdef int j
    for j in range(2):
        if is_active(leap.pattern, j, i) and is_active(leap.pattern, j, k):
            sum += leap.v[j] * leap.v[j] * leap.gram[j][i][k]
            if leap.model.trained:
                sum += leap.z[j][i] * leap.z[j][k]
    return leap.model.label[i] * leap.model.label[k] * sum


cdef int set_scale(Leap* leap, double log_step) noexcept nogil:
    """Choose σ, and tell whether the steps are small enough for a leap.

    σ = 1/|dm_i/dstep| for the fastest margin, so that P_k starts near its late value whenever that is;
    `log_step`, once steps are counted by their logarithm only, takes its place where it is as good. With
    trained output a neuron of a small margin may itself be faster: it grows at a rate up to Σ_k g_k √G_kk.
    Small is: Σ_k |K_ik| g_k and that rate <= 1/256. Then P_k changes by less than 1/256 of itself in a step,
    and the first term that the Euler–Maclaurin formula omits is below 120/30240 256^-6 < 2^-55 of the sum.
    """
    cdef double[2] log_push
    cdef double top = -INFINITY, largest = 0.0, fastest = 0.0, sum, size
    cdef int i, j, k
    for k in range(2):
        log_push[k] = leap.model.log_point_step + log_slope(leap.model, leap.margin[k])
        if leap.seen[k] and log_push[k] > top:
            top = log_push[k]
    for i in range(2):
        sum = size = 0.0
        for k in range(2):
            # How fast a margin grows is of no consequence where its point no longer pushes.
            if leap.seen[i] and leap.seen[k] and (log_push[i] > top - 64.0 or leap.coupling[i][k] < 0.0):
                sum += leap.coupling[i][k] * exp_(log_push[k] - top)
                size += abs(leap.coupling[i][k]) * exp_(log_push[k] - top)
        fastest = max(fastest, abs(sum))
        largest = max(largest, size)
    if leap.model.trained:
        for j in range(2):
            sum = 0.0
            for k in range(2):
                if is_active(leap.pattern, j, k):
                    sum += sqrt(leap.model.gram[k][k]) * exp_(log_push[k] - top)
            fastest = max(fastest, sum)
            largest = max(largest, sum)
    leap.frozen = largest == 0.0
    leap.scaled_push[0] = leap.scaled_push[1] = 0.0
    # Also where the first move would come beyond all horizons.
    leap.frozen |= top + log_(largest) < -LAST_LOG
    if leap.frozen:
        leap.log_scale = max(log_step, 1.0)
        leap.inverse = 0.0
        return NONE
    if not top + log_(largest) <= -5.545177444479562:  # −ln 256, and not NaN
        return LARGE_STEPS
    leap.max_relative_step = exp_(top) * largest
    # Margins that nearly balance move slowly only for as long as they do.
    leap.log_scale = -(top + log_(max(fastest, 1e-6 * largest)))
    if -4.0 < log_step - leap.log_scale < 1.0:
        leap.log_scale = log_step
    leap.inverse = exp_(-leap.log_scale)
    for k in range(2):
        leap.share[k] = share_at(leap.model, leap.margin[k])
        leap.rest[k] = rest_at(leap.model, leap.margin[k])
        if leap.seen[k]:
            set_scaled_push(leap, k)
    return NONE


cdef void set_scaled_push(Leap* leap, int k) noexcept nogil:
    """P_k at the start."""
    if leap.log_scale < 700.0 and abs(leap.margin[k]) < 700.0:
        leap.scaled_push[k] = (exp_(leap.log_scale) * loss_slope(leap.model, leap.margin[k]) * leap.model.point_step
            * (1.0 - leap.rest[k] * leap.margin_low[k]))
    else:  # from logarithms, of which rounding takes more
        leap.scaled_push[k] = exp_(leap.log_scale + leap.model.log_point_step + log_slope(leap.model, leap.margin[k]))
        leap.push_error = 2.4e-16 * (abs(leap.log_scale) + abs(leap.model.log_point_step))


cdef double push_at_start(const Leap* leap, int i) noexcept nogil:
    """P_i, also where no neuron is active on point i."""
    return exp_(leap.log_scale + leap.model.log_point_step + log_slope(leap.model, leap.margin[i]))


# --------------------------------------------------------------------------------------------------
# From the unknowns to sums

cdef inline void pushes_of(const Leap* leap, int k, const nodes* q, const nodes* decay, nodes* p,
                           nodes* omega) noexcept nogil:
    """P and ω from q."""
    pushes(leap.model, leap.scaled_push[k], leap.share[k], leap.rest[k], q, decay, p, omega)


cdef void add_up(const Leap* leap, int k, double start, const nodes* factor, nodes* sum) noexcept nogil:
    """Σ g_k times a factor."""
    cdef nodes f
    cdef int r
    for r in range(NODES):
        f.at[r] = leap.p[k].at[r] * factor.at[r]
    apply(leap.matrix, leap.scaled_push[k] * start, &f, sum)


cdef void sum_active(const Leap* leap, int j, int k, double start, const nodes* factor,
                     nodes* sum) noexcept nogil:
    """Σ g_k a_jk times a factor."""
    cdef int r
    if is_active(leap.pattern, j, k):
        add_up(leap, k, start, factor, sum)
    else:
        for r in range(NODES):
            sum.at[r] = 0.0
