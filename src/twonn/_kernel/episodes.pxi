"""Which neurons slide, from when to when: the episodes that a run records."""

cdef void look_for_slides(RunData* run) noexcept nogil:
    """Follow which neurons slide; a neuron found twice in a row at the same kink does."""
    cdef Slides slides
    cdef double now = as_number(present(run))
    cdef int i, j, before
    run.now.unwatched = 0
    find_slides(&run.model, &run.now.state, run.now.error, &slides)
    for j in range(2):
        before = kink_of(run.now.sliding_candidates, j)
        i = kink_of(slides.pairs, j)
        if before >= 0 and i != before:
            leave_kink(run, j, before, run.now.last_flip[j] if run.now.last_flip[j] >= 0.0 else now, &slides)
        elif before >= 0 and run.now.episode[j] < 0:
            enter_kink(run, j, before)
        elif i >= 0 and before < 0:
            run.now.entered[j] = run.now.first_flip[j] if run.now.first_flip[j] >= 0.0 else now
        run.now.first_flip[j] = run.now.last_flip[j] = -1.0
    run.now.sliding_candidates = slides.pairs


cdef void enter_kink(RunData* run, int j, int i) noexcept nogil:
    cdef int64_t n = run.now.n_slides
    if n >= run.slides_kept:
        n = run.slides_kept + j  # a place that is used again
    run.now.n_slides += 1
    run.now.episode[j] = n
    run.slides[n][0] = j
    run.slides[n][1] = i
    run.slides[n][2] = run.now.entered[j]
    run.slides[n][3] = INFINITY
    run.slides[n][4] = NAN


cdef void leave_kink(RunData* run, int j, int i, double time, Slides* slides) noexcept nogil:
    cdef int pair = 1 << (2 * j + i)
    measure_at_kink(&run.model, &run.now.state, slides, j, i)
    if run.now.episode[j] >= 0:
        run.slides[run.now.episode[j]][3] = time
        run.slides[run.now.episode[j]][4] = min(max(slides.fraction[j], 0.0), 1.0)
    run.now.episode[j] = -1
    if run.now.phase_unknown & pair:
        # The phase in which the neuron left the kink is unknown.
        run.now.phase_unknown &= ~pair
        run.now.averaging_error += slides.sawtooth[j] / sqrt(run.model.gram[i][i])


cdef double cost_of_averaging(RunData* run, const Slides* slides, int j) noexcept nogil:
    """The error, in the parameters, of not knowing the phase in which averaging begins; see docs/numerics.md."""
    cdef int i = kink_of(slides.pairs, j)
    cdef double v = abs(run.now.state.v[j]), parts = max(min(slides.fraction[j], 1.0 - slides.fraction[j]), 0.0)
    cdef double effect = v * slides.sawtooth[j] * max(1.0, run.model.gram[0][1] / run.model.gram[i][i])
    if slides.lasting[j]:
        return slides.sawtooth[j] / sqrt(run.model.gram[i][i])
    # An unknown phase costs no more than the height of the sawtooth.
    effect *= effect / parts if effect < parts else 1.0
    return 50.0 * effect / (v * sqrt(min(run.model.gram[0][0], run.model.gram[1][1])))


cdef void measure_open_slides(RunData* run) noexcept nogil:
    """Fill in the active fraction, at the last sample, of each episode that has not ended."""
    cdef Slides slides
    cdef const State* last
    cdef int j
    if run.now.n_samples == 0:
        return
    last = &run.states[run.now.n_samples - 1]
    find_slides(&run.model, last, run.now.error, &slides)
    for j in range(2):
        if run.now.episode[j] >= 0:
            measure_at_kink(&run.model, last, &slides, j, <int>run.slides[run.now.episode[j]][1])
            run.slides[run.now.episode[j]][4] = min(max(slides.fraction[j], 0.0), 1.0)
