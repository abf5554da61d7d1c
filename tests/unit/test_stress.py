"""Bad weather is what it is called, the same for everybody, and what is said of a run in it is what the run did."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date
from decimal import Decimal
from itertools import count

import numpy as np
import pytest

from engine.backtesting import backtest, make_settings, make_strategy, simulate
from engine.errors import ConfigError, DataError
from engine.events import DayStarted, Refusal, TradingHalted, TradingResumed
from engine.tools.stress import CALENDAR, CRYPTO_DAYS, RECORDED, TICK_DAYS, halted_ns, scenarios, stress
from engine.tools.tick_days import binance_day
from engine.tools.weather import DAYS, START_NS, storm
from tests.shared_data import load_aapl_lobster, load_ltcusdt, load_spy, shared_file

MINUTE_NS = 60 * 10**9


def outcomes(strategy="momentum_burst", folder=None, names=None, **settings):
    chosen = [one for one in scenarios(folder, 1) if names is None or one.name in names]

    def run(file, calendar):
        line = make_strategy(strategy, {})
        return simulate(file, line, make_settings(file.block, line, **({"calendar": calendar} | settings)))

    return stress(run, chosen)


# ---------------------------------------------------------------- the weather


@pytest.mark.parametrize("day", DAYS)
def test_a_day_is_a_market(day):
    block = storm(day, 7).block
    assert (np.diff(block.ts_ns) > 0).all()
    assert block.ts_ns[0] >= START_NS
    assert (block.bid_ticks > 0).all()
    assert (block.bid_ticks < block.price_ticks).all()
    assert (block.price_ticks < block.ask_ticks).all()
    assert (block.size_lots > 0).all()


def fall(prices):
    """The deepest fall from a height, as a share of it."""
    return float((1 - prices / np.maximum.accumulate(prices)).max())


@pytest.mark.parametrize("seed", range(5))
def test_each_day_does_what_it_is_called(seed):
    days = {day: storm(day, seed).block for day in DAYS}
    prices = {day: block.price_ticks.astype(float) for day, block in days.items()}
    steps = {day: float(np.abs(np.diff(own) / own[:-1]).max()) for day, own in prices.items()}
    pauses = {day: int(np.diff(block.ts_ns).max()) for day, block in days.items()}
    assert fall(prices["calm"]) < 0.03
    assert steps["gap"] > 0.045 > 10 * steps["calm"]
    assert fall(prices["crash"]) > 0.07
    assert fall(prices["v recovery"]) > 0.05
    assert prices["v recovery"][-1] / prices["v recovery"].min() > 1.04
    assert 15 * MINUTE_NS <= pauses["halt"] <= 15 * MINUTE_NS + 10**9
    assert max(pauses[day] for day in DAYS if day != "halt") < 10**9
    hour = slice(90 * 120, 150 * 120)  # two trades a second: the hour in the middle
    moves = {day: float(np.diff(own[hour]).std()) for day, own in prices.items()}
    assert moves["volatility burst"] > 4 * moves["calm"]


def test_a_seed_names_the_same_ticks_for_ever():
    block = storm("crash", 1).block
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    digest = hashlib.sha256(b"".join(getattr(block, name).astype("<i8").tobytes() for name in names)).hexdigest()
    assert digest[:16] == "406de6d0d4879988"
    assert (storm("crash", 2).block.price_ticks != block.price_ticks).any()


# ---------------------------------------------------------------- what is said of a run


def test_an_outcome_is_that_of_the_backtest():
    found = {one.scenario: one for one in outcomes()}
    assert list(found) == list(DAYS)
    for day, one in found.items():
        run = backtest(storm(day, 1), calendar=CALENDAR)
        assert (one.trades, one.net) == (run.metrics["trades"], run.metrics["net"])
        assert one.max_drawdown == run.metrics["max_drawdown"]
        assert one.worst_trade == min((trade.net for trade in run.trades), default=Decimal(0))
    assert sum(one.trades for one in found.values()) > 100


def test_a_limit_that_acts_is_named_and_halts_until_the_end_of_the_day():
    (one,) = outcomes(names=["crash"], position_size=100, daily_loss_limit="1%")
    (free,) = outcomes(names=["crash"], position_size=100, daily_loss_limit="50%")
    assert one.limits["DAILY_LOSS"] >= 1
    assert 0 < one.halted_ns < 240 * MINUTE_NS
    assert one.net > free.net
    assert (free.limits.get("DAILY_LOSS", 0), free.halted_ns) == (0, 0)


def halt(ts_ns, reason=Refusal.DAILY_LOSS):
    return TradingHalted(ts_ns, reason)


@pytest.mark.parametrize(
    ("decisions", "halted"),
    [
        ([], 0),
        ([halt(40)], 60),
        ([halt(40), DayStarted(50, 1, 0)], 10),
        ([halt(40), DayStarted(50, 1, 0), halt(90)], 20),
        ([halt(40, Refusal.DRAWDOWN), DayStarted(50, 1, 0)], 60),
        ([halt(40, Refusal.DRAWDOWN), DayStarted(50, 1, 0), TradingResumed(70, "seen")], 30),
        ([halt(40), halt(45, Refusal.DRAWDOWN), DayStarted(50, 1, 0)], 60),
        ([halt(40, Refusal.PAUSED)], 0),
    ],
)
def test_the_time_halted_by_hand(decisions, halted):
    """The run ends at 100."""
    assert halted_ns(decisions, 100) == halted


def test_what_a_strategy_cannot_run_on_is_said_and_the_rest_is_run():
    days = count()

    def run(file, calendar):
        if not next(days):
            raise DataError("not on such a day")
        line = make_strategy("momentum_burst", {})
        return simulate(file, line, make_settings(file.block, line, calendar=calendar))

    found = stress(run, [one for one in scenarios(None, 1) if one.name in ("calm", "crash")])
    assert [one.refused for one in found] == ["not on such a day", ""]
    assert [one.trades > 0 for one in found] == [False, True]


def test_what_it_can_run_on_nowhere_is_refused():
    with pytest.raises(ConfigError, match="spread: fills at the last price have no spread"):
        outcomes(fills="last", spread="0.02")


def test_a_folder_without_recorded_crashes_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of the recorded months and days is here"):
        scenarios(tmp_path, 1)


def test_recorded_crash_months_are_run_where_they_are_at_hand():
    folder = shared_file("equities/etf-minute-history").parents[1]
    found = outcomes("vwap_scalp", folder, names=RECORDED, risk_profile="standard")
    assert [one.scenario for one in found] == list(RECORDED)
    assert all(one.trades > 10 for one in found)
    assert all(one.refused == "" for one in found)


# ---------------------------------------------------------------- recorded days of ticks


def test_days_of_ticks_are_those_that_were_recorded():
    """Against the tests' own readers of the same files."""
    folder = shared_file("equities/lobster-2012-06-21").parents[1]
    for name, recorded in (
        ("AAPL, 21 June 2012, ticks", load_aapl_lobster()),
        ("SPY, 10 October 2013, ticks", load_spy()),
    ):
        path, read = TICK_DAYS[name]
        file = read(folder / path)
        for column, expected in recorded.columns().items():
            found = getattr(file.block, column)
            assert (found is None) is (expected is None)
            assert expected is None or np.array_equal(found, expected), column
        assert (file.instruments[0].symbol, file.instruments[0].price_precision) == (recorded.symbol, 4)


