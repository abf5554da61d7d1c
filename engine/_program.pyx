# cython: auto_pickle=False, autotestdict=False
"""Programs: feature graphs under construction.

A ``Program`` is a list of nodes, each an ``Operation`` on columns that stand before it. ``engine.graph.compiler``
writes programs from declared rules, ``engine._core`` runs them. Every operation of the engine is listed in
``OPERATIONS``; a C function of the shape of ``engine._tape.Work`` becomes another one with ``Operation.of``, in any
compiled module.
"""

cimport cython
# By their full names: Cython's search for what a module is made of overlooks `from engine cimport _bars`.
cimport engine._anchored as _anchored
cimport engine._bars as _bars
cimport engine._market as _market
cimport engine._series as _series
cimport engine._tails as _tails
cimport engine._values as _values
cimport engine._windows as _windows
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from engine._int128 cimport i128
from engine._bars cimport BAR_COLUMNS, BAR_PRICE_SIZE
from engine._steps cimport (
    STEP_ALL_OF,
    STEP_ANY_OF,
    STEP_CALL,
    STEP_COUNT,
    STEP_EXTREMES,
    STEP_FIRST_PRICE,
    STEP_LINEAR,
    STEP_NARROW,
    STEP_NONE,
    STEP_OF_BARS,
    STEP_PRODUCT,
    STEP_STATE,
    STEP_SUM_PRICE,
    STEP_SUM_PRICE_SIZE,
    STEP_SUM_PRICE_SQUARED,
    STEP_SUM_SIZE,
    STEP_TAIL_COUNT,
    STEP_TAIL_TIME,
)
from engine._tape cimport (
    BLOCK,
    BOOL_BYTES,
    COL_ASK,
    COL_ASK_SIZE,
    COL_BID,
    COL_BID_SIZE,
    COL_FLOW,
    COL_PRICE,
    COL_SIZE,
    FIXED_COLUMNS,
    INT_BYTES,
    MAX_FACTORS,
    RESTARTS_WITH_WINDOWS,
    SENTINELS,
    SOURCES,
    TYPE_BOOL,
    TYPE_FLOAT,
    TYPE_INT,
    TYPE_WIDE,
    WIDE_BYTES,
    Graph,
    Node,
    Slot,
    Step,
    Term,
    Work,
)
from engine._values cimport (
    CMP_EQ,
    CMP_GE,
    CMP_GT,
    CMP_LE,
    CMP_LT,
    CMP_NE,
    SHAPE_GENERAL,
    SHAPE_LINEAR,
    SHAPE_NARROW,
)

MAX_WINDOW_TRADES = (1 << 22) - BLOCK - SENTINELS
MAX_WINDOW_BARS = 1 << 20

PRICE_COLUMN = COL_PRICE
SIZE_COLUMN = COL_SIZE
BID_COLUMN = COL_BID
ASK_COLUMN = COL_ASK
BID_SIZE_COLUMN = COL_BID_SIZE
ASK_SIZE_COLUMN = COL_ASK_SIZE
FLOW_COLUMN = COL_FLOW

COMPARISONS = {">=": CMP_GE, ">": CMP_GT, "<=": CMP_LE, "<": CMP_LT, "==": CMP_EQ, "!=": CMP_NE}

cdef int64_t TIME_BOUND = <int64_t>1 << 62  # leaves room to add any window or deadline to a time
cdef object WIDE_FROM = -(1 << 62), WIDE_TO = 1 << 62
cdef dict TYPES = {"i": TYPE_INT, "w": TYPE_WIDE, "f": TYPE_FLOAT, "b": TYPE_BOOL}
cdef set TRAITS = {"ring", "two_rings", "wide_ring", "past", "restarts", "flags"}


@cython.final
cdef class Operation:
    """What a node does: a C function, and the types of the columns that it reads and writes."""

    @staticmethod
    cdef Operation of(str name, Work work, str inputs, str outputs, str doc, str traits=""):
        """Describe an operation. A module that was built against other structures is refused when it is imported.

        Args:
            name: how graphs print it.
            work: the C function.
            inputs, outputs: a letter for each column: ``i`` int64, ``w`` 128 bits, ``f`` double, ``b`` condition.
            doc: one line for people.
            traits: words, of these. ``ring``, ``two_rings``, ``wide_ring``: arrays of ring cells that a node keeps, of
                8 bytes a cell or 16. ``past``: it remembers ``k + 1`` cells of 8 bytes in ``Slot.memory``, rounded up
                to a power of two. ``restarts``: what it remembers begins anew with the windows, at a session break or
                a feed gap. ``flags``: it may flag trades as cut short.
        """
        cdef Operation self = Operation.__new__(Operation)
        cdef set words = set(traits.split())
        if not words <= TRAITS:
            raise ValueError(f"there are no traits {sorted(words - TRAITS)}")
        self.name, self.work, self.inputs, self.outputs, self.doc = name, work, inputs, outputs, doc
        self.rings = 2 if "two_rings" in words else 1 if words & {"ring", "wide_ring"} else 0
        self.ring_width = sizeof(i128) if "wide_ring" in words else 8
        self.restarts, self.is_source, self.keeps_past = "restarts" in words, "flags" in words, "past" in words
        return self

    def __repr__(self):
        return f"<operation {self.name}>"


