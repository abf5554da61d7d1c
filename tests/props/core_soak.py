"""Ticks without end through the core: its memory stays what it is, and its sums what a fresh count makes them.

The market goes round in a block that is moved on in time and price, so that a thousand million ticks need no more
room than one block. After each block every sum is counted anew from the rows that its window holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import psutil

from engine import _core, _program

BLOCK = 1_000_000
WINDOW_NS, COUNT = 15_000_000_000, 1_000
SETTLED = 10_000_000
"""Ticks after which memory may not grow any more."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it."""

    ticks: int
    compared: int  # sums, each with a fresh count
    growth_bytes: int  # of the process, from ``SETTLED`` to the end


def soak(ticks: int) -> Soaked:
    """Put so many ticks through ``advance``, a whole number of blocks beyond ``SETTLED``.

    Raises:
        AssertionError: a sum is not what a fresh count gives, or a tick was not taken.
    """
    rng = np.random.default_rng(1)
    steps = rng.choice([0, 100_000, 1_000_000, 4_000_000, 40_000_000], BLOCK, p=[0.2, 0.3, 0.3, 0.19, 0.01])
    ts_ns = np.cumsum(steps)
    period_ns = int(ts_ns[-1]) + 1_000_000
    prices = 1_000_000 + np.cumsum(rng.integers(-30, 31, BLOCK)) % 900_000
    sizes = rng.integers(1, 500, BLOCK)
    sizes[rng.integers(0, BLOCK, BLOCK // 1_000)] = 1_000_000_000
    program = _program.Program(1 << 16)
    windows = (program.window_time(WINDOW_NS), program.window_count(COUNT))
    sums = ("sum_size", "sum_price", "sum_price_size", "sum_price_squared")
    columns = [{name: getattr(program, name)(window) for name in sums} for window in windows]
    extremes = [program.extremes(window) for window in windows]
    core = _core.Core([program])
    process, settled_bytes, compared = psutil.Process(), 0, 0
    for number in range(ticks // BLOCK):
        core.load(ts_ns, prices, sizes)
        assert core.advance() == _core.NONE
        for tail, of, (highest, lowest) in zip(
            (int(np.searchsorted(ts_ns, ts_ns[-1] - WINDOW_NS, side="right")), BLOCK - COUNT),
            columns,
            extremes,
            strict=True,
        ):
            p, q = prices[tail:], sizes[tail:]
            fresh = (int(q.sum()), int(p.sum()), int((p * q).sum()), int((p * p).sum()), int(p.max()), int(p.min()))
            kept = tuple(core.value(0, column) for column in (*of.values(), highest, lowest))
            assert kept == fresh, f"after {(number + 1) * BLOCK:,} ticks"
            compared += len(fresh)
        ts_ns += period_ns
        prices += 1 if number % 2 else -1
        if (number + 1) * BLOCK == SETTLED:
            settled_bytes = process.memory_info().rss
    assert core.trades_seen == ticks // BLOCK * BLOCK
    assert core.rejected == 0
    return Soaked(core.trades_seen, compared, process.memory_info().rss - settled_bytes)
