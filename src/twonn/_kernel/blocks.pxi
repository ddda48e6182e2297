"""The steps of a run, block by block."""

cdef enum:
    TIGHTLY_BRACKETED = 64           # number of transitions whose bracket is worth stepping up to them again
    BLOCKS_PER_LOOK = 4              # between looks for what slides, which cost a twelfth of a block
    MOST_UNWATCHED = 1 << 30         # blocks counted since the last one


cdef struct BlockPlan:         # one block of a run, from its opening to its end
    RunData* run
    Block block
    Block opened               # as it was at the start, where that may be asked for
    Time start
    int n_steps                # it may have
    int last                   # those it takes
    int status                 # of the run behind it


cdef int run_block(RunData* run) noexcept nogil:
    """Take the block that starts at the present step, up to the horizon or an earlier end.

    Return how many steps it has without those.
    """
    cdef BlockPlan plan
    cdef uint8_t patterns[BLOCK_STEPS]
    begin_block(run, &plan)
    advance(&run.model, &plan.block, plan.last, patterns)
    end_block(&plan, patterns)
    return plan.n_steps


cdef void begin_block(RunData* run, BlockPlan* plan) noexcept nogil:
    cdef Time horizon = horizon_of(run)
    cdef int64_t left
    plan.run = run
    plan.start = present(run)
    plan.status = RUNNING
    open_block(&run.model, &run.now.state, &plan.block)
    # Between short blocks there may be a leap.
    if run.engine != DIRECT:
        plan.block.span = min(plan.block.span, BLOCK_STEPS)
    plan.n_steps = plan.last = plan.block.span or BLOCK_STEPS
    left = horizon.step - run.now.step if run.now.step >= 0 else 0
    if horizon.step >= 0 and left < plan.n_steps:
        plan.last = <int>max(left, 0)
        plan.status = COMPLETED
    note_pattern(run, plan.block.pattern, present(run), &plan.block)
    run.now.mean_pairs = 0
    if plan.block.pattern == 0:
        plan.last = 0
        plan.status = STATIONARY
    if not plan.block.span or run.now.error > 0.0:
        plan.opened = plan.block


cdef void end_block(BlockPlan* plan, const uint8_t* patterns) noexcept nogil:
    """Record what has happened in a block that has taken its steps, and move to its end."""
    cdef RunData* run = plan.run
    cdef State after
    cdef int last = plan.last, status = plan.status
    if status != STATIONARY:
        close_block(&run.model, &run.now.state, &plan.block, &after)
        if not fits(&run.model, &after):
            # The last sample is the last state that fits, one step before the one named.
            last = max(steps_to_divergence(&run.model, &run.now.state, last) - 1, 0)
            status = DIVERGED
        if run.now.error > 0.0 and run.model.trained:
            amplify(run, &plan.opened, 0.5 * plan.n_steps)
            amplify(run, &plan.block, 0.5 * plan.n_steps)
        if not plan.block.span:
            last = scan(run, &plan.opened, patterns, last, &status)
    if status == COMPLETED and not is_before(next_scheduled(run), later(run, last)):
        record(run, later(run, last), &after, plan.block.pattern, run.now.phase_unknown)
    else:
        record_samples(run, last, status != RUNNING)
    if status == RUNNING:
        run.now.state = after
    run.now.status = status
    set_present(run, later(run, last))
    if run.now.step < 0:
        run.now.date_error[1] += last
    note_segment(run, STEPPED, plan.start, 1, 0)
    if run.now.unwatched < MOST_UNWATCHED:
        run.now.unwatched += plan.n_steps // BLOCK_STEPS
    if (status == RUNNING and run.now.unwatched >= BLOCKS_PER_LOOK
            and (run.now.phase_unknown or not plan.block.span or run.now.sliding_candidates)):
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
                    square += (run.model.label[i] * run.model.label[k] * entry(block.residual, i)
                        * entry(block.residual, k) * run.model.gram[i][k])
        largest = max(largest, square)
    largest = exp_(steps * run.model.point_step * sqrt(largest))
    run.now.error = grown(run.now.error, largest)
    run.now.averaging_error = grown(run.now.averaging_error, largest)


cdef int scan(RunData* run, const Block* start, const uint8_t* patterns, int last, int* status) noexcept nogil:
    """Record the transitions up to step `last` of the block; return `last`, or the step from which no unit is active."""
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
            note_pattern(run, patterns[n - 1], time, &block)
        else:
            note_pattern(run, patterns[n - 1], time, NULL)
        if patterns[n - 1] == 0:
            status[0] = STATIONARY
            return n
    return last
