"""Positions held while the market is closed: over a night, a weekend and a half day of the New York exchange."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.account.limits import RiskLimits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.paper import PaperBroker, VenueModel
from engine.errors import UserError
from engine.events import Command, CommandName, DayStarted, End, OrderRests, TimePassed
from engine.journal.writer import MemoryJournal
from engine.language.exits import Stop, Target, TimeStop, Trailing, When
from engine.language.hedge import Hedge
from engine.latency import Constant
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import hours, pct, price, size
from engine.sessions.rules import SessionRules
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Kernel
from engine.trading.lanes import Assignment

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000


def at(text: str) -> int:
    """``"2024-11-29 10:00"`` in New York as nanoseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND


class Holder(Strategy):
    """Enters what it is told to, and holds it overnight."""

    long = size < 0
    holds_overnight = True
    exits = (Stop(pct(2)), Target(pct(4)), TimeStop(hours(120)))
    wish: Signal | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        return wish


class Day(Holder):
    holds_overnight = False


class Rig:
    """A kernel on the New York exchange's days, fed trade by trade or bar by bar."""

    def __init__(self, strategy: Strategy, rules: SessionRules | None = None, symbols: str = "A", **venue: Any) -> None:
        self.strategy, self.journal = strategy, MemoryJournal()
        instruments = [Instrument(name, 2, 0) for name in symbols]
        portfolio = Portfolio(instruments, Fraction(100_000))
        self.kernel = Kernel(
            instruments,
            [Assignment(strategy, [0], Fraction(10))],
            calendar=calendar("us_equities"),
            rules=rules,
            portfolio=portfolio,
            risk=RiskGate(RiskLimits(daily_loss_limit=Fraction(1, 100)), portfolio),
            broker=PaperBroker(VenueModel(**venue), portfolio),
            journal=self.journal,
        )

    def trade(self, when: str, at_price: float, instrument: int = 0) -> None:
        columns = (at(when), round(100 * at_price), 1)
        place = np.array([instrument], np.uint16)
        self.kernel.process(TickBlock(*(np.array([one], np.int64) for one in columns), instrument=place))

    def bars(self, rows: Sequence[tuple[str, float, float, float, float]]) -> None:
        """Bars of a minute that begin at these times, all in one block."""
        starts = np.array([at(row[0]) for row in rows], np.int64)
        opened, high, low, close = (np.array([round(100 * row[n]) for row in rows], np.int64) for n in range(1, 5))
        volume = np.full(len(rows), 10, np.int64)
        more = {"open_ticks": opened, "high_ticks": high, "low_ticks": low, "start_ns": starts}
        self.kernel.process(TickBlock(starts + 60 * SECOND, close, volume, **more))

    def enter(self, when: str, at_price: float = 100, side: Side = Side.LONG) -> None:
        self.strategy.wish = Signal(side, 0)
        self.trade(when, at_price)

    @property
    def ended(self) -> list[tuple[str, str, float]]:
        """Reason, New York time and price of every exit."""
        found = []
        for trade in self.kernel.trades:
            moment = datetime.fromtimestamp(trade.exit_ts_ns / SECOND, UTC).astimezone(NEW_YORK)
            found.append((str(trade.reason), f"{moment:%m-%d %H:%M}", float(trade.exit_price)))
        return found


def held(strategy: Strategy | None = None, when: str = "2024-11-27 15:00", **options: Any) -> Rig:
    """In a position since the Wednesday before Thanksgiving 2024; Friday is a half day, then comes a weekend."""
    rig = Rig(strategy or Holder(), **options)
    rig.trade("2024-11-27 14:59", 100)
    rig.enter(when)
    rig.kernel.process(TimePassed(at(when) + SECOND))  # an order that is late has arrived by then
    assert rig.kernel.portfolio.positions
    return rig


# ---------------------------------------------------------------- held, and not


def test_by_default_a_position_ends_with_its_session():
    rig = held(Day())
    rig.trade("2024-11-29 09:31", 101)
    assert rig.ended == [("SESSION", "11-27 16:00", 100)]


def test_over_a_holiday_a_half_day_and_a_weekend():
    rig = held()
    for when, price_then in [("2024-11-29 10:00", 101), ("2024-11-29 12:59", 102), ("2024-12-02 09:31", 103)]:
        rig.trade(when, price_then)
        assert rig.ended == []
    rig.trade("2024-12-02 10:00", 104)
    assert rig.ended == [("TP", "12-02 10:00", 104)]


