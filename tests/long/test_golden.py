"""The fifty golden sessions, replayed by engines that gcc and clang have built: every decision hash is the same.

Each is replayed as it was recorded, in one batch, and cut at random, under two hash seeds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.sessions import SESSIONS, expected, journal_in, play
from tests.golden.test_sessions import one_answer, replayed
from tests.long.trees import build, copy_tree

pytestmark = pytest.mark.long

HASH_SEEDS = ("1", "20260401")
NAMES = {"gcc": "GCC", "clang": "clang version"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """All fifty, played now: they decide what is written in the repository."""
    below = tmp_path_factory.mktemp("golden")
    folders = [below / f"golden{number:02}" for number in range(SESSIONS)]
    assert [play(number, folder).decision_hash for number, folder in enumerate(folders)] == expected()
    return [journal_in(folder) for folder in folders]


@pytest.mark.parametrize("compiler", NAMES)
def test_every_decision_is_the_same_under_another_compiler(
    compiler: str, recorded: list[Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: on Debian and Ubuntu, apt-get install {compiler}")
    tree = copy_tree(tmp_path / compiler)
    for built in (tree / "engine").rglob("*.so"):
        built.unlink()
    build(tree, compiler)
    for hash_seed in HASH_SEEDS:
        found = replayed(recorded, hash_seed, tree)
        assert all(str(session["compiler"]).startswith(NAMES[compiler]) for session in found)
        assert one_answer(found) == expected()
    record_property("sessions", SESSIONS)
    record_property("compiler", found[0]["compiler"])
    record_property("hash seeds", len(HASH_SEEDS))
