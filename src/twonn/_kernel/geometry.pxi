"""Margins, distances, gap and boundary of networks; the formulas are derived in twonn.geometry.

Each number depends on its own network alone, and on operations that IEEE 754 rounds correctly, in a fixed order.
"""

from libc.math cimport fabs, frexp, ldexp  # exact everywhere

cdef struct Network:           # one of many, with room for what follows from it
    Py_ssize_t d
    const double* w            # w_0, then w_1
    double v[2]
    double z[2][2]             # z_ji
    double* scaled             # room for 2 d numbers: w, where it has to be scaled
    double* gradient           # for d: v_0 w_0 + v_1 w_1
    double* across             # for d: a gradient without its component along x_1 − x_0
    double* spare              # for d

cdef struct Separation:        # what the gap needs to know of the problem
    double label[2]            # y_i, of opposite sign
    double optimal             # optimal margin, half the distance D of the points
    const double* direction    # (x_1 − x_0)/D
    double reach               # √(‖x_i‖² + 1) of the farther point, without biases ‖x_i‖
    bint trained               # output weights have errors, too

cdef struct Gradient:          # of a linear function, by its norms
    double steepness           # ‖g‖
    double tilt                # that of g without its component along x_1 − x_0

cdef enum:
    ROOMS = 5                  # rows of d numbers that a Network has room for

cdef extern from *:
    """
    /* Two such numbers have a finite product, which can be split. */
    #define IN_RANGE 0x1p400
    /* Unit normals whose sum is shorter are antiparallel. Normalising a row and adding two of them errs by about
       2 + log2(d)/2 roundings, so these 16 units leave room for weights rounded elsewhere. */
    #define RANK_TOLERANCE 0x1p-48
    """
    const double IN_RANGE, RANK_TOLERANCE


# --------------------------------------------------------------------------------------------------
# Arithmetic


cdef inline double maximum(double a, double b) noexcept nogil:
    """The larger number, or nan if one is."""
    return a if a >= b or a != a else b


cdef inline double minimum(double a, double b) noexcept nogil:
    return a if a <= b or a != a else b


cdef inline Sum with_product(Sum a, double b, double c) noexcept nogil:
    """a + b c, as a step of algorithm Dot2.

    Ogita, Rump, Oishi (2005), "Accurate sum and dot product", SIAM J. Sci. Comput. 26. The sign of a margin
    decides between distance 0 and a positive one, and close to the maximum margin the terms cancel: plain sums
    would lose both.
    """
    cdef Sum p = two_product(b, c)
    cdef Sum r = two_sum(a.high, p.high)
    r.low = a.low + (r.low + p.low)
    return r


cdef inline double combined(const double* v, double first, double second) noexcept nogil:
    """v_0 t_0 + v_1 t_1 as if in twice the working precision, then rounded."""
    cdef Sum r = with_product(with_product(exactly(0.0), v[0], first), v[1], second)
    return r.high + r.low


cdef double sum_of_products(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    """Σ a b, added up pairwise, in the order in which NumPy does it."""
    cdef double[8] part
    cdef double sum = 0.0
    cdef Py_ssize_t i, half
    cdef int k
    if n > 128:
        half = n // 2 - n // 2 % 8
        return sum_of_products(a, b, half) + sum_of_products(a + half, b + half, n - half)
    i = 0
    if n >= 8:
        for k in range(8):
            part[k] = a[k] * b[k]
        i = 8
        while i + 8 <= n:
            for k in range(8):
                part[k] += a[i + k] * b[i + k]
            i += 8
        sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))
    while i < n:
        sum += a[i] * b[i]
        i += 1
    return sum


cdef double largest(const double* a, Py_ssize_t n) noexcept nogil:
    """The largest absolute value of numbers that are finite, or inf or any of the others."""
    cdef double size = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        if fabs(a[i]) > size:
            size = fabs(a[i])
    return size


cdef double norm(const double* a, Py_ssize_t d, double* spare) noexcept nogil:
    """The Euclidean norm; the squares cannot over- or underflow."""
    cdef double size = largest(a, d)
    cdef Py_ssize_t i
    cdef int exponent
    if 1.0 / IN_RANGE <= size <= IN_RANGE or size == 0.0 or size == INFINITY:
        # As in the other case: a common power of two changes no rounding, and what underflows here is nothing
        # beside the largest square in either.
        return sqrt(sum_of_products(a, a, d))
    frexp(size, &exponent)
    for i in range(d):
        spare[i] = ldexp(a[i], -exponent)
    return ldexp(sqrt(sum_of_products(spare, spare, d)), exponent)


