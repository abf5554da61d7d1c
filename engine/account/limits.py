"""The limits of risk as data: each with its unit, what it refuses with and what happens there, and named sets of them.

A limit that is None is off. A *profile* says which limits are on and at which values; a strategy names its profile,
and the configuration may name another one or set single limits over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from engine.errors import ConfigError, nearest
from engine.events import Refusal
from engine.quantities import (
    format_decimal,
    format_duration,
    format_ratio,
    parse_duration_ns,
    parse_number,
    parse_ratio,
)

OFF = "off"
"""How a limit that is off is written; 0 and an empty text mean the same."""

FINEST_DRAWDOWN = 1 << 24
"""A drawdown limit is a quotient of whole numbers below this: with it the core's 128 bits do not overflow."""

SHORTEST_BAR_NS, LONGEST_BAR_NS = 1_000_000_000, 86_400_000_000_000
"""Bars by time that can be built."""

PDT_POLICIES = ("legacy", "intraday_margin")


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What no strategy may exceed. None: off. Amounts are exact; durations are nanoseconds.

    The defaults are those of the profile ``standard``, which is what the page of momentum burst asks for.
    """

    daily_loss_limit: Fraction | None = Fraction(1, 20)
    daily_loss_money: Fraction | None = None
    max_drawdown: Fraction | None = None
    max_losses_in_row: int | None = None
    max_stops_in_row: int | None = None
    max_trades_per_day: int | None = None
    pdt: str | None = None
    positions_per_symbol: int | None = 1
    max_position_units: Fraction | None = None
    max_position_value: Fraction | None = None
    position_capital_fraction: Fraction | None = None
    max_total_capital_fraction: Fraction | None = None
    max_leverage: Fraction | None = None
    liquidation_buffer: Fraction | None = None
    liquidation_bar: int | None = None
    maintenance_margin: Fraction | None = None
    max_order_units: Fraction | None = None
    max_order_value: Fraction | None = None
    max_open_orders: int | None = None
    max_orders_per_second: int | None = None
    max_cancel_ratio: Fraction | None = None
    duplicate_window: int | None = None
    price_collar: Fraction | None = None
    min_reward_risk: Fraction | None = None
    position_stop: Fraction | None = None

    def to_json(self) -> dict[str, str]:
        """Every limit as it is written, ``off`` included: for the passport of a result."""
        return {limit.name: limit.written(getattr(self, limit.name)) for limit in LIMITS}


class Measure(StrEnum):
    """What a limit is measured in, and so how it is read and written."""

    RATIO = "ratio"
    MONEY = "money"
    UNITS = "units"
    NUMBER = "number"
    COUNT = "count"
    DURATION = "duration"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: its name in ``RiskLimits`` and in ``[risk]``, its measure and unit, and what it does when reached.

    ``refusal`` is None where nothing is refused.
    """

    name: str
    measure: Measure
    unit: str
    refusal: Refusal | None
    meaning: str
    reached: str

    def read(self, text: object, *, where: str | None = None) -> Any:
        """Read a value as it is written; None for off.

        Raises:
            ConfigError: not a value of this measure, or negative.
        """
        if text is None or str(text).strip() in ("", OFF):
            return None
        place = f"risk.{self.name}" if where is None else where
        value: Any
        if self.measure is Measure.POLICY:
            if text not in PDT_POLICIES:
                fix = nearest(str(text), (*PDT_POLICIES, OFF))
                raise ConfigError(f"there is no policy {text!r}", where=place, fix=fix)
            return text
        if self.measure is Measure.DURATION:
            value = parse_duration_ns(text, where=place)  # type: ignore[arg-type]
        elif self.measure is Measure.RATIO:
            value = parse_ratio(text, where=place)  # type: ignore[arg-type]
        else:
            value = parse_number(text, where=place)  # type: ignore[arg-type]
        if value < 0:
            raise ConfigError(f"{self.name} is negative", where=place, fix=f"write {OFF}, or more than 0")
        if self.measure is Measure.COUNT:
            if value.denominator != 1:
                raise ConfigError(f"{self.name} of {text} is not a whole number", where=place, fix="such as 10")
            value = int(value)
        if self.name == "max_drawdown":
            _check_drawdown(value, place)
        if self.name == "maintenance_margin" and value > 1:
            raise ConfigError(
                f"a margin of {float(value):.0%} is more than everything", where=place, fix="such as 0.5%"
            )
        if self.name == "liquidation_bar" and value and not SHORTEST_BAR_NS <= value <= LONGEST_BAR_NS:
            raise ConfigError(f"bars of {text} cannot be built", where=place, fix="between 1s and 24h")
        return value or None

    def written(self, value: Any) -> str:
        """A value as ``read`` reads it."""
        if value is None:
            return OFF
        if self.measure is Measure.RATIO:
            return format_ratio(value)
        if self.measure is Measure.DURATION:
            return format_duration(value)
        return str(value) if self.measure is Measure.POLICY else format_decimal(Fraction(value))


