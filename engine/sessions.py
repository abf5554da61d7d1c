"""Trading sessions as plain arrays: when a market opens and closes, and which trading day a moment belongs to.

A :class:`Calendar` is sorted int64 arrays, three of UTC nanoseconds and one of days; a session is ``[open, close)``.
Three calendars are built in, computed by rule for 2000 to 2035, so the engine needs neither a calendar library nor the
time zone files of the machine:

* ``always``: open around the clock; one endless session; the trading day is the UTC day.
* ``us_equities``: NYSE and Nasdaq regular hours, 09:30 to 16:00 New York time, with holidays, half days, special
  closures and the one late opening of the period. The few openings delayed by minutes for a ceremony, and halts within
  a day, are not modelled.
* ``globex``: CME equity index futures, Sunday 18:00 to Friday 17:00 New York time with a break from 17:00 to 18:00 each
  day. Approximate: today's hours are applied to every year; Christmas, New Year and Good Friday are closed; other NYSE
  holidays close at 13:00, NYSE half days at 13:15, and the special closures of the NYSE are ordinary days.

Finer calendars (exchange libraries, other venues) become the same arrays through an adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError, nearest
from engine.model import SECOND_NS

FIRST_YEAR, LAST_YEAR = 2000, 2035
DAY_NS = 86_400 * SECOND_NS
MINUTE_NS = 60 * SECOND_NS
NEVER_NS = (1 << 63) - 1
"""A boundary that never comes; the largest int64."""

EPOCH = date(1970, 1, 1)
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6


class SessionFacts(NamedTuple):
    """What is fixed about one session: the anchors of everything that is counted from an opening, a day or a week."""

    open_ns: int
    close_ns: int
    midnight_ns: int
    """00:00 of the trading day on the exchange's clock. ``globex`` opens before it, the evening before."""
    day: int
    """The trading day, in days since 1970-01-01."""
    week: int
    """The week of the trading day: one more every Monday."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sessions of one market.

    ``opens_ns``, ``closes_ns``, ``midnights_ns`` and ``days`` have equal length and rise; ``days`` counts from
    1970-01-01 and labels each session with its trading day, ``midnights_ns`` is when that day begins on the exchange's
    clock. With no session at all the calendar is ``always``. Times outside covered years are refused with
    :class:`~engine.errors.DataError`, never taken for a closed market.
    """

    name: str
    opens_ns: NDArray[np.int64]
    closes_ns: NDArray[np.int64]
    midnights_ns: NDArray[np.int64]
    days: NDArray[np.int64]
    _boundaries_ns: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        boundaries = np.empty(2 * len(self.opens_ns), np.int64)
        boundaries[0::2], boundaries[1::2] = self.opens_ns, self.closes_ns
        if len(boundaries) and not (boundaries[1:] >= boundaries[:-1]).all():
            raise ConfigError("sessions overlap or are out of order", where=f"calendar {self.name}")
        for array in (self.opens_ns, self.closes_ns, self.midnights_ns, self.days, boundaries):
            array.setflags(write=False)
        object.__setattr__(self, "_boundaries_ns", boundaries)

    @property
    def is_always(self) -> bool:
        """Whether this market never closes."""
        return not len(self.opens_ns)

    def session_index(self, ts_ns: int) -> int:
        """Return the index of the session that is open at ``ts_ns``, or -1 while the market is closed."""
        if self.is_always:
            return 0
        passed = self._passed(ts_ns)
        return passed // 2 if passed % 2 else -1

    def session_indices(self, ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return :meth:`session_index` of each time."""
        if self.is_always or not len(ts_ns):
            return np.zeros(len(ts_ns), np.int64)
        self._passed(int(ts_ns.min()))
        self._passed(int(ts_ns.max()))
        passed = np.searchsorted(self._boundaries_ns, ts_ns, side="right").astype(np.int64)
        return np.where(passed % 2 == 1, passed // 2, -1)

    def next_boundary_ns(self, ts_ns: int) -> int:
        """Return the first opening or close after ``ts_ns``; :data:`NEVER_NS` for ``always``."""
        return NEVER_NS if self.is_always else int(self._boundaries_ns[self._passed(ts_ns)])

    def session_bounds(self, ts_ns: int) -> tuple[int, int] | None:
        """Return ``(open_ns, close_ns)`` of the session open at ``ts_ns``, or None while the market is closed."""
        if self.is_always:
            return -NEVER_NS, NEVER_NS
        index = self.session_index(ts_ns)
        return (int(self.opens_ns[index]), int(self.closes_ns[index])) if index >= 0 else None

    def trading_day(self, ts_ns: int) -> int:
        """Return the trading day at ``ts_ns`` in days since 1970-01-01.

        It is the day of the open session, between sessions that of the next one, and for ``always`` the UTC day.
        """
        return ts_ns // DAY_NS if self.is_always else int(self.days[self._passed(ts_ns) // 2])

    def facts(self, ts_ns: int) -> SessionFacts:
        """Return what is fixed about the session open at ``ts_ns``, or about the next one while the market is closed.

        ``always`` has one session a UTC day here, though its windows never begin anew.

        Raises:
            DataError: ``ts_ns`` is outside the years the calendar covers.
        """
        if self.is_always:
            day = ts_ns // DAY_NS
            return SessionFacts(day * DAY_NS, (day + 1) * DAY_NS, day * DAY_NS, day, week_of(day))
        index = self._passed(ts_ns) // 2
        opens, closes, midnights = self.opens_ns, self.closes_ns, self.midnights_ns
        day = int(self.days[index])
        return SessionFacts(int(opens[index]), int(closes[index]), int(midnights[index]), day, week_of(day))

    def _passed(self, ts_ns: int) -> int:
        """Return how many boundaries lie at or before ``ts_ns``; odd while a session is open."""
        passed = int(np.searchsorted(self._boundaries_ns, ts_ns, side="right"))
        if passed == len(self._boundaries_ns) or ts_ns < self._boundaries_ns[0] - 7 * DAY_NS:
            years = f"{day_text(int(self.days[0]))} to {day_text(int(self.days[-1]))}"
            raise DataError(
                f"{day_text(ts_ns // DAY_NS)} is outside {years}",
                where=f"calendar {self.name}",
                fix="use the calendar 'always' or correct the timestamps",
            )
        return passed


def day_text(day: int) -> str:
    """Return a day since 1970-01-01 as ISO text, or as plain days where the civil calendar ends."""
    return str(EPOCH + timedelta(days=day)) if -719_162 <= day <= 2_932_896 else f"day {day}"


def week_of(day: int) -> int:
    """Return the number of the week, Monday to Sunday, of a day since 1970-01-01, a Thursday; that week is 0."""
    return (day + THURSDAY) // 7


def calendar_names() -> tuple[str, ...]:
    """Return the names of the built-in calendars."""
    return tuple(_BUILDERS)


@cache
def calendar(name: str) -> Calendar:
    """Return a built-in calendar.

    Raises:
        ConfigError: there is no calendar of that name.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"there is no calendar {name!r}", where="calendar", fix=nearest(name, _BUILDERS))
    sessions = list(_BUILDERS[name]())
    return Calendar(name, *(np.array([row[i] for row in sessions], np.int64) for i in range(4)))


