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


cdef inline Sum product(Sum a, Sum b) noexcept nogil:
    """a b, relative error a few 2^-105; nothing may be near overflow."""
    cdef Sum r = two_product(a.high, b.high)
    r.low += a.high * b.low + a.low * b.high
    return two_sum(r.high, r.low)


cdef inline Sum total(Sum a, Sum b) noexcept nogil:
    """a + b, relative error of |a| + |b| a few 2^-105."""
    cdef Sum r = two_sum(a.high, b.high)
    r.low += a.low + b.low
    return two_sum(r.high, r.low)


cdef inline Sum quotient(Sum a, Sum b) noexcept nogil:
    """a / b, relative error a few 2^-104; nothing may be near overflow."""
    cdef double first = a.high / b.high
    cdef Sum p = two_product(first, b.high)
    return two_sum(first, ((a.high - p.high) - p.low + a.low - first * b.low) / b.high)


cdef inline Sum negative(Sum a) noexcept nogil:
    cdef Sum r
    r.high = -a.high
    r.low = -a.low
    return r


cdef inline Sum exactly(double a) noexcept nogil:
    cdef Sum r
    r.high = a
    r.low = 0.0
    return r


# --------------------------------------------------------------------------------------------------
# Exponential and logarithm: no libm, so that every platform gives the same bits.

cdef union Bits:
    double real
    uint64_t bits


cdef inline double power_of_two(int64_t k) noexcept nogil:
    cdef Bits b
    b.bits = <uint64_t>(k + 1023) << 52
    return b.real


cdef double exp_(double x) noexcept nogil:
    """exp(x), error below 0.7 ulp for normal results; inf, 0 and nan where libm gives them."""
    return exp_sum(exactly(x)).high


cdef inline Sum exp_sum(Sum argument) noexcept nogil:
    """The same to about 2^-55 of itself where the result is normal, for an argument that has a low part."""
    cdef double x = argument.high
    cdef double shift = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer
    cdef double ln2_high = 0.6931471805598903  # 42 bits, so that k * ln2_high is exact
    cdef double ln2_low = 5.497923018708371e-14  # ln 2 - ln2_high
    cdef double k, high, low, r, r_low, square, tail, one_plus, up, down
    cdef int64_t half
    cdef Sum result
    if x != x:
        return exactly(x)
    if x > 800.0:
        return exactly(INFINITY)
    if x < -800.0:
        return exactly(0.0)
    k = (x * 1.4426950408889634 + shift) - shift
    high = x - k * ln2_high
    low = k * ln2_low
    r = high - low
    r_low = ((high - r) - low) + argument.low
    # exp(r) = 1 + r + r^2/2 + ...: Taylor to degree 13, remainder below 0.35^14/14! = 2^-57.5.
    square = r * r
    tail = square * (0.5 + r * (1 / 6.0 + r * (1 / 24.0 + r * (1 / 120.0 + r * (1 / 720.0
        + r * (1 / 5040.0 + r * (1 / 40320.0 + r * (1 / 362880.0 + r * (1 / 3628800.0
        + r * (1 / 39916800.0 + r * (1 / 479001600.0 + r * (1 / 6227020800.0))))))))))))
    one_plus = 1.0 + r
    tail += (r - (one_plus - 1.0)) + (r_low + r * r_low)
    # Two factors, because 2^k alone may not be a normal number.
    half = <int64_t>k >> 1
    up = power_of_two(half)
    down = power_of_two(<int64_t>k - half)
    result.high = one_plus + tail
    result.low = (tail - (result.high - one_plus)) * up * down
    result.high = result.high * up * down
    return result


cdef double log_(double x) noexcept nogil:
    """ln x for x >= 0, error below 1 ulp; -inf, inf and nan where libm gives them."""
    cdef double ln2_high = 0.6931471805598903, ln2_low = 5.497923018708371e-14  # as in exp_
    cdef double k = 0.0, f, s, z, series, half_square
    cdef uint64_t one = <uint64_t>1023 << 52, fraction = (<uint64_t>1 << 52) - 1
    cdef Bits b, root_half
    root_half.real = 0.7071067811865476
    if not x > 0.0 or x == INFINITY:
        return -INFINITY if x == 0.0 else x if x == INFINITY else NAN
    if x < 2.2250738585072014e-308:
        x *= 18014398509481984.0  # 2^54
        k = -54.0
    # x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
    b.real = x
    b.bits += one - root_half.bits
    k += <double>(<int64_t>(b.bits >> 52) - 1023)
    b.bits = (b.bits & fraction) + root_half.bits
    f = b.real - 1.0
    # ln(1 + f) = 2 artanh(s), s = f/(2 + f), |s| < 0.1716: the series to s^25, remainder below 2^-64; the
    # leading terms arranged (as in fdlibm) so that they are exact.
    s = f / (2.0 + f)
    z = s * s
    series = z * (2 / 3.0 + z * (2 / 5.0 + z * (2 / 7.0 + z * (2 / 9.0 + z * (2 / 11.0 + z * (2 / 13.0
        + z * (2 / 15.0 + z * (2 / 17.0 + z * (2 / 19.0 + z * (2 / 21.0 + z * (2 / 23.0
        + z * (2 / 25.0))))))))))))
    half_square = 0.5 * f * f
    return k * ln2_high - ((half_square - (s * (half_square + series) + k * ln2_low)) - f)


cdef double log1p_(double x) noexcept nogil:
    """ln(1 + x) for x > -1, relative error below 2 ulp."""
    cdef double u = 1.0 + x
    if u == INFINITY or u == 1.0:
        return x if u == 1.0 else log_(x)
    return log_(u) + (x - (u - 1.0)) / u


cdef double expm1_(double x) noexcept nogil:
    """e^x − 1 for x >= 0, relative error below 3 ulp."""
    cdef double sum = 1.0
    cdef int n
    if x > 0.5:
        return exp_(x) - 1.0
    for n in range(16, 1, -1):  # Taylor: the first term left out is below 0.5^16/17! of the whole
        sum = 1.0 + x / n * sum
    return x * sum
