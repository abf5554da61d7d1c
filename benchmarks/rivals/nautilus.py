"""nautilus_trader, in its own idiom: a Python strategy with orders on the simulated exchange.

Trade ticks move the exchange's book (``trade_execution``), entries and exits are market orders that fill at the last
trade's price without latency or fees, timers are the strategy clock's alerts, and every position is booked from the
fills that come back. Logging, risk checks and the report at the end are switched off in its favour. The windows are
kept with deques and Python integers (raw prices), so the comparisons are exact here too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.rivals.common import REASONS, Rule, Ticks, Trades, missing, trades_from_rows

SECOND = 1_000_000_000
MILLION = 1_000_000


class Prepared(NamedTuple):
    """The ticks as nautilus objects, and the rule."""

    ticks: list[Any]
    rule: Rule


def unavailable() -> str:
    return missing("nautilus_trader")


@cache
def instrument() -> Any:
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Price, Quantity

    return Equity(
        instrument_id=InstrumentId.from_str("AAPL.SIM"),
        raw_symbol=Symbol("AAPL"),
        currency=USD,
        price_precision=2,
        price_increment=Price.from_str("0.01"),
        lot_size=Quantity.from_int(1),
        ts_event=0,
        ts_init=0,
    )


def prepare(ticks: Ticks, rule: Rule) -> Prepared:
    from nautilus_trader.model.data import TradeTick

    count = len(ticks)
    times = ticks.ts_ns.astype(np.uint64)
    objects = TradeTick.from_raw_arrays_to_list(
        instrument().id,
        2,
        0,
        ticks.price_ticks / 100.0,
        ticks.size_lots.astype(np.float64),
        np.zeros(count, np.uint8),  # no aggressor: the trade price becomes both bid and ask
        [str(index) for index in range(count)],
        times,
        times,
    )
    return Prepared(objects, rule)


def arm(job: Prepared) -> tuple[Any, Any]:
    """Return an engine with its data and a fresh strategy, ready to run."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True), run_analysis=False
        )
    )
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(10_000, USD)],
        trade_execution=True,
    )
    engine.add_instrument(instrument())
    engine.add_data(job.ticks, validate=False, sort=False)
    strategy = strategy_class()(job.rule)
    engine.add_strategy(strategy)
    return engine, strategy


def run(armed: tuple[Any, Any]) -> Trades:
    engine, strategy = armed
    engine.run()
    strategy.close_at_the_end()
    return trades_from_rows(strategy.rows)


def disarm(armed: tuple[Any, Any]) -> None:
    armed[0].dispose()


