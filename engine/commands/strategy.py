"""``engine strategy``: which strategies there are, and what each one declares."""

from __future__ import annotations

import inspect

import typer

from engine.commands.shared import JsonFlag, plain_table, write_json, write_table

app = typer.Typer(help="List the strategies, or show one.", no_args_is_help=False)


@app.command("list")
def list_all(as_json: JsonFlag = False) -> None:
    """List the built-in and installed strategies."""
    from engine.plugins import find_strategy, strategy_names

    rows = {name: _first_line(find_strategy(name)) for name in strategy_names()}
    if as_json:
        write_json({"schema": "microburst.strategies/1", "strategies": rows})
        return
    table = plain_table("strategy", "what it does")
    for name, text in rows.items():
        table.add_row(name, text)
    write_table(table)


def _first_line(of: type) -> str:
    return (inspect.getdoc(of) or "").partition("\n")[0]
