"""Reference: indicators of a series or of bars, each one value per record.

Where a book and TA-Lib differ the book is followed; ``test_catalogue_vs_talib`` says how far they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.oracle.catalogue import Value, Values, quotient
from tests.oracle.catalogue_bars import Bar
from tests.oracle.catalogue_series import (
    cumulative,
    ema,
    hedge_ratio,
    highest,
    log,
    lowest,
    mad,
    pointwise,
    previous,
    sma,
    stdev,
    total,
    wilder,
)

HUNDRED = Fraction(100)


def column(bars: Sequence[Bar], name: str) -> Values:
    """One attribute of each bar."""
    return [getattr(bar, name) for bar in bars]


def minus(a: Sequence[Value], b: Sequence[Value]) -> Values:
    return pointwise(lambda x, y: x - y, a, b)


def over(a: Sequence[Value], b: Sequence[Value]) -> Values:
    """A division; undefined by zero."""
    return pointwise(quotient, a, b)


def percent_of_sum(a: Sequence[Value], b: Sequence[Value]) -> Values:
    """``100 a / (a + b)``."""
    return pointwise(lambda x, y: quotient(HUNDRED * x, x + y), a, b)


def rsi(x: Sequence[Value], n: int = 14) -> Values:
    """Relative strength index, 0 to 100; undefined while nothing has moved."""
    moves = minus(x, previous(x))
    gains = pointwise(lambda move: max(move, Fraction(0)), moves)
    losses = pointwise(lambda move: max(-move, Fraction(0)), moves)
    return percent_of_sum(wilder(gains, n), wilder(losses, n))


@dataclass(frozen=True, slots=True)
class Macd:
    line: Values
    signal: Values
    histogram: Values


def macd(x: Sequence[Value], fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    line = minus(ema(x, fast), ema(x, slow))
    smooth = ema(line, signal)
    return Macd(line, smooth, minus(line, smooth))


def true_range(bars: Sequence[Bar]) -> Values:
    """The bar's range, stretched to the close before it; undefined on the first bar."""
    return pointwise(
        lambda high, low, close: max(high - low, abs(high - close), abs(low - close)),
        column(bars, "high"),
        column(bars, "low"),
        previous(column(bars, "close")),
    )


def atr(bars: Sequence[Bar], n: int = 14) -> Values:
    return wilder(true_range(bars), n)


@dataclass(frozen=True, slots=True)
class Bands:
    upper: Values
    middle: Values
    lower: Values
    percent: Values
    """Where the value lies between the bands: 0 at the lower, 1 at the upper."""


def bands(x: Sequence[Value], middle: Values, width: Values) -> Bands:
    upper, lower = pointwise(lambda a, b: a + b, middle, width), minus(middle, width)
    return Bands(upper, middle, lower, over(minus(x, lower), minus(upper, lower)))


def bollinger(x: Sequence[Value], n: int = 20, k: Fraction | int = 2) -> Bands:
    return bands(x, sma(x, n), pointwise(lambda deviation: k * deviation, stdev(x, n)))


def keltner(bars: Sequence[Bar], n: int = 20, k: Fraction | int = 2, atr_length: int = 10) -> Bands:
    """Keltner's centre line, an average of the typical price, with bands in average true ranges."""
    middle = ema(column(bars, "typical"), n)
    return bands(column(bars, "close"), middle, pointwise(lambda size: k * size, atr(bars, atr_length)))


def donchian(bars: Sequence[Bar], n: int = 20) -> Bands:
    """Highest high and lowest low of the last ``n`` bars, and their middle."""
    upper, lower = highest(column(bars, "high"), n), lowest(column(bars, "low"), n)
    middle = pointwise(lambda a, b: (a + b) / 2, upper, lower)
    return Bands(upper, middle, lower, over(minus(column(bars, "close"), lower), minus(upper, lower)))


@dataclass(frozen=True, slots=True)
class Stochastic:
    k: Values
    d: Values


def stochastic(bars: Sequence[Bar], n: int = 14, smooth: int = 3, d: int = 3) -> Stochastic:
    """The slow stochastic, 0 to 100; undefined over a range of zero."""
    raw = pointwise(lambda share: HUNDRED * share, donchian(bars, n).percent)
    k = sma(raw, smooth)
    return Stochastic(k, sma(k, d))


@dataclass(frozen=True, slots=True)
class Adx:
    adx: Values
    plus: Values
    minus: Values


def directional_moves(bars: Sequence[Bar]) -> tuple[Values, Values]:
    """Wilder's +DM and -DM: the larger of the two moves beyond the bar before, if it is one; undefined at first."""
    up = minus(column(bars, "high"), previous(column(bars, "high")))
    down = minus(previous(column(bars, "low")), column(bars, "low"))
    zero = Fraction(0)
    return (
        pointwise(lambda a, b: a if a > b and a > 0 else zero, up, down),
        pointwise(lambda a, b: b if b > a and b > 0 else zero, up, down),
    )


def adx_of(plus_dm: Values, minus_dm: Values, ranges: Values, n: int) -> Adx:
    """From smoothed moves and ranges; DX is undefined while neither direction has moved."""
    plus, less = (pointwise(lambda a, b: quotient(HUNDRED * a, b), dm, ranges) for dm in (plus_dm, minus_dm))
    dx = pointwise(lambda a, b: quotient(HUNDRED * abs(a - b), a + b), plus, less)
    return Adx(wilder(dx, n), plus, less)


def adx(bars: Sequence[Bar], n: int = 14) -> Adx:
    plus_dm, minus_dm = directional_moves(bars)
    return adx_of(wilder(plus_dm, n), wilder(minus_dm, n), wilder(true_range(bars), n), n)


def cci(bars: Sequence[Bar], n: int = 20) -> Values:
    """Commodity channel index; undefined where the typical price did not vary."""
    typical = column(bars, "typical")
    deviation = pointwise(lambda spread: Fraction("0.015") * spread, mad(typical, n))
    return over(minus(typical, sma(typical, n)), deviation)


def flow_of(x: Values, weight: Values) -> tuple[Values, Values]:
    """``weight`` where ``x`` rose and where it fell since the record before, else 0; undefined on the first record."""
    zero = Fraction(0)
    before = previous(x)
    return (
        pointwise(lambda now, then, w: w if now > then else zero, x, before, weight),
        pointwise(lambda now, then, w: w if now < then else zero, x, before, weight),
    )


def obv(bars: Sequence[Bar]) -> Values:
    """On-balance volume, from 0 at the first bar."""
    up, down = flow_of(column(bars, "close"), column(bars, "volume"))
    return cumulative([Fraction(0) if step is None else step for step in minus(up, down)])


def mfi(bars: Sequence[Bar], n: int = 14) -> Values:
    """Money flow index, 0 to 100; undefined while no money has flowed."""
    typical = column(bars, "typical")
    money = pointwise(lambda price, size: price * size, typical, column(bars, "volume"))
    up, down = flow_of(typical, money)
    return percent_of_sum(total(up, n), total(down, n))


def pair_spread(x: Sequence[Value], y: Sequence[Value], n: int) -> Values:
    """``log x - beta log y``, beta the rolling slope of ``log x`` on ``log y``."""
    log_x, log_y = log(x), log(y)
    return pointwise(lambda a, b, beta: a - beta * b, log_x, log_y, hedge_ratio(log_x, log_y, n))
