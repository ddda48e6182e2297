"""A run, block by block: steps and leaps in turn, and the record of what happens."""

cdef enum:
    ALLOWANCE = 2048                 # credit at the beginning
    TIGHTLY_BRACKETED = 64           # number of transitions whose bracket is worth stepping up to them again
    BLOCKS_PER_LOOK = 4              # between looks for what slides, which cost a twelfth of a block
    MOST_UNWATCHED = 1 << 30         # blocks counted since the last one
    SAMPLES_PER_POLL = 1 << 15       # of one leap, some milliseconds


cdef struct Time:
    int64_t step                     # −1 beyond 2^63 − 1
    double log                       # natural logarithm of the step, kept up only beyond


ctypedef double[4] Dates       # a transition's step, its logarithm, and the bounds of the step
ctypedef uint8_t[2] Patterns   # before, after
ctypedef int64_t[16] Counts
ctypedef int64_t[5] Stretch    # kind, step, step, blocks, iterations
ctypedef double[2] Logs
ctypedef double[5] Episode     # neuron, sample, step entered, step left, active fraction


cdef struct Course:            # everything that one run is; what it points to is another's
    Model model
    # what is asked
    int engine
    bint average               # over the teeth of neurons that slide
    int64_t max_direct         # what may be spent before AUTO gives up
    const int64_t* schedule    # steps to record
    const double* late_schedule  # logarithms of steps beyond counting to record
    int64_t n_scheduled
    int64_t n_late
    # where it is
    State state                # at the start of the present block
    Time now
    int status
    int obstacle               # why a leap was last not possible
    double error               # bound on what leaping without averaging added to the parameters
    double averaging_error     # what averaging may have added
    bint averaged
    bint uncounted             # a leap averaged, or passed a kink that attracts
    Time converged             # since when nothing changes; log −inf before
    int last_pattern           # −1 before the first
    int length                 # entry of LENGTH to try next
    int64_t credit             # what tries of a leap may cost in vain, in steps
    int64_t walked             # steps taken since the last leap
    int64_t spent              # steps taken so far, and what leaps cost in steps
    double calm                # ln of the step since when P_k has been near its limit
    double width               # bracket of the present block's transitions, in steps
    bint crossed               # the last leap ended behind a transition, dated by:
    double[4] crossing
    double[2] lag              # steps by which the run may be too early, too late, for dates missed
    int held                   # pairs that slide and whose z_ji is a mean, coded like a pattern
    int unphased               # those of them since when they slide: within a tooth z_ji is unknown
    int unwatched              # blocks since the last look for slides
    int caught                 # pairs that slid at the last look
    int64_t[2] episode         # its row in `slides`, −1 until it was seen twice
    double[2] entered          # when that began
    double[2] first_flip       # of its units since the last look; −1 if there was none
    double[2] last_flip
    # what is recorded
    int64_t n_samples
    int64_t* steps
    double* logs
    State* states
    uint8_t* patterns
    uint8_t* unphased_then
    int64_t n_transitions
    int64_t transitions_kept
    Dates* transition_times
    Patterns* transition_patterns
    Counts* counts             # or NULL
    int64_t n_segments
    int64_t segments_kept
    Stretch* segments
    Logs* segment_logs
    int64_t n_slides
    int64_t slides_kept
    Episode* slides            # and one place more for each neuron's episode under way


cdef void start_course(Course* run, const double* v) noexcept nogil:
    """Put a run at step 0. Its model, what is asked and where to record is filled in before."""
    cdef int i, j
    for j in range(2):
        run.state.v[j] = v[j]
        for i in range(2):
            run.state.c[j][i] = run.state.c_low[j][i] = 0.0
        run.state.v_low[j] = 0.0
        run.episode[j] = -1
        run.first_flip[j] = run.last_flip[j] = -1.0
        run.lag[j] = 0.0
    run.now.step = 0
    run.now.log = -INFINITY
    run.status = RUNNING
    run.obstacle = NONE
    run.error = run.averaging_error = 0.0
    run.averaged = run.uncounted = run.crossed = False
    run.converged.step = -1
    run.converged.log = -INFINITY
    run.last_pattern = -1
    run.length = UNIT_LENGTH
    run.credit = ALLOWANCE
    run.walked = run.spent = 0
    run.calm = INFINITY
    run.width = 1.0
    run.held = run.unphased = run.unwatched = run.caught = 0
    run.n_samples = run.n_transitions = run.n_segments = run.n_slides = 0


