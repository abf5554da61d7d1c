"""Random days of trading under random limits, and an observer that knows only what the journal says.

Four lanes on two instruments want to enter at random, at random sizes and with random stops; prices jump, days pass,
an operator pauses, halts and resumes. The observer books the decisions by itself, in whole numbers, and looks at every
entry that left: had any limit been exceeded by it?
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from engine.account.limits import ALL_OFF, BY_NAME, RiskLimits, with_limits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import (
    Command,
    CommandName,
    DayStarted,
    EngineFault,
    OrderCancelled,
    OrderFilled,
    OrderSubmitted,
    PositionClosed,
    Refusal,
    TradingHalted,
    TradingResumed,
)
from engine.journal.writer import MemoryJournal
from engine.latency import Constant
from engine.model import Instrument, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import Stop, Target, TimeStop, pct, seconds, size
from engine.sessions.trading_calendar import calendar
from engine.sizing import Occasion
from engine.strategy import Strategy, Tick
from engine.trading.kernel import Assignment, Kernel

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_700_006_400 * SECOND  # a Wednesday, 00:00 UTC
INSTRUMENTS = [Instrument("A", 2, 0), Instrument("B", 2, 1)]
LANES = (0, 1, 0, 1)  # the instrument of each lane

CHOICES: dict[str, tuple[str, ...]] = {
    "daily_loss_limit": ("0.5%", "1%", "5%"),
    "daily_loss_money": ("20", "100"),
    "max_drawdown": ("1%", "3%"),
    "max_losses_in_row": ("1", "2"),
    "max_trades_per_day": ("1", "3"),
    "pdt": ("legacy", "intraday_margin"),
    "positions_per_symbol": ("1", "2"),
    "max_position_units": ("5", "8"),
    "max_position_value": ("500", "801"),
    "position_capital_fraction": ("3%", "5%"),
    "max_total_capital_fraction": ("6%", "12%"),
    "max_leverage": ("0.1", "0.2"),
    "max_order_units": ("3", "5"),
    "max_order_value": ("300", "501"),
    "max_open_orders": ("1", "2"),
    "max_orders_per_second": ("1", "2", "4"),
    "duplicate_window": ("1s", "3s"),
    "price_collar": ("0.02%", "0.05%"),
    "min_reward_risk": ("1", "2.5"),
    "position_stop": ("0.5%", "1%"),
}
"""Values of every limit at which these sequences would exceed it, were it not for the gate."""


@dataclass(frozen=True)
class Wish:
    """What a lane is told to want on the next trade."""

    side: Side
    units: Fraction
    stop_ticks: int
    target_ticks: int


class Wanted:
    """A size that the driver decides."""

    def __init__(self) -> None:
        self.number = Fraction(1)

    def units(self, at: Occasion, parameters: Any) -> Fraction:
        return self.number

    def distances(self) -> dict[str, Any]:
        return {}

    numbers = distances


class Told(Strategy):
    """Enters what it is told to on the next trade."""

    long = size < 0
    exits = (Stop(pct(3)), Target(pct(2)), TimeStop(seconds(4000)))
    wish: Wish | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        if wish is None:
            return None
        return Signal(wish.side, 0, wish.stop_ticks, wish.target_ticks)


@dataclass
class Position:
    side: int
    lots: int
    entry: int
    day: int
    record: int


@dataclass
class Observer:
    """Books the journal and names every limit that an entry exceeds."""

    limits: RiskLimits
    prices: list[int] = field(default_factory=lambda: [10_000, 10_000])
    half_spread: int = 0
    held: dict[int, Position] = field(default_factory=dict)
    working: dict[int, OrderSubmitted] = field(default_factory=dict)
    sent: list[OrderSubmitted] = field(default_factory=list)
    scale: int = 12
    cash: int = 10_000 * 10**12
    high: int = 10_000 * 10**12
    day: int = 0
    day_start: int = 10_000 * 10**12
    day_over: bool = False
    fallen: bool = False
    stopped: bool = False
    entries_today: int = 0
    losses: int = 0
    day_trades: list[int] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    entries: int = 0
    record: int = 0
    left: bool = False  # a position was closed since the account was last looked at
    wishes: dict[int, Wish] = field(default_factory=dict)

    def unit(self, index: int) -> int:
        """Money units of one tick and lot."""
        return 10 ** (self.scale - INSTRUMENTS[index].price_precision - INSTRUMENTS[index].size_precision)

    def equity(self) -> int:
        value = sum(p.side * p.lots * self.prices[LANES[n]] * self.unit(LANES[n]) for n, p in self.held.items())
        return self.cash + value

    def read(self, decision: Any) -> None:
        match decision:
            case OrderSubmitted():
                if decision.purpose == "entry":
                    self.judge(decision)
                self.working[decision.order_id] = decision
                self.sent.append(decision)
            case OrderCancelled():
                del self.working[decision.order_id]
            case OrderFilled():
                self.fill(decision)
            case PositionClosed():
                self.losses = self.losses + 1 if decision.net < 0 else 0
            case DayStarted():
                self.day, self.day_start, self.day_over = weekday_number(decision.day), self.equity(), False
                self.entries_today = self.losses = 0
            case TradingHalted(reason=Refusal.DAILY_LOSS):
                self.day_over = True
            case TradingHalted():
                self.stopped = True
            case TradingResumed():
                self.stopped = self.fallen = False
                self.high = self.equity()

    def fill(self, fill: OrderFilled) -> None:
        order = self.working.pop(fill.order_id)
        index = LANES[order.lane]
        self.cash -= order.side * fill.lots * int(fill.price_ticks) * self.unit(index) + fill.slippage + fill.fee
        if order.purpose == "entry":
            self.held[order.lane] = Position(order.side, fill.lots, int(fill.price_ticks), self.day, self.record)
            self.entries_today += 1
        else:
            position, self.left = self.held.pop(order.lane), True
            if position.day == self.day:
                self.day_trades.append(self.day)

    def mark(self, traded: int | None = None) -> None:
        """Look at the account after a trade in what was held before it, and after an exit.

        What an entry has cost counts from the next trade on: nothing is left on the trade that entered.
        """
        held = any(LANES[lane] == traded and p.record < self.record for lane, p in self.held.items())
        self.record += traded is not None
        if not (held or self.left):
            return
        self.left = False
        equity, limits = self.equity(), self.limits
        self.high = max(self.high, equity)
        lost = self.day_start - equity
        if limits.daily_loss_limit is not None and lost >= limits.daily_loss_limit * self.day_start:
            self.day_over = True
        if limits.daily_loss_money is not None and lost >= limits.daily_loss_money * 10**self.scale:
            self.day_over = True
        if limits.max_drawdown is not None and self.high - equity >= limits.max_drawdown * self.high:
            self.fallen = True

    def stops_kept(self, traded: int) -> None:
        """No position of the instrument that has just traded is left with the account's stop behind it."""
        stop = self.limits.position_stop
        leaving = {order.lane for order in self.working.values() if order.purpose != "entry"}
        for lane, p in self.held.items():
            if stop is not None and LANES[lane] == traded and lane not in leaving:
                self.expect("position_stop", p.side * (p.entry - self.prices[traded]) < stop * p.entry)

    def judge(self, order: OrderSubmitted) -> None:
        """Name the limits that this entry exceeds."""
        self.entries += 1
        limits, index, money = self.limits, LANES[order.lane], 10**self.scale
        equity, ts_ns = self.equity(), order.ts_ns
        price = self.prices[index] + order.side * self.half_spread
        value = order.lots * price * self.unit(index)
        coming = [one for one in self.working.values() if one.purpose == "entry"]
        mine = [one for one in coming if LANES[one.lane] == index]
        here = [p for lane, p in self.held.items() if LANES[lane] == index]
        same = sum(p.lots for p in here if p.side == order.side) + sum(o.lots for o in mine if o.side == order.side)
        all_lots = [(LANES[lane], p.lots) for lane, p in self.held.items()] + [(LANES[o.lane], o.lots) for o in coming]
        exposure = value + sum(lots * self.prices[i] * self.unit(i) for i, lots in all_lots)
        units = Fraction(order.lots + same, 10 ** INSTRUMENTS[index].size_precision)
        position_value = (order.lots + same) * price * self.unit(index)
        recent = [one for one in self.sent if one.ts_ns > ts_ns - SECOND]
        wish = self.wishes[order.lane]
        reward, risk = order.side * (wish.target_ticks - price), order.side * (price - self.stop_of(wish, price))
        window = limits.duplicate_window or 0
        twins = [
            one
            for one in self.sent
            if one.purpose == "entry"
            and (LANES[one.lane], one.side, one.lots) == (index, order.side, order.lots)
            and ts_ns - one.ts_ns < window
        ]
        self.expect("standing", not (self.stopped or self.day_over or self.fallen))
        self.at_most("positions_per_symbol", len(here) + len(mine) + 1)
        self.at_most("max_order_units", Fraction(order.lots, 10 ** INSTRUMENTS[index].size_precision))
        self.at_most("max_order_value", Fraction(value, money))
        self.at_most("max_position_units", units)
        self.at_most("max_position_value", Fraction(position_value, money))
        self.at_most("position_capital_fraction", Fraction(position_value, equity))
        self.at_most("max_total_capital_fraction", Fraction(exposure, equity))
        self.at_most("max_leverage", Fraction(exposure, equity))
        self.at_most("max_open_orders", len(self.working) + 1)
        self.at_most("max_orders_per_second", len(recent) + 1)
        self.at_most("max_trades_per_day", self.entries_today + len(coming) + 1)
        self.at_most("price_collar", Fraction(self.half_spread, self.prices[index]))
        self.expect("duplicate_window", not twins)
        self.expect("max_losses_in_row", self.losses < (limits.max_losses_in_row or 10**9))
        if limits.min_reward_risk is not None:
            self.expect("min_reward_risk", reward >= limits.min_reward_risk * risk > 0)
        if limits.pdt == "legacy":
            possible = sum(p.day == self.day for p in self.held.values()) + len(coming) + 1
            past = sum(day > self.day - 5 for day in self.day_trades)
            self.expect("pdt", past + possible <= 3)
        if limits.pdt == "intraday_margin":
            self.expect("pdt", equity >= max(2_000 * money, exposure / 4))

    def stop_of(self, wish: Wish, price: int) -> int:
        """The nearer of the wish's stop and the account's."""
        if self.limits.position_stop is None:
            return wish.stop_ticks
        bound = price * (1 - wish.side * self.limits.position_stop)
        own = bound.__floor__() if wish.side is Side.LONG else bound.__ceil__()
        return max(own, wish.stop_ticks) if wish.side is Side.LONG else min(own, wish.stop_ticks)

    def at_most(self, name: str, value: Fraction | int) -> None:
        limit = getattr(self.limits, name)
        self.expect(name, limit is None or value <= limit)

    def expect(self, name: str, kept: bool) -> None:
        if not kept:
            self.breaches.append(name)


