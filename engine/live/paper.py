"""Trading on paper, from the configuration to an exit code: find a market, connect, run one session and look after it.

Around the session stand what outlives a mistake in it: the journal, the health file and the watchdog.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from engine.calendars import calendar as find_calendar
from engine.config.settings import AUTO_FEED, EMBEDDED_FEED, USUAL_ACCOUNT
from engine.errors import ConfigError, ExitCode, UnreachableError
from engine.live.embedded import EmbeddedMarket
from engine.live.health import HealthFile
from engine.live.kill_file import KillFile
from engine.live.opening import Opened, open_session
from engine.live.session import PaperSession, unexpected
from engine.live.watchdog import Watchdog
from engine.log import debugging
from engine.model import Clock
from engine.secret_store import secrets_in
from engine.telemetry_wire import Snapshot
from feeds.base import SystemTiming
from feeds.guard import FeedLimits
from feeds.transport import opened_with
from feeds.ws import WebSocketFeed

if TYPE_CHECKING:
    from engine.config.settings import Config

USUAL_HOST, USUAL_PORT = "127.0.0.1", 8765
"""Where ``python -m mock_server`` listens when it is told nothing else."""

NO_ACCOUNT = (
    "account '{}' is not traded: an embedded market has a demo's own; for that account name a market with --feed"
)
SECOND_NS = 1_000_000_000
HELLO_S = 2.0
"""How long whoever listens there may take to say that it is a market."""

Result = TypeVar("Result")

log = structlog.get_logger("session")


async def run_paper(
    config: Config,
    *,
    on_snapshot: Callable[[Snapshot], None],
    on_line: Callable[[str], None],
    stop_event: asyncio.Event,
    on_opened: Callable[[Opened], None] = lambda _: None,
    fresh: bool = False,
) -> ExitCode:
    """Run a paper session as configured, until its duration is over, its feed ends or ``stop_event`` is set.

    It goes on from where the account's last one stood, unless it is asked to begin ``fresh``; what came from there is
    told to ``on_opened``.

    Raises:
        UnreachableError: the feed has not connected within ``feed.connect_timeout`` or the duration.
        ConfigError: the fills are such as an embedded market cannot have.
    """
    market = EmbeddedMarket()
    feed: WebSocketFeed | None = None
    exit_code = ExitCode.OK
    try:
        found = await unless(stop_event, _find_market(config, market, on_line))
        if found is not None:
            feed, mode = found
            _, now_ns = SystemTiming().receive_stamp()
            if mode == "DEMO" and config.paper.account != USUAL_ACCOUNT:
                on_line(NO_ACCOUNT.format(config.paper.account))
            if mode != "REPLAY" and (line := closed_line(config.session.calendar, now_ns)):
                on_line(line)

            def opened(beat: Callable[[], None]) -> Opened:
                moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ns // SECOND_NS))
                instruments, clock = feed.instruments, feed.clock
                begun = open_session(
                    config,
                    instruments,
                    moment,
                    mode=mode,
                    clock=clock,
                    now_ns=now_ns,
                    fresh=fresh,
                    tell_decisions=debugging(),
                    beat=beat,
                )
                on_opened(begun)
                return begun

            exit_code = await _run_recorded(config, feed, mode, opened, on_snapshot, on_line, stop_event)
    finally:
        try:
            if feed is not None:
                await feed.close()
        finally:
            if account := await market.stop():
                on_line(f"embedded mock market {account}")
    return exit_code


async def _run_recorded(
    config: Config,
    feed: WebSocketFeed,
    mode: str,
    open_it: Callable[[Callable[[], None]], Opened],
    on_snapshot: Callable[[Snapshot], None],
    on_line: Callable[[str], None],
    stop_event: asyncio.Event,
) -> ExitCode:
    """Run one session, with a journal unless that is switched off."""
    health = HealthFile()

    def stuck(why: str) -> None:
        health.write("stuck", why)
        print(f"error: {why}; this session is ended", file=sys.stderr, flush=True)
        log.error("stuck", why=why)

    def look(snapshot: Snapshot) -> None:
        watchdog.beat()
        health.look(snapshot)
        on_snapshot(snapshot)

    kill_file = KillFile()
    if kill_file.is_there():
        on_line(f"halted by the kill file {kill_file.path}; to go on: microburst resume --reason '...'")
    with Watchdog(stuck) as watchdog:  # of what is done again, too: code that hung will hang again
        opened = open_it(watchdog.beat)
        session: PaperSession | None = None
        try:
            session = PaperSession(
                config,
                feed,
                mode=mode,
                on_snapshot=look,
                journal=opened.journal,
                resumed=opened.resumed,
                carried=opened.carried,
                resume=opened.resume,
                kill_file=kill_file,
                tell_decisions=debugging(),
            )
            _halt_on_signal(session)
            # Every entry of the log names the session, and with it the journal, that it belongs to.
            with structlog.contextvars.bound_contextvars(session=opened.name):
                await _run_until(session, opened.name, stop_event, config.session.duration)
        except asyncio.CancelledError:
            if session is not None:
                session.ended = session.ended or "stopped at once"
            raise
        except Exception as error:
            if session is not None:
                session.ended = session.ended or unexpected(error)
            raise
        finally:
            watchdog.release()  # nothing of a strategy's runs any more, and a disk may take its time
            health.remove()
            if session is None:
                opened.close(None, "it could not begin")
            else:
                opened.close(session.kernel, session.ended)
    return session.exit_code


def _halt_on_signal(session: PaperSession) -> None:
    """Let SIGUSR1 halt the session: a way to it that needs neither its telemetry nor a disk."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: session.halt("signal"))


