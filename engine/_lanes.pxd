"""Lanes: one strategy on one instrument, as the core sees it. Finding the next moment at which Python must wake.

A lane is *flat* (watching its state column for a signal), *held* (an order is on its way: nothing is watched) or *open*
(its stop, target, time stop and flat-market candles are watched). All of these are found by scanning columns of
the evaluated block, so thousands of trades on which nothing fires cost no more than reading them.

Events are ordered by *key*: the index of the record in its block, then the phase. Timers come before the record whose
time has reached their deadline; on the record itself fills of resting orders come first (``engine._resting``), then
exits, then the account's loss floor (``engine._account``), then entries.
What differs when records are bars is in ``engine._barpath``.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from engine._management cimport Management, note_best, stop_at
from engine._tape cimport BLOCK, COL_PRICE, COL_TRUNCATED, COL_TS, Tape, bools, fixed_column
from engine._values cimport is_quiet

cdef enum Phase:
    PHASE_TIMER
    PHASE_FILL  # of an order that rests at the venue
    PHASE_EXIT
    PHASE_RISK
    PHASE_LATE  # exits within a bar that come after its worst price
    PHASE_ENTRY
    PHASE_CALLBACK
    PHASES = 8

cdef enum Event:
    EVENT_NONE
    EVENT_ENTRY  # a flat lane's state became long or short
    EVENT_STOP
    EVENT_TARGET
    EVENT_TIME
    EVENT_FLAT
    EVENT_OPPOSITE  # the rule of an open lane turned to the other side
    EVENT_RISK  # the account's equity reached its floor
    EVENT_ALARM  # the kernel's own timer
    EVENT_BOUNDARY  # a session or day boundary
    EVENT_CALLBACK  # a per-tick Python callback returned something
    EVENT_FILL  # a resting order was filled, or triggered
    EVENT_WHEN  # the condition of an exit holds

cdef enum Mode:
    MODE_FLAT
    MODE_HELD
    MODE_OPEN

cdef enum:
    SECOND = 1000000000
    TOGETHER = 16

cdef extern from "stdint.h":
    const int64_t NEVER "INT64_MAX"  # a time that is never reached, and the key of no event

cdef struct Lane:
    int instrument
    int64_t state  # the column's byte offset
    uint64_t sources  # bits of the windows and sessions behind it: it is silent where one of them is cut short
    int64_t warm_ns
    int64_t warm_trades
    int mode
    uint8_t previous  # state on the last trade seen while flat
    # open position
    int side
    int64_t stop_ticks  # the first losing price that closes: at or below it when long, at or above it when short
    int64_t target_ticks
    int64_t deadline_ns  # time stop, or NEVER
    int flat_candles  # consecutive flat candles that close, or 0
    int flat_run
    int64_t candle_ns  # start of the present candle
    int64_t candle_first
    int64_t candle_last
    int candle_traded
    # search
    int cursor  # next trade of the instrument's block to look at
    int from_record  # no event may be found on an earlier record
    int64_t key
    int64_t deadline  # of a timer event; orders timers that fall before the same record
    int event
    int64_t price  # at which the event falls, where that is not the record's own; else 0
    int stop_kind  # of a stop event: STOP_*
    int entered_within  # the number in its block of the bar within which the position was entered, or -1
    Management managed

cdef struct Market:
    # one instrument's part of the block, and what was known before it
    int touched
    int trades
    int trades_before  # trades in the last block that had any: its last one is still to be read
    int* records  # record index of each of the trades
    int64_t bid
    int64_t ask
    int64_t bid_before
    int64_t ask_before
    int64_t bid_size_before
    int64_t ask_size_before
    int64_t price_before

cdef struct Record:
    # a trade (kind 0) or a quote; 0 in a quote's field means unchanged. A bar is a trade with an open
    int64_t ts
    int instrument
    int kind
    int64_t price
    int64_t size
    int64_t bid
    int64_t ask
    int64_t bid_size
    int64_t ask_size
    int64_t open
    int64_t high
    int64_t low
    int64_t start

cdef struct Block:
    # the records being worked through, in stream order
    int records
    int times  # entries of ts: as many as records, or 1 in a block without records, which only lets time pass
    int64_t ts[BLOCK + 1]
    int instrument[BLOCK + 1]
    int trade[BLOCK + 1]  # index in the instrument's block, or -1 for a quote
    int64_t bid[BLOCK + 1]  # of quotes only; a trade's are in its columns
    int64_t ask[BLOCK + 1]
    int64_t bid_size[BLOCK + 1]
    int64_t ask_size[BLOCK + 1]
    int identity  # instrument and trade already say that record i is trade i of instrument 0
    int of_bars
    int64_t start[BLOCK + 1]  # of bars: the latest start so far


cdef inline int first_at_or_after(const Block* block, int64_t ts, int low) noexcept nogil:
    """Index of the first record from ``low`` on whose time is >= ``ts``; ``block.times`` when there is none."""
    cdef int high = block.times, middle
    while low < high:
        middle = (low + high) >> 1
        if block.ts[middle] >= ts:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline int first_trade_from(const int* records, int trades, int record) noexcept nogil:
    """Index of the instrument's first trade at or after ``record`` of the block."""
    cdef int low = 0, high = trades, middle
    while low < high:
        middle = (low + high) >> 1
        if records[middle] >= record:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline int first_outside(const int64_t* prices, int k, int end, int64_t low, int64_t high) noexcept nogil:
    """Index of the first price from ``k`` on that is below ``low`` or above ``high``; ``end`` when there is none.

    Mostly there is none for long, so many are looked at together.
    """
    cdef int64_t signs
    cdef int i
    while k + TOGETHER <= end:
        signs = 0
        for i in range(TOGETHER):
            signs |= (prices[k + i] - low) | (high - prices[k + i])
        if signs < 0:
            break
        k += TOGETHER
    while k < end and low <= prices[k] and prices[k] <= high:
        k += 1
    return k


