"""``microburst run``: trade on paper, on a live feed or on an embedded mock market."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.shared import (
    CalendarFlag,
    ConfigFlag,
    FeeFlag,
    FillsFlag,
    JsonFlag,
    LogFormatFlag,
    LogLevelFlag,
    QuietFlag,
    RiskProfileFlag,
    SetFlag,
    SizeFlag,
    SlippageFlag,
    SpreadFlag,
    StrategiesFlag,
    VerboseFlag,
    chosen_line,
    discard_output,
    load_config,
    naming_origins,
    output_error,
    start_log,
    strategy_flags,
    write_json,
    write_table,
)
from engine.errors import ExitCode, UserError

if TYPE_CHECKING:
    from engine.config.settings import Config
    from engine.console import SessionConsole


def run(
    paper: Annotated[
        bool,
        typer.Option("--paper", "--dry-run", help="Trade with simulated money: the only mode yet.", show_default=False),
    ] = True,
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="ADDRESS", help="Ticks from here, such as ws://127.0.0.1:8765.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="TIME", help="Stop after this time, such as 60s or 10m.")
    ] = None,
    mock_rate: Annotated[
        str | None, typer.Option("--mock-rate", metavar="N", help="Trades per second of the embedded mock market.")
    ] = None,
    strategy: StrategiesFlag = None,
    parameters: SetFlag = None,
    config_file: ConfigFlag = None,
    fills: FillsFlag = None,
    spread: SpreadFlag = None,
    slippage_bps: SlippageFlag = None,
    fee: FeeFlag = None,
    calendar: CalendarFlag = None,
    risk_profile: RiskProfileFlag = None,
    size: SizeFlag = None,
    no_journal: Annotated[
        bool, typer.Option("--no-journal", help="Do not record the session: it cannot be replayed.")
    ] = False,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Trade this account; one session at a time.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew: do not go on from the account's last session. It is kept.")
    ] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = 0,
    log_level: LogLevelFlag = None,
    log_format: LogFormatFlag = None,
) -> int:
    """Trade on paper.

    Without --feed: on the mock market at ws://127.0.0.1:8765, or on an embedded one if nothing answers there.

    Ctrl-C or --duration ends it: open positions are closed at the market (reason MANUAL) and the result is shown.
    A second Ctrl-C ends it at once.

    After a crash, or a second Ctrl-C, the next start goes on where it stood: positions, stops, the day's loss.
    """
    from engine.console import SessionConsole

    loaded = load_config(
        config_file,
        parameters,
        feed__address=feed,
        feed__mock_rate=mock_rate,
        session__duration=duration,
        **strategy_flags(strategy),
        paper__account=account,
        paper__fills=fills,
        paper__spread=spread,
        paper__slippage_bps=slippage_bps,
        paper__fee=fee,
        session__calendar=calendar,
        risk__profile=risk_profile,
        sizing__size=size,
        log__level=log_level,
        log__format=log_format,
        journal__enabled="false" if no_journal else None,
    )
    chosen_line(loaded)
    start_log(loaded, quiet=quiet, verbose=verbose)
    console = SessionConsole(as_json=as_json, quiet=quiet)
    try:
        with console, naming_origins(loaded.origins):
            code = _run_loop(_session(loaded.config, console, fresh=fresh))
    finally:  # what was traded is told even when the strategy's own code has failed
        _bring_up_database(loaded.config)
        _show_summary(console, loaded.config, as_json=as_json)
    if console.write_error:
        raise output_error(console.write_error)
    return code


async def _session(config: Config, console: SessionConsole, *, fresh: bool) -> int:
    """Run the session until it ends or a signal asks it to; return the exit code.

    The first signal lets it close its positions. One that comes before the first snapshot, when there is nothing to
    close yet, or a second one, ends it at once.
    """
    from engine.live.paper import run_paper

    stop = asyncio.Event()
    session = asyncio.create_task(
        run_paper(
            config,
            on_snapshot=console.on_snapshot,
            on_line=console.on_line,
            stop_event=stop,
            on_opened=console.on_opened,
            fresh=fresh,
        )
    )
    console.on_reader_gone = stop.set
    asked: list[ExitCode] = []

    def ask(code: ExitCode) -> None:
        stop.set()
        asked.append(code)
        if len(asked) > 1 or console.latest is None:
            session.cancel()

    _on_signals(ask)
    try:
        code = int(await session)
    except asyncio.CancelledError:
        code = ExitCode.OK
    return asked[0] if asked and code in (ExitCode.OK, ExitCode.STOPPED) else code


def _on_signals(ask: Callable[[ExitCode], None]) -> None:
    """Call ``ask`` with the exit code of a signal, at Ctrl-C, SIGTERM and when the terminal is closed."""
    loop = asyncio.get_running_loop()
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored: nohup
        terminals = [stream for stream in (sys.stdout, sys.stderr) if stream.isatty()]

        def hung_up() -> None:
            if gone := [stream for stream in terminals if not os.isatty(stream.fileno())]:
                discard_output(*gone)
            ask(ExitCode.HUNG_UP)

        loop.add_signal_handler(signal.SIGHUP, hung_up)
    for name, code in ((signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)):
        try:
            loop.add_signal_handler(name, ask, code)
        except NotImplementedError:  # Windows: the handler runs between bytecodes of the main thread
            signal.signal(name, lambda *_, code=code: loop.call_soon_threadsafe(ask, code))


def _run_loop(session: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(session)
    import uvloop

    return uvloop.run(session)


def _bring_up_database(config: Config) -> None:
    """Take the session into the database that is configured, if any; a failure is a warning: the journal has it all."""
    if not (config.journal.enabled and config.journal.database):
        return
    from pathlib import Path

    import structlog

    from engine.journal.sessions import root_of, sessions
    from engine.tools.trades_db import project

    log = structlog.get_logger("journal")
    try:
        for one in project(Path(config.journal.database), sessions(root_of(config.journal.directory))):
            if one.problem:
                log.warning("a journal is not whole", journal=one.session, problem=one.problem)
    except UserError as error:
        log.warning("the database is not up to date", problem=error.line())


def _show_summary(console: SessionConsole, config: Config, *, as_json: bool) -> None:
    from engine.commands.paper_summary import summary_event, summary_table
    from engine.live.recording import line_of
    from engine.live.session import PaperSession

    if console.latest is None:
        return
    settings = PaperSession.settings_of(config, line_of(config))
    without_feed_s = console.feed.without_s(console.latest)
    told = console.latest, console.reasons, settings.risk_profile, settings.limits, without_feed_s
    if as_json:
        write_json(summary_event(*told) | {"recovered": console.recovered})
    else:
        write_table("", summary_table(*told))
