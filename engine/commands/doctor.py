"""``microburst doctor``: is everything here that the engine needs, and how to get what is not."""

from __future__ import annotations

import importlib
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.commands.shared import ConfigFlag, JsonFlag, load_config, plain_table, write_json, write_table
from engine.errors import ExitCode, UserError

MOCK_PORT = 8765
EXTRAS = {
    "gui": ("pyqtgraph", "PySide6-Essentials"),
    "data": ("polars", "pyarrow", "plotly"),
    "calendars": ("pandas_market_calendars",),
}
CORE = ("numpy", "orjson", "websockets", "uvloop", "typer", "rich", "structlog", "pydantic-settings")
INSTALL = "in the project's folder: pip install -e ."


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``status`` is ``ok``, ``missing`` (something optional) or ``broken`` (the engine cannot run)."""

    name: str
    status: str
    detail: str
    fix: str = ""


def doctor(config_file: ConfigFlag = None, as_json: JsonFlag = False) -> int:
    """Check that all the engine needs is here.

    Python, compiled modules, libraries, extras, clock, configuration, telemetry and the mock market's port.
    """
    checks = checks_of(config_file)
    if as_json:
        write_json({"schema": "microburst.doctor/1", "checks": [asdict(check) for check in checks]})
    else:
        table = plain_table("check", "status", "detail", "what to do")
        for check in checks:
            table.add_row(check.name, check.status, check.detail, check.fix)
        write_table(table)
    return ExitCode.FAILURE if any(check.status == "broken" for check in checks) else ExitCode.OK


def checks_of(config_file: Path | None) -> list[Check]:
    """Return every check, made now."""
    return [
        *_python(),
        *_compiled(),
        *_libraries(),
        *_extras(),
        *_machine(),
        *_configuration(config_file),
        _secrets(),
        _mock_port(),
    ]


def _python() -> Iterator[Check]:
    enough = sys.version_info >= (3, 11)
    fix = "" if enough else "install Python 3.11 or newer"
    yield Check("python", "ok" if enough else "broken", f"{platform.python_version()} {sys.executable}", fix)
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield Check("machine", "ok", system)


def _compiled() -> Iterator[Check]:
    """Load every compiled module; each has a stub file beside it."""
    package = Path(__file__).resolve().parents[1]
    names = sorted(stub.stem for stub in package.glob("_*.pyi"))
    for name in names:
        try:
            module = importlib.import_module(f"engine.{name}")
        except ImportError as error:
            fix = f"build it: make build, or {INSTALL}"
            yield Check(f"engine.{name}", "broken", " ".join(str(error).split()), fix)
        else:
            yield Check(f"engine.{name}", "ok", Path(str(module.__file__)).name)


def _libraries() -> Iterator[Check]:
    for name in CORE:
        if name == "uvloop" and sys.platform == "win32":
            continue
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "broken", "not installed", INSTALL)


def _extras() -> Iterator[Check]:
    for extra, names in EXTRAS.items():
        for name in names:
            try:
                yield Check(name, "ok", f"{version(name)} (extra {extra})")
            except PackageNotFoundError:
                fix = f"in the project's folder: pip install -e '.[{extra}]'"
                yield Check(name, "missing", f"not installed (extra {extra})", fix)


def _machine() -> Iterator[Check]:
    clock = time.get_clock_info("monotonic")
    good = clock.monotonic and clock.resolution <= 1e-3
    fix = "" if good else "latencies will be coarse on this machine"
    yield Check("clock", "ok" if good else "missing", f"monotonic, resolution {clock.resolution * 1e9:g} ns", fix)


def _configuration(config_file: Path | None) -> Iterator[Check]:
    from engine.log import default_file
    from engine.telemetry_wire import runtime_directory

    try:
        loaded = load_config(config_file)
    except UserError as error:
        fix = "correct it, then look at: microburst config show --origin"
        yield Check("configuration", "broken", error.line(), fix)
        return
    given = f"{len(loaded.origins)} set: {', '.join(map('.'.join, loaded.origins))}"
    yield Check("configuration", "ok", given if loaded.origins else "defaults")
    log_file = Path(loaded.config.log.file) if loaded.config.log.file else default_file()
    yield _writable("log file", log_file.parent, str(log_file))
    if loaded.config.telemetry.enabled:
        user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
        directory = runtime_directory(os.environ, user)
        yield _telemetry(directory)


def _telemetry(directory: Path) -> Check:
    """Use the directory as the engine will: it refuses to start where it cannot announce itself."""
    from engine.telemetry import make_private

    try:
        make_private(directory)
    except UserError as error:
        return Check("telemetry", "broken", f"{error.where}: {error.what}", error.fix)
    return _writable("telemetry", directory, str(directory), otherwise="broken")


def _secrets() -> Check:
    """Where secrets may stand, and how many do; none of them is shown."""
    from engine.secret_store import VARIABLE, known_secrets, secrets_file

    try:
        found = len(known_secrets())
    except UserError as error:
        return Check("secrets", "broken", f"{error.where}: {error.what}", error.fix)
    return Check("secrets", "ok", f"{found} in the environment ({VARIABLE}NAME) and {secrets_file()}")


def _writable(name: str, directory: Path, shown: str, otherwise: str = "missing") -> Check:
    """Say whether ``directory``, or the nearest one above it that exists, can be written."""
    existing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Check(name, "ok", shown)
    return Check(name, otherwise, f"{existing} cannot be written", "change its owner, or choose another place")


def _mock_port() -> Check:
    try:
        with socket.create_connection(("127.0.0.1", MOCK_PORT), timeout=0.5):
            return Check("mock market", "ok", f"something answers on 127.0.0.1:{MOCK_PORT}; microburst run will use it")
    except OSError:
        return Check("mock market", "ok", f"nothing on 127.0.0.1:{MOCK_PORT}; microburst run will embed a market")
