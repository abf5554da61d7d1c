"""The telemetry server, talked to over real sockets: who is let in, what arrives, what a slow viewer costs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import telemetry
from engine.errors import ConfigError
from engine.secret import NO_SECRET, Secret
from engine.telemetry import TelemetryServer
from engine.telemetry_wire import (
    COMMANDS,
    MAX_FRAME_BYTES,
    VERSION,
    Command,
    Done,
    Endpoint,
    FrameReader,
    Hello,
    History,
    Message,
    Refused,
    Snapshot,
    control_path,
    decode,
    encode,
    endpoint_path,
    read_control,
    read_endpoints,
)
from tests.gui.publisher import SyntheticSession

# pytest-asyncio's newer way needs a hook in a conftest of the whole directory.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")

Running = tuple[TelemetryServer, Endpoint]


class Viewer:
    """A viewer as plain as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._frames = FrameReader()
        self._ready: list[Message] = []

    async def next(self) -> Message | None:
        """Return the next message, None at the end of the connection."""
        while not self._ready:
            data = await self.reader.read(1 << 16)
            if not data:
                return None
            self._ready += [decode(body) for body in self._frames.feed(data)]
        return self._ready.pop(0)

    async def history(self) -> History:
        message = await self.next()
        assert isinstance(message, History)
        return message

    async def snapshot(self) -> Snapshot:
        message = await self.next()
        assert isinstance(message, Snapshot)
        return message


async def connect(
    endpoint: Endpoint, token: str | None = None, version: int = VERSION, control: Secret = NO_SECRET
) -> Viewer:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, limit=MAX_FRAME_BYTES)
    writer.write(encode(Hello(version, endpoint.token if token is None else Secret(token), control)))
    return Viewer(reader, writer)


def _policies() -> list[asyncio.AbstractEventLoopPolicy]:
    """Both event loops that the engine runs on; their transports differ in detail."""
    policies = [asyncio.DefaultEventLoopPolicy()]
    if importlib.util.find_spec("uvloop") is not None:
        policies.append(importlib.import_module("uvloop").EventLoopPolicy())
    return policies


@pytest.fixture(params=_policies(), ids=lambda policy: type(policy).__module__.split(".")[0])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param
    return policy


@pytest.fixture
def commands() -> list[str]:
    return []


@pytest.fixture
async def running(tmp_path: Path, commands: list[str]) -> AsyncIterator[Running]:
    server = TelemetryServer(lambda name, _: commands.append(name), ("pause", "resume"), tmp_path)
    endpoint = await server.start("session-1", "PAPER")
    yield server, endpoint
    await server.close()


async def test_the_rendezvous_file_is_private_and_goes_away(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    server = TelemetryServer(directory=directory)
    endpoint = await server.start("session-1", "PAPER")
    path = endpoint_path(directory, os.getpid())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert read_endpoints(directory) == [endpoint]
    assert endpoint.host == "127.0.0.1"
    assert len(bytes.fromhex(endpoint.token.reveal())) == 16
    await server.close()
    assert list(directory.iterdir()) == []


async def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="open to other users; chmod 700 it"):
        await TelemetryServer(directory=tmp_path).start("s", "PAPER")


async def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="cannot use the runtime directory"):
        await TelemetryServer(directory=tmp_path / "run").start("s", "PAPER")


async def test_files_of_dead_engines_are_removed(tmp_path: Path) -> None:
    dead = await asyncio.create_subprocess_exec("true")
    await dead.wait()
    endpoint_path(tmp_path, dead.pid).write_bytes(Endpoint("127.0.0.1", 1, "t", dead.pid, "old", "PAPER", 1).to_json())
    server = TelemetryServer(directory=tmp_path)
    await server.start("session-1", "PAPER")
    assert [one.session_id for one in read_endpoints(tmp_path)] == ["session-1"]
    await server.close()


