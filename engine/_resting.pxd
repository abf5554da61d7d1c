"""Orders that rest at the simulated venue: found filled by the records, without Python until one is.

An order rests until a record fills it, in whole or in part; which record does is the fill model's to say, from the most
hopeful, ``TOUCH``, to the most careful, ``WORST``. Prices are compared the way a buyer sees them: the lower the trade,
the better the fill; a seller's are seen from below zero. The venue acts before anybody who watches it: on the same
record fills come before exits. Nothing of this is looked at while no order rests.
"""

from libc.stdint cimport int64_t

from engine._lanes cimport NEVER, PHASE_FILL, PHASE_LATE, PHASES, Block, first_outside
from engine._tape cimport (
    COL_ASK,
    COL_ASK_SIZE,
    COL_BID,
    COL_BID_SIZE,
    COL_HIGH,
    COL_LOW,
    COL_OPEN,
    COL_PRICE,
    COL_SIZE,
    Tape,
    fixed_column,
)

cdef enum RestingKind:
    REST_LIMIT
    REST_STOP  # filled when a trade reaches its price from the other side; what it becomes is the kernel's
    REST_WATCH  # never filled: keeps the worst quote since it came, for a market order on its way

cdef enum FillModel:
    FILL_LAST  # whole, when a trade reaches the price
    FILL_TOUCH  # whole, when a trade or the other side's quote reaches the price
    FILL_THROUGH  # whole, when a trade goes beyond the price
    FILL_QUEUE  # beyond it or crossed whole; at it, what trades after everything displayed ahead is through
    FILL_WORST  # only what trades beyond the price

cdef enum:
    UNKNOWN_QUEUE = -1  # nothing is known of who is ahead

cdef struct Resting:
    int64_t order
    int instrument
    int kind
    int model
    int side  # 1 buys, -1 sells
    int is_exit  # of a position: within a bar it is reached after the bar's worst price
    int64_t price
    int64_t lots  # left
    int64_t ahead  # lots in the queue before it, or UNKNOWN_QUEUE
    int64_t worst_bid  # of a watch; 0 while no quote has been seen
    int64_t worst_ask
    int from_record  # the next to look at
    int64_t key  # of the record that fills it, or NEVER
    int64_t offered  # lots that the record offers it; NEVER for any number

cdef struct Print:
    # what a record says: a trade (price 0 for a quote) and the quotes and displayed sizes known with it
    int64_t price
    int64_t size
    int64_t bid
    int64_t ask
    int64_t bid_size
    int64_t ask_size


cdef inline void read_print(Print* out, const Tape* tape, const Block* block, int record) noexcept nogil:
    cdef int trade = block.trade[record]
    if trade < 0:
        out.price = out.size = 0
        out.bid, out.ask = block.bid[record], block.ask[record]
        out.bid_size, out.ask_size = block.bid_size[record], block.ask_size[record]
    else:
        out.price, out.size = fixed_column(tape, COL_PRICE)[trade], fixed_column(tape, COL_SIZE)[trade]
        out.bid, out.ask = fixed_column(tape, COL_BID)[trade], fixed_column(tape, COL_ASK)[trade]
        out.bid_size = fixed_column(tape, COL_BID_SIZE)[trade]
        out.ask_size = fixed_column(tape, COL_ASK_SIZE)[trade]


cdef inline void join_queue(Resting* it, int64_t bid, int64_t ask, int64_t bid_size, int64_t ask_size) noexcept nogil:
    """Where an order stands among those displayed: behind them at its price, first where it is the best.

    What is displayed after it came can only shorten the queue: some ahead have gone, and it is not known who else.
    """
    cdef int64_t best = bid if it.side > 0 else ask, displayed = bid_size if it.side > 0 else ask_size
    if best == 0:
        return
    if it.side * (it.price - best) > 0:
        it.ahead = 0
    elif it.price == best and displayed != 0 and (it.ahead == UNKNOWN_QUEUE or displayed < it.ahead):
        it.ahead = displayed


cdef inline int64_t through_queue(Resting* it, int64_t size) noexcept nogil:
    """How much of a trade at the order's price is left once the queue ahead has had its share."""
    cdef int64_t left
    if it.ahead == UNKNOWN_QUEUE:
        return 0
    left = size - it.ahead
    it.ahead = it.ahead - size if left < 0 else 0
    return left if left > 0 else 0


