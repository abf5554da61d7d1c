"""Tick files: ``timestamp,price,size[,bid,ask][,symbol]`` as CSV, plain or gzipped, read whole and exactly.

The file is read and checked before the server listens: a bad row is an error with its file and line, never something
skipped. Decimal text becomes integers of the instrument's precision without passing through a float; where the
precision is not given, it is the largest number of decimals that the file needs: trailing zeros do not count.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from mock_server.errors import ExitCode, MockError
from mock_server.listings import SYMBOL, Listing
from mock_server.market import COLUMNS
from mock_server.timestamps import recognise, untimely

Int64s = NDArray[np.int64]

_REQUIRED = ("timestamp", "price", "size")
_OPTIONAL = ("bid", "ask", "symbol")
_NAMES = {
    "timestamp": "timestamp time ts datetime date date_time ts_event event_time trade_time transact_time",
    "price": "price px last last_price trade_price",
    "size": "size qty quantity volume amount vol shares last_size trade_size",
    "bid": "bid bid_price bid_px best_bid best_bid_price",
    "ask": "ask ask_price ask_px best_ask best_ask_price offer",
    "symbol": "symbol ticker instrument sym",
}
"""What columns are called (docs/reference/tick-files.md): those of a backtest. Spaces, hyphens, dots and underscores in
a name do not matter."""

_COLUMN_OF = {name.replace("_", ""): column for column, names in _NAMES.items() for name in names.split()}
_DECIMAL = re.compile(r"\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_EXACT = Context(prec=csv.field_size_limit())
_MAX_PRECISION = 12
_MAX_SPELLINGS = 1 << 16
_BATCH = 4096  # rows taken at a time
_MAX_UNITS = (1 << 40) - 1  # the wire format's bound on ticks and lots
_ARRIVAL_NS = 1_000_000_000  # a symbol further behind another than this has not arrived so: the file has them in turn


@dataclass(frozen=True, slots=True)
class Recording:
    """A tick file in memory: times are offsets from ``start_ns``; rows as in :class:`mock_server.market.Ticks`."""

    path: Path
    instruments: tuple[Listing, ...]
    start_ns: int
    table: Int64s
    timestamps: str

    def blocks(self, block_ticks: int) -> Iterator[Int64s]:
        """Yield the table in slices of at most ``block_ticks`` records; nothing is copied."""
        for at in range(0, self.table.shape[1], block_ticks):
            yield self.table[:, at : at + block_ticks]


def read_recording(
    path: Path,
    *,
    symbols: Sequence[str] = (),
    price_precision: int | None = None,
    size_precision: int | None = None,
) -> Recording:
    """Read a tick file.

    Args:
        path: CSV text, gzipped if its name ends in ``.gz``.
        symbols: in a file with a symbol column, the ones to keep (all when empty); in a file without one, its name.
        price_precision: decimals of a price; None takes what the file writes. Likewise ``size_precision``.

    Raises:
        MockError: the file cannot be read, or a row is not what it should be (with the line).
    """
    reader = _Reader(path, symbols, price_precision, size_precision)
    try:
        with _open(path) as file:
            rows = csv.reader(file)
            first = next(rows, None)
            if first is None:
                raise MockError("the file is empty", where=str(path), exit_code=ExitCode.DATA)
            reader.header(first)
            while batch := [(row, rows.line_num) for row in islice(rows, _BATCH)]:
                filled = [(row, line) for row, line in batch if row]  # leaves blank lines out
                reader.rows([row for row, _ in filled], [line for _, line in filled])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "the file is not text"
        raise MockError(
            reason, where=str(path), fix="give a readable .csv or .csv.gz file", exit_code=ExitCode.DATA
        ) from None
    return reader.recording()


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            fix = "write it as CSV first; engine.store.ticks.write_ticks does"
            raise MockError(
                "this is Parquet, and a replay reads CSV", where=str(path), fix=fix, exit_code=ExitCode.DATA
            )
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


class _Amounts(dict[str, int]):
    """A column of decimals, kept as digits and number of decimals until the instrument's precision is known.

    Both are packed into one integer, ``digits * 16 + decimals``. As a dictionary it remembers spellings, which repeat:
    most rows cost a look-up and no parsing.
    """

    def __init__(self, name: str, precision: int | None, optional: bool) -> None:
        super().__init__()
        self._name, self._optional = name, optional
        self._limit = _MAX_PRECISION if precision is None else precision
        self._packed = array("q")

    def extend(self, texts: Sequence[str]) -> None:
        """Take the next rows' texts; ValueError with a sentence if one is not a positive decimal."""
        self._packed.extend(map(self.__getitem__, texts))

    def __missing__(self, text: str) -> int:
        if len(self) >= _MAX_SPELLINGS:
            self.clear()
        parsed = self[text] = self._parse(text)
        return parsed

    def _parse(self, text: str) -> int:
        text = text.strip()
        if not text and self._optional:
            return 0
        value = _EXACT.normalize(Decimal(text)) if _DECIMAL.fullmatch(text) else None  # without trailing zeros
        if value is None or not (value or self._optional):
            raise ValueError(f"{self._name} {text!r} is not a positive decimal number")
        decimals = max(0, -int(value.as_tuple().exponent))
        if decimals > self._limit:
            raise ValueError(f"{self._name} {text} has more than {self._limit} decimals")
        units = value.scaleb(decimals)
        if units > _MAX_UNITS:
            raise ValueError(f"{self._name} {text} is above 2^40 - 1 units of its precision")
        return int(units) * 16 + decimals

    def decimals(self) -> Int64s:
        """Return the number of decimals that each row needs; nothing for a column the file does not have."""
        return np.array(self._packed, np.int64) & 15

    def units(self, precision: Int64s) -> tuple[Int64s, NDArray[np.bool_]]:
        """Return the amounts in units of ``precision`` per row, and where they are too large to be sent."""
        digits = np.array(self._packed, np.int64) >> 4
        scale = 10 ** (precision - self.decimals())
        return digits * scale, digits > _MAX_UNITS // scale


