"""The catalogue's reference against TA-Lib, on recorded one-minute bars and on random ones.

TA-Lib is a second opinion on the definitions, not their source. Where both mean the same they are equal to 1e-9 from
the first bar on which both have a value. Where they differ, the test states the difference: what TA-Lib does instead,
shown by doing that with the reference's own pieces, or the exact form of what remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_series as ser
from tests.oracle import catalogue_structure as struct
from tests.oracle.catalogue import Value, Values
from tests.oracle.catalogue_bars import Bar
from tests.shared_data import shared_file, zip_rows

Column = NDArray[np.float64]
STREAMS = ["spy", "ibm", "random-1", "random-2"]


def bar(row: Sequence[int], unit: int) -> Bar:
    """A bar of open, high, low, close and volume in whole ticks; ``unit`` of them are one of the currency."""
    open_, high, low, close = (Fraction(price, unit) for price in row[:4])
    return Bar(0, 0, 0, open_, high, low, close, Fraction(row[4]), trades=Fraction(1), turnover=Fraction(0))


def random_rows(seed: int, length: int) -> list[list[int]]:
    """Bars of a walk in steps of 0.01, with repeated prices, gaps between bars, and spells of hurry."""
    rng = Random(seed)
    rows, last = [], 10_000
    for at in range(length):
        reach = 40 if at % 100 > 60 else 6
        path = [last + rng.randint(-3, 3)]
        for _ in range(rng.randint(1, 8)):
            path.append(max(100, path[-1] + rng.randint(-reach, reach)))
        last = path[-1]
        rows.append([path[0], max(path), min(path), last, rng.randint(1, 5_000)])
    return rows


@cache
def bars_of(stream: str) -> list[Bar]:
    """400 bars: SPY or IBM minutes of 2013-10-07 from 04:00 New York time, or a seeded walk."""
    if stream.startswith("random"):
        return [bar(row, 100) for row in random_rows(int(stream[-1]), 400)]
    path = shared_file(f"equities/us-minute/{stream}/20131007_trade.zip")
    return [bar([int(field) for field in row[1:]], 10_000) for row in zip_rows(path, stream)][:400]


class Prices:
    """The columns of a stream as doubles, which is what TA-Lib takes.

    In ticks of 0.0001 the doubles are whole and TA-Lib's comparisons exact. In the currency, equal moves of price may
    differ in their last bit, and a rule that asks which of two is larger decides such a tie by rounding.
    """

    def __init__(self, bars: Sequence[Bar], *, in_ticks: bool = False) -> None:
        unit = 10_000 if in_ticks else 1
        self.open, self.high, self.low, self.close = (
            np.array([float(getattr(b, name) * unit) for b in bars]) for name in ("open", "high", "low", "close")
        )
        self.volume = np.array([float(b.volume) for b in bars])


@pytest.fixture(params=STREAMS)
def bars(request: pytest.FixtureRequest) -> list[Bar]:
    return bars_of(request.param)


@pytest.fixture
def p(bars: list[Bar]) -> Prices:
    return Prices(bars)


@pytest.fixture
def ticks(bars: list[Bar]) -> Prices:
    return Prices(bars, in_ticks=True)


@pytest.fixture
def close(bars: list[Bar]) -> Values:
    return ind.column(bars, "close")


def doubles(values: Sequence[Value]) -> Column:
    return np.array([np.nan if value is None else float(value) for value in values])


def assert_same(ours: Sequence[Value], theirs: Column, *, first: int, starts_later: int = 0) -> None:
    """Equal to 1e-9, ours defined from ``first`` on without a hole, TA-Lib's ``starts_later`` bars after that."""
    mine = doubles(ours)
    assert np.isnan(mine[:first]).all()
    assert not np.isnan(mine[first:]).any()
    assert np.isnan(theirs[: first + starts_later]).all()
    both = slice(first + starts_later, None)
    np.testing.assert_allclose(mine[both], theirs[both], rtol=0, atol=1e-9)


# ---------------------------------------------------------------- where the definitions agree


def test_averages(close: Values, p: Prices) -> None:
    assert_same(ser.sma(close, 20), talib.SMA(p.close, 20), first=19)
    assert_same(ser.ema(close, 20), talib.EMA(p.close, 20), first=19)
    assert_same(ser.wilder(close, 14), talib.RMA(p.close, 14), first=13)


def test_rolling_statistics(close: Values, p: Prices) -> None:
    assert_same(ser.stdev(close, 20), talib.STDDEV(p.close, 20), first=19)
    assert_same(ser.total(close, 20), talib.SUM(p.close, 20), first=19)
    assert_same(ser.highest(close, 20), talib.MAX(p.close, 20), first=19)
    assert_same(ser.lowest(close, 20), talib.MIN(p.close, 20), first=19)
    assert_same(ser.slope(close, 20), talib.LINEARREG_SLOPE(p.close, 20), first=19)
    assert_same(ser.mad(close, 20), talib.AVGDEV(p.close, 20), first=19)


