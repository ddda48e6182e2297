"""Averaging: a leap in which neurons slide, by the means of sliding.pxi, and where those are good enough."""

cdef enum:
    LARGEST_SAWTOOTH_PARTS = 1000   # the sawtooth moves the margin by less than one of so many parts of 1
    LARGEST_TRAINED_SAWTOOTH_PARTS = 5000  # with trained output, where what its phase changes is not forgotten
    NEGLIGIBLE_SAWTOOTH_PARTS = 1_000_000  # of one whose phase does not matter
    FEWEST_PERIODS = 1000          # in the time scale of the motion
    LARGEST_WIGGLE_PARTS = 10_000  # a lasting one: how far a period takes m_k off its mean course, a κ̂α, in parts of 1


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
        leap.z[j][k] += shift_to_mean(leap.model, slides, j, k)
        if leap.z[j][k] > 0.0:
            leap.pattern |= 1 << (2 * j + k)
        leap.z[j][i] = leap.mean_at_start[j] = slides.mean[j]
        leap.mean_relu_at_start[j] = slides.mean_relu[j]
        if slides.lasting[j]:
            leap.lasting_push[i] = lasting_push(leap.model)
        reduced = reduced_gram(leap.model, k)
        leap.gram[j][k][k], leap.gram_low[j][k][k] = reduced.high, reduced.low
        leap.gram[j][i][0] = leap.gram[j][i][1] = leap.gram_low[j][i][0] = leap.gram_low[j][i][1] = 0.0
    for i in range(2):
        set_margin(leap, i)
        leap.margin[i] += slides.shift[i]


cdef double sawtooth_at(const Leap* leap, int j, double inverse, double v, const double* p,
                        double* fraction) noexcept nogil:
    """The height of a sliding neuron's sawtooth, and its active fraction, where ε = `inverse`, v_j = v and P = p."""
    cdef double height
    cdef int i = kink_of(leap.sliding, j)
    if leap.lasting_push[i] > 0.0:
        fraction[0] = inverse * p[1 - i] / leap.lasting_push[i] * abs(slide_ratio(leap.model, i))
        height = leap.lasting_push[i] * abs(v) * leap.model.gram[i][i]
        if leap.model.opposed:
            height *= 1.0 + fraction[0]
            fraction[0] /= 1.0 + fraction[0]
        return height
    fraction[0] = p[1 - i] / p[i] * slide_ratio(leap.model, i)
    return inverse * p[i] * abs(v) * leap.model.gram[i][i]


cdef void means_at_nodes(Leap* leap) noexcept nogil:
    """The means at the nodes, from P and v there."""
    cdef double[2] p
    cdef double height, fraction
    cdef int j, r
    for j in range(2):
        if kink_of(leap.sliding, j) < 0:
            continue
        for r in range(NODES):
            p[0], p[1] = leap.p[0].at[r], leap.p[1].at[r]
            height = sawtooth_at(leap, j, leap.epsilon.at[r], leap.vs[j].at[r], p, &fraction)
            leap.mean[j].at[r] = (fraction - 0.5) * height
            leap.mean_relu[j].at[r] = 0.5 * fraction * fraction * height


cdef void add_up_lift(const Leap* leap, int j, nodes* sum) noexcept nogil:
    """Σ g_i times the mean of max(0, z_ji), i being the point at whose kink neuron j slides."""
    cdef int i = kink_of(leap.sliding, j), r
    cdef nodes f
    if leap.lasting_push[i] == 0.0:
        add_up(leap, i, leap.mean_relu_at_start[j], &leap.mean_relu[j], sum)
        return
    for r in range(NODES):
        f.at[r] = leap.lasting_push[i] * leap.mean_relu[j].at[r] / leap.epsilon.at[r]
    apply(leap.matrix, leap.lasting_push[i] * leap.mean_relu_at_start[j] / leap.inverse, &f, sum)


cdef void add_means(const Leap* leap, nodes* residual) noexcept nogil:
    """What the changes of the means do to the margins; fixed output."""
    cdef double push, change
    cdef int i, j, r
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i < 0:
            continue
        push = leap.model.label[1 - i] * leap.v[j] * slide_ratio(leap.model, i)
        for r in range(NODES):
            residual[1 - i].at[r] += push * (leap.mean[j].at[r] - leap.mean_at_start[j])
            change = leap.mean_relu[j].at[r] - leap.mean_relu_at_start[j]
            residual[i].at[r] += leap.model.label[i] * leap.v[j] * change


