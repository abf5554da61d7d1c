"""A session that is asked to end: what happens in which order, and that none of it waits (reliability.md, G4).

How long it takes is measured by ``benchmarks/bench_stop.py``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.config.settings import Config
from engine.events import Command, CommandName, OrderCancelled, OrderSubmitted, PositionClosed
from engine.journal.codec import is_decision, is_input
from engine.journal.reader import JournalReader
from engine.journal.writer import SessionJournal
from engine.latency import Constant
from engine.live.recovery import Recovery
from tests.sim.clock import SECOND_NS, JumpingLoop
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config, trade

LATENCY_NS = SECOND_NS // 20
LINE = Line(sorted([*climb(), (4.0, [trade(7, 100.10)]), *heartbeats(3, 9)], key=lambda frame: frame[0]))

WAITS = """
from engine.language.entries import Limit
from engine.rules import Stop, TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Waits(Strategy):
    long = change(seconds(2)) >= pct("0.05")
    entry = Limit(pct(1))
    exits = (Stop(pct(1)), TimeStop(seconds(8)))
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two strategies: at 2.5 s one enters and one lets an order wait; orders and cancels take 50 ms."""
    config = rise_config(tmp_path)
    (tmp_path / "waits.py").write_text(WAITS)
    lines = (f"{tmp_path / 'rise.py'}:Rise", f"{tmp_path / 'waits.py'}:Waits")
    return config.model_copy(
        update={
            "strategy": config.strategy.model_copy(update={"strategies": lines}),
            "paper": config.paper.model_copy(update={"latency_order": Constant(LATENCY_NS)}),
            "risk": config.risk.model_copy(update={"positions_per_symbol": "2"}),
        }
    )


def test_everything_is_called_back_and_closed_before_the_journal_is_sealed(config: Config) -> None:
    asked: list[float] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        loop.call_later(4.5, lambda: (asked.append(loop.time()), world.session.stop.set()))

    world = play(config, LINE, seconds=60, meanwhile=meanwhile)
    reader = JournalReader(world.directory)
    events = [entry.event() for entry in reader if is_input(entry.kind) or is_decision(entry.kind)]
    told = [n for n, event in enumerate(events) if isinstance(event, Command)]
    (begin,) = told
    assert events[begin].name is CommandName.FLATTEN
    after = events[begin + 1 :]
    (out,) = [event for event in after if isinstance(event, OrderSubmitted)]
    assert out.purpose == "MANUAL"
    assert out.ts_ns == events[begin].ts_ns  # with the word to end, not later
    cancelled = next(event for event in after if isinstance(event, OrderCancelled))
    closed = next(event for event in after if isinstance(event, PositionClosed))
    assert [event.ts_ns - out.ts_ns for event in (cancelled, closed)] == [LATENCY_NS] * 2
    assert not [event for event in events[begin:] if isinstance(event, OrderSubmitted) and event.purpose == "entry"]
    assert reader.sealed  # and nothing after it
    assert world.last.ended == "stopped"


def test_it_does_not_wait_for_what_travels(config: Config) -> None:
    """The 50 ms of its last orders are engine time: it passes them at once, and its own clock stands still."""
    clocks: list[float] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def ask() -> None:
            clocks.append(loop.time())
            world.session.stop.set()

        loop.call_later(4.5, ask)
        finish = world.session._finish

        def finished() -> None:
            finish()
            clocks.append(loop.time())

        world.session._finish = finished  # type: ignore[method-assign]

    play(config, LINE, seconds=60, meanwhile=meanwhile)
    asked, over = clocks
    assert over == asked


def test_a_second_word_ends_it_at_once_and_the_session_can_go_on(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C cancels the session where it stands: nothing more is decided, and all that was is whole."""
    worlds: list[World] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        worlds.append(world)
        task = asyncio.current_task()
        assert task is not None
        loop.call_later(4.5, task.cancel)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(SessionJournal, "close", lambda journal, ended: journal.leave())
        with pytest.raises(asyncio.CancelledError):
            play(config, LINE, seconds=60, meanwhile=meanwhile)
    (world,) = worlds
    assert not JournalReader(world.directory).end().sealed
    recovery = Recovery(world.directory)
    assert [lane.in_position for lane in recovery.kernel.lanes] == [True, False]
    assert [lane.entry is not None for lane in recovery.kernel.lanes] == [False, True]
    assert recovery.kernel.trades == []
