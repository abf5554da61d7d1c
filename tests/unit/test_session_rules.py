"""Session rules against a naive reading of the same rules, five minutes by five minutes, on the time zone database."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError
from engine.sessions.clock import NEW_YORK, day_number
from engine.sessions.rules import Happens, Schedule, SessionRules, Span, day_part, schedule
from engine.sessions.trading_calendar import NEVER_NS, Calendar, calendar
from tests.shared_data import gzip_rows, shared_file, zip_rows

ZONE = ZoneInfo("America/New_York")
SECOND = 10**9
STEP_S = 300
STEP_NS = STEP_S * SECOND
MIDNIGHT_NS = 86_400 * SECOND
EPOCH = date(1970, 1, 1)


def ns(day: date, hour: int, minute: int = 0, zone: ZoneInfo = ZONE) -> int:
    """Return a wall clock time in UTC nanoseconds, by the time zone database."""
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()) * SECOND


def read(**texts: str) -> SessionRules:
    return SessionRules.read(texts)


# --- a naive reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """What the naive reading knows of a session: moments in seconds, and the trading day."""

    opens: int
    closes: int
    day: date


@dataclass(frozen=True)
class Naive:
    """The rules read one moment at a time; ``weekend`` says whether Saturdays are traded."""

    sessions: tuple[Session, ...]
    pauses: tuple[tuple[int, int], ...]
    rules: SessionRules
    endless: bool

    def session_at(self, second: int) -> int | None:
        return next((i for i, s in enumerate(self.sessions) if s.opens <= second < s.closes), None)

    def within(self, span: Span, second: int) -> bool:
        shown = datetime.fromtimestamp(second, ZONE)
        time_ns = (shown.hour * 3600 + shown.minute * 60) * SECOND
        if span.begin_ns < span.end_ns:
            return span.begin_ns <= time_ns < span.end_ns
        return time_ns >= span.begin_ns or time_ns < span.end_ns

    def moment_of(self, session: Session, time_ns: int | None) -> int | None:
        """Return when the clock shows a time of the trading day, if that is within the session."""
        if time_ns is None:
            return None
        minutes = time_ns // (60 * SECOND)
        second = ns(session.day, minutes // 60, minutes % 60) // SECOND
        return second if session.opens <= second < session.closes else None

    def ends_week(self, number: int) -> bool:
        """Whether a Saturday comes after this trading day and no later than the next one."""
        day = self.sessions[number].day
        following = self.sessions[number + 1].day if number + 1 < len(self.sessions) else day + timedelta(days=7)
        return any((day + timedelta(days=n)).weekday() == 5 for n in range(1, (following - day).days + 1))

    def flattenings(self, number: int) -> Iterator[tuple[int, int]]:
        """Yield when everything is closed in a session, and until when nothing is opened."""
        session, rules = self.sessions[number], self.rules
        if (at := self.moment_of(session, rules.flatten_at_ns)) is not None:
            until = at
            passed = False
            while until < session.closes and not (passed and not self.within(rules.maintenance, until)):
                passed = passed or (rules.maintenance is not None and self.within(rules.maintenance, until))
                until += STEP_S
            yield at, until
        if rules.flatten_before_close_ns is not None:
            yield max(session.opens, session.closes - rules.flatten_before_close_ns // SECOND), session.closes
        if (at := self.moment_of(session, rules.friday_close_ns)) is not None and self.ends_week(number):
            later = [s for s in self.sessions[number + 1 :] if not (self.endless and s.day.weekday() >= 5)]
            yield at, later[0].opens if later else self.sessions[-1].closes
        if rules.maintenance is not None:
            steps = range(session.opens, session.closes, STEP_S)
            for second in steps:
                if self.within(rules.maintenance, second) and (
                    second == session.opens or not self.within(rules.maintenance, second - STEP_S)
                ):
                    yield second, second  # what is barred within it is said below

    def allowed(self, second: int) -> bool:
        number, rules = self.session_at(second), self.rules
        if number is None or any(begin <= second < end for begin, end in self.pauses):
            return False
        if rules.entries and not any(self.within(span, second) for span in rules.entries):
            return False
        if any(self.within(span, second) for span in (*rules.avoid, *filter(None, [rules.maintenance]))):
            return False
        return not any(at <= second < until for at, until in self.flat)

    @cached_property
    def flat(self) -> list[tuple[int, int]]:
        return [one for number in range(len(self.sessions)) for one in self.flattenings(number)]

    def in_vain(self) -> bool:
        """Whether a rule never takes effect; for maintenance that is no mistake."""
        rules = self.rules
        for span in (*rules.entries, *rules.avoid):
            if not any(self.within(span, t) for s in self.sessions for t in range(s.opens, s.closes, STEP_S)):
                return True
        if rules.flatten_at_ns is not None and all(
            self.moment_of(s, rules.flatten_at_ns) is None for s in self.sessions
        ):
            return True
        if rules.friday_close_ns is not None and not any(
            self.ends_week(n) and self.moment_of(s, rules.friday_close_ns) is not None
            for n, s in enumerate(self.sessions)
        ):
            return True
        return rules.flatten_before_close_ns is not None and self.endless


def piece(name: str, first: date, days: int) -> Calendar:
    """Return a built-in calendar with only the sessions of a few days, and one trading week behind them."""
    whole = calendar(name)
    rows = slice(*np.searchsorted(whole.days, (day_number(first), day_number(first) + days + 7)).tolist())
    return Calendar(
        name,
        *(column[rows].copy() for column in (whole.opens_ns, whole.closes_ns, whole.midnights_ns, whole.days)),
        whole.clock,
        whole.pauses_ns.copy(),
        whole.notes,
    )


def naive(cal: Calendar, rules: SessionRules) -> Naive:
    columns = (cal.opens_ns.tolist(), cal.closes_ns.tolist(), cal.days.tolist())
    sessions = tuple(
        Session(opens // SECOND, closes // SECOND, EPOCH + timedelta(days=day))
        for opens, closes, day in zip(*columns, strict=True)
    )
    first, last = cal.opens_ns[0], cal.closes_ns[-1]
    pauses = tuple((a // SECOND, b // SECOND) for a, b in cal.pauses_ns.tolist() if first <= a and b <= last)
    return Naive(sessions, pauses, rules, endless=False)


STRETCHES = {
    "clocks go forward": date(2024, 3, 7),
    "clocks go back": date(2024, 10, 31),
    "by the rule of before 2007": date(2006, 10, 26),
    "half day after a holiday": date(2024, 11, 26),
    "half day before a holiday": date(2024, 7, 2),
    "Good Friday": date(2024, 3, 27),
    "pauses": date(2013, 10, 8),
    "afternoon sessions": date(2012, 11, 14),
}

quarters = st.integers(0, 95).map(lambda n: n * 3 * STEP_NS)
spans = st.tuples(quarters, quarters).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Span(*pair))
some_rules = st.builds(
    SessionRules,
    entries=st.lists(spans, max_size=2).map(tuple),
    avoid=st.lists(spans, max_size=2).map(tuple),
    maintenance=st.none() | spans,
    flatten_at_ns=st.none() | quarters,
    flatten_before_close_ns=st.none() | st.sampled_from([0, 1, 6, 48]).map(lambda n: n * STEP_NS),
    friday_close_ns=st.none() | quarters,
)


@settings(max_examples=25, deadline=None)
@given(some_rules)
@pytest.mark.parametrize("name", ["us_equities", "globex"])
@pytest.mark.parametrize("stretch", STRETCHES)
def test_rules_are_what_a_naive_reading_of_them_is(name, stretch, rules):
    cal = piece(name, STRETCHES[stretch], 7)
    oracle = naive(cal, rules)
    if oracle.in_vain():
        with pytest.raises(ConfigError, match="never takes effect"):
            schedule(cal, rules)
        return
    compare(cal, rules, oracle, STRETCHES[stretch], 7)


def compare(cal: Calendar, rules: SessionRules, oracle: Naive, first: date, days: int) -> None:
    """Compare every five minutes of a week: whether entries are allowed, and what happens."""
    if not any(oracle.allowed(t) for s in oracle.sessions for t in range(s.opens, s.closes, STEP_S)):
        with pytest.raises(ConfigError, match=f"session rules: together they never allow an entry on {cal.name}"):
            schedule(cal, rules)
        return
    made = schedule(cal, rules)
    flat = {at for at, _until in oracle.flat}
    opens, closes = ({getattr(s, side) for s in oracle.sessions} for side in ("opens", "closes"))
    begin = max(ns(first, 0) // SECOND, oracle.sessions[0].opens)
    before = oracle.allowed(begin - STEP_S)
    for second in range(begin, begin + days * 86_400, STEP_S):
        allowed = oracle.allowed(second)
        expected = Happens(0)
        expected |= Happens.ENTRIES_ON if allowed and not before else Happens(0)
        expected |= Happens.ENTRIES_OFF if before and not allowed else Happens(0)
        expected |= Happens.FLATTEN if second in flat else Happens(0)
        if not oracle.endless:
            expected |= (Happens.OPEN if second in opens else Happens(0)) | (
                Happens.CLOSE if second in closes else Happens(0)
            )
        shown = datetime.fromtimestamp(second, ZONE)
        assert made.happens_at(second * SECOND) == expected, shown
        assert made.entries_allowed(second * SECOND) == allowed, shown
        assert made.entries_allowed(second * SECOND + STEP_NS - 1) == allowed, shown
        before = allowed


@cache
def endless_days() -> tuple[Session, ...]:
    """The days on New York's clock around both changes of 2024: what ``always`` has instead of sessions."""
    days = [date(2024, 3, 1) + timedelta(days=n) for n in range(17)]
    return tuple(Session(ns(day, 0) // SECOND, ns(day + timedelta(days=1), 0) // SECOND, day) for day in days)


by_day = st.integers(16, 95).map(lambda n: n * 3 * STEP_NS)  # from 04:00: no time that is shown twice, or skipped
day_spans = st.tuples(by_day, by_day).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Span(*pair))


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        SessionRules,
        entries=st.lists(day_spans, max_size=2).map(tuple),
        avoid=st.lists(day_spans, max_size=2).map(tuple),
        maintenance=st.none() | day_spans,
        flatten_at_ns=st.none() | by_day,
        friday_close_ns=st.none() | by_day,
        clock=st.just(NEW_YORK),
    ).filter(bool)
)
def test_rules_on_a_market_that_never_closes(rules):
    oracle = Naive(endless_days(), (), rules, endless=True)
    compare(calendar("always"), rules, oracle, date(2024, 3, 5), 8)


