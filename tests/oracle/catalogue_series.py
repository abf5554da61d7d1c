"""Reference: functions of a series of values, and conditions over time.

A series is the list of an expression's values on one clock, one per trade or one per closed bar. On the clock of trades
a series begins anew with a session and after a gap of the feed: pass the function through ``restarting``. Bar series
never restart.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.oracle.catalogue import DIGITS, Market, Value, Values, decimal, logarithm, quotient, rounded, square_root

Flags = list[bool]
Operand = Sequence[Value] | Fraction | int
"""A series, or a number that stands for itself on every record."""


def restarting(m: Market, function: Callable[..., list[Any]], *columns: Sequence[Any]) -> list[Any]:
    """Apply a function of whole series to each stretch between restarts."""
    edges = sorted({trade.restart for trade in m.trades} | {len(m)})
    result: list[Any] = []
    for start, stop in pairwise(edges):
        result += function(*(column[start:stop] for column in columns))
    return result


def pointwise(function: Callable[..., Value], *columns: Sequence[Value]) -> Values:
    """Arithmetic, value by value; undefined where one of its arguments is."""
    return [None if None in row else function(*row) for row in zip(*columns, strict=True)]


def previous(x: Sequence[Any], n: int = 1) -> list[Any]:
    """The value ``n`` records ago; None before there is one."""
    return [None] * min(n, len(x)) + list(x[: max(len(x) - n, 0)])


# ---------------------------------------------------------------- windows of records


def rolling(x: Sequence[Value], n: int, function: Callable[[list[Fraction]], Value]) -> Values:
    """A function of the last ``n`` records, undefined unless all of them are defined."""
    values: Values = []
    for at in range(len(x)):
        held = [value for value in x[max(0, at + 1 - n) : at + 1] if value is not None]
        values.append(function(held) if len(held) == n else None)
    return values


def mean_of(held: Sequence[Fraction]) -> Fraction:
    return sum(held, Fraction(0)) / len(held)


def variance_of(held: Sequence[Fraction]) -> Fraction:
    """Population variance."""
    return mean_of([(value - mean_of(held)) ** 2 for value in held])


def sma(x: Sequence[Value], n: int) -> Values:
    return rolling(x, n, mean_of)


def total(x: Sequence[Value], n: int) -> Values:
    return rolling(x, n, lambda held: sum(held, Fraction(0)))


def highest(x: Sequence[Value], n: int) -> Values:
    return rolling(x, n, max)


def lowest(x: Sequence[Value], n: int) -> Values:
    return rolling(x, n, min)


def stdev(x: Sequence[Value], n: int) -> Values:
    """Population standard deviation."""
    return rolling(x, n, lambda held: square_root(variance_of(held)))


def zscore(x: Sequence[Value], n: int) -> Values:
    """Standard deviations between the present value and the mean; undefined where nothing varies."""
    return rolling(x, n, lambda held: quotient(held[-1] - mean_of(held), square_root(variance_of(held))))


def mad(x: Sequence[Value], n: int) -> Values:
    """Mean absolute deviation from the mean."""
    return rolling(x, n, lambda held: mean_of([abs(value - mean_of(held)) for value in held]))


def line_slope(xs: Sequence[Fraction], ys: Sequence[Fraction]) -> Value:
    """Slope of the least-squares line with intercept; undefined where ``xs`` does not vary."""
    x_mean, y_mean = mean_of(xs), mean_of(ys)
    covariance = sum(((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)), Fraction(0))
    return quotient(covariance, sum(((x - x_mean) ** 2 for x in xs), Fraction(0)))


def slope(x: Sequence[Value], n: int) -> Values:
    """Slope per record of the least-squares line through the last ``n`` values."""
    return rolling(x, n, lambda held: line_slope([Fraction(i) for i in range(n)], held))


def hedge_ratio(y: Sequence[Value], x: Sequence[Value], n: int) -> Values:
    """Slope of the regression of ``y`` on ``x`` with intercept, over the last ``n`` records."""
    values: Values = []
    for at in range(len(x)):
        pairs = list(zip(x, y, strict=True))[max(0, at + 1 - n) : at + 1]
        held = [(a, b) for a, b in pairs if a is not None and b is not None]
        values.append(line_slope([a for a, _ in held], [b for _, b in held]) if len(held) == n else None)
    return values


def log(x: Sequence[Value]) -> Values:
    return pointwise(logarithm, x)


def log_return(x: Sequence[Value], n: int = 1) -> Values:
    return pointwise(lambda a, b: logarithm(a / b) if b else None, x, previous(x, n))


# ---------------------------------------------------------------- recursions


def smoothed(x: Sequence[Value], n: int, alpha: Fraction) -> Values:
    """Exponential smoothing seeded with the mean of the first ``n`` defined values; undefined ones are passed over."""
    values: Values = []
    seed: list[Fraction] = []
    average: Value = None
    for value in x:
        if value is not None:
            if average is not None:
                average = rounded(average + alpha * (value - average))
            else:
                seed.append(value)
                average = rounded(mean_of(seed)) if len(seed) == n else None
        values.append(average)
    return values


def ema(x: Sequence[Value], n: int) -> Values:
    return smoothed(x, n, Fraction(2, n + 1))


def wilder(x: Sequence[Value], n: int) -> Values:
    return smoothed(x, n, Fraction(1, n))


def ema_half_life(x: Sequence[Value], ts_ns: Sequence[int], half_life_ns: int) -> Values:
    """An average whose memory halves with every half-life that passes; it begins with the first defined value."""
    ln_2 = logarithm(Fraction(2))
    assert ln_2 is not None
    values: Values = []
    average: Value = None
    then = 0
    for value, now in zip(x, ts_ns, strict=True):
        if value is not None:
            kept = exponential(-ln_2 * Fraction(now - then, half_life_ns)) if average is not None else Fraction(0)
            average = rounded(value + kept * ((average or 0) - value))
            then = now
        values.append(average)
    return values


def exponential(value: Fraction) -> Fraction:
    return Fraction(DIGITS.exp(decimal(value)))


def cumulative(x: Sequence[Value]) -> Values:
    """The sum so far; undefined values are passed over, and before the first defined one there is no sum."""
    values: Values = []
    running: Value = None
    for value in x:
        if value is not None:
            running = value if running is None else running + value
        values.append(running)
    return values


def latest(x: Sequence[Value], when: Sequence[bool], nth: int = 0) -> Values:
    """The value at the ``nth`` last record at which the condition held; 0 is the last of them."""
    values: Values = []
    held: Values = []
    for value, holds_now in zip(x, when, strict=True):
        held += [value] if holds_now else []
        values.append(held[-1 - nth] if len(held) > nth else None)
    return values


# ---------------------------------------------------------------- conditions

OPERATORS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def series(x: Operand, length: int) -> Sequence[Value]:
    """The operand, record by record."""
    return [Fraction(x)] * length if isinstance(x, Fraction | int) else x


def compare(a: Sequence[Value], sign: str, b: Operand) -> Flags:
    """A comparison, record by record; false where a side is undefined, whatever the sign."""
    return [
        left is not None and right is not None and OPERATORS[sign](left, right)
        for left, right in zip(a, series(b, len(a)), strict=True)
    ]


def both(*conditions: Sequence[bool]) -> Flags:
    return [all(row) for row in zip(*conditions, strict=True)]


def either(*conditions: Sequence[bool]) -> Flags:
    return [any(row) for row in zip(*conditions, strict=True)]


def between(x: Sequence[Value], low: Operand, high: Operand) -> Flags:
    """Both bounds belong to it."""
    return both(compare(x, ">=", low), compare(x, "<=", high))


def crosses_above(a: Sequence[Value], b: Operand) -> Flags:
    """Above now, and not above at the record before; all four values defined."""
    other = series(b, len(a))
    return both(compare(a, ">", other), compare(previous(a), "<=", previous(other)))


def crosses_below(a: Sequence[Value], b: Operand) -> Flags:
    """Below now, and not below at the record before; all four values defined."""
    other = series(b, len(a))
    return both(compare(a, "<", other), compare(previous(a), ">=", previous(other)))


def rising(x: Sequence[Value], n: int = 1) -> Flags:
    return compare(x, ">", previous(x, n))


def falling(x: Sequence[Value], n: int = 1) -> Flags:
    return compare(x, "<", previous(x, n))


def previous_flag(condition: Sequence[bool], n: int = 1) -> Flags:
    """Whether the condition held ``n`` records ago; false before there is such a record."""
    return [bool(flag) for flag in previous(condition, n)]


def run_length(condition: Sequence[bool]) -> list[int]:
    """Consecutive records up to now at which the condition held."""
    runs: list[int] = []
    for flag in condition:
        runs.append((runs[-1] if runs else 0) + 1 if flag else 0)
    return runs


def streak(x: Sequence[Value]) -> Values:
    """Consecutive rises, or minus the consecutive falls."""
    return [Fraction(up - down) for up, down in zip(run_length(rising(x)), run_length(falling(x)), strict=True)]


def for_at_least_records(condition: Sequence[bool], n: int) -> Flags:
    return [run >= n for run in run_length(condition)]


def for_at_least_time(condition: Sequence[bool], ts_ns: Sequence[int], duration_ns: int) -> Flags:
    """The condition holds, and has held on every record of at least that long."""
    runs = run_length(condition)
    return [run > 0 and ts_ns[at] - ts_ns[at + 1 - run] >= duration_ns for at, run in enumerate(runs)]


def within_records(condition: Sequence[bool], n: int) -> Flags:
    """The condition held on one of the last ``n`` records, the present one included."""
    return [any(condition[max(0, at + 1 - n) : at + 1]) for at in range(len(condition))]


def within_time(condition: Sequence[bool], ts_ns: Sequence[int], duration_ns: int) -> Flags:
    """The condition held on a record later than ``duration_ns`` before the present one."""
    return [
        any(flag and then > ts_ns[at] - duration_ns for flag, then in _up_to(condition, ts_ns, at))
        for at in range(len(condition))
    ]


def _up_to(condition: Sequence[bool], ts_ns: Sequence[int], at: int) -> Iterator[tuple[bool, int]]:
    return zip(condition[: at + 1], ts_ns[: at + 1], strict=True)


# ---------------------------------------------------------------- choices


def where(condition: Sequence[bool], a: Operand, b: Operand) -> Values:
    """``a`` where the condition holds, else ``b``."""
    length = len(condition)
    rows = zip(condition, series(a, length), series(b, length), strict=True)
    return [yes if flag else no for flag, yes, no in rows]


def regime(*named: tuple[str, Sequence[bool]], otherwise: str = "NORMAL") -> list[str]:
    """The name of the first condition that holds."""
    length = len(named[0][1])
    return [next((name for name, flags in named if flags[at]), otherwise) for at in range(length)]


def of(order: Sequence[int], own: int, other: int, values: Sequence[Value]) -> Values:
    """Another instrument's values at the trades of this one.

    ``order`` is the instrument of every trade in the order of the input; the value is that of the other instrument's
    latest trade by then.
    """
    result: Values = []
    now: Value = None
    remaining = iter(values)
    for instrument in order:
        if instrument == other:
            now = next(remaining)
        elif instrument == own:
            result.append(now)
    return result
