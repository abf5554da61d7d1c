"""Columns that go to arrays as they are computed: what a node writes there itself is what would have been copied."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

import engine
from engine import _core, _program
from engine.rules import change, mean, previous, seconds, stdev, trade_count, volume, vwap

TRADES = 5 * 512 + 77
Ticks = dict[str, NDArray[np.int64]]


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    random = np.random.default_rng(11)
    return {
        "ts_ns": 1 + np.cumsum(random.integers(0, 200_000_000, TRADES)),
        "price_ticks": 1_000 + np.cumsum(random.integers(-2, 3, TRADES)) % 50,
        "size_lots": random.integers(1, 9, TRADES),
    }


def test_what_is_asked_for_together_is_what_it_is_alone(ticks: Ticks) -> None:
    """Two names of one column, and columns that others are made of, are copied; the others are written straight."""
    window = seconds(5)
    asked = {
        "vwap": vwap(window),
        "again": vwap(window),
        "dear": vwap(window) - mean(window),
        "is dear": vwap(window) > mean(window),
        "stdev": stdev(window),
        "before": previous(stdev(window), 3),
        "move": change(window),
        "trades": trade_count(window) / volume(window),
    }
    together = engine.features(ticks, asked, price_precision=2, size_precision=0)
    for name, expression in asked.items():
        alone = engine.features(ticks, {name: expression}, price_precision=2, size_precision=0)[name]
        assert np.array_equal(together[name], alone, equal_nan=True), name
        assert together[name][600:].any()


def board() -> tuple[_program.Program, int]:
    program = _program.Program()
    window = program.window_count(3)
    terms = [(1, (program.sum_price(window),))]
    return program, program.ratio(terms, [(1, (program.count(window),))], narrow=True)


@pytest.mark.parametrize("skip", [0, 1, 511, 512, 700, TRADES - 1])
@pytest.mark.parametrize("cuts", [(), (100,), (512, 1024, 1025), (1, 514)])
def test_rows_are_where_they_belong(ticks: Ticks, skip: int, cuts: tuple[int, ...]) -> None:
    """Arrays that begin and end within blocks, pieces of any length: no row is another's, none beyond is touched."""
    program, column = board()
    core = _core.Core([program])
    rows = max(1, (TRADES - skip) * 2 // 3)
    memory = np.full(rows + 2, -1.0)
    core.tap(0, column, memory[1:-1].view(np.uint8), skip)
    for first, last in pairwise([0, *cuts, TRADES]):
        core.load(*(cells[first:last] for cells in ticks.values()))
        assert core.advance() == _core.NONE
        assert core.value(0, column) == means_of_three(ticks)[last - 1], "the last value is known without the array"
    assert np.array_equal(memory[1:-1], means_of_three(ticks)[skip : skip + rows])
    assert memory[0] == memory[-1] == -1.0


def test_a_callback_may_ask_for_any_value(ticks: Ticks) -> None:
    program, column = board()
    core = _core.Core([program])
    memory, asked = np.zeros(TRADES), []
    core.tap(0, column, memory.view(np.uint8))
    core.set_callback(lambda *_: True)
    core.load(*ticks.values())
    while core.advance() == _core.CALLBACK:
        asked.append(core.value(0, column))
    assert asked == memory.tolist() == means_of_three(ticks).tolist()


def means_of_three(ticks: Ticks) -> NDArray[np.float64]:
    prices = [int(price) for price in ticks["price_ticks"]]
    return np.array([sum(prices[max(0, k - 2) : k + 1]) / min(3, k + 1) for k in range(TRADES)])