cdef extern from *:
    """
    static int twonn_raise_pending(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    void* PyErr_Occurred() noexcept
    int PyErr_CheckSignals() noexcept
    int twonn_raise_pending() except -1

cdef int SIGNALS = 0           # that have come; a kernel returns to Python when it sees the number change


def note_signal():
    """Let what the kernel does take an end soon; for signal handlers."""
    global SIGNALS
    SIGNALS += 1


cdef bint signalled() noexcept with gil:
    """Let Python handle its signals; tell whether one came. An exception of a handler is left to be raised."""
    global SIGNALS
    cdef int before = SIGNALS
    if PyErr_Occurred() != NULL or PyErr_CheckSignals() < 0:
        SIGNALS += 1
    return SIGNALS != before


cdef inline bint is_before(Time a, Time b) noexcept nogil:
    if a.step >= 0 and b.step >= 0:
        return a.step < b.step
    return b.step < 0 and (a.step >= 0 or a.log < b.log)


cdef Time time_after(const Leap* leap, Time start, double passed) noexcept nogil:
    """The last whole step within `passed` (in τ) of the start of a leap; a logarithm where it is too large."""
    cdef Time time
    cdef double steps = steps_after(leap, passed), log_start, log_steps, high, low
    if start.step >= 0 and start.step + steps < 9.2e18:
        time.step = start.step + <int64_t>steps
        time.log = 0.0
        return time
    time.step = -1
    log_start = log_of(start)
    if log_start == leap.log_scale:
        time.log = leap.log_scale + passed
        return time
    # ln(t₀ + σ₀ (e^τ − 1))
    log_steps = leap.log_scale
    if passed > 40.0:
        log_steps += passed
    elif passed > 0.0:
        log_steps += log_(expm1_(passed))
    else:
        log_steps = -INFINITY
    high, low = max(log_start, log_steps), min(log_start, log_steps)
    time.log = high + log1p_(exp_(low - high))
    return time


cdef double passed_until(const Leap* leap, Time start, Time end) noexcept nogil:
    """ln(σ/σ₀) at `end`, σ = σ₀ + end − start."""
    cdef double ahead, later, grown
    if end.step >= 0:
        return log1p_(<double>(end.step - start.step) * leap.inverse)
    # 1 + t₀/σ₀ (t/t₀ − 1), whatever overflows
    ahead = log_of(start) - leap.log_scale
    later = max(end.log - log_of(start), 0.0)
    if ahead == 0.0 or ahead + later > 40.0 and later > 40.0:
        return ahead + later
    if later > 40.0:
        return log1p_(exp_(ahead + later))
    grown = expm1_(later)
    if ahead > 600.0 and grown > 0.0:
        return ahead + log_(grown)
    return log1p_(exp_(ahead) * grown)


cdef inline double log_of(Time time) noexcept nogil:
    return log_(<double>time.step) if time.step >= 0 else time.log


cdef inline double steps_after(const Leap* leap, double passed) noexcept nogil:
    return exp_(leap.log_scale) * expm1_(passed)


cdef Time horizon_of(Course* run) noexcept nogil:
    cdef Time time
    time.step = run.schedule[run.n_scheduled - 1]
    time.log = -INFINITY
    if run.n_late > 0:
        time.step = -1
        time.log = run.late_schedule[run.n_late - 1]
    return time


cdef int64_t proceed(Course* run) noexcept nogil:
    """Leap, or else step; return what it cost, in steps."""
    cdef int64_t cost = 0
    cdef int length
    cdef bint leapt
    if run.engine == AUTO and run.spent >= run.max_direct:
        end_here(run, OBSTRUCTED)
        return 0
    # The first block is stepped always: transitions may follow each other there.
    # Nor is there a leap where one has just ended before a kink that is to be stepped through.
    if run.engine != DIRECT and run.now.step != 0 and run.credit >= 0 and not stops_at_kink(run):
        leapt = try_to_leap(run, &cost)
        run.spent += cost
        if leapt or run.status != RUNNING:
            return cost
    if run.engine == LEAP and run.walked >= PATIENCE:
        run.status = OBSTRUCTED
        return cost
    length = run_block(run)
    run.credit += length // 16
    run.walked += length
    run.spent += length
    run.calm = INFINITY
    return cost + length


cdef inline bint stops_at_kink(const Course* run) noexcept nogil:
    return run.obstacle == NEAR_KINK and run.walked == 0


cdef void end_here(Course* run, int status) noexcept nogil:
    """End the run at its present step, which becomes the last sample."""
    cdef Block block
    open_block(&run.model, &run.state, &block)
    note(run, block.pattern, run.now, &block)
    sample(run, 0, True)
    run.status = status


cdef Time later(Course* run, int steps) noexcept nogil:
    """The time some steps from now; beyond counting they make no difference."""
    cdef Time time = run.now
    if time.step >= 0 and time.step > INT64_MAX - steps:
        time.step = -1
        time.log = log_(<double>INT64_MAX)
    elif time.step >= 0:
        time.step += steps
    return time


# ----------------------------------------------------------------------------------------------
# Stepping


cdef struct Turn:              # one block of a run, from its opening to its end
    Course* run
    Block block
    Block opened               # as it was at the start, where that may be asked for
    Time start
    int length                 # steps it may have
    int last                   # those it takes
    int status                 # of the run behind it


cdef int run_block(Course* run) noexcept nogil:
    """Take the block that starts at the present step, up to the horizon or an earlier end; return its length."""
    cdef Turn turn
    cdef uint8_t patterns[BLOCK_STEPS]
    begin_block(run, &turn)
    advance(&run.model, &turn.block, turn.last, patterns)
    end_block(&turn, patterns)
    return turn.length


cdef void begin_block(Course* run, Turn* turn) noexcept nogil:
    cdef Time horizon = horizon_of(run)
    cdef int64_t left
    turn.run = run
    turn.start = run.now
    turn.status = RUNNING
    open_block(&run.model, &run.state, &turn.block)
    # Between short blocks there may be a leap.
    if run.engine != DIRECT:
        turn.block.span = min(turn.block.span, BLOCK_STEPS)
    turn.length = turn.last = turn.block.span or BLOCK_STEPS
    left = horizon.step - run.now.step if run.now.step >= 0 else 0
    if horizon.step >= 0 and left < turn.length:
        turn.last = <int>max(left, 0)
        turn.status = COMPLETED
    note(run, turn.block.pattern, run.now, &turn.block)
    run.held = 0
    if turn.block.pattern == 0:
        turn.last = 0
        turn.status = STATIONARY
    if not turn.block.span or run.error > 0.0:
        turn.opened = turn.block


cdef void end_block(Turn* turn, const uint8_t* patterns) noexcept nogil:
    """Take notice of what happened in a block that has taken its steps."""
    cdef Course* run = turn.run
    cdef State after
    cdef int last = turn.last, status = turn.status
    if status != STATIONARY:
        close_block(&run.model, &run.state, &turn.block, &after)
        if not fits(&run.model, &after):
            # The last sample is the last state that fits, one step before the one named.
            last = max(steps_to_divergence(&run.model, &run.state, last) - 1, 0)
            status = DIVERGED
        if run.error > 0.0 and run.model.trained:
            amplify(run, &turn.opened, 0.5 * turn.length)
            amplify(run, &turn.block, 0.5 * turn.length)
        if not turn.block.span:
            last = scan(run, &turn.opened, patterns, last, &status)
    if status == COMPLETED and not is_before(next_scheduled(run), later(run, last)):
        record(run, later(run, last), &after, turn.block.pattern, run.unphased)
    else:
        sample(run, last, status != RUNNING)
    if status == RUNNING:
        run.state = after
    run.status = status
    run.now = later(run, last)
    if run.now.step < 0:
        run.lag[1] += last
    note_segment(run, STEPPED, turn.start, 1, 0)
    if run.unwatched < MOST_UNWATCHED:
        run.unwatched += turn.length // BLOCK_STEPS
    if (status == RUNNING and run.unwatched >= BLOCKS_PER_LOOK
            and (run.unphased or not turn.block.span or run.caught)):
        look_for_slides(run)


cdef void amplify(Course* run, const Block* block, double steps) noexcept nogil:
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
    run.error = grown(run.error, largest)
    run.averaging_error = grown(run.averaging_error, largest)


cdef inline double grown(double error, double factor) noexcept nogil:
    """An error times a factor, which may be infinite; where there is no error, none."""
    return error * factor if error > 0.0 else error


cdef int scan(Course* run, const Block* start, const uint8_t* patterns, int last, int* status) noexcept nogil:
    """Note the transitions up to step `last` of the block; return the step at which all units died."""
    cdef Block block
    cdef uint8_t again[BLOCK_STEPS]
    cdef Time time
    cdef int n
    if run.error > 0.0 and TIGHTLY_BRACKETED <= run.n_transitions < run.transitions_kept:
        set_width(run, start)
    # The pattern after BLOCK_STEPS steps is the next block's to tell.
    for n in range(1, min(last, BLOCK_STEPS - 1) + 1):
        if patterns[n - 1] == run.last_pattern:
            continue
        time = later(run, n)
        if run.error > 0.0 and run.n_transitions < TIGHTLY_BRACKETED:
            open_block(&run.model, &run.state, &block)
            advance(&run.model, &block, n, again)
            note(run, patterns[n - 1], time, &block)
        else:
            note(run, patterns[n - 1], time, NULL)
        if patterns[n - 1] == 0:
            status[0] = STATIONARY
            return n
    return last


cdef void note(Course* run, int pattern, Time time, const Block* block) noexcept nogil:
    """Take notice of the pattern at a time; a change is a transition.

    A transition behind a leap over it was dated by the leap. Others are bracketed once there is an error
    to account for: tightly if the `block` of this very time is given, else by `width` steps.
    """
    cdef double* row
    # The sign of a mean is not that of z_ji.
    pattern = pattern & ~run.held | run.last_pattern & run.held
    if run.last_pattern >= 0 and pattern != run.last_pattern:
        if run.n_transitions < run.transitions_kept:
            row = run.transition_times[run.n_transitions]
            row[0] = row[2] = row[3] = as_number(time)
            row[1] = time.log
            if run.crossed:
                row[0], row[1] = run.crossing[0], run.crossing[1]
                row[2], row[3] = run.crossing[2], run.crossing[3]
            elif run.error > 0.0 and block != NULL:
                bracket(run, pattern, block, row)
            elif run.error > 0.0:
                row[2] -= run.width
                row[3] += run.width
            if not run.crossed and row[3] < INFINITY:
                row[2] -= run.lag[0]
                row[3] += run.lag[1]
            row[2] = max(row[2], 0.0)
            run.transition_patterns[run.n_transitions][0] = run.last_pattern
            run.transition_patterns[run.n_transitions][1] = pattern
        note_flips(run, pattern ^ run.last_pattern, time)
        if run.counts != NULL:
            run.counts[run.last_pattern][pattern] += 1
        run.n_transitions += 1
        run.calm = INFINITY
        run.length = min(run.length, UNIT_LENGTH + 2)
    run.crossed = False
    run.last_pattern = pattern


cdef void bracket(Course* run, int pattern, const Block* block, double* row) noexcept nogil:
    """Widen the date of a transition by the steps in which z_ji moves by its error.

    The last two z_ji tell how many steps that is on either side, most often none.
    """
    cdef double after, before, speed, doubt
    cdef int i, j, k
    for j in range(2):
        for i in range(2):
            if is_active(pattern ^ run.last_pattern, j, i):
                speed = 0.0
                for k in range(2):
                    if is_active(run.last_pattern, j, k):
                        speed += pushed(run, block, j, i, k)
                speed = abs(speed)
                doubt = doubt_of(run, 2 * j + i)
                after = abs(entry(block.dz[i] - block.kink[i], j))
                before = speed - after
                if before < doubt:
                    row[2] = min(row[2], row[0] - ceil((doubt - before) / speed))
                if after < doubt:
                    row[3] = max(row[3], row[0] + ceil((doubt - after) / speed))


cdef void set_width(Course* run, const Block* block) noexcept nogil:
    """The steps in which any z_ji moves by its error, whatever the pattern."""
    cdef double first_push, second_push, speed
    cdef int i, j
    run.width = 0.0
    for j in range(2):
        for i in range(2):
            first_push = abs(pushed(run, block, j, i, 0))
            second_push = abs(pushed(run, block, j, i, 1))
            speed = min(first_push, second_push) or max(first_push, second_push)
            if 0.0 < abs(first_push - second_push) < speed:
                speed = abs(first_push - second_push)
            if speed > 0.0:
                run.width = max(run.width, ceil(doubt_of(run, 2 * j + i) / speed))


cdef inline double pushed(Course* run, const Block* block, int j, int i, int k) noexcept nogil:
    """What sample k moves z_ji by in a step, if neuron j is active on it."""
    return (run.model.rate * run.model.label[k] * run.model.gram[i][k]
            * entry(block.v + block.dv, j) * entry(block.slope, k))


cdef double doubt_of(Course* run, int guard) noexcept nogil:
    """How wrong z_ji, or v_j, may be."""
    return run.error * (1.0 if guard >= 4 else sqrt(run.model.gram[guard & 1][guard & 1]))


cdef void sample(Course* run, int last, bint ended) noexcept nogil:
    """Record the scheduled steps of the present block before `last`, and `last` if the run ended."""
    cdef Block block, ahead
    cdef State state
    cdef uint8_t patterns[BLOCK_STEPS]
    cdef int taken = 0, whole, target
    cdef Time time, end = later(run, last), scheduled = next_scheduled(run)
    if not (is_before(scheduled, end) or ended):
        return
    open_block(&run.model, &run.state, &block)
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
        close_block(&run.model, &run.state, &ahead, &state)
        record(run, time, &state, ahead.pattern, run.unphased)
        if target == last:
            return
        scheduled = next_scheduled(run)


cdef void record(Course* run, Time time, const State* state, int pattern, int unphased) noexcept nogil:
    run.steps[run.n_samples] = time.step
    run.logs[run.n_samples] = time.log
    run.states[run.n_samples] = state[0]
    run.patterns[run.n_samples] = pattern
    run.unphased_then[run.n_samples] = unphased
    run.n_samples += 1


cdef Time next_scheduled(Course* run) noexcept nogil:
    """The next sample's time; LAST_LOG when there is none."""
    cdef Time time
    cdef int64_t late = run.n_samples - run.n_scheduled
    time.step = -1
    time.log = LAST_LOG
    if late < 0:
        time.step = run.schedule[run.n_samples]
    elif late < run.n_late:
        time.log = run.late_schedule[late]
    return time


