"""The verbs that question a strategy take several: each is named, on its own symbols, and on the account they share."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import engine
from engine.backtesting import load_ticks, make_settings
from engine.config.settings import Config
from engine.events import OrderSubmitted, Refusal, TimePassed
from engine.journal.reader import read_manifest
from engine.lineup import Entrant, line_up
from engine.live.recording import carried_of
from engine.model import TickBlock
from engine.rules import price
from engine.strategy import Strategy
from engine.tools import explain_session as of_session
from engine.tools.explain import explain
from engine.trading.kernel import Kernel
from tests.unit.session_world import Line, climb, heartbeats, play, rise_config
from tests.unit.test_many_inputs import files, flags, say

__all__ = ["files"]

BOTH = ["--strategy", "momentum_burst symbols=ONE", "--strategy", "smoke_test weight=2"]
SECOND_NS = 1_000_000_000


@pytest.fixture
def two(files: list[str]) -> list[str]:
    return flags(files)


def test_a_moment_of_several(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "explain", *two, "--at", "2040-01-01T00:00:00", *BOTH, "--json")
    assert code == 0
    found = [(one["strategy"], one["symbol"]) for one in json.loads(out)["explanations"]]
    assert found == [("momentum_burst", "ONE"), ("smoke_test", "ONE"), ("smoke_test", "TWO")]
    _, out, _ = say(capsys, "explain", *two, "--at", "2040-01-01T00:00:00", *BOTH)
    heads = [" ".join(line.split()[:2]) for line in out.splitlines() if line.endswith(" UTC") and ": " in line]
    assert heads == ["momentum_burst: ONE", "smoke_test: ONE", "smoke_test: TWO"]


def test_a_whole_run_of_several(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "explain", *two, "--why-not", *BOTH, "--json")
    assert code == 0
    found = json.loads(out)["instruments"]
    assert [(one["strategy"], one["symbol"]) for one in found] == [
        ("momentum_burst", "ONE"),
        ("smoke_test", "ONE"),
        ("smoke_test", "TWO"),
    ]
    _, out, _ = say(capsys, "explain", *two, "--why-not", "--strategy", "smoke_test", "--json")
    assert [{**one, "strategy": "smoke_test"} for one in json.loads(out)["instruments"]] == found[1:]


def test_features_of_several(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = say(capsys, "features", *two, *BOTH, "--out", "both.parquet")
    assert code == 0
    both = pl.read_parquet("both.parquet")
    say(capsys, "features", *two, "--strategy", "momentum_burst", "--out", "one.parquet")
    alone = pl.read_parquet("one.parquet")
    assert {name for name in both.columns if "." in name} >= {"momentum_burst.move", "smoke_test.long"}
    for name in set(alone.columns) - {"row"}:
        if f"momentum_burst.{name}" in both.columns:
            assert both[f"momentum_burst.{name}"].equals(alone[name]), name


def test_lookahead_of_several(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["momentum_burst symbols=ONE", "smoke_test symbols=TWO lookback=3"]
    code, out, _ = say(capsys, "lookahead", *asked, *two, "--points", "2", "--json")
    assert code == 0
    found = json.loads(out)["strategies"]
    assert [(one["strategy"], one["equal"]) for one in found] == [("momentum_burst", True), ("smoke_test", True)]
    _, out, _ = say(capsys, "lookahead", asked[1], *two, "--points", "2", "--json")
    assert {"schema": json.loads(out)["schema"], **found[1]} == json.loads(out)


def test_the_configuration_may_name_them(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("microburst.toml").write_text('[strategy]\nstrategies = ["momentum_burst symbols=ONE", "smoke_test"]\n')
    code, out, _ = say(capsys, "explain", *two, "--at", "2040-01-01T00:00:00", "--json")
    assert code == 0
    assert {one["strategy"] for one in json.loads(out)["explanations"]} == {"momentum_burst", "smoke_test"}


def test_nothing_to_explain_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--at", "2040-01-01"], ["--why-not"]):
        code, _, err = say(capsys, "explain", *more)
        assert (code, "neither a file nor a session" in err, err.count("\n")) == (2, True, 1)


Up = type("Up", (Strategy,), {"long": price > 1})
Down = type("Down", (Strategy,), {"long": price > 1.01})


def test_they_share_one_account_and_each_its_own_gate() -> None:
    columns = {
        "ts_ns": np.arange(1, 4, dtype=np.int64) * SECOND_NS,
        "price_ticks": np.array([101, 101, 102], np.int64),
        "size_lots": np.ones(3, np.int64),
    }
    file = load_ticks(columns)
    line = [Entrant(Up()), Entrant(Down()), Entrant(Down(), when=price > 5)]
    settings = make_settings(file.block, line, limits={"positions_per_symbol": 1})
    first, second, third = explain(file, line, settings, 3 * SECOND_NS)
    assert [one.strategy for one in (first, second, third)] == ["Up", "Down", "Down 2"]
    assert (first.position, first.why) == ("long", "a long position is open")
    assert (second.state, second.refusal) == ("long", Refusal.POSITION_OPEN)
    assert (third.state, third.refusal) == ("long", Refusal.REGIME)
    decided = engine.backtest(columns, line, limits={"positions_per_symbol": 1}).journal.decisions
    (sent,) = [one for one in decided if isinstance(one, OrderSubmitted) and one.ts_ns < 3 * SECOND_NS]
    assert sent.lane == 0


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return rise_config(tmp_path)


def test_a_session_of_several_is_explained(config: Config, tmp_path: Path) -> None:
    lines = (f"{tmp_path / 'rise.py'}:Rise", f"{tmp_path / 'rise.py'}:Rise weight=2")
    several = config.model_copy(update={"strategy": config.strategy.model_copy(update={"strategies": lines})})
    world = play(several, Line([*climb(), *heartbeats(3, 6)]), seconds=5)
    entered = next(one.ts_ns for one in world.replay.recorded.decisions if isinstance(one, OrderSubmitted))
    first, second = of_session.explain_session(world.directory, entered)
    assert (first.position, second.position) == ("long", "flat")
    assert (second.state, second.refusal) == ("long", Refusal.POSITION_OPEN)
    assert [one.called for one in line_up(lines)] == [first.strategy, second.strategy.removesuffix(" 2")]


def test_what_the_account_brought_counts(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its equity, its pause and the signals it had still to skip."""
    world = play(config, Line([*climb(), *heartbeats(3, 6)]), seconds=5)
    entered = next(one.ts_ns for one in world.replay.recorded.decisions if isinstance(one, OrderSubmitted))
    own = carried_of(world.session.kernel, read_manifest(world.directory))
    cooldowns = dict.fromkeys(own.cooldowns, 3)
    brought = replace(own, equity=Fraction(321), day=None, paused=True, cooldowns=cooldowns)
    monkeypatch.setattr(of_session, "carried_by", lambda manifest: brought)
    kernels, kept = list[Kernel](), Kernel.__init__

    def noted(kernel: Kernel, *words: Any, **named: Any) -> None:
        kernels.append(kernel)
        kept(kernel, *words, **named)

    monkeypatch.setattr(Kernel, "__init__", noted)
    (found,) = of_session.explain_session(world.directory, entered)
    assert (found.position, found.refusal, found.cooldown_left) == ("flat", Refusal.PAUSED, 3)
    assert kernels[0].portfolio.money(kernels[0].portfolio.starting) == 321


