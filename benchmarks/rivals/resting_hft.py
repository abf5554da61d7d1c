"""hftbacktest's answer to resting orders: risk-averse queue, partial fills, no latency."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from benchmarks.rivals.resting_data import (
    LIFE,
    PRICE_PRECISION,
    QUOTE,
    SIZE_PRECISION,
    TRADE,
    Int64s,
    Resting,
    Session,
)

TICK, LOT = 10.0**-PRICE_PRECISION, 10.0**-SIZE_PRECISION
NOT_FILLED = -1


def filled_on(session: Session, orders: Sequence[Resting]) -> dict[int, int]:
    """Return the record on which each order was filled, by its number; -1 for one that was not.

    Each order has a backtest of its own, from the last quote before it until it is called back.
    """
    events, begins = events_of(session)
    quotes = np.flatnonzero(session.kind == QUOTE)
    found = {}
    for order in orders:
        first = quotes[np.searchsorted(quotes, order.sent) - 1]
        until = session.order[order.sent] + LIFE
        last = min(int(np.searchsorted(session.order, until)), len(session) - 1)
        filled = answer(events[begins[first] : begins[last + 1]], int(session.order[order.sent]) + 1, int(until), order)
        found[order.number] = NOT_FILLED if filled < 0 else int(np.searchsorted(session.order, filled))
    return found


def answer(events: Any, sent: int, until: int, order: Resting) -> int:
    """When one order was filled, or -1."""
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .partial_fill_exchange()
        .trading_value_fee_model(0, 0)
        .tick_size(TICK)
        .lot_size(LOT)
        .last_trades_capacity(0)
    )
    backtest = HashMapMarketDepthBacktest([asset])
    filled = strategy()(backtest, sent, until, order.side, order.price_ticks * TICK, order.lots * LOT)
    backtest.close()
    return int(filled)


def events_of(session: Session) -> tuple[Any, Int64s]:
    """The records as hftbacktest's events, and where each record's begin.

    A best quote says that there is nothing better than it, and how much there is at it; what it once said of worse
    prices is not taken back.
    """
    from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT
    from hftbacktest.types import event_dtype

    both = EXCH_EVENT | LOCAL_EVENT
    rows: list[tuple[int, int, int, int]] = []
    begins = []
    bids: set[int] = set()
    asks: set[int] = set()
    for i in range(len(session)):
        begins.append(len(rows))
        at = int(session.order[i])
        if session.kind[i] == TRADE:
            side = BUY_EVENT if session.buyer[i] else SELL_EVENT
            rows.append((TRADE_EVENT | both | side, at, session.price_ticks[i], session.size_lots[i]))
            continue
        bid, ask = int(session.bid_ticks[i]), int(session.ask_ticks[i])
        for better in sorted(level for level in bids if level > bid):
            rows.append((DEPTH_EVENT | both | BUY_EVENT, at, better, 0))
            bids.remove(better)
        for better in sorted(level for level in asks if level < ask):
            rows.append((DEPTH_EVENT | both | SELL_EVENT, at, better, 0))
            asks.remove(better)
        rows.append((DEPTH_EVENT | both | BUY_EVENT, at, bid, session.bid_lots[i]))
        rows.append((DEPTH_EVENT | both | SELL_EVENT, at, ask, session.ask_lots[i]))
        bids.add(bid)
        asks.add(ask)
    events = np.zeros(len(rows), event_dtype)
    events["ev"] = [row[0] for row in rows]
    events["exch_ts"] = events["local_ts"] = [row[1] for row in rows]
    events["px"] = np.array([row[2] for row in rows]) * TICK
    events["qty"] = np.array([row[3] for row in rows]) * LOT
    return events, np.array([*begins, len(rows)])


@cache
def strategy() -> Any:
    """Compile what sends an order and waits (numba is only needed by those who run it)."""
    import numba
    from hftbacktest import FILLED, GTX, LIMIT

    @numba.njit
    def run(hbt: Any, sent: int, until: int, side: int, price: float, size: float) -> int:
        hbt.wait_next_feed(False, 1 << 60)
        hbt.elapse(sent - hbt.current_timestamp)
        if side > 0:
            hbt.submit_buy_order(0, 1, price, size, GTX, LIMIT, False)
        else:
            hbt.submit_sell_order(0, 1, price, size, GTX, LIMIT, False)
        hbt.elapse(until - hbt.current_timestamp)
        order = hbt.orders(0).get(1)
        return order.exch_timestamp if order.status == FILLED else -1

    return run
