"""Recorded ticks as a feed: the records of a loaded block in batches, on their own time, as fast as they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from engine.model import Clock, Instrument, TickBlock
from engine.ports import FeedBatch, FeedHealth, FeedState
from feeds.base import SystemTiming, Timing


class FileFeed:
    """Hands over a block that :mod:`engine.store.ticks` (or anyone) has loaded and validated.

    Args:
        block: records in order of time.
        instruments: what ``block.instrument`` points to.
        address: what to call the source, for instance the file's path.
        batch_rows: records per batch.
        timing: the clock for the receive stamps.
    """

    clock = Clock.RECORD

    def __init__(
        self,
        block: TickBlock,
        instruments: Sequence[Instrument],
        *,
        address: str = "file",
        batch_rows: int = 8192,
        timing: Timing | None = None,
    ) -> None:
        if batch_rows < 1:
            raise ValueError(f"batch_rows must be positive, not {batch_rows}")
        self._block = block
        self._instruments = tuple(instruments)
        self._address = address
        self._batch_rows = batch_rows
        self._timing = timing or SystemTiming()
        self._handed_over = 0
        self._last_ns: int | None = None
        self._state = FeedState.CONNECTING

    @property
    def instruments(self) -> Sequence[Instrument]:
        return self._instruments

    async def batches(self) -> AsyncIterator[FeedBatch]:
        """Yield the records in batches; the first says LIVE, the last END."""
        self._state = FeedState.LIVE
        yield FeedBatch(self._timing.monotonic_ns(), state=self._state)
        while self._handed_over < len(self._block) and self._state is FeedState.LIVE:
            start = self._handed_over
            self._handed_over = min(start + self._batch_rows, len(self._block))
            self._last_ns = self._timing.monotonic_ns()
            yield FeedBatch(self._last_ns, block=self._block.part(start, self._handed_over))
            await asyncio.sleep(0)  # let the rest of the program run: there is no socket to wait for
        if self._state is FeedState.LIVE:
            self._state = FeedState.END
            yield FeedBatch(self._timing.monotonic_ns(), state=self._state)

    def health(self) -> FeedHealth:
        age_ms = float("nan") if self._last_ns is None else (self._timing.monotonic_ns() - self._last_ns) / 1e6
        return FeedHealth(
            state=self._state,
            address=self._address,
            offered=self._handed_over,
            accepted=self._handed_over,
            rejected={},
            bad_frames={},
            late=0,
            gaps=0,
            reconnects=0,
            queue_ticks=0,
            age_ms=age_ms,
        )

    async def close(self) -> None:
        if self._state is not FeedState.END:
            self._state = FeedState.CLOSED
