"""The graph that a strategy compiles to, as a list: each node once, in evaluation order, with what it serves.

It is read from the program itself, so it shows what the core will do and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import _program
from engine.graph.algebra import Exact, Real, constant_of
from engine.graph.catalogue import quantity_of
from engine.graph.compiler import CompiledRule, Compiler
from engine.graph.nodes import BAR_FIELDS, TRADES
from engine.graph.readings import ConditionView
from engine.language.grammar import Part, RuleError
from engine.language.measures import BarValue, Other, OtherCondition, Sample
from engine.model import SECOND_NS, Instrument
from engine.quantities import format_decimal, format_duration, format_ratio
from engine.strategy import Strategy
from engine.tools.graph_words import FIXED, NEVER, OUTPUTS, Terms, counted, in_words, polynomial, two_sides

SCHEMA = "microburst.graph/1"

SIGNS = {number: sign for sign, number in _program.COMPARISONS.items()}
REMEMBERING = {"previous_int", "previous", "previous_bool"}
AVERAGING = {"ema", "roll_extreme", "roll_stdev", "roll_mad", "roll_slope", "roll_beta", "roll_sum", "unbroken"}
"""Operations that need ``k`` records of their input before they have a value."""


@dataclass(slots=True)
class WarmUp:
    """What must have been seen before a node has a value: a time, and numbers of trades or bars by clock."""

    ns: int = 0
    records: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        needs = [format_duration(self.ns)] if self.ns else []
        trades = self.records.get("trades", 0)
        needs += [counted(trades, "trade")] if trades > 1 else []
        return ", ".join([*needs, *(f"{n:,} × {clock}" for clock, n in self.records.items() if clock != "trades")])


@dataclass(frozen=True, slots=True)
class Input:
    """What a node reads: another node's value, named where it has several, or one that is always there (``price``)."""

    node: int | None
    value: str


@dataclass(slots=True)
class GraphNode:
    """One node. ``number`` counts from 1 in the order of evaluation; ``serves`` are labels of conditions."""

    number: int
    operation: str
    computes: str
    inputs: list[Input]
    length: str
    clock: str
    instrument: str  # empty: the one that is traded
    warm_up: WarmUp
    serves: list[str] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """Whether more than one condition needs it."""
        return len(self.serves) > 1

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"shared": self.shared, "warm_up": asdict(self.warm_up)}


@dataclass(frozen=True, slots=True)
class GraphCondition:
    """One comparison of the rule, with the node that decides it."""

    label: str
    text: str
    sides: list[str]
    node: int
    exact: bool
    warm_up: WarmUp


@dataclass(frozen=True, slots=True)
class Graph:
    """A strategy's compiled graph."""

    nodes: list[GraphNode]
    conditions: list[GraphCondition]
    shared: int
    unshared: int  # how many nodes there would be if each condition had its own
    warm_up: WarmUp

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {"nodes": len(self.nodes), "shared_nodes": self.shared, "nodes_without_sharing": self.unshared}
        conditions = [asdict(one) for one in self.conditions]
        return {**counts, "warm_up": asdict(self.warm_up), "conditions": conditions, "graph": [
            node.to_json() for node in self.nodes
        ]}  # fmt: skip


def graph_of(strategy: Strategy) -> Graph:
    """Compile a strategy for an instrument of two decimals, and list what comes of it.

    Raises:
        RuleError: a declaration has no meaning.
    """
    conditions = strategy.conditions()
    parts = [part for side in conditions if side is not None for part in _all_parts(side)]
    others = dict.fromkeys(
        part.symbol if isinstance(part.symbol, str) else str(strategy.parameters[part.symbol.name])
        for part in parts
        if isinstance(part, Other | OtherCondition)
    )
    numbered: dict[str, tuple[int, Compiler]] = {}
    own = Compiler(Instrument("this"), others=numbered)
    numbered.update({symbol: (n, Compiler(Instrument(symbol), others=numbered)) for n, symbol in enumerate(others, 1)})
    try:
        rule = own.rule(*conditions, strategy.parameters, type(strategy).warm_up)
    except RuleError as error:
        place = ": ".join(filter(None, (type(strategy).__name__, error.where)))
        raise RuleError(error.what, where=place, fix=error.fix) from None
    listing = _Listing(strategy, parts, rule)
    for symbol, (_, compiler) in numbered.items():
        listing.add(symbol, compiler)
    listing.add("", own)
    return listing.graph(own)


def _all_parts(part: Part) -> Iterator[Part]:
    yield part
    for inner in part.parts:
        yield from _all_parts(inner)


Place = tuple[str, int]
"""A column, or clock: whose, and its number."""


