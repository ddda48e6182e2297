"""A leap that is solved, or has a closed form: the State inside it, and what it does to errors."""

# --------------------------------------------------------------------------------------------------
# The closed form

cdef bint late_growths(const Leap* leap, Sum* growth, double* decay) noexcept nogil:
    """The late dA_k/dτ = u_k, H u = 1, and the rate at which deviations from it decay, as σ^−rate.

    False unless output weights are fixed and every point that moves a neuron supports: u_k > 0.
    """
    cdef Sum[2][2] h
    cdef Sum determinant
    cdef int i, k, only
    if leap.model.trained or not (leap.seen[0] or leap.seen[1]):
        return False
    for i in range(2):
        growth[i] = exactly(0.0)
        for k in range(2):
            h[i][k] = accurate_coupling(leap, i, k)
    if not (leap.seen[0] and leap.seen[1]):
        only = 0 if leap.seen[0] else 1
        growth[only] = quotient(exactly(1.0), h[only][only])
        decay[0] = 1.0
        return True
    determinant = total(product(h[0][0], h[1][1]), negative(product(h[0][1], h[1][0])))
    if not determinant.high > 0.0:
        return False
    for k in range(2):
        growth[k] = quotient(total(h[1 - k][1 - k], negative(h[0][1])), determinant)
        if not growth[k].high > 0.0:
            return False
    decay[0] = min(1.0, growth[0].high * growth[1].high * determinant.high)
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


cdef bint is_late(const Leap* leap, const Sum* growth) noexcept nogil:
    """Whether P_k is within 2^-20 of its limit at the start."""
    cdef int k
    for k in range(2):
        if not abs(leap.scaled_push[k] - growth[k].high) <= 9.5367431640625e-07 * growth[k].high:
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
            sums[n] = product(leap.mass_growth[n], exactly(passed))
        return
    interpolation(passed / leap.log_length, values)
    for n in range(count_sums(leap)):
        sums[n].high = interpolated(values, &leap.sum[n])


cdef double rounding(const Leap* leap, double passed) noexcept nogil:
    """What rounding does to the sums up to there, relatively.

    Interpolation next to the start has to cancel what the nodes contribute, as a derivative has.
    """
    if leap.frozen or leap.affine:
        return 1e-15
    return 1e-15 * min(10.0, 1.0 + 0.25 / sqrt(passed / leap.log_length))


cdef void fold(const Leap* leap, const State* start, double passed, State* state) noexcept nogil:
    """The State at τ at the start + `passed`."""
    cdef Sum[SUMS] sums
    cdef Sum change
    cdef int j, k
    if leap.converged:
        state[0] = start[0]
        reach_minimum(leap, passed, state)
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
    """What the points' pushes moved the parameters by, each counted in full."""
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
        area[k] = leap.scaled_push[k] * leap.matrix[0].at[NODES - 1]
        for c in range(NODES):
            area[k] += leap.p[k].at[c] * leap.matrix[c + 1].at[NODES - 1]
    for j in range(2):
        sum = 0.0
        for k in range(2):
            if is_active(leap.pattern, j, k):
                sum += abs(area[k]) * sqrt(leap.gram[j][k][k])
        largest = max(largest, sum)
    return largest
