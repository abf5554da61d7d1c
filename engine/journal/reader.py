"""Reads a journal back: exactly the records that were written, up to the first that is not.

Files are read, never mapped, so nothing that happens to them can end the process. What is wrong is said in one line
that names the file, the byte and the reason; everything before it can be trusted, everything after it is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from engine import _journal
from engine.errors import DataError, ExitCode, NotFoundError, UserError
from engine.journal.codec import (
    FLUSHED,
    MANIFEST,
    NEXT_SEGMENT,
    SEALED,
    SUMMARY,
    Flushed,
    Journaled,
    check_version,
    name_of,
    unpack,
)
from engine.journal.segments import FORMAT, HEADER, HEADER_BYTES, MAGIC, SUFFIX, Place, holds_nothing, path_of
from engine.model import TickBlock

SCHEMA = "microburst.journal/1"


class UnsoundError(UserError):
    """A journal that is not what was written: what is left can be read, but proves nothing more."""

    exit_code = ExitCode.MISMATCH


class Entry(NamedTuple):
    """One record and where it is."""

    sequence: int
    kind: int
    version: int
    rows: int
    payload: bytes
    path: Path
    offset: int
    block: TickBlock | None = None  # of a reader that joins: of so many records
    records: int = 1

    @property
    def name(self) -> str:
        """What a record of this type is called."""
        return name_of(self.kind)

    def event(self) -> Journaled:
        """The input, decision or state that it holds.

        Raises:
            DataError: this program cannot read it.
        """
        if self.block is not None:
            return self.block
        try:
            return unpack(self.kind, self.version, self.rows, self.payload)
        except DataError as error:
            where = f"{self.path}: byte {self.offset:,}: record {self.sequence:,}"
            raise DataError(error.what, where=where, fix=error.fix) from None

    def plain(self) -> dict[str, Any]:
        """The JSON object that a manifest or a summary holds.

        Raises:
            DataError: it holds none.
        """
        try:
            found: dict[str, Any] = orjson.loads(self.payload.rstrip(b"\0"))
        except ValueError:
            raise DataError("not a JSON object", where=f"{self.path}: byte {self.offset:,}") from None
        return found


class JournalReader:
    """A journal's records in order. Iterating again begins again; the rest is known once it has ended.

    Args:
        directory: of the journal.
        joins: whether blocks of ticks that follow each other come as one, whose arrays are used again for the next:
            far faster, where how they were cut is no matter.
        start: where to begin; None: at the beginning. Earlier segments are then not looked at; that the records before
            it in its own segment lead there is checked. ``size`` counts from there.

    Attributes:
        manifest: the first record's content; empty when there is none to trust.
        summary: what the session said of itself at its end; empty when it did not come to that.
        sealed: whether the journal was ended in order. One of a session that was killed is not, and is good all the
            same.
        problem: what is wrong, and where; "" when nothing is.
        records, size: how many records there are to trust, and the bytes that they and their segments' headers take.
        last: the last of these, for a message that says how far the journal is good.
        place: where a session that was interrupted goes on, behind the last of these.
        session, segment_size: what the segments' headers say.

    Raises:
        NotFoundError: there is no journal in that directory.
    """

    def __init__(self, directory: Path, *, joins: bool = False, start: Place | None = None) -> None:
        self.directory, self._joins, self._start = directory, joins, None
        if not path_of(directory, 0).is_file():
            raise NotFoundError("there is no journal here", where=str(directory), fix="see: microburst journal ls")
        self._reset()
        first = self._first()
        self.manifest: dict[str, Any] = first.plain() if first is not None and first.kind == MANIFEST else {}
        self._start, self._session_begun = start, self.session

    def _first(self) -> Entry | None:
        """The first record, of which alone so much is read as it may take."""
        path = path_of(self.directory, 0)
        try:
            with path.open("rb") as file:
                data = file.read(HEADER_BYTES + _journal.MAX_RECORD)
        except OSError as error:
            self.problem = f"{path}: byte 0: {error.strerror}"
            return None
        if reason := self._check_header(0, data):
            self.problem = f"{path}: byte 0: {reason}"
            return None
        return next(self._records(path, 0, data), None)

    def _reset(self) -> None:
        self.sealed, self.problem, self.records, self.size = False, "", 0, 0
        self.summary: dict[str, Any] = {}
        self.last: Entry | None = None
        self.session, self.segment_size = b"", 0
        self.place = Place(0, 0, 0, 0)
        self._sequence, self._checksum = 0, 0
        self._continues = False  # in another segment, as the mark at the end of this one says

    def __iter__(self) -> Iterator[Entry]:
        self._reset()
        last, begin = self._last_number(), 0 if self._start is None else self._start.segment
        for number in range(begin, last + 1):
            path = path_of(self.directory, number)
            self.place = Place(number, 0, self._sequence, self._checksum)
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                self.problem = f"{path}: the segment is missing"
                return
            except OSError as error:
                self.problem = f"{path}: byte 0: {error.strerror}"
                return
            if number and holds_nothing(data):  # claimed, and not come to
                if self._later_used(number):
                    self.problem = f"{path}: the segment is empty and a later one is not"
                return
            reason = self._check_header(number, data)
            if reason:
                self.problem = f"{path}: byte 0: {reason}"
                return
            yield from self._records(path, number, data)
            if self.problem or self.sealed:
                return
            if not self._continues:
                if self._later_used(number):
                    self.problem = f"{path}: byte {self._at:,}: records are missing before the next segment"
                return
            if number == last:
                self.place = Place(number + 1, 0, self._sequence, self._checksum)
                self.problem = f"{path_of(self.directory, number + 1)}: the segment is missing"

    def check(self) -> JournalReader:
        """Read everything, so that all there is to know is known."""
        for _ in self:
            pass
        return self

    def refuse_damage(self) -> None:
        """Say what is wrong with a journal that was read to its end.

        Raises:
            UnsoundError: something is.
        """
        if self.problem:
            fix = f"its first {self.records:,} records are whole"
            raise UnsoundError(f"the journal is damaged: {self.problem}", fix=fix)

    @property
    def damage(self) -> str:
        """What is wrong besides an end that was torn off; "" for nothing.

        Power that fails may take any of the records that were not on the disk yet, and leave later ones, of later
        segments too. So those that follow mean damage only where they say that what is gone had been on the disk.
        """
        if not self.problem:
            return ""
        try:
            for entry in self.beyond():
                if entry.kind == FLUSHED and cast("Flushed", entry.event()).records > self.place.sequence:
                    return f"{self.problem}; it was on the disk, as record {entry.sequence:,} says"
        except OSError:
            return self.problem  # nobody knows what there is
        return ""

    def beyond(self) -> Iterator[Entry]:
        """Whole records behind the last one to trust, once all of these have been read: they say what there was.

        Nobody goes on from them. One is found by the checksum of the one before it, and so never is the first of those
        that follow each other.

        Raises:
            OSError: a segment cannot be read.
        """
        at, lowest = max(self.place.at, HEADER_BYTES), self.place.sequence
        highest = lowest  # that a record found at ``at`` may be
        for number in range(self.place.segment, self._last_number() + 1):
            path = path_of(self.directory, number)
            data = path.read_bytes() if path.exists() else b""
            while (found := _journal.find_record(data, at, lowest, highest)) is not None:
                scanner = _journal.Scanner(data, *found)
                at = found[0]
                while scanner.step():
                    own = (scanner.type, scanner.version, scanner.rows, scanner.payload)
                    yield Entry(scanner.sequence - 1, *own, path, at)
                    at = scanner.at
                at, lowest = scanner.at, scanner.sequence
                highest = lowest
            highest += max(len(data), self.segment_size) // _journal.HEADER_BYTES
            at = HEADER_BYTES

    def _last_number(self) -> int:
        numbers = [path.stem for path in self.directory.glob(f"*{SUFFIX}")]
        return max(int(number) for number in numbers if number.isdecimal())

    def _is_used(self, number: int) -> bool:
        path = path_of(self.directory, number)
        return path.is_file() and not holds_nothing(path.read_bytes())

    def _later_used(self, number: int) -> bool:
        return any(self._is_used(later) for later in range(number + 1, self._last_number() + 1))

    def _check_header(self, number: int, data: bytes) -> str:
        """Say what is wrong with a segment's header; take over what it says when nothing is."""
        if len(data) < HEADER_BYTES:
            return f"the segment is cut off after {len(data)} bytes, within its header"
        magic, version, own, sequence, size, session, checksum, _, header_checksum = HEADER.unpack_from(data)
        if magic != MAGIC:
            return "this is no segment of a journal"
        if _journal.crc32c(data[: HEADER_BYTES - 4]) != header_checksum:
            return "a wrong checksum of the segment's header"
        if version != FORMAT:
            return f"format {version}, and this program reads {FORMAT}"
        if self._start is not None and number == self._start.segment:
            self._sequence, self.session, self._checksum = sequence, self._session_begun, checksum
        expected = (number, self._sequence, self.session, self._checksum)
        if number == 0:
            expected = (0, 0, session, _journal.crc32c(session))
        if (own, sequence, session, checksum) != expected:
            return "the segment does not continue the one before"
        self._sequence, self.session, self._checksum, self.segment_size = sequence, session, checksum, size
        return ""

    def _records(self, path: Path, number: int, data: bytes) -> Iterator[Entry]:
        scanner = _journal.Scanner(data, HEADER_BYTES, self._sequence, self._checksum)
        self._at, self._continues, ended = HEADER_BYTES, False, False
        if self._start is not None and number == self._start.segment:
            begins = scanner.pass_to(self._start.at)
            if not begins or (scanner.sequence, scanner.checksum) != (self._start.sequence, self._start.checksum):
                self.problem = f"{path}: byte {self._start.at:,}: not the record that should be there"
                return
            self._at, self.records = scanner.at, scanner.sequence
        while scanner.step():
            if self._joins and scanner.type == _journal.TICKS:
                entry = self._joined(scanner, path)
            else:
                rows, payload = scanner.rows, scanner.payload
                entry = Entry(scanner.sequence - 1, scanner.type, scanner.version, rows, payload, path, self._at)
            if not number and self._at == HEADER_BYTES and entry.kind != MANIFEST:
                self.problem = f"{path}: byte {self._at:,}: the first record is no manifest"
                return
            self.last, self.records, self._at = entry, self.records + entry.records, scanner.at
            if entry.kind == SUMMARY:
                self.summary = entry.plain()
            elif entry.kind in (NEXT_SEGMENT, SEALED):
                ended = True
                break
            yield entry
        self.size += self._at
        self._sequence, self._checksum = scanner.sequence, scanner.checksum
        self.place = Place(number, self._at, self._sequence, self._checksum)
        if scanner.problem:
            self.problem = f"{path}: byte {scanner.at:,}: {scanner.problem}"
        elif ended and not scanner.empty_rest():
            self.problem = f"{path}: byte {scanner.at:,}: something follows the segment's end"
        elif not ended and len(data) < self.segment_size:
            self.problem = f"{path}: byte {scanner.at:,}: the segment is cut off after {len(data):,} bytes"
        else:
            self._continues = scanner.type == NEXT_SEGMENT and ended
            self.sealed = scanner.type == SEALED and ended

    def _joined(self, scanner: _journal.Scanner, path: Path) -> Entry:
        """The block of ticks at which the scanner stands and those that follow it."""
        check_version(scanner.type, scanner.version, 1)
        try:
            columns, records = scanner.join()
        except ValueError as error:
            where = f"{path}: byte {self._at:,}"
            raise DataError(f"a TickBlock that cannot be read: {error}", where=where) from None
        block = TickBlock(**cast("dict[str, Any]", columns))
        last = scanner.sequence - 1
        return Entry(last, scanner.type, scanner.version, len(block), b"", path, self._at, block, records)

    def end(self) -> JournalReader:
        """Read the last segment alone: how the journal ended, without going through all of it."""
        self._reset()
        number = self._last_number()
        while number and not self._is_used(number):
            number -= 1
        path = path_of(self.directory, number)
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problem = f"{path}: byte 0: {error.strerror}"
            return self
        if number and len(data) >= HEADER_BYTES:
            _, _, _, self._sequence, _, self.session, self._checksum, _, _ = HEADER.unpack_from(data)
        self.problem = self._check_header(number, data)
        if not self.problem:
            for _ in self._records(path, number, data):
                pass
        return self


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return a journal's manifest.

    Raises:
        NotFoundError: there is no journal in that directory.
        UnsoundError: its manifest cannot be trusted.
        DataError: it is of another version.
    """
    reader = JournalReader(directory)
    if not reader.manifest:
        raise UnsoundError("the journal cannot be read from its beginning", where=reader.problem or str(directory))
    if reader.manifest.get("schema") != SCHEMA:
        raise DataError(f"a journal of schema {reader.manifest.get('schema')}", where=str(directory))
    return reader.manifest
