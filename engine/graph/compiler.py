"""From declared rules to the core's graph: exact where it can be, shared where it is equal, refused where it is wrong.

An expression of exact features is a quotient of two polynomials in integer columns (prices in ticks, sizes in lots).
Comparing two of them is asking for the sign of one polynomial, with the thresholds' fractions multiplied out, so no
comparison rounds. Features that are doubles by definition (a standard deviation) are compared as doubles, and so is the
rare exact comparison that would not fit in 128 bits; ``ConditionView.exact`` says which it was.

An expression is computed on the clock of what it is made of: on bars when all of it is of one bar series, else on
trades, where a bar's values are held. What is undefined satisfies no comparison, and no negation of one either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from engine import _program
from engine.graph.algebra import (
    NO_UNIT,
    PRICE,
    SIZE,
    TIME,
    Exact,
    Real,
    Unit,
    Value,
)
from engine.graph.catalogue import Catalogue, setting
from engine.graph.comparisons import Comparisons
from engine.graph.instruments import compile_other, compile_other_condition, instrument_of
from engine.graph.nodes import ONE, TRADES, Nodes, Parameters
from engine.graph.readings import ConditionView, add_view, view_of_comparison, view_of_truth, views_of_sides
from engine.graph.series import compile_series, length_of
from engine.language.grammar import (
    Binary,
    Comparison,
    Condition,
    Constant,
    Elementwise,
    Expr,
    Joined,
    Kind,
    Negation,
    Part,
    Quantity,
    RuleError,
)
from engine.language.measures import (
    MOVES,
    BarValue,
    Custom,
    Developing,
    Feature,
    Other,
    OtherCondition,
    Past,
    Sample,
    Series,
    Window,
)
from engine.language.parameters import Param
from engine.model import SECOND_NS, Instrument

OPPOSITE = {">=": "<", "<": ">=", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_JOINED_NOT = {"&": "|", "|": "&"}


@dataclass(slots=True)
class WarmUp:
    """How long all windows of a rule need before it may fire."""

    ns: int = 0
    trades: int = 0


@dataclass(slots=True)
class CompiledRule:
    """A rule in the graph: its state column, warm-up, and the comparisons it is made of."""

    state: int
    warm_up: WarmUp
    views: list[ConditionView] = field(default_factory=list)


class Compiler:
    """Builds the program of one instrument from the rules of any number of strategies; equal parts are built once.

    ``others`` are the compilers of all instruments by symbol, each with its number, for values that one takes from
    another.
    """

    def __init__(
        self,
        instrument: Instrument,
        program: _program.Program | None = None,
        others: Mapping[str, tuple[int, Compiler]] | None = None,
    ) -> None:
        self.instrument = instrument
        self.nodes = Nodes(instrument, program)
        self.program = self.nodes.program
        self.catalogue = Catalogue(self.nodes)
        self.comparisons = Comparisons(self)
        self.others: Mapping[str, tuple[int, Compiler]] = others if others is not None else {}
        self._in_doubles: dict[tuple[int, int], tuple[Part, Parameters]] = {}  # not decided exactly; by ids, too
        self._known: dict[tuple[object, ...], tuple[Any, Part, Parameters]] = {}  # by ids, which are kept

    # -- whole rules

    def rule(
        self,
        long: Condition | None,
        short: Condition | None,
        parameters: Parameters,
        warm_up: Window | None = None,
    ) -> CompiledRule:
        """Compile a long and a short condition into a state column; a side that is None is never taken.

        It may fire once ``warm_up``, or else every window of trades in the rule, has been seen in full.

        Raises:
            RuleError: a declaration has no meaning.
        """
        sides = [side for side in (long, short) if side is not None]
        windows = list(dict.fromkeys(window for side in sides for window in self._windows_of(side, parameters)))
        for window in windows:  # all tails first: the core moves neighbouring ones together
            self.catalogue.tail(window)
        rule = CompiledRule(-1, WarmUp())
        if warm_up is not None:
            if not isinstance(warm_up, Param | Quantity):
                raise RuleError(f"{warm_up} has no length to wait for", where="warm_up", fix="use seconds(15)")
            windows = [self.catalogue.window_quantity(warm_up, parameters)]
        for window in windows:
            if window.kind is Kind.DURATION:
                rule.warm_up.ns = max(rule.warm_up.ns, window.value)
            else:
                rule.warm_up.trades = max(rule.warm_up.trades, window.value)
        views: tuple[list[ConditionView], list[ConditionView]] = [], []
        columns = [
            -1 if side is None else self.condition(side, parameters, own)
            for side, own in zip((long, short), views, strict=True)
        ]
        rule.views = views_of_sides(*views)
        never = self.nodes.never() if not sides else -1
        rule.state = self.nodes.column("state", max(columns[0], never), columns[1])
        return rule

    def _windows_of(self, part: Part, parameters: Parameters) -> Iterable[Quantity]:
        """The sliding windows of this instrument's trades, in the order in which they are written."""
        if isinstance(part, Other | OtherCondition):  # undefined until those of the other one are full
            return
        for inner in part.parts:
            yield from self._windows_of(inner, parameters)
        if isinstance(part, Feature) and isinstance(part.window, Param | Quantity) and part.feature != "flat_candles":
            yield self.catalogue.window_quantity(part.window, parameters)

    # -- clocks

    def _once(
        self, what: str, part: Part, parameters: Parameters, clock: int, find: Callable[[Any, Parameters, int], Any]
    ) -> Any:
        """What ``find`` says of a part, asked once: it may stand in a thousand places, where windows wait or not."""
        key = what, id(part), id(parameters), clock, self.catalogue.waits
        if key not in self._known:
            self._known[key] = find(part, parameters, clock), part, parameters
        return self._known[key][0]

    def clock_of(self, part: Part, parameters: Parameters) -> int | None:
        """The clock on which an expression or condition is computed; None for a constant, which has none."""
        return self._once("clock", part, parameters, TRADES, self._clock_of)  # type: ignore[no-any-return]

    def _clock_of(self, part: Part, parameters: Parameters, _: int) -> int | None:
        if isinstance(part, BarValue):
            return TRADES if isinstance(part.bars, Developing) else self.catalogue.bar_clock(part.bars, parameters)
        if isinstance(part, Sample):
            return self.catalogue.bar_clock(part.bars, parameters)
        if isinstance(part, Feature | Other | OtherCondition):
            return TRADES
        clocks = {clock for inner in part.parts if (clock := self.clock_of(inner, parameters)) is not None}
        if isinstance(part, Series) and part.function in ("run_time", "since_time", "ema_time"):
            return TRADES  # these count time, and only trades have one
        return None if not clocks else clocks.pop() if len(clocks) == 1 else TRADES

    # -- columns for people

    def shown(self, part: Part, parameters: Parameters) -> int:
        """The column of a condition, or of an expression's doubles in the units that people read (NaN: undefined)."""
        if isinstance(part, Condition):
            return self.condition_on(part, parameters, TRADES)
        return self.nodes.shown(self.value(part, parameters))

    def distance(self, expr: Expr, parameters: Parameters) -> int:
        """The column of a distance in price, in ticks as doubles; NaN while undefined.

        Raises:
            RuleError: it is not in price.
        """
        value = self.value(expr, parameters)
        if value.unit != PRICE:
            raise RuleError(f"{expr} is {value.unit}, not a distance in price", where="exits", fix="2 * atr(b)")
        return self.nodes.as_real(value, TRADES)

    # -- values

    def value(self, expr: Expr, parameters: Parameters, clock: int = TRADES) -> Value:
        """Compile an expression, to a value on the clock.

        Raises:
            RuleError: units that do not agree, or a feature that does not exist.
        """
        return self._once("value", expr, parameters, clock, self._value_on)  # type: ignore[no-any-return]

    def _value_on(self, expr: Expr, parameters: Parameters, clock: int) -> Value:
        own = self.clock_of(expr, parameters)
        if own is None or own == clock:
            return self._value(expr, parameters, clock)
        if clock != TRADES:
            raise RuleError(f"{expr} is not a value of these bars", fix="take it at each bar's end: sample(x, bars)")
        return self.nodes.lifted(self._value(expr, parameters, own), own)

    def _value(self, expr: Expr, parameters: Parameters, clock: int) -> Value:
        if isinstance(expr, Param):
            return self._constant(setting(expr, parameters), str(expr))
        if isinstance(expr, Constant):
            return self._constant(expr.quantity, str(expr))
        if isinstance(expr, Feature):
            return self.catalogue.feature(expr, parameters)
        if isinstance(expr, BarValue):
            developing = isinstance(expr.bars, Developing)
            return self.catalogue.bar_value(expr, parameters, developing=developing)
        if isinstance(expr, Binary):
            return self._binary(expr, parameters, clock)
        if isinstance(expr, Elementwise):
            return self._elementwise(expr, parameters, clock)
        with self.waiting():
            if isinstance(expr, Series):
                return compile_series(self, expr, parameters, clock)
            if isinstance(expr, Sample):
                inner = self.value(expr.inner, parameters)
                return Real(self.nodes.column("sample", self.nodes.as_real(inner, TRADES), clock), inner.unit)
            if isinstance(expr, Other):
                return compile_other(self, expr, parameters)
            if isinstance(expr, Custom):
                return self._custom(expr, parameters, clock)
        raise RuleError(f"{expr} is not an expression of the rule language")

    @contextmanager
    def waiting(self, waits: bool = True) -> Iterator[None]:
        """Compile windows that are undefined until they have been seen in full, or not: see ``Catalogue.waits``."""
        before, self.catalogue.waits = self.catalogue.waits, waits
        try:
            yield
        finally:
            self.catalogue.waits = before

    def _constant(self, quantity: Quantity, text: str) -> Exact:
        if quantity.kind in (Kind.TICKS, Kind.CHOICE, Kind.SIZE, Kind.VALUE, Kind.SYMBOL):
            raise RuleError(
                f"{text} is a {quantity.kind} and cannot be compared or computed with", fix="use it as a window"
            )
        number = Fraction(quantity.value)
        if quantity.kind in (Kind.DURATION, Kind.TIME_OF_DAY):
            return Exact({(): number / SECOND_NS} if number else {}, ONE, TIME)
        bare = quantity.kind is not Kind.RATIO
        return Exact({(): number} if number else {}, ONE, NO_UNIT, bare=bare)

    def _binary(self, expr: Binary, parameters: Parameters, clock: int) -> Value:
        left, right = (self.value(part, parameters, clock) for part in (expr.left, expr.right))
        if expr.op == "/" and isinstance(right, Exact) and not right.numerator:
            raise RuleError(f"{expr} divides by zero", fix="divide by something that is not always zero")
        if expr.op in "+-":
            left, right = self.nodes.same_unit(left, right, expr)
        return self.nodes.combine(expr.op, left, right, clock)

    def _elementwise(self, expr: Elementwise, parameters: Parameters, clock: int) -> Value:
        """abs, minimum, maximum, log, sqrt or where, as doubles; comparisons of the first three stay exact."""
        values = [self.value(part, parameters, clock) for part in expr.inputs if isinstance(part, Expr)]
        if len(values) > 1:
            values = list(self.nodes.same_unit(values[0], values[1], expr))
        unit = values[0].unit
        if expr.function == "log":
            return Real(self.nodes.logarithm(self._in_display_units(values[0], clock), clock), NO_UNIT)
        if expr.function == "sqrt":
            unit = half(unit, expr)
        columns = [self.nodes.as_real(value, clock) for value in values]
        if expr.function == "where":
            columns.insert(0, self.condition_on(expr.inputs[0], parameters, clock))
        return Real(self.nodes.op(expr.function, *columns, clock=clock), unit)

    def _in_display_units(self, value: Value, clock: int) -> Value:
        """A value as people read it: the logarithm of a price is that of currency, not of ticks."""
        if isinstance(value, Exact):
            return value.scaled(self.nodes.display_scale(value.unit))
        return Real(self.nodes.shown(value, clock), NO_UNIT)

    def _custom(self, expr: Custom, parameters: Parameters, clock: int) -> Value:
        units = {"ratio": NO_UNIT, "price": PRICE, "size": SIZE}
        if expr.unit not in units:
            raise RuleError(f"{expr} is in {expr.unit!r}", fix="its unit is 'ratio', 'price' or 'size'")
        columns = tuple(self.nodes.as_real(self.value(part, parameters, clock), clock) for part in expr.inputs)
        column = self.nodes.made(expr.build, columns, clock)
        if not isinstance(column, int) or not 0 <= column < self.program.columns:
            raise RuleError(f"{expr} is built by a function that returned {column!r}", fix="return a column's number")
        if self.program.type_of(column) != "f" or self.program.clock_of(column) != clock:
            raise RuleError(f"{expr} made a column that is not of doubles on its own clock", fix="see Operation.of")
        return Real(column, units[expr.unit])

    # -- conditions

    def condition(
        self,
        part: Condition,
        parameters: Parameters,
        views: list[ConditionView] | None = None,
        *,
        negated: bool = False,
    ) -> int:
        """Compile a condition to a column on trades, adding to ``views`` each comparison it is made of.

        A negation is carried inwards, to the comparisons: what is undefined then satisfies neither form.
        """
        if isinstance(part, Negation):
            return self.condition(part.inner, parameters, views, negated=not negated)
        if isinstance(part, Joined):
            sides = [self.condition(side, parameters, views, negated=negated) for side in _flat(part)]
            return self.nodes.joined(_JOINED_NOT[part.op] if negated else part.op, sides)
        if isinstance(part, Comparison):
            return self._comparison(part, parameters, views, negated=negated)
        clock = self.clock_of(part, parameters) or TRADES
        column = self.condition_on(part, parameters, clock, negated=negated)
        if clock != TRADES:
            column = self.nodes.column("hold", column)
        if views is not None:
            exact = self.is_exact(part, parameters)
            add_view(views, view_of_truth(f"not {part}" if negated else str(part), column, exact))
        return column

    def condition_on(self, part: Part, parameters: Parameters, clock: int, *, negated: bool = False) -> int:
        """The column of a condition on a clock, without views."""
        if isinstance(part, Negation):
            return self.condition_on(part.inner, parameters, clock, negated=not negated)
        if isinstance(part, Joined):
            sides = [self.condition_on(side, parameters, clock, negated=negated) for side in _flat(part)]
            return self.nodes.joined(_JOINED_NOT[part.op] if negated else part.op, sides)
        if isinstance(part, Comparison):
            op = OPPOSITE[part.op] if negated else part.op
            column, exact = self.comparisons.decide(op, part.left, part.right, parameters, clock, part)
            if not exact:
                self._in_doubles[id(part), id(parameters)] = part, parameters
            return column
        own = self.clock_of(part, parameters)
        if own not in (None, clock):
            assert own is not None
            return self.nodes.column("hold", self.condition_on(part, parameters, own, negated=negated))
        if isinstance(part, Past):
            inner = self.condition_on(part.inner, parameters, clock, negated=negated)
            return self.nodes.op("previous_bool", inner, k=length_of(part, parameters, clock))
        if isinstance(part, OtherCondition):
            return compile_other_condition(self, part, parameters, negated=negated)
        raise RuleError(f"{part} is not a condition of the rule language")

    def _comparison(
        self, part: Comparison, parameters: Parameters, views: list[ConditionView] | None, *, negated: bool
    ) -> int:
        op = OPPOSITE[part.op] if negated else part.op
        with self.waiting(False):
            column, exact = self.comparisons.decide(op, part.left, part.right, parameters, TRADES, part)
            left, right = self.comparisons.sides(part, parameters)
        if not exact:
            self._in_doubles[id(part), id(parameters)] = part, parameters
        if views is not None:
            scale, exact = self.nodes.display_scale(right.unit), self.is_exact(part, parameters)
            percent, fixed = _in_percent(part.right, parameters), self.clock_of(part.right, parameters) is None
            view = view_of_comparison(part, op, column, exact, left, right, scale, percent=percent, fixed=fixed)
            add_view(views, view)
        return column

    def is_exact(self, part: Part, parameters: Parameters) -> bool:
        """Whether each comparison that a compiled part is made of, and rests on, was decided exactly."""
        return self._once("exact", part, parameters, TRADES, self._is_exact)  # type: ignore[no-any-return]

    def _is_exact(self, part: Part, parameters: Parameters, _: int) -> bool:
        own = instrument_of(self, part.symbol, parameters)[1] if isinstance(part, Other | OtherCondition) else self
        in_doubles = (id(part), id(parameters)) in self._in_doubles
        return not in_doubles and all(own.is_exact(inner, parameters) for inner in part.parts)


def _in_percent(part: Part, parameters: Parameters) -> bool:
    """Whether people read an expression in percent: a ratio, what moves by fractions of the price, or made of such."""
    if isinstance(part, Constant):
        return part.quantity.kind is Kind.RATIO
    if isinstance(part, Param):
        return setting(part, parameters).kind is Kind.RATIO
    if isinstance(part, Feature):
        return part.feature in MOVES
    divided = isinstance(part, Binary) and part.op == "/"
    return not divided and any(_in_percent(inner, parameters) for inner in part.parts)


def _flat(joined: Joined) -> Iterable[Condition]:
    """The conditions of a chain of the same joint, in the order in which they are written."""
    for side in (joined.left, joined.right):
        if isinstance(side, Joined) and side.op == joined.op:
            yield from _flat(side)
        else:
            yield side


def half(unit: Unit, place: object) -> Unit:
    """The unit of a square root."""
    if unit.price % 2 or unit.size % 2 or unit.time % 2:
        raise RuleError(f"{place} is the root of {unit}", fix="take the root of a ratio or of a square")
    return Unit(unit.price // 2, unit.size // 2, unit.time // 2)
