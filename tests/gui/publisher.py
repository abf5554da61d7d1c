"""A made-up session for the dashboard's tests: seeded prices, a simple momentum rule, real snapshots.

It needs no engine. ``python -m tests.gui.publisher --symbols 3`` publishes it through the real telemetry server, so
that the dashboard can be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import signal
import time
from collections import deque

from engine.telemetry import TelemetryServer
from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    GaugeView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
)

START_NS = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
SECOND_NS = 1_000_000_000
NAMES = ("ACME", "BOLT", "CRUX", "DYNE", "ECHO", "FLUX", "GYRE", "HALO")
WINDOW_S, GUARD, THRESHOLD, SPIKE, TARGET, STOP, TIME_STOP_S = 15, 0.001, 0.0005, 1.5, 0.0015, 0.0005, 8
FEE, SLIPPAGE_BPS = 0.01, 0.2


class Market:
    """One instrument: a walk with quiet spells and bursts, its session VWAP, and one position at a time."""

    def __init__(self, symbol: str, seed: int, start_price: float) -> None:
        self.symbol = symbol
        self.random = random.Random(seed)
        self.fair = start_price
        self.price = self.bid = self.ask = 0.0
        self.ticks = 0
        self.ts_ns = START_NS
        self.drift, self.burst_left = 0.0, 0
        self.volume = self.notional = self.squares = 0.0
        self.window: deque[tuple[int, float, float]] = deque()
        self.position: PositionView | None = None
        self.features: list[FeatureView] = []

    def tick(self, ts_ns: int) -> tuple[int, str, float, float, float, float]:
        """Make one trade at ``ts_ns``."""
        if self.burst_left == 0 and self.random.random() < 0.002:
            self.burst_left = self.random.randint(40, 200)
            self.drift = self.random.choice((-1, 1)) * self.random.uniform(1e-5, 4e-5)
        busy = self.burst_left > 0
        self.burst_left = max(self.burst_left - 1, 0)
        step = self.random.gauss(self.drift if busy else 0.0, 4e-5 if busy else 1.5e-5)
        self.fair *= math.exp(step)
        self.bid, self.ask = math.floor(self.fair * 100) / 100, math.floor(self.fair * 100) / 100 + 0.01
        self.price = self.ask if self.random.random() < 0.5 + 200 * step else self.bid
        size = float(max(1, round(self.random.lognormvariate(4.0 if busy else 3.0, 0.8))))
        self.ts_ns = ts_ns
        self.ticks += 1
        self.volume += size
        self.notional += size * self.price
        self.squares += size * self.price * self.price
        self.window.append((ts_ns, self.price, size))
        while self.window[0][0] <= ts_ns - WINDOW_S * SECOND_NS:
            self.window.popleft()
        return ts_ns, self.symbol, self.price, size, self.bid, self.ask

    @property
    def vwap(self) -> float:
        return self.notional / self.volume if self.volume else math.nan

    @property
    def deviation(self) -> float:
        return math.sqrt(max(self.squares / self.volume - self.vwap**2, 0.0)) if self.volume else math.nan

    def judge(self) -> int:
        """Bring the conditions up to date; return +1, -1 or 0: which side may enter."""
        prices = [price for _, price, _ in self.window]
        total = sum(size for *_, size in self.window)
        recent = sum(size for ts_ns, _, size in self.window if ts_ns > self.ts_ns - SECOND_NS)
        move = (self.price - prices[0]) / prices[0]
        surge = recent / (total / WINDOW_S) if total else math.nan
        spread = (max(prices) - min(prices)) / self.price
        self.features = [
            FeatureView("range 15 s", spread, ">=", GUARD, spread >= GUARD, "%"),
            FeatureView("surge 1 s / 15 s", surge, ">", SPIKE, surge > SPIKE, "x"),
            FeatureView("move 15 s, long", move, ">=", THRESHOLD, move >= THRESHOLD, "%"),
            FeatureView("move 15 s, short", move, "<=", -THRESHOLD, move <= -THRESHOLD, "%"),
        ]
        awake, surging, up, down = (feature.passed for feature in self.features)
        return (1 if up else -1 if down else 0) if awake and surging else 0


class SyntheticSession:
    """Several markets, an account and the snapshots of both.

    Args:
        symbols: how many instruments.
        rate: ticks per second of session time, over all of them.
        seed: equal seeds give equal sessions.
    """

    def __init__(self, symbols: int = 1, rate: float = 60.0, seed: int = 7, mode: str = "DEMO") -> None:
        self.random = random.Random(seed)
        self.markets = [Market(NAMES[index], seed * 100 + index, 100.0 + 37.5 * index) for index in range(symbols)]
        self.mode, self.rate = mode, rate
        self.now_ns, self.seq, self.skipped = START_NS, 0, 0
        self.trades: list[TradeView] = []
        self.peak = self.worst = self.spread_cost = self.slippage = self.fees = 0.0
        self.feed_state, self.halted, self.ended = "live", "", ""
        self._credit = 0.0
        self._stride = max(8, round(rate / symbols / 8))  # ticks between two judgements of one market

    def advance(self, seconds: float) -> Snapshot:
        """Let ``seconds`` of session time pass and return the snapshot of it."""
        end_ns = self.now_ns + round(seconds * SECOND_NS)
        self._credit += seconds * self.rate
        count, first_trade = int(self._credit), len(self.trades)
        self._credit -= count
        points: dict[str, list[tuple[int, float, float, float, float, float]]] = {m.symbol: [] for m in self.markets}
        ticks = []
        times = sorted(self.random.randrange(self.now_ns, end_ns) for _ in range(count))
        for index, ts_ns in enumerate(times):
            market = self.random.choice(self.markets)
            tick = market.tick(ts_ns)
            points[market.symbol].append((ts_ns, market.price, market.bid, market.ask, market.vwap, market.deviation))
            if index >= count - 50:
                ticks.append(tick)
            if market.ticks % self._stride == 0:
                self._trade(market)
        self.now_ns = end_ns
        self.seq += 1
        return self._snapshot(points, self.trades[first_trade:], ticks)

    def _trade(self, market: Market) -> None:
        side = market.judge()
        position = market.position
        if position is None:
            if side and market.ts_ns > START_NS + WINDOW_S * SECOND_NS:
                if self.random.random() < 0.5:
                    self.skipped += 1
                    return
                price = market.ask if side > 0 else market.bid
                market.position = PositionView(
                    "long" if side > 0 else "short", 100.0, market.ts_ns, price,
                    round(price * (1 - side * STOP), 2), round(price * (1 + side * TARGET), 2),
                    market.ts_ns + TIME_STOP_S * SECOND_NS, 0.0,
                )  # fmt: skip
            return
        sign = 1 if position.side == "long" else -1
        gain = sign * (market.price - position.entry_price)
        position.open_pnl = round(gain * position.qty, 2)
        fraction = gain / position.entry_price
        if fraction <= -STOP:
            self._close(market, "SL")
        elif fraction >= TARGET:
            self._close(market, "TP")
        elif market.ts_ns >= position.deadline_ts_ns:
            self._close(market, "TIME")
        elif market.ts_ns - position.entry_ts_ns > 4 * SECOND_NS and self.random.random() < 0.02:
            self._close(market, "FLAT")

    def _close(self, market: Market, reason: str) -> None:
        position = market.position
        assert position is not None
        sign = 1 if position.side == "long" else -1
        price = market.bid if sign > 0 else market.ask
        gross = round(sign * (price - position.entry_price) * position.qty, 2)
        slippage, fees = round(price * position.qty * SLIPPAGE_BPS / 1e4, 2), FEE * position.qty * 0.2
        self.slippage += slippage
        self.fees += fees
        self.spread_cost += 0.01 * position.qty
        self.trades.append(
            TradeView(
                len(self.trades) + 1, market.symbol, position.side, position.qty, position.entry_ts_ns,
                market.ts_ns, position.entry_price, price, reason, gross,
                round(slippage + fees, 2), round(gross - slippage - fees, 2),
            )
        )  # fmt: skip
        market.position = None

    def account(self) -> AccountView:
        """Return the account as it stands."""
        realised = sum(trade.net for trade in self.trades)
        open_pnl = sum(market.position.open_pnl for market in self.markets if market.position is not None)
        total = round(realised + open_pnl, 2)
        self.peak = max(self.peak, total)
        self.worst = max(self.worst, self.peak - total)
        wins = sum(trade.net > 0 for trade in self.trades)
        count = len(self.trades)
        return AccountView(
            cash=round(10_000 + realised, 2), equity=10_000 + total, daily_pnl=total, total_pnl=total,
            open_pnl=open_pnl, max_drawdown=round(self.worst, 2), current_drawdown=round(self.peak - total, 2),
            trades=count, wins=wins, losses=count - wins, win_rate=wins / count if count else math.nan,
            gross=round(sum(trade.gross for trade in self.trades), 2), spread_cost=round(self.spread_cost, 2),
            slippage_cost=round(self.slippage, 2), fees=round(self.fees, 2), halted=self.halted,
            state="reducing" if self.halted else "active",
            gauges=[
                GaugeView("daily_loss_limit", max(-total, 0.0) / 10_000, 0.05, "ratio"),
                GaugeView("max_trades_per_day", count, 40, "count"),
                GaugeView("positions_per_symbol", float(open_pnl != 0), 1, "count"),
                GaugeView("max_position_value", 10_128.0 if open_pnl else 0.0, 12_000.0, "money"),
            ],
        )  # fmt: skip

    def _snapshot(self, points: dict, trades: list[TradeView], ticks: list) -> Snapshot:  # type: ignore[type-arg]
        symbols = [
            SymbolView(
                market.symbol, 2, market.price, market.bid, market.ask, market.ticks, market.ts_ns,
                self.now_ns >= START_NS + WINDOW_S * SECOND_NS, market.vwap, market.deviation,
                list(market.features), market.position, points[market.symbol],
            )
            for market in self.markets
        ]  # fmt: skip
        accepted = sum(market.ticks for market in self.markets)
        feed = FeedView(
            self.feed_state, "ws://127.0.0.1:8765", "", accepted, {"crossed": 3}, {}, 0, 0, 0, 0, 4.0, self.rate
        )
        refusals = {"size limit": len(self.trades) // 20} if len(self.trades) >= 20 else {}
        return Snapshot(
            self.seq, self.mode, "20231114-221320-7f3a", "momentum_burst", self.now_ns, START_NS, symbols,
            self.account(), feed, 11.4, 48.0, refusals, self.skipped, list(trades), ticks, self.ended,
        )  # fmt: skip


async def publish(session: SyntheticSession, history_s: float = 0.0, hertz: float = 30.0) -> None:
    """Publish ``session`` in real time until SIGTERM, then end it like an engine does."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = TelemetryServer(on_command=lambda name, _: setattr(session, "halted", "paused" if name == "pause" else ""))
    await server.start("20231114-221320-7f3a", session.mode)
    try:
        for _ in range(round(history_s * 4)):
            server.publish(session.advance(0.25))
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1 / hertz)
            server.publish(session.advance(1 / hertz))
        session.ended = "terminated"
        server.publish(session.advance(1 / hertz))
    finally:
        await server.close()


def main() -> None:
    """Publish from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000)
    parser.add_argument("--mode", default="DEMO")
    parser.add_argument("--history", type=float, default=0.0, help="seconds of session time before the start")
    options = parser.parse_args()
    session = SyntheticSession(options.symbols, options.rate, options.seed, options.mode)
    asyncio.run(publish(session, options.history))


if __name__ == "__main__":
    main()
