"""Whether what a session knows of the market is fresh enough to open positions on; the kernel hears of each change.

Three things make it not so. The *feed* is stale: silent, or not connected. *Data* was old when it was looked at: it
had waited for this thread, or took longer than usual on its way from the exchange. And this *process* was held up (a
busy or sleeping machine, a suspended terminal): a receive stamp only says when data was read, so what is read next may
have waited as long. After old data, or being held up, nothing is opened until ``SETTLE_S`` have passed without either;
if it was more than a second, the windows then begin anew, because what came in at once did not happen at once.

A machine that has slept is trusted later, once the feed has had time to notice that its connection is gone. The session
then resumes as an interrupted one does: its books are compared before anything is opened.

A full disk is told on the same way. None of it applies to a recording: what happens next is written in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from engine.events import FeedGap, FeedHealthy, Refusal, Resumed, TimePassed
from engine.ports import FeedState
from engine.trading.kernel import Input

SETTLE_S = 1.0
SLEPT_NS = 5_000_000_000
"""Held up for longer than this, the machine has slept."""

GAP_NS = 1_000_000_000
"""Data older than this, or held up for longer: the windows begin anew as well."""

FRESH_STATES = (FeedState.LIVE, FeedState.GAP, FeedState.END)

log = structlog.get_logger("session")


class Freshness:
    """Tells a kernel when entries must be refused because the market is not seen as it is now.

    Args:
        process: takes inputs; each is recorded before it is decided on.
        now_ns: engine time, which these changes happen at.
        paced: whether time is this machine's; on a recording's own time nothing is ever old.
        old_ns: age from which data is too old.
        instruments: how many have windows.
        stale_s: silence after which the feed says that it is stale.
        told: what the kernel was told last: one that was brought back may have been told something before.
    """

    def __init__(
        self,
        process: Callable[[Input], None],
        now_ns: Callable[[], int],
        *,
        paced: bool,
        old_ns: int,
        instruments: int,
        stale_s: float = 0.0,
        told: Refusal | None = None,
    ) -> None:
        self.old_ns = old_ns
        self.old_batches = 0  # so many batches of records were too old
        self._process, self._now_ns, self._paced = process, now_ns, paced
        self._everywhere, self._stale_s = range(instruments), stale_s
        self._loop = asyncio.get_running_loop()
        self._stale = self._short = False
        self._settling: asyncio.TimerHandle | None = None
        self._restart_windows = self._slept = False  # to be seen to once settled
        self._told = told

    def feed_is(self, state: FeedState) -> None:
        """The feed has changed its state."""
        self._stale = self._paced and state not in FRESH_STATES
        self._tell()

    def room_is(self, *, short: bool) -> None:
        """The journal has no room left, or has it again."""
        self._short = short
        self._tell()

    def looked_at(self, age_ns: int, *, starting: bool = False) -> None:
        """A batch of records of this age is about to be decided on; while a session starts, some have waited for it."""
        if self._paced and age_ns > self.old_ns:
            if self._settling is None:
                (log.info if starting else log.warning)("old data", ms=age_ns // 1_000_000)
            self.old_batches += 1
            self._settle(age_ns)

    def held_up(self, for_ns: int) -> None:
        """Nothing was done by this process for so long."""
        if self._paced and for_ns > self.old_ns:
            log.warning("held up", ms=for_ns // 1_000_000)
            self._slept |= for_ns > SLEPT_NS
            self._settle(for_ns)

    def close(self) -> None:
        """Forget the timer."""
        if self._settling is not None:
            self._settling.cancel()

    def _settle(self, age_ns: int) -> None:
        self._restart_windows |= age_ns > GAP_NS
        self.close()
        settle_s = SETTLE_S + (self._stale_s if self._slept else 0.0)
        self._settling = self._loop.call_later(settle_s, self._settled)
        self._tell()

    def _settled(self) -> None:
        """What had waited has been read by now."""
        self._settling = None
        if self._slept:
            self._process(Resumed(self._now_ns()))
        elif self._restart_windows:
            self._process(FeedGap(self._everywhere))
        self._restart_windows = self._slept = False
        self._tell()

    def _tell(self) -> None:
        """Tell the kernel, if something has changed: at its time, since entries that wait are called back then."""
        why = None
        if self._stale:
            why = Refusal.FEED_STALE
        elif self._settling is not None:
            why = Refusal.DATA_OLD
        elif self._short:
            why = Refusal.DISK_FULL
        if why is self._told:
            return
        self._told = why
        if why is not None:
            self._process(TimePassed(self._now_ns()))
        self._process(FeedHealthy(why is None, why))
