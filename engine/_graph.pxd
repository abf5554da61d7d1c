"""The tape of one instrument and the feature graph evaluated over it, a block of trades at a time.

A *tape* is a power-of-two ring of trades that every window of the instrument shares. Window sums need no adding and
removing: the ring holds running totals, and a window's sum is the total now minus the total before its oldest trade,
exact by integer arithmetic. Each window is therefore only a *tail*, the position of its oldest trade.

A *graph* is a list of nodes in evaluation order. Features do not depend on positions, so a node is evaluated for a
whole block of trades before the next node is looked at; the results are columns of at most ``BLOCK`` values.
The scalar path is the same code with a block of one.
"""

from libc.math cimport NAN, sqrt
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from engine._int128 cimport (
    i128,
    i128_add,
    i128_double,
    i128_hi,
    i128_lo,
    i128_make,
    i128_mul,
    i128_mul64,
    i128_of,
    i128_sign,
    i128_sub,
)

cdef enum:
    BLOCK = 512  # trades evaluated together; large enough to amortise dispatch, small enough for the L1 cache
    SENTINELS = 6  # cells beyond the head whose time is "never", so that tails may look six cells ahead
    MAX_FACTORS = 3
    SOURCES = 64  # windows and sessions told apart when one is cut short; those beyond share the last bit

# Columns every tape has; the compiled nodes' columns follow.
cdef enum:
    COL_PRICE
    COL_SIZE
    COL_BID
    COL_ASK
    COL_TS
    COL_TOTAL_SIZE  # size traded up to and including the trade, modulo 2**64
    COL_TRUNCATED  # bits of the sources that are cut short; valid only while the tape's block_truncated is set
    FIXED_COLUMNS

cdef enum:
    INT_BYTES = BLOCK * 8  # one column of int64 or double
    WIDE_BYTES = BLOCK * 16

cdef enum Type:
    TYPE_INT  # int64
    TYPE_WIDE  # i128
    TYPE_FLOAT  # double
    TYPE_BOOL  # uint8

cdef enum Op:
    OP_TAIL_TIME  # k: window in ns
    OP_TAIL_COUNT  # k: window in trades
    OP_FIRST_PRICE  # a: tail
    OP_COUNT  # a: tail
    OP_SUM_SIZE  # a: tail
    OP_SUM_PRICE  # a: tail
    OP_SUM_PRICE_SIZE  # a: tail
    OP_SUM_PRICE_SQUARED  # a: tail
    OP_EXTREMES  # a: tail; writes two columns, highest and lowest
    OP_SESSION  # writes four columns: size, price*size, deviation*size, deviation**2*size
    OP_SESSION_SD  # a: the first column of OP_SESSION
    OP_RATIO  # terms / denominator terms, rounded once
    OP_COMPARE  # terms against zero; k: comparison
    OP_FLOAT_CONST  # x
    OP_FLOAT_ADD
    OP_FLOAT_SUB
    OP_FLOAT_MUL
    OP_FLOAT_DIV
    OP_FLOAT_SQRT  # a
    OP_FLOAT_COMPARE  # a, b; k: comparison
    OP_ALL  # a, b
    OP_ANY  # a, b
    OP_NOT  # a
    OP_STATE  # a: long, b: short (either may be -1): 0 none, 1 long, 2 short

cdef enum Comparison:
    CMP_GE
    CMP_GT
    CMP_LE
    CMP_LT
    CMP_EQ
    CMP_NE

cdef struct Term:
    # coef times the product of up to three columns, of which at most the first is wide
    int64_t coef
    int n_factors
    int first_is_wide
    int64_t offset[MAX_FACTORS]  # of the columns, in bytes

cdef struct Node:
    int op
    int64_t out  # columns, as byte offsets; -1 for none
    int64_t a
    int64_t b
    int64_t k
    double x
    uint64_t source  # the bit of a time window or session: what may be cut short
    int n_terms
    int n_denominator
    int shape  # of the terms: SHAPE_*
    Term* terms  # the denominator's terms follow the numerator's

cdef enum:
    SHAPE_GENERAL
    SHAPE_LINEAR  # every term has one int64 factor; 128-bit sum
    SHAPE_NARROW  # the same, and the sum provably fits in 63 bits

