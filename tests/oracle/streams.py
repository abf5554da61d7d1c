"""Small made-up tick streams that reach the rule's corners: equal times, late records, gaps, days, tiny prices.

They come in two kinds: from a seeded generator (many, long, the same every time) and from hypothesis (which finds and
shrinks counter-examples). Times move in milliseconds and start half a minute before midnight UTC; prices stay near 1000
ticks of 0.01, so that a step of a few ticks crosses the thresholds and some steps land on them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.oracle.momentum_burst import DAY_NS, SECOND_NS, Params

START_NS = 19_000 * DAY_NS - 30 * SECOND_NS
PRICE_PRECISION = 2

Step = tuple[
    int, int, int, int, int
]  # ms since the latest tick (negative: a late record), price change, size, bid below, ask above

GAPS_MS = [-1500, -1, 0, 0, 0, 1, 40, 100, 100, 250, 250, 500, 700, 1000, 1001, 2500]
GRID_MS = [0, 0, 0, 250, 250, 500, 500, 1000, 2000]  # entries, deadlines and ticks at the very same instants
RARE_GAPS_MS = [9_000, 40_000, 86_360_000, 86_380_000, 86_390_000]  # the last three: to the next midnight's eve
CHANGES = [-11, -10, -6, -5, -3, -1, 0, 0, 0, 1, 3, 5, 6, 10, 11]
SIZES = [1, 1, 1, 2, 10, 80, 400]


@dataclass(frozen=True, slots=True)
class Stream:
    """Columns of equal length as Python integers."""

    ts_ns: tuple[int, ...]
    price_ticks: tuple[int, ...]
    size_lots: tuple[int, ...]
    bid_ticks: tuple[int, ...]
    ask_ticks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ts_ns)

    def columns(self, *, quotes: bool) -> dict[str, np.ndarray]:
        """Return the columns as int64 arrays by name."""
        names = ["ts_ns", "price_ticks", "size_lots", *(["bid_ticks", "ask_ticks"] if quotes else [])]
        return {name: np.array(getattr(self, name), dtype=np.int64) for name in names}


def stream_from(steps: list[Step]) -> Stream:
    """Return the stream that makes these steps; prices turn back at 950 and 1050."""
    rows = []
    now, price = START_NS, 1000
    for gap_ms, change, size, below, above in steps:
        ts_ns = now + gap_ms * 1_000_000
        now = max(now, ts_ns)
        price = min(max(price + change, 950), 1050)
        rows.append((ts_ns, price, size, price - below, price + max(above, 1)))
    return Stream(*zip(*rows, strict=True))


def random_stream(rng: Random, length: int) -> Stream:
    """Return a stream with spells of calm and of one-sided hurry, some of them all on quarters of a second."""
    steps: list[Step] = []
    calm, hurried = (GRID_MS, GRID_MS) if rng.random() < 0.5 else (GAPS_MS, GAPS_MS[:12])
    drift = 0
    while len(steps) < length:
        if rng.random() < 0.08:
            drift = rng.choice([-1, 0, 0, 1])
        hurry = drift != 0
        gap = rng.choice(RARE_GAPS_MS) if rng.random() < 0.03 else rng.choice(hurried if hurry else calm)
        change = drift * rng.choice([0, 1, 2, 5]) if hurry else rng.choice(CHANGES)
        steps.append((gap, change, rng.choice(SIZES[3:] if hurry else SIZES), rng.randint(0, 2), rng.randint(1, 3)))
    return stream_from(steps)


def random_params(rng: Random) -> Params:
    """Return coarse settings under which such streams trade."""
    return Params(**{name: rng.choice(values) for name, values in CHOICES.items()})


CHOICES: dict[str, list[Any]] = {
    "window_ns": [SECOND_NS, 2 * SECOND_NS, 2_345_678_901, 5 * SECOND_NS],
    "surge_window_ns": [SECOND_NS // 4, SECOND_NS // 2, SECOND_NS],
    "entry_threshold": [Fraction("0.001"), Fraction("0.005"), Fraction("0.0049999999")],
    "guard": [Fraction("0.001"), Fraction("0.005"), Fraction("0.01")],
    "volume_spike": [Fraction("0.5"), Fraction(1), Fraction("1.5"), Fraction("2.25")],
    "profit_target": [Fraction("0.003"), Fraction("0.01"), Fraction("0.02")],
    "stop_loss": [Fraction("0.003"), Fraction("0.005"), Fraction("0.02")],
    "time_stop_ns": [0, SECOND_NS, 2 * SECOND_NS, 2_500_000_000, 8 * SECOND_NS],
    "flat_candles": [0, 1, 2, 3],
    "cooldown_signals": [0, 1, 2],
    "direction": ["both", "both", "long", "short"],
    "daily_loss_limit": [Fraction("0.05"), Fraction("0.05"), Fraction("0.01")],
    "starting_cash": [Fraction(10_000), Fraction(10), Fraction(3)],
    "position_size": [Fraction(1), Fraction(3)],
}


def params_strategy() -> st.SearchStrategy[Params]:
    """Every combination of the coarse settings."""
    return st.builds(Params, **{name: st.sampled_from(values) for name, values in CHOICES.items()})


def stream_strategy(max_ticks: int = 80) -> st.SearchStrategy[Stream]:
    """Streams of up to ``max_ticks`` ticks; they shrink towards few ticks without change."""
    step = st.tuples(
        st.sampled_from([0, 100, 250, 500, 1000, 1, 1001, 2500, -1, -1500, *RARE_GAPS_MS]),
        st.sampled_from([0, 1, -1, 5, -5, 10, -10, 3, -3, 11, -11]),
        st.sampled_from([1, 400, 2, 10, 80]),
        st.integers(0, 2),
        st.integers(1, 3),
    )
    return st.lists(step, min_size=2, max_size=max_ticks).map(stream_from)
