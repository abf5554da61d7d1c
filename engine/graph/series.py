"""Series in the graph: functions of a value's own past, on whichever clock the value stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from engine import _program
from engine.errors import nearest
from engine.graph.algebra import (
    INT64_MAX,
    INT128_MAX,
    NO_UNIT,
    TIME,
    Column,
    Exact,
    Real,
    Unit,
    Value,
    is_positive,
    poly_bound,
    terms_of,
    whole,
)
from engine.graph.catalogue import MAX_NS, Window, quantity_of
from engine.graph.compiling import Compiling
from engine.graph.nodes import ONE, TRADES, Parameters, single
from engine.language.grammar import Expr, RuleError
from engine.language.measures import Past, Series
from engine.model import SECOND_NS

LARGEST_EXACT_DOUBLE = 1 << 53
"""Whole numbers up to here are doubles."""

MAX_RECORDS = 1 << 48
"""More records than a run can have: at ten million a second it would last for ten months."""

Builder = Callable[["Compiling", Series, Parameters, int], Value]


def compile_series(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    """The value of a series function on a clock.

    Raises:
        RuleError: no such function, or a length that the core cannot hold.
    """
    build = _BUILDERS.get(expr.function)
    if build is None:
        raise RuleError(f"there is no function {expr.function!r}", fix=nearest(expr.function, _BUILDERS))
    return build(compiler, expr, parameters, clock)


def length_of(expr: Series | Past, parameters: Parameters, clock: int, least: int = 1) -> int:
    """The number of records, within what a ring of trades or bars can hold.

    Raises:
        RuleError: fewer than ``least``, or more than that.
    """
    assert expr.length is not None
    length = int(quantity_of(expr.length, parameters).value)
    longest = _program.MAX_WINDOW_TRADES if clock == TRADES else _program.MAX_WINDOW_BARS
    if not least <= length <= longest:
        raise RuleError(f"{expr} over {length} records", where=str(expr.length), fix=f"between {least} and {longest}")
    return length


def _real(compiler: Compiling, expr: Series, parameters: Parameters, clock: int, place: int = 0) -> Real:
    """The ``place``-th input as a column of doubles."""
    part = expr.inputs[place]
    assert isinstance(part, Expr)
    value = compiler.value(part, parameters, clock)
    return Real(compiler.nodes.as_real(value, clock), value.unit)


def _tail(compiler: Compiling, length: int, clock: int) -> int:
    return compiler.nodes.column("window_count", length, clock)


def _previous(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    """A positive integer column is remembered as such, a value of whole numbers as their doubles, which are exact."""
    part, length = expr.inputs[0], length_of(expr, parameters, clock)
    assert isinstance(part, Expr)
    nodes, value = compiler.nodes, compiler.value(part, parameters, clock)
    if isinstance(value, Exact) and value.denominator == ONE and not value.guards and len(value.columns()) == 1:
        (column,) = value.columns()
        if column.positive and not column.wide and (column,) in value.numerator and len(value.numerator) == 1:
            index = nodes.op("previous_int", column.index, k=length)
            coefficient = value.numerator[(column,)]
            known = frozenset({nodes.positive(index)})
            return Exact({(Column(index, column.bound),): coefficient}, ONE, value.unit, known)
    return _kept(compiler, value, clock, lambda column: nodes.op("previous", column, k=length))


def _kept(compiler: Compiling, value: Value, clock: int, select: Callable[[int], int]) -> Value:
    """What ``select`` finds among the past doubles of a value: exact where these are whole numbers that a double holds.

    They are, up to a factor, where the value is a polynomial in integers.
    """
    nodes = compiler.nodes
    if isinstance(value, Exact) and set(value.denominator) == {()} and value.columns():
        (top,) = whole(value.numerator)
        if poly_bound(top) <= LARGEST_EXACT_DOUBLE and terms_of(top) is not None:
            factors, coefficient = next(iter(top.items()))
            scale = value.numerator[factors] / coefficient / value.denominator[()]
            index, known = nodes.exactly(select(nodes.as_real(Exact(top, ONE, value.unit, value.guards), clock)))
            return Exact({(Column(index, poly_bound(top), positive=False),): scale}, ONE, value.unit, known)
    return Real(select(nodes.as_real(value, clock)), value.unit)


# ---------------------------------------------------------------- over the last n records


@dataclass(frozen=True, slots=True)
class Whole:
    """A value that is a whole number, an integer column, times ``scale``; undefined unless all ``guards`` hold."""

    column: Column
    scale: Fraction
    unit: Unit
    guards: frozenset[int]


def _whole(compiler: Compiling, expr: Series, parameters: Parameters, clock: int, place: int = 0) -> Whole | None:
    """The ``place``-th input as whole numbers of 63 bits: prices, sizes and what is added up from them; else None."""
    part = expr.inputs[place]
    assert isinstance(part, Expr)
    value = compiler.value(part, parameters, clock)
    if not isinstance(value, Exact) or set(value.denominator) != {()} or not value.columns():
        return None
    (top,) = whole(value.numerator)
    terms, bound = terms_of(top), poly_bound(top)
    if terms is None or bound > INT64_MAX:
        return None
    factors, coefficient = next(iter(top.items()))
    scale = value.numerator[factors] / coefficient / value.denominator[()]
    if len(top) == len(factors) == abs(coefficient) == 1:
        return Whole(factors[0], scale * coefficient, value.unit, value.guards)
    column = Column(compiler.nodes.column("polynomial", terms, clock), bound, is_positive(top))
    return Whole(column, scale, value.unit, value.guards)


class _Sums:
    """Exact sums over the last ``length`` records, and the guard of there being as many, all of them defined."""

    def __init__(self, compiler: Compiling, length: int, clock: int, *values: Whole) -> None:
        nodes = self._nodes = compiler.nodes
        self._window = Window(nodes, _tail(compiler, length, clock), length)
        guards = sorted({guard for value in values for guard in value.guards})
        if guards:
            self.full = frozenset({nodes.op("unbroken", nodes.joined("&", guards), k=length)})
        else:
            self.full = frozenset({nodes.op("warm_count", k=length, clock=clock)})

    def of(self, *factors: Column) -> Column:
        """Sum of a product of columns."""
        return self._window.sum_of(factors)

    def position(self, clock: int) -> Column:
        """The present record's number in the run."""
        return Column(self._nodes.op("position", clock=clock), MAX_RECORDS)