cdef struct Graph:
    Node* nodes
    int n_nodes
    int n_columns
    int* column_type
    int64_t* column_offset  # bytes from the start of a tape's columns
    uint64_t* column_sources  # bits of the sources that a column is computed from
    int n_sources
    int64_t column_bytes
    int* tails  # the nodes that hold a window's tail
    int n_tails
    int needs_sum_price
    int needs_sum_price_size
    int needs_sum_price_squared

cdef struct Slot:
    # what one windowed node remembers about one tape
    int64_t tail
    # extremes by two stacks: [tail, mid) has suffix extremes, [mid, now] a running extreme
    int64_t mid
    int64_t back_high
    int64_t back_low
    int64_t* front_high
    int64_t* front_low

cdef struct Tape:
    Graph* graph
    Slot* slots  # one per node
    char* columns  # of the block that is worked through
    char* columns_before  # of the last block before it that had a trade of this instrument
    int64_t capacity
    int64_t mask
    int64_t head  # trades ever appended = position of the next one
    int64_t base  # position of the first trade since the windows restarted
    int64_t oldest  # the lowest position that a window may still need
    int64_t first_ts
    int64_t* ts
    int64_t* price
    int64_t* total_size  # before the trade
    int64_t* total_price
    i128* total_price_size
    i128* total_price_squared
    int64_t running_size
    int64_t running_price
    i128 running_price_size
    i128 running_price_squared
    # session totals, for VWAP
    int session_started
    int session_overflow
    int64_t session_reference  # the session's first price: deviations are measured from it
    int64_t session_size
    i128 session_price_size
    i128 session_dev
    i128 session_dev_squared
    int64_t max_window  # trades; a time window that would hold more is cut short and its trades are flagged
    uint64_t block_truncated  # bits of all sources cut short in this block
    int64_t truncations  # trades so far at which any source was cut short, each counted once
    int64_t grown  # times the ring was enlarged


cdef inline int64_t* fixed_column(const Tape* tape, int column) noexcept nogil:
    """A fixed column of int64; these come first, so their place is known when compiling."""
    return <int64_t*>tape.columns + column * BLOCK


cdef inline int64_t* ints(const Tape* tape, int64_t offset) noexcept nogil:
    return <int64_t*>(tape.columns + offset)


cdef inline i128* wides(const Tape* tape, int64_t offset) noexcept nogil:
    return <i128*>(tape.columns + offset)


cdef inline double* floats(const Tape* tape, int64_t offset) noexcept nogil:
    return <double*>(tape.columns + offset)


cdef inline uint8_t* bools(const Tape* tape, int64_t offset) noexcept nogil:
    return <uint8_t*>(tape.columns + offset)


# ---------------------------------------------------------------- the ring

cdef inline void** ring_array(Tape* tape, int i, size_t* width) noexcept nogil:
    """Where the tape keeps its ``i``-th array of ring cells, and their ``width`` in bytes; NULL for one it lacks.

    The first six are the tape's own; each node has two more.
    """
    cdef Graph* graph = tape.graph
    cdef Slot* slot
    width[0] = sizeof(i128) if i == 4 or i == 5 else sizeof(int64_t)
    if i == 0:
        return <void**>&tape.ts
    if i == 1:
        return <void**>&tape.price
    if i == 2:
        return <void**>&tape.total_size
    if i == 3:
        return <void**>&tape.total_price if graph.needs_sum_price else NULL
    if i == 4:
        return <void**>&tape.total_price_size if graph.needs_sum_price_size else NULL
    if i == 5:
        return <void**>&tape.total_price_squared if graph.needs_sum_price_squared else NULL
    if graph.nodes[(i - 6) >> 1].op != OP_EXTREMES:
        return NULL
    slot = &tape.slots[(i - 6) >> 1]
    return <void**>&slot.front_high if i & 1 == 0 else <void**>&slot.front_low


