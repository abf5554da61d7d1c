"""Money is exact: what a trade earned is what its prices say, less its costs, to the last unit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account.portfolio import Portfolio, rounded, said_price
from engine.model import Instrument, Reason, Side
from engine.ports import Fill

BTC = Instrument("BTC", price_precision=2, size_precision=8)
SPY = Instrument("SPY", price_precision=4, size_precision=0)


def filled(price, reference=None, slippage=0, fee=0):
    """A fill at a price, in ticks; the spread is measured from ``reference``, or there is none."""
    return Fill(price, int(2 * (price if reference is None else reference)), slippage, fee)


def closed(portfolio, *exit_fill):
    """The trade that an exit fill of lane 0 completes."""
    portfolio.close(0, *exit_fill)
    return portfolio.trades[-1]


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
    portfolio.open(0, 0, side, 150_000_000, 5, filled(6_000_000))
    trade = closed(portfolio, 150_000_000, Reason.TARGET, 9, filled(6_000_082))
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
    assert portfolio.positions == {}


def test_an_entry_in_parts_is_one_position_of_all_its_lots_and_costs():
    portfolio = Portfolio([SPY], Fraction(10_000), borrow_rate=Fraction(1))
    for lots, slippage, fee in ((3, 1, 5), (4, 2, 7)):
        portfolio.open(0, 0, Side.SHORT, lots, 1, filled(1_000_000, 1_000_002, slippage, fee))
    half = portfolio.close(0, 3, Reason.TARGET, 1 + 365 * 86_400 * 10**9 // 100, filled(999_000))
    trade = closed(portfolio, 4, Reason.STOP, 1, filled(999_000))
    assert (trade.lots, trade.slippage_units, trade.fee_units) == (7, 3, 12)
    assert trade.spread_units == 7 * 2 * 10**8
    assert half.borrow_units == trade.borrow_units == portfolio.borrow == 3 * 10**12  # a hundredth of 300


def test_costs_are_told_apart_and_add_up():
    """Bought at the ask, sold at the bid: half a spread each, measured from the mid."""
    portfolio = Portfolio([SPY], Fraction(10_000))
    position = portfolio.open(0, 0, Side.LONG, 10, 1, filled(1_000_100, Fraction(2_000_101, 2), 7, 11))
    assert position.spread == 10 * 10**8 * 99 // 2
    trade = closed(portfolio, 10, Reason.STOP, 2, filled(999_000, Fraction(1_998_003, 2), 13, 17))
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
        portfolio.open(0, 0, side, lots, 0, filled(entry + side * half, entry, cost))
        trade = closed(portfolio, lots, Reason.TIME, 1, filled(leave - side * half, leave, 0, cost))
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
        portfolio.close(0, 1, Reason.STOP, 1, filled(1))


@pytest.mark.parametrize(
    ("amount", "whole"),
    [(5, 5), (Fraction(5, 2), 2), (Fraction(7, 2), 4), (Fraction(-5, 2), -2), (Fraction(10**40 + 1, 2), 5 * 10**39)],
)
def test_money_is_rounded_half_to_even(amount, whole):
    assert rounded(amount) == whole


@given(
    side=st.sampled_from(list(Side)),
    entry=st.integers(1, 10**6),
    lots=st.integers(1, 1000),
    cost=st.integers(0, 10**9),
    exits=st.lists(
        st.tuples(st.integers(1, 300), st.integers(1, 10**6), st.integers(0, 10**6)), min_size=1, max_size=6
    ),
    rate=st.fractions(0, 1, max_denominator=50),
)
def test_legs_come_to_the_trade(side, entry, lots, cost, exits, rate):
    """Whatever is closed in parts: nothing of the entry's costs is lost or paid twice, and prices average exactly."""
    portfolio = Portfolio([SPY], Fraction(1), rate)
    portfolio.open(3, 0, side, lots, 0, filled(entry, entry, cost, 2 * cost))
    left, closes, ts_ns = lots, [], 0
    for part, price, fee in exits:
        part, ts_ns = min(part, left), ts_ns + 10**15
        if part:
            closes.append((part, price, fee, ts_ns))
            left -= part
    if left:
        closes.append((left, 77, 5, ts_ns + 1))
    for number, (part, price, fee, at) in enumerate(closes):
        assert len(portfolio.trades) == 0
        assert portfolio.held(0) == side * (lots - sum(done[0] for done in closes[:number]))
        portfolio.close(3, part, Reason.TARGET, at, filled(price, price, 0, fee))
    (trade,) = portfolio.trades
    unit, year = portfolio.units[0], 365 * 86_400 * 10**9
    borrow = 0
    if side is Side.SHORT:
        borrow = sum(rounded(Fraction(entry * part * unit * at, year) * rate) for part, _, _, at in closes)
    assert trade.lots == lots == sum(leg.lots for leg in trade.legs)
    assert trade.gross_units == sum(side * (price - entry) * part * unit for part, price, _, _ in closes)
    assert (trade.slippage_units, trade.fee_units) == (cost, 2 * cost + sum(fee for _, _, fee, _ in closes))
    assert trade.borrow_units == borrow
    assert trade.net_units == trade.gross_units - trade.slippage_units - trade.fee_units - borrow
    assert trade.net_units == sum(leg.net_units for leg in trade.legs) == portfolio.realised
    assert trade.exit_ticks * lots == sum(price * part for part, price, _, _ in closes)
    assert portfolio.positions == {}


def test_a_leg_never_turns_a_position_round():
    portfolio = Portfolio([SPY], Fraction(1))
    portfolio.open(0, 0, Side.LONG, 2, 0, filled(5))
    with pytest.raises(AssertionError, match="never turns"):
        portfolio.close(0, 3, Reason.STOP, 1, filled(1))


def test_lanes_hold_apart_and_sum():
    """One strategy long, another short of the same instrument: the account holds the difference."""
    portfolio = Portfolio([SPY], Fraction(1))
    portfolio.open(0, 0, Side.LONG, 5, 0, filled(100))
    portfolio.open(1, 0, Side.SHORT, 3, 0, filled(110))
    assert portfolio.held(0) == 2
    portfolio.close(1, 3, Reason.TARGET, 1, filled(100))
    assert portfolio.held(0) == 5
    assert [(trade.lane, trade.direction) for trade in portfolio.trades] == [(1, Side.SHORT)]


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (Decimal("170.2"), "170.2"),
        (Decimal("0.0000000000015"), "0.0000000000015"),  # twelve decimals and half a tick: a price of its own
        (Decimal(11) / Decimal(7), "1.571429"),  # the mean of several exits
        (Decimal("1E+2"), "100"),
    ],
)
def test_a_price_is_said_as_it_is_unless_it_has_no_end(price, said):
    assert said_price(price) == said
