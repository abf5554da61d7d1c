"""Exits that a strategy declares; the core watches them while a position is open, and the tightest counts.

``Stop``, ``Target``, ``Trailing`` take a ratio of the entry price, ``pct('0.5')``, or a distance in price, any
expression of the rule language such as ``2 * atr(b)``; a distance is measured once, when the signal is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from functools import partial
from math import lcm
from typing import Any

from engine.language.grammar import Condition, Expr, Kind, Quantity, RuleError, condition, said
from engine.language.parameters import Param, as_call
from engine.quantities import Number, format_duration, parse_number

Length = Param | Quantity
ZERO = Quantity(Kind.RATIO, Fraction(0))
WHOLE = Quantity(Kind.RATIO, Fraction(1))


def exit_value(exit_name: str, value: object, kind: Kind, example: str) -> Param | Quantity:
    """Return what an exit was given, when it is of the right kind and not negative.

    Raises:
        RuleError: anything else; the sentence shows how to write it.
    """
    fix = f"write {exit_name}({example})"
    if kind is Kind.COUNT and isinstance(value, int) and not isinstance(value, bool):
        value = Quantity(kind, value)
    if isinstance(value, str):
        call = as_call(value, kind)
        raise RuleError(f"{exit_name}({value!r}) takes a {kind}, not text", fix=f"write {call}" if call else fix)
    if not isinstance(value, Param | Quantity):
        raise RuleError(f"{exit_name}({said(value)}) has no unit", fix=fix)
    if value.kind is not kind:
        raise RuleError(f"{exit_name}({value}) takes a {kind}, not a {value.kind}", fix=fix)
    if isinstance(value, Quantity) and value.value < 0:
        raise RuleError(f"{exit_name}({value}) is negative", fix=fix)
    return value


def ratio_or_distance(exit_name: str, value: object, example: str) -> Param | Quantity | Expr:
    """Return a ratio of the entry price, or a distance in price."""
    if isinstance(value, Expr) and not isinstance(value, Param):
        return value
    return exit_value(exit_name, value, Kind.RATIO, example)


@dataclass(frozen=True, slots=True)
class Reward:
    """A target at ``multiple`` times the distance of the stop."""

    multiple: Param | Quantity | Number

    def __post_init__(self) -> None:
        if not isinstance(self.multiple, Param | Quantity):
            number = parse_number(self.multiple, where="Reward")
            object.__setattr__(self, "multiple", Quantity(Kind.NUMBER, number))
        exit_value("Reward", self.multiple, Kind.NUMBER, "2")


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """Close when the price has moved against the position by ``distance`` or more."""

    distance: Param | Quantity | Expr

    def __post_init__(self) -> None:
        ratio_or_distance("Stop", self.distance, "pct('0.05')")


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Close when the price has moved in favour by ``distance`` or more; ``Reward(2)`` is twice the stop's.

    With a ``share`` only so much of what was entered; several targets close one share each. ``resting`` puts a limit
    order at the venue instead of watching the price: it pays no spread, but has to be reached in the queue.
    """

    distance: Param | Quantity | Expr | Reward
    share: Length = field(default=WHOLE)
    resting: bool = False

    def __post_init__(self) -> None:
        exit_value("Target", self.share, Kind.RATIO, "pct('0.15'), share=pct(50)")
        if not isinstance(self.distance, Reward):
            ratio_or_distance("Target", self.distance, "pct('0.15')")


@dataclass(frozen=True, slots=True)
class TimeStop:
    """Close when the position is ``after`` old, with or without a trade; zero switches it off."""

    after: Length

    def __post_init__(self) -> None:
        exit_value("TimeStop", self.after, Kind.DURATION, "seconds(8)")


@dataclass(frozen=True, slots=True)
class NotBefore:
    """Until a position is ``after`` old nothing closes it but its stop and the end of the day; zero switches it off."""

    after: Length

    def __post_init__(self) -> None:
        exit_value("NotBefore", self.after, Kind.DURATION, "days(1)")


