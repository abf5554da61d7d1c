"""As many simulated worlds as there is patience for: ``WORLDS`` of them, ten thousand unless it is set, from
seed ``FIRST_WORLD`` on, so that they can be played in parts.

They are played by as many processes as there are cores: a world needs one for about a second.

So many spells at a venue that lies, too: ``SPELLS``.
"""

from __future__ import annotations

import gc
import logging
import os
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree

import pytest
import structlog

from tests.sim import test_venue
from tests.sim.link import FAULTS_PER_FRAME
from tests.sim.test_world import COMMANDS, DEATHS, SEEDS, play
from tests.sim.world import Report

pytestmark = pytest.mark.long

FIRST = int(os.environ.get("FIRST_WORLD", str(SEEDS)))  # those below are played in every test run
WORLDS = int(os.environ.get("WORLDS", "10000"))
SPELLS = int(os.environ.get("SPELLS", "10000"))


def test_every_world_keeps_its_promises(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """And each fault befell them as often as it befalls the first fifty, or nearly."""
    seeds, traded, befell, broken = range(FIRST, FIRST + WORLDS), 0, Counter[str](), list[str]()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as cores:
        for report in cores.map(in_silence, seeds, [tmp_path / str(seed) for seed in seeds], chunksize=4):
            if isinstance(report, str):
                broken.append(report)
                continue
            traded += report.trades
            befell += report.faults + report.deaths + report.commands
    record_property("worlds of ten simulated minutes", f"{WORLDS:,}")
    record_property("the first", FIRST)
    record_property("trades in them", f"{traded:,}")
    for name, times in sorted(befell.items()):
        record_property(name, f"{times:,}")
    assert not broken, "\n".join(broken)
    assert traded > WORLDS
    rare = {name: befell[name] for name in (*FAULTS_PER_FRAME, *DEATHS, *COMMANDS) if befell[name] < WORLDS // 20}
    assert not rare, f"{rare} of {befell}"


def in_silence(seed: int, folder: Path) -> Report | str:
    """Play a world in a process of its own, whose account lies there as well; or what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if not gc.get_freeze_count():  # once: what is left of a world before must go
        gc.freeze()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        return play(seed, folder)
    except Exception as broken:
        return "\n".join(traceback.format_exception_only(broken))
    finally:
        rmtree(folder, ignore_errors=True)


def test_a_venue_that_lies(record_property: Callable[[str, object], None]) -> None:
    happened = sum((test_venue.play(seed) for seed in range(1_000, 1_000 + SPELLS)), Counter[str]())
    record_property("spells at a venue that lies", f"{SPELLS:,}")
    for name in ("orders", "fills", "unknown", *test_venue.FAULTS[:11]):
        record_property(name, f"{happened[name]:,}")
    test_venue.check(happened, SPELLS)
