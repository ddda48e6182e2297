"""Sliding: a neuron that is pushed back and forth across its kink at a sample, averaged over the teeth.

Neuron j serves sample k, y_k v_j > 0, and slides along its kink at the other one, i: while inactive there, every
step lifts z_ji by `up` = g_k |v_j| G_ik, while active it also falls by `tooth` = g_i |v_j| G_ii > up. So z_ji turns
on the circle (up − tooth, up] by `up` a step. Averages over the circle, on which it is uniform:

    active fraction θ = up/tooth,   mean of z_ji = up − tooth/2,   mean of max(0, z_ji) = θ up/2.

In the leap z_ji *is* its mean. That leaves z_jk = … + y_k v_j (G_kk − G_ik²/G_ii) A_k + G_ik/G_ii Δ(mean), and the
neuron's share in m_i is v_j times the mean of max(0, z_ji). The derivation is in docs/numerics.md.
"""

cdef enum:
    LARGEST_TOOTH_PARTS = 1000   # a tooth moves the margin by less than one of so many parts of 1
    LARGEST_LASTING_TOOTH_PARTS = 5000  # with trained output, where what its phase changes is not forgotten
    NEGLIGIBLE_TOOTH_PARTS = 1_000_000  # of one whose phase does not matter
    FEWEST_TEETH = 1000          # in the time scale of the motion


cdef struct Slides:              # per neuron
    int pairs                    # of neuron and sample that slide, coded like a pattern
    double[2] tooth
    double[2] fraction           # θ
    double[2] mean               # of z_ji
    double[2] lift               # mean of max(0, z_ji)
    double[2][2] z               # where the units are now
    double slack                 # how far rounding may put θ off


cdef inline int sample_served(const Model* model, const State* state, int j) noexcept nogil:
    return 0 if model.label[0] * state.v[j] > 0.0 else 1


cdef inline double slide_ratio(const Model* model, int i) noexcept nogil:
    """G_ik/G_ii: what z_jk follows z_ji by."""
    return model.gram[i][1 - i] / model.gram[i][i]


cdef inline int kink_of(int pairs, int j) noexcept nogil:
    """The sample at whose kink neuron j slides, −1 if at none."""
    cdef int i = pairs >> (2 * j) & 3
    return i - 1 if i < 3 else -1


cdef void find_slides(const Model* model, const State* state, double doubt, Slides* slides) noexcept nogil:
    """Find what slides: pairs caught within one tooth of their kink, up to `doubt` (in units of the parameters).

    With some room, because teeth shrink while one is passed through.

    The other neuron has to see sample i: if none does, m_i ~ 0, the teeth never shrink, and they grow ever longer.
    """
    cdef double size, noise
    cdef int i, j, k, sweep
    slides.pairs = 0
    if model.label[0] == model.label[1] or not model.gram[0][1] > 0.0:
        return
    for j in range(2):
        for i in range(2):
            slides.z[j][i] = preactivation(model, state, j, i)
    measure_teeth(model, state, slides)
    for j in range(2):
        k = sample_served(model, state, j)
        i = 1 - k
        size = (abs(model.start[j][i]) + abs(state.c[j][0] * model.gram[i][0])
            + abs(state.c[j][1] * model.gram[i][1]))
        noise = 2.0 * doubt * sqrt(model.gram[i][i]) + 1e-27 * size
        if (state.v[j] != 0.0 and slides.z[1 - j][i] > 0.0 and (model.trained or state.v[1 - j] != 0.0)
                and slides.z[j][k] > 4.0 * slides.tooth[j] * model.gram[i][k] / model.gram[i][i]
                and slides.fraction[j] < 1.0 + slides.slack
                and -1.25 * (1.0 - slides.fraction[j]) * slides.tooth[j] - noise <= slides.z[j][i]
                and slides.z[j][i] <= 1.25 * slides.fraction[j] * slides.tooth[j] + noise):
            slides.pairs |= 1 << (2 * j + i)
    # The margins in which the teeth are measured contain the teeth. A sweep improves them by their size.
    for sweep in range(4 if slides.pairs else 0):
        measure_teeth(model, state, slides)