cdef void note_segment(Course* run, int kind, Time start, int blocks, int iterations) noexcept nogil:
    """Add what lies between `start` and now to the segments."""
    cdef int64_t n = run.n_segments - 1
    if n < 0 or (run.segments[n][0] != kind and run.n_segments < run.segments_kept):
        n += 1
        run.n_segments += 1
        run.segments[n][0] = kind
        run.segments[n][1] = start.step
        run.segments[n][3] = run.segments[n][4] = 0
        run.segment_logs[n][0] = start.log
    run.segments[n][2] = run.now.step
    run.segments[n][3] += blocks
    run.segments[n][4] += iterations
    run.segment_logs[n][1] = run.now.log


# ----------------------------------------------------------------------------------------------
# Sliding


cdef void look_for_slides(Course* run) noexcept nogil:
    """Follow which neurons slide; a neuron caught twice in a row at the same kink does."""
    cdef Slides slides
    cdef double now = as_number(run.now)
    cdef int i, j, before
    run.unwatched = 0
    find_slides(&run.model, &run.state, run.error, &slides)
    for j in range(2):
        before = kink_of(run.caught, j)
        i = kink_of(slides.pairs, j)
        if before >= 0 and i != before:
            leave_kink(run, j, before, run.last_flip[j] if run.last_flip[j] >= 0.0 else now, &slides)
        elif before >= 0 and run.episode[j] < 0:
            enter_kink(run, j, before)
        elif i >= 0 and before < 0:
            run.entered[j] = run.first_flip[j] if run.first_flip[j] >= 0.0 else now
        run.first_flip[j] = run.last_flip[j] = -1.0
    run.caught = slides.pairs


