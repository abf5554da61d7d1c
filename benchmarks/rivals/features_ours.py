"""Our side: indicators as a strategy writes them, and a kernel that watches expressions and trades nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import engine
from benchmarks.rivals.common import Ticks
from benchmarks.rivals.features_common import Float64s, columns_of
from engine import indicators, rules
from engine.backtesting import make_kernel, make_settings
from engine.journal.writer import MemoryJournal
from engine.model import Instrument, TickBlock
from engine.trading.kernel import Kernel

INSTRUMENT = Instrument("X", price_precision=2, size_precision=0)
Row = tuple[int, int, int]
"""Time, price, size."""

OF_BARS: dict[str, Callable[[Any], Any]] = {
    "close": lambda b: b.close,
    "EMA": lambda b: rules.ema(b.close, 20),
    "RSI": lambda b: indicators.rsi(b.close, 14),
    "ATR": lambda b: indicators.atr(b, 14),
    "Bollinger": lambda b: indicators.bollinger(b.close, 20, 2).upper,
    "MACD": lambda b: indicators.macd(b.close, 12, 26, 9).histogram,
}
"""What is compared of each indicator; all of them need the bars' ``close``."""


def expression(indicator: str, trades: int) -> Any:
    """Return the indicator on bars of so many trades."""
    return OF_BARS[indicator](rules.bars(rules.ticks(trades)))


def values(ticks: Ticks, indicator: str, trades: int) -> Float64s:
    """Return the indicator on bars of so many trades, a value for every trade."""
    expressions = {indicator: expression(indicator, trades)}
    found = engine.features(columns_of(ticks), expressions, price_precision=2, size_precision=0)[indicator]
    return found.astype(np.float64, copy=False)


def watching(expressions: Iterable[Any]) -> Kernel:
    """Return a kernel that computes these values and conditions on every trade and decides nothing."""
    watched = {str(number): each for number, each in enumerate(expressions)}
    empty = np.zeros(0, np.int64)
    settings = make_settings(TickBlock(empty, empty, empty), fills="last")
    return make_kernel([INSTRUMENT], None, settings, MemoryJournal(), watched=watched)


def prepared(block: TickBlock, expressions: Iterable[Any], together: int | None = None) -> tuple[Kernel, TickBlock]:
    """Return a new kernel and what it is to process; ``together``: how many records it evaluates at once at most."""
    kernel = watching(expressions)
    if together is not None:
        kernel.core.set_block(together)
    return kernel, block


def process(kernel: Kernel, block: TickBlock) -> int:
    """Take the kernel over a block and return how many trades it has seen."""
    kernel.process(block)
    return kernel.core.trades_seen


def pushable(rows: list[Row], expressions: Iterable[Any]) -> tuple[Kernel, int, list[Row]]:
    """Return a new kernel, the column of its last expression, and the rows to push."""
    kernel = watching(expressions)
    return kernel, list(kernel.columns.values())[-1][0], rows


def push_all(kernel: Kernel, _column: int, rows: list[Row]) -> int:
    """Push every row with one call each, and return how many trades the kernel has seen."""
    push = kernel.push
    for ts_ns, price_ticks, size_lots in rows:
        push(0, ts_ns, price_ticks, size_lots)
    return kernel.core.trades_seen


def push_and_read(kernel: Kernel, column: int, rows: list[Row]) -> list[Any]:
    """Push every row and read a value after each: two calls a row."""
    push, value = kernel.push, kernel.core.value
    values: list[Any] = []
    for ts_ns, price_ticks, size_lots in rows:
        push(0, ts_ns, price_ticks, size_lots)
        values.append(value(0, column))
    return values


def rows_of(ticks: Ticks) -> list[Row]:
    """Return the ticks as Python's integers, to be pushed one at a time."""
    return list(zip(ticks.ts_ns.tolist(), ticks.price_ticks.tolist(), ticks.size_lots.tolist(), strict=True))
