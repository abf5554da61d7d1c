"""Figures of a run that need equity and time: returns by day, drawdowns, time in the market.

Returns are of whole trading days: the day's result, open positions marked at its end, over the equity at its start. A
year has 252 trading days, and 365 on the calendar ``always``, whose days follow each other without a gap. Ratios are
floats, made of correctly rounded sums: the same to the bit on every machine. What is not defined is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import fsum, sqrt
from typing import Any, NamedTuple

import numpy as np

from engine.account.metrics import traded_units
from engine.account.portfolio import Trade
from engine.sessions.trading_calendar import Calendar

YEAR_NS = 31_557_600 * 10**9
"""A Julian year, 365.25 days."""


class Day(NamedTuple):
    """A trading day: its number since 1970-01-01, equity at its start and at its end, in money units."""

    day: int
    start: int
    end: int


def days_per_year(calendar: Calendar) -> int:
    """Trading days that a year is taken to have."""
    return 365 if calendar.is_always else 252


def day_returns(days: Sequence[Day]) -> list[float]:
    """The return of each day; of a day that began with nothing there is none."""
    return [(day.end - day.start) / day.start for day in days if day.start > 0]


def sharpe(returns: Sequence[float], per_year: int, risk_free: Fraction = Fraction(0)) -> float | None:
    """Annualised Sharpe ratio: mean excess return / sample standard deviation x sqrt(days a year).

    ``risk_free`` is the rate of a year, spread evenly over its days. None below two days and where all are equal.
    """
    if len(returns) < 2 or max(returns) == min(returns):
        return None
    mean = fsum(returns) / len(returns)
    variance = fsum((one - mean) ** 2 for one in returns) / (len(returns) - 1)
    return (mean - float(risk_free / per_year)) / sqrt(variance) * sqrt(per_year)


def sortino(returns: Sequence[float], per_year: int, risk_free: Fraction = Fraction(0)) -> float | None:
    """Annualised Sortino ratio: mean excess return / downside deviation x sqrt(days a year).

    The downside deviation is the root of the mean square of the returns below the risk-free one, the others counted as
    0. None below two days and without a day below.
    """
    if len(returns) < 2:
        return None
    target = float(risk_free / per_year)
    below = fsum(min(one - target, 0.0) ** 2 for one in returns) / len(returns)
    return (fsum(returns) / len(returns) - target) / sqrt(below) * sqrt(per_year) if below else None


def growth(start: int, end: int, span_ns: int) -> float | None:
    """Compound annual growth rate; None below a year, from which no year may be made, and of an account with nothing.

    The span is in Julian years.
    """
    if span_ns < YEAR_NS or start <= 0 or end <= 0:
        return None
    grown: float = (end / start) ** (YEAR_NS / span_ns)
    return grown - 1


class Drawdown(NamedTuple):
    """Falls of equity below its highest value so far; amounts in money units, times in nanoseconds."""

    amount: int
    """The largest fall."""
    ratio: float
    """The largest fall in terms of the peak that it began from; amount and ratio may be of different falls."""
    longest_ns: int
    """The longest time from a peak until equity was as high again, or until the end."""
    current_ns: int
    """The time since the peak that equity is still below at the end; 0 at a peak."""


def drawdown(points: Sequence[tuple[int, int]], end_ns: int) -> Drawdown:
    """Return the drawdowns of equity at some moments, ``(ts_ns, equity)`` in order; ``end_ns`` is when time is up."""
    amount, ratio, longest, below = 0, Fraction(0), 0, False
    since, peak = points[0]
    for ts_ns, equity in points:
        if equity >= peak:
            if below:
                longest = max(longest, ts_ns - since)
            since, peak, below = ts_ns, equity, False
        else:
            below = True
            amount = max(amount, peak - equity)
            if peak > 0:
                ratio = max(ratio, Fraction(peak - equity, peak))
    current = end_ns - since if below else 0
    return Drawdown(amount, float(ratio), max(longest, current), current)


def open_ns(calendar: Calendar, first_ns: int, last_ns: int) -> int:
    """Time within ``[first_ns, last_ns]`` in which the market is open."""
    if calendar.is_always:
        return last_ns - first_ns
    opens, closes = np.maximum(calendar.opens_ns, first_ns), np.minimum(calendar.closes_ns, last_ns)
    return int(np.maximum(closes - opens, 0).sum())


def in_market_ns(trades: Sequence[Trade]) -> int:
    """Time in which at least one position was open."""
    total, until = 0, -(1 << 63)
    for entry, leave in sorted((trade.entry_ts_ns, trade.exit_ts_ns) for trade in trades):
        total += max(0, leave - max(entry, until))
        until = max(until, leave)
    return total


def use_metrics(trades: Sequence[Trade], starting: int, available_ns: int) -> dict[str, Any]:
    """Return how much of time and capital was used, ``END`` included.

    * ``exposure``: time with a position open / time in which the market was open; None of an empty span
    * ``capital_utilisation``: entry value x time held, summed, / (starting cash x the same time)
    * ``turnover_ratio``: value of all entries and exits / starting cash
    """
    values = [traded_units(trade) for trade in trades]
    held = sum(entry * (t.exit_ts_ns - t.entry_ts_ns) for t, (entry, _) in zip(trades, values, strict=True))
    return {
        "exposure": in_market_ns(trades) / available_ns if available_ns > 0 else None,
        "capital_utilisation": held / (starting * available_ns) if starting and available_ns > 0 else None,
        "turnover_ratio": sum(map(sum, values)) / starting if starting else None,
    }
