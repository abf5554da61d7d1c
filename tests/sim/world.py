"""The world: market, line, machine and operator, drawn from a seed, around the whole session that trades.

Only the sockets, the clock, the disk and the market are made up. ``run`` plays ten simulated minutes and returns what
happened; a breach of what must hold is an AssertionError. Where sessions are ``mortal`` they are killed, lose their
power or their disk, or are stopped, and started again by the way in that every session takes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from engine.config.settings import Config
from engine.events import Decision
from engine.journal.codec import is_decision
from engine.journal.reader import JournalReader
from engine.journal.segments import JournalFailed
from engine.journal.writer import SessionJournal
from engine.live import recovery
from engine.live.opening import Opened, open_session
from engine.live.recording import state_of
from engine.live.replay import Replay
from engine.live.session import PaperSession
from engine.live.views import ViewBuilder
from engine.model import Clock, TickBlock
from engine.telemetry_wire import Snapshot
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed
from tests.sim.audit import Audit
from tests.sim.clock import JumpingLoop, LoopTiming
from tests.sim.link import Link
from tests.sim.machine import Crash, Machine
from tests.sim.market import trades
from tests.sim.moody import moods
from tests.sim.operator import Operator

MINUTES = 10
PAINTED = 100
"""Of so many pictures one is painted."""

CALM_S = 60.0
"""The last minute is without faults: by its end the feed must be live again."""

HAZARDS = ("kill", "kill", "kill at a record", "kill at a record", "power", "flush", "full", "stop")
AWAY_S = 30.0
"""The longest that a session stays away when it has died."""


@dataclass(slots=True)
class Report:
    """What happened in one world, enough to tell whether two worlds were the same."""

    faults: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    trades: int = 0
    accepted: int = 0
    open_at_death: int = 0  # positions that a session had when it died, and has again
    snapshots: int = 0  # sessions that were brought back from one
    decision_hash: str = ""  # of the last session


def seldom(paint: Callable[..., Snapshot]) -> Callable[..., Snapshot]:
    """Paint one picture in ``PAINTED``, and give it for the others, too: a world looks only at when one is due.

    What there is to see on screens is tested elsewhere; here it would take a third of the time.
    """
    pictures = WeakKeyDictionary[ViewBuilder, tuple[int, Snapshot]]()  # how many were asked for, the latest painted

    def asked(builder: ViewBuilder, *arguments: Any, **named: Any) -> Snapshot:
        number, latest = pictures.get(builder, (0, None))
        if latest is None or number % PAINTED == 0:
            latest = paint(builder, *arguments, **named)
        pictures[builder] = number + 1, latest
        return latest

    return asked


def unnoted(builder: ViewBuilder, block: TickBlock, age_ns: int = 0) -> None:
    """Of what comes between pictures nothing is kept."""


def run(
    seed: int,
    config: Config,
    folder: Path,
    minutes: float = MINUTES,
    *,
    begins_s: float = 1000.0,
    mortal: bool = True,
) -> Report:
    """Play one world that begins ``begins_s`` after ``WALL_NS``, with its journals in ``folder``.

    Raises:
        AssertionError: something did not hold.
    """
    place = config.journal.model_copy(update={"directory": str(folder)})
    config = config.model_copy(update={"journal": place})

    async def play() -> Report:
        return await World(seed, config, 60 * minutes, mortal=mortal).play()

    with asyncio.Runner(loop_factory=lambda: JumpingLoop(begins_s)) as runner:
        return runner.run(play())


class World:
    """One world, which begins with the loop that it is made in."""

    def __init__(self, seed: int, config: Config, seconds: float, *, mortal: bool) -> None:
        random = Random(seed)
        self.config, self.seconds, self._seed = config, seconds, seed
        self.report = Report()
        self.timing = LoopTiming()
        self.link = Link(random, trades(Random(random.random()), seconds), seconds - CALM_S, self.report.faults)
        self._feeds = Random(random.random())
        self._fate = Random(f"fate of {seed}") if mortal else None
        self.machine = Machine(Random(f"machine of {seed}"), self.report.deaths)
        halts = Random(f"halts of {seed}") if mortal else None
        self._operator_of = lambda: Operator(random, self.report.commands, seconds - CALM_S, halts)
        self._errors: list[BaseException] = []
        self._lives = self._on_disk = 0
        self.audit = Audit(unit=0)

    async def play(self) -> Report:
        """All the lives of its sessions, and what remains of them."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unheard)
        self.operator: Operator | None = None
        with ExitStack() as around:
            around.enter_context(mock.patch.object(ViewBuilder, "snapshot", seldom(ViewBuilder.snapshot)))
            around.enter_context(mock.patch.object(ViewBuilder, "note", unnoted))
            if self._fate is not None:
                around.enter_context(self.machine.installed())
                around.enter_context(moods(self._seed, self.report.faults))
            while await self._live():
                assert self._fate is not None
                await asyncio.sleep(self._fate.uniform(0.1, AWAY_S))
        assert not self._errors, self._errors
        return self.report

    def _unheard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a timer raised: that the process is gone is no news."""
        error = context.get("exception")
        if error is not None and not isinstance(error, Crash):
            self._errors.append(error)

    # ------------------------------------------------------------ one session

    async def _live(self) -> bool:
        """One session, from its start to its end; returns whether another one follows."""
        feed = WebSocketFeed(
            "ws://127.0.0.1:1",
            connect=self.link.open,
            timing=self.timing,
            limits=FeedLimits(backoff_cap_s=4.0),
            random=self._feeds,
        )
        while not await feed.connected(60.0):
            pass
        self._lives += 1
        if self.link.now_s() >= self.seconds - 1:  # the one before died late, and a session would never end now
            assert self._lives > 1, "the world is over before it begins"
            await feed.close()
            return False
        _, now_ns = self.timing.receive_stamp()
        opened = open_session(
            self.config, feed.instruments, f"life{self._lives:02}", mode="PAPER", clock=Clock.RECEIVE, now_ns=now_ns
        )
        assert opened.journal is not None
        kept = decisions_of(opened.journal.directory)

        def look(snapshot: Snapshot) -> None:
            if not self.machine.dead:
                health = feed.health()
                assert health.offered == health.accepted + sum(health.rejected.values()), f"ticks were lost: {health}"
                self.report.states[health.state.value] += 1
                self.audit.follow(kept)

        session = PaperSession(
            self.config,
            feed,
            mode="PAPER",
            on_snapshot=look,
            timing=self.timing,
            journal=opened.journal,
            resumed=opened.resumed,
            carried=opened.carried,
        )
        self._compare(opened, session, kept)
        self.machine.watch(opened.journal, kept, 0 if opened.resumed is None else self._on_disk)
        if self.operator is None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.seconds - 0.5 - self.link.now_s(), self._stop)
            loop.call_soon(self._hire)
        self.session = session
        living = asyncio.create_task(session.run("sim"))
        hazards = None if self._fate is None else asyncio.create_task(self._hazards(self._fate, session, living))
        await asyncio.wait({living})
        if self.operator is not None:
            self.operator.session = None
        if hazards is not None:
            hazards.cancel()
            self.machine.full = False
        state = feed.health().state.value
        with suppress(Crash):  # it was being told of a tick
            await feed.close()
        return self._ended(opened, session, living, kept, state)

    def _hire(self) -> None:
        self.operator = self._operator_of()
        self.operator.session = self.session

    def _stop(self) -> None:
        self.session.stop.set()

    def _compare(self, opened: Opened, session: PaperSession, kept: list[Decision]) -> None:
        """What a session begins with is what the one before has left."""
        before, died = self.machine.kept, self.machine.dead
        kernel = session.kernel
        if opened.resumed is None:
            assert not died, f"after a {died} nothing was brought back"
            assert self._lives == 1 or opened.carried is not None
            if opened.carried is not None:
                assert kernel.portfolio.starting == self.audit.equity, "the account is not what it was"
            self.audit = Audit(kernel.portfolio.units[0])
        else:
            common = min(len(kept), len(before))
            assert kept[:common] == before[:common], "something else was decided than had been"
            least = self.machine.safe if died in ("power", "flush") else len(before)
            assert len(kept) >= least, f"after a {died} {least - len(kept)} decisions are lost"
            self.audit = Audit(kernel.portfolio.units[0])
            self.audit.follow(kept)
            held = {number: one.side * one.lots for number, one in kernel.portfolio.positions.items()}
            assert held == {lane: lots for lane, lots in self.audit.held.items() if lots}, (
                "positions are not what they were"
            )
            self.report.open_at_death += len(held)
            self._compare_with_all_done_again(opened)
        if self.operator is not None:
            self.operator.meets(session, nothing_lost=died not in ("power", "flush"))

    def _compare_with_all_done_again(self, opened: Opened) -> None:
        """From a snapshot a session is brought back as what it is without one."""
        found = opened.resumed
        assert found is not None
        assert opened.journal is not None
        if not found.kept_at:
            return
        self.report.snapshots += 1
        with mock.patch.object(recovery, "newest_first", return_value=[]):
            whole = recovery.Recovery(opened.journal.directory)
        assert (whole.inputs, whole.ticks, whole.decision_hash) == (
            found.inputs,
            found.ticks,
            opened.journal.decision_hash,
        )
        state = state_of(whole.kernel, whole.inputs, whole, "")
        assert state_of(found.kernel, found.inputs, opened.journal, "") == state, (
            "a snapshot brought back something else"
        )
        assert found.kernel.kept == whole.kernel.kept
        assert found.kernel.trades == whole.kernel.trades

    async def _hazards(self, fate: Random, session: PaperSession, living: asyncio.Task[None]) -> None:
        """What may befall a session, until it is calm."""
        while True:
            await asyncio.sleep(fate.expovariate(1 / 100))
            if self.link.now_s() > self.seconds - CALM_S - 10:
                return
            befalls = fate.choice(
                ("kill", "kill", "kill at a record", "kill at a record", "power", "flush", "full", "stop")
            )
            if befalls == "kill at a record":
                self.machine.die_after(fate.randint(1, 60))
            elif befalls == "flush":
                self.machine.failing = True
            elif befalls == "full":
                self.machine.full = True
                await asyncio.sleep(min(fate.uniform(5, 60), self.seconds - CALM_S - self.link.now_s()))
                self.machine.full = False
            elif befalls == "stop":
                self.report.deaths["stop"] += 1
                session.stop.set()
            else:
                self.machine.die(befalls)
                living.cancel()

    def _ended(
        self, opened: Opened, session: PaperSession, living: asyncio.Task[None], kept: list[Decision], state: str
    ) -> bool:
        """Bury a session that died, or settle with one that ended; returns whether another one follows."""
        machine, journal, kernel = self.machine, opened.journal, session.kernel
        assert journal is not None
        failure = None if living.cancelled() else living.exception()
        if isinstance(failure, JournalFailed) and not machine.dead:
            machine.die("flush")
        if machine.dead:
            assert failure is None or isinstance(failure, (Crash, JournalFailed)), repr(failure)
            machine.failing = False
            with suppress(JournalFailed):
                journal.leave()
            assert opened.account is not None
            opened.account.release()
            self._bury(journal)
            return True
        if failure is not None:
            raise failure
        try:
            opened.close(kernel, session.ended)
        except JournalFailed:  # a disk that has failed since the last flush
            assert machine.failing
            machine.die("flush")
            self._bury(journal)
            if not JournalReader(journal.directory).end().sealed:
                return True
            machine.dead = ""  # all of it is there, though nobody could know
        self.audit.follow(kept)
        self.audit.close(kernel.core.equity, kernel.portfolio.starting)
        self._judge()
        report, health = self.report, session._feed.health()
        report.trades += len(kernel.trades)
        report.accepted += health.accepted
        report.rejected += Counter(health.rejected)
        report.refusals += Counter({str(reason): many for reason, many in kernel.counters.refusals.items()})
        report.decision_hash = journal.decision_hash
        over = self.link.now_s() >= self.seconds - 1
        if over:
            assert state == "live", f"a minute after the last fault the feed is {state}"
            replay = Replay(journal.directory)
            replay.check_whole()
            assert replay.difference() is None
        return not over

    def _bury(self, journal: SessionJournal) -> None:
        self.machine.bury()
        self._on_disk = sum(is_decision(entry.kind) for entry in JournalReader(journal.directory))

    def _judge(self) -> None:
        """Nothing was entered while it was forbidden."""
        if self.operator is not None:
            for entered in self.audit.entries:
                for forbidden in (self.operator.paused, self.operator.halted):
                    assert not forbidden.holds(entered), "an entry while paused or halted"


def decisions_of(directory: Path) -> list[Decision]:
    """Every decision in a journal."""
    return [entry.event() for entry in JournalReader(directory) if is_decision(entry.kind)]  # type: ignore[misc]
