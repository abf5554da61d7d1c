"""Six 15-second feature columns over the whole stream: ours, polars' and pandas'.

Each gets its ticks in memory in its own format and returns six columns of doubles with a row per tick. A window is
``(t - 15 s, t]`` everywhere (``closed="right"``). Every row is compared from the first full window on: before
it ours is undefined, and the others have the part of a window that there is.

polars takes part in the form that was its fastest when this was written, one ``rolling`` group with plain aggregates
and arithmetic on their columns afterwards, by either of its engines, and as ``rolling_*_by`` expressions, one for
each sum or extreme. Arithmetic inside the aggregation and prefix sums with ``search_sorted`` were slower than the
first. pandas has one form. Nobody computes twice what two of its columns share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import environ
from typing import Any

import numpy as np

from benchmarks.rivals.common import Ticks
from benchmarks.rivals.features_common import (
    PRICE_UNIT,
    WINDOW_NS,
    Contestant,
    Difference,
    Float64s,
    Outcome,
    absent,
    columns_of,
    difference,
    distinct_ticks,
    in_turn,
)

COLUMNS = ("move", "volume_rate", "trade_count", "price_range", "vwap", "stdev")
TOLERANCES = dict.fromkeys(COLUMNS, 1e-9) | {"stdev": 1e-6}
"""Relative; a variance in doubles that slides along two million ticks loses more digits than a sum does."""

SECONDS = WINDOW_NS // 1_000_000_000
Columns = dict[str, Float64s]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contestant's column against ours."""

    contestant: str
    column: str
    difference: Difference
    agrees: bool


@dataclass(slots=True)
class Result:
    """A whole competition: what each took, and how its values compare with ours."""

    ticks: int
    threads: int
    outcomes: list[Outcome]
    agreements: list[Agreement]


def compete(count: int, rounds: int, seed: int) -> Result:
    """Let everybody compute the columns; the values are compared, and only their differences returned."""
    ticks = distinct_ticks(count, seed)
    outcomes = in_turn(contestants(ticks), rounds)
    reference = as_columns(outcomes[0].result)
    full = int(np.searchsorted(ticks.ts_ns, ticks.ts_ns[0] + WINDOW_NS))
    assert all(np.isnan(column[:full]).all() for column in reference.values())
    agreements = []
    for outcome in outcomes:
        if outcome is not outcomes[0] and not outcome.skipped:
            theirs = as_columns(outcome.result)
            for column in COLUMNS:
                apart = difference(reference[column][full:], theirs[column][full:])
                agreements.append(Agreement(outcome.name, column, apart, apart.agrees(TOLERANCES[column])))
        outcome.result = None
    return Result(count, polars_threads(), outcomes, agreements)


def contestants(ticks: Ticks) -> list[Contestant]:
    """Return everybody with their ticks prepared, ours first."""
    found = [Contestant("microburst", partial(ours, columns_of(ticks)))]
    reason = absent("polars")
    frame = None if reason else polars_frame(ticks)
    for engine in ("in-memory", "streaming"):
        found.append(Contestant(f"polars group, {engine}", partial(with_polars_group, frame, engine), reason))
    found.append(Contestant("polars rolling_*_by", partial(with_polars_expressions, frame), reason))
    reason = absent("pandas")
    found.append(Contestant("pandas", partial(with_pandas, None if reason else pandas_frame(ticks)), reason))
    return found


def ours(columns: dict[str, Any]) -> Any:
    import engine
    from engine.rules import change, price_range, seconds, stdev, trade_count, volume, vwap

    window = seconds(SECONDS)
    expressions = {
        "move": change(window),
        "volume_rate": volume(window).rate(),
        "trade_count": trade_count(window),
        "price_range": price_range(window),
        "vwap": vwap(window),
        "stdev": stdev(window),
    }
    return engine.features(columns, expressions, price_precision=2, size_precision=0)


