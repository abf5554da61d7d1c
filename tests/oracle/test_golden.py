"""The reference still says about the recorded data what was committed (skipped where the data is absent)."""

from __future__ import annotations

import pytest

from tests.oracle.golden import RUNS, load, reference, summary
from tests.oracle.parameter_sets import PARAMETER_SETS
from tests.shared_data import load_aapl_lobster, load_btc_coinbase, load_ltcusdt, load_spy


@pytest.mark.parametrize(("dataset", "fills", "name"), RUNS, ids="-".join)
def test_reference_equals_golden(dataset: str, fills: str, name: str) -> None:
    assert summary(PARAMETER_SETS[name], reference(dataset, fills, name)) == load(dataset)[f"{fills}/{name}"]


def test_the_selections_are_those_documented() -> None:
    """Counts and volumes stated by the data's own description."""
    aapl = load_aapl_lobster()
    assert (len(aapl), int(aapl.size_lots.sum())) == (34_990, 2_850_140)
    assert len(load_spy("2013-10-10")) == 460_032 - 10  # ten flagged rows
    assert len(load_ltcusdt()) == 152_763
    assert len(load_btc_coinbase()) == 5_882
    assert (load_ltcusdt().ts_ns[1:] >= load_ltcusdt().ts_ns[:-1]).all()


def test_the_fast_reference_equals_the_one_by_the_page_on_recorded_ticks() -> None:
    """A slice of AAPL is enough: the second way rescans everything at every tick."""
    from tests.oracle.momentum_burst import run

    ticks = load_aapl_lobster().head(1500)
    columns = [column.tolist() for column in ticks.columns().values()]
    for params in (PARAMETER_SETS["nervous"], PARAMETER_SETS["odd_times_long"]):
        fast = run(params, *columns, price_precision=4)
        assert fast.trades
        assert run(params, *columns, price_precision=4, by_the_page=True) == fast
