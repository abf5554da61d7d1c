"""An explanation shows what the engine knew at that moment, and nothing that came after it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import backtest
from engine.backtesting import load_ticks, make_settings, make_strategy
from engine.errors import DataError
from engine.rules import TimeStop, price, seconds
from engine.sizing import Units
from engine.strategy import Strategy
from engine.tools.explain import explain
from mock_server.market import generate
from tests.shared_data import load_aapl_lobster, load_spy

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
        assert all(line.holds for line in found.conditions if line.side == trade.side)
        assert found.why == f"a {trade.side} position is open"


class Large(Strategy):
    """A rule that nearly always holds, for a hundred shares."""

    long = price > 1
    exits = TimeStop(seconds(1))
    size = Units(100)


@pytest.mark.parametrize(("most", "said"), [(99, "ORDER_UNITS"), (100, "")])
def test_risk_is_asked_about_the_size_that_would_be_sent(made, most, said):
    file = load_ticks(columns(made))
    settings = make_settings(file.block, limits={"max_order_units": most, "positions_per_symbol": "off"})
    (found,) = explain(file, Large(), settings, int(made.ts_ns[-1]))
    assert found.refusal == said


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
    values = {line.name: line.value for line in found.conditions if line.op}
    assert values == pytest.approx({"move": move, "surge": surge, "span": span}, rel=1e-12)
    assert found.price == pytest.approx(price[-1] / 100)
    assert all(line.distance == line.value - line.threshold for line in found.conditions if line.op)
    assert found.why == "no long: move >= entry_threshold; no short: move <= -entry_threshold"


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
    assert found.why == "the windows are not full yet"


def test_risk_and_cooldown_are_told(made):
    ticks = columns(made)
    loser = next(trade for trade in backtest(ticks).trades if trade.net < 0)
    assert explained(ticks, loser.exit_ts_ns).cooldown_left == 2


@pytest.mark.parametrize("load", [load_aapl_lobster, load_spy], ids=["aapl", "spy"])
def test_a_skipped_signal_is_named_for_as_long_as_it_holds(load):
    """On recorded data: at the trade on which it began, and on the next if the rule still holds there."""
    data = load()
    ticks = data.columns()
    file = load_ticks(ticks, price_precision=4)
    strategy, settings = make_strategy("momentum_burst", {}), make_settings(file.block)
    notes = backtest(file).skipped_signals
    assert len(notes) > 5
    later = 0
    for note in notes[:8]:
        (found,) = explain(file, strategy, settings, note.ts_ns)
        when = f"at {np.datetime64(note.ts_ns, 'ns')} UTC"
        assert found.state in (note.side, "none"), "several trades may share a time"
        if found.state == note.side:
            assert found.why == f"the {note.side} signal was skipped by the cooldown {when}"
        next_ns = int(data.ts_ns[np.searchsorted(data.ts_ns, note.ts_ns, side="right")])
        (found,) = explain(file, strategy, settings, next_ns)
        if found.state == note.side and found.position == "flat" and not found.decisions:
            later += 1
            assert found.why == f"the {note.side} signal was skipped by the cooldown {when}"
    assert later


def written(tmp_path, body, name="Mine"):
    path = tmp_path / "mine.py"
    path.write_text(
        "from engine.rules import change, for_at_least, pct, previous, price, size, ticks\n"
        f"from engine.strategy import Strategy\n\n\nclass {name}(Strategy):\n{body}"
    )
    return f"{path}:{name}"


def lines_of(found):
    return [(line.side, line.depth, line.name, line.op, line.holds) for line in found.conditions]


def test_the_tree_shows_sides_and_brackets_in_evaluation_order(tmp_path):
    body = "    long = (price > 100) & ((size > 1) | ~((price > 99) & (size > 2)))\n    short = price < 50\n"
    strategy = make_strategy(written(tmp_path, body), {})
    columns = {"ts_ns": np.array([1, 2]), "price_ticks": np.array([9950, 10200]), "size_lots": np.array([3, 3])}
    file = load_ticks(columns)
    (found,) = explain(file, strategy, make_settings(file.block), 2)
    assert lines_of(found) == [
        ("long", 0, "all of", "", True),
        ("long", 1, "price", ">", True),
        ("long", 1, "any of", "", True),
        ("long", 2, "size", ">", True),
        ("long", 2, "price", "<=", False),
        ("long", 2, "size", "<=", False),
        ("short", 0, "price", "<", False),
    ]
    (found,) = explain(file, strategy, make_settings(file.block), 1)
    assert (found.state, found.why) == ("none", "no long: price > 100; no short: price < 50")


def test_a_condition_made_of_others_shows_them_below_it(tmp_path):
    body = "    long = ~for_at_least(price > 100, 2) & previous(size > 1, 1)\n"
    strategy = make_strategy(written(tmp_path, body), {})
    columns = {"ts_ns": np.arange(1, 4), "price_ticks": np.full(3, 10200), "size_lots": np.array([1, 3, 1])}
    file = load_ticks(columns)
    (found,) = explain(file, strategy, make_settings(file.block), 3)
    assert [line.depth for line in found.conditions][:2] == [0, 1]
    assert [line.holds for line in found.conditions][:2] == [False, False]
    past = [line for line in found.conditions if line.name.startswith("previous")]
    assert [(line.depth, line.holds) for line in past] == [(1, True)]
    (found,) = explain(file, strategy, make_settings(file.block), 1)
    assert found.state == "none"


def test_the_strategys_own_no_is_told(tmp_path):
    body = "    long = price > 100\n\n    def on_fire(self, context, side):\n        return None\n"
    strategy = make_strategy(written(tmp_path, body), {})
    columns = {"ts_ns": np.array([1, 2]), "price_ticks": np.array([10200, 10200]), "size_lots": np.array([3, 3])}
    file = load_ticks(columns)
    (found,) = explain(file, strategy, make_settings(file.block), 2)
    assert found.why == "the long signal was let pass by on_fire at 1970-01-01T00:00:00.000000001 UTC"


def test_a_closed_session_is_told():
    data = load_spy()
    file = load_ticks(data.head(5_000).columns(), price_precision=4)
    settings = make_settings(file.block, calendar="us_equities")
    (found,) = explain(file, make_strategy("momentum_burst", {}), settings, int(data.ts_ns[4_000]))
    assert not found.in_session
    assert found.why == "the session is closed"


def test_what_the_sessions_rules_forbid_is_told():
    data = load_spy()
    file = load_ticks(data.columns(), price_precision=4)
    rules = {"entries": "15:00-15:30"}
    settings = make_settings(file.block, calendar="us_equities", session_rules=rules)
    strategy = make_strategy("momentum_burst", {})
    opens_ns = (
        int(data.ts_ns[-1]) // 86_400_000_000_000 * 86_400_000_000_000 + 14 * 3_600_000_000_000 + 1_900 * SECOND_NS
    )
    (found,) = explain(file, strategy, settings, opens_ns)
    assert found.in_session
    assert (found.refusal, found.why) == ("NO_ENTRIES", "the session's rules allow no entries at this time")


def test_what_was_decided_on_the_trade_before_at_the_same_time_is_not_told_of_this_one():
    class Above(Strategy):
        long = price > 100
        exits = TimeStop(seconds(1))

    ticks = {
        "ts_ns": np.array([1, 5, 5]),
        "price_ticks": np.array([9_900, 10_100, 10_200]),
        "size_lots": np.ones(3, int),
    }
    file = load_ticks(ticks)
    (found,) = explain(file, Above(), make_settings(file.block), 5)
    assert (found.price, found.position, found.decisions) == (102.0, "long", [])
    whole = file.block
    file.block = whole.part(0, 2)
    (found,) = explain(file, Above(), make_settings(whole), 5)
    assert [one.split()[0] for one in found.decisions] == ["OrderSubmitted", "OrderFilled"]


def test_windows_of_trades_say_how_many_are_missing(tmp_path):
    strategy = make_strategy(written(tmp_path, '    long = change(ticks(10)) > pct("0.1")\n'), {})
    columns = {"ts_ns": np.arange(1, 5), "price_ticks": np.full(4, 100), "size_lots": np.full(4, 1)}
    file = load_ticks(columns)
    (found,) = explain(file, strategy, make_settings(file.block), 4)
    assert (found.warm, found.warm_in_ns, found.warm_in_trades) == (False, 0, 6)


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
