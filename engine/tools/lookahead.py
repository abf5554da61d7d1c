"""A proof by running again that no decision rests on what came after it.

1. *Repeatable*: the same run again makes the same decisions.
2. *Tick by tick*: the records handed over one at a time give, after each, the decisions of the whole run up to there.
3. *Truncated*: cut off after a record, for every record at which something was decided and for others drawn at random,
   the run makes the decisions of the whole run up to there, and every condition has the same value, to the bit.

A rule knows nothing but what it has been handed. So one run is enough for all cuts: it is handed the records up to the
first, and compared there before it is handed those up to the second.

A strategy's own Python can look ahead, in data that it keeps. So where there is such code each cut is a run of its own,
from the beginning, and two: with what comes after it erased and with it mirrored, in every column as long as the ticks
that the strategy can reach (``engine.tools.futures``). What it cannot reach from its class, its module or itself is not
changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any

from engine.backtesting import check_accepted, make_kernel
from engine.errors import UserError
from engine.events import Decision, End, encode
from engine.journal.writer import MemoryJournal
from engine.lineup import Entrant
from engine.run_settings import Settings
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.checks import has_own_code
from engine.tools.futures import ERASED, MIRRORED, Reach, features_of
from engine.tools.observation import engine_time
from engine.tools.rule_parts import fresh
from engine.trading.kernel import Kernel

SCHEMA = "microburst.lookahead/1"

DEFAULT_POINTS = 100


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first difference found: in which check, at which record, and what either side says."""

    check: str  # "repeated", "tick by tick" or "truncated"
    row: int  # record in the file, counted from 0: the cut, or the record after which the runs differ
    ts_ns: int
    number: int | None  # of the decision, counted from 0; None where a condition's value differs
    whole_run: str
    instead: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(slots=True)
class Report:
    """What was compared, and the first mismatch, if any."""

    ticks: int
    decisions: int
    cuts: int  # truncated runs' places
    decision_cuts: int  # of them, records at which something was decided
    values: int  # condition values compared
    own_code: bool
    within_reach: list[str]  # names of data as long as the ticks that the strategy's own code could look at
    unchanged: list[str]  # likewise, but of a kind that could not be given another future
    mismatch: Mismatch | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "equal": self.mismatch is None}


Values = list[str]

Told = Callable[[str, int, int], None]
"""Hears how far a comparison is: its name, how many of its steps are done, and how many there are."""

STRIDE = 4096
"""Records between two words on how far the run tick by tick is."""


def lookahead(
    file: TickFile,
    strategy: Strategy | Entrant,
    settings: Settings,
    points: int = DEFAULT_POINTS,
    seed: int = 1,
    told: Told = lambda check, done, of: None,
) -> Report:
    """Compare the whole run with itself, tick by tick and truncated; stop at the first difference.

    Args:
        file, strategy, settings: as for a backtest; one of a line-up is run without the others.
        points: records drawn at random to cut at, beside those with decisions.
        seed: of the draw.
        told: hears how far it is.

    Raises:
        DataError: the ticks are not valid.
    """
    return _Comparison(file, strategy, settings, told).report(points, seed)