@cache
def strategy_class() -> Callable[[Rule], Any]:
    """Define the strategy (nautilus is only needed by those who run it)."""
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.model.objects import Quantity
    from nautilus_trader.trading.strategy import Strategy

    class MomentumBurst(Strategy):
        """The rule of the page; ``side`` is the position, ``pending`` the reason of an exit on its way."""

        def __init__(self, rule: Rule) -> None:
            super().__init__()
            self.rule = rule
            self.one = Quantity.from_int(1)
            self.window: deque[tuple[int, int, int]] = deque()
            self.surge: deque[tuple[int, int]] = deque()
            self.highs: deque[tuple[int, int]] = deque()
            self.lows: deque[tuple[int, int]] = deque()
            self.volume = self.surge_volume = 0
            self.warm_at: int | None = None
            self.side = self.signal = self.cooldown = 0
            self.entry_ts = self.entry = self.candle_end = 0
            self.candle_first = self.candle_last = self.flat_run = 0
            self.pending = ""
            self.due_ns = 0
            self.last = (0, 0)
            self.alerts = 0
            self.rows: list[tuple[int, ...]] = []

        def on_start(self) -> None:
            self.subscribe_trade_ticks(instrument().id)

        def on_trade_tick(self, tick: Any) -> None:
            rule = self.rule
            now, price, size = tick.ts_event, tick.price.raw, tick.size.raw
            if self.warm_at is None:
                self.warm_at = now + rule.window_ns
            self.last = (now, price)
            self.slide(now, price, size)
            if self.side:
                self.hold(now, price)
                return
            oldest = self.window[0][1]
            move, least = (price - oldest) * MILLION, rule.entry_per_million * oldest
            state = 0
            if (
                not -least < move < least
                and self.surge_volume * rule.window_ns * MILLION
                > rule.spike_per_million * self.volume * rule.surge_window_ns
                and (self.highs[0][1] - self.lows[0][1]) * MILLION >= rule.guard_per_million * price
                and now >= self.warm_at
            ):
                state = 1 if move > 0 else -1
            if state == self.signal:
                return
            self.signal = state
            if state == 0:
                return
            if self.cooldown:
                self.cooldown -= 1
                return
            self.enter(state, now)

        def slide(self, now: int, price: int, size: int) -> None:
            window, surge, highs, lows = self.window, self.surge, self.highs, self.lows
            window.append((now, price, size))
            surge.append((now, size))
            self.volume += size
            self.surge_volume += size
            gone = now - self.rule.window_ns
            while window[0][0] <= gone:
                self.volume -= window.popleft()[2]
            surge_gone = now - self.rule.surge_window_ns
            while surge[0][0] <= surge_gone:
                self.surge_volume -= surge.popleft()[1]
            while highs and highs[-1][1] <= price:
                highs.pop()
            highs.append((now, price))
            while highs[0][0] <= gone:
                highs.popleft()
            while lows and lows[-1][1] >= price:
                lows.pop()
            lows.append((now, price))
            while lows[0][0] <= gone:
                lows.popleft()

        def hold(self, now: int, price: int) -> None:
            if now >= self.candle_end - SECOND:
                if not self.candle_first:
                    self.candle_first = price
                self.candle_last = price
            gain = self.side * (price - self.entry) * MILLION
            if gain <= -self.rule.stop_per_million * self.entry:
                self.leave("SL", now)
            elif gain >= self.rule.target_per_million * self.entry:
                self.leave("TP", now)

        def enter(self, side: int, now: int) -> None:
            self.side = side
            self.flat_run = self.candle_first = self.candle_last = 0
            self.market(OrderSide.BUY if side > 0 else OrderSide.SELL)
            self.alerts += 1
            if self.rule.time_stop_ns:
                self.clock.set_time_alert_ns(f"time-{self.alerts}", now + self.rule.time_stop_ns, self.on_time_stop)
            if self.rule.flat_candles:
                begin = -(-now // SECOND) * SECOND
                self.candle_end = begin + SECOND
                self.clock.set_time_alert_ns(f"candle-{self.alerts}-{self.candle_end}", self.candle_end, self.on_candle)

        def leave(self, reason: str, due_ns: int) -> None:
            self.pending, self.due_ns = reason, due_ns
            self.clock.cancel_timers()
            self.market(OrderSide.SELL if self.side > 0 else OrderSide.BUY)

        def market(self, side: Any) -> None:
            self.submit_order(self.order_factory.market(instrument().id, side, self.one))

        def outdated(self, event: Any) -> bool:
            """Return whether the alert was already on its way when the position it belongs to was closed."""
            return not self.side or bool(self.pending) or event.name.split("-")[1] != str(self.alerts)

        def on_time_stop(self, event: Any) -> None:
            if not self.outdated(event):
                self.leave("TIME", event.ts_event)

        def on_candle(self, event: Any) -> None:
            if self.outdated(event):
                return
            self.flat_run = self.flat_run + 1 if self.candle_first == self.candle_last else 0
            self.candle_first = self.candle_last = 0
            if self.flat_run == self.rule.flat_candles:
                self.leave("FLAT", event.ts_event)
                return
            self.candle_end += SECOND
            self.clock.set_time_alert_ns(f"candle-{self.alerts}-{self.candle_end}", self.candle_end, self.on_candle)

        def on_order_filled(self, event: Any) -> None:
            price = event.last_px.raw
            if not self.pending:
                self.entry, self.entry_ts = price, event.ts_event
                if self.candle_end - SECOND == event.ts_event:
                    self.candle_first = self.candle_last = price
                return
            self.book(price, self.due_ns, self.pending)

        def book(self, price: int, ts_ns: int, reason: str) -> None:
            unit = instrument().price_increment.raw
            row = (self.side, self.entry_ts, ts_ns, self.entry // unit, price // unit, REASONS.index(reason))
            self.rows.append(row)
            if self.side * (price - self.entry) < 0:
                self.cooldown = self.rule.cooldown_signals
            self.side = self.signal = 0
            self.pending = ""

        def close_at_the_end(self) -> None:
            if self.side:
                self.book(self.last[1], self.last[0], "END")

    return MomentumBurst