def _check_drawdown(value: Fraction, where: str) -> None:
    """Refuse what the core cannot watch at every trade."""
    if value > 1:
        raise ConfigError(f"a drawdown of {float(value):.0%} is more than everything", where=where, fix="such as 5%")
    if value.denominator >= FINEST_DRAWDOWN:
        raise ConfigError("the drawdown is too fine to be watched", where=where, fix="such as 5%")


NO_ENTRY = "no entry"

LEASTS = ("min_reward_risk", "duplicate_window", "liquidation_buffer", "liquidation_bar", "maintenance_margin")
"""What is stricter the larger it is."""

LIMITS = (
    Limit(
        "daily_loss_limit",
        Measure.RATIO,
        "of the day's starting equity",
        Refusal.DAILY_LOSS,
        "realised and open loss of a day",
        "everything is closed (RISK), no entry until the next day",
    ),
    Limit(
        "daily_loss_money",
        Measure.MONEY,
        "account currency",
        Refusal.DAILY_LOSS,
        "realised and open loss of a day",
        "everything is closed (RISK), no entry until the next day",
    ),
    Limit(
        "max_drawdown",
        Measure.RATIO,
        "of the highest equity",
        Refusal.DRAWDOWN,
        "fall of the equity from its highest, marked at every trade",
        "everything is closed (RISK), HALTED until resumed with a reason",
    ),
    Limit(
        "max_losses_in_row",
        Measure.COUNT,
        "trades",
        Refusal.LOSSES_IN_ROW,
        "losing trades one after the other on one day",
        "no entry until the next day",
    ),
    Limit(
        "max_stops_in_row",
        Measure.COUNT,
        "trades",
        Refusal.STOPS_IN_ROW,
        "positions stopped out one after the other on one day, whatever the stop and its result",
        "no entry until the next day",
    ),
    Limit(
        "max_trades_per_day",
        Measure.COUNT,
        "entries",
        Refusal.TRADES_PER_DAY,
        "entries of a day, those sent included",
        "no entry until the next day",
    ),
    Limit(
        "pdt",
        Measure.POLICY,
        "policy",
        Refusal.PDT,
        "rule for day trading on margin: legacy, intraday_margin",
        "no entry that could break the rule",
    ),
    Limit(
        "positions_per_symbol",
        Measure.COUNT,
        "positions",
        Refusal.POSITION_OPEN,
        "open positions of a symbol, entries on their way included",
        NO_ENTRY,
    ),
    Limit(
        "max_position_units",
        Measure.UNITS,
        "shares, contracts or coins",
        Refusal.POSITION_UNITS,
        "size of a symbol's position, orders sent and unknown included",
        NO_ENTRY,
    ),
    Limit(
        "max_position_value",
        Measure.MONEY,
        "account currency",
        Refusal.POSITION_VALUE,
        "value of a symbol's position, orders sent and unknown included",
        NO_ENTRY,
    ),
    Limit(
        "position_capital_fraction",
        Measure.RATIO,
        "of equity",
        Refusal.POSITION_CAPITAL,
        "value of one position",
        NO_ENTRY,
    ),
    Limit(
        "max_total_capital_fraction",
        Measure.RATIO,
        "of equity",
        Refusal.TOTAL_CAPITAL,
        "value of all positions together",
        NO_ENTRY,
    ),
    Limit(
        "max_leverage",
        Measure.NUMBER,
        "times equity",
        Refusal.LEVERAGE,
        "value of all positions against the equity: 2 is 2:1",
        NO_ENTRY,
    ),
    Limit(
        "liquidation_buffer",
        Measure.NUMBER,
        "average true ranges (14)",
        Refusal.LIQUIDATION,
        "distance from the price that an entry would pay to that at which its position is liquidated, at the least",
        NO_ENTRY,
    ),
    Limit(
        "liquidation_bar",
        Measure.DURATION,
        "time",
        None,
        "bars of liquidation_buffer's average true range; off: a minute",
        "",
    ),
    Limit(
        "maintenance_margin",
        Measure.RATIO,
        "of the value held",
        None,
        "equity at which liquidation_buffer takes positions to be liquidated; off: none is left",
        "",
    ),
    Limit(
        "max_order_units",
        Measure.UNITS,
        "shares, contracts or coins",
        Refusal.ORDER_UNITS,
        "size of an entry",
        NO_ENTRY,
    ),
    Limit("max_order_value", Measure.MONEY, "account currency", Refusal.ORDER_VALUE, "value of an entry", NO_ENTRY),
    Limit(
        "max_open_orders",
        Measure.COUNT,
        "orders",
        Refusal.OPEN_ORDERS,
        "orders sent and neither filled nor cancelled",
        NO_ENTRY,
    ),
    Limit(
        "max_orders_per_second",
        Measure.COUNT,
        "orders per rolling second",
        Refusal.ORDER_RATE,
        "orders sent within any second, exits included",
        NO_ENTRY,
    ),
    Limit(
        "max_cancel_ratio",
        Measure.NUMBER,
        "unfilled to filled",
        Refusal.CANCEL_RATIO,
        "entries of a day that ended unfilled, those on their way included, against those filled, or one",
        "no entry until more are filled, or the next day",
    ),
    Limit(
        "duplicate_window",
        Measure.DURATION,
        "time",
        Refusal.DUPLICATE,
        "how soon the same entry (symbol, side, size) may be sent again",
        NO_ENTRY,
    ),
    Limit(
        "price_collar",
        Measure.RATIO,
        "of the quote's mid",
        Refusal.PRICE_COLLAR,
        "distance of the price that an entry would pay from the mid of the last quote; without a good one, last trade",
        NO_ENTRY,
    ),
    Limit(
        "min_reward_risk",
        Measure.NUMBER,
        "target to stop",
        Refusal.REWARD_RISK,
        "distance of the target against that of the stop; both must be known",
        NO_ENTRY,
    ),
    Limit(
        "position_stop",
        Measure.RATIO,
        "of the entry price",
        None,
        "loss of any position; the tighter of this and the strategy's stop counts",
        "that position is closed (RISK_SL)",
    ),
)
"""Every limit, in the order in which ``microburst risk show`` lists them."""

