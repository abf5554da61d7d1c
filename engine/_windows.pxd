"""Windows of trades: their tails, and what is exact over them - sums, extremes, first prices, session totals.

A time or count window's tail moves with every trade; its sums are differences of running totals on the ring. An
*anchored* window begins at a moment - the session's opening, a time of day, the last high - and grows from there: its
tail is a position that stays, and its sums are added up from it. Both kinds write their tail as a column, -1 for a
window that does not exist yet.
"""

from libc.math cimport NAN, log1p, sqrt
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from engine._int128 cimport (
    i128,
    i128_add,
    i128_double,
    i128_hi,
    i128_less,
    i128_lo,
    i128_make,
    i128_mul,
    i128_mul64,
    i128_of,
    i128_sub,
)
from engine._tape cimport (
    BLOCK,
    COL_PRICE,
    COL_SIZE,
    COL_TS,
    DAY_NS,
    INT_BYTES,
    WIDE_BYTES,
    Node,
    Slot,
    Tape,
    bools,
    fixed_column,
    flag_truncated,
    floats,
    ints,
    run_product,
    run_sum,
    until_wrap,
    wides,
)
from engine._values cimport polynomial

# ---------------------------------------------------------------- tails


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
    const Tape* tape, const int64_t* now, int64_t window, int64_t tail, int64_t* out
) noexcept nogil:
    """A whole block's tails, by merging its trades with those that leave the window; returns 0 around the ring's end.

    Each step passes one trade of either kind, and which one is decided without a branch: trades come in bursts, and so
    they leave. A step waits for the one before, so four stretches of equally many steps are gone through at a time;
    where they begin is found by bisection.
    """
    cdef const int64_t* cells = tape.ts + (tail & tape.mask)
    cdef int64_t leaving = first_not_before(tape, tail, now[BLOCK - 1] - window + 1) - tail
    cdef int64_t steps = (BLOCK + leaving) // 4, i, t, a, b, c, d
    cdef int64_t begins[4]
    cdef int part
    if (tail & tape.mask) + leaving > tape.mask:
        return 0
    for part in range(4):
        begins[part] = trades_merged(now, window, cells, leaving, steps * part)
    a, b, c, d = 0, begins[1], begins[2], begins[3]
    for i in range(steps):
        t = i - a
        out[a] = tail + t
        a += now[a] - window < cells[t]
        t = steps + i - b
        out[b] = tail + t
        b += now[b] - window < cells[t]
        t = 2 * steps + i - c
        out[c] = tail + t
        c += now[c] - window < cells[t]
        t = 3 * steps + i - d
        out[d] = tail + t
        d += now[d] - window < cells[t]
    for i in range(4 * steps, BLOCK + leaving):
        t = i - d
        out[d] = tail + t
        d += now[d] - window < cells[t]
    for part in range(1, 4):  # the stretch before has ended with a guess at the trade that this one began with
        t = steps * part - begins[part]
        while now[begins[part]] - window >= cells[t]:
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
    const int64_t* now, int64_t window, const int64_t* cells, int64_t leaving, int64_t steps
) noexcept nogil:
    """How many of the first ``steps`` of ``merge_tails`` have passed a trade of the block, by bisection."""
    cdef int64_t low = steps - leaving if steps > leaving else 0, high = steps if steps < BLOCK else BLOCK, middle
    while low < high:
        middle = (low + high) >> 1
        if now[middle] - window < cells[steps - 1 - middle]:
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
        if m == BLOCK and merge_tails(tape, now, window, tail, out):
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


