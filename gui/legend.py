"""The strip above the chart: what is drawn, its values at the crosshair, and the way back to the live edge."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from gui import words
from gui.panels import Elided, label
from gui.theme import Theme

Qt = QtCore.Qt
GAP_PX = 4  # between two words
LEAST = ("time", "sd", "spread", "vwap")
"""Figures that leave a narrow legend, in this order; the axis below the crosshair has the time, too."""

LAYERS = ("vwap", "bands", "levels", "markers")


class Legend(QtWidgets.QWidget):
    """Names with live values; clicking the name of a layer hides it."""

    toggled = QtCore.Signal(str, bool)
    live_clicked = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self._symbol = Elided("symbol")
        self._lengths: tuple[int, ...] = ()  # of the texts that the figures were arranged for
        self._buttons: dict[str, QtWidgets.QToolButton] = {}
        self._grid = QtWidgets.QGridLayout(self)
        self._grid.setContentsMargins(10, 4, 8, 4)
        self._grid.setSpacing(GAP_PX)
        self._grid.setColumnStretch(0, 1)
        layout = QtWidgets.QHBoxLayout()
        self._grid.addLayout(layout, 0, 0)
        layout.setSpacing(3 * GAP_PX)
        layout.addWidget(self._symbol)
        self._values: dict[str, QtWidgets.QLabel] = {}
        self._figures: dict[str, QtWidgets.QWidget] = {}
        for name in ("price", "spread", "vwap", "sd", "time"):
            layout.addWidget(self._figure(name))
        layout.addStretch(1)
        self._layers = QtWidgets.QWidget()
        self._layers.setObjectName("clear")
        names = QtWidgets.QHBoxLayout(self._layers)
        names.setContentsMargins(0, 0, 0, 0)
        names.setSpacing(GAP_PX)
        for name in LAYERS:
            names.addWidget(self._button(name))
        self._grid.addWidget(self._layers, 0, 1)
        self._live = QtWidgets.QToolButton()
        self._live.setObjectName("live")
        self._live.setText(words.GO_LIVE)
        self._live.setToolTip(words.GO_LIVE_TIP)
        self._live.clicked.connect(self.live_clicked)
        self._grid.addWidget(self._live, 0, 2)
        # Keeps its place while hidden, so that the names do not jump when the chart leaves the live edge.
        policy = self._live.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        policy.setHorizontalPolicy(QtWidgets.QSizePolicy.Policy.Fixed)
        self._live.setSizePolicy(policy)
        self._live.hide()

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Arrange it for the new width."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Where it is narrow, give the layers a row of their own, and leave out whole figures rather than cut one."""
        needed = {name: figure.sizeHint().width() + 3 * GAP_PX for name, figure in self._figures.items()}
        layers = self._layers.sizeHint().width() + GAP_PX
        around = self._grid.contentsMargins()
        room = self.width() - around.left() - around.right() - self._live.sizeHint().width() - GAP_PX
        room -= self._symbol.sizeHint().width()
        beside = sum(needed.values()) - needed["time"] + layers <= room
        self._grid.addWidget(self._layers, *((0, 1) if beside else (1, 0)))
        room -= layers if beside else 0
        shown = list(needed)
        for name in LEAST:
            if sum(needed[one] for one in shown) > room:
                shown.remove(name)
        for name, figure in self._figures.items():
            figure.setVisible(name in shown)

    @property
    def price(self) -> QtWidgets.QLabel:
        """The label of the last price, or of that at the crosshair."""
        return self._values["price"]

    def shows(self, layer: str) -> bool:
        """Whether a layer is switched on."""
        return self._buttons[layer].isChecked()

    def toggle(self, layer: str) -> None:
        """Switch a layer as if its name had been clicked."""
        self._buttons[layer].click()

    def set_following(self, following: bool) -> None:
        """Offer the way back to the live edge while the chart is elsewhere."""
        self._live.setVisible(not following)

    def describe(self, symbol: str, time: str, price: str, vwap: str, sd: str, spread: str) -> None:
        """Show the values at one moment; ``time`` is empty at the live edge."""
        texts = {"time": time, "price": price, "vwap": vwap, "sd": sd, "spread": spread}
        for name, text in texts.items():
            self._values[name].setText(text)
        if symbol != self._symbol.text():
            self._symbol.setText(symbol)
        lengths = tuple(map(len, (symbol, *texts.values())))
        if lengths != self._lengths:
            self._lengths = lengths
            self._arrange()

    def set_theme(self, theme: Theme) -> None:
        """Recolour the samples before the names."""
        colours = {"vwap": theme.vwap, "bands": theme.vwap, "levels": theme.accent, "markers": theme.up}
        for name, button in self._buttons.items():
            button.setIcon(_sample(name, colours[name], theme.down))

    def _figure(self, name: str) -> QtWidgets.QWidget:
        """A value after its name; the time needs none."""
        figure = self._figures[name] = QtWidgets.QWidget()
        figure.setObjectName("clear")
        words_of = QtWidgets.QHBoxLayout(figure)
        words_of.setContentsMargins(0, 0, 0, 0)
        words_of.setSpacing(GAP_PX)
        if name in words.LEGEND:
            words_of.addWidget(label("muted", words.LEGEND[name]))
        self._values[name] = label("value")
        words_of.addWidget(self._values[name])
        return figure

    def _button(self, name: str) -> QtWidgets.QToolButton:
        button = QtWidgets.QToolButton()
        button.setObjectName("legend")
        button.setCheckable(True)
        button.setChecked(True)
        button.setText(words.LAYERS[name][0])
        button.setToolTip(words.LAYERS[name][1])
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.toggled.connect(lambda on, layer=name: self.toggled.emit(layer, on))
        self._buttons[name] = button
        return button


def _sample(layer: str, colour: str, second: str) -> QtGui.QIcon:
    """Return a small picture of how a layer is drawn, and an empty box for the layer switched off."""
    icon = QtGui.QIcon()
    for state, drawn in ((QtGui.QIcon.State.On, True), (QtGui.QIcon.State.Off, False)):
        picture = QtGui.QPixmap(32, 32)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QtGui.QPainter(picture)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        if drawn:
            _draw_sample(painter, layer, QtGui.QColor(colour), QtGui.QColor(second))
        else:
            painter.setPen(QtGui.QPen(QtGui.QColor("#808080"), 2))
            painter.drawRect(5, 5, 22, 22)
        painter.end()
        icon.addPixmap(picture, QtGui.QIcon.Mode.Normal, state)
    return icon


def _draw_sample(painter: QtGui.QPainter, layer: str, ink: QtGui.QColor, second: QtGui.QColor) -> None:
    if layer == "bands":
        ink.setAlpha(90)
        painter.fillRect(2, 6, 28, 20, ink)
    elif layer == "markers":
        painter.setPen(Qt.PenStyle.NoPen)
        for brush, corners in ((ink, ((1, 25), (15, 25), (8, 10))), (second, ((17, 8), (31, 8), (24, 23)))):
            painter.setBrush(brush)
            painter.drawPolygon([QtCore.QPoint(x, y) for x, y in corners])
    else:
        pen = QtGui.QPen(ink, 4)
        pen.setStyle(Qt.PenStyle.DotLine if layer == "levels" else Qt.PenStyle.SolidLine)
        painter.setPen(pen)
        painter.drawLine(2, 16, 30, 16)
