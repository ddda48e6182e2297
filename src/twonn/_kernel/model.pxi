"""The constants of a run, and what follows from a State: the Gram matrix, pre-activations and margins.

Each is formed to twice the working precision.
"""

cdef inline bint is_active(int pattern, int j, int i) noexcept nogil:
    return pattern >> (2 * j + i) & 1


cdef Sum lifted_dot(const double* w, double b, const double* x, Py_ssize_t d) noexcept nogil:
    """w·x + b with twice the working precision."""
    cdef Sum z
    cdef Py_ssize_t a
    cdef double plain = 0.0
    z.high = z.low = 0.0
    for a in range(d):
        z = plus_product(z, w[a], x[a])
        plain += w[a] * x[a]
    return finite_or(plus(z, b), plain + b)


cdef void set_model(Model* model, const double[:, ::1] x, bint bias, const double[:, ::1] w,
                    const double[::1] b) noexcept nogil:
    """Fill in the lifted Gram matrix and the pre-activations at step 0."""
    cdef Py_ssize_t d = x.shape[1]
    cdef Sum r
    cdef int i, j, k
    for i in range(2):
        for k in range(2):
            r = lifted_dot(&x[i, 0], 1.0 if bias else 0.0, &x[k, 0], d)
            model.gram[i][k] = r.high
            model.gram_low[i][k] = r.low
        for j in range(2):
            r = lifted_dot(&w[j, 0], b[j], &x[i, 0], d)
            model.start[j][i] = r.high
            model.start_low[j][i] = r.low
    model.opposed = model.gram[0][1] < 0.0 and reduced_gram(model, 0).high == 0.0


cdef inline Sum entry_of(const Model* model, int i, int k) noexcept nogil:
    cdef Sum g
    g.high, g.low = model.gram[i][k], model.gram_low[i][k]
    return g


cdef Sum reduced_gram(const Model* model, int k) noexcept nogil:
    """G_kk − G_ik²/G_ii."""
    cdef Sum cross = entry_of(model, 0, 1), reduced
    reduced = quotient(product(cross, cross), entry_of(model, 1 - k, 1 - k))
    reduced = total(entry_of(model, k, k), negative(reduced))
    return or_zero(reduced, model.gram[k][k])


cdef inline double preactivation(const Model* model, const State* state, int j, int i) noexcept nogil:
    return preactivation_sum(model, state, j, i).high


cdef Sum preactivation_sum(const Model* model, const State* state, int j, int i) noexcept nogil:
    """z_ji with twice the working precision."""
    cdef Sum z
    cdef int k
    cdef double plain = model.start[j][i]
    z.high = model.start[j][i]
    z.low = model.start_low[j][i]
    for k in range(2):
        z = plus_product(z, state.c[j][k], model.gram[i][k])
        z.low += state.c_low[j][k] * model.gram[i][k] + state.c[j][k] * model.gram_low[i][k]
        plain += state.c[j][k] * model.gram[i][k]
    return finite_or(z, plain)


cdef Sum margin_sum(const Model* model, const State* state, int i, const Sum* z) noexcept nogil:
    """m_i to twice the working precision, from z_0i and z_1i."""
    cdef Sum m = exactly(0.0)
    cdef double plain = 0.0
    cdef int j
    for j in range(2):
        if z[j].high > 0.0:
            m = plus_product(m, state.v[j], z[j].high)
            m.low += state.v_low[j] * z[j].high + state.v[j] * z[j].low
            plain += state.v[j] * z[j].high
    m = finite_or(m, plain)
    return m if model.label[i] > 0.0 else negative(m)


cdef inline Sum moved(double high, double low, Sum change) noexcept nogil:
    cdef Sum r
    r.high = high
    r.low = low + change.low
    r = plus(r, change.high)
    return two_sum(r.high, r.low)


cdef inline void add_to(double* high, double* low, double change) noexcept nogil:
    """Let a number and what rounding left out of it change."""
    cdef Sum r = moved(high[0], low[0], exactly(change))
    high[0], low[0] = r.high, r.low


cdef inline Sum or_zero(Sum reduced, double of) noexcept nogil:
    """A part of an entry of the Gram matrix, or 0 where rounding cannot tell it from 0.

    The entry itself is known to some 2^-104 of it; the limit is 2^-98.
    """
    return reduced if reduced.high > 3.2e-30 * of else exactly(0.0)


cdef bint fits(const Model* model, const State* state) noexcept nogil:
    """Whether parameters, pre-activations and margins are below 2^996, the most that two_product splits."""
    cdef const double* entry = <const double*>state
    cdef double scale = 268435456.0  # 2^28: 2^996 times this is infinite
    cdef double zero = 0.0, z, term, size
    cdef int i, j, k, n
    for n in range(STATE_SIZE):
        zero += scale * entry[n] * 0.0
    for i in range(2):
        for j in range(2):
            z = model.start[j][i]
            size = abs(z)
            for k in range(2):
                term = state.c[j][k] * model.gram[i][k]
                z += term
                size += abs(term)
            if z > 0.0:
                size += abs(state.v[j]) * z
            zero += scale * size * 0.0
    return zero == 0.0
