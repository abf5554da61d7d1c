"""The closed set of inputs that the kernel takes and of decisions that it makes.

Every decision goes to the journal in the order in which it was made; ``encode`` gives the bytes that the decision hash
is taken over, so two runs with the same hash made the same decisions. ``TYPES`` numbers and field order are part of the
format: a change needs a new ``VERSION``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

VERSION = 1


# ---------------------------------------------------------------- inputs besides blocks of ticks


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The clock reached ``ts_ns`` with no record: timers up to then are due."""

    ts_ns: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session was interrupted, or the machine has slept, and it goes on at ``ts_ns``.

    What was due meanwhile happens, windows begin anew, and the books are compared.
    """

    ts_ns: int


@dataclass(frozen=True, slots=True)
class FeedGap:
    """Records of these instruments were lost: their windows begin anew."""

    instruments: Sequence[int]


@dataclass(frozen=True, slots=True)
class FeedHealthy:
    """Whether data is fresh enough to open positions on; ``reason`` names the refusal while it is not."""

    healthy: bool
    reason: Refusal | None = None


class CommandName(StrEnum):
    """What an operator may ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    FLATTEN = "flatten"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's command, at the time at which the engine took it.

    ``pause`` stops entries until ``resume``; ``flatten`` closes everything and goes on trading; ``halt`` closes
    everything and opens nothing until a ``resume`` that gives a ``reason``.
    """

    name: CommandName
    ts_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineFault:
    """Working on an input failed in a way that nobody foresaw; ``what`` names the error. Three in a row halt."""

    ts_ns: int
    what: str


@dataclass(frozen=True, slots=True)
class End:
    """There are no more records: open positions are closed at the last price."""

    ts_ns: int | None = None


# ---------------------------------------------------------------- decisions


class Refusal(StrEnum):
    """Why risk refused a signal; each is counted and shown."""

    POSITION_OPEN = "POSITION_OPEN"  # one open position per symbol
    DAILY_LOSS = "DAILY_LOSS"  # the day's loss limit was reached
    PAUSED = "PAUSED"  # entries are paused by an operator
    FEED_STALE = "FEED_STALE"  # the feed is silent or not connected
    DATA_OLD = "DATA_OLD"  # the tick was too old when it was looked at
    DISK_FULL = "DISK_FULL"  # the journal has no room beyond what closing takes
    NO_QUOTE = "NO_QUOTE"  # touch fills need a quote and none has been seen
    REGIME = "REGIME"  # the market is none in which this strategy may enter
    NO_EXIT = "NO_EXIT"  # a distance of its exits is not defined, or nothing of the price would be left
    NO_SIZE = "NO_SIZE"  # the size worked out for it is less than one lot, or cannot be worked out
    HALTED = "HALTED"  # halted by an operator, until resumed with a reason
    DRAWDOWN = "DRAWDOWN"  # the drawdown limit was reached, until resumed with a reason
    ERRORS = "ERRORS"  # three engine errors in a row, until resumed with a reason
    CONSERVATION = "CONSERVATION"  # orders, fills and positions did not add up, until resumed with a reason
    LOSSES_IN_ROW = "LOSSES_IN_ROW"  # so many losing trades in a row today
    STOPS_IN_ROW = "STOPS_IN_ROW"  # so many positions in a row were stopped out today
    TRADES_PER_DAY = "TRADES_PER_DAY"  # so many entries today
    PDT = "PDT"  # the entry could break the rule for day trading on margin
    POSITION_UNITS = "POSITION_UNITS"  # the symbol's position would be too large
    POSITION_VALUE = "POSITION_VALUE"  # the symbol's position would be worth too much
    POSITION_CAPITAL = "POSITION_CAPITAL"  # the position would take too much of the equity
    TOTAL_CAPITAL = "TOTAL_CAPITAL"  # all positions would take too much of the equity
    LEVERAGE = "LEVERAGE"  # all positions would be worth too much against the equity
    LIQUIDATION = "LIQUIDATION"  # the price at which the position is liquidated would be too near, or is not known
    ORDER_UNITS = "ORDER_UNITS"  # the order is too large
    ORDER_VALUE = "ORDER_VALUE"  # the order is worth too much
    OPEN_ORDERS = "OPEN_ORDERS"  # so many orders are on their way
    ORDER_RATE = "ORDER_RATE"  # so many orders were sent within a second
    CANCEL_RATIO = "CANCEL_RATIO"  # too many of the day's entries ended without a fill
    DUPLICATE = "DUPLICATE"  # the same entry was sent a moment ago
    PRICE_COLLAR = "PRICE_COLLAR"  # the price it would pay is too far from the market's
    REWARD_RISK = "REWARD_RISK"  # its target is too near for the distance of its stop, or one of them is unknown
    NO_ENTRY = "NO_ENTRY"  # the price at which the entry would wait is not defined, or none that there is
    NO_SHORTING = "NO_SHORTING"  # the venue does not lend what would have to be sold


class OrderSubmitted(NamedTuple):
    """An approved order left for the venue. ``side`` is 1 to buy, -1 to sell."""

    ts_ns: int
    order_id: int
    lane: int
    side: int
    lots: int
    purpose: str


class OrderRests(NamedTuple):
    """An order waits at the venue: a limit for its price, a stop for its trigger; ``kind`` says which."""

    ts_ns: int
    order_id: int
    kind: str
    price_ticks: int
    lots: int


class OrderFilled(NamedTuple):
    """The venue filled an order; costs are in the account's money unit."""

    ts_ns: int
    order_id: int
    price_ticks: int | Fraction
    lots: int
    slippage: int
    fee: int


