"""A mock market as a child process, for benchmarks that need a socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def mock_market(*flags: str) -> Iterator[str]:
    """Start ``python -m mock_server`` on a free port; yield its address and stop it afterwards."""
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--exit-with-parent", *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield next(word for word in line.split() if word.startswith("ws://"))
        finally:
            process.terminate()
