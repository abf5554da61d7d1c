"""Every weather of the mock market against the real feed and a whole session, on a real socket, in one process.

Each market ends by itself, and so does its session: nothing waits for a time to be over. The weather's own clock runs
twenty times as fast as the wall's. Each test insists that its fault has happened, by the mock's own count.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from engine.config.settings import Config, Found, load
from engine.live.session import PaperSession
from engine.ports import FeedBatch, FeedHealth, FeedState
from engine.telemetry_wire import Snapshot
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed
from mock_server.listings import listings
from mock_server.market import Market
from mock_server.server import MockServer
from mock_server.session import Pace, Source
from mock_server.weather import FAULTS, Weather, read_script

RATE, BLOCK, BLOCKS = 5_000.0, 250, 12
TICKS = BLOCK * BLOCKS
HASTE = 20
WINDOW_TICKS = 5
QUICK = FeedLimits(
    backoff_first_s=0.001, backoff_cap_s=0.002, connects_per_window=10_000, close_timeout_s=0.1, handshake_s=0.1
)
STRATEGY = f"""
from engine.rules import TimeStop, change, pct, seconds, ticks
from engine.strategy import Strategy


class Rise(Strategy):
    long = change(ticks({WINDOW_TICKS})) >= pct("0.005")
    exits = (TimeStop(seconds("0.02")),)
