"""``features`` as a user runs it, and its columns against what a trading engine saw."""

from __future__ import annotations

import csv
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

import engine
from engine import cli
from engine.backtesting import make_kernel, make_settings
from engine.errors import ConfigError, MissingExtraError
from engine.indicators import bollinger, macd, rsi
from engine.journal.writer import MemoryJournal
from engine.rules import (
    Regime,
    Stop,
    TimeStop,
    bars,
    change,
    ema,
    for_at_least,
    latest,
    mid,
    minutes,
    pct,
    price,
    realised_volatility,
    seconds,
    session,
    since,
    size,
    spread,
    trade_side,
    volume,
    vwap,
    where,
    zscore,
)
from engine.store.ticks import read_ticks
from engine.strategies.momentum_burst import MomentumBurst
from engine.strategy import Strategy
from engine.structure import fair_value_gaps
from engine.tools import feature_files
from engine.tools.expressions import parse_expression
from engine.tools.features import feature_table
from tests.shared_data import load_aapl_lobster

FIVE = bars(seconds(5))

EXPRESSIONS = {
    "move": "change(seconds(15))",
    "burst": "volume(seconds(1)).rate() / volume(seconds(15)).rate() > 1.5",
    "strength": "rsi(bars(seconds(5)).close, 14)",
    "upper": "bollinger(bars(seconds(5)).close, 20, 2).upper",
    "rate": "volume(seconds(1)).rate()",
    "risk": "variance(ticks(50))",
}


class Wide(Strategy):
    """Exact and inexact features, on trades and on bars, one of each kind in the rule."""

    move = change(seconds(10))
    noise = zscore(seconds(30))
    strength = rsi(FIVE.close, 6)
    upper = bollinger(FIVE.close, 10, 2).upper
    smooth = ema(price, half_life=seconds(5))
    risk = realised_volatility(minutes(1))
    fair = vwap(session)
    lively = volume(seconds(1)).rate() / volume(seconds(15)).rate()

    long = (
        (move > pct("0.005"))
        & (noise > -10)
        & (strength > 20)
        & (upper > 1)
        & (smooth < price)
        & (risk >= 0)
        & (fair > 1)
        & (lively > "0.1")
        & (spread < 100)
    )
    exits = (Stop(pct("0.1")), TimeStop(seconds(5)))


@pytest.fixture(scope="module")
def aapl(tmp_path_factory) -> Path:
    return load_aapl_lobster().head(8_000).write_csv(tmp_path_factory.mktemp("ticks") / "AAPL.csv")


# ---------------------------------------------------------------- equal to what the live engine saw


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


