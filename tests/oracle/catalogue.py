"""The market that the feature catalogue's reference sees: trades, quotes, sessions, and the windows over them.

Written from docs/reference/features.md alone, slow and plain on purpose. Every value is a ``Fraction`` in display
units (currency, units of size, seconds), or None while it is undefined. Logarithms and roots are fractions too, rounded
to 50 significant digits; nothing here is a float. The families of features are in ``catalogue_windows``,
``catalogue_bars``, ``catalogue_series`` and ``catalogue_indicators``; each function returns one value per trade or per
bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import NamedTuple

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
DIGITS = Context(prec=50)

Value = Fraction | None
Values = list[Value]


def decimal(value: Fraction) -> Decimal:
    """The value to 50 significant digits."""
    return DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))


def rounded(value: Fraction) -> Fraction:
    """The value to 50 significant digits, so that recursions do not grow without end."""
    return Fraction(decimal(value))


@cache
def logarithm(value: Fraction) -> Value:
    """Natural logarithm; undefined unless the value is positive."""
    return Fraction(DIGITS.ln(decimal(value))) if value > 0 else None


def square_root(value: Fraction) -> Value:
    """Square root; undefined below zero."""
    return Fraction(DIGITS.sqrt(decimal(value))) if value >= 0 else None


def quotient(numerator: Value, denominator: Value) -> Value:
    """A division; undefined by zero."""
    return None if numerator is None or not denominator else numerator / denominator


def seconds(ns: int) -> Fraction:
    """A duration in its display unit."""
    return Fraction(ns, SECOND_NS)


class Record(NamedTuple):
    """One input record in whole ticks and lots; 0 in a quote field says that the field is not given."""

    ts_ns: int
    price: int = 0
    size: int = 0
    bid: int = 0
    ask: int = 0
    bid_size: int = 0
    ask_size: int = 0
    is_quote: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """``[open_ns, close_ns)``, the day it belongs to, and what to add to UTC for the exchange's clock."""

    open_ns: int
    close_ns: int
    day: int
    offset_ns: int = 0


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade in display units, with the quotes known by then, its own included."""

    ts: int
    price: Fraction
    size: Fraction
    bid: Value
    ask: Value
    bid_size: Value
    ask_size: Value
    session: Session | None
    restart: int
    """Index of the first trade since windows last began anew."""
    session_from: int
    """Index of the first trade of its session (between sessions: since the last close)."""


@dataclass(slots=True)
class QuoteFlow:
    """The order flow of one record's change of the best quotes, and the trade that first sees it."""

    ts: int
    flow: Fraction
    trade: int


@dataclass(slots=True)
class Market:
    """The trades of one instrument and the order flow between them."""

    trades: list[Trade] = field(default_factory=list)
    flows: list[QuoteFlow] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.trades)

    @property
    def restarts(self) -> list[int]:
        """For each trade, where its series began."""
        return [trade.restart for trade in self.trades]


def session_at(ts: int, sessions: Sequence[Session] | None) -> Session | None:
    """The session open at a time; without sessions the market is always open and a session is a UTC day."""
    if sessions is None:
        day = ts // DAY_NS
        return Session(day * DAY_NS, (day + 1) * DAY_NS, day)
    return next((session for session in sessions if session.open_ns <= ts < session.close_ns), None)


def stretch_at(ts: int, sessions: Sequence[Session] | None) -> int:
    """How many openings and closes lie at or before a time: windows begin anew when it changes."""
    return sum((s.open_ns <= ts) + (s.close_ns <= ts) for s in sessions or ())


def market(
    records: Iterable[Record],
    *,
    tick: Fraction = Fraction(1),
    lot: Fraction = Fraction(1),
    sessions: Sequence[Session] | None = None,
    gaps: Iterable[int] = (),
) -> Market:
    """Build the market of one instrument.

    ``tick`` and ``lot`` are one step of price and of size. ``gaps`` are indices of records before which the feed had
    a gap. Engine time never runs backwards: a late record takes the largest time so far.
    """
    result, gap_set = Market(), set(gaps)
    now = -1
    quotes: list[Value] = [None] * 4  # bid, ask, bid size, ask size
    stretch: int | None = None
    restart = session_from = 0
    seen_session: Session | int | None = None
    for index, record in enumerate(records):
        now = max(now, record.ts_ns)
        here, session = stretch_at(now, sessions), session_at(now, sessions)
        begins_anew = here != stretch or index in gap_set
        stretch = here
        if begins_anew:
            restart = len(result.trades)
        label = session or here
        if label != seen_session:
            seen_session, session_from = label, len(result.trades)
        given = (record.bid * tick, record.ask * tick, record.bid_size * lot, record.ask_size * lot)
        before, quotes = quotes, [new or old for new, old in zip(given, quotes, strict=True)]
        flow = None if begins_anew else best_quote_flow(before, quotes)
        if flow is not None:
            result.flows.append(QuoteFlow(now, flow, len(result.trades)))
        if not record.is_quote:
            price, size = record.price * tick, record.size * lot
            bid, ask, bid_size, ask_size = quotes
            result.trades.append(Trade(now, price, size, bid, ask, bid_size, ask_size, session, restart, session_from))
    return result


