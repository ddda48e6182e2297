"""The leaps of a run: where one may begin, how far it goes, and how it ends."""

cdef enum:
    SAMPLES_PER_POLL = 1 << 15       # of one leap, some milliseconds


cdef bint try_to_leap(RunData* run, int64_t* cost) noexcept nogil:
    """Try to leap; tell whether it was possible, and what the try cost, in steps.

    What tries cost in vain is kept below one sixteenth of the steps taken: it is paid from a credit. Where a
    signal comes in between, it is as if the leap had not been tried yet.
    """
    cdef Leap leap
    cdef Block block
    cdef RunState before
    cdef Time end = present(run)
    unfold(&run.model, &run.now.state, &leap)
    if leap.pattern & ~run.now.mean_pairs != run.now.last_pattern & ~run.now.mean_pairs:
        open_block(&run.model, &run.now.state, &block)
    note_pattern(run, leap.pattern, present(run), &block)
    if leap.pattern == 0:
        end_here(run, STATIONARY)
        return False
    before = run.now
    run.now.obstacle = start_leap(run, &leap)
    if run.now.obstacle == NONE and not (leap.frozen or clear_of_kinks(&leap)):
        run.now.obstacle = NEAR_KINK
    if run.now.obstacle == NONE:
        run.now.obstacle = solve_longest(run, &leap, &end)
    if run.now.obstacle == NONE:
        run.now.obstacle = end_at_crossing(run, &leap, &end)
    # Measured, in steps of a smooth stretch; with room for slower machines.
    cost[0] = 128 + leap.iterations * (600 if leap.coupled else 150) + leap.searches * 50
    if run.now.obstacle != NONE:
        run.now.dated_by_leap = False
        run.now.credit -= cost[0]
        return False
    # The shortest leaps may cost more than they save.
    if run.now.step >= 0 and end.step >= 0 and end.step - run.now.step < cost[0]:
        run.now.credit -= cost[0] - (end.step - run.now.step)
    if not land(run, &leap, end):
        run.now = before
        cost[0] = 0
        return True
    if leap.before_kink:
        run.now.obstacle = NEAR_KINK
    return True


cdef int start_leap(RunData* run, Leap* leap) noexcept nogil:
    """Let slide what may be averaged, and choose the scale."""
    cdef Slides slides
    cdef double log_step = run.now.log_step if run.now.step < 0 else -INFINITY
    cdef int obstacle, pairs, j
    slides.pairs = 0
    if run.average:
        find_slides(&run.model, &run.now.state, run.now.error, &slides)
    pairs = slides.pairs
    while True:
        if pairs:
            let_slide(leap, &slides, pairs)
        couple(leap)
        balance(leap, &run.now.state)
        obstacle = set_balance_scale(leap, log_step) if leap.balanced else set_scale(leap, log_step)
        if obstacle != NONE or leap.frozen or not pairs:
            break
        pairs = averageable_at_start(leap, &slides)
        if pairs == leap.sliding:
            break
        unfold(&run.model, &run.now.state, leap)
    leap.entry_error = 0.0
    for j in range(2):
        if pairs & ~run.now.mean_pairs & 3 << (2 * j):
            leap.entry_error += cost_of_averaging(run, &slides, j)
    return obstacle