# --- known days -------------------------------------------------------------------------------------------------------


def told(made: Schedule, first: date, last: date) -> list[str]:
    """Return what happens from the first day to the last, in New York time."""
    return [
        f"{datetime.fromtimestamp(ts_ns // SECOND, ZONE):%a %H:%M} {', '.join(happens.words())}"
        for ts_ns, happens in made.between(ns(first, 0), ns(last, 23, 59))
    ]


def test_a_day_and_a_half_of_equities():
    rules = read(entries="09:45-15:45", avoid="midday", flatten_before_close="5m")
    assert told(schedule(calendar("us_equities"), rules), date(2024, 11, 27), date(2024, 11, 29)) == [
        "Wed 09:30 open",
        "Wed 09:45 entries on",
        "Wed 12:00 entries off",
        "Wed 14:00 entries on",
        "Wed 15:45 entries off",
        "Wed 15:55 flatten",
        "Wed 16:00 close",
        "Fri 09:30 open",
        "Fri 09:45 entries on",
        "Fri 12:00 entries off",
        "Fri 12:55 flatten",
        "Fri 13:00 close",
    ]


def test_a_weekend_of_globex_in_which_the_clocks_change():
    made = schedule(calendar("globex"), read(flatten_at="16:45", friday_close="16:00", maintenance="17:00-18:00"))
    assert told(made, date(2024, 3, 8), date(2024, 3, 11)) == [
        "Fri 16:00 flatten, entries off",
        "Fri 16:45 flatten",
        "Fri 17:00 close",
        "Sun 18:00 open, entries on",
        "Mon 16:45 flatten, entries off",
        "Mon 17:00 close",
        "Mon 18:00 open, entries on",
    ]
    flattened = [ts_ns for ts_ns, happens in made.between(ns(date(2024, 3, 1), 0), ns(date(2024, 3, 15), 0))
                 if Happens.FLATTEN in happens]  # fmt: skip
    assert {datetime.fromtimestamp(ts_ns // SECOND, UTC).hour for ts_ns in flattened} == {20, 21}  # in winter 21:45 UTC


def test_the_last_day_before_a_weekend_is_a_thursday_before_good_friday():
    made = schedule(calendar("us_equities"), read(friday_close="15:30"))
    assert [line for line in told(made, date(2024, 3, 25), date(2024, 4, 1)) if "flatten" in line] == [
        "Thu 15:30 flatten, entries off"
    ]


def test_crypto_rests_over_the_weekend_and_around_maintenance():
    rules = read(zone="America/New_York", flatten_at="16:45", maintenance="17:00-18:00", friday_close="16:00")
    lines = told(schedule(calendar("always"), rules), date(2024, 3, 7), date(2024, 3, 11))
    assert [line for line in lines if "entries" in line] == [
        "Thu 16:45 flatten, entries off",
        "Thu 18:00 entries on",
        "Fri 16:00 flatten, entries off",
        "Mon 00:00 entries on",
        "Mon 16:45 flatten, entries off",
        "Mon 18:00 entries on",
    ]


def test_without_rules_entries_follow_the_sessions_and_their_pauses():
    assert told(schedule(calendar("globex")), date(2013, 10, 8), date(2013, 10, 8)) == [
        "Tue 16:15 entries off",
        "Tue 16:30 entries on",
        "Tue 17:15 close, entries off",
        "Tue 18:00 open, entries on",
    ]


def test_sessions_that_touch_leave_entries_on():
    opens = np.arange(4, dtype=np.int64) * MIDNIGHT_NS
    cal = Calendar("24/7", opens, opens + MIDNIGHT_NS, opens.copy(), np.arange(4, dtype=np.int64))
    happens = [Happens(int(one)) for one in schedule(cal).happens]
    assert happens == [
        Happens.OPEN | Happens.ENTRIES_ON,
        *[Happens.CLOSE | Happens.OPEN] * 3,
        Happens.CLOSE | Happens.ENTRIES_OFF,
    ]


def test_always_without_rules_never_stops():
    made = schedule(calendar("always"))
    for ts_ns in (-(1 << 62), 0, 1 << 62):
        assert made.next_ns(ts_ns) == NEVER_NS
        assert made.entries_allowed(ts_ns)
        assert made.happens_at(ts_ns) == Happens(0)
    assert list(made.between(-(1 << 62), 1 << 62)) == []


def test_rules_that_leave_no_time_for_an_entry_are_an_error():
    with pytest.raises(ConfigError, match="session rules: together they never allow an entry on us_equities"):
        schedule(calendar("us_equities"), read(entries="12:00-13:00", avoid="midday"))


def test_a_stretch_that_ends_in_an_hour_shown_twice_ends_when_it_is_first_shown():
    made = schedule(calendar("always"), read(zone="America/New_York", avoid="00:30-01:30"))
    night = date(2024, 11, 3)
    off, on = [ts_ns for ts_ns, _happens in made.between(ns(night, 0), ns(night, 4))]
    assert (off, on) == (ns(night, 0, 30), ns(night, 1, 30))  # an hour, not two


# --- queries ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", ["us_equities", "globex"])
def test_boundaries_are_found_from_anywhere(name, data):
    made = full_schedule(name)
    row = data.draw(st.integers(1, len(made.ts_ns) - 2))
    ts_ns = int(made.ts_ns[row])
    at = data.draw(st.integers(int(made.ts_ns[row - 1]), ts_ns - 1))
    assert made.next_ns(at) == ts_ns
    assert made.next_ns(ts_ns) == made.ts_ns[row + 1]
    assert made.happens_at(ts_ns) != Happens(0)
    assert made.happens_at(at) == Happens(0) or at == made.ts_ns[row - 1]
    assert made.entries_allowed(at) == made.entries[row - 1]
    assert [one.ts_ns for one in made.between(at, ts_ns + 1)][-1] == ts_ns


@cache
def full_schedule(name: str) -> Schedule:
    return schedule(calendar(name), read(avoid="midday", flatten_before_close="10m", friday_close="11:00"))


@pytest.mark.parametrize("name", ["us_equities", "globex"])
def test_boundaries_rise_and_entries_go_on_and_off_in_turn(name):
    made = full_schedule(name)
    assert (np.diff(made.ts_ns) > 0).all()
    turns = [one & (Happens.ENTRIES_ON | Happens.ENTRIES_OFF) for one in made.happens.tolist()]
    switched = [turn for turn in turns if turn]
    assert switched[0] == Happens.ENTRIES_ON
    assert all(a != b for a, b in pairwise(switched))
    sides = [one & (Happens.OPEN | Happens.CLOSE) for one in made.happens.tolist()]
    assert [side for side in sides if side] == [Happens.OPEN, Happens.CLOSE] * len(calendar(name).opens_ns)


@pytest.mark.parametrize("rules", [SessionRules(), read(avoid="midday")])
def test_uncovered_years_are_refused(rules):
    made = schedule(calendar("globex"), rules)
    for query in (made.next_ns, made.entries_allowed):
        with pytest.raises(DataError, match="calendar globex: 1990-01-01 is outside 2000"):
            query(ns(date(1990, 1, 1), 12, zone=ZoneInfo("UTC")))


def test_rules_on_always_cover_the_years_of_the_calendars():
    made = schedule(calendar("always"), read(avoid="12:00-14:00"))
    with pytest.raises(DataError, match="calendar always: 2036-05-01 is outside 2000-01-01 to 2036-01-01"):
        made.entries_allowed(ns(date(2036, 5, 1), 12, zone=ZoneInfo("UTC")))


@pytest.mark.parametrize(
    ("day", "hour", "minute", "part"),
    [
        (date(2024, 3, 11), 9, 30, "open_drive"),
        (date(2024, 3, 11), 10, 0, ""),
        (date(2024, 3, 8), 12, 0, "midday"),
        (date(2024, 3, 8), 13, 59, "midday"),
        (date(2024, 11, 4), 15, 0, "power_hour"),
        (date(2024, 11, 29), 15, 0, ""),  # a half day is over
    ],
)
def test_parts_of_the_day(day, hour, minute, part):
    assert day_part(calendar("us_equities"), ns(day, hour, minute)) == part


# --- reading ----------------------------------------------------------------------------------------------------------


def test_rules_are_read_from_text():
    hour = 3600 * SECOND
    assert read(
        entries="09:45-11:30, power_hour",
        avoid="12:00–14:00",
        maintenance="17:00-18:00",
        flatten_at="16:45",
        flatten_before_close="5m",
        friday_close="16:00",
        zone="UTC",
    ) == SessionRules(
        entries=(Span(35_100 * SECOND, 41_400 * SECOND), Span(15 * hour, 16 * hour)),
        avoid=(Span(12 * hour, 14 * hour),),
        maintenance=Span(17 * hour, 18 * hour),
        flatten_at_ns=60_300 * SECOND,
        flatten_before_close_ns=300 * SECOND,
        friday_close_ns=16 * hour,
        clock=read(zone="UTC").clock,
    )
    assert not read(entries="", avoid=" ", flatten_at="")
    assert not read(zone="UTC")
    assert read(flatten_before_close="0s")


@pytest.mark.parametrize(
    ("key", "text", "line"),
    [
        ("avoid", "noon", "session.avoid: 'noon' is not a stretch of the day; write it as 12:00-14:00, or one of"),
        ("avoid", "12:00-12:00", "session.avoid: '12:00-12:00' is empty"),
        ("entries", "09:30-25:00", "session.entries: '25:00' is not a time of day; write it as 10:30"),
        ("flatten_at", "4pm", "session.flatten_at: '4pm' is not a time of day"),
        ("flatten_before_close", "x", "session.flatten_before_close: 'x' is not a duration"),
        ("zone", "New York", "session.zone: no clock of 'New York' is built in; did you mean 'America/New_York'?"),
        ("flaten_at", "16:45", "session.flaten_at: there is no session rule 'flaten_at'; did you mean 'flatten_at'?"),
    ],
)
def test_what_is_wrong_with_a_rule(key, text, line):
    with pytest.raises(ConfigError) as caught:
        SessionRules.read({key: text})
    assert caught.value.line().startswith(line)


def test_the_origin_of_a_rule_is_named():
    with pytest.raises(ConfigError, match=r"^microburst.toml:7: 'noon' is not"):
        SessionRules.read({"avoid": "noon"}, {"avoid": "microburst.toml:7"})


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("us_equities", "flatten_at", "16:45"),
        ("us_equities", "entries", "20:00-21:00"),
        ("us_equities", "avoid", "04:00-09:30"),
        ("globex", "flatten_at", "20:00"),  # after the close of the trading day
        ("globex", "friday_close", "17:30"),
        ("always", "flatten_before_close", "5m"),
    ],
)
def test_a_rule_that_never_takes_effect_is_an_error(name, key, text):
    with pytest.raises(ConfigError, match=f"{key}.* never takes effect: no session of {name} contains it"):
        schedule(calendar(name), SessionRules.read({key: text}))


