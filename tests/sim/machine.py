"""The machine under a simulated session: its disk, which may fill up or fail, and what is left when it dies.

The journal is the real one, in real files; only the thread that claims and flushes is taken out, so that everything
happens in order. A flush is remembered instead of done: what was written after it may be lost with the power.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from engine.events import Decision
from engine.journal import segments, writer
from engine.journal import snapshots as journal_snapshots
from engine.journal.segments import SUFFIX
from engine.journal.writer import SessionJournal
from engine.live import recording, snapshots

SECTOR = 512
SEGMENT, RESERVE = 128 << 10, 32 << 10
"""Files and the room kept for closing positions are as small as the sessions."""

SNAPSHOT_BYTES = 40 << 10
"""From one snapshot to the next."""


class Crash(BaseException):
    """The process is gone. Nothing may catch it, as nothing catches a kill."""


class InTurn:
    """Does at once, and in order, what the journal's helper thread does meanwhile."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *words: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*words, **named))
        except OSError as error:
            done.set_exception(error)
        return done

    def shutdown(self, wait: bool = True) -> None: ...


class Machine:
    """One for a whole world: sessions come and go on it.

    Attributes:
        full, failing: whether the disk has no more room, whether it takes nothing any more.
        kept: the decisions that the present session knows to be in its journal.
        safe: how many of these were flushed.
        dead: whether the present session is gone, by what.
    """

    def __init__(self, random: Random, faults: Counter[str]) -> None:
        self.random, self.faults = random, faults
        self.full = self.failing = False
        self.dead = ""
        self.kept: list[Decision] = []
        self.safe = 0
        self.image: dict[Path, bytes] = {}
        self._flushed: dict[Path, bytes] = {}
        self._countdown = 0
        self._directory = Path()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let journals be written on this machine."""
        machine = self

        class SimulatedDisk(segments.Disk):
            def __init__(self) -> None:
                self._paths: dict[int, Path] = {}

            def create(self, path: Path) -> int:
                descriptor = super().create(path)
                self._paths[descriptor] = path
                return descriptor

            def reopen(self, path: Path) -> int:
                descriptor = super().reopen(path)
                self._paths[descriptor] = path
                return descriptor

            def reserve(self, descriptor: int, size: int) -> None:
                if machine.full:
                    machine.faults["no room"] += 1
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                super().reserve(descriptor, size)

            def flush(self, descriptor: int) -> None:
                if machine.failing:
                    machine.faults["flush failed"] += 1
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                if not machine.dead:
                    path = self._paths[descriptor]
                    machine._flushed[path] = path.read_bytes() if path.exists() else b""
                    machine.safe = len(machine.kept)

        class SmallJournal(SessionJournal):
            def __init__(self, directory: Path, manifest: Mapping[str, Any], *, segment_bytes: int) -> None:
                super().__init__(directory, manifest, segment_bytes=SEGMENT)

        with (
            mock.patch.object(recording, "SessionJournal", SmallJournal),
            mock.patch.object(segments, "Disk", SimulatedDisk),
            mock.patch.object(segments, "ThreadPoolExecutor", InTurn),
            mock.patch.object(writer, "RESERVE_BYTES", RESERVE),
            mock.patch.object(snapshots, "EVERY_BYTES", SNAPSHOT_BYTES),
            mock.patch.object(os, "fsync"),  # what the power leaves of snapshots is decided here
        ):
            yield

    # ------------------------------------------------------------ one session

    def watch(self, journal: SessionJournal, kept: list[Decision], safe: int) -> None:
        """A session begins to write this journal, which holds ``kept`` already, the first ``safe`` on the disk."""
        self.kept, self.safe, self.dead, self._countdown = kept, safe, "", 0
        self._directory = journal.directory
        record, append, later = journal.record, journal.append, journal.later

        def recorded(event: Any) -> None:
            self._look()
            record(event)
            self._count()

        def appended(decision: Decision) -> None:
            self._look()
            append(decision)
            self.kept.append(decision)
            self._count()

        def done_later(work: Callable[[], None]) -> Future[None]:
            self._look()  # who is dead takes no snapshot of an input that he has not got to
            return later(work)

        journal.record, journal.append, journal.later = recorded, appended, done_later  # type: ignore[method-assign]

    def _look(self) -> None:
        if self.dead:
            raise Crash(self.dead)

    def _count(self) -> None:
        self._countdown -= self._countdown > 0
        if self._countdown == 0 and self._dies_counting:
            self.die("kill at a record")
            raise Crash(self.dead)

    _dies_counting = False

    def die_after(self, records: int) -> None:
        """Let the process be killed right after so many further records."""
        self._countdown, self._dies_counting = records, True

    def die(self, by: str) -> None:
        """The process is gone: what is in its files now, or what a disk without power keeps of it, is what is left."""
        if self.dead:
            return
        self.dead, self._dies_counting = by, False
        self.faults[by] += 1
        paths = sorted(self._directory.glob(f"*{SUFFIX}"))
        self.image = {path: path.read_bytes() for path in paths}
        if by in ("power", "flush"):
            self.image = {path: self._torn(path, data) for path, data in self.image.items()}
            self._tear_snapshots()

    def _tear_snapshots(self) -> None:
        """Their names may not have reached the disk, and some disks forget more than that."""
        for path in sorted(self._directory.glob(f"*{journal_snapshots.SUFFIX}")):
            fate = self.random.random()
            if fate < 0.2:
                path.unlink()
            elif fate < 0.4:
                data = path.read_bytes()
                path.write_bytes(data[: self.random.randrange(len(data))])
                self.faults["snapshot torn"] += 1

    def _torn(self, path: Path, data: bytes) -> bytes:
        """Of what was written since the last flush, each sector is there, or not, or half."""
        left, start = bytearray(data), len(self._flushed.get(path, b"").rstrip(b"\0"))
        end = len(data.rstrip(b"\0"))
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            fate = self.random.random()
            if fate < 0.4:
                left[start:stop] = bytes(stop - start)
            elif fate < 0.5:
                torn = self.random.randrange(start, stop)
                left[torn:stop] = bytes(stop - torn)
            start = stop
        return bytes(left)

    def bury(self) -> None:
        """Put back on the disk what the dead process had left; nobody has the files open any more."""
        self.failing = False
        for path in self._directory.glob(f"*{SUFFIX}"):
            path.unlink()
        for path, data in self.image.items():
            path.write_bytes(data)
            self._flushed[path] = data