cdef bint land(RunData* run, Leap* leap, Time end) noexcept nogil:
    """Record the samples inside a leap and move to its end, or to the horizon if that is nearer.

    False if a signal came while there was much to record: the leap has to be made again.
    """
    cdef State after
    cdef State reached
    cdef double passed = leap.reached, landing = leap.landing, growth
    cdef Time start = present(run), converged = start, horizon = horizon_of(run), scheduled = next_scheduled(run)
    cdef int64_t recorded = 0
    if leap.converged:
        converged = start
        if start.step >= 0 and start.step + ceil(leap.longest) < 9.2e18:
            converged.step += <int64_t>ceil(leap.longest)
        elif start.step >= 0:
            converged.step = -1
            converged.log = log_(start.step + leap.longest)
        run.now.converged_step, run.now.converged_log = converged.step, converged.log
    # A sample at the end of the leap is left to the next one's start, unless it is the last and no
    # transition comes with it.
    while is_before(scheduled, end) or not (run.now.dated_by_leap or is_before(end, horizon)
                                            or is_before(horizon, scheduled)):
        recorded += 1
        if recorded % SAMPLES_PER_POLL == 0 and signalled():
            return False
        fold(leap, &run.now.state, passed_until(leap, start, scheduled), &after)
        record(run, scheduled, &after, leap.pattern | on_average(leap, &after),
               run.now.phase_unknown | leap.sliding)
        if not is_before(scheduled, horizon):
            run.now.status = CONVERGED if leap.converged and not is_before(horizon, converged) else COMPLETED
            end = scheduled
            leap.onto = -1
            passed = landing = passed_until(leap, start, scheduled)
            break
        scheduled = next_scheduled(run)
    fold(leap, &run.now.state, passed, &reached)
    fold(leap, &run.now.state, landing, &after)
    if leap.onto >= 0:
        put_behind_kink(leap, &after)
    growth = exp_(log_amplification(leap))
    run.now.error = grown(run.now.error, growth)
    run.now.averaging_error = grown(run.now.averaging_error + leap.entry_error, growth)
    run.now.error += (leap.doubt + rounding(leap, passed)) * path_length(leap, &run.now.state, &reached)
    if leap.balanced:
        run.now.error = max(run.now.error, doubt_of_balance(leap))
    run.now.error += path_length(leap, &reached, &after)
    run.now.state = after
    set_present(run, end)
    run.now.mean_pairs = leap.sliding
    run.now.phase_unknown |= leap.sliding
    run.now.averaged |= leap.sliding != 0
    run.now.uncounted |= leap.sliding != 0
    note_segment(run, AVERAGED if leap.sliding else LEAPT, start, 1, leap.iterations)
    run.now.walked = 0
    if leap.sliding or run.now.phase_unknown or run.now.sliding_candidates:
        look_for_slides(run)
    return True


cdef int solve_longest(RunData* run, Leap* leap, Time* end) noexcept nogil:
    """Solve over the longest stretch that NODES points resolve, by experience of the leap before."""
    cdef double steps, log_length
    cdef int shortening = 0
    leap.doubt = 0.0
    if leap.frozen or is_affine(run, leap):
        leap.log_length = leap.reached = leap.landing = LAST_LOG
        end.step = -1
        end.log = LAST_LOG
        return NONE
    while run.now.length_index >= 0:
        log_length = LENGTH[run.now.length_index]
        steps = floor(steps_after(leap, log_length))
        if leap.balanced and not leap.settled and not steps <= leap.longest:
            steps = floor(leap.longest)
        if steps < FEWEST_STEPS:
            break
        end_after(run, leap, steps, log_length, end)
        if solve(leap, run.now.length_index, leap.landing):
            if not shortening and run.now.length_index < LENGTHS - 1:
                run.now.length_index += 1
            return NONE
        # Further each time: a fast transient may need a leap a hundred times shorter.
        shortening += 1
        run.now.length_index -= shortening
    run.now.length_index = UNIT_LENGTH
    return UNRESOLVED


cdef bint is_affine(RunData* run, Leap* leap) noexcept nogil:
    """Whether deviations from the late motion, 2^-20 some time ago, have decayed to nothing since."""
    cdef double decay = 0.0, log_step = run.now.log_step
    if run.now.step >= 0:
        log_step = log_(<double>run.now.step)
    if leap.balanced or not (late_growths(leap, leap.mass_growth, &decay) and is_late(leap, leap.mass_growth)):
        run.now.settled_since = INFINITY
        return False
    run.now.settled_since = min(run.now.settled_since, log_step)
    leap.affine = run.now.step < 0 and decay * (log_step - run.now.settled_since) > 28.0
    return leap.affine


cdef void end_after(RunData* run, Leap* leap, double steps, double passed, Time* end) noexcept nogil:
    """End a leap a number of steps from its start, or, where these are too many to count, `passed` in τ."""
    leap.reached = leap.landing = log1p_(steps * leap.inverse) if steps < 9.2e18 else passed
    end[0] = time_after(leap, present(run), leap.landing)
    if end.step >= 0:  # exactly
        end.step = run.now.step + <int64_t>steps


