"""The grammar of rules: quantities, parameters, windows, bars, expressions and conditions.

Expressions are written in a class body and only describe; nothing is computed in Python. ``engine.compiler`` turns
them into the core's graph. Everything is exact: numbers are integers and fractions, ``0.0005`` means 1/2000, and a
comparison never rounds. What cannot be meant is refused when it is written, with one sentence that says why.
``engine.rules`` is the vocabulary, and what strategies import.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from inspect import isroutine
from typing import Any, Never

from engine.errors import ConfigError, nearest
from engine.quantities import (
    Number,
    format_decimal,
    format_duration,
    format_ratio,
    format_time_of_day,
    parse_duration_ns,
    parse_number,
    parse_ratio,
    parse_time_of_day_ns,
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
    if isroutine(value):
        return f"it needs its brackets: {said(value)}(…)"
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
    __float__ = __int__ = __len__ = __getitem__ = __call__ = refusing(
        "has no value while the rule is being written", "the rule language has + - * / and comparisons"
    )


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


def seconds(number: Number) -> Quantity:
    """A duration of ``number`` seconds."""
    return Quantity(Kind.DURATION, parse_duration_ns(f"{number}s"))


def milliseconds(number: Number) -> Quantity:
    """A duration of ``number`` milliseconds."""
    return Quantity(Kind.DURATION, parse_duration_ns(f"{number}ms"))


def minutes(number: Number) -> Quantity:
    """A duration of ``number`` minutes."""
    return Quantity(Kind.DURATION, parse_duration_ns(f"{number}m"))


def hours(number: Number) -> Quantity:
    """A duration of ``number`` hours."""
    return Quantity(Kind.DURATION, parse_duration_ns(f"{number}h"))


def days(number: Number) -> Quantity:
    """A duration of ``number`` days of 24 hours; ``bars(days(1))`` are one to a session."""
    return Quantity(Kind.DURATION, parse_duration_ns(f"{parse_number(number) * 24}h"))


def at(time: str) -> Quantity:
    """A time of day where the exchange is, the duration since midnight there: ``at("10:30")``."""
    return Quantity(Kind.TIME_OF_DAY, parse_time_of_day_ns(time))


def ticks(number: int) -> Quantity:
    """A window of the last ``number`` trades."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise RuleError(f"ticks({number!r}) is not a window", fix="a count window holds at least one trade: ticks(100)")
    return Quantity(Kind.TICKS, number)


def pct(number: Number) -> Quantity:
    """A ratio given in percent: ``pct("0.05")`` is 1/2000."""
    return Quantity(Kind.RATIO, parse_number(number) / 100)


def bps(number: Number) -> Quantity:
    """A ratio given in basis points."""
    return Quantity(Kind.RATIO, parse_number(number) / 10_000)


def units(number: Number) -> Quantity:
    """A size, for bars of so many shares, contracts or coins."""
    return Quantity(Kind.SIZE, parse_number(number))


def dollars(number: Number) -> Quantity:
    """A value traded in the quote currency, price times size, for bars of so much of it."""
    return Quantity(Kind.VALUE, parse_number(number))


def symbol(name: str) -> Quantity:
    """An instrument by its name, for a parameter that says which: ``of(other, price)``."""
    if not isinstance(name, str) or not name.strip():
        raise RuleError(f"{said(name)} is no symbol", fix='write symbol("QQQ")')
    return Quantity(Kind.SYMBOL, name.strip())


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


