"""The dashboard's connection to an engine: one thread, one socket, one mailbox. No Qt.

The thread finds the engine, greets it with the token from the rendezvous file, and puts what arrives into a
:class:`Mailbox`. The window empties the mailbox on its own timer; when it is slow (or hidden, or frozen) what waits
is merged, so the mailbox never holds more than one history and a handful of snapshots.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from engine.telemetry_wire import (
    VERSION,
    Command,
    Done,
    Endpoint,
    FrameReader,
    Hello,
    History,
    Refused,
    Snapshot,
    WireError,
    decode,
    encode,
    merge,
    read_control,
    read_endpoints,
    runtime_directory,
)

CONNECT_TIMEOUT_S = 2.0
SILENCE_S = 5.0  # an engine publishes many times a second; after this long its process hangs or is gone
FIRST_RETRY_S, LONGEST_RETRY_S = 0.25, 4.0
LOOK_S = 1.0  # between two looks for a successor of an engine that is gone
MAILBOX_SNAPSHOTS = 16


class Phase(StrEnum):
    """Where the connection to the engine stands (the feed's own state is the engine's to tell)."""

    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"  # the engine still announces itself and does not answer
    GONE = "gone"  # the engine's process ended, or its announcement vanished, without a word
    REFUSED = "refused"
    ENDED = "ended"  # the engine said that its session is over
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the connection badge shows."""

    phase: Phase
    detail: str = ""
    attempt: int = 0  # of the current series of reconnects
    next_try_s: float = 0.0  # time.monotonic() of the next attempt
    last_message_s: float = 0.0  # time.monotonic() of the last frame, 0 before the first
    reconnects: int = 0
    frames: int = 0
    conflated: int = 0  # published snapshots that arrived merged into a later one
    gone_pid: int = 0  # the engine that is gone, 0 while there is none
    gone_ended: bool = False  # its process does not exist any more; otherwise only its announcement does not
    done: Done | None = None  # the answer to the newest command
    gone_since_s: float = 0.0  # time.monotonic() when that was noticed


class Mailbox:
    """What has arrived and was not yet looked at: at most one history and a bounded number of snapshots."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._history: History | None = None
        self._snapshots: list[Snapshot] = []

    def put(self, message: History | Snapshot) -> None:
        """Add a message; a history replaces all before it, snapshots beyond the bound are merged into one."""
        with self._lock:
            if isinstance(message, History):
                self._history, self._snapshots = message, []
                return
            self._snapshots.append(message)
            if len(self._snapshots) > MAILBOX_SNAPSHOTS:
                self._snapshots = [merge(self._snapshots)]

    def take(self) -> tuple[History | None, Snapshot | None]:
        """Return and forget what waits: a history to start over from, then the merged snapshot after it."""
        with self._lock:
            history, snapshots = self._history, self._snapshots
            self._history, self._snapshots = None, []
        return history, merge(snapshots) if snapshots else None


def directory() -> Path:
    """Return this user's runtime directory."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return runtime_directory(os.environ, user)


def running_engines(where: Path | None = None) -> list[Endpoint]:
    """Return the engines that announce themselves to this user and whose process exists, newest first."""
    where = where or directory()
    if hasattr(os, "getuid"):
        try:
            facts = where.lstat()
        except OSError:
            return []
        if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
            return []  # somebody else could have put a false engine there
    return [endpoint for endpoint in read_endpoints(where) if _alive(endpoint.pid)]


if sys.platform == "win32":

    def _alive(pid: int) -> bool:
        import ctypes  # os.kill would end the process here

        synchronize, still_running = 0x0010_0000, 0x102
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return ctypes.get_last_error() == 5  # access denied: it exists
        try:
            return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == still_running)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))

