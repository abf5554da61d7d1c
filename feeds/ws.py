"""A live feed over a WebSocket: connects, comes back, notices silence, and turns frames into batches of ticks.

One task owns the connection. It stamps each frame on receipt and decodes it at once into the queue. Who wants it at
once is called with it there and then (:meth:`WebSocketFeed.deliver`); whoever iterates over
:meth:`WebSocketFeed.batches` gets all that has come meanwhile as one batch. No fault of the other side raises: it is
counted, and either survived or answered with a new connection.

**Stale** means that the feed cannot vouch for its data: for ``stale_after_s`` there was neither an accepted record nor
a heartbeat that speaks for them. A heartbeat does when nothing was refused since the last accepted record (a quiet
market is not a stale one); frames of garbage never do. After ``silence_s`` without a single sound message, or without
the hello that makes sense of them, the connection is given up, however well it answers pings.

**A market that cannot wait** (clock ``receive``) is always read, and the queue's policy rules when the engine falls
behind. **A recording** (clock ``record``) waits: while half the queue is full, nothing is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from random import Random

from engine._wire import END, HEARTBEAT, HELLO, REFUSED, TICKS
from engine.errors import NotFoundError, nearest
from engine.model import Clock, Instrument
from engine.ports import FeedBatch, FeedHealth, FeedState
from feeds.base import SECOND_NS, SystemTiming, Timing
from feeds.guard import FeedLimits, decoder_for, feed_health
from feeds.lag import ExchangeLag
from feeds.queue import TickQueue
from feeds.reconnect import Reconnect
from feeds.transport import Connect, ConnectionLostError, Transport, check_address, open_websocket
from feeds.venues import MOCK, Hello, Venue

STALE_POLL_S = 0.05
"""How often a stale feed is looked at, so that the next silence is noticed as promptly as the first."""


class WebSocketFeed:
    """Ticks of a venue at a WebSocket address; implements :class:`engine.ports.Feed`.

    Args:
        address: ``ws://`` on this machine, ``wss://`` anywhere.
        symbols: those to take, in the order of their instrument indices; None takes all the venue offers.
        venue: how the venue writes its frames.
        limits: sizes, time-outs and what to believe.
        connect, timing, random: the network, the clocks and the jitter; tests bring their own.

    ``clock`` is final, and ``instruments`` complete, once :meth:`connected` or the first LIVE batch says so.

    Raises:
        ConfigError: the address may not be used.
    """

    def __init__(
        self,
        address: str,
        *,
        symbols: Sequence[str] | None = None,
        venue: Venue = MOCK,
        limits: FeedLimits | None = None,
        connect: Connect = open_websocket,
        timing: Timing | None = None,
        random: Random | None = None,
    ) -> None:
        self.clock = Clock.RECEIVE
        self.address = check_address(address)
        self.detail = ""  # why the state is what it is, for people
        self._symbols = None if symbols is None else tuple(dict.fromkeys(symbols))
        self._venue = venue
        self._limits = limits or FeedLimits()
        self._connect = connect
        self._timing = timing or SystemTiming()
        self._reconnect = Reconnect(self._limits, random or Random())  # noqa: S311 - jitter is no secret
        self._instruments: list[Instrument] = []
        self._precisions: dict[str, Instrument] = {}  # also of symbols that were not selected
        self._decoder = decoder_for(venue, self._limits)
        self._queue = TickQueue(self._decoder, self._instruments, self._limits.queue_ticks)
        self._lag = ExchangeLag()
        self._attempts = 0
        self._message_ns = 0  # when the last sound message came, or the connection was made; 0 before the first
        self._vouched_ns = 0  # when the data was last known to be current
        self._paused = False  # by us, so silence says nothing
        self._greeted = asyncio.Event()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._receiver: Callable[[FeedBatch], None] | None = None

    @property
    def instruments(self) -> Sequence[Instrument]:
        return self._instruments

    async def connected(self, timeout_s: float) -> bool:
        """Wait until the venue has introduced itself; False if it has not within ``timeout_s``.

        Raises:
            NotFoundError: the venue does not offer one of ``symbols``.
        """
        task = self._start()
        greeting = asyncio.create_task(self._greeted.wait())
        await asyncio.wait({greeting, task}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        greeting.cancel()
        if task.done() and not task.cancelled():
            task.result()
        return self._greeted.is_set()

    async def batches(self) -> AsyncIterator[FeedBatch]:
        """Yield what has come since the last batch, until the venue's data ends or :meth:`close` is called.

        Raises:
            NotFoundError: the venue does not offer one of ``symbols``.
        """
        task = self._start()
        while True:
            self._news.clear()
            for batch in self._queue.drain():
                self._room.set()
                yield batch
            if task.done() and self._queue.empty:
                if not task.cancelled():
                    task.result()
                return
            await self._news.wait()

    async def deliver(self, take: Callable[[FeedBatch], None]) -> None:
        """Call ``take`` with each batch at the moment it is decoded, until the data ends or :meth:`close` is called.

        Between receipt and ``take`` there is no turn of the event loop, which would cost more than the decoding.
        What ``take`` raises ends the feed and is raised here.

        Raises:
            NotFoundError: the venue does not offer one of ``symbols``.
        """
        task = self._start()
        self._receiver = take
        try:
            self._announce()
            await asyncio.wait({task})
            self._announce()
        finally:
            self._receiver = None
        if not task.cancelled():
            task.result()

    def _announce(self) -> None:
        """Something has come: hand it over, or wake whoever waits for it."""
        if self._receiver is None:
            self._news.set()
            return
        for batch in self._queue.drain():
            self._receiver(batch)
        self._room.set()

    def health(self) -> FeedHealth:
        """Return the counters since the start."""
        age_ms = (self._timing.monotonic_ns() - self._message_ns) / 1e6 if self._message_ns else float("nan")
        return feed_health(
            self._decoder,
            state=self._queue.state,
            address=self.address,
            gaps=self._queue.gaps,
            reconnects=max(0, self._attempts - 1),
            queue_ticks=len(self._queue),
            age_ms=age_ms,
        )

    async def close(self) -> None:
        """Close the connection; :meth:`batches` hands over what has come and ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, NotFoundError):
                await self._task
        self._set_state(FeedState.CLOSED)

    def _start(self) -> asyncio.Task[None]:
        if self._task is None:
            self._queue.mark(FeedState.CONNECTING, self.address, self._timing.monotonic_ns())
            self._task = asyncio.create_task(self._run(), name=f"feed {self.address}")
            self._task.add_done_callback(lambda _: self._news.set())
        return self._task

    def _set_state(self, state: FeedState, detail: str = "") -> None:
        self.detail = detail
        if state is not self._queue.state or state is FeedState.RECONNECTING:
            self._queue.mark(state, detail, self._timing.monotonic_ns())
        self._announce()

    async def _run(self) -> None:
        """Connect, and connect again, until the data ends."""
        while self._queue.state is not FeedState.END:
            wait_s = self._reconnect.wait_s(self._timing.monotonic_ns())
            if wait_s > 0:
                await self._timing.sleep(wait_s)
            self._attempts += 1
            try:
                transport = await self._connect(self.address, self._limits)
                await self._serve(transport)
            except ConnectionLostError as lost:
                if lost.frame_too_large:
                    self._decoder.count_unread_frame()
                self._set_state(FeedState.RECONNECTING, f"attempt {self._attempts}: {lost}")

    async def _serve(self, transport: Transport) -> None:
        """Read one connection until the data ends; raises ConnectionLostError when the connection does."""
        opened_ns = self._timing.monotonic_ns()
        self._message_ns = self._vouched_ns = opened_ns
        self._decoder.begin_connection()
        self.detail = "connected, but the venue has not introduced itself"
        watch = asyncio.create_task(self._watch(transport), name="feed watch")
        try:
            while self._queue.state is not FeedState.END:
                await self._wait_for_room()
                await self._take(await transport.receive(), transport)
        except ConnectionLostError:
            if not watch.done():
                raise
            silence = f"{self._limits.silence_s:g} s"
            if self._decoder.awaiting_hello:
                raise ConnectionLostError(f"the venue has not introduced itself within {silence}") from None
            raise ConnectionLostError(f"nothing heard for {silence}") from None
        finally:
            watch.cancel()
            await asyncio.wait({watch})
            if self._message_ns - opened_ns >= self._limits.stable_after_s * SECOND_NS:
                self._reconnect.stable()
            await transport.close()

    async def _wait_for_room(self) -> None:
        """Let a recording wait for the engine; TCP's own back-pressure then reaches the sender."""
        while self.clock is Clock.RECORD and len(self._queue) >= self._limits.queue_ticks // 2:
            self._room.clear()
            self._paused = True
            await self._room.wait()
            self._paused = False
            self._message_ns = self._vouched_ns = self._timing.monotonic_ns()

    async def _take(self, frame: bytes, transport: Transport) -> None:
        received_ns, wall_ns = self._timing.receive_stamp()
        outcome = self._queue.receive(frame, received_ns, wall_ns)
        if outcome & REFUSED:
            if self._decoder.awaiting_hello:
                self.detail = f"connected, but what came is no frame of a market: {self._decoder.fault}"
            return
        if self._decoder.awaiting_hello:
            if outcome & HELLO:
                await self._greet(transport)
                self._message_ns = self._vouched_ns = received_ns
            return
        self._message_ns = received_ns
        if outcome & TICKS and self.clock is Clock.RECEIVE:
            self._queue.note_late(self._lag.excess_ns(self._decoder.oldest_ns, received_ns))
        if outcome & TICKS or (outcome & HEARTBEAT and not self._decoder.refused_since_accepted):
            self._vouched_ns = received_ns
            if self._queue.state is FeedState.STALE:
                self._set_state(FeedState.LIVE)
        if outcome & END:
            self._set_state(FeedState.END)
        if not self._queue.empty:
            self._announce()

    async def _greet(self, transport: Transport) -> None:
        """Honour the venue's hello, or give the connection up."""
        try:
            hello = self._venue.read_hello(self._decoder.hello)
            self._check_unchanged(hello)
            self._add_instruments(hello)
        except ValueError as error:
            self._decoder.refuse_hello()
            raise ConnectionLostError(str(error)) from None
        again = self._greeted.is_set()
        ids_continue = self._venue.ids_continue(hello.clock)
        self._decoder.accept_hello(recorded=hello.clock is Clock.RECORD, ids_continue=ids_continue)
        if again and not ids_continue:
            self._queue.mark_gap("reconnected", self._timing.monotonic_ns())
        self._greeted.set()
        self._set_state(FeedState.LIVE)
        if len(self._instruments) < len(self._precisions):
            await transport.send(self._venue.subscription([instrument.symbol for instrument in self._instruments]))

    def _check_unchanged(self, hello: Hello) -> None:
        """The engine's integers mean ticks and lots of the first hello's symbols, and so they must stay."""
        if self._greeted.is_set() and hello.clock is not self.clock:
            raise ValueError(f"the venue now trades on {hello.clock} time, not on {self.clock} time")
        for instrument in hello.instruments:
            if self._precisions.get(instrument.symbol, instrument) != instrument:
                raise ValueError(f"the venue has changed the precision of {instrument.symbol}")
        offered = {instrument.symbol for instrument in hello.instruments}
        for instrument in self._instruments:
            if self._greeted.is_set() and instrument.symbol not in offered:
                raise ValueError(f"the venue does not offer {instrument.symbol} any more")

    def _add_instruments(self, hello: Hello) -> None:
        """Make the hello's symbols known. The first hello decides which are taken; later ones cannot add to them."""
        self.clock = hello.clock
        offered = {instrument.symbol: instrument for instrument in hello.instruments}
        wanted: tuple[str, ...] = ()
        if not self._greeted.is_set():
            wanted = tuple(offered) if self._symbols is None else self._symbols
        for symbol in wanted:
            if symbol not in offered:
                raise NotFoundError(
                    f"the venue does not offer {symbol!r}", where=self.address, fix=nearest(symbol, offered)
                )
        for symbol in dict.fromkeys((*wanted, *offered)):
            if symbol in self._precisions:
                continue
            instrument = self._precisions[symbol] = offered[symbol]
            self._decoder.add_symbol(
                symbol,
                price_precision=instrument.price_precision,
                size_precision=instrument.size_precision,
                selected=symbol in wanted,
            )
            if symbol in wanted:
                self._instruments.append(instrument)

    async def _watch(self, transport: Transport) -> None:
        """Call the feed stale when nobody vouches for its data; give the connection up when it has gone silent."""
        stale_ns, silence_ns = int(self._limits.stale_after_s * SECOND_NS), int(self._limits.silence_s * SECOND_NS)
        while True:
            now_ns = self._timing.monotonic_ns()
            if self._paused:
                await self._timing.sleep(self._limits.stale_after_s)
                continue
            if self._queue.state is FeedState.LIVE and now_ns - self._vouched_ns >= stale_ns:
                self._set_state(FeedState.STALE, f"nothing to trade on for {self._limits.stale_after_s:g} s")
            if now_ns - self._message_ns >= silence_ns:
                await transport.close()
                return
            wait_ns = silence_ns - (now_ns - self._message_ns)
            if self._queue.state is FeedState.LIVE:
                wait_ns = min(wait_ns, stale_ns - (now_ns - self._vouched_ns))
            else:
                wait_ns = min(wait_ns, int(STALE_POLL_S * SECOND_NS))
            await self._timing.sleep(wait_ns / SECOND_NS)
