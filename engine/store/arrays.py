"""Ticks out of NumPy arrays: integers are taken as they are and not copied, floats are converted exactly.

A float stands for the shortest decimal that reads back as the same float, which is what the person who wrote it
meant; it must lie on the grid of the precision, nothing is rounded away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import DataError
from engine.model import MAX_PRICE_TICKS, Instrument, TickBlock
from engine.store.columns import Field
from engine.store.order import in_order
from engine.store.rows import BadRows, OnBadRow, TickFile, clean_precision, columns_of, first_bad_row, join_precisions

CHUNK_ROWS = 1 << 16
EMPTY, NOT_FINITE, OFF_GRID, OUT_OF_BOUNDS = 1, 3, 4, 5  # engine/_scan.pxd: ScanCode
MAX_INT64 = (1 << 63) - 1
UNIT_FACTORS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

PRICES = (Field.PRICE, Field.BID, Field.ASK, Field.OPEN, Field.HIGH, Field.LOW)
SIZES = (Field.SIZE, Field.BID_SIZE, Field.ASK_SIZE)
QUOTED = (Field.BID, Field.ASK, Field.BID_SIZE, Field.ASK_SIZE)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


def from_arrays(
    ts_ns: NDArray[Any],
    price: NDArray[Any],
    size: NDArray[Any],
    *,
    bid: NDArray[Any] | None = None,
    ask: NDArray[Any] | None = None,
    bid_size: NDArray[Any] | None = None,
    ask_size: NDArray[Any] | None = None,
    instrument: NDArray[Any] | None = None,
    kind: NDArray[Any] | None = None,
    symbol: str | Sequence[str] = "ticks",
    price_precision: int | None = None,
    size_precision: int | None = None,
    on_bad_row: OnBadRow = "stop",
    source: str = "arrays",
) -> TickFile:
    """Make ticks of NumPy arrays of equal length.

    Args:
        ts_ns: int64 nanoseconds since 1970 UTC, or datetime64 of any unit.
        price: integers are ticks of ``price_precision`` (default 2) and, as contiguous int64, not copied; floats are
            decimal values, converted exactly (None: with as many decimals as they need). The same for bid and ask.
        size: the same in lots of ``size_precision`` (default 0 for integers); the same for bid_size and ask_size.
        instrument: index into ``symbol`` for each row, when there are several symbols.
        kind: 0 for a trade, 1 for a quote (``engine.model.Kind``).

    Raises:
        DataError: arrays of different lengths, a bad row when ``on_bad_row`` is ``"stop"``, or most rows are earlier
            than one above them.
    """
    clean_precision("price precision", price_precision)
    clean_precision("size precision", size_precision)
    symbols = [symbol] if isinstance(symbol, str) else list(symbol)
    named = zip(Field, (ts_ns, price, size, bid, ask, bid_size, ask_size), strict=False)
    given = {index: np.asarray(values) for index, values in named if values is not None}
    rows = Rows(len(given[Field.TIMESTAMP]), source, BadRows(on_bad_row), symbols)
    rows.check_shapes(given)
    rows.set_instrument(instrument)
    if kind is not None:
        rows.kind = np.ascontiguousarray(kind, np.uint8)
        if rows.kind.shape != (rows.count,):
            raise DataError("kind must hold one value per row", where=source)
    times = given.pop(Field.TIMESTAMP)
    rows.columns[Field.TIMESTAMP] = (
        times_from_datetimes(rows, times) if times.dtype.kind == "M" else as_int64(times, "timestamp", source)
    )
    for fields, precision, default in ((PRICES, price_precision, 2), (SIZES, size_precision, 0)):
        mine = {index: given[index] for index in fields if index in given}
        if precision is None and not any(values.dtype.kind == "f" for values in mine.values()):
            precision = default
        rows.convert(mine, fields[0], precision, integers_are_steps=True)
    return in_order(rows.finish())


@dataclass(slots=True)
class Rows:
    """Columns on their way to a ``TickBlock``: integers by field, and the rows found bad so far."""

    count: int
    source: str
    bad: BadRows
    symbols: list[str]
    columns: dict[int, Ints] = field(default_factory=dict)
    instrument: NDArray[np.uint16] | None = None
    kind: NDArray[np.uint8] | None = None
    others: Mask | None = None  # rows of symbols that are not wanted
    precisions: dict[int, list[int]] = field(default_factory=dict)  # of PRICE and SIZE, for each symbol
    problems: dict[int, tuple[int, int, str]] = field(default_factory=dict)  # row: field, code, text

    def check_shapes(self, given: Mapping[Field, NDArray[Any]]) -> None:
        """Refuse arrays that are not columns of one length, and half a quote."""
        for index, values in given.items():
            if values.shape != (self.count,):
                what = f"the {_csv.FIELDS[index]} column has shape {values.shape}, expected ({self.count},)"
                raise DataError(what, where=self.source)
        if (Field.BID in given) != (Field.ASK in given) or (Field.BID_SIZE in given) != (Field.ASK_SIZE in given):
            raise DataError("bid and ask come in pairs", where=self.source)
        if not self.count:
            raise DataError("there are no rows", where=self.source)

    def set_instrument(self, instrument: NDArray[Any] | None) -> None:
        """Take one index into ``symbols`` for each row."""
        if instrument is None:
            if len(self.symbols) != 1:
                raise DataError("several symbols need an instrument index for each row", where=self.source)
            return
        indices = np.asarray(instrument)
        fits = indices.shape == (self.count,) and 0 <= int(indices.min()) <= int(indices.max()) < len(self.symbols)
        if not fits:
            raise DataError(f"instrument must hold one index below {len(self.symbols)} per row", where=self.source)
        self.instrument = np.ascontiguousarray(indices, np.uint16)

    def flag(self, where: NDArray[np.intp], index: int, code: int, values: NDArray[Any] | None) -> None:
        """Note bad rows; when the first one stops the run, no more than that one of each kind is kept."""
        if self.others is not None:
            where = where[~self.others[where]]
        for row in where[:1] if self.bad.policy == "stop" else where:
            text = "" if values is None else repr(values[row].item())
            self.problems.setdefault(int(row), (index, code, text))

    def convert(
        self,
        given: Mapping[Field, NDArray[Any]],
        main: Field,
        precision: int | None,
        *,
        integers_are_steps: bool = False,
    ) -> None:
        """Turn price-like or size-like columns into integers; ``main`` is PRICE or SIZE.

        Without a precision each symbol gets the decimals that its floats need. Integers are steps of the precision
        already when the caller says so, else whole units.
        """
        needed = [precision or 0] * len(self.symbols)
        if precision is None:
            for values in given.values():
                if values.dtype.kind == "f":
                    for symbol in range(len(self.symbols)):
                        own = self._mine(symbol)
                        mine = values if own is None else values[own]
                        needed[symbol] = decimals_needed(mine, needed[symbol])
        self.precisions[main] = needed
        scales = np.array([10**decimals for decimals in needed], np.int64)
        scale = scales[:1] if self.instrument is None else scales[self.instrument]
        for index, values in given.items():
            if values.dtype.kind == "f":
                self.columns[index] = self._from_floats(index, values, scale.astype(np.float64))
                continue
            whole = as_int64(values, _csv.FIELDS[index], self.source)
            if not integers_are_steps and (scale > 1).any():
                # Only magnitudes that cannot leave int64 are multiplied; the others are out of bounds anyway.
                too_large = (whole > MAX_PRICE_TICKS) | (whole < -MAX_PRICE_TICKS)
                too_large |= whole > MAX_PRICE_TICKS // scale
                self.flag(np.flatnonzero(too_large), index, OUT_OF_BOUNDS, whole)
                whole = np.where(too_large, 1, whole)
                whole = np.where(whole < 0, whole, whole * scale)
            self.columns[index] = whole

    def _mine(self, symbol: int) -> Mask | None:
        """Return the rows of a symbol; None stands for all of them."""
        if self.instrument is None:
            return None if self.others is None else ~self.others
        mine: Mask = self.instrument == symbol
        return mine

    def _from_floats(self, index: int, values: NDArray[Any], scales: NDArray[np.float64]) -> Ints:
        """Convert floats chunk by chunk; rows that cannot be converted are noted and become 0."""
        out = np.empty(self.count, np.int64)
        optional = index in QUOTED
        for first in range(0, self.count, CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            part = doubles(values[rows])
            scale = scales[0] if len(scales) == 1 else scales[rows]
            with np.errstate(over="ignore", invalid="ignore"):
                steps = np.rint(part * scale)
                not_finite = ~np.isfinite(part)
                large = ~not_finite & (np.abs(steps) > MAX_PRICE_TICKS)
                off_grid = ~not_finite & ~large & (steps / scale != part)
            unusable = not_finite | large | off_grid
            if unusable.any():
                if optional:  # a side of the quote that is not known
                    not_finite &= ~np.isnan(part)
                elif self.kind is not None:  # a quote has no price and no size
                    not_finite &= ~np.isnan(part) | (self.kind[rows] == 0)
                for mask, code in ((not_finite, NOT_FINITE), (large, OUT_OF_BOUNDS), (off_grid, OFF_GRID)):
                    self.flag(np.flatnonzero(mask) + first, index, code, values)
                steps[unusable] = 0
            out[rows] = steps
        return out

    def leave_out_empty(self, volumes: NDArray[Any]) -> int:
        """Leave out bars in which nothing traded, as if they were not there; return how many there are."""
        empty = volumes == 0
        if self.others is not None:
            empty &= ~self.others
        count = int(empty.sum())
        if count == self.count:
            raise DataError("not one bar has a volume", where=self.source)
        if count:
            self.others = empty if self.others is None else self.others | empty
        return count

    def finish(self) -> TickFile:
        """Check every row, refuse or leave out the bad ones, and return the ticks."""
        block = self._block()
        self._find_bad(block)
        for row in sorted(self.problems):
            self.bad.add(f"{self.source}: row {row}", *self.problems[row])
        rows = np.arange(self.count) if block.open_ticks is not None else None
        if self.problems or self.others is not None:
            keep = np.ones(self.count, np.bool_) if self.others is None else ~self.others
            keep[list(self.problems)] = False
            if not keep.any():
                raise DataError(f"not one valid row; skipped: {self.bad.summary()}", where=self.source)
            block = TickBlock(**{name: values[keep] for name, values in columns_of(block).items()})
            rows = None if rows is None else rows[keep]
        if block.kind is not None and not block.kind.any():
            block.kind = None
        precisions = zip(self.symbols, self.precisions[Field.PRICE], self.precisions[Field.SIZE], strict=True)
        instruments = [Instrument(*item) for item in precisions]
        facts, late = join_precisions(instruments), _csv.count_late(block.ts_ns)
        place = None if rows is None else lambda row: f"{self.source}: row {rows[row]}"
        return TickFile(block, instruments, self.source, facts, self.bad.counts, self.bad.samples, late, place=place)

    def _block(self) -> TickBlock:
        get = self.columns.get
        nothing = None if Field.PRICE in self.columns else np.zeros(self.count, np.int64)
        return TickBlock(
            self.columns[Field.TIMESTAMP],
            self.columns[Field.PRICE] if nothing is None else nothing,
            self.columns[Field.SIZE] if nothing is None else nothing,
            get(Field.BID),
            get(Field.ASK),
            get(Field.BID_SIZE),
            get(Field.ASK_SIZE),
            self.instrument,
            self.kind,
            get(Field.OPEN),
            get(Field.HIGH),
            get(Field.LOW),
        )

    def _find_bad(self, block: TickBlock) -> None:
        """Add the rows whose integers are no valid tick; with the policy "stop" the first one is enough."""
        start = 0
        while True:
            row, index, code = first_bad_row(block, start)
            if row < 0:
                return
            if self.others is None or not self.others[row]:
                values = self.columns.get(index)
                self.problems.setdefault(row, (index, code, "" if values is None else str(values[row])))
                if self.bad.policy == "stop":
                    return
            start = row + 1


def as_int64(values: NDArray[Any], name: str, source: str) -> Ints:
    """Return an integer array as contiguous int64: the very same array when it is one."""
    if values.dtype.kind not in "iu":
        raise DataError(f"the {name} column is of type {values.dtype}, expected integers or floats", where=source)
    if values.dtype == np.uint64 and len(values) and int(values.max()) > MAX_INT64:
        raise DataError(f"the {name} column holds a value above 2**63-1", where=source)
    return np.ascontiguousarray(values, np.int64)


def doubles(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return floats as float64. Narrower ones go through their shortest decimal: 0.1 stays 0.1."""
    return values if values.dtype == np.float64 else values.astype(np.str_).astype(np.float64)


