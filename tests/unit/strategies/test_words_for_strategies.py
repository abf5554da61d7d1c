"""What the rule language has because strategies needed it: beginnings, switches, symbols, counts, names of calls."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.errors import UserError
from engine.indicators import bollinger, count_of, rsi
from engine.rules import (
    Param,
    Stop,
    at,
    bars,
    begins,
    crosses_above,
    minutes,
    of,
    pct,
    previous,
    price,
    seconds,
    symbol,
    time_of_day,
)
from engine.strategy import Strategy
from engine.structure import swings

OPENING_S = 1_704_205_800  # 09:30 in New York on 2024-01-02


def ticks(prices: list[float], **more) -> dict:
    count = len(prices)
    return {
        "ts_ns": (OPENING_S * 10 + 5 * np.arange(count)) * 10**8,
        "price_ticks": np.round(100 * np.array(prices)).astype(np.int64),
        "size_lots": np.ones(count, np.int64),
        **more,
    }


def test_what_begins_on_bars_is_entered_once():
    """The second bar closes up, which three trades see: on the first it is entered, on the second stopped out."""

    class Held(Strategy):
        """Enters whenever the last bar closed higher than the one before."""

        b = bars(seconds(1))
        long = b.close > previous(b.close)
        exits = Stop(pct("0.5"))

    class Once(Held):
        """Enters when such a bar closes."""

        long = begins(Held.b.close > previous(Held.b.close))

    file = ticks([100, 100, 100, 100, 101, 101, 101, 101, 100, 100], ts_ns=(OPENING_S * 10 + 3 * np.arange(10)) * 10**8)
    held, once = engine.backtest(file, Held).trades, engine.backtest(file, Once).trades
    assert [trade.entry_ticks for trade in held][:1] == [trade.entry_ticks for trade in once]
    assert len(held) > len(once) == 1


def test_begins_is_true_on_one_trade_and_again_after_a_break():
    column = engine.features(ticks([1, 3, 3, 1, 3, 3]), {"begins": begins(price > 2)})["begins"]
    assert column.tolist() == [False, True, False, False, True, False]


class Switched(Strategy):
    """Any price, or only those above 100."""

    only_high = Param(0, "1: only above 100", low=0, high=1)
    long = ((only_high == 0) | (price > 100)) & (price > 1)


def test_a_parameter_switches_a_part_of_the_rule():
    assert engine.backtest(ticks([50, 50]), Switched).trades
    assert not engine.backtest(ticks([50, 50]), Switched, only_high=1).trades
    assert engine.backtest(ticks([101, 101]), Switched, only_high=1).trades


@pytest.mark.parametrize("wrong", [lambda p: p > 1, lambda p: p == p, lambda p: p + 1 == 2])
def test_other_comparisons_of_constants_are_still_mistakes(wrong):
    class Mistaken(Strategy):
        p = Param(1, "a number", low=0)
        long = (price > 1) & wrong(p)

    with pytest.raises(UserError, match="compares two constants and never changes"):
        engine.backtest(ticks([50, 50]), Mistaken)


def test_a_time_of_day_is_read_and_shown_as_one():
    class Morning(Strategy):
        until = Param(at("12:00"), "time of day")
        long = time_of_day < until

    assert str(Morning.declared["until"].default) == "12:00"
    assert str(Morning.declared["until"].parse("09:30:15")) == "09:30:15"
    assert engine.backtest(ticks([50, 50]), Morning, calendar="us_equities").trades
    assert not engine.backtest(ticks([50, 50]), Morning, calendar="us_equities", until="9:30").trades
    with pytest.raises(UserError, match="until: '9h' is not a time of day; write it as 10:30"):
        Morning(until="9h")
    with pytest.raises(UserError, match="write it like 10:30"):
        Morning(until=minutes(3))


def test_of_the_instrument_itself_is_the_present_value():
    both = {"instrument": np.array([0, 1, 0, 1, 0, 1])}
    asked = {"other": of("X0", price), "above": of("X0", price > 4)}
    columns = engine.features(ticks([1, 2, 3, 4, 5, 6], **both), asked, symbol="X")
    assert columns["other"].tolist() == [1, 1, 3, 3, 5, 5]
    assert columns["above"].tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize("name", ["", "  ", 3, None])
def test_what_is_no_symbol(name):
    with pytest.raises(UserError, match="is no symbol"):
        symbol(name)


def test_count_of_counts_what_holds():
    found = engine.features(ticks([1, 3, 5]), {"n": count_of(price > 0, price > 2, price > 4, previous(price) > 0)})
    assert found["n"].tolist() == [1, 3, 4]


def test_compositions_are_shown_as_the_calls_that_made_them():
    b = bars(minutes(5))

    class Named(Strategy):
        length = Param(14, "bars", low=1)
        strength = rsi(b.close, length)
        calm = strength < 70
        long = calm & crosses_above(b.close, bollinger(b.close, k=3).upper) & (swings(b).high > price)

    assert str(Named.long) == (
        "calm & crosses_above(bars(5m).close, bollinger(bars(5m).close, k=3).upper) & (swings(bars(5m)).high > price)"
    )
    assert str(Named.calm) == "strength < 70"
    assert str(rsi(b.close, Named.length)) == "rsi(bars(5m).close, length)"


def test_no_strategy_renames_a_word_of_the_language():
    class Renaming(Strategy):
        last = price
        long = last > 1

    assert str(Renaming.long) == "price > 1"
