"""How long an orderly end takes: from the signal until the journal is sealed and the process has gone.

Promised (reliability.md, G4): cancels are out within 1 s and the journal is sealed within 2 s.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.live import mock_market
from engine.journal.reader import JournalReader
from engine.journal.sessions import sessions

HOLDING = ("window=3s", "time_stop=60s", "stop_loss=50%", "profit_target=50%", "flat_candles=0")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def bench_stop(benchmark: BenchmarkFixture, how: signal.Signals, tmp_path: Path) -> None:
    """Seconds from the signal, sent while a position is open, until the engine has closed it and has gone."""
    environment = os.environ | {
        "MICROBURST_RUNTIME_DIR": str(tmp_path / "run"),
        "MICROBURST__JOURNAL__DIRECTORY": str(tmp_path / "journal"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    parameters = [word for one in HOLDING for word in ("--set", one)]
    with mock_market("--rate", "200", "--speed", "20") as address:
        command = [sys.executable, "-m", "engine", "--paper", "--feed", address, "--json", *parameters]

        def holding() -> tuple[tuple[subprocess.Popen[str]], dict[str, object]]:
            engine = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            assert engine.stdout is not None
            while '"event":"open"' not in engine.stdout.readline():
                assert engine.poll() is None, "it ended before it had opened anything"
            return (engine,), {}

        def stop(engine: subprocess.Popen[str]) -> None:
            engine.send_signal(how)
            engine.communicate(timeout=30)

        benchmark.pedantic(stop, setup=holding, rounds=3)
    kept = sessions(tmp_path / "journal")
    assert len(kept) == 3
    assert all(JournalReader(directory).end().sealed for directory in kept)
