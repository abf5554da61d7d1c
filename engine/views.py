"""From the kernel's state to the picture that terminal and dashboard show: one ``Snapshot``, at most 30 times a second.

Nothing here runs on the tick path: ``note`` is called after a block has been decided on, and keeps of it only what a
screen can show (of many trades in one frame the highest, the lowest and the last).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import nan

import numpy as np

from engine.kernel import Kernel, Lane
from engine.metrics import trade_metrics
from engine.model import Kind, TickBlock
from engine.portfolio import Trade
from engine.ports import FeedHealth
from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
)

TAIL = 50
POINTS_PER_BLOCK = 8
Point = tuple[int, float, float, float, float, float]
TailRow = tuple[int, str, float, float, float, float]

FLIPPED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}


class LatencyHistogram:
    """Counts of durations in buckets 1/16 of a power of two wide: percentiles to 6 %, whatever their number."""

    STEPS = 16

    def __init__(self) -> None:
        self._counts = np.zeros(64 * self.STEPS, np.int64)
        self._largest = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        duration_ns = max(duration_ns, 1)
        power = duration_ns.bit_length() - 1
        step = (duration_ns - (1 << power)) * self.STEPS >> power
        self._counts[power * self.STEPS + step] += 1
        self._largest = max(self._largest, duration_ns)

    def percentile_us(self, percent: float) -> float:
        """The duration that ``percent`` of all stay within, in microseconds; NaN before the first."""
        total = int(self._counts.sum())
        if not total:
            return nan
        bucket = int(np.searchsorted(np.cumsum(self._counts), total * percent / 100))
        power, step = divmod(bucket, self.STEPS)
        upper = (1 << power) * (self.STEPS + step + 1) / self.STEPS
        return min(upper, self._largest) / 1_000


class ViewBuilder:
    """Builds the snapshots of one session."""

    def __init__(self, kernel: Kernel, *, mode: str, session_id: str, strategy: str, started_ts_ns: int) -> None:
        self._kernel = kernel
        self._fixed = {"mode": mode, "session_id": session_id, "strategy": strategy}
        self._started_ts_ns = started_ts_ns
        self.latency = LatencyHistogram()
        self.feed_detail = ""
        self._seq = 0
        self._shown_trades = 0
        self._points: list[list[Point]] = [[] for _ in kernel.instruments]
        self._tail: deque[TailRow] = deque(maxlen=TAIL)
        self._ticks = [0] * len(kernel.instruments)
        self._last_ts = [0] * len(kernel.instruments)
        self._rate = (0, 0, 0.0)  # when it was last taken (ns), ticks then, ticks per second

    # -- after each block

    def note(self, block: TickBlock) -> None:
        """Keep what a screen needs of a block that has been decided on."""
        trades = np.arange(len(block)) if block.kind is None else np.flatnonzero(block.kind == Kind.TRADE)
        for row in trades[-TAIL:]:
            self._tail.append(self._tail_row(block, int(row)))
        if block.instrument is None:
            self._note_trades(0, block, trades)
            return
        owners = block.instrument[trades]
        for index in np.unique(owners):
            self._note_trades(int(index), block, trades[owners == index])

    def _note_trades(self, index: int, block: TickBlock, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self._ticks[index] += len(rows)
        self._last_ts[index] = int(block.ts_ns[rows[-1]])
        prices = block.price_ticks[rows]
        shown = (
            rows
            if len(rows) <= POINTS_PER_BLOCK
            else rows[sorted({int(prices.argmin()), int(prices.argmax()), -1 % len(rows)})]
        )
        vwap, sd = self._vwap(index)
        scale = 10.0 ** -self._kernel.instruments[index].price_precision
        for row in shown:
            bid, ask = self._quote(block, int(row), scale)
            self._points[index].append((int(block.ts_ns[row]), int(block.price_ticks[row]) * scale, bid, ask, vwap, sd))

    def _quote(self, block: TickBlock, row: int, scale: float) -> tuple[float, float]:
        if block.bid_ticks is None or block.ask_ticks is None:
            return 0.0, 0.0
        return int(block.bid_ticks[row]) * scale, int(block.ask_ticks[row]) * scale

    def _tail_row(self, block: TickBlock, row: int) -> TailRow:
        instrument = self._kernel.instruments[0 if block.instrument is None else int(block.instrument[row])]
        scale = 10.0**-instrument.price_precision
        bid, ask = self._quote(block, row, scale)
        size = int(block.size_lots[row]) * 10.0**-instrument.size_precision
        return int(block.ts_ns[row]), instrument.symbol, int(block.price_ticks[row]) * scale, size, bid, ask

    def _vwap(self, index: int) -> tuple[float, float]:
        """The session's VWAP and its deviation, in currency; NaN before the first trade."""
        mean, sd = self._kernel.vwap[index]
        core, scale = self._kernel.core, 10.0 ** -self._kernel.instruments[index].price_precision
        (numerator,), (denominator,) = mean.numerator, mean.denominator
        total, weighted = core.value(index, denominator[0].index), core.value(index, numerator[0].index)
        deviation = core.value(index, sd.column)
        if not total or weighted is None or deviation is None:
            return nan, nan
        return weighted / total * scale, float(deviation) * scale

    # -- at the rate of a screen

    def snapshot(self, health: FeedHealth, now_ns: int, ended: str = "") -> Snapshot:
        """Return the present picture; points, trades and ticks are those since the previous one."""
        kernel = self._kernel
        self._seq += 1
        trades = kernel.trades[self._shown_trades :]
        first = self._shown_trades
        self._shown_trades += len(trades)
        tail, self._tail = list(self._tail), deque(maxlen=TAIL)
        return Snapshot(
            seq=self._seq,
            **self._fixed,
            engine_ts_ns=max(kernel.core.engine_ts_ns, 0),
            started_ts_ns=self._started_ts_ns,
            symbols=[self._symbol(index) for index in range(len(kernel.instruments))],
            account=self._account(),
            feed=self._feed(health, now_ns),
            latency_p50_us=self.latency.percentile_us(50),
            latency_p99_us=self.latency.percentile_us(99),
            refusals=dict(kernel.counters.refusals),
            skipped_signals=kernel.counters.skipped,
            new_trades=[trade_view(first + n + 1, trade) for n, trade in enumerate(trades)],
            ticks_tail=tail,
            ended=ended,
        )

    def _symbol(self, index: int) -> SymbolView:
        core, instrument = self._kernel.core, self._kernel.instruments[index]
        scale = 10.0**-instrument.price_precision
        bid, ask = core.quote(index)
        vwap, sd = self._vwap(index)
        lanes = [lane for lane in self._kernel.lanes if lane.instrument == index]
        points, self._points[index] = self._points[index], []
        return SymbolView(
            symbol=instrument.symbol,
            price_precision=instrument.price_precision,
            price=core.price(index) * scale,
            bid=bid * scale,
            ask=ask * scale,
            ticks=self._ticks[index],
            last_ts_ns=self._last_ts[index],
            warm=all(self._warm(lane) for lane in lanes),
            vwap=vwap,
            vwap_sd=sd,
            features=[feature for lane in lanes for feature in self._features(lane)],
            position=next((view for lane in lanes if (view := self._position(lane)) is not None), None),
            points=points,
        )

    def _warm(self, lane: Lane) -> bool:
        core = self._kernel.core
        first_ts, trades = core.warm_since(lane.instrument)
        warm_up = lane.rule.warm_up
        return bool(trades) and self._last_ts[lane.instrument] - first_ts >= warm_up.ns and trades >= warm_up.trades

    def _features(self, lane: Lane) -> Iterator[FeatureView]:
        """One line per declared comparison; a mirrored pair (long and short) is shown as the side it leans to."""
        core, warm = self._kernel.core, self._warm(lane)
        shown: dict[str, FeatureView] = {}
        for view in lane.rule.views:
            value, threshold, passed = view.values(core, lane.instrument)
            feature = FeatureView(view.name, value if warm else nan, view.op, threshold, passed and warm, view.unit)
            other = shown.get(view.name)
            if other is None or other.op != FLIPPED.get(view.op):
                shown[view.name if other is None else f"{view.name} {view.op}"] = feature
            elif abs(value - threshold) < abs(other.value - other.threshold):
                shown[view.name] = feature
        return iter(shown.values())

    def _position(self, lane: Lane) -> PositionView | None:
        position = self._kernel.portfolio.positions[lane.instrument]
        if position is None or not lane.in_position:
            return None
        kernel = self._kernel
        instrument = kernel.instruments[lane.instrument]
        scale = 10.0**-instrument.price_precision
        moved = (kernel.core.price(lane.instrument) - position.entry_ticks) * position.side * position.lots
        return PositionView(
            side=position.side.word,
            qty=float(instrument.size(position.lots)),
            entry_ts_ns=position.entry_ts_ns,
            entry_price=float(position.entry_ticks) * scale,
            stop_price=lane.stop_ticks * scale if 0 < lane.stop_ticks < 1 << 60 else 0.0,
            target_price=lane.target_ticks * scale if 0 < lane.target_ticks < 1 << 60 else 0.0,
            deadline_ts_ns=lane.deadline_ns,
            open_pnl=float(kernel.portfolio.money(round(moved * kernel.portfolio.units[lane.instrument]))),
        )

    def _account(self) -> AccountView:
        kernel = self._kernel
        portfolio, core, risk = kernel.portfolio, kernel.core, kernel.risk
        found = trade_metrics(kernel.trades)

        def money(units: int) -> float:
            return float(portfolio.money(units))

        halted = "daily loss limit" if risk.day_halted else "paused" if risk.paused else ""
        return AccountView(
            cash=money(portfolio.starting + portfolio.realised),
            equity=money(core.equity),
            daily_pnl=money(core.equity - risk.day_start),
            total_pnl=money(core.equity - portfolio.starting),
            open_pnl=money(core.equity - portfolio.starting - portfolio.realised),
            max_drawdown=money(core.drawdown),
            current_drawdown=money(core.peak - core.equity),
            trades=found["trades"],
            wins=found["wins"],
            losses=found["losses"],
            win_rate=nan if found["win_rate"] is None else found["win_rate"],
            gross=money(portfolio.gross),
            spread_cost=money(portfolio.spread),
            slippage_cost=money(portfolio.slippage),
            fees=money(portfolio.fees),
            halted=halted or (risk.feed_refusal.value if risk.feed_refusal else ""),
        )

    def _feed(self, health: FeedHealth, now_ns: int) -> FeedView:
        then, ticks, rate = self._rate
        if now_ns - then >= 1_000_000_000:
            rate = (health.accepted - ticks) * 1e9 / (now_ns - then) if then else 0.0
            self._rate = (now_ns, health.accepted, rate)
        return FeedView(
            state=health.state.value,
            address=health.address,
            detail=self.feed_detail,
            accepted=health.accepted,
            rejected=dict(health.rejected),
            bad_frames=dict(health.bad_frames),
            late=health.late,
            gaps=health.gaps,
            reconnects=health.reconnects,
            queue_ticks=health.queue_ticks,
            age_ms=health.age_ms,
            ticks_per_s=rate,
        )


def trade_view(number: int, trade: Trade) -> TradeView:
    """A closed trade as tables show it."""
    return TradeView(
        number=number,
        symbol=trade.symbol,
        side=trade.side,
        qty=float(trade.qty),
        entry_ts_ns=trade.entry_ts_ns,
        exit_ts_ns=trade.exit_ts_ns,
        entry_price=float(trade.entry_price),
        exit_price=float(trade.exit_price),
        reason=trade.reason.value,
        gross=float(trade.gross),
        costs=float(trade.spread_cost + trade.slippage_cost + trade.fees),
        net=float(trade.net),
    )
