"""Where decisions go: a list for a backtest, and for a session the journal on disk, which inputs go to first.

``docs/reference/journal.md`` describes what is written, and what becomes of it when the disk fails.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from errno import EEXIST
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from engine._journal import Fold
from engine.events import TYPES, Decision, encode
from engine.journal import snapshots
from engine.journal.codec import (
    DECISIONS,
    INPUTS,
    MANIFEST,
    SEALED,
    STATE,
    SUMMARY,
    KernelState,
    Taken,
    number_of,
    pack,
    version_of,
)
from engine.journal.reader import JournalReader
from engine.journal.segments import RESERVE_BYTES, SEGMENT_BYTES, Disk, JournalFailed, Place, SegmentWriter
from engine.journal.sessions import lock, make_private
from engine.model import TickBlock


class MemoryJournal:
    """Keeps decisions in a list."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.append = self.decisions.append

    @property
    def decision_hash(self) -> str:
        """Hash of every decision so far; equal hashes mean equal decisions."""
        folded = blake2b(digest_size=16)
        for decision in self.decisions:
            folded.update(encode(decision))
        return folded.hexdigest()


def not_started(directory: Path, error: OSError) -> JournalFailed:
    """Return the error of a journal for which there is no place."""
    fix = "choose another place with journal.directory, or do without with --no-journal"
    return JournalFailed(f"the journal cannot be started: {error.strerror or error}", where=str(directory), fix=fix)


class SessionJournal:
    """The journal of one session on disk: its manifest, then inputs and decisions in one sequence.

    Args:
        directory: is made, for its owner alone, where it is not there yet; nothing may be in it.
        manifest: everything that decides what the session does, besides its inputs.
        segment_bytes: how large each file is; two exist at a time beyond those that are full.
        disk, mapped: tests bring a disk that fails, and write where mapping is not available.

    Raises:
        JournalFailed: it cannot be started.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Mapping[str, Any],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
        mapped: bool = True,
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self.inputs = self.decided = 0
        self._folded = Fold()
        self._lock: int | None = None
        made = False
        try:
            make_private(directory)
            if any(directory.iterdir()):
                raise FileExistsError(EEXIST, os.strerror(EEXIST))
            made = True
            self._lock = lock(directory)
            session = blake2b(directory.name.encode(), digest_size=16).digest()
            self._segments = SegmentWriter(directory, session, size=segment_bytes, disk=disk, mapped=mapped)
        except OSError as error:
            if made:
                self._unlock()
                shutil.rmtree(directory, ignore_errors=True)
            raise not_started(directory, error) from None
        try:
            self._segments.append(MANIFEST, 1, orjson.dumps(manifest))
        except JournalFailed:
            self._unlock()
            self._segments.close(None)
            raise

    @classmethod
    def resumed(
        cls,
        reader: JournalReader,
        inputs: int,
        decided: int,
        folded: Fold,
        missing: Iterable[Decision | KernelState] = (),
        *,
        disk: Disk | None = None,
    ) -> SessionJournal:
        """Go on writing the journal of a session that was interrupted, behind its last whole record.

        Args:
            reader: of that journal, read to its end.
            inputs, decided: how many there are of them, what is missing included.
            folded: the hash of these decisions.
            missing: what was decided on the last input and is not in the journal yet.
            disk: tests bring one that fails.

        Raises:
            JournalFailed: it cannot be written, or somebody else writes it.
        """
        self = cls.__new__(cls)
        self.directory, self.manifest = reader.directory, reader.manifest
        self.inputs, self.decided, self._folded = inputs, decided, folded.copy()
        self._lock = lock(reader.directory)
        try:
            if self._lock is None:
                raise OSError(0, "another session writes it")
            self._segments = SegmentWriter(
                reader.directory, reader.session, size=reader.segment_size, disk=disk, place=reader.place
            )
        except OSError as error:
            self._unlock()
            raise JournalFailed(
                f"the journal cannot be gone on with: {error.strerror or error}",
                where=str(reader.directory),
                fix="make room, or start anew with --fresh, which keeps it",
            ) from None
        try:
            for one in missing:
                self._segments.append(number_of(type(one)), version_of(type(one)), pack(one))
        except JournalFailed:
            self.leave()
            raise
        return self

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def record(self, event: Taken) -> None:
        """Write an input, before anything is decided on it; a block of ticks of at most 8,192 rows.

        Raises:
            JournalFailed: it is not in the journal; nothing may be decided on it.
        """
        if self._segments.failure is not None:
            raise self._segments.failure
        self.inputs += 1
        if isinstance(event, TickBlock):
            self._segments.append_block(event, 0, len(event))
        else:
            self._segments.append(INPUTS[type(event)], version_of(type(event)), pack(event))

    def append(self, decision: Decision) -> None:
        """Write a decision, before it is acted upon; raises as ``record`` does."""
        kind = type(decision)
        self._segments.append(DECISIONS + TYPES[kind], version_of(kind), pack(decision))
        self._folded.update(encode(decision))
        self.decided += 1

    def append_state(self, state: KernelState) -> None:
        """Write what the kernel amounts to now; raises as ``record`` does."""
        self._segments.append(STATE, version_of(KernelState), pack(state))

    @property
    def decision_hash(self) -> str:
        """Hash of every decision so far; equal hashes mean equal decisions."""
        return self._folded.hexdigest()

    @property
    def decision_state(self) -> bytes:
        """What that hash goes on from (``engine._journal.Fold``)."""
        return self._folded.state

    @property
    def place(self) -> Place:
        """Where the next record goes."""
        return self._segments.place

    @property
    def size(self) -> int:
        """Bytes of all segments so far."""
        place = self.place
        return place.segment * self._segments.size + place.at

    def later(self, work: Callable[[], None]) -> Future[None]:
        """Have something done by the journal's helper thread, which ends before the journal does."""
        return self._segments.later(work)

    @property
    def reducing(self) -> bool:
        """Whether the disk has no room for more than is already claimed: nothing may be opened any more."""
        return self._segments.short

    @property
    def full(self) -> bool:
        """Whether only the room is left that is kept for closing positions."""
        return self._segments.short and self._segments.left <= RESERVE_BYTES

    @property
    def waited(self) -> int:
        """How often the session has waited for a segment."""
        return self._segments.waited

    def tend(self) -> None:
        """What must be done a few times a second: flush, ask again for room, notice a disk that failed.

        Raises:
            JournalFailed: the disk has not taken what was written.
        """
        self._segments.tend()

    def close(self, ended: str, account: Mapping[str, Any] | None = None) -> None:
        """Seal the journal and say how the session ended; after a failure leave it as it stands.

        Args:
            ended: why.
            account: what the account's next session goes on from.

        Raises:
            JournalFailed: the disk has not taken everything.
        """
        summary = {
            "ended": ended,
            "inputs": self.inputs,
            "decisions": self.decided,
            "decision_hash": self.decision_hash,
            **({} if account is None else {"account": account}),
        }
        mark = None
        try:
            if self._segments.failure is None:
                self._segments.append(SUMMARY, 1, orjson.dumps(summary))
                mark = SEALED
        finally:
            self._unlock()
            self._segments.close(mark)
            if mark is not None:
                snapshots.clear(self.directory)  # nobody goes on from them any more

    def leave(self) -> None:
        """Let go of the journal as it stands, not sealed: the session was interrupted, and another may go on with it.

        Raises:
            JournalFailed: the disk has not taken everything.
        """
        self._unlock()
        self._segments.close(None)
