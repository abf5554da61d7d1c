"""Nodes: a program's columns, each built once, and the arithmetic of values that become columns.

A value is ``Exact``, a quotient of polynomials in integer columns for which no node exists until it is needed, or
``Real``, a column of doubles. All columns of a value stand on one clock: 0 for the trades, else a bar series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from engine import _program
from engine.graph.algebra import (
    INT64_MAX,
    NO_UNIT,
    Column,
    Exact,
    Poly,
    Real,
    Unit,
    Value,
    common_factor,
    constant_of,
    fits,
    is_bare,
    poly_bound,
    poly_product,
    poly_sum,
    terms_of,
    whole,
)
from engine.language.grammar import Quantity, RuleError
from engine.model import Instrument

TRADES = 0
"""The clock of trades."""

Parameters = Mapping[str, Quantity]

BAR_FIELDS = ("open", "high", "low", "close", "volume", "trades", "start")
"""The integer columns of a bar; those of a developing bar lack the last."""


class Nodes:
    """Adds nodes to a program and finds those that it has already; equal parts are built once."""

    def __init__(self, instrument: Instrument, program: _program.Program | None = None) -> None:
        self.instrument = instrument
        self.program = program if program is not None else _program.Program()
        self._built: dict[tuple[object, ...], int | tuple[object, ...]] = {}
        self._trades_of: dict[int, int] = {}  # clock of bars -> the column that counts a bar's trades

    # -- adding

    def _once(self, method: str, *arguments: object) -> int | tuple[object, ...]:
        key = (method, *(_hashable(argument) for argument in arguments))
        if key not in self._built:
            self._built[key] = getattr(self.program, method)(*arguments)
        return self._built[key]

    def column(self, method: str, *arguments: object) -> int:
        """The column of a method of ``Program`` that makes one."""
        found = self._once(method, *arguments)
        assert isinstance(found, int)
        return found

    def columns(self, method: str, *arguments: object) -> tuple[int, ...]:
        """The columns of a method of ``Program`` that makes several."""
        found = self._once(method, *arguments)
        assert isinstance(found, tuple)
        return found  # type: ignore[return-value]

    def op(self, operation: str, *inputs: int, k: int = 0, x: float = 0.0, clock: int = TRADES) -> int:
        """The column of an operation on columns."""
        return self.column("add", operation, inputs, k, x, clock)

    def made(self, build: Callable[..., Any], columns: tuple[int, ...], clock: int) -> Any:
        """What somebody else's ``build`` makes of columns: one more, if it is right."""
        key = ("made", build, columns, clock)
        if key not in self._built:
            self._built[key] = build(self.program, columns, clock)
        return self._built[key]

    @property
    def has_own(self) -> bool:
        """Whether anything is of somebody else's making."""
        return any(key[0] == "made" for key in self._built)

    def calls(self) -> list[tuple[tuple[Any, ...], Any]]:
        """Every call of a method of ``Program``, as the method and its arguments, with the columns that it made."""
        return list(self._built.items())

    def spans(self) -> Iterator[tuple[str, int]]:
        """What has been built on spans of time, in words, and how long each is [ns]."""
        for key in self._built:
            match key:
                case ("window_time", int(span_ns)):
                    yield "a window", span_ns
                case ("bars", "duration", int(span_ns)):
                    yield "a bar", span_ns
                case ("add", "flat_candles", _, int(span_ns), _, _):
                    yield "a candle", span_ns

    # -- bars and their clocks

    def bars(self, kind: str, length: int) -> tuple[int, dict[str, int], dict[str, int]]:
        """The clock of a bar series, its columns by name, and those of the developing bar on the clock of trades."""
        clock, columns, developing = self._once("bars", kind, length)  # type: ignore[misc]
        assert isinstance(clock, int)
        assert isinstance(columns, tuple)
        assert isinstance(developing, tuple)
        fields = dict(zip(BAR_FIELDS, columns, strict=False)) | {"price_size": columns[-1]}
        shown = dict(zip(BAR_FIELDS[:-1], developing, strict=False)) | {"price_size": developing[-1]}
        self._trades_of[clock] = fields["trades"]
        return clock, fields, shown

    def lifted(self, value: Value, clock: int) -> Value:
        """A value on a clock of bars as it is seen on trades: that of the last closed bar."""
        if isinstance(value, Real):
            return Real(self.column("hold", value.column), value.unit)
        moved = {column: replace(column, index=self.column("hold", column.index)) for column in value.columns()}
        if not moved and not value.guards:
            return value
        guards = {self.column("hold", guard) for guard in value.guards}
        guards.add(self.positive(self.column("hold", self._trades_of[clock])))  # a bar has closed
        top, bottom = (
            {tuple(sorted((moved[c] for c in factors), key=_index)): n for factors, n in poly.items()}
            for poly in (value.numerator, value.denominator)
        )
        return replace(value, numerator=top, denominator=bottom, guards=frozenset(guards))

    # -- conditions

    def positive(self, column: int) -> int:
        """Whether an integer column is above zero."""
        return self.column("compare", [(1, (column,))], _program.COMPARISONS[">"], True, self.program.clock_of(column))

    def never(self, clock: int = TRADES) -> int:
        """A condition that never holds."""
        return self.column("compare", [], _program.COMPARISONS[">"], False, clock)

    def joined(self, op: str, columns: Sequence[int]) -> int:
        """The conditions joined by ``&`` or ``|``, three at a time; one that is there twice counts once."""
        left = list(dict.fromkeys(columns))
        method = "all_of" if op == "&" else "any_of"
        while len(left) > 1:
            left = [self.column(method, *left[:3]), *left[3:]]
        return left[0]

    # -- values

    def same_unit(self, left: Value, right: Value, place: object) -> tuple[Value, Value]:
        """Give a bare number the other side's unit; refuse what cannot be compared."""
        if isinstance(left, Exact) and left.bare and left.unit == NO_UNIT:
            left = self._adopt(left, right.unit)
        elif isinstance(right, Exact) and right.bare and right.unit == NO_UNIT:
            right = self._adopt(right, left.unit)
        if left.unit != right.unit:
            raise RuleError(
                f"{place} mixes {left.unit} and {right.unit}", fix="compare and add only values of the same unit"
            )
        return left, right

    def _adopt(self, number: Exact, unit: Unit) -> Exact:
        return replace(number.scaled(1 / self.display_scale(unit)), unit=unit, bare=False)

    def display_scale(self, unit: Unit) -> Fraction:
        """What one tick, lot and second of a unit are in the units that people read."""
        digits = unit.price * self.instrument.price_precision + unit.size * self.instrument.size_precision
        return Fraction(10) ** -digits

    def shown(self, value: Value, clock: int = TRADES) -> int:
        """The column of doubles of a value in the units that people read; NaN while undefined."""
        scale = self.display_scale(value.unit)
        if isinstance(value, Exact):
            return self.as_real(value.scaled(scale), clock)
        if scale == 1:
            return value.column
        if scale < 1:  # whole numbers of ticks are then rounded once
            return self.op("/", value.column, self.column("float_const", float(1 / scale), clock))
        return self.op("*", value.column, self.column("float_const", float(scale), clock))

    def combine(self, op: str, left: Value, right: Value, clock: int) -> Value:
        """The value of ``left op right``; exact where both are and 128 bits hold the result."""
        unit = left.unit if op in "+-" else left.unit.times(right.unit, 1 if op == "*" else -1)
        if isinstance(left, Exact) and isinstance(right, Exact):
            made = _combine_exact(op, left, right, unit)
            if fits(made.numerator) and fits(made.denominator):
                return made
        return Real(self.op(op, self.as_real(left, clock), self.as_real(right, clock)), unit)

    def difference(self, left: Exact, right: Exact) -> Exact:
        """``left - right``, whether or not 128 bits hold it."""
        return _combine_exact("-", left, right, left.unit)

    def as_real(self, value: Value, clock: int) -> int:
        """The column of doubles of a value in ticks and lots; NaN while undefined."""
        if isinstance(value, Real):
            return value.column
        if not value.columns():
            return self.guarded(self.column("float_const", _double(constant_of(value)), clock), value.guards, clock)
        top, bottom = whole(value.numerator, value.denominator)
        top_terms, bottom_terms = terms_of(top), terms_of(bottom)
        if top_terms is None or bottom_terms is None:
            raise RuleError("an expression does not fit in 128 bits", fix="use fewer products, or a shorter window")
        narrow = max(poly_bound(top), poly_bound(bottom)) <= INT64_MAX
        guard = self.joined("&", sorted(value.guards)) if value.guards else -1
        return self.column("ratio", top_terms, bottom_terms, clock, narrow, guard)

    def guarded(self, column: int, guards: frozenset[int], clock: int) -> int:
        """A column of doubles that is NaN unless all conditions of ``guards`` hold."""
        if not guards:
            return column
        return self.op("guarded", self.joined("&", sorted(guards)), column)

    def logarithm(self, value: Value, clock: int) -> int:
        """The natural logarithm of a value as it stands, good to the last place where the value is near 1."""
        if isinstance(value, Exact) and value.columns():
            less_one = replace(value, numerator=poly_sum(value.numerator, value.denominator, -1))
            if fits(less_one.numerator):
                return self.op("log_of", self.as_real(value, clock), self.as_real(less_one, clock))
        return self.op("log", self.as_real(value, clock))

    def exactly(self, column: int) -> tuple[int, frozenset[int]]:
        """The column of integers of one of doubles that are whole numbers, and the guard of its being defined."""
        return self.op("whole", column), frozenset({self.op("known", column)})


def _double(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        raise RuleError("a number is too large for any price or size", fix="use one below 1e300") from None


def _combine_exact(op: str, left: Exact, right: Exact, unit: Unit) -> Exact:
    a, b, c, d = left.numerator, left.denominator, right.numerator, right.denominator
    if op == "/":
        c, d = d, c
    if op in "*/":
        top, bottom = poly_product(a, c), poly_product(b, d)
    elif b == d:
        top, bottom = poly_sum(a, c, 1 if op == "+" else -1), b
    else:
        top = poly_sum(poly_product(a, d), poly_product(c, b), 1 if op == "+" else -1)
        bottom = poly_product(b, d)
    top, bottom = common_factor(top, bottom)
    bare = left.unit == right.unit == NO_UNIT and is_bare(left) and is_bare(right)
    return Exact(top, bottom, unit, left.guards | right.guards, bare)


def single(column: Column) -> Poly:
    """The polynomial that is one column."""
    return {(column,): Fraction(1)}


ONE: Poly = {(): Fraction(1)}


def _index(column: Column) -> int:
    return column.index


def _hashable(argument: object) -> object:
    return tuple(map(_hashable, argument)) if isinstance(argument, list | tuple) else argument
