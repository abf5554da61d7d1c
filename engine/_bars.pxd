"""Bars: building them from trades, on a clock of their own, and bringing values from one clock to another.

A time bar closes on the first trade at or after its end, and every other bar on the trade that fills it: from that
trade on, and never earlier, its values may be seen. Periods without a trade have no bar. Time bars are aligned to the
opening of the session, and no bar spans two sessions; trades outside a session belong to none.

Where the records are bars themselves, longer ones are made of their opens, highs and lows, a record belongs where it
begins, and the record that ends with a period closes it.
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from engine._int128 cimport i128, i128_add, i128_less, i128_mul64, i128_of
from engine._tape cimport (
    COL_HIGH,
    COL_LOW,
    COL_OPEN,
    COL_PRICE,
    COL_SIZE,
    COL_START,
    COL_TS,
    DAY_NS,
    INT_BYTES,
    Node,
    Slot,
    Tape,
    bools,
    fixed_column,
    floats,
    ints,
    wides,
)

# Columns of every tape of bars; the compiled nodes' columns follow.
cdef enum:
    BAR_OPEN
    BAR_HIGH
    BAR_LOW
    BAR_CLOSE
    BAR_VOLUME
    BAR_TRADES
    BAR_START_TS  # of its period, or of its first trade where it has none
    BAR_SEEN_ON  # the fresh trade on which it closed
    BAR_LAST_TRADE  # its last trade among the fresh ones; -1 for the last of the block before
    BAR_PRICE_SIZE  # wide
    BAR_COLUMNS

# What a node of bars remembers: the bar that is being built.
cdef enum:
    OPEN
    HIGH
    LOW
    CLOSE
    VOLUME
    TRADES
    START_TS
    SESSION


cdef struct Records:
    # the fresh records that bars are made of; a trade opens, peaks and ends at its price, at its time
    const int64_t* open
    const int64_t* high
    const int64_t* low
    const int64_t* close
    const int64_t* size
    const int64_t* begins
    const int64_t* ends


# ---------------------------------------------------------------- building

cdef inline Records records_of(const Tape* tape) noexcept nogil:
    cdef Records records
    cdef int bars = tape.of_bars
    records.close = fixed_column(tape, COL_PRICE)
    records.size = fixed_column(tape, COL_SIZE)
    records.ends = fixed_column(tape, COL_TS)
    records.open = fixed_column(tape, COL_OPEN) if bars else records.close
    records.high = fixed_column(tape, COL_HIGH) if bars else records.close
    records.low = fixed_column(tape, COL_LOW) if bars else records.close
    records.begins = fixed_column(tape, COL_START) if bars else records.ends
    return records


cdef inline void begin_bar(Slot* slot, int64_t start_ts) noexcept nogil:
    slot.i[TRADES] = 0
    slot.i[VOLUME] = 0
    slot.i[START_TS] = start_ts
    slot.w[0] = i128_of(0)


cdef inline void add_to_bar(Slot* slot, const Records* records, int k) noexcept nogil:
    cdef int64_t high = records.high[k], low = records.low[k], close = records.close[k], size = records.size[k]
    if slot.i[TRADES] == 0:
        slot.i[OPEN] = records.open[k]
        slot.i[HIGH] = high
        slot.i[LOW] = low
    slot.i[HIGH] = high if high > slot.i[HIGH] else slot.i[HIGH]
    slot.i[LOW] = low if low < slot.i[LOW] else slot.i[LOW]
    slot.i[CLOSE] = close
    slot.i[VOLUME] += size
    slot.i[TRADES] += 1
    slot.w[0] = i128_add(slot.w[0], i128_mul64(close, size))


cdef inline void close_bar(Tape* bars, Slot* slot, int seen_on, int last_trade) noexcept nogil:
    """Append the bar that is being built to the tape of bars; the next begins empty."""
    cdef int row = bars.fresh, column
    for column in range(BAR_START_TS + 1):
        fixed_column(bars, column)[row] = slot.i[column]
    fixed_column(bars, BAR_SEEN_ON)[row] = seen_on
    fixed_column(bars, BAR_LAST_TRADE)[row] = last_trade
    wides(bars, BAR_PRICE_SIZE * INT_BYTES)[row] = slot.w[0]
    bars.ts[bars.head & bars.mask] = slot.i[START_TS]
    bars.head += 1
    bars.fresh = row + 1
    slot.i[TRADES] = 0


cdef inline void show_developing(Tape* tape, Slot* slot, const Node* node, int k) noexcept nogil:
    """Write the bar that is being built, the present trade included, to the node's columns."""
    cdef int column
    for column in range(TRADES + 1):
        ints(tape, node.out + column * INT_BYTES)[k] = slot.i[column]
    wides(tape, node.out + (TRADES + 1) * INT_BYTES)[k] = slot.w[0]