cdef void measure_teeth(const Model* model, const State* state, Slides* slides) noexcept nogil:
    """The tooth of either neuron at the sample it does not serve, in margins to which `slides.pairs` add their mean."""
    cdef double[2] log_push
    cdef double m, up
    cdef int i, j, k
    for i in range(2):
        m = 0.0
        for j in range(2):
            m += state.v[j] * (slides.lift[j] if is_active(slides.pairs, j, i) else max(0.0, slides.z[j][i])
                               + settled(model, slides, j, i))
        log_push[i] = model.log_rate + log_slope(model, model.label[i] * m)
    slides.slack = 1e-13 + 1e-15 * (abs(log_push[0]) + abs(log_push[1]))
    for j in range(2):
        k = sample_served(model, state, j)
        i = 1 - k
        slides.tooth[j] = exp_(log_push[i]) * abs(state.v[j]) * model.gram[i][i]
        slides.fraction[j] = exp_(log_push[k] - log_push[i]) * model.gram[i][k] / model.gram[i][i]
        up = slides.fraction[j] * slides.tooth[j]
        slides.mean[j] = up - 0.5 * slides.tooth[j]
        slides.lift[j] = 0.5 * slides.fraction[j] * up


cdef inline double settled(const Model* model, const Slides* slides, int j, int k) noexcept nogil:
    """What z_jk changes by when the neuron's z_ji moves to its mean by the pushes of sample i alone."""
    cdef int i = 1 - k
    if not is_active(slides.pairs, j, i):
        return 0.0
    return slide_ratio(model, i) * (slides.mean[j] - slides.z[j][i])


cdef void let_slide(Leap* leap, const Slides* slides, int pairs) noexcept nogil:
    """Put these pairs on their kinks at the start of a leap."""
    cdef Sum cross, reduced
    cdef int i, j, k
    leap.sliding = pairs
    leap.slack = slides.slack
    for j in range(2):
        i = kink_of(pairs, j)
        if i < 0:
            continue
        k = 1 - i
        leap.pattern &= ~(1 << (2 * j + i))
        leap.z[j][k] += settled(leap.model, slides, j, k)
        leap.z[j][i] = leap.mean_at_start[j] = slides.mean[j]
        leap.lift_at_start[j] = slides.lift[j]
        cross = entry_of(leap.model, i, k)
        reduced = quotient(product(cross, cross), entry_of(leap.model, i, i))
        reduced = total(entry_of(leap.model, k, k), negative(reduced))
        leap.gram[j][k][k], leap.gram_low[j][k][k] = reduced.high, reduced.low
        leap.gram[j][i][0] = leap.gram[j][i][1] = leap.gram_low[j][i][0] = leap.gram_low[j][i][1] = 0.0
    for i in range(2):
        set_margin(leap, i)


cdef inline Sum entry_of(const Model* model, int i, int k) noexcept nogil:
    cdef Sum g
    g.high, g.low = model.gram[i][k], model.gram_low[i][k]
    return g


cdef double tooth_at(const Leap* leap, int j, double inverse, double v, const double* p, double* fraction) noexcept nogil:
    """The tooth of a neuron that slides, and its active fraction, where ε = `inverse`, v_j = v and P = p."""
    cdef int i = kink_of(leap.sliding, j)
    fraction[0] = p[1 - i] / p[i] * slide_ratio(leap.model, i)
    return inverse * p[i] * abs(v) * leap.model.gram[i][i]


cdef void saw_at_nodes(Leap* leap) noexcept nogil:
    """The means at the nodes, from P and v there."""
    cdef double[2] p
    cdef double tooth, fraction
    cdef int j, r
    for j in range(2):
        if kink_of(leap.sliding, j) < 0:
            continue
        for r in range(NODES):
            p[0], p[1] = leap.p[0].at[r], leap.p[1].at[r]
            tooth = tooth_at(leap, j, leap.epsilon.at[r], leap.vs[j].at[r], p, &fraction)
            leap.mean[j].at[r] = (fraction - 0.5) * tooth
            leap.lift[j].at[r] = 0.5 * fraction * fraction * tooth


