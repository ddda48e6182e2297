"""Sliding: a neuron that is pushed back and forth across its kink at a sample, averaged over the teeth.

Neuron j serves sample k, y_k v_j > 0, and slides along its kink at the other one, i: while inactive there, every
step lifts z_ji by `up` = g_k |v_j| G_ik, while active it also falls by `tooth` = g_i |v_j| G_ii > up. So z_ji turns
on the circle (up − tooth, up] by `up` a step. Averages over the circle, on which it is uniform:

    active fraction θ = up/tooth,   mean of z_ji = up − tooth/2,   mean of max(0, z_ji) = θ up/2.

In the leap z_ji *is* its mean. That leaves z_jk = … + y_k v_j (G_kk − G_ik²/G_ii) A_k + G_ik/G_ii Δ(mean), and the
neuron's share in m_i is v_j times the mean of max(0, z_ji). The derivation is in docs/numerics.md.

A point i that no neuron serves stays at m_i ~ 0, so that g_i = h s(0) does not decay: the teeth keep their height
while they grow ever longer. In terms of A_k the motion then is periodic, with a period α = g_i G_ii/|G_ik| within which
m_k falls by a = g_i v_j² |G_ik| at a stroke and rises by κ̂α in all. Equal labels with G_01 < 0 do the same to a
neuron that serves neither point.
"""

cdef enum:
    LARGEST_TOOTH_PARTS = 1000   # a tooth moves the margin by less than one of so many parts of 1
    LARGEST_LASTING_TOOTH_PARTS = 5000  # with trained output, where what its phase changes is not forgotten
    NEGLIGIBLE_TOOTH_PARTS = 1_000_000  # of one whose phase does not matter
    FEWEST_TEETH = 1000          # in the time scale of the motion
    LARGEST_WIGGLE_PARTS = 10_000 # lasting teeth: how far a period takes m_k off its mean course, a κ̂α, in parts of 1


ctypedef double[2] ByPoint       # of one neuron


cdef struct Slides:              # per neuron
    int pairs                    # of neuron and sample that slide, coded like a pattern
    int[2] point                 # at whose kink a neuron may slide; −1 for none
    bint[2] lasting              # its teeth last: no neuron serves that point
    double[2] shift              # by point: as far as lasting teeth change the mean of s_k, they do so like this m_k
    double[2] tooth
    double[2] fraction           # θ
    double[2] mean               # of z_ji
    double[2] lift               # mean of max(0, z_ji)
    double[2][2] z               # where the units are now
    double slack                 # how far rounding may put θ off


cdef inline int sample_served(const Model* model, const State* state, int j) noexcept nogil:
    return 0 if model.label[0] * state.v[j] > 0.0 else 1


cdef inline double slide_ratio(const Model* model, int i) noexcept nogil:
    """G_ik/G_ii: what z_jk follows z_ji by. It is negative for equal labels."""
    return model.gram[i][1 - i] / model.gram[i][i]


cdef inline double lasting_push(const Model* model) noexcept nogil:
    """g_i where m_i is 0, but for the little that a neuron is active there."""
    return model.rate * loss_slope(model, 0.0)


cdef inline int kink_of(int pairs, int j) noexcept nogil:
    """The sample at whose kink neuron j slides, −1 if at none."""
    cdef int i = pairs >> (2 * j) & 3
    return i - 1 if i < 3 else -1


