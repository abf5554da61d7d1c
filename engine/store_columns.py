"""What the columns of a tick source are called, which field each holds, and the unit of its timestamps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum

from engine import _csv
from engine.errors import DataError


class Field(IntEnum):
    """The fields of a tick row; the values index ``_csv.FIELDS``."""

    TIMESTAMP = 0
    PRICE = 1
    SIZE = 2
    BID = 3
    ASK = 4
    BID_SIZE = 5
    ASK_SIZE = 6
    SYMBOL = 7


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
"""Names a column may have, its own first. Case, spaces, hyphens and underscores do not matter."""

UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Decimals of a second that one unit of a numeric timestamp has."""

UNIT_NAMES = {0: "seconds", 3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}

EARLIEST_DETECTED_NS = 10**17
"""1973-03-03. With it each unit has magnitudes of its own up to the year 2262, so that a number tells its unit."""


def _normal(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", name.strip().lower())


_FIELD_BY_NAME = {_normal(name): index for index, names in enumerate(COLUMN_NAMES.values()) for name in names}


@dataclass(slots=True)
class ColumnMap:
    """Which column of a source holds which field."""

    names: list[str]  # as the source spells them; empty for a file without header
    fields: list[int]  # for each column its index in ``_csv.FIELDS``, or -1: not used
    unit: int | None = None  # of the timestamp, when its name ends in it

    def column(self, field_index: int) -> int | None:
        """Return the column that holds a field, None when there is none."""
        return self.fields.index(field_index) if field_index in self.fields else None

    def has(self, field_index: int) -> bool:
        """Tell whether the source has the field."""
        return field_index in self.fields

    def describe(self) -> dict[str, str]:
        """Return what a reader should be told about the columns."""
        used = [
            f"{_csv.FIELDS[index]}={name}" for name, index in zip(self.names, self.fields, strict=True) if index >= 0
        ]
        ignored = [name for name, index in zip(self.names, self.fields, strict=True) if index < 0]
        facts = {"columns": ", ".join(used)}
        if ignored:
            facts["ignored columns"] = ", ".join(ignored)
        return facts


def known_column(name: str) -> bool:
    """Tell whether a name is one that a tick column may have."""
    return _field_and_unit(name)[0] >= 0


def _field_and_unit(name: str) -> tuple[int, int | None]:
    suffixed = re.fullmatch(r"(.+)_(s|ms|us|ns)", name.strip().lower())
    if suffixed and _FIELD_BY_NAME.get(_normal(suffixed[1])) == Field.TIMESTAMP:
        return Field.TIMESTAMP, UNITS[suffixed[2]]
    return _FIELD_BY_NAME.get(_normal(name), -1), None


def map_columns(names: Sequence[str], source: str, *, quotes_only: bool = False) -> ColumnMap:
    """Find the fields among column names.

    Raises:
        DataError: a needed field has no column, or two.
    """
    chosen: dict[int, int] = {}
    found = [_field_and_unit(name) for name in names]
    for column, (index, _) in enumerate(found):
        if index < 0 or (quotes_only and index in (Field.PRICE, Field.SIZE)):
            continue
        other = chosen.get(index)
        own_name = _csv.FIELDS[index]
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
    needed = (
        (Field.TIMESTAMP, Field.BID, Field.ASK)
        if Field.BID in chosen and not {Field.PRICE, Field.SIZE} & chosen.keys()
        else (Field.TIMESTAMP, Field.PRICE, Field.SIZE)
    )
    for index in (Field.TIMESTAMP, Field.BID, Field.ASK) if quotes_only else needed:
        if index not in chosen:
            own_name = _csv.FIELDS[index]
            fix = f"name it {', '.join(COLUMN_NAMES[own_name][:5])}; the columns are: {', '.join(names)[:200]}"
            raise DataError(f"no column for the {own_name}", where=source, fix=fix)
    fields = [-1] * len(names)
    for index, column in chosen.items():
        fields[column] = index
    return ColumnMap(list(names), fields, found[chosen[Field.TIMESTAMP]][1])


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


def columns_without_header(first: list[str], where: str, *, quotes_only: bool) -> ColumnMap:
    """Tell the columns of a file without header by their number, and by whether the last one is a number."""
    order, lengths = ("timestamp,bid,ask,bid_size,ask_size" if quotes_only else "timestamp,price,size,bid,ask"), (3, 5)
    by_symbol = len(first) - 1 in lengths and not _is_number(first[-1])
    length = len(first) - by_symbol
    looks_like_time = ":" in first[0] or _is_number(first[0])
    _refuse_other_separators(first, where)
    if length not in lengths or not looks_like_time or not any(map(_is_number, first[1:length])):
        # The line itself is not shown: a file passed by mistake may hold secrets.
        what = f"the first line has {len(first)} columns and none has a known name: cannot tell what they are"
        wanted = "timestamp,bid,ask[,bid_size,ask_size]" if quotes_only else "timestamp,price,size[,bid,ask]"
        raise DataError(what, where=where, fix=f"give a header line, or columns in the order {wanted}[,symbol]")
    fields = [_csv.FIELDS.index(name) for name in order.split(",")[:length]]
    return ColumnMap([], [*fields, Field.SYMBOL] if by_symbol else fields)
