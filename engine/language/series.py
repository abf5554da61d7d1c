"""The rule language on records: a value's own past on the clock on which it stands, bars, and other instruments.

``highest``, ``lowest``, ``stdev``, ``zscore`` and ``log_return`` are about the prices of a window as well.
"""

from __future__ import annotations

from typing import overload

from engine.language.grammar import (
    Binary,
    Condition,
    Elementwise,
    Expr,
    Kind,
    Operand,
    Quantity,
    RuleError,
    condition,
    operand,
    said,
)
from engine.language.measures import (
    Anchored,
    Bars,
    Feature,
    Length,
    LengthError,
    Other,
    OtherCondition,
    Past,
    Sample,
    Series,
    Symbol,
    Window,
    check_window,
)
from engine.language.parameters import Param, as_call
from engine.language.trades import first_price, last_of, mean
from engine.language.values import log

# ---------------------------------------------------------------- over a window, or over the last n records of a value


def _records(function: str, inputs: tuple[Operand | Condition, ...], length: Length) -> Series:
    """A series function over ``length`` records."""
    return Series(function, tuple(map(operand, inputs)), count_of_records(function, length))


def count_of_records(function: str, length: Length, fix: str = "") -> Length:
    """Return a length that counts records.

    Raises:
        RuleError: a duration, a window, a part of a record, or none.
    """
    count = length.default.value if isinstance(length, Param) else length
    if isinstance(count, bool) or not isinstance(count, int) or getattr(length, "kind", Kind.COUNT) is not Kind.COUNT:
        raise LengthError(function, length, fix)
    if count < 1:
        raise RuleError(f"{function} over {count} records holds nothing", fix="use one record or more")
    return length


def _window_or_records(function: str, what: Window | Expr, length: Length | None) -> Feature | Series:
    """``highest(seconds(15))`` is about prices of a window, ``highest(x, 20)`` about a value's last 20 records."""
    if length is not None:
        return _records(function, (_recorded(function, what),), length)
    return Feature(function, _only_window(function, what))


def _recorded(function: str, what: Window | Expr) -> Expr:
    """Return what stands before a number of records, when it has records.

    Raises:
        RuleError: a window, which has none.
    """
    if isinstance(what, Quantity | Anchored) or (isinstance(what, Param) and what.kind in (Kind.DURATION, Kind.TICKS)):
        fix = f"write {function}({said(what)}) for the prices of a window, or {function}(price, 20) for a value"
        raise RuleError(f"{function} takes a window or a number of records, not both", fix=fix)
    return operand(what)


def _only_window(function: str, what: Window | Expr) -> Window:
    """Return what stands alone in the brackets of a function that also takes a value and a number of records."""
    if isinstance(what, Expr) and not isinstance(what, Param):
        raise RuleError(f"{function}({what}) needs a number of records", fix=f"write {function}({what}, 20)")
    return check_window(function, what)


