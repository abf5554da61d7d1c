"""Near misses against their definition, and trades alone against the naive reference of the rule's page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

import engine
from engine import Side, Signal, backtest
from engine.backtesting import load_ticks, make_settings, make_strategy
from engine.errors import ConfigError
from engine.events import OrderSubmitted
from engine.indicators import atr
from engine.journal.writer import MemoryJournal
from engine.language.entries import Limit
from engine.model import Instrument, OrderType, TickBlock
from engine.rules import (
    Stop,
    Target,
    TimeStop,
    Trailing,
    When,
    bars,
    begins,
    change,
    ema,
    highest,
    lowest,
    minutes,
    of,
    pct,
    price,
    seconds,
    size,
    ticks,
    vwap,
    zscore,
)
from engine.sizing import Units
from engine.store.rows import columns_of
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.near_misses import why_not
from engine.tools.observation import Observation, compose
from engine.tools.rule_parts import listening
from engine.tools.single_trades import Entry, SingleTrades
from mock_server.market import generate
from tests.oracle import momentum_burst as oracle
from tests.oracle.streams import random_stream
from tests.shared_data import load_aapl_lobster, load_spy

SECOND_NS = 1_000_000_000
PARAMS = oracle.Params()


# ---------------------------------------------------------------- the reference: conditions from the page, then counted


def holding(columns: dict[str, np.ndarray], params: oracle.Params) -> dict[str, list[bool]]:
    """What each of the rule's conditions says on each trade, in whole numbers; False while the window is cold."""
    window = oracle.RollingWindow(params.window_ns)
    surge = oracle.RollingVolume(params.surge_window_ns)
    found: dict[str, list[bool]] = {"long": [], "short": [], "surge": [], "span": []}
    now, first = 0, int(columns["ts_ns"][0])
    for t, p, q in zip(*(columns[name].tolist() for name in ("ts_ns", "price_ticks", "size_lots")), strict=True):
        now = max(now, t)
        window.add(now, p, q)
        surge.add(now, p, q)
        warm = now - first >= params.window_ns
        move = Fraction(p - window.oldest, window.oldest)
        rate = Fraction(window.volume, params.window_ns)
        spike = rate and Fraction(surge.volume, params.surge_window_ns) / rate
        found["long"].append(warm and move >= params.entry_threshold)
        found["short"].append(warm and move <= -params.entry_threshold)
        found["surge"].append(warm and spike > params.volume_spike)
        found["span"].append(warm and Fraction(window.highest - window.lowest, p) >= params.guard)
    return found


def near_misses(found: dict[str, list[bool]], side: str, left_out: str) -> tuple[int, list[int], int]:
    """How often a condition stood alone, the trades on which a near miss began, and how many were met later."""
    names = [side, "surge", "span"]
    count = len(found["long"])
    others = ("long", "surge", "span")
    long_holds = [all(found[name][i] for name in others) for i in range(count)]
    rule = [all(found[name][i] for name in names) for i in range(count)]
    loose = [all(found[name][i] for name in names if name != left_out) for i in range(count)]
    if side == "short":  # long is taken where both hold
        rule = [own and not other for own, other in zip(rule, long_holds, strict=True)]
        loose = [own and not other for own, other in zip(loose, long_holds, strict=True)]
    alone = sum(without and not own for without, own in zip(loose, rule, strict=True))
    begun, met = [], 0
    for i in range(count):
        if loose[i] and not rule[i] and not (i and loose[i - 1]):
            begun.append(i)
            end = next((j for j in range(i, count) if not loose[j]), count)
            met += any(rule[i:end])
    return alone, begun, met


def traded_alone(columns: dict[str, np.ndarray], row: int, side: str, fills: str, precision: int) -> oracle.Trade:
    """The reference's trade when it enters at ``row``: its first signal of a rule that always holds.

    A trade a nanosecond earlier warms up the shortest window there is. Twenty seconds are more than it can last.
    """
    clock = np.maximum.accumulate(columns["ts_ns"])
    end = int(np.searchsorted(clock, clock[row] + 20 * SECOND_NS, side="right")) + 1
    rows = [column[row:end].tolist() for column in {**columns, "ts_ns": clock}.values()]
    rows = [[column[0], *column] for column in rows]
    rows[0][0] -= 1
    always = oracle.Params(
        window_ns=1,
        surge_window_ns=1,
        entry_threshold=Fraction(0),
        guard=Fraction(0),
        volume_spike=Fraction(0),
        direction=side,
        daily_loss_limit=Fraction(10**6),
    )
    quotes = rows[3:] if fills == "touch" else (None, None)
    return oracle.run(always, *rows[:3], *quotes, fills=fills, price_precision=precision).trades[0]


