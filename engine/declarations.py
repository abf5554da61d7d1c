"""What a strategy's class body may declare: looked at as the class is made, so that a mistake names its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import CodeType, FunctionType
from typing import Any

from engine.account.limits import profile
from engine.language.entries import ENTRIES
from engine.language.exits import EXITS, Target, When, written
from engine.language.grammar import Condition, Kind, Quantity, RuleError, condition, said
from engine.language.hedge import Hedge
from engine.language.measures import window_kind
from engine.language.parameters import Param
from engine.sizing import SIZES

SIDES = ("long", "short")
DECLARING = (*SIDES, "exits", "entry", "hedge", "warm_up", "size")

MEMBERS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (bool, ("holds_overnight",)),
    (int, ("cooldown_signals",)),
    (str, ("direction", "risk_profile")),
    (Quantity, ("warm_up",)),
    (FunctionType, ("on_fire", "on_tick")),
    (ENTRIES, ("entry",)),
    (Hedge, ("hedge",)),
    (SIZES, ("size",)),
)
"""What of each kind the engine looks for in a class body; sides and exits are known by what they are."""

NEAR = 0.66
"""How alike a name must be to one of them to be a slip: ``cooldown`` just is."""


def check_body(cls: type) -> None:
    """Refuse a class body that does not mean what it seems to.

    Raises:
        RuleError: a side that is no condition, exits that are none or that nobody would look for, a warm-up of another
            kind, or a parameter with something else in its place.
    """
    own = vars(cls)
    for side in SIDES:
        if own.get(side) is not None:
            condition(own[side], where=f"{cls.__name__}.{side}")
    if "exits" in own:
        check_exits(cls.__name__, own["exits"])
    if not isinstance(enters := own.get("entry", ENTRIES[0]()), ENTRIES):
        fix = f"use {', '.join(kind.__name__ for kind in ENTRIES[:-1])} or {ENTRIES[-1].__name__}, or another name"
        raise RuleError(f"{said(enters)} is not an entry", where=f"{cls.__name__}.entry", fix=fix)
    if own.get("hedge") is not None and not isinstance(own["hedge"], Hedge):
        what, fix = f"{said(own['hedge'])} is no hedge", 'write hedge = Hedge("AMD"), or another name'
        raise RuleError(what, where=f"{cls.__name__}.hedge", fix=fix)
    warm_up = own.get("warm_up")
    if warm_up is not None and window_kind(warm_up) not in (Kind.DURATION, Kind.TICKS):
        what, fix = f"{said(warm_up)} is no length to wait for", "write seconds(15) or ticks(100)"
        raise RuleError(what, where=f"{cls.__name__}.warm_up", fix=fix)
    if own.get("size") is not None and not isinstance(own["size"], SIZES):
        what, fix = f"{said(own['size'])} is no size of an entry", "write size = RiskPerTrade(pct(1)), or another name"
        raise RuleError(what, where=f"{cls.__name__}.size", fix=fix)
    if not isinstance(overnight := own.get("holds_overnight", False), bool):
        raise RuleError(
            f"{said(overnight)} says neither yes nor no", where=f"{cls.__name__}.holds_overnight", fix="write True"
        )
    if "risk_profile" in own:
        profile(own["risk_profile"], where=f"{cls.__name__}.risk_profile")
    check_names(cls)
    exits = getattr(cls, "exits", ())
    in_force = exits if isinstance(exits, tuple) else (exits,)
    for name, value in own.items():
        if name not in ("exits", "declared") and isinstance(value, EXITS) and all(value is not one for one in in_force):
            what = f"{written(value)} stands outside exits, and would close nothing"
            raise RuleError(what, where=f"{cls.__name__}.{name}", fix=f"write exits = ({name},)")
        place = getattr(cls.__base__, "declared", {}).get(name)
        if isinstance(place, Param) and not isinstance(value, Param):
            choices = f", choices={place.choices}" if place.choices else ""
            what, fix = f"{said(value)} takes a parameter's place", f"write {name} = Param({said(value)}{choices})"
            raise RuleError(what, where=f"{cls.__name__}.{name}", fix=fix)


def check_names(cls: type) -> None:
    """Refuse a member that nothing uses, and that is called nearly like one of its kind which the engine looks for.

    Raises:
        RuleError: with the name that was meant.
    """
    for name, value in vars(cls).items():
        known = next((names for kind, names in MEMBERS if isinstance(value, kind)), ())
        near = get_close_matches(name.lower(), known, 1, NEAR)
        if not near or name in known or name.startswith("_") or name in mentioned(cls):
            continue
        if id(value) not in reachable([getattr(cls, one, None) for one in DECLARING]):
            what = "the engine looks for nothing of this name, and nothing else uses it"
            raise RuleError(what, where=f"{cls.__name__}.{name}", fix=f"did you mean {near[0]!r}?")


def check_exits(owner: str, exits: object) -> None:
    """Refuse what is no exit, or one declared twice.

    Raises:
        RuleError: with the exits that there are.
    """
    where = f"{owner}.exits"
    if isinstance(exits, list):
        raise RuleError("a list may change, and exits do not", where=where, fix="write them in round brackets: (…, …)")
    items: Iterable[object] = exits if isinstance(exits, tuple) else (exits,)
    kinds: list[type] = []
    for item in items:
        if isinstance(item, type) and issubclass(item, EXITS):
            raise RuleError(f"{said(item)} needs its brackets", where=where, fix=f"write {said(item)}(…)")
        if not isinstance(item, EXITS):
            fix = f"use {', '.join(kind.__name__ for kind in EXITS[:-1])} or {EXITS[-1].__name__}"
            raise RuleError(f"{said(item)} is not an exit", where=where, fix=fix)
        if type(item) not in (Target, When):  # of these there may be several
            kinds.append(type(item))
    if len(set(kinds)) != len(kinds):
        raise RuleError("an exit is declared twice", where=where, fix="declare each kind once")


def no_side(cls: type, direction: str) -> RuleError:
    """The error of a strategy without a condition to enter by; it may have one under another name."""
    what = "neither a long nor a short condition" if direction == "both" else f"no {direction} condition"
    named = [name for owner in cls.__mro__ for name, value in vars(owner).items() if isinstance(value, Condition)]
    other = [name for name in named if name not in SIDES]
    side = "short" if direction == "short" else "long"
    fix = f"add: {side} = {nearest_to_a_side(other)}" if other else f"add: {side} = (feature >= threshold)"
    return RuleError(f"{cls.__name__} declares {what}", fix=fix)


def nearest_to_a_side(names: list[str]) -> str:
    """Of the names of conditions the one that most likely is the whole rule: called like a side, else the last."""
    return next((name for name in names if name.lower() in (*SIDES, "buy", "sell", "entry", "enter")), names[-1])


# ---------------------------------------------------------------- what is used


def reachable(roots: list[object]) -> frozenset[int]:
    """Identities of everything that the declared rule is made of, whatever its parts are called."""
    found: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        if isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif type(one).__module__.startswith("engine."):
            found[id(one)] = one
            slots = [slot for cls in type(one).__mro__ for slot in getattr(cls, "__slots__", ())]
            waiting.extend(getattr(one, slot) for slot in slots if hasattr(one, slot))
            waiting.extend(vars(one).values() if hasattr(one, "__dict__") else ())
    return frozenset(found)


def mentioned(cls: type) -> frozenset[str]:
    """Every name and word in the code of the strategy's own methods: what they might read by name."""
    words: set[str] = set()
    for owner in cls.__mro__:
        if owner.__module__ == "engine.strategy":
            break
        for value in vars(owner).values():
            method = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(code := getattr(method, "__code__", None), CodeType):
                words.update(_words_of(code))
    return frozenset(words)


def _words_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _words_of(constant)
