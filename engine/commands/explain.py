"""``microburst explain``: every condition at one moment, or what each held back over a whole run."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording
from engine.commands.shared import (
    JsonFlag,
    StrategiesFlag,
    Trading,
    account_of,
    chosen_line,
    elapsed,
    naming_origins,
    plain_table,
    strategy_flags,
    write_json,
    write_table,
)
from engine.errors import ExitCode, UserError

if TYPE_CHECKING:
    from engine.tools.explain import ConditionLine, Explanation
    from engine.tools.near_misses import WhyNot

LONG_NS = 60_000_000_000
"""A last trade that is older than this is told of."""

TWO_DAYS_S = 2 * 86_400

MADE = ("trades", "wins", "gross", "costs", "net")
"""What trades made, as a table has it; ``--json`` has spread, slippage and fees apart."""


@with_groups
def explain(
    recording: Recording,
    trading: Trading,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="The moment: ISO text (UTC without a zone) or nanoseconds."),
    ] = None,
    whole_run: Annotated[
        bool, typer.Option("--why-not", help="Over the whole file: what each condition held back.")
    ] = False,
    recorded: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION", help="A recorded session, or 'last', in place of a file.", show_default=False
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="The same, named by a flag.")
    ] = None,
    decision: Annotated[
        int | None,
        typer.Option("--decision", metavar="N", help="With a session, in place of --at: the moment of this decision."),
    ] = None,
    strategy: StrategiesFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Say why the strategy traded or did not, at a moment of a file or over all of it.

    At a moment it runs over the ticks up to then and no further, so it shows what the engine knew then. Of several
    strategies each is explained, on the account that they share; with --why-not each as if it were alone.
    """
    if session is not None and recorded is not None:
        raise UserError(f"{recorded} and --session: not both", fix="name one session", exit_code=ExitCode.USAGE)
    session = session or recorded
    if decision is not None and (session is None or at is not None or whole_run):
        what = "--decision N is the number of one of a session's decisions"
        raise UserError(what, fix="write microburst explain SESSION --decision N", exit_code=ExitCode.USAGE)
    if session is None and not recording.named:
        what = "there is nothing to explain: neither a file nor a session"
        fix = "give --ticks FILE or --bars FILE, or a recorded session: microburst explain last --at TIME"
        raise UserError(what, fix=fix, exit_code=ExitCode.USAGE)
    if (at is None and decision is None) is not whole_run:
        what = "--at TIME and --why-not: not both" if whole_run else "one of --at TIME and --why-not is needed"
        fix = "--at asks about one moment, --why-not about the whole file"
        raise UserError(what, fix=fix, exit_code=ExitCode.USAGE)
    if session is not None:
        _explain_session(session, at, decision, recording, trading, strategy, as_json)
        return
    recording.check()
    loaded = trading.load(None, **strategy_flags(strategy))
    from engine.backtesting import make_settings
    from engine.lineup import entrants_of, labels, traded_by
    from engine.quantities import parse_time_ns
    from engine.tools import explain as moment
    from engine.tools import near_misses

    config = loaded.config
    line = chosen_line(loaded)
    at_ns = None if at is None else parse_time_ns(at, where="flag --at")
    file = recording.read()
    entrants = entrants_of(line)
    with naming_origins(loaded.origins):
        settings = make_settings(file.block, line, **account_of(config))
        if at_ns is not None:
            _show_all(moment.explain(file, line, settings, at_ns), at_ns, as_json)
            return
        runs = [
            (label, run)
            for label, entrant in zip(labels(entrants), entrants, strict=True)
            for traded in [{file.instruments[index].symbol for index in traded_by(entrant, file.instruments)}]
            for run in near_misses.why_not(file, entrant.strategy, settings)
            if run.symbol in traded
        ]
    if as_json:
        found = [{"strategy": label, **run.to_json()} for label, run in runs]
        write_json({"schema": near_misses.SCHEMA, "instruments": found})
        return
    for label, run in runs:
        _show_run(run, label if len(entrants) > 1 else "")


def _explain_session(
    session: str,
    at: str | None,
    decision: int | None,
    recording: Recording,
    trading: Trading,
    strategy: Any,
    as_json: bool,
) -> None:
    """Explain a moment of a recorded session, which has settings and a strategy of its own."""
    from engine.commands.journal import journal_of
    from engine.quantities import parse_time_ns
    from engine.tools.explain_session import explain_session
    from engine.tools.recorded import decision_ts_ns

    own = [getattr(trading, one.name) for one in fields(trading) if one.name != "config_file"]
    if (at is None and decision is None) or recording.named or strategy or any(own):
        what = "--session goes with --at TIME, and with the flags of neither files nor strategies"
        raise UserError(what, fix="a session was recorded with its own settings", exit_code=ExitCode.USAGE)
    directory = journal_of(session, trading.config_file)
    at_ns = parse_time_ns(at, where="flag --at") if at is not None else decision_ts_ns(directory, decision or 0)
    _show_all(explain_session(directory, at_ns, decision), at_ns, as_json)


def _show_all(found: list[Explanation], at_ns: int, as_json: bool) -> None:
    _tell_gap(at_ns - max(one.ts_ns for one in found))
    if as_json:
        from engine.tools.explain import SCHEMA

        write_json({"schema": SCHEMA, "at_ns": at_ns, "explanations": [one.to_json() for one in found]})
        return
    several = len({one.strategy for one in found}) > 1
    for one in found:
        _show(one, one.strategy if several else "")


