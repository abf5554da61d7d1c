"""A paper session in a world without waiting: the clock is a variable, the market a script.

The event loop's time only moves when there is nothing left to do, straight to the next timer; so hours pass in
milliseconds, and always in the same way.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.account.orders import OrderError
from engine.config.settings import Config
from engine.events import Refusal
from engine.latency import Constant
from engine.model import Reason
from engine.telemetry_wire import Snapshot
from tests.sim.clock import SECOND_NS, WALL_NS, JumpingLoop
from tests.unit.session_world import (
    Line,
    World,
    climb,
    heartbeats,
    play,
    rise_config,
    trade,
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return rise_config(tmp_path)


def test_a_time_stop_fires_without_a_tick(config: Config) -> None:
    """The pacer alone lets time pass: after the entry only heartbeats come."""
    world = play(config, Line([*climb(), *heartbeats(3, 20)]), seconds=20)
    (trade,) = world.session.kernel.trades
    assert trade.reason is Reason.TIME
    assert world.at(trade.entry_ts_ns) == 2.5
    assert trade.exit_ts_ns - trade.entry_ts_ns == pytest.approx(8 * SECOND_NS, abs=1000)
    closed = [snapshot for snapshot in world.snapshots if snapshot.new_trades]
    assert len(closed) == 1
    assert world.at(closed[0].engine_ts_ns) == pytest.approx(10.5, abs=0.21)


def test_a_time_stop_fires_while_nobody_is_connected(config: Config) -> None:
    world = play(config, Line(climb(), cut_s=3.0), seconds=20)
    (trade,) = world.session.kernel.trades
    assert trade.reason is Reason.TIME
    assert world.last.feed.state == "reconnecting"
    assert world.last.feed.reconnects > 10
    assert "nobody there" in world.last.feed.detail


def test_nothing_is_opened_on_a_stale_feed(config: Config) -> None:
    """Silence for longer than ``stale_after``; the frame that ends it already carries a signal."""
    quiet = [(0.5 * n, [trade(n + 1)]) for n in range(6)]
    world = play(config, Line([*quiet, (6.0, [trade(7), trade(8, 100.10)]), *heartbeats(7, 9)]), seconds=9)
    assert world.session.kernel.trades == []
    assert world.last.refusals == {Refusal.FEED_STALE: 1}
    states = {round(world.at(snapshot.engine_ts_ns), 1): snapshot for snapshot in world.snapshots}
    assert states[5.0].feed.state == "stale"
    assert (states[5.0].account.state, states[5.0].account.halted) == ("reducing", "the feed is stale")
    assert states[6.2].feed.state == "live"
    assert (states[6.2].account.state, states[6.2].account.halted) == ("active", "")


def test_windows_begin_anew_after_a_reconnect(config: Config) -> None:
    """A rise between the last trade before the cut and the first after it is no move that anybody has seen."""
    before = Line([(0.5 * n, [trade(n + 1)]) for n in range(6)], cut_s=2.6)
    after = Line([(0.1, [trade(1, 100.10)]), (0.5, [trade(2, 100.10)])])
    world = play(config, before, after, seconds=4.5)
    assert world.replay.recorded.decisions[1:] == []
    assert world.last.feed.gaps == 1
    assert world.last.feed.reconnects == 1
    assert any(snapshot.symbols[0].warm for snapshot in world.snapshots)
    assert not world.last.symbols[0].warm
    again = play(config, before, Line(climb()), seconds=10)
    assert [trade.reason for trade in again.session.kernel.trades] == [Reason.MANUAL]


def held_up(at_s: float, for_s: float) -> Callable[[World, JumpingLoop], None]:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def stall() -> None:
            loop.now += for_s

        loop.call_later(at_s, stall)

    return meanwhile


def test_nothing_is_opened_on_what_waited_while_we_were_held_up(config: Config) -> None:
    """The loop stands still for 0.9 s, during which the signal's frame arrives."""
    world = play(config, Line([*climb(), *heartbeats(3, 9)]), seconds=9, meanwhile=held_up(2.3, 0.9))
    assert world.session.kernel.trades == []
    assert world.last.refusals == {Refusal.DATA_OLD: 1}
    assert world.last.account.halted == ""
    assert world.last.symbols[0].warm


def test_a_short_pause_is_no_reason(config: Config) -> None:
    world = play(config, Line([*climb(), *heartbeats(3, 9)]), seconds=9, meanwhile=held_up(2.3, 0.3))
    assert world.last.refusals == {}
    assert len(world.session.kernel.trades) == 1


