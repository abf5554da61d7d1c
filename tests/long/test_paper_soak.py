"""An hour of paper at 5,000 ticks/s with twenty cuts: memory and descriptors flat, every tick accounted for.

The session records its journal, as every session does: what it has taken must be in there, too, to the tick.

``SOAK_SECONDS`` shortens the hour, to 150 at least: connections that live for less than 5 s make the feed ever more
patient, and it would be away for some of the cuts.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.config.settings import Found, load
from engine.journal.codec import is_input
from engine.journal.reader import JournalReader
from engine.live.recording import open_journal
from engine.live.session import PaperSession
from engine.model import TickBlock
from engine.telemetry_wire import Snapshot
from feeds.ws import WebSocketFeed

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
RATE = 5_000
CUTS = 20
SETTLED = 0.25  # of the time: from then on nothing may grow
MIB = 1 << 20
GROWTH_BYTES = 8 * MIB

pytestmark = pytest.mark.long


async def test_an_hour_of_paper_with_twenty_cuts(
    record_property: Callable[[str, object], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    weather = f"calm {SECONDS / (CUTS + 0.5) - 1:.3f}s, disconnect"
    command = ["--port", "0", "--quiet", "--exit-with-parent", "--rate", str(RATE), "--weather", weather]
    process, sizes, at_the_end = psutil.Process(), [], []
    with subprocess.Popen(
        [sys.executable, "-m", "mock_server", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as market:
        assert market.stdout is not None
        address = market.stdout.readline().split()[-1]
        feed = WebSocketFeed(address)
        assert await feed.connected(10.0)

        def look(snapshot: Snapshot) -> None:
            into_s = (snapshot.engine_ts_ns - snapshot.started_ts_ns) / 1e9
            if into_s >= SECONDS * SETTLED and (not sizes or into_s - sizes[-1][0] >= SECONDS / 100):
                sizes.append((into_s, process.memory_info().rss, process.num_fds()))
            if into_s >= SECONDS and not session.stop.is_set():
                at_the_end.append(feed.health())
                session.stop.set()

        config = load({"strategy.name": Found("momentum_burst", "test")}).config
        journal = open_journal(config, feed.instruments, "soak", mode="PAPER", clock=str(feed.clock))
        session = PaperSession(config, feed, mode="PAPER", on_snapshot=look, journal=journal)
        async with asyncio.timeout(SECONDS + 60):
            await session.run("soak")
        assert journal is not None
        journal.close(session.ended)
        await feed.close()
        market.terminate()
    (health,) = at_the_end  # what comes while it ends belongs to nobody
    taken = health.accepted - health.queue_ticks
    growth = max(rss for _, rss, _ in sizes) - sizes[0][1]
    reader = JournalReader(journal.directory)
    inputs = (entry.event() for entry in reader if is_input(entry.kind))
    recorded = sum(len(event) for event in inputs if isinstance(event, TickBlock))
    latency = session.view.latency
    for name, value in {
        "seconds": SECONDS,
        "ticks": f"{taken:,}",
        "ticks in the journal": f"{recorded:,}",
        "cuts": health.reconnects,
        "memory after a quarter MiB": round(sizes[0][1] / MIB, 1),
        "growth from there KiB": growth // 1024,
        "descriptors": sorted({descriptors for _, _, descriptors in sizes}),
        "trades": len(session.kernel.trades),
        "p50 us": round(latency.percentile_us(50), 1),
        "p99 us": round(latency.percentile_us(99), 1),
    }.items():
        record_property(name, value)
    assert health.reconnects in (CUTS, CUTS + 1)  # the clocks of market and session do not begin together
    assert health.offered == health.accepted + sum(health.rejected.values())
    assert (health.rejected, health.bad_frames) == ({}, {})
    assert session.kernel.core.trades_seen == recorded == taken > RATE * SECONDS * 0.8
    assert reader.sealed
    assert health.gaps == health.reconnects
    assert growth <= GROWTH_BYTES
    assert len({descriptors for _, _, descriptors in sizes}) <= 3, "one more while connected, or a segment is retired"
