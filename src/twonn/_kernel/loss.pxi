"""The losses, as point functions of a margin m: s = −ℓ'(m), its logarithm, its Taylor coefficients, and ln ℓ."""

cdef inline double loss_slope(const Model* model, double margin) noexcept nogil:
    return loss_slope_at(model, exactly(margin))


cdef inline double loss_slope_at(const Model* model, Sum margin) noexcept nogil:
    # s = −ℓ'(m). A rounded margin makes it wrong by |m| roundings.
    cdef double e
    if not model.logistic:
        return exp_sum(negative(margin)).high
    if margin.high < 0:
        return 1.0 / (1.0 + exp_sum(margin).high)
    e = exp_sum(negative(margin)).high
    return e / (1.0 + e)


cdef Sum loss_slope_sum(const Model* model, Sum margin) noexcept nogil:
    """The same to about 2^-55 of itself: what a span starts from, it keeps."""
    cdef Sum e, one = exactly(1.0)
    if not model.logistic:
        return exp_sum(negative(margin))
    if margin.high < 0:
        return quotient(one, total(one, exp_sum(margin)))
    e = exp_sum(negative(margin))
    return quotient(e, total(one, e))


cdef double log_slope(const Model* model, double margin) noexcept nogil:
    """ln s, s = −ℓ'(m)."""
    if not model.logistic:
        return -margin
    if margin < 0.0:
        return -log1p_(exp_(margin))
    return -margin - log1p_(exp_(-margin))


cdef double log_loss_of(const Model* model, double margin) noexcept nogil:
    """ln ℓ(m)."""
    if not model.logistic:
        return -margin
    if margin < 0.0:
        return log_(-margin + log1p_(exp_(margin)))
    if margin > 36.0:  # ln(1 + e) = e − e²/2 to the last bit, which underflows later
        return -margin - 0.5 * exp_(-margin)
    return log_(log1p_(exp_(-margin)))


cdef inline void expand(const Model* model, pair s, pair* taylor) noexcept nogil:
    """Taylor coefficients of s in a fall x of the margin: ds/dx = s (exponential), s (1 − s) (logistic)."""
    taylor[0] = s
    taylor[1] = s * (both(1.0) - s) if model.logistic else s
    taylor[2] = taylor[1] * both(0.5)
    taylor[3] = taylor[1] * both(1.0 / 6.0)
    if model.logistic:
        taylor[2] = taylor[2] * (both(1.0) - both(2.0) * s)
        taylor[3] = taylor[3] * (both(1.0) - both(6.0) * s * (both(1.0) - s))
