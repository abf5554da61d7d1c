"""The kernel: inputs in, decisions out; the only place where core, strategies, risk, venue and journal meet.

It is pure. It never asks the clock: each input carries its time, and the core fires timers in order. The same kernel
runs a backtest (one block of a million records), a replay and a paper session (one block per socket read); how the
records are cut into blocks never changes a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine import _core
from engine.account.carried import Carried
from engine.account.orders import Order, OrderError
from engine.account.portfolio import Portfolio, Trade, rounded
from engine.account.risk import RiskGate
from engine.custom import callers_of, fault_of
from engine.errors import ConfigError, UserError
from engine.events import (
    Command,
    CommandName,
    DayStarted,
    End,
    EngineFault,
    FeedGap,
    FeedHealthy,
    Refusal,
    Resumed,
    SignalDeclined,
    TimePassed,
    TradingHalted,
)
from engine.graph.nodes import Parameters
from engine.language.grammar import Part
from engine.model import LONG, SHORT, Instrument, Reason, Side, Signal, TickBlock
from engine.ports import Broker, Journal
from engine.sessions.rules import Happens, SessionRules, schedule
from engine.sessions.trading_calendar import DAY_NS, Calendar
from engine.sizing import is_known
from engine.strategy import Tick, call
from engine.trading.desk import Desk
from engine.trading.fitting import MAX_MONEY, Graphs, add_lanes, compile_graphs
from engine.trading.lanes import LATEST_NS, Assignment, Lane, Moment, check_bars
from engine.trading.positions import Positions

Input = TickBlock | TimePassed | FeedGap | FeedHealthy | Command | EngineFault | Resumed | End

STOP_REASONS = {
    _core.DECLARED: Reason.STOP,
    _core.DECAYED: Reason.DECAYED,
    _core.EVEN: Reason.EVEN,
    _core.TRAILING: Reason.TRAILING,
}

EXIT_REASONS = {
    _core.STOP: Reason.STOP,
    _core.OPPOSITE: Reason.OPPOSITE,
    _core.WHEN: Reason.WHEN,
    _core.FLAT: Reason.FLAT,
}


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
        begins_ns: nothing is opened before; records up to then fill windows.
        carried: what the account brings from its session before; ``portfolio`` has its equity already.
        graphs: what ``compile_graphs`` has made of the same instruments and assignments, for several kernels.
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
        begins_ns: int | None = None,
        carried: Carried | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        self.instruments = list(instruments)
        self.portfolio, self.risk, self.broker, self.journal = portfolio, risk, broker, journal
        self.lanes: list[Lane] = []
        self._calendar = calendar
        self._schedule = schedule(calendar, rules)
        self._begins_ns = 0 if begins_ns is None else begins_ns
        self._begun = False
        self._carried = carried
        self._faults: list[UserError] = []
        graphs = graphs or compile_graphs(
            self.instruments,
            assignments,
            show_vwap=show_vwap,
            watched=watched,
            parameters=parameters,
            measured=risk.range,
        )
        self.compilers, self.vwap, self.columns = graphs.compilers, graphs.vwap, graphs.columns
        self.core = _core.Core([compiler.program for compiler in self.compilers])
        positions = Positions(self.core, calendar, portfolio, risk, journal)
        self._desk = Desk(self.core, self.lanes, calendar, positions, portfolio, risk, broker, journal)
        self.counters = self._desk.counters
        for one in graphs.fitted:
            self.lanes.extend(add_lanes(self.core, one, portfolio, self._most_money))
        self._callers = [caller for compiler in self.compilers for caller in callers_of(compiler.program)]
        self._ticking = [lane for lane in self.lanes if type(lane.strategy).on_tick is not None and not lane.follows]
        if self._ticking:
            self.core.set_callback(self._on_tick)
        if not 0 <= portfolio.starting < self._most_money:
            raise ConfigError(
                f"an account of {float(portfolio.money(portfolio.starting)):g} cannot be kept",
                where="paper.starting_cash",
                fix=f"between 0 and {float(portfolio.money(self._most_money)):g}",
            )
        highest = portfolio.starting
        if carried is not None:
            risk.halted, risk.halted_for, risk.paused = carried.halted, carried.halted_for, carried.paused
            if carried.day is not None:
                last = calendar.day_number(carried.day)
                risk.ledger.day_trades.extend(last - before for before in carried.day_trades)
            if risk.limits.max_drawdown is not None:
                highest = max(highest, rounded(carried.high * 10**portfolio.scale))
        self.core.set_account(highest)
        self.core.limit_drawdown(*risk.live_drawdown)
        self.core.set_account(portfolio.starting, risk.live_floor)
        risk.watch(self.core, graphs.ranges)

    @property
    def _most_money(self) -> int:
        """Bound of money units: with a drawdown limit there is less room, because the core multiplies with it."""
        return MAX_MONEY // (self.risk.live_drawdown[1] or 1)

    @property
    def entries_allowed(self) -> bool:
        """Whether a session is open, and its rules allow entries."""
        return self._desk.entries_allowed

    def would_refuse(self, lane: Lane, side: Side) -> Refusal | None:
        """Why an entry as declared would be refused at this moment, its size included; None: it would not."""
        return self._desk.answer(lane, side)

    # ------------------------------------------------------------ inputs

    def process(self, event: Input) -> None:
        """Take one input and make every decision that follows from it.

        Whatever failed, the input has been worked through when this raises: positions are still watched, and the next
        input may be a flatten. So one failure is one error, however much was left of its input.

        Raises:
            ConfigError: a strategy's own code failed; it is asked nothing more.
            OrderError: orders, fills and positions do not add up. Everything has been closed and trading is halted.
            JournalFailed: a decision could not be written, the only failure after which nothing more is decided.
        """
        try:
            self._take(event)
        except Exception as error:
            self._work_through(error)
            raise
        self._tell_faults()

    def _work_through(self, error: Exception) -> None:
        """Go on with what is left of an input on which ``error`` was raised: as it would have, had it not been.

        Where the books are wrong, nobody knows since when: close what there is and open nothing more.
        """
        failed: Exception | None = error
        stopped = False
        while failed is not None:
            if isinstance(failed, UserError | MemoryError):
                return
            stops, stopped = isinstance(failed, OrderError) and not stopped, stopped or isinstance(failed, OrderError)
            try:
                if stops:
                    self._desk.halt(Refusal.CONSERVATION, Reason.RISK, self.core.event_ts_ns)
                self._run(self.core.advance())
                failed = None
            except Exception as later:  # every event is answered once, so this comes to an end
                failed = later
        self._desk.pick_up(self.core.event_ts_ns)

    def _take(self, event: Input) -> None:
        if isinstance(event, TickBlock):
            self._ticks(event)
            self.risk.errors = 0  # only errors in a row are too many
        elif isinstance(event, TimePassed):
            if self._begun:
                self._run(self.core.pass_time(event.ts_ns))
        elif isinstance(event, FeedGap):
            for instrument in event.instruments:
                self.core.restart_windows(instrument)
        elif isinstance(event, Resumed):
            if self._begun:
                self._run(self.core.pass_time(event.ts_ns))
            for instrument in range(len(self.instruments)):
                self.core.restart_windows(instrument)
            self._desk.reconcile()
        elif isinstance(event, FeedHealthy):
            self._desk.trust_feed(None if event.healthy else event.reason)
        elif isinstance(event, Command):
            self._command(event)
        elif isinstance(event, EngineFault):
            self._fault(event)
        else:
            self._desk.end()

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
            block.bid_lots,
            block.ask_lots,
            block.open_ticks,
            block.high_ticks,
            block.low_ticks,
            block.start_ns,
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
            try:
                self._run(event)
            except Exception as error:
                self._work_through(error)
                raise
        self._tell_faults()

    def _run(self, event: int) -> None:
        """Answer events until the core has worked through its input."""
        core = self.core
        while event:
            if event == _core.ENTRY:
                self._entry(self.lanes[core.event_lane])
            elif event == _core.TARGET:
                self._desk.take_profit(self.lanes[core.event_lane])
            elif event == _core.FILL:
                self._desk.filled(core.event_order, core.event_lots)
            elif event == _core.TIME:
                lane = self.lanes[core.event_lane]
                self._desk.time_is_up(lane, lane.deadline_reason)
            elif event in EXIT_REASONS:
                self._desk.leave(self.lanes[core.event_lane], self._reason_of(event))
            elif event == _core.RISK:
                self._desk.limit_reached()
            elif event == _core.BOUNDARY:
                self._boundary(core.event_ts_ns)
            elif event == _core.ALARM:
                self._desk.arrivals(core.event_ts_ns)
            else:
                self._ticked(core.callback_result)
            event = core.advance()

    def _reason_of(self, event: int) -> Reason:
        """Why a watched position is closed by a core's event."""
        if event == _core.STOP:
            declared = self.core.event_stop == _core.DECLARED
            account_stop = declared and self.lanes[self.core.event_lane].account_stop
            return Reason.ACCOUNT_STOP if account_stop else STOP_REASONS[self.core.event_stop]
        lane = self.lanes[self.core.event_lane]
        if event == _core.WHEN and lane.stop_when_column >= 0:
            return Reason.STOP if self.core.value(lane.instrument, lane.stop_when_column) else Reason.WHEN
        return EXIT_REASONS[event]

    # ------------------------------------------------------------ days and sessions

    def _begin(self, ts_ns: int) -> None:
        """The first record: find out which day and session it is. A time that the core will refuse is no day's."""
        self._begun = True
        ts_ns = min(max(ts_ns, 0), LATEST_NS)
        self._day = self._calendar.trading_day(ts_ns)
        self._session = self._calendar.session_index(ts_ns)
        self.risk.start_day(self.portfolio.starting, self._calendar.day_number(self._day))
        self.journal.append(DayStarted(ts_ns, self._day, self.portfolio.starting))
        if self._carried is not None:
            self._go_on(ts_ns, self._carried)
        self._tell_session(ts_ns)
        self._desk.allow_entries(self._may_enter(ts_ns))
        self._set_cut(ts_ns)

    def _go_on(self, ts_ns: int, carried: Carried) -> None:
        """What the account's session before has left to this one: its day, if this is the same, and why it may not."""
        if carried.day == self._day:
            self.risk.go_on(carried)
            self.core.set_account(self.portfolio.starting, self.risk.live_floor)
        if (standing := self.risk.own_standing) is not None:
            self.journal.append(TradingHalted(ts_ns, standing))

    def _set_cut(self, ts_ns: int) -> None:
        """Be woken when a session opens or closes, a day begins, or a session rule takes effect."""
        session = self._calendar.next_boundary_ns(ts_ns)
        day = (ts_ns // DAY_NS + 1) * DAY_NS if self._calendar.is_always else session
        begins = self._begins_ns if ts_ns < self._begins_ns else day
        self._cut_ns = min(session, day, begins, self._schedule.next_ns(ts_ns))
        self.core.set_cut(self._cut_ns)

    def _may_enter(self, ts_ns: int) -> bool:
        """Whether calendar, session rules and the period that is traded allow positions to be opened."""
        return self._session >= 0 and ts_ns >= self._begins_ns and self._schedule.entries_allowed(ts_ns)

    def _boundary(self, ts_ns: int) -> None:
        """A session opens or closes, a day begins, or a session rule takes effect."""
        try:
            self._pass_boundary(ts_ns)
        finally:
            self._set_cut(ts_ns)

    def _pass_boundary(self, ts_ns: int) -> None:
        core = self.core
        session, day = self._calendar.session_index(ts_ns), self._calendar.trading_day(ts_ns)
        changes = session != self._session
        if changes:
            self._session = session
            for instrument in range(len(self.instruments)):
                core.restart_windows(instrument)
            self._tell_session(ts_ns)
            if session < 0:
                self._desk.close_session()
            else:
                self._desk.open_session(ts_ns)
        elif self._calendar.is_always and ts_ns % DAY_NS == 0:
            self._tell_session(ts_ns)
        if Happens.FLATTEN in self._schedule.happens_at(ts_ns):
            self._desk.flatten(Reason.DAY)
        entries = self._may_enter(ts_ns)
        if changes or entries != self._desk.entries_allowed:
            self._desk.allow_entries(entries)
        if (
            day != self._day and session >= 0
        ):  # a day begins with its session: what is closed late belongs to the old one
            self._day = day
            self._desk.start_day(self._calendar.day_number(day))
            self.journal.append(DayStarted(ts_ns, day, core.equity))

    def _tell_session(self, ts_ns: int) -> None:
        """Tell the core what its features may know of the session that begins, or of the next one."""
        facts = self._calendar.facts(ts_ns)
        for instrument in range(len(self.instruments)):
            self.core.begin_session(
                instrument, self._session >= 0, facts.open_ns, facts.close_ns, facts.midnight_ns, facts.week
            )

    # ------------------------------------------------------------ signals

    def _entry(self, lane: Lane) -> None:
        """A signal begins: it is taken now, or not at all for as long as it holds."""
        core = self.core
        side = LONG if core.event_state == 1 else SHORT
        if self._is_closed():
            return
        signal = None
        if lane.asks_strategy:
            moment = Moment(core, lane, self.instruments[lane.instrument])
            signal = self._ask(lane, lane.strategy.on_fire, moment, side)
            moment.close()
            if signal is None or not lane.strategy.direction_allows(signal.side):
                price = core.price(lane.instrument)
                self.journal.append(SignalDeclined(core.event_ts_ns, lane.number, int(side), price))
                return
            side = signal.side
        self._desk.consider(lane, side, signal)

    def _is_closed(self) -> bool:
        """Whether no session is open any more: the close of a session's last bar is the end of the market, too."""
        ts_ns = self.core.event_ts_ns
        return (self._session if ts_ns < self._cut_ns else self._calendar.session_index(ts_ns)) < 0

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
            if (
                lane.is_free
                and self._desk.entries_allowed
                and lane.strategy.direction_allows(signal.side)
                and not self._is_closed()
            ):
                self._desk.consider(lane, signal.side, signal)

    def _command(self, command: Command) -> None:
        """Obey an operator, at the time of the command: what was due before it comes first."""
        if self._begun:
            self._run(self.core.pass_time(command.ts_ns))
        if command.name is CommandName.PAUSE:
            self._desk.pause(command.ts_ns)
        elif command.name is CommandName.RESUME:
            self._desk.resume(command.ts_ns, command.reason)
        elif command.name is CommandName.HALT:
            self._desk.halt(Refusal.HALTED, Reason.MANUAL, command.ts_ns, command.reason)
        elif self._begun:
            self._desk.flatten(Reason.MANUAL)

    def _fault(self, fault: EngineFault) -> None:
        """Count a failure that nobody foresaw; one too many in a row ends trading."""
        if self.risk.fault():
            self._desk.halt(Refusal.ERRORS, Reason.RISK, fault.ts_ns)

    # ------------------------------------------------------------ what it is between two inputs

    @property
    def remembers_in_python(self) -> bool:
        """Whether code of the strategy's own may remember something, of which nothing is known here."""
        return (
            bool(self._ticking)
            or any(lane.asks_strategy for lane in self.lanes)
            or any(compiler.catalogue.nodes.has_own for compiler in self.compilers)
            or not all(lane.sizing is None or is_known(lane.sizing) for lane in self.lanes)
        )

    @property
    def kept(self) -> tuple[Any, ...]:
        """Everything that it remembers besides its core's memory and closed trades, as plain values."""
        known = [*self._desk.orders, *self.risk.ledger.orders, *(order for lane in self.lanes for order in lane.orders)]
        orders = {order.order_id: order for order in known}
        days = (self._day, self._session, self._cut_ns) if self._begun else ()
        return (
            days,
            tuple(order.values for order in orders.values()),
            self._desk.kept,
            self.portfolio.kept,
            self.risk.kept,
            self.broker.kept,
            tuple(lane.kept for lane in self.lanes),
        )

    def restore(self, state: Sequence[Any], trades: Sequence[Sequence[Any]]) -> None:
        """Go on from where a kernel composed in the same way was in this state; its core is given its memory apart.

        Args:
            state: what ``kept`` was.
            trades: the ``Trade.values`` of its closed trades.
        """
        days, listed, desk, portfolio, risk, broker, lanes = state
        orders = {order.order_id: self.risk.again(order) for order in map(Order.of, listed)}
        if days:
            self._begun = True
            self._day, self._session, self._cut_ns = days
        self._desk.restore(desk, orders)
        self.portfolio.restore(portfolio, trades)
        self.risk.restore(risk, orders)
        self.broker.restore(broker)
        for lane, values in zip(self.lanes, lanes, strict=True):
            lane.restore(values, orders)

    # ------------------------------------------------------------ reading

    @property
    def day(self) -> int | None:
        """The trading day, in days since 1970-01-01; None before the first record."""
        return self._day if self._begun else None

    @property
    def is_flat(self) -> bool:
        """Whether nothing is open, and nothing at or on its way to the venue."""
        return all(lane.is_free for lane in self.lanes)

    @property
    def awaits_venue(self) -> bool:
        """Whether an order or a cancel is on its way, so that time alone will bring an answer."""
        orders = [lane.order for lane in self.lanes if lane.order is not None]
        return any(not order.rests or order.ending for order in orders)

    @property
    def next_deadline_ns(self) -> int:
        """When the next timer is due, for the pacer; ``engine._core.FOREVER_NS`` for never."""
        return self.core.next_deadline_ns if self._begun else _core.FOREVER_NS

    @property
    def trades(self) -> list[Trade]:
        """Closed trades, in order."""
        return self.portfolio.trades
