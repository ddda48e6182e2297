"""The leap: many steps under a constant activation pattern, solved at once.

With σ = step + constant and τ = ln σ the unknowns are P_k = σ g_k, g_k = h s_k, as functions of τ: nearly
constant once the transient is over. What a run accumulates are sums Σ g_k f over steps, which the
Euler–Maclaurin formula turns into an integral over τ and derivatives with powers of ε = 1/σ:

    Σ f P/σ = ∫ F dτ − ε F/2 + ε²/12 (∂ − 1)F − ε⁴/720 (∂ − 1)(∂ − 2)(∂ − 3)F,  F = f P, ∂ = d/dτ,

less its value at the start. F is a polynomial given at Chebyshev points, so a sum is a matrix. Only ln σ
and ε appear, so no number of steps overflows. The margins m_k that the sums lead to must give back P_k;
q_k = ln σ + ln h − m_k is found by Newton's method. The derivation is in docs/numerics.md.
"""

cpdef enum:                    # why a leap was not possible
    NONE
    LARGE_STEPS                # a step changes a margin by more than 1/256
    NEAR_KINK                  # a unit may change its activity within FEWEST_STEPS
    UNRESOLVED                 # no leap of FEWEST_STEPS or more met the accuracy

cdef enum:
    LAST_LOG = 2_400_000       # beyond ln of the longest horizon
    FEWEST_STEPS = 384         # what costs as much as a leap
    MOST_ITERATIONS = 16
    SUMS = 8
    GUARDS = 6

cdef struct Leap:
    const Model* model
    int pattern
    int sliding                # pairs of neuron and sample that slide, coded like a pattern; inactive in `pattern`
    bint coupled               # a neuron is active on both samples
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
    bint[2] seen               # sample i moves a neuron
    double[2][2][2] gram       # G_ik as neuron j feels it, one that slides along its kink less
    double[2][2][2] gram_low
    double[2][2] z             # at the start
    double[2] v
    double[2] margin
    double[2] margin_low       # what rounding left of it
    double[2] extent           # the larger of |v_j| and z_jk/√G_kk on the samples that neuron j sees
    double[2][2] coupling      # K_ik = dm_i/dA_k, A_k the accumulated g_k
    double log_scale           # ln σ
    double inverse             # ε = 1/σ
    double hurry               # the most that P, or a neuron's parameters, may change by in a step, relatively
    double[2] weight           # P_k
    double blur                # and its relative error
    double[2] share            # s_k, logistic loss; 0 for the exponential one
    double[2] rest             # 1 − share
    Sum[2] slope               # affine: dA_k/dτ
    double length              # L = τ at the end − τ at the start
    # at the nodes
    nodes epsilon              # ε
    nodes decay                # ε / ε at the start
    nodes[POINTS] matrix       # F -> its sum over the steps
    nodes[2] q                 # L x − (m_k − m_k(0)): ln P_k less its value at the start, for the exponential loss
    nodes imbalances           # y
    nodes[2] p                 # P_k
    nodes[2] bend              # −d ln P_k/dm_k: 1 for the exponential loss, 1 − s_k for the logistic
    nodes[2] vs                # v_j
    nodes[2][2] zs             # z_ji
    nodes[2] mean              # of the z_ji that slides
    nodes[2] lift              # mean of max(0, z_ji) there
    double[2] mean_at_start
    double[2] lift_at_start
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
            m = plus_product(m, leap.v[j], leap.lift_at_start[j])
    m = two_sum(m.high, m.low)
    leap.margin[i] = leap.model.label[i] * m.high
    leap.margin_low[i] = leap.model.label[i] * m.low


cdef void couple(Leap* leap) noexcept nogil:
    """Fill in which samples move neurons, and how much the margins then move."""
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


cdef double log_slope(const Model* model, double margin) noexcept nogil:
    """ln s, s = −ℓ'(m)."""
    if not model.logistic:
        return -margin
    if margin < 0.0:
        return -log1p_(exp_(margin))
    return -margin - log1p_(exp_(-margin))


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
    leap.blur = 1e-15
    if leap.balanced:
        return set_balance_scale(leap, log_step)
    for k in range(2):
        log_push[k] = leap.model.log_rate + log_slope(leap.model, leap.margin[k])
        if leap.seen[k] and log_push[k] > top:
            top = log_push[k]
    for i in range(2):
        sum = size = 0.0
        for k in range(2):
            # How fast a margin grows is of no consequence where its sample no longer pushes.
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
    leap.weight[0] = leap.weight[1] = 0.0
    # Also where the first move would come beyond all horizons.
    leap.frozen |= top + log_(largest) < -LAST_LOG
    if leap.frozen:
        leap.log_scale = max(log_step, 1.0)
        leap.inverse = 0.0
        return NONE
    if not top + log_(largest) <= -5.545177444479562:  # −ln 256, and not NaN
        return LARGE_STEPS
    leap.hurry = exp_(top) * largest
    # Margins that nearly balance move slowly only for as long as they do.
    leap.log_scale = -(top + log_(max(fastest, 1e-6 * largest)))
    if -4.0 < log_step - leap.log_scale < 1.0:
        leap.log_scale = log_step
    leap.inverse = exp_(-leap.log_scale)
    for k in range(2):
        leap.share[k] = loss_slope(leap.model, leap.margin[k]) if leap.model.logistic else 0.0
        leap.rest[k] = loss_slope(leap.model, -leap.margin[k]) if leap.model.logistic else 1.0
        if leap.seen[k]:
            set_weight(leap, k)
    return NONE


cdef void set_weight(Leap* leap, int k) noexcept nogil:
    """P_k at the start."""
    if leap.log_scale < 700.0 and abs(leap.margin[k]) < 700.0:
        leap.weight[k] = (exp_(leap.log_scale) * loss_slope(leap.model, leap.margin[k]) * leap.model.rate
            * (1.0 - leap.rest[k] * leap.margin_low[k]))
    else:  # from logarithms, of which rounding takes more
        leap.weight[k] = exp_(leap.log_scale + leap.model.log_rate + log_slope(leap.model, leap.margin[k]))
        leap.blur = 2.4e-16 * (abs(leap.log_scale) + abs(leap.model.log_rate))


