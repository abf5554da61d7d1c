"""Feature columns as files and as a summary: what ``microburst features`` makes of them.

A row is a trade. Before the features stand its time, twice, its symbol, price and size, so that a file can be joined to
any other by row or by nanosecond, and read as a tick file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DataError, MissingExtraError
from engine.graph.algebra import NO_UNIT, PER_SECOND, PRICE, RATE, SIZE, TIME, Unit
from engine.graph.compiler import Compiler
from engine.language.grammar import Condition
from engine.model import Instrument
from engine.tools.features import Declared, FeatureTable, watched_of

SCHEMA = "microburst.features/1"

LEADING = ("timestamp", "ts_ns", "symbol", "price", "size")
"""The columns before the features."""

WRITE_ROWS = 1 << 14

UNITS = {NO_UNIT: "", PRICE: "price", SIZE: "size", TIME: "s", RATE: "size/s", PER_SECOND: "1/s"}
"""How the units of features are written for people."""


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column over all rows. Of a condition, ``mean`` is the share of rows on which it holds."""

    name: str
    kind: str  # "feature" or "condition"
    unit: str
    defined: int  # rows with a value; of a condition: rows on which it holds
    first_row: int | None  # the first such row, from 0; None: there is none
    minimum: float
    mean: float
    maximum: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def summarise(table: FeatureTable, declared: Declared) -> list[ColumnSummary]:
    """Summarise every column of a table."""
    units = units_of(table.file.instruments, declared)
    return [_summary(name, units[name], values) for name, values in table.columns.items()]


def _summary(name: str, unit: str, values: NDArray[Any]) -> ColumnSummary:
    condition = values.dtype == np.bool_
    rows = np.flatnonzero(values if condition else ~np.isnan(values))
    first = int(rows[0]) if len(rows) else None
    if condition:
        share = len(rows) / len(values) if len(values) else np.nan
        return ColumnSummary(name, "condition", unit, len(rows), first, np.nan, share, np.nan)
    known = values[rows]
    figures = (known.min(), known.mean(), known.max()) if len(known) else (np.nan,) * 3
    return ColumnSummary(name, "feature", unit, len(rows), first, *map(float, figures))


def units_of(instruments: Sequence[Instrument], declared: Declared) -> dict[str, str]:
    """The unit of each declared expression; empty for ratios, counts and conditions."""
    watched, parameters = watched_of(declared)
    numbered: dict[str, tuple[int, Compiler]] = {}
    compilers = [Compiler(instrument, others=numbered) for instrument in instruments]
    numbered.update((one.instrument.symbol, (number, one)) for number, one in enumerate(compilers))
    return {
        name: "" if isinstance(part, Condition) else unit_text(compilers[0].value(part, parameters).unit)
        for name, part in watched.items()
    }


def unit_text(unit: Unit) -> str:
    """A unit as people write it: ``price²``, ``size/s``."""
    if unit in UNITS:
        return UNITS[unit]
    powers = {"price": unit.price, "size": unit.size, "s": unit.time}
    return "·".join(name + _power(power) for name, power in powers.items() if power)


def _power(power: int) -> str:
    return "" if power == 1 else str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


# ---------------------------------------------------------------- files


def write_features(path: Path, table: FeatureTable) -> None:
    """Write a table to ``.csv`` or ``.parquet``; the file appears under its name only when it is complete.

    Raises:
        ConfigError: another format, or a feature with the name of a leading column.
        DataError: the file cannot be written.
        MissingExtraError: Parquet without the ``data`` extra.
    """
    check_output(path)
    for name in table.columns:
        if name in LEADING:
            raise ConfigError(f"{name!r} is the name of a column that every file has", fix=f"call it my_{name}")
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            _write_parquet(part, table)
        else:
            with part.open("wb") as file:
                file.writelines(_csv_parts(table))
        part.replace(path)
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror or error})", where=str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def check_output(path: Path, *inputs: Path | None) -> None:
    """Refuse, before any work, a file that could not be written, or that would take the place of an input.

    Raises:
        ConfigError: neither ``.csv`` nor ``.parquet``, a folder that does not exist, or a folder or input itself.
        MissingExtraError: Parquet without the ``data`` extra.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError("cannot tell the format", where=str(path), fix="name it .parquet or .csv")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", where=str(path), fix="make it, or name another one")
    if path.is_dir():
        raise ConfigError("this is a folder", where=str(path), fix="name a file in it")
    for given in inputs:
        if given and given.exists() and path.exists() and path.samefile(given):
            raise ConfigError("this file is read, and would be lost", where=str(path), fix="name another one")
    if path.suffix == ".parquet":
        _polars()


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise MissingExtraError("writing Parquet", "data") from None
    return polars


def _write_parquet(part: Path, table: FeatureTable) -> None:
    pl = _polars()
    block, rows, instruments = table.file.block, table.rows, table.file.instruments
    index = _instrument_of_rows(table)
    by_price = np.array([float(10**item.price_precision) for item in instruments])[index]
    by_size = np.array([float(10**item.size_precision) for item in instruments])[index]
    ts_ns = block.ts_ns[rows]
    data = {
        "timestamp": pl.Series(ts_ns).cast(pl.Datetime("ns", "UTC")),
        "ts_ns": ts_ns,
        "symbol": pl.Series([item.symbol for item in instruments])[index],
        # The quotient of two exact doubles is the double nearest to the decimal.
        "price": block.price_ticks[rows] / by_price,
        "size": block.size_lots[rows] / by_size,
    }
    pl.DataFrame(data | table.columns).write_parquet(part)


def _instrument_of_rows(table: FeatureTable) -> NDArray[np.int64]:
    given = table.file.block.instrument
    return np.zeros(len(table.rows), np.int64) if given is None else given[table.rows].astype(np.int64)


def _csv_parts(table: FeatureTable) -> Iterator[bytes]:
    """The file in pieces. A number is the shortest decimal that reads back as the same double; undefined is empty."""
    block, rows, instruments = table.file.block, table.rows, table.file.instruments
    index = _instrument_of_rows(table)
    yield f"{','.join(map(_quoted, [*LEADING, *table.columns]))}\n".encode()
    for start in range(0, len(rows), WRITE_ROWS):
        some = slice(start, start + WRITE_ROWS)
        at = rows[some]
        ts_ns, traded = block.ts_ns[at], [instruments[number] for number in index[some].tolist()]
        price_ticks, size_lots = block.price_ticks[at].tolist(), block.size_lots[at].tolist()
        leading = [
            np.char.add(np.datetime_as_string(ts_ns.view("M8[ns]")), "Z").tolist(),
            map(str, ts_ns.tolist()),
            [_quoted(item.symbol) for item in traded],
            [f"{item.price(ticks):f}" for item, ticks in zip(traded, price_ticks, strict=True)],
            [f"{item.size(lots):f}" for item, lots in zip(traded, size_lots, strict=True)],
        ]
        columns = [map(_csv_value, values[some].tolist()) for values in table.columns.values()]
        yield "".join(f"{','.join(row)}\n" for row in zip(*leading, *columns, strict=True)).encode()


def _csv_value(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value != value else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n ') else text