class _Listing:
    """Collects the nodes of one or several programs."""

    def __init__(self, strategy: Strategy, parts: Iterable[Part], rule: CompiledRule) -> None:
        self.strategy, self.rule = strategy, rule
        self._labels = {("", view.column): label_of(place) for place, view in enumerate(rule.views)}
        self.nodes: list[GraphNode] = []
        self._bars = list(dict.fromkeys(part.bars for part in parts if isinstance(part, BarValue | Sample)))
        self._made: dict[Place, tuple[int, str]] = {}  # column -> its node, and which of the node's values it is
        self._reads: dict[int, set[int]] = {}  # node -> the nodes that it needs
        self._clocks_of: dict[Place, int] = {}  # clock -> the node whose bars it counts

    # -- one program

    def add(self, symbol: str, compiler: Compiler) -> None:
        """List a program's nodes; those of other instruments that it reads come before."""
        details, clocks = _details_of(compiler), self._clocks(compiler)
        for operation, columns, k, x, outputs, clock in compiler.program.listing:
            number, detail = len(self.nodes) + 1, details.get(outputs[0], _Detail())
            inputs = [(symbol, column) for column in columns] + detail.further
            read = [place for place in inputs if place[1] >= 0]
            read += [(symbol, column) for terms in detail.terms for _, factors in terms for column in factors]
            polynomials = [polynomial(terms, lambda column: self._word((symbol, column))) for terms in detail.terms]
            words = [self._word(place) for place in inputs]
            sign, records = SIGNS.get(detail.comparison if detail.terms else k, ""), clocks[clock]
            self.nodes.append(
                GraphNode(
                    number,
                    operation,
                    in_words(operation, words, k, x, _record(clock), polynomials, sign),
                    [self._input(place) for place in dict.fromkeys(read)],
                    _length(operation, k, x, _record(clock)),
                    records,
                    symbol,
                    self._warm_up(operation, read, k, records),
                )
            )
            self._reads[number] = {self._made[place][0] for place in read if place in self._made}
            if clock != TRADES:
                self._reads[number].add(self._clocks_of[symbol, clock])
            if detail.begins != TRADES:
                self._clocks_of[symbol, detail.begins] = number
            names = OUTPUTS.get(operation, ("",) * len(outputs))
            self._made.update({(symbol, c): (number, name) for c, name in zip(outputs, names, strict=False)})
            self._made.update({(symbol, c): (number, name) for c, name in detail.values.items()})

    def _clocks(self, compiler: Compiler) -> dict[int, str]:
        """The clocks of a program in words, those of bars with their roles."""
        parameters, words = self.strategy.parameters, dict[tuple[str, int], list[str]]()
        for bars in self._bars:
            said = words.setdefault(compiler.catalogue.bar_length(bars, parameters), [])
            for word in (f"bars({quantity_of(bars.length, parameters)})", bars.role):
                if word and word not in said:
                    said.append(word)
        found = {TRADES: "trades"}
        for (method, *length), made in compiler.nodes.calls():
            if method == "bars":
                found[made[0]] = " ".join(words.get((length[0], length[1]), ["bars"]))
        return found

    # -- words

    def _word(self, place: Place) -> str:
        symbol, column = place
        if place not in self._made:
            return NEVER if column < 0 else f"{symbol} {FIXED.get(column, f'column {column}')}".strip()
        number, value = self._made[place]
        node = self.nodes[number - 1]
        if node.operation in ("tail_time", "tail_count"):
            return f"#{number} ({node.length})"
        if place in self._labels:
            return f"#{number} ({self._labels[place]})"
        return f"#{number}.{value}" if value else f"#{number}"

    def _input(self, place: Place) -> Input:
        number, value = self._made.get(place, (None, FIXED.get(place[1], f"column {place[1]}")))
        return Input(number, value)

    # -- warm-up

    def _warm_up(self, operation: str, read: Iterable[Place], k: int, clock: str) -> WarmUp:
        """What its inputs need, and what it needs of them."""
        made = WarmUp(records={clock: 1})
        counted = 0
        for place in read:
            if place not in self._made:
                continue
            inner = self.nodes[self._made[place][0] - 1]
            made.ns = max(made.ns, inner.warm_up.ns)
            if operation in AVERAGING and inner.operation == "tail_count":
                continue  # its length is that of the operation, which counts it from its own first record
            for name, records in inner.warm_up.records.items():
                made.records[name] = max(made.records.get(name, 1), records)
        if operation in ("tail_time", "warm_time", "opening_phase"):
            made.ns = k
        elif operation in ("tail_count", "warm_count"):
            counted = k - 1
        elif operation in REMEMBERING:
            counted = k
        elif operation in AVERAGING:
            counted = k - 1
        made.records[clock] += counted
        return made

    # -- what serves what

    def graph(self, own: Compiler) -> Graph:
        """The whole, with the conditions that each node serves."""
        conditions, unshared = [], 0
        sides = self._sides(own)
        for place, view in enumerate(self.rule.views):
            label = label_of(place)
            needed = self._below(("", column) for column in _columns_of(view))
            for number in needed:
                self.nodes[number - 1].serves.append(label)
            unshared += len(needed)
            node = self.nodes[self._made["", view.column][0] - 1]
            named = [side for side, columns in sides.items() if view.column in columns]
            conditions.append(GraphCondition(label, text_of(view), named, node.number, view.exact, node.warm_up))
        joining = [node for node in self.nodes if not node.serves]
        shared = sum(node.shared for node in self.nodes)
        warm_up = WarmUp(self.rule.warm_up.ns, {"trades": self.rule.warm_up.trades})
        return Graph(self.nodes, conditions, shared, unshared + len(joining), warm_up)

    def _sides(self, own: Compiler) -> dict[str, set[int]]:
        """The columns of each side's conditions; compiling a side again finds them where they are."""
        found: dict[str, set[int]] = {}
        for word, side in zip(("long", "short"), self.strategy.conditions(), strict=True):
            views: list[ConditionView] = []
            if side is not None:
                own.condition(side, self.strategy.parameters, views)
            found[word] = {view.column for view in views}
        return found

    def _below(self, places: Iterable[Place]) -> list[int]:
        """The nodes that compute some columns, and all that they need."""
        found: set[int] = set()
        waiting = {self._made[place][0] for place in places if place in self._made}
        while waiting:
            found |= waiting
            waiting = {inner for number in waiting for inner in self._reads[number]} - found
        return sorted(found)


