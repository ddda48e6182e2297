"""Many runs of one problem, each in a lane of the vector registers while its activation pattern provably holds.

A lane that has finished its block is given the run's next one, or the next run's; the others go on. Where each
step has to look at the pattern a run is stepped by itself.
"""

cdef enum:
    FEWEST_LANE_STEPS = 64     # that are worth a lane


cdef struct Seat:              # one lane
    bint taken
    int left                   # whole groups of steps still to take, in steps
    Turn turn


cdef union Lanes:
    FixedSmooth_lanes fixed
    TrainedSmooth_lanes trained


cdef void step_in_lanes(Course* courses, Py_ssize_t first, Py_ssize_t runs, int64_t steps) noexcept nogil:
    """Take at least `steps` steps in all of the runs from `first` on that are RUNNING, or all that are left."""
    cdef Seat[LANES] seats
    cdef Lanes lanes
    cdef const Model* model = &courses[0].model
    cdef int64_t spent = 0
    cdef int lane, taken, few
    memset(&lanes, 0, sizeof(lanes))
    for lane in range(LANES):
        seats[lane].taken = False
    while True:
        taken = few = 0
        for lane in range(LANES):
            while not seats[lane].taken and first < runs and spent < steps:
                if courses[first].status == RUNNING:
                    take_seat(&seats[lane], &lanes, lane, &courses[first], &spent)
                first += 1
            if seats[lane].taken:
                few = min(few, seats[lane].left) if taken else seats[lane].left
                taken += 1
        if taken == 0:
            return
        if model.trained:
            trained_steps_lanes(&lanes.trained, few, model.rate, model.logistic)
        else:
            fixed_steps_lanes(&lanes.fixed, few, model.logistic)
        spent += taken * few
        for lane in range(LANES):
            if seats[lane].taken:
                seats[lane].left -= few
                if seats[lane].left == 0:
                    leave_seat(&seats[lane], &lanes, lane)
                    if spent < steps and seats[lane].turn.run.status == RUNNING:
                        take_seat(&seats[lane], &lanes, lane, seats[lane].turn.run, &spent)


cdef void take_seat(Seat* seat, Lanes* lanes, int lane, Course* run, int64_t* spent) noexcept nogil:
    """Put the run's next block into the lane, having taken those that are not for lanes."""
    cdef uint8_t patterns[BLOCK_STEPS]
    while run.status == RUNNING:
        begin_block(run, &seat.turn)
        if seat.turn.block.span and seat.turn.last >= FEWEST_LANE_STEPS:
            seat.taken = True
            seat.left = seat.turn.last - seat.turn.last % GROUP_lanes
            if run.model.trained:
                put_in_lane(lanes, lane, &seat.turn.block.trained, TRAINED_FIELDS)
            else:
                put_in_lane(lanes, lane, &seat.turn.block.fixed, FIXED_FIELDS)
            return
        advance(&run.model, &seat.turn.block, seat.turn.last, patterns)
        end_block(&seat.turn, patterns)
        spent[0] += seat.turn.length


cdef void leave_seat(Seat* seat, const Lanes* lanes, int lane) noexcept nogil:
    """End the block in the lane; what is no whole group of its steps is taken now."""
    cdef Turn* turn = &seat.turn
    if turn.run.model.trained:
        take_from_lane(lanes, lane, &turn.block.trained, TRAINED_FIELDS)
    else:
        take_from_lane(lanes, lane, &turn.block.fixed, FIXED_FIELDS)
    advance(&turn.run.model, &turn.block, turn.last % GROUP_lanes, NULL)
    end_block(turn, NULL)
    seat.taken = False
