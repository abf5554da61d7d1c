"""The feed on the real mock market, in a process of its own: nothing refused, nothing lost, cuts or no cuts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from engine.model import Clock, TickBlock
from engine.ports import FeedState
from engine.store.rows import columns_of
from feeds.guard import FeedLimits, check_conservation
from feeds.transport import ConnectionLostError, Transport, open_websocket
from feeds.ws import WebSocketFeed


@contextmanager
def mock_market(*flags: str) -> Iterator[str]:
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--exit-with-parent", *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield next(word for word in line.split() if word.startswith("ws://"))
        finally:
            process.terminate()


class Scissors:
    """Real connections that are cut after so many frames, as often as asked."""

    def __init__(self, cuts: int, frames: int) -> None:
        self.cuts = cuts
        self._frames = frames

    async def __call__(self, address: str, limits: FeedLimits) -> Transport:
        transport = await open_websocket(address, limits)
        return _Short(self, transport, self._frames) if self.cuts else transport


class _Short:
    def __init__(self, scissors: Scissors, transport: Transport, frames: int) -> None:
        self._scissors, self._transport, self._left = scissors, transport, frames

    async def receive(self) -> bytes:
        if not self._left:
            self._scissors.cuts -= 1
            raise ConnectionLostError("cut")
        self._left -= 1
        return await self._transport.receive()

    async def send(self, text: str) -> None:
        await self._transport.send(text)

    async def close(self) -> None:
        await self._transport.close()


async def take(feed: WebSocketFeed, rows: int) -> tuple[dict[str, np.ndarray], list[FeedState]]:
    """The first ``rows`` records as copied columns, and the states on the way."""
    blocks: list[TickBlock] = []
    states = []
    taken = 0
    async with asyncio.timeout(100):
        async for batch in feed.batches():
            if batch.state is not None:
                states.append(batch.state)
            if batch.block is not None:
                taken += len(batch.block)
                copied = {name: column.copy() for name, column in columns_of(batch.block).items()}
                blocks.append(TickBlock(**copied))
            if taken >= rows:
                break
    check_conservation(feed._decoder)
    names = columns_of(blocks[0])
    return {name: np.concatenate([getattr(block, name) for block in blocks])[:rows] for name in names}, states


async def test_the_market_at_its_natural_pace_is_taken_whole() -> None:
    with mock_market("--symbols", "AAPL,MSFT,BTCUSDT", "--rate", "50000", "--quotes") as address:
        feed = WebSocketFeed(address)
        assert await feed.connected(10.0)
        assert feed.clock is Clock.RECEIVE
        columns, states = await take(feed, 50_000)
        health = feed.health()
        await feed.close()
    assert states == [FeedState.CONNECTING, FeedState.LIVE]
    assert health.rejected == health.bad_frames == {}
    assert (health.gaps, health.late) == (0, 0)
    assert (np.diff(columns["ts_ns"]) >= 0).all()
    assert set(columns["instrument"].tolist()) == {0, 1, 2}
    assert set(columns["kind"].tolist()) == {0, 1}


async def test_a_recording_cut_five_times_is_the_same_to_the_record() -> None:
    limits = FeedLimits(backoff_first_s=0.001, backoff_cap_s=0.001)
    with mock_market("--symbols", "AAPL,MSFT", "--rate", "5000", "--quotes", "--speed", "max") as address:
        whole = WebSocketFeed(address)
        expected, _ = await take(whole, 40_000)
        assert whole.clock is Clock.RECORD
        await whole.close()
        scissors = Scissors(cuts=5, frames=8)
        cut = WebSocketFeed(address, connect=scissors, limits=limits)
        got, states = await take(cut, 40_000)
        health = cut.health()
        await cut.close()
    assert scissors.cuts == 0
    assert states.count(FeedState.RECONNECTING) == 5
    assert FeedState.GAP not in states
    assert health.rejected["duplicate"] > 0
    assert got.keys() == expected.keys() >= {"ts_ns", "price_ticks", "bid_ticks", "ask_lots", "kind"}
    for name, column in expected.items():
        assert (got[name] == column).all(), name
