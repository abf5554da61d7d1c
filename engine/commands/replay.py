"""``microburst replay`` and ``microburst parity``: a recorded session once more, every decision compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.account.portfolio import said_price
from engine.commands.figure_words import so_many
from engine.commands.journal import SessionArgument, journal_of
from engine.commands.shared import ConfigFlag, JsonFlag, plain_table, write_json, write_table
from engine.errors import ExitCode, UserError

if TYPE_CHECKING:
    from engine.live.replay import Difference, Replay

SCHEMA = "microburst.replay/1"


def replay(session: SessionArgument, config_file: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """Run a recorded session again and show its trades; say whether every decision was the same."""
    again = _again(session, config_file)
    difference = again.difference()
    if as_json:
        write_json(_facts(again, difference) | {"trades": [_trade(one) for one in again.kernel.trades]})
        return
    numbers = ("entry", "exit", "size", "net")
    table = plain_table("symbol", "side", *numbers, "reason", right=numbers)
    for one in again.kernel.trades:
        prices = (said_price(one.entry_price), said_price(one.exit_price), f"{one.qty:f}", f"{one.net:f}")
        table.add_row(one.symbol, one.side, *prices, one.reason)
    if again.kernel.trades:
        write_table(table, "")
    write_table(_told(again, difference))


def parity(session: SessionArgument, config_file: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """Prove that a recorded session, run again, decides the same; exit 8 and the first difference when not."""
    again = _again(session, config_file)
    again.check_whole()
    difference = again.difference()
    if as_json:
        write_json(_facts(again, difference))
    if difference is not None:
        changed = "the strategy's file has changed since" if again.edited else ""
        raise UserError(difference.line(), where=again.manifest["session"], fix=changed, exit_code=ExitCode.MISMATCH)
    if not as_json:
        write_table(_told(again, None))


def _again(session: str, config_file: Any) -> Replay:
    from engine.live.replay import Replay

    return Replay(journal_of(session, config_file))


def _told(again: Replay, difference: Difference | None) -> str:
    head = f"{again.manifest['session']}: {so_many(again.inputs, 'input')}, {so_many(again.ticks, 'tick')}"
    if difference is not None:
        return f"{head}; {difference.line()}"
    cut = f"; damaged: {again.reader.problem}" if again.reader.problem else ""
    return f"{head}, {so_many(len(again.recorded.decisions), 'decision')}, 0 differences{cut}"


def _facts(again: Replay, difference: Difference | None) -> dict[str, Any]:
    found = None
    if difference is not None:
        found = {name: getattr(difference, name) for name in difference.__slots__}
        found |= {"recorded": str(difference.recorded), "replayed": str(difference.replayed)}
    return {
        "schema": SCHEMA,
        "session": again.manifest["session"],
        "inputs": again.inputs,
        "ticks": again.ticks,
        "decisions": len(again.replayed.decisions),
        "decision_hash": again.journal.decision_hash,
        "strategy_edited": again.edited,
        "problem": again.reader.problem,
        "difference": found,
    }


def _trade(one: Any) -> dict[str, Any]:
    from engine.results import TRADE_FIELDS, plain

    return {name: plain(getattr(one, name)) for name in TRADE_FIELDS}
