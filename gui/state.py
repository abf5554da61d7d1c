"""What the dashboard knows about the session it watches; everything on screen is drawn from here. No Qt."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.telemetry_wire import MAX_TICKS_TAIL, History, Snapshot, SymbolView, TradeView
from gui.buffers import NS, Series

POINTS = 1 << 16  # per symbol; beyond it old points thin out
PNL_POINTS = 1 << 13
TRADES = 10_000
CUTS = 1000  # interruptions of the feed that are remembered per symbol

TIME, PRICE, BID, ASK, VWAP, VWAP_SD = range(6)
"""Columns of a symbol's series."""

TickRow = tuple[int, str, float, float, float, float]  # ts_ns, symbol, price, size, bid, ask


@dataclass(slots=True)
class SymbolState:
    """One instrument: its newest state and the points of its chart."""

    view: SymbolView
    series: Series = field(default_factory=lambda: Series(columns=6, capacity=POINTS))
    cuts_s: deque[float] = field(default_factory=lambda: deque(maxlen=CUTS))  # see gui.gaps
    interrupted: bool = False  # the feed was lost since the newest point

    def add(self, points: Sequence[tuple[int, float, float, float, float, float]], lost: bool) -> None:
        """Append points; ``lost`` says that the feed was not live at the end of them."""
        if points and self.interrupted:
            self.cuts_s.append(points[0][0] * NS)
        self.series.append(points)
        self.interrupted = lost and not points if self.interrupted else lost


class SessionState:
    """The watched session, rebuilt from a history and kept up by snapshots."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.commands: list[str] = []
        self.session_id = ""
        self.mode = ""
        self.pid = 0
        self.symbols: dict[str, SymbolState] = {}
        self.pnl = Series(columns=2, capacity=PNL_POINTS)
        self.trades: deque[TradeView] = deque(maxlen=TRADES)
        self.ticks: deque[TickRow] = deque(maxlen=MAX_TICKS_TAIL)

    def restart(self, history: History) -> None:
        """Forget everything and start from ``history``."""
        self.__init__()  # type: ignore[misc]  # the empty state is defined once, in the constructor
        self.session_id, self.mode, self.pid = history.session_id, history.mode, history.pid
        self.commands = history.commands
        self.pnl.append(history.pnl)
        self.trades.extend(history.trades)
        self.ticks.extend(history.ticks_tail)
        self.snapshot = history.snapshot
        if history.snapshot is not None:
            for view in history.snapshot.symbols:
                self._symbol(view).series.append(history.points.get(view.symbol, []))

    def update(self, snapshot: Snapshot) -> None:
        """Take in the newest snapshot (possibly several merged into one)."""
        self.snapshot = snapshot
        self.mode = snapshot.mode
        for view in snapshot.symbols:
            self._symbol(view).add(view.points, lost=snapshot.feed.state != "live")
        if snapshot.engine_ts_ns > 0:  # before the first tick there is no time to draw it at
            self.pnl.append([(snapshot.engine_ts_ns, snapshot.account.total_pnl)])
        self.trades.extend(snapshot.new_trades)
        self.ticks.extend(snapshot.ticks_tail)

    def _symbol(self, view: SymbolView) -> SymbolState:
        state = self.symbols.get(view.symbol)
        if state is None:
            state = self.symbols[view.symbol] = SymbolState(view)
        state.view = view
        return state
