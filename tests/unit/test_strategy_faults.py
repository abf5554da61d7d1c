"""A strategy whose own code fails costs one sentence; its open position is watched, and closed at the end."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest

import engine
from engine import Side, Signal, Strategy
from engine.backtesting import load_ticks, make_kernel, make_settings
from engine.errors import ConfigError
from engine.events import Command, CommandName
from engine.journal.writer import MemoryJournal
from engine.lineup import Entrant
from engine.model import Instrument
from engine.rules import Stop, pct, price
from engine.sizing import Units

SECOND_NS = 1_000_000_000


def ticks(prices):
    return {
        "ts_ns": np.arange(1, len(prices) + 1, dtype=np.int64) * SECOND_NS,
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.ones(len(prices), np.int64),
    }


def answering(answer, **more):
    """A strategy that answers every signal with ``answer``."""

    def on_fire(_self, context, side):
        return answer(context, side)

    return type("Mine", (Strategy,), {"long": price > 0, "on_fire": on_fire, **more})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda *_: 1 / 0, "raised ZeroDivisionError"),
        (lambda *_: sys.exit(0), "raised SystemExit: 0"),
        (lambda *_: "buy", "returned 'buy'"),
        (lambda *_: Signal(5, 100), "a signal of side 5"),
        (lambda *_: Signal(Side.LONG, 99.5), "an entry of 99.5; these are whole ticks"),
        (lambda *_: Signal(Side.LONG, 100, stop_ticks=99.5), "a stop of 99.5; these are whole ticks"),
        (lambda *_: Signal(Side.LONG, 100, target_ticks=float("nan")), "a target of nan"),
        (
            lambda *_: Signal(Side.LONG, 100, stop_ticks=100),
            "long from 100 ticks with its stop at 100; .* lies below it",
        ),
        (lambda *_: Signal(Side.LONG, 100, target_ticks=99), "its target at 99; the target of a long entry lies above"),
        (lambda *_: Signal(Side.SHORT, 100, stop_ticks=100), "its stop at 100; the stop of a short entry lies above"),
        (lambda *_: Signal(Side.SHORT, 100, target_ticks=100), "the target of a short entry lies below it"),
        (lambda *_: Signal(Side.LONG, 100, confidence=1.01), "a confidence of 1.01; from 0 to 1"),
        (lambda *_: Signal(Side.LONG, 100, confidence=-0.01), "a confidence of -0.01"),
        (lambda *_: Signal(Side.LONG, 100, confidence=float("nan")), "a confidence of nan"),
        (lambda *_: Signal(Side.LONG, 100, confidence=True), "a confidence of True"),
        (lambda *_: Signal(Side.LONG, 100, metadata=[1]), r"metadata \[1\]; a dict of numbers by name"),
        (lambda *_: Signal(Side.LONG, 100, metadata={"p_up": "high"}), "metadata 'p_up': 'high'"),
        (lambda *_: Signal(Side.LONG, 100, metadata={"p_up": float("inf")}), "metadata 'p_up': inf"),
    ],
)
def test_one_sentence_names_the_place(answer, sentence):
    with pytest.raises(ConfigError, match=sentence) as raised:
        engine.backtest(ticks([100, 101]), answering(answer))
    assert "\n" not in raised.value.line()
    assert raised.value.where


def test_the_position_is_still_watched_and_can_be_flattened():
    asked = []

    class Faulty(Strategy):
        exits = Stop(pct(50))

        def on_tick(self, tick):
            asked.append(tick.price_ticks)
            if tick.price_ticks == 102:
                raise RuntimeError("no idea")
            return Signal(Side.LONG, tick.price_ticks) if tick.price_ticks == 100 else None

    file = load_ticks(ticks([100, 101, 102, 103, 104]))
    kernel = make_kernel(file.instruments, Faulty(), make_settings(file.block), MemoryJournal())
    with pytest.raises(ConfigError, match="no idea"):
        kernel.process(file.block)
    assert asked == [100, 101, 102]
    kernel.process(Command(CommandName.FLATTEN, 6 * SECOND_NS))
    (trade,) = kernel.trades
    assert (trade.entry_ticks, trade.exit_ticks, trade.reason) == (100, 104, "MANUAL")


def test_a_context_does_not_outlive_its_moment():
    kept = []

    def keep(context, side):
        kept.append((context, context.features()))
        return Signal(side, context.price_ticks)

    engine.backtest(ticks([100, 101]), answering(keep))
    context, features = kept[0]
    assert features == {"price": 1.0}
    assert context.price_ticks == 100
    with pytest.raises(ConfigError, match="its own moment"):
        context.features()


def test_an_excluded_side_is_not_entered_by_a_contrarian():
    contrarian = answering(lambda context, side: Signal(Side.SHORT, context.price_ticks))
    assert [trade.side for trade in engine.backtest(ticks([100, 101]), contrarian).trades] == ["short"]
    assert engine.backtest(ticks([100, 101]), contrarian, direction="long").trades == []


def test_an_end_that_costs_too_much_is_still_an_end():
    trades = engine.backtest(ticks([100, 100]), answering(lambda c, s: Signal(s, 100)), fee=400).trades
    assert [trade.reason for trade in trades] == ["END"]


def test_an_order_without_a_quote_is_refused_once_and_counted():
    columns = ticks([100] * 8) | {"bid_ticks": np.array([0] * 7 + [99]), "ask_ticks": np.array([0] * 7 + [101])}
    for latency in (0, "1ms"):
        result = engine.backtest(columns, type("Mine", (Strategy,), {"long": price > 0}), latency_order=latency)
        assert [note.reason for note in result.refusals] == ["NO_QUOTE"]


def test_a_stated_size_that_cannot_be_accounted_for_is_refused_and_one_worked_out_is_cut():
    always = type("Mine", (Strategy,), {"long": price > 0})
    declared = type("Sized", (Strategy,), {"long": price > 0, "size": Units(1 << 40)})
    with pytest.raises(ConfigError, match=r"sizing.size: a position of 1099511627776 ticks .*; at most 1099511627775"):
        engine.backtest(ticks([100]), always, size="1099511627776 units")
    with pytest.raises(ConfigError, match=r"sizing.size: a position of 2000000000000 ticks is too large"):
        engine.backtest(ticks([100]), [Entrant(always(), Fraction(2))], size="1000000000000")
    with pytest.raises(ConfigError, match="size of Sized: a position of 1099511627776 ticks is too large"):
        engine.backtest(ticks([100]), declared)
    for size in ("1099511627775 units", "999999999999999999 dollars"):
        (trade,) = engine.backtest(ticks([100]), always, size=size, risk_profile="off").trades
        assert trade.qty == (1 << 40) - 1


def test_accounts_that_128_bits_cannot_hold_are_refused():
    always = type("Mine", (Strategy,), {"long": price > 0})
    settings = make_settings(load_ticks(ticks([100])).block)
    with pytest.raises(ConfigError, match="cannot be accounted for"):
        make_kernel([Instrument("A", 0, 0), Instrument("B", 12, 12)], always(), settings, MemoryJournal())
    with pytest.raises(ConfigError, match="daily_loss_limit is negative"):
        engine.backtest(ticks([100]), always, daily_loss_limit="-5%")


def test_a_pushed_trade_tells_the_fault_at_once():
    kernel = make_kernel(
        [Instrument("A")], answering(lambda *_: 1 / 0)(), make_settings(load_ticks(ticks([100])).block), MemoryJournal()
    )
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        kernel.push(0, SECOND_NS, 100, 1)
    kernel.push(0, 2 * SECOND_NS, 101, 1)
    assert kernel.trades == []
