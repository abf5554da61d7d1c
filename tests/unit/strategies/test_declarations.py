"""The strategies that ship: short files, every number a documented parameter, pages that say what the files say."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest

from engine.commands.strategy import describe
from engine.plugins import find_strategy, origin_of, strategy_names
from engine.regimes import volatility_index
from engine.rules import Kind, Stop, pct, price
from engine.strategy import Strategy

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "engine" / "strategies").glob("*.py"))
PAGES = ROOT / "docs" / "reference" / "strategies"
SCREEN = 60
LONGEST_RULE = 180
"""Characters of a rule as `strategy show` prints it: a composition written out has thousands."""

BASE = ("direction", "cooldown_signals")

GIVEN = {
    "vwap_scalp": {"bounce": "0.15%", "profit_target": "0.5%", "stop_loss": "0.3%"},
    "opening_range_breakout": {
        "range_length": "15m",
        "breakout": "0.1%",
        "profit_target": "1.5%",
        "stop_loss": "0.75%",
    },
    "rsi_momentum": {"volume_length": "20", "volume_factor": "1", "avoid_midday": "1", "midday_from": "12:00"},
    "ema_pullback": {
        "bar": "5m",
        "fast_length": "9",
        "middle_length": "21",
        "slow_length": "50",
        "rsi_low": "35",
        "rsi_high": "55",
        "midday_until": "14:00",
        "trend_filter": "0",
        "trend_length": "20",
    },
    "swing": {"least_signs": "2"},
}
"""Defaults that the systems which these strategies come from give; all others are this project's own."""


def parameter_rows(page: Path) -> list[tuple[str, str, str, str]]:
    """The rows of a page's table of parameters: name, default, bounds, meaning."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) ?\| ([^|]*) \|$", page.read_text(encoding="utf-8"), re.M)
    return [(name, default.strip(), bounds.strip(), meaning.strip()) for name, default, bounds, meaning in rows]


def page_of(name: str) -> Path:
    return PAGES / f"{name.replace('_', '-')}.md"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_strategy_fits_on_a_screen(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= SCREEN


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_number_is_a_parameter(file):
    """Outside of ``Param(...)`` there is no number but 0 and 1."""

    def numbers(node: ast.AST):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Param":
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node.value
        for inner in ast.iter_child_nodes(node):
            yield from numbers(inner)

    assert set(numbers(ast.parse(file.read_text(encoding="utf-8")))) <= {0, 1}


@pytest.mark.parametrize("name", strategy_names())
def test_every_parameter_is_explained_and_bounded(name):
    for parameter, declared in find_strategy(name).declared.items():
        assert declared.doc, parameter
        bounded = declared.low is not None or declared.choices
        assert bounded or declared.kind in (Kind.TIME_OF_DAY, Kind.SYMBOL), parameter
        assert declared.parse(str(declared.default)) == declared.default, parameter


@pytest.mark.parametrize(("name", "given"), GIVEN.items())
def test_defaults_that_were_given(name, given):
    declared = find_strategy(name).declared
    assert {parameter: str(declared[parameter].default) for parameter in given} == given


@pytest.mark.parametrize("name", strategy_names())
def test_what_show_prints_can_be_read(name):
    found = describe(find_strategy(name))
    assert found["summary"]
    for rule, text in found["rules"].items():
        assert "a parameter of kind" not in text, rule
        assert len(text) <= LONGEST_RULE or rule == "trend", rule


@pytest.mark.parametrize("name", sorted(set(strategy_names()) - {"momentum_burst"}))
def test_the_page_lists_the_parameters_as_declared(name):
    shared = parameter_rows(PAGES / "intraday-filters.md")
    declared = [
        (row["name"], row["default"], row["bounds"], row["meaning"])
        for row in describe(find_strategy(name))["parameters"]
        if row["name"] not in BASE
    ]
    assert parameter_rows(page_of(name)) == declared
    if any(row[0] == "entries_from" for row in declared) and name != "vwap_bounce":
        assert [row for row in declared if row in shared] == shared


class ByRegime(Strategy):
    """Long while the market is calm."""

    volatility = volatility_index("VIX")
    long = (volatility == "LOW") & (price > 1)
    exits = (Stop(pct("1")),)


def test_the_regimes_of_a_strategy_are_shown_with_their_classes():
    found = describe(ByRegime)
    assert found["regimes"] == {"volatility": ["LOW", "EXTREME", "ELEVATED", "NORMAL"]}
    assert found["rules"]["volatility"] == "volatility_index(VIX)"


def test_a_strategy_says_where_it_comes_from(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("rule")
    digest = hashlib.sha256(b"rule").hexdigest()[:12]
    assert origin_of(f"{file}:Mine") == origin_of(str(file)) == (str(file), digest)
    assert {origin_of(name)[0] for name in strategy_names()} == {"microburst"}
    assert all(origin_of(name)[1] for name in strategy_names())
