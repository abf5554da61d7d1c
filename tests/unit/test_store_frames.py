"""Ticks from arrays, frames and Parquet: exact, checked, and not copied where that can be."""

from __future__ import annotations

import datetime as dt
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError, MissingExtraError, NotFoundError
from engine.model import Instrument
from engine.store.ticks import from_arrays, from_frame, read_ticks

pl = pytest.importorskip("polars", reason="needs the 'data' extra")
pd = pytest.importorskip("pandas", reason="needs pandas")

NOON = 1_700_000_000_000_000_000
TS = np.array([NOON, NOON + 5, NOON + 7], np.int64)
PRICE = np.array([10050, 10051, 10049], np.int64)
SIZE = np.array([1, 2, 3], np.int64)


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_integer_arrays_are_taken_as_they_are() -> None:
    file = from_arrays(TS, PRICE, SIZE, symbol="SPY")
    assert file.block.ts_ns is TS
    assert file.block.price_ticks is PRICE
    assert file.block.size_lots is SIZE
    assert file.instruments == [Instrument("SPY", 2, 0)]
    assert (file.rows, file.late, file.skipped) == (3, 0, {})


def test_two_million_integer_ticks_cost_no_memory() -> None:
    count = 2_000_000
    ts, price, size = (np.ones(count, np.int64) for _ in range(3))
    tracemalloc.start()
    file = from_arrays(ts, price, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert file.rows == count
    assert peak < 1_000_000


def test_read_only_arrays_serve_too() -> None:
    frozen = [column.copy() for column in (TS, PRICE, SIZE)]
    for column in frozen:
        column.setflags(write=False)
    assert from_arrays(*frozen).block.price_ticks is frozen[1]


def test_the_hash_of_arrays_names_their_content() -> None:
    first = from_arrays(TS, PRICE, SIZE).sha256
    assert from_arrays(TS.copy(), PRICE.astype(np.int32), SIZE).sha256 == first
    assert from_arrays(TS, PRICE + 1, SIZE).sha256 != first
    assert from_arrays(TS, PRICE, SIZE, price_precision=3).sha256 != first
    assert from_arrays(TS, SIZE, PRICE).sha256 != first


@given(st.lists(st.integers(1, 2**40 - 1), min_size=1, max_size=50), st.integers(0, 12))
def test_floats_are_the_decimals_they_were_written_as(steps: list[int], precision: int) -> None:
    floats = np.array([float(Decimal(value).scaleb(-precision)) for value in steps])
    times = np.arange(len(steps), dtype=np.int64)
    given_precision = from_arrays(times, floats, np.ones(len(steps), np.int64), price_precision=precision)
    assert given_precision.block.price_ticks.tolist() == steps
    detected = from_arrays(times, floats, np.ones(len(steps), np.int64))
    (item,) = detected.instruments
    needed = max(max(0, -Decimal(repr(value)).normalize().as_tuple().exponent) for value in floats.tolist())  # type: ignore[operator]
    assert item.price_precision == needed
    assert [item.price(value) for value in detected.block.price_ticks.tolist()] == [
        Decimal(value).scaleb(-precision) for value in steps
    ]


def test_narrow_floats_go_by_their_own_shortest_decimal() -> None:
    file = from_arrays(TS, np.array([0.1, 100.37, 7], np.float32), SIZE)
    assert file.block.price_ticks.tolist() == [10, 10037, 700]


@pytest.mark.parametrize(
    ("price", "reason"),
    [(0.1 + 0.2, "price_off_grid"), (float("nan"), "price_not_finite"), (float("inf"), "price_not_finite"),
     (0.0, "price_zero"), (-1.5, "price_negative"), (1e15, "price_out_of_bounds")],
)  # fmt: skip
def test_floats_that_are_no_price_are_named_by_row(price: float, reason: str) -> None:
    prices = np.array([1.5, price, 2.5])
    with pytest.raises(DataError, match=rf"arrays: row 1: .*\[{reason}\]"):
        from_arrays(TS, prices, SIZE)
    file = from_arrays(TS, prices, SIZE, on_bad_row="skip")
    assert (file.block.price_ticks.tolist(), file.block.size_lots.tolist()) == ([15, 25], [1, 3])
    assert file.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"price": np.array([1, 0, 1])}, "price_zero"),
        ({"price": np.array([1, 1 << 40, 1])}, "price_out_of_bounds"),
        ({"size": np.array([1, -1, 1])}, "size_negative"),
        ({"ts_ns": np.array([1, -1, 1])}, "timestamp_negative"),
        ({"ts_ns": np.array(["2023-01-01", "NaT", "2023-01-01"], "datetime64[us]")}, "timestamp_empty"),
        ({"bid": np.array([1, 5, 1]), "ask": np.array([2, 4, 2])}, "crossed_quote"),
        ({"kind": np.array([0, 1, 0]), "bid": np.array([0, 0, 0]), "ask": np.array([0, 0, 0])}, "no_price"),
        ({"kind": np.array([0, 1, 0]), "bid": SIZE, "ask": SIZE}, "quote_with_price"),
    ],
)
def test_integer_rows_are_checked_by_the_same_rule(columns: dict[str, np.ndarray], reason: str) -> None:
    arrays = {"ts_ns": TS, "price": PRICE, "size": SIZE} | columns
    with pytest.raises(DataError, match=rf"row 1: .*\[{reason}\]"):
        from_arrays(**arrays)
    file = from_arrays(**arrays, on_bad_row="skip")
    assert (file.rows, file.skipped) == (2, {reason: 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"price": PRICE[:2]}, r"the price column has shape \(2,\), expected \(3,\)"),
        ({"size": np.ones((3, 1))}, "the size column has shape"),
        ({"bid": PRICE}, "bid and ask come in pairs"),
        ({"price": np.array(["a", "b", "c"])}, "the price column is of type <U1"),
        ({"ts_ns": np.array([1.0, 2.0, 3.0])}, "the timestamp column is of type float64"),
        ({"instrument": np.array([0, 1, 2]), "symbol": ["A", "B"]}, "one index below 2 per row"),
        ({"symbol": ["A", "B"]}, "several symbols need an instrument index"),
        ({"price_precision": 13}, "price precision 13 is not between 0 and 12"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_arrays(**({"ts_ns": TS, "price": PRICE, "size": SIZE} | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetime64_of_every_unit(unit: str) -> None:
    times = np.array(["2023-11-14T22:13:20"] * 3, f"datetime64[{unit}]")
    assert from_arrays(times, PRICE, SIZE).block.ts_ns.tolist() == [NOON] * 3


def test_instruments_and_late_rows() -> None:
    file = from_arrays(TS[::-1], PRICE, SIZE, instrument=np.array([1, 0, 1]), symbol=["A", "B"])
    assert file.late == 2
    assert file.block.ts_ns.flags.c_contiguous
    assert file.block.instrument is not None
    assert file.block.instrument.tolist() == [1, 0, 1]
    assert [item.symbol for item in file.instruments] == ["A", "B"]


# --- frames -----------------------------------------------------------------------------------------------------------

VALUES = {"timestamp": TS, "price": np.array([100.5, 100.51, 100.49]), "size": SIZE}


@pytest.mark.parametrize("kind", ["dict", "polars", "pandas"])
def test_frames_hold_values(kind: str) -> None:
    frame = {"dict": dict, "polars": pl.DataFrame, "pandas": pd.DataFrame}[kind](VALUES)
    file = from_frame(frame)
    assert np.array_equal(file.block.ts_ns, TS)
    assert file.block.price_ticks.tolist() == [10050, 10051, 10049]
    assert file.instruments == [Instrument("frame", 2, 0)]
    assert file.detected["timestamp"] == "nanoseconds since 1970 (by magnitude)"
    assert from_frame({"time": TS, "last": SIZE, "qty": SIZE}, price_precision=2).block.price_ticks.tolist() == [
        100, 200, 300]  # fmt: skip


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_datetime_columns_of_every_unit_and_zone(unit: str, zone: str | None) -> None:
    moment = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    naive = pl.Series([moment.replace(tzinfo=None)] * 3, dtype=pl.Datetime(unit))
    times = naive if zone is None else naive.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    frame = pl.DataFrame({"timestamp": times, "price": VALUES["price"], "size": SIZE})
    assert from_frame(frame).block.ts_ns.tolist() == [NOON] * 3
    assert from_frame(frame.to_pandas()).block.ts_ns.tolist() == [NOON] * 3


def test_float_times_beside_text_are_what_they_are() -> None:
    frame = {"timestamp": np.array([1.7e18, 1.700000001e18]), "price": np.array(["1", "2"]), "size": SIZE[:2]}
    assert from_frame(frame).block.ts_ns.tolist() == [NOON, NOON + 10**9]
    with pytest.raises(DataError, match=r"timestamp '1\.7E18' has lost its last digits"):
        from_frame(frame | {"timestamp": np.array(["1.7E18", "1.7E18"])})


def test_float_times_keep_their_microseconds() -> None:
    file = from_frame(
        {"timestamp": np.array([1582329602.111001, 1582329602.2, 1.582329603e9]), "price": SIZE, "size": SIZE}
    )
    assert file.block.ts_ns.tolist() == [1582329602111001000, 1582329602200000000, 1582329603000000000]


def test_several_symbols_have_precisions_of_their_own_and_can_be_chosen() -> None:
    frame = pl.DataFrame(
        {"timestamp": TS, "price": [60000.5, 0.00001234, 60001.25], "size": SIZE, "symbol": ["B", "A", "B"]}
    )
    file = from_frame(frame)
    assert file.instruments == [Instrument("B", 2, 0), Instrument("A", 8, 0)]
    assert file.block.price_ticks.tolist() == [6000050, 1234, 6000125]
    assert file.block.instrument is not None
    assert file.block.instrument.tolist() == [0, 1, 0]
    only = from_frame(frame, symbol="A")
    assert (only.block.price_ticks.tolist(), only.instruments) == ([1234], [Instrument("A", 8, 0)])
    with pytest.raises(NotFoundError, match="no row of symbol 'C'"):
        from_frame(frame, symbol="C")


def test_bad_rows_of_other_symbols_do_not_matter() -> None:
    frame = pl.DataFrame({"timestamp": TS, "price": [1.5, float("nan"), 0.0], "size": SIZE, "symbol": ["A", "B", "B"]})
    assert from_frame(frame, symbol="A").rows == 1


@pytest.mark.parametrize(
    "to_frame", [pl.DataFrame, lambda data: pl.DataFrame(data).to_pandas()], ids=["polars", "pandas"]
)
def test_missing_values_are_unknown_quotes_quote_rows_or_bad_rows(to_frame) -> None:
    data = {
        "timestamp": TS,
        "price": [None, 100.5, None],
        "size": [None, 2, 3],
        "bid": [100.25, None, 1],
        "ask": [101.0, None, 2],
    }
    with pytest.raises(DataError, match=r"frame: row 2: price is empty \[price_empty\]"):
        from_frame(to_frame(data))
    nothing = {"timestamp": TS, "price": PRICE, "size": pl.Series([None] * 3)}
    with pytest.raises(DataError, match=r"frame: row 0: size is empty \[size_empty\]"):
        from_frame(to_frame(nothing))
    block = from_frame(to_frame(data), on_bad_row="skip").block
    assert block.kind is not None
    assert block.bid_ticks is not None
    assert (block.kind.tolist(), block.price_ticks.tolist(), block.bid_ticks.tolist()) == (
        [1, 0],
        [0, 10050],
        [10025, 0],
    )


def test_text_and_decimal_columns_are_read_as_text() -> None:
    frame = pl.DataFrame(
        {"timestamp": ["2023-11-14T22:13:20Z"] * 2, "price": [Decimal("1.50"), Decimal("2.25")], "size": ["3", "4"]}
    )
    for given_frame in (frame, frame.to_pandas(), {name: frame[name].to_list() for name in frame.columns}):
        file = from_frame(given_frame)
        assert (file.block.ts_ns.tolist(), file.block.price_ticks.tolist()) == ([NOON] * 2, [150, 225])
        assert file.block.size_lots.tolist() == [3, 4]
    bad = frame.with_columns(size=pl.Series(["3", "four"]))
    for given_frame in (bad, bad.to_pandas(), {name: bad[name].to_list() for name in bad.columns}):
        with pytest.raises(DataError, match=r"frame: row 1: size 'four' is not a number \[size_not_number\]"):
            from_frame(given_frame)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ([1, 2, 3], "frame: cannot take ticks from a list"),
        ({"timestamp": TS, "price": PRICE}, "frame: no column for the size"),
        ({"timestamp": TS, "price": PRICE, "size": SIZE[:2]}, "the size column has shape"),
        ({"timestamp": np.array([1, 2, 3]), "price": PRICE, "size": SIZE}, "has not the size of a time since 1970"),
        ({"timestamp": TS[:0], "price": PRICE[:0], "size": SIZE[:0]}, "there are no rows"),
        ({"timestamp": TS, "price": np.array([0, 0, 0]), "size": SIZE}, r"\[price_zero\]"),
    ],
)
def test_frames_that_are_no_ticks(frame: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_frame(frame)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_is_read_as_a_frame_and_hashed_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "SPY.parquet"
    pl.DataFrame(VALUES).write_parquet(path)
    file = read_ticks(path)
    assert file.block.price_ticks.tolist() == [10050, 10051, 10049]
    assert file.instruments == [Instrument("SPY", 2, 0)]
    assert file.detected["format"] == "Parquet"
    assert len(file.sha256) == 64
    assert file.sha256 != from_frame(VALUES).sha256


def test_parquet_off_the_grid_empty_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame(VALUES | {"price": [100.5, 0.1 + 0.2, 1.0]}).write_parquet(path)
    with pytest.raises(DataError, match=rf"{path}: row 1: price '0.30000000000000004' has too many decimals"):
        read_ticks(path)
    with pytest.raises(DataError, match=r"row 1: .*\[price_off_grid\]"):
        read_ticks(path, price_precision=1)
    pl.DataFrame(VALUES).head(0).write_parquet(path)
    with pytest.raises(DataError, match="there are no rows"):
        read_ticks(path)
    path.write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(DataError, match="not a readable Parquet file") as caught:
        read_ticks(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("price", [[100.5], [100.25]], "the column 'price' is of type List(Float64), expected integers or floats"),
        ("price", [b"100.5", b"100.25"], "the column 'price' is of type Binary, expected integers or floats"),
        ("size", [{"lots": 1}, {"lots": 2}], "the column 'size' is of type Struct"),
        ("time", [dt.timedelta(1), dt.timedelta(2)], "'time' is of type Duration(time_unit='us'), expected datetimes,"),
        ("symbol", [b"A", b"B"], "the column 'symbol' is of type Binary, expected text"),
    ],
)
def test_parquet_columns_of_no_type_that_ticks_have_are_named(tmp_path: Path, name: str, values: list, words: str):
    path = tmp_path / "spy.parquet"
    sound = {"time": [NOON, NOON + 5], "price": [100.5, 100.25], "size": [1, 2], "note": [["not read"], []]}
    pl.DataFrame(sound | {name: values}).write_parquet(path)
    with pytest.raises(DataError) as error:
        read_ticks(path)
    assert words in error.value.what
    assert error.value.where == str(path)


def test_parquet_without_polars_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[data\]'"):
        read_ticks(path)
