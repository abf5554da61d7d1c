"""What people type becomes exact numbers, and every mistake is one clear line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.quantities import (
    MAX_DURATION_NS,
    Fee,
    format_decimal,
    format_duration,
    format_ratio,
    parse_duration_ns,
    parse_fee,
    parse_number,
    parse_ratio,
    parse_time_ns,
)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("7s", 7_000_000_000),
        ("250ms", 250_000_000),
        ("1.5m", 90_000_000_000),
        ("3us", 3_000),
        ("3µs", 3_000),
        ("9ns", 9),
        ("2h", 7_200_000_000_000),
        (" 7 s ", 7_000_000_000),
        ("7S", 7_000_000_000),
        ("7", 7_000_000_000),
        ("1e-3", 1_000_000),
        (7, 7_000_000_000),
        (0.1, 100_000_000),
        (Decimal("0.3"), 300_000_000),
        (np.int64(2), 2_000_000_000),
        (np.float64(0.7), 700_000_000),
        (0, 0),
    ],
)
def test_durations(text, duration_ns):
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize(
    "wrong",
    ["", "s", "7 days", "7sec", "-1s", -1, "0.5ns", "1e99h", "nan", float("inf"), "1_000", "0x10", True, "1" * 400],
)
def test_wrong_durations_name_the_place(wrong):
    with pytest.raises(ConfigError) as caught:
        parse_duration_ns(wrong, where="risk.window")
    assert caught.value.line().startswith("risk.window: ")
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("0.05%", Fraction(1, 2000)),
        ("0.0005", Fraction(1, 2000)),
        (0.0005, Fraction(1, 2000)),
        (Decimal("0.0005"), Fraction(1, 2000)),
        ("5 %", Fraction(1, 20)),
        ("-5%", Fraction(-1, 20)),
        (".5", Fraction(1, 2)),
        ("1/3", Fraction(1, 3)),
        (Fraction(1, 3), Fraction(1, 3)),
        (1, Fraction(1)),
        (1e-05, Fraction(1, 100_000)),
    ],
)
def test_ratios_are_exact(text, ratio):
    assert parse_ratio(text) == ratio


@pytest.mark.parametrize(("bare", "meant"), [("5", "5%"), (5, "5%"), (2.5, "2.5%"), ("1.5", "1.5%"), ("-5", "-5%")])
def test_a_percentage_without_its_sign_is_not_taken_a_hundredfold(bare, meant):
    with pytest.raises(ConfigError, match=rf"write it with its %, such as {meant}$"):
        parse_ratio(bare)
    assert parse_ratio("500%") == 5
    assert parse_ratio(1) == 1


@pytest.mark.parametrize("wrong", ["", "%", "5%%", "five", "1/0", float("nan"), "nan", "inf%", False, "0,05"])
def test_wrong_ratios(wrong):
    with pytest.raises(ConfigError):
        parse_ratio(wrong)


@pytest.mark.parametrize(
    ("text", "fee"),
    [
        ("5bps", Fee(bps=Fraction(5))),
        ("0.5 bp", Fee(bps=Fraction(1, 2))),
        ("0.005/share", Fee(per_unit=Fraction(1, 200))),
        ("2.25 per contract", Fee(per_unit=Fraction(9, 4))),
        ("1/unit", Fee(per_unit=Fraction(1))),
        ("0", Fee()),
        (0.01, Fee(per_unit=Fraction(1, 100))),
    ],
)
def test_fees(text, fee):
    assert parse_fee(text) == fee
    assert parse_fee(str(fee)) == fee


@pytest.mark.parametrize("wrong", ["-1bps", "free", "5%", "0.1/lot", -1])
def test_wrong_fees(wrong):
    with pytest.raises(ConfigError):
        parse_fee(wrong)


@pytest.mark.parametrize(
    ("duration_ns", "text"), [(0, "0s"), (60_000_000_000, "1m"), (1_500_000_000, "1500ms"), (1, "1ns"), (2_000, "2us")]
)
def test_durations_are_shown_in_the_largest_whole_unit(duration_ns, text):
    assert format_duration(duration_ns) == text


def test_ratios_are_shown_as_percentages():
    assert format_ratio(Fraction(1, 2000)) == "0.05%"
    assert format_ratio(Fraction(-1, 20)) == "-5%"
    assert format_ratio(Fraction(1, 3)) == "1/3"
    assert format_decimal(Fraction(3, 2)) == "1.5"


@given(st.integers(0, MAX_DURATION_NS))
def test_durations_survive_the_round_trip(duration_ns):
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns


@given(st.fractions(-(10**9), 10**9, max_denominator=10**9))
def test_numbers_and_ratios_survive_the_round_trip(number):
    assert parse_number(format_decimal(number)) == number
    assert parse_ratio(format_ratio(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_a_float_is_taken_at_the_decimal_it_prints_as(number):
    text = repr(number)
    if "e" not in text or len(text.partition("e")[2]) <= 3:
        assert parse_number(number) == Fraction(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("2024-01-02 14:30:05.123456789", 1_704_205_805_123_456_789),
        ("2024-01-02T09:30:05.5-05:00", 1_704_205_805_500_000_000),
        ("1704205805123456789", 1_704_205_805_123_456_789),
        ("1969-12-31T23:59:59.25Z", -750_000_000),
    ],
)
def test_times(text, ns):
    assert parse_time_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1704207600", "seconds"), ("1704207600123", "milliseconds"), ("1704207600123456", "microseconds")],
)
def test_a_time_in_a_coarser_unit_is_not_taken_for_one_in_1970(text, unit):
    with pytest.raises(ConfigError, match=f"{text} looks like {unit} since 1970; write it in nanoseconds: {text:0<19}"):
        parse_time_ns(text)


@pytest.mark.parametrize("text", ["banana", "2024-13-02T00:00:00Z", "2024-01-02", "12:30", "2024-01-02T25:00:00", ""])
def test_what_is_no_time(text):
    with pytest.raises(ConfigError, match="is not a time"):
        parse_time_ns(text, where="flag --at")
