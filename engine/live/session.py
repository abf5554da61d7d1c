"""A paper session: the kernel on a live feed, with a pacer for its timers and a picture for its viewers.

Everything happens on one thread. The feed calls the session with each frame it has decoded, and the kernel decides on
it before anything else runs; the pacer wakes the kernel at its next deadline, so a time stop fires without a tick;
pictures are taken after decisions, 30 times a second while somebody watches and five times while nobody does.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from engine import _core
from engine.account.carried import Carried
from engine.backtesting import chosen_limits, chosen_size, make_kernel
from engine.brokers.paper import VenueModel
from engine.errors import ExitCode, UserError
from engine.events import Command, CommandName, End, EngineFault, FeedGap, Refusal, Resumed, TimePassed
from engine.journal.segments import JournalFailed
from engine.journal.writer import MemoryJournal, SessionJournal
from engine.lineup import Line, labels, line_up
from engine.live.decision_log import LoggedJournal
from engine.live.freshness import Freshness
from engine.live.kill_file import KillFile
from engine.live.recording import RecordedKernel, lane_names, lanes_of, line_of, parts_of
from engine.live.snapshots import Snapshots
from engine.live.views import ViewBuilder
from engine.model import Clock, Instrument, TickBlock
from engine.ports import FeedBatch, FeedState, Journal
from engine.run_settings import Settings
from engine.telemetry import TelemetryServer
from engine.telemetry_wire import Done, Snapshot
from engine.trading.kernel import Input, Kernel
from feeds.base import SystemTiming, Timing
from feeds.ws import WebSocketFeed

if TYPE_CHECKING:
    from engine.config.settings import Config

WATCHED_FRAME_S = 1 / 30
UNWATCHED_FRAME_S = 1 / 5

SLOW_NS = 50_000_000
"""A strategy's own code that takes longer over one batch is warned about."""

RETRY_NS = 1_000_000
"""A deadline that has passed and is still there, because what was to happen failed, is tried again so much later."""

TEND_NS = 1_000_000_000
"""From one flush of the journal to the next."""

log = structlog.get_logger("session")


def unexpected(error: BaseException) -> str:
    """How a session has ended that nobody foresaw the end of."""
    return f"an unexpected error ({type(error).__name__})"


