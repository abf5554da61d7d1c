"""Reading bars: what is understood, what is refused and where, local clocks, and real minute files."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError, ExitCode, NotFoundError
from engine.model import Instrument
from engine.store.bars import read_bars
from engine.store.ticks import TickFile, read_ticks, write_ticks
from engine.store.zone import to_utc
from tests.shared_data import gzip_rows, shared_file

HEADER = "timestamp,open,high,low,close,volume\n"
SECOND = 10**9
MINUTE = 60 * SECOND
NINE = int(datetime(2024, 1, 2, 9, tzinfo=UTC).timestamp()) * SECOND

THREE = (
    "2024-01-02T09:00:00Z,10.5,10.75,10.25,10.5,100\n"
    "2024-01-02T09:01:00Z,10.5,10.5,10.5,10.5,1\n"
    "2024-01-02T09:03:00Z,10.4,11,10,10.125,7\n"
    "2024-01-02T09:04:00Z,10,10,10,10,2\n"
)


@pytest.fixture
def bar_file(tmp_path: Path):
    def write(text: str, name: str = "spy.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def rows_of(file: TickFile) -> list[tuple[int, ...]]:
    """Return (start, end, open, high, low, close, volume) of each bar."""
    block = file.block
    columns = [block.start_ns, block.ts_ns, block.open_ticks, block.high_ticks, block.low_ticks]
    assert all(column is not None for column in columns)
    return list(
        zip(*(c.tolist() for c in (*columns, block.price_ticks, block.size_lots) if c is not None), strict=True)
    )


# --- what is understood -----------------------------------------------------------------------------------------------


def test_bars_are_exact_integers_known_at_their_end(bar_file) -> None:
    file = read_bars(bar_file(HEADER + THREE))
    assert rows_of(file) == [
        (NINE, NINE + MINUTE, 10500, 10750, 10250, 10500, 100),
        (NINE + MINUTE, NINE + 2 * MINUTE, 10500, 10500, 10500, 10500, 1),
        (NINE + 3 * MINUTE, NINE + 4 * MINUTE, 10400, 11000, 10000, 10125, 7),
        (NINE + 4 * MINUTE, NINE + 5 * MINUTE, 10000, 10000, 10000, 10000, 2),
    ]
    assert file.instruments == [Instrument("spy", 3, 0)]
    assert file.detected["period"] == "1m (the most frequent step)"
    assert (file.detected["stamps"], file.detected["zone"]) == ("the start of each bar", "UTC (Z)")
    assert (file.skipped, file.late) == ({}, 0)


def test_stamps_may_be_the_end_of_each_bar_and_the_period_may_be_stated(bar_file) -> None:
    path = bar_file(HEADER + THREE)
    at_end = rows_of(read_bars(path, stamps="end"))
    assert [row[:2] for row in at_end] == [(NINE + (k - 1) * MINUTE, NINE + k * MINUTE) for k in (0, 1, 3, 4)]
    assert [row[1] - row[0] for row in rows_of(read_bars(path, period="30s"))] == [30 * SECOND] * 4
    assert rows_of(read_bars(bar_file(HEADER + THREE.splitlines()[0]), period="1m"))[0][1] == NINE + MINUTE


@pytest.mark.parametrize(
    "header",
    ["Date,Open,High,Low,Close,Volume", "time,o,h,l,c,v", "ts, OPEN ,high_price,low-price,Close Price,vol"],
)
def test_headers_take_the_usual_names(bar_file, header: str) -> None:
    assert rows_of(read_bars(bar_file(f"{header}\n{THREE}"))) == rows_of(read_bars(bar_file(HEADER + THREE)))


def test_columns_may_come_in_any_order_and_others_are_ignored(bar_file) -> None:
    lines = [line.split(",") for line in THREE.splitlines()]
    text = "\n".join(",".join([c, "x", v, h, t, lo, o]) for t, o, h, lo, c, v in lines)
    file = read_bars(bar_file(f"close,adj close,volume,high,timestamp,low,open\n{text}"))
    assert rows_of(file) == rows_of(read_bars(bar_file(HEADER + THREE)))
    assert file.detected["ignored columns"] == "adj close"


def test_bars_without_volume_are_left_out_and_counted(bar_file) -> None:
    empty = "2024-01-02T09:02:00Z,10.5,10.5,10.5,10.5,0\n2024-01-02T09:05:00Z,,,,,0.0\n"
    file = read_bars(bar_file(HEADER + THREE + empty))
    assert rows_of(file) == rows_of(read_bars(bar_file(HEADER + THREE)))
    assert file.detected["bars without volume left out"] == "2"
    with pytest.raises(DataError, match="not one bar has a volume"):
        read_bars(bar_file(HEADER + empty))


def test_several_symbols_come_in_the_order_of_their_ends(bar_file) -> None:
    lines = THREE.splitlines()
    text = "\n".join([f"{line},B" for line in lines] + [f"{line},A" for line in lines[1:]])
    file = read_bars(bar_file(f"{HEADER.strip()},symbol\n{text}"))
    assert file.block.instrument is not None
    names = [file.instruments[i].symbol for i in file.block.instrument.tolist()]
    assert names == ["B", "B", "A", "B", "A", "B", "A"]
    assert file.block.ts_ns.tolist() == [NINE + k * MINUTE for k in (1, 2, 2, 4, 4, 5, 5)]
    only = read_bars(bar_file(f"{HEADER.strip()},symbol\n{text}"), symbol="A")
    assert rows_of(only) == rows_of(read_bars(bar_file(HEADER + "\n".join(lines[1:]))))
    with pytest.raises(NotFoundError, match="no row of symbol 'C'"):
        read_bars(bar_file(f"{HEADER.strip()},symbol\n{text}"), symbol="C")


# --- local clocks -----------------------------------------------------------------------------------------------------


def local_rows(*times: str) -> str:
    return HEADER + "".join(f"{text},10,11,9,10,5\n" for text in times)


def utc_starts(file: TickFile) -> list[str]:
    assert file.block.start_ns is not None
    return [f"{datetime.fromtimestamp(ns / 1e9, UTC):%m-%dT%H:%M}" for ns in file.block.start_ns.tolist()]


def test_times_without_a_zone_are_utc_unless_a_zone_is_named(bar_file) -> None:
    path = bar_file(local_rows("2024-03-08 09:30:00", "2024-03-08 09:31:00", "2024-03-11 09:30:00"))
    assert utc_starts(read_bars(path)) == ["03-08T09:30", "03-08T09:31", "03-11T09:30"]
    there = read_bars(path, zone="America/New_York")
    assert utc_starts(there) == ["03-08T14:30", "03-08T14:31", "03-11T13:30"]  # the clocks changed in between
    assert there.detected["zone"] == "America/New_York, converted to UTC"


def test_an_hour_that_the_clock_shows_twice_goes_by_the_order_of_the_rows(bar_file) -> None:
    text = ("00:59", "01:00", "01:59", "01:00", "01:01", "01:59", "02:00")
    path = bar_file(local_rows(*(f"2024-11-03T{time}:00" for time in text)))
    starts = utc_starts(read_bars(path, zone="America/New_York", period="1m"))
    assert starts == [f"11-03T{time}" for time in ("04:59", "05:00", "05:59", "06:00", "06:01", "06:59", "07:00")]


def test_a_time_that_the_clock_never_showed_is_a_bad_row(bar_file) -> None:
    path = bar_file(local_rows("2024-03-10T01:59:00", "2024-03-10T02:30:00", "2024-03-10T03:00:00"))
    with pytest.raises(DataError, match=r"spy.csv:3: the clock of America/New_York never showed 2024-03-10T02:30:00"):
        read_bars(path, zone="America/New_York", period="1m")
    file = read_bars(path, zone="America/New_York", period="1m", on_bad_row="skip")
    assert utc_starts(file) == ["03-10T06:59", "03-10T07:00"]
    assert file.skipped == {"timestamp_skipped": 1}


@settings(deadline=None)
@given(
    st.sampled_from(["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    st.lists(st.integers(0, 40 * 365 * 24 * 60), min_size=1, max_size=50, unique=True),
    st.sampled_from([0, 0, 1_730_610_000 // 60, 1_711_846_800 // 60]),  # around changes of the clocks, too
)
def test_the_wall_clock_of_rising_times_leads_back_to_them(name: str, minutes: list[int], near: int) -> None:
    zone = ZoneInfo(name)
    minutes = sorted((m % 240 + near if near else m) for m in minutes)
    minutes = sorted(set(minutes))
    moments = [datetime(1985, 1, 1, tzinfo=UTC) + timedelta(minutes=m) for m in minutes]
    if near:
        moments = [datetime.fromtimestamp(60 * m, UTC) for m in minutes]
    walls = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    local = np.array([(wall - datetime(1970, 1, 1)) // timedelta(seconds=1) * SECOND for wall in walls], np.int64)
    utc, never = to_utc(local, zone)
    assert not never.any()
    for got, moment, wall in zip(utc.tolist(), moments, walls, strict=True):
        back = datetime.fromtimestamp(got // SECOND, UTC)
        assert back.astimezone(zone).replace(tzinfo=None) == wall  # it is a moment at which the clock showed that,
        if walls.count(wall) == 1 and back != moment:  # and another one only where rows before it do not tell
            assert wall.replace(tzinfo=zone, fold=0).utcoffset() != wall.replace(tzinfo=zone, fold=1).utcoffset()


@pytest.mark.parametrize("first", ["2024-01-02T09:30:00Z", "2024-01-02T09:30:00-05:00", "1704187800"])
def test_a_zone_for_times_that_have_one_is_refused(bar_file, first: str) -> None:
    with pytest.raises(DataError, match=r"UTC, or state their zone themselves; leave out --zone"):
        read_bars(bar_file(local_rows(first)), zone="America/New_York", period="1m")


def test_a_zone_that_does_not_exist_is_one_clear_line(bar_file) -> None:
    for name in ("New York", "America/Nowhere", "../etc/passwd", ""):
        with pytest.raises(ConfigError, match=r"zone: there is no time zone"):
            read_bars(bar_file(local_rows("2024-01-02T09:30:00")), zone=name)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ("2024-01-02T09:05:00Z,10,9,11,10,5", "high_below_low", "the high is below the low"),
        ("2024-01-02T09:05:00Z,12,11,9,10,5", "open_outside", "the open lies outside the low and the high"),
        ("2024-01-02T09:05:00Z,10,11,9,8.5,5", "close_outside", "the close lies outside the low and the high"),
        ("2024-01-02T09:05:00Z,0,11,0,10,5", "open_zero", "open is zero"),
        ("2024-01-02T09:05:00Z,10,11,-9,10,5", "low_negative", "low '-9' is negative"),
        ("2024-01-02T09:05:00Z,10,,9,10,5", "high_empty", "high is empty"),
        ("2024-01-02T09:05:00Z,10,11,9,x,5", "close_not_number", "close 'x' is not a number"),
        ("2024-01-02T09:05:00Z,10,11,9,10,", "volume_empty", "volume is empty"),
        ("2024-01-02T09:05:00Z,10,11,9,10,-1", "volume_negative", "volume '-1' is negative"),
        ("2024-01-02T09:05:00Z,10,11,9,10,5,6", "wrong_columns", "has not as many columns"),
        ("2024-01-02,10,11,9,10,5", "timestamp_not_time", "is neither an ISO 8601 date and time"),
        ("2024-01-02T09:04:00Z,10,11,9,10,5", "bar_repeated", "there is a second bar of 2024-01-02T09:04:00"),
        (
            "2024-01-02T09:03:00Z,10,11,9,10,5",
            "bar_not_rising",
            "the bar of 2024-01-02T09:03:00 comes after that of 2024-01-02T09:04:00",
        ),
        (
            "2024-01-02T09:05:30Z,10,11,9,10,5",
            "bar_off_grid",
            "the bar of 2024-01-02T09:05:30 lies between the bars of 1m",
        ),
    ],
)
def test_a_bad_row_stops_with_its_line_or_is_counted(bar_file, row: str, reason: str, words: str) -> None:
    good = "2024-01-02T09:06:00Z,10,10,10,10,2\n"
    path = bar_file(HEADER + THREE + row + "\n" + good)
    with pytest.raises(DataError) as caught:
        read_bars(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:6: ")
    assert words in line
    assert "--on-bad-row skip" in line
    assert "\n" not in line
    assert caught.value.exit_code == ExitCode.DATA
    file = read_bars(path, on_bad_row="skip")
    assert file.skipped == {reason: 1}
    assert rows_of(file) == rows_of(read_bars(bar_file(HEADER + THREE + good)))


def test_bars_longer_than_their_step_overlap(bar_file) -> None:
    path = bar_file(HEADER + THREE)
    with pytest.raises(
        DataError, match=r"spy.csv:3: the bar of 2024-01-02T09:01:00 begins within the one of .*09:00:00"
    ):
        read_bars(path, period="2h")
    assert len(rows_of(read_bars(path, period="2h", on_bad_row="skip"))) == 1


def test_a_stray_row_cannot_make_bars_shorter(bar_file) -> None:
    """The smallest step is not the period: closes would be known half a minute early."""
    times = ["09:30:00", "09:31:00", "09:31:30", "09:32:00", "09:33:00", "09:34:00"]
    with pytest.raises(DataError, match=r"spy.csv:4: the bar of 2024-01-02T09:31:30 lies between the bars of 1m"):
        read_bars(bar_file(local_rows(*(f"2024-01-02T{time}" for time in times))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timestamp,open,high,low,volume\n", "no column for the close; name it close, c, close_price"),
        ("timestamp,open,high,low,close\n", "no column for the volume; name it volume"),
        (
            "timestamp,price,size\n2024-01-02T09:30:00Z,10,5\n",
            "these are ticks, not bars; backtest reads them with --ticks FILE",
        ),
        ("2024-01-02T09:30:00Z,10,11,9,10,5\n", "the first line names no column of bars; let the first line name"),
        ("timestamp;open;high;low;close;volume\n", "the columns are separated by semicolons"),
        (HEADER, "the file has a header and no rows"),
        (
            HEADER + "2024-01-02T09:30:00Z,10,11,9,10,5\n",
            "one bar does not tell how long it lasts; add --bar-period 1m",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_file_that_cannot_be_bars_is_one_clear_line(bar_file, text: str, words: str) -> None:
    path = bar_file(text)
    with pytest.raises(DataError) as caught:
        read_bars(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_bars_given_as_ticks_are_named(bar_file) -> None:
    with pytest.raises(DataError, match="these are bars, not ticks; backtest reads them with --bars FILE"):
        read_ticks(bar_file(HEADER + THREE))


def test_options_that_make_no_sense_are_refused(bar_file) -> None:
    path = bar_file(HEADER + THREE)
    with pytest.raises(ConfigError, match="stamps: bars are stamped at their 'start' or 'end', not 'begin'"):
        read_bars(path, stamps="begin")  # type: ignore[arg-type]
    for period in ("0s", "-1m"):
        with pytest.raises(ConfigError, match="period: "):
            read_bars(path, period=period)
    with pytest.raises(DataError, match="price precision 13"):
        read_bars(path, price_precision=13)
    with pytest.raises(DataError, match=r"close '10.125' has too many decimals.*leave out --price-precision"):
        read_bars(path, price_precision=2)


def test_bars_cannot_be_written_as_ticks(bar_file, tmp_path: Path) -> None:
    file = read_bars(bar_file(HEADER + THREE))
    with pytest.raises(DataError, match="these are bars, not ticks"):
        write_ticks(tmp_path / "out.csv", file.block, file.instruments)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_gives_what_csv_gives(bar_file, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    lines = [line.split(",") for line in (THREE + "2024-01-02T09:05:00Z,9,9,9,9,0\n").splitlines()]
    times = [datetime.fromisoformat(line[0]) for line in lines]
    names = ("open", "high", "low", "close")
    prices = {name: [float(line[k]) for line in lines] for k, name in enumerate(names, 1)}
    volume = [int(line[5]) for line in lines]
    path = tmp_path / "spy.parquet"
    wanted = rows_of(read_bars(bar_file(HEADER + THREE)))
    pl.DataFrame({"timestamp": times, **prices, "volume": volume}).write_parquet(path)
    file = read_bars(path)
    assert rows_of(file) == wanted
    assert file.detected["bars without volume left out"] == "1"
    with pytest.raises(DataError, match="leave out --zone"):
        read_bars(path, zone="America/New_York")
    naive = [moment.replace(tzinfo=None) for moment in times]
    pl.DataFrame({"timestamp": naive, **prices, "volume": volume}).write_parquet(path)
    assert [row[0] - 5 * 3600 * SECOND for row in rows_of(read_bars(path, zone="America/New_York"))] == [
        row[0] for row in wanted
    ]
    prices["open"][1], prices["high"][2] = 99.0, float("nan")
    pl.DataFrame({"timestamp": times, **prices, "volume": volume}).write_parquet(path)
    with pytest.raises(DataError, match=r"spy.parquet: row 1: the open lies outside the low and the high"):
        read_bars(path)
    skipped = read_bars(path, on_bad_row="skip", period="1m")
    assert skipped.skipped == {"open_outside": 1, "high_not_finite": 1}
    assert rows_of(skipped) == [wanted[0], wanted[3]]


# --- real files -------------------------------------------------------------------------------------------------------

ETF = "equities/etf-minute-history"


@pytest.mark.parametrize(
    "name", ["SPY_2001-09", "SPY_2008-09", "SPY_2008-10", "DIA_2008-10", "IWM_2008-09", "QQQ_2004-06"]
)
def test_real_etf_minutes_equal_python_csv_and_decimal(name: str) -> None:
    path = shared_file(f"{ETF}/{name}.csv.gz")
    file = read_bars(path)
    wanted = []
    scale = 10 ** file.instruments[0].price_precision
    for time, *prices, volume in (row.values() for row in gzip_rows(path)):
        start = int(datetime.fromisoformat(time).timestamp()) * SECOND
        ticks = [Decimal(text) * scale for text in prices]
        assert all(value == int(value) for value in ticks)
        wanted.append((start, start + MINUTE, *(int(value) for value in ticks), int(volume)))
    assert rows_of(file) == wanted
    assert file.skipped == {}


def test_bad_prints_of_real_minutes_are_well_formed_and_kept() -> None:
    """A high of 120,000 is no contradiction within its row: judging prices is not the reader's business."""
    file = read_bars(shared_file(f"{ETF}/QQQ_2004-06.csv.gz"))
    assert file.block.high_ticks is not None
    assert file.instruments[0].price(int(file.block.high_ticks.max())) == 120_000


