"""Many runs of one question with another optimizer, each in a lane of the vector registers.

A step is the same whatever the activation pattern, so runs step together wherever they are. Between blocks each run is
back in memory of its own, and is looked at by itself. What a run gives does not depend on its neighbours.
"""

cdef enum:
    FEWEST_LANES = 3           # below, runs are stepped one after the other


cdef struct LaneGroup:         # the runs that step together
    Py_ssize_t run[16]         # LANES
    int count
    Py_ssize_t next            # all runs from this one on have to wait
    OptimizerLanes* lanes
    double* moving             # of all lanes, each number LANES times


cdef int64_t advance_group(const OptimizerTask* task, OptimizerData* data, Py_ssize_t runs, LaneGroup* group,
                           int64_t most) noexcept nogil:
    """Take about so many steps of the runs in the group, together; return how many. Runs that end make room."""
    cdef int64_t n, taken = 0
    cdef int lane
    fill_group(task, data, runs, group)
    if group.count == 0:
        return 0
    n = most // group.count + 1
    for lane in range(group.count):
        n = min(n, block_steps(task, &data[group.run[lane]]))
    if n < FEWEST_BLOCK_STEPS or group.count < FEWEST_LANES:
        for lane in range(group.count):
            taken += advance_optimizer(task, &data[group.run[lane]], n)
        return taken
    step_group(task, data, group, n)
    return n * group.count


cdef void fill_group(const OptimizerTask* task, OptimizerData* data, Py_ssize_t runs, LaneGroup* group) noexcept nogil:
    """Put runs into the group that have a step to take, those first that are in it.

    Others wait until they are in step with these, so that the blocks of all are of one length.
    """
    cdef OptimizerData* run
    cdef int lane, kept = 0
    for lane in range(group.count):
        run = &data[group.run[lane]]
        if run.now.status == RUNNING and goes_on(task, run):
            group.run[kept] = group.run[lane]
            kept += 1
    while kept < LANES and group.next < runs:
        run = &data[group.next]
        if kept > 0 and (run.now.step - data[group.run[0]].now.step) % OPTIMIZER_BLOCK != 0:
            if run.now.status == RUNNING:
                break
        elif run.now.status == RUNNING and goes_on(task, run):
            group.run[kept] = group.next
            kept += 1
        group.next += 1
    group.count = kept


cdef void step_group(const OptimizerTask* task, OptimizerData* data, LaneGroup* group, int64_t n) noexcept nogil:
    """Take n steps of every run of the group, or fewer of those that end."""
    cdef OptimizerLanes* lanes = group.lanes
    cdef OptimizerData* run
    cdef Bounds bounds[16]
    cdef double ignored[4]
    cdef Met met
    cdef Py_ssize_t k, numbers = 4 * task.size
    cdef int lane, pair_index
    lanes.ignoring = False
    for lane in range(LANES):  # lanes to spare repeat the last run
        run = &data[group.run[min(lane, group.count - 1)]]
        bounds[lane] = bounds_of(task, run)
        if fill_ignored(task, run, ignored):
            lanes.ignoring = True
        for pair_index in range(4):
            lanes.ignored[pair_index][lane] = ignored[pair_index]
        for k in range(2):
            lanes.power[k][lane] = run.now.powers[k]
        for k in range(numbers):
            group.moving[k * LANES + lane] = run.moving[k]
    lane_steps(&task.question, lanes, group.moving, n)
    for lane in range(group.count):
        run = &data[group.run[lane]]
        met.nearest, met.steepest = lanes.nearest[lane], lanes.steepest[lane]
        met.largest, met.largest_output = lanes.largest[lane], lanes.largest_output[lane]
        take_from_group(task, run, group, lane, &bounds[lane], &met, n)


cdef void take_from_group(const OptimizerTask* task, OptimizerData* run, const LaneGroup* group, int lane,
                          const Bounds* bounds, const Met* met, int64_t n) noexcept nogil:
    """Take a run out of its lane, or, if its block does not count, take the steps of that one by one."""
    cdef double powers[2]
    cdef Py_ssize_t k, numbers = 4 * task.size
    memcpy(task.before, run.moving, numbers * sizeof(double))
    powers = run.now.powers
    for k in range(numbers):
        run.moving[k] = group.moving[k * LANES + lane]
    for k in range(2):
        run.now.powers[k] = group.lanes.power[k][lane]
    if settles(task, run, bounds, met, n, &group.lanes.patterns[0][lane], LANES, group.lanes.changed[lane]):
        return
    memcpy(run.moving, task.before, numbers * sizeof(double))
    run.now.powers = powers
    look(task, run)
    step_carefully(task, run, n)


# --------------------------------------------------------------------------------------------------

