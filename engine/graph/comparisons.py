"""Comparisons in the graph: exact wherever the two sides are, as the sign of one polynomial, else of doubles.

``abs``, ``minimum`` and ``maximum`` of exact values are taken apart into comparisons of those, and a value that is
compared with many numbers is looked at by its bounds in a block of trades first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from engine import _program
from engine.graph.algebra import (
    INT64_MAX,
    Exact,
    Value,
    constant_of,
    is_positive,
    poly_bound,
    poly_product,
    terms_of,
    whole,
)
from engine.graph.compiling import Compiling
from engine.graph.nodes import TRADES, Parameters
from engine.graph.readings import FOLDED, Folded
from engine.language.grammar import Comparison, Condition, Constant, Elementwise, Expr, RuleError
from engine.language.parameters import Param

FEW_THRESHOLDS = 3
"""Numbers that a value is compared with one by one; more are screened."""

MIRRORED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "==", "!=": "!="}


class Comparisons:
    """Decides the comparisons of one instrument's program."""

    def __init__(self, compiler: Compiling) -> None:
        self._compiler, self._nodes = compiler, compiler.nodes
        self._thresholds: dict[object, dict[Fraction, int]] = {}  # of each value, the numbers it is compared with

    def sides(self, part: Comparison, parameters: Parameters) -> tuple[Value | Folded, Value]:
        """The sides of a comparison as people read them, without new nodes for what it was decided without."""
        right, folded = self._compiler.value(part.right, parameters), part.left
        if isinstance(folded, Elementwise) and folded.function in FOLDED:
            values = self.folded(folded, parameters, TRADES)
            if values is not None and part.op not in ("==", "!="):
                return Folded(folded.function, values), self._nodes.same_unit(values[0], right, part)[1]
        return self._nodes.same_unit(self._compiler.value(part.left, parameters), right, part)

    def folded(self, expr: Elementwise, parameters: Parameters, clock: int) -> tuple[Exact, ...] | None:
        """What ``abs``, ``minimum`` or ``maximum`` is of, in one unit; None where that is not all exact."""
        values = [self._compiler.value(part, parameters, clock) for part in expr.inputs if isinstance(part, Expr)]
        if len(values) > 1:
            values = list(self._nodes.same_unit(values[0], values[1], expr))
        exact = tuple(value for value in values if isinstance(value, Exact))
        return exact if len(exact) == len(values) else None

    def decide(
        self, op: str, left: Expr, right: Expr, parameters: Parameters, clock: int, place: Condition
    ) -> tuple[int, bool]:
        """The column of ``left op right``, and whether it was decided exactly."""
        if self._compiler.clock_of(left, parameters) is None and self._compiler.clock_of(right, parameters) is None:
            if op not in ("==", "!=") or not isinstance(left, Param) or not isinstance(right, Constant):
                raise RuleError(f"{place} compares two constants and never changes", fix="compare a feature")
            return self._switch(op, left, right, parameters, clock, place), False
        return self._compared(op, left, right, parameters, clock, place)

    def _compared(
        self, op: str, left: Expr, right: Expr, parameters: Parameters, clock: int, place: Condition
    ) -> tuple[int, bool]:
        """As ``_decide``, constants or not."""
        if isinstance(right, Elementwise) and not isinstance(left, Elementwise):
            op, left, right = MIRRORED[op], right, left
        taken_apart = self._taken_apart(op, left, right, parameters, clock, place)
        if taken_apart is not None:
            return taken_apart
        a, b = self._in_one_unit(left, right, parameters, clock, place)
        comparison = _program.COMPARISONS[op]
        if isinstance(a, Exact) and isinstance(b, Exact):
            column = self._compare_exact(a, b, comparison, clock)
            if column is not None:
                return column, True
        columns = self._nodes.as_real(a, clock), self._nodes.as_real(b, clock)
        return self._nodes.column("float_compare", *columns, comparison), False

    def _in_one_unit(
        self, left: Expr, right: Expr, parameters: Parameters, clock: int, place: Condition
    ) -> tuple[Value, Value]:
        value = self._compiler.value
        return self._nodes.same_unit(value(left, parameters, clock), value(right, parameters, clock), place)

    def _switch(self, op: str, left: Expr, right: Expr, parameters: Parameters, clock: int, place: Condition) -> int:
        """``parameter == number``: it switches a part of the rule on or off for the whole run."""
        a, b = self._in_one_unit(left, right, parameters, clock, place)
        columns = self._nodes.as_real(a, clock), self._nodes.as_real(b, clock)
        return self._nodes.column("float_compare", *columns, _program.COMPARISONS[op])

    def _taken_apart(
        self, op: str, left: Expr, right: Expr, parameters: Parameters, clock: int, place: Condition
    ) -> tuple[int, bool] | None:
        """A comparison of ``abs``, ``minimum`` or ``maximum`` of exact values, by comparisons of those; else None.

        ``abs(x) >= y`` where ``x >= y`` or ``x <= -y``; ``maximum(a, b) >= y`` where ``a >= y`` or ``b >= y``.
        """
        if not isinstance(left, Elementwise) or left.function not in FOLDED or op in ("==", "!="):
            return None
        inputs = [part for part in left.inputs if isinstance(part, Expr)]
        values = self.folded(left, parameters, clock)
        defined = None if values is None else self._defined(values, clock)
        if defined is None:
            return None
        if left.function == "abs":
            pairs = [(op, inputs[0], right), (MIRRORED[op], inputs[0], -right)]
        else:
            pairs = [(op, part, right) for part in inputs]
        decided = [self._compared(*pair, parameters, clock, place) for pair in pairs]
        both = (op in ("<", "<=")) is not (left.function == "minimum")
        column = self._nodes.joined("&" if both else "|", [column for column, _ in decided])
        return self._nodes.joined("&", [*defined, column]), all(exact for _, exact in decided)

    def _defined(self, values: Iterable[Exact], clock: int) -> list[int] | None:
        """The conditions under which all values are defined; None where a divisor is too long."""
        found: set[int] = set()
        for value in values:
            found |= value.guards
            if not is_positive(value.denominator):
                (divisor,) = whole(value.denominator)
                terms = terms_of(divisor)
                if terms is None:
                    return None
                found.add(self._nodes.column("compare", terms, _program.COMPARISONS["!="], False, clock))
        return sorted(found)

    def _compare_exact(self, left: Exact, right: Exact, comparison: int, clock: int) -> int | None:
        """``left - right`` against zero as one polynomial, or None when it does not fit."""
        difference = self._nodes.difference(left, right)
        top, bottom = difference.numerator, difference.denominator
        sure = is_positive(bottom)
        (sign,) = whole(top if sure else poly_product(top, bottom))
        terms = terms_of(sign)
        if terms is None:
            return None
        narrow = poly_bound(sign) <= INT64_MAX
        screen = self._screen(left, right, clock) if sure else None
        if screen is None:
            column = self._nodes.column("compare", terms, comparison, narrow, clock)
        else:
            column = self._nodes.column("compare_screened", terms, comparison, *screen, narrow)
        # where its denominator is zero the quotient is undefined
        defined = self._defined([replace(difference, guards=left.guards | right.guards)], clock)
        return None if defined is None else self._nodes.joined("&", [*defined, column])

    def _screen(self, left: Exact, right: Exact, clock: int) -> tuple[int, float] | None:
        """The column of a value's bounds and the number it is compared with, once many numbers are; else None.

        A few comparisons are cheaper made one by one; from the fourth on, the bounds of a block decide most at once.
        """
        if right.columns() or not left.columns():
            return None
        top, bottom = whole(left.numerator, left.denominator)
        key = (frozenset(top.items()), frozenset(bottom.items()), clock)
        threshold = constant_of(right)
        thresholds = self._thresholds.setdefault(key, {})
        number = thresholds.setdefault(threshold, len(thresholds))
        if number < FEW_THRESHOLDS:
            return None
        bare = replace(left, guards=frozenset())
        return self._nodes.op("bounds_of", self._nodes.as_real(bare, clock)), float(threshold)
