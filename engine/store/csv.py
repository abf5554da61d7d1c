"""Read tick CSV: find the columns, the time unit and the precisions, then let the compiled scanner run.

The file is read once, in chunks, and hashed on the way. Precisions start at no decimals and are raised when a number
needs more, which multiplies the rows already read; that keeps one pass exact without knowing the file beforehand.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import DataError, NotFoundError, nearest
from engine.model import MAX_PRICE_TICKS, Instrument, TickBlock
from engine.store.columns import (
    EARLIEST_DETECTED_NS,
    UNIT_NAMES,
    ColumnMap,
    Field,
    Form,
    columns_without_header,
    has_lost_digits,
    known_column,
    lost_digits,
    map_columns,
    unit_of_magnitude,
    unknown_unit,
)
from engine.store.rows import BadRows, TickFile, join_precisions

CHUNK = 1 << 20
"""Bytes read at a time; also the longest line that is still taken for a row."""

GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"

ZONE_NONE, ZONE_UTC, ZONE_OFFSET = 1, 2, 4  # engine/_scan.pxd: ScanZone


class _Hashed(io.RawIOBase):
    """A raw file that hashes whatever is read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self.raw.read(size)
        self.digest.update(data)
        return data

    def close(self) -> None:
        self.raw.close()
        super().close()


@dataclass(slots=True)
class Source:
    """Where CSV bytes come from: opened anew for each pass; ``label`` names it in messages."""

    open: Callable[[], BinaryIO]
    label: str
    size: int  # bytes, to guess the number of rows
    gzipped: bool = False
    of_frame: bool = False  # the text was written from a frame, whose rows are what its reader knows
    of_floats: bool = False  # its times were floats, whose shortest text may end before the point

    def place(self, line: int) -> str:
        """Return where a line stands: lines count from 1, header included, and rows of a frame from 0."""
        return f"{self.label}: row {line - 2}" if self.of_frame else f"{self.label}:{line}"


@dataclass(slots=True)
class _Options:
    symbol: str | None
    price_precision: int | None
    size_precision: int | None
    form: Form
    name: str  # of the instrument when the file has no symbol column
    starts: dict[str, tuple[int, int]] = field(default_factory=dict)  # precisions known from an earlier pass


class _StartOver(Exception):  # noqa: N818 - a signal to the caller, not a fault
    """A finer precision does not fit rows already read: they are bad rows, and have to be met as such."""


def file_source(path: Path) -> Source:
    """Return the source of a plain or gzip file."""
    with path.open("rb") as file:
        gzipped = file.read(2) == GZIP_MAGIC
    if path.suffix == ".gz" and not gzipped:
        raise DataError("the file is named .gz and is not gzip", where=str(path))
    return Source(lambda: path.open("rb", buffering=0), str(path), path.stat().st_size, gzipped)


def read_csv(
    source: Source,
    bad: BadRows,
    *,
    symbol: str | None,
    price_precision: int | None,
    size_precision: int | None,
    form: Form = "trades",
    name: str = "",
) -> TickFile:
    """Read a CSV source into integer columns; see ``engine.store.ticks.read_ticks``."""
    options = _Options(symbol, price_precision, size_precision, form, symbol or name)
    while True:
        bad.clear()
        hashed = _Hashed(source.open())
        with hashed:
            stream: BinaryIO = gzip.GzipFile(fileobj=hashed, mode="rb") if source.gzipped else hashed  # type: ignore[assignment]
            try:
                result = _Pass(stream, source, bad, options).run()
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DataError(f"the compressed data is damaged or cut ({error})", where=source.label) from None
            except _StartOver:
                continue
            result.file_sha256 = hashed.digest.hexdigest()
            return result


