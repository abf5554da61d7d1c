"""What a strategy is: parameters, features, conditions and exits declared in a class body; Python wakes on a firing.

A subclass declares ``long`` and/or ``short`` and ``exits``. The engine compiles the declaration, and calls ``on_fire``
only when a signal begins. A strategy that needs Python on every trade defines ``on_tick``, the opt-in slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import CodeType, FunctionType, MethodType
from typing import Any, ClassVar, Never, Protocol

from engine.declarations import check_body, no_side
from engine.errors import ConfigError, UserError, nearest
from engine.language.entries import Entry, EntryPlan, Market, entry_plan_of
from engine.language.exits import ExitPlan, plan_of
from engine.language.hedge import Hedge, HedgePlan, hedge_plan_of
from engine.model import Instrument, Side, Signal
from engine.quantities import Number
from engine.rules import (
    Condition,
    Exit,
    Expr,
    Param,
    Quantity,
    RuleError,
    Window,
)
from engine.sizing import Size


class Context(Protocol):
    """What a strategy may look at while it decides: the market as of the present event, never beyond it."""

    @property
    def instrument(self) -> Instrument: ...

    @property
    def ts_ns(self) -> int: ...

    @property
    def price_ticks(self) -> int: ...

    @property
    def bid_ticks(self) -> int: ...

    @property
    def ask_ticks(self) -> int: ...

    def features(self) -> Mapping[str, float]:
        """The declared comparisons' left sides by name, in display units; NaN while undefined."""
        ...


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade as ``on_tick`` sees it."""

    instrument: int
    ts_ns: int
    price_ticks: int
    size_lots: int


class Strategy:
    """Base of all strategies. Class attributes declare; ``parameters`` holds this instance's values."""

    long: ClassVar[Condition | None] = None
    short: ClassVar[Condition | None] = None
    exits: ClassVar[tuple[Exit, ...] | Exit] = ()

    entry: ClassVar[Entry] = Market()
    """How a signal is entered: at the market, or by an order that waits."""

    hedge: ClassVar[Hedge | None] = None
    """Another symbol that is entered on the other side with every entry, and left with it; None: there is none."""

    warm_up: ClassVar[Window | None] = None
    """The window that must have been seen in full before a signal may begin; None: the longest of the rule."""

    risk_profile: ClassVar[str] = "standard"
    """The limits that are on by default (``engine.account.limits``); the configuration may say otherwise."""

    holds_overnight: ClassVar[bool] = False
    """Whether positions are held while the market is closed; else they are closed when their session ends."""

    size: ClassVar[Size | None] = None
    """How large entries are (``engine.sizing``); None: as the configuration says."""

    direction = Param("both", "sides that may be entered", choices=("both", "long", "short"))
    cooldown_signals = Param(0, "signals skipped after a losing trade", low=0)

    declared: ClassVar[dict[str, Param]] = {"direction": direction, "cooldown_signals": cooldown_signals}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.declared = dict(cls.declared)
        for name, value in vars(cls).items():
            if isinstance(value, Expr | Condition) and name in OWN_NAMES:
                what, fix = f"'{name}' is a name of the engine's own", "call the feature otherwise"
                raise RuleError(what, where=f"{cls.__name__}.{name}", fix=fix)
            if isinstance(value, Param) and value.name == name:
                cls.declared[name] = value
            elif isinstance(value, Expr | Condition) and not value.name and name not in ("long", "short"):
                value.name = name
        check_body(cls)

    def __init__(self, **values: Quantity | Number) -> None:
        """Take parameter values by name; the rest keep their defaults.

        Raises:
            ConfigError: an unknown name, or a value that is not of the parameter's kind or within its bounds.
        """
        self.parameters: dict[str, Quantity] = {name: param.default for name, param in self.declared.items()}
        for name, value in values.items():
            if name not in self.declared:
                raise ConfigError(f"{type(self).__name__} has no parameter {name!r}", fix=nearest(name, self.declared))
            self.parameters[name] = self.declared[name].parse(value, where=name)
        if self.conditions() == (None, None) and type(self).on_tick is None:
            raise no_side(type(self), self.parameters["direction"].value)

    def __getattr__(self, name: str) -> Never:
        """Say why there are no parameters: an ``__init__`` of the class's own has left them out."""
        if name == "parameters":
            what, fix = (
                "it leaves out the parameters",
                "let it take **values, and begin with super().__init__(**values)",
            )
            raise RuleError(what, where=f"{type(self).__name__}.__init__", fix=fix)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def conditions(self) -> tuple[Condition | None, Condition | None]:
        """The long and short conditions that ``direction`` leaves in force."""
        side = self.parameters["direction"].value
        cls = type(self)
        return (cls.long if side != "short" else None, cls.short if side != "long" else None)

    def direction_allows(self, side: Side) -> bool:
        """Whether ``direction`` leaves this side in force."""
        return self.parameters["direction"].value in ("both", side.word)

    def exit_plan(self) -> ExitPlan:
        """The declared exits with this instance's values.

        Raises:
            RuleError: exits that do not go together.
        """
        return plan_of(self.exits if isinstance(self.exits, tuple) else (self.exits,), self.parameters)

    def entry_plan(self) -> EntryPlan:
        """The declared entry with this instance's values."""
        return entry_plan_of(self.entry, self.parameters)

    def hedge_plan(self) -> HedgePlan | None:
        """The declared hedge with this instance's values.

        Raises:
            RuleError: entries or exits with which two legs would not stay together.
        """
        if self.hedge is None:
            return None
        plans = self.entry_plan(), self.exit_plan()
        return hedge_plan_of(self.hedge, self.parameters, *plans, type(self).__name__)

    def on_fire(self, context: Context, side: Side) -> Signal | None:
        """Answer a beginning signal: return what to enter, or None to let it pass. Called once per signal.

        The signal returned may differ from the one declared: another side, a stop or a target of its own.
        """
        return Signal(side, context.price_ticks)

    on_tick: ClassVar[Any] = None
    """Define ``def on_tick(self, tick: Tick) -> Signal | None`` to be called on every trade: the slow path."""