def _operations():
    """Every operation of the engine. The docstring of each C function says what it computes."""
    cdef list found = [
        # tails
        Operation.of("tail_time", _tails.tail_time, "", "i", "window of k nanoseconds", "flags"),
        Operation.of("tail_count", _tails.tail_count, "", "i", "window of the last k records"),
        Operation.of("warm_time", _tails.warm_time, "", "b", "k nanoseconds have been seen"),
        Operation.of("warm_count", _tails.warm_count, "", "b", "k trades have been seen"),
        Operation.of("anchor_session", _tails.anchor_session, "", "i", "since the session's first trade"),
        Operation.of("anchor_week", _tails.anchor_week, "", "i", "since the week's first trade"),
        Operation.of("anchor_time_of_day", _tails.anchor_time_of_day, "", "i", "since k ns past local midnight"),
        Operation.of("anchor_instant", _tails.anchor_instant, "", "i", "since the time k"),
        Operation.of("anchor_extreme", _tails.anchor_extreme, "", "i", "since the session's last high or low"),
        Operation.of("opening_phase", _tails.opening_phase, "", "b", "within k ns of the opening"),
        # over moving windows
        Operation.of("first_price", _windows.first_price, "i", "i", "price of the window's oldest trade"),
        Operation.of("count", _windows.count, "i", "i", "records in the window"),
        Operation.of("sum_size", _windows.sum_size, "i", "i", "size traded in the window"),
        Operation.of("sum_price", _windows.sum_price, "i", "i", "sum of prices"),
        Operation.of("sum_price_size", _windows.sum_price_size, "i", "w", "sum of price x size"),
        Operation.of("sum_price_squared", _windows.sum_price_squared, "i", "w", "sum of squared prices"),
        Operation.of("window_sum", _windows.window_sum, "i", "i", "sum of a polynomial", "ring"),
        Operation.of("window_sum_wide", _windows.window_sum_wide, "i", "w", "sum of a polynomial", "wide_ring"),
        Operation.of("change_since", _windows.change_since, "ii", "i", "change since the window's start", "ring"),
        Operation.of("extremes", _windows.extremes, "i", "ii", "highest and lowest price", "two_rings"),
        Operation.of("age_of_extreme", _windows.age_of_extreme, "i", "i", "time since the high or low", "ring"),
        # over anchored windows
        Operation.of("anchored_first", _anchored.anchored_first, "ib", "i", "price of the first trade"),
        Operation.of("anchored_last", _anchored.anchored_last, "ibi", "i", "at the last trade"),
        Operation.of("anchored_change", _anchored.anchored_change, "ibi", "i", "change since before the first trade"),
        Operation.of("anchored_age", _anchored.anchored_age, "ib", "i", "time since the high or low"),
        Operation.of("anchored_volatility", _anchored.anchored_volatility, "ib", "f", "realised volatility"),
        Operation.of("anchored_count", _anchored.anchored_count, "ib", "i", "trades", "flags"),
        Operation.of("anchored_extremes", _anchored.anchored_extremes, "ib", "ii", "highest and lowest price"),
        Operation.of("anchored_sum", _anchored.anchored_sum, "ib", "i", "sum of a polynomial", "flags"),
        Operation.of("anchored_sum_wide", _anchored.anchored_sum_wide, "ib", "w", "sum of a polynomial", "flags"),
        Operation.of("deviation", _anchored.deviation, "", "i", "price less the first price", "flags"),
        Operation.of("deviation_sd", _anchored.deviation_sd, "iww", "f", "volume-weighted deviation"),
        Operation.of("session_totals", _anchored.session_totals, "", "iwww", "totals of the session", "flags"),
        Operation.of("session_sd", _anchored.session_sd, "i", "f", "the session's volume-weighted deviation"),
        # values
        Operation.of("polynomial", _values.whole_polynomial, "", "i", "a polynomial"),
        Operation.of("ratio", _values.ratio, "b", "f", "quotient of two polynomials"),
        Operation.of("float_const", _values.float_const, "", "f", "the number x"),
        Operation.of("+", _values.float_add, "ff", "f", "sum"),
        Operation.of("-", _values.float_sub, "ff", "f", "difference"),
        Operation.of("*", _values.float_mul, "ff", "f", "product"),
        Operation.of("/", _values.float_div, "ff", "f", "quotient"),
        Operation.of("minimum", _values.float_min, "ff", "f", "the smaller"),
        Operation.of("maximum", _values.float_max, "ff", "f", "the larger"),
        Operation.of("sqrt", _values.float_sqrt, "f", "f", "square root"),
        Operation.of("abs", _values.float_abs, "f", "f", "absolute value"),
        Operation.of("log", _values.float_log, "f", "f", "natural logarithm"),
        Operation.of("log_of", _values.float_log_of, "ff", "f", "natural logarithm, of a value and that less 1"),
        Operation.of("whole", _values.float_whole, "f", "i", "a whole number as an integer"),
        Operation.of("where", _values.float_where, "bff", "f", "one value or the other"),
        Operation.of("guarded", _values.guarded, "bf", "f", "a value while a condition holds"),
        # conditions
        Operation.of("compare", _values.compare_general, "", "b", "a polynomial against zero"),
        Operation.of("float_compare", _values.float_compare, "ff", "b", "two doubles"),
        Operation.of("bounds_of", _values.bounds_of, "f", "f", "lowest and highest of a block"),
        Operation.of("known", _values.float_known, "f", "b", "whether a double is defined"),
        Operation.of("all_of", _values.all_of, "bbb", "b", "all of two or three"),
        Operation.of("any_of", _values.any_of, "bbb", "b", "any of two or three"),
        Operation.of("negation", _values.negation, "b", "b", "not"),
        Operation.of("state", _values.state, "bb", "b", "0 none, 1 long, 2 short"),
        # series
        Operation.of("previous_int", _series.previous_int, "i", "i", "k records ago", "restarts past"),
        Operation.of("previous", _series.previous_float, "f", "f", "k records ago", "restarts past"),
        Operation.of("previous_bool", _series.previous_bool, "b", "b", "k records ago", "restarts past"),
        Operation.of("latest", _series.latest, "bf", "f", "value when it last held", "restarts past"),
        Operation.of("position", _series.position, "", "i", "the record's number"),
        Operation.of("unbroken", _series.unbroken, "b", "b", "it has held for k records", "restarts"),
        Operation.of("run_length", _series.run_length, "b", "i", "records in a row", "restarts"),
        Operation.of("run_time", _series.run_time, "b", "i", "ns since the run began", "restarts"),
        Operation.of("since_count", _series.since_count, "b", "i", "records since it held", "restarts"),
        Operation.of("since_time", _series.since_time, "b", "i", "ns since it held", "restarts"),
        Operation.of("ema", _series.ema, "f", "f", "exponential average", "restarts"),
        Operation.of("ema_time", _series.ema_time, "f", "f", "exponential average by time", "restarts"),
        Operation.of("cumulative", _series.cumulative, "f", "f", "sum so far", "restarts"),
        Operation.of("roll_sum", _series.roll_sum, "fi", "f", "sum over the window", "two_rings"),
        Operation.of("roll_extreme", _series.roll_extreme, "fi", "f", "highest or lowest of the window", "two_rings"),
        Operation.of("roll_stdev", _series.roll_stdev, "fi", "f", "standard deviation of the window", "ring"),
        Operation.of("roll_mad", _series.roll_mad, "fi", "f", "mean absolute deviation of the window", "ring"),
        Operation.of("roll_slope", _series.roll_slope, "fi", "f", "least-squares slope of the window", "ring"),
        Operation.of("roll_beta", _series.roll_beta, "ffi", "f", "least-squares slope of a on b", "two_rings"),
        # bars
        Operation.of("bars_by_time", _bars.bars_by_time, "", "iiiiiiw", "bars of k nanoseconds"),
        Operation.of("bars_by_count", _bars.bars_by_count, "", "iiiiiiw", "bars of k trades"),
        Operation.of("bars_by_volume", _bars.bars_by_volume, "", "iiiiiiw", "bars of k lots"),
        Operation.of("bars_by_value", _bars.bars_by_value, "", "iiiiiiw", "bars of k ticks x lots"),
        Operation.of("hold_i", _bars.hold_int, "i", "i", "of the last closed bar"),
        Operation.of("hold_w", _bars.hold_wide, "w", "w", "of the last closed bar"),
        Operation.of("hold_f", _bars.hold_float, "f", "f", "of the last closed bar"),
        Operation.of("hold_b", _bars.hold_bool, "b", "b", "of the last closed bar"),
        Operation.of("sample", _bars.sample, "f", "f", "at each bar's last trade"),
        # the market around
        Operation.of("tick_side", _market.tick_side, "", "i", "aggressor by the tick rule", "restarts"),
        Operation.of("quote_side", _market.quote_side, "i", "i", "aggressor by the quote rule"),
        Operation.of("in_session", _market.in_session, "", "b", "whether a session is open"),
        Operation.of("time_of_day", _market.time_of_day, "", "i", "ns past local midnight"),
        Operation.of("since_open", _market.since_open, "", "i", "ns since the session's opening"),
        Operation.of("to_close", _market.to_close, "", "i", "ns until the session's close"),
        Operation.of("flat_candles", _market.flat_candles, "", "i", "flat candles in a row", "restarts"),
        Operation.of("other_i", _market.other_int, "i", "i", "another instrument's"),
        Operation.of("other_f", _market.other_float, "f", "f", "another instrument's"),
        Operation.of("other_b", _market.other_bool, "b", "b", "another instrument's"),
    ]
    return {operation.name: operation for operation in found}


