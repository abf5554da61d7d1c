"""A session that dies after any record of its journal goes on as if it had not: nothing lost, nothing twice."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from engine._journal import Fold
from engine.errors import ExitCode
from engine.events import Command, CommandName, OrderSubmitted, Resumed, TimePassed
from engine.journal.codec import FLUSHED, NEXT_SEGMENT, Flushed
from engine.journal.reader import SCHEMA, JournalReader, UnsoundError
from engine.journal.segments import Disk
from engine.journal.writer import SessionJournal
from engine.live.recovery import Recovery
from engine.live.replay import Replay
from engine.model import TickBlock
from engine.trading.kernel import Kernel
from tests.crash.crashing import (
    INSTRUMENTS,
    START_NS,
    begin,
    block,
    bring_back,
    bury,
    config,
    die_after,
    inputs,
    journal_of,
    play,
    records,
)

SEEDS = [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 25))]
LATENCY = ({}, {"paper.latency_feed": "sampled median 5ms p99 200ms seed 3"})


def state(recorded) -> tuple[object, ...]:
    """Everything about an account that a user could see, and what its lanes wait for."""
    kernel = recorded.kernel
    everywhere = range(len(INSTRUMENTS))
    lanes = [
        (lane.in_position, lane.stop_ticks, lane.target_ticks, lane.deadline_ns, lane.cooldown_left, lane.entry)
        for lane in kernel.lanes
    ]
    return (
        kernel.core.equity,
        kernel.core.drawdown,
        kernel.portfolio.realised,
        kernel.portfolio.positions,
        kernel.trades,
        [kernel.core.quote(index) for index in everywhere],
        lanes,
        kernel.risk.state,
        dict(kernel.counters.refusals),
        kernel.next_deadline_ns,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_dying_at_every_append(tmp_path: Path, seed: int) -> None:
    settings, events = config(tmp_path, **LATENCY[seed % 2]), inputs(seed, 30)
    whole = begin(settings, "whole")
    assert play(whole, events)
    expected, uninterrupted = state(whole), journal_of(whole).directory
    journal_of(whole).leave()
    written = records(uninterrupted)
    assert sum(kind >= 64 for kind, _ in written) > 10, "it decided on something"
    recovered = 0
    for appends in range(1, len(written) + 1):
        dying = begin(settings, f"{appends:04}")
        die_after(journal_of(dying), appends)
        assert not play(dying, events)
        bury(journal_of(dying))
        recovery, again = bring_back(journal_of(dying).directory)
        recovered += 1
        assert recovery.inputs == sum(kind < 64 for kind, _ in written[:appends])
        assert play(again, events[recovery.inputs :])
        assert state(again) == expected, f"after {appends} records"
        journal_of(again).leave()
        assert records(recovery.reader.directory) == written, f"after {appends} records"
    assert recovered == len(written)


@pytest.mark.parametrize("seed", SEEDS)
def test_dying_again_and_again(tmp_path: Path, seed: int) -> None:
    """Each life is short; the seams say where one ended, and the whole replays as one session."""
    random, settings, events = Random(seed), config(tmp_path), inputs(seed, 120)
    living, lives, at = begin(settings, "cat"), 1, 0
    directory = journal_of(living).directory
    while True:
        die_after(journal_of(living), random.randrange(1, 60))
        if play(living, events[at:]):
            break
        bury(journal_of(living))
        recovery, living = bring_back(directory)
        at = recovery.inputs - (lives - 1)  # a seam is an input, too
        lives += 1
        living.process(Resumed(recovery.kernel.core.engine_ts_ns + random.randrange(1, 10_000_000_000)))
    assert lives > 2
    journal_of(living).close("done")
    ids = [one.event().order_id for one in JournalReader(directory) if one.name == OrderSubmitted.__name__]
    assert ids == list(range(1, len(ids) + 1))
    assert ids, "it traded"
    replay = Replay(directory)
    replay.check_whole()
    assert replay.reader.sealed
    assert replay.difference() is None
    assert replay.replayed.decisions == replay.recorded.decisions
    assert replay.kernel.trades == living.kernel.trades
    assert sum(one.name == Resumed.__name__ for one in JournalReader(directory)) == lives - 1


def interrupted(tmp_path: Path, seed: int = 1, appends: int = 60) -> Path:
    """A session that has died."""
    dying = begin(config(tmp_path), "cut")
    die_after(journal_of(dying), appends)
    assert not play(dying, inputs(seed))
    bury(journal_of(dying))
    return journal_of(dying).directory


@pytest.mark.parametrize("mapped", [True, False])
def test_a_torn_record_is_cut_and_kept(tmp_path: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not mapped:
        monkeypatch.setattr(Disk, "map", lambda *_: (_ for _ in ()).throw(OSError("no mapping here")))
    directory = interrupted(tmp_path)
    place = JournalReader(directory).check().place
    path = directory / "000000.mbj"
    half = b"h" * (path.stat().st_size - place.at - 8)  # to the end: not all of it is written over
    with path.open("r+b") as file:
        file.seek(place.at + 8)
        file.write(half)
    assert "never finished" in JournalReader(directory).check().problem
    recovery, again = bring_back(directory)
    assert play(again, inputs(1)[recovery.inputs :])
    journal_of(again).close("done")
    assert JournalReader(directory).check().sealed
    assert Replay(directory).difference() is None
    (kept,) = directory.glob("*-torn-*")
    assert kept.read_bytes() == b"\0" * 8 + half


def test_dying_between_two_segments(tmp_path: Path) -> None:
    """The mark of the next segment is written, and the segment has not begun; or its header is torn."""
    for torn in (b"", b"MBURST"):
        directory = tmp_path / f"j{len(torn)}"
        journal = SessionJournal(directory, {"schema": SCHEMA}, segment_bytes=1 << 14)
        journal.record(TimePassed(1))
        journal._segments._end(NEXT_SEGMENT)
        bury(journal)
        with (directory / "000001.mbj").open("r+b") as file:
            file.write(torn)
        reader = JournalReader(directory).check()
        assert (reader.place.segment, reader.place.at, reader.damage) == (1, 0, "")
        again = SessionJournal.resumed(reader, 1, 0, Fold())
        again.record(TimePassed(2))
        again.close("done")
        events = [one.event() for one in JournalReader(directory) if one.name == TimePassed.__name__]
        assert events == [TimePassed(1), TimePassed(2)]
        assert JournalReader(directory).check().sealed


def test_what_was_decided_otherwise_is_an_error_with_its_place(tmp_path: Path) -> None:
    directory = interrupted(tmp_path)
    strategy = tmp_path / "busy.py"
    strategy.write_text(strategy.read_text().replace('pct("0.01"), good', 'pct("0.02"), good'))
    with pytest.raises(
        UnsoundError, match=r"cut: record \d+, input \d+: .* recorded is .* decided now .*--fresh"
    ) as told:
        Recovery(directory)
    assert told.value.exit_code == ExitCode.MISMATCH


def flush(journal: SessionJournal) -> None:
    """Two seconds of a session: what is there is on the disk, and the journal says so."""
    for _ in range(2):
        journal.tend()
        journal._segments._helper.submit(int).result()


@pytest.mark.parametrize("how", ["a byte", "the length", "the checksum", "a sector", "everything up to the newest"])
def test_damage_to_what_was_on_the_disk_is_refused(tmp_path: Path, how: str) -> None:
    """A pause comes after it: who went on would trade again."""
    living, events = begin(config(tmp_path), "cut"), inputs(1)
    journal = journal_of(living)
    assert play(living, events[:8])
    at = journal.place.at
    assert play(living, events[8:16])
    end = journal.place.at
    now_ns = living.kernel.core.engine_ts_ns
    living.process(Command(CommandName.PAUSE, now_ns, "the market is strange"))
    flush(journal)
    assert play(living, [block([(now_ns + 1, 10_000, 1, 0)])])
    assert journal.place.segment == 0, "nothing but the witness tells it"
    bury(journal)
    path = journal.directory / "000000.mbj"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    if how == "a byte":
        damaged[at + 24] ^= 1
    elif how == "everything up to the newest":
        damaged[at:end] = bytes(end - at)
    else:
        start, stop = {"the length": (at, at + 4), "the checksum": (at + 4, at + 8), "a sector": (at, at + 512)}[how]
        damaged[start:stop] = bytes(value ^ 0x5A for value in damaged[start:stop])
    path.write_bytes(damaged)
    with pytest.raises(
        UnsoundError, match=r"damaged: .*byte [\d,]+: .*; it was on the disk, as record [\d,]+ says"
    ) as told:
        Recovery(journal.directory)
    assert told.value.exit_code == ExitCode.MISMATCH
    assert "--fresh" in told.value.line()
    assert path.read_bytes() == damaged, "nothing is touched"


def test_damage_to_what_was_not_is_a_torn_end(tmp_path: Path) -> None:
    """Power takes what it likes of what no flush has covered, and leaves the rest."""
    living, events = begin(config(tmp_path), "cut"), inputs(1)
    journal = journal_of(living)
    assert play(living, events[:8])
    flush(journal)
    before, at = living.inputs, journal.place.at
    assert play(living, events[8:16])
    flushed = [one.event() for one in JournalReader(journal.directory) if one.kind == FLUSHED]
    assert flushed, "it says how far it is on the disk"
    assert flushed[-1].records <= journal.place.sequence
    bury(journal)
    path = journal.directory / "000000.mbj"
    damaged = bytearray(path.read_bytes())
    damaged[at : at + 64] = bytes(64)
    path.write_bytes(damaged)
    recovery, again = bring_back(journal.directory)
    assert recovery.inputs == before
    assert play(again, events[8:])
    journal_of(again).leave()


def fill(journal: SessionJournal, segments: int) -> None:
    """Take inputs until so many further segments have begun."""
    until = journal.place.segment + segments
    while journal.place.segment < until:
        journal.record(TimePassed(journal.inputs + 1))


def taken(directory: Path) -> list[int]:
    return [one.event().ts_ns for one in JournalReader(directory) if one.name == TimePassed.__name__]  # type: ignore[union-attr]


def lose(path: Path, how: str) -> None:
    """What a disk may do to the end of a segment, or to the segment that follows it."""
    data, later = bytearray(path.read_bytes()), path.with_name("000002.mbj")
    if how == "the segment":
        path.unlink()
    elif how == "the header":
        data[:512] = bytes(512)
        path.write_bytes(data)
    elif how == "the end":
        data[-1024:] = bytes(1024)
        path.write_bytes(data)
    else:
        data[2048:4096] = bytes(2048)
        path.write_bytes(data)
        later.write_bytes(bytes(512) + later.read_bytes()[512:])


LOSSES = ["the segment", "the header", "the end", "records, and the next header"]


@pytest.mark.parametrize("how", LOSSES)
def test_damage_is_told_by_a_later_segment(tmp_path: Path, how: str) -> None:
    journal = SessionJournal(tmp_path / "j", {"schema": SCHEMA}, segment_bytes=1 << 14)
    fill(journal, 2)
    for _ in range(100):
        journal.record(TimePassed(journal.inputs + 1))
    flush(journal)
    bury(journal)
    lose(journal.directory / "000001.mbj", how)
    before = {path.name: path.read_bytes() for path in journal.directory.glob("*")}
    reader = JournalReader(journal.directory).check()
    assert "it was on the disk, as record" in reader.damage
    assert {path.name: path.read_bytes() for path in journal.directory.glob("*")} == before, "nothing is touched"


@pytest.mark.parametrize("how", LOSSES)
def test_what_no_flush_has_covered_is_put_aside_with_its_segments(tmp_path: Path, how: str) -> None:
    """A flush fails just as the journal changes segments, and then the power does: the one before is torn as well."""
    journal = SessionJournal(tmp_path / "j", {"schema": SCHEMA}, segment_bytes=1 << 14)
    fill(journal, 1)
    flush(journal)
    fill(journal, 2)
    bury(journal)
    directory = journal.directory
    lose(directory / "000001.mbj", how)
    aside = (directory / "000002.mbj").read_bytes()
    reader = JournalReader(directory).check()
    left = taken(directory)
    assert reader.problem
    assert reader.damage == ""
    assert left == list(range(1, len(left) + 1))
    again = SessionJournal.resumed(reader, len(left), 0, Fold())
    fill(again, 2)
    again.close("done")
    assert (directory / "000002-torn-at-0").read_bytes() == aside
    assert JournalReader(directory).check().sealed
    assert taken(directory) == list(range(1, again.inputs + 1))


def test_what_was_put_aside_before_stays(tmp_path: Path) -> None:
    """The same segments are torn twice."""
    directory, kept = tmp_path / "j", []
    journal = SessionJournal(directory, {"schema": SCHEMA}, segment_bytes=1 << 14)
    fill(journal, 1)
    for _ in range(2):
        while journal.place.segment < 2:
            journal.record(TimePassed(journal.inputs + 1))
        bury(journal)
        lose(directory / "000001.mbj", "the end")
        kept.append((directory / "000002.mbj").read_bytes())
        reader = JournalReader(directory).check()
        journal = SessionJournal.resumed(reader, len(taken(directory)), 0, Fold())
        journal.record(TimePassed(-1))  # another one than was there before
    journal.close("done")
    assert [(directory / name).read_bytes() for name in ("000002-torn-at-0", "000002-torn-at-0-2")] == kept


def test_a_segment_that_cannot_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SessionJournal(tmp_path / "j", {"schema": SCHEMA}, segment_bytes=1 << 14)
    fill(journal, 1)
    bury(journal)
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == "000001.mbj":
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert "Input/output error" in JournalReader(journal.directory).check().damage


def test_what_is_on_the_disk_is_said_once(tmp_path: Path) -> None:
    journal = SessionJournal(tmp_path / "j", {"schema": SCHEMA})
    for number in range(5):
        journal.record(TimePassed(number))
        for _ in range(4):
            flush(journal)
    journal.close("done")
    found = [(one.sequence, one.event()) for one in JournalReader(tmp_path / "j") if one.kind in (FLUSHED, 18)]
    assert [type(event) for _, event in found] == [TimePassed, Flushed] * 5
    assert all(event.records == sequence for sequence, event in found if isinstance(event, Flushed))


class Unforeseen(Exception):  # noqa: N818
    """Nobody thought of it."""


def test_dying_between_an_unforeseen_failure_and_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying, events = begin(config(tmp_path), "cut"), inputs(1)
    assert play(dying, events)

    def fail(self: Kernel, block: object) -> None:
        raise Unforeseen

    monkeypatch.setattr(Kernel, "_ticks", fail)
    with pytest.raises(Unforeseen):
        dying.process(block([(START_NS * 2, 10_000, 1, 0)]))
    bury(journal_of(dying))
    monkeypatch.undo()
    whole = len(records(journal_of(dying).directory))
    real = Kernel._ticks
    calls = 0

    def fail_again(self: Kernel, ticks: TickBlock) -> None:
        nonlocal calls
        calls += 1
        if int(ticks.ts_ns[0]) == START_NS * 2:
            raise Unforeseen
        real(self, ticks)

    monkeypatch.setattr(Kernel, "_ticks", fail_again)
    _, again = bring_back(journal_of(dying).directory)
    assert calls
    assert again.kernel.risk.errors == 1, "it is counted, as the session would have"
    journal_of(again).leave()
    assert len(records(journal_of(dying).directory)) == whole + 1


def test_blocks_are_joined_and_nothing_else(tmp_path: Path) -> None:
    """A reader that joins gives the same ticks, records of every other kind, and counts as one that does not."""
    random, number = Random(5), 0
    journal = SessionJournal(tmp_path / "j", {"schema": SCHEMA}, segment_bytes=1 << 16)
    for _ in range(400):
        for _ in range(random.choice((1, 1, 2, 30))):
            rows = random.choice((1, 3, 700))
            ticks = block(
                [(number + row, random.randrange(1, 1 << 40), random.randrange(1, 9), 0) for row in range(rows)]
            )
            number += rows
            if random.random() < 0.2:
                ticks.instrument = None
            journal.record(ticks)
        journal.record(TimePassed(number))
    journal.close("done")
    plain, joined = JournalReader(tmp_path / "j"), JournalReader(tmp_path / "j", joins=True)
    ticks_of = {False: list[tuple[int, ...]](), True: list[tuple[int, ...]]()}
    others = {False: list[object](), True: list[object]()}
    blocks = 0
    for reader, joins in ((plain, False), (joined, True)):
        for entry in reader:
            event = entry.event() if entry.kind > 5 else entry.kind
            if isinstance(event, TickBlock):
                blocks += joins
                index = [0] * len(event) if event.instrument is None else event.instrument.tolist()
                columns = (event.ts_ns, event.price_ticks, event.size_lots, event.bid_ticks)
                ticks_of[joins] += zip(*(column.tolist() for column in columns), index, strict=True)
            else:
                others[joins].append((entry.sequence, event))
    assert ticks_of[True] == ticks_of[False]
    assert others[True] == others[False]
    assert (joined.records, joined.sealed, joined.problem) == (plain.records, True, "")
    assert blocks < joined.records / 2, "most were joined"
    ended = JournalReader(tmp_path / "j").end()
    assert (ended.sealed, ended.summary, ended.place) == (True, plain.summary, plain.place)
