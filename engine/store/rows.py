"""What a file of ticks gives: the ``TickFile``, the names columns may have, and what becomes of bad rows.

The parts of ``engine.store.ticks`` that its readers (CSV, frames and arrays) share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine import _csv
from engine.errors import ConfigError, DataError
from engine.model import Instrument, TickBlock
from engine.store.columns import Form, field_word

OnBadRow = Literal["stop", "skip"]

FLOAT_NOISE = Decimal("1e-14")
"""What a few sums and products of floats are off by, as a ratio of the number: 0.1 + 0.2 is 1.5e-16."""

SAMPLES = 5
"""How many skipped rows a result quotes word by word."""


@dataclass(slots=True)
class TickFile:
    """Ticks ready for the engine, and how they were read.

    ``detected`` states in words what was found out rather than told: timestamp unit, zone, header, precision.
    """

    block: TickBlock
    instruments: list[Instrument]
    source: str
    detected: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)  # bad rows left out, by reason
    skipped_samples: list[str] = field(default_factory=list)  # the first few of them: "file:line: what"
    late: int | None = 0  # rows kept though one above them has a later time; None: the core will say how many
    file_sha256: str = ""
    naive: bool = False  # the timestamps were written without a zone, and read as UTC
    place: Callable[[int], str] | None = None  # of bars: where a row stands in its source
    order: NDArray[np.intp] | None = None  # where rows were put in order by time: which one of the source each was

    @property
    def rows(self) -> int:
        """Number of ticks."""
        return len(self.block)

    @property
    def sha256(self) -> str:
        """Hash of the source file's bytes; of ticks that came from memory, of their integer columns."""
        if not self.file_sha256:
            self.file_sha256 = hash_columns(self.block, self.instruments)
        return self.file_sha256


def columns_of(block: TickBlock) -> dict[str, NDArray[Any]]:
    """Return the columns that a block has, by the name of their attribute."""
    present = ((name, getattr(block, name)) for name in TickBlock.__slots__)
    return {name: values for name, values in present if values is not None}


def first_bad_row(block: TickBlock, start: int = 0) -> tuple[int, int, int]:
    """Return ``(row, field, code)`` of the first row from ``start`` on that is no valid record; row -1 when all are."""
    return _csv.first_bad_row(
        start,
        block.ts_ns,
        block.price_ticks,
        block.size_lots,
        block.bid_ticks,
        block.ask_ticks,
        block.bid_lots,
        block.ask_lots,
        block.kind,
        block.open_ticks,
        block.high_ticks,
        block.low_ticks,
    )


def hash_columns(block: TickBlock, instruments: Iterable[Instrument]) -> str:
    """Return the SHA-256 of the integer columns, their names and the instruments, without copying them."""
    digest = hashlib.sha256()
    for item in instruments:
        digest.update(f"{item.symbol} {item.price_precision} {item.size_precision}\n".encode())
    for name, values in columns_of(block).items():
        digest.update(f"{name} {len(values)}\n".encode())
        digest.update(values.view(np.uint8).data)
    return digest.hexdigest()


