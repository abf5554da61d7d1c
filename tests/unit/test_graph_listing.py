"""The printed graph is the program: every node once, in order, and what it says of sharing and warm-up is so."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine import _program
from engine.errors import ConfigError
from engine.graph.compiler import Compiler
from engine.indicators import atr, macd, rsi
from engine.model import Instrument
from engine.rules import (
    Param,
    Stop,
    at,
    bars,
    bid,
    bps,
    change,
    crosses_above,
    dollars,
    ema,
    for_at_least,
    highest,
    hours,
    latest,
    milliseconds,
    minutes,
    of,
    opening,
    pct,
    previous,
    price,
    realised_volatility,
    run_length,
    sample,
    seconds,
    session,
    since,
    since_high,
    size,
    slope,
    sma,
    spread,
    ticks,
    time_of_day,
    units,
    volume,
    vwap,
    vwap_sd,
    within,
    zscore,
)
from engine.strategies.momentum_burst import MomentumBurst
from engine.strategy import Strategy
from engine.tools.features import features
from engine.tools.graph import Graph, graph_of, label_of, text_of
from engine.tools.graph_words import JOINS, WORDS
from mock_server.market import generate

FIVE = bars(seconds(5))
HOUR = bars(hours(1), role="HTF")


class Rich(Strategy):
    """Something of everything."""

    n = Param(20, "length of the trend", low=2)
    trend = ema(HOUR.close, n)
    calm = for_at_least(spread < 0.05, seconds(3))
    long = (
        (price > trend)
        & (rsi(FIVE.close, 14) < 30)
        & crosses_above(price, vwap(session))
        & (zscore(seconds(30)) < -2)
        & calm
        & (change(ticks(100)) > bps(5))
        & (price > highest(opening(minutes(15))))
        & (of("QQQ", change(seconds(15))) > pct("0.1"))
        & (time_of_day > at("10:30"))
        & (FIVE.developing.volume > FIVE.volume)
        & (sample(spread, FIVE) < 0.1)
        & (HOUR.vwap > price)
        & (price > vwap(since("10:30")))
        & (volume(since_high) > 100)
        & (bars(units(1000)).close > bars(dollars(10_000)).open)
        & (realised_volatility(milliseconds(500)) < 0.1)
        & (abs(price - vwap_sd()) > 1)
    )
    short = (price < trend) & of("QQQ", price < bid) & calm
    exits = Stop(pct(1))


STRATEGIES = {"MomentumBurst": MomentumBurst, "Rich": Rich}


@pytest.fixture(params=STRATEGIES)
def strategy(request) -> Strategy:
    return STRATEGIES[request.param]()


def compiled(strategy: Strategy, *conditions: object) -> Compiler:
    """The traded instrument's compiler with a rule in it, and another instrument beside it."""
    numbered = {"QQQ": (1, Compiler(Instrument("QQQ")))}
    compiler = Compiler(Instrument("this"), others=numbered)
    compiler.rule(*(conditions or strategy.conditions()), strategy.parameters)
    return compiler


def test_momentum_burst_as_people_read_it():
    graph = graph_of(MomentumBurst())
    assert [(one.label, one.text, one.sides) for one in graph.conditions] == [
        ("A", "move >= 0.05%", ["long"]),
        ("B", "surge > 1.5", ["long", "short"]),
        ("C", "span >= 0.1%", ["long", "short"]),
        ("D", "move <= -0.05%", ["short"]),
    ]
    said = {node.computes: (str(node.warm_up), node.serves) for node in graph.nodes}
    first = next(node.number for node in graph.nodes if node.computes == "oldest price in #1 (15s)")
    # (p - f) / f >= 5/10000 is 2000 p >= 2001 f
    assert said[f"2,000·price >= 2,001·#{first}"] == ("15s", ["A"])
    assert said[f"2,000·price <= 1,999·#{first}"] == ("15s", ["D"])
    assert said["window of 15s"] == ("15s", ["A", "B", "C", "D"])
    assert said["window of 1s"] == ("1s", ["B"])
    assert said["oldest price in #1 (15s)"] == ("15s", ["A", "D"])
    assert str(graph.warm_up) == "15s"


