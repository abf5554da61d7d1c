"""Fixed memory for what a chart draws, however long the session lasts. NumPy only, no Qt.

A :class:`Series` is a growing table of float columns in one preallocated block. When the block is full, its older
half is thinned to half the rows, keeping the lowest and highest of every four neighbours: old history gets coarser,
but no spike disappears and nothing is ever reallocated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.telemetry_wire import keep_extremes

NS = 1e-9


class Series:
    """Rows ``(time_s, value, ...)`` in time order; ``value`` decides which rows survive thinning.

    Args:
        columns: floats per row, the time in seconds since the Unix epoch included.
        capacity: most rows held, at least 16.
    """

    def __init__(self, columns: int, capacity: int) -> None:
        self._rows = np.empty((columns, capacity), np.float64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def clear(self) -> None:
        """Forget every row."""
        self._used = 0

    def append(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows whose first item is a time in integer nanoseconds."""
        if not rows:
            return
        block = np.array(rows, np.float64).T
        block[0] *= NS
        capacity = self._rows.shape[1]
        block = block[:, -(capacity // 2) :]  # so that thinning always makes room
        while self._used + block.shape[1] > capacity:
            self._thin()
        self._rows[:, self._used : self._used + block.shape[1]] = block
        self._used += block.shape[1]

    def column(self, index: int) -> NDArray[np.float64]:
        """Return a view of one column; valid until the next append."""
        return self._rows[index, : self._used]

    def between(self, start_s: float, end_s: float) -> slice:
        """Return the rows with ``start_s <= time_s <= end_s``, and one neighbour on either side."""
        times = self.column(0)
        first = int(np.searchsorted(times, start_s, "left"))
        last = int(np.searchsorted(times, end_s, "right"))
        return slice(max(first - 1, 0), min(last + 1, self._used))

    def nearest(self, time_s: float) -> int | None:
        """Return the row closest in time, or None while there is none."""
        if not self._used:
            return None
        times = self.column(0)
        after = int(np.searchsorted(times, time_s))
        if after == 0:
            return 0
        if after == self._used or time_s - times[after - 1] <= times[after] - time_s:
            return after - 1
        return after

    def _thin(self) -> None:
        older = self._used // 2
        kept = keep_extremes(self._rows[1, :older])
        young = self._used - older
        self._rows[:, : len(kept)] = self._rows[:, kept]
        self._rows[:, len(kept) : len(kept) + young] = self._rows[:, older : self._used].copy()
        self._used = len(kept) + young