@dataclass(frozen=True, slots=True)
class Flat:
    """Close after ``candles`` consecutive one-second candles that end where they began; zero switches it off."""

    candles: Param | Quantity | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "candles", exit_value("Flat", self.candles, Kind.COUNT, "2"))


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Once the gain has been ``after``, the stop is no worse than the entry price plus ``keep`` of it."""

    after: Length
    keep: Length = field(default=ZERO)

    def __post_init__(self) -> None:
        exit_value("BreakEven", self.after, Kind.RATIO, "after=pct('0.3')")
        exit_value("BreakEven", self.keep, Kind.RATIO, "after=pct('0.3'), keep=pct('0.05')")


@dataclass(frozen=True, slots=True, eq=False)
class Trailing:
    """Once the gain has been ``after``, the stop follows the best price at a ``distance``."""

    distance: Param | Quantity | Expr
    after: Length = field(default=ZERO)

    def __post_init__(self) -> None:
        ratio_or_distance("Trailing", self.distance, "pct('0.3')")
        exit_value("Trailing", self.after, Kind.RATIO, "pct('0.3'), after=pct('0.2')")


@dataclass(frozen=True, slots=True)
class Decay:
    """The stop comes closer evenly, until after ``over`` its distance is the share ``to`` of what it was."""

    over: Length
    to: Length = field(default=ZERO)

    def __post_init__(self) -> None:
        exit_value("Decay", self.over, Kind.DURATION, "minutes(5)")
        exit_value("Decay", self.to, Kind.RATIO, "minutes(5), to=pct(20)")


@dataclass(frozen=True, slots=True)
class Opposite:
    """Close when the rule turns to the other side."""


@dataclass(frozen=True, slots=True)
class EndOfDay:
    """Close ``before`` the session's close."""

    before: Length

    def __post_init__(self) -> None:
        exit_value("EndOfDay", self.before, Kind.DURATION, "minutes(5)")


@dataclass(frozen=True, slots=True, eq=False)
class When:
    """Close when a condition holds, such as ``When(abs_(score) <= 1)``; ``as_stop`` tells it as one in the records."""

    holds: Condition
    as_stop: bool = False

    def __post_init__(self) -> None:
        condition(self.holds, where="When")


def written(item: object) -> str:
    """An exit, or a reward, as a strategy declares it."""
    return as_declared(item) if isinstance(item, (*EXITS, Reward)) else str(item)


def as_declared(item: Any) -> str:
    """An exit or an entry as it is written in a class body; what is left at its default is left out."""
    shown = []
    for one in fields(item):
        value = getattr(item, one.name)
        if one.default is MISSING:
            shown.append(written(value))
        elif value is not one.default:
            shown.append(f"{one.name}={written(value)}")
    return f"{type(item).__name__}({', '.join(shown)})"


Exit = Stop | Target | TimeStop | Flat | BreakEven | Trailing | Decay | Opposite | EndOfDay | NotBefore | When
EXITS = (Stop, Target, TimeStop, Flat, BreakEven, Trailing, Decay, Opposite, EndOfDay, NotBefore, When)


@dataclass(frozen=True, slots=True)
class Level:
    """One of several targets, or one that rests: at a ratio, a multiple of the stop, or the distance of its number."""

    share: int  # in as many parts as ``whole`` says, the same for all levels of a plan
    whole: int
    resting: bool
    ratio: Fraction | None = None
    reward: Fraction | None = None
    distance: str = ""


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """A strategy's exits with one run's values. None, a time of 0, 0 candles and False mean: not declared."""

    stop: Fraction | None = None
    target: Fraction | None = None
    time_stop_ns: int = 0
    not_before_ns: int = 0
    flat_candles: int = 0
    reward: Fraction | None = None
    distances: dict[str, Expr] = field(default_factory=dict)  # of "stop", "target" and "trailing", in price
    even_after: Fraction | None = None
    even_keep: Fraction = Fraction(0)
    trail: Fraction | None = None
    trail_after: Fraction = Fraction(0)
    decay_ns: int = 0
    decay_to: Fraction = Fraction(0)
    opposite: bool = False
    before_close_ns: int = 0
    levels: tuple[Level, ...] = ()  # targets that close a share each, or rest; then ``target`` and ``reward`` are None
    when: Condition | None = None
    stop_when: Condition | None = None  # the part of it that counts as a stop

    @property
    def moves(self) -> bool:
        """Whether the stop may move, or the rule itself may close."""
        trailing = self.trail is not None or "trailing" in self.distances
        acts = self.opposite or self.when is not None
        return trailing or self.even_after is not None or bool(self.decay_ns) or acts

    @property
    def is_empty(self) -> bool:
        """Whether nothing closes a position but the session and the end of the data."""
        fixed = self.stop is not None or self.target is not None or bool(self.distances) or bool(self.levels)
        return not (fixed or self.time_stop_ns or self.flat_candles or self.moves or self.before_close_ns)


