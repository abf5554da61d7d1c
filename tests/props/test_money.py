"""Money is conserved whatever a kernel is made to do: orders that wait, parts, brackets, nights, an operator."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.props.money_machine import Money

EXAMPLES, STEPS = 200, 50


def test_money_is_conserved() -> None:
    class Seen(Money):
        seen: ClassVar[Counter[str]] = Counter()

    run_state_machine_as_test(Seen, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None))
    for kind in ("OrderRests", "OrderFilled", "OrderCancelled", "PositionReduced", "PositionClosed", "DayStarted"):
        assert Seen.seen[kind] > EXAMPLES // 4, Seen.seen