cdef inline int first_warm(const Lane* lane, const Tape* tape, int trades) noexcept nogil:
    """Index of the first trade of the block at which all of the lane's windows are warm."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef int64_t position = tape.head - trades
    cdef int low = 0, high = trades, middle
    if tape.base > position:  # the windows restarted inside this block's span: earlier trades do not count
        low = <int>(tape.base - position)
    while low < high:
        middle = (low + high) >> 1
        if ts[middle] - tape.first_ts >= lane.warm_ns and position + middle - tape.base + 1 >= lane.warm_trades:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline void find_entry(Lane* lane, const Tape* tape, const int* records, int trades) noexcept nogil:
    """Find the trade on which the state becomes long or short from another state."""
    cdef const uint8_t* state = bools(tape, lane.state)
    cdef const int64_t* truncated = fixed_column(tape, COL_TRUNCATED)
    cdef uint64_t cut = tape.block_truncated & lane.sources, word = 0
    cdef int k = first_trade_from(records, trades, lane.from_record), warm
    cdef uint8_t now, previous = lane.previous
    lane.cursor = trades
    if k >= trades:
        return
    if is_quiet(state):
        lane.previous = 0
        return
    warm = first_warm(lane, tape, trades)
    if k < warm:
        previous = 0
        k = warm
    while k < trades:
        now = state[k]
        if cut != 0 and <uint64_t>truncated[k] & cut != 0:
            now = 0
        if now != previous:
            previous = now
            if now != 0:
                lane.previous = now
                lane.cursor = k + 1
                lane.key = <int64_t>records[k] * PHASES + PHASE_ENTRY
                lane.event = EVENT_ENTRY
                return
        k += 1
        if previous == 0:
            while k + 8 <= trades:
                memcpy(&word, state + k, 8)
                if word != 0:
                    break
                k += 8
    lane.previous = previous


cdef inline void begin_candles(Lane* lane, int64_t entry_ns, int64_t price) noexcept nogil:
    """Only candles that begin at or after the entry count; an entry on a whole second opens one at its own price."""
    cdef int64_t remainder = entry_ns % SECOND
    lane.flat_run = 0
    lane.candle_traded = 0
    lane.candle_ns = entry_ns
    if remainder == 0:
        lane.candle_traded = 1
        lane.candle_first = price
        lane.candle_last = price
    else:
        lane.candle_ns = entry_ns - remainder + SECOND


cdef inline void note_candle(Lane* lane, const Tape* tape, int first, int end) noexcept nogil:
    """Let the present candle have the trades [first, end), as far as they fall in it; none comes after it."""
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    if lane.flat_candles == 0 or first == end or ts[end - 1] < lane.candle_ns:
        return
    if not lane.candle_traded:
        while ts[first] < lane.candle_ns:
            first += 1
        lane.candle_traded = 1
        lane.candle_first = price[first]
    lane.candle_last = price[end - 1]


cdef inline int scan_prices(Lane* lane, const Tape* tape, int end) noexcept nogil:
    """Look at the trades before the one of number ``end``; return the one that hits stop or target, or -1."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int64_t low = (lane.stop_ticks if lane.side > 0 else lane.target_ticks) + 1
    cdef int64_t high = (lane.target_ticks if lane.side > 0 else lane.stop_ticks) - 1
    cdef int first = lane.cursor, k = first_outside(price, first, end, low, high)
    note_candle(lane, tape, first, k)
    if k == end:
        lane.cursor = end
        return -1
    lane.event = EVENT_STOP if lane.side * price[k] <= lane.side * lane.stop_ticks else EVENT_TARGET
    lane.cursor = k + 1
    return k


