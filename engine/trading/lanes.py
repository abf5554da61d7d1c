"""A lane is one strategy on one instrument: what the kernel keeps about it beside the core's lane of its number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from fractions import Fraction
from math import ceil, floor
from operator import attrgetter
from typing import Any, NamedTuple

from engine import _core
from engine.account.orders import AT_MARKET, Order, Terms
from engine.errors import ConfigError
from engine.graph.compiler import CompiledRule
from engine.language.entries import EntryPlan
from engine.language.exits import ExitPlan
from engine.language.hedge import HedgePlan
from engine.model import (
    LONG,
    MARKET,
    MAX_PRICE_TICKS,
    NO_PRICE,
    SHORT,
    Instrument,
    OrderType,
    Reason,
    Side,
    Signal,
    TickBlock,
    TimeInForce,
)
from engine.quantities import format_duration
from engine.rules import Condition, RuleError
from engine.sessions.trading_calendar import DAY_NS
from engine.sizing import Size
from engine.strategy import Strategy

NEVER_BELOW, NEVER_ABOVE = -1, (1 << 62)
LATEST_NS = 1 << 62
"""The latest time the core takes."""

UNREACHED = {Side.LONG: NEVER_ABOVE, Side.SHORT: NEVER_BELOW}
"""The target of a position that has none left, or may not be closed by it yet."""


AT_ONCE = EntryPlan()


COMPOSED = (
    *("number", "strategy", "instrument", "lots", "plan", "rule", "asks_strategy", "distance_columns", "sizing"),
    *("size_columns", "entry_plan", "entry_column", "when_column", "stop_when_column", "gate"),
    *("partner", "follows", "hedge", "hedge_column"),
)
"""Fields of a lane that are as they were composed; whatever else there is, now or later, a snapshot keeps."""


@dataclass(slots=True)
class Lane:
    """One strategy on one instrument: what the kernel keeps about it beside the core's lane of the same number."""

    number: int
    strategy: Strategy
    instrument: int
    lots: int  # of every entry; with a sizing the most that one may be for
    plan: ExitPlan
    rule: CompiledRule
    asks_strategy: bool  # whether on_fire is the strategy's own
    distance_columns: Mapping[str, int]  # of the exits that are declared as distances in price, in ticks
    sizing: Size | None = None
    size_columns: Mapping[str, int] = field(default_factory=dict)  # of what the sizing measures
    entry_plan: EntryPlan = AT_ONCE
    entry_column: int | None = None  # of the price at which the entry waits, in ticks, where that is an expression
    when_column: int = -1  # of the condition that closes; -1 for none
    stop_when_column: int = -1  # of that part of it that counts as a stop; -1 for none
    cooldown_left: int = 0
    in_position: bool = False
    stop_ticks: int = 0
    target_ticks: int = 0
    account_stop: bool = False  # the stop is the account's, which was tighter than the strategy's own
    deadline_ns: int = 0
    deadline_reason: Reason = Reason.TIME
    held_until_ns: int = 0  # nothing but its stop, and the end of the day, closes it before; 0: that is over
    distances: Mapping[str, Fraction] = field(default_factory=dict)  # measured when the signal was taken, in ticks
    entry: Order | None = None  # at or on its way to the venue
    exit: Order | None = None  # that closes the whole position
    side: int = 0  # of the position that is open or was last
    asleep: bool = False  # the market is closed, and the position is held over it (engine.trading.nights)
    slept: bool = False  # it has been, and the instrument is not known to have traded since
    due: Reason | None = None  # why it is left at the opening
    takes: list[Take] = field(default_factory=list)  # the position's targets that are still to come
    gate: int = -1  # the column of what must hold when it enters; -1: nothing
    failed: bool = False  # the strategy's own code raised: it is asked nothing more
    partner: Lane | None = field(default=None, repr=False, compare=False)  # the other leg (engine.trading.legs)
    follows: bool = False  # the partner leads: this lane has no rule of its own
    hedge: HedgePlan | None = None  # of the one that leads
    hedge_column: int = -1  # of the hedge's ratio where that is measured
    pair: int = 0  # of the legs that are open or were last: the id of the order that entered the leading one
    earned: int = 0  # by a leg that is closed, until the other is
    pair_reason: Reason = Reason.LEG  # why the pair is left, once a leg has been

    @property
    def plain(self) -> list[str]:
        """Names of the fields that may change and are plain values."""
        return [one.name for one in fields(self) if one.name not in (*COMPOSED, "distances", "entry", "exit", "takes")]

    @property
    def orders(self) -> list[Order]:
        """Every order that it waits for."""
        return [one for one in (self.entry, self.exit, *(take.order for take in self.takes)) if one is not None]

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything about it that changes, as plain values; orders by their ids, 0 for none."""
        entry, leave = (0 if one is None else one.order_id for one in (self.entry, self.exit))
        takes = tuple(
            (*astuple(replace(take, order=None))[:-1], 0 if take.order is None else take.order.order_id)
            for take in self.takes
        )
        return (*(getattr(self, name) for name in self.plain), tuple(self.distances.items()), entry, leave, takes)

    def restore(self, state: Sequence[Any], orders: Mapping[int, Order]) -> None:
        """Go on from where the same lane was in this state; ``orders`` are those that it names."""
        *changing, distances, entry, leave, takes = state
        for name, value in zip(self.plain, changing, strict=True):
            setattr(self, name, value)
        self.distances = dict(distances)
        self.entry, self.exit = (orders[number] if number else None for number in (entry, leave))
        self.takes = [Take(*values) for *values, _ in takes]
        for take, (*_, number) in zip(self.takes, takes, strict=True):
            take.order = orders[number] if number else None

    @property
    def order(self) -> Order | None:
        """What is at or on its way to the venue to enter or to leave altogether."""
        return self.exit or self.entry

    @property
    def watched_target(self) -> int:
        """The target that the core is to watch, ticks: none while the position is too young to be closed by it."""
        return UNREACHED[Side(self.side)] if self.held_until_ns else self.target_ticks

    def watch(self, core: _core.Core, entry_ts_ns: int, first_price_ticks: int = 0) -> None:
        """Let the core watch what closes the position; the last two are those of the candles that count, if any."""
        deadline_ns, flat = self.deadline_ns or _core.FOREVER_NS, self.plan.flat_candles
        if self.held_until_ns:
            deadline_ns, flat = min(deadline_ns, self.held_until_ns), 0
        core.open_lane(
            self.number,
            self.side,
            self.stop_ticks,
            self.watched_target,
            deadline_ns,
            flat,
            entry_ts_ns,
            first_price_ticks,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the lane is open, and nothing at or on its way to the venue."""
        return not (self.in_position or self.entry or self.exit or self.takes)

    @property
    def is_free(self) -> bool:
        """Whether it may enter: it is idle, and its other leg, too."""
        return self.is_idle and (self.partner is None or self.partner.is_idle)


