"""Two lists of trades laid side by side: which are the same, which changed, which are gone and which are new.

A trade of one run is *taken for* one of the other when both are the same side of the same symbol and were entered at
the same moment; of what is left, when they were open at the same time. Nothing else is: two trades at different times
are two trades, however alike.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from functools import reduce
from typing import Any

from engine.results import TRADE_FIELDS

Row = Mapping[str, Any]
"""A trade as named values: exact decimals and integers, as ``engine.results.TRADE_FIELDS`` lists them."""

EXACT = Context(prec=100)
"""Sums of money without a rounding: amounts have at most 40 digits."""


class Fate(StrEnum):
    """What became of a trade from the first run to the second."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Pair:
    """A trade of either run, or of both; one that changed names the fields in which it differs."""

    fate: Fate
    before: Row | None
    after: Row | None
    differs: tuple[str, ...] = ()

    @property
    def first_ns(self) -> int:
        """When the earlier of the two was entered."""
        return min(int(row["entry_ts_ns"]) for row in (self.before, self.after) if row is not None)

    @property
    def net_difference(self) -> Decimal:
        """What the second run made of it less what the first did; a trade that is not there made nothing."""
        after, before = (Decimal(0) if row is None else row["net"] for row in (self.after, self.before))
        return EXACT.subtract(after, before)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "fate": self.fate.value,
            "differs": list(self.differs),
            "before": plain_row(self.before),
            "after": plain_row(self.after),
            "net_difference": float(self.net_difference),
        }


def rows_of(trades: Iterable[object]) -> list[Row]:
    """Trades of a run in memory as rows."""
    return [{name: getattr(trade, name) for name in TRADE_FIELDS} for trade in trades]


def plain_row(row: Row | None) -> dict[str, Any] | None:
    """A row with its decimals as numbers, for JSON."""
    if row is None:
        return None
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def trade_diff(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    """Lay two runs' trades side by side, in the order of their entries; every trade is in exactly one pair."""
    pairs: list[Pair] = []
    left, right = _same_entry(before, after, pairs)
    for one, other in _same_time(left, right):
        pairs.append(_pair(one, other))
    return sorted(pairs, key=lambda pair: (pair.first_ns, *_market_of(pair.before or pair.after or {})))


def totals(pairs: Iterable[Pair]) -> dict[Fate, tuple[int, Decimal]]:
    """How many pairs there are of each fate, and what they changed in the net result."""
    found = {fate: (0, Decimal(0)) for fate in Fate}
    for pair in pairs:
        count, net = found[pair.fate]
        found[pair.fate] = count + 1, EXACT.add(net, pair.net_difference)
    return found


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts of money, without a rounding."""
    return reduce(EXACT.add, amounts, Decimal(0))


def _market_of(row: Row) -> tuple[str, str]:
    return row["symbol"], row["side"]


def _pair(before: Row | None, after: Row | None) -> Pair:
    if before is None or after is None:
        return Pair(Fate.GONE if after is None else Fate.NEW, before, after)
    differs = tuple(name for name in before if before[name] != after.get(name))
    return Pair(Fate.CHANGED if differs else Fate.SAME, before, after, differs)


def _same_entry(before: Sequence[Row], after: Sequence[Row], pairs: list[Pair]) -> tuple[list[Row], list[Row]]:
    """Pair what was entered at the same moment; returns what is left of both."""
    waiting: dict[tuple[Any, ...], deque[Row]] = defaultdict(deque)
    for row in before:
        waiting[*_market_of(row), row["entry_ts_ns"]].append(row)
    right = []
    for row in after:
        same = waiting[*_market_of(row), row["entry_ts_ns"]]
        if same:
            pairs.append(_pair(same.popleft(), row))
        else:
            right.append(row)
    return [row for rows in waiting.values() for row in rows], right


def _same_time(before: Sequence[Row], after: Sequence[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Pair what was open at the same time, the earliest entries first; the rest stands alone."""
    for market in sorted({_market_of(row) for row in (*before, *after)}):
        left, right = (
            deque(sorted((row for row in rows if _market_of(row) == market), key=lambda row: row["entry_ts_ns"]))
            for rows in (before, after)
        )
        while left and right:
            if left[0]["exit_ts_ns"] < right[0]["entry_ts_ns"]:
                yield left.popleft(), None
            elif right[0]["exit_ts_ns"] < left[0]["entry_ts_ns"]:
                yield None, right.popleft()
            else:
                yield left.popleft(), right.popleft()
        for row in left:
            yield row, None
        for row in right:
            yield None, row
