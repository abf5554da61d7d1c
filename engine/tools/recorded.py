"""What a session's journal says, for people and for other programs: its facts, its records in words, its columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.errors import ConfigError, DataError, MissingExtraError, NotFoundError, UserError
from engine.journal.codec import MANIFEST, NEXT_SEGMENT, SEALED, SUMMARY, fields_of, is_decision, is_input
from engine.journal.reader import Entry, JournalReader, read_manifest
from engine.journal.sessions import LOCK, lock_is_held, sessions
from engine.model import Instrument, TickBlock
from engine.store.ticks import TickFile, write_ticks

if TYPE_CHECKING:
    from engine.events import Decision

OWN_RECORDS = (MANIFEST, NEXT_SEGMENT, SEALED, SUMMARY)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One line of the list of sessions."""

    session: str
    strategy: str
    mode: str
    symbols: tuple[str, ...]
    bytes: int
    running: bool
    ended: str = ""  # how, of one that has
    state: str = ""  # running, ended, or interrupted: the account's next start goes on with it
    fault: str = ""  # why the journal cannot be read


def listed(root: Path) -> list[SessionFacts]:
    """Return the facts of every session in a directory, the oldest first."""
    return [_facts(path) for path in sessions(root)]


def _facts(directory: Path) -> SessionFacts:
    size = sum(path.stat().st_size for path in directory.iterdir() if path.name != LOCK)
    running = lock_is_held(directory)
    try:
        manifest = read_manifest(directory)
        symbols = tuple(one.symbol for one in instruments_of(manifest))
        strategy, mode = str(manifest["config"]["strategy"]["name"]), str(manifest["mode"])
    except (UserError, KeyError, TypeError) as error:
        fault = error.line() if isinstance(error, UserError) else "parts of its manifest are missing"
        return SessionFacts(directory.name, "", "", (), size, running, fault=fault)
    end = JournalReader(directory).end()
    state = "running" if running else "ended" if end.sealed else "interrupted"
    return SessionFacts(directory.name, strategy, mode, symbols, size, running, how_it_ended(end), state)


def how_it_ended(reader: JournalReader) -> str:
    """How a session has ended, as it has written; "" of one that has not ended in order."""
    return (reader.summary.get("ended") or "it has not written why") if reader.sealed else ""


def decision_ts_ns(directory: Path, number: int) -> int:
    """Return when a session's decision of this number was made, counted from 1 as the log counts them.

    Raises:
        NotFoundError: it made fewer.
        UnsoundError: the journal is damaged before that one.
    """
    seen, reader = 0, JournalReader(directory)
    for entry in reader:
        if is_decision(entry.kind):
            seen += 1
            if seen == number:
                return cast("Decision", entry.event()).ts_ns
    reader.refuse_damage()
    raise NotFoundError(
        f"there is no decision {number}",
        where=directory.name,
        fix=f"it made {seen:,}, which journal cat --decisions lists",
    )


def instruments_of(manifest: dict[str, Any]) -> list[Instrument]:
    """Return the instruments that a session traded, by index."""
    return [Instrument(**facts) for facts in manifest["instruments"]]


