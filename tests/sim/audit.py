"""What must hold whatever happens, recomputed from the journal's decisions alone with whole numbers and Fractions.

It knows nothing of the kernel's own books: it keeps its own, and compares at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from engine.events import (
    Decision,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    PositionClosed,
    TradingHalted,
)


@dataclass(slots=True)
class Book:
    """One order as the journal tells of it."""

    lane: int
    side: int
    lots: int
    purpose: str
    filled: int = 0
    done: bool = False


@dataclass(slots=True)
class Audit:
    """Follows the decisions of one session; every breach is an AssertionError that names the decision."""

    unit: int  # money units in one tick and lot
    seen: int = 0
    last_ts_ns: int = 0
    orders: dict[int, Book] = field(default_factory=dict)
    held: Counter[int] = field(default_factory=Counter)  # lots by lane, signed
    cash: Fraction = Fraction(0)
    net: int = 0
    entries: list[int] = field(default_factory=list)  # when entries were sent
    equity: int = 0  # at the end, for the account's next session

    def follow(self, decisions: Sequence[Decision]) -> None:
        """Take the decisions that are new since the last call."""
        for decision in decisions[self.seen :]:
            self._take(decision)
        self.seen = len(decisions)

    def _take(self, decision: Decision) -> None:
        assert decision.ts_ns >= self.last_ts_ns, f"engine time went back at {decision}"
        self.last_ts_ns = decision.ts_ns
        match decision:
            case OrderSubmitted():
                assert decision.order_id not in self.orders, f"an order id was used twice: {decision}"
                assert decision.order_id == len(self.orders) + 1, f"an order id was left out: {decision}"
                self.orders[decision.order_id] = Book(decision.lane, decision.side, decision.lots, decision.purpose)
                reduces = self.held[decision.lane] * decision.side < 0
                if decision.purpose == "entry":
                    assert not self.held[decision.lane], f"an entry into an open position: {decision}"
                    self.entries.append(decision.ts_ns)
                else:
                    assert reduces, f"an exit that does not reduce: {decision}"
            case OrderFilled():
                order = self.orders[decision.order_id]
                assert not order.done, f"a fill of a finished order: {decision}"
                order.filled += decision.lots
                assert order.filled <= order.lots, f"more filled than ordered: {decision}"
                order.done = order.filled == order.lots
                self.held[order.lane] += order.side * decision.lots
                self.cash -= order.side * decision.lots * self.unit * Fraction(decision.price_ticks)
                self.cash -= decision.slippage + decision.fee
            case OrderCancelled():
                order = self.orders[decision.order_id]
                assert not order.done, f"a finished order was cancelled: {decision}"
                order.done = True
            case OrderRests():  # what rests may have been made larger, with the position that it closes
                order = self.orders[decision.order_id]
                order.lots = order.filled + decision.lots
            case PositionClosed():
                self.net += decision.net
            case TradingHalted():
                pass

    def close(self, equity: int, starting: int) -> None:
        """Compare with the account once everything is closed."""
        self.equity = equity
        assert not any(self.held.values()), f"positions are left: {self.held}"
        assert all(order.done for order in self.orders.values()), "an order was never answered"
        assert equity - starting == self.net, "the account does not hold what its trades earned"
        assert abs(self.cash - self.net) <= len(self.orders), (
            "money is not conserved"
        )  # half-tick mids round once a fill
