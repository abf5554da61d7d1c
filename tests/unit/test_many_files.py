"""Several recordings as one: the same records in the order of time, whatever the precisions and columns of each."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.backtesting import load_ticks
from engine.errors import DataError
from engine.model import Instrument, TickBlock
from engine.rules import change, seconds
from engine.store.ticks import TickFile, from_arrays, from_frame, read_ticks, write_ticks
from engine.tools.many_files import files_of, merge, read_many
from mock_server.market import generate


def made(symbol: str, rows: list[tuple[int, int]], precision: int = 2, **more) -> TickFile:
    ts_ns, prices = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    block = TickBlock(ts_ns, prices, np.arange(1, len(rows) + 1), **more)
    return TickFile(block, [Instrument(symbol, precision)], source=symbol)


def records(file: TickFile) -> list[tuple[str, int, Decimal]]:
    block = file.block
    numbers = [0] * len(block) if block.instrument is None else block.instrument.tolist()
    rows = zip(numbers, block.ts_ns.tolist(), block.price_ticks.tolist(), strict=True)
    return [(file.instruments[n].symbol, ts, file.instruments[n].price(price)) for n, ts, price in rows]


def test_two_symbols_by_time_the_first_file_first():
    both = merge([made("A", [(1, 100), (3, 101)]), made("B", [(1, 7), (2, 8)], precision=0)])
    assert records(both) == [("A", 1, 1), ("B", 1, 7), ("B", 2, 8), ("A", 3, Decimal("1.01"))]
    assert both.instruments == [Instrument("A", 2), Instrument("B", 0)]


def test_days_of_one_symbol_are_one_instrument_in_the_finer_precision():
    both = merge([made("A", [(1, 100)]), made("A", [(2, 10_001)], precision=4)])
    assert both.instruments == [Instrument("A", 4)]
    assert records(both) == [("A", 1, 1), ("A", 2, Decimal("1.0001"))]


def test_a_late_record_keeps_its_place_in_its_file():
    """It is traded at the newest time of its file, so that is where it goes."""
    both = merge([made("A", [(5, 1), (2, 2), (6, 3)]), made("B", [(3, 4), (5, 5), (6, 6)])])
    assert [price for _, _, price in records(both)] == [Decimal(n) / 100 for n in (4, 1, 2, 5, 3, 6)]


def test_what_a_file_does_not_have_is_not_known():
    quoted = made("A", [(1, 100)], bid_ticks=np.array([99]), ask_ticks=np.array([101]))
    both = merge([quoted, made("B", [(2, 50)])])
    assert both.block.bid_ticks.tolist() == [99, 0]
    assert both.block.kind is None


def test_what_is_named_twice_does_not_count_twice(tmp_path):
    one, copy = tmp_path / "one.csv", tmp_path / "copy.csv"
    block = made("A", [(1, 100), (2, 101)])
    for path in (one, copy):
        write_ticks(path, block.block, block.instruments)
    for second, what in ((one, "it is named twice"), (copy, f"it holds the same as {one}")):
        with pytest.raises(DataError) as refused:
            read_many([one, second], read_ticks)
        assert refused.value.line() == f"{second}: {what}; name it once"
    same = made("B", [(1, 100), (2, 101)])
    assert len(merge([block, same]).block) == 4, "two symbols may have traded alike"


def test_files_that_overlap_do_not_count_twice_what_both_have():
    rows = [(second * 10**9, 100 + second % 7) for second in range(40)]
    sizes = np.arange(1, 41)

    def cut(source: str, begin: int, end: int, precision: int = 2, **more) -> TickFile:
        file = made("A", [(ts, price * 10 ** (precision - 2)) for ts, price in rows[begin:end]], precision, **more)
        file.block.size_lots, file.source = sizes[begin:end], source
        return file

    quotes = {name: np.full(40, 99) for name in ("bid_ticks", "ask_ticks")}
    for second in (
        cut("two", 20, 40),
        cut("two", 25, 35),
        cut("two", 20, 40, precision=4),
        cut("two", 0, 40, **quotes),
    ):
        with pytest.raises(
            DataError, match=r"two: \d\d records of A between .* are those of one again; leave out a file"
        ):
            merge([cut("one", 20, 35), made("B", rows), second])
    with pytest.raises(DataError) as refused:
        merge([cut("one", 0, 30), cut("two", 20, 40)])
    assert refused.value.line() == (
        "two: 10 records of A between 1970-01-01T00:00:20 and 1970-01-01T00:00:29 are those of one again; "
        "leave out a file, or these rows in one of the two"
    )
    assert len(merge([cut("one", 0, 29), cut("two", 20, 40)]).block) == 49, "the moment at which two files meet"
    venue = cut("two", 0, 40)
    venue.block.size_lots = sizes + (sizes % 4 > 0)  # by chance a quarter of the records are alike
    assert len(merge([cut("one", 0, 40), venue]).block) == 80


def test_ticks_and_bars_do_not_mix():
    one = np.array([1])
    bars = made("B", [(1, 1)], open_ticks=one, high_ticks=one, low_ticks=one, start_ns=one)
    with pytest.raises(DataError, match="some of these files hold ticks and others bars"):
        merge([made("A", [(1, 1)]), bars])


STREAM = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99)), max_size=8)


@given(st.lists(STREAM, min_size=1, max_size=4))
def test_merging_loses_and_moves_nothing(streams):
    parts = [made(f"S{number}", rows) for number, rows in enumerate(streams)]
    found = records(merge(parts))
    for part in parts:
        assert [row for row in found if row[0] == part.instruments[0].symbol] == records(part)
    newest: dict[str, int] = {}
    times = []
    for symbol, ts, _ in found:
        newest[symbol] = max(ts, newest.get(symbol, 0))
        times.append(newest[symbol])
    assert times == sorted(times)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two halves of a market in two files, beside something else."""
    whole = generate(40_000)._asdict()
    for name, part in (("a.csv.gz", slice(0, 20_000)), ("b.csv", slice(20_000, None))):
        names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
        half = TickBlock(**{column: np.ascontiguousarray(whole[column][part]) for column in names})
        write_ticks(tmp_path / name, half, [Instrument("AAPL")])
    (tmp_path / "notes.txt").write_text("not a recording")
    (tmp_path / "._a.csv").write_text("what another system keeps beside its files")
    return tmp_path


