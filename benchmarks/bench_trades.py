"""What a trade costs: from a signal through gate, order and fill into a position, out of it, and into the books.

The stream trades all the time: its price goes up and down so that every signal is followed by its target or its stop
a few ticks later, and what the core does for those ticks is nothing beside the round trip in Python. ``plain`` is the
strategy's own profile with fills at the last trade; the others add what an account adds.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import engine
from benchmarks import scale
from benchmarks.bench_management import LIMITS
from engine.backtesting import load_ticks
from engine.results import BacktestResult
from engine.rules import Stop, Target, TimeStop, pct, price, seconds
from engine.store.ticks import TickFile
from engine.strategy import Strategy

TRADES = scale.scaled(2_000)
WAVE = (10_000, 10_010, 10_020, 10_030, 10_040, 10_030, 10_020, 10_010)
"""Prices in ticks, over and over: a round trip up and one down."""

SETTINGS: dict[str, dict[str, object]] = {
    "plain": {"fills": "last"},
    "touch": {"fills": "touch"},
    "costs": {"fills": "touch", "slippage_bps": "0.5", "fee": "0.005/share"},
    "limits": {"fills": "touch", "limits": LIMITS},
    "latency": {"fills": "touch", "latency_order": "1us"},
}


class Wave(Strategy):
    """In with every turn, out a few ticks later."""

    long = price < 100.05
    short = price > 100.35
    exits = (Target(pct("0.15")), Stop(pct("1")), TimeStop(seconds(60)))


@pytest.fixture(scope="module")
def ticks() -> TickFile:
    prices = np.tile(np.array(WAVE, np.int64), TRADES // 2)
    ts_ns = np.arange(len(prices), dtype=np.int64) * 5_000_000 + 1_700_000_000_000_000_000
    columns = {"ts_ns": ts_ns, "price_ticks": prices, "size_lots": np.full(len(prices), 100, np.int64)}
    return load_ticks(columns | {"bid_ticks": prices - 1, "ask_ticks": prices + 1})


@pytest.mark.parametrize("name", SETTINGS)
def bench_round_trip(benchmark: BenchmarkFixture, ticks: TickFile, name: str) -> None:
    """Microseconds of processor time for a round trip in Python, everything that one takes included."""
    results: list[BacktestResult] = []
    taken: list[int] = []

    def run() -> None:
        begun = time.process_time_ns()
        results[:] = [engine.backtest(ticks, Wave, starting_cash=10_000_000, position_size=10, **SETTINGS[name])]
        taken.append(time.process_time_ns() - begun)

    benchmark.pedantic(run, rounds=scale.rounds(40), warmup_rounds=1)
    trades = len(results[0].trades)
    benchmark.extra_info.update({"us_per_round_trip": round(min(taken) / trades / 1e3, 1), "trades": trades})
    assert trades > 0.9 * TRADES
