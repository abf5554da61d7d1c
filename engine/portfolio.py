"""Exact money: positions, costs and closed trades in integers of one small money unit.

The account's unit is ``10**-scale`` of its currency, fine enough that price differences times sizes are whole numbers
of it. Only percentages of money (fees and slippage in basis points) are rounded, half to even, once per fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from engine.model import Instrument, Reason, Side

MIN_SCALE = 12


def rounded(amount: int | Fraction) -> int:
    """Return a whole number of money units, half to even; an integer as it is."""
    return amount if isinstance(amount, int) else round(amount)


@dataclass(slots=True)
class Position:
    """An open position and what it has cost so far. ``entry_reference`` is what its spread was measured from."""

    side: Side
    lots: int
    entry_ts_ns: int
    entry_ticks: int | Fraction
    entry_reference: int | Fraction
    spread: int
    slippage: int
    fees: int


class Trade(NamedTuple):
    """A closed trade: whole money units of ``10**-scale``, and the same as decimals for people.

    Prices include the spread; ``net = gross - spread_cost - slippage_cost - fees``, exactly. ``gross`` is the result at
    the mid of the quotes filled against (fills ``last``: at the trade prices themselves), ``spread_cost`` what the
    fills were worse than that.
    """

    instrument: Instrument
    direction: Side
    lots: int
    entry_ts_ns: int
    exit_ts_ns: int
    entry_ticks: int | Fraction
    exit_ticks: int | Fraction
    reason: Reason
    scale: int
    gross_units: int
    spread_units: int
    slippage_units: int
    fee_units: int
    net_units: int

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def side(self) -> str:
        """``"long"`` or ``"short"``."""
        return self.direction.word

    @property
    def qty(self) -> Decimal:
        """Size in units of the instrument."""
        return self.instrument.size(self.lots)

    @property
    def entry_price(self) -> Decimal:
        """Fill price of the entry."""
        return exact_price(self.instrument, self.entry_ticks)

    @property
    def exit_price(self) -> Decimal:
        """Fill price of the exit."""
        return exact_price(self.instrument, self.exit_ticks)

    @property
    def gross(self) -> Decimal:
        """Result before any cost."""
        return exact_money(self.gross_units, self.scale)

    @property
    def spread_cost(self) -> Decimal:
        """Cost of crossing the spread, twice."""
        return exact_money(self.spread_units, self.scale)

    @property
    def slippage_cost(self) -> Decimal:
        """Assumed slippage of both fills."""
        return exact_money(self.slippage_units, self.scale)

    @property
    def fees(self) -> Decimal:
        """Fees of both fills."""
        return exact_money(self.fee_units, self.scale)

    @property
    def net(self) -> Decimal:
        """What the trade earned or lost."""
        return exact_money(self.net_units, self.scale)


class Portfolio:
    """The account: starting equity, realised results, one position per instrument."""

    def __init__(self, instruments: Sequence[Instrument], starting_cash: Fraction) -> None:
        self.instruments = list(instruments)
        self.scale = max([MIN_SCALE, *(i.price_precision + i.size_precision + 1 for i in instruments)])  # + 1: mids
        self.units = [10 ** (self.scale - i.price_precision - i.size_precision) for i in instruments]
        self.starting = rounded(starting_cash * 10**self.scale)
        self.realised = 0
        self.gross = self.spread = self.slippage = self.fees = 0
        self.positions: list[Position | None] = [None] * len(self.instruments)
        self.trades: list[Trade] = []

    def money(self, units: int) -> Decimal:
        """Return an amount of money units as exact decimal currency."""
        return exact_money(units, self.scale)

    def open(
        self,
        instrument: int,
        side: Side,
        lots: int,
        ts_ns: int,
        fill_ticks: int | Fraction,
        reference: int | Fraction,
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
        reference: int | Fraction,
        slippage: int,
        fee: int,
    ) -> Trade:
        """Close the position by its exit fill."""
        position = self.positions[instrument]
        assert position is not None, "only an open position can be closed"
        each = int(position.side) * position.lots * self.units[instrument]
        gross = rounded((reference - position.entry_reference) * each)
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
        trade = Trade(
            self.instruments[instrument],
            position.side,
            position.lots,
            position.entry_ts_ns,
            ts_ns,
            position.entry_ticks,
            fill_ticks,
            reason,
            self.scale,
            gross,
            spread,
            slippage,
            fee,
            net,
        )
        self.trades.append(trade)
        return trade


def exact_money(units: int, scale: int) -> Decimal:
    """An amount of money units as a decimal, whatever its length (arithmetic on decimals keeps 28 digits)."""
    return Decimal(f"{units}E-{scale}")


def exact_price(instrument: Instrument, price_ticks: int | Fraction) -> Decimal:
    """Return a price as an exact decimal; a synthetic spread may put it between two ticks."""
    if isinstance(price_ticks, int):
        return instrument.price(price_ticks)
    return (Decimal(price_ticks.numerator) / Decimal(price_ticks.denominator)).scaleb(-instrument.price_precision)
