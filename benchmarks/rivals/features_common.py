"""What the three comparisons of features share: the stream, taking turns, and how two columns are compared."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.common import Ticks, generated_ticks

Float64s = NDArray[np.float64]

INSTALL = "pip install polars pandas river talipp 'TA-Lib>=0.8'"
WINDOW_NS = 15_000_000_000
PRICE_UNIT = 100
"""Price ticks in one of currency: all prices here have two decimals, all sizes none."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to the values: ``run`` is timed, and gets what ``arm`` makes anew for it outside the timed part."""

    name: str
    run: Callable[..., Any]
    skipped: str = ""  # why it cannot take part
    arm: Callable[[], tuple[Any, ...]] = tuple


@dataclass(slots=True)
class Outcome:
    """What one contestant did: seconds of every round, and what its first run returned."""

    name: str
    skipped: str = ""
    seconds: list[float] = field(default_factory=list)
    result: Any = None

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def in_turn(contestants: Sequence[Contestant], rounds: int) -> list[Outcome]:
    """Run everybody once to warm up and keep the result, then in turn, so that a busy moment meets all of them."""
    outcomes = [Outcome(contestant.name, contestant.skipped) for contestant in contestants]
    for number in range(rounds + 1):
        say(f"round {number}/{rounds}" if number else "warming up")
        for contestant, outcome in zip(contestants, outcomes, strict=True):
            if contestant.skipped:
                continue
            armed = contestant.arm()
            gc.collect()
            begun = time.perf_counter()
            result = contestant.run(*armed)
            elapsed = time.perf_counter() - begun
            if number:
                outcome.seconds.append(elapsed)
            else:
                outcome.result = result
    return outcomes


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two columns lie apart, over the rows where both have a value."""

    rows: int
    largest: float
    largest_relative: float
    only_first: int  # rows where just the first column has a value
    only_second: int

    def agrees(self, tolerance: float) -> bool:
        """Whether the values are equal to ``tolerance``, relative, and no row has a value on one side alone."""
        return self.rows > 0 and self.largest_relative <= tolerance and not self.only_first and not self.only_second


def difference(first: Float64s, second: Float64s) -> Difference:
    """Compare two columns of one length; NaN is no value.

    The relative difference is that of the larger of the two magnitudes, so that 0 against anything else is 1.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values against {len(second)}")
    here, there = ~np.isnan(first), ~np.isnan(second)
    both = here & there
    a, b = first[both], second[both]
    apart = np.abs(a - b)
    scale = np.maximum(np.abs(a), np.abs(b))
    relative = np.divide(apart, scale, out=np.zeros_like(apart), where=scale > 0)
    return Difference(
        rows=int(both.sum()),
        largest=float(apart.max(initial=0.0)),
        largest_relative=float(relative.max(initial=0.0)),
        only_first=int((here & ~there).sum()),
        only_second=int((there & ~here).sum()),
    )


def distinct_ticks(count: int, seed: int) -> Ticks:
    """Return the generated ticks with equal times moved apart, by a nanosecond each.

    At a tick our window holds what has happened so far; a frame's window holds every row of that time, the later ones
    too. Without equal times both mean the same rows, and every row can be compared.
    """
    ticks = generated_ticks(count, seed)
    order = np.arange(count)
    return replace(ticks, ts_ns=np.maximum.accumulate(ticks.ts_ns - order) + order)


def columns_of(ticks: Ticks) -> dict[str, Any]:
    """Return the ticks as ``engine.features`` reads them."""
    return {"ts_ns": ticks.ts_ns, "price_ticks": ticks.price_ticks, "size_lots": ticks.size_lots}


def absent(*modules: str) -> str:
    """Return why a contestant cannot run (with the line that installs it), or an empty string."""
    gone = [module for module in modules if find_spec(module) is None]
    return f"{', '.join(gone)} not installed: {INSTALL}" if gone else ""


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
