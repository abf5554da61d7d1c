"""Reference: features of the present trade, and features over a window of trades.

A feature over a window is a function of the window's trades, oldest first. ``over`` evaluates one at every trade.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from tests.oracle.catalogue import (
    DAY_NS,
    Market,
    Trade,
    Value,
    Values,
    Window,
    logarithm,
    quotient,
    seconds,
    square_root,
    time_window,
)

Feature = Callable[[Sequence[Trade]], Value]
Rule = Literal["quote", "tick"]


def over(m: Market, window: Window, feature: Feature) -> Values:
    """The feature at every trade; None while the window is cold."""
    held = (window(m, at) for at in range(len(m)))
    return [None if trades is None else feature([m.trades[i] for i in trades]) for trades in held]


# ---------------------------------------------------------------- over windows


def volume(trades: Sequence[Trade]) -> Fraction:
    return sum((t.size for t in trades), Fraction(0))


def trade_count(trades: Sequence[Trade]) -> Fraction:
    return Fraction(len(trades))


def per_second(values: Values, window_ns: int) -> Values:
    """``.rate()`` of a sum over a time window."""
    return [None if value is None else value / seconds(window_ns) for value in values]


def mean_size(trades: Sequence[Trade]) -> Fraction:
    return volume(trades) / len(trades)


def size_ratio(trades: Sequence[Trade]) -> Value:
    """The last trade's size to the mean size of the others."""
    others = trades[:-1]
    return quotient(trades[-1].size, mean_size(others)) if others else None


def volume_ratio(m: Market, current_ns: int, window_ns: int) -> Values:
    """Volume per second of the current window to that of the other one."""
    current = per_second(over(m, time_window(current_ns), volume), current_ns)
    window = per_second(over(m, time_window(window_ns), volume), window_ns)
    return [quotient(a, b) for a, b in zip(current, window, strict=True)]


def first_price(trades: Sequence[Trade]) -> Fraction:
    return trades[0].price


def change(trades: Sequence[Trade]) -> Fraction:
    return trades[-1].price / trades[0].price - 1


def log_return(trades: Sequence[Trade]) -> Value:
    return logarithm(trades[-1].price / trades[0].price)


def highest(trades: Sequence[Trade]) -> Fraction:
    return max(t.price for t in trades)


def lowest(trades: Sequence[Trade]) -> Fraction:
    return min(t.price for t in trades)


def price_range(trades: Sequence[Trade]) -> Fraction:
    return (highest(trades) - lowest(trades)) / trades[-1].price


def mean(trades: Sequence[Trade]) -> Fraction:
    return sum((t.price for t in trades), Fraction(0)) / len(trades)


def variance(trades: Sequence[Trade]) -> Fraction:
    """Population variance about the mean."""
    middle = mean(trades)
    return sum(((t.price - middle) ** 2 for t in trades), Fraction(0)) / len(trades)


def stdev(trades: Sequence[Trade]) -> Value:
    return square_root(variance(trades))


def zscore(trades: Sequence[Trade]) -> Value:
    return quotient(trades[-1].price - mean(trades), stdev(trades))


def vwap(trades: Sequence[Trade]) -> Value:
    return quotient(sum((t.price * t.size for t in trades), Fraction(0)), volume(trades))


def vwap_variance(trades: Sequence[Trade]) -> Value:
    """Population variance of the prices about the VWAP, weighted by size."""
    middle = vwap(trades)
    if middle is None:
        return None
    return sum((t.size * (t.price - middle) ** 2 for t in trades), Fraction(0)) / volume(trades)


def vwap_sd(trades: Sequence[Trade]) -> Value:
    value = vwap_variance(trades)
    return None if value is None else square_root(value)


def time_since_high(trades: Sequence[Trade]) -> Fraction:
    """Since the latest trade at the window's highest price."""
    extreme = highest(trades)
    return seconds(trades[-1].ts - max(t.ts for t in trades if t.price == extreme))


def time_since_low(trades: Sequence[Trade]) -> Fraction:
    """Since the latest trade at the window's lowest price."""
    extreme = lowest(trades)
    return seconds(trades[-1].ts - max(t.ts for t in trades if t.price == extreme))


