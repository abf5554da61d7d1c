"""``microburst strategy``: which strategies there are, and what each one declares."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.shared import JsonFlag, plain_table, write_json, write_table

if TYPE_CHECKING:
    from engine.rules import Param
    from engine.strategy import Strategy

app = typer.Typer(help="List the strategies, or show one.", no_args_is_help=False)


@app.command("list")
def list_all(as_json: JsonFlag = False) -> None:
    """List the built-in and installed strategies."""
    from engine.plugins import find_strategy, strategy_names

    rows = {name: _summary(find_strategy(name)) for name in strategy_names()}
    if as_json:
        write_json({"schema": "microburst.strategies/1", "strategies": rows})
        return
    table = plain_table("strategy", "what it does")
    for name, text in rows.items():
        table.add_row(name, text)
    write_table(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE:CLASS", help="Which strategy.")],
    as_json: JsonFlag = False,
) -> None:
    """Show what a strategy declares.

    Its parameters, features, conditions and exits.
    """
    from engine.plugins import find_strategy

    found = describe(find_strategy(name))
    if as_json:
        write_json({"schema": "microburst.strategy/1", **found})
        return
    parameters = plain_table("parameter", "default", "bounds", "meaning")
    for row in found["parameters"]:
        parameters.add_row(row["name"], row["default"], row["bounds"], row["meaning"])
    rules = plain_table("rule", "declared as")
    for rule, text in found["rules"].items():
        rules.add_row(rule, text)
    title = ": ".join(filter(None, (found["strategy"], found["summary"])))
    write_table(title, "", parameters, "", rules)


def describe(strategy: type[Strategy]) -> dict[str, Any]:
    """Return what ``strategy`` declares, as text."""
    from engine.rules import Condition, Expr, Param

    rules = {
        name: _without_name(value)
        for owner in reversed(strategy.__mro__)
        for name, value in vars(owner).items()
        if isinstance(value, Expr | Condition) and not isinstance(value, Param)
    }
    exits = strategy.exits if isinstance(strategy.exits, tuple) else (strategy.exits,)
    rules["exits"] = ", ".join(f"{type(item).__name__}({getattr(item, item.__slots__[0])})" for item in exits)
    return {
        "strategy": strategy.__name__,
        "summary": _summary(strategy),
        "parameters": [
            {"name": name, "default": str(param.default), "bounds": _bounds(param), "meaning": param.doc}
            for name, param in strategy.declared.items()
        ],
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
