"""The trade that closes a position may not open one, whoever asks: another strategy, or the slow path."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import engine
from engine import Side, Signal, Strategy
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate, RiskLimits
from engine.backtesting import load_ticks, make_settings
from engine.brokers.paper import PaperBroker
from engine.events import SignalRefused
from engine.journal.writer import MemoryJournal
from engine.rules import Stop, pct, price
from engine.sessions.trading_calendar import calendar
from engine.trading.kernel import Kernel
from engine.trading.lanes import Assignment

SECOND_NS = 1_000_000_000


def ticks(prices, step_ns):
    return {
        "ts_ns": np.arange(1, len(prices) + 1, dtype=np.int64) * step_ns,
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.ones(len(prices), np.int64),
    }


class Eager(Strategy):
    """Asks to enter on every trade."""

    exits = Stop(pct(1))

    def on_tick(self, tick):
        return Signal(Side.LONG, tick.price_ticks)


class High(Strategy):
    """Long from 1.00 on, stopped at 1 %."""

    long = price >= 1
    exits = Stop(pct(1))


class Low(Strategy):
    """Long below 1.00."""

    long = price < 1


@pytest.mark.parametrize("step_ns", [SECOND_NS, 0])
def test_the_slow_path_waits_for_the_next_trade(step_ns):
    result = engine.backtest(ticks([100, 99, 98, 98], step_ns), Eager)
    assert [(trade.entry_ticks, trade.exit_ticks, trade.reason) for trade in result.trades] == [
        (100, 99, "SL"),
        (98, 98, "END"),
    ]


@pytest.mark.parametrize("step_ns", [SECOND_NS, 0])
def test_another_strategy_is_refused_on_it(step_ns):
    file = load_ticks(ticks([100, 99, 99, 100, 99], step_ns))
    settings = make_settings(file.block)
    portfolio, journal = Portfolio(file.instruments, settings.starting_cash), MemoryJournal()
    kernel = Kernel(
        file.instruments,
        [Assignment(High(), [0], Fraction(1)), Assignment(Low(), [0], Fraction(1))],
        calendar=calendar("always"),
        portfolio=portfolio,
        risk=RiskGate(RiskLimits(), portfolio),
        broker=PaperBroker(settings.venue, portfolio),
        journal=journal,
    )
    kernel.process(file.block)
    refused = [(d.lane, d.price_ticks, d.reason) for d in journal.decisions if isinstance(d, SignalRefused)]
    assert refused == [(1, 99, "POSITION_OPEN"), (1, 99, "POSITION_OPEN")]
    assert [(trade.entry_ticks, trade.exit_ticks) for trade in kernel.trades] == [(100, 99), (100, 99)]
