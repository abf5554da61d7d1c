"""A recorded Binance session as records, and the resting orders that everybody is given on them.

The session is the one that was received: ``bookTicker`` and ``trade`` messages in their order, at the exchange's times.
Records that share a millisecond are told apart by their order: times here count 4096ths of a nanosecond, two to a
record, so that an order can be sent between any two of them.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

PRICE_PRECISION, SIZE_PRECISION = 2, 3
TRADE, QUOTE = 0, 1
MILLISECOND_NS = 1_000_000
SHIFT = 12  # up to 2,048 records in one millisecond
LIFE_NS = 3_000_000_000
LIFE = (LIFE_NS << SHIFT) + 1  # in 4096ths: never the time of a record
PAUSE_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """Records of one instrument as columns: a trade has price, size and side, a quote the rest."""

    ts_ns: Int64s
    order: Int64s  # ascending, at most one record to an even number; the time in 4096ths of a nanosecond
    kind: Int64s
    price_ticks: Int64s
    size_lots: Int64s
    buyer: Int64s  # 1 where the buyer was the aggressor, else 0
    bid_ticks: Int64s
    bid_lots: Int64s
    ask_ticks: Int64s
    ask_lots: Int64s

    def __len__(self) -> int:
        return len(self.ts_ns)


@dataclass(frozen=True, slots=True)
class Resting:
    """A limit order: sent right after record ``sent``, a trade; called back ``LIFE`` later if it is not filled."""

    number: int
    sent: int
    side: int  # 1 buys, -1 sells
    price_ticks: int
    lots: int


def whole(text: str, precision: int) -> int:
    """Return decimal text as whole units of its last place.

    Raises:
        ValueError: it has more decimals than that.
    """
    left, _, right = text.partition(".")
    if right[precision:].strip("0"):
        raise ValueError(f"{text} has more than {precision} decimals")
    return int(left + right[:precision].ljust(precision, "0"))


def read_session(path: Path) -> Session:
    """Read a recording of a futures market: a line is the receive time and the message as it came.

    Spot quotes say no time of their own, so they are not read.

    Raises:
        ValueError: there are no quotes with a time.
    """
    rows: list[tuple[Any, ...]] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            message = json.loads(line.partition(" ")[2])
            data = message.get("data", {})
            if data.get("e") == "trade" and data["X"] == "MARKET":
                rows.append((data["T"], TRADE, data["p"], data["q"], not data["m"], "0", "0", "0", "0"))
            elif message.get("stream", "").endswith("bookTicker") and "T" in data:
                rows.append((data["T"], QUOTE, "0", "0", False, data["b"], data["B"], data["a"], data["A"]))
    if not any(row[1] == QUOTE for row in rows):
        raise ValueError(f"{path} has no best quotes with a time: give a recording of a futures market")
    prices = [[whole(row[place], PRICE_PRECISION) for row in rows] for place in (2, 5, 7)]
    sizes = [[whole(row[place], SIZE_PRECISION) for row in rows] for place in (3, 6, 8)]
    ts_ns = np.maximum.accumulate(np.array([row[0] for row in rows], np.int64)) * MILLISECOND_NS
    ts_ns -= ts_ns[0] - MILLISECOND_NS
    first = np.flatnonzero(np.diff(ts_ns, prepend=-1))
    rank = np.arange(len(ts_ns)) - np.repeat(first, np.diff(first, append=len(ts_ns)))
    assert 2 * rank.max() < 1 << SHIFT
    return Session(
        ts_ns,
        (ts_ns << SHIFT) + 2 * rank,
        np.array([row[1] for row in rows]),
        np.array(prices[0]),
        np.array(sizes[0]),
        np.array([row[4] for row in rows], np.int64),
        np.array(prices[1]),
        np.array(sizes[1]),
        np.array(prices[2]),
        np.array(sizes[2]),
    )


def orders_on(session: Session, lots: int, seed: int) -> list[Resting]:
    """Return orders at the best quote of their side, one after the other with ``PAUSE_NS`` between them."""
    random = np.random.default_rng(seed)
    trades = np.flatnonzero(session.kind == TRADE)
    quotes = np.flatnonzero(session.kind == QUOTE)
    found: list[Resting] = []
    due_ns = int(session.ts_ns[0]) + PAUSE_NS
    while True:
        due_ns += int(random.integers(0, PAUSE_NS))
        place = int(np.searchsorted(session.ts_ns[trades], due_ns))
        if place == len(trades) or session.ts_ns[trades[place]] + LIFE_NS > session.ts_ns[-1]:
            return found
        sent = int(trades[place])
        quote = quotes[np.searchsorted(quotes, sent) - 1]
        side = int(random.choice((1, -1)))
        touch = session.bid_ticks[quote] if side > 0 else session.ask_ticks[quote]
        found.append(Resting(len(found) + 1, sent, side, int(touch), lots))
        due_ns = int(session.ts_ns[sent]) + LIFE_NS + PAUSE_NS