def test_what_trades_outside_the_session_closes_nothing():
    rig = held()
    rig.trade("2024-11-27 17:00", 50)
    rig.trade("2024-11-29 08:00", 150)
    rig.trade("2024-11-29 14:00", 60)  # the half day ended at 13:00
    assert rig.ended == []
    rig.trade("2024-12-02 09:30", 99)
    assert rig.ended == []


@pytest.mark.parametrize("side", list(Side))
def test_a_gap_through_the_stop_is_filled_at_the_opening_price(side):
    rig = Rig(Holder())
    rig.trade("2024-11-27 14:59", 100)
    rig.enter("2024-11-27 15:00", side=side)
    rig.trade("2024-11-29 09:30", 100 - 7 * side)
    assert rig.ended == [("SL", "11-29 09:30", 100 - 7 * side)]


def test_on_bars_too():
    class Bought(Strategy):
        long = price == 100
        holds_overnight = True
        exits = Stop(pct(2))

    rig = Rig(Bought())
    day = [(f"2024-11-27 15:{n}", 100, 100, 100, 100) for n in (10, 11, 12)]
    night = [("2024-11-27 18:00", 60, 60, 60, 60), ("2024-11-29 09:29", 70, 70, 70, 70)]
    rig.bars([*day, *night, ("2024-11-29 09:30", 95, 99, 94, 98), ("2024-11-29 09:31", 99, 99, 99, 99)])
    assert rig.ended == [("SL", "11-29 09:31", 95)]  # at the opening of the bar, told at its end


def test_a_moving_stop_stands_where_it_stood():
    class Follows(Holder):
        exits = Trailing(pct(2))

    rig = held(Follows())
    rig.trade("2024-11-27 15:30", 110)  # the stop is at 107.80
    rig.trade("2024-11-27 19:00", 200)  # nobody's best price
    rig.trade("2024-11-29 09:30", 108)
    assert rig.ended == []
    rig.trade("2024-11-29 09:31", 107.8)
    assert rig.ended == [("TRAIL", "11-29 09:31", 107.8)]


# ---------------------------------------------------------------- what falls due while the market is closed


def test_a_time_stop_that_runs_out_at_night_leaves_with_the_first_trade():
    class Short(Holder):
        exits = TimeStop(hours(5))

    rig = held(Short())
    rig.trade("2024-11-27 20:30", 70)
    rig.kernel.process(TimePassed(at("2024-11-29 09:30")))
    rig.kernel.process(TimePassed(at("2024-11-29 09:31")))
    assert rig.ended == []
    rig.trade("2024-11-29 09:33", 97)
    assert rig.ended == [("TIME", "11-29 09:33", 97)]
    (rests,) = [one for one in rig.journal.decisions if isinstance(one, OrderRests)]
    assert (rests.kind, rests.price_ticks, rests.ts_ns) == ("opening", 0, at("2024-11-29 09:30"))


def test_one_that_runs_out_between_the_opening_and_the_first_trade_too():
    class Longer(Holder):
        exits = TimeStop(hours(115))  # until Monday, 10:00

    rig = held(Longer())
    rig.trade("2024-11-29 10:00", 101)
    rig.kernel.process(TimePassed(at("2024-12-02 10:30")))
    assert rig.ended == []
    rig.trade("2024-12-02 10:40", 96)
    assert rig.ended == [("TIME", "12-02 10:40", 96)]


def test_after_the_first_trade_a_time_stop_needs_none():
    class Longer(Holder):
        exits = TimeStop(hours(115))

    rig = held(Longer())
    rig.trade("2024-12-02 09:40", 96)
    rig.kernel.process(TimePassed(at("2024-12-02 10:30")))
    assert rig.ended == [("TIME", "12-02 10:00", 96)]


@pytest.mark.parametrize("latency", [0, 250_000_000])
def test_an_operators_flatten_at_night_is_for_the_opening(latency):
    rig = held(latency_order=Constant(latency))
    rig.kernel.process(TimePassed(at("2024-11-28 12:00")))
    rig.kernel.process(Command(CommandName.FLATTEN, at("2024-11-28 12:00")))
    rig.trade("2024-11-28 13:00", 80)
    assert rig.ended == []
    rig.trade("2024-11-29 09:32", 99)
    assert rig.ended == [("MANUAL", "11-29 09:32", 99)]


