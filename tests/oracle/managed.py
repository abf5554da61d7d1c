"""Moving stops by their definitions: a loop over trades with fractions, which shares no code with the engine.

A position is entered on a trade of size 7 (long) or 9 (short), at its price, while there is none. From the next trade
on it is looked at trade by trade: first the stop, the tightest of those in force before the trade, then the target,
then the rule's turning to the other side. Only then does the trade count as a price that the stop may follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

LONG_SIZE, SHORT_SIZE = 7, 9
Row = tuple[int, int, int]
"""Time in ns, price in ticks, size in lots."""


@dataclass(frozen=True)
class Plan:
    """Ratios of the entry price; None for an exit that is not declared."""

    stop: Fraction | None = None
    target: Fraction | None = None
    reward: Fraction | None = None
    even: tuple[Fraction, Fraction] | None = None  # after, keep
    trail: tuple[Fraction, Fraction] | None = None  # distance, after
    trail_ticks: Fraction | None = None  # distance in price, from the entry on
    decay: tuple[int, Fraction] | None = None  # ns, to
    opposite: bool = False
    hold: int = 0  # ns before which the target does not count


@dataclass(frozen=True)
class Closed:
    """A trade as it was made."""

    side: int
    entry_ns: int
    exit_ns: int
    entry: int
    exit: int
    reason: str


def away(side: int, price: Fraction) -> int:
    """The tick that is no better than ``price`` for a position of this side."""
    return floor(price) if side > 0 else ceil(price)


def stops(plan: Plan, side: int, entry: int, entry_ns: int, best: int, now_ns: int) -> list[tuple[int, str]]:
    """Every stop in force, as (tick, reason), the declared one first."""
    found: list[tuple[int, str]] = []
    if plan.stop is not None:
        declared = away(side, entry * (1 - side * plan.stop))
        found.append((declared, "SL"))
        if plan.decay is not None:
            over, to = plan.decay
            whole = floor(abs(entry - declared) * (1 - to))
            closer = floor(Fraction(whole * min(now_ns - entry_ns, over), over))
            if closer:
                found.append((declared + side * closer, "DECAY"))
    gain = Fraction(side * (best - entry), entry)
    if plan.even is not None and gain >= plan.even[0]:
        found.append((away(side, entry * (1 + side * plan.even[1])), "BE"))
    if plan.trail is not None and gain >= plan.trail[1]:
        found.append((away(side, best * (1 - side * plan.trail[0])), "TRAIL"))
    if plan.trail_ticks is not None:
        found.append((best - side * max(1, ceil(plan.trail_ticks)), "TRAIL"))
    return found


def run(rows: list[Row], plan: Plan) -> list[Closed]:
    """Every closed trade; one that is open at the end is left out."""
    closed: list[Closed] = []
    side = entry = entry_ns = best = 0
    state = 0
    for ts_ns, price, size in rows:
        signal = {LONG_SIZE: 1, SHORT_SIZE: -1}.get(size, 0)
        if side:
            reason = ""
            in_force = stops(plan, side, entry, entry_ns, best, ts_ns)
            tightest = max((side * tick for tick, _ in in_force), default=None)
            if tightest is not None and side * price <= tightest:
                reason = next(reason for tick, reason in in_force if side * tick == tightest)
            elif ts_ns - entry_ns >= plan.hold and hits_target(plan, side, entry, price):
                reason = "TP"
            elif plan.opposite and signal == -side:
                reason = "OPP"
            if reason:
                closed.append(Closed(side, entry_ns, ts_ns, entry, price, reason))
                side, state = 0, 0  # a signal that still holds on the next trade begins there
                continue
            best = max(best, price) if side > 0 else min(best, price)
            continue
        if signal and signal != state:
            side, entry, entry_ns, best = signal, price, ts_ns, price
        state = signal
    return closed


def hits_target(plan: Plan, side: int, entry: int, price: int) -> bool:
    """Whether the price has come far enough."""
    distance = plan.target
    if plan.reward is not None and plan.stop is not None:
        distance = plan.stop * plan.reward
    return distance is not None and side * (price - entry) >= entry * distance
