"""The simulated venue: fills by name, latency, slippage and fees.

``last`` fills at the last trade price, without cost: the reference for comparing implementations. The other rungs of
the ladder (``engine.brokers.fills``) buy at the ask and sell at the bid of the last quote seen when the order arrives;
an assumed spread, centred on the last trade price, takes the place of quotes. Slippage and fees are costs of their own
and do not move the fill price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from engine.account.orders import Approved, Order
from engine.account.portfolio import Portfolio, quotient
from engine.brokers.fills import LADDER, Fills
from engine.latency import AT_ONCE, Constant, Latency, Leg
from engine.model import END
from engine.ports import Fill
from engine.quantities import Fee

BPS = Fraction(1, 10_000)
NO_FEE = Fee()


@dataclass(frozen=True, slots=True)
class VenueModel:
    """How the simulated venue behaves.

    ``spread`` is in currency and None where quotes are used; ``maker_fee`` is that of orders which waited, None: the
    same as ``fee``; ``borrow_rate`` is what borrowing costs a year, as a ratio of the value sold short.
    """

    fills: Fills = "last"
    spread: Fraction | None = None
    slippage_bps: Fraction = Fraction(0)
    fee: Fee = NO_FEE
    latency_feed: Latency = AT_ONCE
    latency_order: Latency = AT_ONCE
    maker_fee: Fee | None = None
    borrow_rate: Fraction = Fraction(0)
    shorting: bool = True


class PaperBroker:
    """Fills approved orders at once, or at the time at which they reach the venue."""

    def __init__(self, model: VenueModel, portfolio: Portfolio) -> None:
        self.model = model
        self._feed, self._orders = Leg(model.latency_feed, 0), Leg(model.latency_order, 1)
        self._data_ns = self._seen_ns = -1
        legs = model.latency_feed, model.latency_order
        self._is_constant = all(isinstance(leg, Constant) for leg in legs)
        self._delay_ns = sum(leg.delay_ns for leg in legs if isinstance(leg, Constant))
        self._portfolio = portfolio
        self._units = portfolio.units
        rung = LADDER[model.fills]
        self._touch, self.resting_model, self.wants_worst_quote = rung.crosses, rung.resting, rung.worst_quote
        self._at_last = not rung.crosses or model.spread is not None  # spreads are measured from the last trade
        self.may_short = model.shorting
        self._costless = not model.slippage_bps and not model.fee.bps and not model.fee.per_unit
        self._half_spreads = [
            None if model.spread is None else model.spread / 2 * 10**instrument.price_precision
            for instrument in portfolio.instruments
        ]
        self._slippage = Rate(model.slippage_bps * BPS)
        self._fees = self._rates(model.fee)
        self._maker_fees = self._fees if model.maker_fee is None else self._rates(model.maker_fee)

    def arrival_ns(self, approved: Approved, sent_ns: int) -> int:
        """When the order, or its cancel, reaches the venue.

        The market data that it answers was late by one leg, what is sent is by the other. One message of data has one
        delay, however much is sent on it.
        """
        if self._is_constant:
            return sent_ns + self._delay_ns
        if sent_ns != self._data_ns:
            self._data_ns, self._seen_ns = sent_ns, self._feed.arrival_ns(sent_ns)
        return self._orders.arrival_ns(self._seen_ns)

    @property
    def kept(self) -> tuple[Any, ...]:
        """What has been on the way so far, as plain values."""
        return self._data_ns, self._seen_ns, self._feed.kept, self._orders.kept

    def restore(self, state: Sequence[Any]) -> None:
        """Go on from where another venue of the same model was in this state."""
        self._data_ns, self._seen_ns, feed, orders = state
        self._feed.restore(feed)
        self._orders.restore(orders)

    def crosses(self, approved: Approved, last_ticks: int, bid_ticks: int, ask_ticks: int) -> bool:
        """Whether the limit is at or beyond the price that a market order would be filled at."""
        price = self._market_price(approved, last_ticks, bid_ticks, ask_ticks)
        return price is not None and approved.side * (approved.terms.limit_ticks - price) >= 0

    def passive(self, approved: Approved, lots: int) -> Fill:
        """Fill a resting order at its limit: it pays no spread, and nothing slips."""
        price, instrument = approved.terms.limit_ticks, approved.instrument
        return Fill(price, 2 * price, 0, self._maker_fees[instrument].of(price * lots * self._units[instrument], lots))

    def has_price(self, approved: Approved, last_ticks: int, bid_ticks: int, ask_ticks: int) -> bool:
        """Whether there is a price that a market order could be filled at."""
        price = self._market_price(approved, last_ticks, bid_ticks, ask_ticks)
        return price is not None and (price > 0 or approved.reason is not None)

    def fill(self, approved: Approved, lots: int, last_ticks: int, bid_ticks: int, ask_ticks: int) -> Fill | None:
        """Fill a market order against the market as it stands; None when there is no price to fill at."""
        price = self._market_price(approved, last_ticks, bid_ticks, ask_ticks)
        if price is None:
            return None
        if price <= 0:
            if approved.reason is None:
                return None
            price = 0  # an assumed spread wider than the price: what must be sold is sold for nothing
        reference = 2 * last_ticks if self._at_last or approved.reason is END else bid_ticks + ask_ticks
        if self._costless:
            return Fill(price, reference, 0, 0)
        instrument = approved.instrument
        value = price * lots * self._units[instrument]
        return Fill(price, reference, self._slippage.of(value, lots), self._fees[instrument].of(value, lots))

    def _market_price(self, order: Order, last_ticks: int, bid_ticks: int, ask_ticks: int) -> int | Fraction | None:
        """What a market order is filled at; None where there is no quote."""
        if not self._touch or order.reason is END:  # what the end of the data cuts off is valued, not traded
            return last_ticks
        half = self._half_spreads[order.instrument]
        if half is not None:
            return whole(last_ticks + order.side * half)
        if bid_ticks and ask_ticks:
            return ask_ticks if order.side > 0 else bid_ticks
        return None

    def _rates(self, fee: Fee) -> list[Rate]:
        """What a fee is on each instrument."""
        money = 10**self._portfolio.scale
        return [
            Rate(fee.bps * BPS, fee.per_unit * Fraction(money, 10**instrument.size_precision))
            for instrument in self._portfolio.instruments
        ]


class Rate:
    """A cost as a share of the value of a fill and so much for each lot, in whole numbers of the money unit.

    It is ``(value * of_value + lots * per_lot) / divisor`` in whole numbers, which is exact and faster than fractions.
    """

    __slots__ = ("_divisor", "_of_value", "_per_lot")

    def __init__(self, share: Fraction, per_lot: Fraction = Fraction(0)) -> None:
        self._divisor = share.denominator * per_lot.denominator
        self._of_value = share.numerator * per_lot.denominator
        self._per_lot = per_lot.numerator * share.denominator

    def of(self, value: int | Fraction, lots: int) -> int:
        """The cost of a fill of this value, in money units, half to even."""
        whole = value.numerator * self._of_value + value.denominator * lots * self._per_lot
        return quotient(whole, value.denominator * self._divisor)


def whole(price: Fraction) -> int | Fraction:
    """The same number, as an integer where it is one: integers are what the rest is fast with."""
    return price.numerator if price.denominator == 1 else price
