"""As ``tests/props/test_random_trading.py`` has some hundreds of, so many runs drawn at random: ``RANDOM_RUNS``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.props.random_trading import case_of, play

pytestmark = pytest.mark.long

RUNS = int(os.environ.get("RANDOM_RUNS", "20000"))


def test_random_trading(record_property: Callable[[str, object], None]) -> None:
    seen, broken = Counter[str](), list[str]()
    for seed in range(1_000_000, 1_000_000 + RUNS):
        case = case_of(seed)
        if case is None:
            seen["not declared"] += 1
            continue
        try:
            kernel = play(case)
        except AssertionError as wrong:
            broken.append(f"seed {seed}: {wrong}")
            continue
        seen["trades"] += len(kernel.trades)
        seen.update(trade.reason.value for trade in kernel.trades)
    record_property("runs", f"{RUNS:,}")
    for name, times in seen.most_common():
        record_property(name, f"{times:,}")
    assert not broken, "\n".join(broken[:20])
    assert seen["trades"] > RUNS
