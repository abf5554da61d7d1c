"""The grammar of rules: quantities, expressions and conditions.

Expressions are written in a class body and only describe; nothing is computed in Python. ``engine.graph.compiler``
turns them into the core's graph. Everything is exact: numbers are integers and fractions, ``0.0005`` means 1/2000, and
a comparison never rounds. What cannot be meant is refused when it is written, with one sentence that says why.
``engine.rules`` is the vocabulary, and what strategies import.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from inspect import isroutine
from typing import Any, Never

from engine.errors import ConfigError
from engine.quantities import (
    Number,
    format_decimal,
    format_duration,
    format_ratio,
    format_time_of_day,
    parse_number,
    parse_ratio,
)


class RuleError(ConfigError):
    """A declaration that has no meaning; the sentence says what to write instead."""


class Kind(StrEnum):
    """What a parameter or constant measures."""

    DURATION = "duration"
    TICKS = "ticks"
    RATIO = "ratio"
    NUMBER = "number"
    COUNT = "count"
    CHOICE = "choice"
    SIZE = "size"
    VALUE = "value"
    SYMBOL = "symbol"
    TIME_OF_DAY = "time of day"


SEVERAL_VALUES = ("engine.indicators", "engine.structure")
"""Where dataclasses are indicators: ``bollinger(x).upper``."""


def said(value: object) -> str:
    """A value as a message shows it: a function or class by its name, an indicator of several values as its call."""
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__ in SEVERAL_VALUES:
        first = getattr(value, fields(value)[0].name)
        return (said(first) if is_dataclass(first) else str(first)).rpartition(".")[0]
    return str(getattr(value, "__name__", None) or repr(value))


def way_out(value: object) -> str:
    """How to use something that is no value, or a class of such things; empty for what has no place in a rule.

    Bar series, windows and regimes say it themselves, as ``instead``; indicators with several values name them.
    """
    if instead := getattr(value, "instead", ""):
        return str(instead)
    cls = value if isinstance(value, type) else type(value)
    if is_dataclass(cls) and cls.__module__ in SEVERAL_VALUES:
        return f"take one of its values: {', '.join(f'.{each.name}' for each in fields(cls))}"
    if isroutine(value) and str(value.__module__).startswith("engine."):
        return f"it needs its brackets: {said(value)}(…)"
    if isroutine(value):
        return "write an expression, such as price > 5; code of your own belongs into on_fire"
    return ""


def refusing(what: str, fix: str) -> Any:
    """Return a method that refuses an operation which the rule language does not have."""

    def refuse(self: object, *_: object) -> Never:
        raise RuleError(f"({self}) {what}", fix=fix)

    return refuse


class Operators:
    """Arithmetic makes new expressions, a comparison makes a condition."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Binary:
        return Binary("+", operand(self), operand(other))

    def __radd__(self, other: Operand) -> Binary:
        return Binary("+", operand(other), operand(self))

    def __sub__(self, other: Operand) -> Binary:
        return Binary("-", operand(self), operand(other))

    def __rsub__(self, other: Operand) -> Binary:
        return Binary("-", operand(other), operand(self))

    def __mul__(self, other: Operand) -> Binary:
        return Binary("*", operand(self), operand(other))

    def __rmul__(self, other: Operand) -> Binary:
        return Binary("*", operand(other), operand(self))

    def __truediv__(self, other: Operand) -> Binary:
        return Binary("/", operand(self), operand(other))

    def __rtruediv__(self, other: Operand) -> Binary:
        return Binary("/", operand(other), operand(self))

    def __neg__(self) -> Binary:
        return Binary("*", Constant(Quantity(Kind.NUMBER, Fraction(-1))), operand(self), opposes=True)

    def __ge__(self, other: Operand) -> Comparison:
        return Comparison(">=", operand(self), operand(other))

    def __gt__(self, other: Operand) -> Comparison:
        return Comparison(">", operand(self), operand(other))

    def __le__(self, other: Operand) -> Comparison:
        return Comparison("<=", operand(self), operand(other))

    def __lt__(self, other: Operand) -> Comparison:
        return Comparison("<", operand(self), operand(other))

    def __abs__(self) -> Elementwise:
        return Elementwise("abs", (operand(self),))

    __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __round__ = refusing(
        "cannot be computed with like that", "the rule language has + - * /, abs, minimum, maximum and comparisons"
    )
    __float__ = __int__ = __len__ = __call__ = refusing(
        "has no value while the rule is being written", "the rule language has + - * / and comparisons"
    )
    __getitem__ = refusing("has no places to look up", "for the value one record ago write previous(x, 1)")


