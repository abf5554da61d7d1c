"""Ten million ticks of exact features against integer prefix sums, and a hundred million updates of an average.

The ticks hold what is hard: sizes of 10^9 lots among sizes of a few hundred, trades of the same instant, a wild market
that turns calm. The reference is whole-number arithmetic on the whole stream, with no window that slides.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

import engine
from engine.rules import (
    change,
    ema,
    highest,
    lowest,
    mean,
    price,
    price_range,
    seconds,
    ticks,
    trade_count,
    variance,
    volume,
    vwap,
)
from tests.oracle.averages import DIGITS, ReferenceAverage, worst_error

pytestmark = pytest.mark.long

TICKS = 10_000_000
WINDOW_NS = 15_000_000_000
COUNT = 1000
Ints = NDArray[np.int64]


def stream(count: int) -> tuple[Ints, Ints, Ints]:
    """Times, prices in ticks and sizes in lots: wild for the first half, then calm."""
    rng = np.random.default_rng(15)
    ts_ns = np.cumsum(rng.choice([0, 1_000_000, 40_000_000, 900_000_000], count, p=[0.3, 0.3, 0.3, 0.1]))
    steps = np.where(np.arange(count) < count // 2, rng.integers(-900, 901, count), rng.integers(-1, 2, count))
    prices = 1_000_000 + np.abs(np.cumsum(steps)) % 4_000_000
    sizes = rng.integers(1, 500, count)
    sizes[rng.integers(0, count, count // 1000)] = 1_000_000_000
    return ts_ns, prices, sizes


def sums(values: Ints, tails: Ints) -> Ints:
    """The sum from each row's tail to the row: whole numbers modulo 2**64, exact where the sum fits."""
    before = np.concatenate(([0], np.cumsum(values)))
    return before[1:] - before[tails]


def extremes(values: Ints, tails: Ints) -> Ints:
    """The largest from each row's tail to the row, by a table of the largest of every power-of-two run."""
    rows = np.arange(len(values))
    lengths = rows - tails + 1
    found = np.empty_like(values)
    run, width = values, 1
    while True:
        here = (lengths >= width) & (lengths < 2 * width)
        found[here] = np.maximum(run[tails[here]], run[rows[here] - width + 1])
        if (lengths < 2 * width).all():
            return found
        longer = run.copy()
        longer[: len(run) - width] = np.maximum(run[: len(run) - width], run[width:])
        run, width = longer, 2 * width


def expected(
    ts_ns: Ints, prices: Ints, sizes: Ints, tails: Ints, full: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Every column by its definition, NaN until the window is full."""
    counts = np.arange(len(prices)) - tails + 1
    lots, value, price_sum = sums(sizes, tails), sums(prices * sizes, tails), sums(prices, tails)
    high, low, first = extremes(prices, tails), -extremes(-prices, tails), prices[tails]
    spread = counts * sums(prices * prices, tails) - price_sum * price_sum
    columns = {
        "change": (prices - first) / first,
        "volume": lots.astype(float),
        "count": counts.astype(float),
        "highest": high / 100,
        "lowest": low / 100,
        "range": (high - low) / prices,
        "mean": price_sum / (counts * 100),
        "vwap": value / (lots * 100),
        "variance": spread / (counts * counts * 10_000),
    }
    return {name: np.where(full, column, np.nan) for name, column in columns.items()}


@pytest.mark.parametrize("kind", ["time", "count"])
def test_exact_features_equal_prefix_sums(kind, record_property):
    ts_ns, prices, sizes = stream(TICKS)
    window = seconds(15) if kind == "time" else ticks(COUNT)
    if kind == "time":
        # a row's window ends at the row itself: later trades of the same instant are not in it
        tails = np.searchsorted(ts_ns, ts_ns - WINDOW_NS, side="right")
        full = ts_ns - ts_ns[0] >= WINDOW_NS
    else:
        tails = np.maximum(np.arange(TICKS) - COUNT + 1, 0)
        full = np.arange(TICKS) >= COUNT - 1
    reference = expected(ts_ns, prices, sizes, tails, full)
    declared = {
        "change": change(window),
        "volume": volume(window),
        "count": trade_count(window),
        "highest": highest(window),
        "lowest": lowest(window),
        "range": price_range(window),
        "mean": mean(window),
        "vwap": vwap(window),
        "variance": variance(window),
    }
    block = {"ts_ns": ts_ns, "price_ticks": prices, "size_lots": sizes}
    for name, expression in declared.items():
        found = engine.features(block, {name: expression})[name]
        differ = np.flatnonzero(~((found == reference[name]) | (np.isnan(found) & np.isnan(reference[name]))))
        assert not len(differ), (name, differ[:3], found[differ[:3]], reference[name][differ[:3]])
    record_property("rows compared to the bit", f"{TICKS * len(declared):,}")


def test_an_average_of_a_hundred_million_updates(record_property):
    reference = ReferenceAverage(20, DIGITS.divide(Decimal(2), Decimal(21)))
    worst = worst_error(ema(price, 20), reference, 100_000_000, 1_000_000)
    record_property("largest relative error", f"{worst:.1e}")
    assert worst < 1e-12
