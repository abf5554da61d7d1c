"""Files of which one repeats what another has: days that overlap, or a day beside the month that it lies in.

Times alone tell nothing: two venues trade one symbol at once. It is the same records, one by one, that count twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.model import Instrument
from engine.store.rows import TickFile
from engine.store.zone import time_text

Columns = Mapping[str, Sequence[NDArray[Any]]]
"""By name, the column of each file, in the numbers and precisions of the whole."""

REPEATED = 10
"""So many records of two files may be the same by chance, or because both have the moment at which they meet."""

MIXER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class _Span:
    """The time that a file covers of one symbol."""

    file: int
    first_ns: int
    last_ns: int


def refuse_repeated(parts: Sequence[TickFile], columns: Columns, instruments: Sequence[Instrument]) -> None:
    """Refuse files that have most of the records of a symbol in common, where both of them cover the same time.

    Raises:
        DataError: two files have; each of these trades would count twice.
    """
    spans: dict[int, list[_Span]] = {}
    for file, (ts_ns, numbers) in enumerate(zip(columns["ts_ns"], columns["instrument"], strict=True)):
        for number, span in _spans(file, ts_ns, numbers):
            spans.setdefault(number, []).append(span)
    for number, found in spans.items():
        for one, other in combinations(found, 2):
            first_ns, last_ns = max(one.first_ns, other.first_ns), min(one.last_ns, other.last_ns)
            if first_ns > last_ns:
                continue
            pair = parts[one.file], parts[other.file]
            names = [name for name in columns if all(_has(part, name) for part in pair)]
            marks = [_marks(columns, names, span.file, number, first_ns, last_ns) for span in (one, other)]
            same = _in_both(*marks)
            if same >= REPEATED and 2 * same > min(map(len, marks)):
                when = f"between {time_text(first_ns)} and {time_text(last_ns)}"
                what = f"{same:,} records of {instruments[number].symbol} {when} are those of {pair[0].source} again"
                fix = "leave out a file, or these rows in one of the two"
                raise DataError(what, where=pair[1].source, fix=fix)


def _spans(file: int, ts_ns: NDArray[np.int64], numbers: NDArray[np.uint16]) -> Iterator[tuple[int, _Span]]:
    by_symbol = np.argsort(numbers, kind="stable")
    found, begins = np.unique(numbers[by_symbol], return_index=True)
    if not len(found):
        return
    times = ts_ns[by_symbol]
    firsts, lasts = np.minimum.reduceat(times, begins), np.maximum.reduceat(times, begins)
    for number, first_ns, last_ns in zip(found.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        yield number, _Span(file, first_ns, last_ns)


def _has(part: TickFile, name: str) -> bool:
    """Whether a file has a column of its own: what one of them does not know makes no difference to a record."""
    return name in ("instrument", "kind") or getattr(part.block, name) is not None


def _marks(
    columns: Columns, names: Sequence[str], file: int, number: int, first_ns: int, last_ns: int
) -> NDArray[np.uint64]:
    """One number for each record of a symbol in a stretch of time: the same records have the same."""
    ts_ns = columns["ts_ns"][file]
    rows = (columns["instrument"][file] == number) & (ts_ns >= first_ns) & (ts_ns <= last_ns)
    marks = np.zeros(np.count_nonzero(rows), np.uint64)
    for name in names:
        marks = (marks ^ columns[name][file][rows].astype(np.uint64)) * MIXER
    return marks


def _in_both(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> int:
    """How many records two files have in common; equal ones of one file are different trades."""
    (values, counts), (others, other_counts) = (np.unique(marks, return_counts=True) for marks in (one, other))
    _, rows, other_rows = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    return int(np.minimum(counts[rows], other_counts[other_rows]).sum())
