"""One snapshot written by hand, for tests that compare labels to the letter."""

from __future__ import annotations

import math

from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
)

T0 = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
SECOND = 1_000_000_000


def trade(number: int, reason: str, net: float, side: str = "long", symbol: str = "ACME") -> TradeView:
    entry = T0 + number * 10 * SECOND
    return TradeView(
        number, symbol, side, 100.0, entry, entry + 1_234_000_000, 100.0, 100.0 + net / 100, reason, net + 0.5, 0.5, net
    )


def snapshot(seq: int = 1, **changes: object) -> Snapshot:
    """Return the snapshot, with some of its fields replaced."""
    position = PositionView(
        side="short", qty=100.0, entry_ts_ns=T0 + 57 * SECOND, entry_price=101.25, stop_price=101.3,
        target_price=101.1, deadline_ts_ns=T0 + 65 * SECOND, open_pnl=-3.0,
    )  # fmt: skip
    features = [
        FeatureView("range", 0.0012, ">=", 0.001, True, "%"),
        FeatureView("surge", 1.5, ">", 1.5, False, "x"),
        FeatureView("move", math.nan, "<=", -0.0005, False, "%"),
    ]
    points = [(T0 + index * SECOND, 101.0 + index / 200, 101.0, 101.01, 101.1, 0.05) for index in range(57)]
    symbol = SymbolView(
        "ACME", 2, 101.28, 101.27, 101.28, 57, T0 + 56 * SECOND, True, 101.1, 0.05, features, position, points
    )
    account = AccountView(
        cash=10_012.5, equity=10_009.5, daily_pnl=9.5, total_pnl=-1_234.5, open_pnl=-3.0, max_drawdown=1_300.25,
        current_drawdown=3.0, trades=3, wins=2, losses=1, win_rate=2 / 3, gross=20.0, spread_cost=3.0,
        slippage_cost=1.5, fees=0.25,
    )  # fmt: skip
    feed = FeedView(
        "live", "ws://127.0.0.1:8765", "", 1_234_567, {"crossed": 2}, {"json": 1}, 4, 0, 1, 5, 12.0, 5_003.2
    )
    made = Snapshot(
        seq, "PAPER", "session-1", "momentum_burst", T0 + 60 * SECOND, T0, [symbol], account, feed, 8.25, 1_234.0,
        {"daily_loss": 2}, 7, [trade(1, "TP", 14.5), trade(2, "SL", -5.5, "short"), trade(3, "TIME", 0.5)],
        [(T0 + 56 * SECOND, "ACME", 101.28, 300.0, 101.27, 101.28)],
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made