def test_windows_begin_anew_after_a_long_pause(config: Config) -> None:
    line = Line([*climb(), *((3.0 + n, [trade(7 + n)]) for n in range(7))])
    world = play(config, line, seconds=7.5, meanwhile=held_up(1.45, 1.5))
    assert world.last.refusals == {Refusal.DATA_OLD: 1}
    warm = [(world.at(snapshot.engine_ts_ns), snapshot.symbols[0].warm) for snapshot in world.snapshots]
    assert {since for at, since in warm if 3.2 < at < 3.8} == {True}
    assert {since for at, since in warm if 4.2 < at < 5.8} == {False}
    assert world.last.symbols[0].warm


def test_the_end_closes_what_is_open(config: Config) -> None:
    world = play(config, Line([*climb(), *heartbeats(3, 9)]), seconds=5)
    (trade,) = world.session.kernel.trades
    assert trade.reason is Reason.MANUAL
    assert world.at(trade.exit_ts_ns) == 5.0
    assert world.last.ended == "stopped"
    assert [view.reason for view in world.last.new_trades] == ["MANUAL"]
    assert world.last.symbols[0].position is None


def test_the_end_waits_for_orders_on_their_way(config: Config) -> None:
    slow = config.model_copy(update={"paper": config.paper.model_copy(update={"latency_order": Constant(SECOND_NS)})})
    world = play(slow, Line([*climb(), *heartbeats(3, 9)]), seconds=5)
    (trade,) = world.session.kernel.trades
    assert trade.reason is Reason.MANUAL
    assert world.at(trade.entry_ts_ns) == 3.5
    assert world.at(trade.exit_ts_ns) == 6.0


def test_an_entry_on_its_way_is_called_back_at_the_end(config: Config) -> None:
    slow = config.model_copy(update={"paper": config.paper.model_copy(update={"latency_order": Constant(SECOND_NS)})})
    world = play(slow, Line(climb()), seconds=3)
    assert world.session.kernel.trades == []
    assert world.session.kernel.portfolio.positions == {}


