"""Backtests on bars, one case at a time: what a bar does to a position, how a stream may be cut, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _core, events
from engine.backtesting import make_kernel, make_settings, make_strategy
from engine.errors import ConfigError, DataError
from engine.journal.writer import MemoryJournal
from engine.model import Instrument, TickBlock
from engine.rules import Param, Stop, Target, TimeStop, flat_candles, minutes, pct, seconds, size
from engine.store.bars import read_bars
from engine.strategy import Strategy
from tests.oracle.bar_streams import (
    MINUTE,
    OCTOBER,
    PRECISION,
    SECOND,
    START,
    Breakout,
    Mover,
    block_of,
    random_bars,
    trades_of,
)
from tests.oracle.bars_input import Bar
from tests.shared_data import shared_file

# --- one bar at a time, by hand ---------------------------------------------------------------------------------------


class Entering(Strategy):
    """Enters on the bar whose volume is 7 (long) or 8 (short), with a stop of 1 % and a target of 2 %."""

    hold = Param(minutes(0), "longest holding time; 0 switches it off", low=0)
    long = (size >= 7) & (size <= 7)
    short = (size >= 8) & (size <= 8)
    exits = (Stop(pct(1)), Target(pct(2)), TimeStop(hold))


def trade_of(side: str, *after: tuple[int, int, int, int], start: int = START, **more: Any) -> tuple[Any, ...]:
    """Enter at 1000 at the close of a bar, go through the next ones, and return how the trade ended."""
    rows = [(1000, 1000, 1000, 1000), *after]
    bars = [
        Bar(0, start + k * MINUTE, start + (k + 1) * MINUTE, *row, 1 if k else {"long": 7, "short": 8}[side])
        for k, row in enumerate(rows)
    ]
    result = engine.backtest(block_of(bars), Entering, price_precision=PRECISION, **more)
    (trade,) = result.trades
    return str(trade.reason), float(trade.exit_price), (trade.exit_ts_ns - start) // SECOND / 60


@pytest.mark.parametrize(
    ("side", "bar", "reason", "price"),
    [
        ("long", (1000, 1000, 990, 1000), "SL", 9.90),  # the stop itself is enough
        ("long", (1000, 1000, 991, 1000), "END", 10.00),
        ("long", (985, 1000, 980, 999), "SL", 9.85),  # opened beyond: filled there, worse than the stop
        ("long", (985, 1030, 980, 999), "SL", 9.85),
        ("long", (1000, 1020, 991, 1000), "TP", 10.20),
        ("long", (1000, 1050, 991, 1000), "TP", 10.20),  # a waiting order gets its price and no more
        ("long", (1030, 1050, 1025, 1040), "TP", 10.20),  # not even when the bar opens beyond it
        ("long", (1030, 1050, 900, 950), "TP", 10.20),  # the opening is known to come first
        ("long", (1000, 1050, 900, 1050), "SL", 9.90),  # both within: the stop
        ("short", (1000, 1010, 1000, 1000), "SL", 10.10),
        ("short", (1015, 1020, 1000, 1001), "SL", 10.15),
        ("short", (1000, 1009, 980, 1000), "TP", 9.80),
        ("short", (970, 975, 960, 970), "TP", 9.80),
        ("short", (1000, 1100, 900, 900), "SL", 10.10),
        ("short", (970, 1100, 900, 900), "TP", 9.80),
    ],
)
def test_what_one_bar_does_to_a_position(side: str, bar: tuple[int, int, int, int], reason: str, price: float) -> None:
    assert trade_of(side, bar) == (reason, price, 2.0)


FLAT, UP = (1000, 1000, 1000, 1000), (1000, 1020, 1000, 1010)


@pytest.mark.parametrize(
    ("hold", "bars", "reason", "price", "minute"),
    [
        (60, [(1000, 1005, 995, 1003), FLAT], "TIME", 10.03, 2.0),  # runs out as the bar ends: at its close
        (60, [UP, FLAT], "TP", 10.20, 2.0),  # whose target still counts
        (30, [UP, FLAT], "TIME", 10.10, 2.0),  # runs out within: the target may have come later, so it does not count
        (30, [(1000, 1050, 980, 1050), FLAT], "SL", 9.90, 2.0),  # and the stop may have come before
        (30, [(1040, 1050, 1030, 1030), FLAT], "TP", 10.20, 2.0),  # an opening is before everything
        (90, [FLAT, (1000, 1005, 995, 1003), FLAT], "TIME", 10.03, 3.0),
    ],
)
def test_a_time_stop_runs_out_at_the_end_of_its_bar(
    hold: int, bars: Any, reason: str, price: float, minute: float
) -> None:
    assert trade_of("long", *bars, hold=f"{hold}s") == (reason, price, minute)


def test_a_time_stop_runs_out_between_bars_at_the_last_price() -> None:
    """The morning's opening is far beyond the stop; the position was left the evening before."""
    bars = [
        Bar(0, START, START + MINUTE, 1000, 1000, 1000, 1000, 7),
        Bar(0, START + MINUTE, START + 2 * MINUTE, 1000, 1004, 1000, 1004, 1),
        Bar(0, START + 600 * MINUTE, START + 601 * MINUTE, 500, 500, 400, 450, 1),
    ]
    (trade,) = engine.backtest(block_of(bars), Entering, price_precision=PRECISION, hold="5m").trades
    assert (str(trade.reason), float(trade.exit_price)) == ("TIME", 10.04)
    assert trade.exit_ts_ns == START + 6 * MINUTE


