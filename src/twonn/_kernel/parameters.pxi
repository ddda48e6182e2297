"""Between parameters and reduced coordinates, with twice the working precision."""

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


cdef int check_states(const double[:, ::1] x, const double[:, :, ::1] w, const double[:, ::1] b,
                      const double[:, :, ::1] states) except -1:
    if not (x.shape[0] == w.shape[1] == b.shape[1] == 2 and x.shape[1] == w.shape[2]
            and w.shape[0] == b.shape[0] == states.shape[0] and states.shape[2] == STATE_SIZE):
        raise ValueError("x, w, b, states: expected shapes (2, d), (runs, 2, d), (runs, 2), (runs, n, 12)")
    return 0


def state_preactivations(const double[:, ::1] x, bint bias, const double[:, :, ::1] w,
                         const double[:, ::1] b, const double[:, :, ::1] states):
    """Return z[r, n, j, i] of recorded states, shape (runs, n, 2, 2); w and b are those of step 0."""
    cdef Py_ssize_t r, n
    cdef int i, j
    cdef Model model
    check_states(x, w, b, states)
    result = np.empty((states.shape[0], states.shape[1], 2, 2))
    cdef double[:, :, :, ::1] out = result
    with nogil:
        for r in range(states.shape[0]):
            set_model(&model, x, bias, w[r], b[r])
            for n in range(states.shape[1]):
                for j in range(2):
                    for i in range(2):
                        out[r, n, j, i] = preactivation(&model, <const State*>&states[r, n, 0], j, i)
    return result


def state_weights(const double[:, ::1] x, bint bias, const double[:, :, ::1] w, const double[:, ::1] b,
                  const double[:, :, ::1] states):
    """Return w_j + Σ_k C_jk x_k, (runs, n, 2, d), and b_j + Σ_k C_jk, (runs, n, 2), of recorded states."""
    cdef Py_ssize_t r, n, a
    cdef int j
    check_states(x, w, b, states)
    weights = np.empty((states.shape[0], states.shape[1], 2, w.shape[2]))
    biases = np.empty((states.shape[0], states.shape[1], 2))
    cdef double[:, :, :, ::1] w_out = weights
    cdef double[:, :, ::1] b_out = biases
    cdef const State* state
    with nogil:
        for r in range(states.shape[0]):
            for n in range(states.shape[1]):
                state = <const State*>&states[r, n, 0]
                for j in range(2):
                    for a in range(w.shape[2]):
                        w_out[r, n, j, a] = parameter(w[r, j, a], state, j, x[0, a], x[1, a])
                    b_out[r, n, j] = parameter(b[r, j], state, j, 1.0, 1.0) if bias else b[r, j]
    return weights, biases


cdef double parameter(double start, const State* state, int j, double x0, double x1) noexcept nogil:
    cdef Sum r
    r.high = start
    r.low = state.c_low[j][0] * x0 + state.c_low[j][1] * x1
    r = plus_product(plus_product(r, state.c[j][0], x0), state.c[j][1], x1)
    return finite_or(r, start + (state.c[j][0] * x0 + state.c[j][1] * x1)).high
