# cython: auto_pickle=False, autotestdict=False
"""The tick core: integer tick records in, the few moments at which a rule fires out.

``Program`` is a compiled feature graph (``engine.rules`` writes it); ``Core`` runs one or several of them over a stream
of records of many instruments. ``load`` and ``advance`` work through columns, ``push`` takes one trade; both
run the same C body without the GIL, and no Python object is touched until something fires. How a stream is cut into
blocks never changes a result.

All prices are ticks and all sizes lots of their instrument; all times are nanoseconds since the Unix epoch.
"""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from engine._graph cimport (
    BLOCK,
    CMP_EQ,
    CMP_GE,
    CMP_GT,
    CMP_LE,
    CMP_LT,
    CMP_NE,
    COL_ASK,
    COL_BID,
    COL_PRICE,
    COL_SIZE,
    COL_TS,
    FIXED_COLUMNS,
    INT_BYTES,
    MAX_FACTORS,
    OP_ALL,
    OP_ANY,
    OP_COMPARE,
    OP_COUNT,
    OP_EXTREMES,
    OP_FIRST_PRICE,
    OP_FLOAT_ADD,
    OP_FLOAT_COMPARE,
    OP_FLOAT_CONST,
    OP_FLOAT_DIV,
    OP_FLOAT_MUL,
    OP_FLOAT_SQRT,
    OP_FLOAT_SUB,
    OP_NOT,
    OP_RATIO,
    OP_SESSION,
    OP_SESSION_SD,
    OP_STATE,
    OP_SUM_PRICE,
    OP_SUM_PRICE_SIZE,
    OP_SUM_PRICE_SQUARED,
    OP_SUM_SIZE,
    OP_TAIL_COUNT,
    OP_TAIL_TIME,
    SENTINELS,
    SHAPE_GENERAL,
    SHAPE_LINEAR,
    SHAPE_NARROW,
    SOURCES,
    TYPE_BOOL,
    TYPE_FLOAT,
    TYPE_INT,
    TYPE_WIDE,
    WIDE_BYTES,
    Graph,
    Node,
    Slot,
    Tape,
    Term,
    append_trades,
    evaluate,
    fixed_column,
    make_room,
    resize_tape,
    restart_session,
    restart_windows,
)
from engine._int128 cimport i128, i128_hi, i128_lo, i128_make, i128_of
from engine._lanes cimport (
    EVENT_ALARM,
    EVENT_BOUNDARY,
    EVENT_CALLBACK,
    EVENT_ENTRY,
    EVENT_FLAT,
    EVENT_NONE,
    EVENT_RISK,
    EVENT_STOP,
    EVENT_TARGET,
    EVENT_TIME,
    MODE_FLAT,
    MODE_HELD,
    MODE_OPEN,
    NEVER,
    PHASE_CALLBACK,
    PHASE_RISK,
    PHASE_TIMER,
    PHASES,
    SECOND,
    Holding,
    Lane,
    Market,
    begin_candles,
    first_at_or_after,
    first_trade_from,
    mark_account,
    note_drawdown,
    search,
)

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

FOREVER_NS = INT64_MAX
MAX_WINDOW_TRADES = (1 << 22) - BLOCK - SENTINELS
BLOCK_TRADES = BLOCK

PRICE_COLUMN = COL_PRICE
SIZE_COLUMN = COL_SIZE
BID_COLUMN = COL_BID
ASK_COLUMN = COL_ASK

COMPARISONS = {">=": CMP_GE, ">": CMP_GT, "<=": CMP_LE, "<": CMP_LT, "==": CMP_EQ, "!=": CMP_NE}

cdef int64_t INPUT_BOUND = (<int64_t>1 << 40) - 1  # engine.model.MAX_PRICE_TICKS and MAX_SIZE_LOTS
cdef int64_t TIME_BOUND = <int64_t>1 << 62  # leaves room to add any window or deadline to a time
cdef int FIRST_CAPACITY = 2048
cdef object WIDE_FROM = -(1 << 63), WIDE_TO = (1 << 63) - 1


cdef int64_t run_clock(int64_t* out, const int64_t* ts, int64_t* reached, int n) noexcept nogil:
    """Write engine time, the largest time seen, at each record; returns how many records came late."""
    cdef int64_t now = reached[0], late = 0
    cdef int k
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


