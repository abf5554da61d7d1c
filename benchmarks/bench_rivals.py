"""The same rule by others (``benchmarks/rivals``), collected with the other benchmarks.

The time pytest-benchmark shows is that of the whole competition; the table printed here has the figures, and the JSON
has them under ``extra_info``. The trades of every rival must equal ours, one by one.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.rivals.__main__ import compete, report, table

TICKS = 2_000_000


@pytest.mark.timeout(1800)
def bench_rivals(benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes, found = benchmark.pedantic(compete, (TICKS, 3, 1), rounds=1)
    benchmark.extra_info.update(report(outcomes, TICKS, found))
    with capsys.disabled():
        print(f"\n{table(outcomes, TICKS)}")
    for outcome in outcomes:
        assert outcome.skipped or (outcome.trades == outcome.equal_trades > 0), outcome.difference
