"""A number that is cut is another number: whatever the length of prices, money and names, figures stay whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import pytest
from PySide6 import QtWidgets

from engine.telemetry_wire import FeatureView, GaugeView, PositionView, Snapshot
from gui.axes import LABEL_ROOM_PX, PriceAxis
from gui.dashboard import Dashboard
from gui.table_view import ROW_PX
from gui.window import MainWindow
from tests.gui.golden import T0, snapshot
from tests.gui.publisher import SyntheticSession

LONG_NAME = "LONGSYMBOLNAME-PERP_2026"
Show = Callable[..., Dashboard]


@pytest.fixture
def show(window: MainWindow) -> Show:
    """Shows a snapshot in a window of a size, as if an engine had sent it."""

    def shown(made: Snapshot, width: int = 1280, height: int = 800) -> Dashboard:
        window.resize(width, height)
        window.state.update(made)
        panel = window.dashboard
        panel.restart(window.state)
        window.pages.setCurrentWidget(panel)
        for _ in range(3):  # tables are measured once they are on screen, and the layout follows
            panel.draw_panels()
            panel.draw_chart()
            QtWidgets.QApplication.processEvents()
        assert window.width() == width
        return panel

    return shown


def priced(factor: float, precision: int, symbol: str = "ACME") -> Snapshot:
    """The golden snapshot in another instrument's prices."""
    made = snapshot()
    (view,) = made.symbols
    position = view.position
    assert position is not None
    levels = {name: getattr(position, name) * factor for name in ("entry_price", "stop_price", "target_price")}
    prices = {name: getattr(view, name) * factor for name in ("price", "bid", "ask", "vwap", "vwap_sd")}
    points = [(ts_ns, *(value * factor for value in values)) for ts_ns, *values in view.points]
    made.symbols = [
        dataclasses.replace(
            view, symbol=symbol, price_precision=precision, position=dataclasses.replace(position, **levels),
            points=points, **prices,
        )
    ]  # fmt: skip
    made.ticks_tail = [(T0, symbol, *(value * factor for value in (101.28, 300.0, 101.27, 101.28)))]
    return made


def assert_whole(labels: list[QtWidgets.QLabel]) -> None:
    for one in labels:
        if one.isVisible():
            needed = one.fontMetrics().horizontalAdvance(one.text())
            assert one.width() >= needed, one.text()
            seen = one.visibleRegion().boundingRect()
            assert seen.isEmpty() or seen.width() >= needed, f"{one.text()} is covered"


@pytest.mark.parametrize("width", [900, 1000, 1280])
@pytest.mark.parametrize(("factor", "precision"), [(1.2345e-7, 11), (1.2345e3, 2), (1.2345e6, 4)])
def test_prices_of_any_length_are_whole(show: Show, factor: float, precision: int, width: int) -> None:
    panel = show(priced(factor, precision, "1000SHIB-USDT"), width)
    legend, chart = panel.chart.legend, panel.chart
    assert legend._values["price"].isVisible()
    assert_whole([legend._symbol, *legend._values.values()])
    left = [one.mapTo(legend, one.rect().topLeft()).x() for one in legend._figures.values() if one.isVisible()]
    assert left[0] >= legend._symbol.geometry().right(), "the first figure is beside the symbol, not over it"
    for axis, tag in ((chart._price_axis, chart._price_tag), (chart._pnl_axis, chart._pnl_tag)):
        assert tag.isVisible()
        assert tag.x() + tag.boundingRect().width() <= axis.width(), "the tag is inside its axis"
    assert chart._price_axis.width() == chart._pnl_axis.width(), "so that times stay in line"
    assert_whole([*panel.position._values.values(), *panel.statistics.values.values()])


def test_large_sums_widen_the_cards_instead_of_being_cut(show: Show) -> None:
    made = snapshot()
    made.account = dataclasses.replace(
        made.account, equity=1_234_567_890.12, daily_pnl=-987_654_321.1, total_pnl=-987_654_321.1, gross=-887_654_321.0
    )
    made.symbols[0].position = PositionView("short", 5e7, T0, 101.25, 101.3, 101.1, 0, -12_345_678.9)
    panel = show(made)
    assert_whole([panel.position.side, panel.position.pnl, *panel.statistics.values.values()])


