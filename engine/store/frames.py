"""Ticks out of frames: polars, pandas, a mapping from column names to arrays, Parquet files.

Columns hold values, not ticks. Columns of text or decimals go through the CSV reader, so that there is one rule for
text; everything else goes through ``engine.store.arrays``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import DataError, MissingExtraError, NotFoundError, nearest
from engine.store.arrays import (
    EMPTY,
    OFF_GRID,
    PRICES,
    QUOTED,
    SIZES,
    Ints,
    Mask,
    Rows,
    as_int64,
    decimals_needed,
    scale_times,
    times_from_datetimes,
)
from engine.store.columns import UNIT_NAMES, ColumnMap, Field, Form, map_columns, unit_of_magnitude, unknown_unit
from engine.store.csv import Source, read_csv
from engine.store.order import in_order
from engine.store.rows import BadRows, OnBadRow, TickFile, clean_precision

EXACT_FLOAT = 1 << 53
"""Below it every integer is a float of its own."""

OPAQUE = ("Binary", "Duration", "Object")
"""Types of polars that hold no price, time or name, apart from those made of other types."""


def from_frame(
    frame: Any,
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    size_precision: int | None = None,
    on_bad_row: OnBadRow = "stop",
    source: str = "frame",
    form: Form = "trades",
) -> TickFile:
    """Make ticks of a polars or pandas frame, or of a mapping from column names to arrays.

    Columns are named as in a CSV file (``docs/reference/tick-files.md``) and hold values, not ticks: 100 is a price
    of 100. Missing bids and asks are not known; a row whose price and size are both missing is a quote.

    Raises:
        DataError: a needed column is missing or of no usable type, a bad row when ``on_bad_row`` is ``"stop"``, or most
            rows are earlier than one above them.
        NotFoundError: no row of ``symbol``.
    """
    clean_precision("price precision", price_precision)
    clean_precision("size precision", size_precision)
    if hasattr(frame, "collect"):  # a lazy frame of polars
        frame = frame.collect()
    if not isinstance(frame, Mapping) and not hasattr(frame, "columns"):
        what = f"cannot take ticks from a {type(frame).__name__}"
        raise DataError(what, where=source, fix="give a polars or pandas frame, or a dict of columns")
    names = [str(name) for name in (frame.keys() if isinstance(frame, Mapping) else frame.columns)]
    columns = map_columns(names, source, form)
    _check_types(frame, columns, source)
    pairs = zip(names, columns.fields, strict=True)
    given = {Field(index): _Column(frame[name]) for name, index in pairs if index >= 0}
    bad = BadRows(on_bad_row, form)
    if any(column.values.dtype.kind not in "iufM" for index, column in given.items() if index != Field.SYMBOL):
        options = {"symbol": symbol, "price_precision": price_precision, "size_precision": size_precision}
        of_floats = given[Field.TIMESTAMP].values.dtype.kind == "f"
        result = _through_csv(frame, columns, bad, source, of_floats, form=form, **options)
        return result if form == "bars" else in_order(result)
    rows = Rows(len(given[Field.TIMESTAMP].values), source, bad, [])
    rows.check_shapes({index: column.values for index, column in given.items()})
    facts = {"format": "frame"} | columns.describe()
    _set_symbols(rows, given.pop(Field.SYMBOL, None), symbol)
    if form == "bars" and (empty := rows.leave_out_empty(given[Field.SIZE].values)):
        facts["bars without volume left out"] = str(empty)
    facts |= _set_times(rows, given[Field.TIMESTAMP], columns.unit)
    _set_kinds(rows, given)
    _refuse_empty(rows, given)
    for fields, precision in ((PRICES, price_precision), (SIZES, size_precision)):
        mine = {index: given[index].values for index in fields if index in given}
        rows.convert(mine, fields[0], precision)
    result = rows.finish()
    result.naive = given[Field.TIMESTAMP].naive
    result.detected = facts | result.detected
    return result if form == "bars" else in_order(result)  # bars wait until their ends are known


def read_parquet(path: Path, **options: Any) -> TickFile:
    """Read a Parquet file as a frame; options are those of ``from_frame``. Needs the ``data`` extra."""
    try:
        import polars as pl  # an optional extra, wanted only here
    except ImportError:
        raise MissingExtraError("reading Parquet", "data") from None
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise DataError(f"not a readable Parquet file ({reason})", where=str(path)) from None
    result = from_frame(frame, source=str(path), **options)
    result.detected["format"] = "Parquet"
    with path.open("rb") as file:
        result.file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return result


def _check_types(frame: Any, columns: ColumnMap, source: str) -> None:
    """Refuse columns of polars that hold neither numbers nor times nor text: lists, structures, bytes, durations."""
    for name, index in zip(columns.names, columns.fields, strict=True):
        kind: Any = getattr(frame[name], "dtype", None) if index >= 0 else None
        if not hasattr(kind, "is_nested") or not (kind.is_nested() or str(kind.base_type()) in OPAQUE):
            continue
        expected = {Field.TIMESTAMP: "datetimes, integers, floats or text", Field.SYMBOL: "text"}
        what = f"the column '{name}' is of type {kind}, expected {expected.get(Field(index), 'integers or floats')}"
        raise DataError(what, where=source, fix="convert the column")


class _Column:
    """One column of any kind of frame as a NumPy array, and where values are missing (None: nowhere).

    Missing integers and times read as 0; missing floats as nan. ``empty`` is where nothing was given, which polars has
    beside nan. ``naive`` tells that it holds times without a zone.
    """

    def __init__(self, data: Any) -> None:
        self.missing: Mask | None = None
        self.empty: Mask | None = None
        if hasattr(data, "to_physical"):
            self.values = self._of_polars(data)
        elif hasattr(data, "isna"):
            self.values = self._of_pandas(data)
        else:
            self.values = np.asarray(data)
            if self.values.dtype.kind == "f" and np.isnan(self.values).any():
                self.missing = np.isnan(self.values)
        dtype = getattr(data, "dtype", None)
        zone = getattr(dtype, "time_zone", None) or getattr(dtype, "tz", None)
        self.naive = self.values.dtype.kind == "M" and zone is None

    def _of_polars(self, data: Any) -> NDArray[Any]:
        if data.null_count():
            self.empty = data.is_null().to_numpy()
        if data.dtype.is_float() and data.is_nan().any():
            data = data.fill_nan(None)
        if data.null_count():
            self.missing = data.is_null().to_numpy()
        datetime_unit = getattr(data.dtype, "time_unit", None) if str(data.dtype).startswith("Datetime") else None
        if datetime_unit:
            data = data.to_physical()
        if self.missing is not None and data.dtype.is_integer():
            data = data.fill_null(0)
        values: NDArray[Any] = data.to_numpy()
        return np.ascontiguousarray(values).view(f"datetime64[{datetime_unit}]") if datetime_unit else values

    def _of_pandas(self, data: Any) -> NDArray[Any]:
        if data.isna().any():
            self.missing = self.empty = data.isna().to_numpy()
        if getattr(data.dtype, "tz", None) is not None:
            data = data.dt.tz_convert("UTC").dt.tz_localize(None)
        kind = getattr(data.dtype, "kind", "O")
        if self.missing is not None and kind in "iu":  # a nullable integer column
            data = data.fillna(0)
        dtype = getattr(data.dtype, "numpy_dtype", None)
        if dtype is None or kind not in "iuf":
            values: NDArray[Any] = data.to_numpy()
        else:
            values = data.to_numpy(dtype=dtype, na_value=np.nan) if kind == "f" else data.to_numpy(dtype=dtype)
        return values


def _set_symbols(rows: Rows, column: _Column | None, wanted: str | None) -> None:
    """Number the symbols in order of appearance, or keep only the wanted one."""
    if column is None:
        rows.symbols = [wanted or Path(rows.source).name.partition(".")[0]]
        return
    if column.missing is not None:
        rows.flag(np.flatnonzero(column.missing), Field.SYMBOL, EMPTY, None)
    names, first, inverse = np.unique(column.values.astype(np.str_), return_index=True, return_inverse=True)
    if wanted is not None:
        if wanted not in names:
            raise NotFoundError(f"no row of symbol '{wanted}'", where=rows.source, fix=nearest(wanted, names.tolist()))
        rows.symbols = [wanted]
        if len(names) > 1:
            rows.others = inverse != np.flatnonzero(names == wanted)[0]
        return
    if len(names) > _csv.MAX_SYMBOLS:
        raise DataError(f"more than {_csv.MAX_SYMBOLS} symbols", where=rows.source)
    order = np.argsort(first)
    rows.symbols = [str(name) for name in names[order]]
    if len(names) > 1:
        rank = np.empty(len(names), np.uint16)
        rank[order] = np.arange(len(names), dtype=np.uint16)
        rows.instrument = rank[inverse]


def _set_times(rows: Rows, column: _Column, unit: int | None) -> dict[str, str]:
    """Convert the timestamps and return what they were found to be."""
    values = column.values
    if values.dtype.kind == "M":
        times = times_from_datetimes(rows, values)
        facts = {"timestamp": str(values.dtype), "zone": "that of the column, or none and read as UTC"}
    else:
        stated = "by magnitude" if unit is None else "stated by the column's name"
        if unit is None:
            usable = values if column.missing is None else values[~column.missing]
            first = usable[0].item() if len(usable) else 0
            unit = unit_of_magnitude(first)
            if unit is None:
                raise unknown_unit(repr(first), f"{rows.source}: row 0")
        times = _times_from_numbers(rows, values, unit)
        facts = {"timestamp": f"{UNIT_NAMES[unit]} since 1970 ({stated})", "zone": "UTC"}
    if column.missing is not None:
        rows.flag(np.flatnonzero(column.missing), Field.TIMESTAMP, EMPTY, None)
        times = np.where(column.missing, 0, times)
    rows.columns[Field.TIMESTAMP] = times
    return facts


def _times_from_numbers(rows: Rows, values: NDArray[Any], unit: int) -> Ints:
    if values.dtype.kind != "f":
        return scale_times(rows, as_int64(values, "timestamp", rows.source), 10 ** (9 - unit))
    # A double holds a time of today to the microsecond; finer digits would be invented.
    decimals = decimals_needed(values, 0, EXACT_FLOAT, max(6 - unit, 0))
    scale = float(10**decimals)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint(values * scale)
        finite = np.isfinite(values)
        fits = finite & (steps / scale == values) & (np.abs(steps) < EXACT_FLOAT)
    rows.flag(np.flatnonzero(finite & ~fits), Field.TIMESTAMP, OFF_GRID, values)
    return scale_times(rows, np.where(fits, steps, 0).astype(np.int64), 10 ** (9 - unit - decimals))


def _set_kinds(rows: Rows, given: Mapping[Field, _Column]) -> None:
    """Tell quotes from trades: a quote has neither price nor size, and the source has a bid and an ask."""
    if Field.BID not in given:
        return
    if Field.PRICE not in given:
        rows.kind = np.ones(rows.count, np.uint8)
        return
    price, size = given[Field.PRICE].missing, given[Field.SIZE].missing
    if price is not None and size is not None and (price & size).any():
        rows.kind = (price & size).astype(np.uint8)


def _refuse_empty(rows: Rows, given: Mapping[Field, _Column]) -> None:
    """Note the rows without a value that only quotes, or none, can do without."""
    for index in sorted(set(given) - {Field.TIMESTAMP, *QUOTED}):
        empty = given[index].empty
        if empty is not None:
            rows.flag(np.flatnonzero(empty if rows.kind is None else empty & (rows.kind == 0)), index, EMPTY, None)


def _through_csv(
    frame: Any, columns: ColumnMap, bad: BadRows, source: str, of_floats: bool, **options: Any
) -> TickFile:
    """Read a frame that has text or decimal columns by writing it as CSV and scanning that."""
    used = [name for name, index in zip(columns.names, columns.fields, strict=True) if index >= 0]
    if hasattr(frame, "write_csv"):
        text = frame.select(used).write_csv().encode()
    elif hasattr(frame, "to_csv"):
        text = frame[used].to_csv(index=False).encode()
    else:
        values = [[str(value) for value in np.asarray(frame[name]).tolist()] for name in used]
        text = "\n".join([",".join(used), *(",".join(row) for row in zip(*values, strict=True)), ""]).encode()
    name = Path(source).name.partition(".")[0]
    written = Source(lambda: io.BytesIO(text), source, len(text), of_frame=True, of_floats=of_floats)
    result = read_csv(written, bad, name=name, **options)
    result.detected["format"] = "frame with text or decimal columns"
    result.file_sha256 = ""  # the text is ours, not the user's: hash the columns
    return result
