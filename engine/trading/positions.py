"""Positions as they open and close: the money is booked, and the core is told what to watch.

``Positions`` is the last step of the way of a trade; what decides that there is one is the desk's.
"""

from __future__ import annotations

from fractions import Fraction

from engine import _core
from engine.account.orders import Order
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.events import PositionClosed, PositionReduced
from engine.model import TIME, Reason, Side
from engine.ports import Fill, Journal
from engine.sessions.trading_calendar import Calendar
from engine.trading.lanes import Lane, levels_of, management, outward
from engine.trading.legs import result_of


class Positions:
    """Books the fills of a core's lanes, arms what closes them, and keeps the core's account in step.

    Args:
        core: watches the open positions and marks the account.
        calendar: when the session closes.
        portfolio, risk, journal: the account, its gate, and where decisions go.
    """

    def __init__(
        self, core: _core.Core, calendar: Calendar, portfolio: Portfolio, risk: RiskGate, journal: Journal
    ) -> None:
        self._core, self._calendar = core, calendar
        self._portfolio, self._risk, self._journal = portfolio, risk, journal
        self.closed_on = [-1] * len(portfolio.instruments)  # the record on which each one's last position closed

    def open(self, lane: Lane, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """An entry was filled, or some of it: the position exists or grows, and the core watches its exits."""
        side, index, price = order.side, lane.instrument, fill.price_ticks
        grows = lane.in_position
        self._core.book(index, side * lots, self._portfolio.units[index], price, fill.slippage + fill.fee)
        position = self._portfolio.open(lane.number, index, side, lots, ts_ns, fill)
        position.pair, lane.in_position = lane.pair, True
        if not grows:
            lane.side, lane.slept = int(side), False
            self._watch(lane, side, price, ts_ns)

    def _watch(self, lane: Lane, side: Side, price: int | Fraction, ts_ns: int) -> None:
        """Let the core watch what closes the position."""
        core, plan = self._core, lane.plan
        own = lane.stop_ticks, lane.target_ticks  # those of the signal, if it brought any
        levels = levels_of(plan, side, price, lane.distances, self._risk.tighter_stop, *own)
        lane.stop_ticks, lane.account_stop, target, takes = levels
        if takes:
            lane.takes = takes
            target = next((take.price_ticks for take in takes if not take.resting), target)
        lane.target_ticks = target
        self._set_deadline(lane, ts_ns)
        first = price if isinstance(price, int) else core.price(lane.instrument)
        if plan.moves:
            best = outward(price, -side)
            core.manage_lane(lane.number, best, ts_ns, **management(plan, side, price, lane.stop_ticks, lane))
        lane.watch(core, ts_ns, first)

    def _set_deadline(self, lane: Lane, ts_ns: int) -> None:
        """When the position is closed whatever the price: the time stop, or so long before the session's close."""
        plan = lane.plan
        lane.held_until_ns = ts_ns + plan.not_before_ns if plan.not_before_ns else 0
        lane.deadline_ns, lane.deadline_reason = ts_ns + plan.time_stop_ns if plan.time_stop_ns else 0, TIME
        if plan.before_close_ns:
            day_ns = max(ts_ns, self._calendar.facts(ts_ns).close_ns - plan.before_close_ns)
            if not lane.deadline_ns or day_ns < lane.deadline_ns:
                lane.deadline_ns, lane.deadline_reason = day_ns, Reason.DAY

    def close(self, lane: Lane, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """An exit was filled: its leg is booked, or with the last lots the trade; a loss begins the cooldown."""
        core, index, reason = self._core, lane.instrument, order.reason
        assert reason is not None, "an exit has its reason"
        position = self._portfolio.positions[lane.number]
        unit, costs = self._portfolio.units[index], fill.slippage + fill.fee
        core.book(index, -position.side * lots, unit, fill.price_ticks, costs)
        leg = self._portfolio.close(lane.number, lots, reason, ts_ns, fill)
        if leg.borrow_units:
            core.set_account(core.equity - leg.borrow_units, self._risk.live_floor)
        if position.lots:
            self._journal.append(PositionReduced(ts_ns, lane.number, reason, lots, leg.gross_units, leg.net_units))
            return
        trade = self._portfolio.trades[-1]
        lane.in_position = False
        self.closed_on[index] = core.event_record_number
        ended = result_of(lane, trade.net_units, reason)
        if ended is not None:
            entrant, net_units, why = ended
            self._risk.ledger.closed(net_units, why)
            if net_units < 0:
                entrant.cooldown_left = entrant.strategy.parameters["cooldown_signals"].value
        self._journal.append(PositionClosed(ts_ns, lane.number, reason, trade.gross_units, trade.net_units))
