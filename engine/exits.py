"""Exits that a strategy declares; the core watches them while a position is open."""

from __future__ import annotations

from dataclasses import dataclass

from engine.grammar import Kind, Param, Quantity, RuleError, said


def exit_value(exit_name: str, value: object, kind: Kind, example: str) -> Param | Quantity:
    """Return what an exit was given, when it is of the right kind and not negative.

    Raises:
        RuleError: anything else; the sentence shows how to write it.
    """
    fix = f"write {exit_name}({example})"
    if kind is Kind.COUNT and isinstance(value, int) and not isinstance(value, bool):
        value = Quantity(kind, value)
    if not isinstance(value, Param | Quantity):
        raise RuleError(f"{exit_name}({said(value)}) has no unit", fix=fix)
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