@dataclass(frozen=True, slots=True, repr=False)
class Quantity(Operators):
    """A constant with its kind: nanoseconds, trades, a ratio, a number, a count, one of several words or a symbol."""

    kind: Kind
    value: Any

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if self.kind is Kind.DURATION:
            return format_duration(self.value)
        if self.kind is Kind.TIME_OF_DAY:
            return format_time_of_day(self.value)
        if self.kind is Kind.RATIO:
            return format_ratio(self.value)
        if self.kind is Kind.NUMBER:
            return format_decimal(self.value)
        if self.kind in (Kind.SIZE, Kind.VALUE):
            return f"{format_decimal(self.value)} {'units' if self.kind is Kind.SIZE else 'dollars'}"
        return f"{self.value} ticks" if self.kind is Kind.TICKS else str(self.value)


# ---------------------------------------------------------------- expressions


class Expr(Operators):
    """Something with a value on every trade, or on every bar of a series."""

    name: str = ""
    made_by: object = None
    """The call that made it, where it is a composition; it is then shown as that."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The expressions and conditions that it is made of."""
        return ()

    @property
    def called(self) -> str:
        """Its name, or the call that made it; empty for what is only written out."""
        return self.name or ("" if self.made_by is None else str(self.made_by))

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison("==", self, operand(other))

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison("!=", self, operand(other))

    __hash__ = object.__hash__

    def __bool__(self) -> Never:
        raise RuleError(
            f"{self} has no truth of its own while the rule is being written",
            fix="compare it, as in (x > 1), and join conditions with &, | and ~ instead of and, or and not",
        )

    def __and__(self, other: object) -> Never:
        raise RuleError(
            f"{self} is a value, not a condition", fix="compare it first, as in (x > 1) & (y > 2), in brackets"
        )

    __or__ = __rand__ = __ror__ = __and__

    def __invert__(self) -> Never:
        self.__and__(self)


class Constant(Expr):
    """A fixed quantity in an expression."""

    def __init__(self, quantity: Quantity) -> None:
        self.quantity = quantity

    def __str__(self) -> str:
        return str(self.quantity)


Operand = Expr | Quantity | Number


