"""Values and conditions of other instruments in the graph, as of the present trade of this one.

Their nodes stand in the other instrument's program, and are read from here.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine import _program
from engine.errors import nearest
from engine.graph.algebra import Column, Exact, Poly, Real, Value
from engine.graph.catalogue import setting
from engine.graph.compiling import Compiling
from engine.graph.nodes import TRADES, Parameters
from engine.language.grammar import RuleError
from engine.language.measures import Other, OtherCondition, Symbol


def instrument_of(compiler: Compiling, named: Symbol, parameters: Parameters) -> tuple[int, Compiling]:
    """An instrument's number and compiler.

    Raises:
        RuleError: there is none of that name.
    """
    symbol = named if isinstance(named, str) else str(setting(named, parameters))
    if symbol not in compiler.others:
        raise RuleError(f"there is no instrument {symbol!r} in this stream", fix=nearest(symbol, compiler.others))
    return compiler.others[symbol]


def compile_other(compiler: Compiling, expr: Other, parameters: Parameters) -> Value:
    """Another instrument's value, in this one's ticks and lots."""
    nodes, (number, other) = compiler.nodes, instrument_of(compiler, expr.symbol, parameters)
    value = other.value(expr.inner, parameters)
    if other is compiler:  # its latest trade is the present one
        return value
    factor = other.nodes.display_scale(value.unit) / nodes.display_scale(value.unit)
    if isinstance(value, Real) or any(column.wide for column in value.columns()):
        column = nodes.column("other", number, other.program, other.nodes.as_real(value, TRADES))
        if factor != 1:
            column = nodes.op("*", column, nodes.column("float_const", float(factor)))
        return Real(column, value.unit)
    moved = {
        c: Column(nodes.column("other", number, other.program, c.index), c.bound, c.positive) for c in value.columns()
    }
    guards = {nodes.positive(c.index) for c in moved.values() if c.positive}
    guards |= {nodes.column("other", number, other.program, guard) for guard in value.guards}
    if not guards:  # nothing in it says that there is no trade yet
        price = nodes.column("other", number, other.program, _program.PRICE_COLUMN)
        guards = {nodes.positive(price)}
    top, bottom = (_renamed(poly, moved) for poly in (value.numerator, value.denominator))
    return Exact(top, bottom, value.unit, frozenset(guards)).scaled(factor)


def compile_other_condition(compiler: Compiling, part: OtherCondition, parameters: Parameters, *, negated: bool) -> int:
    """The column of another instrument's condition."""
    number, other = instrument_of(compiler, part.symbol, parameters)
    inner = other.condition_on(part.inner, parameters, TRADES, negated=negated)
    if other is compiler:  # its latest trade is the present one
        return inner
    return compiler.nodes.column("other", number, other.program, inner)


def _renamed(poly: Poly, names: Mapping[Column, Column]) -> Poly:
    return {tuple(sorted((names[c] for c in key), key=lambda c: c.index)): n for key, n in poly.items()}
