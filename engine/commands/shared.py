"""What the verbs have in common: flags, reading the configuration, and writing results.

Results go to standard output and everything else to standard error, so a pipe carries data and nothing but data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import orjson
import typer

from engine.errors import ConfigError, UserError, nearest

if TYPE_CHECKING:
    from rich.table import Table

    from engine.config.settings import Config, Found, Loaded
    from engine.lineup import Line
    from engine.strategy import Strategy

PIPE_WIDTH = 1000
"""Columns of a table that no terminal limits: nothing is folded."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON object (or JSON lines) to standard output.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is necessary.")]
VerboseFlag = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv says everything.", show_default=False)
]
LogLevelFlag = Annotated[
    str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
]
LogFormatFlag = Annotated[
    str | None, typer.Option("--log-format", metavar="FORMAT", help="text or json, on the terminal.")
]
ConfigFlag = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Read this file instead of ./microburst.toml.")
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the strategy; may be repeated."),
]
StrategyFlag = Annotated[
    str | None, typer.Option("--strategy", metavar="NAME|FILE:CLASS", help="Trade by this strategy.")
]
StrategiesFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="NAME|FILE:CLASS",
        help="Trade by this strategy; several times: by all, each as 'NAME weight=0.5 symbols=A,B KEY=VALUE'.",
    ),
]
FillsFlag = Annotated[
    str | None,
    typer.Option(
        "--fills",
        metavar="NAME",
        help="How orders are filled: last, touch, through, queue or worst; backtest: ladder, for all of them.",
    ),
]
SpreadFlag = Annotated[
    str | None,
    typer.Option(
        "--spread",
        metavar="PRICE",
        help="Bid-ask spread centred on the last trade, used instead of quotes; refused with --fills last.",
    ),
]
SlippageFlag = Annotated[str | None, typer.Option("--slippage-bps", metavar="BPS", help="Slippage of every fill.")]
FeeFlag = Annotated[
    str | None, typer.Option("--fee", metavar="FEE", help="Per fill: 5bps, 0.005/share or 2.25/contract.")
]
RiskProfileFlag = Annotated[
    str | None,
    typer.Option("--risk-profile", metavar="NAME", help="Limits to start from: see microburst risk profiles."),
]
SizeFlag = Annotated[
    str | None,
    typer.Option("--size", metavar="SIZE", help="Of an entry: '3 units', '500 dollars', '1% risk', '5% capital'."),
]
ForceFlag = Annotated[bool, typer.Option("--force", help="Replace a file that exists.")]
CalendarFlag = Annotated[
    str | None,
    typer.Option(
        "--calendar",
        metavar="NAME",
        help="Trading sessions: always, us_equities, globex, or an exchange such as XNYS.",
    ),
]


@dataclass(frozen=True, slots=True)
class Trading:
    """The flags that say with which parameters, costs and sessions a strategy would trade."""

    parameters: SetFlag = None
    config_file: ConfigFlag = None
    fills: FillsFlag = None
    spread: SpreadFlag = None
    slippage_bps: SlippageFlag = None
    fee: FeeFlag = None
    calendar: CalendarFlag = None
    risk_profile: RiskProfileFlag = None
    size: SizeFlag = None

    def load(self, strategy: str | None, **more: str) -> Loaded:
        """Return the configuration with these flags, the strategy that a verb was given, and ``more`` on top."""
        flags = {
            "strategy__name": strategy,
            "paper__fills": self.fills,
            "paper__spread": self.spread,
            "paper__slippage_bps": self.slippage_bps,
            "paper__fee": self.fee,
            "session__calendar": self.calendar,
            "risk__profile": self.risk_profile,
            "sizing__size": self.size,
        }
        return load_config(self.config_file, self.parameters, **(flags | more))


def load_config(config_file: Path | None, parameters: Sequence[str] | None = None, **flags: Any) -> Loaded:
    """Return the configuration with command line flags on top.

    Args:
        config_file: the value of ``--config``.
        parameters: the values of ``--set``.
        flags: values by setting, the dot written ``__``: ``paper__fills="last"``, text but for lists. None means not
            given.
    """
    from engine.config.settings import Found, load

    found = found_in(flags)
    for text in parameters or ():
        key, separator, value = text.partition("=")
        if not separator or not key.isidentifier():
            raise ConfigError(f"'{text}' is not KEY=VALUE", where="flag --set", fix="write for example --set window=7s")
        found[f"strategy.params.{key}"] = Found(value, f"flag --set {key}")
    loaded = load(found, config_file)
    _tell_of_library(loaded.config.session.calendar)
    return loaded