cdef double length(const double* a, Py_ssize_t n) noexcept nogil:
    """The Euclidean norm: of the two doubles next to it the nearer one, unless both are almost equally near.

    The sum of squares is known to n 2^-104 of it, and one step of Newton's method leaves the square of a rounding:
    what is rounded in the end is right to some 2^-100. The last bit of hypot depends on the C library.
    """
    cdef double size = largest(a, n), root
    cdef Sum square = exactly(0.0), again
    cdef Py_ssize_t i
    cdef int exponent
    if size == INFINITY:
        return INFINITY
    for i in range(n):
        if a[i] != a[i]:
            return NAN
    if size == 0.0:
        return 0.0
    frexp(size, &exponent)
    for i in range(n):
        root = ldexp(a[i], -exponent)
        square = total(square, two_product(root, root))
    root = sqrt(square.high)
    again = two_product(root, root)
    root += ((square.high - again.high) - again.low + square.low) / (2.0 * root)
    return ldexp(root, exponent)


# --------------------------------------------------------------------------------------------------
# Networks


cdef void give_room(Network* net, double[:, ::1] room) noexcept nogil:
    net.d = room.shape[1]
    net.scaled = &room[0, 0]
    net.gradient = &room[2, 0]
    net.across = &room[3, 0]
    net.spare = &room[4, 0]


cdef bint take(Network* net, const double* w, const double* v, const double* z) noexcept nogil:
    """Look at a network; return whether all its numbers are finite."""
    cdef double zero = 0.0
    cdef Py_ssize_t a
    cdef int i, j
    net.w = w
    for a in range(2 * net.d):
        zero += 0.0 * w[a]
    for j in range(2):
        net.v[j] = v[j]
        zero += 0.0 * v[j]
        for i in range(2):
            net.z[j][i] = z[2 * j + i]
            zero += 0.0 * net.z[j][i]
    return zero == 0.0


cdef void bring_within_range(Network* net) noexcept nogil:
    """Scale a huge network down, as those of diverging runs, whose products would overflow.

    Neither a common factor of v nor one of w and z moves the sets that f = 0 bounds; a power of two changes no
    rounding.
    """
    cdef double size = maximum(largest(net.w, 2 * net.d), largest(&net.z[0][0], 4))
    cdef Py_ssize_t a
    cdef int i, j, exponent
    if size >= IN_RANGE:
        frexp(size, &exponent)
        for a in range(2 * net.d):
            net.scaled[a] = ldexp(net.w[a], 400 - exponent)
        net.w = net.scaled
        for j in range(2):
            for i in range(2):
                net.z[j][i] = ldexp(net.z[j][i], 400 - exponent)
    size = largest(net.v, 2)
    if size >= IN_RANGE:
        frexp(size, &exponent)
        for j in range(2):
            net.v[j] = ldexp(net.v[j], 400 - exponent)


cdef inline bint serves(const double* label, const Network* net, int j, int i) noexcept nogil:
    return label[i] * net.v[j] > 0.0


cdef inline double output(const Network* net, int i) noexcept nogil:
    """v_0 z_0i + v_1 z_1i."""
    return combined(net.v, net.z[0][i], net.z[1][i])


cdef inline double middle_output(const Network* net) noexcept nogil:
    """v_0 z_0 + v_1 z_1 at the midpoint of the points."""
    cdef Sum r = exactly(0.0)
    cdef int i, j
    for j in range(2):
        for i in range(2):
            r = with_product(r, net.v[j], net.z[j][i])
    return (r.high + r.low) / 2.0


cdef void fill_gradient(const Network* net) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(net.d):
        net.gradient[a] = combined(net.v, net.w[a], net.w[net.d + a])


# --------------------------------------------------------------------------------------------------
# Distances


