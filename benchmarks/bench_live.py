"""From the mock market's socket: what it pushes to one client, what the feed takes, and how soon the kernel decides.

The mock runs as a process of its own. For throughput it runs at ``--speed max``, where it waits for its reader, so that
the figure is that of the slower of the two ends; start-up and greeting are not timed. For latency it keeps its natural
pace, and the time is that from the feed's receive stamp to the moment the kernel has taken the batch and decided.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from websockets.asyncio.client import connect

from benchmarks.live import mock_market
from benchmarks.scale import scaled

TICKS = scaled(500_000)


async def count_trades(address: str, wanted: int) -> float:
    """Read frames until so many trades have come, without decoding them; return the seconds that took."""
    loop = asyncio.get_running_loop()
    async with connect(address, compression=None, max_size=None, max_queue=64) as connection:
        await connection.recv(decode=False)
        begun, seen = loop.time(), 0
        while seen < wanted:
            frame = await connection.recv(decode=False)
            seen += frame.count(b'"T":"t"')
        return loop.time() - begun


async def feed_trades(address: str, wanted: int) -> float:
    """Take so many trades through the feed client; return the seconds that took."""
    from feeds.ws import WebSocketFeed

    loop = asyncio.get_running_loop()
    feed = WebSocketFeed(address)
    assert await feed.connected(10.0)
    begun, seen = loop.time(), 0
    async for batch in feed.batches():
        seen += len(batch.block) if batch.block is not None else 0
        if seen >= wanted:
            break
    seconds = loop.time() - begun
    await feed.close()
    health = feed.health()
    assert health.offered == health.accepted + sum(health.rejected.values())
    assert not health.rejected
    return seconds


@pytest.mark.parametrize("reader", [count_trades, feed_trades], ids=["bytes", "feed"])
@pytest.mark.parametrize("symbols", ["AAPL", "AAPL,MSFT,SPY,BTCUSD"], ids=["one", "four"])
def bench_mock_throughput(benchmark: BenchmarkFixture, reader: object, symbols: str) -> None:
    """Trades per second from the mock to one client: raw frames, and decoded by the feed."""
    import uvloop

    with mock_market("--speed", "max", "--symbols", symbols, "--rate", "100000") as address:
        timed = lambda: uvloop.run(reader(address, TICKS))  # type: ignore[operator] # noqa: E731
        benchmark.pedantic(timed, rounds=3)
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["ticks_per_second"] = round(TICKS / seconds)


LATENCY_RATE = 5_000
LATENCY_TICKS = 20_000


async def decide(address: str, wanted: int) -> list[int]:
    """Run momentum burst on so many live trades; return the nanoseconds from receipt to decision, batch by batch."""
    from fractions import Fraction

    from engine.backtesting import Settings, make_kernel, make_strategy
    from engine.brokers.paper import VenueModel
    from engine.journal.writer import MemoryJournal
    from feeds.ws import WebSocketFeed

    feed = WebSocketFeed(address)
    assert await feed.connected(10.0)
    settings = Settings(
        venue=VenueModel(fills="touch"),
        calendar="always",
        starting_cash=Fraction(10_000),
        position_size=Fraction(1),
    )
    kernel = make_kernel(feed.instruments, make_strategy("momentum_burst", {}), settings, MemoryJournal())
    delays, seen = [], 0
    async for batch in feed.batches():
        if batch.block is None:
            continue
        kernel.process(batch.block)
        delays.append(time.monotonic_ns() - batch.received_ns)
        seen += len(batch.block)
        if seen >= wanted:
            break
    await feed.close()
    return delays


def bench_socket_to_decision(benchmark: BenchmarkFixture) -> None:
    """At 5,000 trades a second: the latencies are in ``extra_info``; the time of the run is just its length."""
    import uvloop

    with mock_market("--rate", str(LATENCY_RATE)) as address:
        delays: list[Any] = sorted(
            benchmark.pedantic(lambda: uvloop.run(decide(address, LATENCY_TICKS)), rounds=1, warmup_rounds=0)
        )
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        benchmark.extra_info[f"{name}_us"] = round(delays[min(int(len(delays) * share), len(delays) - 1)] / 1000, 1)
    benchmark.extra_info["batches"] = len(delays)