async def unless(stop_event: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the work's result, or None, having cancelled it, if ``stop_event`` is set first."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop_event.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _find_market(
    config: Config, market: EmbeddedMarket, on_line: Callable[[str], None]
) -> tuple[WebSocketFeed, str]:
    """Return a connected feed and the session's mode: the feed asked for, the usual mock market, or an embedded one."""
    timeout_s = config.feed.connect_timeout / 1e9
    if config.feed.address not in (AUTO_FEED, EMBEDDED_FEED):
        if config.session.duration:
            timeout_s = min(timeout_s, config.session.duration / 1e9)
        feed = await _connect(config, config.feed.address, timeout_s)
        return feed, _mode(feed, "PAPER")
    usual = f"ws://{USUAL_HOST}:{USUAL_PORT}"
    why = f"no market answers at {usual}"
    if config.feed.address == EMBEDDED_FEED:
        why = "as asked for"
    elif await _listens(USUAL_HOST, USUAL_PORT):
        try:
            feed = await _connect(config, usual, min(timeout_s, HELLO_S))
        except UnreachableError:
            why = f"what listens at {usual} is not a mock market"
        else:
            on_line(f"feed: the mock market at {usual}")
            return feed, _mode(feed, "PAPER")
    if config.paper.fills == "queue":  # every other market may tell sizes: its first quote shows it
        what = "queue fills need the sizes displayed with the quotes, and an embedded market tells none"
        fix = "use --fills through; or python -m mock_server --quotes, and name its address with --feed"
        raise ConfigError(what, where="paper.fills", fix=fix)
    on_line(f"{why}: starting an embedded mock market")
    address = await market.start(config.feed.mock_rate)
    feed = await _connect(config, address, timeout_s)
    on_line(f"feed: embedded mock market at {address}, stopped at the end")
    return feed, _mode(feed, "DEMO")


def closed_line(name: str, now_ns: int) -> str | None:
    """Return what to tell whoever starts a session while its market is closed, and would wait for trades in vain."""
    calendar = find_calendar(name)
    if calendar.session_index(now_ns) >= 0:
        return None
    opens = datetime.fromtimestamp(calendar.next_boundary_ns(now_ns) // SECOND_NS, UTC)
    return f"{name} is closed: nothing is entered before {opens:%a %Y-%m-%d %H:%M} UTC; microburst calendar next {name}"


def _mode(feed: WebSocketFeed, otherwise: str) -> str:
    return "REPLAY" if feed.clock is Clock.RECORD else otherwise


async def _connect(config: Config, address: str, timeout_s: float) -> WebSocketFeed:
    """Return a feed whose market has introduced itself.

    Raises:
        UnreachableError: it has not within ``timeout_s``.
    """
    connect = opened_with(secrets_in(address))
    feed = WebSocketFeed(address, connect=connect, limits=FeedLimits(stale_after_s=config.feed.stale_after / 1e9))
    connected = False
    try:
        connected = await feed.connected(timeout_s)
        if connected:
            return feed
        raise UnreachableError(
            f"no market has answered within {timeout_s:g} s{f' ({feed.detail})' if feed.detail else ''}",
            where=address,
            fix="start one with: python -m mock_server; or leave out --feed to use an embedded one",
        )
    finally:
        if not connected:
            await feed.close()


async def _run_until(session: PaperSession, session_id: str, stop_event: asyncio.Event, duration_ns: int) -> None:
    """Run the session; the caller's event or the duration ends it gracefully."""

    async def end() -> None:
        try:
            async with asyncio.timeout(duration_ns / 1e9 if duration_ns else None):
                await stop_event.wait()
            session.ended = "stopped by you"
        except TimeoutError:
            session.ended = "the time is over"
        session.stop.set()

    ender = asyncio.create_task(end())
    try:
        await session.run(session_id)
    finally:
        ender.cancel()
        await asyncio.gather(ender, return_exceptions=True)


async def _listens(host: str, port: int) -> bool:
    """Whether anything listens there."""
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