cdef inline int neuron_of(int guard) noexcept nogil:
    return guard - 4 if guard >= 4 else guard >> 1


cdef inline double push_on(const Leap* leap, int guard, int k, double p, double v, double z) noexcept nogil:
    """What sample k, seen by the guard's neuron j, adds to the speed of the guard, where P_k = p, v_j = v, z_jk = z."""
    return leap.model.label[k] * p * (z if guard >= 4 else v * gram_of_guard(leap, guard, k))


cdef inline double gram_of_guard(const Leap* leap, int guard, int k) noexcept nogil:
    """What push k moves z_ji by, per unit of v_j."""
    if leap.balanced and guard & 1 and k == 0:
        return leap.model.gram[0][1]
    return leap.gram[neuron_of(guard)][guard & 1][k]


cdef double kink_speed(const Leap* leap, int guard) noexcept nogil:
    """A bound on how fast a guard moves in the first FEWEST_STEPS, in τ.

    The pushes of the samples may balance; they do for as long as no push changes by much.
    """
    cdef double[2] push
    cdef double size
    cdef int j = neuron_of(guard), k
    for k in range(2):
        push[k] = 0.0
        if is_active(leap.pattern, j, k):
            push[k] = push_on(leap, guard, k, leap.weight[k], leap.v[j], leap.z[j][k])
    size = abs(push[0]) + abs(push[1])
    return min(size, abs(push[0] + push[1]) + 4.0 * FEWEST_STEPS * leap.hurry * size)


cdef bint attracts(const Leap* leap, int guard) noexcept nogil:
    """Whether a unit is turned back behind its kink: switched, it moves the other way.

    Where the points are opposed both units of a neuron switch at once, and either point pushes alike.
    """
    cdef int j = neuron_of(guard), i = guard & 1, k = 1 - i
    cdef double own, other = 0.0
    if guard >= 4 or leap.balanced:
        return False
    if leap.model.opposed:
        return leap.model.label[0] == leap.model.label[1] and leap.model.label[0] * leap.v[j] < 0.0
    own = leap.model.label[i] * leap.v[j] * leap.model.gram[i][i] * push_at_start(leap, i)
    if is_active(leap.pattern, j, k):
        other = leap.model.label[k] * leap.v[j] * gram_of_guard(leap, guard, k) * push_at_start(leap, k)
    if is_active(leap.pattern, j, i):
        return own + other < 0.0 < other
    return other > 0.0 > own + other


cdef double push_at_start(const Leap* leap, int i) noexcept nogil:
    """P_i, also where no neuron is active on point i."""
    return exp_(leap.log_scale + leap.model.log_rate + log_slope(leap.model, leap.margin[i]))


cdef double kink_step(const Leap* leap, int guard) noexcept nogil:
    """What a guard moves by in the step at the end of the leap."""
    cdef double size
    return speed_at(leap, guard, leap.landing, &size) * leap.inverse * exp_(-leap.landing)


cdef bint clear_of_kinks(const Leap* leap) noexcept nogil:
    """Whether every guard that moves is farther from 0 than it gets in FEWEST_STEPS."""
    cdef double speed
    cdef int guard
    for guard in range(GUARDS if leap.model.trained else 4):
        speed = kink_speed(leap, guard)
        if speed != 0.0 and not abs(guard_at_start(leap, guard)) > FEWEST_STEPS * leap.inverse * speed:
            return False
    return True


# --------------------------------------------------------------------------------------------------
# The solution

cdef bint solve(Leap* leap, int index, double length) noexcept nogil:
    """Solve the recurrence over τ ... τ + `length`; `index` is the entry of LENGTH next to it.

    False if the iteration does not converge or its solution is not resolved by NODES points.
    """
    cdef double change, before = INFINITY, tolerance
    cdef int iteration, k
    cdef double[4 * NODES * NODES] jacobian
    cdef int[2 * NODES] order
    leap.length = length
    set_matrix(leap)
    guess(leap)
    for iteration in range(MOST_ITERATIONS):
        leap.iterations += 1
        if leap.balanced:
            push_in_balance(leap)
        for k in range(2):
            if leap.seen[k] and not leap.balanced:
                weights_of(leap, k, &leap.q[k], &leap.decay, &leap.p[k], &leap.bend[k])
        # A converged iteration ends with sums of the very P that gave them.
        change = correct(leap, index, before, jacobian, order)
        tolerance = 4e-16 * (4.0 + length) + rounding_of_margins(leap)
        if not (change < 30.0 or change < before):  # NaN too
            return False
        if change <= tolerance or (change <= 16.0 * tolerance and change >= 0.5 * before):
            return is_resolved(leap, tolerance + leap.blur)
        before = change
    return False


cdef void set_matrix(Leap* leap) noexcept nogil:
    """The Euler–Maclaurin formula as a matrix; terms too small to matter are left out."""
    cdef double L = leap.length, e0 = leap.inverse, scale = 1.0 / leap.length, square, fourth
    cdef double hurry = max(leap.hurry, e0)
    cdef nodes x, decay, e, e2, e4
    cdef nodes* column
    cdef int c, r
    for r in range(NODES):
        x.at[r] = -L * POINT[r + 1]
    exp_nodes(&x, &decay)
    for r in range(NODES):
        e.at[r] = e0 * decay.at[r]
        e2.at[r] = e.at[r] * e.at[r] * (1 / 12.0)
        e4.at[r] = e.at[r] * e.at[r] * e.at[r] * e.at[r] * (1 / 720.0)
    leap.epsilon = e
    leap.decay = decay
    for c in range(POINTS):
        column = &leap.matrix[c]
        for r in range(NODES):
            column.at[r] = L * INTEGRAL[c].at[r]
    # Relative to the sum the terms are below ε/2, ε r/12 and ε r³/720, r being the change of P in a step.
    if e0 * hurry > 6e-16:
        add_derivatives(leap, 1, &e2, e0 * e0 / 12.0, scale, 0.0, 0.0)
    if e0 * hurry * hurry * hurry > 4e-14:
        add_derivatives(leap, 3, &e4, e0 * e0 * e0 * e0 / 720.0, -11.0 * scale, 6.0 * scale * scale,
                        -scale * scale * scale)
    if e0 > 1e-16:
        square = e0 * e0 / 12.0
        fourth = e0 * e0 * e0 * e0 / 120.0
        for r in range(NODES):
            leap.matrix[r + 1].at[r] += (6.0 * e4.at[r] - e2.at[r]) - 0.5 * e.at[r]
            leap.matrix[0].at[r] -= (fourth - square) - 0.5 * e0


