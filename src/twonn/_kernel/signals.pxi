"""Signals: an end of what the kernel does soon after one has come."""

cdef extern from *:
    """
    static int twonn_raise_pending(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    void* PyErr_Occurred() noexcept
    int PyErr_CheckSignals() noexcept
    int twonn_raise_pending() except -1


cdef int SIGNALS = 0           # that have come; a kernel returns to Python when it sees the number change


def note_signal():
    """Let what the kernel does take an end soon; for signal handlers."""
    global SIGNALS
    SIGNALS += 1


cdef bint signalled() noexcept with gil:
    """Let Python handle its signals; tell whether one came. An exception of a handler is left to be raised."""
    global SIGNALS
    cdef int before = SIGNALS
    if PyErr_Occurred() != NULL or PyErr_CheckSignals() < 0:
        SIGNALS += 1
    return SIGNALS != before
