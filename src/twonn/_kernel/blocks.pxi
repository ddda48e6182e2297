"""The steps of a run, block by block."""

cdef enum:
    TIGHTLY_BRACKETED = 64           # number of transitions whose bracket is worth stepping up to them again
    BLOCKS_PER_LOOK = 4              # between looks for what slides, which cost a twelfth of a block
    MOST_UNWATCHED = 1 << 30         # blocks counted since the last one


cdef struct Turn:              # one block of a run, from its opening to its end
    RunData* run
    Block block
    Block opened               # as it was at the start, where that may be asked for
    Time start
    int length                 # steps it may have
    int last                   # those it takes
    int status                 # of the run behind it


cdef int run_block(RunData* run) noexcept nogil:
    """Take the block that starts at the present step, up to the horizon or an earlier end; return its length."""
    cdef Turn turn
    cdef uint8_t patterns[BLOCK_STEPS]
    begin_block(run, &turn)
    advance(&run.model, &turn.block, turn.last, patterns)
    end_block(&turn, patterns)
    return turn.length


cdef void begin_block(RunData* run, Turn* turn) noexcept nogil:
    cdef Time horizon = horizon_of(run)
    cdef int64_t left
    turn.run = run
    turn.start = present(run)
    turn.status = RUNNING
    open_block(&run.model, &run.now.state, &turn.block)
    # Between short blocks there may be a leap.
    if run.engine != DIRECT:
        turn.block.span = min(turn.block.span, BLOCK_STEPS)
    turn.length = turn.last = turn.block.span or BLOCK_STEPS
    left = horizon.step - run.now.step if run.now.step >= 0 else 0
    if horizon.step >= 0 and left < turn.length:
        turn.last = <int>max(left, 0)
        turn.status = COMPLETED
    note(run, turn.block.pattern, present(run), &turn.block)
    run.now.held = 0
    if turn.block.pattern == 0:
        turn.last = 0
        turn.status = STATIONARY
    if not turn.block.span or run.now.error > 0.0:
        turn.opened = turn.block


cdef void end_block(Turn* turn, const uint8_t* patterns) noexcept nogil:
    """Take notice of what happened in a block that has taken its steps."""
    cdef RunData* run = turn.run
    cdef State after
    cdef int last = turn.last, status = turn.status
    if status != STATIONARY:
        close_block(&run.model, &run.now.state, &turn.block, &after)
        if not fits(&run.model, &after):
            # The last sample is the last state that fits, one step before the one named.
            last = max(steps_to_divergence(&run.model, &run.now.state, last) - 1, 0)
            status = DIVERGED
        if run.now.error > 0.0 and run.model.trained:
            amplify(run, &turn.opened, 0.5 * turn.length)
            amplify(run, &turn.block, 0.5 * turn.length)
        if not turn.block.span:
            last = scan(run, &turn.opened, patterns, last, &status)
    if status == COMPLETED and not is_before(next_scheduled(run), later(run, last)):
        record(run, later(run, last), &after, turn.block.pattern, run.now.unphased)
    else:
        sample(run, last, status != RUNNING)
    if status == RUNNING:
        run.now.state = after
    run.now.status = status
    set_present(run, later(run, last))
    if run.now.step < 0:
        run.now.lag[1] += last
    note_segment(run, STEPPED, turn.start, 1, 0)
    if run.now.unwatched < MOST_UNWATCHED:
        run.now.unwatched += turn.length // BLOCK_STEPS
    if (status == RUNNING and run.now.unwatched >= BLOCKS_PER_LOOK
            and (run.now.unphased or not turn.block.span or run.now.caught)):
        look_for_slides(run)


cdef void amplify(RunData* run, const Block* block, double steps) noexcept nogil:
    """Let the errors grow as in so many steps; see log_amplification."""
    cdef double largest = 0.0, square
    cdef int i, j, k
    for j in range(2):
        # |Σ_k s_k y_k a_jk x_k|²
        square = 0.0
        for i in range(2):
            for k in range(2):
                if is_active(block.pattern, j, i) and is_active(block.pattern, j, k):
                    square += (run.model.label[i] * run.model.label[k] * entry(block.slope, i)
                        * entry(block.slope, k) * run.model.gram[i][k])
        largest = max(largest, square)
    largest = exp_(steps * run.model.rate * sqrt(largest))
    run.now.error = grown(run.now.error, largest)
    run.now.averaging_error = grown(run.now.averaging_error, largest)


cdef int scan(RunData* run, const Block* start, const uint8_t* patterns, int last, int* status) noexcept nogil:
    """Note the transitions up to step `last` of the block; return the step at which all units died."""
    cdef Block block
    cdef uint8_t again[BLOCK_STEPS]
    cdef Time time
    cdef int n
    if run.now.error > 0.0 and TIGHTLY_BRACKETED <= run.now.n_transitions < run.transitions_kept:
        set_width(run, start)
    # The pattern after BLOCK_STEPS steps is the next block's to tell.
    for n in range(1, min(last, BLOCK_STEPS - 1) + 1):
        if patterns[n - 1] == run.now.last_pattern:
            continue
        time = later(run, n)
        if run.now.error > 0.0 and run.now.n_transitions < TIGHTLY_BRACKETED:
            open_block(&run.model, &run.now.state, &block)
            advance(&run.model, &block, n, again)
            note(run, patterns[n - 1], time, &block)
        else:
            note(run, patterns[n - 1], time, NULL)
        if patterns[n - 1] == 0:
            status[0] = STATIONARY
            return n
    return last
