"""What a session leaves on the disk is its owner's alone, whatever the shell's mask allows (reliability.md, H8)."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


@pytest.fixture
def open_mask() -> Iterator[None]:
    """Let everybody do everything, unless a program sees to it itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, str]:
    """The mode of everything under a directory, and of itself, by what it is called there."""
    found = [root, *root.rglob("*")]
    return {str(path.relative_to(root.parent)): oct(stat.S_IMODE(path.lstat().st_mode)) for path in found}


def test_journal_account_database_log_and_runtime_directory(
    start: Callable[..., Running], open_mask: None, tmp_path: Path
) -> None:
    (tmp_path / "empty" / "microburst.toml").write_text('[journal]\ndatabase = "../kept/trades.db"\n')
    engine = start("engine", "--paper", "--json", "--mock-rate", "1000", "--feed", "embedded", "-v")
    engine.line('{"event":"status"')
    runtime = modes(tmp_path / "run")
    assert engine.end(signal.SIGTERM).code == 143
    state = tmp_path / "home" / "state" / "microburst"
    found = runtime | modes(state) | modes(tmp_path / "kept")
    assert {name.rpartition(".")[2] for name in found} >= {"mbj", "json", "db", "log"}
    assert {Path(name).name for name in runtime} >= {"run"}
    assert len(runtime) >= 4  # itself, the endpoint, what controls it, its health
    wrong = {
        name: mode
        for name, mode in found.items()
        if mode != ("0o700" if "." not in Path(name).name and "lock" not in name else "0o600")
        and not (mode == "0o700" and Path(name).name.startswith("2"))
    }
    assert wrong == {}
