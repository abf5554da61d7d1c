"""The memory of feature columns: used again when nobody looks at it, and never before."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

import engine
from engine.rules import change, price, seconds
from engine.tools import column_memory
from engine.tools.column_memory import Spare, lay_out

ROWS = 1_000


@pytest.fixture(autouse=True)
def spare(monkeypatch: pytest.MonkeyPatch) -> Spare:
    """Nothing kept from other tests."""
    fresh = Spare()
    monkeypatch.setattr(column_memory, "_spare", fresh)
    return fresh


def address(column: NDArray[np.float64]) -> int:
    return column.__array_interface__["data"][0]


def test_columns_lie_side_by_side_and_apart() -> None:
    price, flag, size = lay_out(ROWS, [np.float64, np.bool_, np.float64])
    price[:], flag[:], size[:] = 1.5, True, 2.5
    assert (price.dtype, flag.dtype, size.dtype) == (np.float64, np.bool_, np.float64)
    assert len(price) == len(flag) == len(size) == ROWS
    assert (price == 1.5).all()
    assert flag.all()
    assert (size == 2.5).all()
    assert all(column.flags.carray for column in (price, flag, size))


def test_no_rows() -> None:
    assert [len(column) for column in lay_out(0, [np.float64, np.bool_])] == [0, 0]


def test_memory_is_used_again_when_the_last_column_is_gone() -> None:
    first, second = lay_out(ROWS, [np.float64, np.float64])
    begin = address(first)
    del first
    (other,) = lay_out(2 * ROWS, [np.float64])
    assert address(other) != begin  # the second still lies there
    tail = second[10:20]
    del second, other
    assert address(lay_out(ROWS, [np.float64, np.float64])[0]) != begin  # so does a part of it
    del tail
    assert address(lay_out(ROWS, [np.float64, np.float64])[0]) == begin


def test_what_is_too_small_or_far_too_large_is_not_used() -> None:
    begin = address(lay_out(ROWS, [np.float64])[0])
    assert address(lay_out(ROWS + 8, [np.float64])[0]) != begin
    (large,) = lay_out(100 * ROWS, [np.float64])
    begin = address(large)
    del large
    assert address(lay_out(ROWS, [np.float64])[0]) != begin


def test_no_more_is_kept_than_said(monkeypatch: pytest.MonkeyPatch, spare: Spare) -> None:
    monkeypatch.setattr(Spare, "MOST_BYTES", 8 * ROWS)
    lay_out(ROWS + 8, [np.float64])
    assert spare._memory is None
    lay_out(ROWS, [np.float64])
    assert spare._memory is not None


def test_threads_never_share_a_piece() -> None:
    def fill(number: int) -> bool:
        for _ in range(200):
            (column,) = lay_out(ROWS, [np.float64])
            column[:] = number
            if not (column == number).all():
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(4)))


def test_features_leave_what_they_returned_alone() -> None:
    """A result is the caller's for as long as it is held; its memory serves again as soon as it is not."""
    declared = {"price": price, "move": change(seconds(2))}
    ticks = {"ts_ns": np.arange(1, 101) * 10**9, "price_ticks": np.arange(100, 200), "size_lots": np.full(100, 1)}
    held = engine.features(ticks, declared)
    before = {name: column.copy() for name, column in held.items()}
    other = engine.features(ticks | {"price_ticks": np.arange(300, 400)}, declared)
    np.testing.assert_equal(held, before)
    begin = address(other["price"])
    assert begin != address(held["price"])
    del other
    assert address(engine.features(ticks, declared)["price"]) == begin


def test_a_loan_needs_no_name_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the interpreter ends, modules are emptied before the last columns are gone."""
    caught: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    (column,) = lay_out(ROWS, [np.float64])
    for name in ("_spare", "Spare", "Lock"):
        monkeypatch.setattr(column_memory, name, None)
    del column
    assert not caught
