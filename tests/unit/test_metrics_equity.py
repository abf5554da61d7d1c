"""Figures of equity and time, by numbers worked out by hand, and against slow definitions on equity drawn at random."""

from __future__ import annotations

import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.account.equity import (
    YEAR_NS,
    Day,
    day_returns,
    days_per_year,
    drawdown,
    growth,
    in_market_ns,
    open_ns,
    sharpe,
    sortino,
    use_metrics,
)
from engine.sessions.trading_calendar import calendar
from tests.unit.made_trades import CENT, made

RETURNS = st.lists(st.integers(-1000, 1000).map(lambda n: n / 10_000), min_size=2, max_size=40)
EQUITY = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 200)), min_size=1, max_size=30)


def test_ratios_by_hand():
    """Days of +2 %, -1 % and +2 %: mean 1 %, sample deviation sqrt(3) %; downside sqrt(1/3) %."""
    returns = day_returns([Day(1, 100, 102), Day(2, 200, 198), Day(3, 50, 51)])
    assert returns == [0.02, -0.01, 0.02]
    assert sharpe(returns, 252) == pytest.approx((252 / 3) ** 0.5, rel=1e-14)
    assert sortino(returns, 252) == pytest.approx((252 * 3) ** 0.5, rel=1e-14)
    # A risk-free 2.52 % a year is 0.01 % a day: mean excess 0.99 %, downside deviation 1.01 / sqrt(3) %.
    assert sharpe(returns, 252, Fraction("0.0252")) == pytest.approx(0.99 * (252 / 3) ** 0.5, rel=1e-12)
    assert sortino(returns, 252, Fraction("0.0252")) == pytest.approx(0.99 / 1.01 * (252 * 3) ** 0.5, rel=1e-12)


def test_ratios_that_are_not_defined():
    assert sharpe([], 252) is sharpe([0.1], 252) is sharpe([0.1, 0.1, 0.1], 252) is None
    assert sortino([], 252) is sortino([-0.1], 252) is sortino([0.1, 0.0], 252) is None
    assert sortino([0.1, 0.1], 252, Fraction(252, 5)) is not None  # below a risk-free 20 % a day
    assert day_returns([Day(1, 0, 5)]) == []


@given(RETURNS)
def test_ratios_are_their_definitions(returns):
    exact = [Fraction(one) for one in returns]
    mean = statistics.mean(exact)
    if len(set(returns)) > 1:
        wanted = float(mean) / float(statistics.variance(exact)) ** 0.5 * 365**0.5
        assert sharpe(returns, 365) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    below = sum(min(one, Fraction(0)) ** 2 for one in exact) / len(exact)
    if below:
        assert sortino(returns, 365) == pytest.approx(float(mean) / float(below) ** 0.5 * 365**0.5, rel=1e-9, abs=1e-9)
    else:
        assert sortino(returns, 365) is None


def test_days_of_a_year():
    assert (days_per_year(calendar("always")), days_per_year(calendar("us_equities"))) == (365, 252)


def test_growth_needs_a_year():
    assert growth(100, 144, 2 * YEAR_NS) == pytest.approx(0.2, rel=1e-12)
    assert growth(100, 110, YEAR_NS) == pytest.approx(0.1, rel=1e-12)
    assert growth(100, 110, YEAR_NS - 1) is None
    assert growth(100, 0, YEAR_NS) is growth(0, 1, YEAR_NS) is None


def test_drawdown_by_hand():
    """From 100 to 120, down to 90, up to 120 again after 5, up to 130 and down to 125, where it ends at 20."""
    points = [(0, 100), (1, 120), (3, 90), (6, 120), (7, 130), (10, 125)]
    found = drawdown(points, 20)
    assert (found.amount, found.ratio) == (30, 0.25)
    assert (found.longest_ns, found.current_ns) == (13, 13)  # the last one, 7 to 20, is longer than 1 to 6
    assert drawdown(points[:5], 20) == (30, 0.25, 5, 0)
    assert drawdown([(0, 100)], 20) == (0, 0.0, 0, 0)


@given(EQUITY, st.integers(0, 20))
def test_drawdown_is_its_definition(steps, more):
    """Every pair of moments is looked at."""
    points, now = [], 0
    for step, equity in steps:
        now += step
        points.append((now, equity))
    end = now + more
    found = drawdown(points, end)
    pairs = [(before, after) for i, before in enumerate(points) for after in points[i:]]
    assert found.amount == max(before[1] - after[1] for before, after in pairs)
    assert found.ratio == float(max(Fraction(before[1] - after[1], before[1]) for before, after in pairs))
    spells = []
    for i, (ts, equity) in enumerate(points):
        if equity < max(e for _, e in points[: i + 1]) or i + 1 == len(points) or points[i + 1][1] >= equity:
            continue  # no peak that is fallen from
        back = next((t for t, e in points[i + 1 :] if e >= equity), None)
        spells.append((end if back is None else back) - ts)
    assert found.longest_ns == max(spells, default=0)
    still = points[-1][1] < max(e for _, e in points)
    peak = max(e for _, e in points)
    assert found.current_ns == (end - max(t for t, e in points if e == peak) if still else 0)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8))
def test_time_in_the_market_is_counted_once(holds):
    trades = [made(1, held=(begin, begin + long)) for begin, long in holds]
    assert in_market_ns(trades) == len({t for begin, long in holds for t in range(begin, begin + long)})


def test_use_by_hand():
    """100.00 held for 10 of 100, then 2 x 100.00 for 20 of 100, on 1,000.00."""
    trades = [made(0, held=(0, 10)), made(0, lots=2, held=(50, 70))]
    found = use_metrics(trades, 100_000 * CENT, 100)
    assert found == {"exposure": 0.3, "capital_utilisation": 0.05, "turnover_ratio": 0.6}
    assert set(use_metrics(trades, 0, 0).values()) == {None}


def test_open_time_leaves_nights_out():
    market, first, last = calendar("us_equities"), np.datetime64("2024-01-02T20:00"), np.datetime64("2024-01-03T15:30")
    hour = 3600 * 10**9
    first_ns, last_ns = (int(moment.astype("datetime64[ns]").astype(np.int64)) for moment in (first, last))
    assert open_ns(market, first_ns, last_ns) == 2 * hour  # 15:00 to 16:00, and 09:30 to 10:30 the day after
    assert open_ns(calendar("always"), first_ns, last_ns) == last_ns - first_ns
