"""From the kernel's state to the picture that terminal and dashboard show: one ``Snapshot``, at most 30 times a second.

Nothing here runs on the tick path. ``note`` is called after a block has been decided on and only copies it; what a
screen can show of it (of many trades in one frame the extremes and the last) is worked out when a picture is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.account.gauges import Gauges
from engine.account.pairs import as_one
from engine.account.portfolio import Trade
from engine.events import Refusal
from engine.model import Kind, Reason, TickBlock
from engine.ports import FeedHealth
from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    GaugeView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
    keep_extremes,
)
from engine.trading.kernel import Kernel
from engine.trading.lanes import Lane

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAIL = 50
POINTS_PER_FRAME = 16
DIGEST_ROWS = 8192
"""Rows that may wait for the next picture: beyond, they are reduced to what it will show of them."""

TRADE = int(Kind.TRADE)

RATE_NS = 1_000_000_000
"""How often the feed's ticks per second are measured."""

STANDINGS = {
    Refusal.HALTED: "halted",
    Refusal.DRAWDOWN: "halted: drawdown limit",
    Refusal.ERRORS: "halted: three engine errors in a row",
    Refusal.CONSERVATION: "halted: orders, fills and positions do not add up",
    Refusal.DAILY_LOSS: "daily loss limit",
    Refusal.PAUSED: "paused",
    Refusal.FEED_STALE: "the feed is stale",
    Refusal.DATA_OLD: "old data",
    Refusal.DISK_FULL: "no room for the journal",
}
"""Why nothing may be opened, in words; how a halt begins is known to viewers (``gui.words``)."""

Point = tuple[int, float, float, float, float, float]
TailRow = tuple[int, str, float, float, float, float]


class LatencyHistogram:
    """Counts of durations in buckets 1/16 of a power of two wide: percentiles to 6 %, whatever their number."""

    STEPS = 16

    def __init__(self) -> None:
        self.count = 0
        self._counts: dict[int, int] = {}  # by bucket: of those in use there are a few dozen
        self._largest = 0

    def add(self, duration_ns: int, times: int = 1) -> None:
        """Count one duration that ``times`` ticks have taken."""
        duration_ns = max(duration_ns, 1)
        power = duration_ns.bit_length() - 1
        step = (duration_ns - (1 << power)) * self.STEPS >> power
        bucket = power * self.STEPS + step
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += times
        self._largest = max(self._largest, duration_ns)

    def percentile_us(self, percent: float) -> float:
        """The duration that ``percent`` of all stay within, in microseconds; NaN before the first."""
        left = self.count * percent / 100
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                power, step = divmod(bucket, self.STEPS)
                upper = (1 << power) * (self.STEPS + step + 1) / self.STEPS
                return min(upper, self._largest) / 1_000
        return nan


