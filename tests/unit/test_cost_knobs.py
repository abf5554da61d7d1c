"""Every knob of the venue moves the result of a run with trades, and a dearer venue never pays.

The knobs are read from the configuration, so one that is added without an effect, or without a word here on what makes
it dearer, fails. The trades are entered by the market and left by the clock alone: a cost cannot move one, so dearer
means less, trade by trade. On a rule whose exits hang on its entry price only the effect is certain, not its direction.
"""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Strategy
from engine.backtesting import backtest, load_ticks, make_settings
from engine.commands.shared import account_of, load_config
from engine.config.settings import PaperSettings
from engine.errors import ConfigError
from engine.language.entries import Limit
from engine.rules import TimeStop, falling, pct, price, rising, seconds
from mock_server.market import generate
from tests.shared_data import load_aapl_lobster

DEARER = {
    "spread": ["0.02", "0.05", "0.11"],
    "slippage_bps": ["0.001", "0.5", "3"],
    "fee": ["0.001/share", "0.01/share", "2/share"],
    "maker_fee": ["0.001/share", "0.01/share", "2/share"],
    "borrow_rate": ["1%", "300%", "90000%"],
}
"""What makes each knob dearer, in rising order."""

MOVES = {
    "latency_feed": ["250ms", "sampled median 50ms p99 2s seed 1", "file delays.csv", "file delays.csv seed 1"],
    "latency_order": ["250ms", "sampled median 50ms p99 2s seed 1", "file delays.csv", "file delays.csv seed 1"],
    "shorting": ["false"],
}
"""Values that change the result without a direction: while an order is late the price moves either way."""

TURNED = [(knob, values[-1]) for knob, values in DEARER.items()] + [
    (knob, value) for knob, values in MOVES.items() for value in values
]
"""Every knob, turned."""

RUNGS = ["last", "touch", "through", "queue", "worst"]
"""The fill models, each at least as dear as the one before for an order that goes to the market."""

NO_COST = {
    "fills": "its rungs are compared below",
    "starting_cash": "the account, not the venue",
    "risk_free_rate": "what ratios are measured against",
}


class ByTheClock(Strategy):
    """In after an uptick or a downtick, out after five seconds, whatever happened."""

    long = rising(price, 2)
    short = falling(price, 2)
    exits = (TimeStop(seconds(5)),)


class Waiting(ByTheClock):
    """The same, entered by orders that wait: what makers pay is theirs."""

    entry = Limit(pct("0.005"), good_for=seconds(5))


TRADER = {"maker_fee": Waiting}
"""What a knob acts on, where that is not every order."""


@pytest.fixture(scope="module")
def ticks():
    made = generate(20_000)
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    return load_ticks({name: np.ascontiguousarray(getattr(made, name)) for name in names})


@pytest.fixture(scope="module")
def real():
    return load_ticks(load_aapl_lobster().columns(), symbol="AAPL", price_precision=4)


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "delays.csv").write_text("400ms\n0\n35ms\n2s\n")


def run(ticks, strategy=ByTheClock, **knobs):
    """A backtest with knobs as the configuration takes them."""
    config = load_config(None, None, **{f"paper__{name}": value for name, value in knobs.items()}).config
    return backtest(ticks, strategy, **account_of(config))


def test_every_knob_of_the_venue_is_known_here():
    knobs = set(PaperSettings.model_fields) - {"account"}  # a name, and not what its trades cost
    assert set(DEARER) | set(MOVES) | set(NO_COST) == knobs
    assert ["auto", *RUNGS] == list(get_args(PaperSettings.model_fields["fills"].annotation))


@pytest.mark.parametrize(("knob", "value"), TURNED)
def test_a_knob_moves_the_result_of_every_trade(ticks, knob, value):
    trader = TRADER.get(knob, ByTheClock)
    base, turned = run(ticks, trader), run(ticks, trader, **{knob: value})
    assert min(len(base.trades), len(turned.trades)) > 15
    assert knob in MOVES or len(base.trades) == len(turned.trades)
    assert base.decision_hash != turned.decision_hash
    assert base.run_id != turned.run_id
    assert base.metrics["net"] != turned.metrics["net"]


