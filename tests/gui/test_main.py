"""``python -m gui`` as a process: every way not to start is one line and its exit code."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.telemetry_wire import read_endpoints
from gui.__main__ import main

TIMEOUT_S = 60


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    command = [sys.executable, "-m", "gui", *arguments]
    return subprocess.run(command, env=kept | environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_without_a_display() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the dashboard needs a display and DISPLAY is not set; "
        "run it on a desktop, or set QT_QPA_PLATFORM=offscreen to run without one\n"
    )


@pytest.mark.parametrize("environ", [{"DISPLAY": ":9999"}, {"QT_QPA_PLATFORM": "nonsense"}])
def test_with_a_display_that_is_not_there(environ: dict[str, str]) -> None:
    done = run(**environ)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: the dashboard cannot open a window: ")
    assert "QT_QPA_PLATFORM=offscreen" in done.stderr


def test_unknown_option() -> None:
    done = run("--bogus")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: microburst-gui: unrecognized arguments: --bogus; --help lists the options\n"


def test_unknown_session() -> None:
    done = run("--session", "nope")
    assert done.returncode == 5
    assert done.stderr == "error: --session: no running engine has the session 'nope'; running: none\n"


@pytest.mark.parametrize("missing", ["PySide6", "pyqtgraph"])
def test_a_missing_library_names_the_install_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert main([]) == 3
    assert capsys.readouterr().err == (
        "error: the dashboard needs the 'gui' extra; "
        "install it with: pip install -e '.[gui]' (in the project's folder)\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")
def test_a_terminated_dashboard_stops_the_engine_it_started(runtime: Path, tmp_path: Path) -> None:
    script = tmp_path / "run_demo.py"
    script.write_text(
        "import sys\n"
        "import gui.window\n"
        "gui.window.DEMO_COMMAND = (sys.executable, '-m', 'tests.gui.publisher', '--seed', '1')\n"
        "gui.window.MainWindow.__init__.__defaults__ = (gui.window.DEMO_COMMAND,)\n"
        "from gui.__main__ import main\n"
        "sys.exit(main(['--demo']))\n"
    )
    environ = os.environ | {"PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    window = subprocess.Popen([sys.executable, str(script)], env=environ, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(TIMEOUT_S * 20):
            if read_endpoints(runtime) or window.poll() is not None:
                break
            threading.Event().wait(0.05)
        (engine,) = read_endpoints(runtime)
        assert engine.started_mono_ns < time.monotonic_ns()
        window.send_signal(signal.SIGTERM)
        _, errors = window.communicate(timeout=TIMEOUT_S)
        assert (window.returncode, errors) == (0, "")
        assert read_endpoints(runtime) == []
        with pytest.raises(ProcessLookupError):
            os.kill(engine.pid, 0)
    finally:
        window.kill()
