"""The rule language: features, conditions and exits that a strategy declares and the core evaluates.

Expressions are written in a class body and only describe; nothing is computed in Python. ``engine.compiler`` turns
them into the core's graph. Everything is exact: numbers are integers and fractions, ``0.0005`` means 1/2000, and a
comparison never rounds. What cannot be meant is refused when it is written, with one sentence that says why.

Windows are ``seconds(15)``, ``milliseconds(500)``, ``minutes(1)`` or a number of trades, ``ticks(100)``. A window
holds every trade ``j`` with ``ts_j > ts_now - window``, the present one included.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Never

from engine.errors import ConfigError, nearest
from engine.quantities import (
    Number,
    format_decimal,
    format_duration,
    format_ratio,
    parse_duration_ns,
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
        return Binary("*", Constant(Quantity(Kind.NUMBER, Fraction(-1))), operand(self))

    def __ge__(self, other: Operand) -> Comparison:
        return Comparison(">=", operand(self), operand(other))

    def __gt__(self, other: Operand) -> Comparison:
        return Comparison(">", operand(self), operand(other))

    def __le__(self, other: Operand) -> Comparison:
        return Comparison("<=", operand(self), operand(other))

    def __lt__(self, other: Operand) -> Comparison:
        return Comparison("<", operand(self), operand(other))

    __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __abs__ = __round__ = refusing(
        "cannot be computed with like that", "the rule language has + - * / and comparisons"
    )
    __float__ = __int__ = __len__ = __getitem__ = __call__ = refusing(
        "has no value while the rule is being written", "the rule language has + - * / and comparisons"
    )


@dataclass(frozen=True, slots=True)
class Quantity(Operators):
    """A constant with its kind: nanoseconds, trades, a ratio, a number, a count or one of several words."""

    kind: Kind
    value: Any

    def __str__(self) -> str:
        if self.kind is Kind.DURATION:
            return format_duration(self.value)
        if self.kind is Kind.RATIO:
            return format_ratio(self.value)
        if self.kind is Kind.NUMBER:
            return format_decimal(self.value)
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


# ---------------------------------------------------------------- expressions


class Expr(Operators):
    """Something with a value on every trade."""

    name: str = ""

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
        low: Number | None = None,
        high: Number | None = None,
        choices: tuple[str, ...] = (),
    ) -> None:
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
        self.default = self.parse(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # the first name counts; warm_up = window names the same parameter

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On a strategy's class the parameter itself, on an instance its value."""
        return self if instance is None else instance.parameters[self.name].value

    def _read(self, value: Number, where: str) -> Quantity:
        if self.kind is Kind.DURATION:
            return Quantity(self.kind, parse_duration_ns(value, where=where))
        if self.kind is Kind.RATIO:
            return Quantity(self.kind, parse_ratio(value, where=where))
        if self.kind is Kind.NUMBER:
            return Quantity(self.kind, parse_number(value, where=where))
        if self.kind is Kind.CHOICE:
            if value not in self.choices:
                raise ConfigError(f"{value!r} is not allowed", where=where, fix=nearest(str(value), self.choices))
            return Quantity(self.kind, value)
        number = parse_number(value, where=where)
        if number.denominator != 1:
            raise ConfigError(f"{value} is not a whole number", where=where)
        return Quantity(self.kind, int(number))

    def parse(self, value: Quantity | Number, where: str = "") -> Quantity:
        """Read a new value for this parameter, exactly and within its bounds.

        Raises:
            ConfigError: not of the parameter's kind, or out of bounds.
        """
        if isinstance(value, Quantity):
            if value.kind is not self.kind:
                raise ConfigError(f"{value} is a {value.kind}, but a {self.kind} is needed", where=where)
            quantity = value
        else:
            quantity = self._read(value, where)
        for bound, beyond, word in ((self.low, -1, "least"), (self.high, 1, "most")):
            if bound is not None and (quantity.value - bound) * beyond > 0:
                raise ConfigError(
                    f"{value} is out of bounds", where=where, fix=f"at {word} {Quantity(self.kind, bound)}"
                )
        return quantity

    def __str__(self) -> str:
        return self.name or f"a parameter of kind {self.kind}"