cdef void put_on_kinks(const Leap* leap, double passed, State* state) noexcept nogil:
    """Let C_ji be what puts z_ji on its mean, τ at the start + `passed`."""
    cdef double[POINTS] values
    cdef double mean, lasting
    cdef int i, j, once
    if not (leap.frozen or leap.affine):
        interpolation(passed / leap.log_length, values)
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
            add_to(&state.c[j][i], &state.c_low[j][i],
                   (mean - preactivation(leap.model, state, j, i)) / leap.model.gram[i][i])


# --------------------------------------------------------------------------------------------------
# Where averaging holds

cdef inline int parts_of_sawtooth(const Model* model) noexcept nogil:
    return LARGEST_TRAINED_SAWTOOTH_PARTS if model.trained else LARGEST_SAWTOOTH_PARTS


cdef bint is_averageable(const Model* model, double inverse, double effect, double fraction,
                         double slack) noexcept nogil:
    """Whether a sawtooth that changes a margin by `effect` is small, with many periods in the time scale 1/`inverse`.

    Where they are few, because θ is near 0 or 1, the mean says of z_ji no more than the height does. That does not
    matter once the height as a whole does not; θ then may reach 1, and pass it far enough for that to be noticed.
    """
    if not effect * parts_of_sawtooth(model) <= 1.0:
        return False
    if effect * NEGLIGIBLE_SAWTOOTH_PARTS <= 1.0:
        return inverse <= fraction <= 1.0 + 4.0 * slack
    return inverse * FEWEST_PERIODS <= min(fraction, 1.0 - fraction)


cdef bint is_lasting_averageable(const Leap* leap, int i, double push, double growth) noexcept nogil:
    """Whether a sawtooth that lasts may be averaged; `push` is g_k.

    Within a period m_k leaves its mean course by some a κ̂α/8, for ever. Beyond counting, where there would be no end of
    periods, 1/10 has to do for a.
    """
    cdef double a = growth * stroke(leap.model, leap.v, leap.sliding, i)
    cdef double wiggle = a * growth * rise(leap.model, leap.v, leap.z, leap.sliding, i)
    cdef double all_of_k = 0.0
    cdef int j
    for j in range(2):
        all_of_k += leap.v[j] * leap.v[j] * leap.model.gram[1 - i][1 - i]
    if not push * growth * all_of_k * parts_of_sawtooth(leap.model) <= 1.0:
        return False
    return wiggle * LARGEST_WIGGLE_PARTS <= 1.0 or (leap.log_scale > 43.6 and a <= 0.1)


cdef int averageable_at_start(const Leap* leap, const Slides* slides) noexcept nogil:
    """Those pairs of `leap.sliding` whose averaging is accurate at the start of the leap."""
    cdef int i, j, pairs = 0
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0 and leap.lasting_push[i] > 0.0:
            if is_lasting_averageable(leap, i, leap.scaled_push[1 - i] * leap.inverse, 1.0):
                pairs |= leap.sliding & 3 << (2 * j)
        elif i >= 0 and is_averageable(leap.model, leap.inverse,
                                                            abs(leap.v[j]) * slides.sawtooth[j],
                                                            slides.fraction[j], slides.slack):
            pairs |= leap.sliding & 3 << (2 * j)
    return pairs


cdef bint is_averageable_at(const Leap* leap, double passed) noexcept nogil:
    cdef double[POINTS] values
    cdef double[2] p
    cdef double v, height, fraction
    cdef int i, j, k
    interpolation(passed / leap.log_length, values)
    for k in range(2):
        p[k] = values[0] * leap.scaled_push[k] + interpolated(values, &leap.p[k])
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0:
            v = values[0] * leap.v[j] + interpolated(values, &leap.vs[j])
            if leap.lasting_push[i] > 0.0:
                if not is_lasting_averageable(leap, i, p[1 - i] * leap.inverse * exp_(-passed),
                                              max(1.0, 0.5 * (v / leap.v[j]) * (v / leap.v[j]))):
                    return False
                continue
            height = sawtooth_at(leap, j, leap.inverse * exp_(-passed), v, p, &fraction)
            if not is_averageable(leap.model, leap.inverse * exp_(-passed), abs(v) * height, fraction, leap.slack):
                return False
    return True


cdef double averageable_until(const Leap* leap) noexcept nogil:
    """The τ since the start of the leap up to which averaging is accurate; `log_length` if all of it."""
    cdef double low = 0.0, high, middle
    cdef int c, n
    if not leap.sliding or leap.frozen or leap.affine:
        return leap.log_length
    for c in range(1, POINTS):
        high = leap.log_length * POINT[c]
        if not is_averageable_at(leap, high):
            for n in range(60):
                middle = 0.5 * (low + high)
                if is_averageable_at(leap, middle):
                    low = middle
                else:
                    high = middle
            return low
        low = high
    return leap.log_length