class ViewBuilder:
    """Builds the snapshots of one session; ``owners`` names the strategy of each lane, where there are several."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        mode: str,
        session_id: str,
        strategy: str,
        started_ts_ns: int,
        owners: Sequence[str] = (),
    ) -> None:
        self._kernel, self._owners = kernel, owners
        self._mode, self._session_id, self._strategy = mode, session_id, strategy
        self.started_ts_ns = started_ts_ns
        self.problem = ""  # what went wrong last, in a line
        self.latency = LatencyHistogram()
        self._seq = 0
        self._scales = [10**instrument.price_precision for instrument in kernel.instruments]
        self._size_scales = [10**instrument.size_precision for instrument in kernel.instruments]
        self._noted = Noted()
        self._points: list[list[Point]] = [[] for _ in kernel.instruments]
        self._tail: list[TailRow] = []
        self._ticks = [0] * len(kernel.instruments)
        self._last_ts = [0] * len(kernel.instruments)
        self._tally = Tally()
        self._rate = (0, 0, 0.0)  # when it was last taken (ns), ticks then, ticks per second
        self._gauges = Gauges(kernel.risk, kernel.portfolio, kernel.core)
        self._oldest_ns = 0  # of the data since the last picture

    # -- after each block

    def note(self, block: TickBlock, age_ns: int = 0) -> None:
        """Keep a block that has been decided on at this age; it is copied: the feed will use its arrays again."""
        self._oldest_ns = max(self._oldest_ns, age_ns)
        for start in range(0, len(block), DIGEST_ROWS):
            part = block if len(block) <= DIGEST_ROWS else block.part(start, start + DIGEST_ROWS)
            if self._noted.rows + len(part) > DIGEST_ROWS:
                self._digest()
            self._noted.add(part)

    def _digest(self) -> None:
        """Reduce what was noted to points, ticks and counts."""
        if not self._noted.rows:
            return
        trades = self._noted.take_trades()
        owners = trades[0]
        self._tail = [*self._tail, *self._tail_rows(column[-TAIL:] for column in trades)][-TAIL:]
        for index in range(len(self._points)):
            rows = np.flatnonzero(owners == index)
            if len(rows):
                self._digest_trades(index, rows, *trades[1:])

    def _digest_trades(
        self,
        index: int,
        rows: NDArray[np.intp],
        ts_ns: NDArray[np.int64],
        price: NDArray[np.int64],
        _size: NDArray[np.int64],
        bid: NDArray[np.int64],
        ask: NDArray[np.int64],
    ) -> None:
        self._ticks[index] += len(rows)
        self._last_ts[index] = int(ts_ns[rows[-1]])
        while len(rows) > POINTS_PER_FRAME:
            kept = keep_extremes(price[rows[:-1]].astype(np.float64))
            rows = np.append(rows[kept], rows[-1])
        scale, (vwap, sd) = self._scales[index], self._vwap(index)
        self._points[index] += [
            (ts, price / scale, bid / scale, ask / scale, vwap, sd)
            for ts, price, bid, ask in zip(*(column[rows].tolist() for column in (ts_ns, price, bid, ask)), strict=True)
        ]

    def _tail_rows(self, columns: Iterable[NDArray[Any]]) -> Iterator[TailRow]:
        for index, ts_ns, price, size, bid, ask in zip(*(column.tolist() for column in columns), strict=True):
            scale, symbol = self._scales[index], self._kernel.instruments[index].symbol
            yield ts_ns, symbol, price / scale, size / self._size_scales[index], bid / scale, ask / scale

    def _vwap(self, index: int) -> tuple[float, float]:
        """The session's VWAP and its deviation, in currency; NaN before the first trade."""
        mean, sd = self._kernel.vwap[index]
        core, scale = self._kernel.core, self._scales[index]
        (numerator,), (denominator,) = mean.numerator, mean.denominator
        total, weighted = core.value(index, denominator[0].index), core.value(index, numerator[0].index)
        deviation = core.value(index, sd.column)
        if not total or weighted is None or deviation is None:
            return nan, nan
        return weighted / total / scale, float(deviation) / scale

    # -- at the rate of a screen

    def snapshot(
        self,
        health: FeedHealth,
        now_ns: int,
        *,
        engine_ts_ns: int = 0,
        old_batches: int = 0,
        detail: str = "",
        ended: str = "",
    ) -> Snapshot:
        """Return the present picture; points, trades and ticks are those since the previous one.

        Args:
            health: the feed's counters.
            now_ns: monotonic time, for the rate of ticks.
            engine_ts_ns: the present engine time, if it has passed the newest record's.
            old_batches: so many batches of records were too old to open anything on.
            detail: why the feed is in its state.
            ended: why the session is over, or "".
        """
        kernel = self._kernel
        self._digest()
        self._seq += 1
        first = self._tally.seen
        trades = self._tally.take(kernel.trades)
        tail, self._tail = self._tail, []
        return Snapshot(
            seq=self._seq,
            mode=self._mode,
            session_id=self._session_id,
            strategy=self._strategy,
            engine_ts_ns=(now_ts_ns := max(kernel.core.engine_ts_ns, engine_ts_ns, 0)),
            started_ts_ns=self.started_ts_ns,
            symbols=[self._symbol(index) for index in range(len(kernel.instruments))],
            account=self.account(now_ts_ns),
            feed=self._feed(health, now_ns, detail, old_batches),
            latency_p50_us=self.latency.percentile_us(50),
            latency_p99_us=self.latency.percentile_us(99),
            refusals=dict(kernel.counters.refusals),
            skipped_signals=kernel.counters.skipped,
            new_trades=[
                trade_view(number, trade, self._owner(trade.lane))
                for number, trade in enumerate(trades, start=first + 1)
            ],
            ticks_tail=tail,
            ended=ended,
            problem=self.problem,
        )

    def _symbol(self, index: int) -> SymbolView:
        core, instrument, scale = self._kernel.core, self._kernel.instruments[index], self._scales[index]
        bid, ask = core.quote(index)
        vwap, sd = self._vwap(index)
        lanes = [(lane, self._warm(lane)) for lane in self._kernel.lanes if lane.instrument == index]
        points, self._points[index] = self._points[index], []
        return SymbolView(
            symbol=instrument.symbol,
            price_precision=instrument.price_precision,
            price=core.price(index) / scale,
            bid=bid / scale,
            ask=ask / scale,
            ticks=self._ticks[index],
            last_ts_ns=self._last_ts[index],
            warm=all(warm for _, warm in lanes),
            vwap=vwap,
            vwap_sd=sd,
            features=[feature for lane, warm in lanes for feature in self._features(lane, warm)],
            position=next((view for lane, _ in lanes if (view := self._position(lane)) is not None), None),
            points=points,
        )

    def _owner(self, lane: int) -> str:
        """Whose lane it is, among several strategies."""
        return self._owners[lane] if lane < len(self._owners) else ""

    def _warm(self, lane: Lane) -> bool:
        core = self._kernel.core
        first_ts, trades = core.warm_since(lane.instrument)
        warm_up = lane.rule.warm_up
        return bool(trades) and self._last_ts[lane.instrument] - first_ts >= warm_up.ns and trades >= warm_up.trades

    def _features(self, lane: Lane, warm: bool) -> list[FeatureView]:
        """One line per declared comparison, each side's among them."""
        core, owner = self._kernel.core, self._owner(lane.number)
        lines = []
        for view in lane.rule.views:
            value, threshold, passed = view.values(core, lane.instrument)
            shown = value if warm else nan
            lines.append(
                FeatureView(
                    view.name, shown, view.op, threshold, passed and warm, view.unit, owner, view.side, view.against
                )
            )
        return lines

    def _position(self, lane: Lane) -> PositionView | None:
        kernel, index = self._kernel, lane.instrument
        position = kernel.portfolio.positions.get(lane.number)
        if position is None:
            return None
        instrument, scale = kernel.instruments[index], self._scales[index]
        moved = (kernel.core.price(index) - position.entry_ticks) * position.side * position.lots
        open_units = round(moved * kernel.portfolio.units[index]) - position.slippage - position.fees
        return PositionView(
            side=position.side.word,
            qty=float(instrument.size(position.lots)),
            entry_ts_ns=position.entry_ts_ns,
            entry_price=float(position.entry_ticks / scale),
            stop_price=level(lane.stop_ticks, scale),
            target_price=level(lane.target_ticks, scale),
            deadline_ts_ns=lane.deadline_ns,
            open_pnl=float(kernel.portfolio.money(open_units)),
        )

    def account(self, now_ts_ns: int) -> AccountView:
        """The account, its limits and its state as they are now."""
        kernel, tally = self._kernel, self._tally
        portfolio, core, risk = kernel.portfolio, kernel.core, kernel.risk
        unit: int = 10**portfolio.scale

        def money(units: int) -> float:
            return units / unit  # rounded once, as the exact decimal is

        standing = risk.standing
        return AccountView(
            cash=money(portfolio.starting + portfolio.realised),
            equity=money(core.equity),
            daily_pnl=money(core.equity - risk.day_start),
            total_pnl=money(core.equity - portfolio.starting),
            open_pnl=money(core.equity - portfolio.starting - portfolio.realised),
            max_drawdown=money(core.drawdown),
            current_drawdown=money(core.peak - core.equity),
            trades=tally.trades,
            wins=tally.wins,
            losses=tally.losses,
            win_rate=tally.wins / tally.trades if tally.trades else nan,
            gross=money(portfolio.gross),
            spread_cost=money(portfolio.spread),
            slippage_cost=money(portfolio.slippage),
            fees=money(portfolio.fees),
            borrow_cost=money(portfolio.borrow),
            halted=self._words_of(standing),
            state=risk.state.value,
            gauges=[GaugeView(*gauge) for gauge in self._gauges.read(now_ts_ns)],
        )

    def _words_of(self, standing: Refusal | None) -> str:
        """Why nothing may be opened, in words; empty when there is no such reason."""
        if standing is None:
            return ""
        words, said = STANDINGS.get(standing, standing.value), self._kernel.risk.halted_for
        return f"{words}: {said}" if standing is Refusal.HALTED and said else words

    def _feed(self, health: FeedHealth, now_ns: int, detail: str, old_batches: int) -> FeedView:
        oldest_ns, self._oldest_ns = self._oldest_ns, 0
        then, ticks, rate = self._rate
        if now_ns - then >= RATE_NS:
            rate = (health.accepted - ticks) * 1e9 / (now_ns - then) if then else 0.0
            self._rate = (now_ns, health.accepted, rate)
        return FeedView(
            state=health.state.value,
            address=health.address,
            detail=detail,
            accepted=health.accepted,
            rejected=dict(health.rejected),
            bad_frames=dict(health.bad_frames),
            late=health.late,
            gaps=health.gaps,
            reconnects=health.reconnects,
            queue_ticks=health.queue_ticks,
            age_ms=health.age_ms,
            ticks_per_s=rate,
            data_age_ms=oldest_ns / 1e6,
            old_batches=old_batches,
        )


