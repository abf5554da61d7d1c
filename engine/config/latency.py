"""Reading a latency as people write it: ``5ms``, ``sampled median 2ms p99 20ms``, ``file delays.csv``."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

from engine.errors import ConfigError, nearest
from engine.latency import Constant, Latency, Measured, Sampled
from engine.quantities import MAX_DURATION_NS, NS_PER_UNIT, Number, parse_duration_ns

MOST_DELAYS = 1_000_000
"""Delays in a file at most: they are kept in memory."""

MOST_BYTES = 64 << 20
"""Size of such a file at most, in bytes."""

_SAMPLED = re.compile(r"sampled median (\S+) p99 (\S+)(?: seed (\d{1,18}))?")
_FILE = re.compile(r"file (.+?)(?: column (\S+))?(?: seed (\d{1,18}))?(?: sha256 ([0-9a-f]{64}))?")
_FORMS = "write 5ms, sampled median 2ms p99 20ms seed 1, or file delays.csv"


def parse_latency(value: Number | Latency, *, where: str = "") -> Latency:
    """Read a latency: a duration, a distribution, or a file of measured durations, which is read here.

    ``constant 5ms`` is the same as ``5ms``. A bare number is seconds.

    Raises:
        ConfigError: none of these; parameters that no distribution has; a file that cannot be read, holds something
            else than durations, or is not the one whose SHA-256 is written.
    """
    if isinstance(value, Constant | Sampled | Measured):
        return value
    text = value.strip() if isinstance(value, str) else ""
    name, _, rest = text.partition(" ")
    if name == "sampled":
        return _sampled(text, where)
    if name == "file":
        return _measured(text, where)
    if rest and name == "constant":
        return Constant(parse_duration_ns(rest, where=where))
    try:
        return Constant(parse_duration_ns(value, where=where))
    except ConfigError as error:
        if text[:1].isalpha():  # a word, not a number with a mistake in it
            raise ConfigError(f"{value!r} is not a latency", where=where, fix=_FORMS) from None
        raise error from None


def _sampled(text: str, where: str) -> Sampled:
    match = _SAMPLED.fullmatch(text)
    if match is None:
        fix = "write sampled median 2ms p99 20ms, and seed 1 after it if you like"
        raise ConfigError(f"{text!r} is not a distribution of delays", where=where, fix=fix)
    median_ns, p99_ns = (parse_duration_ns(match[part], where=where) for part in (1, 2))
    if not 0 < median_ns <= p99_ns:
        fix = "the median is more than 0, the p99 as much or more"
        raise ConfigError(f"no delays have a median of {match[1]} and a p99 of {match[2]}", where=where, fix=fix)
    sampled = Sampled(median_ns, p99_ns, int(match[3] or 0))
    if sampled.quantiles_ns()[-1] > MAX_DURATION_NS:
        what = f"a p99 of {match[2]} with a median of {match[1]} means delays of more than 366 days"
        raise ConfigError(what, where=where, fix="bring them closer together")
    return sampled


def _measured(text: str, where: str) -> Measured:
    match = _FILE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} names no file of delays", where=where, fix="write file delays.csv")
    path, column, seed, sha256 = match.groups()
    data = _bytes_of(path, where)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        fix = "restore it, or leave out the sha256"
        raise ConfigError(f"{path} is not the file that is named: its sha256 is {found}", where=where, fix=fix)
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text", where=where, fix="write one duration on each line") from None
    delays_ns = _column(lines, path, column) if column else _lines(lines, path)
    if not 0 < len(delays_ns) <= MOST_DELAYS:
        what = f"{path} holds {len(delays_ns):,} delays"
        raise ConfigError(what, where=where, fix=f"give it between 1 and {MOST_DELAYS:,}")
    return Measured(delays_ns, path, column or "", found, None if seed is None else int(seed))


def _bytes_of(path: str, where: str) -> bytes:
    try:
        if (size := Path(path).stat().st_size) > MOST_BYTES:
            fix = f"at most {MOST_BYTES:,} bytes"
            raise ConfigError(f"{path} is too large with {size:,} bytes", where=where, fix=fix)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fix = "name a file with one duration on each line"
        raise ConfigError(f"cannot read {path}: {reason}", where=where, fix=fix) from None


def _lines(lines: list[str], path: str) -> tuple[int, ...]:
    """One duration on each line."""
    if lines and "," in lines[0]:
        fix = f"name the column: file {path} column {lines[0].split(',')[0].strip()}"
        raise ConfigError("several values on a line", where=f"{path}:1", fix=fix)
    return tuple(parse_duration_ns(line, where=f"{path}:{number}") for number, line in enumerate(lines, 1))


def _column(lines: list[str], path: str, column: str) -> tuple[int, ...]:
    """One column of a CSV file; where its name ends in a unit, as ``delay_ns`` does, bare numbers are in it."""
    rows = csv.reader(lines)
    header = next(rows, [])
    if column not in header:
        raise ConfigError(f"there is no column {column!r}", where=f"{path}:1", fix=nearest(column, header))
    at, ending = header.index(column), column.rpartition("_")[2]
    unit = ending if ending in NS_PER_UNIT else ""
    delays_ns = []
    for row in rows:
        place = f"{path}:{rows.line_num}"
        if len(row) <= at:
            raise ConfigError(f"there is no {column} on this line", where=place)
        text = row[at].strip()
        delays_ns.append(parse_duration_ns(text + unit if text[-1:].isdigit() else text, where=place))
    return tuple(delays_ns)