cdef void add_derivatives(Leap* leap, int orders, const nodes* factor, double factor_at_0, double first,
                          double second, double third) noexcept nogil:
    """Add factor (first d/dx + second d²/dx² + third d³/dx³) less its value at the start."""
    cdef double at_0
    cdef int c, r
    for c in range(POINTS):
        at_0 = first * DERIVATIVE_AT_0[0][c]
        if orders == 3:
            at_0 += second * DERIVATIVE_AT_0[1][c] + third * DERIVATIVE_AT_0[2][c]
            for r in range(NODES):
                leap.matrix[c].at[r] += factor.at[r] * (first * DERIVATIVE[0][c].at[r]
                    + second * DERIVATIVE[1][c].at[r] + third * DERIVATIVE[2][c].at[r])
        else:
            for r in range(NODES):
                leap.matrix[c].at[r] += factor.at[r] * first * DERIVATIVE[0][c].at[r]
        at_0 *= factor_at_0
        for r in range(NODES):
            leap.matrix[c].at[r] -= at_0


cdef inline double rough_log(double x) noexcept nogil:
    """ln x to 1e-4 for x from 1/2 to 2: enough for a guess, and without a branch."""
    cdef double s = (x - 1.0) / (x + 1.0), z = s * s
    return 2.0 * s * (1.0 + z * (1 / 3.0 + z * (1 / 5.0 + z * (1 / 7.0 + z * (1 / 9.0)))))


cdef void guess(Leap* leap) noexcept nogil:
    """Where a = dm_i/dτ at the start, the flow with constant K has m_i = m_i(0) + ln(1 + a (σ/σ₀ − 1))."""
    cdef double a, grown
    cdef int i, j, k, r
    for i in range(2):
        a = 0.0
        for k in range(2):
            if leap.seen[i] and leap.seen[k]:
                a += leap.coupling[i][k] * leap.weight[k]
        for r in range(NODES):
            # 1 + a (σ/σ₀ − 1) = grown σ/σ₀
            grown = a + (1.0 - a) * leap.decay.at[r]
            leap.q[i].at[r] = -rough_log(max(grown, 0.02))
            leap.p[i].at[r] = 0.0
            leap.bend[i].at[r] = 1.0
    for j in range(2):
        for r in range(NODES):
            leap.vs[j].at[r] = leap.v[j]
            leap.zs[j][0].at[r] = leap.z[j][0]
            leap.zs[j][1].at[r] = leap.z[j][1]
    if leap.balanced:
        guess_balance(leap)
    elif leap.model.trained and not leap.coupled:
        for i in range(2):
            if leap.seen[i] and leap.margin[i] > 0.0:
                guess_growth(leap, i)


cdef void guess_growth(Leap* leap, int i) noexcept nogil:
    """Let K grow with the margin.

    The flow keeps D = z²/G − v² of every neuron, which with v z gives both; v z is taken to grow like the
    margin, and the margin, ln ∫ K h dσ, by what ln K does.
    """
    cdef double growth, product, imbalance, root, square, k
    cdef int j, r
    for r in range(NODES):
        growth = max(1.0 + (leap.length * POINT[r + 1] - leap.q[i].at[r]) / leap.margin[i], 0.01)
        k = 0.0
        for j in range(2):
            # One that slides where both points are on one line through 0 stays where it is.
            if is_active(leap.pattern, j, i) and leap.gram[j][i][i] == 0.0:
                k += leap.z[j][i] * leap.z[j][i]
            elif is_active(leap.pattern, j, i):
                product = leap.v[j] * leap.z[j][i] * growth
                imbalance = leap.z[j][i] * leap.z[j][i] / leap.gram[j][i][i] - leap.v[j] * leap.v[j]
                root = sqrt(imbalance * imbalance + 4.0 * product * product / leap.gram[j][i][i])
                # v² = (root − D)/2 and z² = G (root + D)/2, whichever does not cancel
                square = 0.5 * (root + abs(imbalance))
                if imbalance > 0.0:
                    leap.zs[j][i].at[r] = sqrt(square * leap.gram[j][i][i])
                    leap.vs[j].at[r] = product / leap.zs[j][i].at[r]
                else:
                    leap.vs[j].at[r] = sqrt(square) if leap.v[j] > 0.0 else -sqrt(square)
                    leap.zs[j][i].at[r] = product / leap.vs[j].at[r]
                k += (leap.vs[j].at[r] * leap.vs[j].at[r] * leap.gram[j][i][i]
                    + leap.zs[j][i].at[r] * leap.zs[j][i].at[r])
        leap.q[i].at[r] -= rough_log(k / leap.coupling[i][i])


cdef void weights_of(const Leap* leap, int k, const nodes* q, const nodes* decay, nodes* p,
                     nodes* bend) noexcept nogil:
    """P and ω from q: P ∝ e^q, for the logistic loss e^q ω, where ω = 1/(1 + e^−m), e^−m ∝ e^q ε.

    With s at the start, which unlike e^−m does not overflow, ω = (1 − s)/((1 − s) + s e^q ε/ε(0)).
    """
    cdef int r
    exp_nodes(q, p)
    if leap.share[k] == 0.0:
        for r in range(NODES):
            bend.at[r] = 1.0
            p.at[r] *= leap.weight[k]
        return
    for r in range(NODES):
        bend.at[r] = 1.0 / (leap.rest[k] + leap.share[k] * p.at[r] * decay.at[r])
        p.at[r] *= leap.weight[k] * bend.at[r]
        bend.at[r] *= leap.rest[k]


