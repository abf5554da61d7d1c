"""``microburst runs``: the backtests that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.commands.shared import JsonFlag, plain_table, write_json, write_table
from engine.errors import UserError


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where they were kept: the DIR of backtest --save.")
    ] = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """List the backtests that were kept with --save, oldest first."""
    from engine.tools.runs import runs_in

    found = [(path, _facts(path, head)) for path, head in runs_in(folder)]
    if as_json:
        write_json({"schema": "microburst.runs/1", "runs": [{"folder": str(path), **facts} for path, facts in found]})
        return
    table = plain_table("run", "trades", "net", "max drawdown", right=["trades", "net", "max drawdown"])
    for path, facts in found:
        if "fault" in facts:
            table.add_row(path.name, "-", facts["fault"], "-")
        else:
            table.add_row(path.name, f"{facts['trades']:,}", f"{facts['net']:,.4f}", f"{facts['max_drawdown']:,.4f}")
    write_table(table if found else f"no runs in {folder}; keep one with: microburst backtest ... --save {folder}")


def _facts(path: Path, head: dict[str, Any] | UserError) -> dict[str, Any]:
    """What the list says of one run; of a fault in one of its files, in which."""
    if isinstance(head, UserError):
        place = Path(head.where)
        return {"fault": f"{place.name}: {head.what}" if place.parent == path else head.what}
    result = head["result"]
    try:
        metrics, passport = result["metrics"], result["passport"]
        return {
            "run_id": result["run_id"],
            "saved_ns": head["saved_ns"],
            "strategy": passport["strategy"],
            "input": passport["input"],
            "trades": int(metrics["trades"]),
            **{name: float(metrics[name]) for name in ("net", "max_drawdown")},
        }
    except (KeyError, TypeError, ValueError):
        return {"fault": "parts of run.json are missing"}