def test_the_days_loss_is_met_at_the_worst_price_before_the_target() -> None:
    bar = (1000, 1020, 995, 1015)
    assert trade_of("long", bar) == ("TP", 10.20, 2.0)
    assert trade_of("long", bar, starting_cash=1, daily_loss_limit="5%") == ("RISK", 9.95, 2.0)
    assert trade_of("short", (1000, 1005, 980, 985), starting_cash=1, daily_loss_limit="5%") == ("RISK", 10.05, 2.0)
    assert trade_of("long", (1000, 1020, 980, 1015), starting_cash=1, daily_loss_limit="5%")[:2] == ("SL", 9.90)


def test_an_assumed_spread_is_paid_at_every_exit() -> None:
    costs = {"spread": "0.02", "starting_cash": 1000}
    # In at 10.01; 2 % above lies 10.2102, so 10.22 is the first trade price that closes; out a cent below it.
    assert trade_of("long", (1000, 1100, 1000, 1000), **costs)[:2] == ("TP", 10.21)
    reason, price, _ = trade_of("long", (980, 990, 970, 975), **costs)
    assert (reason, price) == ("SL", 9.79)


def test_nothing_is_opened_with_the_last_bar_of_a_session() -> None:
    closes = OCTOBER[0].closes
    start = closes - MINUTE
    bars = [Bar(0, start - MINUTE, start, *FLAT, 1), Bar(0, start, closes, *FLAT, 7)]
    later = [Bar(0, closes, closes + MINUTE, *FLAT, 1)]
    result = engine.backtest(block_of(bars + later), Entering, calendar="us_equities")
    assert not result.trades
    assert not result.refusals
    opened = [Bar(0, start - MINUTE, start, *FLAT, 7), Bar(0, start, closes, 1000, 1009, 991, 1008, 1), *later]
    (trade,) = engine.backtest(block_of(opened), Entering, calendar="us_equities", price_precision=PRECISION).trades
    assert (str(trade.reason), float(trade.exit_price), trade.exit_ts_ns) == ("SESSION", 10.08, closes)
    (trade,) = engine.backtest(block_of(bars + later), Entering, calendar="always").trades
    assert trade.entry_ts_ns == closes


# --- bars against the trades that they are made of --------------------------------------------------------------------


def trades_from(runs: Sequence[tuple[int, int]]) -> TickBlock:
    """Trades five seconds apart whose price moves by at most a tick; the first minute has one trade, of size 7."""
    prices = [1000]
    for direction, length in runs:
        for _ in range(length):
            prices.append(min(max(prices[-1] + direction, 900), 1100))
    ts_ns = [START, *(START + MINUTE + k * 5 * SECOND for k in range(len(prices) - 1))]
    sizes = [7] + [10] * (len(prices) - 1)
    return TickBlock(*(np.array(column, np.int64) for column in (ts_ns, prices, sizes)))


def minutes_from(block: TickBlock) -> list[Bar]:
    """The one-minute bars of these trades."""
    found: dict[int, list[tuple[int, int]]] = {}
    for ts_ns, price_, size_ in zip(
        block.ts_ns.tolist(), block.price_ticks.tolist(), block.size_lots.tolist(), strict=True
    ):
        found.setdefault((ts_ns - START) // MINUTE, []).append((price_, size_))
    return [
        Bar(
            0,
            START + number * MINUTE,
            START + (number + 1) * MINUTE,
            trades[0][0],
            max(price_ for price_, _ in trades),
            min(price_ for price_, _ in trades),
            trades[-1][0],
            sum(size_ for _, size_ in trades),
        )
        for number, trades in found.items()
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-1, 1, 0, -1, 1]), st.integers(1, 25)), max_size=30))
def test_no_position_fares_better_on_bars_than_on_their_trades(runs: list[tuple[int, int]]) -> None:
    """Where no trade jumps over the stop. The same entry, the same stop and target; only the order is unknown."""
    block = trades_from(runs)
    (on_trades,) = engine.backtest(block, Entering, price_precision=PRECISION).trades
    (on_bars,) = engine.backtest(block_of(minutes_from(block)), Entering, price_precision=PRECISION).trades
    assert on_bars.net <= on_trades.net
    if str(on_trades.reason) == "SL":
        assert (on_bars.reason, on_bars.exit_price) == (on_trades.reason, on_trades.exit_price)


