"""The part of a recording that is traded: which records count, which only warm up, and which days are meant."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

import engine
from engine.errors import ConfigError, DataError
from engine.model import Instrument, TickBlock
from engine.rules import Stop, Target, change, pct, seconds
from engine.sessions.clock import DAY_NS, day_number
from engine.sessions.trading_calendar import calendar
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.periods import Period, read_period, since, until
from mock_server.market import generate

HOUR_NS = 3600 * 10**9


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def records(*moments: str) -> TickFile:
    ts_ns = np.array([at(moment) for moment in moments], np.int64)
    return TickFile(
        TickBlock(ts_ns, np.full(len(ts_ns), 100), np.ones(len(ts_ns), np.int64)), [Instrument("X")], "test"
    )


WEEK = records(  # Thursday, Friday and Monday, in summer time, with a trade after Monday's close
    *("2024-06-06T14:00:00", "2024-06-07T14:00:00", "2024-06-10T14:00:00", "2024-06-10T21:00:00"),
)


@pytest.mark.parametrize(
    ("asked", "begins", "ends"),
    [
        ({}, None, None),
        ({"start": "2024-06-07"}, "2024-06-07T13:30:00", None),
        ({"start": "2024-06-08"}, "2024-06-10T13:30:00", None),  # a Saturday: the next day that there is
        ({"end": "2024-06-07"}, "2024-06-06T13:30:00", "2024-06-10T13:30:00"),
        ({"start": "2024-06-07", "end": "2024-06-07"}, "2024-06-07T13:30:00", "2024-06-10T13:30:00"),
        ({"start": date(2024, 6, 7), "end": datetime(2024, 6, 7)}, "2024-06-07T13:30:00", "2024-06-10T13:30:00"),
        ({"days": np.int64(1)}, "2024-06-10T13:30:00", None),
        ({"days": 1}, "2024-06-10T13:30:00", None),
        ({"days": 2}, "2024-06-07T13:30:00", None),
        ({"days": 2, "end": "2024-06-07"}, "2024-06-06T13:30:00", "2024-06-10T13:30:00"),
        ({"days": 1, "end": "2024-12-31"}, "2024-06-10T13:30:00", "2025-01-02T14:30:00"),
    ],
)
def test_days_are_those_of_the_exchange(asked, begins, ends):
    nothing = {"start": None, "end": None, "days": None}
    found = read_period(WEEK, calendar("us_equities"), **nothing | asked)
    assert found == Period(begins and at(begins), ends and at(ends))


def test_days_of_a_market_that_never_closes_are_utc_days():
    found = read_period(WEEK, calendar("always"), "2024-06-07", "2024-06-09", None)
    assert found == Period(at("2024-06-07T00:00:00"), at("2024-06-10T00:00:00"))
    assert read_period(WEEK, calendar("always"), None, None, 4).begins_ns == at("2024-06-07T00:00:00")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"start": "2024-06-31"}, ConfigError, "start: '2024-06-31' is not a day"),
        ({"end": "tomorrow"}, ConfigError, "end: 'tomorrow' is not a day"),
        ({"end": 20240607}, ConfigError, "end: 20240607 is not a day"),
        ({"start": datetime(2024, 6, 7, 14, 30)}, ConfigError, "is not a day; write it as 2024-01-31"),
        ({"days": "3"}, ConfigError, "days: '3' is no number of days"),
        ({"days": 2.5}, ConfigError, "days: 2.5 is no number of days"),
        ({"start": "2024-06-10", "end": "2024-06-07"}, ConfigError, "is after the last"),
        ({"start": "2024-06-07", "days": 1}, ConfigError, "both given"),
        ({"days": 0}, ConfigError, "give 1 or more"),
        ({"start": "2024-06-11"}, DataError, "there are records from 2024-06-06 to 2024-06-10"),
        ({"start": "2025-06-11", "end": "2025-06-12"}, DataError, "there are records from 2024-06-06 to 2024-06-10"),
        ({"end": "2024-06-05"}, DataError, "there are no records on these days"),
    ],
)
def test_periods_that_make_no_sense(asked, error, said):
    nothing = {"start": None, "end": None, "days": None}
    with pytest.raises((ConfigError, DataError), match=said):
        read_period(WEEK, calendar("us_equities"), **nothing | asked)
    with pytest.raises(DataError, match="there are no records"):
        read_period(records(), calendar("us_equities"), None, None, 1)


@pytest.mark.parametrize("asked", [{"start": "2024-06-07"}, {"end": "2024-06-12"}, {"days": 2}])
def test_records_between_two_sessions_are_on_no_day(asked):
    """After Friday's close and before Monday's opening: the first would be of Monday, and the last of Friday."""
    weekend = records("2024-06-08T14:00:00", "2024-06-09T14:00:00")
    nothing = {"start": None, "end": None, "days": None}
    with pytest.raises(DataError, match="test: no record is in a session of us_equities; name the calendar of the"):
        read_period(weekend, calendar("us_equities"), **nothing | asked)


def test_records_are_cut_at_the_moment_itself():
    second = int(WEEK.block.ts_ns[1])
    assert len(until(WEEK, second).block) == 1
    assert len(until(WEEK, second + 1).block) == 2
    assert len(since(WEEK, second).block) == 3
    assert len(since(WEEK, second + 1).block) == 2
    assert since(WEEK, None) is until(WEEK, None) is WEEK
    assert until(WEEK, second).sha256 == WEEK.sha256


def test_a_bar_belongs_to_the_day_in_which_it_begins():
    """The bar that ends at midnight was traded before it."""
    ends = np.array([at("2024-06-07T00:00:00"), at("2024-06-07T00:01:00")], np.int64)
    same = np.full(2, 100)
    block = TickBlock(ends, same, same, open_ticks=same, high_ticks=same, low_ticks=same, start_ns=ends - 60 * 10**9)
    file = TickFile(block, [Instrument("X")], "test")
    assert since(file, at("2024-06-07T00:00:00")).block.ts_ns.tolist() == [ends[1]]
    assert until(file, at("2024-06-07T00:00:00")).block.ts_ns.tolist() == [ends[0]]


class Ride(Strategy):
    """In with a move of half a minute."""

    long = change(seconds(30)) > pct("0.0005")
    warm_up = seconds(30)
    exits = (Stop(pct("0.03")), Target(pct("0.03")))


@pytest.fixture(scope="module")
def over_midnight() -> dict[str, np.ndarray]:
    """A market that trades through a midnight of UTC."""
    made = generate(60_000)._asdict()
    midnight = (int(made["ts_ns"][0]) // DAY_NS + 1) * DAY_NS
    return made | {"ts_ns": made["ts_ns"] - made["ts_ns"][30_000] + midnight}


def test_nothing_is_opened_before_the_first_day_and_windows_are_full_on_it(over_midnight):
    midnight = int(over_midnight["ts_ns"][30_000])
    whole = engine.backtest(over_midnight, Ride)
    later = engine.backtest(over_midnight, Ride, start="2024-01-03")
    cold = engine.backtest({name: of[30_000:] for name, of in over_midnight.items() if of is not None}, Ride)
    assert midnight == day_number(datetime(2024, 1, 3).date()) * DAY_NS
    assert min(trade.entry_ts_ns for trade in whole.trades) < midnight
    first = min(trade.entry_ts_ns for trade in later.trades)
    assert midnight <= first < min(trade.entry_ts_ns for trade in cold.trades)
    assert first < midnight + 30 * 10**9  # a cold window is not full yet
    assert later.refusals == []


def test_figures_are_of_the_period_alone(over_midnight):
    later = engine.backtest(over_midnight, Ride, start="2024-01-03")
    metrics = later.metrics
    assert list(metrics["days"]) == ["2024-01-03"]
    assert (metrics["ticks"], metrics["warm_up_ticks"]) == (30_000, 30_000)
    assert later.to_json()["first_ts_ns"] == over_midnight["ts_ns"][30_000]
    assert metrics["buy_and_hold"][0]["entry_price"] * 100 == int(over_midnight["ask_ticks"][30_000])
    before = engine.backtest(over_midnight, Ride, end="2024-01-02")
    assert before.to_json()["last_ts_ns"] == over_midnight["ts_ns"][29_999]
    assert len({before.run_id, later.run_id, engine.backtest(over_midnight, Ride).run_id}) == 3


def test_a_strategy_that_is_flat_at_night_trades_the_same_days_in_the_same_way():
    """Of days that have nothing to do with each other, a period has those of the whole run."""
    made = generate(40_000)._asdict()
    begin = at("2024-06-06T13:30:00") - int(made["ts_ns"][0])
    days = [made["ts_ns"] + begin + shift * HOUR_NS for shift in (0, 24, 96)]
    ticks = {name: np.tile(of, 3) for name, of in made.items() if of is not None} | {"ts_ns": np.concatenate(days)}
    options = {"calendar": "us_equities", "cooldown_signals": 0}
    whole = engine.backtest(ticks, "momentum_burst", **options)
    friday = engine.backtest(ticks, "momentum_burst", start="2024-06-07", end="2024-06-07", **options)
    inside = [trade for trade in whole.trades if days[1][0] <= trade.entry_ts_ns <= days[1][-1]]
    assert len(inside) > 5
    assert friday.trades[:-1] == inside[:-1]  # the last one may end with the data here, and with the session there


def test_a_run_that_tells_how_far_it_is_decides_the_same(over_midnight, monkeypatch):
    monkeypatch.setattr("engine.backtesting.TOLD_RECORDS", 7_001)
    said = []
    told = engine.backtest(over_midnight, Ride, told=lambda *words: said.append(words))
    assert told.decision_hash == engine.backtest(over_midnight, Ride).decision_hash
    assert said[0] == ("trading", 7_001, 60_000)
    assert said[-1] == ("trading", 60_000, 60_000)
    assert len(said) == 9
