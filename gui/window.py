"""The main window: owns the link to the engine, the timer that draws, and every control."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PySide6 import QtCore, QtGui, QtWidgets

from engine.telemetry_wire import Done, Endpoint, state_in_words
from gui import words
from gui.banner import Banner
from gui.bars import StatusBar, TopBar
from gui.child import DEMO_COMMAND, EngineChild
from gui.dashboard import Dashboard
from gui.link import Link, Phase, running_engines
from gui.panels import label
from gui.state import SessionState
from gui.tables import write_csv
from gui.theme import MODE_COLOURS, PALETTES, make_theme, style_sheet
from gui.welcome import WelcomePage

Qt = QtCore.Qt
FRAME_MS = 33
FRAMES_PER_PANEL = 4
FRAMES_PER_SEARCH = 30
FONT_POINTS = 10
NOTICE_MS = 6000


class MainWindow(QtWidgets.QMainWindow):
    """The dashboard.

    Args:
        settings: where appearance and geometry are kept; what cannot be read there falls back to the defaults.
        demo_command: the command line of the engine that "Start demo" runs.
    """

    def __init__(self, settings: QtCore.QSettings, demo_command: Sequence[str] = DEMO_COMMAND) -> None:
        super().__init__()
        self._settings = settings
        self._demo_command = demo_command
        self.state = SessionState()
        self.link: Link | None = None
        self.child: EngineChild | None = None
        self._child_failure = ""
        self._told_done: Done | None = None
        self.frame_ms: deque[float] = deque(maxlen=300)
        self._frames = 0
        self._local_zone = _local_zone()
        self._theme_name = _one_of(settings.value("theme"), ("dark", "light"), _system_theme())
        self._palette = _one_of(settings.value("palette"), PALETTES, PALETTES[0])
        self._utc = _one_of(settings.value("zone"), ("utc", "local"), "utc") == "utc"
        self._build()
        self._bind_keys()
        self._apply_appearance()
        self._restore_geometry()
        self._timer = QtCore.QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.draw_frame)
        self._timer.start(FRAME_MS)

    # ------------------------------------------------------------------------------------------------ construction

    def _build(self) -> None:
        self.setMinimumSize(900, 600)
        self.top, self.status = TopBar(), StatusBar()
        self.welcome = WelcomePage()
        self.dashboard = Dashboard(make_theme(self._theme_name, self._palette))
        self.banner = Banner()
        self.pages = QtWidgets.QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(self.dashboard)
        self._frame = QtWidgets.QFrame()
        self._frame.setObjectName("modeframe")
        layout = QtWidgets.QVBoxLayout(self._frame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.top)
        layout.addWidget(self.banner)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(self._frame)
        self.setStatusBar(self.status)
        self.top.command.connect(self.send_command)
        self.top.theme_clicked.connect(self.switch_theme)
        self.top.palette_clicked.connect(self.switch_palette)
        self.top.zone_clicked.connect(self.switch_zone)
        self.top.help_clicked.connect(self.show_shortcuts)
        self.top.symbol_chosen.connect(self.dashboard.choose)
        self.dashboard.filter_problem.connect(self.notify)
        self.welcome.demo_clicked.connect(self.start_demo)
        self.welcome.engine_chosen.connect(self.attach)
        self.banner.demo_clicked.connect(self.start_demo)
        self.banner.choose_clicked.connect(self.show_welcome)

    def _bind_keys(self) -> None:
        chart, legend = self.dashboard.chart, self.dashboard.chart.legend
        everywhere: dict[str, Callable[[], object]] = {
            "V": lambda: legend.toggle("vwap"),
            "B": lambda: legend.toggle("bands"),
            "O": lambda: legend.toggle("levels"),
            "M": lambda: legend.toggle("markers"),
            "C": self._toggle_snap,
            "T": self.switch_zone,
            "D": self.switch_theme,
            "P": self.switch_palette,
            "F": self.dashboard.filter.setFocus,
            "[": lambda: self.dashboard.step_trade(-1),
            "]": lambda: self.dashboard.step_trade(1),
            "Ctrl+E": self.export_trades,
            "F11": lambda: self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen),
            "?": self.show_shortcuts,
            "Escape": chart.setFocus,
        }
        # These mean something else inside a table, so they belong to the chart alone.
        over_chart: dict[str, Callable[[], object]] = {
            "Left": lambda: chart.pan(-0.1),
            "Right": lambda: chart.pan(0.1),
            "Shift+Left": lambda: chart.pan(-1.0),
            "Shift+Right": lambda: chart.pan(1.0),
            "Up": lambda: chart.zoom(0.8),
            "Down": lambda: chart.zoom(1.25),
            "+": lambda: chart.zoom(0.8),
            "=": lambda: chart.zoom(0.8),
            "-": lambda: chart.zoom(1.25),
            "Home": chart.go_first,
            "End": chart.go_live,
            "PgUp": lambda: self.dashboard.step_symbol(-1),
            "PgDown": lambda: self.dashboard.step_symbol(1),
            "Space": self._toggle_pause,
        }
        chart.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for keys, owner, context in (
            (everywhere, self, Qt.ShortcutContext.WindowShortcut),
            (over_chart, chart, Qt.ShortcutContext.WidgetWithChildrenShortcut),
        ):
            for key, action in keys.items():
                shortcut = QtGui.QShortcut(QtGui.QKeySequence(key), owner)
                shortcut.setContext(context)
                shortcut.activated.connect(action)

    # -------------------------------------------------------------------------------------------------- sessions

    def open_session(self, demo: bool, chosen: Endpoint | None = None) -> None:
        """Start as the command line asks: a demo, a chosen engine, or the newest one that runs."""
        if demo:
            self.start_demo()
        elif chosen is not None:
            self.attach(chosen)
        elif engines := running_engines():
            self.attach(engines[0])
        else:
            self.show_welcome()

    def attach(self, endpoint: Endpoint) -> None:
        """Watch a running engine; should it be restarted, watch its successor."""

        def find() -> Endpoint | None:
            engines = running_engines()
            return next((one for one in engines if one.pid == endpoint.pid), engines[0] if engines else None)

        self._watch(find)

    def start_demo(self) -> None:
        """Start an engine on its embedded mock market, and watch it."""
        self._detach()
        self._stop_child()
        self.banner.hide()
        self.pages.setCurrentWidget(self.welcome)
        self.welcome.show_starting()
        try:
            child = self.child = EngineChild(self._demo_command)
        except OSError as error:
            self.welcome.show_problem(words.CHILD_FAILED.format(code="–", line=error.strerror))
            return

        def find() -> Endpoint | None:
            engines = running_engines()
            own = next((one for one in engines if child.owns(one)), None)
            # Another one replaces it only once it was seen and is gone: a demo that cannot start has to say why.
            successor = engines[0] if engines and child.seen and child.exit_code is not None else None
            child.seen = child.seen or own is not None
            return own or successor

        self._watch(find)

    def show_welcome(self) -> None:
        """Leave the session on screen and offer others."""
        self._detach()
        self._stop_child()
        self.banner.hide()
        self.welcome.show_problem("")
        self.welcome.show_engines(running_engines())
        self.pages.setCurrentWidget(self.welcome)
        self.welcome.demo.setFocus()

    def _watch(self, find: Callable[[], Endpoint | None]) -> None:
        self._detach()
        self.banner.hide()
        self._child_failure = ""
        self.link = Link(find)
        self.link.start()

    def _detach(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None

    def _stop_child(self) -> None:
        child, link = self.child, self.link
        self.child = None
        if child is not None:
            child.stop(ask=lambda: link is not None and link.send("stop"))

    # -------------------------------------------------------------------------------------------------- drawing

    def draw_frame(self) -> None:
        """Take in what has arrived and draw it; called by the timer."""
        started = time.perf_counter()
        self._frames += 1
        self._take_messages()
        self._watch_child()
        visible = self.isVisible() and not self.isMinimized()
        panels = self._frames % FRAMES_PER_PANEL == 1
        if self._frames % FRAMES_PER_SEARCH == 1:
            self._look_around()
        if visible and self.pages.currentWidget() is self.dashboard:
            self.dashboard.draw_chart()
            if panels:
                self.dashboard.draw_panels()
                self._draw_bars()
        elif panels:
            self._draw_bars()
        self.frame_ms.append((time.perf_counter() - started) * 1e3)

    def _look_around(self) -> None:
        """See which engines run: the welcome page lists them, the status bar tells when there are several."""
        engines = running_engines()
        self.status.show_engines(engines)
        if self.link is None and self.child is None:
            self.welcome.show_engines(engines)

    def _take_messages(self) -> None:
        if self.link is None:
            return
        history, snapshot = self.link.mailbox.take()
        if history is not None:
            self.state.restart(history)
            self.dashboard.restart(self.state)
            self._show_mode(history.mode)
        if snapshot is not None:
            self.state.update(snapshot)
            self.dashboard.add_trades(snapshot.new_trades)
        if (history or snapshot) and self.state.snapshot is not None:
            if self.pages.currentWidget() is not self.dashboard:
                self.pages.setCurrentWidget(self.dashboard)
                self.dashboard.chart.setFocus()
            if self.state.snapshot.ended:
                self.banner.say(words.SESSION_OVER.format(reason=self.state.snapshot.ended))

    def _watch_child(self) -> None:
        """Say so when the engine that this window started has failed."""
        child = self.child
        if child is None or child.exit_code is None:
            return
        code, line = child.exit_code, child.last_line()
        self.child = None
        child.stop()
        if code != 0:
            text = words.CHILD_FAILED.format(code=code, line=line or words.CHILD_SILENT)
            if self.pages.currentWidget() is self.welcome:
                self._detach()
                self.welcome.show_problem(text)
            else:
                self._child_failure = text
                self.banner.say(text)

    def _tell_done(self, done: Done | None) -> None:
        """Say what has become of the newest command, once."""
        if done is None or done is self._told_done:
            return
        self._told_done = done
        if not done.obeyed:
            self.notify(words.NOT_OBEYED.format(command=done.name, detail=done.detail))
            return
        state = state_in_words(done.state, done.detail)
        self.notify(words.DONE.format(command=done.name, time=words.moment(done.ts_ns, self.zone), state=state))

    def _draw_bars(self) -> None:
        status = self.link.status if self.link is not None else None
        self._tell_done(status.done if status is not None else None)
        snapshot = self.state.snapshot if self.pages.currentWidget() is self.dashboard else None
        shown = self.top.show_connection(status, snapshot)
        self.dashboard.set_stale(shown != "live")
        if status is not None and status.phase is Phase.GONE and snapshot is not None:
            self.banner.say(f"{words.engine_gone(status, time.monotonic())} {self._child_failure}".strip(), gone=True)
        else:
            self.banner.found()
        live = status is not None and status.phase is Phase.LIVE
        halted = snapshot.account.halted if snapshot is not None else ""
        self.top.show_commands(self.state.commands, live and snapshot is not None and not snapshot.ended, halted)
        self.top.show_data_controls(snapshot is not None)
        if snapshot is None:
            self.status.clear_figures()
            if status is not None and status.phase is Phase.REFUSED:
                self._detach()
                self.welcome.show_problem(words.REFUSALS.get(status.detail, status.detail))
            return
        self.top.show_session(snapshot, self.dashboard.symbol)
        times = sorted(self.frame_ms)
        self.status.show_figures(snapshot, times[int(len(times) * 0.95)] if times else 0.0)

    def _show_mode(self, mode: str) -> None:
        self.top.show_mode(mode)
        colour = MODE_COLOURS.get(mode, MODE_COLOURS["SHADOW"])
        self._frame.setStyleSheet(f"QFrame#modeframe {{ border: 3px solid {colour}; }}")
        self.setWindowTitle(f"{mode} · {self.state.session_id} · {words.TITLE}" if mode else words.TITLE)

    def notify(self, text: str) -> None:
        """Show a short message in the status bar."""
        self.status.notify(text, NOTICE_MS)

    # ------------------------------------------------------------------------------------------------- appearance

    @property
    def zone(self) -> tzinfo:
        """The time zone that every time is shown in."""
        return UTC if self._utc else self._local_zone

    def switch_theme(self) -> None:
        """Dark or light."""
        self._theme_name = "light" if self._theme_name == "dark" else "dark"
        self._apply_appearance()

    def switch_palette(self) -> None:
        """Next colour palette."""
        self._palette = PALETTES[(PALETTES.index(self._palette) + 1) % len(PALETTES)]
        self._apply_appearance()

    def switch_zone(self) -> None:
        """UTC or local time."""
        self._utc = not self._utc
        self._apply_appearance()

    def _apply_appearance(self) -> None:
        theme = make_theme(self._theme_name, self._palette)
        self.setStyleSheet(style_sheet(theme, FONT_POINTS))
        self.dashboard.set_appearance(theme, self.zone)
        self.top.show_appearance(theme, self._palette, "UTC" if self._utc else _zone_word(self._local_zone))
        self._show_mode(self.state.mode)

    def _restore_geometry(self) -> None:
        self.resize(1280, 800)
        geometry, splitter = self._settings.value("geometry"), self._settings.value("splitter")
        if isinstance(geometry, QtCore.QByteArray):
            self.restoreGeometry(geometry)  # False for a broken value, which leaves the size above
        if isinstance(splitter, QtCore.QByteArray):
            self.dashboard.splitter.restoreState(splitter)

    # ---------------------------------------------------------------------------------------------------- actions

    def send_command(self, name: str) -> None:
        """Send a command to the engine; flattening asks first, and to resume from a halt takes a reason."""
        if name == "flatten" and not self._confirm(words.FLATTEN_QUESTION):
            return
        halted = self.state.snapshot.account.halted if self.state.snapshot is not None else ""
        reason = self._ask_reason(halted) if name == "resume" and halted.startswith(words.LATCHED) else ""
        if reason is None:
            return
        sent = self.link is not None and self.link.send(name, reason)
        self.notify((words.SENT if sent else words.NOT_SENT).format(command=name))

    def _ask_reason(self, halted: str) -> str | None:
        """Ask why a halt may end; None when there is no answer."""
        question = words.RESUME_QUESTION.format(halted=halted)
        reason, given = QtWidgets.QInputDialog.getText(self, words.TITLE, question)
        return reason.strip() or None if given else None

    def _confirm(self, question: str) -> bool:
        buttons = QtWidgets.QMessageBox.StandardButton
        answer = QtWidgets.QMessageBox.question(self, words.TITLE, question, buttons.Yes | buttons.No, buttons.No)
        return answer == buttons.Yes

    def _toggle_pause(self) -> None:
        if self.top.pause.isEnabled():
            self.top.pause.click()

    def _toggle_snap(self) -> None:
        self.notify(words.SNAP_ON if self.dashboard.chart.toggle_snap() else words.SNAP_OFF)

    def export_trades(self) -> None:
        """Save the trades that the table shows, in its order."""
        name, _ = QtWidgets.QFileDialog.getSaveFileName(self, words.CARDS["trades"], "trades.csv", "CSV (*.csv)")
        if not name:
            return
        trades = self.dashboard.filtered.visible_trades()
        try:
            write_csv(Path(name), trades, self.state.session_id)
        except OSError as error:
            self.notify(words.NOT_SAVED.format(reason=error.strerror or error))
            return
        self.notify(words.SAVED.format(count=len(trades), path=name))

    def show_shortcuts(self) -> None:
        """Show the sheet of keyboard shortcuts."""
        sheet = QtWidgets.QDialog(self)
        sheet.setWindowTitle(words.SHORTCUTS_TITLE)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QtWidgets.QGridLayout(sheet)
        grid.setContentsMargins(24, 20, 24, 20)
        grid.setHorizontalSpacing(28)
        grid.setVerticalSpacing(7)
        for row, (keys, meaning) in enumerate(words.SHORTCUTS):
            grid.addWidget(label("value", keys), row, 0)
            grid.addWidget(label("muted", meaning), row, 1)
        sheet.open()

    # --------------------------------------------------------------------------------------------------- closing

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Stop the engine that this window started (it flattens first); leave any other alone."""
        self._timer.stop()
        self._settings.setValue("theme", self._theme_name)
        self._settings.setValue("palette", self._palette)
        self._settings.setValue("zone", "utc" if self._utc else "local")
        self._settings.setValue("geometry", self.saveGeometry())
        self._settings.setValue("splitter", self.dashboard.splitter.saveState())
        if self.child is not None:
            self.notify(words.STOPPING)
            self.status.repaint()
        self._stop_child()
        self._detach()
        event.accept()


def _one_of(value: object, valid: Sequence[str], fallback: str) -> str:
    return str(value) if value in valid else fallback


def _system_theme() -> str:
    light = QtGui.QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light
    return "light" if light else "dark"


def _local_zone() -> tzinfo:
    """Return this machine's time zone, with its daylight-saving rules when they are known."""
    try:
        return ZoneInfo(bytes(QtCore.QTimeZone.systemTimeZoneId().data()).decode())
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.now().astimezone().tzinfo or UTC


def _zone_word(zone: tzinfo) -> str:
    return datetime.now(zone).tzname() or words.LOCAL
