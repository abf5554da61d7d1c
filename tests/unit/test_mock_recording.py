"""Tick files become exact integers, and every bad row is refused with its file and line."""

import gzip
import time

import numpy as np
import pytest

from engine.store.columns import COLUMN_NAMES
from engine.store.ticks import read_ticks
from mock_server.errors import ExitCode, MockError
from mock_server.recording import read_recording
from mock_server.timestamps import recognise

BASE_NS = 1_700_000_000_000_000_000


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="ticks.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def test_all_columns_in_any_order_with_optional_ones_left_empty(write):
    path = write(
        "\ufeffSymbol,ask,bid,Size,price,timestamp,note\r\n"
        "BTC,65000.5,65000.25,0.00010,65000.5,1700000000000,x\r\n"
        "\r\n"
        "ACME,,9.9,200,10,1700000000001,y\r\n"
        "BTC,,,12,64999.75,1700000000001,"
    )
    recording = read_recording(path)
    assert [(i.symbol, i.price_precision, i.size_precision) for i in recording.instruments] == [
        ("BTC", 2, 4),
        ("ACME", 1, 0),
    ]
    assert recording.start_ns == BASE_NS
    assert recording.timestamps == "integer milliseconds"
    assert recording.table.T.tolist() == [
        [0, 6500050, 1, 6500025, 6500050, 0, 0, 0, 0],
        [1_000_000, 100, 200, 99, 0, 0, 0, 1, 0],
        [1_000_000, 6499975, 120_000, 0, 0, 0, 0, 0, 0],
    ]


def test_gzip_and_a_name_for_a_file_without_symbols(write):
    path = write(gzip.compress(b"timestamp,price,quantity\n1700000000,80.23,4.7\n"), "my ticks.csv.gz")
    assert read_recording(path).instruments[0].symbol == "RECORDING"
    recording = read_recording(path, symbols=["LTC"], price_precision=4, size_precision=3)
    assert recording.instruments[0].symbol == "LTC"
    assert recording.table[1:3, 0].tolist() == [802300, 4700]
    for name in ("spy", "SPY", "Spy"):  # kept as it is written: the backtest's symbol
        path = write("timestamp,price,size\n1700000000,1,1\n", f"{name}.2024.csv")
        assert read_recording(path).instruments[0].symbol == read_ticks(path).instruments[0].symbol == name


def test_symbols_select_rows(write):
    path = write("timestamp,price,size,symbol\n1700000000,1,1,A\n1700000001,2,1,B\n1700000002,3,1,A\n")
    assert read_recording(path, symbols=["B"]).table[1].tolist() == [2]
    with pytest.raises(MockError, match=r"there is no record of C in this file$"):
        read_recording(path, symbols=["A", "C"])


def test_late_rows_are_kept_in_file_order(write):
    path = write("timestamp,price,size\n1700000002,1,1\n1700000001,2,1\n")
    recording = read_recording(path)
    assert recording.table[0].tolist() == [0, -1_000_000_000]


def test_symbols_that_stand_one_after_the_other_are_put_in_order_as_in_a_backtest(write):
    rows = [f"{1_700_000_000 + second},{10 + second},1,{symbol}" for symbol in "BA" for second in (0, 1, 3, 2, 5)]
    path = write("timestamp,price,size,symbol\n" + "\n".join(rows))
    recording, file = read_recording(path), read_ticks(path)
    assert [listing.symbol for listing in recording.instruments] == ["B", "A"]
    assert (recording.table[0] + recording.start_ns).tolist() == file.block.ts_ns.tolist()
    assert recording.table[1].tolist() == file.block.price_ticks.tolist()
    assert recording.table[7].tolist() == file.block.instrument.tolist() == [0, 1, 0, 1, 0, 0, 1, 1, 0, 1]


def test_symbols_that_arrived_a_little_late_stay_where_they_are(write):
    path = write("timestamp,price,size,symbol\n1700000002,1,1,A\n1700000001,2,1,B\n1700000002,3,1,B\n")
    assert read_recording(path).table[1].tolist() == read_ticks(path).block.price_ticks.tolist() == [1, 2, 3]


def test_rows_in_no_order_of_time_are_refused(write):
    path = write("timestamp,price,size\n" + "".join(f"{1_700_000_000 - n},1,1\n" for n in range(9)))
    with pytest.raises(MockError, match=r"not in the order of time: 8 of 9 are earlier than one above.*; sort them"):
        read_recording(path)


def test_a_time_that_no_reader_of_the_wire_takes_is_refused_by_its_line(write):
    """The feed refuses such records one by one, and nothing would be traded."""
    for early in ("946684799999999999", "1999-12-31T23:59:59.9"):
        with pytest.raises(MockError, match=r"ticks\.csv:2: the time is before 2000; mend"):
            read_recording(write(f"timestamp,price,size\n{early},1,1\n"))
    later = time.time_ns() // 10**9 + 60
    with pytest.raises(MockError, match=r"ticks\.csv:3: the time has not come yet; mend"):
        read_recording(write(f"timestamp,price,size\n{later - 120},1,1\n{later},1,1\n"))


