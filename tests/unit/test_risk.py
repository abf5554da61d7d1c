"""The gate: who may pass, why not, and at exactly which loss the day is over."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.events import Refusal
from engine.model import Instrument, Reason, Side
from engine.orders import Order, OrderState
from engine.portfolio import Portfolio
from engine.risk import Approved, RiskGate, RiskLimits

ONE = Instrument("ONE", 2, 0)


def gate(cash: Fraction = Fraction(10_000), limit: Fraction = Fraction(1, 20)) -> tuple[RiskGate, Portfolio]:
    portfolio = Portfolio([ONE, ONE], cash)
    return RiskGate(RiskLimits(limit), portfolio), portfolio


def order(instrument: int = 0, reason: Reason | None = None) -> Order:
    return Order(1, 0, instrument, Side.LONG, 5, 77, reason)


@pytest.mark.parametrize("cash", [Fraction(10_000), Fraction(1, 3), Fraction("0.000000000001")])
@pytest.mark.parametrize("limit", [Fraction(1, 20), Fraction(1, 3), Fraction(0), Fraction(1)])
def test_the_floor_is_exact_to_the_unit(cash, limit):
    risk, portfolio = gate(cash, limit)
    exact = portfolio.starting * (1 - limit)
    assert risk.floor <= exact < risk.floor + 1
    assert not risk.floor_reached(risk.floor + 1)
    assert risk.floor_reached(risk.floor)
    assert risk.floor_reached(risk.floor - 1)


def test_a_new_day_measures_from_its_own_start():
    risk, portfolio = gate()
    risk.day_halted = True
    assert risk.refusal(0) is Refusal.DAILY_LOSS
    risk.start_day(portfolio.starting // 2)
    assert risk.refusal(0) is None
    assert risk.floor == portfolio.starting // 2 * 19 // 20


def test_an_open_position_is_refused_first_and_only_on_its_own_symbol():
    risk, portfolio = gate()
    portfolio.open(0, 1, Side.LONG, 1, 0, 100, 100, 0, 0)
    risk.paused = risk.day_halted = True
    risk.feed_refusal = Refusal.FEED_STALE
    assert risk.approve_entry(order(1)) is Refusal.POSITION_OPEN
    assert risk.approve_entry(order(0)) is Refusal.DAILY_LOSS
    risk.day_halted = False
    assert risk.approve_entry(order(0)) is Refusal.PAUSED
    risk.paused = False
    assert risk.approve_entry(order(0)) is Refusal.FEED_STALE
    risk.feed_refusal = None
    assert risk.approve_entry(order(0)) == Approved(order(0))


def test_an_entry_on_its_way_counts_as_a_position():
    risk, _ = gate()
    risk.entering.add(0)
    assert (risk.refusal(0), risk.refusal(1)) == (Refusal.POSITION_OPEN, None)


def test_an_exit_passes_whatever_is_refused():
    risk, _ = gate()
    risk.paused = risk.day_halted = True
    risk.feed_refusal = Refusal.DATA_OLD
    assert risk.approve_exit(order(0, Reason.STOP)).order.reason is Reason.STOP


def test_orders_move_only_forward():
    it = order()
    with pytest.raises(AssertionError, match="cannot go from approved to filled"):
        it.become(OrderState.FILLED)
    it.become(OrderState.SUBMITTED)
    it.become(OrderState.FILLED)
    with pytest.raises(AssertionError, match="cannot go from filled to cancelled"):
        it.become(OrderState.CANCELLED)