class Noted:
    """Room for ``DIGEST_ROWS`` records, of the columns that a screen shows: filled block by block, taken at once."""

    def __init__(self) -> None:
        self.rows = 0
        self._kind = np.empty(DIGEST_ROWS, np.uint8)
        self._instrument = np.empty(DIGEST_ROWS, np.uint16)
        self._columns = [np.empty(DIGEST_ROWS, np.int64) for _ in range(5)]  # time, price, size, bid, ask

    def add(self, block: TickBlock) -> None:
        """Copy a block for which there is room; what it has no column of is 0."""
        there = slice(self.rows, self.rows + len(block))
        self._kind[there] = 0 if block.kind is None else block.kind
        self._instrument[there] = 0 if block.instrument is None else block.instrument
        given = (block.ts_ns, block.price_ticks, block.size_lots, block.bid_ticks, block.ask_ticks)
        for column, of in zip(self._columns, given, strict=True):
            column[there] = 0 if of is None else of
        self.rows = there.stop

    def take_trades(self) -> list[NDArray[Any]]:
        """Return instrument, time, price, size, bid and ask of the trades among them, and forget them all."""
        trades = np.flatnonzero(self._kind[: self.rows] == TRADE)
        self.rows = 0
        return [self._instrument[trades], *(column[trades] for column in self._columns)]


