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
from importlib.util import find_spec
from types import ModuleType

SOURCES = ("engine.rules", "engine.indicators", "engine.structure")
"""The modules whose names people write."""

_CALLED = re.compile(r"(?:(\w+)\.)?(\w+)\(\) ")


@cache
def modules() -> tuple[ModuleType, ...]:
    """The modules of the vocabulary."""
    return tuple(import_module(name) for name in SOURCES if find_spec(name) is not None)


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


def answer_to(error: TypeError) -> str:
    """How to write the function of the vocabulary that ``error`` says was called wrongly; empty when it is none."""
    match = _CALLED.match(str(error))
    if match is None:
        return ""
    name = match[1] if match[2] == "__init__" and match[1] else match[2]
    for module in modules():
        found = getattr(module, name, None) if name in module.__all__ else None
        if callable(found):
            return f"it is written {usage_of(found, name)}"
    return f"{match[1]}.{name} takes nothing in its brackets" if name == "rate" else ""


def nearest_word(name: str) -> str:
    """Name the word that somebody may have meant, or the page that lists them all."""
    python = {"max": "maximum", "min": "minimum", "sum": "total", "len": "trade_count"}
    close = [python[name]] if name in python else difflib.get_close_matches(name, sorted(words()), n=1)
    return f"did you mean '{close[0]}'?" if close else "docs/reference/features.md lists its words"
