"""What the columns of a source are called, which field each holds, and the unit of its timestamps."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Literal

from engine import _csv
from engine.errors import DataError

Form = Literal["trades", "quotes", "bars"]
"""What the rows of a source are: trades (with quotes among them or beside them), quotes alone, or bars."""


class Field(IntEnum):
    """The fields of a row; the values index ``_csv.FIELDS``. The price of a bar is its close, the size its volume."""

    TIMESTAMP = 0
    PRICE = 1
    SIZE = 2
    BID = 3
    ASK = 4
    BID_SIZE = 5
    ASK_SIZE = 6
    SYMBOL = 7
    OPEN = 8
    HIGH = 9
    LOW = 10


COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "date_time", "ts_event", "event_time", "trade_time",
                  "transact_time"),
    "price": ("price", "px", "last", "last_price", "trade_price"),
    "size": ("size", "qty", "quantity", "volume", "amount", "vol", "shares", "last_size", "trade_size"),
    "bid": ("bid", "bid_price", "bid_px", "best_bid", "best_bid_price"),
    "ask": ("ask", "ask_price", "ask_px", "best_ask", "best_ask_price", "offer"),
    "bid_size": ("bid_size", "bid_qty", "bid_quantity", "bid_volume", "bid_amount", "best_bid_size", "best_bid_qty"),
    "ask_size": ("ask_size", "ask_qty", "ask_quantity", "ask_volume", "ask_amount", "best_ask_size", "best_ask_qty"),
    "symbol": ("symbol", "ticker", "instrument", "sym"),
}  # fmt: skip
"""Names a column of ticks may have, its own first. Case, spaces, hyphens and underscores do not matter."""

BAR_COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "timestamp": COLUMN_NAMES["timestamp"], "symbol": COLUMN_NAMES["symbol"],
    "price": ("close", "c", "close_price"), "size": ("volume", "vol", "v", "size", "qty", "quantity"),
    "open": ("open", "o", "open_price"), "high": ("high", "h", "high_price"), "low": ("low", "l", "low_price"),
}  # fmt: skip
"""The same for bars."""

UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Decimals of a second that one unit of a numeric timestamp has."""

UNIT_NAMES = {0: "seconds", 3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}

EARLIEST_DETECTED_NS = 10**17
"""1973-03-03. With it each unit has magnitudes of its own up to the year 2262, so that a number tells its unit."""


