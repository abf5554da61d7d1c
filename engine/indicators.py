"""Indicators: the averages, bands and oscillators of the textbooks, written in the language of rules.

Each is a composition of ``engine.rules`` and computes nothing of its own, so it works on the clock of what it is given:
``rsi(price, 14)`` counts trades, ``rsi(bars(minutes(5)).close, 14)`` bars. Those that need highs and lows take a bar
series. Lengths count records and may be parameters. All are doubles but ``donchian`` and ``streak``, and undefined
where a denominator is zero. Definitions, warm-up and the differences from TA-Lib: ``docs/reference/features.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add

from engine.language.grammar import Operand
from engine.language.measures import Bars, Length
from engine.language.naming import composed
from engine.rules import (
    Condition,
    Expr,
    cumulative,
    ema,
    falling,
    hedge_ratio,
    highest,
    log,
    lowest,
    mad,
    maximum,
    previous,
    rising,
    run_length,
    sma,
    stdev,
    total,
    where,
    wilder,
)

__all__ = [
    "Bands",
    "Directional",
    "Macd",
    "PercentBands",
    "Stochastic",
    "adx",
    "atr",
    "bollinger",
    "cci",
    "count_of",
    "donchian",
    "keltner",
    "macd",
    "mfi",
    "obv",
    "pair_spread",
    "rsi",
    "stochastic",
    "streak",
    "true_range",
]


# ---------------------------------------------------------------- of any value


@composed
def rsi(x: Expr, length: Length = 14) -> Expr:
    """Relative strength index, 0 to 100: 100 g / (g + l), Wilder's averages of rises and of falls (Wilder 1978)."""
    move = x - previous(x)
    rise = maximum(move, 0)
    gains, losses = wilder(rise, length), wilder(rise - move, length)  # rise - move is the fall, or 0
    return 100 * (gains / (gains + losses))


@dataclass(frozen=True, slots=True, eq=False)
class Macd:
    """Moving average convergence/divergence, in the unit of its value."""

    line: Expr
    signal: Expr
    histogram: Expr


@composed
def macd(x: Expr, fast: Length = 12, slow: Length = 26, signal: Length = 9) -> Macd:
    """Fast average less slow, that line's own average, and the distance between the two (Appel 1979)."""
    line = ema(x, fast) - ema(x, slow)
    smooth = ema(line, signal)
    return Macd(line, smooth, line - smooth)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """A middle line and one on each side of it, in the unit of the value."""

    upper: Expr
    middle: Expr
    lower: Expr


@dataclass(frozen=True, slots=True, eq=False)
class PercentBands(Bands):
    """Bands with the place of the value between them: 0 at the lower, 1 at the upper [ratio]."""

    percent: Expr


@composed
def bollinger(x: Expr, length: Length = 20, k: Operand = 2) -> PercentBands:
    """The mean with ``k`` population standard deviations on each side (Bollinger 2001)."""
    middle, width = sma(x, length), k * stdev(x, length)
    upper, lower = middle + width, middle - width
    return PercentBands(upper, middle, lower, (x - lower) / (upper - lower))


@composed
def count_of(*conditions: Condition) -> Expr:
    """How many of the conditions hold, where several signs must agree [count]; exact."""
    ones: list[Expr] = [where(each, 1, 0) for each in conditions]
    return reduce(add, ones)


@composed
def streak(x: Expr) -> Expr:
    """Rises in a row up to now, or less than 0: falls in a row [count]; exact."""
    return run_length(rising(x)) - run_length(falling(x))


@composed
def pair_spread(x: Expr, y: Expr, length: Length) -> Expr:
    """Log-price spread of a pair: ln x - b ln y, b their rolling ``hedge_ratio`` [ratio]."""
    return log(x) - hedge_ratio(log(x), log(y), length) * log(y)


# ---------------------------------------------------------------- of bars


@composed
def true_range(b: Bars) -> Expr:
    """The bar's range, stretched to the close before it [price]; from the second bar on (Wilder 1978)."""
    before = previous(b.close)
    return maximum(b.high - b.low, abs(b.high - before), abs(b.low - before))


@composed
def atr(b: Bars, length: Length = 14) -> Expr:
    """Average true range: Wilder's average of it [price] (Wilder 1978)."""
    return wilder(true_range(b), length)


@composed
def keltner(b: Bars, length: Length = 20, k: Operand = 2, *, atr_length: Length = 10) -> Bands:
    """An exponential average of the typical price with ``k`` average true ranges on each side [price].

    Keltner's centre line (1960) with the bands in Raschke's form.
    """
    middle, width = ema(b.typical, length), k * atr(b, atr_length)
    return Bands(middle + width, middle, middle - width)


@composed
def donchian(b: Bars, length: Length = 20) -> Bands:
    """Highest high and lowest low of the last bars, the last closed one included, and their middle [price]; exact."""
    upper, lower = highest(b.high, length), lowest(b.low, length)
    return Bands(upper, (upper + lower) / 2, lower)


@dataclass(frozen=True, slots=True, eq=False)
class Stochastic:
    """The slow stochastic's two lines, 0 to 100."""

    k: Expr
    d: Expr


@composed
def stochastic(b: Bars, length: Length = 14, smooth: Length = 3, d: Length = 3) -> Stochastic:
    """Where the close lies in the range of the last bars, averaged over ``smooth`` bars, and that over ``d`` (Lane)."""
    channel = donchian(b, length)
    k = sma(100 * (b.close - channel.lower) / (channel.upper - channel.lower), smooth)
    return Stochastic(k, sma(k, d))


@dataclass(frozen=True, slots=True, eq=False)
class Directional:
    """Wilder's directional movement: its average index and the two indicators, 0 to 100."""

    adx: Expr
    plus: Expr
    minus: Expr


@composed
def adx(b: Bars, length: Length = 14) -> Directional:
    """Average directional index, from the moves beyond the bar before in units of the true range (Wilder 1978)."""
    up, down = b.high - previous(b.high), previous(b.low) - b.low
    size = wilder(true_range(b), length)
    plus = 100 * wilder(_if_known((up > down) & (up > 0), up), length) / size
    minus = 100 * wilder(_if_known((down > up) & (down > 0), down), length) / size
    return Directional(wilder(100 * abs(plus - minus) / (plus + minus), length), plus, minus)


def _if_known(when: Condition, x: Expr) -> Expr:
    """``x`` where the condition holds, else 0; undefined where ``x`` is."""
    return where(when, x, 0 * x)


@composed
def cci(b: Bars, length: Length = 20) -> Expr:
    """Commodity channel index: the typical price's distance from its mean in 0.015 mean deviations (Lambert 1980)."""
    return (b.typical - sma(b.typical, length)) / (0.015 * mad(b.typical, length))


@composed
def obv(b: Bars) -> Expr:
    """On-balance volume: from 0 at the first bar, plus the volume of rising closes, less that of falling ones [size].

    Source: Granville 1963.
    """
    return cumulative(where(rising(b.close), b.volume, where(falling(b.close), -b.volume, 0 * b.volume)))


@composed
def mfi(b: Bars, length: Length = 14) -> Expr:
    """Money flow index, 0 to 100: typical price x volume of bars whose typical price rose, against that of all moves.

    Source: Quong and Soudack 1989.
    """
    money = b.typical * b.volume
    unmoved = 0 * previous(money)  # undefined on the first bar, which has no direction
    up = total(where(rising(b.typical), money, unmoved), length)
    down = total(where(falling(b.typical), money, unmoved), length)
    return 100 * up / (up + down)
