"""One change, two runs: what is said of their first difference is what the rule's definitions give there."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from engine.backtesting import backtest, load_ticks, make_settings, make_strategy
from engine.tools.trade_diff import Fate
from engine.tools.whatif import NOTHING, Variant, WhatIf
from mock_server.market import generate
from tests.shared_data import load_aapl_lobster

SECOND_NS = 10**9


@pytest.fixture(scope="module")
def ticks():
    made = generate(20_000)
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    return load_ticks({name: np.ascontiguousarray(getattr(made, name)) for name in names})


def variant(file, strategy="momentum_burst", settings=None, **parameters):
    return Variant(make_strategy(strategy, parameters), make_settings(file.block, **(settings or {})))


def test_nothing_changed_is_nothing_different(ticks):
    found = WhatIf(ticks, variant(ticks), variant(ticks))
    assert found.changes == []
    assert found.first is None
    assert {pair.fate for pair in found.pairs} == {Fate.SAME}


def test_both_runs_are_those_of_a_backtest(ticks):
    found = WhatIf(ticks, variant(ticks), variant(ticks, window="7s"))
    assert found.before.decision_hash == backtest(ticks).decision_hash
    assert found.after.decision_hash == backtest(ticks, window="7s").decision_hash


def test_the_condition_that_came_out_differently_is_named(ticks):
    """A higher threshold: the first difference is a move between the two, worked out here from the prices."""
    found = WhatIf(ticks, variant(ticks), variant(ticks, entry_threshold="0.06%"))
    first = found.first
    assert [(one.name, one.before, one.after) for one in found.changes] == [
        ("parameters.entry_threshold", "0.05%", "0.06%")
    ]
    assert (first.before, first.after) == ("enters long 1", NOTHING)
    (change,) = first.conditions
    assert (change.side, change.name, change.before.holds, change.after.holds) == ("long", "move", True, False)
    ts_ns, prices = ticks.block.ts_ns, ticks.block.price_ticks
    begin = int(np.searchsorted(ts_ns, first.ts_ns - 15 * SECOND_NS, side="right"))
    moves = [prices[row] / prices[begin] - 1 for row in np.flatnonzero(ts_ns == first.ts_ns)]  # several at once
    expected = next(move for move in moves if move >= 0.0005)
    assert change.before.value == change.after.value == pytest.approx(expected, abs=1e-12)
    assert 0.0005 <= change.before.value < 0.0006


def test_a_cost_changes_fills_and_nothing_else(ticks):
    found = WhatIf(ticks, variant(ticks), variant(ticks, settings={"fee": "1bps"}))
    assert {pair.fate for pair in found.pairs} == {Fate.CHANGED}
    assert {pair.differs for pair in found.pairs} == {("fees", "net")}
    entry = found.before.trades[0].entry_price
    fee = (entry / 10_000).normalize()
    assert (found.first.before, found.first.after) == (
        f"is filled at {entry}, slippage 0, fee 0",
        f"is filled at {entry}, slippage 0, fee {fee}",
    )
    assert found.first.conditions == []


def test_an_exit_that_differs_is_told_as_one(ticks):
    found = WhatIf(ticks, variant(ticks), variant(ticks, profit_target="0.1%"))
    assert (found.first.before, found.first.after) == (NOTHING, "leaves by TP")
    assert found.first.why_before == "a short position is open"


def test_a_refusal_counts_as_a_difference(ticks):
    """Before a loss limit is reached both runs are one."""
    found = WhatIf(ticks, variant(ticks), variant(ticks, settings={"daily_loss_limit": "0.0008%"}))
    assert found.first.after == "halts: DAILY_LOSS"
    assert found.first.ts_ns >= found.before.trades[0].entry_ts_ns
    assert {pair.fate for pair in found.pairs} <= {Fate.CHANGED, Fate.GONE}


def test_what_is_said_is_said_of_no_later_record(ticks):
    """Cut off right after the parting, the same parting is found, with the same words and values."""
    change = {"entry_threshold": "0.06%"}
    whole = WhatIf(ticks, variant(ticks), variant(ticks, **change)).first
    rows = int(np.searchsorted(ticks.block.ts_ns, whole.ts_ns, side="right"))
    part = load_ticks(ticks.block.part(0, rows))
    assert WhatIf(part, variant(part), variant(part, **change)).first == whole


def test_on_recorded_ticks_differences_add_up():
    """AAPL, a whole session: nets differ by what the pairs say, to the last digit."""
    file = load_ticks(load_aapl_lobster().columns(), symbol="AAPL", price_precision=4)
    found = WhatIf(file, variant(file), variant(file, volume_spike="2"))
    assert sum((pair.net_difference for pair in found.pairs), Decimal(0)) == (
        found.after.metrics["net"] - found.before.metrics["net"]
    )
    assert found.first is not None
    told = found.to_json()
    assert len(told["pairs"]) == sum(kind["count"] for kind in told["trades"].values())