Window = Param | Quantity
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
        raise RuleError(
            f"{value!r} cannot stand in a rule", fix="use a number, a quantity such as pct('0.05'), or a feature"
        )
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return Constant(Quantity(Kind.RATIO, parse_ratio(value)))
    return Constant(Quantity(Kind.NUMBER, parse_number(value)))


class Binary(Expr):
    """Two expressions joined by ``+ - * /``."""

    def __init__(self, op: str, left: Expr, right: Expr) -> None:
        self.op, self.left, self.right = op, left, right

    def __str__(self) -> str:
        return self.name or f"({self.left} {self.op} {self.right})"


class Feature(Expr):
    """A named measurement from the catalogue below, over a window where it has one."""

    def __init__(self, feature: str, window: Window | None = None) -> None:
        self.feature, self.window = feature, window

    def __str__(self) -> str:
        return self.name or (self.feature if self.window is None else f"{self.feature}({self.window})")


class Volume(Feature):
    """Size traded over a window; ``rate()`` is the same per second of the window."""

    def rate(self) -> Feature:
        """Size traded per second: the volume divided by the length of its time window."""
        if window_kind(self.window) is not Kind.DURATION:
            raise RuleError(
                "rate() is per second of the window", fix="use a time window, as in volume(seconds(1)).rate()"
            )
        return Feature("volume_rate", self.window)


# ---------------------------------------------------------------- conditions


class Condition:
    """Something that holds or does not on every trade; joined with ``&``, ``|`` and ``~``."""

    name: str = ""

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
    __truediv__ = __rtruediv__ = __neg__ = __xor__ = __rxor__ = __lt__

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
    raise RuleError(f"{value} is not a condition", where=where, fix="compare it first, in brackets: (x > 1) & (y > 2)")


class Comparison(Condition):
    """``left op right``, decided exactly."""

    def __init__(self, op: str, left: Expr, right: Expr) -> None:
        self.op, self.left, self.right = op, left, right

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


class Joined(Condition):
    """Both (``&``) or either (``|``) of two conditions."""

    def __init__(self, op: str, left: Condition, right: Condition) -> None:
        self.op, self.left, self.right = op, left, right

    def __str__(self) -> str:
        return f"({self.left}) {self.op} ({self.right})"


class Negation(Condition):
    """The condition does not hold."""

    def __init__(self, inner: Condition) -> None:
        self.inner = inner

    def __str__(self) -> str:
        return f"~({self.inner})"


# ---------------------------------------------------------------- features


def window_kind(window: object) -> Kind | None:
    """The kind of a window argument, or None when it is not one."""
    return getattr(window, "kind", None) if isinstance(window, Param | Quantity) else None


def check_window(function: str, window: object) -> Window:
    """Return ``window`` when it can be one.

    Raises:
        RuleError: a bare number, a quantity of another kind, or a window of nothing.
    """
    if not isinstance(window, Param | Quantity):
        raise RuleError(
            f"{function}({window!r}) has no unit", fix=f"write {function}(seconds(15)) or {function}(ticks(100))"
        )
    if window.kind not in (Kind.DURATION, Kind.TICKS):
        raise RuleError(
            f"{function}({window}) takes a window, not a {window.kind}", fix="use seconds(15) or ticks(100)"
        )
    length = window.default.value if isinstance(window, Param) else window.value
    if length < 1:
        raise RuleError(f"{function}: a window of {window} holds nothing", fix="use a window longer than zero")
    return window


# The catalogue. Each function documents what the core computes; units in brackets.

price = Feature("price")
"""Price of the present trade [price]."""
size = Feature("size")
"""Size of the present trade [size]."""
bid = Feature("bid")
"""Last bid known at the present trade [price]; conditions on it are false until there is one."""
ask = Feature("ask")
"""Last ask known at the present trade [price]; conditions on it are false until there is one."""
mid = (bid + ask) / 2
spread = ask - bid


def change(window: Window) -> Feature:
    """Net return over the window: (price - first) / first, first being the window's oldest trade [ratio]."""
    return Feature("change", check_window("change", window))


