"""Every misuse of the rule language is one clear line with its place and a way out, and never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.compiler import Compiler
from engine.errors import ConfigError
from engine.model import Instrument
from engine.plugins import find_strategy
from engine.strategies.momentum_burst import MomentumBurst

FILE = """from engine.rules import *
from engine.rules import Param, Stop, Target, TimeStop, Flat, ask, bid, change, first_price, highest, lowest, mean, mid
from engine.rules import milliseconds, minutes, pct, price, price_range, seconds, size, stdev, ticks, trade_count
from engine.rules import volume, variance, vwap, vwap_sd, spread, bps
from engine.strategy import Strategy

class Mine(Strategy):
    w = Param(seconds(5), low="1ns")
    n = Param(5, low=0)
    r = Param(pct("0.1"), low=0, high="50%")
    up = change(w) > pct("0.1")
    {line}
    long = {long}
    exits = {exits}
"""

LINE = 12  # of {line}; the long condition stands one below it, the exits two

IN_THE_LONG_CONDITION = {
    # a condition used as a Python truth
    "up and price > 5": "&, | and ~",
    "up or price > 5": "&, | and ~",
    "not up": "&, | and ~",
    "1 < price < 5": "&, | and ~",
    "up if up else up": "&, | and ~",
    "bool(up)": "&, | and ~",
    "price and up": "compare it",
    "max(price, mid) > 5": "&, | and ~",
    "all([up, up])": "&, | and ~",
    "up == (price > 3)": "compare it",
    "up != (price > 3)": "compare it",
    # a value where a condition belongs, and the other way round
    "price": "compare it",
    "up & price": "compare it",
    "price & up": "compare it",
    "price > 5 & size > 3": "compare it",
    "up | True": "compare it",
    "True & up": "compare it",
    "1 | up": "compare it",
    "~price": "compare it",
    "True": "compare it",
    "5": "compare it",
    "'price > 5'": "compare it",
    "up > 1": "&, | and ~",
    "1 >= up": "&, | and ~",
    "up + 1 > 2": "&, | and ~",
    "price > up": "&, | and ~",
    "-up": "&, | and ~",
    "up ^ up": "&, | and ~",
    # windows
    "change(15) > 1": "seconds(15)",
    "change('15s') > 1": "seconds(15)",
    "change(seconds(0)) > 1": "longer than zero",
    "change(ticks(0)) > 1": "at least one trade",
    "change(ticks(-3)) > 1": "at least one trade",
    "change(ticks(2.5)) > 1": "at least one trade",
    "change(ticks(True)) > 1": "at least one trade",
    "change(seconds(-5)) > 1": "0 to 366 days",
    "change(seconds('five')) > 1": "number",
    "change(seconds('0.0000000001')) > 1": "nanosecond",
    "change(seconds(10**9)) > 1": "366 days",
    "change(minutes('1e9')) > 1": "366 days",
    "change(pct(1)) > 1": "seconds(15)",
    "change(n) > 1": "seconds(15)",
    "change(r) > 1": "seconds(15)",
    "change(price) > 1": "seconds(15)",
    "change(None) > 1": "seconds(15)",
    "volume(ticks(5)).rate() > 1": "time window",
    # numbers that are none
    "price > 'ten'": "number",
    "price > float('nan')": "number",
    "price > None": "number",
    "price > True": "number",
    "price > [1]": "number",
    "change(w) > pct('a lot')": "number",
    # arithmetic that the language has not
    "price ** 2 > 4": "+ - * /",
    "price % 2 == 0": "+ - * /",
    "price // 2 > 4": "+ - * /",
    "round(price) > 4": "+ - * /",
    "float(price) > 4": "+ - * /",
    "int(price) > 4": "+ - * /",
    "price[0] > 4": "+ - * /",
    "len(price) > 4": "+ - * /",
    "price() > 4": "+ - * /",
    # names
    "volme(w) > 1": "did you mean 'volume'?",
    "chnage(w) > pct(1)": "did you mean 'change'?",
    "volume(second(1)) > 1": "did you mean 'seconds'?",
}

IN_THE_EXITS = {
    "Stop(0.001)": "pct(",
    "Stop(seconds(5))": "pct(",
    "Stop(pct(-1))": "negative",
    "Stop(n)": "pct(",
    "Target(price > 1)": "pct(",
    "Target('1%')": "pct(",
    "TimeStop(8)": "seconds(",
    "TimeStop(pct(1))": "seconds(",
    "TimeStop(ticks(5))": "seconds(",
    "Flat(seconds(2))": "Flat(2)",
    "Flat(-1)": "Flat(2)",
    "Flat(1.5)": "Flat(2)",
    "Flat(True)": "Flat(2)",
    "(Stop(pct(1)), Stop(pct(2)))": "once",
    "(Stop(pct(1)), pct(2))": "Stop, Target, TimeStop, Flat",
    "[Stop(pct(1))]": "Stop, Target, TimeStop, Flat",
    "Stop": "Stop, Target, TimeStop, Flat",
    "Stp(pct(1))": "did you mean 'Stop'?",
}

IN_A_LINE = {
    "p = Param('much')": "number",
    "p = Param(True)": "number",
    "p = Param('side', choices=('a', 'b'))": "valid names",
    "p = Param(seconds(5), high='2s')": "at most 2s",
    "p = Param(seconds(5), low='x')": "ns, us, ms",
    "p = Param(3, low=5)": "at least 5",
    "from engine.rules import volme": "did you mean 'volume'?",
    "from engine.rules import Stopp": "did you mean 'Stop'?",
    "from engine.strategy import Strtegy": "did you mean 'Strategy'?",
    "import engine.ruels": "did you mean 'rules'?",
}


def attempt(tmp_path: Path, **parts: str) -> ConfigError:
    """Load and compile a strategy with one thing wrong in it."""
    file = tmp_path / "mine.py"
    text = FILE.format(**({"line": "pass", "long": "up", "exits": "()"} | parts)).replace(
        "from engine.rules import *", ""
    )
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        compiled(find_strategy(f"{file}:Mine"))
    assert "\n" not in caught.value.line()
    return caught.value


def compiled(cls: type, **values: object) -> None:
    strategy = cls(**values)
    Compiler(Instrument("X")).rule(*strategy.conditions(), strategy.parameters)


def check(error: ConfigError, place: str, suggestion: str) -> None:
    assert place in error.where, error.line()
    assert suggestion in error.what + error.fix, error.line()
    assert error.fix or "nanosecond" in error.what, f"no way out: {error.line()}"


@pytest.mark.parametrize("expression", IN_THE_LONG_CONDITION)
def test_in_the_condition(tmp_path, expression):
    check(attempt(tmp_path, long=expression), "mine.py:", IN_THE_LONG_CONDITION[expression])


@pytest.mark.parametrize("exits", IN_THE_EXITS)
def test_in_the_exits(tmp_path, exits):
    error = attempt(tmp_path, exits=exits)
    assert "mine.py:" in error.where
    assert IN_THE_EXITS[exits] in error.what + error.fix, error.line()


@pytest.mark.parametrize("line", IN_A_LINE)
def test_in_a_line(tmp_path, line):
    check(attempt(tmp_path, line=line), f"mine.py:{LINE}", IN_A_LINE[line])


WHEN_COMPILED = {
    "price > pct('0.1')": ("price", "same unit"),
    "price > size": ("price > size", "same unit"),
    "change(w) > price": ("price", "same unit"),
    "price + size > 5": ("price + size", "same unit"),
    "volume(w) > volume(w).rate()": ("volume", "same unit"),
    "variance(w) > stdev(w)": ("variance", "same unit"),
    "price * price > price": ("price", "same unit"),
    "pct(1) * price > pct(1)": ("price", "same unit"),
    "w > 5": ("w > 5", "compare a feature"),
    "pct(5) > 3": ("5% > 3", "compare a feature"),
    "seconds(5) + seconds(3) > price": ("5s", "same unit"),
    "price > w": ("w", "same unit"),
    "price > seconds(5)": ("5s", "same unit"),
    "price + ticks(5) > 3": ("5 ticks", "as a window"),
    "r > pct(1)": ("r", "compare a feature"),
    "price - price + r > pct(1)": ("price", "same unit"),
    "price / 0 > 1": ("price / 0", "zero"),
    "vwap_sd() / 0 > 1": ("/ 0", "zero"),
    "price / (price - price) > 1": ("price", "zero"),
    "price / (n - 5) > 1": ("n - 5", "zero"),
    "change(ticks(10**7)) > pct(1)": ("10000000 ticks", "at most"),
    "change(Param(seconds(5))) > pct(1)": ("", "class body"),
    "change(w) > Param(pct(5))": ("", "class body"),
}


@pytest.mark.parametrize("expression", WHEN_COMPILED)
def test_when_compiled(tmp_path, expression):
    error = attempt(tmp_path, long=expression)
    place, suggestion = WHEN_COMPILED[expression]
    assert place in error.line()
    assert suggestion in error.line()
    assert error.fix


SETTINGS = {
    "windw": ("7s", "did you mean 'window'?"),
    "Window": ("7s", "did you mean 'window'?"),
    "window": ("7 parsecs", "ns, us, ms"),
    "surge_window": ("0", "at least 1ns"),
    "time_stop": ("-1s", "366 days"),
    "entry_threshold": ("5s", "percentage"),
    "guard": (None, "percentage"),
    "profit_target": ("-1%", "at least 0%"),
    "stop_loss": (float("nan"), "percentage"),
    "volume_spike": ("1,5", "number such as"),
    "flat_candles": ("1.5", "whole number"),
    "cooldown_signals": (-1, "at least 0"),
    "direction": ("up", "both, long, short"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting(name):
    value, suggestion = SETTINGS[name]
    with pytest.raises(ConfigError) as caught:
        compiled(MomentumBurst, **{name: value})
    assert name in caught.value.line()
    assert suggestion in caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_side_that_is_no_condition_is_named(tmp_path):
    error = attempt(tmp_path, line="short = price")
    check(error, "mine.py:7", "compare it")
    assert "Mine.short" in error.what


@pytest.mark.parametrize("expression", ["change(w).rate() > 1", "price.real > 4", "change() > 1", "change(w, w) > 1"])
def test_plain_mistakes_of_python_have_their_place(tmp_path, expression):
    assert f"mine.py:{LINE + 1}" in attempt(tmp_path, long=expression).where


def test_a_strategy_without_a_condition(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from engine.strategy import Strategy\nclass Mine(Strategy):\n    pass\n", encoding="utf-8")
    for values in ({}, {"direction": "long"}):
        with pytest.raises(ConfigError, match="Mine") as caught:
            compiled(find_strategy(str(file)), **values)
        assert "long" in caught.value.line()


def test_what_is_meant_stays_possible(tmp_path):
    """The refusals above must not take what has a meaning."""
    from engine import rules

    cls = type(rules.price)
    assert issubclass(cls, rules.Expr)
    for text in (
        "sum([price, bid]) / 2 > ask",
        "-change(w) > -pct(1)",
        "change(w) <= -r",
        "2 * pct(1) < change(w)",
        "change(w) > 2 * r",
        "pct(1) < change(w)",
        "price == 5",
        "price != bid",
        "(price > 0.5) & ~(size > '1e3') | (spread < 1)",
        "(price - vwap()) / vwap_sd() > 2",
        "stdev(w) / mean(w) > pct('0.1')",
        "price > highest(n_trades) - 1",
    ):
        file = tmp_path / "mine.py"
        body = FILE.format(line="n_trades = Param(ticks(50))", long=text, exits="Flat(n)")
        file.write_text(body.replace("from engine.rules import *", ""), encoding="utf-8")
        compiled(find_strategy(f"{file}:Mine"))
