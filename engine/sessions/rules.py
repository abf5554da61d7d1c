"""Session rules: when entries are allowed and when everything is closed, compiled to one sorted list of boundaries.

The rules speak the language of a wall clock (``avoid 12:00-14:00``, ``flatten at 16:45``); a :class:`Schedule` is what
they come to on one calendar, daylight saving, half days and breaks included: at each boundary something happens, and
between two boundaries nothing does. A kernel stops at ``next_ns``, does what ``happens_at`` says, and asks
``entries_allowed`` in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, nearest
from engine.quantities import parse_duration_ns, parse_time_of_day_ns
from engine.sessions.clock import (
    DAY_NS,
    FIRST_YEAR,
    LAST_YEAR,
    MINUTE_NS,
    NEW_YORK,
    SATURDAY,
    SUNDAY,
    THURSDAY,
    UTC,
    Clock,
    day_number,
)
from engine.sessions.trading_calendar import NEVER_NS, Calendar, check_years

Ints = NDArray[np.int64]


class Span(NamedTuple):
    """A stretch of every day on a wall clock, ``[begin, end)`` in nanoseconds since midnight.

    One that ends before it begins goes on past midnight: 22:00-02:00.
    """

    begin_ns: int
    end_ns: int

    def __str__(self) -> str:
        return f"{time_text(self.begin_ns)}-{time_text(self.end_ns)}"


DAY_PARTS = {
    "open_drive": Span(570 * MINUTE_NS, 600 * MINUTE_NS),
    "midday": Span(720 * MINUTE_NS, 840 * MINUTE_NS),
    "power_hour": Span(900 * MINUTE_NS, 960 * MINUTE_NS),
}
"""Parts of the US trading day by name: 09:30 to 10:00, 12:00 to 14:00 and 15:00 to 16:00."""

CLOCKS = {clock.name: clock for clock in (UTC, NEW_YORK)}


@dataclass(frozen=True, slots=True)
class SessionRules:
    """When a strategy may enter, and when it must be flat; times of day are those of the exchange's clock.

    Entries are allowed while a session is open, within ``entries``, outside ``avoid``, ``maintenance`` and the
    calendar's pauses, and not between a flattening and the end of what it was for.
    """

    entries: tuple[Span, ...] = ()
    """Entries only within these; empty: the whole session."""
    avoid: tuple[Span, ...] = ()
    """No entries within these; positions stay."""
    maintenance: Span | None = None
    """Nothing is open within it: positions are closed when it begins. For markets whose calendar has no such break."""
    flatten_at_ns: int | None = None
    """Close everything at this time of the trading day; entries resume after ``maintenance``, or the next session."""
    flatten_before_close_ns: int | None = None
    """Close everything so long before every close, on half days too; entries resume with the next session."""
    friday_close_ns: int | None = None
    """Close everything at this time of the last trading day before a Saturday; entries resume after the weekend."""
    clock: Clock | None = None
    """The clock of these times; None: that of the calendar."""

    @classmethod
    def read(cls, settings: Mapping[str, str], origins: Mapping[str, str] | None = None) -> SessionRules:
        """Return rules from text: ``{"avoid": "12:00-14:00", "flatten_at": "16:45"}``. Empty text leaves a rule out.

        ``origins`` says where each was found, for errors; ``session.KEY`` unless told otherwise.
        Spans are separated by commas and may be :data:`DAY_PARTS` by name; ``flatten_before_close`` is a duration,
        ``zone`` one of :data:`CLOCKS`, the other keys are times of day.

        Raises:
            ConfigError: an unknown key, or a value that is none.
        """
        found: dict[str, Any] = {}
        for key, text in settings.items():
            where = (origins or {}).get(key, f"session.{key}")
            if key not in _READERS:
                raise ConfigError(f"there is no session rule '{key}'", where=where, fix=nearest(key, _READERS))
            name, parse = _READERS[key]
            if text.strip():
                found[name] = parse(text.strip(), where)
        return cls(**found)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) not in ((), None) for one in fields(self) if one.name != "clock")


class Happens(IntFlag):
    """What happens at a boundary; several things may."""

    CLOSE = 1
    OPEN = 2
    FLATTEN = 4
    ENTRIES_OFF = 8
    ENTRIES_ON = 16

    def words(self) -> list[str]:
        """Return the names of what happens, in the order in which it does."""
        return [one.name.lower().replace("_", " ") for one in Happens if one in self and one.name]


class Boundary(NamedTuple):
    """A moment, UTC, and what happens then."""

    ts_ns: int
    happens: Happens


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What a calendar and session rules come to: sorted arrays of equal length, one row a boundary."""

    name: str
    ts_ns: Ints
    happens: NDArray[np.int8]
    """:class:`Happens` of each boundary."""
    entries: NDArray[np.bool_]
    """Whether entries are allowed from each boundary to the next."""

    def next_ns(self, ts_ns: int) -> int:
        """Return the first boundary after ``ts_ns``; ``NEVER_NS`` where nothing ever happens."""
        return NEVER_NS if not len(self.ts_ns) else int(self.ts_ns[self._passed(ts_ns)])

    def happens_at(self, ts_ns: int) -> Happens:
        """Return what happens exactly at ``ts_ns``: ``Happens(0)`` almost always."""
        if not len(self.ts_ns):
            return Happens(0)
        row = int(np.searchsorted(self.ts_ns, ts_ns))
        return Happens(int(self.happens[row]) if row < len(self.ts_ns) and self.ts_ns[row] == ts_ns else 0)

    def entries_allowed(self, ts_ns: int) -> bool:
        """Say whether a position may be opened at ``ts_ns``."""
        return bool(self.entries_allowed_at(np.array([ts_ns], np.int64))[0])

    def entries_allowed_at(self, ts_ns: Ints) -> NDArray[np.bool_]:
        """``entries_allowed`` of many times in rising order."""
        if not len(self.ts_ns):
            return np.ones(len(ts_ns), np.bool_)
        for end in ts_ns[[0, -1]].tolist() if len(ts_ns) else []:
            check_years(self.name, end, self.ts_ns)
        passed = np.searchsorted(self.ts_ns, ts_ns, side="right")
        return (passed > 0) & self.entries[passed - 1]

    def between(self, from_ns: int, to_ns: int) -> Iterator[Boundary]:
        """Yield the boundaries in ``[from_ns, to_ns)``."""
        first, last = np.searchsorted(self.ts_ns, (from_ns, to_ns)).tolist()
        for row in range(first, last):
            yield Boundary(int(self.ts_ns[row]), Happens(int(self.happens[row])))

    def _passed(self, ts_ns: int) -> int:
        check_years(self.name, ts_ns, self.ts_ns)
        return int(np.searchsorted(self.ts_ns, ts_ns, side="right"))


