"""The chart stack: price with session VWAP, bands, order levels and trades above, total P/L below, one time axis.

Drawn once per frame from the buffers of :mod:`gui.state`; nothing happens per tick. Only what is visible is handed
to Qt, reduced to a few points per pixel column, the lowest and highest among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, tzinfo

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from engine.telemetry_wire import PositionView, TradeView, keep_extremes
from gui import words
from gui.axes import AxisTag, PriceAxis, TimeAxis
from gui.bands import BandFill, stride
from gui.buffers import Series
from gui.gaps import broken, gap_cuts, starts
from gui.legend import Legend
from gui.markers import TradeMarkers
from gui.pnl import steps
from gui.state import ASK, BID, PRICE, TIME, VWAP, VWAP_SD, SymbolState
from gui.theme import Theme

Column = NDArray[np.float64]

FIRST_SPAN_S = 60.0
SHORTEST_SPAN_S, LONGEST_SPAN_S = 0.05, 7 * 86_400.0
RIGHT_MARGIN = 0.06  # of the span, kept free beyond the newest point
Y_MARGIN = 0.12
POINTS_PER_PIXEL = 3
LEVEL_GAP_PX = 8  # before and between the labels of the order levels


class ChartStack(QtWidgets.QWidget):
    """Price and P/L over time. Call :meth:`refresh` once a frame."""

    trade_hovered = QtCore.Signal(object)  # TradeView or None

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._zone: tzinfo = UTC
        self._state: SymbolState | None = None
        self._now_s = 0.0
        self._span_s = FIRST_SPAN_S
        self._follow = True
        self._moving = False  # while the code, not the user, sets the range
        self._snap = True
        self._pointer: QtCore.QPointF | None = None
        self._stale = False

        self.legend = Legend()
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.ci.layout.setContentsMargins(0, 0, 0, 0)
        self._graphics.ci.layout.setSpacing(0)
        self._build_plots()
        self._build_curves()
        self._build_overlays()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.legend)
        layout.addWidget(self._graphics, 1)
        self.legend.toggled.connect(self._set_layer)
        self.legend.live_clicked.connect(self.go_live)
        self.set_theme(theme)

    # ------------------------------------------------------------------------------------------------ construction

    def _build_plots(self) -> None:
        self._time_axis = TimeAxis()
        self._price_axis = PriceAxis()
        self._pnl_axis = PriceAxis(signed=True)
        self._price = self._graphics.addPlot(row=0, col=0, axisItems={"right": self._price_axis})
        self._pnl = self._graphics.addPlot(row=1, col=0, axisItems={"right": self._pnl_axis, "bottom": self._time_axis})
        self._graphics.ci.layout.setRowStretchFactor(0, 4)
        self._graphics.ci.layout.setRowStretchFactor(1, 1)
        for plot in (self._price, self._pnl):
            plot.showAxis("right")
            plot.hideAxis("left")
            plot.hideButtons()
            plot.setMenuEnabled(False)
            plot.showGrid(x=True, y=True, alpha=0.16)
            plot.vb.setMouseEnabled(x=True, y=False)
            plot.vb.disableAutoRange()
            plot.vb.setDefaultPadding(0)
            plot.vb.sigRangeChangedManually.connect(self._user_moved)
        self._price.hideAxis("bottom")
        self._price.vb.setLimits(minXRange=SHORTEST_SPAN_S, maxXRange=LONGEST_SPAN_S)
        self._pnl.setXLink(self._price)
        self._divider = self._pnl.getAxis("top")
        self._divider.setStyle(showValues=False, tickLength=0)
        self._divider.setHeight(1)
        self._pnl.showAxis("top")
        self._price.vb.sigResized.connect(self._place_card)

    def _build_curves(self) -> None:
        def curve(plot: pg.PlotItem, depth: int) -> pg.PlotDataItem:
            # No clipping or downsampling by Qt: what arrives here is cut to the view and thinned already.
            item = pg.PlotDataItem(connect="finite")
            item.setZValue(depth)
            plot.addItem(item, ignoreBounds=True)
            return item

        self._price_curve = curve(self._price, 4)
        self._vwap_curve = curve(self._price, 3)
        self._bands = {sd: curve(self._price, 2) for sd in (-2, -1, 1, 2)}
        self._fills = {sd: BandFill() for sd in (2, 1)}
        for fill in self._fills.values():
            fill.setZValue(1)
            self._price.addItem(fill, ignoreBounds=True)
        self._pnl_sides = {sign: (curve(self._pnl, 4), BandFill()) for sign in (-1, 1)}  # what is lost, what is won
        for _, area in self._pnl_sides.values():
            self._pnl.addItem(area, ignoreBounds=True)
        self._pnl_zero = pg.InfiniteLine(0.0, angle=0)
        self._pnl.addItem(self._pnl_zero, ignoreBounds=True)
        self._markers = TradeMarkers(self._price)

    def _build_overlays(self) -> None:
        self._levels = {}
        for name in ("entry", "stop", "target"):
            line = pg.InfiniteLine(angle=0, label=name, labelOpts={"anchors": [(0, 1), (0, 1)]})
            line.setZValue(4.5)
            line.hide()
            self._price.addItem(line, ignoreBounds=True)
            self._levels[name] = line
        self._cross = pg.InfiniteLine(angle=90), pg.InfiniteLine(angle=90), pg.InfiniteLine(angle=0)
        for line, plot in zip(self._cross, (self._price, self._pnl, self._price), strict=True):
            line.hide()
            line.setZValue(8)
            plot.addItem(line, ignoreBounds=True)
        self._price_tag = AxisTag(self._price_axis, self._price.vb)
        self._cross_tag = AxisTag(self._price_axis, self._price.vb)
        self._time_tag = AxisTag(self._time_axis, self._pnl.vb)
        self._pnl_tag = AxisTag(self._pnl_axis, self._pnl.vb)
        self._card = QtWidgets.QLabel(self._graphics)
        self._card.setObjectName("hovercard")
        self._card.setTextFormat(QtCore.Qt.TextFormat.RichText)
        self._card.setAttribute(QtCore.Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._card.hide()
        self._pnl_title = pg.TextItem("", anchor=(0, 0))
        self._pnl_title.setParentItem(self._pnl.vb)
        self._pnl_title.setPos(6, 2)
        self._pnl_title.setZValue(20)
        self._graphics.scene().sigMouseMoved.connect(self._mouse_moved)
        self._graphics.viewport().installEventFilter(self)

    # ------------------------------------------------------------------------------------------------- appearance

    def set_theme(self, theme: Theme) -> None:
        """Recolour everything at once."""
        self._theme = theme
        self._graphics.setBackground(theme.background)
        self._divider.setPen(pg.mkPen(theme.border))
        for axis in (self._time_axis, self._price_axis, self._pnl_axis):
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.setStyle(tickFont=QtWidgets.QApplication.font(), tickLength=0, tickTextOffset=6)
        self._vwap_curve.setPen(pg.mkPen(theme.vwap, width=1))
        violet = QtGui.QColor(theme.vwap)
        for sd, band in self._bands.items():
            violet.setAlpha(110 if abs(sd) == 1 else 70)
            band.setPen(pg.mkPen(violet, width=1))
        violet.setAlpha(16)
        for fill in self._fills.values():
            fill.set_brush(pg.mkBrush(violet))
        for sign, (line, area) in self._pnl_sides.items():
            tint = QtGui.QColor(theme.up if sign > 0 else theme.down)
            line.setPen(pg.mkPen(tint, width=1))
            tint.setAlpha(40)
            area.set_brush(pg.mkBrush(tint))
        self._pnl_zero.setPen(pg.mkPen(theme.border, width=1))
        for name, colour in (("entry", theme.accent), ("stop", theme.down), ("target", theme.up)):
            dashes = QtCore.Qt.PenStyle.DashLine
            self._levels[name].setPen(pg.mkPen(colour, width=1, style=dashes))
            self._levels[name].label.setColor(colour)
            self._levels[name].label.fill = pg.mkBrush(theme.background)
        for line in self._cross:
            line.setPen(pg.mkPen(theme.muted, width=1, style=QtCore.Qt.PenStyle.DotLine))
        for tag in (self._cross_tag, self._time_tag):
            tag.colour(theme.raised, theme.text)
        self._pnl_title.setColor(theme.muted)
        self._pnl_title.fill = pg.mkBrush(theme.background)  # lines pass behind it
        self._pnl_title.setText(words.PNL_TITLE)
        self.legend.set_theme(theme)
        self._colour_price()

    def set_zone(self, zone: tzinfo) -> None:
        """Show times in ``zone``."""
        self._zone = zone
        self._time_axis.set_zone(zone)

    def set_stale(self, stale: bool) -> None:
        """Grey the price while it may no longer be true."""
        if stale != self._stale:
            self._stale = stale
            self._colour_price()

    def _colour_price(self) -> None:
        theme = self._theme
        colour = theme.muted if self._stale else theme.price_line
        self._price_curve.setPen(pg.mkPen(colour, width=1))
        self._price_tag.colour(theme.amber if self._stale else theme.accent, theme.background)

    def _set_layer(self, name: str, visible: bool) -> None:
        if name == "vwap":
            self._vwap_curve.setVisible(visible)
        elif name == "bands":
            for item in (*self._bands.values(), *self._fills.values()):
                item.setVisible(visible)
        elif name == "markers":
            self._markers.set_visible(visible)
        # order levels are placed each frame, where the legend is asked again

    # --------------------------------------------------------------------------------------------------- content

    def set_symbol(self, state: SymbolState | None) -> None:
        """Show another instrument, at the live edge."""
        self._state = state
        if state is not None:
            self._price_axis.precision = state.view.price_precision
        self.go_live()

    def set_trades(self, trades: Sequence[TradeView], opened: tuple[str, int, float] | None) -> None:
        """Draw the instrument's trades, and the entry that is open (side, time in ns, price); not every frame."""
        self._markers.show(trades, opened, self._theme)

    def refresh(self, pnl: Series, now_ns: int) -> None:
        """Draw the newest state. ``now_ns`` is engine time, the live edge."""
        state = self._state
        if state is None or not len(state.series):
            return
        self._now_s = max(now_ns * 1e-9, float(state.series.column(TIME)[-1]))
        if self._follow:
            self._set_x(self._now_s + self._span_s * RIGHT_MARGIN - self._span_s, self._span_s)
        left, right = self._price.vb.viewRange()[0]
        part = state.series.between(left, right)
        times, prices = state.series.column(TIME)[part], state.series.column(PRICE)[part]
        vwap, sd = state.series.column(VWAP)[part], state.series.column(VWAP_SD)[part]
        cuts = np.concatenate((gap_cuts(times), state.cuts_s))
        self._draw_price(times, prices, cuts)
        self._draw_bands(times, vwap, sd, cuts)
        self._place_levels(state.view.position)
        self._fit_price(prices, vwap, sd, state.view.position)
        self._refresh_pnl(pnl, left, right)
        self._price_tag.place(state.view.price, self._price_axis.text(state.view.price))
        self._price_axis.make_room(state.view.price)
        self._fit_axes(state.view.price, float(pnl.column(1)[-1]) if len(pnl) else 0.0)
        self._refresh_crosshair()
        self.legend.set_following(self._follow)

    def _draw_price(self, times: Column, prices: Column, cuts: Column) -> None:
        """Draw at most a few points per pixel column: the lowest and highest, so that no spike is lost."""
        enough = POINTS_PER_PIXEL * max(self._graphics.width(), 1)
        while len(times) > enough:
            kept = keep_extremes(prices[:-1])
            times, prices = np.append(times[kept], times[-1]), np.append(prices[kept], prices[-1])
        self._price_curve.setData(*broken(times, prices, starts(times, cuts)))

    def _draw_bands(self, times: Column, vwap: Column, sd: Column, cuts: Column) -> None:
        known = np.isfinite(vwap) & np.isfinite(sd)
        times, vwap, sd = times[known], vwap[known], sd[known]
        # A step counted from the end keeps the newest point, so the lines reach the live edge.
        step = -stride(len(times)) if len(times) else -1
        times, vwap, sd = times[::step][::-1], vwap[::step][::-1], sd[::step][::-1]
        first = starts(times, cuts)
        if self.legend.shows("vwap"):
            self._vwap_curve.setData(*broken(times, vwap, first))
        if self.legend.shows("bands"):
            for factor, band in self._bands.items():
                band.setData(*broken(times, vwap + factor * sd, first))
            for factor, fill in self._fills.items():
                fill.set_data(times, vwap - factor * sd, vwap + factor * sd, first)

    def _refresh_pnl(self, pnl: Series, left: float, right: float) -> None:
        if not len(pnl):
            return
        part = pnl.between(left, right)
        levels = pnl.column(1)[part]
        newest = float(pnl.column(1)[-1])
        low, high = float(levels.min()), float(levels.max())
        span = max(high - low, 10.0**-self._pnl_axis.precision)
        # The area down to zero is only drawn while zero is in sight; otherwise it would exaggerate.
        zero = low - 3 * span <= 0 <= high + 3 * span
        times, values = steps(pnl.column(0)[part], levels, self._now_s)
        for sign, (line, area) in self._pnl_sides.items():
            line.setData(times, np.where(values * sign >= 0, values, np.nan))
            side = np.maximum(values, 0.0) if sign > 0 else np.minimum(values, 0.0)
            area.setVisible(zero)
            area.set_data(times, np.zeros_like(side), side)
        low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
        margin = max((high - low) * 0.2, span * 0.2)
        self._pnl.vb.setYRange(low - margin, high + margin, padding=0)
        self._pnl_tag.colour(self._theme.up if newest >= 0 else self._theme.down, self._theme.background)
        self._pnl_tag.place(newest, words.money(newest))
        self._pnl_axis.make_room(newest)

    def _place_levels(self, position: PositionView | None) -> None:
        shown = position is not None and self.legend.shows("levels")
        values = (
            (position.entry_price, position.stop_price, position.target_price) if position is not None else (0, 0, 0)
        )
        left = LEVEL_GAP_PX
        for (name, line), value in zip(self._levels.items(), values, strict=True):
            line.setVisible(bool(shown and value))
            if shown and value:
                line.setPos(value)
                line.label.setFormat(f"{words.LEVELS[name]} {self._price_axis.text(value)}")
                # Side by side, so that labels of close levels do not cover each other.
                line.label.setPosition(left / max(self._price.vb.width(), 1.0))
                left += line.label.boundingRect().width() + LEVEL_GAP_PX

    def _fit_price(
        self,
        prices: Column,
        vwap: Column,
        sd: Column,
        position: PositionView | None,
    ) -> None:
        """Fit the price axis to what is visible: price and levels fully, VWAP and bands as far as they are near."""
        low, high = float(prices.min()), float(prices.max())
        if position is not None and self.legend.shows("levels"):
            levels = [level for level in (position.entry_price, position.stop_price, position.target_price) if level]
            low, high = min(low, *levels), max(high, *levels)
        span = max(high - low, 4 * 10.0**-self._price_axis.precision)
        if len(vwap) and self.legend.shows("vwap"):
            for wanted in (vwap[-1], vwap[-1] - 2 * sd[-1], vwap[-1] + 2 * sd[-1]):
                if math.isfinite(wanted) and low - span <= wanted <= high + span:
                    low, high = min(low, float(wanted)), max(high, float(wanted))
        margin = max((high - low) * Y_MARGIN, span * Y_MARGIN)
        low, high = low - margin, high + margin
        bottom, top = self._price.vb.viewRange()[1]
        size = high - low
        # A range that still fits is kept: an axis that breathes with every tick cannot be read.
        fits = bottom <= low + margin * 0.9 and top >= high - margin * 0.9 and (top - bottom) < size * 1.35
        if not fits:
            self._moving = True
            self._price.vb.setYRange(low, high, padding=0)
            self._moving = False

    def _fit_axes(self, price: float, pnl: float) -> None:
        """Widen both axes alike, so that times stay in line, where a number would be cut; they do not shrink again."""
        wanted = max(self._price_axis.room(price), self._pnl_axis.room(pnl))
        if wanted > self._price_axis.width():
            for axis in (self._price_axis, self._pnl_axis):
                axis.setWidth(wanted)

    # ---------------------------------------------------------------------------------------------------- moving

    @property
    def following(self) -> bool:
        """Whether the right edge stays at the newest tick."""
        return self._follow

    def go_live(self) -> None:
        """Return to the live edge."""
        self._follow = True
        self.legend.set_following(True)

    def go_first(self) -> None:
        """Show the oldest data."""
        if self._state is not None and len(self._state.series):
            self._leave_live(float(self._state.series.column(TIME)[0]) - self._span_s * RIGHT_MARGIN)

    def pan(self, screens: float) -> None:
        """Scroll by a fraction of the visible span; forward is positive."""
        left = self._price.vb.viewRange()[0][0] + screens * self._span_s
        self._leave_live(left)
        self._judge_follow()

    def zoom(self, factor: float) -> None:
        """Change the visible span; the live edge stays where it is while following, else the middle."""
        left, right = self._price.vb.viewRange()[0]
        middle = (left + right) / 2
        self._span_s = min(max(self._span_s * factor, SHORTEST_SPAN_S), LONGEST_SPAN_S)
        if not self._follow:
            self._set_x(middle - self._span_s / 2, self._span_s)

    def jump_to(self, trade: TradeView) -> None:
        """Bring a trade into the middle of the chart."""
        middle = (trade.entry_ts_ns + trade.exit_ts_ns) * 0.5e-9
        needed = (trade.exit_ts_ns - trade.entry_ts_ns) * 1e-9 * 1.5
        self._span_s = min(max(self._span_s, needed), LONGEST_SPAN_S)
        self._leave_live(middle - self._span_s / 2)

    def _leave_live(self, left: float) -> None:
        self._follow = False
        self._set_x(left, self._span_s)
        self.legend.set_following(False)

    def _set_x(self, left: float, span: float) -> None:
        self._moving = True
        self._price.vb.setXRange(left, left + span, padding=0)
        self._moving = False

    def _user_moved(self) -> None:
        """The mouse has dragged or zoomed one of the plots."""
        if self._moving:
            return
        left, right = self._price.vb.viewRange()[0]
        self._span_s = right - left
        self._judge_follow()

    def _judge_follow(self) -> None:
        """Follow unless the newest tick is more than half a screen away from the right edge."""
        right = self._price.vb.viewRange()[0][1]
        self._follow = right >= self._now_s - self._span_s / 2
        self.legend.set_following(self._follow)

    # -------------------------------------------------------------------------------------------------- crosshair

    def toggle_snap(self) -> bool:
        """Switch the crosshair's magnet; return whether it is on now."""
        self._snap = not self._snap
        return self._snap

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Hide the crosshair when the pointer leaves the chart."""
        if event.type() == QtCore.QEvent.Type.Leave:
            self._pointer = None
            self._refresh_crosshair()
        return super().eventFilter(watched, event)

    def _mouse_moved(self, scene: QtCore.QPointF) -> None:
        inside = any(plot.vb.sceneBoundingRect().contains(scene) for plot in (self._price, self._pnl))
        self._pointer = scene if inside else None
        self._refresh_crosshair()

    def _refresh_crosshair(self) -> None:
        spot = self._price.vb.mapSceneToView(self._pointer) if self._pointer is not None else None
        state = self._state
        index = state.series.nearest(spot.x()) if spot is not None and state is not None else None
        if spot is None or state is None or index is None:
            for item in (*self._cross, self._cross_tag, self._time_tag, self._card):
                item.hide()
            if state is not None and len(state.series):
                self._describe(state, len(state.series) - 1, live=True)
            return
        row = state.series
        x = float(row.column(TIME)[index]) if self._snap else spot.x()
        y = float(row.column(PRICE)[index]) if self._snap else spot.y()
        for line, value in zip(self._cross, (x, x, y), strict=True):
            line.setPos(value)
            line.show()
        over_price = self._price.vb.sceneBoundingRect().contains(self._pointer)
        self._cross[2].setVisible(self._snap or over_price)
        self._cross_tag.place(y, self._price_axis.text(y))
        self._time_tag.place(x, self._time_axis.text(x, 3))
        self._describe(state, index, live=False)
        self._show_card(self._markers.near(spot, self._price.vb) if over_price else None)

    def _describe(self, state: SymbolState, index: int, live: bool) -> None:
        row, text = state.series, self._price_axis.text
        vwap, sd = float(row.column(VWAP)[index]), float(row.column(VWAP_SD)[index])
        bid, ask = float(row.column(BID)[index]), float(row.column(ASK)[index])
        self.legend.describe(
            symbol=state.view.symbol,
            time="" if live else self._time_axis.text(float(row.column(TIME)[index]), 3),
            price=text(float(row.column(PRICE)[index])),
            vwap=text(vwap) if math.isfinite(vwap) else words.NOTHING,
            sd=text(sd) if math.isfinite(sd) else words.NOTHING,
            spread=text(ask - bid) if bid > 0 and ask > 0 else words.NOTHING,
        )

    def _show_card(self, trade: TradeView | None) -> None:
        self._card.setVisible(trade is not None)
        if trade is not None:
            precision = self._price_axis.precision
            self._card.setText(words.trade_card(trade, precision, self._zone))
            self._card.adjustSize()
            self._place_card()

    def _place_card(self) -> None:
        if self._pointer is None:
            return
        spot = self._graphics.mapFromScene(self._pointer)
        room = self._graphics.width() - self._price_axis.width()
        x = spot.x() + 18 if spot.x() + 18 + self._card.width() < room else spot.x() - 18 - self._card.width()
        y = min(max(spot.y() - self._card.height() // 2, 4), self._graphics.height() - self._card.height() - 4)
        self._card.move(max(x, 4), max(y, 4))
