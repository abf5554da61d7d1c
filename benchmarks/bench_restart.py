"""How long a restart takes: from exec until an interrupted session of ten million ticks has been brought back.

The journal is made by the kernel that trades on these ticks, in reads of so many each, with the snapshots that a
session takes; the restarted engine is a process of its own, as a user starts it, on a mock market. Without a snapshot
every decision is made again and held against the recorded, with one those that came after it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.live import mock_market
from benchmarks.scale import scaled
from engine.config.settings import Found, load
from engine.journal.accounts import Account
from engine.live.recording import RecordedKernel, open_journal
from engine.live.recovery import Recovery
from engine.live.session import PaperSession
from engine.live.snapshots import Snapshots
from engine.model import Instrument, TickBlock

TICKS = 10_000_000
SECOND_NS = 1_000_000_000
STEP_NS = 5_000_000
BURST_EVERY, BURST_LENGTH = 20_000, 1_000
INSTRUMENTS = [Instrument("AAPL", 2, 0)]


def record(root: Path, rows: int) -> Path:
    """The journal of a session that was interrupted after so many ticks, up to now, read ``rows`` at a time."""
    count = scaled(TICKS)
    random = np.random.default_rng(1)
    step_ns = min(STEP_NS, 20 * 3600 * SECOND_NS // count)
    ts_ns = time.time_ns() - step_ns * np.arange(count, 0, -1, dtype=np.int64)
    burst = np.arange(count) % BURST_EVERY < BURST_LENGTH  # up in one, down in the next, on eight times the volume
    drift = np.where(np.arange(count) // BURST_EVERY % 2, -1, 1) * (burst & (random.random(count) < 0.2))
    price = 100_000 + np.cumsum(random.integers(-1, 2, count) * (random.random(count) < 0.1) + drift)
    size = random.integers(1, 400, count) * np.where(burst, 8, 1)
    config = load({"journal.directory": Found(str(root), "benchmark")}).config
    journal = open_journal(config, INSTRUMENTS, "20260101-000000", mode="PAPER", clock="receive")
    assert journal is not None
    kernel = RecordedKernel(PaperSession.make_kernel(config, INSTRUMENTS, journal), journal)
    snapshots = Snapshots(kernel, journal)
    block = TickBlock(ts_ns, price, size, price - 1, price + 1, instrument=np.zeros(count, np.uint16))
    for start in range(0, count, rows):
        kernel.process(block.part(start, min(start + rows, count)))
        snapshots.look()
    journal.leave()
    account = Account(root, config.paper.account)
    account.begin(journal.directory.name, time.time_ns())
    account.release()
    return journal.directory


@pytest.mark.parametrize("snapshot", [True, False], ids=["snapshot", "journal"])
@pytest.mark.parametrize("rows", [50, 5])
def bench_restart(benchmark: BenchmarkFixture, rows: int, snapshot: bool, tmp_path: Path) -> None:
    """Seconds from exec until the engine says that it goes on, and how many of them bringing back took."""
    directory = record(tmp_path / "journal", rows)
    snapshots = {path: path.read_bytes() for path in directory.glob("*.mbs")} if snapshot else {}

    def as_it_died() -> None:
        """The engine that was restarted last may have taken a snapshot of its own."""
        for path in directory.glob("*.mbs"):
            path.unlink()
        for path, data in snapshots.items():
            path.write_bytes(data)

    environment = os.environ | {
        "MICROBURST_RUNTIME_DIR": str(tmp_path / "run"),
        "MICROBURST__JOURNAL__DIRECTORY": str(directory.parent),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    with mock_market("--rate", "1") as address:
        processor_s: list[float] = []
        command = [sys.executable, "-m", "engine", "--paper", "--feed", address, "--json"]

        def restart() -> dict[str, object]:
            before = os.times()
            engine = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            assert engine.stdout is not None
            try:
                told: dict[str, object] = json.loads(engine.stdout.readline())
            finally:
                engine.kill()
                engine.communicate()
            after = os.times()
            user_s, system_s = (getattr(after, of) - getattr(before, of) for of in ("children_user", "children_system"))
            processor_s.append(user_s + system_s)
            return told

        told = benchmark.pedantic(restart, setup=as_it_died, rounds=3, warmup_rounds=1)
    assert told["event"] == "recovered"
    assert int(str(told["ticks"])) >= scaled(TICKS)  # a restarted engine may have had one more before it was killed
    as_it_died()
    begun = time.perf_counter()
    recovery = Recovery(directory)
    benchmark.extra_info["brought_back_s"] = round(time.perf_counter() - begun, 3)
    benchmark.extra_info["ticks"] = recovery.ticks
    benchmark.extra_info["inputs"] = recovery.inputs
    benchmark.extra_info["decisions"] = recovery.decided
    benchmark.extra_info["processor_s"] = min(processor_s)  # what the restart takes where nothing else runs
    benchmark.extra_info["snapshot_kib"] = max((len(data) for data in snapshots.values()), default=0) >> 10
    benchmark.extra_info["journal_mib"] = sum(path.stat().st_size for path in directory.glob("*.mbj")) >> 20
