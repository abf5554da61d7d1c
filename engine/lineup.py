"""Several strategies at once: who trades what, how large, and in which market.

An *entrant* is a strategy with a weight, the symbols that it trades, and a condition that must hold when it enters. It
is written on one line, on the command line and in the configuration alike::

    vwap_scalp weight=0.5 symbols=AAPL,MSFT profit_target=0.6% 'when=five_class(bars(minutes(5))) == "NORMAL"'

What a rule only reads of another instrument, ``of("SPY", …)``, it does not trade, unless ``symbols`` says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from engine.errors import ConfigError, NotFoundError, UserError, nearest
from engine.language.grammar import Condition, Expr, Part, said
from engine.language.measures import Other, OtherCondition
from engine.model import Instrument
from engine.plugins import find_strategy
from engine.quantities import Number, parse_number
from engine.rules import Quantity
from engine.run_settings import Settings
from engine.sizing import Weighted
from engine.strategy import Strategy
from engine.tools.expressions import parse_expression
from engine.trading.lanes import Assignment

OWN_KEYS = ("weight", "symbols", "when")


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """A strategy in a line-up.

    Attributes:
        strategy: with its parameters.
        weight: the size of its entries as a multiple of what it would be alone.
        symbols: what it trades; empty: everything but what its rule only reads.
        when: a condition that must hold when it enters, or the signal is refused (``REGIME``).
        name: what people call it.
    """

    strategy: Strategy
    weight: Fraction = Fraction(1)
    symbols: tuple[str, ...] = ()
    when: Condition | None = None
    name: str = field(default="")

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ConfigError(f"the weight of {self.called} is not positive", fix="leave the strategy out instead")

    @property
    def called(self) -> str:
        """Its name, or that of the strategy's class."""
        return self.name or type(self.strategy).__name__

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say of it but its strategy."""
        return self.weight == 1 and not self.symbols and self.when is None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the passport of a result."""
        cls = type(self.strategy)
        return {
            "strategy": f"{cls.__module__}.{cls.__qualname__}",
            "parameters": {name: str(value) for name, value in self.strategy.parameters.items()},
            "weight": float(self.weight),
            "symbols": list(self.symbols),
            "when": "" if self.when is None else str(self.when),
        }


Line = Strategy | Sequence[Entrant]
"""What a run is made with: one strategy, or several entrants."""


def entrants_of(line: Line) -> list[Entrant]:
    """A line-up as a list; one strategy is a line-up of its own."""
    return [Entrant(line)] if isinstance(line, Strategy) else list(line)


def read_entrant(text: str, where: str = "") -> Entrant:
    """Read a line such as ``vwap_scalp weight=0.5 symbols=AAPL,MSFT profit_target=0.6%``.

    Raises:
        UserError: no such strategy or parameter, or a value that cannot be read.
    """
    try:
        name, *settings = shlex.split(text)
    except ValueError as error:
        what = f"{text!r} names no strategy" + (f" ({error})" if text.strip() else "")
        raise ConfigError(what, where=where, fix="write NAME KEY=VALUE ...") from None
    strategy = find_strategy(name)
    own: dict[str, str] = {}
    parameters: dict[str, Quantity | Number] = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise ConfigError(f"'{setting}' is not KEY=VALUE", where=where, fix="write for example weight=0.5")
        if key in OWN_KEYS:
            own[key] = value
        elif key in strategy.declared:
            parameters[key] = strategy.declared[key].parse(value, where=f"{name}: {key}")
        else:
            what = f"{strategy.__name__} has no parameter '{key}'"
            raise ConfigError(what, where=where, fix=nearest(key, [*strategy.declared, *OWN_KEYS]))
    when = parse_expression(own["when"], f"{name}: when") if "when" in own else None
    if when is not None and not isinstance(when, Condition):
        raise ConfigError(f"{own['when']} is no condition", where=f"{name}: when", fix="write a comparison")
    return Entrant(
        strategy(**parameters),
        parse_number(own.get("weight", 1), where=f"{name}: weight"),
        tuple(filter(None, own.get("symbols", "").split(","))),
        when,
        name,
    )


