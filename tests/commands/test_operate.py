"""What an operator does from a shell, on real sessions in processes of their own."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import Ended, Running

ANSWER = re.compile(r"^\S+ \(pid \d+\): (\w+) done at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC: (\w+)(: .*)?$")


PATIENT = {"MICROBURST__FEED__OLD_AFTER": "1h", "MICROBURST__FEED__STALE_AFTER": "1h"}
"""However busy the machine is, nothing but an operator reduces."""


@pytest.fixture
def session(start: Callable[..., Running]) -> Running:
    engine = start("engine", "--paper", "--json", "--mock-rate", "300", **PATIENT)
    engine.line('{"event":"status"')
    return engine


def status_of(engine: Running, state: str) -> dict[str, object]:
    """Read the session's own words until it is in this state."""
    while (told := json.loads(engine.line('{"event":"status"')))["state"] != state:
        pass
    return told


def answer(done: Ended) -> tuple[str, str]:
    """The command and the state afterwards, from the last line of what was said."""
    assert done.code == 0, done.err
    match = ANSWER.match(done.out.splitlines()[-1])
    assert match is not None, done.out
    return match[1], match[2]


def kill_file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "state" / "microburst" / "KILL"


def test_pause_flatten_kill_and_resume_are_four_things(
    session: Running, run: Callable[..., Ended], tmp_path: Path
) -> None:
    assert answer(run("engine", "pause")) == ("pause", "reducing")
    assert "reducing: paused" in run("engine", "status").out  # at once
    assert status_of(session, "reducing")["halted"] == "paused"
    assert answer(run("engine", "resume", "--reason", "lunch is over")) == ("resume", "active")
    assert answer(run("engine", "flatten")) == ("flatten", "active")
    assert not kill_file(tmp_path).exists()
    killed = run("engine", "kill", "--reason", "a bad day")
    assert answer(killed) == ("halt", "halted")
    assert killed.out.endswith(" UTC: halted: a bad day\n")
    assert "halted: a bad day" in run("engine", "status").out  # at once
    assert kill_file(tmp_path).read_text() == "a bad day\n"
    assert status_of(session, "halted")["halted"] == "halted: a bad day"
    shown = run("engine", "status")
    assert shown.code == 7
    assert "halted: a bad day" in shown.out
    facts = json.loads(run("engine", "resume", "--reason", "looked at it", "--json").out)
    assert facts["kill_file"] == {"path": str(kill_file(tmp_path)), "removed": True}
    assert [(one["obeyed"], one["state"]) for one in facts["sessions"]] == [(True, "active")]
    assert not kill_file(tmp_path).exists()
    assert session.end(signal.SIGTERM).code == 143
    listed = run("engine", "journal", "cat", "last").out
    assert [word in listed for word in ("lunch is over", "a bad day", "looked at it")] == [True] * 3


def test_one_that_starts_under_the_kill_file_is_halted_and_ends_with_7(
    start: Callable[..., Running], run: Callable[..., Ended], tmp_path: Path
) -> None:
    assert run("engine", "kill").out.splitlines() == [
        f"kill file {kill_file(tmp_path)} written",
        "no session is running; one that starts stays halted until it is gone",
    ]
    assert "is halted by the kill file" in run("engine", "status").error
    ended = run("engine", "--paper", "--json", "--mock-rate", "300", "--duration", "3s")
    assert ended.code == 7
    assert f"halted by the kill file {kill_file(tmp_path)}" in ended.err
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert {one["state"] for one in told if one["event"] == "status"} == {"halted"}
    assert told[-1]["trades"] == 0
    assert run("engine", "resume", "--reason", "x").out == (
        f"kill file {kill_file(tmp_path)} removed\nno session is running\n"
    )
    assert run("engine", "resume", "--reason", "x").code == 5


def test_the_halt_of_an_ended_session_is_lifted_with_nothing_running(
    start: Callable[..., Running], run: Callable[..., Ended], tmp_path: Path
) -> None:
    mock = start("mock_server", "--port", "0", "--rate", "200", "--quiet")  # at its own speed: it has an account
    market = mock.line("listening ").removeprefix("listening ")
    engine = start("engine", "--json", "--feed", market, **PATIENT)
    engine.line('{"event":"status"')
    assert answer(run("engine", "kill")) == ("halt", "halted")
    status_of(engine, "halted")
    assert engine.end(signal.SIGTERM).code == 143
    was = "HALTED (microburst kill)"
    assert run("engine", "resume", "--reason", "looked at it").out.splitlines() == [
        f"kill file {kill_file(tmp_path)} removed",
        "no session is running",
        f"account paper was {was}: its next session is resumed as it starts",
    ]
    again = start("engine", "--json", "--feed", market, **PATIENT)
    carried = json.loads(again.line('{"event":"carried"'))
    assert (carried["halted_for"], carried["lifted"]) == ("microburst kill", "looked at it")
    assert json.loads(again.line('{"event":"status"'))["state"] == "active"
    ended = again.end(signal.SIGTERM)
    assert f"; it was {was}, and is resumed: looked at it" in ended.err
    nothing = run("engine", "resume", "--reason", "x")
    assert nothing.code == 5
    assert "account paper is neither paused nor halted, and there is no kill file" in nothing.error
    nobody = run("engine", "resume", "--reason", "x", "--account", "papre")
    assert nobody.code == 5
    assert nobody.error == "error: --account: no account 'papre' has been traded; did you mean 'paper'?"


def test_a_session_without_telemetry_is_killed_by_a_signal_and_nothing_else(
    start: Callable[..., Running], run: Callable[..., Ended]
) -> None:
    engine = start("engine", "--paper", "--json", "--mock-rate", "300", MICROBURST__TELEMETRY__ENABLED="false")
    engine.line('{"event":"status"')
    paused = run("engine", "pause")
    assert paused.code == 6
    assert "it has no telemetry to be reached by" in paused.err
    assert run("engine", "kill").out.splitlines()[-1].endswith(": told by a signal")
    assert status_of(engine, "halted")["halted"] in ("halted: signal", "halted: kill file: microburst kill")
    assert engine.end(signal.SIGINT).code == 130


@pytest.mark.parametrize("verb", ["pause", "flatten"])
def test_nobody_to_tell_is_code_5(run: Callable[..., Ended], verb: str) -> None:
    done = run("engine", verb)
    assert (done.code, done.error) == (5, "error: no session is running; start one with: microburst run")


def test_which_session_is_meant(session: Running, run: Callable[..., Ended], tmp_path: Path) -> None:
    wrong = run("engine", "pause", "--session", "nobody")
    assert wrong.code == 5
    assert "there is no running session 'nobody'" in wrong.error
    assert run("engine", "resume", "--reason", " ").code == 3
    assert run("engine", "resume").code == 2
    for meant in ("last", "20"):  # the beginning of its name
        assert answer(run("engine", "pause", "--session", meant)) == ("pause", "reducing")
    assert answer(run("engine", "kill", "--session", str(session.process.pid))) == ("halt", "halted")
    assert not kill_file(tmp_path).exists()  # that session alone
