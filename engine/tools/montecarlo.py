"""How much of a result is the order of its trades: the same trades in other orders, or drawn anew, many times.

*Shuffle* keeps every trade and changes the order, so the end is the same and the way there differs. *Resample* draws as
many trades, each time any of them, so the end differs too. Money is counted in whole units; the draws come from a named
bit generator whose stream is fixed (PCG64), so a seed gives the same answer to the bit on every machine.

What it takes for granted is said in ``docs/how-to/question-a-result.md``: trades do not depend on each other, and those
to come are like those that were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.account.metrics import ZERO
from engine.account.pairs import legs_together, reason_of
from engine.account.portfolio import Trade
from engine.calendars import calendar as find_calendar
from engine.errors import DataError
from engine.model import Reason
from engine.tools.runs import SavedTrade

SCHEMA = "microburst.montecarlo/1"
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
FEW_TRADES = 30
"""Below this many trades the answer says more about these few than about the rule."""

CHUNK = 1 << 20
"""Draws made at once; how they are cut decides nothing."""

Whole = NDArray[Any]
"""Whole numbers: int64 where every value fits, else Python's own integers."""

Method = Literal["shuffle", "resample"]


class Closed(NamedTuple):
    """What a closed trade brought, exactly, and its trading day."""

    net: Decimal
    day: int


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """What came of all paths; money in the account's currency, probabilities as paths out of ``paths``."""

    method: Method
    paths: int
    seed: int
    trades: int
    days: int
    starting: Decimal
    daily_loss_limit: Fraction
    total_loss_limit: Fraction
    own_final: Decimal  # of the run itself
    own_drawdown: Decimal
    final: dict[int, Decimal]  # by percentile
    drawdown: dict[int, Decimal]
    no_deeper: int  # paths whose greatest drawdown is at most the run's own
    losing: int  # paths that end below the start
    daily_limit_reached: int
    total_limit_reached: int

    @property
    def warning(self) -> str:
        """What to keep in mind of this answer; empty when there is nothing beyond the page's assumptions."""
        if self.trades < FEW_TRADES:
            return f"only {self.trades} trades: that is too few to tell luck from rule, whatever the number of paths"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        kept = ("method", "paths", "seed", "trades", "days", "no_deeper", "losing")
        money = ("starting", "own_final", "own_drawdown", "daily_loss_limit", "total_loss_limit")
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in kept},
            **{name: float(getattr(self, name)) for name in money},
            "daily_limit_reached": self.daily_limit_reached,
            "total_limit_reached": self.total_limit_reached,
            "final": {f"p{percentile}": float(value) for percentile, value in self.final.items()},
            "drawdown": {f"p{percentile}": float(value) for percentile, value in self.drawdown.items()},
            "warning": self.warning,
        }


def monte_carlo(
    trades: Sequence[Closed],
    starting: Decimal,
    *,
    method: Method = "shuffle",
    paths: int = 10_000,
    seed: int = 1,
    daily_loss_limit: Fraction = Fraction(1, 20),
    total_loss_limit: Fraction = Fraction(1, 5),
) -> MonteCarlo:
    """Run ``paths`` paths over the trades of a run, in the order in which they were closed.

    A path is cut into days as the run was: as many trades on its first day as the run had, and so on.

    Raises:
        DataError: there is no trade.
    """
    if not trades:
        raise DataError("there is no trade to put in another order", fix="montecarlo needs a run with closed trades")
    unit, whole = _in_units([starting, *(trade.net for trade in trades)])
    begin, nets = whole[0], whole[1:]
    most = (abs(begin) + sum(map(abs, nets))) * max(daily_loss_limit.denominator, total_loss_limit.denominator)
    amounts: Whole = np.array(nets, np.int64 if most < 1 << 62 else object)
    bounds = _day_bounds([trade.day for trade in trades])
    own = _walk(amounts[None, :], begin, bounds, daily_loss_limit)
    finals, drawdowns = [], []
    daily = total = 0
    for order in _orders(method, len(nets), paths, seed):
        path = _walk(amounts[order], begin, bounds, daily_loss_limit)
        finals.append(path.final)
        drawdowns.append(path.drawdown)
        daily += int(np.count_nonzero(path.daily))
        floor = begin * (total_loss_limit.denominator - total_loss_limit.numerator)
        total += int(np.count_nonzero(path.lowest * total_loss_limit.denominator <= floor))
    final, drawdown = np.sort(np.concatenate(finals)), np.sort(np.concatenate(drawdowns))
    return MonteCarlo(
        method,
        paths,
        seed,
        len(nets),
        len(bounds) - 1,
        starting,
        daily_loss_limit,
        total_loss_limit,
        _money(own.final[0], unit),
        _money(own.drawdown[0], unit),
        {percentile: _money(_nearest_rank(final, percentile), unit) for percentile in PERCENTILES},
        {percentile: _money(_nearest_rank(drawdown, percentile), unit) for percentile in PERCENTILES},
        int(np.count_nonzero(drawdown <= own.drawdown[0])),
        int(np.count_nonzero(final < begin)),
        daily,
        total,
    )