def test_a_folder_is_its_recordings_by_name(folder):
    assert [path.name for path in files_of([folder])] == ["a.csv.gz", "b.csv"]
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: there is no"):
        files_of([folder / "empty"])


# --- several symbols in one file --------------------------------------------------------------------------------------


def two_symbols(one: list[float], two: list[float]) -> dict[str, list]:
    """A frame's columns: rows of A at these seconds, then rows of B."""
    times = [*one, *two]
    return {
        "timestamp": [1_700_000_000_000 + round(1000 * second) for second in times],
        "price": [100 + number for number in range(len(times))],
        "size": [1 + number for number in range(len(times))],
        "symbol": ["A"] * len(one) + ["B"] * len(two),
    }


def written(columns: dict[str, list], path: Path) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def rows_of(columns: dict[str, list], symbol: str) -> dict[str, list]:
    kept = [number for number, name in enumerate(columns["symbol"]) if name == symbol]
    return {name: [values[number] for number in kept] for name, values in columns.items()}


@pytest.mark.parametrize("two", [[0, 5, 9, 12], [0, 9, 5, 12], [8.5]])
def test_symbols_one_after_the_other_in_a_file_are_merged_as_files_of_their_own(tmp_path, two):
    columns = two_symbols([0, 4, 5, 10], two)
    file = read_ticks(written(columns, tmp_path / "both.csv"))
    own = [written(rows_of(columns, symbol), tmp_path / f"{symbol}.csv") for symbol in "AB"]
    apart = read_many(own, read_ticks)
    assert records(file) == records(apart)
    assert file.block.size_lots.tolist() == apart.block.size_lots.tolist()
    assert file.late == apart.late == (two == [0, 9, 5, 12])
    assert file.detected["order"] == "by time (the rows of the source were in order by symbol only)"
    third = made("C", [(1, 7)])
    assert "order" in merge([file, third]).detected


