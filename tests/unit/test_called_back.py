"""Entries that are called back, exits that cannot be had, and levels that depend on the stop in force.

A cancel travels: what an entry opens before its cancel has arrived is left at once, unless it was called back for a
reason that leaves positions to their exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import engine
from engine.account.carried import Carried
from engine.backtesting import make_kernel, make_settings
from engine.errors import ConfigError
from engine.events import Command, CommandName, FeedHealthy, Refusal
from engine.journal.writer import MemoryJournal
from engine.language.entries import Limit, StopEntry, StopLimit
from engine.model import Instrument, OrderType, Reason, Side, Signal, TickBlock
from engine.rules import Reward, Stop, Target, TimeStop, hours, pct, price, rising, seconds
from engine.sessions.trading_calendar import calendar
from engine.trading.kernel import Kernel

S = 1_000_000_000
OPENS_NS = 1_704_205_800 * S
"""Half past nine in New York."""


def ticks(rows: Sequence[tuple[float, int]], begins_ns: int = 0) -> dict[str, Any]:
    """Trades at so many seconds."""
    times, prices = [begins_ns + round(row[0] * S) for row in rows], [row[1] for row in rows]
    return {
        "ts_ns": np.array(times, np.int64),
        "price_ticks": np.array(prices, np.int64),
        "size_lots": np.full(len(rows), 100, np.int64),
    }


def quoted(rows: Sequence[tuple[float, int]], begins_ns: int = 0) -> dict[str, Any]:
    """The same with a quote a tick to either side."""
    made = ticks(rows, begins_ns)
    return made | {"bid_ticks": made["price_ticks"] - 1, "ask_ticks": made["price_ticks"] + 1}


class Waits(engine.Strategy):
    """Enters 1 % below its signal, in the second after it on."""

    long = rising(price, 1)
    entry = Limit(pct(1))
    exits = (Stop(pct(50)),)


def waiting() -> Kernel:
    """A kernel whose entry waits at 9900 since 2 s."""
    first = TickBlock(**ticks([(0, 10_000), (1, 10_001)]))
    settings = make_settings(first, Waits(), latency_order="1s")
    kernel = make_kernel([Instrument("X")], Waits(), settings, MemoryJournal())
    kernel.process(first)
    kernel.process(TickBlock(**ticks([(3, 10_001)])))
    return kernel


@pytest.mark.parametrize(
    ("command", "reason"), [(CommandName.HALT, Reason.MANUAL), (CommandName.FLATTEN, Reason.MANUAL)]
)
def test_what_an_entry_opens_while_its_cancel_travels_is_left_at_once(command: CommandName, reason: Reason) -> None:
    kernel = waiting()
    kernel.process(Command(command, 4 * S, "enough"))
    kernel.process(TickBlock(**ticks([(4.5, 9_900)])))
    assert kernel.portfolio.positions, "the cancel arrives at 5 s"
    kernel.process(TickBlock(**ticks([(6, 9_890), (7, 9_880)])))
    assert not kernel.portfolio.positions
    assert [(trade.exit_ticks, trade.reason) for trade in kernel.trades] == [(9_900, reason)]
    assert (kernel.risk.state.value == "halted") == (command is CommandName.HALT)


@pytest.mark.parametrize("event", [Command(CommandName.PAUSE, 3 * S), FeedHealthy(False, Refusal.FEED_STALE)])
def test_a_pause_leaves_what_its_entry_opens_to_its_exits(event: Any) -> None:
    kernel = waiting()
    kernel.process(event)
    kernel.process(TickBlock(**ticks([(3.5, 9_900), (6, 9_890), (7, 9_880)])))
    assert [position.lots for position in kernel.portfolio.positions.values()] == [1]
    assert not kernel.trades


def test_the_later_reason_counts_where_it_is_the_stronger() -> None:
    kernel = waiting()
    kernel.process(Command(CommandName.PAUSE, 4 * S))
    kernel.process(Command(CommandName.HALT, round(4.2 * S), "enough"))
    kernel.process(TickBlock(**ticks([(4.5, 9_900), (6, 9_890), (7, 9_880)])))
    assert [trade.reason for trade in kernel.trades] == [Reason.MANUAL]


def test_an_entry_that_fills_after_the_close_is_no_position_of_the_next_day() -> None:
    close_s = 6.5 * 3600
    rows = [(close_s - 60, 10_000), (close_s - 50, 10_001), (close_s - 1, 10_001), (close_s + 0.01, 9_800)]
    rows += [(close_s + 5, 9_800), (86_401, 9_000), (86_402, 9_000)]
    made = ticks(rows, OPENS_NS)
    assert not engine.backtest(made, Waits, calendar="us_equities", latency_order="0s").trades
    (trade,) = engine.backtest(made, Waits, calendar="us_equities", latency_order="50ms").trades
    assert (trade.reason, trade.exit_ticks) == (Reason.SESSION, 9_800)


def test_the_rest_of_an_entry_opens_no_second_position_once_the_first_is_closed() -> None:
    """It would have had the first one's stop, and no target."""

    class Parts(engine.Strategy):
        long = rising(price, 1)
        entry = Limit(pct(1))
        exits = (Stop(pct(50)), Target(pct(1), resting=True))

    rows = [(0, 10_000), (1, 10_001), (2, 9_890), (3, 10_100), (3.2, 9_890), (5, 10_100), (6, 10_200), (7, 10_300)]
    made = quoted(rows)
    made["size_lots"] = np.array([100, 100, 3, 100, 4, 100, 100, 100])
    trades = engine.backtest(made, Parts, fills="worst", latency_order="500ms", position_size=10).trades
    assert [(trade.lots, trade.reason) for trade in trades[:2]] == [(3, Reason.TARGET), (4, Reason.RISK)]


