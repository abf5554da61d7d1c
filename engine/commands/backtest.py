"""``microburst backtest``: what a strategy would have done on recorded ticks, by the same kernel that trades."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.account.limits import said_limits
from engine.commands.figure_words import money, percent, said, title
from engine.commands.inputs import (
    BarPeriodFlag,
    BarStampsFlag,
    ManyBarsFlag,
    ManyTicksFlag,
    OnBadRowFlag,
    PricePrecisionFlag,
    QuotesFlag,
    SizePrecisionFlag,
    SymbolFlag,
    ZoneFlag,
    bar_flags,
    check_source,
    read_files,
    row_policy,
    tell_skipped,
    usage,
)
from engine.commands.progress import progress
from engine.commands.report import ENDINGS, check_report, write_report
from engine.commands.shared import (
    CalendarFlag,
    ConfigFlag,
    FeeFlag,
    FillsFlag,
    ForceFlag,
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
    account_of,
    check_new,
    chosen_line,
    load_config,
    naming_origins,
    plain_table,
    start_log,
    strategy_flags,
    table_text,
    wall_ns,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from engine.results import BacktestResult
    from engine.store.ticks import TickFile
    from engine.strategy import Strategy

DEMO_TICKS = 200_000
DEMO_SYMBOL = "AAPL"


def backtest(
    ticks: ManyTicksFlag = None,
    quotes: QuotesFlag = None,
    bars: ManyBarsFlag = None,
    zone: ZoneFlag = None,
    bar_stamps: BarStampsFlag = None,
    bar_period: BarPeriodFlag = None,
    demo: Annotated[bool, typer.Option("--demo", help="Use a generated sample instead of a file.")] = False,
    symbol: SymbolFlag = None,
    price_precision: PricePrecisionFlag = None,
    size_precision: SizePrecisionFlag = None,
    on_bad_row: OnBadRowFlag = "stop",
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="DAY", help="First day to trade; earlier records warm up."),
    ] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="DAY", help="Last day to trade.")] = None,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", min=1, help="Instead of --start: so many trading days.")
    ] = None,
    use_tick_data: Annotated[
        bool, typer.Option("--use-tick-data", help="Ticks are meant, not bars: refuse --bars.")
    ] = False,
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
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Also write a report: .html, .txt or .json, or the trades: .csv or .parquet, or each exit: .legs.csv "
            "or .legs.parquet.",
        ),
    ] = None,
    force: ForceFlag = False,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Keep the run in a new folder of DIR, such as runs."),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = 0,
    log_level: LogLevelFlag = None,
    log_format: LogFormatFlag = None,
) -> None:
    """Run a strategy over recorded ticks, or over bars.

    A tick file has the columns timestamp,price,size[,bid,ask][,symbol], with or without a header; a file of bars has
    the header timestamp,open,high,low,close,volume[,symbol].
    """
    of_bars = bar_flags(zone, bar_stamps, bar_period)
    precisions = {"--price-precision": price_precision, "--size-precision": size_precision}
    of_a_file = {"--quotes": quotes, "--symbol": symbol, **precisions, **of_bars}
    sources = {"--ticks FILE": ticks or None, "--bars FILE": bars or None, "--demo": demo or None}
    only_with = {"--ticks FILE": ["--quotes"], "--bars FILE": list(of_bars)}
    check_source(sources, of_a_file, only_with, "first result: microburst backtest --demo")
    if use_tick_data and bars:
        raise usage("--use-tick-data and --bars: not both", "give the ticks with --ticks FILE")
    policy = row_policy(on_bad_row)
    if report and report.suffix not in ENDINGS:
        raise usage(f"--report {report} ends in none of {', '.join(ENDINGS)}", "the ending says what is written")
    climbs = fills == "ladder"
    if climbs and (report or save):
        raise usage("--fills ladder makes several runs, and --report and --save keep one", "name one: --fills touch")
    if report:
        check_report(report, *(ticks or []), quotes, *(bars or []))
        check_new(report, force=force)
    loaded = load_config(
        config_file,
        parameters,
        **strategy_flags(strategy),
        paper__fills=None if climbs else fills,
        paper__spread=spread,
        paper__slippage_bps=slippage_bps,
        paper__fee=fee,
        session__calendar=calendar,
        risk__profile=risk_profile,
        sizing__size=size,
        log__level=log_level,
        log__format=log_format,
    )
    start_log(loaded, quiet=quiet, verbose=verbose)
    from engine.backtesting import backtest as run

    config = loaded.config
    chosen = chosen_line(loaded)
    how = {"price_precision": price_precision, "size_precision": size_precision, "on_bad_row": policy}
    file = demo_ticks() if demo else read_files(ticks, bars, of_bars, symbol, quotes=quotes, **how)
    if not quiet:
        _tell_input(file)
    if climbs:
        from engine.tools.ladder import ladder

        with naming_origins(loaded.origins):
            rungs = ladder(file, chosen, {"start": start, "end": end, "days": days} | account_of(config))
        _tell_outside(file, config.session.calendar, any(one.trades for one in rungs.values()))
        _show_ladder(rungs, as_json)
        return
    with naming_origins(loaded.origins), progress() as told:
        result = run(file, chosen, start=start, end=end, days=days, told=None if quiet else told, **account_of(config))
    _tell_outside(file, config.session.calendar, bool(result.trades))
    found = result.to_json()
    symbols = [item.symbol for item in file.instruments]
    tables = _tables(found, symbols, _records(file))
    if report:
        done = write_report(report, result, table_text(*tables))
        if not quiet:
            print(done, file=sys.stderr)
    if save:
        from engine.tools.runs import save as save_run

        folder = save_run(result, save, wall_ns())
        if not quiet:
            print(f"kept: {folder}", file=sys.stderr)
    if not quiet and config.paper.fills == "auto" and found["passport"]["fills"] == "last":
        print(_without_quotes(found["passport"]), file=sys.stderr)
    if as_json:
        write_json(found)
    else:
        write_table(*tables)
        if not quiet and not bars:  # what suits other bars cannot be guessed
            how_read = [part for flag, value in of_a_file.items() if value is not None for part in (flag, str(value))]
            named = [part for path in ticks or [] for part in ("--ticks", str(path))]
            source = [*named, *how_read] if ticks else ["--demo"]
            print(f"\nnext: {_next_command(source, strategy or [], result.strategy)}", file=sys.stderr)


def _show_ladder(results: dict[str, BacktestResult], as_json: bool) -> None:
    """Show the runs by every fill model side by side."""
    from engine.tools.ladder import rows

    found = rows(results)
    if as_json:
        write_json({"schema": "microburst.ladder/1", "rungs": found})
        return
    table = plain_table("fills", "trades", "fill rate [%]", "net", right=["trades", "fill rate [%]", "net"])
    for row in found:
        rate = "-" if row["fill_rate"] is None else f"{100 * row['fill_rate']:.1f}"
        table.add_row(row["fills"], f"{row['trades']:,}", rate, f"{row['net']:,.4f}")
    write_table(table)


def demo_ticks() -> TickFile:
    """Return a generated sample: the same ticks on every machine, with bid and ask."""
    import numpy as np

    from engine.model import Instrument, TickBlock
    from engine.store.ticks import TickFile
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


def _records(file: TickFile) -> str:
    return "ticks" if file.block.start_ns is None else "bars"


def _tell_input(file: TickFile) -> None:
    """Say on standard error what was read, and what was found out rather than told."""
    detected = ", ".join(f"{name} {value}" for name, value in file.detected.items())
    print(f"{file.source}: {file.rows:,} {_records(file)}{f'; {detected}' if detected else ''}", file=sys.stderr)
    tell_skipped(file)
    if file.late:
        print(f"late rows (earlier than one above, traded at its time): {file.late:,}", file=sys.stderr)


def _tell_outside(file: TickFile, calendar: str, traded: bool) -> None:
    """Say on standard error where nothing was traded because no record is in a session."""
    from engine.calendars import calendar as find_calendar

    if not traded and len(file.block) and not (find_calendar(calendar).session_indices(file.block.ts_ns) >= 0).any():
        fix = "name that of the exchange it comes from with --calendar, or always"
        print(f"nothing was traded: no record is in a session of the calendar {calendar}; {fix}", file=sys.stderr)


def _next_command(source: Sequence[str], strategies: Sequence[str], strategy: Strategy) -> str:
    """Return what to try next: the same again, with one parameter changed if the strategy has the usual one."""
    given = [part for line in strategies for part in ("--strategy", line)]
    change = ["--set", "window=7s"] if "window" in strategy.declared and not any("=" in one for one in given) else []
    return shlex.join(["microburst", "backtest", *source, *given, *change, "--json"])


def _without_quotes(passport: Mapping[str, Any]) -> str:
    free = not passport["slippage_bps"] and passport["fee"].partition("/")[0] == "0"
    result = "trades cost nothing" if free else "no spread is paid"
    return f"no quotes in the data: fills are at the last price and {result}; assume a spread with --spread 0.01"


def _made_with(found: dict[str, Any], symbols: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what the result was made with: strategy, symbols, period and costs."""
    from engine.brokers.fills import LADDER

    passport = found["passport"]
    for label, one in passport.get("strategies", {"": passport}).items():
        parameters = ", ".join(f"{name}={value}" for name, value in one["parameters"].items())
        yield label or "strategy", f"{one['strategy'].rpartition('.')[2]}({parameters}){_in_a_line_up(one)}"
    yield "symbols" if len(symbols) > 1 else "symbol", ", ".join(symbols)
    if found["ticks"]:
        yield "period", f"{_second(found['first_ts_ns'])} to {_second(found['last_ts_ns'])} UTC"
    yield "fills", passport["fills"]
    assumed, crosses = passport["spread"], LADDER[passport["fills"]].crosses
    yield "spread", f"{assumed:g}" if assumed is not None else "that of the quotes" if crosses else "none"
    yield "slippage", f"{passport['slippage_bps']:g} bps"
    yield "fee", passport["fee"]
    delays = {"feed": passport["latency_feed"], "orders": passport["latency_order"]}
    if late := [f"{what} {delay}" for what, delay in delays.items() if delay != "0s"]:
        yield "latency", ", ".join(late)
    yield "calendar", passport["calendar"]
    if rules := passport["session_rules"]:
        yield "session rules", ", ".join(f"{name} {rule}" for name, rule in rules.items())
    yield "starting cash", f"{passport['starting_cash']:,.2f}"
    yield "size", passport["size"]
    yield "limits", said_limits(passport["risk_profile"], passport["risk"])


