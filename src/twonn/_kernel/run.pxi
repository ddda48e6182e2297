"""A run: all that the kernel knows of it, and its start."""

cpdef enum:
    TRANSITIONS_KEPT = 10_000        # number recorded in full; all of them are counted
    SEGMENTS_KEPT = 1024             # likewise; the last one covers the rest
    SLIDES_KEPT = 1024               # likewise; the first ones
    PATIENCE = 1 << 24               # steps in a row that engine LEAP takes directly

cpdef enum:
    RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED, OBSTRUCTED, CONVERGED

cpdef enum:
    DIRECT, AUTO, LEAP               # engines

cpdef enum:
    STEPPED, LEAPT, AVERAGED         # kinds of segments

#: Losses by their names.
LOSSES = {"exponential": EXPONENTIAL, "logistic": LOGISTIC}

cdef enum:
    ALLOWANCE = 2048                 # credit at the beginning

ctypedef double[4] Dates       # a transition's step, its logarithm, and the bounds of the step
ctypedef uint8_t[2] Patterns   # before, after
ctypedef int64_t[16] Counts
ctypedef int64_t[5] Segment    # kind, step, step, blocks, iterations
ctypedef double[2] Logs
ctypedef double[5] Episode     # neuron, point, step entered, step left, active fraction


cdef struct RunState:          # all of a run that changes, except its records: what checkpoints hold
    int64_t step               # −1 beyond 2^63 − 1
    double log_step            # natural logarithm of the step, kept up only beyond
    State state                # at the start of the present block
    int status
    int obstacle               # why a leap was last not possible
    double error               # bound on what leaping without averaging added to the parameters
    double averaging_error     # what averaging may have added
    bint averaged
    bint uncounted             # a leap averaged, or passed a kink that attracts
    int64_t converged_step     # since when nothing changes, counted like the step; log −inf before
    double converged_log
    int64_t credit             # what tries of a leap may cost in vain, in steps
    int64_t walked             # steps taken since the last leap
    int64_t spent              # steps taken so far, and what leaps cost in steps
    int length_index           # entry of LENGTH to try next
    int last_pattern           # −1 before the first
    double settled_since       # ln of the step since when P_k has been near its limit
    double width               # of the bracket of transitions in the present block, in steps
    double[4] leap_date        # the date of the transition that the last leap passed, where
    bint dated_by_leap
    int mean_pairs             # pairs that slide and whose z_ji is a mean, coded like a pattern
    int phase_unknown          # those of them since when they slide: where in the sawtooth z_ji is, is unknown
    int sliding_candidates     # pairs that slid at the last look, coded likewise
    double[2] date_error       # steps by which the run may be too early, too late, because of earlier dates
    int unwatched              # blocks since the last look for slides
    int64_t[2] episode         # its row in `slides`, −1 until it was seen twice
    double[2] entered          # when that began
    double[2] first_flip       # of its units since the last look; −1 if there was none
    double[2] last_flip
    int64_t n_samples
    int64_t n_transitions
    int64_t n_segments
    int64_t n_slides


cdef struct RunData:           # all that the kernel knows of a run; it does not own what it points to
    RunState now
    Model model
    # what is asked
    int engine
    bint average               # over the sawtooth of neurons that slide
    int64_t max_direct         # what may be spent before AUTO gives up
    const int64_t* schedule    # steps to record
    const double* late_schedule  # logarithms of steps beyond counting to record
    int64_t n_scheduled
    int64_t n_late
    # where to record
    int64_t* steps
    double* logs
    State* states
    uint8_t* patterns
    uint8_t* phase_unknown_then
    int64_t transitions_kept
    Dates* transition_times
    Patterns* transition_patterns
    Counts* counts             # or NULL
    int64_t segments_kept
    Segment* segments
    Logs* segment_logs
    int64_t slides_kept
    Episode* slides            # and one place more for each neuron's episode under way


cdef struct Events:            # what a single run records beside its samples
    Dates[TRANSITIONS_KEPT] transition_times
    Counts[16] counts
    Segment[SEGMENTS_KEPT] segments
    Logs[SEGMENTS_KEPT] segment_logs
    Episode[SLIDES_KEPT + 2] slides
    Patterns[TRANSITIONS_KEPT] transition_patterns


cdef enum:
    SAMPLE_BYTES = 8 * STATE_SIZE + 18


cdef void set_samples(RunData* run, uint8_t* memory, Py_ssize_t places) noexcept nogil:
    """Have a run record its samples in so many places of SAMPLE_BYTES each."""
    run.states = <State*>memory
    run.logs = <double*>(run.states + places)
    run.steps = <int64_t*>(run.logs + places)
    run.patterns = <uint8_t*>(run.steps + places)
    run.phase_unknown_then = run.patterns + places


