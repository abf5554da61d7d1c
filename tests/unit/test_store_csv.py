"""Reading tick CSV: what is detected, what is refused, on which line, and with which words."""

from __future__ import annotations

import gzip
import hashlib
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli import main
from engine.errors import DataError, ExitCode, NotFoundError
from engine.model import Instrument
from engine.store.csv import CHUNK
from engine.store.ticks import TickFile, read_ticks
from tests.shared_data import DATASETS, gzip_rows, shared_file, whole

HEADER = "timestamp,price,size\n"
FIRST = "2023-01-01T00:00:00Z,100.5,3\n"


@pytest.fixture
def tick_file(tmp_path: Path):
    def write(text: str | bytes, name: str = "ticks.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows_of(file: TickFile) -> list[tuple[int, ...]]:
    block = file.block
    return list(zip(block.ts_ns.tolist(), block.price_ticks.tolist(), block.size_lots.tolist(), strict=True))


NOON = 1_700_000_000_000_000_000


# --- what is understood -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1700000000", "seconds"),
        ("1700000000.000000001", "seconds"),
        ("1700000000000", "milliseconds"),
        ("1700000000000.5", "milliseconds"),
        ("1700000000000000", "microseconds"),
        ("1700000000000000000", "nanoseconds"),
    ],
)
def test_a_numeric_timestamp_tells_its_unit_and_the_result_states_it(tick_file, text: str, unit: str) -> None:
    file = read_ticks(tick_file(f"{HEADER}{text},1,1\n"))
    scale = {"seconds": 9, "milliseconds": 6, "microseconds": 3, "nanoseconds": 0}[unit]
    assert file.block.ts_ns.tolist() == [int(Decimal(text).scaleb(scale))]
    assert file.detected["timestamp"] == f"{unit} since 1970 (by magnitude)"


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2023-11-14T22:13:20Z", "UTC (Z)"),
        ("2023-11-14 22:13:20", "none written, read as UTC"),
        ("2023-11-14T17:13:20.000000000-05:00", "offsets, converted to UTC"),
    ],
)
def test_iso_times_state_their_zone(tick_file, text: str, zone: str) -> None:
    file = read_ticks(tick_file(f"{HEADER}{text},1,1\n"))
    assert file.block.ts_ns.tolist() == [NOON]
    assert file.detected["timestamp"] == "ISO 8601"
    assert file.detected["zone"] == zone


@pytest.mark.parametrize("name", ["timestamp", "timestamp_ms"])
def test_times_that_a_spreadsheet_has_shortened_are_refused(tick_file, name: str) -> None:
    path = tick_file(f"{name},price,size\n1.70421E+12,1,1\n1.70421E+12,2,1\n")
    for policy in ("stop", "skip"):  # of every row the same is lost
        with pytest.raises(DataError, match=r"ticks\.csv:2: timestamp '1\.70421E\+12' has lost its last digits to the"):
            read_ticks(path, on_bad_row=policy)
    whole = read_ticks(tick_file(f"{name},price,size\n1.700000000000E+12,1,1\n"))
    assert whole.block.ts_ns.tolist() == [NOON], "an exponent alone loses nothing"


def test_a_column_name_may_state_the_unit_of_times_too_small_to_tell(tick_file) -> None:
    file = read_ticks(tick_file("ts_ns,price,size\n5,1,1\n"))
    assert file.block.ts_ns.tolist() == [5]
    assert file.detected["timestamp"] == "nanoseconds since 1970 (stated by the column's name)"


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,price,size",
        "TS,Price,QTY",
        "time,last,amount",
        '"Date Time","trade-price","Volume"',
        "\ufefftime, px , shares",
    ],
)
def test_headers_take_the_usual_names_in_any_case(tick_file, header: str) -> None:
    file = read_ticks(tick_file(f"{header}\n1700000000,2.5,3\n"))
    assert rows_of(file) == [(NOON, 25, 3)]


