"""Whole backtests of momentum burst over two million generated ticks: in memory, from a CSV file, and their memory.

Everything a user gets is in the time: features, conditions, orders, risk, exact accounting, the list of trades. The
ticks are those of ``benchmarks/rivals``. Each benchmark checks that its trades are those of the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import engine
from benchmarks.rivals.common import Ticks, generated_ticks

TICKS = 2_000_000

MEMORY_CHILD = """
import json, sys
from pathlib import Path
import numpy as np
import engine

def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

columns = {path.stem: np.load(path) for path in sorted(Path(sys.argv[1]).glob("*.npy"))}
before = peak_bytes()
result = engine.backtest(columns, "momentum_burst", price_precision=2, fills=sys.argv[2], calendar="always")
held = sum(column.nbytes for column in columns.values())
print(json.dumps({"columns": held, "before": before, "peak": peak_bytes(), "trades": len(result.trades)}))
"""


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    return generated_ticks(TICKS)


def columns(ticks: Ticks, fills: str) -> dict[str, np.ndarray]:
    names = ["ts_ns", "price_ticks", "size_lots", *(["bid_ticks", "ask_ticks"] if fills == "touch" else [])]
    return {name: getattr(ticks, name) for name in names}


def backtest(ticks: Any, fills: str, **more: Any) -> Any:
    return engine.backtest(ticks, "momentum_burst", fills=fills, calendar="always", **more)


def note_rate(benchmark: BenchmarkFixture, count: int) -> None:
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["ns_per_tick"] = round(seconds / count * 1e9, 1)
    benchmark.extra_info["ticks_per_second"] = round(count / seconds)


@pytest.mark.parametrize("fills", ["last", "touch"])
def bench_backtest_in_memory(benchmark: BenchmarkFixture, ticks: Ticks, fills: str) -> None:
    data = columns(ticks, fills)
    result = benchmark.pedantic(backtest, (data, fills), {"price_precision": 2}, rounds=7, warmup_rounds=1)
    note_rate(benchmark, TICKS)
    assert len(result.trades) > 900
    assert result.metrics["ticks"] == TICKS


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def bench_backtest_from_csv(benchmark: BenchmarkFixture, ticks: Ticks, tmp_path: Path, suffix: str) -> None:
    """From a CSV of timestamp, price and size (nanoseconds, two decimals) to the result."""
    from tests.shared_data import SharedTicks

    path = tmp_path / f"ticks{suffix}"
    SharedTicks("AAPL", 2, 0, ticks.ts_ns, ticks.price_ticks, ticks.size_lots).write_csv(path)
    result = benchmark.pedantic(backtest, (path, "last"), rounds=3, warmup_rounds=1)
    note_rate(benchmark, TICKS)
    benchmark.extra_info["file_mb"] = round(path.stat().st_size / 1e6, 1)
    expected = backtest(columns(ticks, "last"), "last", price_precision=2)
    assert [trade.net for trade in result.trades] == [trade.net for trade in expected.trades]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("fills", ["last", "touch"])
def bench_backtest_memory(benchmark: BenchmarkFixture, ticks: Ticks, tmp_path: Path, fills: str) -> None:
    """Peak resident memory of a process that does nothing else, beyond the columns it was given (see extra_info)."""
    for name, column in columns(ticks, fills).items():
        np.save(tmp_path / f"{name}.npy", column)
    command = [sys.executable, "-c", MEMORY_CHILD, str(tmp_path), fills]
    child = benchmark.pedantic(subprocess.run, (command,), {"capture_output": True, "text": True}, rounds=1)
    assert child.returncode == 0, child.stderr
    memory = json.loads(child.stdout)
    benchmark.extra_info["columns_mb"] = round(memory["columns"] / 1e6, 1)
    benchmark.extra_info["beyond_columns_mb"] = round((memory["peak"] - memory["columns"]) / 1e6, 1)
    benchmark.extra_info["grown_by_the_backtest_mb"] = round((memory["peak"] - memory["before"]) / 1e6, 1)
    assert memory["trades"] > 900
