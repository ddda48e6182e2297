"""Many runs of one problem, each in a lane of the vector registers while its activation pattern provably holds.

A lane that has finished its block is given the run's next one, or the next run's; the others go on. Where each
step has to look at the pattern a run is stepped by itself.
"""

cdef enum:
    FEWEST_LANE_STEPS = 64     # that are worth a lane
    KINDS = 4                  # of blocks: 2 if the neurons are decoupled, plus 1 if cubic
    SLOTS = KINDS * LANES      # never are as many taken
    NO_LANE = -1


cdef struct Slot:              # a run that has begun a block
    bint taken
    int kind
    int lane                   # of its group of lanes; NO_LANE while there is none for it
    int left                   # whole groups of steps still to take, in steps
    BlockPlan plan


cdef union Lanes:
    FixedSmooth_lanes fixed
    TrainedSmooth_lanes trained
    DecoupledSmooth_halves decoupled


cdef struct LaneScheduler:
    Slot[SLOTS] slots
    int[KINDS] taken           # slots by kind
    Lanes[KINDS] lanes
    bint[KINDS][LANES] busy    # lanes


cdef void step_in_lanes(RunData* data, Py_ssize_t first, Py_ssize_t runs, int64_t steps) noexcept nogil:
    """Take at least `steps` steps in all of the runs from `first` on that are RUNNING, or all that are left.

    Blocks of one kind step together once they fill the lanes, or once no further run will come. In that case those that
    are not cubic go first: their next blocks may be cubic and share the lanes with those that wait.
    """
    cdef LaneScheduler scheduler
    cdef int64_t spent = 0
    cdef int kind
    memset(&scheduler, 0, sizeof(scheduler))
    while True:
        kind = most_taken(&scheduler)
        while first < runs and spent < steps and scheduler.taken[kind] < LANES:
            if data[first].now.status == RUNNING:
                take_slot(&scheduler, &data[first], &spent)
                kind = most_taken(&scheduler)
            first += 1
        if scheduler.taken[kind] == 0:
            return
        if scheduler.taken[kind] < LANES and scheduler.taken[0] + scheduler.taken[2] > 0:
            kind = 0 if scheduler.taken[0] >= scheduler.taken[2] else 2
        fill_lanes(&scheduler, kind)
        step_lanes(&scheduler, kind, steps, &spent)


cdef int most_taken(const LaneScheduler* scheduler) noexcept nogil:
    cdef int kind, most = 0
    for kind in range(1, KINDS):
        if scheduler.taken[kind] > scheduler.taken[most]:
            most = kind
    return most


cdef void take_slot(LaneScheduler* scheduler, RunData* run, int64_t* spent) noexcept nogil:
    """Put the run's next block that is for lanes into a slot. Blocks before it are stepped here."""
    cdef uint8_t patterns[BLOCK_STEPS]
    cdef int n = 0
    cdef Slot* slot
    cdef BlockPlan* plan
    while scheduler.slots[n].taken:
        n += 1
    slot = &scheduler.slots[n]
    plan = &slot.plan
    while run.now.status == RUNNING:
        begin_block(run, plan)
        if plan.block.span and plan.last >= FEWEST_LANE_STEPS:
            slot.taken = True
            slot.kind = 2 * (run.model.trained and plan.block.decoupled) + plan.block.cubic
            slot.lane = NO_LANE
            slot.left = plan.last - plan.last % GROUP
            scheduler.taken[slot.kind] += 1
            return
        advance(&run.model, &plan.block, plan.last, patterns)
        end_block(plan, patterns)
        spent[0] += plan.n_steps


cdef void fill_lanes(LaneScheduler* scheduler, int kind) noexcept nogil:
    cdef Slot* slot
    cdef int n, lane = 0
    for n in range(SLOTS):
        slot = &scheduler.slots[n]
        if not slot.taken or slot.kind != kind or slot.lane != NO_LANE:
            continue
        while lane < LANES and scheduler.busy[kind][lane]:
            lane += 1
        if lane == LANES:
            return
        slot.lane = lane
        scheduler.busy[kind][lane] = True
        put_in_lane(&scheduler.lanes[kind], lane, smooth_of(&slot.plan), fields_of(slot))


cdef void step_lanes(LaneScheduler* scheduler, int kind, int64_t steps, int64_t* spent) noexcept nogil:
    """Step the runs in the lanes until the first block ends; then begin the next block of each run whose block has ended."""
    cdef RunData* leaving[LANES]
    cdef const Model* model = NULL
    cdef Lanes* lanes = &scheduler.lanes[kind]
    cdef Slot* slot
    cdef int n, few = 0, left = 0
    for n in range(SLOTS):
        slot = &scheduler.slots[n]
        if is_stepped(slot, kind):
            few = min(few, slot.left) if model != NULL else slot.left
            model = &slot.plan.run.model
    if not model.trained:
        fixed_steps_lanes(&lanes.fixed, few, model.loss, kind == 1)
    elif kind < 2:
        trained_steps_lanes(&lanes.trained, few, model.point_step, model.loss, kind == 1)
    else:
        decoupled_steps_halves(&lanes.decoupled, few, model.point_step, model.loss, kind == 3)
    for n in range(SLOTS):
        slot = &scheduler.slots[n]
        if is_stepped(slot, kind):
            spent[0] += few
            slot.left -= few
            if slot.left == 0:
                leaving[left] = slot.plan.run
                left += 1
                leave_slot(scheduler, slot)
    for n in range(left):
        if spent[0] < steps:
            take_slot(scheduler, leaving[n], spent)


cdef inline bint is_stepped(const Slot* slot, int kind) noexcept nogil:
    return slot.taken and slot.kind == kind and slot.lane != NO_LANE


cdef void leave_slot(LaneScheduler* scheduler, Slot* slot) noexcept nogil:
    """End the block. Steps that are no whole group are taken now."""
    cdef BlockPlan* plan = &slot.plan
    take_from_lane(&scheduler.lanes[slot.kind], slot.lane, smooth_of(plan), fields_of(slot))
    advance(&plan.run.model, &plan.block, plan.last % GROUP, NULL)
    end_block(plan, NULL)
    scheduler.busy[slot.kind][slot.lane] = False
    scheduler.taken[slot.kind] -= 1
    slot.taken = False


cdef inline void* smooth_of(BlockPlan* plan) noexcept nogil:
    if not plan.run.model.trained:
        return &plan.block.fixed
    if plan.block.decoupled:
        return &plan.block.single
    return &plan.block.trained


cdef inline int fields_of(const Slot* slot) noexcept nogil:
    if not slot.plan.run.model.trained:
        return FIXED_FIELDS
    return DECOUPLED_FIELDS if slot.kind >= 2 else TRAINED_FIELDS
