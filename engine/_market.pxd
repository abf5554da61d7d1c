"""What stands around a trade: who was aggressive, what time it is, and what other instruments are doing."""

from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from engine._tape cimport (
    COL_ASK,
    COL_BID,
    COL_PRICE,
    COL_TS,
    DAY_NS,
    Node,
    Slot,
    Tape,
    bools,
    fixed_column,
    floats,
    ints,
)


# ---------------------------------------------------------------- aggressor

cdef inline void tick_side(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The tick rule: the sign of the last change of price, 0 before there is one."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        if slot.i[0] != 0 and price[k] != slot.i[0]:
            slot.i[1] = 1 if price[k] > slot.i[0] else -1
        slot.i[0] = price[k]
        out[k] = slot.i[1]


cdef inline void quote_side(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The quote rule: above the quote's middle a buy, below it a sale; at it, or without one, the tick rule (a)."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* bid = fixed_column(tape, COL_BID)
    cdef const int64_t* ask = fixed_column(tape, COL_ASK)
    cdef const int64_t* by_tick = ints(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t above
    cdef int k
    for k in range(m):
        above = 2 * price[k] - bid[k] - ask[k]
        if bid[k] == 0 or ask[k] == 0 or above == 0:
            out[k] = by_tick[k]
        else:
            out[k] = 1 if above > 0 else -1


# ---------------------------------------------------------------- time

cdef inline void in_session(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether a session is open. Sessions begin and end between blocks only."""
    memset(bools(tape, node.out), tape.in_session != 0, m)


cdef inline void time_of_day(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds past midnight where the exchange is."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = ((ts[k] - tape.midnight_ns) % DAY_NS + DAY_NS) % DAY_NS


cdef inline void since_open(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds since the session's opening; negative before it."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = ts[k] - tape.open_ns


cdef inline void to_close(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Nanoseconds until the session's close."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = tape.close_ns - ts[k]


cdef inline void flat_candles(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whole candles of ``k`` nanoseconds in a row, up to now, that ended where they began or had no trade.

    Candles are aligned to the epoch; one that had begun before the first trade does not count.
    """
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t candle
    cdef int k
    # i: 0 candle number + 1, 1 its first price, 2 its last price, 3 the run before it, 4 whether it is whole
    for k in range(m):
        candle = ts[k] / node.k + 1
        if candle != slot.i[0]:
            if slot.i[0] != 0:
                slot.i[3] = slot.i[3] + slot.i[4] if slot.i[1] == slot.i[2] else 0
                slot.i[3] += candle - slot.i[0] - 1  # the candles between had no trade
            slot.i[4] = slot.i[0] != 0 or ts[k] % node.k == 0
            slot.i[0] = candle
            slot.i[1] = price[k]
        slot.i[2] = price[k]
        out[k] = slot.i[3]


# ---------------------------------------------------------------- other instruments

cdef inline const char* held_row(const Tape* other, int64_t offset, int width) noexcept nogil:
    """Where the other instrument's value before this block stands; NULL when it has never traded."""
    cdef const char* columns = other.columns_before if other.fresh > 0 else other.columns
    return columns + offset + (other.fresh_before - 1) * width if other.fresh_before > 0 else NULL


cdef inline int last_before(const Tape* other, int j, int record) noexcept nogil:
    """The other instrument's last trade of this block before ``record``, found from ``j`` on; -1 for none."""
    while j + 1 < other.fresh and other.records[j + 1] < record:
        j += 1
    return j


cdef inline void other_int(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Another instrument's integer as of each trade; 0 before it has traded."""
    cdef const Tape* other = &tape.instruments[node.other_instrument]
    cdef const int64_t* held = <const int64_t*>held_row(other, node.a, sizeof(int64_t))
    cdef int64_t* out = ints(tape, node.out)
    cdef int k, j = -1
    for k in range(m):
        j = last_before(other, j, tape.records[k])
        out[k] = ints(other, node.a)[j] if j >= 0 else held[0] if held != NULL else 0


cdef inline void other_float(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Another instrument's double as of each trade; NaN before it has traded."""
    cdef const Tape* other = &tape.instruments[node.other_instrument]
    cdef const double* held = <const double*>held_row(other, node.a, sizeof(double))
    cdef double* out = floats(tape, node.out)
    cdef int k, j = -1
    for k in range(m):
        j = last_before(other, j, tape.records[k])
        out[k] = floats(other, node.a)[j] if j >= 0 else held[0] if held != NULL else NAN


cdef inline void other_bool(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether a condition on another instrument holds as of each trade; not before it has traded."""
    cdef const Tape* other = &tape.instruments[node.other_instrument]
    cdef const uint8_t* held = <const uint8_t*>held_row(other, node.a, 1)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k, j = -1
    for k in range(m):
        j = last_before(other, j, tape.records[k])
        out[k] = bools(other, node.a)[j] if j >= 0 else held[0] if held != NULL else 0
