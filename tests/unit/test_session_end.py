"""A position that is open when its trading session ends is closed there, whatever the latency."""

import numpy as np
import pytest

import engine
from engine import Strategy
from engine.rules import price

CLOSE_NS = 1_704_229_200_000_000_000  # 2024-01-02 16:00 in New York
SECOND_NS = 1_000_000_000


class Always(Strategy):
    """In the market whenever it may be."""

    long = price > 0


@pytest.mark.parametrize(("latency", "late_ns"), [(0, 0), ("2s", 2 * SECOND_NS)])
def test_closed_at_the_close(latency, late_ns):
    offsets = np.array([-60, -30, -1, 30, 60], np.int64) * SECOND_NS
    ticks = {
        "ts_ns": CLOSE_NS + offsets,
        "price_ticks": np.array([100, 101, 102, 103, 104], np.int64),
        "size_lots": np.full(5, 10, np.int64),
    }
    (trade,) = engine.backtest(ticks, Always, calendar="us_equities", latency_order=latency).trades
    assert (trade.entry_ts_ns, trade.entry_ticks) == (CLOSE_NS - 60 * SECOND_NS + late_ns, 100)
    assert (trade.exit_ts_ns, trade.exit_ticks, trade.reason) == (CLOSE_NS + late_ns, 102, "SESSION")


def test_nothing_opens_after_hours():
    ticks = {
        "ts_ns": CLOSE_NS + np.array([1, 2], np.int64) * SECOND_NS,
        "price_ticks": np.array([100, 101], np.int64),
        "size_lots": np.array([1, 1], np.int64),
    }
    assert engine.backtest(ticks, Always, calendar="us_equities").trades == []
