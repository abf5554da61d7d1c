"""A paper session killed by ``kill -9`` while it trades: its journal is whole, and replays to what it had shown."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest


@pytest.mark.parametrize("trades", [1, 4])
def test_a_killed_session_is_replayed(start: Callable, run: Callable, market: str, trades: int) -> None:
    engine = start("engine", "run", "--feed", market, "--json", "--set", "window=3s", "--set", "time_stop=2s")
    shown = [json.loads(engine.line('{"event":"close"')) for _ in range(trades)]
    engine.end(signal.SIGKILL)
    verified = run("engine", "journal", "verify", "last", "--json")
    facts = json.loads(verified.out)
    assert facts["sealed"] is False
    proven = run("engine", "parity", "last", "--json")
    assert proven.code == 0, proven.err
    again = json.loads(run("engine", "replay", "last", "--json").out)
    assert again["difference"] is None
    assert again["strategy_edited"] is False
    replayed = [(one["side"], one["reason"]) for one in again["trades"]]
    assert [(one["side"], one["reason"]) for one in shown] == replayed[:trades]
