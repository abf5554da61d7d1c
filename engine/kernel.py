"""The kernel: inputs in, decisions out; the only place where core, strategies, risk, venue and journal meet.

It is pure. It never asks the clock: each input carries its time, and the core fires timers in order. The same kernel
runs a backtest (one block of a million records), a replay and a paper session (one block per socket read); how the
records are cut into blocks never changes a decision.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from engine import _core
from engine.compiler import CompiledRule, Compiler
from engine.custom import callers_of, fault_of
from engine.errors import ConfigError, UserError
from engine.events import (
    Command,
    CommandName,
    DayStarted,
    End,
    FeedGap,
    FeedHealthy,
    OrderCancelled,
    OrderFilled,
    OrderSubmitted,
    PositionClosed,
    Refusal,
    SignalDeclined,
    SignalRefused,
    SignalSkipped,
    TimePassed,
    TradingHalted,
)
from engine.grammar import Part, RuleError
from engine.lanes import Assignment, Lane, Moment, bounded, check_bars, exit_bounds, management, outward
from engine.model import MAX_PRICE_TICKS, MAX_SIZE_LOTS, NO_PRICE, Instrument, Reason, Side, Signal, TickBlock
from engine.nodes import Parameters
from engine.orders import Order, OrderState
from engine.portfolio import Portfolio, Trade
from engine.ports import Broker, Fill, Journal
from engine.risk import Approved, RiskGate
from engine.session_rules import Happens, SessionRules, schedule
from engine.sessions import DAY_NS, Calendar
from engine.strategy import Strategy, Tick, call

MAX_MONEY = 1 << 120
"""Bound of the starting equity in money units: leaves room in 128 bits for every gain and loss."""

MAX_UNIT = (1 << 63) - 1
"""Bound of the money units in one tick and lot, as the core takes them."""

LATEST_NS = 1 << 62
"""The latest time the core takes."""

Input = TickBlock | TimePassed | FeedGap | FeedHealthy | Command | End

STOP_REASONS = {
    _core.DECLARED: Reason.STOP,
    _core.DECAYED: Reason.DECAYED,
    _core.EVEN: Reason.EVEN,
    _core.TRAILING: Reason.TRAILING,
}

EXIT_REASONS = {
    _core.STOP: Reason.STOP,
    _core.TARGET: Reason.TARGET,
    _core.OPPOSITE: Reason.OPPOSITE,
    _core.TIME: Reason.TIME,
    _core.FLAT: Reason.FLAT,
}


@dataclass(slots=True)
class Counters:
    """What happened, by kind."""

    skipped: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


class Kernel:
    """Runs strategies over inputs. ``process`` is the only way in; what it decides goes to the journal.

    Args:
        instruments: every instrument of the stream, by index.
        assignments: which strategy trades what.
        calendar: trading sessions; outside them nothing is opened and windows begin anew.
        rules: when within them entries are allowed, and when everything is closed.
        portfolio, risk, broker, journal: the account, its gate, its venue and where decisions go.
        show_vwap: also compute the session's VWAP and deviation on every instrument, for viewers.
        watched: expressions and conditions to compute on every instrument beside the rules, by name; ``columns`` then
            holds the column of each, by instrument.
        parameters: the values of the parameters in ``watched``.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        assignments: Sequence[Assignment],
        *,
        calendar: Calendar,
        rules: SessionRules | None = None,
        portfolio: Portfolio,
        risk: RiskGate,
        broker: Broker,
        journal: Journal,
        show_vwap: bool = False,
        watched: Mapping[str, Part] | None = None,
        parameters: Parameters | None = None,
    ) -> None:
        self.instruments = list(instruments)
        self.portfolio, self.risk, self.broker, self.journal = portfolio, risk, broker, journal
        self.counters = Counters()
        self.lanes: list[Lane] = []
        self._calendar = calendar
        self._schedule = schedule(calendar, rules)
        self._entries = True
        self._begun = False
        self._orders = 0
        self._waiting: list[tuple[int, int, Lane, Approved]] = []
        self._faults: list[UserError] = []
        self._closed_on = [-1] * len(self.instruments)  # the record on which each instrument's last position closed
        numbered: dict[str, tuple[int, Compiler]] = {}
        self.compilers = [Compiler(instrument, others=numbered) for instrument in self.instruments]
        numbered.update((c.instrument.symbol, (number, c)) for number, c in enumerate(self.compilers))
        compiled = [
            (assignment, index, self._compile(assignment.strategy, index))
            for assignment in assignments
            for index in assignment.instruments
        ]
        catalogues = [compiler.catalogue for compiler in self.compilers] if show_vwap else []
        self.vwap = [(catalogue.session_vwap(), catalogue.session_vwap_sd()) for catalogue in catalogues]
        self.columns = {name: self._watch(name, part, parameters or {}) for name, part in (watched or {}).items()}
        self.core = _core.Core([compiler.program for compiler in self.compilers])
        for assignment, index, (rule, distances) in compiled:
            self._add_lane(assignment, index, rule, distances)
        self._callers = [caller for compiler in self.compilers for caller in callers_of(compiler.program)]
        self._ticking = [lane for lane in self.lanes if type(lane.strategy).on_tick is not None]
        if self._ticking:
            self.core.set_callback(self._on_tick)
        if not 0 <= portfolio.starting < MAX_MONEY:
            raise ConfigError(
                f"an account of {float(portfolio.money(portfolio.starting)):g} cannot be kept",
                where="risk.starting_cash",
                fix=f"between 0 and {float(portfolio.money(MAX_MONEY)):g}",
            )
        self.core.set_account(portfolio.starting, risk.floor)

    def _compile(self, strategy: Strategy, index: int) -> tuple[CompiledRule, dict[str, int]]:
        """The rule of a strategy on one instrument, and the columns of its exits' distances."""
        compiler, parameters = self.compilers[index], strategy.parameters
        try:
            rule = compiler.rule(*strategy.conditions(), parameters, type(strategy).warm_up)
            distances = strategy.exit_plan().distances.items()
            return rule, {name: compiler.distance(expr, parameters) for name, expr in distances}
        except RuleError as error:
            place = f"{type(strategy).__name__}: {error.where}" if error.where else type(strategy).__name__
            raise RuleError(error.what, where=place, fix=error.fix) from None

    def _watch(self, name: str, part: Part, parameters: Parameters) -> list[int]:
        try:
            return [compiler.shown(part, parameters) for compiler in self.compilers]
        except RuleError as error:
            place = f"{name}: {error.where}" if error.where else name
            raise RuleError(error.what, where=place, fix=error.fix) from None

    def _add_lane(self, assignment: Assignment, index: int, rule: CompiledRule, distances: Mapping[str, int]) -> None:
        strategy, instrument = assignment.strategy, self.instruments[index]
        lots = assignment.size * 10**instrument.size_precision
        if lots.denominator != 1 or lots < 1:
            raise ConfigError(
                f"a position of {float(assignment.size):g} is not a whole number of {instrument.symbol}'s lots",
                where="risk.position_size",
                fix=f"use a multiple of {instrument.size(1)}",
            )
        unit = self.portfolio.units[index]
        if lots * unit * MAX_PRICE_TICKS >= MAX_MONEY or unit > MAX_UNIT:
            raise ConfigError(
                f"a position of {float(assignment.size):g} {instrument.symbol} cannot be accounted for in 128 bits",
                where="risk.position_size",
                fix="use a smaller size, or instruments whose precisions are closer together",
            )
        if lots > MAX_SIZE_LOTS:
            raise ConfigError(
                f"a position of {float(assignment.size):g} is too large",
                where="risk.position_size",
                fix=f"at most {instrument.size(MAX_SIZE_LOTS)}",
            )
        number = self.core.add_lane(index, rule.state, rule.warm_up.ns, rule.warm_up.trades)
        asks = type(strategy).on_fire is not Strategy.on_fire
        self.lanes.append(Lane(number, strategy, index, int(lots), strategy.exit_plan(), rule, asks, distances))

    # ------------------------------------------------------------ inputs

    def process(self, event: Input) -> None:
        """Take one input and make every decision that follows from it.

        Raises:
            ConfigError: a strategy's own code failed. The input has been worked through all the same: positions are
                still watched, the failed strategy is asked nothing more, and the next input may be a flatten.
        """
        if isinstance(event, TickBlock):
            self._ticks(event)
        elif isinstance(event, TimePassed):
            if self._begun:
                self._run(self.core.pass_time(event.ts_ns))
        elif isinstance(event, FeedGap):
            for instrument in event.instruments:
                self.core.restart_windows(instrument)
        elif isinstance(event, FeedHealthy):
            self.risk.feed_refusal = None if event.healthy else event.reason
        elif isinstance(event, Command):
            self._command(event)
        else:
            self._end()
        self._tell_faults()

    def _tell_faults(self) -> None:
        for caller in self._callers:
            if (fault := fault_of(caller)) is not None:
                self._faults.append(fault)
        if self._faults:
            raise self._faults.pop()

    def _ask(self, lane: Lane, method: Callable[..., object], *arguments: object) -> Signal | None:
        """Call a strategy's own code; when it fails, say nothing on its behalf from then on."""
        if lane.failed:
            return None
        try:
            return call(lane.strategy, method, *arguments)
        except UserError as error:
            lane.failed = True
            self._faults.append(error)
            return None

    def _ticks(self, block: TickBlock) -> None:
        if not len(block):
            return
        if block.start_ns is not None:
            check_bars(block, self.lanes, {span for c in self.compilers for span in c.catalogue.nodes.spans()})
        if not self._begun:
            self._begin(int(block.ts_ns[0] if block.start_ns is None else block.start_ns[0]))
        core = self.core
        core.load(
            block.ts_ns,
            block.price_ticks,
            block.size_lots,
            block.bid_ticks,
            block.ask_ticks,
            block.instrument,
            block.kind,
            bid_lots=block.bid_lots,
            ask_lots=block.ask_lots,
            open_ticks=block.open_ticks,
            high_ticks=block.high_ticks,
            low_ticks=block.low_ticks,
            start_ns=block.start_ns,
        )
        self._run(core.advance())

    def push(
        self, instrument: int, ts_ns: int, price_ticks: int, size_lots: int, bid_ticks: int = 0, ask_ticks: int = 0
    ) -> None:
        """Take one trade: the same as ``process`` with a block of one, without the block."""
        if not self._begun:
            self._begin(ts_ns)
        event = self.core.push(instrument, ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks)
        if event:
            self._run(event)
        self._tell_faults()

    def _run(self, event: int) -> None:
        """Answer events until the core has worked through its input."""
        core = self.core
        while event:
            if event == _core.ENTRY:
                self._entry(self.lanes[core.event_lane])
            elif event in EXIT_REASONS:
                self._leave(self.lanes[core.event_lane], self._reason_of(event))
            elif event == _core.RISK:
                self._halt_day()
            elif event == _core.BOUNDARY:
                self._boundary(core.event_ts_ns)
            elif event == _core.ALARM:
                self._arrivals(core.event_ts_ns)
            else:
                self._ticked(core.callback_result)
            event = core.advance()

    def _reason_of(self, event: int) -> Reason:
        """Why a watched position is closed by a core's event."""
        if event == _core.STOP:
            return STOP_REASONS[self.core.event_stop]
        if event == _core.TIME:
            return self.lanes[self.core.event_lane].deadline_reason
        return EXIT_REASONS[event]

    # ------------------------------------------------------------ days and sessions

    def _begin(self, ts_ns: int) -> None:
        """The first record: find out which day and session it is. A time that the core will refuse is no day's."""
        self._begun = True
        ts_ns = min(max(ts_ns, 0), LATEST_NS)
        self._day = self._calendar.trading_day(ts_ns)
        self._session = self._calendar.session_index(ts_ns)
        self.journal.append(DayStarted(ts_ns, self._day, self.portfolio.starting))
        self._tell_session(ts_ns)
        self._allow_entries(self._session >= 0 and self._schedule.entries_allowed(ts_ns))
        self.core.set_cut(self._next_boundary(ts_ns))

    def _next_boundary(self, ts_ns: int) -> int:
        """When a session opens or closes, a day begins, or a session rule takes effect."""
        if self._calendar.is_always:
            return min((ts_ns // DAY_NS + 1) * DAY_NS, self._schedule.next_ns(ts_ns))
        return min(self._calendar.next_boundary_ns(ts_ns), self._schedule.next_ns(ts_ns))

    def _boundary(self, ts_ns: int) -> None:
        """A session opens or closes, a day begins, or a session rule takes effect."""
        core = self.core
        session, day = self._calendar.session_index(ts_ns), self._calendar.trading_day(ts_ns)
        entries = session >= 0 and self._schedule.entries_allowed(ts_ns)
        changes = session != self._session
        if changes:
            self._session = session
            for instrument in range(len(self.instruments)):
                core.restart_windows(instrument)
            self._tell_session(ts_ns)
            if session < 0:
                self._flatten(Reason.SESSION)
        elif self._calendar.is_always and ts_ns % DAY_NS == 0:
            self._tell_session(ts_ns)
        if Happens.FLATTEN in self._schedule.happens_at(ts_ns):
            self._flatten(Reason.DAY)
        if changes or entries != self._entries:
            self._allow_entries(entries)
        if (
            day != self._day and session >= 0
        ):  # a day begins with its session: what is closed late belongs to the old one
            self._day = day
            equity = core.equity
            self.risk.start_day(equity)
            core.set_account(equity, self.risk.floor)
            self.journal.append(DayStarted(ts_ns, day, equity))
        core.set_cut(self._next_boundary(ts_ns))

    def _tell_session(self, ts_ns: int) -> None:
        """Tell the core what its features may know of the session that begins, or of the next one."""
        facts = self._calendar.facts(ts_ns)
        for instrument in range(len(self.instruments)):
            self.core.begin_session(
                instrument, self._session >= 0, facts.open_ns, facts.close_ns, facts.midnight_ns, facts.week
            )

    def _allow_entries(self, allowed: bool) -> None:
        """From now on flat lanes look for signals, or do not."""
        self._entries = allowed
        for lane in self.lanes:
            if not lane.in_position and lane.order is None:
                self._rest(lane)

    def _rest(self, lane: Lane) -> None:
        """The lane is flat: it looks for signals while entries are allowed."""
        if self._entries:
            self.core.close_lane(lane.number)
        else:
            self.core.hold_lane(lane.number)

    # ------------------------------------------------------------ entries

    def _entry(self, lane: Lane) -> None:
        """A signal begins: it is taken now, or not at all for as long as it holds."""
        side = Side.LONG if self.core.event_state == 1 else Side.SHORT
        self._consider(lane, side)

    def _consider(self, lane: Lane, side: Side, signal: Signal | None = None) -> None:
        core = self.core
        ts_ns, price = core.event_ts_ns, core.price(lane.instrument)
        if self._calendar.session_index(ts_ns) < 0:
            return  # the close of a session's last bar: the market is closing with it
        if signal is None and lane.asks_strategy:
            moment = Moment(core, lane, self.instruments[lane.instrument])
            signal = self._ask(lane, lane.strategy.on_fire, moment, side)
            moment.close()
            if signal is None or not lane.strategy.may_enter(signal.side):
                self.journal.append(SignalDeclined(ts_ns, lane.number, int(side), price))
                return
            side = signal.side
        record = core.event_record_number
        if record >= 0 and record == self._closed_on[lane.instrument]:
            self._refuse(lane, side, price, Refusal.POSITION_OPEN)  # it was open until this very trade
            return
        refusal = self.risk.refusal(lane.instrument)  # before the cooldown, which a refused signal does not use up
        if refusal is not None:
            self._refuse(lane, side, price, refusal)
            return
        if lane.cooldown_left:
            lane.cooldown_left -= 1
            self.counters.skipped += 1
            self.journal.append(SignalSkipped(ts_ns, lane.number, int(side), price, lane.cooldown_left))
            return
        if not self._measure(lane):
            self._refuse(lane, side, price, Refusal.NO_EXIT)
            return
        if signal is not None:
            lane.stop_ticks, lane.target_ticks = bounded(signal.stop_ticks), bounded(signal.target_ticks)
        else:
            lane.stop_ticks = lane.target_ticks = NO_PRICE
        order = Order(self._orders + 1, lane.number, lane.instrument, side, lane.lots, ts_ns)
        approved = self.risk.approve_entry(order)
        if isinstance(approved, Refusal):
            self._refuse(lane, side, price, approved)
        elif (fill := self.broker.fill(approved, price, *core.quote(lane.instrument))) is None:
            self._refuse(lane, side, price, Refusal.NO_QUOTE)
        elif self.broker.arrival_ns(approved) > ts_ns:
            core.hold_lane(lane.number)
            self._submit(lane, approved, "entry")
            self._wait(lane, approved)
            self.risk.entering.add(lane.instrument)
        else:
            self._submit(lane, approved, "entry")
            self._open(lane, order, fill, ts_ns)

    def _measure(self, lane: Lane) -> bool:
        """Measure the distances of a lane's exits now; False when one is not defined, or is nothing."""
        if not lane.distance_columns:
            return True
        measured = {name: self.core.value(lane.instrument, c) for name, c in lane.distance_columns.items()}
        known = {name: Fraction(value) for name, value in measured.items() if value is not None and value > 0}
        lane.distances = known
        return len(known) == len(measured)

    def _refuse(self, lane: Lane, side: Side, price_ticks: int, reason: Refusal) -> None:
        self.counters.refusals[reason.value] += 1
        self.journal.append(SignalRefused(self.core.event_ts_ns, lane.number, int(side), price_ticks, reason))

    def _open(self, lane: Lane, order: Order, fill: Fill, ts_ns: int) -> None:
        """The entry was filled: the position exists, and the core watches its exits."""
        core, side, index = self.core, order.side, lane.instrument
        order.become(OrderState.FILLED)
        self.risk.entering.discard(index)
        lane.order = None
        lane.in_position = True
        price = fill.price_ticks
        self.journal.append(OrderFilled(ts_ns, order.order_id, price, order.lots, fill.slippage, fill.fee))
        self.portfolio.open(index, side, order.lots, ts_ns, price, fill.reference_ticks, fill.slippage, fill.fee)
        plan, mark = lane.plan, core.price(index)
        stop, target = exit_bounds(plan, side, price, lane.distances)
        lane.stop_ticks, lane.target_ticks = lane.stop_ticks or stop, lane.target_ticks or target
        self._set_deadline(lane, ts_ns)
        first = price if isinstance(price, int) else mark
        if plan.moves:
            best = outward(price, -side)
            core.manage_lane(lane.number, best, ts_ns, **management(plan, side, price, lane.stop_ticks, lane))
        core.open_lane(
            lane.number,
            side,
            lane.stop_ticks,
            lane.target_ticks,
            lane.deadline_ns or _core.FOREVER_NS,
            plan.flat_candles,
            ts_ns,
            first,
        )
        unit = self.portfolio.units[index]
        equity = core.equity + round((mark - price) * side * order.lots * unit) - fill.slippage - fill.fee
        core.set_holding(index, side * order.lots, unit, mark)
        core.set_account(equity, None if self.risk.day_halted else self.risk.floor)

    def _set_deadline(self, lane: Lane, ts_ns: int) -> None:
        """When the position is closed whatever the price: the time stop, or so long before the session's close."""
        plan = lane.plan
        lane.deadline_ns, lane.deadline_reason = ts_ns + plan.time_stop_ns if plan.time_stop_ns else 0, Reason.TIME
        if plan.before_close_ns:
            day_ns = max(ts_ns, self._calendar.facts(ts_ns).close_ns - plan.before_close_ns)
            if not lane.deadline_ns or day_ns < lane.deadline_ns:
                lane.deadline_ns, lane.deadline_reason = day_ns, Reason.DAY

    # ------------------------------------------------------------ exits

    def _leave(self, lane: Lane, reason: Reason) -> None:
        """Send the order that closes a lane's position."""
        core, position = self.core, self.portfolio.positions[lane.instrument]
        assert position is not None, "only an open position is left"
        ts_ns = core.event_ts_ns
        side = Side.SHORT if position.side is Side.LONG else Side.LONG
        order = Order(self._orders + 1, lane.number, lane.instrument, side, position.lots, ts_ns, reason)
        approved = self.risk.approve_exit(order)
        self._submit(lane, approved, reason)
        if self.broker.arrival_ns(approved) > ts_ns and reason is not Reason.END:
            core.hold_lane(lane.number)
            self._wait(lane, approved)
        else:
            self._close(lane, order, self._sure_fill(approved), ts_ns)

    def _sure_fill(self, approved: Approved) -> Fill:
        core, index = self.core, approved.order.instrument
        fill = self.broker.fill(approved, core.price(index), *core.quote(index))
        assert fill is not None, "there was a price when the order was sent, and quotes do not vanish"
        return fill

    def _close(self, lane: Lane, order: Order, fill: Fill, ts_ns: int) -> None:
        """The exit was filled: book the trade, count the cooldown, look at the day's loss."""
        core, index = self.core, lane.instrument
        assert order.reason is not None
        order.become(OrderState.FILLED)
        self.journal.append(OrderFilled(ts_ns, order.order_id, fill.price_ticks, order.lots, fill.slippage, fill.fee))
        position = self.portfolio.positions[index]
        assert position is not None
        unit = self.portfolio.units[index]
        moved = round((fill.price_ticks - core.mark(index)) * position.side * position.lots * unit)
        equity = core.equity + moved - fill.slippage - fill.fee
        trade = self.portfolio.close(
            index, order.reason, ts_ns, fill.price_ticks, fill.reference_ticks, fill.slippage, fill.fee
        )
        lane.in_position = False
        lane.order = None
        self._closed_on[index] = core.event_record_number
        if trade.net_units < 0:
            lane.cooldown_left = lane.strategy.parameters["cooldown_signals"].value
        self.journal.append(PositionClosed(ts_ns, lane.number, order.reason, trade.gross_units, trade.net_units))
        core.set_holding(index, 0, unit, 0)
        core.set_account(equity, None if self.risk.day_halted else self.risk.floor)
        self._rest(lane)
        if order.reason is not Reason.END and not self.risk.day_halted and self.risk.floor_reached(equity):
            self._halt_day()

    def _halt_day(self) -> None:
        """The day's loss limit is reached: flatten everything and open nothing until the next day."""
        core = self.core
        self.risk.day_halted = True
        core.set_account(core.equity, None)
        self.journal.append(TradingHalted(core.event_ts_ns, Refusal.DAILY_LOSS))
        self._flatten(Reason.RISK)

    def _flatten(self, reason: Reason) -> None:
        """Close every position and call back every entry on its way."""
        for lane in self.lanes:
            if lane.in_position and lane.order is None:
                self._leave(lane, reason)
            elif lane.order is not None and lane.order.reason is None:
                self._cancel(lane, reason)

    # ------------------------------------------------------------ orders on their way

    def _submit(self, lane: Lane, approved: Approved, purpose: str) -> None:
        order = approved.order
        self._orders += 1
        order.become(OrderState.SUBMITTED)
        self.journal.append(
            OrderSubmitted(order.decided_ns, order.order_id, lane.number, int(order.side), order.lots, purpose)
        )

    def _wait(self, lane: Lane, approved: Approved) -> None:
        lane.order = approved.order
        heapq.heappush(self._waiting, (self.broker.arrival_ns(approved), approved.order.order_id, lane, approved))
        self.core.set_alarm(self._waiting[0][0])

    def _arrivals(self, ts_ns: int) -> None:
        """Orders reach the venue: fill them against the market as it stands now."""
        while self._waiting and self._waiting[0][0] <= ts_ns:
            _, _, lane, approved = heapq.heappop(self._waiting)
            order = approved.order
            if order.state is not OrderState.SUBMITTED:
                continue
            if order.reason is not None:
                self._close(lane, order, self._sure_fill(approved), ts_ns)
                continue
            self._open(lane, order, self._sure_fill(approved), ts_ns)
        if self._waiting:
            self.core.set_alarm(self._waiting[0][0])

    def _cancel(self, lane: Lane, reason: str) -> None:
        order = lane.order
        assert order is not None
        order.become(OrderState.CANCELLED)
        self.risk.entering.discard(lane.instrument)
        lane.order = None
        self.journal.append(OrderCancelled(self.core.event_ts_ns, order.order_id, reason))
        self._rest(lane)

    # ------------------------------------------------------------ the slow path, commands and the end

    def _on_tick(
        self, instrument: int, ts_ns: int, price_ticks: int, size_lots: int
    ) -> list[tuple[Lane, Signal]] | None:
        """Called by the core on every trade when a strategy asked for it."""
        tick = Tick(instrument, ts_ns, price_ticks, size_lots)
        signals = [
            (lane, signal)
            for lane in self._ticking
            if lane.instrument == instrument and (signal := self._ask(lane, lane.strategy.on_tick, tick)) is not None
        ]
        return signals or None

    def _ticked(self, signals: list[tuple[Lane, Signal]]) -> None:
        for lane, signal in signals:
            free = not lane.in_position and lane.order is None and self._entries
            if free and lane.strategy.may_enter(signal.side):
                self._consider(lane, signal.side, signal)

    def _command(self, command: Command) -> None:
        if command.name is CommandName.PAUSE:
            self.risk.paused = True
            self.journal.append(TradingHalted(command.ts_ns, Refusal.PAUSED))
        elif command.name is CommandName.RESUME:
            self.risk.paused = False
        elif self._begun:
            self._run(self.core.pass_time(command.ts_ns))
            self._flatten(Reason.MANUAL)

    def _end(self) -> None:
        """No more records: close what is open at the last price and time."""
        for lane in self.lanes:
            if lane.order is not None:
                if lane.order.reason is None:
                    self._cancel(lane, Reason.END)
                else:
                    lane.order.become(OrderState.CANCELLED)
                    self.journal.append(OrderCancelled(self.core.engine_ts_ns, lane.order.order_id, Reason.END))
                    lane.order = None
            if lane.in_position:
                self._leave(lane, Reason.END)

    # ------------------------------------------------------------ reading

    @property
    def next_deadline_ns(self) -> int:
        """When the next timer is due, for the pacer; ``engine._core.FOREVER_NS`` for never."""
        return self.core.next_deadline_ns if self._begun else _core.FOREVER_NS

    @property
    def trades(self) -> list[Trade]:
        """Closed trades, in order."""
        return self.portfolio.trades
