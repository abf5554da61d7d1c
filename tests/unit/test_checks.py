"""What a strategy declares in vain is found, with the value that came nearest; what it uses is not complained of."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from engine import backtest
from engine.backtesting import load_ticks, make_settings, make_strategy
from engine.plugins import strategy_names
from engine.rules import Flat, Param, Stop, Target, TimeStop, bid, change, pct, price, seconds, size, ticks, volume
from engine.strategy import Strategy
from engine.tools.checks import check_declaration
from engine.tools.data_checks import check_on_data
from mock_server.market import generate
from tests.oracle import momentum_burst as oracle
from tests.shared_data import load_aapl_lobster, load_spy

SECOND_NS = 1_000_000_000


def kinds(findings):
    return [
        (one.level, one.kind, *(value for key, value in one.facts.items() if key in ("name", "exit")))
        for one in findings
    ]


# ---------------------------------------------------------------- the declaration


@pytest.mark.parametrize("name", strategy_names())
def test_the_built_in_strategies_declare_nothing_in_vain(name):
    assert check_declaration(make_strategy(name, {})) == []


class Wasteful(Strategy):
    window = Param(seconds(5), "used")
    spare = Param(seconds(9), "used by nothing")
    by_code = Param(3, "read in on_fire")
    by_name = Param(4, "read by its name")
    loss = Param(pct(1), "used by an exit")

    move = change(window)
    idle = volume(spare)

    long = move > 0
    exits = (Stop(loss),)

    def on_fire(self, context, side):
        if context.price_ticks > self.by_code:
            return None
        return next((None for _ in range(self.parameters["by_name"].value)), None)


def test_what_nothing_uses_is_named():
    # ``spare`` stands in a feature, but that feature in nothing.
    assert kinds(check_declaration(Wasteful())) == [
        ("problem", "unused_parameter", "spare"),
        ("problem", "unused_feature", "idle"),
    ]


def test_a_side_that_direction_leaves_out_still_uses_its_parameters():
    class OneSided(Strategy):
        least = Param(pct("0.1"), "of the short side")
        long = change(seconds(1)) > 0
        short = change(seconds(1)) < -least
        exits = TimeStop(seconds(2))

    assert check_declaration(OneSided(direction="long")) == []


def test_an_inherited_parameter_that_is_no_longer_used_is_named():
    class Narrow(Wasteful):
        long = price > 1
        exits = TimeStop(seconds(1))

    assert {one.facts["name"] for one in check_declaration(Narrow())} == {"window", "spare", "loss", "move", "idle"}


def exits_of(*exits, **parameters):
    made = type("Made", (Strategy,), {"long": price > 1, "short": price < 1, "exits": exits})
    return kinds(check_declaration(made(**parameters)))


def test_exits_that_can_never_fire():
    assert exits_of(Stop(pct(99)), Target(pct(99)), TimeStop(seconds(3)), Flat(2)) == []
    assert exits_of(Stop(pct(100)), Target(pct(100))) == [
        ("problem", "exit_never", "Stop"),
        ("problem", "exit_never", "Target"),
    ]
    assert exits_of(Stop(pct(100)), Target(pct(100)), direction="long") == [("problem", "exit_never", "Stop")]
    assert exits_of(TimeStop(seconds(2)), Flat(2)) == [("problem", "exit_never", "Flat")]
    assert exits_of(Stop(pct(1)), TimeStop(seconds(0)), Flat(0)) == [
        ("note", "exit_switched_off", "TimeStop"),
        ("note", "exit_switched_off", "Flat"),
    ]
    assert exits_of() == [("note", "no_exit")]


@pytest.mark.parametrize("time_stop", ["1999ms", "2s", "2001ms"])
def test_flat_candles_and_the_time_stop_as_the_kernel_has_them(time_stop):
    """The bound of the check is the kernel's: on a market that stands still, entered on a whole second."""

    class Still(Strategy):
        long = price > 1
        after = Param(seconds(2), "time stop")
        exits = (TimeStop(after), Flat(2))

    ts_ns = np.arange(0, 10) * SECOND_NS
    columns = {"ts_ns": ts_ns, "price_ticks": np.full(10, 500), "size_lots": np.full(10, 1)}
    strategy = Still(after=time_stop)
    file = load_ticks(columns)
    reasons = set(backtest(file, strategy).metrics["by_reason"]) - {"END"}
    never = kinds(check_declaration(strategy)) == [("problem", "exit_never", "Flat")]
    assert reasons == ({"TIME"} if never else {"FLAT"})


