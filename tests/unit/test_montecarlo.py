"""Paths over the trades of a run, against sums of Python's own integers and fractions, path by path."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import groupby

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import DataError
from engine.tools import montecarlo
from engine.tools.montecarlo import PERCENTILES, Closed, monte_carlo

PATHS = 40


def closed(*nets, day=0):
    return [Closed(Decimal(net), day) for net in nets]


def orders_by_definition(method, trades, paths, seed):
    """Each path draws one raw number per trade: a shuffle sorts by them, a resample takes their share of the trades."""
    stream = np.random.PCG64(seed)
    for _ in range(paths):
        raw = [int(number) for number in stream.random_raw(trades)]
        if method == "shuffle":
            yield sorted(range(trades), key=raw.__getitem__)
        else:
            yield [(number >> 32) * trades >> 32 for number in raw]


def walk(nets, starting, days, daily, total):
    """One path, trade by trade: its end, drawdown, and whether either limit was reached."""
    equity = peak = Fraction(starting)
    deepest, day_lost, lost = Fraction(0), False, False
    numbered = iter(nets)
    for _, group in groupby(days):
        opening = equity
        for _ in group:
            equity += Fraction(next(numbered))
            peak = max(peak, equity)
            deepest = max(deepest, peak - equity)
            day_lost |= equity <= opening * (1 - daily)
            lost |= equity <= Fraction(starting) * (1 - total)
    return equity, deepest, day_lost, lost


NETS = st.lists(st.decimals(-50, 50, places=4), min_size=1, max_size=12)


@settings(max_examples=60)
@given(NETS, st.sampled_from(["shuffle", "resample"]), st.integers(0, 2**64), st.lists(st.integers(0, 2), max_size=12))
@example([Decimal("-5"), Decimal("-5.0001"), Decimal("3")], "shuffle", 1, [])
def test_every_figure_is_that_of_the_paths(nets, method, seed, days):
    days = sorted((days * 12)[: len(nets)]) if days else [0] * len(nets)
    daily, total, starting = Fraction(1, 20), Fraction(1, 10), Decimal(100)
    trades = [Closed(net, day) for net, day in zip(nets, days, strict=True)]
    limits = {"daily_loss_limit": daily, "total_loss_limit": total}
    found = monte_carlo(trades, starting, method=method, paths=PATHS, seed=seed, **limits)
    paths = [
        walk([nets[n] for n in order], starting, days, daily, total)
        for order in orders_by_definition(method, len(nets), PATHS, seed)
    ]
    own = walk(nets, starting, days, daily, total)
    finals, deepest = sorted(path[0] for path in paths), sorted(path[1] for path in paths)
    for percentile in PERCENTILES:
        rank = next(n for n in range(1, PATHS + 1) if 100 * n >= percentile * PATHS)
        assert Fraction(found.final[percentile]) == finals[rank - 1]
        assert Fraction(found.drawdown[percentile]) == deepest[rank - 1]
    assert (Fraction(found.own_final), Fraction(found.own_drawdown)) == own[:2]
    assert found.no_deeper == sum(path[1] <= own[1] for path in paths)
    assert found.losing == sum(path[0] < starting for path in paths)
    assert found.daily_limit_reached == sum(path[2] for path in paths)
    assert found.total_limit_reached == sum(path[3] for path in paths)


@pytest.mark.parametrize(("net", "reached"), [("-4.99", 0), ("-5", 10), ("-5.01", 10)])
def test_the_daily_limit_one_cent_below_at_and_above(net, reached):
    assert monte_carlo(closed(net), Decimal(100), paths=10).daily_limit_reached == reached


@pytest.mark.parametrize(("net", "reached"), [("-19.99", 0), ("-20", 10), ("-20.01", 10)])
def test_the_total_limit_one_cent_below_at_and_above(net, reached):
    assert monte_carlo(closed(net), Decimal(100), paths=10).total_limit_reached == reached


def test_a_days_loss_counts_from_that_days_start():
    """Twice 4 of 100 on one day reach 5 %; on two days neither does, whatever the order."""
    assert monte_carlo(closed("-4", "-4"), Decimal(100), paths=5).daily_limit_reached == 5
    two_days = [*closed("-4", day=1), *closed("-4", day=2)]
    assert monte_carlo(two_days, Decimal(100), paths=5).daily_limit_reached == 0


def test_a_shuffle_of_two_trades_by_hand():
    """A gain and a loss of 10: with the loss first it falls 10 from 100, else 10 from 110. Both end even."""
    found = monte_carlo(closed("10", "-10"), Decimal(100), paths=100)
    assert set(found.final.values()) == {Decimal(100)}
    assert set(found.drawdown.values()) == {Decimal(10)}
    assert found.losing == 0


def test_the_same_seed_is_the_same_answer_and_another_is_not():
    trades = closed(*(f"{(7 * n) % 11 - 5}.{n % 10}" for n in range(50)))
    one, again, other = (monte_carlo(trades, Decimal(1000), method="resample", paths=500, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.final != other.final


def test_the_stream_is_the_documented_one():
    """The first draws of seed 1, written down: a library that draws others would change every answer."""
    raw = np.random.PCG64(1).random_raw(3)
    assert raw.tolist() == [9441442522235856127, 17532960557476522086, 2659275481604167885]


def test_how_draws_are_cut_decides_nothing(monkeypatch):
    trades = closed(*(n - 9 for n in range(20)))
    whole = monte_carlo(trades, Decimal(1000), method="resample", paths=101)
    monkeypatch.setattr(montecarlo, "CHUNK", 7)
    assert monte_carlo(trades, Decimal(1000), method="resample", paths=101) == whole


def test_amounts_that_do_not_fit_in_64_bits_are_still_exact():
    """From 3e-16 to 3e10: in the smallest unit the sums need 90 bits."""
    small, large = ("0.0000000000000003", "-0.0000000000000001"), ("30000000000.3", "-10000000000.1")
    nets = [*small, *large]
    found = monte_carlo(closed(*nets), Decimal("1000000000000"), paths=20)
    assert Fraction(found.own_final) == sum(map(Fraction, nets)) + 10**12
    assert set(found.final.values()) == {found.own_final}


@pytest.mark.parametrize(("count", "warns"), [(29, True), (30, False)])
def test_few_trades_are_said_to_be_few(count, warns):
    assert bool(monte_carlo(closed(*["1"] * count), Decimal(100), paths=1).warning) is warns


def test_without_trades_there_is_nothing_to_shuffle():
    with pytest.raises(DataError, match="there is no trade"):
        monte_carlo([], Decimal(100))