class _Pass:
    """One pass over a source: the chunk buffer, the scanner and the columns it fills."""

    def __init__(self, stream: BinaryIO, source: Source, bad: BadRows, options: _Options) -> None:
        self.stream, self.source, self.bad, self.options = stream, source, bad, options
        self.buffer = bytearray(2 * CHUNK)
        self.begin = self.end = 0  # the bytes of the buffer that wait to be scanned
        self.final = False
        self.rows = 0
        self.columns: dict[str, NDArray[Any]] = {}
        self.symbols: list[str] = []
        self.all_symbols: list[str] = []
        self.precisions: list[tuple[int, int]] = []

    def run(self) -> TickFile:
        """Read the whole source."""
        self._fill()
        if self.buffer.startswith(BOM):
            self.begin = len(BOM)
        if self.begin == self.end:
            raise DataError("the file is empty", where=self.source.label)
        if b"\0" in memoryview(self.buffer)[: self.end].tobytes():
            raise DataError("the file is not text", where=self.source.label, fix="expected CSV, CSV.gz or Parquet")
        columns, header_line = self._find_header()
        unit, earliest_ns = self._find_unit(columns, header_line)
        self.map = columns
        self.scanner = _csv.Scanner(columns.fields, unit, earliest_ns, header_line)
        self.scanner.fix_precision(self.options.price_precision, self.options.size_precision)
        if not columns.has(Field.SYMBOL):
            self._add_instrument(self.options.name)
        self._scan_all()
        return self._result(unit)

    # --- the chunk buffer ---------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Move the bytes left over to the front of the buffer and read until a chunk is there, or the end."""
        left = self.end - self.begin
        if left >= CHUNK:
            raise DataError("a line is longer than 1 MiB: this is not CSV", where=self._where(1))
        self.buffer[:left] = self.buffer[self.begin : self.end]
        self.begin, self.end = 0, left
        while self.end < CHUNK and not self.final:
            data = self.stream.read(CHUNK)
            self.final = not data
            self.buffer[self.end : self.end + len(data)] = data
            self.end += len(data)

    def _where(self, ahead: int = 0) -> str:
        line = self.scanner.line if hasattr(self, "scanner") else 0
        return self.source.place(line + ahead)

    # --- the header, the time unit ------------------------------------------------------------------------------

    def _first_lines(self, begin: int, count: int) -> list[bytes]:
        """Return up to ``count`` lines of the first chunk from offset ``begin`` on, without their ends."""
        text = bytes(memoryview(self.buffer)[begin : self.end])
        return [line.rstrip(b"\r") for line in text.split(b"\n", count)[:count]]

    def _find_header(self) -> tuple[ColumnMap, int]:
        """Return what the columns are and the number of lines read for it; ``begin`` moves behind them."""
        line_number = 0
        while True:
            newline = self.buffer.find(b"\n", self.begin, self.end)
            stop = self.end if newline < 0 else newline
            line = bytes(memoryview(self.buffer)[self.begin : stop])
            line_number += 1
            if line.strip():
                break
            if newline < 0:
                raise DataError("the file holds only blank lines", where=self.source.label)
            self.begin = newline + 1
        names = _split(line)
        label = f"{self.source.label}:{line_number}"
        if any(known_column(name, self.options.form) for name in names):
            self.begin = stop if newline < 0 else newline + 1
            return map_columns(names, label, self.options.form), line_number
        return columns_without_header(names, label, self.options.form), line_number - 1

    def _find_unit(self, columns: ColumnMap, header_line: int) -> tuple[int, int]:
        """Return the unit of the timestamps, from the first row that shows it, and the earliest time to accept."""
        stated = None if columns.unit is None else (columns.unit, 0)
        strange = None
        column = columns.column(Field.TIMESTAMP) or 0
        for number, line in enumerate(self._first_lines(self.begin, 1000), header_line + 1):
            fields = _split(line)
            if len(fields) != len(columns.fields):
                continue
            text, label = fields[column], self.source.place(number)
            if ":" in text:
                return stated or (_csv.ISO, 0)
            try:
                time = Decimal(text)
                if has_lost_digits(time) and not self.source.of_floats:
                    raise lost_digits(text, label)
                unit = unit_of_magnitude(int(time))
            except (InvalidOperation, ValueError, OverflowError):
                continue
            if stated is not None:
                return stated
            if unit is not None:
                return unit, EARLIEST_DETECTED_NS
            strange = strange or unknown_unit(text, label)
        if strange is not None:
            raise strange
        return stated or (_csv.ISO, 0)  # no row shows a time: let the scanner say so, by line

    # --- scanning -----------------------------------------------------------------------------------------------

    def _scan_all(self) -> None:
        self._make_columns()
        while True:
            why = self.scanner.scan(self.buffer, self.begin, self.end, self.final, self.rows, **self.columns)
            self.begin, self.rows = self.scanner.consumed, self.scanner.rows
            if why == _csv.MORE:
                if self.final:
                    return
                self._fill()
            elif why == _csv.FULL:
                self._resize(self.rows + max(self.rows // 4, 1 << 14))
            elif why == _csv.NEW_SYMBOL:
                self._add_symbol()
            elif why == _csv.FINER:
                self._refine()
            else:
                self._bad_row()

    def _make_columns(self) -> None:
        """Allocate the columns for as many rows as the file's size suggests."""
        sample = self.buffer.count(b"\n", self.begin, self.end) or 1
        per_row = max((self.end - self.begin) / sample, 1)
        rows = int((4 if self.source.gzipped else 1.02) * self.source.size / per_row) + 1024
        if self.final:
            rows = sample + 1
        names = ["ts_ns", "price", "size"]
        if self.map.has(Field.BID):
            names += ["bid", "ask", "kind"]
        if self.map.has(Field.BID_SIZE):
            names += ["bid_size", "ask_size"]
        if self.map.has(Field.SYMBOL):
            names.append("instrument")
        if self.options.form == "bars":
            names += ["open", "high", "low", "lines"]
        kinds = {"kind": np.uint8, "instrument": np.uint16}
        self.columns = {name: np.empty(rows, kinds.get(name, np.int64)) for name in names}

    def _resize(self, rows: int) -> None:
        for values in self.columns.values():
            values.resize(rows, refcheck=False)  # moves pages, not bytes; the scanner keeps no reference

    def _add_instrument(self, name: str) -> int:
        index = len(self.symbols)
        if index >= _csv.MAX_SYMBOLS:
            raise DataError(f"more than {_csv.MAX_SYMBOLS} symbols", where=self._where(1))
        self.symbols.append(name)
        start = self.options.starts.get(name, (0, 0))
        price, size = self.options.price_precision, self.options.size_precision
        self.precisions.append((start[0] if price is None else price, start[1] if size is None else size))
        self.scanner.set_precision(index, *self.precisions[index])
        return index

    def _add_symbol(self) -> None:
        raw = self.scanner.text
        name = raw.decode("utf-8", "backslashreplace").replace('""', '"')
        self.all_symbols.append(name)
        wanted = self.options.symbol is None or name == self.options.symbol
        self.scanner.add_symbol(raw, self._add_instrument(name) if wanted else -1)

    def _refine(self) -> None:
        """Raise an instrument's precision and multiply its rows read so far."""
        index = self.scanner.instrument
        new = (self.scanner.price_precision, self.scanner.size_precision)
        old = self.precisions[index]
        mine = self.columns["instrument"][: self.rows] == index if "instrument" in self.columns else slice(None)
        for names, before, after in (
            (("price", "bid", "ask", "open", "high", "low"), old[0], new[0]),
            (("size", "bid_size", "ask_size"), old[1], new[1]),
        ):
            factor = 10 ** (after - before)
            for name in names:
                if factor == 1 or name not in self.columns:
                    continue
                values = self.columns[name][: self.rows]
                if values[mine].max(initial=0) > MAX_PRICE_TICKS // factor:
                    self.options.starts[self.symbols[index]] = new
                    raise _StartOver
                values[mine] *= factor
        self.precisions[index] = new
        self.scanner.set_precision(index, *new)

    def _bad_row(self) -> None:
        scanner = self.scanner
        text = scanner.text.decode("utf-8", "backslashreplace")
        hint = f"column {scanner.column}" if scanner.column and not self.source.of_frame else ""
        self.bad.add(self._where(), scanner.field, scanner.code, text, hint)

    # --- the result ---------------------------------------------------------------------------------------------

    def _result(self, unit: int) -> TickFile:
        if not self.rows:
            self._no_rows()
        self._resize(self.rows)
        columns = self.columns
        kind = columns.get("kind")
        instrument = columns.get("instrument") if len(self.symbols) > 1 else None
        block = TickBlock(
            columns["ts_ns"],
            columns["price"],
            columns["size"],
            columns.get("bid"),
            columns.get("ask"),
            columns.get("bid_size"),
            columns.get("ask_size"),
            instrument,
            kind if kind is not None and kind.any() else None,
            columns.get("open"),
            columns.get("high"),
            columns.get("low"),
        )
        pairs = zip(self.symbols, self.precisions, strict=True)
        instruments = [Instrument(name, price, size) for name, (price, size) in pairs]
        return TickFile(
            block,
            instruments,
            self.source.label,
            self._facts(unit) | join_precisions(instruments),
            dict(self.bad.counts),
            list(self.bad.samples),
            self.scanner.late,
            naive=unit == _csv.ISO and self.scanner.zones == ZONE_NONE,
            place=None if "lines" not in columns else lambda row: self.source.place(columns["lines"][row]),
        )

    def _no_rows(self) -> None:
        if self.options.symbol is not None and self.scanner.other_rows:
            what = f"no row of symbol '{self.options.symbol}'"
            raise NotFoundError(what, where=self.source.label, fix=nearest(self.options.symbol, self.all_symbols))
        if self.bad.counts:
            raise DataError(f"not one valid row; skipped: {self.bad.summary()}", where=self.source.label)
        if self.scanner.empty_bars:
            raise DataError("not one bar has a volume", where=self.source.label)
        raise DataError("the file has a header and no rows", where=self.source.label)

    def _facts(self, unit: int) -> dict[str, str]:
        facts = {"format": "CSV, gzip" if self.source.gzipped else "CSV"}
        if self.map.names:
            facts |= {"header": "yes"} | self.map.describe()
        else:
            facts |= {"header": "no", "columns": ", ".join(_csv.FIELDS[index] for index in self.map.fields)}
        if unit == _csv.ISO:
            words = {
                ZONE_NONE: "none written, read as UTC",
                ZONE_UTC: "UTC (Z)",
                ZONE_OFFSET: "offsets, converted to UTC",
            }
            facts["timestamp"] = "ISO 8601"
            facts["zone"] = "; ".join(text for flag, text in words.items() if self.scanner.zones & flag)
        else:
            stated = "stated by the column's name" if self.map.unit is not None else "by magnitude"
            facts |= {"timestamp": f"{UNIT_NAMES[unit]} since 1970 ({stated})", "zone": "UTC"}
        if self.scanner.empty_bars:
            facts["bars without volume left out"] = str(self.scanner.empty_bars)
        if self.scanner.other_rows:
            facts["rows of other symbols"] = str(self.scanner.other_rows)
        return facts


def _split(line: bytes) -> list[str]:
    """Split one line as CSV, without the spaces around its fields."""
    text = line.decode("utf-8", "backslashreplace").replace("\0", "")
    try:
        return [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error:  # a field too long to be one
        return [text]
