"""``microburst stress``: a strategy in crashes, gaps, halts and bursts of volatility."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.groups import with_groups
from engine.commands.shared import (
    JsonFlag,
    StrategyFlag,
    Trading,
    account_of,
    chosen_line,
    elapsed,
    naming_origins,
    plain_table,
    write_json,
    write_table,
)
from engine.commands.side_by_side import number

if TYPE_CHECKING:
    from engine.results import BacktestResult
    from engine.store.ticks import TickFile
    from engine.tools.stress import Outcome


@with_groups
def stress(
    trading: Trading,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="A folder with recorded months and days.", exists=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the generated days.")] = 1,
    strategy: StrategyFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a strategy through bad weather: generated days that misbehave, and with --data recorded months and days.

    It shows what the strategy and its limits do when the market does its worst, not how likely that is.
    """
    loaded = trading.load(strategy)
    chosen_line(loaded)  # a mistake is told before any work
    from engine.backtesting import make_settings, simulate
    from engine.tools.stress import SCHEMA, scenarios
    from engine.tools.stress import stress as run_through

    account = account_of(loaded.config)

    def run(file: TickFile, calendar: str) -> BacktestResult:
        line = chosen_line(loaded)
        with naming_origins(loaded.origins):
            return simulate(file, line, make_settings(file.block, line, **account | {"calendar": calendar}))

    found = run_through(run, scenarios(data, seed))
    if as_json:
        write_json({"schema": SCHEMA, "seed": seed, "scenarios": [one.to_json() for one in found]})
    else:
        _show(found)


def _show(found: Sequence[Outcome]) -> None:
    numbers = ("trades", "net", "worst trade", "max drawdown", "halted")
    table = plain_table("scenario", *numbers, "limits that acted", right=numbers)
    notes = []
    for one in found:
        if one.refused:
            table.add_row(one.scenario, *["-"] * len(numbers), "not run")
            notes.append(f"{one.scenario}: {one.refused}")
            continue
        money = (number(amount) for amount in (one.net, one.worst_trade, one.max_drawdown))
        halted = elapsed(round(one.halted_ns / 1e9)) if one.halted_ns else "-"
        limits = ", ".join(f"{reason} {count:,}" for reason, count in one.limits.items()) or "none"
        table.add_row(one.scenario, f"{one.trades:,}", *money, halted, limits)
    write_table(table, "", *notes, "It shows what happens in such weather, not how likely it is.")
