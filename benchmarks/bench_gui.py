"""What one frame of the dashboard costs at 5,000 ticks a second, drawn offscreen.

A frame is what the window's timer does 30 times a second: empty the mailbox, bring the state up to date, redraw chart
and cards, and let Qt paint. The aim is that its 95th percentile stays below the 33 ms between two frames.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before anything loads Qt

import numpy as np
import pytest

from engine.telemetry_wire import History, Snapshot, decode, encode
from tests.gui.publisher import SyntheticSession

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

TICKS_PER_S = 5_000
FRAMES = 300  # ten seconds


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)], ids=lambda size: f"{size[0]}x{size[1]}")
def bench_frame(benchmark: BenchmarkFixture, tmp_path: Path, size: tuple[int, int]) -> None:
    """Time one frame; the 95th percentile is in ``extra_info``."""
    pytest.importorskip("PySide6", reason="needs the gui extra")
    from PySide6 import QtCore, QtWidgets

    from gui.link import Link
    from gui.window import MainWindow

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    window = MainWindow(QtCore.QSettings(str(tmp_path / "settings.ini"), QtCore.QSettings.Format.IniFormat))
    window._timer.stop()
    window.resize(*size)
    window.show()
    window.link = Link(lambda: None)  # never started: its mailbox is filled here
    window.link.mailbox.put(History("bench", "DEMO", 0, [], {}, [], [], 0, [], None))
    session = SyntheticSession(rate=TICKS_PER_S)
    frames = iter([encode(session.advance(1 / 30))[4:] for _ in range(FRAMES + 1)])

    def receive() -> None:
        message = decode(next(frames))
        assert isinstance(message, Snapshot)
        assert window.link is not None
        window.link.mailbox.put(message)

    def draw() -> None:
        window.draw_frame()
        application.processEvents()

    benchmark.pedantic(draw, setup=receive, rounds=FRAMES, warmup_rounds=1)
    milliseconds = np.sort(np.array(benchmark.stats.stats.data)) * 1e3
    benchmark.extra_info["p95_ms"] = round(float(np.quantile(milliseconds, 0.95)), 2)
    benchmark.extra_info["p50_ms"] = round(float(np.median(milliseconds)), 2)
    assert window.state.symbols["ACME"].view.ticks >= TICKS_PER_S * (FRAMES - 1) // 30
    window.link = None
    window.close()
