"""Whatever a venue sends and the line does to it: what is taken, refused and disclosed is what is promised."""

from __future__ import annotations

from collections import Counter

import pytest

from engine._wire import REJECT_REASONS
from engine.ports import FeedState
from tests.props.random_feed import play

SEEDS = 80
LONG_SEEDS = 8_000
PARTS = 4
BY_THE_QUEUE = {"", "coalesced", "queue_overflow"}


@pytest.mark.parametrize("part", range(PARTS))
def test_a_feed_makes_of_anything_what_the_reference_says(part: int) -> None:
    seen = play_all(range(part, SEEDS, PARTS))
    wanted = {*REJECT_REASONS, "rows", "late", "bad_frames", str(FeedState.STALE), str(FeedState.GAP)} - BY_THE_QUEUE
    assert not [name for name in wanted if not seen[name]], seen
    assert seen["rows"] > SEEDS // PARTS * 50


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_thousands_of_venues() -> None:
    assert play_all(range(SEEDS, SEEDS + LONG_SEEDS))["rows"] > LONG_SEEDS * 50


def play_all(seeds: range) -> Counter[str]:
    """Play cases; return what has happened in them."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            run = play(seed)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        health = run.feed.health()
        seen.update(health.rejected)
        seen.update(map(str, run.states))
        seen.update(rows=len(run.rows), late=health.late, bad_frames=sum(health.bad_frames.values()))
    return seen
