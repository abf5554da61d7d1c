"""Timestamps of tick files: recognised from the first one, then read exactly, to int64 nanoseconds since the epoch."""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections.abc import Callable
from datetime import datetime

_SECOND_NS = 1_000_000_000
_MAX_NS = (1 << 63) - 1
_YEAR_2000_NS = 946_684_800 * _SECOND_NS

# Each unit's integers lie between the years 1973 and 5138, so that the size of a number tells its unit.
_UNITS = {
    "seconds": (10**8, 10**11, _SECOND_NS),
    "milliseconds": (10**11, 10**14, 1_000_000),
    "microseconds": (10**14, 10**17, 1_000),
    "nanoseconds": (10**17, 10**20, 1),
}
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


def recognise(sample: str) -> tuple[Callable[[str], int], str]:
    """Return a reader for timestamps like ``sample``, and a phrase that names their form.

    The reader raises ValueError, with a sentence, for text of another form than the sample's.
    """
    if sample.isascii() and sample.isdecimal():
        for unit, (low, high, scale_ns) in _UNITS.items():
            if low <= int(sample) < high:
                return _integer_reader(unit, low, high, scale_ns), f"integer {unit}"
    iso = _ISO.fullmatch(sample)
    if iso is None:
        raise ValueError(
            f"timestamp {sample!r} is neither ISO 8601 (2024-01-02T14:30:00.123) nor an integer s, ms, us or ns "
            "since the epoch, from 1973 on"
        )
    zoned = iso[4] is not None
    return _iso_reader(zoned), "ISO 8601 with a zone" if zoned else "ISO 8601 without a zone, taken as UTC"


def untimely(ns: int) -> str:
    """Say why no reader of the wire takes a record of this time; "" when there is no reason."""
    if ns < _YEAR_2000_NS:
        return "the time is before 2000"
    return "the time has not come yet" if ns > time.time_ns() else ""


def _integer_reader(unit: str, low: int, high: int, scale_ns: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"timestamp {text!r} is not an integer; the first one is in {unit}")
        value = int(text)
        if not low <= value < high or value * scale_ns > _MAX_NS:
            raise ValueError(f"timestamp {text} cannot be in {unit}, as the first one is")
        return value * scale_ns

    return read


def _iso_reader(zoned: bool) -> Callable[[str], int]:
    seconds: dict[tuple[str, str, str | None], int] = {}  # many ticks share a second

    def read(text: str) -> int:
        iso = _ISO.fullmatch(text)
        if iso is None:
            raise ValueError(f"timestamp {text!r} is not ISO 8601, as the first one is")
        day, clock, fraction, zone = iso.groups()
        if (zone is not None) != zoned:
            raise ValueError(f"timestamp {text!r} has {'no' if zoned else 'a'} zone, unlike the first one")
        key = (day, clock, zone)
        if key not in seconds:
            if len(seconds) >= 1 << 16:
                seconds.clear()
            seconds[key] = _epoch_seconds(day, clock, zone)
        return seconds[key] * _SECOND_NS + (int(fraction.ljust(9, "0")) if fraction else 0)

    return read


def _epoch_seconds(day: str, clock: str, zone: str | None) -> int:
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}")
    except ValueError as error:
        raise ValueError(f"timestamp '{day} {clock}{zone or ''}' does not exist: {error}") from None
    epoch = timegm(moment.utctimetuple())
    if not 0 < epoch < _MAX_NS // _SECOND_NS:
        raise ValueError(f"timestamp '{day} {clock}{zone or ''}' is outside the years 1970 to 2262")
    return epoch