OPERATIONS = _operations()

BARS_BY = {"duration": "bars_by_time", "ticks": "bars_by_count", "size": "bars_by_volume", "value": "bars_by_value"}
"""The operation that builds bars of each kind of length."""


@cython.final
cdef class Program:
    """A feature graph under construction: each method adds a node and returns the column that holds its values.

    Columns stand on a *clock*: 0 is that of the trades, and each call of ``bars`` begins another. A node reads columns
    of its own clock; ``hold`` brings a bar's value to the trades, ``sample`` a trade's value to the bars, and ``other``
    another instrument's value to this one's trades.

    ``max_window`` bounds the trades that one window may hold; a time window that would hold more is cut short and its
    trades are flagged, which keeps every rule that uses it silent. Each column knows the windows and session that it is
    computed from, so other rules are not disturbed.
    """

    def __cinit__(self, int64_t max_window=MAX_WINDOW_TRADES):
        self.session_size = -1
        self.listing = []
        self.kept = []
        self.read_elsewhere = set()
        if not 1 <= max_window <= MAX_WINDOW_TRADES:
            raise ValueError(f"max_window must be between 1 and {MAX_WINDOW_TRADES} trades, not {max_window}")
        self.max_window = max_window
        self.begin_clock()
        for _ in range(FIXED_COLUMNS):
            self.add_column(TYPE_INT, 0)

    def __dealloc__(self):
        cdef int i
        for i in range(self.graph.n_nodes):
            free(self.graph.nodes[i].terms)
        free(self.graph.nodes)
        free(self.graph.steps)
        free(self.graph.tails)
        free(self.graph.column_type)
        free(self.graph.column_clock)
        free(self.graph.column_node)
        free(self.graph.column_offset)
        free(self.graph.column_sources)
        free(self.graph.clock_bytes)
        free(self.graph.clock_reach)

    # ------------------------------------------------------------ columns, clocks and nodes

    def begin_clock(self):
        """Add a clock without columns; returns its number."""
        cdef Graph* graph = &self.graph
        cdef int n = graph.n_clocks
        graph.clock_bytes = <int64_t*>grown(graph.clock_bytes, n, sizeof(int64_t))
        graph.clock_reach = <int64_t*>grown(graph.clock_reach, n, sizeof(int64_t))
        graph.clock_bytes[n] = 0
        graph.clock_reach[n] = 1
        graph.n_clocks = n + 1
        return n

    cdef int add_column(self, int type, int clock, uint64_t sources=0, int node=-1) except -1:
        cdef Graph* graph = &self.graph
        cdef int n = graph.n_columns
        graph.column_type = <int*>grown(graph.column_type, n, sizeof(int))
        graph.column_clock = <int*>grown(graph.column_clock, n, sizeof(int))
        graph.column_node = <int*>grown(graph.column_node, n, sizeof(int))
        graph.column_offset = <int64_t*>grown(graph.column_offset, n, sizeof(int64_t))
        graph.column_sources = <uint64_t*>grown(graph.column_sources, n, sizeof(uint64_t))
        graph.column_type[n] = type
        graph.column_clock[n] = clock
        graph.column_node[n] = node
        graph.column_offset[n] = graph.clock_bytes[clock]
        graph.column_sources[n] = sources
        graph.clock_bytes[clock] += width_of(type)
        graph.n_columns = n + 1
        return n

    cdef Node* add_node(self, Operation operation, inputs, int clock, int64_t k=0, double x=0) except NULL:
        """Add a node and its columns; ``inputs`` are not checked here."""
        cdef Graph* graph = &self.graph
        cdef Node* node
        cdef uint64_t sources = 0
        cdef int column
        if self.sealed:
            raise RuntimeError("this program already runs: build a new one")
        graph.nodes = <Node*>grown(graph.nodes, graph.n_nodes, sizeof(Node))
        node = &graph.nodes[graph.n_nodes]
        memset(node, 0, sizeof(Node))
        node.work, node.clock, node.k, node.x = operation.work, clock, k, x
        node.rings, node.ring_width = operation.rings, operation.ring_width
        node.restarts = RESTARTS_WITH_WINDOWS if operation.restarts else 0
        node.other_instrument = -1
        node.memory = 8 << (<object>k).bit_length() if operation.keeps_past else 0
        if operation.is_source:
            node.source = <uint64_t>1 << (graph.n_sources if graph.n_sources < SOURCES else SOURCES - 1)
            graph.n_sources += 1
        for column in inputs:
            sources |= self.sources_of(column)
        offsets = [graph.column_offset[column] if column >= 0 else -1 for column in inputs] + [-1] * 3
        node.a, node.b, node.c = offsets[0], offsets[1], offsets[2]
        first = graph.n_columns
        for letter in operation.outputs:
            self.add_column(TYPES[letter], clock, sources | node.source, graph.n_nodes)
        node.out = graph.column_offset[first]
        graph.n_nodes += 1
        self.newest = tuple(range(first, graph.n_columns))
        self.listing.append((operation.name, tuple(inputs), k, x, self.newest, clock))
        return node

    def add(self, operation, inputs=(), int64_t k=0, double x=0, int clock=0):
        """Add a node by its operation, or that's name; returns its column, or the tuple of its columns.

        It stands on the clock of its inputs; ``clock`` says which when there is none. An optional input is -1.

        Raises:
            ValueError: the inputs are not what the operation reads, or stand on different clocks.
        """
        cdef Operation found = OPERATIONS[operation] if isinstance(operation, str) else operation
        cdef int column
        if len(inputs) != len(found.inputs):
            raise ValueError(f"{found.name} reads {len(found.inputs)} columns, not {len(inputs)}")
        for letter, column in zip(found.inputs, inputs, strict=True):
            if column >= 0:
                self.check_column(column, TYPES[letter])
        clocks = {self.clock_of(column) for column in inputs if column >= 0}
        if len(clocks) > 1:
            raise ValueError(f"{found.name} reads columns of different clocks")
        self.add_node(found, inputs, clocks.pop() if clocks else clock, k, x)
        if found.work == _series.ema:
            self.pair_average()
        elif found.work == _values.float_div:
            self.divide_by_number(inputs[1])
        return self.newest[0] if len(self.newest) == 1 else self.newest

    cdef void divide_by_number(self, int divisor) noexcept:
        """Have the newest node divide by a number that is not 0 without asking each time, where its divisor is one."""
        cdef Node* newest = &self.graph.nodes[self.graph.n_nodes - 1]
        cdef int number = self.graph.column_node[divisor]
        if number >= 0 and self.graph.nodes[number].work == _values.float_const and self.graph.nodes[number].x != 0:
            newest.work, newest.x = _values.float_div_by, self.graph.nodes[number].x

    cdef pair_average(self):
        """Have the newest node, an exponential average, computed together with the one before it, if nothing minds.

        An average waits for its own last value, so two take little longer than one. The earlier moves back to the
        place of the later one: no node between may read it, and no other program.
        """
        cdef Graph* graph = &self.graph
        cdef Node* newest = &graph.nodes[graph.n_nodes - 1]
        cdef Node* node
        cdef int i, column
        for i in range(graph.n_nodes - 2, -1, -1):
            node = &graph.nodes[i]
            if node.work == _series.ema and node.clock == newest.clock and i not in self.read_elsewhere:
                break
        else:
            return
        for column in range(graph.n_columns):
            if graph.column_node[column] == i:
                break
        if any(reads(&graph.nodes[between], node.out) for between in range(i + 1, graph.n_nodes)):
            return
        newest.work = _series.two_averages
        newest.c = i + 1 - graph.n_nodes
        node.work = NULL
        graph.column_node[column] = graph.n_nodes - 1

    cdef seal(self):
        """Admit no more nodes, and compile those there are to a single record's steps. Sealing twice is harmless."""
        cdef Graph* graph = &self.graph
        cdef int i
        if self.sealed:
            return
        graph.steps = <Step*>calloc(graph.n_nodes + 1, sizeof(Step))
        if graph.steps == NULL:
            raise MemoryError
        for i in range(graph.n_nodes):
            set_step(&graph.steps[i], &graph.nodes[i], i)
        order_steps(graph.steps, graph.n_nodes)
        self.join_sums()
        for i in range(graph.n_nodes):
            graph.sums_sizes |= graph.nodes[i].work == _windows.sum_size
        self.sealed = 1

    cdef void join_sums(self) noexcept:
        """Have the sums over one window taken together in blocks, where the first of them stands."""
        cdef Node* nodes = self.graph.nodes
        cdef int64_t[4] places
        cdef int i, k, which, joined
        for i in range(self.graph.n_nodes):
            which = which_sum(&nodes[i])
            if which < 0:
                continue
            places[0] = places[1] = places[2] = places[3] = -1
            places[which] = nodes[i].out
            joined = 0
            for k in range(i + 1, self.graph.n_nodes):
                which = which_sum(&nodes[k])
                if which >= 0 and nodes[k].a == nodes[i].a and places[which] < 0:
                    places[which] = nodes[k].out
                    nodes[k].work = NULL
                    joined = 1
            if joined:
                nodes[i].work = _windows.sums_together
                nodes[i].b, nodes[i].c, nodes[i].k, nodes[i].constant = places[0], places[1], places[2], places[3]

    cdef int lone_writer(self, int column):
        """The node that could write a column of doubles anywhere, or -1: it keeps nothing, and nobody reads that."""
        cdef int number = self.graph.column_node[column], i
        cdef const Node* node
        if number < 0 or self.graph.column_type[column] != TYPE_FLOAT or number in self.read_elsewhere:
            return -1
        node = &self.graph.nodes[number]
        if node.work == NULL or node.rings or node.memory or node.restarts:
            return -1
        if [self.graph.column_node[i] for i in range(self.graph.n_columns)].count(number) > 1:
            return -1
        if any(reads(&self.graph.nodes[i], node.out) for i in range(self.graph.n_nodes)):
            return -1
        return number if all(column not in entry[1] for entry in self.listing) else -1

    cdef uint64_t sources_of(self, int column) noexcept:
        return self.graph.column_sources[column] if column >= 0 else 0

    cdef check_exists(self, int column):
        if not 0 <= column < self.graph.n_columns:
            raise ValueError(f"column {column} does not exist")

    cdef check_column(self, int column, int type):
        self.check_exists(column)
        if self.graph.column_type[column] != type:
            raise ValueError(f"column {column} has another type")

    cdef set_terms(self, Node* node, int out, numerator, denominator):
        """Give a node ``[(coefficient, (column, …)), …]``, one list then the other, wide columns first."""
        cdef int i = 0, j
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
                if self.graph.column_clock[column] != node.clock:
                    raise ValueError("a polynomial reads columns of different clocks")
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

    def clock_of(self, int column):
        """The clock on which a column stands."""
        self.check_exists(column)
        return self.graph.column_clock[column]

    def type_of(self, int column):
        """The type of a column: ``i`` int64, ``w`` 128 bits, ``f`` double, ``b`` condition."""
        self.check_exists(column)
        return next(letter for letter, type in TYPES.items() if type == self.graph.column_type[column])

    # ------------------------------------------------------------ windows

    def window_time(self, int64_t window_ns):
        """A window of ``window_ns`` nanoseconds: trades with ``ts > now - window_ns``."""
        if window_ns < 1 or window_ns > TIME_BOUND:
            raise ValueError(f"a time window must be between 1 ns and {TIME_BOUND} ns, not {window_ns}")
        column = self.add("tail_time", (), window_ns)
        self.add_tail()
        return column

    def window_count(self, int64_t records, int clock=0):
        """A window of the last ``records`` trades or bars, the present one included."""
        most = MAX_WINDOW_BARS if clock else self.max_window
        if not 1 <= records <= most:
            raise ValueError(f"a count window must be between 1 and {most} records, not {records}")
        column = self.add("tail_count", (), records, clock=clock)
        if clock == 0:
            self.add_tail()
        elif records > self.graph.clock_reach[clock]:
            self.graph.clock_reach[clock] = records
        return column

    def add_tail(self):
        """Count the newest node among those whose tail decides which trades the ring must keep."""
        cdef Graph* graph = &self.graph
        graph.tails = <int*>grown(graph.tails, graph.n_tails, sizeof(int))
        graph.tails[graph.n_tails] = graph.n_nodes - 1
        graph.n_tails += 1

    def first_price(self, int window):
        """Price of the oldest trade in the window, ticks."""
        return self.add("first_price", (window,))

    def count(self, int window):
        """Trades in the window."""
        return self.add("count", (window,))

    def sum_size(self, int window):
        """Size traded in the window, lots. Exact: at most 2**22 trades of less than 2**40 lots."""
        return self.add("sum_size", (window,))

    def sum_price(self, int window):
        """Sum of prices, ticks. Exact: at most 2**22 trades below 2**40 ticks."""
        self.graph.sums_prices = 1
        return self.add("sum_price", (window,))

    def sum_price_size(self, int window):
        """Sum of price times size, ticks x lots; 128 bits."""
        self.graph.sums_prices = self.graph.sums_products = 1
        return self.add("sum_price_size", (window,))

    def sum_price_squared(self, int window):
        """Sum of squared prices, ticks squared; 128 bits."""
        self.graph.sums_prices = self.graph.sums_products = 1
        return self.add("sum_price_squared", (window,))

    def extremes(self, int window):
        """Highest and lowest price in the window, ticks: returns the two columns."""
        return self.add("extremes", (window,))

    def window_sum(self, int window, terms, bint wide=False):
        """Sum of a polynomial over a moving window; the caller has proved that 63 (``wide``: 127) bits hold it."""
        return self.add_sum("window_sum_wide" if wide else "window_sum", (window,), terms, 0)

    def anchored_sum(self, int window, terms, int bits, int gate=-1):
        """Sum of a polynomial since an anchor, over the trades on which the ``gate`` is open.

        A window whose sum leaves ``bits`` bits (62 or fewer, or 125 or fewer for a wide column) reads 0 and is flagged.
        """
        if not 1 <= bits <= 125:
            raise ValueError(f"a sum of {bits} bits cannot be kept")
        bits = 64 if bits == 63 else bits  # no wide sum is kept to an odd bit
        return self.add_sum("anchored_sum_wide" if bits > 62 else "anchored_sum", (window, gate), terms, bits)

    def add_sum(self, operation, inputs, terms, int bits):
        """Add the node of a sum and give it its polynomial; most are a column or the product of two."""
        cdef Node* node
        column = self.add(operation, inputs, bits)
        node = &self.graph.nodes[self.graph.n_nodes - 1]
        self.set_terms(node, column, terms, [])
        if node.n_terms == 1 and node.terms.coef == 1 and not node.terms.first_is_wide and node.terms.n_factors < 3:
            if operation == "window_sum" and node.terms.n_factors == 1:
                node.work = _windows.window_sum_of_column
            elif operation == "window_sum_wide" and node.terms.n_factors == 2:
                node.work = _windows.window_sum_of_product
        return column

    def flow(self):
        """Order flow at the best quotes so far, lots; kept only for programs that ask for it."""
        self.graph.needs_flow = 1
        return COL_FLOW

    def session(self):
        """Session totals: returns the columns of size, price x size, and size-weighted deviation and its square."""
        if self.session_size < 0:  # a tape keeps one set of totals
            self.session_size = self.add("session_totals")[0]
        return tuple(range(self.session_size, self.session_size + 4))

    def session_sd(self, int session_size):
        """Volume-weighted standard deviation of the session's prices, ticks; ``session_size`` from ``session()``."""
        if session_size < 0 or session_size != self.session_size:
            raise ValueError(f"column {session_size} is not the session's size: take the first that session() returns")
        return self.add("session_sd", (session_size,))

    # ------------------------------------------------------------ bars and other instruments

    def bars(self, str kind, int64_t length):
        """A bar series: returns its clock, its columns, and those of the developing bar on the clock of trades.

        ``kind`` is ``duration`` (nanoseconds), ``ticks`` (trades), ``size`` (lots) or ``value`` (ticks x lots). The
        columns are open, high, low, close, volume, trades, start time, …, price x size; a developing bar's are open,
        high, low, close, volume, trades, price x size.
        """
        cdef int clock, column
        if kind not in BARS_BY or length < 1:
            raise ValueError(f"there are no bars of {length} {kind}")
        developing = self.add(BARS_BY[kind], (), length)
        clock = self.begin_clock()
        self.graph.nodes[self.graph.n_nodes - 1].other_clock = clock
        columns = [
            self.add_column(TYPE_WIDE if column == BAR_PRICE_SIZE else TYPE_INT, clock) for column in range(BAR_COLUMNS)
        ]
        return clock, tuple(columns), developing

    def hold(self, int column):
        """A bar's column on the clock of trades: the last closed bar's value."""
        clock = self.clock_of(column)
        self.add_node(OPERATIONS["hold_" + self.type_of(column)], (column,), 0)
        self.graph.nodes[self.graph.n_nodes - 1].other_clock = clock
        return self.newest[0]

    def sample(self, int column, int clock):
        """A trade's double on a clock of bars: its value at each bar's last trade."""
        self.check_column(column, TYPE_FLOAT)
        if self.clock_of(column) != 0 or not 1 <= clock < self.graph.n_clocks:
            raise ValueError("values are sampled from the clock of trades on a clock of bars")
        self.add_node(OPERATIONS["sample"], (column,), clock)
        return self.newest[0]

    def other(self, int instrument, Program program, int column):
        """Another instrument's column, of doubles, int64 or conditions, as of this one's trades."""
        cdef Node* node
        letter = program.type_of(column)
        if letter == "w" or program.clock_of(column) != 0:
            raise ValueError("what is taken from another instrument stands on its trades, and is not wide")
        node = self.add_node(OPERATIONS["other_" + letter], (), 0, instrument)
        node.a = program.graph.column_offset[column]
        node.other_instrument = instrument
        node.needed_node = program.graph.column_node[column]
        program.read_elsewhere.add(node.needed_node)
        return self.newest[0]

    # ------------------------------------------------------------ values and conditions

    def polynomial(self, terms, int clock=0):
        """A polynomial as a column; the caller has proved that 63 bits hold it."""
        column = self.add("polynomial", clock=clock)
        self.set_terms(&self.graph.nodes[self.graph.n_nodes - 1], column, terms, [])
        return column

    def ratio(self, numerator, denominator, int clock=0, bint narrow=False, int guard=-1):
        """Quotient of two polynomials as a double, rounded once where both are below 2**53; NaN when undefined.

        ``narrow`` promises that 63 bits hold both. Where the condition ``guard`` does not hold it is undefined, too.
        """
        cdef Node* node
        column = self.add("ratio", (guard,), clock=clock)
        node = &self.graph.nodes[self.graph.n_nodes - 1]
        if narrow and self.is_short(numerator) and self.is_short(denominator):
            node.work = _values.ratio_narrow
            node.constant = sum(coefficient for coefficient, columns in numerator if not columns)
            node.k = sum(coefficient for coefficient, columns in denominator if not columns)
            numerator = [term for term in numerator if term[1]]
            denominator = [term for term in denominator if term[1]]
            self.set_terms(node, column, numerator, denominator)
            return column
        numerator = sorted(numerator, key=lambda term: all(self.column_is_exact_int(each) for each in term[1]))
        self.set_terms(node, column, numerator, denominator)
        if is_variance(node):
            node.work = _values.ratio_of_sums
        return column

    cdef bint is_short(self, terms):
        """Whether a polynomial is a sum of at most two plain columns and a constant."""
        return sum(len(columns) for _, columns in terms) <= 2 and all(
            len(columns) <= 1 and (not columns or self.column_is_exact_int(columns[0])) for _, columns in terms
        )

    def compare(self, terms, int comparison, bint narrow=False, int clock=0):
        """Whether a polynomial in the columns is >= 0 (or >, …): exact. ``narrow`` promises that 63 bits hold it."""
        cdef Node* node
        if comparison == CMP_LE or comparison == CMP_LT:
            terms = [(-coefficient, columns) for coefficient, columns in terms]
            comparison = CMP_GE if comparison == CMP_LE else CMP_GT
        shape = self.shape_of(terms, comparison, narrow)
        column = self.add("compare", (), comparison, clock=clock)
        node = &self.graph.nodes[self.graph.n_nodes - 1]
        node.shape = shape
        if shape != SHAPE_GENERAL:
            node.constant = sum(coefficient for coefficient, columns in terms if not columns)
            terms = [term for term in terms if term[1]]
        self.set_terms(node, column, sorted(terms, key=lambda term: len(term[1])), [])
        if shape == SHAPE_NARROW:
            node.work = _values.compare_narrow
        elif shape == SHAPE_LINEAR:
            node.work = _values.compare_linear
        elif is_product(node) and comparison in (CMP_GE, CMP_GT):
            node.work = _values.compare_product
        return column

    def compare_screened(self, terms, int comparison, int bounds, double threshold, bint narrow=False):
        """As ``compare``, for a quotient against a number: ``bounds`` is the column of ``bounds_of`` of the quotient.

        The polynomial is the quotient less the threshold, times something positive.
        """
        cdef Node* node
        self.check_column(bounds, TYPE_FLOAT)
        column = self.compare(terms, comparison, narrow, self.clock_of(bounds))
        node = &self.graph.nodes[self.graph.n_nodes - 1]
        if comparison != CMP_EQ and comparison != CMP_NE:
            node.work = _values.compare_screened
            node.b = self.graph.column_offset[bounds]
            node.c = 1 if comparison in (CMP_GE, CMP_GT) else -1
            node.x = threshold
        return column

    cdef int shape_of(self, terms, int comparison, bint narrow) except -1:
        """How a polynomial is compared: at most three plain columns and a constant, or anything."""
        cdef int columns_of = 0
        if comparison not in (CMP_GE, CMP_GT):
            return SHAPE_GENERAL
        for coefficient, columns in terms:
            if len(columns) > 1 or (columns and not self.column_is_exact_int(columns[0])):
                return SHAPE_GENERAL
            if not WIDE_FROM <= coefficient <= WIDE_TO:
                return SHAPE_GENERAL
            columns_of += len(columns)
        if not 1 <= columns_of <= (3 if narrow else 2):
            return SHAPE_GENERAL
        return SHAPE_NARROW if narrow else SHAPE_LINEAR

    def float_const(self, double value, int clock=0):
        """A constant column of doubles."""
        return self.add("float_const", (), 0, value, clock)

    def float_op(self, str op, int a, int b=-1):
        """``+ - * /`` of two double columns, or ``sqrt``, ``abs``, ``log`` of one."""
        return self.add(op, [a] if b < 0 else [a, b])

    def float_compare(self, int a, int b, int comparison):
        """Compare two double columns; a NaN satisfies nothing."""
        return self.add("float_compare", (a, b), comparison)

    def all_of(self, int a, int b, int c=-1):
        """All two or three conditions hold."""
        return self.add("all_of", (a, b, c))

    def any_of(self, int a, int b, int c=-1):
        """At least one of two or three conditions holds."""
        return self.add("any_of", (a, b, c))

    def negation(self, int a):
        """The condition does not hold."""
        return self.add("negation", (a,))

    def state(self, int long_condition, int short_condition):
        """0 none, 1 long, 2 short; -1 for a side that is never taken. Long wins where both hold."""
        if long_condition < 0 and short_condition < 0:
            raise ValueError("a state needs a long or a short condition")
        return self.add("state", (long_condition, short_condition))

    @property
    def nodes(self):
        """Number of nodes: what one trade costs grows with it."""
        return self.graph.n_nodes

    @property
    def columns(self):
        """Number of columns; the newest is the last."""
        return self.graph.n_columns


