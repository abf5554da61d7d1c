"""Settings at and beyond their edges: each is obeyed or refused in one line; none breaks the arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.errors import ConfigError
from engine.model import Side
from engine.strategy import ExitPlan
from engine.trading.lanes import declared_stop, declared_target

N = 600
TS = np.arange(N) * 100_000_000
PRICE = 1000 + np.arange(N) % 50 * 3
SIZE = np.where(np.arange(N) % 40 == 0, 500, 1)


def backtest(price: Any = PRICE, **settings: Any) -> Any:
    return engine.backtest({"ts_ns": TS, "price_ticks": price, "size_lots": SIZE}, guard=0, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"profit_target": "1e42%"},
        {"stop_loss": "1e42%"},
        {"stop_loss": "1/999999999999999999999999999999"},
        {"flat_candles": "10000000000"},
        {"cooldown_signals": "1e30"},
        {"volume_spike": "1e90"},
        {"entry_threshold": "1e-60"},
        {"position_size": "1099511627775"},
    ],
    ids=str,
)
def test_large_settings_are_obeyed(settings):
    result = backtest(**settings)
    core, portfolio = result.kernel.core, result.kernel.portfolio
    assert core.equity == portfolio.starting + portfolio.realised
    assert bool(result.trades) == ("volume_spike" not in settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("starting_cash", "1e40"), ("position_size", "1e20"), ("position_size", "0.5"), ("position_size", 0)],
)
def test_what_cannot_be_kept_exactly_is_refused(name, value):
    section = "paper" if name == "starting_cash" else "risk"
    with pytest.raises(ConfigError, match=f"{section}.{name}: ") as caught:
        backtest(**{name: value})
    assert "\n" not in caught.value.line()
    assert caught.value.fix


def test_a_spread_wider_than_the_price_sells_for_nothing():
    falls = np.where(np.arange(N) % 50 > 40, 1, PRICE)
    result = backtest(falls, spread="5")
    assert result.trades
    assert min(trade.exit_ticks for trade in result.trades) == 0
    assert result.kernel.core.equity == result.kernel.portfolio.starting + result.kernel.portfolio.realised


ratios = st.one_of(st.none(), st.fractions(0, 2, max_denominator=10**6), st.just(Fraction(10**40)))


@given(ratios, ratios, st.sampled_from(list(Side)), st.one_of(st.integers(1, 2**40), st.fractions(1, 10**6)), st.data())
def test_bounds_are_the_first_prices_that_close(stop, target, side, entry, data):
    plan = ExitPlan(stop, target, 0, 0)
    stop_ticks, target_ticks = declared_stop(plan, side, entry, {}), declared_target(plan, side, entry, None, {})
    assert all(-(2**63) <= bound < 2**63 for bound in (stop_ticks, target_ticks))
    near = [bound + shift for bound in (stop_ticks, target_ticks) for shift in (-1, 0, 1)]
    for price in [*(p for p in near if 0 < p < 2**40), data.draw(st.integers(1, 2**40 - 1))]:
        gain = side * (price - entry) / Fraction(entry)
        stops = price <= stop_ticks if side is Side.LONG else price >= stop_ticks
        targets = price >= target_ticks if side is Side.LONG else price <= target_ticks
        assert stops == (stop is not None and -gain >= stop)
        assert targets == (target is not None and gain >= target)
