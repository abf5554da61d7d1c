"""Resting orders on recorded quotes and trades fill on the very record on which hftbacktest fills them.

Its answers were written by ``python -m benchmarks.rivals.resting --write``, which also says what the one known kind of
difference is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.rivals.resting import LOTS, SEED, is_known
from benchmarks.rivals.resting_data import orders_on, read_session
from benchmarks.rivals.resting_ours import filled_on
from tests.shared_data import shared_file

ANSWERS = json.loads((Path(__file__).parent.parent / "golden" / "resting" / "hftbacktest.json").read_text())


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_orders_fill_on_the_same_record(name: str) -> None:
    session = read_session(shared_file("websocket/binance-2024-08-08") / name)
    orders = orders_on(session, LOTS, SEED)
    ours = filled_on(session, orders)
    assert len(orders) == len(ANSWERS[name]) > 50
    assert sum(place >= 0 for place in ours.values()) > 20
    differing = [o for o, theirs in zip(orders, ANSWERS[name], strict=True) if ours[o.number] != theirs]
    assert len(differing) <= 2
    assert all(is_known(session, order, ours[order.number]) for order in differing)
