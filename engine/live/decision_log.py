"""The log of decisions at DEBUG: each with its number in the journal, entries with every value and its threshold.

    decision  decision=7 kind=OrderSubmitted symbol=AAPL ... why="move 0.0006 (>= 0.0005), surge 2.1 (> 1.5)"

It is a journal around the journal, put there only when somebody keeps DEBUG entries: otherwise nothing of this runs.
The number is the same in every replay of the session, and ``microburst explain --session SESSION --decision 7`` asks
about it.
"""

from __future__ import annotations

from typing import Any

import structlog

from engine.events import Decision, OrderSubmitted, SignalDeclined, SignalRefused, SignalSkipped
from engine.ports import Journal
from engine.trading.kernel import Kernel

SIGNALS = (SignalSkipped, SignalRefused, SignalDeclined)
"""Decisions that a signal led to, and the order of an entry: what these were decided on is told as well."""

log = structlog.get_logger("decisions")


class LoggedJournal:
    """Passes each decision on to a journal, and tells the log of it.

    Args:
        journal: where decisions go.
        kernel: what decides; it may be set later, since a kernel is made with its journal.
        decided: decisions before the first that comes here.
    """

    def __init__(self, journal: Journal, kernel: Kernel | None = None, decided: int = 0) -> None:
        self._journal = journal
        self._number = decided
        self.kernel = kernel

    def append(self, decision: Decision) -> None:
        """Write a decision, then tell of it."""
        self._journal.append(decision)
        self._number += 1
        log.debug("decision", decision=self._number, kind=type(decision).__name__, **self._facts(decision))

    def _facts(self, decision: Decision) -> dict[str, Any]:
        facts = {name: _plain(value) for name, value in decision._asdict().items()}
        kernel, lane_number = self.kernel, facts.pop("lane", None)
        if kernel is None or lane_number is None:
            return facts
        lane = kernel.lanes[lane_number]
        facts |= {"lane": lane_number, "symbol": kernel.instruments[lane.instrument].symbol}
        entry = isinstance(decision, OrderSubmitted) and decision.purpose == "entry"
        if entry or isinstance(decision, SIGNALS):
            facts["why"] = ", ".join(
                f"{view.name} {value:.6g} ({view.op} {threshold:.6g})"
                for view in lane.rule.views
                for value, threshold, _ in [view.values(kernel.core, lane.instrument)]
            )
        return facts


def _plain(value: Any) -> Any:
    """A field of a decision as the log writes it: whole numbers and text; a price between ticks as a number."""
    return value if isinstance(value, int | str) else float(value)
