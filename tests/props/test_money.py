"""Money is conserved over whatever a kernel can be made to do: orders that wait, parts, brackets, several lanes.

Seeded sequences drive kernels whose strategies are told, tick by tick, which order to send. After every input an
account that reads nothing but the journal's decisions must agree with the core, the portfolio and risk.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from engine.account.limits import RiskLimits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.fills import NAMES
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import (
    Command,
    CommandName,
    End,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    PositionClosed,
    PositionReduced,
    TimePassed,
)
from engine.journal.writer import MemoryJournal
from engine.language.exits import BreakEven, Decay, Opposite, Stop, Target, TimeStop, Trailing, When
from engine.latency import Constant
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import pct, price, rising, seconds, size
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Assignment, Kernel

SECOND = 1_000_000_000
INSTRUMENTS = [Instrument("A", 2, 0), Instrument("B", 3, 2)]
START = 1_700_000_000 * SECOND
SEQUENCES = 150


class Told(Strategy):
    """Sends what it is told to on the next tick."""

    long = size < 0
    wish: Signal | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        return wish


class Bracket(Told):
    exits = (
        Stop(pct(1)),
        Target(pct("0.5"), share=pct(33), resting=True),
        Target(pct(1), share=pct(33)),
        Target(pct("1.5"), share=pct(34), resting=True),
        Trailing(pct("0.7"), after=pct("0.4")),
        TimeStop(seconds(6)),
    )


class Managed(Told):
    exits = (
        Stop(pct("0.6")),
        Target(pct("0.4"), resting=True),
        BreakEven(pct("0.2")),
        Decay(seconds(4)),
        Opposite(),
        When(rising(price, 3)),
    )


class Halves(Told):
    exits = (Target(pct("0.3"), share=pct(50)), Target(pct("0.6"), share=pct(25)), TimeStop(seconds(9)))


class Account:
    """What the journal's decisions come to, counted from nothing else."""

    def __init__(self, kernel: Kernel, journal: MemoryJournal) -> None:
        self.kernel, self.journal, self.read = kernel, journal, 0
        self.cash = Fraction(kernel.portfolio.starting)
        self.orders: dict[int, OrderSubmitted] = {}
        self.left: dict[int, int] = {}
        self.held: Counter[int] = Counter()
        self.seen: Counter[str] = Counter()

    def unit(self, lane: int) -> int:
        of = INSTRUMENTS[self.kernel.lanes[lane].instrument]
        return 10 ** (self.kernel.portfolio.scale - of.price_precision - of.size_precision)

    def follow(self) -> None:
        decisions, self.read = self.journal.decisions[self.read :], len(self.journal.decisions)
        for decision in decisions:
            self.seen[type(decision).__name__] += 1
            self.book(decision)

    def book(self, decision: Any) -> None:
        if isinstance(decision, OrderSubmitted):
            assert decision.order_id not in self.orders, "an id is sent once"
            self.orders[decision.order_id] = decision
            self.left[decision.order_id] = decision.lots
        elif isinstance(decision, OrderRests):
            self.left[decision.order_id] = decision.lots
        elif isinstance(decision, OrderFilled):
            order, lots = self.orders[decision.order_id], decision.lots
            if order.purpose == "entry":
                assert self.held[order.lane] * order.side >= 0, "a lane is long or short, not both"
            else:
                assert 0 < lots <= -self.held[order.lane] * order.side, "an exit never turns a position round"
            self.left[decision.order_id] -= lots
            assert self.left[decision.order_id] >= 0, "nothing is filled beyond the order"
            self.held[order.lane] += order.side * lots
            self.cash -= round(Fraction(decision.price_ticks) * order.side * lots * self.unit(order.lane))
            self.cash -= decision.slippage + decision.fee
        elif isinstance(decision, PositionClosed):
            assert not self.held[decision.lane]
        elif isinstance(decision, PositionReduced):
            assert self.held[decision.lane]

    def check(self, prices: list[int]) -> None:
        kernel, portfolio = self.kernel, self.kernel.portfolio
        marked = sum(prices[kernel.lanes[lane].instrument] * lots * self.unit(lane) for lane, lots in self.held.items())
        assert kernel.core.equity == self.cash - portfolio.borrow + marked
        open_now = {lane: position.side * position.lots for lane, position in portfolio.positions.items()}
        assert open_now == {lane: lots for lane, lots in self.held.items() if lots}
        ledger = kernel.risk.ledger.held
        assert open_now == {lane: held.side * held.lots for lane, held in ledger.items()}
        for trade in portfolio.trades[-3:]:
            costs = trade.spread_units + trade.slippage_units + trade.fee_units + trade.borrow_units
            assert trade.net_units == trade.gross_units - costs == sum(leg.net_units for leg in trade.legs)
            assert trade.lots == sum(leg.lots for leg in trade.legs)

    def check_end(self) -> None:
        portfolio = self.kernel.portfolio
        assert not any(self.held.values())
        assert self.kernel.core.equity == portfolio.starting + portfolio.realised
        assert portfolio.realised == sum(trade.net_units for trade in portfolio.trades)
        assert all(lane.is_free for lane in self.kernel.lanes)
        assert not self.kernel.risk.ledger.working
        filled = {order_id for order_id, left in self.left.items() if not left}
        cancelled = {one.order_id for one in self.journal.decisions if isinstance(one, OrderCancelled)}
        assert filled | cancelled == set(self.orders)
        assert not filled & cancelled


