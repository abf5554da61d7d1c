"""The order of a core's events, by streams made by hand; each is handed over at once, one by one, and in pairs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from engine import _core, _program
from engine._core import ALARM, BOUNDARY, CALLBACK, ENTRY, FLAT, FOREVER_NS, RISK, STOP, TARGET, TIME, Core
from engine._program import Program

LONG, SHORT = 2, 3  # a trade of this size signals
S = 1_000_000_000
NEVER_BELOW, NEVER_ABOVE = -1, 1 << 62

Row = tuple[int, int, int] | tuple[int, int, int, int]  # ts, price, size, instrument
Event = tuple[int, int, int, int]  # type, lane, ts, price of the event's instrument (of instrument 0 when it has none)
Answer = Callable[[Core, int], None]


def make_core(lanes: list[int] | None = None, instruments: int = 1) -> Core:
    """A core whose lanes, one for each instrument named, enter on trades of size 2 (long) and 3 (short)."""
    programs, states = [], []
    for _ in range(instruments):
        program = Program()
        sides = [
            program.compare([(1, (_program.SIZE_COLUMN,)), (-size, ())], _program.COMPARISONS["=="])
            for size in (LONG, SHORT)
        ]
        programs.append(program)
        states.append(program.state(*sides))
    core = Core(programs)
    for instrument in [0] if lanes is None else lanes:
        core.add_lane(instrument, states[instrument], 0)
    return core


def nothing(core: Core, event: int) -> None:
    """Answer no event."""


def feed(core: Core, rows: list[Row], how: str, answer: Answer = nothing) -> list[Event]:
    """Hand over the rows; returns the events in order. ``answer`` is the kernel."""
    events: list[Event] = []

    def drain(event: int) -> None:
        while event:
            instrument = max(core.event_instrument, 0)
            events.append((event, core.event_lane, core.event_ts_ns, core.price(instrument)))
            assert len(events) < 10_000, "it goes on for ever"
            answer(core, event)
            event = core.advance()

    if how == "pushed":
        for ts, price, size, *instrument in rows:
            drain(core.push(instrument[0] if instrument else 0, ts, price, size))
        return events
    step = len(rows) if how == "at once" else 2
    for start in range(0, len(rows), step):
        part = [(*row, 0) if len(row) == 3 else row for row in rows[start : start + step]]
        ts, price, size, number = (np.array(column, np.int64) for column in zip(*part, strict=True))
        core.load(ts, price, size, instrument=number.astype(np.uint16) if number.any() else None)
        drain(core.advance())
    return events


@pytest.fixture(params=["at once", "pushed", "in pairs"])
def how(request) -> str:
    return request.param


# ---------------------------------------------------------------- entries


def test_an_entry_fires_where_the_state_begins(how):
    rows = [(t, 100 + t, size) for t, size in enumerate([1, 2, 2, 1, 3, 2, 2, 3, 1])]
    states = []
    events = feed(make_core(), rows, how, lambda core, _: states.append(core.event_state))
    assert events == [(ENTRY, 0, t, 100 + t) for t in (1, 4, 5, 7)]
    assert states == [1, 2, 1, 2]


def test_a_closed_lane_enters_on_the_next_trade_if_the_signal_holds(how):
    rows = [(t, 100, LONG) for t in range(6)]

    def answer(core: Core, event: int) -> None:
        if event == ENTRY and core.event_ts_ns < 4:
            core.close_lane(0)

    assert [ts for _, _, ts, _ in feed(make_core(), rows, how, answer)] == [0, 1, 2, 3, 4]


def test_a_held_lane_watches_nothing(how):
    rows = [(t, 100 + t, size) for t, size in enumerate([2, 1, 2, 1, 3])]
    assert feed(make_core(), rows, how, lambda core, _: core.hold_lane(0)) == [(ENTRY, 0, 0, 100)]


@pytest.mark.parametrize(("warm_ns", "warm_trades", "first"), [(0, 1, 0), (3, 0, 3), (0, 4, 3), (3, 6, 5), (7, 2, 7)])
def test_cold_windows_keep_a_lane_silent_and_a_signal_that_holds_then_begins_there(how, warm_ns, warm_trades, first):
    core = make_core([])
    core.add_lane(0, core.programs[0].columns - 1, warm_ns, warm_trades)
    rows = [(t, 100, LONG) for t in range(10)]
    assert feed(core, rows, how) == [(ENTRY, 0, first, 100)]
    core.restart_windows(0)
    rows = [(20 + t, 100, LONG) for t in range(10)]
    expected = [(ENTRY, 0, 20 + first, 100)] if first else []
    assert feed(core, rows, how) == expected, "a lane that was warm all along goes on with its signal"


# ---------------------------------------------------------------- exits


BOUNDS = [(1, 95, 105, [96, 104, 95], STOP), (1, 95, 105, [104, 96, 105], TARGET), (1, 95, 105, [94], STOP)]
BOUNDS += [(1, 95, 105, [106], TARGET), (-1, 105, 95, [104, 96, 105], STOP), (-1, 105, 95, [96, 104, 95], TARGET)]
BOUNDS += [(-1, 105, 95, [106], STOP), (-1, 105, 95, [94], TARGET)]


@pytest.mark.parametrize(("side", "stop", "target", "prices", "kind"), BOUNDS)
def test_stop_and_target_close_on_their_exact_price(how, side, stop, target, prices, kind):
    def answer(core: Core, event: int) -> None:
        if event == ENTRY:
            core.open_lane(0, side, stop, target)

    rows = [(0, 100, LONG), *((t, price, 1) for t, price in enumerate(prices, 1)), (90, 100, 1)]
    events = feed(make_core(), rows, how, answer)
    assert events[1:] == [(kind, 0, len(prices), prices[-1])]


def test_the_entry_trade_itself_closes_nothing(how):
    def answer(core: Core, event: int) -> None:
        if event == ENTRY:
            core.open_lane(0, 1, 100, 100)

    assert feed(make_core(), [(0, 100, LONG), (1, 100, 1)], how, answer)[1:] == [(STOP, 0, 1, 100)]


def opening(lane: int = 0, **settings: int) -> Answer:
    """Answer the first entry of ``lane`` with a position."""
    bounds = {"side": 1, "stop_ticks": NEVER_BELOW, "target_ticks": NEVER_ABOVE}

    def answer(core: Core, event: int) -> None:
        if event == ENTRY and core.event_lane == lane:
            core.open_lane(lane, **(bounds | settings))

    return answer


def test_a_timer_fires_before_the_record_that_reaches_it(how):
    rows = [(0, 100, LONG), (49, 101, 1), (50, 90, 1), (60, 91, 1)]
    events = feed(make_core(), rows, how, opening(stop_ticks=90, deadline_ns=50))
    assert events[1:] == [(TIME, 0, 50, 101)], "the stop on the record at 50 comes after the time stop"
    rows[1] = (49, 90, 1)
    assert feed(make_core(), rows, how, opening(stop_ticks=90, deadline_ns=50))[1:] == [(STOP, 0, 49, 90)]


def test_time_comes_before_flat_at_equal_deadlines(how):
    rows = [(0, 100, LONG), (3 * S, 100, 1)]
    both = opening(deadline_ns=2 * S, flat_candles=2, entry_ts_ns=0, first_price_ticks=100)
    assert feed(make_core(), rows, how, both)[1:] == [(TIME, 0, 2 * S, 100)]
    later = opening(deadline_ns=2 * S + 1, flat_candles=2, entry_ts_ns=0, first_price_ticks=100)
    assert feed(make_core(), rows, how, later)[1:] == [(FLAT, 0, 2 * S, 100)]


@pytest.mark.parametrize(
    ("entry", "rows", "candles", "fires"),
    [
        (0, [], 1, S),  # opens with the entry's own price and nothing follows
        (1, [], 1, 2 * S),  # begun within a second: that second does not count
        (S, [(S + 1, 101)], 1, 3 * S),  # the entry opens the candle at 100, it ends at 101
        (S, [(S + 1, 101), (S + 2, 100)], 1, 2 * S),  # ends where it began
        (1, [(2, 105), (S, 101), (2 * S - 1, 101)], 1, 2 * S),  # trades of the entry's own second do not count
        (0, [(S, 101), (S + 1, 102)], 2, 4 * S),  # flat, moving, flat, flat: the run begins anew
        (0, [(S - 1, 101), (S, 101), (S + 5, 101)], 2, 3 * S),  # a trade on the whole second opens the next candle
    ],
)
def test_flat_candles(how, entry, rows, candles, fires):
    stream = [(entry, 100, LONG), *((ts, price, 1) for ts, price in rows), (20 * S, 90, 1)]
    last = ([100] + [price for ts, price in rows if ts < fires])[-1]
    answer = opening(flat_candles=candles, entry_ts_ns=entry, first_price_ticks=100)
    assert feed(make_core(), stream, how, answer)[1:] == [(FLAT, 0, fires, last)]


def test_timers_of_several_lanes_fire_by_deadline_then_lane(how):
    deadlines = [70, 50, 50, 60]

    def answer(core: Core, event: int) -> None:
        if event == ENTRY:
            core.open_lane(core.event_lane, 1, NEVER_BELOW, NEVER_ABOVE, deadlines[core.event_lane])

    events = feed(make_core([0] * 4), [(0, 100, LONG), (80, 100, 1)], how, answer)
    assert [event[:3] for event in events] == [
        *((ENTRY, lane, 0) for lane in range(4)),
        (TIME, 1, 50),
        (TIME, 2, 50),
        (TIME, 3, 60),
        (TIME, 0, 70),
    ]


def test_records_of_one_time_keep_their_order(how):
    rows = [(5, 100, LONG, 1), (5, 101, LONG, 0), (5, 102, SHORT, 1), (5, 103, SHORT, 0)]
    events = feed(make_core([0, 1], instruments=2), rows, how)
    assert events == [(ENTRY, 1, 5, 100), (ENTRY, 0, 5, 101), (ENTRY, 1, 5, 102), (ENTRY, 0, 5, 103)]


# ---------------------------------------------------------------- the account


def test_exit_then_risk_then_entry_on_one_record(how):
    core = make_core([0, 0])
    core.set_account(1000, 900)

    def answer(core: Core, event: int) -> None:
        if event == ENTRY and core.event_ts_ns == 0 and core.event_lane == 0:
            core.open_lane(0, 1, 90, NEVER_ABOVE)
            core.set_holding(0, 10, 1, 100)
        elif event == RISK:
            core.set_account(core.equity, None)

    events = feed(core, [(0, 100, LONG), (1, 100, 1), (2, 90, LONG), (3, 90, 1)], how, answer)
    assert events == [(ENTRY, 0, 0, 100), (ENTRY, 1, 0, 100), (STOP, 0, 2, 90), (RISK, -1, 2, 90), (ENTRY, 1, 2, 90)]
    assert core.equity == 900


@pytest.mark.parametrize(("floor", "fires"), [(899, 3), (900, 2), (901, 2), (None, None)])
def test_risk_fires_where_equity_reaches_the_floor(how, floor, fires):
    core = make_core([])
    core.set_account(1000, floor)
    core.set_holding(0, -10, 1, 100)
    rows = [(1, 109, 1), (2, 110, 1), (3, 111, 1)]

    def answer(core: Core, event: int) -> None:
        core.set_account(core.equity, None)

    events = feed(core, rows, how, answer)
    assert events == ([] if fires is None else [(RISK, -1, fires, 108 + fires)])
    assert (core.equity, core.peak, core.drawdown) == (890, 1000, 110)


def test_a_fill_is_paid_for_and_what_is_held_stays_marked_where_it_is():
    """The first lots are marked at the last trade, further ones where the others are; half a unit goes to the even."""
    core = make_core([])
    core.set_account(1000)
    core.push(0, 1, 100, 1)
    core.book(0, 10, 1, Fraction(2001, 20), 3)
    assert (core.equity, core.drawdown) == (1000 - 3, 3), "half a unit is rounded off"
    core.push(0, 2, 104, 1)
    core.book(0, -4, 1, 103, 1)
    assert core.equity == 997 + 40 - 4 - 1
    core.push(0, 3, 105, 1)
    assert core.equity == 1032 + 6
    core.book(0, -6, 1, 105, 0)
    core.push(0, 4, 1, 1)
    assert (core.equity, core.peak) == (1038, 1038)


def test_an_alarm_does_not_hide_the_marks_before_it(how):
    """A position of one instrument is marked up to an alarm that an order of another one has set."""
    core = make_core([], instruments=2)
    core.set_account(1000, 900)
    core.set_holding(0, 10, 1, 100)
    core.set_alarm(50)
    rows = [(1, 100, 1, 0), (10, 85, 1, 0), (20, 120, 1, 0), (60, 120, 1, 1), (70, 120, 1, 0)]
    events = feed(core, rows, how, lambda core, event: core.set_account(core.equity, None))
    assert [event[:3] for event in events] == [(RISK, -1, 10), (ALARM, -1, 50)]
    assert (core.equity, core.peak, core.drawdown) == (1200, 1200, 150)


def test_a_lane_held_while_its_timer_was_found_is_silent(how):
    """The account's floor is reached before the time stop: the order that closes is on its way, the timer is off."""
    core = make_core()
    core.set_account(1000, 900)

    def answer(core: Core, event: int) -> None:
        opening(deadline_ns=50)(core, event)
        if event == ENTRY:
            core.set_holding(0, 10, 1, 100)
        if event == RISK:
            core.hold_lane(0)
            core.set_account(core.equity, None)

    events = feed(core, [(0, 100, LONG), (10, 90, 1), (20, 90, 1), (60, 90, 1)], how, answer)
    assert events == [(ENTRY, 0, 0, 100), (RISK, -1, 10, 90)]


