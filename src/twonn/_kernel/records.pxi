"""What a run records: samples, transitions, and segments by engine."""

cdef void note_pattern(RunData* run, int pattern, Time time, const Block* block) noexcept nogil:
    """Compare the pattern at a time with the last one; a change is a transition, and is dated.

    The leap dates a transition that it passes. Others have a bracket once there is an error to account for:
    a tight one if the `block` of this very time is given, else one of `width` steps.
    """
    cdef double* row
    # The sign of a mean is not that of z_ji.
    pattern = pattern & ~run.now.mean_pairs | run.now.last_pattern & run.now.mean_pairs
    if run.now.last_pattern >= 0 and pattern != run.now.last_pattern:
        if run.now.n_transitions < run.transitions_kept:
            row = run.transition_times[run.now.n_transitions]
            row[0] = row[2] = row[3] = as_number(time)
            row[1] = time.log
            if run.now.dated_by_leap:
                row[0], row[1] = run.now.leap_date[0], run.now.leap_date[1]
                row[2], row[3] = run.now.leap_date[2], run.now.leap_date[3]
            elif run.now.error > 0.0 and block != NULL:
                bracket(run, pattern, block, row)
            elif run.now.error > 0.0:
                row[2] -= run.now.width
                row[3] += run.now.width
            if not run.now.dated_by_leap and row[3] < INFINITY:
                row[2] -= run.now.date_error[0]
                row[3] += run.now.date_error[1]
            row[2] = max(row[2], 0.0)
            run.transition_patterns[run.now.n_transitions][0] = run.now.last_pattern
            run.transition_patterns[run.now.n_transitions][1] = pattern
        note_flips(run, pattern ^ run.now.last_pattern, time)
        if run.counts != NULL:
            run.counts[run.now.last_pattern][pattern] += 1
        run.now.n_transitions += 1
        run.now.settled_since = INFINITY
        run.now.length_index = min(run.now.length_index, UNIT_LENGTH + 2)
    run.now.dated_by_leap = False
    run.now.last_pattern = pattern


cdef void bracket(RunData* run, int pattern, const Block* block, double* row) noexcept nogil:
    """Widen the date of a transition by the steps in which z_ji moves by its error.

    The last two z_ji tell how many steps that is on either side, most often none.
    """
    cdef double after, before, speed, doubt
    cdef int i, j, k
    for j in range(2):
        for i in range(2):
            if is_active(pattern ^ run.now.last_pattern, j, i):
                speed = 0.0
                for k in range(2):
                    if is_active(run.now.last_pattern, j, k):
                        speed += pushed(run, block, j, i, k)
                speed = abs(speed)
                doubt = doubt_of(run, 2 * j + i)
                after = abs(entry(block.dz[i] - block.kink[i], j))
                before = speed - after
                if before < doubt:
                    row[2] = min(row[2], row[0] - ceil((doubt - before) / speed))
                if after < doubt:
                    row[3] = max(row[3], row[0] + ceil((doubt - after) / speed))


cdef void set_width(RunData* run, const Block* block) noexcept nogil:
    """The steps in which any z_ji moves by its error, whatever the pattern."""
    cdef double first_push, second_push, speed
    cdef int i, j
    run.now.width = 0.0
    for j in range(2):
        for i in range(2):
            first_push = abs(pushed(run, block, j, i, 0))
            second_push = abs(pushed(run, block, j, i, 1))
            speed = min(first_push, second_push) or max(first_push, second_push)
            if 0.0 < abs(first_push - second_push) < speed:
                speed = abs(first_push - second_push)
            if speed > 0.0:
                run.now.width = max(run.now.width, ceil(doubt_of(run, 2 * j + i) / speed))


cdef inline double pushed(RunData* run, const Block* block, int j, int i, int k) noexcept nogil:
    """What point k moves z_ji by in a step, if neuron j is active on it."""
    return (run.model.point_step * run.model.label[k] * run.model.gram[i][k]
            * entry(block.v + block.dv, j) * entry(block.residual, k))


cdef void note_flips(RunData* run, int units, Time time) noexcept nogil:
    """Keep the times of flips, which date the episodes of sliding."""
    cdef double now = as_number(time)
    cdef int j
    for j in range(2):
        if units >> (2 * j) & 3:
            if run.now.first_flip[j] < 0.0:
                run.now.first_flip[j] = now
            run.now.last_flip[j] = now


cdef void record_samples(RunData* run, int last, bint ended) noexcept nogil:
    """Record the scheduled steps of the present block before `last`, and `last` if the run ended."""
    cdef Block block, ahead
    cdef State state
    cdef uint8_t patterns[BLOCK_STEPS]
    cdef int taken = 0, whole, target
    cdef Time time, end = later(run, last), scheduled = next_scheduled(run)
    if not (is_before(scheduled, end) or ended):
        return
    open_block(&run.model, &run.now.state, &block)
    while is_before(scheduled, end) or ended:
        time = scheduled if is_before(scheduled, end) else end
        target = last
        if time.step >= 0 and run.now.step >= 0:
            target = <int>max(taken, min(time.step - run.now.step, last))
        # Whole groups only, so that the numbers do not depend on which other steps are recorded.
        whole = target - target % GROUP
        advance(&run.model, &block, whole - taken, patterns)
        taken = whole
        ahead = block
        advance(&run.model, &ahead, target - whole, patterns)
        close_block(&run.model, &run.now.state, &ahead, &state)
        record(run, time, &state, ahead.pattern, run.now.phase_unknown)
        if target == last:
            return
        scheduled = next_scheduled(run)


cdef void record(RunData* run, Time time, const State* state, int pattern, int phase_unknown) noexcept nogil:
    run.steps[run.now.n_samples] = time.step
    run.logs[run.now.n_samples] = time.log
    run.states[run.now.n_samples] = state[0]
    run.patterns[run.now.n_samples] = pattern
    run.phase_unknown_then[run.now.n_samples] = phase_unknown
    run.now.n_samples += 1


cdef void note_segment(RunData* run, int kind, Time start, int blocks, int iterations) noexcept nogil:
    """Add what lies between `start` and now to the segments."""
    cdef int64_t n = run.now.n_segments - 1
    if n < 0 or (run.segments[n][0] != kind and run.now.n_segments < run.segments_kept):
        n += 1
        run.now.n_segments += 1
        run.segments[n][0] = kind
        run.segments[n][1] = start.step
        run.segments[n][3] = run.segments[n][4] = 0
        run.segment_logs[n][0] = start.log
    run.segments[n][2] = run.now.step
    run.segments[n][3] += blocks
    run.segments[n][4] += iterations
    run.segment_logs[n][1] = run.now.log_step


cdef void end_here(RunData* run, int status) noexcept nogil:
    """End the run at its present step, which becomes the last sample."""
    cdef Block block
    open_block(&run.model, &run.now.state, &block)
    note_pattern(run, block.pattern, present(run), &block)
    record_samples(run, 0, True)
    run.now.status = status
