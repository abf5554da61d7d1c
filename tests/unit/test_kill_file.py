"""The kill file halts what runs and what starts, and nothing is resumed before it is gone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.config.settings import Config
from engine.errors import ExitCode
from engine.events import Command, CommandName, Refusal
from engine.live.kill_file import KillFile
from engine.model import Reason
from engine.telemetry_wire import Done
from tests.sim.clock import JumpingLoop
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config
from tests.unit.test_freshness import recorded_inputs

CLIMBS = [*climb(0, 1), *climb(5, 7), *climb(10, 13), *climb(15, 19)]
LINE = Line(sorted([*CLIMBS, *heartbeats(1, 25)], key=lambda frame: frame[0]))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return rise_config(tmp_path)


@pytest.fixture
def kill_file(tmp_path: Path) -> KillFile:
    return KillFile(tmp_path / "state" / "KILL")


def commands(world: World) -> list[Command]:
    return [event for event in recorded_inputs(world) if isinstance(event, Command)]


def test_a_running_session_halts_at_its_next_picture_and_is_resumed_once_it_is_gone(
    config: Config, kill_file: KillFile
) -> None:
    answers: list[Done] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        world.session._kill_file = kill_file
        resume = lambda reason: answers.append(world.session._on_command("resume", reason))  # noqa: E731
        loop.call_later(4.05, kill_file.put, "a bad day")
        loop.call_later(9.0, resume, "all is well")
        loop.call_later(9.1, kill_file.remove)
        loop.call_later(9.6, resume, "")
        loop.call_later(9.7, resume, "looked at it")

    world = play(config, LINE, seconds=15, meanwhile=meanwhile)
    first, second = world.session.kernel.trades
    assert first.reason is Reason.MANUAL
    assert 4.05 < world.at(first.exit_ts_ns) <= 4.25
    assert world.at(second.entry_ts_ns) == 12.5
    assert world.last.refusals == {Refusal.HALTED: 1}
    assert "halted: kill file: a bad day" in {snapshot.account.halted for snapshot in world.snapshots}
    assert [(one.obeyed, one.state) for one in answers] == [(False, "halted"), (False, "halted"), (True, "active")]
    assert answers[0].detail == f"the kill file {kill_file.path} is there"
    assert answers[1].detail == "a halt ends only with a reason"
    assert [(one.name, one.reason) for one in commands(world)] == [
        (CommandName.HALT, "kill file: a bad day"),
        (CommandName.RESUME, "looked at it"),
        (CommandName.FLATTEN, ""),
    ]
    assert world.session.exit_code is ExitCode.OK


def test_one_that_starts_is_halted_before_its_first_tick(config: Config, kill_file: KillFile) -> None:
    kill_file.put("")

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        world.session._kill_file = kill_file

    world = play(config, LINE, seconds=20, meanwhile=meanwhile)
    assert world.session.kernel.trades == []
    assert world.snapshots[0].account.halted == "halted: kill file"
    assert {snapshot.account.state for snapshot in world.snapshots} == {"halted"}
    assert world.last.refusals == {Refusal.HALTED: 4}
    assert world.session.exit_code is ExitCode.STOPPED


def test_what_was_resumed_between_two_sessions_stays_halted_under_it(config: Config, kill_file: KillFile) -> None:
    kill_file.put("a new reason")

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        world.session._kill_file, world.session._resume = kill_file, "the old one is gone"

    world = play(config, LINE, seconds=3, meanwhile=meanwhile)
    assert {snapshot.account.halted for snapshot in world.snapshots} == {"halted: kill file: a new reason"}
    assert [one.name for one in commands(world)] == [CommandName.HALT, CommandName.FLATTEN]


def test_what_halts_by_itself_stays_halted_under_the_kill_file(config: Config, kill_file: KillFile) -> None:
    """One halt is enough: the file does not add another with every picture."""

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        world.session._kill_file = kill_file
        loop.call_later(1.0, kill_file.put, "why")

    world = play(config, LINE, seconds=10, meanwhile=meanwhile)
    assert [one.name for one in commands(world)] == [CommandName.HALT, CommandName.FLATTEN]


def test_the_file_keeps_its_first_reason_and_is_its_owners_alone(kill_file: KillFile) -> None:
    assert not kill_file.is_there()
    assert not kill_file.remove()
    kill_file.put("first\nsecond")
    kill_file.put("another")
    assert kill_file.reason() == "first second"
    assert stat.S_IMODE(kill_file.path.stat().st_mode) == 0o600
    assert kill_file.remove()
    assert not kill_file.is_there()


def test_any_file_of_that_name_counts(kill_file: KillFile) -> None:
    """What cannot be read, or leads nowhere, halts as well."""
    kill_file.path.parent.mkdir()
    kill_file.path.symlink_to("nowhere")
    assert kill_file.is_there()
    assert kill_file.reason() == ""
    assert kill_file.remove()
    kill_file.path.mkdir()
    assert kill_file.is_there()
    assert kill_file.reason() == ""
