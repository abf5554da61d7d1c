"""Hundreds of wrong strategy files: each is answered with one sentence, its place and a way out, and exit code 3.

The files are generated: mistakes that people make, in every function in which they can be made. Each is loaded and
compiled as the commands do it, and for every seventh the command itself is asked.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine import cli
from engine.errors import UserError
from engine.plugins import find_strategy
from engine.tools.graph import graph_of

FILE = """from engine.indicators import *
from engine.rules import *
from engine.strategy import Strategy

class Mine(Strategy):
    w = Param(seconds(5), low="1ns")
    n = Param(5, low=1)
    r = Param(pct("0.1"))
    b = bars(minutes(5))
    up = change(w) > pct("0.1")
    {line}
    long = {long}
    exits = {exits}
"""
LINE, LONG, EXITS = 11, 12, 13  # where each stands in the file

OVER_A_WINDOW = [
    *("change", "first_price", "highest", "lowest", "price_range", "mean", "variance", "stdev", "zscore", "log_return"),
    *("vwap", "vwap_sd", "volume", "trade_count", "mean_size", "size_ratio", "time_since_high", "time_since_low"),
    *("realised_volatility", "signed_volume", "flow_imbalance", "order_flow"),
]
BAD_WINDOWS = ["15", "2.5", "'15s'", "None", "True", "[seconds(5)]", "seconds", "pct(1)", "units(5)", "n", "up", "b"]

OVER_RECORDS = [
    *("previous", "sma", "total", "wilder", "slope", "mad", "ema", "highest", "lowest", "stdev", "zscore"),
    *("log_return", "rising", "falling"),
]
BAD_LENGTHS = ["0", "-3", "2.5", "'20'", "True", "price", "seconds(5)", "ticks(20)", "pct(1)", "w", "[20]"]

TAKES_A_VALUE = [
    "ema({}, 5) > 1",
    "sma({}, 5) > 1",
    "wilder({}, 5) > 1",
    "slope({}, 5) > 1",
    "cumulative({}) > 1",
    "log({}) > 1",
    "sqrt({}) > 1",
    "abs({}) > 1",
    "minimum({}, 1) > 1",
    "between({}, 1, 2)",
    "crosses_above({}, price)",
    "rising({})",
    "rsi({}, 14) > 1",
    "hedge_ratio({}, price, 5) > 1",
    "price > {}",
    "{} - price > 1",
]
NO_VALUES = ["up", "'high'", "None", "True", "b", "session", "[price]", "change"]

TAKES_A_CONDITION = [
    "for_at_least({}, seconds(3))",
    "for_at_least({}, 3)",
    "within({}, seconds(3))",
    "run_length({}) > 3",
    "latest(price, when={}) > 3",
    "where({}, price, bid) > 3",
    "Regime(('HIGH', {})) == 'HIGH'",
    "{} & up",
    "up | {}",
]
NO_CONDITIONS = ["price", "1", "True", "None", "'up'", "w", "b", "pct(1)", "rising"]

OVER_A_DURATION = ["opening", "flat_candles"]
NO_DURATIONS = ["15", "'15m'", "ticks(5)", "pct(1)", "None", "price", "n", "session"]

IN_THE_CONDITION = {
    # Python's own words and signs
    "up and price > 5": "& | ~",
    "up or price > 5": "& | ~",
    "not up": "& | ~",
    "1 < price < 5": "& | ~",
    "0 < change(w) < pct(1)": "& | ~",
    "up if up else up": "& | ~",
    "abs(up) > 1": "&, | and ~",
    "max(price, mid) > 5": "maximum, minimum",
    "price > 5 & size > 3": "brackets",
    "up == up": "Python itself decided",
    "price ** 2 > 4": "+ - * /",
    "price % 2 == 0": "+ - * /",
    "price[1] > 4": "previous(x, 1)",
    "round(price) > 4": "+ - * /",
    "b.close[1] > 4": "previous(x, 1)",
    "math.sqrt(price) > 4": "sqrt",
    # units
    "price > pct(1)": "same unit",
    "price > size": "same unit",
    "change(w) > seconds(5)": "same unit",
    "volume(w) > trade_count(w).rate()": "same unit",
    "b.close > b.volume": "same unit",
    "time_of_day > price": "same unit",
    "price + size > 5": "same unit",
    "minimum(price, size) > 5": "same unit",
    "where(up, price, size) > 5": "same unit",
    "between(price, pct(1), pct(2))": "same unit",
    "ema(price, 5) > spread * spread": "same unit",
    "variance(w) > stdev(w)": "same unit",
    "sqrt(price) > 1": "root",
    "begins(price)": "compare it",
    "begins(up, 3)": "begins(when)",
    "price > ticks(5)": "as a window",
    "price > units(5)": "as a window",
    "volume(w) > dollars(5)": "as a window",
    # constants
    "pct(5) > 3": "compare a feature",
    "w > seconds(3)": "compare a feature",
    "n > 3": "compare a feature",
    "r == r": "compare a feature",
    "True": "Python itself decided",
    "1": "compare it",
    "price / 0 > 1": "zero",
    "price / (price - price) > 1": "zero",
    "price > float('nan')": "number",
    "price > 'ten'": "number",
    "price > 1j": "number",
    # windows and lengths beyond what there is
    "change(seconds(0)) > 1": "longer than zero",
    "change(ticks(0)) > 1": "at least one trade",
    "change(ticks(2.5)) > 1": "at least one trade",
    "change(ticks(10**7)) > 1": "at most",
    "change(seconds(-5)) > 1": "366 days",
    "change(days(400)) > 1": "366 days",
    "change(seconds('five')) > 1": "number",
    "sma(price, 10**7) > 1": "between 1 and",
    "sma(b.close, 10**7) > 1": "between 1 and",
    "volume(ticks(5)).rate() > 1": "time window",
    "volume(session).rate() > 1": "time window",
    "change(w).rate() > 1": "have a rate",
    "volume(w).rate > 1": "brackets",
    "volume(w).rate(3) > 1": "brackets",
    "volume_ratio(seconds(1), ticks(5)) > 1": "time window",
    "signed_volume(w, 'lee-ready') > 1": "rule='quote'",
    "flow_imbalance(w, rule='Quote') > 1": "rule='quote'",
    # series
    "ema(price) > 1": "half_life",
    "ema(price, 5, half_life=seconds(5)) > 1": "half_life",
    "ema(price, half_life=5) > 1": "half_life=seconds(5)",
    "ema(price, half_life=ticks(5)) > 1": "half_life=seconds(5)",
    "ema(price, half_life=seconds(0)) > 1": "longer than zero",
    "ema(price, alpha=0.5) > 1": "ema(x, length",
    "sma(price) > 1": "sma(x, length)",
    "previous() > 1": "previous(what, length=1)",
    "previous(up, 0)": "one record or more",
    "latest(price, when=up, nth=-1) > 1": "counts back from 0",
    "latest(price, when=up, nth=1.5) > 1": "counts back from 0",
    "latest(price, up) > 1": "when",
    "highest(price) > 1": "highest(price, 20)",
    "zscore(price) > 1": "(price, 20)",
    "log_return(price) > 1": "(price, 20)",
    "hedge_ratio(up, price, 20) > 1": "&, | and ~",
    "hedge_ratio(price, mid) > 1": "hedge_ratio(y, x, length)",
    "for_at_least(up)": "for_at_least(when, length)",
    "for_at_least(seconds(3), up)": "compare it",
    "for_at_least(up, 0)": "one record or more",
    "within(up, pct(1))": "seconds(5)",
    "for_at_least(up, ticks(3))": "seconds(5)",
    "between(price, 1)": "between(x, low, high)",
    "crosses_above(price) > 1": "crosses_above(x, y)",
    "minimum(price) > 1": "minimum(x, y)",
    "maximum() > 1": "maximum(x, y)",
    "where(up, price) > 1": "where(when, x, y)",
    # bars
    "bars(5).close > 1": "bars(minutes(5))",
    "bars('5m').close > 1": "bars(minutes(5))",
    "bars(n).close > 1": "bars(minutes(5))",
    "bars(pct(1)).close > 1": "bars(minutes(5))",
    "bars(milliseconds(5)).close > 1": "between 1 second and 1 day",
    "bars(days(2)).close > 1": "between 1 second and 1 day",
    "bars(units('0.5')).close > 1": "longer bar",
    "bars(units(0)).close > 1": "longer bar",
    "bars(dollars('0.001')).close > 1": "longer bar",
    "bars(minutes(5), role=5).close > 1": "role='HTF'",
    "bars().close > 1": "bars(length",
    "b > 1": ".close",
    "b + 1 > 1": ".close",
    "b.clse > 1": "did you mean 'close'?",
    "b.close() > 1": "+ - * /",
    "atr(b.close) > 1": "bars(minutes(5))",
    "adx(b) > 25": "adx",
    "macd(b.close) > 0": "line",
    "bollinger(b.close).uper > 1": "did you mean 'upper'?",
    "sample(price, minutes(5)) > 1": "bars(minutes(1))",
    "sample(price, 5) > 1": "bars(minutes(1))",
    "sample(up, b) > 1": "&, | and ~",
    # anchors, times and other instruments
    "price > vwap(since('half past ten'))": "10:30",
    "price > vwap(since('25:00'))": "10:30",
    "price > vwap(since('2024-13-01T10:00'))": "2024-01-02T14:30:05",
    "price > vwap(since(1030))": "10:30",
    "time_of_day > at('10h30')": "10:30",
    "time_of_day > at(10.5)": "10:30",
    "time_of_day > '10:30'": "at('10:30')",
    "price > highest(opening)": "opening(",
    "price > highest(session, 5)": "session",
    "of('QQQ', 'price') > 1": "number",
    "of(price, 'QQQ') > 1": "of('QQQ', price)",
    "of(5, price) > 1": "of('QQQ', price)",
    "of('QQQ') > 1": "of(symbol, what)",
    # regimes
    "Regime(('HIGH', up)) == 'HGH'": "did you mean 'HIGH'?",
    "Regime(('HIGH', up), ('HIGH', up)) == 'HIGH'": "names of their own",
    "Regime() == 'NORMAL'": "names of their own",
    "Regime(up) == 'HIGH'": "Regime((",
    "Regime('HIGH', up) == 'HIGH'": "Regime((",
    "Regime((up, 'HIGH')) == 'HIGH'": "Regime((",
    "Regime(('HIGH', up))": "== ",
    "Regime(('HIGH', up)) > 1": "== ",
    "Regime(('HIGH', up)) & up": "== ",
    # names
    "volme(w) > 1": "did you mean 'volume'?",
    "prise > 1": "did you mean 'price'?",
    "change(second(5)) > 1": "did you mean 'seconds'?",
    "change(windw) > 1": "",
    "rsi(b.close, 14, 3) > 1": "rsi(x, length=14)",
    "change > 1": "brackets",
    "change() > 1": "change(window)",
    "change(w, w) > 1": "change(window)",
    "change(window=w, length=5) > 1": "change(window)",
    "up.and_(up)": "",
    "price.shift(1) > 1": "previous(price, 1)",
    # features of one's own
    "Custom('mine', None, (price,)) > 1": "Operation.of",
    "Custom('mine', lambda program, columns, clock: 0, (price,)) > 1": "Operation.of",
    "Custom('mine', lambda program, columns, clock: columns[0], (price,), unit='euro') > 1": "'price' or 'size'",
}

IN_A_LINE = {
    "p = Param('much')": "is text",
    "p = Param(True)": "number",
    "p = Param()": "Param(default",
    "p = Param(None)": "number",
    "p = Param(price)": "number",
    "p = Param([5])": "number",
    "p = Param(3, low=5)": "at least 5",
    "p = Param(3, high=2)": "at most 2",
    "p = Param(3, low=5, high=1)": "low",
    "p = Param(3, low=2.5)": "whole",
    "p = Param(3, low=seconds(5))": "low",
    "p = Param(3, min=1)": "Param(default",
    "p = Param(3, 'length', 1)": "Param(default",
    "p = Param(seconds(5), low=pct(1))": "low",
    "p = Param(seconds(5), high='2 parsecs')": "ns, us, ms",
    "p = Param(seconds(5), high='2s')": "at most 2s",
    "p = Param('side', choices=('a', 'b'))": "valid names",
    "p = Param('a', choices='ab c')": "choices=(",
    "p = Param(5, choices=('a', 'b'))": "valid names",
    "p = Param('a', choices=('a', 5))": "choices=(",
    "p = Param(5, doc=5)": "low=1",
    "short = price": "compare it",
    "short = True": "Python itself decided",
    "short = (up, up)": "compare it",
    "long_ = up and up": "& | ~",
    "warm_up = 15": "seconds(15)",
    "warm_up = session": "seconds(15)",
    "warm_up = price": "seconds(15)",
    "warm_up = pct(1)": "seconds(15)",
    "warm_up = n": "seconds(15)",
    "from engine.rules import volme": "did you mean 'volume'?",
    "from engine.indicators import rsii": "did you mean 'rsi'?",
    "from engine.rules import rsi": "from engine.indicators import rsi",
    "import engine.indicator": "did you mean 'indicators'?",
    "x = (price": "never closed",
    "x = price >": "",
}

IN_THE_EXITS = {
    "Stop(0.001)": "pct(",
    "Stop(pct(-1))": "negative",
    "Stop(seconds(5))": "pct(",
    "Stop()": "Stop(distance)",
    "Stop(pct(1), pct(2))": "Stop(distance)",
    "Target(price > 1)": "pct(",
    "Target('1%')": "pct(",
    "Target(n)": "pct(",
    "TimeStop(8)": "seconds(",
    "TimeStop(ticks(5))": "seconds(",
    "Flat(seconds(2))": "Flat(2)",
    "Flat(1.5)": "Flat(2)",
    "[Stop(pct(1))]": "round brackets",
    "Stop": "needs its brackets",
    "up": "Stop, Target, TimeStop, Flat",
    "None": "Stop, Target, TimeStop, Flat",
    "pct(1)": "Stop, Target, TimeStop, Flat",
    "(Stop(pct(1)), price < 5)": "Stop, Target, TimeStop, Flat",
    "(Stop(pct(1)), Stop(pct(2)))": "once",
    "Stp(pct(1))": "did you mean 'Stop'?",
    "Trail(pct(1))": "",
}


def generated() -> dict[str, tuple[dict[str, str], str]]:
    """Every wrong file: its parts, and what the suggestion must name (nothing: only that there is one)."""
    found: dict[str, tuple[dict[str, str], str]] = {}

    def wrong(hint: str, **parts: str) -> None:
        found[" ".join(parts.values())] = (parts, hint)

    for function in OVER_A_WINDOW:
        for window in BAD_WINDOWS:
            wrong("", long=f"{function}({window}) > 1")
    for function in OVER_RECORDS:
        for length in BAD_LENGTHS:
            call = f"{function}(price, {length})"
            wrong("", long=call if function in ("rising", "falling") else f"{call} > 1")
    for call in TAKES_A_VALUE:
        for value in NO_VALUES:
            wrong("", long=call.format(value))
    for call in TAKES_A_CONDITION:
        for value in NO_CONDITIONS:
            wrong("", long=call.format(value))
    for function in OVER_A_DURATION:
        for length in NO_DURATIONS:
            use = f"highest({function}({length}))" if function == "opening" else f"{function}({length})"
            wrong(f"{function}(", long=f"{use} > 1")
    for expression, hint in IN_THE_CONDITION.items():
        wrong(hint, long=expression)
    for line, hint in IN_A_LINE.items():
        wrong(hint, line=line)
    for exits, hint in IN_THE_EXITS.items():
        wrong(hint, exits=exits)
    return found


CASES = generated()


def written(tmp_path: Path, parts: dict[str, str]) -> Path:
    """A strategy file with these parts."""
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(**({"line": "pass", "long": "up", "exits": "()"} | parts)), encoding="utf-8")
    return file


def answer(tmp_path: Path, parts: dict[str, str]) -> str:
    """What is said to a file with these parts when it is loaded and compiled."""
    file = written(tmp_path, parts)
    with pytest.raises(UserError) as caught:
        graph_of(find_strategy(f"{file}:Mine")())
    assert caught.value.exit_code == 3
    return caught.value.line()


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_with_a_place_and_a_way_out(tmp_path, case):
    parts, hint = CASES[case]
    line = answer(tmp_path, parts).replace(str(tmp_path / "mine.py"), "mine.py")
    (part,) = parts
    number = {"line": LINE, "long": LONG, "exits": EXITS}[part]
    assert re.match(rf"mine\.py:(5|{number}): |Mine(\.\w+)?: ", line), line
    assert not re.search(
        r"Traceback|(Type|Value|Assertion)Error\b|<[\w.]+ object|\bNoneType\b|<function|<class", line
    ), line
    what, _, fix = line.rpartition("; ")
    assert what, f"no way out: {line}"
    assert len(fix.split()) >= 2, line
    assert hint in line, line
    assert len(line) <= 330, line


@pytest.mark.parametrize("case", list(CASES)[::7])
def test_the_command_says_that_sentence_and_nothing_else(tmp_path, capsys, case):
    parts, _ = CASES[case]
    file = written(tmp_path, parts)
    assert cli._execute(["strategy", "show", f"{file}:Mine", "--graph"]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: {answer(tmp_path, parts)}\n")


def test_there_are_hundreds_of_them():
    texts = {FILE.format(**({"line": "pass", "long": "up", "exits": "()"} | parts)) for parts, _ in CASES.values()}
    assert len(texts) == len(CASES) >= 500


def test_the_file_without_a_mistake_compiles(tmp_path):
    assert len(graph_of(find_strategy(f"{written(tmp_path, {})}:Mine")()).conditions) == 1
