"""Days on which a market misbehaves, made to order: the same ticks for a seed on every machine.

The price is a walk in whole thousandths of a tick, its steps drawn from the raw stream of a named generator (PCG64), so
nothing is rounded differently anywhere. Each day is calm but for its middle, and has quotes around every trade.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model import SECOND_NS, Instrument, TickBlock
from engine.store.ticks import TickFile

SYMBOL = "STORM"
START_NS = 1_704_205_800 * SECOND_NS  # 2 January 2024, 09:30 in New York
STEP_NS = SECOND_NS // 2
MINUTE = 120
"""Trades in a minute."""

START_PRICE = 10_000  # ticks of a cent
FINE = 1_000  # parts of a tick
CALM = 150  # parts of a tick for each of 16 coins that fall one way or the other
SPREAD = 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes of one weather: where the price drifts in all, how wild it is, what quotes are apart, what is skipped."""

    minutes: int
    drift: int = 0  # ticks over the whole stretch
    wildness: int = 1  # times the calm step
    spread: int = SPREAD  # ticks from the trade to either quote
    volume: int = 1  # times the calm size
    jump: int = 0  # ticks between the last trade before and the first one
    pause: int = 0  # minutes without a trade before the first one


CALM_HOUR = Stretch(90)

DAYS: dict[str, tuple[Stretch, ...]] = {
    "calm": (CALM_HOUR, Stretch(60), CALM_HOUR),
    "gap": (CALM_HOUR, Stretch(60, jump=-500, wildness=2, volume=3), CALM_HOUR),
    "crash": (
        CALM_HOUR,
        Stretch(30, -1_000, wildness=5, spread=5, volume=6),
        Stretch(30, wildness=3, spread=3),
        CALM_HOUR,
    ),
    "v recovery": (
        CALM_HOUR,
        Stretch(15, -800, wildness=5, spread=4, volume=6),
        Stretch(15, 700, wildness=5, spread=4, volume=5),
        CALM_HOUR,
    ),
    "halt": (
        CALM_HOUR,
        Stretch(5, -500, wildness=6, spread=6, volume=8),
        Stretch(30, jump=-300, pause=15, wildness=4, spread=4, volume=4),
        CALM_HOUR,
    ),
    "volatility burst": (CALM_HOUR, Stretch(60, wildness=8, spread=3, volume=4), CALM_HOUR),
}
"""What happens on each day, in order; money and times are ours, made to hurt, not fitted to a market."""


def storm(day: str, seed: int) -> TickFile:
    """Return a day's ticks with quotes, as a file would give them."""
    stream = np.random.PCG64(seed)
    minutes = sum(stretch.minutes for stretch in DAYS[day])
    raw = stream.random_raw(minutes * MINUTE)
    coins = np.bitwise_count(raw & np.uint64(0xFFFF)).astype(np.int64) - 8
    lots = ((raw >> np.uint64(16)) % np.uint64(100)).astype(np.int64) + 1
    late = ((raw >> np.uint64(32)) % np.uint64(STEP_NS)).astype(np.int64)
    steps, times, spreads = (np.zeros(len(raw), np.int64) for _ in range(3))
    begin = paused = 0
    for stretch in DAYS[day]:
        part = slice(begin, begin + stretch.minutes * MINUTE)
        steps[part] = CALM * stretch.wildness * coins[part] + _evenly(stretch.drift * FINE, part.stop - begin)
        steps[begin] += stretch.jump * FINE
        paused += stretch.pause * 60 * SECOND_NS
        times[part], spreads[part] = paused, stretch.spread
        lots[part] *= stretch.volume
        begin = part.stop
    prices = np.maximum((START_PRICE * FINE + np.cumsum(steps)) // FINE, SPREAD + max(spreads) + 1)
    block = TickBlock(
        ts_ns=START_NS + np.arange(len(raw)) * STEP_NS + late + times,
        price_ticks=prices,
        size_lots=lots,
        bid_ticks=prices - spreads,
        ask_ticks=prices + spreads,
    )
    return TickFile(block, [Instrument(SYMBOL)], source=f"generated: {day}, seed {seed}")


def _evenly(total: int, steps: int) -> NDArray[np.int64]:
    """A total in so many whole parts that differ by one at most."""
    reached = np.arange(steps + 1, dtype=np.int64) * total // steps
    return np.diff(reached)
