"""Tick files in and out: CSV (plain or gzip) and Parquet, trades and quotes, to exact integer columns and back.

``docs/reference/tick-files.md`` states the formats, what is detected and what is refused.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import DataError, MissingExtraError
from engine.model import MAX_PRICE_TICKS, Instrument, Kind, TickBlock
from engine.store.arrays import from_arrays
from engine.store.columns import Form
from engine.store.csv import file_source, read_csv
from engine.store.frames import from_frame, read_parquet
from engine.store.order import in_order
from engine.store.rows import BadRows, OnBadRow, TickFile, clean_precision, columns_of, first_bad_row, join_precisions

__all__ = ["OnBadRow", "TickFile", "from_arrays", "from_frame", "read_ticks", "write_ticks"]

WRITE_ROWS = 1 << 14

FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
}
"""First bytes of files that people pass by mistake."""


def read_ticks(
    path: str | Path,
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    size_precision: int | None = None,
    on_bad_row: OnBadRow = "stop",
    quotes: str | Path | None = None,
) -> TickFile:
    """Read a tick file, and a quote file to merge with it by time.

    Args:
        path: CSV, CSV.gz or Parquet with ``timestamp,price,size[,bid,ask][,symbol]``, or quotes alone.
        symbol: of several symbols keep only this one; names the instrument of a file without symbol column.
        price_precision: decimals of a price tick, 0 to 12; None takes as many as the prices of the file need.
        size_precision: the same for sizes.
        on_bad_row: ``"stop"`` at the first bad row, or ``"skip"`` and count them by reason.
        quotes: CSV, CSV.gz or Parquet with ``timestamp,bid,ask[,bid_size,ask_size]``. A quote stands before the trades
            of its own nanosecond; each file keeps its own order.

    Raises:
        DataError: the file is missing, unreadable or not a tick file, or a row is bad and ``on_bad_row`` is ``"stop"``,
            or most rows are earlier than one above them.
        NotFoundError: no row of ``symbol``.
        MissingExtraError: Parquet without the ``data`` extra.
    """
    clean_precision("price precision", price_precision)
    clean_precision("size precision", size_precision)
    options = {"symbol": symbol, "price_precision": price_precision, "size_precision": size_precision}
    trades = in_order(read_one(Path(path), on_bad_row, "trades", **options))
    if quotes is None:
        return trades
    if symbol is None and len(trades.instruments) == 1:
        options["symbol"] = trades.instruments[0].symbol
    return _merge(trades, in_order(read_one(Path(quotes), on_bad_row, "quotes", **options)))


def read_one(path: Path, on_bad_row: OnBadRow, form: Form, **options: Any) -> TickFile:
    """Read one file, whatever its format; see ``read_ticks`` and ``engine.store.bars.read_bars``."""
    try:
        if path.is_dir():
            raise DataError("this is a directory", where=str(path), fix="name a file in it")
        if path.exists() and not path.is_file():  # a pipe can be read only once, and never again
            raise DataError("this is not a regular file", where=str(path), fix="save it to a file first")
        with path.open("rb") as file:
            first = file.read(6)
    except FileNotFoundError:
        raise DataError("no such file", where=str(path), fix="check the path of the file") from None
    except PermissionError:
        raise DataError("no permission to read this file", where=str(path)) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    for magic, what in FOREIGN.items():
        if first.startswith(magic):
            raise DataError(f"this is {what}", where=str(path), fix="unpack it: expected CSV, CSV.gz or Parquet")
    if first.startswith(b"PAR1"):
        return read_parquet(path, on_bad_row=on_bad_row, form=form, **options)
    if path.suffix == ".parquet":
        raise DataError("the file is named .parquet and is not Parquet", where=str(path))
    try:
        name = path.name.partition(".")[0]
        return read_csv(file_source(path), BadRows(on_bad_row, form), form=form, name=name, **options)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=str(path)) from None


# --- merging quotes with trades ---------------------------------------------------------------------------------------


def _merge(trades: TickFile, quotes: TickFile) -> TickFile:
    """Merge two files into one stream: by time, quotes before trades of the same time, each file in its own order."""
    names = [item.symbol for item in trades.instruments]
    names += [item.symbol for item in quotes.instruments if item.symbol not in names]
    instruments = [_common(name, trades, quotes) for name in names]
    # A late row must not hold up the rows behind it: rows are placed by the newest time seen so far.
    trade_clock = np.maximum.accumulate(trades.block.ts_ns)
    quote_clock = np.maximum.accumulate(quotes.block.ts_ns)
    trade_rows = np.arange(trades.rows) + np.searchsorted(quote_clock, trade_clock, side="right")
    quote_rows = np.arange(quotes.rows) + np.searchsorted(trade_clock, quote_clock, side="left")
    count = trades.rows + quotes.rows

    def joined(name: str, kind: type[np.generic], parts: tuple[Any, Any]) -> NDArray[Any]:
        out = np.zeros(count, kind)
        for rows, values in zip((trade_rows, quote_rows), parts, strict=True):
            if values is not None:
                out[rows] = values
        return out

    columns: dict[str, NDArray[Any]] = {}
    scaled = (_at_precision(trades, instruments), _at_precision(quotes, instruments))
    for name in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots"):
        parts = (scaled[0].get(name), scaled[1].get(name))
        if any(part is not None for part in parts):
            columns[name] = joined(name, np.int64, parts)
    if len(names) > 1:
        columns["instrument"] = joined("instrument", np.uint16, (scaled[0]["instrument"], scaled[1]["instrument"]))
    kinds = (
        trades.block.kind,
        np.full(quotes.rows, Kind.QUOTE, np.uint8) if quotes.block.kind is None else quotes.block.kind,
    )
    columns["kind"] = joined("kind", np.uint8, kinds)
    skipped = {key: trades.skipped.get(key, 0) + quotes.skipped.get(key, 0) for key in trades.skipped | quotes.skipped}
    facts = (
        trades.detected
        | {f"quotes, {key}": text for key, text in quotes.detected.items()}
        | join_precisions(instruments)
    )
    both = hashlib.sha256(f"trades {trades.sha256}\nquotes {quotes.sha256}\n".encode()).hexdigest()
    return TickFile(
        TickBlock(**columns),
        instruments,
        f"{trades.source} + {quotes.source}",
        facts,
        skipped,
        trades.skipped_samples + quotes.skipped_samples,
        _csv.count_late(columns["ts_ns"]),
        both,
    )


def _common(name: str, *files: TickFile) -> Instrument:
    """Return an instrument with the finer precisions of the files that have it."""
    found = [item for file in files for item in file.instruments if item.symbol == name]
    finest_price = max(item.price_precision for item in found)
    return replace(found[0], price_precision=finest_price, size_precision=max(item.size_precision for item in found))


def _at_precision(file: TickFile, instruments: Sequence[Instrument]) -> dict[str, NDArray[Any]]:
    """Return a file's columns with instruments renumbered and values multiplied to the common precision."""
    columns: dict[str, NDArray[Any]] = dict(columns_of(file.block))
    position = {item.symbol: index for index, item in enumerate(instruments)}
    own = columns.get("instrument", np.zeros(file.rows, np.uint16))
    columns["instrument"] = np.array([position[item.symbol] for item in file.instruments], np.uint16)[own]
    for index, item in enumerate(file.instruments):
        target = instruments[position[item.symbol]]
        mine = own == index
        for names, factor in (
            (("price_ticks", "bid_ticks", "ask_ticks"), 10 ** (target.price_precision - item.price_precision)),
            (("size_lots", "bid_lots", "ask_lots"), 10 ** (target.size_precision - item.size_precision)),
        ):
            for name in names if factor > 1 else ():
                if name in columns:
                    if columns[name].max(where=mine, initial=0) > MAX_PRICE_TICKS // factor:
                        what = f"{item.symbol}: {name} do not fit at the precision that the other file needs"
                        raise DataError(what, where=file.source, fix="give --price-precision and --size-precision")
                    columns[name] = np.where(mine, columns[name] * factor, columns[name])
    return columns