else:

    def _alive(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        try:  # one that ended and was not waited for by its parent still takes signals; Linux tells it apart
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
        except (OSError, IndexError):
            return True


class Link:
    """Keeps one connection to the engine that ``find`` names, until :meth:`close`.

    Args:
        find: returns the endpoint to use, asked before each attempt since a restarted engine has another port;
            None while there is none.
    """

    def __init__(self, find: Callable[[], Endpoint | None]) -> None:
        self.mailbox = Mailbox()
        self._find = find
        self._status = LinkStatus(Phase.CONNECTING)
        self._closing = threading.Event()
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._seen_seq = -1
        self._watched: Endpoint | None = None  # the engine whose picture is on screen
        self._thread = threading.Thread(target=self._run, name="telemetry-link", daemon=True)

    @property
    def status(self) -> LinkStatus:
        """The current state; an immutable value, safe to read from any thread."""
        return self._status

    def start(self) -> None:
        """Start connecting in the background."""
        self._thread.start()

    def send(self, command: str, reason: str = "") -> bool:
        """Ask the engine for ``command``, for a reason; False when there is no connection to send it on."""
        with self._sending:
            if self._socket is None or self._status.phase is not Phase.LIVE:
                return False
            try:
                self._socket.sendall(encode(Command(command, reason)))
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Disconnect and wait for the thread."""
        self._closing.set()
        with self._sending:
            if self._socket is not None:
                _shut(self._socket)
        if self._thread.is_alive():
            self._thread.join(CONNECT_TIMEOUT_S + 1)
        self._set(phase=Phase.CLOSED)

    def _set(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]  # the field names are literals here

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            endpoint = self._find()
            if self._watched is not None and endpoint != self._watched:
                self._notice_gone(self._watched)
            detail = "no engine is running"
            if endpoint is not None:
                detail = self._talk(endpoint)
                if self._status.phase in (Phase.ENDED, Phase.REFUSED):
                    return
                if self._status.phase is Phase.LIVE:
                    attempt = 0
                    self._set(reconnects=self._status.reconnects + 1)
            attempt += 1
            # Full jitter: many viewers of one restarted engine do not return in step.
            pause = random.uniform(0.5, 1.0) * min(FIRST_RETRY_S * 2 ** min(attempt - 1, 8), LONGEST_RETRY_S)  # noqa: S311
            if endpoint is None:  # looking costs nothing, so there is nothing to hold back
                pause = LOOK_S if self._status.gone_pid else FIRST_RETRY_S
            phase = Phase.RECONNECTING if self._status.frames else Phase.CONNECTING
            phase = Phase.GONE if self._status.gone_pid else phase
            self._set(phase=phase, detail=detail, attempt=attempt, next_try_s=time.monotonic() + pause)
            self._closing.wait(pause)

    def _notice_gone(self, engine: Endpoint) -> None:
        """Remember since when the watched engine is gone, and whether its process is, until another one answers."""
        since_s = self._status.gone_since_s if self._status.gone_pid else time.monotonic()
        self._set(gone_pid=engine.pid, gone_ended=not _alive(engine.pid), gone_since_s=since_s)

    def _talk(self, endpoint: Endpoint) -> str:
        """Hold one connection until it ends; return why it did."""
        try:
            connection = socket.create_connection((endpoint.host, endpoint.port), CONNECT_TIMEOUT_S)
        except OSError as error:
            return f"{endpoint.host}:{endpoint.port} does not answer ({error.strerror or error})"
        connection.settimeout(SILENCE_S)
        with self._sending:
            self._socket = connection
        try:
            control = read_control(directory(), endpoint.pid)
            connection.sendall(encode(Hello(VERSION, endpoint.token, control)))
            return self._listen(connection, endpoint)
        except TimeoutError:
            return f"the engine has been silent for {SILENCE_S:.0f} s"
        except WireError as error:
            return f"the engine sent something unreadable ({error})"
        except OSError as error:
            return f"the connection broke ({error.strerror or error})"
        finally:
            with self._sending:
                self._socket = None
                connection.close()

    def _listen(self, connection: socket.socket, endpoint: Endpoint) -> str:
        frames = FrameReader()
        ended = ""
        while not self._closing.is_set():
            data = connection.recv(1 << 18)
            if not data:
                if ended:
                    self._set(phase=Phase.ENDED, detail=ended)
                return ended or "the engine closed the connection"
            for body in frames.feed(data):
                message = decode(body)
                if isinstance(message, Done):
                    self._set(done=message)
                    continue
                if isinstance(message, Refused):
                    self._set(phase=Phase.REFUSED, detail=message.why)
                    return message.why
                ended = self._accept(message) or ended
                self._watched = endpoint
        return "closing"

    def _accept(self, message: object) -> str:
        """Put a picture or an update into the mailbox; return why the session is over, if it is."""
        status = self._status
        if isinstance(message, History):
            snapshot, conflated = message.snapshot, 0
            self._seen_seq = snapshot.seq if snapshot is not None else -1
        elif isinstance(message, Snapshot):
            snapshot, conflated = message, max(message.seq - self._seen_seq - 1, 0) if self._seen_seq >= 0 else 0
            self._seen_seq = message.seq
        else:
            raise WireError(f"{type(message).__name__} is out of place")
        self.mailbox.put(message)
        self._set(
            phase=Phase.LIVE,
            detail="",
            attempt=0,
            gone_pid=0,
            last_message_s=time.monotonic(),
            frames=status.frames + 1,
            conflated=status.conflated + conflated,
        )
        return snapshot.ended if snapshot is not None else ""


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
