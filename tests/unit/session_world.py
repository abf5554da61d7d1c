"""A paper session in a world without waiting: the clock is a variable, the market a script.

The event loop's time only moves when there is nothing left to do, straight to the next timer; so hours pass in
milliseconds, and always in the same way. Every session played here is recorded, replayed and compared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from engine.config.settings import Config, Found, load
from engine.live.recording import open_journal
from engine.live.recovery import Recovery
from engine.live.replay import Replay
from engine.live.session import PaperSession
from engine.telemetry_wire import Snapshot
from feeds.guard import FeedLimits
from feeds.transport import ConnectionLostError, Transport
from feeds.ws import WebSocketFeed
from tests.sim.clock import WALL_NS, JumpingLoop, LoopTiming

STRATEGY = """
from engine.rules import Param, Stop, Target, TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Rise(Strategy):
    long = change(seconds(2)) >= pct("0.05")
    exits = (Stop(pct(1)), Target(pct(1)), TimeStop(seconds(8)))
"""


@dataclass
class Line:
    """A scripted connection: frames at times in seconds after it was opened; then it stays silent, or is cut."""

    frames: Sequence[tuple[float, list[dict[str, object]] | str]]
    cut_s: float | None = None
    clock: str = "receive"

    async def open(self, address: str, limits: FeedLimits) -> Transport:
        hello = {"T": "hello", "v": 1, "clock": self.clock, "instruments": [{"S": "A", "pp": 2, "sp": 0}]}
        return _Open(iter([(0.0, [hello]), *self.frames]), self.cut_s, stamped=self.clock == "receive")


class _Open:
    def __init__(
        self, frames: Iterator[tuple[float, list[dict[str, object]] | str]], cut_s: float | None, *, stamped: bool
    ) -> None:
        self._frames, self._cut_s, self._stamped = frames, cut_s, stamped
        self._closed = asyncio.Event()
        self._opened = asyncio.get_running_loop().time()

    async def receive(self) -> bytes:
        due, messages = next(self._frames, (self._cut_s, None))
        await self._until(due)
        if messages is None or self._closed.is_set():
            raise ConnectionLostError("the line was cut")
        if isinstance(messages, str):
            return messages.encode()
        if self._stamped and due is not None:
            now_ns = WALL_NS + round((self._opened + due) * 1e9)
            messages = [stamped(one, now_ns) for one in messages]
        return json.dumps(messages).encode()

    async def _until(self, due: float | None) -> None:
        try:
            wait_s = None if due is None else self._opened + due - asyncio.get_running_loop().time()
            async with asyncio.timeout(wait_s):
                await self._closed.wait()
        except TimeoutError:
            pass

    async def send(self, text: str) -> None: ...

    async def close(self) -> None:
        self._closed.set()


def stamped(message: dict[str, object], now_ns: int) -> dict[str, object]:
    """Give a message its exchange time: when its frame was due, less the seconds that its ``late_s`` says."""
    late_ns = round(message.get("late_s", 0) * 1e9)  # type: ignore[operator]
    named = {key: value for key, value in message.items() if key != "late_s"}
    return named | {"t": now_ns - late_ns} if "t" in named else named


def quote(price: float) -> dict[str, float]:
    return {"b": round(price - 0.01, 2), "a": round(price + 0.01, 2)}


def trade(number: int, price: float = 100.0) -> dict[str, object]:
    return {"T": "t", "S": "A", "i": number, "t": WALL_NS, "p": price, "s": 1, **quote(price)}


def heartbeats(first: int, last: int) -> list[tuple[float, list[dict[str, object]]]]:
    return [(float(second), [{"T": "h", "t": WALL_NS, "n": 0}]) for second in range(first, last + 1)]


def climb(start_s: float = 0.0, number: int = 1) -> list[tuple[float, list[dict[str, object]]]]:
    """Five quiet trades in 2 s, then one 10 ticks higher: the condition begins with the last, at ``start_s + 2.5``."""
    quiet = [(start_s + 0.5 * n, [trade(number + n)]) for n in range(5)]
    return [*quiet, (start_s + 2.5, [trade(number + 5, 100.10)])]


@dataclass
class World:
    """A finished session."""

    session: PaperSession
    feed: WebSocketFeed
    snapshots: list[Snapshot]
    began_s: float
    directory: Path
    replay: Replay | None = None

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]

    def at(self, ts_ns: int) -> float:
        """Engine time as seconds since the connection."""
        return round((ts_ns - WALL_NS) / 1e9 - self.began_s, 6)


def rise_config(tmp_path: Path, strategy: str = STRATEGY) -> Config:
    """A configuration for a strategy called ``Rise``, with journals in the test's directory."""
    (tmp_path / "rise.py").write_text(strategy)
    flags = {
        "strategy.name": f"{tmp_path / 'rise.py'}:Rise",
        "telemetry.enabled": False,
        "risk.daily_loss_limit": "100%",
        "journal.directory": str(tmp_path / "journal"),
        "journal.segment_mb": 8,
    }
    return load({name: Found(value, "test") for name, value in flags.items()}).config


def play(
    config: Config,
    *lines: Line,
    seconds: float,
    meanwhile: Callable[[World, JumpingLoop], None] | None = None,
    told: bool = False,
    interrupted: Path | None = None,
) -> World:
    """Run a session on these connections, one after the other, for so long; with its log ``told`` of each decision.

    One that was ``interrupted`` goes on, in its journal's directory.
    """

    async def main() -> World:
        loop = asyncio.get_running_loop()
        timing = LoopTiming()
        waiting = iter(lines)

        async def connect(address: str, limits: FeedLimits) -> Transport:
            line = next(waiting, None)
            if line is None:
                raise ConnectionLostError("nobody there")
            return await line.open(address, limits)

        limits = FeedLimits(stale_after_s=2.0, silence_s=60.0, backoff_first_s=0.5, backoff_cap_s=0.5)
        feed = WebSocketFeed("ws://127.0.0.1:1", connect=connect, timing=timing, limits=limits, random=Random(1))
        assert await feed.connected(10.0)
        snapshots: list[Snapshot] = []
        journal, resumed = open_journal(config, feed.instruments, "test", mode="PAPER", clock=str(feed.clock)), None
        if interrupted is not None:
            journal, resumed = Recovery(interrupted).go_on()
        assert journal is not None
        session = PaperSession(
            config,
            feed,
            mode="PAPER",
            on_snapshot=snapshots.append,
            timing=timing,
            journal=journal,
            resumed=resumed,
            tell_decisions=told,
        )
        world = World(session, feed, snapshots, loop.time(), journal.directory)
        loop.call_later(seconds, session.stop.set)
        if meanwhile is not None:
            meanwhile(world, loop)  # type: ignore[arg-type]
        try:
            await session.run("test")
        finally:
            journal.close(session.ended)
        await feed.close()
        return world

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        world = runner.run(main())
    world.replay = replayed(world)
    return world


def replayed(world: World) -> Replay:
    """Replay a session from its own recording: everything must be as it was."""
    replay, kernel = Replay(world.directory), world.session.kernel
    replay.check_whole()
    assert replay.reader.sealed
    assert replay.difference() is None
    assert replay.replayed.decisions == replay.recorded.decisions
    assert replay.kernel.trades == kernel.trades
    assert replay.kernel.core.equity == kernel.core.equity
    assert replay.journal.decision_hash == world.session.journal.decision_hash
    assert replay.reader.summary["decision_hash"] == replay.journal.decision_hash
    return replay
