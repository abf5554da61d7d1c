"""A million random sequences of trading under random limits, watched by an observer of the journal.

``RISK_SEQUENCES`` changes how many, in thousands of five.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.props.risk_sequences import play

SEQUENCES, PER_TASK = int(os.environ.get("RISK_SEQUENCES", "1000000")), 5_000
FIRST_SEED = 1_000_000  # those below are drawn in every test run


def play_several(first: int) -> tuple[int, list[str]]:
    """Play ``PER_TASK`` sequences; return how many entries were judged, and every breach with its seed."""
    entries, breaches = 0, []
    for seed in range(first, first + PER_TASK):
        observer = play(seed)
        entries += observer.entries
        breaches += [f"seed {seed}: {name}" for name in observer.breaches]
    return entries, breaches


@pytest.mark.long
def test_a_million_sequences_and_not_one_limit_exceeded(record_property: Callable[[str, object], None]) -> None:
    entries, breaches = 0, []
    with ProcessPoolExecutor() as pool:
        for judged, found in pool.map(play_several, range(FIRST_SEED, FIRST_SEED + SEQUENCES, PER_TASK)):
            entries += judged
            breaches += found
    record_property("sequences", f"{SEQUENCES:,}")
    record_property("entries judged", f"{entries:,}")
    record_property("limits exceeded", len(breaches))
    assert not breaches, breaches[:10]
