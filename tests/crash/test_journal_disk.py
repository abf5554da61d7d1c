"""A disk that is full, fails or cannot be mapped: said once, nothing decided without a record, nothing left behind."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.events import SignalDeclined, TimePassed
from engine.journal import segments
from engine.journal.reader import SCHEMA, JournalReader
from engine.journal.segments import HEADER_BYTES, RESERVE_BYTES, Disk
from engine.journal.writer import JournalFailed, SessionJournal
from engine.model import TickBlock
from tests.sim.machine import InTurn

SEGMENT = 4096
MANIFEST = {"schema": SCHEMA}


class FailingDisk(Disk):
    """Fails at the calls of one kind whose numbers are given, and counts."""

    def __init__(self, what: str, calls: range, error: int) -> None:
        self._what, self._calls, self._error = what, calls, error
        self.calls = self.failed = 0

    def _call(self, what: str) -> None:
        if what != self._what:
            return
        self.calls += 1
        if self.calls in self._calls:
            self.failed += 1
            raise OSError(self._error, os.strerror(self._error))

    def create(self, path: Path) -> int:
        self._call("create")
        return super().create(path)

    def reserve(self, descriptor: int, size: int) -> None:
        self._call("reserve")
        super().reserve(descriptor, size)

    def map(self, descriptor: int, size: int) -> mmap.mmap:
        self._call("map")
        return super().map(descriptor, size)

    def write(self, descriptor: int, data: memoryview, at: int) -> None:
        self._call("write")
        super().write(descriptor, data, at)

    def flush(self, descriptor: int) -> None:
        self._call("flush")
        super().flush(descriptor)


def fill(journal: SessionJournal, count: int) -> int:
    """Record so many times passed, a decision after each; return how many inputs were taken."""
    for number in range(count):
        try:
            journal.record(TimePassed(number))
            journal.append(SignalDeclined(number, 0, 1, 17_000))
            journal.tend()
        except JournalFailed:
            return number
    return count


def events(directory: Path) -> list[object]:
    return [entry.event() for entry in JournalReader(directory) if entry.kind >= 16]


def test_only_the_owner_may_look(tmp_path):
    journal = SessionJournal(tmp_path / "state" / "one", MANIFEST)
    journal.close("done")
    for folder in (tmp_path / "state", tmp_path / "state" / "one"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted((tmp_path / "state" / "one").iterdir())
    assert [file.name for file in files] == ["000000.mbj", "lock"], "and the claimed segment was given back"
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 2
    assert files[0].stat().st_size < 1000


def test_mapped_and_written_journals_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "ThreadPoolExecutor", InTurn)  # when a flush has ended is in the journal, too
    for name, mapped in (("a", True), ("b", False)):
        directory = tmp_path / name / "same name"
        journal = SessionJournal(directory, MANIFEST, segment_bytes=SEGMENT, mapped=mapped)
        assert fill(journal, 300) == 300
        journal.close("done")
    one, other = (sorted((tmp_path / name / "same name").glob("*.mbj")) for name in "ab")
    assert len(one) > 5
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_every_written_record_is_in_the_file_at_once(tmp_path):
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT, mapped=False)
    for number in range(200):
        journal.record(TimePassed(number))
        assert JournalReader(tmp_path / "s").check().last.event() == TimePassed(number)
    journal.close("done")


def test_a_file_that_cannot_be_mapped_is_written(tmp_path):
    disk = FailingDisk("map", range(1, 1000), errno.ENODEV)
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT, disk=disk)
    assert fill(journal, 200) == 200
    journal.close("done")
    assert disk.failed > 3
    assert len(events(tmp_path / "s")) == 400


def test_a_file_smaller_than_asked_for_is_not_mapped(tmp_path):
    class Short(Disk):
        def reserve(self, descriptor: int, size: int) -> None:
            os.truncate(descriptor, size // 2)

    with pytest.raises(JournalFailed, match="smaller than was asked"):
        SessionJournal(tmp_path / "s", MANIFEST, disk=Short())
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("what", ["create", "reserve"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_journal_that_cannot_be_started_is_one_line(tmp_path, what, error):
    with pytest.raises(JournalFailed, match=os.strerror(error)) as caught:
        SessionJournal(tmp_path / "s", MANIFEST, disk=FailingDisk(what, range(1, 2), error))
    assert caught.value.exit_code == 7
    assert "--no-journal" in caught.value.line()
    assert not (tmp_path / "s").exists()


def test_a_full_disk_is_met_when_the_next_segment_is_claimed(tmp_path):
    """Nothing may be opened from then on, the reserve is for closing, and room that returns is taken."""
    size = RESERVE_BYTES + (1 << 20)
    disk = FailingDisk("reserve", range(2, 5), errno.ENOSPC)
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=size, disk=disk)
    journal._segments._helper.submit(int).result()  # the helper has tried
    assert journal.reducing
    assert not journal.full
    ticks = np.arange(8192, dtype=np.int64) * (1 << 40)
    block = TickBlock(ticks, ticks, ticks)
    while not journal.full:
        journal.record(block)
    assert journal._segments.left > RESERVE_BYTES - 400_000
    inputs = journal.inputs
    for number in range(1000):  # what closing takes
        journal.record(TimePassed(number))
    while journal.reducing:
        journal.tend()
        journal._segments._helper.submit(int).result()
    assert disk.failed == 3
    assert not journal.full
    for _ in range(100):
        journal.record(block)
    journal.close("done")
    reader = JournalReader(tmp_path / "s").check()
    assert reader.sealed
    assert reader.summary["inputs"] == inputs + 1100


def test_without_room_the_session_ends_where_its_last_record_is(tmp_path):
    disk = FailingDisk("reserve", range(3, 1000), errno.ENOSPC)
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT, disk=disk)
    taken = fill(journal, 10_000)
    assert 10 < taken < 1000
    assert disk.failed
    with pytest.raises(JournalFailed):
        journal.record(TimePassed(0))
    journal.close("it is full")
    reader = JournalReader(tmp_path / "s").check()
    assert not reader.sealed
    assert not reader.problem
    assert [one.ts_ns for one in events(tmp_path / "s") if isinstance(one, TimePassed)][-1] <= taken


@pytest.mark.parametrize("call", range(1, 101))
@pytest.mark.parametrize("what", ["write", "flush"])
def test_a_disk_that_fails_once_is_never_asked_again(tmp_path, what, call):
    """200 faults: whatever was decided is in the journal, and nothing is taken after the failure."""
    disk = FailingDisk(what, range(call, call + 1), errno.EIO)
    acknowledged: list[object] = []
    try:
        journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT, disk=disk, mapped=what == "flush")
    except JournalFailed:
        assert (what, call) in (("write", 1), ("write", 2)), "the first header and the manifest"
        return

    def go_on_for_ever() -> None:
        for taken in itertools.count():
            journal.record(TimePassed(taken))
            acknowledged.append(TimePassed(taken))
            journal.append(SignalDeclined(taken, 0, 1, 17_000))
            acknowledged.append(SignalDeclined(taken, 0, 1, 17_000))
            journal.tend()

    with pytest.raises(JournalFailed, match="Input/output error") as caught:
        go_on_for_ever()
    assert "\n" not in caught.value.line()
    for _ in range(3):
        with pytest.raises(JournalFailed):
            journal.record(TimePassed(9_999))
    calls = disk.calls
    journal.close("it failed")
    assert disk.failed == 1
    assert what == "flush" or disk.calls == calls
    found = events(tmp_path / "s")
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1, "the record that failed may have reached the disk, nothing after it"
    assert not JournalReader(tmp_path / "s").check().sealed


def test_a_session_name_is_used_once(tmp_path):
    SessionJournal(tmp_path / "s", MANIFEST).close("done")
    with pytest.raises(JournalFailed, match="exists"):
        SessionJournal(tmp_path / "s", MANIFEST)


def test_segments_are_ready_before_they_are_needed(tmp_path):
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT)
    for number in range(500):
        journal._segments._next.result()
        journal.record(TimePassed(number))
    assert journal.waited == 0
    assert journal._segments._segment.number > 3
    journal.close("done")
    assert (tmp_path / "s" / "000000.mbj").stat().st_size == SEGMENT > HEADER_BYTES


def test_a_segment_that_was_begun_and_has_no_record_yet_is_no_damage(tmp_path):
    """Killed between the header of a segment and its first record."""
    journal = SessionJournal(tmp_path / "s", MANIFEST, segment_bytes=SEGMENT)
    assert fill(journal, 100) == 100
    journal._segments._change_over()
    journal._segments.close(None)
    reader = JournalReader(tmp_path / "s").check()
    assert (reader.problem, reader.sealed) == ("", False)
    assert len(events(tmp_path / "s")) == 200


def test_a_segment_of_another_session_does_not_continue_this_one(tmp_path):
    for name in ("this", "other"):
        journal = SessionJournal(tmp_path / name, MANIFEST | {"session": name}, segment_bytes=SEGMENT)
        assert fill(journal, 100) == 100
        journal.close("done")
    before = JournalReader(tmp_path / "this").check().records
    shutil.copy(tmp_path / "other" / "000001.mbj", tmp_path / "this" / "000001.mbj")
    reader = JournalReader(tmp_path / "this").check()
    assert "000001.mbj: byte 0: the segment does not continue the one before" in reader.problem
    assert 0 < reader.records < before
    assert not reader.sealed


DIES_WITHIN_A_RECORD = """
import mmap, os, sys
from engine._journal import Writer
file = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(file, 2 * mmap.PAGESIZE)
os.ftruncate(file, mmap.PAGESIZE)
Writer(memory, mmap.PAGESIZE - 8, 0, 0).append(70, 1, b"")
"""
"""Only the first 8 bytes of the record have a file behind them: writing the ninth ends the process."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a mapping does beyond its file is Linux's")
def test_a_process_that_dies_within_a_record_leaves_none(tmp_path):
    file = tmp_path / "segment"
    file.write_bytes(bytes(2 * mmap.PAGESIZE))
    done = subprocess.run([sys.executable, "-c", DIES_WITHIN_A_RECORD, str(file)], capture_output=True)
    assert done.returncode == -signal.SIGBUS, done.stderr.decode()
    assert file.read_bytes() == bytes(mmap.PAGESIZE)  # not even its length, which is written last
