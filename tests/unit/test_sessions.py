"""The built-in calendars against the time zone database, the published NYSE days and a naive search."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError
from engine.sessions.clock import EPOCH, FIRST_YEAR, LAST_YEAR, MINUTE_NS, UTC, nth_weekday
from engine.sessions.clock import NEW_YORK as CLOCK
from engine.sessions.tables import easter, nyse_closures, nyse_half_days
from engine.sessions.trading_calendar import DAY_NS, NEVER_NS, Calendar, calendar, calendar_names, day_text

NEW_YORK = ZoneInfo("America/New_York")
US, GLOBEX, ALWAYS = calendar("us_equities"), calendar("globex"), calendar("always")


def ns(day: date, hour: int, minute: int = 0) -> int:
    """Return a New York wall clock time in UTC nanoseconds, by the time zone database."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    return int(local.timestamp()) * 1_000_000_000


def days_of(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]


# --- the clock --------------------------------------------------------------------------------------------------------

YEARS = range(FIRST_YEAR, LAST_YEAR + 1)
CHANGES = [
    int(moment.timestamp())
    for year in YEARS
    for day in days_of(year)
    for moment in [datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)]
    if moment.utcoffset() != (moment + timedelta(days=1)).utcoffset()
]
"""New York's midnights, in seconds of UTC, of the days on which its clocks are changed; by the time zone database."""


