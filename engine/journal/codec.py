"""Inputs and decisions as the payloads of journal records, and back.

A value says its own kind, so one codec serves every type whose fields are whole numbers, fractions, text, listed
words, or sequences of these. A new decision costs its line in ``engine.events.TYPES``, a new input one in ``INPUTS``;
a field that is added, removed or changes its meaning costs a new number in ``VERSIONS``. Nothing here rounds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple, cast

from engine import _journal
from engine.errors import DataError
from engine.events import (
    TYPES,
    Command,
    CommandName,
    Decision,
    End,
    EngineFault,
    FeedGap,
    FeedHealthy,
    Refusal,
    Resumed,
    TimePassed,
)
from engine.model import Reason, TickBlock

MANIFEST = 1
NEXT_SEGMENT = 2
SEALED = 3
STATE = 4
SUMMARY = 5
FLUSHED = 6

INPUTS: dict[type, int] = {
    TimePassed: 18,
    FeedGap: 19,
    FeedHealthy: 20,
    Command: 21,
    End: 22,
    EngineFault: 23,
    Resumed: 24,
}
"""Record types of inputs, for ever; ``_journal.TICKS`` and ``TICK`` are those of records of the market."""

DECISIONS = 64
"""Record types of decisions are their numbers in ``engine.events.TYPES`` and this."""

WORDS: dict[type[StrEnum], int] = {CommandName: 1, Refusal: 2, Reason: 3}
"""Listed words that must come back as what they were; others come back as plain text, which is equal."""

VERSIONS: dict[type, int] = {}
"""Of types whose fields have changed since their first version, which is 1."""


class KernelState(NamedTuple):
    """What a kernel amounts to after so many inputs; ``chain`` also covers every state and decision before."""

    inputs: int
    engine_ts_ns: int
    trades_seen: int
    quotes_seen: int
    equity: int
    positions: tuple[int, ...]  # signed lots by instrument
    decisions: int
    windows: str  # hash of what windows and VWAPs hold
    lanes: str  # hash of exits, deadlines and cooldowns
    chain: str


class Flushed(NamedTuple):
    """What a journal says of itself: its first ``records`` are on the disk. So who cannot read one of them lost it."""

    records: int


Taken = TickBlock | TimePassed | FeedGap | FeedHealthy | Command | EngineFault | Resumed | End
Journaled = Taken | Decision | KernelState | Flushed

_BY_NUMBER: dict[int, type] = {
    **{number: kind for kind, number in INPUTS.items()},
    **{DECISIONS + number: kind for kind, number in TYPES.items()},
    STATE: KernelState,
    FLUSHED: Flushed,
}
_NUMBERS: dict[type, int] = {kind: number for number, kind in _BY_NUMBER.items()}
_WORDS_BY_NUMBER = {number: words for words, number in WORDS.items()}
_NONE, _INT, _LONG, _FRACTION, _TEXT, _SEQUENCE, _FALSE, _TRUE, _WORD = range(9)
_INT64 = struct.Struct("<Bq")
_COUNT = struct.Struct("<BI")


def number_of(kind: type) -> int:
    """Return the record type of an input's or decision's class."""
    return _NUMBERS[kind]


def name_of(number: int) -> str:
    """Return what a record of this type is called."""
    own = {MANIFEST: "Manifest", NEXT_SEGMENT: "NextSegment", SEALED: "Sealed", SUMMARY: "Summary"}
    ticks = {_journal.TICKS: "TickBlock", _journal.TICK: "Tick"}
    kind = _BY_NUMBER.get(number)
    return kind.__name__ if kind else (own | ticks).get(number, f"type {number}")


def is_input(number: int) -> bool:
    """Whether a record of this type is something that the kernel took."""
    return _journal.TICKS <= number < DECISIONS


def is_decision(number: int) -> bool:
    """Whether a record of this type is something that the kernel decided."""
    return number >= DECISIONS


def version_of(kind: type) -> int:
    """Return the version in which records of this class are written."""
    return VERSIONS.get(kind, 1)


def fields_of(event: Any) -> tuple[str, ...]:
    """Return the names of an event's fields, in order."""
    return tuple(getattr(event, "_fields", None) or event.__dataclass_fields__)


def pack_value(value: Any) -> bytes:
    """Return a value as bytes: a whole number, a fraction, text, a listed word, None, or a sequence of these."""
    return b"".join(_packed(value))


def unpack_values(data: bytes) -> Iterator[Any]:
    """Yield what ``pack_value`` was given, of bytes that follow each other; sequences as tuples.

    Raises:
        ValueError, KeyError, ZeroDivisionError, RecursionError: these are not its bytes.
    """
    values = _Unpacker(data)
    while not values.is_at_end:
        yield values.value()