def lean_minutes(path: Path, day: datetime, divisor: int) -> str:
    """Convert a file of us-minute or es-minute (ms since midnight) to the text of a bar file, times without zone."""
    lines = [HEADER]
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist())[:1]:
            for ms, *prices, volume in csv.reader(io.TextIOWrapper(archive.open(name))):
                time = day + timedelta(milliseconds=int(ms))
                lines.append(",".join([time.isoformat(), *(str(Decimal(p) / divisor) for p in prices), volume]) + "\n")
    return "".join(lines)


@pytest.mark.parametrize(
    ("path", "day", "zone", "divisor"),
    [
        ("equities/us-minute/ibm/20131007_trade.zip", datetime(2013, 10, 7), "America/New_York", 10_000),
        ("equities/us-minute/goog/20151224_trade.zip", datetime(2015, 12, 24), "America/New_York", 10_000),
        ("futures/es-minute/20131007_trade.zip", datetime(2013, 10, 7), None, 1),
    ],
)
def test_real_minutes_of_local_clocks(bar_file, path: str, day: datetime, zone: str | None, divisor: int) -> None:
    text = lean_minutes(shared_file(path), day, divisor)
    file = read_bars(bar_file(text), zone=zone)
    kept = [line.split(",") for line in text.splitlines()[1:] if line.split(",")[5] not in ("0", "0.0")]
    assert file.block.start_ns is not None
    assert file.rows == len(kept) > 200
    for start, line in zip(file.block.start_ns.tolist(), kept, strict=True):
        wall = datetime.fromisoformat(line[0]).replace(tzinfo=ZoneInfo(zone) if zone else UTC)
        assert start == int(wall.timestamp()) * SECOND
