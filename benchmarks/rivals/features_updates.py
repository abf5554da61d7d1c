"""The cost of one more closed bar: EMA, RSI, ATR, Bollinger bands and MACD by us, TA-Lib's streams, river and talipp.

The others get closed bars, ready made, and are called once a bar from Python, reading the new value each time; the
price of a loop that only appends is taken off. river has no indicators but the parts (exponential and rolling means),
from which those of its five are put together here as its users do. TA-Lib's streams open on a thousand bars of
history.

Ours comes in three lines, since our unit is the tick: *in the core* is what the indicator adds, per bar, to a graph
that makes a bar of every single trade; *everything* is ``engine.features`` from columns of ticks to a column of values:
reading, making bars of ten trades, the indicator, and a row for every trade, per bar closed; *called from Python* is
one ``Kernel.push`` a trade on bars of a single trade, so that every call closes one, and one ``Core.value`` to read it.

Values are compared bar by bar once the memory of everybody's first value has faded: the seeds differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from benchmarks.rivals import features_ours as ours
from benchmarks.rivals.common import Ticks
from benchmarks.rivals.features_common import (
    PRICE_UNIT,
    Contestant,
    Difference,
    Float64s,
    Outcome,
    absent,
    columns_of,
    difference,
    distinct_ticks,
    in_turn,
)
from engine.model import TickBlock

TRADES_PER_BAR = 10
PUSHED_TRADES = 300_000
HISTORY_BARS = 1_000
"""Bars a TA-Lib stream opens on, and before which nobody's values are compared: (13/14)**1000 is 10**-32."""

EMA_LENGTH, RSI_LENGTH, ATR_LENGTH = 20, 14, 14
BAND_LENGTH, BAND_WIDTH = 20, 2
MACD_LENGTHS = (12, 26, 9)
OWN_CONTESTANTS = ("microburst, in the core", "microburst, everything", "microburst, called from Python")
INDICATORS = ("EMA", "RSI", "ATR", "Bollinger", "MACD")
TOLERANCE = 1e-8
"""Of the largest value: rolling variances in doubles lose their last digits as they slide along 200,000 bars."""


class Bars(NamedTuple):
    """Closed bars as columns of doubles, and as the lists that a loop in Python reads fastest."""

    open: Float64s
    high: Float64s
    low: Float64s
    close: Float64s

    def rows(self) -> list[tuple[float, ...]]:
        """Return (open, high, low, close) per bar."""
        return list(zip(*(column.tolist() for column in self), strict=True))


def bars_of(ticks: Ticks, trades: int = TRADES_PER_BAR) -> Bars:
    """Return the bars of so many trades each; a rest that fills none is left out."""
    count = len(ticks) // trades
    prices = ticks.price_ticks[: count * trades].reshape(count, trades) / PRICE_UNIT
    return Bars(prices[:, 0].copy(), prices.max(axis=1), prices.min(axis=1), prices[:, -1].copy())


# Every function below takes what its rival reads and returns the values of the last bars it was given, one a bar. Where
# an indicator has several lines the last one in its name's order is returned: the upper band, the histogram.

Values = list[float]


def only_loop(closes: Values) -> Values:
    """The loop itself, whose price is taken off all the others'."""
    values: Values = []
    for close in closes:
        values.append(close)
    return values


def talib_streams(bars: Bars) -> dict[str, Callable[[], Values]]:
    from talib import stream

    head = Bars(*(column[:HISTORY_BARS] for column in bars))
    closes = bars.close[HISTORY_BARS:].tolist()
    ranges = list(zip(*(column[HISTORY_BARS:].tolist() for column in bars[1:]), strict=True))
    fast, slow, signal = MACD_LENGTHS

    def single(update: Callable[[float], float]) -> Values:
        values: Values = []
        for close in closes:
            values.append(update(close))
        return values

    def triple(update: Callable[[float], tuple[float, float, float]], line: int) -> Values:
        values: Values = []
        for close in closes:
            values.append(update(close)[line])
        return values

    def atr() -> Values:
        update = stream.ATR(head.high, head.low, head.close, timeperiod=ATR_LENGTH).update
        values: Values = []
        for high, low, close in ranges:
            values.append(update(high, low, close))
        return values

    def bands() -> Values:
        made = stream.BBANDS(head.close, timeperiod=BAND_LENGTH, nbdevup=BAND_WIDTH, nbdevdn=BAND_WIDTH)
        return triple(made.update, 0)

    return {
        "EMA": lambda: single(stream.EMA(head.close, timeperiod=EMA_LENGTH).update),
        "RSI": lambda: single(stream.RSI(head.close, timeperiod=RSI_LENGTH).update),
        "ATR": atr,
        "Bollinger": bands,
        "MACD": lambda: triple(
            stream.MACD(head.close, fastperiod=fast, slowperiod=slow, signalperiod=signal).update, 2
        ),
    }