"""


class Seen(NamedTuple):
    """What a session in some weather came to."""

    session: WatchedSession
    server: MockServer
    weather: Weather
    health: FeedHealth
    snapshots: list[Snapshot]


class WatchedSession(PaperSession):
    """Looks at the laws after every batch: engine time never goes back, nothing is opened on windows with a hole."""

    gaps = 0
    entries = 0
    _engine_ts_ns = -(1 << 63)  # before the first record
    _since_gap = 0  # records since the windows began anew
    _positions = 0

    def _take(self, batch: FeedBatch) -> None:
        if batch.state is FeedState.GAP:
            self.gaps += 1
            self._since_gap = 0
        super()._take(batch)
        if batch.block is not None:
            self._since_gap += len(batch.block)
        opened = sum(lane.in_position or lane.entry is not None for lane in self.kernel.lanes) + len(self.kernel.trades)
        if opened > self._positions:
            self.entries += 1
            assert self._since_gap >= WINDOW_TICKS, "an entry on a window with a hole in it"
        self._positions = opened
        assert self.kernel.core.engine_ts_ns >= self._engine_ts_ns, "engine time went back"
        self._engine_ts_ns = self.kernel.core.engine_ts_ns


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "rise.py").write_text(STRATEGY)
    flags = {
        "strategy.name": f"{tmp_path / 'rise.py'}:Rise",
        "telemetry.enabled": False,
        "risk.daily_loss_limit": "100%",
    }
    flags |= {"feed.old_after": "1h"}  # a busy machine is late, and that is no weather
    return load({name: Found(value, "test") for name, value in flags.items()}).config


async def live_through(config: Config, script: str, *, quotes: bool = False, seed: int = 7) -> Seen:
    """Run a session in this weather until the market ends."""
    loop = asyncio.get_running_loop()
    listed = listings(["AAPL"])

    def blocks() -> object:
        return islice(Market(listed, seed=1, rate=RATE, quotes=quotes).blocks(BLOCK), BLOCKS)

    weather = Weather(read_script(script), seed, now_s=lambda: loop.time() * HASTE)
    pace = Pace(speed=1, natural=True, flush_s=0.002, heartbeat_s=0.05, client_buffer=1 << 25)
    server = MockServer(Source(listed, blocks, None, 1), pace, lambda line: None, weather)  # type: ignore[arg-type]
    port = await server.start("127.0.0.1", 0)
    feed = WebSocketFeed(f"ws://127.0.0.1:{port}", limits=QUICK)
    snapshots: list[Snapshot] = []
    tasks = asyncio.all_tasks()
    try:
        async with asyncio.timeout(60):
            assert await feed.connected(30.0)
            session = WatchedSession(config, feed, mode="PAPER", on_snapshot=snapshots.append)
            await session.run("weather")
    finally:
        await feed.close()
        await server.stop()
    assert {task for task in asyncio.all_tasks() - tasks if not task.done()} == set()
    health = feed.health()  # which asserts that records, frames and bytes are conserved
    assert health.offered == health.accepted + sum(health.rejected.values())
    assert session.ended == "the feed ended"
    assert (session.gaps > 0) == (health.gaps > 0)  # gaps at one row are announced as one
    return Seen(session, server, weather, health, snapshots)


Check = Callable[[FeedHealth, int], bool]

UNCUT: dict[str, tuple[str, int, Check]] = {
    "burst": ("burst", 1000, lambda h, n: not h.rejected and not h.gaps and h.accepted == TICKS + 4 * n),
    "gap": ("gap", 100, lambda h, n: not h.rejected and h.gaps >= 50 and h.accepted == TICKS - n),
    "halt": (
        "halt",
        1000,
        lambda h, n: not h.rejected and not h.gaps and h.accepted == TICKS - n,
    ),
    "crossed": ("crossed", 100, lambda h, n: h.rejected == {"crossed_quote": n} and not h.gaps),
    "out-of-order": ("out-of-order, calm", 100, lambda h, n: h.gaps > 0 and h.late > 0),
    "duplicate": ("duplicate", 100, lambda h, n: h.rejected == {"duplicate": n} and h.accepted == TICKS),
    "clock-jump": (
        "clock-jump",
        100,
        lambda h, n: (
            h.rejected.keys() == {"time_future", "time_before_2000"}
            and sum(h.rejected.values()) + h.late == n
            and h.late > 0
        ),
    ),
    "garbage": ("garbage", 100, lambda h, n: sum(h.bad_frames.values()) == n and h.accepted == TICKS and not h.gaps),
    "flood": ("flood", TICKS, lambda h, n: not h.rejected and not h.bad_frames and h.accepted == TICKS),
}
"""For each weather in which nobody is cut off: its script, how often it must have happened, and what must follow."""

CUT = {"disconnect": 5, "oversized": 3, "slow-loris": 3, "mixed": 3}


def test_no_weather_is_without_a_test() -> None:
    assert {*UNCUT, *CUT} == {*FAULTS, "mixed"}


async def test_calm_weather_changes_nothing(config: Config) -> None:
    seen = await live_through(config, "calm")
    assert seen.weather.happened == {}
    assert (seen.health.accepted, seen.health.rejected, seen.health.bad_frames) == (TICKS, {}, {})
    assert (seen.health.gaps, seen.health.late, seen.health.reconnects) == (0, 0, 0)
    assert seen.session.entries > 0


@pytest.mark.parametrize("word", UNCUT)
async def test_a_weather_is_counted_on_both_sides_and_survived(config: Config, word: str) -> None:
    script, least, follows = UNCUT[word]
    seen = await live_through(config, script)
    happened = seen.weather.happened[word]
    assert seen.weather.happened.keys() == {word}
    assert happened >= least
    assert seen.health.offered == seen.server.counters.records
    assert seen.health.reconnects == 0
    assert follows(seen.health, happened), seen.health
    assert seen.session.kernel.core.trades_seen == seen.health.accepted


@pytest.mark.parametrize("word", CUT)
async def test_a_weather_that_cuts_is_come_back_from(config: Config, word: str) -> None:
    """Afterwards the whole market is taken once more, from its beginning to its end."""
    seen = await live_through(config, f"{word} 12s, end")
    health, happened = seen.health, seen.weather.happened
    assert sum(happened.values()) >= CUT[word]
    assert word == "mixed" or happened.keys() == {word}
    if word == "disconnect":
        assert health.reconnects == happened[word]
    if word == "oversized":
        # The mock may still have counted one that the client had left before it came.
        assert health.bad_frames.keys() == {"too_large"}
        assert CUT[word] <= health.bad_frames["too_large"] <= min(health.reconnects, happened[word])
    if word == "slow-loris":
        assert health.reconnects >= 1  # the first handshake was left unanswered
    if word == "mixed":
        assert len(happened) >= 1
    else:
        assert health.rejected == {}
    assert health.gaps >= health.reconnects - 1  # the first connections may have come to nothing
    assert health.accepted >= TICKS - happened["gap"] - happened["halt"]
    assert seen.session.kernel.core.trades_seen == health.accepted


async def test_many_cuts_leave_no_descriptor_open(config: Config) -> None:
    before = psutil.Process().num_fds()
    seen = await live_through(config, "disconnect 20s, end")
    assert seen.weather.happened["disconnect"] >= 10
    assert psutil.Process().num_fds() <= before


async def test_a_look_at_the_counters_needs_no_client() -> None:
    weather = Weather(read_script("gap"), 1)
    weather.happened["gap"] = 3
    pace = Pace(speed=1, natural=True, flush_s=0.002, heartbeat_s=1, client_buffer=1 << 20)
    server = MockServer(Source(listings(["AAPL"]), lambda: iter(()), None, 1), pace, lambda line: None, weather)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await server.stop()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body) == {"clients": 0, "slow": 0, "records": 0, "frames": 0, "bytes": 0, "faults": {"gap": 3}}