# --- recorded contract days -------------------------------------------------------------------------------------------

ES_DAYS = ("20131006", "20131007", "20131008", "20131011", "20131030", "20131118", "20131218", "20200105", "20200106")


@cache
def es_minutes(day: str) -> tuple[int, ...]:
    """Return when the minutes with trades of E-mini futures begin, on one UTC date."""
    path = shared_file(f"futures/es-minute/{day}_trade.zip")
    midnight = ns(date.fromisoformat(day), 0, zone=ZoneInfo("UTC"))
    with zipfile.ZipFile(path) as archive:
        months = archive.namelist()
    rows = (row for month in months for row in zip_rows(path, month))
    return tuple(sorted({midnight + int(row[0]) * 10**6 for row in rows}))


@pytest.mark.parametrize("day", ES_DAYS)
def test_every_minute_of_recorded_futures_lies_in_a_session_and_in_no_pause(day):
    made = schedule(calendar("globex"))
    outside = [ts_ns for ts_ns in es_minutes(day) if not made.entries_allowed(ts_ns)]
    assert outside == []


def test_recorded_minutes_fill_their_sessions_to_the_last():
    """A contract day spans two UTC dates; in October it ends at 21:15 UTC, in November, in winter time, at 22:15."""
    globex = calendar("globex")
    for before, day, expected in (("20131007", "20131008", "21:15"), ("20131118", "20131118", "22:15")):
        opens, closes = globex.session_bounds(ns(date.fromisoformat(day), 9))
        minutes = [ts_ns for ts_ns in {*es_minutes(before), *es_minutes(day)} if opens <= ts_ns < closes]
        assert max(minutes) == closes - 60 * SECOND
        assert f"{datetime.fromtimestamp(closes // SECOND, UTC):%H:%M}" == expected
        assert {globex.trading_day(ts_ns) for ts_ns in minutes} == {day_number(date.fromisoformat(day))}
    opens, _closes = globex.session_bounds(ns(date(2013, 10, 8), 9))
    assert f"{datetime.fromtimestamp(opens // SECOND, UTC):%Y-%m-%d %H:%M}" == "2013-10-07 22:00"
    assert opens in es_minutes("20131007")


