"""Two legs, one trade: entered together or not at all, left together, and told as one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from engine.account.limits import RiskLimits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.paper import PaperBroker, VenueModel
from engine.errors import UserError
from engine.events import Command, CommandName, End, OrderSubmitted, SignalRefused, SignalSkipped, TimePassed
from engine.journal.writer import MemoryJournal
from engine.language.exits import Stop, Target, TimeStop, When
from engine.language.hedge import Hedge
from engine.latency import Constant
from engine.model import Instrument, OrderType, Reason, Side, Signal, TickBlock
from engine.rules import Param, of, pct, price, seconds, size, symbol
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Kernel
from engine.trading.lanes import Assignment

SECOND = 1_000_000_000
A, B = Instrument("A", 2, 0), Instrument("B", 2, 1)
FREE = RiskLimits(daily_loss_limit=None)


class Told(Strategy):
    """Enters what it is told to on the next trade of A."""

    long = size < 0
    hedge = Hedge("B")
    exits = (When(price >= 130), When(price <= 70, as_stop=True))
    wish: Signal | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        return wish


class Halved(Told):
    """Half as much money in the other leg, by what the market says."""

    hedge = Hedge("B", ratio=price / of("B", price))


class Cooled(Told):
    cooldown_signals = Param(1, "signals skipped after a losing trade", low=0)


class Rig:
    """A kernel over two instruments, fed trade by trade."""

    def __init__(self, strategy: Strategy, limits: RiskLimits = FREE, lots: int = 10, **venue: Any) -> None:
        self.strategy, self.journal, self.now = strategy, MemoryJournal(), 1_700_000_000 * SECOND
        portfolio = Portfolio([A, B], Fraction(100_000))
        self.kernel = Kernel(
            [A, B],
            [Assignment(strategy, [0], Fraction(lots))],
            calendar=calendar("always"),
            portfolio=portfolio,
            risk=RiskGate(limits, portfolio),
            broker=PaperBroker(VenueModel(**venue), portfolio),
            journal=self.journal,
        )

    def trade(self, instrument: int, at: int, bid: int = 0, ask: int = 0) -> None:
        self.now += SECOND
        column = lambda value: np.array([value], np.int64)  # noqa: E731
        self.kernel.process(
            TickBlock(
                column(self.now),
                column(100 * at),
                column(1),
                bid_ticks=column(100 * bid),
                ask_ticks=column(100 * ask),
                instrument=np.array([instrument], np.uint16),
            )
        )

    def enter(self, side: Side = Side.LONG, at: int = 100, **signal: Any) -> None:
        self.strategy.wish = Signal(side, 0, **signal)
        self.trade(0, at)

    def command(self, name: CommandName) -> None:
        self.kernel.process(Command(name, self.now))

    @property
    def open(self) -> dict[str, int]:
        """Signed lots by symbol."""
        held = self.kernel.portfolio.positions.values()
        return {"AB"[one.instrument]: one.side * one.lots for one in held}

    @property
    def reasons(self) -> dict[str, str]:
        return {trade.symbol: str(trade.reason) for trade in self.kernel.trades}

    @property
    def refused(self) -> list[str]:
        return [str(one.reason) for one in self.journal.decisions if isinstance(one, SignalRefused)]


def opened(strategy: Strategy | None = None, side: Side = Side.LONG, **options: Any) -> Rig:
    rig = Rig(strategy or Told(), **options)
    rig.trade(1, 50)
    rig.enter(side)
    return rig


# ---------------------------------------------------------------- entered together


@pytest.mark.parametrize("side", list(Side))
def test_equal_money(side):
    rig = opened(side=side)
    assert rig.open == {"A": 10 * side, "B": -200 * side}  # 10 at 100, and 20.0 at 50


def test_a_measured_ratio():
    rig = opened(Halved(), lots=1)
    assert rig.open == {"A": 1, "B": -40}  # 100 / 50 = 2 times 100 are 4.0 at 50


def test_a_ratio_that_is_a_parameter():
    class Light(Told):
        share = Param("0.25", "money in the other leg for each unit in this one")
        hedge = Hedge("B", ratio=share)

    assert opened(Light(share="0.5")).open == {"A": 10, "B": -100}


def test_the_nearest_whole_lots():
    rig = Rig(Told(), lots=1)
    rig.trade(1, 600)  # 100 / 600 is 1.67 tenths
    rig.enter()
    assert rig.open == {"A": 1, "B": -2}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"limits": RiskLimits(daily_loss_limit=None, max_position_units=Fraction(15))}, "POSITION_UNITS"),
        ({"limits": RiskLimits(daily_loss_limit=None, max_open_orders=1)}, "OPEN_ORDERS"),
        ({"limits": RiskLimits(daily_loss_limit=None, max_orders_per_second=1)}, "ORDER_RATE"),
        ({"limits": RiskLimits(daily_loss_limit=None, max_trades_per_day=1)}, "TRADES_PER_DAY"),
        ({"limits": RiskLimits(daily_loss_limit=None, max_leverage=Fraction(15, 1000))}, "LEVERAGE"),
        ({"limits": RiskLimits(daily_loss_limit=None, min_reward_risk=Fraction(1))}, "REWARD_RISK"),
        ({"shorting": False}, "NO_SHORTING"),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_what_refuses_one_leg_refuses_both(options, why, side):
    rig = opened(side=side, **options)
    assert (rig.open, rig.refused) == ({}, [why])
    ledger = rig.kernel.risk.ledger
    assert not ledger.working and not ledger.left and not ledger.sent_within_second(rig.now)  # noqa: PT018
    assert not any(isinstance(one, OrderSubmitted) for one in rig.journal.decisions)
    assert rig.kernel.lanes[0].is_free


def test_one_limit_above_it_is_let_through():
    assert opened(limits=RiskLimits(daily_loss_limit=None, max_leverage=Fraction(2, 100))).open
    assert opened(limits=RiskLimits(daily_loss_limit=None, max_open_orders=2)).open


def test_a_supposed_order_leaves_no_trace_among_duplicates():
    rig = Rig(Told(), RiskLimits(daily_loss_limit=None, duplicate_window=60 * SECOND, max_position_units=Fraction(15)))
    rig.trade(1, 50)
    rig.enter()
    rig.trade(1, 100)
    rig.enter()  # the other leg is small enough now, and the first attempt does not count
    assert (rig.refused, rig.open) == (["POSITION_UNITS"], {"A": 10, "B": -100})


def test_no_price_of_the_other_leg():
    rig = Rig(Told())
    rig.enter()
    assert (rig.refused, rig.open) == (["NO_QUOTE"], {})
    touching = Rig(Told(), fills="touch")
    touching.trade(1, 50)
    touching.strategy.wish = Signal(Side.LONG, 0)
    touching.trade(0, 100, bid=99, ask=101)  # of B there is a trade, and no quote
    assert (touching.refused, touching.open) == (["NO_QUOTE"], {})


def test_a_ratio_that_is_undefined_or_too_small():
    rig = Rig(Halved())
    rig.trade(1, 50)
    rig.kernel.core.restart_windows(1)
    tiny = Rig(Told(), lots=1)
    tiny.trade(1, 9_000)
    tiny.enter()
    assert (tiny.refused, tiny.open) == (["NO_SIZE"], {})


def test_a_signal_that_waits_is_refused():
    rig = Rig(Told())
    rig.trade(1, 50)
    rig.strategy.wish = Signal(Side.LONG, 9_900, order=OrderType.LIMIT)
    rig.trade(0, 100)
    assert (rig.refused, rig.open) == (["NO_ENTRY"], {})


# ---------------------------------------------------------------- left together


@pytest.mark.parametrize(("at", "why"), [(130, "WHEN"), (70, "SL")])
def test_the_leading_leg_says_why(at, why):
    rig = opened()
    rig.trade(1, 55)
    rig.trade(0, at)
    assert (rig.open, rig.reasons) == ({}, {"A": why, "B": "LEG"})
    leading, following = rig.kernel.trades
    assert leading.exit_ts_ns == following.exit_ts_ns
    assert (leading.net, following.net) == (10 * (at - 100), -100)
    assert leading.pair == following.pair == 1


def test_the_accounts_stop_of_the_other_leg_closes_both():
    rig = opened(limits=RiskLimits(daily_loss_limit=None, position_stop=Fraction(1, 10)))
    rig.trade(1, 55)
    assert (rig.open, rig.reasons) == ({}, {"B": "RISK_SL", "A": "LEG"})


def test_a_time_stop():
    class Short(Told):
        exits = TimeStop(seconds(5))

    rig = opened(Short())
    rig.kernel.process(TimePassed(rig.now + 6 * SECOND))
    assert rig.reasons == {"A": "TIME", "B": "LEG"}


@pytest.mark.parametrize("name", [CommandName.FLATTEN, CommandName.HALT])
def test_an_operator_closes_both(name):
    rig = opened()
    rig.command(name)
    assert (rig.open, rig.reasons) == ({}, {"A": "MANUAL", "B": "MANUAL"})


def test_the_end_of_the_data_closes_both():
    rig = opened()
    rig.kernel.process(End())
    assert rig.reasons == {"A": "END", "B": "END"}


def test_it_looks_again_once_both_are_flat():
    rig = opened()
    rig.trade(0, 130)
    rig.enter(Side.SHORT)
    assert rig.open == {"A": -10, "B": 200}
    assert [trade.pair for trade in rig.kernel.trades] == [1, 1]
    rig.trade(0, 60)
    assert [trade.pair for trade in rig.kernel.trades] == [1, 1, 5, 5]


# ---------------------------------------------------------------- on the way


def test_a_leg_whose_fill_cannot_be_had_closes_the_other():
    """A's order arrives before B's; what B's would be filled at is gone, because a pause calls it back."""
    rig = opened(latency_order=Constant(SECOND // 2))
    assert rig.open == {}
    rig.kernel.process(TimePassed(rig.now + SECOND // 4))
    rig.command(CommandName.PAUSE)
    rig.kernel.process(TimePassed(rig.now + 2 * SECOND))
    assert (rig.open, rig.kernel.trades) == ({}, [])
    assert rig.kernel.lanes[0].is_free


def test_the_second_leg_arrives_later():
    rig = opened(latency_order=Constant(SECOND // 2))
    rig.kernel.process(TimePassed(rig.now + SECOND // 2))
    assert rig.open == {"A": 10, "B": -200}
    rig.command(CommandName.FLATTEN)
    rig.kernel.process(TimePassed(rig.now + SECOND))
    assert rig.reasons == {"A": "MANUAL", "B": "MANUAL"}


# ---------------------------------------------------------------- one result


def test_the_cooldown_looks_at_the_pair():
    rig = opened(Cooled())
    rig.trade(1, 60)  # B loses 200
    rig.trade(0, 130)  # A wins 300
    assert [trade.net > 0 for trade in rig.kernel.trades] == [True, False]
    rig.enter()
    assert rig.open, "together they have won"
    rig.trade(1, 61)
    rig.trade(0, 65)
    rig.enter()
    assert not rig.open, "together they have lost"
    assert sum(isinstance(one, SignalSkipped) for one in rig.journal.decisions) == 1


def test_losses_in_a_row_are_counted_by_pairs():
    rig = opened()
    rig.trade(1, 60)
    rig.trade(0, 130)
    assert rig.kernel.risk.ledger.losses_in_row == 0
    rig.enter()
    rig.trade(1, 61)
    rig.trade(0, 65)
    assert rig.kernel.risk.ledger.losses_in_row == 1


def test_stops_in_a_row_are_counted_by_pairs():
    rig = opened()
    rig.trade(0, 65)  # A's stop; B is left after it, with LEG
    assert rig.kernel.risk.ledger.stops_in_row == 1
    rig.trade(0, 100)
    rig.enter()
    rig.trade(0, 130)
    assert rig.kernel.risk.ledger.stops_in_row == 0


# ---------------------------------------------------------------- declarations


def made(**body: Any) -> Strategy:
    return type("Mine", (Strategy,), {"long": size > 0, **body})()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"hedge": "B"}, r"Mine.hedge: 'B' is no hedge; write hedge = Hedge"),
        ({"hedge": Hedge("C")}, r"Mine.hedge: there is no symbol 'C'"),
        ({"hedge": Hedge("A")}, r"Mine.hedge: A cannot hedge itself"),
        ({"hedge": Hedge("B", ratio=0)}, r"Mine.hedge: a ratio of 0 is no positive number"),
        ({"hedge": Hedge("B", ratio=seconds(1))}, r"Mine.hedge: a ratio of 1s is no positive number"),
        ({"hedge": Hedge("B"), "exits": Target(pct(1), resting=True)}, r"Mine.hedge: targets that rest"),
        ({"hedge": Hedge("B"), "exits": Target(pct(1), share=pct(50))}, r"Mine.hedge: targets that rest"),
    ],
)
def test_what_does_not_go_together(body, says):
    with pytest.raises(UserError, match=says):
        Rig(made(**body))


def test_an_entry_that_waits_does_not_go_with_a_hedge():
    from engine.language.entries import Limit

    with pytest.raises(UserError, match=r"Mine.hedge: an entry that waits would leave the other leg alone"):
        Rig(made(hedge=Hedge("B"), entry=Limit(pct(1))))


@pytest.mark.parametrize("other", [5, "", seconds(5), Param(3)])
def test_another_leg_that_is_no_symbol(other):
    with pytest.raises(UserError, match=r"hedge: .*is no symbol"):
        Hedge(other)


def test_a_stop_on_the_leading_price_may_be_declared_too():
    class Stopped(Told):
        other = Param(symbol("B"), "the other leg")
        hedge = Hedge(other)
        exits = (Stop(pct(5)), Target(pct(5)))

    rig = opened(Stopped())
    rig.trade(0, 94)
    assert rig.reasons == {"A": str(Reason.STOP), "B": "LEG"}
