"""A strategy by name or file; every mistake in a file is said with its line."""

from __future__ import annotations

import pytest

from engine import plugins
from engine.errors import ConfigError, ExitCode, NotFoundError, UserError
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


def test_by_entry_point(monkeypatch):
    class Point:
        name = "theirs"

        def load(self):
            return MomentumBurst

    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point()] if group == plugins.ENTRY_POINTS else [])
    assert strategy_names() == ["momentum_burst", "theirs"]
    assert find_strategy("theirs") is MomentumBurst


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "momentm",
            "there is no strategy 'momentm'; did you mean 'momentum_burst'? or name a file: path/to/file.py:Class",
        ),
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
        (GOOD.replace("(Strategy)", ""), ": there is no strategy in it; write a class that derives from Strategy"),
        (GOOD + "class Other(Drift): pass\n", ": more than one strategy: Drift, Other; name one: "),
    ],
)
def test_what_is_wrong_in_a_file_ends_with_exit_3(tmp_path, text, line):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        find_strategy(file)
    assert caught.value.line().startswith(file + line)


def test_a_class_that_is_no_strategy(tmp_path):
    with pytest.raises(UserError, match="not a strategy; derive the class"):
        find_strategy(written(tmp_path, "class X: pass\n") + ":X")