cdef double correct(Leap* leap, int index, double before, double* jacobian, int* order) noexcept nogil:
    """One Newton step for q; return the size of the correction. `before` is that of the step before.

    Below −1 a correction counts relative to q: what rounding leaves of it is, and e^q no longer matters then.
    """
    cdef nodes[2] residual
    cdef nodes[2] correction
    cdef double size = 0.0, one
    cdef int i, r
    if leap.model.trained:
        # Sweeps converge by a factor of at least 16, so that what is left is smaller than the last change.
        size = 0.0625 * sum_trained(leap, residual)
    else:
        sum_fixed(leap, residual)
    if leap.balanced:
        for r in range(NODES):
            residual[1].at[r] += leap.ratio.high * (leap.q[0].at[r] - leap.length * POINT[r + 1])
    if leap.coupled:
        if before > 0.03:
            if leap.balanced:
                fill_balance_jacobian(leap, jacobian)
            else:
                fill_jacobian(leap, jacobian)
            factorise(jacobian, 2 * NODES, order)
        for i in range(2):
            for r in range(NODES):
                correction[i].at[r] = -residual[i].at[r]
        solve_factorised(jacobian, 2 * NODES, order, correction[0].at)
        if leap.balanced:
            return max(size, correct_balance(leap, residual, correction))
        if leap.model.trained:
            carry(leap, correction)
    else:
        for i in range(2):
            if leap.seen[i]:
                relax(leap, index, i, &residual[i], &correction[i])
    for i in range(2):
        if leap.seen[i]:
            for r in range(NODES):
                leap.q[i].at[r] += correction[i].at[r]
                one = abs(correction[i].at[r])
                if leap.q[i].at[r] < -1.0:
                    one /= -leap.q[i].at[r]
                if not one <= size:  # NaN too
                    size = one
    return size


cdef void sum_fixed(Leap* leap, nodes* residual) noexcept nogil:
    """A_k, and q_i less what the margins m_i(0) + Σ_k K_ik A_k make of it."""
    cdef int i, r
    if leap.sliding:
        saw_at_nodes(leap)
    for i in range(2):
        apply(leap.matrix, leap.weight[i], &leap.p[i], &leap.sum[i])
    for i in range(2):
        for r in range(NODES):
            residual[i].at[r] = leap.q[i].at[r] - (leap.length * POINT[r + 1]
                - (leap.coupling[i][0] * leap.sum[0].at[r] + leap.coupling[i][1] * leap.sum[1].at[r]))
    if leap.sliding:
        take_saw_from(leap, residual)


cdef double sum_trained(Leap* leap, nodes* residual) noexcept nogil:
    """v from P and z, z from P and the new v; then q_i less what their margins make of it.

    Return the largest change of a v_j, relative to the size of its neuron: the margins need not tell of it.
    """
    cdef const Model* model = leap.model
    cdef nodes f, dv
    cdef double change, largest = 0.0
    cdef int i, j, k, r
    if leap.sliding:
        saw_at_nodes(leap)
    for i in range(2):
        for r in range(NODES):
            residual[i].at[r] = leap.q[i].at[r] - leap.length * POINT[r + 1]
    for j in range(2):
        for r in range(NODES):
            dv.at[r] = 0.0
        for k in range(2):
            if is_active(leap.sliding, j, k):
                add_up_lift(leap, j, &leap.sum[4 + 2 * j + k])
            else:
                sum_active(leap, j, k, leap.z[j][k], &leap.zs[j][k], &leap.sum[4 + 2 * j + k])
            for r in range(NODES):
                dv.at[r] += model.label[k] * leap.sum[4 + 2 * j + k].at[r]
        change = 0.0
        for r in range(NODES):
            change = max(change, abs(leap.v[j] + dv.at[r] - leap.vs[j].at[r]))
            leap.vs[j].at[r] = leap.v[j] + dv.at[r]
        if change > 0.0:
            largest = max(largest, change / max(leap.extent[j], abs(leap.vs[j].at[NODES - 1])))
        for k in range(2):
            sum_active(leap, j, k, leap.v[j], &leap.vs[j], &leap.sum[2 * j + k])
        for i in range(2):
            for r in range(NODES):
                f.at[r] = (model.label[0] * leap.gram[j][i][0] * leap.sum[2 * j].at[r]
                    + model.label[1] * leap.gram[j][i][1] * leap.sum[2 * j + 1].at[r])
            if is_active(leap.sliding, j, 1 - i):
                for r in range(NODES):
                    f.at[r] += slide_ratio(model, 1 - i) * (leap.mean[j].at[r] - leap.mean_at_start[j])
            for r in range(NODES):
                leap.zs[j][i].at[r] = leap.z[j][i] + f.at[r]
            if is_active(leap.pattern, j, i):
                for r in range(NODES):
                    residual[i].at[r] += model.label[i] * (leap.v[j] * f.at[r]
                        + dv.at[r] * leap.zs[j][i].at[r])
            elif is_active(leap.sliding, j, i):
                for r in range(NODES):
                    residual[i].at[r] += model.label[i] * (leap.vs[j].at[r] * leap.lift[j].at[r]
                        - leap.v[j] * leap.lift_at_start[j])
    return largest


cdef void sum_active(const Leap* leap, int j, int k, double start, const nodes* factor,
                     nodes* sum) noexcept nogil:
    """Σ g_k a_jk times a factor."""
    cdef int r
    if is_active(leap.pattern, j, k):
        add_up(leap, k, start, factor, sum)
    else:
        for r in range(NODES):
            sum.at[r] = 0.0


