"""Real market data for tests: readers of the files in the ``shared/data`` folder beside the checkout.

The data belongs to others and is never copied into the project. A test that asks for it where it is absent is
skipped with the reason. The folder is ``$MICROBURST_SHARED/data``, or ``../shared/data`` beside the checkout.

Every reader documents its selection and returns whole integers: ``ts_ns`` (UTC epoch), ``price_ticks`` and
``size_lots`` in the stated decimal precision, parsed from text without passing through a double. Results are cached
for the process; treat the arrays as read-only (they are marked so).
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

NEW_YORK_SUMMER = timezone(timedelta(hours=-4))
"""Daylight time, which holds on every equities day read here; no time zone database needed."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SharedTicks:
    """One recorded stream as columns of equal length, in file order."""

    symbol: str
    price_precision: int
    size_precision: int
    ts_ns: Int64
    price_ticks: Int64
    size_lots: Int64
    bid_ticks: Int64 | None = None
    ask_ticks: Int64 | None = None

    def __len__(self) -> int:
        return len(self.ts_ns)

    def columns(self) -> dict[str, Int64]:
        """Return the columns by name; bid and ask only where the source has them."""
        columns = {"ts_ns": self.ts_ns, "price_ticks": self.price_ticks, "size_lots": self.size_lots}
        if self.bid_ticks is not None and self.ask_ticks is not None:
            columns |= {"bid_ticks": self.bid_ticks, "ask_ticks": self.ask_ticks}
        return columns

    def head(self, count: int) -> SharedTicks:
        """Return the first ``count`` ticks."""
        return SharedTicks(
            self.symbol,
            self.price_precision,
            self.size_precision,
            **{name: column[:count] for name, column in self.columns().items()},
        )

    def write_csv(self, path: Path) -> Path:
        """Write ``timestamp,price,size[,bid,ask]`` (ns, plain decimals; gzip when the name ends so); return path."""
        names = ["timestamp", "price", "size"]
        columns = [
            self.ts_ns.tolist(),
            decimals(self.price_ticks, self.price_precision),
            decimals(self.size_lots, self.size_precision),
        ]
        if self.bid_ticks is not None and self.ask_ticks is not None:
            names += ["bid", "ask"]
            columns += [decimals(self.bid_ticks, self.price_precision), decimals(self.ask_ticks, self.price_precision)]
        text = "\n".join([",".join(names), *(",".join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
        else:
            path.write_text(text)
        return path


def decimals(column: Int64, precision: int) -> list[str]:
    """Return integers as decimal text with ``precision`` places."""
    if precision == 0:
        return [str(value) for value in column.tolist()]
    unit = 10**precision
    return [f"{value // unit}.{value % unit:0{precision}d}" for value in column.tolist()]


def whole(text: str, precision: int) -> int:
    """Return decimal text in units of ``10**-precision``; anything finer is an error, not a rounding."""
    value = Decimal(text).scaleb(precision)
    number = int(value)
    if number != value:
        raise ValueError(f"{text} does not fit {precision} decimals")
    return number


def shared_file(relative: str) -> Path:
    """Return the path of a file or folder of the shared data, or skip the test that needs it."""
    checkout = Path(__file__).resolve().parents[1]
    root = Path(os.environ.get("MICROBURST_SHARED") or checkout.parent / "shared") / "data"
    path = root / relative
    if not path.exists():
        pytest.skip(f"real market data not found: {path} (set MICROBURST_SHARED to the folder that holds data/)")
    return path


def midnight_ns(day: date, zone: timezone) -> int:
    """Return 00:00 of ``day`` in ``zone`` as nanoseconds since the epoch."""
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - EPOCH) // timedelta(seconds=1) * 1_000_000_000


def column(values: Iterable[int]) -> Int64:
    """Return a read-only int64 column."""
    array = np.fromiter(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def zip_rows(path: Path, name_part: str) -> Iterator[list[str]]:
    """Yield the csv rows of the one member of a zip whose name contains ``name_part``."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name_part in name]
        with archive.open(name) as member:
            yield from csv.reader(io.TextIOWrapper(member, "ascii"))


def gzip_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the csv rows of a gzip with a header line."""
    with gzip.open(path, "rt", encoding="ascii", newline="") as text:
        yield from csv.DictReader(text)


def load_lobster(symbol: str) -> SharedTicks:
    """Trades of one NASDAQ symbol on 2012-06-21: LOBSTER types 4 and 5 (visible and hidden executions).

    Bid and ask are the best of the book right after the event. Prices have 4 decimals (hidden fills at half cents).
    """
    path = shared_file(f"equities/lobster-2012-06-21/LOBSTER_SampleFile_{symbol}_2012-06-21_1.zip")
    midnight = midnight_ns(date(2012, 6, 21), NEW_YORK_SUMMER)
    pairs = zip(zip_rows(path, "_message_"), zip_rows(path, "_orderbook_"), strict=True)
    rows = [
        (midnight + whole(time, 9), int(price), int(size), int(bid), int(ask))
        for (time, kind, _order, size, price, _direction), (ask, _ask_size, bid, _bid_size) in pairs
        if kind in ("4", "5")
    ]
    ts_ns, prices, sizes, bids, asks = map(column, zip(*rows, strict=True))
    return SharedTicks(symbol, 4, 0, ts_ns, prices, sizes, bids, asks)


@cache
def load_aapl_lobster() -> SharedTicks:
    """34,990 AAPL trades of 2012-06-21 with bid and ask; see ``load_lobster``."""
    return load_lobster("AAPL")


@cache
def load_goog_lobster() -> SharedTicks:
    """11,678 GOOG trades of 2012-06-21 with bid and ask; see ``load_lobster``."""
    return load_lobster("GOOG")


@cache
def load_spy(day: str = "2013-10-10") -> SharedTicks:
    """Consolidated SPY trades of one of 2013-10-07, -09, -10, without flagged (suspicious) and zero-size rows.

    Everything else stays, extended hours and auction prints included. Times are whole milliseconds, so that many
    trades share one. No quotes.
    """
    path = shared_file(f"equities/us-tick/spy/{day.replace('-', '')}_trade.zip")
    midnight = midnight_ns(date.fromisoformat(day), NEW_YORK_SUMMER)
    rows = [
        (midnight + int(ms) * 1_000_000, int(price), int(size))
        for ms, price, size, _exchange, _condition, suspicious in zip_rows(path, "_Trade_Tick")
        if suspicious == "0" and int(size) > 0
    ]
    return SharedTicks("SPY", 4, 0, *map(column, zip(*rows, strict=True)))


@cache
def load_ltcusdt() -> SharedTicks:
    """152,763 LTCUSDT spot trades of 2025-06-21 and -22, all files joined and sorted by trade id (= time order).

    The recorder lost its connection at times: there are holes, the largest 2025-06-22 19:03 to 23:00 UTC, and one
    midnight. Times are milliseconds. No quotes.
    """
    folder = shared_file("crypto/ltcusdt-binance-trades-2025-06")
    rows = sorted(
        (int(row["tradeId"]), int(row["timestamp"]) * 1_000_000, whole(row["price"], 2), whole(row["quantity"], 3))
        for path in folder.glob("LTCUSDT_*_trades.csv.gz")
        for row in gzip_rows(path)
    )
    _ids, ts_ns, prices, sizes = map(column, zip(*rows, strict=True))
    return SharedTicks("LTCUSDT", 2, 3, ts_ns, prices, sizes)


@cache
def load_btc_coinbase() -> SharedTicks:
    """5,882 BTC-USD trades of one hour on 2023-09-05, microsecond times, sizes to 8 decimals. No quotes."""
    path = shared_file("crypto/btcusd-coinbase-trades-2023-09-05/btc_trades.csv.gz")
    rows = [
        (
            (datetime.fromisoformat(row["timestamp"]) - EPOCH) // timedelta(microseconds=1) * 1000,
            whole(row["price"], 2),
            whole(row["amount"], 8),
        )
        for row in gzip_rows(path)
    ]
    return SharedTicks("BTC-USD", 2, 8, *map(column, zip(*rows, strict=True)))


@cache
def load_btc_binance_futures() -> SharedTicks:
    """9,999 BTCUSDT perpetual trades of 2020-02-22 by exchange time (``timestamp``, microseconds). No quotes."""
    path = shared_file("crypto/btcusdt-binance-futures-trades-2020-02-22/trades.csv.gz")
    rows = [(int(row["timestamp"]) * 1000, whole(row["price"], 2), whole(row["amount"], 3)) for row in gzip_rows(path)]
    return SharedTicks("BTCUSDT", 2, 3, *map(column, zip(*rows, strict=True)))


DATASETS = {
    "aapl": load_aapl_lobster,
    "goog": load_goog_lobster,
    "spy": load_spy,
    "ltcusdt": load_ltcusdt,
    "btc_coinbase": load_btc_coinbase,
    "btc_binance_futures": load_btc_binance_futures,
}
"""Readers by the name used in golden files; ``spy`` is 2013-10-10."""
