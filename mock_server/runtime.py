"""The life of the server process: banner, listening line, clients, and every way it can be asked to stop.

One line on stdout, ``listening ws://HOST:PORT``, is for the program that started this one; everything for people goes
to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mock_server.errors import ExitCode
from mock_server.server import MockServer
from mock_server.session import Counters, Pace, Source
from mock_server.weather import Weather

Facts = list[tuple[str, str]]
"""What the banner says: a word and what there is to know about it."""

_new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):  # Windows has no uvloop
    from uvloop import new_event_loop as _new_event_loop


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where to listen, how long, and how much to say."""

    host: str
    port: int
    duration_s: float | None
    exit_with_parent: bool
    quiet: bool
    weather: Weather | None = None

    def run(self, source: Source, pace: Pace, facts: Facts) -> ExitCode:
        """Serve until asked to stop; return the exit code that belongs to the way it was asked."""
        if self.exit_with_parent:
            # Ctrl-C in a terminal reaches parent and child alike; the parent needs its market until it is done.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with asyncio.Runner(loop_factory=_new_event_loop) as runner:
                return runner.run(self._serve(source, pace, facts))
        except KeyboardInterrupt:  # only where the loop cannot take signals (Windows)
            return ExitCode.INTERRUPTED

    async def _serve(self, source: Source, pace: Pace, facts: Facts) -> ExitCode:
        console = Console(stderr=True, highlight=False)

        def say(line: str) -> None:
            if not self.quiet:
                console.print(Text(line))

        server = MockServer(source, pace, say, self.weather)
        port = await server.start(self.host, self.port)
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"ws://{host}:{port}"
        if not self.quiet:
            console.print(_banner(address, source, pace, facts))
        print(f"listening {address}", flush=True)
        stopped: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
        _watch(stopped, self.duration_s, self.exit_with_parent)
        code = await stopped
        await server.stop()
        say(_summary(server.counters))
        if self.weather is not None:
            say(f"weather: {self.weather.account()}")
        return code


def _watch(stopped: asyncio.Future[ExitCode], duration_s: float | None, exit_with_parent: bool) -> None:
    """Arrange that ``stopped`` gets the exit code of whichever comes first: a signal, the time, the parent's end."""
    loop = asyncio.get_running_loop()

    def stop(code: ExitCode) -> None:
        if not stopped.done():
            stopped.set_result(code)

    signals = {signal.SIGTERM: ExitCode.TERMINATED}
    if not exit_with_parent:
        signals[signal.SIGINT] = ExitCode.INTERRUPTED
    for number, code in signals.items():
        with contextlib.suppress(NotImplementedError):  # Windows; Ctrl-C arrives as KeyboardInterrupt there
            loop.add_signal_handler(number, stop, code)
    if duration_s is not None:
        loop.call_later(duration_s, stop, ExitCode.OK)
    if exit_with_parent:
        _at_end_of_stdin(lambda: loop.call_soon_threadsafe(stop, ExitCode.OK))


def _at_end_of_stdin(call: Callable[[], object]) -> None:
    """Call back when standard input ends, which is when the process that holds its other end is gone."""

    def wait() -> None:
        # Not sys.stdin, whose lock this thread would still hold while the interpreter shuts down.
        while os.read(stdin, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has closed in the meantime
            call()

    stdin = sys.stdin.fileno()
    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def _banner(address: str, source: Source, pace: Pace, facts: Facts) -> Panel:
    """Return what a person wants to know at the start, and what to do next."""
    wait = f"a client with more than {pace.client_buffer:,} bytes waiting is dropped (1013)"
    if not pace.natural:
        wait = "the market waits for a slow client; nothing is dropped"
    how = "as fast as the client takes it" if pace.speed == float("inf") else f"{pace.speed:g} × real time"
    clock = "receive (trade on your own clock)" if pace.natural else "record (trade on the ticks' own time)"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    rows = [
        ("address", f"{address} (this machine only)"),
        *facts,
        ("speed", how),
        ("clock", clock),
        ("slow clients", wait),
    ]
    for name, text in rows:
        table.add_row(name, Text(text))
    table.add_row("next", Text(f"python -m engine --paper --feed {address}"))
    return Panel(table, title="Microburst mock market", subtitle="waiting for clients; Ctrl-C stops", expand=False)


def _summary(counters: Counters) -> str:
    clients = f"{counters.clients} client{'' if counters.clients == 1 else 's'}"
    dropped = f"; {counters.slow} dropped as too slow" if counters.slow else ""
    return (
        f"stopped: {clients}, {counters.records:,} ticks in {counters.frames:,} frames, "
        f"{counters.bytes:,} bytes{dropped}"
    )
