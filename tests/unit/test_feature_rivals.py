"""The comparison of features with other libraries compares what it says: the same windows, exactly known values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rivals import features, features_columns, features_ours, features_updates, features_variance
from benchmarks.rivals.common import Ticks, generated_ticks
from benchmarks.rivals.features_common import Contestant, difference, distinct_ticks, in_turn

NAN = float("nan")


def by_definition(ticks: Ticks) -> list[tuple[Fraction, ...]]:
    """Return move, volume rate, count, range, vwap and variance of every window (t - 15 s, t], from its trades."""
    rows = list(zip(ticks.ts_ns.tolist(), ticks.price_ticks.tolist(), ticks.size_lots.tolist(), strict=True))
    found: list[tuple[Fraction, ...]] = []
    for now, price, _ in rows:
        window = [(Fraction(p, 100), q) for ts, p, q in rows if now - 15 * 10**9 < ts <= now]
        prices, volume, last = [p for p, _ in window], sum(q for _, q in window), Fraction(price, 100)
        mean = sum(prices, Fraction(0)) / len(prices)
        found.append(
            (
                (last - prices[0]) / prices[0],
                Fraction(volume, 15),
                Fraction(len(window)),
                (max(prices) - min(prices)) / last,
                sum((p * q for p, q in window), Fraction(0)) / volume,
                sum(((p - mean) ** 2 for p in prices), Fraction(0)) / len(prices),
            )
        )
    return found


@st.composite
def sparse_ticks(draw: st.DrawFn) -> Ticks:
    """A few trades at distinct times, often a whole number of seconds apart, so that they meet a window's edge."""
    steps = draw(st.lists(st.sampled_from([1, 10**9, 5 * 10**9, 15 * 10**9, 15 * 10**9 - 1]), min_size=1, max_size=25))
    count = len(steps)
    prices = draw(st.lists(st.integers(1, 100_000), min_size=count, max_size=count))
    sizes = draw(st.lists(st.integers(1, 10**4), min_size=count, max_size=count))  # larger ones leave doubles wrong
    columns = (np.cumsum(steps) + 1_704_205_800 * 10**9, prices, sizes, [0] * count, [0] * count)
    return Ticks(*(np.array(column, np.int64) for column in columns))


RIVALS = {
    "polars, in-memory": lambda ticks: features_columns.with_polars_group(
        features_columns.polars_frame(ticks), "in-memory"
    ),
    "polars, streaming": lambda ticks: features_columns.with_polars_group(
        features_columns.polars_frame(ticks), "streaming"
    ),
    "polars, expressions": lambda ticks: features_columns.with_polars_expressions(features_columns.polars_frame(ticks)),
    "pandas": lambda ticks: features_columns.with_pandas(features_columns.pandas_frame(ticks)),
}


@pytest.mark.parametrize("rival", RIVALS)
@settings(deadline=None)  # a frame library takes its time to load
@given(ticks=sparse_ticks())
def test_every_rival_is_asked_for_the_columns_of_our_definition(rival: str, ticks: Ticks) -> None:
    pytest.importorskip(rival.split(",")[0])
    columns = features_columns.as_columns(RIVALS[rival](ticks))
    *plain, stdev = zip(*by_definition(ticks), strict=True)
    for name, expected in zip(features_columns.COLUMNS, plain, strict=False):
        assert columns[name] == pytest.approx([float(value) for value in expected], rel=1e-6, abs=1e-9), name
    # pandas' sliding variance is no better than this on prices from 0.01 to 1,000
    assert columns["stdev"] == pytest.approx([float(value) ** 0.5 for value in stdev], rel=1e-6, abs=1e-3)


def test_equal_times_are_moved_apart_and_nothing_else_changes() -> None:
    ticks, made = distinct_ticks(20_000, seed=3), features_variance.wild_then_calm(20_000, seed=3)
    assert (np.diff(ticks.ts_ns) > 0).all()
    assert (np.diff(made.ts_ns) > 0).all()
    original = generated_ticks(20_000, seed=3)
    assert (np.diff(original.ts_ns) == 0).any()
    assert (ticks.price_ticks == original.price_ticks).all()
    moved = ticks.ts_ns - original.ts_ns
    assert moved.min() >= 0
    assert moved.max() < 10**6


