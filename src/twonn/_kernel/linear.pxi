"""Linear systems of at most 2 NODES unknowns. A matrix lies in memory by columns."""

cdef void factorise(double* a, int size, int* order) noexcept nogil:
    """a = P L U in place, with partial pivoting; order[k] is the row that was swapped with row k."""
    cdef int k, r, c, best
    cdef double factor
    cdef double* pivot
    cdef double* column
    for k in range(size):
        pivot = a + k * size
        best = k
        for r in range(k + 1, size):
            if abs(pivot[r]) > abs(pivot[best]):
                best = r
        order[k] = best
        if best != k:
            for c in range(size):
                factor = a[c * size + k]
                a[c * size + k] = a[c * size + best]
                a[c * size + best] = factor
        factor = 1.0 / pivot[k]
        for r in range(k + 1, size):
            pivot[r] *= factor
        for c in range(k + 1, size):
            column = a + c * size
            factor = column[k]
            for r in range(k + 1, size):
                column[r] -= factor * pivot[r]


cdef void solve_factorised(const double* a, int size, const int* order, double* x) noexcept nogil:
    cdef int k, r
    cdef double value
    for k in range(size):
        value = x[order[k]]
        x[order[k]] = x[k]
        x[k] = value
    for k in range(size):
        value = x[k]
        for r in range(k + 1, size):
            x[r] -= a[k * size + r] * value
    for k in range(size - 1, -1, -1):
        x[k] /= a[k * size + k]
        value = x[k]
        for r in range(k):
            x[r] -= a[k * size + r] * value