class _Reader:
    """Takes a file batch by batch and ends up with a :class:`Recording`."""

    def __init__(
        self, path: Path, symbols: Sequence[str], price_precision: int | None, size_precision: int | None
    ) -> None:
        self._path, self._wanted = path, symbols
        self._price_precision, self._size_precision = price_precision, size_precision
        self._names: list[str] = []
        self._width = 0
        self._symbol_column: int | None = None
        self._symbol = symbols[0] if symbols else _symbol_of(path)  # of a file that has no such column
        self._read_time: Callable[[str], int] | None = None
        self._timestamps = ""
        self._columns: list[tuple[int, _Amounts]] = []
        self._amounts: dict[str, _Amounts] = {}
        self._symbols: dict[str, int] = {}
        self._ts_ns, self._lines, self._instrument = array("q"), array("q"), array("q")

    def header(self, row: Sequence[str]) -> None:
        """Find the columns by their names."""
        names = _columns_of(row)
        missing = [name for name in _REQUIRED if name not in names]
        if missing:
            self._refuse(
                1, f"the header has no column {missing[0]!r}", "begin with timestamp,price,size[,bid,ask][,symbol]"
            )
        twice = next((name for name in (*_REQUIRED, *_OPTIONAL) if names.count(name) > 1), None)
        if twice:
            self._refuse(1, f"two columns look like the {twice}", f"name the one to use {twice!r}")
        if ("bid" in names) != ("ask" in names):
            self._refuse(1, "there is a bid or an ask column without the other", "give both or neither")
        self._names, self._width, self._time_column = names, len(names), names.index("timestamp")
        for name in ("price", "size", "bid", "ask"):
            precision = self._size_precision if name == "size" else self._price_precision
            self._amounts[name] = _Amounts(name, precision, optional=name in _OPTIONAL)
            if name in names:
                self._columns.append((names.index(name), self._amounts[name]))
        if "symbol" in names:
            self._symbol_column = names.index("symbol")
        elif len(self._wanted) > 1:
            self._refuse(1, "there is no symbol column, so --symbols can name only one symbol")

    def rows(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
        """Take a batch of records; leave out those of symbols that are not wanted."""
        try:
            self._take(rows, lines)
        except ValueError:
            # One of them is wrong. Taken singly, it tells which.
            for row, line in zip(rows, lines, strict=True):
                try:
                    self._take([row], [line])
                except ValueError as error:
                    self._refuse(line, str(error))
            raise

    def _take(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
        width = self._width
        for row in rows:
            if len(row) != width:
                raise ValueError(f"{len(row)} fields where the header has {width}")
        if self._symbol_column is None:
            instrument = [self._instrument_of(self._symbol)] * len(rows)
        else:
            symbols = [row[self._symbol_column].strip() for row in rows]
            if self._wanted:
                keep = [index for index, symbol in enumerate(symbols) if symbol in self._wanted]
                rows, lines = [rows[index] for index in keep], [lines[index] for index in keep]
                symbols = [symbols[index] for index in keep]
            instrument = [self._instrument_of(symbol) for symbol in symbols]
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        stamps = columns[self._time_column]
        if self._read_time is None:
            self._read_time, self._timestamps = recognise(stamps[0].strip())
        read_time = self._read_time
        self._ts_ns.extend([read_time(stamp.strip()) for stamp in stamps])
        for column, amounts in self._columns:
            amounts.extend(columns[column])
        self._instrument.extend(instrument)
        self._lines.extend(lines)

    def _instrument_of(self, symbol: str) -> int:
        index = self._symbols.get(symbol)
        if index is None:
            if not SYMBOL.fullmatch(symbol):
                raise ValueError(f"{symbol!r} is not a symbol")
            index = self._symbols[symbol] = len(self._symbols)
        return index

    def recording(self) -> Recording:
        """Bring every amount to its instrument's precision, and records in order, and return the whole."""
        missing = [symbol for symbol in self._wanted if symbol not in self._symbols]
        if missing or not self._ts_ns:
            self._refuse(0, f"there is no record{' of ' + missing[0] if missing else ''} in this file")
        table = np.zeros((COLUMNS, len(self._ts_ns)), np.int64)
        table[0], table[7] = self._ts_ns, self._instrument
        instruments = tuple(self._listing(symbol, table[7] == index) for symbol, index in self._symbols.items())
        for row, (name, amounts) in enumerate(self._amounts.items(), start=1):
            if name not in self._names:
                continue  # an optional column that the file does not have
            precision = [item.size_precision if name == "size" else item.price_precision for item in instruments]
            table[row], too_large = amounts.units(np.array(precision, np.int64)[table[7]])
            if too_large.any():
                line = self._lines[int(too_large.argmax())]
                self._refuse(line, f"the {name} is above 2^40 - 1 units of its precision")
        bid, ask = table[3], table[4]
        crossed = (bid > ask) & (ask > 0)
        if crossed.any():
            self._refuse(self._lines[int(crossed.argmax())], "the bid is above the ask")
        for extreme in (int(table[0].argmin()), int(table[0].argmax())):
            if why := untimely(int(table[0, extreme])):
                self._refuse(self._lines[extreme], why)
        table = self._in_order(table)
        start_ns = int(table[0, 0])
        table[0] -= start_ns
        return Recording(self._path, instruments, start_ns, table, self._timestamps)

    def _in_order(self, table: Int64s) -> Int64s:
        """Return the records as a backtest puts them: by time, if the file has its symbols one after the other.

        Late records stay where they are among those of their symbol.
        """
        clock_ns = np.empty_like(table[0])
        for index in range(len(self._symbols)):
            mine = table[7] == index
            clock_ns[mine] = np.maximum.accumulate(table[0, mine])
        late, rows = int(np.count_nonzero(table[0] < clock_ns)), len(clock_ns)
        if 2 * late > rows:
            what = f"the rows are not in the order of time: {late:,} of {rows:,} are earlier than one above them"
            self._refuse(0, what, "sort them by timestamp, oldest first")
        if (np.maximum.accumulate(table[0]) - clock_ns).max() > _ARRIVAL_NS:
            return table[:, np.argsort(clock_ns, kind="stable")]
        return table

    def _listing(self, symbol: str, mine: NDArray[np.bool_]) -> Listing:
        def decimals(*names: str) -> int:
            return max(int(self._amounts[name].decimals()[mine].max()) for name in names if name in self._names)

        price, size = self._price_precision, self._size_precision
        return Listing(
            symbol,
            decimals("price", "bid", "ask") if price is None else price,
            decimals("size") if size is None else size,
        )

    def _refuse(self, line: int, what: str, fix: str = "") -> NoReturn:
        """Refuse the file for the row in this line, or as a whole if there is none."""
        where, usual = (f"{self._path}:{line}", "mend the row or leave it out") if line else (str(self._path), "")
        raise MockError(what, where=where, fix=fix or usual, exit_code=ExitCode.DATA)


def _columns_of(row: Sequence[str]) -> list[str]:
    """Return our name of each column, or its own. Of two that look like the same, the one with our name is meant."""
    written = [re.sub(r"[\s_.-]", "", name.lower()) for name in row]
    found = [_COLUMN_OF.get(name, name) for name in written]
    return ["" if column != name and column in written else column for name, column in zip(written, found, strict=True)]


def _symbol_of(path: Path) -> str:
    """Return the file name up to its first full stop as a symbol, or RECORDING if it does not make one."""
    name = path.name.partition(".")[0]
    return name if SYMBOL.fullmatch(name) else "RECORDING"
