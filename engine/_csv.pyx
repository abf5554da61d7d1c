# cython: language_level=3, auto_pickle=False, autotestdict=False
"""Rows of ticks or bars as CSV text and as integer columns: the scanner, the formatter, and the rule of a valid row.

The scanner runs over one chunk of bytes after the other without the GIL and writes each row straight into
preallocated columns. It stops, and says so, whenever Python has something to decide: a bad row, a symbol it has not
met, a number with more decimals than the precision assumed so far, columns that are full, a chunk that is used up.
``engine.store.csv`` is its only caller; ``docs/reference/tick-files.md`` is what the two of them promise.
"""

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy

from engine._scan cimport (
    INT64_MAX, SCAN_EMPTY, SCAN_NEGATIVE, SCAN_NOT_NUMBER, SCAN_NOT_TIME, SCAN_OK,
    SCAN_OUT_OF_BOUNDS, SCAN_POW10, ScanNumber, int64_t, number_decimals, number_to_grid, scan_number, scan_time,
    scan_word, uint64_t)

from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t


cdef enum:
    TIMESTAMP, PRICE, SIZE, BID, ASK, BID_SIZE, ASK_SIZE, SYMBOL, OPEN, HIGH, LOW, FIELD_COUNT

FIELDS = ("timestamp", "price", "size", "bid", "ask", "bid_size", "ask_size", "symbol", "open", "high", "low")

cdef enum Stop:
    STOP_MORE      # the chunk is used up
    STOP_FULL      # the columns are full
    STOP_BAD_ROW   # the row was passed over; field, code and text say why
    STOP_SYMBOL    # a symbol that is not in the table yet; the row has not been consumed
    STOP_FINER     # a number needs more decimals than its instrument has; the row has not been consumed

MORE, FULL, BAD_ROW, NEW_SYMBOL, FINER = STOP_MORE, STOP_FULL, STOP_BAD_ROW, STOP_SYMBOL, STOP_FINER

cdef enum:  # reasons of rows, after those of ScanCode
    ROW_ZERO = 16
    ROW_CROSSED
    ROW_COLUMNS
    ROW_QUOTE
    ROW_CUT
    ROW_NO_PRICE
    ROW_UNIT
    ROW_QUOTE_PRICE
    ROW_HIGH_LOW
    ROW_OPEN
    ROW_CLOSE

cdef dict _ROW_REASONS = {
    ROW_CROSSED: "crossed_quote", ROW_COLUMNS: "wrong_columns", ROW_QUOTE: "unclosed_quote", ROW_CUT: "cut_row",
    ROW_NO_PRICE: "no_price", ROW_UNIT: "timestamp_unit", ROW_QUOTE_PRICE: "quote_with_price",
    ROW_HIGH_LOW: "high_below_low", ROW_OPEN: "open_outside", ROW_CLOSE: "close_outside"}

cdef enum:
    MAX_PRECISION_ = 12
    ISO_UNIT = -1
    MAX_SYMBOLS_ = 65535
    SLOTS = 131072

MAX_PRECISION = MAX_PRECISION_
MAX_SYMBOLS = MAX_SYMBOLS_
ISO = ISO_UNIT

cdef int64_t TIME_LIMIT = <int64_t>1 << 62  # 2116-02-20; the core adds windows and deadlines to a time
cdef int64_t LIMIT = (<int64_t>1 << 40) - 1  # engine.model.MAX_PRICE_TICKS and MAX_SIZE_LOTS


def reason_name(int field, int code):
    """Return the counter name of a bad row, for instance ``"price_not_number"`` or ``"crossed_quote"``."""
    if code in _ROW_REASONS:
        return _ROW_REASONS[code]
    if code == ROW_ZERO:
        return f"{FIELDS[field]}_zero"
    return f"{FIELDS[field]}_{scan_word(code).decode()}"


