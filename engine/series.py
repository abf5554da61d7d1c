"""Series in the graph: functions of a value's own past, on whichever clock the value stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import _program
from engine.algebra import NO_UNIT, TIME, Column, Exact, Real, Value
from engine.catalogue import MAX_NS, quantity_of
from engine.errors import nearest
from engine.grammar import Expr, RuleError
from engine.measures import Series
from engine.model import SECOND_NS
from engine.nodes import ONE, TRADES, Parameters, single

if TYPE_CHECKING:
    from engine.compiler import Compiler

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


def length_of(expr: Series, parameters: Parameters, clock: int) -> int:
    """The number of records, within what a ring of trades or bars can hold."""
    assert expr.length is not None
    length = int(quantity_of(expr.length, parameters).value)
    longest = _program.MAX_WINDOW_TRADES if clock == TRADES else _program.MAX_WINDOW_BARS
    if not 1 <= length <= longest:
        raise RuleError(f"{expr} over {length} records", where=str(expr.length), fix=f"between 1 and {longest}")
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
    """An integer column stays exact; anything else is remembered as a double."""
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
    return Real(nodes.op("previous", nodes.as_real(value, clock), k=length), value.unit)


def _rolling(operation: str, x: float = 0.0) -> Builder:
    def build(compiler: Compiler, expr: Series, parameters: Parameters, clock: int) -> Value:
        value, length = _real(compiler, expr, parameters, clock), length_of(expr, parameters, clock)
        tail = _tail(compiler, length, clock)
        return Real(compiler.nodes.op(operation, value.column, tail, k=length, x=x), value.unit)

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
    value = _real(compiler, expr, parameters, clock, 1)
    assert expr.length is not None
    nth = int(quantity_of(expr.length, parameters).value)
    return Real(compiler.nodes.op("latest", when, value.column, k=nth), value.unit)


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
    "highest": _rolling("roll_extreme", 1.0),
    "lowest": _rolling("roll_extreme", -1.0),
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