@cython.final
cdef class Program:
    """A feature graph under construction: each method adds a node and returns the column that holds its values.

    ``max_window`` bounds the trades that one window may hold; a time window that would hold more is cut short and its
    trades are flagged, which keeps every rule that uses it silent. Each column knows the windows and session that it is
    computed from, so other rules are not disturbed.
    """

    def __cinit__(self, int64_t max_window=MAX_WINDOW_TRADES):
        self.session_size = -1
        if not 1 <= max_window <= MAX_WINDOW_TRADES:
            raise ValueError(f"max_window must be between 1 and {MAX_WINDOW_TRADES} trades, not {max_window}")
        self.max_window = max_window
        for _ in range(FIXED_COLUMNS):
            self.add_column(TYPE_INT)

    def __dealloc__(self):
        cdef int i
        for i in range(self.graph.n_nodes):
            free(self.graph.nodes[i].terms)
        free(self.graph.nodes)
        free(self.graph.tails)
        free(self.graph.column_type)
        free(self.graph.column_offset)
        free(self.graph.column_sources)

    cdef int add_column(self, int type, uint64_t sources=0) except -1:
        cdef Graph* graph = &self.graph
        cdef int n = graph.n_columns
        cdef int* types = <int*>realloc(graph.column_type, (n + 1) * sizeof(int))
        cdef int64_t* offsets
        cdef uint64_t* column_sources
        if types == NULL:
            raise MemoryError
        graph.column_type = types
        offsets = <int64_t*>realloc(graph.column_offset, (n + 1) * sizeof(int64_t))
        if offsets == NULL:
            raise MemoryError
        graph.column_offset = offsets
        column_sources = <uint64_t*>realloc(graph.column_sources, (n + 1) * sizeof(uint64_t))
        if column_sources == NULL:
            raise MemoryError
        graph.column_sources = column_sources
        column_sources[n] = sources
        types[n] = type
        offsets[n] = graph.column_bytes
        graph.column_bytes += WIDE_BYTES if type == TYPE_WIDE else BLOCK if type == TYPE_BOOL else INT_BYTES
        graph.n_columns = n + 1
        return n

    cdef int add_node(self, int op, int type, int a=-1, int b=-1, int64_t k=0, double x=0) except -1:
        cdef Graph* graph = &self.graph
        cdef Node* nodes
        cdef Node* node
        cdef int* tails
        cdef int column
        cdef uint64_t source = 0
        if self.sealed:
            raise RuntimeError("this program already runs: build a new one")
        nodes = <Node*>realloc(graph.nodes, (graph.n_nodes + 1) * sizeof(Node))
        if nodes == NULL:
            raise MemoryError
        graph.nodes = nodes
        node = &nodes[graph.n_nodes]
        memset(node, 0, sizeof(Node))
        node.op = op
        if op == OP_TAIL_TIME or op == OP_SESSION:
            source = <uint64_t>1 << (graph.n_sources if graph.n_sources < SOURCES else SOURCES - 1)
            graph.n_sources += 1
        node.source = source
        column = self.add_column(type, source | self.sources_of(a) | self.sources_of(b))
        node.out = graph.column_offset[column]
        node.a = graph.column_offset[a] if a >= 0 else -1
        node.b = graph.column_offset[b] if b >= 0 else -1
        node.k = k
        node.x = x
        if op == OP_TAIL_TIME or op == OP_TAIL_COUNT:
            tails = <int*>realloc(graph.tails, (graph.n_tails + 1) * sizeof(int))
            if tails == NULL:
                raise MemoryError
            graph.tails = tails
            tails[graph.n_tails] = graph.n_nodes
            graph.n_tails += 1
        graph.n_nodes += 1
        return column

    cdef Node* last_node(self) noexcept:
        return &self.graph.nodes[self.graph.n_nodes - 1]

    cdef uint64_t sources_of(self, int column) noexcept:
        return self.graph.column_sources[column] if column >= 0 else 0

    cdef check_exists(self, int column):
        if not 0 <= column < self.graph.n_columns:
            raise ValueError(f"column {column} does not exist")

    cdef check_column(self, int column, int type):
        self.check_exists(column)
        if self.graph.column_type[column] != type:
            raise ValueError(f"column {column} has another type")

    cdef set_terms(self, numerator, denominator):
        """Give the last node ``[(coefficient, (column, …)), …]``, one list then the other, wide columns first."""
        cdef Node* node = self.last_node()
        cdef int i = 0, j, out = self.graph.n_columns - 1
        node.terms = <Term*>calloc(len(numerator) + len(denominator) or 1, sizeof(Term))
        if node.terms == NULL:
            raise MemoryError
        node.n_terms = len(numerator)
        node.n_denominator = len(denominator)
        for coefficient, columns in [*numerator, *denominator]:
            if len(columns) > MAX_FACTORS:
                raise ValueError(f"at most {MAX_FACTORS} factors in one term")
            for column in columns:
                self.check_exists(column)
                self.graph.column_sources[out] |= self.sources_of(column)
            columns = sorted(columns, key=self.column_is_exact_int)
            node.terms[i].coef = coefficient
            node.terms[i].n_factors = len(columns)
            node.terms[i].first_is_wide = len(columns) > 0 and self.graph.column_type[columns[0]] == TYPE_WIDE
            for j, column in enumerate(columns):
                if j > 0 or not node.terms[i].first_is_wide:
                    self.check_column(column, TYPE_INT)
                node.terms[i].offset[j] = self.graph.column_offset[column]
            i += 1

    def column_is_exact_int(self, int column):
        """Whether the column holds int64 values (False: wider integers, doubles or conditions)."""
        return 0 <= column < self.graph.n_columns and self.graph.column_type[column] == TYPE_INT

    # windows

    def window_time(self, int64_t window_ns):
        """A window of ``window_ns`` nanoseconds: trades with ``ts > now - window_ns``."""
        if window_ns < 1 or window_ns > TIME_BOUND:
            raise ValueError(f"a time window must be between 1 ns and {TIME_BOUND} ns, not {window_ns}")
        return self.add_node(OP_TAIL_TIME, TYPE_INT, -1, -1, window_ns)

    def window_count(self, int64_t trades):
        """A window of the last ``trades`` trades, the present one included."""
        if not 1 <= trades <= self.max_window:
            raise ValueError(f"a count window must be between 1 and {self.max_window} trades, not {trades}")
        return self.add_node(OP_TAIL_COUNT, TYPE_INT, -1, -1, trades)

    def first_price(self, int window):
        """Price of the oldest trade in the window, ticks."""
        self.check_column(window, TYPE_INT)
        return self.add_node(OP_FIRST_PRICE, TYPE_INT, window)

    def count(self, int window):
        """Trades in the window."""
        self.check_column(window, TYPE_INT)
        return self.add_node(OP_COUNT, TYPE_INT, window)

    def sum_size(self, int window):
        """Size traded in the window, lots. Exact: at most 2**22 trades of less than 2**40 lots."""
        self.check_column(window, TYPE_INT)
        return self.add_node(OP_SUM_SIZE, TYPE_INT, window)

    def sum_price(self, int window):
        """Sum of prices, ticks. Exact: at most 2**22 trades below 2**40 ticks."""
        self.check_column(window, TYPE_INT)
        self.graph.needs_sum_price = 1
        return self.add_node(OP_SUM_PRICE, TYPE_INT, window)

    def sum_price_size(self, int window):
        """Sum of price times size, ticks x lots; 128 bits."""
        self.check_column(window, TYPE_INT)
        self.graph.needs_sum_price_size = 1
        return self.add_node(OP_SUM_PRICE_SIZE, TYPE_WIDE, window)

    def sum_price_squared(self, int window):
        """Sum of squared prices, ticks squared; 128 bits."""
        self.check_column(window, TYPE_INT)
        self.graph.needs_sum_price_squared = 1
        return self.add_node(OP_SUM_PRICE_SQUARED, TYPE_WIDE, window)

    def extremes(self, int window):
        """Highest and lowest price in the window, ticks: returns the two columns."""
        self.check_column(window, TYPE_INT)
        high = self.add_node(OP_EXTREMES, TYPE_INT, window)
        return high, self.add_column(TYPE_INT, self.sources_of(high))

    def session(self):
        """Session totals: returns the columns of size, price x size, and size-weighted deviation and its square."""
        cdef int first = self.session_size, _
        if first < 0:  # a tape keeps one set of totals
            first = self.add_node(OP_SESSION, TYPE_INT)
            for _ in range(3):
                self.add_column(TYPE_WIDE, self.sources_of(first))
            self.session_size = first
        return first, first + 1, first + 2, first + 3

    def session_sd(self, int session_size):
        """Volume-weighted standard deviation of the session's prices, ticks; ``session_size`` from ``session()``."""
        if session_size < 0 or session_size != self.session_size:
            raise ValueError(f"column {session_size} is not the session's size: take the first that session() returns")
        return self.add_node(OP_SESSION_SD, TYPE_FLOAT, session_size)

    # values and conditions

    def ratio(self, numerator, denominator):
        """Quotient of two polynomials as a double, rounded once where both are below 2**53; NaN when undefined."""
        column = self.add_node(OP_RATIO, TYPE_FLOAT)
        self.set_terms(numerator, denominator)
        return column

    def compare(self, terms, int comparison, bint narrow=False):
        """Whether a polynomial in the columns is >= 0 (or >, …): exact. ``narrow`` promises that 63 bits hold it."""
        cdef Node* node
        cdef int i
        if comparison == CMP_LE or comparison == CMP_LT:
            terms = [(-coefficient, columns) for coefficient, columns in terms]
            comparison = CMP_GE if comparison == CMP_LE else CMP_GT
        column = self.add_node(OP_COMPARE, TYPE_BOOL, -1, -1, comparison)
        self.set_terms(terms, [])
        node = self.last_node()
        node.shape = SHAPE_GENERAL
        if node.n_terms > 0 and comparison in (CMP_GE, CMP_GT):
            node.shape = SHAPE_NARROW if narrow else SHAPE_LINEAR
            for i in range(node.n_terms):
                if node.terms[i].n_factors != 1 or node.terms[i].first_is_wide:
                    node.shape = SHAPE_GENERAL
        return column

    def float_const(self, double value):
        """A constant column of doubles."""
        return self.add_node(OP_FLOAT_CONST, TYPE_FLOAT, -1, -1, 0, value)

    def float_op(self, str op, int a, int b=-1):
        """``+ - * /`` of two double columns, or ``sqrt`` of one."""
        cdef dict ops = {
            "+": OP_FLOAT_ADD, "-": OP_FLOAT_SUB, "*": OP_FLOAT_MUL, "/": OP_FLOAT_DIV, "sqrt": OP_FLOAT_SQRT
        }
        self.check_column(a, TYPE_FLOAT)
        if op != "sqrt":
            self.check_column(b, TYPE_FLOAT)
        return self.add_node(ops[op], TYPE_FLOAT, a, b)

    def float_compare(self, int a, int b, int comparison):
        """Compare two double columns; a NaN satisfies nothing."""
        self.check_column(a, TYPE_FLOAT)
        self.check_column(b, TYPE_FLOAT)
        return self.add_node(OP_FLOAT_COMPARE, TYPE_BOOL, a, b, comparison)

    def all_of(self, int a, int b):
        """Both conditions hold."""
        self.check_column(a, TYPE_BOOL)
        self.check_column(b, TYPE_BOOL)
        return self.add_node(OP_ALL, TYPE_BOOL, a, b)

    def any_of(self, int a, int b):
        """At least one condition holds."""
        self.check_column(a, TYPE_BOOL)
        self.check_column(b, TYPE_BOOL)
        return self.add_node(OP_ANY, TYPE_BOOL, a, b)

    def negation(self, int a):
        """The condition does not hold."""
        self.check_column(a, TYPE_BOOL)
        return self.add_node(OP_NOT, TYPE_BOOL, a)

    def state(self, int long_condition, int short_condition):
        """0 none, 1 long, 2 short; -1 for a side that is never taken. Long wins where both hold."""
        if long_condition >= 0:
            self.check_column(long_condition, TYPE_BOOL)
        if short_condition >= 0:
            self.check_column(short_condition, TYPE_BOOL)
        if long_condition < 0 and short_condition < 0:
            raise ValueError("a state needs a long or a short condition")
        return self.add_node(OP_STATE, TYPE_BOOL, long_condition, short_condition)

    @property
    def nodes(self):
        """Number of nodes: what one trade costs grows with it."""
        return self.graph.n_nodes


