"""The WebSocket feed against a scripted transport, on a clock that the test moves: no network, no waiting."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from engine.errors import ConfigError, NotFoundError
from engine.model import Clock, Instrument
from engine.ports import FeedBatch, FeedState
from feeds.guard import FeedLimits
from feeds.transport import ConnectionLostError, Transport, check_address
from feeds.ws import WebSocketFeed

SECOND_NS = 1_000_000_000
WALL_NS = 1_800_000_000 * SECOND_NS
HELLO = {"T": "hello", "v": 1, "clock": "receive", "instruments": [{"S": "A", "pp": 2, "sp": 0}]}


def hello(clock: str = "receive", symbols: str = "A", pp: int = 2) -> bytes:
    instruments = [{"S": symbol, "pp": pp, "sp": 0} for symbol in symbols]
    return json.dumps([HELLO | {"clock": clock, "instruments": instruments}]).encode()


def trades(*ids: int, symbol: str = "A", price: str = "100.00") -> bytes:
    return json.dumps(
        [{"T": "t", "S": symbol, "i": id, "t": WALL_NS + id, "p": float(price), "s": 1} for id in ids]
    ).encode()


def heartbeat(n: int) -> bytes:
    return json.dumps([{"T": "h", "t": WALL_NS, "n": n}]).encode()


class Time:
    """A clock that only moves when told to, and wakes the sleepers it passes, in order."""

    def __init__(self) -> None:
        self.now_ns = SECOND_NS
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def receive_stamp(self) -> tuple[int, int]:
        return self.now_ns, WALL_NS + self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_ns + round(seconds * SECOND_NS), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * SECOND_NS)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self.now_ns = max(self.now_ns, due_ns)
                future.set_result(None)
                await settle()
        self.now_ns = end_ns


async def settle() -> None:
    """Let every task run until all of them wait."""
    for _ in range(20):
        await asyncio.sleep(0)


class Line:
    """One scripted connection."""

    def __init__(self, *frames: bytes) -> None:
        self.incoming: asyncio.Queue[bytes | ConnectionLostError] = asyncio.Queue()
        self.sent: list[str] = []
        self.closed = False
        self.say(*frames)

    def say(self, *frames: bytes) -> None:
        for frame in frames:
            self.incoming.put_nowait(frame)

    def cut(self, why: str = "cut", *, frame_too_large: bool = False) -> None:
        self.incoming.put_nowait(ConnectionLostError(why, frame_too_large=frame_too_large))

    async def receive(self) -> bytes:
        item = await self.incoming.get()
        if isinstance(item, ConnectionLostError):
            raise item
        return item

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.cut("closed by us")


class Net:
    """Answers each attempt with the next line of the script; after the last, with refusals."""

    def __init__(self, time: Time, *lines: Line | None) -> None:
        self.lines = list(lines)
        self.attempts_ns: list[int] = []
        self._time = time

    async def __call__(self, address: str, limits: FeedLimits) -> Transport:
        self.attempts_ns.append(self._time.now_ns)
        line = self.lines.pop(0) if self.lines else None
        if line is None:
            raise ConnectionLostError("refused")
        return line


class Run:
    """A feed with a consumer that takes notes."""

    def __init__(self, *lines: Line | None, limits: FeedLimits | None = None, symbols: list[str] | None = None) -> None:
        self.time = Time()
        self.net = Net(self.time, *lines)
        self.feed = WebSocketFeed(
            "ws://127.0.0.1:1",
            symbols=symbols,
            limits=limits,
            connect=self.net,
            timing=self.time,
            random=Random(1),
        )
        self.notes: list[tuple[object, ...]] = []
        self.batches: list[FeedBatch] = []
        self.task: asyncio.Task[None] | None = None

    async def _consume(self) -> None:
        async for batch in self.feed.batches():
            self.batches.append(batch)
            if batch.state is not None:
                self.notes.append((batch.state, *batch.gap_instruments))
            if batch.block is not None:
                self.notes.append(("rows", *batch.block.price_ticks.tolist()))

    async def __aenter__(self) -> Run:
        self.task = asyncio.create_task(self._consume())
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.feed.close()
        assert self.task is not None
        await self.task
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}  # nothing is left running
        self.feed.health()  # asserts the law of conservation

    def taken(self) -> list[tuple[object, ...]]:
        notes, self.notes = self.notes, []
        return notes


LIVE, STALE, GAP, RECONNECTING = FeedState.LIVE, FeedState.STALE, FeedState.GAP, FeedState.RECONNECTING


async def test_ticks_arrive_with_stamps_and_instruments() -> None:
    line = Line(hello(symbols="AB"))
    async with Run(line) as run:
        assert run.taken() == [(FeedState.CONNECTING,), (LIVE,)]
        assert list(run.feed.instruments) == [Instrument("A", 2, 0), Instrument("B", 2, 0)]
        assert run.feed.clock is Clock.RECEIVE
        await run.time.advance(1)
        line.say(trades(1, 2), trades(1, symbol="B"))  # both are there when the feed looks: one batch
        await settle()
        (batch,) = run.batches[2:]
        assert batch.received_ns == run.time.now_ns
        assert batch.state is None
        assert batch.block is not None
        assert batch.block.ts_ns.tolist() == [WALL_NS + run.time.now_ns] * 3
        assert batch.block.instrument is not None
        assert batch.block.instrument.tolist() == [0, 0, 1]
        health = run.feed.health()
        assert (health.state, health.offered, health.accepted, health.queue_ticks) == (LIVE, 3, 3, 0)
        assert health.age_ms == 0.0
        await run.time.advance(0.25)
        assert run.feed.health().age_ms == 250.0


async def test_record_time_is_used_when_the_venue_says_so() -> None:
    async with Run(Line(hello("record"), trades(1, 2))) as run:
        assert run.feed.clock is Clock.RECORD
        block = run.batches[-1].block
        assert block is not None
        assert block.ts_ns.tolist() == [WALL_NS + 1, WALL_NS + 2]


async def test_end_of_the_data_ends_the_feed() -> None:
    line = Line(hello("record"), trades(1)[:-1] + b',{"T":"end","n":1}]')
    async with Run(line) as run:
        assert run.task is not None
        await run.task
        assert run.taken() == [(FeedState.CONNECTING,), (LIVE,), ("rows", 10000), (FeedState.END,)]
        assert run.feed.health().state is FeedState.END
        assert line.closed
        assert run.net.attempts_ns == [SECOND_NS]


async def test_connected_says_whether_the_venue_has_introduced_itself() -> None:
    run = Run(Line(hello()))
    assert await run.feed.connected(10.0)
    assert await run.feed.connected(10.0)
    await run.feed.close()
    run = Run(Line())
    assert not await run.feed.connected(0.0)
    await run.feed.close()


async def test_a_symbol_the_venue_does_not_offer_is_the_users_mistake() -> None:
    run = Run(Line(hello(symbols="AB")), symbols=["A", "C"])
    with pytest.raises(NotFoundError, match="does not offer 'C'; valid names: A, B"):
        await run.feed.connected(10.0)
    with pytest.raises(NotFoundError):
        async for _ in run.feed.batches():
            pass
    await run.feed.close()


async def test_selected_symbols_are_subscribed_and_others_ignored() -> None:
    line = Line(hello(symbols="ABC"), trades(1, symbol="B"), trades(1, symbol="C", price="7"), trades(1))
    async with Run(line, symbols=["C", "A", "C"]) as run:
        assert [json.loads(text) for text in line.sent] == [{"action": "subscribe", "symbols": ["C", "A"]}]
        assert [instrument.symbol for instrument in run.feed.instruments] == ["C", "A"]
        assert run.taken()[2:] == [("rows", 700, 10000)]
        assert run.feed.health().offered == 2


# -- silence ----------------------------------------------------------------------------------------------------


async def test_silence_makes_the_feed_stale_after_exactly_the_limit() -> None:
    line = Line(hello(), trades(1))
    async with Run(line) as run:
        run.taken()
        await run.time.advance(2.999)
        assert run.taken() == []
        await run.time.advance(0.001)
        assert run.taken() == [(STALE,)]
        line.say(trades(2))
        await settle()
        assert run.taken() == [("rows", 10000), (LIVE,)]
        await run.time.advance(3.0 + 0.05)  # the next silence is noticed as promptly
        assert run.taken() == [(STALE,)]


async def test_a_quiet_market_with_heartbeats_is_not_stale() -> None:
    line = Line(hello(), trades(1))
    async with Run(line) as run:
        run.taken()
        for _ in range(20):
            line.say(heartbeat(1))
            await run.time.advance(1)
        assert run.taken() == []


async def test_heartbeats_do_not_vouch_for_refused_records() -> None:
    line = Line(hello(), trades(1), trades(2, price="-1"))
    async with Run(line) as run:
        run.taken()
        for _ in range(4):
            line.say(heartbeat(2))
            await run.time.advance(1)
        assert run.taken() == [(STALE,)]
        line.say(trades(3))
        await settle()
        assert run.taken() == [("rows", 10000), (LIVE,)]


async def test_garbage_is_no_sign_of_life() -> None:
    line = Line(hello(), trades(1))
    async with Run(line) as run:
        run.taken()
        for _ in range(12):
            line.say(b"\xff\xfe garbage")
            await run.time.advance(1)
        assert run.taken()[:2] == [(STALE,), (RECONNECTING,)]
        assert run.feed.health().bad_frames == {"not_messages": 10}


async def test_a_silent_connection_is_given_up_even_before_the_first_message() -> None:
    mute, line = Line(), Line(hello())
    async with Run(mute, line, limits=FeedLimits(silence_s=7)) as run:
        await run.time.advance(6.999)
        assert run.taken() == [(FeedState.CONNECTING,)]
        await run.time.advance(0.251)
        assert mute.closed
        assert run.taken() == [(RECONNECTING,), (LIVE,)]
        assert run.batches[1].detail == "attempt 1: the venue has not introduced itself within 7 s"


async def test_a_heartbeat_discloses_lost_records_of_all_instruments() -> None:
    line = Line(hello(symbols="AB"), trades(1), heartbeat(2))
    async with Run(line) as run:
        assert run.taken()[2:] == [("rows", 10000), (GAP, 0, 1), (LIVE,)]
        assert run.feed.health().gaps == 1


async def test_a_gap_splits_the_batch_where_it_lies() -> None:
    line = Line(hello(symbols="AB"))
    async with Run(line) as run:
        run.taken()
        line.say(trades(1, 2, 4, 5, 9), trades(10))
        await settle()
        assert run.taken() == [
            ("rows", 10000, 10000),
            (GAP, 0),
            ("rows", 10000, 10000),
            (GAP, 0),
            ("rows", 10000),
            (LIVE,),
            ("rows", 10000),
        ]


# -- connections ------------------------------------------------------------------------------------------------


async def test_a_new_market_after_a_reconnect_is_a_gap_for_all() -> None:
    first, second = Line(hello(symbols="AB"), trades(1, 2)), Line(hello(symbols="AB"), trades(1))
    async with Run(first, second) as run:
        run.taken()
        first.cut("the line was cut")
        await run.time.advance(0.25)
        assert run.taken() == [(RECONNECTING,), (GAP, 0, 1), (LIVE,), ("rows", 10000)]
        assert run.feed.health().reconnects == 1


async def test_a_repeated_recording_is_continued_without_a_gap() -> None:
    first, second = Line(hello("record"), trades(1, 2, 3)), Line(hello("record"), trades(1, 2, 3, 4))
    async with Run(first, second) as run:
        run.taken()
        first.cut()
        await run.time.advance(0.25)
        assert run.taken() == [(RECONNECTING,), (LIVE,), ("rows", 10000)]
        assert run.feed.health().rejected == {"duplicate": 3}


async def test_continuing_ids_disclose_a_gap_where_there_is_one() -> None:
    first, second = Line(hello("record"), trades(1, 2)), Line(hello("record"), trades(4))
    async with Run(first, second) as run:
        run.taken()
        first.cut()
        await run.time.advance(0.25)
        assert run.taken() == [(RECONNECTING,), (GAP, 0), ("rows", 10000), (LIVE,)]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (hello(pp=3), "the venue has changed the precision of A"),
        (hello("record"), "the venue now trades on record time, not on receive time"),
        (b'[{"T":"hello","v":2}]', "another version"),
        (b'[{"T":"hello","v":1}]', "not understood"),
        (b'[{"T":"hello","v":1,"clock":"receive","instruments":[{"S":"A","pp":true,"sp":0}]}]', "not understood"),
        (b'[{"T":"hello","v":1,"clock":"receive","instruments":[{"S":"A\\n","pp":2,"sp":0}]}]', "not understood"),
        (b'[{"T":"hello","v":1,"clock":"receive","instruments":[]}]', "not understood"),
        (hello(symbols="AA"), "names a symbol twice"),
    ],
)
async def test_a_hello_that_cannot_be_honoured_ends_the_connection(bad: bytes, why: str) -> None:
    first, second, third = Line(hello()), Line(bad), Line(hello())
    async with Run(first, second, third) as run:
        first.cut()
        await run.time.advance(1)
        assert why in run.batches[3].detail
        assert second.closed
        assert run.feed.health().bad_frames == {"bad_hello": 1}
        assert run.notes[-2:] == [(GAP, 0), (LIVE,)]


async def test_symbols_that_a_later_hello_adds_are_ignored() -> None:
    """The engine was built for the instruments of the first."""
    first = Line(hello())
    second = Line(hello(symbols="BA"), trades(1, symbol="B", price="5"), trades(1))
    async with Run(first, second) as run:
        first.cut()
        await run.time.advance(0.25)
        assert [instrument.symbol for instrument in run.feed.instruments] == ["A"]
        assert run.notes[-1] == ("rows", 10000)
        assert json.loads(second.sent[0])["symbols"] == ["A"]


async def test_a_market_that_lacks_a_traded_symbol_is_not_traded_on() -> None:
    """Its heartbeats would vouch for a symbol that nobody sends any more."""
    first, other, third = Line(hello(symbols="AB"), trades(1)), Line(hello()), Line(hello(symbols="AB"))
    async with Run(first, other, third) as run:
        run.taken()
        first.cut()
        await run.time.advance(1)
        assert run.taken() == [(RECONNECTING,), (RECONNECTING,), (GAP, 0, 1), (LIVE,)]
        assert run.batches[-3].detail == "attempt 2: the venue does not offer B any more"
        assert run.feed.health().bad_frames == {"bad_hello": 1}


async def test_a_market_that_never_introduces_itself_is_given_up() -> None:
    """However many heartbeats it sends: without a hello nothing of it can be read."""
    shy, line = Line(), Line(hello())
    async with Run(shy, line) as run:
        for n in range(9):
            shy.say(heartbeat(0))
            await run.time.advance(1)
            assert run.feed.detail == "connected, but the venue has not introduced itself", n
        await run.time.advance(1.25)
        assert shy.closed
        assert run.taken() == [(FeedState.CONNECTING,), (RECONNECTING,), (LIVE,)]
        assert run.batches[1].detail == "attempt 1: the venue has not introduced itself within 10 s"


async def test_what_is_no_market_is_named() -> None:
    async with Run(Line(b"<html>")) as run:
        assert run.feed.detail == "connected, but what came is no frame of a market: not_messages"


async def test_more_symbols_than_can_be_held_are_one_more_bad_hello() -> None:
    def many(first: int) -> bytes:
        listed = [{"S": symbol, "pp": 2, "sp": 0} for symbol in ("A", *map(str, range(first, first + 39_000)))]
        return json.dumps([HELLO | {"instruments": listed}], separators=(",", ":")).encode()

    lines = Line(hello()), Line(many(0)), Line(many(39_000)), Line(hello())
    async with Run(*lines, limits=FeedLimits(max_frame_bytes=1 << 21)) as run:
        for line in lines[:2]:
            line.cut()
            await run.time.advance(1)
        await run.time.advance(1)
        assert "too many symbols" in " ".join(batch.detail for batch in run.batches)
        assert run.feed.health().state is LIVE


async def test_frames_before_the_hello_wait_for_it_in_vain() -> None:
    async with Run(Line(trades(1), hello(), trades(2))) as run:
        assert run.taken() == [(FeedState.CONNECTING,), (LIVE,), ("rows", 10000)]
        assert run.feed.health().rejected == {"before_hello": 1}


async def test_an_oversized_frame_is_counted_and_reconnected() -> None:
    first, second = Line(hello()), Line(hello())
    async with Run(first, second) as run:
        first.cut("a frame above the size limit", frame_too_large=True)
        await run.time.advance(0.25)
        assert run.feed.health().bad_frames == {"too_large": 1}
        assert run.feed.health().state is LIVE


async def test_the_first_retry_is_at_once_and_later_ones_wait_longer_with_full_jitter() -> None:
    lines = Line(hello())
    async with Run(lines) as run:
        lines.say(heartbeat(0))
        await run.time.advance(5.1)  # a stable connection ...
        lines.say(heartbeat(0))
        await settle()
        lines.cut()
        await settle()
        assert run.net.attempts_ns[1:] == [run.time.now_ns]  # ... is tried again at once
        await run.time.advance(600)
    waits = [(b - a) / SECOND_NS for a, b in zip(run.net.attempts_ns[1:], run.net.attempts_ns[2:], strict=False)]
    assert len(waits) > 20
    for n, wait in enumerate(waits):
        assert 0 <= wait <= min(30.0, 0.25 * 2**n)
    assert max(waits) > 20
    assert len(set(waits)) == len(waits)


async def test_a_thousand_immediate_disconnects_stay_within_the_budget_and_leak_nothing() -> None:
    lines = [Line(hello(), trades(1)) for _ in range(1000)]
    for line in lines:
        line.cut("gone")
    last = Line(hello(), trades(1))
    limits = FeedLimits(backoff_first_s=0.001, backoff_cap_s=0.002)
    async with Run(*lines, last, limits=limits) as run:
        while run.net.lines:
            await run.time.advance(30)
            assert len(asyncio.all_tasks()) <= 4
        assert len(run.net.attempts_ns) == 1001
        for start, end in zip(run.net.attempts_ns, run.net.attempts_ns[100:], strict=False):
            assert end - start >= 300 * SECOND_NS - 1000  # sleeping is told in floating seconds
        assert all(line.closed for line in lines)
        health = run.feed.health()
        assert (health.state, health.reconnects, health.accepted, health.gaps) == (LIVE, 1000, 1001, 1000)


async def test_close_hands_over_what_has_come() -> None:
    run = Run(Line(hello(), trades(1)))
    assert await run.feed.connected(10.0)
    await settle()
    await run.feed.close()
    states = [(batch.state, batch.block is not None) async for batch in run.feed.batches()]
    assert states == [(FeedState.CONNECTING, False), (LIVE, True), (FeedState.CLOSED, False)]


async def test_a_fault_of_our_own_is_not_hidden() -> None:
    run = Run(Line(hello()))

    async def broken(address: str, limits: FeedLimits) -> Transport:
        raise ZeroDivisionError

    run.feed._connect = broken
    with pytest.raises(ZeroDivisionError):
        await run.feed.connected(10.0)


# -- falling behind ---------------------------------------------------------------------------------------------


async def stalled(run: Run) -> AsyncIterator[FeedBatch]:
    """A consumer that has taken the first batches and then stands still."""
    batches = run.feed.batches()
    assert (await anext(batches)).state is FeedState.CONNECTING
    await settle()
    return batches


def many(first: int, count: int, make: Callable[[int], dict[str, object]]) -> bytes:
    return json.dumps([make(n) for n in range(first, first + count)]).encode()


def one_trade(n: int) -> dict[str, object]:
    return {"T": "t", "S": "A", "i": n, "t": WALL_NS, "p": 100.0, "s": 1}


def one_quote(n: int) -> dict[str, object]:
    return {"T": "q", "S": "A", "t": WALL_NS + n, "b": 99.0, "bs": n + 1, "a": 101.0, "as": 1}


async def test_a_stalled_engine_loses_quotes_first_and_no_trade_before_the_bound() -> None:
    line = Line(hello())
    run = Run(line, limits=FeedLimits(queue_ticks=16384))
    batches = await stalled(run)
    assert (await anext(batches)).state is LIVE
    for n in range(16):
        line.say(many(n * 1000, 1000, one_quote), many(n * 100 + 1, 100, one_trade))
        await settle()
    health = run.feed.health()
    assert health.queue_ticks < 16384
    assert set(health.rejected) == {"coalesced"}
    rows = (await anext(batches)).block
    assert rows is not None
    assert rows.kind is not None
    assert rows.bid_lots is not None
    assert int((rows.kind == 0).sum()) == 1600
    assert rows.bid_lots[rows.kind == 1].tolist()[:3] == [1000, 2000, 3000]  # of each run of quotes, the last
    await run.feed.close()
    run.feed.health()


async def test_at_the_bound_everything_waiting_is_dropped_and_a_gap_declared() -> None:
    line = Line(hello(symbols="AB"))
    run = Run(line, limits=FeedLimits(queue_ticks=16384))
    batches = await stalled(run)
    assert (await anext(batches)).state is LIVE
    for n in range(18):
        line.say(many(n * 1000 + 1, 1000, one_trade))
        await settle()
    health = run.feed.health()
    assert health.rejected == {"queue_overflow": 15000}
    assert (health.offered, health.accepted, health.queue_ticks) == (18_000, 3000, 3000)
    gap = await anext(batches)
    assert (gap.state, list(gap.gap_instruments)) == (GAP, [0, 1])
    live = await anext(batches)
    assert live.state is LIVE
    assert live.block is not None
    assert len(live.block) == 3000
    await run.feed.close()


async def test_a_recording_waits_for_a_stalled_engine() -> None:
    line = Line(hello("record"))
    run = Run(line, limits=FeedLimits(queue_ticks=16384))
    batches = await stalled(run)
    assert (await anext(batches)).state is LIVE
    for n in range(30):
        line.say(many(n * 1000 + 1, 1000, one_trade))
    await settle()
    assert run.feed.health().queue_ticks == 9000
    assert line.incoming.qsize() == 21
    await run.time.advance(60)  # a pause of our own is no silence of theirs
    taken = 0
    while taken < 30_000:
        block = (await anext(batches)).block
        assert block is not None
        taken += len(block)
    health = run.feed.health()
    assert (health.accepted, health.rejected, health.gaps, health.reconnects) == (30_000, {}, 0, 0)
    await run.feed.close()


# -- addresses and limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["ws://127.0.0.1:8765", "ws://localhost", "ws://[::1]:9/x", "ws://127.9.9.9", "wss://example.com/feed?x=1"],
)
def test_good_addresses(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ws://example.com", "use wss://example.com"),
        ("ws://192.168.0.7:8765", "use wss://192.168.0.7"),
        ("ws://localhost.example.com", "use wss"),
        ("http://127.0.0.1", "not a WebSocket address"),
        ("127.0.0.1:8765", "not a WebSocket address"),
        ("", "not a WebSocket address"),
        ("ws://", "not a WebSocket address"),
        ("ws://127.0.0.1:port", "not an address"),
        ("ws://[::1", "not an address"),
        ("wss://.example.com", "'.example.com' is not the name of a machine"),
        ("wss://" + "a" * 64 + ".com", "is not the name of a machine"),
        ("wss://exa mple.com", "'exa mple.com' is not the name of a machine"),
        ("wss://user:hunter2@example.com", "user name or password"),
    ],
)
def test_bad_addresses_are_one_clear_line(address: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        WebSocketFeed(address)
    assert "\n" not in caught.value.line()
    assert "hunter2" not in caught.value.line()


def test_what_a_venue_says_cannot_command_a_terminal() -> None:
    assert str(ConnectionLostError("closed by the venue: 4001 \x1b[31mred\nline\u202e")) == (
        "closed by the venue: 4001 �[31mred�line�"
    )


@pytest.mark.parametrize(
    "limits",
    [
        {"stale_after_s": 0},
        {"stale_after_s": math.nan},
        {"queue_ticks": 100},
        {"max_jump_bps": 10_001},
        {"silence_s": -1},
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(limits))):
        FeedLimits(**limits)  # type: ignore[arg-type]
