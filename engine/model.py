"""The words of the trade: instruments, blocks of ticks, orders, fills, positions, signals and closed trades.

Prices and sizes are integers everywhere inside the engine: *ticks* and *lots* of the instrument's decimal
precision (``price_precision`` 2 makes one tick 0.01). Decimal text becomes integers once, at the edge, and
integers become decimal text once, in a report. Times are ``int`` nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_PRICE = 0
"""A bid, ask or price that is not known. Real prices are always positive."""

MAX_PRICE_TICKS = (1 << 40) - 1
MAX_SIZE_LOTS = (1 << 40) - 1
"""Input bounds, checked at the edge: with them no sum over a window of 2**22 ticks can leave 128 bits."""

SECOND_NS = 1_000_000_000


class Kind(IntEnum):
    """What a tick record is; the values are those of ``TickBlock.kind``."""

    TRADE = 0
    QUOTE = 1


class Side(IntEnum):
    """Direction of a position or order; the value is its sign."""

    LONG = 1
    SHORT = -1

    @property
    def word(self) -> str:
        """``"long"`` or ``"short"``, the spelling used in every output."""
        return "long" if self is Side.LONG else "short"


class OrderType(StrEnum):
    """What an order waits for. A stop becomes a market order at its trigger, a stop-limit a limit order."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    """How long an order may wait at the venue."""

    GTC = "gtc"  # until it is cancelled
    IOC = "ioc"  # not at all: what cannot be filled on arrival is cancelled
    GTD = "gtd"  # until a stated time
    DAY = "day"  # until the trading day ends
    OPENING = "opg"  # until the instrument's next trade, which is the first of a session


class Reason(StrEnum):
    """Why a position was closed."""

    STOP = "SL"
    DECAYED = "DECAY"  # the stop, which had come closer with time
    EVEN = "BE"  # the stop, which had moved to the entry
    TRAILING = "TRAIL"  # the stop, which had followed the best price
    OPPOSITE = "OPP"  # the rule turned to the other side
    WHEN = "WHEN"  # the condition that the strategy gave as an exit
    TARGET = "TP"
    TIME = "TIME"
    FLAT = "FLAT"
    RISK = "RISK"
    ACCOUNT_STOP = "RISK_SL"  # the stop, where the account's is tighter than the strategy's own
    LEG = "LEG"  # the other leg of the pair was closed, or could not be had
    DAY = "EOD"  # so long before the session's close, as the strategy asks
    SESSION = "SESSION"  # the trading session ended
    MANUAL = "MANUAL"  # flattened by a command or at a graceful stop
    END = "END"  # the data ended with the position open


LONG, SHORT = Side.LONG, Side.SHORT
MARKET = OrderType.MARKET
TARGET, TIME, END = Reason.TARGET, Reason.TIME, Reason.END
"""Members that every order asks for, bound once: reading one off its class takes as long as two function calls."""


class Clock(StrEnum):
    """Which time a feed's records are traded on (design decision 4)."""

    RECEIVE = "receive"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Instrument:
    """A tradable symbol and the decimal precision of its prices and sizes.

    One price tick is ``10**-price_precision`` of the quote currency, one lot ``10**-size_precision`` of a unit.
    """

    symbol: str
    price_precision: int = 2
    size_precision: int = 0

    def price(self, price_ticks: int) -> Decimal:
        """Return the exact decimal price of ``price_ticks``."""
        return Decimal(price_ticks).scaleb(-self.price_precision)

    def size(self, size_lots: int) -> Decimal:
        """Return the exact decimal size of ``size_lots``."""
        return Decimal(size_lots).scaleb(-self.size_precision)


@dataclass(slots=True)
class TickBlock:
    """Tick records as columns of equal length; what every feed and file hands to the engine.

    All arrays are C-contiguous. A trade print has ``price_ticks > 0``; its bid and ask are those known at that
    moment, or 0. A quote update (``kind`` 1) has price and size 0. Optional columns are ``None`` when the source
    has no such field: ``instrument`` None means index 0 throughout, ``kind`` None means all trades.

    With ``open_ticks``, ``high_ticks``, ``low_ticks`` and ``start_ns``, all four, the records are *bars*: what traded
    in ``[start_ns, ts_ns)``, known at its end ``ts_ns``, with the close as price and the volume as size. A block of
    bars has neither bids and asks nor quote updates.
    """

    ts_ns: NDArray[np.int64]  # the clock the engine trades on
    price_ticks: NDArray[np.int64]
    size_lots: NDArray[np.int64]
    bid_ticks: NDArray[np.int64] | None = None
    ask_ticks: NDArray[np.int64] | None = None
    bid_lots: NDArray[np.int64] | None = None
    ask_lots: NDArray[np.int64] | None = None
    instrument: NDArray[np.uint16] | None = None
    kind: NDArray[np.uint8] | None = None
    open_ticks: NDArray[np.int64] | None = None
    high_ticks: NDArray[np.int64] | None = None
    low_ticks: NDArray[np.int64] | None = None
    start_ns: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ts_ns)

    def part(self, start: int, stop: int) -> TickBlock:
        """The records [start, stop) as a block that shares these columns' memory."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        parts: dict[str, Any] = {name: None if of is None else of[start:stop] for name, of in columns.items()}
        return TickBlock(**parts)


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy's wish to enter, made when its declared condition fired. Prices are in ticks; 0 means none.

    ``order`` None enters as the strategy declares; else the order waits at ``entry_ticks``, a stop-limit at its trigger
    ``trigger_ticks``, for ``good_for_ns`` (0: until it is filled).
    """

    side: Side
    entry_ticks: int
    stop_ticks: int = 0
    target_ticks: int = 0
    confidence: float = 1.0
    metadata: dict[str, float] = field(default_factory=dict)
    order: OrderType | None = None
    trigger_ticks: int = NO_PRICE
    good_for_ns: int = 0
    post_only: bool = False

    def __post_init__(self) -> None:
        if self.order is None:
            return
        try:
            object.__setattr__(self, "order", OrderType(self.order))  # its word will do
        except ValueError:
            fix = f"one of {', '.join(OrderType)}"
            raise ConfigError(f"{self.order!r} is no kind of order", where="Signal.order", fix=fix) from None
