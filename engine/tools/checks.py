"""What is wrong with a strategy's declaration before any data is seen: parts that nothing uses, exits that cannot fire.

A *problem* makes ``microburst strategy check`` fail; a *note* is told and may well be meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.declarations import mentioned, reachable
from engine.model import SECOND_NS, Side
from engine.quantities import format_duration, format_ratio
from engine.rules import Condition, Expr, Param
from engine.strategy import Strategy

SCHEMA = "microburst.strategy-check/1"

PROBLEM, NOTE = "problem", "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found: its kind, for programs, and one sentence for people. ``facts`` are the numbers in it."""

    level: str
    kind: str
    what: str
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"level": self.level, "kind": self.kind, "what": self.what, **self.facts}


def check_declaration(strategy: Strategy) -> list[Finding]:
    """Check what the class body says, with this instance's parameter values."""
    return [*_unused(type(strategy)), *_exits(strategy)]


# ---------------------------------------------------------------- what nothing uses


def _unused(cls: type[Strategy]) -> Iterator[Finding]:
    """Parameters and named features that neither the rule, nor the exits, nor the strategy's own code mentions."""
    used = reachable([cls.long, cls.short, cls.exits, cls.hedge, cls.warm_up])
    by_name = mentioned(cls)
    for name, param in cls.declared.items():
        if name not in Strategy.declared and id(param) not in used and name not in by_name:
            yield Finding(PROBLEM, "unused_parameter", f"parameter {name} is never used", {"name": name})
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            if not isinstance(value, Expr | Condition) or isinstance(value, Param) or name in ("long", "short"):
                continue
            if id(value) not in used and name not in by_name:
                yield Finding(PROBLEM, "unused_feature", f"{name} is declared and no condition uses it", {"name": name})


# ---------------------------------------------------------------- exits


def has_own_code(strategy: Strategy) -> bool:
    """Whether Python decides too: ``on_fire`` or ``on_tick``."""
    cls = type(strategy)
    return cls.on_fire is not Strategy.on_fire or cls.on_tick is not None


def _exits(strategy: Strategy) -> Iterator[Finding]:
    """Exits that can never fire: switched off, beyond any price, or always preceded by another."""
    plan = strategy.exit_plan()
    if plan.is_empty:
        if not has_own_code(strategy):
            what = "no exit is in force: a position is held until the session or the data ends"
            yield Finding(NOTE, "no_exit", what)
        return
    declared = [type(one).__name__ for one in (strategy.exits if isinstance(strategy.exits, tuple) else ())]
    declared = declared or [type(strategy.exits).__name__]
    for name, value in (
        ("TimeStop", plan.time_stop_ns),
        ("Flat", plan.flat_candles),
        ("NotBefore", plan.not_before_ns),
    ):
        if name in declared and not value:
            yield Finding(NOTE, "exit_switched_off", f"{name} is 0, which switches it off", {"exit": name})
    for name, ratio, side in (("Stop", plan.stop, Side.LONG), ("Target", plan.target, Side.SHORT)):
        if ratio is not None and ratio >= 1 and strategy.direction_allows(side):
            what = f"{name} of {format_ratio(ratio)} can never close a {side.word} position: no price falls so far"
            yield Finding(PROBLEM, "exit_never", what, {"exit": name, "side": side.word})
    flat_ns = plan.flat_candles * SECOND_NS
    if plan.flat_candles and 0 < plan.time_stop_ns <= flat_ns:
        what = (
            f"Flat can never close: {plan.flat_candles} candles take {format_duration(flat_ns)}, "
            f"and the time stop closes after {format_duration(plan.time_stop_ns)}"
        )
        yield Finding(PROBLEM, "exit_never", what, {"exit": "Flat"})
