# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The kernel: exact gradient-descent steps in reduced coordinates.

With C_jk = Σ_steps h s_k y_k v_j a_jk and the lifted Gram matrix G the pre-activations are
z_ji = z_ji(0) + Σ_k C_jk G_ki, so a run of any dimension is C (2 x 2) and v (2). Time is cut into
blocks of BLOCK_STEPS steps, and leaps between blocks. Where they end and the bits they give depend on the
course of the run alone, never on where it is sampled, paused or ended.
"""

from libc.math cimport INFINITY, NAN, ceil, floor, sqrt  # the functions are exact everywhere
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t, uintptr_t
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
    cdef object samples                  # memory, one allocation each: arrays take long to make
    cdef object events

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
        self.samples = np.empty(self.places() * SAMPLE_BYTES, np.uint8)
        self.events = np.empty(sizeof(Events), np.uint8)
        cdef uint8_t[::1] samples = self.samples, events = self.events
        set_samples(run, &samples[0], self.places())
        set_events(run, <Events*>&events[0])
        start_run(run, &v[0])

    cdef Py_ssize_t places(self):
        """How many samples there is memory for: one more than scheduled, as an early end is recorded too."""
        return self.data.n_scheduled + self.data.n_late + 1

    cdef object sampled(self, dtype, const void* place, tuple shape=()):
        """Return a view of the first samples, but a copy of a small part of the memory for them."""
        cdef const uint8_t[::1] memory = self.samples
        n = self.n_samples
        view = np.ndarray((n, *shape), dtype, self.samples, <const uint8_t*>place - &memory[0])
        view.flags.writeable = False
        return view if 2 * n >= self.places() else view.copy()

    cdef object noted(self, dtype, const void* place, tuple shape):
        """Return a view of events."""
        cdef const uint8_t[::1] memory = self.events
        return np.ndarray(shape, dtype, self.events, <const uint8_t*>place - &memory[0])

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
        return self.sampled(np.int64, self.data.steps)

    @property
    def sample_logs(self):
        return self.sampled(np.float64, self.data.logs)

    @property
    def sample_states(self):
        return self.sampled(np.float64, self.data.states, (STATE_SIZE,))

    @property
    def sample_patterns(self):
        return self.sampled(np.uint8, self.data.patterns)

    @property
    def sample_phase_unknown(self):
        return self.sampled(np.uint8, self.data.phase_unknown_then)

    @property
    def transition_times(self):
        k = min(self.data.now.n_transitions, TRANSITIONS_KEPT)
        return self.noted(np.float64, self.data.transition_times, (k, 4)).copy()

    @property
    def transition_before(self):
        return self.transition_patterns()[:, 0].copy()

    @property
    def transition_after(self):
        return self.transition_patterns()[:, 1].copy()

    cdef object transition_patterns(self):
        k = min(self.data.now.n_transitions, TRANSITIONS_KEPT)
        return self.noted(np.uint8, self.data.transition_patterns, (k, 2))

    @property
    def transition_counts(self):
        return self.noted(np.int64, self.data.counts, (16, 16)).copy()

    @property
    def segments(self):
        cdef int64_t n
        cdef const RunData* run = &self.data
        return [
            (run.segments[n][0], run.segments[n][1], run.segment_logs[n][0], run.segments[n][2],
             run.segment_logs[n][1], run.segments[n][3], run.segments[n][4])
            for n in range(run.now.n_segments)
        ]

    @property
    def slides(self):
        measure_open_slides(&self.data)
        kept = self.noted(np.float64, self.data.slides, (min(self.data.now.n_slides, SLIDES_KEPT), 5))
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
        cdef const RunData* run = &self.data
        cdef const uint8_t[::1] memory = self.samples
        places = self.places()
        samples = {
            "steps": (np.int64, <const uint8_t*>run.steps - &memory[0], ()),
            "logs": (np.float64, <const uint8_t*>run.logs - &memory[0], ()),
            "states": (np.float64, <const uint8_t*>run.states - &memory[0], (STATE_SIZE,)),
            "patterns": (np.uint8, run.patterns - &memory[0], ()),
            "phase_unknown_then": (np.uint8, run.phase_unknown_then - &memory[0], ()),
        }
        slides = self.noted(np.float64, run.slides, (SLIDES_KEPT + 2, 5))
        return {
            **{
                name: np.ndarray((places, *shape), dtype, self.samples, offset)
                for name, (dtype, offset, shape) in samples.items()
            },
            "transition_times": self.noted(np.float64, run.transition_times, (TRANSITIONS_KEPT, 4)),
            "transition_patterns": self.noted(np.uint8, run.transition_patterns, (TRANSITIONS_KEPT, 2)),
            "counts": self.noted(np.int64, run.counts, (16, 16)),
            "segments": self.noted(np.int64, run.segments, (SEGMENTS_KEPT, 5)),
            "segment_logs": self.noted(np.float64, run.segment_logs, (SEGMENTS_KEPT, 2)),
            "slides": slides[:SLIDES_KEPT],
            "late_slides": slides[SLIDES_KEPT:],
        }


include "_kernel/batch.pxi"
include "_kernel/optimizer_steps.pxi"
include "_kernel/optimizers.pxi"
include "_kernel/optimizer_lanes.pxi"
include "_kernel/float32.pxi"
include "_kernel/parameters.pxi"
include "_kernel/geometry.pxi"
include "_kernel/build.pxi"
