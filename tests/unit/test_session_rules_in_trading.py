"""Session rules at work: entries kept out of the midday, positions closed before the close, on every kind of day."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import engine
from engine.rules import Stop, pct, size

NEW_YORK = ZoneInfo("America/New_York")
SIGNAL = 7


class Signalled(engine.Strategy):
    """Long on every trade of size 7."""

    long = size == SIGNAL
    exits = Stop(pct(50))


def ns(day: date, clock: str) -> int:
    """A New York time of a day in UTC nanoseconds, by the zone file and not by the engine's own rule."""
    hour, minute, second = (int(part) for part in (clock + ":0")[: len("00:00:00")].split(":")[:3])
    return int(datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=NEW_YORK).timestamp()) * 10**9


def run(day: date, rows: list[tuple[str, int]], **rules: str) -> list[tuple[str, str, str]]:
    """Backtest trades at these New York times; every trade made, as (entry, exit, reason) in New York time."""
    ts_ns = np.array([ns(day, clock) for clock, _ in rows], np.int64)
    block = {"ts_ns": ts_ns, "price_ticks": np.full(len(rows), 10_000), "size_lots": np.array([s for _, s in rows])}
    result = engine.backtest(block, Signalled, fills="last", calendar="us_equities", session_rules=rules)

    def clock(ts: int) -> str:
        return datetime.fromtimestamp(ts // 10**9, NEW_YORK).strftime("%H:%M:%S")

    return [(clock(trade.entry_ts_ns), clock(trade.exit_ts_ns), str(trade.reason)) for trade in result.trades]


REGULAR = date(2024, 7, 10)
DAYS = [REGULAR, date(2024, 3, 11), date(2024, 11, 4), date(2013, 10, 8)]
"""A summer's day, the first days after both changes of the clock, and one of the recorded week."""


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_no_entries_at_midday_and_flat_before_the_close(day):
    rows = [("12:00:00", SIGNAL), ("13:59:59", 1), ("14:00:00", SIGNAL), ("15:44:59", 1), ("15:45:01", SIGNAL)]
    trades = run(day, rows, avoid="12:00-14:00", flatten_before_close="15m")
    assert trades == [("14:00:00", "15:45:00", "EOD")]


def test_a_signal_that_holds_when_entries_resume_begins_there():
    rows = [("11:59:00", 1), ("12:00:00", SIGNAL), ("13:59:59", SIGNAL), ("14:00:30", SIGNAL), ("15:59:59", 1)]
    assert run(REGULAR, rows, avoid="midday") == [("14:00:30", "15:59:59", "END")]


def test_a_position_stays_through_the_midday():
    rows = [("11:59:59", SIGNAL), ("12:30:00", 1), ("15:00:00", 1), ("16:00:01", 1)]
    assert run(REGULAR, rows, avoid="12:00-14:00") == [("11:59:59", "16:00:00", "SESSION")]


def test_a_half_day_is_flattened_before_its_own_close():
    rows = [("10:00:00", SIGNAL), ("12:44:00", 1), ("12:46:00", SIGNAL), ("12:59:00", 1)]
    assert run(date(2015, 12, 24), rows, flatten_before_close="15m") == [("10:00:00", "12:45:00", "EOD")]


def test_entry_windows():
    rows = [("09:31:00", SIGNAL), ("09:50:00", 1), ("10:00:00", SIGNAL), ("11:30:00", 1), ("15:30:00", SIGNAL)]
    assert run(REGULAR, rows, entries="09:45-11:00") == [("10:00:00", "15:30:00", "END")]


def test_without_rules_nothing_changes():
    rows = [("12:00:00", SIGNAL), ("13:59:59", 1), ("15:59:00", 1)]
    assert run(REGULAR, rows) == [("12:00:00", "15:59:00", "END")]


def test_before_maintenance_on_globex():
    """Flat at 16:45 where the daily break begins at 17:00; entries resume with the next session, in the evening."""
    day = date(2024, 7, 10)
    ts_ns = [ns(day, clock) for clock in ("14:00:00", "16:44:59", "16:50:00", "18:00:05", "18:30:00")]
    sizes = [SIGNAL, 1, SIGNAL, SIGNAL, 1]
    block = {"ts_ns": np.array(ts_ns), "price_ticks": np.full(5, 10_000), "size_lots": np.array(sizes)}
    rules = {"flatten_at": "16:45"}
    result = engine.backtest(block, Signalled, fills="last", calendar="globex", session_rules=rules)
    found = [(trade.entry_ts_ns, trade.exit_ts_ns, str(trade.reason)) for trade in result.trades]
    assert found == [(ts_ns[0], ns(day, "16:45:00"), "EOD"), (ts_ns[3], ts_ns[4], "END")]
    assert result.passport["session_rules"] == rules


def test_a_rule_that_cannot_be_read_is_one_line():
    with pytest.raises(engine.errors.UserError, match="avoid"):
        run(REGULAR, [("12:00:00", SIGNAL)], avoid="noon")