cdef void fill_distances(const double* label, Network* net, double* out) noexcept nogil:
    cdef double steepness, joint, value
    cdef double[2] own, lengths
    cdef int i, j, servants
    bring_within_range(net)
    fill_gradient(net)
    steepness = norm(net.gradient, net.d, net.spare)
    for j in range(2):
        lengths[j] = norm(net.w + j * net.d, net.d, net.spare)
    for i in range(2):
        servants = 0
        for j in range(2):
            own[j] = 0.0
            if serves(label, net, j, i):
                servants += 1
                own[j] = to_half_space(net.z[j][i], lengths[j])
        if servants == 0:
            out[i] = 0.0
        elif servants == 1:
            joint = to_half_space(label[i] * output(net, i), steepness)
            out[i] = minimum(maximum(own[0], own[1]), joint)
        else:
            out[i] = to_dead_region(net, i, lengths)


cdef inline double to_half_space(double value, double steepness) noexcept nogil:
    """The distance to {L ≤ 0} from a point with L = `value`, for a gradient of this norm."""
    return 0.0 if value <= 0.0 else value / steepness


cdef double to_dead_region(Network* net, int i, const double* lengths) noexcept nogil:
    """The distance of point i to {z_0 ≤ 0} ∩ {z_1 ≤ 0}.

    It is that to the farther half-space if the projection on it lies in the nearer one, else that to the edge.
    With unit normals u_j and signed distances r_j = z_j/‖w_j‖ the latter is
    ‖δ‖² = (r_0 + r_1)²/‖u_0 + u_1‖² + (r_0 − r_1)²/‖u_0 − u_1‖², since u_0 ± u_1 are orthogonal; unlike the
    inverse Gram matrix this does not cancel for nearly parallel rows.
    """
    cdef double[2] signed, legs
    cdef double near, far, together, apart, left, slack = 0.0
    cdef int j
    for j in range(2):
        # Without weights the half-space is everything or nothing.
        signed[j] = net.z[j][i] / lengths[j] if lengths[j] > 0.0 else INFINITY if net.z[j][i] > 0.0 else 0.0
    near, far = minimum(signed[0], signed[1]), maximum(signed[0], signed[1])
    together = norm_of_normals(net, lengths, 1.0)
    apart = norm_of_normals(net, lengths, -1.0)
    # near − far·cos, what the projection on the far one has left, written so as not to cancel when cos is close
    # to 1 or −1.
    if together >= apart:
        left = near - far + far * (apart * apart) / 2.0
    else:
        left = near + far - far * (together * together) / 2.0
    if together <= RANK_TOLERANCE:  # antiparallel
        slack = RANK_TOLERANCE * far
    if far <= 0.0 or left <= slack:
        return far if far > 0.0 else 0.0
    if together <= RANK_TOLERANCE:
        return INFINITY
    legs[0], legs[1] = (near + far) / together, (far - near) / apart
    return length(legs, 2)


cdef double norm_of_normals(Network* net, const double* lengths, double sign) noexcept nogil:
    """‖u_0 ± u_1‖, where u_j = w_j/‖w_j‖, or 0."""
    cdef double first, second
    cdef Py_ssize_t a
    for a in range(net.d):
        first = net.w[a] / lengths[0] if lengths[0] > 0.0 else 0.0
        second = net.w[net.d + a] / lengths[1] if lengths[1] > 0.0 else 0.0
        net.across[a] = first + sign * second
    return norm(net.across, net.d, net.spare)


# --------------------------------------------------------------------------------------------------
# The gap


cdef double gap_of(const Separation* problem, const Network* given) noexcept nogil:
    """The optimal margin less the robust margin, each distance compared before it is rounded."""
    cdef Network net = given[0]
    cdef Gradient gradient
    cdef double[2] own, outputs
    cdef int[2] servants
    cdef double optimal = problem.optimal, middle, joint, gap = 0.0
    cdef int i, j
    bring_within_range(&net)
    for i in range(2):
        own[i], servants[i] = -INFINITY, 0
        outputs[i] = output(&net, i)
    for j in range(2):
        gradient = gradient_of(problem, &net, net.w + j * net.d)
        middle = (net.z[j][0] + net.z[j][1]) / 2.0
        for i in range(2):
            if serves(problem.label, &net, j, i):
                servants[i] += 1
                own[i] = maximum(own[i], shortfall(optimal, gradient, net.z[j][i], net.z[j][1 - i], middle))
    fill_gradient(&net)
    gradient = gradient_of(problem, &net, net.gradient)
    middle = middle_output(&net)
    for i in range(2):
        # Two neurons that serve one point leave the other one unserved: misclassified, distance 0.
        if servants[i] != 1:
            return optimal
        joint = shortfall(optimal, gradient, problem.label[i] * outputs[i], problem.label[i] * outputs[1 - i],
                          problem.label[i] * middle)
        gap = maximum(gap, maximum(own[i], joint))
    # 0 ≤ gap, as f has the wrong sign (or none) for one of the points at their midpoint, and gap ≤ optimal, as
    # distances are ≥ 0: only rounding can leave these bounds.
    return minimum(gap, optimal)


