"""Positions that are held while the market is closed: they sleep from its close to the next opening.

Nothing of a sleeping position is watched, whatever trades outside the session: no stop, no target, no time stop. With
the opening it is watched again, so a market that opens beyond the stop fills at its first price, not at the stop. What
is to be left while it sleeps (a time stop that runs out, a limit of the account, an operator's command) is left with an
order for the opening, which waits for the instrument's first trade.

What has to survive a restart beside the lane's own state: ``Lane.asleep``, ``Lane.slept`` and ``Lane.due``.
"""

from __future__ import annotations

from engine import _core
from engine.account.orders import Terms
from engine.model import Reason, TimeInForce
from engine.trading.lanes import Lane

AT_OPENING = Terms(time_in_force=TimeInForce.OPENING, reduce_only=True)


def fall_asleep(core: _core.Core, lane: Lane) -> bool:
    """Let an open position sleep where its strategy holds it overnight; returns whether it does."""
    if not (lane.strategy.holds_overnight and lane.in_position and lane.exit is None):
        return False
    lane.asleep = lane.slept = True
    core.hold_lane(lane.number)
    return True


def wake(core: _core.Core, lane: Lane, ts_ns: int) -> Reason | None:
    """Watch a sleeping position again from the opening on, or say why it is left instead."""
    lane.asleep = False
    reason, lane.due = lane.due, None
    if reason is None and lane.deadline_ns and lane.deadline_ns <= ts_ns:
        reason = lane.deadline_reason
    if reason is None:
        lane.held_until_ns = 0 if lane.held_until_ns <= ts_ns else lane.held_until_ns
        lane.watch(core, ts_ns + 1)  # the opening is nobody's candle yet
    return reason


def awaits_opening(core: _core.Core, lane: Lane) -> bool:
    """Whether the instrument of a position that has slept is still to trade: its last price is another day's."""
    if not lane.slept:
        return False
    first_ns, trades = core.warm_since(lane.instrument)
    on_record = core.event_record_number >= 0
    lane.slept = not (trades and (first_ns < core.event_ts_ns or (on_record and first_ns == core.event_ts_ns)))
    return lane.slept