@pytest.mark.parametrize("strategy", [MomentumBurst, Wide])
@pytest.mark.parametrize("pieces", [1, 997])
def test_columns_are_what_the_engine_saw_at_its_decisions_to_the_bit(aapl, strategy, pieces):
    """A kernel that trades, block by block; at each decision its views are read and found again in the columns."""
    file = read_ticks(aapl)
    seen: list[dict[str, float]] = []

    def on_fire(self, context, side):
        seen.append({"row": reached(), **context.features()})
        return Strategy.on_fire(self, context, side)

    def reached() -> int:
        """The row that is being decided on, where its time and price tell it from all others; else -1."""
        core, block = kernel.core, file.block
        at = (block.ts_ns == core.event_ts_ns) & (block.price_ticks == core.price(0))
        return int(np.flatnonzero(at)[0]) if at.sum() == 1 else -1

    watcher = type(strategy.__name__, (strategy,), {"on_fire": on_fire})()
    kernel = make_kernel(file.instruments, watcher, make_settings(file.block, fills="last"), MemoryJournal())
    for start in range(0, len(file.block), len(file.block) // pieces):
        kernel.process(file.block.part(start, min(start + len(file.block) // pieces, len(file.block))))

    columns = feature_table(file, strategy).columns
    (lane,) = kernel.lanes
    named = {view.name for view in lane.rule.views} & set(columns)
    assert named >= ({"move", "surge", "span"} if strategy is MomentumBurst else {"move", "noise", "strength", "upper"})
    placed = [moment for moment in seen if moment["row"] >= 0]
    assert len(placed) >= 10
    for moment in placed:
        for name in named:
            assert bits(moment[name]) == bits(float(columns[name][moment["row"]])), (name, moment)
        assert columns["long"][moment["row"]] or columns.get("short", columns["long"])[moment["row"]]


# ---------------------------------------------------------------- files


def test_csv_and_parquet_hold_the_columns_to_the_bit(run, aapl, tmp_path):
    pl = pytest.importorskip("polars")
    flags = [word for name, text in EXPRESSIONS.items() for word in ("--feature", f"{name}={text}")]
    for form in ("csv", "parquet"):
        done = run("engine", "features", "--ticks", str(aapl), *flags, "--out", str(tmp_path / f"f.{form}"))
        assert (done.code, done.err) == (0, "")
        assert "8,000 rows" in done.out
    wanted = engine.features(aapl, {name: parse_expression(text, name) for name, text in EXPRESSIONS.items()})
    ticks = read_ticks(aapl)
    frame = pl.read_parquet(tmp_path / "f.parquet")
    rows = list(csv.DictReader((tmp_path / "f.csv").open()))
    leading = ["timestamp", "ts_ns", "symbol", "price", "size"]
    assert frame.columns == list(rows[0]) == [*leading, *EXPRESSIONS]
    for name, column in wanted.items():
        assert frame[name].to_numpy().tobytes() == column.tobytes()
        if column.dtype == bool:
            assert [row[name] for row in rows] == [str(bool(value)).lower() for value in column]
            continue
        read = np.array([float(row[name] or "nan") for row in rows])
        assert (read == column)[~np.isnan(column)].all()
        assert [row[name] == "" for row in rows] == np.isnan(column).tolist()
        assert not np.isnan(column).all()
    assert frame["ts_ns"].to_list() == [int(row["ts_ns"]) for row in rows] == ticks.block.ts_ns.tolist()
    assert frame["timestamp"].dt.epoch("ns").to_list() == ticks.block.ts_ns.tolist()
    stamps = np.array([row["timestamp"].removesuffix("Z") for row in rows], "M8[ns]")
    assert stamps.view(np.int64).tolist() == ticks.block.ts_ns.tolist()
    assert set(frame["symbol"]) == {row["symbol"] for row in rows} == {ticks.instruments[0].symbol}
    exact = [ticks.instruments[0].price(price) for price in ticks.block.price_ticks.tolist()]
    assert [row["price"] for row in rows] == [str(price) for price in exact]
    assert frame["price"].to_list() == [float(price) for price in exact]
    for form in ("csv", "parquet"):
        again = read_ticks(tmp_path / f"f.{form}")
        assert again.block.price_ticks.tolist() == ticks.block.price_ticks.tolist()
        assert again.block.ts_ns.tolist() == ticks.block.ts_ns.tolist()


def test_rows_of_several_symbols_carry_their_own(tmp_path):
    """Quotes have no row, and each trade's value is that of its own instrument."""
    lines = ["timestamp,price,size,symbol", *(f"2024-01-02T14:30:{i:02}Z,{100 + i},1,{'AB'[i % 2]}" for i in range(20))]
    (tmp_path / "two.csv").write_text("\n".join(lines) + "\n")
    table = feature_table(tmp_path / "two.csv", {"high": parse_expression("highest(ticks(3))", "high")})
    feature_files.write_features(tmp_path / "out.csv", table)
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["symbol"] for row in rows] == ["A", "B"] * 10
    defined = [(row["price"], float(row["high"])) for row in rows if row["high"]]
    assert defined[-1] == ("119", 119.0)
    assert all(float(price) == high for price, high in defined)


# ---------------------------------------------------------------- the summary


def test_the_summary_says_what_the_columns_hold(run, aapl):
    flags = [word for name, text in EXPRESSIONS.items() for word in ("--feature", f"{name}={text}")]
    done = run("engine", "features", "--ticks", str(aapl), *flags, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert (told["schema"], told["rows"], told["out"]) == ("microburst.features/1", 8_000, None)
    columns = engine.features(aapl, {name: parse_expression(text, name) for name, text in EXPRESSIONS.items()})
    units = {"move": "", "burst": "", "strength": "", "upper": "price", "rate": "size/s", "risk": "price²"}
    for one in told["columns"]:
        values = columns[one["name"]]
        assert one["unit"] == units[one["name"]]
        known = values if values.dtype == bool else ~np.isnan(values)
        assert one["defined"] == int(known.sum())
        assert one["first_row"] == int(np.argmax(known))
        if values.dtype == bool:
            assert one["kind"] == "condition"
            assert math.isclose(one["mean"], values.mean())
        else:
            assert one["minimum"] == values[known].min()
            assert one["maximum"] == values[known].max()
            assert math.isclose(one["mean"], values[known].mean())
    shown = run("engine", "features", "--ticks", str(aapl), *flags).out
    assert "8,000 trades" in shown
    for name in EXPRESSIONS:
        assert f"\n{name} " in shown


def test_of_a_strategy_everything_that_it_names(run, aapl):
    done = run(
        "engine", "features", "--ticks", str(aapl), "--strategy", "momentum_burst", "--set", "window=7s", "--json"
    )
    told = json.loads(done.out)
    assert [one["name"] for one in told["columns"]] == ["move", "surge", "span", "awake", "long", "short"]
    moved = engine.features(aapl, {"move": change(seconds(7))})["move"]
    assert told["columns"][0]["maximum"] == np.nanmax(moved)


# ---------------------------------------------------------------- mistakes

MISTAKES = {
    "price>size": "is not NAME=EXPRESSION",
    "x=chnge(seconds(5))": "did you mean 'change'?",
    "x=change(15)": "write change(seconds(15))",
    "x=change()": "it is written change(window)",
    "x=change": "it needs its brackets: change(window)",
    "x=price > size": "only values of the same unit",
    "x=of('QQQ', price)": "there is no instrument 'QQQ'",
    "x=price and size": "instead of and and or",
    "x=1 < price < 2": "between(x, low, high)",
    "x=price[1]": "previous(x, n)",
    "x=bars(minutes(5))": "take one of its values: .close",
    "x=bars(minutes(5)).clse": "did you mean 'close'?",
    "x=price.name": "bars(minutes(5)).close",
    "x=max(price, mid)": "did you mean 'maximum'?",
    "x=change(seconds(5)": "was never closed",
    "size=price": "call it my_size",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_wrong_expression_is_one_sentence(capsys, aapl, tmp_path, text):
    out = tmp_path / "f.csv"
    assert cli._execute(["features", "--ticks", str(aapl), "--feature", text, "--out", str(out)]) == 3
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert MISTAKES[text] in line
    assert line.startswith("error: flag --feature") or "my_size" in line
    assert list(tmp_path.glob("*f.csv*")) == []


def test_other_mistakes(run, aapl, tmp_path):
    base = ["engine", "features", "--ticks", str(aapl)]
    assert "name it .parquet or .csv" in run(*base, "--out", str(tmp_path / "f.xls")).error
    assert "there is no folder" in run(*base, "--out", str(tmp_path / "no" / "f.csv")).error
    both = run(*base, "--feature", "x=price", "--strategy", "momentum_burst")
    assert (both.code, "not both" in both.error) == (2, True)
    assert "given twice" in run(*base, "--feature", "x=price", "--feature", "x=size").error


def test_a_strategy_that_names_no_features_is_told_so(run, aapl, tmp_path):
    path = tmp_path / "watcher.py"
    path.write_text("from engine import Strategy\nclass Watcher(Strategy):\n    def on_tick(self, tick): ...\n")
    done = run("engine", "features", "--ticks", str(aapl), "--strategy", str(path))
    said = "Watcher: this strategy names no features and no conditions; name one in its class body: move = change("
    assert (done.code, said in done.error) == (3, True)


def test_without_the_extra_the_install_line_comes_first(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        feature_files.check_output(tmp_path / "f.parquet")


# ---------------------------------------------------------------- text is parsed, never run

ATTACKS = [
    "__import__('os').system('true')",
    "().__class__.__mro__[1].__subclasses__()",
    "price.__class__.__init__.__globals__",
    "change.__globals__['__builtins__']",
    "(lambda: price)()",
    "[price for _ in (1,)]",
    "open('/etc/passwd')",
    "getattr(price, 'parts')",
    "f'{price}'",
    "price if True else size",
    "(x := price)",
    "abs(*[price])",
    "change(**{'window': seconds(5)})",
    "bars(minutes(5)).length",
    "bars(minutes(5)).__init__(5)",
    "Regime.__init__",
    "log.__name__",
    "9 ** 9 ** 9 ** 9",
    "'a' * 10 ** 9",
    "Custom('x', price, (price,))",
    "Param(5)",
    "(" * 500 + "price" + ")" * 500,
    "-" * 1900 + "price",
    "x" * 5_000,
    "price\0",
    "",
]


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_nothing_but_the_language_has_a_meaning(text):
    with pytest.raises(ConfigError) as caught:
        parse_expression(text, "--feature x")
    assert caught.value.line().startswith("--feature x: ")
    assert caught.value.fix
    assert len(caught.value.line()) < 400


MEANT = {
    "macd(bars(minutes(5)).close, 12, 26, 9).histogram": macd(bars(minutes(5)).close, 12, 26, 9).histogram,
    "Regime(('CALM', price < 5), ('WILD', price > 9)) == 'WILD'": Regime(("CALM", price < 5), ("WILD", price > 9))
    == "WILD",
    "~(price > 1) | (size == 3) & (spread != 0)": ~(price > 1) | (size == 3) & (spread != 0),
    "for_at_least(price > vwap(since('10:30')), seconds(3))": for_at_least(price > vwap(since("10:30")), seconds(3)),
    "where(size > 5, price, -mid) / 2 - 1e-3": where(size > 5, price, -mid) / 2 - 1e-3,
    "ema(price, half_life=seconds('0.5'))": ema(price, half_life=seconds("0.5")),
    "bars(minutes(5), role='HTF').developing.close": bars(minutes(5), role="HTF").developing.close,
    "latest(price, when=trade_side > 0, nth=2)": latest(price, when=trade_side > 0, nth=2),
    "fair_value_gaps(bars(minutes(5))).bullish.top": fair_value_gaps(bars(minutes(5))).bullish.top,
    "abs(price - mid) >= 0.1": abs(price - mid) >= 0.1,
}


@pytest.mark.parametrize("text", MEANT)
def test_what_is_meant_is_understood_as_in_a_strategy_file(text):
    assert str(parse_expression(text, "x")) == str(MEANT[text])
