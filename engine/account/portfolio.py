"""Exact money: positions, costs and closed trades in integers of one small money unit.

The account's unit is ``10**-scale`` of its currency, fine enough that price differences times sizes are whole numbers
of it. Only percentages of money (fees and slippage in basis points) are rounded, half to even, once per fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from engine.model import LONG, Instrument, Reason, Side
from engine.ports import Fill

MIN_SCALE = 12
MOST_DECIMALS = 13  # of a price: twelve, and half a tick
YEAR_NS = 365 * 86_400 * 10**9
NO_RATE = Fraction(0)


def quotient(numerator: int, denominator: int) -> int:
    """A quotient of whole numbers as one, half to even; the denominator is positive."""
    whole, left = divmod(numerator, denominator)
    return whole + (2 * left > denominator or (2 * left == denominator and whole & 1))


def rounded(amount: int | Fraction) -> int:
    """Return a whole number of money units, half to even; an integer as it is."""
    return amount if isinstance(amount, int) else round(amount)


class Leg(NamedTuple):
    """One exit fill of a trade and what the lots that it closed came to, in money units.

    ``net = gross - spread - slippage - fee - borrow``. The costs are those of this fill and its lots' share of the
    entry's; shares are whole money units, and the last leg takes what is left over.
    """

    ts_ns: int
    lots: int
    price_ticks: int | Fraction
    reason: Reason
    gross_units: int
    spread_units: int
    slippage_units: int
    fee_units: int
    borrow_units: int

    @property
    def amounts(self) -> tuple[int, int, int, int, int]:
        """What the leg came to and its costs, in the order of the fields."""
        return self[4:]

    @property
    def net_units(self) -> int:
        """What the leg earned or lost."""
        return self.gross_units - self.spread_units - self.slippage_units - self.fee_units - self.borrow_units


@dataclass(slots=True)
class Position:
    """An open position of one lane, and what its entry has cost.

    ``reference_half_ticks`` is what its spread is measured from. ``lots`` are those still open, ``entered`` all that
    were bought or sold to open; the costs are those of the lots still open. ``pair`` names the pair of which it is a
    leg (``Trade.pair``).
    """

    instrument: int
    side: Side
    lots: int
    entered: int
    entry_ts_ns: int
    entry_ticks: int | Fraction
    reference_half_ticks: int
    spread: int
    slippage: int
    fees: int
    legs: list[Leg] = field(default_factory=list)
    pair: int = 0

    @property
    def values(self) -> tuple[Any, ...]:
        """Everything about it as plain values."""
        whole = {"side": int(self.side), "legs": tuple(map(tuple, self.legs))}
        return tuple(whole.get(one.name, getattr(self, one.name)) for one in fields(self))

    @classmethod
    def of(cls, values: Sequence[Any]) -> Position:
        """Make the position that had these ``values``."""
        it = dict(zip((one.name for one in fields(cls)), values, strict=True))
        return cls(**it | {"side": Side(it["side"]), "legs": [Leg(*leg) for leg in it["legs"]]})

    def is_of(self, side: Side, fill: Fill) -> bool:
        """Whether a fill is one more part of the entry that opened it: on its side, at its price."""
        price, reference, *_ = fill
        return (self.side, self.entry_ticks, self.reference_half_ticks) == (side, price, reference)

    def take_costs(self, lots: int) -> tuple[int, int, int]:
        """Take spread, slippage and fees of the entry's lots that are closed: of the last ones all that is left."""
        spread, slippage, fees, of = self.spread, self.slippage, self.fees, self.lots
        if lots != of:
            spread = quotient(spread * lots, of) if spread else 0
            slippage = quotient(slippage * lots, of) if slippage else 0
            fees = quotient(fees * lots, of) if fees else 0
        self.spread -= spread
        self.slippage -= slippage
        self.fees -= fees
        return spread, slippage, fees


