"""What an account brings from one session to the next: its money, its day, and who may trade on it.

A session that is interrupted goes on as it was, so this is about one that ended in order, or that cannot go on because
its settings are not wanted any more. Then nothing is open, and what is left of it fits on a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from engine.events import Refusal


@dataclass(frozen=True, slots=True)
class Carried:
    """An account with nothing open, between two sessions; amounts in its currency, exact.

    ``day`` is the trading day that the old session was in, None before its first record: what is counted by day goes
    on if the new session begins in it. ``cooldowns`` are signals still to be skipped, by strategy and symbol.
    """

    session: str  # that it comes from
    equity: Fraction
    high: Fraction  # that a drawdown limit is counted from
    day: int | None = None
    day_start: Fraction = Fraction(0)
    day_halted: bool = False
    today: Mapping[str, int] = field(default_factory=dict)  # counts of the day, as the risk ledger names them
    day_trades: tuple[int, ...] = ()  # how many trading days before ``day`` each was made: calendars number them apart
    halted: Refusal | None = None
    halted_for: str = ""  # what an operator said of it
    paused: bool = False
    cooldowns: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; amounts as exact quotients."""
        plain = {name: str(value) if isinstance(value, Fraction) else value for name, value in asdict(self).items()}
        return plain | {"day_trades": list(self.day_trades), "halted": self.halted and self.halted.value}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Carried:
        """Read what ``to_json`` gave.

        Raises:
            ValueError, TypeError, KeyError: it gave no such thing.
        """
        amounts = {name: Fraction(facts[name]) for name in ("equity", "high", "day_start")}
        halted = None if facts["halted"] is None else Refusal(facts["halted"])
        return cls(**{**facts, **amounts, "halted": halted, "day_trades": tuple(facts["day_trades"])})
