"""Several strategies and instruments at once: how the stream is cut, pushed or timed decides nothing."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import OrderCancelled, OrderRests, PositionClosed, PositionReduced, SignalRefused, SignalSkipped
from tests.props.kernel_runs import CASES, random_records, run


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["pieces", "singly", "pushed", "time"]))
def test_any_cut_gives_the_same_decisions(name: str, seed: int, cuts: str) -> None:
    rng = Random(seed)
    rows = random_records(rng, 700, 3 if "2" in str(CASES[name].strategies) else 2)
    rows = [row for row in rows if row[5] < len_instruments(name)]
    whole, _, journal = run(CASES[name], rows, "whole", rng)
    other, _, others = run(CASES[name], rows, cuts, rng)
    for mine, theirs in zip(journal.decisions, others.decisions, strict=False):
        assert mine == theirs
    assert whole == other


def len_instruments(name: str) -> int:
    return 1 + max(index for _, where in CASES[name].strategies for index in where)


@pytest.mark.parametrize("name", CASES)
def test_the_cases_do_trade(name: str) -> None:
    """Or else the property above says nothing."""
    seen: Counter[Any] = Counter()
    for seed in range(4):
        rng = Random(seed)
        rows = [row for row in random_records(rng, 3_000, 3) if row[5] < len_instruments(name)]
        _, _, journal = run(CASES[name], rows, "whole", rng)
        seen.update(str(d.reason) for d in journal.decisions if isinstance(d, PositionClosed))
        seen.update(type(d) for d in journal.decisions)
    assert sum(seen[reason] for reason in ("SL", "TP", "TIME", "FLAT", "RISK")) > 20, seen
    if "resting" in name:
        assert seen[OrderRests] > 20
        assert seen[PositionReduced] > 5
        assert seen[OrderCancelled] > 5
        return
    assert seen[SignalSkipped]
    if name in ("rivals on each", "late"):
        assert seen[SignalRefused]
    if name == "poor":
        assert seen["RISK"]