cdef bint reads(const Node* node, int64_t offset):
    """Whether a node may read the column at ``offset`` of its own clock's, or of another's."""
    cdef int i, j
    for i in range(node.n_terms + node.n_denominator):
        for j in range(node.terms[i].n_factors):
            if node.terms[i].offset[j] == offset:
                return True
    return offset in (node.a, node.b, node.c)


cdef int which_sum(const Node* node) noexcept:
    """Which of the four totals on the ring a node takes a difference of; -1: it does something else."""
    if node.work == _windows.sum_size:
        return 0
    if node.work == _windows.sum_price:
        return 1
    if node.work == _windows.sum_price_size:
        return 2
    return 3 if node.work == _windows.sum_price_squared else -1


cdef int step_kind(const Node* node):
    """How a node is computed for a single record."""
    cdef Work work = node.work
    if work == NULL:
        return STEP_NONE
    if node.clock > 0:
        return STEP_OF_BARS
    if work == _tails.tail_time:
        return STEP_TAIL_TIME
    if work == _tails.tail_count:
        return STEP_TAIL_COUNT
    if work == _windows.first_price:
        return STEP_FIRST_PRICE
    if work == _windows.count:
        return STEP_COUNT
    if work == _windows.sum_size:
        return STEP_SUM_SIZE
    if work == _windows.sum_price:
        return STEP_SUM_PRICE
    if work == _windows.sum_price_size:
        return STEP_SUM_PRICE_SIZE
    if work == _windows.sum_price_squared:
        return STEP_SUM_PRICE_SQUARED
    if work == _windows.extremes:
        return STEP_EXTREMES
    if work == _values.compare_narrow:
        return STEP_NARROW
    if work == _values.compare_linear:
        return STEP_LINEAR
    if work == _values.compare_product:
        return STEP_PRODUCT
    if work == _values.all_of:
        return STEP_ALL_OF
    if work == _values.any_of:
        return STEP_ANY_OF
    if work == _values.state and node.a >= 0 and node.b >= 0:
        return STEP_STATE
    return STEP_CALL