def best_quote_flow(before: Sequence[Value], after: Sequence[Value]) -> Value:
    """Order flow of one change of the best quotes, their sizes known: Cont, Kukanov and Stoikov (2014), section 2."""
    known = [value for value in (*before, *after) if value is not None]
    if len(known) < 8:
        return None
    old_bid, old_ask, old_bid_size, old_ask_size, bid, ask, bid_size, ask_size = known
    flow = Fraction(0)
    if bid >= old_bid:
        flow += bid_size
    if bid <= old_bid:
        flow -= old_bid_size
    if ask <= old_ask:
        flow -= ask_size
    if ask >= old_ask:
        flow += old_ask_size
    return flow


# ---------------------------------------------------------------- windows

Window = Callable[[Market, int], range | None]
"""Which trades a window holds at the trade of an index, oldest first; None while it is cold."""


def time_window(ns: int) -> Window:
    """Every trade later than ``ns`` before the present one, once that much has passed since the restart."""

    def trades_of(m: Market, at: int) -> range | None:
        now, restart = m.trades[at].ts, m.trades[at].restart
        if now - m.trades[restart].ts < ns:
            return None
        first = at
        while first > restart and m.trades[first - 1].ts > now - ns:
            first -= 1
        return range(first, at + 1)

    return trades_of


def count_window(length: int) -> Window:
    """The last ``length`` trades, once there were as many since the restart."""
    return lambda m, at: None if at + 1 - m.trades[at].restart < length else range(at + 1 - length, at + 1)


def session_window(m: Market, at: int) -> range | None:
    """Every trade of the session so far."""
    return range(m.trades[at].session_from, at + 1)


def week_window(m: Market, at: int) -> range | None:
    """Every trade of the sessions of this Monday-to-Sunday week so far; undefined between sessions."""

    def week(trade: Trade) -> int | None:
        return None if trade.session is None else (trade.session.day + 3) // 7  # day 0 was a Thursday

    this = week(m.trades[at])
    return None if this is None else _from_first(m, at, lambda trade: week(trade) == this)


def since_clock(hour: int, minute: int) -> Window:
    """Since the exchange's clock first showed this time in the session; undefined before it does."""

    def trades_of(m: Market, at: int) -> range | None:
        session = m.trades[at].session
        if session is None:
            return None
        wanted = (hour * 60 + minute) * 60 * SECOND_NS
        begin = session.open_ns + (wanted - (session.open_ns + session.offset_ns)) % DAY_NS
        return _from_first(m, at, lambda trade: trade.session == session and trade.ts >= begin)

    return trades_of


def since_instant(begin_ns: int) -> Window:
    """Since a moment, across sessions."""
    return lambda m, at: _from_first(m, at, lambda trade: trade.ts >= begin_ns)


def since_high(m: Market, at: int) -> range | None:
    """Since the latest trade at the session's highest price so far."""
    return _since_extreme(m, at, max)


def since_low(m: Market, at: int) -> range | None:
    """Since the latest trade at the session's lowest price so far."""
    return _since_extreme(m, at, min)


def opening_window(ns: int) -> Window:
    """The session's trades of its first ``ns``, frozen once they are over; undefined until then."""

    def trades_of(m: Market, at: int) -> range | None:
        session = m.trades[at].session
        if session is None or m.trades[at].ts < session.open_ns + ns:
            return None
        first = m.trades[at].session_from
        held = [i for i in range(first, at + 1) if m.trades[i].ts < session.open_ns + ns]
        return range(held[0], held[-1] + 1) if held else None

    return trades_of


def _from_first(m: Market, at: int, wanted: Callable[[Trade], bool]) -> range | None:
    first = next((i for i in range(at + 1) if wanted(m.trades[i])), None)
    return None if first is None else range(first, at + 1)


def _since_extreme(m: Market, at: int, extreme: Callable[[Iterable[Fraction]], Fraction]) -> range:
    session = range(m.trades[at].session_from, at + 1)
    price = extreme(m.trades[i].price for i in session)
    return range(max(i for i in session if m.trades[i].price == price), at + 1)