cdef inline void tail_two_times(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """This node's tails and those of the node ``b`` further on: each waits for its own loads, so that two take little
    longer than one."""
    cdef const int64_t* now = fixed_column(tape, COL_TS)
    cdef const int64_t* ts = tape.ts
    cdef int64_t* out_a = ints(tape, node.out)
    cdef int64_t* out_b = ints(tape, node[node.b].out)
    cdef int64_t window_a = node.k, window_b = node[node.b].k, mask = tape.mask
    cdef int64_t tail_a = first_tail(tape, slot), tail_b = first_tail(tape, slot + node.b)
    cdef int k = 0
    if tape.head - tape.oldest >= tape.max_window:  # a window may have to be cut short in this block
        tail_time(tape, slot, node, m)
        tail_time(tape, slot + node.b, node + node.b, m)
        return
    while k + 1 < m:
        tail_a = next_two_tails(ts, mask, tail_a, now[k] - window_a + 1, now[k + 1] - window_a + 1, &out_a[k])
        tail_b = next_two_tails(ts, mask, tail_b, now[k] - window_b + 1, now[k + 1] - window_b + 1, &out_b[k])
        out_a[k + 1] = tail_a
        out_b[k + 1] = tail_b
        k += 2
    if k < m:
        tail_a = next_tail(ts, mask, tail_a, now[k] - window_a + 1)
        tail_b = next_tail(ts, mask, tail_b, now[k] - window_b + 1)
        out_a[k] = tail_a
        out_b[k] = tail_b
    slot.i[0] = tail_a
    slot[node.b].i[0] = tail_b


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


# ---------------------------------------------------------------- anchors: tails that stay

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


# ---------------------------------------------------------------- over a moving window

cdef inline void first_price(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = tape.price
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t mask = tape.mask
    cdef int k
    for k in range(m):
        out[k] = price[tail[k] & mask]


cdef inline void count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    cdef const int64_t* tail = ints(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        out[k] = position + k + 1 - tail[k]


cdef inline void sum_size(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    narrow_sum(tape, ints(tape, node.a), tape.total_size, ints(tape, node.out), m)


cdef inline void sum_price(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    narrow_sum(tape, ints(tape, node.a), tape.total_price, ints(tape, node.out), m)


cdef inline void narrow_sum(
    const Tape* tape, const int64_t* tail, const int64_t* totals, int64_t* out, int m
) noexcept nogil:
    """Differences of running totals: each trade's is that before the trade which follows it."""
    cdef int64_t following = tape.head - m + 1, mask = tape.mask
    cdef int middle = until_wrap(tape, following, m)
    differences(totals + (following & mask), totals, mask, tail, out, middle)
    differences(totals, totals, mask, tail + middle, out + middle, m - middle)


cdef inline void differences(
    const int64_t* ends, const int64_t* totals, int64_t mask, const int64_t* tail, int64_t* out, int n
) noexcept nogil:
    cdef int k
    for k in range(n):
        out[k] = <int64_t>(<uint64_t>ends[k] - <uint64_t>totals[tail[k] & mask])


cdef inline void sum_price_size(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    wide_sum(tape, ints(tape, node.a), tape.total_price_size, wides(tape, node.out), m, 1)


cdef inline void sum_price_squared(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    wide_sum(tape, ints(tape, node.a), tape.total_price_squared, wides(tape, node.out), m, 1)


cdef inline void wide_sum(
    const Tape* tape, const int64_t* tail, const i128* totals, i128* out, int m, int grows
) noexcept nogil:
    """The same of wide ones, which may be known to grow from 0 on."""
    cdef int64_t following = tape.head - m + 1, mask = tape.mask
    cdef int middle = until_wrap(tape, following, m)
    if grows and i128_hi(totals[tape.head & mask]) == 0:  # nor had any before it an upper half
        low_differences(totals + (following & mask), totals, mask, tail, out, middle)
        low_differences(totals, totals, mask, tail + middle, out + middle, m - middle)
        return
    wide_differences(totals + (following & mask), totals, mask, tail, out, middle)
    wide_differences(totals, totals, mask, tail + middle, out + middle, m - middle)


cdef inline void low_differences(
    const i128* ends, const i128* totals, int64_t mask, const int64_t* tail, i128* out, int n
) noexcept nogil:
    cdef int k
    for k in range(n):
        out[k] = i128_make(0, i128_lo(ends[k]) - i128_lo(totals[tail[k] & mask]))


cdef inline void wide_differences(
    const i128* ends, const i128* totals, int64_t mask, const int64_t* tail, i128* out, int n
) noexcept nogil:
    cdef int k
    for k in range(n):
        out[k] = i128_sub(ends[k], totals[tail[k] & mask])


cdef inline void window_sum(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Sum of a polynomial in the columns over the window, where 63 bits hold it: running totals modulo 2**64."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef uint64_t* totals = <uint64_t*>slot.ring[0]
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask
    cdef uint64_t running = <uint64_t>slot.i[0]
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        totals[(position + k) & mask] = running
        running += i128_lo(value[k])
        out[k] = <int64_t>(running - totals[tail[k] & mask])
    slot.i[0] = <int64_t>running


cdef inline void window_sum_wide(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The same where it takes 127 bits."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef i128* totals = <i128*>slot.ring[0]
    cdef i128* out = wides(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask
    cdef i128 running = slot.w[0]
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        totals[(position + k) & mask] = running
        running = i128_add(running, value[k])
        out[k] = i128_sub(running, totals[tail[k] & mask])
    slot.w[0] = running


cdef inline void window_sum_of_column(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``window_sum`` of one column."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef int64_t* totals = <int64_t*>slot.ring[0]
    slot.i[0] = run_sum(tape, totals, slot.i[0], ints(tape, node.terms.offset[0]), m)
    narrow_sum(tape, tail, totals, ints(tape, node.out), m)


cdef inline void window_sum_of_product(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``window_sum_wide`` of the product of two columns."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* x = ints(tape, node.terms.offset[0])
    cdef const int64_t* y = ints(tape, node.terms.offset[1])
    cdef i128* totals = <i128*>slot.ring[0]
    slot.w[0] = run_product(tape, totals, slot.w[0], x, y, m)
    wide_sum(tape, tail, totals, wides(tape, node.out), m, 0)


cdef inline void change_since(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """An integer column now, less what it was before the window's oldest trade."""
    cdef const int64_t* value = ints(tape, node.a)
    cdef const int64_t* tail = ints(tape, node.b)
    cdef int64_t* values = <int64_t*>slot.ring[0]
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m, mask = tape.mask
    cdef int k
    for k in range(m):
        values[(position + k) & mask] = slot.i[0]
        slot.i[0] = value[k]
        out[k] = <int64_t>(<uint64_t>value[k] - <uint64_t>values[tail[k] & mask])


cdef inline void extremes(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Highest and lowest price of each trade's window, by the two-stack sliding aggregate.

    The window is split at a position: behind it stand suffix extremes of the older trades, before it one running
    extreme of the younger ones. Unlike the monotonic deque, whose pops are unpredictable, its only branch is taken once
    per window length.
    """
    cdef const int64_t* tail = ints(tape, node.a)
    cdef int64_t* high = ints(tape, node.out)
    cdef int64_t* low = ints(tape, node.out + INT_BYTES)
    cdef int64_t* front_high = <int64_t*>slot.ring[0]
    cdef int64_t* front_low = <int64_t*>slot.ring[1]
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t mask = tape.mask, position = tape.head - m, pos, highest, lowest, p
    cdef int64_t mid = slot.i[0], back_high = slot.i[1], back_low = slot.i[2]
    cdef int k
    for k in range(m):
        p = price[k]
        if tail[k] >= mid:
            highest = p
            lowest = p
            pos = position + k
            while pos >= tail[k]:
                p = tape.price[pos & mask]
                highest = p if p > highest else highest
                lowest = p if p < lowest else lowest
                front_high[pos & mask] = highest
                front_low[pos & mask] = lowest
                pos -= 1
            mid = position + k + 1
            back_high = INT64_MIN
            back_low = INT64_MAX
        else:
            back_high = p if p > back_high else back_high
            back_low = p if p < back_low else back_low
            highest = front_high[tail[k] & mask]
            lowest = front_low[tail[k] & mask]
            highest = back_high if back_high > highest else highest
            lowest = back_low if back_low < lowest else lowest
        high[k] = highest
        low[k] = lowest
    slot.i[0] = mid
    slot.i[1] = back_high
    slot.i[2] = back_low


cdef inline void age_of_extreme(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds since the window's latest trade at its high (``k`` 1) or low (-1), by the same two stacks.

    They hold positions; where prices are equal the later position wins.
    """
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* front = <int64_t*>slot.ring[0]
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t mask = tape.mask, position = tape.head - m, sign = node.k, pos, best
    cdef int64_t mid = slot.i[0], back = slot.i[1]
    cdef int k
    for k in range(m):
        if tail[k] >= mid:
            best = position + k
            pos = best
            while pos >= tail[k]:
                if sign * tape.price[pos & mask] > sign * tape.price[best & mask]:
                    best = pos
                front[pos & mask] = best
                pos -= 1
            mid = position + k + 1
            back = -1
        else:
            if back < 0 or sign * price[k] >= sign * tape.price[back & mask]:
                back = position + k
            best = front[tail[k] & mask]
            if sign * tape.price[back & mask] >= sign * tape.price[best & mask]:
                best = back
        out[k] = ts[k] - tape.ts[best & mask]
    slot.i[0] = mid
    slot.i[1] = back


# ---------------------------------------------------------------- over an anchored window

cdef inline int grows(
    const Tape* tape, const Node* node, const int64_t* tail, int64_t position, int k
) noexcept nogil:
    """Whether trade ``k`` belongs to the window: it exists, and its gate (column b), where it has one, is open."""
    return tail[k] >= 0 and (node.b < 0 or bools(tape, node.b)[k])


cdef inline void anchored_first(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Price of the window's first trade; 0 before it."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.i[0] = price[k] if grows(tape, node, tail, position, k) else 0
        out[k] = slot.i[0] if tail[k] >= 0 else 0


cdef inline void anchored_last(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """An integer column (c) at the window's last trade: the present one, unless the window is frozen."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* value = ints(tape, node.c)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if grows(tape, node, tail, position, k):
            slot.i[0] = value[k]
        out[k] = slot.i[0]


cdef inline void anchored_change(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """An integer column (c) at the window's last trade, less what it was before the first."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* value = ints(tape, node.c)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.i[0] = slot.i[1]
            slot.i[2] = 0
        if grows(tape, node, tail, position, k):
            slot.i[2] = <int64_t>(<uint64_t>value[k] - <uint64_t>slot.i[0])
        slot.i[1] = value[k]
        out[k] = slot.i[2]


cdef inline void anchored_age(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds from the window's latest trade at its high (``k`` 1) or low (-1) to its last trade."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.i[0] = -INT64_MAX
        if grows(tape, node, tail, position, k):
            if node.k * price[k] >= slot.i[0]:
                slot.i[0] = node.k * price[k]
                slot.i[1] = ts[k]
            slot.i[2] = ts[k] - slot.i[1]
        out[k] = slot.i[2]


cdef inline void anchored_volatility(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Root of the sum of squared log returns between successive trades of the window.

    The sum is kept with its rounding error, so that it is good to the last place after any number of trades.
    """
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef double* out = floats(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef double step, total
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.x[0] = 0
            slot.x[1] = 0
        elif grows(tape, node, tail, position, k):
            step = log1p(<double>(price[k] - slot.i[0]) / <double>slot.i[0])
            step *= step
            total = slot.x[0] + step
            slot.x[1] += slot.x[0] - total + step if slot.x[0] >= step else step - total + slot.x[0]
            slot.x[0] = total
        slot.i[0] = price[k]
        out[k] = sqrt(slot.x[0] + slot.x[1])


cdef inline void anchored_count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Trades in the window. One that reaches 2**k reads 0 from then on, and is flagged."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.i[0] = 0
        slot.i[0] += grows(tape, node, tail, position, k)
        out[k] = slot.i[0] if tail[k] >= 0 else 0
        if slot.i[0] >> node.k:
            out[k] = 0
            flag_truncated(tape, node.source, k, m)


cdef inline void anchored_extremes(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Highest and lowest price in the window; 0 before its first trade."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* high = ints(tape, node.out)
    cdef int64_t* low = ints(tape, node.out + INT_BYTES)
    cdef int64_t position = tape.head - m
    cdef int k
    for k in range(m):
        if tail[k] == position + k:
            slot.i[0] = 0
            slot.i[1] = 0
        if grows(tape, node, tail, position, k):
            slot.i[0] = price[k] if price[k] > slot.i[0] else slot.i[0]
            slot.i[1] = price[k] if price[k] < slot.i[1] or slot.i[1] == 0 else slot.i[1]
        high[k] = slot.i[0] if tail[k] >= 0 else 0
        low[k] = slot.i[1] if tail[k] >= 0 else 0


cdef inline i128 anchored_add(
    Tape* tape, Slot* slot, const Node* node, const int64_t* tail, i128 value, i128 bound, int k, int m
) noexcept nogil:
    """The window's sum at trade ``k``. One that reaches the bound either way reads 0 from then on, and is flagged."""
    cdef int64_t position = tape.head - m
    if tail[k] == position + k:
        slot.w[0] = i128_of(0)
        slot.i[0] = 0
    if grows(tape, node, tail, position, k):
        slot.w[0] = i128_add(slot.w[0], value)
    if not i128_less(slot.w[0], bound) or not i128_less(i128_sub(i128_of(0), bound), slot.w[0]):
        slot.i[0] = 1
    if slot.i[0]:
        slot.w[0] = i128_of(0)
        flag_truncated(tape, node.source, k, m)
    return slot.w[0] if tail[k] >= 0 else i128_of(0)


cdef inline void anchored_sum(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Sum of a polynomial in the columns since the anchor, below 2**k for k < 63."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef i128 bound = i128_of(<int64_t>1 << node.k)
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        out[k] = <int64_t>i128_lo(anchored_add(tape, slot, node, tail, value[k], bound, k, m))


cdef inline void anchored_sum_wide(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The same below 2**k for 64 <= k < 126."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef i128* out = wides(tape, node.out)
    cdef i128 bound = i128_make(<int64_t>1 << (node.k - 64), 0)
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        out[k] = anchored_add(tape, slot, node, tail, value[k], bound, k, m)


cdef inline void deviation(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Price less the tape's first price, so that squares stay small. One of 2**30 or more is flagged and reads 0."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    if slot.i[0] == 0:
        slot.i[0] = price[0]
    for k in range(m):
        out[k] = price[k] - slot.i[0]
        if not -(1 << 30) < out[k] < (1 << 30):
            out[k] = 0
            flag_truncated(tape, node.source, k, m)


cdef inline void deviation_sd(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Volume-weighted deviation from exact sums: of size (a), deviation x size (b) and deviation**2 x size (c)."""
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = volume_weighted_sd(ints(tape, node.a)[k], wides(tape, node.b)[k], wides(tape, node.c)[k])


# ---------------------------------------------------------------- the session's totals

cdef inline int add_overflows(i128 a, i128 b, i128* total) noexcept nogil:
    total[0] = i128_add(a, b)
    return (i128_hi(a) >= 0) == (i128_hi(b) >= 0) and (i128_hi(total[0]) >= 0) != (i128_hi(a) >= 0)


cdef inline void session_totals(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Running totals since the session began.

    Once a total has left its bound the size reads 0, so that VWAP and deviation read NaN, and every trade is flagged.
    """
    cdef const int64_t* prices = fixed_column(tape, COL_PRICE)
    cdef const int64_t* sizes = fixed_column(tape, COL_SIZE)
    cdef int64_t* size = ints(tape, node.out)
    cdef i128* price_size = wides(tape, node.out + INT_BYTES)
    cdef i128* dev = wides(tape, node.out + INT_BYTES + WIDE_BYTES)
    cdef i128* dev_squared = wides(tape, node.out + INT_BYTES + 2 * WIDE_BYTES)
    cdef int64_t d
    cdef i128 weighted
    cdef int k
    for k in range(m):
        if not tape.session_started:
            tape.session_started = 1
            tape.session_reference = prices[k]
        d = prices[k] - tape.session_reference
        if tape.session_size > (<int64_t>1 << 61):
            tape.session_overflow = 1
        else:
            tape.session_size += sizes[k]
            tape.session_price_size = i128_add(tape.session_price_size, i128_mul64(prices[k], sizes[k]))
            weighted = i128_mul64(d, sizes[k])
            tape.session_dev = i128_add(tape.session_dev, weighted)
            # |d| < 2**40 and size < 2**40, so one product stays below 2**120; only the sum can leave 128 bits
            tape.session_overflow |= add_overflows(
                tape.session_dev_squared, i128_mul(weighted, d), &tape.session_dev_squared
            )
        size[k] = tape.session_size
        if tape.session_overflow:
            size[k] = 0
            flag_truncated(tape, node.source, k, m)
        price_size[k] = tape.session_price_size
        dev[k] = tape.session_dev
        dev_squared[k] = tape.session_dev_squared


cdef inline double volume_weighted_sd(int64_t size, i128 dev, i128 dev_squared) noexcept nogil:
    """Population standard deviation of price weighted by size, in ticks, from exact sums about a reference price.

    The sums are moved, exactly, to the whole tick next to the mean; what is then left to doubles cannot cancel.
    """
    cdef int64_t middle
    cdef i128 squared
    cdef double about
    if size <= 0:
        return NAN
    middle = <int64_t>(i128_double(dev) / <double>size)
    # sum((d - middle)**2) = sum(d**2) - middle * (2*sum(d) - middle*size), each d weighted
    squared = i128_sub(dev_squared, i128_mul(i128_sub(i128_add(dev, dev), i128_mul64(middle, size)), middle))
    dev = i128_sub(dev, i128_mul64(middle, size))  # less than 2**63 now
    if i128_double(squared) * <double>size < 8e37:  # below 2**126
        squared = i128_sub(i128_mul(squared, size), i128_mul(dev, <int64_t>i128_lo(dev)))
        return sqrt(i128_double(squared)) / <double>size
    about = i128_double(dev) / <double>size
    return sqrt(i128_double(squared) / <double>size - about * about)


cdef inline void session_sd(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The session's volume-weighted deviation, from the columns of ``session_totals``."""
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = volume_weighted_sd(
            ints(tape, node.a)[k],
            wides(tape, node.a + INT_BYTES + WIDE_BYTES)[k],
            wides(tape, node.a + INT_BYTES + 2 * WIDE_BYTES)[k],
        )
