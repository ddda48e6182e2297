"""The solution of a leap by Newton's method, and whether NODES points resolve it."""

cdef enum:
    MOST_ITERATIONS = 16


cdef bint solve(Leap* leap, int length_index, double log_length) noexcept nogil:
    """Solve the recurrence over τ ... τ + `log_length`; `length_index` is the entry of LENGTH next to it.

    False if the iteration does not converge or its solution is not resolved by NODES points.
    """
    cdef double change, before = INFINITY, tolerance
    cdef int iteration, k
    cdef double[4 * NODES * NODES] jacobian
    cdef int[2 * NODES] order
    leap.log_length = log_length
    set_matrix(leap)
    guess(leap)
    for iteration in range(MOST_ITERATIONS):
        leap.iterations += 1
        if leap.balanced:
            push_in_balance(leap)
        for k in range(2):
            if leap.seen[k] and not leap.balanced:
                pushes_of(leap, k, &leap.q[k], &leap.decay, &leap.p[k], &leap.log_push_slope[k])
        # A converged iteration ends with sums of the very P that gave them.
        change = correct(leap, length_index, before, jacobian, order)
        tolerance = 4e-16 * (4.0 + log_length) + rounding_of_margins(leap)
        if not (change < 30.0 or change < before):  # NaN too
            return False
        if change <= tolerance or (change <= 16.0 * tolerance and change >= 0.5 * before):
            return is_resolved(leap, tolerance + leap.push_error)
        before = change
    return False


cdef void set_matrix(Leap* leap) noexcept nogil:
    """The Euler–Maclaurin formula as a matrix; terms too small to matter are left out."""
    cdef double L = leap.log_length, e0 = leap.inverse, scale = 1.0 / leap.log_length, square, fourth
    cdef double change = max(leap.max_relative_step, e0)
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
    if e0 * change > 6e-16:
        add_derivatives(leap, 1, &e2, e0 * e0 / 12.0, scale, 0.0, 0.0)
    if e0 * change * change * change > 4e-14:
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


# --------------------------------------------------------------------------------------------------
# The first guess

cdef void guess(Leap* leap) noexcept nogil:
    """Where a = dm_i/dτ at the start, the flow with constant K has m_i = m_i(0) + ln(1 + a (σ/σ₀ − 1))."""
    cdef double a, grown
    cdef int i, j, k, r
    for i in range(2):
        a = 0.0
        for k in range(2):
            if leap.seen[i] and leap.seen[k]:
                a += leap.coupling[i][k] * leap.scaled_push[k]
        for r in range(NODES):
            # 1 + a (σ/σ₀ − 1) = grown σ/σ₀
            grown = a + (1.0 - a) * leap.decay.at[r]
            leap.q[i].at[r] = -rough_log(max(grown, 0.02))
            leap.p[i].at[r] = 0.0
            leap.log_push_slope[i].at[r] = 1.0
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
        growth = max(1.0 + (leap.log_length * POINT[r + 1] - leap.q[i].at[r]) / leap.margin[i], 0.01)
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


# --------------------------------------------------------------------------------------------------
# Newton's step

cdef double correct(Leap* leap, int length_index, double before, double* jacobian, int* order) noexcept nogil:
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
            residual[1].at[r] += leap.ratio.high * (leap.q[0].at[r] - leap.log_length * POINT[r + 1])
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
                relax(leap, length_index, i, &residual[i], &correction[i])
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
        means_at_nodes(leap)
    for i in range(2):
        apply(leap.matrix, leap.scaled_push[i], &leap.p[i], &leap.sum[i])
    for i in range(2):
        for r in range(NODES):
            residual[i].at[r] = leap.q[i].at[r] - (leap.log_length * POINT[r + 1]
                - (leap.coupling[i][0] * leap.sum[0].at[r] + leap.coupling[i][1] * leap.sum[1].at[r]))
    if leap.sliding:
        add_means(leap, residual)


cdef double sum_trained(Leap* leap, nodes* residual) noexcept nogil:
    """v from P and z, z from P and the new v; then q_i less what their margins make of it.

    Return the largest change of a v_j, relative to the size of its neuron: the margins need not tell of it.
    """
    cdef const Model* model = leap.model
    cdef nodes f, dv
    cdef double change, largest = 0.0
    cdef int i, j, k, r
    if leap.sliding:
        means_at_nodes(leap)
    for i in range(2):
        for r in range(NODES):
            residual[i].at[r] = leap.q[i].at[r] - leap.log_length * POINT[r + 1]
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
                    residual[i].at[r] += model.label[i] * (leap.vs[j].at[r] * leap.mean_relu[j].at[r]
                        - leap.v[j] * leap.mean_relu_at_start[j])
    return largest


cdef void relax(Leap* leap, int length_index, int i, const nodes* residual, nodes* correction) noexcept nogil:
    """Newton's step where no neuron is active on both points, without a linear system.

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
        f.at[r] = kappa.at[r] * leap.log_push_slope[i].at[r] * residual.at[r]
    apply(RELAXATION[length_index], 0.0, &f, &y)
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
            f.at[r] = leap.p[k].at[r] * leap.log_push_slope[k].at[r] * correction[k].at[r]
        apply(leap.matrix, 0.0, &f, &area[k])
    for j in range(2):
        for k in range(2):
            if is_active(leap.pattern, j, k):
                for i in range(2):
                    for r in range(NODES):
                        leap.zs[j][i].at[r] += (model.label[k] * leap.gram[j][i][k] * leap.vs[j].at[r]
                            * area[k].at[r])


cdef void fill_jacobian(const Leap* leap, double* jacobian) noexcept nogil:
    """dρ/dq where a neuron couples the points; with trained output less what z is behind v."""
    cdef const Model* model = leap.model
    cdef double weight, entry
    cdef double* column
    cdef int c, i, j, k, r
    for k in range(2):
        for c in range(NODES):
            column = jacobian + (k * NODES + c) * 2 * NODES
            weight = leap.p[k].at[c] * leap.log_push_slope[k].at[c]
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


# --------------------------------------------------------------------------------------------------
# Whether it is resolved

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
    cdef nodes middle, p, omega, decay
    cdef double defect, tail, size, effect
    cdef int i, r
    defect = tail_of_neurons(leap)
    if not defect <= 2.0 * tolerance:
        return False
    for r in range(NODES):
        middle.at[r] = -leap.log_length * BETWEEN_POINT[r]
    exp_nodes(&middle, &decay)
    for i in range(2):
        if not leap.seen[i]:
            continue
        size = leap.scaled_push[i]
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
        tail = tail_of(leap.scaled_push[i], &leap.p[i]) / size
        if not tail <= 2.0 * tolerance:
            return False
        if leap.balanced and i == 0:
            imbalance_between(leap, &decay, &p)
        else:
            apply(BETWEEN, 0.0, &leap.q[i], &middle)
            pushes_of(leap, i, &middle, &decay, &p, &omega)
        apply(BETWEEN, leap.scaled_push[i], &leap.p[i], &middle)
        for r in range(NODES):
            if not abs(p.at[r] - middle.at[r]) <= defect * size:
                defect = abs(p.at[r] - middle.at[r]) / size
        defect = max(defect, tail)
    # An error of P moves the margins, which correct P within a few units of τ. Twice: it was not looked for
    # everywhere.
    leap.doubt = 2.0 * (defect + leap.push_error) / max(1.0, leap.log_length)
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