# ---------------------------------------------------------------- alarms


@pytest.mark.parametrize(("alarm", "price"), [(0, 0), (1, 100), (2, 100), (5, 102), (6, 102), (9, 106)])
def test_an_alarm_fires_before_the_first_record_at_or_after_it(how, alarm, price):
    core = make_core()
    core.set_alarm(alarm)
    rows = [(0, 100, 1), (2, 101, 1), (2, 102, 1), (6, 106, 1), (10, 110, 1)]
    assert feed(core, rows, how) == [(ALARM, -1, alarm, price)]


def test_alarms_and_timers_fire_by_their_times(how):
    for alarm, order in ((49, [ALARM, TIME]), (50, [ALARM, TIME]), (51, [TIME, ALARM])):
        core = make_core()
        core.set_alarm(alarm)
        events = feed(core, [(0, 100, LONG), (60, 100, 1)], how, opening(deadline_ns=50))
        assert [event[0] for event in events[1:]] == order


def test_an_alarm_set_by_a_timer_or_an_alarm_fires_before_the_record_that_follows(how):
    core = make_core()

    def answer(core: Core, event: int) -> None:
        opening(deadline_ns=50)(core, event)
        if event in (TIME, ALARM) and core.event_ts_ns < 80:
            core.set_alarm(core.event_ts_ns + 10)

    events = feed(core, [(0, 100, LONG), (75, 175, 1), (200, 300, 1), (201, 301, 1)], how, answer)
    assert events[1:] == [(TIME, 0, 50, 100), (ALARM, -1, 60, 100), (ALARM, -1, 70, 100), (ALARM, -1, 80, 175)]