def load_roughly(config_file: Path | None, said: str, **flags: Any) -> Loaded:
    """Return the configuration for a verb that hardly needs it: what is wrong with one that is found is a warning.

    Args:
        config_file: the value of ``--config``.
        said: what the verb does instead, for the warning.
        flags: as ``load_config`` takes them.

    Raises:
        ConfigError: a flag is wrong, ``--config`` and the file that it names among them.
    """
    from engine.config.settings import by_path, merged

    try:
        return load_config(config_file, **flags)
    except ConfigError as error:
        if config_file is not None:
            raise
        loaded = merged(by_path(found_in(flags)))
        print(f"warning: {error.line()}; {said}", file=sys.stderr)
        return loaded


def found_in(flags: Mapping[str, Any]) -> dict[str, Found]:
    """The flags that were given, as settings with their origin."""
    from engine.config.settings import Found

    return {
        name.replace("__", "."): Found(value, f"flag {FLAG_NAMES.get(name, name)}")
        for name, value in flags.items()
        if value is not None
    }


def _tell_of_library(calendar: str) -> None:
    """Say on a terminal what the first seconds are spent on: an exchange's calendar is computed by a large library."""
    if not calendar.islower() and sys.stderr.isatty() and "pandas_market_calendars" not in sys.modules:
        print(f"loading the library of calendars for {calendar} …", file=sys.stderr)


FLAG_NAMES = {
    "feed__address": "--feed",
    "feed__mock_rate": "--mock-rate",
    "strategy__name": "--strategy",
    "strategy__strategies": "--strategy",
    "session__duration": "--duration",
    "risk__profile": "--risk-profile",
    "sizing__size": "--size",
    "session__calendar": "--calendar",
    "paper__account": "--account",
    "paper__fills": "--fills",
    "paper__spread": "--spread",
    "paper__slippage_bps": "--slippage-bps",
    "paper__fee": "--fee",
    "log__level": "--log-level",
    "log__format": "--log-format",
    "journal__enabled": "--no-journal",
}


def chosen_strategy(loaded: Loaded) -> type[Strategy]:
    """Return the strategy that the configuration names, its parameters checked.

    Raises:
        UserError: no such strategy, or a parameter is unknown or out of bounds; with the place where it was set.
    """
    from engine.plugins import find_strategy

    settings = loaded.config.strategy
    strategy = find_strategy(settings.name)
    for name, value in settings.params.items():
        origin = loaded.origins["strategy", "params", name]
        if name not in strategy.declared:
            what = f"{strategy.__name__} has no parameter '{name}'"
            raise ConfigError(what, where=origin, fix=nearest(name, strategy.declared))
        strategy.declared[name].parse(value, where=origin if origin.endswith(f" {name}") else f"{origin}: {name}")
    return strategy


def strategy_flags(given: Sequence[str] | None) -> dict[str, Any]:
    """What ``--strategy`` sets: a name, or the lines of a line-up; one line, too, when it says more than a name."""
    if not given:
        return {}
    if len(given) == 1 and "=" not in given[0]:
        return {"strategy__name": given[0], "strategy__strategies": []}
    return {"strategy__strategies": list(given)}


def chosen_line(loaded: Loaded) -> Line:
    """Return what the configuration trades by: its strategy, or its line-up.

    Raises:
        UserError: one of them is not there, or a parameter is wrong; with the place where it was set.
    """
    from engine.lineup import read_entrant

    settings = loaded.config.strategy
    if not settings.strategies:
        return chosen_strategy(loaded)(**settings.params)
    if settings.params:
        name = next(iter(settings.params))
        what = f"'{name}' belongs to one strategy of several"
        place = loaded.origins["strategy", "params", name]
        raise ConfigError(what, where=place, fix=f"write it in its line: '{settings.strategies[0]} {name}=...'")
    where = loaded.origins["strategy", "strategies"]
    return [read_entrant(line, where) for line in settings.strategies]


