"""Tick files: 2,000,000 rows of CSV to checked integer columns, beside what polars.read_csv takes for the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scale import scaled
from engine.model import Instrument, TickBlock
from engine.store.ticks import from_arrays, read_ticks, write_ticks

ROWS = scaled(2_000_000)


@pytest.fixture(scope="module")
def ticks() -> TickBlock:
    random = np.random.default_rng(1)
    ts_ns = 1_700_000_000_000_000_000 + np.cumsum(random.integers(0, 20_000_000, ROWS))
    price = np.abs(100_000 + np.cumsum(random.integers(-2, 3, ROWS))) + 1
    return TickBlock(ts_ns, price, random.integers(1, 5000, ROWS))


@pytest.fixture(scope="module", params=["iso", "integer"])
def csv_file(request: pytest.FixtureRequest, ticks: TickBlock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with ISO times to the nanosecond, or with integer microseconds."""
    path = tmp_path_factory.mktemp("store") / f"{request.param}.csv"
    if request.param == "iso":
        write_ticks(path, ticks, [Instrument("BENCH", 2, 0)])
    else:
        columns = (ticks.ts_ns // 1000, ticks.price_ticks, ticks.size_lots)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        lines = (f"{ts_us},{price / 100:.2f},{size}\n" for ts_us, price, size in rows)
        path.write_text("timestamp,price,size\n" + "".join(lines))
    return path


def state(benchmark: Any) -> None:
    benchmark.extra_info["rows"] = ROWS
    benchmark.extra_info["ns_per_row"] = round(benchmark.stats.stats.min / ROWS * 1e9, 1)


def test_read_ticks(benchmark: Any, csv_file: Path) -> None:
    file = benchmark.pedantic(read_ticks, (csv_file,), rounds=5)
    assert file.rows == ROWS
    state(benchmark)


def test_polars_read_csv(benchmark: Any, csv_file: Path) -> None:
    """The yardstick: times to the microsecond, prices as doubles, no row checked, all cores."""
    polars = pytest.importorskip("polars", reason="needs the 'data' extra")
    frame = benchmark.pedantic(polars.read_csv, (csv_file,), {"try_parse_dates": True}, rounds=5)
    assert frame.height == ROWS
    state(benchmark)


def test_write_ticks(benchmark: Any, ticks: TickBlock, tmp_path: Path) -> None:
    benchmark.pedantic(write_ticks, (tmp_path / "out.csv", ticks, [Instrument("BENCH", 2, 0)]), rounds=3)
    state(benchmark)


def test_from_int64_arrays(benchmark: Any, ticks: TickBlock) -> None:
    columns = (ticks.ts_ns, ticks.price_ticks, ticks.size_lots)
    file = benchmark.pedantic(from_arrays, columns, rounds=5)
    assert file.block.price_ticks is ticks.price_ticks
    state(benchmark)


def test_from_float_arrays(benchmark: Any, ticks: TickBlock) -> None:
    columns = (ticks.ts_ns, ticks.price_ticks / 100, ticks.size_lots)
    file = benchmark.pedantic(from_arrays, columns, rounds=5)
    assert np.array_equal(file.block.price_ticks, ticks.price_ticks)
    state(benchmark)