cdef void enter_kink(Course* run, int j, int i) noexcept nogil:
    cdef int64_t n = run.n_slides
    if n >= run.slides_kept:
        n = run.slides_kept + j  # a place that is used again
    run.n_slides += 1
    run.episode[j] = n
    run.slides[n][0] = j
    run.slides[n][1] = i
    run.slides[n][2] = run.entered[j]
    run.slides[n][3] = INFINITY
    run.slides[n][4] = NAN


cdef void leave_kink(Course* run, int j, int i, double time, const Slides* slides) noexcept nogil:
    cdef int pair = 1 << (2 * j + i)
    if run.episode[j] >= 0:
        run.slides[run.episode[j]][3] = time
        run.slides[run.episode[j]][4] = min(max(slides.fraction[j], 0.0), 1.0)
    run.episode[j] = -1
    if run.unphased & pair:
        # Where in the tooth the neuron was when it left the kink is unknown.
        run.unphased &= ~pair
        run.averaging_error += slides.tooth[j] / sqrt(run.model.gram[i][i])


cdef void note_flips(Course* run, int units, Time time) noexcept nogil:
    """Take notice of units that changed their activity, for the dates of slides."""
    cdef double now = as_number(time)
    cdef int j
    for j in range(2):
        if units >> (2 * j) & 3:
            if run.first_flip[j] < 0.0:
                run.first_flip[j] = now
            run.last_flip[j] = now


