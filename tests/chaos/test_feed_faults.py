"""Reliability D1-D6 over a real loopback socket: a server that misbehaves on purpose, and counts how often it did."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.config.settings import load
from engine.ports import FeedBatch, FeedHealth, FeedState
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed

HELLO = json.dumps(
    [
        {
            "T": "hello",
            "v": 1,
            "clock": "receive",
            "instruments": [{"S": "A", "pp": 2, "sp": 0}, {"S": "B", "pp": 2, "sp": 0}],
        }
    ]
)
QUICK = FeedLimits(backoff_first_s=0.001, backoff_cap_s=0.002, connects_per_window=10_000, close_timeout_s=0.1)

Handler = Callable[[ServerConnection], Awaitable[None]]


def trade(id: int, price: float = 100.0, symbol: str = "A") -> dict[str, object]:
    return {"T": "t", "S": symbol, "i": id, "t": time.time_ns(), "p": price, "s": 1}


def frame(*messages: dict[str, object]) -> str:
    return json.dumps(messages)


@asynccontextmanager
async def serving(handler: Handler, **settings: object) -> AsyncIterator[str]:
    async def polite(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await handler(connection)

    async with serve(polite, "127.0.0.1", 0, compression=None, **settings) as server:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def feeding(address: str, limits: FeedLimits = QUICK) -> AsyncIterator[WebSocketFeed]:
    """A feed that is closed at the end, with nothing left behind."""
    before = asyncio.all_tasks()
    feed = WebSocketFeed(address, limits=limits)
    try:
        yield feed
    finally:
        await feed.close()
        assert not {task for task in asyncio.all_tasks() - before if task.get_name().startswith("feed")}


async def until(feed: WebSocketFeed, done: Callable[[FeedBatch, FeedHealth], bool]) -> list[FeedBatch]:
    """Take batches until one satisfies the condition; the test's time-out is the only clock."""
    taken = []
    async with asyncio.timeout(60):
        async for batch in feed.batches():
            taken.append(batch)
            if done(batch, feed.health()):
                return taken
    raise AssertionError("the feed ended")


def rows_taken(count: int) -> Callable[[FeedBatch, FeedHealth], bool]:
    """True once ``count`` records have been handed over since the last reconnection."""
    taken = 0

    def done(batch: FeedBatch, _: FeedHealth) -> bool:
        nonlocal taken
        if batch.state is FeedState.RECONNECTING:
            taken = 0
        taken += len(batch.block) if batch.block is not None else 0
        return taken >= count

    return done


GARBAGE = [
    "",
    "garbage",
    "{",
    "[" * 100_000,
    '[{"T":"t","S":"A"',
    '[{"T":"t","T":"t"}]',
    '[{"T":"t","p":1e400}]',
    '[{"T":"t","p":NaN}]',
    b"\xff\xfe\x00",
    b'[{"T":"\xc0\x80"}]',
    "null",
    '[{"a":' * 40,
]


async def test_d1_garbage_is_counted_and_survived() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(HELLO)
        for n in range(100):
            for text in GARBAGE:
                await connection.send(text)
            await connection.send(frame(trade(n + 1)))
        await connection.wait_closed()

    async with serving(handler) as address, feeding(address) as feed:
        await until(feed, rows_taken(100))
        health = feed.health()
        assert sum(health.bad_frames.values()) == 100 * len(GARBAGE)
        assert (
            health.bad_frames["bad_utf8"]
            == health.bad_frames["bad_number"]
            == health.bad_frames["duplicate_key"]
            == 100
        )
        assert (health.accepted, health.rejected, health.gaps, health.reconnects) == (100, {}, 0, 0)


