"""A million updates move an exponential average less than one part in 10^12 away from fifty digits."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.rules import ema, price, wilder
from tests.oracle.averages import DIGITS, ReferenceAverage, worst_error

AVERAGES = {
    "ema 20": (ema(price, 20), 20, DIGITS.divide(Decimal(2), Decimal(21))),
    "ema 5000": (ema(price, 5000), 5000, DIGITS.divide(Decimal(2), Decimal(5001))),
    "wilder 14": (wilder(price, 14), 14, DIGITS.divide(Decimal(1), Decimal(14))),
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_stay_with_fifty_digits(name):
    expression, length, part = AVERAGES[name]
    assert worst_error(expression, ReferenceAverage(length, part), 1_000_000, 50_000) < 1e-12


def test_the_reference_sees_a_difference():
    """An average with another memory is nowhere near, or else the test above proves nothing."""
    other = ReferenceAverage(20, DIGITS.divide(Decimal(2), Decimal(22)))
    assert worst_error(ema(price, 20), other, 100_000, 10_000) > 1e-9