# --- how the stream is cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 100, 511, 512])
def test_the_size_of_blocks_changes_nothing(size: int) -> None:
    """Neither how many bars the core evaluates together, nor in how many pieces they are handed over."""
    rng = Random(7)
    bars = random_bars(rng, 1500)
    while not any(bar.instrument for bar in bars):
        bars = random_bars(rng, 1500)
    block = block_of(bars)
    parameters = {"window": "2m", "threshold": "0.2%", "stop": "0.4%", "target": "0.7%", "hold": "90s"}
    settings_ = make_settings(block, starting_cash=600)

    def decisions(records: int, piece: int) -> list[Any]:
        journal = MemoryJournal()
        instruments = [Instrument("A"), Instrument("B")]
        kernel = make_kernel(instruments, make_strategy(Mover, parameters), settings_, journal)
        kernel.core.set_block(records)
        for first in range(0, len(block), piece):
            kernel.process(block.part(first, first + piece))
        kernel.process(events.End())
        return journal.decisions

    whole_run = decisions(_core.BLOCK_TRADES, len(block))
    assert len(whole_run) > 200
    assert decisions(size, len(block)) == whole_run
    assert decisions(_core.BLOCK_TRADES, size) == whole_run


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_bars_cannot_tell_is_refused() -> None:
    block = block_of(random_bars(Random(1), 30))
    with pytest.raises(ConfigError, match=r"MomentumBurst.exits: it closes after 2 flat one-second candles"):
        engine.backtest(block)
    with pytest.raises(
        ConfigError, match=r"rules: a window of 90s holds no whole number of bars of 1m; use a multiple"
    ):
        engine.backtest(block, Mover, window="90s")
    with pytest.raises(ConfigError, match=r"rules: a bar of 30s holds no whole number of bars of 1m"):
        engine.backtest(block, Breakout, period="30s")
    with pytest.raises(ConfigError, match=r"rules: a candle of 1s holds no whole number of bars of 1m"):
        engine.features(block, {"calm": flat_candles(seconds(1))})
    with pytest.raises(ConfigError, match=r"latency_order: a bar does not tell what the price was a moment later"):
        engine.backtest(block, Mover, latency_order="2ms")
    with pytest.raises(DataError, match=r"touch fills need quotes"):
        engine.backtest(block, Mover, fills="touch")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low_ticks": None}, "the column 'low_ticks' is missing; bars have open, high, low and start"),
        ({"bid_ticks": np.ones(30, np.int64), "ask_ticks": np.ones(30, np.int64)}, "bars have no quotes"),
        ({"high_ticks": np.ones(30, np.int64)}, "30 ticks are invalid, the first at row 0"),
        ({"start_ns": np.full(30, 1 << 61)}, "30 ticks are invalid"),
        ({"open_ticks": np.ones(3, np.int64)}, "the column 'open_ticks' has 3 rows and 'ts_ns' 30"),
    ],
)
def test_arrays_that_are_no_bars_are_refused(change: dict[str, Any], words: str) -> None:
    block = block_of([bar for bar in random_bars(Random(2), 200) if not bar.instrument][:30])
    for name, values in change.items():
        setattr(block, name, values)
    with pytest.raises(DataError, match=words):
        engine.backtest(block, Mover)


def test_a_file_of_bars_is_backtested_as_it_was_read() -> None:
    file = read_bars(shared_file("equities/etf-minute-history/SPY_2008-10.csv.gz"))
    from_file = engine.backtest(file, Mover)
    from_arrays = engine.backtest(file.block, Mover, price_precision=4)
    assert from_file.trades
    assert trades_of(from_arrays, 4) == [trade._replace(instrument=0) for trade in trades_of(from_file, 4)]
    shifted = read_bars(shared_file("equities/etf-minute-history/SPY_2008-10.csv.gz"), stamps="end")
    assert shifted.sha256 != file.sha256  # the passport of a result says that these are other bars
