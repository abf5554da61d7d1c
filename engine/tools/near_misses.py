"""Why not, over a whole run: what each condition held back, and what those trades would have made.

Definitions, all over one instrument's trades while the rule's windows are warm, the session is open and its rules allow
entries:

* A condition *stands alone* on a trade when its side gives no signal there and would if that condition did not fail.
* A *near miss* of a condition is a signal of the rule without it (see ``rule_parts.without``) that begins on such a
  trade. It begins and ends as signals do: on the trade on which the state changes, once for as long as it lasts.
* It was *met later* when the rule itself came to hold before that signal ended: the condition only delayed it.

Each near miss that the strategy's own ``on_fire`` does not let pass is traded alone (``engine.tools.single_trades``).
The sum is not what the rule without the condition would have made: there positions and cooldown exclude each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.account.metrics import WATERFALL, trade_metrics
from engine.account.portfolio import Trade
from engine.backtesting import check_accepted
from engine.errors import ConfigError
from engine.events import Decision, End, OrderSubmitted, Refusal, SignalDeclined, SignalRefused, SignalSkipped
from engine.model import Side, Signal
from engine.results import plain
from engine.run_settings import Settings
from engine.store.ticks import TickFile
from engine.strategy import Context, Strategy
from engine.tools.observation import Observation, States, Watched, compose
from engine.tools.rule_parts import Part, listening, replaced, sides_of, telling, watching, without
from engine.tools.single_trades import Entry, SingleTrades

SCHEMA = "microburst.why-not/1"

COOLDOWN, ON_FIRE = "COOLDOWN", "ON_FIRE"
"""Who else says no, beside the refusals of risk."""

FIGURES = ("trades", "wins", "losses", "open_at_end", *WATERFALL)
"""What is told of trades; definitions in ``engine.account.metrics``."""


@dataclass(slots=True)
class Begun:
    """A signal that began: its number among the instrument's trades, and the entry it asked for, if any."""

    number: int
    side: Side
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class ConditionCount:
    """One condition of one side over the run."""

    side: str
    condition: str
    held: int  # trades
    alone: int  # trades on which it was the only one that failed
    near_misses: int
    met_later: int
    let_pass: int  # by the strategy's own on_fire
    not_filled: int  # no quote to fill at, or called back on its way
    figures: dict[str, Any]  # of the near misses, each traded alone

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {name: getattr(self, name) for name in self.__slots__ if name != "figures"}
        return {**counts, "would_have_made": plain(self.figures)}


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """Signals of the rule that were not entered, by who said no."""

    reason: str  # ON_FIRE, a refusal of risk, or COOLDOWN
    signals: int
    not_filled: int
    figures: dict[str, Any] | None  # None for ON_FIRE: there was nothing to trade

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        made = None if self.figures is None else plain(self.figures)
        return {
            "reason": self.reason,
            "signals": self.signals,
            "not_filled": self.not_filled,
            "would_have_made": made,
        }


@dataclass(frozen=True, slots=True)
class WhyNot:
    """One strategy on one instrument over a run."""

    symbol: str
    trades: int  # in the data
    judged: int  # of them, with warm windows in an open session whose rules allow entries
    held: dict[str, int]  # trades on which each side held
    conditions: list[ConditionCount]
    entered: int
    refusals: list[RefusalCount]
    figures: dict[str, Any]  # of the run's own trades

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "symbol": self.symbol,
            "trades": self.trades,
            "judged": self.judged,
            "held": self.held,
            "conditions": [one.to_json() for one in self.conditions],
            "entered": self.entered,
            "refusals": [one.to_json() for one in self.refusals],
            "made": plain(self.figures),
        }


def why_not(file: TickFile, strategy: Strategy, settings: Settings) -> list[WhyNot]:
    """Summarise a run over ``file``, one entry per instrument.

    Raises:
        ConfigError: the strategy declares no condition.
        DataError: the ticks are not valid.
    """
    sides = sides_of(strategy)
    if not sides:
        name = type(strategy).__name__
        raise ConfigError(f"{name} decides in on_tick and declares no condition", fix="declare long = or short =")
    conditions = [(side, part) for side, tree in sides.items() for part in tree.singles()]
    alone = SingleTrades(file, strategy, settings)
    run = _Run(file, strategy, settings)
    ears = [_Ear() for _ in conditions]
    declared = strategy.conditions()
    lanes = [listening(strategy, declared, _unheard)]
    for (side, part), ear in zip(conditions, ears, strict=True):
        lanes.append(listening(strategy, replaced(declared, side, without(sides[side], part.text)), ear.hear))
    lanes += [watching(strategy, part.condition) for _, part in conditions]
    observation = Observation(file, settings, lanes)
    for ear in ears:
        ear.observation = observation
    watched = observation.run()
    return [
        _summary(index, watched[index], observation, list(zip(conditions, ears, strict=True)), alone, run)
        for index in range(len(file.instruments))
    ]


def _unheard(context: Context, side: Side, signal: Signal | None) -> None:
    """Nobody listens to the rule itself: its states say enough."""