BY_NAME = MappingProxyType({limit.name: limit for limit in LIMITS})
ALL_OFF = RiskLimits(**{limit.name: None for limit in LIMITS})


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of limits and the sentence that says for whom."""

    name: str
    meaning: str
    limits: RiskLimits


PROFILES = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                "standard", "one position per symbol and a daily loss limit: the page of momentum burst", RiskLimits()
            ),
            Profile(
                "futures",
                "standard, and at most three contracts",
                RiskLimits(max_position_units=Fraction(3)),
            ),
            Profile(
                "equities",
                "a margin account in US shares: amounts in dollars, 2:1, the day-trading rule",
                replace(
                    ALL_OFF,
                    positions_per_symbol=1,
                    daily_loss_money=Fraction(200),
                    max_drawdown=Fraction(1, 20),
                    max_position_value=Fraction(2_000),
                    max_open_orders=10,
                    max_trades_per_day=20,
                    pdt="legacy",
                    max_leverage=Fraction(2),
                    position_stop=Fraction(1, 50),
                ),
            ),
            Profile(
                "allocation",
                "several positions that share capped capital",
                replace(
                    ALL_OFF,
                    daily_loss_limit=Fraction(1, 20),
                    position_capital_fraction=Fraction(1, 20),
                    max_total_capital_fraction=Fraction(1, 5),
                ),
            ),
            Profile(
                "guarded",
                "every limit on but what is for margin, at careful values: to start an account with",
                RiskLimits(
                    daily_loss_limit=Fraction(1, 50),
                    daily_loss_money=Fraction(200),
                    max_drawdown=Fraction(1, 20),
                    max_losses_in_row=5,
                    max_stops_in_row=5,
                    max_trades_per_day=20,
                    pdt="legacy",
                    max_position_units=Fraction(100),
                    max_position_value=Fraction(2_000),
                    position_capital_fraction=Fraction(1, 5),
                    max_total_capital_fraction=Fraction(1),
                    max_leverage=Fraction(1),
                    max_order_units=Fraction(100),
                    max_order_value=Fraction(2_000),
                    max_open_orders=10,
                    max_orders_per_second=5,
                    max_cancel_ratio=Fraction(10),
                    duplicate_window=1_000_000_000,
                    price_collar=Fraction(1, 50),
                    min_reward_risk=Fraction(1),
                    position_stop=Fraction(1, 50),
                ),
            ),
            Profile("off", "no limit at all: for research on a strategy alone", ALL_OFF),
        )
    }
)


def profile(name: str, *, where: str = "risk.profile") -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROFILES:
        raise ConfigError(f"there is no risk profile {name!r}", where=where, fix=nearest(name, PROFILES))
    return PROFILES[name]


def said_limits(name: str, written: Mapping[str, str]) -> str:
    """The limits of a run in a line: the profile, and every limit that is on, as ``RiskLimits.to_json`` writes them."""
    on = ", ".join(f"{limit} {text}" for limit, text in written.items() if text != OFF)
    return f"{name}: {on or 'none'}"


def with_limits(base: RiskLimits, given: Mapping[str, object]) -> RiskLimits:
    """``base`` with single limits over it; a limit given as None keeps the value of ``base``.

    Raises:
        ConfigError: no such limit, or not a value of its measure.
    """
    unknown = next((name for name in given if name not in BY_NAME), None)
    if unknown is not None:
        raise ConfigError(f"there is no limit {unknown!r}", where="risk", fix=nearest(unknown, BY_NAME))
    read = {name: BY_NAME[name].read(value) for name, value in given.items() if value is not None}
    return replace(base, **read)


def tightest(several: Iterable[RiskLimits]) -> RiskLimits:
    """The limits of an account that several strategies share: of each the strictest."""
    found = list(several)
    strict: dict[str, Any] = {}
    for each in fields(RiskLimits):
        values = [value for limits in found if (value := getattr(limits, each.name)) is not None]
        if each.name == "pdt":
            strict[each.name] = next((policy for policy in PDT_POLICIES if policy in values), None)
        elif each.name in LEASTS:
            strict[each.name] = max(values, default=None)
        else:
            strict[each.name] = min(values, default=None)
    return RiskLimits(**strict)