class Param(Expr):
    """A named setting of a strategy: its default, kind, bounds and explanation.

    Args:
        default: a quantity (``seconds(15)``, ``pct("0.05")``), an ``int`` (a count), another number, or a word when
            ``choices`` are given.
        doc: one line for ``microburst strategy show``.
        low, high: inclusive bounds, in the parameter's own kind.
        choices: the words allowed.
    """

    def __init__(
        self,
        default: Quantity | Number,
        doc: str = "",
        *,
        low: Quantity | Number | None = None,
        high: Quantity | Number | None = None,
        choices: tuple[str, ...] = (),
    ) -> None:
        if not isinstance(doc, str):
            raise RuleError(f"{said(doc)} is no explanation", fix=f"bounds have names: Param({said(default)}, low=1)")
        if not isinstance(choices, tuple) or not all(isinstance(choice, str) for choice in choices):
            raise RuleError(f"choices={choices!r} are no words", fix="write choices=('both', 'long', 'short')")
        self.doc, self.choices = doc, choices
        if isinstance(default, Quantity):
            self.kind = default.kind
        elif choices:
            self.kind = Kind.CHOICE
        elif isinstance(default, int) and not isinstance(default, bool):
            self.kind = Kind.COUNT
        else:
            self.kind = Kind.NUMBER
        self.low = None if low is None else self._read(low, "low").value
        self.high = None if high is None else self._read(high, "high").value
        if self.low is not None and self.high is not None and self.low > self.high:
            raise RuleError(f"low={low} is above high={high}", fix="no value lies between them: exchange the two")
        self.default = self.parse(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # the first name counts; warm_up = window names the same parameter

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On a strategy's class the parameter itself, on an instance its value."""
        return self if instance is None else instance.parameters[self.name].value

    def _read(self, value: Quantity | Number, where: str) -> Quantity:
        if isinstance(value, Quantity):
            if value.kind is not self.kind:
                what = f"{value} is a {value.kind}, but a {self.kind} is needed"
                raise ConfigError(what, where=where, fix=f"write it like {EXAMPLES[self.kind]}")
            return value
        if self.kind is Kind.DURATION:
            return Quantity(self.kind, parse_duration_ns(value, where=where))
        if self.kind is Kind.RATIO:
            return Quantity(self.kind, parse_ratio(value, where=where))
        if self.kind in (Kind.NUMBER, Kind.SIZE, Kind.VALUE):
            return Quantity(self.kind, parse_number(value, where=where))
        if self.kind is Kind.TIME_OF_DAY:
            return Quantity(self.kind, parse_time_of_day_ns(str(value), where=where))
        if self.kind is Kind.SYMBOL:
            return symbol(value)  # type: ignore[arg-type]  # it refuses what is no text
        if self.kind is Kind.CHOICE:
            if value not in self.choices:
                raise ConfigError(f"{value!r} is not allowed", where=where, fix=nearest(str(value), self.choices))
            return Quantity(self.kind, value)
        number = parse_number(value, where=where)
        if number.denominator != 1:
            raise ConfigError(f"{value} is not a whole number", where=where, fix="write a number such as 20")
        return Quantity(self.kind, int(number))

    def parse(self, value: Quantity | Number, where: str = "") -> Quantity:
        """Read a new value for this parameter, exactly and within its bounds.

        Raises:
            ConfigError: not of the parameter's kind, or out of bounds.
        """
        quantity = self._read(value, where)
        for bound, beyond, word in ((self.low, -1, "least"), (self.high, 1, "most")):
            if bound is not None and (quantity.value - bound) * beyond > 0:
                raise ConfigError(
                    f"{value} is out of bounds", where=where, fix=f"at {word} {Quantity(self.kind, bound)}"
                )
        return quantity

    def __str__(self) -> str:
        return self.name or f"a parameter of kind {self.kind}"


EXAMPLES = {
    Kind.DURATION: "15s",
    Kind.TICKS: "100",
    Kind.RATIO: "0.05%",
    Kind.NUMBER: "1.5",
    Kind.COUNT: "20",
    Kind.CHOICE: "one of its choices",
    Kind.SIZE: "100",
    Kind.VALUE: "100000",
    Kind.SYMBOL: "QQQ",
    Kind.TIME_OF_DAY: "10:30",
}
"""A value of each kind, as it is written for a parameter."""

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
            fix="join conditions with &, | and ~ instead of and, or, not and chained comparisons",
        )


def condition(value: object, where: str = "") -> Condition:
    """Return ``value`` when it is a condition.

    Raises:
        RuleError: a value or anything else.
    """
    if isinstance(value, Condition):
        return value
    fix = way_out(value) or "compare it first, in brackets: (x > 1) & (y > 2)"
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
