"""Trades laid side by side: every one exactly once, taken for another only where that is meant."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from engine.results import TRADE_FIELDS
from engine.tools.trade_diff import Fate, Pair, totals, trade_diff


def trade(symbol="X", side="long", entry=0, leave=10, net="1.00", **more):
    row = dict.fromkeys(TRADE_FIELDS, Decimal(0)) | {"symbol": symbol, "side": side, "reason": "TP"}
    return row | {"entry_ts_ns": entry, "exit_ts_ns": leave, "net": Decimal(net)} | more


def fates(before, after):
    return [pair.fate.value for pair in trade_diff(before, after)]


def test_equal_trades_are_the_same():
    trades = [trade(entry=0, leave=5), trade(entry=10, leave=15)]
    assert fates(trades, [dict(one) for one in trades]) == ["same", "same"]


def test_what_differs_is_named():
    (pair,) = trade_diff([trade(net="1.00")], [trade(net="0.75", leave=12)])
    assert pair.fate is Fate.CHANGED
    assert pair.differs == ("exit_ts_ns", "net")
    assert pair.net_difference == Decimal("-0.25")


def test_trades_open_at_the_same_time_are_one_that_changed():
    assert fates([trade(entry=0, leave=10)], [trade(entry=10, leave=20)]) == ["changed"]


def test_trades_one_moment_apart_are_two():
    assert fates([trade(entry=0, leave=10)], [trade(entry=11, leave=20)]) == ["gone", "new"]


def test_another_side_or_symbol_is_another_trade():
    assert fates([trade()], [trade(side="short")]) == ["gone", "new"]
    assert fates([trade()], [trade(symbol="Y")]) == ["gone", "new"]


def test_the_same_entry_goes_before_an_overlap():
    """The earlier trade overlaps both; the one that was entered at its very moment is the one."""
    before = [trade(entry=5, leave=20)]
    after = [trade(entry=0, leave=6), trade(entry=5, leave=8)]
    assert [(pair.fate.value, pair.after["entry_ts_ns"]) for pair in trade_diff(before, after)] == [
        ("new", 0),
        ("changed", 5),
    ]


def test_totals_are_exact():
    pairs = trade_diff([trade(net="0.1", entry=0, leave=1)], [trade(net="0.3", entry=5, leave=6)])
    assert totals(pairs)[Fate.GONE] == (1, Decimal("-0.1"))
    assert totals(pairs)[Fate.NEW] == (1, Decimal("0.3"))
    assert totals(pairs)[Fate.SAME] == (0, Decimal(0))


TRADES = st.lists(
    st.builds(
        lambda symbol, side, entry, length, net: trade(symbol, side, entry, entry + length, net),
        st.sampled_from(["X", "Y"]),
        st.sampled_from(["long", "short"]),
        st.integers(0, 30),
        st.integers(0, 8),
        st.decimals(-5, 5, places=30).map(str),
    ),
    max_size=12,
)


def key(row):
    return tuple(row.values())


@given(TRADES, TRADES)
def test_every_trade_is_in_exactly_one_pair(before, after):
    pairs = trade_diff(before, after)
    assert Counter(key(pair.before) for pair in pairs if pair.before) == Counter(map(key, before))
    assert Counter(key(pair.after) for pair in pairs if pair.after) == Counter(map(key, after))
    for pair in pairs:
        check_meaning(pair)


@given(TRADES, TRADES)
def test_differences_add_up_to_that_of_the_nets(before, after):
    """To the last digit: Python's own fractions are the judge."""
    found = sum((Fraction(net) for _, net in totals(trade_diff(before, after)).values()), Fraction())
    assert found == sum(Fraction(t["net"]) for t in after) - sum(Fraction(t["net"]) for t in before)


@given(TRADES, TRADES)
def test_the_other_way_round_is_the_mirror(before, after):
    mirrored = {Fate.GONE: Fate.NEW, Fate.NEW: Fate.GONE}
    there = Counter(pair.fate for pair in trade_diff(before, after))
    back = Counter(mirrored.get(pair.fate, pair.fate) for pair in trade_diff(after, before))
    assert (there[Fate.GONE], there[Fate.NEW]) == (back[Fate.GONE], back[Fate.NEW])


def check_meaning(pair: Pair):
    """What a pair says of itself, from the definition."""
    if pair.fate is Fate.GONE:
        assert (pair.before is None, pair.after is None) == (False, True)
    elif pair.fate is Fate.NEW:
        assert (pair.before is None, pair.after is None) == (True, False)
    else:
        one, other = pair.before, pair.after
        assert (one["symbol"], one["side"]) == (other["symbol"], other["side"])
        assert one["entry_ts_ns"] <= other["exit_ts_ns"]
        assert other["entry_ts_ns"] <= one["exit_ts_ns"]
        assert (pair.fate is Fate.SAME) is (one == other)
