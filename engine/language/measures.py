"""What rules are about: windows, measurements of trades, bar series, and functions of values' own past.

These are the nouns of the grammar. They only describe; ``engine.graph.catalogue`` knows how the core computes each of
them, and ``engine.rules`` gives them the names that people write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, overload

from engine.language.grammar import Condition, Expr, Kind, Operand, Part, Quantity, RuleError, operand, said, way_out
from engine.language.parameters import Param, as_call

Length = Param | Quantity | int
Build = Callable[..., int]


class LengthError(RuleError):
    """A length that does not count records."""

    def __init__(self, function: str, length: object, fix: str = "") -> None:
        self.function, self.length = function, length
        what = f"and {length} is a {length.kind}" if isinstance(length, Param) else f"not {said(length)}"
        super().__init__(f"{function} counts records, {what}", fix=fix or f"write {function}(x, 20)")


# ---------------------------------------------------------------- windows


@dataclass(frozen=True, slots=True, repr=False)
class Anchored:
    """A window that begins at a moment and grows: ``kind`` says which moment, ``length`` or ``ns`` more about it."""

    instead: ClassVar[str] = "it is a window: vwap(session)"

    kind: str
    text: str
    ns: int = 0
    length: Param | Quantity | None = None

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text if self.length is None else f"{self.text}({self.length})"


def window_kind(window: object) -> Kind | None:
    """The kind of a window argument, or None when it is not one."""
    return getattr(window, "kind", None) if isinstance(window, Param | Quantity) else None


Window = Param | Quantity | Anchored


def check_window(function: str, window: object) -> Window:
    """Return ``window`` when it can be one.

    Raises:
        RuleError: a bare number, a quantity of another kind, or a window of nothing.
    """
    if isinstance(window, Anchored):
        return window
    if not isinstance(window, Param | Quantity):
        wrong = "takes a window" if isinstance(window, Expr | Condition) or way_out(window) else "has no unit"
        if isinstance(window, str):
            wrong = "takes a window, not text"
        call = as_call(window, Kind.DURATION)
        fix = f"write {function}({call})" if call else f"write {function}(seconds(15)) or {function}(ticks(100))"
        raise RuleError(f"{function}({said(window)}) {wrong}", fix=way_out(window) or fix)
    if window.kind not in (Kind.DURATION, Kind.TICKS):
        raise RuleError(
            f"{function}({window}) takes a window, not a {window.kind}", fix="use seconds(15) or ticks(100)"
        )
    length = window.default.value if isinstance(window, Param) else window.value
    if length < 1:
        raise RuleError(f"{function}: a window of {window} holds nothing", fix="use a window longer than zero")
    return window


# ---------------------------------------------------------------- trades


COUNTED = ("volume", "trade_count")
"""What is counted over a window, and so has a rate."""

MOVES = ("change", "price_range", "realised_volatility")
"""What is measured in fractions of the price, and so is read in percent."""


class Feature(Expr):
    """A measurement of trades from the catalogue, over a window where it has one; ``option`` is a named variant.

    What is counted has no class of its own: Python compares a value with one of a subclass the other way round, ``size
    > volume(w)`` as ``volume(w) < size``, and so it would be shown.
    """

    def __init__(self, feature: str, window: Window | None = None, option: str = "") -> None:
        self.feature, self.window, self.option = feature, window, option

    def __str__(self) -> str:
        if self.window is None:
            return self.name or self.feature
        option = f", {self.option!r}" if self.option else ""
        return self.called or f"{self.feature}({self.window}{option})"

    def rate(self) -> Feature:
        """A count per second: divided by the length of its time window."""
        if self.feature not in COUNTED:
            raise RuleError(f"{self} is not counted", fix="volume(w) and trade_count(w) have a rate")
        if window_kind(self.window) is not Kind.DURATION:
            raise RuleError(
                "rate() is per second of the window", fix=f"use a time window, as in {self.feature}(seconds(1)).rate()"
            )
        return Feature(f"{self.feature}_rate", self.window)


# ---------------------------------------------------------------- series and bars


class Series(Expr):
    """A function of values' own past, record by record of their clock; ``length`` counts records or is a duration."""

    def __init__(self, function: str, inputs: tuple[Part, ...], length: Length | None = None) -> None:
        self.function, self.inputs, self.length = function, inputs, length

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.inputs

    def __str__(self) -> str:
        arguments = [part.name or str(part) for part in self.inputs]
        if self.length is not None:
            arguments.append(str(self.length))
        return self.called or f"{self.function}({', '.join(arguments)})"


