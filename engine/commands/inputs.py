"""The file that a verb runs on, ticks or bars: its flags, which of them go together, and reading it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.commands.groups import given_flags
from engine.errors import ConfigError, ExitCode, UserError

if TYPE_CHECKING:
    from engine.store.ticks import TickFile

ManyTicksFlag = Annotated[
    list[Path] | None,
    typer.Option("--ticks", metavar="FILE|DIR", help="Tick file, or a folder; may be repeated.", show_default=False),
]
ManyBarsFlag = Annotated[
    list[Path] | None,
    typer.Option("--bars", metavar="FILE|DIR", help="Bars instead of ticks; may be repeated.", show_default=False),
]
QuotesFlag = Annotated[
    Path | None, typer.Option("--quotes", metavar="FILE", help="Quote file, merged with the ticks by time.")
]
ZoneFlag = Annotated[
    str | None,
    typer.Option("--zone", metavar="ZONE", help="Clock of bars stamped without a zone, as America/New_York; else UTC."),
]
BarStampsFlag = Annotated[
    str | None,
    typer.Option("--bar-stamps", metavar="start|end", help="What a bar's timestamp is; start unless given."),
]
BarPeriodFlag = Annotated[
    str | None,
    typer.Option("--bar-period", metavar="TIME", help="How long a bar lasts, as 1m; else the most frequent step."),
]
SymbolFlag = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", help="Of several symbols in the file, only this.")
]
PricePrecisionFlag = Annotated[
    int | None,
    typer.Option("--price-precision", metavar="N", min=0, max=12, help="Decimals of a price; else as the file needs."),
]
SizePrecisionFlag = Annotated[
    int | None,
    typer.Option("--size-precision", metavar="N", min=0, max=12, help="Decimals of a size; else as the file needs."),
]
OnBadRowFlag = Annotated[
    str, typer.Option("--on-bad-row", metavar="stop|skip", help="Stop at a malformed row, or skip and count it.")
]


@dataclass(frozen=True, slots=True)
class Recording:
    """The flags of a verb that runs on a recording: which files of ticks or bars, and how they are read."""

    ticks: ManyTicksFlag = None
    quotes: QuotesFlag = None
    bars: ManyBarsFlag = None
    zone: ZoneFlag = None
    bar_stamps: BarStampsFlag = None
    bar_period: BarPeriodFlag = None
    symbol: SymbolFlag = None
    price_precision: PricePrecisionFlag = None
    size_precision: SizePrecisionFlag = None
    on_bad_row: OnBadRowFlag = "stop"

    @property
    def named(self) -> bool:
        """Whether there is a file to read, or a flag that makes no sense without one."""
        return any(value is not None for value in (*self._sources.values(), *self._of_a_file.values()))

    @property
    def inputs(self) -> tuple[Path | None, ...]:
        """The files that are read, which nothing may be written over."""
        return *(self.ticks or ()), self.quotes, *(self.bars or ())

    @property
    def _sources(self) -> dict[str, list[Path] | None]:
        return {"--ticks FILE": self.ticks or None, "--bars FILE": self.bars or None}

    @property
    def _of_bars(self) -> dict[str, str | None]:
        return bar_flags(self.zone, self.bar_stamps, self.bar_period)

    @property
    def _of_a_file(self) -> dict[str, object]:
        precisions = {"--price-precision": self.price_precision, "--size-precision": self.size_precision}
        return {"--quotes": self.quotes, "--symbol": self.symbol, **precisions, **self._of_bars}

    def check(self) -> None:
        """Refuse flags that do not go together, before any work.

        Raises:
            UserError: with exit code 2.
        """
        only_with = {"--ticks FILE": ["--quotes"], "--bars FILE": list(self._of_bars)}
        check_source(self._sources, self._of_a_file, only_with)
        row_policy(self.on_bad_row)

    def read(self) -> TickFile:
        """Read the files, as one where there are several, and say on standard error which rows were left out.

        Raises:
            UserError: flags that do not go together (exit code 2); a file cannot be read.
        """
        self.check()
        file = read_files(
            self.ticks,
            self.bars,
            self._of_bars,
            self.symbol,
            on_bad_row=row_policy(self.on_bad_row),
            quotes=self.quotes,
            price_precision=self.price_precision,
            size_precision=self.size_precision,
        )
        tell_skipped(file)
        return file


def row_policy(word: str) -> Literal["stop", "skip"]:
    """What ``--on-bad-row`` says.

    Raises:
        UserError: neither word (exit code 2).
    """
    if word == "skip":
        return "skip"
    if word != "stop":
        raise usage(f"--on-bad-row {word} is neither stop nor skip", "write --on-bad-row stop, or skip")
    return "stop"


def tell_skipped(file: TickFile) -> None:
    """Say on standard error which rows were left out, where some were."""
    if file.skipped:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in file.skipped.items())
        print(f"skipped rows: {counts}; the first: {'; '.join(file.skipped_samples)}", file=sys.stderr)


def usage(what: str, fix: str) -> UserError:
    """Return the error of flags that do not go together (exit code 2)."""
    return UserError(what, fix=fix, exit_code=ExitCode.USAGE)


def bar_flags(zone: str | None, stamps: str | None, period: str | None) -> dict[str, str | None]:
    """The flags that say how bars are read, by name.

    Raises:
        UserError: ``--bar-stamps`` is neither word.
    """
    if stamps not in (None, "start", "end"):
        raise usage(f"--bar-stamps {stamps} is neither start nor end", "write --bar-stamps start, or end")
    return {"--zone": zone, "--bar-stamps": stamps, "--bar-period": period}


def read_files(
    ticks: Sequence[Path] | None,
    bars: Sequence[Path] | None,
    of_bars: Mapping[str, str | None],
    symbol: str | None,
    *,
    quotes: Path | None = None,
    **how: Any,
) -> TickFile:
    """Read files and folders of ticks, or of bars, as one recording (``engine.tools.many_files``).

    Raises:
        UserError: quotes go with several files of ticks (exit code 2); a file cannot be read.
    """
    from engine.tools.many_files import files_of, read_many

    paths = files_of(ticks or bars or [])
    if quotes and len(paths) > 1:
        raise usage("--quotes goes with one tick file", "give the ticks bid and ask columns")

    def read(path: Path) -> TickFile:
        tick_file, bar_file = (path, None) if ticks else (None, path)
        return read_recorded(tick_file, bar_file, of_bars, symbol, quotes=quotes, **how)

    return read_many(paths, read)


def read_recorded(
    ticks: Path | None,
    bars: Path | None,
    of_bars: Mapping[str, str | None],
    symbol: str | None,
    *,
    on_bad_row: Literal["stop", "skip"] = "stop",
    quotes: Path | None = None,
    price_precision: int | None = None,
    size_precision: int | None = None,
) -> TickFile:
    """Read the ticks, or the bars, that the flags name.

    Raises:
        UserError: both or neither were named, or a flag of bars goes with ticks (exit code 2); the file cannot be read.
    """
    check_source({"--ticks FILE": ticks, "--bars FILE": bars}, of_bars, {"--bars FILE": list(of_bars)})
    from engine.store.bars import read_bars
    from engine.store.ticks import read_ticks

    grid = {"price_precision": price_precision, "size_precision": size_precision}
    if bars is None:
        assert ticks is not None  # one of the two was given
        return read_ticks(ticks, symbol=symbol, on_bad_row=on_bad_row, quotes=quotes, **grid)
    stamps: Literal["start", "end"] = "end" if of_bars["--bar-stamps"] == "end" else "start"
    zone, period = of_bars["--zone"], of_bars["--bar-period"]
    try:
        return read_bars(bars, symbol=symbol, on_bad_row=on_bad_row, zone=zone, stamps=stamps, period=period, **grid)
    except ConfigError as error:
        place = {"zone": "flag --zone", "period": "flag --bar-period"}.get(error.where, error.where)
        raise ConfigError(error.what, where=place, fix=error.fix) from None


def check_source(
    sources: Mapping[str, object],
    of_a_file: Mapping[str, object],
    only_with: Mapping[str, Sequence[str]],
    hint: str = "name the file to run on",
) -> None:
    """Refuse two sources or none, and flags that the one given has no use for; ``only_with`` says which those are.

    Raises:
        UserError: with exit code 2.
    """
    given = [flag for flag, value in sources.items() if value is not None]
    if len(given) > 1:
        more = "; bars are made of the ticks themselves" if "--demo" not in given else ""
        raise usage(f"{given[0]} and {given[1]}: not both", f"leave one of them out{more}")
    if not given:
        *first, last = sources
        raise usage(f"one of {', '.join(first)} and {last} is needed", hint)
    for flag, value in of_a_file.items():
        if value is None:
            continue
        if given == ["--demo"]:
            source = next((source for source, flags in only_with.items() if flag in flags), "--ticks FILE")
            raise usage(f"{flag} says how a file is read, and --demo reads none", f"use it with {source}")
        for source, flags in only_with.items():
            if flag in flags and source not in given:
                raise usage(f"{flag} has no meaning with {given[0]}", f"use it with {source}")


def check_kept(*groups: Any, **own: object) -> None:
    """Refuse flags beside a kept run, which has its own ticks, strategy and settings; ``own`` are a verb's by name.

    Raises:
        UserError: with exit code 2.
    """
    flags = [flag for group in groups for flag in given_flags(group)]
    flags += [f"--{name}" for name, value in own.items() if value is not None]
    if flags:
        raise usage(f"{flags[0]} has no meaning with a kept run", "leave it out: the run has its own settings")
