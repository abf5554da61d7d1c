"""The line between venue and engine, with its faults: each is drawn from the seed, does its harm, and is counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from random import Random

from feeds.guard import FeedLimits
from feeds.transport import ConnectionLostError
from tests.sim.clock import SECOND_NS, WALL_NS
from tests.sim.market import SYMBOLS, Print, message

GARBAGE = (
    b"",
    b"[",
    b"null",
    b'{"T":"t"}',
    b"\xff\xfe[]",
    b'[{"T":"t","S":"A","i":1,"t":1,"p":NaN,"s":1}]',
    b'[{"T":"t","S":"A","i":1,"t":1,"p":-1.00,"s":1}]',
    b'[{"T":"t","S":"NOBODY","i":1,"t":1,"p":1.00,"s":1}]',
    b'[{"T":"t","S":"A","i":1,"t":1,"p":1e400,"s":1}]',
    b"[" * 200 + b"]" * 200,
)

FAULTS_PER_FRAME = {
    "drop": 0.002,
    "duplicate": 0.01,
    "swap": 0.002,
    "garbage": 0.005,
    "delay": 0.003,
    "silence": 0.0005,
    "cut": 0.0005,
    "half-open": 0.0003,
    "future": 0.002,
    "jump": 0.002,
}
"""How likely each fault is, frame by frame, in foul weather; a world's own weather is a share of it."""
ANY_FAULT = sum(FAULTS_PER_FRAME.values()) + 1e-9


class Link:
    """Opens connections to one market; what happened on them is in ``faults``. After ``calm_from_s`` nothing does."""

    def __init__(self, random: Random, market: Iterator[Print], calm_from_s: float, faults: Counter[str]) -> None:
        self._random, self._market, self._calm_from_s, self.faults = random, market, calm_from_s, faults
        self.sent_trades = 0
        self._weather = random.choice((0.1, 0.3, 1.0, 3.0))
        self.loop = asyncio.get_running_loop()
        self._began_s = self.loop.time()
        self._held: Print | None = None

    def now_s(self) -> float:
        return self.loop.time() - self._began_s

    def fault(self) -> str:
        """What happens to the next frame; mostly nothing."""
        if self.now_s() >= self._calm_from_s:
            return ""
        draw = self._random.random() / self._weather
        if draw > ANY_FAULT:
            return ""
        for name, chance in FAULTS_PER_FRAME.items():
            if draw < chance:
                self.faults[name] += 1
                return name
            draw -= chance
        return ""

    async def open(self, address: str, limits: FeedLimits) -> Connection:
        """A connection, unless the venue is away."""
        if self.now_s() < self._calm_from_s and self._random.random() < 0.3:
            self.faults["refused"] += 1
            await asyncio.sleep(self._random.uniform(0, 0.2))
            raise ConnectionLostError("nobody there")
        return Connection(self, self._random)

    def next_print(self) -> Print | None:
        """The market's next trade, or the one that was put back."""
        trade = self._held or next(self._market, None)
        self._held = None
        return trade

    def hold(self, trade: Print) -> None:
        self._held = trade


class Connection:
    """One connection: hello first, heartbeats each second, ids counted anew as this venue does."""

    def __init__(self, link: Link, random: Random) -> None:
        self._link, self._random = link, random
        self._loop = link.loop
        self._closed = False
        self._waiting: asyncio.Future[None] = self._loop.create_future()
        self._frames: list[bytes] = [self._hello()]
        self._opened_s = link.now_s()
        self._sent = 0
        self._first: dict[str, int] = {}
        self._heartbeat_s = link.now_s() + 1
        self._mute = False
        self._late: list[bytes] = []

    @staticmethod
    def _hello() -> bytes:
        listed = [{"S": symbol, "pp": 2, "sp": 0} for symbol in SYMBOLS]
        return json.dumps([{"T": "hello", "v": 1, "clock": "receive", "instruments": listed}]).encode()

    async def receive(self) -> bytes:
        while not self._frames:
            await self._next()
        if self._closed:
            raise ConnectionLostError("closed")
        return self._frames.pop(0)

    async def _next(self) -> None:
        """Wait for the next trade or heartbeat and put what the line makes of it among the frames."""
        link = self._link
        trade = None if self._mute else link.next_print()
        while trade is not None and trade.at_s < self._opened_s:  # nobody was connected
            trade = link.next_print()
        due_s = self._heartbeat_s if trade is None else min(trade.at_s, self._heartbeat_s)
        if self._mute:
            await self._until(None)
        await self._until(due_s)
        if trade is None or trade.at_s > due_s:
            if trade is not None:
                link.hold(trade)
            self._heartbeat_s = due_s + 1
            self._frames.append(f'[{{"T":"h","t":{self._wall_ns()},"n":{self._sent}}}]'.encode())
            return
        await self._harm(self._told(trade))

    def _told(self, trade: Print) -> str:
        """The trade as a message; ids begin with 1 on each connection."""
        first = self._first.setdefault(trade.symbol, trade.number)
        self._sent += 1
        self._link.sent_trades += 1
        return message(
            Print(
                trade.at_s,
                trade.symbol,
                trade.number - first + 1,
                trade.price_ticks,
                trade.size_lots,
                trade.bid_ticks,
                trade.ask_ticks,
            ),
            self._wall_ns(),
        )

    async def _harm(self, text: str) -> None:
        """Let the line do what it may do to a frame."""
        fault = self._link.fault()
        frame = f"[{text}]".encode()
        if fault == "drop":
            return
        if fault == "cut":
            raise ConnectionLostError("cut")
        if fault == "half-open":
            self._mute = True
            return
        if fault in ("delay", "silence"):
            await self._until(
                self._link.now_s() + self._random.uniform(*((0.05, 0.6) if fault == "delay" else (3.5, 8)))
            )
        if fault == "garbage":
            self._frames.append(self._random.choice(GARBAGE))
        if fault == "future":
            frame = frame.replace(b'"t":1', b'"t":9', 1)
        if fault == "jump":
            frame = frame.replace(b'"p":', b'"p":9', 1)
        if fault == "swap":  # it comes after the next one
            self._late.append(frame)
            return
        self._frames += [frame, *self._late]
        self._late.clear()
        if fault == "duplicate":
            self._frames.append(frame)

    def _wall_ns(self) -> int:
        return WALL_NS + round(self._loop.time() * SECOND_NS)

    async def _until(self, at_s: float | None) -> None:
        """Wait for a time of the link's, or for no end, unless the connection is closed before it."""
        if not self._closed:
            self._waiting = self._loop.create_future()
            if at_s is not None:
                self._loop.call_later(max(0.0, at_s - self._link.now_s()), self._wake, self._waiting)
            await self._waiting
        if self._closed:
            raise ConnectionLostError("closed")

    @staticmethod
    def _wake(waiting: asyncio.Future[None]) -> None:
        if not waiting.done():
            waiting.set_result(None)

    async def send(self, text: str) -> None: ...

    async def close(self) -> None:
        self._closed = True
        self._wake(self._waiting)
