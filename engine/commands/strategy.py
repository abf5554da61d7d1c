"""``microburst strategy``: which strategies there are, and what each one declares."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording, usage
from engine.commands.shared import (
    JsonFlag,
    SetFlag,
    Trading,
    account_of,
    chosen_strategy,
    elapsed,
    load_config,
    naming_origins,
    plain_table,
    write_json,
    write_table,
)
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.rules import Param
    from engine.strategy import Strategy
    from engine.tools.checks import Finding
    from engine.tools.data_checks import WarmUpLine

LONGEST_TEXT = 80
"""Characters of a condition that a table shows; ``--json`` has them all."""

app = typer.Typer(help="List the strategies, show one, or check one.", no_args_is_help=False)


@app.command("list")
def list_all(as_json: JsonFlag = False) -> None:
    """List the built-in and installed strategies."""
    from engine.plugins import find_strategy, origin_of, strategy_names

    rows = {name: _summary(find_strategy(name)) for name in strategy_names()}
    origins = {name: dict(zip(("from", "version"), origin_of(name), strict=True)) for name in rows}
    if as_json:
        write_json({"schema": "microburst.strategies/1", "strategies": rows, "origins": origins})
        return
    table = plain_table("strategy", "from", "version", "what it does")
    for name, text in rows.items():
        table.add_row(name, *origins[name].values(), text)
    write_table(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE:CLASS", help="Which strategy.")],
    graph: Annotated[
        bool, typer.Option("--graph", help="Show what it compiles to: each node of the core's graph, in order.")
    ] = False,
    parameters: SetFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a strategy declares.

    Its parameters, features, conditions and exits; with --graph, what the core computes of them on every trade.
    """
    from engine.plugins import find_strategy, origin_of

    if graph:
        loaded = load_config(None, parameters, strategy__name=name)
        _show_graph(chosen_strategy(loaded)(**loaded.config.strategy.params), as_json=as_json)
        return
    if parameters:
        fix = "add --graph, to see what it compiles to with these values"
        raise usage("--set changes nothing in what a strategy declares", fix)
    found = describe(find_strategy(name))
    found["from"], found["version"] = origin_of(name)
    if as_json:
        write_json({"schema": "microburst.strategy/1", **found})
        return
    declared = plain_table("parameter", "default", "bounds", "meaning")
    for row in found["parameters"]:
        declared.add_row(row["name"], row["default"], row["bounds"], row["meaning"])
    rules = plain_table("rule", "declared as")
    for rule, text in found["rules"].items():
        rules.add_row(rule, text)
    title = ": ".join(filter(None, (found["strategy"], found["summary"])))
    parts: list[Any] = [title, "", declared, "", rules]
    if found["regimes"]:
        regimes = plain_table("regime", "classes, in the order in which they are asked")
        for regime, classes in found["regimes"].items():
            regimes.add_row(regime, ", ".join(classes))
        parts += ["", regimes]
    limits = f"limits of the risk profile {found['risk_profile']}"
    write_table(*parts, "", f"{limits}; from {found['from']}, version {found['version']}")


def _show_graph(strategy: Strategy, *, as_json: bool) -> None:
    """Write the compiled graph: the conditions, then every node in the order of evaluation."""
    from engine.tools.graph import SCHEMA, graph_of

    graph = graph_of(strategy)
    if as_json:
        write_json({"schema": SCHEMA, "strategy": type(strategy).__name__, **graph.to_json()})
        return
    conditions = plain_table("", "condition", "side", "node", "decided", "warm-up", right=("node",))
    for one in graph.conditions:
        decided = "exactly" if one.exact else "in doubles"
        text = one.text if len(one.text) <= LONGEST_TEXT else f"{one.text[: LONGEST_TEXT - 1]}…"
        conditions.add_row(one.label, text, " ".join(one.sides), f"#{one.node}", decided, str(one.warm_up))
    several = {node.instrument for node in graph.nodes} != {""}
    nodes = plain_table("", *(["of"] if several else []), "computes", "clock", "warm-up", "for")
    for node in graph.nodes:
        of = [node.instrument] if several else []
        warm_up = str(node.warm_up) if node.serves else ""  # what joins conditions waits for theirs
        nodes.add_row(f"#{node.number}", *of, node.computes, node.clock, warm_up, " ".join(node.serves))
    title = ": ".join(filter(None, (type(strategy).__name__, _summary(type(strategy)))))
    saved = graph.unshared - len(graph.nodes)
    count = f"{len(graph.nodes)} nodes, {graph.shared} of them shared by several conditions"
    count += f"; unshared they would be {graph.unshared}" if saved else ""
    waits = str(graph.warm_up)
    firing = f"Signals wait for {waits}." if waits else "Signals wait for no window, only for values."
    units = "Prices in ticks, sizes in lots, times in nanoseconds."
    write_table(title, "", conditions, "", nodes, "", f"{count}. {firing} {units}")


