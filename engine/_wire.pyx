# cython: language_level=3, auto_pickle=False, autotestdict=False
"""Venue bytes become tick records: scanned, proven and guarded in C, in columns that were there before.

A frame is one JSON array of messages (objects). ``Decoder`` reads it in two steps, so that a frame is taken whole or
not at all: first the text is proven to be JSON (``_json.pxd``) while its messages are staged, then, only if nothing
was wrong up to the last byte, the staged records pass the guard (``_guard.pxd``) and are appended to ``Columns``. Bytes
from outside never raise: whatever is refused is counted under a reason, and

    frames offered == frames accepted + sum of bad frames by reason, and the same for their bytes
    records offered == records accepted + sum of rejected records by reason

The names of keys and message types come from outside (``feeds/venues.py``); what they mean is fixed here.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc

from engine._guard cimport (
    ACCEPTED, RECORD_END, RECORD_HEARTBEAT, RECORD_QUOTE, RECORD_REFUSED, RECORD_TRADE, RECORD_UNSELECTED,
    REJECT_BAD_ID, REJECT_BAD_TIME, REJECT_BEFORE_HELLO, REJECT_COALESCED, REJECT_MISSING_FIELD, REJECT_NO_TYPE,
    REJECT_PRICE_NOT_POSITIVE, REJECT_PRICE_OFF_TICK, REJECT_PRICE_TOO_LARGE, REJECT_QUEUE_OVERFLOW,
    REJECT_SIZE_NOT_POSITIVE, REJECT_SIZE_OFF_LOT, REJECT_SIZE_OVER_CAP, REJECT_UNKNOWN_SYMBOL, REJECT_WRONG_TYPE,
    REJECTS,
    Limits, Memory, Record, Reject, judge, meet_again, note_refused_id,
)
from engine._json cimport (
    FRAME_BAD_HELLO, FRAME_DUPLICATE_KEY, FRAME_FAULTS, FRAME_NOT_MESSAGES, FRAME_PROVEN, FRAME_TOO_LARGE,
    FRAME_TOO_MANY_MESSAGES, FRAME_TRAILING_BYTES, FRAME_TRUNCATED, MAX_KEYS, VALUE_NUMBER, VALUE_STRING,
    Cursor, FrameFault, Text, Value, bytes_at, failed, more_members, note_key, read_key, read_value, skip_space, take,
)
from engine._scan cimport SCAN_NEGATIVE, SCAN_OFF_GRID, SCAN_OK, SCAN_POW10, scan_decimal

import numpy as np

FRAME_REASONS = (
    "", "too_large", "truncated", "syntax", "bad_utf8", "bad_escape", "bad_number", "too_deep", "duplicate_key",
    "too_many_keys", "trailing_bytes", "not_messages", "too_many_messages", "bad_hello",
)
REJECT_REASONS = (
    "", "no_type", "before_hello", "unknown_symbol", "missing_field", "wrong_type", "bad_id", "bad_time",
    "price_not_positive", "price_off_tick", "price_too_large", "size_not_positive", "size_off_lot", "size_over_cap",
    "crossed_quote", "time_before_2000", "time_future", "duplicate", "id_too_old", "stale_quote", "price_jump",
    "quote_jump", "coalesced", "queue_overflow",
)
assert len(FRAME_REASONS) == FRAME_FAULTS and len(REJECT_REASONS) == REJECTS

FIELDS = ("type", "symbol", "id", "time", "price", "size", "bid", "ask", "bid_size", "ask_size", "count")
TYPES = ("hello", "trade", "quote", "heartbeat", "end")
MESSAGES_PER_FRAME = 16384

TICKS, HEARTBEAT, HELLO, END, REFUSED, GAP = 1, 2, 4, 8, 16, 32

cdef enum:
    TYPE, SYMBOL, ID, TIME, PRICE, SIZE, BID, ASK, BID_SIZE, ASK_SIZE, COUNT, N_FIELDS

cdef enum:
    T_HELLO, T_TRADE, T_QUOTE, T_HEARTBEAT, T_END, N_TYPES, T_OTHER, T_NONE

cdef enum:
    MAX_MESSAGES = 16384
    MAX_NAME = 32            # bytes of a key, type or symbol
    SHORTEST_RECORD = 40     # bytes of a record that can be accepted: its time alone takes 18
    MAX_PRECISION = 12

cdef int64_t MAX_TICKS = (<int64_t>1 << 40) - 1  # engine.model.MAX_PRICE_TICKS and MAX_SIZE_LOTS
cdef int64_t MAX_ID = <int64_t>1 << 62


cdef struct Name:
    uint8_t[MAX_NAME] text
    int size
    int next       # symbols: index of the next one in the same hash chain, or -1
    int instrument  # symbols: -1 when not selected
    int price_precision
    int size_precision


cdef inline bint is_name(Text *text, Name *name) noexcept nogil:
    return text.size == name.size and memcmp(text.start, name.text, <size_t>text.size) == 0


cdef inline unsigned int hash_text(bytes_at start, Py_ssize_t size) noexcept nogil:
    cdef unsigned int value = 2166136261u
    cdef Py_ssize_t i
    for i in range(size):
        value = (value ^ start[i]) * 16777619u
    return value


cdef int set_name(Name *name, str text) except -1:
    cdef bytes raw = text.encode()
    if not 0 < len(raw) <= MAX_NAME:
        raise ValueError(f"a name of 1 to {MAX_NAME} bytes is needed, not {text!r}")
    memcpy(name.text, <const char *>raw, <size_t>len(raw))
    name.size = <int>len(raw)
    return 0


@cython.final
cdef class Columns:
    """Tick records as preallocated columns that grow, by doubling, up to ``limit`` rows.

    The arrays are those of :class:`engine.model.TickBlock`, in its order. ``rows`` of them are filled.
    """

    cdef readonly Py_ssize_t rows, capacity, limit
    cdef list _arrays
    cdef int64_t *ts_ns
    cdef int64_t *price_ticks
    cdef int64_t *size_lots
    cdef int64_t *bid_ticks
    cdef int64_t *ask_ticks
    cdef int64_t *bid_lots
    cdef int64_t *ask_lots
    cdef uint16_t *instrument
    cdef uint8_t *kind

    def __init__(self, Py_ssize_t limit, Py_ssize_t capacity=4096):
        if limit < MAX_MESSAGES:
            raise ValueError(f"limit must hold a whole frame: {MAX_MESSAGES} rows at least")
        self.limit = limit
        self.rows = 0
        self._arrays = []
        self._allocate(min(capacity, limit))

    cdef int _allocate(self, Py_ssize_t capacity) except -1:
        cdef list arrays = [np.empty(capacity, dtype) for dtype in (np.int64,) * 7 + (np.uint16, np.uint8)]
        cdef int64_t[::1] whole
        cdef uint16_t[::1] instrument = arrays[7]
        cdef uint8_t[::1] kind = arrays[8]
        cdef int64_t **pointers = [NULL, NULL, NULL, NULL, NULL, NULL, NULL]
        cdef int i
        for old, new in zip(self._arrays, arrays):
            new[:self.rows] = old[:self.rows]
        for i in range(7):
            whole = arrays[i]
            pointers[i] = &whole[0]
        self.ts_ns, self.price_ticks, self.size_lots = pointers[0], pointers[1], pointers[2]
        self.bid_ticks, self.ask_ticks = pointers[3], pointers[4]
        self.bid_lots, self.ask_lots = pointers[5], pointers[6]
        self.instrument, self.kind = &instrument[0], &kind[0]
        self._arrays = arrays
        self.capacity = capacity
        return 0

    def reserve(self, Py_ssize_t more):
        """Make room for ``more`` rows; False when that would pass the limit. Views taken before stay what they were."""
        if self.rows + more > self.limit:
            return False
        if self.rows + more > self.capacity:
            self._allocate(min(self.limit, max(2 * self.capacity, self.rows + more)))
        return True

    def view(self, Py_ssize_t start, Py_ssize_t stop):
        """The nine columns of rows ``[start, stop)``, without copying."""
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start} to {stop} of {self.rows}")
        return tuple([array[start:stop] for array in self._arrays])

    def clear(self):
        self.rows = 0

    def coalesce_quotes(self, list boundaries):
        """Drop each quote that a later one of its instrument replaces before the instrument trades again.

        ``boundaries`` are row numbers in rising order, each of which may equal ``rows``. Returns them as they are
        after the rows before them have moved up.
        """
        cdef uint8_t[::1] replaced = np.zeros(65536, np.uint8)  # by instrument: a later quote has been met
        cdef uint8_t[::1] dropped = np.zeros(max(self.rows, 1), np.uint8)
        cdef Py_ssize_t row, kept = 0, boundary = 0
        cdef list moved = []
        for row in range(self.rows - 1, -1, -1):
            if self.kind[row] == <uint8_t>RECORD_QUOTE:
                dropped[row] = replaced[self.instrument[row]]
                replaced[self.instrument[row]] = 1
            else:
                replaced[self.instrument[row]] = 0
        for row in range(self.rows):
            while boundary < len(boundaries) and boundaries[boundary] == row:
                moved.append(kept)
                boundary += 1
            if not dropped[row]:
                self.move(row, kept)
                kept += 1
        moved.extend([kept] * (len(boundaries) - boundary))
        self.rows = kept
        return moved

    cdef void move(self, Py_ssize_t source, Py_ssize_t target) noexcept nogil:
        self.ts_ns[target] = self.ts_ns[source]
        self.price_ticks[target] = self.price_ticks[source]
        self.size_lots[target] = self.size_lots[source]
        self.bid_ticks[target] = self.bid_ticks[source]
        self.ask_ticks[target] = self.ask_ticks[source]
        self.bid_lots[target] = self.bid_lots[source]
        self.ask_lots[target] = self.ask_lots[source]
        self.instrument[target] = self.instrument[source]
        self.kind[target] = self.kind[source]

    cdef inline void append(self, int64_t ts_ns, Record *r) noexcept nogil:
        cdef Py_ssize_t row = self.rows
        self.ts_ns[row] = ts_ns
        self.price_ticks[row] = r.price_ticks
        self.size_lots[row] = r.size_lots
        self.bid_ticks[row] = r.bid_ticks
        self.ask_ticks[row] = r.ask_ticks
        self.bid_lots[row] = r.bid_lots
        self.ask_lots[row] = r.ask_lots
        self.instrument[row] = <uint16_t>r.instrument
        self.kind[row] = <uint8_t>r.kind
        self.rows = row + 1


@cython.final
cdef class Decoder:
    """Turns the frames of one feed into rows of :class:`Columns`, over all its connections.

    Args:
        keys: the venue's key for each of ``FIELDS`` that it has.
        types: the venue's message type for each of ``TYPES`` that it has.
        max_frame_bytes: larger frames are refused unread.
        jump_bps: largest price jump believed at once in 1/10,000; 0 switches the check off.
        jump_confirmations: further trades or quotes that make a larger jump believed.
        max_size_lots: larger sizes are refused.
        future_ns: how far a record's time may run ahead of the wall clock.
    """

    cdef readonly int64_t frames_offered, frames_accepted, bytes_offered, bytes_accepted
    cdef readonly int64_t offered, accepted, late, gaps, ignored_messages
    cdef readonly int64_t sent          # trades and quotes of this connection, as its sender counts them
    cdef readonly int64_t refused_since_accepted  # records and frames of this connection
    cdef readonly int64_t oldest_ns     # exchange time of the oldest record accepted from the last frame that had any
    cdef readonly bytes hello           # text of the last hello message
    cdef readonly str fault             # why the last frame was refused, or ""
    cdef readonly bint awaiting_hello
    cdef int64_t[FRAME_FAULTS] bad_frames_by, bad_bytes_by
    cdef int64_t[REJECTS] rejected_by
    cdef Name[N_FIELDS] keys
    cdef Name[N_TYPES] types
    cdef uint8_t[256] short_keys        # field of each one-byte key, N_FIELDS when there is none
    cdef Name *symbols
    cdef int n_symbols, n_instruments
    cdef int[1024] chains               # first symbol of each hash value, or -1
    cdef Memory *memory
    cdef Limits limits
    cdef Py_ssize_t max_frame_bytes
    cdef int64_t max_size_lots
    cdef Record *staged
    cdef int n_staged
    cdef int64_t ignored_here, untyped_here  # messages of the frame being read, until it is proven
    cdef bytes_at hello_start
    cdef bytes_at hello_end
    cdef int64_t last_ts_ns
    cdef Py_ssize_t last_frame_bytes
    cdef list _gaps

    def __cinit__(self):
        self.symbols = NULL
        self.memory = NULL
        self.staged = <Record *>PyMem_Malloc(MAX_MESSAGES * sizeof(Record))
        if self.staged == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.symbols)
        PyMem_Free(self.memory)
        PyMem_Free(self.staged)

    def __init__(self, keys, types, *, Py_ssize_t max_frame_bytes, int64_t jump_bps, int64_t jump_confirmations,
                 int64_t max_size_lots, int64_t future_ns):
        cdef int i
        if not (0 <= jump_bps <= 10000 and jump_confirmations >= 1 and 0 < max_size_lots <= MAX_TICKS
                and 0 <= future_ns <= <int64_t>1 << 60 and max_frame_bytes > 0):
            raise ValueError("a guard limit is outside its range")
        self.fault = ""
        self.hello = b""
        self._gaps = []
        self.max_frame_bytes, self.max_size_lots = max_frame_bytes, max_size_lots
        self.limits = Limits(jump_bps, jump_confirmations, future_ns, False)
        self.last_ts_ns = -(<int64_t>1 << 62)
        memset(self.short_keys, N_FIELDS, sizeof(self.short_keys))
        memset(self.chains, 0xFF, sizeof(self.chains))
        for i in range(N_FIELDS):
            self.keys[i].size = -1
            if FIELDS[i] in keys:
                set_name(&self.keys[i], keys[FIELDS[i]])
                if self.keys[i].size == 1:
                    self.short_keys[self.keys[i].text[0]] = i
        for i in range(N_TYPES):
            self.types[i].size = -1
            if TYPES[i] in types:
                set_name(&self.types[i], types[TYPES[i]])
        self.begin_connection()

    # -- what the feed tells the decoder -----------------------------------------------------------------------

    def begin_connection(self):
        """A connection was opened: nothing is accepted until its hello has been."""
        self.awaiting_hello = True
        self.sent = self.refused_since_accepted = 0

    def accept_hello(self, *, bint recorded, bint ids_continue):
        """The hello was understood. ``recorded``: trade on the records' own time and take them as they are.

        ``ids_continue``: trade ids go on from those of the last connection (or repeat them), so that they prove
        what was lost in between; otherwise they are forgotten.
        """
        cdef int i
        self.awaiting_hello = False
        self.limits.recorded = recorded
        for i in range(self.n_instruments):
            meet_again(&self.memory[i], ids_continue)

    def refuse_hello(self):
        """The last frame was sound JSON, but its hello was not: count it as a bad frame after all."""
        self.frames_accepted -= 1
        self.bytes_accepted -= self.last_frame_bytes
        self._count_bad(FRAME_BAD_HELLO, self.last_frame_bytes)

    def add_symbol(self, str symbol, *, int price_precision, int size_precision, bint selected=True):
        """Make a symbol known. Returns its instrument index, or -1 when it is not selected (then it is ignored).

        Raises ValueError when it is known already or cannot be held.
        """
        cdef Name name
        cdef unsigned int chain
        cdef void *grown
        cdef bytes raw = symbol.encode()
        cdef Text text = Text(<bytes_at><const char *>raw, len(raw), False)
        if self.find_symbol(&text) != NULL:
            raise ValueError(f"symbol {symbol!r} is there already")
        if not (0 <= price_precision <= MAX_PRECISION and 0 <= size_precision <= MAX_PRECISION):
            raise ValueError(f"precisions of {symbol!r} must be 0 to {MAX_PRECISION}")
        if self.n_symbols == 65535:
            raise ValueError("too many symbols")
        set_name(&name, symbol)
        name.price_precision, name.size_precision = price_precision, size_precision
        name.instrument = -1
        if selected:
            grown = PyMem_Realloc(self.memory, <size_t>(self.n_instruments + 1) * sizeof(Memory))
            if grown == NULL:
                raise MemoryError
            self.memory = <Memory *>grown
            memset(&self.memory[self.n_instruments], 0, sizeof(Memory))
            self.memory[self.n_instruments].last_id = -1
            name.instrument = self.n_instruments
        grown = PyMem_Realloc(self.symbols, <size_t>(self.n_symbols + 1) * sizeof(Name))
        if grown == NULL:
            raise MemoryError
        self.symbols = <Name *>grown
        chain = hash_text(name.text, name.size) & 1023
        name.next = self.chains[chain]
        self.symbols[self.n_symbols] = name
        self.chains[chain] = self.n_symbols
        self.n_symbols += 1
        self.n_instruments += selected
        return name.instrument

    def count_unread_frame(self, Py_ssize_t size=0):
        """A frame the transport refused for its size; ``size`` bytes of it are known to have come."""
        self.frames_offered += 1
        self.bytes_offered += size
        self._count_bad(FRAME_TOO_LARGE, size)

    def count_coalesced(self, int64_t rows):
        """Accepted quotes that were replaced while they waited."""
        self.accepted -= rows
        self.rejected_by[<int>REJECT_COALESCED] += rows

    def count_overflow(self, int64_t rows):
        """Accepted records that were dropped because the queue was full."""
        self.accepted -= rows
        self.rejected_by[<int>REJECT_QUEUE_OVERFLOW] += rows

    # -- what the feed asks the decoder ------------------------------------------------------------------------

    def rejected(self):
        """Records refused so far, by reason."""
        return {REJECT_REASONS[i]: self.rejected_by[i] for i in range(<int>REJECTS) if self.rejected_by[i]}

    def bad_frames(self):
        """Frames refused so far, by reason."""
        return {FRAME_REASONS[i]: self.bad_frames_by[i] for i in range(<int>FRAME_FAULTS) if self.bad_frames_by[i]}

    def bad_bytes(self):
        """Bytes of the frames refused so far, by reason."""
        return {FRAME_REASONS[i]: self.bad_bytes_by[i] for i in range(<int>FRAME_FAULTS) if self.bad_bytes_by[i]}

    def take_gaps(self):
        """``(row, instrument)`` for each gap found since the last call; instrument -1 means all of them."""
        gaps, self._gaps = self._gaps, []
        return gaps

    @staticmethod
    def most_rows(Py_ssize_t frame_bytes):
        """The largest number of rows that a frame of this size can add."""
        return rows_bound(frame_bytes)

    # -- decoding ----------------------------------------------------------------------------------------------

    def decode(self, bytes frame not None, int64_t wall_ns, Columns columns not None):
        """Append the good records of a frame to ``columns``.

        Returns the sum of those of TICKS, HEARTBEAT, HELLO, END, REFUSED and GAP that apply.
        Rows get the clock the feed trades on, which never runs backwards: ``wall_ns``, the wall time of receipt, or
        the records' own time. The caller has reserved ``most_rows(len(frame))`` rows.
        """
        cdef Py_ssize_t size = len(frame)
        cdef bytes_at text = <bytes_at><const char *>frame
        cdef Cursor cursor = Cursor(text, text + size, FRAME_PROVEN)
        if columns.capacity - columns.rows < rows_bound(size):
            raise ValueError("rows for the frame have not been reserved")
        self.frames_offered += 1
        self.bytes_offered += size
        self.last_frame_bytes = size
        self.fault = ""
        if size > self.max_frame_bytes:
            failed(&cursor, FRAME_TOO_LARGE)
        else:
            self.stage_frame(&cursor)
        if cursor.fault != FRAME_PROVEN:
            self.fault = FRAME_REASONS[<int>cursor.fault]
            self._count_bad(cursor.fault, size)
            return REFUSED
        self.frames_accepted += 1
        self.bytes_accepted += size
        return self.commit(wall_ns, columns)

    cdef void _count_bad(self, FrameFault fault, Py_ssize_t size) noexcept:
        self.bad_frames_by[<int>fault] += 1
        self.bad_bytes_by[<int>fault] += size
        self.refused_since_accepted += 1

    cdef void stage_frame(self, Cursor *c) noexcept nogil:
        """Prove the frame and stage its messages; changes nothing that outlives a refusal."""
        cdef int messages = 0
        cdef bint more = True
        self.n_staged = 0
        self.ignored_here = self.untyped_here = 0
        self.hello_start = NULL
        skip_space(c)
        if not take(c, c'['):
            failed(c, FRAME_TRUNCATED if c.at == c.end else FRAME_NOT_MESSAGES)
            return
        skip_space(c)
        if take(c, c']'):
            more = False
        while more:
            skip_space(c)
            if messages == MAX_MESSAGES:
                failed(c, FRAME_TOO_MANY_MESSAGES)
                return
            messages += 1
            if not self.stage_message(c) or not more_members(c, c']', &more):
                return
        skip_space(c)
        if c.at != c.end:
            failed(c, FRAME_TRAILING_BYTES)

    cdef bint stage_message(self, Cursor *c) noexcept nogil:
        """Prove one message and stage what it says; False when the frame is broken."""
        cdef Value[N_FIELDS] values
        cdef Value other
        cdef Text[MAX_KEYS] unknown
        cdef Text key
        cdef bytes_at start = c.at
        cdef int n_unknown = 0, field
        cdef unsigned int present = 0
        cdef bint more = True
        if c.at == c.end or c.at[0] != c'{':
            return failed(c, FRAME_TRUNCATED if c.at == c.end else FRAME_NOT_MESSAGES)
        c.at += 1
        skip_space(c)
        if take(c, c'}'):
            more = False
        while more:
            if not read_key(c, &key):
                return False
            field = self.find_field(&key)
            if field == N_FIELDS:
                if not note_key(c, &key, unknown, &n_unknown) or not read_value(c, &other, 2):
                    return False
            else:
                if present >> field & 1:
                    return failed(c, FRAME_DUPLICATE_KEY)
                present |= 1u << field
                if not read_value(c, &values[field], 2):
                    return False
            if not more_members(c, c'}', &more):
                return False
        self.stage_values(present, values, start, c.at)
        return True

    cdef inline int find_field(self, Text *key) noexcept nogil:
        cdef int field
        if key.size == 1:
            return self.short_keys[key.start[0]]
        for field in range(N_FIELDS):
            if is_name(key, &self.keys[field]):
                return field
        return N_FIELDS

    cdef inline Name *find_symbol(self, Text *text) noexcept nogil:
        cdef int symbol = self.chains[hash_text(text.start, text.size) & 1023]
        while symbol >= 0:
            if is_name(text, &self.symbols[symbol]):
                return &self.symbols[symbol]
            symbol = self.symbols[symbol].next
        return NULL

    cdef inline int message_type(self, unsigned int present, Value *values) noexcept nogil:
        cdef int kind
        cdef Value *value = &values[<int>TYPE]
        if not present >> TYPE & 1 or value.kind != VALUE_STRING or value.text.escaped:
            return T_NONE
        for kind in range(N_TYPES):
            if is_name(&value.text, &self.types[kind]):
                return kind
        return T_OTHER

    cdef void stage_values(self, unsigned int present, Value *values, bytes_at start, bytes_at end) noexcept nogil:
        """Stage the message that was read into ``values`` and stands in ``[start, end)``."""
        cdef Record *r = &self.staged[self.n_staged]
        cdef int kind = self.message_type(present, values)
        cdef int64_t count
        if kind == T_HELLO:
            self.hello_start, self.hello_end = start, end
            return
        if kind == T_OTHER:
            self.ignored_here += 1
            return
        if kind == T_NONE:
            self.untyped_here += 1
            return
        memset(r, 0, sizeof(Record))
        r.instrument = -1
        r.id = -1
        if kind == T_HEARTBEAT or kind == T_END:
            r.kind = RECORD_HEARTBEAT if kind == T_HEARTBEAT else RECORD_END
            if read_integer(present, values, COUNT, &count) == ACCEPTED:
                r.id = count
        else:
            r.kind = RECORD_TRADE if kind == T_TRADE else RECORD_QUOTE
            r.reject = REJECT_BEFORE_HELLO if self.awaiting_hello else self.read_record(present, values, r)
            if r.reject != ACCEPTED:
                r.kind = RECORD_REFUSED
        self.n_staged += 1

    cdef inline Reject read_record(self, unsigned int present, Value *values, Record *r) noexcept nogil:
        """Turn the values of a trade or quote into integers, or say which of them cannot be."""
        cdef Name *symbol
        cdef Reject reject
        if not present >> SYMBOL & 1:
            return REJECT_MISSING_FIELD
        if values[<int>SYMBOL].kind != VALUE_STRING:
            return REJECT_WRONG_TYPE
        symbol = self.find_symbol(&values[<int>SYMBOL].text)
        if symbol == NULL or values[<int>SYMBOL].text.escaped:
            return REJECT_UNKNOWN_SYMBOL
        if symbol.instrument < 0:
            r.kind = RECORD_UNSELECTED
            return ACCEPTED
        r.instrument = symbol.instrument
        if r.kind == RECORD_TRADE and self.keys[<int>ID].size > 0:
            reject = read_integer(present, values, ID, &r.id)
            if reject != ACCEPTED:
                r.id = -1
                return REJECT_BAD_ID if reject == REJECT_BAD_TIME else reject
        reject = read_integer(present, values, TIME, &r.time_ns)
        if reject != ACCEPTED:
            return reject
        if r.kind == RECORD_TRADE:
            return self.read_trade(present, values, symbol, r)
        return self.read_quote(present, values, symbol, r)

    cdef inline Reject read_trade(self, unsigned int present, Value *values, Name *symbol, Record *r) noexcept nogil:
        cdef Reject reject = read_price(present, values, PRICE, symbol.price_precision, &r.price_ticks)
        if reject == ACCEPTED:
            reject = self.read_size(present, values, SIZE, symbol.size_precision, &r.size_lots)
        if reject == ACCEPTED and present >> BID & 1:
            reject = read_price(present, values, BID, symbol.price_precision, &r.bid_ticks)
        if reject == ACCEPTED and present >> ASK & 1:
            reject = read_price(present, values, ASK, symbol.price_precision, &r.ask_ticks)
        return reject

    cdef inline Reject read_quote(self, unsigned int present, Value *values, Name *symbol, Record *r) noexcept nogil:
        cdef Reject reject = read_price(present, values, BID, symbol.price_precision, &r.bid_ticks)
        if reject == ACCEPTED:
            reject = read_price(present, values, ASK, symbol.price_precision, &r.ask_ticks)
        if reject == ACCEPTED:
            reject = self.read_size(present, values, BID_SIZE, symbol.size_precision, &r.bid_lots)
        if reject == ACCEPTED:
            reject = self.read_size(present, values, ASK_SIZE, symbol.size_precision, &r.ask_lots)
        return reject

    cdef inline Reject read_size(self, unsigned int present, Value *values, int field, int precision,
                                 int64_t *lots) noexcept nogil:
        cdef Reject reject = read_grid(present, values, field, precision, self.max_size_lots, lots)
        if reject == REJECT_PRICE_NOT_POSITIVE:
            return REJECT_SIZE_NOT_POSITIVE
        if reject == REJECT_PRICE_OFF_TICK:
            return REJECT_SIZE_OFF_LOT
        return REJECT_SIZE_OVER_CAP if reject == REJECT_PRICE_TOO_LARGE else reject

    cdef int commit(self, int64_t wall_ns, Columns columns) except -1:
        """Apply a proven frame: guard its staged records in order and append those that pass."""
        cdef int outcome = 0, i
        cdef bint late = False, gap = False
        cdef int64_t oldest_ns = <int64_t>1 << 62
        cdef int64_t ts_ns
        cdef Record *r
        self.ignored_messages += self.ignored_here
        self._refuse(REJECT_NO_TYPE, self.untyped_here)
        for i in range(self.n_staged):
            r = &self.staged[i]
            if r.kind == RECORD_HEARTBEAT or r.kind == RECORD_END:
                outcome |= HEARTBEAT if r.kind == RECORD_HEARTBEAT else END
                if r.id > self.sent:
                    self._note_gap(columns.rows, -1)
                    outcome |= GAP
                if r.id >= 0:
                    self.sent = r.id  # ours may be higher: what came twice was sent once
                continue
            self.sent += 1
            if r.kind == RECORD_UNSELECTED:
                self.ignored_messages += 1
                continue
            if r.kind == RECORD_REFUSED:
                if r.instrument >= 0:
                    note_refused_id(&self.memory[r.instrument], r.id)
                self._refuse(r.reject, 1)
                continue
            r.reject = judge(&self.memory[r.instrument], &self.limits, r, wall_ns, &late, &gap)
            if r.reject != ACCEPTED:
                self._refuse(r.reject, 1)
                continue
            if gap:
                self._note_gap(columns.rows, r.instrument)
                outcome |= GAP
            ts_ns = r.time_ns if self.limits.recorded else wall_ns
            if ts_ns < self.last_ts_ns:
                ts_ns = self.last_ts_ns
            self.last_ts_ns = ts_ns
            columns.append(ts_ns, r)
            if r.time_ns < oldest_ns:
                oldest_ns = r.time_ns
            self.offered += 1
            self.accepted += 1
            self.late += late
            self.refused_since_accepted = 0
            outcome |= TICKS
        if outcome & TICKS:
            self.oldest_ns = oldest_ns
        if self.hello_start != NULL:
            self.hello = (<const char *>self.hello_start)[:self.hello_end - self.hello_start]
            outcome |= HELLO
        return outcome

    cdef inline void _refuse(self, Reject reject, int64_t records) noexcept nogil:
        self.offered += records
        self.rejected_by[<int>reject] += records
        self.refused_since_accepted += records

    cdef int _note_gap(self, Py_ssize_t row, int instrument) except -1:
        self.gaps += 1
        self._gaps.append((row, instrument))
        return 0


cdef inline Py_ssize_t rows_bound(Py_ssize_t frame_bytes) noexcept nogil:
    cdef Py_ssize_t rows = frame_bytes // SHORTEST_RECORD + 1
    return rows if rows < MAX_MESSAGES else MAX_MESSAGES


cdef inline Reject read_integer(unsigned int present, Value *values, int field, int64_t *out) noexcept nogil:
    """Read a plain integer from 0 to 2**62."""
    cdef Value *value = &values[field]
    if not present >> field & 1:
        return REJECT_MISSING_FIELD
    if value.kind != VALUE_NUMBER:
        return REJECT_WRONG_TYPE
    if not value.plain or value.decimals or value.text.start[0] == c'-' or value.digits > <uint64_t>MAX_ID:
        return REJECT_BAD_TIME
    out[0] = <int64_t>value.digits
    return ACCEPTED


cdef inline Reject read_grid(unsigned int present, Value *values, int field, int precision, int64_t limit,
                             int64_t *out) noexcept nogil:
    """Read a positive decimal as whole steps of ``10**-precision``, up to ``limit``."""
    cdef Text *text = &values[field].text
    cdef uint64_t digits, scale
    cdef int code
    if not present >> field & 1:
        return REJECT_MISSING_FIELD
    if values[field].kind != VALUE_NUMBER:
        return REJECT_WRONG_TYPE
    if values[field].plain and values[field].decimals <= precision and text.start[0] != c'-':
        # The usual case, read along with the proof; everything else is left to the general scanner.
        digits = values[field].digits
        scale = SCAN_POW10[precision - values[field].decimals]
        if digits > <uint64_t>limit // scale:
            return REJECT_PRICE_TOO_LARGE
        out[0] = <int64_t>(digits * scale)
        return ACCEPTED if digits else REJECT_PRICE_NOT_POSITIVE
    code = scan_decimal(<const char *>text.start, <const char *>text.start + text.size, precision, limit, out)
    if code == SCAN_OK:
        return ACCEPTED if out[0] > 0 else REJECT_PRICE_NOT_POSITIVE
    if code == SCAN_NEGATIVE:
        return REJECT_PRICE_NOT_POSITIVE
    return REJECT_PRICE_OFF_TICK if code == SCAN_OFF_GRID else REJECT_PRICE_TOO_LARGE


cdef inline Reject read_price(unsigned int present, Value *values, int field, int precision,
                              int64_t *ticks) noexcept nogil:
    return read_grid(present, values, field, precision, MAX_TICKS, ticks)
