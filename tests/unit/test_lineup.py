"""Several strategies at once are what each of them is alone, as long as they do not meet."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Strategy
from engine.backtesting import backtest, load_ticks
from engine.errors import ConfigError, UserError
from engine.lineup import Entrant, context_of, labels, line_up, read_entrant, traded_by
from engine.model import Instrument, TickBlock
from engine.regimes import volatility_index
from engine.rules import Param, TimeStop, falling, of, price, rising, seconds, symbol
from engine.sizing import Scaled, Units
from engine.store.ticks import TickFile
from mock_server.market import generate

NAMES = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "instrument")


@pytest.fixture(scope="module")
def two():
    """Ticks of X0 and X1, mixed."""
    made = generate(30_000, symbols=["A", "B"], seed=3)
    return load_ticks({name: np.ascontiguousarray(getattr(made, name)) for name in NAMES}, symbol="X")


def facts(trades):
    """What a trade is, whichever lane it was made on."""
    return [trade._replace(lane=0) for trade in trades]


def test_on_different_symbols_each_trades_as_if_alone(two):
    lines = ["momentum_burst symbols=X0 window=9s", "smoke_test symbols=X1"]
    together = backtest(two, lines)
    alone = [backtest(two, [line]) for line in lines]
    for entrant, (label, figures), run in zip(
        together.entrants.values(), together.by_strategy.items(), alone, strict=True
    ):
        lanes = [lane.number for lane in together.kernel.lanes if lane.strategy is entrant.strategy]
        own = [trade for trade in together.trades if trade.lane in lanes]
        assert facts(own) == facts(run.trades)
        assert len(own) > 3
        assert figures["net"] == run.metrics["net"]
        assert figures["symbols"] == list(entrant.symbols)
        assert label == entrant.name
    assert together.metrics["net"] == sum(run.metrics["net"] for run in alone)
    assert together.metrics["trades"] == sum(run.metrics["trades"] for run in alone)


def test_on_the_same_symbol_the_second_is_refused_while_the_first_holds(two):
    run = backtest(two, ["smoke_test", "momentum_burst"])
    spans = [
        (trade.symbol, trade.entry_ts_ns, trade.exit_ts_ns) for trade in sorted(run.trades, key=lambda t: t.entry_ts_ns)
    ]
    for name in ("X0", "X1"):
        own = [span[1:] for span in spans if span[0] == name]
        assert all(one[1] <= other[0] for one, other in pairwise(own))
    assert run.by_strategy["momentum_burst"]["refusals"]["POSITION_OPEN"] > 0


def test_what_is_said_of_each_adds_up_to_the_run(two):
    run = backtest(two, ["smoke_test", "momentum_burst", "smoke_test profit_target=0.3%"], fee="1bps")
    for figure in ("trades", "wins", "losses", "gross", "fees", "net"):
        assert sum(own[figure] for own in run.by_strategy.values()) == run.metrics[figure]
    assert list(run.by_strategy) == ["smoke_test", "momentum_burst", "smoke_test 2"]


@settings(max_examples=15, deadline=None)
@given(weight=st.integers(1, 50))
def test_a_weight_multiplies_every_trade_exactly(two, weight):
    one, more = backtest(two, ["smoke_test symbols=X1"]), backtest(two, [f"smoke_test symbols=X1 weight={weight}"])
    assert [t.lots * weight for t in one.trades] == [t.lots for t in more.trades]
    assert [t.net_units * weight for t in one.trades] == [t.net_units for t in more.trades]


def test_a_weight_multiplies_a_size_before_it_is_rounded_to_lots(two):
    """500 dollars at about 170 are 2 shares and a bit; 2.5 times as many dollars are 7."""
    one, more = (backtest(two, [line], size="500 dollars") for line in ("smoke_test", "smoke_test weight=2.5"))
    for run, dollars in ((one, Fraction(500)), (more, Fraction(1250))):
        assert len(run.trades) > 5
        for trade in run.trades:
            bid_ask = 2  # ticks: the order is sized by a price of the moment before its fill
            bounds = [dollars / (Fraction(trade.entry_ticks + side * bid_ask) / 100) for side in (1, -1)]
            assert int(bounds[0]) <= trade.lots <= int(bounds[1])


def test_a_weight_that_is_no_whole_number_of_lots_is_refused(two):
    with pytest.raises(UserError, match=r"a position of 0\.5 is not a whole number of X0's lots"):
        backtest(two, ["smoke_test weight=0.5"])


# ---------------------------------------------------------------- in which market


def test_a_condition_that_never_holds_refuses_every_signal_with_its_reason(two):
    run = backtest(two, ["momentum_burst when=price<0"])
    free = backtest(two, ["momentum_burst"])
    assert run.trades == []
    assert {note.reason for note in run.refusals} == {"REGIME"}
    first = min(trade.entry_ts_ns for trade in free.trades)
    assert run.refusals[0].ts_ns == first


def test_a_condition_that_always_holds_changes_nothing(two):
    assert backtest(two, ["momentum_burst when=price>0"]).decision_hash == backtest(two).decision_hash


def test_it_is_asked_at_the_very_trade_of_the_entry(two):
    """From the prices alone: entries at or above the level are refused, those below are not."""
    level = int(np.median(two.block.price_ticks))
    run = backtest(two, [f"smoke_test when=price<{level / 100}"], fills="last")
    assert len(run.trades) > 5
    assert all(trade.entry_ticks < level for trade in run.trades)
    refused = [note for note in run.refusals if note.reason == "REGIME"]
    assert refused
    assert all(note.price >= Decimal(level) / 100 for note in refused)


def test_two_lines_of_one_strategy_weigh_it_by_regime(two):
    """Half the size where the price is high, none lost and none doubled: each entry is in its own regime's size."""
    level = int(np.median(two.block.price_ticks)) / 100
    lines = [f"smoke_test weight=2 when=price<{level}", f"smoke_test weight=1 when=price>={level}"]
    run = backtest(two, lines, fills="last")
    sizes = {(trade.lots, trade.entry_ticks < level * 100) for trade in run.trades}
    assert sizes == {(2, True), (1, False)}


