"""Another future for the data that a strategy's own code keeps: what a look ahead would see is no longer there.

A strategy that looks ahead reads data which the engine did not hand to it: a column in its module, class, or itself.
All such columns as long as the ticks are found, and their entries beyond a cut are erased (zero) or mirrored (every
move from the last entry before the cut turned round). The past stays as it is, and so does a column of times, by which
the present is looked up. Code that reads only the past cannot tell the difference.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.custom import code_in
from engine.model import TickBlock
from engine.strategy import Strategy
from engine.tools.observation import is_trade, of_instrument

ERASED, MIRRORED = "erased", "mirrored"

DEPTH = 3
"""Containers looked into: a column in a dict in an object is three deep."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A name that leads to data as long as the ticks, and how to give it another value."""

    name: str
    value: Any
    assign: Callable[[Any], None]


class Reach:
    """What the code of one strategy can look at besides what it is handed, for ticks of one file.

    ``names`` says what was found, ``unchanged`` what is as long as the ticks and of a kind that is left as it is.
    """

    def __init__(self, strategy: Strategy, block: TickBlock) -> None:
        self._clock = block.ts_ns
        self._counts = _counts(block)
        self.holders: list[Holder] = []
        self.unchanged: list[str] = []
        for one in _names(strategy):
            if self._changed(one.value, 0, ERASED) is not one.value:
                self.holders.append(one)
            elif self._is_long(one.value) and not (isinstance(one.value, np.ndarray) and self._is_clock(one.value)):
                self.unchanged.append(one.name)
        kept = vars(strategy).items()
        own = [f"self.{name}" for name, value in kept if self._changed(value, 0, ERASED) is not value]
        self.names = [*(one.name for one in self.holders), *own]

    @contextmanager
    def other_future(self, row: int, how: str) -> Iterator[None]:
        """Let every column found have another future after record ``row``, for as long as the context lasts."""
        try:
            for one in self.holders:
                one.assign(self._changed(one.value, row, how))
            yield
        finally:
            for one in self.holders:
                one.assign(one.value)

    def change_own(self, strategy: Strategy, row: int, how: str) -> None:
        """The same for what a strategy keeps in itself; it is not given back."""
        for name, value in list(vars(strategy).items()):
            changed = self._changed(value, row, how)
            if changed is not value:
                object.__setattr__(strategy, name, changed)

    def _changed(self, value: Any, row: int, how: str, depth: int = DEPTH) -> Any:
        """A copy of ``value`` with another future; ``value`` itself where it holds no column."""
        if isinstance(value, np.ndarray):
            return self._column(value, row, how)
        if isinstance(value, list | tuple) and len(value) in self._counts and _are_numbers(value):
            column = np.array(value)
            changed = self._column(column, row, how)
            return value if changed is column else type(value)(changed.tolist())
        if not depth:
            return value
        if isinstance(value, dict):
            parts = {key: self._changed(item, row, how, depth - 1) for key, item in value.items()}
            return value if all(parts[key] is item for key, item in value.items()) else parts
        if isinstance(value, list | tuple):
            items = [self._changed(item, row, how, depth - 1) for item in value]
            if all(new is old for new, old in zip(items, value, strict=True)):
                return value
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        return self._object(value, row, how, depth)

    def _object(self, value: Any, row: int, how: str, depth: int) -> Any:
        """The same for an object's attributes; classes, functions and modules are looked into by nobody."""
        if isinstance(value, type | FunctionType | ModuleType):
            return value
        slots = [slot for cls in type(value).__mro__ for slot in getattr(cls, "__slots__", ())]
        held = {name: getattr(value, name, None) for name in slots} | getattr(value, "__dict__", {})
        parts = {name: self._changed(part, row, how, depth - 1) for name, part in held.items()}
        parts = {name: part for name, part in parts.items() if part is not held[name]}
        if not parts:
            return value
        try:
            changed = copy.copy(value)
            for name, part in parts.items():
                object.__setattr__(changed, name, part)
        except Exception:  # an object that cannot be copied, or does not let itself be changed
            return value
        return changed

    def _column(self, column: NDArray[Any], row: int, how: str) -> NDArray[Any]:
        if not self._is_long(column) or self._is_clock(column):
            return column
        cut = int(self._counts[len(column)][row])
        fields = column.dtype.names
        if fields is None and column.ndim == 1:
            return _with_other_tail(column, cut, how)
        changed = column.copy()  # a table: each of its columns by itself
        places: list[Any] = list(fields) if fields else [(..., place) for place in range(column.shape[-1])]
        for place in places:
            changed[place] = self._column(column[place], row, how)
        return changed

    def _is_long(self, value: Any) -> bool:
        """Whether it has an entry per tick."""
        if isinstance(value, str | bytes | type):
            return False
        try:
            return len(value) in self._counts
        except Exception:  # it has no length, or an idea of its own of what asking for it means
            return False

    def _is_clock(self, column: NDArray[Any]) -> bool:
        """Whether the column is the time of the ticks, in any unit and from any beginning."""
        clock = self._clock
        if column.dtype.kind == "M":
            return True
        if column.ndim != 1 or column.dtype.kind not in "iuf" or len(column) != len(clock) or clock[-1] == clock[0]:
            return False
        passed = (clock - clock[0]) / float(clock[-1] - clock[0])
        span = float(column[-1]) - float(column[0])
        return span > 0 and bool(np.allclose((column - column[0]) / span, passed, rtol=0, atol=1e-6))