cdef void add_up(const Leap* leap, int k, double start, const nodes* factor, nodes* sum) noexcept nogil:
    """Σ g_k times a factor."""
    cdef nodes f
    cdef int r
    for r in range(NODES):
        f.at[r] = leap.p[k].at[r] * factor.at[r]
    apply(leap.matrix, leap.weight[k] * start, &f, sum)


cdef void relax(Leap* leap, int index, int i, const nodes* residual, nodes* correction) noexcept nogil:
    """Newton's step where no neuron is active on both samples, without a linear system.

    With K = κ², δ = −ρ − κ Y, Y = ∫ κ P ω δ dτ: a linear differential equation for Y whose integrating
    factor is known, because d ln P/dτ = 1 − ω K P. It gives Y = −P R_L(κ ω ρ), with R_L y the solution of
    y' = L (ρ − y) from 0. With trained output K varies; then κ(τ) κ(τ') stands for the exact kernel
    G v(τ) v(τ') + z(τ) z(τ'), and Y/κ, the change of A, is carried into v and z.
    """
    cdef const Model* model = leap.model
    cdef nodes kappa, f, y
    cdef double moved
    cdef int j, r
    for r in range(NODES):
        kappa.at[r] = leap.coupling[i][i]
    if model.trained:
        for r in range(NODES):
            kappa.at[r] = 0.0
        for j in range(2):
            if is_active(leap.pattern, j, i):
                for r in range(NODES):
                    kappa.at[r] += (leap.vs[j].at[r] * leap.vs[j].at[r] * leap.gram[j][i][i]
                        + leap.zs[j][i].at[r] * leap.zs[j][i].at[r])
    for r in range(NODES):
        kappa.at[r] = sqrt(kappa.at[r])
        f.at[r] = kappa.at[r] * leap.bend[i].at[r] * residual.at[r]
    apply(RELAXATION[index], 0.0, &f, &y)
    for r in range(NODES):
        y.at[r] *= leap.p[i].at[r]
        correction.at[r] = kappa.at[r] * y.at[r] - residual.at[r]
    if model.trained:
        for j in range(2):
            if is_active(leap.pattern, j, i):
                for r in range(NODES):
                    moved = model.label[i] * y.at[r] / kappa.at[r]
                    leap.zs[j][i].at[r] -= leap.gram[j][i][i] * leap.vs[j].at[r] * moved


cdef void carry(Leap* leap, const nodes* correction) noexcept nogil:
    """Let z follow a change of q, so that the next v is made of the new z."""
    cdef const Model* model = leap.model
    cdef nodes f
    cdef nodes[2] area
    cdef int i, j, k, r
    for k in range(2):
        for r in range(NODES):
            f.at[r] = leap.p[k].at[r] * leap.bend[k].at[r] * correction[k].at[r]
        apply(leap.matrix, 0.0, &f, &area[k])
    for j in range(2):
        for k in range(2):
            if is_active(leap.pattern, j, k):
                for i in range(2):
                    for r in range(NODES):
                        leap.zs[j][i].at[r] += (model.label[k] * leap.gram[j][i][k] * leap.vs[j].at[r]
                            * area[k].at[r])


cdef void fill_jacobian(const Leap* leap, double* jacobian) noexcept nogil:
    """dρ/dq where a neuron couples the samples; with trained output less the lag of z behind v."""
    cdef const Model* model = leap.model
    cdef double weight, entry
    cdef double* column
    cdef int c, i, j, k, r
    for k in range(2):
        for c in range(NODES):
            column = jacobian + (k * NODES + c) * 2 * NODES
            weight = leap.p[k].at[c] * leap.bend[k].at[c]
            for i in range(2):
                if not model.trained:
                    for r in range(NODES):
                        column[i * NODES + r] = leap.coupling[i][k] * weight * leap.matrix[c + 1].at[r]
                    continue
                for r in range(NODES):
                    column[i * NODES + r] = 0.0
                for j in range(2):
                    if is_active(leap.pattern, j, i) and is_active(leap.pattern, j, k):
                        for r in range(NODES):
                            entry = (leap.gram[j][i][k] * leap.vs[j].at[c] * leap.vs[j].at[r]
                                + leap.zs[j][k].at[c] * leap.zs[j][i].at[r])
                            column[i * NODES + r] += (model.label[i] * model.label[k] * weight * entry
                                * leap.matrix[c + 1].at[r])
            column[k * NODES + c] += 1.0


cdef double rounding_of_margins(const Leap* leap) noexcept nogil:
    """What rounding leaves of the margins' changes where they cancel."""
    cdef double size = 0.0, sum
    cdef int i, k
    if not leap.coupled or leap.balanced or leap.model.trained:
        return 0.0
    for i in range(2):
        sum = 0.0
        for k in range(2):
            sum += abs(leap.coupling[i][k]) * leap.sum[k].at[NODES - 1]
        size = max(size, sum)
    return 2.2e-16 * size


cdef bint is_resolved(Leap* leap, double tolerance) noexcept nogil:
    """Whether NODES points hold the solution: the expansion's tail, and the recurrence between the nodes.

    P at points midway between the nodes, as interpolated, against what the margins there make of it. Where
    the margins stay small they tell little of their neurons, so these have their own expansions looked at.
    """
    cdef nodes middle, p, bend, decay
    cdef double defect, tail, size, effect
    cdef int i, r
    defect = tail_of_neurons(leap)
    if not defect <= 2.0 * tolerance:
        return False
    for r in range(NODES):
        middle.at[r] = -leap.length * BETWEEN_POINT[r]
    exp_nodes(&middle, &decay)
    for i in range(2):
        if not leap.seen[i]:
            continue
        size = leap.weight[i]
        for r in range(NODES):
            size = max(size, leap.p[i].at[r])
        # A smaller P neither moves the margin nor lets a neuron grow.
        effect = leap.coupling[i][i]
        if leap.model.trained:
            effect = max(effect, sqrt(leap.model.gram[i][i]))
        size = max(size, 1.0 / effect)
        if leap.balanced and i == 0:
            # An error of b counts as one of the pushes that it is the difference of: y feeds it back.
            for r in range(NODES):
                size = max(size, leap.ratio.high * leap.p[1].at[r])
        tail = tail_of(leap.weight[i], &leap.p[i]) / size
        if not tail <= 2.0 * tolerance:
            return False
        if leap.balanced and i == 0:
            imbalance_between(leap, &decay, &p)
        else:
            apply(BETWEEN, 0.0, &leap.q[i], &middle)
            weights_of(leap, i, &middle, &decay, &p, &bend)
        apply(BETWEEN, leap.weight[i], &leap.p[i], &middle)
        for r in range(NODES):
            if not abs(p.at[r] - middle.at[r]) <= defect * size:
                defect = abs(p.at[r] - middle.at[r]) / size
        defect = max(defect, tail)
    # An error of P moves the margins, which correct P within a few units of τ. Twice: it was not looked for
    # everywhere.
    leap.doubt = 2.0 * (defect + leap.blur) / max(1.0, leap.length)
    return defect <= 8.0 * tolerance


