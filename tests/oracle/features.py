"""What each feature of the core is, written from its definition: lists of trades, Python integers, fractions.

Slow and plain on purpose. Nothing is kept from one trade to the next: a window is found by looking back from its trade,
and every sum is added up anew. It shares no code, and no idea, with the engine's tape of running totals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt, nan

MAX_INPUT = 2**40 - 1
MAX_TIME = 2**62


@dataclass(frozen=True, slots=True)
class Trade:
    """One accepted trade: engine time in ns, price in ticks, size in lots, and the quotes known by then (0: none)."""

    ts: int
    price: int
    size: int
    bid: int = 0
    ask: int = 0


@dataclass(slots=True)
class Market:
    """The trades of one instrument, where its windows last restarted and where its session last did."""

    trades: list[Trade] = field(default_factory=list)
    windows_from: int = 0
    session_from: int = 0
    bid: int = 0
    ask: int = 0

    def time_window(self, window_ns: int, at: int = -1) -> list[Trade]:
        """Trades with ``ts > now - window_ns`` up to the trade numbered ``at``, which is the last by default."""
        last = at % len(self.trades)
        first = last
        while first > self.windows_from and self.trades[first - 1].ts > self.trades[last].ts - window_ns:
            first -= 1
        return self.trades[first : last + 1]

    def count_window(self, length: int, at: int = -1) -> list[Trade]:
        """The last ``length`` trades up to the trade numbered ``at``."""
        last = at % len(self.trades)
        return self.trades[max(last + 1 - length, self.windows_from) : last + 1]

    def session(self, at: int = -1) -> list[Trade]:
        """Every trade of the session so far."""
        return self.trades[self.session_from : at % len(self.trades) + 1]


@dataclass(slots=True)
class Stream:
    """Records of several instruments in arrival order, on one clock that never runs backwards."""

    markets: list[Market]
    now: int = -(2**63)
    late: int = 0
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("instrument", "time", "price", "size"), 0))
    quotes: int = 0

    def take(
        self, instrument: int, ts: int, price: int, size: int, bid: int = 0, ask: int = 0, *, quote: bool = False
    ) -> bool:
        """Take one record; False when it is refused, for the first of its faults."""
        fault = None
        if not 0 <= instrument < len(self.markets):
            fault = "instrument"
        elif not 0 <= ts <= MAX_TIME:
            fault = "time"
        elif not 0 <= bid <= MAX_INPUT or not 0 <= ask <= MAX_INPUT or not (quote or 1 <= price <= MAX_INPUT):
            fault = "price"
        elif not (quote or 1 <= size <= MAX_INPUT):
            fault = "size"
        if fault:
            self.rejected[fault] += 1
            return False
        self.late += ts < self.now
        self.now = max(self.now, ts)
        market = self.markets[instrument]
        market.bid, market.ask = bid or market.bid, ask or market.ask
        if quote:
            self.quotes += 1
        else:
            market.trades.append(Trade(self.now, price, size, market.bid, market.ask))
        return True


def sum_size(window: list[Trade]) -> int:
    """Lots traded."""
    return sum(trade.size for trade in window)


def sum_price(window: list[Trade]) -> int:
    """Sum of prices."""
    return sum(trade.price for trade in window)


def sum_price_size(window: list[Trade]) -> int:
    """Sum of price times size."""
    return sum(trade.price * trade.size for trade in window)


def sum_price_squared(window: list[Trade]) -> int:
    """Sum of squared prices."""
    return sum(trade.price**2 for trade in window)


def highest(window: list[Trade]) -> int:
    """Highest price."""
    return max(trade.price for trade in window)


def lowest(window: list[Trade]) -> int:
    """Lowest price."""
    return min(trade.price for trade in window)


def change(window: list[Trade]) -> Fraction:
    """Net return from the window's oldest trade."""
    return Fraction(window[-1].price - window[0].price, window[0].price)


def mean(window: list[Trade]) -> Fraction:
    """Mean price, each trade counting once."""
    return Fraction(sum_price(window), len(window))


def variance(window: list[Trade]) -> Fraction:
    """Population variance of the prices."""
    return Fraction(sum_price_squared(window), len(window)) - mean(window) ** 2


def vwap(window: list[Trade]) -> Fraction:
    """Average price weighted by size."""
    return Fraction(sum_price_size(window), sum_size(window))


def vwap_variance(window: list[Trade]) -> Fraction:
    """Population variance of price weighted by size."""
    return Fraction(sum(trade.price**2 * trade.size for trade in window), sum_size(window)) - vwap(window) ** 2


def square_root(value: Fraction) -> float:
    """The square root to more than 60 bits before it is rounded to a double."""
    if value < 0:
        return nan
    shift = max(0, 140 - (value.numerator.bit_length() - value.denominator.bit_length()))
    shift += shift % 2
    return float(Fraction(isqrt((value.numerator << shift) // value.denominator), 1 << (shift // 2)))


def polynomial(terms: list[tuple[int, tuple[int, ...]]], values: dict[int, int]) -> int:
    """Sum of coefficients times products of the named values."""
    total = 0
    for coefficient, names in terms:
        for name in names:
            coefficient *= values[name]
        total += coefficient
    return total


def holds(left: float | Fraction, op: str, right: float | Fraction) -> bool:
    """A comparison, by its sign."""
    return {
        ">=": left >= right,
        ">": left > right,
        "<=": left <= right,
        "<": left < right,
        "==": left == right,
        "!=": left != right and left == left and right == right,
    }[op]
