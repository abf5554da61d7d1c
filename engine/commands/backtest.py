"""``engine backtest``: what a strategy would have done on recorded ticks, by the same kernel that trades."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    SetFlag,
    SlippageFlag,
    SpreadFlag,
    StrategyFlag,
    VerboseFlag,
    chosen_strategy,
    load_config,
    plain_table,
    start_log,
    write_json,
    write_table,
)
from engine.errors import ConfigError, ExitCode, UserError

if TYPE_CHECKING:
    from engine.store import TickFile

DEMO_TICKS = 200_000
DEMO_SYMBOL = "AAPL"


def backtest(
    ticks: Annotated[
        Path | None,
        typer.Option("--ticks", metavar="FILE", help="Tick file: CSV, CSV.gz or Parquet.", show_default=False),
    ] = None,
    quotes: Annotated[
        Path | None, typer.Option("--quotes", metavar="FILE", help="Quote file, merged with the ticks by time.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Use a generated sample instead of a file.")] = False,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Of several symbols in the file, only this.")] = None,
    price_precision: Annotated[
        int | None, typer.Option("--price-precision", metavar="N", help="Decimals of a price; else as the file needs.")
    ] = None,
    size_precision: Annotated[
        int | None, typer.Option("--size-precision", metavar="N", help="Decimals of a size; else as the file needs.")
    ] = None,
    on_bad_row: Annotated[
        str, typer.Option("--on-bad-row", metavar="stop|skip", help="Stop at a malformed row, or skip and count it.")
    ] = "stop",
    strategy: StrategyFlag = None,
    parameters: SetFlag = None,
    config_file: ConfigFlag = None,
    fills: FillsFlag = None,
    spread: SpreadFlag = None,
    slippage_bps: SlippageFlag = None,
    fee: FeeFlag = None,
    calendar: CalendarFlag = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write the result: .json all, .csv the trades.")
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = 0,
    log_level: LogLevelFlag = None,
    log_format: LogFormatFlag = None,
) -> None:
    """Run a strategy over recorded ticks.

    A tick file has the columns timestamp,price,size[,bid,ask][,symbol], with or without a header.
    """
    _check_usage(ticks, demo=demo, on_bad_row=on_bad_row, report=report)
    loaded = load_config(
        config_file,
        parameters,
        strategy__name=strategy,
        paper__fills=fills,
        paper__spread=spread,
        paper__slippage_bps=slippage_bps,
        paper__fee=fee,
        session__calendar=calendar,
        log__level=log_level,
        log__format=log_format,
    )
    start_log(loaded, quiet=quiet, verbose=verbose)
    from engine.backtesting import backtest as run
    from engine.store import read_ticks

    config = loaded.config
    chosen = chosen_strategy(loaded)
    if ticks is None:
        file = demo_ticks()
    else:
        policy: Literal["stop", "skip"] = "skip" if on_bad_row == "skip" else "stop"
        precisions = {"price_precision": price_precision, "size_precision": size_precision}
        file = read_ticks(ticks, symbol=symbol, on_bad_row=policy, quotes=quotes, **precisions)
    if not quiet:
        _tell_input(file)
    result = run(
        file,
        chosen,
        fills=None if config.paper.fills == "auto" else config.paper.fills,
        spread=config.paper.spread,
        slippage_bps=config.paper.slippage_bps,
        fee=config.paper.fee,
        latency_feed=config.paper.latency_feed,
        latency_order=config.paper.latency_order,
        starting_cash=config.paper.starting_cash,
        position_size=config.risk.position_size,
        daily_loss_limit=config.risk.daily_loss_limit,
        calendar=config.session.calendar,
        **config.strategy.params,
    )
    found = result.to_json()
    if report:
        _write_report(report, found)
    if as_json:
        write_json(found)
    else:
        _show(found, "--demo" if ticks is None else f"--ticks {ticks}")


def _check_usage(ticks: Path | None, *, demo: bool, on_bad_row: str, report: Path | None) -> None:
    """Refuse what the parser cannot see.

    Raises:
        UserError: with exit code 2.
    """

    def refuse(what: str, fix: str) -> UserError:
        return UserError(what, fix=fix, exit_code=ExitCode.USAGE)

    if demo == (ticks is not None):
        raise refuse("one of --ticks FILE and --demo is needed", "first result: microburst backtest --demo")
    if on_bad_row not in ("stop", "skip"):
        raise refuse(f"--on-bad-row {on_bad_row} is neither stop nor skip", "write --on-bad-row stop, or skip")
    if report and report.suffix not in (".json", ".csv"):
        raise refuse(f"--report {report} ends in neither .json nor .csv", "the ending says what is written")


def demo_ticks() -> TickFile:
    """Return a generated sample: the same ticks on every machine, with bid and ask."""
    import numpy as np

    from engine.model import Instrument, TickBlock
    from engine.store import TickFile
    from mock_server.market import generate

    made = generate(DEMO_TICKS, symbols=[DEMO_SYMBOL])
    block = TickBlock(
        ts_ns=np.ascontiguousarray(made.ts_ns),
        price_ticks=np.ascontiguousarray(made.price_ticks),
        size_lots=np.ascontiguousarray(made.size_lots),
        bid_ticks=np.ascontiguousarray(made.bid_ticks),
        ask_ticks=np.ascontiguousarray(made.ask_ticks),
    )
    return TickFile(block, [Instrument(DEMO_SYMBOL)], source="generated sample, seed 1")


def _tell_input(file: TickFile) -> None:
    """Say on standard error what was read, and what was found out rather than told."""
    detected = ", ".join(f"{name} {value}" for name, value in file.detected.items())
    print(f"{file.source}: {file.rows:,} ticks{f'; {detected}' if detected else ''}", file=sys.stderr)
    if file.skipped:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in file.skipped.items())
        print(f"skipped rows: {counts}; the first: {'; '.join(file.skipped_samples)}", file=sys.stderr)
    if file.late:
        print(f"late rows (earlier than one above, traded at its time): {file.late:,}", file=sys.stderr)


def _write_report(path: Path, found: dict[str, Any]) -> None:
    import orjson

    try:
        if path.suffix == ".json":
            path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str))
            return
        with path.open("w", newline="", encoding="utf-8") as file:
            file.write(f"# run {found['run_id']}\n")
            names = list(found["trades"][0]) if found["trades"] else ["side"]
            table = csv.DictWriter(file, names, lineterminator="\n")
            table.writeheader()
            table.writerows(found["trades"])
    except OSError as error:
        raise ConfigError(f"cannot write the report: {error.strerror}", where=str(path)) from None


def _show(found: dict[str, Any], source: str) -> None:
    """Write the human result: figures, trades by reason, and what to try next."""
    table = plain_table("result", "value", right=["value"])
    for name, value in found["metrics"].items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), _figure(value))
    for name in ("skipped_signals", "refusals"):
        values = found[name]
        count = sum(values.values()) if isinstance(values, dict) else len(values)
        table.add_row(name.replace("_", " "), _figure(count))
    reasons = plain_table("reason", "trades", "gross", "net", right=["trades", "gross", "net"])
    for reason in dict.fromkeys(trade["reason"] for trade in found["trades"]):
        trades = [trade for trade in found["trades"] if trade["reason"] == reason]
        gross, net = (sum(float(trade[name]) for trade in trades) for name in ("gross", "net"))
        reasons.add_row(reason, str(len(trades)), f"{gross:+.2f}", f"{net:+.2f}")
    write_table(table, "", reasons, "")
    print(f"next: microburst backtest {source} --set entry_threshold=0.1% --json", file=sys.stderr)


def _figure(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)
