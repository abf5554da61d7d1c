"""How the work on feature columns is shared out to threads: the core does not need Python's lock.

What depends on a window of time alone is the same wherever the stream begins, if it begins a window's length earlier.
So when all expressions are of that kind each thread takes a stretch of the ticks, with a run-up that gives no rows.
Other expressions remember everything since the first tick; they are dealt out whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.language.grammar import Binary, Comparison, Constant, Elementwise, Joined, Kind, Negation, Part, Quantity
from engine.language.measures import Feature
from engine.language.parameters import Param
from engine.model import TickBlock

WORTH_A_THREAD = 200_000
"""Ticks from which on work is shared out to threads."""

MOMENTARY = frozenset({"price", "size"})
WINDOWED = frozenset(
    {
        "first_price",
        "last_price",
        "last_size",
        "change",
        "volume",
        "volume_rate",
        "trade_count",
        "trade_count_rate",
        "highest",
        "lowest",
        "price_range",
        "mean",
        "variance",
        "stdev",
        "vwap",
        "time_since_high",
        "time_since_low",
    }
)
"""Measurements that trades within their window decide, to the bit; others know what was before, or round on the way."""


@dataclass(frozen=True, slots=True)
class Share:
    """One thread's work: these expressions, on the records ``[start, stop)``, of which rows begin at ``first``."""

    watched: Mapping[str, Part]
    start: int
    first: int
    stop: int


def processors() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def shares_of(
    watched: Mapping[str, Part], parameters: Mapping[str, Quantity], block: TickBlock, instruments: int
) -> list[Share]:
    """Share out expressions or ticks to as many threads as there are processors; short streams are not worth it."""
    threads = processors() if len(block) >= WORTH_A_THREAD else 1
    alone = instruments == 1 and block.kind is None and block.start_ns is None
    reach_ns = reach_of(watched.values(), parameters) if alone and threads > 1 else None
    if reach_ns is not None:
        return stretches(watched, block, reach_ns, threads)
    return dealt(watched, len(block), min(threads, len(watched)))


def dealt(watched: Mapping[str, Part], records: int, threads: int) -> list[Share]:
    """All records, the expressions dealt in turn: what is written side by side tends to cost alike."""
    names = list(watched)
    hands = ({name: watched[name] for name in names[hand::threads]} for hand in range(threads))
    return [Share(hand, 0, 0, records) for hand in hands]


def stretches(watched: Mapping[str, Part], block: TickBlock, reach_ns: int, threads: int) -> list[Share]:
    """Equal stretches of the ticks, each beginning where the windows of its first row have been seen in full."""
    ends = [len(block) * n // threads for n in range(threads + 1)]
    found = []
    for first, stop in pairwise(ends):
        start = int(np.searchsorted(block.ts_ns, block.ts_ns[first] - reach_ns, side="right")) - 1
        found.append(Share(watched, max(0, start), first, stop))
    return found


def reach_of(parts: Iterable[Part], parameters: Mapping[str, Quantity]) -> int | None:
    """How far back in time the values depend on trades, in nanoseconds; None: on the trades of all time, perhaps."""
    longest = 0
    for part in parts:
        match part:
            case Constant() | Param():
                reach: int | None = 0
            case Feature(feature=name, window=None) if name in MOMENTARY:
                reach = 0
            case Feature(feature=name, window=Param() | Quantity() as window) if name in WINDOWED:
                length = parameters[window.name] if isinstance(window, Param) else window
                reach = int(length.value) if length.kind is Kind.DURATION else None
            case Binary() | Elementwise() | Comparison() | Joined() | Negation():
                reach = reach_of(part.parts, parameters)
            case _:
                reach = None
        if reach is None:
            return None
        longest = max(longest, reach)
    return longest
