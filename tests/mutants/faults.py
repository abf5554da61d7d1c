"""The faults, each of a kind that somebody has really made, and the tests that must find it.

``before`` stands exactly once in the file. A change to the code that moves it breaks the list loudly: a fault that
cannot be made is a failure too.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """Replace ``before`` by ``after`` in ``file``; one of ``tests`` fails."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


COLUMNS = "tests/props/test_core_columns.py"
LANES = "tests/unit/test_core_lanes.py"
ORACLE = "tests/oracle/test_engine_vs_oracle.py"
GUARD = "tests/unit/test_wire_guard.py"
FRAMES = "tests/props/test_wire_frames.py"
CATALOGUE = "tests/oracle/test_catalogue_vs_engine.py"

FAULTS = (
    Fault(
        "two windows keep a trade that has just expired",
        "engine/_windows.pxd",
        "tail_a = next_two_tails(ts, mask, tail_a, now[k] - window_a + 1, now[k + 1] - window_a + 1, &out_a[k])",
        "tail_a = next_two_tails(ts, mask, tail_a, now[k] - window_a, now[k + 1] - window_a, &out_a[k])",
        (COLUMNS, ORACLE, CATALOGUE),
    ),
    Fault(
        "a window's last trades are written past the end of the ring",
        "engine/_tape.pxd",
        "        memcpy(ring, cells + room, (n - room) * sizeof(int64_t))",
        "        memcpy(ring, cells, (n - room) * sizeof(int64_t))",
        (COLUMNS,),
    ),
    Fault(
        "the running total of price times size forgets a trade at the end of a block",
        "engine/_tape.pxd",
        "    totals[tape.head & mask] = running\n    return running",
        "    return running",
        (COLUMNS,),
    ),
    Fault(
        "the oldest extreme is kept when the window has moved past it",
        "engine/_windows.pxd",
        "            back_high = INT64_MIN\n",
        "",
        (COLUMNS, CATALOGUE),
    ),
    Fault(
        "at least is read as more than",
        "engine/_values.pxd",
        "    cdef int64_t least = (0 if node.k == CMP_GE else 1) - node.constant",
        "    cdef int64_t least = 1 - node.constant",
        ("tests/props/test_graph_values.py", ORACLE),
    ),
    Fault(
        "a stop is missed when the price is exactly there",
        "engine/_lanes.pxd",
        "            if p <= lane.stop_ticks or p >= lane.target_ticks:",
        "            if p < lane.stop_ticks or p >= lane.target_ticks:",
        (LANES, ORACLE),
    ),
    Fault(
        "a short position's target is missed when the price is exactly there",
        "engine/_lanes.pxd",
        "        elif p >= lane.stop_ticks or p <= lane.target_ticks:",
        "        elif p >= lane.stop_ticks or p < lane.target_ticks:",
        (LANES, ORACLE),
    ),
    Fault(
        "a second with no trade is not flat",
        "engine/_lanes.pxd",
        "            if lane.flat_run >= lane.flat_candles:",
        "            if lane.flat_run > lane.flat_candles:",
        (LANES, ORACLE),
    ),
    Fault(
        "a duplicate trade is believed",
        "engine/_guard.pxd",
        "    return REJECT_DUPLICATE if id_seen(m, id) else ACCEPTED",
        "    return ACCEPTED",
        (GUARD, FRAMES),
    ),
    Fault(
        "missing trades are not disclosed",
        "engine/_guard.pxd",
        "        m.missed = m.missed or id - m.last_id > 1\n",
        "",
        (GUARD, FRAMES),
    ),
    Fault(
        "a price jump is believed one confirmation early",
        "engine/_guard.pxd",
        "m.price_confirmed >= limits.confirmations:",
        "m.price_confirmed >= limits.confirmations - 1:",
        (GUARD, FRAMES),
    ),
    Fault(
        "a crossed quote is believed",
        "engine/_guard.pxd",
        "    if r.bid_ticks and r.ask_ticks and r.bid_ticks > r.ask_ticks:",
        "    if False:",
        (GUARD, FRAMES),
    ),
    Fault(
        "the clock runs back with a late record",
        "engine/_core.pyx",
        "        now = ts[k] if ts[k] > now else now\n",
        "        now = ts[k]\n",
        (COLUMNS, "tests/unit/test_core_limits.py"),
    ),
    Fault(
        "an invalid price is let in when it is the last of a block",
        "engine/_core.pyx",
        "        bits |= <uint64_t>cells[k] - 1\n",
        "        bits = <uint64_t>cells[0] - 1\n",
        ("tests/unit/test_core_limits.py", COLUMNS),
    ),
    Fault(
        "daylight saving ends a week late",
        "engine/session_clock.py",
        "nth_weekday(year, 11, SUNDAY, 1)",
        "nth_weekday(year, 11, SUNDAY, 2)",
        ("tests/unit/test_sessions.py", "tests/unit/test_calendars.py"),
    ),
    Fault(
        "the back-off does not grow",
        "feeds/reconnect.py",
        "self._failures += 1",
        "self._failures += 0",
        ("tests/unit/test_feed_ws.py",),
    ),
)
