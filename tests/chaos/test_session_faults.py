"""A whole session on real sockets: a market that misbehaves in every way it can, and viewers that do not look."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.config.settings import Config, Found, load
from engine.errors import ExitCode, UnreachableError
from engine.live import paper as papers
from engine.live import session as sessions
from engine.live.paper import run_paper
from engine.live.session import PaperSession
from engine.live.views import ViewBuilder
from engine.model import Reason
from engine.telemetry_wire import VERSION, Hello, Snapshot, encode, read_endpoints
from engine.tools.recorded import listed
from feeds.guard import FeedLimits
from feeds.ws import WebSocketFeed

HELLO = [{"T": "hello", "v": 1, "clock": "receive", "instruments": [{"S": "A", "pp": 2, "sp": 0}]}]
QUICK = FeedLimits(backoff_first_s=0.001, backoff_cap_s=0.002, connects_per_window=10_000, close_timeout_s=0.1)
CUTS = 50
GARBAGE = ["", "garbage", "[" * 10_000, '[{"T":"t","p":NaN}]', b"\xff\xfe", '[{"T":"t","S":"A"', "null", b"\x00" * 100]

STRATEGY = """
from engine.rules import TimeStop, change, pct, seconds, ticks
from engine.strategy import Strategy


class Rise(Strategy):
    long = change(ticks(5)) >= pct("0.05")
    exits = (TimeStop(seconds("0.05")),)
"""

Handler = Callable[[ServerConnection], Awaitable[None]]


def trade(number: int, price: float = 100.0, **more: object) -> dict[str, object]:
    quote = {"b": round(price - 0.01, 2), "a": round(price + 0.01, 2)}
    return {"T": "t", "S": "A", "i": number, "t": time.time_ns(), "p": price, "s": 1, **quote, **more}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    async def polite(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await handler(connection)

    async with serve(polite, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Return a function that makes a configuration: the strategy above, and telemetry into the test's directory."""
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "rise.py").write_text(STRATEGY)

    def make(**flags: object) -> Config:
        named = {name.replace("__", "."): value for name, value in flags.items()}
        chosen = {"strategy.name": f"{tmp_path / 'rise.py'}:Rise"} | named
        return load({name: Found(value, "test") for name, value in chosen.items()}).config

    return make


class CalmMarket:
    """A market that is well: a rise whenever the session looks ready for one, and silence in between."""

    def __init__(self) -> None:
        self.sent = 0
        self._wanted = asyncio.Event()

    def look(self, snapshot: Snapshot) -> None:
        """Rise again, until a trade has come of it; the first rise may have met a session that was still starting."""
        idle = snapshot.symbols[0].position is None and not snapshot.account.trades
        if snapshot.feed.state == "live" and not snapshot.account.halted and idle:
            self._wanted.set()

    async def __call__(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps(HELLO))
        rising = asyncio.create_task(self._rise(connection))
        await connection.wait_closed()
        rising.cancel()

    async def _rise(self, connection: ServerConnection) -> None:
        number = 0
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for price in (*[100.0] * 6, 100.10):
                number += 1
                await connection.send(json.dumps([trade(number, price)]))
                self.sent += 1


async def test_garbage_and_fifty_cuts_then_as_if_nothing_had_happened(settings: Callable[..., Config]) -> None:
    """Before each cut the price has moved enough to fire, had the windows reached across the cuts."""
    connections = bad_frames = bad_ticks = good_ticks = 0
    calm = CalmMarket()

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections, bad_frames, bad_ticks, good_ticks
        connections += 1
        if connections > CUTS:
            await calm(connection)
            return
        await connection.send(json.dumps(HELLO))
        rise = 0.10 * (connections % 2)
        for number in range(1, 5):
            await connection.send(json.dumps([trade(number, 100.0 + rise)]))
            await connection.send(GARBAGE[(connections + number) % len(GARBAGE)])
        await connection.send(json.dumps([trade(4, 100.0 + rise), trade(5, -1.0), trade(5, 100.0, s=0)]))
        good_ticks, bad_frames, bad_ticks = good_ticks + 4, bad_frames + 4, bad_ticks + 3
        if connections % 3 == 0:
            await connection.send("[")
            bad_frames += 1
        if connections % 5 == 0:
            connection.transport.close()  # what was sent arrives, the closing handshake does not

    snapshots: list[Snapshot] = []
    async with serving(handler) as address:
        feed = WebSocketFeed(address, limits=QUICK)
        assert await feed.connected(10.0)

        def look(snapshot: Snapshot) -> None:
            snapshots.append(snapshot)
            calm.look(snapshot)
            if snapshot.account.trades:
                session.stop.set()

        session = PaperSession(settings(), feed, mode="PAPER", on_snapshot=look)
        async with asyncio.timeout(100):
            await session.run("chaos")
        await feed.close()
    good_ticks += calm.sent
    health = feed.health()
    assert (health.reconnects, health.gaps) == (CUTS, CUTS)
    assert health.accepted == session.kernel.core.trades_seen == good_ticks
    assert sum(health.rejected.values()) == bad_ticks
    assert sum(health.bad_frames.values()) == bad_frames
    assert health.offered == health.accepted + sum(health.rejected.values())
    (closed,) = session.kernel.trades
    assert closed.reason is Reason.TIME
    last = snapshots[-1]
    assert (last.feed.reconnects, last.feed.accepted, last.feed.rejected) == (CUTS, good_ticks, health.rejected)
    assert last.symbols[0].ticks == good_ticks