def _with_other_tail(column: NDArray[Any], cut: int, how: str) -> NDArray[Any]:
    """A copy whose entries from ``cut`` on are erased or mirrored; what cannot be mirrored is erased."""
    changed = column.copy()
    kind = column.dtype.kind
    if how == ERASED or not cut or kind not in "iufb":
        changed[cut:] = np.zeros(1, column.dtype)[0]
    elif kind == "b":
        changed[cut:] = ~column[cut:]
    else:
        changed[cut:] = 2 * column[cut - 1] - column[cut:]
    return changed


def _counts(block: TickBlock) -> dict[int, NDArray[np.int64]]:
    """By length of a column: how many of its entries belong to the records up to each one."""
    trades = is_trade(block)
    counts: dict[int, NDArray[np.int64]] = {}
    if block.instrument is not None:
        for index in range(int(block.instrument.max(initial=0)) + 1):
            chosen = trades & of_instrument(block, index)
            counts[int(np.count_nonzero(chosen))] = np.cumsum(chosen)
    counts[int(np.count_nonzero(trades))] = np.cumsum(trades)
    counts[len(block)] = np.arange(1, len(block) + 1)
    return {length: count for length, count in counts.items() if length > 1}


def _are_numbers(values: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def features_of(strategy: Strategy) -> list[Callable[..., object]]:
    """The functions and classes of the Python features in the strategy's conditions."""
    return [code for side in strategy.conditions() if side is not None for code in code_in(side)]


def _names(strategy: Strategy) -> Iterator[Holder]:
    """Every name that the strategy's methods and Python features can look up: in module, class, enclosing functions."""
    cls, features = type(strategy), features_of(strategy)
    owners = list(cls.__mro__[: cls.__mro__.index(Strategy)])
    owners += [owner for code in features if isinstance(code, type) for owner in code.__mro__[:-1]]
    seen: set[int] = set()
    for owner in owners:
        for name, value in list(vars(owner).items()):
            yield Holder(f"{owner.__name__}.{name}", value, partial(setattr, owner, name))
            yield from _words(getattr(value, "__func__", getattr(value, "fget", value)), seen)
    for code in features:
        yield from _words(code, seen)


def _words(function: object, seen: set[int]) -> Iterator[Holder]:
    """The names around a function; those of a module once."""
    if not isinstance(function, FunctionType):
        return
    for word, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield Holder(word, cell.cell_contents, partial(setattr, cell, "cell_contents"))
    words = function.__globals__
    if id(words) not in seen:
        seen.add(id(words))
        for word, held in list(words.items()):
            yield Holder(word, held, partial(words.__setitem__, word))