@pytest.mark.parametrize("rules", [{"avoid": "12:00-14:00"}, {"entries": "09:30-12:00"}])
def test_a_waiting_entry_is_called_back_when_the_sessions_rules_allow_none(rules: dict[str, str]) -> None:
    rows = [(0, 10_000), (36, 10_000), (2.4 * 3600, 10_001), (2.6 * 3600, 9_900), (2.7 * 3600, 9_899)]

    class Long(Waits):
        entry = Limit(pct(1), good_for=hours(2))

    result = engine.backtest(ticks(rows, OPENS_NS), Long, calendar="us_equities", session_rules=rules)
    assert not result.trades
    assert "NO_ENTRIES" in [getattr(decision, "reason", "") for decision in result.journal.decisions]


@pytest.mark.parametrize(
    "entry", [StopEntry(pct(1), time_in_force="ioc"), StopLimit(pct(1), pct(1), time_in_force="ioc")]
)
def test_a_stop_for_at_once_that_is_not_triggered_on_arrival_is_none(entry: Any) -> None:
    class AtOnce(engine.Strategy):
        long = rising(price, 1)
        exits = (TimeStop(seconds(2)),)

    AtOnce.entry = entry
    prices = [10_000, 10_001, 10_000, 10_000, 10_000, 10_200, 10_200, 10_200, 10_200]
    result = engine.backtest(ticks(list(enumerate(prices))), AtOnce)
    assert not result.trades
    assert "IOC" in [getattr(decision, "reason", "") for decision in result.journal.decisions]


@pytest.mark.parametrize("latency", ["0s", "5ms"])
@pytest.mark.parametrize("fills", ["touch", "worst"])
def test_what_slept_is_left_at_the_opening_by_every_fill_model(fills: str, latency: str) -> None:
    class Night(engine.Strategy):
        holds_overnight = True
        long = rising(price, 1)
        exits = (Stop(pct(50)), TimeStop(hours(10)))

    prices = [1_000, 1_001, 1_001, 1_001, 1_000, 999, 998, 500, 400, 300]
    rows = list(zip([0, 1, 2, 3, *range(86_401, 86_407)], prices, strict=True))
    made = quoted(rows, OPENS_NS)
    (trade,) = engine.backtest(made, Night, calendar="us_equities", fills=fills, latency_order=latency).trades
    assert (trade.exit_ticks, trade.reason) == (999, Reason.TIME)


def test_a_limit_of_the_account_that_the_first_of_two_targets_reaches_closes_the_rest() -> None:
    class Parts(engine.Strategy):
        long = rising(price, 1)
        exits = (
            Stop(pct(90)),
            Target(pct(1), share=pct(30)),
            Target(pct(2), share=pct(30)),
            Target(pct(30), share=pct(40)),
        )

    made = ticks(list(enumerate([10_000, 10_001, 10_001, 10_001, 10_250, 10_250])))
    limits = {"daily_loss_limit": "off", "daily_loss_money": "210"}
    (trade,) = engine.backtest(made, Parts, position_size=10, fee="20/share", limits=limits).trades
    assert [(leg.lots, leg.reason) for leg in trade.legs] == [(3, Reason.TARGET), (7, Reason.RISK)]