cdef void set_events(RunData* run, Events* events) noexcept nogil:
    """Have a run record all else in `events`."""
    run.transitions_kept, run.segments_kept, run.slides_kept = TRANSITIONS_KEPT, SEGMENTS_KEPT, SLIDES_KEPT
    run.transition_times = events.transition_times
    run.transition_patterns = events.transition_patterns
    run.segments, run.segment_logs = events.segments, events.segment_logs
    run.counts, run.slides = events.counts, events.slides
    memset(events.counts, 0, sizeof(events.counts))
    memset(&events.slides[SLIDES_KEPT], 0, 2 * sizeof(Episode))  # episodes under way; the others are written first


cdef void start_run(RunData* run, const double* v) noexcept nogil:
    """Put a run at step 0. Its model, what is asked and where to record is filled in before."""
    cdef RunState* now = &run.now
    cdef int j
    memset(now, 0, sizeof(RunState))
    for j in range(2):
        now.state.v[j] = v[j]
        now.episode[j] = -1
        now.first_flip[j] = now.last_flip[j] = -1.0
    now.log_step = now.converged_log = -INFINITY
    now.converged_step = now.last_pattern = -1
    now.status, now.obstacle = RUNNING, NONE
    now.length_index, now.credit = UNIT_LENGTH, ALLOWANCE
    now.settled_since = INFINITY
    now.width = 1.0


cdef inline Time present(const RunData* run) noexcept nogil:
    cdef Time time
    time.step, time.log = run.now.step, run.now.log_step
    return time


cdef inline void set_present(RunData* run, Time time) noexcept nogil:
    run.now.step, run.now.log_step = time.step, time.log


cdef Time horizon_of(RunData* run) noexcept nogil:
    cdef Time time
    time.step = run.schedule[run.n_scheduled - 1]
    time.log = -INFINITY
    if run.n_late > 0:
        time.step = -1
        time.log = run.late_schedule[run.n_late - 1]
    return time


cdef Time next_scheduled(RunData* run) noexcept nogil:
    """The next sample's time; LAST_LOG when there is none."""
    cdef Time time
    cdef int64_t late = run.now.n_samples - run.n_scheduled
    time.step = -1
    time.log = LAST_LOG
    if late < 0:
        time.step = run.schedule[run.now.n_samples]
    elif late < run.n_late:
        time.log = run.late_schedule[late]
    return time


cdef Time later(RunData* run, int steps) noexcept nogil:
    """The time some steps from now; beyond counting they make no difference."""
    cdef Time time = present(run)
    if time.step >= 0 and time.step > INT64_MAX - steps:
        time.step = -1
        time.log = log_(<double>INT64_MAX)
    elif time.step >= 0:
        time.step += steps
    return time


cdef double doubt_of(RunData* run, int guard) noexcept nogil:
    """How wrong z_ji, or v_j, may be."""
    return run.now.error * (1.0 if guard >= 4 else sqrt(run.model.gram[guard & 1][guard & 1]))


cdef inline double grown(double error, double factor) noexcept nogil:
    """An error times a factor, which may be infinite; where there is no error, none."""
    return error * factor if error > 0.0 else error


# --------------------------------------------------------------------------------------------------
# What is asked

cdef int check_running(int status) except -1:
    if status != RUNNING:
        raise ValueError("the run has ended already")
    return 0


cdef int check_question(const int64_t[::1] schedule, const double[::1] late_schedule, int engine,
                        int loss) except -1:
    cdef Py_ssize_t n
    cdef bint increasing = schedule.shape[0] > 0 and schedule[0] == 0, late = True
    for n in range(1, schedule.shape[0]):
        increasing &= schedule[n] > schedule[n - 1]
    if not increasing:
        raise ValueError("schedule: expected increasing steps, the first of them 0")
    for n in range(late_schedule.shape[0]):
        late &= 43.6 < late_schedule[n] < LAST_LOG and (n == 0 or late_schedule[n] >= late_schedule[n - 1])
    if not late:
        raise ValueError("late_schedule: expected logarithms of steps beyond 2^63 that do not decrease")
    if engine not in (DIRECT, AUTO, LEAP) or (engine == DIRECT and late_schedule.shape[0]):
        raise ValueError("engine: expected DIRECT, AUTO or LEAP; DIRECT without late_schedule")
    if loss not in LOSSES.values():
        raise ValueError("loss: expected one of LOSSES")
    return 0


cdef void set_options(RunData* run, const double[::1] labels, double point_step, int loss, bint trained,
                      int engine, bint average, int64_t max_direct) noexcept:
    cdef int j
    run.model.point_step = point_step
    run.model.log_point_step = log_(point_step)
    run.model.loss = loss
    run.model.trained = trained
    for j in range(2):
        run.model.label[j] = labels[j]
    run.engine = engine
    run.average = average
    run.max_direct = max_direct


cdef void set_schedule(RunData* run, const int64_t[::1] schedule, const double[::1] late_schedule) noexcept:
    run.schedule = &schedule[0]
    run.n_scheduled = schedule.shape[0]
    run.n_late = late_schedule.shape[0]
    run.late_schedule = &late_schedule[0] if run.n_late else NULL