def assert_as_defined(columns, params, fills, precision=2, **parameters):
    """Hold every count and every sum of money against the reference; return the near misses by side and condition."""
    file = load_ticks(columns, symbol="X", price_precision=precision)
    settings = make_settings(file.block, fills=fills)
    (found,) = why_not(file, make_strategy("momentum_burst", parameters), settings)
    held = holding(columns, params)
    seen = {}
    for one in found.conditions:
        name = next(
            word for word, text in (("surge", "surge >"), ("span", "span >"), ("move", "move")) if text in one.condition
        )
        name = one.side if name == "move" else name
        alone, begun, met = near_misses(held, one.side, name)
        assert (one.held, one.alone) == (sum(held[name]), alone), one.condition
        assert (one.near_misses, one.met_later) == (len(begun), met), one.condition
        trades = [traded_alone(columns, row, one.side, fills, precision) for row in begun]
        finished = [trade for trade in trades if trade.reason != "END"]
        assert one.figures["trades"] == len(finished)
        assert one.figures["wins"] == sum(trade.net > 0 for trade in finished)
        assert one.figures["open_at_end"] == len(trades) - len(finished)
        assert Fraction(one.figures["net"]) == sum(trade.net for trade in trades)
        assert one.let_pass == one.not_filled == 0
        seen[one.side, name] = len(begun)
    return found, seen


@pytest.mark.parametrize("fills", ["last", "touch"])
def test_a_recorded_day_of_aapl(fills):
    found, seen = assert_as_defined(load_aapl_lobster().columns(), PARAMS, fills, precision=4)
    assert all(seen.values()), seen
    assert sum(one.met_later for one in found.conditions) > 5


def test_a_recorded_hour_of_spy():
    part = {name: column[100_000:140_000].copy() for name, column in load_spy().columns().items()}
    _, seen = assert_as_defined(part, PARAMS, "last", precision=4)
    assert sum(seen.values()) > 10


def test_made_up_streams_with_late_records_and_equal_times():
    total = Counter()
    for seed in range(25):
        columns = random_stream(Random(seed), 400).columns(quotes=True)
        total.update(assert_as_defined(columns, PARAMS, "touch" if seed % 2 else "last")[1])
    assert all(total.values()), total
    assert total.total() > 100


# ---------------------------------------------------------------- by hand


class Two(Strategy):
    """Price above 100 on more than one lot; out after two seconds."""

    long = (price > 100) & (size > 1)
    exits = TimeStop(seconds(2))


def a_file(*rows, instruments=None, **more):
    """Ticks of whole seconds, prices in whole units and sizes: ``(second, price, size)``."""
    second, prices, sizes = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return {"ts_ns": second * SECOND_NS, "price_ticks": prices * 100, "size_lots": sizes, **more}


def summary(columns, strategy, **settings):
    file = load_ticks(columns, symbol="X")
    return why_not(file, strategy, make_settings(file.block, **settings))


def test_a_near_miss_begins_and_ends_like_a_signal():
    rows = [
        (1, 99, 1),
        (2, 101, 1),
        (3, 102, 1),
        (4, 103, 5),
        (5, 101, 1),
        (6, 99, 1),
        (7, 99, 5),
        (8, 99, 1),
        (9, 105, 1),
    ]
    (found,) = summary(a_file(*rows), Two())
    high, large = found.conditions
    # Without "size > 1" a signal begins at 2 and lasts to 5, met at 4, and another begins at 9.
    assert (large.held, large.alone, large.near_misses, large.met_later) == (2, 4, 2, 1)
    # Without "price > 100" one begins at 4, which is the rule's own, and one at 7.
    assert (high.held, high.alone, high.near_misses, high.met_later) == (5, 1, 1, 0)
    assert found.held == {"long": 1, "short": 0}
    # The first is bought at 101 and sold two seconds later, at 4, for the price before: 102. The second stays open.
    assert (large.figures["trades"], large.figures["open_at_end"], large.figures["net"]) == (1, 1, 1)
    assert (high.figures["trades"], high.figures["net"]) == (1, 0)


