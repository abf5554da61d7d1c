"""What is asked of recorded sessions from a shell: what cannot be had is one line, and what can be had is had."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from engine.cli import main
from engine.journal.segments import path_of
from engine.journal.writer import SessionJournal
from tests.unit.session_world import Line, World, climb, play, rise_config

DAY_NS = 86_400 * 10**9


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A session that has bought once; the present directory is empty, and knows of it by nothing but its place."""
    played = play(rise_config(tmp_path), Line(climb()), seconds=4)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return played


def say(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(one) for one in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(left.value.code or 0), out, err


# ---------------------------------------------------------------- a configuration that is hardly needed


BROKEN = "[paper\n"
NOT_TOML = "microburst.toml:1: not valid TOML"


def test_journals_are_listed_and_read_without_a_configuration(
    world: World, own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world.directory, own_state / "microburst" / "journal" / "20260101-100000")
    Path("microburst.toml").write_text(BROKEN)
    for verb in (("ls",), ("verify", "last"), ("cat", "2026")):
        code, out, err = say(capsys, "journal", *verb)
        assert (code, bool(out)) == (0, True)
        assert err.startswith(f"warning: {NOT_TOML}")
        assert err.endswith("; journals are looked for in the usual place\n")
    assert say(capsys, "journal", "verify", world.directory)[::2] == (0, ""), "a directory is no matter of settings"


def test_limits_are_shown_without_a_configuration(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("microburst.toml").write_text(BROKEN)
    code, out, err = say(capsys, "risk", "show", "--risk-profile", "guarded", "--json")
    assert (code, json.loads(out)["profile"]) == (0, {"name": "guarded", "origin": "flag --risk-profile"})
    assert err.startswith(f"warning: {NOT_TOML}")
    assert err.endswith("; these are the limits without it\n")
    code, out, err = say(capsys, "risk", "show", "--risk-profile", "guardet")
    assert (code, out) == (3, "")
    assert err.startswith("error: flag --risk-profile: "), "what was asked for is a mistake all the same"
    for name in ("microburst.toml", "nowhere.toml"):
        for verb in (("risk", "show"), ("journal", "ls")):
            code, out, err = say(capsys, *verb, "--config", name)
            assert (code, out) == (3, ""), "and so is a file that was named"
            assert name in err


# ---------------------------------------------------------------- which session


def test_a_name_that_no_file_can_have_is_that_of_no_session(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (("journal", "verify"), ("replay",), ("parity",)):
        code, _, err = say(capsys, *verb, "x" * 300)
        assert (code, err.count("\n")) == (5, 1)
        assert "there is no session" in err


def test_a_session_that_runs_is_not_said_to_have_been_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = SessionJournal(tmp_path / "s", {})
    assert say(capsys, "journal", "verify", tmp_path / "s")[1].endswith("; it is running; all of it so far is whole\n")
    journal.close("done")


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("verb", [("parity",), ("replay",), ("journal", "verify"), ("whatif", "--set", "fee=1")])
def test_damage_from_the_beginning_on_is_damage(world: World, verb, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(world.directory, 0).write_bytes(b"")
    code, _, err = say(capsys, *verb, world.directory)
    assert (code, err.count("\n")) == (8, 1)
    assert "byte 0: the segment is cut off after 0 bytes" in err


def test_nobody_knows_which_decisions_a_damaged_journal_had(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    segment = path_of(world.directory, 0)
    data = bytearray(segment.read_bytes())
    assert say(capsys, "explain", world.directory, "--decision", 99)[0] == 5
    data[len(bytes(data).rstrip(b"\0")) // 2] ^= 1
    segment.write_bytes(data)
    code, _, err = say(capsys, "explain", world.directory, "--decision", 99)
    assert (code, "the journal is damaged" in err) == (8, True)


# ---------------------------------------------------------------- moments


def test_a_moment_long_after_the_last_trade_is_said_to_be_one(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    at_ns = world.session.kernel.core.engine_ts_ns
    assert say(capsys, "explain", world.directory, "--at", at_ns)[2] == ""
    code, out, err = say(capsys, "explain", world.directory, "--at", at_ns + 3 * DAY_NS, "--json")
    assert (code, err) == (0, "note: nothing has traded in the 3 days before that moment; this is the last trade\n")
    assert json.loads(out)["explanations"]


@pytest.mark.parametrize("at", ["9999999999999999999", "9999-12-31T23:59:59Z", "0001-01-01T00:00"])
def test_a_moment_that_no_clock_here_can_show_is_refused(at, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = say(capsys, "explain", world.directory, "--at", at)
    assert (code, err) == (3, f"error: flag --at: '{at}' is outside the years 1678 to 2261; correct the year\n")
    assert say(capsys, "calendar", "next", "always", "--at", at)[0] == 3


# ---------------------------------------------------------------- changes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("fee=x", "flag --set fee: paper.fee: 'x' is not a fee; write 5bps"),
        ("hold=x", "flag --set: there is neither a parameter nor a setting 'hold'"),
        ("fills=ladder", "flag --set fills: paper.fills = ladder: should be 'auto'"),
        ("calendar=MARS", "flag --set calendar: calendar: there is no calendar 'MARS'"),
        ("starting_cash=1e30", "flag --set starting_cash: paper.starting_cash: an account of 1e+30"),
        ("account=x", "flag --set account: paper.account decides no trade"),
        ("session.duration=5s", "flag --set session.duration: session.duration decides no trade"),
        ("size=0 units", "flag --set size: sizing.size: a size of 0 units enters nothing"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line(
    world: World, change, said, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = say(capsys, "whatif", world.directory, "--set", change)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith(f"error: {said}")


def test_two_changes_that_exclude_each_other(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = say(capsys, "whatif", world.directory, "--set", "fills=last", "--set", "spread=0.01")
    assert (code, re.sub(";.*", "", err)) == (3, "error: flag --set spread: fills at the last price have no spread\n")
