"""What a trader counts as one trade: a position on its own, and the legs of a pair together.

Each leg of a pair has its own entry, exit and costs, and is a ``Trade`` like any other. But it was one decision that
entered them and one that left them, and one of them loses whenever the hedge does its work. So figures that count
trades, or judge one, are taken over ``whole_trades``; sums of money and of use over the legs themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from engine.account.portfolio import Trade
from engine.model import Reason

MONEY = ("gross_units", "spread_units", "slippage_units", "fee_units", "net_units", "borrow_units")


class OfPair(Protocol):
    """A trade that says which pair it is a leg of; 0: of none."""

    @property
    def pair(self) -> int: ...

    @property
    def reason(self) -> str: ...


One = TypeVar("One", bound=OfPair)


def legs_together(trades: Iterable[One]) -> list[list[One]]:
    """The trades, those of one pair together, in the order in which the last of each was closed."""
    found: dict[object, list[One]] = {}
    for number, trade in enumerate(trades):
        key = ("pair", trade.pair) if trade.pair else number
        legs = found.pop(key, [])
        found[key] = [*legs, trade]
    return list(found.values())


def reason_of(legs: Sequence[One]) -> str:
    """Why a pair was left: the newest reason of its own, since ``LEG`` only says that the other leg was."""
    return next((leg.reason for leg in reversed(legs) if leg.reason != Reason.LEG), legs[-1].reason)


def whole_trades(trades: Iterable[Trade]) -> list[Trade]:
    """The trades as a trader counts them, in the order in which they were over."""
    return [as_one(legs) for legs in legs_together(trades)]


def as_one(legs: Sequence[Trade]) -> Trade:
    """The legs of a pair as one trade: what the leading one says of itself, with the money and the time of both."""
    if len(legs) == 1:
        return legs[0]
    lead = min(legs, key=lambda leg: leg.lane)
    return lead._replace(
        entry_ts_ns=min(leg.entry_ts_ns for leg in legs),
        exit_ts_ns=max(leg.exit_ts_ns for leg in legs),
        reason=Reason(reason_of(legs)),
        pair=0,
        **{name: sum(getattr(leg, name) for leg in legs) for name in MONEY},
    )
