"""Backtests on bars against the naive reference: real minutes of SPY, seeded and hypothesis streams, cases by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _core, _program
from engine.errors import ConfigError, DataError
from engine.model import TickBlock
from engine.rules import (
    Param,
    Stop,
    Target,
    TimeStop,
    bars,
    change,
    flat_candles,
    highest,
    minutes,
    pct,
    price,
    seconds,
    size,
)
from engine.store_bars import read_bars
from engine.strategy import Strategy
from tests.oracle.bars_input import DAY_NS, Bar, Plan, Result, Session, Trade, breakouts, longer_bars, moves, run
from tests.shared_data import shared_file

SECOND = 10**9
MINUTE = 60 * SECOND
START = 19_000 * DAY_NS + 23 * 3600 * SECOND + 50 * MINUTE  # ten minutes before midnight
PRECISION = 2


class Mover(Strategy):
    """Goes with a net move of closes."""

    window = Param(minutes(5), "window of the move", low="1ns")
    threshold = Param(pct("0.1"), "least net move", low=0)
    stop = Param(pct("0.5"), "loss that closes", low=0)
    target = Param(pct("0.5"), "gain that closes", low=0)
    hold = Param(minutes(10), "longest holding time; 0 switches it off", low=0)

    move = change(window)
    long = move >= threshold
    short = move <= -threshold
    warm_up = window
    exits = (Stop(stop), Target(target), TimeStop(hold))


# --- both sides of the comparison -------------------------------------------------------------------------------------


def block_of(bars: Sequence[Bar]) -> TickBlock:
    def column(name: str) -> Any:
        return np.array([getattr(bar, name) for bar in bars], np.int64)

    several = any(bar.instrument for bar in bars)
    return TickBlock(
        column("end"),
        column("close"),
        column("volume"),
        instrument=np.array([bar.instrument for bar in bars], np.uint16) if several else None,
        open_ticks=column("open"),
        high_ticks=column("high"),
        low_ticks=column("low"),
        start_ns=column("start"),
    )


def bars_of(block: TickBlock) -> list[Bar]:
    names = ("start_ns", "ts_ns", "open_ticks", "high_ticks", "low_ticks", "price_ticks", "size_lots")
    columns = [getattr(block, name).tolist() for name in names]
    return [Bar(0, *row) for row in zip(*columns, strict=True)]


def trades_of(result: Any, precision: int) -> list[Trade]:
    index = {"ticks1": 1}  # columns without names get the names ticks, or ticks0 and ticks1
    return [
        Trade(
            index.get(trade.symbol, 0),
            1 if trade.side == "long" else -1,
            trade.entry_ts_ns,
            trade.exit_ts_ns,
            whole(trade.entry_price, precision),
            whole(trade.exit_price, precision),
            str(trade.reason),
        )
        for trade in result.trades
    ]


def whole(price: Decimal, precision: int) -> int:
    ticks = price.scaleb(precision)
    assert ticks == int(ticks)
    return int(ticks)


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


def new_york_sessions(first: date, last: date) -> list[Session]:
    """The regular hours of the weekdays from ``first`` to ``last``, by the time zone database. No holidays."""
    zone, found = ZoneInfo("America/New_York"), []
    day = first
    while day <= last:
        if day.weekday() < 5:
            opens, closes = (
                datetime(day.year, day.month, day.day, *at, tzinfo=zone).timestamp() for at in ((9, 30), (16, 0))
            )
            found.append(Session(int(opens) * SECOND, int(closes) * SECOND))
        day += timedelta(days=1)
    return found


OCTOBER = new_york_sessions(date(2008, 10, 1), date(2008, 10, 31))


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

Step = tuple[int, int, tuple[int, int, int, int], int]  # instrument, bars left out before, wiggles, volume


def stream_from(steps: Sequence[Step]) -> list[Bar]:
    """One-minute bars of one or two instruments that walk around 1000 ticks, with gaps in time and in price."""
    at, price = {0: START, 1: START}, {0: 1000, 1: 1000}
    bars = []
    for one, missing, (gap, up, down, body), volume in steps:
        start = at[one] + missing * MINUTE
        opened = min(max(price[one] + gap, 900), 1100)
        high, low = opened + up, opened - down
        close = min(max(opened + body, low), high)
        bars.append(Bar(one, start, start + MINUTE, opened, high, low, close, volume))
        at[one], price[one] = start + MINUTE, close
    return sorted(bars, key=lambda bar: bar.end)


def random_bars(rng: Random, length: int) -> list[Bar]:
    steps: list[Step] = []
    several = rng.random() < 0.5
    for _ in range(length):
        missing = rng.choice([0, 0, 0, 0, 1, 3]) if rng.random() < 0.97 else rng.choice([30, 1430])
        gap = rng.choice([0, 0, 1, -1, 6, -6, 12, -12])
        steps.append((
            rng.randint(0, 1) if several else 0,
            missing,
            (gap, rng.choice([0, 1, 4, 9]), rng.choice([0, 1, 4, 9]), rng.choice([-9, -3, 0, 3, 9])),
            rng.randint(1, 50),
        ))  # fmt: skip
    return stream_from(steps)


def random_plan(rng: Random) -> Plan:
    return Plan(**{name: rng.choice(values) for name, values in CHOICES.items()})


CHOICES: dict[str, list[Any]] = {
    "stop": [Fraction("0.003"), Fraction("0.005"), Fraction("0.0051"), Fraction("0.02")],
    "target": [Fraction("0.003"), Fraction("0.005"), Fraction("0.02")],
    "time_stop_ns": [0, MINUTE, 2 * MINUTE, 90 * SECOND, 30 * SECOND, 7 * MINUTE],
    "lots": [1, 3],
    "cash": [Fraction(10_000), Fraction(600), Fraction(1_500)],
    "loss_limit": [Fraction(1, 20), Fraction(1, 50)],
}
WINDOWS = [MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE]
THRESHOLDS = [Fraction("0.001"), Fraction("0.005"), Fraction(0)]


@pytest.mark.parametrize("part", range(8))
def test_seeded_streams(part: int) -> None:
    """Forty streams a part, half of them longer than a block; together they reach every way out of a position."""
    seen: Counter[str] = Counter()
    for seed in range(part * 40, part * 40 + 40):
        rng = Random(seed)
        bars = random_bars(rng, rng.choice([60, 700]))
        found = compare(bars, rng.choice(WINDOWS), rng.choice(THRESHOLDS), random_plan(rng))
        seen.update(trade.reason for trade in found.trades)
        seen.update(refused=len(found.refused))
        opens = {(bar.instrument, bar.end): bar for bar in bars}
        for trade in found.trades:
            bar = opens.get((trade.instrument, trade.exit_ts))
            if bar is not None and trade.reason in ("SL", "TP"):
                seen[f"{trade.reason} at the open" if trade.exit == bar.open else f"{trade.reason} within"] += 1
    for reached in ("SL at the open", "SL within", "TP within", "TIME", "RISK", "END", "refused"):
        assert seen[reached], reached


steps_strategy = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([0, 0, 0, 1, 2, 1430]),
        st.tuples(
            st.sampled_from([0, 1, -1, 6, -6, 12, -12]),
            st.sampled_from([0, 1, 4, 9]),
            st.sampled_from([0, 1, 4, 9]),
            st.sampled_from([0, 3, -3, 9, -9]),
        ),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(
    steps_strategy,
    st.sampled_from(WINDOWS),
    st.sampled_from(THRESHOLDS),
    st.builds(Plan, **{name: st.sampled_from(values) for name, values in CHOICES.items()}),
)
def test_any_stream(steps: list[Step], window_ns: int, threshold: Fraction, plan: Plan) -> None:
    compare(stream_from(steps), window_ns, threshold, plan)


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
    from engine import events
    from engine.backtesting import make_kernel, make_settings, make_strategy
    from engine.journal import MemoryJournal
    from engine.model import Instrument

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


# --- longer bars made of bars -----------------------------------------------------------------------------------------


class Breakout(Strategy):
    """Goes with a close beyond the last longer bar."""

    period = Param(minutes(5), "length of the longer bars", low="1ns")
    stop = Param(pct("0.5"), "loss that closes", low=0)
    target = Param(pct("0.5"), "gain that closes", low=0)
    hold = Param(minutes(10), "longest holding time; 0 switches it off", low=0)

    longer = bars(period)
    long = price > longer.high
    short = price < longer.low
    exits = (Stop(stop), Target(target), TimeStop(hold))


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
    for now in range(0, len(minutes_of_spy), 97):
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
