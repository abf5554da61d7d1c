# cython: language_level=3
"""What a record must pass before the engine may trade on it. ``_wire`` calls ``judge`` for each proven record.

Each instrument has a ``Memory``: the last good price and quote, the ids seen lately, the newest time. A record is
accepted or refused for one named reason; an accepted one may be *late* (its time runs backwards) and may disclose a
*gap* (records before it were lost, so that windows must start again).

**Ids.** Trades are numbered +1 per symbol. A number seen among the last ``ID_MEMORY`` is a duplicate and refused; an
unseen lower one was only delayed and is accepted; a higher one than the next discloses a gap.

**Jumps.** A price stands when it lies within the allowed jump of the last accepted price or of *both* sides of the
last accepted quote. Any other is quarantined: refused, and kept as a candidate level. It is believed when a quote (the
last quarantined one, never the record's own) has both sides near it, or when ``confirmations`` further trades in a row
lie near the candidate; that last trade is then accepted and discloses a gap, because real trades were refused. Quotes
are judged by the same rule, side by side: each side near its own last value or near the last price; a quarantined trade
price may vouch for them. One ordinary quote clears the candidates. So does one ordinary trade, unless it lies inside
the quarantined quote: where a spread has widened, trades go on where they were. The first record of an instrument has
nothing to be compared with and stands. A recording is taken as it was recorded: no jump check, because a replay must
trade as the backtest of its file does.

**Times.** Before 2000 or further ahead of the wall clock than allowed is refused. A quote older than the last accepted
one (or as old, when a connection repeats what the last one brought) says nothing any more and is refused; a trade
whose time runs backwards is accepted and counted as late.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

cdef enum:
    ID_MEMORY = 65536
    ID_WORDS = 1024  # of 64 bits

cdef extern from *:
    "#define MICROBURST_YEAR_2000_NS 946684800000000000LL"
    const int64_t YEAR_2000_NS "MICROBURST_YEAR_2000_NS"


cdef enum RecordKind:
    RECORD_TRADE = 0
    RECORD_QUOTE = 1
    RECORD_REFUSED     # unreadable, for the reason in ``reject``
    RECORD_UNSELECTED  # a symbol the user did not ask for: only its number counts
    RECORD_HEARTBEAT
    RECORD_END


cdef enum Reject:
    ACCEPTED = 0
    REJECT_NO_TYPE
    REJECT_BEFORE_HELLO
    REJECT_UNKNOWN_SYMBOL
    REJECT_MISSING_FIELD
    REJECT_WRONG_TYPE
    REJECT_BAD_ID
    REJECT_BAD_TIME
    REJECT_PRICE_NOT_POSITIVE
    REJECT_PRICE_OFF_TICK
    REJECT_PRICE_TOO_LARGE
    REJECT_SIZE_NOT_POSITIVE
    REJECT_SIZE_OFF_LOT
    REJECT_SIZE_OVER_CAP
    REJECT_CROSSED_QUOTE
    REJECT_TIME_BEFORE_2000
    REJECT_TIME_FUTURE
    REJECT_DUPLICATE
    REJECT_ID_TOO_OLD
    REJECT_STALE_QUOTE
    REJECT_PRICE_JUMP
    REJECT_QUOTE_JUMP
    REJECT_COALESCED
    REJECT_QUEUE_OVERFLOW
    REJECTS  # how many there are


cdef struct Record:
    RecordKind kind
    Reject reject
    int instrument      # -1 when not known
    int64_t id          # trade id, or the count that a heartbeat or end carries; -1 when there is none
    int64_t time_ns
    int64_t price_ticks
    int64_t size_lots
    int64_t bid_ticks   # 0: not known
    int64_t ask_ticks
    int64_t bid_lots
    int64_t ask_lots


cdef struct Limits:
    int64_t jump_bps       # largest believed jump in 1/10,000 of the reference; 0: no check
    int64_t confirmations  # further trades or quotes that make a jump believed
    int64_t future_ns      # how far a record's time may run ahead of the wall clock
    bint recorded          # the records come from a recording


cdef struct Memory:
    int64_t price_ticks     # last accepted, 0 before the first
    int64_t bid_ticks
    int64_t ask_ticks
    int64_t odd_price       # quarantined candidates, 0 when there is none
    int64_t odd_bid
    int64_t odd_ask
    int64_t price_confirmed  # by how many later trades or quotes
    int64_t quote_confirmed
    int64_t time_ns         # newest accepted
    int64_t quote_time_ns
    int64_t last_id         # -1 before the first
    bint repeating          # reconnected: what comes may be what we have had
    bint unproven           # reconnected: nothing has shown yet that no record was lost
    bint missed             # records were lost, to be disclosed by the next accepted one
    bint withheld           # trades were refused while their level was in quarantine
    bint quote_withheld     # likewise while the quote they carry was
    uint64_t[ID_WORDS] seen  # bit id % ID_MEMORY: seen


cdef inline bint near(int64_t value, int64_t reference, Limits *limits) noexcept nogil:
    """Whether value is within the allowed jump of a known reference. With values below 2**40 nothing overflows."""
    cdef int64_t distance = value - reference if value > reference else reference - value
    return reference != 0 and distance * 10000 <= reference * limits.jump_bps


cdef inline bint agrees(int64_t price, int64_t bid, int64_t ask, Limits *limits) noexcept nogil:
    """Whether both sides of a quote are near the price."""
    return near(price, bid, limits) and near(price, ask, limits)


cdef inline void clear_odd_quote(Memory *m) noexcept nogil:
    m.odd_bid = m.odd_ask = m.quote_confirmed = 0
    m.quote_withheld = False


cdef inline void clear_candidates(Memory *m) noexcept nogil:
    m.odd_price = m.price_confirmed = 0
    clear_odd_quote(m)


cdef inline void clear_contradicted(Memory *m, int64_t price) noexcept nogil:
    """A price is believed: no other can be a candidate any more, and no quote that it lies outside of."""
    m.odd_price = m.price_confirmed = 0
    if price < m.odd_bid or (m.odd_ask and price > m.odd_ask):
        clear_odd_quote(m)


cdef inline bint price_stands(Memory *m, Limits *limits, int64_t price) noexcept nogil:
    """Judge a trade's price by the jump rule; notes in ``missed`` when belief comes after trades were withheld."""
    if limits.jump_bps == 0 or limits.recorded or (m.price_ticks == 0 and m.bid_ticks == 0):
        return True
    if near(price, m.price_ticks, limits) or agrees(price, m.bid_ticks, m.ask_ticks, limits):
        if not near(price, m.price_ticks, limits):
            m.missed = m.missed or m.withheld  # a quote has moved and vouches for what was withheld
        m.withheld = False
        clear_contradicted(m, price)
        return True
    if near(price, m.odd_price, limits):
        m.price_confirmed += 1
    else:
        m.odd_price = price
        m.price_confirmed = 0
    if agrees(price, m.odd_bid, m.odd_ask, limits) or m.price_confirmed >= limits.confirmations:
        m.missed = m.missed or m.withheld
        m.withheld = False
        clear_contradicted(m, price)
        return True
    m.withheld = True
    return False