def test_nothing_is_held_back_where_the_sessions_rules_allow_no_entries():
    rows = [(n, 101 if n % 3 else 99, 5) for n in range(1, 30)]
    columns = a_file(*rows)
    columns["ts_ns"] = columns["ts_ns"] * 60 + 1_699_920_000 * SECOND_NS  # minutes after a midnight
    rules = {"entries": "00:10-00:20"}
    file = load_ticks(columns, symbol="X")
    settings = make_settings(file.block, session_rules=rules)
    (found,) = why_not(file, Two(), settings)
    run = engine.backtest(columns, Two, session_rules=rules)
    assert found.judged == 10
    assert found.entered == sum(
        isinstance(one, OrderSubmitted) and one.purpose == "entry" for one in run.journal.decisions
    )
    assert 0 < found.entered < why_not(file, Two(), make_settings(file.block))[0].entered
    assert found.figures["net"] == run.metrics["net"]
    assert all(one.held <= 10 and one.alone <= 10 for one in found.conditions)


def test_either_of_two_conditions_is_never_alone_while_the_other_holds():
    class Either(Strategy):
        long = ((price > 100) | (price < 50)) & (size > 1)

    (found,) = summary(a_file((1, 101, 5), (2, 70, 5), (3, 40, 5), (4, 70, 1)), Either())
    assert {one.condition: one.alone for one in found.conditions} == {"price > 100": 1, "price < 50": 1, "size > 1": 0}


def test_a_rule_of_one_condition_and_a_negated_one():
    class Not(Strategy):
        long = ~(price > 100)

    (found,) = summary(a_file((1, 99, 1), (2, 101, 1), (3, 102, 1), (4, 99, 1)), Not())
    (only,) = found.conditions
    assert (only.condition, only.held, only.alone, only.near_misses) == ("~(price > 100)", 2, 2, 0)


def test_the_warm_up_is_the_whole_rules_own():
    class Waiting(Strategy):
        long = (price > 100) & (change(seconds(5)) > pct(-100))

    rows = [(second, 99 + 2 * (second > 8), 1) for second in range(1, 12)]
    (found,) = summary(a_file(*rows), Waiting())
    assert (found.trades, found.judged) == (11, 6)
    high, moved = found.conditions
    assert (high.alone, high.near_misses, moved.alone) == (3, 1, 0)


class Slow(Strategy):
    """Conditions that have no value for a while: averages that are still cold, the first bar."""

    minute = bars(minutes(1))
    fast = ema(price, 20)
    slow = ema(minute.close, 3)
    spread_out = zscore(ticks(50))

    long = (fast > slow) & (spread_out > "0.5") & (size > 1)
    exits = TimeStop(seconds(5))
    warm_up = ticks(50)


def test_a_condition_without_a_value_has_not_failed():
    """Counted again from the columns that research sees."""
    data = load_aapl_lobster().head(8_000).columns()
    file = load_ticks(data, symbol="X", price_precision=4)
    (found,) = why_not(file, Slow(), make_settings(file.block))
    pairs = {"fast > slow": (Slow.fast, Slow.slow), "spread_out > 0.5": (Slow.spread_out, "0.5"), "size > 1": (size, 1)}
    read = engine.features(
        file, {f"left {n}": left for n, (left, _) in pairs.items()} | {"right fast > slow": Slow.slow}
    )
    read = {n: column[49:] for n, column in read.items()}  # the trades on which the rule is judged
    values = {n: (read[f"left {n}"], read.get(f"right {n}", pairs[n][1])) for n in pairs}
    values = {n: (left, np.asarray(right, float)) for n, (left, right) in values.items()}
    held = {n: left > right for n, (left, right) in values.items()}
    defined = {n: ~np.isnan(left) & ~np.isnan(right) for n, (left, right) in values.items()}
    rule = np.logical_and.reduce(list(held.values()))
    assert [one.condition for one in found.conditions] == list(pairs)
    assert found.judged == len(rule)
    for one in found.conditions:
        loose = np.logical_and.reduce([defined[n] if n == one.condition else held[n] for n in pairs])
        begun = np.flatnonzero(loose & ~rule & ~np.append(False, loose[:-1]))
        assert (one.held, one.alone) == (held[one.condition].sum(), (loose & ~rule).sum())
        assert one.near_misses == len(begun) > 5
    assert not all(column.all() for column in defined.values())


