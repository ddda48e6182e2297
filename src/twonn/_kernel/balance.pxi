"""Balance: points of opposite labels that push the same neurons, so that their pushes nearly cancel.

Where every active neuron is active on both points and G_01 > 0, let ρ = G_01/G_00 and x̂_1 = x̃_1 − ρ x̃_0, which is
orthogonal to x̃_0 (x̃ is x with a 1 for the bias). Then a step's push is, up to v_j,

    y_0 g_0 x̃_0 + y_1 g_1 x̃_1  =  y_0 b x̃_0 + y_1 g_1 x̂_1,    b = g_0 − ρ g_1,

so the neurons move as if x̃_0 pushed by the imbalance b and x̂_1 by g_1, and nothing cancels: the margins are
m_0 and m_1 = n_1 − ρ m_0, with n_1 = y_1 Σ_j v_j ẑ_j, ẑ_j = z_j1 − ρ z_j0. Of the leap's two unknowns q_0 gives way
to y = ln(g_0/(ρ g_1)), since b = ρ g_1 (e^y − 1) keeps every digit of y however small.

y relaxes towards a value y* at which b no longer changes, by λ a step, relatively; λ is the large eigenvalue of
the step. Behind that the motion is as slow as |x̂_1|² is small. Where x̂_1 = 0, as for points on one ray without
biases, it has come to its end: a minimiser of the loss. The derivation is in docs/numerics.md.
"""

cdef enum:
    LEAST_CANCELLATION = 8       # G_11/|x̂_1|² from which it is worth the trouble


cdef void balance(Leap* leap, const State* state) noexcept nogil:
    """Change over to the pushes b and g_1, if the pattern is one of this kind.

    An x̂_1 that rounding cannot tell from 0 is 0.
    """
    cdef const Model* model = leap.model
    cdef Sum cross = entry_of(model, 0, 1), reduced, z
    cdef int i, j, k
    leap.balanced = False
    if not shares_all(leap):
        return
    leap.ratio = quotient(cross, entry_of(model, 0, 0))
    reduced = total(entry_of(model, 1, 1), negative(product(cross, leap.ratio)))
    if not reduced.high * LEAST_CANCELLATION <= model.gram[1][1]:
        return
    reduced = or_zero(reduced, model.gram[1][1])
    leap.balanced = True
    for j in range(2):
        leap.gram[j][0][1] = leap.gram[j][1][0] = 0.0
        leap.gram[j][1][1] = reduced.high
        z = total(preactivation_sum(model, state, j, 1),
                  negative(product(leap.ratio, preactivation_sum(model, state, j, 0))))
        leap.z[j][1] = z.high if reduced.high > 0.0 else 0.0
    for i in range(2):
        for k in range(2):
            leap.coupling[i][k] = coupling_of(leap, i, k)


cdef bint shares_all(const Leap* leap) noexcept nogil:
    """Whether all that moves is moved by both points, against each other."""
    cdef int j, seen
    if leap.sliding or not leap.coupled or leap.model.label[0] == leap.model.label[1]:
        return False
    for j in range(2):
        seen = leap.pattern >> (2 * j) & 3
        if (seen == 1 or seen == 2) and (leap.model.trained or leap.v[j] != 0.0):
            return False
    return leap.model.gram[0][1] > 0.0 and leap.seen[0] and leap.seen[1]


