"""Positions whose stop moves, against a loop over trades: every trade, to tick and nanosecond, with its reason."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.language.exits import written
from engine.language.grammar import Kind, Quantity
from engine.rules import (
    BreakEven,
    Decay,
    EndOfDay,
    NotBefore,
    Opposite,
    Reward,
    Stop,
    Target,
    TimeStop,
    Trailing,
    pct,
    previous,
    price,
    seconds,
    size,
    sma,
)
from tests.oracle.managed import LONG_SIZE, SHORT_SIZE, Closed, Plan, Row, run

S = 1_000_000_000


def ratio(value: Fraction) -> Quantity:
    return Quantity(Kind.RATIO, value)


def exits_of(plan: Plan) -> tuple[object, ...]:
    """The same plan as a strategy declares it."""
    made: list[object] = []
    if plan.stop is not None:
        made.append(Stop(ratio(plan.stop)))
    if plan.target is not None:
        made.append(Target(ratio(plan.target)))
    if plan.reward is not None:
        made.append(Target(Reward(Quantity(Kind.NUMBER, plan.reward))))
    if plan.even is not None:
        made.append(BreakEven(after=ratio(plan.even[0]), keep=ratio(plan.even[1])))
    if plan.trail is not None:
        made.append(Trailing(ratio(plan.trail[0]), after=ratio(plan.trail[1])))
    if plan.trail_ticks is not None:
        made.append(Trailing(price * 0 + Quantity(Kind.NUMBER, plan.trail_ticks / 100)))
    if plan.decay is not None:
        made.append(Decay(Quantity(Kind.DURATION, plan.decay[0]), to=ratio(plan.decay[1])))
    if plan.opposite:
        made.append(Opposite())
    if plan.hold:
        made.append(NotBefore(Quantity(Kind.DURATION, plan.hold)))
    return tuple(made)


def backtest(rows: list[Row], exits: tuple[object, ...]) -> engine.BacktestResult:
    class Entered(engine.Strategy):
        long = size == LONG_SIZE
        short = size == SHORT_SIZE

    Entered.exits = exits  # type: ignore[assignment]
    ts_ns, prices, sizes = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    block = {"ts_ns": ts_ns, "price_ticks": prices, "size_lots": sizes}
    return engine.backtest(block, Entered, fills="last", daily_loss_limit="1000000%")


def trades_of(result: engine.BacktestResult) -> list[Closed]:
    return [
        Closed(int(t.direction), t.entry_ts_ns, t.exit_ts_ns, int(t.entry_ticks), int(t.exit_ticks), str(t.reason))
        for t in result.trades
        if t.reason != "END"
    ]


def stream(seed: int, count: int) -> list[Row]:
    """A walk with pauses; one trade in twelve is a signal."""
    rng = np.random.default_rng(seed)
    ts_ns = S + np.cumsum(rng.choice([0, 1, S // 7, S, 5 * S], count))
    prices = 20_000 + np.cumsum(rng.integers(-25, 26, count))
    sizes = rng.choice([1, LONG_SIZE, SHORT_SIZE], count, p=[11 / 12, 1 / 24, 1 / 24])
    return list(zip(ts_ns.tolist(), np.abs(prices).tolist(), sizes.tolist(), strict=True))


F = Fraction
PLANS = {
    "break-even": Plan(stop=F(1, 100), target=F(2, 100), even=(F(1, 300), F(0))),
    "break-even with something kept": Plan(stop=F(1, 100), even=(F(1, 250), F(1, 1000))),
    "trailing": Plan(trail=(F(1, 200), F(0))),
    "trailing later": Plan(stop=F(1, 100), trail=(F(1, 400), F(1, 200))),
    "trailing by price": Plan(stop=F(1, 50), trail_ticks=F(77, 2)),
    "decay": Plan(stop=F(1, 80), target=F(1, 80), decay=(20 * S, F(1, 10))),
    "decay to nothing": Plan(stop=F(1, 60), decay=(7 * S, F(0))),
    "opposite": Plan(stop=F(1, 20), opposite=True),
    "reward": Plan(stop=F(1, 250), reward=F(5, 2)),
    "held back": Plan(stop=F(1, 100), target=F(1, 200), hold=9 * S),
    "held back by a nanosecond": Plan(target=F(1, 300), trail=(F(1, 100), F(0)), hold=1),
    "held back while the stop moves": Plan(
        F(1, 100), F(1, 150), None, (F(1, 300), F(0)), (F(1, 250), F(1, 200)), None, (30 * S, F(1, 3)), hold=20 * S
    ),
    "all of it": Plan(
        F(1, 100), F(1, 60), None, (F(1, 300), F(1, 5000)), (F(1, 150), F(1, 200)), None, (30 * S, F(1, 3)), True
    ),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_every_trade(name, seed):
    rows = stream(seed, 6_000)
    expected = run(rows, PLANS[name])
    assert trades_of(backtest(rows, exits_of(PLANS[name]))) == expected
    assert len(expected) >= 5


def test_every_reason_is_seen():
    """Or else the runs above prove less than they seem to."""
    reasons: Counter[str] = Counter()
    for plan in PLANS.values():
        reasons.update(one.reason for one in run(stream(0, 6_000), plan))
    assert {"SL", "TP", "BE", "TRAIL", "DECAY", "OPP"} <= set(reasons)


ratios = st.fractions(F(1, 2000), F(1, 40), max_denominator=4000)
plans = st.builds(
    Plan,
    stop=ratios,
    target=st.none() | ratios,
    even=st.none() | st.tuples(ratios, ratios | st.just(F(0))),
    trail=st.none() | st.tuples(ratios, ratios | st.just(F(0))),
    decay=st.none() | st.tuples(st.integers(1, 40 * S), st.fractions(0, 1, max_denominator=50)),
    opposite=st.booleans(),
)
steps = st.tuples(st.sampled_from([0, 1, S, 3 * S]), st.integers(-30, 30), st.sampled_from([1, LONG_SIZE, SHORT_SIZE]))


@settings(max_examples=150, deadline=None)
@given(plan=plans, walk=st.lists(steps, min_size=2, max_size=120))
def test_any_plan_on_any_walk(plan, walk):
    rows, ts_ns, at = [], S, 3_000
    for wait, move, lots in walk:
        ts_ns, at = ts_ns + wait, max(1, at + move)
        rows.append((ts_ns, at, lots))
    assert trades_of(backtest(rows, exits_of(plan))) == run(rows, plan)


def test_cuts_and_blocks_change_nothing():
    rows = stream(9, 3_000)
    whole = backtest(rows, exits_of(PLANS["all of it"]))
    assert len(whole.trades) > 10
    ts_ns, prices, sizes = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    from engine import events
    from engine.backtesting import make_kernel
    from engine.journal.writer import MemoryJournal
    from engine.model import TickBlock

    kernel = make_kernel(whole.kernel.instruments, type(whole.strategy)(), whole.settings, journal := MemoryJournal())
    kernel.core.set_block(7)
    for a, b in pairwise([*range(0, len(rows), 101), len(rows)]):
        kernel.process(TickBlock(ts_ns[a:b], prices[a:b], sizes[a:b]))
    kernel.process(events.End())
    assert journal.decision_hash == whole.decision_hash


# ---------------------------------------------------------------- distances in price, and the end of the day


def rows_at(prices: list[int], sizes: list[int], step_ns: int = S) -> list[Row]:
    return [(S + i * step_ns, price, lots) for i, (price, lots) in enumerate(zip(prices, sizes, strict=True))]


def test_a_distance_is_measured_when_the_signal_is_taken():
    """The mean of three prices against the one before it: 0.10 at the signal, whatever it is later."""
    exits = (Stop(abs(sma(price, 3) - previous(price, 1))), Target(Reward(3)))
    #                 mean of 1000 1030 1030 = 1020, previous 1030: a distance of 10 ticks
    rows = rows_at([1000, 1030, 1030, 1025, 1021, 1061], [1, 1, LONG_SIZE, 1, 1, 1])
    (trade,) = trades_of(backtest(rows, exits))
    assert trade == Closed(1, rows[2][0], rows[5][0], 1030, 1061, "TP")
    rows[4] = (rows[4][0], 1020, 1)
    (trade,) = trades_of(backtest(rows, exits))
    assert trade == Closed(1, rows[2][0], rows[4][0], 1030, 1020, "SL")


def test_an_entry_without_a_defined_distance_is_refused():
    rows = rows_at([1000, 1000, 1000], [LONG_SIZE, 1, 1])
    result = backtest(rows, (Stop(sma(price, 50) * "0.01"),))
    assert not result.trades
    assert [note.reason for note in result.refusals] == ["NO_EXIT"]


def test_before_the_close_of_the_day():
    """Under the calendar ``always`` a day is the UTC day."""
    day = 86_400 * S
    rows = [(day - 400 * S, 1000, LONG_SIZE), (day - 301 * S, 1001, 1), (day - 299 * S, 1002, 1), (day + S, 1003, 1)]
    (trade,) = trades_of(backtest(rows, (EndOfDay(seconds(300)), TimeStop(seconds(86_000)))))
    assert (trade.exit_ns, trade.exit, trade.reason) == (day - 300 * S, 1001, "EOD")
    (trade,) = trades_of(backtest(rows, (EndOfDay(seconds(300)), TimeStop(seconds(50)))))
    assert (trade.exit_ns, trade.reason) == (day - 350 * S, "TIME")


@pytest.mark.parametrize(
    ("exits", "said"),
    [
        ((Target(Reward(2)),), "needs a stop"),
        ((Decay(seconds(5)),), "needs a stop"),
        ((Stop(sma(size, 3)),), "not a distance in price"),
        ((Trailing(pct("0.0000001")),), "too fine"),
    ],
)
def test_what_cannot_be_meant_is_refused(exits, said):
    with pytest.raises(engine.errors.UserError, match=said):
        backtest(rows_at([1000, 1001], [1, 1]), exits)


def test_exits_read_as_they_are_written():
    exits = (
        Stop(pct(1)),
        Target(Reward(2)),
        BreakEven(pct("0.5")),
        Opposite(),
        Trailing(sma(price, 3) * 2, after=pct(1)),
    )
    assert ", ".join(written(item) for item in exits) == (
        "Stop(1%), Target(Reward(2)), BreakEven(0.5%), Opposite(), Trailing((sma(price, 3) * 2), after=1%)"
    )