# ---------------------------------------------------------------- context


class WithContext(Strategy):
    """Long after an uptick while another instrument, which is only read, has just risen too."""

    index = Param(symbol("X0"), "symbol of the other instrument")
    long = rising(price, 1) & of(index, rising(price, 1))
    short = falling(price, 1)
    exits = (TimeStop(seconds(5)),)


def test_what_a_rule_only_reads_is_not_traded(two):
    run = backtest(two, WithContext)
    assert {trade.symbol for trade in run.trades} == {"X1"}
    assert {trade.symbol for trade in backtest(two, WithContext, index="X1").trades} == {"X0"}


def test_it_is_when_its_symbol_is_named(two):
    entrant = line_up([WithContext])[0]
    assert context_of(entrant.strategy) == {"X0"}
    both = backtest(two, [Entrant(entrant.strategy, symbols=("X0", "X1"))])
    assert {lane.instrument for lane in both.kernel.lanes} == {0, 1}


def test_where_everything_is_only_read_nothing_is_left_to_trade(two):
    alone = [Instrument("X0")]
    with pytest.raises(UserError, match=r"it reads X0 and there is no other symbol to trade; .* say symbols=X0"):
        traded_by(line_up([WithContext])[0], alone)


class BySize(Strategy):
    """Ten shares after an uptick; half as many in an elevated market, none in an extreme one."""

    long = rising(price, 1)
    exits = (TimeStop(seconds(1)),)
    size = Scaled(Units(10), volatility_index("VIX"), {"ELEVATED": "0.5", "EXTREME": 0})


