"""Many runs of one problem, each in a lane of the vector registers while its activation pattern provably holds.

A lane that has finished its block is given the run's next one, or the next run's; the others go on. Where each
step has to look at the pattern a run is stepped by itself.
"""

cdef enum:
    FEWEST_LANE_STEPS = 64     # that are worth a lane
    KINDS = 4                  # of blocks: 2 if the neurons are apart, plus 1 if cubic
    SEATS = KINDS * LANES      # never are as many taken
    NO_LANE = -1


cdef struct Seat:              # a run that has begun a block
    bint taken
    int kind
    int lane                   # of its bench; NO_LANE while there is none for it
    int left                   # whole groups of steps still to take, in steps
    Turn turn


cdef union Lanes:
    FixedSmooth_lanes fixed
    TrainedSmooth_lanes trained
    ApartSmooth_halves apart


cdef struct Room:
    Seat[SEATS] seats
    int[KINDS] taken           # seats by kind
    Lanes[KINDS] lanes
    bint[KINDS][LANES] busy    # lanes


cdef void step_in_lanes(RunData* courses, Py_ssize_t first, Py_ssize_t runs, int64_t steps) noexcept nogil:
    """Take at least `steps` steps in all of the runs from `first` on that are RUNNING, or all that are left.

    Blocks of one kind step together, when they fill the lanes or when no run comes any more. Then those that are
    not cubic go first: they will be, and the others can wait for their company.
    """
    cdef Room room
    cdef int64_t spent = 0
    cdef int kind
    memset(&room, 0, sizeof(room))
    while True:
        kind = most_taken(&room)
        while first < runs and spent < steps and room.taken[kind] < LANES:
            if courses[first].now.status == RUNNING:
                take_seat(&room, &courses[first], &spent)
                kind = most_taken(&room)
            first += 1
        if room.taken[kind] == 0:
            return
        if room.taken[kind] < LANES and room.taken[0] + room.taken[2] > 0:
            kind = 0 if room.taken[0] >= room.taken[2] else 2
        fill_lanes(&room, kind)
        step_lanes(&room, kind, steps, &spent)


cdef int most_taken(const Room* room) noexcept nogil:
    cdef int kind, most = 0
    for kind in range(1, KINDS):
        if room.taken[kind] > room.taken[most]:
            most = kind
    return most


cdef void take_seat(Room* room, RunData* run, int64_t* spent) noexcept nogil:
    """Begin the run's next block that is for lanes, having taken those before."""
    cdef uint8_t patterns[BLOCK_STEPS]
    cdef int n = 0
    cdef Seat* seat
    cdef Turn* turn
    while room.seats[n].taken:
        n += 1
    seat = &room.seats[n]
    turn = &seat.turn
    while run.now.status == RUNNING:
        begin_block(run, turn)
        if turn.block.span and turn.last >= FEWEST_LANE_STEPS:
            seat.taken = True
            seat.kind = 2 * (run.model.trained and turn.block.apart) + turn.block.cubic
            seat.lane = NO_LANE
            seat.left = turn.last - turn.last % GROUP
            room.taken[seat.kind] += 1
            return
        advance(&run.model, &turn.block, turn.last, patterns)
        end_block(turn, patterns)
        spent[0] += turn.length


cdef void fill_lanes(Room* room, int kind) noexcept nogil:
    cdef Seat* seat
    cdef int n, lane = 0
    for n in range(SEATS):
        seat = &room.seats[n]
        if not seat.taken or seat.kind != kind or seat.lane != NO_LANE:
            continue
        while lane < LANES and room.busy[kind][lane]:
            lane += 1
        if lane == LANES:
            return
        seat.lane = lane
        room.busy[kind][lane] = True
        put_in_lane(&room.lanes[kind], lane, smooth_of(&seat.turn), fields_of(seat))


cdef void step_lanes(Room* room, int kind, int64_t steps, int64_t* spent) noexcept nogil:
    """Step the runs in the lanes until the first of them ends its block; find those new seats."""
    cdef RunData* leaving[LANES]
    cdef const Model* model = NULL
    cdef Lanes* lanes = &room.lanes[kind]
    cdef Seat* seat
    cdef int n, few = 0, left = 0
    for n in range(SEATS):
        seat = &room.seats[n]
        if is_stepped(seat, kind):
            few = min(few, seat.left) if model != NULL else seat.left
            model = &seat.turn.run.model
    if not model.trained:
        fixed_steps_lanes(&lanes.fixed, few, model.logistic, kind == 1)
    elif kind < 2:
        trained_steps_lanes(&lanes.trained, few, model.rate, model.logistic, kind == 1)
    else:
        apart_steps_halves(&lanes.apart, few, model.rate, model.logistic, kind == 3)
    for n in range(SEATS):
        seat = &room.seats[n]
        if is_stepped(seat, kind):
            spent[0] += few
            seat.left -= few
            if seat.left == 0:
                leaving[left] = seat.turn.run
                left += 1
                leave_seat(room, seat)
    for n in range(left):
        if spent[0] < steps:
            take_seat(room, leaving[n], spent)


cdef inline bint is_stepped(const Seat* seat, int kind) noexcept nogil:
    return seat.taken and seat.kind == kind and seat.lane != NO_LANE


cdef void leave_seat(Room* room, Seat* seat) noexcept nogil:
    """End the block; what is no whole group of its steps is taken now."""
    cdef Turn* turn = &seat.turn
    take_from_lane(&room.lanes[seat.kind], seat.lane, smooth_of(turn), fields_of(seat))
    advance(&turn.run.model, &turn.block, turn.last % GROUP, NULL)
    end_block(turn, NULL)
    room.busy[seat.kind][seat.lane] = False
    room.taken[seat.kind] -= 1
    seat.taken = False


cdef inline void* smooth_of(Turn* turn) noexcept nogil:
    if not turn.run.model.trained:
        return &turn.block.fixed
    if turn.block.apart:
        return &turn.block.alone
    return &turn.block.trained


cdef inline int fields_of(const Seat* seat) noexcept nogil:
    if not seat.turn.run.model.trained:
        return FIXED_FIELDS
    return APART_FIELDS if seat.kind >= 2 else TRAINED_FIELDS
