"""Lines end where nothing is known, and the profit curve knows its sign."""

from __future__ import annotations

import dataclasses

import numpy as np

from engine.telemetry_wire import History
from gui.gaps import broken, gap_cuts, starts
from gui.pnl import MOST_STEPS, steps
from gui.state import SessionState
from tests.gui.golden import SECOND, T0, snapshot


def test_a_hole_in_steady_data_is_a_gap() -> None:
    times = np.concatenate((np.arange(0, 10, 0.1), np.arange(40, 50, 0.1)))
    assert gap_cuts(times).tolist() == [40.0]


def test_sparse_data_is_not_a_gap() -> None:
    assert gap_cuts(np.arange(0, 3600, 14.0)).tolist() == []
    assert gap_cuts(np.array([0.0, 4.9])).tolist() == []


def test_a_broken_line_has_a_nan_between_its_stretches() -> None:
    times = np.array([0.0, 1.0, 40.0, 41.0])
    first = starts(times, np.array([39.0, 40.0, -5.0, 99.0]))
    assert first.tolist() == [2]
    x, y = broken(times, times * 2, first)
    assert x.tolist() == [0.0, 1.0, 40.0, 40.0, 41.0]
    np.testing.assert_array_equal(y, [0.0, 2.0, np.nan, 80.0, 82.0])


def test_a_feed_that_was_not_live_cuts_the_line_once() -> None:
    state = SessionState()
    state.restart(History("s", "PAPER", 1, [], {}, [], [], 0, [], None))
    live, lost = snapshot().feed, dataclasses.replace(snapshot().feed, state="reconnecting")
    view = snapshot().symbols[0]
    for second, feed in ((0, live), (1, live), (None, lost), (None, lost), (3, live), (4, live)):
        points = [] if second is None else [(T0 + second * SECOND, 101.0, 101.0, 101.1, 101.0, 0.1)]
        state.update(snapshot(feed=feed, symbols=[dataclasses.replace(view, points=points)]))
    assert list(state.symbols["ACME"].cuts_s) == [(T0 + 3 * SECOND) * 1e-9]


def test_steps_pass_through_zero() -> None:
    times, values = steps(np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 2.0, -1.0, 4.0]), 9.0)
    assert times.tolist() == [0.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 9.0]
    assert values.tolist() == [2.0, 2.0, 0.0, -1.0, -1.0, 0.0, 4.0, 4.0]


def test_many_steps_keep_their_extremes_and_the_newest() -> None:
    levels = np.sin(np.arange(20_000.0))
    levels[777], levels[12_345] = 5.0, -5.0
    times, values = steps(np.arange(20_000.0), levels, 20_000.0)
    assert len(times) == len(values) <= 3 * MOST_STEPS
    assert (values.max(), values.min(), values[-1]) == (5.0, -5.0, levels[-1])
    assert (np.diff(times) >= 0).all()