def plain(value: Any) -> Any:
    """A field as JSON has it: fractions as text, listed words as what they say."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def facts_of(entry: Entry) -> dict[str, Any]:
    """Everything that a record says, as plain values."""
    head: dict[str, Any] = {"sequence": entry.sequence, "type": entry.name}
    if entry.kind in (MANIFEST, SUMMARY):
        return head | entry.plain()
    if entry.kind in OWN_RECORDS:
        return head
    event = entry.event()
    names = TickBlock.__slots__ if isinstance(event, TickBlock) else fields_of(event)
    found = {name: plain(getattr(event, name)) for name in names}
    return head | {name: value for name, value in found.items() if value is not None}


def in_words(entry: Entry) -> str:
    """A record as one line: its number, its type and its fields; of a block of ticks how many and when."""
    head = f"{entry.sequence:>10,}  {entry.name:<15}"
    if entry.kind in (MANIFEST, SUMMARY):
        facts = entry.plain()
        names = ("session", "mode", "ended", "inputs", "decisions", "decision_hash")
        return f"{head} {' '.join(f'{name}={facts[name]}' for name in names if name in facts)}".rstrip()
    if entry.kind in OWN_RECORDS:
        return head.rstrip()
    event = entry.event()
    if isinstance(event, TickBlock):
        last = int(event.price_ticks[-1])
        return f"{head} ts_ns={event.ts_ns[0]} rows={len(event)} last_price_ticks={last}"
    return f"{head} {' '.join(f'{name}={plain(getattr(event, name))}' for name in fields_of(event))}"


def counted(reader: JournalReader) -> dict[str, Any]:
    """Read a journal to its end and return what verification has found."""
    inputs = decisions = 0
    for entry in reader:
        inputs += is_input(entry.kind)
        decisions += is_decision(entry.kind)
    return {
        "session": reader.directory.name,
        "records": reader.records,
        "inputs": inputs,
        "decisions": decisions,
        "bytes": reader.size,
        "sealed": reader.sealed,
        "ended": how_it_ended(reader),
        "decision_hash": reader.summary.get("decision_hash", ""),
        "problem": reader.problem,
    }


def recorded_ticks(directory: Path) -> TickFile:
    """Return all ticks of a session as one file of ticks, in the order in which they were decided on.

    Raises:
        DataError: it has taken none.
    """
    manifest, reader = read_manifest(directory), JournalReader(directory)
    blocks = [event for entry in reader if is_input(entry.kind) and isinstance(event := entry.event(), TickBlock)]
    if not blocks:
        raise DataError("the session has taken no ticks", where=str(directory))
    return TickFile(joined(blocks), instruments_of(manifest), source=str(directory))


def joined(blocks: list[TickBlock]) -> TickBlock:
    """Return blocks as one; a column that only some of them have is zero in the others."""
    columns: dict[str, Any] = {}
    for name in TickBlock.__slots__:
        found = [getattr(block, name) for block in blocks]
        kind = next((column.dtype for column in found if column is not None), None)
        if kind is not None:
            parts = [
                np.zeros(len(block), kind) if column is None else column
                for block, column in zip(blocks, found, strict=True)
            ]
            columns[name] = np.concatenate(parts)
    return TickBlock(**columns)


def decision_rows(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield a session's decisions as rows: sequence, type, and the fields of that type."""
    for entry in JournalReader(directory):
        if is_decision(entry.kind):
            yield facts_of(entry)


def export(directory: Path, what: str, out: Path) -> int:
    """Write a session's ticks or decisions as CSV or, with the ``data`` extra, Parquet; return the number of rows.

    Raises:
        UserError: the file cannot be written, or its name ends in neither.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"cannot write '{out.name}'", where="flag --out", fix="name a .csv or a .parquet file")
    if what == "ticks":
        file = recorded_ticks(directory)
        write_ticks(out, file.block, file.instruments)
        return len(file.block)
    rows = list(decision_rows(directory))
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        _write_rows(rows, names, out)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(out)) from None
    return len(rows)


def _write_rows(rows: list[dict[str, Any]], names: list[str], out: Path) -> None:
    if out.suffix == ".csv":
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("a Parquet file", "data") from None
    # Prices between two ticks and amounts beyond 64 bits are exact as text only.
    columns = {name: [row.get(name) for row in rows] for name in names}
    whole = {name: all((isinstance(v, int) and abs(v) < 1 << 63) or v is None for v in columns[name]) for name in names}
    pl.DataFrame(
        {
            name: values if whole[name] else [None if v is None else str(v) for v in values]
            for name, values in columns.items()
        },
        {name: pl.Int64 if whole[name] else pl.String for name in names},
    ).write_parquet(out)
