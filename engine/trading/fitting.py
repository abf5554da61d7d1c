"""Making lanes of assignments: rule, exits, size and gate compiled for an instrument, and how large a position may be.

The kernel does this once, before its first input: what cannot be compiled or accounted for is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import _core
from engine.account.portfolio import Portfolio
from engine.errors import ConfigError, nearest
from engine.graph.algebra import Exact, Real
from engine.graph.compiler import CompiledRule, Compiler
from engine.graph.nodes import Parameters
from engine.language.exits import ExitPlan
from engine.language.grammar import Expr, Part, RuleError
from engine.model import MAX_PRICE_TICKS, MAX_SIZE_LOTS, Instrument
from engine.quantities import format_decimal
from engine.sizing import Size, Weighted, stated_units
from engine.strategy import Strategy
from engine.trading.lanes import Assignment, Lane

MAX_MONEY = 1 << 120
"""Bound of the starting equity in money units: leaves room in 128 bits for every gain and loss."""

MAX_UNIT = (1 << 63) - 1
"""Bound of the money units in one tick and lot, as the core takes them."""


@dataclass(slots=True)
class Fitted:
    """An assignment compiled for one of its instruments: the rule, and the core's columns of what it measures.

    ``plan`` says what closes its positions. ``columns`` are those of its exits' distances, ``entry``, ``when`` and
    ``hedge``; ``gate`` is -1 where nothing must hold. ``follower`` is the other leg's instrument and the rule of a lane
    that watches for nothing.
    """

    assignment: Assignment
    instrument: int
    rule: CompiledRule
    plan: ExitPlan
    columns: dict[str, int]
    size_columns: dict[str, int]
    gate: int = -1
    follower: tuple[int, CompiledRule] | None = None


@dataclass(slots=True)
class Graphs:
    """All that is computed for assignments: made once for as many kernels as are of one shape.

    ``columns`` are those of what is only watched, ``ranges`` those of the range that risk measures by, both by
    instrument; ``vwap`` those of the session's VWAP and deviation.
    """

    compilers: list[Compiler]
    fitted: list[Fitted]
    vwap: list[tuple[Exact, Real]]
    columns: dict[str, list[int]]
    ranges: list[int]


def compile_graphs(
    instruments: Sequence[Instrument],
    assignments: Sequence[Assignment],
    *,
    show_vwap: bool = False,
    watched: Mapping[str, Part] | None = None,
    parameters: Parameters | None = None,
    measured: Expr | None = None,
) -> Graphs:
    """Compile everything for every instrument, as the kernel wants it; ``measured`` is the range that risk measures by.

    Raises:
        RuleError: something that is declared cannot be compiled.
    """
    numbered: dict[str, tuple[int, Compiler]] = {}
    compilers = [Compiler(instrument, others=numbered) for instrument in instruments]
    numbered.update((c.instrument.symbol, (number, c)) for number, c in enumerate(compilers))
    fitted = fit(assignments, compilers)
    catalogues = [compiler.catalogue for compiler in compilers] if show_vwap else []
    vwap = [(catalogue.session_vwap(), catalogue.session_vwap_sd()) for catalogue in catalogues]
    columns = {name: watch(name, part, compilers, parameters or {}) for name, part in (watched or {}).items()}
    return Graphs(compilers, fitted, vwap, columns, [] if measured is None else ranges_of(measured, compilers))


def fit(assignments: Sequence[Assignment], compilers: Sequence[Compiler]) -> list[Fitted]:
    """Compile every assignment for each of its instruments, in order.

    Raises:
        RuleError: something that a strategy declares cannot be compiled.
    """
    fitted = [
        Fitted(one, index, *_rule(one.strategy, compilers[index]), _size(one, compilers[index]))
        for one in assignments
        for index in one.instruments
    ]
    for each in fitted:
        each.gate = _gate(each.assignment, compilers[each.instrument])
        each.follower = _follower(each, compilers)
    return fitted


def _follower(fitted: Fitted, compilers: Sequence[Compiler]) -> tuple[int, CompiledRule] | None:
    """The other leg's instrument, and its rule, which never fires; None without a hedge."""
    strategy = fitted.assignment.strategy
    plan, where = strategy.hedge_plan(), f"{type(strategy).__name__}.hedge"
    if plan is None:
        return None
    symbols = [compiler.instrument.symbol for compiler in compilers]
    if plan.symbol not in symbols:
        raise RuleError(f"there is no symbol '{plan.symbol}'", where=where, fix=nearest(plan.symbol, symbols))
    index = symbols.index(plan.symbol)
    if index == fitted.instrument:
        raise RuleError(f"{plan.symbol} cannot hedge itself", where=where, fix="name another symbol")
    return index, compilers[index].rule(None, None, strategy.parameters)