cdef Gradient gradient_of(const Separation* problem, const Network* net, const double* g) noexcept nogil:
    cdef Gradient r
    cdef double along = sum_of_products(g, problem.direction, net.d)
    cdef Py_ssize_t a
    # One pass is enough: rounding leaves about EPS‖g‖ along the direction, but the norm adds that in quadrature,
    # where it is nothing beside the same error across, which no second pass removes.
    for a in range(net.d):
        net.across[a] = g[a] - along * problem.direction[a]
    r.steepness = norm(g, net.d, net.spare)
    r.tilt = norm(net.across, net.d, net.spare)
    return r


cdef double shortfall(double optimal, Gradient gradient, double here, double there, double middle) noexcept nogil:
    """The optimal margin less the distance of a point to {L ≤ 0}, for a linear L; −inf where that is empty.

    L is `here` at the point, `there` at the other one, `middle` at their midpoint. With D = ‖x_0 − x_1‖ and q
    half the difference of L between the two points, D/2 − L/‖g‖ = ([D‖g‖/2 − q] − L(midpoint))/‖g‖. For q > 0
    the bracket cancels as it stands; it equals (D/2)²‖g_⊥‖²/(D‖g‖/2 + q), where g_⊥ is g without its component
    along x_1 − x_0, 0 on the line.
    """
    cdef double across = optimal * gradient.tilt, along = (here - there) / 2.0
    cdef double span = optimal * gradient.steepness, bracket
    if here <= 0.0:
        return optimal
    if not gradient.steepness > 0.0:
        return -INFINITY
    bracket = across * (across / (span + along)) if along > 0.0 else span - along
    return (bracket - middle) / gradient.steepness


cdef double gap_error_of(const Separation* problem, const Network* net, double error) noexcept nogil:
    """How wrong the gap may be, to first order: of the linear function that decides, its error and its gradient's."""
    cdef double gap = gap_of(problem, net), v_error = error if problem.trained else 0.0
    cdef double moved = 0.0, turned = 0.0, worst = 0.0, rounding, size, height
    cdef Gradient gradient
    cdef int j
    for j in range(2):
        height = maximum(fabs(net.z[j][0]), fabs(net.z[j][1]))
        rounding = 2.220446049250313e-16 * height
        gradient = gradient_of(problem, net, net.w + j * net.d)
        size = fabs(net.v[j])
        moved += size * (error * problem.reach + rounding) + height * v_error
        turned += size * error + gradient.steepness * v_error
        if serves(problem.label, net, j, 0) or serves(problem.label, net, j, 1):
            worst = maximum(worst, relative_error(problem.optimal, gap, gradient, error * problem.reach + rounding, error))
    fill_gradient(net)
    gradient = gradient_of(problem, net, net.gradient)
    return maximum(relative_error(problem.optimal, gap, gradient, moved, turned), worst)


cdef inline double relative_error(double optimal, double gap, Gradient gradient, double value_error,
                                  double gradient_error) noexcept nogil:
    cdef double tilt = gradient.tilt / gradient.steepness
    return (value_error + (gap + optimal * tilt) * gradient_error) / gradient.steepness


# --------------------------------------------------------------------------------------------------
# The boundary on the line


cdef inline int sign_of(double a) noexcept nogil:
    return (a > 0.0) - (a < 0.0)


