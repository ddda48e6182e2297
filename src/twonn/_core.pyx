# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The kernel: exact gradient-descent steps in reduced coordinates.

With C_jk = Σ_steps h s_k y_k v_j a_jk and the lifted Gram matrix G the pre-activations are
z_ji = z_ji(0) + Σ_k C_jk G_ki, so a run of any dimension is C (2 x 2) and v (2). Time is cut into
blocks of BLOCK_STEPS steps, and leaps between blocks. Where they end and the bits they give depend on the
course of the run alone, never on where it is sampled, paused or ended.
"""

from libc.math cimport INFINITY, NAN, ceil, floor, sqrt  # the functions are exact everywhere
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t

import numpy as np


cdef extern from "_kernel/build.h" nogil:
    const char* TWONN_COMPILER
    const char* TWONN_FLAGS
    const char* TWONN_ISA
    int TWONN_CONTRACTED, TWONN_NOT_NEAREST, TWONN_FLUSHED, TWONN_EXCESS_PRECISION
    int twonn_arithmetic_faults() noexcept
    bint twonn_can_run(bint avx512) noexcept


include "_kernel/arithmetic.pxi"
include "_kernel/direct.pxi"
include "_kernel/collocation.pxi"
include "_kernel/leap.pxi"
include "_kernel/sliding.pxi"


# --------------------------------------------------------------------------------------------------
# A run

cpdef enum:
    TRANSITIONS_KEPT = 10_000        # number recorded in full; all of them are counted
    SEGMENTS_KEPT = 1024             # likewise; the last one covers the rest
    SLIDES_KEPT = 1024               # likewise; the first ones
    PATIENCE = 1 << 24               # steps in a row that a run that must leap takes directly

cpdef enum:
    RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED, OBSTRUCTED

cpdef enum:
    DIRECT, AUTO, LEAP               # engines

cpdef enum:
    STEPPED, LEAPT, AVERAGED         # kinds of segments

cdef enum:
    ALLOWANCE = 2048                 # credit at the beginning
    TIGHTLY_BRACKETED = 64           # number of transitions whose bracket is worth stepping up to them again
    BLOCKS_PER_LOOK = 4              # between looks for what slides, which cost a twelfth of a block
    LONGEST_WALK = 1_000_000_000_000 # steps along a kink, some hours, when asked not to average


cdef struct Time:
    int64_t step                     # −1 beyond 2^63 − 1
    double log                       # natural logarithm of the step, kept up only beyond


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
        DIRECT takes every step; AUTO leaps where it can; LEAP ends as OBSTRUCTED when it could not leap
        within PATIENCE steps, as AUTO does where the horizon is out of the reach of stepping. Beyond
        2^63 − 1 steps are taken, too, and change the logarithm of their number by nothing.
    average : bool
        Whether leaps average over the teeth of neurons that slide along a kink. If not, AUTO ends as
        OBSTRUCTED like LEAP while one does and the horizon is beyond LONGEST_WALK.

    Attributes
    ----------
    step : int
        Steps taken so far, −1 beyond 2^63 − 1.
    log_step : float
        Their natural logarithm there.
    status : int
        RUNNING, COMPLETED, STATIONARY, DIVERGED, INTERRUPTED or OBSTRUCTED.
    obstacle : int
        Why a leap was last not possible.
    error : float
        Bound on what leaping, without averaging, added to the parameters, in the Euclidean norm of all of them.
    averaged : bool
        Whether a leap averaged, so that not every transition was counted.
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
    """

    cdef Model model
    cdef State state                 # at the start of the present block
    cdef Time now
    cdef int engine
    cdef readonly int status
    cdef readonly int obstacle
    cdef readonly double error
    cdef readonly int64_t n_samples
    cdef readonly int64_t n_transitions
    cdef int last_pattern            # −1 before the first
    cdef int length                  # entry of LENGTH to try next
    cdef int64_t credit              # what tries of a leap may cost in vain, in steps
    cdef int64_t walked              # steps taken since the last leap
    cdef double calm                 # ln of the step since when P_k has been near its limit
    cdef double width                # bracket of the present block's transitions, in steps
    cdef bint crossed                # the last leap ended behind a transition, dated by:
    cdef double[4] crossing
    cdef double[2] lag               # steps by which the run may be too early, too late, for dates missed
    cdef bint average
    cdef readonly bint averaged
    cdef readonly double averaging_error
    cdef int held                    # pairs that slide and whose z_ji is a mean, coded like a pattern
    cdef int unphased                # those of them since when they slide: within a tooth z_ji is unknown
    cdef int unwatched               # blocks since the last look for slides
    cdef int caught                  # pairs that slid at the last look
    cdef int64_t[2] episode          # its row in `slides`, −1 until it was seen twice
    cdef double[2] entered           # when that began
    cdef double[2] first_flip        # of its units since the last look; −1 if there was none
    cdef double[2] last_flip
    cdef int64_t n_slides
    cdef double[:, ::1] _slides
    cdef const int64_t[::1] schedule
    cdef const double[::1] late_schedule
    cdef int64_t[::1] _steps
    cdef double[::1] _logs
    cdef double[:, ::1] _states
    cdef uint8_t[::1] _patterns
    cdef uint8_t[::1] _unphased
    cdef double[:, ::1] _transition_times
    cdef uint8_t[:, ::1] _transition_patterns
    cdef int64_t[:, ::1] _counts
    cdef int64_t n_segments
    cdef int64_t[:, ::1] _segments   # kind, step, step, blocks, iterations
    cdef double[:, ::1] _segment_logs

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double rate, bint bias,
                  bint logistic, bint trained, const double[:, ::1] w, const double[::1] b,
                  const double[::1] v, const int64_t[::1] schedule, const double[::1] late_schedule,
                  int engine, bint average=True):
        cdef int i, j
        if not (x.shape[0] == w.shape[0] == labels.shape[0] == b.shape[0] == v.shape[0] == 2
                and x.shape[1] == w.shape[1]):
            raise ValueError("x, labels, w, b, v: expected shapes (2, d), (2,), (2, d), (2,), (2,)")
        steps, logs = np.asarray(schedule), np.asarray(late_schedule)
        if len(steps) == 0 or steps[0] != 0 or np.any(np.diff(steps) <= 0):
            raise ValueError("schedule: expected increasing steps, the first of them 0")
        if not (np.all(logs > 43.6) and np.all(logs < LAST_LOG) and np.all(np.diff(logs) >= 0)):
            raise ValueError("late_schedule: expected logarithms of steps beyond 2^63 that do not decrease")
        if engine not in (DIRECT, AUTO, LEAP) or (engine == DIRECT and len(logs)):
            raise ValueError("engine: expected DIRECT, AUTO or LEAP; DIRECT without late_schedule")
        set_model(&self.model, x, bias, w, b)
        self.model.rate = rate
        self.model.log_rate = log_(rate)
        self.model.logistic = logistic
        self.model.trained = trained
        for j in range(2):
            self.model.label[j] = labels[j]
            self.state.v[j] = v[j]
            self.state.v_low[j] = 0.0
            for i in range(2):
                self.state.c[j][i] = self.state.c_low[j][i] = 0.0
        self.engine = engine
        self.schedule = schedule
        self.late_schedule = late_schedule
        self.now.step = self.n_samples = self.n_transitions = self.n_segments = 0
        self.now.log = -INFINITY
        self.status = RUNNING
        self.obstacle = NONE
        self.error = 0.0
        self.last_pattern = -1
        self.length = UNIT_LENGTH
        self.credit = ALLOWANCE
        self.walked = 0
        self.calm = INFINITY
        self.width = 1.0
        self.crossed = False
        self.lag[0] = self.lag[1] = 0.0
        self.average = average
        self.averaged = False
        self.averaging_error = 0.0
        self.held = self.unphased = self.caught = self.unwatched = self.n_slides = 0
        for j in range(2):
            self.episode[j] = -1
            self.first_flip[j] = self.last_flip[j] = -1.0
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
        self._slides = np.empty((SLIDES_KEPT, 5))

    @property
    def step(self):
        return self.now.step

    @property
    def log_step(self):
        return self.now.log

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
            for n in range(self.n_segments)
        ]

    @property
    def slides(self):
        self.measure_open_slides()
        return [tuple(row) for row in np.asarray(self._slides)[:self.n_slides].tolist()]

    def advance(self, int64_t steps):
        """Take at least `steps` more steps, or leaps that cost as much, unless the run ends before."""
        cdef int64_t spent = 0
        cdef Time horizon = self.horizon()
        with nogil:
            while self.status == RUNNING and (spent < steps or not is_before(self.now, horizon)):
                spent += self.proceed()

    def interrupt(self):
        """End a run that is still RUNNING: its present step becomes the last sample."""
        if self.status != RUNNING:
            raise ValueError("the run has ended already")
        self.end_here(INTERRUPTED)

    cdef Time horizon(self) noexcept nogil:
        cdef Time time
        time.step = self.schedule[self.schedule.shape[0] - 1]
        time.log = -INFINITY
        if self.late_schedule.shape[0] > 0:
            time.step = -1
            time.log = self.late_schedule[self.late_schedule.shape[0] - 1]
        return time

    cdef int64_t proceed(self) noexcept nogil:
        """Leap, or else step; return what it cost, in steps."""
        cdef int64_t cost = 0
        cdef bint leapt
        # The first block is stepped always: transitions may follow each other there.
        if self.engine != DIRECT and self.now.step != 0 and self.credit >= 0:
            leapt = self.leap(&cost)
            if leapt or self.status != RUNNING:
                return cost
        if self.walked >= PATIENCE and self.must_leap():
            self.status = OBSTRUCTED
            return cost
        self.run_block(self.horizon())
        self.credit += BLOCK_STEPS // 16
        self.walked += BLOCK_STEPS
        self.calm = INFINITY
        return cost + BLOCK_STEPS

    cdef bint must_leap(self) noexcept nogil:
        if self.engine == LEAP or self.late_schedule.shape[0] > 0:
            return True
        return (self.engine == AUTO and not self.average and self.caught
                and self.schedule[self.schedule.shape[0] - 1] > <int64_t>LONGEST_WALK)

    cdef void end_here(self, int status) noexcept nogil:
        """End the run at its present step, which becomes the last sample."""
        cdef Block block
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, self.now, &block)
        self.sample(0, True)
        self.status = status

    cdef Time later(self, int steps) noexcept nogil:
        """The time some steps from now; beyond counting they make no difference."""
        cdef Time time = self.now
        if time.step >= 0:
            time.step += steps
        return time

    # ----------------------------------------------------------------------------------------------
    # Stepping

    cdef void run_block(self, Time horizon) noexcept nogil:
        """Take the block that starts at the present step, up to the horizon or an earlier end."""
        cdef Block block, opened
        cdef State after
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int last = BLOCK_STEPS
        cdef int status = RUNNING
        cdef Time start = self.now
        if horizon.step >= 0 and horizon.step - start.step < BLOCK_STEPS:
            last = <int>(horizon.step - start.step)
            status = COMPLETED
        open_block(&self.model, &self.state, &block)
        self.note(block.pattern, start, &block)
        self.held = 0
        if block.pattern == 0:
            last = 0
            status = STATIONARY
        else:
            opened = block
            advance(&self.model, &block, last, patterns)
            close_block(&self.model, &self.state, &block, &after)
            if not fits(&self.model, &after):
                # The last sample is the last state that fits, one step before the one named.
                last = steps_to_divergence(&self.model, &self.state, last) - 1
                status = DIVERGED
            if self.error > 0.0 and self.model.trained:
                self.amplify(&opened)
                self.amplify(&block)
            if not block.smooth:
                last = self.scan(&opened, patterns, last, &status)
        self.sample(last, status != RUNNING)
        if status == RUNNING:
            self.state = after
        self.status = status
        self.now = self.later(last)
        if self.now.step < 0:
            self.lag[1] += last
        self.note_segment(STEPPED, start, 1, 0)
        self.unwatched += 1
        if (status == RUNNING and self.unwatched >= BLOCKS_PER_LOOK
                and (self.unphased or not block.smooth or self.caught)):
            self.look_for_slides()

    cdef void amplify(self, const Block* block) noexcept nogil:
        """Let the errors grow as in half a block of steps; see log_amplification."""
        cdef double largest = 0.0, sum
        cdef int j, k
        for j in range(2):
            sum = 0.0
            for k in range(2):
                if is_active(block.pattern, j, k):
                    sum += entry(block.slope, k) * sqrt(self.model.gram[k][k])
            largest = max(largest, sum)
        largest = exp_(0.5 * BLOCK_STEPS * self.model.rate * largest)
        self.error *= largest
        self.averaging_error *= largest

    cdef int scan(self, const Block* start, const uint8_t* patterns, int last, int* status) noexcept nogil:
        """Note the transitions up to step `last` of the block; return the step at which all units died."""
        cdef Block block
        cdef uint8_t again[BLOCK_STEPS]
        cdef Time time
        cdef int n
        if self.error > 0.0 and TIGHTLY_BRACKETED <= self.n_transitions < TRANSITIONS_KEPT:
            self.set_width(start)
        # The pattern after BLOCK_STEPS steps is the next block's to tell.
        for n in range(1, min(last, BLOCK_STEPS - 1) + 1):
            if patterns[n - 1] == self.last_pattern:
                continue
            time = self.later(n)
            if self.error > 0.0 and self.n_transitions < TIGHTLY_BRACKETED:
                open_block(&self.model, &self.state, &block)
                advance(&self.model, &block, n, again)
                self.note(patterns[n - 1], time, &block)
            else:
                self.note(patterns[n - 1], time, NULL)
            if patterns[n - 1] == 0:
                status[0] = STATIONARY
                return n
        return last

    cdef void note(self, int pattern, Time time, const Block* block) noexcept nogil:
        """Take notice of the pattern at a time; a change is a transition.

        A transition behind a leap over it was dated by the leap. Others are bracketed once there is an error
        to account for: tightly if the `block` of this very time is given, else by `width` steps.
        """
        cdef double* row
        # The sign of a mean is not that of z_ji.
        pattern = pattern & ~self.held | self.last_pattern & self.held
        if self.last_pattern >= 0 and pattern != self.last_pattern:
            if self.n_transitions < TRANSITIONS_KEPT:
                row = &self._transition_times[self.n_transitions, 0]
                row[0] = row[2] = row[3] = as_number(time)
                row[1] = time.log
                if self.crossed:
                    row[0], row[1] = self.crossing[0], self.crossing[1]
                    row[2], row[3] = self.crossing[2], self.crossing[3]
                elif self.error > 0.0 and block != NULL:
                    self.bracket(pattern, block, row)
                elif self.error > 0.0:
                    row[2] -= self.width
                    row[3] += self.width
                if not self.crossed and row[3] < INFINITY:
                    row[2] -= self.lag[0]
                    row[3] += self.lag[1]
                row[2] = max(row[2], 0.0)
                self._transition_patterns[self.n_transitions, 0] = self.last_pattern
                self._transition_patterns[self.n_transitions, 1] = pattern
            self.note_flips(pattern ^ self.last_pattern, time)
            self._counts[self.last_pattern, pattern] += 1
            self.n_transitions += 1
            self.calm = INFINITY
            self.length = min(self.length, UNIT_LENGTH + 2)
        self.crossed = False
        self.last_pattern = pattern

    cdef void bracket(self, int pattern, const Block* block, double* row) noexcept nogil:
        """Widen the date of a transition by the steps in which z_ji moves by its error.

        The last two z_ji tell how many steps that is on either side, most often none.
        """
        cdef double after, before, speed, doubt
        cdef int i, j, k
        for j in range(2):
            for i in range(2):
                if is_active(pattern ^ self.last_pattern, j, i):
                    speed = 0.0
                    for k in range(2):
                        if is_active(self.last_pattern, j, k):
                            speed += self.pushed(block, j, i, k)
                    speed = abs(speed)
                    doubt = self.doubt_of(2 * j + i)
                    after = abs(entry(block.dz[i] - block.kink[i], j))
                    before = speed - after
                    if before < doubt:
                        row[2] = min(row[2], row[0] - ceil((doubt - before) / speed))
                    if after < doubt:
                        row[3] = max(row[3], row[0] + ceil((doubt - after) / speed))

    cdef void set_width(self, const Block* block) noexcept nogil:
        """The steps in which any z_ji moves by its error, whatever the pattern."""
        cdef double first_push, second_push, speed
        cdef int i, j
        self.width = 0.0
        for j in range(2):
            for i in range(2):
                first_push = abs(self.pushed(block, j, i, 0))
                second_push = abs(self.pushed(block, j, i, 1))
                speed = min(first_push, second_push) or max(first_push, second_push)
                if 0.0 < abs(first_push - second_push) < speed:
                    speed = abs(first_push - second_push)
                if speed > 0.0:
                    self.width = max(self.width, ceil(self.doubt_of(2 * j + i) / speed))

    cdef inline double pushed(self, const Block* block, int j, int i, int k) noexcept nogil:
        """What sample k moves z_ji by in a step, if neuron j is active on it."""
        return (self.model.rate * self.model.label[k] * self.model.gram[i][k]
                * entry(block.v + block.dv, j) * entry(block.slope, k))

    cdef double doubt_of(self, int guard) noexcept nogil:
        """How wrong z_ji, or v_j, may be."""
        return self.error * (1.0 if guard >= 4 else sqrt(self.model.gram[guard & 1][guard & 1]))

    cdef void sample(self, int last, bint ended) noexcept nogil:
        """Record the scheduled steps of the present block before `last`, and `last` if the run ended."""
        cdef Block block
        cdef State state
        cdef uint8_t patterns[BLOCK_STEPS]
        cdef int taken = 0, target
        cdef Time time, end = self.later(last), scheduled = self.next_scheduled()
        if not (is_before(scheduled, end) or ended):
            return
        open_block(&self.model, &self.state, &block)
        while is_before(scheduled, end) or ended:
            time = scheduled if is_before(scheduled, end) else end
            target = <int>(time.step - self.now.step) if time.step >= 0 else last
            advance(&self.model, &block, target - taken, patterns)
            taken = target
            close_block(&self.model, &self.state, &block, &state)
            self.record(time, &state, block.pattern, self.unphased)
            if taken == last:
                return
            scheduled = self.next_scheduled()

    cdef void record(self, Time time, const State* state, int pattern, int unphased) noexcept nogil:
        self._steps[self.n_samples] = time.step
        self._logs[self.n_samples] = time.log
        (<State*>&self._states[self.n_samples, 0])[0] = state[0]
        self._patterns[self.n_samples] = pattern
        self._unphased[self.n_samples] = unphased
        self.n_samples += 1

    cdef Time next_scheduled(self) noexcept nogil:
        """The next sample's time; LAST_LOG when there is none."""
        cdef Time time
        cdef int64_t late = self.n_samples - self.schedule.shape[0]
        time.step = -1
        time.log = LAST_LOG
        if late < 0:
            time.step = self.schedule[self.n_samples]
        elif late < self.late_schedule.shape[0]:
            time.log = self.late_schedule[late]
        return time

    cdef void note_segment(self, int kind, Time start, int blocks, int iterations) noexcept nogil:
        """Add what lies between `start` and now to the segments."""
        cdef int64_t n = self.n_segments - 1
        if n < 0 or (self._segments[n, 0] != kind and self.n_segments < SEGMENTS_KEPT):
            n += 1
            self.n_segments += 1
            self._segments[n, 0] = kind
            self._segments[n, 1] = start.step
            self._segments[n, 3] = self._segments[n, 4] = 0
            self._segment_logs[n, 0] = start.log
        self._segments[n, 2] = self.now.step
        self._segments[n, 3] += blocks
        self._segments[n, 4] += iterations
        self._segment_logs[n, 1] = self.now.log

    # ----------------------------------------------------------------------------------------------
    # Sliding

    cdef void look_for_slides(self) noexcept nogil:
        """Follow which neurons slide; a neuron caught twice in a row at the same kink does."""
        cdef Slides slides
        cdef double now = as_number(self.now)
        cdef int i, j, before
        self.unwatched = 0
        find_slides(&self.model, &self.state, self.error, &slides)
        for j in range(2):
            before = kink_of(self.caught, j)
            i = kink_of(slides.pairs, j)
            if before >= 0 and i != before:
                self.leave_kink(j, before, self.last_flip[j] if self.last_flip[j] >= 0.0 else now, &slides)
            elif before >= 0 and self.episode[j] < 0:
                self.enter_kink(j, before)
            elif i >= 0 and before < 0:
                self.entered[j] = self.first_flip[j] if self.first_flip[j] >= 0.0 else now
            self.first_flip[j] = self.last_flip[j] = -1.0
        self.caught = slides.pairs

    cdef void enter_kink(self, int j, int i) noexcept nogil:
        cdef int64_t n = self.n_slides
        if n == SLIDES_KEPT:
            return
        self.n_slides += 1
        self.episode[j] = n
        self._slides[n, 0] = j
        self._slides[n, 1] = i
        self._slides[n, 2] = self.entered[j]
        self._slides[n, 3] = INFINITY

    cdef void leave_kink(self, int j, int i, double time, const Slides* slides) noexcept nogil:
        cdef int pair = 1 << (2 * j + i)
        if self.episode[j] >= 0:
            self._slides[self.episode[j], 3] = time
            self._slides[self.episode[j], 4] = min(max(slides.fraction[j], 0.0), 1.0)
        self.episode[j] = -1
        if self.unphased & pair:
            # Where in the tooth the neuron was when it left the kink is unknown.
            self.unphased &= ~pair
            self.averaging_error += slides.tooth[j] / sqrt(self.model.gram[i][i])

    cdef void note_flips(self, int units, Time time) noexcept nogil:
        """Take notice of units that changed their activity, for the dates of slides."""
        cdef double now = as_number(time)
        cdef int j
        for j in range(2):
            if units >> (2 * j) & 3:
                if self.first_flip[j] < 0.0:
                    self.first_flip[j] = now
                self.last_flip[j] = now

    cdef double cost_of_averaging(self, const Slides* slides, int j) noexcept nogil:
        """What the phase in which averaging begins is worth, in the units of the parameters; see docs/numerics.md."""
        cdef int i = kink_of(slides.pairs, j)
        cdef double v = abs(self.state.v[j]), parts = max(min(slides.fraction[j], 1.0 - slides.fraction[j]), 0.0)
        cdef double effect = v * slides.tooth[j] * max(1.0, self.model.gram[0][1] / self.model.gram[i][i])
        # Not knowing where in a tooth the neuron is costs no more than a tooth.
        effect *= effect / parts if effect < parts else 1.0
        return 50.0 * effect / (v * sqrt(min(self.model.gram[0][0], self.model.gram[1][1])))

    cdef void measure_open_slides(self) noexcept nogil:
        """Fill in the active fractions at the last sample of what still slides."""
        cdef Slides slides
        cdef int j
        if self.n_samples == 0:
            return
        find_slides(&self.model, <const State*>&self._states[self.n_samples - 1, 0], self.error, &slides)
        for j in range(2):
            if self.episode[j] >= 0:
                self._slides[self.episode[j], 4] = min(max(slides.fraction[j], 0.0), 1.0)

    # ----------------------------------------------------------------------------------------------
    # Leaping

    cdef bint leap(self, int64_t* cost) noexcept nogil:
        """Try to leap; tell whether it was possible, and what the try cost, in steps.

        What tries cost in vain is kept below one sixteenth of the steps taken: it is paid from a credit.
        """
        cdef Leap leap
        cdef Block block
        cdef Time end
        unfold(&self.model, &self.state, &leap)
        if leap.pattern & ~self.held != self.last_pattern & ~self.held:
            open_block(&self.model, &self.state, &block)
        self.note(leap.pattern, self.now, &block)
        if leap.pattern == 0:
            self.end_here(STATIONARY)
            return False
        self.obstacle = self.start_leap(&leap)
        if self.obstacle == NONE and not (leap.frozen or clear_of_kinks(&leap)):
            self.obstacle = NEAR_KINK
        if self.obstacle == NONE:
            self.obstacle = self.solve_longest(&leap, &end)
        if self.obstacle == NONE:
            self.obstacle = self.end_at_crossing(&leap, &end)
        # Measured, in steps of a smooth stretch; with room for slower machines.
        cost[0] = 128 + leap.iterations * (600 if leap.coupled else 150) + leap.searches * 50
        if self.obstacle != NONE:
            self.crossed = False
            self.credit -= cost[0]
            return False
        # The shortest leaps may cost more than they save.
        if self.now.step >= 0 and end.step >= 0 and end.step - self.now.step < cost[0]:
            self.credit -= cost[0] - (end.step - self.now.step)
        self.land(&leap, end)
        return True

    cdef int start_leap(self, Leap* leap) noexcept nogil:
        """Let slide what may be averaged, and choose the scale."""
        cdef Slides slides
        cdef double log_step = self.now.log if self.now.step < 0 else -INFINITY
        cdef int obstacle, pairs, j
        slides.pairs = 0
        if self.average:
            find_slides(&self.model, &self.state, self.error, &slides)
        pairs = slides.pairs
        while True:
            if pairs:
                let_slide(leap, &slides, pairs)
            couple(leap)
            obstacle = set_scale(leap, log_step)
            if obstacle != NONE or leap.frozen or not pairs:
                break
            pairs = averageable_at_start(leap, &slides)
            if pairs == leap.sliding:
                break
            unfold(&self.model, &self.state, leap)
        leap.entry_error = 0.0
        for j in range(2):
            if pairs & ~self.held & 3 << (2 * j):
                leap.entry_error += self.cost_of_averaging(&slides, j)
        return obstacle

    cdef void land(self, const Leap* leap, Time end) noexcept nogil:
        """Record the samples inside a leap and move to its end, or to the horizon if that is nearer."""
        cdef State after
        cdef State reached
        cdef double passed = leap.reached, landing = leap.landing
        cdef Time start = self.now, horizon = self.horizon(), scheduled = self.next_scheduled()
        # A sample at the end of the leap is left to the next one's start, unless it is the last and no
        # transition comes with it.
        while is_before(scheduled, end) or not (self.crossed or is_before(end, horizon)
                                                or is_before(horizon, scheduled)):
            fold(leap, &self.state, passed_until(leap, start, scheduled), &after)
            self.record(scheduled, &after, leap.pattern | on_average(leap, &after), self.unphased | leap.sliding)
            if not is_before(scheduled, horizon):
                self.status = COMPLETED
                end = scheduled
                passed = landing = passed_until(leap, start, scheduled)
                break
            scheduled = self.next_scheduled()
        fold(leap, &self.state, passed, &reached)
        fold(leap, &self.state, landing, &after)
        self.error *= exp_(log_amplification(leap))
        self.averaging_error = (self.averaging_error + leap.entry_error) * exp_(log_amplification(leap))
        self.error += (leap.doubt + rounding(leap, passed)) * path_length(leap, &self.state, &reached)
        self.error += path_length(leap, &reached, &after)
        self.state = after
        self.now = end
        self.held = leap.sliding
        self.unphased |= leap.sliding
        self.averaged |= leap.sliding != 0
        self.note_segment(AVERAGED if leap.sliding else LEAPT, start, 1, leap.iterations)
        self.walked = 0
        if leap.sliding or self.unphased or self.caught:
            self.look_for_slides()

    cdef int solve_longest(self, Leap* leap, Time* end) noexcept nogil:
        """Solve over the longest stretch that NODES points resolve, by experience of the leap before."""
        cdef double steps, length
        cdef int shortening = 0
        leap.doubt = 0.0
        if leap.frozen or self.is_affine(leap):
            leap.length = leap.reached = leap.landing = LAST_LOG
            end.step = -1
            end.log = LAST_LOG
            return NONE
        while self.length >= 0:
            length = LENGTH[self.length]
            steps = floor(steps_after(leap, length))
            if steps < FEWEST_STEPS:
                break
            self.stop(leap, steps, length, end)
            if solve(leap, self.length, leap.landing):
                if not shortening and self.length < LENGTHS - 1:
                    self.length += 1
                return NONE
            # Further each time: a fast transient may need a leap a hundred times shorter.
            shortening += 1
            self.length -= shortening
        self.length = UNIT_LENGTH
        return UNRESOLVED

    cdef bint is_affine(self, Leap* leap) noexcept nogil:
        """Whether deviations from the late motion, 2^-20 some time ago, have decayed to nothing since."""
        cdef double decay = 0.0, log_step = self.now.log
        if self.now.step >= 0:
            log_step = log_(<double>self.now.step)
        if not (late_slopes(leap, leap.slope, &decay) and is_late(leap, leap.slope)):
            self.calm = INFINITY
            return False
        self.calm = min(self.calm, log_step)
        leap.affine = self.now.step < 0 and decay * (log_step - self.calm) > 28.0
        return leap.affine

    cdef void stop(self, Leap* leap, double steps, double passed, Time* end) noexcept nogil:
        """End a leap a number of steps from its start, or, where these are too many to count, `passed` in τ."""
        leap.reached = leap.landing = log1p_(steps * leap.inverse) if steps < 9.2e18 else passed
        end[0] = time_after(leap, self.now, leap.landing)
        if end.step >= 0:  # exactly
            end.step = self.now.step + <int64_t>steps

    cdef int end_at_crossing(self, Leap* leap, Time* end) noexcept nogil:
        """Shorten a leap in which a guard loses its sign: to before it, to be stepped through, or to behind it.

        Behind it where the error of the guard is worth more than 64 steps, so that single steps tell nothing.
        """
        cdef Crossing first, crossing
        cdef double error, first_error = 0.0, steps
        cdef int guard, first_guard = -1
        if leap.frozen:
            return NONE
        first.low = first.at = averageable_until(leap)
        for guard in range(GUARDS):
            if is_guarded(leap, guard):
                error = self.doubt_of(guard)
                if find_crossing(leap, guard, error, &crossing) and crossing.low < first.low:
                    first = crossing
                    first_guard = guard
                    first_error = error
        if first_guard < 0 and first.low >= leap.length:
            return NONE
        if first_guard >= 0 and first.at == first.at and not steps_after(leap, first.high) - steps_after(leap, first.low) <= 64.0:
            if first.high < INFINITY:
                self.cross(leap, &first, end)
                return NONE
            # It is reached for sure only in the next leap, which has to start well before it.
            first.low = search(leap, first_guard, first_error, 64, 0.0, first.at)
        steps = floor(steps_after(leap, first.low)) - 16.0
        # Beyond counting a leap that is shorter than this gets nowhere.
        if not (steps >= FEWEST_STEPS and (self.now.step >= 0 or first_guard < 0 or first.low > 1e-3)):
            return NEAR_KINK
        self.stop(leap, steps, first.low, end)
        return NONE

    cdef void cross(self, Leap* leap, const Crossing* crossing, Time* end) noexcept nogil:
        """End a leap behind a transition, and keep the date for when the new pattern is noticed."""
        cdef Time low = time_after(leap, self.now, crossing.low), high = time_after(leap, self.now, crossing.high)
        end[0] = time_after(leap, self.now, crossing.at)
        if end.step >= 0:
            end.step += 1
        if high.step >= 0:
            high.step += 1
        leap.reached = crossing.at
        leap.landing = crossing.high
        self.crossed = True
        self.crossing[0] = as_number(end[0])
        self.crossing[1] = log_of(end[0])
        self.crossing[2] = as_number(low) - self.lag[0]
        self.crossing[3] = as_number(high) + self.lag[1]
        if self.crossing[3] < INFINITY:
            self.lag[0] = self.crossing[0] - self.crossing[2]
            self.lag[1] = self.crossing[3] - self.crossing[0]


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