# ---------------------------------------------------------------- who said no, and the strategy's own code


def test_the_cooldowns_signals_are_counted_and_traded_alone():
    aapl = load_aapl_lobster()
    file = load_ticks(aapl.columns(), symbol="AAPL", price_precision=4)
    settings = make_settings(file.block)
    (found,) = why_not(file, make_strategy("momentum_burst", {}), settings)
    result = backtest(file, "momentum_burst")
    skipped = result.skipped_signals
    assert len(skipped) > 5
    (cooldown,) = found.refusals
    assert (cooldown.reason, cooldown.signals) == ("COOLDOWN", len(skipped))
    assert found.entered == len(result.trades)
    assert (found.figures["trades"], found.figures["net"]) == (result.metrics["trades"], result.metrics["net"])
    held = holding(aapl.columns(), PARAMS)
    alone = Fraction(0)
    for note in skipped:
        at = (aapl.ts_ns == note.ts_ns) & (aapl.price_ticks == note.price.scaleb(4))
        row = next(row for row in np.flatnonzero(at) if all(held[name][row] for name in (note.side, "surge", "span")))
        alone += traded_alone(aapl.columns(), int(row), note.side, "touch", 4).net
    assert Fraction(cooldown.figures["net"]) == alone


def test_what_on_fire_lets_pass_is_no_trade_and_its_own_stops_count():
    class Own(Two):
        def on_fire(self, context, side):
            if context.price_ticks == 10500:
                return None
            return Signal(side, context.price_ticks, target_ticks=context.price_ticks + 100)

    rows = [(1, 99, 1), (2, 101, 1), (3, 110, 1), (4, 99, 1), (5, 105, 1), (6, 105, 5), (7, 99, 1)]
    (found,) = summary(a_file(*rows), Own())
    large = found.conditions[1]
    assert (large.near_misses, large.met_later, large.let_pass) == (2, 1, 1)
    assert (large.figures["trades"], large.figures["net"]) == (1, 9)  # the target, hit at 110
    assert [(one.reason, one.signals, one.figures) for one in found.refusals] == [("ON_FIRE", 1, None)]


FALLS, RISES = [99, 101, 99, 98, 97, 96, 95, 94], [99, 101, 103, 104, 105, 106, 107, 108]


@pytest.mark.parametrize(
    ("prices", "order", "net"),
    [
        (
            FALLS,
            {"order": OrderType.LIMIT, "entry_ticks": 9_800},
            -1,
        ),  # at 98 in the fourth second, out before the sixth
        (FALLS, {"order": OrderType.LIMIT, "entry_ticks": 9_300}, None),  # never that low
        (FALLS, {"order": OrderType.STOP, "entry_ticks": 10_200}, None),  # never that high
        (RISES, {"order": OrderType.STOP, "entry_ticks": 10_200}, 1),  # at 103, the first trade beyond
        (RISES, {"order": OrderType.STOP_LIMIT, "entry_ticks": 10_400, "trigger_ticks": 10_200}, 1),
        (RISES, {"order": OrderType.STOP_LIMIT, "entry_ticks": 10_250, "trigger_ticks": 10_200}, None),  # gone by then
        (FALLS, {"order": OrderType.LIMIT, "entry_ticks": 9_800, "good_for_ns": SECOND_NS}, None),  # given up before
        (RISES, {"order": OrderType.LIMIT, "entry_ticks": 10_300, "post_only": True}, None),  # it could be had at once
        (FALLS, {"entry_ticks": 9_800}, -2),  # a price without an order: at once, at 101, out at 99
    ],
)
def test_what_brings_its_own_order_is_traded_by_it(prices, order, net):
    class Waits(Two):
        def on_fire(self, context, side):
            return Signal(side, **order)

    (found,) = summary(a_file(*((n, price, 1) for n, price in enumerate(prices, start=1))), Waits())
    large = found.conditions[1]
    assert (large.near_misses, large.let_pass, large.not_filled) == (1, 0, int(net is None))
    assert (large.figures["trades"], large.figures["net"]) == (int(net is not None), net or 0)