def test_parameters_are_those_of_the_instance():
    graph = graph_of(MomentumBurst(window="3s", volume_spike="2"))
    assert graph.nodes[0].computes == "window of 3s"
    assert "surge > 2" in [one.text for one in graph.conditions]


def test_every_node_of_the_program_once_and_in_its_order(strategy):
    graph = graph_of(strategy)
    own = [node for node in graph.nodes if not node.instrument]
    program = compiled(strategy).program
    assert [node.operation for node in own] == [name for name, *_ in program.listing]
    assert [node.number for node in graph.nodes] == list(range(1, len(graph.nodes) + 1))
    assert all(read.node is None or read.node < node.number for node in graph.nodes for read in node.inputs)
    assert len({(node.instrument, node.operation, node.computes, node.clock) for node in graph.nodes}) == len(
        graph.nodes
    )


def test_every_operation_of_the_engine_has_words():
    assert set(_program.OPERATIONS) - set(WORDS) - set(JOINS) == set()
    assert set(WORDS) | set(JOINS) <= set(_program.OPERATIONS)


def test_nothing_is_left_unsaid(strategy):
    for node in graph_of(strategy).nodes:
        assert "{" not in node.computes
        assert "column" not in node.computes


def test_what_a_condition_is_served_by_is_what_it_compiles_to_alone(strategy):
    """An independent count: each condition in a program of its own."""
    graph = graph_of(strategy)
    parts = [part for side in strategy.conditions() if side is not None for part in joined(side)]
    seen = 0
    for part in parts:
        if "of(" in str(part):
            continue  # its windows are kept on the traded instrument too, for the warm-up, and serve no condition there
        compiler, views = compiled(strategy, part, None), []
        compiler.condition(part, strategy.parameters, views)
        if len(views) != 1:
            continue  # made of several
        condition = next(one for one in graph.conditions if one.text == text_of(views[0]))
        needed = [node for node in graph.nodes if condition.label in node.serves]
        alone = sum(len(each.program.listing) for each in (compiler, compiler.others["QQQ"][1]))
        assert len(needed) == alone - 1, part  # less the state, which joins the sides
        seen += 1
    assert seen >= min(len(graph.conditions), 4)


def joined(part):
    """The parts of a condition that are joined by ``&``."""
    return (
        [each for side in (part.left, part.right) for each in joined(side)]
        if getattr(part, "op", "") == "&"
        else [part]
    )


def test_the_counts_of_sharing(strategy):
    graph = graph_of(strategy)
    assert graph.shared == sum(len(node.serves) > 1 for node in graph.nodes) > 0
    joining = sum(not node.serves for node in graph.nodes)
    assert graph.unshared == joining + sum(len(node.serves) for node in graph.nodes) > len(graph.nodes)
    assert graph.to_json()["nodes"] == len(graph.nodes) == len(graph.to_json()["graph"])


def test_sides_and_roles():
    graph = graph_of(Rich())
    sides = {one.text: one.sides for one in graph.conditions}
    assert sides["price > trend"] == ["long"]
    assert sides["price < trend"] == ["short"]
    assert sides["for_at_least(spread < 0.05, 3s)"] == ["long", "short"]
    assert sides["time_of_day > 10:30"] == ["long"]
    clocks = {node.clock for node in graph.nodes}
    assert {"trades", "bars(1h) HTF", "bars(5s)"} <= clocks
    assert {node.instrument for node in graph.nodes} == {"", "QQQ"}


ON_BARS = {
    "previous(FIVE.close, 3)": previous(FIVE.close, 3),
    "sma(FIVE.close, 7)": sma(FIVE.close, 7),
    "ema(FIVE.close, 9)": ema(FIVE.close, 9),
    "slope(FIVE.close, 6)": slope(FIVE.close, 6),
    "highest(FIVE.high, 4)": highest(FIVE.high, 4),
    "sma(previous(FIVE.close, 3), 7)": sma(previous(FIVE.close, 3), 7),
    "atr(FIVE, 5)": atr(FIVE, 5),
    "rsi(FIVE.close, 6)": rsi(FIVE.close, 6),
    "macd histogram": macd(FIVE.close, 3, 6, 4).histogram,
}


