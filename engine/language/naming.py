"""What a composition is called: ``rsi(b.close, 14)``, not the averages of moves that it is made of.

Indicators, structure and regimes are functions that return expressions of other expressions. Written out, those fill a
screen. ``@composed`` marks such a function: what it returns is then shown as the call that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from engine.language.grammar import Condition, Expr, Quantity, RuleError, said
from engine.language.measures import Bars, LengthError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was written; told when it is asked for, since parameters get their names after the class body."""

    function: str
    arguments: tuple[object, ...]
    options: Mapping[str, object]
    value: str = ""

    def __str__(self) -> str:
        given = [getattr(one, "name", "") or str(one) for one in self.arguments]
        given += [f"{name}={value}" for name, value in self.options.items()]
        return f"{self.function}({', '.join(given)}){self.value}"


def composed(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of the rule language: what it returns, or each of the values in it, is shown as its call."""
    hints = [str(parameter.annotation) for parameter in signature(function).parameters.values()]

    @wraps(function)
    def made(*arguments: P.args, **options: P.kwargs) -> R:
        if arguments:
            _check_subject(function.__name__, hints[0], arguments[0])
        try:
            result = function(*arguments, **options)
        except LengthError as error:
            if error.function == function.__name__:
                raise
            # Of what it is made of, which the one who wrote this call has not written.
            plain = ", ".join(signature(function).parameters)
            raise LengthError(function.__name__, error.length, f"it is written {function.__name__}({plain})") from None
        _label(result, Call(function.__name__, arguments, options))
        return result

    return made


def _check_subject(function: str, hint: str, given: object) -> None:
    """Refuse a first argument of another kind: ``rsi(14)`` forgets its value, ``atr(price)`` its bars.

    Raises:
        RuleError: with the call as it may have been meant.
    """
    if hint == "Bars" and not isinstance(given, Bars):
        raise RuleError(f"{function} takes a bar series, not {said(given)}", fix=f"write {function}(bars(minutes(5)))")
    if hint == "Expr" and isinstance(given, int | float | Quantity):
        raise RuleError(f"{function} takes a value first, not {said(given)}", fix=f"write {function}(price, {given})")


def _label(made: object, call: Call) -> None:
    """Remember the call in what it made, unless that remembers one already."""
    if isinstance(made, Expr | Condition) or hasattr(made, "made_by"):
        made.made_by = made.made_by or call
    elif is_dataclass(made):
        for each in fields(made):
            value = f"{call.value}.{each.name}"
            _label(getattr(made, each.name), Call(call.function, call.arguments, call.options, value))