cdef inline bint side_stands(int64_t side, int64_t last, int64_t price, Limits *limits) noexcept nogil:
    return side == 0 or near(side, last, limits) or near(side, price, limits)


cdef inline bint quote_stands(Memory *m, Limits *limits, int64_t bid, int64_t ask, int64_t price) noexcept nogil:
    """Judge a quote by the jump rule against the last one and the price; a side of 0 is not there.

    Notes in ``missed`` when belief comes after trades that carry it were withheld.
    """
    if limits.jump_bps == 0 or limits.recorded or (price == 0 and m.bid_ticks == 0 and m.ask_ticks == 0):
        return True
    if side_stands(bid, m.bid_ticks, price, limits) and side_stands(ask, m.ask_ticks, price, limits):
        clear_candidates(m)
        return True
    if m.odd_price != 0 and agrees(m.odd_price, bid, ask, limits):
        clear_candidates(m)
        return True
    if side_stands(bid, m.odd_bid, 0, limits) and side_stands(ask, m.odd_ask, 0, limits):
        m.quote_confirmed += 1
    else:
        m.odd_bid, m.odd_ask = bid, ask
        m.quote_confirmed = 0
    if m.quote_confirmed < limits.confirmations:
        return False
    m.missed = m.missed or m.quote_withheld
    clear_candidates(m)
    return True


cdef inline bint id_seen(Memory *m, int64_t id) noexcept nogil:
    return (m.seen[(id & (ID_MEMORY - 1)) >> 6] >> (id & 63)) & 1


cdef inline void forget_ids(Memory *m, int64_t first, int64_t stop) noexcept nogil:
    """Clear the marks of the ids in ``[first, stop)``, whole words at a time where possible."""
    if stop - first >= ID_MEMORY:
        memset(m.seen, 0, sizeof(m.seen))
        return
    while first < stop:
        if first & 63 == 0 and stop - first >= 64:
            m.seen[(first & (ID_MEMORY - 1)) >> 6] = 0
            first += 64
        else:
            m.seen[(first & (ID_MEMORY - 1)) >> 6] &= ~(<uint64_t>1 << (first & 63))
            first += 1