def test_a_position_opened_by_an_alarm_has_its_time_stop_before_the_same_record(how):
    core = make_core()
    core.hold_lane(0)
    core.set_alarm(10)

    def answer(core: Core, event: int) -> None:
        if event == ALARM:
            core.open_lane(0, 1, NEVER_BELOW, NEVER_ABOVE, 20)

    events = feed(core, [(0, 100, 1), (30, 130, 1), (40, 140, 1)], how, answer)
    assert events == [(ALARM, -1, 10, 100), (TIME, 0, 20, 100)]


# ---------------------------------------------------------------- boundaries


@pytest.mark.parametrize(
    ("deadline", "order"),
    [
        (99, [(TIME, 99), (BOUNDARY, 100)]),
        (100, [(BOUNDARY, 100), (TIME, 100)]),
        (101, [(BOUNDARY, 100), (TIME, 101)]),
    ],
)
def test_timers_due_before_a_boundary_fire_before_it(how, deadline, order):
    core = make_core()
    core.set_cut(100)
    events = feed(core, [(0, 100, LONG), (150, 200, 1), (160, 201, 1)], how, opening(deadline_ns=deadline))
    assert [(kind, ts) for kind, _, ts, _ in events[1:]] == order
    assert {price for *_, price in events} == {100}, "the record after the boundary is not yet known"


