"""The window as its user meets it: offscreen, fed through the real link by the real telemetry server."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PySide6 import QtCore, QtWidgets
from pytestqt.qtbot import QtBot

from engine.secret import Secret
from engine.telemetry_wire import Done, Endpoint, FeatureView, endpoint_path, read_endpoints
from gui import words
from gui.dashboard import SIDE_WIDTH_PX
from gui.markers import ENTRY_PX, EXIT_PX, entry_path, exit_path
from gui.state import POINTS
from gui.theme import make_theme
from gui.window import MainWindow
from tests.gui.conftest import ThreadedEngine
from tests.gui.golden import SECOND, T0, snapshot, trade
from tests.gui.publisher import SyntheticSession

Start = Callable[[], ThreadedEngine]
Qt = QtCore.Qt
PATIENCE_MS = 15_000


@pytest.fixture
def watched(window: MainWindow, start_engine: Start, qtbot: QtBot) -> tuple[MainWindow, ThreadedEngine]:
    """A window that shows the golden snapshot of a running engine."""
    engine = start_engine()
    engine.publish(snapshot())
    window.open_session(demo=False)
    wait_for_page(qtbot, window, window.dashboard)
    qtbot.waitUntil(lambda: window.dashboard.statistics.values["equity"].text() == "10,009.50", timeout=PATIENCE_MS)
    return window, engine


def wait_for_page(qtbot: QtBot, window: MainWindow, page: QtWidgets.QWidget) -> None:
    qtbot.waitUntil(lambda: window.pages.currentWidget() is page, timeout=PATIENCE_MS)


def wait_for_badge(qtbot: QtBot, window: MainWindow, text: str) -> None:
    qtbot.waitUntil(lambda: text in window.top.badge.text(), timeout=PATIENCE_MS)


# --------------------------------------------------------------------------------------------------- what is shown


def test_without_an_engine_the_welcome_card_offers_two_ways_on(
    window: MainWindow, start_engine: Start, qtbot: QtBot
) -> None:
    window.open_session(demo=False)
    assert window.pages.currentWidget() is window.welcome
    assert window.welcome.title.text() == words.WELCOME_TITLE
    assert window.welcome.demo.isEnabled()
    assert not window.welcome.connect_button.isEnabled()
    engine = start_engine()
    engine.publish(snapshot())
    qtbot.waitUntil(window.welcome.connect_button.isEnabled, timeout=PATIENCE_MS)
    assert window.welcome.engines.currentText() == f"PAPER · session-1 · process {os.getpid()}"
    qtbot.mouseClick(window.welcome.connect_button, Qt.MouseButton.LeftButton)
    wait_for_page(qtbot, window, window.dashboard)


def test_labels_of_the_golden_snapshot(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, _ = watched
    panel = window.dashboard
    assert {key: value.text() for key, value in panel.statistics.values.items()} == {
        "price": "101.28",
        "position": "▼ SHORT",
        "trades": "3 (2 / 1)",
        "win_rate": "66.7 %",
        "daily": "+9.50",
        "total": "−1,234.50",
        "drawdown": "1,300.25",
        "equity": "10,009.50",
        "gross": "+20.00",
        "spread": "3.00",
        "slippage": "1.50",
        "fees": "0.25",
    }
    assert panel.statistics.net.text() == "net +15.25"
    assert panel.position.side.text() == "▼ SHORT 100"
    assert panel.position.pnl.text() == "−3.00"
    assert [cell.text() for cell in panel.position._values.values()] == ["101.25", "101.30", "101.10"]
    assert panel.position._left.text() == "time stop in 5.00 s"
    assert [[cell.text() for cell in row] for row in panel.explain._rows] == [
        ["✓", "range", "+0.120 %", "≥ +0.100 %"],
        ["✗", "surge", "1.50 ×", "> 1.50 ×"],
        ["…", "move", "–", "≤ −0.050 %"],
    ]
    assert panel.explain.summary.text() == "1 of 3 conditions hold"
    assert panel.explain.notes.text() == "Refused by risk: daily_loss 2\nSignals skipped (cooldown): 7"
    assert window.top.mode.text() == "PAPER"
    assert window.windowTitle() == "PAPER · session-1 · Microburst"
    assert "3px solid" in window._frame.styleSheet()
    wait_for_badge(qtbot, window, "● Live")
    figures = {name: figure.text() for name, figure in window.status.figures.items() if name != "frame"}
    assert figures == {
        "ticks": "1,234,567 ticks",
        "rate": "5,003 ticks/s",
        "queue": "queue 5",
        "rejected": "rejected 3",
        "latency": "p50 8.2 µs  p99 1.2 ms",
        "refusals": "refusals 2",
    }
    assert "Rejected: crossed 2" in window.top.badge.toolTip()


def test_tables_of_the_golden_snapshot(watched: tuple[MainWindow, ThreadedEngine]) -> None:
    window, _ = watched
    trades, ticks = window.dashboard.trades, window.dashboard.ticks
    cells = [[trades.text(row, column) for column in range(trades.columnCount())] for row in range(trades.rowCount())]
    assert cells[0] == [
        "3", "ACME", "", "▲ Long", "22:13:50", "1.2 s", "100.00", "100.00",
        "Time stop", "+0.50", "+1.00", "0.50", "100",
    ]  # fmt: skip
    assert [row[8] for row in cells] == ["Time stop", "Stop loss", "Profit target"]
    assert [ticks.text(0, column) for column in range(6)] == [
        "22:14:16.000",
        "ACME",
        "101.28",
        "300",
        "101.27",
        "101.28",
    ]


def test_a_hundred_thousand_ticks_stay_within_bounds(window: MainWindow, start_engine: Start, qtbot: QtBot) -> None:
    engine = start_engine()
    session = SyntheticSession(rate=100_000)
    window.open_session(demo=False)
    highest = 0.0
    for _ in range(50):  # 2,000 ticks each, the most that one snapshot carries unthinned
        update = session.advance(0.02)
        highest = max(highest, *(point[1] for point in update.symbols[0].points))
        engine.publish(update)
        window.draw_frame()
    qtbot.waitUntil(lambda: window.state.snapshot is not None and window.state.snapshot.seq == 50, timeout=PATIENCE_MS)
    assert session.markets[0].ticks == 100_000
    series = window.state.symbols["ACME"].series
    assert 10_000 < len(series) <= POINTS
    assert float(series.column(1).max()) == highest
    assert window.dashboard.ticks.rowCount() <= 50
    qtbot.waitUntil(lambda: window.dashboard.ticks.rowCount() == 50, timeout=PATIENCE_MS)


def test_every_published_trade_arrives_once(window: MainWindow, start_engine: Start, qtbot: QtBot) -> None:
    engine = start_engine()
    session = SyntheticSession(symbols=2)
    for _ in range(400):
        engine.publish(session.advance(0.25))
    window.open_session(demo=False)
    wait_for_page(qtbot, window, window.dashboard)
    for _ in range(400):
        engine.publish(session.advance(0.25))
    assert len(session.trades) > 10
    qtbot.waitUntil(lambda: window.dashboard.trades.rowCount() == len(session.trades), timeout=PATIENCE_MS)
    numbers = [window.dashboard.trades.trade(row).number for row in range(len(session.trades))]
    assert numbers == list(range(len(session.trades), 0, -1))


# ------------------------------------------------------------------------------------------------------- controls


def test_theme_palette_and_zone_change_everywhere(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, _ = watched
    left = Qt.MouseButton.LeftButton

    def corner() -> str:
        return window.grab().toImage().pixelColor(window.width() // 2, 12).name()

    dark = corner()
    qtbot.mouseClick(window.top.theme_button, left)
    assert window.dashboard.chart._theme == make_theme("light", "classic")
    assert corner() == "#ffffff" != dark
    for palette in ("safe", "east-asia", "classic"):
        qtbot.mouseClick(window.top.palette_button, left)
        assert window.dashboard.trades.theme == make_theme("light", palette)
    window._local_zone = ZoneInfo("America/New_York")
    qtbot.mouseClick(window.top.zone, left)
    assert window.dashboard.trades.text(0, 4) == "17:13:50"
    assert window.dashboard.ticks.text(0, 0) == "17:14:16.000"
    assert window.dashboard.chart._time_axis.text(T0 / 1e9, 3) == "17:13:20.000"
    assert window.top.zone.text() == "EST"
    qtbot.mouseClick(window.top.zone, left)
    assert window.dashboard.trades.text(0, 4) == "22:13:50"


def test_pause_is_one_click_and_turns_into_resume(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, engine = watched
    qtbot.waitUntil(window.top.pause.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(window.top.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.commands == ["pause"], timeout=PATIENCE_MS)
    account = dataclasses.replace(snapshot().account, halted="paused by a viewer")
    engine.publish(snapshot(2, account=account, new_trades=[]))
    qtbot.waitUntil(lambda: window.top.pause.text() == words.RESUME, timeout=PATIENCE_MS)
    assert "No entries: paused by a viewer" in window.dashboard.explain.notes.text()
    qtbot.mouseClick(window.top.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.commands == ["pause", "resume"], timeout=PATIENCE_MS)


@pytest.mark.parametrize(("answer", "sent"), [("No", []), ("Yes", ["flatten"])])
def test_flatten_asks_first(
    watched: tuple[MainWindow, ThreadedEngine],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    sent: list[str],
) -> None:
    window, engine = watched
    defaults = []

    def question(*arguments: object) -> QtWidgets.QMessageBox.StandardButton:
        defaults.append(arguments[-1])
        return QtWidgets.QMessageBox.StandardButton[answer]

    monkeypatch.setattr(QtWidgets.QMessageBox, "question", question)
    qtbot.waitUntil(window.top.flatten.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(window.top.flatten, Qt.MouseButton.LeftButton)
    assert defaults == [QtWidgets.QMessageBox.StandardButton.No]
    window.send_command("pause")  # arrives after whatever the click has sent
    qtbot.waitUntil(lambda: engine.commands[-1:] == ["pause"], timeout=PATIENCE_MS)
    assert engine.commands == [*sent, "pause"]


def test_halt_is_held_and_resumed_with_a_reason(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, engine = watched
    halt = window.top.halt
    qtbot.waitUntil(halt.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(halt, Qt.MouseButton.LeftButton)  # a click is not enough
    window.send_command("pause")
    qtbot.waitUntil(lambda: engine.commands == ["pause"], timeout=PATIENCE_MS)
    qtbot.mousePress(halt, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.commands == ["pause", "halt"], timeout=PATIENCE_MS)
    qtbot.mouseRelease(halt, Qt.MouseButton.LeftButton)
    assert window.state.snapshot is not None
    window.state.snapshot.account.halted = "halted: drawdown limit"
    for answer in (("", True), ("  ", True), ("looked at it", False)):
        monkeypatch.setattr(QtWidgets.QInputDialog, "getText", lambda *_, answer=answer: answer)
        window.send_command("resume")
    assert engine.commands == ["pause", "halt"]
    monkeypatch.setattr(QtWidgets.QInputDialog, "getText", lambda *_: (" looked at it ", True))
    window.state.snapshot.account.halted = "halted: drawdown limit"
    window.send_command("resume")
    qtbot.waitUntil(lambda: engine.commands == ["pause", "halt", "resume looked at it"], timeout=PATIENCE_MS)


def test_legend_names_hide_their_layers(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, _ = watched
    chart = window.dashboard.chart
    window.draw_frame()
    assert chart._levels["stop"].isVisible()
    for name, items in {
        "vwap": [chart._vwap_curve],
        "bands": [*chart._bands.values(), *chart._fills.values()],
        "levels": [chart._levels["stop"]],
        "markers": [chart._markers._exits, chart._markers._entries],
    }.items():
        qtbot.mouseClick(chart.legend._buttons[name], Qt.MouseButton.LeftButton)
        window.draw_frame()
        assert not any(item.isVisible() for item in items), name
        chart.legend.toggle(name)
        window.draw_frame()
        assert all(item.isVisible() for item in items), name


def test_the_keys_on_the_sheet_work(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, _ = watched
    chart = window.dashboard.chart
    window.activateWindow()
    chart.setFocus()
    qtbot.waitUntil(chart.hasFocus, timeout=PATIENCE_MS)
    qtbot.keyClick(chart, Qt.Key.Key_D)
    assert window._theme_name == "light"
    qtbot.keyClick(chart, Qt.Key.Key_P)
    assert window._palette == "safe"
    qtbot.keyClick(chart, Qt.Key.Key_T)
    assert not window._utc
    for key, layer in (
        (Qt.Key.Key_V, "vwap"),
        (Qt.Key.Key_B, "bands"),
        (Qt.Key.Key_O, "levels"),
        (Qt.Key.Key_M, "markers"),
    ):
        qtbot.keyClick(chart, key)
        assert not chart.legend.shows(layer)
    qtbot.keyClick(chart, Qt.Key.Key_C)
    assert not chart._snap
    span = chart._span_s
    qtbot.keyClick(chart, Qt.Key.Key_Up)
    assert chart._span_s == pytest.approx(span * 0.8)
    qtbot.keyClick(chart, Qt.Key.Key_Home)
    assert not chart.following
    qtbot.keyClick(chart, Qt.Key.Key_End)
    assert chart.following
    qtbot.keyClick(chart, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert not chart.following
    qtbot.keyClick(chart, Qt.Key.Key_BracketLeft)
    assert window.dashboard._current_trade is not None
    assert window.dashboard._current_trade.number == 3
    qtbot.keyClick(chart, Qt.Key.Key_F)
    assert window.dashboard.filter.hasFocus()
    qtbot.keyClicks(window.dashboard.filter, "side:short")
    assert window._theme_name == "light"  # typed, not obeyed
    assert [one.number for one in window.dashboard.filtered.visible_trades()] == [2]
    qtbot.keyClick(window.dashboard.filter, Qt.Key.Key_Escape)
    assert chart.hasFocus()
    qtbot.keyClick(chart, "?")
    sheet = next(widget for widget in window.findChildren(QtWidgets.QDialog) if widget.isVisible())
    texts = [text.text() for text in sheet.findChildren(QtWidgets.QLabel)]
    assert len(texts) == 2 * len(words.SHORTCUTS)
    sheet.close()


def test_the_chart_follows_unless_moved_half_a_screen_back(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    window, _ = watched
    chart = window.dashboard.chart
    window.draw_frame()
    chart.pan(-0.4)
    assert chart.following
    chart.go_live()
    window.draw_frame()
    chart.pan(-0.7)
    assert not chart.following
    window.draw_frame()
    assert chart.legend._live.isVisible()
    qtbot.mouseClick(chart.legend._live, Qt.MouseButton.LeftButton)
    window.draw_frame()
    right = chart._price.vb.viewRange()[0][1]
    assert right == pytest.approx((T0 + 60 * SECOND) / 1e9 + chart._span_s * 0.06, abs=1e-3)


def test_the_crosshair_snaps_to_a_tick_and_describes_it(watched: tuple[MainWindow, ThreadedEngine]) -> None:
    window, _ = watched
    chart = window.dashboard.chart
    window.draw_frame()
    spot = chart._price.vb.mapViewToScene(QtCore.QPointF((T0 + 30.3 * SECOND) / 1e9, 101.2))
    chart._mouse_moved(spot)
    assert chart.legend._values["time"].text() == "22:13:50.000"
    assert chart.legend._values["price"].text() == "101.15"
    assert chart._cross[0].value() == pytest.approx((T0 + 30 * SECOND) / 1e9)
    chart._mouse_moved(QtCore.QPointF(-5, -5))
    assert not chart._cross[0].isVisible()
    assert chart.legend._values["time"].text() == ""


def test_hovering_a_marker_shows_its_trade(watched: tuple[MainWindow, ThreadedEngine]) -> None:
    window, _ = watched
    chart = window.dashboard.chart
    window.dashboard.show_trade(window.dashboard.trades.trade(0))
    window.draw_frame()
    chart._price.vb.setYRange(99, 102, padding=0)
    last = window.dashboard.trades.trade(0)
    chart._mouse_moved(chart._price.vb.mapViewToScene(QtCore.QPointF(last.entry_ts_ns / 1e9, last.entry_price)))
    assert chart._card.isVisible()
    assert "#3 ACME ▲ long" in chart._card.text()
    assert "+0.50" in chart._card.text()


def test_clicking_a_trade_brings_it_into_view(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, _ = watched
    table = window.dashboard.trades_table
    spot = table.visualRect(table.model().index(2, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    left, right = window.dashboard.chart._price.vb.viewRange()[0]
    middle = (trade(1, "TP", 14.5).entry_ts_ns + trade(1, "TP", 14.5).exit_ts_ns) / 2e9
    assert (left + right) / 2 == pytest.approx(middle, abs=1e-3)
    assert not window.dashboard.chart.following


def test_several_symbols_can_be_chosen(window: MainWindow, start_engine: Start, qtbot: QtBot) -> None:
    engine = start_engine()
    session = SyntheticSession(symbols=3)
    engine.publish(session.advance(30))
    window.open_session(demo=False)
    qtbot.waitUntil(window.dashboard.watch_table.isVisible, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.top.symbols.count() == 3, timeout=PATIENCE_MS)
    window.dashboard.choose("CRUX")
    window.draw_frame()
    assert window.dashboard.chart.legend._symbol.text() == "CRUX"
    window.dashboard.step_symbol(1)
    assert window.dashboard.symbol == "ACME"
    window.top.symbols.textActivated.emit("BOLT")
    window.draw_frame()
    assert window.dashboard.chart.legend._symbol.text() == "BOLT"
    spot = window.dashboard.watch_table.visualRect(window.dashboard.watch.index(2, 0)).center()
    qtbot.mouseClick(window.dashboard.watch_table.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert window.dashboard.symbol == "CRUX"


def test_without_trades_it_is_said_what_keeps_from_them(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    window, engine = watched
    for halted, text in (("", words.NO_TRADES), ("paused", "No trade yet, and none is opened now: paused.")):
        account = dataclasses.replace(snapshot().account, halted=halted)
        engine.publish(dataclasses.replace(snapshot(), account=account))
        qtbot.waitUntil(lambda text=text: window.dashboard.no_trades.text() == text, timeout=PATIENCE_MS)


def test_the_narrowest_window_cuts_no_words_of_its_own(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    """What gives way is the strategy's name, which comes from outside and may have any length."""
    window, engine = watched
    window.resize(900, 600)
    window.show()
    name = "my/own <b>strategies</b>/momentum_burst.py:MomentumBurst + opening_range_breakout"
    engine.publish(dataclasses.replace(snapshot(), strategy=name))
    qtbot.waitUntil(lambda: window.top.strategy.text() == name, timeout=PATIENCE_MS)
    assert window.width() == 900
    for button in window.top.findChildren(QtWidgets.QPushButton) + window.top.findChildren(QtWidgets.QToolButton):
        assert button.width() >= button.sizeHint().width(), button.text()
    assert "&lt;b&gt;" in window.top.strategy.toolTip()


