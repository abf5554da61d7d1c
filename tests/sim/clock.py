"""A world without waiting: the event loop's time only moves when there is nothing left to do, to the next timer.

So hours pass in milliseconds, and always in the same way.
"""

from __future__ import annotations

import asyncio
import selectors

WALL_NS = 1_700_000_000_000_000_000
"""Wall time at the loop's second 0."""

SECOND_NS = 1_000_000_000


class NoSelector(selectors.DefaultSelector):
    """Never waits, and never looks: nothing comes from outside. How long it should wait, the loop's clock moves."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self.loop.now += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time begins at ``now`` seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        selector = NoSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class LoopTiming:
    """The feed's and the session's clocks: the loop's, and the wall clock that goes with it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def receive_stamp(self) -> tuple[int, int]:
        now = self.monotonic_ns()
        return now, WALL_NS + now

    def monotonic_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