cdef double boundary_of(double low, double high, Network* net) noexcept nogil:
    """Where f changes sign between the points, or nan; the reasons are in twonn.geometry.boundary."""
    cdef double[2] outputs
    cdef double determinant, position
    cdef Sum r
    cdef int activity
    bring_within_range(net)
    outputs[0], outputs[1] = output(net, 0), output(net, 1)
    if sign_of(net.v[0]) * sign_of(net.v[1]) >= 0 or sign_of(outputs[0]) * sign_of(outputs[1]) >= 0:
        return NAN
    # At the zero of L, z_0 = v_1 det(z)/(L_1 − L_0), and z_1 has the sign of z_0.
    r = with_product(exactly(0.0), net.z[0][0], net.z[1][1])
    r = with_product(r, -net.z[0][1], net.z[1][0])
    activity = sign_of(net.v[1]) * sign_of(r.high + r.low) * sign_of(outputs[1])
    if activity < 0 or (activity == 0 and sign_of(net.w[0]) * sign_of(net.w[1]) >= 0):
        return NAN
    # Relative to the midpoint, so that points far from the origin lose nothing.
    fill_gradient(net)
    position = (low + high) / 2.0 - middle_output(net) / net.gradient[0]
    return minimum(maximum(position, low), high)


# --------------------------------------------------------------------------------------------------
# Arrays of networks


cdef int check_networks(const double[::1] labels, const double[:, :, ::1] w, const double[:, ::1] v,
                        const double[:, :, ::1] z) except -1:
    if not (labels.shape[0] == w.shape[1] == v.shape[1] == z.shape[1] == z.shape[2] == 2
            and w.shape[0] == v.shape[0] == z.shape[0] and w.shape[2] > 0):
        raise ValueError("labels, w, v, z: expected shapes (2,), (n, 2, d), (n, 2), (n, 2, 2)")
    return 0


def values(const double[:, :, ::1] w, const double[:, ::1] b, const double[:, ::1] v, const double[:, ::1] x):
    """Return f(x_i) of networks at points, shape (n, points); near overflow as a plain sum."""
    cdef Py_ssize_t n, i, d = x.shape[1]
    cdef double first, second, plain
    if not (w.shape[1] == b.shape[1] == v.shape[1] == 2 and w.shape[0] == b.shape[0] == v.shape[0]
            and w.shape[2] == d):
        raise ValueError("w, b, v, x: expected shapes (n, 2, d), (n, 2), (n, 2), (points, d)")
    result = np.empty((w.shape[0], x.shape[0]))
    cdef double[:, ::1] out = result
    with nogil:
        for n in range(w.shape[0]):
            for i in range(x.shape[0]):
                first = maximum(lifted_dot(&w[n, 0, 0], b[n, 0], &x[i, 0], d).high, 0.0)
                second = maximum(lifted_dot(&w[n, 1, 0], b[n, 1], &x[i, 0], d).high, 0.0)
                plain = v[n, 0] * first + v[n, 1] * second
                out[n, i] = finite_or(exactly(combined(&v[n, 0], first, second)), plain).high
    return result


def margins(const double[::1] labels, const double[:, ::1] v, const double[:, :, ::1] z):
    """Return m_i = y_i f(x_i) of networks, shape (n, 2); nan where a number is not finite."""
    cdef Network net
    cdef Py_ssize_t n
    cdef int i
    cdef double[2] f
    if not (labels.shape[0] == v.shape[1] == z.shape[1] == z.shape[2] == 2 and v.shape[0] == z.shape[0]):
        raise ValueError("labels, v, z: expected shapes (2,), (n, 2), (n, 2, 2)")
    result = np.empty((v.shape[0], 2))
    cdef double[:, ::1] out = result
    net.d = 0
    with nogil:
        for n in range(v.shape[0]):
            if not take(&net, NULL, &v[n, 0], &z[n, 0, 0]):
                out[n, 0] = out[n, 1] = NAN
                continue
            for i in range(2):
                out[n, i] = labels[i] * combined(net.v, maximum(net.z[0][i], 0.0), maximum(net.z[1][i], 0.0))
    return result


def distances(const double[::1] labels, const double[:, :, ::1] w, const double[:, ::1] v,
              const double[:, :, ::1] z):
    """Return `distances_of` networks, shape (n, 2); nan where a number is not finite."""
    cdef Network net
    cdef Py_ssize_t n
    check_networks(labels, w, v, z)
    result = np.empty((w.shape[0], 2))
    cdef double[:, ::1] out = result, room = np.empty((ROOMS, w.shape[2]))
    with nogil:
        give_room(&net, room)
        for n in range(w.shape[0]):
            if take(&net, &w[n, 0, 0], &v[n, 0], &z[n, 0, 0]):
                fill_distances(&labels[0], &net, &out[n, 0])
            else:
                out[n, 0] = out[n, 1] = NAN
    return result


