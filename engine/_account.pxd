"""The account as the core sees it: its equity, marked at every trade, and the losses at which Python must wake.

Most trades change nothing but the equity: no new peak, no deeper fall, no limit reached. Between which prices that is
so is worked out once, and the trades in between are passed over together: only the last one's price is counted.
"""

from libc.stdint cimport int64_t

from engine._int128 cimport i128, i128_add, i128_double, i128_less, i128_mul, i128_mul64, i128_sub
from engine._lanes cimport PHASE_RISK, PHASES, Block, Market, first_outside, first_trade_from
from engine._tape cimport COL_PRICE, Tape, fixed_column

cdef enum:
    FURTHEST = 1 << 30  # ticks that the price may go without another look

cdef struct Account:
    # equity counts every open position at its instrument's last trade, in the account's money unit
    int open_positions
    int only  # the instrument of the position, where there is one
    int floor_set
    i128 equity
    i128 floor
    i128 peak
    i128 drawdown
    i128 high  # of the equity since the drawdown limit was set
    int64_t fall_share  # the drawdown limit as a quotient, share / scale; 0 / 0: none
    int64_t fall_scale
    int scanned  # records of this block already marked

cdef struct Holding:
    # what the account scan needs to know about one instrument
    int64_t lots  # signed; 0 when there is no position
    int64_t unit  # money units per tick and lot
    int64_t mark_ticks


cdef inline void note_drawdown(Account* account) noexcept nogil:
    cdef i128 fall
    if i128_less(account.peak, account.equity):
        account.peak = account.equity
    fall = i128_sub(account.peak, account.equity)
    if i128_less(account.drawdown, fall):
        account.drawdown = fall


cdef inline int has_fallen(Account* account) noexcept nogil:
    """Whether the equity has fallen from its highest by the drawdown limit: a floor that rises with the equity."""
    if account.fall_scale == 0:
        return 0
    if i128_less(account.high, account.equity):
        account.high = account.equity
    return not i128_less(
        i128_mul(i128_sub(account.high, account.equity), account.fall_scale),
        i128_mul(account.high, account.fall_share),
    )


cdef inline void count_at(Account* account, Holding* held, int64_t price) noexcept nogil:
    account.equity = i128_add(account.equity, i128_mul(i128_mul64(price - held.mark_ticks, held.lots), held.unit))
    held.mark_ticks = price


cdef inline int mark_at(Account* account, Holding* held, int64_t price) noexcept nogil:
    """Count a position at ``price``. Returns whether the equity has reached its floor, or fallen too far."""
    count_at(account, held, price)
    note_drawdown(account)
    return (account.floor_set and not i128_less(account.floor, account.equity)) or has_fallen(account)


cdef inline int64_t ticks_within(double room, double step) noexcept nogil:
    """How many ticks of ``step`` money units are sure to leave something of ``room``, whatever doubles round away."""
    cdef double ticks = room / step * 0.999999999999
    return <int64_t>ticks if ticks < FURTHEST else FURTHEST


cdef inline int is_quiet_between(
    const Account* account, const Holding* held, int64_t* low, int64_t* high
) noexcept nogil:
    """Between which prices the one open position may be marked without anything to note; 0 where that is none.

    They are some of those prices, mostly all: doubles are near enough to stay within, and what is outside is marked.
    """
    cdef i128 fall = i128_sub(account.peak, account.equity), room
    cdef double gain = i128_double(fall), loss = i128_double(i128_sub(account.drawdown, fall)), left
    cdef double step = <double>held.lots * <double>held.unit
    cdef int64_t up, down
    if account.floor_set:
        left = i128_double(i128_sub(account.equity, account.floor))
        if left <= 0:
            return 0
        loss = min(loss, left)
    if account.fall_scale != 0:
        fall = i128_sub(account.high, account.equity)
        room = i128_sub(i128_mul(account.high, account.fall_share), i128_mul(fall, account.fall_scale))
        left = i128_double(room) / <double>account.fall_scale
        if left <= 0:
            return 0
        gain, loss = min(gain, i128_double(fall)), min(loss, left)
    if gain < 0 or loss < 0:
        return 0
    if step > 0:
        up, down = ticks_within(gain, step), ticks_within(loss, step)
    else:
        up, down = ticks_within(loss, -step), ticks_within(gain, -step)
    low[0], high[0] = held.mark_ticks - down, held.mark_ticks + up
    return 1


cdef inline int mark_position(
    Account* account, Holding* held, const Tape* tape, const Market* market, int before
) noexcept nogil:
    """Mark the only open position on the trades before the record of number ``before``; as ``mark_account``."""
    cdef const int64_t* price = fixed_column(tape, COL_PRICE)
    cdef int k = first_trade_from(market.records, market.trades, account.scanned), passed
    cdef int end = first_trade_from(market.records, market.trades, before)
    cdef int64_t low = 0, high = 0
    while k < end:
        if is_quiet_between(account, held, &low, &high):
            passed = first_outside(price, k, end, low, high)
            if passed > k:
                count_at(account, held, price[passed - 1])
                k = passed
                continue
        if mark_at(account, held, price[k]):
            account.scanned = market.records[k] + 1
            return market.records[k]
        k += 1
    account.scanned = max(account.scanned, before)
    return -1


cdef inline int mark_account(
    Account* account, Holding* holdings, const Tape* tapes, const Market* markets, const Block* block, int64_t before
) noexcept nogil:
    """Mark open positions on every trade whose risk phase comes before the key ``before``.

    Returns the record on which the equity reaches the floor or has fallen too far, or -1.
    """
    cdef int record = account.scanned, end = block.records, trade, only = account.only
    cdef Holding* held
    if before < <int64_t>end * PHASES:  # as a record's number: its risk phase is no longer before
        end = <int>((before - PHASE_RISK + PHASES - 1) / PHASES)
    if account.open_positions == 1:
        return mark_position(account, &holdings[only], &tapes[only], &markets[only], end)
    while record < end:
        trade = block.trade[record]
        held = &holdings[block.instrument[record]]
        if trade >= 0 and held.lots != 0:
            if mark_at(account, held, fixed_column(&tapes[block.instrument[record]], COL_PRICE)[trade]):
                account.scanned = record + 1
                return record
        record += 1
    account.scanned = record
    return -1