def test_columns_may_come_in_any_order_and_others_are_ignored_and_named(tick_file) -> None:
    file = read_ticks(tick_file('side,amount,"note",timestamp,price\nbuy,3,"a, ""b""",1700000000,2.5\n'))
    assert rows_of(file) == [(NOON, 25, 3)]
    assert file.detected["ignored columns"] == "side, note"


def test_the_fields_own_name_wins_over_an_alias(tick_file) -> None:
    file = read_ticks(tick_file("time,timestamp,price,volume,size\n1,1700000000,2,9,3\n"))
    assert rows_of(file) == [(NOON, 2, 3)]


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("1700000000,2.5,3", "timestamp, price, size"),
        ("1700000000,2.5,3,AAPL", "timestamp, price, size, symbol"),
        ("1700000000,2.5,3,2.4,2.6", "timestamp, price, size, bid, ask"),
        ("1700000000,2.5,3,2.4,2.6,AAPL", "timestamp, price, size, bid, ask, symbol"),
    ],
)
def test_without_a_header_the_number_of_columns_tells(tick_file, line: str, columns: str) -> None:
    file = read_ticks(tick_file(line))
    assert rows_of(file) == [(NOON, 25, 3)]
    assert (file.detected["header"], file.detected["columns"]) == ("no", columns)
    assert file.instruments[0].symbol == ("AAPL" if "AAPL" in line else "ticks")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n  \n"])
def test_line_ends_blank_lines_and_a_last_line_without_newline(tick_file, newline: str, end: str) -> None:
    text = f"\n{HEADER}1700000000,1,2\n\n1700000001,3,4{end}".replace("\n", newline)
    file = read_ticks(tick_file(text))
    assert rows_of(file) == [(NOON, 1, 2), (NOON + 10**9, 3, 4)]


def test_quotes_and_spaces_around_fields_are_taken_off(tick_file) -> None:
    assert rows_of(read_ticks(tick_file(f'{HEADER}"1700000000", 2.5 ,"3"\n'))) == [(NOON, 25, 3)]


def test_precision_is_what_the_file_needs_and_trailing_zeros_do_not_count(tick_file) -> None:
    file = read_ticks(tick_file(f"{HEADER}1700000000,1.00000000,2.5\n1700000001,1.2500000,3.00\n1700000002,7,1e-3\n"))
    assert file.instruments == [Instrument("ticks", 2, 3)]
    assert rows_of(file) == [(NOON, 100, 2500), (NOON + 10**9, 125, 3000), (NOON + 2 * 10**9, 700, 1)]
    assert (file.detected["price precision"], file.detected["size precision"]) == ("2", "3")


def test_quotes_are_in_the_ticks_of_a_finer_price_that_comes_after_them(tick_file) -> None:
    head = "timestamp,price,size,bid,ask,bid_size,ask_size\n"
    file = read_ticks(tick_file(f"{head}{NOON},100,1,99,101,1,2\n{NOON + 1},100.25,0.5,100,101,3,4\n"))
    block = file.block
    found = (block.price_ticks, block.bid_ticks, block.ask_ticks, block.size_lots, block.bid_lots, block.ask_lots)
    prices, sizes = [[10_000, 10_025], [9_900, 10_000], [10_100, 10_100]], [[10, 5], [10, 30], [20, 40]]
    assert [column.tolist() for column in found] == prices + sizes