@dataclass(slots=True)
class Take:
    """One of several targets of an open position, or one that rests at the venue."""

    price_ticks: int
    until: int  # share of the entry that is closed once this target and those before it are, in parts of ``whole``
    since: int  # the same before it
    whole: int
    resting: bool
    order: Order | None = None

    def lots(self, entered: int) -> int:
        """Its lots of an entry: rounded so that all targets' together are as near as lots allow, and exact in sum."""
        return entered * self.until // self.whole - entered * self.since // self.whole


PRICE = attrgetter("price_ticks")


@dataclass(slots=True)
class Assignment:
    """A strategy, the instruments it trades, and the size of its entries.

    ``size`` is in units of the instrument; ``sizing`` says instead how it is worked out at each entry.
    """

    strategy: Strategy
    instruments: Sequence[int]
    size: Fraction
    sizing: Size | None = None
    when: Condition | None = None  # must hold when it enters


class Moment:
    """The read-only market that a strategy sees while it decides (``engine.strategy.Context``).

    Its features can only be asked for during that decision: later they would be another moment's.
    """

    __slots__ = ("_core", "_lane", "ask_ticks", "bid_ticks", "instrument", "price_ticks", "ts_ns")

    def __init__(self, core: _core.Core, lane: Lane, instrument: Instrument) -> None:
        self._core: _core.Core | None = core
        self._lane, self.instrument = lane, instrument
        self.ts_ns, self.price_ticks = core.event_ts_ns, core.price(lane.instrument)
        self.bid_ticks, self.ask_ticks = core.quote(lane.instrument)

    def features(self) -> Mapping[str, float]:
        """The declared comparisons' left sides by name, in display units; NaN while undefined."""
        if self._core is None:
            raise RuleError("a context's features are those of its own moment", fix="ask for them within on_fire")
        core, index = self._core, self._lane.instrument
        return {view.name: view.values(core, index)[0] for view in self._lane.rule.views}

    def close(self) -> None:
        """The decision is made: the market moves on."""
        self._core = None


