"""Snapshots: what a kernel was after a record of its journal, in a file of its own beside the segments.

A snapshot saves a restart from doing everything again, and proves nothing: the journal is the record, and whatever is
not sound here, or was made by other code, is left aside. It begins with its length, says in JSON what it belongs to,
and ends with a hash of everything before; it appears under its name when it is whole and on the disk.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from engine.errors import UserError
from engine.journal.segments import Place

MAGIC = b"MBURSTS1"
SCHEMA = "microburst.snapshot/1"
SUFFIX = ".mbs"
KEPT = 2
"""Snapshots of a session: the newest may be further than a journal that lost its end with the power."""

HEAD = struct.Struct("<8sQQ")  # magic, bytes of the whole file, of the facts
DIGEST_BYTES = 16


class SnapshotUnfitError(UserError):
    """A snapshot that cannot be gone on from; the whole journal can."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in a snapshot's file.

    Attributes:
        place: in the journal, between two records.
        facts: what it belongs to, and counts.
        parts: bytes whose meaning is the kernel's.
    """

    place: Place
    facts: Mapping[str, Any]
    parts: tuple[bytes, ...]


def write(directory: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot beside the segments of its journal, and delete all but the newest; returns its file.

    Raises:
        OSError: the disk does not take it. Nothing that was there is touched then.
    """
    place = snapshot.place
    facts = {
        "schema": SCHEMA,
        **snapshot.facts,
        "place": [place.segment, place.at, place.sequence, place.checksum],
        "parts": [len(part) for part in snapshot.parts],
    }
    told = orjson.dumps(facts)
    whole = HEAD.size + len(told) + sum(map(len, snapshot.parts)) + DIGEST_BYTES
    pieces = (HEAD.pack(MAGIC, whole, len(told)), told, *snapshot.parts)
    digest = blake2b(digest_size=DIGEST_BYTES)
    path = directory / f"{place.sequence:012}{SUFFIX}"
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            fresh.chmod(0o600)
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    for old in newest_first(directory)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def newest_first(directory: Path) -> list[Path]:
    """Return the files of a journal's snapshots."""
    return sorted((path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdecimal()), reverse=True)


def read(path: Path) -> Snapshot:
    """Read a snapshot, all of which is checked.

    Raises:
        SnapshotUnfitError: it is not what was written.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise SnapshotUnfitError(f"it cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) < HEAD.size + DIGEST_BYTES or data[: len(MAGIC)] != MAGIC:
        raise SnapshotUnfitError("it is no snapshot", where=str(path))
    _, whole, told = HEAD.unpack_from(data)
    if whole != len(data):
        raise SnapshotUnfitError(f"it has {len(data):,} bytes of {whole:,}", where=str(path))
    if blake2b(data[:-DIGEST_BYTES], digest_size=DIGEST_BYTES).digest() != data[-DIGEST_BYTES:]:
        raise SnapshotUnfitError("it is damaged: a wrong hash", where=str(path))
    facts = orjson.loads(data[HEAD.size : HEAD.size + told])
    if facts.get("schema") != SCHEMA:
        raise SnapshotUnfitError(f"it is of schema {facts.get('schema')}", where=str(path))
    return Snapshot(Place(*facts["place"]), facts, tuple(_parts(data[HEAD.size + told :], facts["parts"])))


def _parts(data: memoryview, lengths: list[int]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield bytes(data[at : at + length])
        at += length


def clear(directory: Path) -> None:
    """Delete a journal's snapshots: its session has ended in order, and nobody will go on from it."""
    for path in (*newest_first(directory), *directory.glob("*.new")):
        path.unlink(missing_ok=True)