@pytest.mark.parametrize("knob", DEARER)
def test_dearer_is_less_on_every_trade(ticks, knob):
    """With the assumed spread in place of the quotes the steps are compared among themselves."""
    start = [] if knob == "spread" else [{}]
    trader = TRADER.get(knob, ByTheClock)
    steps = [run(ticks, trader, **given) for given in (*start, *({knob: value} for value in DEARER[knob]))]
    for cheap, dear in pairwise(steps):
        paired = list(zip(cheap.trades, dear.trades, strict=True))
        pairs = [pair for pair in paired if knob != "borrow_rate" or pair[0].side == "short"]
        assert len(pairs) > 7
        assert all(one.net == other.net for one, other in paired if (one, other) not in pairs)
        # What the end of the data cuts off is valued, not traded: its entry cost something all the same.
        assert all(other.net < one.net and other.gross == one.gross for one, other in pairs)
        assert [(t.entry_ts_ns, t.exit_ts_ns) for t in cheap.trades] == [
            (t.entry_ts_ns, t.exit_ts_ns) for t in dear.trades
        ]


def test_a_dearer_rung_never_pays(ticks):
    """From rung to rung no trade that goes to the market gets better, and crossing the spread makes them worse."""
    steps = [run(ticks, fills=rung) for rung in ("last", "touch", "through", "worst")]
    for cheap, dear in pairwise(steps):
        assert len(cheap.trades) == len(dear.trades)
        assert dear.metrics["net"] <= cheap.metrics["net"]
    assert steps[1].metrics["net"] < steps[0].metrics["net"]


@settings(max_examples=25, deadline=None)
@given(
    first=st.tuples(*[st.integers(0, 40)] * 3),
    more=st.tuples(*[st.integers(0, 40)] * 3),
)
def test_costs_add_up_and_never_help(ticks, first, more):
    """Any costs, and any costs on top: the net falls by exactly what the costs rose."""
    dear = tuple(a + b for a, b in zip(first, more, strict=True))
    one, other = (
        backtest(ticks, ByTheClock, fee=f"{fee}bps", slippage_bps=slip, spread=f"{spread / 100}")
        for fee, slip, spread in (first, dear)
    )
    costs = ("spread_cost", "slippage_cost", "fees")
    assert one.metrics["net"] >= other.metrics["net"]
    assert one.metrics["gross"] == other.metrics["gross"]
    for result in (one, other):
        assert result.metrics["net"] == result.metrics["gross"] - sum(result.metrics[name] for name in costs)


@pytest.mark.parametrize(("knob", "value"), TURNED)
def test_every_knob_moves_trades_on_recorded_ticks(real, knob, value):
    trader = TRADER.get(knob, "momentum_burst")
    base, turned = run(real, trader), run(real, trader, **{knob: value})
    assert len(base.trades) > 10
    assert base.decision_hash != turned.decision_hash
    assert base.metrics["net"] != turned.metrics["net"]


def test_settings_of_the_venue_all_reach_it(ticks):
    """No field of the venue's model is left at its default when every knob is turned."""
    knobs = dict(TURNED) | {"fills": "touch"}
    config = load_config(None, None, **{f"paper__{name}": value for name, value in knobs.items()}).config
    default, turned = make_settings(ticks.block).venue, make_settings(ticks.block, **account_of(config)).venue
    same = [name for name in default.__slots__ if getattr(default, name) == getattr(turned, name)]
    assert same == ["fills"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("fills", "text; write for example fills='touch'"),
        ("calendar", "text; write for example calendar='us_equities'"),
        ("risk_profile", "text; write for example risk_profile='standard'"),
        ("session_rules", "a dict; write for example session_rules={'avoid': 'midday'}"),
        ("limits", "a dict; write for example limits={'max_drawdown': '10%'}"),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_one_sentence(name, what):
    columns = {"ts_ns": np.arange(3), "price_ticks": np.full(3, 100), "size_lots": np.ones(3, np.int64)}
    with pytest.raises(ConfigError) as refused:
        backtest(columns, "momentum_burst", **{name: 5})
    assert refused.value.line() == f"{name}: 5 is not {what}"
    with pytest.raises(ConfigError, match="size: 5 is no size; write for example size='2% risk', or Units"):
        backtest(columns, "momentum_burst", size=5)