class PaperSession:
    """One run of the kernel on one feed.

    Args:
        config: the settings; telemetry, account, risk, venue and strategy are taken from it.
        feed: a feed that is connected.
        mode: the word viewers show: PAPER, DEMO or REPLAY.
        on_snapshot: is called with each picture; the last one has ``ended`` set.
        timing: the clocks; tests bring their own, the same as the feed's.
        journal: where inputs and decisions are recorded; None keeps the decisions in memory.
        resumed: the kernel of a session that was interrupted, brought back; it goes on in its ``journal``.
        carried: what the account brings from its session before.
        resume: the reason for which somebody has lifted the account's halt or pause between its sessions, or "".
        kill_file: while it is there, nothing trades; None: there is none to look for.
        tell_decisions: whether the log is told of each decision, with values against thresholds.
    """

    def __init__(
        self,
        config: Config,
        feed: WebSocketFeed,
        *,
        mode: str,
        on_snapshot: Callable[[Snapshot], None],
        timing: Timing | None = None,
        journal: SessionJournal | None = None,
        resumed: RecordedKernel | None = None,
        carried: Carried | None = None,
        resume: str = "",
        kill_file: KillFile | None = None,
        tell_decisions: bool = False,
    ) -> None:
        self._config, self._feed, self._mode, self._on_snapshot = config, feed, mode, on_snapshot
        self._timing = timing or SystemTiming()
        self._loop = asyncio.get_running_loop()
        self._due_ns = _core.FOREVER_NS
        self._timer: asyncio.TimerHandle | None = None
        self._seen_ns, self._wall_seen_ns = self._clocks()  # when they were last looked at
        self._recording, self._resumed = journal, resumed
        self._kill_file, self._resume = kill_file, resume
        self._halted: JournalFailed | None = None
        self._failure: UserError | None = None  # the first of a strategy's own code
        self._error: Exception | None = None  # nobody foresaw it, and it was one too many
        self._short = False  # of room for the journal
        self._tended_ns = 0
        self.journal = journal or MemoryJournal()
        if resumed is None:
            told = LoggedJournal(self.journal) if tell_decisions else self.journal
            self.kernel = self.make_kernel(config, feed.instruments, told, carried)
            if isinstance(told, LoggedJournal):
                told.kernel = self.kernel
        else:
            self.kernel = resumed.kernel  # recovery has seen to its log
        self._inputs: Kernel | RecordedKernel = self.kernel
        self._snapshots: Snapshots | None = None
        if journal is not None:
            self._inputs = resumed or RecordedKernel(self.kernel, journal)
            self._snapshots = Snapshots(self._inputs, journal)
        self.exit_code = ExitCode.OK
        self.telemetry: TelemetryServer | None = None
        self.stop = asyncio.Event()
        self.ended = ""

    async def run(self, session_id: str) -> None:
        """Trade until the feed ends or ``stop`` is set; positions are then closed at the market."""
        self._paced = self._feed.clock is Clock.RECEIVE
        self.freshness = Freshness(
            self._process,
            self._now_ns,
            paced=self._paced,
            old_ns=self._config.feed.old_after,
            instruments=len(self._feed.instruments),
            stale_s=self._config.feed.stale_after / 1e9,
            told=self.kernel.risk.feed_refusal,
        )
        self.view = ViewBuilder(
            self.kernel,
            mode=self._mode,
            session_id=session_id,
            strategy=self._strategy_name,
            started_ts_ns=self._wall_ns() if self._paced else 0,
            owners=self._owners(),
        )
        if self._config.telemetry.enabled:
            self.telemetry = TelemetryServer(self._on_command)
            await self.telemetry.start(session_id, self._mode)
        if self._resumed is not None and self._resumed.failure is not None:
            self._strategy_failed(self._resumed.failure)  # before it was interrupted: it is asked nothing more
        freezes = not gc.get_freeze_count()  # unless whoever runs sessions has done so for all of them
        if freezes:
            gc.collect()
            gc.freeze()  # what exists now lives as long as the session: the collector need not look at it again
        if self._resumed is not None:
            self._process(Resumed(self._wall_ns()))  # the seam comes before anything else that is decided
        self._look_at_clocks()  # the feed has been running meanwhile
        self._began_ns = self._seen_ns
        self._pace()
        self.look_at_kill_file()
        if self._resume:
            self._on_command(CommandName.RESUME, self._resume)
        self._publish()  # the first sign of life, before the first tick: from here on a hang is noticed
        consumer = asyncio.create_task(self._feed.deliver(self._take))
        painter = asyncio.create_task(self._paint())
        stopper = asyncio.create_task(self.stop.wait())
        tasks = {consumer, painter, stopper}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            failure = next((task.exception() for task in tasks if task.done() and task.exception()), self._error)
            if failure is not None:
                self.ended = unexpected(failure)
            elif consumer.done():
                self.ended = self.ended or "the feed ended"
            self._finish()
            if failure is not None:
                raise failure
            if self._halted is not None:
                raise self._halted
            if self._failure is not None:
                raise self._failure
        finally:
            self.stop.set()  # from here on nothing is decided any more
            self.freshness.close()
            for timer in (*tasks, self._timer):
                if timer is not None:
                    timer.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if freezes:
                gc.unfreeze()
            try:
                self._publish()
            finally:
                if self.telemetry is not None:
                    await self.telemetry.close()

    @staticmethod
    def make_kernel(
        config: Config, instruments: Sequence[Instrument], journal: Journal, carried: Carried | None = None
    ) -> Kernel:
        """Compose the kernel of a paper session as configured; a replay does the same."""
        line = line_of(config)
        settings = PaperSession.settings_of(config, line)
        if carried is not None:
            settings = replace(settings, starting_cash=carried.equity)
        kernel = make_kernel(instruments, line, settings, journal, show_vwap=True, carried=carried)
        if carried is not None:
            PaperSession.carry_cooldowns(kernel, line, carried)
        return kernel

    @staticmethod
    def carry_cooldowns(kernel: Kernel, line: Line, carried: Carried) -> None:
        """Let each lane of a line-up, the kernel's first ones, skip the signals that it had still to skip."""
        names = lane_names(lanes_of(line, kernel.instruments), kernel.instruments)
        for lane, name in zip(kernel.lanes, names, strict=False):
            lane.cooldown_left = carried.cooldowns.get(name, 0)

    @staticmethod
    def settings_of(config: Config, line: Line) -> Settings:
        """Everything besides ticks and strategy that decides what a session does."""
        paper, risk = config.paper, config.risk
        # A live feed may quote or not: what the first tick shows is not known yet, so `auto` means touch.
        fills = "touch" if paper.fills == "auto" else paper.fills
        return Settings(
            venue=VenueModel(
                fills=fills,
                spread=paper.spread,
                slippage_bps=paper.slippage_bps,
                fee=paper.fee,
                latency_feed=paper.latency_feed,
                latency_order=paper.latency_order,
                maker_fee=paper.maker_fee,
                borrow_rate=paper.borrow_rate,
                shorting=paper.shorting,
            ),
            calendar=config.session.calendar,
            session_rules=config.session.rules,
            starting_cash=paper.starting_cash,
            position_size=risk.position_size,
            size=chosen_size(line, config.sizing.size or None),
            **chosen_limits(line, risk.profile, risk.given),
        )

    @property
    def _strategy_name(self) -> str:
        """What viewers call what is traded by."""
        chosen = self._config.strategy
        return " + ".join(labels(line_up(chosen.strategies))) if chosen.strategies else chosen.name

    def _owners(self) -> list[str]:
        """Whose each lane is, where there are several strategies to be told from one another."""
        if len(self._config.strategy.strategies) < 2:
            return []
        return [str(lane["strategy"]) for lane in lanes_of(line_of(self._config), self.kernel.instruments)]

    def _clocks(self) -> tuple[int, int]:
        """Monotonic and wall time: with the feed's receive stamp the only place where the engine asks for them."""
        return self._timing.receive_stamp()

    def _wall_ns(self) -> int:
        return self._clocks()[1]

    # ------------------------------------------------------------ inputs

    def _process(self, event: Input) -> None:
        """Record an input and decide on it. Without a journal nothing is: then the session ends as it stands."""
        if self._halted is not None:
            return
        try:
            self._inputs.process(event)
        except JournalFailed as failed:
            self._halt(failed)
        except UserError as error:
            self._strategy_failed(error)
        except Exception as error:
            self._failed(event, error)
        if self._failure is not None and self._nothing_is_left() and not self.stop.is_set():
            self.ended = "the strategy failed"
            self.stop.set()
        if self._recording is not None and self._recording.reducing != self._short:
            self._short = not self._short
            log.warning("journal", room="none left" if self._short else "found again")
            self.freshness.room_is(short=self._short)
        if self._short and self._recording is not None and self._recording.full and not self.stop.is_set():
            self.ended, self.exit_code = "the disk is full", ExitCode.STOPPED
            self.stop.set()

    def _failed(self, event: Input, error: Exception) -> None:
        """An input failed in a way that nobody foresaw: go on, unless it is one time too many in a row.

        What does not add up is too many the first time: the kernel has halted then. The session then closes
        everything and ends with the error.
        """
        log.error("engine error", exc_info=error)
        if not isinstance(event, EngineFault):
            self._process(EngineFault(self._now_ns(), type(error).__name__))
        if isinstance(event, EngineFault) or self.kernel.risk.halted in (Refusal.ERRORS, Refusal.CONSERVATION):
            self._error = self._error or error
            self.stop.set()

    def _strategy_failed(self, error: UserError) -> None:
        """The code of a strategy or feature has failed: it is asked nothing more, and exits go on in the core."""
        log.error("strategy failed", error=error.line())
        self.view.problem = error.line()
        self._failure = self._failure or error

    def _nothing_is_left(self) -> bool:
        """Whether no strategy works any more and nothing is open: a failure that is no strategy's is a feature's."""
        lanes = self.kernel.lanes
        works = any(lane.failed for lane in lanes) and not all(lane.failed for lane in lanes)
        return not works and all(lane.is_free for lane in lanes)

    def _halt(self, failed: JournalFailed) -> None:
        log.error("journal", failed=failed.what)
        self._halted, self.ended = failed, "the journal failed"
        self.stop.set()

    def _tend_journal(self) -> None:
        """Once a second: have the journal flushed, and hear of a disk that has failed."""
        now_ns = self._timing.monotonic_ns()
        if self._recording is None or self._halted is not None or now_ns - self._tended_ns < TEND_NS:
            return
        self._tended_ns = now_ns
        try:
            self._recording.tend()
            if self._snapshots is not None:
                self._snapshots.look()
        except JournalFailed as failed:
            self._halt(failed)

    def _take(self, batch: FeedBatch) -> None:
        """Decide on one batch, then note what viewers will want to know of it."""
        if self.stop.is_set():
            return
        if batch.state is not None:
            self._feed_changed(batch)
        block = batch.block
        if block is not None:
            if self._paced and batch.received_ns - self._seen_ns > self.freshness.old_ns:
                self._look_at_clocks()
            self._decide(block, batch)
        self._pace()

    def _decide(self, block: TickBlock, batch: FeedBatch) -> None:
        if not self.view.started_ts_ns:
            self.view.started_ts_ns = int(block.ts_ns[0])  # a recording begins with its first record
        asked_ns, received_ns = self._timing.monotonic_ns(), batch.received_ns
        age_ns = asked_ns - received_ns + batch.late_ns
        self.freshness.looked_at(age_ns, starting=received_ns < self._began_ns)
        for part in parts_of(block):  # each is an input, and fails for itself
            self._process(part)
        decided_ns = self._timing.monotonic_ns()
        if decided_ns - asked_ns > SLOW_NS and any(lane.asks_strategy for lane in self.kernel.lanes):
            log.warning("slow strategy", strategy=self._strategy_name, ms=(decided_ns - asked_ns) // 1_000_000)
        if received_ns >= self._began_ns:  # what came before had to wait for the session, not for the decision
            self.view.latency.add(decided_ns - received_ns, len(block))
        self.view.note(block, age_ns)

    def _feed_changed(self, batch: FeedBatch) -> None:
        state = batch.state
        log.info("feed", state=str(state), detail=batch.detail)
        if state is FeedState.GAP:
            self._process(FeedGap(batch.gap_instruments))
        elif state is FeedState.END:
            self.ended = "the feed ended"
            if self._feed.clock is Clock.RECORD:
                self._process(End())
        if state is not None:
            self.freshness.feed_is(state)

    def _on_command(self, name: str, reason: str = "") -> Done:
        """Obey a viewer, and say what has become of it."""
        log.info("command", name=name, reason=reason)
        refusal = self._refusal_of(name, reason)
        if refusal:
            pass
        elif name == "stop":
            self.ended = "stopped from the dashboard"
            self.stop.set()
        else:
            self._command(CommandName(name), reason)
        account = self.view.account(self._now_ns())
        return Done(name, self._now_ns(), account.state, refusal or account.halted, not refusal)

    def _refusal_of(self, name: str, reason: str) -> str:
        """Why a command is not obeyed, or ""."""
        if self.stop.is_set():
            return "the session has ended"
        if name != CommandName.RESUME:
            return ""
        if self._kill_file is not None and self._kill_file.is_there():
            return f"the kill file {self._kill_file.path} is there"
        if self.kernel.risk.halted is not None and not reason.strip():
            return "a halt ends only with a reason"
        return ""

    def _command(self, name: CommandName, reason: str) -> None:
        self._process(Command(name, self._now_ns(), reason))
        self._pace()

    def halt(self, reason: str) -> None:
        """Close everything and open nothing until somebody resumes with a reason."""
        if not self.stop.is_set():
            log.warning("halt", reason=reason)
            self._command(CommandName.HALT, reason)

    def look_at_kill_file(self) -> None:
        """Halt while the kill file is there: looked for with every picture, and before the first tick."""
        if self._kill_file is None or self.kernel.risk.halted is not None or not self._kill_file.is_there():
            return
        self.halt(f"kill file: {self._kill_file.reason()}".removesuffix(": "))

    def _now_ns(self) -> int:
        """Engine time: the wall clock, or for a recording the time of its newest record."""
        return self._wall_ns() if self._paced else self.kernel.core.engine_ts_ns

    def _look_at_clocks(self) -> None:
        """Notice that this process was held up: what it reads next has waited somewhere."""
        now_ns, wall_ns = self._clocks()
        held_up_ns = max(now_ns - self._seen_ns, wall_ns - self._wall_seen_ns) - int(UNWATCHED_FRAME_S * 1e9)
        self._seen_ns, self._wall_seen_ns = now_ns, wall_ns
        self.freshness.held_up(held_up_ns)

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
            due_ns = max(due_ns, self.kernel.core.engine_ts_ns + RETRY_NS)  # later than now, where it failed before
            self._timer = self._loop.call_later(max(0.0, (due_ns - self._wall_ns()) / 1e9), self._time_passed)

    def _time_passed(self) -> None:
        self._due_ns = _core.FOREVER_NS
        self._process(TimePassed(self._wall_ns()))
        self._pace()

    # ------------------------------------------------------------ viewers

    async def _paint(self) -> None:
        while True:
            self._look_at_clocks()
            self.look_at_kill_file()
            self._tend_journal()
            self._publish()
            watched = self.telemetry is not None and self.telemetry.viewers
            await asyncio.sleep(WATCHED_FRAME_S if watched else UNWATCHED_FRAME_S)

    def _publish(self) -> None:
        snapshot = self.view.snapshot(
            self._feed.health(),
            self._timing.monotonic_ns(),
            engine_ts_ns=self._now_ns(),
            old_batches=self.freshness.old_batches,
            detail=self._feed.detail,
            ended=self.ended if self.stop.is_set() else "",
        )
        self._on_snapshot(snapshot)
        if self.telemetry is not None:
            self.telemetry.publish(snapshot)

    # ------------------------------------------------------------ the end

    def _finish(self) -> None:
        """Close what is open, at the last price: reason MANUAL, or END where a recording ran out."""
        self.stop.set()
        self.ended = self.ended or "stopped"
        if self.kernel.risk.halted is not None and self.exit_code is ExitCode.OK:
            self.exit_code = ExitCode.STOPPED
        self._process(Command(CommandName.FLATTEN, self._now_ns()))
        errors = self.kernel.risk.errors
        while self._halted is None and self.kernel.risk.errors == errors and self.kernel.awaits_venue:
            self._process(TimePassed(self.kernel.next_deadline_ns))
