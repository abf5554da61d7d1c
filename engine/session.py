"""A paper session: the kernel on a live feed, with a pacer for its timers and a picture for its viewers.

Everything happens on one thread. A batch is decided on as soon as it arrives; the pacer wakes the kernel at its next
deadline, so a time stop fires without a tick; pictures are taken at most 30 times a second, after decisions.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from engine import _core
from engine.backtesting import make_kernel, make_strategy
from engine.brokers.paper import VenueModel
from engine.config import AUTO_FEED
from engine.embedded import EmbeddedMarket
from engine.errors import ExitCode, UnreachableError
from engine.events import Command, CommandName, End, FeedGap, FeedHealthy, Refusal, TimePassed
from engine.kernel import Kernel, MemoryJournal
from engine.model import Clock, TickBlock
from engine.ports import FeedBatch, FeedState
from engine.results import Settings
from engine.telemetry import TelemetryServer
from engine.telemetry_wire import Snapshot
from engine.views import ViewBuilder
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed

if TYPE_CHECKING:
    from engine.config import Config

USUAL_MOCK = ("127.0.0.1", 8765)
FRAME_S = 1 / 30
OLD_NS = 250_000_000
"""Data that waited longer than this before it was looked at opens nothing."""

log = structlog.get_logger("session")


def wall_ns() -> int:
    """The pacer's clock: the one place in the engine that reads wall time."""
    return time.time_ns()


