"""A shortest hold: before a position is so old only its stops and the end of the day close it."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.language.exits import EndOfDay, Flat, NotBefore, Opposite, Stop, Target, TimeStop, Trailing, When
from engine.rules import RuleError, hours, minutes, pct, price, seconds
from engine.strategy import Strategy
from tests.unit.test_overnight import Holder, held


def exits(prices, *declared, calendar="always"):
    """Reason, second and price of each exit of one that is long from the first trade on; one a second."""
    columns = {
        "ts_ns": np.arange(1, len(prices) + 1, dtype=np.int64) * 1_000_000_000,
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.ones(len(prices), np.int64),
    }
    strategy = type("Mine", (Strategy,), {"long": price > 0, "exits": declared})
    trades = engine.backtest(columns, strategy, calendar=calendar).trades
    return [(trade.reason.value, trade.exit_ts_ns // 1_000_000_000 - 1, trade.exit_ticks) for trade in trades]


@pytest.mark.parametrize(
    ("declared", "prices", "expected"),
    [
        ((Target(pct(5)),), [100, 105, 105, 105, 105], ("TP", 1, 105)),
        ((Target(pct(5)), NotBefore(seconds(3))), [100, 105, 105, 105, 106], ("TP", 3, 105)),
        ((Target(pct(5)), NotBefore(seconds(3))), [100, 105, 105, 104, 106], ("TP", 4, 106)),
        ((Target(pct(5)), NotBefore(seconds(0))), [100, 105, 105, 105, 105], ("TP", 1, 105)),
        ((Stop(pct(5)), NotBefore(seconds(3))), [100, 95, 101, 101, 101], ("SL", 1, 95)),
        ((Trailing(pct(5)), NotBefore(seconds(3))), [100, 120, 110, 101, 101], ("TRAIL", 2, 110)),
        ((Stop(pct(5)), Trailing(pct(8)), NotBefore(seconds(2))), [100, 120, 119, 118, 110], ("TRAIL", 4, 110)),
        ((Target(pct(5)), TimeStop(seconds(3)), NotBefore(seconds(3))), [100, 105, 105, 105, 106], ("TIME", 3, 105)),
        ((Target(pct(9)), TimeStop(seconds(3)), NotBefore(seconds(2))), [100, 105, 105, 105, 106], ("TIME", 3, 105)),
        ((Flat(2),), [100, 101, 101, 101, 101, 101, 101, 101], ("FLAT", 2, 101)),
        ((Flat(2), NotBefore(seconds(3))), [100, 101, 101, 101, 101, 101, 101, 101], ("FLAT", 6, 101)),
        (
            (Target(pct(5), pct(50)), Target(pct(9), pct(50)), NotBefore(seconds(2))),
            [100, 110, 110, 101, 101],
            ("TP", 2, 110),
        ),
    ],
)
def test_what_closes_before_and_after(declared, prices, expected):
    assert exits(prices, *declared)[0] == expected


def test_it_ends_while_the_market_is_closed():
    class Long(Holder):
        exits = (Stop(pct(2)), Target(pct(4)), NotBefore(hours(20)))

    rig = held(Long())
    rig.trade("2024-11-27 15:30", 105)
    assert rig.ended == []
    rig.trade("2024-11-29 09:31", 105)
    assert rig.ended == [("TP", "11-29 09:31", 105)]


def test_it_goes_on_over_the_night():
    class Long(Holder):
        exits = (Stop(pct(2)), Target(pct(4)), NotBefore(hours(43)), TimeStop(hours(120)))

    rig = held(Long())  # on Wednesday at 15:00, so until Friday at 10:00
    for when in ("09:31", "09:59"):
        rig.trade(f"2024-11-29 {when}", 105)
    assert rig.ended == []
    rig.trade("2024-11-29 10:01", 105)
    assert rig.ended == [("TP", "11-29 10:01", 105)]


def test_the_end_of_the_day_comes_first():
    class Short(Holder):
        exits = (Target(pct(4)), EndOfDay(minutes(15)), NotBefore(hours(20)))

    rig = held(Short())
    rig.trade("2024-11-27 15:50", 105)
    assert rig.ended == [("EOD", "11-27 15:45", 100)]


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ((NotBefore(seconds(9)), TimeStop(seconds(8))), r"NotBefore\(9s\) is longer than TimeStop\(8s\)"),
        ((NotBefore(seconds(9)), Opposite()), "not Opposite"),
        ((NotBefore(seconds(9)), When(price > 1)), "not When"),
        ((NotBefore(seconds(9)), Target(pct(1), resting=True)), "not a target that rests"),
    ],
)
def test_what_it_cannot_hold_back_is_refused(declared, sentence):
    with pytest.raises(RuleError, match=sentence):
        exits([100], *declared)