def realised_volatility(trades: Sequence[Trade]) -> Value:
    """Root of the sum of squared log returns between successive trades that both lie in the window."""
    squares = Fraction(0)
    for a, b in pairwise(trades):
        step = logarithm(b.price / a.price)
        assert step is not None
        squares += step**2
    return square_root(squares)


def signed_volume(m: Market, window: Window, rule: Rule = "quote") -> Values:
    """Size bought less size sold, each trade on the side that the rule gives it."""
    sides = trade_side(m) if rule == "quote" else tick_side(m)
    held = (window(m, at) for at in range(len(m)))
    return [None if i is None else sum((m.trades[j].size * sides[j] for j in i), Fraction(0)) for i in held]


def flow_imbalance(m: Market, window: Window, rule: Rule = "quote") -> Values:
    """Signed volume to volume, between -1 and 1."""
    return [quotient(a, b) for a, b in zip(signed_volume(m, window, rule), over(m, window, volume), strict=True)]


def order_flow(m: Market, window: Window) -> Values:
    """Order flow of the quote updates that one of the window's trades was the first to see."""
    held = (window(m, at) for at in range(len(m)))
    return [None if i is None else sum((u.flow for u in m.flows if u.trade in i), Fraction(0)) for i in held]


# ---------------------------------------------------------------- of the present trade


def present(m: Market, feature: Callable[[Trade], Value]) -> Values:
    """A feature of the present trade and of the quotes known by then."""
    return [feature(trade) for trade in m.trades]


def mid(trade: Trade) -> Value:
    return None if trade.bid is None or trade.ask is None else (trade.bid + trade.ask) / 2


def spread(trade: Trade) -> Value:
    return None if trade.bid is None or trade.ask is None else trade.ask - trade.bid


def quote_imbalance(trade: Trade) -> Value:
    if trade.bid_size is None or trade.ask_size is None:
        return None
    return quotient(trade.bid_size - trade.ask_size, trade.bid_size + trade.ask_size)


def microprice(trade: Trade) -> Value:
    """The quotes weighted by the size on the other side."""
    bid, ask, bid_size, ask_size = trade.bid, trade.ask, trade.bid_size, trade.ask_size
    if bid is None or ask is None or bid_size is None or ask_size is None:
        return None
    return quotient(bid * ask_size + ask * bid_size, bid_size + ask_size)


def time_of_day(trade: Trade) -> Value:
    """Since midnight on the exchange's clock; undefined between sessions."""
    session = trade.session
    return None if session is None else seconds((trade.ts + session.offset_ns) % DAY_NS)


def since_open(trade: Trade) -> Value:
    return None if trade.session is None else seconds(trade.ts - trade.session.open_ns)


def to_close(trade: Trade) -> Value:
    return None if trade.session is None else seconds(trade.session.close_ns - trade.ts)


def tick_side(m: Market) -> list[int]:
    """Sign of the last change of price since the restart; 0 before one."""
    sides: list[int] = []
    for at, trade in enumerate(m.trades):
        if at == trade.restart:
            sides.append(0)
            continue
        before = m.trades[at - 1].price
        sides.append((trade.price > before) - (trade.price < before) or sides[-1])
    return sides


def trade_side(m: Market) -> list[int]:
    """+1 above the mid, -1 below it; at it, or without quotes, the tick rule."""
    sides = []
    for trade, fallback in zip(m.trades, tick_side(m), strict=True):
        middle = mid(trade)
        above = 0 if middle is None else (trade.price > middle) - (trade.price < middle)
        sides.append(above or fallback)
    return sides


def flat_candles(m: Market, length_ns: int) -> Values:
    """Consecutive candles up to now that ended where they began, or in which nothing traded.

    Candles begin at whole multiples of their length since 1970. Only whole ones count: none that began before the
    restart's first trade, none that is not over.
    """
    return [Fraction(_flat_run(m, at, length_ns)) for at in range(len(m))]


def _flat_run(m: Market, at: int, length_ns: int) -> int:
    restart = m.trades[at].restart
    first = -(-m.trades[restart].ts // length_ns)
    candles: dict[int, list[Fraction]] = {}
    for trade in m.trades[restart : at + 1]:
        candles.setdefault(trade.ts // length_ns, []).append(trade.price)
    end = m.trades[at].ts // length_ns
    moved = [number for number, prices in candles.items() if first <= number < end and prices[0] != prices[-1]]
    return max(0, end - max([first, *(number + 1 for number in moved)]))
