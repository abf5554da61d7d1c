"""What a rule is set with: quantities with their units, and parameters, the named settings of a strategy."""

from __future__ import annotations

import re
from typing import Any

from engine.errors import ConfigError, nearest
from engine.language.grammar import Expr, Kind, Quantity, RuleError, said
from engine.quantities import Number, parse_duration_ns, parse_number, parse_ratio, parse_time_of_day_ns

# ---------------------------------------------------------------- quantities


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


_TEXT = re.compile(r"(\d+|\d*\.\d+)\s*([a-z%]+)")
_CALLS = {
    Kind.DURATION: {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"},
    Kind.RATIO: {"%": "pct", "bps": "bps"},
}


def as_call(text: object, kind: Kind) -> str:
    """How text such as ``5s`` or ``0.1%`` is written in a rule; "" where it is nothing of this kind."""
    match = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
    call = match and _CALLS.get(kind, {}).get(match[2])
    return f"{call}({int(match[1]) if match[1].isdecimal() else repr(match[1])})" if match and call else ""


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


# ---------------------------------------------------------------- parameters


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
        self.default = self.parse(default) if choices or not isinstance(default, str) else self._from_text(default)

    def _from_text(self, default: str) -> Quantity:
        """Read a number written as text, which may be a decimal; no other text says what it measures."""
        try:
            parse_number(default)
        except ConfigError:
            fix = 'write Param(seconds(10)), Param(pct("0.05")) or Param(20); words need choices=("one", "another")'
            raise RuleError(f"Param({default!r}) is text", fix=fix) from None
        return self.parse(default)

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
        return self.name or f"Param({self.default})"


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
