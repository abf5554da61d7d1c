"""The naive reference against streams worked out by hand, sentence by sentence of the rule's page.

Times are milliseconds here, prices whole ticks of 0.01 near 1000, and the settings are coarse so that a reader can
check every number: a window of 10 s, a move of 1 %, a stop of 1 %, a target of 3 %. ``CALM`` is one lot a second at
1000 from 0 s to 10 s. ``BURST`` (100 lots at 1010, at 10.5 s) then makes a long signal: the window (0.5, 10.5] starts
at 1000, so move = 10/1000; its volume is 10 + 100, the last second's 1 + 100, so surge = 101 / (110 / 10) = 101/11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.momentum_burst import SECOND_NS, Params, Result, run

Tick = tuple[int, ...]  # ms, price, size[, bid, ask]

DAY_MS = 86_400_000

PARAMS = Params(
    window_ns=10 * SECOND_NS,
    entry_threshold=Fraction("0.01"),
    guard=Fraction("0.005"),
    profit_target=Fraction("0.03"),
    stop_loss=Fraction("0.01"),
)
NO_TIMERS = replace(PARAMS, time_stop_ns=0, flat_candles=0)

CALM: list[Tick] = [(second * 1000, 1000, 1) for second in range(11)]
BURST: Tick = (10_500, 1010, 100)


def play(
    ticks: Sequence[Tick], params: Params = PARAMS, *, fills: str = "last", sessions: tuple[int, ...] = ()
) -> Result:
    """Run the reference over ticks in milliseconds, both ways, and return the result both agree on."""
    columns = [list(values) for values in zip(*((ms * 1_000_000, *rest) for ms, *rest in ticks), strict=True)]
    fast = run(params, *columns, fills=fills, session_starts=sessions)
    assert run(params, *columns, fills=fills, session_starts=sessions, by_the_page=True) == fast
    return fast


def trades(result: Result) -> list[tuple[str, int, int, int, int, str]]:
    """Return side, entry and exit in ms, entry and exit price, reason."""
    return [
        (t.side, t.entry_ts_ns // 10**6, t.exit_ts_ns // 10**6, t.entry_price_ticks, t.exit_price_ticks, t.reason)
        for t in result.trades
    ]


def entries(result: Result) -> list[tuple[str, int]]:
    """Return side and time in ms of every entry."""
    return [(side, entry) for side, entry, *_ in trades(result)]


def skipped(result: Result) -> list[tuple[str, int]]:
    return [(signal.side, signal.ts_ns // 10**6) for signal in result.skipped_signals]


def refused(result: Result) -> list[tuple[str, int]]:
    return [(signal.side, signal.ts_ns // 10**6) for signal in result.refusals]


class TestEntry:
    def test_a_burst_makes_a_long_entry_on_its_own_tick_at_its_own_price(self) -> None:
        assert trades(play([*CALM, BURST])) == [("long", 10_500, 10_500, 1010, 1010, "END")]

    def test_a_fall_makes_a_short_entry(self) -> None:
        assert entries(play([*CALM, (10_500, 990, 100)])) == [("short", 10_500)]

    @pytest.mark.parametrize(("threshold", "taken"), [("0.01", True), ("0.0100000001", False)])
    def test_a_move_exactly_at_the_threshold_enters(self, threshold: str, taken: bool) -> None:
        params = replace(PARAMS, entry_threshold=Fraction(threshold))
        assert bool(play([*CALM, BURST], params).trades) is taken
        assert bool(play([*CALM, (10_500, 990, 100)], params).trades) is taken

    @pytest.mark.parametrize(("guard", "taken"), [(Fraction(10, 1010), True), (Fraction(10, 1009), False)])
    def test_a_range_exactly_at_the_guard_enters(self, guard: Fraction, taken: bool) -> None:
        assert bool(play([*CALM, BURST], replace(PARAMS, guard=guard)).trades) is taken

    @pytest.mark.parametrize(("spike", "taken"), [(Fraction(101, 11), False), (Fraction(100, 11), True)])
    def test_a_surge_exactly_at_the_spike_does_not_enter(self, spike: Fraction, taken: bool) -> None:
        assert bool(play([*CALM, BURST], replace(PARAMS, volume_spike=spike)).trades) is taken

    def test_the_window_is_open_at_its_old_end(self) -> None:
        """At 10.5 s the tick of 0.5 s is just outside, so p_o is that of 1 s."""
        early = [(0, 1000, 1), (500, 900, 1), *CALM[1:]]
        assert entries(play([*early, BURST])) == [("long", 10_500)]
        assert entries(play([*early, (10_499, 1010, 100)], NO_TIMERS)) == [("long", 10_499)]  # 1010 against 900: also
        assert entries(play([(0, 1000, 1), (500, 1005, 1), *CALM[1:], (10_499, 1010, 100)])) == []  # 1010 against 1005
        assert entries(play([(0, 1000, 1), (500, 1005, 1), *CALM[1:], BURST])) == [("long", 10_500)]

    def test_the_oldest_of_equal_times_is_the_first_in_order(self) -> None:
        assert entries(play([CALM[0], (1000, 1000, 1), (1000, 1005, 1), *CALM[2:], BURST])) == [("long", 10_500)]
        assert entries(play([CALM[0], (1000, 1005, 1), (1000, 1000, 1), *CALM[2:], BURST])) == []

    def test_no_signal_until_the_window_is_warm_and_then_at_once(self) -> None:
        ticks = [*CALM[:10], (9_500, 1010, 100)]
        assert play(ticks).trades == []
        assert entries(play([*ticks, (9_999, 1010, 1), (10_000, 1010, 1)])) == [("long", 10_000)]

    @pytest.mark.parametrize(("direction", "sides"), [("long", ["long"]), ("short", ["short"]), ("both", ["long"])])
    def test_an_excluded_side_is_no_state(self, direction: str, sides: list[str]) -> None:
        """Long from 10.5 s, short from 10.6 s."""
        params = replace(NO_TIMERS, direction=direction, stop_loss=Fraction(1))
        result = play([*CALM, BURST, (10_600, 990, 100)], params)
        assert [trade.side for trade in result.trades] == sides

    def test_a_session_start_makes_the_window_cold_again(self) -> None:
        assert play([*CALM, BURST], sessions=(5,)).trades == []
        late_burst = [*CALM, *((ms, 1000, 1) for ms in range(11_000, 16_000, 1000)), (15_500, 1010, 100)]
        assert entries(play(late_burst, sessions=(5,))) == [("long", 15_500)]

    def test_both_sides_hold_at_threshold_zero_and_long_is_first(self) -> None:
        params = replace(PARAMS, entry_threshold=Fraction(0), guard=Fraction(0))
        flat_burst = [*CALM, (10_500, 1000, 100)]
        assert entries(play(flat_burst, params)) == [("long", 10_500)]
        assert entries(play(flat_burst, replace(params, direction="short"))) == [("short", 10_500)]


class TestSignals:
    def test_a_condition_that_goes_on_is_one_signal(self) -> None:
        """Halted by nothing, but cooled down: the held signal is skipped once, and stays skipped."""
        ticks = [*CALM, BURST, (10_600, 999, 1), (10_700, 1010, 1), (10_800, 1010, 1), (10_900, 1011, 1)]
        result = play(ticks, NO_TIMERS)
        assert trades(result) == [("long", 10_500, 10_600, 1010, 999, "SL")]
        assert skipped(result) == [("long", 10_700)]

    def test_two_signals_are_skipped_after_a_loss_and_the_third_is_taken(self) -> None:
        ticks = [
            *CALM,
            BURST,
            (10_600, 999, 1),  # the loss
            (10_700, 1010, 1),  # holds on the first tick after the exit: signal 1
            (12_000, 1010, 1),  # the burst has left the last second: none
            (12_100, 1010, 200),  # signal 2
            (12_200, 990, 1),  # long becomes short without a none between: signal 3
        ]
        result = play(ticks, NO_TIMERS)
        assert skipped(result) == [("long", 10_700), ("long", 12_100)]
        assert entries(result) == [("long", 10_500), ("short", 12_200)]

    def test_a_further_loss_sets_the_count_again(self) -> None:
        params = replace(NO_TIMERS, cooldown_signals=1)
        ticks = [
            *CALM,
            BURST,
            (10_600, 999, 1),  # a loss
            (10_700, 1010, 1),  # skipped
            (12_000, 1010, 1),
            (12_100, 1010, 200),  # taken
            (12_200, 999, 1),  # a loss
            (12_300, 1010, 1),  # skipped again
        ]
        result = play(ticks, params)
        assert entries(result) == [("long", 10_500), ("long", 12_100)]
        assert skipped(result) == [("long", 10_700), ("long", 12_300)]

    def test_no_cooldown_when_set_to_zero(self) -> None:
        ticks = [*CALM, BURST, (10_600, 999, 1), (10_700, 1010, 1)]
        result = play(ticks, replace(NO_TIMERS, cooldown_signals=0))
        assert entries(result) == [("long", 10_500), ("long", 10_700)]

    def test_a_trade_without_loss_or_gain_starts_no_cooldown(self) -> None:
        params = replace(PARAMS, time_stop_ns=SECOND_NS, flat_candles=0)
        result = play([*CALM, BURST, (11_500, 1010, 100)], params)
        assert trades(result)[0] == ("long", 10_500, 11_500, 1010, 1010, "TIME")
        assert entries(result)[1] == ("long", 11_500)
        assert (result.wins, result.losses) == (0, 0)

    def test_the_tick_that_closed_may_not_enter_and_the_next_may(self) -> None:
        result = play([*CALM, BURST, (10_600, 1041, 1), (10_700, 1041, 1)], NO_TIMERS)
        assert trades(result) == [
            ("long", 10_500, 10_600, 1010, 1041, "TP"),
            ("long", 10_700, 10_700, 1041, 1041, "END"),
        ]

    def test_the_tick_after_a_timers_exit_may_enter_at_the_very_deadline(self) -> None:
        params = replace(PARAMS, time_stop_ns=SECOND_NS, flat_candles=0)
        result = play([*CALM, BURST, (11_500, 1012, 100)], params)
        assert trades(result) == [
            ("long", 10_500, 11_500, 1010, 1010, "TIME"),
            ("long", 11_500, 11_500, 1012, 1012, "END"),
        ]


class TestStopAndTarget:
    @pytest.mark.parametrize(("price", "reasons"), [(991, ["END"]), (990, ["SL"])])
    def test_the_stop_exactly(self, price: int, reasons: list[str]) -> None:
        params = replace(NO_TIMERS, stop_loss=Fraction(20, 1010))
        result = play([*CALM, BURST, (10_700, price, 1)], params)
        assert [trade.reason for trade in result.trades] == reasons

    @pytest.mark.parametrize(("price", "reason"), [(1040, "END"), (1041, "TP")])
    def test_the_target(self, price: int, reason: str) -> None:
        assert play([*CALM, BURST, (10_600, price, 1)], NO_TIMERS).trades[0].reason == reason

    def test_the_target_exactly(self) -> None:
        params = replace(NO_TIMERS, profit_target=Fraction(30, 1010))
        assert play([*CALM, BURST, (10_600, 1040, 1)], params).trades[0].reason == "TP"

    def test_a_short_mirrors_both(self) -> None:
        short = (10_500, 990, 100)
        assert trades(play([*CALM, short, (10_600, 960, 1)], NO_TIMERS)) == [("short", 10_500, 10_600, 990, 960, "TP")]
        assert trades(play([*CALM, short, (10_600, 1000, 1)], NO_TIMERS)) == [
            ("short", 10_500, 10_600, 990, 1000, "SL")
        ]

    def test_an_exit_before_a_timer_is_the_ticks(self) -> None:
        """The stop on a tick just before the deadline; a tick at the deadline comes after the timer."""
        params = replace(PARAMS, flat_candles=0)
        assert trades(play([*CALM, BURST, (18_499, 999, 1)], params))[0][2:] == (18_499, 1010, 999, "SL")
        assert trades(play([*CALM, BURST, (18_500, 999, 1)], params))[0][2:] == (18_500, 1010, 1010, "TIME")


class TestTimers:
    def test_time_fires_at_its_deadline_at_the_last_price_before(self) -> None:
        result = play([*CALM, BURST, (18_000, 1013, 1), (60_000, 1030, 1)], replace(PARAMS, flat_candles=0))
        assert trades(result) == [("long", 10_500, 18_500, 1010, 1013, "TIME")]

    def test_flat_counts_only_candles_that_begin_after_the_entry(self) -> None:
        """Entry at 10.5 s: candles [11, 12) and [12, 13); a tick at 10.7 s is in none, one at 13 s comes too late."""
        result = play([*CALM, BURST, (10_700, 1012, 1), (13_000, 1020, 1)])
        assert trades(result) == [("long", 10_500, 13_000, 1010, 1012, "FLAT")]

    def test_a_candle_is_flat_when_its_last_price_equals_its_first(self) -> None:
        wiggle = [(11_000, 1011, 1), (11_400, 1020, 1), (11_999, 1011, 1)]
        assert trades(play([*CALM, BURST, *wiggle, (20_000, 1011, 1)])) == [
            ("long", 10_500, 13_000, 1010, 1011, "FLAT")
        ]

    def test_a_candle_that_moves_starts_the_count_again(self) -> None:
        moving = [(12_000, 1011, 1), (12_500, 1012, 1)]
        assert trades(play([*CALM, BURST, *moving, (20_000, 1011, 1)])) == [
            ("long", 10_500, 15_000, 1010, 1012, "FLAT")
        ]

    def test_an_entry_exactly_on_a_second_begins_a_candle_with_its_price(self) -> None:
        """The tick of 11 s before the entry does not count: [11, 13) is flat."""
        ticks: list[Tick] = [*CALM, (11_000, 1000, 1), (11_000, 1010, 100), (14_000, 1010, 1)]
        assert trades(play(ticks))[0] == ("long", 11_000, 13_000, 1010, 1010, "FLAT")

    def test_that_candle_is_not_flat_when_it_ends_elsewhere_than_the_entry_price(self) -> None:
        ticks: list[Tick] = [*CALM, (11_000, 1010, 100), (11_000, 1012, 1), (11_600, 1012, 1), (15_000, 1012, 1)]
        assert trades(play(ticks)) == [("long", 11_000, 14_000, 1010, 1012, "FLAT")]

    def test_flat_candles_may_be_more_or_switched_off(self) -> None:
        params = replace(PARAMS, time_stop_ns=0)
        ticks = [*CALM, BURST, (100_000, 1010, 1)]
        assert play(ticks, replace(params, flat_candles=5)).trades[0].exit_ts_ns == 16 * SECOND_NS
        assert play(ticks, replace(params, flat_candles=1)).trades[0].exit_ts_ns == 12 * SECOND_NS
        assert play(ticks, replace(params, flat_candles=0)).trades[0].reason == "END"

    def test_time_precedes_flat_at_equal_deadlines(self) -> None:
        ticks: list[Tick] = [*CALM, (11_000, 1010, 100), (20_000, 1010, 1)]
        assert play(ticks, replace(PARAMS, time_stop_ns=2 * SECOND_NS)).trades[0].reason == "TIME"
        assert play(ticks, replace(PARAMS, time_stop_ns=2 * SECOND_NS + 1)).trades[0].reason == "FLAT"

    def test_the_earlier_of_two_timers_passed_by_one_gap_fires(self) -> None:
        ticks: list[Tick] = [*CALM, BURST, (20_000, 1010, 1)]
        assert trades(play(ticks))[0][2::3] == (13_000, "FLAT")
        assert trades(play(ticks, replace(PARAMS, time_stop_ns=2_499_000_000)))[0][2::3] == (12_999, "TIME")


class TestLateRecords:
    def test_a_late_record_is_processed_at_engine_time_and_counted(self) -> None:
        result = play([*CALM, (9_000, 1010, 100)])
        assert entries(result) == [("long", 10_000)]
        assert result.late == 1

    def test_a_late_record_counts_in_the_candle_of_engine_time(self) -> None:
        ticks = [*CALM, BURST, (12_100, 1011, 1), (11_500, 1012, 1), (20_000, 1012, 1)]
        assert trades(play(ticks)) == [("long", 10_500, 15_000, 1010, 1012, "FLAT")]

    def test_a_late_record_fires_no_timer_and_takes_no_time_back(self) -> None:
        params = replace(PARAMS, flat_candles=0)
        ticks = [*CALM, BURST, (18_400, 1010, 1), (0, 1010, 1), (18_499, 1010, 1)]
        assert trades(play(ticks, params)) == [("long", 10_500, 18_499, 1010, 1010, "END")]


class TestRisk:
    """Prices have 2 decimals: with 10 in cash and a limit of 5 % the day may lose less than 0.50, 50 ticks."""

    SMALL = replace(NO_TIMERS, starting_cash=Fraction(10), stop_loss=Fraction("0.5"), profit_target=Fraction("0.5"))

    def test_the_limit_flattens_when_it_is_reached_exactly(self) -> None:
        assert play([*CALM, BURST, (10_600, 961, 1)], self.SMALL).trades[0].reason == "END"
        assert trades(play([*CALM, BURST, (10_600, 960, 1)], self.SMALL)) == [
            ("long", 10_500, 10_600, 1010, 960, "RISK")
        ]

    def test_stop_and_target_come_first(self) -> None:
        params = replace(self.SMALL, stop_loss=Fraction("0.01"))
        result = play([*CALM, BURST, (10_600, 900, 1), (10_700, 1010, 1)], params)
        assert [trade.reason for trade in result.trades] == ["SL"]
        assert refused(result) == [("long", 10_700)]  # the realised loss has reached the limit all the same

    def test_realised_and_open_add_up(self) -> None:
        params = replace(self.SMALL, stop_loss=Fraction("0.04"), cooldown_signals=0)
        ticks = [*CALM, BURST, (10_600, 969, 1), (10_700, 1010, 1), (10_800, 1002, 1), (10_900, 1001, 1)]
        result = play(ticks, params)
        assert trades(result) == [
            ("long", 10_500, 10_600, 1010, 969, "SL"),  # -41
            ("long", 10_700, 10_900, 1010, 1001, "RISK"),  # -9 more
        ]

    def test_a_refused_signal_is_listed_once_and_spends_no_cooldown(self) -> None:
        day = DAY_MS
        next_day_calm = [(day + ms, 1000, 1) for ms in range(0, 11_000, 1000)]
        ticks = [
            *CALM,
            BURST,
            (10_600, 960, 1),  # RISK: halted, and two signals to skip
            (10_700, 1010, 1),  # refused
            (10_800, 1010, 1),  # the same signal
            (10_900, 990, 1),  # short: refused as well
            *next_day_calm,
            (day + 10_500, 1010, 100),  # skipped
            (day + 12_000, 1010, 1),
            (day + 12_100, 1010, 200),  # skipped
            (day + 14_000, 1010, 1),
            (day + 14_100, 1010, 400),  # taken
        ]
        result = play(ticks, self.SMALL)
        assert refused(result) == [("long", 10_700), ("short", 10_900)]
        assert skipped(result) == [("long", day + 10_500), ("long", day + 12_100)]
        assert entries(result) == [("long", 10_500), ("long", day + 14_100)]

    def test_entries_are_allowed_again_from_midnight_utc(self) -> None:
        """Midnight is at 11 s here. The held signal that was refused stays untaken; a new one is taken."""
        shift = DAY_MS - 11_000
        params = replace(self.SMALL, cooldown_signals=0)
        ticks = [
            *CALM,
            BURST,
            (10_600, 960, 1),
            (10_999, 1010, 1),  # refused one millisecond before midnight
            (11_000, 1010, 1),  # still the same signal
            (12_000, 1010, 1),
            (12_100, 1010, 200),
        ]
        result = play([(ms + shift, *rest) for ms, *rest in ticks], params)
        assert refused(result) == [("long", 10_999 + shift)]
        assert entries(result) == [("long", 10_500 + shift), ("long", 12_100 + shift)]

    def test_the_day_starts_from_marked_equity(self) -> None:
        """30 ticks were lost in the old day: the new one starts from 9.70 and may lose less than 48.5 of its own."""
        shift = DAY_MS - 11_000
        before = [*CALM, BURST, (10_600, 980, 1)]
        for price, reason in ((932, "END"), (931, "RISK")):
            ticks = [*before, (11_500, price, 1)]
            result = play([(ms + shift, *rest) for ms, *rest in ticks], self.SMALL)
            assert [trade.reason for trade in result.trades] == [reason]

    def test_the_next_tick_after_a_risk_exit_is_looked_at_but_not_the_closing_one(self) -> None:
        result = play([*CALM, BURST, (10_600, 960, 100)], self.SMALL)  # 960 is a short state by itself
        assert refused(result) == []


class TestEnd:
    def test_an_open_position_is_closed_at_the_last_price_and_counted_apart(self) -> None:
        result = play([*CALM, BURST, (10_700, 1020, 1)])
        assert trades(result) == [("long", 10_500, 10_700, 1010, 1020, "END")]
        assert (len(result.finished), result.wins, result.by_reason) == (0, 0, {"END": 1})
        assert result.total_pnl == Fraction("0.10")

    def test_the_end_fires_no_pending_timer(self) -> None:
        assert trades(play([*CALM, BURST, (12_999, 1010, 1)])) == [("long", 10_500, 12_999, 1010, 1010, "END")]


class TestMoney:
    def test_profit_is_exact_in_currency(self) -> None:
        result = play([*CALM, BURST, (10_600, 1041, 1)], replace(NO_TIMERS, position_size=Fraction("0.7")))
        assert result.trades[0].net == Fraction("0.217")
        assert (result.wins, result.losses) == (1, 0)

    def test_drawdown_follows_open_profit(self) -> None:
        """Open P/L goes 0, +15, +3: equity fell 12 ticks from its peak and has not recovered."""
        result = play([*CALM, BURST, (10_600, 1025, 1), (10_700, 1013, 1)], NO_TIMERS)
        assert (result.max_drawdown, result.current_drawdown) == (Fraction("0.12"), Fraction("0.12"))
        assert result.daily_pnl == Fraction("0.03")


class TestTouch:
    def quoted(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Give each tick a bid 2 below and an ask 3 above its price."""
        return [(ms, price, size, price - 2, price + 3) for ms, price, size in ticks]

    def test_buys_at_the_ask_and_sells_at_the_bid_of_the_deciding_tick(self) -> None:
        result = play(self.quoted([*CALM, BURST, (10_600, 1044, 1)]), NO_TIMERS, fills="touch")
        assert trades(result) == [("long", 10_500, 10_600, 1013, 1042, "TP")]
        assert result.trades[0].gross == Fraction("0.34")
        assert result.trades[0].spread_cost == Fraction("0.05")
        assert result.trades[0].net == Fraction("0.29")

    def test_exits_compare_with_the_fill_price(self) -> None:
        """1 % below 1013 is 1002.87: 1003 holds, 1002 stops; a target of 3 % is at 1043.39."""
        assert play(self.quoted([*CALM, BURST, (10_600, 1003, 1)]), NO_TIMERS, fills="touch").by_reason == {"END": 1}
        assert play(self.quoted([*CALM, BURST, (10_600, 1002, 1)]), NO_TIMERS, fills="touch").by_reason == {"SL": 1}
        assert play(self.quoted([*CALM, BURST, (10_600, 1043, 1)]), NO_TIMERS, fills="touch").by_reason == {"END": 1}

    def test_a_timer_fills_at_the_last_quote_seen(self) -> None:
        ticks = [*self.quoted([*CALM, BURST]), (13_500, 1010, 1, 900, 1100)]
        assert trades(play(ticks, fills="touch")) == [("long", 10_500, 13_000, 1013, 1008, "FLAT")]

    def test_a_spread_alone_can_make_a_loss(self) -> None:
        ticks = self.quoted([*CALM, BURST, (13_000, 1010, 100)])
        result = play(ticks, fills="touch")
        assert (result.losses, skipped(result)) == (1, [("long", 13_000)])

    def test_a_short_sells_at_the_bid(self) -> None:
        result = play(self.quoted([*CALM, (10_500, 990, 100), (10_600, 950, 1)]), NO_TIMERS, fills="touch")
        assert trades(result) == [("short", 10_500, 10_600, 988, 953, "TP")]

    def test_without_any_quote_it_cannot_fill(self) -> None:
        with pytest.raises(ValueError, match="quote"):
            play([*CALM, BURST], fills="touch")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-700, 0, 0, 1, 300, 700, 1000, 4000]), st.integers(985, 1015), st.integers(1, 50)),
        min_size=10,
        max_size=60,
    ),
    st.sampled_from(["both", "long", "short"]),
)
def test_the_fast_evaluation_equals_the_one_by_the_page(steps: list[tuple[int, int, int]], direction: str) -> None:
    """``play`` runs both ways and compares; small prices, equal times, late records and gaps of seconds."""
    now = 0
    ticks: list[Tick] = []
    for step, price, size in steps:
        now += step
        ticks.append((now, price, size))
    play(ticks, replace(PARAMS, window_ns=3 * SECOND_NS, direction=direction, entry_threshold=Fraction("0.005")))