# --- New York time ----------------------------------------------------------------------------------------------------


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """Return the ``nth`` (1 is the first, -1 the last) ``weekday`` (Monday 0) of a month."""
    if nth > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


@cache
def daylight_saving(year: int) -> tuple[date, date]:
    """Return the Sundays on which New York's daylight saving time begins and ends; both change at 02:00."""
    if year >= 2007:
        return nth_weekday(year, 3, SUNDAY, 2), nth_weekday(year, 11, SUNDAY, 1)
    return nth_weekday(year, 4, SUNDAY, 1), nth_weekday(year, 10, SUNDAY, -1)


def new_york_ns(day: date, minute: int) -> int:
    """Return a New York wall clock time (``minute`` of ``day``, from 03:00 on) in UTC nanoseconds."""
    begins, ends = daylight_saving(day.year)
    utc_offset_hours = 4 if begins <= day < ends else 5
    return (day - EPOCH).days * DAY_NS + (minute + 60 * utc_offset_hours) * MINUTE_NS


def new_york_session(day: date, open_ns: int, close_ns: int) -> tuple[int, int, int, int]:
    """Return a session: its opening, its close, the New York midnight that begins its trading day, and that day."""
    midnight_ns = new_york_ns(day - timedelta(days=1), 24 * 60)  # the offset at 00:00 is the one of the evening before
    return open_ns, close_ns, midnight_ns, (day - EPOCH).days


# --- NYSE holidays ----------------------------------------------------------------------------------------------------

