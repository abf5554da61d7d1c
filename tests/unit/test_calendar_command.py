"""``microburst calendar`` as one sees it: tables, JSON and mistakes in one line."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from engine.cli import main
from engine.commands import calendar as command

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["calendar", *arguments])
        out, err = capsys.readouterr()
        assert (ended.value.code, err) == (0, "")
        return out

    return run


@pytest.fixture
def fail(capsys):
    def fail(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["calendar", *arguments])
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        return ended.value.code, err.rstrip("\n")

    return fail


def lines(text: str) -> list[str]:
    """Return the lines of a table with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_show_has_both_clocks_and_says_why_a_day_is_not_ordinary(run):
    assert lines(run("show", "us_equities", "--from", "2024-11-27", "--to", "2024-12-02")) == [
        "us_equities: times in America/New_York unless they say UTC",
        "",
        "trading day opens closes offset UTC",
        "Wed 2024-11-27 09:30 16:00 -05:00 14:30-21:00",
        "Thu 2024-11-28 closed: Thanksgiving",
        "Fri 2024-11-29 09:30 13:00 -05:00 14:30-18:00 closes early: day after Thanksgiving",
        "Mon 2024-12-02 09:30 16:00 -05:00 14:30-21:00",
    ]


def test_show_names_the_weekday_where_it_is_another_one_and_the_change_of_the_clocks_shows(run):
    assert lines(run("show", "globex", "--from", "2013-11-01", "--to", "2013-11-04"))[2:] == [
        "trading day opens closes offset UTC pause",
        "Fri 2013-11-01 Thu 18:00 17:15 -04:00 Thu 22:00-21:15 16:15-16:30",
        "Mon 2013-11-04 Sun 18:00 17:15 -05:00 Sun 23:00-22:15 16:15-16:30",
    ]


def test_show_tells_a_late_opening(run):
    text = run("show", "us_equities", "--from", "2002-09-11", "--to", "2002-09-11")
    assert lines(text)[-1] == "Wed 2002-09-11 12:00 16:00 -04:00 16:00-20:00 opens late: remembrance of September 11"


def test_show_with_rules(run):
    text = run(
        *("show", "globex", "--from", "2024-11-27", "--to", "2024-11-29"),
        *("--avoid", "midday", "--flatten-at", "16:45", "--friday-close", "13:00"),
    )
    assert lines(text)[2:] == [
        "trading day opens closes offset UTC entries flat at",
        "Wed 2024-11-27 Tue 18:00 17:00 -05:00 Tue 23:00-22:00 Tue 18:00-12:00 14:00-16:45 16:45",
        "Thu 2024-11-28 Wed 18:00 13:00 -05:00 Wed 23:00-18:00 Wed 18:00-12:00 closes early: Thanksgiving",
        "Fri 2024-11-29 Thu 18:00 13:15 -05:00 Thu 23:00-18:15 Thu 18:00-12:00 13:00 "
        "closes early: day after Thanksgiving",
    ]


def test_show_of_a_session_without_time_for_an_entry(run):
    text = run("show", "us_equities", "--from", "2024-11-29", "--to", "2024-11-29", "--entries", "14:00-15:00")
    assert "14:30-18:00  none" in text


def test_next_counts_down_from_a_moment(run):
    text = run("next", "us_equities", "--at", "2024-11-29T17:00Z", "--count", "3", "--flatten-before-close", "5m")
    assert lines(text) == [
        "us_equities at Fri 2024-11-29 12:00 America/New_York, Fri 2024-11-29 17:00 UTC: "
        "open, trading day 2024-11-29, entries allowed",
        "",
        "in America/New_York UTC what happens",
        "55m 00s Fri 2024-11-29 12:55 Fri 2024-11-29 17:55 flatten, entries off",
        "1h 00m Fri 2024-11-29 13:00 Fri 2024-11-29 18:00 close closes early: day after Thanksgiving",
        "2d 21h 30m Mon 2024-12-02 09:30 Mon 2024-12-02 14:30 open, entries on",
    ]


def test_next_without_rules_speaks_of_sessions_and_pauses_only(run):
    text = run("next", "globex", "--at", "2013-11-01T19:00:30Z", "--count", "4")
    assert lines(text)[0].endswith("19:00:30 UTC: open, trading day 2013-11-01")
    assert [line.split()[-1] for line in lines(text)[3:]] == ["pause", "ends", "close", "open"]
    assert lines(text)[3].startswith("1h 14m Fri 2013-11-01 16:15")


def test_next_is_after_the_moment_and_begins_now(run, monkeypatch):
    now_ns = int(datetime(2024, 3, 8, 16, 0, tzinfo=NEW_YORK).timestamp()) * 10**9
    monkeypatch.setattr(command, "wall_ns", lambda: now_ns)
    text = lines(run("next", "us_equities", "--count", "1"))
    assert text[0].endswith("closed, trading day 2024-03-11")
    assert text[3] == "2d 16h 30m Mon 2024-03-11 09:30 Mon 2024-03-11 13:30 open"  # an hour is missing that weekend
    assert lines(run("show", "us_equities"))[3].startswith("Fri 2024-03-08")
    assert lines(run("show", "us_equities"))[-1].startswith("Thu 2024-03-21")