def test_exact_values_are_the_fractions_of_the_window_rounded_once() -> None:
    ticks = features_variance.wild_then_calm(8_000, seed=5)
    rows = np.arange(7_990, 8_000)
    exact = features_variance.exact_columns(ticks, rows)
    for index, row in enumerate(rows.tolist()):
        inside = ticks.ts_ns[: row + 1] > ticks.ts_ns[row] - 15 * 10**9
        prices = [Fraction(int(p), 100) for p in ticks.price_ticks[: row + 1][inside]]
        sizes = ticks.size_lots[: row + 1][inside].tolist()
        mean = sum(prices) / len(prices)
        assert exact["variance"][index] == float(sum((p - mean) ** 2 for p in prices) / len(prices))
        assert exact["volume"][index] == sum(sizes)
        assert exact["vwap"][index] == float(sum(p * q for p, q in zip(prices, sizes, strict=True)) / sum(sizes))


def test_the_rivals_bars_are_those_that_our_values_stand_on() -> None:
    ticks = distinct_ticks(1_003, seed=7)
    bars = features_updates.bars_of(ticks, trades=10)
    prices = (ticks.price_ticks / 100).tolist()
    assert bars.rows() == [
        (group[0], max(group), min(group), group[-1])
        for group in (prices[start : start + 10] for start in range(0, 1_000, 10))
    ]
    closes = features_ours.values(ticks, "close", trades=10)
    assert np.isnan(closes[:9]).all()
    assert closes[9::10].tolist() == bars.close.tolist()


def test_a_ratio_to_no_time_at_all_is_not_printed() -> None:
    assert features.ratio(120.0, 8.0).strip() == "15.0x"
    assert features.ratio(120.0, -0.3).strip() == features.ratio(120.0, 0.0).strip() == "-"


def test_an_error_is_relative_and_a_missing_value_is_wrong() -> None:
    error = features_variance.measured_error("x", "y", np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.1, NAN]))
    assert (error.windows, error.equal_bits, error.visibly_wrong) == (3, 1, 2)
    assert error.largest_relative == np.inf
    slight = features_variance.measured_error("x", "y", np.array([2.0, 4.0]), np.array([2.01, 4.0]))
    assert slight.largest_relative == pytest.approx(0.005)
    assert (slight.visibly_wrong, slight.equal_bits) == (0, 1)


def test_a_difference_counts_what_only_one_side_has() -> None:
    apart = difference(np.array([NAN, 1.0, 0.0, 4.0, 5.0]), np.array([3.0, 1.0, 0.0, 4.4, NAN]))
    assert (apart.rows, apart.only_first, apart.only_second) == (3, 1, 1)
    assert apart.largest == pytest.approx(0.4)
    assert apart.largest_relative == pytest.approx(0.4 / 4.4)
    assert not apart.agrees(0.1)
    both = difference(np.array([NAN, 1.0, 0.0, 4.0]), np.array([NAN, 1.0, 0.0, 4.4]))
    assert both.rows == 3
    assert both.agrees(0.1)
    assert not both.agrees(0.09)
    assert not difference(np.array([NAN]), np.array([NAN])).agrees(1.0)
    with pytest.raises(ValueError, match="1 values against 2"):
        difference(np.zeros(1), np.zeros(2))


def test_contestants_take_turns_after_one_run_that_is_not_counted() -> None:
    calls: list[str] = []

    def runs(name: str) -> Contestant:
        def run(number: int) -> str:
            calls.append(name)
            return f"{name} {number}"

        return Contestant(name, run, arm=lambda: (len(calls),))

    outcomes = in_turn([runs("a"), Contestant("b", runs("b").run, skipped="not installed"), runs("c")], rounds=2)
    assert calls == ["a", "c"] * 3
    assert [len(outcome.seconds) for outcome in outcomes] == [2, 0, 2]
    assert [outcome.result for outcome in outcomes] == ["a 0", None, "c 1"]
    assert outcomes[1].skipped == "not installed"
