"""Writing tick files and merging quotes with trades."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import DataError
from engine.model import Instrument, TickBlock
from engine.store.ticks import read_ticks, write_ticks

NOON = 1_700_000_000
LIMIT = 2**40 - 1


def assert_same(got: TickBlock, want: TickBlock) -> None:
    for field in fields(TickBlock):
        ours, theirs = getattr(got, field.name), getattr(want, field.name)
        if theirs is None:
            assert ours is None, field.name
        else:
            assert ours.dtype == theirs.dtype, field.name
            assert ours.tolist() == theirs.tolist(), field.name


@st.composite
def blocks(draw: st.DrawFn) -> tuple[TickBlock, list[Instrument]]:
    """Blocks with any of the optional columns; instruments in order of their first row, as a reader numbers them."""
    count = draw(st.integers(1, 8))
    steps = st.lists(st.integers(1, LIMIT), min_size=count, max_size=count)
    prices = np.array(draw(steps), np.int64)
    sizes = np.array(draw(steps), np.int64)
    times = sorted(draw(st.lists(st.integers(10**9, 2**62), min_size=count, max_size=count)))
    block = TickBlock(np.array(times, np.int64), prices, sizes)
    if draw(st.booleans()):
        sides = [sorted(draw(st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT)))) for _ in range(count)]
        block.bid_ticks, block.ask_ticks = (np.array(side, np.int64) for side in zip(*sides, strict=True))
        if draw(st.booleans()):
            block.bid_lots = np.array(draw(steps), np.int64)
            block.ask_lots = np.array(draw(steps), np.int64)
        kinds = np.array(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)), np.uint8)
        kinds[block.ask_ticks == 0] = 0
        if kinds.any():
            block.kind = kinds
            prices[kinds == 1] = sizes[kinds == 1] = 0
    precision = st.integers(0, 12)
    price, size = draw(precision), draw(precision)
    names = ["ticks"]
    if count > 1 and draw(st.booleans()):
        names = ["A,B", 'say "so"', "plain", "Ωmega"][: draw(st.integers(2, min(count, 4)))]
        rest = draw(st.lists(st.integers(0, len(names) - 1), min_size=count - len(names), max_size=count - len(names)))
        block.instrument = np.array([*range(len(names)), *rest], np.uint16)
    return block, [Instrument(name, price, size) for name in names]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ticks=blocks())
def test_what_is_written_is_read_back(suffix: str, tmp_path: Path, ticks: tuple[TickBlock, list[Instrument]]) -> None:
    if suffix == "parquet":
        pytest.importorskip("polars", reason="needs the 'data' extra")
    block, instruments = ticks
    path = tmp_path / f"ticks.{suffix}"
    write_ticks(path, block, instruments)
    item = instruments[0]
    file = read_ticks(path, price_precision=item.price_precision, size_precision=item.size_precision)
    assert file.instruments == instruments
    assert_same(file.block, block)
    first = path.read_bytes()
    write_ticks(path, block, instruments)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path], "no half-written file stays behind"


def test_the_csv_is_plain_to_read(tmp_path: Path) -> None:
    columns = [
        np.array(values, np.int64) for values in ([NOON * 10**9 + 1] * 2, [10050, 0], [3, 0], [0, 10049], [0, 10051])
    ]
    write_ticks(tmp_path / "x.csv", TickBlock(*columns, kind=np.array([0, 1], np.uint8)), [Instrument("SPY")])
    assert (tmp_path / "x.csv").read_text() == (
        "timestamp,price,size,bid,ask\n"
        "2023-11-14T22:13:20.000000001Z,100.50,3,,\n"
        "2023-11-14T22:13:20.000000001Z,,,100.49,100.51\n"
    )


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    one = np.ones(1, np.int64)
    good = TickBlock(one, one, one)
    for path, block, words in (
        (tmp_path / "x.txt", good, "name it .csv, .csv.gz or .parquet"),
        (tmp_path / "none" / "x.csv", good, "cannot be written"),
        (tmp_path / "x.csv", TickBlock(one, one * 0, one), r"row 0 is not a valid tick \[price_zero\]"),
        (
            tmp_path / "x.csv",
            TickBlock(one, one, one, instrument=one.astype(np.uint16)),
            "an instrument that was not given",
        ),
    ):
        with pytest.raises(DataError, match=words):
            write_ticks(path, block, [Instrument("A")])
    assert list(tmp_path.iterdir()) == []


# --- quotes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path):
    def write(trades: str, quotes: str) -> tuple[Path, Path]:
        paths = tmp_path / "trades.csv", tmp_path / "quotes.csv"
        for path, text in zip(paths, (trades, quotes), strict=True):
            path.write_text(text)
        return paths

    return write


def merged(block: TickBlock) -> list[tuple[int, str]]:
    """Seconds and what: ``t<price>`` or ``q<bid>``."""
    assert block.kind is not None
    assert block.bid_ticks is not None
    rows = zip(
        block.ts_ns.tolist(), block.kind.tolist(), block.price_ticks.tolist(), block.bid_ticks.tolist(), strict=True
    )
    return [(ts // 10**9 - NOON, f"q{bid}" if kind else f"t{price}") for ts, kind, price, bid in rows]


def test_quotes_merge_by_time_before_trades_of_the_same_time(files) -> None:
    trades, quotes = files(
        f"ts,price,size\n{NOON},1,1\n{NOON + 1},2,1\n{NOON + 1},3,1\n{NOON + 3},4,1\n",
        f"ts,bid,ask,bid_size,ask_size\n{NOON + 1},5,6,1,1\n{NOON + 1},6,6,,\n{NOON + 2},7,8,2,3\n{NOON + 9},9,9,1,1\n",
    )
    file = read_ticks(trades, quotes=quotes)
    assert merged(file.block) == [
        (0, "t1"), (1, "q5"), (1, "q6"), (1, "t2"), (1, "t3"), (2, "q7"), (3, "t4"), (9, "q9")]  # fmt: skip
    assert file.block.ask_lots is not None
    assert file.block.ask_lots.tolist() == [0, 1, 0, 0, 0, 3, 0, 1]
    assert [item.symbol for item in file.instruments] == ["trades"]
    assert file.block.instrument is None
    assert file.late == 0
    assert file.detected["quotes, columns"] == "timestamp=ts, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size"
    assert file.sha256 not in (read_ticks(trades).sha256, read_ticks(quotes).sha256)


def test_each_file_keeps_its_own_order_even_where_it_goes_back(files) -> None:
    trades, quotes = files(
        f"ts,price,size\n{NOON + 5},1,1\n{NOON + 2},2,1\n{NOON + 6},3,1\n",
        f"ts,bid,ask\n{NOON + 4},7,8\n{NOON + 6},8,8\n",
    )
    file = read_ticks(trades, quotes=quotes)
    assert merged(file.block) == [(4, "q7"), (5, "t1"), (2, "t2"), (6, "q8"), (6, "t3")]
    assert file.late == 1


def test_the_finer_precision_of_the_two_holds_for_both(files) -> None:
    trades, quotes = files(f"ts,price,size\n{NOON},1.5,1\n", f"ts,bid,ask\n{NOON},1.4975,2\n")
    file = read_ticks(trades, quotes=quotes)
    assert file.instruments == [Instrument("trades", 4, 0)]
    assert (merged(file.block), file.block.price_ticks.tolist()) == ([(0, "q14975"), (0, "t15000")], [0, 15000])


def test_symbols_are_matched_by_name(files) -> None:
    trades, quotes = files(
        f"ts,price,size,symbol\n{NOON},1,1,A\n{NOON},2,1,B\n", f"ts,bid,ask,symbol\n{NOON},3,3,C\n{NOON},4,4.5,B\n"
    )
    file = read_ticks(trades, quotes=quotes)
    assert file.instruments == [Instrument("A", 0, 0), Instrument("B", 1, 0), Instrument("C", 0, 0)]
    assert file.block.instrument is not None
    assert file.block.instrument.tolist() == [2, 1, 0, 1]
    assert merged(file.block) == [(0, "q3"), (0, "q40"), (0, "t1"), (0, "t20")]
    chosen = read_ticks(trades, quotes=quotes, symbol="B")
    assert (chosen.instruments, chosen.rows) == ([Instrument("B", 1, 0)], 2)


def test_a_quote_file_alone_is_read_too(files) -> None:
    _, quotes = files("", f"{NOON},1.5,2\n")
    with pytest.raises(DataError, match="the file is empty"):
        read_ticks(quotes.with_name("trades.csv"))
    _, quotes = files("", f"time,bid,ask\n{NOON},1.5,2\n")
    assert merged(read_ticks(quotes).block) == [(0, "q15")]


def test_a_quote_file_without_header_and_its_bad_rows(files) -> None:
    trades, quotes = files(f"{NOON},1,1\n{NOON},0,1\n", f"{NOON},1.5,2\n{NOON},3,2\n{NOON},0,0\n{NOON},,1\n")
    with pytest.raises(DataError, match=r"trades.csv:2: price is zero"):
        read_ticks(trades, quotes=quotes)
    file = read_ticks(trades, quotes=quotes, on_bad_row="skip")
    assert file.skipped == {"price_zero": 1, "crossed_quote": 1, "no_price": 1}
    assert merged(file.block) == [(0, "q15"), (0, "q0"), (0, "t10")]
    trades, quotes = files(f"{NOON},1,1\n", f"{NOON},3,2\n")
    with pytest.raises(DataError, match=r"quotes.csv:1: the bid is above the ask \(column 2\) \[crossed_quote\]"):
        read_ticks(trades, quotes=quotes)


def test_precisions_that_do_not_fit_together_are_refused(files) -> None:
    trades, quotes = files(f"{NOON},{LIMIT},1\n", f"{NOON},0.5,1\n")
    with pytest.raises(DataError, match="do not fit at the precision that the other file needs"):
        read_ticks(trades, quotes=quotes)
