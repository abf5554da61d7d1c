"""Series of whole numbers: sums, deviations and slopes by running totals equal those of the definitions in fractions.

Prices and sizes go up to the largest that the engine takes, so that whatever is kept in too few bits shows, and calm
follows wild, where a running sum of doubles keeps the error of what has left.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isqrt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import rules as r
from engine.indicators import bollinger
from engine.model import MAX_PRICE_TICKS, MAX_SIZE_LOTS

S = 1_000_000_000
ULP = Fraction(1, 1 << 52)

CALM = st.integers(100_000, 100_003)
WILD = st.integers(1, MAX_PRICE_TICKS) | st.sampled_from([1, MAX_PRICE_TICKS - 1, MAX_PRICE_TICKS])
SIZES = st.integers(1, 5) | st.sampled_from([10**9, MAX_SIZE_LOTS])
TRADES = st.lists(st.tuples(CALM | WILD, SIZES), min_size=1, max_size=60)


def streamed(trades: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    prices, sizes = zip(*trades, strict=True)
    return {
        "ts_ns": np.arange(len(trades), dtype=np.int64) * S,
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.array(sizes, np.int64),
    }


def deviation_close(found: float, values: list[int]) -> bool:
    """Whether ``found`` is the population deviation to within two of a double's last places, by whole numbers alone."""
    n = len(values)
    spread = n * sum(value * value for value in values) - sum(values) ** 2  # (n * deviation) squared
    scaled = isqrt(spread << 240)  # n * deviation * 2**120
    return abs(Fraction(found) - Fraction(scaled, n << 120)) <= 2 * ULP * Fraction(scaled + 1, n << 120)


def slope_of(values: list[int]) -> Fraction:
    n, mean = len(values), Fraction(sum(values), len(values))
    centre = Fraction(n - 1, 2)
    top = sum((i - centre) * (value - mean) for i, value in enumerate(values))
    return Fraction(top) / sum((i - centre) ** 2 for i in range(n))


def beta_of(ys: list[int], xs: list[int]) -> Fraction | None:
    mean_x, mean_y = Fraction(sum(xs), len(xs)), Fraction(sum(ys), len(ys))
    bottom = sum((x - mean_x) ** 2 for x in xs)
    top = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return Fraction(top) / bottom if bottom else None


def agrees(found: float, exact: Fraction | None) -> bool:
    """Whether a quotient of two whole numbers, each rounded to a double where it is long, was divided and rounded."""
    return np.isnan(found) if exact is None else abs(Fraction(found) - exact) <= 2 * ULP * abs(exact)


@given(TRADES, st.integers(2, 7), st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_series_of_prices_and_sizes_are_those_of_fractions(trades: list[tuple[int, int]], n: int, block: int) -> None:
    written = {
        "total": r.total(r.size, n),
        "sma": r.sma(r.price, n),
        "stdev": r.stdev(r.price, n),
        "doubled": r.stdev(2 * r.price + r.price, n),
        "slope": r.slope(r.price, n),
        "beta": r.hedge_ratio(r.price, r.size, n),
        "late": r.sma(r.volume(r.ticks(2)), n),
        "held": r.stdev(r.bars(r.ticks(block)).close, n),
    }
    found = engine.features(streamed(trades), written, price_precision=0, size_precision=0)
    closes = [price for price, _ in trades[block - 1 :: block]]
    for k in range(len(trades)):
        prices = [price for price, _ in trades[max(0, k + 1 - n) : k + 1]]
        sizes = [size for _, size in trades[max(0, k + 1 - n) : k + 1]]
        bars = closes[: (k + 1) // block][-n:]
        assert len(bars) < n if np.isnan(found["held"][k]) else deviation_close(found["held"][k], bars)
        if k + 1 < n:
            assert all(np.isnan(found[name][k]) for name in ("total", "sma", "stdev", "doubled", "slope", "beta"))
            continue
        assert found["total"][k] == sum(sizes)
        assert agrees(found["sma"][k], Fraction(sum(prices), n))
        assert deviation_close(found["stdev"][k], prices)
        assert deviation_close(found["doubled"][k], [3 * price for price in prices])
        assert agrees(found["slope"][k], slope_of(prices))
        assert agrees(found["beta"][k], beta_of(prices, sizes))
        pairs = [trades[i - 1][1] + trades[i][1] for i in range(max(1, k + 1 - n), k + 1)]
        assert agrees(found["late"][k], Fraction(sum(pairs), n) if len(pairs) == n else None)


@given(TRADES)
@settings(deadline=None, max_examples=30)
def test_a_price_on_its_average_is_not_above_it(trades: list[tuple[int, int]]) -> None:
    """The comparison is made of whole numbers: a price at, one below and one above the mean of the last two."""
    (found,) = engine.features(
        streamed(trades), {"above": r.price > r.sma(r.price, 2)}, price_precision=0, size_precision=0
    ).values()
    prices = [price for price, _ in trades]
    expected = [False] + [2 * now > now + before for before, now in pairwise(prices)]
    assert found.tolist() == expected


def test_the_calm_after_the_storm_has_no_deviation() -> None:
    trades = [(MAX_PRICE_TICKS, 1), (1, 1)] * 20 + [(100_000, 1)] * 6
    found = engine.features(
        streamed(trades),
        {"stdev": r.stdev(r.price, 5), "width": bollinger(r.price, 5).upper - bollinger(r.price, 5).lower},
        price_precision=0,
        size_precision=0,
    )
    assert found["stdev"][-1] == found["width"][-1] == 0
    assert found["stdev"][-6] > 10**11
