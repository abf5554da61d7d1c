"""Features of one's own: in Python, by ``python_feature``; in C, with the folders that a build needs.

A feature in C is a node like the engine's own (``docs/how-to/add-a-feature.md``). One in Python is called for every
record and costs some hundred times as much: it is for trying an idea out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, update_wrapper
from inspect import signature
from pathlib import Path
from types import CodeType
from typing import Any

from engine import _program, _python
from engine.errors import ConfigError, UserError
from engine.language.grammar import Condition, Expr, Operand, Part, Quantity, RuleError, operand
from engine.language.measures import Custom

Settings = tuple[tuple[str, type, object], ...]
"""Names, types and values: equal settings make equal functions."""


def include_dirs() -> list[str]:
    """The folders in which Cython finds ``engine._program`` and ``engine._tape``, and the C compiler their header."""
    package = Path(__file__).resolve().parent
    return [str(package.parent), str(package)]


def python_feature(
    code: Callable[..., object] | None = None, *, unit: str = "ratio", restarts: bool = False
) -> PythonFeature | Callable[[Callable[..., object]], PythonFeature]:
    """Make a function, or a class whose instances are called, a feature of the rule language.

    It is called with the values of its inputs, prices in ticks and sizes in lots, once for every record of their clock
    on which all of them are defined, in order. It returns a number, or None for undefined. An instance belongs to one
    instrument and may remember what it likes. What it raises ends as one ``ConfigError`` when the input has been worked
    through; until then, and from then on, the feature is undefined.

    Args:
        code: the function or class; left out where the decorator is written with arguments.
        unit: what it returns: ``"ratio"``, ``"price"`` (ticks) or ``"size"`` (lots).
        restarts: begin with a new instance when windows of trades do, with a session and after a gap in the feed. On
            bars it makes no difference: they go on.
    """
    if code is None:
        return lambda code: PythonFeature(code, unit, restarts)
    return PythonFeature(code, unit, restarts)


class PythonFeature:
    """A decorated function or class: called with expressions, it is an expression."""

    def __init__(self, code: Callable[..., object], unit: str, restarts: bool) -> None:
        self.code, self.unit, self.restarts = code, unit, restarts
        self.called = code.__call__ if isinstance(code, type) else code
        update_wrapper(self, code, updated=())
        self.name = str(getattr(code, "__name__", code))

    def __call__(self, *inputs: Operand, **settings: object) -> Custom:
        """The feature of ``inputs``: expressions, numbers or parameters. ``settings`` go to the class or function.

        Raises:
            RuleError: inputs or settings that the code does not take, or that cannot stand in a rule.
        """
        if not 1 <= len(inputs) <= _python.MAX_INPUTS:
            raise RuleError(
                f"{self.name} is given {len(inputs)} inputs",
                fix=f"give it between 1 and {_python.MAX_INPUTS}: its first input's clock is its own",
            )
        for name, value in settings.items():
            if isinstance(value, Expr | Condition | Quantity):
                fix = f"take it by its place, as in {self.name}(price, {value})"
                raise RuleError(f"{self.name}({name}={value}) is a setting, which cannot follow a rule", fix=fix)
        call = _Call(self, tuple((name, type(value), value) for name, value in sorted(settings.items())))
        self._check(call, len(inputs))
        return _Called(self.name, call, tuple(operand(value) for value in inputs), self.unit)

    def _check(self, call: _Call, inputs: int) -> None:
        """Refuse what the code could not be called with."""
        settings = {name: value for name, _, value in call.settings}
        places: list[object] = [None] * inputs
        try:
            hash(call)
            if isinstance(self.code, type):
                signature(self.code).bind(**settings)
                signature(self.called).bind(None, *places)  # the instance, then the inputs
            else:
                signature(self.code).bind(*places, **settings)
        except TypeError as error:
            raise RuleError(
                f"{self.name} cannot be called like that: {error}",
                where=place_of(self.called),
                fix="inputs go by their place, settings by their name, and settings are numbers, words or tuples",
            ) from None


class _Called(Custom):
    """A Python feature of its inputs, with its settings."""

    def __str__(self) -> str:
        assert isinstance(self.build, _Call)
        settings = [f"{name}={value}" for name, _, value in self.build.settings]
        return self.called or f"{self.function}({', '.join([*map(str, self.inputs), *settings])})"


@dataclass(frozen=True, slots=True)
class _Call:
    """Adds the node of a feature with these settings to a program."""

    feature: PythonFeature
    settings: Settings

    def __call__(self, program: _program.Program, columns: tuple[int, ...], clock: int) -> int:
        code, settings = self.feature.code, {name: value for name, _, value in self.settings}
        made: Callable[..., object] = partial(code, **settings)
        make: Callable[[], Any] = made if isinstance(code, type) else lambda: made
        caller = _python.Caller(self.feature.name, make, self.feature.called)
        return _python.add_call(program, caller, columns, clock, self.feature.restarts)


def code_in(part: Part) -> Iterator[Callable[..., object]]:
    """The functions and classes of the Python features in an expression or condition."""
    if isinstance(part, _Called):
        assert isinstance(part.build, _Call)
        yield part.build.feature.code
    for inner in part.parts:
        yield from code_in(inner)


# ---------------------------------------------------------------- what went wrong


def callers_of(program: _program.Program) -> list[_python.Caller]:
    """The Python features in a program."""
    return [kept for kept in program.kept if isinstance(kept, _python.Caller)]


def fault_of(caller: _python.Caller) -> UserError | None:
    """What a feature raised, told once, with its place and inputs; None when there is nothing new.

    Raises:
        BaseException: what is no mistake of the feature's, such as an interrupt.
    """
    error = caller.take_error()
    if error is None or isinstance(error, UserError):
        return error
    if not isinstance(error, Exception):
        raise error
    given = "" if caller.arguments is None else ", ".join(f"{value:.12g}" for value in caller.arguments)
    return ConfigError(
        f"{caller.name}({given}) raised {type(error).__name__}: {error}", where=place_of(caller.code, error)
    )


def place_of(function: Callable[..., object], error: BaseException | None = None) -> str:
    """``file:line`` of a function, or of the line in its file that raised ``error``; empty when it has none."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    line, trace = code.co_firstlineno, error.__traceback__ if error is not None else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{code.co_filename}:{line}"
