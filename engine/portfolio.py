"""Exact money: positions, costs and closed trades in integers of one small money unit.

The account's unit is ``10**-scale`` of its currency, fine enough that price differences times sizes are whole numbers
of it. Only percentages of money (fees and slippage in basis points) are rounded, half to even, once per fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from engine.model import Instrument, Reason, Side

MIN_SCALE = 12


def rounded(amount: int | Fraction) -> int:
    """Return a whole number of money units, half to even; an integer as it is."""
    return amount if isinstance(amount, int) else round(amount)


@dataclass(slots=True)
class Position:
    """An open position and what it has cost so far. ``reference`` prices are those of the deciding trades, in ticks."""

    side: Side
    lots: int
    entry_ts_ns: int
    entry_ticks: int | Fraction
    entry_reference: int
    spread: int
    slippage: int
    fees: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed trade. Prices include the spread; ``net = gross - spread_cost - slippage_cost - fees``, exactly.

    ``gross`` is the result at the prices of the trades on which entry and exit were decided, ``spread_cost`` what the
    fills were worse than those.
    """

    symbol: str
    direction: Side
    entry_ts_ns: int
    exit_ts_ns: int
    entry_price: Decimal
    exit_price: Decimal
    qty: Decimal
    reason: Reason
    gross: Decimal
    spread_cost: Decimal
    slippage_cost: Decimal
    fees: Decimal
    net: Decimal

    @property
    def side(self) -> str:
        """``"long"`` or ``"short"``."""
        return self.direction.word


class Portfolio:
    """The account: starting equity, realised results, one position per instrument."""

    def __init__(self, instruments: Sequence[Instrument], starting_cash: Fraction) -> None:
        self.instruments = list(instruments)
        self.scale = max([MIN_SCALE, *(i.price_precision + i.size_precision for i in instruments)])
        self.units = [10 ** (self.scale - i.price_precision - i.size_precision) for i in instruments]
        self.starting = rounded(starting_cash * 10**self.scale)
        self.realised = 0
        self.gross = self.spread = self.slippage = self.fees = 0
        self.positions: list[Position | None] = [None] * len(self.instruments)
        self.trades: list[Trade] = []

    def money(self, units: int) -> Decimal:
        """Return an amount of money units as exact decimal currency."""
        return Decimal(units).scaleb(-self.scale)

    def open(
        self,
        instrument: int,
        side: Side,
        lots: int,
        ts_ns: int,
        fill_ticks: int | Fraction,
        reference: int,
        slippage: int,
        fee: int,
    ) -> Position:
        """Open a position from its entry fill."""
        spread = rounded((fill_ticks - reference) * side * lots * self.units[instrument])
        position = Position(side, lots, ts_ns, fill_ticks, reference, spread, slippage, fee)
        self.positions[instrument] = position
        return position

    def close(
        self,
        instrument: int,
        reason: Reason,
        ts_ns: int,
        fill_ticks: int | Fraction,
        reference: int,
        slippage: int,
        fee: int,
    ) -> tuple[Trade, int]:
        """Close the position by its exit fill; returns the trade and its net result in money units."""
        position = self.positions[instrument]
        assert position is not None, "only an open position can be closed"
        each = int(position.side) * position.lots * self.units[instrument]
        gross = (reference - position.entry_reference) * each
        spread = position.spread + rounded((reference - fill_ticks) * each)
        slippage += position.slippage
        fee += position.fees
        net = gross - spread - slippage - fee
        self.positions[instrument] = None
        self.realised += net
        self.gross += gross
        self.spread += spread
        self.slippage += slippage
        self.fees += fee
        of = self.instruments[instrument]
        trade = Trade(
            of.symbol,
            position.side,
            position.entry_ts_ns,
            ts_ns,
            exact_price(of, position.entry_ticks),
            exact_price(of, fill_ticks),
            of.size(position.lots),
            reason,
            self.money(gross),
            self.money(spread),
            self.money(slippage),
            self.money(fee),
            self.money(net),
        )
        self.trades.append(trade)
        return trade, net


def exact_price(instrument: Instrument, price_ticks: int | Fraction) -> Decimal:
    """Return a price as an exact decimal; a synthetic spread may put it between two ticks."""
    if isinstance(price_ticks, int):
        return instrument.price(price_ticks)
    return (Decimal(price_ticks.numerator) / Decimal(price_ticks.denominator)).scaleb(-instrument.price_precision)