def test_the_boundary_comes_before_the_record_on_it_and_after_the_one_before(how):
    core = make_core()
    core.set_cut(100)
    rows = [(0, 100, 1), (99, 101, LONG), (100, 102, SHORT), (100, 103, 1)]
    assert feed(core, rows, how) == [(ENTRY, 0, 99, 101), (BOUNDARY, -1, 100, 101), (ENTRY, 0, 100, 102)]


def test_several_boundaries_in_one_gap(how):
    core = make_core()
    core.set_cut(10)

    def answer(core: Core, event: int) -> None:
        if event == BOUNDARY and core.event_ts_ns < 40:
            core.set_cut(core.event_ts_ns + 10)
            core.restart_windows(0)
            core.begin_session(0)

    events = feed(core, [(5, 100, 1), (35, 101, 1), (36, 102, 1), (37, 103, 1)], how, answer)
    assert events == [(BOUNDARY, -1, ts, 100) for ts in (10, 20, 30)]
    assert core.warm_since(0) == (35, 3)
    assert core.next_deadline_ns == 40


def test_an_invalid_time_passes_no_boundary(how):
    """A record whose time is no time is counted, and moves neither the clock nor the sessions."""
    core = make_core()
    core.set_cut(100)
    rows = [(0, 100, 1), (2**62 + 1, 101, 1), (2**63 - 1, 101, 1), (1, 102, LONG)]
    assert feed(core, rows, how) == [(ENTRY, 0, 1, 102)]
    assert (core.rejected_time, core.late, core.engine_ts_ns, core.next_deadline_ns) == (2, 0, 1, 100)


