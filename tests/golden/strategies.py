"""Strategies of the golden sessions that do what none of the built-in ones does."""

from __future__ import annotations

from engine.language.entries import Limit, StopEntry
from engine.language.exits import BreakEven, Stop, Target, TimeStop, Trailing, When
from engine.model import Side, Signal
from engine.rules import change, ema, falling, pct, price, rising, seconds, size
from engine.strategy import Strategy, Tick


class Waiting(Strategy):
    """Waits below the market for a fall to end, and sells in parts to whoever comes."""

    long = falling(price, 3)
    entry = Limit(pct("0.02"), good_for=seconds(5))
    exits = (
        Stop(pct("0.3")),
        Target(pct("0.02"), share=pct(50), resting=True),
        Target(pct("0.05"), share=pct(50), resting=True),
        TimeStop(seconds(20)),
    )


class Following(Strategy):
    """Buys what goes beyond its price, and lets the stop follow."""

    long = (change(seconds(3)) >= pct("0.02")) & (price > ema(price, 20))
    short = (change(seconds(3)) <= pct("-0.02")) & (price < ema(price, 20))
    entry = StopEntry(pct("0.01"), good_for=seconds(4))
    exits = (
        Stop(pct("0.2")),
        BreakEven(pct("0.03")),
        Trailing(pct("0.05"), after=pct("0.04")),
        When(rising(price, 9) | falling(price, 9)),
        TimeStop(seconds(30)),
    )


class Counting(Strategy):
    """Looks at every trade itself, and enters on the one whose cents have become the most frequent."""

    long = size < 0
    exits = (Stop(pct("0.1")), Target(pct("0.05")), TimeStop(seconds(6)))

    def __init__(self, **parameters: object) -> None:
        super().__init__(**parameters)
        self._seen: dict[str, int] = {}

    def on_tick(self, tick: Tick) -> Signal | None:
        cents = f"{tick.price_ticks % 100:02}"
        self._seen[cents] = self._seen.get(cents, 0) + 1
        most = max(self._seen, key=self._seen.__getitem__)
        return Signal(Side.LONG if tick.price_ticks % 2 else Side.SHORT, tick.price_ticks) if cents == most else None
