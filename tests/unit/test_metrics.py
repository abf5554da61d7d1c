"""Figures of closed trades, by numbers worked out by hand, and by their definitions on trades drawn at random."""

from __future__ import annotations

import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account.metrics import break_even_bps, durations, grouped, quality_metrics, quality_number, trade_metrics
from engine.model import Reason, Side
from tests.unit.made_trades import made

NETS = st.lists(st.integers(-500, 500), max_size=30)


def test_quality_by_hand():
    """Wins 3 and 5, losses 1, 1 and 2 cents, and a trade that only the end of the data closed."""
    trades = [made(3), made(-1), made(-1), made(5), made(-2), made(99, reason=Reason.END)]
    found = quality_metrics(trades)
    assert found["profit_factor"] == 8 / 4
    assert found["payoff"] == 4 / float(Fraction(4, 3))  # mean win 4, mean loss 4/3
    # mean 4/5; squares 9 + 1 + 1 + 25 + 4 = 40, less 5 x (4/5)^2 = 36.8, over 4 = 9.2
    assert found["sqn"] == pytest.approx(5**0.5 * 0.8 / 9.2**0.5, rel=1e-15)
    assert found["consecutive_wins"] == 1
    assert trade_metrics(trades)["consecutive_losses"] == 2


@pytest.mark.parametrize(
    ("nets", "undefined"),
    [
        ([], {"profit_factor", "payoff", "sqn", "durations_ns"}),
        ([5], {"profit_factor", "payoff", "sqn"}),
        ([5, 5], {"profit_factor", "payoff", "sqn"}),
        ([-5, -3], {"payoff"}),
        ([0, 1], {"profit_factor", "payoff"}),
    ],
)
def test_what_is_not_defined_is_none(nets, undefined):
    found = quality_metrics([made(net) for net in nets])
    assert {name for name, value in found.items() if value is None} == undefined


def test_a_factor_of_losses_alone_is_nothing_earned():
    assert quality_metrics([made(-5)])["profit_factor"] == 0


@given(NETS)
def test_quality_number_is_its_definition(nets):
    found = quality_number(nets)
    if len(nets) < 2 or len(set(nets)) == 1:
        assert found is None
        return
    exact = Fraction(statistics.mean(map(Fraction, nets))) ** 2 * len(nets) / statistics.variance(map(Fraction, nets))
    assert found == pytest.approx((1 if sum(nets) >= 0 else -1) * float(exact) ** 0.5, rel=1e-14)


@given(st.lists(st.integers(0, 10**18), min_size=1, max_size=20))
def test_durations_are_their_definition(held):
    found = durations(held)
    assert found["shortest"] == min(held)
    assert found["longest"] == max(held)
    assert found["mean"] == Fraction(sum(held), len(held)).__floor__()
    assert found["median"] == (statistics.median_low(held) + statistics.median_high(held)) // 2


@given(NETS, st.data())
def test_groups_share_out_the_whole(nets, data):
    trades = [
        made(net, costs=data.draw(st.tuples(*[st.integers(0, 9)] * 3)), side=data.draw(st.sampled_from(Side)))
        for net in nets
    ]
    whole, parts = trade_metrics(trades), grouped(trades, lambda trade: trade.side)
    for name in ("trades", "wins", "losses", "gross", "net"):
        assert sum((part[name] for part in parts.values()), Decimal(0)) == whole[name]
    assert list(parts) == sorted({trade.side for trade in trades})
    for part in parts.values():
        assert part["gross"] - part["costs"] == part["net"]


@given(st.lists(st.tuples(st.integers(-500, 500), st.tuples(*[st.integers(0, 50)] * 3)), max_size=20))
def test_the_waterfall_ends_at_net(rows):
    found = trade_metrics([made(net, costs=costs) for net, costs in rows])
    assert (
        found["gross"] - found["spread_cost"] - found["slippage_cost"] - found["fees"] - found["borrow_cost"]
        == found["net"]
    )
    assert found["net"] == Decimal(sum(net for net, _ in rows)) / 100


def test_break_even_by_hand():
    """Bought for 100.00 and sold for 100.20: 0.20 over 200.20 traded, 9.99 basis points a side."""
    trade = made(20)
    assert break_even_bps([trade]) == float(Fraction(10_000 * 20, 20_020))
    assert break_even_bps([made(-20)]) < 0
    assert break_even_bps([]) is None


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(1, 9)), min_size=1, max_size=10))
def test_at_the_break_even_cost_nothing_is_left(rows):
    trades = [made(gross * lots, lots=lots) for gross, lots in rows]
    value = sum(Fraction(trade.lots * (trade.entry_ticks + trade.exit_ticks), 100) for trade in trades)
    cost = Fraction(break_even_bps(trades)) / 10_000 * value
    assert float(cost) == pytest.approx(float(sum(trade.gross for trade in trades)), rel=1e-12, abs=1e-12)
