"""The rule language on the values of one record: logarithm, root, smallest, largest, and a choice between two."""

from __future__ import annotations

from engine.language.grammar import Condition, Elementwise, Expr, Operand, RuleError, condition, operand


def log(x: Operand) -> Elementwise:
    """Natural logarithm; undefined at 0 and below."""
    return Elementwise("log", (operand(x),))


def sqrt(x: Operand) -> Elementwise:
    """Square root; undefined below 0."""
    return Elementwise("sqrt", (operand(x),))


def minimum(*values: Operand) -> Expr:
    """The smallest of two or more values."""
    return _fold("minimum", values)


def maximum(*values: Operand) -> Expr:
    """The largest of two or more values."""
    return _fold("maximum", values)


def _fold(function: str, values: tuple[Operand, ...]) -> Expr:
    if len(values) < 2:
        raise RuleError(f"{function} compares two or more values", fix=f"write {function}(x, y)")
    made = operand(values[0])
    for value in values[1:]:
        made = Elementwise(function, (made, operand(value)))
    return made


def where(when: Condition, x: Operand, y: Operand) -> Elementwise:
    """X where the condition holds, else y."""
    return Elementwise("where", (condition(when, "where"), operand(x), operand(y)))