def test_all_cards_of_the_built_in_strategy_fit_the_first_window(show: Show) -> None:
    made = snapshot(refusals={})
    made.symbols[0].features = [
        FeatureView("move", 0.1, ">=", 0.2, True, "%", side=side) for side in ("long", "", "", "")
    ]
    made.account.gauges = [GaugeView("daily_loss_limit", 0.01, 0.05, "ratio"), GaugeView("pdt", 1, 3, "count")]
    panel = show(made)
    assert panel._side.verticalScrollBar().maximum() == 0
    assert panel.ticks_table.viewport().height() >= 4 * ROW_PX


@pytest.mark.parametrize("width", [900, 1000, 1280, 1920])
def test_several_instruments_overlap_nothing_in_any_window(show: Show, width: int) -> None:
    panel = show(SyntheticSession(symbols=8).advance(30), width, 600)
    assert panel._watch_card.isVisible() == (width >= 1280), "its symbols can be chosen above, too"
    chart = panel.chart
    assert chart.mapTo(panel, chart.rect().topRight()).x() < panel._side.x()
    assert panel._side.mapTo(panel, panel._side.rect().topRight()).x() < panel.width()
    for button in chart.legend._buttons.values():
        assert button.width() >= button.sizeHint().width(), button.text()


def test_a_long_name_leaves_room_for_the_numbers_beside_it(show: Show) -> None:
    made = SyntheticSession(symbols=2).advance(30)
    made.symbols[1].symbol = LONG_NAME
    made.ticks_tail = [(ts_ns, LONG_NAME, *rest) for ts_ns, _, *rest in made.ticks_tail]
    panel = show(made)
    for table, numbers in ((panel.watch_table, (1, 2)), (panel.ticks_table, (2, 3))):
        assert not table.horizontalScrollBar().isVisible()
        assert table.horizontalHeader().length() <= table.viewport().width()
        for column in numbers:
            assert not table.isColumnHidden(column)
            assert table.columnWidth(column) >= table.sizeHintForColumn(column)


@pytest.mark.parametrize("width", [900, 1280, 1600, 1920])
def test_bid_and_ask_are_shown_together_or_not_at_all(show: Show, width: int) -> None:
    panel = show(SyntheticSession(symbols=3).advance(30), width)
    assert panel.ticks_table.isColumnHidden(4) == panel.ticks_table.isColumnHidden(5) == (width < 1600)


def test_the_labels_of_order_levels_stand_side_by_side_in_a_narrow_chart(show: Show) -> None:
    panel = show(priced(1.0, 5), 900, 600)
    boxes = [line.label.mapRectToScene(line.label.boundingRect()) for line in panel.chart._levels.values()]
    for one, other in pairwise(boxes):
        assert one.right() <= other.left()


def test_the_price_takes_the_place_of_the_labels_that_it_would_cover(show: Show) -> None:
    panel = show(snapshot())
    axis, price = panel.chart._price_axis, panel.chart._state.view.price
    assert axis.tickStrings([price, price + 2 * axis._near()], 1.0, 1.0)[0] == ""


@pytest.mark.parametrize("span", [0.05, 0.7, 3.0, 41.0, 999.0, 2e6])
def test_labels_of_an_axis_are_round_and_leave_each_other_room(qapp: object, span: float) -> None:
    axis, height = PriceAxis(), 300.0
    ((step, _),) = axis.tickSpacing(100.0, 100.0 + span, height)
    assert f"{step:e}"[:8] in ("1.000000", "2.000000", "5.000000")
    assert step >= 0.01 * 0.999, "no finer than prices are"
    assert step / span * height >= LABEL_ROOM_PX * 0.99
    assert step <= max(2.5 * span * LABEL_ROOM_PX / height, 0.0101)
