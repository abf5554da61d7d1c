"""What the large figure of a report draws: prices, trades and equity as plain numbers, thinned where a picture is full.

Times are milliseconds on the exchange's clock, so that the page needs no time zones. Stretches without records longer
than half an hour, and much longer than usual, are left out of the axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.calendars import calendar as find_calendar
from engine.sessions.clock import MINUTE_NS, Clock
from engine.tools.figures import span_of
from engine.tools.plot import shown_rows
from engine.tools.runs import equity_at_closes

if TYPE_CHECKING:
    from engine.results import BacktestResult

MAX_POINTS = 6_000
"""Prints drawn of one symbol: the lowest and the highest of each stretch."""
MAX_TRADES = 3_000
"""Trades drawn, the first ones; the files have all."""
GAP_NS = 30 * MINUTE_NS
GAP_PARTS = 0.012
"""A gap's width on the axis, as a part of all the time with records."""

MS = 1_000_000
Ints = NDArray[np.int64]


def figure_data(result: BacktestResult) -> dict[str, Any]:
    """Return the large figure's data."""
    clock = find_calendar(result.settings.calendar).clock
    block, instruments = result.traded.block, result.file.instruments
    symbols = []
    for number, instrument in enumerate(instruments):
        rows = shown_rows(block, number, MAX_POINTS // max(1, len(instruments)))
        prices = block.price_ticks[rows] * 10.0**-instrument.price_precision
        symbols.append(
            {
                "name": instrument.symbol,
                "digits": instrument.price_precision,
                "t": shown_ms(clock, np.maximum.accumulate(block.ts_ns[rows])) if len(rows) else [],
                "p": [round(price, instrument.price_precision) for price in prices.tolist()],
            }
        )
    first_ns, last_ns = span_of(result)
    closes = list(equity_at_closes(result))
    times = shown_ms(clock, np.array([first_ns, *(ts_ns for ts_ns, _ in closes)], np.int64))
    return {
        "clock": clock.name,
        "digits": 4,
        "segments": segments(clock, block.ts_ns, first_ns, last_ns),
        "symbols": symbols,
        "trades": list(_trades(result, clock)),
        "equity": {"t": times, "v": [float(result.settings.starting_cash), *(float(equity) for _, equity in closes)]},
    }


def shown_ms(clock: Clock, ts_ns: Ints) -> list[int]:
    """Times as the exchange's clock shows them, in milliseconds."""
    shown: list[int] = (clock.from_utc(ts_ns) // MS).tolist()
    return shown


def segments(clock: Clock, ts_ns: Ints, first_ns: int, last_ns: int) -> list[list[int]]:
    """Return the stretches with records as ``[begin, end, place on the axis]`` in milliseconds."""
    ordered = np.maximum.accumulate(ts_ns) if len(ts_ns) else np.array([first_ns])
    ordered = np.concatenate([[first_ns], ordered, [last_ns]]).astype(np.int64)
    steps = np.diff(ordered)
    usual = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
    breaks = np.flatnonzero(steps > max(GAP_NS, 10 * usual))
    begins = shown_ms(clock, ordered[np.concatenate([[0], breaks + 1])])
    ends = shown_ms(clock, ordered[np.concatenate([breaks, [len(ordered) - 1]])])
    gap = round(GAP_PARTS * sum(end - begin for begin, end in zip(begins, ends, strict=True)))
    found, place = [], 0
    for begin, end in zip(begins, ends, strict=True):
        found.append([begin, end, place])
        place += end - begin + gap
    return found


def _trades(result: BacktestResult, clock: Clock) -> Any:
    numbers = {instrument: number for number, instrument in enumerate(result.file.instruments)}
    for trade, row in zip(result.trades[:MAX_TRADES], result.trade_rows, strict=False):
        begin, end = shown_ms(clock, np.array([trade.entry_ts_ns, trade.exit_ts_ns], np.int64))
        prices = (float(row["entry_price"]), float(row["exit_price"]), float(row["qty"]))
        costs = float(row["gross"] - row["net"])
        rest = (float(row["gross"]), costs, *(float(row[name]) for name in ("net", "mae", "mfe")))
        yield [numbers[trade.instrument], int(trade.direction), begin, end, *prices, row["reason"], *rest]
