"""The engine that the dashboard starts for a demo, and stops again. No Qt.

An engine that the dashboard merely found is nobody's child: it is never stopped from here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from engine.telemetry_wire import Endpoint

STOP_TIMEOUT_S = 10.0
DEMO_COMMAND = (sys.executable, "-m", "engine", "--paper", "--feed", "embedded")


class EngineChild:
    """One engine process, started on construction.

    Args:
        command: the command line; the default trades paper on a mock market of its own, whatever else is running.
    """

    def __init__(self, command: Sequence[str] = DEMO_COMMAND) -> None:
        self.started_mono_ns = time.monotonic_ns()
        self.seen = False  # whether it has announced itself
        self._last_lines: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Its own group: a Ctrl-C in the terminal reaches the dashboard alone, which then stops it in order.
            start_new_session=os.name != "nt",
        )
        self._reader = threading.Thread(target=self._read_errors, name="engine-stderr", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    def last_line(self) -> str:
        """Return the last line it wrote to stderr, which for this project's commands says what went wrong."""
        if self.exit_code is not None:
            self._reader.join(1.0)
        return next((line for line in reversed(self._last_lines) if line.strip()), "").strip()

    def owns(self, endpoint: Endpoint) -> bool:
        """Whether ``endpoint`` is this child's. On Windows a launcher may stand between, so its age decides too."""
        return endpoint.pid == self.pid or (os.name == "nt" and endpoint.started_mono_ns >= self.started_mono_ns)

    def stop(self, ask: Callable[[], bool] | None = None, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it gracefully (it flattens its positions), by force after ``timeout_s``; return its exit code.

        Args:
            ask: sends the stop command over telemetry; used on Windows, which has no SIGTERM to handle.
        """
        if self.exit_code is None:
            if os.name != "nt":
                self._process.send_signal(signal.SIGTERM)
            elif ask is None or not ask():
                self._process.terminate()
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._reader.join(1.0)
            if self._process.stderr is not None and not self._reader.is_alive():
                self._process.stderr.close()

    def _read_errors(self) -> None:
        if self._process.stderr is not None:
            for line in self._process.stderr:
                self._last_lines.append(line)
