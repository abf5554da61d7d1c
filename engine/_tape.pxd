"""Tapes: the records of one clock, their ring, and what a feature graph keeps about them.

A *tape* is a sequence of records on one *clock*: the trades of an instrument, or the closed bars of one of its bar
series. Its ring, a power of two of cells, is shared by every window on it. Window sums need no adding and removing: the
ring holds running totals, and a window's sum is the total now minus the total before its oldest record, exact by
integer arithmetic. Each window is therefore only a *tail*, the position of its oldest record. Sums of products may
leave 64 bits; the upper halves of their totals have cells of their own, which nobody touches until one of them does.

A *graph* is a list of nodes in evaluation order. Features do not depend on positions, so a node is evaluated for a
whole block of records before the next node is looked at; the results are columns of at most ``BLOCK`` values.
What a node computes is its ``work``, a C function; ``engine._program`` puts nodes together, and anybody's C function of
that shape may be one. A record that arrives alone takes the same way with a block of one, except that the commonest
nodes are done without a call: see ``engine._steps``.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from engine._int128 cimport i128, i128_add, i128_hi, i128_lo, i128_make, i128_mul64, i128_of
from engine._loops cimport bits_of
from engine._totals cimport Totals, run_totals

cdef enum:
    BLOCK = 512  # records evaluated together; large enough to amortise dispatch, small enough for the L1 cache
    SENTINELS = 6  # cells beyond the head whose time is "never", so that tails may look six cells ahead
    MAX_FACTORS = 3
    SOURCES = 64  # windows and sessions told apart when one is cut short; those beyond share the last bit

# Columns of every tape of trades; the compiled nodes' columns follow.
cdef enum:
    COL_PRICE
    COL_SIZE
    COL_BID
    COL_ASK
    COL_TS
    COL_TRUNCATED  # bits of the sources that are cut short; valid only while the tape's block_truncated is set
    COL_BID_SIZE
    COL_ASK_SIZE
    COL_FLOW  # order flow at the best quotes so far
    COL_OPEN  # of bars as input, as are the next three: valid only while the tape's of_bars is set
    COL_HIGH
    COL_LOW
    COL_START
    FIXED_COLUMNS

# Bytes of one column. Each is a cache line longer than its cells: columns a whole number of pages apart would contend
# for the same lines of the cache, and a load from one would wait for the store to another.
cdef enum:
    INT_BYTES = BLOCK * 8 + 64  # int64 or double
    WIDE_BYTES = BLOCK * 16 + 64
    BOOL_BYTES = BLOCK + 64  # the cell after the last says whether the column is quiet

cdef extern from *:
    """
    #include <stdint.h>
    #define MICROBURST_DAY_NS INT64_C(86400000000000)
    #define MICROBURST_FOREVER (INT64_C(1) << 62)
    """
    const int64_t DAY_NS "MICROBURST_DAY_NS"
    const int64_t FOREVER "MICROBURST_FOREVER"  # later than any time, longer than any duration

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    /* Zeros that begin with a line of the cache, in memory that free() takes back; NULL if there is none. */
    static void *microburst_aligned_zeros(size_t bytes)
    {
    #ifdef _WIN32
        return calloc(bytes, 1);
    #else
        void *found = NULL;
        return posix_memalign(&found, 64, bytes) == 0 ? memset(found, 0, bytes) : NULL;
    #endif
    }
    """
    void* aligned_zeros "microburst_aligned_zeros"(size_t bytes) noexcept nogil

cdef enum Type:
    TYPE_INT  # int64
    TYPE_WIDE  # i128
    TYPE_FLOAT  # double
    TYPE_BOOL  # uint8

cdef struct Term:
    # coef times the product of up to three columns, of which at most the first is wide
    int64_t coef
    int n_factors
    int first_is_wide
    int64_t offset[MAX_FACTORS]  # of the columns, in bytes

cdef struct Tape

cdef struct Slot

cdef struct Node

