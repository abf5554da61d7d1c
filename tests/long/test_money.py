"""Random sequences of orders: ``MONEY_SEQUENCES`` of them, ten thousand unless it is set."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.props.test_money import SEQUENCES, play

pytestmark = pytest.mark.long

MANY = int(os.environ.get("MONEY_SEQUENCES", "10000"))


def test_money_is_conserved_over_many_sequences(record_property: Callable[[str, object], None]) -> None:
    closed = 0
    for seed in range(SEQUENCES, SEQUENCES + MANY):
        closed += play(seed)["PositionClosed"]
    record_property("random sequences of orders, with money conserved at every step", MANY)
    record_property("positions closed in them", closed)
    assert closed > MANY
