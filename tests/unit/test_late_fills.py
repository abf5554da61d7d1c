"""A fill that is told of after its order's cancel was acknowledged: it counts, once, and nothing is dropped (E4)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine import _image
from engine.account.orders import LATE, Order, OrderError, Terms
from engine.events import CommandName, OrderCancelled, OrderFilled, Refusal
from engine.journal.codec import pack_value, unpack_values
from engine.model import OrderType, Reason, Side
from tests.props.risk_observer import Wish
from tests.unit.test_risk_in_trading import Rig

FOREVER = 1 << 50


def waiting(ticks: int = 9_990, lots: int = 5) -> Wish:
    return Wish(Side.LONG, Fraction(lots), -1, FOREVER, OrderType.LIMIT, ticks)


def called_back(part: int = 0, lots: int = 5) -> Rig:
    """An entry that waited, was filled in part or not at all, and was called back by a pause."""
    rig = Rig(units=lots)
    rig.trade(10_000, waiting(lots=lots))
    if part:
        rig.kernel._desk.filled(1, part)
    rig.command(CommandName.PAUSE)
    assert rig.kernel.lanes[0].entry is None
    return rig


def held(rig: Rig) -> int:
    """What is held, as account, risk and the core's watch have it."""
    rig.kernel._desk.reconcile()
    return rig.kernel.portfolio.held(0)


def test_an_entry_that_was_filled_before_its_cancel_is_booked_and_left_at_once() -> None:
    rig = called_back()
    rig.kernel._desk.filled(1, 5)
    assert held(rig) == 0
    (trade,) = rig.kernel.trades
    assert (trade.lots, trade.entry_ticks, trade.exit_ticks, trade.reason.value) == (5, 9_990, 10_000, "RISK")
    assert rig.kernel.core.equity == rig.kernel.portfolio.starting + trade.net_units
    first = [one for one in rig.journal.decisions if getattr(one, "order_id", 0) == 1]
    assert [type(one) for one in first[-2:]] == [OrderCancelled, OrderFilled]
    assert rig.kernel.risk.ledger.trades_today() == 1
    assert rig.kernel.risk.ledger.could_end_unfilled() == 0


def test_what_comes_late_to_a_position_that_it_had_opened_makes_it_larger() -> None:
    rig = called_back(part=2)
    assert held(rig) == 2
    rig.kernel._desk.filled(1, 2)
    rig.kernel._desk.filled(1, 1)
    assert held(rig) == 5
    assert rig.kernel.trades == []
    with pytest.raises(OrderError):
        rig.kernel._desk.filled(1, 1)  # there is nothing left of it


def test_it_is_counted_against_limits_like_any_other() -> None:
    rig = called_back()
    rig.command(CommandName.RESUME, "go on")
    rig.trade(10_000, waiting(9_980))  # the next entry waits when word of the last one comes
    rig.kernel._desk.filled(1, 5)
    assert held(rig) == 0
    cancelled = [one.order_id for one in rig.journal.decisions if isinstance(one, OrderCancelled)]
    assert cancelled == [1, 2]


def test_one_that_fits_no_position_halts() -> None:
    rig = called_back()
    rig.command(CommandName.RESUME, "go on")
    rig.trade(9_000, Side.LONG)
    assert held(rig) == 5
    with pytest.raises(OrderError, match="fit nothing open"):
        rig.kernel._desk.filled(1, 5)


def test_of_what_nothing_is_known_nothing_is_dropped_in_silence() -> None:
    rig = called_back()
    with pytest.raises(OrderError, match="order 7"):
        rig.kernel._desk.filled(7, 1)
    book = rig.kernel._desk._dispatch._book
    assert list(book.ended) == [1]
    rig.command(CommandName.RESUME, "go on")
    for _ in range(LATE):
        rig.trade(10_000, waiting())
        rig.command(CommandName.PAUSE)
        rig.command(CommandName.RESUME, "go on")
    assert len(book.ended) == LATE
    assert 1 not in book.ended


def test_an_exit_that_was_filled_before_its_cancel_closes_what_it_filled() -> None:
    rig = Rig(units=5)
    rig.trade(10_000, Side.LONG)
    desk, dispatch = rig.kernel._desk, rig.kernel._desk._dispatch
    terms = Terms(OrderType.LIMIT, 10_050, reduce_only=True)
    order = Order(dispatch.next_id, 0, 0, Side.SHORT, 3, rig.now, Reason.TARGET, terms=terms)
    desk._send(rig.kernel.risk.approve_exit(order), "TP")
    dispatch.cancel(order, "TP")
    desk.filled(order.order_id, 2)
    assert held(rig) == 3
    desk.filled(order.order_id, 1)
    assert held(rig) == 2
    rig.command(CommandName.FLATTEN)
    assert held(rig) == 0
    (trade,) = rig.kernel.trades
    assert [leg.lots for leg in trade.legs] == [2, 1, 2]


def test_a_restored_kernel_remembers_them() -> None:
    rig, other = called_back(), Rig(units=5)
    kept = pack_value(rig.kernel.kept)
    _image.put_back(other.kernel.core, bytes(_image.image_of(rig.kernel.core)))
    (state,) = unpack_values(kept)
    other.kernel.restore(state, [])
    assert pack_value(other.kernel.kept) == kept
    other.kernel._desk.filled(1, 5)
    assert [trade.reason.value for trade in other.kernel.trades] == ["RISK"]
    assert other.kernel.risk.halted is not Refusal.CONSERVATION