def test_rsi(close: Values, p: Prices) -> None:
    assert_same(ind.rsi(close, 14), talib.RSI(p.close, 14), first=14)


def test_ranges(bars: list[Bar], p: Prices) -> None:
    assert_same(ind.true_range(bars), talib.TRANGE(p.high, p.low, p.close), first=1)
    assert_same(ind.atr(bars, 14), talib.ATR(p.high, p.low, p.close, 14), first=14)


def test_bollinger(close: Values, p: Prices) -> None:
    ours = ind.bollinger(close, 20, 2)
    for mine, theirs in zip((ours.upper, ours.middle, ours.lower), talib.BBANDS(p.close, 20, 2, 2), strict=True):
        assert_same(mine, theirs, first=19)


def test_donchian(bars: list[Bar], p: Prices) -> None:
    ours = ind.donchian(bars, 20)
    for mine, theirs in zip((ours.upper, ours.middle, ours.lower), talib.DONCHIAN(p.high, p.low, 20), strict=True):
        assert_same(mine, theirs, first=19)


def test_stochastic(bars: list[Bar], p: Prices) -> None:
    """TA-Lib holds %K back until %D exists."""
    ours = ind.stochastic(bars, 14, 3, 3)
    k, d = talib.STOCH(p.high, p.low, p.close, 14, 3, talib.MA_Type.SMA, 3, talib.MA_Type.SMA)
    assert_same(ours.k, k, first=15, starts_later=2)
    assert_same(ours.d, d, first=17)


def test_cci_and_mfi(bars: list[Bar], p: Prices) -> None:
    assert_same(ind.cci(bars, 20), talib.CCI(p.high, p.low, p.close, 20), first=19)
    assert_same(ind.mfi(bars, 14), talib.MFI(p.high, p.low, p.close, p.volume, 14), first=14)


# ---------------------------------------------------------------- where they differ, and how


def test_obv_is_lower_by_the_first_volume(bars: list[Bar], p: Prices) -> None:
    """TA-Lib begins with the first bar's volume; ours begins with 0. Granville gives no start."""
    assert (talib.OBV(p.close, p.volume) - doubles(ind.obv(bars)) == p.volume[0]).all()


def test_macd_line_differs_by_the_seed_of_the_fast_average(close: Values, p: Prices) -> None:
    """TA-Lib seeds the fast average so that it begins on the bar of the slow one; the difference fades by 11/13."""
    line, signal, histogram = talib.MACD(p.close, 12, 26, 9)
    late_fast = ser.ema([None] * 14 + close[14:], 12)
    as_talib = ind.minus(late_fast, ser.ema(close, 26))
    assert_same(as_talib, line, first=25, starts_later=8)
    assert_same(ser.ema(as_talib, 9), signal, first=33)
    assert_same(ind.minus(as_talib, ser.ema(as_talib, 9)), histogram, first=33)

    ours = ind.macd(close, 12, 26, 9)
    gap = line - doubles(ours.line)
    at_33 = gap[33]
    assert abs(at_33) > 1e-6
    np.testing.assert_allclose(gap[33:], at_33 * (11 / 13) ** np.arange(len(gap) - 33), rtol=0, atol=1e-9)
    for mine, theirs in ((ours.line, line), (ours.signal, signal), (ours.histogram, histogram)):
        np.testing.assert_allclose(doubles(mine)[250:], theirs[250:], rtol=0, atol=1e-9)


def test_keltner_differs_by_the_seed_of_its_range(bars: list[Bar], p: Prices) -> None:
    """TA-Lib seeds the range so that it begins on the bar of the average, here 9 bars late; it fades by 9/10."""
    upper, middle, lower = talib.KC(p.high, p.low, p.close, 20, 10, 2)
    ours = ind.keltner(bars, 20, 2, 10)
    assert_same(ours.middle, middle, first=19)
    late_range = ser.wilder([None] * 10 + ind.true_range(bars)[10:], 10)
    as_talib = ind.bands(ind.column(bars, "close"), ours.middle, ser.pointwise(lambda x: 2 * x, late_range))
    assert_same(as_talib.upper, upper, first=19)
    assert_same(as_talib.lower, lower, first=19)

    gap = upper - doubles(ours.upper)
    assert abs(gap[19]) > 1e-6
    np.testing.assert_allclose(gap[19:], gap[19] * 0.9 ** np.arange(len(gap) - 19), rtol=0, atol=1e-9)