cdef Separation separation_of(const double[::1] labels, double optimal, const double[::1] direction, double reach,
                              bint trained) noexcept nogil:
    cdef Separation problem
    problem.label[0], problem.label[1] = labels[0], labels[1]
    problem.optimal, problem.direction = optimal, &direction[0]
    problem.reach, problem.trained = reach, trained
    return problem


def gaps(const double[::1] labels, double optimal, const double[::1] direction, const double[:, :, ::1] w,
         const double[:, ::1] v, const double[:, :, ::1] z):
    """Return `gap_of` networks, shape (n,); nan where a number is not finite."""
    cdef Network net
    cdef Separation problem
    cdef Py_ssize_t n
    check_networks(labels, w, v, z)
    if direction.shape[0] != w.shape[2]:
        raise ValueError("direction: expected shape (d,)")
    result = np.empty(w.shape[0])
    cdef double[::1] out = result
    cdef double[:, ::1] room = np.empty((ROOMS, w.shape[2]))
    with nogil:
        problem = separation_of(labels, optimal, direction, 0.0, False)
        give_room(&net, room)
        for n in range(w.shape[0]):
            out[n] = gap_of(&problem, &net) if take(&net, &w[n, 0, 0], &v[n, 0], &z[n, 0, 0]) else NAN
    return result


def gap_errors(const double[::1] labels, double optimal, const double[::1] direction, const double[:, :, ::1] w,
               const double[:, ::1] v, const double[:, :, ::1] z, double reach, bint trained,
               const double[::1] errors):
    """Return `gap_error_of` networks whose parameters have these errors, shape (n,)."""
    cdef Network net
    cdef Separation problem
    cdef Py_ssize_t n
    check_networks(labels, w, v, z)
    if direction.shape[0] != w.shape[2] or errors.shape[0] != w.shape[0]:
        raise ValueError("direction, errors: expected shapes (d,), (n,)")
    result = np.empty(w.shape[0])
    cdef double[::1] out = result
    cdef double[:, ::1] room = np.empty((ROOMS, w.shape[2]))
    with nogil:
        problem = separation_of(labels, optimal, direction, reach, trained)
        give_room(&net, room)
        for n in range(w.shape[0]):
            if take(&net, &w[n, 0, 0], &v[n, 0], &z[n, 0, 0]):
                out[n] = gap_error_of(&problem, &net, errors[n])
            else:
                out[n] = NAN
    return result


def boundaries(double low, double high, const double[:, :, ::1] w, const double[:, ::1] v,
               const double[:, :, ::1] z):
    """Return `boundary_of` networks on the line between these points, shape (n,)."""
    cdef Network net
    cdef Py_ssize_t n
    if w.shape[2] != 1:
        raise ValueError("w: expected shape (n, 2, 1)")
    result = np.empty(w.shape[0])
    cdef double[::1] out = result
    cdef double[:, ::1] room = np.empty((ROOMS, 1))
    if not (w.shape[1] == v.shape[1] == z.shape[1] == z.shape[2] == 2 and w.shape[0] == v.shape[0] == z.shape[0]):
        raise ValueError("w, v, z: expected shapes (n, 2, 1), (n, 2), (n, 2, 2)")
    with nogil:
        give_room(&net, room)
        for n in range(w.shape[0]):
            if take(&net, &w[n, 0, 0], &v[n, 0], &z[n, 0, 0]):
                out[n] = boundary_of(low, high, &net)
            else:
                out[n] = NAN
    return result


def norms(const double[:, ::1] rows):
    """Return the Euclidean norms of rows, shape (n,), correctly rounded unless two doubles are almost equally near."""
    cdef Py_ssize_t n
    result = np.empty(rows.shape[0])
    cdef double[::1] out = result
    if rows.shape[1] == 0:
        raise ValueError("rows: expected shape (n, k) with k > 0")
    with nogil:
        for n in range(rows.shape[0]):
            out[n] = length(&rows[n, 0], rows.shape[1])
    return result