@app.command()
@with_groups
def check(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE:CLASS", help="Which strategy.")],
    recording: Recording,
    trading: Trading,
    as_json: JsonFlag = False,
) -> None:
    """Look for what a strategy declares in vain; exit 3 when there is something.

    With ticks: conditions that decide nothing on them, thresholds never reached, and how long everything takes to warm
    up.
    """
    if recording.named:
        recording.check()
    loaded = trading.load(name)
    from engine.tools.checks import PROBLEM, SCHEMA, check_declaration

    config = loaded.config
    chosen = chosen_strategy(loaded)(**config.strategy.params)
    findings = check_declaration(chosen)
    warm_ups: list[WarmUpLine] = []
    if recording.named:
        from engine.backtesting import make_settings
        from engine.tools.data_checks import check_on_data

        file = recording.read()
        with naming_origins(loaded.origins):
            more, warm_ups = check_on_data(file, chosen, make_settings(file.block, chosen, **account_of(config)))
        findings += more
    problems = sum(finding.level == PROBLEM for finding in findings)
    if as_json:
        told = {"findings": [one.to_json() for one in findings], "warm_up": [one.to_json() for one in warm_ups]}
        write_json({"schema": SCHEMA, "strategy": type(chosen).__name__, "problems": problems, **told})
    else:
        _show_check(type(chosen).__name__, findings, warm_ups)
    if problems:
        what = f"{problems} problem{'s' if problems > 1 else ''} found"
        raise ConfigError(what, where=type(chosen).__name__, fix="each is named above")


def _show_check(name: str, findings: Sequence[Finding], warm_ups: Sequence[WarmUpLine]) -> None:
    """Write what was found, and the warm-ups where there was data."""
    parts: list[Any] = []
    if findings:
        table = plain_table("level", "finding")
        for one in findings:
            table.add_row(one.level, one.what)
        parts.append(table)
    else:
        parts.append(f"{name}: nothing is declared in vain")
    if warm_ups:
        numbers = ("has a value after", "windows full after")
        table = plain_table("symbol", "warm-up of", "windows", *numbers, right=numbers)
        for line in warm_ups:
            value = "" if line.value_trades is None else _span(line.value_trades, line.value_ns)
            table.add_row(line.symbol, line.condition, _needs(line), value, _span(line.full_trades, line.full_ns))
        parts += ["", table]
    write_table(*parts)


def _needs(line: WarmUpLine) -> str:
    from engine.quantities import format_duration

    needs = [format_duration(line.needs_ns)] if line.needs_ns else []
    return ", ".join([*needs, *([f"{line.needs_trades:,} ticks"] if line.needs_trades else [])]) or "none"


def _span(trades: int | None, ns: int | None) -> str:
    if trades is None or ns is None:
        return "never"
    return f"{trades:,} {'tick' if trades == 1 else 'ticks'}, {elapsed(ns / 1e9)}"


def describe(strategy: type[Strategy]) -> dict[str, Any]:
    """Return what ``strategy`` declares, as text."""
    from engine.language.entries import Market
    from engine.language.exits import as_declared
    from engine.rules import Condition, Expr, Param, Regime
    from engine.sizing import said_size

    declared = {
        name: value
        for owner in reversed(strategy.__mro__)
        for name, value in vars(owner).items()
        if isinstance(value, Expr | Condition | Regime) and not isinstance(value, Param)
    }
    rules = {name: _without_name(value) for name, value in declared.items()}
    exits = strategy.exits if isinstance(strategy.exits, tuple) else (strategy.exits,)
    if not isinstance(strategy.entry, Market):
        rules["entry"] = as_declared(strategy.entry)
    rules["exits"] = ", ".join(map(as_declared, exits))
    if strategy.size is not None:
        rules["size"] = said_size(strategy.size)
    return {
        "strategy": strategy.__name__,
        "summary": _summary(strategy),
        "parameters": [
            {
                "name": name,
                "default": str(param.default),
                "kind": str(param.kind),
                "bounds": _bounds(param),
                "meaning": param.doc,
            }
            for name, param in strategy.declared.items()
        ],
        "risk_profile": strategy.risk_profile,
        "regimes": {name: list(value.names) for name, value in declared.items() if isinstance(value, Regime)},
        "rules": rules,
    }


def _without_name(value: Any) -> str:
    """Return a rule as it was written: a named rule would otherwise print as its own name."""
    name, value.name = value.name, ""
    try:
        return str(value)
    finally:
        value.name = name


def _bounds(param: Param) -> str:
    from engine.rules import Quantity

    if param.choices:
        return " | ".join(param.choices)
    low, high = ("" if bound is None else str(Quantity(param.kind, bound)) for bound in (param.low, param.high))
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""


def _summary(strategy: type[Strategy]) -> str:
    """Return the first line of the class's own docstring; one that it inherits is about something else."""
    return inspect.cleandoc(strategy.__doc__ or "").partition("\n")[0]
