"""The files of a journal: segments of a fixed size, claimed ahead by a helper thread, mapped into memory.

Claiming means reserving the space on the disk, checking that the file really has it (a mapping that reaches beyond its
file ends the process), mapping it and touching every page. All that takes tens of milliseconds, so it happens while
the segment before is being filled, and changing over is an exchange of pointers.

Where a file cannot be mapped, records are made in plain memory and written with ``pwrite`` as they are appended.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from engine import _journal
from engine.errors import ExitCode, UserError
from engine.journal.codec import FLUSHED, NEXT_SEGMENT, Flushed, pack

MAGIC = b"MBURSTJ1"
FORMAT = 1
HEADER = struct.Struct("<8sIIQQ16sIQI")  # magic, format, number, sequence, size, session, checksum, 0, own checksum
HEADER_BYTES = HEADER.size

SEGMENT_BYTES = 16 << 20
RESERVE_BYTES = 4 << 20
"""Room that is kept for closing positions once no further segment can be had."""

SUFFIX = ".mbj"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a journal goes on: behind the last whole record that it holds.

    ``at`` is 0 where the segment has not begun yet; ``checksum`` is that of the record before.
    """

    segment: int
    at: int
    sequence: int
    checksum: int


class JournalFailed(UserError):  # noqa: N818 - what happened, not a kind of exception
    """The journal cannot be written: nothing may be decided any more."""

    exit_code = ExitCode.STOPPED


class Disk:
    """What a journal asks of the operating system. Tests bring one that fails."""

    def create(self, path: Path) -> int:
        """Create a file that only its owner may read; it must not exist."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)

    def reopen(self, path: Path) -> int:
        """Open a file that exists, to go on writing it."""
        return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))

    def reserve(self, descriptor: int, size: int) -> None:
        """Give a file at least that size, and the space for it."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            for start in range(os.lseek(descriptor, 0, os.SEEK_END), size, 1 << 20):
                os.write(descriptor, bytes(min(1 << 20, size - start)))

    def map(self, descriptor: int, size: int) -> mmap.mmap:
        """Map a file of at least that size."""
        return mmap.mmap(descriptor, size)

    def write(self, descriptor: int, data: memoryview, at: int) -> None:
        """Write all of it at that place."""
        if hasattr(os, "pwrite"):
            while data:
                done = os.pwrite(descriptor, data, at)
                data, at = data[done:], at + done
        else:
            os.lseek(descriptor, at, os.SEEK_SET)
            while data:
                data = data[os.write(descriptor, data) :]

    def flush(self, descriptor: int) -> None:
        """Have the disk take what has been written, mapped pages included."""
        os.fsync(descriptor)


@dataclass(slots=True)
class Segment:
    """A claimed segment, all zeros. ``mapped`` is None where it is written with ``pwrite``."""

    number: int
    path: Path
    descriptor: int
    memory: mmap.mmap | bytearray
    mapped: bool

    def close(self, disk: Disk) -> None:
        """Flush the segment and let go of it; its memory must not be in use any more."""
        try:
            disk.flush(self.descriptor)
        finally:
            if isinstance(self.memory, mmap.mmap):
                self.memory.close()
            os.close(self.descriptor)


def path_of(directory: Path, number: int) -> Path:
    """Return the file of a segment."""
    return directory / f"{number:06}{SUFFIX}"


def holds_nothing(data: bytes) -> bool:
    """Whether a segment that holds these bytes has not been come to."""
    return data == bytes(len(data))


def aside(path: Path, at: int) -> Path:
    """Return where what a segment holds from a byte on is kept once it is cut off: a name that is not taken yet."""
    first = path.with_name(f"{path.stem}-torn-at-{at}")
    again = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(name for name in chain([first], again) if not name.exists())


def clear_beyond(directory: Path, place: Place) -> None:
    """Make way for a journal that goes on at ``place``: what segments beyond it hold is put aside, not deleted.

    Raises:
        OSError: a file does not let itself be read or moved.
    """
    begun = place.segment + (place.at > 0)
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if path.stem.isdecimal() and int(path.stem) >= begun:
            if holds_nothing(path.read_bytes()):
                path.unlink()
            else:
                path.rename(aside(path, 0))


def claim(disk: Disk, directory: Path, number: int, size: int, *, mapped: bool) -> Segment:
    """Claim a segment; nothing is left behind when that fails.

    Raises:
        OSError: the disk is full or does not let itself be written.
    """
    path = path_of(directory, number)
    descriptor = disk.create(path)
    try:
        segment = _take(disk, path, number, descriptor, size, mapped=mapped)
        if segment.mapped:
            _journal.touch(segment.memory)
        return segment
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise


def reopen(disk: Disk, directory: Path, place: Place, size: int, *, mapped: bool) -> Segment:
    """Take up a segment that holds records; what follows the last whole one is cut, and kept in a file of its own.

    Raises:
        OSError: the disk is full or does not let itself be read or written.
    """
    path = path_of(directory, place.segment)
    torn = path.read_bytes()[place.at :].rstrip(b"\0")
    if torn:
        aside(path, place.at).write_bytes(torn)
    descriptor = disk.reopen(path)
    try:
        segment = _take(disk, path, place.segment, descriptor, size, mapped=mapped)
        if not segment.mapped:
            segment.memory[: place.at] = path.read_bytes()[: place.at]
        if torn:
            nothing = bytes(len(torn))
            segment.memory[place.at : place.at + len(torn)] = nothing
            if not segment.mapped:
                disk.write(descriptor, memoryview(nothing), place.at)
        return segment
    except BaseException:
        os.close(descriptor)
        raise


def _take(disk: Disk, path: Path, number: int, descriptor: int, size: int, *, mapped: bool) -> Segment:
    """Have the file's space, and its memory where it can be mapped."""
    disk.reserve(descriptor, size)
    if os.fstat(descriptor).st_size < size:
        raise OSError(0, "the file is smaller than was asked for")
    memory: mmap.mmap | bytearray = bytearray(size)
    if mapped:
        try:
            memory = disk.map(descriptor, size)
        except (OSError, ValueError):
            mapped = False
    return Segment(number, path, descriptor, memory, mapped)