def _rule(strategy: Strategy, compiler: Compiler) -> tuple[CompiledRule, ExitPlan, dict[str, int]]:
    """The rule of a strategy on one instrument, its exits, and the columns of what it measures besides."""
    parameters = strategy.parameters
    try:
        rule = compiler.rule(*strategy.conditions(), parameters, type(strategy).warm_up)
        plan, entry = strategy.exit_plan(), strategy.entry_plan()
        if strategy.holds_overnight and any(level.resting for level in plan.levels):
            what, fix = (
                "a target that rests at the venue is not held overnight",
                "leave out resting, or holds_overnight",
            )
            raise RuleError(what, where="exits", fix=fix)
        columns = {name: compiler.distance(expr, parameters) for name, expr in plan.distances.items()}
        if entry.price is not None:
            columns["entry"] = compiler.distance(entry.price, parameters)
        if plan.when is not None:
            columns["when"] = compiler.shown(plan.when, parameters)
        if plan.stop_when is not None:
            columns["stop_when"] = compiler.shown(plan.stop_when, parameters)
        if (hedge := strategy.hedge_plan()) is not None and hedge.measured is not None:
            columns["hedge"] = compiler.shown(hedge.measured, parameters)
        return rule, plan, columns
    except RuleError as error:
        place = f"{type(strategy).__name__}: {error.where}" if error.where else type(strategy).__name__
        raise RuleError(error.what, where=place, fix=error.fix) from None


def _size(assignment: Assignment, compiler: Compiler) -> dict[str, int]:
    """The columns of what a size measures, by name."""
    size, parameters = assignment.sizing, assignment.strategy.parameters
    if size is None:
        return {}
    try:
        columns = {name: compiler.distance(expr, parameters) for name, expr in size.distances().items()}
        return columns | {name: compiler.shown(expr, parameters) for name, expr in size.numbers().items()}
    except RuleError as error:
        raise RuleError(error.what, where=f"{type(assignment.strategy).__name__}.size", fix=error.fix) from None


def _gate(assignment: Assignment, compiler: Compiler) -> int:
    """The column of what must hold when a strategy enters; -1 for nothing."""
    if assignment.when is None:
        return -1
    try:
        return compiler.shown(assignment.when, assignment.strategy.parameters)
    except RuleError as error:
        place = f"{type(assignment.strategy).__name__}: when"
        raise RuleError(error.what, where=place, fix=error.fix) from None


def watch(name: str, part: Part, compilers: Sequence[Compiler], parameters: Parameters) -> list[int]:
    """The column of an expression or condition that is only watched, on every instrument.

    Raises:
        RuleError: it cannot be compiled.
    """
    try:
        return [compiler.shown(part, parameters) for compiler in compilers]
    except RuleError as error:
        place = f"{name}: {error.where}" if error.where else name
        raise RuleError(error.what, where=place, fix=error.fix) from None


def ranges_of(expr: Expr, compilers: Sequence[Compiler]) -> list[int]:
    """The column of the range that risk measures by, on every instrument."""
    return [compiler.distance(expr, {}) for compiler in compilers]