@cython.final
cdef class Core:
    """Runs programs over a stream of records and stops at each event. One program per instrument."""

    def __cinit__(self, programs):
        cdef int i, n = len(programs)
        cdef Program program
        cdef Tape* tape
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
        self.account.equity = self.account.floor = self.account.peak = self.account.drawdown = i128_of(0)
        for i in range(n):
            program = self.programs[i]
            program.sealed = 1
            tape = &self.tapes[i]
            tape.graph = &program.graph
            tape.max_window = program.max_window
            tape.slots = <Slot*>calloc(program.graph.n_nodes or 1, sizeof(Slot))
            tape.columns = <char*>calloc(program.graph.column_bytes, 1)
            tape.columns_before = <char*>calloc(program.graph.column_bytes, 1)
            self.markets[i].records = <int*>calloc(BLOCK, sizeof(int))
            if tape.slots == NULL or tape.columns == NULL or tape.columns_before == NULL:
                raise MemoryError
            if self.markets[i].records == NULL:
                raise MemoryError
            if resize_tape(tape, FIRST_CAPACITY) != 0:
                raise MemoryError

    def __dealloc__(self):
        cdef int i, j
        cdef Tape* tape
        if self.tapes != NULL:
            for i in range(self.n_instruments):
                tape = &self.tapes[i]
                if tape.slots != NULL:
                    for j in range(tape.graph.n_nodes):
                        free(tape.slots[j].front_high)
                        free(tape.slots[j].front_low)
                free(tape.slots)
                free(tape.columns)
                free(tape.columns_before)
                free(tape.ts)
                free(tape.price)
                free(tape.total_size)
                free(tape.total_price)
                free(tape.total_price_size)
                free(tape.total_price_squared)
        if self.markets != NULL:
            for i in range(self.n_instruments):
                free(self.markets[i].records)
        free(self.tapes)
        free(self.holdings)
        free(self.markets)
        free(self.touched)
        free(self.lanes)

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

    # ------------------------------------------------------------ input

    def load(
        self,
        const int64_t[::1] ts_ns not None,
        const int64_t[::1] price_ticks not None,
        const int64_t[::1] size_lots not None,
        const int64_t[::1] bid_ticks=None,
        const int64_t[::1] ask_ticks=None,
        const uint16_t[::1] instrument=None,
        const uint8_t[::1] kind=None,
    ):
        """Take columns of records as the next input; they are read in place by ``advance``, never copied."""
        cdef int64_t n = ts_ns.shape[0]
        if self.in_next < self.in_count or self.block_open:
            raise RuntimeError("the previous input is not finished: call advance() until it returns NONE")
        if (
            price_ticks.shape[0] != n
            or size_lots.shape[0] != n
            or (bid_ticks is not None and bid_ticks.shape[0] != n)
            or (ask_ticks is not None and ask_ticks.shape[0] != n)
            or (instrument is not None and instrument.shape[0] != n)
            or (kind is not None and kind.shape[0] != n)
        ):
            raise ValueError("columns differ in length")
        self.in_owner = (ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks, instrument, kind)
        self.in_next = 0
        self.in_count = n
        if n == 0:
            return
        self.in_ts = &ts_ns[0]
        self.in_price = &price_ticks[0]
        self.in_size = &size_lots[0]
        self.in_bid = &bid_ticks[0] if bid_ticks is not None else NULL
        self.in_ask = &ask_ticks[0] if ask_ticks is not None else NULL
        self.in_instrument = &instrument[0] if instrument is not None else NULL
        self.in_kind = &kind[0] if kind is not None else NULL

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

    def push(self, int instrument, int64_t ts_ns, int64_t price_ticks, int64_t size_lots,
             int64_t bid_ticks=0, int64_t ask_ticks=0):
        """Take one trade; returns the event. After an event other than ``NONE``, call ``advance`` until ``NONE``."""
        cdef int64_t* refused
        if self.block_open or self.in_next < self.in_count:
            raise RuntimeError("the previous input is not finished: call advance() until it returns NONE")
        refused = self.objection(ts_ns, instrument, 0, price_ticks, size_lots, bid_ticks, ask_ticks)
        if refused != NULL:
            refused[0] += 1
            self.event = EVENT_NONE
            return EVENT_NONE
        if ts_ns >= self.cut_ns:
            # A boundary lies before this trade: hand it over as one-record columns, which wait for the boundary.
            return self.push_after_boundary(instrument, ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks)
        self.begin_block()
        if self.append(ts_ns, instrument, 0, price_ticks, size_lots, bid_ticks, ask_ticks) != 0:
            raise MemoryError("no memory to enlarge the tick ring")
        self.finish_block()
        if self.callback is not None:
            return self.run_with_callback()
        return self.run()

    def push_after_boundary(self, instrument, ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks):
        """The rare form of ``push``, when a session boundary must fire first."""
        import numpy as np

        columns = [np.array([value], np.int64) for value in (ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks)]
        self.load(*columns, np.array([instrument], np.uint16))
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
        cdef int i
        cdef Market* market
        for i in range(self.n_touched):
            market = &self.markets[self.touched[i]]
            market.touched = 0
            market.bid_before = market.bid
            market.ask_before = market.ask
            if market.trades > 0:
                market.price_before = fixed_column(&self.tapes[self.touched[i]], COL_PRICE)[market.trades - 1]
                market.trades_before = market.trades
            market.trades = 0
        self.n_touched = 0
        self.records_before += self.block.records
        self.block.records = 0
        self.account.scanned = 0
        self.callback_record = 0
        self.event_key = -1

    cdef int64_t* objection(
        self, int64_t ts, int instrument, int kind, int64_t price, int64_t size, int64_t bid, int64_t ask
    ) noexcept nogil:
        """The counter of the reason to refuse a record, or NULL when it is valid."""
        if <unsigned int>instrument >= <unsigned int>self.n_instruments:
            return &self.rejected_instrument
        if ts > TIME_BOUND or ts < 0:
            return &self.rejected_time
        if <uint64_t>bid > <uint64_t>INPUT_BOUND or <uint64_t>ask > <uint64_t>INPUT_BOUND:
            return &self.rejected_price
        if kind == 0:
            if <uint64_t>(<uint64_t>price - 1) >= <uint64_t>INPUT_BOUND:
                return &self.rejected_price
            if <uint64_t>(<uint64_t>size - 1) >= <uint64_t>INPUT_BOUND:
                return &self.rejected_size
        return NULL

    cdef int append(
        self, int64_t ts, int instrument, int kind, int64_t price, int64_t size, int64_t bid, int64_t ask
    ) noexcept nogil:
        """Add one valid record to the block. Returns 0, or -1 without memory: the record is then not taken."""
        cdef int record = self.block.records
        cdef Tape* tape = &self.tapes[instrument]
        cdef Market* market = &self.markets[instrument]
        cdef int trade = market.trades
        if kind == 0 and trade == 0:
            if make_room(tape, BLOCK) != 0:
                return -1
            tape.columns, tape.columns_before = tape.columns_before, tape.columns
        if ts >= self.reached:
            self.reached = ts
        else:
            self.late += 1
            ts = self.reached
        if not market.touched:
            market.touched = 1
            self.touched[self.n_touched] = instrument
            self.n_touched += 1
        if bid != 0:
            market.bid = bid
        if ask != 0:
            market.ask = ask
        bid = market.bid
        ask = market.ask
        self.block.identity = 0
        self.block.ts[record] = ts
        self.block.instrument[record] = instrument
        self.block.records = record + 1
        if kind != 0:
            self.block.trade[record] = -1
            self.block.bid[record] = bid
            self.block.ask[record] = ask
            self.quotes_seen += 1
            return 0
        self.trades_seen += 1
        self.block.trade[record] = trade
        market.records[trade] = record
        market.trades = trade + 1
        fixed_column(tape, COL_TS)[trade] = ts
        fixed_column(tape, COL_PRICE)[trade] = price
        fixed_column(tape, COL_SIZE)[trade] = size
        fixed_column(tape, COL_BID)[trade] = bid
        fixed_column(tape, COL_ASK)[trade] = ask
        append_trades(tape, trade, trade + 1)
        return 0

    cdef int fill_block(self) noexcept nogil:
        """Move valid records from the input into a new block, up to a boundary, and count those that are refused.

        Returns 1 when the block is ready, 0 when the input or the boundary comes first, or -1 without memory.
        """
        cdef int64_t i
        cdef int64_t* refused
        cdef int instrument, kind, status = 0
        cdef int64_t bid, ask
        self.begin_block()
        if self.in_instrument == NULL and self.in_kind == NULL:
            status = self.append_plain_trades()
        i = self.in_next
        while status == 0 and i < self.in_count and self.block.records < BLOCK:
            instrument = self.in_instrument[i] if self.in_instrument != NULL else 0
            kind = self.in_kind[i] if self.in_kind != NULL else 0
            bid = self.in_bid[i] if self.in_bid != NULL else 0
            ask = self.in_ask[i] if self.in_ask != NULL else 0
            refused = self.objection(self.in_ts[i], instrument, kind, self.in_price[i], self.in_size[i], bid, ask)
            if refused != NULL:
                refused[0] += 1
            elif self.in_ts[i] >= self.cut_ns:
                break
            else:
                status = self.append(self.in_ts[i], instrument, kind, self.in_price[i], self.in_size[i], bid, ask)
            i += status == 0
        self.in_next = i
        if self.block.records == 0:
            return status
        self.finish_block()  # a record that found no memory is tried again with the next block
        return 1

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
        cdef int64_t last = self.cut_ns - 1 if 0 < self.cut_ns <= TIME_BOUND else TIME_BOUND
        cdef int k, n = BLOCK
        if self.cut_ns <= 0:
            return 0
        if self.in_count - self.in_next < BLOCK:
            n = <int>(self.in_count - self.in_next)
        for k in range(n):
            if (
                <uint64_t>in_ts[k] > <uint64_t>last
                or <uint64_t>(<uint64_t>in_price[k] - 1) >= <uint64_t>INPUT_BOUND
                or <uint64_t>(<uint64_t>in_size[k] - 1) >= <uint64_t>INPUT_BOUND
                or (in_bid != NULL and <uint64_t>in_bid[k] > <uint64_t>INPUT_BOUND)
                or (in_ask != NULL and <uint64_t>in_ask[k] > <uint64_t>INPUT_BOUND)
            ):
                n = k
                break
        if n == 0:
            return 0
        if make_room(tape, BLOCK) != 0:
            return -1
        tape.columns, tape.columns_before = tape.columns_before, tape.columns
        if not self.block.identity:
            self.block.identity = 1
            for k in range(BLOCK):
                self.block.instrument[k] = 0
                self.block.trade[k] = k
                market.records[k] = k
        memcpy(fixed_column(tape, COL_PRICE), in_price, n * sizeof(int64_t))
        memcpy(fixed_column(tape, COL_SIZE), in_size, n * sizeof(int64_t))
        if in_bid != NULL or market.bid != 0:  # without any quote the columns are still the zeros they began as
            market.bid = carry_forward(fixed_column(tape, COL_BID), in_bid, market.bid, n)
        if in_ask != NULL or market.ask != 0:
            market.ask = carry_forward(fixed_column(tape, COL_ASK), in_ask, market.ask, n)
        self.late += run_clock(self.block.ts, in_ts, &self.reached, n)
        memcpy(fixed_column(tape, COL_TS), self.block.ts, n * sizeof(int64_t))
        append_trades(tape, 0, n)
        market.touched = 1
        market.trades = n
        self.touched[0] = 0
        self.n_touched = 1
        self.block.records = n
        self.trades_seen += n
        self.in_next += n
        return 0

    cdef void finish_block(self) noexcept nogil:
        """Evaluate the graphs over the block's trades and find each lane's next event."""
        cdef int i
        if self.block.records > 0:
            self.block.times = self.block.records
        for i in range(self.n_touched):
            evaluate(&self.tapes[self.touched[i]], self.markets[self.touched[i]].trades)
        for i in range(self.n_lanes):
            self.lanes[i].from_record = 0
            self.lanes[i].cursor = 0
            self.research(i)
        self.block_open = 1

    cdef void research(self, int lane) noexcept nogil:
        cdef int instrument = self.lanes[lane].instrument
        cdef Market* market = &self.markets[instrument]
        search(&self.lanes[lane], &self.tapes[instrument], market.records, market.trades, &self.block)

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
        if lane >= 0:
            self.event_instrument = self.lanes[lane].instrument
            self.event_state = self.lanes[lane].previous
        else:
            self.event_instrument = self.block.instrument[self.event_record] if self.event_on_record else -1

    cdef int next_event(self, int64_t before) noexcept nogil:
        """Take the earliest event of the block whose key lies below ``before``; EVENT_NONE when there is none."""
        cdef int i, best = -1, record, alarm_first
        cdef int64_t key = before, deadline = NEVER, alarm
        cdef Lane* lane
        for i in range(self.n_lanes):
            lane = &self.lanes[i]
            if lane.key < key or (lane.key == key and key % PHASES == PHASE_TIMER and lane.deadline < deadline):
                best = i
                key = lane.key
                deadline = lane.deadline if key % PHASES == PHASE_TIMER else NEVER
        alarm = self.alarm_key()
        alarm_first = alarm < key or (alarm == key and alarm != NEVER and self.alarm_ns <= deadline)
        if alarm_first:
            key = alarm
        if self.account.open_positions > 0:
            record = mark_account(&self.account, self.holdings, self.tapes, &self.block, key)
            if record >= 0:
                self.take(EVENT_RISK, -1, <int64_t>record * PHASES + PHASE_RISK, self.block.ts[record])
                return EVENT_RISK
        if alarm_first:
            self.take(EVENT_ALARM, -1, alarm, self.alarm_ns)
            self.alarm_ns = NEVER
            return EVENT_ALARM
        if best < 0:
            return EVENT_NONE
        lane = &self.lanes[best]
        self.take(lane.event, best, key, lane.deadline if key % PHASES == PHASE_TIMER else self.block.ts[key / PHASES])
        # Until the kernel answers, the lane goes on as it is: a flat one looks on after this trade.
        lane.from_record = self.event_record + self.event_on_record
        if lane.mode == MODE_OPEN:
            lane.mode = MODE_HELD
        self.research(best)
        return self.event

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
            if self.block_open:
                event = self.next_event(NEVER)
                if event != EVENT_NONE:
                    return event
            status = self.next_block()
            if status != 1:
                return self.event if status >= 0 else -1

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
        begin_candles(it, entry_ts_ns, first_price_ticks)
        self.resume_lane(lane)

    def close_lane(self, int lane):
        """The lane is flat again: a signal that already holds on the next trade begins there."""
        self.check_lane(lane)
        self.lanes[lane].mode = MODE_FLAT
        self.lanes[lane].previous = 0
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
        it.cursor = first_trade_from(market.records, market.trades, it.from_record)
        self.research(lane)

    def restart_windows(self, int instrument):
        """Begin anew at the next trade: windows are cold until they have refilled."""
        self.check_instrument(instrument)
        if self.block_open:
            raise RuntimeError("windows restart between inputs or at a boundary")
        restart_windows(&self.tapes[instrument])

    def restart_session(self, int instrument):
        """Begin the session's totals (VWAP and its deviation) anew at the next trade."""
        self.check_instrument(instrument)
        if self.block_open:
            raise RuntimeError("sessions restart between inputs or at a boundary")
        restart_session(&self.tapes[instrument])

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

    def set_holding(self, int instrument, int64_t lots, int64_t unit, int64_t mark_ticks):
        """State the account's position: signed lots, money units per tick and lot, and the price it is marked at."""
        cdef Holding* it
        self.check_instrument(instrument)
        it = &self.holdings[instrument]
        self.account.open_positions += (lots != 0) - (it.lots != 0)
        it.lots = lots
        it.unit = unit
        it.mark_ticks = mark_ticks
        if self.account.scanned < self.event_record + self.event_on_record:
            self.account.scanned = self.event_record + self.event_on_record

    # ------------------------------------------------------------ reading

    def mark(self, int instrument):
        """The price at which the account's position on the instrument is marked, ticks."""
        self.check_instrument(instrument)
        return self.holdings[instrument].mark_ticks

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
    def peak(self):
        """The highest equity so far."""
        return wide_to_int(self.account.peak)

    cdef int64_t price_before(self, int instrument, int record, int inclusive) noexcept nogil:
        cdef Market* market = &self.markets[instrument]
        cdef int trade = first_trade_from(market.records, market.trades, record + inclusive) - 1
        if trade >= 0:
            return fixed_column(&self.tapes[instrument], COL_PRICE)[trade]
        return market.price_before

    def price(self, int instrument):
        """Last trade price as of the present event, ticks; 0 before the first trade."""
        self.check_instrument(instrument)
        if not self.block_open:
            return self.price_before(instrument, BLOCK, 0)
        return self.price_before(instrument, self.event_record, self.event_on_record)

    def quote(self, int instrument):
        """Last bid and ask as of the present event, ticks; 0 where none has been seen."""
        cdef Market* market
        cdef Tape* tape
        cdef int record, trade
        self.check_instrument(instrument)
        market = &self.markets[instrument]
        if not self.block_open:
            return market.bid, market.ask
        record = self.event_record + self.event_on_record - 1
        while record >= 0:
            if self.block.instrument[record] == instrument:
                trade = self.block.trade[record]
                if trade < 0:
                    return self.block.bid[record], self.block.ask[record]
                tape = &self.tapes[instrument]
                return fixed_column(tape, COL_BID)[trade], fixed_column(tape, COL_ASK)[trade]
            record -= 1
        return market.bid_before, market.ask_before

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
