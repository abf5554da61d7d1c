"""Pairs over whatever a kernel can be made to do: a leg is alone only while an order of the other is on its way.

Seeded sequences of trades, quotes, silence and commands drive two pairs that lead each other's symbols and one strategy
without a hedge beside them, over venues whose orders arrive at different times. After every input the two legs of each
pair are held against each other, and the books that read nothing but decisions (``money_machine``) against the engine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from random import Random

import numpy as np

from engine.account.limits import RiskLimits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.fills import NAMES
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import Command, CommandName, End, OrderCancelled, OrderSubmitted, SignalRefused, TimePassed
from engine.journal.writer import MemoryJournal
from engine.language.exits import Stop, Target, TimeStop, Trailing, When
from engine.language.hedge import Hedge
from engine.latency import Constant, Sampled
from engine.model import Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import falling, of, pct, price, rising, seconds
from engine.sessions.trading_calendar import calendar
from engine.trading.kernel import Assignment, Kernel
from engine.trading.lanes import Lane
from tests.props.money_machine import INSTRUMENTS, START, Books, Told

SEQUENCES = 120


TRADED = (0, 1, 1, 0, 0)
"""The instrument of each lane: two that lead, each followed by its other leg, and one alone."""


class LeadsA(Told):
    hedge = Hedge("B", ratio=price / of("B", price))
    exits = (Stop(pct("0.8")), Target(pct("0.6")), Trailing(pct("0.5"), after=pct("0.3")), TimeStop(seconds(7)))


class LeadsB(Told):
    hedge = Hedge("A")
    exits = (When(rising(price, 3)), When(falling(price, 3), as_stop=True), TimeStop(seconds(9)))


class Alone(Told):
    exits = (Stop(pct("0.4")), TimeStop(seconds(5)))


def venue_of(rng: Random) -> VenueModel:
    fills, ms = rng.choice(NAMES), 1_000_000
    sampled = Sampled(400 * ms, 2_500 * ms, rng.randrange(1000))
    return VenueModel(
        fills,
        spread=None if fills == "last" else rng.choice([None, Fraction(1, 100)]),
        slippage_bps=rng.choice([Fraction(0), Fraction(1, 3)]),
        fee=rng.choice([Fee(), Fee(per_unit=Fraction(1, 300))]),
        latency_order=rng.choice([Constant(0), Constant(900 * ms), sampled, sampled]),
        borrow_rate=rng.choice([Fraction(0), Fraction(9)]),
        shorting=rng.random() < 0.9,
    )


def check_money(kernel: Kernel, books: Books) -> None:
    """The engine's equity and positions are those of the books."""
    assert kernel.core.equity == books.equity([kernel.core.price(0), kernel.core.price(1)])
    open_now = {lane: position.side * position.lots for lane, position in kernel.portfolio.positions.items()}
    assert open_now == {lane: held.lots for lane, held in books.held.items()}
    assert open_now == {lane: held.side * held.lots for lane, held in kernel.risk.ledger.held.items()}


def check_legs(kernel: Kernel, seen: Counter[str]) -> None:
    """The law of a pair, after an input."""
    working = {order.lane for order in kernel.risk.ledger.working.values()}
    for lead in (lane for lane in kernel.lanes if lane.partner and not lane.follows):
        follower = known(lead)
        legs = [kernel.portfolio.positions.get(lane.number) for lane in (lead, follower)]
        on_its_way = {lead.number, follower.number} & working
        if (legs[0] is None) != (legs[1] is None):
            assert on_its_way, "a leg stands alone, and nothing is on its way"
            seen["alone"] += 1
        if legs[0] is not None and legs[1] is not None:
            assert legs[0].side == -legs[1].side
            assert legs[0].pair == legs[1].pair == lead.pair
            assert (legs[0].lots, legs[1].lots) == (legs[0].entered, legs[1].entered) or on_its_way
            seen["together"] += 1
        assert lead.is_free == follower.is_free == (legs == [None, None] and not on_its_way)


def known(lane: Lane) -> Lane:
    assert lane.partner is not None
    return lane.partner


