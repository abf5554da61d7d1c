"""A strategy by name or file; every mistake in a file is said with its line."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from engine import plugins
from engine.errors import ConfigError, ExitCode, NotFoundError, UserError
from engine.model import Side
from engine.plugins import find_strategy, strategy_names
from engine.strategies.momentum_burst import MomentumBurst

GOOD = '''from engine.rules import Stop, change, pct, seconds
from engine.strategy import Strategy

class Drift(Strategy):
    """Follows a drift."""
    long = change(seconds(5)) > pct("0.1")
    exits = Stop(pct("0.1"))
'''


def written(tmp_path, text: str) -> str:
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_by_name():
    assert "momentum_burst" in strategy_names()
    assert find_strategy("momentum_burst") is MomentumBurst


@pytest.mark.parametrize("ending", ["", ":Drift"])
def test_by_file(tmp_path, ending):
    assert find_strategy(written(tmp_path, GOOD) + ending).__name__ == "Drift"


def test_a_file_is_taken_as_it_is_now(tmp_path, monkeypatch):
    """Changed within a second to a text of the same length, it looks unchanged to what Python keeps of it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = Path(written(tmp_path, GOOD))
    for mean in ("0.1", "0.3"):
        file.write_text(GOOD.replace('> pct("0.1")', f'> pct("{mean}")'), encoding="utf-8")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert mean in str(find_strategy(f"{file}:Drift").long)


def test_by_entry_point(monkeypatch):
    built_in = strategy_names()

    class Point:
        name = "theirs"

        def load(self):
            return MomentumBurst

    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point()] if group == plugins.ENTRY_POINTS else [])
    assert strategy_names() == sorted([*built_in, "theirs"])
    assert find_strategy("theirs") is MomentumBurst


@pytest.mark.parametrize(
    ("slip", "name", "meant"),
    [
        ("cooldown_signal = 3", "cooldown_signal", "cooldown_signals"),
        ("cooldown = 3", "cooldown", "cooldown_signals"),
        ("warmup = seconds(5)", "warmup", "warm_up"),
        ("Overnight = True", "Overnight", "holds_overnight"),
        ("riskprofile = 'equities'", "riskprofile", "risk_profile"),
        ("def on_fires(self, context, side): ...", "on_fires", "on_fire"),
    ],
)
def test_a_member_that_is_nearly_called_right_is_refused(tmp_path, slip, name, meant):
    file = written(tmp_path, f"{GOOD}    {slip}\n")
    with pytest.raises(ConfigError) as caught:
        find_strategy(file)
    assert caught.value.line() == (
        f"{file}:4: Drift.{name}: the engine looks for nothing of this name, and nothing else uses it; "
        f"did you mean '{meant}'?"
    )


