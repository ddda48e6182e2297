"""Kinks inside a leap: where a unit, or an output weight, loses the sign that it had at the start.

A guard is what must keep its sign: z_ji at 2j + i, and with trained output v_j at 4 + j.
"""

cdef enum:
    GUARDS = 6


cdef inline int neuron_of(int guard) noexcept nogil:
    return guard - 4 if guard >= 4 else guard >> 1


cdef inline double gram_of_guard(const Leap* leap, int guard, int k) noexcept nogil:
    """What push k moves z_ji by, per unit of v_j."""
    if leap.balanced and guard & 1 and k == 0:
        return leap.model.gram[0][1]
    return leap.gram[neuron_of(guard)][guard & 1][k]


cdef inline double guard_at_start(const Leap* leap, int guard) noexcept nogil:
    if guard >= 4:
        return leap.v[guard - 4]
    if leap.balanced and guard & 1:
        return leap.z[guard >> 1][1] + leap.ratio.high * leap.z[guard >> 1][0]
    return leap.z[guard >> 1][guard & 1]


cdef bint is_guarded(const Leap* leap, int guard) noexcept nogil:
    """Whether a guard moves at all."""
    cdef int j = neuron_of(guard), k
    for k in range(2):
        if is_active(leap.pattern, j, k) and leap.seen[k]:
            if guard >= 4:
                return leap.model.trained
            if gram_of_guard(leap, guard, k) != 0.0 and (leap.model.trained or leap.v[j] != 0.0):
                return True
    return False


cdef inline double push_on(const Leap* leap, int guard, int k, double p, double v, double z) noexcept nogil:
    """What point k, seen by the guard's neuron j, adds to the speed of the guard, where P_k = p, v_j = v, z_jk = z."""
    return leap.model.label[k] * p * (z if guard >= 4 else v * gram_of_guard(leap, guard, k))


cdef bint attracts(const Leap* leap, int guard) noexcept nogil:
    """Whether a unit is turned back behind its kink: switched, it moves the other way.

    Where the points are opposed both units of a neuron switch at once, and either point pushes alike.
    """
    cdef int j = neuron_of(guard), i = guard & 1, k = 1 - i
    cdef double own, other = 0.0
    if guard >= 4 or leap.balanced:
        return False
    if leap.model.opposed:
        return leap.model.label[0] == leap.model.label[1] and leap.model.label[0] * leap.v[j] < 0.0
    own = leap.model.label[i] * leap.v[j] * leap.model.gram[i][i] * push_at_start(leap, i)
    if is_active(leap.pattern, j, k):
        other = leap.model.label[k] * leap.v[j] * gram_of_guard(leap, guard, k) * push_at_start(leap, k)
    if is_active(leap.pattern, j, i):
        return own + other < 0.0 < other
    return other > 0.0 > own + other


# --------------------------------------------------------------------------------------------------
# At the start

cdef double kink_speed(const Leap* leap, int guard) noexcept nogil:
    """A bound on how fast a guard moves in the first FEWEST_STEPS, in τ.

    The pushes of the points may balance; they do for as long as no push changes by much.
    """
    cdef double[2] push
    cdef double size
    cdef int j = neuron_of(guard), k
    for k in range(2):
        push[k] = 0.0
        if is_active(leap.pattern, j, k):
            push[k] = push_on(leap, guard, k, leap.scaled_push[k], leap.v[j], leap.z[j][k])
    size = abs(push[0]) + abs(push[1])
    return min(size, abs(push[0] + push[1]) + 4.0 * FEWEST_STEPS * leap.max_relative_step * size)


cdef bint clear_of_kinks(const Leap* leap) noexcept nogil:
    """Whether every guard that moves is farther from 0 than it gets in FEWEST_STEPS."""
    cdef double speed
    cdef int guard
    for guard in range(GUARDS if leap.model.trained else 4):
        speed = kink_speed(leap, guard)
        if speed != 0.0 and not abs(guard_at_start(leap, guard)) > FEWEST_STEPS * leap.inverse * speed:
            return False
    return True


# --------------------------------------------------------------------------------------------------
# In the course of it

cdef struct Crossing:          # the first in a leap; all in τ since its start
    double low                 # up to here the pattern holds for sure
    double at                  # where the guard is 0; NaN if it is only doubtful that it stays clear of 0
    double high                # from here on its sign has changed for sure; inf if not within the leap