# --- writing ----------------------------------------------------------------------------------------------------------


def write_ticks(path: str | Path, block: TickBlock, instruments: Sequence[Instrument]) -> None:
    """Write ticks to ``.csv``, ``.csv.gz`` or ``.parquet``; reading them back gives the same integers.

    Times are ISO 8601 with nanoseconds in CSV, UTC datetimes in Parquet; prices and sizes are decimal values. Give the
    reader the instrument's precisions when a precision has to survive prices that all end in zero. The file appears
    under its name only when it is complete; the same ticks give the same bytes.

    Raises:
        DataError: the rows are not valid ticks, or the file cannot be written.
    """
    path = Path(path)
    columns = columns_of(block)
    if block.open_ticks is not None:
        raise DataError("these are bars, not ticks", where=str(path))
    if block.instrument is not None and len(block) and int(block.instrument.max()) >= len(instruments):
        raise DataError("a row names an instrument that was not given", where=str(path))
    row, index, code = first_bad_row(block)
    if row >= 0:
        raise DataError(f"row {row} is not a valid tick [{_csv.reason_name(index, code)}]", where=str(path))
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            _write_parquet(part, columns, instruments)
        elif path.name.endswith((".csv", ".csv.gz")):
            _write_csv(part, path, block, instruments)
        else:
            raise DataError("cannot tell the format", where=str(path), fix="name it .csv, .csv.gz or .parquet")
        part.replace(path)
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror or error})", where=str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def _csv_parts(block: TickBlock, instruments: Sequence[Instrument]) -> Iterator[bytes]:
    header = "timestamp,price,size"
    header += ",bid,ask" if block.bid_ticks is not None else ""
    header += ",bid_size,ask_size" if block.bid_lots is not None else ""
    by_symbol = block.instrument is not None
    yield f"{header}{',symbol' if by_symbol else ''}\n".encode()
    suffixes = [f",{_quoted(item.symbol)}\n".encode() if by_symbol else b"\n" for item in instruments]
    precisions = [(item.price_precision, item.size_precision) for item in instruments]
    for start in range(0, len(block), WRITE_ROWS):
        stop = min(start + WRITE_ROWS, len(block))
        yield _csv.format_rows(
            start,
            stop,
            suffixes,
            precisions,
            block.ts_ns,
            block.price_ticks,
            block.size_lots,
            block.bid_ticks,
            block.ask_ticks,
            block.bid_lots,
            block.ask_lots,
            block.instrument,
            block.kind,
        )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n ') else text