class OfBars:
    """A value that every bar series has, under the name that it is given in the class."""

    def __init__(self, doc: str) -> None:
        self.__doc__, self._field = doc, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._field = name

    @overload
    def __get__(self, bars: None, owner: type) -> OfBars: ...
    @overload
    def __get__(self, bars: Bars, owner: type) -> BarValue: ...
    def __get__(self, bars: Bars | None, owner: type) -> BarValue | OfBars:
        """On a series its value, on the class what describes it."""
        return self if bars is None else BarValue(bars, self._field)


class Bars:
    """A bar series: its values are those of the last closed bar. ``role`` is a word for people, such as HTF."""

    instead = "take one of its values: .close, .high, .volume"

    def __init__(self, length: Param | Quantity, role: str = "") -> None:
        self.length, self.role = length, role

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"bars({self.length})" if not self.role else f"{self.role} bars({self.length})"

    open = OfBars("Price of the first trade [price].")
    high = OfBars("Highest price [price].")
    low = OfBars("Lowest price [price].")
    close = OfBars("Price of the last trade [price].")
    volume = OfBars("Size traded [size].")
    trades = OfBars("Number of trades.")
    vwap = OfBars("Volume-weighted average price of the bar [price].")

    @property
    def typical(self) -> Expr:
        """(high + low + close) / 3 [price]."""
        return (self.high + self.low + self.close) / 3

    @property
    def developing(self) -> Developing:
        """The bar that is being built, as of the present trade: its values change until it closes."""
        return Developing(self.length, self.role)


class Developing(Bars):
    """A bar series whose values are those of the bar that is being built."""

    def __str__(self) -> str:
        return f"developing {super().__str__()}"

    @property
    def developing(self) -> Developing:
        return self


class BarValue(Expr):
    """One value of a bar series."""

    def __init__(self, bars: Bars, field: str) -> None:
        self.bars, self.field = bars, field

    def __str__(self) -> str:
        return self.called or f"{self.bars}.{self.field}"


class Sample(Expr):
    """What an expression on the clock of trades was at the last trade of each bar."""

    def __init__(self, inner: Expr, bars: Bars) -> None:
        self.inner, self.bars = inner, bars

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.inner,)

    def __str__(self) -> str:
        return self.called or f"sample({self.inner}, {self.bars})"


Symbol = str | Param


class Other(Expr):
    """Another instrument's value as of the present trade."""

    def __init__(self, symbol: Symbol, inner: Expr) -> None:
        self.symbol, self.inner = symbol, inner

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.inner,)

    def __str__(self) -> str:
        return self.called or f"of({self.symbol!r}, {self.inner})"


class Custom(Expr):
    """A feature of somebody else's making: ``build(program, columns, clock)`` adds its node and returns its column.

    ``unit`` says what its doubles are in: ``ratio``, ``price`` (ticks) or ``size`` (lots).
    """

    def __init__(self, function: str, build: Build, inputs: tuple[Operand, ...], unit: str = "ratio") -> None:
        if not callable(build):
            raise RuleError(
                f"{function} is built by {said(build)}", fix="give a function that adds a node: Operation.of"
            )
        self.function, self.build, self.unit = function, build, unit
        self.inputs = tuple(map(operand, inputs))

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.inputs

    def __str__(self) -> str:
        return self.called or f"{self.function}({', '.join(map(str, self.inputs))})"


# ---------------------------------------------------------------- conditions


class Past(Condition):
    """Whether a condition held ``length`` records ago, on its own clock."""

    def __init__(self, inner: Condition, length: Length) -> None:
        self.inner, self.length = inner, length

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.inner,)

    def __str__(self) -> str:
        return self.called or f"previous({self.inner}, {self.length})"


class OtherCondition(Condition):
    """Whether a condition holds on another instrument as of the present trade."""

    def __init__(self, symbol: Symbol, inner: Condition) -> None:
        self.symbol, self.inner = symbol, inner

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.inner,)

    def __str__(self) -> str:
        return self.called or f"of({self.symbol!r}, {self.inner})"
