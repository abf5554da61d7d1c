"""Over windows whose tails move with every trade: sums, extremes, first prices, all of them exact.

A sum is the difference of two running totals on the ring, the total now less that before the window's oldest trade.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t

from engine._int128 cimport i128, i128_add, i128_lo, i128_make, i128_sub
from engine._tape cimport (
    BLOCK,
    COL_PRICE,
    COL_TS,
    INT_BYTES,
    Node,
    Slot,
    Tape,
    fixed_column,
    ints,
    run_product,
    run_sum,
    until_wrap,
    wides,
)
from engine._totals cimport Totals, all_differences, one_difference, one_wide_difference
from engine._values cimport polynomial

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


cdef inline void differences_of(
    const Tape* tape, const int64_t* tail, const int64_t* totals, int64_t* out, int m
) noexcept nogil:
    """Differences of running totals: each trade's is that before the trade which follows it."""
    cdef int64_t following = tape.head - m + 1, mask = tape.mask
    cdef int middle = until_wrap(tape, following, m)
    differences_along(totals + (following & mask), totals, mask, tail, out, middle)
    differences_along(totals, totals, mask, tail + middle, out + middle, m - middle)


cdef inline void differences_along(
    const int64_t* ends, const int64_t* totals, int64_t mask, const int64_t* tail, int64_t* out, int n
) noexcept nogil:
    cdef int k
    for k in range(n):
        out[k] = <int64_t>(<uint64_t>ends[k] - <uint64_t>totals[tail[k] & mask])


cdef inline void sum_size(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Size traded: where it is the only sum over the window its totals have a ring of their own."""
    differences_of(tape, ints(tape, node.a), tape.sizes, ints(tape, node.out), m)


cdef inline void sum_price(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    sums(tape, ints(tape, node.a), NULL, ints(tape, node.out), NULL, NULL, m)


cdef inline void sum_price_size(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    sums(tape, ints(tape, node.a), NULL, NULL, wides(tape, node.out), NULL, m)


cdef inline void sum_price_squared(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    sums(tape, ints(tape, node.a), NULL, NULL, NULL, wides(tape, node.out), m)


cdef inline void sums_together(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Several of the four, of one window; ``engine._program`` puts their places where sums have no use for a field."""
    sums(
        tape, ints(tape, node.a),
        ints(tape, node.b) if node.b >= 0 else NULL,
        ints(tape, node.c) if node.c >= 0 else NULL,
        wides(tape, node.k) if node.k >= 0 else NULL,
        wides(tape, node.constant) if node.constant >= 0 else NULL,
        m,
    )


cdef inline void sums(
    const Tape* tape, const int64_t* tail, int64_t* size, int64_t* price, i128* price_size, i128* price_squared, int m
) noexcept nogil:
    """Write those sums over windows that have somewhere to go: the totals after each trade less those at its tail."""
    cdef int64_t after = (tape.head - m + 1) & tape.mask
    cdef int middle = until_wrap(tape, after, m), rest = m - middle
    sums_along(tape, after, tail, size, price, price_size, price_squared, middle)
    if rest > 0:
        sums_along(
            tape, 0, tail + middle,
            size + middle if size != NULL else NULL,
            price + middle if price != NULL else NULL,
            price_size + middle if price_size != NULL else NULL,
            price_squared + middle if price_squared != NULL else NULL,
            rest,
        )


cdef inline void sums_along(
    const Tape* tape, int64_t after, const int64_t* tail, int64_t* size, int64_t* price, i128* price_size,
    i128* price_squared, int n
) noexcept nogil:
    cdef const Totals* totals = tape.totals
    cdef const Totals* ends = totals + after
    cdef int64_t mask = tape.mask
    cdef int wanted = (size != NULL) + (price != NULL) + (price_size != NULL) + (price_squared != NULL)
    if wanted > 1:
        all_differences(ends, totals, mask, tail, size, price, price_size, price_squared, n)
    elif price != NULL:
        one_difference(&ends.price, &totals.price, mask, tail, price, n)
    elif price_size != NULL:
        one_wide_difference(&ends.price_size, &totals.price_size, mask, tail, price_size, n)
    else:
        one_wide_difference(&ends.price_squared, &totals.price_squared, mask, tail, price_squared, n)
    if tape.carried and price_size != NULL:
        wide_sum(tape, after, &totals.price_size, &tape.uppers.price_size, tail, price_size, n)
    if tape.carried and price_squared != NULL:
        wide_sum(tape, after, &totals.price_squared, &tape.uppers.price_squared, tail, price_squared, n)


cdef inline void wide_sum(
    const Tape* tape, int64_t after, const uint64_t* lowers, const int64_t* uppers, const int64_t* tail, i128* out,
    int n
) noexcept nogil:
    """Sums of products of which there are upper halves, too; ``lowers`` and ``uppers`` stand in the first cells."""
    cdef int64_t end, begin
    cdef int k
    for k in range(n):
        end, begin = after + k, tail[k] & tape.mask
        out[k] = i128_sub(i128_make(uppers[2 * end], lowers[4 * end]), i128_make(uppers[2 * begin], lowers[4 * begin]))


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
    differences_of(tape, tail, totals, ints(tape, node.out), m)


cdef inline void wide_differences(
    const Tape* tape, const int64_t* tail, const i128* totals, i128* out, int m
) noexcept nogil:
    """Differences of wide running totals: each record's is that before the one which follows it."""
    cdef int64_t following = tape.head - m + 1, mask = tape.mask
    cdef int k
    for k in range(m):
        out[k] = i128_sub(totals[(following + k) & mask], totals[tail[k] & mask])


cdef inline void window_sum_of_product(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``window_sum_wide`` of the product of two columns."""
    cdef const int64_t* tail = ints(tape, node.a)
    cdef const int64_t* x = ints(tape, node.terms.offset[0])
    cdef const int64_t* y = ints(tape, node.terms.offset[1])
    cdef i128* totals = <i128*>slot.ring[0]
    slot.w[0] = run_product(tape, totals, slot.w[0], x, y, m)
    wide_differences(tape, tail, totals, wides(tape, node.out), m)


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
