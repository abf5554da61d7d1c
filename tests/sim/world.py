"""The world: market, line and operator, drawn from a seed, around the whole session that trades.

Only the sockets, the clock and the market are made up. ``run`` plays ten simulated minutes and returns what happened;
a breach of what must hold is an AssertionError.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from engine.config.settings import Config
from engine.events import CommandName
from engine.journal.writer import MemoryJournal
from engine.live.session import PaperSession
from engine.telemetry_wire import Snapshot
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed
from tests.sim.audit import Audit
from tests.sim.clock import WALL_NS, JumpingLoop, LoopTiming
from tests.sim.journals import KeptJournal, open_kept
from tests.sim.link import Link
from tests.sim.market import trades

MINUTES = 10
CALM_S = 60.0
"""The last minute is without faults: by its end the feed must be live again."""


@dataclass(slots=True)
class Report:
    """What happened in one world, enough to tell whether two worlds were the same."""

    faults: Counter[str]
    commands: Counter[str] = field(default_factory=Counter)
    trades: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, int] = field(default_factory=dict)
    decision_hash: str = ""


class Operator:
    """Pauses, resumes and flattens at bad moments, and lets the machine sleep; remembers what it forbade, and when."""

    def __init__(self, random: Random, session: PaperSession, report: Report, until_s: float) -> None:
        self._random, self._session, self._report = random, session, report
        self._loop = asyncio.get_running_loop()
        self._until_s = self._loop.time() + until_s
        self.paused: list[tuple[int, int]] = []
        self._since_ns = 0
        self._again()

    def _again(self) -> None:
        self._loop.call_later(self._random.expovariate(1 / 40), self._act)

    def _act(self) -> None:
        if self._loop.time() >= self._until_s:
            self._resume()
            return
        act = self._random.choice(("pause", "resume", "flatten", "sleep"))
        self._report.commands[act] += 1
        if act == "sleep":
            assert isinstance(self._loop, JumpingLoop)
            self._loop.now += self._random.choice((0.3, 2.0, 30.0))
        elif act == "pause":
            self._session._on_command(CommandName.PAUSE)
            self._since_ns = self._since_ns or self._now_ns()
        elif act == "resume":
            self._resume()
        else:
            self._session._on_command(CommandName.FLATTEN)
        self._again()

    def _resume(self) -> None:
        self._session._on_command(CommandName.RESUME)
        if self._since_ns:
            self.paused.append((self._since_ns, self._now_ns()))
            self._since_ns = 0

    def _now_ns(self) -> int:
        return WALL_NS + round(self._loop.time() * 1e9)


def run(
    seed: int, config: Config, minutes: float = MINUTES, *, begins_s: float = 1000.0, journal: Path | None = None
) -> Report:
    """Play one world that begins ``begins_s`` after ``WALL_NS``; ``journal`` is where it is recorded.

    Raises:
        AssertionError: something did not hold.
    """
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(begins_s)) as runner:
        return runner.run(_play(Random(seed), config, 60 * minutes, journal))


async def _play(random: Random, config: Config, seconds: float, recorded: Path | None) -> Report:
    timing = LoopTiming()
    link = Link(random, trades(Random(random.random()), seconds), seconds - CALM_S)
    report = Report(link.faults)
    feed = WebSocketFeed(
        "ws://127.0.0.1:1",
        connect=link.open,
        timing=timing,
        limits=FeedLimits(backoff_cap_s=4.0),
        random=Random(random.random()),
    )
    while not await feed.connected(60.0):
        pass
    audit = Audit(unit=0)

    def look(snapshot: Snapshot) -> None:
        health = feed.health()
        assert health.offered == health.accepted + sum(health.rejected.values()), f"ticks were lost: {health}"
        report.states[health.state.value] += 1
        audit.unit = session.kernel.portfolio.units[0]
        audit.follow(decisions.decisions)

    journal = None if recorded is None else open_kept(recorded, config, feed.instruments)
    session = PaperSession(config, feed, mode="PAPER", on_snapshot=look, timing=timing, journal=journal)
    decisions = session.journal
    assert isinstance(decisions, (MemoryJournal, KeptJournal))
    loop = asyncio.get_running_loop()
    loop.call_later(seconds - 0.5 - link.now_s(), session.stop.set)
    loop.call_soon(lambda: operators.append(Operator(random, session, report, seconds - CALM_S)))
    operators: list[Operator] = []
    await session.run("sim")
    state = feed.health().state.value
    if journal is not None:
        journal.close(session.ended)
    await feed.close()
    audit.follow(decisions.decisions)
    kernel = session.kernel
    audit.close(kernel.core.equity, kernel.portfolio.starting)
    for entered in audit.entries:
        assert not any(since < entered < until for since, until in operators[0].paused), "an entry while paused"
    assert state == "live", f"a minute after the last fault the feed is {state}"
    health = feed.health()
    report.trades, report.accepted, report.rejected = len(kernel.trades), health.accepted, dict(health.rejected)
    report.refusals, report.decision_hash = dict(kernel.counters.refusals), session.journal.decision_hash
    return report
