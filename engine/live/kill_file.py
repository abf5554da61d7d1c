"""The kill file: while it is there, nothing trades.

``microburst kill`` writes it, and so can anybody in an emergency, with ``touch``. A running session looks for it with
every picture it takes, five times a second or more, and halts; one that starts while it is there starts halted; and
none can be resumed until it is gone. ``microburst resume --reason ...`` removes it. It lies in the state directory, so
it outlives the machine's restart.
"""

from __future__ import annotations

from pathlib import Path

from engine.journal.sessions import default_root
from engine.telemetry import write_private

NAME = "KILL"


class KillFile:
    """The kill file of this user, or another one.

    Args:
        path: by default ``KILL`` in the user's state directory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_root().parent / NAME

    def is_there(self) -> bool:
        """Whether it is there; one that cannot be looked for counts as there."""
        try:
            self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def reason(self) -> str:
        """What it says: why trading was ended, in a line; empty when it says nothing."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                return " ".join(file.read(200).split())
        except OSError:
            return ""

    def put(self, reason: str) -> None:
        """Write it, for its owner alone; one that is there keeps its reason.

        Raises:
            OSError: it cannot be written.
        """
        if self.is_there():
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, f"{reason}\n".encode())

    def remove(self) -> bool:
        """Remove it; False when there is none.

        Raises:
            OSError: it cannot be removed.
        """
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True
