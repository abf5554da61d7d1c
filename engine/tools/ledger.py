"""What a session's decisions came to: orders, fills, trades with their legs, positions, days and signals.

Everything follows from the decisions as they were recorded and from the manifest. No strategy runs, so a session can be
read when its strategy is gone or was edited. Money is exact: what the journal states (the gross and net of each leg,
the fee and slippage of each fill) is taken over, shares of an entry's costs are those of the portfolio, and the
spread is what is left of the difference between gross and net.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.account.portfolio import Leg, Portfolio, Position, Trade, average_price
from engine.errors import DataError
from engine.events import (
    DayStarted,
    Decision,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    PositionClosed,
    PositionReduced,
    SignalDeclined,
    SignalRefused,
    SignalSkipped,
    TradingHalted,
    TradingResumed,
)
from engine.live.replay import carried_by, config_of
from engine.model import Instrument, Reason, Side
from engine.tools.decision_numbers import ENTRY
from engine.tools.recorded import instruments_of


@dataclass(slots=True)
class OrderFacts:
    """An order, and where it stood at last: ``sent``, ``working``, ``partial``, ``filled`` or ``cancelled``.

    ``sequence`` is the record of the decision that sent it, ``decision`` its number among the decisions.
    """

    sequence: int
    decision: int
    sent: OrderSubmitted
    kind: str = "market"
    price_ticks: int | None = None
    filled: int = 0
    state: str = "sent"
    reason: str = ""  # why it was cancelled


@dataclass(slots=True)
class OpenTrade:
    """A trade that is not closed yet, and the order that entered it."""

    order_id: int
    position: Position


@dataclass(slots=True)
class Day:
    """A trading day: equity at its start and, once the next one began, at its end; what its exits realised."""

    day: int
    began_ts_ns: int
    start: int
    end: int | None = None
    trades: int = 0
    net: int = 0


class SignalFacts(NamedTuple):
    """A signal and what became of it: ``taken``, ``skipped``, ``refused`` or ``declined``."""

    sequence: int
    ts_ns: int
    lane: int
    direction: int
    outcome: str
    price_ticks: int | None  # not recorded for one that was taken: its order's fill says more
    reason: str = ""


@dataclass
class Ledger:
    """Takes a session's decisions in order, each with its record's number.

    Args:
        manifest: that of the session.

    Attributes:
        trades: the closed ones, equal to the session's own, each with the number of its entry order.
        made_by: of each of them the decisions that sent its entry and its last exit.
        open: the trades that are not closed, by lane.

    Raises:
        DataError: the manifest is not one that this can be read from.
    """

    manifest: dict[str, Any]
    orders: dict[int, OrderFacts] = field(default_factory=dict)
    fills: list[tuple[int, OrderFilled]] = field(default_factory=list)
    trades: list[tuple[int, Trade]] = field(default_factory=list)
    made_by: list[tuple[int, int]] = field(default_factory=list)
    open: dict[int, OpenTrade] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    signals: list[SignalFacts] = field(default_factory=list)
    halts: list[tuple[int, TradingHalted | TradingResumed]] = field(default_factory=list)

    def __post_init__(self) -> None:
        paper = config_of(self.manifest).paper
        try:
            self.instruments = instruments_of(self.manifest)
            self.lanes = [(str(lane["strategy"]), int(lane["instrument"])) for lane in self.manifest["lanes"]]
            self.follows = [lane.get("follows") for lane in self.manifest["lanes"]]  # whom, of a pair's other leg
        except (KeyError, TypeError, ValueError):
            what = f"the manifest of session {self.manifest.get('session')} does not name instruments and lanes"
            raise DataError(what, fix="it was recorded by an earlier version; see: microburst journal cat") from None
        carried = carried_by(self.manifest)
        starting = paper.starting_cash if carried is None else carried.equity
        self.account = Portfolio(self.instruments, starting, paper.borrow_rate)
        self._decisions = 0
        self._takers: dict[type[Any], Callable[[int, Any], None]] = {
            OrderSubmitted: self._submitted,
            OrderRests: self._rests,
            OrderFilled: self._filled,
            OrderCancelled: self._cancelled,
            PositionReduced: self._reduced,
            PositionClosed: self._closed,
            DayStarted: self._day,
            SignalSkipped: lambda at, one: self._signal(at, one, "skipped", "COOLDOWN"),
            SignalRefused: lambda at, one: self._signal(at, one, "refused", str(one.reason)),
            SignalDeclined: lambda at, one: self._signal(at, one, "declined", ""),
            TradingHalted: lambda at, one: self.halts.append((at, one)),
            TradingResumed: lambda at, one: self.halts.append((at, one)),
        }

    def instrument_of(self, lane: int) -> Instrument:
        """What a lane trades."""
        return self.instruments[self.lanes[lane][1]]

    def take(self, sequence: int, decision: Decision) -> None:
        """Take the next decision."""
        self._decisions += 1
        self._takers[type(decision)](sequence, decision)

    def _submitted(self, sequence: int, sent: OrderSubmitted) -> None:
        self.orders[sent.order_id] = OrderFacts(sequence, self._decisions, sent)
        if sent.purpose == ENTRY and self.follows[sent.lane] is None:
            self.signals.append(SignalFacts(sequence, sent.ts_ns, sent.lane, sent.side, "taken", None))

    def _rests(self, sequence: int, rests: OrderRests) -> None:
        order = self.orders[rests.order_id]
        order.kind, order.price_ticks = rests.kind, rests.price_ticks
        order.state = "partial" if order.filled else "working"

    def _filled(self, sequence: int, fill: OrderFilled) -> None:
        order = self.orders[fill.order_id]
        order.filled += fill.lots
        order.state = "filled" if order.filled == order.sent.lots else "partial"
        self.fills.append((sequence, fill))
        lane, entered = order.sent.lane, self.open.get(order.sent.lane)
        if order.sent.purpose == ENTRY:
            if entered is None:
                side, index = Side(order.sent.side), self.lanes[lane][1]
                position = Position(index, side, 0, 0, fill.ts_ns, fill.price_ticks, 0, 0, 0, 0)  # its mid is not told
                position.pair = self._pair(lane, fill.order_id)
                entered = self.open[lane] = OpenTrade(fill.order_id, position)
            position = entered.position
            position.lots += fill.lots
            position.entered += fill.lots
            position.slippage += fill.slippage
            position.fees += fill.fee

    def _pair(self, lane: int, order_id: int) -> int:
        """The pair that an entry begins: the id of its leading leg's entry, which is sent right before the other's."""
        if self.follows[lane] is not None:
            return order_id - 1
        return order_id if lane in self.follows else 0

    def _cancelled(self, sequence: int, cancelled: OrderCancelled) -> None:
        order = self.orders[cancelled.order_id]
        order.state, order.reason = "cancelled", cancelled.reason

    def _leg(self, lane: int, reason: str, lots: int, gross: int, net: int) -> None:
        """Book the newest fill as an exit of ``lots``; the journal has a leg's result right after its fill."""
        fill, position = self.fills[-1][1], self.open[lane].position
        borrow = self.account.borrow_fee(position, lots, fill.ts_ns)
        _, entry_slippage, entry_fees = position.take_costs(lots)
        slippage, fee = fill.slippage + entry_slippage, fill.fee + entry_fees
        spread = gross - net - slippage - fee - borrow
        position.legs.append(
            Leg(fill.ts_ns, lots, fill.price_ticks, Reason(reason), gross, spread, slippage, fee, borrow)
        )
        position.lots -= lots
        if self.days:
            self.days[-1].net += net

    def _reduced(self, sequence: int, reduced: PositionReduced) -> None:
        self._leg(reduced.lane, reduced.reason, reduced.lots, reduced.gross, reduced.net)

    def _closed(self, sequence: int, closed: PositionClosed) -> None:
        """The last leg is what earlier ones have left of the trade's result."""
        entered = self.open[closed.lane]
        position, before = entered.position, list(entered.position.legs)
        gross = closed.gross - sum(leg.gross_units for leg in before)
        net = closed.net - sum(leg.net_units for leg in before)
        self._leg(closed.lane, closed.reason, position.lots, gross, net)
        del self.open[closed.lane]
        self.trades.append((entered.order_id, self._trade(closed, position)))
        orders = entered.order_id, self.fills[-1][1].order_id
        self.made_by.append((self.orders[orders[0]].decision, self.orders[orders[1]].decision))
        if self.days:
            self.days[-1].trades += 1

    def _trade(self, closed: PositionClosed, position: Position) -> Trade:
        legs = position.legs
        return Trade(
            instrument=self.instruments[position.instrument],
            direction=position.side,
            lots=position.entered,
            entry_ts_ns=position.entry_ts_ns,
            exit_ts_ns=closed.ts_ns,
            entry_ticks=position.entry_ticks,
            exit_ticks=average_price(legs),
            reason=Reason(closed.reason),
            scale=self.account.scale,
            gross_units=closed.gross,
            spread_units=sum(leg.spread_units for leg in legs),
            slippage_units=sum(leg.slippage_units for leg in legs),
            fee_units=sum(leg.fee_units for leg in legs),
            net_units=closed.net,
            borrow_units=sum(leg.borrow_units for leg in legs),
            legs=tuple(legs),
            lane=closed.lane,
            pair=position.pair,
        )

    def _day(self, sequence: int, started: DayStarted) -> None:
        if self.days:
            self.days[-1].end = started.equity
        self.days.append(Day(started.day, started.ts_ns, started.equity))

    def _signal(
        self, sequence: int, signal: SignalSkipped | SignalRefused | SignalDeclined, outcome: str, reason: str
    ) -> None:
        price, side = signal.price_ticks, signal.direction
        self.signals.append(SignalFacts(sequence, signal.ts_ns, signal.lane, side, outcome, price, reason))

    def end_of(self, day: Day) -> int | None:
        """Equity at a day's end: of the latest day what was realised so far, not known while a position is open."""
        if day is not self.days[-1]:
            return day.end
        return None if self.open else self.account.starting + self.net_units()

    def net_units(self) -> int:
        """What all exits have realised, those of trades that are not closed included."""
        partly = [leg for entered in self.open.values() for leg in entered.position.legs]
        return sum(trade.net_units for _, trade in self.trades) + sum(leg.net_units for leg in partly)
