"""Bars in files: open, high, low, close and volume by the minute (or any other period), to exact integer columns.

The columns are read as those of ticks are (``engine.store.ticks``). What is added here is what bars need and ticks do
not: local time, the period, whether a stamp means the start or the end, and that bars neither repeat nor overlap.
``docs/reference/bar-files.md`` states the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError, nearest
from engine.model import SECOND_NS, TickBlock
from engine.quantities import Number, format_duration, parse_duration_ns
from engine.store.rows import BadRows, OnBadRow, TickFile, clean_precision, columns_of
from engine.store.ticks import read_one
from engine.store.zone import find_zone, time_text, to_utc

Stamps = Literal["start", "end"]

HOUR_NS = 3600 * SECOND_NS
"""Bars of up to an hour lie on one grid; longer ones follow sessions and the changes of clocks."""


def read_bars(
    path: str | Path,
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    size_precision: int | None = None,
    on_bad_row: OnBadRow = "stop",
    zone: str | None = None,
    stamps: Stamps = "start",
    period: Number | None = None,
) -> TickFile:
    """Read a file of bars. Its block has ``open_ticks``, ``high_ticks``, ``low_ticks`` and ``start_ns``.

    Args:
        path: CSV, CSV.gz or Parquet with ``timestamp,open,high,low,close,volume[,symbol]``, each under its name.
        symbol, price_precision, size_precision, on_bad_row: as for ticks (``engine.store.ticks.read_ticks``).
        zone: the clock of timestamps that are written without a zone, such as ``America/New_York``; None is UTC.
        stamps: whether a timestamp is the ``"start"`` of its bar or its ``"end"``.
        period: how long a bar lasts, such as ``"1m"``; None takes the step that is most frequent in the file.

    Raises:
        DataError: the file is missing, unreadable or holds no bars, or a row is bad and ``on_bad_row`` is ``"stop"``.
        ConfigError: there is no such zone, period or kind of stamp.
        NotFoundError: no row of ``symbol``.
        MissingExtraError: Parquet without the ``data`` extra.
    """
    clean_precision("price precision", price_precision)
    clean_precision("size precision", size_precision)
    if stamps not in ("start", "end"):
        fix = nearest(stamps, ("start", "end"))
        raise ConfigError(f"bars are stamped at their 'start' or 'end', not {stamps!r}", where="stamps", fix=fix)
    stated_ns = None if period is None else _stated_period(period)
    options: dict[str, Any] = {"symbol": symbol, "price_precision": price_precision, "size_precision": size_precision}
    file = read_one(Path(path), on_bad_row, "bars", **options)
    bad = BadRows(on_bad_row, "bars")
    bad.counts, bad.samples = file.skipped, file.skipped_samples
    if zone is not None:
        _make_utc(file, find_zone(zone), bad)
    period_ns = _usual_step(file) if stated_ns is None else stated_ns
    file.detected["period"] = format_duration(period_ns) + ("" if stated_ns else " (the most frequent step)")
    file.detected["stamps"] = f"the {stamps} of each bar"
    made = f"bars {file.sha256}\nzone {zone}\nstamps {stamps}\nperiod {period_ns}\n"
    file.file_sha256 = hashlib.sha256(made.encode()).hexdigest()  # the same file read otherwise is other bars
    _leave_out(file, list(_out_of_step(file, period_ns)), bad)
    _stamp_at_end(file, period_ns, stamps)
    return file


def _stated_period(period: Number) -> int:
    period_ns = parse_duration_ns(period, where="period")
    if period_ns < 1:
        raise ConfigError("a bar lasts longer than that", where="period", fix="write for example 1m")
    return period_ns


def _series(file: TickFile) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each instrument, in their order."""
    instrument = file.block.instrument
    if instrument is None:
        yield np.arange(file.rows)
        return
    for index in range(len(file.instruments)):
        yield np.flatnonzero(instrument == index)


