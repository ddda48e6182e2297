# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The kernel: exact gradient-descent steps in reduced coordinates.

With C_jk = Σ_steps h s_k y_k v_j a_jk and the lifted Gram matrix G the pre-activations are
z_ji = z_ji(0) + Σ_k C_jk G_ki, so a run of any dimension is C (2 x 2) and v (2). Time is cut into
blocks of BLOCK_STEPS steps, and leaps between blocks. Where they end and the bits they give depend on the
course of the run alone, never on where it is sampled, paused or ended.
"""

from libc.math cimport INFINITY, NAN, ceil, floor, sqrt  # the functions are exact everywhere
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np
from numpy.lib.stride_tricks import as_strided


# In the order of dependence: a file uses nothing of a later one.
include "_kernel/arithmetic.pxi"
include "_kernel/loss.pxi"
include "_kernel/model.pxi"
include "_kernel/direct.pxi"
include "_kernel/linear.pxi"
include "_kernel/collocation.pxi"
include "_kernel/sliding.pxi"
include "_kernel/leap.pxi"
include "_kernel/averaging.pxi"
include "_kernel/balance.pxi"
include "_kernel/newton.pxi"
include "_kernel/inside.pxi"
include "_kernel/crossings.pxi"
include "_kernel/dates.pxi"
include "_kernel/signals.pxi"
include "_kernel/run.pxi"
include "_kernel/records.pxi"
include "_kernel/episodes.pxi"
include "_kernel/blocks.pxi"
include "_kernel/leaping.pxi"
include "_kernel/advance.pxi"
include "_kernel/lanes.pxi"
include "_kernel/held.pxi"


cdef class Run:
    """One run: its state, its samples and its transitions.

    Parameters
    ----------
    x : ndarray, shape (2, d)
        The points.
    labels : ndarray of float64, shape (2,)
        y_i.
    rate : float
        h.
    bias, logistic, trained : bool
        Whether biases are trained, the loss, whether v is trained.
    w, b, v : ndarray, shapes (2, d), (2,), (2,)
        Parameters at step 0.
    schedule : ndarray of int64, shape (n,)
        Steps to record, increasing, the first 0.
    late_schedule : ndarray of float64, shape (m,)
        Natural logarithms of steps to record beyond 2^63 − 1, not decreasing. The last step of both
        together is the horizon.
    engine : int
        DIRECT takes every step; AUTO leaps where it can, and ends as OBSTRUCTED when `max_direct` is used up;
        LEAP ends as OBSTRUCTED when it could not leap within PATIENCE steps. Beyond 2^63 − 1 steps are taken,
        too, and change the logarithm of their number by nothing.
    average : bool
        Whether leaps average over the teeth of neurons that slide along a kink.
    max_direct : int
        Steps that AUTO takes one by one before it gives up; a leap counts as the steps that cost as much.

    Attributes
    ----------
    step : int
        Steps taken so far, −1 beyond 2^63 − 1.
    log_step : float
        Their natural logarithm there.
    status : int
        RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED, OBSTRUCTED or CONVERGED.
    converged_step, converged_log : int, float
        The step from which nothing changes at working precision, counted like `step` and `log_step`, of a run
        that has reached a finite minimiser; −1 and −inf before that is so.
    obstacle : int
        Why a leap was last not possible.
    error : float
        Bound on what leaping, without averaging, added to the parameters, in the Euclidean norm of all of them.
    averaged : bool
        Whether a leap averaged.
    counted : bool
        Whether every transition was counted: no leap averaged, or passed a kink that attracts.
    averaging_error : float
        What that may have added to the error of what does not saw. It is kept apart because decisions at kinks,
        and the dates of transitions, are better than it.
    n_samples, n_transitions : int
        How many samples are recorded; how many transitions happened.
    sample_steps, sample_logs, sample_states, sample_patterns, sample_unphased : ndarray
        Shapes (n_samples,), (n_samples,), (n_samples, STATE_SIZE), (n_samples,), (n_samples,). The logarithm
        counts where the step is −1. The last are the pairs, coded like a pattern, that slide since a leap
        averaged over them, so that z_ji is known to a tooth only.
    transition_times : ndarray, shape (k, 4)
        Step, its natural logarithm, and the bounds within which rounding leaves the step, of the first
        TRANSITIONS_KEPT transitions.
    transition_before, transition_after : ndarray
        Their patterns.
    transition_counts : ndarray of int64, shape (16, 16)
        How often each pattern (row) was followed by each other pattern (column).
    segments : list of (int, step, logarithm, step, logarithm, blocks, iterations)
        STEPPED, LEAPT or AVERAGED, the ends of the stretch as `step` and `log_step`, and how.
    slides : list of (neuron, sample, step entered, step left, active fraction)
        Where a neuron slid along its kink at a sample, as floats; left at inf if it still does.
    present : ndarray, shape (STATE_SIZE,)
        The State at the present step.
    """

    cdef Course course
    cdef const int64_t[::1] schedule     # what the course points to
    cdef const double[::1] late_schedule
    cdef int64_t[::1] _steps
    cdef double[::1] _logs
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef uint8_t[::1] _unphased
    cdef double[:, ::1] _transition_times
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts
    cdef int64_t[:, ::1] _segments
    cdef double[:, ::1] _segment_logs
    cdef double[:, ::1] _slides

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double rate, bint bias,
                  bint logistic, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule, const double[::1] late_schedule,
                  int engine, bint average=True, int64_t max_direct=INT64_MAX):
        cdef Course* run = &self.course
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and x.shape[1] == w.shape[1]):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (2, d), (2,), (2,)")
        check_question(schedule, late_schedule, engine)
        set_model(&run.model, x, bias, w, b)
        set_options(run, labels, rate, logistic, trained, engine, average, max_direct)
        self.schedule, self.late_schedule = schedule, late_schedule
        set_schedule(run, schedule, late_schedule)
        # One place more than scheduled: an early end is recorded too.
        places = len(schedule) + len(late_schedule) + 1
        self._steps = np.empty(places, dtype=np.int64)
        self._logs = np.empty(places)
        self._states = np.empty((places, STATE_SIZE))
        self._patterns = np.empty(places, dtype=np.uint8)
        self._unphased = np.empty(places, dtype=np.uint8)
        self._transition_times = np.empty((TRANSITIONS_KEPT, 4))
        self._transition_patterns = np.empty((TRANSITIONS_KEPT, 2), dtype=np.uint8)
        self._counts = np.zeros((16, 16), dtype=np.int64)
        self._segments = np.empty((SEGMENTS_KEPT, 5), dtype=np.int64)
        self._segment_logs = np.empty((SEGMENTS_KEPT, 2))
        self._slides = np.zeros((SLIDES_KEPT + 2, 5))
        run.steps = &self._steps[0]
        run.logs = &self._logs[0]
        run.states = <State*>&self._states[0, 0]
        run.patterns = &self._patterns[0]
        run.unphased_then = &self._unphased[0]
        run.transitions_kept = TRANSITIONS_KEPT
        run.transition_times = <Dates*>&self._transition_times[0, 0]
        run.transition_patterns = <Patterns*>&self._transition_patterns[0, 0]
        run.counts = <Counts*>&self._counts[0, 0]
        run.segments_kept = SEGMENTS_KEPT
        run.segments = <Stretch*>&self._segments[0, 0]
        run.segment_logs = <Logs*>&self._segment_logs[0, 0]
        run.slides_kept = SLIDES_KEPT
        run.slides = <Episode*>&self._slides[0, 0]
        start_course(run, &v[0])

    @property
    def step(self):
        return self.course.now.step

    @property
    def log_step(self):
        return self.course.now.log

    @property
    def status(self):
        return self.course.status

    @property
    def obstacle(self):
        return self.course.obstacle

    @property
    def error(self):
        return self.course.error

    @property
    def converged_step(self):
        return self.course.converged.step

    @property
    def converged_log(self):
        return self.course.converged.log

    @property
    def averaged(self):
        return bool(self.course.averaged)

    @property
    def counted(self):
        return not self.course.uncounted

    @property
    def averaging_error(self):
        return self.course.averaging_error

    @property
    def n_samples(self):
        return self.course.n_samples

    @property
    def n_transitions(self):
        return self.course.n_transitions

    @property
    def sample_steps(self):
        return np.asarray(self._steps)[:self.n_samples].copy()

    @property
    def sample_logs(self):
        return np.asarray(self._logs)[:self.n_samples].copy()

    @property
    def sample_states(self):
        return np.asarray(self._states)[:self.n_samples].copy()

    @property
    def sample_patterns(self):
        return np.asarray(self._patterns)[:self.n_samples].copy()

    @property
    def sample_unphased(self):
        return np.asarray(self._unphased)[:self.n_samples].copy()

    @property
    def transition_times(self):
        return np.asarray(self._transition_times)[:self.n_transitions].copy()

    @property
    def transition_before(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 0].copy()

    @property
    def transition_after(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 1].copy()

    @property
    def transition_counts(self):
        return np.asarray(self._counts).copy()

    @property
    def segments(self):
        cdef int64_t n
        return [
            (self._segments[n, 0], self._segments[n, 1], self._segment_logs[n, 0], self._segments[n, 2],
             self._segment_logs[n, 1], self._segments[n, 3], self._segments[n, 4])
            for n in range(self.course.n_segments)
        ]

    @property
    def slides(self):
        measure_open_slides(&self.course)
        kept = np.asarray(self._slides)[:min(self.course.n_slides, SLIDES_KEPT)]
        return [tuple(row) for row in kept.tolist()]

    def advance(self, int64_t steps):
        """Take at least `steps` more steps, or leaps that cost as much, unless the run ends or a signal comes."""
        cdef Course* run = &self.course
        cdef int64_t spent = 0
        cdef Time horizon = horizon_of(run)
        cdef int signals = SIGNALS
        with nogil:
            while (run.status == RUNNING and SIGNALS == signals
                   and (spent < steps or not is_before(run.now, horizon))):
                spent += proceed(run)
        twonn_raise_pending()

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        check_running(self.course.status)
        end_here(&self.course, INTERRUPTED)

    @property
    def present(self):
        return shared(<double*>&self.course.state, STATE_SIZE).copy()

    def state(self):
        """Return what a run that is RUNNING holds between blocks, by name; later blocks do not change it."""
        cdef Course* run = &self.course
        check_running(run.status)
        records = self.records()
        n, k = run.n_samples, min(run.n_transitions, TRANSITIONS_KEPT)
        rows = {name: n for name in ("steps", "logs", "states", "patterns", "unphased_then")}
        rows.update(transition_times=k, transition_patterns=k)
        settled = {name: records.pop(name)[:stop] for name, stop in rows.items()}
        records["segments"] = records["segments"][:run.n_segments]
        records["segment_logs"] = records["segment_logs"][:run.n_segments]
        records["slides"] = records["slides"][:min(run.n_slides, SLIDES_KEPT)]
        return held(fields_of_course(run), settled, records)

    def restore(self, state):
        """Go on from the `state` of another run of the same question; refuse what cannot be one."""
        fields = fields_of_course(&self.course)
        check_state(fields, state, self.schedule, self.late_schedule)
        put_back(fields, self.records(), state)
        if not fits(&self.course.model, &self.course.state):
            raise ValueError("state is out of bounds")

    cdef dict records(self):
        slides = np.asarray(self._slides)
        return {
            "steps": np.asarray(self._steps),
            "logs": np.asarray(self._logs),
            "states": np.asarray(self._states),
            "patterns": np.asarray(self._patterns),
            "unphased_then": np.asarray(self._unphased),
            "transition_times": np.asarray(self._transition_times),
            "transition_patterns": np.asarray(self._transition_patterns),
            "counts": np.asarray(self._counts),
            "segments": np.asarray(self._segments),
            "segment_logs": np.asarray(self._segment_logs),
            "slides": slides[:SLIDES_KEPT],
            "late_slides": slides[SLIDES_KEPT:],
        }


cdef class Batch:
    """Many runs of one problem, driven together; each gives the bits that it gives alone.

    Parameters
    ----------
    x, labels, rate, bias, logistic, trained, schedule, late_schedule, engine, average, max_direct
        As for `Run`; engine is DIRECT or AUTO.
    w, b, v : ndarray, shapes (runs, 2, d), (runs, 2), (runs, 2)
        Parameters at step 0.
    transitions_kept, slides_kept : int
        How many of either are recorded in full, for each run.

    Attributes
    ----------
    status, obstacle, last_step, converged_step, n_samples, n_transitions : ndarray, shape (runs,)
        As for `Run`; the last step is −1 beyond 2^63 − 1, and counts as `last_log` then.
    n_slides : ndarray, shape (runs,)
        How many episodes of sliding there were.
    last_log, converged_log, error, averaging_error : ndarray, shape (runs,)
    averaged, counted : ndarray of bool, shape (runs,)
    sample_steps, sample_logs, sample_patterns, sample_unphased : ndarray, shape (runs, places)
        The first n_samples of each row; −1, nan, 255 and 0 behind them. There is one place more than samples
        are scheduled.
    sample_states : ndarray, shape (runs, places, STATE_SIZE)
    transition_times, transition_patterns : ndarray, shapes (runs, transitions_kept, 4), (…, 2)
        As for `Run`, before and after; nan and 255 where there is none.
    slides : ndarray, shape (runs, slides_kept, 5)
        As for `Run`; nan where there is none.
    open_slides : ndarray, shape (runs, 2, 5)
        Likewise the episode in which neuron [row] is at the end, if it slides then.
    """

    cdef Py_ssize_t runs
    cdef Py_ssize_t ended            # all before this one have
    cdef Course* courses
    cdef const int64_t[::1] schedule
    cdef const double[::1] late_schedule
    cdef readonly object sample_steps, sample_logs, sample_states, sample_patterns, sample_unphased
    cdef readonly object transition_times, transition_patterns, slides
    cdef object _slides, _segments, _segment_logs

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double rate, bint bias,
                  bint logistic, bint trained, const double[:, :, ::1] w, const double[:, ::1] b,
                  const double[:, ::1] v, const int64_t[::1] schedule, const double[::1] late_schedule,
                  int engine, bint average=True, Py_ssize_t transitions_kept=16, Py_ssize_t slides_kept=4,
                  int64_t max_direct=INT64_MAX):
        cdef Py_ssize_t r, runs = w.shape[0]
        cdef Course* run
        if not (x.shape[0] == w.shape[1] == labels.shape[0] == b.shape[1] == v.shape[1] == 2
                and x.shape[1] == w.shape[2] and b.shape[0] == v.shape[0] == runs):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (runs, 2, d), (runs, 2), (runs, 2)")
        if transitions_kept < 0 or slides_kept < 0:
            raise ValueError("transitions_kept, slides_kept: expected numbers >= 0")
        check_question(schedule, late_schedule, engine)
        self.schedule, self.late_schedule = schedule, late_schedule
        places = len(schedule) + len(late_schedule) + 1
        cdef int64_t[:, ::1] steps = np.full((runs, places), -1, dtype=np.int64)
        cdef double[:, ::1] logs = np.full((runs, places), np.nan)
        cdef double[:, :, ::1] states = np.full((runs, places, STATE_SIZE), np.nan)
        cdef uint8_t[:, ::1] patterns = np.full((runs, places), 255, dtype=np.uint8)
        cdef uint8_t[:, ::1] unphased = np.zeros((runs, places), dtype=np.uint8)
        # One place more than is kept, so that there is one to point to.
        cdef double[:, :, ::1] times = np.full((runs, transitions_kept + 1, 4), np.nan)
        cdef uint8_t[:, :, ::1] changes = np.full((runs, transitions_kept + 1, 2), 255, dtype=np.uint8)
        cdef double[:, :, ::1] slides = np.full((runs, slides_kept + 2, 5), np.nan)
        cdef int64_t[:, ::1] segments = np.zeros((runs, 5), dtype=np.int64)
        cdef double[:, ::1] segment_logs = np.zeros((runs, 2))
        self.sample_steps, self.sample_logs = np.asarray(steps), np.asarray(logs)
        self.sample_states = np.asarray(states)
        self.sample_patterns, self.sample_unphased = np.asarray(patterns), np.asarray(unphased)
        self.transition_times = np.asarray(times)[:, :transitions_kept]
        self.transition_patterns = np.asarray(changes)[:, :transitions_kept]
        self._slides = np.asarray(slides)
        self.slides = self._slides[:, :slides_kept]
        self._segments, self._segment_logs = np.asarray(segments), np.asarray(segment_logs)
        self.courses = <Course*>calloc(max(runs, 1), sizeof(Course))
        if self.courses == NULL:
            raise MemoryError()
        self.runs, self.ended = runs, 0
        for r in range(runs):
            run = &self.courses[r]
            set_model(&run.model, x, bias, w[r], b[r])
            set_options(run, labels, rate, logistic, trained, engine, average, max_direct)
            set_schedule(run, schedule, late_schedule)
            run.steps, run.logs = &steps[r, 0], &logs[r, 0]
            run.states = <State*>&states[r, 0, 0]
            run.patterns, run.unphased_then = &patterns[r, 0], &unphased[r, 0]
            run.transitions_kept, run.slides_kept, run.segments_kept = transitions_kept, slides_kept, 1
            run.transition_times = <Dates*>&times[r, 0, 0]
            run.transition_patterns = <Patterns*>&changes[r, 0, 0]
            run.slides = <Episode*>&slides[r, 0, 0]
            run.counts = NULL
            run.segments = <Stretch*>&segments[r, 0]
            run.segment_logs = <Logs*>&segment_logs[r, 0]
            start_course(run, &v[r, 0])

    def __dealloc__(self):
        free(self.courses)

    def advance(self, int64_t steps):
        """Take at least `steps` more steps in all, or leaps that cost as much; return how many runs go on."""
        cdef int64_t spent = 0
        cdef Course* run
        with nogil:
            if self.ended < self.runs and self.courses[0].engine == DIRECT:
                step_in_lanes(self.courses, self.ended, self.runs, steps)
                spent = steps
            while self.ended < self.runs:
                run = &self.courses[self.ended]
                if run.status != RUNNING:
                    measure_open_slides(run)
                    self.ended += 1
                elif spent < steps:
                    spent += proceed(run)
                else:
                    break
        twonn_raise_pending()
        return self.runs - self.ended

    def interrupt(self):
        """End all runs that are still RUNNING: the present step of each becomes its last sample."""
        cdef Py_ssize_t r
        for r in range(self.runs):
            if self.courses[r].status == RUNNING:
                end_here(&self.courses[r], INTERRUPTED)

    def state(self):
        """Return what the runs hold between blocks, by name, the runs first; later blocks do not change it."""
        return held(self.fields(), {}, self.records())

    def restore(self, state):
        """Go on from the `state` of another batch of the same question; refuse what cannot be one."""
        cdef Py_ssize_t r
        fields = self.fields()
        places = {**fields, **self.records()}
        for name, place in places.items():
            if state[name].shape != place.shape or state[name].dtype != place.dtype:
                raise ValueError(f"{name}: expected {place.dtype} of shape {place.shape}")
        check_state(fields, state, self.schedule, self.late_schedule, 1, self.slides.shape[1])
        for name, place in places.items():
            place[:] = state[name]
        for r in range(self.runs):
            if not fits(&self.courses[r].model, &self.courses[r].state):
                raise ValueError("state is out of bounds")
        self.ended = 0  # what follows the end of a run may be done twice

    cdef dict fields(self):
        """Arrays over the fields of all runs, which lie in memory one run after the other."""
        cdef Py_ssize_t apart = sizeof(Course)
        fields = {**fields_of_course(self.courses), "status": shared(&self.courses.status, 1)}
        return {
            name: as_strided(one, (self.runs, len(one)), (apart, one.itemsize)) for name, one in fields.items()
        }

    cdef dict records(self):
        return {
            "steps": self.sample_steps,
            "logs": self.sample_logs,
            "states": self.sample_states,
            "patterns": self.sample_patterns,
            "unphased_then": self.sample_unphased,
            "transition_times": self.transition_times,
            "transition_patterns": self.transition_patterns,
            "segments": self._segments,
            "segment_logs": self._segment_logs,
            "slides": self._slides,
        }

    @property
    def status(self):
        return np.array([self.courses[r].status for r in range(self.runs)], dtype=np.uint8)

    @property
    def obstacle(self):
        return np.array([self.courses[r].obstacle for r in range(self.runs)], dtype=np.uint8)

    @property
    def open_slides(self):
        cdef Py_ssize_t r
        cdef int j
        episodes = np.full((self.runs, 2, 5), np.nan)
        for r in range(self.runs):
            for j in range(2):
                if self.courses[r].episode[j] >= 0:
                    episodes[r, j] = self._slides[r, self.courses[r].episode[j]]
        return episodes

    @property
    def last_step(self):
        return np.array([self.courses[r].now.step for r in range(self.runs)], dtype=np.int64)

    @property
    def last_log(self):
        return np.array([self.courses[r].now.log for r in range(self.runs)])

    @property
    def error(self):
        return np.array([self.courses[r].error for r in range(self.runs)])

    @property
    def averaging_error(self):
        return np.array([self.courses[r].averaging_error for r in range(self.runs)])

    @property
    def converged_step(self):
        return np.array([self.courses[r].converged.step for r in range(self.runs)], dtype=np.int64)

    @property
    def converged_log(self):
        return np.array([self.courses[r].converged.log for r in range(self.runs)])

    @property
    def averaged(self):
        return np.array([self.courses[r].averaged for r in range(self.runs)], dtype=bool)

    @property
    def counted(self):
        return np.array([not self.courses[r].uncounted for r in range(self.runs)], dtype=bool)

    @property
    def n_samples(self):
        return np.array([self.courses[r].n_samples for r in range(self.runs)], dtype=np.int64)

    @property
    def n_transitions(self):
        return np.array([self.courses[r].n_transitions for r in range(self.runs)], dtype=np.int64)

    @property
    def n_slides(self):
        return np.array([self.courses[r].n_slides for r in range(self.runs)], dtype=np.int64)


cdef int check_running(int status) except -1:
    if status != RUNNING:
        raise ValueError("the run has ended already")
    return 0


cdef int check_question(const int64_t[::1] schedule, const double[::1] late_schedule, int engine) except -1:
    steps, logs = np.asarray(schedule), np.asarray(late_schedule)
    if len(steps) == 0 or steps[0] != 0 or np.any(np.diff(steps) <= 0):
        raise ValueError("schedule: expected increasing steps, the first of them 0")
    if not (np.all(logs > 43.6) and np.all(logs < LAST_LOG) and np.all(np.diff(logs) >= 0)):
        raise ValueError("late_schedule: expected logarithms of steps beyond 2^63 that do not decrease")
    if engine not in (DIRECT, AUTO, LEAP) or (engine == DIRECT and len(logs)):
        raise ValueError("engine: expected DIRECT, AUTO or LEAP; DIRECT without late_schedule")
    return 0


cdef void set_options(Course* run, const double[::1] labels, double rate, bint logistic, bint trained,
                      int engine, bint average, int64_t max_direct) noexcept:
    cdef int j
    run.model.rate = rate
    run.model.log_rate = log_(rate)
    run.model.logistic = logistic
    run.model.trained = trained
    for j in range(2):
        run.model.label[j] = labels[j]
    run.engine = engine
    run.average = average
    run.max_direct = max_direct


cdef void set_schedule(Course* run, const int64_t[::1] schedule, const double[::1] late_schedule) noexcept:
    run.schedule = &schedule[0]
    run.n_scheduled = schedule.shape[0]
    run.n_late = late_schedule.shape[0]
    run.late_schedule = &late_schedule[0] if run.n_late else NULL


include "_kernel/optimizers.pxi"
include "_kernel/float32.pxi"
include "_kernel/parameters.pxi"
include "_kernel/build.pxi"
