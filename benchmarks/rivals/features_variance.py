"""A market that goes wild and then calm, with trades of 10⁹ lots in it: who is still right in the calm half?

Half of the trades are at any price from 0.01 to 20,000.00, the other half at 99.99, 100.00 or 100.01; one trade in
ten thousand is of a thousand million lots. A sum of doubles that slides over this remembers what it has rounded away.
(Among prices ten times as wild pandas 3 often notices that a single step left next to nothing of the variance, and
begins anew.) Every window that lies wholly in the calm half is compared with the exact value, a quotient of whole
numbers turned into a double once, so that an error is the contestant's own to half a unit in the last place.

This is about being right, not about speed, and so nothing is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from benchmarks.rivals.common import Int64s, Ticks
from benchmarks.rivals.features_columns import SECONDS, pandas_frame, polars_frame
from benchmarks.rivals.features_common import PRICE_UNIT, WINDOW_NS, Float64s, absent, columns_of

COLUMNS = ("variance", "volume", "vwap")
WILD_TICKS = 2_000_000
CALM_TICKS = 10_000
SPIKE_LOTS = 1_000_000_000
SPIKES_EVERY = 10_000
VISIBLE = 0.01
"""An error that anybody would see, relative to the value."""

Columns = dict[str, Float64s]


@dataclass(frozen=True, slots=True)
class Error:
    """How wrong one contestant's column is in the calm windows; NaN where it has no value counts as wrong."""

    contestant: str
    column: str
    skipped: str = ""
    windows: int = 0
    largest_relative: float = 0.0
    visibly_wrong: int = 0  # windows
    equal_bits: int = 0  # windows


def compete(count: int, seed: int) -> list[Error]:
    """Compute the three columns by everybody and return their errors."""
    ticks = wild_then_calm(count, seed)
    calm = np.arange(np.searchsorted(ticks.ts_ns, ticks.ts_ns[count // 2] + WINDOW_NS), count)
    if not len(calm):
        raise ValueError(f"{count} ticks hold no calm window of {SECONDS} s; take more")
    exact = exact_columns(ticks, calm)
    errors = []
    for name, reason, run in contestants():
        if reason:
            errors += [Error(name, column, reason) for column in COLUMNS]
            continue
        columns = run(ticks)
        errors += [measured_error(name, column, exact[column], columns[column][calm]) for column in COLUMNS]
    return errors


def wild_then_calm(count: int, seed: int) -> Ticks:
    """Return the stream: 200 trades a second on average, no two at one time, without quotes."""
    random = np.random.default_rng(seed)
    wild = count // 2
    sizes = random.integers(1, 101, count)
    sizes[random.integers(0, count, count // SPIKES_EVERY)] = SPIKE_LOTS
    prices = [random.integers(1, WILD_TICKS, wild), CALM_TICKS + random.integers(-1, 2, count - wild)]
    times = 1_704_205_800_000_000_000 + np.cumsum(random.integers(1, 10_000_000, count))
    none = np.zeros(count, np.int64)
    return Ticks(times, np.concatenate(prices), sizes, none, none)


def exact_columns(ticks: Ticks, rows: Int64s) -> Columns:
    """Return the values at these rows from running totals in Python's integers, each rounded once."""
    prices, sizes = ticks.price_ticks.tolist(), ticks.size_lots.tolist()
    price, square, size, value = (
        list(accumulate(terms, initial=0))
        for terms in (
            prices,
            (p * p for p in prices),
            sizes,
            (p * q for p, q in zip(prices, sizes, strict=True)),
        )
    )
    tails = np.searchsorted(ticks.ts_ns, ticks.ts_ns[rows] - WINDOW_NS, side="right").tolist()
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for tail, end in zip(tails, (rows + 1).tolist(), strict=True):
        n, p, pp = end - tail, price[end] - price[tail], square[end] - square[tail]
        q, pq = size[end] - size[tail], value[end] - value[tail]
        # the quotient of two integers is the nearest double, as float(Fraction) would be
        found["variance"].append((n * pp - p * p) / (n * n * PRICE_UNIT**2))
        found["volume"].append(float(q))
        found["vwap"].append(pq / (q * PRICE_UNIT))
    return {name: np.array(values) for name, values in found.items()}


def measured_error(contestant: str, column: str, exact: Float64s, values: Float64s) -> Error:
    """Return a column's error; a value that is missing or infinite is infinitely wrong."""
    relative = np.abs(values - exact) / np.abs(exact)
    relative[~np.isfinite(relative)] = np.inf
    return Error(
        contestant,
        column,
        windows=len(exact),
        largest_relative=float(relative.max()),
        visibly_wrong=int((relative > VISIBLE).sum()),
        equal_bits=int((values == exact).sum()),
    )


def contestants() -> list[tuple[str, str, Callable[[Ticks], Columns]]]:
    """Return (name, why it cannot take part, how it computes the columns), ours first."""
    return [
        ("microburst", "", ours),
        ("pandas", absent("pandas"), with_pandas),
        ("polars, rolling groups", absent("polars"), with_polars_groups),
        ("polars, rolling_*_by", absent("polars"), with_polars_expressions),
    ]


def ours(ticks: Ticks) -> Columns:
    import engine
    from engine.rules import seconds, variance, volume, vwap

    window = seconds(SECONDS)
    expressions = {"variance": variance(window), "volume": volume(window), "vwap": vwap(window)}
    return arrays(**engine.features(columns_of(ticks), expressions, price_precision=2, size_precision=0))


def with_pandas(ticks: Ticks) -> Columns:
    frame = pandas_frame(ticks)
    window = f"{SECONDS}s"
    volume = frame["size"].rolling(window).sum()
    return arrays(
        variance=frame["price"].rolling(window).var(ddof=0),
        volume=volume,
        vwap=(frame["price"] * frame["size"]).rolling(window).sum() / volume,
    )


def with_polars_groups(ticks: Ticks) -> Columns:
    import polars as pl

    frame = (
        polars_frame(ticks)
        .lazy()
        .with_columns(value=pl.col("price") * pl.col("size"))
        .rolling("ts", period=f"{SECONDS}s", closed="right")
        .agg(variance=pl.col("price").var(ddof=0), volume=pl.col("size").sum(), value=pl.col("value").sum())
        .select("variance", "volume", vwap=pl.col("value") / pl.col("volume"))
        .collect()
    )
    return arrays(**{name: frame[name] for name in COLUMNS})


def with_polars_expressions(ticks: Ticks) -> Columns:
    import polars as pl

    def over(expression: Any, method: str, **more: int) -> Any:
        return getattr(expression, method)("ts", f"{SECONDS}s", closed="right", **more)

    price, size = pl.col("price"), pl.col("size")
    frame = polars_frame(ticks).select(
        variance=over(price, "rolling_var_by", ddof=0),
        volume=over(size, "rolling_sum_by"),
        vwap=over(price * size, "rolling_sum_by") / over(size, "rolling_sum_by"),
    )
    return arrays(**{name: frame[name] for name in COLUMNS})


def arrays(**columns: Any) -> Columns:
    return {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
