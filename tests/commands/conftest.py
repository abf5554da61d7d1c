"""Runs the commands as a user does: as processes, in an empty directory, with an empty home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The only line on standard error, of a command that failed."""
        assert "Traceback" not in self.out + self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Running:
    """A command that runs until it is told to stop. It is killed when the test ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self, beginning: str) -> str:
        """Return the next line of standard output that begins so. The suite's timeout bounds the wait."""
        seen = []
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.strip()
            seen.append(line)
        raise AssertionError(f"no line {beginning!r} in {seen}; {self.process.stderr.read()}")

    def end(self, how: signal.Signals | None = None, timeout: float = 30) -> Ended:
        """Send a signal, if any, and wait for the end."""
        if how is not None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, out, err)


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Return an environment without settings of the machine's user."""
    home = tmp_path / "home"
    home.mkdir()
    ours = ("MICROBURST", "XDG", "PYTEST")  # settings, the user's folders, and this test run itself
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}
    return kept | {
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "QT_QPA_PLATFORM": "offscreen",
        "MICROBURST_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
    }


def ignores_hang_up() -> bool:
    """Whether this test run was started by ``nohup``."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def heed_hang_up() -> None:
    """Undo what ``nohup`` around the test run has done: a process inherits that it ignores the signal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path, environment) -> Iterator[Callable[..., Running]]:
    """Return a function that starts ``python -m`` with its arguments."""
    running = []
    directory = tmp_path / "empty"
    directory.mkdir()

    def start(*arguments: str, **more: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=directory,
            env=environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_hang_up if ignores_hang_up() else None,  # never without need: tests have threads
        )
        running.append(process)
        return Running(process)

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def run(start) -> Callable[..., Ended]:
    """Return a function that runs ``python -m`` with its arguments to the end."""

    def run(*arguments: str, timeout: float = 90) -> Ended:
        return start(*arguments).end(timeout=timeout)

    return run


@pytest.fixture
def market(start) -> str:
    """Start a mock market at many times the natural speed and return its address."""
    mock = start("mock_server", "--port", "0", "--rate", "200", "--speed", "20", "--quiet")
    return mock.line("listening ").removeprefix("listening ")