def test_always(run):
    assert run("show", "always") == "always: open around the clock; the trading day is the UTC day\n"
    shown = lines(run("show", "always", "--from", "2024-03-09", "--to", "2024-03-09", "--flatten-at", "16:45"))
    assert shown[1:] == [
        "UTC what happens",
        "Sat 2024-03-09 00:00 entries on",
        "Sat 2024-03-09 16:45 flatten, entries off",
    ]
    assert lines(run("next", "always", "--at", "2024-03-09T00:00Z")) == [
        "always at Sat 2024-03-09 00:00 UTC: open, trading day 2024-03-09",
        "nothing ever happens: it is open around the clock, and there are no rules",
    ]
    eastern = run("next", "always", "--at", "2024-03-10T12:00Z", "--flatten-at", "16:45", "--zone", "America/New_York")
    assert lines(eastern)[3] == "8h 45m Sun 2024-03-10 16:45 Sun 2024-03-10 20:45 flatten, entries off"


def test_json_has_moments_of_both_clocks(run):
    told = json.loads(run("show", "us_equities", "--from", "2024-11-28", "--to", "2024-11-29", "--json"))
    assert (told["schema"], told["zone"]) == ("microburst.calendar/1", "America/New_York")
    thursday, friday = told["days"]
    assert thursday == {"trading_day": "2024-11-28", "note": "closed: Thanksgiving", "session": None}
    close = friday["session"]["close"]
    assert close["local"] == "2024-11-29T13:00:00-05:00"
    assert close["ts_ns"] == int(datetime.fromisoformat(close["local"]).timestamp()) * 10**9
    assert [one["happens"] for one in friday["session"]["boundaries"]] == [
        ["open", "entries on"],
        ["close", "entries off"],
    ]
    state = json.loads(run("next", "globex", "--at", "2024-11-29T19:00Z", "--count", "1", "--json"))
    assert (state["open"], state["entries_allowed"], state["trading_day"]) == (False, False, "2024-12-02")
    assert state["next"][0]["happens"] == ["open", "entries on"]


def test_list_without_the_library_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    text = run("list")
    assert "  always, us_equities, globex\n" in text
    assert "pip install -e '.[calendars]'" in text
    assert json.loads(run("list", "--json")) == {
        "schema": "microburst.calendar/1",
        "built_in": ["always", "us_equities", "globex"],
        "library": [],
    }


def test_list_has_the_names_of_the_library(run):
    pytest.importorskip("pandas_market_calendars")
    text = run("list")
    assert "XNYS" in text
    assert "CME Globex Equity" in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_calendar_of_the_library_is_shown_on_its_own_clock(run):
    pytest.importorskip("pandas_market_calendars")
    assert lines(run("show", "XHKG", "--from", "2025-01-28", "--to", "2025-02-03"))[2:] == [
        "trading day opens closes offset UTC pause",
        "Tue 2025-01-28 09:30 12:00 +08:00 01:30-04:00 closes early",
        "Wed 2025-01-29 closed: special closure",
        "Thu 2025-01-30 closed: special closure",
        "Fri 2025-01-31 closed: special closure",
        "Mon 2025-02-03 09:30 16:00 +08:00 01:30-08:00 12:00-13:00",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["show", "us_equites"], 3, "error: calendar: there is no calendar 'us_equites'; did you mean 'us_equities'?"),
        (["show", "globex", "--from", "soon"], 3, "error: flag --from: 'soon' is not a day; write it as 2024-11-25"),
        (
            ["show", "globex", "--from", "2024-05-02", "--to", "2024-05-01"],
            2,
            "error: flag --to: the last day, 2024-05-01, is before the first, 2024-05-02",
        ),
        (["show", "globex", "--from", "1990-01-01"], 4, "error: calendar globex: 1990-01-01 is outside 2000-01-02 to "),
        (["next", "globex", "--at", "noon"], 3, "error: flag --at: 'noon' is not a time; write it as 2024-01-02T14:30"),
        (["next", "globex", "--at", "2040-01-01"], 3, "error: flag --at: '2040-01-01' is not a time; "),
        (["next", "globex", "--at", "2040-01-01T00:00"], 4, "error: calendar globex: 2040-01-01 is outside 2000-01-02"),
        (["next", "globex", "--avoid", "noon"], 3, "error: flag --avoid: 'noon' is not a stretch of the day; write it"),
        (["next", "us_equities", "--flatten-at", "16:45"], 3, "error: session rules: flatten_at 16:45 never takes eff"),
        (["next"], 2, "error: Missing argument 'NAME'; see: microburst calendar next --help"),
    ],
)
def test_mistakes_are_one_line(fail, arguments, code, line):
    ended, error = fail(*arguments)
    assert ended == code
    assert error.startswith(line)
