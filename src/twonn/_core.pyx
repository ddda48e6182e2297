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
include "_kernel/snapshot.pxi"


cdef class Run:
    """One run: its state, its samples and its transitions.

    Parameters
    ----------
    x : ndarray, shape (2, d)
        The points.
    labels : ndarray of float64, shape (2,)
        y_i.
    point_step : float
        h.
    bias, trained : bool
        Whether biases are trained, and v.
    loss : int
        One of LOSSES.
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
        Whether leaps average over the sawtooth of neurons that slide along a kink.
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
        What that may have added to the error of the slow variables. It is kept apart because decisions at kinks,
        and the dates of transitions, are better than it.
    n_samples, n_transitions : int
        How many samples are recorded; how many transitions happened.
    sample_steps, sample_logs, sample_states, sample_patterns, sample_phase_unknown : ndarray
        Shapes (n_samples,), (n_samples,), (n_samples, STATE_SIZE), (n_samples,), (n_samples,). The logarithm
        counts where the step is −1. The last are the pairs, coded like a pattern, that slide since a leap
        averaged over them, so that z_ji is known to the height of its sawtooth only.
    transition_times : ndarray, shape (k, 4)
        Step, its natural logarithm, and the bounds within which rounding leaves the step, of the first
        TRANSITIONS_KEPT transitions.
    transition_before, transition_after : ndarray
        Their patterns.
    transition_counts : ndarray of int64, shape (16, 16)
        How often each pattern (row) was followed by each other pattern (column).
    segments : list of (int, step, logarithm, step, logarithm, blocks, iterations)
        STEPPED, LEAPT or AVERAGED, the ends of the stretch as `step` and `log_step`, and how.
    slides : list of (neuron, point, step entered, step left, active fraction)
        Where a neuron slid along its kink at a point, as floats; left at inf if it still does.
    present : ndarray, shape (STATE_SIZE,)
        The State at the present step.
    """

    cdef RunData data
    cdef const int64_t[::1] schedule     # what `data` points to
    cdef const double[::1] late_schedule
    cdef int64_t[::1] _steps
    cdef double[::1] _logs
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef uint8_t[::1] _phase_unknown
    cdef double[:, ::1] _transition_times
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts
    cdef int64_t[:, ::1] _segments
    cdef double[:, ::1] _segment_logs
    cdef double[:, ::1] _slides

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double point_step, bint bias,
                  int loss, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule, const double[::1] late_schedule,
                  int engine, bint average=True, int64_t max_direct=INT64_MAX):
        cdef RunData* run = &self.data
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and x.shape[1] == w.shape[1]):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (2, d), (2,), (2,)")
        check_question(schedule, late_schedule, engine, loss)
        set_model(&run.model, x, bias, w, b)
        set_options(run, labels, point_step, loss, trained, engine, average, max_direct)
        self.schedule, self.late_schedule = schedule, late_schedule
        set_schedule(run, schedule, late_schedule)
        # One place more than scheduled: an early end is recorded too.
        places = len(schedule) + len(late_schedule) + 1
        self._steps = np.empty(places, dtype=np.int64)
        self._logs = np.empty(places)
        self._states = np.empty((places, STATE_SIZE))
        self._patterns = np.empty(places, dtype=np.uint8)
        self._phase_unknown = np.empty(places, dtype=np.uint8)
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
        run.phase_unknown_then = &self._phase_unknown[0]
        run.transitions_kept = TRANSITIONS_KEPT
        run.transition_times = <Dates*>&self._transition_times[0, 0]
        run.transition_patterns = <Patterns*>&self._transition_patterns[0, 0]
        run.counts = <Counts*>&self._counts[0, 0]
        run.segments_kept = SEGMENTS_KEPT
        run.segments = <Segment*>&self._segments[0, 0]
        run.segment_logs = <Logs*>&self._segment_logs[0, 0]
        run.slides_kept = SLIDES_KEPT
        run.slides = <Episode*>&self._slides[0, 0]
        start_run(run, &v[0])

    @property
    def step(self):
        return self.data.now.step

    @property
    def log_step(self):
        return self.data.now.log_step

    @property
    def status(self):
        return self.data.now.status

    @property
    def obstacle(self):
        return self.data.now.obstacle

    @property
    def error(self):
        return self.data.now.error

    @property
    def converged_step(self):
        return self.data.now.converged_step

    @property
    def converged_log(self):
        return self.data.now.converged_log

    @property
    def averaged(self):
        return bool(self.data.now.averaged)

    @property
    def counted(self):
        return not self.data.now.uncounted

    @property
    def averaging_error(self):
        return self.data.now.averaging_error

    @property
    def n_samples(self):
        return self.data.now.n_samples

    @property
    def n_transitions(self):
        return self.data.now.n_transitions

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
    def sample_phase_unknown(self):
        return np.asarray(self._phase_unknown)[:self.n_samples].copy()

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
            for n in range(self.data.now.n_segments)
        ]

    @property
    def slides(self):
        measure_open_slides(&self.data)
        kept = np.asarray(self._slides)[:min(self.data.now.n_slides, SLIDES_KEPT)]
        return [tuple(row) for row in kept.tolist()]

    def advance(self, int64_t steps):
        """Take at least `steps` more steps, or leaps that cost as much, unless the run ends or a signal comes."""
        cdef RunData* run = &self.data
        cdef int64_t spent = 0
        cdef Time horizon = horizon_of(run)
        cdef int signals = SIGNALS
        with nogil:
            while (run.now.status == RUNNING and SIGNALS == signals
                   and (spent < steps or not is_before(present(run), horizon))):
                spent += advance_once(run)
        twonn_raise_pending()

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        check_running(self.data.now.status)
        end_here(&self.data, INTERRUPTED)

    @property
    def present(self):
        return states_of(&self.data, 1)["state"][0].copy()

    def state(self):
        """Return what a run that is RUNNING holds between blocks, by name; later blocks do not change it."""
        cdef RunState* now = &self.data.now
        check_running(now.status)
        k = min(now.n_transitions, TRANSITIONS_KEPT)
        settled = dict.fromkeys(("steps", "logs", "states", "patterns", "phase_unknown_then"), now.n_samples)
        settled.update(transition_times=k, transition_patterns=k)
        records = self.records()
        records["segments"] = records["segments"][:now.n_segments]
        records["slides"] = records["slides"][:min(now.n_slides, SLIDES_KEPT)]
        records["segment_logs"] = records["segment_logs"][:now.n_segments]
        return {**snapshot_of_one(states_of(&self.data, 1)), **snapshot_of_records(records, settled)}

    def restore(self, state):
        """Go on from the `state` of another run of the same question; refuse what cannot be one."""
        states = states_of(&self.data, 1)
        new = restored(states, {"status": RUNNING, **state})
        check_restored(new, self.schedule, self.late_schedule)
        put_back(self.records(), state)
        states[:] = new
        if not fits(&self.data.model, &self.data.now.state):
            raise ValueError("state is out of bounds")

    cdef dict records(self):
        slides = np.asarray(self._slides)
        return {
            "steps": np.asarray(self._steps),
            "logs": np.asarray(self._logs),
            "states": np.asarray(self._states),
            "patterns": np.asarray(self._patterns),
            "phase_unknown_then": np.asarray(self._phase_unknown),
            "transition_times": np.asarray(self._transition_times),
            "transition_patterns": np.asarray(self._transition_patterns),
            "counts": np.asarray(self._counts),
            "segments": np.asarray(self._segments),
            "segment_logs": np.asarray(self._segment_logs),
            "slides": slides[:SLIDES_KEPT],
            "late_slides": slides[SLIDES_KEPT:],
        }


include "_kernel/batch.pxi"
include "_kernel/optimizers.pxi"
include "_kernel/float32.pxi"
include "_kernel/parameters.pxi"
include "_kernel/build.pxi"
