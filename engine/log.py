"""The log: JSON lines in a file for later, warnings on the terminal for now. Never used on the tick path.

Standard output belongs to results, so everything here goes to the file or to standard error. An unexpected failure is
written to the file with its traceback; the terminal gets one line that names the file.
"""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog

from engine.secret import masked

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

UNEXPECTED = "unexpected failure"
"""The entry that carries a bug's traceback: into the file always, to the terminal only when everything is asked for."""

_file: Path | None = None


def default_file() -> Path:
    """Return the log file in the user's state directory."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return base / "microburst" / "engine.log"


def configure(
    *,
    level: str = "info",
    terminal: str = "text",
    file: str = "",
    verbosity: int = 0,
    max_bytes: int = 10_000_000,
    keep: int = 3,
) -> Path | None:
    """Start logging and return the log file, or None when it cannot be written (said once, on the terminal).

    Args:
        level: least important entry that the file keeps.
        terminal: ``text`` or ``json``, the shape of an entry on standard error.
        file: path of the log file; empty means :func:`default_file`.
        max_bytes, keep: size at which the file is put aside, and how many of those are kept.
        verbosity: what the terminal shows: -1 errors, 0 warnings, 1 information, 2 everything.
    """
    path = Path(file) if file else default_file()
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel([logging.WARNING, logging.INFO, logging.DEBUG, logging.ERROR][max(-1, min(verbosity, 2))])
    renderer = structlog.processors.JSONRenderer() if terminal == "json" else _terminal_renderer()
    shown.setFormatter(_formatter(_traceback_text if verbosity >= 2 else _no_traceback, renderer))
    shown.addFilter(lambda record: verbosity >= 2 or not _is_unexpected(record))
    handlers: list[logging.Handler] = [shown]
    problem = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = _PrivateFiles(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        kept.setFormatter(_formatter(_traceback_text, structlog.processors.JSONRenderer()))
        kept.setLevel(level.upper())
        handlers.append(kept)
    except OSError as error:
        problem = error.strerror or str(error)
    logging.basicConfig(level=logging.DEBUG, handlers=handlers, force=True)
    for chatty in ("asyncio", "websockets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a logger that has been used follows a later configuration as well
    )
    global _file
    _file = None if problem else path
    if problem:
        get("log").warning("no log file", file=str(path), reason=problem)
    return _file


def current_file() -> Path | None:
    """Return the log file in use, or None before :func:`configure` or when it could not be written."""
    return _file


def debugging() -> bool:
    """Whether anybody keeps or sees DEBUG entries: what is only for them need not be worked out otherwise."""
    return any(handler.level <= logging.DEBUG for handler in logging.getLogger().handlers)


def get(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; an entry is an event with values: ``log.info("connected", address=...)``."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


class _PrivateFiles(RotatingFileHandler):
    """Files that only their owner may read: entries name strategies, prices and results."""

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        path.touch(mode=0o600)
        return path.open(self.mode, encoding=self.encoding)  # type: ignore[return-value]


class _Masked(structlog.stdlib.ProcessorFormatter):
    """The last word on every entry, whoever wrote it: no value of a secret leaves through here."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


# Plain text, without the values of variables: those may be secrets.
_traceback_text = structlog.processors.format_exc_info


def _is_unexpected(record: logging.LogRecord) -> bool:
    return isinstance(record.msg, dict) and record.msg.get("event") == UNEXPECTED


def _no_traceback(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    entry.pop("exc_info", None)
    return entry


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _terminal_renderer() -> structlog.dev.ConsoleRenderer:
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def _formatter(*renderers: Processor) -> logging.Formatter:
    return _Masked(foreign_pre_chain=_shared(), processors=[_Masked.remove_processors_meta, *renderers])