cdef int end_at_crossing(RunData* run, Leap* leap, Time* end) noexcept nogil:
    """Shorten a leap in which a guard loses its sign: to before it, to be stepped through, or to behind it.

    Behind it where the error of the guard is worth more than 64 steps, so that single steps tell nothing. At a kink
    that attracts, what the run has added to the error so far shifts the date and nothing else: the neuron is
    turned back wherever it arrives.
    """
    cdef Crossing first, crossing
    cdef double error, first_error = 0.0, steps
    cdef int guard, first_guard = -1
    cdef bint attracted
    if leap.frozen:
        return NONE
    first.low = first.at = averageable_until(leap)
    first.high = INFINITY
    for guard in range(GUARDS):
        if is_guarded(leap, guard):
            attracted = attracts(leap, guard)
            error = 0.0 if attracted else doubt_of(run, guard)
            if find_crossing(leap, guard, error, &crossing) and crossing.low < first.low:
                first = crossing
                first_guard = guard
                first_error = error
    if first_guard < 0 and first.low >= leap.log_length:
        return NONE
    steps = steps_after(leap, first.high) - steps_after(leap, first.low)
    if first_guard >= 0 and first.at == first.at and not steps <= 64.0:
        if attracts(leap, first_guard):
            cross_onto(run, leap, first_guard, &first, end)
            return NONE
        if first.high < INFINITY:
            cross(run, leap, &first, end)
            return NONE
        # It is reached for sure only in the next leap, which has to start well before it.
        first.low = search(leap, first_guard, first_error, 64, 0.0, first.at)
    steps = floor(steps_after(leap, first.low)) - 16.0
    # Beyond counting a leap that is shorter than this gets nowhere.
    if not (steps >= FEWEST_STEPS and (run.now.step >= 0 or first_guard < 0 or first.low > 1e-3)):
        return NEAR_KINK
    end_after(run, leap, steps, first.low, end)
    leap.before_kink = first_guard >= 0 and first.at == first.at
    return NONE


cdef void cross(RunData* run, Leap* leap, const Crossing* crossing, Time* end) noexcept nogil:
    """End a leap behind a transition, and keep the date for when the new pattern is noticed."""
    cdef Time low = time_after(leap, present(run), crossing.low), high = time_after(leap, present(run), crossing.high)
    end[0] = time_after(leap, present(run), crossing.at)
    if end.step >= 0:
        end.step += 1
    if high.step >= 0:
        high.step += 1
    leap.reached = crossing.at
    leap.landing = crossing.high
    run.now.dated_by_leap = True
    run.now.leap_date[0] = as_number(end[0])
    run.now.leap_date[1] = log_of(end[0])
    run.now.leap_date[2] = as_number(low) - run.now.date_error[0]
    run.now.leap_date[3] = as_number(high) + run.now.date_error[1]
    if run.now.leap_date[3] < INFINITY:
        run.now.date_error[0] = run.now.leap_date[0] - run.now.leap_date[2]
        run.now.date_error[1] = run.now.leap_date[3] - run.now.leap_date[0]


cdef void cross_onto(RunData* run, Leap* leap, int guard, const Crossing* crossing, Time* end) noexcept nogil:
    """End a leap on a kink that attracts, where rounding hides by how much of a step the neuron crosses it.

    It is put half a step behind it. How often it has been turned back then is not known for sure.
    """
    end[0] = time_after(leap, present(run), crossing.at)
    leap.reached = leap.landing = crossing.at
    leap.onto = guard
    run.now.uncounted = True


cdef void put_behind_kink(const Leap* leap, State* state) noexcept nogil:
    """Half a step behind the kink that a leap has ended on, by the pushes that have carried the neuron there."""
    cdef int j = neuron_of(leap.onto), i = leap.onto & 1, k = 1 - i, pushed_by
    cdef double way = kink_step(leap, leap.onto), overshoot
    if way == 0.0:
        return
    pushed_by = k if is_active(leap.pattern, j, k) else i
    overshoot = 0.5 * way - preactivation(leap.model, state, j, i)
    add_to(&state.c[j][pushed_by], &state.c_low[j][pushed_by], overshoot / leap.model.gram[i][pushed_by])


cdef inline int on_average(const Leap* leap, const State* state) noexcept nogil:
    """The units that slide and have a positive mean, coded like a pattern."""
    cdef int j, i, pattern = 0
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0 and preactivation(leap.model, state, j, i) > 0.0:
            pattern |= 1 << (2 * j + i)
    return pattern
