"""Regimes on made-up markets whose class can be told by looking at them, at each side of every threshold."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import regimes
from engine.errors import UserError
from engine.rules import Param, Regime, bars, price, seconds, symbol
from engine.strategy import Strategy

OPENING_S = 1_704_205_800  # 09:30 in New York on 2024-01-02
DAY_S = 86_400


def stream(times_s: list[int], **prices: list[float]) -> engine.store.rows.TickFile:
    """One trade of each instrument at each time, the last named one after the others."""
    count, symbols = len(prices), list(prices)
    rows = np.array([prices[name] for name in symbols]).T.ravel()
    return engine.backtesting.from_frame(
        {
            "timestamp": (np.repeat(times_s, count) * 10**9).astype("datetime64[ns]"),
            "price": [f"{value:.2f}" for value in rows],
            "size": np.ones(len(rows), np.int64),
            "symbol": symbols * len(times_s),
        }
    )


def classes(file, regime: Regime, on: str, **reading) -> list[str]:
    """The class at each trade of one instrument, empty where none holds."""
    columns = engine.features(file, {name: regime == name for name in regime.names}, **reading)
    number = [one.symbol for one in file.instruments].index(on)
    rows = np.flatnonzero(file.block.instrument == number) if file.block.instrument is not None else range(file.rows)
    found = [[name for name in regime.names if columns[name][row]] for row in rows]
    assert all(len(names) <= 1 for names in found)
    return [names[0] if names else "" for names in found]


# ---------------------------------------------------------------- five classes


def wave(levels: list[tuple[int, float, float]]) -> list[float]:
    """Prices, two to a bar: so many bars of a height each, rocking by half of it, and drifting from one to the next."""
    made, at = [], 100.0
    for count, height, drift in levels:
        for number in range(count):
            rocked = at + (height / 2 if number % 2 and not drift else 0)
            made += [rocked, rocked + height]
            at += drift
    return made


@pytest.mark.parametrize(
    ("later", "wanted"),
    [
        ((12, 3.0, 0.0), "HIGH_VOL_CHOPPY"),
        ((12, 1.0, 2.5), "HIGH_VOL_TRENDING"),
        ((12, 0.4, 0.0), "LOW_VOL_RANGING"),
        ((12, 0.05, 0.3), "LOW_VOL_TRENDING"),
        ((12, 1.0, 0.0), "NORMAL"),
    ],
)
def test_five_classes(later, wanted):
    prices = wave([(40, 1.0, 0.0), later, (1, 1.0, 0.0)])
    ticks = {
        "ts_ns": np.arange(len(prices)) * 500_000_000 + OPENING_S * 10**9,
        "price_ticks": np.round(100 * np.array(prices)).astype(np.int64),
        "size_lots": np.ones(len(prices), np.int64),
    }
    regime = regimes.five_class(bars(seconds(1)), 4, 20)
    columns = engine.features(ticks, {name: regime == name for name in regime.names})
    assert [name for name in regime.names if columns[name][-2]] == [wanted]
    assert not any(column[:8].any() for column in columns.values()), "none holds before the averages exist"


# ---------------------------------------------------------------- the market around an instrument


def test_volatility_index_at_its_thresholds():
    index = [14.99, 15, 20, 20.01, 30, 30.01]
    file = stream([OPENING_S + n for n in range(6)], VIX=index, AAPL=[100.0] * 6)
    assert classes(file, regimes.volatility_index(), "AAPL") == [
        *("LOW", "NORMAL", "NORMAL", "ELEVATED", "ELEVATED", "EXTREME")
    ]


def days_of(*moves: float) -> list[float]:
    """100 on the first day, then on the second day 100 plus each move."""
    return [100.0, *(100 + move for move in moves)]


TIMES = [OPENING_S, *(OPENING_S + DAY_S + n for n in range(4))]


def test_breadth_counts_from_the_close_before():
    file = stream(TIMES, A=days_of(1, 1, -1, 0), B=days_of(1, -1, -1, 0), C=days_of(1, 1, 0, 0), X=[50.0] * 5)
    value = engine.features(file, {"breadth": regimes.breadth(("A", "B", "C"))}, calendar="us_equities")["breadth"]
    assert np.isnan(value[3])
    assert value[7::4].tolist() == pytest.approx([1, 1 / 3, -2 / 3, 0])


def test_momentum():
    file = stream(
        TIMES,
        SPY=days_of(1, 1, -1, 1),
        QQQ=days_of(2, 1, -2, 2),
        TLT=days_of(0, 0, 1, 2),
        GLD=days_of(0, 0, 1, 2),
        XLU=days_of(0, 0, 1, 1),
        X=[50.0] * 5,
    )
    wanted = ["", "RISK_ON", "NORMAL", "RISK_OFF", "RISK_ON"]  # on the last, XLU does not beat the market
    assert classes(file, regimes.momentum(), "X", calendar="us_equities") == wanted


def test_sector_rotation_names_the_strongest_and_of_equals_the_first():
    file = stream(TIMES, XLK=days_of(2, 1, -2, 0), XLE=days_of(1, 3, -1, 0), X=[50.0] * 5)
    wanted = ["", "XLK", "XLE", "XLE", "XLK"]
    assert classes(file, regimes.sector_rotation(("XLK", "XLE")), "X", calendar="us_equities") == wanted


def test_market_trend_and_the_gate():
    count = 60
    rising = [100 + 0.5 * n for n in range(count)]
    still = [100 + (n % 2) for n in range(count)]
    times = [OPENING_S + n for n in range(count)]
    b = bars(seconds(1))
    for prices, wanted in ((rising, "STRONG_BULL"), (rising[::-1], "STRONG_BEAR"), (still, "CHOPPY")):
        file = stream(times, SPY=prices, VIX=[20.0] * (count - 2) + [30.0, 30.01], X=[50.0] * count)
        trend, volatility = regimes.market_trend("SPY", b, 5, 10), regimes.volatility_index()
        found = classes(file, trend, "X")
        assert found[-1] == wanted
        assert found[0] == ""
        gate = engine.features(file, {"may": regimes.may_enter(trend, volatility)})["may"][2::3]
        assert gate[-2:].tolist() == [wanted != "CHOPPY", False], "extreme volatility shuts it on the last trade"


def test_a_symbol_may_be_a_parameter():
    class Gated(Strategy):
        """Quiet markets only."""

        index = Param(symbol("VIX"), "volatility index")
        quiet = regimes.volatility_index(index) == "LOW"
        long = quiet & (price > 0)

    file = stream([OPENING_S, OPENING_S + 1], VIX=[12.0, 12.0], FEAR=[40.0, 40.0], X=[50.0, 50.0])
    assert {trade.instrument.symbol for trade in engine.backtest(file, Gated).trades} >= {"X"}
    assert not engine.backtest(file, Gated, index="FEAR").trades
    with pytest.raises(UserError, match="there is no instrument 'NONE' in this stream"):
        engine.backtest(file, Gated, index="NONE")


# ---------------------------------------------------------------- the day


def test_the_hours_of_a_whole_day_and_of_a_half_day():
    def shown(opening_s: int, hours: int) -> list[str]:
        times = opening_s + 1800 * np.arange(2 * hours + 1)[:-1]
        ticks = {"ts_ns": times * 10**9, "price_ticks": np.full(len(times), 1), "size_lots": np.full(len(times), 1)}
        regime = regimes.time_of_day_regime()
        columns = engine.features(ticks, {n: regime == n for n in regime.names}, calendar="us_equities")
        return ["".join(n[0] for n in regime.names if columns[n][row]) for row in range(len(times))]

    # Half hours from 09:30: open drive, regular, midday from 12:00 to 14:00, power hour from 15:00.
    assert shown(OPENING_S, 6) == list("ORRRRMMMMRRP")
    assert shown(1_688_391_000, 3) == list("ORRRRP"), "3 July 2023 closes at 13:00"
    assert shown(1_710_768_600, 3) == list("ORRRRM"), "after the change to daylight time, 09:30 is 13:30 UTC"