cdef void find_slides(const Model* model, const State* state, double doubt, Slides* slides) noexcept nogil:
    """Find what slides: pairs caught within one tooth of their kink, up to `doubt` (in units of the parameters).

    With some room, because teeth shrink while one is passed through.
    """
    cdef bint[2] caught
    cdef int i, j, sweep
    slides.pairs = 0
    slides.shift[0] = slides.shift[1] = 0.0
    for j in range(2):
        for i in range(2):
            slides.z[j][i] = preactivation(model, state, j, i)
    for j in range(2):
        slides.point[j] = point_of_kink(model, state, slides, j)
        slides.lasting[j] = False
    if slides.point[0] < 0 and slides.point[1] < 0:
        return
    measure_teeth(model, state, slides)
    for j in range(2):
        caught[j] = slides.point[j] >= 0 and is_caught(model, state, slides, j, doubt)
    for j in range(2):
        i = slides.point[j]
        slides.lasting[j] = (caught[j] and model.gram[0][1] != 0.0
                             and (not slides.z[1 - j][i] > 0.0 or (caught[1 - j] and slides.point[1 - j] == i)))
        if caught[j] and (slides.lasting[j] or is_served_by(model, state, slides, 1 - j, i)):
            slides.pairs |= 1 << (2 * j + i)
    for j in range(2):
        i = slides.point[j]
        if slides.lasting[j] and is_active(slides.pairs, j, i):
            slides.shift[1 - i] = log_mean_of_lasting(model, state.v, slides.z, slides.pairs, i)
    # The margins in which the teeth are measured contain the teeth. A sweep improves them by their size.
    for sweep in range(4 if slides.pairs else 0):
        measure_teeth(model, state, slides)


cdef int point_of_kink(const Model* model, const State* state, const Slides* slides, int j) noexcept nogil:
    """The point that neuron j is pushed away from, but towards by the other one; −1 if there is none.

    With equal labels it has to be one that the other neuron leaves alone while it serves the other point; or else
    both neurons are held at both kinks for ever, by pushes that do not decay.
    """
    cdef int i, o = 1 - j
    if state.v[j] == 0.0:
        return -1
    if model.label[0] != model.label[1]:
        return 1 - sample_served(model, state, j) if model.gram[0][1] > 0.0 else -1
    if not (model.gram[0][1] < 0.0 and model.label[0] * state.v[j] < 0.0):
        return -1
    if model.label[0] * state.v[o] < 0.0 and model.opposed and not model.trained:
        return 1
    if model.label[0] * state.v[o] > 0.0:
        for i in range(2):
            if slides.z[o][1 - i] > 0.0 >= slides.z[o][i]:
                return i
    return -1


cdef inline bint is_served_by(const Model* model, const State* state, const Slides* slides, int j, int i) noexcept nogil:
    return slides.z[j][i] > 0.0 and (model.trained or state.v[j] != 0.0)


cdef bint is_caught(const Model* model, const State* state, const Slides* slides, int j, double doubt) noexcept nogil:
    """Whether a neuron is within one tooth of its kink, and stays active on the other point there.

    Where the points are opposed, z_jk is what z_ji makes of it, and reaches its own kink with it.
    """
    cdef int i = slides.point[j], k = 1 - i
    cdef double size, noise, tooth = slides.tooth[j], fraction = slides.fraction[j], reach
    size = (abs(model.start[j][i]) + abs(state.c[j][0] * model.gram[i][0])
        + abs(state.c[j][1] * model.gram[i][1]))
    noise = 2.0 * doubt * sqrt(model.gram[i][i]) + 1e-27 * size
    if not (fraction < 1.0 + slides.slack and slides.z[j][i] <= 1.25 * fraction * tooth + noise
            and -1.25 * (1.0 - fraction) * tooth - noise <= slides.z[j][i]):
        return False
    reach = abs(slide_ratio(model, i)) * tooth
    if slides.z[j][k] > 4.0 * reach:
        return True
    return (model.opposed
            and abs(slides.z[j][k] - slide_ratio(model, i) * slides.z[j][i]) <= 1e-9 * reach + noise)


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
        log_push[i] = model.log_rate + log_slope(model, model.label[i] * m + slides.shift[i])
    slides.slack = 1e-13 + 1e-15 * (abs(log_push[0]) + abs(log_push[1]))
    for j in range(2):
        i = slides.point[j]
        if i < 0:
            continue
        k = 1 - i
        slides.tooth[j] = exp_(log_push[i]) * abs(state.v[j]) * model.gram[i][i]
        slides.fraction[j] = exp_(log_push[k] - log_push[i]) * abs(model.gram[i][k]) / model.gram[i][i]
        if slides.lasting[j]:
            slides.tooth[j] = lasting_push(model) * abs(state.v[j]) * model.gram[i][i]
            slides.fraction[j] = exp_(log_push[k]) / lasting_push(model) * abs(slide_ratio(model, i))
        if model.opposed:
            # Active on i it is not pushed by k: a tooth is all of what i pushes, on top of `up`.
            slides.tooth[j] *= 1.0 + slides.fraction[j]
            slides.fraction[j] /= 1.0 + slides.fraction[j]
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
    cdef Sum reduced
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
        if leap.z[j][k] > 0.0:
            leap.pattern |= 1 << (2 * j + k)
        leap.z[j][i] = leap.mean_at_start[j] = slides.mean[j]
        leap.lift_at_start[j] = slides.lift[j]
        if slides.lasting[j]:
            leap.lasting_push[i] = lasting_push(leap.model)
        reduced = reduced_gram(leap.model, k)
        leap.gram[j][k][k], leap.gram_low[j][k][k] = reduced.high, reduced.low
        leap.gram[j][i][0] = leap.gram[j][i][1] = leap.gram_low[j][i][0] = leap.gram_low[j][i][1] = 0.0
    for i in range(2):
        set_margin(leap, i)
        leap.margin[i] += slides.shift[i]