def decimals_needed(
    values: NDArray[Any], at_least: int, limit: int = MAX_PRICE_TICKS, most: int = _csv.MAX_PRECISION
) -> int:
    """Return how many decimals the floats need; those that are on no grid within bounds have no say."""
    precision = at_least
    for first in range(0, len(values), CHUNK_ROWS):
        rest = doubles(values[first : first + CHUNK_ROWS])
        for candidate in range(precision, most + 1):
            scale = float(10**candidate)
            with np.errstate(over="ignore", invalid="ignore"):
                steps = np.rint(rest * scale)
                fits = (steps / scale == rest) & (np.abs(steps) <= limit)
            if fits.any():
                precision, rest = candidate, rest[~fits]
            if not len(rest):
                break
    return precision


def times_from_datetimes(rows: Rows, values: NDArray[Any]) -> Ints:
    """Return datetime64 as nanoseconds: a view when they are that already. A missing time is a bad row."""
    unit = np.datetime_data(values.dtype)[0]
    if unit not in UNIT_FACTORS:
        raise DataError(f"the timestamps are of type {values.dtype}, expected s, ms, us or ns", where=rows.source)
    rows.flag(np.flatnonzero(np.isnat(values)), Field.TIMESTAMP, EMPTY, None)
    return scale_times(rows, np.ascontiguousarray(values).view(np.int64), UNIT_FACTORS[unit])


def scale_times(rows: Rows, raw: Ints, factor: int) -> Ints:
    """Return ``raw * factor``; what does not fit is noted as bad."""
    if factor == 1:
        return raw
    strange = (raw > MAX_INT64 // factor) | (raw < -(MAX_INT64 // factor))
    rows.flag(np.flatnonzero(strange), Field.TIMESTAMP, OUT_OF_BOUNDS, raw)
    return np.where(strange, 0, raw) * factor
