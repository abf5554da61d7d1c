"""Which part of a recording a backtest trades: by dates of the exchange, both included, or its last days.

Records before the first day warm windows up: they are seen, and nothing is opened on them. Records after the last day
are left out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from operator import index
from typing import NamedTuple

import numpy as np

from engine.errors import ConfigError, DataError
from engine.model import TickBlock
from engine.sessions.clock import DAY_NS, day_number, day_text
from engine.sessions.trading_calendar import NEVER_NS, Calendar
from engine.store.ticks import TickFile

MIDNIGHT = time()
MAX_DAYS = 100_000
"""More than two centuries: no recording is as long, and a number without end is a slip of the finger."""


class Period(NamedTuple):
    """From the first day's beginning until the last one's end; None is open."""

    begins_ns: int | None
    ends_ns: int | None


def read_period(
    file: TickFile, calendar: Calendar, start: str | date | None, end: str | date | None, days: int | None
) -> Period:
    """Return what ``start``, ``end`` and ``days`` mean for these records.

    Args:
        file: what is traded.
        calendar: its trading days are meant; of ``always`` the UTC days.
        start, end: the first and the last day, as ISO text or a date, or None.
        days: instead of ``start``, so many trading days up to ``end``, or up to the last record's.

    Raises:
        ConfigError: a day is none, the days are the wrong way round, or ``start`` and ``days`` are both given.
        DataError: there are no records in the period.
    """
    block = file.block
    if start is None and end is None and days is None:
        return Period(None, None)
    if start is not None and days is not None:
        raise ConfigError("days and start are both given", where="days", fix="give one of them")
    try:
        days = None if days is None else index(days)
    except TypeError:
        raise ConfigError(f"{days!r} is no number of days", where="days", fix="give 1 or more, as a number") from None
    if days is not None and days < 1:
        raise ConfigError(f"{days} days are none", where="days", fix="give 1 or more")
    if days is not None and days > MAX_DAYS:
        raise ConfigError(f"{days:,} days are more than any recording has", where="days", fix="give fewer")
    if not len(block):
        raise DataError("there are no records", where=file.source)
    times = block.ts_ns if block.start_ns is None else block.start_ns
    data_first, data_last = calendar.trading_day(int(times[0])), _last_day(calendar, int(times.max()))
    last = data_last if end is None else _day(end, "end")
    first = data_first if start is None else _day(start, "start")
    if days is not None:
        first = _back(calendar, min(last, data_last), days)
    if start is not None and end is not None and first > last:
        raise ConfigError(f"the first day, {start}, is after the last, {end}", where="start")
    if last < data_first or first > data_last:
        if data_first > data_last:  # everything lies between two sessions, after the one and before the other
            what = f"no record is in a session of {calendar.name}"
            raise DataError(what, where=file.source, fix="name the calendar of the exchange it comes from, or always")
        what = "there are no records on these days"
        fix = f"there are records from {day_text(data_first)} to {day_text(data_last)}"
        raise DataError(what, where=file.source, fix=fix)
    return Period(_begin_ns(calendar, first), None if end is None else _begin_ns(calendar, last + 1))


def _day(given: str | date, where: str) -> int:
    if isinstance(given, datetime) and given.time() == MIDNIGHT:  # as pandas has its days
        given = given.date()
    if isinstance(given, date) and not isinstance(given, datetime):
        return day_number(given)
    try:
        return day_number(date.fromisoformat(given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"{given!r} is not a day", where=where, fix="write it as 2024-01-31") from None


def _last_day(calendar: Calendar, ts_ns: int) -> int:
    """The trading day whose session had begun last: what trades after a close is no day of its own."""
    if calendar.is_always:
        return ts_ns // DAY_NS
    row = int(np.searchsorted(calendar.opens_ns, ts_ns, side="right")) - 1
    return int(calendar.days[max(row, 0)])


def _back(calendar: Calendar, last: int, count: int) -> int:
    """The first of ``count`` trading days that end with ``last``."""
    if calendar.is_always:
        return last - count + 1
    row = int(np.searchsorted(calendar.days, last, side="right")) - count
    return int(calendar.days[max(row, 0)])


def _begin_ns(calendar: Calendar, day: int) -> int:
    """When a trading day begins, or the next one that there is: at its opening, of ``always`` at midnight UTC."""
    if calendar.is_always:
        return day * DAY_NS
    row = int(np.searchsorted(calendar.days, day))
    return int(calendar.opens_ns[row]) if row < len(calendar.opens_ns) else NEVER_NS


def until(file: TickFile, ends_ns: int | None) -> TickFile:
    """Leave out what comes after a period; a bar belongs to where it begins. The hash stays that of the whole file."""
    if ends_ns is None:
        return file
    return replace(file, block=file.block.part(0, _row_of(file.block, ends_ns)), file_sha256=file.sha256)


def since(file: TickFile, begins_ns: int | None) -> TickFile:
    """Leave out what only warmed up."""
    if begins_ns is None:
        return file
    block = file.block
    return replace(file, block=block.part(_row_of(block, begins_ns), len(block)), file_sha256=file.sha256)


def _row_of(block: TickBlock, ts_ns: int) -> int:
    """The first record at ``ts_ns`` or later, by the time at which the engine takes each."""
    times = block.ts_ns if block.start_ns is None else block.start_ns
    return int(np.searchsorted(np.maximum.accumulate(times), ts_ns)) if len(times) else 0