# ---------------------------------------------------------------- on data


def on_data(data, strategy, precision=4, **settings):
    file = load_ticks(data, symbol="X", price_precision=precision)
    return check_on_data(file, strategy, make_settings(file.block, **settings))


def values_of(columns):
    """Surge and range of the reference rule at every trade with a warm window, exact."""
    params = oracle.Params()
    window, surge = oracle.RollingWindow(params.window_ns), oracle.RollingVolume(params.surge_window_ns)
    found = []
    first = int(columns["ts_ns"][0])
    for t, p, q in zip(*(columns[name].tolist() for name in ("ts_ns", "price_ticks", "size_lots")), strict=True):
        window.add(t, p, q)
        surge.add(t, p, q)
        if t - first >= params.window_ns:
            ratio = Fraction(surge.volume, params.surge_window_ns) / Fraction(window.volume, params.window_ns)
            found.append((t, ratio, Fraction(window.highest - window.lowest, p)))
    return found


@pytest.mark.parametrize("load", [load_aapl_lobster, load_spy], ids=["aapl", "spy"])
def test_a_threshold_never_reached_comes_with_the_value_that_came_nearest(load):
    columns = load().head(12_000).columns()
    strategy = make_strategy("momentum_burst", {"volume_spike": 20, "guard": "0%"})
    found = {one.kind: one for one in on_data(columns, strategy)[0] if one.level == "problem"}
    assert set(found) == {"threshold_never_reached", "always_true"}
    values = values_of(columns)
    largest, smallest = max(value[1] for value in values), min(value[2] for value in values)
    facts = found["threshold_never_reached"].facts
    assert (facts["condition"], facts["threshold"]) == ("surge > volume_spike", 20)
    assert facts["value"] == pytest.approx(float(largest), rel=1e-12)
    assert facts["ts_ns"] == next(t for t, ratio, _ in values if ratio == largest)
    assert facts["judged"] == len(values)
    facts = found["always_true"].facts
    assert (facts["condition"], facts["value"]) == ("span >= guard", pytest.approx(float(smallest), rel=1e-12))


