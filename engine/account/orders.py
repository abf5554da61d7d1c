"""Orders, their terms, and the states they may be in. Ids are deterministic: the decision's number in its session.

The state machine is one table, ``NEXT``: a state and what the venue reported give the next state, and nothing else
does. No timer is in it: an order whose acknowledgement is lost is ``UNKNOWN`` until the venue gives evidence. Fills
count whenever they come, after a cancel, too, and each of them once; one that the venue annuls is taken back, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple, NewType

from engine.model import NO_PRICE, OrderType, Reason, Side, TimeInForce


class OrderState(StrEnum):
    """Where an order stands."""

    APPROVED = "approved"  # risk let it through; not sent
    SUBMITTED = "submitted"  # sent, not acknowledged
    WORKING = "working"  # at the venue
    PARTIAL = "partial"  # at the venue, and filled in part
    CANCELLING = "cancelling"  # a cancel is on its way
    UNKNOWN = "unknown"  # the venue may have it or not
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class OrderEvent(StrEnum):
    """What happens to an order: two things that are sent, what the venue says, and that word from it was lost."""

    SENT = "sent"
    CANCEL_SENT = "cancel_sent"
    ACCEPTED = "accepted"  # also the answer to a question: it is working
    PART_FILLED = "part_filled"
    FILLED = "filled"  # the last of its lots
    CANCELLED = "cancelled"
    CANCEL_REJECTED = "cancel_rejected"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LOST = "lost"  # no answer, or the connection broke: nothing is known


SENT, ACCEPTED = OrderEvent.SENT, OrderEvent.ACCEPTED
PART_FILLED, FILLED = OrderEvent.PART_FILLED, OrderEvent.FILLED
CANCEL_SENT, CANCELLED = OrderEvent.CANCEL_SENT, OrderEvent.CANCELLED
"""Events of most orders, bound once (see ``engine.model``)."""


def _table() -> dict[tuple[OrderState, OrderEvent], OrderState]:
    state, event = OrderState, OrderEvent
    table = {
        (state.APPROVED, event.SENT): state.SUBMITTED,
        (state.UNKNOWN, event.REJECTED): state.REJECTED,
        (state.SUBMITTED, event.REJECTED): state.REJECTED,
        (state.CANCELLING, event.REJECTED): state.REJECTED,
        (state.REJECTED, event.REJECTED): state.REJECTED,
    }
    alive = (state.SUBMITTED, state.WORKING, state.PARTIAL, state.CANCELLING, state.UNKNOWN)
    for at in alive:
        table[at, event.ACCEPTED] = at if at in (state.PARTIAL, state.CANCELLING) else state.WORKING
        table[at, event.PART_FILLED] = at if at is state.CANCELLING else state.PARTIAL
        table[at, event.FILLED] = state.FILLED
        table[at, event.CANCEL_SENT] = state.CANCELLING
        table[at, event.CANCELLED] = state.CANCELLED
        table[at, event.EXPIRED] = state.EXPIRED
        table[at, event.LOST] = state.UNKNOWN
        table[at, event.CANCEL_REJECTED] = state.UNKNOWN if at is state.CANCELLING else at  # working, or done already
    done = (state.FILLED, state.CANCELLED, state.EXPIRED)
    for at in (*done, state.REJECTED):
        for late in (event.ACCEPTED, event.CANCEL_REJECTED, event.LOST):  # words that come late change nothing
            table[at, late] = at
    for at in done:
        table[at, event.CANCELLED] = at
        table[at, event.EXPIRED] = at
    for at in (state.CANCELLED, state.EXPIRED):  # filled before the cancel arrived, told after it
        table[at, event.PART_FILLED] = at
        table[at, event.FILLED] = state.FILLED
    return table


NEXT = _table()
"""The state that follows a state and an event; what is not in it contradicts what the venue said before."""

FINAL = (OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED)
"""States in which an order no longer waits for anything, though word of a fill may still come."""


class OrderError(Exception):
    """What cannot be: more lots filled than were sent, or closed than were held, or a fill of a rejected order."""


class Terms(NamedTuple):
    """What an order asks of the venue besides side and lots; prices in ticks, ``NO_PRICE`` where there is none.

    A *post-only* order is refused where it would be filled on arrival; a *reduce-only* order never fills more than is
    open, so it cannot turn a position round.
    """

    kind: OrderType = OrderType.MARKET
    limit_ticks: int = NO_PRICE
    trigger_ticks: int = NO_PRICE
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ns: int = 0  # with ``GTD`` and ``DAY``; else 0
    post_only: bool = False
    reduce_only: bool = False


AT_MARKET = Terms()


@dataclass(slots=True)
class Order:
    """An order of one lane: to enter on ``side``, or to leave it for ``reason``.

    ``filled`` are the lots of fills that stand, ``busted`` those of fills that the venue has annulled: both are done.
    The last four fields say how it stands at a venue that fills from the market's records.
    """

    order_id: int
    lane: int
    instrument: int
    side: Side  # of the order: LONG buys
    lots: int
    decided_ns: int
    reason: Reason | None = None  # of an exit; None for an entry
    state: OrderState = OrderState.APPROVED
    terms: Terms = AT_MARKET
    filled: int = 0
    busted: int = 0
    fills: dict[int, int] = field(default_factory=dict)  # lots by the venue's number of the fill
    busts: frozenset[int] = frozenset()  # numbers of fills that it annulled
    rests: bool = False
    awaits_trigger: bool = False
    watched: bool = False  # the core keeps the worst quote for it
    ending: str = ""  # why a cancel is on its way

    @property
    def left(self) -> int:
        """Lots not filled yet."""
        return self.lots - self.filled - self.busted

    @property
    def is_done(self) -> bool:
        """Whether it no longer waits for anything."""
        return self.state in FINAL

    @property
    def values(self) -> tuple[Any, ...]:
        """Everything about it as plain values."""
        return *_plain(self), tuple(self.terms), tuple(self.fills.items()), tuple(sorted(self.busts))

    @classmethod
    def of(cls, values: Sequence[Any]) -> Order:
        """Make the order that had these ``values``."""
        *plain, (kind, limit, trigger, time_in_force, *rest), fills, busts = values
        it = dict(zip(PLAIN, plain, strict=True))
        it |= {"side": Side(it["side"]), "state": OrderState(it["state"])}
        terms = Terms(OrderType(kind), limit, trigger, TimeInForce(time_in_force), *rest)
        return cls(**it, terms=terms, fills=dict(fills), busts=frozenset(busts))

    def hear(self, event: OrderEvent) -> None:
        """Move on by what happened.

        Raises:
            OrderError: that cannot happen to an order in its state.
        """
        state = NEXT.get((self.state, event))
        if state is None:
            raise OrderError(f"order {self.order_id} is {self.state} and cannot be {event}")
        self.state = state

    def fill(self, fill_id: int, lots: int) -> int:
        """Count a fill; returns the lots that are new: none when it has been counted before, or annulled before.

        Raises:
            OrderError: it fills more than was ordered, or an order that was rejected.
        """
        if fill_id in self.fills:
            return 0
        left = self.left
        if not 0 < lots <= left:
            raise OrderError(f"order {self.order_id} has {left} lots left and cannot fill {lots}")
        self.hear(FILLED if lots == left else PART_FILLED)
        self.fills[fill_id] = lots
        if fill_id in self.busts:
            self.busted += lots
            return 0
        self.filled += lots
        return lots

    def bust(self, fill_id: int) -> int:
        """Take back a fill that the venue has annulled; returns its lots: none when it was taken back or never told.

        What was annulled is not worked again: the order's state stays what it is.
        """
        if fill_id in self.busts:
            return 0
        self.busts |= {fill_id}
        lots = self.fills.get(fill_id, 0)
        self.filled -= lots
        self.busted += lots
        return lots


PLAIN = [one.name for one in fields(Order) if one.name not in ("terms", "fills", "busts")]
"""Fields of an order that are plain values."""

_plain = attrgetter(*PLAIN)

Approved = NewType("Approved", Order)
"""An order that risk has let through: only the gate (``engine.account.risk``) says so of one."""


LATE = 1024
"""So many orders that have ended with lots left are remembered: word of a fill of theirs may come after the end."""


class OrderBook:
    """The orders that were sent and may still be filled, by id. An id is sent once.

    ``orders`` are those that are awaited, ``ended`` the newest of those that were called back or have expired.
    """

    def __init__(self) -> None:
        self.orders: dict[int, Approved] = {}
        self.ended: dict[int, Approved] = {}
        self.newest = 0

    def find(self, order_id: int) -> Approved:
        """Return the order that the venue speaks of, whether it is still awaited or has ended.

        Raises:
            OrderError: there is none that may be filled.
        """
        order = self.orders.get(order_id) or self.ended.get(order_id)
        if order is None:
            raise OrderError(f"the venue speaks of order {order_id}, which is filled, forgotten or was never sent")
        return order

    def send(self, order: Approved) -> None:
        """Enter an order that leaves for the venue.

        Raises:
            OrderError: an order of this id, or a later one, was sent before.
        """
        if order.order_id <= self.newest:
            raise OrderError(f"order {order.order_id} was sent before")
        order.hear(SENT)
        self.newest = order.order_id
        self.orders[order.order_id] = order

    def settle(self, order: Order) -> None:
        """Await a finished order no longer."""
        assert order.is_done, f"order {order.order_id} is {order.state}"
        awaited = self.orders.pop(order.order_id, None) or self.ended.pop(order.order_id)
        if order.left:
            self.ended[order.order_id] = awaited
            if len(self.ended) > LATE:
                del self.ended[next(iter(self.ended))]
