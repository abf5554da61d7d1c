"""Edges of the compiler: undefined values, constants among values, numbers beyond all bounds, other instruments."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np
import pytest

import engine
from engine import _core
from engine.errors import UserError
from engine.graph.compiler import Compiler
from engine.model import SECOND_NS, Instrument
from engine.rules import (
    Condition,
    Custom,
    Expr,
    Param,
    Regime,
    change,
    ema,
    flat_candles,
    for_at_least,
    latest,
    maximum,
    minimum,
    of,
    order_flow,
    previous,
    price,
    rising,
    run_length,
    seconds,
    size_ratio,
    tick_side,
    ticks,
    vwap,
    within,
)
from engine.strategy import Strategy
from engine.tools.graph import graph_of
from engine.tools.rule_parts import sides_of, view_of

PRICES = (100, 101, 103, 102, 105, 100)


def stream(prices: tuple[int, ...] = PRICES) -> dict[str, Any]:
    """One trade a second, of sizes 1, 2, 3, …"""
    n = len(prices)
    return {
        "ts_ns": (np.arange(n) + 1_000_000) * SECOND_NS,
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.arange(1, n + 1, dtype=np.int64),
    }


def column(part: Expr | Condition) -> list[Any]:
    """The part's column over ``stream()``."""
    return list(engine.features(stream(), {"x": part})["x"])


def test_what_a_rule_compares_does_not_wait_and_what_a_series_is_given_does_in_either_order():
    move = change(ticks(3))

    class Compared(Strategy):
        long = (move > -1) & (ema(move, 2) > -1)

    class Averaged(Strategy):
        long = (ema(move, 2) > -1) & (move > -1)

    seen = []
    for strategy in (Compared(), Averaged()):
        compiler = Compiler(Instrument("ticks"))
        rule = compiler.rule(*strategy.conditions(), strategy.parameters)
        core = _core.Core([compiler.program])
        states = []
        for number, ticks_ in enumerate(PRICES):
            core.push(0, number * SECOND_NS, ticks_, 1)
            states.append(core.value(0, rule.state))
        seen.append(states)
    assert seen[0] == seen[1] == [0, 0, 0, 1, 1, 1]  # the average has two full windows from the fourth trade on


# ---------------------------------------------------------------- minimum, maximum and abs, taken apart


def test_a_constant_may_stand_among_the_values_of_a_maximum_that_is_compared():
    move = change(ticks(2))
    moves = np.array([np.nan, *(b / a - 1 for a, b in pairwise(PRICES))])
    up = np.nan_to_num(moves)
    defined = ~np.isnan(moves)
    for declared, expected in (
        (maximum(move, 0) > 0, (up > 0) & defined),
        (maximum(0, move) >= 0, defined),
        (minimum(move, "0.01") < 0, (up < 0) & defined),
        (minimum("0.01", move) < "0.02", defined),
        (maximum(move, 0) < "-0.5", np.zeros(len(PRICES), bool)),
        (~(maximum(move, 0) > 0), (up <= 0) & defined),
    ):
        assert column(declared) == list(expected), declared


@pytest.mark.parametrize("of_both", [maximum, minimum])
@pytest.mark.parametrize("bound", [0, 1, 2])
def test_a_maximum_of_an_undefined_value_satisfies_nothing(of_both: Callable[..., Expr], bound: int):
    undefined = size_ratio(ticks(1))  # there is no other trade: a quotient with the denominator zero
    assert all(isnan(value) for value in column(of_both(undefined, price / price)))
    for condition in (of_both(undefined, price / price) >= bound, of_both(price / price, undefined) < bound):
        assert not any(column(condition)), condition
        assert not any(column(~condition)), condition


# ---------------------------------------------------------------- lengths and numbers beyond all bounds

LENGTH = Param(3, "records")
LENGTH.name = "length"


@pytest.mark.parametrize(
    "declared",
    [
        previous(price > 1, 10**10),
        previous(price > 1, 10**30),
        latest(price, when=price > 1, nth=10**10),
        latest(price, when=price > 1, nth=10**30),
        price > 10**400,
        change(ticks(2)) < -(10**400),
        (change(ticks(2)) > 1) | (change(ticks(2)) > 2) | (change(ticks(2)) > 3) | (change(ticks(2)) > 10**400),
    ],
)
def test_what_no_memory_and_no_number_holds_is_refused_in_words(declared: Condition):
    with pytest.raises(UserError) as caught:
        column(declared)
    assert caught.value.fix


@pytest.mark.parametrize("length", [0, -1, 10**10])
def test_a_parameter_can_make_no_length_that_is_none(length: int):
    class Late(Strategy):
        records = Param(3, "records ago")
        long = previous(price > 1, records)

    strategy = Late(records=length)
    with pytest.raises(UserError, match="records"):
        Compiler(Instrument("ticks")).rule(*strategy.conditions(), strategy.parameters)


def test_a_parameter_in_a_condition_of_the_past_is_found_by_the_columns():
    assert column(previous(price > 0, LENGTH)) == [False] * 3 + [True] * 3