def _tell_gap(gap_ns: int) -> None:
    """Say on standard error that the last trade is far from the moment asked for: the data may end before it."""
    if gap_ns > LONG_NS:
        seconds = gap_ns // 1_000_000_000
        gap = elapsed(seconds) if seconds < TWO_DAYS_S else f"{seconds // 86_400:,} days"
        print(f"note: nothing has traded in the {gap} before that moment; this is the last trade", file=sys.stderr)


def _named(strategy: str, head: str) -> str:
    """A heading that says whose it is, where there are several."""
    return f"{strategy}: {head}" if strategy else head


def _show(one: Explanation, strategy: str) -> None:
    moment = datetime.fromtimestamp(one.ts_ns // 1_000_000_000, UTC)
    head = f"{one.symbol} {one.price:.12g} at {moment:%Y-%m-%d %H:%M:%S}.{one.ts_ns % 1_000_000_000:09d} UTC"
    numbers = ("value", "threshold", "distance")
    table = plain_table("side", "condition", *numbers, "", right=numbers)
    for line in one.conditions:
        value, threshold, distance = (measured(getattr(line, name), line, name) for name in numbers)
        shown = ("", "", "") if not line.op else (value, f"{line.op} {threshold}", distance)
        side = line.side if not line.depth else ""
        table.add_row(side, "  " * line.depth + line.name, *shown, "holds" if line.holds else "no")
    facts = plain_table("then", "")
    facts.add_row("windows", "full" if one.warm else f"not full for another {_still(one)}")
    facts.add_row("rule says", one.state)
    facts.add_row("position", one.position)
    facts.add_row("signals to skip", str(one.cooldown_left))
    facts.add_row("risk", one.refusal or "would let an entry through")
    facts.add_row("why", one.why)
    for decision in one.decisions:
        facts.add_row("decided", decision)
    tables = [table, "", facts] if one.conditions else [facts]
    write_table(_named(strategy, head), "", *tables, "")


def _still(one: Explanation) -> str:
    time = [elapsed(one.warm_in_ns / 1e9)] if one.warm_in_ns else []
    return " and ".join([*time, *([f"{one.warm_in_trades:,} trades"] if one.warm_in_trades else [])])


def measured(number: float, line: ConditionLine, column: str = "value") -> str:
    """A value in the unit that its condition is read in; four decimals, or six digits where that is more."""
    if math.isnan(number):
        return "-"
    if line.unit == "%":
        return f"{number * 100:.4f} %"
    if line.unit == "s":
        return _clock(number) if line.name == "time_of_day" and column != "distance" else elapsed(number)
    return f"{number:.4f}".rstrip("0").rstrip(".") if abs(number) >= 100 else f"{number:.6g}"


def _clock(seconds: float) -> str:
    """A time of day: ``09:59:59.052``."""
    minutes, milliseconds = divmod(round(seconds * 1_000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds / 1_000:06.3f}"


def _show_run(run: WhyNot, strategy: str) -> None:
    held = ", ".join(f"{side} on {_share(count, run.judged)}" for side, count in run.held.items())
    head = f"{run.symbol}: judged on {run.judged:,} of {run.trades:,} trades; the rule said {held}"
    counted = ("held", "stood alone", "near misses", "met later")
    counts = plain_table("side", "condition", *counted, right=counted)
    made = plain_table("side", "without", *MADE, right=MADE)
    for one in run.conditions:
        shares = (_share(one.held, run.judged), _share(one.alone, run.judged))
        counts.add_row(one.side, one.condition, *shares, f"{one.near_misses:,}", f"{one.met_later:,}")
        made.add_row(one.side, one.condition, *_figures(one.figures))
    signals = plain_table("signals of the rule", "count", *MADE, right=("count", *MADE))
    signals.add_row("entered", f"{run.entered:,}", *_figures(run.figures))
    for refusal in run.refusals:
        figures = [] if refusal.figures is None else _figures(refusal.figures)
        signals.add_row(f"no: {refusal.reason}", f"{refusal.signals:,}", *figures)
    title = "near misses, each traded alone, would have made"
    write_table(_named(strategy, head), "", counts, "", title, made, "", signals, "", *_left_open(run))


def _left_open(run: WhyNot) -> list[str]:
    """What was made by trades that only the end of the data has closed: no trade is counted, but money is."""
    told = [one.figures for one in run.conditions], [run.figures], [one.figures for one in run.refusals if one.figures]
    near, entered, refused = (sum(figures["open_at_end"] for figures in some) for some in told)
    if not near + entered + refused:
        return []
    whose = {"near misses": near, "entered": entered, "refused": refused}
    said = ", ".join(f"{count:,} {name}" for name, count in whose.items() if count)
    counted = "in the money above at the last price, and in no number of trades"
    return [f"still open at the end of the data: {said}", counted, ""]


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.2f} %" if of else "-"


def _figures(figures: Mapping[str, Any]) -> list[str]:
    costs = sum(figures[name] for name in ("spread_cost", "slippage_cost", "fees", "borrow_cost"))
    return [_number(value) for value in ({**figures, "costs": costs}[name] for name in MADE)]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{round(value, 4) or 0:,.4f}"  # or 0: never -0.0000