@pytest.mark.parametrize("name", ON_BARS)
def test_the_warm_up_that_is_shown_is_the_one_that_happens(name):
    """The bars that the listing says are needed have closed, no more and no fewer, when the first value appears."""
    value = ON_BARS[name]
    kind = type("Waiting", (Strategy,), {"long": value > -1_000_000})
    (condition,) = graph_of(kind()).conditions
    columns = features(generate(20_000)._asdict(), {"x": value, "start": FIVE.trades, "close": FIVE.close})
    first = int(np.flatnonzero(~np.isnan(columns["x"]))[0])
    closed = bars_closed_by(first)
    assert condition.warm_up.records == {"trades": 1, "bars(5s)": closed}


def bars_closed_by(row: int) -> int:
    """Five-second bars, empty ones left out, that have ended by the trade in ``row``: by counting."""
    ts_ns = generate(20_000).ts_ns
    number = ts_ns // 5_000_000_000  # the session is the UTC day, which begins on a whole number of them
    before = number[: row + 1]
    return sum(later != earlier for earlier, later in pairwise(before.tolist()))


def test_windows_of_trades_warm_up_as_the_rule_waits():
    kind = type(
        "Waiting", (Strategy,), {"long": (sma(price, 40) > 1) & (change(ticks(100)) > 0) & (volume(seconds(3)) > 1)}
    )
    graph = graph_of(kind())
    assert [str(one.warm_up) for one in graph.conditions] == ["40 trades", "100 trades", "3s"]
    assert str(graph.warm_up) == "3s, 100 trades"


def test_labels_go_on_after_z():
    assert [label_of(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_values_of_bars_have_their_names():
    kind = type("OfBars", (Strategy,), {"long": (FIVE.high > FIVE.developing.low) & (HOUR.vwap > price)})
    graph = graph_of(kind())
    by_five, by_hour = (
        next(node.number for node in graph.nodes if node.computes == f"bars of {length}") for length in ("5s", "1h")
    )
    said = [node.computes for node in graph.nodes]
    held = said.index(f"#{by_five}.high of the last closed bar") + 1
    assert f"#{held} > #{by_five}.developing.low" in said
    total, size = (said.index(f"#{by_hour}.{name} of the last closed bar") + 1 for name in ("value", "volume"))
    assert f"#{total} > price·#{size}" in said


def test_a_declaration_without_meaning_names_its_strategy():
    kind = type("Mixed", (Strategy,), {"long": price > size})
    with pytest.raises(ConfigError) as caught:
        graph_of(kind())
    assert caught.value.line().startswith("Mixed: price > size mixes a price and a size; ")


def test_a_graph_is_plain_data(strategy):
    import orjson

    graph = graph_of(strategy)
    assert isinstance(graph, Graph)
    assert orjson.loads(orjson.dumps(graph.to_json())) == graph.to_json()


def test_exactly_is_said_only_of_what_rests_on_nothing_but_exact_decisions():
    """A condition about conditions is decided as they are: a count of records is exact, what it counts may not be."""
    rough, sharp = rsi(price, 14) > 50, price > highest(seconds(10)) - 1
    decided = {
        price > 100: True,
        rough: False,
        for_at_least(sharp, seconds(5)): True,
        for_at_least(rough, seconds(5)): False,
        within(rough, 20): False,
        previous(sharp): True,
        previous(rough): False,
        crosses_above(price, vwap(ticks(5))): True,
        latest(price, when=sharp) > 100: True,
        latest(price, when=rough) > 100: False,
        run_length(~rough) >= 3: False,
        of("QQQ", sharp): True,
        of("QQQ", rough): False,
        of("QQQ", latest(price, when=rough)) > 100: False,
        for_at_least(sharp & rough, 3): False,
        for_at_least(vwap(seconds(10)) > vwap(seconds(60)), 3): False,  # exact alone, and too long together
    }
    for condition, exact in decided.items():
        graph = graph_of(type("One", (Strategy,), {"long": condition})())
        assert all(one.exact for one in graph.conditions) is exact, condition