class OrderCancelled(NamedTuple):
    """An order on its way was called back, or found nothing to fill against."""

    ts_ns: int
    order_id: int
    reason: str


class SignalSkipped(NamedTuple):
    """A signal began and was skipped by the cooldown; ``left`` more will be."""

    ts_ns: int
    lane: int
    direction: int
    price_ticks: int
    left: int

    @property
    def side(self) -> str:
        """``"long"`` or ``"short"``."""
        return "long" if self.direction > 0 else "short"


class SignalRefused(NamedTuple):
    """A signal began and risk said no."""

    ts_ns: int
    lane: int
    direction: int
    price_ticks: int
    reason: str

    @property
    def side(self) -> str:
        """``"long"`` or ``"short"``."""
        return "long" if self.direction > 0 else "short"


class SignalDeclined(NamedTuple):
    """A signal began and the strategy's own ``on_fire`` let it pass."""

    ts_ns: int
    lane: int
    direction: int
    price_ticks: int


class PositionReduced(NamedTuple):
    """Some lots of a position were closed, and others are still open; money in the account's unit."""

    ts_ns: int
    lane: int
    reason: str
    lots: int
    gross: int
    net: int


class PositionClosed(NamedTuple):
    """A position was closed; money in the account's unit."""

    ts_ns: int
    lane: int
    reason: str
    gross: int
    net: int


class DayStarted(NamedTuple):
    """A trading day began with this equity, in the account's money unit."""

    ts_ns: int
    day: int
    equity: int


class TradingHalted(NamedTuple):
    """Nothing is opened any more, for the stated reason."""

    ts_ns: int
    reason: str


class TradingResumed(NamedTuple):
    """Entries are allowed again; ``reason`` is what the operator gave for it, empty after a pause."""

    ts_ns: int
    reason: str


Decision = (
    OrderSubmitted
    | OrderRests
    | OrderFilled
    | OrderCancelled
    | SignalSkipped
    | SignalRefused
    | SignalDeclined
    | PositionReduced
    | PositionClosed
    | DayStarted
    | TradingHalted
    | TradingResumed
)


TYPES: dict[type[Decision], int] = {
    OrderSubmitted: 1,
    OrderFilled: 2,
    OrderCancelled: 3,
    SignalSkipped: 4,
    SignalRefused: 5,
    SignalDeclined: 6,
    PositionClosed: 7,
    DayStarted: 8,
    TradingHalted: 9,
    TradingResumed: 10,
    OrderRests: 20,
    PositionReduced: 21,
}
"""The number that stands for each type of decision, for ever."""


def encode(decision: Decision) -> bytes:
    """Return the decision as bytes: its type and fields as text, the same on every machine and Python."""
    return f"{TYPES[type(decision)]}{tuple(map(str, decision))}\n".encode()
