"""Many runs of one problem, in Python's hands."""


cdef class Batch:
    """Many runs of one problem, driven together; each gives the bits that it gives alone.

    Parameters
    ----------
    x, labels, point_step, bias, loss, trained, schedule, late_schedule, engine, average, max_direct
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
    sample_steps, sample_logs, sample_patterns, sample_phase_unknown : ndarray, shape (runs, places)
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
    cdef RunData* data               # of each run
    cdef const int64_t[::1] schedule
    cdef const double[::1] late_schedule
    cdef readonly object sample_steps, sample_logs, sample_states, sample_patterns, sample_phase_unknown
    cdef readonly object transition_times, transition_patterns, slides
    cdef object _slides, _segments, _segment_logs

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double point_step, bint bias,
                  int loss, bint trained, const double[:, :, ::1] w, const double[:, ::1] b,
                  const double[:, ::1] v, const int64_t[::1] schedule, const double[::1] late_schedule,
                  int engine, bint average=True, Py_ssize_t transitions_kept=16, Py_ssize_t slides_kept=4,
                  int64_t max_direct=INT64_MAX):
        cdef Py_ssize_t r, runs = w.shape[0]
        cdef RunData* run
        if not (x.shape[0] == w.shape[1] == labels.shape[0] == b.shape[1] == v.shape[1] == 2
                and x.shape[1] == w.shape[2] and b.shape[0] == v.shape[0] == runs):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (runs, 2, d), (runs, 2), (runs, 2)")
        if transitions_kept < 0 or slides_kept < 0:
            raise ValueError("transitions_kept, slides_kept: expected numbers >= 0")
        check_question(schedule, late_schedule, engine, loss)
        self.schedule, self.late_schedule = schedule, late_schedule
        places = len(schedule) + len(late_schedule) + 1
        cdef int64_t[:, ::1] steps = np.full((runs, places), -1, dtype=np.int64)
        cdef double[:, ::1] logs = np.full((runs, places), np.nan)
        cdef double[:, :, ::1] states = np.full((runs, places, STATE_SIZE), np.nan)
        cdef uint8_t[:, ::1] patterns = np.full((runs, places), 255, dtype=np.uint8)
        cdef uint8_t[:, ::1] phase_unknown = np.zeros((runs, places), dtype=np.uint8)
        # One place more than is kept, so that there is one to point to.
        cdef double[:, :, ::1] times = np.full((runs, transitions_kept + 1, 4), np.nan)
        cdef uint8_t[:, :, ::1] changes = np.full((runs, transitions_kept + 1, 2), 255, dtype=np.uint8)
        cdef double[:, :, ::1] slides = np.full((runs, slides_kept + 2, 5), np.nan)
        cdef int64_t[:, ::1] segments = np.zeros((runs, 5), dtype=np.int64)
        cdef double[:, ::1] segment_logs = np.zeros((runs, 2))
        self.sample_steps, self.sample_logs = np.asarray(steps), np.asarray(logs)
        self.sample_states = np.asarray(states)
        self.sample_patterns, self.sample_phase_unknown = np.asarray(patterns), np.asarray(phase_unknown)
        self.transition_times = np.asarray(times)[:, :transitions_kept]
        self.transition_patterns = np.asarray(changes)[:, :transitions_kept]
        self._slides = np.asarray(slides)
        self.slides = self._slides[:, :slides_kept]
        self._segments, self._segment_logs = np.asarray(segments), np.asarray(segment_logs)
        self.data = <RunData*>calloc(max(runs, 1), sizeof(RunData))
        if self.data == NULL:
            raise MemoryError()
        self.runs, self.ended = runs, 0
        for r in range(runs):
            run = &self.data[r]
            set_model(&run.model, x, bias, w[r], b[r])
            set_options(run, labels, point_step, loss, trained, engine, average, max_direct)
            set_schedule(run, schedule, late_schedule)
            run.steps, run.logs = &steps[r, 0], &logs[r, 0]
            run.states = <State*>&states[r, 0, 0]
            run.patterns, run.phase_unknown_then = &patterns[r, 0], &phase_unknown[r, 0]
            run.transitions_kept, run.slides_kept, run.segments_kept = transitions_kept, slides_kept, 1
            run.transition_times = <Dates*>&times[r, 0, 0]
            run.transition_patterns = <Patterns*>&changes[r, 0, 0]
            run.slides = <Episode*>&slides[r, 0, 0]
            run.counts = NULL
            run.segments = <Segment*>&segments[r, 0]
            run.segment_logs = <Logs*>&segment_logs[r, 0]
            start_run(run, &v[r, 0])

    def __dealloc__(self):
        free(self.data)

    def advance(self, int64_t steps):
        """Take at least `steps` more steps in all, or leaps that cost as much; return how many runs go on."""
        cdef int64_t spent = 0
        cdef RunData* run
        with nogil:
            if self.ended < self.runs and self.data[0].engine == DIRECT:
                step_in_lanes(self.data, self.ended, self.runs, steps)
                spent = steps
            while self.ended < self.runs:
                run = &self.data[self.ended]
                if run.now.status != RUNNING:
                    measure_open_slides(run)
                    self.ended += 1
                elif spent < steps:
                    spent += advance_once(run)
                else:
                    break
        twonn_raise_pending()
        return self.runs - self.ended

    def interrupt(self):
        """End all runs that are still RUNNING: the present step of each becomes its last sample."""
        cdef Py_ssize_t r
        for r in range(self.runs):
            if self.data[r].now.status == RUNNING:
                end_here(&self.data[r], INTERRUPTED)

    def state(self):
        """Return what the runs hold between blocks, by name, the runs first; later blocks do not change it."""
        return {**copies(self.now()), **snapshot_of_records(self.records(), {})}

    def restore(self, state):
        """Go on from the `state` of another batch of the same question; refuse what cannot be one."""
        cdef Py_ssize_t r
        records, states = self.records(), self.now()
        for name, place in {**copies(states), **records}.items():
            if state[name].shape != place.shape or state[name].dtype != place.dtype:
                raise ValueError(f"{name}: expected {place.dtype} of shape {place.shape}")
        new = restored(states, state)
        check_restored(new, self.schedule, self.late_schedule, 1, self.slides.shape[1])
        put_back(records, state)
        states[:] = new
        for r in range(self.runs):
            if not fits(&self.data[r].model, &self.data[r].now.state):
                raise ValueError("state is out of bounds")
        self.ended = 0  # what follows the end of a run may be done twice

    cdef now(self):
        return states_of(self.data, self.runs)

    cdef dict records(self):
        return {
            "steps": self.sample_steps,
            "logs": self.sample_logs,
            "states": self.sample_states,
            "patterns": self.sample_patterns,
            "phase_unknown_then": self.sample_phase_unknown,
            "transition_times": self.transition_times,
            "transition_patterns": self.transition_patterns,
            "segments": self._segments,
            "segment_logs": self._segment_logs,
            "slides": self._slides,
        }

    @property
    def open_slides(self):
        episodes = np.full((self.runs, 2, 5), np.nan)
        row = self.now()["episode"]
        r, j = np.nonzero(row >= 0)
        episodes[r, j] = self._slides[r, row[r, j]]
        return episodes

    @property
    def status(self):
        return self.now()["status"].astype(np.uint8)

    @property
    def obstacle(self):
        return self.now()["obstacle"].astype(np.uint8)

    @property
    def last_step(self):
        return self.now()["step"].copy()

    @property
    def last_log(self):
        return self.now()["log_step"].copy()

    @property
    def error(self):
        return self.now()["error"].copy()

    @property
    def averaging_error(self):
        return self.now()["averaging_error"].copy()

    @property
    def converged_step(self):
        return self.now()["converged_step"].copy()

    @property
    def converged_log(self):
        return self.now()["converged_log"].copy()

    @property
    def averaged(self):
        return self.now()["averaged"] != 0

    @property
    def counted(self):
        return self.now()["uncounted"] == 0

    @property
    def n_samples(self):
        return self.now()["n_samples"].copy()

    @property
    def n_transitions(self):
        return self.now()["n_transitions"].copy()

    @property
    def n_slides(self):
        return self.now()["n_slides"].copy()
