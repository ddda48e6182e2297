"""Signals: how the kernel notices one soon and returns to Python."""

cdef extern from *:
    """
    static int twonn_raise_pending(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    void* PyErr_Occurred() noexcept
    int PyErr_CheckSignals() noexcept
    int twonn_raise_pending() except -1


cdef int SIGNALS = 0           # how many have come; a kernel returns to Python once the number has changed


def note_signal():
    """Have the kernel return to Python soon; for signal handlers."""
    global SIGNALS
    SIGNALS += 1


cdef bint signalled() noexcept with gil:
    """Let Python handle its signals, and return whether one has come. Exceptions of handlers are raised later."""
    global SIGNALS
    cdef int before = SIGNALS
    if PyErr_Occurred() != NULL or PyErr_CheckSignals() < 0:
        SIGNALS += 1
    return SIGNALS != before