def context_of(strategy: Strategy) -> frozenset[str]:
    """The symbols of which a strategy's rule, exits, entry and size read values with ``of``, and that of its hedge."""
    rule = [one for one in strategy.conditions() if one is not None]
    plan = strategy.exit_plan()
    hedge = strategy.hedge_plan()
    further = [plan.when, strategy.entry_plan().price, None if hedge is None else hedge.measured]
    if strategy.size is not None:
        further += [*strategy.size.distances().values(), *strategy.size.numbers().values()]
    parts: list[Part] = [*rule, *plan.distances.values(), *(part for part in further if part is not None)]
    read = {symbol for part in parts for symbol in _others_in(part, strategy.parameters)}
    return frozenset(read if hedge is None else read | {hedge.symbol})


def _others_in(part: Part, parameters: Mapping[str, Quantity]) -> Iterator[str]:
    if isinstance(part, Other | OtherCondition):
        symbol = part.symbol
        yield symbol if isinstance(symbol, str) else str(parameters[symbol.name].value)
    for inner in part.parts:
        if isinstance(inner, Expr | Condition):
            yield from _others_in(inner, parameters)


def traded_by(entrant: Entrant, instruments: Sequence[Instrument]) -> list[int]:
    """Which instruments an entrant trades, by index.

    Raises:
        NotFoundError: it names a symbol that is not there.
        ConfigError: its rule only reads all there is, so that nothing is left to trade.
    """
    there = [instrument.symbol for instrument in instruments]
    for symbol in entrant.symbols:
        if symbol not in there:
            raise NotFoundError(f"there is no symbol '{symbol}'", where=entrant.called, fix=nearest(symbol, there))
    context = context_of(entrant.strategy)
    chosen = entrant.symbols or [symbol for symbol in there if symbol not in context]
    if there and not chosen:
        what = f"it reads {', '.join(sorted(context))} and there is no other symbol to trade"
        raise ConfigError(what, where=entrant.called, fix=f"give a stream with more, or say symbols={there[0]}")
    return [number for number, symbol in enumerate(there) if symbol in chosen]


def assignments_of(line: Line, instruments: Sequence[Instrument], settings: Settings) -> list[Assignment]:
    """What the kernel is told of a line-up; the settings say how large an entry of weight 1 is.

    Raises:
        UserError: an entrant has nothing to trade.
    """
    return [_weighted(one, settings.assignment(one.strategy, traded_by(one, instruments))) for one in entrants_of(line)]


def _weighted(entrant: Entrant, alone: Assignment) -> Assignment:
    """The assignment with the entrant's weight and condition."""
    weight, sizing = entrant.weight, alone.sizing
    weighted = sizing if sizing is None or weight == 1 else Weighted(sizing, weight)
    return replace(alone, size=alone.size * weight, sizing=weighted, when=entrant.when)


def labels(entrants: Sequence[Entrant]) -> list[str]:
    """What the entrants are called where each must be told from the others: a second of a name gets a number."""
    names = [one.called for one in entrants]
    before = [names[:number].count(name) for number, name in enumerate(names)]
    return [f"{name} {count + 1}" if count else name for name, count in zip(names, before, strict=True)]


def line_up(strategies: Sequence[str | Strategy | type[Strategy] | Entrant]) -> list[Entrant]:
    """Entrants from lines of text, strategies or entrants.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    if not strategies:
        raise UserError("there is no strategy in the line-up", fix="name one")
    return [_entrant(one) for one in strategies]


def _entrant(one: str | Strategy | type[Strategy] | Entrant) -> Entrant:
    if isinstance(one, Entrant):
        return one
    if isinstance(one, str):
        return read_entrant(one)
    return Entrant(one if isinstance(one, Strategy) else strategy_class(one)())


def strategy_class(given: object) -> type[Strategy]:
    """Return a strategy's class as it is.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(given, type) and issubclass(given, Strategy):
        return given
    fix = "give a name, a path such as mine.py:Mine, or a class made of engine.Strategy"
    raise ConfigError(f"{said(given)} is no strategy", where="strategy", fix=fix)
