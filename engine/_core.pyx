# cython: auto_pickle=False, autotestdict=False
"""The tick core: integer tick records in, the few moments at which a rule fires out.

``Core`` runs one program, a compiled feature graph, for each instrument over a stream of records of many.
``load`` and ``advance`` work through columns, ``push`` takes one trade; both run the same C body without the GIL, and
no Python object is touched until something fires. How a stream is cut into blocks never changes a result.

All prices are ticks and all sizes lots of their instrument; all times are nanoseconds since the Unix epoch.
"""

cimport cython
cimport numpy as cnp
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from engine._account cimport Holding, has_fallen, mark_account, note_drawdown
from engine._barpath cimport mark_bars, search_bars
from engine._graph cimport begin_evaluation, end_evaluation, evaluate
from engine._int128 cimport i128, i128_hi, i128_lo, i128_make, i128_of
from engine._lanes cimport (
    EVENT_ALARM,
    EVENT_BOUNDARY,
    EVENT_CALLBACK,
    EVENT_ENTRY,
    EVENT_FILL,
    EVENT_FLAT,
    EVENT_NONE,
    EVENT_OPPOSITE,
    EVENT_RISK,
    EVENT_STOP,
    EVENT_TARGET,
    EVENT_TIME,
    EVENT_WHEN,
    MODE_FLAT,
    MODE_HELD,
    MODE_OPEN,
    NEVER,
    PHASE_CALLBACK,
    PHASE_RISK,
    PHASE_TIMER,
    PHASES,
    SECOND,
    Lane,
    Market,
    begin_candles,
    first_at_or_after,
    first_trade_from,
    search,
    stays_flat,
)
from engine._loops cimport bits_of, falls_of
from engine._management cimport STOP_DECAYED, STOP_DECLARED, STOP_EVEN, STOP_TRAILING, Management
from engine._program cimport Program
from engine._resting cimport (
    FILL_LAST,
    FILL_QUEUE,
    FILL_THROUGH,
    FILL_TOUCH,
    FILL_WORST,
    REST_LIMIT,
    REST_STOP,
    REST_WATCH,
    UNKNOWN_QUEUE,
    Resting,
    join_queue,
    note_worst,
    price_within_bar,
    search_resting,
    watch_quotes,
)
from engine._steps cimport evaluate_one
from engine._tape cimport (
    BLOCK,
    COL_ASK,
    COL_ASK_SIZE,
    COL_BID,
    COL_BID_SIZE,
    COL_FLOW,
    COL_HIGH,
    COL_LOW,
    COL_OPEN,
    COL_PRICE,
    COL_SIZE,
    COL_START,
    COL_TS,
    OWN_ARRAYS,
    SENTINELS,
    TYPE_BOOL,
    TYPE_FLOAT,
    TYPE_INT,
    TYPE_WIDE,
    Graph,
    Node,
    Slot,
    Tape,
    append_trade,
    append_trades,
    fixed_column,
    make_room,
    resize_tape,
    restart_session,
    restart_windows,
    ring_array,
    turn_columns,
)
from engine._values cimport quotient

cnp.import_array()

NONE = EVENT_NONE
ENTRY = EVENT_ENTRY
STOP = EVENT_STOP
TARGET = EVENT_TARGET
TIME = EVENT_TIME
FLAT = EVENT_FLAT
RISK = EVENT_RISK
ALARM = EVENT_ALARM
BOUNDARY = EVENT_BOUNDARY
CALLBACK = EVENT_CALLBACK
OPPOSITE = EVENT_OPPOSITE
FILL = EVENT_FILL
WHEN = EVENT_WHEN

DECLARED, DECAYED, EVEN, TRAILING = STOP_DECLARED, STOP_DECAYED, STOP_EVEN, STOP_TRAILING

RESTS_LIMIT, RESTS_STOP, RESTS_WATCH = REST_LIMIT, REST_STOP, REST_WATCH
LAST, TOUCH, THROUGH, QUEUE, WORST = FILL_LAST, FILL_TOUCH, FILL_THROUGH, FILL_QUEUE, FILL_WORST

FOREVER_NS = INT64_MAX
BLOCK_TRADES = BLOCK

cdef int64_t INPUT_BOUND = (<int64_t>1 << 40) - 1  # engine.model.MAX_PRICE_TICKS and MAX_SIZE_LOTS
cdef int64_t TIME_BOUND = <int64_t>1 << 62  # leaves room to add any window or deadline to a time
cdef int FIRST_CAPACITY = 2048
cdef object WIDE_FROM = -(1 << 63), WIDE_TO = (1 << 63) - 1


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define MICROBURST_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define MICROBURST_PREFETCH(address) ((void)(address))
    #endif
    """
    void prefetch "MICROBURST_PREFETCH"(const char* address) noexcept nogil

cdef enum:
    CACHE_LINE = 64  # bytes
    FETCHED = 8 * BLOCK  # bytes of a column


cdef inline void fetch(const char* memory, int size) noexcept nogil:
    """Have ``size`` bytes brought to the cache; nobody waits for them."""
    cdef int at = 0
    while at < size:
        prefetch(memory + at)
        at += CACHE_LINE


# How many of a column's first ``n`` cells are within their bounds. All are, mostly, so all are looked at together.

cdef int plain_before(const int64_t* ts, int64_t last, int n) noexcept nogil:
    """Times from 0 to ``last``."""
    cdef int64_t signs = 0
    cdef int k
    for k in range(n):
        signs |= ts[k] | (last - (ts[k] & INT64_MAX))
    if signs >= 0:
        return n
    for k in range(n):
        if <uint64_t>ts[k] > <uint64_t>last:
            return k
    return n


cdef int sizes_before(const int64_t* cells, int n) noexcept nogil:
    """Prices and sizes, from 1 to ``INPUT_BOUND``."""
    cdef int k
    if bits_of(cells, 1, n) < <uint64_t>INPUT_BOUND:
        return n
    for k in range(n):
        if <uint64_t>cells[k] - 1 >= <uint64_t>INPUT_BOUND:
            return k
    return n


cdef int quotes_before(const int64_t* cells, int n) noexcept nogil:
    """What quotes say, from 0 to ``INPUT_BOUND``; all of a column that there is not."""
    cdef int k
    if cells == NULL or bits_of(cells, 0, n) < <uint64_t>INPUT_BOUND:
        return n
    for k in range(n):
        if <uint64_t>cells[k] > <uint64_t>INPUT_BOUND:
            return k
    return n


cdef int64_t run_clock(int64_t* out, const int64_t* ts, int64_t* reached, int n) noexcept nogil:
    """Write engine time, the largest time seen, at each record; returns how many records came late."""
    cdef int64_t now = reached[0], late = 0
    cdef int k
    if n > 0 and ts[0] >= now and falls_of(ts, n) >= 0:
        memcpy(out, ts, n * sizeof(int64_t))
        reached[0] = ts[n - 1]
        return 0
    for k in range(n):
        late += ts[k] < now
        now = ts[k] if ts[k] > now else now
        out[k] = now
    reached[0] = now
    return late


cdef int64_t carry_forward(int64_t* out, const int64_t* quotes, int64_t known, int n) noexcept nogil:
    """Write the last known quote at each record (0 in ``quotes`` means unchanged); returns the newest."""
    cdef int k
    for k in range(n):
        if quotes != NULL:
            known = quotes[k] if quotes[k] != 0 else known
        out[k] = known
    return known


cdef void take_quotes(Tape* tape, Market* market, const Record* record) noexcept nogil:
    """Move the market's best quotes on by a record, where 0 means unchanged, and add up the order flow at them.

    Order flow as in Cont, Kukanov and Stoikov (2014): what is added at the bid and taken from the ask, less what is
    taken from the bid and added at the ask.
    The first record after a restart adds nothing: what it would be compared with belongs to another session.
    """
    cdef int64_t bid = record.bid if record.bid != 0 else market.bid
    cdef int64_t ask = record.ask if record.ask != 0 else market.ask
    cdef int64_t bid_size = record.bid_size if record.bid_size != 0 else tape.bid_size
    cdef int64_t ask_size = record.ask_size if record.ask_size != 0 else tape.ask_size
    cdef int known = market.bid != 0 and market.ask != 0 and tape.bid_size != 0 and tape.ask_size != 0
    if tape.graph.needs_flow and known and not tape.flow_begins:
        if bid >= market.bid:
            tape.flow += bid_size
        if bid <= market.bid:
            tape.flow -= tape.bid_size
        if ask <= market.ask:
            tape.flow -= ask_size
        if ask >= market.ask:
            tape.flow += tape.ask_size
    tape.flow_begins = 0
    market.bid = bid
    market.ask = ask
    tape.bid_size = bid_size
    tape.ask_size = ask_size


cdef object wide_to_int(i128 value):
    if i128_hi(value) == (<int64_t>i128_lo(value)) >> 63:
        return <int64_t>i128_lo(value)
    return (<object>i128_hi(value) << 64) | i128_lo(value)


cdef i128 wide_from_int(object value) except *:
    if WIDE_FROM <= value <= WIDE_TO:
        return i128_of(value)
    if not -(1 << 127) <= value < (1 << 127):
        raise OverflowError(f"{value} does not fit in 128 bits")
    return i128_make(value >> 64, value & 0xFFFFFFFFFFFFFFFF)


cdef int64_t first_capacity(int64_t reach):
    """Ring cells of a new tape. One of bars never grows: it holds its longest window and a block."""
    cdef int64_t capacity = FIRST_CAPACITY
    while capacity < reach + BLOCK + SENTINELS:
        capacity *= 2
    return capacity


cdef void free_tapes(Tape* trades):
    """Free an instrument's tapes, however far their set-up came."""
    cdef Tape* tape
    cdef void** array
    cdef size_t width
    cdef int clock, i
    if trades.clocks == NULL or trades.slots == NULL:
        free(trades.clocks)
        free(trades.slots)
        return
    for clock in range(trades.graph.n_clocks):
        tape = trades.clocks[clock]
        if tape == NULL:
            continue
        for i in range(OWN_ARRAYS + 2 * tape.graph.n_nodes):
            array = ring_array(tape, i, &width)
            if array != NULL:
                free(array[0])
        free(tape.buffers[0])
        free(tape.buffers[1])
    for i in range(trades.graph.n_nodes):
        free(trades.slots[i].memory)
    for clock in range(1, trades.graph.n_clocks):
        free(trades.clocks[clock])
    free(trades.slots)
    free(trades.clocks)