def test_a_given_precision_is_kept_and_finer_numbers_are_refused(tick_file) -> None:
    path = tick_file(f"{HEADER}1700000000,1.50,2\n1700000001,1.255,2\n")
    with pytest.raises(
        DataError, match=r"ticks.csv:3: price '1.255' has too many decimals for its precision \(column 2\)"
    ) as refused:
        read_ticks(path, price_precision=2)
    assert refused.value.fix.startswith("mend the row, leave out --price-precision if you gave it, or leave such rows")
    file = read_ticks(path, price_precision=4, size_precision=1)
    assert file.block.price_ticks.tolist() == [15000, 12550]
    assert file.block.size_lots.tolist() == [20, 20]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("187.02200000000002", "write 187.022: round to 3 decimals where the numbers are made, or leave such rows out"),
        ("30.000000000000004", "write 30: round to 0 decimals where the numbers are made, or leave such rows out"),
        ("0.1234567890123", "round to 12 decimals or fewer where the numbers are made, or leave such rows out"),
        (f"0.{'1' * 30}", "round to 12 decimals or fewer where the numbers are made, or leave such rows out"),
        ("1e-15", "round to 12 decimals or fewer where the numbers are made, or leave such rows out"),
    ],
)
def test_what_floats_have_left_of_a_number_is_told_from_a_precision_that_was_given(tick_file, text, advice) -> None:
    for row, field in ((f"{text},1", "price"), (f"1,{text}", "size")):
        with pytest.raises(DataError) as refused:
            read_ticks(tick_file(f"{HEADER}1700000000,{row}\n"))
        assert f"{field} '{text}' has too many decimals" in refused.value.what
        assert refused.value.fix.startswith(advice)


def test_each_symbol_has_a_precision_of_its_own(tick_file) -> None:
    text = "timestamp,symbol,price,size\n1700000000,BTC,60000.5,1\n1700000001,SHIB,0.00001234,5000000\n"
    file = read_ticks(tick_file(text + "1700000002,BTC,60000.25,0.001\n"))
    assert file.instruments == [Instrument("BTC", 2, 3), Instrument("SHIB", 8, 0)]
    assert file.block.price_ticks.tolist() == [6000050, 1234, 6000025]
    assert file.block.size_lots.tolist() == [1000, 5000000, 1]
    assert file.block.instrument is not None
    assert file.block.instrument.tolist() == [0, 1, 0]
    assert file.block.instrument.dtype == np.uint16


def test_a_precision_that_pushes_earlier_rows_out_of_bounds_makes_those_rows_bad(tick_file) -> None:
    path = tick_file(f"{HEADER}1700000000,1000000000000,3\n1700000001,0.25,3\n")
    with pytest.raises(DataError, match=r":2: price '1000000000000' is too large"):
        read_ticks(path)
    file = read_ticks(path, on_bad_row="skip")
    assert (rows_of(file), file.skipped) == ([(NOON + 10**9, 25, 3)], {"price_out_of_bounds": 1})


def test_symbol_filters_a_file_that_has_the_column(tick_file) -> None:
    path = tick_file("timestamp,price,size,symbol\n1700000000,1.5,1,AAPL\n1700000001,2,2,MSFT\n1700000002,bad,3,AAPL\n")
    file = read_ticks(path, symbol="MSFT")
    assert (rows_of(file), file.instruments) == ([(NOON + 10**9, 2, 2)], [Instrument("MSFT", 0, 0)])
    assert file.block.instrument is None
    assert file.detected["rows of other symbols"] == "2"
    with pytest.raises(NotFoundError, match="no row of symbol 'MSTF'; did you mean 'MSFT'") as caught:
        read_ticks(path, symbol="MSTF")
    assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_symbol_names_a_file_that_has_no_such_column(tick_file) -> None:
    assert read_ticks(tick_file(HEADER + FIRST), symbol="SPY").instruments[0].symbol == "SPY"


def test_many_symbols_keep_their_rows(tick_file) -> None:
    names = [f"S{index * 7919 % 5000}" for index in range(5000)]
    text = "timestamp,price,size,symbol\n" + "".join(
        f"1700000000,{i + 1},1,{name}\n" for i, name in enumerate(names * 2)
    )
    file = read_ticks(tick_file(text))
    assert [item.symbol for item in file.instruments] == names
    assert file.block.instrument is not None
    assert file.block.instrument.tolist() == [*range(5000)] * 2


def test_bid_and_ask_of_trades_may_be_missing(tick_file) -> None:
    file = read_ticks(tick_file("timestamp,price,size,bid,ask\n1700000000,1,1,,\n1700000001,1.5,1,1.25,\n"))
    assert file.block.bid_ticks is not None
    assert file.block.ask_ticks is not None
    assert (file.block.bid_ticks.tolist(), file.block.ask_ticks.tolist()) == ([0, 125], [0, 0])
    assert file.block.kind is None, "all rows are trades"


