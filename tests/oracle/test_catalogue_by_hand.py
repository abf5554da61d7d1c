"""The catalogue's reference on streams small enough to work out with pencil and paper: windows, quotes, bars.

Nobody checks a reference but these tests, so every expected value is a literal that the definition in
docs/reference/features.md gives by hand, and the streams go through the corners: equal times, windows open at
their old end, sessions and gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from tests.oracle import catalogue as cat
from tests.oracle import catalogue_bars as bars
from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_series as ser
from tests.oracle import catalogue_windows as win
from tests.oracle.catalogue import Record, Session
from tests.oracle.catalogue_bars import Bar
from tests.oracle.catalogue_notation import LN_2, S, flags, near, numbers, prices, trades

HOUR = 3600 * S


class TestWindows:
    FIVE = trades((0, 100, 2), (1, 104, 1), (1, 98, 3), (2.5, 102, 4), (3, 101, 2))

    def test_a_time_window_is_open_at_its_old_end_and_cold_before_it_was_seen(self) -> None:
        held = [cat.time_window(2 * S)(self.FIVE, at) for at in range(5)]
        assert held == [None, None, None, range(1, 4), range(3, 5)]

    def test_a_time_window_is_warm_when_exactly_its_length_has_passed(self) -> None:
        assert [cat.time_window(2 * S)(prices(1, 1, 1, 1), at) for at in range(4)] == [
            None,
            None,
            range(1, 3),
            range(2, 4),
        ]

    def test_a_count_window_is_cold_before_it_is_full(self) -> None:
        held = [cat.count_window(3)(self.FIVE, at) for at in range(5)]
        assert held == [None, None, range(3), range(1, 4), range(2, 5)]

    def test_a_gap_begins_windows_anew_but_not_the_session(self) -> None:
        m = cat.market([Record(at * S, 100, 1) for at in range(5)], gaps=[2])
        assert [cat.count_window(2)(m, at) for at in range(5)] == [None, range(2), None, range(2, 4), range(3, 5)]
        assert [cat.session_window(m, at) for at in range(5)] == [range(at + 1) for at in range(5)]

    def test_a_late_trade_has_the_time_of_the_one_before(self) -> None:
        assert [trade.ts for trade in trades((1, 100, 1), (0, 100, 1), (2, 100, 1)).trades] == [S, S, 2 * S]

    @pytest.mark.parametrize(
        ("feature", "expected"),
        [
            (win.volume, (6, 8, 9)),
            (win.trade_count, (3, 3, 3)),
            (win.mean_size, (2, "8/3", 3)),
            (win.size_ratio, (2, 2, "4/7")),
            (win.first_price, (100, 104, 98)),
            (win.change, ("-1/50", "-1/52", "3/98")),
            (win.highest, (104, 104, 102)),
            (win.lowest, (98, 98, 98)),
            (win.price_range, ("3/49", "1/17", "4/101")),
            (win.mean, ("302/3", "304/3", "301/3")),
            (win.variance, ("56/9", "56/9", "26/9")),
            (win.vwap, ("299/3", "403/4", "904/9")),
            (win.time_since_high, (0, "3/2", "1/2")),
            (win.time_since_low, (0, "3/2", 2)),
        ],
    )
    def test_over_three_trades(self, feature: win.Feature, expected: tuple[int | str, ...]) -> None:
        """Windows of 100/2 104/1 98/3, of 104/1 98/3 102/4, and of 98/3 102/4 101/2."""
        assert win.over(self.FIVE, cat.count_window(3), feature) == numbers(None, None, *expected)

    def test_rates_and_their_ratio(self) -> None:
        """The last second trades 4 at 2.5 s, 6 at 3 s; the last two 8 and 6."""
        assert win.per_second(win.over(self.FIVE, cat.time_window(2 * S), win.volume), 2 * S) == numbers(
            None, None, None, 4, 3
        )
        assert win.volume_ratio(self.FIVE, S, 2 * S) == numbers(None, None, None, 1, 2)

    def test_of_equal_extremes_the_later_counts(self) -> None:
        assert win.over(prices(5, 3, 5, 4), cat.count_window(4), win.time_since_high)[3] == 1
        assert win.over(prices(3, 5, 3, 4), cat.count_window(4), win.time_since_low)[3] == 1

    def test_what_does_not_vary_has_deviation_0(self) -> None:
        assert win.over(prices(5, 5), cat.count_window(2), win.stdev) == numbers(None, 0)
        assert win.over(prices(5, 5), cat.count_window(2), win.vwap_sd) == numbers(None, 0)

    def test_one_trade_has_no_others(self) -> None:
        assert win.over(self.FIVE, cat.count_window(1), win.size_ratio) == [None] * 5

    def test_prices_are_in_the_currency_and_sizes_in_units(self) -> None:
        m = trades((0, 1050, 3), tick=Fraction(1, 100), lot=Fraction(1, 10))
        assert (m.trades[0].price, m.trades[0].size) == (Fraction("10.5"), Fraction("0.3"))

    def test_logarithms_and_roots(self) -> None:
        doubling = prices(1, 2, 4)
        assert near(win.over(doubling, cat.count_window(2), win.log_return), None, LN_2, LN_2)
        assert near(
            win.over(doubling, cat.count_window(3), win.realised_volatility), None, None, "0.98025814346854719171"
        )
        assert near(win.over(prices(1, 1, 4), cat.count_window(3), win.zscore), None, None, "1.41421356237309504880")
        assert win.over(prices(5, 5), cat.count_window(2), win.zscore) == [None, None]
        weighted = trades((0, 10, 1), (1, 20, 3))
        assert near(win.over(weighted, cat.count_window(2), win.vwap_sd), None, "4.33012701892219323382")
        assert near(win.over(prices(1, 3), cat.count_window(2), win.stdev), None, "1.0")


class TestAnchors:
    """Two sessions on a clock one hour behind UTC: 09:00:00 to 09:01:40 local, days 4 (a Monday) and 5."""

    OPEN = 10 * HOUR
    SESSIONS = (
        Session(OPEN, OPEN + 100 * S, day=4, offset_ns=-HOUR),
        Session(OPEN + cat.DAY_NS, OPEN + cat.DAY_NS + 100 * S, day=5, offset_ns=-HOUR),
    )
    AT = (36_000 - 5, 36_000, 36_010, 36_070, 36_070, 36_100, 36_000 + 86_400, 36_090 + 86_400)
    M = trades(*zip(AT, (9, 10, 14, 8, 14, 20, 11, 12), [1] * 8, strict=True), sessions=SESSIONS)

    def held(self, window: cat.Window) -> list[range | None]:
        return [window(self.M, at) for at in range(len(self.M))]

    def test_session(self) -> None:
        """Trades 0 and 5 lie outside: before the opening, and at the close, which is no longer in the session."""
        first = [0, 1, 1, 1, 1, 5, 6, 6]
        assert self.held(cat.session_window) == [range(a, at + 1) for at, a in enumerate(first)]
        assert self.M.restarts == first

    def test_week(self) -> None:
        assert self.held(cat.week_window) == [
            None,
            *(range(1, n) for n in (2, 3, 4, 5)),
            None,
            range(1, 7),
            range(1, 8),
        ]

    def test_a_sunday_is_the_end_of_its_week(self) -> None:
        m = cat.market([Record(day * cat.DAY_NS, 1, 1) for day in (3, 4, 10, 11)])
        assert [cat.week_window(m, at) for at in range(4)] == [range(1), range(1, 2), range(1, 3), range(3, 4)]

    def test_a_time_of_the_exchanges_clock(self) -> None:
        """09:01 local is 60 s into each session."""
        none = [None] * 3
        assert self.held(cat.since_clock(9, 1)) == [*none, range(3, 4), range(3, 5), None, None, range(7, 8)]

    def test_a_moment(self) -> None:
        assert self.held(cat.since_instant(self.OPEN + 10 * S)) == [None, None, *(range(2, n) for n in range(3, 9))]

    def test_the_latest_trade_at_the_sessions_extreme(self) -> None:
        assert [held and held.start for held in self.held(cat.since_high)] == [0, 1, 2, 2, 4, 5, 6, 7]
        assert [held and held.start for held in self.held(cat.since_low)] == [0, 1, 1, 3, 3, 5, 6, 6]

    def test_the_opening_is_unknown_until_over_and_then_stands(self) -> None:
        assert self.held(cat.opening_window(60 * S)) == [
            None,
            None,
            None,
            range(1, 3),
            range(1, 3),
            None,
            None,
            range(6, 7),
        ]
        opening = win.over(self.M, cat.opening_window(60 * S), win.highest)
        assert opening == numbers(None, None, None, 14, 14, None, None, 11)

    def test_a_trade_at_the_end_of_the_opening_is_after_it(self) -> None:
        m = trades((0, 5, 1), (60, 9, 1))
        assert [cat.opening_window(60 * S)(m, at) for at in range(2)] == [None, range(1)]

    def test_times(self) -> None:
        assert win.present(self.M, win.time_of_day)[:4] == numbers(None, 32_400, 32_410, 32_470)
        assert win.present(self.M, win.since_open) == numbers(None, 0, 10, 70, 70, None, 0, 90)
        assert win.present(self.M, win.to_close) == numbers(None, 100, 90, 30, 30, None, 100, 10)

    def test_without_sessions_the_session_is_the_utc_day_and_windows_go_on(self) -> None:
        m = cat.market([Record(cat.DAY_NS + shift * S, 1, 1) for shift in (-1, 0)])
        assert [cat.session_window(m, at) for at in (0, 1)] == [range(1), range(1, 2)]
        assert m.restarts == [0, 0]
        assert win.present(m, win.to_close) == numbers(1, 86_400)


class TestQuotes:
    M = cat.market(
        [
            Record(0, bid=10, ask=12, bid_size=6, ask_size=2, is_quote=True),
            Record(1 * S, 12, 1),
            Record(2 * S, 10, 2),
            Record(3 * S, 11, 4),
            Record(4 * S, 11, 8, bid=11),
            Record(5 * S, 10, 16, bid_size=2),
        ]
    )

    def test_last_known_at_the_trade_its_own_included(self) -> None:
        assert [trade.bid for trade in self.M.trades] == numbers(10, 10, 10, 11, 11)
        assert win.present(self.M, win.mid) == numbers(11, 11, 11, "23/2", "23/2")
        assert win.present(self.M, win.spread) == numbers(2, 2, 2, 1, 1)
        assert win.present(self.M, win.quote_imbalance) == numbers("1/2", "1/2", "1/2", "1/2", 0)
        assert win.present(self.M, win.microprice) == numbers("23/2", "23/2", "23/2", "47/4", "23/2")
        assert win.present(prices(5), win.mid) == win.present(prices(5), win.microprice) == [None]

    def test_half_of_the_quotes_is_none(self) -> None:
        for known in ({"bid": 10, "bid_size": 5}, {"ask": 10, "ask_size": 5}, {"bid": 10, "ask": 11, "bid_size": 5}):
            m = cat.market([Record(0, 10, 1, **known)])
            assert win.present(m, win.quote_imbalance) == win.present(m, win.microprice) == [None]
        one_side = cat.market([Record(0, 10, 1, bid=9)])
        assert win.present(one_side, win.spread) == win.present(one_side, win.mid) == [None]

    def test_sides(self) -> None:
        """At the mid the third trade takes the side of its rise from 10; below the new mid the fourth is a sale."""
        assert win.trade_side(self.M) == [1, -1, 1, -1, -1]
        assert win.tick_side(self.M) == [0, -1, 1, 1, -1]
        assert win.trade_side(prices(5, 6, 6, 5)) == [0, 1, 1, -1]
        assert win.tick_side(prices(6, 5, 5, 6)) == [0, -1, -1, 1]

    def test_signed_volume(self) -> None:
        assert win.signed_volume(self.M, cat.count_window(3)) == numbers(None, None, 3, -6, -20)
        assert win.signed_volume(self.M, cat.count_window(3), "tick") == numbers(None, None, 2, 10, -4)
        assert win.flow_imbalance(self.M, cat.count_window(3)) == numbers(None, None, "3/7", "-3/7", "-5/7")

    def test_a_gap_forgets_the_tick_rule(self) -> None:
        m = cat.market([Record(at * S, price, 1) for at, price in enumerate((5, 6, 6))], gaps=[2])
        assert win.tick_side(m) == [0, 1, 0]

    def test_order_flow(self) -> None:
        """More bid and less ask: 3 + 3. The bid is gone: -8. The ask is gone, seen with the second trade: +4."""
        m = cat.market(
            [
                Record(0, bid=10, bid_size=5, ask=11, ask_size=7, is_quote=True),
                Record(1 * S, 10, 1),
                Record(2 * S, bid=10, bid_size=8, ask=11, ask_size=4, is_quote=True),
                Record(3 * S, bid=9, bid_size=2, is_quote=True),
                Record(4 * S, 10, 1, ask=12, ask_size=3),
            ]
        )
        assert [flow.flow for flow in m.flows] == [0, 6, -8, 4]
        assert win.order_flow(m, cat.count_window(1)) == numbers(0, 2)
        assert win.order_flow(m, cat.time_window(2 * S)) == numbers(None, 2)
        assert win.order_flow(m, cat.session_window) == numbers(0, 2)


class TestFlatCandles:
    def test_moved_flat_and_empty(self) -> None:
        """Second 0 is not whole, 1 moved, 2 ended where it began, 3 and 4 had no trade, 5 is not over."""
        m = trades((0.5, 9, 1), (1, 9, 1), (1.9, 8, 1), (2, 7, 1), (2.5, 9, 1), (2.9, 7, 1), (5.5, 1, 1), (6, 2, 1))
        assert win.flat_candles(m, S) == numbers(0, 0, 0, 0, 0, 0, 3, 4)

    def test_the_first_whole_candle_may_begin_with_the_first_trade(self) -> None:
        assert win.flat_candles(trades((1, 5, 1), (1.5, 5, 1), (2, 5, 1)), S) == numbers(0, 0, 1)


class TestBars:
    """Session 5 s to 38 s, trade 5 after it, session 50 s to 100 s."""

    M = trades(
        (5, 1, 1),
        (14, 3, 2),
        (15, 2, 3),
        (36, 5, 1),
        (37.5, 4, 1),
        (39, 9, 9),
        (50, 7, 5),
        (61, 8, 1),
        sessions=(Session(5 * S, 38 * S, 0), Session(50 * S, 100 * S, 1)),
    )

    def shape(self, built: Sequence[Bar]) -> list[tuple[int, int, int | None]]:
        return [(b.first, b.last, b.visible) for b in built]

    def test_time_bars_count_from_the_opening_and_end_with_the_session(self) -> None:
        built = bars.time_bars(self.M, 10 * S)
        assert self.shape(built) == [(0, 1, 2), (2, 2, 3), (3, 4, 5), (6, 6, 7), (7, 7, None)]
        close = ind.column(built, "close")
        assert bars.lift(self.M, built, close) == numbers(None, None, 3, 2, 2, 4, 4, 7)
        assert bars.lift_flags(self.M, built, ser.compare(close, ">", 2)) == flags("..x..xxx")
        now = bars.developing(self.M, built)
        assert [b and b.high for b in now] == numbers(1, 3, 2, 5, 5, None, 7, 8)
        assert [b and b.volume for b in now] == numbers(1, 3, 3, 1, 2, None, 5, 1)

    def test_tick_bars_close_with_the_trade_that_fills_them(self) -> None:
        assert self.shape(bars.tick_bars(self.M, 2)) == [(0, 1, 1), (2, 3, 3), (4, 4, 5), (6, 7, 7)]

    def test_volume_bars_take_the_whole_trade_that_fills_them(self) -> None:
        """1 2 3 | 1 1 | 5 | 1 against 4: the third trade brings 6."""
        built = bars.volume_bars(self.M, Fraction(4))
        assert self.shape(built) == [(0, 2, 2), (3, 4, 5), (6, 6, 6), (7, 7, None)]
        assert ind.column(built, "volume") == numbers(6, 2, 5, 1)

    def test_dollar_bars(self) -> None:
        """1 6 6 | 5 4 | 35 | 8 against 7."""
        built = bars.dollar_bars(self.M, Fraction(7))
        assert self.shape(built) == [(0, 1, 1), (2, 3, 3), (4, 4, 5), (6, 6, 6), (7, 7, 7)]

    def test_the_day_is_the_session(self) -> None:
        built = bars.day_bars(self.M)
        assert self.shape(built) == [(0, 4, 5), (6, 7, None)]
        assert bars.lift(self.M, built, ind.column(built, "high")) == numbers(None, None, None, None, None, 5, 5, 5)

    def test_values_of_a_bar(self) -> None:
        first = bars.tick_bars(self.M, 2)[0]
        shape = [first.open, first.high, first.low, first.close, first.volume, first.trades]
        assert shape == numbers(1, 3, 1, 3, 3, 2)
        assert (first.vwap, first.typical) == (Fraction(7, 3), Fraction(7, 3))

    def test_a_sample_is_taken_at_the_last_trade_of_each_bar(self) -> None:
        built = bars.tick_bars(self.M, 2)
        assert bars.sample(built, numbers(*range(8))) == numbers(1, 3, 4, 7)
