"""A machine that makes a kernel do whatever it can be made to do, and an account that is kept beside it by hand.

The account reads nothing but the journal's decisions and works every amount out from its definition, with fractions:
fees and slippage of each fill, what borrowing costs each exit of a short position, the cash, what is held, and the net
result of every round trip, which is what its fills brought in and took out. After every step core, portfolio and risk
must agree with it to the last unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
    TradingHalted,
)
from engine.journal.writer import MemoryJournal
from engine.language.exits import BreakEven, Decay, Flat, Opposite, Stop, Target, TimeStop, Trailing, When
from engine.latency import Constant
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import pct, price, rising, seconds, size
from engine.sessions.trading_calendar import calendar
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Assignment, Kernel

SECOND, HOUR = 1_000_000_000, 3_600_000_000_000
INSTRUMENTS = [Instrument("A", 2, 0), Instrument("B", 3, 2)]
START = 1_700_081_940 * SECOND  # a Wednesday, a minute before US shares close
YEAR = 365 * 24 * HOUR


class Told(Strategy):
    """Sends what it is told to on the next tick."""

    long = size < 0
    exits = (Stop(pct(1)), Target(pct(1)), TimeStop(seconds(3)), Flat(2))
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


LANES = ((Bracket, 0), (Managed, 0), (Halves, 1), (Told, 1))
"""The strategy and the instrument of each lane."""

ALONE = tuple(index for _, index in LANES)

venues = st.builds(
    VenueModel,
    fills=st.sampled_from(NAMES),
    spread=st.sampled_from([None, Fraction(0), Fraction(1, 100), Fraction(1, 30)]),
    slippage_bps=st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(20)]),
    fee=st.sampled_from([Fee(), Fee(per_unit=Fraction(1, 300)), Fee(bps=Fraction(7, 3))]),
    maker_fee=st.sampled_from([None, Fee(bps=Fraction(1, 7))]),
    latency_feed=st.builds(Constant, st.sampled_from([0, 1])),
    latency_order=st.builds(Constant, st.sampled_from([0, 0, 400_000_000, 2 * SECOND])),
    borrow_rate=st.sampled_from([Fraction(0), Fraction(9)]),
)


class Held:
    """What a lane holds, how it came to it, and what its fills have brought in so far."""

    def __init__(self, ts_ns: int, entry: Fraction) -> None:
        self.ts_ns, self.entry = ts_ns, entry
        self.lots = 0  # signed
        self.brought = 0


class Books:
    """The account by hand."""

    def __init__(self, venue: VenueModel, scale: int, cash: int, traded: Sequence[int] = ALONE) -> None:
        self.venue, self.scale, self.cash, self.traded = venue, scale, cash, traded
        self.orders: dict[int, OrderSubmitted] = {}
        self.left: dict[int, int] = {}
        self.rests: dict[int, str] = {}
        self.held: dict[int, Held] = {}
        self.results: list[int] = []
        self.slippage = self.fees = self.borrow = 0
        self.seen: Counter[str] = Counter()
        self.marks_only = True  # no fill has been away from the last trade

    def unit(self, lane: int) -> int:
        """Money units of one tick and lot."""
        of = INSTRUMENTS[self.traded[lane]]
        return 10 ** (self.scale - of.price_precision - of.size_precision)

    def read(self, decision: Any) -> None:
        self.seen[type(decision).__name__] += 1
        match decision:
            case OrderSubmitted():
                assert decision.order_id not in self.orders, "an id is sent once"
                self.orders[decision.order_id], self.left[decision.order_id] = decision, decision.lots
            case OrderRests():
                self.left[decision.order_id], self.rests[decision.order_id] = decision.lots, decision.kind
                self.marks_only = False
            case OrderFilled():
                self.fill(decision)
            case PositionReduced():
                assert self.held[decision.lane].lots, "a position that is reduced is still open"
            case PositionClosed():
                held = self.held.pop(decision.lane)
                assert not held.lots, "a position that is closed holds nothing"
                assert decision.net == held.brought, "a result is what its fills brought in"
                self.results.append(held.brought)

    def fill(self, fill: OrderFilled) -> None:
        order, lots = self.orders[fill.order_id], fill.lots
        self.left[fill.order_id] -= lots
        assert lots > 0, "a fill is of something"
        assert self.left[fill.order_id] >= 0, "nothing is filled beyond the order"
        value = Fraction(fill.price_ticks) * lots * self.unit(order.lane)
        self.check_costs(fill, order, value)
        held = self.held.get(order.lane)
        if order.purpose == "entry":
            if held is None:
                held = self.held[order.lane] = Held(fill.ts_ns, Fraction(fill.price_ticks))
            assert held.lots * order.side >= 0, "a lane is long or short, not both"
        else:
            assert held is not None, "an exit closes what is open"
            assert lots <= -held.lots * order.side, "an exit never turns a position round"
        brought = -round(order.side * value) - fill.slippage - fill.fee  # an assumed spread may end between two ticks
        self.slippage, self.fees = self.slippage + fill.slippage, self.fees + fill.fee
        if order.purpose != "entry" and held.lots < 0:
            borrow = self.borrowed(held, lots, order.lane, fill.ts_ns)
            self.borrow += borrow
            brought -= borrow
        held.lots += order.side * lots
        held.brought += brought
        self.cash += brought

    def check_costs(self, fill: OrderFilled, order: OrderSubmitted, value: Fraction) -> None:
        """A fill that waited at its limit pays the maker's fee and slips nothing, any other the taker's."""
        venue, waited = self.venue, self.rests.get(fill.order_id) == "limit"
        fee = venue.maker_fee if waited and venue.maker_fee is not None else venue.fee
        units = Fraction(fill.lots, 10 ** INSTRUMENTS[self.traded[order.lane]].size_precision)
        assert fill.fee == round(value * fee.bps / 10_000 + fee.per_unit * units * 10**self.scale)
        assert fill.slippage == (0 if waited else round(value * venue.slippage_bps / 10_000))

    def borrowed(self, held: Held, lots: int, lane: int, ts_ns: int) -> int:
        value = held.entry * lots * self.unit(lane)
        return round(value * self.venue.borrow_rate * Fraction(max(0, ts_ns - held.ts_ns), YEAR))

    def equity(self, prices: list[int]) -> int:
        return self.cash + sum(
            prices[self.traded[lane]] * one.lots * self.unit(lane) for lane, one in self.held.items()
        )


class Money(RuleBasedStateMachine):
    """Trades, quotes, wishes, time, nights and an operator, in any order."""

    seen: ClassVar[Counter[str]] = Counter()

    @initialize(
        venue=venues,
        cash=st.sampled_from([Fraction(10_000), Fraction("1000.37"), Fraction(1_000_000)]),
        lots=st.lists(st.sampled_from([1, 7, 10]), min_size=len(LANES), max_size=len(LANES)),
        per_symbol=st.sampled_from([None, 1]),
        when=st.sampled_from(["always", "us_equities"]),
    )
    def begin(self, venue: VenueModel, cash: Fraction, lots: list[int], per_symbol: int | None, when: str) -> None:
        self.portfolio, self.journal = Portfolio(INSTRUMENTS, cash, venue.borrow_rate), MemoryJournal()
        self.strategies = [kind() for kind, _ in LANES]
        lanes = zip(self.strategies, LANES, lots, strict=True)
        self.kernel = Kernel(
            INSTRUMENTS,
            [Assignment(strategy, [index], Fraction(size)) for strategy, (_, index), size in lanes],
            calendar=calendar(when),
            portfolio=self.portfolio,
            risk=RiskGate(
                RiskLimits(daily_loss_limit=Fraction(1, 20), positions_per_symbol=per_symbol), self.portfolio
            ),
            broker=PaperBroker(venue, self.portfolio),
            journal=self.journal,
        )
        self.books = Books(venue, self.portfolio.scale, self.portfolio.starting)
        self.costless = venue.fills == "last" and not venue.slippage_bps and venue.fee == Fee()
        self.now, self.prices, self.read = START, [1000, 2000], 0
        self.peak, self.drawdown = self.portfolio.starting, 0
        for index in (0, 1):
            self._record(index, 0, 1, 5, (0, 0))

    # -- what happens

    @rule(
        index=st.integers(0, 1),
        gap_ms=st.sampled_from([0, 1, 100, 700, 1500]),
        move=st.sampled_from([0, 0, 1, -1, 4, -4, 11, -11]),
        lots=st.sampled_from([3, 1, 50, 900]),
        shown=st.tuples(st.sampled_from([0, 2, 40]), st.sampled_from([0, 2, 40])),
    )
    def trade(self, index: int, gap_ms: int, move: int, lots: int, shown: tuple[int, int]) -> None:
        self.now += gap_ms * 1_000_000
        self.prices[index] = max(900, self.prices[index] + move * (index + 1))
        self._record(index, self.prices[index], 1, lots, shown)

    @rule(index=st.integers(0, 1), width=st.integers(1, 3), shown=st.tuples(*[st.sampled_from([0, 2, 40])] * 2))
    def quote(self, index: int, width: int, shown: tuple[int, int]) -> None:
        self._record(index, 0, width, 0, shown)

    @rule(
        lane=st.integers(0, len(LANES) - 1),
        side=st.sampled_from(list(Side)),
        kind=st.sampled_from(list(OrderType)),
        away=st.sampled_from([0, 1, 4]),
        good_for_ns=st.sampled_from([0, SECOND // 2, 3 * SECOND]),
        post_only=st.booleans(),
        moves=st.lists(st.sampled_from([1, -1, 4, -4, 11, -11]), max_size=4),
    )
    def wish(
        self, lane: int, side: Side, kind: OrderType, away: int, good_for_ns: int, post_only: bool, moves: list[int]
    ) -> None:
        """A strategy wants to enter, a trade lets it say so, and the price goes on from there."""
        index = LANES[lane][1]
        at = self.prices[index]
        beyond = {OrderType.LIMIT: -away, OrderType.STOP: away}.get(kind, away + 2)
        self.strategies[lane].wish = Signal(
            side,
            at + side * beyond,
            order=kind,
            trigger_ticks=at + side * away,
            good_for_ns=good_for_ns,
            post_only=kind is OrderType.LIMIT and post_only,
        )
        self._record(index, at, 1, 1, (0, 0))
        for move in moves:
            self.trade(index, 700, move, 3, (2, 2))

    @rule(gap_ns=st.sampled_from([SECOND // 1000, SECOND, 3 * SECOND, 18 * HOUR, 24 * HOUR]))
    def time(self, gap_ns: int) -> None:
        """Time passes with no record: a moment, or a night in which a session closes and the next one opens."""
        self.now += gap_ns
        self._process(TimePassed(self.now))

    @rule(name=st.sampled_from([CommandName.FLATTEN, CommandName.RESUME, CommandName.PAUSE, CommandName.HALT]))
    def command(self, name: CommandName) -> None:
        """An operator does something; what stops trading is ended some trades later."""
        self._process(Command(name, self.now, "looked at it"))
        if name is not CommandName.FLATTEN:
            self.trade(0, 700, 4, 3, (0, 0))
            self._process(Command(CommandName.RESUME, self.now, "looked at it"))

    def _record(self, index: int, at: int, width: int, lots: int, shown: tuple[int, int]) -> None:
        """A trade at a price, or with 0 and no lots a quote around the last one."""
        is_quote = not lots
        price = self.prices[index]
        row = (self.now, 0 if is_quote else at or price, lots, price - width, price + width, *shown)
        columns = [np.array([value], np.int64) for value in row]
        kind = np.array([is_quote], np.uint8)
        self._process(TickBlock(*columns, instrument=np.array([index], np.uint16), kind=kind))

    def _process(self, event: Any) -> None:
        self.kernel.process(event)
        decisions, self.read = self.journal.decisions[self.read :], len(self.journal.decisions)
        for decision in decisions:
            self.books.read(decision)
        equity = self.books.equity(self.prices)
        self.peak = max(self.peak, equity)
        self.drawdown = max(self.drawdown, self.peak - equity)

    # -- what must hold

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "kernel"):
            return
        core, portfolio, books = self.kernel.core, self.portfolio, self.books
        assert core.equity == books.equity(self.prices)
        assert core.peak - core.equity <= core.drawdown
        if self.costless and books.marks_only:  # filling changes nothing, so equity after each record says it all
            assert (core.peak, core.drawdown) == (self.peak, self.drawdown)
        else:
            assert core.peak >= self.peak
            assert core.drawdown >= self.drawdown
        held = {lane: one.lots for lane, one in books.held.items()}
        assert {lane: one.side * one.lots for lane, one in portfolio.positions.items()} == held
        assert {lane: one.side * one.lots for lane, one in self.kernel.risk.ledger.held.items()} == held
        assert [trade.net_units for trade in portfolio.trades] == books.results
        assert portfolio.borrow == books.borrow
        costs = portfolio.spread + portfolio.slippage + portfolio.fees + portfolio.borrow
        assert portfolio.realised == portfolio.gross - costs
        if not held:
            assert core.equity == portfolio.starting + portfolio.realised == portfolio.starting + sum(books.results)
            assert (portfolio.slippage, portfolio.fees) == (books.slippage, books.fees)
        if self.kernel.risk.day_halted:
            assert books.seen[TradingHalted.__name__]
        assert set(self.kernel.risk.ledger.left.items()) == {(o, n) for o, n in books.left.items() if o in self._open()}

    def _open(self) -> set[int]:
        return set(self.kernel.risk.ledger.working)

    @invariant()
    def itemised(self) -> None:
        """The parts of every result add up to it, and the legs of every trade to the trade."""
        for trade in self.portfolio.trades if hasattr(self, "kernel") else ():
            costs = trade.spread_units + trade.slippage_units + trade.fee_units + trade.borrow_units
            assert trade.net_units == trade.gross_units - costs == sum(leg.net_units for leg in trade.legs)
            assert trade.lots == sum(leg.lots for leg in trade.legs)
            assert trade.spread_units >= 0

    def teardown(self) -> None:
        if not hasattr(self, "kernel"):
            return
        self._process(End())
        books, portfolio = self.books, self.portfolio
        assert not books.held
        assert self.kernel.core.equity == portfolio.starting + portfolio.realised == books.cash
        assert all(lane.is_free for lane in self.kernel.lanes)
        filled = {order_id for order_id, left in books.left.items() if not left}
        cancelled = {one.order_id for one in self.journal.decisions if isinstance(one, OrderCancelled)}
        assert filled | cancelled == set(books.orders)
        assert not filled & cancelled
        type(self).seen.update(books.seen)
