"""Recorded sessions decide what they decided: played again, replayed in other batches, under other hash seeds.

``make long`` does so with all fifty, under gcc and clang (``tests/long/test_golden.py``). Whoever means to change what
is decided, or how it is written down, runs ``python -m tests.golden.sessions`` and says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.journal.reader import JournalReader
from engine.live.replay import Replay
from tests.golden.sessions import KEPT, SESSIONS, expected, journal_in, kept, play

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = (3, 7, 16, 28)
"""Of the kinds that decide most: stops that follow, a line-up of three, waiting orders, every trade looked at."""


def replayed(directories: Sequence[Path], hash_seed: str, tree: Path = ROOT) -> list[dict[str, object]]:
    """What a process of its own decides on these sessions, with the engine of ``tree``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.replayed", *map(str, directories)],
        cwd=tree,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def one_answer(found: Sequence[dict[str, object]]) -> list[str]:
    """The decision hash of each session, which is the same in every way of replaying it; and so is the state."""
    hashes = []
    for session in found:
        ways = session["ways"]
        assert isinstance(ways, dict)
        answers = {tuple(answer) for answer in ways.values()}
        assert len(answers) == 1, f"how records are cut changed a decision: {session}"
        hashes.append(answers.pop()[0])
    return hashes


def test_there_are_fifty() -> None:
    assert len(expected()) == len(set(expected())) == SESSIONS == 50


@pytest.mark.parametrize("first", range(0, SESSIONS, 10))
def test_all_of_them_decide_what_is_written(first: int, tmp_path: Path) -> None:
    """Fewer than all would let one of them change without a word, as one did."""
    numbers = range(first, first + 10)
    found = {number: play(number, tmp_path / str(number)).decision_hash for number in numbers}
    assert found == {number: expected()[number] for number in numbers}, "meant? then: python -m tests.golden.sessions"


@pytest.mark.parametrize("number", SAMPLE)
def test_a_session_played_again_decides_the_same(number: int, tmp_path: Path) -> None:
    report = play(number, tmp_path)
    assert report.trades >= 10
    assert report.decision_hash == expected()[number], "meant? then: python -m tests.golden.sessions"
    replay = Replay(journal_in(tmp_path))
    replay.check_whole()
    assert replay.difference() is None


def test_what_was_written_once_is_read_and_decided_alike(tmp_path: Path) -> None:
    """The journals in the repository: their bytes, not what today's code would write."""
    directories = [kept(number, tmp_path) for number in KEPT]
    for number, directory in zip(KEPT, directories, strict=True):
        assert JournalReader(directory).check().summary["decision_hash"] == expected()[number]
        assert Replay(directory).difference() is None
    for hash_seed in ("0", "20260401"):
        assert one_answer(replayed(directories, hash_seed)) == [expected()[number] for number in KEPT]
