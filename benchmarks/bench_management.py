"""What managing trades costs: the momentum burst alone, with its trades managed, and with limits on top.

*Managed* adds a resting target for a part of the position and a trailing stop to the burst's own exits; *limited* adds
ten risk limits, none of which refuses anything, so that both trade the same. The three run in turn over the same
ticks, which are busy: some 500 trades in a million. What is compared is the least processor time of each.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import engine
from benchmarks import scale
from engine.backtesting import load_ticks
from engine.results import BacktestResult
from engine.rules import Flat, Stop, Target, TimeStop, Trailing, pct
from engine.store.ticks import TickFile
from engine.strategies.momentum_burst import MomentumBurst
from mock_server.market import generate

TICKS = scale.scaled(1_000_000)
COLUMNS = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")

LIMITS = {
    "max_drawdown": "90%",
    "max_trades_per_day": 1_000_000,
    "max_losses_in_row": 1_000_000,
    "max_position_units": 10,
    "max_position_value": 1_000_000,
    "max_leverage": 1_000,
    "max_order_value": 1_000_000,
    "max_open_orders": 50,
    "max_orders_per_second": 1_000,
    "price_collar": "10%",
}
"""Ten limits over those of the strategy's own profile."""


class Managed(MomentumBurst):
    """The burst, closed in two parts, one of them by an order that waits, under a stop that follows."""

    exits = (
        Target(pct("0.075"), share=pct(40), resting=True),
        Target(MomentumBurst.profit_target, share=pct(60)),
        Stop(MomentumBurst.stop_loss),
        Trailing(pct("0.06"), after=pct("0.06")),
        TimeStop(MomentumBurst.time_stop),
        Flat(MomentumBurst.flat_candles),
    )


RUNS: dict[str, tuple[type[MomentumBurst], dict[str, object]]] = {
    "bare": (MomentumBurst, {}),
    "managed": (Managed, {}),
    "limited": (Managed, LIMITS),
}


@pytest.fixture(scope="module")
def ticks() -> TickFile:
    made = generate(TICKS)
    return load_ticks({name: np.ascontiguousarray(getattr(made, name)) for name in COLUMNS})


def bench_management(benchmark: BenchmarkFixture, ticks: TickFile) -> None:
    """Nanoseconds per tick of each run, and how many times that of the bare one the others take."""
    results: dict[str, BacktestResult] = {}
    least: dict[str, int] = {}

    def all_three() -> None:
        for name, (strategy, limits) in RUNS.items():
            begun = time.process_time_ns()
            results[name] = engine.backtest(ticks, strategy, fills="touch", position_size=10, limits=limits)
            taken = time.process_time_ns() - begun
            least[name] = min(taken, least.get(name, taken))

    benchmark.pedantic(all_three, rounds=scale.rounds(15), warmup_rounds=1)
    noted: dict[str, Any] = {f"{name}_ns_per_tick": round(taken / TICKS, 1) for name, taken in least.items()}
    noted |= {f"{name}_times_bare": round(least[name] / least["bare"], 2) for name in ("managed", "limited")}
    noted |= {f"{name}_trades": len(result.trades) for name, result in results.items()}
    benchmark.extra_info.update(noted)
    assert results["bare"].trades
    assert any(len(trade.legs) > 1 for trade in results["managed"].trades)
    assert results["limited"].decision_hash == results["managed"].decision_hash, "no limit was meant to be reached"