def test_they_are_run_through():
    folder = shared_file("equities/lobster-2012-06-21").parents[1]
    names = {"AAPL, 21 June 2012, ticks", "IBM, 7 October 2013, ticks"}
    found = outcomes("smoke_test", folder, names=names)
    assert {one.scenario for one in found} == names
    assert all(one.trades > 100 and not one.refused for one in found)


def test_what_the_folder_lacks_is_said(tmp_path):
    path, _ = TICK_DAYS["BAC, 7 October 2013, ticks"]
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"no zip")
    found = {one.scenario: one.refused for one in outcomes("smoke_test", tmp_path) if one.refused}
    assert set(found) == {*RECORDED, *TICK_DAYS, *CRYPTO_DAYS}
    assert "this is not such a day of ticks (File is not a zip file)" in found.pop("BAC, 7 October 2013, ticks")
    assert all("this folder does not have it" in refused for refused in found.values())


def test_two_days_of_ltcusdt_are_all_that_was_recorded_in_the_order_of_the_ids():
    whole = load_ltcusdt()
    days = [CRYPTO_DAYS[f"LTCUSDT, {day} June 2025, ticks"] for day in (21, 22)]
    files = [read(shared_file(path)) for path, read in days]
    for name in ("ts_ns", "price_ticks", "size_lots"):
        joined = np.concatenate([getattr(file.block, name) for file in files])
        assert (joined == getattr(whole, name)).all(), name
    assert [str(np.datetime64(int(file.block.ts_ns[0]), "ns"))[:10] for file in files] == ["2025-06-21", "2025-06-22"]
    with pytest.raises(DataError, match="no trade of LTCUSDT on 2025-06-23"):
        binance_day(shared_file(days[0][0]), "LTCUSDT", date(2025, 6, 23))


def test_crypto_trades_around_the_clock():
    """On the day with nothing but hours at which an exchange is shut: a Saturday and a Sunday."""
    folder = shared_file("crypto").parent
    found = outcomes("smoke_test", folder, [*CRYPTO_DAYS])
    assert [one.scenario for one in found] == list(CRYPTO_DAYS)
    assert all(one.trades > 100 for one in found)


def test_a_file_of_trades_that_is_none_is_said(tmp_path):
    with gzip.open(tmp_path / "LTCUSDT_1_trades.csv.gz", "wt") as file:
        file.write("timestamp,price,quantity,side,tradeId\n1750507467356,high,0.107,buy,1\n")
    with pytest.raises(DataError, match="this is not such a file of trades"):
        binance_day(tmp_path, "LTCUSDT", date(2025, 6, 21))
