"""An observer of trading that knows only what the journal says, and names every limit that an entry exceeds.

It books the decisions by itself, in whole numbers, and looks at every entry that left: had any limit been exceeded by
it? Of the market it knows the last trades and quotes, of an entry's price what the driver asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from engine.account.limits import RiskLimits
from engine.events import (
    DayStarted,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    PositionClosed,
    Refusal,
    SignalRefused,
    SignalSkipped,
    TradingHalted,
    TradingResumed,
)
from engine.model import Instrument, OrderType, Side

SECOND = 1_000_000_000
INSTRUMENTS = [Instrument("A", 2, 0), Instrument("B", 2, 1), Instrument("C", 2, 0)]
LANES = (0, 1, 0, 2)  # the instrument of each lane
STOPS = {"SL", "DECAY", "BE", "TRAIL", "RISK_SL"}
CASH = 10_000


@dataclass(slots=True)
class Wish:
    """What a lane is told to want on the next trade; ``pays`` is its limit or trigger, 0 at the market."""

    side: Side
    units: Fraction
    stop_ticks: int
    target_ticks: int
    order: OrderType | None = None
    entry_ticks: int = 0
    trigger_ticks: int = 0
    good_for_ns: int = 0
    post_only: bool = False
    pays: int = 0
    nearest_target: int = 0  # where the strategy's own levels begin, if the wish names no target


@dataclass
class Working:
    """An order that was sent and may still be filled."""

    sent: OrderSubmitted
    left: int
    filled: int = 0
    rests: bool = False

    @property
    def enters(self) -> bool:
        return self.sent.purpose == "entry"


@dataclass
class Position:
    """What a lane holds; ``bought`` is the last day on which it grew, ``counted`` that of its last day trade."""

    side: int
    lots: int
    entry: int
    record: int
    bought: int
    counted: int = -1


@dataclass
class Observer:
    """Books the journal and names every limit that an entry exceeds."""

    limits: RiskLimits
    scale: int
    prices: list[int] = field(default_factory=lambda: [10_000] * len(INSTRUMENTS))
    quotes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * len(INSTRUMENTS))
    ranges: list[float | None] = field(default_factory=lambda: [None] * len(INSTRUMENTS))
    held: dict[int, Position] = field(default_factory=dict)
    working: dict[int, Working] = field(default_factory=dict)
    sent: list[OrderSubmitted] = field(default_factory=list)
    wishes: dict[int, Wish] = field(default_factory=dict)
    cash: int = 0
    high: int = 0
    day: int = 0
    day_start: int = 0
    day_over: bool = False
    fallen: bool = False
    paused: bool = False
    halted: bool = False
    stale: bool = False
    entries_today: int = 0
    unfilled_today: int = 0
    losses: int = 0
    stops: int = 0
    day_trades: list[int] = field(default_factory=list)
    record: int = 0
    breaches: list[str] = field(default_factory=list)
    entries: int = 0
    seen: set[str] = field(default_factory=set)  # what the sequences have brought about

    def __post_init__(self) -> None:
        self.cash = self.high = self.day_start = CASH * 10**self.scale
        self.units = [10 ** (self.scale - of.price_precision - of.size_precision) for of in INSTRUMENTS]
        """Money units of one tick and lot of each instrument."""

    def equity(self) -> int:
        worth = self.cash
        for lane, p in self.held.items():
            worth += p.side * p.lots * self.prices[LANES[lane]] * self.units[LANES[lane]]
        return worth

    # ------------------------------------------------------------ what one input led to

    def follow(self, decisions: list[Any]) -> None:
        """Read decisions that were made at the prices as they are known."""
        for decision in decisions:
            self.read(decision)

    def traded(self, index: int, price: int, now: int, decisions: list[Any]) -> None:
        """Read what a trade led to: timers first, which saw the old price, then fills, exits, the account, entries.

        A day that began on the way began with the old prices, too.
        """
        self.record += 1
        looked = False
        for decision in decisions:
            on_record = decision.ts_ns >= now and not isinstance(decision, DayStarted)
            if on_record:
                self.prices[index] = price
            if on_record and not looked and is_entry(decision):
                looked = self.look_after_trade(index)
            self.read(decision)
        self.prices[index] = price
        if not looked:
            self.look_after_trade(index)

    def look_after_trade(self, index: int) -> bool:
        """The account is marked by a trade in what it holds."""
        if sum(p.side * p.lots for lane, p in self.held.items() if LANES[lane] == index):
            self.look()
        return True

    def look(self) -> None:
        """Has the account lost too much by now?"""
        equity = self.equity()
        self.high = max(self.high, equity)
        self.day_over |= self.day_is_lost(equity)
        self.fallen |= self.has_fallen(equity)

    def day_is_lost(self, equity: int) -> bool:
        limits, lost = self.limits, self.day_start - equity
        share, money = limits.daily_loss_limit, limits.daily_loss_money
        return (share is not None and lost * share.denominator >= share.numerator * self.day_start) or (
            money is not None and lost * money.denominator >= money.numerator * 10**self.scale
        )

    def has_fallen(self, equity: int) -> bool:
        limit = self.limits.max_drawdown
        return limit is not None and (self.high - equity) * limit.denominator >= limit.numerator * self.high

    # ------------------------------------------------------------ books

    def read(self, decision: Any) -> None:
        match decision:
            case OrderSubmitted():
                if decision.purpose == "entry":
                    self.judge(decision)
                self.working[decision.order_id] = Working(decision, decision.lots)
                self.sent.append(decision)
            case OrderRests():
                order = self.working[decision.order_id]
                order.left, order.rests = decision.lots, True
                self.seen.add(f"rests {decision.kind}" if order.enters else "rests target")
            case OrderCancelled():
                order = self.working.pop(decision.order_id)
                self.unfilled_today += order.enters and not order.filled
                self.seen.add(f"cancelled {'part' if order.filled else 'whole'}" if order.enters else "cancelled exit")
            case OrderFilled():
                self.fill(decision)
            case PositionClosed():
                self.losses = self.losses + 1 if decision.net < 0 else 0
                self.stops = self.stops + 1 if decision.reason in STOPS else 0
                if not any(LANES[lane] == LANES[decision.lane] for lane in self.held):
                    self.look()  # what others hold there is marked only once the exits on a trade are through
            case DayStarted():
                self.day, self.day_start, self.day_over = weekday_number(decision.day), self.equity(), False
                self.entries_today = self.unfilled_today = self.losses = self.stops = 0
            case TradingHalted(reason=Refusal.DAILY_LOSS):
                self.day_over = True
            case TradingHalted(reason=Refusal.PAUSED):
                self.paused = True
            case TradingHalted():
                self.halted = True
            case TradingResumed():
                if self.halted:
                    self.high, self.fallen = self.equity(), False
                self.paused = self.halted = False

    def fill(self, fill: OrderFilled) -> None:
        order = self.working[fill.order_id]
        lane, side, price, lots = order.sent.lane, order.sent.side, int(fill.price_ticks), fill.lots
        self.cash -= side * lots * price * self.units[LANES[lane]] + fill.slippage + fill.fee
        held = self.held.get(lane)
        if not order.enters:
            assert held is not None, "an exit closes what is open"
            held.lots -= lots
            if held.bought == self.day != held.counted:
                held.counted = self.day
                self.day_trades.append(self.day)
            if not held.lots:
                del self.held[lane]
        elif held is None:
            self.held[lane] = Position(side, lots, price, self.record, self.day)
        else:
            held.lots, held.record, held.bought = held.lots + lots, self.record, self.day
        if order.enters and not order.filled:
            self.entries_today += 1
        order.filled += lots
        order.left -= lots
        if order.rests:
            self.seen.add("filled waiting" if not order.left else "filled in part")
        if not order.left:
            del self.working[fill.order_id]

    # ------------------------------------------------------------ what may not be

    def stops_kept(self, traded: int) -> None:
        """No position of the instrument that has just traded is left with the account's stop behind it."""
        stop = self.limits.position_stop
        for lane, p in self.held.items():
            if stop is not None and LANES[lane] == traded and p.record < self.record:
                self.expect("position_stop", p.side * (p.entry - self.prices[traded]) < stop * p.entry)

    def judge(self, order: OrderSubmitted) -> None:
        """Name the limits that this entry exceeds."""
        self.entries += 1
        limits, index, money = self.limits, LANES[order.lane], 10**self.scale
        equity, ts_ns, wish = self.equity(), order.ts_ns, self.wishes[order.lane]
        bid, ask = self.quotes[index]
        price = wish.pays or (ask if order.side > 0 else bid)
        unit = self.units[index]
        coming = [one for one in self.working.values() if one.enters]
        unfilled = sum(not one.filled for one in coming)
        lanes_here = {lane for lane in self.held if LANES[lane] == index}
        lanes_here |= {one.sent.lane for one in coming if LANES[one.sent.lane] == index}
        same = sum(p.lots for lane, p in self.held.items() if LANES[lane] == index and p.side == order.side)
        same += sum(o.left for o in coming if LANES[o.sent.lane] == index and o.sent.side == order.side)
        every = [(LANES[lane], p.lots) for lane, p in self.held.items()]
        every += [(LANES[one.sent.lane], one.left) for one in coming]
        exposure = order.lots * price * unit + sum(lots * self.prices[i] * self.units[i] for i, lots in every)
        precision = 10 ** INSTRUMENTS[index].size_precision
        position_value = (order.lots + same) * price * unit
        recent = [one for one in self.sent if one.ts_ns > ts_ns - SECOND]
        lost = self.day_is_lost(equity) or self.has_fallen(equity)
        standing = self.paused or self.halted or self.day_over or self.fallen or self.stale
        self.expect("standing", not (standing or lost))
        self.at_most("positions_per_symbol", len(lanes_here) + 1)
        self.at_most("max_order_units", order.lots, precision)
        self.at_most("max_order_value", order.lots * price * unit, money)
        self.at_most("max_position_units", order.lots + same, precision)
        self.at_most("max_position_value", position_value, money)
        self.at_most("position_capital_fraction", position_value, equity)
        self.at_most("max_total_capital_fraction", exposure, equity)
        self.at_most("max_leverage", exposure, equity)
        self.at_most("max_open_orders", len(self.working) + 1)
        self.at_most("max_orders_per_second", len(recent) + 1)
        self.at_most("max_trades_per_day", self.entries_today + unfilled + 1)
        self.at_most("max_cancel_ratio", self.unfilled_today + unfilled + 1, max(1, self.entries_today))
        twice = bid + ask if 0 < bid <= ask else 2 * self.prices[index]  # the mid, or the last trade
        self.at_most("price_collar", abs(2 * price - twice), twice)
        self.expect("max_losses_in_row", self.losses < (limits.max_losses_in_row or 10**9))
        self.expect("max_stops_in_row", self.stops < (limits.max_stops_in_row or 10**9))
        self.expect("duplicate_window", not self.twins(order))
        if limits.min_reward_risk is not None:
            reward, risk = self.reward_and_risk(wish, price)
            self.expect("min_reward_risk", reward >= limits.min_reward_risk * risk > 0)
        if limits.liquidation_buffer is not None:
            self.judge_liquidation(index, order.side, (order.lots + same) * unit, exposure, equity)
        self.judge_day_trading(equity, exposure, coming)

    def judge_liquidation(self, index: int, side: int, lots_units: int, value: int, equity: int) -> None:
        """The move against the position that leaves no more equity than the maintenance margin of what is held."""
        margin, found = self.limits.maintenance_margin or Fraction(0), self.ranges[index]
        away = (equity - margin * value) / (lots_units * (1 - side * margin))
        least = self.limits.liquidation_buffer or 0
        self.expect("liquidation_buffer", found is not None and away >= least * Fraction(found))

    def judge_day_trading(self, equity: int, exposure: int, coming: list[Working]) -> None:
        money = 10**self.scale
        if self.limits.pdt == "legacy":
            lanes = {lane for lane, p in self.held.items() if p.bought == self.day != p.counted}
            lanes |= {o.sent.lane for o in coming if not self.counted_today(o.sent.lane)}
            past = sum(day > self.day - 5 for day in self.day_trades)
            self.expect("pdt", past + len(lanes) + 1 <= 3)
        if self.limits.pdt == "intraday_margin":
            self.expect("pdt", equity >= max(2_000 * money, exposure / 4))

    def counted_today(self, lane: int) -> bool:
        held = self.held.get(lane)
        return held is not None and held.bought == self.day == held.counted

    def twins(self, order: OrderSubmitted) -> list[OrderSubmitted]:
        """The same entry, sent within the window."""
        window = self.limits.duplicate_window or 0
        return [
            one
            for one in self.sent
            if one.purpose == "entry"
            and (LANES[one.lane], one.side, one.lots) == (LANES[order.lane], order.side, order.lots)
            and order.ts_ns - one.ts_ns < window
        ]

    def reward_and_risk(self, wish: Wish, price: int) -> tuple[int, int]:
        """Distances of target and stop from the price; the stop is the nearer of the wish's and the account's."""
        stop = wish.stop_ticks
        if self.limits.position_stop is not None:
            bound = price * (1 - wish.side * self.limits.position_stop)
            own = bound.__floor__() if wish.side is Side.LONG else bound.__ceil__()
            stop = max(own, stop) if wish.side is Side.LONG else min(own, stop)
        target = wish.target_ticks or wish.nearest_target
        return wish.side * (target - price), wish.side * (price - stop)

    def at_most(self, name: str, value: int, parts: int = 1) -> None:
        """``value`` in so many parts of what the limit is in is no more than it."""
        limit = getattr(self.limits, name)
        self.expect(name, limit is None or value * limit.denominator <= limit.numerator * parts)

    def expect(self, name: str, kept: bool) -> None:
        if not kept:
            self.breaches.append(name)


def is_entry(decision: Any) -> bool:
    """Whether it answers a wish to enter: the last things that happen on a record."""
    entering = isinstance(decision, OrderSubmitted) and decision.purpose == "entry"
    return entering or isinstance(decision, SignalRefused | SignalSkipped)


def weekday_number(day: int) -> int:
    """Number of a day counted without weekends, which have that of their Monday."""
    weeks, rest = divmod(day - 4, 7)  # 1970-01-05 was a Monday
    return 5 * weeks + min(rest, 5)
