"""Gradient descent in binary32 as a PyTorch module takes it: elementwise, in the textbook order, uncompensated.

One input, fixed output weights, exponential loss, mean. Every operation rounds to binary32; the exponential is
the kernel's own, rounded, so that no libm decides a bit. It is there to be compared with, not to be trusted.
"""


cdef struct Single:
    float[2] w
    float[2] b


cdef Single single_step(Single p, const float* x, const float* y, const float* v, float step_size) noexcept nogil:
    cdef float half = 0.5            # a literal would be a double, and the product with it as well
    cdef float[2] pull
    cdef float[2][2] hidden
    cdef float f, residual, grad_w, grad_b
    cdef int i, j
    for i in range(2):
        for j in range(2):
            hidden[j][i] = p.w[j] * x[i]
            hidden[j][i] = hidden[j][i] + p.b[j]
            if not hidden[j][i] > 0:
                hidden[j][i] = 0
        f = v[0] * hidden[0][i]
        f = f + v[1] * hidden[1][i]
        residual = <float>exp_(-(y[i] * f))
        residual = half * residual
        pull[i] = -(residual * y[i])    # ∂L/∂f(x_i)
    for j in range(2):
        grad_w = 0
        grad_b = 0
        for i in range(2):
            if hidden[j][i] > 0:
                residual = pull[i] * v[j]
                grad_w = grad_w + residual * x[i]
                grad_b = grad_b + residual
        p.w[j] = p.w[j] - step_size * grad_w
        p.b[j] = p.b[j] - step_size * grad_b
    return p


def descend_in_float32(const float[::1] x, const float[::1] y, const float[::1] w, const float[::1] b,
                       const float[::1] v, float step_size, const int64_t[::1] schedule):
    """Take the steps up to the last scheduled one.

    Parameters
    ----------
    x, y, w, b, v : ndarray of float32, shape (2,)
    step_size : float
    schedule : ndarray of int64, shape (n,)
        Steps to record, increasing, from 0 on.

    Returns
    -------
    states : ndarray of float32, shape (n, 4)
        w_0, w_1, b_0, b_1 there.
    frozen : int
        The step after which no parameter changes any more, −1 if they still do at the end. They never change
        again once a step has changed none, because the next step is the same one.
    """
    cdef Single now, then
    cdef int64_t t = 0, frozen = -1
    cdef Py_ssize_t n
    if not x.shape[0] == y.shape[0] == w.shape[0] == b.shape[0] == v.shape[0] == 2:
        raise ValueError("x, y, w, b, v: expected shape (2,)")
    check_question(schedule, np.empty(0), DIRECT, EXPONENTIAL)
    states = np.empty((schedule.shape[0], 4), dtype=np.float32)
    cdef float[:, ::1] out = states
    for n in range(2):
        now.w[n] = w[n]
        now.b[n] = b[n]
    with nogil:
        for n in range(schedule.shape[0]):
            while t < schedule[n] and frozen < 0:
                then = single_step(now, &x[0], &y[0], &v[0], step_size)
                if (then.w[0] == now.w[0] and then.w[1] == now.w[1]
                        and then.b[0] == now.b[0] and then.b[1] == now.b[1]):
                    frozen = t
                now = then
                t += 1
            out[n, 0], out[n, 1], out[n, 2], out[n, 3] = now.w[0], now.w[1], now.b[0], now.b[1]
    return states, frozen
