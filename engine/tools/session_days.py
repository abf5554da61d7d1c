"""Trading days as people read them: hours on the exchange's clock, what is unusual, and what rules make of a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from engine.sessions.clock import DAY_NS, UTC, Clock, day_text
from engine.sessions.rules import Boundary, Happens, Schedule
from engine.sessions.trading_calendar import Calendar

NEIGHBOURS = 15
"""Sessions on either side that tell what is usual: more than half of any three weeks are ordinary."""

EPOCH = datetime(1970, 1, 1)
"""00:00 on any clock."""


@dataclass(frozen=True, slots=True)
class SessionDay:
    """A trading day of a calendar: a session, or a day without one whose reason is known."""

    day: int
    """In days since 1970-01-01."""
    note: str
    """What is not ordinary about it, and why; empty on most days."""
    open_ns: int = 0
    close_ns: int = 0
    pauses_ns: tuple[tuple[int, int], ...] = ()
    boundaries: tuple[Boundary, ...] = ()
    """Of the schedule, from the opening to the close."""

    @property
    def is_closed(self) -> bool:
        return self.open_ns == self.close_ns

    def to_json(self, clock: Clock) -> dict[str, Any]:
        """Return the day as JSON: moments in UTC nanoseconds and as ISO text on the exchange's clock."""
        found: dict[str, Any] = {"trading_day": day_text(self.day), "note": self.note, "session": None}
        if not self.is_closed:
            found["session"] = {
                "open": moment_json(self.open_ns, clock),
                "close": moment_json(self.close_ns, clock),
                "pauses": [[moment_json(ns, clock) for ns in pause] for pause in self.pauses_ns],
                "boundaries": [boundary_json(one, clock) for one in self.boundaries],
            }
        return found


def session_days(calendar: Calendar, schedule: Schedule, first: int, last: int) -> Iterator[SessionDay]:
    """Yield the trading days from ``first`` to ``last``, in order; days without session only where a note says why."""
    rows = {int(calendar.days[row]): row for row in range(*np.searchsorted(calendar.days, (first, last + 1)).tolist())}
    for day in sorted({*rows, *(noted for noted in calendar.notes if first <= noted <= last)}):
        if day not in rows:
            yield SessionDay(day, f"closed: {calendar.notes[day]}")
            continue
        row = rows[day]
        open_ns, close_ns = int(calendar.opens_ns[row]), int(calendar.closes_ns[row])
        begin, end = np.searchsorted(calendar.pauses_ns[:, 0], (open_ns, close_ns)).tolist()
        pauses = tuple((a, b) for a, b in calendar.pauses_ns[begin:end].tolist())
        boundaries = tuple(schedule.between(open_ns, close_ns + 1))
        yield SessionDay(day, note_of(calendar, row), open_ns, close_ns, pauses, boundaries)


def note_of(calendar: Calendar, row: int) -> str:
    """Say what is not ordinary about a session and why: closes early: Christmas Eve."""
    note = calendar.notes.get(int(calendar.days[row]), "")
    unusual = _unusual(calendar, row) if note else []
    return f"{' and '.join(unusual)}: {note}" if unusual and note not in unusual else note


def _unusual(calendar: Calendar, row: int) -> list[str]:
    """Say whether a session opens later or closes earlier than most around it, on the exchange's clock."""
    around = slice(max(0, row - NEIGHBOURS), row + NEIGHBOURS + 1)
    midnights = calendar.days[around] * DAY_NS
    opens = calendar.clock.from_utc(calendar.opens_ns[around]) - midnights
    closes = calendar.clock.from_utc(calendar.closes_ns[around]) - midnights
    this = row - around.start
    words = ["opens late"] if opens[this] > np.median(opens) else []
    return words + (["closes early"] if closes[this] < np.median(closes) else [])


def entry_stretches(day: SessionDay) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a session within which entries are allowed."""
    begin = day.open_ns
    for ts_ns, happens in day.boundaries:
        if Happens.ENTRIES_ON in happens and ts_ns < day.close_ns:
            begin = ts_ns
        if Happens.ENTRIES_OFF in happens and ts_ns > day.open_ns:
            yield begin, ts_ns


def flattenings(day: SessionDay) -> list[int]:
    """Return the moments at which rules close everything."""
    return [ts_ns for ts_ns, happens in day.boundaries if Happens.FLATTEN in happens]


def local(ts_ns: int, clock: Clock) -> datetime:
    """Return what a clock shows at a moment, to the microsecond."""
    shown_ns = int(clock.from_utc(np.array([ts_ns], np.int64))[0])
    return EPOCH + timedelta(microseconds=shown_ns // 1000)


def offset_text(ts_ns: int, clock: Clock) -> str:
    """Return what a clock is ahead of UTC at a moment: -05:00."""
    minutes = (local(ts_ns, clock) - local(ts_ns, UTC)) // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def moment_json(ts_ns: int, clock: Clock) -> dict[str, Any]:
    """Return a moment as JSON."""
    return {"ts_ns": ts_ns, "local": local(ts_ns, clock).isoformat() + offset_text(ts_ns, clock)}


def boundary_json(boundary: Boundary, clock: Clock) -> dict[str, Any]:
    """Return a boundary as JSON."""
    return {**moment_json(boundary.ts_ns, clock), "happens": boundary.happens.words()}
