"""From an exchange's wall clock to UTC, for files whose timestamps are written without a zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.model import SECOND_NS

QUARTER_NS = 900 * SECOND_NS
"""Clocks are changed at quarters of an hour, so within one the offset is constant."""

NS_PER_US = 1_000

Ints = NDArray[np.int64]


def find_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name in the time zone database.

    Raises:
        ConfigError: this machine knows no zone of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fix = "write it as in America/New_York"
        if not available_timezones():  # neither the system nor the package has the database
            fix = "this machine has no time zones: pip install tzdata"
        raise ConfigError(f"there is no time zone {name!r}", where="zone", fix=fix) from None


def to_utc(local_ns: Ints, zone: ZoneInfo) -> tuple[Ints, NDArray[np.bool_]]:
    """Convert the wall clock times of one series, in its order, to UTC; and tell which of them never were.

    An hour that the clock shows twice is taken in the order of the rows: the second time begins with the first row
    that does not come after the row before it. Times that the clock skips are marked, and their value means nothing.
    """
    quarters, row_quarter = np.unique(local_ns // QUARTER_NS, return_inverse=True)
    first, second = (np.array([_offset_ns(q, zone, fold) for q in quarters.tolist()], np.int64) for fold in (0, 1))
    utc = local_ns - first[row_quarter]
    twice = (first > second)[row_quarter]
    if twice.any():
        again = _second_time(local_ns, twice)
        utc[again] = local_ns[again] - second[row_quarter][again]
    return utc, (first < second)[row_quarter]


def time_text(ts_ns: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 text without zone, with the decimals it needs."""
    whole, _, fraction = str(np.datetime64(ts_ns, "ns")).partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _offset_ns(quarter: int, zone: ZoneInfo, fold: int) -> int:
    """Return what the clock is ahead of UTC in a quarter hour of its own time; ``fold`` 1 is the second such time."""
    local = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=quarter * (QUARTER_NS // SECOND_NS))
    offset = local.replace(fold=fold).utcoffset()
    assert offset is not None, "a zone of the database has an offset at every time"
    return offset // timedelta(microseconds=1) * NS_PER_US


def _second_time(local_ns: Ints, twice: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows of hours shown twice belong to the second time."""
    again = np.zeros(len(local_ns), np.bool_)
    rows = np.flatnonzero(twice)
    for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        back = np.flatnonzero(np.diff(local_ns[stretch]) <= 0)
        if len(back):
            again[stretch[back[0] + 1 :]] = True
    return again