cdef Sum reduced_gram(const Model* model, int k) noexcept nogil:
    """G_kk − G_ik²/G_ii; 0 where rounding cannot tell it from 0."""
    cdef Sum cross = entry_of(model, 0, 1), reduced
    reduced = quotient(product(cross, cross), entry_of(model, 1 - k, 1 - k))
    reduced = total(entry_of(model, k, k), negative(reduced))
    return reduced if reduced.high > 3.2e-30 * model.gram[k][k] else exactly(0.0)  # 2^-98, as in balance.pxi


cdef inline Sum entry_of(const Model* model, int i, int k) noexcept nogil:
    cdef Sum g
    g.high, g.low = model.gram[i][k], model.gram_low[i][k]
    return g


cdef double tooth_at(const Leap* leap, int j, double inverse, double v, const double* p, double* fraction) noexcept nogil:
    """The tooth of a neuron that slides, and its active fraction, where ε = `inverse`, v_j = v and P = p."""
    cdef double tooth
    cdef int i = kink_of(leap.sliding, j)
    if leap.lasting_push[i] > 0.0:
        fraction[0] = inverse * p[1 - i] / leap.lasting_push[i] * abs(slide_ratio(leap.model, i))
        tooth = leap.lasting_push[i] * abs(v) * leap.model.gram[i][i]
        if leap.model.opposed:
            tooth *= 1.0 + fraction[0]
            fraction[0] /= 1.0 + fraction[0]
        return tooth
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


cdef void add_up_lift(const Leap* leap, int j, nodes* sum) noexcept nogil:
    """Σ g_i times the mean of max(0, z_ji), i being the point at whose kink neuron j slides."""
    cdef int i = kink_of(leap.sliding, j), r
    cdef nodes f
    if leap.lasting_push[i] == 0.0:
        add_up(leap, i, leap.lift_at_start[j], &leap.lift[j], sum)
        return
    for r in range(NODES):
        f.at[r] = leap.lasting_push[i] * leap.lift[j].at[r] / leap.epsilon.at[r]
    apply(leap.matrix, leap.lasting_push[i] * leap.lift_at_start[j] / leap.inverse, &f, sum)


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
    cdef double mean, lasting
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
            lasting = -0.5 * leap.lasting_push[i] * abs(leap.v[j]) * leap.model.gram[i][i]
            mean = lasting + (leap.mean_at_start[j] - lasting) * exp_(-passed)
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
        return inverse <= fraction <= 1.0 + 4.0 * slack
    return inverse * FEWEST_TEETH <= min(fraction, 1.0 - fraction)


