"""What every feed shares: the clock it reads. The port a feed implements is :class:`engine.ports.Feed`.

Wall time is read here and nowhere else in a feed, once per frame, next to the monotonic stamp that latency counts
from. Tests put another :class:`Timing` in its place and let hours pass in no time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

SECOND_NS = 1_000_000_000


class Timing(Protocol):
    """The passing of time as a feed sees it."""

    def receive_stamp(self) -> tuple[int, int]:
        """The moment of receipt as ``(monotonic_ns, wall_ns)``; wall time counts from the Unix epoch, UTC."""
        ...

    def monotonic_ns(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemTiming:
    """The clocks of this machine."""

    def receive_stamp(self) -> tuple[int, int]:
        return time.monotonic_ns(), time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