cdef inline int resize_tape(Tape* tape, int64_t capacity) noexcept nogil:
    """Give the ring ``capacity`` cells, keeping what windows still need.

    Returns 0, or -1 without memory: the tape is then as it was.
    """
    cdef int arrays = 6 + 2 * tape.graph.n_nodes, i
    cdef char** new = <char**>calloc(arrays, sizeof(char*))
    cdef void** at
    cdef char* old
    cdef size_t width
    cdef int64_t pos
    cdef bint complete = new != NULL
    for i in range(arrays):
        if complete and ring_array(tape, i, &width) != NULL:
            new[i] = <char*>malloc(capacity * width)
            complete = new[i] != NULL
    for i in range(arrays if complete else 0):
        at = ring_array(tape, i, &width)
        if at != NULL:
            old = <char*>at[0]
            at[0] = new[i]
            new[i] = old  # freed below, as are the new arrays when they are not complete
            for pos in range(tape.oldest, tape.head):
                memcpy(<char*>at[0] + (pos & (capacity - 1)) * width, old + (pos & tape.mask) * width, width)
    if new != NULL:
        for i in range(arrays):
            free(new[i])
    free(new)
    if not complete:
        return -1
    tape.capacity = capacity
    tape.mask = capacity - 1
    return 0


cdef inline int make_room(Tape* tape, int64_t trades) noexcept nogil:
    """Make sure that ``trades`` more fit, growing the ring when windows need it. Returns 0, or -1 without memory.

    What windows need is bounded: tails stay within ``max_window`` trades of the head.
    """
    cdef int64_t needed = tape.head - tape.oldest + trades + SENTINELS
    cdef int64_t capacity = tape.capacity
    if needed <= capacity:
        return 0
    while capacity < needed:
        capacity *= 2
    if resize_tape(tape, capacity) != 0:
        return -1
    tape.grown += 1
    return 0


