# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The kernel: exact gradient-descent steps in reduced coordinates.

With C_jk = Σ_steps h s_k y_k v_j a_jk and the lifted Gram matrix G the pre-activations are
z_ji = z_ji(0) + Σ_k C_jk G_ki, so a run of any dimension is C (2 x 2) and v (2). Time is cut into
blocks of BLOCK_STEPS steps that start at multiples of BLOCK_STEPS. The bits of a block depend on the
State at its start alone, never on where a run is sampled, paused or ended.
"""

from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

import numpy as np


cdef extern from "_kernel/build.h" nogil:
    const char* TWONN_COMPILER
    const char* TWONN_FLAGS
    const char* TWONN_ISA
    int TWONN_CONTRACTED, TWONN_NOT_NEAREST, TWONN_FLUSHED, TWONN_EXCESS_PRECISION
    int twonn_arithmetic_faults() noexcept


include "_kernel/arithmetic.pxi"
include "_kernel/direct.pxi"


# --------------------------------------------------------------------------------------------------
# A run

cpdef enum:
    TRANSITIONS_KEPT = 10_000        # number recorded in full; all of them are counted

cpdef enum:
    RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED


cdef class DirectRun:
    """One run, stepped directly: its state, its samples and its transitions.

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
        Steps to record, increasing, the first 0, the last the horizon.

    Attributes
    ----------
    step : int
        Steps taken so far.
    status : int
        RUNNING, COMPLETED, STATIONARY, DIVERGED or INTERRUPTED.
    n_samples, n_transitions : int
        How many samples are recorded; how many transitions happened.
    sample_steps, sample_states, sample_patterns : ndarray
        Shapes (n_samples,), (n_samples, STATE_SIZE), (n_samples,).
    transition_steps, transition_before, transition_after : ndarray
        The first TRANSITIONS_KEPT transitions.
    transition_counts : ndarray of int64, shape (16, 16)
        How often each pattern (row) was followed by each other pattern (column).
    """

    cdef Model model
    cdef State state                 # at the start of the present block
    cdef readonly int64_t step
    cdef readonly int status
    cdef readonly int64_t n_samples
    cdef readonly int64_t n_transitions
    cdef int last_pattern            # −1 before the first
    cdef const int64_t[::1] schedule
    cdef int64_t[::1] _steps
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef int64_t[::1] _transition_steps
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double rate, bint bias,
                  bint logistic, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule):
        cdef int i, j
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and x.shape[1] == w.shape[1]):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (2, d), (2,), (2,)")
        steps = np.asarray(schedule)
        if len(steps) == 0 or steps[0] != 0 or np.any(np.diff(steps) <= 0):
            raise ValueError("schedule: expected increasing steps, the first of them 0")
        set_model(&self.model, x, bias, w, b)
        self.model.rate = rate
        self.model.logistic = logistic
        self.model.trained = trained
        for j in range(2):
            self.model.label[j] = labels[j]
            self.state.v[j] = v[j]
            self.state.v_low[j] = 0.0
            for i in range(2):
                self.state.c[j][i] = self.state.c_low[j][i] = 0.0
        self.schedule = schedule
        self.step = self.n_samples = self.n_transitions = 0
        self.status = RUNNING
        self.last_pattern = -1
        # One place more than scheduled: an early end is recorded too.
        self._steps = np.empty(len(schedule) + 1, dtype=np.int64)
        self._states = np.empty((len(schedule) + 1, STATE_SIZE))
        self._patterns = np.empty(len(schedule) + 1, dtype=np.uint8)
        self._transition_steps = np.empty(TRANSITIONS_KEPT, dtype=np.int64)
        self._transition_patterns = np.empty((TRANSITIONS_KEPT, 2), dtype=np.uint8)
        self._counts = np.zeros((16, 16), dtype=np.int64)

    @property
    def sample_steps(self):
        return np.asarray(self._steps)[:self.n_samples].copy()

    @property
    def sample_states(self):
        return np.asarray(self._states)[:self.n_samples].copy()

    @property
    def sample_patterns(self):
        return np.asarray(self._patterns)[:self.n_samples].copy()

    @property
    def transition_steps(self):
        return np.asarray(self._transition_steps)[:self.n_transitions].copy()

    @property
    def transition_before(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 0].copy()

    @property
    def transition_after(self):
        return np.asarray(self._transition_patterns)[:self.n_transitions, 1].copy()

    @property
    def transition_counts(self):
        return np.asarray(self._counts).copy()

    def advance(self, int64_t steps):
        """Take at least `steps` more steps, to the end of a block, unless the run ends before."""
        cdef int64_t horizon = self.schedule[self.schedule.shape[0] - 1]
        cdef int64_t pause = horizon if steps > horizon - self.step else self.step + steps
        with nogil:
            while self.status == RUNNING and (self.step < pause or self.step == horizon):
                self.run_block(horizon)

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        cdef Block block
        if self.status != RUNNING:
            raise ValueError("the run has ended already")
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, self.step)
        self.sample(0, True)
        self.status = INTERRUPTED

    cdef void run_block(self, int64_t horizon) noexcept nogil:
        """Take the block that starts at `step`, up to the horizon or an earlier end."""
        cdef Block block
        cdef State after
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int last = BLOCK_STEPS
        cdef int status = RUNNING
        if horizon - self.step < BLOCK_STEPS:
            last = <int>(horizon - self.step)
            status = COMPLETED
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, self.step)
        if block.pattern == 0:
            last = 0
            status = STATIONARY
        else:
            advance(&self.model, &block, last, patterns)
            close_block(&self.model, &self.state, &block, &after)
            if not fits(&self.model, &after):
                # The last sample is the last state that fits, one step before the one named.
                last = steps_to_divergence(&self.model, &self.state, last) - 1
                status = DIVERGED
            if not block.smooth:
                last = self.scan(patterns, last, &status)
        self.sample(last, status != RUNNING)
        if status == RUNNING:
            self.state = after
        self.status = status
        self.step += last

    cdef int scan(self, const uint8_t* patterns, int last, int* status) noexcept nogil:
        """Note the transitions up to step `last` of the block; return the step at which all units died."""
        cdef int n
        # The pattern after BLOCK_STEPS steps is the next block's to tell.
        for n in range(1, min(last, BLOCK_STEPS - 1) + 1):
            if patterns[n - 1] == self.last_pattern:
                continue
            self.note(patterns[n - 1], self.step + n)
            if patterns[n - 1] == 0:
                status[0] = STATIONARY
                return n
        return last

    cdef void note(self, int pattern, int64_t step) noexcept nogil:
        """Take notice of the pattern at `step`; a change is a transition."""
        if self.last_pattern >= 0 and pattern != self.last_pattern:
            if self.n_transitions < TRANSITIONS_KEPT:
                self._transition_steps[self.n_transitions] = step
                self._transition_patterns[self.n_transitions, 0] = self.last_pattern
                self._transition_patterns[self.n_transitions, 1] = pattern
            self._counts[self.last_pattern, pattern] += 1
            self.n_transitions += 1
        self.last_pattern = pattern

    cdef void sample(self, int last, bint ended) noexcept nogil:
        """Record the scheduled steps of the present block before `last`, and `last` if the run ended."""
        cdef Block block
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int taken = 0, target
        cdef int64_t end = self.step + last
        cdef int64_t scheduled = self.next_scheduled()
        if not (scheduled < end or ended):
            return
        open_block(&self.model, &self.state, &block)
        while scheduled < end or ended:
            target = <int>(min(scheduled, end) - self.step)
            advance(&self.model, &block, target - taken, patterns)
            taken = target
            close_block(&self.model, &self.state, &block, <State*>&self._states[self.n_samples, 0])
            self._steps[self.n_samples] = self.step + taken
            self._patterns[self.n_samples] = block.pattern
            self.n_samples += 1
            if taken == last:
                return
            scheduled = self.next_scheduled()

    cdef int64_t next_scheduled(self) noexcept nogil:
        if self.n_samples < self.schedule.shape[0]:
            return self.schedule[self.n_samples]
        return INT64_MAX


# --------------------------------------------------------------------------------------------------
# Between parameters and reduced coordinates, with twice the working precision

def preactivations(const double[:, :, ::1] w, const double[:, ::1] b, const double[:, ::1] x):
    """Return z[r, j, i] = w_j·x_i + b_j of run r, shape (runs, 2, 2)."""
    cdef Py_ssize_t r
    cdef int i, j
    if not (w.shape[1] == b.shape[1] == x.shape[0] == 2 and w.shape[0] == b.shape[0]
            and w.shape[2] == x.shape[1]):
        raise ValueError("w, b, x: expected shapes (runs, 2, d), (runs, 2), (2, d)")
    result = np.empty((w.shape[0], 2, 2))
    cdef double[:, :, ::1] out = result
    with nogil:
        for r in range(w.shape[0]):
            for j in range(2):
                for i in range(2):
                    out[r, j, i] = lifted_dot(&w[r, j, 0], b[r, j], &x[i, 0], x.shape[1]).high
    return result


cdef int check_states(const double[:, ::1] x, const double[:, ::1] w, const double[::1] b,
                      const double[:, ::1] states) except -1:
    if not (x.shape[0] == w.shape[0] == b.shape[0] == 2 and x.shape[1] == w.shape[1]
            and states.shape[1] == STATE_SIZE):
        raise ValueError("x, w, b, states: expected shapes (2, d), (2, d), (2,), (n, 12)")
    return 0


def state_preactivations(const double[:, ::1] x, bint bias, const double[:, ::1] w,
                         const double[::1] b, const double[:, ::1] states):
    """Return z[n, j, i] of recorded states, shape (n, 2, 2); w and b are those of step 0."""
    cdef Py_ssize_t n
    cdef int i, j
    cdef Model model
    check_states(x, w, b, states)
    result = np.empty((states.shape[0], 2, 2))
    cdef double[:, :, ::1] out = result
    with nogil:
        set_model(&model, x, bias, w, b)
        for n in range(states.shape[0]):
            for j in range(2):
                for i in range(2):
                    out[n, j, i] = preactivation(&model, <const State*>&states[n, 0], j, i)
    return result


def state_weights(const double[:, ::1] x, bint bias, const double[:, ::1] w, const double[::1] b,
                  const double[:, ::1] states):
    """Return w_j + Σ_k C_jk x_k, shape (n, 2, d), and b_j + Σ_k C_jk, shape (n, 2), of recorded states."""
    cdef Py_ssize_t n, a
    cdef int j
    check_states(x, w, b, states)
    weights = np.empty((states.shape[0], 2, w.shape[1]))
    biases = np.empty((states.shape[0], 2))
    cdef double[:, :, ::1] w_out = weights
    cdef double[:, ::1] b_out = biases
    cdef const State* state
    with nogil:
        for n in range(states.shape[0]):
            state = <const State*>&states[n, 0]
            for j in range(2):
                for a in range(w.shape[1]):
                    w_out[n, j, a] = parameter(w[j, a], state, j, x[0, a], x[1, a])
                b_out[n, j] = parameter(b[j], state, j, 1.0, 1.0) if bias else b[j]
    return weights, biases


cdef double parameter(double start, const State* state, int j, double x0, double x1) noexcept nogil:
    cdef Sum r
    r.high = start
    r.low = state.c_low[j][0] * x0 + state.c_low[j][1] * x1
    r = plus_product(plus_product(r, state.c[j][0], x0), state.c[j][1], x1)
    return finite_or(r, start + (state.c[j][0] * x0 + state.c[j][1] * x1)).high


def exp(const double[::1] x):
    """Return the kernel's own exponential of each number, shape (n,)."""
    cdef Py_ssize_t n
    result = np.empty(x.shape[0])
    cdef double[::1] out = result
    for n in range(x.shape[0]):
        out[n] = exp_(x[n])
    return result


# --------------------------------------------------------------------------------------------------
# The build

COMPILER = TWONN_COMPILER.decode()
FLAGS = TWONN_FLAGS.decode()
ISA = TWONN_ISA.decode()


def arithmetic_faults():
    """Return what is wrong with the floating-point arithmetic of this thread, a list of phrases."""
    cdef int faults = twonn_arithmetic_faults()
    phrases = {
        TWONN_CONTRACTED: "a*b + c is contracted",
        TWONN_NOT_NEAREST: "rounding is not to nearest",
        TWONN_FLUSHED: "subnormal numbers are flushed to zero",
        TWONN_EXCESS_PRECISION: "intermediate results are wider than binary64",
    }
    return [phrase for bit, phrase in phrases.items() if faults & bit]
