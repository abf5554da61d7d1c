"""A rule taken apart says what the rule says, and without one of its conditions what it says once that one holds."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.indicators import bollinger
from engine.model import Side
from engine.rules import (
    Condition,
    Joined,
    Negation,
    Param,
    RuleError,
    bars,
    ema,
    maximum,
    minutes,
    of,
    previous,
    price,
    sample,
    seconds,
    size,
    vwap,
)
from engine.strategy import Strategy
from engine.structure import order_blocks, swings
from engine.tools.rule_parts import Part, comparison_of, sides_of, take_apart, without

NAMES = [f"price > {number}" for number in range(1, 5)]
CONDITIONS = dict(zip(NAMES, [price > 1, price > 2, price > 3, price > 4], strict=True))


VALUES = {
    "price": price,
    "-price": -price,
    "(price + 1)": price + 1,
    "(2 * price)": 2 * price,
    "vwap(10s)": vwap(seconds(10)),
    "ema(price, 5)": ema(price, 5),
    "previous(price, 1)": previous(price, 1),
    "bars(1m).close": bars(minutes(1)).close,
    "sample(size, bars(1m))": sample(size, bars(minutes(1))),
    "of('QQQ', price)": of("QQQ", price),
    "maximum(price, size)": maximum(price, size),
    "Param(5)": Param(5, ""),
}
"""One of each kind, by its text."""


def truth(condition: Condition, given_as: dict[str, bool]) -> bool:
    """What the condition says when each comparison is as given."""
    if isinstance(condition, Joined):
        left, right = truth(condition.left, given_as), truth(condition.right, given_as)
        return left and right if condition.op == "&" else left or right
    if isinstance(condition, Negation):
        return not truth(condition.inner, given_as)
    return given_as[str(condition)]


def truth_of(part: Part, given_as: dict[str, bool]) -> bool:
    if not part.op:
        return truth(part.condition, given_as)
    each = [truth_of(inner, given_as) for inner in part.parts]
    return all(each) if part.op == "&" else any(each)


def worlds() -> list[dict[str, bool]]:
    return [dict(zip(NAMES, world, strict=True)) for world in product([False, True], repeat=len(NAMES))]


RULES = st.recursive(
    st.sampled_from(sorted(CONDITIONS)).map(CONDITIONS.__getitem__),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=8,
)


@given(RULES)
def test_the_tree_says_what_the_rule_says(rule):
    tree = take_apart(rule)
    for world in worlds():
        assert truth_of(tree, world) == truth(tree.condition, world) == truth(rule, world)
    assert all(comparison_of(single.condition) is not None for single in tree.singles())


@given(RULES)
def test_without_a_condition_is_as_if_it_held(rule):
    tree = take_apart(rule)
    for single in tree.singles():
        loose = without(tree, single.text)
        for world in worlds():
            name = str(comparison_of(single.condition))
            had = {**world, name: not isinstance(single.condition, Negation)}
            both_ways = [other for other in tree.singles() if str(comparison_of(other.condition)) == name]
            if len(both_ways) == 1:  # a comparison that stands there both ways is two conditions
                assert truth(loose, world) == truth(rule, had)
            assert truth(loose, world) >= truth(rule, world), "what is left out only ever lets more through"


def test_conditions_are_listed_in_the_order_in_which_they_are_written_each_once():
    a, b, c = price > 1, size > 2, price < 3
    tree = take_apart((a & b) & (c | ~(a & ~b)))
    assert [single.text for single in tree.singles()] == ["price > 1", "size > 2", "price < 3", "~(price > 1)"]
    assert tree.op == "&"
    assert tree.parts[2].op == "|"
    assert [part.text for part in tree.parts[2].parts] == ["price < 3", "~(price > 1)", "size > 2"]


def test_direction_leaves_one_side():
    class Both(Strategy):
        long = price > 1
        short = price < 1

    assert list(sides_of(Both())) == [Side.LONG, Side.SHORT]
    assert list(sides_of(Both(direction="short"))) == [Side.SHORT]


@pytest.mark.parametrize(("left", "right"), list(permutations(VALUES, 2)))
def test_a_comparison_keeps_its_sides(left, right):
    """Python asks the right side first when its class is a subclass of the left one's."""
    compared = VALUES[left] <= VALUES[right]
    assert (str(compared.left), compared.op, str(compared.right)) == (left, "<=", right)


def test_what_has_several_values_is_told_by_its_call():
    b = bars(minutes(1))
    for made, call in {
        bollinger(price, 20, 2): "bollinger(price, 20, 2)",
        order_blocks(b): "order_blocks(bars(1m))",
        order_blocks(b).bullish: "order_blocks(bars(1m)).bullish",
    }.items():
        with pytest.raises(RuleError) as refused:
            _ = price > made
        assert refused.value.what == f"{call} is not a value"
    assert str(swings(b).trend) == "swings(bars(1m)).trend"
