"""Direct stepping: a State is unfolded into a Block, stepped, and folded back."""

# --------------------------------------------------------------------------------------------------
# From a State to a Block and back

cdef void open_block(const Model* model, const State* state, Block* block) noexcept nogil:
    """Unfold a State; decide for how long the pattern provably holds."""
    cdef int i, j, k
    cdef Sum[2] exact, margin, residual
    cdef pair z
    cdef pair zero = both(0.0)
    block.v = pair_of(state.v[0], state.v[1])
    block.dv = block.dv_low = zero
    for i in range(2):
        for j in range(2):
            exact[j] = preactivation_sum(model, state, j, i)
        margin[i] = margin_sum(model, state, i, exact)
        residual[i] = loss_slope_sum(model, margin[i])
        z = pair_of(exact[0].high, exact[1].high)
        block.kink[i] = -z
        block.base[i] = where(above(-z, zero), -z)
        block.output[i] = where(above(z, zero), z)
        block.dz[i] = block.impulse[i] = block.impulse_low[i] = zero
        for k in range(2):
            block.push[i][k] = both(model.point_step * model.gram[i][k] * model.label[k])
            if not model.trained:
                block.push[i][k] = block.push[i][k] * block.v
    block.pattern = pattern_of(above(block.output[0], zero), above(block.output[1], zero))
    block.margin = pair_of(margin[0].high, margin[1].high)
    block.margin_low = pair_of(margin[0].low, margin[1].low)
    block.residual = pair_of(residual[0].high, residual[1].high)
    block.change = block.anchor = zero
    expand(model, block.residual, block.taylor)
    if model.trained:
        open_trained(model, block, residual)
    else:
        open_fixed(model, block, residual)
    block.cubic = block.span == LONGEST_SPAN


cdef inline pair sum_over_neurons(pair point0, pair point1) noexcept nogil:
    return firsts(point0, point1) + seconds(point0, point1)


cdef inline int span_for(double per_step) noexcept nogil:
    """The longest span in which what grows by at most `per_step` a step stays below 1; 0 if there is none."""
    if per_step * LONGEST_SPAN <= 1.0:
        return LONGEST_SPAN
    if per_step * 1024.0 <= 1.0:
        return 1024
    return BLOCK_STEPS if per_step * BLOCK_STEPS <= 1.0 else 0


cdef void open_fixed(const Model* model, Block* block, const Sum* residual) noexcept nogil:
    """Fixed output weights: prove that for n steps no pre-activation changes sign and Δm stays small.

    With |Δm_i| <= Σ_k |h H_ik| s_k <= 1/(8n) at the start, s_k grows by less than a factor 1.16 within n steps
    (1.16/8 < ln 1.16, and ln s never falls faster than m rises), so that |Δm_i| < 2^-10.7 for n >= 256 throughout
    and z_ji moves by less than 1.16 n times its present rate. 1.2 leaves room for rounding.
    """
    cdef double[2] s = [residual[0].high, residual[1].high]
    cdef double[2] v = [first(block.v), second(block.v)]
    cdef double[2][2] push
    cdef double rate, worst = 0.0
    cdef int i, j, k
    for i in range(2):
        rate = 0.0
        for k in range(2):
            push[0][k] = first(block.push[i][k])
            push[1][k] = second(block.push[i][k])
            block.fixed.coupling[i][k][0] = 0.0
            for j in range(2):
                if is_active(block.pattern, j, i) and is_active(block.pattern, j, k):
                    block.fixed.coupling[i][k][0] += model.label[i] * v[j] * push[j][k]
            rate += abs(block.fixed.coupling[i][k][0]) * s[k]
        worst = larger_or_nan(worst, 8.0 * rate)
        for j in range(2):
            rate = 0.0
            for k in range(2):
                if is_active(block.pattern, j, k):
                    rate += abs(push[j][k]) * s[k]
            if rate != 0.0:
                worst = larger_or_nan(worst, 1.2 * rate / abs(kink_at(block, j, i)))
        block.fixed.s[i][0] = block.fixed.now[i][0] = s[i]
        block.fixed.ds[i][0] = residual[i].low
        block.fixed.sum[i][0] = block.fixed.sum_low[i][0] = 0.0
    block.fixed.steps[0] = 0.0
    block.span = span_for(worst)


