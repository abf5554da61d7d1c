"""Orders and the states they may be in. Ids are deterministic: the decision's number within its session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model import Reason, Side


class OrderState(StrEnum):
    """Where an order stands."""

    APPROVED = "approved"
    SUBMITTED = "submitted"
    FILLED = "filled"
    CANCELLED = "cancelled"


NEXT: dict[OrderState, tuple[OrderState, ...]] = {
    OrderState.APPROVED: (OrderState.SUBMITTED,),
    OrderState.SUBMITTED: (OrderState.FILLED, OrderState.CANCELLED),
    OrderState.FILLED: (),
    OrderState.CANCELLED: (),
}
"""Which state may follow which; anything else is a fault of the engine."""


@dataclass(slots=True)
class Order:
    """A market order of one lane: to enter on ``side``, or to leave it for ``reason``."""

    order_id: int
    lane: int
    instrument: int
    side: Side  # of the order: LONG buys
    lots: int
    decided_ns: int
    reason: Reason | None = None  # of an exit; None for an entry
    state: OrderState = OrderState.APPROVED

    def become(self, state: OrderState) -> None:
        """Move on to ``state``.

        Raises:
            AssertionError: the order cannot go there from where it is.
        """
        assert state in NEXT[self.state], f"order {self.order_id} cannot go from {self.state} to {state}"
        self.state = state