def test_the_old_rule_smaller_in_an_elevated_market_and_none_in_an_extreme_one():
    """An uptick each three seconds; the index before it at 14, 20, 20.01, 30 and 30.01. 30 is not above 30."""
    index, stock = [1400, 2000, 2001, 3000, 3001], [10_000, 10_001, 10_001]
    rows = [(3 * n + k, (value, tick)) for n, value in enumerate(index) for k, tick in enumerate(stock)]
    block = TickBlock(
        ts_ns=np.repeat([1_704_205_800 + second for second, _ in rows], 2) * 10**9,
        price_ticks=np.array([pair for _, pair in rows], np.int64).ravel(),
        size_lots=np.ones(2 * len(rows), np.int64),
        instrument=np.tile(np.array([0, 1], np.uint16), len(rows)),
    )
    run = backtest(TickFile(block, [Instrument("VIX"), Instrument("X")], source="by hand"), BySize)
    assert [(trade.symbol, trade.lots) for trade in run.trades] == [("X", 10), ("X", 10), ("X", 5), ("X", 5)]
    assert [note.reason for note in run.refusals] == ["NO_SIZE"]


# ---------------------------------------------------------------- lines


def test_a_line_is_read_as_it_is_written():
    one = read_entrant("""orb weight=0.5 symbols=AAPL,MSFT 'breakout=0.2%' 'when=price > 100'""")
    assert type(one.strategy).__name__ == "OpeningRangeBreakout"
    assert (one.weight, one.symbols, str(one.when)) == (Fraction(1, 2), ("AAPL", "MSFT"), "price > 100")
    assert str(one.strategy.parameters["breakout"]) == "0.2%"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "'' names no strategy; write NAME KEY=VALUE"),
        ("'orb", "names no strategy"),
        ("nobody", "there is no strategy 'nobody'"),
        ("orb weigth=1", "did you mean 'weight'?"),
        ("orb weight", "'weight' is not KEY=VALUE"),
        ("orb weight=0", "the weight of orb is not positive"),
        ("orb weight=-1", "the weight of orb is not positive"),
        ("orb weight=heavy", "orb: weight"),
        ("orb breakout=wide", "orb: breakout"),
        ("orb when=price", "price is no condition"),
        ("orb when=pryce>1", "orb: when"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_in_one_sentence(line, words):
    with pytest.raises(UserError) as refused:
        read_entrant(line)
    assert words in refused.value.line()
    assert "\n" not in refused.value.line()


def test_a_symbol_that_is_not_there_is_refused(two):
    with pytest.raises(UserError, match=r"orb: there is no symbol 'X2'; did you mean 'X"):
        backtest(two, ["orb symbols=X2"])


def test_parameters_beside_several_strategies_belong_to_nobody(two):
    with pytest.raises(UserError, match=r"write 'window=\.\.\.' in its line"):
        backtest(two, ["momentum_burst", "smoke_test"], window="7s")
    with pytest.raises(UserError, match="there is no strategy in the line-up"):
        backtest(two, [])


@pytest.mark.parametrize(("given", "called"), [(5, "5"), (None, "None"), (int, "int"), ([5], "5"), (len, "len")])
def test_what_is_no_strategy_is_refused_in_one_sentence(two, given, called):
    with pytest.raises(ConfigError, match=f"strategy: {called} is no strategy; give a name, a path such as"):
        backtest(two, given)


def test_the_passport_tells_line_ups_apart(two):
    lines = ["smoke_test"], ["smoke_test weight=2"], ["smoke_test symbols=X0"], ["smoke_test when=price>0"]
    runs = [backtest(two, line) for line in lines]
    assert len({run.run_id for run in runs}) == len(lines)
    assert runs[0].run_id == backtest(two, "smoke_test").run_id
    assert runs[1].passport["strategies"]["smoke_test"]["weight"] == 2.0


def test_a_second_of_a_name_gets_a_number():
    assert labels(line_up(["orb", "swing", "orb", "orb"])) == ["orb", "swing", "orb 2", "orb 3"]