cdef void open_trained(const Model* model, Block* block, const Sum* residual) noexcept nogil:
    """Trained output weights: the same, while v_j and z_ji move too.

    ρ = Σ_k S_k √G_kk over active units bounds how fast a neuron's parameters grow relative to the larger of |v_j|,
    |z_ji|/√G_ii: for n ρ <= 2^-4 by less than δ = 1.25 n ρ of it within n steps. With |v_j| and |z_ji| enlarged by
    that, |Δm_i| <= Σ_j Σ_k S_k (v_j² |G_ik| + |z_jk z_ji|) over active units, and the same follows from n times
    that being at most 1/8. z_ji moves by less than 1.16 n |v_j| Σ_k S_k |G_ik|.
    """
    cdef TrainedSmooth_one* trained = &block.trained
    cdef double[2][2] z
    cdef double[2] v
    cdef double growth, size, rate, worst, delta
    cdef Sum pull
    cdef int i, j, k, n
    for k in range(2):
        pull = times(residual[k], model.point_step)
        trained.pull[k][0] = trained.now[k][0] = pull.high
        trained.dpull[k][0] = pull.low
    for j in range(2):
        trained.v[j][0] = first(block.v) if j == 0 else second(block.v)
        trained.dv[j][0] = trained.dv_low[j][0] = 0.0
        for i in range(2):
            trained.z[j][i][0] = 0.0
            if is_active(block.pattern, j, i):
                trained.z[j][i][0] = model.label[i] * -kink_at(block, j, i)
            trained.dz[j][i][0] = trained.impulse[j][i][0] = trained.impulse_low[j][i][0] = 0.0
            trained.gram[j][2 * i][0] = model.gram[i][i] if is_active(block.pattern, j, i) else 0.0
        trained.gram[j][1][0] = 0.0
        if is_active(block.pattern, j, 0) and is_active(block.pattern, j, 1):
            trained.gram[j][1][0] = model.label[0] * model.label[1] * model.gram[0][1]
    growth = 0.0
    for j in range(2):
        rate = 0.0
        for k in range(2):
            if is_active(block.pattern, j, k):
                rate += trained.pull[k][0] * sqrt(model.gram[k][k])
        growth = larger_or_nan(growth, rate)
    n = span_for(16.0 * growth)
    while n:
        delta = 1.25 * n * growth
        worst = 0.0
        for j in range(2):
            size = abs(trained.v[j][0])
            for i in range(2):
                if trained.z[j][i][0] != 0.0:
                    size = larger_or_nan(size, abs(trained.z[j][i][0]) / sqrt(model.gram[i][i]))
            v[j] = abs(trained.v[j][0]) + delta * size
            for i in range(2):
                z[j][i] = abs(trained.z[j][i][0]) + delta * size * sqrt(model.gram[i][i])
                rate = 0.0
                for k in range(2):
                    if is_active(block.pattern, j, k):
                        rate += trained.pull[k][0] * abs(model.gram[i][k])
                if rate != 0.0:
                    worst = larger_or_nan(worst, 1.2 * rate * v[j] / abs(kink_at(block, j, i)))
        for i in range(2):
            rate = 0.0
            for j in range(2):
                for k in range(2):
                    if is_active(block.pattern, j, i) and is_active(block.pattern, j, k):
                        rate += trained.pull[k][0] * (v[j] * v[j] * abs(model.gram[i][k]) + z[j][k] * z[j][i])
            worst = larger_or_nan(worst, 8.0 * rate)
        if n * worst <= 1.0:
            break
        n = 1024 if n > 1024 else BLOCK_STEPS if n > BLOCK_STEPS else 0
    block.span = n
    open_decoupled(model, block)


cdef void open_decoupled(const Model* model, Block* block) noexcept nogil:
    """Decide whether the neurons are decoupled; if so, pair each with its point."""
    cdef const TrainedSmooth_one* trained = &block.trained
    cdef int seen0 = block.pattern & 3, seen1 = block.pattern >> 2, point0, point1
    block.decoupled = seen0 != 3 and seen1 != 3 and seen0 & seen1 == 0
    block.swapped = block.decoupled and (seen0 == 2 or seen1 == 1)
    if block.decoupled:
        point0, point1 = block.swapped, 1 - block.swapped
        block.single.pull[0] = block.single.now[0] = pair_of(trained.pull[point0][0], trained.pull[point1][0])
        block.single.dpull[0] = pair_of(trained.dpull[point0][0], trained.dpull[point1][0])
        block.single.v[0] = block.v
        block.single.z[0] = pair_of(trained.z[0][point0][0], trained.z[1][point1][0])
        block.single.gram[0] = pair_of(trained.gram[0][2 * point0][0], trained.gram[1][2 * point1][0])
        block.single.dv[0] = block.single.dv_low[0] = both(0.0)
        block.single.impulse[0] = block.single.impulse_low[0] = both(0.0)


cdef inline double larger_or_nan(double a, double b) noexcept nogil:
    return a if a > b or a != a else b


cdef inline double kink_at(const Block* block, int j, int i) noexcept nogil:
    return first(block.kink[i]) if j == 0 else second(block.kink[i])


cdef inline double entry(pair p, int index) noexcept nogil:
    return first(p) if index == 0 else second(p)