def venue_of(rng: Random) -> VenueModel:
    fills = rng.choice(NAMES)
    return VenueModel(
        fills,
        spread=None if fills == "last" else rng.choice([None, Fraction(1, 100), Fraction(1, 30)]),
        slippage_bps=rng.choice([Fraction(0), Fraction(1, 3)]),
        fee=rng.choice([Fee(), Fee(per_unit=Fraction(1, 300)), Fee(bps=Fraction(7, 3))]),
        latency_order=Constant(rng.choice([0, 0, 400_000_000, 2 * SECOND])),
        maker_fee=rng.choice([None, Fee(bps=Fraction(1, 7))]),
        borrow_rate=rng.choice([Fraction(0), Fraction(9)]),
    )


def wish_of(rng: Random, at: int) -> Signal:
    side, kind = rng.choice(list(Side)), rng.choice(list(OrderType))
    away = rng.choice([0, 1, 4])
    entry = {OrderType.LIMIT: at - side * away, OrderType.STOP: at + side * away}.get(kind, at + side * (away + 2))
    return Signal(
        side,
        entry,
        order=kind,
        trigger_ticks=at + side * away,
        good_for_ns=rng.choice([0, SECOND // 2, 3 * SECOND]),
        post_only=kind is OrderType.LIMIT and rng.random() < 0.3,
    )


def play(seed: int, steps: int = 60) -> Counter[str]:
    """One sequence; returns how often each kind of decision was made."""
    rng = Random(seed)
    portfolio, journal = Portfolio(INSTRUMENTS, Fraction(rng.choice([100, 10_000, 1_000_000]))), MemoryJournal()
    venue = venue_of(rng)
    portfolio.borrow_rate = venue.borrow_rate
    strategies = [Bracket(), Managed(), Halves(), Bracket()]
    kernel = Kernel(
        INSTRUMENTS,
        [Assignment(one, [index // 2], Fraction(rng.choice([1, 7, 10]))) for index, one in enumerate(strategies)],
        calendar=calendar("always"),
        portfolio=portfolio,
        risk=RiskGate(RiskLimits(positions_per_symbol=rng.choice([None, None, 1])), portfolio),
        broker=PaperBroker(venue, portfolio),
        journal=journal,
    )
    account = Account(kernel, journal)
    now, prices = START, [1000, 2000]

    def record(index: int, is_quote: bool) -> None:
        width = rng.randint(1, 3)
        at = prices[index]
        values = (now, 0 if is_quote else at, 0 if is_quote else rng.choice([1, 3, 50, 900]), at - width, at + width)
        ts, price_ticks, lots, bid, ask = (np.array([value], np.int64) for value in values)
        shown = [np.array([rng.choice([0, 2, 40])], np.int64) for _ in range(2)]
        kernel.process(
            TickBlock(
                ts,
                price_ticks,
                lots,
                bid,
                ask,
                *shown,
                instrument=np.array([index], np.uint16),
                kind=np.array([is_quote], np.uint8),
            )
        )

    for index in (0, 1):
        record(index, False)
    for _ in range(steps):
        now += rng.choice([0, 1, 100, 700, 1500]) * 1_000_000
        index, turn = rng.randrange(2), rng.random()
        if turn < 0.06:
            kernel.process(TimePassed(now))
        elif turn < 0.09:
            kernel.process(Command(CommandName.FLATTEN, now))
        else:
            is_quote = turn < 0.25
            if not is_quote:
                prices[index] = max(900, prices[index] + rng.choice([0, 0, 1, -1, 4, -4, 11, -11]) * (index + 1))
            if turn > 0.6:
                rng.choice(strategies[2 * index : 2 * index + 2]).wish = wish_of(rng, prices[index])
            record(index, is_quote)
        account.follow()
        account.check(prices)
    kernel.process(End())
    account.follow()
    account.check_end()
    return account.seen


def test_money_is_conserved() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEQUENCES):
        seen += play(seed)
    for kind in (OrderRests, PositionReduced, PositionClosed, OrderCancelled):
        assert seen[kind.__name__] > SEQUENCES, seen
