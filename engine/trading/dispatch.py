"""Orders on their way to the venue, those that rest there, and what becomes of them.

An approved order leaves here, arrives when the venue model says, is filled then, waits or is refused, and each fill and
end comes back to the ``Listener``, the desk. Cancels travel as long as orders do: until one has arrived, its order may
still be filled.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Protocol

from engine import _core
from engine.account.orders import Order, OrderBook, OrderEvent, OrderState
from engine.account.risk import Approved
from engine.events import OrderCancelled, OrderFilled, OrderRests, OrderSubmitted, Refusal
from engine.model import MAX_PRICE_TICKS, NO_PRICE, OrderType, Reason, Side, TimeInForce
from engine.ports import Broker, Fill, Journal
from engine.trading.lanes import Lane


class Listener(Protocol):
    """Who hears of fills and ends."""

    def on_fill(self, lane: Lane, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """``lots`` of an order were filled; ``order.left`` says how many are still to come."""

    def on_end(self, lane: Lane, order: Order) -> None:
        """Nothing more of the order will be filled."""

    def open_lots(self, lane: Lane) -> int:
        """Lots of the lane's position: what a reduce-only order may fill at most."""


@dataclass(slots=True)
class Sent:
    """An order at or on its way to the venue."""

    lane: Lane
    approved: Approved
    rests: bool = False
    awaits_trigger: bool = False
    watched: bool = False  # the core keeps the worst quote for it
    ending: str = ""  # why a cancel is on its way


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
        self._sent: dict[int, Sent] = {}
        self._due: list[tuple[int, int, int, OrderEvent]] = []  # time, number, order, what happens then
        self._numbers = 0
        self._fills = 0

    @property
    def next_id(self) -> int:
        """The id of the next order."""
        return self._book.newest + 1

    def send(self, lane: Lane, approved: Approved, purpose: str) -> None:
        """Send an order; it is at the venue at once where there is no latency, or where the data has ended."""
        order = approved.order
        self._book.send(order)
        self._sent[order.order_id] = Sent(lane, approved)
        self._journal.append(
            OrderSubmitted(order.decided_ns, order.order_id, lane.number, int(order.side), order.lots, purpose)
        )
        arrival_ns = self._broker.arrival_ns(approved, order.decided_ns)
        if arrival_ns <= order.decided_ns or order.reason is Reason.END:
            self._arrive(order.order_id, order.decided_ns)
            return
        if self._broker.wants_worst_quote and order.terms.kind is OrderType.MARKET:
            self._sent[order.order_id].watched = True
            core = self._core
            core.rest(order.order_id, order.instrument, _core.RESTS_WATCH, _core.LAST, order.side, 0, order.lots)
        self._schedule(arrival_ns, order.order_id, OrderEvent.ACCEPTED)

    def _schedule(self, ts_ns: int, order_id: int, event: OrderEvent) -> None:
        self._numbers += 1
        heapq.heappush(self._due, (ts_ns, self._numbers, order_id, event))
        self._core.set_alarm(self._due[0][0])

    def arrivals(self, ts_ns: int) -> None:
        """What is due happens: orders and cancels reach the venue, waiting orders expire."""
        while self._due and self._due[0][0] <= ts_ns:
            _, _, order_id, event = heapq.heappop(self._due)
            if order_id not in self._sent:
                continue  # filled or called back in the meantime
            if event is OrderEvent.ACCEPTED:
                self._arrive(order_id, ts_ns)
            else:
                self._end(order_id, event, self._sent[order_id].ending or "EXPIRED", ts_ns)
        if self._due:
            self._core.set_alarm(self._due[0][0])

    def cancel(self, order: Order, reason: str) -> None:
        """Call an order back: one on its way at once, one at the venue once the cancel gets there."""
        if order.is_done:
            return  # a fault has left it where it was: nothing of it is at the venue
        ts_ns, sent = self._core.event_ts_ns, self._sent[order.order_id]
        if sent.ending and reason != Reason.END:
            return
        order.hear(OrderEvent.CANCEL_SENT)
        arrival_ns = self._broker.arrival_ns(sent.approved, ts_ns)
        if not sent.rests or arrival_ns <= ts_ns or reason == Reason.END:
            self._end(order.order_id, OrderEvent.CANCELLED, reason, ts_ns)
            return
        sent.ending = reason
        self._schedule(arrival_ns, order.order_id, OrderEvent.CANCELLED)

    def resize(self, order: Order, lots: int) -> None:
        """Let a resting order be for ``lots`` in all, more than it has filled."""
        order.lots = lots
        if self._sent[order.order_id].rests:
            self._core.resize(order.order_id, order.left)
        ts_ns, limit = self._core.event_ts_ns, order.terms.limit_ticks
        self._journal.append(OrderRests(ts_ns, order.order_id, "limit", limit, order.left))

    # ------------------------------------------------------------ at the venue

    def _arrive(self, order_id: int, ts_ns: int) -> None:
        sent = self._sent[order_id]
        order, core = sent.approved.order, self._core
        terms = order.terms
        order.hear(OrderEvent.ACCEPTED)
        if terms.time_in_force is TimeInForce.OPENING:
            self._rest(sent, _core.RESTS_STOP, MAX_PRICE_TICKS if order.side is Side.SHORT else 1, ts_ns)
            return
        is_stop = terms.kind in (OrderType.STOP, OrderType.STOP_LIMIT)
        if is_stop and order.side * (core.price(order.instrument) - terms.trigger_ticks) < 0:
            self._rest(sent, _core.RESTS_STOP, terms.trigger_ticks, ts_ns)
        else:
            self._meet(sent, ts_ns)

    def _meet(self, sent: Sent, ts_ns: int) -> None:
        """The order meets the market: it is filled, rests at its limit, or is refused."""
        order, core = sent.approved.order, self._core
        terms, order_id = order.terms, order.order_id
        quote = core.quote(order.instrument)
        if sent.watched:
            quote = core.worst_quote(order_id)
            core.withdraw(order_id)
            sent.watched = False
        last = core.price(order.instrument)
        if terms.kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            if not self._broker.crosses(sent.approved, last, *quote):
                if terms.time_in_force is TimeInForce.IOC:
                    self._end(order_id, OrderEvent.CANCELLED, "IOC", ts_ns)
                else:
                    self._rest(sent, _core.RESTS_LIMIT, terms.limit_ticks, ts_ns)
                return
            if terms.post_only:
                self._end(order_id, OrderEvent.CANCELLED, "POST_ONLY", ts_ns)
                return
        lots = order.left
        if terms.reduce_only:
            lots = min(lots, self._listener.open_lots(sent.lane))
        fill = self._broker.fill(sent.approved, lots, last, *quote) if lots else None
        if fill is None:
            self._end(order_id, OrderEvent.CANCELLED, "REDUCE_ONLY" if not lots else Refusal.NO_QUOTE, ts_ns)
        else:
            self._fill(sent, lots, fill, ts_ns)
            if order_id in self._sent:  # the rest would turn the position round
                self._end(order_id, OrderEvent.CANCELLED, "REDUCE_ONLY", ts_ns)

    def _rest(self, sent: Sent, kind: int, price_ticks: int, ts_ns: int) -> None:
        order = sent.approved.order
        sent.rests, sent.awaits_trigger = True, kind == _core.RESTS_STOP
        words = "stop" if sent.awaits_trigger else "limit"
        if order.terms.time_in_force is TimeInForce.OPENING:  # any trade triggers it
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
            self._schedule(max(order.terms.expires_ns, ts_ns), order.order_id, OrderEvent.EXPIRED)

    def filled(self, order_id: int, lots: int, ts_ns: int) -> None:
        """The core found a record that fills a resting order, or triggers a stop."""
        sent = self._sent[order_id]
        order = sent.approved.order
        if sent.awaits_trigger:
            self._core.withdraw(order_id)
            sent.rests = sent.awaits_trigger = False
            self._meet(sent, ts_ns)
            return
        if order.terms.reduce_only:
            lots = min(lots, self._listener.open_lots(sent.lane))
        self._fill(sent, lots, self._broker.passive(sent.approved, lots), ts_ns)

    def _fill(self, sent: Sent, lots: int, fill: Fill, ts_ns: int) -> None:
        order = sent.approved.order
        self._fills += 1
        order.fill(self._fills, lots)
        self._journal.append(OrderFilled(ts_ns, order.order_id, fill.price_ticks, lots, fill.slippage, fill.fee))
        if order.state is OrderState.FILLED:
            self._forget(order)
        self._listener.on_fill(sent.lane, order, lots, fill, ts_ns)

    def _end(self, order_id: int, event: OrderEvent, reason: str, ts_ns: int) -> None:
        sent = self._sent[order_id]
        order = sent.approved.order
        order.hear(event)
        self._forget(order)
        self._journal.append(OrderCancelled(ts_ns, order_id, reason))
        self._listener.on_end(sent.lane, order)

    def _forget(self, order: Order) -> None:
        sent = self._sent.pop(order.order_id)
        if sent.rests or sent.watched:
            self._core.withdraw(order.order_id)
        self._book.settle(order)