cdef inline void append_trades(Tape* tape, int first, int last) noexcept nogil:
    """Bring trades [first, last) of the block's fixed columns onto the ring, with the running totals before each."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* size = fixed_column(tape, COL_SIZE)
    cdef int64_t* total = fixed_column(tape, COL_TOTAL_SIZE)
    cdef int64_t* ring_ts = tape.ts
    cdef int64_t* ring_price = tape.price
    cdef int64_t* ring_total = tape.total_size
    cdef int64_t mask = tape.mask, position = tape.head - first, cell
    cdef uint64_t running = <uint64_t>tape.running_size
    cdef int k
    if first == last:
        return
    if tape.head == tape.base:
        tape.first_ts = ts[first]
    for k in range(first, last):
        cell = (position + k) & mask
        ring_ts[cell] = ts[k]
        ring_price[cell] = price[k]
        ring_total[cell] = <int64_t>running
        running += <uint64_t>size[k]
        total[k] = <int64_t>running
    tape.running_size = <int64_t>running
    tape.head += last - first
    if tape.total_price != NULL:
        for k in range(first, last):
            tape.total_price[(position + k) & mask] = tape.running_price
            tape.running_price = <int64_t>(<uint64_t>tape.running_price + <uint64_t>price[k])
    if tape.total_price_size != NULL:
        for k in range(first, last):
            tape.total_price_size[(position + k) & mask] = tape.running_price_size
            tape.running_price_size = i128_add(tape.running_price_size, i128_mul64(price[k], size[k]))
    if tape.total_price_squared != NULL:
        for k in range(first, last):
            tape.total_price_squared[(position + k) & mask] = tape.running_price_squared
            tape.running_price_squared = i128_add(tape.running_price_squared, i128_mul64(price[k], price[k]))


cdef inline void seal_tape(Tape* tape) noexcept nogil:
    """Mark the cells after the head as "never", once per block, before tails are moved."""
    cdef int i
    for i in range(SENTINELS):
        tape.ts[(tape.head + i) & tape.mask] = <int64_t>1 << 62


cdef inline void restart_windows(Tape* tape) noexcept nogil:
    """Forget every trade so far: the next one is the first of a new session for all windows."""
    cdef int i
    cdef Slot* slot
    tape.base = tape.head
    tape.oldest = tape.head
    for i in range(tape.graph.n_nodes):
        slot = &tape.slots[i]
        slot.tail = tape.head
        slot.mid = tape.head


cdef inline void restart_session(Tape* tape) noexcept nogil:
    """Begin new session totals (VWAP) as well."""
    tape.session_started = 0
    tape.session_overflow = 0
    tape.session_size = 0
    tape.session_price_size = i128_of(0)
    tape.session_dev = i128_of(0)
    tape.session_dev_squared = i128_of(0)


# ---------------------------------------------------------------- nodes

cdef inline void flag_truncated(Tape* tape, uint64_t source, int k, int m) noexcept nogil:
    """Remember that ``source`` holds less at trade ``k`` of this block than its declaration asks for."""
    cdef int64_t* flags = fixed_column(tape, COL_TRUNCATED)
    if tape.block_truncated == 0:
        memset(flags, 0, m * sizeof(int64_t))
    tape.block_truncated |= source
    tape.truncations += flags[k] == 0
    flags[k] |= <int64_t>source


cdef inline int64_t before(int64_t ts, int64_t limit) noexcept nogil:
    """1 when ``ts < limit``, else 0, by the sign of the difference: no branch. Neither leaves +-2**62."""
    return <int64_t>(<uint64_t>(ts - limit) >> 63)


cdef inline int64_t next_tail(const int64_t* ts, int64_t mask, int64_t tail, int64_t limit) noexcept nogil:
    """The first position from ``tail`` on with ``ts >= limit``, four cells at a time."""
    cdef int64_t expired = 4
    while expired == 4:
        expired = (
            (before(ts[tail & mask], limit) + before(ts[(tail + 1) & mask], limit))
            + (before(ts[(tail + 2) & mask], limit) + before(ts[(tail + 3) & mask], limit))
        )
        tail += expired
    return tail


cdef inline int64_t next_two_tails(
    const int64_t* ts, int64_t mask, int64_t tail, int64_t limit, int64_t next_limit, int64_t* first
) noexcept nogil:
    """The tails of two successive trades: writes the first, returns the second.

    How many trades expire on one tick is unpredictable, and a mispredicted branch costs more than a few spare
    comparisons. So the next six cells are compared at once (four for the first tick) and the hits counted; times never
    fall, so the hits come first. Only when all are hits, or the ring wraps within them, is it done one by one.
    """
    cdef const int64_t* cell = ts + (tail & mask)
    cdef int64_t one, two
    if (tail & mask) + SENTINELS <= mask:
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


cdef inline void move_tail_by_time(
    Tape* tape, Slot* slot, int64_t window, uint64_t source, int64_t* out, int m
) noexcept nogil:
    """Write each trade's window tail: the first position with ``ts > now - window``.

    A window that would hold more than ``max_window`` trades is cut short, and its trade flagged.
    """
    cdef const int64_t* now = fixed_column(tape, COL_TS)
    cdef int64_t position = tape.head - m, tail = slot.tail
    cdef int k
    for k in range(m):
        tail = next_tail(tape.ts, tape.mask, tail, now[k] - window + 1)
        if position + k - tail >= tape.max_window:
            tail = position + k + 1 - tape.max_window
            flag_truncated(tape, source, k, m)
        out[k] = tail
    slot.tail = tail


cdef inline void move_two_tails_by_time(
    Tape* tape, Slot* slot_a, int64_t window_a, int64_t* out_a, Slot* slot_b, int64_t window_b, int64_t* out_b, int m
) noexcept nogil:
    """Two windows at once: each tail waits for its own loads, so two together take little longer than one.

    Only for blocks in which no window can grow beyond ``max_window``.
    """
    cdef const int64_t* now = fixed_column(tape, COL_TS)
    cdef const int64_t* ts = tape.ts
    cdef int64_t mask = tape.mask, tail_a = slot_a.tail, tail_b = slot_b.tail
    cdef int k = 0
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
    slot_a.tail = tail_a
    slot_b.tail = tail_b


cdef inline void move_tail_by_count(Tape* tape, Slot* slot, int64_t window, int64_t* out, int m) noexcept nogil:
    cdef int64_t position = tape.head - m, tail
    cdef int k
    for k in range(m):
        tail = position + k + 1 - window
        out[k] = tail if tail > slot.tail else slot.tail
    slot.tail = out[m - 1]


cdef inline void extremes(
    Tape* tape, Slot* slot, const int64_t* tail, int64_t* high, int64_t* low, int m
) noexcept nogil:
    """Highest and lowest price of each trade's window, by the two-stack sliding aggregate.

    Unlike the monotonic deque, whose pops are unpredictable, its only branch is taken once per window length.
    """
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t mask = tape.mask, position = tape.head - m, pos, highest, lowest, p
    cdef int64_t mid = slot.mid, back_high = slot.back_high, back_low = slot.back_low
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
                slot.front_high[pos & mask] = highest
                slot.front_low[pos & mask] = lowest
                pos -= 1
            mid = position + k + 1
            back_high = INT64_MIN
            back_low = INT64_MAX
        else:
            back_high = p if p > back_high else back_high
            back_low = p if p < back_low else back_low
            highest = slot.front_high[tail[k] & mask]
            lowest = slot.front_low[tail[k] & mask]
            highest = back_high if back_high > highest else highest
            lowest = back_low if back_low < lowest else lowest
        high[k] = highest
        low[k] = lowest
    slot.mid = mid
    slot.back_high = back_high
    slot.back_low = back_low


cdef inline int add_overflows(i128 a, i128 b, i128* total) noexcept nogil:
    total[0] = i128_add(a, b)
    return (i128_hi(a) >= 0) == (i128_hi(b) >= 0) and (i128_hi(total[0]) >= 0) != (i128_hi(a) >= 0)


cdef inline void session_totals(
    Tape* tape, uint64_t source, int64_t* size, i128* price_size, i128* dev, i128* dev_squared, int m
) noexcept nogil:
    """Running totals since the session began.

    Once a total has left its bound the size reads 0, so that VWAP and deviation read NaN, and every trade is flagged.
    """
    cdef const int64_t* prices = fixed_column(tape, COL_PRICE)
    cdef const int64_t* sizes = fixed_column(tape, COL_SIZE)
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
            flag_truncated(tape, source, k, m)
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


cdef inline i128 sum_terms(const Tape* tape, const Term* terms, int n, int k) noexcept nogil:
    """Exact value of a polynomial in the columns at trade ``k``; the compiler has proved that it fits."""
    cdef i128 total = i128_of(0), product
    cdef int i, j
    for i in range(n):
        if terms[i].n_factors == 0:
            product = i128_of(terms[i].coef)
        elif terms[i].first_is_wide:
            product = i128_mul(wides(tape, terms[i].offset[0])[k], terms[i].coef)
        else:
            product = i128_mul64(ints(tape, terms[i].offset[0])[k], terms[i].coef)
        for j in range(1, terms[i].n_factors):
            product = i128_mul(product, ints(tape, terms[i].offset[j])[k])
        total = i128_add(total, product)
    return total


cdef inline uint8_t holds(int sign, int comparison) noexcept nogil:
    """Whether ``sign`` (of left minus right) satisfies the comparison."""
    if comparison == CMP_GE:
        return sign >= 0
    if comparison == CMP_GT:
        return sign > 0
    if comparison == CMP_LE:
        return sign <= 0
    if comparison == CMP_LT:
        return sign < 0
    if comparison == CMP_EQ:
        return sign == 0
    return sign != 0


cdef inline void compare_general(const Tape* tape, const Node* node, uint8_t* out, int m) noexcept nogil:
    cdef int k
    for k in range(m):
        out[k] = holds(i128_sign(sum_terms(tape, node.terms, node.n_terms, k)), <int>node.k)


cdef inline void compare_narrow(const Tape* tape, const Node* node, uint8_t* out, int m) noexcept nogil:
    """``c0*x0 + c1*x1 + c2*x2`` against zero, in 64 bits. GE and GT suffice: the compiler flips the other two."""
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef const int64_t* x2 = ints(tape, node.terms[2].offset[0]) if node.n_terms > 2 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef int64_t c2 = node.terms[2].coef if node.n_terms > 2 else 0
    cdef int64_t least = 0 if node.k == CMP_GE else 1
    cdef int k
    if node.n_terms <= 2:
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] >= least
    else:
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] + c2 * x2[k] >= least


cdef inline void compare_linear(const Tape* tape, const Node* node, uint8_t* out, int m) noexcept nogil:
    """The same in 128 bits, for one or two terms."""
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef i128 value
    cdef int64_t bits = 0
    cdef int k, or_equal = node.k == CMP_GE
    for k in range(m):  # 64 bits mostly suffice: look before doing twice the work
        bits |= x0[k] | x1[k]
    if 0 <= bits < (<int64_t>1 << 40) and -(1 << 21) < c0 < (1 << 21) and -(1 << 21) < c1 < (1 << 21):
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] + or_equal > 0
        return
    for k in range(m):
        value = i128_add(i128_mul64(c0, x0[k]), i128_mul64(c1, x1[k]))
        out[k] = i128_sign(value) + or_equal > 0


cdef inline void evaluate_exact(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Window and session nodes, whose values are integers."""
    cdef int64_t position = tape.head - m, mask = tape.mask
    cdef int64_t* out = ints(tape, node.out)
    cdef i128* wide = <i128*>out
    cdef const int64_t* tail = ints(tape, node.a) if node.a >= 0 else NULL
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* size = fixed_column(tape, COL_SIZE)
    cdef const int64_t* total = fixed_column(tape, COL_TOTAL_SIZE)
    cdef int k
    if node.op == OP_TAIL_TIME:
        move_tail_by_time(tape, slot, node.k, node.source, out, m)
    elif node.op == OP_TAIL_COUNT:
        move_tail_by_count(tape, slot, node.k, out, m)
    elif node.op == OP_FIRST_PRICE:
        for k in range(m):
            out[k] = tape.price[tail[k] & mask]
    elif node.op == OP_COUNT:
        for k in range(m):
            out[k] = position + k + 1 - tail[k]
    elif node.op == OP_SUM_SIZE:
        for k in range(m):
            out[k] = <int64_t>(<uint64_t>total[k] - <uint64_t>tape.total_size[tail[k] & mask])
    elif node.op == OP_SUM_PRICE:
        for k in range(m):
            out[k] = <int64_t>(
                <uint64_t>tape.total_price[(position + k) & mask] + <uint64_t>price[k]
                - <uint64_t>tape.total_price[tail[k] & mask]
            )
    elif node.op == OP_SUM_PRICE_SIZE:
        for k in range(m):
            wide[k] = i128_sub(
                i128_add(tape.total_price_size[(position + k) & mask], i128_mul64(price[k], size[k])),
                tape.total_price_size[tail[k] & mask],
            )
    elif node.op == OP_SUM_PRICE_SQUARED:
        for k in range(m):
            wide[k] = i128_sub(
                i128_add(tape.total_price_squared[(position + k) & mask], i128_mul64(price[k], price[k])),
                tape.total_price_squared[tail[k] & mask],
            )
    elif node.op == OP_EXTREMES:
        extremes(tape, slot, tail, out, ints(tape, node.out + INT_BYTES), m)
    elif node.op == OP_SESSION:
        session_totals(
            tape,
            node.source,
            out,
            wides(tape, node.out + INT_BYTES),
            wides(tape, node.out + INT_BYTES + WIDE_BYTES),
            wides(tape, node.out + INT_BYTES + 2 * WIDE_BYTES),
            m,
        )


