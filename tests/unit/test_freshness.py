"""Nothing is opened on data that is old or may be: how that is noticed, what it changes, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account.orders import OrderError
from engine.account.risk import TradingState
from engine.config.settings import Config
from engine.events import FeedHealthy, OrderCancelled, OrderRests, Refusal, Resumed, TimePassed
from engine.journal.codec import is_input
from engine.journal.reader import JournalReader
from engine.live.freshness import Freshness
from engine.ports import FeedState
from engine.telemetry_wire import Snapshot
from feeds.lag import HALF_NS, ExchangeLag
from tests.sim.clock import JumpingLoop
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config, trade

SECOND_NS = 1_000_000_000
WAITING = """
from engine.language.entries import Limit
from engine.rules import Stop, Target, TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Rise(Strategy):
    long = change(seconds(2)) >= pct("0.05")
    entry = Limit(pct(1))
    exits = (Stop(pct(1)), Target(pct(1)), TimeStop(seconds(8)))
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return rise_config(tmp_path)


def late_climb(late_s: float) -> Line:
    """The signal's frame has taken so much longer than those before it."""
    *quiet, (due, [signal]) = climb()
    return Line([*quiet, (due, [signal | {"late_s": late_s}]), *heartbeats(3, 9)])


def healths(world: World) -> list[FeedHealthy]:
    """What the kernel was told once the feed was connected, as the journal has it."""
    connecting, connected, *told = (event for event in recorded_inputs(world) if isinstance(event, FeedHealthy))
    assert (connecting, connected) == (FeedHealthy(False, Refusal.FEED_STALE), FeedHealthy(True))
    return told


def recorded_inputs(world: World) -> list[object]:
    return [entry.event() for entry in JournalReader(world.directory) if is_input(entry.kind)]


def test_nothing_is_opened_on_what_took_longer_than_usual(config: Config) -> None:
    world = play(config, late_climb(0.251), seconds=9)
    assert world.session.freshness.old_batches == 1
    assert world.session.kernel.trades == []
    assert world.last.refusals == {Refusal.DATA_OLD: 1}
    assert healths(world) == [FeedHealthy(False, Refusal.DATA_OLD), FeedHealthy(True)]
    reduced = [snapshot for snapshot in world.snapshots if snapshot.account.state == "reducing"]
    assert {snapshot.account.halted for snapshot in reduced} == {"old data"}
    assert [2.5 <= world.at(snapshot.engine_ts_ns) < 3.5 for snapshot in reduced] == [True] * len(reduced)
    assert len(reduced) == 5  # for a second, at five pictures a second
    assert world.last.account.state == "active"
    assert max(snapshot.feed.data_age_ms for snapshot in reduced) == pytest.approx(251)
    assert world.last.feed.old_batches == 1


def test_at_the_limit_it_is_not_old_yet(config: Config) -> None:
    world = play(config, late_climb(0.25), seconds=9)
    assert world.session.freshness.old_batches == 0
    assert len(world.session.kernel.trades) == 1


def test_the_limit_is_a_setting(config: Config) -> None:
    patient = config.model_copy(update={"feed": config.feed.model_copy(update={"old_after": SECOND_NS})})
    assert len(play(patient, late_climb(0.9), seconds=9).session.kernel.trades) == 1
    assert play(patient, late_climb(1.1), seconds=9).session.kernel.trades == []


def test_windows_begin_anew_after_data_of_long_ago(config: Config) -> None:
    """A second of delay and more: what came in at once did not happen at once."""
    line = Line([*late_climb(1.5).frames[:6], *((3.0 + n, [trade(7 + n)]) for n in range(7))])
    world = play(config, line, seconds=8)
    warm = [(world.at(snapshot.engine_ts_ns), snapshot.symbols[0].warm) for snapshot in world.snapshots]
    assert {since for at, since in warm if 2.1 < at < 3.4} == {True}
    assert {since for at, since in warm if 3.8 < at < 5.8} == {False}
    assert world.last.symbols[0].warm


def test_a_constant_difference_of_the_clocks_is_no_delay(config: Config) -> None:
    """The exchange's clock is an hour behind."""
    frames = [(due, [one | {"late_s": 3600} for one in messages]) for due, messages in climb()]
    world = play(config, Line([*frames, *heartbeats(3, 9)]), seconds=9)
    assert len(world.session.kernel.trades) == 1
    assert world.session.freshness.old_batches == 0