SPECIAL_CLOSURES = {
    date(2001, 9, 11): "attacks of September 11",
    date(2001, 9, 12): "attacks of September 11",
    date(2001, 9, 13): "attacks of September 11",
    date(2001, 9, 14): "attacks of September 11",
    date(2004, 6, 11): "mourning for Ronald Reagan",
    date(2007, 1, 2): "mourning for Gerald Ford",
    date(2012, 10, 29): "hurricane Sandy",
    date(2012, 10, 30): "hurricane Sandy",
    date(2018, 12, 5): "mourning for George H. W. Bush",
    date(2025, 1, 9): "mourning for Jimmy Carter",
}
SPECIAL_HALF_DAYS = {date(2003, 12, 26): "day after Christmas"}
LATE_OPENINGS = {date(2002, 9, 11): 12 * 60}
"""Minute of the day at which trading began: remembrance of September 11."""


def easter(year: int) -> date:
    """Return Easter Sunday by the anonymous Gregorian computus."""
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), g = divmod(b, 4), (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def observed(holiday: date) -> date:
    """Return the weekday on which a fixed-date holiday is kept: Friday for a Saturday, Monday for a Sunday."""
    return holiday + timedelta(days={SATURDAY: -1, SUNDAY: 1}.get(holiday.weekday(), 0))


@cache
def nyse_closures(year: int) -> dict[date, str]:
    """Return the weekdays of a year on which the NYSE does not open, with the reason."""
    closures = {
        nth_weekday(year, 1, MONDAY, 3): "Martin Luther King Jr. Day",
        nth_weekday(year, 2, MONDAY, 3): "Washington's Birthday",
        easter(year) - timedelta(days=2): "Good Friday",
        nth_weekday(year, 5, MONDAY, -1): "Memorial Day",
        observed(date(year, 7, 4)): "Independence Day",
        nth_weekday(year, 9, MONDAY, 1): "Labor Day",
        nth_weekday(year, 11, THURSDAY, 4): "Thanksgiving",
        observed(date(year, 12, 25)): "Christmas",
    }
    if date(year, 1, 1).weekday() != SATURDAY:  # a New Year on a Saturday is not kept on the Friday of the old year
        closures[observed(date(year, 1, 1))] = "New Year"
    if year >= 2022:
        closures[observed(date(year, 6, 19))] = "Juneteenth"
    closures.update({day: reason for day, reason in SPECIAL_CLOSURES.items() if day.year == year})
    return closures


@cache
def nyse_half_days(year: int) -> dict[date, str]:
    """Return the days of a year on which the NYSE closes at 13:00, with the reason."""
    half_days = {nth_weekday(year, 11, THURSDAY, 4) + timedelta(days=1): "day after Thanksgiving"}
    if date(year, 12, 24).weekday() <= THURSDAY:
        half_days[date(year, 12, 24)] = "Christmas Eve"
    independence = date(year, 7, 4)
    if independence.weekday() == THURSDAY and year < 2013:  # until 2012 the Friday after was the short day
        half_days[date(year, 7, 5)] = "day after Independence Day"
    elif independence.weekday() not in (MONDAY, SATURDAY, SUNDAY):
        half_days[date(year, 7, 3)] = "day before Independence Day"
    half_days.update({day: reason for day, reason in SPECIAL_HALF_DAYS.items() if day.year == year})
    return half_days


# --- The built-in tables ----------------------------------------------------------------------------------------------


def _weekdays() -> Iterator[date]:
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        if day.weekday() <= FRIDAY:
            yield day
        day += timedelta(days=1)


def _always() -> Iterator[tuple[int, int, int, int]]:
    return iter(())


def _us_equities() -> Iterator[tuple[int, int, int, int]]:
    for day in _weekdays():
        if day not in nyse_closures(day.year):
            opening = LATE_OPENINGS.get(day, 9 * 60 + 30)
            close = 13 * 60 if day in nyse_half_days(day.year) else 16 * 60
            yield new_york_session(day, new_york_ns(day, opening), new_york_ns(day, close))


def _globex() -> Iterator[tuple[int, int, int, int]]:
    for day in _weekdays():
        holiday = nyse_closures(day.year).get(day)
        if holiday in ("Christmas", "New Year", "Good Friday"):
            continue
        close = 17 * 60
        if holiday and day not in SPECIAL_CLOSURES:
            close = 13 * 60
        elif day in nyse_half_days(day.year):
            close = 13 * 60 + 15
        evening_before = day - timedelta(days=1)
        yield new_york_session(day, new_york_ns(evening_before, 18 * 60), new_york_ns(day, close))


_BUILDERS = {"always": _always, "us_equities": _us_equities, "globex": _globex}
