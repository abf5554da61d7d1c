"""The WebSocket server: listens on the loopback interface and gives each client a session of its own."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from mock_server.errors import ExitCode, MockError
from mock_server.session import MAX_REQUEST_BYTES, Counters, Pace, Session, Source
from mock_server.weather import Weather
from mock_server.weather_stages import Sky

_CLOSE_TIMEOUT_S = 2.0
_PING_S = 20.0
_RECORD_WRITE_LIMIT = 256 * 1024
_HANDSHAKE_S = 30.0  # longer than a client of ours waits for an answer that slow weather holds back
_HEALTH_PATH = "/health"

# A browser or port scanner that is no WebSocket client is none of the user's business.
_LOGGER = logging.getLogger("mock_server.websockets")
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False


class MockServer:
    """Serves ``source`` at ``pace`` to any number of clients, through ``weather`` if there is one.

    ``say`` is called with one line for people whenever a client comes or goes. A plain GET of ``/health`` is answered
    with the counters as one JSON object.
    """

    def __init__(self, source: Source, pace: Pace, say: Callable[[str], None], weather: Weather | None = None) -> None:
        self.counters = Counters()
        self._weather = weather
        self._knocks = 0
        self._stopping = asyncio.Event()
        self._source, self._pace, self._say = source, pace, say
        self._server: Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which is a free one when ``port`` is 0.

        Raises:
            MockError: the address cannot be listened on.
        """
        natural = self._pace.natural
        try:
            self._server = await serve(
                self._serve_client,
                host,
                port,
                process_request=self._knock,
                open_timeout=_HANDSHAKE_S,
                compression=None,
                max_size=MAX_REQUEST_BYTES,
                max_queue=4,
                close_timeout=_CLOSE_TIMEOUT_S,
                logger=_LOGGER,
                # At natural pace the session itself watches the buffer, so the transport must never make it wait.
                write_limit=2 * self._pace.client_buffer + (1 << 20) if natural else _RECORD_WRITE_LIMIT,
                # A client may take its time over a recording; one that stops reading the live market may not.
                ping_interval=_PING_S if natural else None,
                ping_timeout=_PING_S if natural else None,
            )
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            what = f"port {port} on {host} is in use" if busy else f"cannot listen on {host}:{port}: {error.strerror}"
            fix = "stop the program that uses it, or choose another with --port (0 takes a free one)"
            raise MockError(what, where="--port", fix=fix, exit_code=ExitCode.UNREACHABLE) from None
        listening: socket.socket = next(iter(self._server.sockets))
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Close every connection with 1001 and wait until they are gone."""
        self._stopping.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _knock(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a look at the counters; in slow weather leave every other handshake unanswered."""
        if request.path == _HEALTH_PATH:
            faults = dict(self._weather.happened) if self._weather else {}
            body = json.dumps({**asdict(self.counters), "faults": faults})
            return connection.respond(HTTPStatus.OK, body + "\n")
        if self._weather is not None and "slow-loris" in self._weather.now().words:
            self._knocks += 1
            if self._knocks % 2:
                self._weather.happened["slow-loris"] += 1
                await self._stopping.wait()  # or until the library gives the handshake up
        return None

    async def _serve_client(self, connection: ServerConnection) -> None:
        self.counters.clients += 1
        name = f"client {self.counters.clients}"

        def say(text: str) -> None:
            self._say(f"{name} {text}")

        say("connected")
        try:
            sky = None if self._weather is None else Sky(self._weather, self.counters.clients)
            await Session(connection, self._source, self._pace, self.counters, say, sky).run()
        except Exception as error:  # a fault of this server must not end in a silent 1011
            say(f"lost to a fault of the server: {error!r}")
            raise