def test_rules_on_recorded_futures_are_those_of_new_yorks_clock_on_both_utc_dates():
    made = schedule(calendar("globex"), read(entries="20:00-11:00, 14:00-16:00", flatten_at="15:45"))
    seen = set()
    for ts_ns in (*es_minutes("20131007"), *es_minutes("20131008"), *es_minutes("20131118")):
        shown = datetime.fromtimestamp(ts_ns // SECOND, ZONE)
        time = (shown.hour, shown.minute)
        expected = time >= (20, 0) or time < (11, 0) or (14, 0) <= time < (15, 45)
        assert made.entries_allowed(ts_ns) == expected, shown
        seen.add(expected)
    assert seen == {True, False}


def test_recorded_futures_resume_on_christmas_evening_with_the_first_trade_of_the_next_day():
    rows = gzip_rows(shared_file("futures/es-mbo-2023-12-25/esh4-20231225-trades.csv.gz"))
    trades = [int(row["ts_event"]) for row in rows]
    globex, made = calendar("globex"), schedule(calendar("globex"))
    assert made.next_ns(trades[0] - 1) == trades[0]  # the re-opening print bears the moment itself
    assert made.happens_at(trades[0]) == Happens.OPEN | Happens.ENTRIES_ON
    assert all(made.entries_allowed(ts_ns) for ts_ns in trades)
    assert {globex.trading_day(ts_ns) for ts_ns in trades} == {day_number(date(2023, 12, 26))}


def test_recorded_minutes_of_a_half_day_end_with_it():
    path = shared_file("equities/us-minute/goog/20151224_trade.zip")
    midnight = ns(date(2015, 12, 24), 0)
    minutes = [midnight + int(row[0]) * 10**6 for row in zip_rows(path, "")]
    opens, closes = calendar("us_equities").session_bounds(ns(date(2015, 12, 24), 10))
    assert sum(opens <= ts_ns < closes for ts_ns in minutes) > 200
    made = schedule(calendar("us_equities"), read(flatten_before_close="5m"))
    assert [one.happens.words() for one in made.between(opens + 1, closes + 1)] == [
        ["flatten", "entries off"],
        ["close"],
    ]
    assert max(ts_ns for ts_ns in minutes if ts_ns < closes) == closes - 60 * SECOND
    late = [ts_ns for ts_ns in minutes if closes <= ts_ns < ns(date(2015, 12, 24), 16)]
    assert len(late) < 20  # after hours, of 180 minutes
    assert not any(made.entries_allowed(ts_ns) for ts_ns in late)