def operand(value: object) -> Expr:
    """Return ``value`` as an expression: numbers and quantities become constants.

    Raises:
        RuleError: a condition, a bool, or something that is not a number.
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, Quantity):
        return Constant(value)
    if isinstance(value, Condition):
        raise RuleError(f"({value}) is a condition, not a value", fix="join conditions with &, | and ~")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal | Fraction):
        fix = way_out(value) or "use a number, a quantity such as pct('0.05'), or a feature"
        raise RuleError(f"{said(value)} is not a value", fix=fix)
    if isinstance(value, str) and ":" in value:
        raise RuleError(f"{value!r} is text, not a time", fix=f"write at({value!r})")
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return Constant(Quantity(Kind.RATIO, parse_ratio(value)))
    return Constant(Quantity(Kind.NUMBER, parse_number(value)))


class Binary(Expr):
    """Two expressions joined by ``+ - * /``; one that ``opposes`` is -1 times its right side, written ``-x``.

    It has no class of its own: Python compares a value with one of a subclass the other way round, ``x <= -y`` as
    ``-y >= x``, and so it would be shown.
    """

    def __init__(self, op: str, left: Expr, right: Expr, *, opposes: bool = False) -> None:
        self.op, self.left, self.right, self.opposes = op, left, right, opposes

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.left, self.right

    def __str__(self) -> str:
        return self.called or (f"-{self.right}" if self.opposes else f"({self.left} {self.op} {self.right})")


class Elementwise(Expr):
    """A function of values on the same record: ``abs``, ``minimum``, ``maximum``, ``log``, ``sqrt``, ``where``."""

    def __init__(self, function: str, inputs: tuple[Part, ...]) -> None:
        self.function, self.inputs = function, inputs

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.inputs

    def __str__(self) -> str:
        return self.called or f"{self.function}({', '.join(part.name or str(part) for part in self.inputs)})"


# ---------------------------------------------------------------- conditions


class Condition:
    """Something that holds or does not on every trade; joined with ``&``, ``|`` and ``~``."""

    name: str = ""
    made_by: object = None
    """The call that made it, where it is a composition; it is then shown as that."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The expressions and conditions that it is made of."""
        return ()

    @property
    def called(self) -> str:
        """Its name, or the call that made it; empty for what is only written out."""
        return self.name or ("" if self.made_by is None else str(self.made_by))

    def __repr__(self) -> str:
        return str(self)

    def __and__(self, other: Condition) -> Joined:
        return Joined("&", self, condition(other))

    def __or__(self, other: Condition) -> Joined:
        return Joined("|", self, condition(other))

    def __invert__(self) -> Negation:
        return Negation(self)

    def __rand__(self, other: object) -> Condition:
        return condition(other)  # only what is none comes here

    __ror__ = __rand__

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = refusing(
        "is a condition, not a value", "join conditions with &, | and ~"
    )
    __truediv__ = __rtruediv__ = __neg__ = __xor__ = __rxor__ = __abs__ = __pow__ = __rpow__ = __mod__ = __rmod__ = (
        __lt__
    )
    __floordiv__ = __rfloordiv__ = __round__ = __float__ = __int__ = __len__ = __getitem__ = __call__ = __lt__

    def __bool__(self) -> Never:
        raise RuleError(
            f"({self}) is a condition for the core, not a Python truth",
            fix="write & | ~ for and, or, not; between for x < y < z; maximum, minimum, where for max, min, if",
        )


def condition(value: object, where: str = "") -> Condition:
    """Return ``value`` when it is a condition.

    Raises:
        RuleError: a value or anything else.
    """
    if isinstance(value, Condition):
        return value
    fix = way_out(value) or "compare it first, in brackets: (x > 1) & (y > 2)"
    if isinstance(value, bool):
        fix = "Python itself decided ==, is or in there; compare values: (x > 1) & (y > 2)"
    raise RuleError(f"{said(value)} is not a condition", where=where, fix=fix)


def inner(part: Condition) -> str:
    """A condition within another: as what it is called, else in brackets."""
    return part.called or f"({part})"


class Comparison(Condition):
    """``left op right``, decided exactly. It is false, and so is its negation, while a side is undefined."""

    def __init__(self, op: str, left: Expr, right: Expr) -> None:
        self.op, self.left, self.right = op, left, right

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.left, self.right

    def __str__(self) -> str:
        return str(self.made_by or f"{self.left} {self.op} {self.right}")


class Joined(Condition):
    """Both (``&``) or either (``|``) of two conditions."""

    def __init__(self, op: str, left: Condition, right: Condition) -> None:
        self.op, self.left, self.right = op, left, right

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.left, self.right

    def __str__(self) -> str:
        left = self.left
        chain = isinstance(left, Joined) and left.op == self.op and not left.called
        return str(self.made_by or f"{left if chain else inner(left)} {self.op} {inner(self.right)}")


class Negation(Condition):
    """The condition does not hold."""

    def __init__(self, inner: Condition) -> None:
        self.inner = inner

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.inner,)

    def __str__(self) -> str:
        return str(self.made_by or f"~{inner(self.inner)}")


Part = Expr | Condition
