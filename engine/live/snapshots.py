"""Snapshots of a session's kernel: taken while it trades, put back when it is brought back.

One is taken once so much has been recorded since the last, between two inputs, by whoever looks after the journal a few
times a second: its core's memory is copied, and what Python remembers is gathered. The helper thread of the
journal writes it. A kernel of other code, settings or strategies than the one that was kept is never put back into.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from hashlib import blake2b
from pathlib import Path
from typing import Any

import structlog

from engine import _image
from engine.journal.codec import pack_value, unpack_values
from engine.journal.snapshots import Snapshot, SnapshotUnfitError, read, write
from engine.journal.writer import SessionJournal
from engine.live.recording import RecordedKernel, state_of
from engine.tools.provenance import build_hash, code_hash, strategies_hash
from engine.trading.kernel import Kernel

log = structlog.get_logger("journal")

EVERY_BYTES = 16 << 20
"""From one snapshot to the next, of the journal: a hundred milliseconds' work to do again, at most."""

MOST_BYTES = 16 << 20
"""Of a core's memory: copying that takes some milliseconds, on the thread that trades. Beyond, none is taken."""

BELONGS = {
    "code_sha256": "other code",
    "build_sha256": "another build",
    "strategy_sha256": "another version of the strategy",
    "config_sha256": "another configuration",
    "kernel": "rules that were compiled otherwise",
}
"""What a snapshot belongs to, and what is said of one that belongs to something else."""


def belonging(manifest: Mapping[str, Any], kernel: Kernel) -> dict[str, Any]:
    """What decides whether a snapshot of a session and this kernel, composed by its manifest, go together."""
    plans = [
        (lane.number, lane.instrument, lane.lots, lane.plan, lane.entry_plan, lane.hedge, lane.gate, lane.sizing)
        for lane in kernel.lanes
    ]
    parameters = [sorted(lane.strategy.parameters.items()) for lane in kernel.lanes]
    shape = blake2b(_image.shape_of(kernel.core), digest_size=16)
    shape.update(repr((plans, parameters, kernel.risk.limits, kernel.instruments)).encode())
    return {
        "code_sha256": code_hash(),
        "build_sha256": build_hash(),
        "strategy_sha256": strategies_hash([type(lane.strategy) for lane in kernel.lanes]),
        "config_sha256": manifest.get("config_sha256"),
        "kernel": shape.hexdigest(),
    }


class Snapshots:
    """Takes the snapshots of a session.

    Args:
        recorded: the kernel, which writes to ``journal``.
        journal: of the session.
    """

    def __init__(self, recorded: RecordedKernel, journal: SessionJournal, every_bytes: int | None = None) -> None:
        self._recorded, self._journal = recorded, journal
        self._every = EVERY_BYTES if every_bytes is None else every_bytes
        self._trades = bytearray()  # packed; they only ever become more
        self._packed = 0  # how many of them
        self._taken_at = recorded.kept_at
        self._writing: Future[None] | None = None
        self._off = recorded.kernel.remembers_in_python
        self._belongs = belonging(journal.manifest, recorded.kernel)  # now: a file may be edited while its code runs

    def look(self) -> None:
        """Take a snapshot if it is time: called between inputs, a few times a second."""
        if not self._off and self._journal.size - self._taken_at >= self._every and not self._journal.reducing:
            self.take()

    def take(self) -> None:
        """Take a snapshot, unless the one before is still being written."""
        recorded, journal = self._recorded, self._journal
        kernel, core = recorded.kernel, recorded.kernel.core
        if self._writing is not None and not self._writing.done():
            return
        if (size := _image.size_of(core)) > MOST_BYTES:
            self._off = True
            log.info("no snapshots", core_bytes=size, most_bytes=MOST_BYTES)
            return
        try:
            image = _image.image_of(core)
        except RuntimeError:  # a failure that nobody foresaw has left an input where it was
            return
        state = state_of(kernel, recorded.inputs, journal, recorded.chain)
        facts = {
            "session": str(journal.manifest.get("session")),
            **self._belongs,
            "inputs": journal.inputs,
            "worked_through": recorded.inputs,
            "ticks": recorded.ticks,
            "decisions": journal.decided,
            "chain": recorded.chain,
            "state": state.chain,
            "decision_state": journal.decision_state.hex(),
            "size": journal.size,
        }
        self._taken_at, place = journal.size, journal.place
        kept, trades, instruments = kernel.kept, kernel.trades[self._packed :], kernel.instruments

        def written() -> None:
            try:
                self._trades += b"".join(pack_value(trade.values(instruments)) for trade in trades)
                self._packed += len(trades)
                write(journal.directory, Snapshot(place, facts, (pack_value(kept), bytes(self._trades), bytes(image))))
            except OSError as error:
                log.warning("no snapshot", why=error.strerror or str(error))
            except Exception as error:  # something that cannot be packed: the journal is all that is needed
                log.error("no snapshot", exc_info=error)

        self._writing = journal.later(written)

    def wait(self) -> None:
        """Wait until the last one is written."""
        if self._writing is not None:
            self._writing.result()


def put_back(path: Path, manifest: Mapping[str, Any], kernel: Kernel) -> Snapshot:
    """Make a kernel, as it was composed by its session's manifest, what it was when a snapshot was taken.

    Raises:
        SnapshotUnfitError: the snapshot is not sound, or not of such a kernel. The kernel is then good for nothing.
    """
    snapshot = read(path)
    facts, where = snapshot.facts, str(path)
    if facts.get("session") != str(manifest.get("session")):
        raise SnapshotUnfitError(f"it is of session {facts.get('session')}", where=where)
    for name, value in belonging(manifest, kernel).items():
        if facts.get(name) != value:
            raise SnapshotUnfitError(f"it was made by {BELONGS[name]}", where=where)
    try:
        kept, trades, image = snapshot.parts
        _image.put_back(kernel.core, image)
        (remembered,) = unpack_values(kept)
        kernel.restore(remembered, list(unpack_values(trades)))
        if pack_value(kernel.kept) != kept:
            raise ValueError("not all of it comes back")
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise SnapshotUnfitError(f"it cannot be put back: {error}", where=where) from None
    return snapshot
