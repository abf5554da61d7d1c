"""A million random sequences of trading under random limits, watched by an observer of the journal.

They are played by as many processes as there are cores, ``PER_TASK`` at a time, and after each of these a line says how
far it is: a run that is interrupted has told what it has shown. ``RISK_SEQUENCES`` changes how many are played, and
``RISK_FIRST`` from which seed on, so that one may be gone on with.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.props.risk_sequences import play

SEQUENCES, PER_TASK = int(os.environ.get("RISK_SEQUENCES", "1000000")), 5_000
FIRST_SEED = int(os.environ.get("RISK_FIRST", "1000000"))  # those below are drawn in every test run


def play_several(seeds: range) -> tuple[int, list[str]]:
    """Play these sequences; return how many entries were judged, and every breach with its seed."""
    entries, breaches = 0, []
    for seed in seeds:
        observer = play(seed)
        entries += observer.entries
        breaches += [f"seed {seed}: {name}" for name in observer.breaches]
    return entries, breaches


@pytest.mark.long
def test_a_million_sequences_and_not_one_limit_exceeded(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    end, entries, breaches = FIRST_SEED + SEQUENCES, 0, []
    parts = [range(first, min(first + PER_TASK, end)) for first in range(FIRST_SEED, end, PER_TASK)]
    with ProcessPoolExecutor() as pool:
        for part, (judged, found) in zip(parts, pool.map(play_several, parts), strict=True):
            entries += judged
            breaches += found
            with capsys.disabled():
                print(
                    f"\nseeds {FIRST_SEED:,} to {part[-1]:,}: {entries:,} entries judged, {len(breaches)} exceeded",
                    end="",
                )
    record_property("sequences", f"{SEQUENCES:,}")
    record_property("entries judged", f"{entries:,}")
    record_property("limits exceeded", len(breaches))
    assert not breaches, breaches[:10]
