"""What a run holds between blocks, field by field, for files from which it can go on.

Neither padding nor pointers: every field by its name, as an array over its own memory. `twonn.engine.fields` declares
what they are; what the question alone determines (the model, what is asked, where to record) is not among them.
"""

ctypedef fused Number:
    int
    int64_t
    double


cdef shared(Number* first, Py_ssize_t n):
    """An array over memory of the kernel, to be let go before that is."""
    return np.asarray(<Number[:n]>first)


cdef dict fields_of_course(Course* run):
    return {
        "step": shared(&run.now.step, 1),
        "log_step": shared(&run.now.log, 1),
        "state": shared(<double*>&run.state, STATE_SIZE),
        "obstacle": shared(&run.obstacle, 1),
        "error": shared(&run.error, 1),
        "averaging_error": shared(&run.averaging_error, 1),
        "averaged": shared(<int*>&run.averaged, 1),
        "uncounted": shared(<int*>&run.uncounted, 1),
        "converged_step": shared(&run.converged.step, 1),
        "converged_log": shared(&run.converged.log, 1),
        "last_pattern": shared(&run.last_pattern, 1),
        "length": shared(&run.length, 1),
        "credit": shared(&run.credit, 1),
        "walked": shared(&run.walked, 1),
        "spent": shared(&run.spent, 1),
        "calm": shared(&run.calm, 1),
        "width": shared(&run.width, 1),
        "crossed": shared(<int*>&run.crossed, 1),
        "crossing": shared(&run.crossing[0], 4),
        "lag": shared(&run.lag[0], 2),
        "held": shared(&run.held, 1),
        "unphased": shared(&run.unphased, 1),
        "unwatched": shared(&run.unwatched, 1),
        "caught": shared(&run.caught, 1),
        "episode": shared(&run.episode[0], 2),
        "entered": shared(&run.entered[0], 2),
        "first_flip": shared(&run.first_flip[0], 2),
        "last_flip": shared(&run.last_flip[0], 2),
        "n_samples": shared(&run.n_samples, 1),
        "n_transitions": shared(&run.n_transitions, 1),
        "n_segments": shared(&run.n_segments, 1),
        "n_slides": shared(&run.n_slides, 1),
    }


cdef dict held(dict fields, dict settled, dict moving):
    """Copies of what changes; of records that only grow, views of what there is."""
    result = {name: place.copy() for name, place in fields.items()}
    result.update(settled)
    result.update({name: record.copy() for name, record in moving.items()})
    return result


#: Bounds of what the kernel indexes by or counts on, so that no state makes it leave its memory.
LIMITS = {
    "status": (RUNNING, CONVERGED),
    "step": (-1, INT64_MAX),
    "last_pattern": (-1, 15),
    "length": (0, LENGTHS - 1),
    "held": (0, 15),
    "unphased": (0, 15),
    "caught": (0, 15),
    "episode": (-1, SLIDES_KEPT + 1),
    "n_samples": (0, INT64_MAX),
    "n_transitions": (0, INT64_MAX // 2),
    "n_segments": (0, SEGMENTS_KEPT),
    "n_slides": (0, INT64_MAX // 2),
}


cdef int check_state(dict fields, state, const int64_t[::1] schedule, const double[::1] late_schedule,
                     int64_t segments_kept=SEGMENTS_KEPT, int64_t slides_kept=SLIDES_KEPT) except -1:
    """Refuse a state, of a run or of many, out of bounds, or whose samples are not those before its step."""
    limits = {**LIMITS, "episode": (-1, slides_kept + 1), "n_segments": (0, segments_kept)}
    for name, (least, most) in limits.items():
        if name in fields and not np.all((np.ravel(state[name]) >= least) & (np.ravel(state[name]) <= most)):
            raise ValueError(f"{name} is out of bounds")
    step, count, total = np.ravel(state["step"]), np.ravel(state["n_samples"]), len(schedule) + len(late_schedule)
    running = np.ravel(state["status"]) == RUNNING if "status" in fields else np.ones(len(step), dtype=bool)
    before = np.searchsorted(schedule, step)
    if "log_step" in fields:
        late = len(schedule) + np.searchsorted(late_schedule, np.ravel(state["log_step"]))
        before = np.where(step >= 0, before, late)
    if np.any(running & (before == total)):
        raise ValueError("its step is behind the horizon")
    if np.any(running & (count != before)) or np.any(~running & ((count < 1) | (count > total + 1))):
        raise ValueError("its samples are not those that it asks for")
    return 0


cdef int put_back(dict fields, dict records, state) except -1:
    """Fill fields and the beginnings of records; NumPy refuses what does not fit."""
    for name, place in fields.items():
        place[:] = np.ravel(state[name])
    for name, record in records.items():
        record[:len(state[name])] = state[name]
    return 0
