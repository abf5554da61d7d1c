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
from typing import Any, NamedTuple, Protocol, TypeVar

from engine.account.carried import Carried
from engine.account.ledger import Ledger
from engine.account.limits import RiskLimits
from engine.account.orders import AT_MARKET, Approved, Order, Terms
from engine.account.portfolio import Portfolio, rounded
from engine.events import Refusal
from engine.indicators import atr
from engine.language.grammar import Expr, Kind, Quantity
from engine.model import LONG, Side
from engine.rules import bars
from engine.trading.lanes import moved

Value = TypeVar("Value")

ERRORS_IN_ROW = 3
"""So many engine errors, one after the other without a good input between them, halt."""

PDT_EQUITY = 25_000
"""Legacy: below this equity, in dollars, at the start of the day day trades are counted."""

PDT_TRADES = 3
"""Legacy: so many day trades are free in the window; the fourth makes a pattern day trader."""

MARGIN_EQUITY = 2_000
"""Intraday margin: the least equity of a margin account, in dollars."""

LONG_MARGIN, SHORT_MARGIN, SHORT_MARGIN_UNIT = Fraction(1, 4), Fraction(3, 10), 5
"""Intraday margin: the maintenance margin of long and short value, and the least of a share sold short, in dollars."""


RANGE_LENGTH, RANGE_BAR_NS = 14, 60_000_000_000
"""Liquidation buffer: how many bars the average true range is over, and how long they are where nobody says."""


