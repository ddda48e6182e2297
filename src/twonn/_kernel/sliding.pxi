"""Sliding: a neuron that is pushed back and forth across its kink at a point, in a sawtooth.

Neuron j serves point k, y_k v_j > 0, and slides along its kink at the other one, i: while inactive there, every
step lifts z_ji by `up` = g_k |v_j| G_ik, while active it also falls by `height` = g_i |v_j| G_ii > up. So z_ji is a
sawtooth of that height: it turns on the circle (up − height, up] by `up` a step. It is uniform on it, so that the
means are

    active fraction θ = up/height,   mean of z_ji = up − height/2,   mean of max(0, z_ji) = θ up/2.

In the leap z_ji *is* its mean. That leaves z_jk = … + y_k v_j (G_kk − G_ik²/G_ii) A_k + G_ik/G_ii Δ(mean), and the
neuron's share in m_i is v_j times the mean of max(0, z_ji). The derivation is in docs/numerics.md.

A point i that no neuron serves stays at m_i ~ 0, so that g_i = h s(0) does not decay: the sawtooth keeps its
height while its periods grow ever longer. In terms of A_k the motion then is periodic, with a period α = g_i G_ii/|G_ik|
within which m_k falls by a = g_i v_j² |G_ik| at a stroke and rises by κ̂α in all. Equal labels with G_01 < 0 do the same
to a neuron that serves neither point.
"""

ctypedef double[2] ByPoint       # of one neuron


cdef struct Slides:              # per neuron
    int pairs                    # of neuron and point that slide, coded like a pattern
    int[2] point                 # at whose kink a neuron may slide; −1 for none
    bint[2] lasting              # its sawtooth lasts: no neuron serves that point
    double[2] shift              # by point: a lasting sawtooth changes the mean of s_k as if m_k were larger by this
    double[2] sawtooth           # its height
    double[2] fraction           # θ
    double[2] mean               # of z_ji
    double[2] mean_relu          # mean of max(0, z_ji)
    double[2][2] z               # where the units are now
    double slack                 # how far rounding may put θ off


cdef inline int point_served(const Model* model, const State* state, int j) noexcept nogil:
    return 0 if model.label[0] * state.v[j] > 0.0 else 1


cdef inline double slide_ratio(const Model* model, int i) noexcept nogil:
    """G_ik/G_ii: what z_jk follows z_ji by. It is negative for equal labels."""
    return model.gram[i][1 - i] / model.gram[i][i]


cdef inline double lasting_push(const Model* model) noexcept nogil:
    """g_i where m_i is 0, but for the little that a neuron is active there."""
    return model.point_step * loss_slope(model, 0.0)


cdef inline int kink_of(int pairs, int j) noexcept nogil:
    """The point at whose kink neuron j slides, −1 if at none."""
    cdef int i = pairs >> (2 * j) & 3
    return i - 1 if i < 3 else -1


cdef void find_slides(const Model* model, const State* state, double doubt, Slides* slides) noexcept nogil:
    """Find what slides: pairs nearer to their kink than the height of their sawtooth, up to `doubt` in the parameters.

    With some room, because the sawtooth shrinks in the course of a period.
    """
    cdef bint[2] candidate
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
    measure_sawtooth(model, state, slides)
    for j in range(2):
        candidate[j] = slides.point[j] >= 0 and is_candidate(model, state, slides, j, doubt)
    for j in range(2):
        i = slides.point[j]
        slides.lasting[j] = (candidate[j] and model.gram[0][1] != 0.0
                             and (not slides.z[1 - j][i] > 0.0 or (candidate[1 - j] and slides.point[1 - j] == i)))
        if candidate[j] and (slides.lasting[j] or is_served_by(model, state, slides, 1 - j, i)):
            slides.pairs |= 1 << (2 * j + i)
    for j in range(2):
        i = slides.point[j]
        if slides.lasting[j] and is_active(slides.pairs, j, i):
            slides.shift[1 - i] = log_mean_of_lasting(model, state.v, slides.z, slides.pairs, i)
    # The margins in which the sawtooth is measured contain it. A sweep improves them by its size.
    for sweep in range(4 if slides.pairs else 0):
        measure_sawtooth(model, state, slides)


cdef int point_of_kink(const Model* model, const State* state, const Slides* slides, int j) noexcept nogil:
    """The point that neuron j is pushed away from, but towards by the other one; −1 if there is none.

    With equal labels it has to be one that the other neuron leaves alone while it serves the other point; or else
    both neurons stay at both kinks for ever, by pushes that do not decay.
    """
    cdef int i, o = 1 - j
    if state.v[j] == 0.0:
        return -1
    if model.label[0] != model.label[1]:
        return 1 - point_served(model, state, j) if model.gram[0][1] > 0.0 else -1
    if not (model.gram[0][1] < 0.0 and model.label[0] * state.v[j] < 0.0):
        return -1
    if model.label[0] * state.v[o] < 0.0 and model.opposed and not model.trained:
        return 1
    if model.label[0] * state.v[o] > 0.0:
        for i in range(2):
            if slides.z[o][1 - i] > 0.0 >= slides.z[o][i]:
                return i
    return -1