class Own(engine.Strategy):
    """Its signal has a stop 50 ticks away."""

    long = rising(price, 1)

    def on_fire(self, ctx: Any, side: Side) -> Signal:
        return Signal(side, ctx.price_ticks, stop_ticks=ctx.price_ticks - 50)


class Declared(engine.Strategy):
    long = rising(price, 1)


@pytest.mark.parametrize(
    ("of", "limits", "price_ticks"),
    [
        (Declared, {}, 10_211),  # 10010 + 2 x 100.1, to the next tick
        (Declared, {"position_stop": "0.5%"}, 10_112),  # the account's stop is 51 ticks away
        (Own, {}, 10_110),
    ],
)
def test_a_reward_is_a_multiple_of_the_stop_in_force_however_the_target_is_declared(
    of: type[engine.Strategy], limits: dict[str, str], price_ticks: int
) -> None:
    prices = [10_000, 10_000, *range(10_010, 10_600)]
    for first in (Target(Reward(2)), Target(Reward(2), resting=True), Target(Reward(2), share=pct(50))):
        strategy = type("Rewarded", (of,), {"exits": (Stop(pct(1)), first)})
        made = ticks(list(enumerate(prices)))
        (trade,) = engine.backtest(made, strategy, position_size=100, limits=limits).trades[:1]
        assert trade.entry_ticks == 10_010
        assert (trade.legs[0].price_ticks if trade.legs else trade.exit_ticks) == price_ticks


@pytest.mark.parametrize(
    "signal",
    [
        {"entry_ticks": 0, "order": OrderType.LIMIT},
        {"entry_ticks": -5, "order": OrderType.LIMIT},
        {"entry_ticks": 1 << 70, "order": OrderType.STOP},
        {"entry_ticks": 9_990, "order": OrderType.STOP_LIMIT},
    ],
)
def test_a_signals_own_entry_at_no_price_is_refused(signal: dict[str, Any]) -> None:
    class Anywhere(engine.Strategy):
        long = rising(price, 1)
        exits = (TimeStop(seconds(2)),)

        def on_fire(self, ctx: Any, side: Side) -> Signal:
            return Signal(side, **signal)

    result = engine.backtest(ticks(list(enumerate([10_000, 10_001, 10_000]))), Anywhere)
    assert [note.reason for note in result.refusals] == [Refusal.NO_ENTRY]


def test_a_signals_own_entry_may_wait_for_ever_and_must_be_of_a_kind() -> None:
    class Patient(engine.Strategy):
        long = rising(price, 1)
        exits = (TimeStop(seconds(2)),)

        def on_fire(self, ctx: Any, side: Side) -> Signal:
            return Signal(side, 9_990, order=OrderType.LIMIT, good_for_ns=1 << 63)

    rows = list(enumerate([10_000, 10_001, 10_000, 9_990, 9_990, 9_990]))
    assert [trade.entry_ticks for trade in engine.backtest(ticks(rows), Patient).trades] == [9_990]
    with pytest.raises(ConfigError, match="'foo' is no kind of order; one of market, limit, stop, stop_limit"):
        Signal(Side.LONG, 1, order="foo")  # type: ignore[arg-type]


@pytest.mark.parametrize("was", ["always", "us_equities"])
def test_day_trades_are_forgotten_after_five_days_whatever_calendar_counted_them(was: str) -> None:
    """What is carried says how many days ago each was."""

    class Quick(engine.Strategy):
        long = rising(price, 1)
        exits = (TimeStop(seconds(1)),)

    rows = ticks(list(enumerate([10_000, 10_001, 10_001, 10_001, 10_001])), OPENS_NS)
    settings = make_settings(
        TickBlock(**rows), Quick(), calendar="us_equities", limits={"pdt": "legacy"}, starting_cash=10_000
    )
    today = OPENS_NS // (86_400 * S)
    for ago, refused in ((1, True), (260, False)):
        brought = Carried("s", 10_000, 10_000, day=today - 1, day_trades=(ago,) * 3)  # type: ignore[arg-type]
        assert calendar(was).day_number(today)
        kernel = make_kernel([Instrument("X")], Quick(), settings, MemoryJournal(), carried=brought)
        kernel.process(TickBlock(**rows))
        assert bool(kernel.counters.refusals.get("PDT")) == refused