class TradingState(StrEnum):
    """Whether entries are judged, or refused whatever they are."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class Market(Protocol):
    """What the gate looks at while it judges: the last trades and quotes, and the equity as marked at them."""

    @property
    def equity(self) -> int: ...

    @property
    def drawdown_reached(self) -> bool: ...

    def price(self, instrument: int) -> int: ...

    def quote(self, instrument: int) -> tuple[int, int]: ...

    def value(self, instrument: int, column: int) -> int | float | None: ...


class Exits(NamedTuple):
    """Where an entry would stop and take its profit, in ticks; None where it has no such exit."""

    stop_ticks: int | None = None
    target_ticks: int | None = None


NO_EXITS = Exits()

Check = Callable[[Any, Order, int, Exits], bool]
"""Whether an order keeps to a limit: the limit in whole numbers, the order, what it would pay in ticks, its exits."""


class RiskGate:
    """Approves orders, and keeps the reasons for which nothing may be opened.

    Args:
        limits: what no strategy may exceed.
        portfolio: the account that they are about, for its money unit.
    """

    def __init__(self, limits: RiskLimits, portfolio: Portfolio) -> None:
        self.limits = limits
        self.ledger = Ledger(limits.duplicate_window or 0)
        self._portfolio = portfolio
        self._money: int = 10**portfolio.scale
        self._unit: list[int] = portfolio.units  # money units in one tick and lot, by instrument
        self._market: Market | None = None
        self._range_columns: Sequence[int] = ()
        self.day_start = portfolio.starting
        self.floor = self._floor()
        self.day_halted = False
        self.paused = False
        self.halted: Refusal | None = None
        self.feed_refusal: Refusal | None = None
        self.errors = 0
        self._checks = self._limits_on()

    def watch(self, market: Market, range_columns: Sequence[int] = ()) -> None:
        """Judge by this market from now on; ``range_columns`` holds the column of ``range`` by instrument."""
        self._market, self._range_columns = market, range_columns

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
        own = self.day_start, self.day_halted, self.paused, self.halted, self.feed_refusal, self.errors
        return (*own, self.ledger.kept)

    def restore(self, state: Sequence[Any], orders: Mapping[int, Order]) -> None:
        """Go on from where another gate with the same limits was in this state."""
        self.day_start, self.day_halted, self.paused, self.halted, self.feed_refusal, self.errors, ledger = state
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

    def halt(self, reason: Refusal) -> bool:
        """Halt until resumed with a reason; the first halt's reason stays. Returns whether this one is it."""
        first = self.halted is None
        self.halted = self.halted or reason
        return first

    def resume(self, reason: str) -> bool:
        """End a pause, and with a reason a halt, too. Returns whether anything has changed.

        Nothing changes on a halted engine when no reason is given.
        """
        if self.halted is not None and not reason.strip():
            return False
        changed = self.paused or self.halted is not None
        self.paused, self.halted, self.errors = False, None, 0
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
        if (standing := self.standing or self.loss()) is not None:
            return standing
        if limits.max_trades_per_day and ledger.trades_today() >= limits.max_trades_per_day:
            return Refusal.TRADES_PER_DAY
        if limits.max_losses_in_row and ledger.losses_in_row >= limits.max_losses_in_row:
            return Refusal.LOSSES_IN_ROW
        if limits.max_open_orders and len(ledger.working) >= limits.max_open_orders:
            return Refusal.OPEN_ORDERS
        counts_day_trades = limits.pdt == "legacy" and self.day_start < PDT_EQUITY * self._money
        return Refusal.PDT if counts_day_trades and ledger.possible_day_trades() >= PDT_TRADES else None

    def approve_entry(self, order: Order, exits: Exits = NO_EXITS) -> Approved | Refusal:
        """Let an entry through, or say why not."""
        refusal = self.refusal(order.instrument)
        if refusal is not None:
            return refusal
        if self._checks:
            price = self.paying(order.instrument, order.side, order.terms)
            for check, limit, reason in self._checks:
                if not check(limit, order, price, exits):
                    return reason
        return Approved(order)

    def approve_exit(self, order: Order) -> Approved:
        """An exit only ever lowers risk: it always passes, but it passes here."""
        return Approved(order)

    def again(self, order: Order) -> Approved:
        """An order of a snapshot: it was let through before that was taken."""
        return Approved(order)

    def _limits_on(self) -> list[tuple[Check, Any, Refusal]]:
        """The checks of single orders whose limit is on, each with its limit in the whole numbers that it compares."""
        limits, lots, money, ratio = self.limits, self._in_lots, self._in_money, Fraction.as_integer_ratio
        every: list[tuple[Any, Callable[[Any], Any], Check, Refusal]] = [
            (limits.max_stops_in_row, int, self._keeps_stops, Refusal.STOPS_IN_ROW),
            (limits.max_cancel_ratio, ratio, self._keeps_cancels, Refusal.CANCEL_RATIO),
            (limits.max_orders_per_second, int, self._keeps_rate, Refusal.ORDER_RATE),
            (limits.duplicate_window, int, self._is_new, Refusal.DUPLICATE),
            (limits.max_order_units, lots, self._keeps_order_units, Refusal.ORDER_UNITS),
            (limits.max_order_value, money, self._keeps_order_value, Refusal.ORDER_VALUE),
            (limits.max_position_units, lots, self._keeps_position_units, Refusal.POSITION_UNITS),
            (limits.max_position_value, money, self._keeps_position_value, Refusal.POSITION_VALUE),
            (limits.position_capital_fraction, ratio, self._keeps_position_capital, Refusal.POSITION_CAPITAL),
            (limits.max_total_capital_fraction, ratio, self._keeps_exposure, Refusal.TOTAL_CAPITAL),
            (limits.max_leverage, ratio, self._keeps_exposure, Refusal.LEVERAGE),
            (limits.liquidation_buffer, Fraction, self._keeps_from_liquidation, Refusal.LIQUIDATION),
            (limits.price_collar, ratio, self._keeps_collar, Refusal.PRICE_COLLAR),
            (limits.min_reward_risk, ratio, self._keeps_reward_risk, Refusal.REWARD_RISK),
            (limits.pdt == "intraday_margin" or None, bool, self._keeps_margin, Refusal.PDT),
        ]
        return [(check, whole(limit), reason) for limit, whole, check, reason in every if limit is not None]

    def _in_lots(self, units: Fraction) -> list[int]:
        """The most lots of each instrument that are no more than so many shares, contracts or coins."""
        return [floor(units * 10**instrument.size_precision) for instrument in self._portfolio.instruments]

    def _in_money(self, amount: Fraction) -> int:
        """The most money units that are no more than an amount of currency."""
        return floor(amount * self._money)

    # ------------------------------------------------------------ single limits
    # Each is given its limit in whole numbers, a ratio as numerator and denominator: what is compared is multiplied by
    # the denominator, which is exact and far faster than fractions.

    def _keeps_stops(self, most: int, _order: Order, _price: int, _: Exits) -> bool:
        return self.ledger.stops_in_row < most

    def _keeps_cancels(self, most: tuple[int, int], _order: Order, _price: int, _: Exits) -> bool:
        ledger = self.ledger
        return (ledger.could_end_unfilled() + 1) * most[1] <= most[0] * max(1, ledger.entries_today)

    def _keeps_rate(self, most: int, order: Order, _price: int, _: Exits) -> bool:
        return self.ledger.sent_within_second(order.decided_ns) < most

    def _is_new(self, _window: int, order: Order, _price: int, _: Exits) -> bool:
        return not self.ledger.is_duplicate(order)

    def _keeps_order_units(self, most: list[int], order: Order, _price: int, _: Exits) -> bool:
        return order.lots <= most[order.instrument]

    def _keeps_order_value(self, most: int, order: Order, price: int, _: Exits) -> bool:
        return order.lots * price * self._unit[order.instrument] <= most

    def _keeps_position_units(self, most: list[int], order: Order, _price: int, _: Exits) -> bool:
        return self._lots_with(order) <= most[order.instrument]

    def _keeps_position_value(self, most: int, order: Order, price: int, _: Exits) -> bool:
        return self._lots_with(order) * price * self._unit[order.instrument] <= most

    def _keeps_position_capital(self, most: tuple[int, int], order: Order, price: int, _: Exits) -> bool:
        value = self._lots_with(order) * price * self._unit[order.instrument]
        return value * most[1] <= most[0] * self._equity

    def _keeps_exposure(self, most: tuple[int, int], order: Order, price: int, _: Exits) -> bool:
        return self._exposure_with(order, price) * most[1] <= most[0] * self._equity

    def _keeps_from_liquidation(self, least: Fraction, order: Order, price: int, _: Exits) -> bool:
        """The price may move against the position by so many ranges before the equity is the maintenance margin.

        After a move of ``d`` ticks ``equity - lots*unit*d`` is left, and ``margin * (value - side*lots*unit*d)`` asked
        for, ``value`` being that of everything held: of one position, at the price that brokers and futures exchanges
        publish, ``price * (1 - side/leverage) / (1 - side*margin)``.
        """
        found = known(self._market).value(order.instrument, self._range_columns[order.instrument])
        if found is None or found != found:
            return False
        margin = self.limits.maintenance_margin or 0
        left = self._equity - margin * self._exposure_with(order, price)
        per_tick = self._lots_with(order) * self._unit[order.instrument] * (1 - order.side * margin)
        return left >= least * Fraction(found) * per_tick

    def _keeps_collar(self, most: tuple[int, int], order: Order, price: int, _: Exits) -> bool:
        twice = self._going_rate(order.instrument)
        return abs(2 * price - twice) * most[1] <= most[0] * twice

    def _keeps_reward_risk(self, least: tuple[int, int], order: Order, price: int, exits: Exits) -> bool:
        if exits.stop_ticks is None or exits.target_ticks is None:
            return False
        reward, risk = order.side * (exits.target_ticks - price), order.side * (price - exits.stop_ticks)
        return risk > 0 and reward * least[1] >= least[0] * risk

    def _keeps_margin(self, _on: bool, order: Order, price: int, _: Exits) -> bool:
        """The equity covers the maintenance margin of everything held once this order is filled."""
        required = self._margin(order.instrument, order.side, order.lots, price)
        market = known(self._market)
        for (instrument, side), lots in self.ledger.exposures().items():
            required += self._margin(instrument, side, lots, market.price(instrument))
        return self._equity >= max(required, Fraction(MARGIN_EQUITY * self._money))

    def _margin(self, instrument: int, side: Side, lots: int, price_ticks: int) -> Fraction:
        value = lots * price_ticks * self._unit[instrument]
        if side is LONG:
            return LONG_MARGIN * value
        return max(SHORT_MARGIN * value, self._units(instrument, lots) * SHORT_MARGIN_UNIT * self._money)

    # ------------------------------------------------------------ the stop of every position

    def tighter_stop(self, side: Side, entry_ticks: int | Fraction, stop_ticks: int) -> tuple[int, bool]:
        """The stop of a position, and whether it is the account's: the tighter of that and the strategy's own.

        The account's is the first tick whose loss is the limit or more.
        """
        if self.limits.position_stop is None:
            return stop_ticks, False
        own = moved(entry_ticks, self.limits.position_stop, -side)
        return (own, True) if side * own > side * stop_ticks else (stop_ticks, False)

    # ------------------------------------------------------------ what the limits measure

    @property
    def _equity(self) -> int:
        return known(self._market).equity

    def _units(self, instrument: int, lots: int) -> Fraction:
        return Fraction(lots, 10 ** self._portfolio.instruments[instrument].size_precision)

    def paying(self, instrument: int, side: Side, terms: Terms = AT_MARKET) -> int:
        """What an order would pay, in ticks: its limit or trigger; at the market the quote, or else the last trade."""
        if waits_at := terms.limit_ticks or terms.trigger_ticks:
            return waits_at
        market = known(self._market)
        bid, ask = market.quote(instrument)
        return (ask if side is LONG else bid) or market.price(instrument)

    def _going_rate(self, instrument: int) -> int:
        """Twice what an instrument is worth now, in ticks: the mid of its quote, or the last trade without a good one.

        A good quote has both sides, in order. How old it may be is not asked here: of a feed that is silent or late
        nothing is opened at all.
        """
        market = known(self._market)
        bid, ask = market.quote(instrument)
        return bid + ask if 0 < bid <= ask else 2 * market.price(instrument)

    def _lots_with(self, order: Order) -> int:
        return self.ledger.lots(order.instrument, order.side) + order.lots

    def _exposure_with(self, order: Order, price: int) -> int:
        """Value of all positions and entries on their way at the last trades, and of this order at its price."""
        market, units = known(self._market), self._unit
        value = order.lots * price * units[order.instrument]
        return value + sum(lots * market.price(i) * units[i] for (i, _), lots in self.ledger.exposures().items())


def known(value: Value | None) -> Value:
    """A limit that is on, or the market that the gate watches."""
    assert value is not None, "only limits that are on are checked, and only once there is a market"
    return value
