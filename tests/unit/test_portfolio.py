"""Money is exact: what a trade earned is what its prices say, less its costs, to the last unit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import Instrument, Reason, Side
from engine.portfolio import Portfolio, rounded

BTC = Instrument("BTC", price_precision=2, size_precision=8)
SPY = Instrument("SPY", price_precision=4, size_precision=0)


def test_units_are_fine_enough_for_every_instrument():
    portfolio = Portfolio([SPY, BTC, Instrument("DUST", 9, 8)], Fraction(1, 3))
    assert portfolio.scale == 18
    assert portfolio.units == [10**14, 10**8, 10]
    assert portfolio.starting == 333_333_333_333_333_333
    assert Portfolio([SPY], Fraction(100)).scale == 12
    assert portfolio.money(portfolio.starting) == Decimal("0.333333333333333333")


@pytest.mark.parametrize(("side", "gross"), [(Side.LONG, "1.23"), (Side.SHORT, "-1.23")])
def test_a_trade_without_costs(side, gross):
    portfolio = Portfolio([BTC], Fraction(10_000))
    portfolio.open(0, side, 150_000_000, 5, 6_000_000, 6_000_000, 0, 0)
    trade = portfolio.close(0, Reason.TARGET, 9, 6_000_082, 6_000_082, 0, 0)
    assert trade.gross == trade.net == Decimal(gross)
    assert (trade.entry_price, trade.exit_price, trade.qty) == (Decimal("60000"), Decimal("60000.82"), Decimal("1.5"))
    assert (trade.side, trade.symbol, trade.reason, trade.entry_ts_ns, trade.exit_ts_ns) == (
        side.word,
        "BTC",
        Reason.TARGET,
        5,
        9,
    )
    assert portfolio.realised == trade.net_units
    assert portfolio.positions == [None]


def test_costs_are_told_apart_and_add_up():
    """Bought at the ask, sold at the bid: half a spread each, measured from the mid."""
    portfolio = Portfolio([SPY], Fraction(10_000))
    position = portfolio.open(0, Side.LONG, 10, 1, 1_000_100, Fraction(2_000_101, 2), 7, 11)
    assert position.spread == 10 * 10**8 * 99 // 2
    trade = portfolio.close(0, Reason.STOP, 2, 999_000, Fraction(1_998_003, 2), 13, 17)
    assert trade.gross == Decimal("-1.049")
    assert trade.spread_cost == Decimal("0.051")
    assert (trade.slippage_units, trade.fee_units) == (20, 28)
    assert trade.net_units == trade.gross_units - trade.spread_units - 48
    assert (portfolio.gross, portfolio.spread) == (trade.gross_units, trade.spread_units)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Side)),
            st.integers(1, 2**40 - 1),
            st.integers(1, 2**40 - 1),
            st.integers(1, 2**40 - 1),
            st.fractions(0, 5, max_denominator=60),
            st.integers(0, 10**30),
        ),
        max_size=8,
    )
)
def test_results_add_up(trades):
    portfolio = Portfolio([BTC], Fraction(1))
    total = Fraction(0)
    for side, lots, entry, leave, half, cost in trades:
        portfolio.open(0, side, lots, 0, entry + side * half, entry, cost, 0)
        trade = portfolio.close(0, Reason.TIME, 1, leave - side * half, leave, 0, cost)
        exact = Fraction(side * (leave - entry) - 2 * half) * lots * portfolio.units[0] - 2 * cost
        assert abs(trade.net_units - exact) <= 1, "one rounding, half a unit, at each fill"
        if half.denominator == 1:
            assert trade.net_units == exact
        assert trade.net == portfolio.money(trade.net_units)
        assert trade.gross_units - trade.spread_units - trade.slippage_units - trade.fee_units == trade.net_units
        total += trade.net_units
    assert portfolio.realised == total == sum(trade.net_units for trade in portfolio.trades)
    assert portfolio.realised == portfolio.gross - portfolio.spread - portfolio.slippage - portfolio.fees


def test_only_an_open_position_is_closed():
    portfolio = Portfolio([SPY], Fraction(1))
    with pytest.raises(AssertionError, match="only an open position"):
        portfolio.close(0, Reason.STOP, 1, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("amount", "whole"),
    [(5, 5), (Fraction(5, 2), 2), (Fraction(7, 2), 4), (Fraction(-5, 2), -2), (Fraction(10**40 + 1, 2), 5 * 10**39)],
)
def test_money_is_rounded_half_to_even(amount, whole):
    assert rounded(amount) == whole