cdef double cost_of_averaging(Course* run, const Slides* slides, int j) noexcept nogil:
    """What the phase in which averaging begins is worth, in the units of the parameters; see docs/numerics.md."""
    cdef int i = kink_of(slides.pairs, j)
    cdef double v = abs(run.state.v[j]), parts = max(min(slides.fraction[j], 1.0 - slides.fraction[j]), 0.0)
    cdef double effect = v * slides.tooth[j] * max(1.0, run.model.gram[0][1] / run.model.gram[i][i])
    if slides.lasting[j]:
        return slides.tooth[j] / sqrt(run.model.gram[i][i])
    # Not knowing where in a tooth the neuron is costs no more than a tooth.
    effect *= effect / parts if effect < parts else 1.0
    return 50.0 * effect / (v * sqrt(min(run.model.gram[0][0], run.model.gram[1][1])))


cdef void measure_open_slides(Course* run) noexcept nogil:
    """Fill in the active fractions at the last sample of what still slides."""
    cdef Slides slides
    cdef int j
    if run.n_samples == 0:
        return
    find_slides(&run.model, &run.states[run.n_samples - 1], run.error, &slides)
    for j in range(2):
        if run.episode[j] >= 0:
            run.slides[run.episode[j]][4] = min(max(slides.fraction[j], 0.0), 1.0)


