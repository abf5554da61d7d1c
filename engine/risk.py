"""The one gate that every order passes. Only this module makes an ``Approved``; brokers accept nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import NamedTuple

from engine.events import Refusal
from engine.orders import Order
from engine.portfolio import Portfolio


class Approved(NamedTuple):
    """An order that risk has let through."""

    order: Order


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What no strategy may exceed. ``daily_loss_limit`` is a ratio of the day's starting equity."""

    daily_loss_limit: Fraction = Fraction(1, 20)


class RiskGate:
    """Approves orders, and keeps the reasons for which nothing may be opened."""

    def __init__(self, limits: RiskLimits, portfolio: Portfolio) -> None:
        self.limits = limits
        self._portfolio = portfolio
        self.day_start = portfolio.starting
        self.floor = self._floor()
        self.day_halted = False
        self.paused = False
        self.feed_refusal: Refusal | None = None
        self.entering: set[int] = set()  # instruments with an entry on its way: as good as a position

    def _floor(self) -> int:
        """Equity at which the day is over: the day's start less the limit, exactly."""
        return floor(self.day_start * (1 - self.limits.daily_loss_limit))

    def start_day(self, equity: int) -> None:
        """A new trading day begins: yesterday's losses no longer count."""
        self.day_start = equity
        self.floor = self._floor()
        self.day_halted = False

    def floor_reached(self, equity: int) -> bool:
        """Whether the day's loss has reached its limit."""
        return equity <= self.floor

    def refusal(self, instrument: int) -> Refusal | None:
        """Why nothing may be opened on this instrument now, or None."""
        if (
            any(one.instrument == instrument for one in self._portfolio.positions.values())
            or instrument in self.entering
        ):
            return Refusal.POSITION_OPEN
        if self.day_halted:
            return Refusal.DAILY_LOSS
        if self.paused:
            return Refusal.PAUSED
        return self.feed_refusal

    def approve_entry(self, order: Order) -> Approved | Refusal:
        """Let an entry through, or say why not."""
        refusal = self.refusal(order.instrument)
        return Approved(order) if refusal is None else refusal

    def approve_exit(self, order: Order) -> Approved:
        """An exit only ever lowers risk: it always passes, but it passes here."""
        return Approved(order)