cdef class OptimizerBatch:
    """Many runs of one question with another optimizer, driven together; each gives the bits that it gives alone.

    Parameters
    ----------
    x, labels, step_size, weight, bias, loss, trained, schedule, kind, options
        As for `OptimizerRun`.
    w, b, v : ndarray, shapes (runs, 2, d), (runs, 2), (runs, 2)
        Parameters at step 0.
    transitions_kept : int
        How many are recorded in full, for each run.

    Attributes
    ----------
    status, last_step, n_samples, n_transitions : ndarray, shape (runs,)
        As for `Batch`.
    sample_steps, sample_patterns : ndarray, shape (runs, places)
        The first n_samples of each row; −1 and 255 behind them. There is one place more than samples are scheduled.
    sample_states : ndarray, shape (runs, places, 2 (2 d + 4))
    transition_times, transition_patterns : ndarray, shapes (runs, transitions_kept, 4), (…, 2)
        nan and 255 where there is none.
    """

    cdef OwnedTask owned
    cdef Py_ssize_t runs
    cdef OptimizerData* data         # of each run
    cdef LaneGroup group
    cdef readonly object sample_steps, sample_states, sample_patterns, transition_times, transition_patterns
    cdef object moving
    cdef void* memory                # of the lanes

    def __cinit__(self, const double[:, ::1] x, const double[::1] labels, double step_size, double weight,
                  bint bias, int loss, bint trained, const double[:, :, ::1] w, const double[:, ::1] b,
                  const double[:, ::1] v, const int64_t[::1] schedule, int kind, const double[::1] options,
                  int64_t transitions_kept=16):
        cdef Py_ssize_t r, size, runs = w.shape[0]
        cdef OptimizerData* run
        if not (w.shape[1] == b.shape[1] == v.shape[1] == 2 and x.shape[1] == w.shape[2]
                and b.shape[0] == v.shape[0] == runs):
            raise ValueError("x, w, b, v: expected shapes (2, d), (runs, 2, d), (runs, 2), (runs, 2)")
        if transitions_kept < 0:
            raise ValueError("transitions_kept: expected a number >= 0")
        self.owned = OwnedTask(
            x, labels, step_size, weight, bias, loss, trained, schedule, kind, options, transitions_kept
        )
        size = self.owned.task.size
        places = len(schedule) + 1
        cdef double[:, :, ::1] moving = np.zeros((runs, 4, size))
        cdef int64_t[:, ::1] steps = np.full((runs, places), -1, dtype=np.int64)
        cdef double[:, :, ::1] states = np.full((runs, places, 2 * size), np.nan)
        cdef uint8_t[:, ::1] patterns = np.full((runs, places), 255, dtype=np.uint8)
        # One place more than is kept, so that there is one to point to.
        cdef double[:, :, ::1] times = np.full((runs, transitions_kept + 1, 4), np.nan)
        cdef uint8_t[:, :, ::1] changes = np.full((runs, transitions_kept + 1, 2), 255, dtype=np.uint8)
        self.moving = np.asarray(moving)
        self.sample_steps, self.sample_states = np.asarray(steps), np.asarray(states)
        self.sample_patterns = np.asarray(patterns)
        self.transition_times = np.asarray(times)[:, :transitions_kept]
        self.transition_patterns = np.asarray(changes)[:, :transitions_kept]
        self.data = <OptimizerData*>calloc(max(runs, 1), sizeof(OptimizerData))
        self.memory = calloc(1, sizeof(OptimizerLanes) + 4 * size * LANES * sizeof(double) + 128)
        if self.data == NULL or self.memory == NULL:
            raise MemoryError()
        self.group.moving = <double*>((<uintptr_t>self.memory + 63) & ~<uintptr_t>63)  # aligned like a register
        self.group.lanes = <OptimizerLanes*>(self.group.moving + 4 * size * LANES)
        self.runs = runs
        for r in range(runs):
            run = &self.data[r]
            run.moving = &moving[r, 0, 0]
            run.steps, run.states, run.patterns = &steps[r, 0], &states[r, 0, 0], &patterns[r, 0]
            run.transition_times = <Dates*>&times[r, 0, 0]
            run.transition_patterns = <Patterns*>&changes[r, 0, 0]
            run.counts = NULL
            start_optimizer(&self.owned.task, run, w[r], b[r], v[r])

    def __dealloc__(self):
        free(self.data)
        free(self.memory)

    def advance(self, int64_t steps):
        """Take at least `steps` more steps in all, unless all runs end; return how many runs go on."""
        cdef int64_t taken
        with nogil:
            while steps > 0:
                taken = advance_group(&self.owned.task, self.data, self.runs, &self.group, steps)
                if taken == 0:
                    break
                steps -= taken
        return int(np.count_nonzero(self.now()["status"] == RUNNING))

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
        if np.any(new["step"] < 0) or np.any(new["last_pattern"] < 0):
            raise ValueError("step or last_pattern is out of bounds")
        check_restored(new, self.owned.schedule, np.empty(0))
        put_back(records, state)
        states[:] = new
        for r in range(self.runs):
            look(&self.owned.task, &self.data[r])
            if not is_in_bounds(&self.owned.task, &self.data[r]):
                raise ValueError("moving is out of bounds")
        self.group.count, self.group.next = 0, 0

    cdef now(self):
        if self.runs == 0:
            return np.empty(0, STATE_DTYPES["other"])
        cdef Py_ssize_t size = (self.runs - 1) * sizeof(OptimizerData) + sizeof(OptimizerState)
        memory = <char[:size]><char*>self.data
        return np.ndarray((self.runs,), STATE_DTYPES["other"], memory, 0, (sizeof(OptimizerData),))

    cdef dict records(self):
        return {
            "moving": self.moving,
            "steps": self.sample_steps,
            "states": self.sample_states,
            "patterns": self.sample_patterns,
            "transition_times": self.transition_times,
            "transition_patterns": self.transition_patterns,
        }

    @property
    def status(self):
        return self.now()["status"].astype(np.uint8)

    @property
    def last_step(self):
        return self.now()["step"].copy()

    @property
    def n_samples(self):
        return self.now()["n_samples"].copy()

    @property
    def n_transitions(self):
        return self.now()["n_transitions"].copy()
