"""Trading sessions as plain arrays: when a market opens and closes, and which trading day a moment belongs to.

A :class:`Calendar` is sorted int64 arrays of UTC nanoseconds and of days; a session is ``[open, close)``. Three
calendars are built in, computed by rule for 2000 to 2035 (``engine.sessions.tables``), so the engine needs neither a
calendar library nor the time zone files of the machine:

* ``always``: open around the clock; one endless session; the trading day is the UTC day.
* ``us_equities``: NYSE and Nasdaq regular hours, 09:30 to 16:00 New York time, with holidays, half days, special
  closures and the one late opening of the period.
* ``globex``: CME equity index futures, Sunday 18:00 to Friday 17:00 New York time with a break from 17:00 to 18:00 each
  day, with the hours of earlier years and of holidays. Approximate before November 2012.

Calendars of other exchanges become the same arrays through ``engine.calendars``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError, nearest
from engine.sessions import tables as session_tables
from engine.sessions.clock import DAY_NS as DAY_NS
from engine.sessions.clock import MINUTE_NS, NEW_YORK, UTC, Clock, day_number, week_of
from engine.sessions.clock import day_text as day_text

NEVER_NS = (1 << 63) - 1
"""A boundary that never comes; the largest int64."""

NO_PAUSES = np.empty((0, 2), np.int64)
NO_PAUSES.setflags(write=False)


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


@dataclass(frozen=True, slots=True, eq=False)
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
    clock: Clock = UTC
    pauses_ns: NDArray[np.int64] = field(default_factory=NO_PAUSES.copy)
    """``[begin, end)`` of stretches within sessions in which there is no trading: a lunch break, a daily halt. They
    end no session: positions and windows live through them. One row each, rising."""
    notes: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """Why a day is not an ordinary one, by trading day: of short and late sessions, and of days without one."""
    _boundaries_ns: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        boundaries = np.empty(2 * len(self.opens_ns), np.int64)
        boundaries[0::2], boundaries[1::2] = self.opens_ns, self.closes_ns
        if len(boundaries) and not (boundaries[1:] >= boundaries[:-1]).all():
            raise ConfigError("sessions overlap or are out of order", where=f"calendar {self.name}")
        for array in (self.opens_ns, self.closes_ns, self.midnights_ns, self.days, self.pauses_ns, boundaries):
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

    def day_number(self, day: int) -> int:
        """Return the number of a trading day among all of them; for ``always`` a weekend has that of its Monday."""
        if self.is_always:
            weeks, weekday = divmod(day + 3, 7)  # 1970-01-01 was a Thursday
            return 5 * weeks + min(weekday, 5)
        return int(np.searchsorted(np.unique(self.days), day))

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
        check_years(self.name, ts_ns, self._boundaries_ns)
        return int(np.searchsorted(self._boundaries_ns, ts_ns, side="right"))


def check_years(name: str, ts_ns: int, boundaries_ns: NDArray[np.int64]) -> None:
    """Refuse a moment a week before the first boundary of a calendar or earlier, or at its last one or later.

    Raises:
        DataError: the calendar says nothing about ``ts_ns``.
    """
    first_ns, last_ns = int(boundaries_ns[0]), int(boundaries_ns[-1])
    if not first_ns - 7 * DAY_NS <= ts_ns < last_ns:
        years = f"{day_text(first_ns // DAY_NS)} to {day_text(last_ns // DAY_NS)}"
        raise DataError(
            f"{day_text(ts_ns // DAY_NS)} is outside {years}",
            where=f"calendar {name}",
            fix="use the calendar 'always' or correct the timestamps",
        )


def calendar_names() -> tuple[str, ...]:
    """Return the names of the built-in calendars."""
    return tuple(_TABLES)


@cache
def calendar(name: str) -> Calendar:
    """Return a built-in calendar.

    Raises:
        ConfigError: there is no calendar of that name.
    """
    if name not in _TABLES:
        fix = f"{nearest(name, _TABLES)}; microburst calendar list has exchanges, too"
        raise ConfigError(f"there is no calendar {name!r}", where="calendar", fix=fix)
    return compile_days(name, _TABLES[name]())


def compile_days(name: str, days: Iterator[session_tables.TradingDay]) -> Calendar:
    """Return the calendar of a table of trading days in New York time; of an empty one the calendar without end."""
    rows, pauses, notes = [], [], {}
    for day, hours, note in days:
        number = day_number(day)
        if hours is not None:
            rows.append((number * DAY_NS, hours.opens * MINUTE_NS, hours.closes * MINUTE_NS))
            if hours.pause is not None:
                pauses.append([number * DAY_NS + minute * MINUTE_NS for minute in hours.pause])
        if note:
            notes[number] = note
    table = np.array(rows, np.int64).reshape(-1, 3)
    midnights, opens, closes = table.T
    return Calendar(
        name,
        NEW_YORK.to_utc(midnights + opens),
        NEW_YORK.to_utc(midnights + closes),
        NEW_YORK.to_utc(midnights),
        midnights // DAY_NS,
        NEW_YORK if rows else UTC,
        NEW_YORK.to_utc(np.array(pauses, np.int64).reshape(-1, 2)),
        MappingProxyType(notes),
    )


_TABLES: dict[str, Callable[[], Iterator[session_tables.TradingDay]]] = {
    "always": lambda: iter(()),
    "us_equities": session_tables.us_equities,
    "globex": session_tables.globex,
}