def test_symbols_are_merged_wherever_ticks_come_from(tmp_path):
    columns = {name: np.array(values) for name, values in two_symbols([0, 4, 5, 10], [0, 5, 9, 12]).items()}
    file = read_ticks(written(columns, tmp_path / "both.csv"))
    integers = (columns["timestamp"] * 10**6, columns["price"], columns["size"])
    numbers = (columns["symbol"] == "B").astype(np.uint16)
    block = TickBlock(*integers, instrument=numbers)
    frames = [columns, pl.DataFrame(columns), pl.DataFrame(columns).with_columns(pl.col("price").cast(pl.String))]
    pl.DataFrame(columns).write_parquet(tmp_path / "both.parquet")
    for other in (
        *(from_frame(frame) for frame in frames),
        read_ticks(tmp_path / "both.parquet"),
        from_arrays(*integers, instrument=numbers, symbol=["A", "B"]),
        load_ticks(block, symbol="AB"),
    ):
        assert other.block.ts_ns.tolist() == file.block.ts_ns.tolist()
        assert other.block.size_lots.tolist() == file.block.size_lots.tolist()
        assert other.block.instrument.tolist() == file.block.instrument.tolist()
        assert "order" in other.detected


@pytest.mark.parametrize("times", [[0, 1, 2, 3], [0, 3, 2.5, 4], [0, 3, 3, 3]])
def test_a_file_in_the_order_of_time_or_of_arrival_stays_as_it_is(tmp_path, times):
    columns = two_symbols(times, []) | {"symbol": ["A", "B"] * 2}
    numbers, sizes = np.array([0, 1, 0, 1], np.uint16), np.array([1, 2, 3, 4])
    block = TickBlock(np.array(columns["timestamp"]) * 10**6, sizes, sizes, instrument=numbers)
    taken = load_ticks(block)
    assert taken.block.ts_ns is block.ts_ns
    file = read_ticks(written(columns, tmp_path / "both.csv"))
    assert file.block.size_lots.tolist() == [1, 2, 3, 4]
    assert file.late == taken.late == (times == [0, 3, 2.5, 4])
    assert "order" not in file.detected | taken.detected


def test_symbols_one_after_the_other_trade_as_the_whole():
    whole = generate(40_000, symbols=["ONE", "TWO"])._asdict()
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "instrument")
    columns = {name: np.ascontiguousarray(whole[name]) for name in names}
    by_symbol = np.argsort(columns["instrument"], kind="stable")
    grouped = {name: values[by_symbol] for name, values in columns.items()}
    found, expected = (engine.backtest(one, "momentum_burst") for one in (grouped, columns))
    assert len({trade.symbol for trade in expected.trades}) == 2
    assert found.decision_hash == expected.decision_hash
    # A caller puts columns of features beside those that it gave.
    wanted = {"move": change(seconds(5))}
    moves, given = engine.features(columns, wanted)["move"], engine.features(grouped, wanted)["move"]
    assert np.array_equal(given, moves[by_symbol], equal_nan=True)


def test_halves_trade_as_the_whole(folder):
    whole = engine.backtest(generate(40_000)._asdict(), "momentum_burst", symbol="AAPL")
    halves = read_many(files_of([folder]), lambda path: read_ticks(path, symbol="AAPL"))
    found = engine.backtest(halves, "momentum_burst")
    assert len(whole.trades) > 5
    assert found.decision_hash == whole.decision_hash
    alone = read_many([folder / "b.csv"], lambda path: read_ticks(path, symbol="AAPL"))
    assert alone.sha256 != halves.sha256
    assert alone.block.instrument is None
