"""Axes that speak the instrument's language: times in a chosen zone, prices with the instrument's decimals."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

_STEPS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
)  # fmt: skip
_LABEL_PX = 110  # room for one time label and its margin

ROUND_OFF_S = 5e-7  # by which seconds since 1970, in doubles, may fall short of a round time

AXIS_WIDTH_PX = 76  # at least; longer numbers get more
LABEL_PX = 17  # of a label's height, and half of a tag's
LABEL_ROOM_PX = 30  # from one label to the next, at least
LABEL_STEPS = 10  # a tag that has moved by less than such a part of it covers the same labels
TAG_MARGIN_PX = 5  # on either side of a tag's text


class TimeAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph is untyped
    """Bottom axis; values are seconds since the Unix epoch, labels the time of day in :attr:`zone`."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.zone: tzinfo = UTC
        self.enableAutoSIPrefix(False)

    def set_zone(self, zone: tzinfo) -> None:
        """Label in another time zone."""
        self.zone = zone
        self.picture = None
        self.update()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N803
        """Return round times, at a spacing that leaves room for the labels."""
        if not (math.isfinite(minVal) and math.isfinite(maxVal)) or maxVal <= minVal:
            return []
        wanted = (maxVal - minVal) * _LABEL_PX / max(size, 1)
        step = next((step for step in _STEPS_S if step >= wanted), _STEPS_S[-1])
        offset = self._offset(minVal)
        first = math.ceil((minVal + offset) / step)
        last = math.floor((maxVal + offset) / step)
        return [(step, [index * step - offset for index in range(first, last + 1)])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Return the labels, with milliseconds only where the spacing needs them."""
        return [self.text(value, 3 if spacing < 1 else 0) for value in values]

    def text(self, value: float, decimals: int) -> str:
        """Return one time of day, cut where the tables and cards cut it, too."""
        units = 10**decimals
        whole, fraction = divmod(math.floor((value + ROUND_OFF_S) * units), units)
        try:
            text = datetime.fromtimestamp(whole, self.zone).strftime("%H:%M:%S")
        except (OverflowError, OSError, ValueError):
            return ""  # scrolled beyond the years that datetime knows
        return f"{text}.{fraction:0{decimals}d}" if decimals else text

    def _offset(self, value: float) -> float:
        try:
            offset = datetime.fromtimestamp(value, self.zone).utcoffset()
        except (OverflowError, OSError, ValueError):
            return 0.0
        return offset.total_seconds() if offset is not None else 0.0


class PriceAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph is untyped
    """Right axis with a fixed number of decimals; money with a sign when ``signed``."""

    def __init__(self, signed: bool = False) -> None:
        super().__init__("right")
        self.precision = 2
        self._signed = signed
        self._taken: float | None = None  # where a tag stands
        self.enableAutoSIPrefix(False)
        self.setWidth(AXIS_WIDTH_PX)

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Return the labels; a label never shows more decimals than the instrument has."""
        near = self._near()
        hidden = [self._taken is not None and abs(value - self._taken) < near for value in values]
        return ["" if hides else self.text(value) for value, hides in zip(values, hidden, strict=True)]

    def make_room(self, value: float) -> None:
        """Leave out the labels that a tag at ``value`` would cover in part."""
        if self._taken is None or abs(value - self._taken) > self._near() / LABEL_STEPS:
            self._taken = value
            self.picture = None
            self.update()

    def _near(self) -> float:
        """How far apart, in data coordinates, tag and label must be."""
        low, high = self.range
        return float(LABEL_PX * abs(high - low) / max(self.height(), 1.0))

    def room(self, value: float) -> int:
        """How wide the axis must be, so that neither a tag at ``value`` nor a label of this range is cut."""
        metrics = QtGui.QFontMetricsF(QtWidgets.QApplication.font())
        widest = max(metrics.horizontalAdvance(self.text(one)) for one in (value, *self.range))
        return max(AXIS_WIDTH_PX, math.ceil(widest) + 2 * TAG_MARGIN_PX + 2)

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:  # noqa: N803
        """Return the smallest of 1, 2, 5, 10 … price steps that leaves each label its room."""
        least = max((maxVal - minVal) * LABEL_ROOM_PX / max(size, 1.0), 10.0**-self.precision) * 0.999
        power = 10.0 ** math.floor(math.log10(least))
        return [(next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least), 0.0)]

    def text(self, value: float) -> str:
        """Return one label."""
        text = f"{abs(value):,.{self.precision}f}"
        if not self._signed or not text.strip("0.,"):
            return f"−{text}" if value < 0 and text.strip("0.,") else text
        return f"+{text}" if value > 0 else f"−{text}"


class AxisTag(QtWidgets.QGraphicsItem):
    """A coloured label that sits on an axis at one value: the last price, or the crosshair's."""

    def __init__(self, axis: pg.AxisItem, view: pg.ViewBox) -> None:
        super().__init__(axis)
        self._axis, self._view = axis, view
        self._text = ""
        self._fill, self._ink = QtGui.QColor("gray"), QtGui.QColor("white")
        self._box = QtCore.QRectF()
        self.setZValue(10)
        self.hide()

    def colour(self, fill: str, ink: str) -> None:
        """Set the colours of the box and of its text."""
        self._fill, self._ink = QtGui.QColor(fill), QtGui.QColor(ink)
        self.update()

    def place(self, value: float, text: str) -> None:
        """Move to ``value`` (in data coordinates) and show ``text``; hidden while outside the visible range."""
        (left, right), (bottom, top) = self._view.viewRange()
        vertical = self._axis.orientation == "right"
        low, high = (bottom, top) if vertical else (left, right)
        if not low <= value <= high:
            self.hide()
            return
        point = QtCore.QPointF(left, value) if vertical else QtCore.QPointF(value, bottom)
        spot = self._axis.mapFromScene(self._view.mapViewToScene(point))
        metrics = QtGui.QFontMetricsF(self._font())
        width, height = metrics.horizontalAdvance(text) + 2 * TAG_MARGIN_PX, metrics.height() + 4
        self.prepareGeometryChange()
        self._text = text
        if vertical:
            self._box = QtCore.QRectF(0, -height / 2, max(width, 10), height)
            self.setPos(1, spot.y())
        else:
            self._box = QtCore.QRectF(-width / 2, 0, width, height)
            self.setPos(spot.x(), 1)
        self.show()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the box."""
        return self._box

    def paint(self, painter: QtGui.QPainter, option: Any, widget: Any = None) -> None:
        """Draw the box and its text."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self._fill)
        painter.drawRoundedRect(self._box, 3, 3)
        painter.setPen(self._ink)
        painter.setFont(self._font())
        painter.drawText(self._box, QtCore.Qt.AlignmentFlag.AlignCenter, self._text)

    def _font(self) -> QtGui.QFont:
        return QtWidgets.QApplication.font()