def test_rows_without_price_and_size_are_quotes(tick_file) -> None:
    file = read_ticks(tick_file("timestamp,price,size,bid,ask\n1700000000,,,1.5,1.75\n1700000001,1.5,1,,\n"))
    assert file.block.kind is not None
    assert file.block.kind.tolist() == [1, 0]
    assert file.block.price_ticks.tolist() == [0, 150]


def test_late_rows_are_kept_in_order_and_counted(tick_file) -> None:
    file = read_ticks(tick_file(f"{HEADER}1700000005,1,1\n1700000003,2,1\n1700000004,3,1\n1700000005,4,1\n"))
    assert file.block.price_ticks.tolist() == [1, 2, 3, 4]
    assert (file.late, file.skipped) == (2, {})


def test_rows_in_no_order_of_time_are_refused_by_every_door(tick_file, capsys) -> None:
    times = np.array([90, 80, 50, 95, 30]) + 1_700_000_000
    what = "the rows are not in the order of time: 3 of 5 are earlier than one above them"
    advice = "sort them by timestamp, oldest first"
    path = tick_file(HEADER + "".join(f"{time},1,1\n" for time in times))
    with pytest.raises(SystemExit) as left:
        main(["backtest", "--ticks", str(path)])
    assert left.value.code == ExitCode.DATA
    assert capsys.readouterr().err == f"error: {path}: {what}; {advice}\n"
    one = np.ones(5, np.int64)
    integers = {"ts_ns": times * 10**9, "price_ticks": one, "size_lots": one}
    frame = {"timestamp": times, "price": one, "size": one}
    for source, ticks in ((path, path), ("arrays", integers), ("frame", frame)):
        with pytest.raises(DataError) as refused:
            engine.backtest(ticks, "momentum_burst")
        assert refused.value.line() == f"{source}: {what}; {advice}"


def test_rows_earlier_than_those_of_another_symbol_are_in_order(tick_file) -> None:
    rows = ((90, "A"), (80, "B"), (70, "C"), (60, "D"))
    text = "".join(f"{1_700_000_000 + second},1,1,{symbol}\n" for second, symbol in rows)
    file = read_ticks(tick_file(f"timestamp,price,size,symbol\n{text}"))
    assert (file.rows, file.late) == (4, 0)


def test_gzip_is_read_whatever_the_name_and_hashed_as_it_lies_on_disk(tick_file) -> None:
    packed = gzip.compress((HEADER + FIRST).encode()) + gzip.compress(b"2023-01-01T00:00:01Z,100.25,4\n")
    for name in ("a.csv.gz", "b.csv"):
        file = read_ticks(tick_file(packed, name))
        assert file.block.price_ticks.tolist() == [10050, 10025]
        assert file.sha256 == hashlib.sha256(packed).hexdigest()
        assert file.detected["format"] == "CSV, gzip"


def test_a_file_of_many_chunks_is_read_whole(tick_file) -> None:
    count = 3 * CHUNK // 30
    text = HEADER + "".join(f"{1_700_000_000_000 + i},{i + 1}.{i % 10},{i % 7 + 1}\n" for i in range(count))
    for body, name in ((text.encode(), "big.csv"), (gzip.compress(text.encode(), 1), "big.csv.gz")):
        file = read_ticks(tick_file(body, name))
        assert file.rows == count
        assert np.array_equal(file.block.price_ticks, np.arange(1, count + 1) * 10 + np.arange(count) % 10)
        assert np.array_equal(file.block.ts_ns, (1_700_000_000_000 + np.arange(count)) * 10**6)
        assert file.sha256 == hashlib.sha256(body).hexdigest()


def test_columns_are_contiguous_int64_of_their_own(tick_file) -> None:
    block = read_ticks(tick_file(HEADER + FIRST)).block
    for column in (block.ts_ns, block.price_ticks, block.size_lots):
        assert column.dtype == np.int64
        assert column.flags.c_contiguous
        assert column.flags.owndata


# --- bad rows ---------------------------------------------------------------------------------------------------------

