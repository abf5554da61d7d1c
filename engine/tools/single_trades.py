"""One signal traded alone: entered when it began, left as the strategy declares, filled and charged as in a backtest.

It is entered by the order that it brought, or else by the one that the strategy declares. Never filled, it is no trade.

Each is a run of the kernel of its own, from the signal's trade to the exit. Nothing else stands in its way: no
cooldown, no open position, no daily loss limit. Sessions still end, orders still arrive late, and a fill at the touch
still needs a quote. Where exits, entry or size measure the market, by an ATR or by another instrument, the run begins
with the file's first record instead, so that they measure what they would have measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.account.limits import ALL_OFF
from engine.account.pairs import as_one
from engine.account.portfolio import Portfolio, Trade
from engine.account.risk import RiskGate
from engine.brokers.paper import PaperBroker
from engine.calendars import calendar as find_calendar
from engine.events import End, OrderCancelled, SignalRefused, TimePassed
from engine.journal.writer import MemoryJournal
from engine.model import Instrument, Kind, OrderType, Side, Signal, TickBlock
from engine.rules import price
from engine.run_settings import Settings
from engine.sessions.rules import SessionRules
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.observation import engine_time, of_instrument
from engine.tools.rule_parts import entering
from engine.trading.kernel import Kernel

FIRST_RECORDS = 512
"""Records handed over before looking whether the position is closed; then four times as many, and so on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A signal that began: at which record, and the market and the strategy's answer then.

    ``order`` None enters as the strategy declares; else the fields are those of the signal that brought the order.
    """

    instrument: int
    row: int
    side: Side
    stop_ticks: int = 0
    target_ticks: int = 0
    bid_ticks: int = 0
    ask_ticks: int = 0
    entry_ticks: int = 0
    order: OrderType | None = None
    trigger_ticks: int = 0
    good_for_ns: int = 0
    post_only: bool = False
    confidence: float = 1.0

    @property
    def signal(self) -> Signal:
        """The strategy's answer, but for its metadata."""
        return Signal(
            self.side,
            self.entry_ticks if self.order is not None else 0,
            self.stop_ticks,
            self.target_ticks,
            self.confidence,
            order=self.order,
            trigger_ticks=self.trigger_ticks,
            good_for_ns=self.good_for_ns,
            post_only=self.post_only,
        )


class SingleTrades:
    """Trades entries alone over the records of a file; each entry is worked out once."""

    def __init__(self, file: TickFile, strategy: Strategy, settings: Settings) -> None:
        self._file, self._strategy, self._settings = file, strategy, settings
        self._done: dict[Entry, Trade | None] = {}
        clock = engine_time(file.block)
        self._end_ns = int(clock[-1]) if len(clock) else 0
        self._streams = [_stream_of(file.block, clock, index) for index in range(len(file.instruments))]
        probe = entering(strategy, (price > 0, None), lambda: None)
        lane, *_ = self._compose(probe, file.instruments, 0, MemoryJournal()).lanes
        self._legs = 1 if lane.partner is None else 2
        columns = lane.entry_column is not None, lane.when_column >= 0, lane.hedge is not None
        self._needs_past = any((lane.distance_columns, lane.size_columns, *columns))

    def trade(self, entry: Entry) -> Trade | None:
        """What came of the entry, or None when it found no price to fill at or was called back on its way."""
        if entry not in self._done:
            self._done[entry] = self._run(entry)
        return self._done[entry]

    def _run(self, entry: Entry) -> Trade | None:
        journal = MemoryJournal()
        answers: list[Signal] = []
        always = price > 0
        sides = (always, None) if entry.side is Side.LONG else (None, always)
        strategy = entering(self._strategy, sides, lambda: answers.pop() if answers else None)
        if self._needs_past:
            at, stream = entry.row, self._file.block
            kernel = self._compose(strategy, self._file.instruments, entry.instrument, journal)
            kernel.process(stream.part(0, at))
            kernel.core.close_lane(0)  # the signal that began with the first record was let pass; it begins anew
        else:
            rows, stream = self._streams[entry.instrument]
            at = int(np.searchsorted(rows, entry.row))
            kernel = self._compose(strategy, [self._file.instruments[entry.instrument]], 0, journal)
            if entry.bid_ticks or entry.ask_ticks:
                kernel.process(_quote(int(stream.ts_ns[at]), entry))
        answers.append(entry.signal)
        count = FIRST_RECORDS
        while at < len(stream) and len(kernel.trades) < self._legs:
            kernel.process(stream.part(at, at + count))
            at, count = at + count, 4 * count
            never_opened = not kernel.trades and not kernel.portfolio.positions
            if never_opened and any(isinstance(one, SignalRefused | OrderCancelled) for one in journal.decisions):
                return None  # once it is open, what is called back is the rest of its entry, or another exit
        if len(kernel.trades) < self._legs:
            kernel.process(TimePassed(self._end_ns))
            kernel.process(End())
        return as_one(kernel.trades[: self._legs]) if kernel.trades else None

    def _compose(
        self, strategy: Strategy, instruments: Sequence[Instrument], traded: int, journal: MemoryJournal
    ) -> Kernel:
        settings = self._settings
        portfolio = Portfolio(instruments, settings.starting_cash, settings.venue.borrow_rate)
        return Kernel(
            instruments,
            [settings.assignment(strategy, [traded])],
            calendar=find_calendar(settings.calendar),
            rules=SessionRules.read(settings.session_rules),
            portfolio=portfolio,
            risk=RiskGate(replace(ALL_OFF, position_stop=settings.limits.position_stop), portfolio),
            broker=PaperBroker(settings.venue, portfolio),
            journal=journal,
        )


def _stream_of(block: TickBlock, clock: NDArray[np.int64], index: int) -> tuple[NDArray[np.int64], TickBlock]:
    """An instrument's records at the times at which the engine works through them, and their rows in the block."""
    rows = np.flatnonzero(of_instrument(block, index))
    columns: dict[str, Any] = {name: getattr(block, name) for name in TickBlock.__slots__}
    kept: dict[str, Any] = {name: None if column is None else column[rows] for name, column in columns.items()}
    return rows, replace(TickBlock(**kept), ts_ns=clock[rows], instrument=None)


def _quote(ts_ns: int, entry: Entry) -> TickBlock:
    """The quote known when the signal began, which may have come with an earlier record."""
    zero, kind = np.zeros(1, np.int64), np.array([Kind.QUOTE], np.uint8)
    bid, ask = np.array([entry.bid_ticks], np.int64), np.array([entry.ask_ticks], np.int64)
    return TickBlock(np.array([ts_ns], np.int64), zero, zero, bid_ticks=bid, ask_ticks=ask, kind=kind)
