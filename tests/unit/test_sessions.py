"""The built-in calendars against the time zone database, the published NYSE days and a naive search."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError
from engine.sessions import (
    DAY_NS,
    EPOCH,
    FIRST_YEAR,
    LAST_YEAR,
    MINUTE_NS,
    NEVER_NS,
    Calendar,
    calendar,
    calendar_names,
    day_text,
    easter,
    new_york_ns,
    nth_weekday,
    nyse_closures,
    nyse_half_days,
)

NEW_YORK = ZoneInfo("America/New_York")
US, GLOBEX, ALWAYS = calendar("us_equities"), calendar("globex"), calendar("always")


def ns(day: date, hour: int, minute: int = 0) -> int:
    """Return a New York wall clock time in UTC nanoseconds, by the time zone database."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    return int(local.timestamp()) * 1_000_000_000


def days_of(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]


@pytest.mark.parametrize("year", range(FIRST_YEAR, LAST_YEAR + 1))
def test_new_york_time_equals_the_time_zone_database(year):
    for day in days_of(year):
        for hour, minute in ((3, 0), (9, 30), (13, 0), (16, 0), (18, 0), (23, 59)):
            assert new_york_ns(day, 60 * hour + minute) == ns(day, hour, minute)


@pytest.mark.parametrize(
    ("year", "day"),
    [(2000, (4, 23)), (2008, (3, 23)), (2011, (4, 24)), (2019, (4, 21)), (2024, (3, 31)), (2035, (3, 25))],
)
def test_easter(year, day):
    assert easter(year) == date(year, *day)


def test_nth_weekday_at_the_ends_of_the_year():
    assert nth_weekday(2024, 12, 1, -1) == date(2024, 12, 31)
    assert nth_weekday(2024, 1, 0, 1) == date(2024, 1, 1)
    assert nth_weekday(2027, 5, 0, -1) == date(2027, 5, 31)


@pytest.mark.parametrize(
    ("year", "closed"),
    [
        # As published by the exchange.
        (2004, "01-01 01-19 02-16 04-09 05-31 06-11 07-05 09-06 11-25 12-24"),
        (2007, "01-01 01-02 01-15 02-19 04-06 05-28 07-04 09-03 11-22 12-25"),
        (2011, "01-17 02-21 04-22 05-30 07-04 09-05 11-24 12-26"),
        (2012, "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25"),
        (2021, "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24"),
        (2022, "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26"),
        (2025, "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25"),
        (2026, "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25"),
    ],
)
def test_nyse_closures(year, closed):
    assert sorted(f"{day:%m-%d}" for day in nyse_closures(year)) == closed.split()


@pytest.mark.parametrize(
    ("year", "short"),
    [
        (2001, "07-03 11-23 12-24"),
        (2002, "07-05 11-29 12-24"),
        (2003, "07-03 11-28 12-24 12-26"),
        (2004, "11-26"),
        (2010, "11-26"),
        (2013, "07-03 11-29 12-24"),
        (2019, "07-03 11-29 12-24"),
        (2024, "07-03 11-29 12-24"),
        (2026, "11-27 12-24"),
    ],
)
def test_nyse_half_days(year, short):
    assert sorted(f"{day:%m-%d}" for day in nyse_half_days(year)) == short.split()


@pytest.mark.parametrize(
    ("day", "opening", "close"),
    [
        (date(2012, 6, 21), (9, 30), (16, 0)),
        (date(2013, 10, 10), (9, 30), (16, 0)),
        (date(2024, 3, 8), (9, 30), (16, 0)),  # the Friday before the clocks change
        (date(2024, 3, 11), (9, 30), (16, 0)),
        (date(2024, 11, 29), (9, 30), (13, 0)),
        (date(2002, 9, 11), (12, 0), (16, 0)),
    ],
)
def test_us_equity_sessions(day, opening, close):
    opens_ns, closes_ns = ns(day, *opening), ns(day, *close)
    assert US.session_bounds(opens_ns) == (opens_ns, closes_ns)
    assert US.session_index(opens_ns - 1) == US.session_index(closes_ns) == -1
    assert US.session_index(opens_ns) == US.session_index(closes_ns - 1) >= 0
    assert US.next_boundary_ns(opens_ns - 1) == opens_ns
    assert US.next_boundary_ns(opens_ns) == closes_ns
    assert US.trading_day(opens_ns) == (day - EPOCH).days
    assert US.trading_day(opens_ns - 1) == (day - EPOCH).days
    assert US.trading_day(closes_ns) > (day - EPOCH).days


def test_a_year_of_us_equities_has_252_sessions():
    opens = US.opens_ns[(US.days >= (date(2024, 1, 1) - EPOCH).days) & (US.days < (date(2025, 1, 1) - EPOCH).days)]
    assert len(opens) == 252


