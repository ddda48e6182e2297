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

cdef enum:
    ALLOWANCE = 2048                 # credit at the beginning

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


cdef Time horizon_of(Course* run) noexcept nogil:
    cdef Time time
    time.step = run.schedule[run.n_scheduled - 1]
    time.log = -INFINITY
    if run.n_late > 0:
        time.step = -1
        time.log = run.late_schedule[run.n_late - 1]
    return time


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


cdef Time later(Course* run, int steps) noexcept nogil:
    """The time some steps from now; beyond counting they make no difference."""
    cdef Time time = run.now
    if time.step >= 0 and time.step > INT64_MAX - steps:
        time.step = -1
        time.log = log_(<double>INT64_MAX)
    elif time.step >= 0:
        time.step += steps
    return time


cdef double doubt_of(Course* run, int guard) noexcept nogil:
    """How wrong z_ji, or v_j, may be."""
    return run.error * (1.0 if guard >= 4 else sqrt(run.model.gram[guard & 1][guard & 1]))


cdef inline double grown(double error, double factor) noexcept nogil:
    """An error times a factor, which may be infinite; where there is no error, none."""
    return error * factor if error > 0.0 else error
