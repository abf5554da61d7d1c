"""Over windows that grow from an anchor, and over the session: sums, extremes and totals, all but volatility exact.

Their tails stay (``engine._tails``), so what is over them is added up from there.
"""

from libc.math cimport NAN, log1p, sqrt
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

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
    wides,
)
from engine._values cimport polynomial

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
