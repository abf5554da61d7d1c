"""Streams on which the engine's columns are held against the catalogue's reference: made up, drawn and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from random import Random

import numpy as np
from hypothesis import strategies as st

from tests.oracle import catalogue as cat
from tests.oracle.catalogue import DAY_NS, Market, Record, Session
from tests.oracle.catalogue_cases import OPEN_NS, S
from tests.shared_data import NEW_YORK_SUMMER, SharedTicks, midnight_ns, shared_file, whole, zip_rows

MIDNIGHT_NS = OPEN_NS // DAY_NS * DAY_NS + DAY_NS
SESSIONS = tuple(
    Session(OPEN_NS + day * DAY_NS, OPEN_NS + day * DAY_NS + 23_400 * S, 19_724 + day, -5 * 3600 * S)
    for day in range(2)
)
"""New York, 2024-01-02 and -03."""

Stream = tuple[list[Record], tuple[Session, ...] | None]
"""Records at 100 ticks to the dollar, and the sessions they are traded in; None: the market is always open."""

PAUSES_MS = [0, 0, 1, 40, 250, 250, 500, 1000, 2500, -300]
MOVES = [-7, -2, -1, -1, 0, 0, 0, 1, 1, 2, 7]


def random_records(seed: int, length: int, start_ns: int, moves_ns: dict[int, int]) -> list[Record]:
    """Trades and quote updates, many at one time, some late; at some records the clock moves to a given time."""
    rng = Random(seed)
    now, price = start_ns, 1000
    records: list[Record] = []
    while len(records) < length:
        now += rng.choice(PAUSES_MS) * 1_000_000
        now = moves_ns.get(len(records), now)
        price = min(1100, max(900, price + rng.choice(MOVES)))
        bid, ask = price - rng.randint(0, 2), price + rng.randint(0, 3)
        if rng.random() < 0.4:
            sizes = (rng.choice([0, 1, 5, 30]), rng.choice([0, 1, 5, 30])) if len(records) > 5 else (0, 0)
            records.append(Record(now, 0, 0, bid, ask, *sizes, is_quote=True))
        else:
            quotes = (bid, ask) if len(records) > 3 and rng.random() < 0.3 else (0, 0)
            records.append(Record(now, price, rng.choice([1, 1, 2, 10, 80]), *quotes))
    return records


STREAMS: dict[str, Stream] = {
    "days": (random_records(1, 400, OPEN_NS, {130: MIDNIGHT_NS, 260: MIDNIGHT_NS + DAY_NS + 90 * S}), None),
    "sessions": (
        random_records(
            2,
            560,
            OPEN_NS - 20 * S,
            {
                210: OPEN_NS + 3600 * S,  # an hour of silence
                280: SESSIONS[0].close_ns - 20 * S,
                340: SESSIONS[1].open_ns - 5 * S,
                370: SESSIONS[1].open_ns,  # on the opening itself
            },
        ),
        SESSIONS,
    ),
    "calm": (random_records(3, 400, OPEN_NS, {}), None),
}
"""Across a midnight and a long pause; in and out of two sessions; without a break."""


@st.composite
def drawn_streams(draw: st.DrawFn) -> Stream:
    """Short streams that shrink towards few trades without change, in sessions or always open."""
    in_sessions = draw(st.booleans())
    start = OPEN_NS - 3 * S if in_sessions else MIDNIGHT_NS - 3 * S
    breaks = [SESSIONS[0].close_ns - S, SESSIONS[1].open_ns - S, SESSIONS[1].open_ns] if in_sessions else [DAY_NS]
    step = st.tuples(
        st.sampled_from([0, 250, 500, 1000, 40, 2500, -300, 7000]),
        st.sampled_from([0, 1, -1, 2, -2, 7, -7]),
        st.sampled_from([1, 2, 10, 80]),
        st.sampled_from(["trade", "trade", "trade", "quoted", "quote", "sized"]),
    )
    steps = draw(st.lists(step, min_size=1, max_size=60))
    jump = draw(st.integers(0, 59)), draw(st.sampled_from(breaks))
    now, price, records = start, 1000, list[Record]()
    for number, (pause_ms, move, size, kind) in enumerate(steps):
        now += pause_ms * 1_000_000
        if number == jump[0]:
            now = max(now, jump[1]) if in_sessions else now + jump[1]
        price += move
        quotes = (price - 1, price + size % 3) if kind != "trade" else (0, 0)
        sizes = (size, 3) if kind == "sized" else (0, 0)
        if kind in ("quote", "sized"):
            records.append(Record(now, 0, 0, *quotes, *sizes, is_quote=True))
        else:
            records.append(Record(now, price, size, *quotes))
    records.append(Record(now, price, 1))  # a stream needs a trade
    return records, SESSIONS if in_sessions else None


def market_of(stream: Stream) -> Market:
    records, sessions = stream
    return cat.market(records, tick=Fraction(1, 100), sessions=sessions)


def columns_of(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Records as the engine takes them."""
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots", "kind")
    kinds = [np.int64] * 7 + [np.uint8]
    fields = zip(*records, strict=True)
    return {name: np.array(field, kind) for name, field, kind in zip(names, fields, kinds, strict=True)}


# ---------------------------------------------------------------- recorded


def records_of(ticks: SharedTicks) -> list[Record]:
    """Recorded trades, without quotes."""
    return list(map(Record, ticks.ts_ns.tolist(), ticks.price_ticks.tolist(), ticks.size_lots.tolist()))


def lobster_records(symbol: str, count: int) -> list[Record]:
    """The first ``count`` trades of one NASDAQ symbol on 2012-06-21, and every change of the best quotes between them.

    LOBSTER types 4 and 5 are executions; the book's best level, sizes included, is that right after the event.
    """
    path = shared_file(f"equities/lobster-2012-06-21/LOBSTER_SampleFile_{symbol}_2012-06-21_1.zip")
    midnight = midnight_ns(date(2012, 6, 21), NEW_YORK_SUMMER)
    pairs: Iterable[tuple[list[str], list[str]]] = zip(
        zip_rows(path, "_message_"), zip_rows(path, "_orderbook_"), strict=True
    )
    records: list[Record] = []
    last: tuple[int, ...] = ()
    trades = 0
    for (time, kind, _order, size, price, _direction), (ask, ask_size, bid, bid_size) in pairs:
        ts_ns, quotes = midnight + whole(time, 9), (int(bid), int(ask), int(bid_size), int(ask_size))
        if kind in ("4", "5"):
            records.append(Record(ts_ns, int(price), int(size), *quotes))
            trades += 1
        elif quotes != last:
            records.append(Record(ts_ns, 0, 0, *quotes, is_quote=True))
        last = quotes
        if trades == count:
            break
    return records