class SegmentWriter:
    """Appends records to one segment after the other.

    Args:
        directory: an existing one, for this journal alone.
        session: 16 bytes that tell this journal's segments from any other's.
        size: bytes of a segment.
        mapped: False to write with ``pwrite`` from the start.
        place: where a journal that was interrupted goes on; None begins one.

    Raises:
        OSError: the first segment cannot be claimed.
    """

    def __init__(
        self,
        directory: Path,
        session: bytes,
        *,
        size: int = SEGMENT_BYTES,
        disk: Disk | None = None,
        mapped: bool = True,
        place: Place | None = None,
    ) -> None:
        self._directory, self._session, self.size, self._mapped = directory, session, size, mapped
        place = place or Place(0, 0, 0, _journal.crc32c(session))
        self._disk = disk or Disk()
        self._helper = ThreadPoolExecutor(1, "journal")
        self._retiring: list[Future[None]] = []
        self._flushing: Future[None] | None = None
        clear_beyond(directory, place)
        if place.at:
            self._segment = reopen(self._disk, directory, place, size, mapped=mapped)
        else:
            self._segment = claim(self._disk, directory, place.segment, size, mapped=mapped)
            try:
                self._begin(self._segment, sequence=place.sequence, checksum=place.checksum)
            except OSError:
                self._segment.close(self._disk)
                raise
        at = self._written = place.at or HEADER_BYTES  # written: of a segment that is not mapped
        self.writer = _journal.Writer(self._segment.memory, at, place.sequence, place.checksum)
        self._refused = False
        self._next = self._claim_next()
        self._flushed = self._told = place.sequence  # records that a flush has covered, and that one is said to have
        self.waited = 0  # times that the next segment was not ready yet
        self.failure: JournalFailed | None = None

    # ------------------------------------------------------------ appending

    def append(self, kind: int, version: int, payload: bytes) -> None:
        """Append a record.

        Raises:
            JournalFailed: it is not in the journal, and nothing will be any more.
        """
        if not self.writer.append(kind, version, payload):
            self._change_over()
            if not self.writer.append(kind, version, payload):
                raise self._fail(f"a record of {len(payload):,} bytes is too long")
        if not self._segment.mapped:
            self._write()

    def append_block(self, block: object, start: int, stop: int) -> None:
        """Append rows of a block of ticks as one record; raises as ``append`` does."""
        if not self.writer.append_block(block, start, stop):  # type: ignore[arg-type]
            self._change_over()
            if not self.writer.append_block(block, start, stop):  # type: ignore[arg-type]
                raise self._fail("a block of ticks is too long")
        if not self._segment.mapped:
            self._write()

    def _write(self) -> None:
        """Write what was appended since; where records are mapped, the system does that."""
        try:
            part = memoryview(self._segment.memory)[self._written : self.writer.at]
            self._disk.write(self._segment.descriptor, part, self._written)
        except OSError as error:
            raise self._fail(_reason(error)) from None
        self._written = self.writer.at

    def _fail(self, reason: str) -> JournalFailed:
        self.failure = JournalFailed(
            f"the journal cannot be written: {reason}",
            where=str(self._directory),
            fix="nothing was decided after its last record",
        )
        return self.failure

    # ------------------------------------------------------------ segments

    def _begin(self, segment: Segment, *, sequence: int, checksum: int) -> None:
        """Write a segment's header, which makes it part of the journal."""
        header = HEADER.pack(MAGIC, FORMAT, segment.number, sequence, self.size, self._session, checksum, 0, 0)[:-4]
        header += struct.pack("<I", _journal.crc32c(header))
        segment.memory[:HEADER_BYTES] = header
        if not segment.mapped:
            self._disk.write(segment.descriptor, memoryview(header), 0)

    def _claim_next(self) -> Future[Segment]:
        number, mapped = self._segment.number + 1, self._mapped
        self._answered = False
        return self._helper.submit(claim, self._disk, self._directory, number, self.size, mapped=mapped)

    def _change_over(self) -> None:
        """End this segment and go on in the next one, which is ready unless the disk is slower than the records."""
        if not self._next.done():
            self.waited += 1
        try:
            following = self._next.result()
        except OSError as error:
            raise self._fail(_reason(error)) from None
        self._end(NEXT_SEGMENT)
        try:
            self._begin(following, sequence=self.writer.sequence, checksum=self.writer.checksum)
        except OSError as error:
            raise self._fail(_reason(error)) from None
        self.writer.take(following.memory, HEADER_BYTES)
        self._written = HEADER_BYTES
        self._retiring.append(self._helper.submit(self._segment.close, self._disk))
        self._segment = following
        self._next = self._claim_next()

    def _end(self, mark: int) -> None:
        self.writer.end(mark)
        if not self._segment.mapped:
            self._write()

    @property
    def place(self) -> Place:
        """Where the next record goes."""
        return Place(self._segment.number, self.writer.at, self.writer.sequence, self.writer.checksum)

    def later(self, work: Callable[[], None]) -> Future[None]:
        """Have something done by the helper thread, which ends before the segments are closed."""
        return self._helper.submit(work)

    @property
    def short(self) -> bool:
        """Whether the disk has refused another segment, and has not given one since."""
        if not self._answered and self._next.done():  # asked of a future, which locks, until there is an answer
            self._answered, self._refused = True, self._next.exception() is not None
        return self._refused

    @property
    def left(self) -> int:
        """Bytes that are certain: what is left of this segment, and of the next one once it is claimed."""
        return self.writer.left + (0 if self.short or not self._next.done() else self.size - 2 * HEADER_BYTES)

    def tend(self) -> None:
        """What must be done now and then: flush, ask again for a segment that was refused, notice what failed.

        Raises:
            JournalFailed: the disk has not taken what was written; it is not asked again.
        """
        if self.failure is not None:
            raise self.failure
        flushed = self._flushing is None or self._flushing.done()  # asked first: what retired before it, has by then
        for done in [*self._retiring, *([self._flushing] if self._flushing is not None else [])]:
            if done.done() and (error := done.exception()) is not None:
                raise self._fail(_reason(error))
        self._retiring = [one for one in self._retiring if not one.done()]
        if flushed:
            self._tell_flushed()
            self._flushing = self._helper.submit(self._disk.flush, self._segment.descriptor)
        if self.short and self._next.done():
            self._next = self._claim_next()

    def _tell_flushed(self) -> None:
        """The flush before has ended well: say what it covered, once, and note what the next one will."""
        if self._flushed > self._told and not self.short:
            self.append(FLUSHED, 1, pack(Flushed(self._flushed)))
            self._told = self.writer.sequence
        self._flushed = self.writer.sequence

    def close(self, mark: int | None) -> None:
        """End the journal with this mark, or as it stands; give back what was claimed and not used.

        Raises:
            JournalFailed: the disk has not taken everything.
        """
        try:
            if mark is not None and self.failure is None:
                self._end(mark)
        finally:
            used, segment, errors = self.writer.at, self._segment, []
            self._helper.shutdown(wait=True)
            self.writer.release()
            for closing in (*self._retiring, self._flushing):
                if closing is not None and (error := closing.exception()) is not None:
                    errors.append(error)
            if self._next.exception() is None:
                unused = self._next.result()
                with suppress(OSError):
                    unused.close(self._disk)
                unused.path.unlink(missing_ok=True)
            try:
                segment.close(self._disk)
                if mark is not None:
                    os.truncate(segment.path, used)
            except OSError as error:
                errors.append(error)
        if errors and self.failure is None:
            raise self._fail(_reason(errors[0]))


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
