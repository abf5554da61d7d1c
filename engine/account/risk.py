"""The one gate that every order passes. Only this module makes an ``Approved``; brokers accept nothing else.

The gate is in one of three states. *Active*: entries are judged by the limits. *Reducing*: nothing is opened, exits
work as ever (paused by an operator, the day's loss reached, the feed not fresh). *Halted*: the same, and it stays so
until somebody resumes with a reason. Exits always pass: refusing to lower risk would be the greater risk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from math import floor
from typing import Any

from engine.account.carried import Carried
from engine.account.entry_limits import EntryLimits, Exits, Market
from engine.account.ledger import Ledger
from engine.account.limits import RiskLimits
from engine.account.orders import AT_MARKET, Approved, Order, Terms
from engine.account.portfolio import Portfolio, rounded
from engine.events import Refusal
from engine.indicators import atr
from engine.language.grammar import Expr, Kind, Quantity
from engine.model import Side
from engine.rules import bars
from engine.trading.lanes import moved

ERRORS_IN_ROW = 3
"""So many engine errors, one after the other without a good input between them, halt."""

PDT_EQUITY = 25_000
"""Legacy: below this equity, in dollars, at the start of the day day trades are counted."""

PDT_TRADES = 3
"""Legacy: so many day trades are free in the window; the fourth makes a pattern day trader."""

RANGE_LENGTH, RANGE_BAR_NS = 14, 60_000_000_000
"""Liquidation buffer: how many bars the average true range is over, and how long they are where nobody says."""


class TradingState(StrEnum):
    """Whether entries are judged, or refused whatever they are."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


Draft = Callable[[], tuple[Order, Exits] | Refusal]
"""Makes an entry and says where it would end, or why it cannot be made."""