@pytest.mark.parametrize(("width", "height"), [(900, 600), (1280, 800), (1920, 1080)])
def test_nothing_is_cut_off_at_the_usual_sizes(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot, width: int, height: int
) -> None:
    window, _ = watched
    window.resize(width, height)
    qtbot.waitUntil(lambda: window.width() == width, timeout=PATIENCE_MS)
    QtWidgets.QApplication.processEvents()
    panel = window.dashboard
    for label in (*panel.statistics.values.values(), panel.position.side, panel.position.pnl, window.top.mode):
        assert label.width() >= label.fontMetrics().horizontalAdvance(label.text()), label.text()
        assert label.visibleRegion().boundingRect().width() >= label.width() or height < 800, label.text()
    header = panel.trades_table.horizontalHeader()
    for column in range(panel.trades.columnCount()):
        if not panel.trades_table.isColumnHidden(column):
            assert header.sectionSize(column) >= panel.trades_table.sizeHintForColumn(column)


def test_the_trades_table_fits_at_the_default_size(window: MainWindow, start_engine: Start, qtbot: QtBot) -> None:
    engine, session = start_engine(), SyntheticSession()
    for _ in range(600):
        engine.publish(session.advance(0.25))
    window.open_session(demo=False)
    table = window.dashboard.trades_table
    qtbot.waitUntil(lambda: table.isVisible() and window.dashboard._fitted is not None, timeout=PATIENCE_MS)
    assert window.width() == 1280
    assert table.horizontalHeader().length() <= table.viewport().width()