cdef int set_balance_scale(Leap* leap, double log_step) noexcept nogil:
    """Choose σ, and tell whether a leap is possible: `set_scale` where pushes balance.

    While y relaxes a step may change P by 1/256 of itself, as elsewhere, and the leap goes no farther than to where
    y differs from y* by less than rounding. Behind that only the slow motion has to be that slow, and the
    relaxation be stable, λ < 2.
    """
    cdef const Model* model = leap.model
    cdef double ratio = leap.ratio.high, log_push, target, stiffness, decay, fastest, off, moved, y
    cdef double k00 = leap.coupling[0][0], k01 = leap.coupling[0][1], k11 = leap.coupling[1][1]
    cdef double[2] omega
    cdef int k
    for k in range(2):
        leap.share[k] = share_at(model, leap.margin[k])
        leap.rest[k] = rest_at(model, leap.margin[k])
        omega[k] = leap.rest[k]
    # Of the margins' low parts first order will do.
    y = log_slope_ratio(model, leap.margin[0], leap.margin[1]) - log_(ratio)
    y += (omega[1] * leap.margin_low[1] - omega[0] * leap.margin_low[0])
    # dy/dt = −(ω_0 + ρω_1) dm_0/dt + ω_1 dn_1/dt, with m_0 and n_1 moved by b and g_1
    stiffness = (omega[0] + ratio * omega[1]) * k00 - omega[1] * k01
    target = (omega[1] * k11 - (omega[0] + ratio * omega[1]) * k01) / (stiffness * ratio)
    if not (stiffness > 0.0 and abs(target) < 0.5 and y < 30.0):
        return UNRESOLVED
    target = log1p_(target)
    off = abs(y - target)
    # y* is known to first order in the slow motion.
    leap.settled = off <= 1e-15 * (4.0 + abs(leap.margin[0]) + abs(leap.margin[1])) + 8.0 * target * target
    decay = stiffness * ratio * exp_(y)
    log_push = model.log_point_step + log_slope(model, leap.margin[1])
    # Where x̂_1 = 0 the rest is linear, but for its square.
    leap.settled |= leap.gram[0][1][1] == 0.0 and off <= 1e-9 and exp_(log_push) * decay <= 0.9
    # Of a y* that small the state does not know the digits.
    leap.imbalance = target if leap.settled and abs(target) < 1e-7 else y
    fastest = fastest_in_balance(leap, ratio * signed_expm1(leap.imbalance))
    leap.converged = leap.settled and fastest == 0.0
    leap.relaxation = exp_(log_push) * decay
    if leap.converged and leap.relaxation <= 0.9:
        leap.relaxation = -log1p_(-leap.relaxation)
    leap.remainder = y / ((omega[0] + ratio * omega[1]) * k00)
    # Steps until y is y* to rounding, or, where that is the end, until the margins are what they will be.
    moved = off * 1e17
    if leap.settled:
        moved = off * 9e15 / ((omega[0] + ratio * omega[1]) * max(abs(leap.margin[0]), 1e-300))
    leap.longest = log_(moved) / leap.relaxation if moved > 1.0 else 0.0
    leap.frozen = leap.settled and (fastest == 0.0 or log_push + log_(fastest) < -LAST_LOG)
    if leap.frozen:
        leap.log_scale = -log_(leap.relaxation) if leap.converged else max(log_step, 1.0)
        leap.inverse = leap.relaxation if leap.converged else 0.0
        leap.scaled_push[0] = leap.scaled_push[1] = 0.0
        return NONE
    leap.max_relative_step = exp_(log_push) * (fastest if leap.settled else max(fastest, decay))
    if not (leap.max_relative_step <= 0.00390625 and leap.relaxation < 1.5):  # 1/256
        return LARGE_STEPS
    leap.log_scale = -(log_push + log_(fastest))
    if not leap.settled:
        # As much of e^−λt as NODES points resolve.
        leap.longest = min(leap.longest, 5.0 / leap.relaxation)
        leap.log_scale = min(leap.log_scale, log_(leap.longest))
    elif -4.0 < log_step - leap.log_scale < 1.0:
        leap.log_scale = log_step
    leap.inverse = exp_(-leap.log_scale)
    set_scaled_push(leap, 1)
    leap.scaled_push[0] = ratio * leap.scaled_push[1] * signed_expm1(leap.imbalance)
    return NONE


cdef void reach_minimum(const Leap* leap, double passed, State* state) noexcept nogil:
    """Go on to the minimiser by pushes b of x̃_0. So near to it what is left of the way decays as (1 − λ)^t."""
    cdef double decays = expm1_(min(passed, 5.0))  # in the exponent, by then
    cdef double push = leap.model.label[0] * leap.remainder
    cdef int j
    # From the step on that the run is said to have converged at, it has.
    if passed < 5.0 and decays < (1.0 - 1e-12) * leap.relaxation * ceil(leap.longest):
        push *= -signed_expm1(-decays)
    for j in range(2):
        if is_active(leap.pattern, j, 0):
            add_to(&state.c[j][0], &state.c_low[j][0], push * state.v[j])
            if leap.model.trained:
                add_to(&state.v[j], &state.v_low[j], push * leap.z[j][0])