# ---------------------------------------------------------------- time without trades


def test_time_passes_without_trades():
    core = make_core()
    answer = opening(deadline_ns=3 * S + 5, flat_candles=5, entry_ts_ns=5, first_price_ticks=100)
    feed(core, [(5, 100, LONG)], "pushed", answer)
    assert core.next_deadline_ns == 2 * S, "the end of the first whole candle"
    assert core.pass_time(2 * S) == _core.NONE
    assert core.next_deadline_ns == 3 * S
    assert core.pass_time(1) == _core.NONE, "time that has passed already"
    assert core.engine_ts_ns == 2 * S
    assert core.pass_time(3 * S + 4) == _core.NONE
    assert core.pass_time(9 * S) == TIME
    assert (core.event_ts_ns, core.event_lane, core.price(0)) == (3 * S + 5, 0, 100)
    core.close_lane(0)
    assert core.advance() == _core.NONE
    assert core.engine_ts_ns == 9 * S
    assert core.next_deadline_ns == FOREVER_NS
    feed(core, [(8 * S, 101, 1)], "pushed")
    assert (core.late, core.engine_ts_ns) == (1, 9 * S)


def test_time_passes_over_alarm_and_boundary():
    core = make_core()
    core.set_alarm(20)
    core.set_cut(20)
    assert core.next_deadline_ns == 20
    found = []
    event = core.pass_time(30)
    while event:
        found.append((event, core.event_ts_ns))
        event = core.advance()
    assert found == [(BOUNDARY, 20), (ALARM, 20)]


# ---------------------------------------------------------------- callbacks and misuse


def test_the_callback_comes_last_on_its_trade(how):
    core = make_core([0, 0])
    core.set_account(0, -10)
    seen: list[tuple[int, ...]] = []

    def callback(instrument: int, ts: int, price: int, size: int) -> int | None:
        seen.append((instrument, ts, price, size))
        return ts if ts == 2 else None

    core.set_callback(callback)

    def answer(core: Core, event: int) -> None:
        seen.append((event, core.event_ts_ns))
        if event == ENTRY and core.event_lane == 0:
            core.open_lane(0, 1, 90, NEVER_ABOVE, 3)
            core.set_holding(0, 1, 1, 100)
        elif event == RISK:
            core.set_account(core.equity, None)

    feed(core, [(1, 100, LONG), (2, 90, SHORT), (5, 91, 1)], how, answer)
    assert seen == [
        (ENTRY, 1),
        (ENTRY, 1),
        (0, 1, 100, LONG),
        (STOP, 2),
        (RISK, 2),
        (ENTRY, 2),
        (0, 2, 90, SHORT),
        (CALLBACK, 2),
        (0, 5, 91, 1),
    ]
    assert core.callback_result is None


def test_misuse_is_refused():
    core = make_core()
    rows = np.array([1, 2], np.int64)
    for wrong in (
        lambda: core.price(1),
        lambda: core.value(0, 99),
        lambda: core.close_lane(1),
        lambda: core.book(-1, 1, 1, 1, 0),
    ):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(ValueError, match="columns differ in length"):
        core.load(rows, rows, rows[:1])
    core.load(rows, rows, np.array([LONG, 1], np.int64))
    for early in (lambda: core.load(rows, rows, rows), lambda: core.push(0, 3, 1, 1), lambda: core.pass_time(9)):
        with pytest.raises(RuntimeError, match="not finished"):
            early()
    assert core.advance() == ENTRY
    for inside in (lambda: core.restart_windows(0), lambda: core.begin_session(0), lambda: core.add_lane(0, 9, 0)):
        with pytest.raises((RuntimeError, ValueError)):
            inside()
    with pytest.raises(RuntimeError, match="already runs"):
        core.programs[0].window_time(5)
    for empty in (0, 65537):
        with pytest.raises(ValueError, match="between 1 and 65,536"):
            Core([Program()] * empty)