cdef void parts_of(const Leap* leap, int guard, const double* sums, double* parts) noexcept nogil:
    """The two changes of a guard, one per point; each is monotonic while the guards keep their signs."""
    cdef const Model* model = leap.model
    cdef int j = guard >> 1, k
    for k in range(2):
        if guard >= 4:
            parts[k] = model.label[k] * sums[4 + 2 * (guard - 4) + k]
        elif model.trained:
            parts[k] = model.label[k] * gram_of_guard(leap, guard, k) * sums[2 * j + k]
        else:
            parts[k] = model.label[k] * gram_of_guard(leap, guard, k)
            parts[k] *= leap.v[j] * sums[k] if is_active(leap.pattern, j, k) else 0.0


cdef void parts_at(Leap* leap, int guard, double passed, double* parts) noexcept nogil:
    cdef Sum[SUMS] sums
    cdef double[SUMS] plain
    cdef int n
    leap.searches += 1
    sums_at(leap, passed, sums)
    for n in range(SUMS):
        plain[n] = sums[n].high
    parts_of(leap, guard, plain, parts)


cdef double speed_at(const Leap* leap, int guard, double passed, double* size) noexcept nogil:
    """d/dτ of a guard, and the size of what it is the difference of."""
    cdef double[POINTS] values
    cdef double push, sum = 0.0
    cdef int j = neuron_of(guard), k
    interpolation(passed / leap.log_length, values)
    size[0] = 0.0
    for k in range(2):
        if not is_active(leap.pattern, j, k):
            continue
        push = push_on(leap, guard, k, values[0] * leap.scaled_push[k] + interpolated(values, &leap.p[k]),
                       values[0] * leap.v[j] + interpolated(values, &leap.vs[j]),
                       values[0] * leap.z[j][k] + interpolated(values, &leap.zs[j][k]))
        sum += push
        size[0] += abs(push)
    return sum


cdef double kink_step(const Leap* leap, int guard) noexcept nogil:
    """What a guard moves by in the step at the end of the leap."""
    cdef double size
    return speed_at(leap, guard, leap.landing, &size) * leap.inverse * exp_(-leap.landing)