BAD_ROWS = [
    ("2023-01-01T00:00:01Z,abc,3", "price_not_number", "price 'abc' is not a number (column 2)"),
    ("2023-01-01T00:00:01Z,1,2x", "size_not_number", "size '2x' is not a number (column 3)"),
    ("2023-01-01T00:00:01Z,nan,3", "price_not_finite", "price 'nan' is not a finite number (column 2)"),
    ("2023-01-01T00:00:01Z,-Infinity,3", "price_not_finite", "price '-Infinity' is not a finite number (column 2)"),
    ("2023-01-01T00:00:01Z,0,3", "price_zero", "price is zero (column 2)"),
    ("2023-01-01T00:00:01Z,-5,3", "price_negative", "price '-5' is negative (column 2)"),
    ("2023-01-01T00:00:01Z,1,0.00", "size_zero", "size is zero (column 3)"),
    ("2023-01-01T00:00:01Z,1,-1", "size_negative", "size '-1' is negative (column 3)"),
    ("2023-01-01T00:00:01Z,,3", "price_empty", "price is empty (column 2)"),
    ("2023-01-01T00:00:01Z,1,", "size_empty", "size is empty (column 3)"),
    ("2023-01-01T00:00:01Z,,", "no_price", "the row has neither a price nor a bid or ask"),
    ("2023-01-01T00:00:01Z,2e15,3", "price_out_of_bounds", "price '2e15' is too large (column 2)"),
    ("2023-01-01T00:00:01Z,1.0000000000001,3", "price_off_grid", "price '1.0000000000001' has too many decimals"),
    ("yesterday,1,3", "timestamp_not_time", "timestamp 'yesterday' is neither an ISO 8601 date and time nor a number"),
    ("2023-02-30T00:00:01Z,1,3", "timestamp_not_time", "timestamp '2023-02-30T00:00:01Z' is neither"),
    ("1700000000,1,3", "timestamp_not_time", "timestamp '1700000000' is neither"),
    (",1,3", "timestamp_empty", "timestamp is empty (column 1)"),
    ("1960-01-01T00:00:01Z,1,3", "timestamp_negative", "timestamp '1960-01-01T00:00:01Z' is before 1970"),
    ("2023-01-01T00:00:01Z,1", "wrong_columns", "the row has not as many columns as the first"),
    ("2023-01-01T00:00:01Z,1,3,4", "wrong_columns", "the row has not as many columns as the first"),
    ('"2023-01-01T00:00:01Z,1,3', "unclosed_quote", "a quoted field is not closed"),
    ('"2023-01-01T00:00:01Z"x,1,3', "unclosed_quote", "a quoted field is not closed"),
]


@pytest.mark.parametrize(("row", "reason", "words"), BAD_ROWS, ids=[f"{row[1]}-{i}" for i, row in enumerate(BAD_ROWS)])
def test_a_bad_row_stops_with_its_line_or_is_counted(tick_file, row: str, reason: str, words: str) -> None:
    path = tick_file(f"{HEADER}{FIRST}{row}\n{FIRST}{row}\n")
    with pytest.raises(DataError) as caught:
        read_ticks(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:3: {words}")
    mend = "round to 12 decimals or fewer where the numbers are made" if reason == "price_off_grid" else "mend the row"
    assert f"[{reason}]; {mend}, " in line
    assert line.endswith("or leave such rows out and have them counted: --on-bad-row skip")
    assert "\n" not in line
    assert caught.value.exit_code is ExitCode.DATA
    file = read_ticks(path, on_bad_row="skip")
    assert rows_of(file) == [(1672531200 * 10**9, 1005, 3)] * 2
    assert file.skipped == {reason: 2}
    assert [sample.partition(" ")[0] for sample in file.skipped_samples] == [f"{path}:3:", f"{path}:5:"]


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("timestamp,price,size,bid,ask", "1700000001,1,1,2,1.5", "crossed_quote"),
        ("timestamp,price,size,bid,ask", "1700000001,1,1,nan,1.5", "bid_not_finite"),
        ("timestamp,price,size,bid,ask", "1700000001,1,1,-1,1.5", "bid_negative"),
        ("timestamp,price,size,bid,ask", "1700000001,1,1,1,x", "ask_not_number"),
        ("timestamp,price,size,bid,ask", "1,1,1,1,1", "timestamp_unit"),
        ("timestamp,price,size,bid,ask", "1700000001000,1,1,1,1", "timestamp_out_of_bounds"),
        ("timestamp,price,size,bid,symbol,ask", "1700000001,1,1,1,,1", "symbol_empty"),
    ],
)
def test_bad_quotes_units_and_symbols_have_reasons_too(tick_file, header: str, row: str, reason: str) -> None:
    good = "1700000000,1,1,1,A,1" if "symbol" in header else "1700000000,1,1,1,1"
    path = tick_file(f"{header}\n{good}\n{row}\n")
    with pytest.raises(DataError, match=rf"ticks\.csv:3: .*\[{reason}\]"):
        read_ticks(path)
    file = read_ticks(path, on_bad_row="skip")
    assert (file.rows, file.skipped) == (1, {reason: 1})