cdef inline int64_t offered_to(Resting* it, const Print* seen) noexcept nogil:
    """How many lots a record offers a resting limit order; NEVER for as many as it has."""
    cdef int64_t beyond, other, offered = 0
    beyond = it.side * (it.price - seen.price) if seen.price != 0 else -1
    if it.model == FILL_LAST:
        return NEVER if beyond >= 0 else 0
    if it.model == FILL_THROUGH:
        return NEVER if beyond > 0 else 0
    if it.model == FILL_WORST:
        return seen.size if beyond > 0 else 0
    other = seen.ask if it.side > 0 else seen.bid
    if (other != 0 and it.side * (it.price - other) >= 0) or beyond > 0:
        return NEVER
    if it.model == FILL_TOUCH:
        return NEVER if beyond == 0 else 0
    if beyond == 0:
        offered = through_queue(it, seen.size)
    join_queue(it, seen.bid, seen.ask, seen.bid_size, seen.ask_size)
    return offered


cdef inline void find_within_bar(Resting* it, const Tape* tape, int k, int record) noexcept nogil:
    """Whether bar ``k`` fills the order, whole. An exit is reached after the bar's worst, unless it opened there."""
    cdef int64_t opened = fixed_column(tape, COL_OPEN)[k]
    cdef int toward = it.side if it.kind == REST_LIMIT else -it.side  # the way from which its price is reached
    cdef int64_t nearest = fixed_column(tape, COL_LOW)[k] if toward > 0 else fixed_column(tape, COL_HIGH)[k]
    cdef int64_t beyond = toward * (it.price - nearest)
    if beyond > 0 or (beyond == 0 and (it.kind == REST_STOP or it.model != FILL_THROUGH)):
        it.offered = NEVER
        it.key = <int64_t>record * PHASES + PHASE_FILL
        if it.is_exit and toward * (it.price - opened) < 0:
            it.key = <int64_t>record * PHASES + PHASE_LATE


cdef inline int64_t price_within_bar(const Resting* it, const Tape* tape, int k) noexcept nogil:
    """At which price bar ``k`` fills the order: a stop that the bar opened beyond is triggered there."""
    cdef int64_t opened = fixed_column(tape, COL_OPEN)[k]
    return opened if it.kind == REST_STOP and it.side * (opened - it.price) > 0 else it.price


cdef inline void note_worst(Resting* it, int64_t bid, int64_t ask) noexcept nogil:
    if bid != 0 and (it.worst_bid == 0 or bid < it.worst_bid):
        it.worst_bid = bid
    if ask > it.worst_ask:
        it.worst_ask = ask


cdef inline void watch_quotes(Resting* it, const Tape* tape, const Block* block, int before) noexcept nogil:
    """Take note of the worst quotes up to a record."""
    cdef Print seen
    while it.from_record < before:
        if block.instrument[it.from_record] == it.instrument:
            read_print(&seen, tape, block, it.from_record)
            note_worst(it, seen.bid, seen.ask)
        it.from_record += 1


cdef inline int pass_over(const Resting* it, const Tape* tape, int record, int end) noexcept nogil:
    """The first trade from ``record`` on that may fill the order, in a block that is one instrument's trades alone.

    Not for a model that remembers what it has seen.
    """
    cdef int toward = it.side if it.kind == REST_LIMIT else -it.side  # the way from which its price is reached
    cdef int beyond = it.kind == REST_LIMIT and (it.model == FILL_THROUGH or it.model == FILL_WORST)
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef const int64_t* bid = fixed_column(tape, COL_BID)
    cdef const int64_t* ask = fixed_column(tape, COL_ASK)
    cdef int64_t low = it.price - beyond + 1 if toward > 0 else 0, high = NEVER if toward > 0 else it.price + beyond - 1
    end = first_outside(price, record, end, low, high)
    if it.kind != REST_LIMIT or it.model != FILL_TOUCH:
        return end
    if it.side < 0:
        return first_outside(bid, record, end, 0, it.price - 1)
    while record < end and (ask[record] > it.price or ask[record] == 0):
        record += 1
    return record


cdef inline void search_resting(Resting* it, const Tape* tape, const Block* block) noexcept nogil:
    """Find the record, from ``from_record`` on, that fills the order; key NEVER when there is none in this block."""
    cdef Print seen
    cdef int record = it.from_record
    cdef int alone = block.identity and not block.of_bars and it.instrument == 0 and it.model != FILL_QUEUE
    it.key = NEVER
    if it.kind == REST_WATCH:
        return
    while record < block.records and it.key == NEVER:
        if alone:
            record = pass_over(it, tape, record, block.records)
            if record == block.records:
                break
        if block.instrument[record] == it.instrument:
            if block.of_bars:
                find_within_bar(it, tape, block.trade[record], record)
            else:
                read_print(&seen, tape, block, record)
                if it.kind == REST_LIMIT:
                    it.offered = offered_to(it, &seen)
                else:
                    it.offered = NEVER if seen.price != 0 and it.side * (seen.price - it.price) >= 0 else 0
                if it.offered > 0:
                    it.key = <int64_t>record * PHASES + PHASE_FILL
        record += 1
    it.from_record = record
