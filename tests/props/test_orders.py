"""Orders against a venue that loses, repeats, reorders and annuls: every fill that stands counts, and counts once.

The venue is modelled on its own here: it knows nothing of the state machine, only what it did with each order. Random
interleavings of its messages with losses of the connection are told to the orders, and the two accounts compared.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account.orders import FINAL, NEXT, Order, OrderBook, OrderError, OrderEvent, OrderState
from engine.model import Side

INTERLEAVINGS = int(os.environ.get("MICROBURST_INTERLEAVINGS", "10000"))


BUST = "bust"
Message = tuple[OrderEvent | str, int, int]


class Venue:
    """One order at a venue: takes it, or not; fills it; cancels it when asked, unless it is too late."""

    def __init__(self, rng: Random, lots: int) -> None:
        self.rng, self.lots, self.done = rng, lots, 0
        self.open, self.arrived, self.messages, self.fills = True, 0, [], 0
        self.standing: dict[int, int] = {}

    def arrive(self) -> None:
        self.arrived += 1
        if self.rng.random() < 0.1:
            self.open = False
            self.messages.append((OrderEvent.REJECTED, 0, 0))
        else:
            self.messages.append((OrderEvent.ACCEPTED, 0, 0))

    def trade(self) -> None:
        if self.open:
            lots = self.rng.randint(1, self.lots - self.done)
            self.done += lots
            self.fills += 1
            self.standing[self.fills] = lots
            self.messages.append((OrderEvent.PART_FILLED, self.fills, lots))
            self.open = self.done < self.lots

    def cancel(self) -> None:
        if self.open:
            self.open = False
            self.messages.append((OrderEvent.CANCELLED, 0, 0))
        else:
            self.messages.append((OrderEvent.CANCEL_REJECTED, 0, 0))

    def bust(self) -> None:
        if self.standing:
            fill_id = self.rng.choice(sorted(self.standing))
            del self.standing[fill_id]
            self.messages.append((BUST, fill_id, 0))

    def expire(self) -> None:
        if self.open:
            self.open = False
            self.messages.append((OrderEvent.EXPIRED, 0, 0))


def told(order: Order, message: Message) -> int:
    """The lots that the order counts for it, or takes back."""
    event, fill_id, lots = message
    if event == BUST:
        return -order.bust(fill_id)
    if fill_id:
        return order.fill(fill_id, lots)
    order.hear(OrderEvent(event))
    return 0


def deliver(rng: Random, messages: list[Message]) -> list[Message]:
    """What arrives in the end: words may be lost, fills never for good; any of it may be repeated; in any order."""
    found = [one for one in messages if one[1] or rng.random() < 0.8]
    found += [one for one in messages if rng.random() < 0.3]
    rng.shuffle(found)
    return found


def test_no_fill_is_lost_or_counted_twice() -> None:
    rng = Random(20260401)
    seen: set[OrderState] = set()
    late = early = busts = early_busts = 0
    for _ in range(INTERLEAVINGS):
        order, book = Order(1, 0, 0, Side.LONG, rng.randint(1, 9), 0), OrderBook()
        book.send(order)
        venue = Venue(rng, order.lots)
        venue.arrive()
        for act in rng.choices([venue.trade, venue.trade, venue.cancel, venue.expire, venue.bust], k=rng.randint(0, 6)):
            act()
        booked, accepted = 0, False
        for message in deliver(rng, venue.messages):
            if order.state not in FINAL and rng.random() < 0.2:
                order.hear(OrderEvent.CANCEL_SENT)
            if rng.random() < 0.2:
                order.hear(OrderEvent.LOST)
                seen.add(order.state)
            with pytest.raises(OrderError):
                book.send(order)  # unknown or not, it is never sent again
            was, counted = order.state, order.filled
            new = told(order, message)
            assert order.filled == counted + new
            busts += new < 0
            early_busts += message[0] == BUST and message[1] not in order.fills
            late += new > 0 and was in (OrderState.CANCELLED, OrderState.EXPIRED)
            early += new > 0 and not accepted
            accepted |= message[0] is OrderEvent.ACCEPTED
            booked += new
            seen.add(order.state)
        assert booked == order.filled == sum(venue.standing.values())
        assert order.filled + order.busted == venue.done
        assert (order.state is OrderState.FILLED) == (venue.done == venue.lots)
        assert venue.arrived == 1
    assert seen >= set(OrderState) - {OrderState.APPROVED, OrderState.SUBMITTED}
    assert late > INTERLEAVINGS // 100
    assert early > INTERLEAVINGS // 100
    assert busts > INTERLEAVINGS // 100
    assert early_busts > INTERLEAVINGS // 100


def test_nothing_but_evidence_ends_the_unknown() -> None:
    """Out of UNKNOWN leads only what the venue said, or a cancel that asks it."""
    ways = {event for (state, event), to in NEXT.items() if state is OrderState.UNKNOWN and to is not state}
    silent = {OrderEvent.SENT, OrderEvent.LOST}
    assert not ways & silent
    assert ways == set(OrderEvent) - silent - {OrderEvent.CANCEL_REJECTED}


@given(st.lists(st.sampled_from([one for one in OrderEvent if one is not OrderEvent.SENT]), max_size=12))
def test_what_is_final_stays_final(events: list[OrderEvent]) -> None:
    order = Order(1, 0, 0, Side.SHORT, 5, 0)
    order.hear(OrderEvent.SENT)
    ended = None
    for event in events:
        try:
            order.hear(event)
        except OrderError:
            continue
        if ended is not None:
            assert order.state in (ended, OrderState.FILLED)
        ended = order.state if order.state in FINAL else None
        assert (ended is not None) == order.is_done


@pytest.mark.parametrize("lots", [0, 4])
def test_a_fill_beyond_the_order_is_a_contradiction(lots: int) -> None:
    order = Order(1, 0, 0, Side.LONG, 5, 0)
    order.hear(OrderEvent.SENT)
    assert order.fill(1, 2) == 2
    with pytest.raises(OrderError, match="3 lots left"):
        order.fill(2, lots)
    assert order.fill(1, 2) == 0
    assert (order.filled, order.left, order.state) == (2, 3, OrderState.PARTIAL)


def test_a_fill_that_is_annulled_is_taken_back_once() -> None:
    order = Order(1, 0, 0, Side.LONG, 5, 0)
    order.hear(OrderEvent.SENT)
    assert order.fill(7, 3) == 3
    assert (order.bust(7), order.bust(7), order.filled, order.left) == (3, 0, 0, 2)
    assert (order.bust(8), order.fill(8, 2), order.filled) == (0, 0, 0)
    assert (order.left, order.state) == (0, OrderState.FILLED)


def test_a_refused_cancel_says_nothing_of_an_order_that_was_being_cancelled_and_nothing_new_of_any_other() -> None:
    """It may be working, or done before the cancel arrived."""
    alive = (OrderState.SUBMITTED, OrderState.WORKING, OrderState.PARTIAL, OrderState.UNKNOWN)
    assert NEXT[OrderState.CANCELLING, OrderEvent.CANCEL_REJECTED] is OrderState.UNKNOWN
    for state in (*alive, *FINAL):
        assert NEXT[state, OrderEvent.CANCEL_REJECTED] is state


def test_a_rejected_order_has_no_fills() -> None:
    order, book = Order(1, 0, 0, Side.LONG, 5, 0), OrderBook()
    book.send(order)
    with pytest.raises(AssertionError, match="is submitted"):
        book.settle(order)
    order.hear(OrderEvent.REJECTED)
    with pytest.raises(OrderError, match="is rejected"):
        order.fill(1, 5)
    book.settle(order)
    assert not book.orders
    with pytest.raises(OrderError, match="sent before"):
        book.send(Order(1, 0, 0, Side.LONG, 5, 0))
