"""What people read of a compiled rule: each comparison's value and threshold, as of the core's present event.

A value is divided once, from the very integers that the graph holds, so a reading is the double that a column of it
would hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isnan, nan

from engine import _core
from engine.algebra import Exact, Real, Value, evaluate, whole
from engine.grammar import Comparison
from engine.measures import Series

COUNTED = ("run_length", "run_time", "since_count", "since_time")
"""For how long, or since when, a condition has held: what ``for_at_least`` and ``within`` compare."""

FOLDED: dict[str, Callable[..., float]] = {"abs": abs, "minimum": min, "maximum": max}


@dataclass(frozen=True, slots=True)
class Folded:
    """``abs``, ``minimum`` or ``maximum`` of exact values: decided without it, so the graph has no column of it."""

    function: str
    values: tuple[Exact, ...]


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One comparison as people read it: ``name op threshold``, in the units they think in.

    ``written`` is the whole of it where that has a word of its own: ``for_at_least(x, 3s)``, whose ``name`` is the same
    and whose value is the time for which x has held.
    """

    name: str
    op: str
    threshold_text: str
    unit: str  # "%" (a ratio that people read in percent), "x", "price", "size", "s" or ""
    exact: bool
    column: int  # bool
    left: Value | Folded
    right: Value
    left_scale: Fraction  # from ticks, lots and seconds to the unit shown
    right_scale: Fraction
    written: str = ""

    def values(self, core: _core.Core, instrument: int) -> tuple[float, float, bool]:
        """Return value, threshold and whether it holds, as of the core's present event; NaN while undefined."""
        holds = bool(core.value(instrument, self.column))
        left = read(core, instrument, self.left, self.left_scale)
        return left, read(core, instrument, self.right, self.right_scale), holds


def read(core: _core.Core, instrument: int, value: Value | Folded, scale: Fraction) -> float:
    """A value as of the present event, times ``scale``: the very double that its column of doubles would hold."""
    if isinstance(value, Real):
        number = core.value(instrument, value.column)
        return nan if number is None else _scaled(float(number), scale)
    if isinstance(value, Folded):
        each = [read(core, instrument, one, Fraction(1)) for one in value.values]
        return nan if any(map(isnan, each)) else _scaled(FOLDED[value.function](*each), scale)
    known = {column: core.value(instrument, column.index) for column in value.columns()}
    if any(number is None for number in known.values()):
        return nan
    if not all(core.value(instrument, guard) for guard in value.guards):
        return nan
    top, bottom = (evaluate(poly, known) for poly in whole(value.scaled(scale).numerator, value.denominator))
    try:
        return _core.divide(int(top), int(bottom))
    except OverflowError:
        return float(top / bottom) if bottom else nan


def _scaled(number: float, scale: Fraction) -> float:
    """A double in the units that people read, as ``Nodes.shown`` makes it of a column."""
    return number / float(1 / scale) if scale < 1 else number * float(scale)


def name_of(part: Comparison) -> str:
    """What a comparison compares: its left side, or the call that made it, where that counts or times a condition."""
    counted = isinstance(part.left, Series) and part.left.function in COUNTED
    return str(part) if counted and part.made_by is not None else str(part.left)
