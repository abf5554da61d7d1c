"""Tails: where each window begins, as a column of positions, -1 for a window that does not exist yet.

A time or count window's tail moves with every trade. An *anchored* window begins at a moment - the session's opening, a
time of day, the last high - and grows from there: its tail is a position that stays.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from engine._tape cimport (
    BLOCK,
    COL_PRICE,
    COL_TS,
    DAY_NS,
    Node,
    Slot,
    Tape,
    bools,
    fixed_column,
    flag_truncated,
    ints,
)

cdef enum:
    WORTH_MERGING = 32  # trades of a block

cdef inline int64_t before(int64_t ts, int64_t limit) noexcept nogil:
    """1 when ``ts < limit``, else 0, by the sign of the difference: no branch. Neither leaves +-2**62."""
    return <int64_t>(<uint64_t>(ts - limit) >> 63)


cdef inline int64_t next_tail(const int64_t* ts, int64_t mask, int64_t tail, int64_t limit) noexcept nogil:
    """The first position from ``tail`` on with ``ts >= limit``, four cells at a time."""
    cdef const int64_t* cell
    cdef int64_t expired = 4
    while expired == 4:
        cell = ts + (tail & mask)
        expired = (before(cell[0], limit) + before(cell[1], limit)) + (before(cell[2], limit) + before(cell[3], limit))
        tail += expired
    return tail


cdef inline int64_t next_two_tails(
    const int64_t* ts, int64_t mask, int64_t tail, int64_t limit, int64_t next_limit, int64_t* first
) noexcept nogil:
    """The tails of two successive trades: writes the first, returns the second.

    How many trades expire on one tick is unpredictable, and a mispredicted branch costs more than a few spare
    comparisons. So the next six cells are compared at once (four for the first tick) and the hits counted; times never
    fall, so the hits come first. Only when all are hits is it done one tick after the other.
    """
    cdef const int64_t* cell = ts + (tail & mask)
    cdef int64_t one, two
    one = (before(cell[0], limit) + before(cell[1], limit)) + (before(cell[2], limit) + before(cell[3], limit))
    two = (
        (before(cell[0], next_limit) + before(cell[1], next_limit))
        + (before(cell[2], next_limit) + before(cell[3], next_limit))
        + (before(cell[4], next_limit) + before(cell[5], next_limit))
    )
    if one < 4 and two < 6:
        first[0] = tail + one
        return tail + two
    first[0] = next_tail(ts, mask, tail, limit)
    return next_tail(ts, mask, first[0], next_limit)


cdef inline int merge_tails(
    const Tape* tape, const int64_t* now, int64_t window, int64_t tail, int64_t* out, int m
) noexcept nogil:
    """A block's tails, by merging its trades with those that leave the window; returns 0 where that does not do.

    Each step passes one trade of either kind, and which one is decided without a branch: trades come in bursts, and so
    they leave. A step waits for the one before, so four stretches of equally many steps are gone through at a time;
    where they begin is found by bisection. Comparisons are of unsigned numbers, whose outcome processors add as it is.
    """
    cdef const uint64_t* cells = <const uint64_t*>tape.ts + (tail & tape.mask)
    cdef int64_t leaving = first_not_before(tape, tail, now[m - 1] - window + 1) - tail
    cdef int64_t steps = (m + leaving) // 4, i, t, a, b, c, d
    cdef int64_t begins[4]
    cdef uint64_t last[BLOCK]  # times that have left each trade's window
    cdef int part
    if (tail & tape.mask) + leaving > tape.mask or now[0] < window:
        return 0
    for i in range(m):
        last[i] = <uint64_t>(now[i] - window)
    for part in range(4):
        begins[part] = trades_merged(last, m, cells, leaving, steps * part)
    a, b, c, d = 0, begins[1], begins[2], begins[3]
    for i in range(steps):
        t = i - a
        out[a] = tail + t
        a += last[a] < cells[t]
        t = steps + i - b
        out[b] = tail + t
        b += last[b] < cells[t]
        t = 2 * steps + i - c
        out[c] = tail + t
        c += last[c] < cells[t]
        t = 3 * steps + i - d
        out[d] = tail + t
        d += last[d] < cells[t]
    for i in range(4 * steps, m + leaving):
        t = i - d
        out[d] = tail + t
        d += last[d] < cells[t]
    for part in range(1, 4):  # the stretch before has ended with a guess at the trade that this one began with
        t = steps * part - begins[part]
        while last[begins[part]] >= cells[t]:
            t += 1
        out[begins[part]] = tail + t
    return 1


cdef inline int64_t first_not_before(const Tape* tape, int64_t position, int64_t limit) noexcept nogil:
    """The first position from ``position`` on with ``ts >= limit``, of which there is one, by bisection."""
    cdef int64_t left = tape.head - position, half
    while left > 0:
        half = left >> 1
        if tape.ts[(position + half) & tape.mask] < limit:
            position += half + 1
            left -= half + 1
        else:
            left = half
    return position


cdef inline int64_t trades_merged(
    const uint64_t* last, int m, const uint64_t* cells, int64_t leaving, int64_t steps
) noexcept nogil:
    """How many of the first ``steps`` of ``merge_tails`` have passed a trade of the block, by bisection."""
    cdef int64_t low = steps - leaving if steps > leaving else 0, high = steps if steps < m else m, middle
    while low < high:
        middle = (low + high) >> 1
        if last[middle] < cells[steps - 1 - middle]:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int64_t first_tail(const Tape* tape, const Slot* slot) noexcept nogil:
    """Where a tail stood before this block: never before the windows restarted."""
    return slot.i[0] if slot.i[0] > tape.base else tape.base


cdef inline void tail_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Write each trade's window tail: the first position with ``ts > now - window``.

    A window that would hold more than ``max_window`` trades is cut short, and its trade flagged.
    """
    cdef const int64_t* now = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m, tail = first_tail(tape, slot), window = node.k
    cdef int k = 0
    if tape.head - tape.oldest < tape.max_window:  # no window can be too long in this block
        if m >= WORTH_MERGING and merge_tails(tape, now, window, tail, out, m):
            slot.i[0] = out[m - 1]
            return
        while k + 1 < m:
            tail = next_two_tails(tape.ts, tape.mask, tail, now[k] - window + 1, now[k + 1] - window + 1, &out[k])
            out[k + 1] = tail
            k += 2
    while k < m:
        tail = next_tail(tape.ts, tape.mask, tail, now[k] - window + 1)
        if position + k - tail >= tape.max_window:
            tail = position + k + 1 - tape.max_window
            flag_truncated(tape, node.source, k, m)
        out[k] = tail
        k += 1
    slot.i[0] = tail