cdef struct Row:
    int64_t ts_ns
    int64_t price
    int64_t size
    int64_t bid
    int64_t ask
    int64_t bid_size
    int64_t ask_size
    int64_t open
    int64_t high
    int64_t low
    bint bar
    bint quote
    int instrument
    int price_precision  # what this row needs, at least what its instrument has
    int size_precision
    int field            # the field that a problem is about


cdef inline int _bar_problem(Row *row) noexcept nogil:
    """What is wrong with the open, high and low of a bar whose close (its price) is valid."""
    cdef int64_t values[3]
    cdef int i
    values[0], values[1], values[2] = row.open, row.high, row.low
    for i in range(3):
        if values[i] <= 0 or values[i] > LIMIT:
            row.field = OPEN + i
            return _out_of_range(values[i])
    if row.high < row.low:
        row.field = HIGH
        return ROW_HIGH_LOW
    if not row.low <= row.open <= row.high:
        row.field = OPEN
        return ROW_OPEN
    if not row.low <= row.price <= row.high:
        row.field = PRICE
        return ROW_CLOSE
    return SCAN_OK


cdef inline int _problem(Row *row) noexcept nogil:
    """What is wrong with a row of integers: this is the definition of a valid tick, and of a valid bar."""
    cdef int code
    if row.quote:
        if row.bid == 0 and row.ask == 0:
            row.field = BID
            return ROW_NO_PRICE
        if row.price != 0 or row.size != 0:
            row.field = PRICE
            return ROW_QUOTE_PRICE
    else:
        if row.price <= 0 or row.price > LIMIT:
            row.field = PRICE
            return _out_of_range(row.price)
        if row.size <= 0 or row.size > LIMIT:
            row.field = SIZE
            return _out_of_range(row.size)
    if row.bid < 0 or row.bid > LIMIT:
        row.field = BID
        return _out_of_range(row.bid)
    if row.ask < 0 or row.ask > LIMIT:
        row.field = ASK
        return _out_of_range(row.ask)
    if row.bid > row.ask and row.ask != 0:
        row.field = BID
        return ROW_CROSSED
    if row.bid_size < 0 or row.bid_size > LIMIT:
        row.field = BID_SIZE
        return _out_of_range(row.bid_size)
    if row.ask_size < 0 or row.ask_size > LIMIT:
        row.field = ASK_SIZE
        return _out_of_range(row.ask_size)
    if row.bar:
        code = _bar_problem(row)
        if code != SCAN_OK:
            return code
    if row.ts_ns < 0 or row.ts_ns > TIME_LIMIT:
        row.field = TIMESTAMP
        return SCAN_NEGATIVE if row.ts_ns < 0 else SCAN_OUT_OF_BOUNDS
    return SCAN_OK


cdef inline int _out_of_range(int64_t value) noexcept nogil:
    if value == 0:
        return ROW_ZERO
    return SCAN_NEGATIVE if value < 0 else SCAN_OUT_OF_BOUNDS


cdef int _check_lengths(Py_ssize_t count, const int64_t[::1] price, const int64_t[::1] size, const int64_t[::1] bid,
                        const int64_t[::1] ask, const int64_t[::1] bid_size, const int64_t[::1] ask_size,
                        const int64_t[::1] open, const int64_t[::1] high, const int64_t[::1] low) except -1:
    """Raise ValueError unless every column has ``count`` rows and bids come with asks. Absent columns are None."""
    if (bid is None) != (ask is None) or (bid_size is None) != (ask_size is None):
        raise ValueError("bid and ask come in pairs")
    if (open is None) != (high is None) or (open is None) != (low is None):
        raise ValueError("open, high and low come together")
    if (price.shape[0] != count or size.shape[0] != count
            or (bid is not None and (bid.shape[0] != count or ask.shape[0] != count))
            or (bid_size is not None and (bid_size.shape[0] != count or ask_size.shape[0] != count))
            or (open is not None and (open.shape[0] != count or high.shape[0] != count or low.shape[0] != count))):
        raise ValueError("columns of different lengths")
    return 0