class Trade(NamedTuple):
    """A closed trade, one round trip: whole money units of ``10**-scale``, and the same as decimals for people.

    Prices include the spread; ``net = gross - spread_cost - slippage_cost - fees - borrow_cost``, exactly. ``gross`` is
    the result at the mid of the quotes filled against (fills ``last``: at the trade prices themselves), ``spread_cost``
    what the fills were worse than that. ``legs`` itemises the exit fills; of several, ``exit_ticks`` is their average
    and ``reason`` that of the last. Trades of the same ``pair`` other than 0 are the legs of one: it is the id of the
    order that entered the first of them.
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
    borrow_units: int = 0
    legs: tuple[Leg, ...] = ()
    lane: int = 0
    pair: int = 0

    def values(self, instruments: Sequence[Instrument]) -> tuple[Any, ...]:
        """Everything about it as plain values; the instrument as its index, the unit's scale left out."""
        legs = tuple(map(tuple, self.legs))
        it = self._replace(instrument=instruments.index(self.instrument), direction=int(self.direction), legs=legs)  # type: ignore[arg-type]
        return it[:8] + it[9:]

    @classmethod
    def of(cls, values: Sequence[Any], instruments: Sequence[Instrument], scale: int) -> Trade:
        """Make the trade that had these ``values``."""
        trade = cls._make((instruments[values[0]], Side(values[1]), *values[2:8], scale, *values[8:]))
        return trade._replace(legs=tuple(Leg(*leg) for leg in trade.legs))

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
        """Cost of crossing the spread, at every fill."""
        return exact_money(self.spread_units, self.scale)

    @property
    def slippage_cost(self) -> Decimal:
        """Assumed slippage of every fill."""
        return exact_money(self.slippage_units, self.scale)

    @property
    def fees(self) -> Decimal:
        """Fees of every fill."""
        return exact_money(self.fee_units, self.scale)

    @property
    def borrow_cost(self) -> Decimal:
        """What borrowing the instrument cost while it was sold short."""
        return exact_money(self.borrow_units, self.scale)

    @property
    def net(self) -> Decimal:
        """What the trade earned or lost."""
        return exact_money(self.net_units, self.scale)