def volume(window: Window) -> Volume:
    """Size traded in the window [size]."""
    return Volume("volume", check_window("volume", window))


def trade_count(window: Window) -> Feature:
    """Trades in the window [count]."""
    return Feature("trade_count", check_window("trade_count", window))


def first_price(window: Window) -> Feature:
    """Price of the oldest trade in the window [price]."""
    return Feature("first_price", check_window("first_price", window))


def highest(window: Window) -> Feature:
    """Highest price in the window [price]."""
    return Feature("highest", check_window("highest", window))


def lowest(window: Window) -> Feature:
    """Lowest price in the window [price]."""
    return Feature("lowest", check_window("lowest", window))


def price_range(window: Window) -> Feature:
    """(highest - lowest) / price over the window [ratio]."""
    return Feature("price_range", check_window("price_range", window))


def mean(window: Window) -> Feature:
    """Mean trade price in the window, each trade counting once [price]."""
    return Feature("mean", check_window("mean", window))


def variance(window: Window) -> Feature:
    """Population variance of the trade prices in the window [price squared]."""
    return Feature("variance", check_window("variance", window))


def stdev(window: Window) -> Feature:
    """Population standard deviation of the trade prices in the window [price]; a double."""
    return Feature("stdev", check_window("stdev", window))


def vwap(window: Window | None = None) -> Feature:
    """Volume-weighted average price of the window, or of the session so far when none is given [price]."""
    if window is None:
        return Feature("session_vwap")
    return Feature("vwap", check_window("vwap", window))


def vwap_sd() -> Feature:
    """Volume-weighted population standard deviation of the session's prices about its VWAP [price]; a double."""
    return Feature("session_vwap_sd")


def __getattr__(name: str) -> Never:
    """Name the nearest feature for one that does not exist: ``from engine.rules import volme``."""
    if name.startswith("__"):
        raise AttributeError(name)
    words = [word for word in globals() if word[0].islower() and word not in ("annotations", "dataclass")]
    raise AttributeError(f"the rule language has no {name!r}; {nearest(name, words)}")


# ---------------------------------------------------------------- exits


def exit_value(exit_name: str, value: object, kind: Kind, example: str) -> Param | Quantity:
    """Return what an exit was given, when it is of the right kind and not negative.

    Raises:
        RuleError: anything else; the sentence shows how to write it.
    """
    fix = f"write {exit_name}({example})"
    if kind is Kind.COUNT and isinstance(value, int) and not isinstance(value, bool):
        value = Quantity(kind, value)
    if not isinstance(value, Param | Quantity):
        raise RuleError(f"{exit_name}({value!r}) has no unit", fix=fix)
    if value.kind is not kind:
        raise RuleError(f"{exit_name}({value}) takes a {kind}, not a {value.kind}", fix=fix)
    if isinstance(value, Quantity) and value.value < 0:
        raise RuleError(f"{exit_name}({value}) is negative", fix=fix)
    return value


@dataclass(frozen=True, slots=True)
class Stop:
    """Close when the price has moved against the position by ``ratio`` of the entry price or more."""

    ratio: Param | Quantity

    def __post_init__(self) -> None:
        exit_value("Stop", self.ratio, Kind.RATIO, "pct('0.05')")


@dataclass(frozen=True, slots=True)
class Target:
    """Close when the price has moved in favour of the position by ``ratio`` of the entry price or more."""

    ratio: Param | Quantity

    def __post_init__(self) -> None:
        exit_value("Target", self.ratio, Kind.RATIO, "pct('0.15')")


@dataclass(frozen=True, slots=True)
class TimeStop:
    """Close when the position is ``after`` old, with or without a trade; zero switches it off."""

    after: Param | Quantity

    def __post_init__(self) -> None:
        exit_value("TimeStop", self.after, Kind.DURATION, "seconds(8)")


@dataclass(frozen=True, slots=True)
class Flat:
    """Close after ``candles`` consecutive one-second candles that end where they began; zero switches it off."""

    candles: Param | Quantity | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "candles", exit_value("Flat", self.candles, Kind.COUNT, "2"))


Exit = Stop | Target | TimeStop | Flat
