"""What recording costs: an append in C and from Python, a block of ticks, a change of segments; beside rivals.

The clock in C is compiled here against the declarations that travel with the package; without a compiler those
benchmarks are skipped. The quiet machine that figures are quoted from is named in ``docs/reference/journal.md``.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from engine import _journal
from engine.journal.reader import JournalReader
from engine.journal.segments import HEADER_BYTES, SegmentWriter
from engine.model import TickBlock

ROUNDS = 20
RECORDS = 100_000
SEGMENT = 16 << 20
T0 = 1_700_000_000_000_000_000

BUILD = """
import numpy, pathlib, sys
from Cython.Build import cythonize
from setuptools import Extension, setup
import engine
root = pathlib.Path(engine.__file__).parents[1]
extension = Extension("journal_clock", ["journal_clock.pyx"], include_dirs=[numpy.get_include(), str(root / "engine")])
setup(name="journal_clock", ext_modules=cythonize([extension], include_path=[str(root)]))
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    place = tmp_path_factory.mktemp("clock")
    (place / "journal_clock.pyx").write_text(Path(__file__).with_name("journal_clock.pyx").read_text())
    (place / "setup.py").write_text(BUILD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    built = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    modules = [*place.glob("journal_clock*.so"), *place.glob("journal_clock*.pyd")]
    if not modules:
        pytest.skip(f"no compiler here: {built.stderr.strip().splitlines()[-1:]}")
    spec = importlib.util.spec_from_file_location("journal_clock", modules[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def segment(size: int = SEGMENT) -> tuple[bytearray, _journal.Writer]:
    """A segment as the helper hands it over: every page touched."""
    memory = bytearray(size)
    _journal.touch(memory)
    return memory, _journal.Writer(memory, HEADER_BYTES, 0, 0)


def bench_append_in_c(benchmark: BenchmarkFixture, clock: ModuleType) -> None:
    """A 64-byte record: its share of many, and one by one against the clock with what reading the clock costs."""
    per_record, took, empty = [], np.zeros(RECORDS, np.int64), np.zeros(RECORDS, np.int64)
    all_took = []

    def run() -> None:
        _, writer = segment()
        per_record.append(clock.many_ns(writer, RECORDS))
        _, writer = segment()
        assert clock.single_ns(writer, took) == RECORDS
        all_took.append(took.copy())

    benchmark.pedantic(run, rounds=ROUNDS)
    clock.clock_ns(empty)
    reading = float(np.median(empty))
    singles = np.concatenate(all_took)
    benchmark.extra_info.update(
        {
            "ns_per_record_median": round(float(np.median(per_record)), 1),
            "single_p50_ns": float(np.percentile(singles, 50) - reading),
            "single_p99.9_ns": float(np.percentile(singles, 99.9) - reading),
            "clock_reading_ns": reading,
        }
    )


def bench_append_tick_from_python(benchmark: BenchmarkFixture) -> None:
    memory = bytearray(SEGMENT)

    def run() -> None:
        append = _journal.Writer(memory, HEADER_BYTES, 0, 0).append_tick
        for number in range(RECORDS):
            append(0, T0 + number, 17_000, 5, 16_999, 17_001)

    benchmark.pedantic(run, rounds=5)
    benchmark.extra_info["ns_per_record"] = round(benchmark.stats.stats.median / RECORDS * 1e9, 1)


@pytest.mark.parametrize("rows", [1, 50])
def bench_append_block(benchmark: BenchmarkFixture, rows: int) -> None:
    """What one read of the socket costs the session, through Python, with the columns that a feed fills."""
    prices = np.arange(rows) % 7 + 17_000
    columns = [np.arange(T0, T0 + rows), prices, prices % 50, prices - 1, prices + 1, prices, prices]
    block = TickBlock(*columns, np.zeros(rows, np.uint16), np.zeros(rows, np.uint8))
    memory, blocks = bytearray(SEGMENT), 5_000
    sizes = []

    def run() -> None:
        writer = _journal.Writer(memory, HEADER_BYTES, 0, 0)
        for _ in range(blocks):
            writer.append_block(block, 0, rows)
        sizes.append(writer.at - HEADER_BYTES)

    benchmark.pedantic(run, rounds=5)
    benchmark.extra_info["ns_per_block"] = round(benchmark.stats.stats.median / blocks * 1e9)
    benchmark.extra_info["bytes_per_tick"] = round(sizes[0] / blocks / rows, 1)


def bench_change_of_segments(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The longest time that an append takes when it is the first in a new segment, with the next one ready."""
    stalls: list[int] = []
    directories = iter(range(10_000))

    def run() -> None:
        directory = tmp_path / str(next(directories))
        directory.mkdir()
        segments = SegmentWriter(directory, bytes(16), size=8 << 20)
        payload = bytes(1 << 18)
        for _ in range(3):
            segments._next.result()
            for size in (len(payload), 1 << 10):
                while segments.writer.left > size + _journal.HEADER_BYTES:
                    segments.append(70, 1, payload[:size])
            segments._helper.submit(int).result()  # what was retired before is on the disk
            began = time.perf_counter_ns()
            segments.append(70, 1, payload[: segments.writer.left])
            stalls.append(time.perf_counter_ns() - began)
        assert segments.waited == 0
        segments.close(3)

    benchmark.pedantic(run, rounds=5)
    benchmark.extra_info["stall_median_us"] = round(float(np.median(stalls)) / 1000, 1)
    benchmark.extra_info["stall_max_us"] = round(max(stalls) / 1000, 1)


def bench_read_back(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Every record checked and handed out, as verification and recovery do."""
    (tmp_path / "j").mkdir()
    segments = SegmentWriter(tmp_path / "j", bytes(16))
    segments.append(1, 1, b"{}")
    rows = 50
    prices = np.arange(rows) % 7 + 17_000
    block = TickBlock(np.arange(T0, T0 + rows), prices, prices, prices, prices)
    for _ in range(20_000):
        segments.append_block(block, 0, rows)
    segments.close(3)
    found = benchmark.pedantic(lambda: JournalReader(tmp_path / "j").check().records, rounds=3)
    assert found == 20_002
    benchmark.extra_info["ns_per_tick"] = round(benchmark.stats.stats.median / 20_000 / rows * 1e9, 2)


def bench_rival_write(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The same 64 bytes by ``write()``, unbuffered."""
    descriptor = os.open(tmp_path / "plain", os.O_WRONLY | os.O_CREAT)
    record, count = bytes(64), 10_000

    def run() -> None:
        for _ in range(count):
            os.write(descriptor, record)

    benchmark.pedantic(run, rounds=3)
    os.close(descriptor)
    benchmark.extra_info["ns_per_record"] = round(benchmark.stats.stats.median / count * 1e9)


def bench_rival_sqlite_wal(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The same 64 bytes as a committed row, WAL and ``synchronous=NORMAL``."""
    database = sqlite3.connect(tmp_path / "rows.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, record BLOB)")
    record, count = bytes(64), 2_000

    def run() -> None:
        for _ in range(count):
            database.execute("INSERT INTO rows (record) VALUES (?)", (record,))

    benchmark.pedantic(run, rounds=3)
    database.close()
    benchmark.extra_info["ns_per_record"] = round(benchmark.stats.stats.median / count * 1e9)