async def test_d2_d3_d4_bad_ticks_are_counted_by_reason() -> None:
    id_of = iter(range(1, 1000))
    good = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal good
        await connection.send(HELLO)
        for _ in range(20):
            first, second = next(id_of), next(id_of)
            await connection.send(frame(trade(first)))
            await connection.send(frame(trade(first)))  # duplicate
            await connection.send(frame(trade(next(id_of), 0)))
            await connection.send(frame(trade(next(id_of), 100.001)))
            await connection.send(frame(trade(next(id_of), 1000)))
            await connection.send(frame(trade(next(id_of)) | {"s": -5}))
            await connection.send(frame(trade(next(id_of)) | {"b": 101, "a": 99}))
            await connection.send(frame(trade(1, symbol="NOPE")))
            await connection.send(frame(trade(next(id_of)) | {"t": 0}))
            await connection.send(frame(trade(next(id_of)) | {"t": time.time_ns() + 3600 * 10**9}))
            await connection.send(frame(trade(second)))  # reordered
            good += 2
        await connection.send(frame(trade(next(id_of)), trade(next(id_of) + 7)))  # and a gap at last
        await connection.wait_closed()

    async with serving(handler) as address, feeding(address) as feed:
        batches = await until(feed, rows_taken(42))
        health = feed.health()
        assert good == 40
        assert health.rejected == dict.fromkeys(
            [
                "duplicate",
                "price_not_positive",
                "price_off_tick",
                "price_jump",
                "size_not_positive",
                "crossed_quote",
                "unknown_symbol",
                "time_before_2000",
                "time_future",
            ],
            20,
        )
        assert health.offered == 42 + 180
        # Ids 2, 10, 18 ... were skipped at first: each time a gap, as is the last one.
        assert health.gaps == 21
        assert sum(batch.state is FeedState.GAP for batch in batches) == 21


async def test_d5_an_oversized_frame_is_refused_with_1009_and_reconnected() -> None:
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.send(HELLO)
        if len(codes) < 3:
            with suppress(ConnectionClosed):
                await connection.send("[" + " " * 10_000_000 + "]")
            await connection.wait_closed()
            codes.append(connection.close_code)
            return
        await connection.send(frame(trade(1)))
        await connection.wait_closed()

    async with serving(handler) as address, feeding(address) as feed:
        await until(feed, rows_taken(1))
        assert codes == [1009] * 3
        assert feed.health().bad_frames == {"too_large": 3}
        assert feed.health().reconnects == 3


async def test_d5_a_flood_of_tiny_frames_is_kept_up_with() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(HELLO)
        for n in range(20_000):
            await connection.send(frame(trade(n + 1)))
        await connection.wait_closed()

    async with serving(handler) as address, feeding(address) as feed:
        await until(feed, rows_taken(20_000))
        health = feed.health()
        assert (health.accepted, health.rejected, health.gaps) == (20_000, {}, 0)


