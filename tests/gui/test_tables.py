"""The tables: filter words, sorting by number, bounds."""

from __future__ import annotations

import pytest
from PySide6 import QtCore
from pytestqt.modeltest import ModelTester

from gui import tables
from gui.tables import TRADE_COLUMNS, TicksModel, TradesFilter, TradesModel
from gui.theme import make_theme
from tests.gui.golden import T0, trade

THEME = make_theme("dark", "classic")
TRADES = [
    trade(1, "TP", 14.5),
    trade(2, "SL", -5.5, "short"),
    trade(3, "TIME", 0.5, symbol="BOLT"),
    trade(4, "SL", -100.0, symbol="BOLT"),
]


@pytest.fixture
def model() -> TradesModel:
    made = TradesModel(THEME)
    made.replace(TRADES)
    return made


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [4, 3, 2, 1]),
        ("reason:time", [3]),
        ("reason:s", [4, 2]),
        ("reason:stop", [4, 3, 2]),
        ("sym:bo net<0", [4]),
        ("side:short", [2]),
        ("pnl>=0.5", [3, 1]),
        ("net=-5.5", [2]),
        ("NET<-5.5", [4]),
    ],
)
def test_filter(model: TradesModel, query: str, numbers: list[int]) -> None:
    shown = TradesFilter(model)
    assert shown.set_query(query) == ""
    assert [one.number for one in shown.visible_trades()] == numbers


@pytest.mark.parametrize("query", ["x", "net<a", "color:red", "side<long", "net"])
def test_a_term_that_makes_no_sense_is_named_and_hides_nothing(model: TradesModel, query: str) -> None:
    shown = TradesFilter(model)
    assert shown.set_query(f"side:long {query}") == query
    assert [one.number for one in shown.visible_trades()] == [4, 3, 1]


def test_sorting_compares_numbers(model: TradesModel) -> None:
    shown = TradesFilter(model)
    column = [one.name for one in TRADE_COLUMNS].index("net")
    shown.sort(column, QtCore.Qt.SortOrder.AscendingOrder)
    assert [one.net for one in shown.visible_trades()] == [-100.0, -5.5, 0.5, 14.5]


def test_the_model_keeps_the_newest(
    model: TradesModel, monkeypatch: pytest.MonkeyPatch, qtmodeltester: ModelTester
) -> None:
    monkeypatch.setattr(tables, "TRADES", 5)
    qtmodeltester.check(model)
    model.add([trade(5, "TP", 1.0), trade(6, "TP", 1.0)])
    assert [model.trade(row).number for row in range(model.rowCount())] == [6, 5, 4, 3, 2]


def test_colour_and_letter_agree_with_the_result(model: TradesModel, qapp: object) -> None:
    column = [one.name for one in TRADE_COLUMNS].index("reason")
    for row in range(4):
        index = model.index(row, column)
        colour = THEME.up_text if model.trade(row).net > 0 else THEME.down_text
        assert model.data(index, QtCore.Qt.ItemDataRole.ForegroundRole).name() == colour.lower()
        assert not model.data(index, QtCore.Qt.ItemDataRole.DecorationRole).isNull()


def test_ticks_are_newest_first_and_coloured_by_direction(qtmodeltester: ModelTester) -> None:
    model = TicksModel(THEME)
    model.replace([(T0 + index, "ACME", price, 1.0, 0.0, 0.0) for index, price in enumerate((10.0, 10.5, 10.5, 10.2))])
    qtmodeltester.check(model)
    assert [model.text(row, 2) for row in range(4)] == ["10.20", "10.50", "10.50", "10.00"]
    assert [model.colour(row, 2) for row in range(4)] == [THEME.down_text, "", THEME.up_text, ""]