cdef double tail_of_neurons(const Leap* leap) noexcept nogil:
    """The tail of v_j and z_jk, the largest relative to the size of its neuron."""
    cdef double size, tail, largest = 0.0
    cdef int j, k
    if not leap.model.trained:
        return 0.0
    for j in range(2):
        size = max(leap.extent[j], abs(leap.vs[j].at[NODES - 1]))
        for k in range(2):
            if is_active(leap.pattern, j, k):
                tail = tail_of(leap.v[j], &leap.vs[j])
                if leap.model.gram[k][k] > 0.0:
                    tail = max(tail, tail_of(leap.z[j][k], &leap.zs[j][k]) / sqrt(leap.model.gram[k][k]))
                largest = max(largest, tail / size)
    return largest


cdef double tail_of(double start, const nodes* f) noexcept nogil:
    """The sizes of the last two Chebyshev coefficients together."""
    cdef double last = TAIL[1][0] * start, before = TAIL[0][0] * start
    cdef int c
    for c in range(NODES):
        last += TAIL[1][c + 1] * f.at[c]
        before += TAIL[0][c + 1] * f.at[c]
    return abs(last) + abs(before)


# --------------------------------------------------------------------------------------------------
# The closed form

cdef bint late_slopes(const Leap* leap, Sum* slope, double* decay) noexcept nogil:
    """The late dA_k/dτ = u_k, H u = 1, and the rate at which deviations from it decay, as σ^−rate.

    False unless output weights are fixed and every sample that moves a neuron supports: u_k > 0.
    """
    cdef Sum[2][2] h
    cdef Sum determinant
    cdef int i, k, only
    if leap.model.trained or not (leap.seen[0] or leap.seen[1]):
        return False
    for i in range(2):
        slope[i] = exactly(0.0)
        for k in range(2):
            h[i][k] = accurate_coupling(leap, i, k)
    if not (leap.seen[0] and leap.seen[1]):
        only = 0 if leap.seen[0] else 1
        slope[only] = quotient(exactly(1.0), h[only][only])
        decay[0] = 1.0
        return True
    determinant = total(product(h[0][0], h[1][1]), negative(product(h[0][1], h[1][0])))
    if not determinant.high > 0.0:
        return False
    for k in range(2):
        slope[k] = quotient(total(h[1 - k][1 - k], negative(h[0][1])), determinant)
        if not slope[k].high > 0.0:
            return False
    decay[0] = min(1.0, slope[0].high * slope[1].high * determinant.high)
    return True


cdef Sum accurate_coupling(const Leap* leap, int i, int k) noexcept nogil:
    """H_ik to twice the working precision."""
    cdef Sum sum = exactly(0.0), entry
    cdef int j
    for j in range(2):
        if is_active(leap.pattern, j, i) and is_active(leap.pattern, j, k):
            entry.high = leap.gram[j][i][k]
            entry.low = leap.gram_low[j][i][k]
            sum = total(sum, product(two_product(leap.v[j], leap.v[j]), entry))
    return product(sum, exactly(leap.model.label[i] * leap.model.label[k]))


cdef bint is_late(const Leap* leap, const Sum* slope) noexcept nogil:
    """Whether P_k is within 2^-20 of its limit at the start."""
    cdef int k
    for k in range(2):
        if not abs(leap.weight[k] - slope[k].high) <= 9.5367431640625e-07 * slope[k].high:
            return False
    return True


# --------------------------------------------------------------------------------------------------
# Inside a leap

cdef int count_sums(const Leap* leap) noexcept nogil:
    return SUMS if leap.model.trained else 2


cdef void sums_at(const Leap* leap, double passed, Sum* sums) noexcept nogil:
    """The sums over the steps up to τ at the start + `passed`."""
    cdef double[POINTS] values
    cdef int n
    for n in range(SUMS):
        sums[n] = exactly(0.0)
    if leap.frozen:
        return
    if leap.affine:
        for n in range(2):
            sums[n] = product(leap.slope[n], exactly(passed))
        return
    interpolation(passed / leap.length, values)
    for n in range(count_sums(leap)):
        sums[n].high = interpolated(values, &leap.sum[n])


cdef double rounding(const Leap* leap, double passed) noexcept nogil:
    """What rounding does to the sums up to there, relatively.

    Interpolation next to the start has to cancel what the nodes contribute, as a derivative has.
    """
    if leap.frozen or leap.affine:
        return 1e-15
    return 1e-15 * min(10.0, 1.0 + 0.25 / sqrt(passed / leap.length))


