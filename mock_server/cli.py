"""The command ``python -m mock_server``: flags in, a listening server and a banner out."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mock_server.errors import ExitCode, MockError
from mock_server.listings import Listing, listings
from mock_server.market import START_NS, Int64s, Market
from mock_server.recording import read_recording
from mock_server.runtime import Facts, Runtime
from mock_server.script import STEADY_ABOVE
from mock_server.session import Pace, Source
from mock_server.units import byte_count, duration_s, instant_ns, speed_factor
from mock_server.weather import WORDS, Weather, read_script

_HEARTBEAT_S = 1.0
_RATE, _MAX_RATE = 200.0, 1_000_000.0
_MAX_SEED = (1 << 63) - 1
_MAX_PRECISION = 12
_REPLAY_BLOCK = 8192

# The common base of all that the parser complains about; typer exports only this one of its errors.
_PARSER_ERROR: type[typer.BadParameter] = typer.BadParameter.__mro__[2]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def mock_server(
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B", help="What is traded; with --replay, what to keep of the file. [AAPL]")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Trades per second of market time, of all symbols together. [200]")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same market. [1]")] = None,
    quotes: Annotated[bool, typer.Option("--quotes", help="Send quote updates too.")] = False,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Push this tick file (.csv, .csv.gz) instead of a market.")
    ] = None,
    price_precision: Annotated[
        int | None, typer.Option(metavar="N", help="Decimals of the file's prices. [as many as they need]")
    ] = None,
    size_precision: Annotated[
        int | None, typer.Option(metavar="N", help="Decimals of the file's sizes. [as many as they need]")
    ] = None,
    speed: Annotated[str, typer.Option(metavar="X|max", help="Market time per wall time.")] = "1",
    epoch: Annotated[
        str | None, typer.Option(metavar="TIME", help="Instant at which the market begins. [when a client connects]")
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Loopback address to listen on; no other is possible.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 takes a free one.")] = 8765,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this long, for example 60s. [never]")
    ] = None,
    weather: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS|SCRIPT|FILE.txt",
            help=f"Faults on the way to the client: {', '.join(WORDS)}; or 'calm 30s, garbage 5s, disconnect'. [none]",
        ),
    ] = None,
    flush: Annotated[str, typer.Option(metavar="TIME", help="Records closer than this share a frame.")] = "2ms",
    client_buffer: Annotated[
        str, typer.Option(metavar="SIZE", help="Drop a client when more than this waits for it.")
    ] = "8MiB",
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Stop when standard input ends, not at Ctrl-C.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the listening address and errors only.")] = False,
) -> None:
    """Serve a practice market, or a recording, over a WebSocket, until Ctrl-C."""
    names = None if symbols is None else [name.strip() for name in symbols.split(",") if name.strip()]
    factor = speed_factor(speed, "--speed")
    pace = Pace(
        speed=factor,
        natural=replay is None and factor == 1,
        flush_s=duration_s(flush, "--flush"),
        heartbeat_s=_HEARTBEAT_S,
        client_buffer=byte_count(client_buffer, "--client-buffer"),
    )
    steps = None if weather is None else read_script(weather)
    chosen_seed = _within("--seed", 1 if seed is None else seed, 0, _MAX_SEED)
    runtime = Runtime(
        host=_loopback(host),
        port=_within("--port", port, 0, 65_535),
        duration_s=None if duration is None else duration_s(duration, "--duration"),
        exit_with_parent=exit_with_parent,
        quiet=quiet,
        weather=None if steps is None else Weather(steps, chosen_seed),
    )
    if replay is None:
        _refuse({"--price-precision": price_precision, "--size-precision": size_precision}, "it needs --replay FILE")
        start_ns = None if epoch is None else instant_ns(epoch, "--epoch")
        source, facts = _market(names, rate, chosen_seed, quotes, start_ns, pace)
    else:
        unfit = {"--rate": rate, "--seed": None if steps else seed, "--quotes": quotes or None, "--epoch": epoch}
        _refuse(unfit, "a recording has its own, so leave it out with --replay")
        _within("--price-precision", price_precision or 0, 0, _MAX_PRECISION)
        _within("--size-precision", size_precision or 0, 0, _MAX_PRECISION)
        if not quiet:
            typer.echo(f"reading {replay}", err=True)
        source, facts = _recording(replay, names, price_precision, size_precision)
    if weather is not None:
        facts.append(("weather", weather))
    raise typer.Exit(runtime.run(source, pace, facts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; a mistake of the user's is one line on stderr and its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(None if arguments is None else list(arguments), "mock_server", standalone_mode=False)
    except MockError as error:
        code = _complain(str(error), error.exit_code)
    except typer.Abort:
        code = ExitCode.INTERRUPTED
    except _PARSER_ERROR as error:
        code = _complain(f"{error.format_message().rstrip('.')}; see: python -m mock_server --help", ExitCode.USAGE)
    sys.exit(int(code or 0))


def _complain(message: str, code: ExitCode) -> ExitCode:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _market(
    names: Sequence[str] | None, rate: float | None, seed: int, quotes: bool, start_ns: int | None, pace: Pace
) -> tuple[Source, Facts]:
    """Return the generated market's source, and what the banner says about it."""
    listed = listings(("AAPL",) if names is None else names)
    rate = _RATE if rate is None else rate
    if not 0.01 <= rate <= _MAX_RATE:
        raise MockError(f"{rate:g} is not a rate", where="--rate", fix=f"use 0.01 to {_MAX_RATE:,.0f} ticks per second")
    # Blocks of about a twentieth of a second: short enough to make without a pause anybody notices.
    block_ticks = int(min(8192, max(64, rate * min(pace.speed, 1e6) / 20)))

    def blocks() -> Iterator[Int64s]:
        return Market(listed, seed=seed, rate=rate, quotes=quotes).blocks(block_ticks)

    if start_ns is None and not pace.natural:
        start_ns = START_NS
    arrivals = "on average, in bursts" if rate / len(listed) <= STEADY_ABOVE else "steadily, as a load"
    facts = [
        ("market", f"{', '.join(map(_describe, listed))}, invented prices"),
        ("seed", f"{seed}: every client gets the same ticks from the beginning"),
        ("rate", f"{rate:,g} trades/s {arrivals}{'; quote updates too' if quotes else ''}"),
    ]
    return Source(listed, blocks, start_ns, seed), facts


