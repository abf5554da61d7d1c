"""The operator of a simulated session: he pauses, resumes, flattens and halts at bad moments, and remembers when."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

from engine.events import CommandName
from engine.live.session import PaperSession
from tests.sim.clock import WALL_NS, JumpingLoop
from tests.sim.machine import Crash


class Forbidden:
    """Spells in which no entry may be sent, in nanoseconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spells: list[tuple[int, int]] = []
        self.since_ns = 0

    def begin(self, now_ns: int) -> None:
        self.since_ns = self.since_ns or now_ns

    def end(self, now_ns: int) -> None:
        if self.since_ns:
            self.spells.append((self.since_ns, now_ns))
            self.since_ns = 0

    def holds(self, entered_ns: int) -> bool:
        return any(since < entered_ns < until for since, until in self.spells)


class Operator:
    """Acts on whatever session there is. ``halts`` draws from a source of its own, where he may halt at all."""

    def __init__(self, random: Random, commands: Counter[str], until_s: float, halts: Random | None) -> None:
        self._random, self._commands, self._halts = random, commands, halts
        self._loop = asyncio.get_running_loop()
        self._until_s = self._loop.time() + until_s
        self.session: PaperSession | None = None
        self.paused, self.halted = Forbidden("paused"), Forbidden("halted")
        self.certain = True  # whether the last command was answered
        self._again()
        if halts is not None:
            self._loop.call_later(halts.expovariate(1 / 200), self._halt)

    def _now_ns(self) -> int:
        return WALL_NS + round(self._loop.time() * 1e9)

    def _command(self, name: CommandName, reason: str = "") -> bool:
        """Ask it of the session; whether it has been taken."""
        if self.session is None or self.session.stop.is_set():
            return False
        try:
            self.session._on_command(name, reason)
        except Crash:
            self.certain = False
            return False
        return True

    def _again(self) -> None:
        self._loop.call_later(self._random.expovariate(1 / 40), self._act)

    def _act(self) -> None:
        if self._loop.time() >= self._until_s:
            self._resume()
            return
        act = self._random.choice(("pause", "resume", "flatten", "sleep"))
        self._commands[act] += 1
        if act == "sleep":
            assert isinstance(self._loop, JumpingLoop)
            self._loop.now += self._random.choice((0.3, 2.0, 30.0))
        elif act == "pause":
            if self._command(CommandName.PAUSE):
                self.paused.begin(self._now_ns())
        elif act == "resume":
            self._resume()
        else:
            self._command(CommandName.FLATTEN)
        self._again()

    def _resume(self, reason: str = "") -> bool:
        """Resume; without a reason that changes nothing on a halted engine. Whether it was taken."""
        taken = self._command(CommandName.RESUME, reason)
        if taken and (reason or not self.halted.since_ns):
            self.paused.end(self._now_ns())
            self.halted.end(self._now_ns())
        return taken

    def _halt(self) -> None:
        assert self._halts is not None
        if self._loop.time() < self._until_s:
            self._commands["halt"] += 1
            if self._command(CommandName.HALT):
                self.halted.begin(self._now_ns())
            self._loop.call_later(self._halts.uniform(5, 60), self._looked_at_it)

    def _looked_at_it(self) -> None:
        assert self._halts is not None
        if self._resume("looked at it"):
            self._loop.call_later(self._halts.expovariate(1 / 200), self._halt)
        else:  # nobody was there
            self._loop.call_later(5, self._looked_at_it)

    def meets(self, session: PaperSession, *, nothing_lost: bool) -> None:
        """A session has begun: what he forbade still holds, unless the power took the last second's commands."""
        self.session = session
        risk = session.kernel.risk
        for forbidden, standing in ((self.paused, risk.paused), (self.halted, risk.halted is not None)):
            if self.certain and nothing_lost:
                known = bool(forbidden.since_ns)
                assert standing == known, f"before it {forbidden.name} was {known}, and then {standing}"
            if standing:
                forbidden.begin(self._now_ns())
            else:
                forbidden.end(self._now_ns())
        self.certain = True
