"""What a change would have done to a recorded session: its own inputs, one thing different."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from engine.cli import main
from tests.sim.clock import SECOND_NS
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config, trade

STRATEGY = """
from engine.rules import Param, TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Rise(Strategy):
    hold = Param(seconds(8), "longest holding time")
    long = change(seconds(2)) >= pct("0.05")
    exits = TimeStop(hold)
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A session that has bought once, with a pause and a gap of time in it; its directory is the present one."""
    config = rise_config(tmp_path, STRATEGY)
    later = [(5.0, [trade(20, 100.30)]), (12.0, [trade(21, 100.50)])]
    played = play(config, Line(sorted([*climb(), *later, *heartbeats(3, 20)], key=lambda one: one[0])), seconds=20)
    (tmp_path / "microburst.toml").write_text(f'[journal]\ndirectory = "{config.journal.directory}"\n')
    monkeypatch.chdir(tmp_path)
    return played


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_a_parameter(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = say(capsys, "whatif", "last", "--set", "hold=2s", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["changes"] == [{"name": "strategy.params.hold", "before": "", "after": "2s"}]
    (pair,) = [one for one in found["pairs"] if one["before"] is not None][:1]
    assert pair["fate"] == "changed"
    (was,) = world.session.kernel.trades[:1]
    assert pair["before"]["exit_ts_ns"] == was.exit_ts_ns, "the trade of the recording"
    assert pair["after"]["exit_ts_ns"] - pair["after"]["entry_ts_ns"] == 2 * SECOND_NS
    assert found["before"]["decision_hash"] == world.session.journal.decision_hash


def test_a_cost_changes_the_money_and_nothing_else(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "whatif", "last", "--set", "fee=10bps", "--json")
    assert code == 0
    found = json.loads(out)
    changed = [one for one in found["pairs"] if one["fate"] == "changed"]
    assert changed
    for pair, was in zip(changed, world.session.kernel.trades, strict=True):
        expected = (was.entry_price + was.exit_price) * was.qty * Decimal("0.001")
        assert pair["after"]["fees"] == pytest.approx(float(expected))
        assert pair["after"]["exit_ts_ns"] == was.exit_ts_ns


def test_what_is_as_it_was(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "whatif", "last", "--set", "hold=8s")
    assert code == 0
    assert "every decision is the same" in out
    code, out, _ = say(capsys, "whatif", "last", "--set", "hold=3s")
    assert code == 0
    assert re.search(r"^first difference at input [1-9]\d*, time \d{19}: ", out, re.MULTILINE), out
    assert "as recorded" in out


def test_explain_takes_the_session_by_its_place_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    at = str(world.session.kernel.trades[0].entry_ts_ns)
    named = say(capsys, "explain", "--session", "last", "--at", at)
    assert say(capsys, "explain", "last", "--at", at) == named
    assert named[0] == 0
    code, _, err = say(capsys, "explain", "last", "--session", "last", "--at", at)
    assert (code, "not both" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["last"], 2, "there is nothing to change"),
        (["last", "--set", "hold=2s", "--ticks", "x.csv"], 2, "SESSION goes with --set"),
        (["last", "--set", "hold=2s", "--strategy", "momentum_burst"], 2, "SESSION goes with --set"),
        (["last", "--set", "holt=2s"], 3, "neither a parameter nor a setting 'holt'; did you mean 'hold'?"),
        (["last", "--set", "hold"], 3, "'hold' is not NAME=VALUE"),
        (["last", "--set", "hold=soon"], 3, "hold"),
        (["last", "--set", "fee=much"], 3, "fee"),
        (["never", "--set", "hold=2s"], 5, "no session 'never'"),
    ],
)
def test_what_cannot_be_asked(
    world: World, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    found, _, err = say(capsys, "whatif", *arguments)
    assert (found, len(err.splitlines())) == (code, 1)
    assert said in err


def test_a_session_that_does_not_replay_is_no_ground_to_compare_on(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "rise.py").write_text(STRATEGY.replace("seconds(8)", "seconds(6)"))
    code, _, err = say(capsys, "whatif", "last", "--set", "fee=10bps")
    assert (code, "does not replay to what was recorded" in err) == (8, True)
