"""Orders on their way to the venue, those that rest there, and what becomes of them.

An approved order leaves here, arrives when the venue model says, is filled then, waits or is refused, and each fill and
end comes back to the ``Listener``, the desk. Cancels travel as long as orders do: until one has arrived, its order may
still be filled.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine import _core
from engine.account.orders import ACCEPTED, CANCEL_SENT, CANCELLED, Approved, Order, OrderBook, OrderEvent
from engine.events import OrderCancelled, OrderFilled, OrderRests, OrderSubmitted, Refusal
from engine.model import END, MARKET, MAX_PRICE_TICKS, NO_PRICE, SHORT, OrderType, TimeInForce
from engine.ports import Broker, Fill, Journal

STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
LIMITS = (OrderType.LIMIT, OrderType.STOP_LIMIT)
OPENING, IOC = TimeInForce.OPENING, TimeInForce.IOC

FAULT = "FAULT"
"""Why an order ended that an error had left nowhere."""

NO_ENTRIES = "NO_ENTRIES"
"""The session's rules allow no entries: why one that waited was called back, and why none would be let through."""

LEFT_TO_EXITS = frozenset((Refusal.PAUSED, Refusal.FEED_STALE, Refusal.DATA_OLD, Refusal.DISK_FULL, NO_ENTRIES))
"""Why entries are called back and positions are not: what one opens before it has ended is left to its exits."""


