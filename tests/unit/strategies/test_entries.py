"""Every entry of four strategies on a month of recorded minutes, and every one they should have made, in plain Python.

The rules are written again here from their pages, on lists and exact fractions where they are exact. The engine's
trades only say when it was in a position; when it was not, its entries and those found here must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise

import pytest

import engine
from tests.unit.strategies.data import market

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE
OPEN, CLOSE = 810 * MINUTE, 1200 * MINUTE  # 09:30 and 16:00 in New York, in UTC while daylight time holds
PERCENT = Fraction(1, 100)


@dataclass(frozen=True)
class Minute:
    """A bar of the session; times are its own, in nanoseconds since the session's opening."""

    day: int
    end: int
    low: int
    close: int
    volume: int
    stamp: int  # its end, since the epoch


def sessions() -> list[list[Minute]]:
    """The minutes that lie within the session, by day."""
    block = market("spy_minutes")[0].block
    columns = (block.start_ns, block.ts_ns, block.low_ticks, block.price_ticks, block.size_lots)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    inside = [
        Minute(start // DAY, end % DAY - OPEN, low, close, volume, end)
        for start, end, low, close, volume in rows
        if OPEN <= start % DAY < CLOSE
    ]
    return [list(group) for _, group in groupby(inside, key=lambda bar: bar.day)]


Found = Iterator[tuple[Minute, int]]
"""Minutes at which a rule would enter, with the side."""


def in_hours(bar: Minute) -> bool:
    """From 09:45 until before 15:30, and not from 12:00 until before 14:00."""
    return 15 * MINUTE <= bar.end < 360 * MINUTE and not 150 * MINUTE <= bar.end < 270 * MINUTE


def vwap_scalp() -> Found:
    for session in sessions():
        volume = value = 0
        dips: list[int] = []
        above_before = None
        for bar in session:
            volume, value = volume + bar.volume, value + bar.volume * bar.close
            centre = Fraction(value, volume)
            if bar.close <= centre * (1 - Fraction(15, 100) * PERCENT):
                dips.append(bar.end)
            above = bar.close > centre
            if above and above_before is False and dips and dips[-1] > bar.end - 10 * MINUTE and in_hours(bar):
                yield bar, 1
            above_before = above


def opening_range_breakout() -> Found:
    margin = PERCENT / 10
    for session in sessions():
        # A bar is a moment of its end: that of 09:45 is already outside.
        opening = [bar.close for bar in session if bar.end < 15 * MINUTE]
        top, bottom = max(opening) * (1 + margin), min(opening) * (1 - margin)
        before = None
        for bar in session:
            if bar.end < 15 * MINUTE:
                continue
            if before is not None and in_hours(bar):
                if bar.close > top and before <= top:
                    yield bar, 1
                if bar.close < bottom and before >= bottom:
                    yield bar, -1
            before = bar.close


@dataclass
class Five:
    """A bar of five minutes, and the minute with which it is known."""

    low: int
    close: int
    volume: int
    known: Minute | None


def fives() -> list[Five]:
    """Bars of five minutes from the opening; the session's last one is known on the first minute of the next."""
    made: list[Five] = []
    for session in sessions():
        for bar in made[-1:]:
            bar.known = bar.known or session[0]
        for number, group in groupby(session, key=lambda bar: (bar.end - 1) // (5 * MINUTE)):
            held = list(group)
            end = (number + 1) * 5 * MINUTE
            known = next((bar for bar in session if bar.end >= end), None)
            made.append(Five(min(b.low for b in held), held[-1].close, sum(b.volume for b in held), known))
    return made


def ema(values: list[float], length: int, alpha: float | None = None) -> list[float | None]:
    """Exponential average seeded with the mean of the first; ``alpha`` of Wilder's is 1 / length."""
    alpha = 2 / (length + 1) if alpha is None else alpha
    made: list[float | None] = [None] * (length - 1)
    for place, value in enumerate(values[length - 1 :], start=length - 1):
        before = made[-1] if made else None
        made.append(sum(values[: place + 1]) / length if before is None else before + alpha * (value - before))
    return made


def rsi(closes: list[int], length: int = 14) -> list[float | None]:
    moves = [b - a for a, b in pairwise(closes)]
    gains, losses = (ema([max(sign * move, 0) for move in moves], length, 1 / length) for sign in (1, -1))
    pairs = zip(gains, losses, strict=True)
    return [
        None,
        *(None if up is None or down is None or not up + down else 100 * up / (up + down) for up, down in pairs),
    ]


def beginnings(bars: list[Five], holds: list[bool]) -> Found:
    """The minute on which a bar that holds is known, after one that does not."""
    for place, bar in enumerate(bars):
        if holds[place] and not (place and holds[place - 1]) and bar.known is not None and in_hours(bar.known):
            yield bar.known, 1


def rsi_momentum() -> Found:
    bars = fives()
    strength = rsi([bar.close for bar in bars])
    volumes = [bar.volume for bar in bars]
    holds = [
        place >= 19 and s is not None and s <= 30 and 20 * volumes[place] > sum(volumes[place - 19 : place + 1])
        for place, s in enumerate(strength)
    ]
    yield from beginnings(bars, holds)


def ema_pullback() -> Found:
    bars = fives()
    closes = [bar.close for bar in bars]
    averages = zip(ema(closes, 9), ema(closes, 21), ema(closes, 50), strict=True)
    holds = []
    for bar, (fast, middle, slow), strength in zip(bars, averages, rsi(closes), strict=True):
        known = fast is not None and middle is not None and slow is not None and strength is not None
        holds.append(known and fast > middle > slow and bar.low <= fast and bar.close > slow and 35 <= strength <= 55)
    yield from beginnings(bars, holds)


RULES: dict[str, Callable[[], Found]] = {
    rule.__name__: rule for rule in (vwap_scalp, opening_range_breakout, rsi_momentum, ema_pullback)
}


@pytest.mark.parametrize("name", RULES)
def test_entries(name):
    file, calendar = market("spy_minutes")
    result = engine.backtest(file, name, calendar=calendar, starting_cash=1_000_000, daily_loss_limit="100%")
    held = [(trade.entry_ts_ns, trade.exit_ts_ns) for trade in result.trades]
    last = {session[-1].stamp for session in sessions()}
    wanted = [
        (bar.stamp, side)
        for bar, side in RULES[name]()
        if bar.stamp not in last and not any(entry < bar.stamp <= exit for entry, exit in held)
    ]
    assert [(trade.entry_ts_ns, int(trade.direction)) for trade in result.trades] == wanted
    assert len(wanted) > 10