# ----------------------------------------------------------------------------------------------
# Leaping


cdef bint try_to_leap(Course* run, int64_t* cost) noexcept nogil:
    """Try to leap; tell whether it was possible, and what the try cost, in steps.

    What tries cost in vain is kept below one sixteenth of the steps taken: it is paid from a credit. Where a
    signal comes in between, it is as if the leap had not been tried yet.
    """
    cdef Leap leap
    cdef Block block
    cdef Course before
    cdef Time end = run.now
    unfold(&run.model, &run.state, &leap)
    if leap.pattern & ~run.held != run.last_pattern & ~run.held:
        open_block(&run.model, &run.state, &block)
    note(run, leap.pattern, run.now, &block)
    if leap.pattern == 0:
        end_here(run, STATIONARY)
        return False
    before = run[0]
    run.obstacle = start_leap(run, &leap)
    if run.obstacle == NONE and not (leap.frozen or clear_of_kinks(&leap)):
        run.obstacle = NEAR_KINK
    if run.obstacle == NONE:
        run.obstacle = solve_longest(run, &leap, &end)
    if run.obstacle == NONE:
        run.obstacle = end_at_crossing(run, &leap, &end)
    # Measured, in steps of a smooth stretch; with room for slower machines.
    cost[0] = 128 + leap.iterations * (600 if leap.coupled else 150) + leap.searches * 50
    if run.obstacle != NONE:
        run.crossed = False
        run.credit -= cost[0]
        return False
    # The shortest leaps may cost more than they save.
    if run.now.step >= 0 and end.step >= 0 and end.step - run.now.step < cost[0]:
        run.credit -= cost[0] - (end.step - run.now.step)
    if not land(run, &leap, end):
        run[0] = before
        cost[0] = 0
        return True
    if leap.before_kink:
        run.obstacle = NEAR_KINK
    return True


