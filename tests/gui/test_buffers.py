"""The chart's memory: bounded, in order, and true about extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.buffers import Series

START_NS = 1_700_000_000_000_000_000


@given(st.lists(st.lists(st.floats(1, 1000), max_size=40), max_size=30), st.integers(16, 64))
def test_a_series_is_bounded_ordered_and_keeps_extremes(batches: list[list[float]], capacity: int) -> None:
    series, values, ts_ns = Series(2, capacity), [], START_NS
    for batch in batches:
        rows = []
        for value in batch:
            ts_ns += 1_000_000
            rows.append((ts_ns, value))
        kept = rows[-(capacity // 2) :]  # a single batch beyond half the capacity is cut to its newest
        values += [value for _, value in kept]
        series.append(rows)
        assert len(series) <= capacity
    if not values:
        assert len(series) == 0
        return
    times, column = series.column(0), series.column(1)
    assert (np.diff(times) > 0).all()
    assert column.max() == max(values)
    assert column.min() == min(values)
    assert column[-1] == values[-1]


def test_between_includes_one_neighbour_on_either_side() -> None:
    series = Series(2, 32)
    series.append([(index * 1_000_000_000, float(index)) for index in range(10)])
    assert series.column(1)[series.between(3.5, 5.5)].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert series.column(1)[series.between(-9, -8)].tolist() == [0.0]
    assert series.column(1)[series.between(20, 30)].tolist() == [9.0]


@pytest.mark.parametrize(("time_s", "index"), [(-5, 0), (0, 0), (0.4, 0), (0.6, 1), (2.5, 2), (99, 3)])
def test_nearest(time_s: float, index: int) -> None:
    series = Series(2, 16)
    series.append([(second * 1_000_000_000, 1.0) for second in range(4)])
    assert series.nearest(time_s) == index


def test_an_empty_series_has_no_nearest_row() -> None:
    assert Series(2, 16).nearest(1.0) is None