def _in_a_line_up(one: Mapping[str, Any]) -> str:
    """What a strategy's line says besides its parameters."""
    said = {
        "weight": f"{one.get('weight', 1):g}",
        "symbols": ",".join(one.get("symbols", ())),
        "when": one.get("when", ""),
    }
    return "".join(f" {name} {value}" for name, value in said.items() if value not in ("1", ""))


def _second(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def _tables(found: dict[str, Any], symbols: Sequence[str], records: str) -> list[Table | str]:
    """Return the human result: what it was made with, figures, and trades by reason."""
    settings = plain_table("setting", "value")
    for name, value in _made_with(found, symbols):
        settings.add_row(name, value)
    figures = plain_table("result", "value", right=["value"])
    figures.add_row(records, f"{found['ticks']:,}")
    for name, value in _figures(found):
        figures.add_row(name, value)
    reasons = plain_table("reason", "trades", "gross", "net", right=["trades", "gross", "net"])
    for reason, group in found["metrics"]["by_exit"].items():
        reasons.add_row(reason, f"{group['trades']:,}", money(group["gross"]), money(group["net"]))
    parts: list[Any] = [settings, "", figures, "", reasons if found["trades"] else "no trades"]
    return [*parts, "", _by_strategy(found["by_strategy"])] if len(found["by_strategy"]) > 1 else parts


def _by_strategy(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """What each strategy of several did."""
    numbers = ("trades", "wins", "gross", "net")
    table = plain_table("strategy", "symbols", *numbers, "refused", right=numbers)
    for name, own in figures.items():
        refused = ", ".join(f"{reason} {count:,}" for reason, count in own["refusals"].items()) or "0"
        shown = f"{own['trades']:,}", f"{own['wins']:,}", money(own["gross"]), money(own["net"])
        table.add_row(name, ", ".join(own["symbols"]), *shown, refused)
    return table


SHOWN = (
    *("trades", "open_at_end", "wins", "losses", "win_rate", "average_win", "average_loss", "expectancy"),
    *("gross", "spread_cost", "slippage_cost", "fees", "borrow_cost", "net", "max_drawdown"),
    *("profit_factor", "sqn", "sharpe", "sortino", "exposure", "break_even_bps"),
)
"""Figures of the table of results, in this order; money is in the account's currency."""


def _figures(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table of results."""
    metrics = found["metrics"]
    for name in SHOWN:
        yield title(name), said(name, metrics[name])
    for held in metrics["buy_and_hold"]:
        yield f"buy and hold {held['symbol']} [%]", percent(held["return"])
    yield title("consecutive_losses"), said("consecutive_losses", metrics["consecutive_losses"])
    yield "signals skipped", f"{len(found['skipped_signals']):,}"
    yield "signals refused", _by_reason(found["refusals"])
    yield "decision hash", found["decision_hash"]


def _by_reason(refusals: list[dict[str, Any]]) -> str:
    counts = Counter(refusal["reason"] for refusal in refusals)
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items())) or "0"