cdef void take_saw_from(const Leap* leap, nodes* residual) noexcept nogil:
    """What the changes of the means do to the margins; fixed output."""
    cdef double push
    cdef int i, j, r
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i < 0:
            continue
        push = leap.model.label[1 - i] * leap.v[j] * slide_ratio(leap.model, i)
        for r in range(NODES):
            residual[1 - i].at[r] += push * (leap.mean[j].at[r] - leap.mean_at_start[j])
            residual[i].at[r] += leap.model.label[i] * leap.v[j] * (leap.lift[j].at[r] - leap.lift_at_start[j])


cdef void put_on_kinks(const Leap* leap, double passed, State* state) noexcept nogil:
    """Let C_ji be what puts z_ji on its mean, τ at the start + `passed`."""
    cdef double[POINTS] values
    cdef double mean
    cdef Sum c
    cdef int i, j, once
    if not (leap.frozen or leap.affine):
        interpolation(passed / leap.length, values)
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i < 0:
            continue
        if leap.frozen:
            mean = leap.mean_at_start[j]
        elif leap.affine:
            mean = leap.mean_at_start[j] * exp_(-passed)
        else:
            mean = values[0] * leap.mean_at_start[j] + interpolated(values, &leap.mean[j])
        # The pre-activation is known to twice the working precision: twice, to use that.
        for once in range(2):
            c.high, c.low = state.c[j][i], state.c_low[j][i]
            c = plus(c, (mean - preactivation(leap.model, state, j, i)) / leap.model.gram[i][i])
            c = two_sum(c.high, c.low)
            state.c[j][i], state.c_low[j][i] = c.high, c.low


# --------------------------------------------------------------------------------------------------
# Where averaging holds

cdef bint is_averageable(const Model* model, double inverse, double effect, double fraction,
                         double slack) noexcept nogil:
    """Whether the teeth, each of which changes a margin by `effect`, are small, and many in the time scale 1/`inverse`.

    Where they are few, because θ is near 0 or 1, the mean tells nothing of z_ji within a tooth. That is of no
    consequence once the tooth as a whole is; θ then may reach 1, and so much more that it is seen to.
    """
    if not effect * (LARGEST_LASTING_TOOTH_PARTS if model.trained else LARGEST_TOOTH_PARTS) <= 1.0:
        return False
    if effect * NEGLIGIBLE_TOOTH_PARTS <= 1.0:
        return fraction <= 1.0 + 4.0 * slack
    return inverse * FEWEST_TEETH <= min(fraction, 1.0 - fraction)


cdef int averageable_at_start(const Leap* leap, const Slides* slides) noexcept nogil:
    """Those pairs of `leap.sliding` whose averaging is accurate at the start of the leap."""
    cdef int j, pairs = 0
    for j in range(2):
        if kink_of(leap.sliding, j) >= 0 and is_averageable(leap.model, leap.inverse,
                                                            abs(leap.v[j]) * slides.tooth[j],
                                                            slides.fraction[j], slides.slack):
            pairs |= leap.sliding & 3 << (2 * j)
    return pairs


cdef bint is_averageable_at(const Leap* leap, double passed) noexcept nogil:
    cdef double[POINTS] values
    cdef double[2] p
    cdef double v, tooth, fraction
    cdef int j, k
    interpolation(passed / leap.length, values)
    for k in range(2):
        p[k] = values[0] * leap.weight[k] + interpolated(values, &leap.p[k])
    for j in range(2):
        if kink_of(leap.sliding, j) >= 0:
            v = values[0] * leap.v[j] + interpolated(values, &leap.vs[j])
            tooth = tooth_at(leap, j, leap.inverse * exp_(-passed), v, p, &fraction)
            if not is_averageable(leap.model, leap.inverse * exp_(-passed), abs(v) * tooth, fraction, leap.slack):
                return False
    return True


cdef double averageable_until(const Leap* leap) noexcept nogil:
    """The τ since the start of the leap up to which averaging is accurate; `length` if all of it."""
    cdef double low = 0.0, high, middle
    cdef int c, n
    if not leap.sliding or leap.frozen or leap.affine:
        return leap.length
    for c in range(1, POINTS):
        high = leap.length * POINT[c]
        if not is_averageable_at(leap, high):
            for n in range(60):
                middle = 0.5 * (low + high)
                if is_averageable_at(leap, middle):
                    low = middle
                else:
                    high = middle
            return low
        low = high
    return leap.length
