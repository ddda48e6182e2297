"""The losses, as functions of a margin m. A loss is a section here, and a function in losses.h.

A loss ℓ is known by s = −ℓ'(m) > 0, with which a point pushes. The kernel asks for

    slope       s: to a unit in the last place, or to 2^-55 where thousands of steps start from it
    log slope   ln s, also where s underflows, and ln(s_0/s_1)
    Taylor      coefficients of s in a fall of the margin
    update      by how much s falls in a step (losses.h); in a leap P and ω = −d ln s/dm, from q (leap.pxi)

by the functions of the last section, whatever the loss is.
"""

# --------------------------------------------------------------------------------------------------
# Exponential: ℓ = e^−m = s, ω = 1

cdef inline Sum exponential_slope(Sum margin) noexcept nogil:
    return exp_sum(negative(margin))


cdef inline double exponential_log_slope(double margin) noexcept nogil:
    return -margin


cdef inline double exponential_log_slope_ratio(double margin0, double margin1) noexcept nogil:
    cdef Sum difference = two_sum(margin1, -margin0)
    return difference.high + difference.low


cdef inline void exponential_taylor(pair s, pair* taylor) noexcept nogil:
    taylor[0] = s
    taylor[1] = s
    taylor[2] = s * both(0.5)
    taylor[3] = s * both(1.0 / 6.0)


cdef inline void exponential_pushes(double start, const nodes* q, nodes* p, nodes* omega) noexcept nogil:
    """P = P(0) e^q."""
    cdef int r
    exp_nodes(q, p)
    for r in range(NODES):
        omega.at[r] = 1.0
        p.at[r] *= start


# --------------------------------------------------------------------------------------------------
# Logistic: ℓ = ln(1 + e^−m), s = 1/(1 + e^m), ω = 1 − s

cdef inline double logistic_slope(Sum margin) noexcept nogil:
    cdef double e
    if margin.high < 0:
        return 1.0 / (1.0 + exp_sum(margin).high)
    e = exp_sum(negative(margin)).high
    return e / (1.0 + e)


cdef inline Sum logistic_slope_sum(Sum margin) noexcept nogil:
    cdef Sum e, one = exactly(1.0)
    if margin.high < 0:
        return quotient(one, total(one, exp_sum(margin)))
    e = exp_sum(negative(margin))
    return quotient(e, total(one, e))


cdef inline double logistic_log_slope(double margin) noexcept nogil:
    if margin < 0.0:
        return -log1p_(exp_(margin))
    return -margin - log1p_(exp_(-margin))


cdef inline void logistic_taylor(pair s, pair* taylor) noexcept nogil:
    """ds/dm = −s (1 − s), and so on."""
    taylor[0] = s
    taylor[1] = s * (both(1.0) - s)
    taylor[2] = taylor[1] * both(0.5) * (both(1.0) - both(2.0) * s)
    taylor[3] = taylor[1] * both(1.0 / 6.0) * (both(1.0) - both(6.0) * s * (both(1.0) - s))


cdef inline void logistic_pushes(double start, double share, double rest, const nodes* q, const nodes* decay,
                                 nodes* p, nodes* omega) noexcept nogil:
    """P ∝ e^q ω, where ω = 1/(1 + e^−m), e^−m ∝ e^q ε.

    With s at the start, which unlike e^−m does not overflow, ω = (1 − s)/((1 − s) + s e^q ε/ε(0)).
    """
    cdef int r
    exp_nodes(q, p)
    for r in range(NODES):
        omega.at[r] = 1.0 / (rest + share * p.at[r] * decay.at[r])
        p.at[r] *= start * omega.at[r]
        omega.at[r] *= rest


cdef inline double logistic_partner(double f, double q1, const double* share, double rest0,
                                    double decay) noexcept nogil:
    """q_0 where f = q_1 + the change of ln(s_0/s_1).

    s ∝ e^q/((1 − s) + s e^q ε/ε(0)) with s at the start: that is e^F; and back from F to q.
    """
    f -= log1p_(share[1] * (exp_(q1) * decay - 1.0))
    return f + (log_(rest0) - log1p_(-share[0] * exp_(f) * decay))


# --------------------------------------------------------------------------------------------------
# Whichever it is

cdef inline double loss_slope(const Model* model, double margin) noexcept nogil:
    """s, of a margin without rounding."""
    return loss_slope_at(model, exactly(margin))


cdef inline double loss_slope_at(const Model* model, Sum margin) noexcept nogil:
    """s. A rounded margin would make it wrong by |m| roundings."""
    return logistic_slope(margin) if model.loss == LOGISTIC else exponential_slope(margin).high


cdef inline pair loss_slopes_at(const Model* model, Sum margin0, Sum margin1) noexcept nogil:
    """s of either point: side by side, since each waits for a chain of operations."""
    if model.loss == LOGISTIC:
        return pair_of(logistic_slope(margin0), logistic_slope(margin1))
    return pair_of(exponential_slope(margin0).high, exponential_slope(margin1).high)


cdef Sum loss_slope_sum(const Model* model, Sum margin) noexcept nogil:
    """The same to about 2^-55 of itself: what a span starts from, it keeps."""
    return logistic_slope_sum(margin) if model.loss == LOGISTIC else exponential_slope(margin)


cdef double log_slope(const Model* model, double margin) noexcept nogil:
    """ln s."""
    return logistic_log_slope(margin) if model.loss == LOGISTIC else exponential_log_slope(margin)


cdef double log_slope_ratio(const Model* model, double margin0, double margin1) noexcept nogil:
    """ln(s_0/s_1)."""
    if model.loss == LOGISTIC:
        return logistic_log_slope(margin0) - logistic_log_slope(margin1)
    return exponential_log_slope_ratio(margin0, margin1)


cdef inline void expand(const Model* model, pair s, pair* taylor) noexcept nogil:
    """Taylor coefficients of s in a fall of the margin."""
    if model.loss == LOGISTIC:
        logistic_taylor(s, taylor)
    else:
        exponential_taylor(s, taylor)


cdef inline double share_at(const Model* model, double margin) noexcept nogil:
    """1 − ω: s for the logistic loss, 0 for the exponential one."""
    return loss_slope(model, margin) if model.loss == LOGISTIC else 0.0


cdef inline double rest_at(const Model* model, double margin) noexcept nogil:
    """ω, which is 1 − share without the rounding of that."""
    return loss_slope(model, -margin) if model.loss == LOGISTIC else 1.0


cdef inline void pushes(const Model* model, double start, double share, double rest, const nodes* q,
                        const nodes* decay, nodes* p, nodes* omega) noexcept nogil:
    """P and ω from q, given P, 1 − ω and ω at the start."""
    if model.loss == LOGISTIC:
        logistic_pushes(start, share, rest, q, decay, p, omega)
    else:
        exponential_pushes(start, q, p, omega)
