"""As many simulated worlds as there is patience for: ``WORLDS`` of them, ten thousand unless it is set."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.sim.test_world import SEEDS, play

pytestmark = pytest.mark.long

WORLDS = int(os.environ.get("WORLDS", "10000"))


def test_every_world_keeps_its_promises(record_property: Callable[[str, object], None]) -> None:
    traded = 0
    for seed in range(SEEDS, SEEDS + WORLDS):
        traded += play(seed).trades
    record_property("worlds of ten simulated minutes", WORLDS)
    record_property("trades in them", traded)
    assert traded > WORLDS