def test_names_of_ones_own_are_left_alone(tmp_path):
    """What the rule or the strategy's own code uses may be called as one likes, and so may all that is near nothing."""
    own = """    warm = seconds(5)
    long = change(warm) > pct("0.1")
    wait, note, edge = 3, "direct", pct("0.1")
    cooldown = 2
    def on_fire(self, context, side): return self.on_fired(side) if self.cooldown else None
    def on_fired(self, side): return None
    def helper(self): return 1
"""
    assert find_strategy(written(tmp_path, GOOD + own)).cooldown == 2


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "momentm_brst",
            "there is no strategy 'momentm_brst'; did you mean 'momentum_burst'? Or name a file: path/to/file.py:Class",
        ),
        ("x", "there is no strategy 'x'; valid names: crypto_vwap_rsi, ema_pullback, momentum_burst, "),
        ("none.py:X", "none.py: there is no such strategy file"),
        ("engine/strategies/momentum_burst.py:MomentumBrst", "did you mean 'MomentumBurst'?"),
    ],
)
def test_what_is_not_there_ends_with_exit_5(monkeypatch, request, name, line):
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(NotFoundError) as caught:
        find_strategy(name)
    assert line in caught.value.line()
    assert caught.value.exit_code == ExitCode.NOT_FOUND == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\ndef f(:\n", ":2: SyntaxError: invalid syntax"),
        ("x = 1\n\ny = 1 / 0\n", ":3: ZeroDivisionError: division by zero"),
        ("import no_such_library\n", ":1: ModuleNotFoundError: No module named 'no_such_library'"),
        (GOOD.replace("seconds(5)", "5"), ":6: change(5) has no unit; write change(seconds(15))"),
        (GOOD.replace("seconds(5)", "'5s'"), ":6: change('5s') takes a window, not text; write change(seconds(5))"),
        (GOOD.replace('Stop(pct("0.1"))', "Stop('.1%')"), ":7: Stop('.1%') takes a ratio, not text; write pct('.1')"),
        (GOOD.replace("change,", "chnge,"), ":1: ImportError: cannot import name 'chnge' from 'engine.rules'"),
        ("\0", ": SyntaxError: source code string cannot contain null bytes"),
        (GOOD.replace("(Strategy)", ""), ": there is no strategy in it; write a class that derives from Strategy"),
        (GOOD + "class Other(Drift): pass\n", ": more than one strategy: Drift, Other; name one: "),
    ],
)
def test_what_is_wrong_in_a_file_ends_with_exit_3(tmp_path, text, line):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        find_strategy(file)
    assert caught.value.line().startswith(file + line)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (GOOD.replace("change,", "chnge,"), "; did you mean 'change'?"),
        (GOOD.replace("import Strategy", "import Stratgy"), "; did you mean 'Strategy'?"),
        (GOOD.replace("engine.strategy", "engine"), None),
        ("from engine import Stratgy\n", "; did you mean 'Strategy'?"),
        ("from engine.strategy import seconds\n", "; it is in engine.rules: from engine.rules import seconds"),
        ("from engine.rules import zzz\n", "; see what there is with: python -m pydoc engine.rules"),
        ("import engine.ruels\n", "; did you mean 'rules'?"),
        ("import engine\n\nclass S(engine.Stratgy): pass\n", "; did you mean 'Strategy'?"),
        (GOOD.replace("change(", "chnage("), "; did you mean 'change'?"),
        (GOOD.replace(", seconds", ""), "; add: from engine.rules import seconds"),
        (GOOD.replace("change(seconds(5))", "change * 2"), "; a feature needs its brackets: change(seconds(15))"),
        ("from json import dmps\n", "(" + json.__file__ + ")"),
        ("undefined_thing\n", "is not defined; docs/reference/features.md lists the words of rules"),
        ("1 + ''\n", "'int' and 'str'"),
    ],
)
def test_what_is_mistyped_is_answered_with_what_was_meant(tmp_path, text, fix):
    file = written(tmp_path, text)
    if fix is None:
        assert find_strategy(file).__name__ == "Drift"
        return
    with pytest.raises(ConfigError) as caught:
        find_strategy(file)
    assert re.match(rf"{re.escape(file)}:\d: (\w+Error|unsupported operand type)", caught.value.line())
    assert caught.value.line().endswith(fix)


@pytest.mark.parametrize("typed", ["mine.py", "./mine.py", "../{}/mine.py"])
@pytest.mark.parametrize(
    ("text", "line"), [(GOOD.replace("seconds(5)", "5"), 6), ("1 / 0\n", 1), ("x = 1\ndef f(:\n", 2)]
)
def test_a_relative_path_gets_its_line_too(tmp_path, monkeypatch, typed, text, line):
    written(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_strategy(typed.format(tmp_path.name))
    assert caught.value.where == f"{Path(typed.format(tmp_path.name))}:{line}"


def test_a_class_that_is_no_strategy(tmp_path):
    with pytest.raises(UserError, match="not a strategy; derive the class"):
        find_strategy(written(tmp_path, "class X: pass\n") + ":X")


def test_a_file_that_ends_the_program_is_no_strategy(tmp_path):
    """Else a check of it would end with 0, having said nothing."""
    file = written(tmp_path, f"import sys\n{GOOD}\nsys.exit(0)\n")
    with pytest.raises(ConfigError, match="it ends the program while it is read") as refused:
        find_strategy(file)
    assert refused.value.where == f"{file}:10"


@pytest.mark.parametrize("name", ["conditions", "exit_plan", "on_fire", "on_tick", "parameters"])
def test_no_feature_stands_in_the_place_of_what_the_engine_asks_for(tmp_path, name):
    text = GOOD.replace("    long = change", f"    {name} = change(seconds(1)) > 0\n    long = change")
    with pytest.raises(ConfigError, match=f"Drift.{name}: '{name}' is a name of the engine's own"):
        find_strategy(written(tmp_path, text))


def test_a_feature_may_be_called_what_a_method_was_called(tmp_path):
    """The intraday strategies have one of this name, and were refused by everything that asks for near misses."""
    text = GOOD.replace(
        "    long = change", "    may_enter = change(seconds(1)) > 0\n    long = may_enter & (change"
    ).replace('pct("0.1")\n    exits', 'pct("0.1"))\n    exits')
    assert find_strategy(written(tmp_path, text))().direction_allows(Side.LONG)


def test_what_a_strategy_prints_does_not_stand_among_results(tmp_path, capsys):
    file = written(tmp_path, f"import sys\n{GOOD}\nprint('read')\nprint('on purpose', file=sys.stdout)\n")
    find_strategy(file)
    assert capsys.readouterr() == ("on purpose\n", "read\n")