@cython.final
cdef class Scanner:
    """Scans rows of ticks or bars out of CSV bytes, chunk by chunk. They are bars when there is an open, high or low.

    Args:
        columns: for each column of the file the index of its field in ``FIELDS``, or -1 to ignore it.
        unit: decimals of a second that one unit of a numeric timestamp has (0 s, 3 ms, 6 us, 9 ns), or ``ISO``.
        earliest_ns: numeric timestamps before this are refused as being of another unit.
        line: number of the last line already read (the header), 0 when there was none.
    """

    cdef readonly Py_ssize_t consumed, rows, line, other_rows, late, empty_bars
    cdef readonly int field, code, column, zones, instrument, price_precision, size_precision
    cdef readonly bytes text
    cdef readonly list symbols
    cdef int field_of[256]
    cdef int column_of[FIELD_COUNT]
    cdef const char *begin[FIELD_COUNT]
    cdef const char *end[FIELD_COUNT]
    cdef int number_fields[FIELD_COUNT]  # the price and size fields that the file has
    cdef int number_count, columns, unit, last_symbol
    cdef int64_t earliest_ns, newest_ns
    cdef bint fixed_price, fixed_size, by_symbol, of_bars
    # The symbol table: names kept alive by ``symbols``, found by open addressing; a slot holds index + 1.
    cdef const char **name
    cdef Py_ssize_t *name_length
    cdef int32_t *slot
    cdef int32_t *output
    cdef int8_t *price_precision_of
    cdef int8_t *size_precision_of

    def __cinit__(self):
        # calloc: pages of the table that no symbol touches are never backed by memory.
        self.name = <const char **>calloc(MAX_SYMBOLS_, sizeof(char *))
        self.name_length = <Py_ssize_t *>calloc(MAX_SYMBOLS_, sizeof(Py_ssize_t))
        self.slot = <int32_t *>calloc(SLOTS, sizeof(int32_t))
        self.output = <int32_t *>calloc(MAX_SYMBOLS_, sizeof(int32_t))
        self.price_precision_of = <int8_t *>calloc(MAX_SYMBOLS_, 1)
        self.size_precision_of = <int8_t *>calloc(MAX_SYMBOLS_, 1)
        if not (self.name and self.name_length and self.slot and self.output and self.price_precision_of
                and self.size_precision_of):
            raise MemoryError
        self.text = b""
        self.symbols = []

    def __init__(self, columns, int unit, int64_t earliest_ns, Py_ssize_t line):
        cdef int i
        if not 0 < len(columns) <= 256 or not all(-1 <= field < FIELD_COUNT for field in columns):
            raise ValueError("between 1 and 256 columns, each a field or -1")
        if unit not in (ISO_UNIT, 0, 3, 6, 9):
            raise ValueError("no such unit")
        self.columns = len(columns)
        self.number_count = 0
        for i in range(FIELD_COUNT):
            self.column_of[i] = -1
        for i in range(self.columns):
            self.field_of[i] = columns[i]
            if columns[i] >= 0:
                self.column_of[<int>columns[i]] = i
        for i in range(PRICE, FIELD_COUNT):
            if i != SYMBOL and self.column_of[i] >= 0:
                self.number_fields[self.number_count] = i
                self.number_count += 1
        self.unit, self.earliest_ns, self.line = unit, earliest_ns, line
        self.newest_ns = -1
        self.by_symbol = self.column_of[SYMBOL] >= 0
        self.of_bars = self.column_of[OPEN] >= 0 or self.column_of[HIGH] >= 0 or self.column_of[LOW] >= 0

    def __dealloc__(self):
        free(self.name)
        free(self.name_length)
        free(self.slot)
        free(self.output)
        free(self.price_precision_of)
        free(self.size_precision_of)

    def fix_precision(self, price, size):
        """Take the precisions as given: a number with more decimals is a bad row. None leaves one to be detected."""
        self.fixed_price, self.fixed_size = price is not None, size is not None
        for i in range(MAX_SYMBOLS_ if self.by_symbol else 1):
            self.set_precision(i, price or 0, size or 0)

    def set_precision(self, Py_ssize_t output, int price, int size):
        """Set the precisions of an output index (an instrument)."""
        if not (0 <= output < MAX_SYMBOLS_ and 0 <= price <= MAX_PRECISION_ and 0 <= size <= MAX_PRECISION_):
            raise ValueError("no such instrument or precision")
        self.price_precision_of[output], self.size_precision_of[output] = price, size

    def add_symbol(self, bytes symbol, int output):
        """Map a symbol to an output index; rows of a symbol mapped to -1 are counted in ``other_rows`` and left out."""
        cdef Py_ssize_t index = len(self.symbols)
        cdef uint32_t at
        if index >= MAX_SYMBOLS_:
            raise ValueError("too many symbols")
        self.symbols.append(symbol)
        self.name[index] = symbol
        self.name_length[index] = len(symbol)
        self.output[index] = output
        at = _hash(self.name[index], self.name_length[index])
        while self.slot[at] != 0:
            at = (at + 1) % SLOTS
        self.slot[at] = <int32_t>index + 1

    def scan(self, const uint8_t[::1] chunk, Py_ssize_t start, Py_ssize_t stop, bint final, Py_ssize_t row,
             int64_t[::1] ts_ns, int64_t[::1] price, int64_t[::1] size,
             int64_t[::1] bid=None, int64_t[::1] ask=None, int64_t[::1] bid_size=None, int64_t[::1] ask_size=None,
             uint16_t[::1] instrument=None, uint8_t[::1] kind=None,
             int64_t[::1] open=None, int64_t[::1] high=None, int64_t[::1] low=None, int64_t[::1] lines=None):
        """Scan ``chunk[start:stop]`` into the columns from ``row`` on; return why it stopped.

        ``consumed`` is then the offset of the first byte not used, ``rows`` the next free row. ``final`` tells that
        no bytes follow, so that a last line without newline is a row too. Columns of absent fields are None. Bars
        come with ``lines``, which gets the number of each row's line.
        """
        cdef Py_ssize_t room = ts_ns.shape[0]
        _check_lengths(room, price, size, bid, ask, bid_size, ask_size, open, high, low)
        if (bid is not None and (kind is None or kind.shape[0] != room)) or \
                (self.by_symbol and (instrument is None or instrument.shape[0] != room)) or \
                (self.of_bars and (open is None or lines is None or lines.shape[0] != room)):
            raise ValueError("a column is missing or of another length")
        cdef const char *base
        cdef const char *p
        cdef const char *limit
        cdef const char *newline
        cdef const char *line_end
        cdef Row parsed
        cdef int code
        cdef bint quotes = bid is not None, depths = bid_size is not None
        if not 0 <= start <= stop <= chunk.shape[0]:
            raise ValueError("the range lies outside the chunk")
        if start == stop:
            self.consumed, self.rows = start, row
            return STOP_MORE
        if room == 0:
            self.consumed, self.rows = start, row
            return STOP_FULL
        base = <const char *>&chunk[0]
        p = base + start
        limit = base + stop
        cdef Stop why = STOP_MORE
        with nogil:
            while p != limit:
                newline = <const char *>memchr(p, c'\n', limit - p)
                if newline == NULL and not final:
                    break
                line_end = limit if newline == NULL else newline
                code = self._read(p, line_end, &parsed)
                if code == STOP_SYMBOL_NEEDED:
                    why = STOP_SYMBOL
                    break
                if code == SCAN_OK:
                    if parsed.price_precision > self.price_precision_of[parsed.instrument] or \
                            parsed.size_precision > self.size_precision_of[parsed.instrument]:
                        self.instrument = parsed.instrument
                        self.price_precision, self.size_precision = parsed.price_precision, parsed.size_precision
                        why = STOP_FINER
                        break
                    if row == room:
                        why = STOP_FULL
                        break
                    ts_ns[row], price[row], size[row] = parsed.ts_ns, parsed.price, parsed.size
                    if quotes:
                        bid[row], ask[row], kind[row] = parsed.bid, parsed.ask, parsed.quote
                    if depths:
                        bid_size[row], ask_size[row] = parsed.bid_size, parsed.ask_size
                    if self.of_bars:
                        open[row], high[row], low[row] = parsed.open, parsed.high, parsed.low
                        lines[row] = self.line + 1
                    if self.by_symbol:
                        instrument[row] = <uint16_t>parsed.instrument
                    row += 1
                    if parsed.ts_ns < self.newest_ns:
                        self.late += 1
                    else:
                        self.newest_ns = parsed.ts_ns
                self.line += 1
                p = limit if newline == NULL else newline + 1
                if code > SCAN_OK:
                    if newline == NULL and _looks_cut(code):
                        code = ROW_CUT
                    self.field, self.code = parsed.field, code
                    why = STOP_BAD_ROW
                    break
        self.consumed, self.rows = p - base, row
        if why == STOP_SYMBOL:
            self.text = self.begin[SYMBOL][:self.end[SYMBOL] - self.begin[SYMBOL]]
        elif why == STOP_BAD_ROW:
            self.column = 0
            self.text = b""
            if self.code < ROW_COLUMNS or self.code == ROW_UNIT:  # about one field, not about the row as a whole
                self.column = self.column_of[self.field] + 1
                if self.column and self.begin[self.field] != NULL:
                    self.text = self.begin[self.field][:self.end[self.field] - self.begin[self.field]]
        return why

    cdef inline int _read(self, const char *p, const char *end, Row *row) noexcept nogil:
        """Read one line: SCAN_OK with ``row`` filled, a reason, NO_ROW or STOP_SYMBOL_NEEDED."""
        cdef int code
        if end != p and (end - 1)[0] == c'\r':
            end -= 1
        if p == end:
            return NO_ROW
        code = self._split(p, end)
        if code != SCAN_OK:
            return code
        row.instrument = 0
        if self.by_symbol:
            code = self._find_symbol(row)
            if code != SCAN_OK:
                return code
        return self._parse(row)

    cdef inline int _split(self, const char *p, const char *end) noexcept nogil:
        """Note where the declared fields begin and end; quotes around a field and spaces within it are taken off."""
        cdef int column = 0, field
        cdef const char *first
        cdef const char *last
        while True:
            if column == self.columns:
                return ROW_COLUMNS
            while p != end and (p[0] == c' ' or p[0] == c'\t'):
                p += 1
            first = p
            if p != end and p[0] == c'"':
                p += 1
                first = p
                while True:
                    p = <const char *>memchr(p, c'"', end - p)
                    if p == NULL:
                        return ROW_QUOTE
                    if p + 1 == end or p[1] != c'"':
                        break
                    p += 2  # a doubled quote stands for one
                last = p
                p += 1
                while p != end and (p[0] == c' ' or p[0] == c'\t'):
                    p += 1
                if p != end and p[0] != c',':
                    return ROW_QUOTE
            else:
                while p != end and p[0] != c',':
                    p += 1
                last = p
                while last != first and ((last - 1)[0] == c' ' or (last - 1)[0] == c'\t'):
                    last -= 1
            field = self.field_of[column]
            if field >= 0:
                self.begin[field], self.end[field] = first, last
            column += 1
            if p == end:
                break
            p += 1
        if column == self.columns:
            return SCAN_OK
        # A line of spaces only is as blank as an empty one.
        return NO_ROW if column == 1 and first == last and first == end else ROW_COLUMNS

    cdef inline int _find_symbol(self, Row *row) noexcept nogil:
        cdef const char *p = self.begin[SYMBOL]
        cdef Py_ssize_t length = self.end[SYMBOL] - p
        cdef int index = self.last_symbol
        cdef uint32_t at
        if length == 0:
            row.field = SYMBOL
            return SCAN_EMPTY
        if self.name[index] == NULL or self.name_length[index] != length or memcmp(self.name[index], p, length) != 0:
            at = _hash(p, length)
            while True:
                index = self.slot[at] - 1
                if index < 0:
                    return STOP_SYMBOL_NEEDED
                if self.name_length[index] == length and memcmp(self.name[index], p, length) == 0:
                    break
                at = (at + 1) % SLOTS
            self.last_symbol = index
        row.instrument = self.output[index]
        if row.instrument < 0:
            self.other_rows += 1
            return NO_ROW
        return SCAN_OK

    cdef inline int _parse(self, Row *row) noexcept nogil:
        cdef int code = self._parse_time(row)
        if code != SCAN_OK:
            row.field = TIMESTAMP
            return code
        return self._parse_numbers(row)

    cdef inline int _parse_time(self, Row *row) noexcept nogil:
        cdef ScanNumber number
        cdef int code, zone = 0
        if self.unit == ISO_UNIT:
            code = scan_time(self.begin[TIMESTAMP], self.end[TIMESTAMP], &row.ts_ns, &zone)
            self.zones |= zone
            return code
        code = scan_number(self.begin[TIMESTAMP], self.end[TIMESTAMP], &number)
        if code != SCAN_OK:
            return SCAN_NOT_TIME if code == SCAN_NOT_NUMBER else code
        code = number_to_grid(number, 9 - self.unit, INT64_MAX, &row.ts_ns)
        if code == SCAN_OK and row.ts_ns < self.earliest_ns:
            return ROW_UNIT
        return code

    cdef inline int _parse_numbers(self, Row *row) noexcept nogil:
        """Read prices and sizes at the precision of their instrument, or at the finer one that this row needs."""
        cdef ScanNumber number[FIELD_COUNT]
        cdef int precision[2]
        cdef int64_t value[FIELD_COUNT]
        cdef int64_t decimals
        cdef int code, field, is_size, i
        cdef bint fixed
        precision[0] = self.price_precision_of[row.instrument]
        precision[1] = self.size_precision_of[row.instrument]
        row.bar = self.of_bars
        if row.bar and self._is_zero(SIZE):
            self.empty_bars += 1
            return NO_ROW
        row.quote = not row.bar and self._is_empty(PRICE) and self._is_empty(SIZE)
        for i in range(self.number_count):
            field = self.number_fields[i]
            number[i].digits = 0
            if self._is_empty(field):
                if not row.quote and (field == PRICE or field == SIZE or field >= OPEN):
                    row.field = field
                    return SCAN_EMPTY
                continue
            code = scan_number(self.begin[field], self.end[field], &number[i])
            if code != SCAN_OK:
                row.field = field
                return code
            is_size = field == SIZE or field == BID_SIZE or field == ASK_SIZE
            if -number[i].exponent > precision[is_size]:
                fixed = self.fixed_size if is_size else self.fixed_price
                decimals = number_decimals(number[i])
                if not fixed and precision[is_size] < decimals <= MAX_PRECISION_:
                    precision[is_size] = <int>decimals
        for field in range(FIELD_COUNT):
            value[field] = 0
        for i in range(self.number_count):
            field = self.number_fields[i]
            if number[i].digits != 0:
                is_size = field == SIZE or field == BID_SIZE or field == ASK_SIZE
                code = number_to_grid(number[i], precision[is_size], LIMIT, &value[field])
                if code != SCAN_OK:
                    row.field = field
                    return code
        row.price_precision, row.size_precision = precision[0], precision[1]
        row.price, row.size, row.bid, row.ask = value[PRICE], value[SIZE], value[BID], value[ASK]
        row.bid_size, row.ask_size = value[BID_SIZE], value[ASK_SIZE]
        row.open, row.high, row.low = value[OPEN], value[HIGH], value[LOW]
        return _problem(row)

    cdef inline bint _is_zero(self, int field) noexcept nogil:
        """Whether the field is the number zero, however written."""
        cdef ScanNumber number
        return scan_number(self.begin[field], self.end[field], &number) == SCAN_OK and number.digits == 0

    cdef inline bint _is_empty(self, int field) noexcept nogil:
        return self.begin[field] == self.end[field]  # of an absent column both are NULL