def test_a_narrow_window_leaves_out_columns_and_cuts_no_number(
    window: MainWindow, start_engine: Start, qtbot: QtBot
) -> None:
    engine, session = start_engine(), SyntheticSession()
    for _ in range(600):
        engine.publish(session.advance(0.25))
    window.resize(900, 800)
    window.open_session(demo=False)
    panel = window.dashboard
    qtbot.waitUntil(lambda: panel.ticks_table.isVisible() and panel._fitted_ticks is not None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel._fitted is not None, timeout=PATIENCE_MS)
    assert window.width() == 900
    for table, left_out in ((panel.trades_table, "Gross"), (panel.ticks_table, "Ask")):
        header, model = table.horizontalHeader(), table.model()
        titles = [model.headerData(place, Qt.Orientation.Horizontal) for place in range(model.columnCount())]
        shown = [place for place in range(len(titles)) if not table.isColumnHidden(place)]
        assert titles.index(left_out) not in shown
        for place in shown:
            assert header.sectionSize(place) >= table.sizeHintForColumn(place), titles[place]
        assert header.length() <= table.viewport().width()
        assert not table.horizontalScrollBar().isVisible()
        assert table.viewport().height() % 22 == 0, "half a row is half a number"
    assert not panel.trades_table.isColumnHidden(9), "net stays"
    for name, figure in window.status.figures.items():
        if figure.isVisible():
            assert figure.width() >= figure.sizeHint().width(), name
            assert figure.geometry().right() < window.status.width(), name
    assert window.status.figures["refusals"].isVisible()
    for button in panel.chart.legend._buttons.values():
        assert button.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        assert button.width() >= button.sizeHint().width()
    window.resize(1280, 800)
    qtbot.waitUntil(lambda: not panel.trades_table.isColumnHidden(10), timeout=PATIENCE_MS)