def test_zeros_beyond_a_given_precision_do_no_harm(write):
    path = write("timestamp,price,size\n1700000000,585.3300,1.000\n")
    table = read_recording(path, price_precision=2, size_precision=0).table
    assert table[1:3, 0].tolist() == [58533, 1]


@pytest.mark.parametrize(
    ("text", "precisions"),
    [
        ("60000.00000000,0.00100000\n60001.00000000,0.01200000\n", (0, 3)),
        ("60000.10000000,12\n60001.25000000,100\n", (2, 0)),
        (".5,5.\n+1,1.25e-3\n1e3,12e1\n", (1, 5)),
        ("10,1\n20,1.000\n", (0, 0)),
    ],
)
def test_amounts_become_the_same_integers_as_in_a_backtest(write, text, precisions):
    rows = "".join(f"{1_700_000_000 + n},{row}\n" for n, row in enumerate(text.splitlines()))
    path = write("timestamp,price,size\n" + rows, "btc.csv")
    recording, file = read_recording(path), read_ticks(path)
    [mine], [theirs] = recording.instruments, file.instruments
    assert (mine.price_precision, mine.size_precision) == (theirs.price_precision, theirs.size_precision) == precisions
    assert recording.table[1].tolist() == file.block.price_ticks.tolist()
    assert recording.table[2].tolist() == file.block.size_lots.tolist()


def test_a_file_as_binance_writes_it(write):
    path = write(
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        "1,60000.00000000,0.00100000,1,1,1700000000123,true\n"
        "2,60000.50000000,2.00000000,2,3,1700000000124,false\n",
        "BTCUSDT.csv",
    )
    recording, file = read_recording(path), read_ticks(path)
    assert [(i.symbol, i.price_precision, i.size_precision) for i in recording.instruments] == [("BTCUSDT", 1, 3)]
    assert recording.table[1].tolist() == file.block.price_ticks.tolist() == [600000, 600005]
    assert (recording.table[0] + recording.start_ns).tolist() == file.block.ts_ns.tolist()


@pytest.mark.parametrize("column", ["price", "size", "bid", "ask", "symbol", "timestamp"])
def test_a_column_may_be_called_what_a_backtest_calls_it(write, column):
    usual = {"timestamp": "1700000000", "price": "10", "size": "1", "bid": "9", "ask": "11", "symbol": "ACME"}
    for name in COLUMN_NAMES[column]:
        header = [name.upper().replace("_", " ") if key == column else key for key in usual]
        path = write(",".join(header) + "\n" + ",".join(usual.values()) + "\n")
        assert read_recording(path).table[1:5, 0].tolist() == [10, 1, 9, 11]
        assert read_ticks(path).rows == 1


def test_of_two_columns_for_one_field_the_one_with_its_own_name_is_used(write):
    path = write("timestamp,volume,price,size\n1700000000,7,10,1\n")
    assert read_recording(path).table[2].tolist() == read_ticks(path).block.size_lots.tolist() == [1]


def test_blocks_are_slices_of_the_whole(write):
    path = write("timestamp,price,size\n" + "".join(f"{1_700_000_000 + n},1,1\n" for n in range(10)))
    recording = read_recording(path)
    blocks = list(recording.blocks(4))
    assert [block.shape[1] for block in blocks] == [4, 4, 2]
    assert np.array_equal(np.concatenate(blocks, axis=1), recording.table)


@pytest.mark.parametrize(
    ("text", "ns", "form"),
    [
        ("1700000000", BASE_NS, "integer seconds"),
        ("1700000000123", BASE_NS + 123_000_000, "integer milliseconds"),
        ("1700000000123456", BASE_NS + 123_456_000, "integer microseconds"),
        ("1700000000123456789", BASE_NS + 123_456_789, "integer nanoseconds"),
        ("2023-11-14T22:13:20", BASE_NS, "ISO 8601 without a zone, taken as UTC"),
        ("2023-11-14 22:13:20.000000001", BASE_NS + 1, "ISO 8601 without a zone, taken as UTC"),
        ("2023-11-14T22:13:20.5Z", BASE_NS + 500_000_000, "ISO 8601 with a zone"),
        ("2023-11-14T17:13:20.25-05:00", BASE_NS + 250_000_000, "ISO 8601 with a zone"),
        ("2023-11-15T03:43:20+0530", BASE_NS, "ISO 8601 with a zone"),
    ],
)
def test_timestamps_are_recognised_and_exact(text, ns, form):
    read, phrase = recognise(text)
    assert (read(text), phrase) == (ns, form)


