"""Feature columns shared out to threads are those of one thread, to the bit, whatever the ticks and the expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.errors import UserError
from engine.language.grammar import Part, Quantity
from engine.rules import (
    Param,
    bars,
    between,
    bid,
    change,
    ema,
    highest,
    lowest,
    mean,
    minutes,
    previous,
    price,
    price_range,
    seconds,
    session,
    stdev,
    ticks,
    time_since_high,
    trade_count,
    volume,
    vwap,
)
from engine.tools import feature_shares
from engine.tools.feature_shares import reach_of

WINDOWED: dict[str, Part] = {
    "move": change(seconds(15)),
    "rate": volume(seconds(3)).rate(),
    "count": trade_count(seconds(0.5)),
    "range": price_range(seconds(15)),
    "high": highest(seconds(7)),
    "low": lowest(seconds(7)),
    "vwap": vwap(seconds(15)),
    "mean": mean(seconds(9)),
    "sd": stdev(seconds(15)),
    "age": time_since_high(seconds(4)),
    "near": between(price, lowest(seconds(5)), mean(seconds(5))),
    "both": (change(seconds(2)) > 0) & ~(volume(seconds(1)) > volume(seconds(15)) / 15),
}


def columns(seed: int, count: int, *, shuffled: bool = False) -> dict[str, Any]:
    """A walk with clusters, pauses longer than any window and ties in time."""
    random = np.random.default_rng(seed)
    gaps = random.choice(
        [0, 1_000_000, 300_000_000, 2_000_000_000, 40_000_000_000], count, p=[0.3, 0.4, 0.2, 0.09, 0.01]
    )
    ts_ns = 1_700_000_000_000_000_000 + np.cumsum(gaps)
    if shuffled:
        ts_ns[count // 2], ts_ns[count // 2 - 3] = ts_ns[count // 2 - 3], ts_ns[count // 2] + 1
    price_ticks = 10_000 + np.cumsum(random.integers(-3, 4, count))
    return {"ts_ns": ts_ns, "price_ticks": price_ticks, "size_lots": random.integers(1, 1_000, count)}


def in_threads(monkeypatch: pytest.MonkeyPatch, threads: int, ticks: Any, declared: dict[str, Part]) -> dict[str, Any]:
    monkeypatch.setattr(feature_shares, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(feature_shares, "processors", lambda: threads)
    return engine.features(ticks, declared)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), count=st.integers(3, 3_000), threads=st.integers(2, 7))
def test_stretches_of_ticks_give_the_columns_of_the_whole(seed: int, count: int, threads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        given_ticks = columns(seed, count)
        assert same(in_threads(patch, threads, given_ticks, WINDOWED), in_threads(patch, 1, given_ticks, WINDOWED))


@pytest.mark.parametrize(
    "extra", [ema(price, 20), vwap(session), bars(minutes(1)).close, mean(ticks(50)), previous(price)]
)
def test_what_remembers_more_is_dealt_out_whole(monkeypatch: pytest.MonkeyPatch, extra: Part) -> None:
    declared = WINDOWED | {"extra": extra}
    given_ticks = columns(3, 5_000)
    assert reach_of(declared.values(), {}) is None
    assert same(in_threads(monkeypatch, 3, given_ticks, declared), in_threads(monkeypatch, 1, given_ticks, declared))


def test_ticks_out_of_order_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ticks = columns(5, 4_000, shuffled=True)
    assert (np.diff(given_ticks["ts_ns"]) < 0).any()
    assert same(in_threads(monkeypatch, 2, given_ticks, WINDOWED), in_threads(monkeypatch, 1, given_ticks, WINDOWED))


def test_an_invalid_tick_is_named_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ticks = columns(5, 4_000)
    given_ticks["price_ticks"][2_100] = -1
    with pytest.raises(UserError, match=r"1 ticks are invalid, the first at row 2100"):
        in_threads(monkeypatch, 2, given_ticks, WINDOWED)


def test_the_reach_is_the_longest_window() -> None:
    window = Param(seconds(4))
    window.name = "window"
    set_to: dict[str, Quantity] = {"window": seconds(90)}
    assert reach_of([change(seconds(15)), price > 3], {}) == 15_000_000_000
    assert reach_of([volume(window) / volume(seconds(15)) > 1], set_to) == 90_000_000_000
    assert reach_of([bid], {}) is None
