"""As many simulated worlds as there is patience for: ``WORLDS`` of them, ten thousand unless it is set.

So many spells at a venue that lies, too: ``SPELLS``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim import test_venue
from tests.sim.test_world import SEEDS, play

pytestmark = pytest.mark.long

WORLDS = int(os.environ.get("WORLDS", "10000"))
SPELLS = int(os.environ.get("SPELLS", "10000"))


def test_every_world_keeps_its_promises(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    traded = 0
    for seed in range(SEEDS, SEEDS + WORLDS):
        traded += play(seed, tmp_path).trades
    record_property("worlds of ten simulated minutes", WORLDS)
    record_property("trades in them", traded)
    assert traded > WORLDS


def test_a_venue_that_lies(record_property: Callable[[str, object], None]) -> None:
    happened = sum((test_venue.play(seed) for seed in range(1_000, 1_000 + SPELLS)), Counter[str]())
    record_property("spells at a venue that lies", f"{SPELLS:,}")
    for name in ("orders", "fills", "unknown", *test_venue.FAULTS[:11]):
        record_property(name, f"{happened[name]:,}")
    test_venue.check(happened, SPELLS)
