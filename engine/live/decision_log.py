"""The log of decisions at DEBUG: each with its number in the journal, entries with every value and its threshold.

    decision  decision=7 kind=OrderSubmitted symbol=AAPL ... why="move 0.0006 (>= 0.0005), surge 2.1 (> 1.5)"

It stands before the journal only when somebody keeps DEBUG entries: otherwise nothing of this runs.
The number is the same in every replay of the session, and ``microburst explain --session SESSION --decision 7`` asks
about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from engine.events import Decision, OrderSubmitted, SignalDeclined, SignalRefused, SignalSkipped
from engine.trading.kernel import Kernel

SIGNALS = (SignalSkipped, SignalRefused, SignalDeclined)
"""Decisions that a signal led to, and the order of an entry: what these were decided on is told as well."""

log = structlog.get_logger("decisions")


def tell_decisions_of(kernel: Kernel) -> None:
    """Tell the log of every decision of a kernel from now on, after it was written to the kernel's journal."""
    kernel.journal.append = DecisionLog(kernel).append  # type: ignore[method-assign]  # everybody writes through it


class DecisionLog:
    """Writes decisions to a kernel's journal, and tells the log of each."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._write: Callable[[Decision], None] = kernel.journal.append
        self._number = int(getattr(kernel.journal, "decided", 0))  # of the newest; a resumed session has some already

    def append(self, decision: Decision) -> None:
        """Write a decision, then tell of it."""
        self._write(decision)
        self._number += 1
        log.debug("decision", decision=self._number, kind=type(decision).__name__, **self._facts(decision))

    def _facts(self, decision: Decision) -> dict[str, Any]:
        facts = {name: _plain(value) for name, value in decision._asdict().items()}
        kernel, lane_number = self._kernel, facts.pop("lane", None)
        if lane_number is None:
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
