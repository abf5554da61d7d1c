"""Calendars of exchanges everywhere, from pandas_market_calendars to arrays (``engine.sessions.trading_calendar``).

The library also serves the calendars of exchange_calendars, under their ISO codes (``XNYS``, ``XLON``, ``XHKG``),
beside its own of futures (``CME_Equity``, ``CMEGlobex_GC``). It is asked once, when a calendar is first used, and never
while ticks arrive. It needs the extra ``calendars``; the built-in calendars, whose names are in lower case, need
nothing.

Of the library's schedule the first opening and the last close of a day are the session, a break between them is a pause
of it. Extended hours and interruptions are left out.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, MissingExtraError
from engine.model import SECOND_NS
from engine.sessions import trading_calendar as sessions
from engine.sessions.clock import DAY_NS, FIRST_YEAR, LAST_YEAR, Clock, day_number
from engine.sessions.trading_calendar import Calendar

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FIRST, LAST = f"{FIRST_YEAR}-01-01", f"{LAST_YEAR}-12-31"

Ints = NDArray[np.int64]


def calendar(name: str) -> Calendar:
    """Return a calendar by name: one of the built-in ones, or of the library's.

    Raises:
        ConfigError: there is none of that name, or its sessions overlap.
        MissingExtraError: the name is none of the built-in ones, and the library is not installed.
    """
    return sessions.calendar(name) if name.islower() else _from_library(name)


def library_names() -> tuple[str, ...]:
    """Return the names that the library knows.

    Raises:
        MissingExtraError: it is not installed.
    """
    return tuple(sorted(name for name in _library("the list of exchanges").get_calendar_names() if not name.islower()))


def _library(feature: str) -> Any:
    try:
        import pandas_market_calendars
    except ImportError:
        raise MissingExtraError(feature, "calendars") from None
    return pandas_market_calendars


@cache
def _from_library(name: str) -> Calendar:
    library = _library(f"calendar '{name}'")
    names = library_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        fix = f"did you mean {' or '.join(map(repr, close))}?" if close else "list them: microburst calendar list"
        raise ConfigError(f"there is no calendar {name!r}", where="calendar", fix=fix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on breaks that were abolished; the schedule has each while it lasted
            return _compile(name, library.get_calendar(name))
    except (AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        what = f"the library fails to compute it ({type(error).__name__}: {error})"
        raise ConfigError(
            what, where=f"calendar {name}", fix="another name may serve: microburst calendar list"
        ) from None


def _compile(name: str, exchange: Any) -> Calendar:
    """Return a calendar of the library as arrays. A few of its calendars raise whatever goes wrong in them."""
    schedule = exchange.schedule(FIRST, LAST)
    clock = clock_of(exchange.tz)
    days = np.array([_number(day) for day in schedule.index], np.int64)
    opens, closes = _ns(schedule["market_open"]), _ns(schedule["market_close"])
    pauses = _pauses(schedule, opens, closes)
    notes = _notes(exchange, schedule, days)
    return Calendar(name, opens, closes, clock.to_utc(days * DAY_NS), days, clock, pauses, MappingProxyType(notes))


def _ns(times: Any) -> Ints:
    """Return a column of times with zone as UTC nanoseconds."""
    whole: Ints = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    return whole


def _pauses(schedule: Any, opens: Ints, closes: Ints) -> Ints:
    """Return the breaks, as far as they lie within their session: a half day may end before its break begins."""
    if "break_start" not in schedule:
        return sessions.NO_PAUSES.copy()
    begins, ends = _ns(schedule["break_start"]), _ns(schedule["break_end"])
    there = (schedule["break_start"].notna() & schedule["break_end"].notna()).to_numpy()
    there = there & (opens < begins) & (begins < ends) & (ends < closes)
    return np.stack([begins[there], ends[there]], axis=1)


# --- Why a day is not an ordinary one ---------------------------------------------------------------------------------


def _notes(exchange: Any, schedule: Any, days: Ints) -> dict[int, str]:
    """Return the library's reasons: of holidays on days of the week, and of sessions that open late or close early."""
    closures = dict.fromkeys(map(_number, exchange.adhoc_holidays), "special closure")
    closures.update(_named(exchange.regular_holidays))
    first, last, traded, week = int(days[0]), int(days[-1]), set(days.tolist()), set((days % 7).tolist())
    notes = {day: closures[day] for day in closures if first <= day <= last and day % 7 in week and day not in traded}
    for word, column, rules in (
        ("opens late", "market_open", getattr(exchange, "special_opens", ())),
        ("closes early", "market_close", getattr(exchange, "special_closes", ())),
    ):
        named = {day: name for _time, holidays, *_offset in rules for day, name in _named(holidays)}
        for label in schedule.index[exchange.is_different(schedule[column]).to_numpy()]:
            notes[_number(label)] = named.get(_number(label), word)
    return dict(sorted(notes.items()))


def _named(holidays: Any) -> Iterator[tuple[int, str]]:
    """Yield the days of the library's holiday rules with their names; a few of its rules have none."""
    import pandas as pd

    if hasattr(holidays, "holidays"):
        found = holidays.holidays(pd.Timestamp(FIRST), pd.Timestamp(LAST), return_name=True)
        for label, name in found.items() if isinstance(found, pd.Series) else ((label, "holiday") for label in found):
            yield _number(label), str(name)


def _number(day: Any) -> int:
    """Return the days since 1970 of a day as pandas or NumPy have it; both print as ISO text."""
    return day_number(date.fromisoformat(str(day)[:10]))


# --- Clocks -----------------------------------------------------------------------------------------------------------


def clock_of(zone: ZoneInfo) -> Clock:
    """Return a zone of the time zone database as arrays, for the years that calendars cover and one on either side."""
    moment = datetime(FIRST_YEAR - 1, 1, 1, tzinfo=UTC)
    changes: list[int] = []
    offsets = [_offset_s(moment, zone)]
    while moment.year <= LAST_YEAR + 1:
        after = moment + timedelta(days=1)  # no clock is changed twice a day
        if _offset_s(after, zone) != offsets[-1]:
            low, high = int(moment.timestamp()), int(after.timestamp())
            while high - low > 1:
                middle = (low + high) // 2
                changed = _offset_s(datetime.fromtimestamp(middle, UTC), zone) != offsets[-1]
                low, high = (low, middle) if changed else (middle, high)
            changes.append(high)
            offsets.append(_offset_s(after, zone))
        moment = after
    return Clock(str(zone), np.array(changes, np.int64) * SECOND_NS, np.array(offsets, np.int64) * SECOND_NS)


def _offset_s(moment: datetime, zone: ZoneInfo) -> int:
    """Return what the clock of a zone is ahead of UTC, in seconds."""
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None, "a zone of the database has an offset at every time"
    return offset // timedelta(seconds=1)
