"""Closed trades made up for tests: prices in cents, whole shares, costs in cents."""

from __future__ import annotations

from engine.account.portfolio import Leg, Trade
from engine.model import Instrument, Reason, Side

CENTS = Instrument("ACME", price_precision=2, size_precision=0)
CENT = 10**10
"""Money units of a cent, at the scale of 12 decimals."""


def made(
    net: int,
    *,
    costs: tuple[int, int, int] = (0, 0, 0),
    entry: int = 10_000,
    lots: int = 1,
    side: Side = Side.LONG,
    held: tuple[int, int] = (0, 1),
    reason: Reason = Reason.TARGET,
    exit_ticks: int | None = None,
    legs: tuple[Leg, ...] = (),
) -> Trade:
    """A trade that earned ``net`` cents; ``costs`` are spread, slippage and fees in cents."""
    gross = net + sum(costs)
    left = entry + side * gross // lots if exit_ticks is None else exit_ticks
    money = [amount * CENT for amount in (gross, *costs, net)]
    return Trade(CENTS, side, lots, *held, entry, left, reason, 12, *money, legs=legs)
