"""Why the engine traded or did not at one moment: every condition with its value, and what risk would have said.

The same kernel runs over the ticks up to that moment and no further, so what is shown is what it knew then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from typing import Any, NamedTuple

import numpy as np

from engine.account.carried import Carried
from engine.calendars import calendar as find_calendar
from engine.errors import DataError
from engine.events import (
    DayStarted,
    Decision,
    OrderSubmitted,
    Refusal,
    SignalDeclined,
    SignalRefused,
    SignalSkipped,
    TimePassed,
)
from engine.graph.readings import ConditionView
from engine.journal.writer import MemoryJournal
from engine.lineup import Entrant, Line, assignments_of, entrants_of, labels, traded_by
from engine.model import Side, TickBlock
from engine.run_settings import Settings
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.observation import engine_time, is_trade, kernel_of, of_instrument
from engine.tools.rule_parts import Part, sides_of, view_of, watching
from engine.trading.dispatch import NO_ENTRIES
from engine.trading.kernel import Input, Kernel
from engine.trading.lanes import Lane

SCHEMA = "microburst.explain/2"

GROUPS = {"&": "all of", "|": "any of"}


@dataclass(frozen=True, slots=True)
class ConditionLine:
    """A line of a side's tree, in evaluation order: one condition, or what joins those one level deeper.

    ``distance`` is value minus threshold. Both are NaN while undefined, and on lines that compare nothing.
    """

    side: str
    depth: int
    name: str
    holds: bool
    value: float = nan
    op: str = ""
    threshold: float = nan
    distance: float = nan
    unit: str = ""


@dataclass(slots=True)
class Explanation:
    """One strategy on one instrument at one moment."""

    strategy: str  # as its line-up calls it
    symbol: str
    ts_ns: int  # of the last trade up to the moment asked for
    price: float
    bid: float
    ask: float
    warm: bool
    warm_in_ns: int  # until every time window has been seen in full; 0 once it has
    warm_in_trades: int  # likewise for windows of trades
    in_session: bool
    conditions: list[ConditionLine] = field(default_factory=list)
    state: str = "none"  # what the rule says: none, long or short
    position: str = "flat"
    cooldown_left: int = 0
    refusal: str = ""  # why risk would open nothing
    why: str = ""  # the answer in one sentence
    decisions: list[str] = field(default_factory=list)  # made on that very trade

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def explain(file: TickFile, line: Line, settings: Settings, at_ns: int) -> list[Explanation]:
    """Explain the last trade at or before ``at_ns``, one entry per strategy and instrument that has traded by then.

    Raises:
        DataError: nothing has traded by then.
    """
    clock = engine_time(file.block)
    rows = int(np.searchsorted(clock, at_ns, side="right"))
    if not rows:
        fix = f"the first is at {np.datetime64(int(clock[0]), 'ns')} UTC" if len(clock) else ""
        raise DataError(f"no tick at or before {np.datetime64(at_ns, 'ns')} UTC", where=file.source, fix=fix)
    return explain_rows(file, line, settings, rows, at_ns)


def explain_rows(file: TickFile, line: Line, settings: Settings, rows: int, at_ns: int) -> list[Explanation]:
    """Explain what was known after the first ``rows`` records, at ``at_ns``, which is not before any of them."""
    return explain_inputs(file, line, settings, [file.block.part(0, rows)], at_ns)


def explain_inputs(
    file: TickFile,
    line: Line,
    settings: Settings,
    inputs: Iterable[Input],
    at_ns: int,
    prepare: Callable[[Kernel], None] = lambda kernel: None,
    carried: Carried | None = None,
    decision: int | None = None,
) -> list[Explanation]:
    """Explain what was known after these inputs, at ``at_ns``; of ``file`` only its instruments and name count.

    All strategies of the line-up trade on one account, as in the run itself.

    Args:
        file, line, settings, inputs, at_ns: as said.
        prepare: sees the kernel before the first input; its first lanes are those of the line-up, in order.
        carried: what the account had brought from its session before.
        decision: the number of one, counted from 1, after which nothing more is taken in.

    Raises:
        DataError: nothing was traded in them.
    """
    journal, entrants = MemoryJournal(), entrants_of(line)
    watches = [[_Watch(part, watching(one.strategy, part.condition)) for part in singles_of(one)] for one in entrants]
    assignments = assignments_of(line, file.instruments, settings)
    for entrant, watched in zip(entrants, watches, strict=True):
        places = traded_by(entrant, file.instruments)
        assignments += [settings.assignment(one.by, places) for one in watched]
    kernel = kernel_of(file, assignments, settings, journal, carried=carried)
    prepare(kernel)
    watchers = {id(one.by) for watched in watches for one in watched}
    # What watchers let pass is no decision of the run's.
    silent = {lane.number for lane in kernel.lanes if id(lane.strategy) in watchers}
    traded: dict[int, _LastTrade] = {}  # of each instrument
    clock_ns = made = 0
    for event in _last_alone(inputs):
        before = len(journal.decisions)
        kernel.process(event)
        if isinstance(event, TickBlock) and len(event):
            clock = np.maximum(engine_time(event), clock_ns)
            clock_ns = int(clock[-1])
            for index in range(len(file.instruments)):
                rows = np.flatnonzero(is_trade(event) & of_instrument(event, index))
                if len(rows):
                    traded[index] = _LastTrade(int(clock[rows[-1]]), before)
        made += sum(getattr(one, "lane", None) not in silent for one in journal.decisions[before:])
        if decision is not None and made >= decision:
            break
    else:
        kernel.process(TimePassed(at_ns))
    if not traded:
        raise DataError(f"no trade at or before {np.datetime64(at_ns, 'ns')} UTC", where=file.source)
    in_session = find_calendar(settings.calendar).session_index(at_ns) >= 0
    explained = []
    for label, entrant, watched in zip(labels(entrants), entrants, watches, strict=True):
        for lane in kernel.lanes:
            if lane.strategy is entrant.strategy and not lane.follows and lane.instrument in traded:
                moment = _Moment(kernel, label, lane, watched, journal)
                explained.append(moment.explanation(traded[lane.instrument], in_session))
    return explained


class _LastTrade(NamedTuple):
    """An instrument's last trade: its engine time, and how many decisions had been made before its records."""

    ts_ns: int
    decisions: int