cdef int start_leap(Course* run, Leap* leap) noexcept nogil:
    """Let slide what may be averaged, and choose the scale."""
    cdef Slides slides
    cdef double log_step = run.now.log if run.now.step < 0 else -INFINITY
    cdef int obstacle, pairs, j
    slides.pairs = 0
    if run.average:
        find_slides(&run.model, &run.state, run.error, &slides)
    pairs = slides.pairs
    while True:
        if pairs:
            let_slide(leap, &slides, pairs)
        couple(leap)
        balance(leap, &run.state)
        obstacle = set_scale(leap, log_step)
        if obstacle != NONE or leap.frozen or not pairs:
            break
        pairs = averageable_at_start(leap, &slides)
        if pairs == leap.sliding:
            break
        unfold(&run.model, &run.state, leap)
    leap.entry_error = 0.0
    for j in range(2):
        if pairs & ~run.held & 3 << (2 * j):
            leap.entry_error += cost_of_averaging(run, &slides, j)
    return obstacle


cdef bint land(Course* run, Leap* leap, Time end) noexcept nogil:
    """Record the samples inside a leap and move to its end, or to the horizon if that is nearer.

    False if a signal came while there was much to record: the leap has to be made again.
    """
    cdef State after
    cdef State reached
    cdef double passed = leap.reached, landing = leap.landing, growth
    cdef Time start = run.now, horizon = horizon_of(run), scheduled = next_scheduled(run)
    cdef int64_t recorded = 0
    if leap.converged:
        run.converged = start
        if start.step >= 0 and start.step + ceil(leap.longest) < 9.2e18:
            run.converged.step += <int64_t>ceil(leap.longest)
        elif start.step >= 0:
            run.converged.step = -1
            run.converged.log = log_(start.step + leap.longest)
    # A sample at the end of the leap is left to the next one's start, unless it is the last and no
    # transition comes with it.
    while is_before(scheduled, end) or not (run.crossed or is_before(end, horizon)
                                            or is_before(horizon, scheduled)):
        recorded += 1
        if recorded % SAMPLES_PER_POLL == 0 and signalled():
            return False
        fold(leap, &run.state, passed_until(leap, start, scheduled), &after)
        record(run, scheduled, &after, leap.pattern | on_average(leap, &after), run.unphased | leap.sliding)
        if not is_before(scheduled, horizon):
            run.status = CONVERGED if leap.converged and not is_before(horizon, run.converged) else COMPLETED
            end = scheduled
            leap.onto = -1
            passed = landing = passed_until(leap, start, scheduled)
            break
        scheduled = next_scheduled(run)
    fold(leap, &run.state, passed, &reached)
    fold(leap, &run.state, landing, &after)
    if leap.onto >= 0:
        put_behind_kink(leap, &after)
    growth = exp_(log_amplification(leap))
    run.error = grown(run.error, growth)
    run.averaging_error = grown(run.averaging_error + leap.entry_error, growth)
    run.error += (leap.doubt + rounding(leap, passed)) * path_length(leap, &run.state, &reached)
    if leap.balanced:
        run.error = max(run.error, doubt_of_balance(leap))
    run.error += path_length(leap, &reached, &after)
    run.state = after
    run.now = end
    run.held = leap.sliding
    run.unphased |= leap.sliding
    run.averaged |= leap.sliding != 0
    run.uncounted |= leap.sliding != 0
    note_segment(run, AVERAGED if leap.sliding else LEAPT, start, 1, leap.iterations)
    run.walked = 0
    if leap.sliding or run.unphased or run.caught:
        look_for_slides(run)
    return True


cdef int solve_longest(Course* run, Leap* leap, Time* end) noexcept nogil:
    """Solve over the longest stretch that NODES points resolve, by experience of the leap before."""
    cdef double steps, length
    cdef int shortening = 0
    leap.doubt = 0.0
    if leap.frozen or is_affine(run, leap):
        leap.length = leap.reached = leap.landing = LAST_LOG
        end.step = -1
        end.log = LAST_LOG
        return NONE
    while run.length >= 0:
        length = LENGTH[run.length]
        steps = floor(steps_after(leap, length))
        if leap.balanced and not leap.settled and not steps <= leap.longest:
            steps = floor(leap.longest)
        if steps < FEWEST_STEPS:
            break
        stop(run, leap, steps, length, end)
        if solve(leap, run.length, leap.landing):
            if not shortening and run.length < LENGTHS - 1:
                run.length += 1
            return NONE
        # Further each time: a fast transient may need a leap a hundred times shorter.
        shortening += 1
        run.length -= shortening
    run.length = UNIT_LENGTH
    return UNRESOLVED