async def test_d5_a_handshake_that_trickles_is_given_up() -> None:
    trickled = 0

    async def slow_loris(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal trickled
        trickled += 1
        writer.write(b"HTTP/1.1 101 Switching")
        await reader.read(-1)  # and never the rest
        writer.close()

    server = await asyncio.start_server(slow_loris, "127.0.0.1", 0)
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, feeding(address, FeedLimits(handshake_s=0.05, backoff_first_s=0.001)) as feed:
        batches = await until(feed, lambda _, health: health.reconnects >= 2)
        assert trickled >= 2
        assert "no handshake within 0.05 s" in batches[-1].detail
        assert not await feed.connected(0)


def test_a_market_that_leaves_its_first_handshake_unanswered_is_asked_again() -> None:
    """Before the first connection is given up, which takes ``feed.connect_timeout``."""
    limits, patience_s = FeedLimits(), load({}).config.feed.connect_timeout / 1e9
    assert 2 * limits.handshake_s + limits.backoff_first_s < patience_s


async def test_d5_a_peer_that_does_not_answer_pings_is_left() -> None:
    connections = 0

    async def half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shakes hands as a WebSocket server does, says hello, and then never reads nor writes again."""
        nonlocal connections
        connections += 1
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        from websockets.utils import accept_key

        text = HELLO.encode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n"
        )
        writer.write(b"\x81\x7e" + len(text).to_bytes(2, "big") + text)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(half_open, "127.0.0.1", 0)
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limits = FeedLimits(ping_interval_s=0.05, ping_timeout_s=0.05, close_timeout_s=0.05, backoff_first_s=0.001)
    async with server, feeding(address, limits) as feed:
        batches = await until(feed, lambda _, health: health.reconnects >= 1)
        assert connections >= 1
        assert any("keepalive ping timeout" in batch.detail for batch in batches)


async def test_d5_a_mute_venue_that_answers_pings_is_stale_and_then_left() -> None:
    connections = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.send(HELLO)
        await connection.wait_closed()

    limits = FeedLimits(
        stale_after_s=0.05, silence_s=0.1, ping_interval_s=0.01, close_timeout_s=0.1, backoff_first_s=0.001
    )
    async with serving(handler) as address, feeding(address, limits) as feed:
        batches = await until(feed, lambda _, health: health.reconnects >= 2)
        states = [batch.state for batch in batches]
        assert states[:4] == [FeedState.CONNECTING, FeedState.LIVE, FeedState.STALE, FeedState.RECONNECTING]
        assert connections >= 2


async def test_d6_fifty_disconnects_and_then_as_if_nothing_had_happened() -> None:
    """The stream begins anew each time; descriptors, tasks and memory do not pile up."""
    process = psutil.Process(os.getpid())
    connections = 0
    descriptors: list[int] = []
    tasks: list[int] = []

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        descriptors.append(process.num_fds())
        tasks.append(len(asyncio.all_tasks()))
        await connection.send(HELLO)
        await connection.send(frame(trade(1), trade(2)))
        if connections <= 50:
            if connections % 2:
                connection.transport.abort()
            return
        for n in range(3, 103):
            await connection.send(frame(trade(n)))
        await connection.wait_closed()

    before = process.num_fds()
    async with serving(handler) as address, feeding(address) as feed:
        batches = await until(feed, rows_taken(102))
        health = feed.health()
        assert connections == 51
        assert health.reconnects == 50
        assert health.state is FeedState.LIVE
        assert sum(batch.state is FeedState.RECONNECTING for batch in batches) == 50
        assert health.rejected == health.bad_frames == {}
        assert max(descriptors) - min(descriptors) <= 4
        assert max(tasks) - min(tasks) <= 6
    assert process.num_fds() <= before + 2


async def test_d6_nobody_there() -> None:
    async with serving(lambda connection: connection.wait_closed()) as address:
        pass  # the port is free again
    async with feeding(address) as feed:
        batches = await until(feed, lambda _, health: health.reconnects >= 5)
        assert all("cannot connect" in batch.detail for batch in batches[1:])
        assert not await feed.connected(0)


@pytest.mark.parametrize("code", [1000, 1001, 1013])
async def test_a_venue_that_closes_is_asked_again_whatever_its_code(code: int) -> None:
    connections = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.send(HELLO)
        if connections == 1:
            await connection.close(code, "slow client")
        else:
            await connection.send(frame(trade(1)))
            await connection.wait_closed()

    async with serving(handler) as address, feeding(address) as feed:
        batches = await until(feed, rows_taken(1))
        assert any(f"closed by the venue: {code} slow client" in batch.detail for batch in batches)
        assert connections == 2


async def test_h4_tls_is_not_given_up_for_a_server_without_it() -> None:
    visited = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal visited
        visited += 1

    async with serving(handler) as address, feeding(address.replace("ws://", "wss://")) as feed:
        batches = await until(feed, lambda _, health: health.reconnects >= 1)
    assert visited == 0
    assert all(re.search(r"cannot connect: \w", batch.detail) for batch in batches[1:])


async def test_h4_a_redirection_to_somewhere_else_is_not_followed() -> None:
    redirected = visited = 0

    async def elsewhere(connection: ServerConnection) -> None:
        nonlocal visited
        visited += 1

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal redirected
        redirected += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with serving(elsewhere) as other:
        server = await asyncio.start_server(redirect, "127.0.0.1", 0)
        async with server, feeding(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as feed:
            batches = await until(feed, lambda _, health: health.reconnects >= 2)
    assert "HTTP 302" in batches[-1].detail
    assert redirected >= 2
    assert visited == 0