def day_part(calendar: Calendar, ts_ns: int) -> str:
    """Return the part of the trading day at ``ts_ns``, one of :data:`DAY_PARTS`; empty in no part or no session."""
    if calendar.session_index(ts_ns) < 0:
        return ""
    time_ns = int(calendar.clock.from_utc(np.array([ts_ns], np.int64))[0]) % DAY_NS
    return next((name for name, (begin, end) in DAY_PARTS.items() if begin <= time_ns < end), "")


# --- From rules to boundaries -----------------------------------------------------------------------------------------


class _Sessions(NamedTuple):
    """The sessions that rules are applied to; of a market that never closes, the days on the rules' clock."""

    opens: Ints
    closes: Ints
    days: Ints
    clock: Clock
    endless: bool

    def moments(self, time_ns: int) -> tuple[Ints, Ints]:
        """Return the moments of a time of day of each trading day that lie within the session, and their rows."""
        ts_ns = self.clock.to_utc(self.days * DAY_NS + time_ns)
        rows = np.flatnonzero((ts_ns >= self.opens) & (ts_ns < self.closes))
        return ts_ns[rows], rows

    def stretches(self, span: Span) -> tuple[Ints, Ints]:
        """Return begin and end of a span of every day, as far as it lies within sessions."""
        begin_ns, end_ns = span.begin_ns, span.end_ns + (DAY_NS if span.end_ns <= span.begin_ns else 0)
        first = self.clock.from_utc(self.opens) // DAY_NS - 1  # a span past midnight may have begun the day before
        days = int((self.clock.from_utc(self.closes) // DAY_NS - first).max(initial=0)) + 1
        begins = np.concatenate([self.clock.to_utc((first + n) * DAY_NS + begin_ns) for n in range(days)])
        ends = np.concatenate([self.clock.to_utc((first + n) * DAY_NS + end_ns) for n in range(days)])
        begins = np.maximum(begins, np.tile(self.opens, days))
        ends = np.minimum(ends, np.tile(self.closes, days))
        within = begins < ends
        return begins[within], ends[within]


def schedule(calendar: Calendar, rules: SessionRules | None = None) -> Schedule:
    """Return the boundaries of a calendar and session rules.

    Raises:
        ConfigError: a rule that never takes effect on this calendar, such as flattening at 20:00 where sessions end
            at 16:00; or rules that leave no time for an entry.
    """
    rules = rules or SessionRules()
    if calendar.is_always and not rules:
        return Schedule(calendar.name, np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.bool_))
    sessions = _sessions(calendar, rules.clock or calendar.clock)
    begins, ends = _stretches(sessions, rules.entries, "entries", calendar.name)
    flattens = list(_flattens(sessions, rules, calendar.name))
    pauses = calendar.pauses_ns[:, 0], calendar.pauses_ns[:, 1]
    blocks = [pauses, _stretches(sessions, rules.avoid, "avoid", calendar.name), *flattens]
    open_for = (begins, ends) if rules.entries else (sessions.opens, sessions.closes)
    blocked = np.concatenate([begin for begin, _end in blocks]), np.concatenate([end for _begin, end in blocks])
    ts_ns, (opened, wanted, barred) = _sweep((sessions.opens, sessions.closes), open_for, blocked)
    entries = (opened > 0) & (wanted > 0) & (barred == 0)
    if not entries.any():
        raise ConfigError(f"together they never allow an entry on {calendar.name}", where="session rules")
    before = np.append(False, entries[:-1])
    happens = np.zeros(len(ts_ns), np.int8)
    happens[entries & ~before] |= Happens.ENTRIES_ON
    happens[~entries & before] |= Happens.ENTRIES_OFF
    for moments, _until in flattens:
        happens[np.searchsorted(ts_ns, moments)] |= Happens.FLATTEN
    if not sessions.endless:
        happens[np.searchsorted(ts_ns, sessions.opens)] |= Happens.OPEN
        happens[np.searchsorted(ts_ns, sessions.closes)] |= Happens.CLOSE
    kept = happens != 0
    return Schedule(calendar.name, ts_ns[kept], happens[kept], entries[kept])


def _sessions(calendar: Calendar, clock: Clock) -> _Sessions:
    if not calendar.is_always:
        return _Sessions(calendar.opens_ns, calendar.closes_ns, calendar.days, clock, endless=False)
    days = np.arange(day_number(date(FIRST_YEAR, 1, 1)), day_number(date(LAST_YEAR + 1, 1, 1)), dtype=np.int64)
    return _Sessions(clock.to_utc(days * DAY_NS), clock.to_utc((days + 1) * DAY_NS), days, clock, endless=True)


def _stretches(sessions: _Sessions, spans: tuple[Span, ...], rule: str, calendar: str) -> tuple[Ints, Ints]:
    """Return begin and end of all spans of a rule."""
    found = [sessions.stretches(span) for span in spans]
    for span, (begins, _ends) in zip(spans, found, strict=True):
        if not len(begins):
            raise _in_vain(f"{rule} {span}", calendar)
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    begins, ends = (np.concatenate(side) for side in zip(*found, strict=True))
    return begins, ends


def _flattens(sessions: _Sessions, rules: SessionRules, calendar: str) -> Iterator[tuple[Ints, Ints]]:
    """Yield for each rule the moments at which everything is closed, and when entries resume after each."""
    closes = sessions.closes
    over = np.empty(0, np.int64)
    if rules.maintenance is not None:  # where it is a break of the calendar anyway, it changes nothing
        begins, ends = sessions.stretches(rules.maintenance)
        yield begins, ends
        over = np.sort(ends)
    if rules.flatten_at_ns is not None:
        moments, rows = sessions.moments(rules.flatten_at_ns)
        if not len(moments):
            raise _in_vain(f"flatten_at {time_text(rules.flatten_at_ns)}", calendar)
        resumes = np.append(over, NEVER_NS)[np.searchsorted(over, moments, side="right")]
        yield moments, np.minimum(closes[rows], resumes)
    if rules.flatten_before_close_ns is not None:
        if sessions.endless:
            raise _in_vain("flatten_before_close", calendar)
        yield np.maximum(sessions.opens, closes - rules.flatten_before_close_ns), closes
    if rules.friday_close_ns is not None:
        moments, rows = sessions.moments(rules.friday_close_ns)
        last = np.isin(rows, _before_weekends(sessions.days))
        if not last.any():
            raise _in_vain(f"friday_close {time_text(rules.friday_close_ns)}", calendar)
        yield moments[last], _after_weekends(sessions)[rows[last]]


def _weekday(days: Ints) -> Ints:
    return (days + THURSDAY) % 7


def _before_weekends(days: Ints) -> Ints:
    """Return the rows of the last trading days before a Saturday: Fridays, and Thursdays before a Friday's holiday."""
    saturdays = (days - 2) // 7  # passed until then: 1970-01-03 was one
    return np.flatnonzero(np.diff(saturdays, append=saturdays[-1] + 1))


def _after_weekends(sessions: _Sessions) -> Ints:
    """Return for each session when the first one after the next weekend opens.

    Where Saturdays are traded the weekend is Saturday and Sunday; elsewhere a session on Sunday is a new week's.
    """
    weekday = _weekday(sessions.days)
    traded = (weekday == SATURDAY) | ((weekday == SUNDAY) & np.isin(sessions.days - 1, sessions.days))
    opens = np.append(sessions.opens[~traded], sessions.closes[-1])
    following: Ints = opens[np.searchsorted(opens, sessions.opens, side="right").clip(max=len(opens) - 1)]
    return following


def _sweep(*kinds: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Return every moment at which a stretch begins or ends, and how many of each kind are under way from then on."""
    ts_ns = np.unique(np.concatenate([side for kind in kinds for side in kind]))
    counts = np.zeros((len(kinds), len(ts_ns)), np.int64)
    for count, (begins, ends) in zip(counts, kinds, strict=True):
        np.add.at(count, np.searchsorted(ts_ns, begins), 1)
        np.add.at(count, np.searchsorted(ts_ns, ends), -1)
    return ts_ns, counts.cumsum(axis=1)


def _in_vain(rule: str, calendar: str) -> ConfigError:
    what = f"{rule} never takes effect: no session of {calendar} contains it"
    return ConfigError(what, where="session rules", fix=f"see its hours: microburst calendar next '{calendar}'")


# --- Reading and writing ----------------------------------------------------------------------------------------------


def time_text(time_ns: int) -> str:
    """Return a time of day as 09:30, with seconds where there are any."""
    minute, rest = divmod(time_ns, MINUTE_NS)
    text = f"{minute // 60:02}:{minute % 60:02}"
    return f"{text}:{rest // (MINUTE_NS // 60):02}" if rest else text


def _parse_span(text: str, where: str) -> Span:
    if text in DAY_PARTS:
        return DAY_PARTS[text]
    begin, dash, end = text.replace("–", "-").partition("-")
    if not dash:
        fix = f"write it as 12:00-14:00, or one of {', '.join(DAY_PARTS)}"
        raise ConfigError(f"'{text}' is not a stretch of the day", where=where, fix=fix)
    span = Span(*(parse_time_of_day_ns(side.strip(), where=where) for side in (begin, end)))
    if span.begin_ns == span.end_ns:
        raise ConfigError(f"'{text}' is empty", where=where, fix="end it later than it begins")
    return span


def _parse_spans(text: str, where: str) -> tuple[Span, ...]:
    return tuple(_parse_span(part.strip(), where) for part in text.split(","))


def _parse_time(text: str, where: str) -> int:
    return parse_time_of_day_ns(text, where=where)


def _parse_duration(text: str, where: str) -> int:
    return parse_duration_ns(text, where=where)


def _parse_clock(text: str, where: str) -> Clock:
    if text not in CLOCKS:
        raise ConfigError(f"no clock of {text!r} is built in", where=where, fix=nearest(text, CLOCKS))
    return CLOCKS[text]


RULE_KEYS = ("entries", "avoid", "maintenance", "flatten_at", "flatten_before_close", "friday_close", "zone")
"""What :meth:`SessionRules.read` knows."""

_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "entries": ("entries", _parse_spans),
    "avoid": ("avoid", _parse_spans),
    "maintenance": ("maintenance", _parse_span),
    "flatten_at": ("flatten_at_ns", _parse_time),
    "flatten_before_close": ("flatten_before_close_ns", _parse_duration),
    "friday_close": ("friday_close_ns", _parse_time),
    "zone": ("clock", _parse_clock),
}