@pytest.mark.parametrize("keep", [25, 24, 22, 21, 10, 1])
def test_a_file_cut_in_the_middle_of_its_last_row_says_so(tick_file, keep: int) -> None:
    path = tick_file(f"{HEADER}{FIRST}{'2023-01-01T00:00:01Z,100.25'[:keep]}")
    with pytest.raises(DataError, match=r"ticks\.csv:3: the file ends in the middle of this row \[cut_row\]"):
        read_ticks(path)
    assert read_ticks(path, on_bad_row="skip").skipped == {"cut_row": 1}


def test_only_a_few_skipped_rows_are_quoted(tick_file) -> None:
    file = read_ticks(tick_file(HEADER + FIRST + "x,1,1\n" * 1000), on_bad_row="skip")
    assert file.skipped == {"timestamp_not_time": 1000}
    assert len(file.skipped_samples) == 5


def test_nothing_but_bad_rows_is_an_error_that_counts_them(tick_file) -> None:
    with pytest.raises(DataError, match="not one valid row; skipped: 1 price_zero, 2 size_zero"):
        read_ticks(tick_file(f"{HEADER}1700000000,0,1\n" + "1700000000,1,0\n" * 2), on_bad_row="skip")


# --- files that are no tick files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "x.csv", "the file is empty"),
        ("\n \n", "x.csv", "the file holds only blank lines"),
        (HEADER, "x.csv", "the file has a header and no rows"),
        (HEADER.strip(), "x.csv", "the file has a header and no rows"),
        (b"\x7fELF\0\0\0", "x.csv", "the file is not text"),
        (b"PK\x03\x04rest", "x.csv", "this is a zip archive"),
        ("a,b,c\n1,2,3\n", "x.csv", "the first line has 3 columns and none has a known name"),
        ("1700000000,1,2,3\n", "x.csv", "the first line has 4 columns"),
        ("timestamp,price\n1,1\n", "x.csv", "no column for the size; name it size, qty, quantity, volume, amount"),
        ("timestamp,price,bid,ask\n1,1,1,1\n", "x.csv", "no column for the size"),
        ("price,size\n1,1\n", "x.csv", "no column for the timestamp"),
        ("ts,price,qty,volume\n1,1,1,1\n", "x.csv", "'qty' and 'volume' both look like the size"),
        ("ts,price,size,size\n1,1,1,1\n", "x.csv", "two columns are named 'size'"),
        ("ts,price,size,bid\n1,1,1,1\n", "x.csv", "there is a column for the bid and none for the ask"),
        (f"{HEADER}34200000,1,1\n", "x.csv", "timestamp '34200000' has not the size of a time since 1970"),
        (HEADER + FIRST, "x.csv.gz", "the file is named .gz and is not gzip"),
        (HEADER + FIRST, "x.parquet", "the file is named .parquet and is not Parquet"),
        (gzip.compress((HEADER + FIRST).encode(), mtime=0)[:-9], "x.csv.gz", "the compressed data is damaged or cut"),
        (gzip.compress((HEADER + FIRST * 99).encode(), mtime=0)[:40], "x.csv.gz", "compressed data is damaged or cut"),
        (b"\x1f\x8b\x08\0broken", "x.csv.gz", "the compressed data is damaged or cut"),
        (HEADER + "1" * (2 * CHUNK), "x.csv", "a line is longer than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_ticks_is_one_clear_line(tick_file, content: str | bytes, name: str, words: str) -> None:
    path = tick_file(content, name)
    with pytest.raises(DataError) as caught:
        read_ticks(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert words in line
    assert "\n" not in line
    assert caught.value.exit_code is ExitCode.DATA


def test_missing_files_directories_pipes_and_forbidden_ones(tmp_path: Path, tick_file) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="this is not a regular file"):
        read_ticks(tmp_path / "pipe")
    with pytest.raises(DataError, match="no such file"):
        read_ticks(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="this is a directory"):
        read_ticks(tmp_path)
    path = tick_file(HEADER + FIRST)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match="no permission to read"):
        read_ticks(path)


