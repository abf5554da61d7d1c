"""The days and hours of the built-in calendars, by rule, for 2000 to 2035.

``us_equities`` follows the published holidays, half days and special closures of the NYSE. ``globex`` is CME equity
index futures as the exchange announced their hours; ``docs/reference/calendars.md`` names the sources and compares
every day since 2005 with a calendar library.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

from engine.sessions.clock import (
    FIRST_YEAR,
    FRIDAY,
    LAST_YEAR,
    MONDAY,
    SATURDAY,
    SUNDAY,
    THURSDAY,
    nth_weekday,
)


class Hours(NamedTuple):
    """When a market trades on one trading day, in minutes from New York's midnight that begins the day."""

    opens: int
    """Below zero on the evening before."""
    closes: int
    pause: tuple[int, int] | None = None
    """A stretch of the session in which there is no trading."""


class TradingDay(NamedTuple):
    """A weekday of a market's year: when it trades, or None, and why it is not an ordinary day, if so."""

    day: date
    hours: Hours | None
    note: str = ""


def minutes(hour: int, minute: int = 0) -> int:
    """Return a time of day in minutes."""
    return 60 * hour + minute


def weekdays() -> Iterator[date]:
    """Yield every Monday to Friday of the covered years."""
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        if day.weekday() <= FRIDAY:
            yield day
        day += timedelta(days=1)


# --- NYSE -------------------------------------------------------------------------------------------------------------

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
LATE_OPENINGS = {date(2002, 9, 11): (minutes(12), "remembrance of September 11")}


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


def us_equities() -> Iterator[TradingDay]:
    """Yield the NYSE's and Nasdaq's regular hours.

    Openings and closes that were moved by minutes for a ceremony or a fault, and halts within a day, are not modelled.
    """
    for day in weekdays():
        closed = nyse_closures(day.year).get(day)
        if closed:
            yield TradingDay(day, None, closed)
            continue
        half_day = nyse_half_days(day.year).get(day, "")
        opening, late = LATE_OPENINGS.get(day, (minutes(9, 30), ""))
        yield TradingDay(day, Hours(opening, minutes(13) if half_day else minutes(16)), half_day or late)


# --- CME equity index futures -----------------------------------------------------------------------------------------

DAILY_LIMITS = date(2012, 11, 19)
"""From this trading day on a session ends an hour later, for price limits that are set once a day."""
EARLIER_MAINTENANCE = date(2015, 9, 21)
"""From this trading day on a session ends at 17:00 instead of 17:15."""
NO_PAUSE = date(2021, 6, 28)
"""From this trading day on there is no pause from 16:15 to 16:30."""
LONGER_HOLIDAYS = date(2014, 5, 26)
"""From this holiday on the short session of a holiday ends at 13:00 instead of 11:30."""

EVENING = minutes(18) - minutes(24)
"""18:00 of the evening before."""
AFTERNOON = minutes(16, 30) - minutes(24)
"""16:30 of the day before, a quarter of an hour after that day's session ended."""
MAINTENANCE = (minutes(17, 30) - minutes(24), EVENING)
"""The daily pause while sessions began at 16:30."""

GOOD_FRIDAYS_WITH_TRADING = tuple(easter(year) - timedelta(days=2) for year in (2010, 2012, 2015, 2021, 2023, 2026))
"""The Good Fridays with a monthly report on employment: the futures trade until 09:15."""

SHORT_SESSIONS = {
    date(2001, 9, 11): minutes(9, 15),
    date(2004, 6, 11): minutes(9),
    date(2012, 10, 29): minutes(9, 15),
    date(2012, 10, 30): minutes(9, 15),
    date(2018, 12, 5): minutes(9, 30),
    date(2025, 1, 9): minutes(9, 30),
}
"""When the futures stopped on special closures of the NYSE; on the others they did not trade at all."""


def globex() -> Iterator[TradingDay]:
    """Yield the hours of CME equity index futures: an evening and the day after it are one trading day."""
    full_day_before = False
    for day in weekdays():
        closes, note = _globex_close(day)
        if closes is None:
            yield TradingDay(day, None, note)
        else:
            at_once = day < DAILY_LIMITS and full_day_before and day.weekday() != MONDAY
            pause = MAINTENANCE if at_once else None
            if DAILY_LIMITS <= day < NO_PAUSE and not note:
                pause = (minutes(16, 15), minutes(16, 30))
            yield TradingDay(day, Hours(AFTERNOON if at_once else EVENING, closes, pause), note)
        full_day_before = not note


def _globex_close(day: date) -> tuple[int | None, str]:
    """Return when the session of a weekday ends, None for no session, and why it is not an ordinary day, if so."""
    holiday = nyse_closures(day.year).get(day, "")
    if day in SPECIAL_CLOSURES:
        return SHORT_SESSIONS.get(day), holiday
    if holiday in ("Christmas", "New Year"):
        return None, holiday
    if holiday == "Good Friday":
        return minutes(9, 15) if day in GOOD_FRIDAYS_WITH_TRADING else None, holiday
    if holiday:
        return minutes(13) if day >= LONGER_HOLIDAYS else minutes(11, 30), holiday
    if half_day := nyse_half_days(day.year).get(day):
        return minutes(13, 15), half_day
    if day < DAILY_LIMITS:
        return minutes(16, 15), ""
    return minutes(17, 15) if day < EARLIER_MAINTENANCE else minutes(17), ""
