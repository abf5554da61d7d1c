"""The algebra behind rules: units, polynomials in the core's integer columns, and quotients of two of them.

Coefficients are fractions, so nothing rounds; ``whole`` clears denominators once a sign is all that is asked for, and
``terms_of`` says whether the core's 128 bits can hold what remains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

INT64_MAX = (1 << 63) - 1
INT128_MAX = (1 << 127) - 1

Term = tuple[int, tuple[int, ...]]
"""A coefficient and the columns that it multiplies, as the core takes them."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Dimensions as exponents of price, size and time; a bare number or ratio has none."""

    price: int = 0
    size: int = 0
    time: int = 0

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """The unit of a product (``sign`` 1) or quotient (-1)."""
        return Unit(self.price + sign * other.price, self.size + sign * other.size, self.time + sign * other.time)

    def __str__(self) -> str:
        known = {Unit(): "a ratio", PRICE: "a price", SIZE: "a size", RATE: "a size per second", TIME: "a duration"}
        return known.get(self, f"price^{self.price} size^{self.size} time^{self.time}")


NO_UNIT, PRICE, SIZE, RATE = Unit(), Unit(price=1), Unit(size=1), Unit(size=1, time=-1)
PER_SECOND, TIME = Unit(time=-1), Unit(time=1)


@dataclass(frozen=True, slots=True)
class Column:
    """An integer column of the core: what bounds it and whether it can be zero or negative."""

    index: int
    bound: int
    positive: bool = True
    wide: bool = False


Poly = dict[tuple[Column, ...], Fraction]
"""A polynomial: sorted factors -> coefficient."""


def poly_sum(a: Poly, b: Poly, sign: int = 1) -> Poly:
    """``a + sign * b`` without terms that vanish."""
    total = dict(a)
    for factors, coefficient in b.items():
        total[factors] = total.get(factors, Fraction(0)) + sign * coefficient
    return {factors: coefficient for factors, coefficient in total.items() if coefficient}


def poly_product(a: Poly, b: Poly) -> Poly:
    """``a * b`` without terms that vanish."""
    product: Poly = {}
    for factors_a, x in a.items():
        for factors_b, y in b.items():
            factors = tuple(sorted(factors_a + factors_b, key=lambda column: column.index))
            product[factors] = product[factors] + x * y if factors in product else x * y
    return {factors: coefficient for factors, coefficient in product.items() if coefficient}


def is_positive(poly: Poly) -> bool:
    """Whether the polynomial is positive whatever the columns hold."""
    return bool(poly) and all(c > 0 and all(column.positive for column in factors) for factors, c in poly.items())


def common_factor(a: Poly, b: Poly) -> tuple[Poly, Poly]:
    """Divide both by the one-term factor they share, when it is positive: keeps comparisons narrow."""
    if len(b) == 1 and len(next(iter(b))) == 1:
        (column,) = next(iter(b))
        if column.positive and a and all(column in factors for factors in a):
            return {without(factors, column): c for factors, c in a.items()}, {(): next(iter(b.values()))}
    return a, b


def without(factors: tuple[Column, ...], column: Column) -> tuple[Column, ...]:
    """``factors`` with one occurrence of ``column`` removed."""
    place = factors.index(column)
    return factors[:place] + factors[place + 1 :]


def poly_bound(poly: Poly) -> int:
    """The largest absolute value that a polynomial with whole coefficients can take."""
    total = 0
    for factors, coefficient in poly.items():
        size = abs(coefficient.numerator)
        for column in factors:
            size *= column.bound
        total += size
    return total


def whole(*polys: Poly) -> list[Poly]:
    """Scale the polynomials together by the smallest positive factor that makes all coefficients whole."""
    values = [coefficient for poly in polys for coefficient in poly.values()]
    up = lcm(*(value.denominator for value in values))
    down = gcd(*(value.numerator * (up // value.denominator) for value in values)) or 1
    if up == down:  # they are whole, most of them
        return list(polys)
    factor = Fraction(up, down)
    return [{factors: value * factor for factors, value in poly.items()} for poly in polys]


def fits(poly: Poly) -> bool:
    """Whether the core can compute the polynomial, its coefficients made whole."""
    return terms_of(whole(poly)[0]) is not None


def terms_of(poly: Poly) -> list[Term] | None:
    """The polynomial as the core takes it, or None when 128 bits or the core's term shape cannot hold it."""
    if poly_bound(poly) > INT128_MAX:
        return None
    for factors, coefficient in poly.items():
        if len(factors) > 3 or sum(column.wide for column in factors) > 1 or abs(coefficient.numerator) > INT64_MAX:
            return None
    return plain_terms(poly)


@dataclass(frozen=True, slots=True)
class Exact:
    """``numerator / denominator`` in ticks, lots and seconds; undefined unless all conditions of ``guards`` hold."""

    numerator: Poly
    denominator: Poly
    unit: Unit
    guards: frozenset[int] = frozenset()  # columns of conditions
    bare: bool = False  # a number written without a unit: takes the unit of what it meets

    def columns(self) -> set[Column]:
        """Every column that the value is made of."""
        return {column for poly in (self.numerator, self.denominator) for factors in poly for column in factors}

    def scaled(self, factor: Fraction) -> Exact:
        """The value times a number."""
        if factor == 1:
            return self
        return replace(self, numerator={factors: c * factor for factors, c in self.numerator.items()})


@dataclass(frozen=True, slots=True)
class Real:
    """A column of doubles, in ticks and lots; NaN while undefined."""

    column: int
    unit: Unit


Value = Exact | Real


def plain_terms(poly: Poly) -> list[Term]:
    """The terms of a polynomial whose coefficients are whole."""
    return [(coefficient.numerator, tuple(column.index for column in factors)) for factors, coefficient in poly.items()]


def sum_of(terms: Sequence[Term], known: Mapping[int, int]) -> int:
    """The exact value of terms for known columns. Loops, because viewers read all their features by it."""
    total = 0
    for product, columns in terms:
        for column in columns:
            product *= known[column]
        total += product
    return total


def is_bare(value: Value) -> bool:
    """Whether the value is a number written without a unit."""
    return isinstance(value, Exact) and value.bare


def constant_of(value: Exact) -> Fraction:
    """The value of an expression without columns."""
    return sum(value.numerator.values(), Fraction(0)) / sum(value.denominator.values())