def test_what_waited_between_feed_and_engine_is_old(config: Config) -> None:
    """The stamp of receipt counts as well: here the session looks at a frame 0.3 s after it came."""
    aged: list[int] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        take, held = world.session._take, []

        def slow(batch: object) -> None:
            if batch.block is not None and round(loop.time() - world.began_s, 3) == 2.5:  # type: ignore[attr-defined]
                held.append(batch)
                loop.now += 0.3
                aged.append(1)
            take(batch)  # type: ignore[arg-type]

        world.session._take = slow  # type: ignore[method-assign]

    world = play(config, Line([*climb(), *heartbeats(3, 9)]), seconds=9, meanwhile=meanwhile)
    assert aged == [1]
    assert world.session.freshness.old_batches == 1
    assert world.last.refusals == {Refusal.DATA_OLD: 1}


def test_silence_is_noticed_within_its_limit_and_a_tenth_of_a_second(config: Config) -> None:
    """``stale_after`` is 2 s here. Nothing but the passing of time tells."""
    states: list[tuple[float, TradingState]] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        def look() -> None:
            states.append((round(loop.time() - world.began_s, 3), world.session.kernel.risk.state))
            loop.call_later(0.01, look)

        loop.call_later(0.01, look)

    quiet = [(0.5 * n, [trade(n + 1)]) for n in range(3)]
    world = play(config, Line([*quiet, (5.0, [trade(4)])]), seconds=7, meanwhile=meanwhile)
    reducing = [at for at, state in states if state is TradingState.REDUCING]
    assert 3.0 <= reducing[0] <= 3.1
    assert 4.9 <= reducing[-1] <= 5.01
    assert states[-1][1] is TradingState.ACTIVE
    assert healths(world) == [FeedHealthy(False, Refusal.FEED_STALE), FeedHealthy(True)]


def test_an_entry_that_waits_is_called_back_when_the_feed_goes_stale(config: Config, tmp_path: Path) -> None:
    (tmp_path / "rise.py").write_text(WAITING)
    stale = play(config, Line([*climb(), (7.0, [trade(7, 98.9)])]), seconds=9)
    (rests,) = (one for one in stale.replay.recorded.decisions if isinstance(one, OrderRests))
    (called,) = (one for one in stale.replay.recorded.decisions if isinstance(one, OrderCancelled))
    assert (called.order_id, called.reason) == (rests.order_id, Refusal.FEED_STALE)
    assert stale.at(called.ts_ns) == pytest.approx(4.5, abs=0.1)
    assert stale.session.kernel.trades == []
    fresh = play(config, Line([*climb(), *heartbeats(3, 6), (7.0, [trade(7, 98.9)])]), seconds=9)
    assert len(fresh.session.kernel.trades) == 1


def test_being_held_up_reduces_until_a_second_has_passed(config: Config) -> None:
    """Asleep for ten minutes: the wall clock tells, whatever the monotonic one did meanwhile."""
    seen: list[Snapshot] = []

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        loop.call_later(3.0, lambda: setattr(loop, "now", loop.now + 600))
        seen.extend(world.snapshots)

    world = play(config, Line([*climb(), *heartbeats(3, 700)]), seconds=620, meanwhile=meanwhile)
    (closed,) = world.session.kernel.trades  # its time stop was due in between, and nothing else is lost
    assert closed.reason.value == "TIME"
    assert FeedHealthy(False, Refusal.DATA_OLD) in healths(world)
    assert world.last.account.state == "active"


@pytest.mark.parametrize(("for_ns", "told"), [(249_999_999, False), (250_000_000, False), (250_000_001, True)])
async def test_held_up_a_nanosecond_below_at_and_above(for_ns: int, told: bool) -> None:
    """Whatever is read next has waited, although nothing that has been read says so."""
    heard: list[object] = []
    freshness = Freshness(heard.append, lambda: 7, paced=True, old_ns=250_000_000, instruments=1)
    freshness.feed_is(FeedState.LIVE)
    heard.clear()
    freshness.held_up(for_ns)
    assert heard == ([TimePassed(7), FeedHealthy(False, Refusal.DATA_OLD)] if told else [])
    freshness.close()