def _make_utc(file: TickFile, zone: ZoneInfo, bad: BadRows) -> None:
    if not file.naive:
        what = "the timestamps are UTC, or state their zone themselves"
        raise DataError(what, where=file.source, fix="leave out --zone")
    local_ns = file.block.ts_ns
    utc_ns, skipped = np.empty_like(local_ns), np.empty(file.rows, np.bool_)
    for rows in _series(file):
        utc_ns[rows], skipped[rows] = to_utc(local_ns[rows], zone)
    file.block.ts_ns = utc_ns
    sentence = f"the clock of {zone.key} never showed"
    never = np.flatnonzero(skipped).tolist()
    _leave_out(file, [(row, "timestamp_skipped", f"{sentence} {time_text(int(local_ns[row]))}") for row in never], bad)
    file.detected["zone"] = f"{zone.key}, converted to UTC"


def _usual_step(file: TickFile) -> int:
    """Return the most frequent step between bars, of equally frequent ones the smallest.

    The smallest step of all would be a trap: one stray row between two minutes would make every bar half a minute
    long, and its close known half a minute early. This way the stray row is the one that is refused.
    """
    steps = np.concatenate([np.diff(file.block.ts_ns[rows]) for rows in _series(file)])
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    if not len(values):
        raise DataError("one bar does not tell how long it lasts", where=file.source, fix="add --bar-period 1m")
    return int(values[np.argmax(counts)])


def _out_of_step(file: TickFile, period_ns: int) -> Iterator[tuple[int, str, str]]:
    """Yield ``(row, reason, sentence)`` of each bar that repeats, overlaps or goes back, or lies between the others."""
    bars_of = f"the bars of {format_duration(period_ns)}"
    for rows in _series(file):
        stamps = file.block.ts_ns[rows]
        between = np.zeros(len(rows), np.bool_)
        if period_ns <= HOUR_NS and len(rows):
            phases, counts = np.unique(stamps % period_ns, return_counts=True)
            between = stamps % period_ns != phases[np.argmax(counts)]
        if not between.any() and (np.diff(stamps) >= period_ns).all():
            continue
        last = None
        for row, stamp, strange in zip(rows.tolist(), stamps.tolist(), between.tolist(), strict=True):
            text = time_text(stamp)
            if strange:
                yield row, "bar_off_grid", f"the bar of {text} lies between {bars_of}"
            elif last is None or stamp >= last + period_ns:
                last = stamp
            elif stamp == last:
                yield row, "bar_repeated", f"there is a second bar of {text}"
            elif stamp > last:
                yield (
                    row,
                    "bar_overlaps",
                    f"the bar of {text} begins within the one of {time_text(last)}, among {bars_of}",
                )
            else:
                yield row, "bar_not_rising", f"the bar of {text} comes after that of {time_text(last)}"


def _leave_out(file: TickFile, found: Sequence[tuple[int, str, str]], bad: BadRows) -> None:
    """Stop at the first of these rows, or leave them out and count them."""
    if not found:
        return
    place = file.place
    assert place is not None, "bars know where they stand in their file"
    keep = np.ones(file.rows, np.bool_)
    for row, reason, what in found:
        bad.note(place(row), reason, what)
        keep[row] = False
    if not keep.any():
        raise DataError(f"not one valid row; skipped: {bad.summary()}", where=file.source)
    kept = np.flatnonzero(keep).tolist()
    file.block = TickBlock(**{name: values[keep] for name, values in columns_of(file.block).items()})
    file.place = lambda row: place(kept[row])


def _stamp_at_end(file: TickFile, period_ns: int, stamps: Stamps) -> None:
    """Give each bar its start and its end, and bring the bars of several instruments into the order of their ends."""
    block = file.block
    block.start_ns = block.ts_ns if stamps == "start" else block.ts_ns - period_ns
    block.ts_ns = block.start_ns + period_ns
    file.late = 0
    if (np.diff(block.ts_ns) < 0).any():  # of one instrument they rise
        order = np.argsort(block.ts_ns, kind="stable")
        file.block = TickBlock(**{name: values[order] for name, values in columns_of(block).items()})
        file.place = None
