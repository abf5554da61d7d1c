"""Two lanes that are one trade: entered together or not at all, and left together.

The lane that has the rule *leads*, its ``partner`` *follows*: it has no rule and no exits of its own, but the account's
stop. An entry is judged as a whole before anything is sent, so a refusal of either leg leaves both flat. From then on
the desk asks here what becomes of the other leg: when one is left, so is the other, with the reason ``LEG``; when an
entry ends without its fill, the other leg is called back, or closed. Alone a leg can only be while an order of the
other is on its way (latency).

What has to survive a restart beside the lanes' own state: ``Lane.pair``, ``Lane.earned`` and ``Lane.pair_reason``.
"""

from __future__ import annotations

from fractions import Fraction

from engine import _core
from engine.account.entry_limits import NO_EXITS
from engine.account.orders import Approved, Order
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.events import Refusal
from engine.model import NO_PRICE, OrderType, Reason, Side
from engine.ports import Broker
from engine.trading.lanes import Lane

OF_THE_ACCOUNT = frozenset((Reason.RISK, Reason.DAY, Reason.SESSION, Reason.MANUAL, Reason.END))
"""Reasons that are both legs' own."""


def enter_together(lead: Lane, leading: Order, following: Order) -> None:
    """Note that the entries of both legs are about to be sent; the follower has no stop or target but the account's."""
    follower = lead.partner
    assert follower is not None, "called for a lane with another leg"
    lead.entry, follower.entry = leading, following
    lead.pair = follower.pair = leading.order_id
    lead.pair_reason = follower.pair_reason = Reason.LEG
    follower.stop_ticks = follower.target_ticks = NO_PRICE


def reason_of_other(reason: Reason) -> Reason:
    """Why the other leg is left when one is, for this reason."""
    return reason if reason in OF_THE_ACCOUNT else Reason.LEG


class Legs:
    """Sizes the following leg of an entry, and asks risk for it.

    Args:
        core: tells the time and the market.
        portfolio, risk, broker: the account, its gate and its venue.
    """

    def __init__(self, core: _core.Core, portfolio: Portfolio, risk: RiskGate, broker: Broker) -> None:
        self._core, self._portfolio, self._risk, self._broker = core, portfolio, risk, broker

    def approve(self, lead: Lane, leading: Order) -> Approved | Refusal:
        """Answer the entry of the following leg, with the leading one counted as sent; nothing is sent here."""
        follower, core, risk = lead.partner, self._core, self._risk
        assert follower is not None, "asked for a lane with another leg"
        index, side = follower.instrument, Side(-leading.side)
        if leading.terms.kind is not OrderType.MARKET:
            return Refusal.NO_ENTRY  # a signal's own order waits, and the other leg would stand alone meanwhile
        if side is Side.SHORT and not self._broker.may_short:
            return Refusal.NO_SHORTING
        if core.price(index) <= 0:
            return Refusal.NO_QUOTE
        lots = self._lots(lead, follower, leading)
        if not 0 < lots <= follower.lots:
            return Refusal.NO_SIZE
        order = Order(leading.order_id + 1, follower.number, index, side, lots, leading.decided_ns)
        risk.ledger.sent(leading)
        answer = risk.approve_entry(index, lambda: (order, NO_EXITS))
        risk.ledger.unsent(leading)
        if isinstance(answer, Refusal) or self._broker.has_price(answer, core.price(index), *core.quote(index)):
            return answer
        return Refusal.NO_QUOTE

    def _lots(self, lead: Lane, follower: Lane, leading: Order) -> int:
        """The nearest whole lots to the ratio's share of the leading leg's money; 0 where the ratio is undefined."""
        plan, units = lead.hedge, self._portfolio.units
        assert plan is not None, "what leads has a hedge"
        ratio = plan.ratio
        if ratio is None:
            measured = self._core.value(lead.instrument, lead.hedge_column)
            if measured is None or not measured > 0:
                return 0
            ratio = Fraction(measured)
        here, there = lead.instrument, follower.instrument
        money = leading.lots * self._risk.paying(here, leading.side) * units[here]
        lots: int = round(money * ratio / (self._risk.paying(there, Side(-leading.side)) * units[there]))
        return lots


def result_of(lane: Lane, net_units: int, reason: Reason) -> tuple[Lane, int, Reason] | None:
    """Whose trade has ended with which result and why, when a lane's has: of a pair once the second leg is closed.

    None while the other leg is still open or on its way: then the pair's result is not known.
    """
    partner = lane.partner
    if partner is None:
        return lane, net_units, reason
    lane.earned = net_units
    if reason is not Reason.LEG:
        lane.pair_reason = partner.pair_reason = reason
    if not partner.is_idle:
        return None
    total = lane.earned + partner.earned
    lane.earned = partner.earned = 0
    return (partner if lane.follows else lane), total, lane.pair_reason