cdef inline int64_t period_start(const Tape* tape, int64_t ts, int64_t period) noexcept nogil:
    """Start of the period that holds ``ts``, counted from the session's opening. A day is the session."""
    cdef int64_t elapsed = ts - tape.open_ns
    if period == DAY_NS:
        return tape.open_ns
    return ts - (elapsed % period if elapsed >= 0 else period - 1 - (-elapsed - 1) % period)


cdef inline int closed_by_session(Tape* tape, Tape* bars, Slot* slot) noexcept nogil:
    """Close what a session before this one has left open. Returns whether trades make bars at all now."""
    if slot.i[SESSION] != tape.sessions:
        slot.i[SESSION] = tape.sessions
        if slot.i[TRADES] > 0:
            close_bar(bars, slot, 0, -1)
    return tape.in_session


cdef inline void show_nothing(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Outside a session no bar develops."""
    cdef int k
    begin_bar(slot, 0)
    slot.i[OPEN] = 0
    slot.i[HIGH] = 0
    slot.i[LOW] = 0
    slot.i[CLOSE] = 0
    for k in range(m):
        show_developing(tape, slot, node, k)


cdef inline void bars_by_time(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Bars of ``k`` nanoseconds."""
    cdef Tape* bars = tape.clocks[node.other_clock]
    cdef Records records = records_of(tape)
    cdef int64_t end
    cdef int k
    if not closed_by_session(tape, bars, slot):
        show_nothing(tape, slot, node, m)
        return
    end = slot.i[START_TS] + node.k
    for k in range(m):
        if slot.i[TRADES] == 0 or (records.begins[k] >= end and node.k != DAY_NS):
            if slot.i[TRADES] > 0:
                close_bar(bars, slot, k, k - 1)
            begin_bar(slot, period_start(tape, records.begins[k], node.k))
            end = slot.i[START_TS] + node.k
        add_to_bar(slot, &records, k)
        show_developing(tape, slot, node, k)
        if tape.of_bars and records.ends[k] >= end and node.k != DAY_NS:
            close_bar(bars, slot, k, k)


cdef inline void bars_by_count(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Bars of ``k`` trades."""
    cdef Tape* bars = tape.clocks[node.other_clock]
    cdef Records records = records_of(tape)
    cdef int k
    if not closed_by_session(tape, bars, slot):
        show_nothing(tape, slot, node, m)
        return
    for k in range(m):
        if slot.i[TRADES] == 0:
            begin_bar(slot, records.begins[k])
        add_to_bar(slot, &records, k)
        show_developing(tape, slot, node, k)
        if slot.i[TRADES] >= node.k:
            close_bar(bars, slot, k, k)


cdef inline void bars_by_volume(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Bars that close on the trade with which ``k`` lots or more have been traded in them. Trades are not split."""
    cdef Tape* bars = tape.clocks[node.other_clock]
    cdef Records records = records_of(tape)
    cdef int k
    if not closed_by_session(tape, bars, slot):
        show_nothing(tape, slot, node, m)
        return
    for k in range(m):
        if slot.i[TRADES] == 0:
            begin_bar(slot, records.begins[k])
        add_to_bar(slot, &records, k)
        show_developing(tape, slot, node, k)
        if slot.i[VOLUME] >= node.k:
            close_bar(bars, slot, k, k)


cdef inline void bars_by_value(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Bars that close on the trade with which ``k`` ticks x lots or more have been traded in them."""
    cdef Tape* bars = tape.clocks[node.other_clock]
    cdef Records records = records_of(tape)
    cdef int k
    if not closed_by_session(tape, bars, slot):
        show_nothing(tape, slot, node, m)
        return
    for k in range(m):
        if slot.i[TRADES] == 0:
            begin_bar(slot, records.begins[k])
        add_to_bar(slot, &records, k)
        show_developing(tape, slot, node, k)
        if not i128_less(slot.w[0], i128_of(node.k)):
            close_bar(bars, slot, k, k)


# ---------------------------------------------------------------- from bars to trades, and back

cdef inline void hold_int(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The last closed bar's integer, on every trade; 0 before the first bar."""
    cdef const Tape* bars = tape.clocks[node.other_clock]
    cdef const int64_t* a = ints(bars, node.a)
    cdef const int64_t* seen_on = fixed_column(bars, BAR_SEEN_ON)
    cdef int64_t* out = ints(tape, node.out)
    cdef int64_t value = slot.i[0]
    cdef int k, row = 0
    for k in range(m):
        while row < bars.fresh and seen_on[row] <= k:
            value = a[row]
            row += 1
        out[k] = value
    slot.i[0] = value


cdef inline void hold_wide(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The same for an integer of 128 bits."""
    cdef const Tape* bars = tape.clocks[node.other_clock]
    cdef const i128* a = wides(bars, node.a)
    cdef const int64_t* seen_on = fixed_column(bars, BAR_SEEN_ON)
    cdef i128* out = wides(tape, node.out)
    cdef int k, row = 0
    for k in range(m):
        while row < bars.fresh and seen_on[row] <= k:
            slot.w[0] = a[row]
            row += 1
        out[k] = slot.w[0]


cdef inline void hold_float(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The last closed bar's double, on every trade; NaN before the first bar."""
    cdef const Tape* bars = tape.clocks[node.other_clock]
    cdef const double* a = floats(bars, node.a)
    cdef const int64_t* seen_on = fixed_column(bars, BAR_SEEN_ON)
    cdef double* out = floats(tape, node.out)
    cdef double value = slot.x[0] if slot.i[0] else NAN
    cdef int k, row = 0
    for k in range(m):
        while row < bars.fresh and seen_on[row] <= k:
            value = a[row]
            slot.i[0] = 1
            row += 1
        out[k] = value
    slot.x[0] = value


cdef inline void hold_bool(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether the condition held on the last closed bar; false before the first."""
    cdef const Tape* bars = tape.clocks[node.other_clock]
    cdef const uint8_t* a = bools(bars, node.a)
    cdef const int64_t* seen_on = fixed_column(bars, BAR_SEEN_ON)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k, row = 0
    for k in range(m):
        while row < bars.fresh and seen_on[row] <= k:
            slot.i[0] = a[row]
            row += 1
        out[k] = <uint8_t>slot.i[0]


cdef inline void sample(Tape* bars, Slot* slot, const Node* node, int m) noexcept nogil:
    """What a double on the clock of trades was at the last trade of each bar."""
    cdef const Tape* tape = bars.clocks[0]
    cdef const int64_t* last_trade = fixed_column(bars, BAR_LAST_TRADE)
    cdef double* out = floats(bars, node.out)
    cdef int row
    for row in range(m):
        if last_trade[row] >= 0:
            out[row] = floats(tape, node.a)[last_trade[row]]
        else:
            out[row] = (<const double*>(tape.columns_before + node.a))[tape.fresh_before - 1]