class Portfolio:
    """The account: starting equity, realised results, one position per lane.

    ``realised`` counts closed legs, those of trades that are still open in part, too.
    """

    def __init__(
        self, instruments: Sequence[Instrument], starting_cash: Fraction, borrow_rate: Fraction = NO_RATE
    ) -> None:
        self.instruments = list(instruments)
        self.scale = max([MIN_SCALE, *(i.price_precision + i.size_precision + 1 for i in instruments)])  # + 1: mids
        self.units = [10 ** (self.scale - i.price_precision - i.size_precision) for i in instruments]
        self._half_units = [unit // 2 for unit in self.units]  # exactly: mids lie on half ticks
        self.starting = rounded(starting_cash * 10**self.scale)
        self.borrow_rate = borrow_rate
        self.realised = 0
        self.gross = self.spread = self.slippage = self.fees = self.borrow = 0
        self.positions: dict[int, Position] = {}
        self._held = [0] * len(self.instruments)
        self.trades: list[Trade] = []

    @property
    def kept(self) -> tuple[Any, ...]:
        """Money and open positions as plain values; closed trades go apart, since they only ever become more."""
        own = self.realised, self.gross, self.spread, self.slippage, self.fees, self.borrow, tuple(self._held)
        return (*own, tuple((lane, one.values) for lane, one in self.positions.items()))

    def restore(self, state: Sequence[Any], trades: Sequence[Sequence[Any]]) -> None:
        """Go on from where another account of the same beginning was in this state, after these ``Trade.values``."""
        self.realised, self.gross, self.spread, self.slippage, self.fees, self.borrow, held, positions = state
        self._held[:] = held
        self.positions = {lane: Position.of(values) for lane, values in positions}
        self.trades[:] = [Trade.of(values, self.instruments, self.scale) for values in trades]

    def money(self, units: int) -> Decimal:
        """Return an amount of money units as exact decimal currency."""
        return exact_money(units, self.scale)

    def held(self, instrument: int) -> int:
        """Signed lots of an instrument over all lanes."""
        return self._held[instrument]

    def open(self, lane: int, instrument: int, side: Side, lots: int, ts_ns: int, fill: Fill) -> Position:
        """Open a lane's position by an entry fill, or add to the one that earlier fills of the order have opened."""
        price, reference, slippage, fee = fill
        spread = rounded((2 * price - reference) * (side * lots * self._half_units[instrument]))
        position = self.positions.get(lane)
        if position is None:
            position = Position(instrument, side, lots, lots, ts_ns, price, reference, spread, slippage, fee)
            self.positions[lane] = position
        else:
            assert position.is_of(side, fill), "an entry is filled in parts at its limit only"
            position.lots += lots
            position.entered += lots
            position.spread += spread
            position.slippage += slippage
            position.fees += fee
        self._held[instrument] += side * lots
        return position

    def close(self, lane: int, lots: int, reason: Reason, ts_ns: int, fill: Fill) -> Leg:
        """Close ``lots`` of a lane's position by an exit fill; the last leg makes the newest of ``trades``."""
        position = self.positions.get(lane)
        assert position is not None, "only an open position can be closed"
        assert 0 < lots <= position.lots, "an exit never turns a position round"
        price, reference, slippage, fee = fill
        signed = position.side * lots
        each = signed * self._half_units[position.instrument]
        gross = (reference - position.reference_half_ticks) * each
        entry_spread, entry_slippage, entry_fees = position.take_costs(lots)
        spread = rounded((reference - 2 * price) * each) + entry_spread
        slippage += entry_slippage
        fee += entry_fees
        borrow = self.borrow_fee(position, lots, ts_ns)
        leg = Leg(ts_ns, lots, price, reason, gross, spread, slippage, fee, borrow)
        position.lots -= lots
        position.legs.append(leg)
        self._held[position.instrument] -= signed
        self.realised += gross - spread - slippage - fee - borrow
        self.gross += gross
        self.spread += spread
        self.slippage += slippage
        self.fees += fee
        self.borrow += borrow
        if not position.lots:
            del self.positions[lane]
            self.trades.append(self._trade(lane, position))
        return leg

    def borrow_fee(self, position: Position, lots: int, ts_ns: int) -> int:
        """What borrowing ``lots`` of a short position costs until ``ts_ns``, in money units: a year has 365 days."""
        if position.side is LONG or not self.borrow_rate:
            return 0
        value = Fraction(position.entry_ticks * lots * self.units[position.instrument])
        return rounded(value * self.borrow_rate * Fraction(max(0, ts_ns - position.entry_ts_ns), YEAR_NS))

    def _trade(self, lane: int, position: Position) -> Trade:
        legs = position.legs
        gross, spread, slippage, fees, borrow = together(legs)
        return Trade(
            self.instruments[position.instrument],
            position.side,
            position.entered,
            position.entry_ts_ns,
            legs[-1].ts_ns,
            position.entry_ticks,
            average_price(legs),
            legs[-1].reason,
            self.scale,
            gross,
            spread,
            slippage,
            fees,
            gross - spread - slippage - fees - borrow,
            borrow,
            tuple(legs),
            lane,
            position.pair,
        )


def together(legs: Sequence[Leg]) -> tuple[int, ...]:
    """The amounts of all legs added up, in the order of a leg's fields."""
    if len(legs) == 1:
        return legs[0].amounts
    gross = spread = slippage = fees = borrow = 0
    for leg in legs:
        gross += leg.gross_units
        spread += leg.spread_units
        slippage += leg.slippage_units
        fees += leg.fee_units
        borrow += leg.borrow_units
    return gross, spread, slippage, fees, borrow


def average_price(legs: Sequence[Leg]) -> int | Fraction:
    """The average price of exit fills, weighted by lots; the price itself where there is one."""
    if len(legs) == 1:
        return legs[0].price_ticks
    value: int | Fraction = 0
    lots = 0
    for leg in legs:
        value += leg.price_ticks * leg.lots
        lots += leg.lots
    return Fraction(value, lots) if value % lots else value // lots


def exact_money(units: int, scale: int) -> Decimal:
    """An amount of money units as a decimal, whatever its length (arithmetic on decimals keeps 28 digits)."""
    return Decimal(f"{units}E-{scale}")


def exact_price(instrument: Instrument, price_ticks: int | Fraction) -> Decimal:
    """Return a price as an exact decimal; a synthetic spread may put it between two ticks."""
    if isinstance(price_ticks, int):
        return instrument.price(price_ticks)
    return (Decimal(price_ticks.numerator) / Decimal(price_ticks.denominator)).scaleb(-instrument.price_precision)


def said_price(price: Decimal) -> str:
    """A price to look at: as it is, but the mean of several exits, whose decimals may have no end, to six of them."""
    endless = -int(price.as_tuple().exponent) > MOST_DECIMALS
    return f"{round(price, 6) if endless else price:f}"