cdef bint is_affine(Course* run, Leap* leap) noexcept nogil:
    """Whether deviations from the late motion, 2^-20 some time ago, have decayed to nothing since."""
    cdef double decay = 0.0, log_step = run.now.log
    if run.now.step >= 0:
        log_step = log_(<double>run.now.step)
    if leap.balanced or not (late_slopes(leap, leap.slope, &decay) and is_late(leap, leap.slope)):
        run.calm = INFINITY
        return False
    run.calm = min(run.calm, log_step)
    leap.affine = run.now.step < 0 and decay * (log_step - run.calm) > 28.0
    return leap.affine


cdef void stop(Course* run, Leap* leap, double steps, double passed, Time* end) noexcept nogil:
    """End a leap a number of steps from its start, or, where these are too many to count, `passed` in τ."""
    leap.reached = leap.landing = log1p_(steps * leap.inverse) if steps < 9.2e18 else passed
    end[0] = time_after(leap, run.now, leap.landing)
    if end.step >= 0:  # exactly
        end.step = run.now.step + <int64_t>steps


cdef int end_at_crossing(Course* run, Leap* leap, Time* end) noexcept nogil:
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
    if first_guard < 0 and first.low >= leap.length:
        return NONE
    if first_guard >= 0 and first.at == first.at and not steps_after(leap, first.high) - steps_after(leap, first.low) <= 64.0:
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
    stop(run, leap, steps, first.low, end)
    leap.before_kink = first_guard >= 0 and first.at == first.at
    return NONE


cdef void cross(Course* run, Leap* leap, const Crossing* crossing, Time* end) noexcept nogil:
    """End a leap behind a transition, and keep the date for when the new pattern is noticed."""
    cdef Time low = time_after(leap, run.now, crossing.low), high = time_after(leap, run.now, crossing.high)
    end[0] = time_after(leap, run.now, crossing.at)
    if end.step >= 0:
        end.step += 1
    if high.step >= 0:
        high.step += 1
    leap.reached = crossing.at
    leap.landing = crossing.high
    run.crossed = True
    run.crossing[0] = as_number(end[0])
    run.crossing[1] = log_of(end[0])
    run.crossing[2] = as_number(low) - run.lag[0]
    run.crossing[3] = as_number(high) + run.lag[1]
    if run.crossing[3] < INFINITY:
        run.lag[0] = run.crossing[0] - run.crossing[2]
        run.lag[1] = run.crossing[3] - run.crossing[0]


cdef void cross_onto(Course* run, Leap* leap, int guard, const Crossing* crossing, Time* end) noexcept nogil:
    """End a leap on a kink that attracts, where rounding hides by how much of a step the neuron crosses it.

    It is put half a step behind it. How often it has been turned back then is not known for sure.
    """
    end[0] = time_after(leap, run.now, crossing.at)
    leap.reached = leap.landing = crossing.at
    leap.onto = guard
    run.uncounted = True


cdef void put_behind_kink(const Leap* leap, State* state) noexcept nogil:
    """Half a step behind the kink that a leap has ended on, by the pushes that have carried the neuron there."""
    cdef int j = neuron_of(leap.onto), i = leap.onto & 1, k = 1 - i, pushed_by
    cdef double way = kink_step(leap, leap.onto), overshoot
    cdef Sum c
    if way == 0.0:
        return
    pushed_by = k if is_active(leap.pattern, j, k) else i
    overshoot = 0.5 * way - preactivation(leap.model, state, j, i)
    c.high, c.low = state.c[j][pushed_by], state.c_low[j][pushed_by]
    c = plus(c, overshoot / leap.model.gram[i][pushed_by])
    c = two_sum(c.high, c.low)
    state.c[j][pushed_by], state.c_low[j][pushed_by] = c.high, c.low


cdef inline int on_average(const Leap* leap, const State* state) noexcept nogil:
    """The units that slide and have a positive mean, coded like a pattern."""
    cdef int j, i, pattern = 0
    for j in range(2):
        i = kink_of(leap.sliding, j)
        if i >= 0 and preactivation(leap.model, state, j, i) > 0.0:
            pattern |= 1 << (2 * j + i)
    return pattern


cdef inline double entry(pair p, int index) noexcept nogil:
    return first(p) if index == 0 else second(p)


cdef inline double as_number(Time time) noexcept nogil:
    return <double>time.step if time.step >= 0 else exp_(time.log)
