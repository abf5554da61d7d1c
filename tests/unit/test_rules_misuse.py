"""Every misuse of the rule language is one clear line with its place and a way out, and never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.graph.compiler import Compiler
from engine.model import Instrument
from engine.plugins import find_strategy
from engine.rules import RuleError, Stop, pct, price, seconds, size, trade_count, volume
from engine.strategies.momentum_burst import MomentumBurst
from engine.strategy import Strategy
from engine.tools.features import watched_of

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
    "up and price > 5": "& | ~",
    "up or price > 5": "& | ~",
    "not up": "& | ~",
    "1 < price < 5": "& | ~",
    "up if up else up": "& | ~",
    "bool(up)": "& | ~",
    "price and up": "compare it",
    "max(price, mid) > 5": "maximum, minimum",
    "all([up, up])": "& | ~",
    "up == (price > 3)": "Python itself decided",
    "up != (price > 3)": "Python itself decided",
    # a value where a condition belongs, and the other way round
    "price": "compare it",
    "up & price": "compare it",
    "price & up": "compare it",
    "price > 5 & size > 3": "compare it",
    "up | True": "Python itself decided",
    "True & up": "Python itself decided",
    "1 | up": "compare it",
    "~price": "compare it",
    "True": "Python itself decided",
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
    "price[0] > 4": "previous(x, 1)",
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
    "[Stop(pct(1))]": "round brackets",
    "Stop": "needs its brackets",
    "Stp(pct(1))": "did you mean 'Stop'?",
}

IN_A_LINE = {
    "p = Param('much')": "is text",
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


AS_IT_WAS_WRITTEN = {
    "rsi(price, seconds(14)) > 50": "rsi counts records, not 14s; it is written rsi(x, length)",
    "atr(b, minutes(5)) > 1": "atr counts records, not 5m; it is written atr(b, length)",
    "bollinger(price, w).upper > 1": "bollinger counts records, and Param(5s) is a duration; it is written bollinger",
    "rising(price, w)": "rising counts records, and Param(5s) is a duration; write rising(x, 20)",
    "for_at_least(price > 1, 2.5)": "for_at_least counts records, not 2.5; write for_at_least(x, seconds(5)) or",
    "rsi(14) > 50": "rsi takes a value first, not 14; write rsi(price, 14)",
    "atr(price, 14) > 1": "atr takes a bar series, not price; write atr(bars(minutes(5)))",
    "atr(14) > 1": "atr takes a bar series, not 14; write atr(bars(minutes(5)))",
    "highest(w, 20) > 1": "highest takes a window or a number of records, not both; write highest(Param(5s))",
    "zscore(seconds(5), 20) > 1": "zscore takes a window or a number of records, not both; write zscore(5s) for",
    "log_return(session, 20) > 1": "log_return takes a window or a number of records, not both; write log_return(ses",
    "price.rsi(14) > 1": "it is a function, not a method: rsi(x, length=14)",
    "of(QQQ, price) > 1": 'an instrument stands in quotes: "QQQ"',
    "time_of_day > time(10, 30)": 'a time of day is at("10:30")',
    "(lambda: price > 1)": "code of your own belongs into on_fire",
}


@pytest.mark.parametrize("expression", AS_IT_WAS_WRITTEN)
def test_a_message_is_about_the_call_that_was_written(tmp_path, expression):
    """And never about one that it is made of."""
    line = (
        "from engine.indicators import atr, bollinger, rsi; from engine.rules import bars, zscore, rising;"
        " from engine.rules import for_at_least, log_return, session, of, time_of_day; b = bars(minutes(1))"
    )
    error = attempt(tmp_path, line=line, long=expression)
    assert AS_IT_WAS_WRITTEN[expression] in error.line()
    assert f"mine.py:{LINE + 1}" in error.where or "mine.py:7" in error.where


IN_THE_BODY = {
    "stop = Stop(pct(1))": "Mine.stop: Stop(1%) stands outside exits, and would close nothing; write exits = (stop,)",
    "direction = 'long'": "direction = Param('long', choices=('both', 'long', 'short'))",
    "cooldown_signals = 5": "Mine.cooldown_signals: 5 takes a parameter's place; write cooldown_signals = Param(5)",
}


@pytest.mark.parametrize("line", IN_THE_BODY)
def test_what_would_be_passed_over_in_silence_is_refused(tmp_path, line):
    assert IN_THE_BODY[line] in attempt(tmp_path, line=line).line()


def test_a_condition_by_another_name_is_asked_for_by_its_name(tmp_path):
    file = tmp_path / "mine.py"
    for name in ("Long", "buy", "enter"):
        file.write_text(
            "from engine.rules import price\nfrom engine.strategy import Strategy\n"
            f"class Mine(Strategy):\n    {name} = price > 5\n    trend = price > 3\n",
            encoding="utf-8",
        )
        with pytest.raises(ConfigError, match="neither a long nor a short") as caught:
            find_strategy(str(file))()
        assert caught.value.fix == f"add: long = {name}"


def test_parameters_that_an_own_init_leaves_out():
    class Mine(Strategy):
        long = price > 5

        def __init__(self):
            self.seen = 0

    with pytest.raises(ConfigError, match=r"Mine\.__init__: it leaves out the parameters") as caught:
        Mine().conditions()
    assert "super().__init__(**values)" in caught.value.fix
    with pytest.raises(AttributeError, match="no attribute 'sen'"):
        _ = Mine().sen


def test_an_exit_with_a_name_is_one_of_the_exits():
    class Mine(Strategy):
        long = price > 5
        stop = Stop(pct(1))
        exits = (stop,)

    assert Mine().exit_plan()


def test_a_comparison_with_a_count_is_shown_as_it_was_written():
    """Python asks the right side first where its class is derived from the left side's."""
    assert str(size > volume(seconds(5))) == "size > volume(5s)"
    assert str(volume(seconds(5)) < size) == "volume(5s) < size"
    assert str(price <= trade_count(seconds(5)).rate()) == "price <= trade_count_rate(5s)"


@pytest.mark.parametrize("declared", [[price], (price,), price, "price", None])
def test_columns_are_asked_for_by_name(declared):
    with pytest.raises(RuleError, match="each column has a name") as caught:
        watched_of(declared)
    assert caught.value.fix == 'write {"move": change(seconds(15))}'


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
