"""Steps, counted exactly as far as that goes, and beyond by their logarithm; and what lies between them in a leap."""

cdef struct Time:
    int64_t step                     # −1 beyond 2^63 − 1
    double log                       # natural logarithm of the step, kept up only beyond


cdef inline double log_of(Time time) noexcept nogil:
    return log_(<double>time.step) if time.step >= 0 else time.log


cdef inline double as_number(Time time) noexcept nogil:
    return <double>time.step if time.step >= 0 else exp_(time.log)


cdef inline bint is_before(Time a, Time b) noexcept nogil:
    if a.step >= 0 and b.step >= 0:
        return a.step < b.step
    return b.step < 0 and (a.step >= 0 or a.log < b.log)


cdef inline double steps_after(const Leap* leap, double passed) noexcept nogil:
    return exp_(leap.log_scale) * expm1_(passed)


cdef Time time_after(const Leap* leap, Time start, double passed) noexcept nogil:
    """The last whole step within `passed` (in τ) of the start of a leap; a logarithm where it is too large."""
    cdef Time time
    cdef double steps = steps_after(leap, passed), log_start, log_steps, high, low
    if start.step >= 0 and start.step + steps < 9.2e18:
        time.step = start.step + <int64_t>steps
        time.log = 0.0
        return time
    time.step = -1
    log_start = log_of(start)
    if log_start == leap.log_scale:
        time.log = leap.log_scale + passed
        return time
    # ln(t₀ + σ₀ (e^τ − 1))
    log_steps = leap.log_scale
    if passed > 40.0:
        log_steps += passed
    elif passed > 0.0:
        log_steps += log_(expm1_(passed))
    else:
        log_steps = -INFINITY
    high, low = max(log_start, log_steps), min(log_start, log_steps)
    time.log = high + log1p_(exp_(low - high))
    return time


cdef double passed_until(const Leap* leap, Time start, Time end) noexcept nogil:
    """ln(σ/σ₀) at `end`, σ = σ₀ + end − start."""
    cdef double ahead, later, grown
    if end.step >= 0:
        return log1p_(<double>(end.step - start.step) * leap.inverse)
    # 1 + t₀/σ₀ (t/t₀ − 1), whatever overflows
    ahead = log_of(start) - leap.log_scale
    later = max(end.log - log_of(start), 0.0)
    if ahead == 0.0 or ahead + later > 40.0 and later > 40.0:
        return ahead + later
    if later > 40.0:
        return log1p_(exp_(ahead + later))
    grown = expm1_(later)
    if ahead > 600.0 and grown > 0.0:
        return ahead + log_(grown)
    return log1p_(exp_(ahead) * grown)
