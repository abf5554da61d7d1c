"""What lies between two runs: the settings that differ, and their figures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Figure = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting by its dotted name, as text in both runs; empty where a run has no such setting."""

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
        if isinstance(self.before, Decimal) or isinstance(self.after, Decimal):
            return Decimal(self.after) - Decimal(self.before)
        return self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("before", "after", "difference")
        values = {name: getattr(self, name) for name in names}
        plain = {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}
        return {"name": self.name, **plain}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The entries of two passports that differ, in their order, those of inner tables by dotted names."""
    left, right = (dict(_flat(passport)) for passport in (before, after))
    names = [*left, *(name for name in right if name not in left)]
    found = [Difference(name, left.get(name, ""), right.get(name, "")) for name in names]
    return [one for one in found if one.before != one.after]


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
        if value is None or isinstance(value, int | float | Decimal)
    ]