cdef double stroke(const Model* model, const double* v, int pairs, int i) noexcept nogil:
    """a: what m_k falls by when the neurons that slide at a point i that none serves are all pushed back."""
    cdef double sum = 0.0
    cdef int j
    for j in range(2):
        if kink_of(pairs, j) == i:
            sum += v[j] * v[j]
    return lasting_push(model) * sum * abs(model.gram[0][1])


cdef double rise(const Model* model, const double* v, const ByPoint* z, int pairs, int i) noexcept nogil:
    """κ̂α: what m_k gains in one period, over which A_k grows by α = g_i G_ii/|G_ik|."""
    cdef double kappa = 0.0
    cdef int j, k = 1 - i
    for j in range(2):
        if z[j][k] > 0.0:
            kappa += v[j] * v[j] * (reduced_gram(model, k).high if kink_of(pairs, j) == i else model.gram[k][k])
            kappa += z[j][k] * z[j][k] if model.trained else 0.0
    return kappa * lasting_push(model) * model.gram[i][i] / abs(model.gram[0][1])


cdef double log_mean_of_lasting(const Model* model, const double* v, const ByPoint* z, int pairs, int i) noexcept nogil:
    """ln of the mean of e^(m_k − its mean course) in A_k, for teeth of unrelated phases.

    To second order (Σ a_j² + 2 a κ̂α)/24.
    """
    cdef double squares = 0.0, one
    cdef int j
    for j in range(2):
        one = stroke(model, v, pairs & 3 << (2 * j), i)
        squares += one * one
    return (squares + 2.0 * stroke(model, v, pairs, i) * rise(model, v, z, pairs, i)) / 24.0


cdef bint is_lasting_averageable(const Leap* leap, int i, double push, double growth) noexcept nogil:
    """Whether teeth that last may be averaged; `push` is g_k.

    Within a period m_k leaves its mean course by some a κ̂α/8, for ever. Beyond counting, where there would be no end of
    periods, 1/10 has to do for a.
    """
    cdef double a = growth * stroke(leap.model, leap.v, leap.sliding, i)
    cdef double wiggle = a * growth * rise(leap.model, leap.v, leap.z, leap.sliding, i)
    cdef double all_of_k = 0.0
    cdef int j
    for j in range(2):
        all_of_k += leap.v[j] * leap.v[j] * leap.model.gram[1 - i][1 - i]
    if not push * growth * all_of_k * (LARGEST_LASTING_TOOTH_PARTS if leap.model.trained else LARGEST_TOOTH_PARTS) <= 1.0:
        return False
    return wiggle * LARGEST_WIGGLE_PARTS <= 1.0 or (leap.log_scale > 43.6 and a <= 0.1)


cdef int averageable_at_start(const Leap* leap, const Slides* slides) noexcept nogil:
    """Those pairs of `leap.sliding` whose averaging is accurate at the start of the leap."""
    cdef int i, j, pairs = 0
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0 and leap.lasting_push[i] > 0.0:
            if is_lasting_averageable(leap, i, leap.weight[1 - i] * leap.inverse, 1.0):
                pairs |= leap.sliding & 3 << (2 * j)
        elif i >= 0 and is_averageable(leap.model, leap.inverse,
                                                            abs(leap.v[j]) * slides.tooth[j],
                                                            slides.fraction[j], slides.slack):
            pairs |= leap.sliding & 3 << (2 * j)
    return pairs


cdef bint is_averageable_at(const Leap* leap, double passed) noexcept nogil:
    cdef double[POINTS] values
    cdef double[2] p
    cdef double v, tooth, fraction
    cdef int i, j, k
    interpolation(passed / leap.length, values)
    for k in range(2):
        p[k] = values[0] * leap.weight[k] + interpolated(values, &leap.p[k])
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0:
            v = values[0] * leap.v[j] + interpolated(values, &leap.vs[j])
            if leap.lasting_push[i] > 0.0:
                if not is_lasting_averageable(leap, i, p[1 - i] * leap.inverse * exp_(-passed),
                                              max(1.0, 0.5 * (v / leap.v[j]) * (v / leap.v[j]))):
                    return False
                continue
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