cdef double clearance(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    """How far a guard with these parts has to stay from 0: its error at the start, what the leap adds, rounding.

    At most half of where it started: one that starts nearer than its doubt has its sign by decree.
    """
    cdef double start = abs(guard_at_start(leap, guard))
    return min(doubt_of_guard(leap, guard, error, parts), 0.5 * start)


cdef double doubt_of_guard(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    return error + (leap.doubt + 2e-15) * (abs(guard_at_start(leap, guard)) + abs(parts[0]) + abs(parts[1]))


cdef double excess(Leap* leap, int guard, double error, int level, double passed) noexcept nogil:
    """The guard, times its sign at the start, less `level` times how far it has to stay from 0."""
    cdef double start = guard_at_start(leap, guard), value
    cdef double[2] parts
    parts_at(leap, guard, passed, parts)
    value = start + (parts[0] + parts[1])
    value = value if start > 0.0 else -value
    if level > 0:
        value -= min(level * doubt_of_guard(leap, guard, error, parts), 0.5 * abs(start))
    elif level < 0:
        value -= level * doubt_of_guard(leap, guard, error, parts)
    return value


cdef bint holds_between(const Leap* leap, int guard, double error, const double* before,
                        const double* after) noexcept nogil:
    """Whether a guard keeps its sign between two places with these parts of its change."""
    cdef double start = guard_at_start(leap, guard), sign = 1.0 if start > 0.0 else -1.0
    cdef double least = sign * start + (min(sign * before[0], sign * after[0])
                                        + min(sign * before[1], sign * after[1]))
    return least > clearance(leap, guard, error, after)


cdef bint is_clear(const Leap* leap, int guard, double error, const double* parts) noexcept nogil:
    """Whether a guard with these parts of its change has the sign that it had at the start."""
    cdef double start = guard_at_start(leap, guard), value = start + (parts[0] + parts[1])
    return (value if start > 0.0 else -value) > clearance(leap, guard, error, parts)


cdef bint moves_one_way(Leap* leap, int guard, double a, double b) noexcept nogil:
    """Whether a guard is monotonic between neighbouring points a and b though its parts oppose each other.

    Its speed is as well resolved as they are: of one sign at a, b and in the middle, it has no other between.
    """
    cdef double[3] net
    cdef double noise = 0.0, size = 0.0
    cdef int n
    for n in range(3):
        leap.searches += 1
        net[n] = speed_at(leap, guard, a + 0.5 * n * (b - a), &size)
        noise = max(noise, 8e-15 * size)
    return (min(net[0], min(net[1], net[2])) >= -noise or max(net[0], max(net[1], net[2])) <= noise)


cdef double search(Leap* leap, int guard, double error, int level, double low, double high) noexcept nogil:
    """Where `excess` falls to 0, which it does between low and high.

    The last place found before it, by regula falsi in the variant that halves the value at an end that stays.
    """
    cdef double above = excess(leap, guard, error, level, low), middle, value
    cdef double below = excess(leap, guard, error, level, high)
    cdef int n, stayed = 0
    for n in range(100):
        middle = low + (high - low) * (above / (above - below))
        if not low < middle < high or n % 8 == 7:
            middle = 0.5 * (low + high)
        if middle <= low or middle >= high or above == 0.0:
            break
        value = excess(leap, guard, error, level, middle)
        if value > 0.0:
            low, above = middle, value
            if stayed > 0:
                below *= 0.5
            stayed = 1
        else:
            high, below = middle, value
            if stayed < 0:
                above *= 0.5
            stayed = -1
        if high - low <= 4e-16 * high:
            break
    return low


cdef bint locate(Leap* leap, int guard, double error, double a, double b, Crossing* crossing) noexcept nogil:
    """Place the crossing between a and b of a guard that is clear of 0 at a; False if it is not beyond 0 at b."""
    if excess(leap, guard, error, 0, b) >= 0.0 or not excess(leap, guard, error, 1, a) > 0.0:
        return False
    crossing.low = search(leap, guard, error, 1, a, b)
    crossing.at = search(leap, guard, error, 0, a, b)
    crossing.high = INFINITY
    if excess(leap, guard, error, -1, leap.log_length) < 0.0:
        crossing.high = search(leap, guard, error, -1, crossing.at, leap.log_length)
    return True


cdef bint find_crossing(Leap* leap, int guard, double error, Crossing* crossing) noexcept nogil:
    """Find the first place in the leap where a guard, `error` wrong at the start, may not keep its sign.

    Between neighbouring places each part of its change is monotonic, so that their values at both bound the
    guard from below: first between the nodes, then, where that does not decide, between places within.
    """
    cdef double[SUMS] sums
    cdef double[2] before
    cdef double[2] after
    cdef int c, n
    if leap.affine:
        return locate(leap, guard, error, 0.0, leap.log_length, crossing)
    before[0] = before[1] = 0.0
    for c in range(NODES):
        for n in range(count_sums(leap)):
            sums[n] = leap.sum[n].at[c]
        parts_of(leap, guard, sums, after)
        if find_between(leap, guard, error, leap.log_length * POINT[c], before, leap.log_length * POINT[c + 1], after,
                        0.0625 * leap.log_length * (POINT[c + 1] - POINT[c]), crossing):
            return True
        before[0] = after[0]
        before[1] = after[1]
    return False


cdef bint find_between(Leap* leap, int guard, double error, double a, const double* before, double b,
                       const double* after, double width, Crossing* crossing) noexcept nogil:
    """Halve what does not decide, down to `width`; near the start, where a guard may still be small, further."""
    cdef double[2] halfway
    cdef double middle = 0.5 * (a + b)
    if holds_between(leap, guard, error, before, after):
        return False
    if moves_one_way(leap, guard, a, b):
        if is_clear(leap, guard, error, after):
            return False
    elif b - a > min(width, max(0.0625 * a, max(64.0 * leap.inverse, 1e-12))):
        parts_at(leap, guard, middle, halfway)
        return (find_between(leap, guard, error, a, before, middle, halfway, width, crossing)
                or find_between(leap, guard, error, middle, halfway, b, after, width, crossing))
    if not locate(leap, guard, error, a, b, crossing):
        crossing.low = search(leap, guard, error, 1, a, b) if excess(leap, guard, error, 1, b) < 0.0 else a
        crossing.at = NAN
        crossing.high = INFINITY
    return True
