"""An error that nobody foresaw: it counts once, what is left of its input is worked through, positions are watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from engine.backtesting import load_ticks, make_kernel, make_settings
from engine.brokers.paper import PaperBroker
from engine.config.settings import Config
from engine.events import Command, CommandName, EngineFault, OrderCancelled, Refusal
from engine.journal.codec import is_input
from engine.journal.reader import JournalReader
from engine.journal.segments import JournalFailed
from engine.journal.writer import MemoryJournal
from engine.live.recovery import Recovery
from engine.live.session import PaperSession
from engine.model import Side, TickBlock
from engine.rules import price
from engine.strategy import Strategy
from engine.trading.dispatch import Dispatch
from tests.props.risk_observer import Wish
from tests.unit.session_world import Line, World, climb, heartbeats, play, replayed, rise_config
from tests.unit.test_risk_in_trading import SECOND, Rig

CLIMBS = [*climb(0, 1), *climb(12, 7), *climb(24, 13)]
LINE = Line(sorted([*CLIMBS, *heartbeats(1, 40)], key=lambda frame: frame[0]))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():  # an error is logged with all that was on the stack, which takes its time
        yield


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, what: type, name: str, *calls: int) -> Iterator[list[int]]:
    """Let a method of each object raise on these of its calls, counted from 1; what is yielded tells of those that did.

    A replay has an object of its own, on which the same calls fail.
    """
    kept, seen, raised = getattr(what, name), Counter[int](), list[int]()

    def sometimes(self: object, *words: Any, **named: Any) -> Any:
        seen[id(self)] += 1
        if seen[id(self)] in calls:
            raised.append(seen[id(self)])
            raise LookupError("nobody foresaw this")
        return kept(self, *words, **named)

    with monkeypatch.context() as patched:
        patched.setattr(what, name, sometimes)
        yield raised


def block(rig: Rig, *prices: int) -> TickBlock:
    times = rig.now + SECOND * np.arange(1, len(prices) + 1)
    rig.now = int(times[-1])
    return TickBlock(times, np.array(prices, np.int64), np.ones(len(prices), np.int64))


def test_what_is_left_of_the_input_is_worked_through_and_the_position_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.trade(10_000, Wish(Side.LONG, 1, 9_990, 1 << 50))
    with failing(monkeypatch, PaperBroker, "fill", 1) as raised, pytest.raises(LookupError):
        rig.kernel.process(block(rig, 9_980, 9_985, 10_020))
    assert raised == [1]
    (ended,) = [one for one in rig.journal.decisions if isinstance(one, OrderCancelled)]
    assert ended.reason == "FAULT"
    assert rig.kernel.core.trades_seen == 4  # the block is over, and the next is taken
    assert rig.kernel.lanes[0].in_position
    rig.kernel.process(block(rig, 10_020))
    assert rig.reasons == []
    rig.kernel.process(block(rig, 9_985))
    assert rig.reasons == ["SL"]


def test_an_entry_that_an_error_kept_from_the_venue_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    for name in ("send", "_meet"):  # before it has left, and where it arrives
        with failing(monkeypatch, Dispatch, name, 1), pytest.raises(LookupError):
            rig.trade(10_000, Side.LONG)
        assert rig.kernel.is_flat
    rig.trade(10_000, Side.LONG)
    assert rig.kernel.lanes[0].in_position


def test_one_position_that_cannot_be_closed_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    always = type("Always", (Strategy,), {"long": price > 0})
    columns = {
        "ts_ns": np.array([1, 2], np.int64) * SECOND,
        "price_ticks": np.array([100, 100], np.int64),
        "size_lots": np.ones(2, np.int64),
        "instrument": np.array([0, 1], np.uint16),
    }
    file = load_ticks(columns)
    kernel = make_kernel(file.instruments, always(), make_settings(file.block), MemoryJournal())
    kernel.process(file.block)
    assert [lane.in_position for lane in kernel.lanes] == [True, True]
    with failing(monkeypatch, PaperBroker, "fill", 1), pytest.raises(LookupError):
        kernel.process(Command(CommandName.FLATTEN, 3 * SECOND))
    assert [lane.in_position for lane in kernel.lanes] == [True, False]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return rise_config(tmp_path)


def faults(world: World) -> list[str]:
    entries = [entry.event() for entry in JournalReader(world.directory) if is_input(entry.kind)]
    return [event.what for event in entries if isinstance(event, EngineFault)]


def test_an_error_in_a_session_is_one_and_the_session_goes_on(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing(monkeypatch, PaperBroker, "fill", 1) as raised:
        world = play(config, LINE, seconds=40)
    assert raised == [1, 1]  # in the session, and in its replay
    assert faults(world) == ["LookupError"]
    assert [trade.reason for trade in world.session.kernel.trades] == ["TIME"] * 2
    assert world.last.ended == "stopped"


def test_an_error_of_the_timer_counts_and_the_time_stop_is_tried_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch, PaperBroker, "fill", 2) as raised:
        world = play(config, LINE, seconds=40)
    assert raised == [2, 2]
    assert faults(world) == ["LookupError"]
    assert [trade.reason for trade in world.session.kernel.trades] == ["TIME"] * 3
    assert world.at(world.session.kernel.trades[0].exit_ts_ns) == pytest.approx(10.5, abs=0.01)


def test_three_in_a_row_close_everything_and_end_the_session(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []
    with failing(monkeypatch, PaperBroker, "fill", 2, 3, 4) as raised, pytest.raises(LookupError):
        play(config, LINE, seconds=40, meanwhile=lambda world, _: worlds.append(world))
    (world,) = worlds
    assert raised == [2, 3, 4]
    assert faults(world) == ["LookupError"] * 3
    assert world.session.kernel.risk.halted is Refusal.ERRORS
    assert [trade.reason for trade in world.session.kernel.trades] == ["RISK"]
    assert world.last.ended == "an unexpected error (LookupError)"
    with failing(monkeypatch, PaperBroker, "fill", 2, 3, 4):
        replayed(world)


def test_a_session_ends_though_its_position_cannot_be_closed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []
    with failing(monkeypatch, PaperBroker, "fill", *range(2, 99)), pytest.raises(LookupError):
        play(config, LINE, seconds=40, meanwhile=lambda world, _: worlds.append(world))
    assert worlds[0].session.kernel.risk.halted is Refusal.ERRORS
    assert worlds[0].last.ended == "an unexpected error (LookupError)"


def test_a_session_brought_back_counts_errors_as_they_were(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in a row, then good ticks, which recovery reads as one input with the failing one: that is no third."""
    with failing(monkeypatch, PaperBroker, "fill", 2, 3, 5) as raised:
        world = play(config, LINE, seconds=20)
        assert faults(world) == ["LookupError"] * 3
        assert world.session.kernel.risk.errors == 1
        recovery = Recovery(world.directory)
    assert raised == [2, 3, 5] * 3
    assert recovery.kernel.risk.errors == 1
    assert recovery.kernel.risk.halted is None


def test_an_error_without_its_record_is_counted_when_the_session_goes_on(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer's input was written, and the process killed before it could say that it had failed."""

    def kill(session: PaperSession, event: object, error: Exception) -> None:
        session._halt(JournalFailed("killed"))

    monkeypatch.setattr(PaperSession, "_failed", kill)
    worlds: list[World] = []
    with failing(monkeypatch, PaperBroker, "fill", 2):
        with pytest.raises(JournalFailed):
            play(config, LINE, seconds=20, meanwhile=lambda world, _: worlds.append(world))
        recovery = Recovery(worlds[0].directory)
    assert recovery.kernel.risk.errors == 0
    recovery.go_on()
    assert recovery.kernel.risk.errors == 1
