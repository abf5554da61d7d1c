"""Limits, halts and sizes in the kernel: what they do to orders, positions and the journal."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

import engine
from engine.account.limits import ALL_OFF, with_limits
from engine.account.orders import OrderError
from engine.account.risk import TradingState
from engine.errors import ConfigError
from engine.events import (
    Command,
    CommandName,
    End,
    EngineFault,
    OrderSubmitted,
    SignalRefused,
    TradingHalted,
    TradingResumed,
)
from engine.indicators import atr
from engine.journal.writer import MemoryJournal
from engine.model import Instrument, OrderType, Side, Signal, TickBlock
from engine.rules import Regime, Stop, Target, TimeStop, bars, pct, price, seconds, size
from engine.sizing import Dollars, RiskPerTrade, Scaled, Units
from engine.strategy import Strategy
from engine.trading.kernel import Kernel
from tests.props.risk_observer import Wish
from tests.props.risk_sequences import CHOICES, Told

SECOND = 1_000_000_000
START = 1_700_006_400 * SECOND
DAY = 86_400 * SECOND


class Rig:
    """A kernel on one instrument whose strategy enters what it is told to on the next trade."""

    def __init__(self, cash: int = 10_000, units: int = 1, **limits: object) -> None:
        from engine.account.portfolio import Portfolio
        from engine.account.risk import RiskGate
        from engine.brokers.paper import PaperBroker, VenueModel
        from engine.sessions.trading_calendar import calendar
        from engine.trading.lanes import Assignment

        self.strategy, self.journal, self.now = Told(), MemoryJournal(), START
        instruments = [Instrument("ONE", 2, 0)]
        portfolio = Portfolio(instruments, Fraction(cash))
        self.kernel = Kernel(
            instruments,
            [Assignment(self.strategy, [0], Fraction(units))],
            calendar=calendar("always"),
            portfolio=portfolio,
            risk=RiskGate(with_limits(ALL_OFF, limits), portfolio),
            broker=PaperBroker(VenueModel("last"), portfolio),
            journal=self.journal,
        )

    def trade(self, ticks: int, wish: Side | Wish | None = None, gap: int = SECOND) -> None:
        self.now += gap
        self.strategy.wish = Wish(wish, Fraction(1), -1, 1 << 50) if isinstance(wish, Side) else wish
        columns = [np.array([value], np.int64) for value in (self.now, ticks, 1)]
        self.kernel.process(TickBlock(*columns))

    def command(self, name: CommandName, reason: str = "") -> None:
        self.kernel.process(Command(name, self.now, reason))

    @property
    def reasons(self) -> list[str]:
        return [trade.reason.value for trade in self.kernel.trades]

    @property
    def told(self) -> list[Any]:
        kinds = TradingHalted | TradingResumed | SignalRefused
        return [decision.reason for decision in self.journal.decisions if isinstance(decision, kinds)]


def test_the_drawdown_floor_rises_with_the_equity():
    rig = Rig(cash=1_000, units=10, max_drawdown="10%")
    rig.trade(10_000, Side.LONG)
    for ticks in (10_500, 11_000, 9_901):  # the highest equity is 1,100, and 990.10 is not yet a tenth below it
        rig.trade(ticks)
        assert rig.reasons == []
    rig.trade(9_900)
    assert (rig.reasons, rig.told) == (["RISK"], ["DRAWDOWN"])


def test_a_drawdown_halts_over_days_until_a_reason_is_given_and_then_counts_anew():
    rig = Rig(cash=1_000, units=10, max_drawdown="10%")
    rig.trade(10_000, Side.LONG)
    rig.trade(9_000)
    rig.trade(9_000, Side.LONG, gap=3 * DAY)
    rig.command(CommandName.RESUME)
    rig.trade(9_000, Side.LONG)
    assert rig.told == ["DRAWDOWN", "DRAWDOWN", "DRAWDOWN"]
    rig.command(CommandName.RESUME, "the stop was too wide")
    rig.trade(9_000, Side.LONG)  # 900 of equity is the new highest
    rig.trade(8_101)
    assert rig.reasons == ["RISK"]
    rig.trade(8_100)
    assert rig.reasons == ["RISK", "RISK"]
    assert rig.told[3:] == ["the stop was too wide", "DRAWDOWN"]


@pytest.mark.parametrize("what", ["a day's loss", "a pause"])
def test_neither_a_lost_day_nor_a_pause_forgets_the_highest_equity(what):
    rig = Rig(cash=1_000, units=10, max_drawdown="10%", daily_loss_limit="6%" if what == "a day's loss" else "off")
    rig.trade(10_000, Side.LONG)
    rig.trade(9_400)  # 940 are left: a day of 6 %
    if what == "a pause":
        rig.command(CommandName.FLATTEN)
        rig.command(CommandName.PAUSE)
        rig.command(CommandName.RESUME)
    rig.trade(9_400, Side.LONG, gap=DAY)
    rig.trade(9_001)
    assert len(rig.reasons) == 1
    rig.trade(9_000)
    assert (len(rig.reasons), rig.told[-1]) == (2, "DRAWDOWN")


def test_the_loss_of_a_day_is_measured_from_the_equity_it_began_with():
    rig = Rig(cash=1_000, units=10, daily_loss_limit="10%")
    rig.trade(10_000, Side.LONG)
    rig.trade(9_001)  # 99.90 are not yet a tenth of 1,000
    rig.command(CommandName.FLATTEN)
    rig.trade(9_001, Side.LONG, gap=DAY)  # the new day begins with 900.10, and may lose 90.01 of it
    rig.trade(8_101)
    assert rig.reasons == ["MANUAL"]
    rig.trade(8_100)
    assert (rig.reasons, rig.told) == (["MANUAL", "RISK"], ["DAILY_LOSS"])


def test_pause_flatten_and_halt_are_three_things():
    rig = Rig()
    rig.trade(10_000, Side.LONG)
    rig.command(CommandName.PAUSE)
    rig.trade(10_001)
    assert rig.reasons == []  # a pause closes nothing
    rig.command(CommandName.FLATTEN)
    assert rig.reasons == ["MANUAL"]
    rig.trade(10_001, Side.LONG)
    assert rig.told[-1] == "PAUSED"
    rig.command(CommandName.RESUME)
    rig.trade(10_001, Side.LONG)
    rig.command(CommandName.FLATTEN)
    rig.trade(10_001, Side.LONG)  # a flatten goes on trading
    assert rig.reasons == ["MANUAL", "MANUAL"]
    rig.command(CommandName.HALT)
    assert rig.reasons == ["MANUAL"] * 3
    rig.trade(10_001, Side.LONG)
    rig.command(CommandName.RESUME)  # without a reason
    rig.trade(10_001, Side.LONG)
    assert rig.told[-3:] == ["HALTED", "HALTED", "HALTED"]
    rig.command(CommandName.RESUME, "checked")
    rig.trade(10_001, Side.LONG)
    assert rig.told[-1] == "checked"


def test_a_halt_before_the_first_trade_holds():
    rig = Rig()
    rig.command(CommandName.HALT)
    rig.trade(10_000, Side.LONG)
    assert rig.told == ["HALTED", "HALTED"]


def test_three_engine_errors_in_a_row_halt_and_close():
    rig = Rig()
    rig.trade(10_000, Side.LONG)
    for _ in range(2):
        rig.kernel.process(EngineFault(rig.now, "OSError"))
    rig.trade(10_001)  # a good input in between
    for _ in range(2):
        rig.kernel.process(EngineFault(rig.now, "OSError"))
    assert rig.told == []
    rig.kernel.process(EngineFault(rig.now, "OSError"))
    assert (rig.told, rig.reasons) == (["ERRORS"], ["RISK"])


WAITING = Wish(Side.LONG, Fraction(1), -1, 1 << 50, OrderType.LIMIT, 9_990)


def more_is_filled_than_was_sent(rig: Rig) -> None:
    rig.trade(10_000, WAITING)
    rig.kernel.core.resize(1, 5)
    rig.trade(9_990)


def more_is_sent_than_was_approved(rig: Rig) -> None:
    rig.trade(10_000, WAITING)
    order = rig.kernel.lanes[0].entry
    assert order is not None
    order.lots = 5
    rig.kernel.core.resize(1, 5)
    rig.trade(9_990)


def more_is_closed_than_was_held(rig: Rig) -> None:
    rig.trade(10_000, Side.LONG)
    rig.kernel.risk.ledger.held[0].lots -= 1
    rig.command(CommandName.FLATTEN)


def more_is_closed_than_was_held_at_the_end(rig: Rig) -> None:
    rig.trade(10_000, Side.LONG)
    rig.kernel.risk.ledger.held[0].lots -= 1
    rig.kernel.process(End())


def more_is_filled_on_a_push(rig: Rig) -> None:
    rig.trade(10_000, WAITING)
    rig.kernel.core.resize(1, 5)
    rig.kernel.push(0, rig.now + SECOND, 9_990, 1)


@pytest.mark.parametrize(
    "happens",
    [
        more_is_filled_than_was_sent,
        more_is_sent_than_was_approved,
        more_is_closed_than_was_held,
        more_is_closed_than_was_held_at_the_end,
        more_is_filled_on_a_push,
    ],
)
def test_what_does_not_add_up_halts_at_once(happens):
    """E6: no more is sent than was approved, filled than was sent, closed than was held."""
    rig = Rig(units=3)
    with pytest.raises(OrderError):
        happens(rig)
    assert (rig.told, rig.kernel.risk.state) == (["CONSERVATION"], TradingState.HALTED)
    sent = sum(isinstance(decision, OrderSubmitted) for decision in rig.journal.decisions)
    for ticks in (9_990, 9_980, 9_970):
        rig.trade(ticks, Side.LONG)
    assert sum(isinstance(decision, OrderSubmitted) for decision in rig.journal.decisions) == sent


@pytest.mark.parametrize(("last", "reason"), [(9_801, []), (9_800, ["RISK_SL"])])
def test_the_accounts_stop_closes_and_is_named(last, reason):
    rig = Rig(position_stop="2%")
    rig.trade(10_000, Side.LONG)
    rig.trade(last)
    assert rig.reasons == reason


def test_trades_of_a_day_end_with_the_day():
    rig = Rig(max_trades_per_day=2)
    for _ in range(3):
        rig.trade(10_000, Side.LONG)
        rig.command(CommandName.FLATTEN)
    assert (len(rig.reasons), rig.told) == (2, ["TRADES_PER_DAY"])
    rig.trade(10_000, Side.LONG, gap=DAY)
    rig.command(CommandName.FLATTEN)
    assert len(rig.reasons) == 3


def test_a_refused_signal_does_not_use_up_the_cooldown():
    class Careful(Told):
        pass

    rig = Rig(max_order_units=1, units=2)
    rig.strategy.parameters["cooldown_signals"] = type(rig.strategy).declared["cooldown_signals"].parse(1)
    rig.kernel.lanes[0].cooldown_left = 1
    rig.trade(10_000, Side.LONG)
    assert (rig.told, rig.kernel.lanes[0].cooldown_left) == (["ORDER_UNITS"], 1)


@pytest.mark.parametrize(("more", "told"), [(0, []), (1, ["LIQUIDATION"])])
def test_the_range_of_the_liquidation_buffer_is_that_of_closed_bars(more, told):
    """Fifteen bars of two seconds, each from 99.00 to 101.00; the entry is at 100.00 with leverage 10."""
    rig = Rig(cash=1_000, units=100, liquidation_buffer=Fraction(500 + more, 100), liquidation_bar="2s")
    rig.now -= SECOND  # so that bars and pairs of trades begin together
    for _ in range(14):
        rig.trade(9_900)
        rig.trade(10_100)
    rig.trade(9_900, Side.LONG)
    assert rig.told == ["LIQUIDATION"]  # the first bar has none before it, and so no true range: thirteen are known
    rig.trade(10_100)
    rig.trade(10_000, Side.LONG)  # all of the equity is gone after ten dollars, five times the range of two
    assert rig.told[1:] == told


# ---------------------------------------------------------------- in a backtest


def walk(ticks: int = 3_000, seed: int = 1) -> TickBlock:
    random, now, last = Random(seed), START, 10_000
    rows = []
    for _ in range(ticks):
        now += random.randrange(SECOND)
        last += random.choice((-3, -1, 0, 1, 3))
        rows.append((now, last, random.randint(1, 9)))
    return TickBlock(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


class Often(Strategy):
    """Enters on every seventh price and leaves soon."""

    long = size >= 7
    short = size <= 2
    exits = (Stop(pct("0.1")), Target(pct("0.15")), TimeStop(seconds(20)))


LIMITS = {
    "max_drawdown": "0.05%",
    "max_trades_per_day": 40,
    "max_losses_in_row": 9,
    "position_stop": "0.08%",
    "max_leverage": 1,
    "max_orders_per_second": 2,
    "min_reward_risk": "1.2",
}


@pytest.mark.parametrize("limits", [LIMITS, {**LIMITS, "max_drawdown": "off"}, {}])
def test_how_the_ticks_are_cut_changes_no_decision(limits):
    from engine.backtesting import make_kernel, make_settings

    block, hashes = walk(), set()
    for cut in (1, 7, 512, 3_000):
        settings = make_settings(block, Often(), limits=limits, size="5% capital")
        journal = MemoryJournal()
        kernel = make_kernel([Instrument("ONE", 2, 0)], Often(), settings, journal)
        for begin in range(0, len(block), cut):
            kernel.process(block.part(begin, begin + cut))
        hashes.add(journal.decision_hash)
        assert kernel.trades
    assert len(hashes) == 1


def test_the_drawdown_is_that_of_a_walk_through_every_trade():
    block = walk(seed=4)
    free = engine.backtest(block, Often, fills="last", limits={"daily_loss_limit": "off"}, position_size=10)
    limit = Fraction(1, 5_000)
    result = engine.backtest(block, Often, fills="last", limits={"max_drawdown": limit}, position_size=10)
    cash, high, position, fallen = Fraction(10_000), Fraction(10_000), None, None
    trades = iter(free.trades)
    trade = next(trades)
    for ts_ns, ticks in zip(block.ts_ns.tolist(), block.price_ticks.tolist(), strict=True):
        if position is not None and trade.exit_ts_ns <= ts_ns:
            cash, position = cash + Fraction(trade.net), None
            trade = next(trades, trade)
        equity = cash
        if position is not None:
            equity += position.direction * 10 * (Fraction(ticks, 100) - Fraction(position.entry_price))
        high = max(high, equity)
        if fallen is None and high - equity >= limit * high:
            fallen = ts_ns
        if position is None and trade.entry_ts_ns == ts_ns:
            position = trade
    halted = [one.ts_ns for one in result.journal.decisions if isinstance(one, TradingHalted)]
    assert fallen is not None
    assert halted == [fallen]
    assert result.trades[-1].exit_ts_ns <= fallen


MOOD = Regime(("LOW", price < 100), otherwise="HIGH")


class Declared(Often):
    """Risks one per cent of the equity, a tenth of that below a hundred."""

    size = Scaled(RiskPerTrade(pct(1)), MOOD, {"LOW": "0.1"})


class ByRange(Often):
    size = RiskPerTrade(pct("0.1"), distance=3 * atr(bars(seconds(5)), 3))


def quantities(strategy: type[Strategy], **more: Any) -> list[tuple[Fraction, Fraction]]:
    result = engine.backtest(walk(), strategy, fills="last", limits={"daily_loss_limit": "off"}, **more)
    assert result.trades
    return [(Fraction(trade.qty), Fraction(trade.entry_price)) for trade in result.trades]


def test_a_declared_size_is_worked_out_at_each_entry():
    result = engine.backtest(walk(), Declared, fills="last", limits={"daily_loss_limit": "off"})
    cash = Fraction(10_000)
    for trade in result.trades:
        entry = Fraction(trade.entry_price)
        exact = entry * (1 - trade.direction * Fraction(1, 1000)) * 100
        stop = Fraction(exact.__floor__() if trade.direction is Side.LONG else exact.__ceil__(), 100)
        units = cash / 100 / abs(entry - stop) * (Fraction(1, 10) if entry < 100 else 1)
        assert trade.qty == units.__floor__()
        cash += Fraction(trade.net)
    assert {trade.entry_price < 100 for trade in result.trades} == {True, False}


def test_a_configured_size_replaces_the_declared_one():
    for qty, entry in quantities(Declared, size="1000 dollars"):
        assert qty == (1_000 / entry).__floor__()
    assert {qty for qty, _ in quantities(Declared, size=Units(3))} == {3}
    assert {qty for qty, _ in quantities(Often)} == {1}


def test_a_size_by_true_range_measures_it():
    assert len({qty for qty, _ in quantities(ByRange)}) > 3


def test_less_than_a_lot_is_a_refusal_and_no_order():
    result = engine.backtest(walk(), Often, fills="last", size="50 dollars")
    assert not result.trades
    assert {note.reason for note in result.refusals} == {"NO_SIZE"}


def test_a_session_is_held_to_the_same_limits_as_a_backtest(tmp_path, monkeypatch):
    """Every limit on, as the configuration says it and as the call does."""
    from engine.backtesting import make_settings
    from engine.config.settings import load
    from engine.live.recording import line_of
    from engine.live.session import PaperSession

    written = {name: values[0] for name, values in CHOICES.items()}
    lines = "\n".join(f'{name} = "{text}"' for name, text in written.items())
    (tmp_path / "microburst.toml").write_text(f"[risk]\n{lines}\n")
    monkeypatch.chdir(tmp_path)
    config = load().config
    session = PaperSession.settings_of(config, line_of(config))
    assert session.limits == make_settings(walk(5), Often(), limits=written).limits == with_limits(ALL_OFF, written)


def test_the_passport_names_size_profile_and_every_limit():
    result = engine.backtest(walk(), Declared, fills="last", risk_profile="guarded", limits={"max_leverage": 2})
    passport = result.to_json()["passport"]
    assert passport["size"] == "Scaled(RiskPerTrade(1%), Regime(LOW, HIGH), LOW: 0.1x)"
    assert (passport["risk_profile"], passport["risk"]["max_leverage"]) == ("guarded", "2")
    assert passport["risk"]["daily_loss_limit"] == "2%"


@pytest.mark.parametrize(
    ("declaration", "message"),
    [({"size": 3}, "3 is no size of an entry"), ({"risk_profile": "gaurded"}, "did you mean 'guarded'")],
)
def test_a_strategy_that_declares_nonsense_is_refused(declaration, message):
    with pytest.raises(ConfigError, match=message):
        type("Wrong", (Often,), declaration)


def test_a_size_that_measures_what_is_no_price_is_refused():
    class Wrong(Often):
        size = RiskPerTrade(pct(1), distance=size * 2)

    with pytest.raises(ConfigError, match="not a distance in price"):
        engine.backtest(walk(10), Wrong)


def test_a_signals_own_stop_sizes_it():
    class Close(Often):
        size = RiskPerTrade(pct(1))
        short = None

        def on_fire(self, context: Any, side: Side) -> Signal:
            return Signal(side, context.price_ticks, stop_ticks=context.price_ticks - 50)

    (qty, _), *_ = quantities(Close)
    assert qty == 200  # a hundredth of 10,000 over 0.50


def test_dollars_of_a_dearer_price_buy_less():
    assert {qty for qty, _ in quantities(type("Fixed", (Often,), {"size": Dollars(301)}))} <= {2, 3}
