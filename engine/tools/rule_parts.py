"""A rule taken apart: each side as a tree of single conditions, and strategies that watch one part or leave one out.

A side is read the way the compiler reads it: ``&`` and ``|`` join, ``~`` in front of a bracket goes to each condition
inside (not both = either not). What is left are *single* conditions, each of which can only help its side to hold. So
"this one condition stood in the way" has one meaning: the side does not hold, and would if that condition did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MethodType
from typing import Any

from engine.graph.readings import ConditionView, name_of
from engine.language.grammar import Comparison, Condition, Expr, Joined, Negation
from engine.language.measures import Other, OtherCondition
from engine.model import Side, Signal
from engine.strategy import Context, Strategy, Tick, call

Sides = tuple[Condition | None, Condition | None]

OPPOSITE = {"&": "|", "|": "&"}
SIDES = (Side.LONG, Side.SHORT)


@dataclass(frozen=True, slots=True)
class Part:
    """A node of a side: one condition, or several joined by ``&`` or ``|``, in evaluation order."""

    condition: Condition
    op: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """The condition as it is written; equal texts of one side are one condition."""
        return str(self.condition)

    def singles(self) -> Iterator[Part]:
        """The single conditions below this node, in evaluation order, each once."""
        found = {part.text: part for part in self._leaves()}
        yield from found.values()

    def _leaves(self) -> Iterator[Part]:
        if not self.op:
            yield self
        for part in self.parts:
            yield from part._leaves()


def take_apart(condition: Condition, *, negated: bool = False) -> Part:
    """Return a side's condition as a tree of single conditions."""
    if isinstance(condition, Negation):
        return take_apart(condition.inner, negated=not negated)
    if not isinstance(condition, Joined):
        return Part(Negation(condition) if negated else condition)
    op = OPPOSITE[condition.op] if negated else condition.op
    sides = [take_apart(side, negated=negated) for side in (condition.left, condition.right)]
    parts = [part for side in sides for part in (side.parts if side.op == op else (side,))]
    return Part(_joined(op, parts), op, tuple(parts))


def _joined(op: str, parts: list[Part]) -> Condition:
    return reduce(lambda left, right: Joined(op, left, right), (part.condition for part in parts))


def without(part: Part, text: str) -> Condition:
    """Return the side as if the single condition ``text`` never failed where it can be judged.

    It is replaced by "it holds or it does not": its windows are still waited for, and a value that does not exist still
    counts as such.
    """
    if part.op:
        return reduce(lambda left, right: Joined(part.op, left, right), (without(one, text) for one in part.parts))
    if part.text == text:
        return Joined("|", part.condition, Negation(part.condition))
    return part.condition


def sides_of(strategy: Strategy) -> dict[Side, Part]:
    """The sides in force, long first, as trees."""
    declared = zip(SIDES, strategy.conditions(), strict=True)
    return {side: take_apart(condition) for side, condition in declared if condition is not None}


def replaced(conditions: Sides, side: Side, condition: Condition) -> Sides:
    """The same sides with another condition for one of them."""
    return (condition, conditions[1]) if side is Side.LONG else (conditions[0], condition)


def comparison_of(condition: Condition) -> Comparison | None:
    """The comparison that a single condition is, or negates; None for any other kind of condition."""
    inner = condition.inner if isinstance(condition, Negation) else condition
    return inner if isinstance(inner, Comparison) else None


def rises(condition: Condition) -> bool | None:
    """Whether a larger left side brings a comparison, or its negation, nearer to holding; None where neither does."""
    comparison = comparison_of(condition)
    if comparison is None or comparison.op in ("==", "!="):
        return None
    return (comparison.op in (">", ">=")) is (comparison is condition)


def view_of(condition: Condition, views: Sequence[ConditionView]) -> ConditionView | None:
    """Pick a single condition's own view; None when it is no comparison, but made of others."""
    comparison = comparison_of(condition)
    if comparison is None or not views:
        return None
    text = name_of(comparison), str(comparison.right)
    return next((one for one in views if (one.name, one.threshold_text) == text), views[-1])


def comparisons_in(part: Condition | Expr) -> Iterator[Comparison]:
    """Every comparison that a condition is made of, but for those on other instruments."""
    if isinstance(part, Comparison):
        yield part
    if not isinstance(part, Other | OtherCondition):
        for inner in part.parts:
            yield from comparisons_in(inner)


# ---------------------------------------------------------------- strategies made from a strategy

Heard = Callable[[Context, Side, Signal | None], None]
"""Told of each signal that begins: the context, the declared side, and what the strategy made of it."""


def fresh(strategy: Strategy) -> Strategy:
    """The same strategy with the same parameters, as new: whatever its own code has remembered is gone."""
    return type(strategy)(**strategy.parameters)


def listening(strategy: Strategy, conditions: Sides, heard: Heard) -> Strategy:
    """The same strategy by other conditions, which reports every signal that begins and enters none.

    Its own ``on_fire`` is asked as usual, and what it may not enter counts as let pass. ``on_tick`` is left out: it is
    not a condition.
    """
    cls = type(strategy)

    def on_fire(self: Strategy, context: Context, side: Side) -> Signal | None:
        signal = call(self, MethodType(cls.on_fire, self), context, side)
        heard(context, side, signal if signal is not None and self.direction_allows(signal.side) else None)
        return None

    return _derived(strategy, {"conditions": lambda self: conditions, "on_fire": on_fire, "on_tick": None})


def telling(strategy: Strategy, told: Callable[[Signal | None], None]) -> Strategy:
    """The same strategy, as new, which also tells what its own code answers each time it is asked."""
    cls = type(strategy)

    def on_fire(self: Strategy, context: Context, side: Side) -> Signal | None:
        signal = call(self, MethodType(cls.on_fire, self), context, side)
        told(signal)
        return signal

    def on_tick(self: Strategy, tick: Tick) -> Signal | None:
        signal = call(self, MethodType(cls.on_tick, self), tick)
        if signal is not None:
            told(signal)
        return signal

    own: dict[str, Any] = {} if cls.on_fire is Strategy.on_fire else {"on_fire": on_fire}
    return _derived(strategy, own if cls.on_tick is None else {**own, "on_tick": on_tick})


def watching(strategy: Strategy, condition: Condition) -> Strategy:
    """A strategy whose long side is one condition, with its own windows' warm-up; it enters nothing."""

    def on_fire(self: Strategy, context: Context, side: Side) -> None:
        return None

    own = {"conditions": lambda self: (condition, None), "on_fire": on_fire, "on_tick": None, "warm_up": None}
    own["hedge"] = None
    return _derived(strategy, own)


def entering(strategy: Strategy, conditions: Sides, answer: Callable[[], Signal | None]) -> Strategy:
    """A strategy with the same exits that enters by other conditions, at once, as ``answer`` says."""

    def on_fire(self: Strategy, context: Context, side: Side) -> Signal | None:
        return answer()

    own = {"conditions": lambda self: conditions, "on_fire": on_fire, "on_tick": None, "warm_up": None}
    return _derived(strategy, own)


def _derived(strategy: Strategy, own: dict[str, Any]) -> Strategy:
    cls = type(strategy)
    made: Strategy = type(cls.__name__, (cls,), {"__module__": cls.__module__, **own})(**strategy.parameters)
    return made