def _rolling(operation: str, exactly: Callable[[_Sums, Whole, int, int], Exact | None] | None = None) -> Builder:
    """A function over the last records: ``exactly``, from exact sums of whole numbers, else afresh from doubles."""

    def build(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
        length = length_of(expr, parameters, clock)
        exact = _whole(compiler, expr, parameters, clock) if exactly is not None else None
        if exactly is not None and exact is not None:
            made = exactly(_Sums(compiler, length, clock, exact), exact, length, clock)
            if made is not None:
                return made
        value, tail = _real(compiler, expr, parameters, clock), _tail(compiler, length, clock)
        return Real(compiler.nodes.op(operation, value.column, tail, k=length), value.unit)

    return build


def _exact_total(sums: _Sums, x: Whole, length: int, clock: int) -> Exact | None:
    if x.column.bound * length > INT128_MAX:
        return None
    return Exact({(sums.of(x.column),): x.scale}, ONE, x.unit, sums.full)


def _exact_variance(sums: _Sums, x: Whole, length: int, clock: int) -> Exact | None:
    """``(n * sum(x**2) - sum(x)**2) / n**2``: whole numbers, so nothing cancels."""
    if (x.column.bound * length) ** 2 > INT128_MAX // 2 or x.column.bound * length > INT64_MAX:
        return None
    total, squares = sums.of(x.column), sums.of(x.column, x.column)
    top = {(squares,): length * x.scale**2, (total, total): -(x.scale**2)}
    return Exact(top, {(): Fraction(length**2)}, x.unit.times(x.unit), sums.full)


def _exact_slope(sums: _Sums, x: Whole, length: int, clock: int) -> Exact | None:
    """``(2 * sum(i * x) - (n - 1) * sum(x)) / (n * (n**2 - 1) / 6)``, ``i`` counting the window's records from 0.

    Records are numbered through the run, so ``sum(i * x)`` is ``sum(number * x)`` less the first number's ``sum(x)``.
    """
    if length < 2 or 8 * MAX_RECORDS * x.column.bound * length > INT128_MAX:
        return None
    number = sums.position(clock)
    total, weighted = sums.of(x.column), sums.of(number, x.column)
    top = {(weighted,): 2 * x.scale, _sorted(number, total): -2 * x.scale, (total,): (length - 1) * x.scale}
    return Exact(top, {(): Fraction(length * (length**2 - 1), 6)}, x.unit, sums.full)


def _sma(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    total, length = _TOTAL(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
    if isinstance(total, Exact):
        return total.scaled(Fraction(1, length))
    count = compiler.nodes.column("float_const", float(length), clock)
    return Real(compiler.nodes.op("/", total.column, count), total.unit)


def _stdev(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    value = _VARIANCE(compiler, expr, parameters, clock)
    if isinstance(value, Real):
        return value
    (x,) = (compiler.value(part, parameters, clock) for part in expr.inputs if isinstance(part, Expr))
    return Real(compiler.nodes.op("sqrt", compiler.nodes.as_real(value, clock)), x.unit)


_TOTAL = _rolling("roll_sum", _exact_total)
_VARIANCE = _rolling("roll_stdev", _exact_variance)
"""The exact variance, or else the deviation as a double."""


def _average(alpha: Callable[[int], float]) -> Builder:
    def build(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
        value, length = _real(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
        return Real(compiler.nodes.op("ema", value.column, k=length, x=alpha(length)), value.unit)

    return build


def _ema_time(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    value = _real(compiler, expr, parameters, clock)
    assert expr.length is not None
    half_life = quantity_of(expr.length, parameters)
    if half_life.value < 1:
        raise RuleError(f"a half-life of {half_life}", where=str(expr.length), fix="use one longer than zero")
    return Real(compiler.nodes.op("ema_time", value.column, x=float(half_life.value)), value.unit)


def _cumulative(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    value = _real(compiler, expr, parameters, clock)
    return Real(compiler.nodes.op("cumulative", value.column), value.unit)


def _hedge_ratio(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    length = length_of(expr, parameters, clock)
    exact = _exact_hedge_ratio(compiler, expr, parameters, clock, length)
    if exact is not None:
        return exact
    y, x = (_real(compiler, expr, parameters, clock, place) for place in (0, 1))
    tail = _tail(compiler, length, clock)
    return Real(compiler.nodes.op("roll_beta", y.column, x.column, tail, k=length), y.unit.times(x.unit, -1))


def _exact_hedge_ratio(
    compiler: Compiling, expr: Series, parameters: Parameters, clock: int, length: int
) -> Exact | None:
    """``(n * sum(x*y) - sum(x) * sum(y)) / (n * sum(x**2) - sum(x)**2)`` of whole numbers."""
    y, x = (_whole(compiler, expr, parameters, clock, place) for place in (0, 1))
    if y is None or x is None or max(y.column.bound, x.column.bound) * length > INT64_MAX:
        return None
    if (max(y.column.bound, x.column.bound) * length) ** 2 > INT128_MAX // 2:
        return None
    sums = _Sums(compiler, length, clock, y, x)
    total_y, total_x = sums.of(y.column), sums.of(x.column)
    products, squares = sums.of(y.column, x.column), sums.of(x.column, x.column)
    count, factor = Fraction(length), y.scale / x.scale
    top = {(products,): count * factor, _sorted(total_y, total_x): -factor}
    bottom = {(squares,): count, (total_x, total_x): Fraction(-1)}
    return Exact(top, bottom, y.unit.times(x.unit, -1), sums.full)


def _sorted(*columns: Column) -> tuple[Column, ...]:
    """Factors in the order in which polynomials keep them."""
    return tuple(sorted(columns, key=lambda column: column.index))


def _latest(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    part = expr.inputs[1]
    assert isinstance(part, Expr)
    nth = length_of(expr, parameters, clock, least=0)
    value = compiler.value(part, parameters, clock)
    return _kept(compiler, value, clock, lambda column: compiler.nodes.op("latest", when, column, k=nth))


def _extreme(sign: float) -> Builder:
    def build(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
        part, length = expr.inputs[0], length_of(expr, parameters, clock)
        assert isinstance(part, Expr)
        value, tail = compiler.value(part, parameters, clock), _tail(compiler, length, clock)
        return _kept(
            compiler, value, clock, lambda column: compiler.nodes.op("roll_extreme", column, tail, k=length, x=sign)
        )

    return build


def _counted(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    """Records for which, or since which, a condition has held."""
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    column = Column(compiler.nodes.op(expr.function, when), MAX_NS, positive=False)
    return Exact(single(column), ONE, NO_UNIT)


def _timed(compiler: Compiling, expr: Series, parameters: Parameters, clock: int) -> Value:
    """Time for which, or since which, a condition has held."""
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    column = Column(compiler.nodes.op(expr.function, when), MAX_NS, positive=False)
    return Exact(single(column), {(): ONE[()] * SECOND_NS}, TIME)


_BUILDERS: dict[str, Builder] = {
    "previous": _previous,
    "total": _TOTAL,
    "highest": _extreme(1.0),
    "lowest": _extreme(-1.0),
    "stdev": _stdev,
    "mad": _rolling("roll_mad"),
    "slope": _rolling("roll_slope", _exact_slope),
    "sma": _sma,
    "ema": _average(lambda length: 2 / (length + 1)),
    "wilder": _average(lambda length: 1 / length),
    "ema_time": _ema_time,
    "cumulative": _cumulative,
    "hedge_ratio": _hedge_ratio,
    "latest": _latest,
    "run_length": _counted,
    "since_count": _counted,
    "run_time": _timed,
    "since_time": _timed,
}