cdef enum:
    NO_ROW = -1              # a blank line, a row of another symbol, or a bar in which nothing traded
    STOP_SYMBOL_NEEDED = -2


cdef inline uint32_t _hash(const char *p, Py_ssize_t length) noexcept nogil:
    """FNV-1a, folded to the table's size."""
    cdef uint32_t value = <uint32_t>2166136261
    cdef Py_ssize_t i
    for i in range(length):
        value = (value ^ <uint8_t>p[i]) * <uint32_t>16777619
    return (value ^ (value >> 17)) % SLOTS


cdef inline bint _looks_cut(int code) noexcept nogil:
    """Whether a problem of a last line without newline is what a file cut in the middle of a row looks like."""
    return (code == ROW_COLUMNS or code == ROW_QUOTE or code == SCAN_EMPTY or code == SCAN_NOT_NUMBER
            or code == SCAN_NOT_TIME)


def first_bad_row(Py_ssize_t start, const int64_t[::1] ts_ns, const int64_t[::1] price, const int64_t[::1] size,
                  const int64_t[::1] bid=None, const int64_t[::1] ask=None,
                  const int64_t[::1] bid_size=None, const int64_t[::1] ask_size=None, const uint8_t[::1] kind=None,
                  const int64_t[::1] open=None, const int64_t[::1] high=None, const int64_t[::1] low=None):
    """Return ``(row, field, code)`` of the first row from ``start`` on that is no valid tick or bar; row -1 for none.

    All columns have the length of ``ts_ns``; absent ones are None.
    """
    cdef Py_ssize_t i, count = ts_ns.shape[0]
    cdef Row row
    cdef int code = SCAN_OK
    cdef bint quotes = bid is not None, depths = bid_size is not None, kinds = kind is not None
    _check_lengths(count, price, size, bid, ask, bid_size, ask_size, open, high, low)
    if kinds and kind.shape[0] != count:
        raise ValueError("columns of different lengths")
    row.bid = row.ask = row.bid_size = row.ask_size = 0
    row.open = row.high = row.low = 0
    row.quote, row.bar, row.field = False, open is not None, 0
    with nogil:
        for i in range(start, count):
            row.ts_ns, row.price, row.size = ts_ns[i], price[i], size[i]
            if quotes:
                row.bid, row.ask = bid[i], ask[i]
            if depths:
                row.bid_size, row.ask_size = bid_size[i], ask_size[i]
            if row.bar:
                row.open, row.high, row.low = open[i], high[i], low[i]
            if kinds:
                row.quote = kind[i] != 0
            code = _problem(&row)
            if code != SCAN_OK:
                break
    if code != SCAN_OK:
        return i, row.field, code
    return -1, 0, 0


