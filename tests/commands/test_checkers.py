"""``explain --why-not``, ``strategy check`` and ``lookahead`` as a user runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.shared_data import load_aapl_lobster

DULL = """from engine.rules import Param, TimeStop, pct, price, seconds
from engine.strategy import Strategy


class Dull(Strategy):
    idle = Param(seconds(5), "used by nothing")
    long = (price > 100) & (price > 100_000)
    exits = TimeStop(seconds(5))
"""

CHEAT = """import numpy as np
from engine import Side, Signal
from engine.rules import TimeStop, change, pct, seconds
from engine.strategy import Strategy

TIMES = np.loadtxt("{file}", delimiter=",", skiprows=1, usecols=0, dtype=np.int64)
PRICES = np.loadtxt("{file}", delimiter=",", skiprows=1, usecols=1)


class Cheat(Strategy):
    long = change(seconds(10)) >= pct("0.03")
    exits = TimeStop(seconds(5))

    def on_fire(self, context, side):
        later = np.searchsorted(TIMES, context.ts_ns) + {ahead}
        better = 0 <= later < len(PRICES) and PRICES[later] > float(context.instrument.price(context.price_ticks))
        return Signal(side, context.price_ticks) if better else None
"""


@pytest.fixture(scope="module")
def aapl(tmp_path_factory):
    return load_aapl_lobster().head(8_000).write_csv(tmp_path_factory.mktemp("ticks") / "AAPL.csv")


@pytest.fixture
def own(tmp_path):
    def write(name, text):
        path = tmp_path / f"{name.lower()}.py"
        path.write_text(text)
        return f"{path}:{name}"

    return write


def test_why_not_as_json_and_as_a_table(run, aapl):
    done = run("engine", "explain", "--ticks", str(aapl), "--why-not", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["schema"] == "microburst.why-not/1"
    (one,) = found["instruments"]
    assert [(line["side"], line["condition"].split()[0]) for line in one["conditions"]] == [
        (side, name) for side in ("long", "short") for name in ("move", "surge", "span")
    ]
    for line in one["conditions"]:
        made = line["would_have_made"]
        assert line["near_misses"] == made["trades"] + made["open_at_end"] + line["let_pass"] + line["not_filled"]
        costs = made["spread_cost"] + made["slippage_cost"] + made["fees"]
        assert made["net"] == pytest.approx(made["gross"] - costs, abs=1e-9)
    table = run("engine", "explain", "--ticks", str(aapl), "--why-not")
    assert table.code == 0
    assert "stood alone" in table.out
    assert "near misses, each traded alone, would have made" in table.out


def test_why_not_knows_costs(run, aapl):
    nets = []
    for fee in ("0", "1/share"):
        done = run("engine", "explain", "--ticks", str(aapl), "--why-not", "--fee", fee, "--json")
        (one,) = json.loads(done.out)["instruments"]
        nets.append([line["would_have_made"] for line in one["conditions"]])
    for free, charged in zip(*nets, strict=True):
        assert charged["net"] == pytest.approx(free["net"] - 2 * (free["trades"] + free["open_at_end"]), abs=1e-9)


def test_a_moment_is_explained_side_by_side(run, aapl):
    at = int(load_aapl_lobster().ts_ns[5_000])
    done = run("engine", "explain", "--ticks", str(aapl), "--at", str(at), "--json")
    assert done.code == 0
    (one,) = json.loads(done.out)["explanations"]
    assert [line["side"] for line in one["conditions"]] == ["long"] * 4 + ["short"] * 4
    assert one["why"]
    table = run("engine", "explain", "--ticks", str(aapl), "--at", str(at)).out
    assert [line.split()[:3] for line in table.splitlines() if line.startswith(("long", "short"))] == [
        ["long", "all", "of"],
        ["short", "all", "of"],
    ]


def test_a_clean_strategy_ends_with_0(run, aapl):
    assert run("engine", "strategy", "check", "momentum_burst").out == "MomentumBurst: nothing is declared in vain\n"
    done = run("engine", "strategy", "check", "momentum_burst", "--ticks", str(aapl), "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["schema"], found["problems"]) == ("microburst.strategy-check/1", 0)
    assert found["warm_up"][0]["condition"] == "the rule"
    assert found["warm_up"][0]["needs_ns"] == 15_000_000_000


def test_problems_end_with_3_and_are_named(run, own, aapl):
    name = own("Dull", DULL)
    done = run("engine", "strategy", "check", name, "--ticks", str(aapl), "--json")
    assert done.code == 3
    assert done.error == "error: Dull: 3 problems found; each is named above"
    found = json.loads(done.out)
    assert [one["kind"] for one in found["findings"] if one["level"] == "problem"] == [
        "unused_parameter",
        "always_true",
        "threshold_never_reached",
    ]
    largest = load_aapl_lobster().head(8_000).price_ticks.max() / 10_000
    assert found["findings"][2]["value"] == pytest.approx(largest)
    assert (
        f"the largest value was {largest:.6g} against 100000"
        in run("engine", "strategy", "check", name, "--ticks", str(aapl)).out
    )


def test_an_honest_strategy_passes_and_a_cheat_ends_with_8(run, own, aapl):
    done = run("engine", "lookahead", "momentum_burst", "--ticks", str(aapl), "--points", "20", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["schema"], found["equal"], found["ticks"]) == ("microburst.lookahead/1", True, 8_000)
    honest = run("engine", "lookahead", own("Cheat", CHEAT.format(file=aapl, ahead=-30)), "--ticks", str(aapl))
    assert honest.code == 0, honest.err
    assert "PRICES" in honest.out
    done = run("engine", "lookahead", own("Cheat", CHEAT.format(file=aapl, ahead=30)), "--ticks", str(aapl), "--json")
    assert done.code == 8
    found = json.loads(done.out)["mismatch"]
    when = np.datetime64(found["ts_ns"], "ns")
    assert done.error.startswith(
        f"error: Cheat: looks ahead: with nothing after row {found['row']:,} ({when} UTC), decision"
    )
    assert found["ts_ns"] == int(load_aapl_lobster().ts_ns[found["row"]])


def test_the_points_are_drawn_by_the_seed(run, aapl):
    cuts = [
        json.loads(
            run("engine", "lookahead", "momentum_burst", "--ticks", str(aapl), "--points", points, "--json").out
        )["cuts"]
        for points in ("0", "200")
    ]
    assert cuts[1] > cuts[0] + 150