def test_a_recording_ends_by_itself(config: Config) -> None:
    """On record time the records' own times count; the position that the data leaves open is valued, not traded."""
    ticks = [{**trade(n + 1, 100.0 if n < 5 else 100.10), "t": WALL_NS + n * SECOND_NS // 2} for n in range(8)]
    world = play(
        config, Line([(0.0, ticks), (0.1, [{"T": "end", "t": WALL_NS, "n": 8}])], clock="record"), seconds=1000
    )
    (closed,) = world.session.kernel.trades
    assert closed.reason is Reason.END
    assert closed.exit_ts_ns == WALL_NS + 7 * SECOND_NS // 2
    assert world.last.ended == "the feed ended"
    assert world.last.engine_ts_ns == closed.exit_ts_ns


def test_a_recording_that_pauses_is_traded_as_if_it_had_not(config: Config) -> None:
    """Ten seconds of silence between two records that are half a second apart."""
    ticks = [{**trade(n + 1, 100.0 if n < 5 else 100.10), "t": WALL_NS + n * SECOND_NS // 2} for n in range(6)]
    frames = [(0.0, ticks[:5]), (10.0, ticks[5:]), (10.1, [{"T": "end", "t": WALL_NS, "n": 6}])]
    world = play(config, Line(frames, clock="record"), seconds=1000, meanwhile=held_up(5.0, 3.0))
    (closed,) = world.session.kernel.trades
    assert closed.entry_ts_ns == WALL_NS + 5 * SECOND_NS // 2
    assert world.last.refusals == {}
    assert "stale" in {snapshot.feed.state for snapshot in world.snapshots}
    assert world.last.started_ts_ns == WALL_NS
    assert world.last.symbols[0].ticks == 6


def test_pause_flatten_resume_and_stop_come_from_a_viewer(config: Config) -> None:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        for at_s, name in ((4.0, "flatten"), (4.1, "pause"), (9.5, "resume"), (16.0, "stop"), (16.1, "flatten")):
            loop.call_later(at_s, world.session._on_command, name)

    line = Line([*climb(0, 1), *climb(5, 7), *climb(10, 13), *heartbeats(13, 20)])
    world = play(config, line, seconds=1000, meanwhile=meanwhile)
    first, second = world.session.kernel.trades
    assert (world.at(first.entry_ts_ns), world.at(first.exit_ts_ns), first.reason) == (2.5, 4.0, Reason.MANUAL)
    assert (world.at(second.entry_ts_ns), world.at(second.exit_ts_ns), second.reason) == (12.5, 16.0, Reason.MANUAL)
    assert world.last.refusals == {Refusal.PAUSED: 1}
    assert world.last.ended == "stopped from the dashboard"


def test_a_halt_from_a_viewer_ends_only_with_a_reason(config: Config) -> None:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        for at_s, command in (
            (4.0, ("halt",)),
            (6.0, ("resume",)),
            (9.5, ("resume", "looked at it")),
            (16.0, ("stop",)),
        ):
            loop.call_later(at_s, world.session._on_command, *command)

    line = Line([*climb(0, 1), *climb(5, 7), *climb(10, 13), *heartbeats(13, 20)])
    world = play(config, line, seconds=1000, meanwhile=meanwhile)
    first, second = world.session.kernel.trades
    assert (world.at(first.exit_ts_ns), first.reason, world.at(second.entry_ts_ns)) == (4.0, Reason.MANUAL, 12.5)
    assert world.last.refusals == {Refusal.HALTED: 1}
    assert "halted" in {snapshot.account.halted for snapshot in world.snapshots}


def test_three_unforeseen_errors_in_a_row_close_everything_and_end_the_session(config: Config) -> None:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def fail(_: object) -> None:
            raise OSError("the venue's disk is full")

        loop.call_later(4.0, lambda: setattr(world.session.kernel, "_ticks", fail))

    line = Line([*climb(0, 1), *climb(5, 20), *heartbeats(20, 30)])
    with pytest.raises(OSError, match="disk is full"):
        play(config, line, seconds=1000, meanwhile=meanwhile)


def test_books_that_do_not_add_up_end_the_session_the_first_time(config: Config) -> None:
    halted: list[Refusal | None] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def fail(_: object) -> None:
            loop.call_soon(lambda: halted.append(world.session.kernel.risk.halted))
            raise OrderError("order 7 was filled by 1 lots beyond what was sent")

        loop.call_later(4.0, lambda: setattr(world.session.kernel, "_ticks", fail))

    line = Line([*climb(0, 1), *climb(5, 20), *heartbeats(20, 30)])
    with pytest.raises(OrderError, match="order 7"):
        play(config, line, seconds=1000, meanwhile=meanwhile)
    assert halted[:1] == [Refusal.CONSERVATION]


def test_garbage_between_good_frames_changes_nothing(config: Config) -> None:
    clean = play(config, Line([*climb(), *heartbeats(3, 12)]), seconds=12)
    garbage = [(0.01 + 0.5 * n, text) for n, text in enumerate(("nonsense", "[[[[", '[{"T":"t"}]', "[1e999]", "[]"))]
    frames = sorted([*climb(), *heartbeats(3, 12), *garbage], key=lambda frame: frame[0])
    dirty = play(config, Line(frames), seconds=12)
    assert dirty.replay.journal.decision_hash == clean.replay.journal.decision_hash
    health = dirty.feed.health()
    assert sum(health.bad_frames.values()) == 3
    assert health.offered == health.accepted + sum(health.rejected.values()) == 7
    assert dirty.session.kernel.core.trades_seen == health.accepted == 6


def test_pictures_are_few_while_nobody_watches(config: Config) -> None:
    world = play(config, Line(heartbeats(1, 60)), seconds=60)
    assert 295 <= len(world.snapshots) <= 305
    assert [snapshot.seq for snapshot in world.snapshots] == list(range(1, len(world.snapshots) + 1))


@pytest.mark.parametrize("before", [True, False])
def test_the_heap_is_frozen_while_a_session_runs_and_then_as_it_was(config: Config, before: bool) -> None:
    """Whoever has frozen it already, to run session after session, is not made to look through it again."""
    seen = []

    def meanwhile(_: World, loop: JumpingLoop) -> None:
        loop.call_later(1.0, lambda: seen.append(gc.get_freeze_count() > 0))

    gc.freeze()
    if not before:
        gc.unfreeze()
    try:
        play(config, Line(heartbeats(1, 3)), seconds=3, meanwhile=meanwhile)
        assert (seen, gc.get_freeze_count() > 0) == ([True], before)
    finally:
        gc.freeze()


def test_a_failing_viewer_of_the_session_ends_it_in_order(config: Config) -> None:
    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def full(_: Snapshot) -> None:
            raise BrokenPipeError

        loop.call_later(4.0, setattr, world.session, "_on_snapshot", full)

    with pytest.raises(BrokenPipeError):
        play(config, Line([*climb(), *heartbeats(3, 12)]), seconds=12, meanwhile=meanwhile)


def test_a_session_trades_by_a_line_up(config: Config, tmp_path: Path) -> None:
    """Two lines of one strategy on the only symbol: the first enters, the second is refused, or its market is none."""
    rise = f"{tmp_path / 'rise.py'}:Rise"
    lines = (f"{rise} weight=3", rise, f"{rise} when=price<1")
    strategies = config.strategy.model_copy(update={"strategies": lines})
    world = play(config.model_copy(update={"strategy": strategies}), Line([*climb(), *heartbeats(3, 20)]), seconds=20)
    (made,) = world.session.kernel.trades
    assert (made.lots, made.reason) == (3, Reason.TIME)
    assert world.last.refusals == {Refusal.POSITION_OPEN: 1, Refusal.REGIME: 1}
    assert world.last.strategy == f"{rise} + {rise} 2 + {rise} 3"