cdef void set_step(Step* step, const Node* node, int number):
    """Compile a node: what comparisons look up in their terms stands in the step itself."""
    cdef const Term* terms = node.terms
    cdef int strict = node.k == CMP_GT
    step.kind = step_kind(node)
    step.slot = number * <int>sizeof(Slot)
    step.node = node
    step.out, step.a, step.b = <int>node.out, <int>node.a, <int>node.b
    step.c = <int>(node.c if node.c >= 0 else node.b)  # of two conditions the second counts twice
    step.k = node.k
    if step.kind == STEP_PRODUCT:
        step.a = <int>terms[0].offset[0]
        step.b, step.c = <int>terms[1].offset[0], <int>terms[1].offset[1]
        step.factor[0] = terms[0].coef
        step.k = -strict
    elif step.kind == STEP_NARROW or step.kind == STEP_LINEAR:
        step.a = step.b = step.c = <int>terms[0].offset[0]
        step.factor[0] = terms[0].coef
        if node.n_terms > 1:
            step.b, step.factor[1] = <int>terms[1].offset[0], terms[1].coef
        if node.n_terms > 2:
            step.c, step.factor[2] = <int>terms[2].offset[0], terms[2].coef
        step.k = node.constant - strict


cdef order_steps(Step* steps, int n):
    """Bring steps of one kind together, as far as each still comes after what it reads.

    What calls a function stays where it is: nothing is known of what that reads and writes.
    """
    cdef int first = 0, i
    while first < n:
        i = first
        while i < n and steps[i].kind > STEP_OF_BARS:
            i += 1
        if i - first > 2:
            order_among(steps + first, i - first)
        first = i + 1