OWN_NAMES = {name for name, value in vars(Strategy).items() if isinstance(value, FunctionType)} | {
    "on_tick",
    "parameters",
    "declared",
}
"""What the engine asks a strategy for: no feature may stand in its place."""


def call(strategy: Strategy, method: Callable[..., object], *arguments: object) -> Signal | None:
    """Call a strategy's own code, and answer its mistakes with one sentence that says where.

    Raises:
        ConfigError: it raised, or returned neither a signal nor None.
    """
    try:
        answer = method(*arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        name, code = named(strategy, method)
        line, trace = 0, error.__traceback__
        while trace is not None:
            if code is not None and trace.tb_frame.f_code.co_filename == code.co_filename:
                line = trace.tb_lineno
            trace = trace.tb_next
        where = f"{code.co_filename}:{line}" if code is not None and line else name
        raise ConfigError(f"{name} raised {type(error).__name__}: {error}", where=where) from error
    if answer is None:
        return None
    if isinstance(answer, Signal):
        wrong = mistake_in(answer)
        if wrong is None:
            return answer
        what, fix = f"a signal {wrong[0]}", wrong[1]
    else:
        what, fix = repr(answer), "return a Signal, or None to let it pass"
    name, code = named(strategy, method)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else name
    raise ConfigError(f"{name} returned {what}", where=where, fix=fix)


def named(strategy: Strategy, method: Callable[..., object]) -> tuple[str, CodeType | None]:
    """What people call a strategy's own method, and its code, if it is written in Python."""
    code = method.__code__ if isinstance(method, MethodType) else None
    return f"{type(strategy).__name__}.{method.__name__}", code


def mistake_in(signal: Any) -> tuple[str, str] | None:
    """What is wrong with a signal, and how to mend it; None for nothing.

    Where an entry price is stated, stop and target must lie on their sides of it.
    """
    if not isinstance(signal.side, Side):
        return f"of side {signal.side!r}", "use Side.LONG or Side.SHORT"
    entry, stop, target = signal.entry_ticks, signal.stop_ticks, signal.target_ticks
    if not (type(entry) is type(stop) is type(target) is int):
        for word, ticks in (("an entry", entry), ("a stop", stop), ("a target", target)):
            if isinstance(ticks, bool) or not isinstance(ticks, int):
                return f"with {word} of {ticks!r}", "these are whole ticks, and 0 for none"
    if entry > 0:
        for word, ticks, side in (("stop", stop, -signal.side), ("target", target, signal.side)):
            if ticks > 0 and side * (ticks - entry) <= 0:
                what = f"{signal.side.word} from {entry} ticks with its {word} at {ticks}"
                return what, f"the {word} of a {signal.side.word} entry lies {'below' if side < 0 else 'above'} it"
    sure = signal.confidence
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        return f"with a confidence of {sure!r}", "from 0 to 1"
    if not isinstance(signal.metadata, dict):
        return f"with metadata {signal.metadata!r}", "a dict of numbers by name"
    for key, value in signal.metadata.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not isinstance(key, str) or not number:
            return f"with metadata {key!r}: {value!r}", "a dict of numbers by name"
    return None
