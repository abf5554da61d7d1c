"""The feature graph in nanoseconds per tick: every feature of the catalogue, the prototype, a hundred strategies.

Everything runs over generated trades with bid and ask. *Alone* is what a feature adds to a core that only reads its
ticks, in blocks; a feature over a window includes keeping the window, one on bars the bars. *Beside* is what it adds to
the prototype's graph, where the 15-second window and some of its sums are there already. *Single* is what it adds when
the core evaluates every tick on its own. What the graphs cost to which the features are added stands in the last line.

*One tick at a time* means blocks of one within the core, from columns: no call of Python per tick. A tick that Python
pushes costs the call besides, which is measured on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import engine
from benchmarks.bench_core import kernel_of, note
from benchmarks.rivals import features_ours as ours
from benchmarks.rivals.common import Ticks, generated_ticks
from benchmarks.rivals.features_common import Contestant, columns_of, in_turn
from benchmarks.scale import rounds, scaled
from engine import indicators as i
from engine import rules as r
from engine import structure as s
from engine._core import Core
from engine.graph.compiler import Compiler
from engine.graph.readings import ConditionView
from engine.language.grammar import Condition, Joined
from engine.strategy import Strategy
from engine.trading.kernel import Kernel

TICKS = scaled(2_000_000)
SINGLES = scaled(300_000)
"""Ticks of the measurements one tick at a time."""
ROUNDS = rounds(5)
STRATEGIES = 100


class Prototype(Strategy):
    """The design's prototype: six features and nine comparisons, with a threshold for the move that none reaches.

    The features: change, price range, volume, VWAP and mean size over 15 s, and the volume of the last second. The
    comparisons: the move up and down, the range from below and above, the last second's volume against that of
    15 s and that against a number, the price above and below VWAP, the mean size against a number.
    """

    least_move = r.Param(r.pct(90), "least net move over 15 s", low=0)

    move = r.change(r.seconds(15))
    span = r.price_range(r.seconds(15))
    traded = r.volume(r.seconds(15))
    burst = r.volume(r.seconds(1))
    fair = r.vwap(r.seconds(15))
    typical = r.mean_size(r.seconds(15))

    moving = (span >= r.pct("0.1")) & (span <= r.pct(50))
    lively = (burst.rate() > 1.5 * traded.rate()) & (traded >= 100) & (typical >= 2)
    long = (move >= least_move) & (r.price > fair) & moving & lively
    short = (move <= -least_move) & (r.price < fair) & moving & lively


PROTOTYPE_FEATURES = [getattr(Prototype, name) for name in ("move", "span", "traded", "burst", "fair", "typical")]
CONDITIONS = 9

W = r.seconds(15)
T = r.ticks(1000)
BAR = r.bars(r.minutes(1))
RISING = r.rising(r.price)

CATALOGUE: dict[str, Callable[[], Any]] = {
    "change 15 s": lambda: r.change(W),
    "change 1000 trades": lambda: r.change(T),
    "log_return 15 s": lambda: r.log_return(W),
    "volume 15 s": lambda: r.volume(W),
    "volume 1000 trades": lambda: r.volume(T),
    "volume rate 15 s": lambda: r.volume(W).rate(),
    "volume_ratio 1 s, 15 s": lambda: r.volume_ratio(r.seconds(1), W),
    "mean_size 15 s": lambda: r.mean_size(W),
    "size_ratio 15 s": lambda: r.size_ratio(W),
    "trade_count 15 s": lambda: r.trade_count(W),
    "highest 15 s": lambda: r.highest(W),
    "highest 1000 trades": lambda: r.highest(T),
    "price_range 15 s": lambda: r.price_range(W),
    "time_since_high 15 s": lambda: r.time_since_high(W),
    "mean 15 s": lambda: r.mean(W),
    "variance 15 s": lambda: r.variance(W),
    "stdev 15 s": lambda: r.stdev(W),
    "stdev 1000 trades": lambda: r.stdev(T),
    "zscore 15 s": lambda: r.zscore(W),
    "realised_volatility 15 s": lambda: r.realised_volatility(W),
    "vwap 15 s": lambda: r.vwap(W),
    "vwap_sd 15 s": lambda: r.vwap_sd(W),
    "vwap of the session": lambda: r.vwap(r.session),
    "vwap_sd of the session": lambda: r.vwap_sd(r.session),
    "vwap of the week": lambda: r.vwap(r.week),
    "vwap since the high": lambda: r.vwap(r.since_high),
    "opening range 15 min": lambda: r.highest(r.opening(r.minutes(15))),
    "mid": lambda: r.mid,
    "spread": lambda: r.spread,
    "microprice": lambda: r.microprice,
    "quote_imbalance": lambda: r.quote_imbalance,
    "trade_side": lambda: r.trade_side,
    "tick_side": lambda: r.tick_side,
    "signed_volume 15 s": lambda: r.signed_volume(W),
    "flow_imbalance 15 s": lambda: r.flow_imbalance(W),
    "order_flow 15 s": lambda: r.order_flow(W),
    "flat_candles 1 s": lambda: r.flat_candles(r.seconds(1)),
    "since_open": lambda: r.since_open,
    "ema of price, 20": lambda: r.ema(r.price, 20),
    "ema of price, half-life 5 s": lambda: r.ema(r.price, half_life=r.seconds(5)),
    "sma of price, 20": lambda: r.sma(r.price, 20),
    "stdev of price, 20": lambda: r.stdev(r.price, 20),
    "slope of price, 20": lambda: r.slope(r.price, 20),
    "previous price": lambda: r.previous(r.price),
    "rising price": lambda: RISING,
    "run_length": lambda: r.run_length(RISING),
    "for_at_least 1 s": lambda: r.for_at_least(r.price > r.vwap(W), r.seconds(1)),
    "within 1 s": lambda: r.within(RISING, r.seconds(1)),
    "crosses_above vwap": lambda: r.crosses_above(r.price, r.vwap(W)),
    "bars 1 min, close": lambda: BAR.close,
    "bars 1 min, developing": lambda: BAR.developing.high,
    "bars 500 trades": lambda: r.bars(r.ticks(500)).close,
    "bars 10,000 units": lambda: r.bars(r.units(10_000)).close,
    "ema 20 of bars": lambda: r.ema(BAR.close, 20),
    "rsi 14 of bars": lambda: i.rsi(BAR.close, 14),
    "macd of bars": lambda: i.macd(BAR.close, 12, 26, 9).histogram,
    "atr 14": lambda: i.atr(BAR, 14),
    "bollinger 20 of bars": lambda: i.bollinger(BAR.close, 20, 2).upper,
    "keltner 20": lambda: i.keltner(BAR, 20, 2, atr_length=10).upper,
    "donchian 20": lambda: i.donchian(BAR, 20).upper,
    "stochastic 14, 3, 3": lambda: i.stochastic(BAR, 14, 3, 3).d,
    "adx 14": lambda: i.adx(BAR, 14).adx,
    "cci 20": lambda: i.cci(BAR, 20),
    "obv": lambda: i.obv(BAR),
    "mfi 14": lambda: i.mfi(BAR, 14),
    "bullish_engulfing": lambda: s.bullish_engulfing(BAR),
    "swings, high": lambda: s.swings(BAR).high,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one feature adds, in nanoseconds per tick."""

    feature: str
    alone: float
    beside: float
    single: float


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    return generated_ticks(TICKS)


