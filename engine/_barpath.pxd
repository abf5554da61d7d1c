"""What happens within a bar: exits and the day's loss when the records are bars instead of trades.

A bar says which prices were traded, not in which order. Rules see its close, at its end; an open position goes
through its open, high and low first, and whatever the bar leaves open is decided against it: an opening beyond stop or
target comes before everything, then the stop, then the account's loss at the bar's worst, then the target, and last a
time stop that has run out by the bar's end. A stop that moves stands where it stood when the bar began
(``docs/adr/0011-bars-as-input.md``).
"""

from libc.stdint cimport int64_t

from engine._account cimport Account, Holding, mark_at
from engine._lanes cimport (
    EVENT_NONE,
    EVENT_OPPOSITE,
    EVENT_STOP,
    EVENT_TARGET,
    EVENT_TIME,
    EVENT_WHEN,
    NEVER,
    PHASE_EXIT,
    PHASE_LATE,
    PHASE_RISK,
    PHASE_TIMER,
    PHASES,
    Block,
    Lane,
)
from engine._management cimport note_best, stop_at
from engine._tape cimport COL_HIGH, COL_LOW, COL_OPEN, COL_PRICE, COL_START, COL_TS, Tape, bools, fixed_column


cdef inline int first_beginning_at(const Block* block, int64_t ts, int low) noexcept nogil:
    """Index of the first bar from ``low`` on that begins at or after ``ts``; ``block.times`` when there is none."""
    cdef int high = block.times, middle
    while low < high:
        middle = (low + high) >> 1
        if block.start[middle] >= ts:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline void leave(Lane* lane, int event, int64_t price, int record, int phase) noexcept nogil:
    lane.event = event
    lane.price = price
    lane.key = <int64_t>record * PHASES + phase


cdef inline void walk_bar(Lane* lane, const Tape* tape, int k, int record) noexcept nogil:
    """Find what closes the lane's position within trade ``k`` of the block, which is a bar."""
    cdef int64_t opened = fixed_column(tape, COL_OPEN)[k], end = fixed_column(tape, COL_TS)[k]
    cdef int64_t worst = fixed_column(tape, COL_LOW)[k], best = fixed_column(tape, COL_HIGH)[k]
    cdef int64_t stop, target = lane.target_ticks
    if lane.managed.on:  # the stop as the bar found it: whether its best price came before its worst is not known
        lane.stop_ticks = stop_at(&lane.managed, fixed_column(tape, COL_START)[k], &lane.stop_kind)
    stop = lane.stop_ticks
    if lane.side < 0:  # a short position's prices, seen from below zero
        opened, worst, best = -opened, -best, -worst
        stop, target = -stop, -target
    if record == lane.entered_within:  # what the bar did before the entry is not known, but that it ended worse is
        if worst <= stop:
            leave(lane, EVENT_STOP, min(opened, stop) * lane.side, record, PHASE_EXIT)
    elif opened <= stop:
        leave(lane, EVENT_STOP, opened * lane.side, record, PHASE_EXIT)
    elif opened >= target:
        leave(lane, EVENT_TARGET, target * lane.side, record, PHASE_EXIT)
    elif worst <= stop:
        leave(lane, EVENT_STOP, stop * lane.side, record, PHASE_EXIT)
    elif best >= target and end <= lane.deadline_ns:
        leave(lane, EVENT_TARGET, target * lane.side, record, PHASE_LATE)
    elif end >= lane.deadline_ns:
        note_best(&lane.managed, best * lane.side)  # where only a shortest hold is over, the position goes on
        leave(lane, EVENT_TIME, 0, record, PHASE_LATE)  # at the close, the price of the record
    elif lane.managed.opposite != 0 and bools(tape, lane.state)[k] == lane.managed.opposite:
        leave(lane, EVENT_OPPOSITE, 0, record, PHASE_LATE)
    elif lane.managed.has_when and bools(tape, lane.managed.when)[k]:
        leave(lane, EVENT_WHEN, 0, record, PHASE_LATE)
    else:
        note_best(&lane.managed, best * lane.side)


cdef inline void search_bars(
    Lane* lane, const Tape* tape, const int* records, int trades, const Block* block
) noexcept nogil:
    """Find an open lane's next exit in a block of bars; key NEVER when there is none.

    A time stop that runs out while the instrument has no bar fires before the first bar that begins at or after it.
    """
    cdef int record = block.times
    lane.key = NEVER
    lane.event = EVENT_NONE
    lane.price = 0
    if lane.deadline_ns != NEVER:
        record = first_beginning_at(block, lane.deadline_ns, lane.from_record)
    while lane.cursor < trades and records[lane.cursor] < record:
        lane.cursor += 1
        walk_bar(lane, tape, lane.cursor - 1, records[lane.cursor - 1])
        if lane.event != EVENT_NONE:
            return
    if record < block.times:
        lane.deadline = lane.deadline_ns
        leave(lane, EVENT_TIME, 0, record, PHASE_TIMER)


cdef inline int mark_bars(
    Account* account, Holding* holdings, const Tape* tapes, const Block* block, int64_t before
) noexcept nogil:
    """Mark open positions on every bar, first at its worst price, then, where they outlive it, at its close.

    Only what comes before the key ``before`` is done. Returns the bar at whose worst price the equity reaches the
    floor, or -1.
    """
    cdef int record = account.scanned
    cdef Holding* held
    cdef const Tape* tape
    cdef int k, worst
    while record < block.records and <int64_t>record * PHASES + PHASE_RISK < before:
        held = &holdings[block.instrument[record]]
        tape = &tapes[block.instrument[record]]
        k = block.trade[record]
        if held.lots != 0:
            worst = COL_LOW if held.lots > 0 else COL_HIGH
            if mark_at(account, held, fixed_column(tape, worst)[k]):
                account.scanned = record + 1
                return record
            if <int64_t>record * PHASES + PHASE_LATE >= before:  # it is closed within this bar
                break
            mark_at(account, held, fixed_column(tape, COL_PRICE)[k])
        record += 1
    account.scanned = record
    return -1