def wall_ns(moment: datetime) -> int:
    """Return what a wall clock shows, as nanoseconds since 1970-01-01 00:00 on it."""
    return (moment.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000


def test_new_york_changes_its_clocks_twice_a_year_in_the_table_too():
    assert len(CHANGES) == 2 * len(YEARS)
    of_the_years = [change for change in CLOCK.changes_ns.tolist() if ns(date(FIRST_YEAR, 1, 1), 0) <= change]
    later = [change for change in of_the_years if change < ns(date(LAST_YEAR + 1, 1, 1), 0)]
    assert [change - 10**9 * midnight for change, midnight in zip(later, CHANGES, strict=True)] == [
        120 * MINUTE_NS  # two hours after midnight
    ] * len(CHANGES)


@given(
    st.one_of(
        st.integers(min(CHANGES), max(CHANGES)),
        st.builds(lambda midnight, second: midnight + second, st.sampled_from(CHANGES), st.integers(0, 4 * 3600)),
    )
)
def test_new_york_time_equals_the_time_zone_database(second):
    shown = wall_ns(datetime.fromtimestamp(second, NEW_YORK))
    assert CLOCK.from_utc(np.array([second * 10**9])).tolist() == [shown]
    local = datetime(1970, 1, 1, tzinfo=NEW_YORK) + timedelta(seconds=shown // 10**9)  # shown twice: the first time
    assert CLOCK.to_utc(np.array([shown])).tolist() == [int(local.timestamp()) * 10**9]


def test_a_time_that_is_skipped_is_taken_as_if_the_clock_had_not_been_changed_yet():
    skipped = wall_ns(datetime(2024, 3, 10, 2, 30))
    assert CLOCK.to_utc(np.array([skipped])).tolist() == [ns(date(2024, 3, 10), 3, 30)]


@given(st.integers(-(1 << 62), 1 << 62))
def test_utc_shows_utc(ts_ns):
    assert UTC.from_utc(np.array([ts_ns])).tolist() == UTC.to_utc(np.array([ts_ns])).tolist() == [ts_ns]


# --- the tables -------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("day", "opening", "close"),
    [
        # As the exchange announced them; docs/reference/calendars.md has the sources. An opening is the evening before.
        (date(2024, 11, 28), (18, 0), (13, 0)),
        (date(2024, 11, 29), (18, 0), (13, 15)),
        (date(2013, 7, 3), (18, 0), (13, 15)),
        (date(2013, 7, 4), (18, 0), (11, 30)),
        (date(2014, 2, 17), (18, 0), (11, 30)),
        (date(2014, 5, 26), (18, 0), (13, 0)),
        (date(2026, 4, 3), (18, 0), (9, 15)),  # a Good Friday with the report on employment
        (date(2012, 10, 29), (18, 0), (9, 15)),  # the storm
        (date(2012, 10, 30), (18, 0), (9, 15)),
        (date(2018, 12, 5), (18, 0), (9, 30)),  # mourning
        (date(2025, 1, 9), (18, 0), (9, 30)),
        (date(2012, 11, 16), (16, 30), (16, 15)),  # the last day of the hours before daily price limits
        (date(2012, 11, 12), (18, 0), (16, 15)),  # on Mondays it began on Sunday evening
        (date(2012, 9, 4), (18, 0), (16, 15)),  # and after a holiday in the evening too
        (date(2012, 11, 19), (18, 0), (17, 15)),
        (date(2015, 9, 18), (18, 0), (17, 15)),
        (date(2015, 9, 21), (18, 0), (17, 0)),
    ],
)
def test_globex_hours(day, opening, close):
    assert GLOBEX.session_bounds(ns(day, 9)) == (ns(day - timedelta(days=1), *opening), ns(day, *close))


@pytest.mark.parametrize("day", [date(2024, 12, 25), date(2024, 3, 29), date(2025, 1, 1), date(2001, 9, 12)])
def test_globex_is_closed(day):
    assert GLOBEX.session_index(ns(day, 8)) == -1


def pauses_of(cal: Calendar, day: date) -> list[list[int]]:
    open_ns, close_ns = cal.session_bounds(ns(day, 9, 30))
    return [row for row in cal.pauses_ns.tolist() if open_ns <= row[0] and row[1] <= close_ns]


@pytest.mark.parametrize(
    ("day", "pause"),
    [
        (date(2013, 10, 8), (16, 15)),
        (date(2021, 6, 25), (16, 15)),  # the last one
        (date(2021, 6, 28), None),
        (date(2013, 11, 29), None),  # a half day is over before
        (date(2012, 11, 15), (17, 30)),  # maintenance, on the evening before
        (date(2012, 11, 12), None),  # on Sunday evening there was none
    ],
)
def test_globex_pauses(day, pause):
    evening = day - timedelta(days=pause is not None and pause > (17,))
    minutes = 30 if evening != day else 15
    expected = [[ns(evening, *pause), ns(evening, *pause) + minutes * MINUTE_NS]] if pause else []
    assert pauses_of(GLOBEX, day) == expected
    for begin, _end in expected:
        assert GLOBEX.session_index(begin) >= 0  # a pause ends no session


@pytest.mark.parametrize("name", ["us_equities", "globex"])
def test_every_day_that_is_not_ordinary_says_why(name):
    cal = calendar(name)
    lengths = dict(zip(cal.days.tolist(), (cal.closes_ns - cal.opens_ns).tolist(), strict=True))
    ordinary = {390} if name == "us_equities" else {1380, 1395, 1335, 1425}  # by the years, in minutes
    for number in range((date(FIRST_YEAR, 1, 3) - EPOCH).days, (date(LAST_YEAR, 12, 31) - EPOCH).days):
        usual = lengths.get(number, 0) // MINUTE_NS in ordinary if (number + 3) % 7 < 5 else number not in lengths
        assert usual == (number not in cal.notes), day_text(number)
    assert cal.notes[(date(2025, 1, 9) - EPOCH).days] == "mourning for Jimmy Carter"
    assert cal.notes[(date(2024, 7, 3) - EPOCH).days] == "day before Independence Day"


# --- facts of a session -----------------------------------------------------------------------------------------------


def monday_weeks(day: date) -> int:
    """Return the weeks from Monday 1969-12-29 to the Monday of a day's week, by the weekday of the standard library."""
    return ((day - timedelta(days=day.weekday())) - date(1969, 12, 29)).days // 7


def facts_of(day: date, opens: tuple[date, int, int], closes: tuple[int, int]) -> tuple[int, int, int, int, int]:
    """Return the facts of a New York session, by the time zone database."""
    return ns(*opens), ns(day, *closes), ns(day, 0), (day - date(1970, 1, 1)).days, monday_weeks(day)


@pytest.mark.parametrize(
    ("day", "close"),
    [
        (date(2024, 3, 8), (16, 0)),  # the Friday before the clocks go forward, and the Monday after
        (date(2024, 3, 11), (16, 0)),
        (date(2024, 11, 1), (16, 0)),  # the Friday before they go back, and the Monday after
        (date(2024, 11, 4), (16, 0)),
        (date(2006, 4, 3), (16, 0)),  # by the rule of before 2007
        (date(2006, 10, 30), (16, 0)),
        (date(2024, 11, 29), (13, 0)),  # a half day
        (date(2020, 12, 31), (16, 0)),  # the last session of a year of 53 weeks, and the first of the next
        (date(2021, 1, 4), (16, 0)),
    ],
)
def test_facts_of_us_equity_sessions(day, close):
    expected = facts_of(day, (day, 9, 30), close)
    for ts_ns in (ns(day, 0), ns(day, 9, 30) - 1, ns(day, 9, 30), ns(day, 11), ns(day, *close) - 1):
        assert US.facts(ts_ns) == expected
    assert US.facts(ns(day, *close)).day > US.facts(ns(day, 11)).day  # at the close the next session is meant


def test_facts_between_us_equity_sessions_are_of_the_next_one():
    friday, monday = date(2024, 3, 8), date(2024, 3, 11)  # the clocks change between them
    closed, opened = US.facts(ns(friday, 16)), US.facts(ns(monday, 10))
    assert closed == opened == facts_of(monday, (monday, 9, 30), (16, 0))
    assert opened.week == US.facts(ns(friday, 10)).week + 1
    assert opened.midnight_ns - US.facts(ns(friday, 10)).midnight_ns == 3 * DAY_NS - 60 * MINUTE_NS
    new_year = US.facts(ns(date(2019, 12, 31), 16))  # over the year's end, within one week
    assert (new_year.day, new_year.week) == ((date(2020, 1, 2) - EPOCH).days, US.facts(ns(date(2019, 12, 31), 10)).week)


def test_facts_of_globex_sessions():
    sunday, monday, tuesday = date(2024, 3, 10), date(2024, 3, 11), date(2024, 3, 12)
    first = facts_of(monday, (sunday, 18, 0), (17, 0))
    for ts_ns in (ns(date(2024, 3, 8), 17), ns(sunday, 17, 59), ns(sunday, 18), ns(monday, 0), ns(monday, 17) - 1):
        assert GLOBEX.facts(ts_ns) == first  # from Friday's close, through the change of the clocks, to Monday's
    for ts_ns in (ns(monday, 17), ns(monday, 17, 30), ns(monday, 18), ns(tuesday, 17) - 1):
        assert GLOBEX.facts(ts_ns) == facts_of(tuesday, (monday, 18, 0), (17, 0))
    assert GLOBEX.facts(ns(date(2024, 3, 8), 12)).week + 1 == GLOBEX.facts(ns(sunday, 18)).week  # Sunday evening is new
    thanksgiving, day_after = date(2024, 11, 28), date(2024, 11, 29)
    assert GLOBEX.facts(ns(day_after, 9)) == facts_of(day_after, (thanksgiving, 18, 0), (13, 15))


@pytest.mark.parametrize("name", ["us_equities", "globex"])
def test_midnight_and_week_of_every_session_agree_with_the_standard_library(name):
    cal = calendar(name)
    for open_ns, number in zip(cal.opens_ns.tolist(), cal.days.tolist(), strict=True):
        facts, day = cal.facts(open_ns), date(1970, 1, 1) + timedelta(days=number)
        assert (facts.midnight_ns, facts.week) == (ns(day, 0), monday_weeks(day))
        evening = day - timedelta(days=1)
        at = {ns(evening, 18), ns(evening, 16, 30)} if name == "globex" else {ns(day, 9, 30)}
        assert facts.open_ns in at or day == date(2002, 9, 11)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)))
def test_facts_of_always_are_of_the_utc_day(moment):
    since_1970 = moment - datetime(1970, 1, 1)
    ts_ns = (since_1970 // timedelta(microseconds=1)) * 1000
    begins, midnight = since_1970.days, since_1970.days * 86_400 * 10**9
    assert ALWAYS.facts(ts_ns) == (midnight, midnight + DAY_NS, midnight, begins, monday_weeks(moment.date()))


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
    for query in (
        calendar(name).session_index,
        calendar(name).next_boundary_ns,
        calendar(name).trading_day,
        calendar(name).facts,
    ):
        with pytest.raises(DataError, match=f"calendar {name}: {day} is outside 2000-01-0[23] to 2035-12-31"):
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
        Calendar("x", *(np.array(a, np.int64) for a in ([0, 5], [6, 9], [0, 5], [0, 1])))


def test_days_beyond_the_civil_calendar_are_plain_numbers():
    assert day_text(0) == "1970-01-01"
    assert day_text(10**9) == "day 1000000000"
