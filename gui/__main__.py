"""``python -m gui`` and ``microburst-gui``: the dashboard.

Attaches to the newest running engine of this user, or offers to start one. Exit codes: 0 closed, 1 no display,
2 wrong usage, 3 the ``gui`` extra is not installed, 5 no such engine.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from typing import NoReturn

from engine.errors import ExitCode, MissingExtraError, NotFoundError, UserError
from engine.telemetry_wire import Endpoint
from gui.link import running_engines

SYSTEM_LIBRARIES = "libegl1 libgl1 libdbus-1-3 libfontconfig1"


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage like every other mistake: one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UserError(message, where=self.prog, fix="--help lists the options", exit_code=ExitCode.USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the dashboard; return the exit code."""
    parser = _Parser(prog="microburst-gui", description="Watch a running Microburst engine.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--demo", action="store_true", help="start an engine on its simulated market, and watch it")
    which.add_argument("--session", metavar="ID", help="watch this engine: its session id, the start of it, or its pid")
    try:
        options = parser.parse_args(arguments)
        for library in ("PySide6", "pyqtgraph"):
            if importlib.util.find_spec(library) is None:
                raise MissingExtraError("the dashboard", "gui")
        chosen = find_session(options.session) if options.session else None
        return _run(options.demo, chosen)
    except UserError as error:
        print(f"error: {error.line()}", file=sys.stderr)
        return error.exit_code


def find_session(wanted: str) -> Endpoint:
    """Return the newest running engine whose session id starts with ``wanted``, or whose process id it is.

    Raises:
        NotFoundError: there is none.
    """
    engines = running_engines()
    for engine in engines:
        if engine.session_id.startswith(wanted) or str(engine.pid) == wanted:
            return engine
    running = ", ".join(engine.session_id for engine in engines) or "none"
    raise NotFoundError(f"no running engine has the session '{wanted}'", where="--session", fix=f"running: {running}")


def _run(demo: bool, chosen: Endpoint | None) -> int:
    try:
        from gui import app
    except ImportError as error:
        raise UserError(
            f"the dashboard cannot load Qt: {error}",
            fix=f"on Debian and Ubuntu: apt-get install {SYSTEM_LIBRARIES}",
            exit_code=ExitCode.FAILURE,
        ) from None
    return app.run(demo, chosen)


if __name__ == "__main__":
    sys.exit(main())