def quoted(ticks: Ticks) -> engine.TickBlock:
    """Return the ticks with bid and ask, and with the trades' own sizes, shifted, as sizes quoted."""
    sizes = {"bid_lots": np.roll(ticks.size_lots, 1), "ask_lots": np.roll(ticks.size_lots, 2)}
    return engine.TickBlock(**columns_of(ticks), bid_ticks=ticks.bid_ticks, ask_ticks=ticks.ask_ticks, **sizes)


def cost_per_feature(ticks: Ticks) -> list[Cost]:
    """Measure the whole catalogue in turn; the first line is what everything is measured against."""
    block = quoted(ticks)
    head = block.part(0, SINGLES)
    graphs: dict[str, list[Any]] = {"": []} | {name: [make()] for name, make in CATALOGUE.items()}
    contestants = []
    for name, graph in graphs.items():
        beside = [*PROTOTYPE_FEATURES, *graph]
        contestants += [
            Contestant(f"{name}, alone", ours.process, arm=partial(ours.prepared, block, graph)),
            Contestant(f"{name}, beside", ours.process, arm=partial(ours.prepared, block, beside)),
            Contestant(f"{name}, single", ours.process, arm=partial(ours.prepared, head, graph, together=1)),
        ]
    spent = {}
    for outcome in in_turn(contestants, ROUNDS):
        expected = SINGLES if outcome.name.endswith("single") else TICKS
        assert outcome.result == expected, f"{outcome.name}: {outcome.result} trades seen"
        spent[outcome.name] = outcome.best / expected * 1e9
    base = Cost("", *(spent[f", {mode}"] for mode in ("alone", "beside", "single")))
    features = (
        Cost(
            name,
            spent[f"{name}, alone"] - base.alone,
            spent[f"{name}, beside"] - base.beside,
            spent[f"{name}, single"] - base.single,
        )
        for name in CATALOGUE
    )
    return [base, *features]


def table(costs: list[Cost]) -> str:
    """Return the costs as lines of text."""
    base, *features = costs
    lines = [
        f"{'ns per tick':32}{'alone':>10}{'beside':>10}{'single':>10}",
        *(f"{cost.feature:32}{cost.alone:>10.1f}{cost.beside:>10.1f}{cost.single:>10.1f}" for cost in features),
        f"{'the graph they are added to':32}{base.alone:>10.1f}{base.beside:>10.1f}{base.single:>10.1f}",
    ]
    return "\n".join(lines)


