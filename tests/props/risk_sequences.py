"""Random days of trading under random limits: what a kernel can be made to do, for an observer to judge.

Four lanes on three instruments want to enter at random, at the market or at a price where they wait, at random sizes
and with random stops; some take their profit in parts. Prices jump, orders are late and are filled in parts, waiting
ones expire, days pass, the feed goes stale, an operator pauses, flattens, halts and resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from engine.account.limits import ALL_OFF, BY_NAME, RiskLimits, with_limits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.fills import NAMES
from engine.brokers.paper import PaperBroker, VenueModel
from engine.events import Command, CommandName, End, EngineFault, FeedHealthy, Refusal, TimePassed
from engine.indicators import atr
from engine.journal.writer import MemoryJournal
from engine.language.entries import Limit
from engine.language.grammar import Expr
from engine.latency import Constant
from engine.model import OrderType, Side, Signal, TickBlock
from engine.quantities import Fee
from engine.rules import Stop, Target, TimeStop, Trailing, bars, pct, seconds, size
from engine.sessions.trading_calendar import calendar
from engine.sizing import Occasion
from engine.strategy import Strategy, Tick
from engine.trading.fitting import Graphs, compile_graphs
from engine.trading.kernel import Assignment, Kernel
from tests.props.risk_observer import CASH, INSTRUMENTS, LANES, SECOND, Observer, Wish

DAY = 86_400 * SECOND
START = 1_700_006_400 * SECOND  # a Wednesday, 00:00 UTC
WARM = 20  # records on each instrument before the first event, a second apart, where a range has to be known
GAPS = (0, SECOND // 10, SECOND // 2, SECOND, SECOND + 1, 3600 * SECOND, DAY, 3 * DAY)
LATENCIES = (0, 0, 0, 333_333_331, 2 * SECOND + 7)  # no sum of gaps, so that no timer falls on a record

CHOICES: dict[str, tuple[str, ...]] = {
    "daily_loss_limit": ("0.1%", "0.3%", "5%"),
    "daily_loss_money": ("8", "40"),
    "max_drawdown": ("0.1%", "0.5%"),
    "max_losses_in_row": ("1", "2"),
    "max_stops_in_row": ("1", "2"),
    "max_trades_per_day": ("1", "3"),
    "pdt": ("legacy", "intraday_margin"),
    "positions_per_symbol": ("1", "2"),
    "max_position_units": ("5", "8"),
    "max_position_value": ("500", "801"),
    "position_capital_fraction": ("3%", "5%"),
    "max_total_capital_fraction": ("6%", "12%"),
    "max_leverage": ("0.1", "0.2"),
    "liquidation_buffer": ("20000", "4000"),
    "liquidation_bar": ("1s", "2s"),
    "maintenance_margin": ("25%", "0.5%"),
    "max_order_units": ("3", "5"),
    "max_order_value": ("300", "501"),
    "max_open_orders": ("1", "2"),
    "max_orders_per_second": ("1", "2", "4"),
    "max_cancel_ratio": ("1", "1.5", "3"),
    "duplicate_window": ("1s", "3s"),
    "price_collar": ("0.02%", "0.05%"),
    "min_reward_risk": ("1", "2.5"),
    "position_stop": ("0.5%", "1%"),
}
"""Values of every limit at which these sequences would exceed it, were it not for the gate."""


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
    exits = (Stop(pct(3)), Target(pct(2)), TimeStop(seconds(4001)))
    wish: Wish | None = None

    def on_tick(self, tick: Tick) -> Signal | None:
        wish, self.wish = self.wish, None
        if wish is None:
            return None
        return Signal(
            wish.side,
            wish.entry_ticks,
            wish.stop_ticks,
            wish.target_ticks,
            order=wish.order,
            trigger_ticks=wish.trigger_ticks,
            good_for_ns=wish.good_for_ns,
            post_only=wish.post_only,
        )


class InParts(Told):
    """Takes its profit in parts, two of which wait at the venue; its stop follows."""

    exits = (
        Stop(pct(3)),
        Target(pct("0.2"), share=pct(40), resting=True),
        Target(pct("0.7"), share=pct(30)),
        Target(pct("1.2"), share=pct(30), resting=True),
        Trailing(pct("0.8"), after=pct("0.3")),
        TimeStop(seconds(4001)),
    )


class AtOnceOrNot(Told):
    """Offers a little more than the last trade, or asks a little less, and waits for nobody."""

    entry = Limit(pct("0.03"), time_in_force="ioc")


STRATEGIES = (Told, InParts, AtOnceOrNot, InParts)


@dataclass
class Shape:
    """Strategies with their sizes and the graphs compiled for them: the same for one sequence after another."""

    strategies: list[Told]
    sizes: list[Wanted]
    assignments: list[Assignment]
    graphs: Graphs


SHAPES: dict[tuple[int | None, str], Shape] = {}


def shape(watched_bar_ns: int | None, measured: Expr | None) -> Shape:
    """That of a gate which measures this range, where the observer looks at one of bars so long, or at none."""
    key = watched_bar_ns, str(measured)
    if key not in SHAPES:
        strategies, sizes = [kind() for kind in STRATEGIES], [Wanted() for _ in LANES]
        lanes = zip(strategies, LANES, sizes, strict=True)
        assignments = [Assignment(strategy, [index], Fraction(1), size) for strategy, index, size in lanes]
        watched = {"range": atr(bars(seconds(watched_bar_ns // SECOND)), 14)} if watched_bar_ns else {}
        graphs = compile_graphs(INSTRUMENTS, assignments, watched=watched, measured=measured)
        SHAPES[key] = Shape(strategies, sizes, assignments, graphs)
    return SHAPES[key]


def random_limits(random: Random) -> RiskLimits:
    """Some limits, at random values."""
    chosen = random.sample(tuple(BY_NAME), random.randint(1, 6))
    return with_limits(ALL_OFF, {name: random.choice(CHOICES[name]) for name in chosen})


COLUMNS = [np.zeros(1, kind) for kind in (*[np.int64] * 7, np.uint16, np.uint8)]
ONE_RECORD = TickBlock(*COLUMNS[:7], instrument=COLUMNS[7], kind=COLUMNS[8])
"""A block that is filled again for every record."""

UNITS = tuple(map(Fraction, range(1, 7)))
SIDES, COMMANDS, ORDERS = tuple(Side), tuple(CommandName), (None, *OrderType)


class Sequence:
    """One random sequence; ``judged_by`` lets the observer hold it against other limits than the gate has."""

    def __init__(self, seed: int, limits: RiskLimits | None = None, judged_by: RiskLimits | None = None) -> None:
        self.random = random = Random(seed)
        drawn = random_limits(random)
        limits = drawn if limits is None else limits
        judged = judged_by or limits
        portfolio, self.journal = Portfolio(INSTRUMENTS, Fraction(CASH)), MemoryJournal()
        self.latency_ns = self.pick(LATENCIES)
        fees = self.pick((Fee(), Fee(bps=Fraction(50))))
        venue = VenueModel(self.pick(NAMES), fee=fees, latency_order=Constant(self.latency_ns))
        needs_range = judged.liquidation_buffer is not None
        risk = RiskGate(limits, portfolio)
        one = shape((judged.liquidation_bar or 60 * SECOND) if needs_range else None, risk.range)
        self.strategies, self.sizes = one.strategies, one.sizes
        for strategy in self.strategies:
            strategy.wish = None
        self.kernel = Kernel(
            INSTRUMENTS,
            one.assignments,
            calendar=calendar("always"),
            portfolio=portfolio,
            risk=risk,
            broker=PaperBroker(venue, portfolio),
            journal=self.journal,
            graphs=one.graphs,
        )
        self.observer = Observer(judged, portfolio.scale)
        self.now, self._read = START, 0
        if needs_range:
            self._warm_up()

    def _warm_up(self) -> None:
        """Enough quiet trades for the range of every instrument to be known."""
        step = max(SECOND, self.observer.limits.liquidation_bar or 60 * SECOND)
        prices = np.array([10_000 + self.between(-9, 9) for _ in range(WARM)], np.int64)
        every = len(INSTRUMENTS)
        times = np.repeat(self.now + step * np.arange(WARM), every)
        rows = np.repeat(prices, every)
        ones, which = np.ones(WARM * every, np.int64), np.tile(np.arange(every, dtype=np.uint16), WARM)
        self.kernel.process(TickBlock(times, rows, ones, instrument=which))
        self.now = int(times[-1])
        self.observer.prices = [int(prices[-1])] * every
        self.observer.follow(self._decisions())

    def _decisions(self) -> list[Any]:
        """Those that are new."""
        new = self.journal.decisions[self._read :]
        self._read += len(new)
        return new

    def pick(self, several: Any) -> Any:
        """One of several, each as likely as the others: faster than ``Random.choice``."""
        return several[int(self.random.random() * len(several))]

    def between(self, least: int, most: int) -> int:
        """One of these numbers, or one between them."""
        return least + int(self.random.random() * (most - least + 1))

    # ------------------------------------------------------------ one event

    def step(self) -> None:
        """Let something happen, and the observer see what came of it."""
        random, observer = self.random, self.observer
        what = random.random()
        if what < 0.05:
            reason = self.pick(("", "looked at it"))
            self._tell(Command(self.pick(COMMANDS), self.now, reason))
        elif what < 0.06:
            self._tell(EngineFault(self.now, "ValueError"))
        elif what < 0.08:
            observer.stale = random.random() < 0.5
            self._tell(FeedHealthy(not observer.stale, Refusal.FEED_STALE if observer.stale else None))
        elif what < 0.11:
            self.now += self.pick(GAPS)
            self._tell(TimePassed(self.now))
        else:
            self.now += self.pick(GAPS)
            self._record(self.pick(range(len(INSTRUMENTS))), is_quote=what > 0.93)

    def _tell(self, event: Any) -> None:
        self.kernel.process(event)
        self.observer.follow(self._decisions())

    def _record(self, index: int, *, is_quote: bool) -> None:
        observer = self.observer
        price, half = observer.prices[index], self.between(1, 6)
        if not is_quote:
            price = max(5_000, price + self.pick((0, 1, -1, 30, -30, 120, -120, -250)))
        observer.quotes[index] = bid, ask = price - half, price + half
        if not is_quote:
            self._wish(index, price)
        traded = (0, 0) if is_quote else (price, self.pick((1, 1, 2, 3, 60)))
        shown = self.pick((0, 2, 40)), self.pick((0, 2, 40))
        for column, value in zip(COLUMNS, (self.now, *traded, bid, ask, *shown, index, is_quote), strict=True):
            column[0] = value
        self.kernel.process(ONE_RECORD)
        self._measure(index)
        if is_quote:
            observer.follow(self._decisions())
            return
        observer.traded(index, price, self.now, self._decisions())
        if not self.latency_ns:
            observer.stops_kept(index)

    def _measure(self, index: int) -> None:
        if "range" in self.kernel.columns:
            found = self.kernel.core.value(index, self.kernel.columns["range"][index])
            tick = 10 ** INSTRUMENTS[index].price_precision  # what is watched is in currency
            self.observer.ranges[index] = None if found is None or found != found else found * tick

    def _wish(self, index: int, price: int) -> None:
        """Tell some lanes of the instrument what to enter on the trade that comes."""
        random = self.random
        for lane, strategy in enumerate(self.strategies):
            if LANES[lane] == index and random.random() < 0.6:
                wish = self._wanted(strategy, self.pick(SIDES), price)
                strategy.wish = self.observer.wishes[lane] = wish
                self.sizes[lane].number = wish.units

    def _wanted(self, strategy: Told, side: Side, price: int) -> Wish:
        random = self.random
        order, away = self.pick(ORDERS), self.pick((0, 1, 4, 28))
        beyond = self.pick((0, 3)) if order is not None else 0
        entry = trigger = 0
        if order is OrderType.LIMIT:
            entry = price - side * away
        elif order is OrderType.STOP:
            entry = price + side * away
        elif order is OrderType.STOP_LIMIT:
            entry, trigger = price + side * (away + beyond), price + side * away
        pays = entry
        if order is None and isinstance(strategy, AtOnceOrNot):
            pays = rounded(price * (10_000 - side * 3), 10_000, -side)
        at = pays or self.observer.quotes[LANES[self.strategies.index(strategy)]][side > 0]
        in_parts = isinstance(strategy, InParts)
        return Wish(
            side,
            self.pick(UNITS),
            (entry or price) - side * self.between(20, 400),
            0 if in_parts else (entry or price) + side * self.between(20, 400),
            order,
            entry,
            trigger,
            self.pick((0, SECOND * 7 // 10 + 3, 3 * SECOND + 3)) if entry else 0,
            order is OrderType.LIMIT and random.random() < 0.2,
            pays,
            rounded(at * (1_000 + side * 2), 1_000, side) if in_parts else 0,
        )

    def end(self) -> None:
        """No more records: everything is closed at the last prices."""
        self._tell(End())


def rounded(price: int, parts: int, direction: int) -> int:
    """The tick at a price in so many parts of a tick, or the next one in that direction."""
    return -(-price // parts) if direction > 0 else price // parts


def play(
    seed: int, events: int = 25, limits: RiskLimits | None = None, judged_by: RiskLimits | None = None
) -> Observer:
    """Run one random sequence."""
    sequence = Sequence(seed, limits, judged_by)
    for _ in range(events):
        sequence.step()
    sequence.end()
    return sequence.observer