class _Ear:
    """Hears the signals of one rule as they begin in an observation."""

    def __init__(self) -> None:
        self.begun: dict[int, list[Begun]] = {}  # by instrument
        self.observation: Observation | None = None

    def hear(self, context: Context, side: Side, signal: Signal | None) -> None:
        """Note a signal."""
        run = self.observation
        assert run is not None, "it is told of the run before the run begins"
        index = run.file.instruments.index(context.instrument)
        quote = context.bid_ticks, context.ask_ticks
        entry = None if signal is None else entry_of(index, run.row, quote, signal)
        self.begun.setdefault(index, []).append(Begun(run.number(index, run.row), side, entry))


def entry_of(instrument: int, row: int, quote: tuple[int, int], signal: Signal) -> Entry:
    """The entry that a signal asks for, by the order that it brings where it does."""
    return Entry(
        instrument,
        row,
        signal.side,
        signal.stop_ticks,
        signal.target_ticks,
        *quote,
        signal.entry_ticks if signal.order is not None else 0,
        signal.order,
        signal.trigger_ticks,
        signal.good_for_ns,
        signal.post_only,
        signal.confidence,
    )


def _summary(
    index: int,
    watched: Watched,
    observation: Observation,
    conditions: list[tuple[tuple[Side, Part], _Ear]],
    alone: SingleTrades,
    run: _Run,
) -> WhyNot:
    lanes = observation.lanes[index]
    judged = watched.may_enter & watched.warm(lanes[0])
    states = [np.where(judged, column, 0).astype(np.uint8) for column in watched.states]
    rule, count = states[0], len(conditions)
    found = []
    for place, ((side, part), ear) in enumerate(conditions, start=1):
        state = 1 if side is Side.LONG else 2
        near = [b for b in ear.begun.get(index, ()) if b.side is side and rule[b.number] != state]
        entries = [b.entry for b in near if b.entry is not None]
        trades = [alone.trade(entry) for entry in entries]
        found.append(
            ConditionCount(
                side=side.word,
                condition=part.text,
                held=int(np.count_nonzero(states[place + count])),
                alone=int(np.count_nonzero((states[place] == state) & (rule != state))),
                near_misses=len(near),
                met_later=sum(_met_later(states[place], rule, b.number, state) for b in near),
                let_pass=len(near) - len(entries),
                not_filled=sum(trade is None for trade in trades),
                figures=figures_of(trades),
            )
        )
    symbol = observation.file.instruments[index].symbol
    held = {side.word: int(np.count_nonzero(rule == state)) for side, state in ((Side.LONG, 1), (Side.SHORT, 2))}
    return WhyNot(
        symbol=symbol,
        trades=len(judged),
        judged=int(np.count_nonzero(judged)),
        held=held,
        conditions=found,
        entered=run.entered(index),
        refusals=run.refusals(index, alone),
        figures=figures_of([trade for trade in run.kernel.trades if trade.symbol == symbol]),
    )


def _met_later(loose: States, rule: States, number: int, state: int) -> bool:
    """Whether the rule comes to hold before the signal that begins at ``number`` ends."""
    ends = np.flatnonzero(loose[number:] != state)
    end = number + int(ends[0]) if len(ends) else len(loose)
    return bool((rule[number:end] == state).any())


def figures_of(trades: Iterable[Trade | None]) -> dict[str, Any]:
    """Figures of the trades there are; money in the account's currency."""
    found = trade_metrics([trade for trade in trades if trade is not None])
    return {name: found[name] for name in FIGURES}


class _Run:
    """The run as it was, and its journal: what was entered, and who said no to what."""

    def __init__(self, file: TickFile, strategy: Strategy, settings: Settings) -> None:
        self._answer: Signal | None = None  # what the strategy's own code said last
        self._entered: Counter[int] = Counter()  # by instrument
        self._let_pass: Counter[int] = Counter()
        self._refused: list[tuple[str, Entry]] = []
        self.kernel = compose(file, [telling(strategy, self._told)], settings, self)
        self.kernel.process(file.block)
        self.kernel.process(End())
        check_accepted(file, self.kernel)

    def _told(self, signal: Signal | None) -> None:
        self._answer = signal

    def append(self, decision: Decision) -> None:
        """Note what became of a signal."""
        if not isinstance(decision, OrderSubmitted | SignalSkipped | SignalRefused | SignalDeclined):
            return
        core, lane = self.kernel.core, self.kernel.lanes[decision.lane]
        index = lane.instrument
        if isinstance(decision, OrderSubmitted):
            self._entered[index] += decision.purpose == "entry" and not lane.follows
        elif isinstance(decision, SignalDeclined):
            self._let_pass[index] += 1
        else:
            answer = self._answer or Signal(Side(decision.direction), 0)
            entry = entry_of(index, core.event_record_number, core.quote(index), answer)
            reason = COOLDOWN if isinstance(decision, SignalSkipped) else str(decision.reason)
            self._refused.append((reason, entry))

    def entered(self, index: int) -> int:
        """Signals that were entered."""
        return self._entered[index]

    def refusals(self, index: int, alone: SingleTrades) -> list[RefusalCount]:
        """Who said no, in the order in which they are asked, and what it kept out."""
        found = []
        if self._let_pass[index]:
            found.append(RefusalCount(ON_FIRE, self._let_pass[index], 0, None))
        entries = [(reason, entry) for reason, entry in self._refused if entry.instrument == index]
        for reason in [*Refusal, COOLDOWN]:
            trades = [alone.trade(entry) for why, entry in entries if why == reason]
            if trades:
                found.append(RefusalCount(str(reason), len(trades), trades.count(None), figures_of(trades)))
        return found
