"""What lies between two runs: the settings that differ, and their figures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from engine.errors import ExitCode, UserError
from engine.tools.runs import Run
from engine.tools.trade_diff import EXACT, Pair, rows_of, totals, trade_diff

SCHEMA = "microburst.compare/1"

DATA = ("input", "input_sha256")
CODE = ("engine_version", "code_sha256", "build_sha256", "strategy_sha256")
DERIVED = ("config_sha256",)
"""Entries of a passport: of the ticks, of what ran, and those that only repeat others."""

Figure = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry of a passport by its dotted name, as text in both runs; empty where a run has no such entry."""

    kind: str  # data, code or setting
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FigurePair:
    """A figure of both runs, and the second less the first; None where it is undefined."""

    name: str
    before: Figure
    after: Figure

    @property
    def difference(self) -> Figure:
        """The second less the first, exactly; None unless both are known."""
        if self.before is None or self.after is None:
            return None
        if isinstance(self.before, int) and isinstance(self.after, int):
            return self.after - self.before
        return EXACT.subtract(Decimal(str(self.after)), Decimal(str(self.before)))  # of a kept run: as it is written

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("before", "after", "difference")
        values = {name: getattr(self, name) for name in names}
        plain = {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}
        return {"name": self.name, **plain}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The entries of two passports that differ: data first, then code, then settings, inner tables by dotted names."""
    left, right = (dict(_flat(passport)) for passport in (before, after))
    names = [*left, *(name for name in right if name not in left)]
    found = [Difference(_kind_of(name), name, left.get(name, ""), right.get(name, "")) for name in names]
    order = ("data", "code", "setting")
    differ = [one for one in found if one.before != one.after and one.name not in DERIVED]
    return sorted(differ, key=lambda one: order.index(one.kind))


def _kind_of(name: str) -> str:
    return "data" if name in DATA else "code" if name in CODE else "setting"


def _flat(passport: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in passport.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", "none" if value is None else str(value)


def figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FigurePair]:
    """The single figures of two sets of metrics side by side; tables within them are left out."""
    return [
        FigurePair(name, value, after.get(name))
        for name, value in before.items()
        if all(one is None or isinstance(one, int | float | Decimal) for one in (value, after.get(name)))
    ]


class Comparison:
    """Two kept runs: what was different about them, and what came of it."""

    def __init__(self, before: Run, after: Run, *, different_data: bool = False) -> None:
        """Lay two runs side by side.

        Raises:
            UserError: they ran over different data, and that was not asked for (exit code 8).
        """
        self.before, self.after = before, after
        self.differences = differences(before.passport, after.passport)
        self.same_data = before.passport["input_sha256"] == after.passport["input_sha256"]
        if not self.same_data and not different_data:
            raise UserError(
                f"{before.name} ran on {before.passport['input']} and {after.name} on {after.passport['input']}: "
                "their results say nothing about each other",
                fix="compare runs on the same file, or insist with --different-data",
                exit_code=ExitCode.MISMATCH,
            )

    @property
    def pairs(self) -> list[Pair]:
        """Both runs' trades side by side; none where the data differ, since no trade has a counterpart there."""
        return trade_diff(rows_of(self.before.trades), rows_of(self.after.trades)) if self.same_data else []

    @property
    def figures(self) -> list[FigurePair]:
        """The figures of both runs."""
        return figures(self.before.metrics, self.after.metrics)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "schema": SCHEMA,
            "before": {"run": self.before.name, "run_id": self.before.run_id},
            "after": {"run": self.after.name, "run_id": self.after.run_id},
            "same_data": self.same_data,
            "same_decisions": self.before.decision_hash == self.after.decision_hash,
            "differences": [asdict(one) for one in self.differences],
            "metrics": [one.to_json() for one in self.figures],
            "trades": {
                fate.value: {"count": count, "net_difference": float(net)}
                for fate, (count, net) in totals(self.pairs).items()
            },
            "pairs": [pair.to_json() for pair in self.pairs],
        }