def check_bars(block: TickBlock, lanes: Sequence[Lane], spans: Collection[tuple[str, int]]) -> None:
    """Refuse to trade on bars what needs to know more than a bar tells; ``spans`` is what the rules look at.

    Raises:
        ConfigError: a strategy closes after flat one-second candles, or a window holds no whole number of bars.
    """
    for lane in lanes:
        if lane.plan.flat_candles:
            raise ConfigError(
                f"it closes after {lane.plan.flat_candles} flat one-second candles, and bars do not show them",
                where=f"{type(lane.strategy).__name__}.exits",
                fix="give ticks, or switch that exit off where the strategy lets you: --set flat_candles=0",
            )
    assert block.start_ns is not None, "called for bars"
    for length in sorted(set((block.ts_ns - block.start_ns).tolist())):
        for what, span_ns in sorted(spans):
            if length > 0 and span_ns % length and span_ns != DAY_NS:
                raise ConfigError(
                    f"{what} of {format_duration(span_ns)} holds no whole number of bars of {format_duration(length)}",
                    where="rules",
                    fix=f"use a multiple of {format_duration(length)}, or give ticks",
                )


class Levels(NamedTuple):
    """Where a position closes, in ticks: ``takes`` are its targets where it has several, or one that rests."""

    stop_ticks: int
    account_stop: bool  # the stop is the account's, which is tighter than the strategy's own
    target_ticks: int
    takes: list[Take]


def levels_of(
    plan: ExitPlan,
    side: Side,
    entry: int | Fraction,
    distances: Mapping[str, Fraction],
    tighter_stop: Callable[[Side, int | Fraction, int], tuple[int, bool]],
    own_stop: int = NO_PRICE,
    own_target: int = NO_PRICE,
) -> Levels:
    """Where a position that was entered at a price closes: a signal's ``own`` stop and target go before those declared.

    The stop is never wider than the account allows: ``tighter_stop`` is ``engine.account.risk.RiskGate``'s. A reward is
    a multiple of the distance of the stop in force: exactly as declared, before its price is rounded, where it is that.
    """
    stop, account_stop = tighter_stop(side, entry, own_stop or declared_stop(plan, side, entry, distances))
    risked: Fraction | None = None
    if plan.reward is not None or plan.levels:
        declared = distances.get("stop") if plan.stop is None else entry * plan.stop
        risked = abs(Fraction(entry) - stop) if own_stop or account_stop or declared is None else declared
    takes = takes_of(plan, side, entry, risked, distances) if plan.levels and not own_target else []
    return Levels(stop, account_stop, own_target or declared_target(plan, side, entry, risked, distances), takes)


def declared_stop(plan: ExitPlan, side: Side, entry: int | Fraction, distances: Mapping[str, Fraction]) -> int:
    """The nearest price at which the stop closes: the exact bound of ``side * (p - e)``."""
    if plan.stop is not None:
        return bounded(moved(entry, plan.stop, -side))
    if "stop" in distances:
        return bounded(outward(entry - side * distances["stop"], -side))
    return UNREACHED[Side(-side)]


def declared_target(
    plan: ExitPlan, side: Side, entry: int | Fraction, risked: Fraction | None, distances: Mapping[str, Fraction]
) -> int:
    """The nearest price at which the target closes; ``risked`` is the stop's distance, where a reward needs it."""
    if plan.target is not None:
        return bounded(moved(entry, plan.target, side))
    if "target" in distances:
        return bounded(outward(entry + side * distances["target"], side))
    if plan.reward is not None and risked is not None:
        return bounded(outward(entry + side * risked * plan.reward, side))
    return UNREACHED[side]


def takes_of(
    plan: ExitPlan, side: Side, entry: int | Fraction, risked: Fraction | None, distances: Mapping[str, Fraction]
) -> list[Take]:
    """The targets of a position that closes in parts, nearest first; a reward is a multiple of what is ``risked``."""
    takes = []
    for level in plan.levels:
        if level.ratio is not None:
            price = moved(entry, level.ratio, side)
        elif level.reward is not None and risked is not None:
            price = outward(entry + side * risked * level.reward, side)
        else:
            price = outward(entry + side * distances[level.distance], side)
        takes.append(Take(bounded(price), level.share, 0, level.whole, level.resting))
    takes.sort(key=PRICE, reverse=side is SHORT)
    closed = 0
    for take in takes:
        take.since, closed = closed, closed + take.until
        take.until = closed
    return takes


