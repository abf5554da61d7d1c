"""The desk: the way from a signal through risk to an order, its fill, the position, and out of it again.

A signal comes to ``consider``, an exit that is due to ``leave``, orders that reach the venue to ``arrivals``. Every
order, whatever it is for, asks the risk gate first (``engine.risk``).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from engine import _core
from engine.entry_size import entry_lots, foreseen_exits
from engine.events import (
    OrderCancelled,
    OrderSubmitted,
    Refusal,
    SignalRefused,
    SignalSkipped,
    TradingHalted,
    TradingResumed,
)
from engine.lanes import Lane, bounded
from engine.model import NO_PRICE, Reason, Side, Signal
from engine.orders import Order, OrderState
from engine.portfolio import Portfolio
from engine.ports import Broker, Fill, Journal
from engine.positions import Positions
from engine.risk import NO_EXITS, Approved, RiskGate


@dataclass(slots=True)
class Counters:
    """What happened, by kind."""

    skipped: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


class Desk:
    """Sends the orders of lanes and answers for what becomes of them.

    Args:
        core: tells the time and the market, and watches lanes.
        lanes: every lane, by number.
        positions: books what is filled.
        portfolio, risk, broker, journal: the account, its gate, its venue and where decisions go.
    """

    def __init__(
        self,
        core: _core.Core,
        lanes: Sequence[Lane],
        positions: Positions,
        portfolio: Portfolio,
        risk: RiskGate,
        broker: Broker,
        journal: Journal,
    ) -> None:
        self._core, self._lanes, self._positions = core, lanes, positions
        self._portfolio, self._risk, self._broker, self._journal = portfolio, risk, broker, journal
        self.counters = Counters()
        self.entries_allowed = True
        self._orders = 0
        self._waiting: list[tuple[int, int, Lane, Approved]] = []

    # ------------------------------------------------------------ entries

    def allow_entries(self, allowed: bool) -> None:
        """From now on flat lanes look for signals, or do not."""
        self.entries_allowed = allowed
        for lane in self._lanes:
            if not lane.in_position and lane.order is None:
                self._rest(lane)

    def _rest(self, lane: Lane) -> None:
        """The lane is flat: it looks for signals while entries are allowed."""
        if self.entries_allowed:
            self._core.close_lane(lane.number)
        else:
            self._core.hold_lane(lane.number)

    def consider(self, lane: Lane, side: Side, signal: Signal | None) -> None:
        """Enter on ``side`` now, as the strategy's own signal says where it gave one, or say why not."""
        core = self._core
        ts_ns, price = core.event_ts_ns, core.price(lane.instrument)
        record = core.event_record_number
        if record >= 0 and record == self._positions.closed_on[lane.instrument]:
            self._refuse(lane, side, price, Refusal.POSITION_OPEN)  # it was open until this very trade
            return
        approved = self._approved(lane, side, signal)  # before the cooldown, which a refused signal does not use up
        if isinstance(approved, Refusal):
            self._refuse(lane, side, price, approved)
            return
        if lane.cooldown_left:
            lane.cooldown_left -= 1
            self.counters.skipped += 1
            self._journal.append(SignalSkipped(ts_ns, lane.number, int(side), price, lane.cooldown_left))
            return
        if signal is not None:
            lane.stop_ticks, lane.target_ticks = bounded(signal.stop_ticks), bounded(signal.target_ticks)
        else:
            lane.stop_ticks = lane.target_ticks = NO_PRICE
        if (fill := self._broker.fill(approved, price, *core.quote(lane.instrument))) is None:
            self._refuse(lane, side, price, Refusal.NO_QUOTE)
        elif self._broker.arrival_ns(approved) > ts_ns:
            core.hold_lane(lane.number)
            self._submit(lane, approved, "entry")
            self._wait(lane, approved)
        else:
            self._submit(lane, approved, "entry")
            self._positions.open(lane, approved.order, fill, ts_ns)

    def _approved(self, lane: Lane, side: Side, signal: Signal | None) -> Approved | Refusal:
        """Size an entry and ask risk for it: the only place where its lots are decided."""
        risk, core, exits = self._risk, self._core, NO_EXITS
        refusal = risk.refusal(lane.instrument)  # first: what is refused whatever its size need not be sized
        if refusal is not None:
            return refusal
        if not self._measure(lane):
            return Refusal.NO_EXIT
        if lane.sizing is not None or risk.limits.min_reward_risk is not None:
            entry = risk.paying(lane.instrument, side)
            exits = foreseen_exits(lane, side, entry, signal, risk)
            lots = entry_lots(lane, side, entry, exits, signal, core, self._portfolio)
        else:
            lots = lane.lots
        if not lots:
            return Refusal.NO_SIZE
        order = Order(self._orders + 1, lane.number, lane.instrument, side, lots, core.event_ts_ns)
        return risk.approve_entry(order, exits)

    def _measure(self, lane: Lane) -> bool:
        """Measure the distances of a lane's exits now; False when one is not defined, or is nothing."""
        if not lane.distance_columns:
            return True
        measured = {name: self._core.value(lane.instrument, c) for name, c in lane.distance_columns.items()}
        known = {name: Fraction(value) for name, value in measured.items() if value is not None and value > 0}
        lane.distances = known
        return len(known) == len(measured)

    def _refuse(self, lane: Lane, side: Side, price_ticks: int, reason: Refusal) -> None:
        self.counters.refusals[reason.value] += 1
        self._journal.append(SignalRefused(self._core.event_ts_ns, lane.number, int(side), price_ticks, reason))

    # ------------------------------------------------------------ exits

    def leave(self, lane: Lane, reason: Reason) -> None:
        """Send the order that closes a lane's position."""
        core, position = self._core, self._portfolio.positions[lane.number]
        ts_ns = core.event_ts_ns
        side = Side.SHORT if position.side is Side.LONG else Side.LONG
        order = Order(self._orders + 1, lane.number, lane.instrument, side, position.lots, ts_ns, reason)
        approved = self._risk.approve_exit(order)
        self._submit(lane, approved, reason)
        if self._broker.arrival_ns(approved) > ts_ns and reason is not Reason.END:
            core.hold_lane(lane.number)
            self._wait(lane, approved)
        else:
            self._close(lane, order, self._sure_fill(approved), ts_ns)

    def _close(self, lane: Lane, order: Order, fill: Fill, ts_ns: int) -> None:
        """The exit was filled: the lane is flat, unless with it a limit of the account is reached."""
        self._positions.close(lane, order, fill, ts_ns)
        self._rest(lane)
        if order.reason is not Reason.END and self._risk.watches_loss:
            core = self._core
            if core.drawdown_reached or self._risk.floor_reached(core.equity):
                self.limit_reached()

    # ------------------------------------------------------------ the account's limits, and who may trade

    def limit_reached(self) -> None:
        """The account has fallen too far from its highest, or too far today: flatten and open nothing."""
        if self._core.drawdown_reached:
            self.halt(Refusal.DRAWDOWN, Reason.RISK, self._core.event_ts_ns)
        else:
            self._risk.day_halted = True
            self._tell_limits()
            self._journal.append(TradingHalted(self._core.event_ts_ns, Refusal.DAILY_LOSS))
            self.flatten(Reason.RISK)

    def halt(self, why: Refusal, reason: Reason, ts_ns: int) -> None:
        """Close everything and open nothing until somebody resumes with a reason."""
        if self._risk.halt(why):
            self._journal.append(TradingHalted(ts_ns, why))
        self._tell_limits()
        self.flatten(reason)

    def resume(self, ts_ns: int, reason: str) -> None:
        """End a pause, and with a reason a halt: the drawdown is then counted from here."""
        if self._risk.resume(reason):
            self._journal.append(TradingResumed(ts_ns, reason))
            self._tell_limits()

    def start_day(self, number: int) -> None:
        """A trading day begins: its loss is counted from here."""
        self._risk.start_day(self._core.equity, number)
        self._core.set_account(self._core.equity, self._risk.live_floor)

    def _tell_limits(self) -> None:
        """Tell the core at which equity to say so."""
        self._core.set_account(self._core.equity, self._risk.live_floor)
        self._core.limit_drawdown(*self._risk.live_drawdown)

    def flatten(self, reason: Reason) -> None:
        """Close every position and call back every entry on its way."""
        for lane in self._lanes:
            if lane.in_position and lane.order is None:
                self.leave(lane, reason)
            elif lane.order is not None and lane.order.reason is None:
                self._cancel(lane, reason)

    def end(self) -> None:
        """No more records: close what is open at the last price and time."""
        for lane in self._lanes:
            if lane.order is not None:
                if lane.order.reason is None:
                    self._cancel(lane, Reason.END)
                else:
                    lane.order.become(OrderState.CANCELLED)
                    self._risk.ledger.cancelled(lane.order)
                    self._journal.append(OrderCancelled(self._core.engine_ts_ns, lane.order.order_id, Reason.END))
                    lane.order = None
            if lane.in_position:
                self.leave(lane, Reason.END)

    # ------------------------------------------------------------ orders on their way

    def _submit(self, lane: Lane, approved: Approved, purpose: str) -> None:
        order = approved.order
        self._orders += 1
        order.become(OrderState.SUBMITTED)
        self._risk.ledger.sent(order)
        self._journal.append(
            OrderSubmitted(order.decided_ns, order.order_id, lane.number, int(order.side), order.lots, purpose)
        )

    def _wait(self, lane: Lane, approved: Approved) -> None:
        lane.order = approved.order
        heapq.heappush(self._waiting, (self._broker.arrival_ns(approved), approved.order.order_id, lane, approved))
        self._core.set_alarm(self._waiting[0][0])

    def arrivals(self, ts_ns: int) -> None:
        """Orders reach the venue: fill them against the market as it stands now."""
        while self._waiting and self._waiting[0][0] <= ts_ns:
            _, _, lane, approved = heapq.heappop(self._waiting)
            order = approved.order
            if order.state is not OrderState.SUBMITTED:
                continue
            if order.reason is not None:
                self._close(lane, order, self._sure_fill(approved), ts_ns)
                continue
            self._positions.open(lane, order, self._sure_fill(approved), ts_ns)
        if self._waiting:
            self._core.set_alarm(self._waiting[0][0])

    def _sure_fill(self, approved: Approved) -> Fill:
        core, index = self._core, approved.order.instrument
        fill = self._broker.fill(approved, core.price(index), *core.quote(index))
        assert fill is not None, "there was a price when the order was sent, and quotes do not vanish"
        return fill

    def _cancel(self, lane: Lane, reason: str) -> None:
        order = lane.order
        assert order is not None, "only an order on its way is called back"
        order.become(OrderState.CANCELLED)
        self._risk.ledger.cancelled(order)
        lane.order = None
        self._journal.append(OrderCancelled(self._core.event_ts_ns, order.order_id, reason))
        self._rest(lane)
