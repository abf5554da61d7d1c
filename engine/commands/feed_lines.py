"""What becomes of a session's feed, in few lines: connected, lost, back."""

from __future__ import annotations

from collections.abc import Iterator

from engine.telemetry_wire import Snapshot

THERE = ("live", "gap", "end")
"""States of a feed that is heard. What was lost in a gap is counted; the market itself is there."""


class FeedLines:
    """Turns snapshots into the news about their feed, and adds up for how long there was none.

    A feed that was lost and is back between two snapshots is told by its count of reconnects.
    """

    def __init__(self) -> None:
        self._state = ""  # of the newest snapshot
        self._lost_ts_ns = 0  # since when there is no feed; 0 while there is one
        self._attempts = 0  # connections made until it was lost
        self._reconnects = 0
        self._without_ns = 0

    def of(self, snapshot: Snapshot) -> Iterator[str]:
        """Yield the news in ``snapshot``, oldest first."""
        feed, now_ns = snapshot.feed, snapshot.engine_ts_ns
        state, before, reconnects = feed.state, self._state, self._reconnects
        self._state, self._reconnects = state, feed.reconnects
        if state == "closed" or snapshot.ended:
            return
        there = state in THERE
        if not before and there:
            yield f"connected to {feed.address}"
            return
        unseen = there and not self._lost_ts_ns and feed.reconnects > reconnects
        if (not there and not self._lost_ts_ns) or unseen:
            self._lost_ts_ns, self._attempts = now_ns, reconnects
            yield self._lost(snapshot, "its connection ended" if unseen else feed.detail)
        elif state == "reconnecting" and before == "stale":
            yield self._lost(snapshot, feed.detail)
        if there and self._lost_ts_ns:
            lost_ns, self._lost_ts_ns = now_ns - self._lost_ts_ns, 0
            self._without_ns += lost_ns
            attempts = feed.reconnects - self._attempts
            after = f"{attempts} {'attempt' if attempts == 1 else 'attempts'} / " if attempts else ""
            yield f"back after {after}{lost_ns / 1e9:.1f} s: {feed.address}"

    @staticmethod
    def _lost(snapshot: Snapshot, why: str) -> str:
        feed = snapshot.feed
        why = why.removeprefix(f"attempt {feed.reconnects + 1}: ")
        what, next_ = ("silent", "waiting for it") if feed.state == "stale" else ("lost", "reconnecting")
        return f"{what}: {feed.address}{f' ({why})' if why else ''}; {next_}"

    def without_s(self, snapshot: Snapshot) -> float:
        """Return for how long there was no feed, up to ``snapshot``."""
        lost_ns = snapshot.engine_ts_ns - self._lost_ts_ns if self._lost_ts_ns else 0
        return (self._without_ns + lost_ns) / 1e9
