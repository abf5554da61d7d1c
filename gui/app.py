"""Creates the Qt application and runs the window until it is closed."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from engine.errors import UserError
from engine.telemetry_wire import Endpoint
from gui import words
from gui.window import MainWindow

NO_DISPLAY_FIX = "run it on a desktop, or set QT_QPA_PLATFORM=offscreen to run without one"

_platform_warnings: list[str] = []


def run(demo: bool, chosen: Endpoint | None) -> int:
    """Show the dashboard; return the process exit code.

    Raises:
        UserError: there is no display to show it on.
    """
    _require_display()
    QtCore.qInstallMessageHandler(_on_qt_message)
    QtCore.QLocale.setDefault(QtCore.QLocale.c())
    application = QtWidgets.QApplication([words.TITLE])
    application.setApplicationName("microburst")
    application.setStyle("Fusion")
    pg.setConfigOptions(antialias=False, useOpenGL=False)
    settings = QtCore.QSettings(
        QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, "microburst", "dashboard"
    )
    application.setWindowIcon(icon())
    window = MainWindow(settings)

    def close(number: int, frame: FrameType | None) -> None:
        # Not here: a signal comes between any two lines of Python, those of a paint event among them, and a window that
        # is closed while it paints crashes.
        QtCore.QTimer.singleShot(0, window.close)

    # Qt's loop returns to Python on every tick of the window's timer, so these run within a frame.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), close)
    window.show()
    window.open_session(demo, chosen)
    code = application.exec()
    _take_down(application, window)
    return code


def _take_down(application: QtWidgets.QApplication, window: MainWindow) -> None:
    """Destroy the window while Qt is still whole; left to the interpreter's exit, their order would be chance."""
    window.deleteLater()
    application.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    QtCore.qInstallMessageHandler(None)


def _require_display() -> None:
    """Tell a missing display from a broken program before Qt aborts the process."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("the dashboard needs a display and DISPLAY is not set", fix=NO_DISPLAY_FIX)


def _on_qt_message(kind: QtCore.QtMsgType, context: QtCore.QMessageLogContext, text: str) -> None:
    """Print one line where Qt would abort; keep the platform's first warnings, which say why."""
    if kind == QtCore.QtMsgType.QtFatalMsg:
        cause = (_platform_warnings or [text])[0].strip().splitlines()[0]
        error = UserError(f"the dashboard cannot open a window: {cause}", fix=NO_DISPLAY_FIX)
        print(f"error: {error.line()}", file=sys.stderr, flush=True)
        os._exit(1)  # Qt calls abort() as soon as this function returns
    if str(context.category).startswith("qt.qpa") and len(_platform_warnings) < 4:
        _platform_warnings.append(text)


def icon() -> QtGui.QIcon:
    """Return the window's icon: a burst above the line."""
    picture = QtGui.QPixmap(64, 64)
    picture.fill(QtGui.QColor("#131722"))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(QtGui.QColor("#26A69A"), 6))
    painter.drawPolyline([QtCore.QPoint(x, y) for x, y in ((6, 46), (22, 42), (32, 18), (42, 30), (58, 10))])
    painter.end()
    return QtGui.QIcon(picture)
