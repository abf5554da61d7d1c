"""From the mock market's socket: what it can push to one client, and what the feed can take and decode.

The mock runs as a process of its own, at ``--speed max``, where it waits for its reader; so the figure is that of the
slower of the two ends. Start-up and greeting are not timed.
"""

from __future__ import annotations

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from websockets.asyncio.client import connect

from benchmarks.live import mock_market

TICKS = 500_000


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