cdef inline void tail_count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The window of the last ``k`` records, fewer at the beginning."""
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m, tail
    cdef int k
    for k in range(m):
        tail = position + k + 1 - node.k
        out[k] = tail if tail > tape.base else tape.base
    slot.i[0] = out[m - 1]


cdef inline void warm_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether a window of ``k`` nanoseconds has been seen in full: they have passed since the first trade."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int64_t from_ts = tape.first_ts + node.k
    cdef int k
    if ts[0] >= from_ts:  # and so does whatever comes later
        memset(out, 1, m)
        return
    for k in range(m):
        out[k] = ts[k] >= from_ts


cdef inline void warm_count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether a window of ``k`` trades has been seen in full."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef int64_t seen = tape.head - m - tape.base
    cdef int k
    for k in range(m):
        out[k] = seen + k + 1 >= node.k


# ---------------------------------------------------------------- tails that stay: anchors

cdef inline void anchor_session(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Since the session's first trade. Sessions begin between blocks only."""
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    if slot.i[0] != tape.sessions + 1:
        slot.i[0] = tape.sessions + 1
        slot.i[1] = tape.head - m
    for k in range(m):
        out[k] = slot.i[1]


cdef inline void anchor_week(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Since the first trade in a session of the trading day's week."""
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    if tape.in_session and (slot.i[0] == 0 or slot.i[2] != tape.week):
        slot.i[0] = 1
        slot.i[1] = tape.head - m
        slot.i[2] = tape.week
    for k in range(m):
        out[k] = slot.i[1] if slot.i[0] else -1


cdef inline void anchor_at(Tape* tape, Slot* slot, int64_t instant, int64_t* out, int m) noexcept nogil:
    """Since the first trade at or after ``instant``; ``slot.i[1]`` is the tail plus one, 0 while there is none."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if slot.i[1] == 0 and ts[k] >= instant:
            slot.i[1] = position + k + 1
        out[k] = slot.i[1] - 1


cdef inline void anchor_time_of_day(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Since the first trade of the session at or after ``k`` nanoseconds past midnight where the exchange is.

    A session that begins the evening before meets an evening's time of day on that evening.
    """
    cdef int64_t instant = tape.midnight_ns + node.k
    if slot.i[0] != tape.sessions + 1:
        slot.i[0] = tape.sessions + 1
        slot.i[1] = 0
    if instant >= tape.close_ns and instant - DAY_NS >= tape.open_ns:
        instant -= DAY_NS
    anchor_at(tape, slot, instant, ints(tape, node.out), m)


cdef inline void anchor_instant(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Since the first trade at or after the time ``k``."""
    anchor_at(tape, slot, node.k, ints(tape, node.out), m)


cdef inline void anchor_extreme(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Since the last trade at the session's high (``k`` 1) or low (-1)."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    if slot.i[0] != tape.sessions + 1:
        slot.i[0] = tape.sessions + 1
        slot.i[1] = -INT64_MAX
    for k in range(m):
        if node.k * price[k] >= slot.i[1]:
            slot.i[1] = node.k * price[k]
            slot.i[2] = position + k
        out[k] = slot.i[2]


cdef inline void opening_phase(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether the trade falls within ``k`` nanoseconds of the session's opening."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = ts[k] - tape.open_ns < node.k
