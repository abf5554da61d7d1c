"""Several recordings as one: files of several symbols, or of several days of one, merged by time.

Each file keeps its own order; of records of the same time those of the file named first stand first. Symbols of the
same name are one instrument, with the finer of their precisions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.model import Instrument, Kind, TickBlock
from engine.store.rows import join_precisions
from engine.store.ticks import TickFile
from engine.tools.overlaps import refuse_repeated

ENDINGS = (".csv", ".csv.gz", ".parquet")
PRICES = ("price_ticks", "bid_ticks", "ask_ticks", "open_ticks", "high_ticks", "low_ticks")
SIZES = ("size_lots", "bid_lots", "ask_lots")


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are named, and of a folder all recordings in it, by name.

    Raises:
        DataError: a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        within = sorted(
            file
            for file in path.iterdir()
            if file.is_file() and file.name.endswith(ENDINGS) and not file.name.startswith(".")
        )
        if not within:
            raise DataError(f"there is no {', '.join(ENDINGS)} in this folder", where=str(path))
        found += within
    return found


def read_many(paths: Sequence[Path], read: Callable[[Path], TickFile]) -> TickFile:
    """Read files one by one and merge them; one alone stays as it is."""
    return read(paths[0]) if len(paths) == 1 else merge([read(path) for path in paths])


def merge(parts: Sequence[TickFile]) -> TickFile:
    """Return several recordings as one.

    Raises:
        DataError: ticks and bars are mixed, or two of them are the same, or have records of one symbol in common.
    """
    _check_different(parts)
    if len({part.block.start_ns is None for part in parts}) > 1:
        raise DataError("some of these files hold ticks and others bars", fix="run on one kind")
    instruments = _instruments(parts)
    numbers = {instrument.symbol: number for number, instrument in enumerate(instruments)}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in TickBlock.__slots__}
    keys = []
    for part in parts:
        own = np.array([numbers[instrument.symbol] for instrument in part.instruments], np.uint16)
        for name in columns:
            columns[name].append(_column(part, name, instruments, own))
        keys.append(np.maximum.accumulate(part.block.ts_ns) if len(part.block) else part.block.ts_ns)
    refuse_repeated(parts, columns, instruments)
    order = np.argsort(np.concatenate(keys), kind="stable")
    used = [name for name in columns if any(getattr(part.block, name) is not None for part in parts)]
    joined = {name: np.concatenate(columns[name])[order] for name in dict.fromkeys([*used, "instrument"])}
    skipped: dict[str, int] = {}
    for part in parts:
        for reason, count in part.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    facts = {"files": str(len(parts)), **join_precisions(instruments)}
    facts |= {name: text for part in parts for name, text in part.detected.items() if name == "order"}
    return TickFile(
        TickBlock(**joined),
        instruments,
        source=" + ".join(part.source for part in parts),
        detected=facts,
        skipped=skipped,
        skipped_samples=[sample for part in parts for sample in part.skipped_samples],
        late=sum(part.late or 0 for part in parts),
        file_sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
        naive=any(part.naive for part in parts),
    )


def _check_different(parts: Sequence[TickFile]) -> None:
    """Refuse what would count every trade twice: a file that is named twice, or of which there is a copy."""
    seen: dict[str, str] = {}
    for part in (part for part in parts if len(part.block)):
        if part.sha256 in seen:
            first = seen[part.sha256]
            what = "it is named twice" if first == part.source else f"it holds the same as {first}"
            raise DataError(what, where=part.source, fix="name it once")
        seen[part.sha256] = part.source


def _instruments(parts: Sequence[TickFile]) -> list[Instrument]:
    """One instrument for each symbol, in the order in which they come."""
    found: dict[str, Instrument] = {}
    for instrument in (instrument for part in parts for instrument in part.instruments):
        known = found.get(instrument.symbol, instrument)
        price = max(known.price_precision, instrument.price_precision)
        size = max(known.size_precision, instrument.size_precision)
        found[instrument.symbol] = Instrument(instrument.symbol, price, size)
    return list(found.values())


def _column(part: TickFile, name: str, instruments: Sequence[Instrument], numbers: NDArray[np.uint16]) -> NDArray[Any]:
    """A column of one file, in the numbers and precisions of the whole; 0 where the file has none: not known."""
    block, values = part.block, getattr(part.block, name)
    own = np.zeros(len(block), np.uint16) if block.instrument is None else block.instrument
    if name == "instrument":
        return numbers[own]
    if values is None:
        return np.full(len(block), Kind.TRADE, np.uint8) if name == "kind" else np.zeros(len(block), np.int64)
    if name not in (*PRICES, *SIZES):
        return np.asarray(values)
    field = "price_precision" if name in PRICES else "size_precision"
    pairs = ((instruments[number], one) for number, one in zip(numbers.tolist(), part.instruments, strict=True))
    finer = np.array([10 ** (getattr(whole, field) - getattr(one, field)) for whole, one in pairs], np.int64)
    return np.asarray(values) if (finer == 1).all() else values * finer[own]
