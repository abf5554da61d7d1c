"""A run watched trade by trade: the states of any number of rules, as columns.

It is the kernel that trades, over the same records, handed over one at a time: after each trade every rule's state can
be read. About six seconds per million records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.backtesting import check_accepted
from engine.brokers.paper import PaperBroker
from engine.events import Decision
from engine.kernel import Kernel
from engine.lanes import Assignment, Lane
from engine.model import Kind, TickBlock
from engine.portfolio import Portfolio
from engine.ports import Journal
from engine.results import Settings
from engine.risk import RiskGate, RiskLimits
from engine.sessions import calendar as find_calendar
from engine.store import TickFile
from engine.strategy import Strategy

Bools = NDArray[np.bool_]
States = NDArray[np.uint8]


class Unwritten:
    """A journal that keeps nothing: strategies that only watch decide nothing."""

    def append(self, decision: Decision) -> None:
        """Forget the decision."""


def compose(file: TickFile, strategies: Sequence[Strategy], settings: Settings, journal: Journal) -> Kernel:
    """A kernel with the paper venue and several strategies, each on every instrument."""
    portfolio = Portfolio(file.instruments, settings.starting_cash)
    everywhere = range(len(file.instruments))
    return Kernel(
        file.instruments,
        [Assignment(strategy, everywhere, settings.position_size) for strategy in strategies],
        calendar=find_calendar(settings.calendar),
        portfolio=portfolio,
        risk=RiskGate(RiskLimits(settings.daily_loss_limit), portfolio),
        broker=PaperBroker(settings.venue, portfolio),
        journal=journal,
    )


def lanes_of(kernel: Kernel) -> list[list[Lane]]:
    """The lanes of each instrument, in the order in which their strategies were given."""
    everywhere = range(len(kernel.instruments))
    return [[lane for lane in kernel.lanes if lane.instrument == index] for index in everywhere]


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
    states: list[States]  # per lane: 0 none, 1 long, 2 short
    since_ns: NDArray[np.int64]  # the first trade since the windows began
    trades: NDArray[np.int64]  # since then, this one included
    in_session: Bools

    def warm(self, lane: Lane) -> Bools:
        """The trades at which the windows that the lane's rule waits for have been seen in full."""
        need = lane.rule.warm_up
        return (self.trades >= max(need.trades, 1)) & (self.ts_ns - self.since_ns >= need.ns)


class Observation:
    """Runs strategies that enter nothing over a file, and keeps each one's state after every trade.

    Args:
        file, settings: as for a backtest.
        strategies: made by ``engine.tools.rule_parts``; lane ``n`` of each instrument is the ``n``-th of them.
    """

    def __init__(self, file: TickFile, settings: Settings, strategies: Sequence[Strategy]) -> None:
        self.file, self.block = file, file.block
        self.kernel = compose(file, strategies, settings, Unwritten())
        self.row = 0  # of the record being worked through
        self.numbers = [0] * len(file.instruments)  # trades of each instrument before it
        self.lanes = lanes_of(self.kernel)
        self._calendar = find_calendar(settings.calendar)

    def run(self, after_trade: Callable[[int, int], None] | None = None) -> list[Watched]:
        """Work through all records; ``after_trade(instrument, number)`` is called after each trade, counted from 0.

        Raises:
            DataError: a record that the core does not take.
        """
        block, kernel, core = self.block, self.kernel, self.kernel.core
        clock = engine_time(block)
        found = [self._empty(index, clock) for index in range(len(self.lanes))]
        columns = [[lane.rule.state for lane in lanes] for lanes in self.lanes]
        instruments = None if block.instrument is None else block.instrument.tolist()
        trades = is_trade(block).tolist()
        for row in range(len(block)):
            self.row = row
            kernel.process(block.part(row, row + 1))
            if not trades[row]:
                continue
            index = 0 if instruments is None else instruments[row]
            number, watched = self.numbers[index], found[index]
            for lane, column in enumerate(columns[index]):
                watched.states[lane][number] = core.value(index, column) or 0
            watched.since_ns[number], watched.trades[number] = core.warm_since(index)
            if after_trade is not None:
                after_trade(index, number)
            self.numbers[index] += 1
        check_accepted(self.file, kernel)
        return found

    def _empty(self, index: int, clock: NDArray[np.int64]) -> Watched:
        rows = np.flatnonzero(is_trade(self.block) & of_instrument(self.block, index))
        trades = len(rows)
        return Watched(
            rows,
            clock[rows],
            [np.zeros(trades, np.uint8) for _ in self.lanes[index]],
            np.zeros(trades, np.int64),
            np.zeros(trades, np.int64),
            self._calendar.session_indices(clock[rows]) >= 0,
        )
