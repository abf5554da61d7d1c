"""The gate: each limit one unit below, at and above; its three states; and at exactly which loss the day is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest

from engine.account.entry_limits import NO_EXITS, Exits
from engine.account.limits import ALL_OFF, LIMITS, PROFILES, RiskLimits, profile, tightest, with_limits
from engine.account.orders import Approved, Order, OrderError, Terms
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate, TradingState
from engine.errors import ConfigError
from engine.events import Refusal
from engine.indicators import atr
from engine.model import Instrument, OrderType, Reason, Side
from engine.rules import bars, minutes

SECOND = 1_000_000_000
SHARE = Instrument("SHARE", 2, 0)
COIN = Instrument("COIN", 2, 3)  # a lot is a thousandth
INSTRUMENTS = [SHARE, COIN]


@dataclass
class Prices:
    """A market that stands where it is put: last trades, quotes and equity."""

    equity: int = 0
    drawdown_reached: bool = False
    last: list[int] = field(default_factory=lambda: [10_000, 5_000])  # 100.00 and 50.00
    quotes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0), (0, 0)])
    ranges: list[float | None] = field(default_factory=lambda: [None, None])

    def price(self, instrument: int) -> int:
        return self.last[instrument]

    def quote(self, instrument: int) -> tuple[int, int]:
        return self.quotes[instrument]

    def value(self, instrument: int, column: int) -> float | None:
        return self.ranges[instrument] if column == instrument + 7 else None


class Desk:
    """A gate with an account and a market, and orders sent through it."""

    def __init__(self, limits: RiskLimits, cash: Fraction | int = 10_000) -> None:
        self.portfolio = Portfolio(INSTRUMENTS, Fraction(cash))
        self.gate = RiskGate(limits, self.portfolio)
        self.market = Prices(self.portfolio.starting)
        self.gate.watch(self.market, [7, 8])
        self.ids = 0

    def order(
        self, lots: int, *, instrument: int = 0, side: Side = Side.LONG, ts_ns: int = 0, lane: int | None = None
    ) -> Order:
        self.ids += 1
        return Order(self.ids, self.ids if lane is None else lane, instrument, side, lots, ts_ns)

    def ask(self, lots: int, exits: Exits | None = None, **more: int | Side) -> Refusal | None:
        """Why an entry is refused, or None; nothing is sent."""
        answer = self.answer(self.order(lots, **more), exits or NO_EXITS)  # type: ignore[arg-type]
        return answer if isinstance(answer, Refusal) else None

    def answer(self, order: Order, exits: Exits = NO_EXITS) -> Approved | Refusal:
        return self.gate.approve_entry(order.instrument, lambda: (order, exits))

    def send(self, lots: int, **more: int | Side) -> Order:
        order = self.order(lots, **more)  # type: ignore[arg-type]
        self.gate.ledger.sent(order)
        return order

    def buy(self, lots: int, **more: int | Side) -> Order:
        """An entry that is filled at once."""
        order = self.send(lots, **more)
        self.gate.ledger.filled(order, lots)
        return order

    def sell(self, entry: Order, ts_ns: int = 0, net: int = 0, reason: Reason = Reason.TIME) -> None:
        """Close what an entry opened, at once, for this result and reason."""
        self.ids += 1
        order = Order(self.ids, entry.lane, entry.instrument, Side(-entry.side), entry.lots, ts_ns, reason)
        self.gate.ledger.sent(order)
        self.gate.ledger.filled(order, entry.lots)
        self.gate.ledger.closed(net, reason)


def only(**limits: object) -> RiskLimits:
    return with_limits(ALL_OFF, limits)


# ---------------------------------------------------------------- one unit below, at, above


@pytest.mark.parametrize(
    ("limits", "instrument", "most", "refusal"),
    [
        ({"max_order_units": 7}, 0, 7, Refusal.ORDER_UNITS),
        ({"max_order_units": "0.25"}, 1, 250, Refusal.ORDER_UNITS),
        ({"max_order_value": 700}, 0, 7, Refusal.ORDER_VALUE),
        ({"max_order_value": "12.5"}, 1, 250, Refusal.ORDER_VALUE),
        ({"max_position_units": 7}, 0, 7, Refusal.POSITION_UNITS),
        ({"max_position_value": 799}, 0, 7, Refusal.POSITION_VALUE),
        ({"position_capital_fraction": "7%"}, 0, 7, Refusal.POSITION_CAPITAL),
        ({"max_total_capital_fraction": "0.07999"}, 0, 7, Refusal.TOTAL_CAPITAL),
        ({"max_leverage": 2}, 0, 200, Refusal.LEVERAGE),
        ({"max_leverage": "1/3"}, 0, 33, Refusal.LEVERAGE),
        ({"pdt": "intraday_margin"}, 0, 400, Refusal.PDT),
    ],
)
def test_a_limit_on_size_one_lot_below_at_and_above(limits, instrument, most, refusal):
    desk = Desk(only(**limits))
    assert desk.ask(most - 1, instrument=instrument) is None
    assert desk.ask(most, instrument=instrument) is None
    assert desk.ask(most + 1, instrument=instrument) is refusal


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({"max_position_units": 7}, Refusal.POSITION_UNITS),
        ({"max_position_value": 700}, Refusal.POSITION_VALUE),
        ({"position_capital_fraction": "7%"}, Refusal.POSITION_CAPITAL),
        ({"max_total_capital_fraction": "7%"}, Refusal.TOTAL_CAPITAL),
        ({"max_leverage": "0.07"}, Refusal.LEVERAGE),
    ],
)
def test_what_is_held_and_what_is_sent_counts_together(limits, refusal):
    desk = Desk(only(**limits))
    desk.buy(2)
    sent = desk.send(3)
    assert (desk.ask(2), desk.ask(3)) == (None, refusal)
    desk.gate.ledger.filled(sent, 1)  # in part: two are still on their way
    assert (desk.ask(2), desk.ask(3)) == (None, refusal)
    desk.gate.ledger.cancelled(sent)
    assert (desk.ask(4), desk.ask(5)) == (None, refusal)


def test_orders_on_another_symbol_are_no_part_of_the_position():
    desk = Desk(only(max_position_units=5))
    desk.send(3_000, instrument=1)
    assert (desk.ask(5), desk.ask(6)) == (None, Refusal.POSITION_UNITS)


def test_an_order_that_was_only_supposed_leaves_no_trace():
    desk = Desk(only(max_open_orders=2, max_orders_per_second=2, duplicate_window="1s"))
    desk.send(4)
    supposed = desk.send(5)
    assert desk.ask(6) is Refusal.OPEN_ORDERS
    desk.gate.ledger.unsent(supposed)
    assert desk.ask(5) is None
    assert desk.ask(4) is Refusal.DUPLICATE


def test_an_exit_is_no_twin_of_an_entry():
    desk = Desk(only(duplicate_window="1s"))
    desk.sell(desk.buy(5))
    assert desk.ask(5, side=Side.SHORT) is None


def test_the_other_side_of_a_symbol_does_not_make_room():
    desk = Desk(only(max_position_units=5, max_leverage=1))
    desk.buy(5, side=Side.SHORT)
    assert desk.ask(5) is None  # five short may be closed a moment later: what is bought then stands alone
    assert desk.ask(6) is Refusal.POSITION_UNITS
    desk.market.equity //= 20  # 500: ten shares of 100 on both sides together are twice that
    assert desk.ask(5) is Refusal.LEVERAGE


def test_total_capital_counts_every_symbol_at_its_last_price():
    desk = Desk(only(max_total_capital_fraction="10%"))
    desk.buy(10_000, instrument=1)  # ten coins at 50
    assert (desk.ask(5), desk.ask(6)) == (None, Refusal.TOTAL_CAPITAL)
    desk.market.last[1] = 5_010
    assert desk.ask(5) is Refusal.TOTAL_CAPITAL


def test_an_order_is_valued_at_what_it_would_pay():
    desk = Desk(only(max_order_value=1_000))
    assert desk.ask(10) is None
    desk.market.quotes[0] = (9_999, 10_001)
    assert desk.ask(10) is Refusal.ORDER_VALUE
    assert desk.ask(10, side=Side.SHORT) is None


@pytest.mark.parametrize("side", list(Side))
def test_the_collar_one_tick_below_at_and_above(side):
    desk = Desk(only(price_collar="3%"))
    for away, refusal in ((299, None), (300, None), (301, Refusal.PRICE_COLLAR)):
        desk.market.quotes[0] = (10_000 - away, 10_000 + away)
        assert desk.ask(1, side=side) is refusal


@pytest.mark.parametrize(
    ("quote", "lowest", "highest"),
    [
        ((10_199, 10_201), 10_098, 10_302),  # the market has moved on since the last trade at 10,000
        ((10_199, 10_202), 10_099, 10_302),  # 1 % of 10,200.5 either way
        ((10_200, 10_200), 10_098, 10_302),
        ((0, 0), 9_900, 10_100),
        ((10_199, 0), 9_900, 10_100),  # half a quote
        ((0, 10_201), 9_900, 10_100),
        ((10_201, 10_199), 9_900, 10_100),  # crossed
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_the_collar_lies_around_the_quote_and_without_a_good_one_around_the_last_trade(side, quote, lowest, highest):
    desk = Desk(only(price_collar="1%"))
    desk.market.quotes[0] = quote
    for limit, inside in ((lowest - 1, False), (lowest, True), (highest, True), (highest + 1, False)):
        order = replace(desk.order(1, side=side), terms=Terms(OrderType.LIMIT, limit))
        assert desk.answer(order) == (Approved(order) if inside else Refusal.PRICE_COLLAR)


def test_an_order_that_waits_is_judged_at_its_own_price():
    desk = Desk(only(price_collar="1%", max_order_value=1_000))
    desk.market.quotes[0] = (9_999, 10_001)
    for limit, lots, refusal in (
        (9_900, 10, None),
        (9_899, 10, Refusal.PRICE_COLLAR),
        (10_000, 10, None),
        (10_000, 11, Refusal.ORDER_VALUE),
        (10_001, 10, Refusal.ORDER_VALUE),
    ):
        order = replace(desk.order(lots), terms=Terms(OrderType.LIMIT, limit))
        assert desk.answer(order) == (refusal or Approved(order))
    stop = replace(desk.order(1), terms=Terms(OrderType.STOP, trigger_ticks=10_101))
    assert desk.answer(stop) is Refusal.PRICE_COLLAR


def test_orders_on_their_way_one_below_at_and_above():
    desk = Desk(only(max_open_orders=2))
    assert desk.ask(1) is None
    first = desk.send(1)
    assert desk.ask(1) is None
    desk.send(1)
    assert desk.ask(1) is Refusal.OPEN_ORDERS
    desk.gate.ledger.filled(first, 1)
    assert desk.ask(1) is None


def test_orders_of_a_rolling_second_exits_included():
    desk = Desk(only(max_orders_per_second=3))
    entry = desk.buy(1, ts_ns=100)
    desk.sell(entry, ts_ns=200)
    assert desk.ask(1, ts_ns=300) is None
    desk.send(1, ts_ns=300)
    assert desk.ask(1, ts_ns=SECOND + 99) is Refusal.ORDER_RATE
    assert desk.ask(1, ts_ns=SECOND + 100) is None  # the first is a full second ago


def test_the_same_entry_again_one_nanosecond_too_soon_and_in_time():
    desk = Desk(only(duplicate_window="1s"))
    desk.buy(5, ts_ns=100)
    assert desk.ask(5, ts_ns=SECOND + 99) is Refusal.DUPLICATE
    assert desk.ask(6, ts_ns=SECOND + 99) is None
    assert desk.ask(5, ts_ns=SECOND + 99, side=Side.SHORT) is None
    assert desk.ask(5, ts_ns=SECOND + 99, instrument=1) is None
    assert desk.ask(5, ts_ns=SECOND + 100) is None


def test_positions_of_a_symbol_one_below_at_and_above():
    desk = Desk(only(positions_per_symbol=2))
    desk.buy(1)
    assert desk.ask(1) is None
    desk.send(1)
    assert desk.ask(1) is Refusal.POSITION_OPEN
    assert desk.ask(1, instrument=1) is None


def test_entries_of_a_day_one_below_at_and_above():
    desk = Desk(only(max_trades_per_day=2))
    desk.sell(desk.buy(1))
    assert desk.ask(1) is None
    on_its_way = desk.send(1)
    assert desk.ask(1) is Refusal.TRADES_PER_DAY
    desk.gate.ledger.cancelled(on_its_way)
    assert desk.ask(1) is None
    desk.buy(1)
    assert desk.ask(1) is Refusal.TRADES_PER_DAY
    desk.gate.start_day(desk.portfolio.starting, 1)
    assert desk.ask(1) is None


def test_losses_in_a_row_one_below_at_and_above():
    desk = Desk(only(max_losses_in_row=2))
    desk.sell(desk.buy(1), net=-1)
    assert desk.ask(1) is None
    desk.sell(desk.buy(1), net=0)  # no loss: the row is broken
    desk.sell(desk.buy(1), net=-1)
    assert desk.ask(1) is None
    desk.sell(desk.buy(1), net=-1)
    assert desk.ask(1) is Refusal.LOSSES_IN_ROW
    desk.gate.start_day(desk.portfolio.starting, 1)
    assert desk.ask(1) is None


@pytest.mark.parametrize("stop", [Reason.STOP, Reason.DECAYED, Reason.EVEN, Reason.TRAILING, Reason.ACCOUNT_STOP])
def test_stops_in_a_row_one_below_at_and_above(stop):
    desk = Desk(only(max_stops_in_row=2))
    desk.sell(desk.buy(1), net=5, reason=stop)  # a stop is one whatever it came to
    assert desk.ask(1) is None
    desk.sell(desk.buy(1), net=-5, reason=Reason.TIME)
    desk.sell(desk.buy(1), net=-5, reason=stop)
    assert desk.ask(1) is None
    desk.sell(desk.buy(1), net=-5, reason=stop)
    assert desk.ask(1) is Refusal.STOPS_IN_ROW
    desk.gate.start_day(desk.portfolio.starting, 1)
    assert desk.ask(1) is None


def test_the_cancel_ratio_one_below_at_and_above():
    desk = Desk(only(max_cancel_ratio="1.5"))
    desk.gate.ledger.cancelled(desk.send(1))  # with none filled yet, as many may go unfilled as against one
    assert desk.ask(1) is Refusal.CANCEL_RATIO  # this one may be the second
    desk.gate.start_day(desk.portfolio.starting, 1)
    desk.buy(1)
    on_its_way = desk.send(2)
    assert desk.ask(1) is Refusal.CANCEL_RATIO
    desk.gate.ledger.filled(on_its_way, 1)  # in part is filled, what becomes of the rest is no matter
    assert desk.ask(1) is None
    desk.gate.ledger.cancelled(on_its_way)
    for _ in range(2):
        assert desk.ask(1) is None
        desk.gate.ledger.cancelled(desk.send(1))
    assert desk.ask(1) is None  # the third unfilled of 1.5 against each of two
    desk.gate.ledger.cancelled(desk.send(1))
    assert desk.ask(1) is Refusal.CANCEL_RATIO


def test_an_exit_that_is_called_back_is_no_cancelled_entry():
    desk = Desk(only(max_cancel_ratio=1))
    target = Order(9, desk.buy(1).lane, 0, Side.SHORT, 1, 0, Reason.TARGET)
    desk.gate.ledger.sent(target)
    desk.gate.ledger.cancelled(target)
    assert desk.gate.ledger.could_end_unfilled() == 0


def liquidated_at(price: Fraction, side: Side, leverage: Fraction, margin: Fraction) -> Fraction:
    """Where a position of an account that holds nothing else is liquidated, as brokers and exchanges publish it."""
    return price * (1 - side / leverage) / (1 - side * margin)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 200), Fraction(1, 4)])
@pytest.mark.parametrize("lots", [100, 150, 300, 390])
def test_the_liquidation_buffer_one_unit_below_at_and_above(side, margin, lots):
    """10,000 of equity: from leverage 1 to 3.9, and a margin of a quarter leaves nothing from 4 on."""
    desk = Desk(only(liquidation_buffer="2", maintenance_margin=margin))
    away = abs(liquidated_at(Fraction(10_000), side, Fraction(lots, 100), margin) - 10_000)
    for range_ticks, refusal in (
        (away / 2 - Fraction(1, 1 << 30), None),
        (away / 2, None),
        (away / 2 + Fraction(1, 1 << 30), Refusal.LIQUIDATION),
    ):
        desk.market.ranges[0] = range_ticks  # type: ignore[call-overload]
        assert desk.ask(lots, side=side) is refusal


def test_liquidation_counts_everything_held_and_a_larger_order_is_refused_first():
    desk = Desk(only(liquidation_buffer=3, maintenance_margin="10%"))
    desk.market.ranges = [100.0, None]
    desk.buy(100_000, instrument=1)  # 5,000 of coins: 500 of margin
    # 10,000 - 10% of (5,000 + 100 q) >= 3 * 1.00 * q * 0.9 at q = 748 (9,500 = 12.7 q)
    assert (desk.ask(748), desk.ask(749)) == (None, Refusal.LIQUIDATION)
    desk.send(700)
    assert (desk.ask(48), desk.ask(49)) == (None, Refusal.LIQUIDATION)


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_where_the_range_is_not_known_yet_nothing_is_entered(unknown):
    desk = Desk(only(liquidation_buffer="0.1"))
    desk.market.ranges[0] = unknown
    assert desk.ask(1) is Refusal.LIQUIDATION


@pytest.mark.parametrize(
    ("side", "stop", "target", "refusal"),
    [
        (Side.LONG, 9_900, 10_149, Refusal.REWARD_RISK),
        (Side.LONG, 9_900, 10_150, None),
        (Side.LONG, 9_900, 10_151, None),
        (Side.SHORT, 10_100, 9_851, Refusal.REWARD_RISK),
        (Side.SHORT, 10_100, 9_850, None),
        (Side.LONG, None, 10_150, Refusal.REWARD_RISK),
        (Side.LONG, 9_900, None, Refusal.REWARD_RISK),
        (Side.LONG, 9_999, 10_002, None),
        (Side.LONG, 10_000, 10_150, Refusal.REWARD_RISK),  # a stop at the entry risks nothing that could be measured
    ],
)
def test_reward_to_risk_one_tick_below_at_and_above(side, stop, target, refusal):
    assert Desk(only(min_reward_risk="1.5")).ask(1, Exits(stop, target), side=side) is refusal


@pytest.mark.parametrize(
    ("side", "entry", "own", "found"),
    [
        (Side.LONG, 10_000, 9_799, (9_800, True)),
        (Side.LONG, 10_000, 9_800, (9_800, False)),
        (Side.LONG, 10_000, 9_801, (9_801, False)),
        (Side.SHORT, 10_000, 10_201, (10_200, True)),
        (Side.SHORT, 10_000, 10_200, (10_200, False)),
        (Side.LONG, 10_001, 0, (9_800, True)),  # 9800.98: the first tick at which the loss is 2 % or more
        (Side.SHORT, Fraction(20_001, 2), 1 << 62, (10_201, True)),  # 10200.51
    ],
)
def test_the_tighter_of_the_accounts_stop_and_the_strategys(side, entry, own, found):
    assert Desk(only(position_stop="2%")).gate.tighter_stop(side, entry, own) == found
    assert Desk(ALL_OFF).gate.tighter_stop(side, entry, own) == (own, False)


# ---------------------------------------------------------------- the day's loss


@pytest.mark.parametrize("cash", [Fraction(10_000), Fraction(1, 3), Fraction("0.000000000001")])
@pytest.mark.parametrize("limit", [Fraction(1, 20), Fraction(1, 3), Fraction(1)])
def test_the_floor_is_exact_to_the_unit(cash, limit):
    desk = Desk(only(daily_loss_limit=limit), cash)
    gate, exact = desk.gate, desk.portfolio.starting * (1 - limit)
    assert gate.floor is not None
    assert gate.floor <= exact < gate.floor + 1
    reached = []
    for each in (1, 0, -1):
        desk.market.equity = gate.floor + each
        reached.append(gate.loss())
    assert reached == [None, Refusal.DAILY_LOSS, Refusal.DAILY_LOSS]


def test_of_two_daily_limits_the_nearer_one_counts():
    desk = Desk(only(daily_loss_limit="5%", daily_loss_money=200))
    unit = 10**desk.portfolio.scale
    assert desk.gate.floor == 9_800 * unit
    desk.gate.start_day(3_000 * unit, 1)
    assert desk.gate.floor == 2_850 * unit
    without = Desk(ALL_OFF)
    without.market.equity = -(10**30)
    assert (without.gate.floor, without.gate.loss()) == (None, None)


def test_a_new_day_measures_from_its_own_start():
    desk = Desk(RiskLimits())
    desk.gate.day_halted = True
    assert (desk.ask(1), desk.gate.live_floor) == (Refusal.DAILY_LOSS, None)
    desk.gate.start_day(desk.portfolio.starting // 2, 1)
    assert desk.ask(1) is None
    assert desk.gate.live_floor == desk.portfolio.starting // 2 * 19 // 20


def test_a_loss_that_an_entrys_own_costs_made_refuses_before_the_next_trade_tells():
    desk = Desk(RiskLimits())
    desk.market.equity = desk.gate.floor + 1
    assert desk.ask(1) is None
    desk.market.equity -= 1
    assert desk.ask(1) is Refusal.DAILY_LOSS
    desk.market.equity, desk.market.drawdown_reached = desk.portfolio.starting, True
    assert desk.ask(1) is Refusal.DRAWDOWN


# ---------------------------------------------------------------- the pattern-day-trader rule


def day_trade(desk: Desk) -> None:
    desk.sell(desk.buy(1))


def test_pdt_a_fourth_day_trade_in_five_days_is_not_begun():
    desk = Desk(only(pdt="legacy"), cash=24_999)
    for number, trades in ((0, 1), (1, 0), (2, 2)):
        desk.gate.start_day(desk.portfolio.starting, number)
        for _ in range(trades):
            assert desk.ask(1) is None
            day_trade(desk)
    assert desk.ask(1) is Refusal.PDT
    for number, refusal in (
        (3, Refusal.PDT),
        (4, Refusal.PDT),
        (5, None),
        (6, None),
    ):  # day 0 leaves the window on day 5
        desk.gate.start_day(desk.portfolio.starting, number)
        assert desk.ask(1) is refusal
    day_trade(desk)
    assert desk.ask(1) is Refusal.PDT  # day 2's two and today's one


def test_pdt_counts_what_may_still_become_a_day_trade():
    desk = Desk(only(pdt="legacy"), cash=24_999)
    day_trade(desk)
    desk.buy(1)
    assert desk.ask(1) is None
    coming = desk.send(1)
    assert desk.ask(1) is Refusal.PDT
    desk.gate.ledger.cancelled(coming)
    assert desk.ask(1) is None


def test_pdt_a_position_held_over_night_is_no_day_trade():
    desk = Desk(only(pdt="legacy"), cash=24_999)
    for number in range(4):
        desk.gate.start_day(desk.portfolio.starting, number)
        entry = desk.buy(1)
        desk.gate.start_day(desk.portfolio.starting, number + 1)
        assert desk.gate.ledger.possible_day_trades() == 0
        desk.sell(entry)
        assert desk.ask(1) is None


def test_pdt_what_is_added_today_and_sold_today_is_a_day_trade():
    """An entry that waits over night is filled in part on each day."""
    desk = Desk(only(pdt="legacy"), cash=24_999)
    entry = desk.send(4)
    desk.gate.ledger.filled(entry, 1)
    desk.gate.start_day(desk.portfolio.starting, 1)
    assert desk.gate.ledger.possible_day_trades() == 1  # what is still on its way may become one
    desk.gate.ledger.filled(entry, 3)
    assert desk.gate.ledger.possible_day_trades() == 1
    desk.sell(entry)
    desk.gate.start_day(desk.portfolio.starting, 2)
    assert desk.gate.ledger.possible_day_trades() == 1  # and one it was


def test_pdt_does_not_concern_an_account_of_25_000():
    for cash, refusal in ((Fraction("24999.99"), Refusal.PDT), (Fraction(25_000), None)):
        desk = Desk(only(pdt="legacy"), cash)
        for _ in range(3):
            day_trade(desk)
        assert desk.ask(1) is refusal


def test_pdt_several_exits_of_one_position_are_one_day_trade():
    desk = Desk(only(pdt="legacy"), cash=24_999)
    entry = desk.buy(4)
    for number in range(4):
        leg = Order(100 + number, entry.lane, 0, Side.SHORT, 1, 0, Reason.TARGET)
        desk.gate.ledger.sent(leg)
        desk.gate.ledger.filled(leg, 1)
    assert desk.gate.ledger.possible_day_trades() == 1


@pytest.mark.parametrize(
    ("cash", "side", "lots", "refusal"),
    [
        (2_000, Side.LONG, 80, None),  # 8,000 of value asks for 2,000
        (2_000, Side.LONG, 81, Refusal.PDT),
        (3_000, Side.SHORT, 100, None),  # 30 % of 10,000
        (3_000, Side.SHORT, 101, Refusal.PDT),
        (1_999, Side.LONG, 1, Refusal.PDT),  # the least equity of a margin account
    ],
)
def test_intraday_margin_asks_for_maintenance_margin(cash, side, lots, refusal):
    assert Desk(only(pdt="intraday_margin"), cash).ask(lots, side=side) is refusal


def test_intraday_margin_of_a_cheap_share_sold_short_is_five_dollars():
    desk = Desk(only(pdt="intraday_margin"), 5_000)
    desk.market.last[0] = 1_000  # 10.00: 30 % would be 3
    assert (desk.ask(1_000, side=Side.SHORT), desk.ask(1_001, side=Side.SHORT)) == (None, Refusal.PDT)


def test_intraday_margin_counts_what_is_held_and_what_is_on_its_way():
    desk = Desk(only(pdt="intraday_margin"), 3_000)
    desk.buy(20)
    desk.send(20)  # 4,000 of value together: 1,000 of margin
    assert (desk.ask(80), desk.ask(81)) == (None, Refusal.PDT)
    assert (desk.ask(66, side=Side.SHORT), desk.ask(67, side=Side.SHORT)) == (None, Refusal.PDT)  # 30 % of 6,700


def test_intraday_margin_of_a_part_of_a_unit_is_a_part_of_five_dollars():
    desk = Desk(only(pdt="intraday_margin"), 5_000)
    desk.market.last[1] = 1_000  # 10.00; a lot is a thousandth
    assert desk.ask(1_000_000, instrument=1, side=Side.SHORT) is None
    assert desk.ask(1_000_001, instrument=1, side=Side.SHORT) is Refusal.PDT


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("drawdown", ["off", "5%"])
def test_what_is_still_watched_of_losses(drawdown):
    desk = Desk(only(daily_loss_limit="1%", max_drawdown=drawdown))
    gate, floor, share = desk.gate, desk.market.equity * 99 // 100, (0, 0) if drawdown == "off" else (1, 20)
    assert (gate.loss(), gate.live_floor, gate.live_drawdown) == (None, floor, share)
    desk.market.equity = floor
    assert gate.loss() is Refusal.DAILY_LOSS
    gate.day_halted = True
    assert (gate.loss(), gate.live_floor, gate.live_drawdown) == (None, None, share)
    desk.market.drawdown_reached = True
    assert gate.loss() is Refusal.DRAWDOWN
    gate.halt(Refusal.HALTED)
    assert (gate.loss(), gate.live_floor, gate.live_drawdown) == (None, None, (0, 0))


def test_the_range_is_asked_for_where_it_is_needed_only():
    assert Desk(only(liquidation_bar="5m")).gate.range is None
    assert str(Desk(only(liquidation_buffer=1)).gate.range) == str(atr(bars(minutes(1)), 14))
    assert str(Desk(only(liquidation_buffer=1, liquidation_bar="5m")).gate.range) == str(atr(bars(minutes(5)), 14))


def test_an_open_position_is_refused_first_then_the_gravest_reason():
    desk = Desk(RiskLimits())
    gate = desk.gate
    held = desk.buy(1)
    gate.paused = gate.day_halted = True
    gate.feed_refusal = Refusal.FEED_STALE
    gate.halt(Refusal.DRAWDOWN)
    assert desk.ask(1) is Refusal.POSITION_OPEN
    desk.sell(held)
    assert (desk.ask(1), gate.state) == (Refusal.DRAWDOWN, TradingState.HALTED)
    assert gate.resume("looked at it")
    assert (desk.ask(1), gate.state) == (Refusal.DAILY_LOSS, TradingState.REDUCING)
    gate.day_halted = False
    assert (desk.ask(1), gate.state) == (Refusal.FEED_STALE, TradingState.REDUCING)
    gate.feed_refusal, gate.paused = None, True
    assert (desk.ask(1), gate.state) == (Refusal.PAUSED, TradingState.REDUCING)
    assert gate.resume("")
    assert (desk.ask(1), gate.state) == (None, TradingState.ACTIVE)
    assert not gate.resume("")


def test_a_halt_ends_only_with_a_reason_and_the_first_one_stands():
    gate = Desk(RiskLimits()).gate
    assert gate.halt(Refusal.DRAWDOWN)
    assert not gate.halt(Refusal.HALTED)
    for empty in ("", "  \t"):
        assert not gate.resume(empty)
        assert gate.standing is Refusal.DRAWDOWN
    assert gate.resume("new money came in")
    assert gate.standing is None


def test_three_errors_in_a_row_are_too_many():
    gate = Desk(RiskLimits()).gate
    assert [gate.fault() for _ in range(3)] == [False, False, True]
    gate.halt(Refusal.ERRORS)
    gate.resume("restarted the venue")
    assert [gate.fault(), gate.fault()] == [False, False]
    gate.errors = 0  # a good input came between
    assert [gate.fault(), gate.fault()] == [False, False]


def test_an_exit_passes_whatever_is_refused():
    desk = Desk(with_limits(PROFILES["guarded"].limits, {"max_open_orders": 1}))
    desk.gate.halt(Refusal.HALTED)
    desk.gate.day_halted = desk.gate.paused = True
    desk.send(1)
    order = Order(9, 9, 0, Side.SHORT, 1 << 39, 0, Reason.STOP)
    assert desk.gate.approve_exit(order) == Approved(order)


def test_a_fill_beyond_the_order_and_an_exit_beyond_the_position_are_faults():
    ledger = Desk(ALL_OFF).gate.ledger
    order = Order(1, 0, 0, Side.LONG, 5, 0)
    ledger.sent(order)
    with pytest.raises(OrderError, match="by 1 lots beyond what was sent"):
        ledger.filled(order, 6)
    ledger.filled(order, 5)
    out = Order(2, 0, 0, Side.SHORT, 6, 0, Reason.STOP)
    ledger.sent(out)
    with pytest.raises(OrderError, match="closed 6 lots and held 5"):
        ledger.filled(out, 6)
    ledger.filled(out, 5)
    with pytest.raises(OrderError, match="closed 1 lots and held 0"):
        ledger.filled(out, 1)


def test_an_entry_stays_as_it_was_approved_and_an_exit_may_grow_with_its_position():
    ledger = Desk(ALL_OFF).gate.ledger
    entry, target = Order(1, 0, 0, Side.LONG, 5, 0), Order(2, 0, 0, Side.SHORT, 1, 0, Reason.TARGET)
    for order in (entry, target):
        ledger.sent(order)
        order.lots += 1
    with pytest.raises(OrderError, match="stays as it was approved"):
        ledger.resized(entry)
    ledger.resized(target)
    assert ledger.left == {1: 5, 2: 2}


# ---------------------------------------------------------------- limits as data


def test_every_limit_is_in_the_table_once_with_a_refusal_of_its_own():
    names = [limit.name for limit in LIMITS]
    assert sorted(names) == sorted(RiskLimits.__dataclass_fields__)
    own = [limit.refusal for limit in LIMITS if limit.refusal not in (None, Refusal.DAILY_LOSS)]
    assert len(own) == len(set(own)) == len(names) - 5  # a day's loss has two limits; three refuse nothing


@pytest.mark.parametrize("off", ["off", "", 0, "0", "0%", None])
@pytest.mark.parametrize("limit", [one for one in LIMITS if one.name != "pdt"], ids=lambda one: one.name)
def test_nothing_and_zero_mean_off(limit, off):
    assert limit.read("0s" if off == "0%" and limit.measure == "duration" else "0" if off == "0%" else off) is None


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_profile_reads_back_as_it_is_written(name):
    limits = profile(name).limits
    assert with_limits(ALL_OFF, limits.to_json()) == limits


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_order_units": "-1"}, "risk.max_order_units: max_order_units is negative"),
        ({"max_open_orders": "1.5"}, "not a whole number"),
        ({"pdt": "legaci"}, "there is no policy 'legaci'; did you mean 'legacy'?"),
        ({"max_order": 1}, "there is no limit 'max_order'; did you mean 'max_order_"),
        ({"price_collar": "wide"}, "risk.price_collar: 'wide' is not a ratio"),
        ({"duplicate_window": "soon"}, "risk.duplicate_window: 'soon' is not a duration"),
        ({"max_drawdown": "1/16777217"}, "too fine"),
        ({"max_drawdown": "101%"}, "more than everything"),
        ({"maintenance_margin": "101%"}, "more than everything"),
        ({"liquidation_bar": "999ms"}, "risk.liquidation_bar: bars of 999ms cannot be built; between 1s and 24h"),
        ({"liquidation_bar": "24h1s"}, "liquidation_bar"),
    ],
)
def test_a_value_that_is_none_is_refused_in_one_sentence(given, message):
    with pytest.raises(ConfigError) as error:
        with_limits(ALL_OFF, given)
    assert message in error.value.line()


def test_an_unknown_profile_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'equities'"):
        profile("equity")


def test_strategies_that_share_an_account_share_the_strictest_limits():
    one = only(max_leverage=2, pdt="intraday_margin", min_reward_risk=1, max_trades_per_day=5, liquidation_buffer=3)
    two = only(max_leverage=3, pdt="legacy", min_reward_risk=2, duplicate_window="1s", liquidation_buffer=5)
    expected = only(
        max_leverage=2,
        pdt="legacy",
        min_reward_risk=2,
        max_trades_per_day=5,
        duplicate_window="1s",
        liquidation_buffer=5,
    )
    assert tightest([one, two]) == tightest([two, one]) == expected


def test_what_a_symbol_may_hold_is_counted_without_rounding():
    desk = Desk(only(max_position_units="1/3"))
    assert (desk.ask(333, instrument=1), desk.ask(334, instrument=1)) == (None, Refusal.POSITION_UNITS)
