"""What buying and holding would have made: the same period, the same venue and the same costs as the run."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from engine.account.limits import ALL_OFF
from engine.account.orders import Approved, Order
from engine.account.portfolio import Portfolio, exact_price, rounded
from engine.account.risk import RiskGate
from engine.brokers.paper import PaperBroker, VenueModel
from engine.model import Kind, Side, TickBlock
from engine.ports import Fill
from engine.store.ticks import TickFile


def buy_and_hold(file: TickFile, venue: VenueModel, starting_cash: Fraction) -> list[dict[str, Any]]:
    """Return what each symbol would have made, bought at its first trade and sold at its last.

    Each gets an equal share of the starting cash, spent in whole lots; both fills pay spread, slippage and fees.

    Returns:
        By symbol: ``symbol``, ``qty``, ``entry_price``, ``exit_price``, ``net`` in currency, and ``return``, net over
        the share. Of a symbol without trades, of which the share buys no lot, or of whose price an assumed spread
        leaves nothing, all but the symbol are None.
    """
    portfolio = Portfolio(file.instruments, starting_cash)
    broker = PaperBroker(venue, portfolio)
    share = portfolio.starting // max(1, len(file.instruments))
    return [_hold(file, number, portfolio, broker, share) for number in range(len(file.instruments))]


def _hold(file: TickFile, number: int, portfolio: Portfolio, broker: PaperBroker, share: int) -> dict[str, Any]:
    instrument, unit = file.instruments[number], portfolio.units[number]
    nothing = dict.fromkeys(("qty", "entry_price", "exit_price", "net", "return"))
    markets = _ends(file.block, number)
    if markets is None:
        return {"symbol": instrument.symbol, **nothing}
    lots = share // (markets[0][0] * unit)
    if lots < 1:
        return {"symbol": instrument.symbol, **nothing}
    gate = RiskGate(ALL_OFF, portfolio)
    bought, sold = (
        _fill(broker, gate.approve_exit(Order(n, 0, number, side, lots, 0)), market)
        for n, (side, market) in enumerate(zip((Side.LONG, Side.SHORT), markets, strict=True), 1)
    )
    if bought is None or sold is None:
        return {"symbol": instrument.symbol, **nothing}
    costs = bought.slippage + bought.fee + sold.slippage + sold.fee
    net = rounded((sold.price_ticks - bought.price_ticks) * lots * unit) - costs
    return {
        "symbol": instrument.symbol,
        "qty": instrument.size(lots),
        "entry_price": exact_price(instrument, bought.price_ticks),
        "exit_price": exact_price(instrument, sold.price_ticks),
        "net": portfolio.money(net),
        "return": net / share,
    }


def _fill(broker: PaperBroker, approved: Approved, market: tuple[int, int, int]) -> Fill | None:
    """Fill at the venue; before the first quote, at the trade's price. None where the spread leaves no price."""
    last, bid, ask = market
    lots = approved.lots
    return broker.fill(approved, lots, last, bid, ask) or broker.fill(approved, lots, last, last, last)


def _ends(block: TickBlock, number: int) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Price, bid and ask at the first and at the last trade of an instrument; a bar opens at its open."""
    chosen = np.ones(len(block), bool) if block.kind is None else block.kind == Kind.TRADE
    if block.instrument is not None:
        chosen = chosen & (block.instrument == number)
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return None
    first, last = int(rows[0]), int(rows[-1])

    def market(row: int) -> tuple[int, int, int]:
        sides = (block.bid_ticks, block.ask_ticks)
        bid, ask = (0 if side is None else int(side[row]) for side in sides)
        return int(block.price_ticks[row]), bid, ask

    opening = market(first)
    if block.open_ticks is not None:
        opening = (int(block.open_ticks[first]), 0, 0)
    return opening, market(last)