async def test_a_viewer_that_never_reads_costs_nothing(
    settings: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is greeted, and then its socket fills: the session trades, paints and ends as ever."""
    monkeypatch.setattr(sessions, "WATCHED_FRAME_S", 0.0005)
    snapshots: list[Snapshot] = []
    calm = CalmMarket()
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with serving(calm) as address:
            feed = WebSocketFeed(address, limits=QUICK)
            assert await feed.connected(10.0)

            def look(snapshot: Snapshot) -> None:
                snapshots.append(snapshot)
                calm.look(snapshot)
                assert session.telemetry is not None
                if len(snapshots) == 1:
                    (endpoint,) = read_endpoints(tmp_path / "run")
                    viewer.connect((endpoint.host, endpoint.port))
                    viewer.sendall(encode(Hello(VERSION, endpoint.token)))
                if snapshot.account.trades and session.telemetry.health.conflated > 100:
                    session.stop.set()

            session = PaperSession(settings(), feed, mode="PAPER", on_snapshot=look)
            async with asyncio.timeout(100):
                await session.run("viewer")
            await feed.close()
    assert [trade.reason for trade in session.kernel.trades] == [Reason.TIME]
    assert snapshots[-1].ended == "stopped"
    assert session.kernel.core.trades_seen == calm.sent
    assert list((tmp_path / "run").iterdir()) == []


# --- Whom a session finds -------------------------------------------------------------------------------------------


async def paper(config: Config, stop: asyncio.Event | None = None) -> tuple[ExitCode, list[str], list[Snapshot]]:
    lines: list[str] = []
    snapshots: list[Snapshot] = []
    async with asyncio.timeout(100):
        code = await run_paper(
            config, on_snapshot=snapshots.append, on_line=lines.append, stop_event=stop or asyncio.Event()
        )
    return code, lines, snapshots


@pytest.mark.parametrize("begun", [False, True])
async def test_a_session_that_ends_by_an_engine_error_has_written_so(
    settings: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, begun: bool
) -> None:
    whole = ViewBuilder.snapshot
    monkeypatch.setattr(ViewBuilder, "snapshot", lambda view, *a, **b: whole(view, *a, **b) if begun else {}["no"])
    if begun:
        monkeypatch.setattr(PaperSession, "_tend_journal", lambda session: {}["no"])
    made = settings(journal__enabled="true", journal__directory=str(tmp_path / "journal"), feed__address="embedded")
    with pytest.raises(KeyError):
        await paper(made)
    (one,) = listed(tmp_path / "journal")
    assert (one.state, one.ended) == ("ended", "an unexpected error (KeyError)")


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await reader.read(-1)
    writer.close()


async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


STRANGERS = [silent, web_server, hangs_up]


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stranger_on_the_usual_port_is_left_alone(
    settings: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, stranger: Handler
) -> None:
    monkeypatch.setattr(papers, "HELLO_S", 0.2)
    server = await asyncio.start_server(stranger, "127.0.0.1", 0)  # type: ignore[arg-type]
    async with server:
        monkeypatch.setattr(papers, "USUAL_PORT", port := server.sockets[0].getsockname()[1])
        code, lines, snapshots = await paper(settings(session__duration="1s", feed__mock_rate="50"))
    assert code == ExitCode.OK
    assert lines[0] == f"what listens at ws://127.0.0.1:{port} is not a mock market: starting an embedded mock market"
    assert lines[1].startswith("feed: embedded mock market at ws://127.0.0.1:")
    assert lines[2].startswith("embedded mock market stopped: 1 client, ")
    assert snapshots[-1].mode == "DEMO"
    assert snapshots[-1].ended == "the time is over"


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stranger_that_was_asked_for_is_refused(settings: Callable[..., Config], stranger: Handler) -> None:
    server = await asyncio.start_server(stranger, "127.0.0.1", 0)  # type: ignore[arg-type]
    async with server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(UnreachableError) as refused:
            await paper(settings(feed__address=address, session__duration="300ms"))
    assert refused.value.exit_code == ExitCode.UNREACHABLE
    assert refused.value.line().startswith(f"{address}: no market has answered within 0.3 s")
    if stranger is web_server:
        assert "HTTP 404" in refused.value.line()


async def test_the_usual_market_is_used_when_it_is_there(
    settings: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(CalmMarket()) as address:
        monkeypatch.setattr(papers, "USUAL_PORT", int(address.rpartition(":")[2]))
        _, lines, snapshots = await paper(settings(session__duration="1s"))
    assert lines == [f"feed: the mock market at {address}"]
    assert (snapshots[-1].mode, snapshots[-1].feed.address) == ("PAPER", address)


async def test_a_stop_while_connecting_is_heard(settings: Callable[..., Config]) -> None:
    """Nothing answers, and nobody waits the ten seconds out."""
    stop = asyncio.Event()

    async def meets_you(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stop.set()
        await silent(reader, writer)

    server = await asyncio.start_server(meets_you, "127.0.0.1", 0)
    async with server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        code, lines, snapshots = await paper(settings(feed__address=address), stop)
    assert (code, lines, snapshots) == (ExitCode.OK, [], [])