class BadRows:
    """The choice made about bad rows: stop at the first, or leave them out and count them by reason."""

    def __init__(self, policy: OnBadRow, form: Form = "trades") -> None:
        if policy not in ("stop", "skip"):
            raise ConfigError(f"on_bad_row is 'stop' or 'skip', not {policy!r}")
        self.policy, self.form = policy, form
        self.clear()

    def clear(self) -> None:
        """Forget everything counted."""
        self.counts: dict[str, int] = {}
        self.samples: list[str] = []

    def add(self, where: str, field_index: int, code: int, text: str, hint: str = "", count: int = 1) -> None:
        """Stop with one line about the row, or count it."""
        reason, name = _csv.reason_name(field_index, code), field_word(field_index, self.form)
        fault = reason.removeprefix(f"{_csv.FIELDS[field_index]}_")
        if fault in FIELD_SENTENCES:
            reason = f"{name}_{fault}"
        flag = PRECISION_FLAGS.get(reason)
        mend = _coarser(text, flag) if flag and self.policy == "stop" else "mend the row"
        self.note(where, reason, describe(name, fault, reason, text, hint), count, mend)

    def note(self, where: str, reason: str, what: str, count: int = 1, mend: str = "mend the row") -> None:
        """As ``add``, for a reason that lies in how rows stand together."""
        if self.policy == "stop":
            fix = f"{mend}, or leave such rows out and have them counted: --on-bad-row skip"
            raise DataError(what, where=where, fix=fix)
        self.counts[reason] = self.counts.get(reason, 0) + count
        if len(self.samples) < SAMPLES:
            self.samples.append(f"{where}: {what}")

    def summary(self) -> str:
        """Return the counts in words: ``3 price_zero, 1 cut_row``."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.counts.items()))


PRECISION_FLAGS = {
    f"{name}_off_grid": flag
    for flag, names in {
        "--price-precision": ("price", "bid", "ask", "open", "high", "low", "close"),
        "--size-precision": ("size", "bid_size", "ask_size", "volume"),
    }.items()
    for name in names
}
"""The flag that makes a number have too many decimals, by the reason that counts it."""

ROW_SENTENCES = {
    "crossed_quote": "the bid is above the ask",
    "wrong_columns": "the row has not as many columns as the first",
    "unclosed_quote": "a quoted field is not closed, or goes on after its closing quote",
    "cut_row": "the file ends in the middle of this row",
    "no_price": "the row has neither a price nor a bid or ask",
    "quote_with_price": "the row is a quote and has a price or a size",
    "high_below_low": "the high is below the low",
    "open_outside": "the open lies outside the low and the high",
    "close_outside": "the close lies outside the low and the high",
    "timestamp_unit": "timestamp {text} is not in the unit of the first row",
    "timestamp_negative": "timestamp {text} is before 1970",
    "timestamp_out_of_bounds": "timestamp {text} is after 2116-02-20T23:53:38 UTC, the last second the engine can hold",
    "timestamp_off_grid": "timestamp {text} is finer than a nanosecond",
}

FIELD_SENTENCES = {
    "empty": "is empty",
    "not_number": "{text} is not a number",
    "not_finite": "{text} is not a finite number",
    "off_grid": "{text} has too many decimals for its precision",
    "out_of_bounds": "{text} is too large",
    "negative": "{text} is negative",
    "not_time": "{text} is neither an ISO 8601 date and time nor a number",
    "zero": "is zero",
}


def describe(name: str, fault: str, reason: str, text: str, hint: str = "") -> str:
    """Return a sentence about a bad row or its field ``name``, with the reason code that counts it."""
    quoted = repr(text if len(text) <= 40 else text[:37] + "...")
    sentence = ROW_SENTENCES.get(reason) or f"{name} {FIELD_SENTENCES[fault]}"
    tail = f" ({hint})" if hint else ""
    return f"{sentence.format(text=quoted)}{tail} [{reason}]"


def _coarser(text: str, flag: str) -> str:
    """Return what makes a number of too many decimals fit: of what arithmetic in floats has left, the number meant."""
    try:
        number = Decimal(text)
        if round(number, _csv.MAX_PRECISION) == number:
            return f"mend the row, leave out {flag} if you gave it"
        for decimals in range(_csv.MAX_PRECISION + 1):
            meant = round(number, decimals)
            if abs(meant - number) <= abs(number) * FLOAT_NOISE:
                return f"write {meant}: round to {decimals} decimals where the numbers are made"
    except ArithmeticError:  # a number of more digits than there is a use for
        pass
    return f"round to {_csv.MAX_PRECISION} decimals or fewer where the numbers are made"


def clean_precision(name: str, value: int | None) -> None:
    """Refuse a precision that is no number of decimals the engine can hold."""
    if value is not None and not 0 <= value <= _csv.MAX_PRECISION:
        raise DataError(f"{name} {value} is not between 0 and {_csv.MAX_PRECISION}")


def join_precisions(instruments: Sequence[Instrument]) -> dict[str, str]:
    """Return the precisions of the instruments in words, for ``detected``."""

    def words(values: list[int]) -> str:
        if len(set(values)) == 1:
            return str(values[0])
        return ", ".join(f"{item.symbol} {value}" for item, value in zip(instruments, values, strict=True))

    return {
        "price precision": words([item.price_precision for item in instruments]),
        "size precision": words([item.size_precision for item in instruments]),
    }