cdef void fold(const Leap* leap, const State* start, double passed, State* state) noexcept nogil:
    """The State at τ at the start + `passed`."""
    cdef Sum[SUMS] sums
    cdef Sum change
    cdef int j, k
    if leap.converged:
        state[0] = start[0]
        settle(leap, passed, state)
        return
    sums_at(leap, passed, sums)
    for j in range(2):
        for k in range(2):
            change = exactly(0.0)
            if leap.model.trained:
                change.high = leap.model.label[k] * sums[2 * j + k].high
            elif is_active(leap.pattern, j, k) and leap.seen[k]:
                change = times(sums[k], leap.model.label[k] * start.v[j])
            if leap.balanced and k == 0 and is_active(leap.pattern, j, 0):
                # g_0 = b + ρ g_1
                change = total(change, times(product(leap.ratio, sums[2 * j + 1 if leap.model.trained else 1]),
                                             leap.model.label[0] * (1.0 if leap.model.trained else start.v[j])))
            change = moved(start.c[j][k], start.c_low[j][k], change)
            state.c[j][k] = change.high
            state.c_low[j][k] = change.low
        change = exactly(0.0)
        if leap.model.trained:
            change = two_sum(leap.model.label[0] * sums[4 + 2 * j].high,
                             leap.model.label[1] * sums[5 + 2 * j].high)
        change = moved(start.v[j], start.v_low[j], change)
        state.v[j] = change.high
        state.v_low[j] = change.low
    if leap.sliding:
        put_on_kinks(leap, passed, state)


cdef double path_length(const Leap* leap, const State* before, const State* after) noexcept nogil:
    """What the samples' pushes moved the parameters by, each counted in full."""
    cdef double sum = 0.0, change
    cdef int j, k
    for j in range(2):
        sum += abs(after.v[j] - before.v[j])
        for k in range(2):
            change = after.c[j][k] - before.c[j][k]
            if leap.balanced and k == 0:
                change += leap.ratio.high * (after.c[j][1] - before.c[j][1])
            sum += abs(change) * sqrt(leap.gram[j][k][k] if leap.balanced else leap.model.gram[k][k])
    return sum


cdef double log_amplification(const Leap* leap) noexcept nogil:
    """A bound on how much an error of the parameters grows over the leap, as its logarithm.

    With fixed output weights the loss is convex in the others and a step brings runs no further apart. With
    trained ones (w_j, b_j) and v_j drive each other at the rate |Σ_k g_k y_k a_jk x_k|, which is how they
    themselves grow where they are aligned; where one decays instead, errors take over at that rate.
    """
    cdef double[2] area
    cdef double largest = 0.0, sum
    cdef int c, j, k
    if not leap.model.trained or leap.frozen:
        return 0.0
    for k in range(2):
        area[k] = leap.weight[k] * leap.matrix[0].at[NODES - 1]
        for c in range(NODES):
            area[k] += leap.p[k].at[c] * leap.matrix[c + 1].at[NODES - 1]
    for j in range(2):
        sum = 0.0
        for k in range(2):
            if is_active(leap.pattern, j, k):
                sum += abs(area[k]) * sqrt(leap.gram[j][k][k])
        largest = max(largest, sum)
    return largest


# --------------------------------------------------------------------------------------------------
# Kinks inside a leap. A guard is what must keep its sign: z_ji at 2j + i, and with trained output v_j at 4 + j.

cdef struct Crossing:          # the first in a leap; all in τ since its start
    double low                 # up to here the pattern holds for sure
    double at                  # where the guard is 0; NaN if it is only doubtful that it stays clear of 0
    double high                # from here on its sign has changed for sure; inf if not within the leap


cdef bint is_guarded(const Leap* leap, int guard) noexcept nogil:
    """Whether a guard moves at all."""
    cdef int j = neuron_of(guard), k
    for k in range(2):
        if is_active(leap.pattern, j, k) and leap.seen[k]:
            if guard >= 4:
                return leap.model.trained
            if gram_of_guard(leap, guard, k) != 0.0 and (leap.model.trained or leap.v[j] != 0.0):
                return True
    return False


cdef inline double guard_at_start(const Leap* leap, int guard) noexcept nogil:
    if guard >= 4:
        return leap.v[guard - 4]
    if leap.balanced and guard & 1:
        return leap.z[guard >> 1][1] + leap.ratio.high * leap.z[guard >> 1][0]
    return leap.z[guard >> 1][guard & 1]


cdef void parts_of(const Leap* leap, int guard, const double* sums, double* parts) noexcept nogil:
    """The two changes of a guard, one per sample; each is monotonic while the guards keep their signs."""
    cdef const Model* model = leap.model
    cdef int j = guard >> 1, k
    for k in range(2):
        if guard >= 4:
            parts[k] = model.label[k] * sums[4 + 2 * (guard - 4) + k]
        elif model.trained:
            parts[k] = model.label[k] * gram_of_guard(leap, guard, k) * sums[2 * j + k]
        else:
            parts[k] = model.label[k] * gram_of_guard(leap, guard, k)
            parts[k] *= leap.v[j] * sums[k] if is_active(leap.pattern, j, k) else 0.0


cdef void parts_at(Leap* leap, int guard, double passed, double* parts) noexcept nogil:
    cdef Sum[SUMS] sums
    cdef double[SUMS] plain
    cdef int n
    leap.searches += 1
    sums_at(leap, passed, sums)
    for n in range(SUMS):
        plain[n] = sums[n].high
    parts_of(leap, guard, plain, parts)


