"""Loops that take whole blocks: what they compute is what is defined, and the same on every processor."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import engine
from engine import _core, _program
from engine.rules import change, mean, price_range, seconds, stdev, trade_count, volume, vwap

ROOT = Path(__file__).resolve().parents[2]
ROWS = 6_000  # a dozen blocks, over several turns of the smallest ring

Times = NDArray[np.int64]


def bursts(random: np.random.Generator) -> Times:
    """Mostly at once, now and then after a while: so they come, and so they leave a window."""
    gaps = np.where(random.random(ROWS) < 0.15, random.integers(0, 40_000_000_000, ROWS), random.integers(0, 3, ROWS))
    return 1 + np.cumsum(gaps)


TIMES = {
    "steady": lambda random: np.arange(1, ROWS + 1) * 1_000_000_000,
    "bursts": bursts,
    "all at once": lambda random: np.full(ROWS, 7, np.int64),
    "blocks apart": lambda random: np.repeat(np.arange(1, ROWS // 500 + 1), 500) * 60_000_000_000,
    "late ones": lambda random: bursts(random) - random.integers(0, 2_000_000_000, ROWS) * (random.random(ROWS) < 0.01),
}


@pytest.mark.parametrize("length", [1, 2, 15, 300])
@pytest.mark.parametrize("name", TIMES)
def test_a_window_holds_what_is_defined(name: str, length: int) -> None:
    for seed in range(6):
        random = np.random.default_rng(seed)
        ts_ns = np.maximum(TIMES[name](random), 0)
        ticks = {"ts_ns": ts_ns, "size_lots": random.integers(1, 9, ROWS)}
        ticks["price_ticks"] = random.integers(1, 1_000, ROWS)
        columns = {"trades": trade_count(seconds(length)), "volume": volume(seconds(length))}
        found = engine.features(ticks, columns, price_precision=0, size_precision=0)
        now = np.maximum.accumulate(ts_ns)  # a late trade counts where it came in
        tails = np.searchsorted(now, now - length * 1_000_000_000, side="right")
        warm = now >= now[0] + length * 1_000_000_000
        rows = np.arange(ROWS)
        totals = np.concatenate([[0], np.cumsum(ticks["size_lots"])])
        assert np.array_equal(found["trades"][warm], (rows + 1 - tails)[warm])
        assert np.array_equal(found["volume"][warm], (totals[1:] - totals[tails])[warm])
        assert np.isnan(found["trades"][~warm]).all()


def hash_of_features() -> str:
    """A hash of columns of every loop that is compiled twice, on numbers that they take and on such as they do not."""
    folded, window = blake2b(digest_size=16), seconds(15)
    columns = {
        "change": change(window),
        "rate": volume(window).rate(),
        "trades": trade_count(window),
        "range": price_range(window),
        "vwap": vwap(window),
        "mean": mean(window),
        "stdev": stdev(window),
        "dear": vwap(window) > mean(window),
    }
    for seed, (highest, largest) in enumerate([(20_000, 500), (2**21, 10**9), (2**40 - 2, 9), (2**40 - 2, 2**40 - 2)]):
        random = np.random.default_rng(seed)
        ticks = {
            "ts_ns": bursts(random),
            "price_ticks": random.integers(max(1, highest // 2), highest, ROWS),
            "size_lots": random.integers(1, largest, ROWS),
        }
        for column in engine.features(ticks, columns, price_precision=2, size_precision=0).values():
            folded.update(column.tobytes())
    return folded.hexdigest()


def test_a_processor_that_does_four_at_a_time_computes_the_same() -> None:
    said = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import hash_of_features; print(hash_of_features())"],
        env=os.environ | {"MICROBURST_PLAIN_LOOPS": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == hash_of_features()


def test_large_coefficients_lose_nothing() -> None:
    """A sum of 60 bits is rounded once, when it is whole: doubles that are added one by one would be off."""
    random, factor = np.random.default_rng(5), 1_000_003
    prices = random.integers(2**40 - 2**12, 2**40 - 1, ROWS)
    ticks = {
        "ts_ns": np.arange(1, ROWS + 1) * 1_000_000_000,
        "price_ticks": prices,
        "size_lots": np.ones(ROWS, np.int64),
    }
    found = engine.features(ticks, {"x": change(seconds(2)) * factor}, price_precision=0, size_precision=0)["x"]
    first = np.concatenate([prices[:1], prices[:-1]])  # a window of two seconds holds two trades
    expected = [float(factor * (int(p) - int(f))) / float(int(f)) for p, f in zip(prices, first, strict=True)]
    assert np.array_equal(found[2:], np.array(expected)[2:])


@pytest.mark.parametrize("bits", [10, 20, 21, 22, 23, 24, 30, 39])
def test_a_variance_is_of_whole_numbers_however_large(bits: int) -> None:
    """Products of sums that doubles hold are taken by doubles, from 53 bits on by integers: it is the same number."""
    random = np.random.default_rng(bits)
    calm = np.arange(ROWS) // 50 % 2 == 0  # a block may end with prices unlike those that it began with
    prices = np.where(calm, 1, 1 << bits) + random.integers(0, 50, ROWS)
    ticks = {"ts_ns": np.arange(1, ROWS + 1) * 1_000_000_000, "price_ticks": prices, "size_lots": prices}
    found = engine.features(ticks, {"x": stdev(seconds(30))}, price_precision=0, size_precision=0)["x"]
    windows = [[int(p) for p in prices[row - 29 : row + 1]] for row in range(30, ROWS)]
    squares = [30 * sum(p * p for p in window) - sum(window) ** 2 for window in windows]
    assert np.array_equal(found[30:], np.sqrt(np.array(squares, np.float64) / 900.0))


@pytest.mark.parametrize("highest", [100, 2**40 - 2])
def test_sums_of_one_window_are_each_what_they_are_alone(highest: int) -> None:
    """Those of one window are taken together, one that is asked for twice is there twice, and none disturbs another."""
    random = np.random.default_rng(8)
    prices, sizes = random.integers(highest // 2, highest, (2, ROWS))
    program = _program.Program()
    near, far = program.window_count(5), program.window_count(700)
    columns = [program.sum_size(far), program.sum_price(far), program.sum_size(far), program.sum_price(near)]
    wide = [program.sum_price_squared(far), program.sum_price_size(far), program.sum_price_size(near)]
    core = _core.Core([program])
    arrays = [np.zeros(ROWS, np.int64) for _ in columns]
    for column, array in zip(columns, arrays, strict=True):
        core.tap(0, column, array.view(np.uint8))
    core.load(np.arange(1, ROWS + 1), prices, sizes)
    assert core.advance() == _core.NONE
    for array, (cells, length) in zip(arrays, [(sizes, 700), (prices, 700), (sizes, 700), (prices, 5)], strict=True):
        totals = np.concatenate([np.zeros(length, np.int64), np.cumsum(cells)])
        assert np.array_equal(array, totals[length:] - totals[:-length])
    p, s = [int(price) for price in prices], [int(size) for size in sizes]
    products = [a * b for a, b in zip(p, s, strict=True)]
    expected = [sum(a * a for a in p[-700:]), sum(products[-700:]), sum(products[-5:])]
    assert [core.value(0, column) for column in wide] == expected
