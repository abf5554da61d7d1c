"""The core in nanoseconds per tick: each feature alone, the whole rule, one tick at a time, a callback per tick.

Everything runs over the generated ticks of ``benchmarks/rivals``. *Reading* is the core with nothing to compute: what a
feature costs is its line less that one (a feature over a window includes keeping the window's tail). The rule is
measured with a threshold that no move reaches, so that the figure is the core's own and holds no trade.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import engine
from benchmarks.rivals.common import Ticks, generated_ticks
from benchmarks.rivals.features_ours import watching
from benchmarks.scale import scaled
from engine._core import NONE, Core
from engine._program import Program
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.backtesting import make_strategy
from engine.brokers.paper import PaperBroker
from engine.journal.writer import MemoryJournal
from engine.model import TickBlock
from engine.rules import change, seconds
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy
from engine.trading.kernel import Kernel
from engine.trading.lanes import Assignment

TICKS = scaled(2_000_000)
PUSHED = scaled(300_000)
SECOND_NS = 1_000_000_000
QUIET = {"entry_threshold": "90%"}

FEATURES: dict[str, Callable[[Program], Any]] = {
    "reading": lambda program: None,
    "window 15 s": lambda program: program.window_time(15 * SECOND_NS),
    "window 1000 trades": lambda program: program.window_count(1000),
    "oldest price, 15 s": lambda program: program.first_price(program.window_time(15 * SECOND_NS)),
    "volume, 15 s": lambda program: program.sum_size(program.window_time(15 * SECOND_NS)),
    "volume, 1000 trades": lambda program: program.sum_size(program.window_count(1000)),
    "sum of price, 15 s": lambda program: program.sum_price(program.window_time(15 * SECOND_NS)),
    "sum of price squared, 15 s": lambda program: program.sum_price_squared(program.window_time(15 * SECOND_NS)),
    "sum of price x size, 15 s": lambda program: program.sum_price_size(program.window_time(15 * SECOND_NS)),
    "highest and lowest, 15 s": lambda program: program.extremes(program.window_time(15 * SECOND_NS)),
    "session sums": lambda program: program.session(),
}


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    return generated_ticks(TICKS)


def note(benchmark: BenchmarkFixture, count: int) -> None:
    benchmark.extra_info["ns_per_tick"] = round(benchmark.stats.stats.min / count * 1e9, 2)


def load(core: Core, ticks: Ticks) -> None:
    core.load(ticks.ts_ns, ticks.price_ticks, ticks.size_lots)


@pytest.mark.parametrize("name", FEATURES)
def bench_feature(benchmark: BenchmarkFixture, ticks: Ticks, name: str) -> None:
    def fresh() -> tuple[tuple[Core], dict[str, Any]]:
        program = Program()
        FEATURES[name](program)
        core = Core([program])
        load(core, ticks)
        return (core,), {}

    event = benchmark.pedantic(lambda core: core.advance(), setup=fresh, rounds=7, warmup_rounds=1)
    note(benchmark, TICKS)
    assert event == NONE


def columns(ticks: Ticks) -> dict[str, Any]:
    return {"ts_ns": ticks.ts_ns, "price_ticks": ticks.price_ticks, "size_lots": ticks.size_lots}


def backtest(ticks: Ticks, **parameters: str) -> Any:
    return engine.backtest(columns(ticks), "momentum_burst", fills="last", price_precision=2, **parameters)


def bench_whole_rule(benchmark: BenchmarkFixture, ticks: Ticks) -> None:
    """Momentum burst through the kernel, with a threshold that is never reached."""
    result = benchmark.pedantic(backtest, (ticks,), QUIET, rounds=7, warmup_rounds=1)
    note(benchmark, TICKS)
    assert result.metrics["ticks"] == TICKS
    assert not result.trades


def quiet_kernel(ticks: Ticks, parameters: list[dict[str, str]]) -> Kernel:
    """Return a kernel with one momentum burst for each set of parameters, none of which will fire."""
    return kernel_of(ticks, [make_strategy("momentum_burst", QUIET | more) for more in parameters])


def kernel_of(ticks: Ticks, strategies: list[Strategy]) -> Kernel:
    """Return a kernel in which all of them trade the one instrument."""
    sample = backtest(ticks.head(1), **QUIET)
    instruments, settings = sample.file.instruments, sample.settings
    portfolio = Portfolio(instruments, settings.starting_cash)
    return Kernel(
        instruments,
        [Assignment(strategy, range(1), Fraction(1)) for strategy in strategies],
        calendar=calendar("always"),
        portfolio=portfolio,
        risk=RiskGate(settings.limits, portfolio),
        broker=PaperBroker(settings.venue, portfolio),
        journal=MemoryJournal(),
    )


STRATEGIES: dict[str, list[dict[str, str]]] = {
    "1 strategy": [{}],
    "5 strategies, equal features": [{"cooldown_signals": str(number)} for number in range(5)],
    "5 strategies, other windows": [{"window": f"{number}s"} for number in (15, 16, 17, 18, 19)],
}


@pytest.mark.parametrize("name", STRATEGIES)
def bench_strategies_that_do_not_fire(benchmark: BenchmarkFixture, ticks: Ticks, name: str) -> None:
    block = engine.TickBlock(**columns(ticks))

    def fresh() -> tuple[tuple[Kernel], dict[str, Any]]:
        return (quiet_kernel(ticks, STRATEGIES[name]),), {}

    benchmark.pedantic(lambda kernel: kernel.process(block), setup=fresh, rounds=5, warmup_rounds=1)
    note(benchmark, TICKS)


@pytest.mark.parametrize("by", ["core", "kernel"])
def bench_push_one_tick(benchmark: BenchmarkFixture, ticks: Ticks, by: str) -> None:
    """One Python call per tick, the whole rule behind it; the price of the empty loop is taken off."""
    head = ticks.head(PUSHED)
    rows = list(zip(head.ts_ns.tolist(), head.price_ticks.tolist(), head.size_lots.tolist(), strict=True))
    spent = []

    def fresh() -> tuple[tuple[Any], dict[str, Any]]:
        kernel = quiet_kernel(ticks, [{}])
        return (kernel.push if by == "kernel" else kernel.core.push,), {}

    def push_all(push: Callable[..., Any]) -> None:
        begun = time.perf_counter()
        for ts_ns, price, size in rows:
            push(0, ts_ns, price, size)
        pushed = time.perf_counter()
        for _ts_ns, _price, _size in rows:
            pass
        spent.append(pushed - begun - (time.perf_counter() - pushed))

    benchmark.pedantic(push_all, setup=fresh, rounds=7, warmup_rounds=1)
    benchmark.extra_info["ns_per_tick"] = round(min(spent) / PUSHED * 1e9, 1)


def bench_callback_that_does_nothing(benchmark: BenchmarkFixture, ticks: Ticks) -> None:
    """A Python function called on every trade; the core computes nothing else."""
    calls = 0

    def nothing(_instrument: int, _ts_ns: int, _price: int, _size: int) -> None:
        return None

    def counting(_instrument: int, _ts_ns: int, _price: int, _size: int) -> None:
        nonlocal calls
        calls += 1

    def fresh(callback: Callable[..., None] = nothing) -> tuple[tuple[Core], dict[str, Any]]:
        core = Core([Program()])
        core.set_callback(callback)
        load(core, ticks)
        return (core,), {}

    benchmark.pedantic(lambda core: core.advance(), setup=fresh, rounds=5, warmup_rounds=1)
    note(benchmark, TICKS)
    fresh(counting)[0][0].advance()
    assert calls == TICKS


def test_a_message_of_three_records(benchmark: BenchmarkFixture) -> None:
    """What a kernel costs that is given few records at a time, as a feed does: nine columns to be found, a graph."""
    kernel = watching([change(seconds(15))])
    three, start_ns = np.arange(3), 1_700_000_000 * SECOND_NS
    quotes = {"bid_ticks": three + 99, "ask_ticks": three + 101}
    numbers = {"instrument": np.zeros(3, np.uint16), "kind": np.zeros(3, np.uint8)}
    block = TickBlock(three + start_ns, three + 100, three + 1, **quotes, **numbers)

    benchmark.pedantic(kernel.process, (block,), rounds=2_000, iterations=10, warmup_rounds=10)
    assert kernel.core.trades_seen >= 3 * 20_100
    assert not kernel.core.rejected
