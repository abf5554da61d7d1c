"""What people read of a compiled rule: each comparison's value and threshold, as of the core's present event.

A value is divided once, from the very integers that the graph holds, so a reading is the double that a column of it
would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from math import isnan, nan

from engine import _core
from engine.graph.algebra import NO_UNIT, PRICE, SIZE, TIME, Exact, Real, Term, Value, plain_terms, sum_of, whole
from engine.language.grammar import Binary, Comparison
from engine.language.measures import Series

COUNTED = ("run_length", "run_time", "since_count", "since_time")
"""For how long, or since when, a condition has held: what ``for_at_least`` and ``within`` compare."""

Reading = Callable[[_core.Core, int], float]
"""Reads a value of an instrument as of the core's present event."""

FOLDED: dict[str, Callable[..., float]] = {"abs": abs, "minimum": min, "maximum": max}


@dataclass(frozen=True, slots=True)
class Folded:
    """``abs``, ``minimum`` or ``maximum`` of exact values: decided without it, so the graph has no column of it."""

    function: str
    values: tuple[Exact, ...]


@dataclass(frozen=True)
class ConditionView:
    """One comparison as people read it: ``name op threshold``, in the units they think in.

    ``written`` is the whole of it where that has a word of its own: ``for_at_least(x, 3s)``, whose ``name`` is the same
    and whose value is the time for which x has held.
    """

    name: str
    op: str
    threshold_text: str
    unit: str  # "%" (a ratio that people read in percent), "x", "price", "size", "s", "truth" (1 or 0) or ""
    exact: bool  # decided without rounding, and so is every condition that it rests on
    column: int  # bool
    left: Value | Folded
    right: Value
    left_scale: Fraction  # from ticks, lots and seconds to the unit shown
    right_scale: Fraction
    written: str = ""
    against: str = ""  # the right side, where it changes with the market
    side: str = ""  # "long" or "short" where it stands in that side's condition alone

    def values(self, core: _core.Core, instrument: int) -> tuple[float, float, bool]:
        """Return value, threshold and whether it holds, as of the core's present event; NaN while undefined."""
        left, right = self._readings
        return left(core, instrument), right(core, instrument), bool(core.value(instrument, self.column))

    @cached_property
    def _readings(self) -> tuple[Reading, Reading]:
        """How its two sides are read; worked out once, because viewers look many times a second."""
        return reading_of(self.left, self.left_scale), reading_of(self.right, self.right_scale)


def reading_of(value: Value | Folded, scale: Fraction) -> Reading:
    """How to read a value times ``scale``: as the very double that its column of doubles would hold, NaN undefined."""
    if isinstance(value, Real):
        return partial(_read_double, value.column, scale)
    if isinstance(value, Folded):
        each = [reading_of(one, Fraction(1)) for one in value.values]
        return partial(_read_folded, FOLDED[value.function], each, scale)
    top, bottom = whole(value.scaled(scale).numerator, value.denominator)
    columns = sorted({column.index for column in value.columns()})
    return partial(_read_quotient, plain_terms(top), plain_terms(bottom), columns, sorted(value.guards))


def _read_double(column: int, scale: Fraction, core: _core.Core, instrument: int) -> float:
    number = core.value(instrument, column)
    return nan if number is None else _scaled(float(number), scale)


def _read_folded(
    fold: Callable[..., float], each: Sequence[Reading], scale: Fraction, core: _core.Core, instrument: int
) -> float:
    values = [read(core, instrument) for read in each]
    return nan if any(map(isnan, values)) else _scaled(fold(*values), scale)


def _read_quotient(
    top: Sequence[Term],
    bottom: Sequence[Term],
    columns: Sequence[int],
    guards: Sequence[int],
    core: _core.Core,
    instrument: int,
) -> float:
    known: dict[int, int] = {}
    for column in columns:
        value = core.value(instrument, column)
        if value is None:
            return nan
        known[column] = int(value)
    for guard in guards:
        if not core.value(instrument, guard):
            return nan
    numerator, denominator = sum_of(top, known), sum_of(bottom, known)
    try:
        return _core.divide(numerator, denominator)
    except OverflowError:
        return float(Fraction(numerator, denominator)) if denominator else nan


def _scaled(number: float, scale: Fraction) -> float:
    """A double in the units that people read, as ``Nodes.shown`` makes it of a column."""
    return number / float(1 / scale) if scale < 1 else number * float(scale)


def view_of_comparison(
    part: Comparison,
    op: str,
    column: int,
    exact: bool,
    left: Value | Folded,
    right: Value,
    scale: Fraction,
    *,
    percent: bool,
    fixed: bool,
) -> ConditionView:
    """A comparison that stands in a rule, as people read it.

    Args:
        part, op, column: the comparison as it was written, the relation that it became, and its column.
        exact: whether it, and all that it rests on, was decided exactly.
        left, right: its sides as they were compiled.
        scale: from the core's units to those that people read.
        percent: whether people read it in percent, where it has no unit.
        fixed: whether its right side is the same at every trade.
    """
    word = {PRICE: "price", SIZE: "size", TIME: "s"}.get(right.unit, "")
    if right.unit == NO_UNIT:
        times = isinstance(part.left, Binary) and part.left.op == "/"  # an index, such as rsi, has no unit at all
        word = "%" if percent else "x" if times else ""
    name = name_of(part)
    written = "" if name == str(part.left) else name if op == part.op else f"not {name}"
    against = "" if fixed else str(part.right)
    return ConditionView(name, op, str(part.right), word, exact, column, left, right, scale, scale, written, against)


def view_of_truth(name: str, column: int, exact: bool) -> ConditionView:
    """A condition that is no comparison, as 1 where it holds and 0 where it does not."""
    truth, one = Real(column, NO_UNIT), Exact({(): Fraction(1)}, {(): Fraction(1)}, NO_UNIT)
    return ConditionView(name, ">=", "1", "truth", exact, column, truth, one, Fraction(1), Fraction(1))


def add_view(views: list[ConditionView], view: ConditionView) -> None:
    """Add a view, unless the same condition stands in the rule already."""
    if all((view.column, view.op) != (other.column, other.op) for other in views):
        views.append(view)


def views_of_sides(long: Sequence[ConditionView], short: Sequence[ConditionView]) -> list[ConditionView]:
    """The conditions of a rule: of a long entry, then what a short one has beside; each says whose alone it is."""
    if not long or not short:  # there is nothing to tell apart
        return [*long, *short]
    keys = [{(view.column, view.op) for view in side} for side in (long, short)]
    views = [replace(view, side="" if (view.column, view.op) in keys[1] else "long") for view in long]
    return views + [replace(view, side="short") for view in short if (view.column, view.op) not in keys[0]]


def name_of(part: Comparison) -> str:
    """What a comparison compares: its left side, or the call that made it, where that counts or times a condition."""
    counted = isinstance(part.left, Series) and part.left.function in COUNTED
    return str(part) if counted and part.made_by is not None else str(part.left)
