"""The strategies on recorded markets: how often they trade and how they leave, what their filters hold back, no future.

The counts are golden: a change of the engine or of a rule that moves them must be meant. They are no judgement: with
the default settings there are no costs in them, and nobody should want these trades.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest

import engine
from engine.backtesting import make_settings, make_strategy
from engine.plugins import strategy_names
from engine.results import BacktestResult
from engine.store.rows import TickFile
from engine.tools.lookahead import lookahead
from tests.unit.strategies.data import market

NEW_YORK = ZoneInfo("America/New_York")
MORE = {"pairs": {"other": "SPY"}}
UNLIMITED = {"starting_cash": 1_000_000, "daily_loss_limit": "100%"}

GOLDEN = [  # strategy, market, trades, of them long, and how they ended
    ("vwap_bounce", "aapl", 10, 9, {"BE": 5, "SL": 3, "TIME": 1, "TP": 1}),
    ("vwap_bounce", "spy", 9, 4, {"BE": 3, "SL": 2, "TIME": 3, "TP": 1}),
    ("vwap_bounce", "iwm_minutes", 14, 10, {"BE": 8, "SL": 3, "TIME": 1, "TP": 2}),
    ("vwap_bounce", "es", 4, 2, {"SL": 2, "TIME": 1, "TP": 1}),
    ("vwap_scalp", "aapl", 3, 3, {"SL": 2, "TIME": 1}),
    ("vwap_scalp", "spy", 4, 4, {"SL": 4}),
    ("vwap_scalp", "spy_minutes", 83, 83, {"SL": 58, "TP": 25}),
    ("vwap_scalp", "es", 1, 1, {"SL": 1}),
    ("opening_range_breakout", "spy", 5, 1, {"SL": 5}),
    ("opening_range_breakout", "spy_minutes", 62, 39, {"EOD": 1, "SL": 35, "TP": 26}),
    ("opening_range_breakout", "es", 3, 1, {"EOD": 2, "SL": 1}),
    ("rsi_momentum", "spy_minutes", 15, 15, {"SL": 9, "TIME": 1, "TP": 5}),
    ("rsi_momentum", "iwm_minutes", 11, 11, {"SL": 7, "TIME": 2, "TP": 2}),
    ("rsi_momentum", "es", 3, 3, {"TIME": 3}),
    ("ema_pullback", "spy_minutes", 29, 29, {"EOD": 1, "SL": 18, "TP": 10}),
    ("ema_pullback", "es", 6, 6, {"SL": 1, "TIME": 5}),
    ("crypto_vwap_rsi", "ltcusdt", 9, 8, {"END": 1, "SL": 5, "TP": 3}),
    ("swing", "spy_minutes", 9, 9, {"SL": 6, "TP": 3}),
    ("swing", "spy_overnight", 27, 27, {"END": 1, "SL": 23, "TP": 3}),
    ("pairs", "spy_dia", 258, 129, {"SESSION": 13, "SL": 6, "WHEN": 110}),
    ("smart_money", "ltcusdt", 4, 0, {"SL": 3, "TP": 1}),
    ("smart_money", "spy_minutes", 50, 17, {"SL": 29, "TP": 21}),
    ("smart_money", "es", 20, 10, {"END": 1, "SESSION": 1, "SL": 4, "TIME": 14}),
    ("smoke_test", "aapl", 2742, 1366, {"END": 1, "SL": 2, "TIME": 2736, "TP": 3}),
    ("smoke_test", "ltcusdt", 14905, 7412, {"END": 1, "SL": 289, "TIME": 14195, "TP": 420}),
]

SLICES = {  # the first records of a market on which the strategy decides something
    "vwap_bounce": ("es", 2_500),
    "vwap_scalp": ("spy_minutes", 1_500),
    "opening_range_breakout": ("spy_minutes", 1_500),
    "rsi_momentum": ("spy_minutes", 2_500),
    "ema_pullback": ("spy_minutes", 3_500),
    "crypto_vwap_rsi": ("spy_overnight", 2_000),
    "swing": ("spy_overnight", 3_000),
    "pairs": ("spy_dia", 3_000),
    "smart_money": ("es", 4_000),
    "smoke_test": ("aapl", 2_000),
    "momentum_burst": ("aapl", 6_000),
}
POINTS = 25


def run(strategy: str, name: str, **parameters) -> BacktestResult:
    file, calendar = market(name)
    return engine.backtest(file, strategy, calendar=calendar, **UNLIMITED, **MORE.get(strategy, {}), **parameters)


def entry_clock(result: BacktestResult) -> list[str]:
    """The times of day of the entries, in New York."""
    moments = [datetime.fromtimestamp(trade.entry_ts_ns / 1e9, UTC) for trade in result.trades]
    return [f"{moment.astimezone(NEW_YORK):%H:%M:%S}" for moment in moments]


def test_every_strategy_trades_on_recorded_data():
    assert {case[0] for case in GOLDEN} | {"momentum_burst"} == set(strategy_names()) == set(SLICES)


@pytest.mark.parametrize(("strategy", "name", "trades", "long", "reasons"), GOLDEN)
def test_trades(strategy, name, trades, long, reasons):
    result = run(strategy, name)
    assert sum(trade.direction.word == "long" for trade in result.trades) == long
    assert (len(result.trades), result.metrics["by_reason"]) == (trades, reasons)
    assert result.metrics["trades"] + result.metrics["open_at_end"] == sum(reasons.values())


def test_a_pair_is_entered_and_left_with_both_legs():
    result = run("pairs", "spy_dia", size="20000 dollars")
    pairs = [tuple(legs) for _, legs in groupby(sorted(result.trades, key=lambda t: t.pair), key=lambda t: t.pair)]
    assert len(pairs) > 100
    for leading, following in (sorted(legs, key=lambda trade: trade.lane) for legs in pairs):
        assert (leading.symbol, following.symbol) == ("DIA", "SPY")
        assert leading.direction == -following.direction
        assert (leading.entry_ts_ns, leading.exit_ts_ns) == (following.entry_ts_ns, following.exit_ts_ns)
        money = [float(leg.qty * leg.entry_price) for leg in (leading, following)]
        assert 19_800 < money[0] <= 20_000, "the size is that of the leading leg"
        assert 0.1 < money[1] / money[0] < 3, "a hedge ratio of two funds on the same market"
        reasons = {str(leading.reason), str(following.reason)}
        assert reasons == {"SESSION"} or reasons in ({"LEG", "WHEN"}, {"LEG", "SL"}, {"LEG", "TIME"})


def test_legs_of_equal_money():
    trades = run("pairs", "spy_dia", size="20000 dollars", equal_money=1).trades
    assert len(trades) > 200
    for trade in trades:
        assert abs(float(trade.qty * trade.entry_price) - 20_000) < 200, "to a share of either"


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize("strategy", ["vwap_scalp", "opening_range_breakout", "rsi_momentum", "ema_pullback"])
def test_hours_and_midday(strategy):
    usual = entry_clock(run(strategy, "spy_minutes"))
    assert all("09:45" <= time < "12:00" or "14:00" <= time < "15:30" for time in usual)
    whole_day = entry_clock(run(strategy, "spy_minutes", avoid_midday=0))
    assert any("12:00" <= time < "14:00" for time in whole_day)
    moved = entry_clock(run(strategy, "spy_minutes", midday_from="10:00", midday_until="15:00"))
    assert moved
    assert not any("10:00" <= time < "15:00" for time in moved)
    narrow = entry_clock(run(strategy, "spy_minutes", entries_from="14:30", entries_until="15:00"))
    assert all("14:30" <= time < "15:00" for time in narrow)


def test_the_trend_filter_leaves_only_entries_above_the_average():
    from engine.rules import bars, ema, minutes, price

    file, calendar = market("spy_minutes")
    above = engine.features(file, {"above": price > ema(bars(minutes(5)).close, 20)}, calendar=calendar)["above"]
    rising = dict(zip(file.block.ts_ns.tolist(), above.tolist(), strict=True))
    without, filtered = run("vwap_scalp", "spy_minutes"), run("vwap_scalp", "spy_minutes", trend_filter=1)
    assert not all(rising[trade.entry_ts_ns] for trade in without.trades)
    assert all(rising[trade.entry_ts_ns] for trade in filtered.trades)
    assert 0 < len(filtered.trades) < len(without.trades)


def test_bounce_keeps_out_of_what_runs_away():
    from engine.regimes import five_class
    from engine.rules import bars, minutes

    file, calendar = market("es")
    regime = five_class(bars(minutes(1)))
    classes = engine.features(file, {name: regime == name for name in regime.names}, calendar=calendar)
    assert all(column.any() for column in classes.values()), "a week of ES sees every class"
    assert (sum(column.astype(int) for column in classes.values()) <= 1).all(), "classes exclude each other"
    wild = dict(zip(file.block.ts_ns.tolist(), classes["HIGH_VOL_TRENDING"].tolist(), strict=True))
    trades = run("vwap_bounce", "es", volume_factor=0, deviations="1.5", trend_limit="1%").trades
    assert len(trades) > 5
    assert not any(wild[trade.entry_ts_ns] for trade in trades)


def test_swing_holds_overnight_and_leaves_while_the_market_is_open():
    trades = run("swing", "spy_minutes").trades
    assert sum(trade.entry_ts_ns // (86_400 * 10**9) != trade.exit_ts_ns // (86_400 * 10**9) for trade in trades) >= 3
    for trade in trades:
        left = datetime.fromtimestamp(trade.exit_ts_ns / 1e9, UTC).astimezone(NEW_YORK)
        assert "09:30" < f"{left:%H:%M}" <= "16:00", "the bars of other hours are in the file, too"
    days = [(trade.exit_ts_ns - trade.entry_ts_ns) / (86_400 * 10**9) for trade in trades]
    assert max(days) <= 5
    assert all(held >= 1 for trade, held in zip(trades, days, strict=True) if trade.reason.value == "TP")


@pytest.mark.parametrize(("strategy", "name"), [("swing", "spy_overnight"), ("smart_money", "spy_minutes")])
def test_more_signs_are_fewer_trades(strategy, name):
    counts = [len(run(strategy, name, least_signs=signs).trades) for signs in (2, 3, 4)]
    assert counts[0] > counts[1] >= counts[2]


# ---------------------------------------------------------------- no look-ahead


@pytest.mark.parametrize("strategy", sorted(SLICES))
def test_no_decision_rests_on_what_came_after_it(strategy):
    name, records = SLICES[strategy]
    file, calendar = market(name)
    part = TickFile(file.block.part(0, records), file.instruments, source=name)
    settings = make_settings(part.block, calendar=calendar, **UNLIMITED)
    report = lookahead(part, make_strategy(strategy, MORE.get(strategy, {})), settings, points=POINTS)
    assert report.mismatch is None
    assert report.decision_cuts > 0, "a slice in which nothing is decided proves nothing"