ctypedef double (*Elementary)(double) noexcept nogil


def exp(const double[::1] x):
    """Return the kernel's own exponential of each number, shape (n,)."""
    return each(exp_, x)


def log(const double[::1] x):
    """Return the kernel's own natural logarithm of each number, shape (n,)."""
    return each(log_, x)


def log1p(const double[::1] x):
    """Return the kernel's own ln(1 + x) of each number > -1, shape (n,)."""
    return each(log1p_, x)


def expm1(const double[::1] x):
    """Return the kernel's own e^x − 1 of each number >= 0, shape (n,)."""
    return each(expm1_, x)


cdef each(Elementary function, const double[::1] x):
    cdef Py_ssize_t n
    result = np.empty(x.shape[0])
    cdef double[::1] out = result
    for n in range(x.shape[0]):
        out[n] = function(x[n])
    return result


# --------------------------------------------------------------------------------------------------
# The build

COMPILER = TWONN_COMPILER.decode()
FLAGS = TWONN_FLAGS.decode()
ISA = TWONN_ISA.decode()


def usable_instruction_sets():
    """Return the instruction sets that kernels are built for and this processor has, in ascending order."""
    wider = {"sse2": ("avx2", "avx512"), "avx2": ("avx512",)}.get(ISA, ())
    return [ISA] + [name for name in wider if twonn_can_run(name == "avx512")]


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
