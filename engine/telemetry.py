"""The engine's side of telemetry: lets viewers on this machine watch a running session, at no cost to it.

The session calls :meth:`TelemetryServer.publish` at most 30 times a second. What is published goes into a bounded
history and, encoded once, to every viewer that has taken its last frame. A viewer that has not is *behind*: nothing
is queued for it and nothing is computed for it; once its socket drains it receives a single merged snapshot, or, if
it missed too many, the whole history again. So a frozen viewer costs one frame of memory, and no time.

Only the loopback address is listened on. A viewer proves that it is the same user by the 128-bit token in a
rendezvous file that only this user can read.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from engine.errors import ConfigError
from engine.secret import Secret
from engine.telemetry_wire import (
    COMMANDS,
    MAX_COMMAND_BYTES,
    MAX_POINTS,
    MAX_TICKS_TAIL,
    VERSION,
    Command,
    Done,
    Endpoint,
    FrameReader,
    Hello,
    History,
    Refused,
    Snapshot,
    TradeView,
    WireError,
    control_path,
    decode,
    encode,
    endpoint_path,
    keep_extremes,
    merge,
    read_endpoints,
    runtime_directory,
    thin,
)

HISTORY_POINTS = 24_000  # over all symbols together
HISTORY_PNL = 2_000
HISTORY_TRADES = 5_000
RECENT_SNAPSHOTS = 64  # about two seconds; a viewer further behind receives the history again
MAX_VIEWERS = 100
HELLO_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0


@dataclass(slots=True)
class TelemetryHealth:
    """Counters since the start of the server."""

    viewers: int = 0  # watching now
    accepted: int = 0
    refused: int = 0  # wrong token or version, no greeting in time, or too many viewers
    bad_frames: int = 0  # not frames of the protocol; each ends its connection
    conflated: int = 0  # snapshots that some viewer received only as part of a later one
    commands: int = 0


class TelemetryServer:
    """Publishes one session to any number of viewers on this machine.

    Args:
        on_command: called with a name from ``commands`` and a reason when a viewer asks for it; what it returns is told
            to that viewer. None: no viewer may ask.
        commands: those of :data:`~engine.telemetry_wire.COMMANDS` that ``on_command`` can carry out.
        directory: where the rendezvous file goes; by default the per-user runtime directory.
    """

    def __init__(
        self,
        on_command: Callable[[str, str], Done | None] | None = None,
        commands: Sequence[str] = COMMANDS,
        directory: Path | None = None,
    ) -> None:
        self.health = TelemetryHealth()
        self._on_command = on_command
        self._commands = list(commands) if on_command else []
        self._directory = directory or private_directory()
        self._server: asyncio.Server | None = None
        self._endpoint: Endpoint | None = None
        self._control = Secret(secrets.token_hex(16))
        self._viewers: set[_Viewer] = set()
        self._history = _SessionHistory()

    @property
    def viewers(self) -> int:
        """How many viewers are watching now."""
        return self.health.viewers

    async def start(self, session_id: str, mode: str) -> Endpoint:
        """Listen on a free loopback port and announce it in the rendezvous file.

        Raises:
            ConfigError: the runtime directory cannot be used, or belongs to somebody else.
        """
        loop = asyncio.get_running_loop()
        make_private(self._directory)
        _forget_dead_engines(self._directory)
        self._server = await loop.create_server(lambda: _Viewer(self), "127.0.0.1", 0)
        self._endpoint = Endpoint(
            host="127.0.0.1",
            port=self._server.sockets[0].getsockname()[1],
            token=Secret(secrets.token_hex(16)),
            pid=os.getpid(),
            session_id=session_id,
            mode=mode,
            started_mono_ns=time.monotonic_ns(),
        )
        write_private(control_path(self._directory, self._endpoint.pid), self._control.reveal().encode())
        write_private(endpoint_path(self._directory, self._endpoint.pid), self._endpoint.to_json())
        return self._endpoint

    def publish(self, snapshot: Snapshot) -> None:
        """Remember ``snapshot`` and send it to every viewer that keeps up. Never blocks.

        The snapshot is handed over: the caller must not change it or its lists afterwards.
        """
        snapshot = self._history.add(snapshot)
        if not self._viewers:
            return
        frame: bytes | None = None
        for viewer in self._viewers:
            if not viewer.greeted:
                continue
            if viewer.congested:
                self.health.conflated += 1
                continue
            if frame is None:
                frame = encode(snapshot)
            viewer.send(frame, snapshot.seq)

    async def close(self) -> None:
        """Send viewers what they have not seen, say goodbye, stop listening and remove the rendezvous file."""
        if self._endpoint is not None:
            for path_of in (endpoint_path, control_path):
                path_of(self._directory, self._endpoint.pid).unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        leaving = list(self._viewers)
        for viewer in leaving:
            viewer.finish()
        if leaving:
            await asyncio.wait([viewer.closed for viewer in leaving], timeout=CLOSE_TIMEOUT_S)
        for viewer in leaving:
            viewer.abort()

    # What follows is called by the viewers' connections.

    def _joined(self, viewer: _Viewer) -> bool:
        self._viewers.add(viewer)
        return len(self._viewers) <= MAX_VIEWERS

    def _left(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        if viewer.greeted:
            self.health.viewers -= 1

    def _greet(self, hello: Hello) -> str:
        """Return why this greeting is refused, or ``""``."""
        if self._endpoint is None or hello.token != self._endpoint.token:  # compared in constant time
            return "token"
        if hello.control and hello.control != self._control:
            return "scope"
        if hello.version != VERSION:
            return "version"
        self.health.viewers += 1
        self.health.accepted += 1
        return ""

    def _picture(self, *, commands: bool) -> tuple[bytes, int]:
        """Return the encoded history, for one who may command or not, and the number of the newest snapshot in it."""
        if self._endpoint is None:
            raise RuntimeError("telemetry has viewers before it was started")
        history = self._history.picture(self._endpoint, self._commands if commands else [])
        return encode(history), self._history.seq

    def _catch_up(self, seq: int, *, commands: bool) -> tuple[bytes, int] | None:
        """Return what a viewer that has seen ``seq`` is missing, or None when it has seen everything."""
        if seq >= self._history.seq:
            return None
        missed = self._history.since(seq)
        return (encode(merge(missed)), self._history.seq) if missed else self._picture(commands=commands)

    def _command(self, name: str, reason: str) -> Done | None:
        if self._on_command is None or name not in self._commands:
            raise WireError(f"this engine does not take the command {name[:40]!r}")
        self.health.commands += 1
        return self._on_command(name, reason)


class _SessionHistory:
    """What a viewer that arrives now must be told, bounded however long the session lasts."""

    def __init__(self) -> None:
        self.seq = -1
        self._points: dict[str, list[tuple[Any, ...]]] = {}
        self._pnl: list[tuple[Any, ...]] = []
        self._trades: deque[TradeView] = deque(maxlen=HISTORY_TRADES)
        self._trades_seen = 0
        self._ticks: deque[tuple[int, str, float, float, float, float]] = deque(maxlen=MAX_TICKS_TAIL)
        self._recent: deque[Snapshot] = deque(maxlen=RECENT_SNAPSHOTS)

    def add(self, snapshot: Snapshot) -> Snapshot:
        """Take in a published snapshot; return it with its increments within bounds."""
        if any(len(one.points) > MAX_POINTS for one in snapshot.symbols):
            bounded = [replace(one, points=thin(one.points, MAX_POINTS)) for one in snapshot.symbols]
            snapshot = replace(snapshot, symbols=bounded)
        capacity = max(HISTORY_POINTS // max(len(snapshot.symbols), 1), 16)
        for symbol in snapshot.symbols:
            _append_thinning(self._points.setdefault(symbol.symbol, []), symbol.points, capacity)
        total = snapshot.account.total_pnl
        if snapshot.engine_ts_ns > 0 and (not self._pnl or self._pnl[-1][1] != total):  # engine time starts with a tick
            _append_thinning(self._pnl, [(snapshot.engine_ts_ns, total)], HISTORY_PNL)
        self._trades.extend(snapshot.new_trades)
        self._trades_seen += len(snapshot.new_trades)
        self._ticks.extend(snapshot.ticks_tail)
        self._recent.append(snapshot)
        self.seq = snapshot.seq
        return snapshot

    def since(self, seq: int) -> list[Snapshot]:
        """Return the snapshots after ``seq``, or nothing when some of them are no longer held."""
        if not self._recent or self._recent[0].seq > seq + 1:
            return []
        return [snapshot for snapshot in self._recent if snapshot.seq > seq]

    def picture(self, endpoint: Endpoint, commands: list[str]) -> History:
        newest = self._recent[-1] if self._recent else None
        if newest is not None:
            symbols = [replace(one, points=[]) for one in newest.symbols]
            newest = replace(newest, symbols=symbols, new_trades=[], ticks_tail=[])
        return History(
            session_id=endpoint.session_id,
            mode=endpoint.mode,
            pid=endpoint.pid,
            commands=commands,
            points=self._points,  # encoded at once by the caller, so not copied
            pnl=self._pnl,
            trades=list(self._trades),
            trades_dropped=self._trades_seen - len(self._trades),
            ticks_tail=list(self._ticks),
            snapshot=newest,
        )


class _Viewer(asyncio.Protocol):
    """One connection: greeting first, then snapshots out and commands in."""

    def __init__(self, server: TelemetryServer) -> None:
        self.greeted = False
        self.commands = False  # it has the second token
        self.congested = False
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._server = server
        self._frames = FrameReader(MAX_COMMAND_BYTES)
        self._seen_seq = -1
        self._leaving = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by descent
        # Any unsent byte counts as congestion, so at most one frame waits in this process.
        self._transport.set_write_buffer_limits(high=0)
        self._greeting_deadline = self._loop.call_later(HELLO_TIMEOUT_S, self._refuse, "silent")
        if not self._server._joined(self):
            self._refuse("full")

    def connection_lost(self, exc: Exception | None) -> None:
        self._greeting_deadline.cancel()
        self._server._left(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                if self._leaving:
                    return
                self._take(body)
        except WireError:
            self._server.health.bad_frames += 1
            self._leaving = True
            self._transport.abort()

    def _take(self, body: bytes) -> None:
        message = decode(body)
        if isinstance(message, Hello) and not self.greeted:
            if why := self._server._greet(message):
                self._refuse(why)
                return
            self._greeting_deadline.cancel()
            self.greeted, self.commands = True, bool(message.control)
            self.send(*self._server._picture(commands=self.commands))
        elif isinstance(message, Command) and self.greeted:
            if not self.commands:
                self._refuse("scope")
                return
            done = self._server._command(message.name, message.reason)
            if done is not None:
                self._transport.write(encode(done))
        else:
            raise WireError(f"{type(message).__name__} is out of place")

    def send(self, frame: bytes, seq: int) -> None:
        """Hand one frame to the socket; the caller has seen that the previous one is gone."""
        self._seen_seq = seq
        self._transport.write(frame)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        missing = None
        if self.greeted:
            missing = self._server._catch_up(self._seen_seq, commands=self.commands)
        if missing is not None:
            self.send(*missing)
        if self._leaving and not self.congested:
            self._transport.close()

    def finish(self) -> None:
        """Close once everything published has been sent."""
        self._leaving = True
        if not self.congested:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _refuse(self, why: str) -> None:
        self._server.health.refused += 1
        self._leaving = True
        self._transport.write(encode(Refused(why)))
        self._transport.close()


def _append_thinning(points: list[tuple[Any, ...]], new: Sequence[tuple[Any, ...]], capacity: int) -> None:
    """Append ``new`` to ``points``; beyond ``capacity`` halve the older half, keeping its extremes."""
    points.extend(new)
    while len(points) > capacity:
        older = len(points) // 2
        kept = keep_extremes(np.array([point[1] for point in points[:older]], np.float64))
        points[:older] = [points[index] for index in kept.tolist()]


def private_directory() -> Path:
    """Return this user's runtime directory, which :func:`make_private` creates or checks."""
    return runtime_directory(os.environ, _user())


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def make_private(directory: Path) -> None:
    """Create ``directory`` for this user alone, or check that it is.

    Raises:
        ConfigError: it cannot be created, is not a directory, or others could read or replace what is in it.
    """
    fix = "set MICROBURST_RUNTIME_DIR to a directory of your own"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = directory.lstat()
    except OSError as error:
        raise ConfigError(
            f"cannot use the runtime directory ({error.strerror})", where=str(directory), fix=fix
        ) from None
    if not stat.S_ISDIR(facts.st_mode):
        raise ConfigError("the runtime directory is not a directory", where=str(directory), fix=fix)
    if not hasattr(os, "getuid"):
        return  # Windows: the profile directory is private by its access list
    if facts.st_uid != os.getuid():
        raise ConfigError("the runtime directory belongs to another user", where=str(directory), fix=fix)
    if facts.st_mode & 0o077:
        raise ConfigError("the runtime directory is open to other users", where=str(directory), fix="chmod 700 it")


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` so that it appears whole or not at all, readable by this user only."""
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    draft.replace(path)


def _forget_dead_engines(directory: Path) -> None:
    """Remove the files of engines that were killed before they could."""
    if os.name == "nt":
        return  # there os.kill(pid, 0) would end the process instead of asking about it
    for endpoint in read_endpoints(directory):
        try:
            os.kill(endpoint.pid, 0)
        except ProcessLookupError:
            for path_of in (endpoint_path, control_path):
                path_of(directory, endpoint.pid).unlink(missing_ok=True)
        except PermissionError:
            continue
