"""What a change would have done to a recorded session: its own inputs through its own kernel, with one thing different.

The inputs are the journal's, all of them: ticks, time, gaps of the feed and an operator's commands. So what differs in
the trades is the change and what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.account.metrics import trade_metrics
from engine.config.settings import Found, by_path, flatten, merged
from engine.errors import ExitCode, UserError
from engine.journal.reader import read_manifest
from engine.live.recording import line_of
from engine.live.replay import Replay, config_of, first_difference
from engine.strategy import Strategy
from engine.tools.compare import Difference, differences, figures
from engine.tools.trade_diff import Pair, rows_of, totals, trade_diff

SCHEMA = "microburst.whatif.session/1"


class SessionWhatIf:
    """A recorded session as it was, and as it would have been.

    Args:
        directory: of its journal.
        changes: what is set otherwise, by dotted key: ``paper.fee``, ``strategy.params.window``.

    Raises:
        UserError: the journal is damaged or does not replay to what was recorded (exit code 8), or a value is invalid.
    """

    def __init__(self, directory: Path, changes: Mapping[str, Found]) -> None:
        manifest = read_manifest(directory)
        changed = with_changes(manifest, changes)
        self.was, self.would_be = Replay(directory), Replay(directory, changed)
        self.was.check_whole()
        if (first := self.was.difference()) is not None:
            what, fix = f"the session does not replay to what was recorded: {first.line()}", "see: microburst parity"
            raise UserError(what, where=directory.name, fix=fix, exit_code=ExitCode.MISMATCH)
        self.changes: list[Difference] = differences(*(flat_settings(one) for one in (manifest, changed)))

    @cached_property
    def metrics(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The figures of the trades, as the session was and as it would have been."""
        was, would_be = (trade_metrics(one.kernel.trades) for one in (self.was, self.would_be))
        return was, would_be

    @cached_property
    def pairs(self) -> list[Pair]:
        """The trades side by side."""
        return trade_diff(rows_of(self.was.kernel.trades), rows_of(self.would_be.kernel.trades))

    @cached_property
    def parting(self) -> str:
        """The first decision that differs, in one sentence; empty where there is none."""
        first = first_difference(self.was.replayed, self.would_be.replayed)
        return "" if first is None else first.line()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "schema": SCHEMA,
            "session": self.was.manifest["session"],
            "before": {"decision_hash": self.was.journal.decision_hash},
            "after": {"decision_hash": self.would_be.journal.decision_hash},
            "changes": [{"name": one.name, "before": one.before, "after": one.after} for one in self.changes],
            "trades": {
                fate.value: {"count": count, "net_difference": float(net)}
                for fate, (count, net) in totals(self.pairs).items()
            },
            "metrics": [one.to_json() for one in figures(*self.metrics)],
            "first_difference": self.parting,
            "pairs": [pair.to_json() for pair in self.pairs],
        }


def strategy_of(directory: Path) -> type[Strategy] | None:
    """The strategy of a recorded session; None where it traded by several."""
    line = line_of(config_of(read_manifest(directory)))
    return type(line) if isinstance(line, Strategy) else None


def with_changes(manifest: dict[str, Any], changes: Mapping[str, Found]) -> dict[str, Any]:
    """A manifest whose session would have been set up otherwise.

    Raises:
        ConfigError: a value is not one of its kind, with where it was set.
    """
    line = line_of(config_of(manifest))
    changed, paths = deepcopy(manifest), by_path(changes)
    for (section, *tables, key), one in paths.items():
        table = changed["config"].setdefault(section, {})
        for name in tables:
            table = table.setdefault(name, {})
            assert isinstance(line, Strategy), "only of one strategy a parameter can be named"
            line.declared[key].parse(one.value, where=one.origin)  # type: ignore[arg-type]  # it is text
        table[key] = one.value
    merged({path: Found(value, "the recording") for path, value in flatten(manifest["config"])} | paths)
    return changed


def flat_settings(manifest: dict[str, Any]) -> dict[str, Any]:
    """What was set, by section: what ``differences`` compares."""
    config: dict[str, Any] = manifest["config"]
    return {name: values for name, values in config.items() if isinstance(values, dict)}