@pytest.mark.parametrize("name", sorted({*strategy_names()} - {"pairs"}))  # that one needs two symbols
def test_every_built_in_strategy_can_be_checked_on_ticks(name):
    made = generate(2_000, seed=3)._asdict()
    file = load_ticks(
        {column: made[column] for column in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")}
    )
    strategy = make_strategy(name, {})
    assert check_on_data(file, strategy, make_settings(file.block, strategy))[1]


def test_a_strategy_that_only_decides_on_ticks_has_nothing_to_be_checked_on_them():
    class Ticking(Strategy):
        exits = TimeStop(seconds(5))

        def on_tick(self, tick):
            return None

    made = generate(2_000, seed=3)._asdict()
    file = load_ticks({column: made[column] for column in ("ts_ns", "price_ticks", "size_lots")})
    assert check_on_data(file, Ticking(), make_settings(file.block)) == ([], [])


def test_momentum_burst_is_clean_on_recorded_data():
    findings, _ = on_data(load_aapl_lobster().columns(), make_strategy("momentum_burst", {}))
    assert [one.kind for one in findings if one.level == "problem"] == []
    assert kinds(findings) == [("note", "exit_unused", "Target")]


def test_the_largest_moves_are_those_of_the_trades():
    columns = load_aapl_lobster().columns()
    findings, _ = on_data(columns, make_strategy("momentum_burst", {}))
    best = Fraction(0)
    for trade in backtest(load_ticks(columns, price_precision=4)).trades:
        inside = (columns["ts_ns"] > trade.entry_ts_ns) & (columns["ts_ns"] <= trade.exit_ts_ns)
        for p in columns["price_ticks"][inside].tolist():
            best = max(best, int(trade.direction) * (p - Fraction(trade.entry_ticks)) / Fraction(trade.entry_ticks))
    assert f"was {100 * float(best):.4f} %" in findings[0].what


def rows(*given):
    second, prices, sizes = (np.array(column, np.int64) for column in zip(*given, strict=True))
    return {"ts_ns": second * SECOND_NS, "price_ticks": prices * 100, "size_lots": sizes}


def declared(**body):
    return type("Made", (Strategy,), {"exits": TimeStop(seconds(1)), **body})()


FEW = rows((1, 99, 1), (2, 101, 1), (3, 102, 1), (4, 99, 5), (5, 99, 1))


def test_conditions_that_decide_nothing():
    findings, _ = on_data(FEW, declared(long=(price > 50) & (size > 7) & ~(price > 200) & (price != 1)), precision=2)
    told = {one.facts["condition"]: (one.kind, one.facts.get("value"), one.facts.get("threshold")) for one in findings}
    assert told == {
        "price > 50": ("always_true", 99, 50),
        "size > 7": ("threshold_never_reached", 5, 7),
        "~(price > 200)": ("always_true", 102, 200),
        "price != 1": ("always_true", None, None),
    }


def test_a_side_that_never_holds_although_its_conditions_do():
    findings, _ = on_data(FEW, declared(long=(price > 100) & (size > 1)), precision=2)
    assert kinds(findings) == [("problem", "side_never")]
    assert findings[0].facts["side"] == "long"


def test_a_condition_without_a_value_and_a_rule_never_judged():
    findings, warm_ups = on_data(FEW, declared(long=(price / bid > 1) & (price > 100)), precision=2)
    assert kinds(findings) == [("problem", "never_defined")]
    assert [(line.condition, line.value_trades) for line in warm_ups if line.condition == "(price / bid) > 1"] == [
        ("(price / bid) > 1", None)
    ]
    findings, _ = on_data(FEW, declared(long=change(seconds(60)) > 0), precision=2)
    assert kinds(findings) == [("problem", "never_judged")]


def test_how_long_each_condition_takes_to_warm_up():
    window = seconds(2)
    strategy = declared(long=(change(window) > 0) & (volume(ticks(5)) > 6) & (price > 100), warm_up=window)
    findings, warm_ups = on_data(FEW, strategy, precision=2)
    assert [
        (
            line.condition,
            line.needs_ns // SECOND_NS,
            line.needs_trades,
            line.value_trades,
            line.full_trades,
            line.full_ns,
        )
        for line in warm_ups
    ] == [
        ("the rule", 2, 0, None, 3, 2 * SECOND_NS),
        ("change(2s) > 0", 2, 0, 3, 3, 2 * SECOND_NS),
        ("volume(5 ticks) > 6", 0, 5, 5, 5, 4 * SECOND_NS),
        ("price > 100", 0, 0, 1, 1, 0),
    ]
    short = [one for one in findings if one.kind == "warm_up_short"]
    assert [one.facts["condition"] for one in short] == ["volume(5 ticks) > 6"]


def test_the_warm_up_on_recorded_data_is_that_of_the_first_warm_trade():
    ticks_of_aapl = load_aapl_lobster()
    _, warm_ups = on_data(ticks_of_aapl.columns(), make_strategy("momentum_burst", {}))
    first = int(np.searchsorted(ticks_of_aapl.ts_ns, ticks_of_aapl.ts_ns[0] + 15 * SECOND_NS))
    assert (warm_ups[0].full_trades, warm_ups[0].full_ns) == (
        first + 1,
        int(ticks_of_aapl.ts_ns[first] - ticks_of_aapl.ts_ns[0]),
    )
