"""Short ways to write small markets, values and bars in the catalogue's hand-worked tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.oracle import catalogue as cat
from tests.oracle import catalogue_structure as struct
from tests.oracle.catalogue import SECOND_NS, Market, Record, Value, Values
from tests.oracle.catalogue_bars import Bar

S = SECOND_NS
LN_2 = "0.6931471805599453094172321214581765680755001343602"
"""To 49 digits, from a table."""


def trades(*rows: tuple[float, int, int], **more: Any) -> Market:
    """A market of trades given as (seconds, price, size)."""
    return cat.market([Record(round(at * S), price, size) for at, price, size in rows], **more)


def prices(*values: int) -> Market:
    """One trade a second of size 1."""
    return trades(*((at, price, 1) for at, price in enumerate(values)))


def numbers(*values: int | str | None) -> Values:
    """Literals: whole numbers, ratios as in "1/3", and None for undefined."""
    return [None if value is None else Fraction(value) for value in values]


def near(values: Sequence[Value], *expected: str | None) -> bool:
    """Equal to decimals of twenty digits, or to short exact ones."""
    return len(values) == len(expected) and all(
        value is None if text is None else value is not None and abs(value - Fraction(text)) < Fraction(1, 10**18)
        for value, text in zip(values, expected, strict=True)
    )


def flags(text: str) -> list[bool]:
    """``..x.`` as conditions."""
    return [mark == "x" for mark in text]


def bar(open_: int, high: int, low: int, close: int, volume: int = 1) -> Bar:
    return Bar(0, 0, 0, *map(Fraction, (open_, high, low, close, volume, 1, 0)))


def upside_down(built: Sequence[Bar]) -> list[Bar]:
    """The same bars with prices negated: what was bullish is bearish."""
    return [replace(b, open=-b.open, high=-b.low, low=-b.high, close=-b.close) for b in built]


def assert_mirrors(zones: struct.Zones, others: struct.Zones) -> None:
    assert (others.found, others.stands) == (zones.found, zones.stands)
    assert others.top == [None if edge is None else -edge for edge in zones.bottom]
    assert others.bottom == [None if edge is None else -edge for edge in zones.top]