def count_late(const int64_t[::1] ts_ns):
    """Count the rows whose time lies before that of some row above them."""
    cdef Py_ssize_t i, late = 0
    cdef int64_t newest = -1
    with nogil:
        for i in range(ts_ns.shape[0]):
            if ts_ns[i] < newest:
                late += 1
            else:
                newest = ts_ns[i]
    return late


cdef inline char *_put_fixed(char *p, uint64_t value, int width) noexcept nogil:
    """Write ``value`` in exactly ``width`` digits."""
    cdef int i
    for i in range(width - 1, -1, -1):
        p[i] = <char>(48 + value % 10)
        value //= 10
    return p + width


cdef inline char *_put_decimal(char *p, uint64_t value, int precision) noexcept nogil:
    """Write ``value * 10**-precision`` with all its decimals."""
    cdef uint64_t whole = value // SCAN_POW10[precision]
    cdef int width = 1
    while width < 19 and SCAN_POW10[width] <= whole:
        width += 1
    p = _put_fixed(p, whole, width)
    if precision:
        p[0] = c'.'
        p = _put_fixed(p + 1, value % SCAN_POW10[precision], precision)
    return p


cdef inline char *_put_time(char *p, int64_t ts_ns) noexcept nogil:
    """Write ``YYYY-MM-DDThh:mm:ss.fffffffffZ``; ``ts_ns`` is not negative."""
    cdef int64_t day = ts_ns // <int64_t>86400000000000 + 719468  # since 0000-03-01
    cdef uint64_t rest = ts_ns % <int64_t>86400000000000
    cdef int64_t era = day // 146097
    cdef int64_t day_of_era = day - era * 146097
    cdef int64_t year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    cdef int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    cdef int64_t shifted_month = (5 * day_of_year + 2) // 153  # March is 0
    cdef int64_t month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    p = _put_fixed(p, year_of_era + era * 400 + (month <= 2), 4)
    p[0] = c'-'
    p = _put_fixed(p + 1, month, 2)
    p[0] = c'-'
    p = _put_fixed(p + 1, day_of_year - (153 * shifted_month + 2) // 5 + 1, 2)
    p[0] = c'T'
    p = _put_fixed(p + 1, rest // <uint64_t>3600000000000, 2)
    p[0] = c':'
    p = _put_fixed(p + 1, rest // <uint64_t>60000000000 % 60, 2)
    p[0] = c':'
    p = _put_fixed(p + 1, rest // 1000000000 % 60, 2)
    p[0] = c'.'
    p = _put_fixed(p + 1, rest % 1000000000, 9)
    p[0] = c'Z'
    return p + 1


cdef inline char *_put_known(char *p, int64_t value, int precision) noexcept nogil:
    """Write a comma and the value, or nothing after the comma when it is 0: not known."""
    p[0] = c','
    return _put_decimal(p + 1, <uint64_t>value, precision) if value else p + 1


@cython.boundscheck(True)
def format_rows(Py_ssize_t start, Py_ssize_t stop, list suffixes, list precisions, const int64_t[::1] ts_ns,
                const int64_t[::1] price, const int64_t[::1] size,
                const int64_t[::1] bid=None, const int64_t[::1] ask=None,
                const int64_t[::1] bid_size=None, const int64_t[::1] ask_size=None,
                const uint16_t[::1] instrument=None, const uint8_t[::1] kind=None):
    """Return rows ``start`` to ``stop`` as CSV bytes; values are valid ticks (``first_bad_row`` found none).

    ``suffixes[i]`` ends each row of instrument ``i`` (its symbol and the newline) and ``precisions[i]`` is its
    ``(price_precision, size_precision)``. Price and size of a quote, and unknown bids and asks, are left empty.
    """
    cdef Py_ssize_t i, index = 0
    cdef int price_precision = precisions[0][0], size_precision = precisions[0][1]
    cdef bint quotes = bid is not None, depths = bid_size is not None, quote
    cdef bytes suffix = suffixes[0]
    cdef Py_ssize_t widest = max(map(len, suffixes))
    if not 0 <= start <= stop <= ts_ns.shape[0]:
        raise ValueError("no such rows")
    # 30 for the time; a number takes a comma, a point, a leading zero and at most 19 digits: 22.
    cdef bytearray text = bytearray((stop - start) * (30 + 6 * 22 + widest))
    cdef char *first = text
    cdef char *p = first
    for i in range(start, stop):
        if instrument is not None and instrument[i] != index:
            index = instrument[i]
            suffix = suffixes[index]
            price_precision, size_precision = precisions[index]
        quote = kind is not None and kind[i] != 0
        p = _put_time(p, ts_ns[i])
        p = _put_known(p, 0 if quote else price[i], price_precision)
        p = _put_known(p, 0 if quote else size[i], size_precision)
        if quotes:
            p = _put_known(p, bid[i], price_precision)
            p = _put_known(p, ask[i], price_precision)
        if depths:
            p = _put_known(p, bid_size[i], size_precision)
            p = _put_known(p, ask_size[i], size_precision)
        memcpy(p, <const char *>suffix, len(suffix))
        p += len(suffix)
    return bytes(text[:p - first])
