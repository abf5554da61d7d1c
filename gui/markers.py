"""The shapes of trades: ▲ long and ▼ short entries, lettered exits, and the line that joins the two.

One drawing serves the chart and the tables, so a letter means the same everywhere. The clock of a time stop is
drawn, not typed: many fonts have no such character.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui

from engine.telemetry_wire import TradeView
from gui import words
from gui.theme import Theme

ENTRY_PX, EXIT_PX = 28, 62  # of the symbols' squares; the shapes fill less than half of them
DISC = 0.26  # diameter of an exit's disc in its square
LIFT = 0.37  # of its centre from the price: beyond the triangle of a trade that is entered there at the same moment
SHOWN_TRADES = 1_000  # newest ones; beyond that a chart is a carpet


@cache
def entry_path(side: str) -> QtGui.QPainterPath:
    """Return a triangle in a unit square, its tip at the centre: the price, from below for a long, else from above."""
    down = 1.0 if side == "long" else -1.0  # screen coordinates grow downwards
    path = QtGui.QPainterPath()
    path.moveTo(0, 0.05 * down)
    path.lineTo(0.25, 0.48 * down)
    path.lineTo(-0.25, 0.48 * down)
    path.closeSubpath()
    return path


@cache
def exit_path(reason: str, side: str) -> QtGui.QPainterPath:
    """Return an exit's disc in a unit square, beyond the price that is at the centre."""
    lift = -LIFT if side == "long" else LIFT
    return QtGui.QTransform().translate(0, lift).scale(DISC, DISC).map(disc_path(reason))


@cache
def disc_path(reason: str) -> QtGui.QPainterPath:
    """Return a disc of diameter 1 with the reason's letter cut out of it."""
    disc = QtGui.QPainterPath()
    disc.setFillRule(QtCore.Qt.FillRule.OddEvenFill)
    disc.addEllipse(QtCore.QPointF(0, 0), 0.5, 0.5)
    disc.addPath(_clock() if reason == "TIME" else _letter(words.reason_letter(reason)))
    return disc


def _letter(letter: str) -> QtGui.QPainterPath:
    font = QtGui.QFont()
    font.setPixelSize(100)
    font.setWeight(QtGui.QFont.Weight.Bold)
    text = QtGui.QPainterPath()
    text.addText(0, 0, font, letter)
    box = text.boundingRect()
    if box.isEmpty():
        return QtGui.QPainterPath()
    scale = 0.58 / max(box.height(), box.width())
    fit = QtGui.QTransform().scale(scale, scale).translate(-box.center().x(), -box.center().y())
    return fit.map(text)


def _clock() -> QtGui.QPainterPath:
    hands = QtGui.QPainterPath()
    hands.moveTo(-0.06, -0.34)
    for x, y in ((0.06, -0.34), (0.06, -0.05), (0.28, 0.12), (0.2, 0.22), (-0.06, 0.03)):
        hands.lineTo(x, y)
    hands.closeSubpath()
    return hands


@cache
def reason_icon(reason: str, colour: str) -> QtGui.QIcon:
    """Return the exit marker of ``reason`` as a table icon."""
    side = 32
    picture = QtGui.QPixmap(side, side)
    picture.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.translate(side / 2, side / 2)
    painter.scale(side - 2, side - 2)
    painter.fillPath(disc_path(reason), QtGui.QColor(colour))
    painter.end()
    return QtGui.QIcon(picture)


class TradeMarkers:
    """The markers of one instrument's trades on one plot, pooled in two scatter items and one line item."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._links = pg.PlotCurveItem(connect="pairs", skipFiniteCheck=True)
        self._entries = pg.ScatterPlotItem(size=ENTRY_PX, pxMode=True, pen=None)
        self._exits = pg.ScatterPlotItem(size=EXIT_PX, pxMode=True, pen=None)
        for depth, item in ((5, self._links), (6, self._entries), (7, self._exits)):
            item.setZValue(depth)
            plot.addItem(item, ignoreBounds=True)
        self._trades: list[TradeView] = []
        self._open: tuple[str, int, float] | None = None

    @property
    def trades(self) -> Sequence[TradeView]:
        """The trades that are drawn, oldest first."""
        return self._trades

    def show(self, trades: Sequence[TradeView], position: tuple[str, int, float] | None, theme: Theme) -> None:
        """Draw ``trades`` and the entry of an open ``position`` (side, entry time in ns, entry price)."""
        self._trades = list(trades[-SHOWN_TRADES:])
        self._open = position
        entries = [(trade.side, trade.entry_ts_ns, trade.entry_price) for trade in self._trades]
        if position is not None:
            entries.append(position)
        self._entries.setData(
            x=np.array([ts_ns * 1e-9 for _, ts_ns, _ in entries]),
            y=np.array([price for *_, price in entries]),
            symbol=[entry_path(side) for side, *_ in entries],
            brush=[pg.mkBrush(theme.up if side == "long" else theme.down) for side, *_ in entries],
        )
        self._exits.setData(
            x=np.array([trade.exit_ts_ns * 1e-9 for trade in self._trades]),
            y=np.array([trade.exit_price for trade in self._trades]),
            symbol=[exit_path(trade.reason, trade.side) for trade in self._trades],
            brush=[pg.mkBrush(theme.up if trade.net > 0 else theme.down) for trade in self._trades],
        )
        ends = [
            (ts_ns * 1e-9, price)
            for trade in self._trades
            for ts_ns, price in ((trade.entry_ts_ns, trade.entry_price), (trade.exit_ts_ns, trade.exit_price))
        ]
        xy = np.array(ends, np.float64).reshape(-1, 2)
        self._links.setData(xy[:, 0], xy[:, 1])
        self._links.setPen(pg.mkPen(theme.muted, width=1, style=QtCore.Qt.PenStyle.DashLine))

    def set_visible(self, visible: bool) -> None:
        """Show or hide all of it."""
        for item in (self._links, self._entries, self._exits):
            item.setVisible(visible)

    def near(self, spot: QtCore.QPointF, view: pg.ViewBox, reach_px: float = 14.0) -> TradeView | None:
        """Return the trade whose entry or exit is within ``reach_px`` of ``spot`` (in the view), newest first."""
        if not self._trades or not self._entries.isVisible():
            return None
        width, height = view.viewPixelSize()
        if not width or not height:
            return None
        best: tuple[float, TradeView] | None = None
        for trade in reversed(self._trades):
            above = LIFT * EXIT_PX * height * (1 if trade.side == "long" else -1)
            spots = (
                (trade.exit_ts_ns, trade.exit_price),
                (trade.exit_ts_ns, trade.exit_price + above),
                (trade.entry_ts_ns, trade.entry_price),
            )
            for ts_ns, price in spots:
                away = max(abs(ts_ns * 1e-9 - spot.x()) / width, abs(price - spot.y()) / height)
                if away <= reach_px and (best is None or away < best[0]):
                    best = (away, trade)
        return best[1] if best is not None else None
