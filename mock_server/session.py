"""One client's connection: its own market, its pace, its heartbeat and its requests.

Records are cut from the source only when they are due, so a connection never holds more than one block ahead of its
client. What was sent waits in the transport's buffer, and the clock decides what happens when that fills: under
``receive`` time the market cannot wait and the client is dropped, under ``record`` time the market waits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from mock_server import wire
from mock_server.listings import Listing
from mock_server.weather_stages import SLOW_PAUSE_S, Sky

Int64s = NDArray[np.int64]

_SECOND_NS = 1_000_000_000
_LATE_NS = _SECOND_NS  # a natural-pace market this far behind its clock says so
MAX_REQUEST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from.

    ``blocks`` starts the stream anew at each call; a recording's ends, the market's does not. ``start_ns`` is the
    instant its offsets count from, None for "the moment the client connects".
    """

    instruments: Sequence[Listing]
    blocks: Callable[[], Iterator[Int64s]]
    start_ns: int | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How records are sent. ``speed`` is market time per wall time, ``inf`` for as fast as the client takes them."""

    speed: float
    natural: bool  # clock "receive": the market happens now
    flush_s: float
    heartbeat_s: float
    client_buffer: int  # bytes that may wait for a client under natural pace


@dataclass(slots=True)
class Counters:
    """What the server has done so far, over all connections."""

    clients: int = 0
    slow: int = 0
    records: int = 0
    frames: int = 0
    bytes: int = 0


class SlowClientError(Exception):
    """More bytes wait for this client than it may have waiting."""


class CutError(Exception):
    """The weather cuts this client off."""


class BadRequestError(Exception):
    """The client sent something that is not a request."""


@dataclass(slots=True)
class Session:
    """Serves one connection until either side ends it."""

    connection: ServerConnection
    source: Source
    pace: Pace
    counters: Counters
    say: Callable[[str], None]
    sky: Sky | None = None
    _sent: int = 0  # as the market counts: what the weather drops or repeats does not change it
    _market_ns: int = 0  # offset of the last record sent
    _start_ns: int = 0
    _begun_s: float = 0.0
    _symbols: Int64s | None = None  # subscribed instruments, None for all
    _said_late: bool = False
    _encoder: wire.Encoder = field(init=False)
    _ids: wire.TradeIds = field(init=False)

    async def run(self) -> None:
        """Serve the connection, and say how it ended."""
        pace, source = self.pace, self.source
        loop = asyncio.get_running_loop()
        self._encoder = wire.Encoder(source.instruments)
        self._ids = wire.TradeIds(len(source.instruments))
        clock = "receive" if pace.natural else "record"
        speed = pace.speed if np.isfinite(pace.speed) else 0
        hello = wire.Hello(clock, round(pace.heartbeat_s * 1000), source.seed, speed, source.instruments)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._send(hello.frame(), 0)
            self._start_ns = time.time_ns() if source.start_ns is None else source.start_ns
            self._begun_s = loop.time()
            tasks = [asyncio.create_task(work) for work in (self._stream(), self._beat(), self._listen())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if tasks[0] in done:
                self.say("has had the whole recording")
                await self.connection.close(1000, "the recording has ended")
            else:
                self.say("left")
        except ConnectionClosed:
            self.say("left")
        except CutError:
            self.say("cut off by the weather")
            self.connection.transport.abort()
        except SlowClientError:
            self.counters.slow += 1
            self.say(f"dropped: slow client, more than {pace.client_buffer:,} bytes were waiting")
            await self.connection.close(1013, "slow client")
        except BadRequestError as error:
            self.say(f"dropped: {error}")
            await self.connection.close(1008, str(error))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stream(self) -> None:
        """Send the records when they are due; return after the end of a recording."""
        last_due_ns = int(np.iinfo(np.int64).min)
        for block in self.source.blocks():
            # A record that is late in its file is due with the one before it.
            due_ns = np.maximum(np.maximum.accumulate(block[0]), last_due_ns)
            last_due_ns = int(due_ns[-1])
            await self._stream_block(block, due_ns)
        await self._send(wire.end(self._start_ns + self._market_ns, self._sent), 0)

    async def _stream_block(self, block: Int64s, due_ns: Int64s) -> None:
        at, size = 0, block.shape[1]
        while at < size:
            now_ns = self._now_ns()
            if self.pace.natural and now_ns is not None:
                self._notice_lateness(now_ns - int(due_ns[at]))
            due = size if now_ns is None else int(np.searchsorted(due_ns, now_ns, "right"))
            until = min(due, at + wire.MAX_MESSAGES)
            if until > at:
                await self._send_records(block[:, at:until])
                self._market_ns = int(due_ns[until - 1])
                at = until
            if now_ns is None or until < due:
                await asyncio.sleep(0)  # more is due already; give way to the other clients
            else:
                wait_ns = int(due_ns[at]) - now_ns if at < size else 0
                await asyncio.sleep(max(self.pace.flush_s, wait_ns / self.pace.speed / _SECOND_NS))

    def _now_ns(self) -> int | None:
        """Return the market's time as an offset, None when it goes as fast as it can."""
        if not np.isfinite(self.pace.speed):
            return None
        elapsed_s = asyncio.get_running_loop().time() - self._begun_s
        return int(elapsed_s * self.pace.speed * _SECOND_NS)

    async def _send_records(self, table: Int64s) -> None:
        sky = self.sky
        if sky is not None:
            self._look(sky)
            table = sky.market(table, self._start_ns)
        ids = self._ids.number(table)
        if self._symbols is not None:
            wanted = np.isin(table[7], self._symbols)
            table, ids = table[:, wanted], ids[wanted]
        self._sent += len(ids)
        if sky is not None:
            table, ids = sky.line(table, ids)
        messages = self._encoder.messages(table, ids, self._start_ns) if len(ids) else []
        if sky is not None:
            await self._send_among(sky, messages)
        elif messages:
            await self._send(wire.frame(messages), len(messages))

    async def _send_among(self, sky: Sky, messages: list[str]) -> None:
        """Send records among the frames of the weather."""
        self.counters.records += len(messages)
        for data in sky.frames(messages, self._start_ns + self._market_ns, self._sent):
            await self._send(data, 0)

    def _look(self, sky: Sky) -> None:
        if not sky.look():
            raise CutError

    async def _send(self, frame: bytes, records: int) -> None:
        """Send one frame of JSON text, after a look at what still waits for this client."""
        waiting = self.connection.transport.get_write_buffer_size()
        if self.pace.natural and waiting > self.pace.client_buffer:
            raise SlowClientError
        if self.sky is not None and self.sky.slow:
            await self.connection.send(_slowly(self.sky.pieces(frame)), text=True)
        else:
            await self.connection.send(frame, text=True)
        self.counters.records += records
        self.counters.frames += 1
        self.counters.bytes += len(frame)

    async def _beat(self) -> None:
        """Send a heartbeat at every interval, whatever else is sent."""
        while True:
            await asyncio.sleep(self.pace.heartbeat_s)
            now_ns = self._now_ns()
            offset_ns = self._market_ns if now_ns is None else now_ns
            if self.sky is not None:
                self._look(self.sky)
            await self._send(wire.heartbeat(self._start_ns + offset_ns, self._sent), 0)

    async def _listen(self) -> None:
        """Obey the client's requests until it leaves."""
        async for message in self.connection:
            self._symbols = subscription(message, self.source.instruments)

    def _notice_lateness(self, late_ns: int) -> None:
        if late_ns > _LATE_NS and not self._said_late:
            self._said_late = True
            self.say("gets its market more than a second late: the rate is too high for this machine")


async def _slowly(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the fragments of one frame, a pause apart."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(SLOW_PAUSE_S)


def subscription(message: str | bytes, instruments: Sequence[Listing]) -> Int64s:
    """Return the indices of the instruments that a ``subscribe`` request names.

    Raises:
        BadRequestError: the message is anything else; its text fits into a close reason (123 bytes).
    """
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise BadRequestError("a request must be one JSON object") from None
    if not isinstance(request, dict) or request.get("action") != "subscribe":
        raise BadRequestError('the only request is {"action":"subscribe","symbols":[...]}')
    symbols = request.get("symbols")
    if not isinstance(symbols, list) or not symbols:
        raise BadRequestError('"symbols" must be a list of symbols')
    known = {listing.symbol: index for index, listing in enumerate(instruments)}
    for symbol in symbols:
        if not isinstance(symbol, str) or symbol not in known:
            raise BadRequestError(f"unknown symbol {ascii(symbol)[:40]}; the hello lists those there are")
    return np.array(sorted({known[symbol] for symbol in symbols}), np.int64)
