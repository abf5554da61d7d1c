"""Accounts: which session each one is in, and that no two sessions trade one account at a time.

An account has a lock of the operating system's, which goes with the process that holds it however that ends, and a
note of its last session: where the next one goes on. Both lie beside the journals.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson

from engine.errors import DataError, ExitCode, UserError
from engine.journal.segments import path_of
from engine.journal.sessions import make_private, take_lock

FOLDER = "accounts"
DEMOS = 100
"""As many demos at a time as there will ever be on one machine."""

ANEW = "bring it back; or start anew with --fresh, if nothing of that account counts any more"
"""The ways out where nobody knows what an account holds, or whether it was halted."""


class AccountBusy(UserError):  # noqa: N818 - what is the case, not a kind of exception
    """Another session trades the account."""

    exit_code = ExitCode.BUSY


class Account:
    """An account of one directory of journals, held by this process until ``release``.

    Args:
        root: the directory of journals.
        name: the account's.

    Raises:
        AccountBusy: another process holds it.
        DataError: its files cannot be written.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.name, self._root = name, root
        folder = root / FOLDER
        self._note = folder / f"{name}.json"
        try:
            make_private(folder)
            self._lock = take_lock(folder / f"{name}.lock")
        except OSError as error:
            fix = "choose another place with journal.directory, or do without with --no-journal"
            raise DataError(f"the account cannot be held: {error.strerror}", where=str(folder), fix=fix) from None
        if self._lock is None:
            raise AccountBusy(f"account '{name}' is {self._holder()}", fix=self._way_out())

    def _facts(self) -> dict[str, object]:
        with suppress(OSError, ValueError):
            found = orjson.loads(self._note.read_bytes())
            if isinstance(found, dict):
                return found
        return {}

    def _holder(self) -> str:
        facts = self._facts()
        try:
            since = datetime.fromtimestamp(int(str(facts["since_ns"])) // 1_000_000_000, UTC)
            return f"traded by process {facts['pid']} since {since:%Y-%m-%d %H:%M:%S} UTC, session {facts['session']}"
        except (KeyError, ValueError):
            return "held by another process"

    def _way_out(self) -> str:
        pid = self._facts().get("pid")
        end = f"end that one with Ctrl-C, or: kill {pid}" if pid else "end that one"
        return f"{end}; or trade another account: --account NAME"

    @property
    def last(self) -> Path | None:
        """The directory of the account's last session; None when there was none.

        Raises:
            DataError: there was one, and what it left behind cannot be known: its note or its journal is not whole.
        """
        if not self._note.exists():
            return None
        session = self._facts().get("session")
        if not isinstance(session, str) or not session:
            raise DataError("the note of the account's last session cannot be read", where=str(self._note), fix=ANEW)
        if not path_of(self._root / session, 0).is_file():
            where = str(self._root / session)
            raise DataError("the journal of the account's last session has gone", where=where, fix=ANEW)
        return self._root / session

    @property
    def resume(self) -> str:
        """Why it may go on, where somebody has lifted its halt or pause since its last session; otherwise ""."""
        return str(self._facts().get("resume", ""))

    def lift(self, reason: str) -> None:
        """Note that its halt or pause is lifted, for this reason: the next session begins with that.

        Raises:
            DataError: it cannot be written.
        """
        self._write({**self._facts(), "resume": reason})

    def begin(self, session: str, now_ns: int) -> None:
        """Note that the account is in this session from now on.

        Raises:
            DataError: that cannot be written.
        """
        self._write({"session": session, "pid": os.getpid(), "since_ns": now_ns})

    def _write(self, facts: dict[str, object]) -> None:
        fresh = self._note.with_suffix(".new")
        try:
            with open(fresh, "wb", opener=_privately) as file:
                file.write(orjson.dumps(facts))
            fresh.replace(self._note)
        except OSError as error:
            raise DataError(f"the account cannot be noted: {error.strerror}", where=str(self._note)) from None

    def release(self) -> None:
        """Let another session have the account."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def free_account(root: Path, name: str) -> Account:
    """Hold the account of this name, or of this name and the first number that is free, for demos side by side.

    Raises:
        AccountBusy: a hundred are in use.
        DataError: as ``Account``.
    """
    for number in range(1, DEMOS):
        with suppress(AccountBusy):
            return Account(root, name if number == 1 else f"{name}-{number}")
    return Account(root, f"{name}-{DEMOS}")


def account_names(root: Path) -> list[str]:
    """Return the accounts that have ever been traded in this directory of journals."""
    return sorted(note.stem for note in (root / FOLDER).glob("*.json"))


def last_sessions(root: Path) -> set[str]:
    """Return the names of the sessions that accounts go on from: their journals are not deleted."""
    found = set()
    for name in account_names(root):
        with suppress(OSError, ValueError, TypeError, KeyError):
            found.add(str(orjson.loads((root / FOLDER / f"{name}.json").read_bytes())["session"]))
    return found
