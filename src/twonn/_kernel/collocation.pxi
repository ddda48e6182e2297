"""Polynomials on [0, 1] given by their values at Chebyshev points: integral, derivatives, values between.

The points are x_c = (1 − cos(π c/NODES))/2, c = 0 ... NODES. A matrix has one column per point and gives
values at the points 1 ... NODES, the nodes; all are filled once, when the module is imported.
"""

cdef enum:
    POINTS = 25                # NODES + 1
    LENGTHS = 66               # of leaps that relaxation is tabulated for, √2 apart
    UNIT_LENGTH = 22           # the entry of 1

cdef double[POINTS] POINT                # x_c
cdef double[POINTS] WEIGHT               # of barycentric interpolation
cdef double[NODES] BETWEEN_POINT         # midpoints of neighbouring points
cdef double[LENGTHS] LENGTH              # L = 2^((n − UNIT_LENGTH)/2)
# With ℓ_c the polynomial that is 1 at x_c and 0 at the other points:
cdef nodes[POINTS] INTEGRAL              # ∫ ℓ_c from 0 to x_r
cdef nodes[3][POINTS] DERIVATIVE         # ℓ_c', ℓ_c'', ℓ_c''' at x_r
cdef double[3][POINTS] DERIVATIVE_AT_0   # and at 0
cdef nodes[POINTS] BETWEEN               # ℓ_c at the midpoints
cdef double[2][POINTS] TAIL              # Chebyshev coefficients NODES − 1 and NODES of ℓ_c
cdef nodes[LENGTHS][POINTS] RELAXATION   # R_L = (1 + L I)^-1 L I, I the integral


cdef void fill_tables() noexcept nogil:
    cdef Sum[2 * NODES] cosine           # cos(π k/NODES)
    cdef double[POINTS] values
    cdef int c, n
    fill_cosines(cosine)
    for c in range(POINTS):
        POINT[c] = 0.5 * total(exactly(1.0), negative(cosine[c])).high
        WEIGHT[c] = (-1.0 if c % 2 else 1.0) * (0.5 if c % NODES == 0 else 1.0)
        TAIL[0][c] = 2.0 / NODES * WEIGHT[c] * cosine[c].high
        TAIL[1][c] = 1.0 / NODES * WEIGHT[c]
    fill_integral(cosine)
    fill_derivatives()
    for n in range(NODES):
        BETWEEN_POINT[n] = 0.5 * (POINT[n] + POINT[n + 1])
        interpolation(BETWEEN_POINT[n], values)
        for c in range(POINTS):
            BETWEEN[c].at[n] = values[c]
    for n in range(LENGTHS):
        LENGTH[n] = <double>(<int64_t>1 << (n >> 1)) * (1.4142135623730951 if n & 1 else 1.0)
        LENGTH[n] /= <double>(1 << (UNIT_LENGTH >> 1))
        fill_relaxation(LENGTH[n], RELAXATION[n])


cdef void fill_cosines(Sum* cosine) noexcept nogil:
    """By T_k+1 = 2 T_1 T_k − T_k−1 from cos(π/24) to 107 bits: all to better than 2^-90."""
    cdef Sum twice
    cdef int k
    twice.high = 2 * 0.9914448613738104
    twice.low = 2 * 2.898989874454537e-17
    cosine[0] = exactly(1.0)
    cosine[1] = product(twice, exactly(0.5))
    for k in range(1, NODES):
        cosine[k + 1] = total(product(twice, cosine[k]), negative(cosine[k - 1]))
    for k in range(NODES + 1, 2 * NODES):
        cosine[k] = cosine[2 * NODES - k]


cdef void fill_integral(const Sum* cosine) noexcept nogil:
    """ℓ_c = Σ_n'' 2γ_c/NODES cos(nθ_c) cos(nθ), where '' and γ halve the first and the last, x = (1 − cosθ)/2.

    ∫ cos(nθ) sinθ/2 dθ from 0 to θ_r is (h_n+1 − h_n−1)/4 with h_k = (1 − cos(kθ_r))/k, h_0 = 0.
    """
    cdef Sum sum, term
    cdef int c, n, r
    for c in range(POINTS):
        for r in range(1, POINTS):
            sum = exactly(0.0)
            for n in range(POINTS):
                term = total(versine(cosine, n + 1, r), negative(versine(cosine, n - 1, r)))
                term = product(term, cosine[n * c % (2 * NODES)])
                sum = total(sum, product(term, exactly(0.5 if n % NODES == 0 else 1.0)))
            sum = quotient(sum, exactly(2.0 * NODES if c % NODES else 4.0 * NODES))
            INTEGRAL[c].at[r - 1] = sum.high


cdef Sum versine(const Sum* cosine, int k, int r) noexcept nogil:
    if k == 0:
        return exactly(0.0)
    return quotient(total(exactly(1.0), negative(cosine[abs(k) * r % (2 * NODES)])), exactly(k))


cdef void fill_derivatives() noexcept nogil:
    # They carry factors 1/σ², 1/σ⁴ with σ >= 256: the digits that repeated differentiation costs do not count.
    cdef double[3][POINTS][POINTS] d     # [order − 1][at][column]
    cdef int order, r, c, k
    for r in range(POINTS):
        d[0][r][r] = 0.0
        for c in range(POINTS):
            if c != r:
                d[0][r][c] = WEIGHT[c] / WEIGHT[r] / (POINT[r] - POINT[c])
                d[0][r][r] -= d[0][r][c]
    for order in range(1, 3):
        for r in range(POINTS):
            for c in range(POINTS):
                d[order][r][c] = 0.0
                for k in range(POINTS):
                    d[order][r][c] += d[0][r][k] * d[order - 1][k][c]
    for order in range(3):
        for c in range(POINTS):
            DERIVATIVE_AT_0[order][c] = d[order][0][c]
            for r in range(1, POINTS):
                DERIVATIVE[order][c].at[r - 1] = d[order][r][c]


cdef void interpolation(double x, double* values) noexcept nogil:
    """ℓ_c(x), by the barycentric formula: as exact for f(x) near 0 as for f itself if f(0) = 0."""
    cdef double sum = 0.0
    cdef int c
    for c in range(POINTS):
        if x == POINT[c]:
            for c in range(POINTS):
                values[c] = x == POINT[c]
            return
    for c in range(POINTS):
        values[c] = WEIGHT[c] / (x - POINT[c])
    for c in range(POINTS):
        sum += values[c]
    for c in range(POINTS):
        values[c] /= sum


cdef double interpolated(const double* values, const nodes* f) noexcept nogil:
    """f at the point that `values` were made for, f being 0 at the start."""
    cdef double sum = 0.0
    cdef int c
    for c in range(NODES):
        sum += values[c + 1] * f.at[c]
    return sum


cdef void fill_relaxation(double length, nodes* relaxation) noexcept nogil:
    """Solve (1 + L I) R = L I. Nothing has to be relaxed at the start, so its column is 0."""
    cdef double[NODES * NODES] a
    cdef int[NODES] order
    cdef int c, r
    for c in range(NODES):
        relaxation[0].at[c] = 0.0
        for r in range(NODES):
            relaxation[c + 1].at[r] = length * INTEGRAL[c + 1].at[r]
            a[c * NODES + r] = relaxation[c + 1].at[r] + (r == c)
    factorise(a, NODES, order)
    for c in range(NODES):
        solve_factorised(a, NODES, order, relaxation[c + 1].at)


fill_tables()