cdef inline bint is_served_by(const Model* model, const State* state, const Slides* slides, int j,
                              int i) noexcept nogil:
    return slides.z[j][i] > 0.0 and (model.trained or state.v[j] != 0.0)


cdef bint is_candidate(const Model* model, const State* state, const Slides* slides, int j,
                       double doubt) noexcept nogil:
    """Whether a neuron is within the height of its sawtooth of its kink, and stays active on the other point there.

    Where the points are opposed, z_jk is what z_ji makes of it, and reaches its own kink with it.
    """
    cdef int i = slides.point[j], k = 1 - i
    cdef double size, noise, height = slides.sawtooth[j], fraction = slides.fraction[j], reach
    size = (abs(model.start[j][i]) + abs(state.c[j][0] * model.gram[i][0])
        + abs(state.c[j][1] * model.gram[i][1]))
    noise = 2.0 * doubt * sqrt(model.gram[i][i]) + 1e-27 * size
    if not (fraction < 1.0 + slides.slack and slides.z[j][i] <= 1.25 * fraction * height + noise
            and -1.25 * (1.0 - fraction) * height - noise <= slides.z[j][i]):
        return False
    reach = abs(slide_ratio(model, i)) * height
    if slides.z[j][k] > 4.0 * reach:
        return True
    return (model.opposed
            and abs(slides.z[j][k] - slide_ratio(model, i) * slides.z[j][i]) <= 1e-9 * reach + noise)


cdef void measure_sawtooth(const Model* model, const State* state, Slides* slides) noexcept nogil:
    """The sawtooth of either neuron at the point it does not serve. To the margins `slides.pairs` add their mean."""
    cdef double[2] log_push
    cdef double m, up
    cdef int i, j, k
    for i in range(2):
        m = 0.0
        for j in range(2):
            m += state.v[j] * (slides.mean_relu[j] if is_active(slides.pairs, j, i) else max(0.0, slides.z[j][i])
                               + shift_to_mean(model, slides, j, i))
        log_push[i] = model.log_point_step + log_slope(model, model.label[i] * m + slides.shift[i])
    slides.slack = 1e-13 + 1e-15 * (abs(log_push[0]) + abs(log_push[1]))
    for j in range(2):
        i = slides.point[j]
        if i < 0:
            continue
        k = 1 - i
        slides.sawtooth[j] = exp_(log_push[i]) * abs(state.v[j]) * model.gram[i][i]
        slides.fraction[j] = exp_(log_push[k] - log_push[i]) * abs(model.gram[i][k]) / model.gram[i][i]
        if slides.lasting[j]:
            slides.sawtooth[j] = lasting_push(model) * abs(state.v[j]) * model.gram[i][i]
            slides.fraction[j] = exp_(log_push[k]) / lasting_push(model) * abs(slide_ratio(model, i))
        if model.opposed:
            # Active on i it is not pushed by k: the height is all of what i pushes, on top of `up`.
            slides.sawtooth[j] *= 1.0 + slides.fraction[j]
            slides.fraction[j] /= 1.0 + slides.fraction[j]
        up = slides.fraction[j] * slides.sawtooth[j]
        slides.mean[j] = up - 0.5 * slides.sawtooth[j]
        slides.mean_relu[j] = 0.5 * slides.fraction[j] * up


cdef void measure_at_kink(const Model* model, const State* state, Slides* slides, int j, int i) noexcept nogil:
    """The sawtooth of neuron j at the kink of point i, also if it has just left it: what is found knows no other."""
    if slides.point[j] != i:
        slides.point[j] = i
        slides.lasting[j] = False
        measure_sawtooth(model, state, slides)


cdef inline double shift_to_mean(const Model* model, const Slides* slides, int j, int k) noexcept nogil:
    """What z_jk changes by when the neuron's z_ji moves to its mean by the pushes of point i alone."""
    cdef int i = 1 - k
    if not is_active(slides.pairs, j, i):
        return 0.0
    return slide_ratio(model, i) * (slides.mean[j] - slides.z[j][i])


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


cdef double log_mean_of_lasting(const Model* model, const double* v, const ByPoint* z, int pairs,
                                int i) noexcept nogil:
    """ln of the mean of e^(m_k − its mean course) in A_k, for sawtooths of unrelated phases.

    To second order (Σ a_j² + 2 a κ̂α)/24.
    """
    cdef double squares = 0.0, one
    cdef int j
    for j in range(2):
        one = stroke(model, v, pairs & 3 << (2 * j), i)
        squares += one * one
    return (squares + 2.0 * stroke(model, v, pairs, i) * rise(model, v, z, pairs, i)) / 24.0
