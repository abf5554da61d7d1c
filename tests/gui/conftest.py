"""What every dashboard test needs: Qt without a display, a private runtime directory, and an engine to watch."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before anything loads Qt

import pytest
from PySide6 import QtCore
from pytestqt.qtbot import QtBot

from engine.telemetry import TelemetryServer
from engine.telemetry_wire import Snapshot
from gui.window import MainWindow


class ThreadedEngine:
    """A telemetry server on its own event loop, driven from the test."""

    def __init__(self, session_id: str = "session-1", mode: str = "PAPER") -> None:
        self.commands: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = TelemetryServer(lambda name, reason: self.commands.append(f"{name} {reason}".strip()))
        self.endpoint = asyncio.run_coroutine_threadsafe(self.server.start(session_id, mode), self._loop).result(5)

    def publish(self, snapshot: Snapshot) -> None:
        self._loop.call_soon_threadsafe(self.server.publish, snapshot)

    def close(self) -> None:
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self.server.close(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()


@pytest.fixture(autouse=True)
def collected_between() -> Iterator[None]:
    """Garbage is collected between tests: dozens of closed windows, collected amid Qt's events, once crashed Qt."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(directory))
    return directory


@pytest.fixture
def start_engine() -> Iterator[Callable[[], ThreadedEngine]]:
    engines: list[ThreadedEngine] = []

    def start() -> ThreadedEngine:
        engines.append(ThreadedEngine())
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


@pytest.fixture
def settings(tmp_path: Path) -> QtCore.QSettings:
    values = QtCore.QSettings(str(tmp_path / "settings.ini"), QtCore.QSettings.Format.IniFormat)
    values.setValue("theme", "dark")
    return values


@pytest.fixture
def window(qtbot: QtBot, settings: QtCore.QSettings) -> Iterator[MainWindow]:
    made = MainWindow(settings)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()
