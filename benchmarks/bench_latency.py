"""From the socket to the decision: how long a tick takes from its receive stamp until the kernel has decided on it.

A whole paper session (feed, kernel, risk, venue, telemetry server) runs in this process, the mock market in one of its
own, a loopback socket between them. The stamp is taken when the frame leaves the WebSocket library, the decision when
the kernel has worked through the frame's last tick; each tick counts with the time of its frame.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.live import mock_market
from engine.config.settings import load
from engine.live.session import PaperSession
from feeds.ws import WebSocketFeed

SECONDS = 4.0


async def watched_session(address: str) -> PaperSession:
    """Trade for ``SECONDS`` and return the session, which has the latencies."""
    feed = WebSocketFeed(address)
    try:
        assert await feed.connected(10.0)
        session = PaperSession(load().config, feed, mode="PAPER", on_snapshot=lambda _: None)
        asyncio.get_running_loop().call_later(SECONDS, session.stop.set)
        await session.run("benchmark")
    finally:
        await feed.close()
    health = feed.health()
    assert health.offered == health.accepted
    assert not health.gaps
    return session


@pytest.mark.parametrize("rate", [1_000, 5_000, 10_000])
def bench_socket_to_decision(
    benchmark: BenchmarkFixture, rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tick-to-decision percentiles in microseconds at so many ticks per second."""
    import uvloop

    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    with mock_market("--rate", str(rate)) as address:
        session = benchmark.pedantic(lambda: uvloop.run(watched_session(address)), rounds=1)
    latency = session.view.latency
    benchmark.extra_info["ticks"] = latency.count
    for percent in (50, 99, 99.9):
        benchmark.extra_info[f"p{percent:g}_us"] = round(latency.percentile_us(percent), 1)
