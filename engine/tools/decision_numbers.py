"""Which decisions made a trade: the numbers that the log of decisions and ``explain --session --decision`` go by."""

from __future__ import annotations

from collections.abc import Iterable

from engine.events import Decision, OrderFilled, OrderSubmitted, PositionClosed

ENTRY = "entry"
"""The purpose of an order that opens; that of any other is the reason for which it closes."""


def decision_numbers(decisions: Iterable[Decision]) -> list[tuple[int, int]]:
    """For each trade, in the order in which they were closed, the decision that sent its entry and its last exit.

    Decisions are counted from 1 within their session or run.
    """
    sent: dict[int, tuple[int, OrderSubmitted]] = {}
    entered, left, found = dict[int, int](), dict[int, int](), list[tuple[int, int]]()
    for number, decision in enumerate(decisions, 1):
        if isinstance(decision, OrderSubmitted):
            sent[decision.order_id] = number, decision
        elif isinstance(decision, OrderFilled):
            sent_as, order = sent[decision.order_id]
            if order.purpose == ENTRY:
                entered.setdefault(order.lane, sent_as)
            else:
                left[order.lane] = sent_as
        elif isinstance(decision, PositionClosed):
            found.append((entered.pop(decision.lane), left[decision.lane]))
    return found