def closed_trades(trades: Iterable[Trade | SavedTrade], calendar: str) -> list[Closed]:
    """What the rule closed itself, a pair being one, with its trading day; without what the data's end cut off."""
    days = find_calendar(calendar)
    own = (legs for legs in legs_together(trades) if reason_of(legs) != Reason.END)
    return [Closed(sum((leg.net for leg in legs), ZERO), days.trading_day(legs[-1].exit_ts_ns)) for legs in own]


# ---------------------------------------------------------------- paths


class _Paths(NamedTuple):
    """Each path's end, greatest drawdown and lowest equity, and whether a day's loss reached its limit."""

    final: Whole
    drawdown: Whole
    lowest: Whole
    daily: NDArray[np.bool_]


def _walk(nets: Whole, begin: int, bounds: Sequence[int], daily_limit: Fraction) -> _Paths:
    """Add up each row of nets; equity is looked at after every trade, and before the first."""
    start = np.full((len(nets), 1), begin, nets.dtype)
    equity = np.concatenate([start, begin + np.cumsum(nets, axis=1)], axis=1)
    fallen = np.maximum.accumulate(equity, axis=1) - equity
    daily = np.zeros(len(nets), np.bool_)
    kept, of = daily_limit.denominator - daily_limit.numerator, daily_limit.denominator
    for first, last in pairwise(bounds):
        daily |= equity[:, first + 1 : last + 1].min(axis=1) * of <= equity[:, first] * kept
    return _Paths(equity[:, -1], fallen.max(axis=1), equity.min(axis=1), daily)


def _orders(method: Method, trades: int, paths: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield rows of trade numbers, one per path, from the raw stream of the generator."""
    stream = np.random.PCG64(seed)
    rows = max(1, CHUNK // trades)
    for done in range(0, paths, rows):
        count = min(rows, paths - done)
        raw = stream.random_raw(count * trades).reshape(count, trades)
        if method == "shuffle":
            yield np.argsort(raw, axis=1, kind="stable")
        else:  # the upper half of 64 bits as a share of the trades: each within 2**-32 of its due
            yield ((raw >> np.uint64(32)) * np.uint64(trades) >> np.uint64(32)).astype(np.intp)


def _day_bounds(days: Sequence[int]) -> list[int]:
    """Where each day's trades begin, and where the last one's end."""
    changes = [number for number in range(1, len(days)) if days[number] != days[number - 1]]
    return [0, *changes, len(days)]


# ---------------------------------------------------------------- money


def _in_units(amounts: Sequence[Decimal]) -> tuple[Fraction, list[int]]:
    """The largest unit of which all amounts are whole numbers, and those numbers."""
    exact = [Fraction(amount) for amount in amounts]
    denominator = lcm(*(amount.denominator for amount in exact))
    whole = [amount.numerator * (denominator // amount.denominator) for amount in exact]
    shared = gcd(*whole) or 1
    return Fraction(shared, denominator), [number // shared for number in whole]


def _money(units: Any, unit: Fraction) -> Decimal:
    """Whole units as an exact decimal; a unit's denominator divides a power of ten."""
    amount = int(units) * unit
    digits = 0
    while amount.denominator != 1:
        amount, digits = amount * 10, digits + 1
    return Decimal(f"{amount.numerator}E-{digits}")


def _nearest_rank(ordered: Whole, percentile: int) -> Any:
    """The smallest value that at least ``percentile`` percent of all do not exceed."""
    return ordered[max(1, -(-percentile * len(ordered) // 100)) - 1]