@dataclass(slots=True)
class _Detail:
    """What a program's listing leaves out of a node: polynomials, bars' values, columns of other programs."""

    terms: list[Terms] = field(default_factory=list)
    comparison: int = -1
    values: dict[int, str] = field(default_factory=dict)
    further: list[Place] = field(default_factory=list)
    begins: int = TRADES


def _details_of(compiler: Compiler) -> dict[int, _Detail]:
    """The details of a program's nodes, by their first column; the compiler alone remembers the polynomials."""
    symbols = {number: symbol for symbol, (number, _) in compiler.others.items()}
    found: dict[int, _Detail] = {}
    for (method, *arguments), made in compiler.nodes.calls():
        if method == "bars":
            clock, closed, developing = made
            values = dict(zip(closed, BAR_FIELDS, strict=False)) | {closed[-1]: "value"}
            values |= dict(zip(developing, [f"developing.{name}" for name in BAR_FIELDS], strict=False))
            found[developing[0]] = _Detail(values=values | {developing[-1]: "developing.value"}, begins=clock)
        elif method == "other":
            found[made] = _Detail(further=[(symbols[arguments[0]], arguments[2])])
        elif polynomials := [argument for argument in arguments if _is_polynomial(argument)]:
            detail = _Detail(polynomials)
            if str(method).startswith("compare"):
                detail.terms, detail.comparison = list(two_sides(polynomials[0])), arguments[1]
            found[made] = detail
    return found


def _is_polynomial(argument: object) -> bool:
    return isinstance(argument, tuple) and all(
        isinstance(term, tuple) and len(term) == 2 and isinstance(term[1], tuple) for term in argument
    )


def _record(clock: int) -> str:
    return "trade" if clock == TRADES else "bar"


def _length(operation: str, k: int, x: float, record: str) -> str:
    """How far back a node looks, in the units that people think in; empty where it looks no way back."""
    if operation in ("tail_time", "warm_time", "opening_phase", "bars_by_time", "flat_candles"):
        return format_duration(k)
    if operation == "ema_time":
        return format_duration(int(x))
    if operation in {"tail_count", "warm_count", "bars_by_count", *REMEMBERING} or (operation in AVERAGING and x == 0):
        return counted(k, "trade" if operation == "bars_by_count" else record)
    return ""


# ---------------------------------------------------------------- conditions


def label_of(place: int) -> str:
    """A, B, … Z, AA, AB, …"""
    return (label_of(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def text_of(view: ConditionView) -> str:
    """A comparison with its threshold's number in place of a parameter's name; a condition that is none by its own."""
    if view.written or (isinstance(view.left, Real) and view.left.column == view.column):
        return view.written or view.name
    return f"{view.name} {view.op} {_threshold(view)}"


def _threshold(view: ConditionView) -> str:
    if not isinstance(view.right, Exact) or view.right.columns():
        return view.threshold_text
    number = constant_of(view.right) * view.right_scale
    if view.unit == "%":
        return format_ratio(number)
    if view.unit == "s" and view.name == "time_of_day":
        return f"{int(number) // 3600:02}:{int(number) // 60 % 60:02}"
    return format_duration(int(number * SECOND_NS)) if view.unit == "s" else format_decimal(number)


def _columns_of(view: ConditionView) -> Iterator[int]:
    yield view.column
    for value in (view.left, view.right):
        if isinstance(value, Real):
            yield value.column
