"""The figures of a whole run: how they are put together from days, sessions, the venue and the trades."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import engine
from engine.brokers.paper import VenueModel
from engine.model import Instrument, TickBlock
from engine.quantities import parse_fee
from engine.store.ticks import TickFile
from engine.tools.benchmark import buy_and_hold
from mock_server.market import generate
from tests.unit.strategies.data import market

HOUR_NS = 3600 * 10**9
NIGHT_NS = int(datetime(2024, 3, 8, 14, 30, tzinfo=UTC).timestamp()) * 10**9  # Friday 09:30 in New York, winter time


@pytest.fixture(scope="module")
def two_days() -> engine.BacktestResult:
    """The same minutes of a market on the Friday before and on the Monday after the clocks were changed."""
    made = generate(40_000)
    begin = int(made.ts_ns[0])
    friday = NIGHT_NS + made.ts_ns - begin
    monday = friday + 71 * HOUR_NS  # 09:30 in New York again, summer time
    columns = {name: np.tile(getattr(made, name), 2) for name in ("price_ticks", "size_lots", "bid_ticks", "ask_ticks")}
    ticks = {"ts_ns": np.concatenate([friday, monday]), **columns}
    return engine.backtest(ticks, "momentum_burst", calendar="us_equities", fee="0.001/share")


def test_days_and_the_clock_of_the_exchange(two_days):
    metrics = two_days.metrics
    assert [day["day"] for day in metrics["daily"]] == ["2024-03-08", "2024-03-11"]
    assert list(metrics["by_weekday"]) == ["Mon", "Fri"]
    assert list(metrics["by_hour"]) == ["09"]
    assert sum(day["pnl"] for day in metrics["daily"]) == metrics["total_pnl"] == metrics["net"]
    assert sum(day["trades"] for day in metrics["daily"]) == len(two_days.trades)
    assert all(day["end"] - day["start"] == day["pnl"] for day in metrics["daily"])


def test_groups_and_the_end_of_the_data_make_the_whole(two_days):
    metrics = two_days.metrics
    end = sum((trade.net for trade in two_days.trades if trade.reason == "END"), Decimal(0))
    for name in ("by_side", "by_hour", "by_weekday"):
        groups = metrics[name].values()
        assert sum(group["trades"] for group in groups) == metrics["trades"]
        assert sum(group["net"] for group in groups) + end == metrics["net"]
    assert sum(group["net"] for group in metrics["by_exit"].values()) == metrics["net"]
    assert {name: group["trades"] for name, group in metrics["by_exit"].items()} == metrics["by_reason"]


def test_returns_are_of_days(two_days):
    metrics = two_days.metrics
    first, second = (Fraction(day["pnl"]) / Fraction(day["start"]) for day in metrics["daily"])
    mean = (first + second) / 2
    deviation = abs(first - second) / Fraction(2) ** 1 * Fraction(2**0.5)  # the sample deviation of two numbers
    assert metrics["sharpe"] == pytest.approx(float(mean / deviation) * 252**0.5, rel=1e-9)
    assert (metrics["cagr"], metrics["calmar"]) == (None, None)  # two days make no year


def test_the_risk_free_rate_lowers_ratios(two_days):
    dearer = engine.backtest(
        two_days.file, "momentum_burst", calendar="us_equities", fee="0.001/share", risk_free_rate="5%"
    )
    assert dearer.decision_hash == two_days.decision_hash
    assert dearer.metrics["sharpe"] < two_days.metrics["sharpe"]


def test_exposure_leaves_the_weekend_out(two_days):
    held = sum(trade.exit_ts_ns - trade.entry_ts_ns for trade in two_days.trades)
    last = int(two_days.file.block.ts_ns[-1])
    open_ns = 6.5 * HOUR_NS + last - (NIGHT_NS + 71 * HOUR_NS)
    assert two_days.metrics["exposure"] == pytest.approx(held / open_ns, rel=1e-12)


def test_a_run_without_records_and_one_without_trades():
    for count in (0, 1, 500):
        metrics = engine.backtest(generate(1000)._asdict() | cut(count), "momentum_burst").metrics
        assert metrics["trades"] == 0
        undefined = ("profit_factor", "sqn", "sharpe", "sortino", "calmar", "cagr", "break_even_bps", "durations_ns")
        assert {metrics[name] for name in undefined} == {None}
        assert metrics["total_return"] == 0


def cut(count: int) -> dict[str, np.ndarray]:
    return {name: values[:count] for name, values in generate(1000)._asdict().items() if values is not None}


def hold(venue: VenueModel, cash: int, prices=(10_000, 9_000, 10_500), **more) -> list[dict]:
    ts_ns = np.arange(len(prices), dtype=np.int64)
    block = TickBlock(ts_ns, np.array(prices, np.int64), np.ones(len(prices), np.int64), **more)
    symbols = 1 if block.instrument is None else int(block.instrument.max()) + 1
    file = TickFile(block, [Instrument(f"S{number}") for number in range(symbols)], source="test")
    return buy_and_hold(file, venue, Fraction(cash))


def test_buy_and_hold_by_hand():
    """950 buys 9 shares at 100.00; they are sold at 105.00."""
    [found] = hold(VenueModel(), 950)
    assert found["qty"] == 9
    assert (found["entry_price"], found["exit_price"], found["net"]) == (Decimal(100), Decimal(105), Decimal(45))
    assert found["return"] == 45 / 950


def test_buy_and_hold_pays_what_the_run_pays():
    """Half of 0.20 on either side, 0.01 a share twice, 10 basis points of 901 - 0.9 = 900.9 and of 944.1."""
    venue = VenueModel("touch", spread=Fraction("0.2"), slippage_bps=Fraction(10), fee=parse_fee("0.01/share"))
    [found] = hold(venue, 950)
    assert found["net"] == Decimal("45") - Decimal("1.8") - Decimal("0.18") - Decimal("0.9009") - Decimal("0.9441")


def test_buy_and_hold_is_undefined_where_the_spread_leaves_nothing_of_the_price():
    """Half of 210 on either side of 105: the last sale would bring nothing, and half of 400 less than that."""
    for spread in (210, 400):
        [found] = hold(VenueModel("touch", spread=Fraction(spread)), 950)
        assert found == dict.fromkeys(found) | {"symbol": "S0"}


def test_buy_and_hold_of_quotes_and_of_bars():
    bid, ask = np.array([0, 8_990, 10_490]), np.array([0, 9_010, 10_510])
    [found] = hold(VenueModel("touch"), 950, bid_ticks=bid, ask_ticks=ask)
    assert (found["entry_price"], found["exit_price"]) == (Decimal(100), Decimal("104.9"))  # no quote yet, then the bid
    opens = np.array([9_500, 9_000, 9_000])
    [found] = hold(VenueModel(), 950, open_ticks=opens)
    assert (found["entry_price"], found["exit_price"]) == (Decimal(95), Decimal(105))


def test_buy_and_hold_shares_the_cash_out():
    both = hold(VenueModel(), 1000, prices=(10_000, 40_000, 11_000), instrument=np.array([0, 1, 0], np.uint16))
    assert (both[0]["qty"], both[0]["net"]) == (5, 50)
    assert both[1] == {"symbol": "S1", "qty": Decimal(1), "entry_price": Decimal(400), "exit_price": Decimal(400),
                       "net": Decimal(0), "return": 0.0}  # fmt: skip
    assert hold(VenueModel(), 99)[0] == dict.fromkeys(both[0]) | {"symbol": "S0"}


@pytest.mark.parametrize(
    ("name", "strategy"), [("spy_minutes", "opening_range_breakout"), ("aapl", "momentum_burst"), ("es", "vwap_bounce")]
)
def test_figures_agree_with_each_other_on_real_markets(name, strategy):
    file, hours = market(name)
    result = engine.backtest(file, strategy, calendar=hours, fee="0.2bps")
    metrics = result.metrics
    assert metrics["trades"] > 3
    assert sum(day["pnl"] for day in metrics["daily"]) == metrics["total_pnl"]
    assert sum(day["trades"] for day in metrics["daily"]) == len(result.trades)
    assert metrics["max_drawdown"] >= metrics["drawdown_at_closes"]["amount"] > 0
    assert 0 < metrics["exposure"] <= 1
    costs = sum(metrics[name] for name in ("spread_cost", "slippage_cost", "fees", "borrow_cost"))
    assert metrics["gross"] - costs == metrics["net"]
    for row, trade in zip(result.trade_rows, result.trades, strict=True):
        moved = (trade.exit_price - trade.entry_price) * trade.direction * trade.qty
        assert row["mae"] <= moved <= row["mfe"]
    assert len(result.to_html().encode()) < 1_000_000
