"""Series in the graph: functions of a value's own past, on whichever clock the value stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import _program
from engine.algebra import NO_UNIT, TIME, Column, Exact, Real, Value, poly_bound, terms_of, whole
from engine.catalogue import MAX_NS, quantity_of
from engine.errors import nearest
from engine.grammar import Expr, RuleError
from engine.measures import Past, Series
from engine.model import SECOND_NS
from engine.nodes import ONE, TRADES, Parameters, single

if TYPE_CHECKING:
    from engine.compiler import Compiler

LARGEST_EXACT_DOUBLE = 1 << 53
"""Whole numbers up to here are doubles."""

Builder = Callable[["Compiler", Series, Parameters, int], Value]


def compile_series(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
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


def _real(compiler: Compiler, expr: Series, parameters: Parameters, clock: int, place: int = 0) -> Real:
    """The ``place``-th input as a column of doubles."""
    part = expr.inputs[place]
    assert isinstance(part, Expr)
    value = compiler.value(part, parameters, clock)
    return Real(compiler.nodes.as_real(value, clock), value.unit)


def _tail(compiler: Compiler, length: int, clock: int) -> int:
    return compiler.nodes.column("window_count", length, clock)


def _previous(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
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


def _kept(compiler: Compiler, value: Value, clock: int, select: Callable[[int], int]) -> Value:
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


def _rolling(operation: str) -> Builder:
    def build(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
        value, length = _real(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
        tail = _tail(compiler, length, clock)
        return Real(compiler.nodes.op(operation, value.column, tail, k=length), value.unit)

    return build


def _sma(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    total, length = _rolling("roll_sum")(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
    assert isinstance(total, Real)
    count = compiler.nodes.column("float_const", float(length), clock)
    return Real(compiler.nodes.op("/", total.column, count), total.unit)


def _average(alpha: Callable[[int], float]) -> Builder:
    def build(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
        value, length = _real(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
        return Real(compiler.nodes.op("ema", value.column, k=length, x=alpha(length)), value.unit)

    return build


def _ema_time(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    value = _real(compiler, expr, parameters, clock)
    assert expr.length is not None
    half_life = quantity_of(expr.length, parameters)
    if half_life.value < 1:
        raise RuleError(f"a half-life of {half_life}", where=str(expr.length), fix="use one longer than zero")
    return Real(compiler.nodes.op("ema_time", value.column, x=float(half_life.value)), value.unit)


def _cumulative(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    value = _real(compiler, expr, parameters, clock)
    return Real(compiler.nodes.op("cumulative", value.column), value.unit)


def _hedge_ratio(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    y, x = (_real(compiler, expr, parameters, clock, place) for place in (0, 1))
    length = length_of(expr, parameters, clock)
    tail = _tail(compiler, length, clock)
    return Real(compiler.nodes.op("roll_beta", y.column, x.column, tail, k=length), y.unit.times(x.unit, -1))


def _latest(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    part = expr.inputs[1]
    assert isinstance(part, Expr)
    nth = length_of(expr, parameters, clock, least=0)
    value = compiler.value(part, parameters, clock)
    return _kept(compiler, value, clock, lambda column: compiler.nodes.op("latest", when, column, k=nth))


def _extreme(sign: float) -> Builder:
    def build(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
        part, length = expr.inputs[0], length_of(expr, parameters, clock)
        assert isinstance(part, Expr)
        value, tail = compiler.value(part, parameters, clock), _tail(compiler, length, clock)
        return _kept(
            compiler, value, clock, lambda column: compiler.nodes.op("roll_extreme", column, tail, k=length, x=sign)
        )

    return build


def _counted(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    """Records for which, or since which, a condition has held."""
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    column = Column(compiler.nodes.op(expr.function, when), MAX_NS, positive=False)
    return Exact(single(column), ONE, NO_UNIT)


def _timed(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
    """Time for which, or since which, a condition has held."""
    when = compiler.condition_on(expr.inputs[0], parameters, clock)
    column = Column(compiler.nodes.op(expr.function, when), MAX_NS, positive=False)
    return Exact(single(column), {(): ONE[()] * SECOND_NS}, TIME)


_BUILDERS: dict[str, Builder] = {
    "previous": _previous,
    "total": _rolling("roll_sum"),
    "highest": _extreme(1.0),
    "lowest": _extreme(-1.0),
    "stdev": _rolling("roll_stdev"),
    "mad": _rolling("roll_mad"),
    "slope": _rolling("roll_slope"),
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