@pytest.mark.timeout(3600)
def bench_cost_per_feature(benchmark: BenchmarkFixture, ticks: Ticks, capsys: pytest.CaptureFixture[str]) -> None:
    costs = benchmark.pedantic(cost_per_feature, (ticks,), rounds=1)
    benchmark.extra_info["costs"] = {cost.feature: [cost.alone, cost.beside, cost.single] for cost in costs}
    with capsys.disabled():
        print(f"\n{table(costs)}")


def lane_of_prototype(ticks: Ticks, records: engine.TickBlock) -> Callable[[], tuple[Core, Callable[[], object]]]:
    """The kernel's way: the nine comparisons joined to a state, and the lane that looks for entries in it."""

    def fresh() -> tuple[Core, Callable[[], object]]:
        kernel = kernel_of(ticks, [Prototype()])
        assert len(kernel.lanes[0].rule.views) == CONDITIONS
        return kernel.core, lambda: kernel.process(records)

    return fresh


def graph_of_prototype(ticks: Ticks, records: engine.TickBlock) -> Callable[[], tuple[Core, Callable[[], object]]]:
    """The graph alone: six features and nine comparisons, each of them a column of its own for every trade."""

    def fresh() -> tuple[Core, Callable[[], object]]:
        compiler, views, strategy = Compiler(ours.INSTRUMENT), list[ConditionView](), Prototype()
        for side in strategy.conditions():
            assert side is not None
            for comparison in comparisons_of(side):
                compiler.condition(comparison, strategy.parameters, views)
        assert len(views) == CONDITIONS
        core = Core([compiler.program])
        core.load(records.ts_ns, records.price_ticks, records.size_lots)
        return core, core.advance

    return fresh


def comparisons_of(condition: Condition) -> list[Condition]:
    """The comparisons of a condition, joints left out."""
    if isinstance(condition, Joined):
        return [*comparisons_of(condition.left), *comparisons_of(condition.right)]
    return [condition]


@pytest.mark.parametrize("made", [lane_of_prototype, graph_of_prototype], ids=["with the lane", "without the lane"])
@pytest.mark.parametrize("together", [None, 1], ids=["in blocks", "one tick at a time"])
def bench_prototype(
    benchmark: BenchmarkFixture,
    ticks: Ticks,
    together: int | None,
    made: Callable[[Ticks, engine.TickBlock], Callable[[], tuple[Core, Callable[[], object]]]],
) -> None:
    """Six features and nine comparisons; nothing fires."""
    records = engine.TickBlock(**columns_of(ticks if together is None else ticks.head(SINGLES)))
    fresh = made(ticks, records)
    cores: list[Core] = []

    def armed() -> tuple[tuple[Callable[[], object]], dict[str, Any]]:
        core, run = fresh()
        if together is not None:
            core.set_block(together)
        cores.append(core)
        return (run,), {}

    benchmark.pedantic(lambda run: run(), setup=armed, rounds=7, warmup_rounds=1)
    note(benchmark, len(records))
    assert cores[-1].trades_seen == len(records)


def bench_prototype_pushed_from_python(benchmark: BenchmarkFixture, ticks: Ticks) -> None:
    """One call of Python per tick, the price of the loop taken off; that of a call that computes nothing beside it."""
    rows = ours.rows_of(ticks.head(SINGLES))

    def prototype() -> tuple[Kernel, int, list[ours.Row]]:
        return kernel_of(ticks, [Prototype()]), 0, rows

    def measure() -> list[float]:
        loop, call, whole = in_turn(
            [
                Contestant("loop", only_loop, arm=lambda: (rows,)),
                Contestant("call", ours.push_all, arm=partial(ours.pushable, rows, [r.price])),
                Contestant("prototype", ours.push_all, arm=prototype),
            ],
            ROUNDS,
        )
        return [(outcome.best - loop.best) / SINGLES * 1e9 for outcome in (whole, call)]

    whole, call = benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info["ns_per_tick"] = round(whole, 1)
    benchmark.extra_info["of_which_the_call"] = round(call, 1)


def only_loop(rows: list[ours.Row]) -> None:
    for _ts_ns, _price_ticks, _size_lots in rows:
        pass


SHARING: dict[str, Callable[[], list[Strategy]]] = {
    "1 strategy": lambda: [Prototype()],
    "100, equal rules": lambda: [Prototype(cooldown_signals=number) for number in range(STRATEGIES)],
    "100, other thresholds": lambda: [Prototype(least_move=f"{90 - number / 10}%") for number in range(STRATEGIES)],
}


@pytest.mark.parametrize("name", SHARING)
def bench_strategies_that_share_features(benchmark: BenchmarkFixture, ticks: Ticks, name: str) -> None:
    """The same features for all; with equal rules the conditions are shared too, with other thresholds they are not."""
    block = engine.TickBlock(**columns_of(ticks))

    def fresh() -> tuple[tuple[Kernel], dict[str, Any]]:
        return (kernel_of(ticks, SHARING[name]()),), {}

    benchmark.pedantic(lambda kernel: kernel.process(block), setup=fresh, rounds=5, warmup_rounds=1)
    note(benchmark, TICKS)
