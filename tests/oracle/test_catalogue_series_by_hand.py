"""The catalogue's reference on streams small enough to work out with pencil and paper: series, indicators, structure.

Nobody checks a reference but these tests, so every expected value is a literal that the definition in
docs/reference/features.md gives by hand, and the streams go through the corners: values that are undefined in
between, ties, crossings from a touch, and what is not yet confirmed.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tests.oracle import catalogue as cat
from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_series as ser
from tests.oracle import catalogue_structure as struct
from tests.oracle.catalogue import Record
from tests.oracle.catalogue_bars import Bar
from tests.oracle.catalogue_notation import LN_2, S, assert_mirrors, bar, flags, near, numbers, upside_down


class TestSeries:
    X = numbers(None, 4, 8, None, 2, 6)

    def test_previous(self) -> None:
        assert ser.previous(self.X) == numbers(None, None, 4, 8, None, 2)
        assert ser.previous(self.X, 9) == [None] * 6

    def test_an_undefined_value_spoils_rolling_windows_until_it_has_left(self) -> None:
        assert ser.sma(self.X, 2) == numbers(None, None, 6, None, None, 4)
        assert ser.total(self.X, 2) == numbers(None, None, 12, None, None, 8)
        assert ser.highest(self.X, 2) == numbers(None, None, 8, None, None, 6)
        assert ser.lowest(self.X, 1) == self.X

    def test_recursions_pass_over_it(self) -> None:
        """Seed (4 + 8) / 2 = 6; then a third, respectively half, of the way: with n = 2 alpha is 2/3 and 1/2."""
        ema, wilder = ser.ema(self.X, 2), ser.wilder(self.X, 2)
        assert [value and round(value, 40) for value in ema] == [
            None,
            None,
            6,
            6,
            round(Fraction(10, 3), 40),
            round(Fraction(46, 9), 40),
        ]
        assert wilder == numbers(None, None, 6, 6, 4, 5)
        assert ser.cumulative(self.X) == numbers(None, 4, 12, 12, 14, 20)

    def test_half_life(self) -> None:
        """One half-life moves half of the way, two three quarters; no time, no way."""
        at = [0, 0, 5 * S, 15 * S, 15 * S]
        values = ser.ema_half_life(numbers(None, 8, 4, 2, 90), at, 5 * S)
        assert near(values, None, "8.0", "6.0", "3.0", "3.0")

    def test_half_life_counts_the_time_of_undefined_values(self) -> None:
        assert near(ser.ema_half_life(numbers(8, None, 4), [0, S, 2 * S], S), "8.0", "8.0", "5.0")

    def test_statistics(self) -> None:
        x = numbers(1, 1, 4)
        assert near(ser.stdev(x, 3), None, None, "1.41421356237309504880")
        assert near(ser.zscore(x, 3), None, None, "1.41421356237309504880")
        assert ser.zscore(numbers(3, 3), 2) == [None, None]
        assert ser.mad(x, 3) == numbers(None, None, "4/3")
        assert ser.slope(numbers(1, 2, 9), 3) == numbers(None, None, 4)
        assert near(ser.log_return(numbers(1, 2, 8), 1), None, LN_2, "1.38629436111989061883")
        assert ser.log(numbers(1, 0, -1)) == numbers(0, None, None)

    def test_hedge_ratio(self) -> None:
        """(x, y) = (9, 0) (1, 2) (2, 3): slope -12/38; then (1, 2) (2, 3) (3, 7): 5/2. Constant x has no slope."""
        assert ser.hedge_ratio(numbers(0, 2, 3, 7), numbers(9, 1, 2, 3), 3) == numbers(None, None, "-6/19", "5/2")
        assert ser.hedge_ratio(numbers(1, 2), numbers(5, 5), 2) == [None, None]

    def test_latest(self) -> None:
        held = flags("x.xx..")
        assert ser.latest(numbers(1, 2, 3, None, 5, 6), held) == numbers(1, 1, 3, None, None, None)
        assert ser.latest(numbers(1, 2, 3, None, 5, 6), held, 1) == numbers(None, None, 1, 3, 3, 3)

    def test_restarts(self) -> None:
        m = cat.market([Record(at * S, 1, 1) for at in range(4)], gaps=[2])
        assert ser.restarting(m, ser.cumulative, numbers(1, 2, 3, 4)) == numbers(1, 3, 3, 7)

    def test_another_instrument_as_of_now(self) -> None:
        assert ser.of([0, 1, 0, 1, 1, 0], 0, 1, numbers(7, 8, 9)) == numbers(None, 7, 9)


class TestConditions:
    def test_an_undefined_side_satisfies_nothing(self) -> None:
        x = numbers(None, 1, 2, 3)
        for sign, expected in (
            (">", "...x"),
            (">=", "..xx"),
            ("<", ".x.."),
            ("<=", ".xx."),
            ("==", "..x."),
            ("!=", ".x.x"),
        ):
            assert ser.compare(x, sign, 2) == flags(expected)
        assert ser.between(x, 1, 2) == flags(".xx.")

    def test_crossing_needs_both_sides_of_the_line(self) -> None:
        """Touching is not above; coming from a touch is a crossing; coming from nowhere is not."""
        assert ser.crosses_above(numbers(1, 2, 3, 3, None, 3, 1, 3), 2) == flags("..x....x")
        assert ser.crosses_below(numbers(3, 2, 1, 1, None, 1, 3, 1), 2) == flags("..x....x")
        assert ser.crosses_above(numbers(1, 5), numbers(2, 4)) == flags(".x")
        assert ser.either(flags("x..x"), flags("xx..")) == flags("xx.x")

    def test_rising_falling_and_streaks(self) -> None:
        x = numbers(1, 2, 3, 3, 2, 1)
        assert ser.rising(x) == flags(".xx...")
        assert ser.falling(x, 2) == flags("....xx")
        assert ser.streak(x) == numbers(0, 1, 2, 0, -1, -2)

    def test_over_records(self) -> None:
        c = flags("xx.xxx.")
        assert ser.run_length(c) == [1, 2, 0, 1, 2, 3, 0]
        assert ser.for_at_least_records(c, 2) == flags(".x..xx.")
        assert ser.within_records(c, 2) == flags("xxxxxxx")
        assert ser.within_records(flags("x...x"), 2) == flags("xx..x")
        assert ser.previous_flag(c, 2) == flags("..xx.xx")

    def test_over_time(self) -> None:
        at = [0, S, 2 * S, 2 * S, 5 * S]
        assert ser.for_at_least_time(flags("xxxxx"), at, 2 * S) == flags("..xxx")
        assert ser.for_at_least_time(flags("x.xxx"), at, 2 * S) == flags("....x")
        assert ser.within_time(flags("x...."), at, 2 * S) == flags("xx...")

    def test_choices(self) -> None:
        assert ser.where(flags("x.x"), numbers(1, 2, None), 9) == numbers(1, 9, None)
        assert ser.regime(("HIGH", flags("x..")), ("LOW", flags("xx."))) == ["HIGH", "LOW", "NORMAL"]


class TestIndicators:
    def test_rsi(self) -> None:
        """Gains 2 0, losses 0 1, n = 2: averages 1 and 1/2; then a gain of 3: 2 and 1/4."""
        assert ind.rsi(numbers(10, 12, 11, 14), 2) == numbers(None, None, "200/3", "800/9")
        assert ind.rsi(numbers(5, 5, 5, 5), 2) == [None] * 4

    def test_macd(self) -> None:
        """Averages of 1 and 2 records, signal over 1: alpha 1 and 2/3."""
        got = ind.macd(numbers(2, 4, 7), 1, 2, 1)
        assert near(got.line, None, "1.0", "1.33333333333333333333")
        assert got.signal == got.line
        assert got.histogram == numbers(None, 0, 0)

    BARS = (bar(9, 10, 8, 9, 10), bar(9, 14, 9, 12, 20), bar(12, 12, 10, 10, 30), bar(15, 16, 14, 15, 40))

    def test_ranges(self) -> None:
        assert ind.true_range(self.BARS) == numbers(None, 5, 2, 6)
        assert ind.atr(self.BARS, 2) == numbers(None, None, "7/2", "19/4")

    def test_bands(self) -> None:
        got = ind.bollinger(numbers(1, 3), 2, 2)
        assert near(got.upper, None, "4.0")
        assert near(got.lower, None, "0.0")
        assert near(got.percent, None, "0.75")
        channel = ind.donchian(self.BARS, 2)
        assert channel.upper == numbers(None, 14, 14, 16)
        assert channel.lower == numbers(None, 8, 9, 10)
        assert channel.middle == numbers(None, 11, "23/2", 13)
        assert near(ind.keltner(self.BARS, 1, 2, 2).upper, None, None, "17.66666666666666666667", "24.5")

    def test_stochastic(self) -> None:
        """Close over the two-bar channel: 4/6, 1/5, 5/6."""
        got = ind.stochastic(self.BARS, 2, 1, 2)
        assert got.k == numbers(None, "200/3", 20, "250/3")
        assert got.d == numbers(None, None, "130/3", "155/3")

    def test_adx(self) -> None:
        """Up 4 -2 4 and down -1 -1 -4: +DM 4 0 4, -DM 0 0 0, ranges 5 2 6; with n = 2 the averages 2 3 and 7/2 19/4."""
        got = ind.adx(self.BARS, 2)
        assert [value and round(value, 40) for value in got.plus] == [
            None,
            None,
            round(Fraction(400, 7), 40),
            round(Fraction(1200, 19), 40),
        ]
        assert got.minus == numbers(None, None, 0, 0)
        assert got.adx == numbers(None, None, None, 100)

    def test_volume_indicators(self) -> None:
        """Typical prices 9, 35/3, 32/3, 15: up 700/3, down 320, up 600."""
        assert ind.obv(self.BARS) == numbers(0, 20, -10, 30)
        assert ind.mfi(self.BARS, 2) == numbers(None, None, "3500/83", "1500/23")

    def test_a_close_that_stays_moves_no_volume(self) -> None:
        still = [bar(9, 9, 9, 9, 5), bar(9, 9, 9, 9, 7)]
        assert ind.obv(still) == numbers(0, 0)
        assert ind.flow_of(numbers(3, 3), numbers(5, 7)) == (numbers(None, 0), numbers(None, 0))

    def test_cci(self) -> None:
        """9 and 35/3: mean 31/3, deviation 4/3, so 1 / 0.015."""
        assert ind.cci(self.BARS[:2], 2) == numbers(None, "200/3")

    def test_pair_spread(self) -> None:
        """x = y squared: beta is 2 and nothing remains."""
        (value,) = ind.pair_spread(numbers(4, 16, 64), numbers(2, 4, 8), 3)[2:]
        assert value is not None
        assert abs(value) < Fraction(1, 10**45)


MIRROR = {
    "hammer": "shooting_star",
    "shooting_star": "hammer",
    "bullish_engulfing": "bearish_engulfing",
    "bearish_engulfing": "bullish_engulfing",
    "morning_star": "evening_star",
    "evening_star": "morning_star",
}
"""What each pattern is upside down; the others are themselves."""


class TestCandles:
    @pytest.mark.parametrize(
        ("name", "candles", "expected"),
        [
            ("doji", [bar(50, 60, 50, 51), bar(50, 60, 50, 52), bar(5, 5, 5, 5)], "x.x"),
            ("hammer", [bar(96, 101, 86, 100), bar(96, 104, 88, 100), bar(96, 100, 89, 100), bar(9, 9, 1, 9)], "x..."),
            ("hammer", [bar(12, 20, 0, 18)], "x"),  # both shadows at their limits
            ("shooting_star", [bar(90, 104, 85, 96), bar(90, 106, 89, 95), bar(9, 9, 9, 9)], ".x."),
            (
                "bullish_engulfing",
                [bar(10, 10, 8, 8), bar(8, 11, 8, 10), bar(8, 11, 7, 11), bar(11, 12, 7, 12)],
                "....",
            ),
            ("bullish_engulfing", [bar(10, 10, 8, 8), bar(8, 11, 8, 11)], ".x"),
            ("bullish_engulfing", [bar(10, 10, 8, 8), bar(7, 10, 7, 10)], ".x"),
            ("bearish_engulfing", [bar(8, 10, 8, 10), bar(11, 11, 8, 8)], ".x"),
            ("bearish_engulfing", [bar(8, 8, 8, 8), bar(9, 9, 7, 7)], ".."),
            ("morning_star", [bar(20, 20, 10, 10), bar(9, 10, 8, 10), bar(10, 15, 10, 15)], "..x"),
            ("morning_star", [bar(20, 20, 10, 10), bar(7, 10, 7, 10), bar(10, 15, 10, 15)], "..x"),
            ("morning_star", [bar(20, 20, 10, 10), bar(6, 10, 6, 10), bar(10, 15, 10, 15)], "..."),
            ("morning_star", [bar(20, 25, 4, 10), bar(9, 10, 8, 10), bar(10, 15, 10, 15)], "..."),
            ("morning_star", [bar(10, 20, 10, 20), bar(9, 10, 8, 10), bar(10, 25, 10, 25)], "..."),
            ("morning_star", [bar(20, 20, 10, 10), bar(9, 10, 8, 10), bar(16, 16, 15, 15)], "..."),
            ("morning_star", [bar(20, 20, 10, 10), bar(9, 10, 8, 10), bar(10, 15, 10, 14)], "..."),
            ("morning_star", [bar(20, 20, 10, 10), bar(8, 12, 8, 11), bar(10, 15, 10, 15)], "..."),
            ("evening_star", [bar(10, 20, 10, 20), bar(21, 22, 20, 20), bar(20, 20, 15, 15)], "..x"),
            ("inside_bar", [bar(5, 10, 1, 5), bar(5, 9, 2, 5), bar(5, 9, 3, 5)], ".x."),
            ("outside_bar", [bar(5, 10, 2, 5), bar(5, 11, 1, 5), bar(5, 12, 1, 5)], ".x."),
        ],
    )
    def test_shapes(self, name: str, candles: list[Bar], expected: str) -> None:
        """Each pattern by hand, and its mirror image on the same bars upside down."""
        assert getattr(struct, name)(candles) == flags(expected)
        assert getattr(struct, MIRROR.get(name, name))(upside_down(candles)) == flags(expected)


class TestStructure:
    def test_a_swing_is_known_when_the_bars_after_it_have_closed(self) -> None:
        """Highs 1 3 2 3 1: with one bar on each side the second and the fourth; with two on the left only the first."""
        built = [bar(0, high, 0, 0) for high in (1, 3, 2, 3, 1)]
        assert struct.swings(built, 1, 1).high == numbers(None, None, 3, 3, 3)
        assert struct.swings(built, 1, 1).new_high == flags("..x.x")
        assert struct.swings(built, 2, 1).new_high == flags(".....")

    def test_of_equal_highs_in_reach_the_first_is_the_swing(self) -> None:
        built = [bar(0, high, 0, 0) for high in (1, 3, 3, 1, 0)]
        assert struct.swings(built, 1, 2).new_high == flags("...x.")

    def test_trend(self) -> None:
        """Highs 3 5 4 at bars 1 3 5 and lows 1 2 0 at bars 2 4 6, each known one bar later."""
        built = [bar(0, high, low, 0) for high, low in ((2, 2), (3, 2), (2, 1), (5, 3), (4, 2), (4, 3), (1, 0), (1, 1))]
        got = struct.swings(built, 1, 1)
        assert got.high == numbers(None, None, 3, 3, 5, 5, 5, 5)
        assert got.low == numbers(None, None, None, 1, 1, 2, 2, 0)
        assert got.trend == [0, 0, 0, 0, 0, 1, 1, 0]

    def test_fair_value_gap(self) -> None:
        """The third bar's low 11 is above the first bar's high 10; the gap 10 to 11 is filled when 10 trades."""
        built = [bar(9, 10, 9, 10), bar(10, 13, 10, 12), bar(12, 14, 11, 13), bar(13, 13, 11, 12), bar(12, 12, 10, 11)]
        gap = struct.fair_value_gaps(built).bullish
        assert gap.found == flags("..x..")
        assert gap.top == numbers(None, None, 11, 11, 11)
        assert gap.bottom == numbers(None, None, 10, 10, 10)
        assert gap.stands == flags("..xx.")
        assert_mirrors(gap, struct.fair_value_gaps(upside_down(built)).bearish)

    def test_order_block(self) -> None:
        """The swing high 12 of bar 1 is known at bar 2, broken by the close of bar 4; bar 3 was the last to fall."""
        built = [
            bar(9, 10, 9, 10),
            bar(10, 12, 10, 11),
            bar(11, 11, 9, 10),
            bar(10, 10, 8, 9),
            bar(9, 14, 9, 13),
            bar(13, 13, 7, 8),
            bar(8, 8, 7, 7),
        ]
        block = struct.order_blocks(built, 1, 1).bullish
        assert block.found == flags("....x..")
        assert [block.top[4], block.bottom[4]] == numbers(10, 8)
        assert block.stands == flags("....xx.")
        assert block.top[:4] == [None] * 4
        assert_mirrors(block, struct.order_blocks(upside_down(built), 1, 1).bearish)

    def test_liquidity(self) -> None:
        """Swing highs 1000 and 1001 within 1/1000: a zone once the second is known, swept by 1002."""
        highs_closes = [(990, 990), (1000, 990), (990, 990), (1001, 990), (990, 990), (1002, 1001), (1003, 990)]
        built = [bar(990, high, 900, close) for high, close in highs_closes]
        got = struct.liquidity_zones(built, 1, 1, Fraction(1, 1000))
        assert got.above.found == flags("....x..")
        assert [got.above.top[4], got.above.bottom[4]] == numbers(1001, 1000)
        assert got.above.stands == flags("....x..")
        assert got.swept_above == flags(".....x.")
        assert struct.liquidity_zones(built, 1, 1, Fraction(1, 1001)).above.found == [False] * 7
        lows = [replace(b, high=2000 - b.low, low=2000 - b.high, close=2000 - b.close) for b in built]
        below = struct.liquidity_zones(lows, 1, 1, Fraction(1, 1000))
        assert (below.below.found, below.below.stands) == (got.above.found, got.above.stands)
        assert [below.below.top[4], below.below.bottom[4]] == numbers(1000, 999)
        assert below.swept_below == got.swept_above