cdef inline void evaluate_float(Tape* tape, const Node* node, int m) noexcept nogil:
    """Nodes whose values are doubles."""
    cdef double* out = floats(tape, node.out)
    cdef const double* a = floats(tape, node.a) if node.a >= 0 else NULL
    cdef const double* b = floats(tape, node.b) if node.b >= 0 else NULL
    cdef i128 denominator
    cdef int k
    if node.op == OP_RATIO:
        for k in range(m):
            denominator = sum_terms(tape, node.terms + node.n_terms, node.n_denominator, k)
            if i128_sign(denominator) == 0:
                out[k] = NAN
            else:
                out[k] = i128_double(sum_terms(tape, node.terms, node.n_terms, k)) / i128_double(denominator)
    elif node.op == OP_SESSION_SD:
        for k in range(m):
            out[k] = volume_weighted_sd(
                ints(tape, node.a)[k],
                wides(tape, node.a + INT_BYTES + WIDE_BYTES)[k],
                wides(tape, node.a + INT_BYTES + 2 * WIDE_BYTES)[k],
            )
    elif node.op == OP_FLOAT_CONST:
        for k in range(m):
            out[k] = node.x
    elif node.op == OP_FLOAT_ADD:
        for k in range(m):
            out[k] = a[k] + b[k]
    elif node.op == OP_FLOAT_SUB:
        for k in range(m):
            out[k] = a[k] - b[k]
    elif node.op == OP_FLOAT_MUL:
        for k in range(m):
            out[k] = a[k] * b[k]
    elif node.op == OP_FLOAT_DIV:
        for k in range(m):
            out[k] = a[k] / b[k] if b[k] != 0 else NAN
    elif node.op == OP_FLOAT_SQRT:
        for k in range(m):
            out[k] = sqrt(a[k]) if a[k] >= 0 else NAN


