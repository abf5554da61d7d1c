"""How far the market went against each trade, and for it: maximum adverse and favourable excursion (Sweeney, 1997).

They are worked out after a run from its columns, so the tick path pays nothing. Both are money of the whole position,
measured from the entry's fill price and before costs; the adverse one is 0 or negative, the favourable one 0 or
positive. What counts is the entry, every trade print (or bar's high and low) strictly between entry and exit in time,
and the price of each exit's fill: of records at the very time of an exit it is not known which came before. After a
partial exit what it made stands, and the lots that are left move with the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.account.portfolio import Trade, exact_money
from engine.model import Instrument, Kind, TickBlock


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
    """Go through the legs: what the closed ones made stands, the lots that are left move with the market."""
    unit = int(trade.direction) * 10 ** (
        trade.scale - trade.instrument.price_precision - trade.instrument.size_precision
    )
    legs = [(leg.ts_ns, leg.price_ticks, leg.lots) for leg in trade.legs]
    begin, lots, made = trade.entry_ts_ns, trade.lots, Fraction(0)
    stood = [made]
    for ts_ns, price, closed in legs or [(trade.exit_ts_ns, trade.exit_ticks, trade.lots)]:
        first = int(np.searchsorted(prints.ts_ns, begin, side="right"))
        end = int(np.searchsorted(prints.ts_ns, ts_ns, side="left"))
        seen: list[int | Fraction] = [price]
        if end > first:
            seen += [int(prints.low_ticks[first:end].min()), int(prints.high_ticks[first:end].max())]
        stood += [made + (one - trade.entry_ticks) * lots * unit for one in seen]
        begin, lots, made = ts_ns, lots - closed, made + (price - trade.entry_ticks) * closed * unit
    return Excursion(*(exact_money(round(amount), trade.scale) for amount in (min(stood), max(stood))))