def polars_frame(ticks: Ticks) -> Any:
    import polars as pl

    columns = {"ts": ticks.ts_ns, "price": ticks.price_ticks / PRICE_UNIT, "size": ticks.size_lots}
    return pl.DataFrame(columns).with_columns(pl.col("ts").cast(pl.Datetime("ns")).set_sorted())


def with_polars_group(frame: Any, engine: str) -> Any:
    import polars as pl

    price, size = pl.col("price"), pl.col("size")
    last, volume = pl.col("last"), pl.col("volume")
    return (
        frame.lazy()
        .with_columns(value=price * size)
        .rolling("ts", period=f"{SECONDS}s", closed="right")
        .agg(
            first=price.first(),
            last=price.last(),
            high=price.max(),
            low=price.min(),
            stdev=price.std(ddof=0),
            volume=size.sum(),
            value=pl.col("value").sum(),
            count=pl.len(),
        )
        .select(
            move=(last - pl.col("first")) / pl.col("first"),
            volume_rate=volume / SECONDS,
            trade_count=pl.col("count").cast(pl.Float64),
            price_range=(pl.col("high") - pl.col("low")) / last,
            vwap=pl.col("value") / volume,
            stdev="stdev",
        )
        .collect(engine=engine)
    )


def with_polars_expressions(frame: Any) -> Any:
    import polars as pl

    window = f"{SECONDS}s"

    def over(expression: Any, method: str, **more: int) -> Any:
        return getattr(expression, method)("ts", window, closed="right", **more)

    price, size, volume = pl.col("price"), pl.col("size"), pl.col("volume")
    return (
        frame.lazy()
        .with_columns(
            first=price.first().rolling("ts", period=window, closed="right"),
            count=pl.len().rolling("ts", period=window, closed="right"),
            volume=over(size, "rolling_sum_by"),
        )
        .select(
            move=(price - pl.col("first")) / pl.col("first"),
            volume_rate=volume / SECONDS,
            trade_count=pl.col("count").cast(pl.Float64),
            price_range=(over(price, "rolling_max_by") - over(price, "rolling_min_by")) / price,
            vwap=over(price * size, "rolling_sum_by") / volume,
            stdev=over(price, "rolling_std_by", ddof=0),
        )
        .collect()
    )


def pandas_frame(ticks: Ticks) -> Any:
    import pandas as pd

    columns = {"price": ticks.price_ticks / PRICE_UNIT, "size": ticks.size_lots.astype(np.float64)}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(ticks.ts_ns.view("datetime64[ns]")))


def with_pandas(frame: Any) -> Any:
    price, size = frame["price"], frame["size"]
    prices, sizes = price.rolling(f"{SECONDS}s"), size.rolling(f"{SECONDS}s")
    first, volume = prices.first(), sizes.sum()
    return {
        "move": (price - first) / first,
        "volume_rate": volume / SECONDS,
        "trade_count": prices.count(),
        "price_range": (prices.max() - prices.min()) / price,
        "vwap": (price * size).rolling(f"{SECONDS}s").sum() / volume,
        "stdev": prices.std(ddof=0),
    }


def as_columns(result: Any) -> Columns:
    """Return anybody's columns as arrays, outside the timed part."""
    return {name: np.asarray(result[name], dtype=np.float64) for name in COLUMNS}


def polars_threads() -> int:
    """Return how many threads polars has in this process (0 without polars)."""
    if absent("polars"):
        return 0
    import polars as pl

    return int(pl.thread_pool_size())


@contextmanager
def polars_limited_to(threads: int | None) -> Iterator[None]:
    """Set the number of threads that polars takes in processes started within; None: all of the machine's."""
    before = environ.pop("POLARS_MAX_THREADS", None)
    if threads is not None:
        environ["POLARS_MAX_THREADS"] = str(threads)
    try:
        yield
    finally:
        environ.pop("POLARS_MAX_THREADS", None)
        if before is not None:
            environ["POLARS_MAX_THREADS"] = before
