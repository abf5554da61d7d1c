"""Two runs side by side, as tables: what was set differently, figures, trades, and where the runs part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.account.portfolio import said_price
from engine.commands.explain import measured
from engine.commands.figure_words import Figure, said, title
from engine.commands.shared import plain_table, write_table

if TYPE_CHECKING:
    from rich.table import Table

    from engine.tools.compare import Comparison, Difference, FigurePair
    from engine.tools.explain import ConditionLine
    from engine.tools.trade_diff import Pair, Row
    from engine.tools.whatif import FirstDifference, WhatIf
    from engine.tools.whatif_session import SessionWhatIf

HASH_DIGITS = 12

FATES = {"same": "same in both", "changed": "changed", "gone": "gone (only {0})", "new": "new (only {1})"}
"""What a count of trades says of them; the braces are the names of the two runs."""

GAINED = ("daily_pnl", "total_pnl")

LONGEST_LIST = 20
"""Trades that a table shows; ``--json`` has them all."""


def show_pairs(found: WhatIf, names: tuple[str, str]) -> None:
    """Write two runs over the same ticks."""
    from engine.tools.compare import figures

    parts = settings_table(found.changes, names)
    parts += figures_table(figures(found.before.metrics, found.after.metrics), names)
    parts += trades_table(found.pairs, names)
    if found.first is not None:
        parts += ["", *_parting(found.first, names)]
    write_table(*parts)


def show_session(found: SessionWhatIf, names: tuple[str, str]) -> None:
    """Write a recorded session beside what it would have been."""
    from engine.tools.compare import figures

    parts = settings_table(found.changes, names)
    parts += figures_table(figures(*found.metrics), names)
    parts += trades_table(found.pairs, names)
    write_table(*parts, "", found.parting or "every decision is the same")


def show_kept(found: Comparison) -> None:
    """Write two kept runs, called a and b."""
    names = ("a", "b")
    head = plain_table("run", "folder", "strategy")
    for name, run in zip(names, (found.before, found.after), strict=True):
        head.add_row(name, run.name, run.strategy)
    parts: list[Table | str] = [head, "", *settings_table(found.differences, names)]
    if found.before.decision_hash == found.after.decision_hash:
        parts.append("every decision is the same")
    parts += figures_table(found.figures, names)
    if found.same_data:
        parts += trades_table(found.pairs, names)
    else:
        parts += ["", "on different data: no trade of one has a counterpart in the other"]
    write_table(*parts)


def settings_table(changes: Sequence[Difference], names: tuple[str, str]) -> list[Table | str]:
    """What was different before anything was traded: data, code, settings; of a hash the beginning."""
    if not changes:
        return ["nothing is set differently"]
    table = plain_table("different", *names)
    for one in changes:
        short = HASH_DIGITS if one.name.endswith("_sha256") else None
        table.add_row(one.name, one.before[:short], one.after[:short])
    return [table]


def figures_table(figures: Sequence[FigurePair], names: tuple[str, str]) -> list[Table | str]:
    """The figures that differ, and the number of trades in any case."""
    shown = [one for one in figures if one.name == "trades" or one.before != one.after]
    net = next((one for one in shown if one.name == "net"), None)
    if net is not None:  # with nothing left open it is all that was gained
        shown = [one for one in shown if one.name not in GAINED or _values(one) != _values(net)]
    numbers = (*names, "difference")
    table = plain_table("result", *numbers, right=numbers)
    for one in shown:
        table.add_row(title(one.name), *(said(one.name, value) for value in (*_values(one), one.difference)))
    return ["", table]


def _values(one: FigurePair) -> tuple[Figure, Figure]:
    return one.before, one.after


def trades_table(pairs: Sequence[Pair], names: tuple[str, str]) -> list[Table | str]:
    """How many trades are the same, and those that are not."""
    from engine.tools.trade_diff import Fate, totals

    counts = plain_table("trades", "count", "net difference", right=("count", "net difference"))
    for fate, (count, net) in totals(pairs).items():
        counts.add_row(FATES[fate.value].format(*names), f"{count:,}", number(net))
    differing = [pair for pair in pairs if pair.fate is not Fate.SAME]
    if not differing:
        return ["", counts]
    table = plain_table("trade", "symbol", "side", names[0], "net", names[1], "net", right=("net",))
    for pair in differing[:LONGEST_LIST]:
        row: Row = pair.before or pair.after or {}
        table.add_row(pair.fate.value, row["symbol"], row["side"], *_in_short(pair.before), *_in_short(pair.after))
    more = len(differing) - LONGEST_LIST
    return ["", counts, "", table, *([f"and {more:,} more; --json has them all"] if more > 0 else [])]


def _in_short(row: Row | None) -> tuple[str, str]:
    """Entry, exit and reason of a trade, and its net result."""
    if row is None:
        return "-", "-"
    entry, leave = (
        f"{moment(row[f'{name}_ts_ns'])} at {said_price(row[f'{name}_price'])}" for name in ("entry", "exit")
    )
    return f"{entry}, {row['reason']} {leave.partition(' ')[2] if leave[:10] == entry[:10] else leave}", number(
        row["net"]
    )


def _parting(first: FirstDifference, names: tuple[str, str]) -> Iterator[Table | str]:
    yield f"the runs part at {moment(first.ts_ns, 9)} UTC, {first.symbol}:"
    told = plain_table("run", "there it", "because")
    told.add_row(names[0], first.before, first.why_before)
    told.add_row(names[1], first.after, first.why_after)
    yield told
    if first.conditions:
        table = plain_table("side", "condition that came out differently", *names)
        for one in first.conditions:
            table.add_row(one.side, one.name, *map(_outcome, (one.before, one.after)))
        yield ""
        yield table


def _outcome(line: ConditionLine) -> str:
    value, threshold = measured(line.value, line), measured(line.threshold, line, "threshold")
    return f"{value} {line.op} {threshold} {'holds' if line.holds else 'does not hold'}"


def moment(ts_ns: int, digits: int = 3) -> str:
    """A time as text in UTC, with so many digits after the second."""
    whole, fraction = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%d %H:%M:%S}.{f'{fraction:09d}'[:digits]}"


def number(value: Any) -> str:
    """A figure: counts whole, money and rates to four decimals, a dash for what is undefined."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{round(value, 4) or (Decimal(0) if isinstance(value, Decimal) else 0.0):,.4f}"  # or: never -0.0000