class RiskGate:
    """Approves orders, and keeps the reasons for which nothing may be opened.

    Args:
        limits: what no strategy may exceed.
        portfolio: the account that they are about, for its money unit.
    """

    def __init__(self, limits: RiskLimits, portfolio: Portfolio) -> None:
        self.limits = limits
        self.ledger = Ledger(limits.duplicate_window or 0)
        self._entries = EntryLimits(limits, portfolio, self.ledger)
        self._money: int = 10**portfolio.scale
        self._market: Market | None = None
        self.day_start = portfolio.starting
        self.floor = self._floor()
        self.day_halted = False
        self.paused = False
        self.halted: Refusal | None = None
        self.halted_for = ""  # what an operator said of that
        self.feed_refusal: Refusal | None = None
        self.errors = 0

    def watch(self, market: Market, range_columns: Sequence[int] = ()) -> None:
        """Judge by this market from now on; ``range_columns`` holds the column of ``range`` by instrument."""
        self._market = market
        self._entries.watch(market, range_columns)

    @property
    def range(self) -> Expr | None:
        """The average true range that is to be watched on every instrument; None: no limit asks for it."""
        if self.limits.liquidation_buffer is None:
            return None
        return atr(bars(Quantity(Kind.DURATION, self.limits.liquidation_bar or RANGE_BAR_NS)), RANGE_LENGTH)

    # ------------------------------------------------------------ the day's loss

    def _floor(self) -> int | None:
        """Equity at which the day is over: its start less what may be lost, exactly; None without such a limit."""
        limits, floors = self.limits, []
        if limits.daily_loss_limit is not None:
            floors.append(floor(self.day_start * (1 - limits.daily_loss_limit)))
        if limits.daily_loss_money is not None:
            floors.append(floor(self.day_start - limits.daily_loss_money * self._money))
        return max(floors, default=None)

    @property
    def live_floor(self) -> int | None:
        """The floor while it still has something to say: nothing is left to halt on a day that is over."""
        return None if self.day_halted or self.halted is not None else self.floor

    @property
    def live_drawdown(self) -> tuple[int, int]:
        """The drawdown limit as a quotient of whole numbers; 0 and 0 while there is none, or it has been reached."""
        limit = self.limits.max_drawdown
        return (0, 0) if limit is None or self.halted is not None else (limit.numerator, limit.denominator)

    def start_day(self, equity: int, number: int) -> None:
        """A new trading day begins: yesterday's losses no longer count. ``number`` counts trading days."""
        self.day_start = equity
        self.floor = self._floor()
        self.day_halted = False
        self.ledger.start_day(number)

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything that it remembers, as plain values."""
        own = self.day_start, self.day_halted, self.paused, self.halted, self.halted_for, self.feed_refusal, self.errors
        return (*own, self.ledger.kept)

    def restore(self, state: Sequence[Any], orders: Mapping[int, Order]) -> None:
        """Go on from where another gate with the same limits was in this state."""
        self.day_start, self.day_halted, self.paused, self.halted, self.halted_for, *more, ledger = state
        self.feed_refusal, self.errors = more
        self.floor = self._floor()
        self.ledger.restore(ledger, orders)

    def go_on(self, carried: Carried) -> None:
        """The day that has begun is the one in which another session of the account ended: it goes on."""
        self.day_start = rounded(carried.day_start * self._money)
        self.floor = self._floor()
        self.day_halted = carried.day_halted
        for name, count in carried.today.items():
            setattr(self.ledger, name, count)

    def loss(self) -> Refusal | None:
        """The limit that the equity has reached, though no trade since has told: a fill's own costs may reach it.

        None where nothing is left to halt.
        """
        market = self._market
        if market is None or self.halted is not None:
            return None
        if self.floor is not None and not self.day_halted and market.equity <= self.floor:
            return Refusal.DAILY_LOSS
        return Refusal.DRAWDOWN if market.drawdown_reached else None

    # ------------------------------------------------------------ states

    @property
    def state(self) -> TradingState:
        """Active, reducing or halted."""
        if self.halted is not None:
            return TradingState.HALTED
        reducing = self.day_halted or self.paused or self.feed_refusal is not None
        return TradingState.REDUCING if reducing else TradingState.ACTIVE

    @property
    def standing(self) -> Refusal | None:
        """Why nothing may be opened on any instrument, or None: the gravest reason first."""
        if self.halted is not None:
            return self.halted
        if self.day_halted:
            return Refusal.DAILY_LOSS
        return Refusal.PAUSED if self.paused else self.feed_refusal

    @property
    def own_standing(self) -> Refusal | None:
        """The same, whatever the feed is like."""
        return None if self.standing is self.feed_refusal else self.standing

    def halt(self, reason: Refusal, said: str = "") -> bool:
        """Halt until resumed with a reason; the first halt's reason stays. Returns whether this one is it.

        ``said`` is what an operator gave for it.
        """
        if self.halted is not None:
            return False
        self.halted, self.halted_for = reason, said
        return True

    def resume(self, reason: str) -> bool:
        """End a pause, and with a reason a halt, too. Returns whether anything has changed.

        Nothing changes on a halted engine when no reason is given.
        """
        if self.halted is not None and not reason.strip():
            return False
        changed = self.paused or self.halted is not None
        self.paused, self.halted, self.halted_for, self.errors = False, None, "", 0
        return changed

    def fault(self) -> bool:
        """Count an engine error. Returns whether it is one too many."""
        self.errors += 1
        return self.errors >= ERRORS_IN_ROW

    # ------------------------------------------------------------ the gate

    def refusal(self, instrument: int) -> Refusal | None:
        """Why nothing whatever may be opened on this instrument now, or None."""
        limits, ledger = self.limits, self.ledger
        if limits.positions_per_symbol and ledger.positions(instrument) >= limits.positions_per_symbol:
            return Refusal.POSITION_OPEN
        if (against := self.standing or self.loss()) is not None:
            return against
        if limits.max_trades_per_day and ledger.trades_today() >= limits.max_trades_per_day:
            return Refusal.TRADES_PER_DAY
        if limits.max_losses_in_row and ledger.losses_in_row >= limits.max_losses_in_row:
            return Refusal.LOSSES_IN_ROW
        if limits.max_open_orders and len(ledger.working) >= limits.max_open_orders:
            return Refusal.OPEN_ORDERS
        counts_day_trades = limits.pdt == "legacy" and self.day_start < PDT_EQUITY * self._money
        return Refusal.PDT if counts_day_trades and ledger.possible_day_trades() >= PDT_TRADES else None

    def approve_entry(self, instrument: int, draft: Draft) -> Approved | Refusal:
        """Let an entry through, or say why not; it is only drafted where an entry could be let through at all."""
        refusal = self.refusal(instrument)
        if refusal is not None:
            return refusal
        drafted = draft()
        if isinstance(drafted, Refusal):
            return drafted
        order, exits = drafted
        refusal = self._entries.refusal(order, exits)
        return Approved(order) if refusal is None else refusal

    def approve_exit(self, order: Order) -> Approved:
        """An exit only ever lowers risk: it always passes, but it passes here."""
        return Approved(order)

    def again(self, order: Order) -> Approved:
        """An order of a snapshot: it was let through before that was taken."""
        return Approved(order)

    def paying(self, instrument: int, side: Side, terms: Terms = AT_MARKET) -> int:
        """What an order would pay, in ticks: its limit or trigger; at the market the quote, or else the last trade."""
        return self._entries.paying(instrument, side, terms)

    # ------------------------------------------------------------ the stop of every position

    def tighter_stop(self, side: Side, entry_ticks: int | Fraction, stop_ticks: int) -> tuple[int, bool]:
        """The stop of a position, and whether it is the account's: the tighter of that and the strategy's own.

        The account's is the first tick whose loss is the limit or more.
        """
        if self.limits.position_stop is None:
            return stop_ticks, False
        own = moved(entry_ticks, self.limits.position_stop, -side)
        return (own, True) if side * own > side * stop_ticks else (stop_ticks, False)
