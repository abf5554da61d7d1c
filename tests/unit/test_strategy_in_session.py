"""A strategy whose own code is slow or fails, in a session: it is warned of or switched off, and exits go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engine.config.settings import Config
from engine.errors import ConfigError
from engine.journal.segments import JournalFailed
from engine.journal.writer import SessionJournal
from engine.model import Reason
from tests.sim.clock import JumpingLoop
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config

CLIMBS = [*climb(0, 1), *climb(12, 7), *climb(24, 13)]
LINE = Line(sorted([*CLIMBS, *heartbeats(1, 40)], key=lambda frame: frame[0]))

HEAD = """
import asyncio

from engine.rules import Stop, Target, TimeStop, change, pct, seconds
from engine.strategy import Signal, Strategy


class Own(Strategy):
    long = change(seconds(2)) >= pct("0.05")
    exits = (Stop(pct(1)), Target(pct(1)), TimeStop(seconds(8)))
"""

RAISES = (
    HEAD
    + """
    def on_fire(self, context, side):
        raise ZeroDivisionError("as it happens")
"""
)

RAISES_WHILE_OPEN = (
    HEAD
    + """
    ticks = 0

    def on_tick(self, tick):
        self.ticks += 1
        if self.ticks > 7:
            raise ZeroDivisionError("as it happens")
        return None
"""
)

SLOW = (
    HEAD
    + """
    def on_fire(self, context, side):
        try:
            asyncio.get_running_loop().now += {seconds}
        except RuntimeError:
            pass  # a replay has no loop
        return Signal(side, context.price_ticks)
"""
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return rise_config(tmp_path)


def with_lines(config: Config, *lines: str) -> Config:
    return config.model_copy(update={"strategy": config.strategy.model_copy(update={"strategies": lines})})


def failing(config: Config, seconds: float) -> World:
    """Play a session that a strategy's failure makes end with an error, and return it all the same."""
    worlds: list[World] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        worlds.append(world)

    with pytest.raises(ConfigError, match="as it happens"):
        play(config, LINE, seconds=seconds, meanwhile=meanwhile)
    return worlds[0]


def test_one_that_raises_is_switched_off_and_the_others_trade_on(config: Config, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(RAISES)
    world = failing(with_lines(config, f"{tmp_path / 'rise.py'}:Rise", f"{tmp_path / 'own.py'}:Own"), 40)
    assert [one.reason for one in world.session.kernel.trades] == [Reason.TIME] * 3
    assert [lane.failed for lane in world.session.kernel.lanes] == [False, True]
    assert world.last.ended == "stopped"
    assert "as it happens" in world.last.problem
    assert "own.py" in world.last.problem


def test_one_that_raised_before_a_kill_stays_off_and_is_told_of(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(RAISES)
    both = with_lines(config, f"{tmp_path / 'rise.py'}:Rise", f"{tmp_path / 'own.py'}:Own")
    worlds: list[World] = []

    def kill(world: World, loop: JumpingLoop) -> None:
        worlds.append(world)
        loop.call_later(3.0, world.session._halt, JournalFailed("killed"))

    with monkeypatch.context() as killed:
        killed.setattr(SessionJournal, "close", lambda journal, ended: journal.leave())
        with pytest.raises(JournalFailed):
            play(both, LINE, seconds=9, meanwhile=kill)
    (before,) = worlds
    later = Line([(due, messages) for due, messages in LINE.frames if due > 3.5])
    with pytest.raises(ConfigError, match="as it happens"):
        play(both, later, seconds=40, meanwhile=lambda world, _: worlds.append(world), interrupted=before.directory)
    after = worlds[1]
    assert after.directory == before.directory
    assert "as it happens" in after.snapshots[0].problem
    assert [lane.failed for lane in after.session.kernel.lanes] == [False, True]
    assert [one.reason for one in after.session.kernel.trades] == [Reason.TIME] * 3
    assert after.last.ended == "stopped"


def test_the_only_one_that_raises_ends_the_session(config: Config, tmp_path: Path) -> None:
    (tmp_path / "rise.py").write_text(RAISES.replace("Own", "Rise"))
    world = failing(config, 40)
    assert world.last.ended == "the strategy failed"
    assert world.session.kernel.trades == []
    assert world.at(world.last.engine_ts_ns) == pytest.approx(2.5, abs=0.01)


def test_what_it_has_open_is_left_to_its_exits_before_that(config: Config, tmp_path: Path) -> None:
    """It raises a tick after its entry; the time stop is the core's, 8 s after it."""
    (tmp_path / "rise.py").write_text(RAISES_WHILE_OPEN.replace("Own", "Rise"))
    frames = sorted([*climb(0, 1), (3.0, climb(0, 1)[0][1]), *heartbeats(1, 40)], key=lambda frame: frame[0])
    frames = [
        (due, [one | {"i": 7} if due == 3.0 and "i" in one else one for one in messages]) for due, messages in frames
    ]
    frames += [(3.2, [climb(0, 1)[0][1][0] | {"i": 8}])]
    frames.sort(key=lambda frame: frame[0])
    worlds: list[World] = []
    with pytest.raises(ConfigError, match="as it happens"):
        play(config, Line(frames), seconds=40, meanwhile=lambda world, _: worlds.append(world))
    (world,) = worlds
    (closed,) = world.session.kernel.trades
    assert closed.reason is Reason.TIME
    assert world.at(closed.exit_ts_ns) == pytest.approx(10.5, abs=0.01)
    assert world.last.ended == "the strategy failed"
    assert world.at(world.last.engine_ts_ns) == pytest.approx(10.5, abs=0.01)


@pytest.mark.parametrize(("seconds", "warned"), [("0.049", False), ("0.051", True)])
def test_more_than_fifty_milliseconds_are_warned_of(config: Config, tmp_path: Path, seconds: str, warned: bool) -> None:
    (tmp_path / "rise.py").write_text(SLOW.replace("Own", "Rise").format(seconds=seconds))
    with capture_logs() as entries:
        world = play(config, LINE, seconds=11)
    slow = [entry for entry in entries if entry["event"] == "slow strategy"]
    assert len(slow) == warned
    assert len(world.session.kernel.trades) == 1
    if warned:
        assert slow[0]["ms"] >= 50
        assert slow[0]["strategy"].endswith("rise.py:Rise")
