"""The limits of single entries: how many there have been, how large one is, and at which price it would be made.

They are asked in the order of ``OF_SINGLE_ENTRIES``, once nothing stands against entries as such
(``engine.account.risk``): the first one that is exceeded is the reason why an entry is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import NamedTuple, Protocol

from engine.account.ledger import Ledger
from engine.account.limits import RiskLimits
from engine.account.orders import AT_MARKET, Order, Terms
from engine.account.portfolio import Portfolio
from engine.events import Refusal
from engine.model import LONG, Side

MARGIN_EQUITY = 2_000
"""Intraday margin: the least equity of a margin account, in dollars."""

LONG_MARGIN, SHORT_MARGIN, SHORT_MARGIN_UNIT = Fraction(1, 4), Fraction(3, 10), 5
"""Intraday margin: the maintenance margin of long and short value, and the least of a share sold short, in dollars."""


HOW_OFTEN = ("max_stops_in_row", "max_cancel_ratio", "max_orders_per_second", "duplicate_window")
HOW_LARGE = (
    *("max_order_units", "max_order_value", "max_position_units", "max_position_value", "position_capital_fraction"),
    *("max_total_capital_fraction", "max_leverage"),
)
HOW_RISKY = ("liquidation_buffer", "price_collar", "min_reward_risk", "pdt")
OF_SINGLE_ENTRIES = (*HOW_OFTEN, *HOW_LARGE, *HOW_RISKY)
"""Limits that an entry is held against by itself, in the order in which they are asked."""


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


@dataclass(slots=True)
class Bounds:
    """Limits of single entries in the whole numbers that are compared, ratios as numerator and denominator; None: off.

    What is compared with a ratio is multiplied by its denominator, which is exact and far faster than fractions.
    """

    cancel_ratio: tuple[int, int] | None
    order_lots: list[int] | None  # by instrument
    order_value: int | None  # in money units
    position_lots: list[int] | None
    position_value: int | None
    position_capital: tuple[int, int] | None
    total_capital: tuple[int, int] | None
    leverage: tuple[int, int] | None
    collar: tuple[int, int] | None
    reward_risk: tuple[int, int] | None


class EntryLimits:
    """Holds entries against the limits of single ones.

    Args:
        limits: those that are on.
        portfolio: for its money unit and instruments.
        ledger: what is held, on its way, and was sent before.
    """

    def __init__(self, limits: RiskLimits, portfolio: Portfolio, ledger: Ledger) -> None:
        self._limits, self._portfolio, self._ledger = limits, portfolio, ledger
        self._money: int = 10**portfolio.scale
        self._unit: list[int] = portfolio.units  # money units in one tick and lot, by instrument
        self._market: Market  # once it is watched: nothing is entered before there is one
        self._range_columns: Sequence[int] = ()
        self._bounds = self._in_whole_numbers()
        self._often, self._large, self._risky = (
            any(getattr(limits, name) is not None for name in names) for names in (HOW_OFTEN, HOW_LARGE, HOW_RISKY)
        )

    def watch(self, market: Market, range_columns: Sequence[int]) -> None:
        """Judge by this market from now on; ``range_columns`` holds the column of the average true range of each."""
        self._market, self._range_columns = market, range_columns

    def refusal(self, order: Order, exits: Exits) -> Refusal | None:
        """The first limit that an entry exceeds, or None."""
        refusal = self._too_often(order) if self._often else None
        if refusal is None and (self._large or self._risky):
            price = self.paying(order.instrument, order.side, order.terms)
            refusal = self._too_large(order, price) if self._large else None
            if refusal is None and self._risky:
                refusal = self._too_risky(order, price, exits)
        return refusal

    def paying(self, instrument: int, side: Side, terms: Terms = AT_MARKET) -> int:
        """What an order would pay, in ticks: its limit or trigger; at the market the quote, or else the last trade."""
        if waits_at := terms.limit_ticks or terms.trigger_ticks:
            return waits_at
        bid, ask = self._market.quote(instrument)
        return (ask if side is LONG else bid) or self._market.price(instrument)

    def _in_whole_numbers(self) -> Bounds:
        limits = self._limits
        return Bounds(
            cancel_ratio=quotient_of(limits.max_cancel_ratio),
            order_lots=self._in_lots(limits.max_order_units),
            order_value=self._in_money(limits.max_order_value),
            position_lots=self._in_lots(limits.max_position_units),
            position_value=self._in_money(limits.max_position_value),
            position_capital=quotient_of(limits.position_capital_fraction),
            total_capital=quotient_of(limits.max_total_capital_fraction),
            leverage=quotient_of(limits.max_leverage),
            collar=quotient_of(limits.price_collar),
            reward_risk=quotient_of(limits.min_reward_risk),
        )

    def _in_lots(self, units: Fraction | None) -> list[int] | None:
        """The most lots of each instrument that are no more than so many shares, contracts or coins."""
        if units is None:
            return None
        return [floor(units * 10**instrument.size_precision) for instrument in self._portfolio.instruments]

    def _in_money(self, amount: Fraction | None) -> int | None:
        """The most money units that are no more than an amount of currency."""
        return None if amount is None else floor(amount * self._money)

    # ------------------------------------------------------------ the first one exceeded

    def _too_often(self, order: Order) -> Refusal | None:
        limits, ledger, ratio = self._limits, self._ledger, self._bounds.cancel_ratio
        if limits.max_stops_in_row is not None and ledger.stops_in_row >= limits.max_stops_in_row:
            return Refusal.STOPS_IN_ROW
        if ratio is not None and (ledger.could_end_unfilled() + 1) * ratio[1] > ratio[0] * max(1, ledger.entries_today):
            return Refusal.CANCEL_RATIO
        rate = limits.max_orders_per_second
        if rate is not None and ledger.sent_within_second(order.decided_ns) >= rate:
            return Refusal.ORDER_RATE
        return Refusal.DUPLICATE if limits.duplicate_window is not None and ledger.is_duplicate(order) else None

    def _too_large(self, order: Order, price: int) -> Refusal | None:
        bounds, index, lots = self._bounds, order.instrument, order.lots
        each = price * self._unit[index]
        if bounds.order_lots is not None and lots > bounds.order_lots[index]:
            return Refusal.ORDER_UNITS
        if bounds.order_value is not None and lots * each > bounds.order_value:
            return Refusal.ORDER_VALUE
        lots += self._ledger.lots(index, order.side)
        if bounds.position_lots is not None and lots > bounds.position_lots[index]:
            return Refusal.POSITION_UNITS
        if bounds.position_value is not None and lots * each > bounds.position_value:
            return Refusal.POSITION_VALUE
        equity, capital = self._market.equity, bounds.position_capital
        if capital is not None and lots * each * capital[1] > capital[0] * equity:
            return Refusal.POSITION_CAPITAL
        total, leverage = bounds.total_capital, bounds.leverage
        if total is None and leverage is None:
            return None
        exposure = self._exposure_with(order, price)
        if total is not None and exposure * total[1] > total[0] * equity:
            return Refusal.TOTAL_CAPITAL
        if leverage is not None and exposure * leverage[1] > leverage[0] * equity:
            return Refusal.LEVERAGE
        return None

    def _too_risky(self, order: Order, price: int, exits: Exits) -> Refusal | None:
        bounds, limits = self._bounds, self._limits
        least = limits.liquidation_buffer
        if least is not None and not self._keeps_from_liquidation(least, order, price):
            return Refusal.LIQUIDATION
        if (collar := bounds.collar) is not None:
            bid, ask = self._market.quote(order.instrument)
            # Twice what it is worth: the mid of a quote with both sides, in order, or else the last trade. How old it
            # may be is not asked here: of a feed that is silent or late nothing is opened at all.
            twice = bid + ask if 0 < bid <= ask else 2 * self._market.price(order.instrument)
            if abs(2 * price - twice) * collar[1] > collar[0] * twice:
                return Refusal.PRICE_COLLAR
        if bounds.reward_risk is not None and not rewards(bounds.reward_risk, order.side, price, exits):
            return Refusal.REWARD_RISK
        if limits.pdt == "intraday_margin" and not self._keeps_margin(order, price):
            return Refusal.PDT
        return None

    def _keeps_from_liquidation(self, least: Fraction, order: Order, price: int) -> bool:
        """The price may move against the position by so many ranges before the equity is the maintenance margin.

        After a move of ``d`` ticks ``equity - lots*unit*d`` is left, and ``margin * (value - side*lots*unit*d)`` asked
        for, ``value`` being that of everything held: of one position, at the price that brokers and futures exchanges
        publish, ``price * (1 - side/leverage) / (1 - side*margin)``.
        """
        market = self._market
        found = market.value(order.instrument, self._range_columns[order.instrument])
        if found is None or found != found:
            return False
        margin = self._limits.maintenance_margin or 0
        left = market.equity - margin * self._exposure_with(order, price)
        per_tick = self._lots_with(order) * self._unit[order.instrument] * (1 - order.side * margin)
        return left >= least * Fraction(found) * per_tick

    def _keeps_margin(self, order: Order, price: int) -> bool:
        """The equity covers the maintenance margin of everything held once this order is filled."""
        market = self._market
        required = self._margin(order.instrument, order.side, order.lots, price)
        for (instrument, side), lots in self._ledger.exposures().items():
            required += self._margin(instrument, side, lots, market.price(instrument))
        return market.equity >= max(required, Fraction(MARGIN_EQUITY * self._money))

    def _margin(self, instrument: int, side: Side, lots: int, price_ticks: int) -> Fraction:
        value = lots * price_ticks * self._unit[instrument]
        if side is LONG:
            return LONG_MARGIN * value
        return max(SHORT_MARGIN * value, self._units(instrument, lots) * SHORT_MARGIN_UNIT * self._money)

    # ------------------------------------------------------------ what they measure

    def _lots_with(self, order: Order) -> int:
        return self._ledger.lots(order.instrument, order.side) + order.lots

    def _exposure_with(self, order: Order, price: int) -> int:
        """Value of all positions and entries on their way at the last trades, and of this order at its price."""
        market, units = self._market, self._unit
        value = order.lots * price * units[order.instrument]
        for (instrument, _), lots in self._ledger.exposures().items():
            value += lots * market.price(instrument) * units[instrument]
        return value

    def _units(self, instrument: int, lots: int) -> Fraction:
        return Fraction(lots, 10 ** self._portfolio.instruments[instrument].size_precision)


def rewards(least: tuple[int, int], side: Side, price: int, exits: Exits) -> bool:
    """Whether the distance of the target is at least so many times that of the stop."""
    if exits.stop_ticks is None or exits.target_ticks is None:
        return False
    reward, risk = side * (exits.target_ticks - price), side * (price - exits.stop_ticks)
    return risk > 0 and reward * least[1] >= least[0] * risk


def quotient_of(ratio: Fraction | None) -> tuple[int, int] | None:
    """A ratio as numerator and denominator; None where there is none."""
    return None if ratio is None else ratio.as_integer_ratio()
