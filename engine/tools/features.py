"""Feature columns: what the rules of a strategy see, on every trade of a recording, as NumPy arrays.

They are not computed again: the kernel that trades runs over the ticks, with the expressions in its graph, and the
columns of each block are copied as they are made. A research column is therefore the live feature, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backtesting import check_accepted, load_ticks, make_kernel, make_settings
from engine.errors import ConfigError
from engine.journal.writer import MemoryJournal
from engine.language.grammar import Condition, Expr, Part, Quantity, RuleError
from engine.language.measures import Anchored, Feature, Past, Series
from engine.model import Kind, TickBlock
from engine.rules import Param
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.column_memory import lay_out
from engine.tools.feature_shares import Share, dealt, shares_of
from engine.trading.fitting import Graphs, compile_graphs
from engine.trading.kernel import Kernel

Columns = dict[str, NDArray[np.float64] | NDArray[np.bool_]]
Declared = Mapping[str, Part] | type[Strategy] | Strategy


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Feature columns with what they were computed on."""

    file: TickFile
    columns: Columns

    @property
    def rows(self) -> NDArray[np.intp]:
        """The trades' places in ``file.block``, one for each row of the columns."""
        kind = self.file.block.kind
        return np.arange(len(self.file.block)) if kind is None else np.flatnonzero(kind == Kind.TRADE)


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
    table = feature_table(ticks, declared, symbol=symbol, calendar=calendar, **reading)
    if table.file.order is None:
        return table.columns
    kind = table.file.block.kind
    rows = table.file.order if kind is None else table.file.order[kind == Kind.TRADE]
    back = np.argsort(rows)
    return {name: values[back] for name, values in table.columns.items()}


def feature_table(
    ticks: Any, declared: Declared, *, symbol: str | None = None, calendar: str = "always", **reading: Any
) -> FeatureTable:
    """As ``features``, with the file that was read."""
    file = load_ticks(ticks, symbol=symbol, **reading)
    watched, parameters = watched_of(declared)
    kernels_of = partial(_kernels, file, parameters, calendar)
    columns = _in_shares(file, shares_of(watched, parameters, file.block, len(file.instruments)), kernels_of)
    if columns is None:  # ticks out of order or invalid: only one after the other are they what they are
        (whole,) = shares = dealt(watched, len(file.block), 1)
        columns = _empty(watched, _trades_in(file.block))
        (kernel,) = kernels_of(shares)
        check_accepted(file, _fill(file, whole, kernel, columns))
    return FeatureTable(file, columns)


def _in_shares(file: TickFile, shares: Sequence[Share], kernels_of: Callable[..., Iterator[Kernel]]) -> Columns | None:
    """The columns, each share by a thread of its own, the last by this one.

    None when they were shared out by time and a tick was out of order or refused.
    """
    watched = {name: part for share in shares for name, part in share.watched.items()}
    columns = _empty(watched, _trades_in(file.block))
    made = kernels_of(shares)  # one by one: the first works while the next is made
    *others, own = shares
    with ThreadPoolExecutor(len(others) or 1) as pool:
        begun = [pool.submit(_fill, file, share, next(made), columns) for share in others]
        last = _fill(file, own, next(made), columns)
        kernels = [*(one.result() for one in begun), last]
    in_stretches = any(share.first for share in shares)
    if any(kernel.core.late or kernel.core.rejected for kernel in kernels) and in_stretches:
        return None
    for kernel in kernels:
        check_accepted(file, kernel)
    return columns


def _trades_in(block: TickBlock) -> int:
    return len(block) if block.kind is None else int(np.count_nonzero(block.kind == Kind.TRADE))


def _empty(watched: Mapping[str, Part], rows: int) -> Columns:
    kinds = [np.bool_ if isinstance(part, Condition) else np.float64 for part in watched.values()]
    return dict(zip(watched, lay_out(rows, kinds), strict=True))


def _kernels(
    file: TickFile, parameters: Mapping[str, Quantity], calendar: str, shares: Sequence[Share]
) -> Iterator[Kernel]:
    """A kernel for each share, which only watches; stretches of the ticks have one graph together."""
    settings = make_settings(file.block, fills="last", calendar=calendar)
    graphs: dict[int, Graphs] = {}
    for share in shares:
        if id(share.watched) not in graphs:
            graphs[id(share.watched)] = compile_graphs(
                file.instruments, [], watched=share.watched, parameters=parameters
            )
        yield make_kernel(file.instruments, None, settings, MemoryJournal(), graphs=graphs[id(share.watched)])


def _fill(file: TickFile, share: Share, kernel: Kernel, columns: Columns) -> Kernel:
    """Run a share's records through a kernel, which fills the share's rows of its columns."""
    for name in share.watched:
        rows = columns[name][share.first :]
        for instrument, column in enumerate(kernel.columns[name]):
            kernel.core.tap(instrument, column, rows.view(np.uint8), share.first - share.start)
    try:
        kernel.process(file.block.part(share.start, share.stop))
    finally:
        kernel.core.untap()  # or the columns would live as long as the kernel
    return kernel


def watched_of(declared: Declared) -> tuple[dict[str, Part], dict[str, Quantity]]:
    """Return what is declared by name, and the values of the parameters in it.

    Raises:
        RuleError: something that is neither an expression nor a condition.
        ConfigError: there is nothing to compute, as of a strategy of which all is in its ``on_tick``.
    """
    if isinstance(declared, type) and issubclass(declared, Strategy):
        declared = declared()
    if isinstance(declared, Strategy):
        named = named_parts(type(declared))
        if not named:
            what = "this strategy names no features and no conditions"
            fix = "name one in its class body: move = change(seconds(15))"
            raise ConfigError(what, where=type(declared).__name__, fix=fix)
        return named, dict(declared.parameters)
    if not isinstance(declared, Mapping):
        raise RuleError("each column has a name", where="features", fix='write {"move": change(seconds(15))}')
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
