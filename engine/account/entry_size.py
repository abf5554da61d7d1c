"""What an entry would be before there is one: where it would stop and take its profit, and how many lots it is for."""

from __future__ import annotations

from fractions import Fraction

from engine import _core
from engine.account.entry_limits import Exits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.model import NO_PRICE, Side, Signal
from engine.quantities import parse_number
from engine.sizing import Occasion, lots_of
from engine.trading.lanes import NEVER_ABOVE, NEVER_BELOW, Lane, bounded, levels_of

SURE = Fraction(1)
"""The confidence of an entry of which nobody has said how likely it is to be right."""


def foreseen_exits(lane: Lane, side: Side, entry_ticks: int, signal: Signal | None, risk: RiskGate) -> Exits:
    """Stop and target of an entry at this price: the signal's own, else those declared.

    The stop is never wider than the account allows. Of several targets it is the nearest.
    """
    own = (NO_PRICE, NO_PRICE) if signal is None else (bounded(signal.stop_ticks), bounded(signal.target_ticks))
    stop, _, target, takes = levels_of(lane.plan, side, entry_ticks, lane.distances, risk.tighter_stop, *own)
    return Exits(_reachable(stop), _reachable(takes[0].price_ticks if takes else target))


def _reachable(ticks: int) -> int | None:
    return ticks if NEVER_BELOW < ticks < NEVER_ABOVE else None


def entry_lots(
    lane: Lane, side: Side, entry_ticks: int, exits: Exits, signal: Signal | None, core: _core.Core, account: Portfolio
) -> int:
    """Whole lots of an entry: the fixed size, or what the lane's sizing makes of this moment; 0 for none."""
    if lane.sizing is None:
        return lane.lots
    instrument = account.instruments[lane.instrument]
    ticks = 10**instrument.price_precision  # in one of the currency
    distances = lane.sizing.distances()
    measured = {name: core.value(lane.instrument, column) for name, column in lane.size_columns.items()}
    at = Occasion(
        side,
        Fraction(entry_ticks, ticks),
        Fraction(core.equity, 10**account.scale),
        None if exits.stop_ticks is None else Fraction(abs(entry_ticks - exits.stop_ticks), ticks),
        None if exits.target_ticks is None else Fraction(abs(exits.target_ticks - entry_ticks), ticks),
        SURE if signal is None or signal.confidence == 1 else parse_number(signal.confidence),
        {} if signal is None else signal.metadata,
        {name: _exact(value, ticks if name in distances else 1) for name, value in measured.items()},
    )
    wanted = lots_of(lane.sizing, at, lane.strategy.parameters, instrument.size_precision)
    return min(wanted, lane.lots)  # more than this could not be accounted for


def _exact(value: float | None, parts: int) -> Fraction | None:
    """A measured double exactly, given in so many parts of what it is wanted in; None while undefined."""
    return None if value is None or value != value else Fraction(value) / parts