def test_globex_weeks_begin_on_sunday_evening_and_rest_for_an_hour_a_day():
    sunday, monday, friday = date(2024, 3, 10), date(2024, 3, 11), date(2024, 3, 15)  # the clocks change that Sunday
    assert GLOBEX.session_index(ns(sunday, 17, 59)) == -1
    assert GLOBEX.session_bounds(ns(sunday, 18)) == (ns(sunday, 18), ns(monday, 17))
    assert GLOBEX.trading_day(ns(sunday, 18)) == (monday - EPOCH).days
    assert GLOBEX.session_bounds(ns(monday, 17, 30)) is None
    assert GLOBEX.session_index(ns(monday, 18)) == GLOBEX.session_index(ns(monday, 16)) + 1
    assert GLOBEX.next_boundary_ns(ns(friday, 17)) == ns(date(2024, 3, 17), 18)


def test_globex_holidays():
    assert GLOBEX.session_index(ns(date(2024, 12, 25), 12)) == -1
    assert GLOBEX.session_index(ns(date(2024, 3, 29), 12)) == -1
    thanksgiving, day_after = date(2024, 11, 28), date(2024, 11, 29)
    assert GLOBEX.session_bounds(ns(thanksgiving, 12)) == (ns(date(2024, 11, 27), 18), ns(thanksgiving, 13))
    assert GLOBEX.session_bounds(ns(day_after, 12)) == (ns(thanksgiving, 18), ns(day_after, 13, 15))
    assert GLOBEX.session_index(ns(date(2012, 10, 29), 12)) >= 0  # the storm closed the floor, not the futures


@given(st.integers(-(1 << 62), 1 << 62))
def test_always_is_one_session_and_its_day_is_the_utc_day(ts_ns):
    assert ALWAYS.session_index(ts_ns) == 0
    assert ALWAYS.next_boundary_ns(ts_ns) == NEVER_NS
    open_ns, close_ns = ALWAYS.session_bounds(ts_ns)
    assert open_ns <= ts_ns < close_ns
    assert ALWAYS.trading_day(ts_ns) == ts_ns // DAY_NS


@given(st.data())
@pytest.mark.parametrize("name", ["us_equities", "globex"])
def test_queries_agree_with_a_naive_search(name, data):
    cal = calendar(name)
    index = data.draw(st.integers(1, len(cal.opens_ns) - 2))
    ts_ns = data.draw(st.sampled_from([int(cal.opens_ns[index]), int(cal.closes_ns[index])])) + data.draw(
        st.sampled_from([-MINUTE_NS, -1, 0, 1, MINUTE_NS])
    )
    inside = [i for i in range(index - 1, index + 2) if cal.opens_ns[i] <= ts_ns < cal.closes_ns[i]]
    later = [t for i in range(index - 1, index + 2) for t in (cal.opens_ns[i], cal.closes_ns[i]) if t > ts_ns]
    assert cal.session_index(ts_ns) == (inside[0] if inside else -1)
    assert cal.next_boundary_ns(ts_ns) == min(later)
    assert cal.session_indices(np.array([ts_ns], np.int64))[0] == cal.session_index(ts_ns)
    assert cal.trading_day(ts_ns) == next(cal.days[i] for i in range(index - 1, index + 2) if cal.closes_ns[i] > ts_ns)


@pytest.mark.parametrize("name", ["us_equities", "globex"])
@pytest.mark.parametrize("day", [date(1998, 5, 5), date(2036, 2, 1)])
def test_uncovered_years_are_refused_not_taken_for_closed(name, day):
    ts_ns = (day - EPOCH).days * DAY_NS
    for query in (calendar(name).session_index, calendar(name).next_boundary_ns, calendar(name).trading_day):
        with pytest.raises(DataError, match=f"calendar {name}: {day} is outside 2000-01-03 to 2035-12-31"):
            query(ts_ns)
    with pytest.raises(DataError):
        calendar(name).session_indices(np.array([ts_ns], np.int64))


def test_an_unknown_calendar_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'us_equities'"):
        calendar("us_equity")
    assert calendar_names() == ("always", "us_equities", "globex")


def test_arrays_cannot_be_changed_or_overlap():
    with pytest.raises(ValueError, match="read-only"):
        US.opens_ns[0] = 0
    with pytest.raises(ConfigError, match="overlap"):
        Calendar("x", *(np.array(a, np.int64) for a in ([0, 5], [6, 9], [0, 1])))


def test_days_beyond_the_civil_calendar_are_plain_numbers():
    assert day_text(0) == "1970-01-01"
    assert day_text(10**9) == "day 1000000000"
