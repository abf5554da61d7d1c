"""A session that dies after any record of its journal goes on as if it had not: nothing lost, nothing twice."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.events import OrderSubmitted, Resumed
from engine.journal.reader import JournalReader
from engine.live.replay import Replay
from tests.crash.crashing import (
    INSTRUMENTS,
    begin,
    bring_back,
    bury,
    config,
    die_after,
    inputs,
    journal_of,
    play,
    records,
)

SEEDS = 4


def state(recorded) -> tuple[object, ...]:
    """Everything about an account that a user could see, and what its lanes wait for."""
    kernel = recorded.kernel
    everywhere = range(len(INSTRUMENTS))
    lanes = [
        (lane.in_position, lane.stop_ticks, lane.target_ticks, lane.deadline_ns, lane.cooldown_left, lane.entry)
        for lane in kernel.lanes
    ]
    return (
        kernel.core.equity,
        kernel.core.drawdown,
        kernel.portfolio.realised,
        kernel.portfolio.positions,
        kernel.trades,
        [kernel.core.quote(index) for index in everywhere],
        lanes,
        kernel.risk.state,
        dict(kernel.counters.refusals),
        kernel.next_deadline_ns,
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_dying_at_every_append(tmp_path: Path, seed: int) -> None:
    settings, events = config(tmp_path), inputs(seed)
    whole = begin(settings, "whole")
    assert play(whole, events)
    expected, uninterrupted = state(whole), journal_of(whole).directory
    journal_of(whole).leave()
    written = records(uninterrupted)
    assert sum(kind >= 64 for kind, _ in written) > 20, "it decided on something"
    recovered = 0
    for appends in range(1, len(written) + 1):
        dying = begin(settings, f"{appends:04}")
        die_after(journal_of(dying), appends)
        assert not play(dying, events)
        bury(journal_of(dying))
        recovery, again = bring_back(journal_of(dying).directory)
        recovered += 1
        assert recovery.inputs == sum(kind < 64 for kind, _ in written[:appends])
        assert play(again, events[recovery.inputs :])
        assert state(again) == expected, f"after {appends} records"
        journal_of(again).leave()
        assert records(recovery.reader.directory) == written, f"after {appends} records"
    assert recovered == len(written)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_dying_again_and_again(tmp_path: Path, seed: int) -> None:
    """Each life is short; the seams say where one ended, and the whole replays as one session."""
    random, settings, events = Random(seed), config(tmp_path), inputs(seed, 120)
    living, lives, at = begin(settings, "cat"), 1, 0
    directory = journal_of(living).directory
    while True:
        die_after(journal_of(living), random.randrange(1, 60))
        if play(living, events[at:]):
            break
        bury(journal_of(living))
        recovery, living = bring_back(directory)
        at = recovery.inputs - (lives - 1)  # a seam is an input, too
        lives += 1
        living.process(Resumed(recovery.kernel.core.engine_ts_ns + random.randrange(1, 10_000_000_000)))
    assert lives > 5
    journal_of(living).close("done")
    ids = [one.event().order_id for one in JournalReader(directory) if one.name == OrderSubmitted.__name__]
    assert ids == list(range(1, len(ids) + 1))
    assert ids, "it traded"
    replay = Replay(directory)
    replay.check_whole()
    assert replay.reader.sealed
    assert replay.difference() is None
    assert replay.replayed.decisions == replay.recorded.decisions
    assert replay.kernel.trades == living.kernel.trades
    assert sum(one.name == Resumed.__name__ for one in JournalReader(directory)) == lives - 1
