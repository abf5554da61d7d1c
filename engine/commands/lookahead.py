"""``microburst lookahead``: proof by running again that no decision of a strategy rests on what came after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording
from engine.commands.progress import progress
from engine.commands.shared import (
    JsonFlag,
    Trading,
    account_of,
    chosen_line,
    naming_origins,
    plain_table,
    strategy_flags,
    write_json,
    write_table,
)
from engine.errors import ExitCode, UserError

if TYPE_CHECKING:
    from engine.tools.lookahead import Mismatch, Report


@with_groups
def lookahead(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE:CLASS ...", help="Which strategies; each may be 'NAME symbols=A,B KEY=VALUE'."
        ),
    ],
    recording: Recording,
    trading: Trading,
    points: Annotated[
        int, typer.Option("--points", metavar="N", min=0, help="Ticks drawn at random to cut off at.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the draw.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Prove on a file that no decision rests on what came after it; exit 8 when one does.

    The run is repeated tick by tick, and cut off after every decision and at ticks drawn at random. Of several
    strategies each is run for itself.
    """
    recording.check()
    loaded = trading.load(None, **strategy_flags(names))
    from engine.backtesting import make_settings
    from engine.lineup import entrants_of, labels
    from engine.tools.lookahead import SCHEMA
    from engine.tools.lookahead import lookahead as compare

    config = loaded.config
    line = chosen_line(loaded)
    entrants = entrants_of(line)
    file = recording.read()
    with naming_origins(loaded.origins):
        settings = make_settings(file.block, line, **account_of(config))
    reports: dict[str, Report] = {}
    for who, entrant in zip(labels(entrants), entrants, strict=True):
        with naming_origins(loaded.origins), progress() as told:
            reports[who] = compare(file, entrant, settings, points, seed, told)
        if not as_json:
            _show(who, reports[who])
    if as_json:
        found = [{"strategy": who, **report.to_json()} for who, report in reports.items()]
        write_json({"schema": SCHEMA, **(found[0] if len(found) == 1 else {"strategies": found})})
    for who, report in reports.items():
        if report.mismatch is not None:
            raise UserError(_sentence(report.mismatch), where=who, exit_code=ExitCode.MISMATCH)


def _show(who: str, report: Report) -> None:
    """Write what was compared; what comes after the first mismatch was not."""
    failed = None if report.mismatch is None else report.mismatch.check
    drawn = report.cuts - report.decision_cuts
    compared = {
        "repeated": f"{report.decisions:,} decisions",
        "tick by tick": f"the decisions after each of {report.ticks:,} ticks",
        "truncated": f"at {report.cuts:,} ticks, {report.decision_cuts:,} with decisions and {drawn:,} others; "
        f"{report.values:,} values of conditions",
    }
    table = plain_table("run", "", "compared")
    for check, what in compared.items():
        table.add_row(check, "differs" if check == failed else "equal", what)
        if check == failed:
            break
    own = "none: the rule is all there is" if not report.own_code else "on_fire or on_tick"
    if report.own_code:
        own += f"; data as long as the ticks within its reach: {', '.join(report.within_reach) or 'none'}"
    left = f"left as it is, and so not examined: {', '.join(report.unchanged)}"
    write_table(who, "", table, "", f"own code: {own}", *([left] if report.unchanged else []))


def _sentence(found: Mismatch) -> str:
    """The first difference, and what it means."""
    import numpy as np

    where = f"row {found.row:,} ({np.datetime64(found.ts_ns, 'ns')} UTC)"
    thing = "a condition or the code" if found.number is None else f"decision {found.number:,}"
    said = f"{thing} is {found.instead} instead of {found.whole_run}"
    if found.check == "repeated":
        cause = "its code remembers something between runs, or asks chance or a clock"
        return f"the same run again differs: {said}; {cause}"
    if found.check == "tick by tick":
        return f"handed over one by one, up to {where} {said}"
    return f"looks ahead: with nothing after {where}, {said}"
