"""A hedge: another symbol that is entered with the signal's own, on the other side, and left with it.

``hedge = Hedge(other, ratio=hedge_ratio(log(x), log(y), 60))`` in a strategy's body makes each of its entries a pair of
*legs*: the one that the rule speaks of leads, the other follows. What keeps the two together: ``engine.trading.legs``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from engine.language.entries import EntryPlan
from engine.language.exits import ExitPlan
from engine.language.grammar import Expr, Kind, Quantity, RuleError, said
from engine.language.parameters import Param
from engine.model import OrderType
from engine.quantities import Number, parse_number

EQUAL = Quantity(Kind.NUMBER, Fraction(1))


@dataclass(frozen=True, slots=True, eq=False)
class Hedge:
    """Enter ``other`` on the opposite side with every entry, and leave both together.

    ``ratio`` is how much money is in it for each unit of money in the leading leg: 1 for legs of equal money, a
    parameter, or a number of the rule language, measured when the signal is taken.
    """

    other: str | Quantity | Param
    ratio: Number | Quantity | Param | Expr = field(default=EQUAL)

    def __post_init__(self) -> None:
        other, ratio = self.other, self.ratio
        kind = other.kind if isinstance(other, Quantity | Param) else None
        if kind is not Kind.SYMBOL and not (isinstance(other, str) and other.strip()):
            raise RuleError(f"{said(other)} is no symbol", where="hedge", fix='write Hedge("AMD"), or Hedge(other)')
        if not isinstance(ratio, Expr | Quantity):
            object.__setattr__(self, "ratio", Quantity(Kind.NUMBER, parse_number(ratio, where="Hedge")))


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """A hedge with one run's values: the other symbol, and a ratio that is fixed, or measured at each entry."""

    symbol: str
    ratio: Fraction | None = None
    measured: Expr | None = None


def hedge_plan_of(
    hedge: Hedge, parameters: dict[str, Quantity], entry: EntryPlan, exits: ExitPlan, owner: str
) -> HedgePlan:
    """The plan of a declared hedge with these parameter values.

    Raises:
        RuleError: the ratio is no plain positive number, or legs entered or left like this would not stay together.
    """

    def read(value: Quantity | Param) -> Quantity:
        return parameters[value.name] if isinstance(value, Param) else value

    where = f"{owner}.hedge"
    if entry.kind is not OrderType.MARKET:
        what = "an entry that waits would leave the other leg alone meanwhile"
        raise RuleError(what, where=where, fix="enter at the market: leave out entry")
    if exits.levels:
        what = "targets that rest or close a share would leave the legs of different size"
        raise RuleError(what, where=where, fix="write one Target, without share and resting")
    symbol = hedge.other if isinstance(hedge.other, str) else str(read(hedge.other).value)
    ratio = hedge.ratio
    if not isinstance(ratio, Quantity | Param):
        assert isinstance(ratio, Expr), "numbers have become quantities"
        return HedgePlan(symbol, measured=ratio)
    fixed = read(ratio)
    if fixed.kind not in (Kind.NUMBER, Kind.COUNT, Kind.RATIO) or fixed.value <= 0:
        raise RuleError(f"a ratio of {fixed} is no positive number", where=where, fix="write Hedge(other, ratio=1)")
    return HedgePlan(symbol, ratio=Fraction(fixed.value))
