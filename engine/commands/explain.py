"""``microburst explain``: every condition at one moment, value against threshold, and what risk would have said."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.shared import (
    CalendarFlag,
    ConfigFlag,
    FillsFlag,
    JsonFlag,
    SetFlag,
    SpreadFlag,
    StrategyFlag,
    account_of,
    chosen_strategy,
    load_config,
    plain_table,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    from engine.tools.explain import ConditionLine, Explanation


def explain(
    ticks: Annotated[Path, typer.Option("--ticks", metavar="FILE", help="Tick file: CSV, CSV.gz or Parquet.")],
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="The moment: ISO text (UTC without a zone) or nanoseconds.")
    ],
    symbol: Annotated[str | None, typer.Option("--symbol", help="Of several symbols in the file, only this.")] = None,
    strategy: StrategyFlag = None,
    parameters: SetFlag = None,
    config_file: ConfigFlag = None,
    fills: FillsFlag = None,
    spread: SpreadFlag = None,
    calendar: CalendarFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Say why the strategy traded or did not at a moment of a tick file.

    It runs over the ticks up to that moment and no further, so it shows what the engine knew then.
    """
    loaded = load_config(
        config_file,
        parameters,
        strategy__name=strategy,
        paper__fills=fills,
        paper__spread=spread,
        session__calendar=calendar,
    )
    from engine.backtesting import make_settings
    from engine.quantities import parse_time_ns
    from engine.store import read_ticks
    from engine.tools.explain import SCHEMA
    from engine.tools.explain import explain as run

    config = loaded.config
    chosen = chosen_strategy(loaded)(**config.strategy.params)
    at_ns = parse_time_ns(at, where="flag --at")
    file = read_ticks(ticks, symbol=symbol)
    found = run(file, chosen, make_settings(file.block, **account_of(config)), at_ns)
    if as_json:
        write_json({"schema": SCHEMA, "at_ns": at_ns, "explanations": [one.to_json() for one in found]})
        return
    for one in found:
        _show(one)


def _show(one: Explanation) -> None:
    moment = datetime.fromtimestamp(one.ts_ns // 1_000_000_000, UTC)
    head = f"{one.symbol} {one.price:g} at {moment:%Y-%m-%d %H:%M:%S}.{one.ts_ns % 1_000_000_000:09d} UTC"
    table = plain_table("condition", "value", "threshold", "distance", "", right=["value", "threshold", "distance"])
    for line in one.conditions:
        value, threshold, distance = (measured(number, line) for number in (line.value, line.threshold, line.distance))
        table.add_row(line.name, value, f"{line.op} {threshold}", distance, "holds" if line.holds else "no")
    facts = plain_table("then", "")
    facts.add_row("windows", "warm" if one.warm else f"cold for another {one.warm_in_ns / 1e9:.3f} s")
    facts.add_row("rule says", one.state)
    facts.add_row("position", one.position)
    facts.add_row("signals to skip", str(one.cooldown_left))
    facts.add_row("risk", one.refusal or "would let an entry through")
    for decision in one.decisions:
        facts.add_row("decided", decision)
    write_table(head, "", table, "", facts, "")


def measured(number: float, line: ConditionLine) -> str:
    """A value in the unit that its condition is read in."""
    if math.isnan(number):
        return "-"
    return f"{number * 100:.4f} %" if line.unit == "%" else f"{number:.6g}"