def entry_terms(
    plan: EntryPlan, side: Side, last_ticks: int, level: Fraction | None, ts_ns: int, day_ends_ns: int
) -> Terms | None:
    """What an entry asks of the venue; ``level`` is where it waits, in ticks. None: at no price that there is.

    A limit is rounded to the tick that is no worse than asked, a trigger to the one that is no nearer.
    """
    if plan.kind is MARKET:
        return AT_MARKET
    expires_ns = {TimeInForce.GTD: ts_ns + plan.good_for_ns, TimeInForce.DAY: day_ends_ns}.get(plan.time_in_force, 0)
    away = plan.away if level is None else None
    limit = trigger = 0
    if plan.kind is OrderType.LIMIT:
        limit = moved(last_ticks, away, -side) if away is not None else outward(level or Fraction(0), -side)
    else:
        trigger = moved(last_ticks, away, side) if away is not None else outward(level or Fraction(0), side)
        limit = outward(trigger * (1 + side * plan.limit), -side) if plan.kind is OrderType.STOP_LIMIT else 0
    if not all(0 < price <= MAX_PRICE_TICKS for price in (limit or 1, trigger or 1)) or not (limit or trigger):
        return None
    return Terms(plan.kind, limit, trigger, plan.time_in_force, expires_ns, plan.post_only)


def signal_terms(signal: Signal, ts_ns: int) -> Terms | None:
    """What a signal that brings its own entry asks of the venue; None: at no price that there is."""
    assert signal.order is not None, "it says how it enters"
    kind, waits = signal.order, TimeInForce.GTD if signal.good_for_ns else TimeInForce.GTC
    expires_ns = min(ts_ns + int(signal.good_for_ns), LATEST_NS) if signal.good_for_ns else 0
    limit = int(signal.entry_ticks) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else NO_PRICE
    trigger = {OrderType.STOP: signal.entry_ticks, OrderType.STOP_LIMIT: signal.trigger_ticks}.get(kind, NO_PRICE)
    trigger = int(trigger)
    asked = {OrderType.LIMIT: (limit,), OrderType.STOP: (trigger,), OrderType.STOP_LIMIT: (limit, trigger)}
    if not all(0 < price <= MAX_PRICE_TICKS for price in asked.get(kind, ())):
        return None
    return Terms(kind, limit, trigger, waits, expires_ns, signal.post_only)


def moved(price: int | Fraction, ratio: Fraction, direction: int) -> int:
    """``price`` moved by a ratio of itself, to the tick there or the next one in ``direction`` (1 up, -1 down).

    In whole numbers: it is done for every entry, and fractions take their time.
    """
    part, whole = ratio.as_integer_ratio()
    top = whole + direction * part
    if isinstance(price, int):
        top *= price
    else:
        top, whole = top * price.numerator, whole * price.denominator
    return -(-top // whole) if direction > 0 else top // whole


def outward(price: int | Fraction, direction: int) -> int:
    """The tick at ``price``, or the next one in ``direction`` (1 up, -1 down)."""
    return floor(price) if direction < 0 else ceil(price)


def management(plan: ExitPlan, side: Side, entry: int | Fraction, stop_ticks: int, lane: Lane) -> dict[str, int]:
    """What ``core.manage_lane`` needs to move the stop of a position, in ticks: exact, never tighter than declared."""
    found: dict[str, int] = {}
    if plan.even_after is not None:
        found["even_from"] = moved(entry, plan.even_after, side)
        found["even_ticks"] = outward(entry * (1 + side * plan.even_keep), -side)
    if plan.trail is not None or "trailing" in lane.distances:
        found["trail_from"] = moved(entry, plan.trail_after, side)
    if plan.trail is not None:
        found["trail_share"] = plan.trail.denominator - side * plan.trail.numerator
        found["trail_scale"] = plan.trail.denominator
    elif "trailing" in lane.distances:
        found["trail_ticks"] = max(1, ceil(lane.distances["trailing"]))
    if plan.decay_ns and NEVER_BELOW < stop_ticks < NEVER_ABOVE:
        found["decay_ticks"] = max(0, floor(abs(Fraction(entry) - stop_ticks) * (1 - plan.decay_to)))
        found["decay_ns"] = plan.decay_ns
    if lane.when_column >= 0:
        found["when_column"] = lane.when_column
    if plan.opposite:
        found["opposite"] = 2 if side is LONG else 1
    return found


def bounded(price_ticks: int) -> int:
    """A strategy's own stop or target, within what a price may be; a price beyond is never reached."""
    if NEVER_BELOW <= price_ticks <= NEVER_ABOVE:
        return int(price_ticks)
    return NEVER_BELOW if price_ticks < NEVER_BELOW else NEVER_ABOVE
