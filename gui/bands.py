"""The shaded area between two lines: the bands around VWAP.

pyqtgraph's own FillBetweenItem builds a painter path per line and joins them point by point, 11 ms per frame here;
one polygon of a few hundred corners takes well below one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui

CORNERS = 400
"""Points per line. VWAP and its deviation move slowly, so nothing is lost between them."""


def stride(length: int) -> int:
    """Return the step that leaves at most :data:`CORNERS` of ``length`` points."""
    return max(-(-length // CORNERS), 1)


class BandFill(pg.GraphicsObject):  # type: ignore[misc]  # pyqtgraph is untyped
    """Fills between a lower and an upper line over the same times."""

    def __init__(self) -> None:
        super().__init__()
        self._polygons: list[QtGui.QPolygonF] = []
        self._bounds = QtCore.QRectF()
        self._brush = QtGui.QBrush()

    def set_brush(self, brush: QtGui.QBrush) -> None:
        """Set the colour of the area."""
        self._brush = brush
        self.update()

    def set_data(
        self,
        times: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        first: NDArray[np.intp] | None = None,
    ) -> None:
        """Fill between ``low`` and ``high``, which are finite; the area starts anew at each index in ``first``."""
        self.prepareGeometryChange()
        self._polygons, self._bounds = [], QtCore.QRectF()
        edges = [0, *(first.tolist() if first is not None else []), len(times)]
        for start, end in pairwise(edges):
            part = slice(start, end)
            x, y = np.concatenate((times[part], times[part][::-1])), np.concatenate((low[part], high[part][::-1]))
            self._polygons.append(pg.functions.arrayToQPolygonF(x, y))
            self._bounds = self._bounds.united(self._polygons[-1].boundingRect())
        self.update()

    def boundingRect(self) -> QtCore.QRectF:
        """Return the area's bounds in data coordinates."""
        return self._bounds

    def paint(self, painter: QtGui.QPainter, option: Any, widget: Any = None) -> None:
        """Draw the area without an outline."""
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self._brush)
        for polygon in self._polygons:
            painter.drawPolygon(polygon)