def asleep(config: Config, slept_s: float, before: Callable[[World], None] = lambda world: None) -> World:
    """A session on a machine that sleeps at 3 s; its position is open since 2.5 s, and rises again at 20 s."""
    ready: list[World] = []

    def sleep(world: World, loop: JumpingLoop) -> None:
        before(world)
        loop.now += slept_s

    def meanwhile(world: World, loop: JumpingLoop) -> None:
        ready.append(world)
        loop.call_later(3.0, sleep, world, loop)

    frames = sorted([*climb(), *heartbeats(3, 40), *climb(20, 7)], key=lambda frame: frame[0])
    with suppress(OrderError):
        play(config, Line(frames), seconds=40, meanwhile=meanwhile)
    return ready[0]


@pytest.mark.parametrize(("slept_s", "reduced_s", "seams"), [(4.9, 1.0, 0), (5.3, 4.0, 1), (10.0, 4.0, 1)])
def test_a_machine_that_slept_resumes_before_it_trades_again(
    config: Config, slept_s: float, reduced_s: float, seams: int
) -> None:
    """Longer than 5 s: it waits until the feed would have gone stale, and goes on as after an interruption.

    A fifth of a second between two looks at the clocks is no sleep.
    """
    world = asleep(config, slept_s)
    inputs = recorded_inputs(world)
    (at, _), (after, _) = ((n, e) for n, e in enumerate(inputs) if isinstance(e, FeedHealthy) and n > 2)
    assert (inputs[at], inputs[after]) == (FeedHealthy(False, Refusal.DATA_OLD), FeedHealthy(True))
    resumed = [n for n, event in enumerate(inputs) if isinstance(event, Resumed)]
    assert resumed == [after - 1] * seams
    (woken,) = [e.ts_ns for e in inputs[at - 1 : at] if isinstance(e, TimePassed)]
    assert world.at(woken) == pytest.approx(3 + slept_s, abs=0.25)
    for event in (inputs[n] for n in resumed):
        assert (event.ts_ns - woken) / SECOND_NS == pytest.approx(reduced_s, abs=0.01)  # type: ignore[attr-defined]
    assert [trade.reason.value for trade in world.session.kernel.trades] == ["TIME", "TIME"]


def test_books_that_differ_after_a_sleep_halt(config: Config) -> None:
    def lose_a_lot(world: World) -> None:
        world.session.kernel.risk.ledger.held[0].lots += 1

    world = asleep(config, 10.0, lose_a_lot)
    assert world.session.kernel.risk.halted is Refusal.CONSERVATION
    assert world.last.ended == "an unexpected error (OrderError)"


async def test_a_kernel_that_was_brought_back_reducing_hears_that_all_is_well() -> None:
    """It was told before the crash that data was old; nothing of that is left."""
    told: list[object] = []
    fresh = Freshness(told.append, lambda: 7, paced=True, old_ns=1, instruments=1, told=Refusal.DATA_OLD)
    fresh.feed_is(FeedState.LIVE)
    fresh.feed_is(FeedState.LIVE)
    assert told == [FeedHealthy(True)]


# ------------------------------------------------------------ the lag alone


@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(st.integers(0, 20 * SECOND_NS), st.integers(0, 3 * SECOND_NS)), min_size=1, max_size=50),
)
def test_what_is_called_late_was_at_least_so_late(offset_ns: int, records: list[tuple[int, int]]) -> None:
    """Whatever the clocks are apart: the excess is the delay less the least delay of the last minutes."""
    lag, now_ns, seen = ExchangeLag(), 0, []
    for pause_ns, delay_ns in records:
        now_ns += pause_ns
        seen.append((now_ns, delay_ns))
        found = lag.excess_ns(now_ns - delay_ns + offset_ns, now_ns)
        assert 0 <= found <= delay_ns
        assert found >= delay_ns - min(delay for at, delay in seen if at > now_ns - HALF_NS)
        assert found <= delay_ns - min(delay for at, delay in seen if at > now_ns - 2 * HALF_NS)


def test_the_usual_way_is_forgotten_in_ten_minutes() -> None:
    lag = ExchangeLag()
    lag.excess_ns(0, 0)
    found = [lag.excess_ns(at, at + SECOND_NS) for at in range(SECOND_NS, 2 * HALF_NS + SECOND_NS, SECOND_NS)]
    assert found[0] == SECOND_NS
    assert found[2 * HALF_NS // SECOND_NS - 2] == 0
    assert lag.excess_ns(5 * HALF_NS, 5 * HALF_NS) == 0