cdef inline int scan_managed(Lane* lane, const Tape* tape, int end) noexcept nogil:
    """As ``scan_prices`` for a position whose stop moves; the rule's turning to the other side closes it, too.

    While nothing but a new best price moves the stop, trades between stop, target and that price are passed over.
    """
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* ts = fixed_column(tape, COL_TS)
    cdef const uint8_t* state = bools(tape, lane.state)
    cdef Management* managed = &lane.managed
    cdef int passes = managed.decay_ticks == 0 and managed.opposite == 0 and not managed.has_when
    cdef int64_t p, side = lane.side
    cdef int first = lane.cursor, k = lane.cursor
    while k < end:
        lane.stop_ticks = stop_at(managed, ts[k], &lane.stop_kind)
        if passes:
            if side > 0:
                k = first_outside(price, k, end, lane.stop_ticks + 1, min(lane.target_ticks - 1, managed.best))
            else:
                k = first_outside(price, k, end, max(lane.target_ticks + 1, managed.best), lane.stop_ticks - 1)
            if k == end:
                break
        p = price[k]
        if side * p <= side * lane.stop_ticks:
            lane.event = EVENT_STOP
        elif side * p >= side * lane.target_ticks:
            lane.event = EVENT_TARGET
        elif managed.opposite != 0 and state[k] == managed.opposite:
            lane.event = EVENT_OPPOSITE
        elif managed.has_when and bools(tape, managed.when)[k]:
            lane.event = EVENT_WHEN
        if lane.event != EVENT_NONE:
            note_candle(lane, tape, first, k)
            lane.cursor = k + 1
            return k
        note_best(managed, p)
        k += 1
    note_candle(lane, tape, first, end)
    lane.cursor = end
    return -1


cdef inline void skip_empty_candles(Lane* lane, const Tape* tape, int trades, const Block* block) noexcept nogil:
    """Count at once the candles that end before the next trade, the time stop, and the one that would close."""
    cdef int64_t until = block.ts[block.times - 1], candles
    if lane.candle_traded or block.times == 0:
        return
    if lane.cursor < trades:
        until = fixed_column(tape, COL_TS)[lane.cursor]
    if lane.deadline_ns <= until:
        until = lane.deadline_ns - 1
    candles = (until - lane.candle_ns) / SECOND if until > lane.candle_ns else 0
    if candles > lane.flat_candles - lane.flat_run - 1:
        candles = lane.flat_candles - lane.flat_run - 1
    lane.flat_run += <int>candles
    lane.candle_ns += candles * SECOND


cdef inline void find_exit(
    Lane* lane, const Tape* tape, const int* records, int trades, const Block* block
) noexcept nogil:
    """Find the next stop, target, time stop or flat-market exit of an open lane, walking its candles as it goes."""
    cdef int64_t candle_end, deadline
    cdef int record, k
    while True:
        if lane.flat_candles > 0:
            skip_empty_candles(lane, tape, trades, block)
        candle_end = lane.candle_ns + SECOND if lane.flat_candles > 0 else NEVER
        deadline = lane.deadline_ns if lane.deadline_ns <= candle_end else candle_end
        record = first_at_or_after(block, deadline, lane.from_record) if deadline != NEVER else block.times
        k = first_trade_from(records, trades, record)
        if k < lane.cursor:
            k = lane.cursor
        k = scan_managed(lane, tape, k) if lane.managed.on else scan_prices(lane, tape, k)
        if k >= 0:
            lane.key = <int64_t>records[k] * PHASES + PHASE_EXIT
            return
        if record == block.times:
            return
        if lane.deadline_ns <= candle_end:
            lane.event = EVENT_TIME
        elif lane.candle_traded and lane.candle_last != lane.candle_first:
            lane.flat_run = 0
        else:
            lane.flat_run += 1
            if lane.flat_run >= lane.flat_candles:
                lane.event = EVENT_FLAT
        if lane.event != EVENT_NONE:
            lane.key = <int64_t>record * PHASES + PHASE_TIMER
            lane.deadline = deadline
            return
        lane.candle_ns = candle_end
        lane.candle_traded = 0


cdef inline int stays_flat(Lane* lane, const Tape* tape) noexcept nogil:
    """As ``search`` for the commonest of all: a flat lane, and one trade on which its state is none."""
    if lane.mode != MODE_FLAT or tape.fresh != 1 or bools(tape, lane.state)[0] != 0:
        return 0
    lane.key = NEVER
    lane.event = EVENT_NONE
    lane.price = 0
    lane.previous = 0
    lane.cursor = 1
    return 1


cdef inline void search(
    Lane* lane, const Tape* tape, const int* records, int trades, const Block* block
) noexcept nogil:
    """Find the lane's next event in this block from ``from_record`` on; key NEVER when there is none."""
    lane.key = NEVER
    lane.event = EVENT_NONE
    lane.price = 0
    if lane.mode == MODE_FLAT:
        find_entry(lane, tape, records, trades)
    elif lane.mode == MODE_OPEN:
        find_exit(lane, tape, records, trades, block)
