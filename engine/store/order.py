"""Ticks in the order of time: symbols that stand one after the other are merged, and what is in no order is refused.

Rows of one symbol stay as they stand to one another, as several files do (``engine.tools.many_files``); between rows of
different symbols there is no order to lose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import DataError
from engine.model import SECOND_NS, TickBlock
from engine.store.rows import TickFile, columns_of

ARRIVAL_NS = SECOND_NS
"""How far behind another symbol a row may be and still be taken for one that arrived so: a feed mixes its symbols by
less, and a file that has them one after the other by more."""


def in_order(file: TickFile) -> TickFile:
    """Return ticks in the order of time: the very same file, unless its symbols are in order only each by itself.

    Raises:
        DataError: more than half of the rows are earlier than one above them of their own symbol.
    """
    block = file.block
    file.late = _csv.count_late(block.ts_ns)
    if not file.late:
        return file
    clock = _clock_of_symbols(block)
    if (np.maximum.accumulate(block.ts_ns) - clock).max() > ARRIVAL_NS:
        file.order = np.argsort(clock, kind="stable")
        file.block = TickBlock(**{name: values[file.order] for name, values in columns_of(block).items()})
        file.detected["order"] = "by time (the rows of the source were in order by symbol only)"
        file.late = _csv.count_late(file.block.ts_ns)
    refuse_disorder(file, int(np.count_nonzero(block.ts_ns < clock)))
    return file


def refuse_disorder(file: TickFile, late: int) -> None:
    """Refuse ticks of which so many are earlier than one above them, of their own symbol, that they are in no order.

    Raises:
        DataError: more than half are.
    """
    rows = len(file.block)
    if 2 * late > rows:
        what = f"the rows are not in the order of time: {late:,} of {rows:,} are earlier than one above them"
        raise DataError(what, where=file.source, fix="sort them by timestamp, oldest first")


def _clock_of_symbols(block: TickBlock) -> NDArray[np.int64]:
    """For each row the newest time of its symbol so far: a late row must not hold up the rows behind it."""
    clock = np.empty_like(block.ts_ns)
    for rows in _rows_by_symbol(block):
        clock[rows] = np.maximum.accumulate(block.ts_ns[rows])
    return clock


def _rows_by_symbol(block: TickBlock) -> Iterator[NDArray[np.intp] | slice]:
    if block.instrument is None:
        yield slice(None)
        return
    by_symbol = np.argsort(block.instrument, kind="stable")
    yield from np.split(by_symbol, np.flatnonzero(np.diff(block.instrument[by_symbol])) + 1)