cdef void close_block(const Model* model, const State* start, const Block* block,
                      State* state) noexcept nogil:
    """Fold a Block at its present step back into a State."""
    cdef int j, k
    cdef Sum impulse, v
    for k in range(2):
        for j in range(2):
            impulse = impulse_of(block, model.trained, j, k)
            # Where output weights are trained, a span's impulse has them and the step size in it.
            impulse = times(impulse, (1.0 if block.span and model.trained else model.point_step) * model.label[k])
            if not model.trained:
                impulse = times(impulse, start.v[j])
            impulse = moved(start.c[j][k], start.c_low[j][k], impulse)
            state.c[j][k] = impulse.high
            state.c_low[j][k] = impulse.low
    for j in range(2):
        if block.span and model.trained:
            v.high = entry(block.single.dv[0], j) if block.decoupled else block.trained.dv[j][0]
            v.low = entry(block.single.dv_low[0], j) if block.decoupled else block.trained.dv_low[j][0]
        else:
            v.high = first(block.dv) if j == 0 else second(block.dv)
            v.low = first(block.dv_low) if j == 0 else second(block.dv_low)
        v = moved(start.v[j], start.v_low[j], v)
        state.v[j] = v.high
        state.v_low[j] = v.low


cdef inline Sum impulse_of(const Block* block, bint trained, int j, int k) noexcept nogil:
    """Σ a_jk s_k (times v_j if trained) since the block's start."""
    cdef Sum r
    if not block.span:
        r.high = first(block.impulse[k]) if j == 0 else second(block.impulse[k])
        r.low = first(block.impulse_low[k]) if j == 0 else second(block.impulse_low[k])
    elif not is_active(block.pattern, j, k):
        r.high = r.low = 0.0
    elif trained:
        if block.decoupled:
            r.high = entry(block.single.impulse[0], j)
            r.low = entry(block.single.impulse_low[0], j)
        else:
            r.high = block.trained.impulse[j][k][0]
            r.low = block.trained.impulse_low[j][k][0]
    else:
        r.high = block.fixed.sum[k][0]
        r.low = block.fixed.sum_low[k][0]
        r = total(times(exactly(block.fixed.s[k][0]), block.fixed.steps[0]), r)
    return r


# --------------------------------------------------------------------------------------------------
# Steps

# One compiled body per case, chosen by the type of an argument: the loops are too long for compilers to
# specialise by themselves, and a branch inside them costs registers.
ctypedef char FixedOutput
ctypedef short TrainedOutput
ctypedef fused Output:
    FixedOutput
    TrainedOutput


cdef inline Sum margin_after(double margin, double margin_low, double change) noexcept nogil:
    cdef Sum m = two_sum(margin, change)
    m.low += margin_low
    return m


cdef inline pair slopes_after(const Model* model, const Block* block, pair change) noexcept nogil:
    """s_i where the margins have changed by so much since the block's start."""
    return loss_slopes_at(model, margin_after(first(block.margin), first(block.margin_low), first(change)),
                          margin_after(second(block.margin), second(block.margin_low), second(change)))


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
    cdef pair s = block.residual, anchor = block.anchor, change = block.change, before, x
    cdef pair[4] taylor
    cdef pair impulse0 = block.impulse[0], impulse1 = block.impulse[1]
    cdef pair low0 = block.impulse_low[0], low1 = block.impulse_low[1]
    cdef pair dv = block.dv, dv_low = block.dv_low, v = block.v + block.dv
    cdef pair output0 = block.output[0], output1 = block.output[1]
    cdef pair dz0 = block.dz[0], dz1 = block.dz[1]
    cdef pair s0, s1, top0, top1, rise0, rise1, gain0, gain1, gain, total
    cdef pair label0 = both(model.label[0]), label1 = both(model.label[1])
    cdef pair rate0 = both(model.point_step) * label0, rate1 = both(model.point_step) * label1
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
        # The points' pushes may nearly cancel: summed step by step, no digit of the difference is lost.
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
                expand(model, slopes_after(model, block, change), taylor)
            x = anchor - change
        s = (taylor[0] + taylor[1] * x) + (x * x) * (taylor[2] + taylor[3] * x)
    block.residual = s
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
    """Move a Block n steps on; patterns[0..n) receives the pattern after each where it may change."""
    if not block.span:
        if model.trained:
            general_steps(model, block, n, patterns, <TrainedOutput>0)
        else:
            general_steps(model, block, n, patterns, <FixedOutput>0)
    elif model.trained:
        if block.decoupled:
            decoupled_steps_pair(&block.single, n, model.point_step, model.loss, block.cubic)
            block.residual = pair_of(entry(block.single.now[0], block.swapped) / model.point_step,
                                  entry(block.single.now[0], 1 - block.swapped) / model.point_step)
        else:
            trained_steps_one(&block.trained, n, model.point_step, model.loss, block.cubic)
            block.residual = pair_of(block.trained.now[0][0] / model.point_step,
                                     block.trained.now[1][0] / model.point_step)
    else:
        fixed_steps_one(&block.fixed, n, model.loss, block.cubic)
        block.residual = pair_of(block.fixed.now[0][0], block.fixed.now[1][0])


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