class _Comparison:
    def __init__(self, file: TickFile, entrant: Strategy | Entrant, settings: Settings, told: Told) -> None:
        self._entrant = Entrant(entrant) if isinstance(entrant, Strategy) else entrant
        strategy = self._entrant.strategy
        self._file, self._strategy, self._settings, self._told = file, strategy, settings, told
        own = has_own_code(strategy) or features_of(strategy)
        self._reach = Reach(strategy, file.block) if own else None
        self._clock = engine_time(file.block)
        self._whole = self._whole_run()
        self._after: list[int] = []  # decisions made once each record has been worked through
        self._values: dict[int, Values] = {}  # by record

    def report(self, points: int, seed: int) -> Report:
        """Run all comparisons."""
        records, reach = len(self._file.block), self._reach
        held = [] if reach is None else reach.names
        unchanged = [] if reach is None else reach.unchanged
        report = Report(records, len(self._whole), 0, 0, 0, reach is not None, held, unchanged)
        report.mismatch = self._difference("repeated", records - 1, self._whole_run())
        drawn = random.Random(seed).sample(range(records), min(points, records))  # noqa: S311 - a draw, not a secret
        if report.mismatch is None:
            report.mismatch = self._tick_by_tick(frozenset(drawn))
        if report.mismatch is None:
            self._truncated(report, drawn)
        return report

    # -- the three comparisons

    def _whole_run(self) -> list[Decision]:
        journal, kernel = self._compose(fresh(self._strategy))
        kernel.process(self._file.block)
        kernel.process(End())
        check_accepted(self._file, kernel)
        return journal.decisions

    def _tick_by_tick(self, drawn: frozenset[int]) -> Mismatch | None:
        """Hand the records over one at a time; note what is decided, and the values where it will be cut."""
        block, before = self._file.block, 0
        journal, kernel = self._compose(fresh(self._strategy))
        for row in range(len(block)):
            if row % STRIDE == 0:
                self._told("tick by tick", row, len(block))
            kernel.process(block.part(row, row + 1))
            made = len(journal.decisions)
            if made > before:
                mismatch = self._difference("tick by tick", row, journal.decisions, before, made)
                if mismatch is not None:
                    return mismatch
            if made > before or row in drawn:
                self._values[row] = _values_of(kernel)
            self._after.append(made)
            before = made
        kernel.process(End())
        return self._difference("tick by tick", len(block) - 1, journal.decisions)

    def _truncated(self, report: Report, drawn: Sequence[int]) -> None:
        """Cut after each record with a decision and each drawn one, in order, until something differs."""
        before = [0, *self._after]
        decided = frozenset(row for row, made in enumerate(self._after) if made > before[row])
        rows = sorted(decided.union(drawn))
        cut = self._go_on() if self._reach is None else partial(self._run_again, self._reach)
        for number, row in enumerate(rows):
            self._told("truncated", number, len(rows))
            report.cuts += 1
            report.decision_cuts += row in decided
            report.values += len(self._values[row])
            report.mismatch = cut(row)
            if report.mismatch is not None:
                return

    def _go_on(self) -> Callable[[int], Mismatch | None]:
        """One run for all cuts, in their order: at each it has been handed the records up to there and no other."""
        journal, kernel = self._compose(fresh(self._strategy))
        handed = 0

        def to(row: int) -> Mismatch | None:
            nonlocal handed
            kernel.process(self._file.block.part(handed, row + 1))
            compared, handed = self._after[handed - 1] if handed else 0, row + 1
            return self._at_cut(row, journal, kernel, compared)

        return to

    def _run_again(self, reach: Reach, row: int) -> Mismatch | None:
        """Run up to a record from the beginning, with either other future of what the strategy can reach."""
        for future in (ERASED, MIRRORED):
            with reach.other_future(row, future):
                strategy = fresh(self._strategy)
                reach.change_own(strategy, row, future)
                journal, kernel = self._compose(strategy)
                try:
                    kernel.process(self._file.block.part(0, row + 1))
                except UserError as error:  # of the strategy's code, which did not fail in the whole run
                    return Mismatch("truncated", row, int(self._clock[row]), None, "no error", error.line())
                mismatch = self._at_cut(row, journal, kernel)
            if mismatch is not None:
                return mismatch
        return None

    def _at_cut(self, row: int, journal: MemoryJournal, kernel: Kernel, compared: int = 0) -> Mismatch | None:
        """Compare the decisions from number ``compared`` on, and the values, of a run that ends after a record."""
        mismatch = self._difference("truncated", row, journal.decisions, compared, self._after[row])
        if mismatch is not None:
            return mismatch
        for expected, found in zip(self._values[row], _values_of(kernel), strict=True):
            if expected != found:
                return Mismatch("truncated", row, int(self._clock[row]), None, expected, found)
        return None

    # -- parts

    def _compose(self, strategy: Strategy) -> tuple[MemoryJournal, Kernel]:
        journal = MemoryJournal()
        return journal, make_kernel(
            self._file.instruments, [replace(self._entrant, strategy=strategy)], self._settings, journal
        )

    def _difference(
        self, check: str, row: int, found: list[Decision], begin: int = 0, end: int | None = None
    ) -> Mismatch | None:
        """Compare decisions ``begin`` to ``end`` of the whole run with those found from ``begin`` on."""
        pairs = zip_longest(self._whole[begin:end], found[begin:])
        for number, (expected, instead) in enumerate(pairs, start=begin):
            if expected is None or instead is None or encode(expected) != encode(instead):
                at = max(row, 0)
                return Mismatch(check, at, int(self._clock[at]), number, _in_words(expected), _in_words(instead))
        return None


def _in_words(decision: Decision | None) -> str:
    return "no decision" if decision is None else str(decision)


def _values_of(kernel: Kernel) -> Values:
    """Every condition as text that two values share only when they are the same to the bit."""
    return [
        f"{view.name} {view.op} {view.threshold_text}: {view.values(kernel.core, lane.instrument)!r}"
        for lane in kernel.lanes
        for view in lane.rule.views
    ]
