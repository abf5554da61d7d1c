"""What holds for every test: nothing is written where the user of this machine keeps his own."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest
import structlog

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # tests start hundreds of commands: what these load is compiled once


@cache
def commit() -> str:
    """What is checked out, and whether it was changed since."""
    describe = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(describe, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()


def pytest_collection_finish() -> None:
    """Thousands of tests are no garbage: let no test, and no session in one, look through them again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What takes long is told with the commit that it ran at."""
    if item.get_closest_marker("long"):
        item.user_properties.append(("commit", commit()))


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One directory after the other. Asked of pytest, each would cost a look at all those of the tests before."""
    folder = tmp_path_factory.mktemp("states")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Undo what a test has set up of the log: its streams are closed when it is over."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture(autouse=True)
def own_state(states: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep logs and journals of the test in a directory of its own."""
    state = next(states)
    state.mkdir()
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(state))
    return state
