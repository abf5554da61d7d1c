"""The library's calendars as arrays, and the built-in tables against them, day by day from 2005 to 2026.

The differences that are known are listed here one by one, with the side that is right; docs/reference/calendars.md says
why. A new one, in either direction, fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import engine
from engine import Strategy
from engine.calendars import calendar, clock_of, library_names
from engine.errors import ConfigError, MissingExtraError
from engine.rules import price
from engine.sessions.clock import MINUTE_NS, NEW_YORK, day_number
from engine.sessions.rules import SessionRules, schedule
from engine.sessions.trading_calendar import calendar as built_in

NEW_YORK_ZONE = ZoneInfo("America/New_York")
FIRST, LAST = date(2005, 1, 1), date(2026, 12, 31)

needs_library = pytest.mark.skipif(
    find_spec("pandas_market_calendars") is None,
    reason="pandas_market_calendars is not installed: pip install -e '.[calendars]'",
)

Day = tuple[str, str, tuple[str, ...]]


@cache
def hours(name: str) -> dict[date, Day]:
    """Return opening, close and pauses of each trading day in New York time, by the time zone database."""
    cal = calendar(name)
    found = {}
    columns = (cal.opens_ns.tolist(), cal.closes_ns.tolist(), cal.days.tolist())
    pauses = cal.pauses_ns.tolist()
    for opens, closes, number in zip(*columns, strict=True):
        day = date(1970, 1, 1) + timedelta(days=number)
        if FIRST <= day <= LAST:
            within = tuple(f"{clock(a)}-{clock(b)}" for a, b in pauses if opens <= a and b <= closes)
            found[day] = (clock(opens), clock(closes), within)
    return found


def clock(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // 10**9, NEW_YORK_ZONE):%H:%M}"


def differences(ours: str, theirs: str) -> dict[date, tuple[Day | None, Day | None]]:
    left, right = hours(ours), hours(theirs)
    return {day: (left.get(day), right.get(day)) for day in sorted({*left, *right}) if left.get(day) != right.get(day)}


def between(first: str, last: str, days: Iterable[date]) -> set[date]:
    return {day for day in days if date.fromisoformat(first) <= day <= date.fromisoformat(last)}


def some(*days: str) -> set[date]:
    return {date.fromisoformat(day) for day in days}


@needs_library
def test_us_equities_are_the_librarys_xnys():
    assert differences("us_equities", "XNYS") == {}


@needs_library
def test_us_equities_differ_from_the_librarys_nyse_on_two_days_by_minutes():
    assert {day: theirs[:2] for day, (_ours, theirs) in differences("us_equities", "NYSE").items()} == {
        date(2005, 6, 1): ("09:30", "15:56"),  # a fault of the exchange's network
        date(2006, 12, 27): ("09:32", "16:00"),  # two minutes of silence
    }


@needs_library
@pytest.mark.parametrize("theirs", ["CME_Equity", "CME Globex Equity"])
def test_globex_since_2012_differs_from_the_library_as_written_down(theirs):
    """Each group is explained in docs/reference/calendars.md."""
    found = differences("globex", theirs)
    recent = between("2012-11-19", "2026-12-31", found)
    later_close = {day for day in recent if found[day][0] and found[day][0][1] == "17:15"}
    assert {found[day][1][1] for day in later_close} == {"17:00"}
    assert (len(later_close), min(later_close), max(later_close)) == (705, date(2012, 11, 19), date(2015, 9, 18))
    rest = recent - later_close
    good_fridays = some("2024-03-29", "2025-04-18")
    mourning = some("2018-12-05", "2025-01-09")
    assert {found[day] for day in good_fridays} == {(None, ("18:00", "09:15", ()))}
    if theirs == "CME_Equity":
        assert {found[day] for day in mourning} == {(("18:00", "09:30", ()), None)}
        half_days = {day for day in rest if found[day] == (("18:00", "13:15", ()), ("18:00", "13:00", ()))}
        old_holidays = {day for day in rest if found[day] == (("18:00", "11:30", ()), ("18:00", "13:00", ()))}
        assert len(half_days) == 33
        assert old_holidays == some(
            *("2012-11-22", "2013-01-21", "2013-02-18", "2013-05-27", "2013-07-04", "2013-09-02", "2013-11-28"),
            *("2014-01-20", "2014-02-17"),
        )
        assert rest == good_fridays | mourning | half_days | old_holidays
    else:
        assert {found[day] for day in mourning} == {(("18:00", "09:30", ()), ("18:00", "17:00", ()))}
        pauses = rest - good_fridays - mourning
        assert {found[day] for day in pauses} == {(("18:00", "17:00", ("16:15-16:30",)), ("18:00", "17:00", ()))}
        assert (min(pauses), max(pauses)) == (date(2015, 9, 21), date(2021, 6, 25))


@needs_library
@pytest.mark.parametrize("theirs", ["CME_Equity", "CME Globex Equity"])
def test_globex_before_2012_has_the_librarys_days(theirs):
    """The hours of those years are approximate on both sides; the days are not, but for one."""
    found = differences("globex", theirs)
    days = between("2005-01-01", "2012-11-18", found)
    missing = {day for day in days if (found[day][0] is None) != (found[day][1] is None)}
    assert missing == (set() if theirs == "CME_Equity" else some("2007-01-02"))
    assert {found[day][0][1] for day in days - missing} == {"16:15", "13:15", "11:30", "09:15"}


@needs_library
def test_globex_agrees_with_the_library_wherever_no_difference_is_written_down():
    found = differences("globex", "CME_Equity")
    since = {day for day in hours("globex") if day >= date(2021, 6, 28)}
    assert len(since) > 1400
    assert len(since & set(found)) == 13  # twelve half days and a day of mourning


# --- other exchanges --------------------------------------------------------------------------------------------------


def at(zone: str, *moment: int) -> int:
    """Return a wall clock time in UTC nanoseconds, by the time zone database."""
    return int(datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


@needs_library
@pytest.mark.parametrize("day", [date(2024, 3, 28), date(2024, 4, 2), date(2024, 10, 25), date(2024, 10, 28)])
def test_london_opens_at_eight_of_its_own_clock(day):
    """Britain changes its clocks on other days than New York."""
    opens, closes = (at("Europe/London", day.year, day.month, day.day, *time) for time in ((8, 0), (16, 30)))
    assert calendar("XLON").session_bounds(opens) == (opens, closes)
    assert calendar("XLON").facts(opens).midnight_ns == at("Europe/London", day.year, day.month, day.day)


@needs_library
def test_half_days_and_holidays_say_why():
    london = calendar("XLON")
    eve = at("Europe/London", 2024, 12, 24, 8)
    assert london.session_bounds(eve) == (eve, at("Europe/London", 2024, 12, 24, 12, 30))
    told = {
        day: london.notes[day_number(date.fromisoformat(day))] for day in ("2024-12-24", "2024-12-25", "2024-05-06")
    }
    assert told == {
        "2024-12-24": "Christmas Eve",
        "2024-12-25": "Christmas",
        "2024-05-06": "Early May Bank Holiday",
    }
    assert day_number(date(2024, 12, 28)) not in london.notes  # a Saturday


@needs_library
def test_a_lunch_break_is_a_pause_of_the_session_and_a_half_day_has_none():
    zone = "Asia/Hong_Kong"
    cal = calendar("XHKG")
    opens, closes = at(zone, 2024, 3, 11, 9, 30), at(zone, 2024, 3, 11, 16)
    assert cal.session_bounds(at(zone, 2024, 3, 11, 12, 30)) == (opens, closes)
    within = cal.pauses_ns[(cal.pauses_ns[:, 0] >= opens) & (cal.pauses_ns[:, 1] <= closes)].tolist()
    assert within == [[at(zone, 2024, 3, 11, 12), at(zone, 2024, 3, 11, 13)]]
    made = schedule(cal, SessionRules.read({"flatten_before_close": "10m"}))
    assert not made.entries_allowed(at(zone, 2024, 3, 11, 12, 30))
    assert made.entries_allowed(at(zone, 2024, 3, 11, 13))
    half_day = at(zone, 2025, 1, 28, 9, 30)  # the eve of the lunar new year
    assert cal.session_bounds(half_day) == (half_day, at(zone, 2025, 1, 28, 12))
    assert made.next_ns(half_day) == at(zone, 2025, 1, 28, 11, 50)


@needs_library
def test_around_the_clock_every_day_is_a_session():
    cal = calendar("24/7")
    assert (cal.closes_ns[:-1] == cal.opens_ns[1:]).all()
    assert cal.session_index(int(cal.opens_ns[7])) == 7


@needs_library
@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "XTKS", "CME_Equity", "CMEGlobex_GC", "CMEGlobex_Grains"])
def test_every_session_belongs_to_its_day_and_every_pause_to_a_session(name):
    cal = calendar(name)
    assert (np.diff(cal.days) > 0).all()
    assert (cal.opens_ns < cal.closes_ns).all()
    assert (np.abs(cal.closes_ns - cal.midnights_ns) < 48 * 60 * MINUTE_NS).all()
    sessions = np.searchsorted(cal.opens_ns, cal.pauses_ns[:, 0], side="right") - 1
    assert (cal.pauses_ns[:, 1] < cal.closes_ns[sessions]).all()
    assert (np.diff(cal.pauses_ns.ravel()) > 0).all()


@pytest.mark.parametrize(
    "zone", ["Europe/London", "Australia/Sydney", "Asia/Jerusalem", "Asia/Kolkata", "America/Sao_Paulo"]
)
def test_clocks_of_the_time_zone_database(zone):
    made = clock_of(ZoneInfo(zone))
    some_hours = range(at("UTC", 2000, 1, 1), at("UTC", 2030, 1, 1), 77 * 60 * MINUTE_NS)
    moments = [*some_hours, *(change + step for change in made.changes_ns.tolist() for step in (-1, 0, 1))]
    for ts_ns in moments:
        shown = datetime.fromtimestamp(ts_ns // 10**9, ZoneInfo(zone)).replace(tzinfo=ZoneInfo("UTC"))
        assert made.from_utc(np.array([ts_ns])) == int(shown.timestamp()) * 10**9 + ts_ns % 10**9
    assert made.name == zone


def test_new_york_by_rule_is_new_york_by_the_database():
    made = clock_of(NEW_YORK_ZONE)
    assert made.changes_ns.tolist() == NEW_YORK.changes_ns.tolist()
    assert made.offsets_ns.tolist() == NEW_YORK.offsets_ns.tolist()


# --- names ------------------------------------------------------------------------------------------------------------


def test_built_in_names_need_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    for name in ("always", "us_equities", "globex"):
        assert calendar(name) is built_in(name)
    with pytest.raises(ConfigError, match="there is no calendar 'us_equites'; did you mean 'us_equities'"):
        calendar("us_equites")


@pytest.mark.parametrize("ask", [lambda: calendar("XMEX"), library_names])
def test_a_missing_library_names_the_line_that_installs_it(monkeypatch, ask):
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    with pytest.raises(
        MissingExtraError, match=r"needs the 'calendars' extra; install it with: pip install -e '\.\[cal"
    ):
        ask()


@needs_library
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("XNYZ", "calendar: there is no calendar 'XNYZ'; did you mean 'XNZE' or 'XNYS'"),
        ("QQQQQQ", "calendar: there is no calendar 'QQQQQQ'; list them: microburst calendar list"),
        ("ASEX", "calendar ASEX: the library fails to compute it"),
    ],
)
def test_what_the_library_does_not_have_is_one_line(name, line):
    with pytest.raises(ConfigError) as caught:
        calendar(name)
    assert caught.value.line().startswith(line)


class Always(Strategy):
    """In the market whenever it may be."""

    long = price > 0


@needs_library
def test_a_backtest_trades_by_a_calendar_of_the_library():
    close_ns = at("America/New_York", 2024, 11, 29, 13)  # a half day
    ticks = {
        "ts_ns": close_ns + np.array([-60, -1, 30, 3600], np.int64) * 10**9,
        "price_ticks": np.array([100, 101, 102, 103], np.int64),
        "size_lots": np.full(4, 10, np.int64),
    }
    (trade,) = engine.backtest(ticks, Always, calendar="XNYS").trades
    assert (trade.exit_ts_ns, trade.exit_ticks, trade.reason) == (close_ns, 101, "SESSION")