def test_the_days_loss_is_noticed_at_night_and_left_at_the_opening():
    rig = held()
    rig.trade("2024-11-27 18:00", 1)  # 990 of 100,000 lost: nearly a hundredth
    assert not rig.kernel.risk.day_halted
    poor = held(Holder(), fee=Fee(per_unit=Fraction(2)))
    poor.trade("2024-11-27 18:00", 1)  # and 20 of costs: more
    assert poor.kernel.risk.day_halted
    assert poor.ended == []
    poor.trade("2024-11-29 09:31", 100)
    assert poor.ended == [("RISK", "11-29 09:31", 100)]


def test_the_end_of_the_data_needs_no_opening():
    rig = held()
    rig.kernel.process(TimePassed(at("2024-11-28 12:00")))
    rig.kernel.process(End())
    assert rig.ended == [("END", "11-28 12:00", 100)]


# ---------------------------------------------------------------- around it


def test_a_rule_of_the_session_closes_all_the_same():
    rig = held(rules=SessionRules.read({"flatten_before_close": "15m"}))
    rig.trade("2024-11-29 09:31", 101)
    assert rig.ended == [("EOD", "11-27 15:45", 100)]


def test_a_condition_closes_in_the_next_session():
    class Until(Holder):
        exits = When(price >= 105)

    rig = held(Until())
    rig.trade("2024-11-27 18:00", 106)
    rig.trade("2024-11-29 09:30", 104)
    assert rig.ended == []
    rig.trade("2024-11-29 09:31", 105)
    assert rig.ended == [("WHEN", "11-29 09:31", 105)]


def test_a_new_day_begins_with_the_equity_of_the_night():
    rig = held()
    rig.trade("2024-11-27 18:00", 99)
    rig.trade("2024-11-29 09:31", 99)
    days = [one for one in rig.journal.decisions if isinstance(one, DayStarted)]
    scale = 10**rig.kernel.portfolio.scale
    assert [Fraction(one.equity, scale) for one in days] == [100_000, 99_990]


def test_an_entry_that_waits_is_called_back_at_the_close():
    rig = Rig(Holder())
    rig.trade("2024-11-27 14:59", 100)
    rig.strategy.wish = Signal(Side.LONG, 9_000, order=OrderType.LIMIT)
    rig.trade("2024-11-27 15:00", 100)
    rig.trade("2024-11-29 09:31", 90)
    assert not rig.kernel.portfolio.positions
    assert rig.kernel.lanes[0].is_free


def test_both_legs_of_a_pair_sleep_and_are_left_with_their_own_first_trades():
    class Couple(Holder):
        hedge = Hedge("B")
        exits = (Stop(pct(2)),)

    rig = Rig(Couple(), symbols="AB")
    rig.trade("2024-11-27 14:58", 50, instrument=1)
    rig.enter("2024-11-27 15:00")
    assert len(rig.kernel.portfolio.positions) == 2
    rig.trade("2024-11-27 18:00", 50, instrument=0)
    rig.trade("2024-11-29 09:31", 97)  # beyond the stop; B has not traded yet
    assert rig.ended == [("SL", "11-29 09:31", 97)]
    rig.trade("2024-11-29 09:35", 45, instrument=1)
    assert rig.ended == [("SL", "11-29 09:31", 97), ("LEG", "11-29 09:35", 45)]


def test_what_cannot_be_declared():
    with pytest.raises(UserError, match="holds_overnight: 1 says neither yes nor no"):
        type("Mine", (Strategy,), {"long": size > 0, "holds_overnight": 1})

    class Rests(Holder):
        exits = Target(pct(1), resting=True)

    with pytest.raises(UserError, match="a target that rests at the venue is not held overnight"):
        Rig(Rests())


@pytest.mark.parametrize("pieces", [1, 2, 3, 7])
def test_any_cut_gives_the_same_decisions(pieces):
    """One block or many: nights fall on the same records."""
    moments = ["11-27 14:59", "11-27 15:00", "11-27 15:30", "11-27 18:00", "11-29 09:31", "11-29 12:59", "12-02 09:30"]
    times = np.array([at(f"2024-{one}") for one in moments], np.int64)
    prices = np.array([100, 100, 103, 90, 101, 99, 95], np.int64) * 100

    class Buys(Strategy):
        long = price == 100
        holds_overnight = True
        exits = (Stop(pct(2)), TimeStop(hours(120)))

    rig = Rig(Buys())
    for part in np.array_split(np.arange(len(times)), pieces):
        rig.kernel.process(TickBlock(times[part], prices[part], np.full(len(part), 5, np.int64)))
    assert rig.ended == [("SL", "12-02 09:30", 95)]