@contextmanager
def naming_origins(origins: Mapping[tuple[str, ...], str]) -> Iterator[None]:
    """Say where a setting was made, of errors that only name it: those that show when it meets the instruments.

    They name it in full, ``risk.position_size``, or as Python's ``backtest`` calls it, ``calendar``.

    Raises:
        ConfigError: such an error, with the file and line, the variable or the flag.
    """
    try:
        yield
    except ConfigError as error:
        found = (origin for path, origin in origins.items() if error.where in (".".join(path), path[1]))
        origin = next(found, None)
        if origin is None:
            raise
        what = f"{error.where}: {error.what}"
        raise ConfigError(what, where=origin, fix=error.fix, exit_code=error.exit_code) from None


def start_log(loaded: Loaded, *, quiet: bool, verbose: int) -> None:
    """Start logging as the configuration says."""
    from engine import log

    settings = loaded.config.log
    verbosity = -1 if quiet else verbose
    log.configure(
        level=settings.level,
        terminal=settings.format,
        file=settings.file,
        verbosity=verbosity,
        max_bytes=settings.max_mb * 1_000_000,
        keep=settings.keep,
    )


def discard_output(*streams: TextIO) -> None:
    """Let standard output, or the given streams, lead nowhere: nobody is left to read, or nothing more fits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams or (sys.stdout,):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def writing() -> Iterator[None]:
    """Write to standard output. A reader that has gone is no mistake: ``| head`` has what it wanted.

    Raises:
        UserError: it cannot be written, for example on a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        raise output_error(error) from None


def output_error(error: OSError) -> UserError:
    """Return the error of a result that could not be written."""
    return UserError(f"cannot write to standard output: {error.strerror}", fix="send it where there is room")


def check_new(path: Path, *, force: bool) -> None:
    """Refuse to write where something is, before any work: what a flag names may be somebody's only copy.

    Raises:
        ConfigError: there is a directory, or a file that is not to be replaced.
    """
    if path.is_dir():
        raise ConfigError("this is a directory", where=str(path), fix="name a file in it")
    if path.exists() and not force:
        raise ConfigError("exists already", where=str(path), fix="add --force to replace it")


def write_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object on a line of standard output. NaN becomes null."""
    data = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    with writing():
        sys.stdout.write(data.decode() + "\n")


def write_table(*parts: Table | str) -> None:
    """Write tables and lines to standard output; colour only on a terminal and without ``NO_COLOR``."""
    from rich.console import Console

    with writing():
        if not sys.stdout.isatty():
            sys.stdout.write(table_text(*parts))
            return
        console = Console(highlight=False)
        for part in parts:
            console.print(part, markup=False)


def table_text(*parts: Table | str) -> str:
    """Return tables and lines as text without colour, folded nowhere."""
    from rich.console import Console

    console = Console(highlight=False, width=PIPE_WIDTH, no_color=True, force_terminal=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part, markup=False)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty aligned table without lines; the columns named in ``right`` hold numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def elapsed(seconds: float) -> str:
    """A measured time as people read it, to the millisecond: ``10.013 s``, ``5m00.017s``, ``1h15m00s``."""
    milliseconds = round(seconds * 1_000)
    sign = "-" if milliseconds < 0 else ""
    minutes, milliseconds = divmod(abs(milliseconds), 60_000)
    whole, fraction = divmod(milliseconds, 1_000)
    part = f".{fraction:03}" if fraction or not minutes else ""
    if not minutes:
        return f"{sign}{whole}{part} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{f'{hours}h{minutes:02}' if hours else minutes}m{whole:02}{part}s"


def wall_ns() -> int:
    """The present time, from the one reader of the wall clock that adapters share."""
    from feeds.base import SystemTiming

    _monotonic_ns, now_ns = SystemTiming().receive_stamp()
    return now_ns


def account_of(config: Config) -> dict[str, Any]:
    """Return what the configuration says of venue, account and sessions, as ``engine.backtest`` takes it."""
    return {
        "fills": None if config.paper.fills == "auto" else config.paper.fills,
        "spread": config.paper.spread,
        "slippage_bps": config.paper.slippage_bps,
        "fee": config.paper.fee,
        "latency_feed": config.paper.latency_feed,
        "latency_order": config.paper.latency_order,
        "maker_fee": config.paper.maker_fee,
        "borrow_rate": config.paper.borrow_rate,
        "shorting": config.paper.shorting,
        "starting_cash": config.paper.starting_cash,
        "risk_free_rate": config.paper.risk_free_rate,
        "position_size": config.risk.position_size,
        "size": config.sizing.size or None,
        "risk_profile": config.risk.profile or None,
        "limits": config.risk.given,
        "calendar": config.session.calendar,
        "session_rules": config.session.rules,
    }