def test_the_first_line_of_a_strange_file_is_not_repeated(tick_file) -> None:
    with pytest.raises(DataError) as caught:
        read_ticks(tick_file("API_KEY=do-not-show-me\n"))
    assert "do-not-show-me" not in str(caught.value)


@pytest.mark.parametrize("precision", [-1, 13])
def test_a_precision_out_of_range_is_refused(tick_file, precision: int) -> None:
    with pytest.raises(DataError, match="is not between 0 and 12"):
        read_ticks(tick_file(HEADER + FIRST), price_precision=precision)


# --- real recordings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "path"),
    [
        ("btc_coinbase", "crypto/btcusd-coinbase-trades-2023-09-05/btc_trades.csv.gz"),
        ("btc_binance_futures", "crypto/btcusdt-binance-futures-trades-2020-02-22/trades.csv.gz"),
    ],
)
def test_real_files_equal_python_csv_and_decimal(dataset: str, path: str) -> None:
    wanted = DATASETS[dataset]()
    file = read_ticks(shared_file(path))
    assert file.instruments == [Instrument(wanted.symbol, wanted.price_precision, wanted.size_precision)]
    assert np.array_equal(file.block.ts_ns, wanted.ts_ns)
    assert np.array_equal(file.block.price_ticks, wanted.price_ticks)
    assert np.array_equal(file.block.size_lots, wanted.size_lots)
    assert (file.late, file.skipped) == (0, {})


def test_every_ltcusdt_file_equals_python_csv_and_decimal() -> None:
    total = 0
    for path in sorted(shared_file("crypto/ltcusdt-binance-trades-2025-06").glob("*.csv.gz")):
        rows = [(int(row["timestamp"]) * 10**6, row["price"], row["quantity"]) for row in gzip_rows(path)]
        file = read_ticks(path, symbol="LTCUSDT")
        (item,) = file.instruments
        assert rows_of(file) == [
            (ts_ns, whole(price, item.price_precision), whole(size, item.size_precision)) for ts_ns, price, size in rows
        ]
        total += file.rows
    assert total == 152_763


@pytest.mark.parametrize("dataset", ["aapl", "spy"])
def test_columns_written_as_csv_come_back(dataset: str, tmp_path: Path) -> None:
    wanted = DATASETS[dataset]().head(20_000)
    file = read_ticks(wanted.write_csv(tmp_path / "x.csv.gz"), price_precision=wanted.price_precision)
    for name, column in wanted.columns().items():
        assert np.array_equal(getattr(file.block, name), column), name


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
@pytest.mark.parametrize("first", [["timestamp", "price", "size"], ["2024-01-02T14:30:00Z", "1.5", "2"]])
def test_other_separators_are_named(tmp_path: Path, separator: str, name: str, first: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{separator.join(first)}\n")
    with pytest.raises(DataError, match=f"x.csv:1: the columns are separated by {name}; separate them by commas"):
        read_ticks(path)