def weekday_number(day: int) -> int:
    """Number of a day counted without weekends, which have that of their Monday."""
    weeks, rest = divmod(day - 4, 7)  # 1970-01-05 was a Monday
    return 5 * weeks + min(rest, 5)


def random_limits(random: Random, names: tuple[str, ...]) -> RiskLimits:
    """Some of these limits, at random values."""
    chosen = random.sample(names, random.randint(1, min(6, len(names))))
    return with_limits(ALL_OFF, {name: random.choice(CHOICES[name]) for name in chosen})


def play(
    seed: int, events: int = 25, limits: RiskLimits | None = None, judged_by: RiskLimits | None = None
) -> Observer:
    """Run one random sequence; ``judged_by`` lets the observer hold it against other limits than the gate has."""
    random = Random(seed)
    drawn = random_limits(random, tuple(BY_NAME))
    limits = drawn if limits is None else limits
    portfolio, journal = Portfolio(INSTRUMENTS, Fraction(10_000)), MemoryJournal()
    latency = random.choice((0, 0, SECOND // 3))
    costs = random.choice((Fee(), Fee(bps=Fraction(50))))
    strategies, sizes = [Told() for _ in LANES], [Wanted() for _ in LANES]
    kernel = Kernel(
        INSTRUMENTS,
        [Assignment(s, [i], Fraction(1), w) for s, i, w in zip(strategies, LANES, sizes, strict=True)],
        calendar=calendar("always"),
        portfolio=portfolio,
        risk=RiskGate(limits, portfolio),
        broker=PaperBroker(VenueModel("touch", fee=costs, latency_order=Constant(latency)), portfolio),
        journal=journal,
    )
    observer = Observer(judged_by or limits, scale=portfolio.scale)
    read, now = 0, START

    def follow() -> None:
        nonlocal read
        for decision in journal.decisions[read:]:
            observer.read(decision)
        read = len(journal.decisions)

    for _ in range(events):
        what = random.random()
        if what < 0.06:
            name = random.choice(tuple(CommandName))
            kernel.process(Command(name, now, random.choice(("", "looked at it"))))
            follow()
            observer.mark()
            continue
        if what < 0.08:
            kernel.process(EngineFault(now, "ValueError"))
            follow()
            observer.mark()
            continue
        now += random.choice((0, SECOND // 10, SECOND // 2, SECOND, SECOND + 1, 3600 * SECOND, DAY, 3 * DAY))
        index, half = random.randrange(2), random.randint(1, 6)
        price = max(5_000, observer.prices[index] + random.choice((0, 1, -1, 30, -30, 120, -120, -250)))
        for lane, strategy in enumerate(strategies):
            if LANES[lane] == index and random.random() < 0.6:
                side = random.choice(tuple(Side))
                strategy.wish = observer.wishes[lane] = Wish(
                    side,
                    Fraction(random.randint(1, 6)),
                    price - side * random.randint(20, 400),
                    price + side * random.randint(20, 400),
                )
                sizes[lane].number = observer.wishes[lane].units
        columns = [np.array([value], np.int64) for value in (now, price, 1, price - half, price + half)]
        observer_price, observer.half_spread = (index, price), half
        kernel.process(TickBlock(*columns, instrument=np.array([index], np.uint16)))
        settle(observer, journal.decisions[read:], observer_price, now)
        read = len(journal.decisions)
        observer.mark(index)
        if not latency:
            observer.stops_kept(index)
    return observer


def settle(observer: Observer, decisions: list[Any], traded: tuple[int, int], now: int) -> None:
    """Read what one record led to: timers first, which saw the old price; what happened on the record saw the new one.

    A day that began on the way began with the old prices, too.
    """
    index, price = traded
    for decision in decisions:
        if decision.ts_ns >= now and not isinstance(decision, DayStarted):
            observer.prices[index] = price
        observer.read(decision)
    observer.prices[index] = price
