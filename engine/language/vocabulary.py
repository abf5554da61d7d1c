"""The words of the rule language as data: what each name means and takes, for whoever reads rules that are not Python.

The command line reads expressions with it, and a strategy file's mistakes are answered with it.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType

from engine.errors import nearest
from engine.language import measures
from engine.language.grammar import Condition, Expr, way_out

SOURCES = ("engine.rules", "engine.indicators", "engine.structure", "engine.regimes")
"""The modules whose names people write."""

WITH_VALUES = (*SOURCES, measures.__name__, "engine.language.conditions")
"""The modules of what has values behind a dot: indicators, structure, bar series and regimes."""

_CALLED = re.compile(r"(?:(\w+)\.)?(\w+)\(\) ")
_QUOTED = re.compile(r"'(\w+)'")


@cache
def modules() -> tuple[ModuleType, ...]:
    """The modules of the vocabulary."""
    return tuple(import_module(name) for name in SOURCES)


@cache
def words() -> dict[str, object]:
    """Every name that may stand in an expression, with what it means; Python's ``abs`` among them.

    Left out are the classes that expressions are made of, and what only a class body can hold: parameters and exits.
    """
    found = {name: getattr(module, name) for module in modules() for name in module.__all__}
    spoken = {name: value for name, value in found.items() if name[0].islower() and name != "condition"}
    return spoken | {"Regime": found["Regime"], "abs": abs}


def usage_of(function: Callable[..., object], name: str = "") -> str:
    """How a function of the vocabulary is written: ``ema(x, length=None, *, half_life=None)``."""
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]
    return f"{name or getattr(function, '__name__', '')}{inspect.Signature(plain)}"


def answer_to(error: Exception) -> str:
    """How to write what Python refused in a rule with ``error``; empty when it has nothing to do with rules."""
    text = str(error)
    if isinstance(error, AttributeError):
        return _answer_to_attribute(error.obj, error.name or "")
    if not isinstance(error, TypeError):
        return ""
    if called := _CALLED.match(text):
        return _usage(called[2] if called[2] != "__init__" else called[1])
    named = _QUOTED.findall(text)
    if {"function", "method"} & set(named):
        return "a feature needs its brackets: change(seconds(15))"
    for module in (*modules(), measures):
        for name in named:
            if answer := way_out(getattr(module, name, None)):
                return answer
    return "use a feature, such as abs(price - mid)" if text.startswith("bad operand") else ""


def _usage(name: str) -> str:
    for module in modules():
        found = getattr(module, name, None) if name in module.__all__ else None
        if callable(found):
            return f"it is written {usage_of(found, name)}"
    return "rate() takes nothing in its brackets" if name == "rate" else ""


def _answer_to_attribute(of: object, name: str) -> str:
    if name == "rate":
        return "counts have one: volume(w).rate(), trade_count(w).rate()"
    if values := values_of(of):
        return nearest(name, values)
    if isinstance(of, Condition):
        return "join conditions with &, | and ~"
    if isinstance(of, Expr) and name in values_of(measures.Bars):
        return "take it of a bar series: bars(minutes(5))"
    if isinstance(of, Expr) and callable(words().get(name)):
        return f"it is a function, not a method: {usage_of(words()[name], name)}"  # type: ignore[arg-type]
    if isinstance(of, Expr):
        return "a rule has functions, as sma(price, 20) or previous(price, 1); docs/reference/features.md has them all"
    return ""


def values_of(made: object) -> list[str]:
    """The names behind the dot of a bar series or an indicator, or of their classes; empty for anything else."""
    cls = made if isinstance(made, type) else type(made)
    if cls.__module__ not in WITH_VALUES or issubclass(cls, Expr | Condition | measures.Anchored):
        return []
    named = [name for name in dir(cls) if isinstance(getattr(cls, name), property | measures.OfBars)]
    return sorted({*named, *getattr(cls, "__dataclass_fields__", ())})


def nearest_word(name: str) -> str:
    """Name the word that somebody may have meant, or the page that lists them all."""
    python = {"max": "maximum", "min": "minimum", "sum": "total", "len": "trade_count"}
    close = [python[name]] if name in python else difflib.get_close_matches(name, sorted(words()), n=1)
    return f"did you mean '{close[0]}'?" if close else "docs/reference/features.md lists its words"