def _recording(
    path: Path, names: Sequence[str] | None, price_precision: int | None, size_precision: int | None
) -> tuple[Source, Facts]:
    """Read the file and return its source, and what the banner says about it."""
    recording = read_recording(
        path, symbols=names or (), price_precision=price_precision, size_precision=size_precision
    )
    blocks = partial(recording.blocks, _REPLAY_BLOCK)
    facts = [
        ("recording", f"{path}, {recording.table.shape[1]:,} ticks"),
        ("symbols", ", ".join(map(_describe, recording.instruments))),
        ("timestamps", recording.timestamps),
    ]
    return Source(recording.instruments, blocks, recording.start_ns, None), facts


def _describe(listing: Listing) -> str:
    return f"{listing.symbol} ({listing.price_precision} decimals in prices, {listing.size_precision} in sizes)"


def _within(flag: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise MockError(f"{value} is out of range", where=flag, fix=f"use {low} to {high}")
    return value


def _refuse(flags: Mapping[str, object], fix: str) -> None:
    for flag, value in flags.items():
        if value is not None:
            raise MockError("this flag does not fit the others", where=flag, fix=fix)


def _loopback(host: str) -> str:
    """Return ``host`` if it is this machine only: the market has neither accounts nor encryption."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise MockError(f"{host} is not a loopback address", where="--host", fix="use 127.0.0.1, ::1 or localhost")
    return str(address)
