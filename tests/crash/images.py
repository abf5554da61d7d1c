"""Journals that something happened to: each image is made from a seed, by one fault, from a journal that is whole."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np

from engine import _journal
from engine.events import Command, CommandName, FeedGap, FeedHealthy, OrderFilled, OrderSubmitted, Refusal, TimePassed
from engine.journal.reader import SCHEMA, JournalReader
from engine.journal.segments import HEADER_BYTES, path_of
from engine.journal.writer import SessionJournal
from engine.model import TickBlock

SEGMENT = 4096
SECTOR = 512
T0 = 1_700_000_000_000_000_000


@dataclass
class Whole:
    """A journal before anything happened to it: its files, and its records as ``(sequence, type, payload)``."""

    files: dict[int, bytes]
    records: list[tuple[int, int, bytes]]
    places: list[tuple[int, int]]  # of each record: its segment, and the byte after it


@dataclass
class Image:
    """What is left on the disk, and how many records must have survived at least."""

    files: dict[int, bytearray]
    at_least: int = 0
    touched: list[str] = field(default_factory=list)


def write_whole(directory: Path, seed: int, *, sealed: bool) -> Whole:
    """Write a journal of several segments with every kind of record, and read it back."""
    random = Random(seed)
    journal = SessionJournal(directory, {"schema": SCHEMA, "seed": seed}, segment_bytes=SEGMENT)
    for number in range(random.randint(60, 160)):
        ts_ns = T0 + number * 1_000_000
        rows = random.randint(1, 12)
        prices = np.array([17_000 + random.randint(-5, 5) for _ in range(rows)], np.int64)
        journal.record(TickBlock(np.arange(ts_ns, ts_ns + rows), prices, np.ones(rows, np.int64)))
        if random.random() < 0.3:
            journal.append(OrderSubmitted(ts_ns, number, 0, 1, 5, "entry"))
            journal.append(OrderFilled(ts_ns, number, Fraction(34_001, 2), 5, 0, 3))
        if random.random() < 0.1:
            journal.record(
                random.choice(
                    [
                        TimePassed(ts_ns),
                        FeedGap((0,)),
                        FeedHealthy(False, Refusal.FEED_STALE),
                        Command(CommandName.PAUSE, ts_ns),
                    ]
                )
            )
    if sealed:
        journal.close("the test ended it")
    else:
        journal._segments.close(None)  # as a crash leaves it
    reader = JournalReader(directory)
    records, places = [], []
    for entry in reader:
        records.append((entry.sequence, entry.kind, entry.payload))
        places.append((int(entry.path.stem), entry.offset + _journal.HEADER_BYTES + len(entry.payload)))
    assert not reader.problem
    assert reader.sealed == sealed
    files = {int(path.stem): path.read_bytes() for path in sorted(directory.glob("*.mbj"))}
    assert len(files) > 2, "changing over is a part of the test"
    return Whole(files, records, places)


Fault = Callable[[Whole, Random], Image]


def _copy(whole: Whole) -> Image:
    return Image({number: bytearray(data) for number, data in whole.files.items()})


def _some_file(image: Image, random: Random) -> bytearray:
    return image.files[random.choice(sorted(image.files))]


def flipped_bits(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        data = _some_file(image, random)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return image


def flipped_in_header(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    data = _some_file(image, random)
    data[random.randrange(HEADER_BYTES)] ^= 1 << random.randrange(8)
    return image


def cut_off(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    data = _some_file(image, random)
    del data[random.randrange(len(data)) :]
    return image


def cut_after_a_record(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    segment, after = random.choice(whole.places)
    del image.files[segment][after:]
    return image


def zeroed_pages(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    data = _some_file(image, random)
    size = random.choice((SECTOR, 4096))
    start = random.randrange(0, len(data), size)
    data[start : start + size] = bytes(len(data[start : start + size]))
    return image


def half_made_segment(whole: Whole, random: Random) -> Image:
    """The helper was claiming the segment after the last when everything ended."""
    image = _copy(whole)
    image.files[max(image.files) + 1] = bytearray(random.choice((0, 1, 63, 64, 4096, SEGMENT)))
    if random.random() < 0.5:
        image.at_least = len(whole.records)
        return image
    data = image.files[max(whole.files)]  # and the last one is not whole either
    del data[random.randrange(len(data)) :]
    return image


def other_version(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    data = _some_file(image, random)
    data[8:12] = struct.pack("<I", random.choice((0, 2, 3, 1 << 31)))
    data[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack("<I", _journal.crc32c(bytes(data[: HEADER_BYTES - 4])))
    return image


def unsynced_sectors(whole: Whole, random: Random) -> Image:
    """Power went: of what was written after the last flush, each sector is there, or not, or half."""
    image = _copy(whole)
    image.at_least = random.randrange(len(whole.records))
    segment, flushed = whole.places[image.at_least - 1] if image.at_least else (0, 0)
    for number, data in image.files.items():
        if number < segment:
            continue
        start = flushed if number == segment else 0
        while start < len(data):
            stop = min(len(data), (start // SECTOR + 1) * SECTOR)
            fate = random.random()
            if fate < 0.4:
                data[start:stop] = bytes(stop - start)
            elif fate < 0.5:
                torn = random.randrange(start, stop)
                data[torn:stop] = bytes(stop - torn)
            start = stop
    return image


def missing_file(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    del image.files[random.choice(sorted(image.files)[1:])]
    return image


def exchanged_files(whole: Whole, random: Random) -> Image:
    image = _copy(whole)
    one, other = random.sample(sorted(image.files), 2)
    image.files[one], image.files[other] = image.files[other], image.files[one]
    return image


def exchanged_records(whole: Whole, random: Random) -> Image:
    """Two records of the same length in each other's place: both whole, but not there."""
    image = _copy(whole)
    lengths: dict[int, list[int]] = {}
    for number, (_, _, payload) in enumerate(whole.records):
        lengths.setdefault(len(payload), []).append(number)
    one, other = random.sample(random.choice([found for found in lengths.values() if len(found) > 1]), 2)
    parts = []
    for number in (one, other):
        segment, after = whole.places[number]
        start = after - _journal.HEADER_BYTES - len(whole.records[number][2])
        parts.append((segment, slice(start, after), bytes(image.files[segment][start:after])))
    for (segment, place, _), (_, _, data) in zip(parts, reversed(parts), strict=True):
        image.files[segment][place] = data
    return image