def _last_alone(inputs: Iterable[Input]) -> Iterator[Input]:
    """The inputs, of the last block its last record by itself: what is decided on that is told from what was before."""
    waiting: Input | None = None
    for event in inputs:
        if waiting is not None:
            yield waiting
        waiting = event
    if isinstance(waiting, TickBlock) and len(waiting) > 1:
        yield waiting.part(0, len(waiting) - 1)
        waiting = waiting.part(len(waiting) - 1, len(waiting))
    if waiting is not None:
        yield waiting


class _Watch(NamedTuple):
    """One condition of a strategy's rule, and the strategy that watches it and enters nothing."""

    part: Part
    by: Strategy


def singles_of(entrant: Entrant) -> list[Part]:
    """The single conditions of an entrant's rule, in evaluation order."""
    return [part for tree in sides_of(entrant.strategy).values() for part in tree.singles()]


class _Moment:
    """One strategy's lane on one instrument as it stands, and those that watch each of its conditions."""

    def __init__(
        self, kernel: Kernel, label: str, lane: Lane, watches: Sequence[_Watch], journal: MemoryJournal
    ) -> None:
        self._kernel, self._label, self._lane, self._index = kernel, label, lane, lane.instrument
        here = {id(other.strategy): other for other in kernel.lanes if other.instrument == lane.instrument}
        self._watching = {part.text: here[id(by)] for part, by in watches}
        own = lane.number  # what has no lane is the account's
        numbered = enumerate(journal.decisions)
        self._decisions = [(n, one) for n, one in numbered if getattr(one, "lane", own) == own]

    def explanation(self, last: _LastTrade, in_session: bool) -> Explanation:
        """Explain the instrument's last trade."""
        ts_ns = last.ts_ns
        kernel, lane, index = self._kernel, self._lane, self._index
        instrument = kernel.instruments[index]
        unit = 10.0**-instrument.price_precision
        first_ns, trades = kernel.core.warm_since(index)
        cold_ns = max(0, first_ns + lane.rule.warm_up.ns - ts_ns)
        cold_trades = max(0, lane.rule.warm_up.trades - trades)
        warm = not cold_ns and not cold_trades
        bid, ask = kernel.core.quote(index)
        position = kernel.portfolio.positions.get(lane.number)
        state = self._state(lane) if warm else 0
        found = Explanation(
            strategy=self._label,
            symbol=instrument.symbol,
            ts_ns=ts_ns,
            price=kernel.core.price(index) * unit,
            bid=bid * unit if bid else nan,
            ask=ask * unit if ask else nan,
            warm=warm,
            warm_in_ns=cold_ns,
            warm_in_trades=cold_trades,
            in_session=in_session,
            conditions=[
                line for side, tree in sides_of(lane.strategy).items() for line in self._lines(side.word, tree, 0)
            ],
            state=("none", "long", "short")[state],
            position="flat" if position is None else position.side.word,
            cooldown_left=lane.cooldown_left,
            refusal=self._refusal(state),
            decisions=[_in_words(one) for n, one in self._decisions if one.ts_ns == ts_ns and n >= last.decisions],
        )
        found.why = self._why(found)
        return found

    def _refusal(self, state: int) -> str:
        """What risk says to an entry on the rule's side, as the strategy declares it; with neither side, on any.

        What a strategy's own ``on_fire`` would ask for is not known without asking it: then only what stands in the way
        of every entry is told.
        """
        kernel, lane = self._kernel, self._lane
        if not kernel.entries_allowed:
            return NO_ENTRIES
        if lane.gate >= 0 and not kernel.core.value(self._index, lane.gate):
            return Refusal.REGIME.value
        if lane.asks_strategy or lane.strategy.on_tick is not None:
            refusal = kernel.risk.refusal(self._index)
        else:
            sides = [
                side for side in sides_of(lane.strategy) if not state or side is (Side.LONG, Side.SHORT)[state - 1]
            ]
            answers = [kernel.would_refuse(lane, side) for side in sides]
            refusal = None if None in answers else answers[0]
        return "" if refusal is None else refusal.value

    def _state(self, lane: Lane) -> int:
        return int(self._kernel.core.value(self._index, lane.rule.state) or 0)

    # -- conditions

    def _lines(self, side: str, part: Part, depth: int) -> Iterator[ConditionLine]:
        if part.op:
            yield ConditionLine(side, depth, GROUPS[part.op], self._holds(part))
            for inner in part.parts:
                yield from self._lines(side, inner, depth + 1)
            return
        lane, holds = self._watching[part.text], self._holds(part)
        own = view_of(part.condition, lane.rule.views)
        if own is not None:
            yield self._compared(side, depth, own, holds)
            return
        yield ConditionLine(side, depth, part.text, holds)  # made of others, which are told below it
        for view in lane.rule.views:
            if view.name != part.text:
                yield self._compared(side, depth + 1, view, None)

    def _compared(self, side: str, depth: int, view: ConditionView, holds: bool | None) -> ConditionLine:
        value, threshold, own = view.values(self._kernel.core, self._index)
        verdict = own if holds is None else holds
        return ConditionLine(side, depth, view.name, verdict, value, view.op, threshold, value - threshold, view.unit)

    def _holds(self, part: Part) -> bool:
        if not part.op:
            return self._state(self._watching[part.text]) == 1
        each = [self._holds(inner) for inner in part.parts]
        return all(each) if part.op == "&" else any(each)

    # -- the answer

    def _why(self, found: Explanation) -> str:
        if found.position != "flat":
            return f"a {found.position} position is open"
        if not found.in_session:
            return "the session is closed"
        if not self._kernel.entries_allowed:
            return "the session's rules allow no entries at this time"
        if not found.conditions:
            return "on_tick decides, and declares no condition"
        if not found.warm:
            return "the windows are not full yet"
        if found.state == "none":
            return "; ".join(self._missing(side, tree) for side, tree in sides_of(self._lane.strategy).items())
        kinds = (OrderSubmitted, SignalSkipped, SignalRefused, SignalDeclined)
        last = next((one for _, one in reversed(self._decisions) if isinstance(one, kinds)), None)
        begun = f"the {found.state} signal"
        if last is None:
            return begun
        when = f"at {np.datetime64(last.ts_ns, 'ns')} UTC"
        if isinstance(last, SignalSkipped):
            return f"{begun} was skipped by the cooldown {when}"
        if isinstance(last, SignalRefused):
            return f"{begun} was refused {when}: {last.reason}"
        if isinstance(last, SignalDeclined):
            return f"{begun} was let pass by on_fire {when}"
        if last.purpose == "entry":
            return f"{begun} was entered {when}"
        return f"a position was closed {when}; the {found.state} signal begins anew with the next trade"

    def _missing(self, side: Side, tree: Part) -> str:
        failed = [_short(part) for part in (tree.parts if tree.op == "&" else (tree,)) if not self._holds(part)]
        return f"no {side.word}: {', '.join(failed)}" if failed else f"{side.word} waits for the first quote"


def _short(part: Part) -> str:
    """What fails, as briefly as it can be said without being mistaken for something else."""
    if part.op:
        return f"{GROUPS[part.op]} ({', '.join(map(_short, part.parts))})"
    return part.text


def _in_words(decision: Decision) -> str:
    """``OrderFilled price_ticks=17001 …``: the decision's name and what it says."""
    fields = {name: value for name, value in decision._asdict().items() if name != "ts_ns"}
    if isinstance(decision, DayStarted):
        fields.pop("equity", None)
    return " ".join([type(decision).__name__, *(f"{name}={value}" for name, value in fields.items())])
