"""However a stream is cut, the engine decides the same; and what may stand between two pieces does what the page says.

The pieces go to the same kernel that ``engine.backtest`` uses. Between them may come nothing, a time event (as the
pacer of a live session posts it), or a feed gap, after which windows begin anew.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import BacktestResult, events
from engine.backtesting import make_kernel, make_strategy
from engine.journal.writer import MemoryJournal
from engine.lineup import entrants_of
from engine.model import TickBlock
from tests.oracle.momentum_burst import Params, run
from tests.oracle.parameter_sets import PARAMETER_SETS
from tests.oracle.streams import PRICE_PRECISION, Stream, params_strategy, stream_strategy
from tests.oracle.test_engine_vs_oracle import assert_equal, backtest
from tests.shared_data import load_aapl_lobster

Columns = dict[str, np.ndarray]
Cuts = dict[int, str]
"""By the index of the tick that begins a piece: ``"nothing"``, ``"time"`` or ``"gap"`` comes before it, or the piece is
pushed tick by tick (``"push"``) instead of as a block."""


def in_pieces(whole: BacktestResult, columns: Columns, params: Params, cuts: Cuts) -> BacktestResult:
    """Run what ``whole`` ran once more, cut before the given ticks."""
    strategy, journal = make_strategy("momentum_burst", params.as_settings()), MemoryJournal()
    kernel = make_kernel(whole.file.instruments, strategy, whole.settings, journal)
    length = len(columns["ts_ns"])
    latest = np.maximum.accumulate(columns["ts_ns"])
    for start, stop in pairwise([0, *sorted(cuts), length]):
        before = cuts.get(start, "nothing")
        if before == "gap":
            kernel.process(events.FeedGap([0]))
        elif before == "time":
            kernel.process(events.TimePassed(int(latest[start])))
        if before == "push":
            for row in range(start, stop):
                kernel.push(0, *(int(column[row]) for column in columns.values()))
        else:
            kernel.process(TickBlock(**{name: column[start:stop] for name, column in columns.items()}))
    kernel.process(events.End())
    return BacktestResult(whole.file, entrants_of(strategy), whole.settings, kernel, journal)


def cuts_of(stream: Stream, words: list[str]) -> st.SearchStrategy[Cuts]:
    return st.dictionaries(st.integers(1, len(stream) - 1), st.sampled_from(words), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.data(), stream_strategy(120), params_strategy(), st.sampled_from(["last", "touch"]))
def test_cuts_and_time_events_change_no_decision(data: Any, stream: Stream, params: Params, fills: str) -> None:
    """A time event at the next record's time fires just the timers that record would have fired."""
    columns = stream.columns(quotes=fills == "touch")
    whole = backtest(columns, params, fills=fills, price_precision=PRICE_PRECISION)
    cut = in_pieces(whole, columns, params, data.draw(cuts_of(stream, ["nothing", "time", "push"]), label="cuts"))
    assert cut.decision_hash == whole.decision_hash
    assert [trade.net for trade in cut.trades] == [trade.net for trade in whole.trades]
    assert cut.metrics == whole.metrics


@settings(max_examples=150, deadline=None)
@given(st.data(), stream_strategy(120), params_strategy())
def test_a_gap_begins_a_session(data: Any, stream: Stream, params: Params) -> None:
    columns = stream.columns(quotes=False)
    whole = backtest(columns, params, fills="last", price_precision=PRICE_PRECISION)
    cuts = data.draw(cuts_of(stream, ["nothing", "gap"]), label="cuts")
    gaps = [index for index, before in cuts.items() if before == "gap"]
    expected = run(params, stream.ts_ns, stream.price_ticks, stream.size_lots, session_starts=gaps)
    assert_equal(in_pieces(whole, columns, params, cuts), expected, PRICE_PRECISION)


@pytest.mark.parametrize(
    ("piece", "how"), [(1, "nothing"), (1, "push"), (7, "nothing"), (1000, "push"), (4096, "time")]
)
def test_recorded_data_in_equal_pieces(piece: int, how: str) -> None:
    ticks, params = load_aapl_lobster(), PARAMETER_SETS["short_window"]
    columns = ticks.columns()
    whole = backtest(columns, params, fills="touch", price_precision=ticks.price_precision)
    cut = in_pieces(whole, columns, params, dict.fromkeys(range(piece, len(ticks), piece), how))
    assert len(whole.trades) > 300
    assert cut.decision_hash == whole.decision_hash


def test_two_runs_are_equal_and_another_setting_is_not() -> None:
    ticks, params = load_aapl_lobster(), PARAMETER_SETS["short_window"]
    first, second = (
        backtest(ticks.columns(), params, fills="last", price_precision=ticks.price_precision) for _ in range(2)
    )
    assert first.decision_hash == second.decision_hash
    assert first.run_id == second.run_id
    other = engine.backtest(ticks.columns(), "momentum_burst", fills="last", price_precision=ticks.price_precision)
    assert first.decision_hash != other.decision_hash