def repeated_record(whole: Whole, random: Random) -> Image:
    """A record where the one after it belongs."""
    image = _copy(whole)
    number = random.randrange(len(whole.records))
    segment, after = whole.places[number]
    length = _journal.HEADER_BYTES + len(whole.records[number][2])
    data = image.files[segment]
    data[after : after + length] = data[after - length : after]
    del data[SEGMENT:]
    return image


FAULTS: tuple[Fault, ...] = (
    flipped_bits,
    flipped_in_header,
    cut_off,
    cut_after_a_record,
    zeroed_pages,
    half_made_segment,
    other_version,
    unsynced_sectors,
    missing_file,
    exchanged_files,
    exchanged_records,
    repeated_record,
)


def check_images(directory: Path, images: range) -> tuple[Counter[str], Counter[str]]:
    """Read every image and compare it with the journal that it was made of.

    Returns how many images each fault made that differ from the whole journal, and of how many something was lost.
    """
    wholes = [write_whole(directory / f"whole{seed}", seed, sealed=seed % 2 == 0) for seed in range(6)]
    place = directory / "image"
    place.mkdir()
    made: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    on_disk: set[int] = set()
    for seed in images:
        random = Random(seed)
        whole, fault = random.choice(wholes), FAULTS[seed % len(FAULTS)]
        image = fault(whole, random)
        before, on_disk = on_disk, set(image.files)
        for number in before - on_disk:
            path_of(place, number).unlink()
        for number, data in image.files.items():
            with path_of(place, number).open("r+b" if number in before else "xb") as file:
                file.write(data)
                file.truncate()  # not to nothing before writing: then the disk must take every image at once
        reader = JournalReader(place)
        found = [(entry.sequence, entry.kind, entry.payload) for entry in reader]
        made[fault.__name__] += image.files != whole.files
        lost[fault.__name__] += len(found) < len(whole.records)
        told = f"image {seed}, {fault.__name__}: {reader.problem!r}"
        assert found == whole.records[: len(found)], told
        assert len(found) >= image.at_least, told
        if len(found) < len(whole.records):
            assert not reader.sealed, told
        if reader.problem:
            assert reader.problem.startswith(str(place)), told
            assert "\n" not in reader.problem, told
            assert "byte" in reader.problem or "missing" in reader.problem or "empty" in reader.problem, told
        elif not any(cut.__name__ == fault.__name__ for cut in (unsynced_sectors, half_made_segment, zeroed_pages)):
            # Whoever tore pages off the end exactly where a record ends has made a journal as a crash leaves it.
            assert found == whole.records, told
    return made, lost
