"""The desk: the way from a signal through risk to an order, its fill, the position, and out of it again.

A signal comes to ``consider``, an exit that is due to ``leave`` or ``take_profit``, and what the venue makes of the
orders to ``on_fill`` and ``on_end``. Every order, whatever it is for, asks the gate first (``engine.account.risk``).
How orders travel, wait and meet the market is ``engine.trading.dispatch``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from engine import _core
from engine.account.entry_limits import NO_EXITS, Exits
from engine.account.entry_size import entry_lots, foreseen_exits
from engine.account.orders import AT_MARKET, Approved, Order, OrderError, OrderState, Terms
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.errors import UserError
from engine.events import Refusal, SignalRefused, SignalSkipped, TradingHalted, TradingResumed
from engine.model import END, LONG, MARKET, NO_PRICE, SHORT, TARGET, OrderType, Reason, Side, Signal
from engine.ports import Broker, Fill, Journal
from engine.sessions.trading_calendar import Calendar
from engine.trading.dispatch import LEFT_TO_EXITS, NO_ENTRIES, Dispatch
from engine.trading.lanes import UNREACHED, Lane, Take, bounded, entry_terms, signal_terms
from engine.trading.legs import OF_THE_ACCOUNT, Legs, enter_together, reason_of_other
from engine.trading.nights import AT_OPENING, awaits_opening, fall_asleep, wake
from engine.trading.positions import Positions

REDUCING, LIMIT = Terms(reduce_only=True), OrderType.LIMIT


def reason_to_leave(ending: str) -> Reason:
    """Why a position is left that was opened by an entry which was called back for a reason."""
    return Reason(ending) if ending in (*OF_THE_ACCOUNT, Reason.LEG) else Reason.RISK


@dataclass(slots=True)
class Counters:
    """What happened, by kind."""

    skipped: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


class Desk:
    """Turns signals into orders and answers for the positions that come of them.

    Args:
        core: tells the time and the market, and watches lanes.
        lanes: every lane, by number.
        calendar: when the trading day ends.
        positions: books what is filled.
        portfolio, risk, broker, journal: the account, its gate, its venue and where decisions go.
    """

    def __init__(
        self,
        core: _core.Core,
        lanes: Sequence[Lane],
        calendar: Calendar,
        positions: Positions,
        portfolio: Portfolio,
        risk: RiskGate,
        broker: Broker,
        journal: Journal,
    ) -> None:
        self._core, self._lanes, self._calendar, self._positions = core, lanes, calendar, positions
        self._portfolio, self._risk, self._broker, self._journal = portfolio, risk, broker, journal
        self._dispatch = Dispatch(core, broker, journal, self)
        self._legs = Legs(core, portfolio, risk, broker)
        self.arrivals = self._dispatch.arrivals
        self.counters = Counters()
        self.entries_allowed = True

    @property
    def orders(self) -> list[Order]:
        """Every order that may still be filled."""
        return self._dispatch.orders

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything that it remembers, as plain values."""
        counted = self.counters.skipped, tuple(self.counters.refusals.items())
        return self._dispatch.kept, tuple(self._positions.closed_on), counted, self.entries_allowed

    def restore(self, state: Sequence[Any], orders: Mapping[int, Approved]) -> None:
        """Go on from where another desk was in this state."""
        dispatch, closed_on, (self.counters.skipped, refusals), self.entries_allowed = state
        self._dispatch.restore(dispatch, orders)
        self._positions.closed_on[:] = closed_on
        self.counters.refusals.update(dict(refusals))

    # ------------------------------------------------------------ entries

    def allow_entries(self, allowed: bool) -> None:
        """From now on flat lanes look for signals, or do not, and what they have sent to enter is called back."""
        self.entries_allowed = allowed
        if not allowed:
            self._call_back_entries(NO_ENTRIES)
        for lane in self._lanes:
            self._rest_if_free(lane)

    def _rest_if_free(self, lane: Lane) -> None:
        """A lane with nothing open and nothing sent looks for signals while entries are allowed: a pair's lead."""
        if lane.follows and lane.partner is not None:
            lane = lane.partner
        if lane.is_free and self.entries_allowed:
            self._core.close_lane(lane.number)
        elif lane.is_free:
            self._core.hold_lane(lane.number)

    def consider(self, lane: Lane, side: Side, signal: Signal | None) -> None:
        """Enter on ``side`` now, as the strategy's own signal says where it gave one, or say why not."""
        core = self._core
        ts_ns, price = core.event_ts_ns, core.price(lane.instrument)
        if lane.gate >= 0 and not core.value(lane.instrument, lane.gate):
            self._refuse(lane, side, price, Refusal.REGIME)  # whether it may enter is known before anything else
            return
        record = core.event_record_number
        full = self._risk.limits.positions_per_symbol
        was_held = record >= 0 and record == self._positions.closed_on[lane.instrument]
        if was_held and full and self._risk.ledger.positions(lane.instrument) + 1 >= full:
            self._refuse(lane, side, price, Refusal.POSITION_OPEN)  # it was open until this very trade
            return
        approved, hedge = self._both(lane, side, signal)  # before the cooldown, which a refused signal does not use up
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
        if not self._broker.has_price(approved, price, *core.quote(lane.instrument)):
            self._refuse(lane, side, price, Refusal.NO_QUOTE)
            return
        core.hold_lane(lane.number)
        if hedge is None or lane.partner is None:
            lane.entry = approved
            self._send(approved, "entry")
            return
        enter_together(lane, approved, hedge)
        self._send(approved, "entry")
        self._send(hedge, "entry")

    def answer(self, lane: Lane, side: Side) -> Refusal | None:
        """What risk would say to an entry as declared, at this moment; nothing is sent and nothing counted."""
        answer, _ = self._both(lane, side, None)
        return answer if isinstance(answer, Refusal) else None

    def _both(self, lane: Lane, side: Side, signal: Signal | None) -> tuple[Approved | Refusal, Approved | None]:
        """What risk answers to an entry, and to that of its other leg: of a pair both are let through, or neither."""
        approved = self._risk.approve_entry(lane.instrument, lambda: self._draft(lane, side, signal))
        if lane.partner is None or isinstance(approved, Refusal):
            return approved, None
        hedge = self._legs.approve(lane, approved)
        return (hedge, None) if isinstance(hedge, Refusal) else (approved, hedge)

    def _draft(self, lane: Lane, side: Side, signal: Signal | None) -> tuple[Order, Exits] | Refusal:
        """Make an entry: the only place where its lots are decided."""
        risk, core, exits = self._risk, self._core, NO_EXITS
        if side is SHORT and not self._broker.may_short:
            return Refusal.NO_SHORTING
        if lane.distance_columns and not self._measure(lane):
            return Refusal.NO_EXIT
        if (terms := self._terms(lane, side, signal)) is None:
            return Refusal.NO_ENTRY
        if lane.sizing is not None or risk.limits.min_reward_risk is not None:
            entry = risk.paying(lane.instrument, side, terms)
            exits = foreseen_exits(lane, side, entry, signal, risk)
            lots = entry_lots(lane, side, entry, exits, signal, core, self._portfolio)
        else:
            lots = lane.lots
        if not lots:
            return Refusal.NO_SIZE
        order_id, ts_ns = self._dispatch.next_id, core.event_ts_ns
        return Order(order_id, lane.number, lane.instrument, side, lots, ts_ns, terms=terms), exits

    def _send(self, order: Approved, purpose: str) -> None:
        self._risk.ledger.sent(order)
        self._dispatch.send(order, purpose)

    def _terms(self, lane: Lane, side: Side, signal: Signal | None) -> Terms | None:
        """At the market or where the entry waits: as the signal says, or else as declared. None: at no price."""
        core, plan = self._core, lane.entry_plan
        ts_ns = core.event_ts_ns
        if signal is not None and signal.order is not None:
            return signal_terms(signal, ts_ns)
        if plan.kind is MARKET:
            return AT_MARKET
        level = None
        if lane.entry_column is not None:
            value = core.value(lane.instrument, lane.entry_column)
            if value is None or not value > 0:
                return None
            level = Fraction(value)
        day_ends_ns = self._calendar.facts(ts_ns).close_ns
        return entry_terms(plan, side, core.price(lane.instrument), level, ts_ns, day_ends_ns)

    def _measure(self, lane: Lane) -> bool:
        """Measure the distances of a lane's exits now; False when one is not defined, or is nothing."""
        measured = {name: self._core.value(lane.instrument, c) for name, c in lane.distance_columns.items()}
        known = {name: Fraction(value) for name, value in measured.items() if value is not None and value > 0}
        lane.distances = known
        return len(known) == len(measured)

    def _refuse(self, lane: Lane, side: Side, price_ticks: int, reason: Refusal) -> None:
        self.counters.refusals[reason.value] += 1
        self._journal.append(SignalRefused(self._core.event_ts_ns, lane.number, int(side), price_ticks, reason))

    # ------------------------------------------------------------ exits

    def leave(self, lane: Lane, reason: Reason) -> None:
        """Close a lane's whole position at the market, its other leg, too, and call back whatever else it has sent."""
        if lane.asleep and reason is not END:
            lane.due = lane.due or reason
            return
        if lane.entry is not None:
            self._dispatch.cancel(lane.entry, reason)
        if lane.takes:
            self._call_back_targets(lane, reason)
        self._core.hold_lane(lane.number)
        terms = AT_OPENING if reason is not END and awaits_opening(self._core, lane) else REDUCING
        lane.exit = self._exit(lane, self._portfolio.positions[lane.number].lots, reason, terms)
        other = lane.partner
        if other is not None and other.entry is not None:
            self._dispatch.cancel(other.entry, reason_of_other(reason))
        self._send(self._risk.approve_exit(lane.exit), reason)
        if other is not None:
            self._part(other, reason_of_other(reason))

    def _part(self, lane: Lane, reason: Reason) -> None:
        """The other leg is left, or cannot be had: leave this one, or call it back."""
        if lane.entry is not None:
            self._dispatch.cancel(lane.entry, reason)
        if lane.in_position and lane.exit is None:
            self.leave(lane, reason)

    def time_is_up(self, lane: Lane, reason: Reason) -> None:
        """A timer of an open position ran out: it is closed, or was too young until now to be closed by its target."""
        now_ns = self._core.event_ts_ns
        if lane.held_until_ns and not (lane.deadline_ns and lane.deadline_ns <= now_ns):
            lane.held_until_ns = 0
            lane.watch(self._core, now_ns + 1)
        else:
            self.leave(lane, reason)

    def take_profit(self, lane: Lane) -> None:
        """A trade reached the nearest target: close the shares of all that it reached, and watch the next."""
        if not lane.takes:
            self.leave(lane, TARGET)
            return
        position, price = self._portfolio.positions[lane.number], self._core.price(lane.instrument)
        watched = [take for take in lane.takes if not take.resting and take.order is None]
        reached = [take for take in watched if position.side * (price - take.price_ticks) >= 0]
        if sum(take.lots(position.entered) for take in reached) >= position.lots or not reached:
            self.leave(lane, TARGET)
            return
        beyond = [take.price_ticks for take in watched if take not in reached]
        lane.target_ticks = beyond[0] if beyond else UNREACHED[position.side]
        self._core.go_on(lane.number, lane.target_ticks)
        for take in reached:
            if lane.exit is not None or not lane.in_position:
                return  # with the one before, the account has reached a limit
            self._take(lane, take, REDUCING)

    def _take(self, lane: Lane, take: Take, terms: Terms) -> None:
        """Send the order of one target; of too few lots to have a share, there is none."""
        lots = take.lots(self._portfolio.positions[lane.number].entered)
        if not lots:
            lane.takes.remove(take)
            return
        take.order = self._exit(lane, lots, TARGET, terms)
        self._send(self._risk.approve_exit(take.order), TARGET)

    def _exit(self, lane: Lane, lots: int, reason: Reason, terms: Terms) -> Order:
        side = SHORT if self._portfolio.positions[lane.number].side is LONG else LONG
        ts_ns = self._core.event_ts_ns
        return Order(self._dispatch.next_id, lane.number, lane.instrument, side, lots, ts_ns, reason, terms=terms)

    def _place_targets(self, lane: Lane) -> None:
        """Let the targets that rest be at the venue, for their shares of what has been entered so far."""
        entered = self._portfolio.positions[lane.number].entered
        for take in [take for take in lane.takes if take.resting]:
            if lane.exit is not None or not lane.in_position:
                return  # one was filled at once, and with it the account has reached a limit
            if take.order is None:
                self._take(lane, take, Terms(LIMIT, take.price_ticks, reduce_only=True))
            elif take.lots(entered) > take.order.lots:
                self._dispatch.resize(take.order, take.lots(entered))
                self._risk.ledger.resized(take.order)

    def _call_back_targets(self, lane: Lane, reason: str) -> None:
        """Nothing more is taken at the targets: what is watched is forgotten, what was sent called back."""
        lane.takes = [take for take in lane.takes if take.order is not None]
        for take in list(lane.takes):
            assert take.order is not None, "only those are left"
            self._dispatch.cancel(take.order, reason)

    # ------------------------------------------------------------ the account's limits, and who may trade

    def limit_reached(self) -> None:
        """The account has fallen too far from its highest, or too far today: flatten and open nothing."""
        if self._core.drawdown_reached:
            self.halt(Refusal.DRAWDOWN, Reason.RISK, self._core.event_ts_ns)
        else:
            self._risk.day_halted = True
            self._core.set_account(self._core.equity, self._risk.live_floor)
            self._journal.append(TradingHalted(self._core.event_ts_ns, Refusal.DAILY_LOSS))
            self.flatten(Reason.RISK)

    def halt(self, why: Refusal, reason: Reason, ts_ns: int, said: str = "") -> None:
        """Close everything and open nothing until somebody resumes with a reason; an operator has ``said`` why."""
        if self._risk.halt(why, said):
            self._journal.append(TradingHalted(ts_ns, why))
        self._tell_limits()
        self.flatten(reason)

    def pause(self, ts_ns: int) -> None:
        """Open nothing until resumed: entries on their way are called back, positions are left to their exits."""
        self._risk.paused = True
        self._journal.append(TradingHalted(ts_ns, Refusal.PAUSED))
        self._call_back_entries(Refusal.PAUSED)

    def trust_feed(self, refusal: Refusal | None) -> None:
        """Open nothing while there is a reason not to trust what the feed says, and call back what would be opened."""
        self._risk.feed_refusal = refusal
        if refusal is not None:
            self._call_back_entries(refusal)

    def _call_back_entries(self, reason: str) -> None:
        for lane in self._lanes:
            if lane.entry is not None:
                self._dispatch.cancel(lane.entry, reason)

    def resume(self, ts_ns: int, reason: str) -> None:
        """End a pause, and with a reason a halt: only then the drawdown is counted from here."""
        halted = self._risk.halted is not None
        if self._risk.resume(reason):
            self._journal.append(TradingResumed(ts_ns, reason))
            if halted:
                self._tell_limits()

    def start_day(self, number: int) -> None:
        """A trading day begins: its loss is counted from here."""
        self._risk.start_day(self._core.equity, number)
        self._core.set_account(self._core.equity, self._risk.live_floor)

    def _tell_limits(self) -> None:
        """Tell the core at which equity to say so; a drawdown is counted from here."""
        self._core.set_account(self._core.equity, self._risk.live_floor)
        self._core.limit_drawdown(*self._risk.live_drawdown)

    def flatten(self, reason: Reason) -> None:
        """Close every position and call back every entry; one that cannot be keeps none of the others open.

        Raises:
            Exception: the first that was raised for one of them, once all have been seen to.
        """
        failed: Exception | None = None
        for lane in self._lanes:
            try:
                self._part(lane, reason)
            except UserError:
                raise
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def close_session(self) -> None:
        """The market closes: positions are closed, but for those that sleep; entries are called back."""
        for lane in self._lanes:
            if fall_asleep(self._core, lane):
                if lane.entry is not None:
                    self._dispatch.cancel(lane.entry, Reason.SESSION)
            else:
                self._part(lane, Reason.SESSION)

    def open_session(self, ts_ns: int) -> None:
        """The market opens: what slept is watched again, or left with its first trade."""
        for lane in self._lanes:
            if lane.asleep and (reason := wake(self._core, lane, ts_ns)) is not None:
                self.leave(lane, reason)

    def end(self) -> None:
        """No more records: close what is open at the last price and time."""
        for lane in self._lanes:
            for order in (lane.entry, lane.exit):
                if order is not None:
                    self._dispatch.cancel(order, END)
            if lane.in_position:
                self.leave(lane, END)

    def reconcile(self) -> None:
        """Compare what is held and on its way in every book: after time in which anything may have happened.

        Raises:
            OrderError: two of them differ.
        """
        ledger, positions = self._risk.ledger, self._portfolio.positions
        for lane in self._lanes:
            books = ledger.held.get(lane.number), positions.get(lane.number)
            risk, account = (0 if held is None else held.side * held.lots for held in books)
            if risk != account or lane.in_position != bool(account):
                raise OrderError(f"lane {lane.number} holds {risk} lots for risk and {account} for the account")
        if (known := sorted(ledger.working)) != (sent := self._dispatch.working):
            raise OrderError(f"orders {known} are on their way for risk and {sent} at the venue")

    def pick_up(self, ts_ns: int) -> None:
        """Go on after an input on which something failed: nothing waits for an order that is nowhere any more.

        What is open and not being left is watched again, from the next record on.
        """
        for lane in self._lanes:
            for order in (lane.entry, lane.exit, *(take.order for take in lane.takes)):
                if order is not None and order.state is OrderState.APPROVED:  # it was never sent
                    if order.order_id in self._risk.ledger.working:
                        self._risk.ledger.cancelled(order)
                    self._strike(lane, order)
                    self._rest_if_free(lane)
        self._dispatch.give_up(ts_ns)
        for lane in self._lanes:
            if lane.in_position and lane.exit is None and not lane.asleep:
                self._core.go_on(lane.number, lane.watched_target)

    # ------------------------------------------------------------ what the venue says

    def filled(self, order_id: int, lots: int) -> None:
        """The core found a record that fills a resting order."""
        self._dispatch.filled(order_id, lots, self._core.event_ts_ns)

    def open_lots(self, order: Order) -> int:
        """Lots of the position that an order leaves: what a reduce-only order may fill at most."""
        position = self._portfolio.positions.get(order.lane)
        return position.lots if position is not None else 0

    def on_fill(self, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """An entry's fill opens or adds to the position, an exit's closes some of it, or all.

        A position that an entry opens while its cancel travels is left at once, unless what it was called back for
        leaves positions to their exits.
        """
        lane = self._lanes[order.lane]
        self._risk.ledger.filled(order, lots)
        if order.reason is None:
            if order.is_done:
                lane.entry = None
            opens = not lane.in_position
            self._positions.open(lane, order, lots, fill, ts_ns)
            if opens and order.ending and order.ending not in LEFT_TO_EXITS:
                self.leave(lane, reason_to_leave(order.ending))
            elif lane.takes and lane.exit is None:
                self._place_targets(lane)
            return
        whole = lane.exit is order
        self._positions.close(lane, order, lots, fill, ts_ns)
        if order.is_done:
            self._strike(lane, order)
        if lane.entry is not None:
            self._dispatch.cancel(lane.entry, order.reason)  # what is being left is not added to
        if not lane.in_position:
            self._core.hold_lane(lane.number)
            if lane.takes:
                self._call_back_targets(lane, order.reason)
            self._rest_if_free(lane)
        elif whole:
            self.leave(lane, order.reason)  # an entry was filled on, after the exit had been sent
        if order.reason is not END and self._risk.loss() is not None:
            self.limit_reached()

    def on_late_fill(self, order: Order, lots: int, fill: Fill, ts_ns: int) -> None:
        """A fill of an order that had ended counts all the same.

        A position that an entry has opened so is nobody's wish any more, and left at once; one that it had opened in
        part is larger than it was thought to be.

        Raises:
            OrderError: it would add to another entry's position, or close more than there is.
        """
        lane, position = self._lanes[order.lane], self._portfolio.positions.get(order.lane)
        if order.reason is None:
            fits = position is None or position.is_of(order.side, fill)
        else:
            fits = position is not None and position.lots >= lots
        if not fits:
            raise OrderError(f"order {order.order_id} had ended, and {lots} lots that it has filled fit nothing open")
        self._risk.ledger.filled_late(order, lots)
        if order.reason is None:
            if lane.entry is not None:
                self._dispatch.cancel(lane.entry, Reason.RISK)
            self._positions.open(lane, order, lots, fill, ts_ns)
            if position is None:
                self.leave(lane, Reason.RISK)
            return
        self._positions.close(lane, order, lots, fill, ts_ns)
        if not lane.in_position:
            self._core.hold_lane(lane.number)
            self._call_back_targets(lane, order.reason)
            self._rest_if_free(lane)

    def on_end(self, order: Order) -> None:
        """Nothing more of an order will be filled. What it was to leave altogether, and has not, is watched again."""
        lane = self._lanes[order.lane]
        self._risk.ledger.cancelled(order)
        left_standing = lane.exit is order and lane.in_position
        self._strike(lane, order)
        if left_standing:
            self._core.go_on(lane.number, lane.watched_target)
        if lane.partner is not None and order.reason is None:
            self._part(lane.partner, Reason.LEG)
        self._rest_if_free(lane)

    @staticmethod
    def _strike(lane: Lane, order: Order) -> None:
        """The lane no longer waits for an order."""
        if lane.entry is order:
            lane.entry = None
        elif lane.exit is order:
            lane.exit = None
        else:
            lane.takes = [take for take in lane.takes if take.order is not order]
