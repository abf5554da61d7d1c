"""Series: what is computed from a value's own past, record by record, on any clock.

A record is a trade on the clock of trades and a closed bar on the clock of a bar series. Values are doubles, NaN while
undefined. Averages that forget slowly keep one number; functions over the last ``n`` records keep them on the ring and
are computed afresh or by two stacks, so that nothing is ever subtracted and no rounding error is carried along. Those
of whole numbers are not here: the compiler makes them of exact window sums.
"""

from libc.math cimport NAN, exp2, fabs, sqrt
from libc.stdint cimport int64_t, uint8_t

from engine._tape cimport COL_TS, FOREVER, Node, Slot, Tape, bools, fixed_column, floats, ints


# ---------------------------------------------------------------- the past itself

cdef inline void position(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The record's number on its tape, from 0."""
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t first = tape.head - m
    cdef int k
    for k in range(m):
        out[k] = first + k


cdef inline void previous_int(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The integer ``k`` records ago; 0 before there is one."""
    cdef const int64_t* a = ints(tape, node.a)
    cdef int64_t* past = <int64_t*>slot.memory
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t mask = node.memory / 8 - 1, seen = slot.i[0]
    cdef int k
    for k in range(m):
        past[seen & mask] = a[k]
        out[k] = past[(seen - node.k) & mask] if seen >= node.k else 0
        seen += 1
    slot.i[0] = seen


cdef inline void previous_float(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The value ``k`` records ago; NaN before there is one."""
    cdef const double* a = floats(tape, node.a)
    cdef double* past = <double*>slot.memory
    cdef double* out = floats(tape, node.out)
    cdef int64_t mask = node.memory / 8 - 1, seen = slot.i[0]
    cdef int k
    for k in range(m):
        past[seen & mask] = a[k]
        out[k] = past[(seen - node.k) & mask] if seen >= node.k else NAN
        seen += 1
    slot.i[0] = seen


cdef inline void previous_bool(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether the condition held ``k`` records ago."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef int64_t* past = <int64_t*>slot.memory
    cdef uint8_t* out = bools(tape, node.out)
    cdef int64_t mask = node.memory / 8 - 1, seen = slot.i[0]
    cdef int k
    for k in range(m):
        past[seen & mask] = a[k]
        out[k] = seen >= node.k and past[(seen - node.k) & mask] != 0
        seen += 1
    slot.i[0] = seen


cdef inline void latest(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The value b at the last record on which the condition a held, or at the ``k``-th such record before it."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* past = <double*>slot.memory
    cdef double* out = floats(tape, node.out)
    cdef int64_t mask = node.memory / 8 - 1
    cdef int k
    for k in range(m):
        if a[k]:
            past[slot.i[0] & mask] = b[k]
            slot.i[0] += 1
        out[k] = past[(slot.i[0] - 1 - node.k) & mask] if slot.i[0] > node.k else NAN


# ---------------------------------------------------------------- for how long, how long ago

cdef inline void run_length(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Records in a row, up to now, on which the condition held."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t run = slot.i[0]
    cdef int k
    for k in range(m):
        run = run + 1 if a[k] else 0
        out[k] = run
    slot.i[0] = run


cdef inline void unbroken(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether the condition has held on the last ``k`` records, the present one included."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int64_t run = slot.i[0]
    cdef int k
    for k in range(m):
        run = run + 1 if a[k] else 0
        out[k] = run >= node.k
    slot.i[0] = run


cdef inline void run_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds since the first trade of the present run of the condition; -1 while it does not hold."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        if not a[k]:
            slot.i[0] = 0
        elif slot.i[0] == 0:
            slot.i[0] = ts[k] + 1
        out[k] = ts[k] - (slot.i[0] - 1) if a[k] else -1


cdef inline void since_count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Records since the condition last held: 0 while it does, forever before it ever has."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t since = slot.i[1] if slot.i[0] else FOREVER
    cdef int k
    for k in range(m):
        if a[k]:
            since = 0
        elif since != FOREVER:
            since += 1
        out[k] = since
    slot.i[0] = since != FOREVER
    slot.i[1] = since


cdef inline void since_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds since the last trade on which the condition held: 0 while it does, forever before it ever has."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        if a[k]:
            slot.i[0] = ts[k] + 1
        out[k] = ts[k] - (slot.i[0] - 1) if slot.i[0] else FOREVER


# ---------------------------------------------------------------- averages that forget slowly

cdef inline double averaged(
    double value, double average, int64_t* seen, double* total, int64_t length, double alpha
) noexcept nogil:
    """The average after one more value."""
    if value != value:
        return average
    if seen[0] >= length:
        return average + alpha * (value - average)
    total[0] += value
    seen[0] += 1
    return total[0] / <double>seen[0]


cdef inline void ema(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Exponential average that moves by ``x`` of the distance, seeded with the mean of the first ``k`` values."""
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef double average = slot.x[0]
    cdef int64_t seen = slot.i[0]
    cdef int k
    for k in range(m):
        average = averaged(a[k], average, &seen, &slot.x[1], node.k, node.x)
        out[k] = average if seen >= node.k else NAN
    slot.x[0] = average
    slot.i[0] = seen


cdef inline void two_averages(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """This node's ``ema`` and that of the node ``c`` places from it: each waits for its own last value alone."""
    cdef const Node* other = node + node.c
    cdef Slot* others = slot + node.c
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, other.a)
    cdef double* out_a = floats(tape, node.out)
    cdef double* out_b = floats(tape, other.out)
    cdef double average_a = slot.x[0], average_b = others.x[0], alpha_a = node.x, alpha_b = other.x
    cdef int64_t seen_a = slot.i[0], seen_b = others.i[0], length_a = node.k, length_b = other.k
    cdef int k
    for k in range(m):
        average_a = averaged(a[k], average_a, &seen_a, &slot.x[1], length_a, alpha_a)
        average_b = averaged(b[k], average_b, &seen_b, &others.x[1], length_b, alpha_b)
        out_a[k] = average_a if seen_a >= length_a else NAN
        out_b[k] = average_b if seen_b >= length_b else NAN
    slot.x[0] = average_a
    others.x[0] = average_b
    slot.i[0] = seen_a
    others.i[0] = seen_b


cdef inline void ema_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Exponential average whose memory halves every ``x`` nanoseconds; begins at the first value."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef double* out = floats(tape, node.out)
    cdef double average = slot.x[0]
    cdef int k
    for k in range(m):
        if a[k] == a[k]:
            if slot.i[0] == 0:
                average = a[k]
            else:
                average = a[k] + (average - a[k]) * exp2(<double>(slot.i[1] - ts[k]) / node.x)
            slot.i[0] = 1
            slot.i[1] = ts[k]
        out[k] = average if slot.i[0] else NAN
    slot.x[0] = average


cdef inline void cumulative(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Sum of all values so far."""
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        if a[k] == a[k]:
            slot.x[0] += a[k]
            slot.i[0] = 1
        out[k] = slot.x[0] if slot.i[0] else NAN


# ---------------------------------------------------------------- over the last n records: a value, b tail, k fewest

cdef inline void roll_sum(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Sum from the ``x``-th record of the window on, by two stacks; NaN for fewer than ``k`` records or a NaN in it."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* tails = ints(tape, node.b)
    cdef double* values = <double*>slot.ring[0]
    cdef double* front = <double*>slot.ring[1]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, mid = slot.i[0], skip = <int64_t>node.x, tail, pos
    cdef double back = slot.x[0], running
    cdef int k
    for k in range(m):
        values[(position + k) & mask] = a[k]
        tail = tails[k] + skip
        if tail > position + k:
            running = 0
        elif tail >= mid:
            running = 0
            pos = position + k
            while pos >= tail:
                running += values[pos & mask]
                front[pos & mask] = running
                pos -= 1
            mid = position + k + 1
            back = 0
        else:
            back += a[k]
            running = front[tail & mask] + back
        out[k] = running if position + k + 1 - tails[k] >= node.k else NAN
    slot.i[0] = mid
    slot.x[0] = back


cdef inline double larger(double a, double b) noexcept nogil:
    """The larger of two; NaN when either is."""
    return a if a >= b else b if b >= a else NAN


cdef inline void roll_extreme(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Highest (``x`` 1) or lowest (-1) value of the window, by two stacks."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* tail = ints(tape, node.b)
    cdef double* values = <double*>slot.ring[0]
    cdef double* front = <double*>slot.ring[1]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, mid = slot.i[0], pos
    cdef double back = slot.x[0], best, sign = node.x
    cdef int k
    for k in range(m):
        values[(position + k) & mask] = sign * a[k]
        if tail[k] >= mid:
            best = sign * a[k]
            pos = position + k
            while pos >= tail[k]:
                best = larger(best, values[pos & mask])
                front[pos & mask] = best
                pos -= 1
            mid = position + k + 1
        else:
            back = sign * a[k] if mid == position + k else larger(back, sign * a[k])
            best = larger(front[tail[k] & mask], back)
        out[k] = sign * best if position + k + 1 - tail[k] >= node.k else NAN
    slot.i[0] = mid
    slot.x[0] = back


cdef inline double mean_of(const double* values, int64_t mask, int64_t tail, int64_t head) noexcept nogil:
    """Mean of the cells [tail, head), improved by the mean of what is left over."""
    cdef double total = 0, middle
    cdef int64_t pos
    for pos in range(tail, head):
        total += values[pos & mask]
    middle = total / <double>(head - tail)
    total = 0
    for pos in range(tail, head):
        total += values[pos & mask] - middle
    return middle + total / <double>(head - tail)


cdef inline double squares_about(
    const double* values, int64_t mask, int64_t tail, int64_t head, double mean
) noexcept nogil:
    cdef double total = 0, d
    cdef int64_t pos
    for pos in range(tail, head):
        d = values[pos & mask] - mean
        total += d * d
    return total


cdef inline void roll_stdev(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Population standard deviation of the window, afresh about its mean."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* tail = ints(tape, node.b)
    cdef double* values = <double*>slot.ring[0]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, head
    cdef int k
    for k in range(m):
        head = position + k + 1
        values[(head - 1) & mask] = a[k]
        out[k] = NAN
        if head - tail[k] >= node.k:
            out[k] = squares_about(values, mask, tail[k], head, mean_of(values, mask, tail[k], head))
            out[k] = sqrt(out[k] / <double>(head - tail[k]))


cdef inline void roll_mad(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Mean absolute deviation from the window's mean."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* tail = ints(tape, node.b)
    cdef double* values = <double*>slot.ring[0]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, head, pos
    cdef double mean, total
    cdef int k
    for k in range(m):
        head = position + k + 1
        values[(head - 1) & mask] = a[k]
        out[k] = NAN
        if head - tail[k] >= node.k:
            mean = mean_of(values, mask, tail[k], head)
            total = 0
            for pos in range(tail[k], head):
                total += fabs(values[pos & mask] - mean)
            out[k] = total / <double>(head - tail[k])


cdef inline void roll_slope(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Slope per record of the least-squares line through the window."""
    cdef const double* a = floats(tape, node.a)
    cdef const int64_t* tail = ints(tape, node.b)
    cdef double* values = <double*>slot.ring[0]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, head, pos
    cdef double mean, n, centre, top
    cdef int k
    for k in range(m):
        head = position + k + 1
        values[(head - 1) & mask] = a[k]
        out[k] = NAN
        if head - tail[k] >= node.k and head - tail[k] > 1:
            n = <double>(head - tail[k])
            centre = (n - 1) / 2
            mean = mean_of(values, mask, tail[k], head)
            top = 0
            for pos in range(tail[k], head):
                top += (<double>(pos - tail[k]) - centre) * (values[pos & mask] - mean)
            out[k] = top / (n * (n * n - 1) / 12)


cdef inline void roll_beta(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Slope of the least-squares line of a on b, with an intercept, over the window (c); NaN where b is constant."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef const int64_t* tail = ints(tape, node.c)
    cdef double* ys = <double*>slot.ring[0]
    cdef double* xs = <double*>slot.ring[1]
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask, head, pos
    cdef double mean_x, mean_y, top, bottom
    cdef int k
    for k in range(m):
        head = position + k + 1
        ys[(head - 1) & mask] = a[k]
        xs[(head - 1) & mask] = b[k]
        out[k] = NAN
        if head - tail[k] >= node.k:
            mean_x = mean_of(xs, mask, tail[k], head)
            mean_y = mean_of(ys, mask, tail[k], head)
            bottom = squares_about(xs, mask, tail[k], head, mean_x)
            top = 0
            for pos in range(tail[k], head):
                top += (xs[pos & mask] - mean_x) * (ys[pos & mask] - mean_y)
            out[k] = top / bottom if bottom > 0 else NAN
