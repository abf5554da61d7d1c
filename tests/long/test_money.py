"""Random sequences of orders: ``MONEY_SEQUENCES`` of them, ten thousand unless it is set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.props.money_machine import Money

pytestmark = pytest.mark.long

MANY, STEPS = int(os.environ.get("MONEY_SEQUENCES", "10000")), 60


def test_money_is_conserved_over_many_sequences(record_property: Callable[[str, object], None]) -> None:
    class Seen(Money):
        seen: ClassVar[Counter[str]] = Counter()

    many = settings(
        max_examples=MANY, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Seen, settings=many)
    record_property("random sequences of orders, with money conserved at every step", MANY)
    record_property("positions closed in them", Seen.seen["PositionClosed"])
    assert Seen.seen["PositionClosed"] > MANY // 2