def _normal(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", name.strip().lower())


def _by_name(table: dict[str, tuple[str, ...]]) -> dict[str, Field]:
    return {_normal(name): Field[own.upper()] for own, names in table.items() for name in names}


_TICK_FIELDS, _BAR_FIELDS = _by_name(COLUMN_NAMES), _by_name(BAR_COLUMN_NAMES)

ORDERS: dict[Form, str] = {
    "trades": "timestamp,price,size[,bid,ask]",
    "quotes": "timestamp,bid,ask[,bid_size,ask_size]",
    "bars": "timestamp,open,high,low,close,volume",
}
"""The columns of each form as people are told of them; without a header ticks come in this order."""


def field_word(field_index: int, form: Form) -> str:
    """Return what a field is called: in bars the price is the close, and the size the volume."""
    own = _csv.FIELDS[field_index]
    return BAR_COLUMN_NAMES[own][0] if form == "bars" else own


@dataclass(slots=True)
class ColumnMap:
    """Which column of a source holds which field."""

    names: list[str]  # as the source spells them; empty for a file without header
    fields: list[int]  # for each column its index in ``_csv.FIELDS``, or -1: not used
    unit: int | None = None  # of the timestamp, when its name ends in it
    form: Form = "trades"

    def column(self, field_index: int) -> int | None:
        """Return the column that holds a field, None when there is none."""
        return self.fields.index(field_index) if field_index in self.fields else None

    def has(self, field_index: int) -> bool:
        """Tell whether the source has the field."""
        return field_index in self.fields

    def describe(self) -> dict[str, str]:
        """Return what a reader should be told about the columns."""
        pairs = list(zip(self.names, self.fields, strict=True))
        used = [f"{field_word(index, self.form)}={name}" for name, index in pairs if index >= 0]
        ignored = [name for name, index in pairs if index < 0]
        facts = {"columns": ", ".join(used)}
        if ignored:
            facts["ignored columns"] = ", ".join(ignored)
        return facts


def known_column(name: str, form: Form) -> bool:
    """Tell whether a name is one that a column of such a source may have."""
    return _field_and_unit(name, form)[0] >= 0


def _field_and_unit(name: str, form: Form) -> tuple[int, int | None]:
    known = _BAR_FIELDS if form == "bars" else _TICK_FIELDS
    suffixed = re.fullmatch(r"(.+)_(s|ms|us|ns)", name.strip().lower())
    if suffixed and known.get(_normal(suffixed[1])) == Field.TIMESTAMP:
        return Field.TIMESTAMP, UNITS[suffixed[2]]
    return known.get(_normal(name), -1), None


def map_columns(names: Sequence[str], source: str, form: Form = "trades") -> ColumnMap:
    """Find the fields among column names.

    Raises:
        DataError: a needed field has no column, or two.
    """
    chosen: dict[int, int] = {}
    found = [_field_and_unit(name, form) for name in names]
    for column, (index, _) in enumerate(found):
        if index < 0 or (form == "quotes" and index in (Field.PRICE, Field.SIZE)):
            continue
        other = chosen.get(index)
        own_name = field_word(index, form)
        if other is not None and _normal(names[other]) == _normal(names[column]):
            raise DataError(f"two columns are named '{names[column]}'", where=source)
        if other is None or _normal(names[column]) == _normal(own_name):
            chosen[index] = column
        elif _normal(names[other]) != _normal(own_name):
            fix = f"name the one to use '{own_name}'"
            raise DataError(
                f"'{names[other]}' and '{names[column]}' both look like the {own_name}", where=source, fix=fix
            )
    for pair in ((Field.BID, Field.ASK), (Field.BID_SIZE, Field.ASK_SIZE)):
        if (pair[0] in chosen) != (pair[1] in chosen):
            present, absent = pair if pair[0] in chosen else pair[::-1]
            what = f"there is a column for the {_csv.FIELDS[present]} and none for the {_csv.FIELDS[absent]}"
            raise DataError(what, where=source, fix=f"its columns are: {', '.join(names)}")
    for index in _needed(form, chosen):
        if index not in chosen:
            raise _missing(index, names, source, form)
    fields = [-1] * len(names)
    for index, column in chosen.items():
        fields[column] = index
    return ColumnMap(list(names), fields, found[chosen[Field.TIMESTAMP]][1], form)


def _needed(form: Form, chosen: Container[int]) -> Sequence[Field]:
    """Return the fields that a source must have; one of ticks may hold quotes alone."""
    if form == "bars":
        return Field.TIMESTAMP, Field.OPEN, Field.HIGH, Field.LOW, Field.PRICE, Field.SIZE
    if form == "quotes" or (Field.BID in chosen and Field.PRICE not in chosen and Field.SIZE not in chosen):
        return Field.TIMESTAMP, Field.BID, Field.ASK
    return Field.TIMESTAMP, Field.PRICE, Field.SIZE


def _missing(index: Field, names: Sequence[str], source: str, form: Form) -> DataError:
    """Return the error about a needed field without column; files of another form are told as such."""
    given = {_normal(name) for name in names}
    if form != "bars" and {"open", "high", "low", "close"} <= given:
        return DataError("these are bars, not ticks", where=source, fix="backtest reads them with --bars FILE")
    if form == "bars" and {"price", "size"} <= given and not {"open", "high", "low"} & given:
        return DataError("these are ticks, not bars", where=source, fix="backtest reads them with --ticks FILE")
    own, words = _csv.FIELDS[index], BAR_COLUMN_NAMES if form == "bars" else COLUMN_NAMES
    fix = f"name it {', '.join(words[own][:5])}; the columns are: {', '.join(names)[:200]}"
    return DataError(f"no column for the {field_word(index, form)}", where=source, fix=fix)


def unit_of_magnitude(number: float | int) -> int | None:
    """Return the unit that a numeric timestamp is in, judged by its size; None when it is too small to tell."""
    for unit in (0, 3, 6, 9):
        if 10 ** (8 + unit) <= number < 10 ** (11 + unit):
            return unit
    return None


def unknown_unit(text: str, where: str) -> DataError:
    """Return the error about a timestamp that no unit fits."""
    fix = "write full times, or state the unit in the column's name: timestamp_s, _ms, _us or _ns"
    return DataError(f"timestamp {text!r} has not the size of a time since 1970 in any unit", where=where, fix=fix)


def has_lost_digits(time: Decimal) -> bool:
    """Tell whether a numeric timestamp has an exponent in place of its last digits, as 1.70421E+12 has of seven."""
    exponent = time.as_tuple().exponent
    return isinstance(exponent, int) and exponent > 0


def lost_digits(text: str, where: str) -> DataError:
    """Return the error about a timestamp that was shortened."""
    fix = "write the times in full again: spreadsheets, and columns of floats, shorten them"
    return DataError(f"timestamp {text!r} has lost its last digits to the exponent", where=where, fix=fix)


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True


def _refuse_other_separators(line: list[str], where: str) -> None:
    """Refuse a first line whose columns are separated by something else than commas."""
    text = ",".join(line)
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if text.count(separator) >= 2:
            fix = "separate them by commas, with a point in decimals"
            raise DataError(f"the columns are separated by {name}", where=where, fix=fix)


def columns_without_header(first: list[str], where: str, form: Form) -> ColumnMap:
    """Tell the columns of a file without header by their number, and by whether the last one is a number."""
    if form == "bars":
        _refuse_other_separators(first, where)
        fix = f"let the first line name the columns: {ORDERS[form]}"
        raise DataError("the first line names no column of bars", where=where, fix=fix)
    order, lengths = ORDERS[form].replace("[", "").replace("]", "").split(","), (3, 5)
    by_symbol = len(first) - 1 in lengths and not _is_number(first[-1])
    length = len(first) - by_symbol
    looks_like_time = ":" in first[0] or _is_number(first[0])
    _refuse_other_separators(first, where)
    if length not in lengths or not looks_like_time or not any(map(_is_number, first[1:length])):
        # The line itself is not shown: a file passed by mistake may hold secrets.
        what = f"the first line has {len(first)} columns and none has a known name: cannot tell what they are"
        raise DataError(what, where=where, fix=f"give a header line, or columns in the order {ORDERS[form]}[,symbol]")
    fields = [_csv.FIELDS.index(name) for name in order[:length]]
    return ColumnMap([], [*fields, Field.SYMBOL] if by_symbol else fields, form=form)
