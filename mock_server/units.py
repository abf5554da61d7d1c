"""Values of flags that have a unit: durations, speeds, instants and byte counts."""

from __future__ import annotations

import re
from decimal import Decimal

from mock_server.errors import MockError
from mock_server.timestamps import recognise, untimely

_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER = r"(\d+(?:\.\d+)?)\s*"
_MAX_SPEED = 1_000_000


def duration_s(text: str, flag: str) -> float:
    """Read ``60s``, ``250ms``, ``2h``; a bare number is seconds. Must be above zero."""
    match = re.fullmatch(_NUMBER + "(ns|us|ms|s|m|h)?", text.strip(), re.ASCII)
    ns = Decimal(match[1]) * _NS[match[2] or "s"] if match else Decimal(0)
    if not ns:
        raise MockError(f"{text!r} is not a duration", where=flag, fix="write for example 60s, 250ms or 2h")
    return float(ns / _NS["s"])


def speed_factor(text: str, flag: str) -> float:
    """Read ``1``, ``2.5`` or ``max`` (infinity)."""
    if text.strip() == "max":
        return float("inf")
    factor = float(text) if re.fullmatch(_NUMBER, text.strip(), re.ASCII) else 0.0
    if not 0 < factor <= _MAX_SPEED:
        raise MockError(f"{text!r} is not a speed", where=flag, fix="write a number above 0, such as 10, or max")
    return factor


def byte_count(text: str, flag: str) -> int:
    """Read ``8MiB``, ``65536``."""
    match = re.fullmatch(_NUMBER + "(B|KiB|MiB|GiB)?", text.strip(), re.ASCII)
    count = int(Decimal(match[1]) * _BYTES[match[2] or ""]) if match else 0
    if count <= 0:
        raise MockError(f"{text!r} is not a number of bytes", where=flag, fix="write for example 8MiB or 65536")
    return count


def instant_ns(text: str, flag: str) -> int:
    """Read an instant: ISO 8601 (without a zone: UTC) or an integer in s, ms, us or ns since the epoch."""
    try:
        read, _ = recognise(text.strip())
        ns = read(text.strip())
    except ValueError as error:
        raise MockError(str(error), where=flag) from None
    if why := untimely(ns):
        raise MockError(why, where=flag, fix="no reader takes such records")
    return ns
