"""The engine's columns against the catalogue's reference, feature by feature, on made-up and on recorded streams.

An exact feature's column equals the reference's fraction rounded once, to the bit: the core divides two whole numbers,
and where both are below 2**53 that is one rounding. Doubles agree to 1e-12 of their scale, conditions on every trade,
and both are undefined on the same trades.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
from engine.model import Instrument, TickBlock
from engine.store.ticks import TickFile
from tests.oracle import catalogue as cat
from tests.oracle.catalogue import Market
from tests.oracle.catalogue_cases import CONDITION, EXACT, ROUNDED, Case
from tests.oracle.catalogue_cases_series import CASES
from tests.oracle.catalogue_streams import (
    STREAMS,
    Stream,
    columns_of,
    drawn_streams,
    lobster_records,
    market_of,
    records_of,
)
from tests.shared_data import load_ltcusdt, load_spy


@cache
def market(name: str) -> Market:
    return market_of(STREAMS[name])


@cache
def expected(stream: str, name: str) -> list[Any]:
    return CASES[name].expected(market(stream))


def computed(stream: Stream, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The engine's columns of the cases; a drawn stream may be later than any that is read."""
    records, sessions = stream
    calendar = "always" if sessions is None else "us_equities"
    file = TickFile(TickBlock(**columns_of(records)), [Instrument("ticks", 2)], source="stream")
    return engine.features(file, {name: CASES[name].written for name in names}, calendar=calendar)


@cache
def columns(stream: str) -> dict[str, np.ndarray]:
    """Every case of a stream, from one call of the engine."""
    return computed(STREAMS[stream], tuple(CASES))


def check(case: Case, got: np.ndarray, values: list[Any], double: float = 1e-12) -> None:
    assert len(got) == len(values)
    if case.kind == CONDITION:
        assert got.dtype == np.bool_
        assert got.tolist() == values
        return
    want = np.array([np.nan if value is None else float(value) for value in values])
    if case.kind == EXACT:
        np.testing.assert_array_equal(got, want)
        return
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    got, want = got[~np.isnan(want)], want[~np.isnan(want)]
    if case.kind == ROUNDED:
        np.testing.assert_array_max_ulp(got, want, maxulp=1)
    else:
        np.testing.assert_allclose(got, want, rtol=double, atol=double * np.abs(want).max(initial=1))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stream", STREAMS)
def test_column(stream: str, name: str) -> None:
    check(CASES[name], columns(stream)[name], expected(stream, name))


CONSTANT = {
    name
    for name in CASES
    if name.endswith(("(1 trade)", "(1 trade, tick)"))  # alone in its window a trade has no others, spread or past
    or name in ("trade_count(5 trades)", "bars(7 trades).trades")
}


@pytest.mark.parametrize("name", sorted(set(CASES) - CONSTANT))
def test_no_case_is_idle(name: str) -> None:
    """On the streams together a feature takes several values, and a condition both of its own."""
    assert len({value for stream in STREAMS for value in expected(stream, name)} - {None}) > 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_streams(), st.lists(st.sampled_from(sorted(CASES)), min_size=1, max_size=40, unique=True))
def test_drawn_streams(stream: Stream, names: list[str]) -> None:
    got, m = computed(stream, tuple(names)), market_of(stream)
    for name in names:
        try:
            check(CASES[name], got[name], CASES[name].expected(m))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


RECORDED = {"aapl": (4, 0), "spy": (4, 0), "ltcusdt": (2, 3)}
"""Decimals of price and size."""

ON_RECORDED = ("(2s)", "(session)", "of trades", "bars(5s)", "size", "side", "price", "half life")
"""What the naive reference can afford on a few hundred trades."""


@pytest.mark.parametrize("symbol", RECORDED)
def test_recorded_trades(symbol: str) -> None:
    """Windows, quotes, series and bars on real trades; AAPL's come with every change of the best quotes and sizes.

    Doubles to 1e-9: these prices have seven digits, of which the last two vary, and differences keep only those.
    """
    if symbol == "aapl":
        records = lobster_records("AAPL", 250)
    else:
        records = records_of((load_spy() if symbol == "spy" else load_ltcusdt()).head(250))
    prices, sizes = RECORDED[symbol]
    m = cat.market(records, tick=Fraction(1, 10**prices), lot=Fraction(1, 10**sizes))
    names = [name for name in CASES if any(part in name for part in ON_RECORDED)]
    got = engine.features(
        columns_of(records),
        {name: CASES[name].written for name in names},
        calendar="always",
        price_precision=prices,
        size_precision=sizes,
    )
    for name in names:
        try:
            check(CASES[name], got[name], CASES[name].expected(m), 1e-9)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
