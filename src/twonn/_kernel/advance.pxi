"""One advance of a run: a leap where that is possible, else a block of steps."""

cdef int64_t advance_once(RunData* run) noexcept nogil:
    """Leap, or else step; return what it cost, in steps."""
    cdef int64_t cost = 0
    cdef int n_steps
    cdef bint leapt
    if run.engine == AUTO and run.now.spent >= run.max_direct:
        end_here(run, OBSTRUCTED)
        return 0
    # The first block is stepped always: transitions may follow each other there.
    # Nor is there a leap where one has just ended before a kink that is to be stepped through.
    if run.engine != DIRECT and run.now.step != 0 and run.now.credit >= 0 and not stops_at_kink(run):
        leapt = try_to_leap(run, &cost)
        run.now.spent += cost
        if leapt or run.now.status != RUNNING:
            return cost
    if run.engine == LEAP and run.now.walked >= PATIENCE:
        run.now.status = OBSTRUCTED
        return cost
    n_steps = run_block(run)
    run.now.credit += n_steps // 16
    run.now.walked += n_steps
    run.now.spent += n_steps
    run.now.settled_since = INFINITY
    return cost + n_steps


cdef inline bint stops_at_kink(const RunData* run) noexcept nogil:
    return run.now.obstacle == NEAR_KINK and run.now.walked == 0
