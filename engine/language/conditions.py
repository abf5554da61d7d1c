"""The rule language on conditions: what joins, times and remembers them, and regimes, classes of market."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import nearest
from engine.language.grammar import (
    Comparison,
    Condition,
    Expr,
    Joined,
    Kind,
    Operand,
    Quantity,
    RuleError,
    condition,
    operand,
)
from engine.language.measures import (
    Length,
    Past,
    Series,
)
from engine.language.naming import Call, composed
from engine.language.parameters import Param
from engine.language.series import count_of_records, previous, run_length
from engine.language.trades import price
from engine.language.values import log, where


@composed
def between(x: Operand, low: Operand, high: Operand) -> Joined:
    """Whether low <= x <= high."""
    return (operand(x) >= low) & (operand(x) <= high)


@composed
def crosses_above(x: Operand, y: Operand) -> Joined:
    """Whether x is above y, and was not on the record before."""
    return (operand(x) > operand(y)) & Past(operand(x) <= operand(y), 1)


@composed
def crosses_below(x: Operand, y: Operand) -> Joined:
    """Whether x is below y, and was not on the record before."""
    return (operand(x) < operand(y)) & Past(operand(x) >= operand(y), 1)


@composed
def begins(when: Condition) -> Condition:
    """Whether the condition holds, and did not on the trade before: on bars, on the trade on which it comes to hold.

    What is true of a closed bar stays true until the next one closes. An entry that is stopped out meanwhile would be
    made again at once; one that *begins* is made once.
    """
    trades_in_a_row = run_length(condition(when, "begins") & (price > 0))
    trades_in_a_row.made_by = Call("run_length", (when,), {})
    return when & (trades_in_a_row == 1)


@composed
def rising(x: Operand, length: Length = 1) -> Comparison:
    """Whether x is above what it was ``length`` records ago."""
    return operand(x) > previous(operand(x), count_of_records("rising", length))


@composed
def falling(x: Operand, length: Length = 1) -> Comparison:
    """Whether x is below what it was ``length`` records ago."""
    return operand(x) < previous(operand(x), count_of_records("falling", length))


@composed
def for_at_least(when: Condition, length: Length) -> Comparison:
    """Whether the condition has held without a break for a duration, or for so many records."""
    held = condition(when, "for_at_least")
    if _is_duration(length):
        return Series("run_time", (held,)) >= length
    count = count_of_records("for_at_least", length, "write for_at_least(x, seconds(5)) or for_at_least(x, 20)")
    return Series("run_length", (held,)) >= count


@composed
def within(when: Condition, length: Length) -> Comparison:
    """Whether the condition has held at some moment less than a duration, or so many records, ago."""
    held = condition(when, "within")
    if _is_duration(length):
        return Series("since_time", (held,)) < length
    count = count_of_records("within", length, "write within(x, seconds(5)) or within(x, 20)")
    return Series("since_count", (held,)) < count


def _is_duration(length: Length) -> bool:
    return isinstance(length, Param | Quantity) and length.kind is Kind.DURATION


# ---------------------------------------------------------------- regimes


@dataclass(frozen=True, slots=True)
class _Is:
    """How a condition on a regime was written; told when it is asked for, as ``engine.language.naming.Call`` is."""

    regime: Regime
    name: str

    def __str__(self) -> str:
        return f'({self.regime} == "{self.name}")'


def _class_of(declared: object) -> tuple[str, Condition]:
    match declared:
        case (str(name), when):
            return name, condition(when, f"Regime {name!r}")
    fix = 'write Regime(("CALM", x < 1), ("WILD", x > 5))'
    raise RuleError("a class of a regime is its name and a condition, in brackets", fix=fix)


class Regime:
    """Classes of market: the first whose condition holds, else ``otherwise``; ``regime == "CALM"`` is a condition."""

    instead = 'compare it with a class: regime == "CALM"'

    def __init__(self, *classes: tuple[str, Condition], otherwise: str = "NORMAL") -> None:
        declared = [_class_of(each) for each in classes]
        self.names = [*(name for name, _ in declared), otherwise]
        self._conditions = [when for _, when in declared]
        self.name = ""
        self.made_by: object = None
        if len(set(self.names)) != len(self.names) or not classes:
            raise RuleError("a regime's classes need names of their own", fix='write Regime(("CALM", x < 1))')

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __str__(self) -> str:
        return self.name or str(self.made_by or f"Regime({', '.join(self.names)})")

    __repr__ = __str__

    def __eq__(self, name: object) -> Condition:  # type: ignore[override]
        if name not in self.names:
            raise RuleError(f"this regime has no class {name!r}", fix=nearest(str(name), self.names))
        place = self.names.index(str(name))
        earlier = [~when for when in self._conditions[:place]]
        parts = [*earlier, *self._conditions[place : place + 1]]
        made = parts[0]
        for part in parts[1:]:
            made = made & part
        made.made_by = made.made_by or _Is(self, str(name))
        return made

    def __ne__(self, name: object) -> Condition:  # type: ignore[override]
        return ~(self == name)

    __hash__ = None  # type: ignore[assignment]

    @property
    def code(self) -> Expr:
        """The number of the class, from 0 in the order of declaration: for columns and plots; undefined in none."""
        made: Expr = log(0)  # undefined
        for place, name in reversed(list(enumerate(self.names))):
            made = where(self == name, place, made)
        return made