class Listener(Protocol):
    """Who hears of fills and ends."""

    def on_fill(self, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """``lots`` of an order were filled; ``order.left`` says how many are still to come."""

    def on_late_fill(self, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """``lots`` of an order were filled that had ended: the venue was faster with its word of the end."""

    def on_end(self, order: Order) -> None:
        """Nothing more of the order is awaited."""

    def open_lots(self, order: Order) -> int:
        """Lots of the position that the order leaves: what a reduce-only order may fill at most."""


class Dispatch:
    """Sends orders, keeps those that wait, and tells the listener.

    Args:
        core: tells the time and the market, and finds the records that fill resting orders.
        broker, journal: the venue, and where decisions go.
        listener: hears of fills and ends.
    """

    def __init__(self, core: _core.Core, broker: Broker, journal: Journal, listener: Listener) -> None:
        self._core, self._broker, self._journal, self._listener = core, broker, journal, listener
        self._book = OrderBook()
        self._sent = self._book.orders
        self._due: list[tuple[int, int, int, OrderEvent]] = []  # time, number, order, what happens then
        self._numbers = 0
        self._fills = 0

    @property
    def next_id(self) -> int:
        """The id of the next order."""
        return self._book.newest + 1

    @property
    def orders(self) -> list[Order]:
        """Every order that is on its way or rests, and those that have ended of which a fill may still be told."""
        return [*self._sent.values(), *self._book.ended.values()]

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything that it remembers, as plain values; orders by their ids."""
        book = self._book
        return tuple(self._sent), tuple(book.ended), book.newest, tuple(self._due), self._numbers, self._fills

    def restore(self, state: Sequence[Any], orders: Mapping[int, Approved]) -> None:
        """Go on from where another one was in this state; ``orders`` are those that it names."""
        sent, ended, self._book.newest, due, self._numbers, self._fills = state
        self._sent.update((number, orders[number]) for number in sent)
        self._book.ended.update((number, orders[number]) for number in ended)
        self._due = [(ts_ns, number, order, OrderEvent(event)) for ts_ns, number, order, event in due]

    @property
    def working(self) -> list[int]:
        """The ids of the orders that are at or on their way to the venue."""
        return sorted(self._sent)

    def send(self, order: Approved, purpose: str) -> None:
        """Send an order; it is at the venue at once where there is no latency, or where the data has ended."""
        ts_ns = order.decided_ns
        self._book.send(order)
        self._journal.append(OrderSubmitted(ts_ns, order.order_id, order.lane, order.side.real, order.lots, purpose))
        arrival_ns = self._broker.arrival_ns(order, ts_ns)
        if arrival_ns <= ts_ns or order.reason is END:
            self._arrive(order, ts_ns)
            return
        terms = order.terms
        if self._broker.wants_worst_quote and terms.kind is MARKET and terms.time_in_force is not OPENING:
            order.watched = True
            core = self._core
            core.rest(order.order_id, order.instrument, _core.RESTS_WATCH, _core.LAST, order.side, 0, order.lots)
        self._schedule(arrival_ns, order, ACCEPTED)

    def _schedule(self, ts_ns: int, order: Order, event: OrderEvent) -> None:
        self._numbers += 1
        heapq.heappush(self._due, (ts_ns, self._numbers, order.order_id, event))
        self._core.set_alarm(self._due[0][0])

    def arrivals(self, ts_ns: int) -> None:
        """What is due happens: orders and cancels reach the venue, waiting orders expire."""
        try:
            while self._due and self._due[0][0] <= ts_ns:
                _, _, order_id, event = heapq.heappop(self._due)
                order = self._sent.get(order_id)
                if order is None:
                    continue  # filled or called back in the meantime
                if event is ACCEPTED:
                    self._arrive(order, ts_ns)
                else:
                    self._end(order, event, order.ending or "EXPIRED", ts_ns)
        finally:
            if self._due:
                self._core.set_alarm(self._due[0][0])

    def give_up(self, ts_ns: int) -> None:
        """End every order that an error has kept from going on: it neither travels nor rests."""
        travelling = {order_id for _, _, order_id, event in self._due if event is ACCEPTED}
        for order in list(self._sent.values()):
            if order.order_id in self._sent and not order.rests and order.order_id not in travelling:
                self._end(order, OrderEvent.CANCELLED, FAULT, ts_ns)

    def cancel(self, order: Order, reason: str) -> None:
        """Call an order back: one on its way at once, one at the venue once the cancel gets there."""
        if order.is_done:
            return  # a fault has left it where it was: nothing of it is at the venue
        ts_ns = self._core.event_ts_ns
        if order.ending and reason != END:
            if order.ending in LEFT_TO_EXITS:
                order.ending = reason  # what it opens now may be wanted less than before
            return
        order.hear(CANCEL_SENT)
        arrival_ns = self._broker.arrival_ns(self._sent[order.order_id], ts_ns)
        if not order.rests or arrival_ns <= ts_ns or reason == END:
            self._end(order, CANCELLED, reason, ts_ns)
            return
        order.ending = reason
        self._schedule(arrival_ns, order, CANCELLED)

    def resize(self, order: Order, lots: int) -> None:
        """Let a resting order be for ``lots`` in all, more than it has filled."""
        order.lots = lots
        if order.rests:
            self._core.resize(order.order_id, order.left)
        ts_ns, limit = self._core.event_ts_ns, order.terms.limit_ticks
        self._journal.append(OrderRests(ts_ns, order.order_id, "limit", limit, order.left))

    # ------------------------------------------------------------ at the venue

    def _arrive(self, order: Approved, ts_ns: int) -> None:
        terms = order.terms
        order.hear(ACCEPTED)
        if terms.time_in_force is OPENING:
            self._rest(order, _core.RESTS_STOP, MAX_PRICE_TICKS if order.side is SHORT else 1, ts_ns)
        elif terms.kind in STOPS and order.side * (self._core.price(order.instrument) - terms.trigger_ticks) < 0:
            if terms.time_in_force is IOC:
                self._end(order, CANCELLED, "IOC", ts_ns)
            else:
                self._rest(order, _core.RESTS_STOP, terms.trigger_ticks, ts_ns)
        else:
            self._meet(order, ts_ns)

    def _meet(self, order: Approved, ts_ns: int) -> None:
        """The order meets the market: it is filled, rests at its limit, or is refused."""
        core, broker, terms = self._core, self._broker, order.terms
        bid, ask = self._worst_quote(order) if order.watched else core.quote(order.instrument)
        last = core.price(order.instrument)
        if terms.kind in LIMITS:
            if not broker.crosses(order, last, bid, ask):
                if terms.time_in_force is IOC:
                    self._end(order, CANCELLED, "IOC", ts_ns)
                else:
                    self._rest(order, _core.RESTS_LIMIT, terms.limit_ticks, ts_ns)
                return
            if terms.post_only:
                self._end(order, CANCELLED, "POST_ONLY", ts_ns)
                return
        lots = order.left
        if terms.reduce_only:
            lots = min(lots, self._listener.open_lots(order))
        fill = broker.fill(order, lots, last, bid, ask) if lots else None
        if fill is None:
            self._end(order, CANCELLED, "REDUCE_ONLY" if not lots else Refusal.NO_QUOTE, ts_ns)
        else:
            self._fill(order, lots, fill, ts_ns)
            if order.order_id in self._sent:  # the rest would turn the position round
                self._end(order, CANCELLED, "REDUCE_ONLY", ts_ns)

    def _worst_quote(self, order: Order) -> tuple[int, int]:
        """The worst quote while the order was on its way, which is over."""
        quote = self._core.worst_quote(order.order_id)
        self._core.withdraw(order.order_id)
        order.watched = False
        return quote

    def _rest(self, order: Order, kind: int, price_ticks: int, ts_ns: int) -> None:
        order.rests, order.awaits_trigger = True, kind == _core.RESTS_STOP
        words = "stop" if order.awaits_trigger else "limit"
        if order.terms.time_in_force is OPENING:  # any trade triggers it
            self._journal.append(OrderRests(ts_ns, order.order_id, "opening", NO_PRICE, order.left))
        else:
            self._journal.append(OrderRests(ts_ns, order.order_id, words, price_ticks, order.left))
        self._core.rest(
            order.order_id,
            order.instrument,
            kind,
            self._broker.resting_model,
            order.side,
            price_ticks,
            order.left,
            order.reason is not None,
        )
        if order.terms.expires_ns:
            self._schedule(max(order.terms.expires_ns, ts_ns), order, OrderEvent.EXPIRED)

    def filled(self, order_id: int, lots: int, ts_ns: int) -> None:
        """A resting order is filled, or a stop triggered; one that had ended may have been filled before it did.

        Raises:
            OrderError: nothing is known of such an order.
        """
        order = self._book.find(order_id)
        if order.awaits_trigger:
            self._core.withdraw(order_id)
            order.rests = order.awaits_trigger = False
            self._meet(order, ts_ns)
            return
        if order.terms.reduce_only and not order.is_done:
            lots = min(lots, self._listener.open_lots(order))
        self._fill(order, lots, self._broker.passive(order, lots), ts_ns)

    def _fill(self, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        self._fills += 1
        hears = self._listener.on_late_fill if order.is_done else self._listener.on_fill
        order.fill(self._fills, lots)
        self._journal.append(OrderFilled(ts_ns, order.order_id, fill.price_ticks, lots, fill.slippage, fill.fee))
        if order.is_done:
            self._forget(order)
        hears(order, lots, fill, ts_ns)

    def _end(self, order: Order, event: OrderEvent, reason: str, ts_ns: int) -> None:
        order.hear(event)
        self._forget(order)
        self._journal.append(OrderCancelled(ts_ns, order.order_id, reason))
        self._listener.on_end(order)

    def _forget(self, order: Order) -> None:
        if order.rests or order.watched:
            self._core.withdraw(order.order_id)
            order.rests = order.watched = order.awaits_trigger = False
        self._book.settle(order)
