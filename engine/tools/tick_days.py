"""Recorded days of ticks in the formats in which they were published: order books, consolidated and crypto trades.

LOBSTER's order books and consolidated trades are zip files of CSV without a header. Times count from midnight in New
York, prices are in ten-thousandths of a dollar. What is no trade (cancels, halts), was flagged as suspicious or has no
size is left out, and nothing else is. A recorder of Binance has left a folder of compressed CSV, a few hours a file.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from engine.errors import DataError
from engine.model import SECOND_NS, Instrument, TickBlock
from engine.sessions.clock import DAY_NS, NEW_YORK, day_number
from engine.store.ticks import TickFile

DECIMALS = 4
EXECUTIONS = ("4", "5")
"""LOBSTER's types of message that are trades: against a visible order, and against a hidden one."""


def consolidated_day(path: Path, symbol: str, day: date) -> TickFile:
    """A day of consolidated trades: ``ms, price, shares, exchange, condition, suspicious``; without quotes.

    Raises:
        DataError: the file is not there, or is not of this format.
    """
    rows = [
        (int(ms) * 1_000_000, int(price), int(size))
        for ms, price, size, _exchange, _condition, suspicious in _rows(path, "", 6)
        if suspicious == "0" and int(size) > 0
    ]
    return _file(path, symbol, day, rows)


def lobster_day(path: Path, symbol: str, day: date) -> TickFile:
    """The trades of a LOBSTER file, each with bid and ask as they were right after it.

    Raises:
        DataError: the file is not there, or is not of this format.
    """
    books = _rows(path, "_orderbook_", 4)
    rows = [
        (int(Decimal(seconds) * SECOND_NS), int(price), int(size), int(bid), int(ask))
        for (seconds, kind, _order, size, price, _side), (ask, _ask_size, bid, _bid_size) in zip(
            _rows(path, "_message_", 6), books, strict=True
        )
        if kind in EXECUTIONS
    ]
    return _file(path, symbol, day, rows)


def binance_day(folder: Path, symbol: str, day: date) -> TickFile:
    """The trades of a day in UTC, from files of ``timestamp,price,quantity,side,tradeId`` that a recorder left.

    They are in the order of the trades' ids: the files' names have the recorder's own clock, and one has two stretches.

    Raises:
        DataError: a file is not of this format, or none has a trade of that day.
    """
    begin_ms = day_number(day) * DAY_NS // 1_000_000
    rows = []
    for path in sorted(folder.glob(f"{symbol}_*_trades.csv.gz")):
        try:
            with gzip.open(path, "rt", encoding="ascii", newline="") as file:
                for row in csv.DictReader(file):
                    ms, price, size = int(row["timestamp"]), Decimal(row["price"]), Decimal(row["quantity"])
                    if begin_ms <= ms < begin_ms + DAY_NS // 1_000_000:
                        rows.append((int(row["tradeId"]), ms * 1_000_000, int(price * 100), int(size * 1000)))
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
        except (KeyError, TypeError, ValueError, ArithmeticError, EOFError) as error:
            raise DataError(f"this is not such a file of trades ({error!r})", where=str(path)) from None
    if not rows:
        raise DataError(f"there is no trade of {symbol} on {day}", where=str(folder))
    _ids, ts_ns, price_ticks, size_lots = (np.array(column, np.int64) for column in zip(*sorted(rows), strict=True))
    return TickFile(TickBlock(ts_ns, price_ticks, size_lots), [Instrument(symbol, 2, 3)], source=str(folder))


def _rows(path: Path, part: str, fields: int) -> Iterator[list[str]]:
    """Yield the rows of the one member of a zip file whose name contains ``part``."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if part in name and name.endswith(".csv")]
            with archive.open(name) as member:
                for row in csv.reader(io.TextIOWrapper(member, "ascii")):
                    if len(row) != fields:
                        raise ValueError(f"a row of {len(row)} fields, not {fields}")
                    yield row
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    except (zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"this is not such a day of ticks ({error})", where=str(path)) from None


def _file(path: Path, symbol: str, day: date, rows: Sequence[Sequence[int]]) -> TickFile:
    """The rows as ticks at their times of day in New York; with a fourth and a fifth column, with bid and ask."""
    if not rows:
        raise DataError("there is no trade in it", where=str(path))
    midnight_ns = int(NEW_YORK.to_utc(np.array([day_number(day) * DAY_NS], np.int64))[0])
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    ts_ns, price_ticks, size_lots = columns[:3]
    block = TickBlock(ts_ns + midnight_ns, price_ticks, size_lots)
    if len(columns) > 3:
        block.bid_ticks, block.ask_ticks = columns[3:]
    return TickFile(block, [Instrument(symbol, DECIMALS)], source=str(path))
