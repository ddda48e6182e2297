"""Runs of other optimizers, one by one, in Python's hands."""

cdef class OwnedTask:
    """An `OptimizerTask`, and what it points to."""

    cdef OptimizerTask task
    cdef const double[:, ::1] x
    cdef double[:, ::1] signed_x
    cdef const int64_t[::1] schedule
    cdef double[::1] before

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double step_size, double weight,
                  bint bias, int loss, bint trained, const int64_t[::1] schedule, int kind,
                  const double[::1] options, int64_t transitions_kept):
        cdef OptimizerQuestion* q = &self.task.question
        cdef Py_ssize_t a, d = x.shape[1]
        cdef double reach
        cdef int i
        if not (x.shape[0] == labels.shape[0] == 2 and options.shape[0] == 3):
            raise ValueError("x, labels, options: expected shapes (2, d), (2,), (3,)")
        if kind not in (MOMENTUM, NORMALIZED, ADAM):
            raise ValueError("kind: expected MOMENTUM, NORMALIZED or ADAM")
        check_question(schedule, np.empty(0), DIRECT, loss)
        self.x, self.schedule = x, schedule
        self.signed_x = np.empty((2, d))
        self.before = np.empty(4 * (2 * d + 4))
        q.kind, q.logistic, q.trained, q.d = kind, loss == LOGISTIC, trained, d
        q.step_size, q.weight = step_size, 1.0 if kind == NORMALIZED else weight
        for i in range(3):
            q.options[i] = options[i]
        q.rest[0], q.rest[1] = 1.0 - options[0], 1.0 - options[1]
        q.carried = step_size * options[0]
        self.task.reach = 1.0
        for i in range(2):
            q.label[i] = labels[i]
            q.bias_label[i] = labels[i] if bias else 0.0
            reach = 1.0
            for a in range(d):
                self.signed_x[i, a] = labels[i] * x[i, a]
                reach += abs(x[i, a])
            self.task.reach = max(self.task.reach, reach)
        q.x, q.signed_x = &self.x[0, 0], &self.signed_x[0, 0]
        self.task.size = 2 * d + 4
        self.task.schedule, self.task.n_scheduled = &self.schedule[0], len(schedule)
        self.task.transitions_kept = transitions_kept
        self.task.before = &self.before[0]