cdef double clearance(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    """How far a guard with these parts has to stay from 0: its error at the start, what the leap adds, rounding.

    At most half of where it started: one that starts nearer than its doubt has its sign by decree.
    """
    cdef double start = abs(guard_at_start(leap, guard))
    return min(doubt_of_guard(leap, guard, error, parts), 0.5 * start)


cdef double doubt_of_guard(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    return error + (leap.doubt + 2e-15) * (abs(guard_at_start(leap, guard)) + abs(parts[0]) + abs(parts[1]))


cdef double excess(Leap* leap, int guard, double error, int level, double passed) noexcept nogil:
    """The guard, times its sign at the start, less `level` times how far it has to stay from 0."""
    cdef double start = guard_at_start(leap, guard), value
    cdef double[2] parts
    parts_at(leap, guard, passed, parts)
    value = start + (parts[0] + parts[1])
    value = value if start > 0.0 else -value
    if level > 0:
        value -= min(level * doubt_of_guard(leap, guard, error, parts), 0.5 * abs(start))
    elif level < 0:
        value -= level * doubt_of_guard(leap, guard, error, parts)
    return value


cdef bint holds_between(const Leap* leap, int guard, double error, const double* before,
                        const double* after) noexcept nogil:
    """Whether a guard keeps its sign between two places with these parts of its change."""
    cdef double start = guard_at_start(leap, guard), sign = 1.0 if start > 0.0 else -1.0
    cdef double least = sign * start + (min(sign * before[0], sign * after[0])
                                        + min(sign * before[1], sign * after[1]))
    return least > clearance(leap, guard, error, after)


cdef double search(Leap* leap, int guard, double error, int level, double low, double high) noexcept nogil:
    """Where `excess` falls to 0, which it does between low and high.

    The last place found before it, by regula falsi in the variant that halves the value at an end that stays.
    """
    cdef double above = excess(leap, guard, error, level, low), middle, value
    cdef double below = excess(leap, guard, error, level, high)
    cdef int n, stayed = 0
    for n in range(100):
        middle = low + (high - low) * (above / (above - below))
        if not low < middle < high or n % 8 == 7:
            middle = 0.5 * (low + high)
        if middle <= low or middle >= high or above == 0.0:
            break
        value = excess(leap, guard, error, level, middle)
        if value > 0.0:
            low, above = middle, value
            if stayed > 0:
                below *= 0.5
            stayed = 1
        else:
            high, below = middle, value
            if stayed < 0:
                above *= 0.5
            stayed = -1
        if high - low <= 4e-16 * high:
            break
    return low


cdef bint find_crossing(Leap* leap, int guard, double error, Crossing* crossing) noexcept nogil:
    """Find the first place in the leap where a guard, `error` wrong at the start, may not keep its sign.

    Between neighbouring places each part of its change is monotonic, so that their values at both bound the
    guard from below: first between the nodes, then, where that does not decide, between places within.
    """
    cdef double[SUMS] sums
    cdef double[2] before
    cdef double[2] after
    cdef int c, n
    if leap.affine:
        return locate(leap, guard, error, 0.0, leap.length, crossing)
    before[0] = before[1] = 0.0
    for c in range(NODES):
        for n in range(count_sums(leap)):
            sums[n] = leap.sum[n].at[c]
        parts_of(leap, guard, sums, after)
        if find_between(leap, guard, error, leap.length * POINT[c], before, leap.length * POINT[c + 1], after,
                        0.0625 * leap.length * (POINT[c + 1] - POINT[c]), crossing):
            return True
        before[0] = after[0]
        before[1] = after[1]
    return False


cdef bint find_between(Leap* leap, int guard, double error, double a, const double* before, double b,
                       const double* after, double width, Crossing* crossing) noexcept nogil:
    """Halve what does not decide, down to `width`; near the start, where a guard may still be small, further."""
    cdef double[2] halfway
    cdef double middle = 0.5 * (a + b)
    if holds_between(leap, guard, error, before, after):
        return False
    if moves_one_way(leap, guard, a, b):
        if is_clear(leap, guard, error, after):
            return False
    elif b - a > min(width, max(0.0625 * a, max(64.0 * leap.inverse, 1e-12))):
        parts_at(leap, guard, middle, halfway)
        return (find_between(leap, guard, error, a, before, middle, halfway, width, crossing)
                or find_between(leap, guard, error, middle, halfway, b, after, width, crossing))
    if not locate(leap, guard, error, a, b, crossing):
        crossing.low = search(leap, guard, error, 1, a, b) if excess(leap, guard, error, 1, b) < 0.0 else a
        crossing.at = NAN
        crossing.high = INFINITY
    return True


cdef bint is_clear(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    """Whether a guard with these parts of its change has the sign that it had at the start."""
    cdef double start = guard_at_start(leap, guard), value = start + (parts[0] + parts[1])
    return (value if start > 0.0 else -value) > clearance(leap, guard, error, parts)


cdef bint moves_one_way(Leap* leap, int guard, double a, double b) noexcept nogil:
    """Whether a guard is monotonic between neighbouring points a and b though its parts oppose each other.

    Its speed is as well resolved as they are: of one sign at a, b and in the middle, it has no other between.
    """
    cdef double[3] net
    cdef double noise = 0.0, size = 0.0
    cdef int n
    for n in range(3):
        leap.searches += 1
        net[n] = speed_at(leap, guard, a + 0.5 * n * (b - a), &size)
        noise = max(noise, 8e-15 * size)
    return (min(net[0], min(net[1], net[2])) >= -noise or max(net[0], max(net[1], net[2])) <= noise)


cdef double speed_at(const Leap* leap, int guard, double passed, double* size) noexcept nogil:
    """d/dτ of a guard, and the size of what it is the difference of."""
    cdef double[POINTS] values
    cdef double push, sum = 0.0
    cdef int j = neuron_of(guard), k
    interpolation(passed / leap.length, values)
    size[0] = 0.0
    for k in range(2):
        if not is_active(leap.pattern, j, k):
            continue
        push = push_on(leap, guard, k, values[0] * leap.weight[k] + interpolated(values, &leap.p[k]),
                       values[0] * leap.v[j] + interpolated(values, &leap.vs[j]),
                       values[0] * leap.z[j][k] + interpolated(values, &leap.zs[j][k]))
        sum += push
        size[0] += abs(push)
    return sum


cdef bint locate(Leap* leap, int guard, double error, double a, double b, Crossing* crossing) noexcept nogil:
    """Place the crossing between a and b of a guard that is clear of 0 at a; False if it is not beyond 0 at b."""
    if excess(leap, guard, error, 0, b) >= 0.0 or not excess(leap, guard, error, 1, a) > 0.0:
        return False
    crossing.low = search(leap, guard, error, 1, a, b)
    crossing.at = search(leap, guard, error, 0, a, b)
    crossing.high = INFINITY
    if excess(leap, guard, error, -1, leap.length) < 0.0:
        crossing.high = search(leap, guard, error, -1, crossing.at, leap.length)
    return True
