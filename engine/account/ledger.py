"""What risk knows of an account, from what it was told of orders, fills and days: nothing is asked of a venue.

An order counts from the moment it is sent until it is known to be filled or cancelled. An order whose fate is unknown
is therefore counted as one that will be filled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.account.orders import Order, OrderError
from engine.model import Reason, Side

SECOND_NS = 1_000_000_000

PDT_WINDOW_DAYS = 5
"""The legacy rule counts day trades of the last five trading days, today included."""

STOPS = (Reason.STOP, Reason.DECAYED, Reason.EVEN, Reason.TRAILING, Reason.ACCOUNT_STOP)
"""Exits that are a stop, whether it has moved or not."""

DAILY = ("entries_today", "unfilled_today", "losses_in_row", "stops_in_row")
"""What is counted anew each day."""


@dataclass(slots=True)
class Held:
    """An open position of one lane, as risk counts it."""

    instrument: int
    side: Side
    lots: int
    day: int  # number of the trading day on which lots were last added
    day_trade: bool = False  # it has been reduced on that day


class Ledger:
    """Positions, orders on their way, and what has happened today and a moment ago.

    Args:
        remember_ns: how long the same entry counts as sent already.
    """

    def __init__(self, remember_ns: int = 0) -> None:
        self._remember_ns = remember_ns
        self.held: dict[int, Held] = {}  # by lane
        self.working: dict[int, Order] = {}  # by order id: sent, neither filled nor cancelled
        self.left: dict[int, int] = {}  # lots of a working order that are not filled
        self.entries_today = 0  # with at least one fill
        self.unfilled_today = 0  # entries that ended without one
        self.losses_in_row = self.stops_in_row = 0
        self.day = 0
        self.day_trades: deque[int] = deque()  # numbers of the days on which one was made
        self._sent_ns: deque[int] = deque()
        self._intents: deque[Order] = deque()  # entries sent within ``remember_ns``

    # ------------------------------------------------------------ what happened

    @property
    def orders(self) -> list[Order]:
        """Every order that it still knows of."""
        return [*self.working.values(), *self._intents]

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything that it remembers, as plain values; orders by their ids."""
        return (
            tuple(
                (lane, one.instrument, int(one.side), one.lots, one.day, one.day_trade)
                for lane, one in self.held.items()
            ),
            tuple(self.working),
            tuple(self.left.items()),
            tuple(getattr(self, name) for name in DAILY),
            self.day,
            tuple(self.day_trades),
            tuple(self._sent_ns),
            tuple(order.order_id for order in self._intents),
        )

    def restore(self, state: Sequence[Any], orders: Mapping[int, Order]) -> None:
        """Go on from where another ledger was in this state; ``orders`` are those that it names."""
        held, working, left, daily, self.day, day_trades, sent_ns, intents = state
        self.held = {lane: Held(index, Side(side), *rest) for lane, index, side, *rest in held}
        self.working = {number: orders[number] for number in working}
        self.left = dict(left)
        for name, count in zip(DAILY, daily, strict=True):
            setattr(self, name, count)
        self.day_trades, self._sent_ns = deque(day_trades), deque(sent_ns)
        self._intents = deque(orders[number] for number in intents)

    def start_day(self, number: int) -> None:
        """A trading day begins; ``number`` counts trading days."""
        self.day = number
        for name in DAILY:
            setattr(self, name, 0)
        self._forget_day_trades()

    def sent(self, order: Order) -> None:
        """An order left for the venue."""
        self.working[order.order_id] = order
        self.left[order.order_id] = order.lots
        self._forget_before(order.decided_ns)
        self._sent_ns.append(order.decided_ns)
        if order.reason is None and self._remember_ns:
            self._intents.append(order)

    def unsent(self, order: Order) -> None:
        """Take back the last ``sent``: the order was only supposed, to ask what risk would say after it."""
        self._done(order)
        self._sent_ns.pop()
        if self._intents and self._intents[-1] is order:
            self._intents.pop()

    def filled(self, order: Order, lots: int) -> None:
        """A working order was filled, in whole or in part.

        Raises:
            OrderError: more was filled than was sent, or more closed than was held.
        """
        left = self.left[order.order_id] - lots
        if left < 0:
            raise OrderError(f"order {order.order_id} was filled by {-left} lots beyond what was sent")
        if order.reason is None:
            self._opened(order, lots)
        else:
            self._reduced(order.lane, lots)
        self.left[order.order_id] = left
        if not left:
            self._done(order)

    def filled_late(self, order: Order, lots: int) -> None:
        """An order that counted as called back was filled all the same, in whole or in part."""
        if order.reason is not None:
            self._reduced(order.lane, lots)
            return
        if order.filled == lots:  # it had not been filled at all
            self.unfilled_today = max(0, self.unfilled_today - 1)  # that may have been another day
            self.entries_today += 1
        self._hold(order, lots)

    def resized(self, order: Order) -> None:
        """A working exit is now for more lots, or fewer. An entry is what was approved.

        Raises:
            OrderError: it is an entry.
        """
        if order.reason is None:
            raise OrderError(f"order {order.order_id} is an entry, which stays as it was approved")
        self.left[order.order_id] = order.left

    def cancelled(self, order: Order) -> None:
        """What is left of a working order will not be filled any more."""
        if order.reason is None and self.left[order.order_id] == order.lots:
            self.unfilled_today += 1
        self._done(order)

    def closed(self, net_units: int, reason: Reason) -> None:
        """A round trip ended with this result, and for this reason."""
        self.losses_in_row = self.losses_in_row + 1 if net_units < 0 else 0
        self.stops_in_row = self.stops_in_row + 1 if reason in STOPS else 0

    def _done(self, order: Order) -> None:
        del self.working[order.order_id], self.left[order.order_id]

    def _opened(self, order: Order, lots: int) -> None:
        if self.left[order.order_id] == order.lots:
            self.entries_today += 1
        self._hold(order, lots)

    def _hold(self, order: Order, lots: int) -> None:
        held = self.held.get(order.lane)
        if held is None:
            self.held[order.lane] = Held(order.instrument, order.side, lots, self.day)
        else:
            held.lots += lots
            if held.day != self.day:  # what is bought today and sold today is a day trade, whatever was held before
                held.day, held.day_trade = self.day, False

    def _reduced(self, lane: int, lots: int) -> None:
        held = self.held.get(lane)
        if held is None or held.lots < lots:
            raise OrderError(f"lane {lane} closed {lots} lots and held {0 if held is None else held.lots}")
        held.lots -= lots
        if held.day == self.day and not held.day_trade:
            held.day_trade = True
            self.day_trades.append(self.day)
        if not held.lots:
            del self.held[lane]

    # ------------------------------------------------------------ what follows from it

    # Mostly nothing is held or on its way when an entry is asked for: then nothing need be added up.

    def positions(self, instrument: int) -> int:
        """Open positions of an instrument, entries on their way included."""
        if not self.held and not self.working:
            return 0
        lanes = {lane for lane, held in self.held.items() if held.instrument == instrument}
        lanes |= {order.lane for order in self.entering() if order.instrument == instrument}
        return len(lanes)

    def entering(self) -> list[Order]:
        """Entries on their way."""
        return [order for order in self.working.values() if order.reason is None]

    def lots(self, instrument: int, side: Side) -> int:
        """Lots held on one side of an instrument once every entry on its way is filled."""
        if not self.held and not self.working:
            return 0
        held = sum(one.lots for one in self.held.values() if one.instrument == instrument and one.side is side)
        coming = (o for o in self.entering() if o.instrument == instrument and o.side is side)
        return held + sum(self.left[order.order_id] for order in coming)

    def exposures(self) -> dict[tuple[int, Side], int]:
        """Lots by instrument and side, held and on their way, of every instrument that has any."""
        if not self.held and not self.working:
            return {}
        found: dict[tuple[int, Side], int] = {}
        for held in self.held.values():
            key = held.instrument, held.side
            found[key] = found.get(key, 0) + held.lots
        for order in self.working.values():
            if order.reason is None:
                key = order.instrument, order.side
                found[key] = found.get(key, 0) + self.left[order.order_id]
        return found

    def trades_today(self) -> int:
        """Entries of today: those filled, and those on their way."""
        return self.entries_today + self._unfilled_yet()

    def could_end_unfilled(self) -> int:
        """Entries of today that ended without a fill, and those on their way that may."""
        return self.unfilled_today + self._unfilled_yet()

    def _unfilled_yet(self) -> int:
        if not self.working:
            return 0
        return sum(self.left[order.order_id] == order.lots for order in self.entering())

    def sent_within_second(self, ts_ns: int) -> int:
        """Orders sent in ``(ts_ns - 1 s, ts_ns]``."""
        self._forget_before(ts_ns)
        return len(self._sent_ns)

    def sent_after(self, ts_ns: int) -> int:
        """Orders sent after a time of the last second; for those who look on: nothing is forgotten."""
        return sum(sent_ns > ts_ns for sent_ns in self._sent_ns)

    def is_duplicate(self, order: Order) -> bool:
        """Whether the same entry was sent less than ``remember_ns`` before this one."""
        self._forget_before(order.decided_ns)
        same = order.instrument, order.side, order.lots
        return any((sent.instrument, sent.side, sent.lots) == same for sent in self._intents)

    def possible_day_trades(self) -> int:
        """Day trades in the window, and those that positions of today and entries on their way may become."""
        self._forget_day_trades()
        lanes = {lane for lane, held in self.held.items() if held.day == self.day and not held.day_trade}
        lanes |= {o.lane for o in self.entering() if (held := self.held.get(o.lane)) is None or held.day != self.day}
        return len(self.day_trades) + len(lanes)

    def _forget_before(self, ts_ns: int) -> None:
        while self._sent_ns and self._sent_ns[0] <= ts_ns - SECOND_NS:
            self._sent_ns.popleft()
        while self._intents and self._intents[0].decided_ns <= ts_ns - self._remember_ns:
            self._intents.popleft()

    def _forget_day_trades(self) -> None:
        while self.day_trades and self.day_trades[0] <= self.day - PDT_WINDOW_DAYS:
            self.day_trades.popleft()