def test_a_touch_fill_without_a_quote_is_no_trade():
    columns = a_file((1, 99, 1), (2, 101, 1), (3, 99, 1), (4, 101, 1), (7, 101, 1))
    quotes = {"bid_ticks": np.array([0, 0, 0, 10090, 0]), "ask_ticks": np.array([0, 0, 0, 10110, 0])}
    (found,) = summary({**columns, **quotes}, Two())
    large = found.conditions[1]
    assert (large.near_misses, large.not_filled) == (2, 1)
    assert (large.figures["trades"], float(large.figures["spread_cost"]), float(large.figures["net"])) == (1, 0.2, -0.2)


def test_a_quote_known_from_an_earlier_record_is_used():
    ts_ns = np.array([1, 2, 3, 9], np.int64) * SECOND_NS
    block = TickBlock(
        ts_ns,
        np.array([9900, 0, 10100, 10100]),
        np.array([1, 0, 1, 1]),
        bid_ticks=np.array([0, 10090, 0, 0]),
        ask_ticks=np.array([0, 10110, 0, 0]),
        kind=np.array([0, 1, 0, 0], np.uint8),
    )
    (found,) = summary(TickFile(block, [Instrument("X")], "made"), Two())
    assert found.trades == 3
    assert float(found.conditions[1].figures["spread_cost"]) == 0.2


def test_a_strategy_without_conditions_is_told_so():
    class Ticking(Strategy):
        exits = Stop(pct(1))

        def on_tick(self, tick):
            return None

    with pytest.raises(ConfigError, match="Ticking decides in on_tick and declares no condition"):
        summary(a_file((1, 1, 1)), Ticking())


# ---------------------------------------------------------------- one trade alone is the backtest's trade


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fills": "touch", "spread": "0.02", "fee": "0.005/share", "slippage_bps": "0.5"},
        {"latency_feed": "20ms", "latency_order": "30ms", "fee": "1bps"},
        {"calendar": "us_equities"},
    ],
    ids=["plain", "costs", "latency", "session"],
)
@pytest.mark.parametrize("load", [load_aapl_lobster, load_spy], ids=["aapl", "spy"])
def test_alone_every_trade_of_a_backtest_is_itself(load, more):
    file = load_ticks(load().columns(), symbol="X", price_precision=4)
    strategy = make_strategy("momentum_burst", {"cooldown_signals": 0})
    assert_alone_as_in_the_run(file, strategy, make_settings(file.block, daily_loss_limit="100%", **more))


def assert_alone_as_in_the_run(file, strategy, settings):
    """Every entry of a run that was filled, traded alone, is the run's own trade; every other comes to nothing."""
    entries: list[Entry] = []

    class Entries:
        def append(self, decision):
            if isinstance(decision, OrderSubmitted) and decision.purpose == "entry":
                row, index = kernel.core.event_record_number, kernel.lanes[decision.lane].instrument
                entries.append(Entry(index, row, Side(decision.side), 0, 0, *kernel.core.quote(index)))

    kernel = compose(file, [strategy], settings, Entries())
    kernel.process(file.block)
    kernel.process(engine.events.End())
    assert len(kernel.trades) > 5
    alone = SingleTrades(file, strategy, settings)
    traded = [trade for entry in entries if (trade := alone.trade(entry)) is not None]
    assert in_order(traded) == in_order(kernel.trades)


def in_order(trades):
    """By instrument and time; alone, the lane is the first whichever the instrument."""
    return sorted((trade._replace(lane=0) for trade in trades), key=lambda trade: (trade.symbol, trade.entry_ts_ns))


class Parts(Strategy):
    """Waits for its price, sells in two parts, one of them resting: most of its trades call some order back."""

    long = change(seconds(5)) <= pct("-0.03")
    short = change(seconds(5)) >= pct("0.03")
    entry = Limit(pct("0.01"), good_for=seconds(2))
    exits = (
        Stop(pct("0.05")),
        Target(pct("0.04"), share=pct(50), resting=True),
        Target(pct("0.1"), share=pct(50)),
        Trailing(pct("0.03"), after=pct("0.04")),
    )
    size = Units(7)  # half of which are three


