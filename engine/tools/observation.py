"""A run watched from one end to the other: what rules, conditions and expressions were on every trade, as columns.

It is the kernel that trades, over the same block; the core copies the columns as it computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.backtesting import check_accepted
from engine.brokers.paper import PaperBroker
from engine.calendars import calendar as find_calendar
from engine.events import Decision
from engine.language.grammar import Expr
from engine.lineup import Entrant, traded_by
from engine.model import Kind, TickBlock
from engine.ports import Journal
from engine.rules import Quantity
from engine.run_settings import Settings
from engine.sessions.rules import SessionRules, schedule
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.trading.kernel import Kernel
from engine.trading.lanes import Assignment, Lane

Bools = NDArray[np.bool_]
States = NDArray[np.uint8]
Doubles = NDArray[np.float64]


class Unwritten:
    """A journal that keeps nothing: strategies that only watch decide nothing."""

    def append(self, decision: Decision) -> None:
        """Forget the decision."""


def compose(
    file: TickFile, strategies: Sequence[Strategy], settings: Settings, journal: Journal, **more: Any
) -> Kernel:
    """A kernel with the paper venue and several strategies, each on the instruments that the first one trades."""
    traded = traded_by(Entrant(strategies[0]), file.instruments) if strategies else []
    return kernel_of(file, [settings.assignment(one, traded) for one in strategies], settings, journal, **more)


def kernel_of(
    file: TickFile, assignments: Sequence[Assignment], settings: Settings, journal: Journal, **more: Any
) -> Kernel:
    """A kernel with the paper venue and these assignments."""
    portfolio = Portfolio(file.instruments, settings.starting_cash, settings.venue.borrow_rate)
    return Kernel(
        file.instruments,
        assignments,
        calendar=find_calendar(settings.calendar),
        rules=SessionRules.read(settings.session_rules),
        portfolio=portfolio,
        risk=RiskGate(settings.limits, portfolio),
        broker=PaperBroker(settings.venue, portfolio),
        journal=journal,
        **more,
    )


def lanes_of(kernel: Kernel) -> list[list[Lane]]:
    """The lanes of each instrument, in the order in which their strategies were given; none where it is only read."""
    everywhere = range(len(kernel.instruments))
    return [[lane for lane in kernel.lanes if lane.instrument == index and not lane.follows] for index in everywhere]


def is_trade(block: TickBlock) -> Bools:
    """Which records are trades."""
    return np.ones(len(block), np.bool_) if block.kind is None else block.kind == Kind.TRADE


def of_instrument(block: TickBlock, index: int) -> Bools:
    """Which records are an instrument's."""
    return np.ones(len(block), np.bool_) if block.instrument is None else block.instrument == index


def engine_time(block: TickBlock) -> NDArray[np.int64]:
    """The time at which the engine works through each record: a late one counts at the time reached before it."""
    return np.maximum.accumulate(block.ts_ns)


@dataclass(slots=True)
class Watched:
    """One instrument's trades as columns: what each lane's rule said, and since when its windows had been filling."""

    rows: NDArray[np.int64]  # in the block
    ts_ns: NDArray[np.int64]  # engine time
    in_session: Bools
    may_enter: Bools  # a session is open, and its rules allow entries
    since_ns: NDArray[np.int64]  # the first trade since the windows began, with the session
    trades: NDArray[np.int64]  # since then, this one included
    states: list[States]  # per lane: 0 none, 1 long, 2 short
    columns: dict[str, Doubles] = field(default_factory=dict)  # expressions by name, NaN while undefined

    def warm(self, lane: Lane) -> Bools:
        """The trades at which the windows that the lane's rule waits for have been seen in full."""
        need = lane.rule.warm_up
        return (self.trades >= max(need.trades, 1)) & (self.ts_ns - self.since_ns >= need.ns)


class Observation:
    """Runs strategies that enter nothing over a file, and keeps each one's state after every trade.

    Args:
        file, settings: as for a backtest.
        strategies: made by ``engine.tools.rule_parts``; lane ``n`` of each instrument is the ``n``-th of them.
        watched: expressions to keep too, by name.
        parameters: the values of the parameters in ``watched``.
    """

    def __init__(
        self,
        file: TickFile,
        settings: Settings,
        strategies: Sequence[Strategy],
        watched: Mapping[str, Expr] | None = None,
        parameters: Mapping[str, Quantity] | None = None,
    ) -> None:
        self.file, self.block = file, file.block
        self.kernel = compose(file, strategies, settings, Unwritten(), watched=watched, parameters=parameters)
        self.lanes = lanes_of(self.kernel)
        self._calendar = find_calendar(settings.calendar)
        self._schedule = schedule(self._calendar, SessionRules.read(settings.session_rules))
        self._trades = is_trade(self.block)
        clock = engine_time(self.block)
        self.watched = [self._empty(index, clock) for index in range(len(file.instruments))]

    @property
    def row(self) -> int:
        """The record on which a signal begins, while a strategy is asked about it."""
        return self.kernel.core.event_record_number

    def number(self, instrument: int, row: int) -> int:
        """The number of the instrument's trade on a record, counted from 0."""
        return int(np.searchsorted(self.watched[instrument].rows, row))

    def run(self) -> list[Watched]:
        """Work through all records; returns each instrument's columns.

        Raises:
            DataError: a record that the core does not take.
        """
        core, trades = self.kernel.core, int(np.count_nonzero(self._trades))
        states = [np.zeros(trades, np.uint8) for _ in self.kernel.lanes]
        for lane, state in zip(self.kernel.lanes, states, strict=True):
            core.tap(lane.instrument, lane.rule.state, state)
        columns = {name: np.full(trades, np.nan) for name in self.kernel.columns}
        for name, places in self.kernel.columns.items():
            for instrument, place in enumerate(places):
                core.tap(instrument, place, columns[name].view(np.uint8))
        self.kernel.process(self.block)
        check_accepted(self.file, self.kernel)
        for index, watched in enumerate(self.watched):
            own = of_instrument(self.block, index)[self._trades]
            watched.states = [states[lane.number][own] for lane in self.lanes[index]]
            watched.columns = {name: column[own] for name, column in columns.items()}
        return self.watched

    def _empty(self, index: int, clock: NDArray[np.int64]) -> Watched:
        rows = np.flatnonzero(self._trades & of_instrument(self.block, index))
        ts_ns, numbers = clock[rows], np.arange(len(rows))
        sessions = self._calendar.session_indices(ts_ns)
        begins = np.append(True, sessions[1:] != sessions[:-1])[: len(rows)]
        first = np.maximum.accumulate(np.where(begins, numbers, 0))
        may_enter = (sessions >= 0) & self._schedule.entries_allowed_at(ts_ns)
        return Watched(rows, ts_ns, sessions >= 0, may_enter, ts_ns[first], numbers - first + 1, [])
