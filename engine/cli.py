"""The command line: puts the verbs together and turns every ending into a documented exit code.

A mistake of the user is one line on standard error, never a traceback. An unexpected failure is one line too, and names
the log file that holds its traceback.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

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


VERBS = {
    "run": "run.run",
    "backtest": "backtest.backtest",
    "runs": "runs.runs",
    "explain": "explain.explain",
    "compare": "compare.compare",
    "whatif": "whatif.whatif",
    "stress": "stress.stress",
    "montecarlo": "montecarlo.montecarlo",
    "replay": "replay.replay",
    "parity": "replay.parity",
    "features": "features.features",
    "lookahead": "lookahead.lookahead",
    "status": "status.status",
    "pause": "operate.pause",
    "flatten": "operate.flatten",
    "kill": "operate.kill",
    "resume": "operate.resume",
    "report": "bug_report.bug_report",
    "bug-report": "bug_report.bug_report",
    "doctor": "doctor.doctor",
    "journal": "journal.app",
    "strategy": "strategy.app",
    "risk": "risk.app",
    "calendar": "calendar.app",
    "config": "config.app",
}
"""Every verb and where in ``engine.commands`` it is. What others need is not loaded for the one that is asked for."""

COMPLETING = "_MICROBURST_COMPLETE"
"""Is set when a shell asks what a word may become."""

UNBROKEN: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
"""Paths, names and commands stay whole, so that they can be copied."""

OWN_FLAGS = {"-h", "--help", "--version", "--install-completion", "--show-completion"}


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"microburst {installed_version()}")
        raise typer.Exit


def _flags(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Flags that stand before a verb."""


def command_line(verbs: Iterable[str]) -> typer.Typer:
    """Return the parser of a command line with these verbs."""
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
    app.callback()(_flags)
    for verb in verbs:
        module, _, name = VERBS[verb].partition(".")
        found = getattr(import_module(f"engine.commands.{module}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb)
        else:
            app.command(verb)(found)
    return app


def _verbs_for(given: Sequence[str]) -> Iterable[str]:
    """The verb that is asked for; all of them where none is, to list them, to complete one, or to suggest another."""
    if COMPLETING in os.environ:
        return VERBS
    return () if given[0] == "--version" else given[:1] if given[0] in VERBS else VERBS


def installed_version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import PackageNotFoundError, version

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
        code = command_line(_verbs_for(given))(given, prog_name="microburst", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.OK)
    except UserError as error:
        return _fail(error.line(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        return ExitCode.OK
    except OSError as error:
        if error.filename is None:
            return _unexpected(error)
        return _fail(f"{error.filename}: cannot be used: {error.strerror}; name another", ExitCode.DATA)
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
    said = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    if said == "Missing command":
        return f"say which: {', '.join(error.ctx.command.commands)}"  # type: ignore[attr-defined]
    return said


def _help_for(error: Exception) -> str:
    """Return the command line that helps with the verb, or sub-verb, that the parser had reached."""
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'microburst'} --help"


def _fail(line: str, code: ExitCode) -> int:
    sys.stdout.flush()
    text = f"error: {masked(' '.join(line.split()))}"
    if sys.stderr.isatty():  # between words, where there is a width to keep to; for programs it is one line
        import shutil
        import textwrap

        text = textwrap.fill(text, shutil.get_terminal_size().columns, subsequent_indent="  ", **UNBROKEN)
    print(text, file=sys.stderr, flush=True)
    return code


def _unexpected(error: Exception) -> int:
    from engine import log

    file = log.current_file() or log.configure()
    log.get("cli").error(log.UNEXPECTED, exc_info=error)
    where = f"the traceback is in {file}" if file else "run again with -vv to see the traceback"
    return _fail(f"unexpected {type(error).__name__}: {error}; this is a bug, {where}", ExitCode.FAILURE)
