"""Reference: bars of trades, when each becomes visible, and bar values on the clock of trades.

A bar holds trades of one session; between sessions there are no bars. It closes with the trade that completes it (tick,
volume, dollar bars) or with its time (time bars), and with its session at the latest. Its values are visible from the
first trade by which it has closed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.oracle.catalogue import Market, Session, Trade, Value, Values


@dataclass(frozen=True, slots=True)
class Bar:
    """Trades ``first`` to ``last``; ``visible`` is the trade from which it counts as closed, None: not in the data."""

    first: int
    last: int
    visible: int | None
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction
    volume: Fraction
    trades: Fraction
    turnover: Fraction

    @property
    def vwap(self) -> Fraction:
        return self.turnover / self.volume

    @property
    def typical(self) -> Fraction:
        return (self.high + self.low + self.close) / 3


def bar_of(m: Market, first: int, last: int, visible: int | None) -> Bar:
    """The bar of the trades ``first`` to ``last``."""
    held = m.trades[first : last + 1]
    prices = [trade.price for trade in held]
    return Bar(
        first,
        last,
        visible,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum((trade.size for trade in held), Fraction(0)),
        Fraction(len(held)),
        sum((trade.price * trade.size for trade in held), Fraction(0)),
    )


Place = tuple[Session, int]
"""A session, and which bar of it."""


def time_places(m: Market, length_ns: int) -> list[Place | None]:
    """For each trade the time bar it falls in; bars count from the session's opening."""
    return [
        None if trade.session is None else (trade.session, (trade.ts - trade.session.open_ns) // length_ns)
        for trade in m.trades
    ]


def amount_places(m: Market, target: Fraction, amount: Callable[[Trade], Fraction]) -> list[Place | None]:
    """For each trade the bar it falls in, when a bar ends with the trade that brings its amount to the target."""
    places: list[Place | None] = []
    number, total, session = 0, Fraction(0), None
    for trade in m.trades:
        if trade.session != session:
            number, total, session = 0, Fraction(0), trade.session
        places.append(None if session is None else (session, number))
        total += amount(trade)
        if total >= target:
            number, total = number + 1, Fraction(0)
    return places


def tick_places(m: Market, count: int) -> list[Place | None]:
    return amount_places(m, Fraction(count), lambda trade: Fraction(1))


def volume_places(m: Market, units: Fraction) -> list[Place | None]:
    return amount_places(m, units, lambda trade: trade.size)


def dollar_places(m: Market, dollars: Fraction) -> list[Place | None]:
    return amount_places(m, dollars, lambda trade: trade.price * trade.size)


def day_places(m: Market) -> list[Place | None]:
    """The 1-day bar is the session."""
    return [None if trade.session is None else (trade.session, 0) for trade in m.trades]


def time_bars(m: Market, length_ns: int) -> list[Bar]:
    """Every time bar that holds a trade; the last one may still be open (``visible`` None)."""
    return _bars(m, time_places(m, length_ns), None)


def day_bars(m: Market) -> list[Bar]:
    return _bars(m, day_places(m), None)


def tick_bars(m: Market, count: int) -> list[Bar]:
    return _bars(m, tick_places(m, count), lambda bar: bar.trades >= count)


def volume_bars(m: Market, units: Fraction) -> list[Bar]:
    return _bars(m, volume_places(m, units), lambda bar: bar.volume >= units)


def dollar_bars(m: Market, dollars: Fraction) -> list[Bar]:
    return _bars(m, dollar_places(m, dollars), lambda bar: bar.turnover >= dollars)


def _bars(m: Market, places: Sequence[Place | None], complete: Callable[[Bar], bool] | None) -> list[Bar]:
    """Group trades by place. A bar that nothing completed has closed by the first trade that lies elsewhere."""
    members: dict[Place, list[int]] = {}
    for at, place in enumerate(places):
        if place is not None:
            members.setdefault(place, []).append(at)
    result = []
    for held in members.values():
        first, last = held[0], held[-1]
        after = last + 1 if last + 1 < len(m) else None
        bar = bar_of(m, first, last, after)
        if complete is not None and complete(bar):
            bar = bar_of(m, first, last, last)
        result.append(bar)
    return result


def closed(bars: Sequence[Bar]) -> list[Bar]:
    """The bars of a series that ever become visible: the clock on which bar values live."""
    return [bar for bar in bars if bar.visible is not None]


def lift(m: Market, bars: Sequence[Bar], values: Sequence[Value]) -> Values:
    """Bar values on the clock of trades: at each trade that of the latest bar visible by then."""
    return [_latest(bars, values, at) for at in range(len(m))]


def lift_flags(m: Market, bars: Sequence[Bar], flags: Sequence[bool]) -> list[bool]:
    """A condition on bars, on the clock of trades: it holds until the next bar closes."""
    return [bool(_latest(bars, [Fraction(flag) for flag in flags], at)) for at in range(len(m))]


def _latest(bars: Sequence[Bar], values: Sequence[Value], at: int) -> Value:
    seen = [value for bar, value in zip(bars, values, strict=True) if bar.visible is not None and bar.visible <= at]
    return seen[-1] if seen else None


def developing(m: Market, bars: Sequence[Bar]) -> list[Bar | None]:
    """At each trade the bar that holds it, with its trades so far; None between sessions."""
    holder = {at: bar.first for bar in bars for at in range(bar.first, bar.last + 1)}
    return [bar_of(m, holder[at], at, None) if at in holder else None for at in range(len(m))]


def sample(bars: Sequence[Bar], values: Sequence[Value]) -> Values:
    """A value of the trade clock at the last trade of each bar."""
    return [values[bar.last] for bar in bars]