def test_several_strategies_are_explained_apart_and_named_in_the_trades(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    window, engine = watched
    assert window.dashboard.trades_table.isColumnHidden(2)
    symbol = dataclasses.replace(snapshot().symbols[0])
    symbol.features = [
        FeatureView("rsi", 55.2, ">", 60.0, False, "", "rsi_volume"),
        FeatureView("price", 101.3, ">", 101.2, True, "price", "rsi_volume"),
        FeatureView("price", 101.3, "<", 101.4, True, "price", "bounce", "long", "vwap(session)"),
        FeatureView("within(3 s)", 0.0, ">=", 1.0, False, "truth", "bounce", "short"),
    ]
    closed = dataclasses.replace(trade(4, "TP", 1.0), strategy="bounce")
    engine.publish(snapshot(2, symbols=[symbol], new_trades=[closed]))
    panel = window.dashboard
    qtbot.waitUntil(lambda: not panel.trades_table.isColumnHidden(2), timeout=PATIENCE_MS)
    assert panel.trades.text(0, 2) == "bounce"
    assert [[cell.text() for cell in row] for row in panel.explain._rows] == [
        ["", "rsi_volume", "", "1 of 2 conditions hold"],
        ["✗", "rsi", "55.2", "> 60"],
        ["✓", "price", "101.30", "> 101.20"],
        ["", "bounce", "", ""],
        ["✓", "▲ price < vwap(session)", "101.30", "< 101.40"],
        ["✗", "▼ within(3 s)", "no", ""],
    ]
    assert panel.explain.summary.text() == ""


def test_an_exit_stands_clear_of_an_entry_at_the_same_moment() -> None:
    entry = entry_path("short").boundingRect()  # of a trade that is entered where a long one is left
    disc = exit_path("SL", "long").boundingRect()
    assert disc.bottom() * EXIT_PX <= entry.top() * ENTRY_PX


def test_a_tag_takes_the_place_of_the_labels_that_it_would_cover(
    watched: tuple[MainWindow, ThreadedEngine],
) -> None:
    window, _ = watched
    axis = window.dashboard.chart._pnl_axis
    axis.setRange(0.0, 100.0)
    axis.make_room(50.0)
    near = axis._near()
    assert axis.tickStrings([50 - 2 * near, 50 - near / 2, 50.0, 50 + 2 * near], 1.0, 1.0)[1:3] == ["", ""]
    assert "" not in axis.tickStrings([50 - 2 * near, 50 + 2 * near], 1.0, 1.0)


def test_words_from_outside_do_not_widen_the_side_column(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    window, engine = watched
    symbol = dataclasses.replace(snapshot().symbols[0], warm=False)
    symbol.features = [FeatureView("w" * 200, 1.0, ">", 2.0, False)]
    engine.publish(snapshot(2, symbols=[symbol], new_trades=[]))
    explain = window.dashboard.explain
    qtbot.waitUntil(lambda: explain.summary.text() == words.WARMING, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: explain._rows[0][1].text() == "w" * 200, timeout=PATIENCE_MS)
    assert explain.minimumSizeHint().width() <= SIDE_WIDTH_PX
    assert explain.summary.width() >= explain.summary.fontMetrics().horizontalAdvance(words.WARMING)


def test_before_the_first_tick_there_is_no_profit_to_draw(
    window: MainWindow, start_engine: Start, qtbot: QtBot
) -> None:
    engine = start_engine()
    engine.publish(snapshot(1, symbols=[], engine_ts_ns=0, new_trades=[]))
    window.open_session(demo=False)
    wait_for_page(qtbot, window, window.dashboard)
    assert len(window.state.pnl) == 0
    window.draw_frame()


def test_stale_data_greys_the_price(watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot) -> None:
    window, engine = watched
    feed = dataclasses.replace(snapshot().feed, state="stale", detail="no tick for 5 s")
    engine.publish(snapshot(2, feed=feed, new_trades=[]))
    wait_for_badge(qtbot, window, "◐ Stale")
    assert window.dashboard.chart._stale
    panel = window.dashboard
    assert [one.property("tone") for one in (panel.statistics.values["price"], panel.chart.legend.price)] == [
        "muted"
    ] * 2
    panel.watch.show(list(window.state.symbols.values()))
    assert panel.watch.colour(0, 1) == panel.watch.theme.muted
    assert window.top.badge.toolTip().startswith("no tick for 5 s")


@pytest.mark.parametrize(
    ("state", "detail", "said"),
    [("halted", "halted", "halted"), ("halted", "halted: a bad day", "halted: a bad day"), ("active", "", "active")],
)
def test_the_answer_to_a_command_says_each_thing_once(window: MainWindow, state: str, detail: str, said: str) -> None:
    window._tell_done(Done("halt", T0, state, detail))
    assert window.status.currentMessage() == f"halt done at 2023-11-14 22:13:20.000 UTC: {said}"


# --------------------------------------------------------------------------------------------------- link and child


def test_a_lost_engine_is_found_again(
    watched: tuple[MainWindow, ThreadedEngine], start_engine: Start, qtbot: QtBot
) -> None:
    window, engine = watched
    engine.close()
    wait_for_badge(qtbot, window, f"✕ Engine gone (pid {os.getpid()})")
    assert "no longer announces itself" in window.banner.message.text()
    assert not window.top.pause.isEnabled()
    assert window.dashboard.statistics.values["equity"].text() == "10,009.50"
    successor = start_engine()
    account = dataclasses.replace(snapshot().account, equity=12_345.0)
    successor.publish(snapshot(1, account=account))
    qtbot.waitUntil(lambda: window.dashboard.statistics.values["equity"].text() == "12,345.00", timeout=PATIENCE_MS)
    wait_for_badge(qtbot, window, "● Live")
    assert window.dashboard.trades.rowCount() == 3
    assert window.link is not None
    assert window.link.status.reconnects >= 1
    assert not window.banner.isVisible()


def test_an_engine_that_dies_is_told_and_another_one_is_looked_for(
    window: MainWindow, runtime: Path, start_engine: Start, qtbot: QtBot
) -> None:
    command = (sys.executable, "-m", "tests.gui.publisher", "--seed", "3", "--history", "60")
    with subprocess.Popen(command) as process:
        qtbot.waitUntil(lambda: bool(read_endpoints(runtime)), timeout=PATIENCE_MS)
        window.open_session(demo=False)
        wait_for_page(qtbot, window, window.dashboard)
        process.kill()
    assert read_endpoints(runtime)  # nobody took the announcement back
    wait_for_badge(qtbot, window, f"✕ Engine gone (pid {process.pid})")
    assert window.banner.message.text().startswith(f"Engine gone (pid {process.pid} ended), ")
    assert window.banner.demo.isVisible()
    assert window.banner.choose.text() == words.CONNECT
    assert window.dashboard.chart._stale
    first = window.banner.message.text()
    qtbot.waitUntil(lambda: window.banner.message.text() != first, timeout=PATIENCE_MS)  # seconds and tries move on
    start_engine().publish(snapshot())
    wait_for_badge(qtbot, window, "● Live")
    assert not window.banner.isVisible()
    assert window.state.pid == os.getpid()


def test_several_engines_are_pointed_out(
    watched: tuple[MainWindow, ThreadedEngine], runtime: Path, qtbot: QtBot
) -> None:
    window, engine = watched
    assert not window.status.engines.isVisible()
    other = dataclasses.replace(engine.endpoint, pid=os.getppid(), session_id="other")
    endpoint_path(runtime, other.pid).write_bytes(other.to_json())
    qtbot.waitUntil(window.status.engines.isVisible, timeout=PATIENCE_MS)
    assert window.status.engines.text() == "2 engines run: --session chooses"
    assert "--session other" in window.status.engines.toolTip()


def test_the_end_of_a_session_is_told_and_kept_on_screen(
    watched: tuple[MainWindow, ThreadedEngine], qtbot: QtBot
) -> None:
    window, engine = watched
    engine.publish(snapshot(2, ended="interrupted", new_trades=[]))
    engine.close()
    wait_for_badge(qtbot, window, "■ Session over")
    assert window.banner.message.text() == "The session is over: interrupted. What it showed last stays on screen."
    assert window.dashboard.trades.rowCount() == 3
    assert not window.banner.demo.isVisible()
    qtbot.mouseClick(window.banner.choose, Qt.MouseButton.LeftButton)
    assert window.pages.currentWidget() is window.welcome


def test_a_wrong_token_is_said_in_words(window: MainWindow, start_engine: Start, runtime: Path, qtbot: QtBot) -> None:
    engine = start_engine()
    forged = dataclasses.replace(engine.endpoint, token="0" * 32)
    endpoint_path(runtime, forged.pid).write_bytes(forged.to_json())
    window.open_session(demo=False)
    qtbot.waitUntil(window.welcome.problem.isVisible, timeout=PATIENCE_MS)
    assert window.welcome.problem.text() == words.REFUSALS["token"]
    assert engine.server.health.refused == 1


def test_a_demo_starts_shows_and_is_stopped_with_the_window(
    settings: QtCore.QSettings, runtime: Path, qtbot: QtBot
) -> None:
    command = (sys.executable, "-m", "tests.gui.publisher", "--seed", "3", "--history", "60")
    window = MainWindow(settings, command)
    qtbot.addWidget(window)
    window.show()
    window.open_session(demo=True)
    assert window.welcome.notice.text() == words.STARTING_DEMO
    wait_for_page(qtbot, window, window.dashboard)
    child = window.child
    assert child is not None
    assert [one.pid for one in read_endpoints(runtime)] == [child.pid]
    assert window.top.mode.text() == "DEMO"
    window.close()
    assert child.exit_code == 0
    assert read_endpoints(runtime) == []


def test_a_demo_that_fails_shows_its_last_line(settings: QtCore.QSettings, qtbot: QtBot) -> None:
    script = "import sys; print('noise\\nfeed: port taken; choose another', file=sys.stderr); sys.exit(6)"
    window = MainWindow(settings, (sys.executable, "-c", script))
    qtbot.addWidget(window)
    window.show()
    qtbot.mouseClick(window.welcome.demo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.welcome.problem.isVisible, timeout=PATIENCE_MS)
    assert window.welcome.problem.text() == "The engine stopped with exit code 6: feed: port taken; choose another"
    assert window.welcome.demo.isEnabled()
    window.close()


def test_a_demo_that_cannot_start_says_so(settings: QtCore.QSettings, qtbot: QtBot) -> None:
    window = MainWindow(settings, ("/nonexistent/python",))
    qtbot.addWidget(window)
    window.show()
    window.start_demo()
    assert "No such file" in window.welcome.problem.text()
    window.close()


def test_closing_leaves_an_engine_alone_that_was_only_watched(
    watched: tuple[MainWindow, ThreadedEngine], runtime: Path
) -> None:
    window, engine = watched
    window.close()
    assert engine.commands == []
    assert read_endpoints(runtime) == [engine.endpoint]


# -------------------------------------------------------------------------------------------------------- settings


def test_appearance_is_kept_and_broken_settings_fall_back(settings: QtCore.QSettings, qtbot: QtBot) -> None:
    first = MainWindow(settings)
    qtbot.addWidget(first)
    first.switch_theme()
    first.switch_palette()
    first.close()
    second = MainWindow(settings)
    qtbot.addWidget(second)
    assert (second._theme_name, second._palette) == ("light", "safe")
    second.close()
    for key in ("theme", "palette", "zone", "geometry", "splitter"):
        settings.setValue(key, "\x00 nonsense")
    third = MainWindow(settings)
    qtbot.addWidget(third)
    third.show()
    assert third._palette == "classic"
    assert third.width() == 1280
    third.close()


def test_trades_are_saved_as_shown(
    watched: tuple[MainWindow, ThreadedEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, _ = watched
    path = tmp_path / "trades.csv"
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    window.dashboard.filter.setText("net>0")
    window.export_trades()
    lines = path.read_text().splitlines()
    assert lines[0] == "# session session-1"
    assert lines[1].startswith("number,symbol,strategy,side,entry_ts_ns,held_ns,entry_price")
    assert [line.split(",")[0] for line in lines[2:]] == ["3", "1"]
    assert (
        lines[3]
        == f"1,ACME,,long,{T0 + 10 * SECOND},1234000000,100.0,100.145,TP,14.5,15.0,0.5,100.0,{T0 + 11_234_000_000}"
    )
    assert window.status.currentMessage() == f"2 trades saved to {path}"
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "x.csv"), ""))
    window.export_trades()
    assert window.status.currentMessage() == "Not saved: No such file or directory"


def test_a_false_announcement_is_not_followed(window: MainWindow, runtime: Path) -> None:
    (runtime / "engine-1.json").write_text("{broken")
    gone = Endpoint("127.0.0.1", 1, Secret("t"), 2**22 + 1, "gone", "PAPER", 1)
    endpoint_path(runtime, gone.pid).write_bytes(gone.to_json())
    window.open_session(demo=False)
    assert window.pages.currentWidget() is window.welcome
    assert not window.welcome.connect_button.isEnabled()
