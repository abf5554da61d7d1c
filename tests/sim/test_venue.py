"""A hundred spells of trading at a venue that lies; ``make long`` has ten thousand (``tests/long/test_worlds.py``).

A failing one is played again by ``pytest tests/sim -k venue --seed=N``.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.venue import run

SPELLS = 100

FAULTS = (
    "order lost",
    "hear lost",
    "filled lost",
    "fill told twice",
    "fill before ack",
    "fill after its end",
    "cancel refused, then filled",
    "bust",
    "bust before its fill",
    "rejected",
    "throttled",
    "came after it was asked about",
    "away",
    "unknown",
    "no room",
)


def play(seed: int) -> Counter[str]:
    try:
        return run(seed)
    except AssertionError as broken:
        raise AssertionError(f"{broken}\nagain: pytest tests/sim -k venue --seed={seed}") from broken


def check(happened: Counter[str], spells: int) -> None:
    """Everything that was to go wrong did: a fault that never happens tests nothing."""
    rare = {name: happened[name] for name in FAULTS if happened[name] < spells // 20}
    assert not rare, f"{rare} of {happened}"
    assert happened["orders"] > 30 * spells
    assert happened["fills"] > 30 * spells


def test_a_venue_that_lies(request: pytest.FixtureRequest) -> None:
    one = request.config.getoption("--seed", None)
    happened = sum((play(seed) for seed in (range(SPELLS) if one is None else [one])), Counter())
    if one is None:
        check(happened, SPELLS)