@pytest.mark.parametrize("returned", [None, "3", 2.0, -1, 10**6])
def test_a_feature_whose_builder_returns_no_column_is_refused_in_words(returned: Any):
    with pytest.raises(UserError, match="mine"):
        column(Custom("mine", lambda program, columns, clock: returned, (price,)) > 1)


# ---------------------------------------------------------------- other instruments


def two(part: Expr | Condition) -> list[Any]:
    """The part on instrument A, which trades twice before B does and once after."""
    others: dict[str, tuple[int, Compiler]] = {}
    others |= {symbol: (n, Compiler(Instrument(symbol), others=others)) for n, symbol in enumerate("AB")}
    shown = others["A"][1].shown(part, {})
    core = _core.Core([compiler.program for _, compiler in others.values()])
    values = []
    for second, instrument in enumerate((0, 0, 1, 0)):
        core.push(instrument, second * SECOND_NS, 100 + second, 1)
        if instrument == 0:
            values.append(core.value(0, shown))
    return values


@pytest.mark.parametrize(
    "value", [tick_side, run_length(price > 0), flat_candles(seconds(1)), order_flow(ticks(1)), price, price - price]
)
def test_what_another_instrument_has_is_undefined_until_it_has_traded(value: Expr):
    before, still, after = two(of("B", value))
    assert isnan(before)
    assert isnan(still)
    assert not isnan(after)
    anything = of("B", value) > -1
    assert two(anything) == [False, False, True]
    assert two(~anything) == [False, False, False]


def test_windows_of_another_instrument_are_not_waited_for_on_this_one():
    class Pair(Strategy):
        long = (change(ticks(2)) > 0) & (of("B", change(ticks(50))) > 0) & of("B", change(ticks(70)) > 0)

    graph = graph_of(Pair())
    assert graph.warm_up.records == {"trades": 2}
    assert [node.length for node in graph.nodes if node.operation == "tail_count" and not node.instrument] == [
        "2 trades"
    ]


# ---------------------------------------------------------------- regimes, and what people read


def test_the_code_of_a_regime_is_undefined_until_one_of_its_classes_can_be_told():
    regime = Regime(("FALLING", change(ticks(2)) < 0), ("HIGH", ema(price, 4) > "1.02"))
    codes = column(regime.code)
    classes = [column(regime == name) for name in regime.names]
    for code, *held in zip(codes, *classes, strict=True):
        assert [place for place, holds in enumerate(held) if holds] == ([] if isnan(code) else [code])
    assert [isnan(code) for code in codes] == [True, True, True, False, False, False]  # the fourth falls


def test_conditions_are_shown_as_they_were_written():
    class Written(Strategy):
        least = Param("0.05", "distance")
        calm = for_at_least(change(ticks(3)) < -least, seconds(3))
        long = calm & within(change(ticks(3)) > -change(ticks(2)), 3) & (run_length(price > 1) > 2) & rising(price)
        short = ~calm & (-(price - 1) < 2)

    strategy = Written()
    graph = graph_of(strategy)
    assert [one.text for one in graph.conditions] == [
        "for_at_least(change(3 ticks) < -least, 3s)",
        "within(change(3 ticks) > -change(2 ticks), 3)",
        "run_length(price > 1) > 2",
        "price > previous(price, 1)",
        "not for_at_least(change(3 ticks) < -least, 3s)",
        "-(price - 1) < 2",
    ]
    rule = Compiler(Instrument("ticks")).rule(*strategy.conditions(), strategy.parameters)
    singles = [single.condition for tree in sides_of(strategy).values() for single in tree.singles()]
    found = [view_of(single, rule.views) for single in singles]
    assert [view and (view.written or view.name) for view in found] == [
        "for_at_least(change(3 ticks) < -least, 3s)",
        "within(change(3 ticks) > -change(2 ticks), 3)",
        "run_length(price > 1)",
        "price",
        "for_at_least(change(3 ticks) < -least, 3s)",
        "-(price - 1)",
    ]


def test_a_comparison_of_an_absolute_value_adds_no_doubles_to_the_graph():
    class Bounded(Strategy):
        long = (abs(change(ticks(2))) > "0.01") & (maximum(price, vwap(ticks(2)) * "1.01") > "1.02")

    strategy = Bounded()
    compiler = Compiler(Instrument("ticks"))
    rule = compiler.rule(*strategy.conditions(), strategy.parameters)
    assert {name for name, *_ in compiler.program.listing} == {
        "tail_count", "first_price", "compare", "sum_price_size", "sum_size", "any_of", "all_of", "state"
    }  # fmt: skip
    shown = Compiler(Instrument("ticks"), compiler.program)
    columns = [shown.shown(part, strategy.parameters) for part in (abs(change(ticks(2))), Bounded.long.right.left)]
    core = _core.Core([compiler.program])
    for second, ticks_ in enumerate(PRICES):
        core.push(0, second * SECOND_NS, ticks_, second + 1)
        for view, place in zip(rule.views, columns, strict=True):
            value = core.value(0, place)
            if not isnan(value):  # the columns wait for full windows
                assert view.values(core, 0)[0] == value
