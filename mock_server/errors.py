"""A mistake the user can mend: one line and an exit code, never a traceback."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of this command; the numbers are those of every command of the project."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DATA = 4
    UNREACHABLE = 6
    INTERRUPTED = 130
    TERMINATED = 143


class MockError(Exception):
    """What went wrong, where (a flag or ``file:line``), how to fix it, and the exit code it leads to."""

    def __init__(self, what: str, *, where: str = "", fix: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        self.exit_code = exit_code
        text = f"{where}: {what}" if where else what
        super().__init__(" ".join(f"{text}; {fix}".split()) if fix else " ".join(text.split()))
