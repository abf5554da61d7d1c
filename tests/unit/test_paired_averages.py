"""Exponential averages that the graph computes in pairs: each is what it is alone, whoever reads it and when."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine import _program
from engine._core import NONE, Core

S = 1_000_000_000
PRICES = [100, 104, 90, 97, 97, 130, 88, 101, 99, 115]
LENGTHS = (2, 3, 4)


def averages(program: _program.Program) -> list[int]:
    price = program.ratio([(1, (_program.PRICE_COLUMN,))], [(1, ())], 0, True)
    return [program.add("ema", (price,), length, 2 / (length + 1)) for length in LENGTHS]


def expected(length: int) -> list[float]:
    found, average = [], 0.0
    for seen, price in enumerate(PRICES, 1):
        average = sum(PRICES[:seen]) / seen if seen <= length else average + 2 / (length + 1) * (price - average)
        found.append(average if seen >= length else np.nan)
    return found


def read_between(program: _program.Program) -> list[int]:
    """A product reads the first before there is a second, so the first cannot wait; the third pairs with the second."""
    price = program.ratio([(1, (_program.PRICE_COLUMN,))], [(1, ())], 0, True)
    first = program.add("ema", (price,), LENGTHS[0], 2 / (LENGTHS[0] + 1))
    read = program.add("*", (first, program.float_const(1.0)))
    second = program.add("ema", (price,), LENGTHS[1], 2 / (LENGTHS[1] + 1))
    return [read, second, program.add("ema", (price,), LENGTHS[2], 2 / (LENGTHS[2] + 1))]


@pytest.mark.parametrize("build", [averages, read_between])
@pytest.mark.parametrize("block", [1, 3, 512])
def test_each_is_what_it_is_alone(build: Callable[[_program.Program], list[int]], block: int) -> None:
    program = _program.Program()
    columns = build(program)
    core = Core([program])
    core.set_block(block)
    out = [np.zeros(len(PRICES)) for _ in columns]
    for column, values in zip(columns, out, strict=True):
        core.tap(0, column, values.view(np.uint8))
    core.load(np.arange(len(PRICES), dtype=np.int64) * S, np.array(PRICES), np.ones(len(PRICES), np.int64))
    assert core.advance() == NONE
    for values, length in zip(out, LENGTHS, strict=True):
        np.testing.assert_array_equal(values, expected(length))


@pytest.mark.parametrize("before", [True, False])
def test_another_instrument_reads_the_present_average(before: bool) -> None:
    """Whether it asked for the first of a pair before there was a second, or after."""
    leader, follower = _program.Program(), _program.Program()
    price = leader.ratio([(1, (_program.PRICE_COLUMN,))], [(1, ())], 0, True)
    first = leader.add("ema", (price,), 2, 2 / 3)
    if before:
        taken = follower.other(1, leader, first)
    leader.add("ema", (price,), 3, 1 / 2)
    if not before:
        taken = follower.other(1, leader, first)
    core, n = Core([follower, leader]), len(PRICES)
    values = np.zeros(2 * n)
    core.tap(0, taken, values.view(np.uint8))
    core.load(
        np.arange(2 * n, dtype=np.int64) * S, np.repeat(np.array(PRICES), 2), np.ones(2 * n, np.int64), None, None,
        np.tile(np.array([1, 0], np.uint16), n),
    )  # fmt: skip
    assert core.advance() == NONE
    np.testing.assert_array_equal(values[1::2], expected(2))
