"""How large an entry is: hand-worked sizes, whole lots rounded down, and what leaves nothing to enter with."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.indicators import atr
from engine.language.grammar import Kind, Quantity, RuleError
from engine.model import Side
from engine.regimes import five_class
from engine.rules import Param, Regime, bars, minutes, pct, price, seconds, volume
from engine.sizing import (
    Banded,
    CapitalFraction,
    Dollars,
    Kelly,
    Occasion,
    RiskPerTrade,
    Scaled,
    Size,
    Units,
    lots_of,
    parse_size,
    said_size,
)

# 100.00 a share, 10,000 of equity, a stop 0.50 away and a target twice as far.
AT = Occasion(Side.LONG, Fraction(100), Fraction(10_000), Fraction(1, 2), Fraction(1))
MOOD = Regime(("WILD", volume(seconds(1)) > 9), ("CALM", price < 1), otherwise="USUAL")


def lots(size: Size, at: Occasion = AT, precision: int = 0) -> int:
    return lots_of(size, at, {}, precision)


@pytest.mark.parametrize(
    ("size", "precision", "expected"),
    [
        (Units(3), 0, 3),
        (Units("0.0015"), 3, 1),
        (Units("0.0015"), 4, 15),
        (Dollars(500), 0, 5),
        (Dollars("599.99"), 0, 5),
        (Dollars(600), 0, 6),
        (Dollars("99.99"), 0, 0),
        (Dollars("99.99"), 4, 9_999),
        (CapitalFraction(pct(5)), 0, 5),
        (CapitalFraction(pct("5.9999")), 0, 5),
        (RiskPerTrade(pct(1)), 0, 200),  # 100 of equity at risk, 0.50 a share
        (RiskPerTrade(pct("1.2")), 0, 240),
        (RiskPerTrade(pct("0.004999")), 0, 0),
        (Kelly(win_rate=pct(60)), 0, 20),  # f* = (2 * 0.6 - 0.4) / 2 = 0.4; half of it is 20 % of 10,000
        (Kelly(win_rate=pct(60), fraction=1), 0, 25),  # 40 % is more than the cap of 25 %
        (Kelly(win_rate=pct(60), fraction=1, cap=pct(30)), 0, 30),
        (Kelly(win_rate="1/3"), 0, 0),  # f* = 0: the odds are fair, there is nothing to win
        (Kelly(win_rate=pct(30)), 0, 0),  # f* < 0
        (Kelly(), 0, 25),  # sure to win: f* = 1
    ],
)
def test_a_size_in_whole_lots_rounded_down(size, precision, expected):
    assert lots(size, precision=precision) == expected


def test_kelly_takes_the_signals_confidence():
    at = replace(AT, confidence=Fraction(6, 10))
    assert lots(Kelly(), at) == lots(Kelly(win_rate=pct(60))) == 20


@pytest.mark.parametrize("size", [RiskPerTrade(pct(1)), Kelly(win_rate=pct(60))])
def test_without_a_stop_there_is_nothing_to_size_by(size):
    assert lots(size, replace(AT, stop_distance=None)) == 0
    assert lots(size, replace(AT, stop_distance=Fraction(0))) == 0


def test_kelly_needs_a_target():
    assert lots(Kelly(win_rate=pct(60)), replace(AT, target_distance=None)) == 0


def test_risk_by_the_average_true_range():
    size = RiskPerTrade(pct(1), distance=2 * atr(bars(minutes(1)), 14))
    assert str(size.distances()["risk"]) == "(2 * atr(bars(1m), 14))"
    assert lots(size, replace(AT, measured={"risk": Fraction("1.25")})) == 80  # 100 over 1.25
    assert lots(size, replace(AT, measured={"risk": None})) == 0


@pytest.mark.parametrize(
    ("confidence", "times"),
    [("0.5499", 0), ("0.55", 1), ("0.6499", 1), ("0.65", 2), ("0.7999", 2), ("0.80", 3), ("1", 3)],
)
def test_conviction_bands_one_step_below_at_and_above(confidence, times):
    at = replace(AT, confidence=Fraction(confidence))
    assert lots(Banded(Units(10)), at) == 10 * times


@pytest.mark.parametrize(
    ("p_up", "side", "times"),
    [
        (0.55, Side.LONG, 1),
        (0.65, Side.LONG, 2),
        (0.80, Side.LONG, 3),
        (0.5499, Side.LONG, 0),
        (0.45, Side.SHORT, 1),
        (0.35, Side.SHORT, 2),
        (0.2501, Side.SHORT, 2),
        (0.25, Side.SHORT, 3),
        (0.4501, Side.SHORT, 0),
        (0.25, Side.LONG, 0),
    ],
)
def test_probability_bands_have_a_side_of_their_own_for_shorts(p_up, side, times):
    at = replace(AT, side=side, metadata={"p_up": p_up})
    assert lots(Banded(Units(10), probability="p_up"), at) == 10 * times


def test_a_probability_that_the_signal_does_not_tell_sizes_nothing():
    assert lots(Banded(Units(10), probability="p_up")) == 0


def test_a_regime_scales_the_size():
    size = Scaled(Units(10), MOOD, {"WILD": "0.25", "CALM": 2})
    assert list(size.numbers()) == ["regime 0"]
    for code, expected in ((0, 2), (1, 20), (2, 10), (None, 0)):
        measured = {"regime 0": None if code is None else Fraction(code)}
        assert lots(size, replace(AT, measured=measured)) == expected


def test_scales_multiply_and_keep_their_regimes_apart():
    inner = Scaled(RiskPerTrade(pct(1), distance=price / 100), MOOD, {"WILD": "0.5"})
    size = Banded(Scaled(inner, five_class(bars(minutes(1))), {"NORMAL": "0.1"}))
    assert list(size.numbers()) == ["regime 0", "regime 1"]
    measured = {"risk": Fraction(1), "regime 0": Fraction(0), "regime 1": Fraction(4)}
    assert lots(size, replace(AT, measured=measured)) == 15  # 100 lots, halved, a tenth, three times


@given(
    size=st.one_of(
        st.fractions(0, 10**6).map(Dollars),
        st.fractions(0, 1).map(RiskPerTrade),
        st.fractions(0, 1).map(CapitalFraction),
        st.tuples(st.fractions(0, 1), st.fractions(0, 1)).map(lambda both: Kelly(win_rate=both[0], cap=both[1])),
    ),
    precision=st.integers(0, 8),
    cents=st.integers(1, 10**7),
    equity=st.integers(-(10**9), 10**9),
    stop=st.integers(1, 10**6),
)
def test_no_size_exceeds_what_it_says(size, precision, cents, equity, stop):
    at = Occasion(
        Side.LONG, Fraction(cents, 100), Fraction(equity), Fraction(stop, 100), Fraction(3 * stop, 100), Fraction(2, 3)
    )
    found = Fraction(lots(size, at, precision), 10**precision)
    lot = Fraction(1, 10**precision)
    assert found >= 0

    def holds(most: Fraction, each: Fraction) -> None:
        assert found * each <= max(most, 0) < (found + lot) * each or most <= 0

    match size:
        case Dollars():
            holds(size.amount.value, at.price)
        case RiskPerTrade():
            holds(size.share.value * at.equity, at.stop_distance)
        case CapitalFraction():
            holds(size.share.value * at.equity, at.price)
        case Kelly():
            assert found * at.price <= max(0, size.cap.value * at.equity)


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("3", "Units(3)", 3),
        ("3 units", "Units(3)", 3),
        ("500 dollars", "Dollars(500)", 5),
        ("$500", "Dollars(500)", 5),
        ("1.2% risk", "RiskPerTrade(1.2%)", 240),
        ("5% capital", "CapitalFraction(5%)", 5),
        ("Kelly 60%", "Kelly(60%, 50%, 25%)", 20),
        ("kelly 60% cap 10%", "Kelly(60%, 50%, 10%)", 10),
    ],
)
def test_a_size_as_text(text, said, expected):
    size = parse_size(text)
    assert (said_size(size), lots(size)) == (said, expected)


@pytest.mark.parametrize("text", ["", "large", "1 risk", "5%", "kelly cap", "-3", "1% of risk", "500 euros", "1..2"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ConfigError) as error:
        parse_size(text)
    assert error.value.line().startswith("sizing.size: ")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Units(-1), "-1 is negative"),
        (lambda: Dollars(pct(5)), "is a ratio, not a number"),
        (lambda: RiskPerTrade(seconds(1)), "is a duration, not a ratio"),
        (lambda: RiskPerTrade(pct(1), distance=3), "3 is no distance"),
        (lambda: Banded(Units(1), bands=()), "do not rise"),
        (lambda: Banded(Units(1), bands=(("0.6", 2), ("0.5", 1))), "bands do not rise"),
        (lambda: Banded(Units(1), bands=(("0.6", 2), ("0.6", 1))), "bands do not rise"),
        (lambda: Banded(Units(1), short_bands=(("0.4", 1), ("0.5", 2))), "short_bands do not fall"),
        (lambda: Scaled(Units(1), MOOD, {"WILDE": 1}), "no class 'WILDE'; did you mean 'WILD'?"),
        (lambda: Scaled(Units(1), MOOD, {"WILD": -1}), "a factor is negative"),
        (lambda: Scaled(Units(1), price, {}), "is no regime"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(declare, message):
    with pytest.raises((ConfigError, RuleError)) as error:
        declare()
    assert message in error.value.line()


def test_a_parameter_may_stand_for_an_amount():
    share = Param(pct(1), "risk per trade")
    share.name = "share"
    parameters = {"share": Quantity(Kind.RATIO, Fraction(2, 100))}
    assert lots_of(RiskPerTrade(share), AT, parameters, 0) == 400