def test_a_decision_is_explained_on_its_own_record(config: Config) -> None:
    """Several records may have its time, and the clock may have passed it when the record came."""
    world = play(config, Line([*climb(), *heartbeats(3, 6)]), seconds=5)
    decisions = world.replay.recorded.decisions
    for number, one in enumerate(decisions, 1):
        if isinstance(one, OrderSubmitted) and one.purpose == "entry":
            (found,) = of_session.explain_session(world.directory, one.ts_ns, number)
            assert (found.state, found.ts_ns) == ("long", one.ts_ns)
            assert found.decisions[0].startswith(f"OrderSubmitted order_id={one.order_id} ")
    first = of_session.explain_session(world.directory, decisions[0].ts_ns, 1)
    assert "DayStarted" in first[0].decisions[0]


def test_records_that_come_after_the_clock_has_passed_their_time_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = np.ones(1, np.int64)
    blocks = [TickBlock(one * ts, one, one) for ts in (100, 350, 500)]
    said = [blocks[0], TimePassed(400), blocks[1], TimePassed(600), blocks[2]]
    reader = [SimpleNamespace(kind=1, event=lambda event=event: event) for event in said]
    monkeypatch.setattr(of_session, "is_input", lambda kind: True)
    monkeypatch.setattr(of_session, "JournalReader", lambda directory: reader)
    found = list(of_session.inputs_until(tmp_path, 350))
    assert [getattr(event, "ts_ns", None) for event in found] == [100, 400, 350]