cdef inline void learn_id(Memory *m, int64_t id) noexcept nogil:
    """Mark an id as seen; note in ``missed`` when ids before it were left out."""
    if m.last_id < 0:
        memset(m.seen, 0, sizeof(m.seen))
        m.last_id = id
    elif id > m.last_id:
        m.missed = m.missed or id - m.last_id > 1
        forget_ids(m, m.last_id + 1, id)
        m.last_id = id
    m.seen[(id & (ID_MEMORY - 1)) >> 6] |= <uint64_t>1 << (id & 63)


cdef inline void note_refused_id(Memory *m, int64_t id) noexcept nogil:
    """A refused trade still shows that its id was not lost, if the id itself is the expected one.

    It does not count as seen: the venue may send the trade again as it should have been.
    """
    if id >= 0 and m.last_id >= 0 and id == m.last_id + 1:
        forget_ids(m, id, id + 1)
        m.last_id = id


cdef inline void learn_odd_id(Memory *m, int64_t id) noexcept nogil:
    """A duplicate must not confirm its own jump, so the id is learnt, unless it is as odd as the jump."""
    if id >= 0 and (m.last_id < 0 or id - m.last_id < ID_MEMORY):
        learn_id(m, id)


cdef inline Reject judge_id(Memory *m, int64_t id) noexcept nogil:
    if id < 0 or m.last_id < 0 or id > m.last_id:
        return ACCEPTED
    m.unproven = False  # the sender is behind us: it has lost nothing that we do not have
    if m.last_id - id >= ID_MEMORY:
        return REJECT_ID_TOO_OLD
    return REJECT_DUPLICATE if id_seen(m, id) else ACCEPTED


cdef inline Reject judge_trade(Memory *m, Limits *limits, Record *r) noexcept nogil:
    cdef Reject reject = judge_id(m, r.id)
    if reject != ACCEPTED:
        return reject
    if not price_stands(m, limits, r.price_ticks):
        learn_odd_id(m, r.id)
        return REJECT_PRICE_JUMP
    if (r.bid_ticks or r.ask_ticks) and not quote_stands(m, limits, r.bid_ticks, r.ask_ticks, r.price_ticks):
        learn_odd_id(m, r.id)
        m.quote_withheld = True
        return REJECT_QUOTE_JUMP
    if r.id >= 0:
        learn_id(m, r.id)
    m.price_ticks = r.price_ticks
    return ACCEPTED


cdef inline Reject judge_quote(Memory *m, Limits *limits, Record *r) noexcept nogil:
    if r.time_ns < m.quote_time_ns or (m.repeating and r.time_ns == m.quote_time_ns):
        return REJECT_STALE_QUOTE
    if not quote_stands(m, limits, r.bid_ticks, r.ask_ticks, m.price_ticks):
        return REJECT_QUOTE_JUMP
    m.quote_time_ns = r.time_ns
    m.missed = m.missed or m.unproven
    return ACCEPTED


cdef inline Reject judge(Memory *m, Limits *limits, Record *r, int64_t wall_ns, bint *late, bint *gap) noexcept nogil:
    """Accept or refuse a trade or quote; when accepted, say whether it is late and whether it discloses a gap."""
    cdef Reject reject = ACCEPTED
    if r.bid_ticks and r.ask_ticks and r.bid_ticks > r.ask_ticks:
        reject = REJECT_CROSSED_QUOTE
    elif r.time_ns < YEAR_2000_NS:
        reject = REJECT_TIME_BEFORE_2000
    elif r.time_ns > wall_ns + limits.future_ns:
        reject = REJECT_TIME_FUTURE
    if reject != ACCEPTED:
        note_refused_id(m, r.id)
        return reject
    reject = judge_trade(m, limits, r) if r.kind == RECORD_TRADE else judge_quote(m, limits, r)
    if reject != ACCEPTED:
        return reject
    if r.bid_ticks:
        m.bid_ticks = r.bid_ticks
    if r.ask_ticks:
        m.ask_ticks = r.ask_ticks
    gap[0] = m.missed
    m.missed = m.unproven = m.repeating = False
    late[0] = r.time_ns < m.time_ns
    if r.time_ns > m.time_ns:
        m.time_ns = r.time_ns
    return ACCEPTED


cdef inline void meet_again(Memory *m, bint ids_continue) noexcept nogil:
    """A new connection begins. Its ids go on from the last one's, or it is a new stream with its own ids and times."""
    m.unproven = m.repeating = ids_continue and m.time_ns != 0
    if not ids_continue:
        m.last_id = -1
        m.time_ns = m.quote_time_ns = 0
        m.missed = False
