"""The health file: what a running session is about, for people and programs that look from outside.

One JSON object per process, ``health-PID.json`` in the runtime directory, readable by its owner alone, written whole or
not at all, once a second and whenever state or positions have changed, and removed when the session ends in order. One
that is left behind tells what a session was about when it died; the next engine that starts removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from engine.telemetry import make_private, private_directory, write_private
from engine.telemetry_wire import Snapshot
from feeds.base import SystemTiming, Timing

SCHEMA = "microburst.health/1"
EVERY_NS = 1_000_000_000
SILENT_S = 3.0
"""A process whose file is older than this shows no sign of life."""


class HealthFile:
    """Writes the health of this process.

    Args:
        directory: by default the per-user runtime directory.
        timing: the clocks; tests bring their own.
    """

    def __init__(self, directory: Path | None = None, timing: Timing | None = None) -> None:
        self._directory = directory or private_directory()
        self._timing = timing or SystemTiming()
        self._due_ns = 0
        self._facts: dict[str, Any] = {}
        self._standing: object = None  # state and positions as they were written
        self.path = self._directory / f"health-{os.getpid()}.json"
        make_private(self._directory)
        for report in read_health(self._directory):
            if not report["alive"]:
                (self._directory / f"health-{report['pid']}.json").unlink(missing_ok=True)

    def look(self, snapshot: Snapshot) -> None:
        """Take a picture of the session; it is written if a second has passed since the last, or at once with news."""
        now_ns = self._timing.monotonic_ns()
        held = [view.position is not None and (view.position.side, view.position.qty) for view in snapshot.symbols]
        standing = snapshot.account.state, snapshot.account.halted, held
        if now_ns < self._due_ns and standing == self._standing:
            return
        self._due_ns, self._standing = now_ns + EVERY_NS, standing
        self._facts = facts_of(snapshot)
        state = snapshot.account.state
        self.write("running" if state == "active" else state, snapshot.problem)

    def write(self, state: str, error: str = "") -> None:
        """Write the newest picture under this state; ``error`` is what went wrong, in a line."""
        facts = {
            "schema": SCHEMA,
            "pid": os.getpid(),
            "state": state,
            "written_ts_ns": self._timing.receive_stamp()[1],
            "last_error": error,
            **self._facts,
        }
        with suppress(OSError):  # a full disk is the journal's concern; who looks sees an old file
            write_private(self.path, orjson.dumps(facts, option=orjson.OPT_INDENT_2))

    def remove(self) -> None:
        """Forget the file: the session has ended in order."""
        self.path.unlink(missing_ok=True)


def facts_of(snapshot: Snapshot) -> dict[str, Any]:
    """What outsiders want to know of a session; durations in ms, latencies in µs, money in the account's unit."""
    feed, account = snapshot.feed, snapshot.account
    positions = {view.symbol: view.position for view in snapshot.symbols if view.position is not None}
    return {
        "session": snapshot.session_id,
        "mode": snapshot.mode,
        "strategy": snapshot.strategy,
        "engine_ts_ns": snapshot.engine_ts_ns,
        "feed": {
            "state": feed.state,
            "address": feed.address,
            "age_ms": None if feed.age_ms != feed.age_ms else round(feed.age_ms, 3),
            "old_batches": feed.old_batches,
            "queue_ticks": feed.queue_ticks,
            "accepted": feed.accepted,
            "rejected": feed.rejected,
            "gaps": feed.gaps,
            "reconnects": feed.reconnects,
        },
        "latency_p99_us": snapshot.latency_p99_us,
        "positions": {
            symbol: {"side": held.side, "qty": held.qty, "entry_price": held.entry_price}
            for symbol, held in positions.items()
        },
        "trades": account.trades,
        "daily_pnl": account.daily_pnl,
        "halted": account.halted,
        "limits": {one.name: {"use": one.use, "bound": one.bound} for one in account.gauges},
    }


def read_health(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield what every process has written, with ``alive`` and ``age_s`` added; what cannot be read is passed over."""
    if not directory.is_dir():
        return
    _, now_ns = SystemTiming().receive_stamp()
    for path in sorted(directory.glob("health-*.json")):
        try:
            facts = orjson.loads(path.read_bytes())
            state, pid = str(facts["state"]), int(facts["pid"])
            age_s = max(0.0, (now_ns - facts["written_ts_ns"]) / 1e9)
            yield {**facts, "state": state, "alive": lives(pid), "age_s": round(age_s, 3)}
        except (OSError, ValueError, KeyError, TypeError):
            continue


def lives(pid: int) -> bool:
    """Whether a process exists."""
    if os.name == "nt":
        return True  # there os.kill(pid, 0) would end the process instead of asking about it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
