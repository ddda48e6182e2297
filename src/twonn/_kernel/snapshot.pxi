"""What a run holds between blocks, as NumPy arrays: what files from which it can go on are made of.

A struct of the kernel, `RunState` or `OptimizerState`, declares all of it. NumPy sees its memory as a structured array,
whose fields have the names, types and offsets of the struct; so no other list of them exists. What the spec alone
determines (the model, what is asked, where to record) is in other structs.
"""


cdef flat(structs):
    """Return the same array with a struct inside the struct as the numbers that it consists of."""
    fields = {name: field for name, (field, *_) in structs.dtype.fields.items()}
    formats = [field if field.names is None else (np.float64, field.itemsize // 8) for field in fields.values()]
    offsets = [offset for _, offset, *_ in structs.dtype.fields.values()]
    names = {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": structs.dtype.itemsize}
    return structs.view(np.dtype(names))


cdef RunState ANY_RUN

#: The state of a run, by kind: the name, type and shape of each field.
STATE_DTYPES = {"gd": flat(np.asarray(<RunState[:1]>&ANY_RUN)).dtype}
assert STATE_DTYPES["gd"].itemsize == sizeof(RunState)


cdef states_of(RunData* first, Py_ssize_t runs):
    """Return an array over the states of runs that lie in memory one after the other, and that have to outlive it."""
    cdef Py_ssize_t size = (runs - 1) * sizeof(RunData) + sizeof(RunState) if runs else 0
    if not size:
        return np.empty(0, STATE_DTYPES["gd"])
    # The type was found out once: NumPy takes long to read it off a struct.
    memory = <char[:size]><char*>&first.now
    return np.ndarray((runs,), STATE_DTYPES["gd"], memory, 0, (sizeof(RunData),))


cdef dict copies(states):
    """Return a copy of each field, runs along the first axis."""
    sizes = {name: int(np.prod(states.dtype[name].shape)) for name in states.dtype.names}
    return {name: states[name].reshape(len(states), size).copy() for name, size in sizes.items()}


cdef restored(states, state):
    """Return `states` with each field as `state` has it. NumPy refuses what does not fit."""
    new = states.copy()
    for name in new.dtype.names:
        place = new[name]
        place[:] = np.reshape(state[name], place.shape)
    return new


cdef dict snapshot_of_one(states):
    """Return the fields of a single run, which is RUNNING, so that its status is left out."""
    return {name: values[0] for name, values in copies(states).items() if name != "status"}


cdef dict snapshot_of_records(dict records, dict settled):
    """Of records that only grow, views of as many rows as are `settled`; copies of the others."""
    return {name: one[:settled[name]] if name in settled else one.copy() for name, one in records.items()}


cdef int put_back(dict records, state) except -1:
    """Fill in the beginnings of records; NumPy refuses what does not fit."""
    for name, record in records.items():
        record[:len(state[name])] = state[name]
    return 0


#: Bounds of what the kernel indexes by or counts on, so that no state makes it leave its memory.
LIMITS = {
    "status": (RUNNING, CONVERGED),
    "step": (-1, INT64_MAX),
    "last_pattern": (-1, 15),
    "length_index": (0, LENGTHS - 1),
    "mean_pairs": (0, 15),
    "phase_unknown": (0, 15),
    "sliding_candidates": (0, 15),
    "episode": (-1, SLIDES_KEPT + 1),
    "n_samples": (0, INT64_MAX),
    "n_transitions": (0, INT64_MAX // 2),
    "n_segments": (0, SEGMENTS_KEPT),
    "n_slides": (0, INT64_MAX // 2),
}


cdef int check_restored(states, const int64_t[::1] schedule, const double[::1] late_schedule,
                        int64_t segments_kept=SEGMENTS_KEPT, int64_t slides_kept=SLIDES_KEPT) except -1:
    """Refuse states of runs that are out of bounds, or whose samples are not those before their steps."""
    limits = {**LIMITS, "episode": (-1, slides_kept + 1), "n_segments": (0, segments_kept)}
    names = states.dtype.names
    for name, (least, most) in limits.items():
        if name in names and not np.all((states[name] >= least) & (states[name] <= most)):
            raise ValueError(f"{name} is out of bounds")
    step, count, total = states["step"], states["n_samples"], len(schedule) + len(late_schedule)
    running = states["status"] == RUNNING
    before = np.searchsorted(schedule, step)
    if "log_step" in names:
        late = len(schedule) + np.searchsorted(late_schedule, states["log_step"])
        before = np.where(step >= 0, before, late)
    if np.any(running & (before == total)):
        raise ValueError("its step is behind the horizon")
    if np.any(running & (count != before)) or np.any(~running & ((count < 1) | (count > total + 1))):
        raise ValueError("its samples are not those that it asks for")
    return 0
