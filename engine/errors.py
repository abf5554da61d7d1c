"""The one way this project reports a mistake a user can mend: a sentence, an exit code, never a traceback.

Every command catches :class:`UserError` at its outermost edge, prints one line to stderr and leaves with
``exit_code``. Anything else that escapes is a bug and leaves with ``ExitCode.FAILURE``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Documented exit codes of every command (``docs/reference/exit-codes.md``)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIG = 3  # configuration or strategy invalid
    DATA = 4  # data missing or failed validation
    NOT_FOUND = 5  # run, journal or strategy not found
    UNREACHABLE = 6  # venue or feed unreachable, timed out
    STOPPED = 7  # stopped by a risk rule or kill switch
    MISMATCH = 8  # parity or verification mismatch
    REFUSED = 9  # live not confirmed
    STUCK = 10  # the watchdog ended a session that hung in a strategy's code
    BUSY = 11  # another session trades the account
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class UserError(Exception):
    """What went wrong, where, and how to fix it, in one line.

    Args:
        what: the fact, as a sentence without a final stop.
        where: ``file:line``, a configuration key or a flag; empty when there is no such place.
        fix: what to do about it; empty when ``what`` already says so.
        exit_code: the process exit code that this mistake leads to.
    """

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, what: str, *, where: str = "", fix: str = "", exit_code: ExitCode | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        if exit_code is not None:
            self.exit_code = exit_code
        super().__init__(self.line())

    def line(self) -> str:
        """Return the whole message on a single line: ``where: what; fix``."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.fix:
            text = f"{text}; {self.fix}"
        return " ".join(text.split())


class ConfigError(UserError):
    """A configuration value, flag or strategy declaration is invalid."""

    exit_code = ExitCode.CONFIG


class DataError(UserError):
    """Market data is missing, unreadable or failed validation."""

    exit_code = ExitCode.DATA


class NotFoundError(UserError):
    """A named strategy, run, session or symbol does not exist."""

    exit_code = ExitCode.NOT_FOUND


class UnreachableError(UserError):
    """A feed or venue did not answer in time."""

    exit_code = ExitCode.UNREACHABLE


class MissingExtraError(UserError):
    """An optional library is needed and not installed; the fix is the exact install line."""

    exit_code = ExitCode.CONFIG

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the '{extra}' extra",
            fix=f"install it with: pip install -e '.[{extra}]' (in the project's folder)",
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest valid name, or the list of valid names when none is close.

    Of several that are close, one that begins in the same way: ``momentm`` is ``momentum_burst``, not ``rsi_momentum``.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        close.sort(key=lambda one: one[:3] != name[:3])
        return f"did you mean '{close[0]}'?"
    return "valid names: " + ", ".join(names) if names else "there are no valid names here"
