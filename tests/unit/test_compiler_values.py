"""What the compiler builds gives what the expression says, shares what is equal, and does not care for order."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from engine import _core, _program, rules
from engine.graph.compiler import Compiler
from engine.model import Instrument
from engine.rules import Expr, Param, change, highest, mean, pct, price, seconds, size, stdev, ticks, volume, vwap
from engine.strategies.momentum_burst import MomentumBurst
from engine.strategy import Strategy
from tests.oracle import features
from tests.oracle.features import Market, Stream

COIN = Instrument("COIN", price_precision=3, size_precision=2)
WINDOWS = {"w5": seconds(5), "w1": seconds(1), "t3": ticks(3)}


def window_of(market: Market, name: str) -> list[features.Trade]:
    quantity = WINDOWS[name]
    return market.count_window(3) if name == "t3" else market.time_window(quantity.value)


P, Q = Fraction(1, 1000), Fraction(1, 100)  # one tick, one lot
LEAVES: dict[str, tuple[Expr, str, Any]] = {
    "price": (price, "price", lambda m: m.trades[-1].price * P),
    "bid": (rules.bid, "price", lambda m: m.trades[-1].bid * P),
    "spread": (rules.spread, "price", lambda m: (m.trades[-1].ask - m.trades[-1].bid) * P),
    "size": (size, "size", lambda m: m.trades[-1].size * Q),
    "vwap": (vwap(), "price", lambda m: features.vwap(m.session()) * P),
}
for _name, _window in WINDOWS.items():
    LEAVES |= {
        f"change {_name}": (change(_window), "ratio", lambda m, n=_name: features.change(window_of(m, n))),
        f"volume {_name}": (volume(_window), "size", lambda m, n=_name: features.sum_size(window_of(m, n)) * Q),
        f"highest {_name}": (highest(_window), "price", lambda m, n=_name: features.highest(window_of(m, n)) * P),
        f"lowest {_name}": (rules.lowest(_window), "price", lambda m, n=_name: features.lowest(window_of(m, n)) * P),
        f"first {_name}": (rules.first_price(_window), "price", lambda m, n=_name: window_of(m, n)[0].price * P),
        f"mean {_name}": (mean(_window), "price", lambda m, n=_name: features.mean(window_of(m, n)) * P),
        f"vwap {_name}": (vwap(_window), "price", lambda m, n=_name: features.vwap(window_of(m, n)) * P),
        f"count {_name}": (rules.trade_count(_window), "ratio", lambda m, n=_name: Fraction(len(window_of(m, n)))),
        f"range {_name}": (
            rules.price_range(_window),
            "ratio",
            lambda m, n=_name: Fraction(
                features.highest(window_of(m, n)) - features.lowest(window_of(m, n)), m.trades[-1].price
            ),
        ),
    }
NUMBERS = ["0.5", "2", "-1", "0.0005", "3/7", "100"]
OPS = list(_program.COMPARISONS)
Value = tuple[Expr, Any]


@st.composite
def same_unit(draw: st.DrawFn, unit: str, depth: int = 2) -> Value:
    """An expression of the unit, and its value by definition."""
    shape = draw(st.sampled_from(["leaf", "leaf", "sum", "scaled"])) if depth else "leaf"
    if shape == "leaf":
        name = draw(st.sampled_from([name for name, (_, of, _) in LEAVES.items() if of == unit]))
        return LEAVES[name][0], LEAVES[name][2]
    left, left_value = draw(same_unit(unit, depth - 1))
    if shape == "scaled":
        number = draw(st.sampled_from(NUMBERS))
        exact = Fraction(number)
        return draw(
            st.sampled_from(
                [(left * number, lambda m: left_value(m) * exact), (left / number, lambda m: left_value(m) / exact)]
            )
        )
    right, right_value = draw(same_unit(unit, depth - 1))
    return draw(
        st.sampled_from(
            [
                (left + right, lambda m: left_value(m) + right_value(m)),
                (left - right, lambda m: left_value(m) - right_value(m)),
            ]
        )
    )


def random_stream(seed: int, length: int) -> list[tuple[int, int, int, int, int]]:
    rng = Random(seed)
    now, level, rows = 10**18, 1000, []
    for _ in range(length):
        now += rng.choice([0, 1, 10**8, 4 * 10**8, 10**9, 3 * 10**9])
        level = max(2, level + rng.choice([-5, -1, 0, 0, 1, 5]))
        quoted = rng.random() < 0.7
        bid, ask = (level - 1, level + rng.randint(0, 2)) if quoted else (0, 0)
        rows.append((now, level, rng.choice([1, 7, 100, 2500]), bid, ask))
    return rows


COMPARE = {
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["price", "size", "ratio"]), st.sampled_from(OPS), st.integers(0, 99))
def test_any_comparison_means_what_it_says(data: st.DataObject, unit: str, op: str, seed: int) -> None:
    (left, left_value), (right, right_value) = data.draw(same_unit(unit)), data.draw(same_unit(unit))
    part = rules.Comparison(op, left, right)
    compiler = Compiler(COIN)
    views: list[Any] = []
    try:
        column = compiler.condition(part, {}, views)
    except rules.RuleError as error:
        if "128 bits" not in error.what:
            raise
        reject()
    core, stream = _core.Core([compiler.program]), Stream([Market()])
    market = stream.markets[0]
    needs_quotes = any(word in str(part) for word in ("bid", "ask", "spread"))
    for ts, ticks_, lots, bid, ask in random_stream(seed, 25):
        core.push(0, ts, ticks_, lots, bid, ask)
        stream.take(0, ts, ticks_, lots, bid, ask)
        if needs_quotes and not market.ask:
            assert not core.value(0, column)
            continue
        a, b = left_value(market), right_value(market)
        if views[0].exact:
            assert bool(core.value(0, column)) == COMPARE[op](a, b), (str(part), a, b)
        shown_a, shown_b, _ = views[0].values(core, 0)
        assert shown_a == pytest.approx(float(a), rel=1e-9, abs=1e-9)
        assert shown_b == pytest.approx(float(b), rel=1e-9, abs=1e-9)


def test_equality_on_the_threshold_is_exact():
    """1005 against 1000 is 0.5 % to the last bit, from either side."""
    for first, last, threshold, expected in (
        (1000, 1005, "0.005", True),
        (1000, 1005, "0.00500000000001", False),
        (3, 4, "1/3", True),
        (10**11 * 3, 10**11 * 4, "1/3", True),
        (10**11 * 3, 10**11 * 4 - 1, "1/3", False),
    ):
        compiler = Compiler(COIN)
        column = compiler.condition(change(ticks(2)) >= threshold, {}, [])
        core = _core.Core([compiler.program])
        core.push(0, 1, first, 1)
        core.push(0, 2, last, 1)
        assert bool(core.value(0, column)) is expected


# ---------------------------------------------------------------- sharing


def nodes_of(*strategies: Strategy) -> int:
    compiler = Compiler(COIN)
    for strategy in strategies:
        compiler.rule(*strategy.conditions(), strategy.parameters)
    return compiler.program.nodes


def test_equal_strategies_cost_nothing_more():
    one = nodes_of(MomentumBurst())
    assert nodes_of(MomentumBurst(), MomentumBurst()) == one
    assert nodes_of(MomentumBurst(), MomentumBurst(stop_loss="1%", cooldown_signals=9)) == one
    assert nodes_of(MomentumBurst(), MomentumBurst(entry_threshold="0.05%")) == one


def test_another_threshold_costs_its_comparisons_and_another_window_its_features():
    one = nodes_of(MomentumBurst())
    stricter = nodes_of(MomentumBurst(), MomentumBurst(volume_spike=3))
    assert one < stricter < one + 7, "the comparison, and what it is joined with"
    assert stricter < nodes_of(MomentumBurst(), MomentumBurst(window="7s")) < 2 * one
    everything = nodes_of(MomentumBurst(), MomentumBurst(window="7s", surge_window="2s"))
    assert everything <= 2 * one


def test_a_feature_used_twice_is_built_once():
    compiler = Compiler(COIN)
    compiler.condition((stdev(seconds(5)) > 1) & (mean(seconds(5)) > 2), {}, [])
    before = compiler.program.nodes
    compiler.condition((mean(seconds(5)) > 2) & (stdev(seconds(5)) > 1), {}, [])
    assert compiler.program.nodes == before + 1, "only the new conjunction"


# ---------------------------------------------------------------- order


class Ordered(Strategy):
    wide = Param(seconds(5))
    narrow = Param(seconds(1))
    few = Param(ticks(4))
    long = change(wide) > pct("0.1")


PARTS = [
    lambda: change(Ordered.wide) >= pct("0.2"),
    lambda: volume(Ordered.narrow) > volume(Ordered.few),
    lambda: price > mean(Ordered.wide),
    lambda: highest(Ordered.few) > vwap(Ordered.narrow),
]


def test_the_order_of_declaration_changes_no_value():
    parameters = Ordered().parameters
    rows, found = random_stream(5, 400), []
    for order in permutations(range(4)):
        compiler = Compiler(COIN)
        columns = {}
        for index in order:
            columns[index] = compiler.rule(PARTS[index](), None, parameters).state
        core = _core.Core([compiler.program])
        values = []
        for ts, ticks_, lots, bid, ask in rows:
            core.push(0, ts, ticks_, lots, bid, ask)
            values.append([core.value(0, columns[index]) for index in range(4)])
        found.append(values)
    assert all(values == found[0] for values in found)
    assert all(0 < sum(row[index] for row in found[0]) < len(rows) for index in range(4))
