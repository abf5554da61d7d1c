"""The clock on an exchange's wall, as plain arrays: from its times to UTC and back, daylight saving included.

A :class:`Clock` is the list of moments at which an exchange's clock was changed. New York's is computed by rule, so
the built-in calendars need no time zone files of the machine; those of other exchanges come from the time zone
database through ``engine.calendars``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from engine.model import SECOND_NS

DAY_NS = 86_400 * SECOND_NS
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

EPOCH = date(1970, 1, 1)
FIRST_YEAR, LAST_YEAR = 2000, 2035
"""The years that calendars cover."""
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """A wall clock: ``offsets_ns[i]`` is what it is ahead of UTC from ``changes_ns[i - 1]`` (UTC) on.

    ``offsets_ns`` has one entry more than ``changes_ns``, the first for everything before. Wall clock times are
    nanoseconds too, counted from 1970-01-01 00:00 on that clock.
    """

    name: str
    """As in the time zone database: ``America/New_York``."""
    changes_ns: Ints = field(repr=False)
    offsets_ns: Ints = field(repr=False)

    def from_utc(self, ts_ns: Ints) -> Ints:
        """Return what the clock shows at each moment."""
        return ts_ns + self.offsets_ns[np.searchsorted(self.changes_ns, ts_ns, side="right")]

    def to_utc(self, wall_ns: Ints) -> Ints:
        """Return the moment at which the clock shows each time.

        Of an hour that is shown twice the first is meant. A time that is skipped is taken as if the clock had not been
        changed yet: 02:30 of the night that begins daylight saving is 03:30. Both as Python's ``fold=0``.
        """
        shown_ns = self.changes_ns + np.maximum(self.offsets_ns[:-1], self.offsets_ns[1:])
        return wall_ns - self.offsets_ns[np.searchsorted(shown_ns, wall_ns, side="right")]


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to ``day``."""
    return (day - EPOCH).days


def day_text(day: int) -> str:
    """Return a day since 1970-01-01 as ISO text, or as plain days where the civil calendar ends."""
    return str(EPOCH + timedelta(days=day)) if -719_162 <= day <= 2_932_896 else f"day {day}"


def week_of(day: int) -> int:
    """Return the number of the week, Monday to Sunday, of a day since 1970-01-01, a Thursday; that week is 0."""
    return (day + THURSDAY) // 7


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """Return the ``nth`` (1 is the first, -1 the last) ``weekday`` (Monday 0) of a month."""
    if nth > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def _daylight_saving(year: int) -> tuple[date, date]:
    """Return the Sundays on which New York's daylight saving time begins and ends; both change at 02:00."""
    if year >= 2007:
        return nth_weekday(year, 3, SUNDAY, 2), nth_weekday(year, 11, SUNDAY, 1)
    return nth_weekday(year, 4, SUNDAY, 1), nth_weekday(year, 10, SUNDAY, -1)


def _new_york() -> Clock:
    changes, offsets = [], [-5 * HOUR_NS]
    for year in range(FIRST_YEAR - 1, LAST_YEAR + 2):
        begins, ends = _daylight_saving(year)
        changes += [day_number(begins) * DAY_NS + 7 * HOUR_NS, day_number(ends) * DAY_NS + 6 * HOUR_NS]
        offsets += [-4 * HOUR_NS, -5 * HOUR_NS]
    return Clock("America/New_York", np.array(changes, np.int64), np.array(offsets, np.int64))


UTC = Clock("UTC", np.empty(0, np.int64), np.zeros(1, np.int64))
NEW_YORK = _new_york()
