"""The command line: puts the verbs together and turns every ending into a documented exit code.

A mistake of the user is one line on standard error, never a traceback. An unexpected failure is one line too, and names
the log file that holds its traceback.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from engine.commands import (
    backtest,
    bug_report,
    calendar,
    compare,
    config,
    doctor,
    explain,
    features,
    journal,
    lookahead,
    montecarlo,
    operate,
    replay,
    risk,
    run,
    runs,
    status,
    strategy,
    stress,
    whatif,
)
from engine.commands.shared import discard_output
from engine.errors import ExitCode, UserError
from engine.secret import masked


class Verbs(typer.core.TyperGroup):
    """The verbs. Ctrl-C is an ending with a line of its own here; the parser's is silent."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise UserError("interrupted", exit_code=ExitCode.INTERRUPTED) from None


app = typer.Typer(
    name="microburst",
    cls=Verbs,
    help="A tick-level micro-trading engine. Without a verb it runs: paper trading, on an embedded mock market.",
    no_args_is_help=False,
    epilog="First result: microburst backtest --demo",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("backtest")(backtest.backtest)
app.command("runs")(runs.runs)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("whatif")(whatif.whatif)
app.command("stress")(stress.stress)
app.command("montecarlo")(montecarlo.montecarlo)
app.add_typer(journal.app, name="journal")
app.command("replay")(replay.replay)
app.command("parity")(replay.parity)
app.command("features")(features.features)
app.add_typer(strategy.app, name="strategy")
app.command("lookahead")(lookahead.lookahead)
app.add_typer(risk.app, name="risk")
app.add_typer(calendar.app, name="calendar")
app.command("status")(status.status)
app.command("pause")(operate.pause)
app.command("flatten")(operate.flatten)
app.command("kill")(operate.kill)
app.command("resume")(operate.resume)
app.command("report")(bug_report.bug_report)
app.command("bug-report")(bug_report.bug_report)
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config")

UNBROKEN: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
"""Paths, names and commands stay whole, so that they can be copied."""

OWN_FLAGS = {"-h", "--help", "--version", "--install-completion", "--show-completion"}


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"microburst {installed_version()}")
        raise typer.Exit


@app.callback()
def _flags(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Flags that stand before a verb."""


def installed_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("microburst")
    except PackageNotFoundError:
        return "from a checkout that is not installed"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with a documented exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in OWN_FLAGS):
        given.insert(0, "run")  # only options: the main job
    if sys.stderr is None:  # closed by the caller; what is printed must not end up among the results
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - lives as long as the process
    if sys.stdout is None:
        print("error: standard output is closed; send it to a file or to /dev/null", file=sys.stderr)
        sys.exit(int(ExitCode.USAGE))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding without µ or ✓ shows a question mark
    sys.exit(int(_execute(given)))


def _execute(given: Sequence[str]) -> int:
    try:
        code = app(given, prog_name="microburst", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.OK)
    except UserError as error:
        return _fail(error.line(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        return ExitCode.OK
    except Exception as error:
        if is_usage_error(error):
            sentence = _sentence(error)
            joint = " See" if sentence.endswith("?") else "; see"
            return _fail(f"{sentence}{joint}: {_help_for(error)}", ExitCode.USAGE)
        return _unexpected(error)


def is_usage_error(error: Exception) -> bool:
    """Say whether the parser refused the command line. Its class has moved between releases of the parser."""
    return hasattr(error, "format_message") and getattr(error, "exit_code", None) == ExitCode.USAGE


def _sentence(error: Exception) -> str:
    if getattr(error, "option_name", "") == "--live":
        return "there is no --live: this version trades on paper only"
    return str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]


def _help_for(error: Exception) -> str:
    """Return the command line that helps with the verb, or sub-verb, that the parser had reached."""
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'microburst'} --help"


def _fail(line: str, code: ExitCode) -> int:
    sys.stdout.flush()
    text = f"error: {masked(' '.join(line.split()))}"
    if sys.stderr.isatty():  # between words, where there is a width to keep to; for programs it is one line
        text = textwrap.fill(text, shutil.get_terminal_size().columns, subsequent_indent="  ", **UNBROKEN)
    print(text, file=sys.stderr, flush=True)
    return code


def _unexpected(error: Exception) -> int:
    from engine import log

    file = log.current_file() or log.configure()
    log.get("cli").error(log.UNEXPECTED, exc_info=error)
    where = f"the traceback is in {file}" if file else "run again with -vv to see the traceback"
    return _fail(f"unexpected {type(error).__name__}: {error}; this is a bug, {where}", ExitCode.FAILURE)