cdef inline void compare_floats(Tape* tape, const Node* node, int m) noexcept nogil:
    """A NaN on either side satisfies nothing."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        if node.k == CMP_GE:
            out[k] = a[k] >= b[k]
        elif node.k == CMP_GT:
            out[k] = a[k] > b[k]
        elif node.k == CMP_LE:
            out[k] = a[k] <= b[k]
        elif node.k == CMP_LT:
            out[k] = a[k] < b[k]
        elif node.k == CMP_EQ:
            out[k] = a[k] == b[k]
        else:
            out[k] = a[k] < b[k] or a[k] > b[k]


cdef inline void evaluate_bool(Tape* tape, const Node* node, int m) noexcept nogil:
    """Nodes whose values are 0 or 1 (0, 1, 2 for a state)."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const uint8_t* a = bools(tape, node.a) if node.a >= 0 else NULL
    cdef const uint8_t* b = bools(tape, node.b) if node.b >= 0 else NULL
    cdef int k
    if node.op == OP_COMPARE:
        if node.shape == SHAPE_NARROW and node.n_terms <= 3:
            compare_narrow(tape, node, out, m)
        elif node.shape == SHAPE_LINEAR and node.n_terms <= 2:
            compare_linear(tape, node, out, m)
        else:
            compare_general(tape, node, out, m)
    elif node.op == OP_FLOAT_COMPARE:
        compare_floats(tape, node, m)
    elif node.op == OP_ALL:
        for k in range(m):
            out[k] = a[k] & b[k]
    elif node.op == OP_ANY:
        for k in range(m):
            out[k] = a[k] | b[k]
    elif node.op == OP_NOT:
        for k in range(m):
            out[k] = a[k] ^ 1
    elif node.op == OP_STATE:
        if b == NULL:
            for k in range(m):
                out[k] = a[k]
        elif a == NULL:
            for k in range(m):
                out[k] = b[k] << 1
        else:
            for k in range(m):
                out[k] = a[k] | ((b[k] & (a[k] ^ 1)) << 1)