def plan_of(exits: tuple[Exit, ...], parameters: dict[str, Quantity]) -> ExitPlan:
    """The plan of declared exits with these parameter values.

    Raises:
        RuleError: a target by reward without a stop, a ratio that is too fine to follow, or what cannot be held back.
    """

    def read(value: Param | Quantity) -> Quantity:
        return parameters[value.name] if isinstance(value, Param) else value

    plan: dict[str, Any] = {}
    distances: dict[str, Expr] = {}

    def distance(name: str, key: str, value: Param | Quantity | Expr) -> None:
        if isinstance(value, Param | Quantity):
            plan[key] = read(value).value
        else:
            distances[name] = value

    targets = [item for item in exits if isinstance(item, Target)]
    if len(targets) > 1 or any(item.resting or item.share is not WHOLE for item in targets):
        plan["levels"] = levels_of(targets, read, distances)
        exits = tuple(item for item in exits if not isinstance(item, Target))
    for item in exits:
        match item:
            case Stop():
                distance("stop", "stop", item.distance)
            case Target(distance=Reward(multiple=multiple)):
                assert isinstance(multiple, Param | Quantity)
                plan["reward"] = read(multiple).value
            case Target():
                assert not isinstance(item.distance, Reward)
                distance("target", "target", item.distance)
            case TimeStop():
                plan["time_stop_ns"] = read(item.after).value
            case NotBefore():
                plan["not_before_ns"] = read(item.after).value
            case Flat():
                assert not isinstance(item.candles, int)
                plan["flat_candles"] = min(read(item.candles).value, (1 << 31) - 1)  # 68 years are never reached
            case BreakEven():
                plan["even_after"], plan["even_keep"] = read(item.after).value, read(item.keep).value
            case Trailing():
                distance("trailing", "trail", item.distance)
                plan["trail_after"] = read(item.after).value
            case Decay():
                plan["decay_ns"], plan["decay_to"] = read(item.over).value, read(item.to).value
            case Opposite():
                plan["opposite"] = True
            case EndOfDay():
                plan["before_close_ns"] = read(item.before).value
            case When():
                for name in ("when", "stop_when") if item.as_stop else ("when",):
                    plan[name] = item.holds if plan.get(name) is None else plan[name] | item.holds
    made = ExitPlan(distances=distances, **plan)
    stopped = made.stop is not None or "stop" in distances
    rewarded = made.reward is not None or any(level.reward is not None for level in made.levels)
    for what, needs in (("Target(Reward(…))", rewarded), ("Decay", bool(made.decay_ns))):
        if needs and not stopped:
            raise RuleError(f"{what} needs a stop to measure by", where="exits", fix="add Stop(pct('0.5'))")
    if made.trail is not None and made.trail.denominator + made.trail.numerator >= 1 << 22:
        raise RuleError(f"a trailing distance of {float(made.trail):%} is too fine", where="exits", fix="pct('0.25')")
    check_held_back(made)
    return made


def check_held_back(plan: ExitPlan) -> None:
    """Refuse a shortest hold beside exits that it does not hold back.

    Raises:
        RuleError: with what is in its way.
    """
    hold_ns, stop_ns = plan.not_before_ns, plan.time_stop_ns
    if 0 < stop_ns < hold_ns:
        what = f"NotBefore({format_duration(hold_ns)}) is longer than TimeStop({format_duration(stop_ns)})"
        raise RuleError(what, where="exits", fix="let the time stop be the longer one")
    acts = {"Opposite": plan.opposite, "When": plan.when is not None}
    acts["a target that rests"] = any(level.resting for level in plan.levels)
    for name in [name for name, there in acts.items() if hold_ns and there]:
        what = f"NotBefore holds back Target, TimeStop and Flat, not {name}"
        raise RuleError(what, where="exits", fix="leave one of the two out")


def levels_of(
    targets: list[Target], read: Callable[[Param | Quantity], Quantity], distances: dict[str, Expr]
) -> tuple[Level, ...]:
    """Targets that close a share each; those at a distance in price add it to ``distances``.

    Raises:
        RuleError: they would close more than there is, or nothing.
    """
    shares = [read(item.share).value for item in targets]
    if not all(shares):
        raise RuleError("a target closes nothing", where="exits", fix="give it a share, such as pct(50)")
    if (total := sum(shares)) > 1:
        what = f"the targets' shares come to {float(100 * total):g} %"
        raise RuleError(what, where="exits", fix="let them come to 100 % at most: Target(x, share=pct(50))")
    whole = lcm(*(share.denominator for share in shares))
    levels = []
    for number, (item, share) in enumerate(zip(targets, shares, strict=True), 1):
        level = partial(Level, int(share * whole), whole, item.resting)
        match item.distance:
            case Reward(multiple=multiple):
                assert isinstance(multiple, Param | Quantity)
                levels.append(level(reward=read(multiple).value))
            case Param() | Quantity():
                levels.append(level(ratio=read(item.distance).value))
            case _:
                name = f"target {number}"
                distances[name] = item.distance
                levels.append(level(distance=name))
    return tuple(levels)
