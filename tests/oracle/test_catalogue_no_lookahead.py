"""The reference looks at nothing that is still to come: cut the data anywhere, and what was known stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from tests.oracle import catalogue as cat
from tests.oracle import catalogue_bars as bars
from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_structure as struct
from tests.oracle import catalogue_windows as win
from tests.oracle.catalogue import Market, Record, Session
from tests.oracle.catalogue_bars import Bar
from tests.oracle.catalogue_notation import S, bar

CUTS = (1, 2, 7, 30, 61, 99)


def random_bars(seed: int, length: int) -> list[Bar]:
    """A narrow walk, so that highs and lows repeat and gaps, swings and equal levels are common."""
    rng, built, last = Random(seed), [], 100
    for _ in range(length):
        path = [last + rng.choice([-1, 0, 0, 1, 3])]
        path += [path[0] + rng.randint(-3, 3) for _ in range(4)]
        last = path[-1]
        built.append(bar(path[0], max(path), min(path), last, rng.randint(1, 9)))
    return built


def parts(value: Any) -> list[list[Any]]:
    """The columns of a result: itself, or those of its fields, zones within zones included."""
    if isinstance(value, list):
        return [value]
    return [column for name in value.__slots__ for column in parts(getattr(value, name))]


OF_BARS: dict[str, Callable[[Sequence[Bar]], Any]] = {
    "rsi": lambda b: ind.rsi(ind.column(b, "close"), 5),
    "macd": lambda b: ind.macd(ind.column(b, "close"), 3, 6, 4),
    "adx": lambda b: ind.adx(b, 4),
    "bollinger": lambda b: ind.bollinger(ind.column(b, "close"), 5),
    "keltner": lambda b: ind.keltner(b, 5, 2, 3),
    "stochastic": lambda b: ind.stochastic(b, 5, 3, 2),
    "obv": ind.obv,
    "mfi": lambda b: ind.mfi(b, 4),
    "swings": struct.swings,
    "fair_value_gaps": struct.fair_value_gaps,
    "order_blocks": struct.order_blocks,
    "liquidity_zones": struct.liquidity_zones,
    "morning_star": struct.morning_star,
}


@pytest.mark.parametrize("name", OF_BARS)
@pytest.mark.parametrize("seed", [1, 2])
def test_of_bars(name: str, seed: int) -> None:
    built = random_bars(seed, 120)
    whole = parts(OF_BARS[name](built))
    assert any(len({value for value in column if value is not None}) > 1 for column in whole)
    for cut in CUTS:
        assert parts(OF_BARS[name](built[:cut])) == [column[:cut] for column in whole]


BUILDERS: dict[str, Callable[[Market], list[Bar]]] = {
    "time": lambda m: bars.time_bars(m, 5 * S),
    "ticks": lambda m: bars.tick_bars(m, 7),
    "volume": lambda m: bars.volume_bars(m, Fraction(20)),
    "dollars": lambda m: bars.dollar_bars(m, Fraction(2000)),
    "day": bars.day_bars,
}


def random_trades(seed: int) -> list[Record]:
    rng = Random(seed)
    now, records = 0, []
    for _ in range(120):
        now += rng.choice([0, 0, 100, 700, 1500]) * 1_000_000
        records.append(Record(now, 100 + rng.randint(-5, 5), rng.randint(1, 9), 99, 101))
    return records


@pytest.mark.parametrize("name", BUILDERS)
def test_of_trades(name: str) -> None:
    """Bars by their visible closes and by the one in progress, and the windows whose ends are not the present."""
    records = random_trades(3)
    sessions = (Session(5 * S, 30 * S, 0), Session(35 * S, 45 * S, 1))

    def columns(cut: int) -> list[list[Any]]:
        m = cat.market(records[:cut], sessions=sessions)
        built = BUILDERS[name](m)
        now = bars.developing(m, built)
        closed = bars.closed(built)
        return [
            bars.lift(m, closed, ind.column(closed, "close")),
            bars.lift(m, closed, ind.column(closed, "volume")),
            [None if b is None else (b.open, b.high, b.low, b.close, b.volume) for b in now],
            win.over(m, cat.opening_window(5 * S), win.highest),
            win.over(m, cat.since_high, win.vwap),
            win.flat_candles(m, S),
            win.trade_side(m),
        ]

    whole = columns(len(records))
    assert all(len(set(column) - {None}) > 1 for column in whole)
    for cut in CUTS:
        assert columns(cut) == [column[:cut] for column in whole]
