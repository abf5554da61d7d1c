"""The log of decisions: each by its number in the journal, entries with what they were decided on."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from engine.cli import main
from engine.config.settings import Config
from engine.tools.recorded import decision_ts_ns
from tests.sim.clock import JumpingLoop
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config

LINE = Line(sorted([*climb(0, 1), *climb(13, 7), *heartbeats(1, 20)], key=lambda frame: frame[0]))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    # A logger keeps the configuration it was first used with, and another test may have used it before.
    monkeypatch.setattr("engine.live.decision_log.log", structlog.get_logger("decisions"))
    return rise_config(tmp_path)


def played(config: Config, *, told: bool) -> tuple[World, list[dict[str, Any]]]:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        loop.call_later(12, world.session._on_command, "pause")

    with capture_logs() as entries:
        world = play(config, LINE, seconds=18, meanwhile=meanwhile, told=told)
    return world, [dict(entry) for entry in entries if entry["event"] == "decision"]


def test_each_decision_is_told_by_its_number_with_its_values_against_thresholds(config: Config) -> None:
    world, entries = played(config, told=True)
    decisions = world.replay.recorded.decisions
    assert [entry["decision"] for entry in entries] == list(range(1, len(decisions) + 1))
    assert [entry["kind"] for entry in entries] == [type(one).__name__ for one in decisions]
    assert [entry["ts_ns"] for entry in entries] == [one.ts_ns for one in decisions]
    asked = [entry for entry in entries if "why" in entry]
    assert [entry["kind"] for entry in asked] == ["OrderSubmitted", "SignalRefused"]
    assert {entry["symbol"] for entry in asked} == {"A"}
    for entry in asked:
        name, value, op, threshold = re.fullmatch(r"(.+) (\S+) \((\S+) (\S+)\)", entry["why"]).groups()
        assert float(value) == pytest.approx(0.001)  # ten ticks of 100.00
        assert (op, threshold) == (">=", "0.0005")
        assert name
    for number, decision in enumerate(decisions, start=1):
        assert decision_ts_ns(world.directory, number) == decision.ts_ns


def test_it_changes_no_decision_and_is_not_there_unless_asked_for(config: Config, tmp_path: Path) -> None:
    told, _ = played(config, told=True)
    (tmp_path / "other").mkdir()
    quiet, entries = played(rise_config(tmp_path / "other"), told=False)
    assert entries == []
    assert quiet.session.kernel.journal is quiet.session.journal  # nothing stands in between
    assert quiet.session.journal.decision_hash == told.session.journal.decision_hash


@pytest.mark.parametrize(
    ("level", "verbosity", "debugging"),
    [("debug", 0, True), ("info", 2, True), ("info", 0, False), ("warning", 1, False)],
)
def test_debug_entries_are_wanted_when_somebody_keeps_or_sees_them(
    tmp_path: Path, level: str, verbosity: int, debugging: bool
) -> None:
    from engine import log

    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    try:
        log.configure(file=str(tmp_path / "engine.log"), level=level, verbosity=verbosity)
        assert log.debugging() is debugging
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            handler.close()
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(before)


def test_explain_can_be_asked_by_the_number(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    world, entries = played(config, told=True)
    entry = next(one for one in entries if one["kind"] == "OrderSubmitted")

    def asked(*flags: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["explain", *flags, "--json"])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    code, out, err = asked("--session", str(world.directory), "--decision", str(entry["decision"]))
    assert (code, err) == (0, "")
    assert json.loads(out)["at_ns"] == entry["ts_ns"]
    code, _, err = asked("--session", str(world.directory), "--decision", "999")
    assert code == 5
    assert f"there is no decision 999; it made {len(entries)}" in err
    code, out, err = asked(str(world.directory), "--decision", str(entry["decision"]))
    assert (code, err) == (0, "")
    assert json.loads(out)["at_ns"] == entry["ts_ns"]
    assert asked("--decision", "1")[0] == 2
    assert asked("last", "--session", "last", "--decision", "1")[0] == 2
