"""The account adds up at every step: money in, marks, costs and results, whatever is traded.

A stateful machine drives a kernel whose strategy is told, tick by tick, what to do. After each record the equity,
peak and drawdown are computed afresh from the decisions in the journal and the last prices, with fractions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate, RiskLimits
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import (
    Command,
    CommandName,
    End,
    OrderCancelled,
    OrderFilled,
    OrderSubmitted,
    PositionClosed,
    TimePassed,
    TradingHalted,
)
from engine.journal.writer import MemoryJournal
from engine.latency import Constant
from engine.model import Instrument, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import Flat, Stop, Target, TimeStop, pct, seconds, size
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Assignment, Kernel

SECOND = 1_000_000_000
INSTRUMENTS = [Instrument("A", 2, 0), Instrument("B", 3, 2)]
POSITION = Fraction(7)
START = 1_700_000_000 * SECOND


class Told(Strategy):
    """Enters what it is told to on the next tick."""

    long = size < 0
    exits = (Stop(pct(1)), Target(pct(1)), TimeStop(seconds(3)), Flat(2))
    wish: Side | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        return None if wish is None else Signal(wish, tick.price_ticks)


venues = st.builds(
    VenueModel,
    fills=st.sampled_from(["last", "touch"]),
    spread=st.sampled_from([None, Fraction(0), Fraction(1, 100), Fraction(1, 30)]),
    slippage_bps=st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(20)]),
    fee=st.sampled_from([Fee(), Fee(per_unit=Fraction(1, 300)), Fee(bps=Fraction(7, 3))]),
    latency_feed=st.builds(Constant, st.sampled_from([0, 1])),
    latency_order=st.builds(Constant, st.sampled_from([0, 0, 400_000_000, 2 * SECOND])),
)


class Account(RuleBasedStateMachine):
    @initialize(venue=venues, cash=st.sampled_from([Fraction(10_000), Fraction(100), Fraction("0.37")]))
    def begin(self, venue: VenueModel, cash: Fraction) -> None:
        self.portfolio = Portfolio(INSTRUMENTS, cash)
        self.journal = MemoryJournal()
        self.strategies = [Told(), Told()]
        self.kernel = Kernel(
            INSTRUMENTS,
            [Assignment(strategy, [index], POSITION) for index, strategy in enumerate(self.strategies)],
            calendar=calendar("always"),
            portfolio=self.portfolio,
            risk=RiskGate(RiskLimits(Fraction(1, 20)), self.portfolio),
            broker=PaperBroker(venue, self.portfolio),
            journal=self.journal,
        )
        self.costless = venue.fills == "last" and not venue.slippage_bps and venue.fee == Fee()
        self.now, self.prices = START, [1000, 2000]
        self.cash = self.peak = Fraction(self.portfolio.starting)
        self.drawdown = Fraction(0)
        self.read = 0
        self.orders: dict[int, tuple[int, int]] = {}  # id -> instrument, signed side
        self.held = [0, 0]
        for index in (0, 1):
            self.trade(index, 0, 0, None, 1)

    # -- what happens

    @rule(index=st.integers(0, 1), gap=st.sampled_from([0, 1, 100, 700, 1500]), move=st.sampled_from([0, 1, -1, 9, -9]))
    def tick(self, index: int, gap: int, move: int) -> None:
        self.trade(index, gap, move, None, 1)

    @rule(
        index=st.integers(0, 1),
        gap=st.sampled_from([0, 50, 900]),
        side=st.sampled_from(list(Side)),
        width=st.integers(1, 3),
    )
    def signal(self, index: int, gap: int, side: Side, width: int) -> None:
        self.trade(index, gap, 0, side, width)

    @rule(gap=st.sampled_from([1, 999, 3000]))
    def time(self, gap: int) -> None:
        self.now += gap * 1_000_000
        self.kernel.process(TimePassed(self.now))
        self.follow()

    @rule(name=st.sampled_from(list(CommandName)))
    def command(self, name: CommandName) -> None:
        self.kernel.process(Command(name, self.now))
        self.follow()

    def trade(self, index: int, gap: int, move: int, wish: Side | None, width: int) -> None:
        self.now += gap * 1_000_000
        price = self.prices[index] = max(900, self.prices[index] + move * (index + 1))
        self.strategies[index].wish = wish
        columns = [np.array([value], np.int64) for value in (self.now, price, 5, price - width, price + width)]
        self.kernel.process(TickBlock(*columns[:5], instrument=np.array([index], np.uint16)))
        self.follow()

    # -- the account by hand

    def follow(self) -> None:
        """Book what the kernel decided, then mark what is held at the last prices."""
        decisions, self.read = self.journal.decisions[self.read :], len(self.journal.decisions)
        for decision in decisions:
            self.book(decision)
        equity = self.equity()
        self.peak = max(self.peak, equity)
        self.drawdown = max(self.drawdown, self.peak - equity)

    def book(self, decision: Any) -> None:
        if isinstance(decision, OrderSubmitted):
            self.orders[decision.order_id] = (decision.lane, decision.side)
        elif isinstance(decision, OrderFilled):
            index, side = self.orders.pop(decision.order_id)
            unit = 10 ** (self.portfolio.scale - INSTRUMENTS[index].price_precision - INSTRUMENTS[index].size_precision)
            self.cash -= round(Fraction(decision.price_ticks) * side * decision.lots * unit, 0)
            self.cash -= decision.slippage + decision.fee
            self.held[index] += side * decision.lots

    def equity(self) -> Fraction:
        total = self.cash
        for index, lots in enumerate(self.held):
            of = INSTRUMENTS[index]
            total += self.prices[index] * lots * 10 ** (self.portfolio.scale - of.price_precision - of.size_precision)
        return total

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "kernel"):
            return
        core, portfolio = self.kernel.core, self.portfolio
        assert core.equity == self.equity()
        assert core.peak - core.equity <= core.drawdown
        if self.costless:  # filling changes nothing, so equity after each record says it all
            assert (core.peak, core.drawdown) == (self.peak, self.drawdown)
        else:
            assert core.peak >= self.peak
            assert core.drawdown >= self.drawdown
        assert portfolio.realised == sum(trade.net_units for trade in portfolio.trades)
        for trade in portfolio.trades:
            costs = trade.spread_units + trade.slippage_units + trade.fee_units
            assert trade.net_units == trade.gross_units - costs
            assert trade.spread_units >= 0
        open_now = sorted(position.instrument for position in portfolio.positions.values())
        assert open_now == [index for index, lots in enumerate(self.held) if lots]
        if not open_now:
            assert core.equity == portfolio.starting + portfolio.realised
        if self.kernel.risk.day_halted:
            assert any(isinstance(decision, TradingHalted) for decision in self.journal.decisions)

    def teardown(self) -> None:
        if not hasattr(self, "kernel"):
            return
        self.kernel.process(End())
        self.follow()
        assert self.kernel.core.equity == self.portfolio.starting + self.portfolio.realised
        assert not any(self.held)
        decisions = self.journal.decisions
        filled = sum(isinstance(decision, OrderFilled) for decision in decisions)
        cancelled = sum(isinstance(decision, OrderCancelled) for decision in decisions)
        closed = sum(isinstance(decision, PositionClosed) for decision in decisions)
        assert sum(isinstance(decision, OrderSubmitted) for decision in decisions) == filled + cancelled
        assert filled == 2 * closed == 2 * len(self.portfolio.trades)


Account.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestAccount = Account.TestCase