def _write_csv(part: Path, path: Path, block: TickBlock, instruments: Sequence[Instrument]) -> None:
    with part.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                packed.writelines(_csv_parts(block, instruments))
        else:
            file.writelines(_csv_parts(block, instruments))


def _write_parquet(part: Path, columns: dict[str, Any], instruments: Sequence[Instrument]) -> None:
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("writing Parquet", "data") from None
    index = columns.get("instrument", np.zeros(1, np.uint16))
    by_price = np.array([float(10**item.price_precision) for item in instruments])[index]
    by_size = np.array([float(10**item.size_precision) for item in instruments])[index]
    times = pl.Series("timestamp", columns["ts_ns"]).cast(pl.Datetime("ns", "UTC"))
    data: dict[str, Any] = {"timestamp": times}
    for name, attribute, scale in (
        ("price", "price_ticks", by_price), ("size", "size_lots", by_size),
        ("bid", "bid_ticks", by_price), ("ask", "ask_ticks", by_price),
        ("bid_size", "bid_lots", by_size), ("ask_size", "ask_lots", by_size),
    ):  # fmt: skip
        if attribute in columns:
            # The quotient of two exact doubles is the double nearest to the decimal: the reader finds it again.
            values = pl.Series(name, columns[attribute] / scale)
            data[name] = values.set(values == 0.0, None)
    if "instrument" in columns:
        data["symbol"] = pl.Series([item.symbol for item in instruments])[index.tolist()]
    pl.DataFrame(data).write_parquet(part)
