"""Error-free sums and products, exponential and logarithm: plain binary64, no libm."""

# --------------------------------------------------------------------------------------------------
# Error-free transformations (Dekker, Knuth). They rely on round-to-nearest and on -ffp-contract=off.

cdef struct Sum:               # the unevaluated sum high + low
    double high
    double low


cdef inline Sum two_sum(double a, double b) noexcept nogil:
    cdef Sum r
    cdef double t
    r.high = a + b
    t = r.high - a
    r.low = (a - (r.high - t)) + (b - t)
    return r


cdef inline Sum two_product(double a, double b) noexcept nogil:
    # Dekker's splitting instead of fma: the same bits with and without hardware support.
    cdef Sum r
    cdef double splitter = 134217729.0  # 2^27 + 1
    cdef double t, a_high, a_low, b_high, b_low
    t = splitter * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = splitter * b
    b_high = t - (t - b)
    b_low = b - b_high
    r.high = a * b
    r.low = a_low * b_low - (((r.high - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return r


cdef inline Sum plus(Sum a, double b) noexcept nogil:
    cdef Sum r = two_sum(a.high, b)
    r.low += a.low
    return r


cdef inline Sum plus_product(Sum a, double b, double c) noexcept nogil:
    cdef Sum p = two_product(b, c)
    cdef Sum r = plus(a, p.high)
    r.low += p.low
    return r


cdef inline Sum finite_or(Sum a, double plain) noexcept nogil:
    """`a` with its high part rounded; near overflow, where splitting gives NaN, the plain evaluation."""
    cdef Sum r = two_sum(a.high, a.low)
    if r.high - r.high != 0.0:
        r.high = plain
    if r.low - r.low != 0.0:
        r.low = 0.0
    return r


cdef inline Sum times(Sum a, double b) noexcept nogil:
    cdef Sum r = two_product(a.high, b)
    r.low += a.low * b
    return finite_or(r, a.high * b)


# --------------------------------------------------------------------------------------------------
# Exponential: no libm, so that every platform gives the same bits.

cdef union Bits:
    double real
    uint64_t bits


cdef inline double power_of_two(int64_t k) noexcept nogil:
    cdef Bits b
    b.bits = <uint64_t>(k + 1023) << 52
    return b.real


cdef double exp_(double x) noexcept nogil:
    """exp(x), error below 0.7 ulp for normal results; inf, 0 and nan where libm gives them."""
    cdef double shift = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer
    cdef double ln2_high = 0.6931471805598903  # 42 bits, so that k * ln2_high is exact
    cdef double ln2_low = 5.497923018708371e-14  # ln 2 - ln2_high
    cdef double k, high, low, r, r_low, square, tail, one_plus
    cdef int64_t half
    if x != x:
        return x
    if x > 800.0:
        return INFINITY
    if x < -800.0:
        return 0.0
    k = (x * 1.4426950408889634 + shift) - shift
    high = x - k * ln2_high
    low = k * ln2_low
    r = high - low
    r_low = (high - r) - low
    # exp(r) = 1 + r + r^2/2 + ...: Taylor to degree 13, remainder below 0.35^14/14! = 2^-57.5.
    square = r * r
    tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
        + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
        + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))))
    one_plus = 1.0 + r
    tail += (r - (one_plus - 1.0)) + (r_low + r * r_low)
    # Two factors, because 2^k alone may not be a normal number.
    half = <int64_t>k >> 1
    return (one_plus + tail) * power_of_two(half) * power_of_two(<int64_t>k - half)