def add_lanes(core: _core.Core, fitted: Fitted, portfolio: Portfolio, most_money: int) -> list[Lane]:
    """Add a lane to the core, and that of its other leg after it, where it has one.

    ``most_money`` is the bound of what a position may be worth, in money units.

    Raises:
        ConfigError: the size is no whole number of lots, or too large to be accounted for.
    """
    lead = add_lane(core, fitted, portfolio, most_money)
    if fitted.follower is None:
        return [lead]
    index, rule = fitted.follower
    number, lots = core.add_lane(index, rule.state, 0, 0), most_lots(portfolio, index, most_money)
    core.hold_lane(number)
    plan, columns = ExitPlan(), dict[str, int]()  # it is left when its lead is
    follower = Lane(number, lead.strategy, index, lots, plan, rule, False, columns, follows=True, partner=lead)
    lead.partner = follower
    return [lead, follower]


def add_lane(core: _core.Core, fitted: Fitted, portfolio: Portfolio, most_money: int) -> Lane:
    """Add a lane to the core; ``most_money`` is the bound of what its position may be worth, in money units.

    Raises:
        ConfigError: its size is no whole number of lots, or too large to be accounted for.
    """
    assignment, index, rule = fitted.assignment, fitted.instrument, fitted.rule
    strategy, columns = assignment.strategy, dict(fitted.columns)
    if assignment.sizing is not None:
        lots = most_lots(portfolio, index, most_money)
        check_stated(assignment.sizing, strategy, portfolio.instruments[index], lots)
    else:
        lots = fixed_lots(assignment, portfolio, index, most_money)
    number = core.add_lane(index, rule.state, rule.warm_up.ns, rule.warm_up.trades)
    asks = type(strategy).on_fire is not Strategy.on_fire
    plan, size_columns = fitted.plan, fitted.size_columns
    lane = Lane(number, strategy, index, lots, plan, rule, asks, columns, assignment.sizing, size_columns)
    lane.entry_plan = strategy.entry_plan()
    lane.entry_column = columns.pop("entry", None)
    lane.when_column = columns.pop("when", -1)
    lane.stop_when_column = columns.pop("stop_when", -1)
    lane.hedge, lane.hedge_column = strategy.hedge_plan(), columns.pop("hedge", -1)
    lane.gate = fitted.gate
    return lane


def most_lots(portfolio: Portfolio, index: int, most_money: int) -> int:
    """The largest position of an instrument that can be accounted for."""
    unit: int = portfolio.units[index]
    return min(MAX_SIZE_LOTS, (most_money - 1) // (unit * MAX_PRICE_TICKS))


def check_stated(size: Size, strategy: Strategy, instrument: Instrument, most: int) -> None:
    """Refuse a size stated in units that is more than so many lots; what is worked out at each entry is cut to them.

    Raises:
        ConfigError: it is too large to be accounted for.
    """
    units = stated_units(size, strategy.parameters)
    if units is not None and units * 10**instrument.size_precision > most:
        declared = strategy.size is (size.size if isinstance(size, Weighted) else size)
        raise ConfigError(
            f"a position of {format_decimal(units)} {instrument.symbol} is too large to be accounted for",
            where=f"size of {type(strategy).__name__}" if declared else "sizing.size",
            fix=f"at most {instrument.size(most)}",
        )


def fixed_lots(assignment: Assignment, portfolio: Portfolio, index: int, most_money: int) -> int:
    """The size of every entry of a lane, in lots.

    Raises:
        ConfigError: it is no whole number of them, or too large to be accounted for.
    """
    instrument = portfolio.instruments[index]
    lots = assignment.size * 10**instrument.size_precision
    if lots.denominator != 1 or lots < 1:
        raise ConfigError(
            f"a position of {float(assignment.size):g} is not a whole number of {instrument.symbol}'s lots",
            where="risk.position_size",
            fix=f"use a multiple of {instrument.size(1)}",
        )
    unit = portfolio.units[index]
    if lots * unit * MAX_PRICE_TICKS >= most_money or unit > MAX_UNIT:
        raise ConfigError(
            f"a position of {float(assignment.size):g} {instrument.symbol} cannot be accounted for in 128 bits",
            where="risk.position_size",
            fix="use a smaller size, or instruments whose precisions are closer together",
        )
    if lots > MAX_SIZE_LOTS:
        raise ConfigError(
            f"a position of {float(assignment.size):g} is too large",
            where="risk.position_size",
            fix=f"at most {instrument.size(MAX_SIZE_LOTS)}",
        )
    return int(lots)
