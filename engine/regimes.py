"""What kind of market it is: regimes of volatility and trend, of the market around an instrument, and of the day.

Each function returns a ``Regime`` or a condition of the rule language, so a strategy can gate its entries with it and
a column can show it: ``regime == "CHOPPY"``, ``regime.code``. Nothing is learned and nothing is weighed in secret; the
thresholds are arguments, numbers or parameters, with the defaults of ``docs/reference/regimes.md``.

What looks at other instruments names them: ``of("VIX", …)``. They must be in the same stream, and each is seen as of
its last trade by now. Until a value exists no class that depends on it holds, ``otherwise`` included.
"""

from __future__ import annotations

from functools import reduce
from operator import add, and_

from engine.indicators import adx, atr
from engine.language.grammar import Operand
from engine.language.measures import Bars, Length, Symbol
from engine.language.naming import composed
from engine.rules import (
    Condition,
    Expr,
    Param,
    Quantity,
    Regime,
    at,
    bars,
    days,
    ema,
    maximum,
    minutes,
    of,
    price,
    since_open,
    sma,
    time_of_day,
    to_close,
    where,
)

__all__ = [
    "breadth",
    "five_class",
    "market_trend",
    "may_enter",
    "midday",
    "momentum",
    "open_drive",
    "power_hour",
    "sector_rotation",
    "time_of_day_regime",
    "volatility_index",
]

Duration = Param | Quantity

NOON, TWO_O_CLOCK = at("12:00"), at("14:00")
OPENING, LAST_HOUR = minutes(30), minutes(60)


# ---------------------------------------------------------------- of one instrument


@composed
def five_class(
    b: Bars,
    length: Length = 14,
    usual: Length = 50,
    *,
    high: Operand = "1.3",
    low: Operand = "0.8",
    trending: Operand = 25,
) -> Regime:
    """Volatility and trend of an instrument's own bars, in five classes.

    Volatility is the average true range against its own mean of ``usual`` bars: high from ``high`` times it on, low up
    to ``low`` times it. It trends where the average directional index is at least ``trending`` (Wilder 1978: 25).
    """
    true_range = atr(b, length)
    volatility, trends = true_range / sma(true_range, usual), adx(b, length).adx >= trending
    wild, quiet = volatility >= high, volatility <= low
    return Regime(
        ("HIGH_VOL_TRENDING", wild & trends),
        ("HIGH_VOL_CHOPPY", wild & ~trends),
        ("LOW_VOL_TRENDING", quiet & trends),
        ("LOW_VOL_RANGING", quiet & ~trends),
        otherwise="NORMAL",
    )


# ---------------------------------------------------------------- of the market around it


@composed
def market_trend(
    symbol: Symbol, b: Bars, fast: Length = 20, slow: Length = 50, strong: Operand = 25, choppy: Operand = 15
) -> Regime:
    """Trend of a context instrument, as SPY: two averages give the direction, the directional index its strength.

    Choppy while the index is below ``choppy``; a bull market while the fast average is above the slow one and the close
    above the fast one, a strong one from ``strong`` on; bears the reverse; neutral where averages and close disagree.
    """
    short, long, strength = ema(b.close, fast), ema(b.close, slow), adx(b, 14).adx
    bull, bear = (short > long) & (b.close > short), (short < long) & (b.close < short)
    return Regime(
        ("CHOPPY", of(symbol, strength < choppy)),
        ("STRONG_BULL", of(symbol, bull & (strength >= strong))),
        ("BULL", of(symbol, bull)),
        ("STRONG_BEAR", of(symbol, bear & (strength >= strong))),
        ("BEAR", of(symbol, bear)),
        otherwise="NEUTRAL",
    )


@composed
def volatility_index(symbol: Symbol = "VIX", low: Operand = 15, normal: Operand = 20, extreme: Operand = 30) -> Regime:
    """Level of a volatility index: low below ``low``, extreme above ``extreme``, elevated above ``normal``."""
    index = of(symbol, price)
    return Regime(("LOW", index < low), ("EXTREME", index > extreme), ("ELEVATED", index > normal), otherwise="NORMAL")


def _since_yesterday(symbol: str) -> Expr:
    """Return of an instrument since the close of its last day."""
    return of(symbol, price / bars(days(1)).close - 1)


@composed
def breadth(symbols: tuple[str, ...]) -> Expr:
    """Advances less declines against all: from -1, every one of ``symbols`` below yesterday's close, to 1."""
    moves = map(_since_yesterday, symbols)
    # No move known is no side: 0 * move is undefined where the move is.
    sides: list[Expr] = [where(move > 0, 1, where(move < 0, -1, 0 * move)) for move in moves]
    return reduce(add, sides) / len(sides)


@composed
def momentum(growth: str = "QQQ", market: str = "SPY", havens: tuple[str, ...] = ("TLT", "GLD", "XLU")) -> Regime:
    """Appetite for risk today: risk-off while every haven gains and beats the market, risk-on while growth beats it."""
    base = _since_yesterday(market)
    refuges: list[Condition] = [(move > 0) & (move > base) for move in map(_since_yesterday, havens)]
    sheltered = reduce(and_, refuges)
    return Regime(("RISK_OFF", sheltered), ("RISK_ON", _since_yesterday(growth) > base))


@composed
def sector_rotation(sectors: tuple[str, ...]) -> Regime:
    """The sector that has gained most today; of equal ones the first named."""
    moves = {symbol: _since_yesterday(symbol) for symbol in sectors}
    best = maximum(*moves.values())
    return Regime(*((symbol, move >= best) for symbol, move in moves.items()), otherwise="NONE")


@composed
def may_enter(trend: Regime, volatility: Regime) -> Condition:
    """No new entries in a choppy market, nor in an extremely volatile one."""
    return (trend != "CHOPPY") & (volatility != "EXTREME")


# ---------------------------------------------------------------- of the day, by the exchange's clock


@composed
def open_drive(length: Duration = OPENING) -> Condition:
    """The first ``length`` after the session's opening."""
    return (since_open >= minutes(0)) & (since_open < length)


@composed
def midday(begin: Duration = NOON, end: Duration = TWO_O_CLOCK) -> Condition:
    """From ``begin`` until before ``end``: on US exchanges the quiet hours around lunch."""
    return (time_of_day >= begin) & (time_of_day < end)


@composed
def power_hour(length: Duration = LAST_HOUR) -> Condition:
    """The last ``length`` before the session's close, on a half day as well."""
    return (to_close > minutes(0)) & (to_close <= length)


@composed
def time_of_day_regime() -> Regime:
    """Open drive, midday chop or power hour; on a half day the power hour comes before the midday hours."""
    return Regime(("OPEN_DRIVE", open_drive()), ("POWER_HOUR", power_hour()), ("MIDDAY", midday()), otherwise="REGULAR")