class Measured(Strategy):
    """Leaves by the true range of bars that began long before its entry."""

    long = change(seconds(5)) >= pct("0.02")
    exits = (Stop(atr(bars(seconds(5)), 5)), Target(2 * atr(bars(seconds(5)), 5)), TimeStop(seconds(30)))


class AtTheMean(Strategy):
    """Waits at a price that is the market's own."""

    long = change(seconds(5)) >= pct("0.02")
    entry = Limit(vwap(seconds(10)), good_for=seconds(10))
    exits = (Stop(highest(seconds(10)) - lowest(seconds(10))), TimeStop(seconds(30)))


class ByAnother(Strategy):
    """Leaves when another instrument turns."""

    long = begins(change(seconds(5)) >= pct("0.03"))
    exits = (When(of("BBB", change(seconds(3)) <= pct("-0.02"))), TimeStop(seconds(30)))


@pytest.mark.parametrize("strategy", [Parts, Measured, AtTheMean, ByAnother])
@pytest.mark.parametrize("more", [{}, {"latency_order": "50ms", "fills": "worst"}], ids=["plain", "late"])
def test_alone_is_as_in_the_run_whatever_the_exits_measure(strategy, more):
    one, other = generate(30_000, seed=3), generate(30_000, seed=4)
    order = np.argsort(np.concatenate((one.ts_ns, other.ts_ns)), kind="stable")
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    columns = {name: np.concatenate((getattr(one, name), getattr(other, name)))[order] for name in names}
    columns["instrument"] = np.repeat(np.array([0, 1], np.int64), 30_000)[order]
    named = [Instrument("AAA", 2, 0), Instrument("BBB", 2, 0)]
    file = replace(load_ticks(columns), instruments=named)
    settings = make_settings(file.block, daily_loss_limit="100%", **more)
    assert_alone_as_in_the_run(file, strategy(), settings)


def test_instruments_do_not_change_each_other():
    made = generate(30_000, symbols=["AAPL", "MSFT"], quotes=True)
    block = TickBlock(**{name: np.ascontiguousarray(column) for name, column in made._asdict().items()})
    block.instrument, block.kind = block.instrument.astype(np.uint16), block.kind.astype(np.uint8)
    both = TickFile(block, [Instrument("AAPL"), Instrument("MSFT")], "made")
    strategy = make_strategy("momentum_burst", {"cooldown_signals": 0})
    settings = make_settings(block)
    found = why_not(both, strategy, settings)
    for index, together in enumerate(found):
        rows = np.flatnonzero(block.instrument == index)
        columns = {name: column[rows] for name, column in columns_of(block).items() if name != "instrument"}
        assert together.judged > 1000
        single = TickFile(TickBlock(**columns), [both.instruments[index]], "made")
        (apart,) = why_not(single, strategy, settings)
        assert [one.near_misses for one in apart.conditions] == [one.near_misses for one in together.conditions]
        assert sum(one.near_misses for one in apart.conditions) > 10


@pytest.mark.parametrize("calendar", ["always", "us_equities"])
def test_windows_have_been_filling_since_the_core_says_so(calendar):
    """On a recorded day before, during and after its session, and once more as the day after."""
    spy = load_spy()
    edge = int(np.searchsorted(spy.ts_ns, spy.ts_ns[0] + 5 * 3_600 * SECOND_NS))
    rows = np.r_[0:1_000, edge : edge + 60_000 : 20, len(spy) - 1_000 : len(spy)]
    columns = {name: np.tile(column[rows], 2) for name, column in spy.columns().items()}
    columns["ts_ns"][len(rows) :] += 86_400 * SECOND_NS
    file = load_ticks(columns, symbol="SPY", price_precision=4)
    settings = make_settings(file.block, calendar=calendar)
    strategy = make_strategy("momentum_burst", {})
    observation = Observation(file, settings, [listening(strategy, strategy.conditions(), lambda *_: None)])
    (watched,) = observation.run()
    kernel = compose(file, [strategy], settings, MemoryJournal())
    for row in range(len(file.block)):
        kernel.process(file.block.part(row, row + 1))
        if watched.in_session[row]:
            assert (watched.since_ns[row], watched.trades[row]) == kernel.core.warm_since(0)
    sessions = np.unique(watched.since_ns[watched.in_session])
    assert len(sessions) == (1 if calendar == "always" else 2)
