"""``microburst features``: the columns of a strategy's features, or of any expressions, on recorded ticks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording, usage
from engine.commands.shared import (
    CalendarFlag,
    ConfigFlag,
    ForceFlag,
    JsonFlag,
    SetFlag,
    StrategiesFlag,
    check_new,
    chosen_line,
    load_config,
    naming_origins,
    plain_table,
    strategy_flags,
    write_json,
    write_table,
)
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.config.settings import Loaded
    from engine.language.grammar import Part
    from engine.tools.feature_files import ColumnSummary
    from engine.tools.features import Declared, FeatureTable


@with_groups
def features(
    recording: Recording,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="NAME=EXPRESSION",
            help="A column of this name, such as move=change(seconds(15)); may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the columns: .parquet or .csv.")
    ] = None,
    force: ForceFlag = False,
    strategy: StrategiesFlag = None,
    parameters: SetFlag = None,
    config_file: ConfigFlag = None,
    calendar: CalendarFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Compute feature columns on recorded ticks or bars, one row per trade or bar.

    By the core that trades: the columns are what a live engine sees, to the bit. Of a strategy, all features and
    conditions that it names; of several each as STRATEGY.NAME; or of the expressions given. Without --out a summary is
    shown.
    """
    if feature and (strategy or parameters):
        what = f"--feature and {'--strategy' if strategy else '--set'}: not both"
        fix = "ask for a strategy's columns, or for expressions of your own"
        raise usage(what, fix)
    recording.check()
    loaded = load_config(config_file, parameters, session__calendar=calendar, **strategy_flags(strategy))
    from engine.tools import feature_files
    from engine.tools.features import FeatureTable, feature_table

    if out is not None:
        feature_files.check_output(out, *recording.inputs)
        check_new(out, force=force)
    expressions = _expressions(feature or ())
    asked: list[tuple[str, Declared]] = [("", expressions)] if feature else _strategies(loaded)
    file = recording.read()
    table, summary = FeatureTable(file, {}), list[feature_files.ColumnSummary]()
    try:
        for prefix, declared in asked:
            with naming_origins(loaded.origins):
                own = feature_table(file, declared, calendar=loaded.config.session.calendar)
            table.columns.update((prefix + name, column) for name, column in own.columns.items())
            found = feature_files.summarise(own, declared)
            summary += [replace(one, name=prefix + one.name) for one in found]
        if out is not None:
            feature_files.write_features(out, table)
    except ConfigError as error:
        if error.where not in expressions:
            raise
        raise ConfigError(error.what, where=f"flag --feature {error.where}", fix=error.fix) from None
    if as_json:
        facts = {"rows": len(table.rows), "out": None if out is None else str(out)}
        write_json({"schema": feature_files.SCHEMA, **facts, "columns": [one.to_json() for one in summary]})
    elif out is not None:
        rows, columns = f"{len(table.rows):,} rows", f"{len(feature_files.LEADING)} + {len(table.columns)} columns"
        write_table(f"{out}: {rows}, {columns} ({', '.join((*feature_files.LEADING, *table.columns))})")
    else:
        _show(table, summary)


def _expressions(given: Sequence[str]) -> dict[str, Part]:
    from engine.tools.expressions import parse_expression

    found: dict[str, Part] = {}
    for text in given:
        name, separator, expression = text.partition("=")
        name = name.strip()
        if not separator or not name.isidentifier() or expression.startswith("="):
            what, fix = f"'{text}' is not NAME=EXPRESSION", "write for example --feature 'move=change(seconds(15))'"
            raise ConfigError(what, where="flag --feature", fix=fix)
        if name in found:
            raise ConfigError(f"'{name}' is given twice", where="flag --feature", fix="give each column its own name")
        found[name] = parse_expression(expression, f"flag --feature {name}")
    return found


def _strategies(loaded: Loaded) -> list[tuple[str, Declared]]:
    """The strategies asked for, each with what its columns' names begin with: nothing where there is one."""
    from engine.lineup import entrants_of, labels

    entrants = entrants_of(chosen_line(loaded))
    return [
        (f"{label}." if len(entrants) > 1 else "", entrant.strategy)
        for label, entrant in zip(labels(entrants), entrants, strict=True)
    ]


def _show(table: FeatureTable, summary: Sequence[ColumnSummary]) -> None:
    """Write the summary: features with their range, conditions with how often they hold."""
    trades = len(table.rows)
    records = "trades" if table.file.block.open_ticks is None else "bars"
    parts: list[Any] = [f"{table.file.source}: {trades:,} {records}; rows are counted from 0"]
    features = [one for one in summary if one.kind == "feature"]
    if features:
        numbers = ("first row", "undefined", "min", "mean", "max")
        shown = plain_table("feature", "unit", *numbers, right=numbers)
        for one in features:
            figures = [_figure(figure) if one.defined else "" for figure in (one.minimum, one.mean, one.maximum)]
            shown.add_row(one.name, one.unit, _first(one), f"{trades - one.defined:,}", *figures)
        parts += ["", shown]
    conditions = [one for one in summary if one.kind == "condition"]
    if conditions:
        counts = ("first row", records, "share")
        shown = plain_table("condition holds", *counts, right=counts)
        for one in conditions:
            shown.add_row(one.name, _first(one), f"{one.defined:,}", f"{one.mean:.2%}" if trades else "")
        parts += ["", shown]
    write_table(*parts)


def _figure(number: float) -> str:
    """Four decimals, or six digits where that is more: a price of six digits keeps its cents."""
    return f"{number:.4f}".rstrip("0").rstrip(".") if abs(number) >= 100 else f"{number:.6g}"


def _first(one: ColumnSummary) -> str:
    return "never" if one.first_row is None else f"{one.first_row:,}"