def talipp_indicators(bars: Bars) -> dict[str, Callable[[], Values]]:
    from talipp.indicators import ATR, BB, EMA, MACD, RSI
    from talipp.ohlcv import OHLCV

    closes = bars.close.tolist()
    made = [OHLCV(*row) for row in bars.rows()]

    def fed(indicator: Any, inputs: Iterable[Any], line: str = "") -> Values:
        values: Values = []
        add = indicator.add
        for each in inputs:
            add(each)
            value = indicator[-1]
            if value is not None and line:
                value = getattr(value, line)
            values.append(math.nan if value is None else value)
        return values

    return {
        "EMA": lambda: fed(EMA(EMA_LENGTH), closes),
        "RSI": lambda: fed(RSI(RSI_LENGTH), closes),
        "ATR": lambda: fed(ATR(ATR_LENGTH), made),
        "Bollinger": lambda: fed(BB(BAND_LENGTH, BAND_WIDTH), closes, "ub"),
        "MACD": lambda: fed(MACD(*MACD_LENGTHS), closes, "histogram"),
    }


def river_statistics(bars: Bars) -> dict[str, Callable[[], Values]]:
    from river import stats, utils

    closes = bars.close.tolist()
    moves = [0.0, *(after - before for before, after in pairwise(closes))]
    true_ranges = [
        max(high, before) - min(low, before)
        for high, low, before in zip(bars.high.tolist(), bars.low.tolist(), [closes[0], *closes[:-1]], strict=True)
    ]

    def average(length: int, inputs: Values, wilder: bool) -> Values:
        mean = stats.EWMean(1 / length if wilder else 2 / (length + 1))
        update, get = mean.update, mean.get
        values: Values = []
        for each in inputs:
            update(each)
            values.append(get())
        return values

    def rsi() -> Values:
        gains, losses = stats.EWMean(1 / RSI_LENGTH), stats.EWMean(1 / RSI_LENGTH)
        values: Values = []
        for move in moves:
            gains.update(move if move > 0 else 0.0)
            losses.update(-move if move < 0 else 0.0)
            gain, loss = gains.get(), losses.get()
            values.append(100.0 * gain / (gain + loss) if gain + loss else math.nan)
        return values

    def bands() -> Values:
        mean = utils.Rolling(stats.Mean, window_size=BAND_LENGTH)
        variance = utils.Rolling(stats.Var, window_size=BAND_LENGTH, ddof=0)
        values: Values = []
        for close in closes:
            mean.update(close)
            variance.update(close)
            values.append(mean.get() + BAND_WIDTH * math.sqrt(max(0.0, variance.get())))
        return values

    def macd() -> Values:
        fast, slow, signal = (stats.EWMean(2 / (length + 1)) for length in MACD_LENGTHS)
        values: Values = []
        for close in closes:
            fast.update(close)
            slow.update(close)
            line = fast.get() - slow.get()
            signal.update(line)
            values.append(line - signal.get())
        return values

    return {
        "EMA": lambda: average(EMA_LENGTH, closes, wilder=False),
        "RSI": rsi,
        "ATR": lambda: average(ATR_LENGTH, true_ranges, wilder=True),
        "Bollinger": bands,
        "MACD": macd,
    }


RIVALS = {
    "TA-Lib stream": ("talib", talib_streams),
    "river": ("river", river_statistics),
    "talipp": ("talipp", talipp_indicators),
}


