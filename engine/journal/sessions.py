"""The journals of all sessions: where they are, which one is meant, and when old ones go.

A session's journal is a directory named by the moment at which it began. While a session runs it holds a lock in there,
so that no other process takes its journal for an old one.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import DataError, NotFoundError, nearest
from engine.journal.segments import path_of

LOCK = "lock"
LAST = "last"


def default_root() -> Path:
    """Return the directory of journals in the user's state directory."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return base / "microburst" / "journal"


def root_of(directory: str) -> Path:
    """Return the directory that a setting names; empty means the user's own."""
    return Path(directory) if directory else default_root()


def make_private(directory: Path) -> None:
    """Make a directory, and those missing above it, for its owner alone: ``mkdir`` leaves the latter to the mask."""
    for one in reversed((directory, *directory.parents)):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


def sessions(root: Path) -> list[Path]:
    """Return the directories of all journals, the oldest first.

    Raises:
        DataError: they cannot be read, or are no directory.
    """
    try:
        return sorted(path for path in root.iterdir() if path_of(path, 0).is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        fix = "name the directory of journals with journal.directory"
        raise DataError(f"the journals cannot be read: {error.strerror}", where=str(root), fix=fix) from None


def find(root: Path, name: str) -> Path:
    """Return the journal that ``name`` means: a directory, or one of the sessions, as ``meant`` has it.

    Raises:
        NotFoundError: there is none, or the beginning is that of several.
        DataError: the directory of journals cannot be read.
    """
    if is_journal(name):
        return Path(name)
    known = [path.name for path in sessions(root)]
    if not known:
        raise NotFoundError(f"there is no session '{name}'", where=str(root), fix="run one: microburst run")
    return root / meant(name, known, where=str(root))


def is_journal(name: str) -> bool:
    """Whether this is the directory of a journal; what can be none, because it is too long, say, is not."""
    with suppress(OSError):
        return path_of(Path(name), 0).is_file()
    return False


def meant(name: str, known: Sequence[str], *, where: str, kind: str = "session") -> str:
    """Return which of the sessions ``name`` means: one of that name, the only one that begins so, or the ``last``.

    Args:
        name: what was typed.
        known: the names of the sessions.
        where, kind: where they were looked for, and what they are called where it is none of them.

    Raises:
        NotFoundError: none of them, or several.
    """
    if name == LAST and known:
        return max(known)
    if name in known:
        return name
    begun = [one for one in known if one.startswith(name)]
    if len(begun) > 1:
        raise NotFoundError(f"{len(begun)} {kind}s begin with '{name}'", where=where, fix=f"such as {begun[0]}")
    if not begun:
        raise NotFoundError(f"there is no {kind} '{name}'", where=where, fix=nearest(name, known))
    return begun[0]


def new_directory(root: Path, moment: str) -> Path:
    """Make and return the directory for a session that begins at ``moment``: two may begin in the same second.

    Raises:
        OSError: it cannot be made.
    """
    make_private(root)
    directory, number = root / moment, 1
    while True:
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            directory = root / f"{moment}-{number}"
        else:
            return directory


def prune(root: Path, keep: int, spared: Collection[str] = ()) -> list[str]:
    """Delete the oldest journals beyond so many, but none of a session that runs or is spared; return their names."""
    gone = []
    for path in sessions(root)[: -keep or None]:
        if path.name in spared:
            continue
        with suppress(OSError):  # one that cannot be deleted is tried again next time
            if (held := lock(path)) is not None:
                os.close(held)
                shutil.rmtree(path)
                gone.append(path.name)
    return gone


def lock(directory: Path) -> int | None:
    """Take a journal's lock, or return None when somebody else has it; closing the descriptor lets it go."""
    return take_lock(directory / LOCK)


def take_lock(file: Path) -> int | None:
    """Take the lock that a file stands for, or return None when somebody else has it; it goes with its holder."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    if _lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def lock_is_held(directory: Path) -> bool:
    """Whether the session of a journal still runs."""
    if not (directory / LOCK).is_file():
        return False
    held = lock(directory)
    if held is not None:
        os.close(held)
    return held is None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
