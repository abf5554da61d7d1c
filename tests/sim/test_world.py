"""Fifty worlds of ten simulated minutes. A failing one is played again by ``pytest tests/sim --seed=N``."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from engine.config.settings import Config, Found, load
from tests.sim.link import FAULTS_PER_FRAME
from tests.sim.world import Report, run

SEEDS, TOGETHER = 50, 10

CONFIG = {
    "telemetry.enabled": False,
    "paper.slippage_bps": "0.5",
    "paper.fee": "1bps",
    "paper.latency_order": "30ms",
    "paper.latency_feed": "5ms",
    "risk.daily_loss_limit": "1%",
    "risk.position_size": "10",
}

COMMANDS = ("pause", "resume", "flatten", "sleep", "halt")
DEATHS = ("kill", "kill at a record", "power", "flush", "flush failed", "stop", "no room")

WAITING = str(Path(__file__).parents[1] / "golden" / "strategies.py")
LINE_UPS: tuple[tuple[str, ...], ...] = (
    ("momentum_burst",),
    ("momentum_burst", f"{WAITING}:Following symbols=A", f"{WAITING}:Waiting symbols=B"),
    (f"{WAITING}:Waiting", "momentum_burst weight=0.5"),
)


def config(seed: int) -> Config:
    """Every world has the account of all, and a line-up, a fill model and latencies of its own."""
    own = {
        "strategy.strategies": json.dumps(LINE_UPS[seed % 3]),
        "paper.fills": ("touch", "queue", "through")[seed // 3 % 3],
        "paper.latency_order": ("30ms", "sampled median 20ms p99 400ms")[seed % 2],
        "risk.daily_loss_limit": "1%" if seed % 5 == 0 else "20%",
    }
    return load({name: Found(value, "test") for name, value in (CONFIG | own).items()}).config


def play(seed: int, folder: Path) -> Report:
    """One world, whose journals are gone with it."""
    place = folder / "w"
    try:
        report = run(seed, config(seed), place)
        shutil.rmtree(place)
        return report
    except Exception as broken:
        broken.add_note(f"again: pytest tests/sim --seed={seed}")
        raise


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_worlds_keep_their_promises(first: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """And everything that was to happen did: a fault that never happens tests nothing."""
    one = request.config.getoption("--seed", None)
    if one is not None:
        if first == 0:
            play(one, tmp_path)
        return
    reports = [play(seed, tmp_path) for seed in range(first, first + TOGETHER)]
    faults = sum((report.faults for report in reports), Counter())
    assert not {*FAULTS_PER_FRAME, "refused", "the venue was away", "refused by the venue"} - set(faults)
    commands = sum((report.commands for report in reports), Counter())
    assert all(commands[name] for name in COMMANDS)
    deaths = sum((report.deaths for report in reports), Counter())
    assert {"kill", "kill at a record"} & set(deaths)
    if first == 0:  # rarer ones: these ten have them all, and a position that went on
        assert not set(DEATHS) - set(deaths)
        assert sum(report.open_at_death for report in reports)
        assert sum(report.snapshots for report in reports) > 5
        assert deaths["snapshot torn"]
    states = sum((report.states for report in reports), Counter())
    assert all(states[name] for name in ("live", "stale", "reconnecting"))
    refused = Counter(reason for report in reports for reason in report.refusals)
    assert all(refused[name] for name in ("PAUSED", "DATA_OLD"))
    assert sum(report.trades for report in reports) >= 50


@pytest.mark.parametrize("seed", [89])
def test_a_world_that_broke_a_promise_once(seed: int, tmp_path: Path) -> None:
    """89: a pause called an entry back at the time of the last tick, before the pause itself."""
    found = {name: Found(value, "test") for name, value in CONFIG.items()}
    run(seed, load(found).config, tmp_path, mortal=False)


@pytest.mark.parametrize("again", [3, 17])
def test_a_seed_is_a_world(again: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if request.config.getoption("--seed", None) is None:
        one, other = (run(again, config(again), tmp_path / name, minutes=4) for name in "ab")
        assert one == other