@dataclass(slots=True)
class Update:
    """One line of the table: nanoseconds per bar closed, and how the values compare with ours."""

    indicator: str
    contestant: str
    skipped: str = ""
    best_ns: float = 0.0
    median_ns: float = 0.0
    apart: Difference | None = None
    agrees: bool = True


@dataclass(slots=True)
class Result:
    """All lines, and on how many bars."""

    bars: int
    updates: list[Update]


def compete(count: int, rounds: int, seed: int) -> Result:
    """Time everybody on the same bars and hold their values against ours."""
    ticks = distinct_ticks(count, seed)
    bars = bars_of(ticks)
    closes = bars.close.tolist()
    loop = Contestant("loop", partial(only_loop, closes))
    prepared = {name: ("", make(bars)) for name, (module, make) in RIVALS.items() if not absent(module)}
    prepared |= {name: (reason, {}) for name, (module, _) in RIVALS.items() if (reason := absent(module))}
    updates = []
    for indicator in INDICATORS:
        reference = ours.values(ticks, indicator, TRADES_PER_BAR)[TRADES_PER_BAR - 1 :: TRADES_PER_BAR][: len(closes)]
        updates += own_updates(ticks, indicator, rounds)
        contestants = [
            Contestant(name, runs.get(indicator, list), skipped) for name, (skipped, runs) in prepared.items()
        ]
        spent_on_loop, *outcomes = in_turn([loop, *contestants], rounds)
        for outcome in outcomes:
            updates.append(rival_update(indicator, outcome, spent_on_loop, reference))
    return Result(len(closes), updates)


def rival_update(indicator: str, outcome: Outcome, loop: Outcome, reference: Float64s) -> Update:
    """Return a rival's line: the loop's price per bar taken off, the values compared from ``HISTORY_BARS`` on."""
    update = Update(indicator, outcome.name, outcome.skipped)
    if not outcome.skipped:
        values = np.array(outcome.result, dtype=np.float64)
        count = len(reference) - HISTORY_BARS
        update.best_ns = (outcome.best / len(values) - loop.best / len(reference)) * 1e9
        update.median_ns = (outcome.median / len(values) - loop.median / len(reference)) * 1e9
        update.apart = difference(reference[-count:], values[-count:])
        update.agrees = update.apart.largest <= TOLERANCE * float(np.abs(reference[-count:]).max())
        update.agrees &= update.apart.rows == count
    return update


def own_updates(ticks: Ticks, indicator: str, rounds: int) -> list[Update]:
    """Return our three lines."""
    block = TickBlock(**columns_of(ticks))
    closed, pushed = len(ticks) // TRADES_PER_BAR, ours.rows_of(ticks.head(min(len(ticks), PUSHED_TRADES)))
    bare, with_indicator = (
        partial(ours.prepared, block, [ours.expression(name, trades=1) for name in names])
        for names in (["close"], ["close", indicator])
    )
    single_trades = [ours.expression(indicator, trades=1)]
    outcomes = in_turn(
        [
            Contestant("the bars alone", ours.process, arm=bare),
            Contestant("the bars and the indicator", ours.process, arm=with_indicator),
            Contestant("everything", partial(ours.values, ticks, indicator, TRADES_PER_BAR)),
            Contestant("pushed", ours.push_and_read, arm=partial(ours.pushable, pushed, single_trades)),
            Contestant("loop", partial(only_loop, [float(price) for _, price, _ in pushed])),
        ],
        rounds,
    )
    alone, both, everything, push, loop = ((outcome.best, outcome.median) for outcome in outcomes)
    figures = (
        ((both[0] - alone[0]) / len(ticks), (both[1] - alone[1]) / len(ticks)),
        (everything[0] / closed, everything[1] / closed),
        ((push[0] - loop[0]) / len(pushed), (push[1] - loop[1]) / len(pushed)),
    )
    return [
        Update(indicator, name, best_ns=best * 1e9, median_ns=median * 1e9)
        for name, (best, median) in zip(OWN_CONTESTANTS, figures, strict=True)
    ]
