"""The bar on top (mode, connection, controls) and the status bar below (figures of feed and engine)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from PySide6 import QtCore, QtGui, QtWidgets

from engine.telemetry_wire import Endpoint, Snapshot
from gui import words
from gui.link import LinkStatus, Phase
from gui.panels import Elided, label, set_tone
from gui.theme import MODE_COLOURS, PALETTE_WORDS, Theme

HOLD_MS = 1_000
"""How long the halt button is held before it acts."""

LEAST = ("frame", "queue", "rate", "ticks")
"""Figures that leave a narrow status bar, in this order."""
ADDRESS_PX, GAP_PX = 90, 6  # kept for the feed's address, and between two figures

_TONES = {
    "live": "good",
    "connecting": "muted",
    "stale": "amber",
    "gap": "amber",
    "reconnecting": "amber",
    "gone": "danger",
    "refused": "danger",
}


class HoldButton(QtWidgets.QPushButton):
    """A button that acts when it has been held for a second: no dialog to fumble with, and no accident."""

    held = QtCore.Signal()

    def __init__(self, text: str, tip: str) -> None:
        super().__init__(text)
        self.setToolTip(tip)
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(HOLD_MS)
        self._timer.timeout.connect(self.held)
        self.pressed.connect(self._timer.start)
        self.released.connect(self._timer.stop)


class TopBar(QtWidgets.QWidget):
    """What kind of money this is, whether the data are fresh, and what can be done."""

    command = QtCore.Signal(str)
    theme_clicked = QtCore.Signal()
    palette_clicked = QtCore.Signal()
    zone_clicked = QtCore.Signal()
    help_clicked = QtCore.Signal()
    symbol_chosen = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.mode, self.badge, self.strategy = label("mode"), label("badge"), Elided("muted")
        self.symbols = QtWidgets.QComboBox()
        self.symbols.setAccessibleName("Symbol")
        self.symbols.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.symbols.setMinimumWidth(110)
        self.symbols.textActivated.connect(self.symbol_chosen)
        self.pause = self._push(words.PAUSE, words.PAUSE_TIP)
        self.flatten = self._push(words.FLATTEN, words.FLATTEN_TIP)
        self.halt = HoldButton(words.HALT, words.HALT_TIP)
        self.zone = self._tool("UTC", "Times in UTC or local (T)")
        self.palette_button = self._tool("◑ Colours", "Next colour palette (P)")
        self.theme_button = self._tool("☾", "Dark or light (D)")
        self.help = self._tool("?", "Keyboard shortcuts (?)")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(10, 7, 10, 7)
        layout.setSpacing(8)
        for widget in (self.mode, self.badge, self.symbols, self.strategy):
            layout.addWidget(widget)
        layout.addStretch(1)
        for button in (
            self.pause,
            self.flatten,
            self.halt,
            self.zone,
            self.palette_button,
            self.theme_button,
            self.help,
        ):
            layout.addWidget(button)
        self._paused = False
        self.pause.clicked.connect(lambda: self.command.emit("resume" if self._paused else "pause"))
        self.flatten.clicked.connect(lambda: self.command.emit("flatten"))
        self.halt.held.connect(lambda: self.command.emit("halt"))
        self.zone.clicked.connect(self.zone_clicked)
        self.palette_button.clicked.connect(self.palette_clicked)
        self.theme_button.clicked.connect(self.theme_clicked)
        self.help.clicked.connect(self.help_clicked)
        self.show_mode("")
        self.show_commands([], live=False, halted="")
        self.show_data_controls(False)

    def show_mode(self, mode: str) -> None:
        """Show the mode badge; it is never drawn by colour alone."""
        self.mode.setText(mode or words.TITLE.upper())
        colour = MODE_COLOURS.get(mode, MODE_COLOURS["SHADOW"])
        self.mode.setStyleSheet(f"background: {colour};")
        self.mode.setToolTip(words.MODES.get(mode, ""))

    def show_session(self, snapshot: Snapshot, symbol: str) -> None:
        """Show strategy and instruments."""
        self.strategy.setText(snapshot.strategy)
        names = [view.symbol for view in snapshot.symbols]
        if names != [self.symbols.itemText(index) for index in range(self.symbols.count())]:
            self.symbols.clear()
            self.symbols.addItems(names)
        if self.symbols.currentText() != symbol:
            self.symbols.setCurrentText(symbol)

    def show_commands(self, offered: list[str], live: bool, halted: str) -> None:
        """Enable what the engine offers while it can be reached."""
        self._paused = halted.startswith((words.PAUSED, words.LATCHED))
        self.pause.setText(words.RESUME if self._paused else words.PAUSE)
        for button, name, tip in (
            (self.pause, "resume" if self._paused else "pause", words.PAUSE_TIP),
            (self.flatten, "flatten", words.FLATTEN_TIP),
            (self.halt, "halt", words.HALT_TIP),
        ):
            button.setEnabled(live and name in offered)
            button.setToolTip(tip if name in offered or not live else words.NOT_OFFERED)

    def show_data_controls(self, visible: bool) -> None:
        """Hide what means nothing before there is a session."""
        for widget in (self.symbols, self.strategy, self.pause, self.flatten, self.halt):
            widget.setVisible(visible)

    def show_appearance(self, theme: Theme, palette: str, zone: str) -> None:
        """Show what the appearance buttons are set to."""
        self.zone.setText(zone)
        self.theme_button.setText("☾" if theme.name == "dark" else "☀")
        self.palette_button.setText(f"◑ {PALETTE_WORDS[palette]}")

    def show_connection(self, link: LinkStatus | None, snapshot: Snapshot | None) -> str:
        """Show the connection badge; return the state it shows."""
        state, detail = _connection_state(link, snapshot)
        icon, word = words.CONNECTION.get(state, ("○", state))
        text = f"{icon} {word}"
        if state == "reconnecting" and link is not None and link.phase is Phase.RECONNECTING:
            wait = max(link.next_try_s - time.monotonic(), 0.0)
            text = f"{text} ({link.attempt}) {math.ceil(wait)} s"
        elif state == "gone" and link is not None:
            text = f"{text} (pid {link.gone_pid}) {time.monotonic() - link.gone_since_s:.0f} s"
        self.badge.setText(text)
        set_tone(self.badge, _TONES.get(state, "muted"))
        self.badge.setToolTip(words.connection_card(detail, link, snapshot, time.monotonic()))
        return state

    def _push(self, text: str, tip: str) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.setToolTip(tip)
        return button

    def _tool(self, text: str, tip: str) -> QtWidgets.QToolButton:
        button = QtWidgets.QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button


def _connection_state(link: LinkStatus | None, snapshot: Snapshot | None) -> tuple[str, str]:
    """Return the state to show, and why: the link's own while it is not live, else the feed's."""
    if link is None:
        return "none", ""
    if link.phase is not Phase.LIVE:
        return link.phase.value, words.REFUSALS.get(link.detail, link.detail)
    if snapshot is None:
        return "connecting", ""
    if snapshot.ended:
        return "ended", snapshot.ended
    return snapshot.feed.state, snapshot.feed.detail


class StatusBar(QtWidgets.QStatusBar):
    """Figures that tell how well the machine keeps up."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.feed = Elided("muted")
        self.addWidget(self.feed, 1)
        self.engines = label("value")
        self.engines.hide()
        self.addPermanentWidget(self.engines)
        self.figures = {
            name: label("muted") for name in ("ticks", "rate", "queue", "rejected", "latency", "refusals", "frame")
        }
        for name, text in words.STATUS_TIPS.items():
            self.figures[name].setToolTip(text)
            self.addPermanentWidget(self.figures[name])

    def show_figures(self, snapshot: Snapshot, frame_ms: float) -> None:
        """Show the newest figures."""
        feed = snapshot.feed
        rejected = sum(feed.rejected.values()) + sum(feed.bad_frames.values())
        # Among several engines the hint takes the session's place; the window's title names it too.
        session = "" if self.engines.isVisible() else f"   {words.SESSION} {snapshot.session_id}"
        self.feed.setText(f"{feed.address}{session}")
        texts = {
            "ticks": f"{words.count(feed.accepted)} ticks",
            "rate": f"{feed.ticks_per_s:,.0f} ticks/s",
            "queue": f"queue {words.count(feed.queue_ticks)}",
            "rejected": f"rejected {words.count(rejected)}",
            "latency": f"p50 {words.latency(snapshot.latency_p50_us)}  p99 {words.latency(snapshot.latency_p99_us)}",
            "refusals": f"refusals {words.count(sum(snapshot.refusals.values()))}",
            "frame": f"frame {frame_ms:.1f} ms",
        }
        for name, text in texts.items():
            self.figures[name].setText(text)
        set_tone(self.figures["rejected"], "amber" if rejected else "")
        self._make_room()

    def _make_room(self) -> None:
        """Where it is narrow leave out whole figures, the least important first, rather than cut one."""
        shown = [name for name in self.figures if self.figures[name].text()]
        room = self.width() - ADDRESS_PX - (self.engines.sizeHint().width() if self.engines.isVisible() else 0)
        for name in LEAST:
            if sum(self.figures[one].sizeHint().width() + GAP_PX for one in shown) > room and name in shown:
                shown.remove(name)
        for name, figure in self.figures.items():
            figure.setVisible(name in shown)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Fit the figures to the new width."""
        super().resizeEvent(event)
        self._make_room()

    def show_engines(self, engines: Sequence[Endpoint]) -> None:
        """Say so when more than one engine runs, since only one of them is on screen."""
        self.engines.setVisible(len(engines) > 1)
        self.engines.setText(words.ENGINES_RUN.format(count=len(engines)))
        lines = [f"python -m gui --session {one.session_id}   {one.mode}, process {one.pid}" for one in engines]
        self.engines.setToolTip("\n".join(lines))
        set_tone(self.engines, "amber")

    def clear_figures(self) -> None:
        """Show nothing while there is nothing to show."""
        for figure in (self.feed, *self.figures.values()):
            figure.setText("")

    def notify(self, text: str, duration_ms: int) -> None:
        """Show a message in place of the feed's address for a while."""
        self.showMessage(text, duration_ms)
