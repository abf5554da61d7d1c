"""Feature columns: what the rules of a strategy see, on every trade of a recording, as NumPy arrays.

They are not computed again: the kernel that trades runs over the ticks, with the expressions in its graph, and the
columns of each block are copied as they are made. A research column is therefore the live feature, to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backtesting import check_accepted, load_ticks, make_kernel, make_settings
from engine.errors import ConfigError
from engine.grammar import Condition, Expr, Part, Quantity, RuleError
from engine.journal import MemoryJournal
from engine.measures import Anchored, Feature, Past, Series
from engine.model import Kind
from engine.rules import Param
from engine.store import TickFile
from engine.strategy import Strategy

WORTH_A_THREAD = 200_000
"""Ticks from which on expressions are shared out to threads."""

Columns = dict[str, NDArray[np.float64] | NDArray[np.bool_]]
Declared = Mapping[str, Part] | type[Strategy] | Strategy


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Feature columns with what they were computed on; ``rows`` are the trades' places in ``file.block``."""

    file: TickFile
    rows: NDArray[np.int64]
    columns: Columns


def features(
    ticks: Any, declared: Declared, *, symbol: str | None = None, calendar: str = "always", **reading: Any
) -> Columns:
    """Compute expressions on every trade.

    Args:
        ticks: as ``engine.backtest`` takes them: a path, arrays, a block or a frame.
        declared: expressions and conditions of the rule language by name, or a strategy, for all that it names.
        symbol: of several symbols in a file, only this.
        calendar: the sessions that windows and anchors begin anew with.
        reading: ``price_precision``, ``size_precision``, ``quotes``, ``on_bad_row``, as ``engine.backtest`` has them.

    Returns:
        One array per name with a value per trade record, in the order of the input: float64 in the units that people
        read (prices in currency, sizes in units, ratios as ratios, durations in seconds; NaN while undefined), bool
        for conditions. Trades of several instruments each carry the value on their own instrument.

    Raises:
        UserError: ticks or a declaration are invalid; the message says which and how to mend it.
    """
    return feature_table(ticks, declared, symbol=symbol, calendar=calendar, **reading).columns


def feature_table(
    ticks: Any, declared: Declared, *, symbol: str | None = None, calendar: str = "always", **reading: Any
) -> FeatureTable:
    """As ``features``, with the file that was read."""
    file = load_ticks(ticks, symbol=symbol, **reading)
    watched, parameters = watched_of(declared)
    block = file.block
    trades = np.arange(len(block)) if block.kind is None else np.flatnonzero(block.kind == Kind.TRADE)
    shares = _shares(watched, len(block))
    with ThreadPoolExecutor(len(shares)) as pool:
        made = list(pool.map(lambda share: _columns(file, share, parameters, calendar, len(trades)), shares))
    found = {name: column for columns in made for name, column in columns.items()}
    return FeatureTable(file, trades, {name: found[name] for name in watched})


def _shares(watched: Mapping[str, Part], ticks: int) -> list[dict[str, Part]]:
    """The expressions dealt out to as many threads as there are processors: the core does not need Python's lock.

    They are dealt in turn, because what is written side by side tends to cost alike. Short streams are not worth a
    thread.
    """
    threads = min(len(watched), processors()) if ticks >= WORTH_A_THREAD else 1
    names = list(watched)
    return [{name: watched[name] for name in names[share::threads]} for share in range(threads)]


def processors() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _columns(
    file: TickFile, watched: Mapping[str, Part], parameters: Mapping[str, Quantity], calendar: str, rows: int
) -> Columns:
    """One kernel over the whole stream, its graph made of ``watched``."""
    settings = make_settings(file.block, fills="last", calendar=calendar)
    kernel = make_kernel(file.instruments, None, settings, MemoryJournal(), watched=watched, parameters=parameters)
    columns: Columns = {}
    for name, part in watched.items():
        columns[name] = np.empty(rows, bool if isinstance(part, Condition) else np.float64)
        for instrument, column in enumerate(kernel.columns[name]):
            kernel.core.tap(instrument, column, columns[name].view(np.uint8))
    kernel.process(file.block)
    check_accepted(file, kernel)
    return columns


def watched_of(declared: Declared) -> tuple[dict[str, Part], dict[str, Quantity]]:
    """Return what is declared by name, and the values of the parameters in it.

    Raises:
        RuleError: something that is neither an expression nor a condition.
    """
    if isinstance(declared, type) and issubclass(declared, Strategy):
        declared = declared()
    if isinstance(declared, Strategy):
        return named_parts(type(declared)), dict(declared.parameters)
    watched: dict[str, Part] = {}
    parameters: dict[str, Quantity] = {}
    for name, part in declared.items():
        if not isinstance(part, Expr | Condition) or isinstance(part, Param):
            raise RuleError(
                f"{part!r} is not a feature", where=f"features[{name!r}]", fix="use one of engine.rules: change(…)"
            )
        watched[name] = part
        parameters.update((param.name, param.default) for param in parameters_of(part))
    if not watched:
        raise ConfigError("no features were asked for", where="features", fix='{"move": change(seconds(15))}')
    return watched, parameters


def named_parts(strategy: type[Strategy]) -> dict[str, Part]:
    """Everything that a strategy's class body names: its features and conditions, ``long`` and ``short`` among them."""
    found: dict[str, Part] = {}
    for cls in reversed(strategy.__mro__):
        for name, value in vars(cls).items():
            if isinstance(value, Expr | Condition) and not isinstance(value, Param):
                found[name] = value
    return found


def parameters_of(part: Part) -> Iterator[Param]:
    """The parameters in an expression or condition, its windows and lengths among them.

    Raises:
        RuleError: a parameter without a name cannot be told from another.
    """
    held: list[object] = [part, *part.parts]
    if isinstance(part, Feature):
        held.append(part.window.length if isinstance(part.window, Anchored) else part.window)
    if isinstance(part, Series | Past):
        held.append(part.length)
    held += [getattr(getattr(part, "bars", None), "length", None), getattr(part, "symbol", None)]
    for item in held:
        if isinstance(item, Param):
            if not item.name:
                raise RuleError("a parameter has no name", fix="name it in a strategy's class body: x = Param(…)")
            yield item
    for inner in part.parts:
        yield from parameters_of(inner)
