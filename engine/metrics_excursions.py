"""How far the market went against each trade, and for it: maximum adverse and favourable excursion (Sweeney, 1997).

They are worked out after a run from its columns, so the tick path pays nothing. Both are money of the whole position,
measured from the entry's fill price and before costs; the adverse one is 0 or negative, the favourable one 0 or
positive. What counts is the entry, every trade print (or bar's high and low) strictly between entry and exit in time,
and the exit's fill price: of records at the very time of the exit it is not known which came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.model import Instrument, Kind, TickBlock
from engine.portfolio import Trade, exact_money, rounded


class Excursion(NamedTuple):
    """The worst and the best a position stood while it was held, in the account's currency."""

    mae: Decimal
    mfe: Decimal


class _Prints(NamedTuple):
    """The prints of one instrument: the time at which the core took each, and the range of its prices."""

    ts_ns: NDArray[np.int64]
    low_ticks: NDArray[np.int64]
    high_ticks: NDArray[np.int64]


def excursions(block: TickBlock, instruments: Sequence[Instrument], trades: Sequence[Trade]) -> list[Excursion]:
    """Return the excursions of each trade, in the order of the trades."""
    ts_ns = np.maximum.accumulate(block.ts_ns) if len(block) else block.ts_ns  # a late record trades at the newest time
    numbers = {instrument: number for number, instrument in enumerate(instruments)}
    prints: dict[int, _Prints] = {}
    found = []
    for trade in trades:
        number = numbers[trade.instrument]
        if number not in prints:
            prints[number] = _prints(block, ts_ns, number)
        found.append(_excursion(trade, prints[number]))
    return found


def _prints(block: TickBlock, ts_ns: NDArray[np.int64], number: int) -> _Prints:
    chosen: Any = slice(None)
    if block.instrument is not None or block.kind is not None:
        chosen = np.ones(len(block), bool) if block.kind is None else block.kind == Kind.TRADE
        if block.instrument is not None:
            chosen &= block.instrument == number
    low, high = (block.price_ticks if of is None else of for of in (block.low_ticks, block.high_ticks))
    return _Prints(ts_ns[chosen], low[chosen], high[chosen])


def _excursion(trade: Trade, prints: _Prints) -> Excursion:
    begin = int(np.searchsorted(prints.ts_ns, trade.entry_ts_ns, side="right"))
    end = int(np.searchsorted(prints.ts_ns, trade.exit_ts_ns, side="left"))
    prices = [trade.entry_ticks, trade.exit_ticks]
    if end > begin:
        prices += [int(prints.low_ticks[begin:end].min()), int(prints.high_ticks[begin:end].max())]
    each = int(trade.direction) * trade.lots
    each *= 10 ** (trade.scale - trade.instrument.price_precision - trade.instrument.size_precision)
    moves = [rounded((price - trade.entry_ticks) * each) for price in prices]
    return Excursion(exact_money(min(moves), trade.scale), exact_money(max(moves), trade.scale))
