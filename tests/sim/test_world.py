"""Fifty worlds of ten simulated minutes. A failing one is played again by ``pytest tests/sim --seed=N``."""

from __future__ import annotations

from collections import Counter

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


def config() -> Config:
    return load({name: Found(value, "test") for name, value in CONFIG.items()}).config


def play(seed: int) -> Report:
    try:
        return run(seed, config())
    except AssertionError as broken:
        raise AssertionError(f"{broken}\nagain: pytest tests/sim --seed={seed}") from broken


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_worlds_keep_their_promises(first: int, request: pytest.FixtureRequest) -> None:
    """And everything that was to happen did: a fault that never happens tests nothing."""
    one = request.config.getoption("--seed", None)
    if one is not None:
        if first == 0:
            play(one)
        return
    reports = [play(seed) for seed in range(first, first + TOGETHER)]
    faults = sum((report.faults for report in reports), Counter())
    assert not {*FAULTS_PER_FRAME, "refused"} - set(faults)
    commands = sum((report.commands for report in reports), Counter())
    assert all(commands[name] for name in ("pause", "resume", "flatten", "sleep"))
    states = sum((report.states for report in reports), Counter())
    assert all(states[name] for name in ("live", "stale", "reconnecting"))
    refused = Counter(reason for report in reports for reason in report.refusals)
    assert all(refused[name] for name in ("PAUSED", "DATA_OLD"))
    assert sum(report.trades for report in reports) >= 50


@pytest.mark.parametrize("seed", [89])
def test_a_world_that_broke_a_promise_once(seed: int) -> None:
    """89: a pause called an entry back at the time of the last tick, before the pause itself."""
    play(seed)


@pytest.mark.parametrize("again", [3, 17])
def test_a_seed_is_a_world(again: int, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--seed", None) is None:
        assert run(again, config(), minutes=3) == run(again, config(), minutes=3)