HEADER = "timestamp,price,size,bid,ask,symbol\n"
GOOD = "1700000000,10.5,1,10.4,10.6,ACME\n"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("1700000001,nan,1,,,ACME", "price 'nan' is not a positive decimal number"),
        ("1700000001,-1,1,,,ACME", "price '-1' is not"),
        ("1700000001,1e,1,,,ACME", "price '1e' is not"),
        ("1700000001,2e12,1,,,ACME", "price 2e12 is above 2^40 - 1 units"),
        ("1700000001,1e-13,1,,,ACME", "price 1e-13 has more than 12 decimals"),
        ("1700000001,0e5,1,,,ACME", "price '0e5' is not"),
        ("1700000001,10,1,10.2,10.1,ACME", "the bid is above the ask"),
        ("1700000001,0.00,1,,,ACME", "price '0.00' is not"),
        ("1700000001,,1,,,ACME", "price '' is not"),
        ("1700000001,.,1,,,ACME", "price '.' is not"),
        ("1700000001,١,1,,,ACME", "is not a positive decimal"),
        ("1700000001,1,0,,,ACME", "size '0' is not"),
        ("1700000001,1,1,x,,ACME", "bid 'x' is not"),
        ("1700000001,1.0000000000001,1,,,ACME", "price 1.0000000000001 has more than 12 decimals"),
        ("1700000001,1,1099511627776,,,ACME", "size 1099511627776 is above 2^40 - 1 units"),
        ("1700000001,10995116277.8,1,,0.01,ACME", "the price is above 2^40 - 1 units"),
        ("1700000001,1,1,,", "5 fields where the header has 6"),
        ("1700000001,1,1,,,AC ME", "'AC ME' is not a symbol"),
        ("1700000001000,1,1,,,ACME", "timestamp 1700000001000 cannot be in seconds"),
        ("2023-11-14T22:13:20,1,1,,,ACME", "is not an integer; the first one is in seconds"),
        (",1,1,,,ACME", "timestamp '' is not an integer"),
    ],
)
def test_a_bad_row_is_refused_by_file_and_line(write, row, what):
    path = write(f"{HEADER}{GOOD}{row}\n{GOOD}")
    with pytest.raises(MockError) as caught:
        read_recording(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.DATA


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:21", "has no zone, unlike the first one"),
        ("2023-11-14T22:13:20", "2023-11-14T22:13:21Z", "has a zone, unlike the first one"),
        ("2023-11-14T22:13:20", "2023-02-30T22:13:21", "does not exist"),
        ("2023-11-14T22:13:20", "1969-12-31T23:59:59", "is outside the years"),
        ("2023-11-14T22:13:20", "2263-01-01T00:00:00", "is outside the years"),
        ("2023-11-14T22:13:20", "yesterday", "is not ISO 8601"),
    ],
)
def test_a_timestamp_unlike_the_first_is_refused(write, first, second, what):
    with pytest.raises(MockError, match=what):
        read_recording(write(f"timestamp,price,size\n{first},1,1\n{second},1,1\n"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"PAR1\x15\x00", "this is Parquet, and a replay reads CSV; write it as CSV first"),
        (b"timestamp,price\n", "the header has no column 'size'"),
        (b"timestamp,price,qty,volume\n", "two columns look like the size; name the one to use 'size'"),
        (b"timestamp,price,size,bid\n", "a bid or an ask column without the other"),
        (b"timestamp,price,size\n", "there is no record in this file"),
        (b"timestamp,price,size\n12,1,1\n", "timestamp '12' is neither ISO"),
        (b"timestamp,price,size\n\xff\xfe,1,1\n", "the file is not text"),
        (b"timestamp,price,size\n1700000000,\x00,1\n", "price"),
    ],
)
def test_a_file_that_is_no_tick_file_is_refused(write, content, what):
    with pytest.raises(MockError) as caught:
        read_recording(write(content))
    assert what in str(caught.value)
    assert caught.value.exit_code == ExitCode.DATA


def test_a_missing_a_cut_off_and_a_false_gzip_file_are_refused(write, tmp_path):
    whole = gzip.compress(b"timestamp,price,size\n" + b"1700000000,1,1\n" * 1000)
    for path in (
        tmp_path / "none.csv",
        write(whole[:-20], "cut.csv.gz"),
        write(b"timestamp", "false.csv.gz"),
        tmp_path,
    ):
        with pytest.raises(MockError) as caught:
            read_recording(path)
        assert str(path) in str(caught.value)
        assert caught.value.exit_code == ExitCode.DATA


def test_the_line_of_a_bad_row_is_right_deep_in_a_file_with_blank_lines(write):
    rows = [f"{1_700_000_000 + n},10.5,{1 + n % 9}" for n in range(9000)]
    rows[10] = rows[4097] = ""
    rows[8500] = "1700008500,10.5"
    path = write("timestamp,price,size\n" + "\n".join(rows))
    with pytest.raises(MockError) as caught:
        read_recording(path)
    assert str(caught.value).startswith(f"{path}:8502: 2 fields where the header has 3")
    rows[8500] = ""
    assert read_recording(write("timestamp,price,size\n" + "\n".join(rows))).table.shape == (9, 8997)


def test_two_symbols_need_a_symbol_column(write):
    with pytest.raises(MockError, match="--symbols can name only one symbol"):
        read_recording(write("timestamp,price,size\n1700000000,1,1\n"), symbols=["A", "B"])