def play(seed: int, steps: int = 70) -> Counter[str]:
    rng = Random(seed)
    venue, journal = venue_of(rng), MemoryJournal()
    portfolio = Portfolio(INSTRUMENTS, Fraction(rng.choice([2_000, 1_000_000])), venue.borrow_rate)
    strategies = [LeadsA(), LeadsB(), Alone()]
    limits = RiskLimits(
        positions_per_symbol=rng.choice([None, None, 1]),
        max_position_units=rng.choice([None, Fraction(40)]),
        max_open_orders=rng.choice([None, 3]),
        position_stop=rng.choice([None, Fraction(1, 200)]),
        daily_loss_limit=rng.choice([None, Fraction(1, 100)]),
    )
    kernel = Kernel(
        INSTRUMENTS,
        [Assignment(one, [index], Fraction(rng.choice([1, 7, 10]))) for one, index in zip(strategies, (0, 1, 0))],  # noqa: B905
        calendar=calendar("always"),
        portfolio=portfolio,
        risk=RiskGate(limits, portfolio),
        broker=PaperBroker(venue, portfolio),
        journal=journal,
    )
    books, seen = Books(venue, portfolio.scale, portfolio.starting, TRADED), Counter[str]()
    read = 0
    now, prices = START, [1000, 2000]

    def record(index: int, is_quote: bool) -> None:
        at, width = prices[index], rng.randint(1, 3)
        values = (now, 0 if is_quote else at, 0 if is_quote else 5, at - width, at + width)
        ts, price_ticks, lots, bid, ask = (np.array([value], np.int64) for value in values)
        shown = [np.array([7], np.int64) for _ in range(2)]
        place = {"instrument": np.array([index], np.uint16), "kind": np.array([is_quote], np.uint8)}
        kernel.process(TickBlock(ts, price_ticks, lots, bid, ask, *shown, **place))

    for _ in range(steps):
        now += rng.choice([0, 1, 100, 700, 1500]) * 1_000_000
        index, turn = rng.randrange(2), rng.random()
        if turn < 0.06:
            kernel.process(TimePassed(now))
        elif turn < 0.11:
            kernel.process(Command(rng.choice([CommandName.FLATTEN, CommandName.PAUSE, CommandName.HALT]), now))
        elif turn < 0.18:
            kernel.process(Command(CommandName.RESUME, now, "go on"))
        else:
            if turn > 0.3:
                prices[index] = max(900, prices[index] + rng.choice([0, 1, -1, 4, -4, 11, -11]) * (index + 1))
            if turn > 0.6:
                rng.choice(strategies).wish = Signal(rng.choice(list(Side)), 0)
            record(index, turn <= 0.3)
        for decision in journal.decisions[read:]:
            books.read(decision)
        read = len(journal.decisions)
        check_money(kernel, books)
        check_legs(kernel, seen)
    kernel.process(End())
    for decision in journal.decisions[read:]:
        books.read(decision)
    check_money(kernel, books)
    assert not books.held
    assert sum(books.results) == portfolio.realised == sum(trade.net_units for trade in kernel.trades)
    check_trades(kernel, journal, seen)
    return seen


def check_trades(kernel: Kernel, journal: MemoryJournal, seen: Counter[str]) -> None:
    """Every pair that was entered has two trades, or one whose other entry is known to have been called back."""
    sent = {one.order_id: one for one in journal.decisions if isinstance(one, OrderSubmitted)}
    cancelled = {one.order_id for one in journal.decisions if isinstance(one, OrderCancelled)}
    pairs = defaultdict(list)
    for trade in kernel.trades:
        assert bool(trade.pair) == (kernel.lanes[trade.lane].partner is not None)
        if trade.pair:
            pairs[trade.pair].append(trade)
        seen[str(trade.reason)] += 1
    entered = [n for n, one in sent.items() if one.purpose == "entry" and kernel.lanes[one.lane].partner]
    for leading in entered[::2]:
        assert leading + 1 in entered, "both legs are sent, one after the other"
        legs, missing = pairs.pop(leading, []), {leading, leading + 1} & cancelled
        assert len(legs) == 2 - len(missing)
        for leg in legs:
            assert leg.lots in {sent[leading].lots, sent[leading + 1].lots}, "a leg is never of another size"
        seen["broken"] += len(missing) == 1
    assert not pairs
    seen["refused"] += sum(isinstance(one, SignalRefused) for one in journal.decisions)
    assert all(not lane.earned for lane in kernel.lanes)


def test_a_leg_is_alone_only_while_an_order_is_on_its_way() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEQUENCES):
        seen += play(seed)
    assert min(seen[what] for what in ("alone", "together", "LEG", "refused", "SL", "WHEN", "TIME")) > 30, seen
    assert seen["broken"] >= 3, seen
