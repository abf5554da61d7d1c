"""A venue that lies, around the states of orders: it loses words, tells fills late or twice, refuses, and goes away.

The kernel trades at the paper venue alone, which is a part of it and never lies. What a venue outside would do to a
session is therefore simulated around ``engine.account.orders``, by a trader who keeps only what he was told. He
counts what was sent and not settled as if it will be filled, and takes nothing for settled because time has passed.

Time is in milliseconds. The venue's own books are the truth; ``run`` compares after every step.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from engine.account.orders import Order, OrderBook, OrderEvent, OrderState
from engine.model import Side

LIMIT = 20
"""Lots that may be held either way, what is on its way included."""

PER_SECOND = 6
"""Orders that the venue takes within a second; it refuses more."""

FOUL_MS, CALM_MS = 20_000, 5_000
ASK_MS = 1_000
"""An order that is not settled is asked about as often."""


class Line:
    """Carries words, each after a while of its own: so they overtake each other. Some it loses, some it repeats."""

    def __init__(self, random: Random, faults: Counter[str]) -> None:
        self.random, self.faults = random, faults
        self.now_ms = self._number = 0
        self.calm = self.broken = False
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def carry(self, word: Callable[[], None], *, name: str) -> None:
        """Let ``word`` happen at the other end, or not, or twice."""
        random = self.random
        if self.broken or (not self.calm and random.random() < 0.1):
            self.faults[f"{name} lost"] += 1
            return
        for _ in range(2 if not self.calm and random.random() < 0.1 and name != "order" else 1):
            after_ms = 5 if self.calm else random.choice((1, 5, 50, 300, 1_500))
            self.at(self.now_ms + after_ms, word)

    def at(self, at_ms: int, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (at_ms, self._number, act))

    def next(self, until_ms: int) -> bool:
        """Let the next thing happen that is due by then."""
        if not self._due or self._due[0][0] > until_ms:
            self.now_ms = until_ms
            return False
        self.now_ms, _, act = heapq.heappop(self._due)
        act()
        return True


@dataclass(slots=True)
class Taken:
    """An order as the venue knows it; ``end`` is how it ended, None while it is open."""

    side: Side
    lots: int
    end: OrderEvent | None = None
    fills: dict[int, tuple[int, int]] = field(default_factory=dict)  # number: lots, price
    busts: set[int] = field(default_factory=set)

    @property
    def left(self) -> int:
        return self.lots - sum(lots for lots, _ in self.fills.values())


class Venue:
    """Its books are what has happened."""

    def __init__(self, line: Line) -> None:
        self.line, self.random, self.faults = line, line.random, line.faults
        self.orders: dict[int, Taken] = {}
        self.position = self.cash = self.fills = self.busted = 0
        self._void: set[int] = set()  # asked about before they came: refused when they do
        self._taken_ms: deque[int] = deque()
        self.trader: Trader

    def tell(self, name: str, *words: object) -> None:
        self.line.carry(lambda: getattr(self.trader, name)(*words), name=name)

    def take(self, order_id: int, side: Side, lots: int) -> None:
        assert order_id not in self.orders, f"order {order_id} came twice"
        order = self.orders[order_id] = Taken(side, lots)
        while self._taken_ms and self._taken_ms[0] <= self.line.now_ms - 1_000:
            self._taken_ms.popleft()
        why = ""
        if order_id in self._void:
            why = "came after it was asked about"
        elif len(self._taken_ms) >= PER_SECOND:
            why = "throttled"
        elif self.random.random() < 0.1:
            why = "rejected"
        if why:
            self.faults[why] += 1
            order.end = OrderEvent.REJECTED
        else:
            self._taken_ms.append(self.line.now_ms)
        self.tell("hear", order_id, order.end or OrderEvent.ACCEPTED)

    def trade(self) -> None:
        """Somebody trades with one of the orders."""
        open_now = [(order_id, order) for order_id, order in self.orders.items() if order.end is None]
        if not open_now:
            return
        order_id, order = self.random.choice(open_now)
        lots, price = self.random.randint(1, order.left), self.random.randint(90, 110)
        self.fills += 1
        order.fills[self.fills] = lots, price
        self.position += order.side * lots
        self.cash -= order.side * lots * price
        if not order.left:
            order.end = OrderEvent.FILLED
        self.tell("filled", order_id, self.fills, lots, price)

    def bust(self) -> None:
        """Annul a fill."""
        standing = [(o, n) for o in self.orders.values() for n in o.fills if n not in o.busts]
        if not standing:
            return
        order, number = self.random.choice(standing)
        order.busts.add(number)
        lots, price = order.fills[number]
        self.position -= order.side * lots
        self.cash += order.side * lots * price
        self.busted += lots
        self.faults["bust"] += 1
        self.tell("busted", next(i for i, one in self.orders.items() if one is order), number, lots, price)

    def cancel(self, order_id: int) -> None:
        order = self.orders.get(order_id)
        if order is None or order.end is not None:
            self.tell("hear", order_id, OrderEvent.CANCEL_REJECTED)
            return
        order.end = self.random.choice((OrderEvent.CANCELLED, OrderEvent.EXPIRED))
        self.tell("hear", order_id, order.end)

    def close(self) -> None:
        """The day is over."""
        for order in self.orders.values():
            order.end = order.end or OrderEvent.EXPIRED

    def ask(self, order_id: int) -> None:
        """Answer with everything; what has not come by now will not be taken any more."""
        order = self.orders.get(order_id)
        if order is None:
            self._void.add(order_id)
            self.tell("answered", order_id, OrderEvent.REJECTED, {}, frozenset())
        else:
            self.tell("answered", order_id, order.end, dict(order.fills), frozenset(order.busts))


class Trader:
    """Sends orders within his limit, by the book; what he holds is what the venue has told him."""

    def __init__(self, line: Line, venue: Venue) -> None:
        self.line, self.venue, self.random, self.faults = line, venue, line.random, line.faults
        self.book = OrderBook()
        self.orders: dict[int, Order] = {}
        self._accepted: set[int] = set()
        self._cancel_refused: set[int] = set()
        self._counted: set[int] = set()
        self._annulled: dict[int, tuple[int, int, int]] = {}  # busts told before their fill
        self.position = self.cash = 0

    def exposure(self, side: Side) -> int:
        """Lots held on a side once everything is filled that was sent and is not settled."""
        return side * self.position + sum(one.left for one in self.book.orders.values() if one.side is side)

    def send(self) -> None:
        side, lots = self.random.choice((Side.LONG, Side.SHORT)), self.random.randint(1, 6)
        if self.exposure(side) + lots > LIMIT:
            self.faults["no room"] += 1
            return
        order = Order(self.book.newest + 1, 0, 0, side, lots, self.line.now_ms)
        self.book.send(order)
        self.orders[order.order_id] = order
        self.line.carry(lambda: self.venue.take(order.order_id, side, lots), name="order")
        self.line.at(self.line.now_ms + ASK_MS, lambda: self._ask(order))

    def _ask(self, order: Order) -> None:
        """No answer: nothing is known, so the venue is asked, again and again; the order is never sent again."""
        if order.order_id not in self.book.orders:
            return
        if order.state is OrderState.SUBMITTED or self.line.broken:
            order.hear(OrderEvent.LOST)
            assert order.state is OrderState.UNKNOWN or order.is_done
            self.faults["unknown"] += 1
        self.line.carry(lambda: self.venue.ask(order.order_id), name="question")
        self.line.at(self.line.now_ms + ASK_MS, lambda: self._ask(order))

    def cancel(self) -> None:
        working = [order for order in self.book.orders.values() if not order.is_done]
        if working:
            order = self.random.choice(working)
            order.hear(OrderEvent.CANCEL_SENT)
            self.line.carry(lambda: self.venue.cancel(order.order_id), name="cancel")

    # ------------------------------------------------------------ what the venue says

    def hear(self, order_id: int, event: OrderEvent) -> None:
        self._accepted |= {order_id} if event is OrderEvent.ACCEPTED else set()
        self._cancel_refused |= {order_id} if event is OrderEvent.CANCEL_REJECTED else set()
        self.orders[order_id].hear(event)

    def filled(self, order_id: int, number: int, lots: int, price: int) -> None:
        order = self.orders[order_id]
        was = order.state
        new = order.fill(number, lots)
        self.position += order.side * new
        self.cash -= order.side * new * price
        self.faults["fill told twice"] += number in self._counted
        self._counted.add(number)
        if new:
            self.faults["fill before ack"] += order_id not in self._accepted
            self.faults["fill after its end"] += was in (OrderState.CANCELLED, OrderState.EXPIRED)
            self.faults["cancel refused, then filled"] += order_id in self._cancel_refused

    def busted(self, order_id: int, number: int, lots: int, price: int) -> None:
        order = self.orders[order_id]
        self.faults["bust before its fill"] += number not in order.fills and number not in order.busts
        back = order.bust(number)
        self.position -= order.side * back
        self.cash += order.side * back * price

    def answered(
        self, order_id: int, end: OrderEvent | None, fills: dict[int, tuple[int, int]], busts: frozenset[int]
    ) -> None:
        """Everything about an order: the only word on which it is settled."""
        order = self.orders[order_id]
        for number, (lots, price) in fills.items():
            self.filled(order_id, number, lots, price)
            if number in busts:
                self.busted(order_id, number, lots, price)
        if end is not OrderEvent.FILLED:
            order.hear(end or OrderEvent.ACCEPTED)
        if end is not None and order_id in self.book.orders:
            assert order.is_done
            self.book.settle(order)


def run(seed: int) -> Counter[str]:
    """Twenty foul seconds and five calm ones; returns how often what happened.

    Raises:
        AssertionError: something did not hold.
    """
    random, faults = Random(seed), Counter[str]()
    line = Line(random, faults)
    venue = Venue(line)
    trader = venue.trader = Trader(line, venue)

    def breaks(until_ms: int) -> None:
        faults["away"] += 1
        line.broken = True
        line.at(until_ms, mends)

    def mends() -> None:
        line.broken = False

    def does(act: Callable[[], None], mean_ms: float) -> None:
        at_ms = line.now_ms + 1 + int(random.expovariate(1 / mean_ms))
        if at_ms < FOUL_MS:
            line.at(at_ms, lambda: (act(), does(act, mean_ms))[0])

    does(trader.send, 300)
    does(trader.cancel, 700)
    does(venue.trade, 150)
    does(venue.bust, 4_000)
    does(lambda: breaks(min(FOUL_MS, line.now_ms + random.randint(100, 3_000))), 6_000)
    while line.next(FOUL_MS):
        check(venue, trader)
    line.calm, line.broken = True, False
    line.at(FOUL_MS + 1_600, venue.close)  # everything has arrived
    line.at(FOUL_MS + 2 * ASK_MS, lambda: [venue.ask(order_id) for order_id in venue.orders])  # the day's statement
    while line.next(FOUL_MS + CALM_MS):
        check(venue, trader)
    assert not trader.book.orders, f"not settled: {trader.book.orders}"
    assert (trader.position, trader.cash) == (venue.position, venue.cash), "the venue's books say otherwise"
    for order_id, order in trader.orders.items():
        taken = venue.orders.get(order_id)
        standing = 0 if taken is None else sum(n for i, (n, _) in taken.fills.items() if i not in taken.busts)
        assert order.filled == standing, f"order {order_id} has {order.filled} filled, and the venue {standing}"
        assert order.is_done
    faults["orders"] += len(trader.orders)
    faults["fills"] += venue.fills
    return faults


def check(venue: Venue, trader: Trader) -> None:
    """What must hold at every moment, whoever knows what."""
    for side in Side:
        coming = sum(order.left for order in venue.orders.values() if order.end is None and order.side is side)
        worst = side * venue.position + coming
        assert worst <= LIMIT + venue.busted, f"{worst} lots at the venue, and {LIMIT} are allowed"
    for order_id, order in trader.orders.items():
        taken = venue.orders.get(order_id)
        assert order.filled + order.busted <= order.lots
        assert set(order.fills) <= (set(taken.fills) if taken else set()), "a fill that never was"