cdef inline void evaluate(Tape* tape, int m) noexcept nogil:
    """Evaluate every node for the last ``m`` trades of the tape."""
    cdef Graph* graph = tape.graph
    cdef Node* node
    cdef int i = 0
    cdef int64_t oldest = tape.head
    cdef bint roomy = tape.head - tape.oldest < tape.max_window  # no window can be cut short in this block
    if m == 0:
        return
    seal_tape(tape)
    tape.block_truncated = 0
    while i < graph.n_nodes:
        node = &graph.nodes[i]
        if roomy and node.op == OP_TAIL_TIME and i + 1 < graph.n_nodes and graph.nodes[i + 1].op == OP_TAIL_TIME:
            move_two_tails_by_time(
                tape, &tape.slots[i], node.k, ints(tape, node.out),
                &tape.slots[i + 1], graph.nodes[i + 1].k, ints(tape, graph.nodes[i + 1].out), m
            )
            i += 1
        elif node.op <= OP_SESSION:
            evaluate_exact(tape, &tape.slots[i], node, m)
        elif node.op == OP_COMPARE or node.op >= OP_FLOAT_COMPARE:
            evaluate_bool(tape, node, m)
        else:
            evaluate_float(tape, node, m)
        i += 1
    for i in range(graph.n_tails):
        if tape.slots[graph.tails[i]].tail < oldest:
            oldest = tape.slots[graph.tails[i]].tail
    tape.oldest = oldest