cdef order_among(Step* steps, int n):
    """Order steps by how many steps lie before them, one needing the other; and then by their kinds."""
    cdef Step* copies = <Step*>calloc(n, sizeof(Step))
    cdef int i, j
    if copies == NULL:
        raise MemoryError
    memcpy(copies, steps, n * sizeof(Step))
    depth = [0] * n
    for i in range(n):
        for j in range(i):
            if reads(copies[i].node, copies[j].node.out) or (
                copies[j].kind == STEP_EXTREMES and reads(copies[i].node, copies[j].node.out + INT_BYTES)
            ):
                depth[i] = max(depth[i], depth[j] + 1)
    order = sorted([(depth[i], copies[i].kind, i) for i in range(n)])
    for i in range(n):
        j = order[i][2]
        steps[i] = copies[j]
    free(copies)


cdef bint is_product(const Node* node):
    """Whether a polynomial is ``w - x*y`` or ``x*y - w``, ``w`` alone being wide."""
    cdef const Term* terms = node.terms
    return (
        node.n_terms == 2 and terms[0].n_factors == 1 and terms[0].first_is_wide
        and terms[1].n_factors == 2 and not terms[1].first_is_wide
        and terms[0].coef == -terms[1].coef and (terms[0].coef == 1 or terms[0].coef == -1)
    )


cdef bint is_variance(const Node* node):
    """Whether a quotient is ``(n*w - x*y) / (p*q)``, ``w`` alone being wide, or has numbers for n and p*q."""
    cdef const Term* terms = node.terms
    return (
        node.n_terms == 2 and node.n_denominator == 1
        and terms[0].first_is_wide and terms[1].coef == -1 and terms[1].n_factors == 2 and not terms[1].first_is_wide
        and (
            (terms[0].n_factors == 1 and terms[2].n_factors == 0)
            or (
                terms[0].n_factors == 2 and terms[0].coef == 1
                and terms[2].n_factors == 2 and terms[2].coef == 1 and not terms[2].first_is_wide
            )
        )
    )


cdef int64_t width_of(int type):
    """Bytes of a column."""
    return WIDE_BYTES if type == TYPE_WIDE else BOOL_BYTES if type == TYPE_BOOL else INT_BYTES


cdef void* grown(void* array, int n, size_t width) except NULL:
    """``array`` of ``n`` cells with room for one more; the old one is freed, or kept when there is no memory."""
    cdef void* found = realloc(array, (n + 1) * width)
    if found == NULL:
        raise MemoryError
    return found
