"""The engine against the naive reference, trade by trade: recorded data, seeded streams, and hypothesis.

"Equal" means side, both times, both prices, quantity, reason and net P/L of every trade, and the same signals skipped
and refused, one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.backtesting import integers
from engine.model import Instrument, TickBlock
from engine.store.ticks import TickFile
from tests.oracle.golden import RUNS, reference
from tests.oracle.momentum_burst import Params, Result, run
from tests.oracle.parameter_sets import PARAMETER_SETS
from tests.oracle.streams import (
    PRICE_PRECISION,
    Stream,
    params_strategy,
    random_params,
    random_stream,
    stream_strategy,
)
from tests.shared_data import DATASETS

Row = tuple[Any, ...]

METRICS: dict[str, Callable[[Result], Any]] = {
    "ticks": lambda result: result.ticks,
    "late_ticks": lambda result: result.late,
    "trades": lambda result: len(result.finished),
    "open_at_end": lambda result: len(result.trades) - len(result.finished),
    "wins": lambda result: result.wins,
    "losses": lambda result: result.losses,
    "consecutive_losses": lambda result: result.consecutive_losses,
    "by_reason": lambda result: result.by_reason,
    "total_pnl": lambda result: result.total_pnl,
    "daily_pnl": lambda result: result.daily_pnl,
    "max_drawdown": lambda result: result.max_drawdown,
    "current_drawdown": lambda result: result.current_drawdown,
}
"""The page's statistics, by the engine's names."""


def backtest(
    columns: dict[str, np.ndarray], params: Params, *, fills: str, price_precision: int, size_precision: int = 0
) -> Any:
    """Run the engine with the settings of the reference; a made-up stream may be later than any that is read."""
    given: dict[str, Any] = {**params.as_settings(), **params.as_account()}
    block = TickBlock(**{name: integers(name, values) for name, values in columns.items()})
    file = TickFile(block, [Instrument("ticks", price_precision, size_precision)], source="stream")
    return engine.backtest(file, "momentum_burst", fills=fills, calendar="always", **given)


def engine_trades(result: Any, price_precision: int) -> list[Row]:
    return [
        (
            trade.side,
            trade.entry_ts_ns,
            trade.exit_ts_ns,
            whole(trade.entry_price, price_precision),
            whole(trade.exit_price, price_precision),
            Fraction(trade.qty),
            str(trade.reason),
            Fraction(trade.net),
        )
        for trade in result.trades
    ]


def whole(price: Decimal, precision: int) -> int:
    """Return a price in ticks; a fraction of a tick would be an error of its own."""
    ticks = price.scaleb(precision)
    assert ticks == int(ticks)
    return int(ticks)


def oracle_trades(result: Result) -> list[Row]:
    return [
        (
            trade.side,
            trade.entry_ts_ns,
            trade.exit_ts_ns,
            trade.entry_price_ticks,
            trade.exit_price_ticks,
            trade.qty,
            trade.reason,
            trade.net,
        )
        for trade in result.trades
    ]


def assert_equal(actual: Any, expected: Result, price_precision: int) -> None:
    """Compare everything that must agree; the first differing trade is shown."""
    ours, theirs = engine_trades(actual, price_precision), oracle_trades(expected)
    for index, (our_trade, their_trade) in enumerate(zip(ours, theirs, strict=False)):
        assert our_trade == their_trade, f"trade {index} differs"
    assert len(ours) == len(theirs)
    assert [(s.ts_ns, s.side) for s in actual.skipped_signals] == [(s.ts_ns, s.side) for s in expected.skipped_signals]
    assert [(s.ts_ns, s.side) for s in actual.refusals] == [(s.ts_ns, s.side) for s in expected.refusals]
    assert {name: actual.metrics[name] for name in METRICS} == {name: of(expected) for name, of in METRICS.items()}


@pytest.mark.parametrize(("dataset", "fills", "name"), RUNS, ids="-".join)
def test_recorded_data(dataset: str, fills: str, name: str) -> None:
    ticks = DATASETS[dataset]()
    params = PARAMETER_SETS[name]
    result = backtest(
        ticks.columns(),
        params,
        fills=fills,
        price_precision=ticks.price_precision,
        size_precision=ticks.size_precision,
    )
    assert_equal(result, reference(dataset, fills, name), ticks.price_precision)


def compare(stream: Stream, params: Params, fills: str) -> Result:
    """Run both over a made-up stream and compare them."""
    quotes = fills == "touch"
    bids, asks = (stream.bid_ticks, stream.ask_ticks) if quotes else (None, None)
    expected = run(params, stream.ts_ns, stream.price_ticks, stream.size_lots, bids, asks, fills=fills)
    actual = backtest(stream.columns(quotes=quotes), params, fills=fills, price_precision=PRICE_PRECISION)
    assert_equal(actual, expected, PRICE_PRECISION)
    return expected


@pytest.mark.parametrize("block", range(10))
def test_seeded_streams(block: int) -> None:
    """Thirty streams a block; together they must reach everything the page speaks of."""
    seen: Counter[str] = Counter()
    for seed in range(block * 30, block * 30 + 30):
        rng = Random(seed)
        expected = compare(random_stream(rng, 300), random_params(rng), rng.choice(["last", "touch"]))
        seen.update(expected.by_reason)
        seen.update(late=expected.late, skipped=len(expected.skipped_signals), refused=len(expected.refusals))
    for reached in ("SL", "TP", "TIME", "FLAT", "RISK", "END", "late", "skipped", "refused"):
        assert seen[reached], reached


@settings(max_examples=200, deadline=None)
@given(stream_strategy(), params_strategy(), st.sampled_from(["last", "touch"]))
def test_any_stream(stream: Stream, params: Params, fills: str) -> None:
    compare(stream, params, fills)