def highest(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Highest price in a window, or highest value of the last ``length`` records of an expression."""
    return _window_or_records("highest", what, length)


def lowest(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Lowest price in a window, or lowest value of the last ``length`` records of an expression."""
    return _window_or_records("lowest", what, length)


def stdev(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Population standard deviation of a window's prices, or of an expression's last ``length`` records; a double."""
    return _window_or_records("stdev", what, length)


def zscore(what: Window | Expr, length: Length | None = None) -> Binary:
    """The present value less the mean, in standard deviations; of a window's prices, or of a value's last records."""
    if length is None:
        window = _only_window("zscore", what)
        return (last_of("price", window) - mean(window)) / stdev(window)
    x, length = _recorded("zscore", what), count_of_records("zscore", length)
    return (x - sma(x, length)) / stdev(x, length)


def log_return(what: Window | Expr, length: Length | None = None) -> Elementwise:
    """Natural logarithm of 1 + change over a window, or of a value against itself ``length`` records ago [ratio]."""
    if length is None:
        window = _only_window("log_return", what)
        return log(last_of("price", window) / first_price(window))
    x = _recorded("log_return", what)
    return log(x / previous(x, count_of_records("log_return", length)))


@overload
def previous(what: Operand, length: Length = 1) -> Series: ...
@overload
def previous(what: Condition, length: Length = 1) -> Past: ...
def previous(what: Operand | Condition, length: Length = 1) -> Series | Past:
    """A value, or whether a condition held, ``length`` records ago."""
    if isinstance(what, Condition):
        return Past(what, count_of_records("previous", length))
    return _records("previous", (what,), length)


def sma(x: Operand, length: Length) -> Series:
    """Mean of the last ``length`` records."""
    return _records("sma", (x,), length)


def total(x: Operand, length: Length) -> Series:
    """Sum of the last ``length`` records."""
    return _records("total", (x,), length)


def ema(x: Operand, length: Length | None = None, *, half_life: Param | Quantity | None = None) -> Series:
    """Exponential average: alpha 2 / (length + 1), seeded with the mean of the first; or with a half-life in time."""
    if (length is None) == (half_life is None):
        raise RuleError("ema takes a length or a half-life", fix="write ema(x, 20) or ema(x, half_life=seconds(5))")
    if length is not None:
        return _records("ema", (x,), length)
    if not isinstance(half_life, Param | Quantity) or half_life.kind is not Kind.DURATION:
        raise RuleError(f"a half-life of {said(half_life)} is no duration", fix="write ema(x, half_life=seconds(5))")
    return Series("ema_time", (operand(x),), half_life)


def wilder(x: Operand, length: Length) -> Series:
    """Wilder's average: alpha 1 / length, seeded with the mean of the first ``length`` records."""
    return _records("wilder", (x,), length)


def slope(x: Operand, length: Length) -> Series:
    """Slope per record of the least-squares line through the last ``length`` records."""
    return _records("slope", (x,), length)


def mad(x: Operand, length: Length) -> Series:
    """Mean absolute deviation of the last ``length`` records from their mean."""
    return _records("mad", (x,), length)


def hedge_ratio(y: Operand, x: Operand, length: Length) -> Series:
    """Slope of the least-squares line of y on x, with an intercept, over the last ``length`` records."""
    return _records("hedge_ratio", (y, x), length)


def cumulative(x: Operand) -> Series:
    """Sum of all records so far."""
    return Series("cumulative", (operand(x),))


def latest(x: Operand, *, when: Condition, nth: int = 0) -> Series:
    """The value at the last record on which ``when`` held, or at the ``nth`` such record before that."""
    if isinstance(nth, bool) or not isinstance(nth, int) or nth < 0:
        raise RuleError(f"latest has no record {said(nth)}", fix="nth counts back from 0, the last")
    return Series("latest", (condition(when, "latest(when=…)"), operand(x)), Quantity(Kind.COUNT, nth))


def run_length(when: Condition) -> Series:
    """Records in a row, up to now, on which the condition held [count]."""
    return Series("run_length", (condition(when, "run_length"),))


# ---------------------------------------------------------------- bars and other instruments


def bars(length: Param | Quantity, role: str = "") -> Bars:
    """A bar series by time, trades, size or value traded; ``role`` is a word for people, such as ``HTF``."""
    kinds = (Kind.DURATION, Kind.TICKS, Kind.SIZE, Kind.VALUE)
    if not isinstance(length, Param | Quantity) or length.kind not in kinds:
        call = as_call(length, Kind.DURATION)
        wrong = "takes a length, not text" if call else "has no unit"
        fix = f"write bars({call})" if call else "write bars(minutes(5)), bars(ticks(500)) or bars(units(10_000))"
        raise RuleError(f"bars({said(length)}) {wrong}", fix=fix)
    if not isinstance(role, str):
        raise RuleError(f"{said(role)} is no role", fix="it is a word for people: bars(minutes(5), role='HTF')")
    return Bars(length, role)


def sample(x: Expr, series: Bars) -> Sample:
    """What an expression on the clock of trades was at the last trade of each bar of a series."""
    if not isinstance(series, Bars):
        raise RuleError(f"sample needs a bar series, not {said(series)}", fix="write sample(x, bars(minutes(1)))")
    return Sample(operand(x), series)


@overload
def of(symbol: Symbol, what: Operand) -> Expr: ...
@overload
def of(symbol: Symbol, what: Condition) -> Condition: ...
def of(symbol: Symbol, what: Operand | Condition) -> Expr | Condition:
    """Another instrument's value or condition as of the present trade of this one."""
    if not isinstance(symbol, str) and not (isinstance(symbol, Param) and symbol.kind is Kind.SYMBOL):
        raise RuleError(f"{said(symbol)} is no symbol", fix="write of('QQQ', price)")
    if isinstance(what, Condition):
        return OtherCondition(symbol, what)
    return Other(symbol, operand(what))