def test_adx_differs_by_the_seed_of_its_sums(bars: list[Bar], ticks: Prices) -> None:
    """Wilder's first sums hold n bars; TA-Lib's hold the n-1 moves among the first n bars, and are smoothed from there.

    Seen with averages: TA-Lib's are those of a series that has 0 on the first bar, where there is no move yet.
    """
    n = 14
    theirs = [
        function(ticks.high, ticks.low, ticks.close, n) for function in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)
    ]

    def seeded_one_bar_early(x: Values) -> Values:
        return [None] * n + ser.wilder([Fraction(0), *x[1:]], n)[n:]

    moves = [*ind.directional_moves(bars), ind.true_range(bars)]
    plus, less, ranges = (seeded_one_bar_early(x) for x in moves)
    as_talib = ind.adx_of(plus, less, ranges, n)
    for mine, other, first in zip((as_talib.adx, as_talib.plus, as_talib.minus), theirs, (27, 14, 14), strict=True):
        assert_same(mine, other, first=first)

    for x in moves:
        gap = doubles(ind.minus(ser.wilder(x, n), seeded_one_bar_early(x)))
        np.testing.assert_allclose(gap[n:], gap[n] * (13 / 14) ** np.arange(len(gap) - n), rtol=0, atol=1e-12)
    ours = ind.adx(bars, n)
    assert np.isnan(doubles(ours.adx)[:27]).all()
    assert not np.isnan(doubles(ours.adx)[27:]).any()


def test_adx_forgets_its_seed() -> None:
    bars = [bar(row, 100) for row in random_rows(7, 700)]
    p = Prices(bars, in_ticks=True)
    ours = ind.adx(bars, 14)
    for mine, function in ((ours.adx, talib.ADX), (ours.plus, talib.PLUS_DI), (ours.minus, talib.MINUS_DI)):
        np.testing.assert_allclose(doubles(mine)[600:], function(p.high, p.low, p.close, 14)[600:], rtol=0, atol=1e-9)


def test_where_nothing_moves_talib_says_0_and_we_say_undefined() -> None:
    still = [bar([1000, 1000, 1000, 1000, 5], 100)] * 60
    p = Prices(still)
    close = ind.column(still, "close")
    pairs: list[tuple[Values, Any]] = [
        (ind.rsi(close), talib.RSI(p.close, 14)),
        (
            ind.stochastic(still).k,
            talib.STOCH(p.high, p.low, p.close, 14, 3, talib.MA_Type.SMA, 3, talib.MA_Type.SMA)[0],
        ),
        (ind.cci(still), talib.CCI(p.high, p.low, p.close, 20)),
        (ind.mfi(still), talib.MFI(p.high, p.low, p.close, p.volume, 14)),
        (ind.adx(still).plus, talib.PLUS_DI(p.high, p.low, p.close, 14)),
        (ind.adx(still).adx, talib.ADX(p.high, p.low, p.close, 14)),
    ]
    for ours, theirs in pairs:
        assert ours == [None] * 60
        assert (theirs[40:] == 0).all()


def test_engulfing_needs_a_body_to_engulf(bars: list[Bar], ticks: Prices) -> None:
    """TA-Lib counts a bar that closed where it opened as white, so that a black bar may engulf it; ours does not.

    TA-Lib gives no answer on the first two bars.
    """
    theirs = talib.CDLENGULFING(ticks.open, ticks.high, ticks.low, ticks.close)[2:]
    bullish, bearish = struct.bullish_engulfing(bars)[2:], struct.bearish_engulfing(bars)[2:]
    assert sum(bullish) > 3
    assert sum(bearish) > 3
    assert bullish == (theirs > 0).tolist()
    before_has_body = np.array([b.open != b.close for b in bars[1:-1]])
    assert bearish == ((theirs < 0) & before_has_body).tolist()


def test_doji_is_measured_against_its_own_range(bars: list[Bar], ticks: Prices) -> None:
    """TA-Lib takes a tenth of the mean range of the ten bars before; with that yardstick the reference agrees."""
    theirs = (talib.CDLDOJI(ticks.open, ticks.high, ticks.low, ticks.close) != 0).tolist()
    usual_range = ser.previous(ser.sma([struct.extent(b) for b in bars], 10))
    limits = ser.pointwise(lambda size: struct.DOJI_BODY * size, usual_range)
    bodies: Values = [struct.body(b) for b in bars]
    clear = [body != limit for body, limit in zip(bodies, limits, strict=True)]  # at a tie TA-Lib's doubles decide
    as_talib = ser.compare(bodies, "<=", limits)
    assert [a for a, c in zip(as_talib, clear, strict=True) if c] == [
        t for t, c in zip(theirs, clear, strict=True) if c
    ]
    assert struct.doji(bars) != theirs