cdef double fastest_in_balance(const Leap* leap, double b) noexcept nogil:
    """The speed of the fastest margin or neuron a step, where g_1 = 1."""
    cdef double m0 = leap.coupling[0][0] * b + leap.coupling[0][1]
    cdef double n1 = leap.coupling[1][0] * b + leap.coupling[1][1]
    cdef double fastest = max(abs(m0), max(abs(n1), abs(n1 - leap.ratio.high * m0)))
    if leap.model.trained:
        fastest = max(fastest, abs(b) * sqrt(leap.model.gram[0][0]) + sqrt(leap.gram[0][1][1]))
    return fastest


cdef double signed_expm1(double x) noexcept nogil:
    """e^x − 1, right to rounding for either sign."""
    cdef double e = expm1_(abs(x))
    return e if x >= 0.0 else -e / (1.0 + e)


cdef inline double rough_log(double x) noexcept nogil:
    """ln x to 1e-4 for x from 1/2 to 2: enough for a guess, and without a branch."""
    cdef double s = (x - 1.0) / (x + 1.0), z = s * s
    return 2.0 * s * (1.0 + z * (1 / 3.0 + z * (1 / 5.0 + z * (1 / 7.0 + z * (1 / 9.0)))))


cdef void guess_balance(Leap* leap) noexcept nogil:
    """A constant y, or one that decays like e^−λt, and what that does to the margins."""
    cdef double ratio = leap.ratio.high, a, decayed, moved
    cdef int r
    a = leap.coupling[1][0] * leap.scaled_push[0] + leap.coupling[1][1] * leap.scaled_push[1]
    a -= ratio * (leap.coupling[0][0] * leap.scaled_push[0] + leap.coupling[0][1] * leap.scaled_push[1])
    for r in range(NODES):
        leap.imbalances.at[r] = leap.imbalance
        leap.q[1].at[r] = -rough_log(max(a + (1.0 - a) * leap.decay.at[r], 0.02))
        if not leap.settled:
            decayed = exp_(-leap.relaxation / leap.inverse * signed_expm1(leap.log_length * POINT[r + 1]))
            leap.imbalances.at[r] *= decayed
            moved = leap.imbalance * (1.0 - decayed) / (leap.rest[0] + ratio * leap.rest[1])
            leap.q[1].at[r] = leap.log_length * POINT[r + 1] + ratio * moved


cdef void push_in_balance(Leap* leap) noexcept nogil:
    """b and g_1 at the nodes, times σ, and q_0, from y and q_1."""
    cdef double f, ratio = leap.ratio.high
    cdef int r
    pushes_of(leap, 1, &leap.q[1], &leap.decay, &leap.p[1], &leap.log_push_slope[1])
    for r in range(NODES):
        f = leap.q[1].at[r] + (leap.imbalances.at[r] - leap.imbalance)
        if leap.model.loss == LOGISTIC:
            f = logistic_partner(f, leap.q[1].at[r], leap.share, leap.rest[0], leap.decay.at[r])
        leap.q[0].at[r] = f
    pushes_of(leap, 0, &leap.q[0], &leap.decay, &leap.p[0], &leap.log_push_slope[0])
    for r in range(NODES):
        leap.p[0].at[r] = ratio * leap.p[1].at[r] * signed_expm1(leap.imbalances.at[r])


