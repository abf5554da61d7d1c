"""An explanation shows what the engine knew at that moment, and nothing that came after it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import backtest
from engine.backtesting import load_ticks, make_settings, make_strategy
from engine.errors import DataError
from engine.tools.explain import explain
from mock_server.market import generate

SECOND_NS = 1_000_000_000
CALM = {"entry_threshold": "1000%"}


@pytest.fixture(scope="module")
def made():
    return generate(20_000, seed=5)


def columns(made, rows=None):
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    return {name: np.ascontiguousarray(getattr(made, name)[:rows]) for name in names}


def explained(ticks, at_ns, **parameters):
    file = load_ticks(ticks)
    (found,) = explain(file, make_strategy("momentum_burst", parameters), make_settings(file.block), at_ns)
    return found


def test_an_entry_is_explained_by_conditions_that_hold(made):
    ticks = columns(made)
    trades = backtest(ticks).trades
    assert len(trades) >= 3
    for trade in trades[:3]:
        found = explained(ticks, trade.entry_ts_ns)
        assert found.state == found.position == trade.side
        assert found.refusal == "POSITION_OPEN"
        assert any(text.startswith("OrderFilled") for text in found.decisions)
        side = ">=" if trade.side == "long" else "<="
        assert all(line.holds for line in found.conditions if line.name != "move" or line.op == side)


def test_values_are_those_of_their_definitions(made):
    ticks = columns(made)
    row = 9_000
    at_ns = int(ticks["ts_ns"][row])
    while int(ticks["ts_ns"][row + 1]) == at_ns:
        row += 1
    found = explained(ticks, at_ns, **CALM)
    ts, price, size = (ticks[name][: row + 1].tolist() for name in ("ts_ns", "price_ticks", "size_lots"))
    window = [i for i, t in enumerate(ts) if t > at_ns - 15 * SECOND_NS]
    second = [i for i, t in enumerate(ts) if t > at_ns - SECOND_NS]
    move = price[-1] / price[window[0]] - 1
    surge = sum(size[i] for i in second) / (sum(size[i] for i in window) / 15)
    span = (max(price[i] for i in window) - min(price[i] for i in window)) / price[-1]
    values = {line.name: line.value for line in found.conditions}
    assert values == pytest.approx({"move": move, "surge": surge, "span": span}, rel=1e-12)
    assert found.price == pytest.approx(price[-1] / 100)
    assert all(line.distance == line.value - line.threshold for line in found.conditions)


def test_nothing_after_the_moment_is_seen(made):
    at_ns = int(made.ts_ns[9_000])
    until = int(np.searchsorted(made.ts_ns, at_ns, side="right"))
    assert explained(columns(made), at_ns) == explained(columns(made, until), at_ns)


def test_cold_windows_say_for_how_long(made):
    first_ns = int(made.ts_ns[0])
    found = explained(columns(made), first_ns + 5 * SECOND_NS)
    assert not found.warm
    assert found.state == "none"
    assert found.warm_in_ns == first_ns + 15 * SECOND_NS - found.ts_ns


def test_risk_and_cooldown_are_told(made):
    ticks = columns(made)
    loser = next(trade for trade in backtest(ticks).trades if trade.net < 0)
    assert explained(ticks, loser.exit_ts_ns).cooldown_left == 2


def test_before_the_first_tick_is_one_line(made):
    with pytest.raises(DataError, match="no tick at or before"):
        explained(columns(made), int(made.ts_ns[0]) - 1)


def test_a_condition_without_quotes_has_no_value(made, tmp_path):
    path = tmp_path / "spread.py"
    path.write_text(
        "from engine import Strategy\nfrom engine.rules import spread\n\n\n"
        "class Tight(Strategy):\n    long = spread <= 0.01\n"
    )
    ticks = {name: values for name, values in columns(made).items() if "bid" not in name and "ask" not in name}
    file = load_ticks(ticks)
    (found,) = explain(file, make_strategy(f"{path}:Tight", {}), make_settings(file.block), int(made.ts_ns[500]))
    assert not found.conditions[0].holds
    assert math.isnan(found.bid)
    assert found.state == "none"