class PaperSession:
    """One run of the kernel on one feed."""

    def __init__(
        self, config: Config, feed: WebSocketFeed, *, mode: str, on_snapshot: Callable[[Snapshot], None]
    ) -> None:
        self._config, self._feed, self._mode, self._on_snapshot = config, feed, mode, on_snapshot
        self._loop = asyncio.get_running_loop()
        self._due_ns = _core.FOREVER_NS
        self._timer: asyncio.TimerHandle | None = None
        self._healthy = True
        self.journal = MemoryJournal()
        self.telemetry: TelemetryServer | None = None
        self.stop = asyncio.Event()
        self.ended = ""

    async def run(self, session_id: str) -> None:
        """Trade until the feed ends or ``stop`` is set; positions are then closed at the last price."""
        self.kernel = self._make_kernel()
        self._paced = self._feed.clock is Clock.RECEIVE
        self.view = ViewBuilder(
            self.kernel,
            mode=self._mode,
            session_id=session_id,
            strategy=self._config.strategy.name,
            started_ts_ns=wall_ns(),
        )
        if self._config.telemetry.enabled:
            self.telemetry = TelemetryServer(self._on_command)
            await self.telemetry.start(session_id, self._mode)
        gc.collect()
        gc.freeze()  # what exists now lives as long as the session: the collector need not look at it again
        consumer = asyncio.create_task(self._consume())
        painter = asyncio.create_task(self._paint())
        stopper = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({consumer, stopper}, return_when=asyncio.FIRST_COMPLETED)
            if consumer.done():
                consumer.result()
                self.ended = self.ended or "the feed ended"
            self._finish()
        finally:
            for task in (consumer, painter, stopper):
                task.cancel()
            await asyncio.gather(consumer, painter, stopper, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()
            self._publish()
            if self.telemetry is not None:
                await self.telemetry.close()

    def _make_kernel(self) -> Kernel:
        paper, risk = self._config.paper, self._config.risk
        # A live feed may quote or not: what the first tick shows is not known yet, so `auto` means touch.
        fills = "touch" if paper.fills == "auto" else paper.fills
        settings = Settings(
            venue=VenueModel(
                fills=fills,
                spread=paper.spread,
                slippage_bps=paper.slippage_bps,
                fee=paper.fee,
                latency_feed_ns=paper.latency_feed,
                latency_order_ns=paper.latency_order,
            ),
            calendar=self._config.session.calendar,
            starting_cash=paper.starting_cash,
            position_size=risk.position_size,
            daily_loss_limit=risk.daily_loss_limit,
        )
        strategy = make_strategy(self._config.strategy.name, self._config.strategy.params)
        return make_kernel(self._feed.instruments, strategy, settings, self.journal, show_vwap=True)

    # ------------------------------------------------------------ inputs

    async def _consume(self) -> None:
        async for batch in self._feed.batches():
            self._take(batch)

    def _take(self, batch: FeedBatch) -> None:
        """Decide on one batch, then note what viewers will want to know of it."""
        if batch.state is not None:
            self._feed_changed(batch)
        if batch.block is not None and len(batch.block):
            self._decide(batch.block, batch.received_ns)
            self.view.note(batch.block)
        self._pace()

    def _decide(self, block: TickBlock, received_ns: int) -> None:
        old = self._paced and self._healthy and time.monotonic_ns() - received_ns > OLD_NS
        if old:
            self.kernel.process(FeedHealthy(False, Refusal.DATA_OLD))
        self.kernel.process(block)
        self.view.latency.add(time.monotonic_ns() - received_ns)
        if old:
            self.kernel.process(FeedHealthy(True))

    def _feed_changed(self, batch: FeedBatch) -> None:
        state = batch.state
        self.view.feed_detail = batch.detail
        log.info("feed", state=str(state), detail=batch.detail)
        if state is FeedState.GAP:
            self.kernel.process(FeedGap(batch.gap_instruments))
        elif state is FeedState.END:
            self.ended = "the feed ended"
            if self._feed.clock is Clock.RECORD:
                self.kernel.process(End())
        self._healthy = state in (FeedState.LIVE, FeedState.GAP, FeedState.END)
        self.kernel.process(FeedHealthy(self._healthy, None if self._healthy else Refusal.FEED_STALE))

    def _on_command(self, name: str) -> None:
        log.info("command", name=name)
        if name == "stop":
            self.ended = "stopped from the dashboard"
            self.stop.set()
            return
        self.kernel.process(Command(CommandName(name), self._now_ns()))
        self._pace()

    def _now_ns(self) -> int:
        """Engine time: the wall clock, or for a recording the time of its newest record."""
        return wall_ns() if self._paced else self.kernel.core.engine_ts_ns

    # ------------------------------------------------------------ the pacer

    def _pace(self) -> None:
        """Wake the kernel at its next deadline."""
        if not self._paced:
            return
        due_ns = self.kernel.next_deadline_ns
        if due_ns == self._due_ns:
            return
        self._due_ns = due_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ns != _core.FOREVER_NS:
            self._timer = self._loop.call_later(max(0.0, (due_ns - wall_ns()) / 1e9), self._time_passed)

    def _time_passed(self) -> None:
        self._due_ns = _core.FOREVER_NS
        if self._feed.health().queue_ticks:  # records that came first are decided on first; they bring the time along
            self._loop.call_soon(self._pace)
            return
        self.kernel.process(TimePassed(wall_ns()))
        self._pace()

    # ------------------------------------------------------------ viewers

    async def _paint(self) -> None:
        while True:
            self._publish()
            await asyncio.sleep(FRAME_S)

    def _publish(self) -> None:
        snapshot = self.view.snapshot(
            self._feed.health(), time.monotonic_ns(), self.ended if self.stop.is_set() else ""
        )
        self._on_snapshot(snapshot)
        if self.telemetry is not None:
            self.telemetry.publish(snapshot)

    # ------------------------------------------------------------ the end

    def _finish(self) -> None:
        """Close what is open, at the last price: reason MANUAL, or END where a recording ran out."""
        self.stop.set()
        self.ended = self.ended or "stopped"
        self.kernel.process(Command(CommandName.FLATTEN, self._now_ns()))
        while any(lane.order is not None for lane in self.kernel.lanes):
            self.kernel.process(TimePassed(self.kernel.next_deadline_ns))


async def run_paper(
    config: Config,
    *,
    on_snapshot: Callable[[Snapshot], None],
    on_line: Callable[[str], None],
    stop_event: asyncio.Event,
) -> ExitCode:
    """Run a paper session as configured, until its duration is over, its feed ends or ``stop_event`` is set.

    Raises:
        UnreachableError: the feed has not connected within ``feed.connect_timeout`` or the duration.
    """
    market = EmbeddedMarket()
    address, mode = config.feed.address, "PAPER"
    try:
        if address == AUTO_FEED:
            address = f"ws://{USUAL_MOCK[0]}:{USUAL_MOCK[1]}"
            if await _answers(*USUAL_MOCK):
                on_line(f"feed: the mock market at {address}")
            else:
                mode = "DEMO"
                on_line(f"no market answers at {address}: starting an embedded mock market")
                address = await market.start()
                on_line(f"feed: embedded mock market at {address}, stopped at the end")
        feed = WebSocketFeed(address, limits=FeedLimits(stale_after_s=config.feed.stale_after / 1e9))
        try:
            await _connect(feed, config, address)
            mode = "REPLAY" if feed.clock is Clock.RECORD else mode
            session = PaperSession(config, feed, mode=mode, on_snapshot=on_snapshot)
            await _run_until(session, stop_event, config.session.duration)
        finally:
            await feed.close()
    finally:
        await market.stop()
    return ExitCode.OK


async def _connect(feed: WebSocketFeed, config: Config, address: str) -> None:
    timeout_ns = config.feed.connect_timeout
    if config.session.duration:
        timeout_ns = min(timeout_ns, config.session.duration)
    if not await feed.connected(timeout_ns / 1e9):
        raise UnreachableError(
            f"the feed did not answer within {timeout_ns / 1e9:g} s",
            where=address,
            fix="start one with: python -m mock_server; or leave out --feed to use an embedded one",
        )


async def _run_until(session: PaperSession, stop_event: asyncio.Event, duration_ns: int) -> None:
    """Run the session; the caller's event or the duration ends it gracefully."""
    session_id = time.strftime("%Y%m%d-%H%M%S", time.gmtime(wall_ns() / 1e9))

    async def end() -> None:
        try:
            async with asyncio.timeout(duration_ns / 1e9 if duration_ns else None):
                await stop_event.wait()
            session.ended = "stopped by you"
        except TimeoutError:
            session.ended = "the time is over"
        session.stop.set()

    ender = asyncio.create_task(end())
    try:
        await session.run(session_id)
    finally:
        ender.cancel()
        await asyncio.gather(ender, return_exceptions=True)


async def _answers(host: str, port: int) -> bool:
    """Whether anything listens there."""
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