cdef class OptimizerRun:
    """One run of another optimizer: its state, its samples and its transitions; read like a `Run`.

    Parameters
    ----------
    x, labels, bias, loss, trained, w, b, v, schedule
        As for `Run`.
    step_size, weight : float
        η, and what the reduction multiplies the sum of the losses by.
    kind : int
        MOMENTUM, NORMALIZED or ADAM.
    options : ndarray of float64, shape (3,)
        β of momentum; β₁, β₂, ε of Adam.

    Attributes
    ----------
    sample_states : ndarray, shape (n_samples, 2 (2 d + 4))
        p, and what rounding left out of it.
    """

    cdef OwnedTask owned
    cdef OptimizerData data
    cdef double[:, ::1] moving
    cdef int64_t[::1] _steps
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef double[:, ::1] _transition_times
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double step_size, double weight,
                  bint bias, int loss, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule, int kind, const double[::1] options):
        if not (w.shape[0] == b.shape[0] == v.shape[0] == 2 and x.shape[1] == w.shape[1]):
            raise ValueError("x, w, b, v: expected shapes (2, d), (2, d), (2,), (2,)")
        self.owned = OwnedTask(
            x, labels, step_size, weight, bias, loss, trained, schedule, kind, options, TRANSITIONS_KEPT
        )
        size = self.owned.task.size
        places = len(schedule) + 1
        self.moving = np.zeros((4, size))
        self._steps = np.empty(places, dtype=np.int64)
        self._states = np.empty((places, 2 * size))
        self._patterns = np.empty(places, dtype=np.uint8)
        self._transition_times = np.empty((TRANSITIONS_KEPT, 4))
        self._transition_patterns = np.empty((TRANSITIONS_KEPT, 2), dtype=np.uint8)
        self._counts = np.zeros((16, 16), dtype=np.int64)
        self.data.moving = &self.moving[0, 0]
        self.data.steps = &self._steps[0]
        self.data.states = &self._states[0, 0]
        self.data.patterns = &self._patterns[0]
        self.data.transition_times = <Dates*>&self._transition_times[0, 0]
        self.data.transition_patterns = <Patterns*>&self._transition_patterns[0, 0]
        self.data.counts = <Counts*>&self._counts[0, 0]
        start_optimizer(&self.owned.task, &self.data, w, b, v)

    # What a Run knows beside this.
    obstacle = NONE
    error = averaging_error = 0.0
    averaged, counted = False, True
    log_step = -np.inf

    @property
    def step(self):
        return self.data.now.step

    @property
    def status(self):
        return self.data.now.status

    @property
    def n_samples(self):
        return self.data.now.n_samples

    @property
    def n_transitions(self):
        return self.data.now.n_transitions

    @property
    def slides(self):
        return []

    @property
    def sample_steps(self):
        return np.asarray(self._steps)[:self.data.now.n_samples].copy()

    @property
    def sample_logs(self):
        return np.full(self.data.now.n_samples, -np.inf)

    @property
    def sample_states(self):
        return np.asarray(self._states)[:self.data.now.n_samples].copy()

    @property
    def sample_patterns(self):
        return np.asarray(self._patterns)[:self.data.now.n_samples].copy()

    @property
    def sample_phase_unknown(self):
        return np.zeros(self.data.now.n_samples, dtype=np.uint8)

    @property
    def transition_times(self):
        return np.asarray(self._transition_times)[:self.data.now.n_transitions].copy()

    @property
    def transition_before(self):
        return np.asarray(self._transition_patterns)[:self.data.now.n_transitions, 0].copy()

    @property
    def transition_after(self):
        return np.asarray(self._transition_patterns)[:self.data.now.n_transitions, 1].copy()

    @property
    def transition_counts(self):
        return np.asarray(self._counts).copy()

    @property
    def segments(self):
        return [(STEPPED, 0, -np.inf, self.data.now.step, -np.inf, 1, 0)] if self.data.now.step else []

    def advance(self, int64_t steps):
        """Take `steps` more steps, unless the run ends before."""
        cdef int64_t taken
        with nogil:
            while steps > 0 and self.data.now.status == RUNNING:
                steps -= advance_optimizer(&self.owned.task, &self.data, steps)

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        check_running(self.data.now.status)
        end_run(&self.owned.task, &self.data, INTERRUPTED)

    @property
    def present(self):
        return np.asarray(self.moving)[:2].ravel()

    def state(self):
        """Return what a run that is RUNNING holds between steps, by name; later steps do not change it."""
        check_running(self.data.now.status)
        kept = min(self.data.now.n_transitions, TRANSITIONS_KEPT)
        settled = dict.fromkeys(("steps", "states", "patterns"), self.data.now.n_samples)
        settled.update(transition_times=kept, transition_patterns=kept)
        return {**snapshot_of_one(self.states()), **snapshot_of_records(self.records(), settled)}

    def restore(self, state):
        """Go on from the `state` of another run of the same question; refuse what cannot be one."""
        states = self.states()
        new = restored(states, {"status": RUNNING, **state})
        if new["step"][0] < 0 or new["last_pattern"][0] < 0:
            raise ValueError("step or last_pattern is out of bounds")
        check_restored(new, self.owned.schedule, np.empty(0))
        put_back(self.records(), state)
        states[:] = new
        look(&self.owned.task, &self.data)
        if not is_in_bounds(&self.owned.task, &self.data):
            raise ValueError("moving is out of bounds")

    cdef states(self):
        return np.asarray(<OptimizerState[:1]>&self.data.now)

    cdef dict records(self):
        return {
            "moving": np.asarray(self.moving),
            "steps": np.asarray(self._steps),
            "states": np.asarray(self._states),
            "patterns": np.asarray(self._patterns),
            "transition_times": np.asarray(self._transition_times),
            "transition_patterns": np.asarray(self._transition_patterns),
            "counts": np.asarray(self._counts),
        }


def own_preactivations(const double[:, ::1] x, const double[:, ::1] states):
    """Return z[n, j, i] of recorded states of an `OptimizerRun`, shape (n, 2, 2)."""
    cdef Py_ssize_t n, d = x.shape[1]
    cdef int i, j
    if not (x.shape[0] == 2 and states.shape[1] == 2 * (2 * d + 4)):
        raise ValueError("x, states: expected shapes (2, d), (n, 4 d + 8)")
    result = np.empty((states.shape[0], 2, 2))
    cdef double[:, :, ::1] out = result
    for n in range(states.shape[0]):
        for j in range(2):
            for i in range(2):
                out[n, j, i] = own_preactivation(&states[n, 0], &states[n, 2 * d + 4], &x[i, 0], d, j)
    return result