# Compute a node's columns for the last ``m`` records of its tape.
ctypedef void (*Work)(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil

cdef struct Node:
    # first what every record needs
    Work work  # NULL for a node that its neighbour computes too
    int64_t out  # columns, as byte offsets; -1 for none
    int64_t a
    int64_t b
    int64_t c
    int64_t k
    int64_t constant  # the part of the numerator without a column, where its shape is not general
    double x
    Term* terms  # the denominator's terms follow the numerator's
    int n_terms
    int n_denominator
    int clock  # whose records it is evaluated on: 0 the trades, else a bar series
    int other_clock  # the clock of input a, where that is another one
    int other_instrument  # whose tape holds input a, where that is another one; -1 for none
    int needed_node  # of the other instrument: computed before this one
    int shape  # of the terms: SHAPE_*
    int restarts  # RESTARTS_*: with what its memory begins anew
    int rings  # arrays of ring cells that it keeps: 0 to 2
    int ring_width  # bytes in one of their cells
    int64_t memory  # bytes of memory of its own
    uint64_t source  # the bit of a time window or session: what may be cut short

cdef enum:
    RESTARTS_NEVER
    RESTARTS_WITH_WINDOWS

cdef struct Step:
    # a node as a single record needs it, in one line of the cache
    int kind  # engine._steps.StepKind
    int slot  # bytes from the first slot to the node's own
    const Node* node
    int out  # columns, as byte offsets
    int a
    int b
    int c
    int64_t k  # the length of a window; of a comparison what is added to its products
    int64_t factor[3]

cdef struct Graph:
    Node* nodes
    int n_nodes
    Step* steps  # one for each node and one after the last, made when the program is sealed
    int n_columns
    int* column_type
    int* column_clock
    int* column_node  # the node that computes it; -1 for a fixed column
    int64_t* column_offset  # bytes from the start of its tape's columns
    uint64_t* column_sources  # bits of the sources that a column is computed from
    int n_sources
    int n_clocks
    int64_t* clock_bytes  # of one tape's columns, by clock
    int64_t* clock_reach  # records that the longest window on the clock holds
    int* tails  # the nodes that hold a window's tail on the clock of trades
    int n_tails
    int sums_sizes  # over windows: sizes alone
    int sums_prices  # prices, or products
    int sums_products  # prices times sizes, or squared
    int needs_flow

cdef struct Slot:
    # what one node remembers about one tape; all zero at the start
    int64_t i[10]
    double x[4]
    i128 w[2]
    char* ring[2]
    char* memory

cdef struct Uppers:
    # the upper halves of the totals of products
    int64_t price_size
    int64_t price_squared

cdef struct Tape:
    Graph* graph
    int clock
    int instrument
    int of_bars  # its records are bars: the price is their close, the time their end
    int fresh  # records in the block that is worked through
    int fresh_before  # records in the last block before it that had any
    Slot* slots  # one per node, shared by the tapes of one instrument
    Tape** clocks  # the tapes of this instrument, by clock; the first is that of its trades
    Tape* instruments  # the tapes of trades of all instruments
    const int* records  # of each fresh trade, its record in the block
    char* columns  # of the block that is worked through
    char* columns_before  # of the last block before it that had a trade of this instrument
    char* buffers[2]  # where the two of them lie
    int may_be_quiet[2]  # whether the buffer may hold a quiet column
    int64_t capacity
    int64_t mask
    int64_t head  # records ever appended = position of the next one
    int64_t base  # position of the first record since the windows restarted
    int64_t oldest  # no window needs a lower position; brought up to date when the ring is short of room
    int64_t first_ts
    int64_t* ts  # followed by its first cells once more, so that looking ahead never runs around the ring's end
    int64_t sealed  # the cells from the head to here say "never"
    int64_t* price
    # Running totals before each trade; the cell at the head, which follows the last trade, is always written.
    int64_t* sizes  # where they are summed alone
    Totals* totals  # where prices are summed
    Uppers* uppers  # where products are summed: all 0, and not written, until ``carried``
    int carried
    # the trading session, for what is counted from its opening
    int64_t sessions  # begun so far
    int in_session
    int64_t open_ns
    int64_t close_ns
    int64_t midnight_ns  # 00:00 of the trading day where the exchange is
    int64_t week
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
    # the best quotes as of the last record, and the order flow at them so far
    int64_t bid
    int64_t ask
    int64_t bid_size
    int64_t ask_size
    int64_t flow
    int flow_begins  # the next record is the first since the windows restarted


cdef enum:
    ASIDE = 16  # bytes between the cells of two single records in one buffer


cdef inline int buffer_of(const Tape* tape) noexcept nogil:
    """Which of the two buffers holds the present columns."""
    return tape.columns == tape.buffers[1] or tape.columns == tape.buffers[1] + ASIDE


cdef inline void turn_columns(Tape* tape, int single) noexcept nogil:
    """Begin a block with a trade: its columns are written, the last one's are kept.

    They alternate between two buffers. When this block and the last are of a single record, both find room in one: the
    columns begin two cells further on. So a stream of such blocks needs half the memory at hand.
    """
    cdef char* before = tape.columns
    cdef int buffer = buffer_of(tape)
    if not single or tape.fresh_before != 1:
        tape.columns = tape.buffers[1 - buffer]
    elif before == tape.buffers[buffer]:
        tape.columns = before + ASIDE
    else:
        tape.columns = tape.buffers[buffer]
    tape.columns_before = before


cdef inline int64_t* fixed_column(const Tape* tape, int column) noexcept nogil:
    """A fixed column of int64; these come first, so their place is known when compiling."""
    return <int64_t*>(tape.columns + column * INT_BYTES)


cdef inline int64_t* ints(const Tape* tape, int64_t offset) noexcept nogil:
    return <int64_t*>(tape.columns + offset)


cdef inline i128* wides(const Tape* tape, int64_t offset) noexcept nogil:
    return <i128*>(tape.columns + offset)


cdef inline double* floats(const Tape* tape, int64_t offset) noexcept nogil:
    return <double*>(tape.columns + offset)


cdef inline uint8_t* bools(const Tape* tape, int64_t offset) noexcept nogil:
    return <uint8_t*>(tape.columns + offset)


# ---------------------------------------------------------------- the ring

cdef enum:
    OWN_ARRAYS = 5  # the tape's own arrays of ring cells; each node may have two more


cdef inline void** ring_array(Tape* tape, int i, size_t* width) noexcept nogil:
    """Where the tape keeps its ``i``-th array of ring cells, and their ``width`` in bytes; NULL for one it lacks."""
    cdef Graph* graph = tape.graph
    cdef Node* node
    cdef int trades = tape.clock == 0
    width[0] = sizeof(int64_t)
    if i == 0:
        return <void**>&tape.ts
    if i == 1:
        return <void**>&tape.price if trades else NULL
    if i == 2:
        return <void**>&tape.sizes if trades and graph.sums_sizes else NULL
    if i == 3:
        width[0] = sizeof(Totals)
        return <void**>&tape.totals if trades and graph.sums_prices else NULL
    if i == 4:
        width[0] = sizeof(Uppers)
        return <void**>&tape.uppers if trades and graph.sums_products else NULL
    i -= OWN_ARRAYS
    node = &graph.nodes[i >> 1]
    width[0] = node.ring_width
    return <void**>&tape.slots[i >> 1].ring[i & 1] if node.clock == tape.clock and (i & 1) < node.rings else NULL


cdef inline int resize_tape(Tape* tape, int64_t capacity) noexcept nogil:
    """Give the ring ``capacity`` cells, keeping what windows still need, and the cell at the head.

    Returns 0, or -1 without memory: the tape is then as it was.
    """
    cdef int arrays = OWN_ARRAYS + 2 * tape.graph.n_nodes, i
    cdef char** new = <char**>calloc(arrays, sizeof(char*))
    cdef void** at
    cdef char* old
    cdef size_t width
    cdef int64_t pos
    cdef bint complete = new != NULL
    for i in range(arrays):
        if complete and ring_array(tape, i, &width) != NULL:
            new[i] = <char*>aligned_zeros((capacity + SENTINELS) * width)
            complete = new[i] != NULL
    for i in range(arrays if complete else 0):
        at = ring_array(tape, i, &width)
        if at != NULL:
            old = <char*>at[0]
            at[0] = new[i]
            new[i] = old  # freed below, as are the new arrays when they are not complete
            for pos in range(tape.oldest, tape.head + 1 if tape.capacity else tape.head):
                memcpy(<char*>at[0] + (pos & (capacity - 1)) * width, old + (pos & tape.mask) * width, width)
    if new != NULL:
        for i in range(arrays):
            free(new[i])
    free(new)
    if not complete:
        return -1
    tape.capacity = capacity
    tape.mask = capacity - 1
    tape.sealed = 0
    mirror_times(tape)
    return 0


cdef inline void mirror_times(Tape* tape) noexcept nogil:
    """Write the ring's first times behind its last one again."""
    memcpy(tape.ts + tape.capacity, tape.ts, SENTINELS * sizeof(int64_t))


cdef inline void note_oldest(Tape* tape) noexcept nogil:
    """Find out which trades no window needs any more."""
    cdef const int* tails = tape.graph.tails
    cdef int64_t oldest = tape.head
    cdef int i
    for i in range(tape.graph.n_tails):
        if tape.slots[tails[i]].i[0] < oldest:
            oldest = tape.slots[tails[i]].i[0]
    if oldest > tape.oldest:
        tape.oldest = oldest


cdef inline int make_room(Tape* tape, int64_t trades) noexcept nogil:
    """Make sure that ``trades`` more fit, growing the ring when windows need it. Returns 0, or -1 without memory.

    What windows need is bounded: tails stay within ``max_window`` trades of the head.
    """
    if tape.head - tape.oldest + trades + SENTINELS <= tape.capacity:
        return 0
    note_oldest(tape)
    return grow(tape, tape.head - tape.oldest + trades + SENTINELS)


cdef inline int grow(Tape* tape, int64_t needed) noexcept nogil:
    """Give the ring ``needed`` cells or more, if it has less. Returns 0, or -1 without memory."""
    cdef int64_t capacity = tape.capacity
    if needed <= capacity:
        return 0
    while capacity < needed:
        capacity *= 2
    if resize_tape(tape, capacity) != 0:
        return -1
    tape.grown += 1
    return 0


# What is written along the ring is written in two parts, without a look at the ring's end at every cell: three times
# as fast.

cdef inline int until_wrap(const Tape* tape, int64_t position, int n) noexcept nogil:
    """How many of ``n`` cells from ``position`` on come before the ring's end."""
    cdef int64_t room = tape.capacity - (position & tape.mask)
    return n if n <= room else <int>room


cdef inline void to_ring(
    int64_t* ring, int64_t mask, int64_t position, const int64_t* cells, int n
) noexcept nogil:
    """Copy ``n`` cells to the ring from ``position`` on: in one piece, or in two around the ring's end."""
    cdef int64_t cell = position & mask, room = mask + 1 - cell
    if n <= room:
        memcpy(ring + cell, cells, n * sizeof(int64_t))
    else:
        memcpy(ring + cell, cells, room * sizeof(int64_t))
        memcpy(ring, cells + room, (n - room) * sizeof(int64_t))


cdef inline void append_trade(Tape* tape, int trade) noexcept nogil:
    """Bring one trade of the block's fixed columns onto the ring, with the running totals before it."""
    cdef int64_t cell = tape.head & tape.mask, ts = fixed_column(tape, COL_TS)[trade]
    cdef int64_t price = fixed_column(tape, COL_PRICE)[trade], size = fixed_column(tape, COL_SIZE)[trade]
    if tape.head == tape.base:
        tape.first_ts = ts
    tape.ts[cell] = ts
    if cell < SENTINELS:
        tape.ts[cell + tape.capacity] = ts
    tape.price[cell] = price
    if tape.sizes != NULL:
        tape.sizes[(cell + 1) & tape.mask] = <int64_t>(<uint64_t>tape.sizes[cell] + <uint64_t>size)
    if tape.totals != NULL:
        add_totals(tape, cell, (cell + 1) & tape.mask, price, size)
    tape.head += 1


cdef inline void add_totals(Tape* tape, int64_t cell, int64_t after, int64_t price, int64_t size) noexcept nogil:
    """Write the totals after a trade."""
    cdef const Totals* before = &tape.totals[cell]
    cdef Totals* total = &tape.totals[after]
    cdef i128 price_size, price_squared
    total.size = before.size + <uint64_t>size
    total.price = before.price + <uint64_t>price
    if not tape.graph.sums_products:
        return
    price_size = i128_add(i128_make(0, before.price_size), i128_mul64(price, size))
    price_squared = i128_add(i128_make(0, before.price_squared), i128_mul64(price, price))
    total.price_size, total.price_squared = i128_lo(price_size), i128_lo(price_squared)
    if tape.carried or i128_hi(price_size) | i128_hi(price_squared):
        tape.carried = 1
        tape.uppers[after].price_size = tape.uppers[cell].price_size + i128_hi(price_size)
        tape.uppers[after].price_squared = tape.uppers[cell].price_squared + i128_hi(price_squared)


cdef inline void append_trades(Tape* tape, int first, int last) noexcept nogil:
    """Bring trades [first, last) of the block's fixed columns onto the ring, with the running totals before each."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* size = fixed_column(tape, COL_SIZE)
    cdef int n = last - first
    if n == 1:
        append_trade(tape, first)
        return
    if tape.head == tape.base:
        tape.first_ts = ts[first]
    to_ring(tape.ts, tape.mask, tape.head, ts + first, n)
    mirror_times(tape)
    to_ring(tape.price, tape.mask, tape.head, price + first, n)
    if tape.totals != NULL:
        add_all_totals(tape, price + first, size + first, n)
    tape.head += n
    if tape.sizes != NULL:
        run_sum(tape, tape.sizes, tape.sizes[(tape.head - n) & tape.mask], size + first, n)


cdef inline void add_all_totals(Tape* tape, const int64_t* price, const int64_t* size, int n) noexcept nogil:
    """Write the totals after each of ``n`` trades, in one piece or in two around the ring's end."""
    cdef int first = until_wrap(tape, tape.head, n)
    add_totals_along(tape, tape.head & tape.mask, price, size, first)
    if (tape.head & tape.mask) + first == tape.capacity:
        tape.totals[0] = tape.totals[tape.capacity]
        if tape.carried:
            tape.uppers[0] = tape.uppers[tape.capacity]
        add_totals_along(tape, 0, price + first, size + first, n - first)


cdef inline void add_totals_along(
    Tape* tape, int64_t cell, const int64_t* price, const int64_t* size, int n
) noexcept nogil:
    """The same in one piece; what follows the ring's last cell is written behind it."""
    cdef const Totals* before = &tape.totals[cell]
    cdef uint64_t bits[2]
    cdef double most
    cdef int k
    run_totals(&tape.totals[cell], price, size, bits, n)
    if not tape.graph.sums_products:
        return
    # No total of products can be more than this now; if it is below 2**64 (1.8e19), all upper halves are 0.
    most = <double>(before.price_size if before.price_size > before.price_squared else before.price_squared)
    most += <double>n * <double>bits[0] * <double>(bits[0] if bits[0] > bits[1] else bits[1])
    if not tape.carried and most < 1.8e19:
        return
    tape.carried = 1
    for k in range(n):
        carry_total(&tape.uppers[cell + k].price_size, before[k].price_size, price[k], size[k])
        carry_total(&tape.uppers[cell + k].price_squared, before[k].price_squared, price[k], price[k])


cdef inline void carry_total(int64_t* upper, uint64_t lower, int64_t x, int64_t y) noexcept nogil:
    """Write the upper half of a total, two places after that before it, of which ``lower`` is the lower half."""
    upper[2] = upper[0] + i128_hi(i128_add(i128_make(0, lower), i128_mul64(x, y)))


cdef inline int64_t run_sum(
    const Tape* tape, int64_t* totals, int64_t running, const int64_t* x, int n
) noexcept nogil:
    """Write the running total of the last ``n`` trades' ``x`` before each and after the last; returns the latter."""
    cdef int64_t position = tape.head - n
    cdef int middle = until_wrap(tape, position, n)
    running = run_along(totals + (position & tape.mask), running, x, middle)
    running = run_along(totals, running, x + middle, n - middle)
    totals[tape.head & tape.mask] = running
    return running


cdef inline int64_t run_along(int64_t* cells, int64_t running, const int64_t* x, int n) noexcept nogil:
    cdef int k
    for k in range(n):
        cells[k] = running
        running = <int64_t>(<uint64_t>running + <uint64_t>x[k])  # modulo 2**64
    return running


cdef inline i128 run_product(
    const Tape* tape, i128* totals, i128 running, const int64_t* x, const int64_t* y, int n
) noexcept nogil:
    """The same of ``x`` times ``y``."""
    cdef int64_t position = tape.head - n
    cdef int middle = until_wrap(tape, position, n)
    running = run_along_wide(totals + (position & tape.mask), running, x, y, middle)
    running = run_along_wide(totals, running, x + middle, y + middle, n - middle)
    totals[tape.head & tape.mask] = running
    return running


cdef inline i128 run_along_wide(i128* cells, i128 running, const int64_t* x, const int64_t* y, int n) noexcept nogil:
    cdef int k
    if (bits_of(x, 0, n) | bits_of(y, 0, n)) >> 31 == 0:  # a product takes 62 bits at most
        for k in range(n):
            cells[k] = running
            running = i128_add(running, i128_make(0, <uint64_t>(x[k] * y[k])))
        return running
    for k in range(n):
        cells[k] = running
        running = i128_add(running, i128_mul64(x[k], y[k]))
    return running


cdef inline void seal_tape(Tape* tape) noexcept nogil:
    """Mark the cells after the head as "never", before tails are moved; after a single trade it is one cell more."""
    cdef int64_t position = tape.sealed if tape.sealed > tape.head else tape.head, cell
    while position < tape.head + SENTINELS:
        cell = position & tape.mask
        tape.ts[cell] = FOREVER
        if cell < SENTINELS:
            tape.ts[cell + tape.capacity] = FOREVER
        position += 1
    tape.sealed = position


cdef inline void restart_windows(Tape* tape) noexcept nogil:
    """Forget every trade so far: the next one is the first for all windows and series on the clock of trades.

    Bars go on: their clock counts bars, whatever lies between them.
    """
    cdef const Node* node
    cdef Slot* slot
    cdef int i
    tape.base = tape.head
    tape.oldest = tape.head
    tape.flow_begins = 1
    for i in range(tape.graph.n_nodes):
        node = &tape.graph.nodes[i]
        slot = &tape.slots[i]
        if node.clock == 0 and node.restarts == RESTARTS_WITH_WINDOWS:
            memset(slot.i, 0, sizeof(slot.i))
            memset(slot.x, 0, sizeof(slot.x))
            memset(slot.w, 0, sizeof(slot.w))
            if node.memory > 0:
                memset(slot.memory, 0, node.memory)


cdef inline void restart_session(
    Tape* tape, int in_session, int64_t open_ns, int64_t close_ns, int64_t midnight_ns, int64_t week
) noexcept nogil:
    """Begin a trading session: session totals (VWAP) and everything anchored to its opening start anew."""
    tape.sessions += 1
    tape.in_session = in_session
    tape.open_ns = open_ns
    tape.close_ns = close_ns
    tape.midnight_ns = midnight_ns
    tape.week = week
    tape.session_started = 0
    tape.session_overflow = 0
    tape.session_size = 0
    tape.session_price_size = i128_of(0)
    tape.session_dev = i128_of(0)
    tape.session_dev_squared = i128_of(0)


cdef inline void flag_truncated(Tape* tape, uint64_t source, int k, int m) noexcept nogil:
    """Remember that ``source`` holds less at trade ``k`` of this block than its declaration asks for."""
    cdef int64_t* flags = fixed_column(tape, COL_TRUNCATED)
    if tape.block_truncated == 0:
        memset(flags, 0, m * sizeof(int64_t))
    tape.block_truncated |= source
    tape.truncations += flags[k] == 0
    flags[k] |= <int64_t>source
