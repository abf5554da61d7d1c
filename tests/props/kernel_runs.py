"""A kernel with several strategies on several instruments, and streams that make them trade, for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate, RiskLimits
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import End, TimePassed
from engine.journal.writer import MemoryJournal
from engine.language.entries import Limit, StopLimit
from engine.language.exits import Flat, Reward, Stop, Target, TimeStop, Trailing, When
from engine.language.hedge import Hedge
from engine.latency import Constant
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import Param, change, of, pct, price, seconds, size, ticks, volume, vwap
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Assignment, Kernel

SECOND = 1_000_000_000
INSTRUMENTS = [Instrument("ONE", 2, 0), Instrument("TWO", 1, 1), Instrument("SIX", 4, 2)]


class Drift(Strategy):
    """Follows a move, leaves by every kind of exit."""

    window = Param(seconds(3), "window of the move")
    stop = Param(pct("0.3"), "loss that closes")
    cooldown_signals = Param(1, "signals skipped after a losing trade", low=0)
    long = change(window) >= pct("0.2")
    short = change(window) <= pct("-0.2")
    exits = (Stop(stop), Target(pct("0.4")), TimeStop(seconds(4)), Flat(2))


class Crowd(Strategy):
    """Buys where many trade above the average price; asks Python, which says no now and then."""

    long = (volume(ticks(5)) > 3 * volume(ticks(2))) & (price >= vwap(seconds(2)))
    exits = (Stop(pct("0.1")), TimeStop(seconds(1)))

    def on_fire(self, context: Any, side: Side) -> Signal | None:
        if context.ts_ns % 3 == 0:
            return None
        return Signal(side, context.price_ticks, stop_ticks=context.price_ticks - 2)


class Ticker(Strategy):
    """Decides in Python, on every trade."""

    long = size < 0  # never: the callback alone decides
    exits = (Target(pct("0.2")), TimeStop(seconds(2)))

    def on_tick(self, tick: Tick) -> Signal | None:
        if tick.size_lots % 7 == 3:
            return Signal(Side.SHORT if tick.price_ticks % 2 else Side.LONG, tick.price_ticks)
        return None


class Patient(Strategy):
    """Waits below the market, takes its profit in parts, at the venue and by watching, and trails."""

    long = change(seconds(2)) <= pct("-0.2")
    short = change(seconds(2)) >= pct("0.2")
    entry = Limit(pct("0.1"), good_for=seconds(3))
    exits = (
        Stop(pct("0.4")),
        Target(pct("0.1"), share=pct(34), resting=True),
        Target(pct("0.2"), share=pct(34)),
        Target(Reward(2), share=pct(32), resting=True),
        Trailing(pct("0.3"), after=pct("0.2")),
        TimeStop(seconds(20)),
    )


class Breaker(Strategy):
    """Enters once the price breaks out, at no more than so much, and leaves when the move is over."""

    long = volume(ticks(5)) > 2 * volume(ticks(2))
    entry = StopLimit(vwap(seconds(4)), limit=pct("0.2"), time_in_force="day")
    exits = (When(change(seconds(1)) <= pct("-0.3")), TimeStop(seconds(9)), Target(pct("0.3"), resting=True))


class Asker(Strategy):
    """Brings entries of its own: stops, limits that only post, and limits that do not wait."""

    long = change(seconds(2)) >= pct("0.2")
    exits = (Stop(pct("0.3")), Target(pct("0.1"), share=pct(50)), TimeStop(seconds(5)))

    def on_fire(self, context: Any, side: Side) -> Signal | None:
        price_ticks, turn = context.price_ticks, context.ts_ns // 1_000_000 % 3
        if turn == 0:
            return Signal(side, price_ticks + 2, order=OrderType.STOP, good_for_ns=5 * SECOND)
        if turn == 1:
            return Signal(side, price_ticks, order=OrderType.LIMIT, post_only=True)
        return Signal(Side.SHORT, price_ticks + 1, order=OrderType.LIMIT)


class Couple(Strategy):
    """A pair: sells the second instrument with what it buys of the first."""

    long = change(seconds(2)) >= pct("0.2")
    short = change(seconds(2)) <= pct("-0.2")
    hedge = Hedge("TWO", ratio=of("TWO", price) / price)
    cooldown_signals = Param(1, "signals skipped after a losing trade", low=0)
    exits = (Stop(pct("0.3")), When(change(seconds(1)) == 0, as_stop=True), TimeStop(seconds(6)))


FREE = VenueModel()


@dataclass(frozen=True)
class Case:
    """What decides a run besides the records."""

    strategies: tuple[tuple[type[Strategy], tuple[int, ...]], ...]
    calendar: str = "always"
    venue: VenueModel = FREE
    cash: int = 100_000
    limit: Fraction = Fraction(1, 20)
    show_vwap: bool = False


COSTS = VenueModel("touch", slippage_bps=Fraction(1, 3), fee=Fee(per_unit=Fraction(1, 300)))
LATE = VenueModel(latency_feed=Constant(1_000), latency_order=Constant(350_000_000))
LATE_TOUCH = VenueModel("touch", spread=Fraction(1, 30), fee=Fee(bps=Fraction(5, 2)), latency_order=Constant(SECOND))

CASES = {
    "one": Case(((Drift, (0,)),)),
    "three instruments": Case(((Drift, (0, 1, 2)),), venue=COSTS, show_vwap=True),
    "rivals on each": Case(((Drift, (0, 1)), (Crowd, (0, 1, 2))), venue=LATE),
    "late": Case(((Crowd, (0, 1)), (Drift, (0, 2))), venue=LATE_TOUCH, limit=Fraction(1, 1000), cash=1_000),
    "callbacks": Case(((Ticker, (0, 2)), (Drift, (0, 1))), venue=LATE),
    "poor": Case(((Drift, (0, 1, 2)), (Ticker, (1,))), venue=COSTS, cash=40, limit=Fraction(1, 100)),
    "us equities": Case(((Drift, (0, 1)), (Crowd, (2,))), calendar="us_equities", venue=LATE),
    "resting": Case(((Patient, (0, 1)), (Breaker, (2,))), venue=COSTS),
    "resting, late": Case(((Patient, (0, 1)), (Asker, (0, 2)), (Breaker, (0, 2))), venue=LATE_TOUCH, cash=1_000_000),
    "resting, last": Case(((Asker, (0, 1)), (Patient, (0, 2))), calendar="us_equities"),
    "pairs": Case(((Couple, (0,)), (Drift, (0, 1))), venue=COSTS, cash=1_000_000),
    "pairs, late": Case(((Couple, (0, 2)), (Ticker, (1,))), calendar="us_equities", venue=LATE_TOUCH, cash=1_000_000),
    "globex": Case(((Ticker, (0, 1)), (Drift, (0, 1))), calendar="globex"),
}

# A minute before the open, the close, the Globex break and midnight UTC, in turn, of a Tuesday in June 2024.
MOMENTS = [1_718_112_540, 1_718_135_940, 1_718_139_540, 1_718_150_340]


def random_records(rng: Random, length: int, instruments: int, *, quotes: bool = True) -> list[list[int]]:
    """Rows of ``[ts, price, size, bid, ask, instrument, kind]``, near a boundary and leaping to another at times."""
    moment = rng.randrange(len(MOMENTS))
    now = MOMENTS[moment] * SECOND + rng.randrange(50) * SECOND
    levels, rows = [1000] * instruments, []
    drift = 0
    for _ in range(length):
        if rng.random() < 0.1:
            drift = rng.choice([-1, 0, 0, 1])
        if rng.random() < 0.005:
            moment += 1
            now = max(now, (MOMENTS[moment % 4] + moment // 4 * 86_400) * SECOND + rng.randrange(55) * SECOND)
        else:
            now += rng.choice([0, 0, 1, 10, 100, 100, 250, 500, 1000, 3000]) * 1_000_000
        number = rng.randrange(instruments)
        levels[number] = level = max(900, min(1100, levels[number] + drift + rng.choice([-3, -1, 0, 0, 1, 3])))
        ts = now - rng.choice([0] * 20 + [1, 10**9])
        bid, ask = (level - rng.randint(0, 2), level + rng.randint(1, 2)) if rng.random() < 0.6 else (0, 0)
        if quotes and rng.random() < 0.2:
            rows.append([ts, 0, 0, bid, ask, number, 1])
        else:
            rows.append([ts, level, rng.choice([1, 2, 3, 10, 50, 400]), bid, ask, number, 0])
    return rows


def block(rows: list[list[int]], *, instruments: int = 2) -> TickBlock:
    """The rows as a block, without the columns that may be left out."""
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    ts, price_ticks, size_lots, bid, ask, number, kind = columns
    found = TickBlock(ts, price_ticks, size_lots, bid, ask)
    if instruments > 1:
        found.instrument = number.astype(np.uint16)
    if kind.any():
        found.kind = kind.astype(np.uint8)
    return found


def make_kernel(case: Case) -> tuple[Kernel, MemoryJournal]:
    instruments = INSTRUMENTS[: 1 + max(index for _, where in case.strategies for index in where)]
    portfolio = Portfolio(instruments, Fraction(case.cash))
    journal = MemoryJournal()
    kernel = Kernel(
        instruments,
        [Assignment(cls(), where, Fraction(3)) for cls, where in case.strategies],
        calendar=calendar(case.calendar),
        portfolio=portfolio,
        risk=RiskGate(RiskLimits(case.limit), portfolio),
        broker=PaperBroker(case.venue, portfolio),
        journal=journal,
        show_vwap=case.show_vwap,
    )
    return kernel, journal


def outcome(kernel: Kernel, journal: MemoryJournal) -> tuple[Any, ...]:
    """Everything that two equal runs have in common."""
    core = kernel.core
    counts = (core.trades_seen, core.quotes_seen, core.late)
    prices = [core.price(i) for i in range(len(kernel.instruments))]
    vwaps = [core.value(i, sd.column) for i, (_, sd) in enumerate(kernel.vwap)]
    return (*counts, *prices, core.equity, core.drawdown, core.peak, repr(vwaps), journal.decision_hash)


def run(case: Case, rows: list[list[int]], cuts: str, rng: Random) -> tuple[tuple[Any, ...], Kernel, MemoryJournal]:
    """Run the rows: ``whole``, in ``pieces``, ``singly``, ``pushed`` (trades only), or with ``time`` in between."""
    kernel, journal = make_kernel(case)
    instruments, done, reached = len(kernel.instruments), 0, 0
    while done < len(rows):
        length = {"whole": len(rows), "singly": 1, "pushed": 1}.get(cuts, rng.choice([1, 2, 3, 17, 512, 600]))
        part = rows[done : done + length]
        if cuts == "pushed" and not part[0][6]:
            ts, price_ticks, size_lots, bid, ask, number, _ = part[0]
            kernel.push(number, ts, price_ticks, size_lots, bid, ask)
        else:
            kernel.process(block(part, instruments=instruments))
        done += len(part)
        reached = max(reached, *(row[0] for row in part))
        if cuts == "time" and done < len(rows) and rows[done][0] > reached:
            for ts in sorted(rng.randint(reached, rows[done][0]) for _ in range(rng.randint(0, 2))):
                kernel.process(TimePassed(ts))
    kernel.process(End())
    return outcome(kernel, journal), kernel, journal