def pack(event: Any) -> bytes:
    """Return the fields of an input or a decision as bytes."""
    return b"".join(part for name in fields_of(event) for part in _packed(getattr(event, name)))


def _packed(value: Any) -> Iterator[bytes]:
    if value is None:
        yield bytes([_NONE])
    elif isinstance(value, bool):
        yield bytes([_TRUE if value else _FALSE])
    elif isinstance(value, int):
        number = int(value)
        if -(1 << 63) <= number < 1 << 63:
            yield _INT64.pack(_INT, number)
        else:
            data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
            yield _COUNT.pack(_LONG, len(data)) + data
    elif isinstance(value, Fraction):
        yield bytes([_FRACTION])
        yield from _packed(value.numerator)
        yield from _packed(value.denominator)
    elif isinstance(value, str):
        words, data = WORDS.get(type(value)) if isinstance(value, StrEnum) else None, value.encode()
        if words is not None:
            yield bytes([_WORD, words])
        yield _COUNT.pack(_TEXT, len(data)) + data
    elif isinstance(value, Sequence):
        yield _COUNT.pack(_SEQUENCE, len(value))
        for one in value:
            yield from _packed(one)
    else:
        raise TypeError(f"a journal holds no {type(value).__name__}")


class _Unpacker:
    """Takes values off the front of a payload."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self._at = payload, 0

    def value(self) -> Any:
        payload, at = self._payload, self._at
        kind = payload[at] if at < len(payload) else -1
        if kind == _INT and at + 9 <= len(payload):  # most are
            self._at = at + 9
            return int.from_bytes(payload[at + 1 : at + 9], "little", signed=True)
        self._at += 1
        if kind in (_NONE, _FALSE, _TRUE):
            return {_NONE: None, _FALSE: False, _TRUE: True}[kind]
        if kind == _FRACTION:
            return Fraction(self.value(), self.value())
        if kind == _WORD:
            words = _WORDS_BY_NUMBER[self._take(1)[0]]
            return words(self.value())
        if kind not in (_LONG, _TEXT, _SEQUENCE):
            raise ValueError("it ends too early" if kind in (-1, _INT) else f"a value of kind {kind}")
        count = int.from_bytes(self._take(4), "little")
        if kind == _SEQUENCE:
            return tuple([self.value() for _ in range(count)])
        data = self._take(count)
        return data.decode() if kind == _TEXT else int.from_bytes(data, "little", signed=True)

    def _take(self, count: int) -> bytes:
        data = self._payload[self._at : self._at + count]
        if len(data) != count:
            raise ValueError("it ends too early")
        self._at += count
        return data

    @property
    def is_at_end(self) -> bool:
        """Whether nothing follows."""
        return self._at == len(self._payload)

    def check_end(self) -> None:
        """Nothing may follow but the zeros that fill a record up."""
        rest = self._payload[self._at :]
        if len(rest) >= 8 or rest.strip(b"\0"):
            raise ValueError("something follows its last field")


def unpack(number: int, version: int, rows: int, payload: bytes) -> Journaled:
    """Return the input, decision or state that a record holds.

    Raises:
        DataError: it is of a type or version that this program does not know, or not what ``pack`` makes.
    """
    try:
        if number == _journal.TICKS:
            check_version(number, version, 1)
            return TickBlock(**cast("dict[str, Any]", _journal.read_block(payload, rows)))
        if number == _journal.TICK:
            check_version(number, version, 1)
            return _one_tick(payload)
        kind = _BY_NUMBER.get(number)
        if kind is None:
            raise DataError(f"a record of type {number}, which this version does not know", fix=_NEWER)
        check_version(number, version, version_of(kind))
        values, names = _Unpacker(payload), fields_of(kind)
        event = kind(**{name: values.value() for name in names})
        values.check_end()
    except (ValueError, KeyError, ZeroDivisionError, TypeError, RecursionError) as error:
        raise DataError(f"a {name_of(number)} that cannot be read: {error}") from None
    return cast("Journaled", event)


_NEWER = "read it with the version of microburst that wrote it"


def check_version(number: int, version: int, known: int) -> None:
    """Refuse a record of a version that this program does not read.

    Raises:
        DataError: it is one.
    """
    if version != known:
        raise DataError(f"a {name_of(number)} of version {version}, and this program reads {known}", fix=_NEWER)


def _one_tick(payload: bytes) -> TickBlock:
    import numpy as np

    if len(payload) != 48:
        raise ValueError("a tick has six numbers")
    instrument, *numbers = struct.unpack("<6q", payload)
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    columns: dict[str, Any] = {name: np.array([number], np.int64) for name, number in zip(names, numbers, strict=True)}
    return TickBlock(**columns, instrument=np.array([instrument], np.uint16))
