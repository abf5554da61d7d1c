"""What tests of bars as input share: strategies, made-up bars, real sessions, results in the words of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from engine.model import TickBlock
from engine.rules import Param, Stop, Target, TimeStop, bars, change, minutes, pct, price
from engine.strategy import Strategy
from tests.oracle.bars_input import DAY_NS, Bar, Plan, Session, Trade

SECOND = 10**9
MINUTE = 60 * SECOND
START = 19_000 * DAY_NS + 23 * 3600 * SECOND + 50 * MINUTE  # ten minutes before midnight
PRECISION = 2


# --- strategies -------------------------------------------------------------------------------------------------------


class Mover(Strategy):
    """Goes with a net move of closes."""

    window = Param(minutes(5), "window of the move", low="1ns")
    threshold = Param(pct("0.1"), "least net move", low=0)
    stop = Param(pct("0.5"), "loss that closes", low=0)
    target = Param(pct("0.5"), "gain that closes", low=0)
    hold = Param(minutes(10), "longest holding time; 0 switches it off", low=0)

    move = change(window)
    long = move >= threshold
    short = move <= -threshold
    warm_up = window
    exits = (Stop(stop), Target(target), TimeStop(hold))


class Breakout(Strategy):
    """Goes with a close beyond the last longer bar."""

    period = Param(minutes(5), "length of the longer bars", low="1ns")
    stop = Param(pct("0.5"), "loss that closes", low=0)
    target = Param(pct("0.5"), "gain that closes", low=0)
    hold = Param(minutes(10), "longest holding time; 0 switches it off", low=0)

    longer = bars(period)
    long = price > longer.high
    short = price < longer.low
    exits = (Stop(stop), Target(target), TimeStop(hold))


# --- to the engine's form and back ------------------------------------------------------------------------------------


def block_of(bars: Sequence[Bar]) -> TickBlock:
    def column(name: str) -> Any:
        return np.array([getattr(bar, name) for bar in bars], np.int64)

    several = any(bar.instrument for bar in bars)
    return TickBlock(
        column("end"),
        column("close"),
        column("volume"),
        instrument=np.array([bar.instrument for bar in bars], np.uint16) if several else None,
        open_ticks=column("open"),
        high_ticks=column("high"),
        low_ticks=column("low"),
        start_ns=column("start"),
    )


def bars_of(block: TickBlock) -> list[Bar]:
    names = ("start_ns", "ts_ns", "open_ticks", "high_ticks", "low_ticks", "price_ticks", "size_lots")
    columns = [getattr(block, name).tolist() for name in names]
    return [Bar(0, *row) for row in zip(*columns, strict=True)]


def trades_of(result: Any, precision: int) -> list[Trade]:
    index = {"ticks1": 1}  # columns without names get the names ticks, or ticks0 and ticks1
    return [
        Trade(
            index.get(trade.symbol, 0),
            1 if trade.side == "long" else -1,
            trade.entry_ts_ns,
            trade.exit_ts_ns,
            whole(trade.entry_price, precision),
            whole(trade.exit_price, precision),
            str(trade.reason),
        )
        for trade in result.trades
    ]


def whole(price: Decimal, precision: int) -> int:
    ticks = price.scaleb(precision)
    assert ticks == int(ticks)
    return int(ticks)


# --- real sessions ----------------------------------------------------------------------------------------------------


def new_york_sessions(first: date, last: date) -> list[Session]:
    """The regular hours of the weekdays from ``first`` to ``last``, by the time zone database. No holidays."""
    zone, found = ZoneInfo("America/New_York"), []
    day = first
    while day <= last:
        if day.weekday() < 5:
            opens, closes = (
                datetime(day.year, day.month, day.day, *at, tzinfo=zone).timestamp() for at in ((9, 30), (16, 0))
            )
            found.append(Session(int(opens) * SECOND, int(closes) * SECOND))
        day += timedelta(days=1)
    return found


OCTOBER = new_york_sessions(date(2008, 10, 1), date(2008, 10, 31))


# --- made-up bars -----------------------------------------------------------------------------------------------------

Step = tuple[int, int, tuple[int, int, int, int], int]  # instrument, bars left out before, wiggles, volume


def stream_from(steps: Sequence[Step], second_minutes: int = 1) -> list[Bar]:
    """Bars of one or two instruments that walk around 1000 ticks, with gaps in time and in price.

    The first instrument's last a minute, the second one's ``second_minutes``.
    """
    at, price = {0: START, 1: START}, {0: 1000, 1: 1000}
    bars = []
    for one, missing, (gap, up, down, body), volume in steps:
        start, length = at[one] + missing * MINUTE, (second_minutes if one else 1) * MINUTE
        opened = min(max(price[one] + gap, 900), 1100)
        high, low = opened + up, opened - down
        close = min(max(opened + body, low), high)
        bars.append(Bar(one, start, start + length, opened, high, low, close, volume))
        at[one], price[one] = start + length, close
    return sorted(bars, key=lambda bar: bar.end)


def random_bars(rng: Random, length: int, second_minutes: int = 1) -> list[Bar]:
    steps: list[Step] = []
    several = rng.random() < 0.5
    for _ in range(length):
        missing = rng.choice([0, 0, 0, 0, 1, 3]) if rng.random() < 0.97 else rng.choice([30, 1430])
        gap = rng.choice([0, 0, 1, -1, 6, -6, 12, -12])
        steps.append((
            rng.randint(0, 1) if several else 0,
            missing,
            (gap, rng.choice([0, 1, 4, 9]), rng.choice([0, 1, 4, 9]), rng.choice([-9, -3, 0, 3, 9])),
            rng.randint(1, 50),
        ))  # fmt: skip
    return stream_from(steps, second_minutes)


def random_plan(rng: Random) -> Plan:
    return Plan(**{name: rng.choice(values) for name, values in CHOICES.items()})


CHOICES: dict[str, list[Any]] = {
    "stop": [Fraction("0.003"), Fraction("0.005"), Fraction("0.0051"), Fraction("0.02")],
    "target": [Fraction("0.003"), Fraction("0.005"), Fraction("0.02")],
    "time_stop_ns": [0, MINUTE, 2 * MINUTE, 90 * SECOND, 30 * SECOND, 7 * MINUTE],
    "lots": [1, 3],
    "cash": [Fraction(10_000), Fraction(600), Fraction(1_500)],
    "loss_limit": [Fraction(1, 20), Fraction(1, 50)],
}
WINDOWS = [MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE]
THRESHOLDS = [Fraction("0.001"), Fraction("0.005"), Fraction(0)]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([0, 0, 0, 1, 2, 1430]),
        st.tuples(
            st.sampled_from([0, 1, -1, 6, -6, 12, -12]),
            st.sampled_from([0, 1, 4, 9]),
            st.sampled_from([0, 1, 4, 9]),
            st.sampled_from([0, 3, -3, 9, -9]),
        ),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=60,
)
