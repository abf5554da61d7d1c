"""Several recordings as one: the same records in the order of time, whatever the precisions and columns of each."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.errors import DataError
from engine.model import Instrument, TickBlock
from engine.store.ticks import TickFile, read_ticks, write_ticks
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
    return tmp_path


def test_a_folder_is_its_recordings_by_name(folder):
    assert [path.name for path in files_of([folder])] == ["a.csv.gz", "b.csv"]
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: there is no"):
        files_of([folder / "empty"])


def test_halves_trade_as_the_whole(folder):
    whole = engine.backtest(generate(40_000)._asdict(), "momentum_burst", symbol="AAPL")
    halves = read_many(files_of([folder]), lambda path: read_ticks(path, symbol="AAPL"))
    found = engine.backtest(halves, "momentum_burst")
    assert len(whole.trades) > 5
    assert found.decision_hash == whole.decision_hash
    alone = read_many([folder / "b.csv"], lambda path: read_ticks(path, symbol="AAPL"))
    assert alone.sha256 != halves.sha256
    assert alone.block.instrument is None
