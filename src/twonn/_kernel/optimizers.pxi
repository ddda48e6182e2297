"""Optimizers beside gradient descent, step by step, in the parameters' own coordinates.

p is (w_0, w_1, b_0, b_1, v_0, v_1), compensated; n = −∇L its downhill direction. With step size η:

    momentum        u ← β u + n,  p ← p + η u
    normalized_gd   p ← p + η n/L
    adam            f ← β₁ f + (1 − β₁) n,  s ← β₂ s + (1 − β₂) n²,
                    p ← p + η/(1 − β₁ᵗ) · f/(√s/√(1 − β₂ᵗ) + ε)   in the t-th step
"""

cpdef enum:
    MOMENTUM, NORMALIZED, ADAM


cdef struct OptimizerState:          # what changes beside the parameters and their moments
    int64_t step
    double[2] powers                 # β₁ᵗ, β₂ᵗ
    int status
    int last_pattern
    int64_t n_samples
    int64_t n_transitions


cdef OptimizerState ANY_OPTIMIZER
STATE_DTYPES["other"] = np.asarray(<OptimizerState[:1]>&ANY_OPTIMIZER).dtype
assert STATE_DTYPES["other"].itemsize == sizeof(OptimizerState)


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

    cdef OptimizerState now
    cdef Model model
    cdef Py_ssize_t d
    cdef Py_ssize_t size
    cdef int kind
    cdef bint bias
    cdef double step_size, weight
    cdef double[3] options
    cdef const double[:, ::1] x
    cdef double[:, ::1] moving       # rows: p, its low part, first and second moments
    cdef double[:, ::1] before       # the same a step earlier
    cdef double[::1] downhill
    cdef double[2][2] z
    cdef double[2] margin
    cdef int pattern
    cdef const int64_t[::1] schedule
    cdef int64_t[::1] _steps
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef double[:, ::1] _transition_times
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double step_size, double weight,
                  bint bias, int loss, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule, int kind, const double[::1] options):
        cdef int i, j
        cdef Py_ssize_t a, d = x.shape[1]
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and d == w.shape[1] and options.shape[0] == 3):
            raise ValueError("x, labels, w, b, v, options: expected shapes (2, d), (2,), (2, d), (2,), (2,), (3,)")
        if kind not in (MOMENTUM, NORMALIZED, ADAM):
            raise ValueError("kind: expected MOMENTUM, NORMALIZED or ADAM")
        check_question(schedule, np.empty(0), DIRECT, loss)
        self.d, self.size, self.kind, self.bias = d, 2 * d + 4, kind, bias
        self.step_size, self.weight = step_size, weight
        self.model.loss, self.model.trained = loss, trained
        self.x, self.schedule = x, schedule
        self.now.powers[0] = self.now.powers[1] = 1.0
        for i in range(3):
            self.options[i] = options[i]
        self.moving = np.zeros((4, self.size))
        self.before = np.zeros((4, self.size))
        self.downhill = np.zeros(self.size)
        for j in range(2):
            self.model.label[j] = labels[j]
            for a in range(d):
                self.moving[0, j * d + a] = w[j, a]
            self.moving[0, 2 * d + j] = b[j]
            self.moving[0, 2 * d + 2 + j] = v[j]
        places = len(schedule) + 1
        self._steps = np.empty(places, dtype=np.int64)
        self._states = np.empty((places, 2 * self.size))
        self._patterns = np.empty(places, dtype=np.uint8)
        self._transition_times = np.full((TRANSITIONS_KEPT, 4), -np.inf)
        self._transition_patterns = np.empty((TRANSITIONS_KEPT, 2), dtype=np.uint8)
        self._counts = np.zeros((16, 16), dtype=np.int64)
        self.now.status = RUNNING
        self.now.step = self.now.n_samples = self.now.n_transitions = 0
        self.look()
        self.now.last_pattern = self.pattern

    # What a Run knows beside this.
    obstacle = NONE
    error = averaging_error = 0.0
    averaged, counted = False, True
    log_step = -np.inf

    @property
    def step(self):
        return self.now.step

    @property
    def status(self):
        return self.now.status

    @property
    def n_samples(self):
        return self.now.n_samples

    @property
    def n_transitions(self):
        return self.now.n_transitions

    @property
    def slides(self):
        return []

    @property
    def sample_steps(self):
        return np.asarray(self._steps)[:self.now.n_samples].copy()

    @property
    def sample_logs(self):
        return np.full(self.now.n_samples, -np.inf)

    @property
    def sample_states(self):
        return np.asarray(self._states)[:self.now.n_samples].copy()

    @property
    def sample_patterns(self):
        return np.asarray(self._patterns)[:self.now.n_samples].copy()

    @property
    def sample_phase_unknown(self):
        return np.zeros(self.now.n_samples, dtype=np.uint8)

    @property
    def transition_times(self):
        return np.asarray(self._transition_times)[:self.now.n_transitions].copy()

    @property
    def transition_before(self):
        return np.asarray(self._transition_patterns)[:self.now.n_transitions, 0].copy()

    @property
    def transition_after(self):
        return np.asarray(self._transition_patterns)[:self.now.n_transitions, 1].copy()

    @property
    def transition_counts(self):
        return np.asarray(self._counts).copy()

    @property
    def segments(self):
        return [(STEPPED, 0, -np.inf, self.now.step, -np.inf, 1, 0)] if self.now.step else []

    def advance(self, int64_t steps):
        """Take `steps` more steps, unless the run ends before."""
        cdef int64_t taken
        with nogil:
            for taken in range(steps):
                if self.now.status != RUNNING:
                    break
                self.advance_once()

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        check_running(self.now.status)
        self.end_here(INTERRUPTED)

    @property
    def present(self):
        return np.asarray(self.moving)[:2].ravel()

    def state(self):
        """Return what a run that is RUNNING holds between steps, by name; later steps do not change it."""
        check_running(self.now.status)
        kept = min(self.now.n_transitions, TRANSITIONS_KEPT)
        settled = dict.fromkeys(("steps", "states", "patterns"), self.now.n_samples)
        settled.update(transition_times=kept, transition_patterns=kept)
        return {**snapshot_of_one(self.states()), **snapshot_of_records(self.records(), settled)}

    def restore(self, state):
        """Go on from the `state` of another run of the same question; refuse what cannot be one."""
        states = self.states()
        new = restored(states, {"status": RUNNING, **state})
        if new["step"][0] < 0 or new["last_pattern"][0] < 0:
            raise ValueError("step or last_pattern is out of bounds")
        check_restored(new, self.schedule, np.empty(0))
        put_back(self.records(), state)
        states[:] = new
        self.look()
        if not self.fits():
            raise ValueError("moving is out of bounds")

    cdef states(self):
        return np.asarray(<OptimizerState[:1]>&self.now)

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

    cdef void advance_once(self) noexcept nogil:
        """Record the present step if it is scheduled, and take the next one."""
        if self.now.step == self.schedule[self.now.n_samples]:
            self.record()
            if self.now.n_samples == self.schedule.shape[0]:
                self.now.status = COMPLETED
                return
        if self.pattern == 0 and not self.coasts():
            self.end_here(STATIONARY)
            return
        memcpy(&self.before[0, 0], &self.moving[0, 0], 4 * self.size * sizeof(double))
        self.go_downhill()
        self.look()
        if not self.fits():
            memcpy(&self.moving[0, 0], &self.before[0, 0], 4 * self.size * sizeof(double))
            self.look()
            self.end_here(DIVERGED)
            return
        self.now.step += 1
        if self.pattern != self.now.last_pattern:
            self.note()

    cdef bint coasts(self) noexcept nogil:
        """Whether it moves without a gradient."""
        cdef Py_ssize_t n
        if self.kind != NORMALIZED:
            for n in range(self.size):
                if self.moving[2, n] != 0.0:
                    return True
        return False

    cdef void end_here(self, int status) noexcept nogil:
        if self.now.n_samples == 0 or self._steps[self.now.n_samples - 1] != self.now.step:
            self.record()
        self.now.status = status

    cdef void record(self) noexcept nogil:
        cdef Py_ssize_t n
        self._steps[self.now.n_samples] = self.now.step
        for n in range(self.size):
            self._states[self.now.n_samples, n] = self.moving[0, n]
            self._states[self.now.n_samples, self.size + n] = self.moving[1, n]
        self._patterns[self.now.n_samples] = self.pattern
        self.now.n_samples += 1

    cdef void note(self) noexcept nogil:
        """Take notice of a transition."""
        cdef int64_t n = self.now.n_transitions
        if n < TRANSITIONS_KEPT:
            self._transition_times[n, 0] = self._transition_times[n, 2] = self._transition_times[n, 3] = self.now.step
            self._transition_patterns[n, 0] = self.now.last_pattern
            self._transition_patterns[n, 1] = self.pattern
        self._counts[self.now.last_pattern, self.pattern] += 1
        self.now.n_transitions += 1
        self.now.last_pattern = self.pattern

    cdef void look(self) noexcept nogil:
        """Fill in pre-activations, activation pattern and margins."""
        cdef Py_ssize_t d = self.d
        cdef double f
        cdef int i, j
        self.pattern = 0
        for i in range(2):
            f = 0.0
            for j in range(2):
                self.z[j][i] = own_preactivation(&self.moving[0, 0], &self.moving[1, 0], &self.x[i, 0], d, j)
                if self.z[j][i] > 0.0:
                    self.pattern |= 1 << (2 * j + i)
                    f += self.moving[0, 2 * d + 2 + j] * self.z[j][i]
            self.margin[i] = self.model.label[i] * f

    cdef bint fits(self) noexcept nogil:
        """Whether everything is finite, and below 2^996, the most that two_product splits."""
        cdef double zero = 0.0, scale = 268435456.0  # 2^28
        cdef Py_ssize_t n
        cdef int i
        for n in range(self.size):
            zero += scale * self.moving[0, n] * 0.0 + scale * self.moving[2, n] * 0.0
        for i in range(2):
            zero += scale * self.margin[i] * 0.0 + scale * self.z[0][i] * 0.0 + scale * self.z[1][i] * 0.0
        return zero == 0.0

    cdef void go_downhill(self) noexcept nogil:
        cdef Py_ssize_t n, moved = self.size if self.model.trained else self.size - 2
        cdef double change, first, second, step
        self.fill_downhill()
        if self.kind == ADAM:
            self.now.powers[0] *= self.options[0]
            self.now.powers[1] *= self.options[1]
        for n in range(moved):
            if not self.bias and 2 * self.d <= n < 2 * self.d + 2:
                continue
            change = self.downhill[n]
            if self.kind == MOMENTUM:
                change = self.moving[2, n] = self.options[0] * self.moving[2, n] + change
                change *= self.step_size
            elif self.kind == NORMALIZED:
                change *= self.step_size
            else:
                first = self.moving[2, n] = (self.options[0] * self.moving[2, n]
                                             + (1.0 - self.options[0]) * change)
                second = self.moving[3, n] = (self.options[1] * self.moving[3, n]
                                              + (1.0 - self.options[1]) * (change * change))
                step = self.step_size / (1.0 - self.now.powers[0])
                change = step * (first / (sqrt(second) / sqrt(1.0 - self.now.powers[1]) + self.options[2]))
            move(&self.moving[0, n], &self.moving[1, n], change)

    cdef void fill_downhill(self) noexcept nogil:
        """−∇L, or −∇L/L."""
        cdef Py_ssize_t a, d = self.d
        cdef double[2] push
        cdef int i, j
        self.fill_pushes(push)
        memset(&self.downhill[0], 0, self.size * sizeof(double))
        for j in range(2):
            for i in range(2):
                if not self.z[j][i] > 0.0:
                    continue
                self.downhill[2 * d + 2 + j] += push[i] * self.z[j][i]
                self.downhill[2 * d + j] += push[i] * self.moving[0, 2 * d + 2 + j]
                for a in range(d):
                    self.downhill[j * d + a] += push[i] * self.moving[0, 2 * d + 2 + j] * self.x[i, a]

    cdef void fill_pushes(self, double* push) noexcept nogil:
        """−y_i ℓ'(m_i) times the weight of the reduction, or by the loss, whose own weight then cancels."""
        cdef double[2] log_losses
        cdef double largest, loss
        cdef int i
        if self.kind != NORMALIZED:
            for i in range(2):
                push[i] = self.weight * loss_slope(&self.model, self.margin[i]) * self.model.label[i]
            return
        # Relative to the larger loss, so that margins of thousands do not make both 0.
        for i in range(2):
            log_losses[i] = log_loss(&self.model, self.margin[i])
        largest = max(log_losses[0], log_losses[1])
        loss = exp_(log_losses[0] - largest) + exp_(log_losses[1] - largest)
        for i in range(2):
            push[i] = exp_(log_slope(&self.model, self.margin[i]) - largest) / loss * self.model.label[i]


cdef double own_preactivation(const double* p, const double* low, const double* x, Py_ssize_t d, int j) noexcept nogil:
    """z_j at a point, from the parameters and their low parts."""
    cdef Sum z = lifted_dot(p + j * d, p[2 * d + j], x, d)
    cdef double rest = low[2 * d + j]
    cdef Py_ssize_t a
    for a in range(d):
        rest += low[j * d + a] * x[a]
    return z.high + (z.low + rest)


cdef inline void move(double* high, double* low, double change) noexcept nogil:
    cdef Sum r = two_sum(high[0], low[0] + change)
    high[0] = r.high
    low[0] = r.low


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
