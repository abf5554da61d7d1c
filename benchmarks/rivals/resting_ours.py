"""Microburst's answer to resting orders: a strategy that sends them from Python, filled by the model ``queue``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import engine
from benchmarks.rivals.resting_data import (
    LIFE,
    PRICE_PRECISION,
    SIZE_PRECISION,
    Resting,
    Session,
)
from engine.events import OrderFilled, OrderSubmitted
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.rules import TimeStop, milliseconds
from engine.store.ticks import TickFile
from engine.strategy import Strategy, Tick

NOT_FILLED = -1


def filled_on(session: Session, orders: Sequence[Resting]) -> dict[int, int]:
    """Return the record on which each order was filled, by its number; -1 for one that was not."""
    sent = {int(session.order[order.sent]): order for order in orders}

    class Sender(Strategy):
        exits = TimeStop(milliseconds(1))

        def on_tick(self, tick: Tick) -> Signal | None:
            order = sent.get(tick.ts_ns)
            if order is None:
                return None
            side = Side(order.side)
            return Signal(side, order.price_ticks, order=OrderType.LIMIT, good_for_ns=LIFE, post_only=True)

    result = engine.backtest(
        recorded(session),
        Sender,
        fills="queue",
        position_size=str(10**-SIZE_PRECISION * orders[0].lots),
        starting_cash=10_000_000,
    )
    number_of: dict[int, int] = {}
    filled = dict.fromkeys((order.number for order in orders), NOT_FILLED)
    for decision in result.journal.decisions:
        if isinstance(decision, OrderSubmitted) and decision.purpose == "entry":
            number_of[decision.order_id] = sent[decision.ts_ns].number
        elif isinstance(decision, OrderFilled) and decision.order_id in number_of:
            filled[number_of[decision.order_id]] = int(np.searchsorted(session.order, decision.ts_ns))
    assert sorted(number_of.values()) == sorted(filled), "every order was sent"
    return filled


def recorded(session: Session) -> TickFile:
    """The session as ticks, in its own small unit of time."""
    block = TickBlock(
        ts_ns=session.order,
        price_ticks=session.price_ticks,
        size_lots=session.size_lots,
        bid_ticks=session.bid_ticks,
        ask_ticks=session.ask_ticks,
        bid_lots=session.bid_lots,
        ask_lots=session.ask_lots,
        kind=session.kind.astype(np.uint8),
    )
    return TickFile(block, [Instrument("RECORDED", PRICE_PRECISION, SIZE_PRECISION)], source="recorded session")
