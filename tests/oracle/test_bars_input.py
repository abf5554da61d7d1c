"""Backtests on bars against the naive reference, trade by trade: real minutes of SPY, seeded streams, hypothesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _core, _program
from engine.rules import bars, highest, minutes
from engine.store.bars import read_bars
from tests.oracle.bar_streams import (
    CHOICES,
    MINUTE,
    OCTOBER,
    PRECISION,
    STEPS,
    THRESHOLDS,
    WINDOWS,
    Breakout,
    Mover,
    Step,
    bars_of,
    block_of,
    random_bars,
    random_plan,
    stream_from,
    trades_of,
)
from tests.oracle.bars_input import Bar, Plan, Result, breakouts, longer_bars, moves, run
from tests.shared_data import shared_file


def compare(bars: Sequence[Bar], window_ns: int, threshold: Fraction, plan: Plan, precision: int = PRECISION) -> Result:
    """Run both; trades, refused signals and drawdown must agree."""
    calendar = "always" if plan.sessions is None else "us_equities"
    expected = run(bars, moves(bars, window_ns, threshold, plan.sessions), plan)
    actual = engine.backtest(
        block_of(bars),
        Mover,
        price_precision=precision,
        calendar=calendar,
        starting_cash=plan.cash / 10**precision,  # the reference counts in ticks
        position_size=plan.lots,
        daily_loss_limit=plan.loss_limit,
        window=f"{window_ns}ns",
        threshold=threshold,
        stop=plan.stop,
        target=plan.target,
        hold=f"{plan.time_stop_ns}ns",
    )
    ours = trades_of(actual, precision)
    for number, (our_trade, their_trade) in enumerate(zip(ours, expected.trades, strict=False)):
        assert our_trade == their_trade, f"trade {number} differs"
    assert len(ours) == len(expected.trades)
    sides = {"long": 1, "short": -1}
    assert [(r.ts_ns, sides[r.side]) for r in actual.refusals] == expected.refused
    assert Fraction(actual.metrics["max_drawdown"]) * 10**precision == expected.drawdown
    return expected


# --- real minutes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calendar", ["always", "us_equities"])
@pytest.mark.parametrize(
    ("window", "threshold", "stop", "target", "hold"),
    [
        (5, "0.003", "0.004", "0.006", 15),
        (15, "0.008", "0.02", "0.02", 90),
        (3, "0.002", "0.001", "0.01", 0),
    ],
)
def test_real_minutes_of_spy(calendar: str, window: int, threshold: str, stop: str, target: str, hold: int) -> None:
    """October 2008: the wildest month there is, with bars before and after the regular hours."""
    file = read_bars(shared_file("equities/etf-minute-history/SPY_2008-10.csv.gz"))
    plan = Plan(
        Fraction(stop),
        Fraction(target),
        hold * MINUTE,
        lots=100,
        cash=Fraction(100_000) * 10**4,
        loss_limit=Fraction(1, 50),
        sessions=OCTOBER if calendar == "us_equities" else None,
    )
    found = compare(bars_of(file.block), window * MINUTE, Fraction(threshold), plan, precision=4)
    reasons = Counter(trade.reason for trade in found.trades)
    assert reasons["SL"] > 10
    assert reasons["TP"] > 5
    assert not hold or reasons["TIME"]
    assert calendar == "always" or reasons["SESSION"]


# --- made-up streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(8))
def test_seeded_streams(part: int) -> None:
    """Forty streams a part, half of them longer than a block; together they reach every way out of a position."""
    seen: Counter[str] = Counter()
    for seed in range(part * 40, part * 40 + 40):
        rng = Random(seed)
        second_minutes = rng.choice([1, 1, 5])
        minute_bars = random_bars(rng, rng.choice([60, 700]), second_minutes)
        window_ns = 5 * MINUTE if second_minutes == 5 else rng.choice(WINDOWS)
        found = compare(minute_bars, window_ns, rng.choice(THRESHOLDS), random_plan(rng))
        seen.update(trade.reason for trade in found.trades)
        seen.update(refused=len(found.refused))
        opens = {(bar.instrument, bar.end): bar for bar in minute_bars}
        for trade in found.trades:
            bar = opens.get((trade.instrument, trade.exit_ts))
            if bar is not None and trade.reason in ("SL", "TP"):
                seen[f"{trade.reason} at the open" if trade.exit == bar.open else f"{trade.reason} within"] += 1
    for reached in ("SL at the open", "SL within", "TP within", "TIME", "RISK", "END", "refused"):
        assert seen[reached], reached


@settings(max_examples=300, deadline=None)
@given(
    STEPS,
    st.sampled_from(WINDOWS),
    st.sampled_from(THRESHOLDS),
    st.builds(Plan, **{name: st.sampled_from(values) for name, values in CHOICES.items()}),
)
def test_any_stream(steps: list[Step], window_ns: int, threshold: Fraction, plan: Plan) -> None:
    compare(stream_from(steps), window_ns, threshold, plan)


# --- longer bars made of bars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("calendar", ["always", "us_equities"])
@pytest.mark.parametrize("period", [2, 5, 30])
def test_breakouts_of_longer_bars_of_spy(calendar: str, period: int) -> None:
    """A high is known on the record that ends its bar, and no record earlier."""
    file = read_bars(shared_file("equities/etf-minute-history/SPY_2008-10.csv.gz"))
    sessions = OCTOBER if calendar == "us_equities" else None
    plan = Plan(Fraction("0.005"), Fraction("0.01"), 45 * MINUTE, cash=Fraction(100_000) * 10**4, sessions=sessions)
    minutes_of_spy = bars_of(file.block)
    expected = run(minutes_of_spy, breakouts(minutes_of_spy, period * MINUTE, sessions), plan)
    settings_ = {"stop": "0.5%", "target": "1%", "hold": "45m", "starting_cash": 100_000, "calendar": calendar}
    actual = engine.backtest(file, Breakout, period=f"{period}m", **settings_)
    assert len(expected.trades) > 100
    assert [trade._replace(instrument=0) for trade in trades_of(actual, 4)] == expected.trades


def test_feature_columns_of_bars() -> None:
    """Research sees on bars what a backtest on bars sees."""
    file = read_bars(shared_file("equities/etf-minute-history/SPY_2008-10.csv.gz"))
    five = bars(minutes(5))
    columns = engine.features(file, {"high": five.high, "volume": five.volume, "top": highest(minutes(3))})
    minutes_of_spy = bars_of(file.block)
    seen = [longer or (np.nan,) * 5 for longer in longer_bars(minutes_of_spy, 5 * MINUTE, None)]
    np.testing.assert_array_equal(columns["high"], [longer[1] / 10_000 for longer in seen])
    np.testing.assert_array_equal(columns["volume"], [float(longer[4]) for longer in seen])
    assert np.isnan(columns["top"][0])  # three minutes have not passed
    for now in range(97, len(minutes_of_spy), 97):
        held = [bar.close for bar in minutes_of_spy[max(now - 3, 0) : now + 1]]
        ends = [bar.end for bar in minutes_of_spy[max(now - 3, 0) : now + 1]]
        inside = [close for close, end in zip(held, ends, strict=True) if end > ends[-1] - 3 * MINUTE]
        assert columns["top"][now] == max(inside) / 10_000  # of closes: a window holds no highs


@pytest.mark.parametrize("block", [1, 64, 512])
@pytest.mark.parametrize("period", [1, 2, 5, 30])
def test_longer_bars_are_made_of_opens_highs_and_lows(period: int, block: int) -> None:
    for seed in range(6):
        bars = [bar for bar in random_bars(Random(seed), 900) if not bar.instrument]
        program = _program.Program()
        _, columns, _ = program.bars("duration", period * MINUTE)
        held = [program.hold(column) for column in columns[:5]]
        core = _core.Core([program])
        core.set_block(block)
        taps = [np.zeros(len(bars), np.int64) for _ in held]
        for column, out in zip(held, taps, strict=True):
            core.tap(0, column, out.view(np.uint8))
        made = block_of(bars)
        core.load(
            made.ts_ns,
            made.price_ticks,
            made.size_lots,
            open_ticks=made.open_ticks,
            high_ticks=made.high_ticks,
            low_ticks=made.low_ticks,
            start_ns=made.start_ns,
        )
        assert core.advance() == _core.NONE
        got = list(zip(*(out.tolist() for out in taps), strict=True))
        assert got == [longer or (0,) * 5 for longer in longer_bars(bars, period * MINUTE, None)]