class Tally:
    """Counts closed trades as ``engine.account.metrics`` defines them, without going through all for each picture."""

    def __init__(self) -> None:
        self.seen = self.trades = self.wins = self.losses = 0
        self._alone: dict[int, Trade] = {}  # legs of which the other is still to come, by pair

    def take(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Count the trades that are new since the last call, and return them."""
        new = trades[self.seen :]
        self.seen += len(new)
        for trade in new:
            if (first := self._alone.pop(trade.pair, None)) is not None:
                self._count(first, -1)
                self._count(as_one((first, trade)))
                continue
            if trade.pair:
                self._alone[trade.pair] = trade
            self._count(trade)
        return new

    def _count(self, trade: Trade, times: int = 1) -> None:
        if trade.reason is not Reason.END:
            self.trades += times
            self.wins += times * (trade.net > 0)
            self.losses += times * (trade.net < 0)


def level(ticks: int, scale: int) -> float:
    """Return a protective level as a price; 0 when it is none that a price can reach."""
    return ticks / scale if 0 < ticks < 1 << 60 else 0.0


def trade_view(number: int, trade: Trade, strategy: str = "") -> TradeView:
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
        costs=float(trade.spread_cost + trade.slippage_cost + trade.fees + trade.borrow_cost),
        net=float(trade.net),
        strategy=strategy,
    )