async def test_a_viewer_gets_the_history_and_then_each_snapshot(running: Running) -> None:
    server, endpoint = running
    session = SyntheticSession(symbols=2, rate=200)
    published = [session.advance(1.0) for _ in range(40)]
    for snapshot in published:
        server.publish(snapshot)
    viewer = await connect(endpoint)
    history = await viewer.history()
    assert (history.session_id, history.mode, history.commands) == ("session-1", "PAPER", [])
    assert history.trades == session.trades
    assert history.trades
    assert history.ticks_tail == published[-1].ticks_tail
    for index, market in enumerate(session.markets):
        every = [point for snapshot in published for point in snapshot.symbols[index].points]
        assert history.points[market.symbol] == every
    assert history.snapshot is not None
    assert history.snapshot.account == published[-1].account
    assert all(view.points == [] for view in history.snapshot.symbols)
    assert server.viewers == 1
    for _ in range(3):
        snapshot = session.advance(0.1)
        server.publish(snapshot)
        assert await viewer.snapshot() == snapshot


async def test_history_is_bounded_and_keeps_the_extremes(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "HISTORY_POINTS", 1000)
    server, endpoint = running
    session = SyntheticSession(rate=1000)
    prices = []
    for _ in range(40):
        snapshot = session.advance(0.5)
        prices += [point[1] for point in snapshot.symbols[0].points]
        server.publish(snapshot)
    points = (await (await connect(endpoint)).history()).points["ACME"]
    assert len(prices) > 10_000 > 1000 >= len(points)
    assert [point[0] for point in points] == sorted(point[0] for point in points)
    assert {min(prices), max(prices)} <= {point[1] for point in points}


@pytest.mark.parametrize(
    ("token", "version", "why"), [("0" * 32, VERSION, "token"), ("", 1, "token"), (None, VERSION + 1, "version")]
)
async def test_a_wrong_token_or_version_is_refused(running: Running, token: str | None, version: int, why: str) -> None:
    server, endpoint = running
    viewer = await connect(endpoint, token, version)
    assert await viewer.next() == Refused(why)
    assert await viewer.next() is None
    assert server.health.refused == 1
    assert server.viewers == 0


@pytest.mark.parametrize("cut", [slice(0), slice(16), slice(31)])
async def test_the_beginning_of_a_token_is_not_the_token(running: Running, cut: slice) -> None:
    server, endpoint = running
    whole = endpoint.token.reveal()
    for token in (whole[cut], whole[cut].ljust(32, "x"), whole + "x"):
        assert await (await connect(endpoint, token)).next() == Refused("token")
    assert server.viewers == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x02{}",
        encode(Command("pause")),
        b"\xff" * 4096,
        b"\0\0\0\x05\xff\xff\xff\xff\xff",
    ],
)
async def test_garbage_ends_its_connection_and_is_counted(
    running: Running, commands: list[str], garbage: bytes
) -> None:
    server, endpoint = running
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(garbage)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    assert server.health.bad_frames == 1
    assert commands == []


async def test_a_silent_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "HELLO_TIMEOUT_S", 0.01)
    server = TelemetryServer(directory=tmp_path)
    endpoint = await server.start("s", "PAPER")
    viewer = Viewer(*await asyncio.open_connection(endpoint.host, endpoint.port))
    assert await viewer.next() == Refused("silent")
    assert await viewer.next() is None
    await server.close()


async def test_who_only_watches_is_offered_no_command_and_may_give_none(
    running: Running, commands: list[str], tmp_path: Path
) -> None:
    """The second token is another one than the first, and in a file of its own."""
    server, endpoint = running
    control = read_control(tmp_path, endpoint.pid)
    assert stat.S_IMODE(control_path(tmp_path, endpoint.pid).stat().st_mode) == 0o600
    assert len(bytes.fromhex(control.reveal())) == 16
    assert control != endpoint.token
    viewer = await connect(endpoint)
    assert (await viewer.history()).commands == []
    viewer.writer.write(encode(Command("pause")))
    assert await viewer.next() == Refused("scope")
    assert await viewer.next() is None
    for wrong in (endpoint.token, Secret(control.reveal()[:-1] + "x"), Secret(control.reveal()[:16])):
        assert await (await connect(endpoint, control=wrong)).next() == Refused("scope")
    assert commands == []
    assert server.health.refused == 4


