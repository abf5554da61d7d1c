"""How a strategy enters: at once, at a price of its own, or once the price gets somewhere.

``entry = Limit(pct("0.1"))`` waits for a price a tenth of a percent better than the last; an expression in price,
such as ``Limit(vwap(session))``, waits for that price. What is declared is measured when the signal is taken and
then stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from engine.language.exits import Length, exit_value, ratio_or_distance
from engine.language.grammar import Expr, Kind, Quantity, RuleError
from engine.language.parameters import Param
from engine.model import OrderType, TimeInForce

Waiting = Literal["gtc", "ioc", "day"]


def check_waiting(name: str, good_for: object, time_in_force: str) -> None:
    """Refuse a waiting time that is none, or two of them.

    Raises:
        RuleError: it is not a duration, not a word of ``Waiting``, or both are given.
    """
    if time_in_force not in ("gtc", "ioc", "day"):
        raise RuleError(f"{name} knows no time in force {time_in_force!r}", where="entry", fix="gtc, ioc or day")
    if good_for is not None:
        exit_value(name, good_for, Kind.DURATION, "…, good_for=minutes(5)")
        if time_in_force != "gtc":
            fix = "leave one of them out"
            raise RuleError(f"{name} has both good_for and time_in_force", where="entry", fix=fix)


@dataclass(frozen=True, slots=True)
class Market:
    """Enter at once, at the market."""


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """Wait at a ``price`` or better; a ratio is how much better than the last trade that is.

    It waits ``good_for`` so long, until the end of the trading ``"day"``, not at all (``"ioc"``), or until it is
    filled. ``post_only`` gives up where the price could be had at once, so that the entry never takes from the book.
    """

    price: Param | Quantity | Expr
    good_for: Length | None = None
    time_in_force: Waiting = "gtc"
    post_only: bool = False

    def __post_init__(self) -> None:
        ratio_or_distance("Limit", self.price, "pct('0.1')")
        check_waiting("Limit", self.good_for, self.time_in_force)


@dataclass(frozen=True, slots=True, eq=False)
class StopEntry:
    """Enter at the market once a trade reaches a ``price`` beyond the last; a ratio says how far beyond."""

    price: Param | Quantity | Expr
    good_for: Length | None = None
    time_in_force: Waiting = "gtc"

    def __post_init__(self) -> None:
        ratio_or_distance("StopEntry", self.price, "pct('0.1')")
        check_waiting("StopEntry", self.good_for, self.time_in_force)


@dataclass(frozen=True, slots=True, eq=False)
class StopLimit:
    """As ``StopEntry``, but pay at most the ratio ``limit`` of the trigger more than that."""

    price: Param | Quantity | Expr
    limit: Length
    good_for: Length | None = None
    time_in_force: Waiting = "gtc"

    def __post_init__(self) -> None:
        ratio_or_distance("StopLimit", self.price, "pct('0.1'), limit=pct('0.05')")
        exit_value("StopLimit", self.limit, Kind.RATIO, "pct('0.1'), limit=pct('0.05')")
        check_waiting("StopLimit", self.good_for, self.time_in_force)


Entry = Market | Limit | StopEntry | StopLimit
ENTRIES = (Market, Limit, StopEntry, StopLimit)
KINDS = {
    Market: OrderType.MARKET,
    Limit: OrderType.LIMIT,
    StopEntry: OrderType.STOP,
    StopLimit: OrderType.STOP_LIMIT,
}


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """A strategy's entry with one run's values: where it waits is ``away`` from the last trade, or the ``price``."""

    kind: OrderType = OrderType.MARKET
    away: Fraction | None = None
    price: Expr | None = None
    limit: Fraction = Fraction(0)
    good_for_ns: int = 0
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False


def entry_plan_of(entry: Entry, parameters: dict[str, Quantity]) -> EntryPlan:
    """The plan of a declared entry with these parameter values."""

    def read(value: Param | Quantity) -> Quantity:
        return parameters[value.name] if isinstance(value, Param) else value

    if isinstance(entry, Market):
        return EntryPlan()
    ratio = read(entry.price).value if isinstance(entry.price, Param | Quantity) else None
    return EntryPlan(
        KINDS[type(entry)],
        ratio,
        None if isinstance(entry.price, Param | Quantity) else entry.price,
        read(entry.limit).value if isinstance(entry, StopLimit) else Fraction(0),
        read(entry.good_for).value if entry.good_for is not None else 0,
        TimeInForce.GTD if entry.good_for is not None else TimeInForce(entry.time_in_force),
        isinstance(entry, Limit) and entry.post_only,
    )
