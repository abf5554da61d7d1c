"""Exact features on 100,000 random trades, wild at first and calm then, a few of 10**9 lots among the small ones.

At trades all over the stream the window is taken from the trades themselves and the feature computed afresh in
fractions. Nothing is carried from one trade to the next, as a running sum in doubles would carry its error.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from random import Random

import numpy as np
import pytest

import engine
from engine import rules as r
from engine.rules import Expr
from tests.oracle import catalogue as cat
from tests.oracle import catalogue_windows as win
from tests.oracle.catalogue import Market, Record
from tests.oracle.catalogue_cases import OPEN_NS, S
from tests.oracle.catalogue_streams import columns_of

TRADES = 100_000
SPIKE_LOTS = 10**9
CHECKED = [*range(0, TRADES, 499), TRADES - 1]
WINDOWS = {
    "2s": (r.seconds(2), cat.time_window(2 * S)),
    "50 trades": (r.ticks(50), cat.count_window(50)),
    "since high": (r.since_high, cat.since_high),
}
FEATURES: dict[str, tuple[Callable[..., Expr], win.Feature]] = {
    name: (getattr(r, name), getattr(win, name))
    for name in (
        "change",
        "volume",
        "trade_count",
        "mean_size",
        "size_ratio",
        "first_price",
        "highest",
        "lowest",
        "price_range",
        "mean",
        "variance",
        "vwap",
        "time_since_high",
        "time_since_low",
    )
}


@cache
def records() -> list[Record]:
    """Four days, of which each ends calmer than it begins."""
    rng = Random(7)
    now, price, made = OPEN_NS, 1_000_000, list[Record]()
    for number in range(TRADES):
        now += rng.choice([0, 1, 20, 40, 100, 250, 60_000 if number % 5_000 == 0 else 40]) * 1_000_000
        reach = 20_000 if number % 25_000 < 5_000 else 2
        price = max(500_000, price + rng.randint(-reach, reach))
        made.append(Record(now, price, SPIKE_LOTS if rng.random() < 0.001 else rng.randint(1, 500)))
    return made


@cache
def market() -> Market:
    return cat.market(records(), tick=Fraction(1, 100))


@cache
def columns() -> dict[str, np.ndarray]:
    written = {
        f"{name}({label})": feature(window)
        for name, (feature, _) in FEATURES.items()
        for label, (window, _) in WINDOWS.items()
    }
    return engine.features(columns_of(records()), written, price_precision=2)


@cache
def checked_windows(label: str) -> list[list[cat.Trade] | None]:
    """The trades of the window at each trade that is checked."""
    m = market()
    held = (WINDOWS[label][1](m, at) for at in CHECKED[:: 20 if label == "since high" else 1])
    return [None if trades is None else [m.trades[i] for i in trades] for trades in held]


@pytest.mark.parametrize("label", WINDOWS)
@pytest.mark.parametrize("name", FEATURES)
def test_exact(name: str, label: str) -> None:
    """To the bit while numerator and denominator are below 2**53; beyond, each is rounded first: to an ulp."""
    checked = CHECKED[:: 20 if label == "since high" else 1]
    spiked = 0
    for at, trades in zip(checked, checked_windows(label), strict=True):
        got = columns()[f"{name}({label})"][at]
        want = None if trades is None else FEATURES[name][1](trades)
        if want is None or trades is None:
            assert np.isnan(got), at
            continue
        parts: dict[str, Callable[[], float]] = {  # what is divided, in ticks and lots
            "vwap": lambda held=trades: 100 * sum(float(trade.price * trade.size) for trade in held),
            "variance": lambda held=trades, value=want: float(value) * 10**4 * len(held) ** 2,
        }
        if name in parts and parts[name]() >= 2**53:
            np.testing.assert_array_max_ulp(got, float(want), maxulp=1)
        else:
            assert got == float(want), at
        spiked += any(trade.size == SPIKE_LOTS for trade in trades)
    assert spiked > 3