async def test_a_command_is_answered_to_who_gave_it(tmp_path: Path) -> None:
    done = Done("pause", 7, "reducing", "paused")
    server = TelemetryServer(lambda name, reason: replace(done, name=name, detail=reason), directory=tmp_path)
    endpoint = await server.start("s", "PAPER")
    watcher, viewer = await connect(endpoint), await connect(endpoint, control=read_control(tmp_path, endpoint.pid))
    assert (await watcher.history()).commands == []
    assert (await viewer.history()).commands == list(COMMANDS)
    viewer.writer.write(encode(Command("pause", "lunch")))
    assert await viewer.next() == Done("pause", 7, "reducing", "lunch")
    server.publish(SyntheticSession().advance(0.1))
    assert isinstance(await watcher.next(), Snapshot)  # and nothing before it
    await server.close()


async def test_commands_reach_the_engine_and_others_do_not(
    running: Running, commands: list[str], tmp_path: Path
) -> None:
    server, endpoint = running
    viewer = await connect(endpoint, control=read_control(tmp_path, endpoint.pid))
    assert (await viewer.history()).commands == ["pause", "resume"]
    viewer.writer.write(encode(Command("pause")) + encode(Command("resume")) + encode(Command("flatten")))
    with contextlib.suppress(ConnectionResetError):
        assert await viewer.next() is None
    assert commands == ["pause", "resume"]
    assert (server.health.commands, server.health.bad_frames) == (2, 1)


async def test_without_a_callback_no_command_is_offered(tmp_path: Path) -> None:
    server = TelemetryServer(directory=tmp_path)
    endpoint = await server.start("s", "PAPER")
    viewer = await connect(endpoint)
    assert (await viewer.history()).commands == []
    await server.close()


async def test_a_slow_viewer_holds_up_nobody_and_gets_the_latest(running: Running) -> None:
    server, endpoint = running
    session = SyntheticSession(symbols=2, rate=4000)
    large = session.advance(1.0)  # about 300 kB, so that the sockets' own buffers fill soon
    server.publish(large)
    slow, quick = await connect(endpoint), await connect(endpoint)
    await slow.history()
    await quick.history()
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    seq = large.seq
    while server.health.conflated < 2 * telemetry.RECENT_SNAPSHOTS:
        seq += 1
        server.publish(replace(large, seq=seq))
        while (await quick.snapshot()).seq < seq:
            pass
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    received: list[Message] = []
    while not received or _seq_of(received[-1]) < seq:
        message = await slow.next()
        assert message is not None
        received.append(message)
    assert isinstance(received[-1], History)  # it had missed more than the server remembers
    assert len(received) < seq - large.seq - server.health.conflated + 3


def _seq_of(message: Message) -> int:
    snapshot = message.snapshot if isinstance(message, History) else message
    assert isinstance(snapshot, Snapshot)
    return snapshot.seq


async def test_a_viewer_shortly_behind_gets_one_merged_snapshot(running: Running) -> None:
    server, endpoint = running
    session = SyntheticSession(rate=60)
    server.publish(session.advance(1.0))
    viewer = await connect(endpoint)
    await viewer.history()
    (connection,) = server._viewers
    connection.pause_writing()
    missed = [session.advance(0.1) for _ in range(20)]
    for snapshot in missed:
        server.publish(snapshot)
    connection.resume_writing()
    merged = await viewer.snapshot()
    assert merged.seq == missed[-1].seq
    assert merged.symbols[0].points == [point for one in missed for point in one.symbols[0].points]
    assert server.health.conflated == 20


async def test_closing_delivers_the_last_word(tmp_path: Path) -> None:
    server = TelemetryServer(directory=tmp_path)
    endpoint = await server.start("s", "PAPER")
    session = SyntheticSession()
    viewer = await connect(endpoint)
    await viewer.history()
    session.ended = "the feed ended"
    server.publish(session.advance(1.0))
    await server.close()
    assert (await viewer.snapshot()).ended == "the feed ended"
    assert await viewer.next() is None
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection(endpoint.host, endpoint.port)


async def test_viewers_beyond_the_limit_are_refused(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MAX_VIEWERS", 1)
    _, endpoint = running
    first = await connect(endpoint)
    await first.history()
    assert await (await connect(endpoint)).next() == Refused("full")
    first.writer.close()


async def test_the_rendezvous_file_says_what_the_design_says(running: Running, tmp_path: Path) -> None:
    _, endpoint = running
    content = json.loads(endpoint_path(tmp_path, os.getpid()).read_text())
    assert content["port"] == endpoint.port
    assert sorted(content) == ["host", "mode", "pid", "port", "session_id", "started_mono_ns", "token"]