cdef void fill_balance_jacobian(const Leap* leap, double* jacobian) noexcept nogil:
    """d(ρ_0, ρ_1)/d(y, q_1): rows of m_0 and n_1, in which nothing cancels."""
    cdef double ratio = leap.ratio.high, by_y, by_q, k0, omega0, omega1
    cdef double* y_column
    cdef double* q_column
    cdef int c, i, r
    for c in range(NODES):
        y_column = jacobian + c * 2 * NODES
        q_column = jacobian + (NODES + c) * 2 * NODES
        omega0, omega1 = leap.log_push_slope[0].at[c], leap.log_push_slope[1].at[c]
        by_y = leap.p[0].at[c] + ratio * leap.p[1].at[c]  # db/dy
        for i in range(2):
            for r in range(NODES):
                k0 = coupling_between(leap, i, 0, r, c) * leap.matrix[c + 1].at[r]
                y_column[i * NODES + r] = k0 * by_y
                by_q = k0 * leap.p[0].at[c]
                by_q += coupling_between(leap, i, 1, r, c) * leap.matrix[c + 1].at[r] * leap.p[1].at[c]
                q_column[i * NODES + r] = by_q * omega1
        # q_0 = q_0(y, q_1)
        y_column[c] += 1.0 / omega0
        q_column[c] += omega1 / omega0
        y_column[NODES + c] += ratio / omega0
        q_column[NODES + c] += 1.0 + ratio * omega1 / omega0


cdef inline double coupling_between(const Leap* leap, int i, int k, int r, int c) noexcept nogil:
    """K_ik between nodes: what push k at node c adds to margin i at node r."""
    cdef double sum = 0.0
    cdef int j
    for j in range(2):
        if is_active(leap.pattern, j, i) and is_active(leap.pattern, j, k):
            sum += leap.gram[j][i][k] * leap.vs[j].at[c] * leap.vs[j].at[r]
            if leap.model.trained:
                sum += leap.zs[j][k].at[c] * leap.zs[j][i].at[r]
    return leap.model.label[i] * leap.model.label[k] * sum


cdef double correct_balance(Leap* leap, const nodes* residual, const nodes* correction) noexcept nogil:
    """Take a Newton step in y and q_1; return its size in q_0 and q_1."""
    cdef nodes moved
    cdef double size = 0.0, one, omega0, omega1
    cdef int i, r
    for r in range(NODES):
        omega0, omega1 = leap.log_push_slope[0].at[r], leap.log_push_slope[1].at[r]
        leap.imbalances.at[r] += correction[0].at[r]
        leap.q[1].at[r] += correction[1].at[r]
        moved.at[r] = (correction[0].at[r] + omega1 * correction[1].at[r]) / omega0
        for i in range(2):
            one = abs(moved.at[r] if i == 0 else correction[1].at[r])
            if leap.q[i].at[r] < -1.0:
                one /= -leap.q[i].at[r]
            if not one <= size:  # NaN too
                size = one
    if leap.model.trained:
        carry_balance(leap, residual, &moved)
    return size


cdef void carry_balance(Leap* leap, const nodes* residual, const nodes* moved) noexcept nogil:
    """Let z_j0 follow a change of q_0, so that the next v is made of it: the margin m_0 grows by −ρ_0 − δq_0."""
    cdef double kappa
    cdef int j, r
    for r in range(NODES):
        kappa = coupling_between(leap, 0, 0, r, r)
        for j in range(2):
            if is_active(leap.pattern, j, 0):
                leap.zs[j][0].at[r] += (leap.model.label[0] * leap.gram[j][0][0] * leap.vs[j].at[r]
                    * (-residual.at[r] - moved.at[r]) / kappa)


cdef void imbalance_between(const Leap* leap, const nodes* decay, nodes* p) noexcept nogil:
    """σ b at the midpoints, as y and q_1 there make it."""
    cdef nodes y, q, omega
    cdef int r
    apply(BETWEEN, leap.imbalance, &leap.imbalances, &y)
    apply(BETWEEN, 0.0, &leap.q[1], &q)
    pushes_of(leap, 1, &q, decay, p, &omega)
    for r in range(NODES):
        p.at[r] *= leap.ratio.high * signed_expm1(y.at[r])


cdef double doubt_of_balance(const Leap* leap) noexcept nogil:
    """What an error of the margins, which y feeds back, is worth in the units of the parameters."""
    cdef double size = abs(leap.margin[0]) + abs(leap.margin[1])
    return 4e-16 * (1.0 + size) / sqrt(leap.coupling[0][0])
