"""Durations, ratios, amounts and fees: from what people type to exact numbers, and back.

Configuration files, flags, environment variables and strategy declarations all read their numbers here, so ``7s``,
``0.05%`` and ``5bps`` mean the same everywhere. Nothing passes through a binary float: a Python float is taken at the
decimal it prints as, so ``0.0005`` is exactly 1/2000. Every mistake is a :class:`~engine.errors.ConfigError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from engine.errors import ConfigError

Number = str | int | float | Decimal | Fraction
"""What the parsers take."""

NS_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DURATION_NS = 366 * 24 * NS_PER_UNIT["h"]
"""Longest accepted duration: a year. Longer ones are mistakes of unit."""

# At most 30 digits and a two-digit exponent: a typed number stays small, however it is written.
_DECIMAL = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?"
_NUMBER = re.compile(_DECIMAL)
_FRACTION = re.compile(r"[+-]?\d{1,30}/[1-9]\d{0,29}")
_DURATION = re.compile(rf"({_DECIMAL})\s*([a-zµ]*)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?")
_FEE = re.compile(rf"({_DECIMAL})\s*(bps?|(?:/|per\s+)(?:share|contract|unit))?")


@dataclass(frozen=True, slots=True)
class Fee:
    """A commission per fill: ``per_unit`` of quote currency for each share, contract or coin, plus ``bps`` of value."""

    per_unit: Fraction = Fraction(0)
    bps: Fraction = Fraction(0)

    def __str__(self) -> str:
        return f"{format_decimal(self.bps)}bps" if self.bps else f"{format_decimal(self.per_unit)}/unit"


def parse_number(value: Number, *, where: str = "") -> Fraction:
    """Return ``value`` exactly. Text may be a decimal (``0.05``, ``1e-3``) or a quotient (``1/3``).

    Raises:
        ConfigError: not a finite number.
    """
    if isinstance(value, bool):
        raise ConfigError(f"{value} is not a number", where=where, fix="write a number such as 0.05")
    if isinstance(value, Fraction):
        return value
    if hasattr(value, "__index__"):  # an integer of any library's
        return Fraction(int(value))
    text = repr(float(value)) if isinstance(value, float) else str(value).strip()
    if _NUMBER.fullmatch(text) or _FRACTION.fullmatch(text):
        return Fraction(text)
    raise ConfigError(f"{text!r} is not a number", where=where, fix="write a number such as 0.05")


def parse_duration_ns(value: Number, *, where: str = "") -> int:
    """Return a duration in whole nanoseconds from ``250ms``, ``7s``, ``1.5m`` or a bare number of seconds.

    Raises:
        ConfigError: no number, an unknown unit, a negative duration, a part of a nanosecond, or more than a year.
    """
    number, unit = value, "s"
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        match = _DURATION.fullmatch(value.strip().lower())
        if not match or match[2].replace("µ", "u") not in NS_PER_UNIT:
            fix = "write a number and one of ns, us, ms, s, m, h, such as 250ms (a bare number is seconds)"
            raise ConfigError(f"{value!r} is not a duration", where=where, fix=fix)
        number, unit = match[1], match[2].replace("µ", "u")
    duration = parse_number(number, where=where) * NS_PER_UNIT[unit]
    if duration.denominator != 1:
        raise ConfigError(f"{value} is not a whole number of nanoseconds", where=where)
    if not 0 <= duration <= MAX_DURATION_NS:
        raise ConfigError(f"{value} is outside 0 to 366 days", where=where, fix="a bare number is seconds")
    return int(duration)


MAX_TIME_NS = (1 << 63) - 1
"""The last moment that 64 bits hold: 2262-04-11."""

COARSER = {10: "seconds", 13: "milliseconds", 16: "microseconds"}
"""Digits of a present time in units that are not taken."""


def parse_time_ns(text: str, *, where: str = "") -> int:
    """Return a moment in nanoseconds since 1970 UTC, from ISO text (no zone: UTC) or whole nanoseconds.

    Raises:
        ConfigError: neither, or beyond what the engine's clock can hold.
    """
    moment_ns = _moment_ns(text, where)
    if not -MAX_TIME_NS <= moment_ns <= MAX_TIME_NS:
        raise ConfigError(f"{text!r} is outside the years 1678 to 2261", where=where, fix="correct the year")
    return moment_ns


def _moment_ns(text: str, where: str) -> int:
    if re.fullmatch(r"\d{1,19}", text.strip()):
        for digits, unit in COARSER.items():
            if len(text.strip()) == digits:  # in nanoseconds it would be within the first weeks of 1970
                fix = f"write it in nanoseconds: {text.strip():0<19}"
                raise ConfigError(f"{text.strip()} looks like {unit} since 1970", where=where, fix=fix)
        return int(text)
    match = _TIME.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(f"{match[1]}{match[3] or '+00:00'}")
    except ValueError:
        fix = "write it as 2024-01-02T14:30:05.123Z, or in whole nanoseconds since 1970"
        raise ConfigError(f"{text!r} is not a time", where=where, fix=fix) from None
    whole_seconds = (moment - EPOCH) // timedelta(seconds=1)
    return whole_seconds * NS_PER_UNIT["s"] + int((match[2] or "").ljust(9, "0"))


def parse_time_of_day_ns(text: str, *, where: str = "") -> int:
    """Return a time of day (``10:30``, ``09:30:15``) in nanoseconds since midnight.

    Raises:
        ConfigError: not one.
    """
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", str(text).strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a time of day", where=where, fix="write it as 10:30, or 09:30:15")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (hours * 3600 + minutes * 60 + seconds) * NS_PER_UNIT["s"]


def format_time_of_day(ns: int) -> str:
    """Return nanoseconds since midnight as a time of day: ``10:30``, with seconds where there are any."""
    minutes, seconds = divmod(ns // NS_PER_UNIT["s"], 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")


def parse_ratio(value: Number, *, where: str = "") -> Fraction:
    """Return a ratio exactly from a fraction (``0.0005``) or a percentage (``0.05%``).

    A bare number above 1 is nearly always a percentage whose sign was left out, and would count a hundredfold.

    Raises:
        ConfigError: not a number, with or without ``%``, or a bare one above 1.
    """
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_number(value.strip()[:-1].rstrip(), where=where) / 100
    try:
        ratio = parse_number(value, where=where)
    except ConfigError:
        fix = "write a fraction such as 0.0005 or a percentage such as 0.05%"
        raise ConfigError(f"{str(value)!r} is not a ratio", where=where, fix=fix) from None
    if abs(ratio) > 1 and not isinstance(value, Fraction) and "/" not in str(value):
        fix = f"write it with its %, such as {format_decimal(ratio)}%"
        raise ConfigError(f"{value} is {format_decimal(ratio * 100)}%", where=where, fix=fix)
    return ratio


def parse_fee(value: Number, *, where: str = "") -> Fee:
    """Return a fee from ``5bps`` (of traded value), ``0.005/share``, ``2.25/contract`` or a bare amount per unit.

    Raises:
        ConfigError: not of that form, or negative.
    """
    match = _FEE.fullmatch(str(value).strip().lower()) if isinstance(value, str) else None
    if isinstance(value, str) and not match:
        fix = "write 5bps, 0.005/share, 2.25/contract or an amount per unit"
        raise ConfigError(f"{value!r} is not a fee", where=where, fix=fix)
    amount = parse_number(match[1] if match else value, where=where)
    if amount < 0:
        raise ConfigError(f"a fee of {value} is negative", where=where)
    return Fee(bps=amount) if match and (match[2] or "").startswith("bp") else Fee(per_unit=amount)


def format_duration(duration_ns: int) -> str:
    """Return the shortest text that :func:`parse_duration_ns` reads back to ``duration_ns``: ``7s``, ``250ms``."""
    if duration_ns == 0:
        return "0s"
    for unit in ("h", "m", "s", "ms", "us"):
        if duration_ns % NS_PER_UNIT[unit] == 0:
            return f"{duration_ns // NS_PER_UNIT[unit]}{unit}"
    return f"{duration_ns}ns"


def format_decimal(number: Fraction) -> str:
    """Return ``number`` as a plain decimal, or as ``numerator/denominator`` when it has no finite decimal."""
    denominator, digits = number.denominator, 0
    while denominator % 10 == 0:
        denominator, digits = denominator // 10, digits + 1
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator, digits = denominator // prime, digits + 1
    if denominator != 1:
        return f"{number.numerator}/{number.denominator}"
    scaled = abs(number.numerator) * 10**digits // number.denominator
    whole, part = divmod(scaled, 10**digits)
    sign = "-" if number < 0 else ""
    tail = str(part).rjust(digits, "0").rstrip("0") if part else ""
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def format_ratio(ratio: Fraction) -> str:
    """Return ``ratio`` as an exact percentage, ``0.05%``; :func:`parse_ratio` reads it back to the same value."""
    text = format_decimal(ratio * 100)
    return format_decimal(ratio) if "/" in text else f"{text}%"
