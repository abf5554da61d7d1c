"""The text scanners against Python's Decimal and datetime, and the CSV scanner against its own cuts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import _csv

LIMIT = 2**40 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scan_row(line: str, unit: int = 9, price: int | None = 0, size: int | None = 0) -> tuple[Any, ...]:
    """Scan one line ``timestamp,price,size``; return its integers, or the reason it is bad."""
    scanner = _csv.Scanner([0, 1, 2], unit, 0, 0)
    scanner.fix_precision(price, size)
    columns = [np.zeros(1, np.int64) for _ in range(3)]
    text = line.encode() + b"\n"
    why = scanner.scan(text, 0, len(text), True, 0, *columns)
    if why == _csv.BAD_ROW:
        return (_csv.reason_name(scanner.field, scanner.code),)
    if why == _csv.FINER:
        return ("finer", scanner.price_precision, scanner.size_precision)
    assert why == _csv.MORE
    assert scanner.consumed == len(text)
    return tuple(int(column[0]) for column in columns)


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def expected(text: str, precision: int) -> int | str:
    """What ``scan_decimal`` must make of a text, by way of Decimal."""
    if not text:
        return "empty"
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        return "not_finite"
    if not NUMBER.fullmatch(text):
        return "not_number"
    mantissa, _, exponent = text.lower().partition("e")
    power = int(exponent or 0)
    with localcontext(prec=3000):
        value = Decimal(mantissa)
        if value == 0:
            return 0
        if value < 0:
            return "negative"
        if abs(power) > 1000:  # farther than any of these texts is long
            return "out_of_bounds" if power > 0 else "off_grid"
        steps = value.scaleb(precision + power)
        if steps != steps.to_integral_value():
            return "off_grid"
        return int(steps) if steps <= LIMIT else "out_of_bounds"


decimal_text = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.decimals(min_value=0, max_value=10**13, places=6).map(str),
    st.from_regex(r"\A[+-]?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?\Z"),
    st.text("0123456789.+-eEnNaAiIfFtTyYx ", max_size=12).map(str.strip),
    st.integers(0, 10**30).map(lambda value: f"{value}{'0' * 20}"),
)


@given(decimal_text, st.integers(0, 12))
@example("1099511627775", 0)
@example("1099511627776", 0)
@example("1." + "0" * 40, 2)
@example("0." + "0" * 30 + "1e31", 0)
@example("12345678901234567890", 0)
@example("0.10000000000000000000000001", 12)
@example("10000000000000000000e-19", 0)
@example("-0.0", 3)
@example("1e99999999999999999999", 0)
@example("1e-99999999999999999999", 0)
@example("00000000000000000000000000000001.50", 1)
@example(".", 0)
@example("+", 0)
@example("1e", 0)
def test_decimals_equal_python_decimal(text: str, precision: int) -> None:
    want = expected(text, precision)
    got = scan_row(f"1,1,{text}", size=precision, price=0)
    if want == 0:
        assert got == ("size_zero",)
    elif isinstance(want, str):
        assert got == (f"size_{want}",)
    else:
        assert got == (1, 1, want)


@given(st.decimals(min_value=0, max_value=10**6, places=15, allow_nan=False), st.integers(0, 12))
def test_a_detected_precision_is_that_of_the_significant_decimals(value: Decimal, already: int) -> None:
    text = format(value, "f")
    scanner = _csv.Scanner([0, 1, 2], 9, 0, 0)
    scanner.set_precision(0, already, 0)
    columns = [np.zeros(1, np.int64) for _ in range(3)]
    line = f"1,{text},1\n".encode()
    why = scanner.scan(line, 0, len(line), True, 0, *columns)
    needed = len(text.partition(".")[2].rstrip("0"))
    if needed > 12:
        assert _csv.reason_name(scanner.field, scanner.code) == "price_off_grid"
    elif value == 0:
        assert _csv.reason_name(scanner.field, scanner.code) == "price_zero"
    elif value * 10 ** max(needed, already) > LIMIT:
        assert _csv.reason_name(scanner.field, scanner.code) == "price_out_of_bounds"
    elif needed > already:
        assert why == _csv.FINER
        assert (scanner.price_precision, scanner.size_precision) == (needed, 0)
        assert scanner.consumed == 0, "the row waits until its precision has been raised"
    else:
        assert (why, columns[1][0]) == (_csv.MORE, value * 10**already)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2116, 2, 19)),
    st.text("0123456789", min_size=1, max_size=9),
    st.sampled_from(["", "Z", "z", "+00:00", "-05:00", "+0530", "+14", "-23:59"]),
    st.sampled_from("T t"),
)
def test_iso_times_equal_python_datetime(moment: datetime, fraction: str, zone: str, separator: str) -> None:
    whole = moment.replace(microsecond=0)
    text = f"{whole:%Y-%m-%d}{separator}{whole:%H:%M:%S}.{fraction}{zone}"
    aware = datetime.fromisoformat(f"{whole.isoformat()}{zone.upper() or 'Z'}")
    seconds = (aware - EPOCH) // timedelta(seconds=1)
    want = seconds * 10**9 + int(fraction.ljust(9, "0"))
    assert scan_row(f"{text},1,1", _csv.ISO) == ((want, 1, 1) if want >= 0 else ("timestamp_negative",))


@given(st.text("0123456789-T:.Z+ ", max_size=32).map(str.strip))
@example("2023-02-29T00:00:00Z")
@example("2024-02-29T00:00:00Z")
@example("1900-02-29T00:00:00Z")
@example("2023-13-01T00:00:00Z")
@example("2023-04-31T00:00:00Z")
@example("2023-04-30T24:00:00Z")
@example("2016-12-31T23:59:60Z")
@example("2023-04-30T00:00:00+24:00")
@example("2023-04-30T00:00:00ZZ")
@example("2023-04-30T00:00:00.Z")
@example("2023-04-30T00:00:0")
@example("2023-04-30T00:00:")
@example("2023-04-30T00:0")
def test_what_python_refuses_as_a_time_is_refused(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        (reason,) = scan_row(f"{text},1,1", _csv.ISO)
        assert reason in ("timestamp_not_time", "timestamp_empty", "wrong_columns", "no_price")
    else:
        scan_row(f"{text},1,1", _csv.ISO)  # may be refused: Python takes weeks and dates alone, the scanner does not


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2023-04-30T00:00:00.1234567890Z", 1682812800123456789),  # a tenth digit that says nothing
        ("2023-04-30T00:00:00.1234567891Z", "timestamp_off_grid"),
        ("2023-04-30T00:00Z", 1682812800000000000),
        ("2262-01-01T00:00:00Z", "timestamp_out_of_bounds"),
        ("2116-02-20T23:53:38.427387904Z", 2**62),
        ("2116-02-20T23:53:38.427387905Z", "timestamp_out_of_bounds"),
        ("1969-12-31T23:59:59.999999999Z", "timestamp_negative"),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_the_edges_of_iso_time(text: str, want: int | str) -> None:
    assert scan_row(f"{text},1,1", _csv.ISO)[0] == want


@given(st.integers(0, 2**63 + 10**6), st.sampled_from([0, 3, 6, 9]), st.integers(0, 12))
def test_numeric_times_are_exact_in_every_unit(ts_ns: int, unit: int, zeros: int) -> None:
    decimals = 9 - unit
    text = format(Decimal(ts_ns).scaleb(-decimals), "f") + ("." if decimals == 0 and zeros else "") + "0" * zeros
    if decimals and zeros and "." not in text:
        text = text[:-zeros]
    want = (ts_ns, 1, 1) if ts_ns <= 2**62 else ("timestamp_out_of_bounds",)
    assert scan_row(f"{text},1,1", unit) == want


row_text = st.one_of(
    st.tuples(st.integers(1, 99), st.integers(1, 99)).map(lambda pair: f"1700000000,{pair[0]},{pair[1]}"),
    st.sampled_from(["", "  ", "1700000000,0,1", "1700000000,1", "x,1,1", '"1700000000",1,1', '1700000000,"1,1',
                     "1700000000,nan,1", "1,1,1,1", " 1700000000 , 5 , 6 "]),
    st.text('0123456789,". \t-x', max_size=30),
)  # fmt: skip


def drain(text: bytes, cuts: list[int], room: int) -> tuple[list[tuple[int, ...]], list[tuple[int, str]], int]:
    """Scan a text in pieces that end at ``cuts`` into columns that grow by ``room``; return rows, bad lines, lines."""
    scanner = _csv.Scanner([0, 1, 2], 0, 0, 0)
    scanner.fix_precision(0, 0)
    columns = {name: np.zeros(room, np.int64) for name in ("ts_ns", "price", "size")}
    begin = row = 0
    bad = []
    for end in [*cuts, len(text)]:
        while True:
            why = scanner.scan(text, begin, end, end == len(text), row, **columns)
            begin, row = scanner.consumed, scanner.rows
            if why == _csv.MORE:
                break
            if why == _csv.FULL:
                for column in columns.values():
                    column.resize(row + room, refcheck=False)
            else:
                assert why == _csv.BAD_ROW
                bad.append((scanner.line, _csv.reason_name(scanner.field, scanner.code)))
    rows = list(zip(*(column[:row].tolist() for column in columns.values()), strict=True))
    return rows, bad, scanner.line


@given(st.lists(row_text, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.data())
def test_cuts_and_room_never_matter_and_every_line_is_accounted_for(
    lines: list[str], newline: str, closed: bool, data: st.DataObject
) -> None:
    text = (newline.join(lines) + (newline if closed else "")).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    whole = drain(text, [], 64)
    assert drain(text, cuts, data.draw(st.integers(1, 3))) == whole
    rows, bad, count = whole
    kept = text.split(b"\n")
    kept = kept[:-1] if kept[-1] == b"" else kept
    # A carriage return belongs to the line end only as the last byte.
    full = [line for line in kept if (line[:-1] if line.endswith(b"\r") else line).strip(b" \t")]
    assert count == len(kept)
    assert len(rows) + len(bad) == len(full)


@given(
    st.binary(max_size=200),
    st.lists(st.integers(-1, 7), min_size=1, max_size=9, unique_by=lambda i: i if i >= 0 else object()),
)
def test_any_bytes_are_survived(text: bytes, fields: list[int]) -> None:
    scanner = _csv.Scanner(fields, _csv.ISO, 0, 0)
    scanner.fix_precision(2, 2)
    columns = [np.zeros(300, np.int64) for _ in range(7)]
    instrument, kind = np.zeros(300, np.uint16), np.zeros(300, np.uint8)
    begin = row = 0
    for _ in range(2 * len(text) + 2):
        why = scanner.scan(text, begin, len(text), True, row, *columns, instrument, kind)
        assert begin <= scanner.consumed <= len(text)
        begin, row = scanner.consumed, scanner.rows
        if why == _csv.NEW_SYMBOL:
            scanner.add_symbol(scanner.text, 0)
        if why == _csv.MORE:
            break
    assert begin == len(text)