cdef const void* cells_of(cnp.ndarray column, cnp.npy_intp n, int kind) except? NULL:
    """Where the ``n`` cells of an input column lie, NULL for a column that there is not.

    A typed memoryview would find out the same, but takes longer than an engine needs for the few records of a message.
    """
    if column is None:
        return NULL
    if cnp.PyArray_TYPE(column) != kind or not cnp.PyArray_ISCARRAY_RO(column) or cnp.PyArray_NDIM(column) != 1:
        raise ValueError(f"a column is {column.dtype} in {column.ndim} dimensions, not contiguous integers of its kind")
    if cnp.PyArray_DIM(column, 0) != n:
        raise ValueError("columns differ in length")
    return cnp.PyArray_DATA(column)


def divide(numerator, denominator):
    """The double that a graph makes of the quotient of two integers of at most 127 bits; NaN for a divisor of 0."""
    return quotient(wide_from_int(numerator), wide_from_int(denominator))


@cython.final
@cython.no_gc_clear  # the programs' graphs are read until the tapes are freed; a cycle can be cut anywhere else
cdef class Core:
    """Runs programs over a stream of records and stops at each event. One program per instrument."""

    def __cinit__(self, programs):
        cdef int i, n = len(programs)
        cdef Program program
        if not 1 <= n <= 65536:
            raise ValueError("a core needs between 1 and 65,536 instruments")
        self.programs = tuple(programs)
        self.n_instruments = n
        self.tapes = <Tape*>calloc(n, sizeof(Tape))
        self.holdings = <Holding*>calloc(n, sizeof(Holding))
        self.markets = <Market*>calloc(n, sizeof(Market))
        self.touched = <int*>calloc(n, sizeof(int))
        if self.tapes == NULL or self.holdings == NULL or self.markets == NULL or self.touched == NULL:
            raise MemoryError
        self.cut_ns = NEVER
        self.alarm_ns = NEVER
        self.engine_ts_ns = INT64_MIN
        self.reached = INT64_MIN
        self.in_time = INT64_MIN
        self.largest_block = BLOCK
        self.account.equity = self.account.floor = self.account.peak = self.account.drawdown = i128_of(0)
        for i in range(n):
            program = self.programs[i]
            program.seal()
            self.markets[i].records = <int*>calloc(BLOCK, sizeof(int))
            if self.markets[i].records == NULL:
                raise MemoryError
            self.set_up_tapes(i, program)
            if program.graph.n_clocks > 1:
                self.largest_block = BLOCK - 1
        self.block_limit = self.largest_block
        self.plan_evaluation()

    cdef set_up_tapes(self, int instrument, Program program):
        """Give an instrument the tape of its trades and one for each of its bar series."""
        cdef Graph* graph = &program.graph
        cdef Tape* trades = &self.tapes[instrument]
        cdef Tape* tape
        cdef int clock, i
        trades.graph = graph
        trades.clocks = <Tape**>calloc(graph.n_clocks, sizeof(Tape*))
        trades.slots = <Slot*>calloc(graph.n_nodes or 1, sizeof(Slot))
        if trades.clocks == NULL or trades.slots == NULL:
            raise MemoryError
        for i in range(graph.n_nodes):
            if graph.nodes[i].memory > 0:
                trades.slots[i].memory = <char*>calloc(graph.nodes[i].memory, 1)
                if trades.slots[i].memory == NULL:
                    raise MemoryError
        for clock in range(graph.n_clocks):
            tape = <Tape*>calloc(1, sizeof(Tape)) if clock else trades
            if tape == NULL:
                raise MemoryError
            trades.clocks[clock] = tape
            tape.graph, tape.clock, tape.instrument = graph, clock, instrument
            tape.slots, tape.clocks, tape.instruments = trades.slots, trades.clocks, self.tapes
            tape.records = self.markets[instrument].records
            tape.max_window = program.max_window
            tape.close_ns = NEVER
            tape.in_session = 1
            for i in range(2):
                tape.buffers[i] = <char*>calloc(graph.clock_bytes[clock], 1)
                if tape.buffers[i] == NULL:
                    raise MemoryError
            tape.columns, tape.columns_before = tape.buffers[0], tape.buffers[1]
            if resize_tape(tape, first_capacity(graph.clock_reach[clock] if clock else 0)) != 0:
                raise MemoryError

    cdef plan_evaluation(self):
        """Order the programs' nodes so that what one instrument takes from another is computed before.

        Only for programs that do: the others are evaluated one instrument after the other.
        """
        cdef Node* node
        cdef int i, at, stop
        nodes = [(<Program>program).graph.n_nodes for program in self.programs]
        done = [0] * self.n_instruments
        segments = []
        linked = False
        progress = True
        while progress:
            progress = False
            for i in range(self.n_instruments):
                stop = at = done[i]
                while stop < nodes[i]:
                    node = &self.tapes[i].graph.nodes[stop]
                    if node.other_instrument >= 0:
                        if not 0 <= node.other_instrument < self.n_instruments:
                            raise ValueError(f"instrument {node.other_instrument} of {self.n_instruments}")
                        linked = True
                        if node.needed_node >= done[node.other_instrument] and node.other_instrument != i:
                            break
                    stop += 1
                if stop > at:
                    segments.append((i, at, stop))
                    done[i] = stop
                    progress = True
        if done != nodes:
            raise ValueError("two instruments need each other's values first")
        if linked:
            self.segments = <Segment*>calloc(len(segments), sizeof(Segment))
            if self.segments == NULL:
                raise MemoryError
            for i, (instrument, first, last) in enumerate(segments):
                self.segments[i].instrument, self.segments[i].first, self.segments[i].last = instrument, first, last
            self.n_segments = len(segments)

    def __dealloc__(self):
        cdef int i
        if self.tapes != NULL:
            for i in range(self.n_instruments):
                free_tapes(&self.tapes[i])
        if self.markets != NULL:
            for i in range(self.n_instruments):
                free(self.markets[i].records)
        free(self.tapes)
        free(self.holdings)
        free(self.markets)
        free(self.touched)
        free(self.lanes)
        free(self.resting)
        free(self.segments)
        free(self.taps)

    cdef check_instrument(self, int instrument):
        if not 0 <= instrument < self.n_instruments:
            raise IndexError(f"instrument {instrument} of {self.n_instruments}")

    cdef check_lane(self, int lane):
        if not 0 <= lane < self.n_lanes:
            raise IndexError(f"lane {lane} of {self.n_lanes}")

    # ------------------------------------------------------------ set-up

    def add_lane(self, int instrument, int state_column, int64_t warm_ns, int64_t warm_trades=0):
        """Watch ``state_column`` of an instrument for entries; returns the lane's number. Lanes start flat."""
        cdef Lane* lanes
        self.check_instrument(instrument)
        (<Program>self.programs[instrument]).check_column(state_column, TYPE_BOOL)
        if self.block_open:
            raise RuntimeError("lanes are added before the first record")
        lanes = <Lane*>realloc(self.lanes, (self.n_lanes + 1) * sizeof(Lane))
        if lanes == NULL:
            raise MemoryError
        self.lanes = lanes
        memset(&lanes[self.n_lanes], 0, sizeof(Lane))
        lanes[self.n_lanes].instrument = instrument
        lanes[self.n_lanes].state = (<Program>self.programs[instrument]).graph.column_offset[state_column]
        lanes[self.n_lanes].sources = (<Program>self.programs[instrument]).sources_of(state_column)
        lanes[self.n_lanes].warm_ns = warm_ns
        lanes[self.n_lanes].warm_trades = warm_trades
        lanes[self.n_lanes].mode = MODE_FLAT
        lanes[self.n_lanes].key = NEVER
        self.n_lanes += 1
        return self.n_lanes - 1

    def set_callback(self, callback):
        """Call ``callback(instrument, ts_ns, price_ticks, size_lots)`` on every trade: the slow path, or None.

        A result other than None stops the core with ``CALLBACK`` and is kept in ``callback_result``.
        """
        self.callback = callback

    def set_block(self, int records):
        """Evaluate at most ``records`` together, 1 to ``BLOCK_TRADES``: for measuring, it changes no result."""
        if not 1 <= records <= BLOCK:
            raise ValueError(f"a block holds between 1 and {BLOCK} records, not {records}")
        self.block_limit = min(records, self.largest_block)

    def tap(self, int instrument, int column, uint8_t[::1] out not None, int64_t skip=0):
        """Copy a column of trades to ``out``, the bytes of an array, as it is computed.

        Row ``n`` is the stream's accepted trade of number ``n + skip``, of whichever instrument; rows of other
        instruments' trades are left alone. int64 and doubles take 8 bytes a row, conditions 1.
        """
        cdef Program program
        cdef Tap* taps
        cdef Tap new
        cdef int i
        self.check_instrument(instrument)
        program = self.programs[instrument]
        letter = program.type_of(column)
        if letter == "w" or program.clock_of(column) != 0:
            raise ValueError(f"column {column} cannot be copied: it is wide, or not on the clock of trades")
        taps = <Tap*>realloc(self.taps, (self.n_taps + 1) * sizeof(Tap))
        if taps == NULL:
            raise MemoryError
        self.taps = taps
        new.instrument, new.node, new.skip = instrument, program.lone_writer(column), skip
        new.offset = program.graph.column_offset[column]
        new.width = 1 if letter == "b" else 8
        new.n_rows = out.shape[0] / new.width
        new.out = <char*>&out[0] if out.shape[0] > 0 else NULL
        for i in range(self.n_taps):
            if taps[i].instrument == instrument and taps[i].offset == new.offset:  # two arrays of one column
                new.node = taps[i].node = -1
        i = self.n_taps
        while i > 0 and taps[i - 1].node > new.node:
            taps[i] = taps[i - 1]
            i -= 1
        taps[i] = new
        self.n_taps += 1
        self.tap_owners = (*(self.tap_owners or ()), out)

    def untap(self):
        """Let go of all arrays that columns are copied to."""
        self.n_taps = 0
        self.tap_owners = None

    # ------------------------------------------------------------ input

    def load(
        self,
        cnp.ndarray ts_ns not None,
        cnp.ndarray price_ticks not None,
        cnp.ndarray size_lots not None,
        cnp.ndarray bid_ticks=None,
        cnp.ndarray ask_ticks=None,
        cnp.ndarray instrument=None,
        cnp.ndarray kind=None,
        cnp.ndarray bid_lots=None,
        cnp.ndarray ask_lots=None,
        cnp.ndarray open_ticks=None,
        cnp.ndarray high_ticks=None,
        cnp.ndarray low_ticks=None,
        cnp.ndarray start_ns=None,
    ):
        """Take columns of records as the next input; they are read in place by ``advance``, never copied.

        With the last four the records are bars (``engine.model.TickBlock``), which have no quotes.
        """
        cdef cnp.npy_intp n = ts_ns.size
        cdef bint bars = open_ticks is not None
        cdef const int64_t* ts = <const int64_t*>cells_of(ts_ns, n, cnp.NPY_INT64)
        cdef const int64_t* price = <const int64_t*>cells_of(price_ticks, n, cnp.NPY_INT64)
        cdef const int64_t* size = <const int64_t*>cells_of(size_lots, n, cnp.NPY_INT64)
        cdef const int64_t* bid = <const int64_t*>cells_of(bid_ticks, n, cnp.NPY_INT64)
        cdef const int64_t* ask = <const int64_t*>cells_of(ask_ticks, n, cnp.NPY_INT64)
        cdef const uint16_t* number = <const uint16_t*>cells_of(instrument, n, cnp.NPY_UINT16)
        cdef const uint8_t* kinds = <const uint8_t*>cells_of(kind, n, cnp.NPY_UINT8)
        cdef const int64_t* bid_size = <const int64_t*>cells_of(bid_lots, n, cnp.NPY_INT64)
        cdef const int64_t* ask_size = <const int64_t*>cells_of(ask_lots, n, cnp.NPY_INT64)
        cdef const int64_t* first = <const int64_t*>cells_of(open_ticks, n, cnp.NPY_INT64)
        cdef const int64_t* high = <const int64_t*>cells_of(high_ticks, n, cnp.NPY_INT64)
        cdef const int64_t* low = <const int64_t*>cells_of(low_ticks, n, cnp.NPY_INT64)
        cdef const int64_t* start = <const int64_t*>cells_of(start_ns, n, cnp.NPY_INT64)
        if self.in_next < self.in_count or self.block_open:
            raise RuntimeError("the previous input is not finished: call advance() until it returns NONE")
        if bars != (high_ticks is not None) or bars != (low_ticks is not None) or bars != (start_ns is not None):
            raise ValueError("bars need open, high, low and start")
        if bars and (bid_ticks is not None or ask_ticks is not None or kind is not None):
            raise ValueError("bars have no quotes")
        self.in_owner = (
            ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks, instrument, kind, bid_lots, ask_lots,
            open_ticks, high_ticks, low_ticks, start_ns,
        )
        self.in_next = 0
        self.in_count = n
        self.in_ts, self.in_price, self.in_size = ts, price, size
        self.in_bid, self.in_ask, self.in_bid_size, self.in_ask_size = bid, ask, bid_size, ask_size
        self.in_instrument, self.in_kind = number, kinds
        self.in_quotes = bid != NULL or ask != NULL or bid_size != NULL or ask_size != NULL
        self.in_open, self.in_high, self.in_low, self.in_start = first, high, low, start

    def advance(self):
        """Work through the input until something fires or it ends; returns the event, ``NONE`` at the end."""
        cdef int event
        if self.callback is not None:
            return self.run_with_callback()
        with nogil:
            event = self.run()
        if event < 0:
            raise MemoryError("no memory to enlarge the tick ring")
        return event

    def push(
        self,
        int instrument,
        int64_t ts_ns,
        int64_t price_ticks,
        int64_t size_lots,
        int64_t bid_ticks=0,
        int64_t ask_ticks=0,
        int64_t bid_lots=0,
        int64_t ask_lots=0,
    ):
        """Take one trade; returns the event. After an event other than ``NONE``, call ``advance`` until ``NONE``."""
        cdef Record record = [
            ts_ns, instrument, 0, price_ticks, size_lots, bid_ticks, ask_ticks, bid_lots, ask_lots, 0, 0, 0, ts_ns
        ]
        cdef int64_t* refused
        if self.block_open or self.in_next < self.in_count:
            raise RuntimeError("the previous input is not finished: call advance() until it returns NONE")
        refused = self.objection(&record)
        if refused != NULL:
            refused[0] += 1
            self.event = EVENT_NONE
            return EVENT_NONE
        if ts_ns >= self.cut_ns:
            # A boundary lies before this trade: hand it over as one-record columns, which wait for the boundary.
            return self.push_after_boundary(
                instrument, ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks, bid_lots, ask_lots
            )
        self.begin_block()
        if self.append(&record, 1) != 0:
            raise MemoryError("no memory to enlarge the tick ring")
        self.finish_block()
        if self.callback is not None:
            return self.run_with_callback()
        return self.run()

    def push_after_boundary(self, instrument, *values):
        """The rare form of ``push``, when a session boundary must fire first."""
        import numpy as np

        ts, price, size, bid, ask, bid_size, ask_size = (np.array([value], np.int64) for value in values)
        self.load(ts, price, size, bid, ask, np.array([instrument], np.uint16), None, bid_size, ask_size)
        return self.advance()

    def pass_time(self, int64_t ts_ns):
        """Let the clock reach ``ts_ns`` without a record: timers up to it fire. Returns as ``push`` does."""
        if self.block_open or self.in_next < self.in_count:
            raise RuntimeError("the previous input is not finished: call advance() until it returns NONE")
        if ts_ns < 0 or ts_ns > TIME_BOUND:
            self.rejected_time += 1
            return EVENT_NONE
        self.in_time = ts_ns
        return self.run()

    cdef void begin_block(self) noexcept nogil:
        cdef int i, instrument
        cdef Market* market
        cdef Tape* tape
        cdef Resting* it
        for i in range(self.n_resting):
            it = &self.resting[i]
            if it.kind == REST_WATCH:
                watch_quotes(it, &self.tapes[it.instrument], &self.block, self.block.records)
            it.from_record = 0
        for i in range(self.n_touched):
            instrument = self.touched[i]
            market = &self.markets[instrument]
            tape = &self.tapes[instrument]
            market.touched = 0
            tape.fresh_before = tape.fresh if tape.fresh > 0 else tape.fresh_before
            tape.fresh = 0
            market.bid_before = market.bid
            market.ask_before = market.ask
            market.bid_size_before = tape.bid_size
            market.ask_size_before = tape.ask_size
            if market.trades > 0:
                market.price_before = fixed_column(tape, COL_PRICE)[market.trades - 1]
                market.trades_before = market.trades
            market.trades = 0
        self.n_touched = 0
        self.records_before += self.block.records
        self.block.records = 0
        self.block.of_bars = 0
        self.account.scanned = 0
        self.callback_record = 0
        self.event_key = -1

    cdef int64_t* objection(self, const Record* record) noexcept nogil:
        """The counter of the reason to refuse a record, or NULL when it is valid."""
        if <unsigned int>record.instrument >= <unsigned int>self.n_instruments:
            return &self.rejected_instrument
        if record.ts > TIME_BOUND or record.ts < 0:
            return &self.rejected_time
        if <uint64_t>record.bid > <uint64_t>INPUT_BOUND or <uint64_t>record.ask > <uint64_t>INPUT_BOUND:
            return &self.rejected_price
        if <uint64_t>record.bid_size > <uint64_t>INPUT_BOUND or <uint64_t>record.ask_size > <uint64_t>INPUT_BOUND:
            return &self.rejected_size
        if record.kind == 0:
            if <uint64_t>(<uint64_t>record.price - 1) >= <uint64_t>INPUT_BOUND:
                return &self.rejected_price
            if <uint64_t>(<uint64_t>record.size - 1) >= <uint64_t>INPUT_BOUND:
                return &self.rejected_size
        if record.open != 0:
            if record.start >= record.ts:
                return &self.rejected_time
            if not (0 < record.low <= record.open <= record.high <= INPUT_BOUND):
                return &self.rejected_price
            if not record.low <= record.price <= record.high:
                return &self.rejected_price
        return NULL

    cdef int append(self, const Record* record, int single) noexcept nogil:
        """Add one valid record to the block, its only one if ``single``.

        Returns 0, or -1 without memory: the record is then not taken.
        """
        cdef int number = self.block.records
        cdef Tape* tape = &self.tapes[record.instrument]
        cdef Market* market = &self.markets[record.instrument]
        cdef int trade = market.trades
        cdef int64_t ts = record.ts
        if record.kind == 0 and trade == 0:
            if make_room(tape, BLOCK) != 0:
                return -1
            turn_columns(tape, single)
        if ts >= self.reached:
            self.reached = ts
        else:
            self.late += 1
            ts = self.reached
        if not market.touched:
            market.touched = 1
            self.touched[self.n_touched] = record.instrument
            self.n_touched += 1
        take_quotes(tape, market, record)
        self.block.identity = 0
        self.block.ts[number] = ts
        self.block.instrument[number] = record.instrument
        self.block.records = number + 1
        if record.kind != 0:
            self.block.trade[number] = -1
            self.block.bid[number] = market.bid
            self.block.ask[number] = market.ask
            self.block.bid_size[number] = tape.bid_size
            self.block.ask_size[number] = tape.ask_size
            self.quotes_seen += 1
            return 0
        self.trades_seen += 1
        self.block.trade[number] = trade
        market.records[trade] = number
        market.trades = trade + 1
        fixed_column(tape, COL_TS)[trade] = ts
        fixed_column(tape, COL_PRICE)[trade] = record.price
        fixed_column(tape, COL_SIZE)[trade] = record.size
        fixed_column(tape, COL_BID)[trade] = market.bid
        fixed_column(tape, COL_ASK)[trade] = market.ask
        fixed_column(tape, COL_BID_SIZE)[trade] = tape.bid_size
        fixed_column(tape, COL_ASK_SIZE)[trade] = tape.ask_size
        fixed_column(tape, COL_FLOW)[trade] = tape.flow
        tape.of_bars = self.block.of_bars
        if tape.of_bars:
            self.begun = record.start if record.start > self.begun else self.begun
            self.block.start[number] = self.begun
            fixed_column(tape, COL_OPEN)[trade] = record.open
            fixed_column(tape, COL_HIGH)[trade] = record.high
            fixed_column(tape, COL_LOW)[trade] = record.low
            fixed_column(tape, COL_START)[trade] = record.start
        append_trade(tape, trade)
        return 0

    cdef int fill_block(self) noexcept nogil:
        """Move valid records from the input into a new block, up to a boundary, and count those that are refused.

        Returns 1 when the block is ready, 0 when the input or the boundary comes first, or -1 without memory.
        """
        cdef int64_t i
        cdef int64_t* refused
        cdef Record record
        cdef int status = 0
        self.begin_block()
        if self.in_open != NULL:
            self.block.of_bars = 1
        elif self.in_instrument == NULL and self.in_kind == NULL:
            if self.tapes[0].graph.needs_flow:
                status = 0
            elif self.block_limit > 1:
                status = self.append_plain_trades()
            elif not self.in_quotes:
                status = self.append_plain_trade()
        i = self.in_next
        while status == 0 and i < self.in_count and self.block.records < self.block_limit:
            self.read_record(i, &record)
            refused = self.objection(&record)
            if refused != NULL:
                refused[0] += 1
            elif record.ts - self.block.of_bars >= self.cut_ns:  # a bar that ends at the boundary lies before it
                break
            else:
                status = self.append(&record, self.block_limit == 1)
            i += status == 0
        self.in_next = i
        if self.block.records == 0:
            return status
        self.finish_block()  # a record that found no memory is tried again with the next block
        return 1

    cdef void read_record(self, int64_t i, Record* record) noexcept nogil:
        """The input's ``i``-th record."""
        record.ts = self.in_ts[i]
        record.instrument = self.in_instrument[i] if self.in_instrument != NULL else 0
        record.kind = self.in_kind[i] if self.in_kind != NULL else 0
        record.price = self.in_price[i]
        record.size = self.in_size[i]
        record.bid = self.in_bid[i] if self.in_bid != NULL else 0
        record.ask = self.in_ask[i] if self.in_ask != NULL else 0
        record.bid_size = self.in_bid_size[i] if self.in_bid_size != NULL else 0
        record.ask_size = self.in_ask_size[i] if self.in_ask_size != NULL else 0
        record.open = self.in_open[i] if self.in_open != NULL else 0
        record.high = self.in_high[i] if self.in_high != NULL else 0
        record.low = self.in_low[i] if self.in_low != NULL else 0
        record.start = self.in_start[i] if self.in_start != NULL else record.ts

    cdef int append_plain_trades(self) noexcept nogil:
        """As ``append`` for the commonest input, trades of one instrument; stops at the first that is not plain.

        Plain means: no boundary reached, time, price and size within their bounds. Returns 0, or -1 without memory.
        """
        cdef Tape* tape = &self.tapes[0]
        cdef Market* market = &self.markets[0]
        cdef const int64_t* in_ts = self.in_ts + self.in_next
        cdef const int64_t* in_price = self.in_price + self.in_next
        cdef const int64_t* in_size = self.in_size + self.in_next
        cdef const int64_t* in_bid = self.in_bid + self.in_next if self.in_bid != NULL else NULL
        cdef const int64_t* in_ask = self.in_ask + self.in_next if self.in_ask != NULL else NULL
        cdef const int64_t* in_bid_size = self.in_bid_size + self.in_next if self.in_bid_size != NULL else NULL
        cdef const int64_t* in_ask_size = self.in_ask_size + self.in_next if self.in_ask_size != NULL else NULL
        cdef int64_t last = self.cut_ns - 1 if 0 < self.cut_ns <= TIME_BOUND else TIME_BOUND
        cdef int n = self.block_limit
        if self.cut_ns <= 0:
            return 0
        if self.in_count - self.in_next < n:
            n = <int>(self.in_count - self.in_next)
        n = plain_before(in_ts, last, n)
        n = sizes_before(in_price, n)
        n = sizes_before(in_size, n)
        n = quotes_before(in_bid, n)
        n = quotes_before(in_ask, n)
        n = quotes_before(in_bid_size, n)
        n = quotes_before(in_ask_size, n)
        if n == 0:
            return 0
        if make_room(tape, BLOCK) != 0:
            return -1
        turn_columns(tape, 0)
        memcpy(fixed_column(tape, COL_PRICE), in_price, n * sizeof(int64_t))
        memcpy(fixed_column(tape, COL_SIZE), in_size, n * sizeof(int64_t))
        if in_bid != NULL or market.bid != 0:  # without any quote the columns are still the zeros they began as
            market.bid = carry_forward(fixed_column(tape, COL_BID), in_bid, market.bid, n)
        if in_ask != NULL or market.ask != 0:
            market.ask = carry_forward(fixed_column(tape, COL_ASK), in_ask, market.ask, n)
        if in_bid_size != NULL or tape.bid_size != 0:
            tape.bid_size = carry_forward(fixed_column(tape, COL_BID_SIZE), in_bid_size, tape.bid_size, n)
        if in_ask_size != NULL or tape.ask_size != 0:
            tape.ask_size = carry_forward(fixed_column(tape, COL_ASK_SIZE), in_ask_size, tape.ask_size, n)
        self.late += run_clock(self.block.ts, in_ts, &self.reached, n)
        memcpy(fixed_column(tape, COL_TS), self.block.ts, n * sizeof(int64_t))
        append_trades(tape, 0, n)
        self.note_plain_trades(n)
        return 0

    cdef int append_plain_trade(self) noexcept nogil:
        """As ``append_plain_trades`` for a block of one trade, where there have never been quotes."""
        cdef Tape* tape = &self.tapes[0]
        cdef int64_t ts = self.in_ts[self.in_next]
        cdef int64_t price = self.in_price[self.in_next], size = self.in_size[self.in_next]
        if self.markets[0].bid | self.markets[0].ask | tape.bid_size | tape.ask_size:
            return 0
        if not 0 <= ts <= TIME_BOUND or ts >= self.cut_ns:
            return 0
        if <uint64_t>price - 1 >= <uint64_t>INPUT_BOUND or <uint64_t>size - 1 >= <uint64_t>INPUT_BOUND:
            return 0
        if make_room(tape, BLOCK) != 0:
            return -1
        turn_columns(tape, 1)
        if ts < self.reached:
            self.late += 1
            ts = self.reached
        self.reached = ts
        self.block.ts[0] = ts
        fixed_column(tape, COL_PRICE)[0] = price
        fixed_column(tape, COL_SIZE)[0] = size
        fixed_column(tape, COL_TS)[0] = ts
        append_trade(tape, 0)
        self.note_plain_trades(1)
        return 0

    cdef int is_plain(self) noexcept nogil:
        """Whether the block is of one plain trade, and nobody asks for more than whether a lane enters."""
        return (
            self.block.identity and self.block.records == 1 and not self.block.of_bars and not self.in_quotes
            and self.in_instrument == NULL and self.in_kind == NULL and self.in_open == NULL
            and self.n_instruments == 1 and self.n_segments == 0 and self.n_resting == 0 and self.n_taps == 0
            and not self.tapes[0].graph.needs_flow and not self.may_fire()
        )

    cdef void pass_plain_trades(self) noexcept nogil:
        """Go on with further blocks of one plain trade, without ceremony, until something is found or one is not plain.

        All is then as if each had been closed and the next begun: what nothing has changed is not written again.
        """
        cdef Tape* tape = &self.tapes[0]
        cdef int64_t until = self.cut_ns if self.cut_ns < self.alarm_ns else self.alarm_ns
        cdef int64_t ts, price, size
        while not self.found and self.in_next < self.in_count:
            ts, price, size = self.in_ts[self.in_next], self.in_price[self.in_next], self.in_size[self.in_next]
            if ts < self.reached or ts > TIME_BOUND or ts >= until:
                return
            if <uint64_t>price - 1 >= <uint64_t>INPUT_BOUND or <uint64_t>size - 1 >= <uint64_t>INPUT_BOUND:
                return
            if make_room(tape, BLOCK) != 0:
                return
            self.markets[0].price_before = fixed_column(tape, COL_PRICE)[0]
            self.markets[0].trades_before = 1
            self.engine_ts_ns = self.event_ts_ns = self.reached
            self.records_before += 1
            self.trades_seen += 1
            self.in_next += 1
            self.reached = self.block.ts[0] = ts
            tape.fresh_before = 1
            turn_columns(tape, 1)
            fixed_column(tape, COL_PRICE)[0] = price
            fixed_column(tape, COL_SIZE)[0] = size
            fixed_column(tape, COL_TS)[0] = ts
            append_trade(tape, 0)
            begin_evaluation(tape)
            evaluate_one(tape)
            self.search_block()

    cdef void note_plain_trades(self, int n) noexcept nogil:
        """Say of the block that its records are the next ``n`` trades of the only instrument."""
        cdef Market* market = &self.markets[0]
        cdef int k
        if not self.block.identity:
            self.block.identity = 1
            for k in range(BLOCK):
                self.block.instrument[k] = 0
                self.block.trade[k] = k
                market.records[k] = k
        self.tapes[0].of_bars = 0
        market.touched = 1
        market.trades = n
        self.touched[0] = 0
        self.n_touched = 1
        self.block.records = n
        self.trades_seen += n
        self.in_next += n

    cdef void finish_block(self) noexcept nogil:
        """Evaluate the graphs over the block's trades and find each lane's next event."""
        if self.block.records > 0:
            self.block.times = self.block.records
        self.evaluate_graphs()
        if self.n_taps > 0:
            self.copy_taps()
        self.search_block()
        self.block_open = 1

    cdef void search_block(self) noexcept nogil:
        """Find each lane's and resting order's first event in the block."""
        cdef Lane* lane
        cdef int i
        self.found = 0
        for i in range(self.n_lanes):
            lane = &self.lanes[i]
            lane.from_record = 0
            lane.cursor = 0
            lane.entered_within = -1
            if not stays_flat(lane, &self.tapes[lane.instrument]):
                self.research(i)
        for i in range(self.n_resting):
            self.research_resting(&self.resting[i])

    cdef void evaluate_graphs(self) noexcept nogil:
        cdef Tape* tape
        cdef Segment* segment
        cdef int i
        for i in range(self.n_touched):
            tape = &self.tapes[self.touched[i]]
            tape.fresh = self.markets[self.touched[i]].trades
            if tape.fresh > 0:
                begin_evaluation(tape)
                if self.n_segments == 0:
                    if tape.fresh == 1:
                        evaluate_one(tape)
                    elif tape.fresh == BLOCK and tape.graph.n_nodes > 0:
                        self.evaluate_and_fetch(tape)
                    else:
                        evaluate(tape, 0, tape.graph.n_nodes)
                    end_evaluation(tape)
        if self.n_segments == 0:
            return
        for i in range(self.n_segments):
            segment = &self.segments[i]
            tape = &self.tapes[segment.instrument]
            if tape.fresh > 0:  # else its clocks of bars still hold what closed in a block before
                evaluate(tape, segment.first, segment.last)
        for i in range(self.n_touched):
            tape = &self.tapes[self.touched[i]]
            if tape.fresh > 0:
                end_evaluation(tape)

    cdef void evaluate_and_fetch(self, Tape* tape) noexcept nogil:
        """``evaluate`` a whole block, while the memory that is needed next comes: a little with each node.

        Those are the next block's records and the rows of arrays that this block's columns are copied to, which
        processors read before they write. What comes while something else is computed need not be waited for.
        """
        cdef int nodes = tape.graph.n_nodes, node, i, at = 0
        cdef int step = (FETCHED // CACHE_LINE // nodes + 1) * CACHE_LINE
        cdef int next = 0  # of the taps
        cdef Tap* tap
        self.aim_taps(tape)
        for node in range(nodes):
            while next < self.n_taps and (self.taps[next].node < node or self.taps[next].instrument != tape.instrument):
                next += 1
            tap = &self.taps[next]
            if next < self.n_taps and tap.node == node and self.is_straight(tap):
                self.evaluate_straight(tape, tap)
            else:
                evaluate(tape, node, node + 1)
            if at == FETCHED:
                continue
            step = step if at + step < FETCHED else FETCHED - at
            if self.in_next + BLOCK <= self.in_count:
                fetch(<const char*>(self.in_ts + self.in_next) + at, step)
                fetch(<const char*>(self.in_price + self.in_next) + at, step)
                fetch(<const char*>(self.in_size + self.in_next) + at, step)
            for i in range(self.n_taps):
                tap = &self.taps[i]
                if tap.rows != NULL and tap.width == sizeof(double):
                    fetch(tap.rows + at, step)
            at += step

    cdef void aim_taps(self, const Tape* tape) noexcept nogil:
        """Find out where a block goes that holds ``BLOCK`` trades of one instrument."""
        cdef int64_t row
        cdef Tap* tap
        cdef int i
        for i in range(self.n_taps):
            tap = &self.taps[i]
            row = self.trades_seen - BLOCK - tap.skip
            tap.rows = NULL
            if tap.instrument == tape.instrument and 0 <= row <= tap.n_rows - BLOCK:
                tap.rows = tap.out + row * tap.width

    cdef int is_straight(self, const Tap* tap) noexcept nogil:
        """Whether a whole block is written to the array by its node: nobody may want it in the column."""
        if tap.node < 0 or self.n_lanes > 0 or self.n_segments > 0 or self.callback is not None:
            return 0
        return tap.rows != NULL

    cdef void evaluate_straight(self, Tape* tape, const Tap* tap) noexcept nogil:
        """Have a node write a block to the array; the last value, which may be asked for, is in its column too."""
        cdef Node node = tape.graph.nodes[tap.node]
        node.out = tap.rows - tape.columns
        node.work(tape, tape.slots + tap.node, &node, BLOCK)
        (<double*>(tape.columns + tap.offset))[BLOCK - 1] = (<const double*>tap.rows)[BLOCK - 1]

    cdef void copy_taps(self) noexcept nogil:
        """Copy the tapped columns of this block to their arrays."""
        cdef int64_t first, row
        cdef int rank[BLOCK + 1]
        cdef int i, k, trades = 0, ranked = 0
        cdef Tap* tap
        cdef Tape* tape
        for i in range(self.n_touched):
            trades += self.tapes[self.touched[i]].fresh
        for i in range(self.n_taps):
            tap = &self.taps[i]
            tape = &self.tapes[tap.instrument]
            first = self.trades_seen - trades - tap.skip
            if tape.fresh == BLOCK and self.is_straight(tap):
                continue
            if tape.fresh == trades and 0 <= first <= tap.n_rows - trades:  # the block has no other instrument's
                memcpy(tap.out + first * tap.width, tape.columns + tap.offset, trades * tap.width)
                continue
            if not ranked:
                self.rank_trades(rank)
                ranked = 1
            for k in range(tape.fresh):
                row = first + rank[tape.records[k]]
                if 0 <= row < tap.n_rows:
                    memcpy(tap.out + row * tap.width, tape.columns + tap.offset + k * tap.width, tap.width)

    cdef void rank_trades(self, int* rank) noexcept nogil:
        """Write how many trades come before each record of the block."""
        cdef int trades = 0, k
        for k in range(self.block.records):
            rank[k] = trades
            trades += self.block.trade[k] >= 0

    cdef void research(self, int lane) noexcept nogil:
        cdef int instrument = self.lanes[lane].instrument
        cdef Market* market = &self.markets[instrument]
        cdef Lane* it = &self.lanes[lane]
        if self.block.of_bars and it.mode == MODE_OPEN:
            search_bars(it, &self.tapes[instrument], market.records, market.trades, &self.block)
        else:
            search(it, &self.tapes[instrument], market.records, market.trades, &self.block)
        self.found |= it.key != NEVER

    cdef void research_resting(self, Resting* it) noexcept nogil:
        search_resting(it, &self.tapes[it.instrument], &self.block)
        self.found |= it.key != NEVER

    # ------------------------------------------------------------ events

    cdef void take(self, int event, int lane, int64_t key, int64_t ts) noexcept nogil:
        """Make ``event`` the one that the caller sees."""
        self.event = event
        self.event_lane = lane
        self.event_key = key
        self.event_record = <int>(key / PHASES)
        self.event_on_record = key % PHASES != PHASE_TIMER
        self.event_ts_ns = ts
        self.engine_ts_ns = ts
        self.event_price = 0
        if lane >= 0:
            self.event_instrument = self.lanes[lane].instrument
            self.event_state = self.lanes[lane].previous
            self.event_price = self.lanes[lane].price
            self.event_stop = self.lanes[lane].stop_kind if event == EVENT_STOP else STOP_DECLARED
        else:
            self.event_instrument = self.block.instrument[self.event_record] if self.event_on_record else -1

    cdef int next_event(self, int64_t before) noexcept nogil:
        """Take the earliest event of the block whose key lies below ``before``; EVENT_NONE when there is none."""
        cdef int i, best = -1, filled = -1, record, alarm_first
        cdef int64_t key = before, deadline = NEVER, alarm, ts
        cdef Lane* lane
        for i in range(self.n_lanes):
            lane = &self.lanes[i]
            if lane.key < key or (lane.key == key and key % PHASES == PHASE_TIMER and lane.deadline < deadline):
                best = i
                key = lane.key
                deadline = lane.deadline if key % PHASES == PHASE_TIMER else NEVER
        for i in range(self.n_resting):
            if self.resting[i].key < key:  # an exit of the lane itself comes before a fill at the same place in a bar
                filled = i
                key = self.resting[i].key
        alarm = self.alarm_key()
        alarm_first = alarm < key or (alarm == key and alarm != NEVER and self.alarm_ns <= deadline)
        if alarm_first:
            key = alarm
        if self.account.open_positions > 0:
            if self.block.of_bars:
                record = mark_bars(&self.account, self.holdings, self.tapes, &self.block, key)
            else:
                record = mark_account(
                    &self.account, self.holdings, self.tapes, self.markets, &self.block, key
                )
            if record >= 0:
                self.take(EVENT_RISK, -1, <int64_t>record * PHASES + PHASE_RISK, self.block.ts[record])
                self.event_price = self.holdings[self.event_instrument].mark_ticks
                return EVENT_RISK
        if alarm_first:
            self.take(EVENT_ALARM, -1, alarm, self.alarm_ns)
            self.alarm_ns = NEVER
            return EVENT_ALARM
        if filled >= 0:
            return self.take_fill(&self.resting[filled])
        if best < 0:
            return EVENT_NONE
        lane = &self.lanes[best]
        ts = self.timer_ts(lane) if key % PHASES == PHASE_TIMER else self.block.ts[key / PHASES]
        self.take(lane.event, best, key, ts)
        # Until the kernel answers, the lane goes on as it is: a flat one looks on after this trade.
        lane.from_record = self.event_record + self.event_on_record
        if lane.mode == MODE_OPEN:
            lane.mode = MODE_HELD
        self.research(best)
        return self.event

    cdef int may_fire(self) noexcept nogil:
        """Whether the block may hold an event: 0 spares most blocks the search for the earliest one."""
        return (
            self.found
            or self.account.open_positions > 0
            or self.alarm_ns <= self.block.ts[self.block.times - 1]
        )

    cdef int take_fill(self, Resting* it) noexcept nogil:
        """Make the fill of a resting order the event; what is left of the order rests on."""
        cdef int record = <int>(it.key / PHASES)
        self.take(EVENT_FILL, -1, it.key, self.block.ts[record])
        self.event_order = it.order
        self.event_lots = it.lots if it.offered > it.lots else it.offered
        if self.block.of_bars:
            self.event_price = price_within_bar(it, &self.tapes[it.instrument], self.block.trade[record])
        it.lots -= self.event_lots
        self.research_resting(it)
        return EVENT_FILL

    cdef int64_t timer_ts(self, const Lane* lane) noexcept nogil:
        """When a lane's timer fires: at its deadline, unless bars of other instruments have ended since."""
        cdef int64_t record = lane.key / PHASES
        cdef int64_t now = self.block.ts[record - 1] if record > 0 else self.engine_ts_ns
        return lane.deadline if lane.deadline > now else now

    cdef int64_t alarm_key(self) noexcept nogil:
        """The key of the alarm, or NEVER when this block does not reach it."""
        cdef int64_t key
        if self.alarm_ns == NEVER:
            return NEVER
        key = <int64_t>first_at_or_after(&self.block, self.alarm_ns, 0) * PHASES + PHASE_TIMER
        if key < self.event_key:  # set for a time that has passed: due before the next record
            key = (self.event_key / PHASES + 1) * PHASES + PHASE_TIMER
        return key if key < <int64_t>self.block.times * PHASES else NEVER

    cdef int next_block(self) noexcept nogil:
        """Close the block that is worked through and begin the next.

        Returns 1 when one is ready, 0 when the input has ended, 2 at a boundary, -1 without memory.
        """
        cdef int status
        if self.block_open:
            self.block_open = 0
            self.engine_ts_ns = self.reached
            self.event_ts_ns = self.reached
            self.event_key = -1
        if self.in_next < self.in_count:
            status = self.fill_block()
            if status != 0:
                return status
            if self.in_next < self.in_count:
                return self.come_to_cut()
        if self.in_time > self.reached:
            if self.in_time >= self.cut_ns:
                return self.come_to_cut()
            self.begin_time_block(self.in_time)
            return 1
        self.event = EVENT_NONE
        return 0

    cdef int come_to_cut(self) noexcept nogil:
        """Fire the timers that are due before the boundary, then the boundary. 1: timers to look at, 2: boundary."""
        if self.cut_ns > 0 and self.reached < self.cut_ns - 1:  # no timer is due before the epoch
            self.begin_time_block(self.cut_ns - 1)
            return 1
        self.take(EVENT_BOUNDARY, -1, 0, self.cut_ns)
        self.cut_ns = NEVER
        return 2

    cdef void begin_time_block(self, int64_t ts) noexcept nogil:
        """A block without records that ends at ``ts``, so that timers up to then fire."""
        self.begin_block()
        self.block.ts[0] = ts
        self.block.times = 1
        self.reached = ts
        self.finish_block()

    cdef int run(self) noexcept nogil:
        cdef int event, status
        while True:
            if self.block_open and self.may_fire():
                event = self.next_event(NEVER)
                if event != EVENT_NONE:
                    return event
            status = self.next_block()
            if status != 1:
                return self.event if status >= 0 else -1
            if self.block_limit == 1 and self.is_plain():
                self.pass_plain_trades()

    cdef int run_with_callback(self) except -2:
        """As ``run``, with the callback after each trade's own events."""
        cdef int event, record, trade, instrument, status
        while True:
            while self.block_open and self.callback_record < self.block.records:
                record = self.callback_record
                event = self.next_event(<int64_t>record * PHASES + PHASE_CALLBACK)
                if event != EVENT_NONE:
                    return event
                self.callback_record += 1
                trade = self.block.trade[record]
                if trade < 0:
                    continue
                instrument = self.block.instrument[record]
                self.engine_ts_ns = self.block.ts[record]
                self.callback_result = self.callback(
                    instrument,
                    self.block.ts[record],
                    fixed_column(&self.tapes[instrument], COL_PRICE)[trade],
                    fixed_column(&self.tapes[instrument], COL_SIZE)[trade],
                )
                if self.callback_result is not None:
                    self.take(EVENT_CALLBACK, -1, <int64_t>record * PHASES + PHASE_CALLBACK, self.block.ts[record])
                    return EVENT_CALLBACK
            if self.block_open:
                event = self.next_event(NEVER)
                if event != EVENT_NONE:
                    return event
            status = self.next_block()
            if status < 0:
                raise MemoryError("no memory to enlarge the tick ring")
            if status != 1:
                return self.event

    # ------------------------------------------------------------ what the kernel answers

    def open_lane(
        self,
        int lane,
        int side,
        int64_t stop_ticks,
        int64_t target_ticks,
        int64_t deadline_ns=NEVER,
        int flat_candles=0,
        int64_t entry_ts_ns=0,
        int64_t first_price_ticks=0,
    ):
        """Watch an open position from the next record on.

        Args:
            lane: the lane that entered.
            side: 1 long, -1 short.
            stop_ticks: the price nearest to the entry that closes with ``STOP``; ``target_ticks`` likewise.
            deadline_ns: time stop, or ``FOREVER_NS``.
            flat_candles: consecutive flat one-second candles that close with ``FLAT``; 0 for never.
            entry_ts_ns: time of the entry fill; candles that begin earlier do not count.
            first_price_ticks: the price with which a candle that begins exactly at the entry opens.
        """
        cdef Lane* it
        self.check_lane(lane)
        it = &self.lanes[lane]
        it.mode = MODE_OPEN
        it.side = 1 if side > 0 else -1
        it.stop_ticks = stop_ticks
        it.target_ticks = target_ticks
        it.deadline_ns = deadline_ns
        it.flat_candles = flat_candles
        it.stop_kind = STOP_DECLARED
        it.managed.declared = stop_ticks
        it.managed.side = it.side
        it.entered_within = -1
        if self.block_open and self.block.of_bars and self.event == EVENT_FILL:
            it.entered_within = self.event_record
        begin_candles(it, entry_ts_ns, first_price_ticks)
        self.resume_lane(lane)

    def manage_lane(
        self,
        int lane,
        int64_t best_ticks,
        int64_t entry_ts_ns,
        *,
        int64_t decay_ticks=0,
        int64_t decay_ns=0,
        object even_from=None,
        int64_t even_ticks=0,
        object trail_from=None,
        int64_t trail_ticks=0,
        int64_t trail_share=0,
        int64_t trail_scale=1,
        int opposite=0,
        int when_column=-1,
    ):
        """Let the stop of the position that ``open_lane`` is about to watch move; forgotten when the lane is flat.

        Args:
            lane: the lane that entered.
            best_ticks: the price that counts as the best so far, that of the entry.
            entry_ts_ns: time of the entry fill.
            decay_ticks, decay_ns: how far the stop comes closer, evenly, in how long.
            even_from, even_ticks: from which price on the stop is no worse than which; None: never.
            trail_from: from which price on the stop follows the best price; None: never.
            trail_ticks: at which distance, or, where it is 0,
            trail_share, trail_scale: at which share of the best price, in which parts. Both below 2**22.
            opposite: the state of the rule, 1 long or 2 short, that closes; 0 for none.
            when_column: the condition that closes; -1 for none.
        """
        cdef Management* it
        cdef Program program
        self.check_lane(lane)
        if not (0 <= trail_share < 1 << 22 and 1 <= trail_scale < 1 << 22):
            raise ValueError("a share of the best price is given in parts below 2**22")
        it = &self.lanes[lane].managed
        memset(it, 0, sizeof(Management))
        it.on = 1
        it.best = best_ticks
        it.decay_ticks, it.decay_from_ns, it.decay_ns = decay_ticks, entry_ts_ns, decay_ns
        it.evens, it.even_from, it.even_ticks = even_from is not None, even_from or 0, even_ticks
        it.trails, it.trail_from = trail_from is not None, trail_from or 0
        it.trail_ticks, it.trail_share, it.trail_scale = trail_ticks, trail_share, trail_scale
        it.opposite = <uint8_t>opposite
        if when_column >= 0:
            program = self.programs[self.lanes[lane].instrument]
            program.check_column(when_column, TYPE_BOOL)
            it.has_when, it.when = 1, program.graph.column_offset[when_column]

    def go_on(self, int lane, int64_t target_ticks):
        """Watch an open position on after its target: what is left of it has another one, further away.

        The record that reached the target is looked at again: it may be a bar, and the stop in it still to come.
        """
        cdef Lane* it
        self.check_lane(lane)
        it = &self.lanes[lane]
        it.mode = MODE_OPEN
        it.target_ticks = target_ticks
        it.from_record = self.event_record
        it.cursor = first_trade_from(
            self.markets[it.instrument].records, self.markets[it.instrument].trades, self.event_record
        )
        self.research(lane)

    def stop_of(self, int lane):
        """The stop of an open lane as of the trades it has been through, ticks."""
        self.check_lane(lane)
        return self.lanes[lane].stop_ticks

    def close_lane(self, int lane):
        """The lane is flat again: a signal that already holds on the next trade begins there."""
        self.check_lane(lane)
        self.lanes[lane].mode = MODE_FLAT
        self.lanes[lane].previous = 0
        self.lanes[lane].managed.on = 0
        self.resume_lane(lane)

    def hold_lane(self, int lane):
        """Watch nothing on this lane until ``open_lane`` or ``close_lane``: an order is on its way."""
        self.check_lane(lane)
        self.lanes[lane].mode = MODE_HELD
        self.lanes[lane].key = NEVER

    def resume_lane(self, int lane):
        """Search again from the present event on."""
        cdef Lane* it = &self.lanes[lane]
        cdef Market* market
        if not self.block_open:
            it.key = NEVER
            return
        market = &self.markets[it.instrument]
        it.from_record = self.event_record + self.event_on_record if self.event_key >= 0 else 0
        if it.mode == MODE_OPEN and it.entered_within >= 0:
            it.from_record = it.entered_within  # the rest of the bar may still turn against the entry
        it.cursor = first_trade_from(market.records, market.trades, it.from_record)
        self.research(lane)

    # ------------------------------------------------------------ orders that rest at the venue

    def rest(
        self, int64_t order, int instrument, int kind, int model, int side, int64_t price_ticks, int64_t lots,
        bint is_exit=False,
    ):
        """Let an order rest from the next record on: ``FILL`` fires for each record that fills some of it.

        Args:
            order: its id, which ``event_order`` then names; ``event_lots`` says how many lots are filled.
            kind: ``RESTS_LIMIT``, ``RESTS_STOP``, or ``RESTS_WATCH``, which only keeps the ``worst_quote``.
            model: ``LAST``, ``TOUCH``, ``THROUGH``, ``QUEUE`` or ``WORST``.
            side: 1 buys, -1 sells.
            price_ticks: the limit, or the price that triggers a stop.
            lots: to be filled.
            is_exit: whether it closes a position: in a bar it is then filled after the bar's worst price.
        """
        cdef Resting* it
        self.check_instrument(instrument)
        it = <Resting*>realloc(self.resting, (self.n_resting + 1) * sizeof(Resting))
        if it == NULL:
            raise MemoryError
        self.resting = it
        it = &self.resting[self.n_resting]
        memset(it, 0, sizeof(Resting))
        it.order, it.instrument, it.kind, it.model, it.side = order, instrument, kind, model, side
        it.price, it.lots, it.is_exit, it.ahead, it.key = price_ticks, lots, is_exit, UNKNOWN_QUEUE, NEVER
        self.n_resting += 1
        bid, ask = self.quote(instrument)
        if kind == REST_WATCH:
            note_worst(it, bid, ask)
        else:
            bid_size, ask_size = self.displayed(instrument)
            join_queue(it, bid, ask, bid_size, ask_size)
        it.from_record = self.block.records  # what has been worked through is over
        if self.block_open:
            it.from_record = self.event_record + self.event_on_record if self.event_key >= 0 else 0
            self.research_resting(it)

    cdef Resting* find_resting(self, int64_t order) except NULL:
        cdef int i
        for i in range(self.n_resting):
            if self.resting[i].order == order:
                return &self.resting[i]
        raise KeyError(f"order {order} does not rest")

    def resize(self, int64_t order, int64_t lots):
        """Let ``lots`` of a resting order be left; it keeps its place in the queue."""
        self.find_resting(order).lots = lots

    def withdraw(self, int64_t order):
        """Let an order rest no longer."""
        cdef Resting* it = self.find_resting(order)
        self.n_resting -= 1
        it[0] = self.resting[self.n_resting]

    def worst_quote(self, int64_t order):
        """The lowest bid and highest ask since a watch began, as of the present event; 0 where there was none."""
        cdef Resting* it = self.find_resting(order)
        if self.block_open and self.event_key >= 0:
            watch_quotes(it, &self.tapes[it.instrument], &self.block, self.event_record + self.event_on_record)
        return it.worst_bid, it.worst_ask

    def restart_windows(self, int instrument):
        """Begin anew at the next trade: windows are cold until they have refilled."""
        self.check_instrument(instrument)
        if self.block_open:
            raise RuntimeError("windows restart between inputs or at a boundary")
        restart_windows(&self.tapes[instrument])

    def begin_session(
        self,
        int instrument,
        bint is_open=True,
        int64_t open_ns=0,
        int64_t close_ns=NEVER,
        int64_t midnight_ns=0,
        int64_t week=0,
    ):
        """Begin a session, or the time between two, at the next trade: what is counted from its opening starts anew.

        Args:
            instrument: whose session.
            is_open: False between sessions: trades then make no bars.
            open_ns, close_ns: bounds of the session, or of the next one.
            midnight_ns: 00:00 of the trading day where the exchange is.
            week: number of the trading day's week.
        """
        self.check_instrument(instrument)
        if self.block_open:
            raise RuntimeError("sessions restart between inputs or at a boundary")
        restart_session(&self.tapes[instrument], is_open, open_ns, close_ns, midnight_ns, week)

    def set_cut(self, int64_t ts_ns):
        """Fire ``BOUNDARY`` before the first record or time at or after ``ts_ns``; the block ends there."""
        self.cut_ns = ts_ns

    def set_alarm(self, int64_t ts_ns):
        """Fire ``ALARM`` before the first record or time at or after ``ts_ns``; replaces the alarm that was set."""
        self.alarm_ns = ts_ns

    def set_account(self, equity, floor=None):
        """State the account's equity and, in the same money unit, the equity at which ``RISK`` fires (None: never)."""
        self.account.equity = wide_from_int(equity)
        self.account.floor_set = floor is not None
        if floor is not None:
            self.account.floor = wide_from_int(floor)
        note_drawdown(&self.account)

    def limit_drawdown(self, share=0, scale=0):
        """Fire ``RISK`` when the equity has fallen from its highest, counted from now, by ``share / scale`` of that.

        Both together stay below ``2**24``; without them there is no such limit.
        """
        if not 0 <= share <= scale < 1 << 24:
            raise ValueError(f"a drawdown of {share}/{scale} cannot be watched")
        self.account.high = self.account.equity
        self.account.fall_share = share
        self.account.fall_scale = scale

    def book(self, int instrument, int64_t lots, int64_t unit, price_ticks, costs):
        """Book a fill of signed ``lots``: they are added to the account's position, paid for, and marked where that is.

        Args:
            instrument: that was traded.
            lots: bought, or with a minus sold.
            unit: money units per tick and lot.
            price_ticks: what was paid, an integer or a fraction.
            costs: what else was, in money units.
        """
        cdef Holding* it
        cdef int64_t mark
        self.check_instrument(instrument)
        it = &self.holdings[instrument]
        mark = it.mark_ticks if it.lots != 0 else self.price(instrument)  # other lots stay marked where they are
        amount = (mark - price_ticks) * lots * unit
        self.account.equity = wide_from_int(self.equity + round(amount) - costs)
        note_drawdown(&self.account)
        self.hold(instrument, it.lots + lots, unit, mark)

    def set_holding(self, int instrument, int64_t lots, int64_t unit, int64_t mark_ticks):
        """State the account's position: signed lots, money units per tick and lot, and the price it is marked at."""
        self.check_instrument(instrument)
        self.hold(instrument, lots, unit, mark_ticks)

    cdef void hold(self, int instrument, int64_t lots, int64_t unit, int64_t mark_ticks) noexcept nogil:
        cdef Holding* it = &self.holdings[instrument]
        cdef int scanned
        self.account.open_positions += (lots != 0) - (it.lots != 0)
        it.lots = lots
        it.unit = unit
        it.mark_ticks = mark_ticks
        if self.account.open_positions == 1:
            self.account.only = instrument if lots != 0 else self.first_held()
        scanned = self.event_record + (self.event_key % PHASES > PHASE_RISK)
        if self.event_key >= 0 and self.account.scanned < scanned:
            self.account.scanned = scanned  # what happened before the position was another's

    cdef int first_held(self) noexcept nogil:
        """The first instrument that the account has a position on."""
        cdef int instrument = 0
        while self.holdings[instrument].lots == 0:
            instrument += 1
        return instrument

    # ------------------------------------------------------------ reading

    @property
    def rejected(self):
        """Records refused so far, for any reason."""
        return self.rejected_price + self.rejected_size + self.rejected_instrument + self.rejected_time

    @property
    def event_record_number(self):
        """Number of the record on which the present event fell, counted from 0; -1 when it fell between records."""
        if not self.block_open or not self.event_on_record or self.event_key < 0:
            return -1
        return self.records_before + self.event_record

    @property
    def next_deadline_ns(self):
        """The earliest time at which a timer, alarm or boundary is due; ``FOREVER_NS`` for none."""
        cdef int64_t due = self.alarm_ns if self.alarm_ns < self.cut_ns else self.cut_ns
        cdef Lane* lane
        cdef int i
        for i in range(self.n_lanes):
            lane = &self.lanes[i]
            if lane.mode == MODE_OPEN:
                if lane.deadline_ns < due:
                    due = lane.deadline_ns
                if lane.flat_candles > 0 and lane.candle_ns + SECOND < due:
                    due = lane.candle_ns + SECOND
        return due

    @property
    def equity(self):
        """The account's equity, open positions marked at the last trade that the core has reached."""
        return wide_to_int(self.account.equity)

    @property
    def drawdown(self):
        """The largest fall of equity from its peak so far, marked at every trade."""
        return wide_to_int(self.account.drawdown)

    @property
    def drawdown_reached(self):
        """Whether the equity has fallen from its highest by the drawdown limit."""
        return bool(has_fallen(&self.account))

    @property
    def peak(self):
        """The highest equity so far."""
        return wide_to_int(self.account.peak)

    @property
    def high(self):
        """The highest equity since the drawdown limit was set: what its fall is measured from."""
        return max(wide_to_int(self.account.high), wide_to_int(self.account.equity))

    cdef int64_t price_before(self, int instrument, int record, int inclusive) noexcept nogil:
        cdef Market* market = &self.markets[instrument]
        cdef int trade = first_trade_from(market.records, market.trades, record + inclusive) - 1
        if trade >= 0:
            return fixed_column(&self.tapes[instrument], COL_PRICE)[trade]
        return market.price_before

    def price(self, int instrument):
        """Last trade price as of the present event, ticks; 0 before the first trade.

        Where the event fell within a bar of this instrument, it is the price at which it did.
        """
        self.check_instrument(instrument)
        if not self.block_open:
            return self.price_before(instrument, BLOCK, 0)
        if self.event_price != 0 and instrument == self.event_instrument:
            return self.event_price
        return self.price_before(instrument, self.event_record, self.event_on_record)

    cdef int record_of_quote(self, int instrument) noexcept nogil:
        """The instrument's last record as of the present event, or -1 when there is none in this block."""
        cdef int record = self.event_record + self.event_on_record - 1
        while record >= 0 and self.block.instrument[record] != instrument:
            record -= 1
        return record

    def quote(self, int instrument):
        """Last bid and ask as of the present event, ticks; 0 where none has been seen."""
        cdef Market* market
        cdef Tape* tape
        cdef int record, trade
        self.check_instrument(instrument)
        market = &self.markets[instrument]
        if not self.block_open:
            return market.bid, market.ask
        record = self.record_of_quote(instrument)
        if record < 0:
            return market.bid_before, market.ask_before
        trade = self.block.trade[record]
        if trade < 0:
            return self.block.bid[record], self.block.ask[record]
        tape = &self.tapes[instrument]
        return fixed_column(tape, COL_BID)[trade], fixed_column(tape, COL_ASK)[trade]

    def displayed(self, int instrument):
        """Sizes at the last bid and ask as of the present event, lots; 0 where none has been seen."""
        cdef Market* market
        cdef Tape* tape
        cdef int record, trade
        self.check_instrument(instrument)
        market = &self.markets[instrument]
        tape = &self.tapes[instrument]
        if not self.block_open:
            return tape.bid_size, tape.ask_size
        record = self.record_of_quote(instrument)
        if record < 0:
            return market.bid_size_before, market.ask_size_before
        trade = self.block.trade[record]
        if trade < 0:
            return self.block.bid_size[record], self.block.ask_size[record]
        return fixed_column(tape, COL_BID_SIZE)[trade], fixed_column(tape, COL_ASK_SIZE)[trade]

    def value(self, int instrument, int column):
        """A column's value on the last trade as of the present event: int, float or bool; None before the first."""
        cdef Market* market
        cdef Program program
        cdef char* columns
        cdef int trade, type
        self.check_instrument(instrument)
        program = self.programs[instrument]
        if not 0 <= column < program.graph.n_columns:
            raise IndexError(f"column {column} of {program.graph.n_columns}")
        market = &self.markets[instrument]
        columns = self.tapes[instrument].columns
        trade = market.trades
        if self.block_open:
            trade = first_trade_from(market.records, market.trades, self.event_record + self.event_on_record)
        if trade == 0:  # none in this block yet: the previous block's last trade still counts
            trade = market.trades_before
            if market.trades > 0:
                columns = self.tapes[instrument].columns_before
        if trade == 0:
            return None
        type = program.graph.column_type[column]
        columns += program.graph.column_offset[column]
        if type == TYPE_INT:
            return (<int64_t*>columns)[trade - 1]
        if type == TYPE_WIDE:
            return wide_to_int((<i128*>columns)[trade - 1])
        if type == TYPE_FLOAT:
            return (<double*>columns)[trade - 1]
        return (<uint8_t*>columns)[trade - 1]

    def warm_since(self, int instrument):
        """Time of the first trade since the windows restarted, and how many trades there have been since."""
        self.check_instrument(instrument)
        return self.tapes[instrument].first_ts, self.tapes[instrument].head - self.tapes[instrument].base

    def ring(self, int instrument):
        """How the instrument's ring stands: capacity, times grown, and trades at which something was cut short.

        A trade counts once, whichever windows or session were cut short at it and whether or not a lane uses them.
        """
        self.check_instrument(instrument)
        return self.tapes[instrument].capacity, self.tapes[instrument].grown, self.tapes[instrument].truncations
