"""From declared rules to the core's graph: exact where it can be, shared where it is equal, refused where it is wrong.

An expression of exact features is a quotient of two polynomials in integer columns (prices in ticks, sizes in lots).
Comparing two of them is asking for the sign of one polynomial, with the thresholds' fractions multiplied out, so no
comparison rounds. Features that are doubles by definition (a standard deviation) are compared as doubles, and so is the
rare exact comparison that would not fit in 128 bits; ``ConditionView.exact`` says which it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import nan

from engine import _core, _program
from engine.algebra import (
    INT64_MAX,
    NO_UNIT,
    PRICE,
    RATE,
    SIZE,
    Column,
    Exact,
    Poly,
    Real,
    Unit,
    Value,
    common_factor,
    constant_of,
    evaluate,
    is_bare,
    is_positive,
    poly_bound,
    poly_product,
    poly_sum,
    terms_of,
    whole,
)
from engine.model import MAX_PRICE_TICKS, MAX_SIZE_LOTS, SECOND_NS, Instrument
from engine.rules import (
    Binary,
    Comparison,
    Condition,
    Constant,
    Expr,
    Feature,
    Joined,
    Kind,
    Negation,
    Param,
    Quantity,
    RuleError,
    Window,
)

MAX_SESSION_LOTS = 1 << 62  # the core flags a session that trades more

Parameters = Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One comparison as people read it: ``name op threshold``, in the units they think in."""

    name: str
    op: str
    threshold_text: str
    unit: str  # "%" (a ratio that people read in percent), "x", "price", "size" or ""
    exact: bool
    column: int  # bool
    left: Value
    right: Value
    scale: float  # from ticks and lots to the unit shown

    def values(self, core: _core.Core, instrument: int) -> tuple[float, float, bool]:
        """Return value, threshold and whether it holds, as of the core's present event; NaN while undefined."""
        holds = core.value(instrument, self.column)
        return self._read(core, instrument, self.left), self._read(core, instrument, self.right), bool(holds)

    def _read(self, core: _core.Core, instrument: int, value: Value) -> float:
        if isinstance(value, Real):
            number = core.value(instrument, value.column)
            return nan if number is None else float(number) * self.scale
        known = {column: core.value(instrument, column.index) for column in value.columns()}
        if any(number is None for number in known.values()):
            return nan
        top, bottom = (evaluate(poly, known) for poly in (value.numerator, value.denominator))
        return float(top / bottom) * self.scale if bottom else nan


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
    """Builds the program of one instrument from the rules of any number of strategies; equal parts are built once."""

    def __init__(self, instrument: Instrument, program: _program.Program | None = None) -> None:
        self.instrument = instrument
        self.program = program if program is not None else _program.Program()
        self._built: dict[tuple[object, ...], int | tuple[int, ...]] = {}
        self.price = Column(_program.PRICE_COLUMN, MAX_PRICE_TICKS)
        self.size = Column(_program.SIZE_COLUMN, MAX_SIZE_LOTS)
        self.bid = Column(_program.BID_COLUMN, MAX_PRICE_TICKS, positive=False)
        self.ask = Column(_program.ASK_COLUMN, MAX_PRICE_TICKS, positive=False)

    # -- whole rules

    def rule(
        self,
        long: Condition | None,
        short: Condition | None,
        parameters: Parameters,
        warm_up: Window | None = None,
    ) -> CompiledRule:
        """Compile a long and a short condition into a state column; a side that is None is never taken.

        It may fire once ``warm_up``, or else every window of the rule, has been seen in full.

        Raises:
            RuleError: a declaration has no meaning.
        """
        sides = [side for side in (long, short) if side is not None]
        windows = list(dict.fromkeys(window for side in sides for window in self._windows_of(side, parameters)))
        for window in windows:  # all tails first: the core moves neighbouring ones together
            self.window(window)
        rule = CompiledRule(-1, WarmUp())
        for window in windows if warm_up is None else [self._window_quantity(warm_up, parameters)]:
            if window.kind is Kind.DURATION:
                rule.warm_up.ns = max(rule.warm_up.ns, window.value)
            else:
                rule.warm_up.trades = max(rule.warm_up.trades, window.value)
        columns = [-1 if side is None else self._side(side, parameters, rule) for side in (long, short)]
        never = self._node("compare", [], _program.COMPARISONS[">"], False) if not sides else -1
        rule.state = self._node("state", max(columns[0], never), columns[1])
        return rule

    def _side(self, side: Condition, parameters: Parameters, rule: CompiledRule) -> int:
        """A side's condition; one that mentions bid or ask waits for the first quote, however it is joined."""
        column = self.condition(side, parameters, rule.views)
        for guard in sorted(self._guards_of(side, parameters), key=lambda guard: guard.index):
            column = self._node("all_of", self._known(guard), column)
        return column

    def _guards_of(self, part: Condition | Expr, parameters: Parameters) -> frozenset[Column]:
        if isinstance(part, Joined | Comparison | Binary):
            return self._guards_of(part.left, parameters) | self._guards_of(part.right, parameters)
        if isinstance(part, Negation):
            return self._guards_of(part.inner, parameters)
        return self.value(part, parameters).guards if isinstance(part, Feature) else frozenset()

    def _known(self, quote: Column) -> int:
        return self._node("compare", [(1, (quote.index,))], _program.COMPARISONS[">"], True)

    def _windows_of(self, part: Condition | Expr, parameters: Parameters) -> Iterable[Quantity]:
        if isinstance(part, Joined | Comparison | Binary):
            yield from self._windows_of(part.left, parameters)
            yield from self._windows_of(part.right, parameters)
        elif isinstance(part, Negation):
            yield from self._windows_of(part.inner, parameters)
        elif isinstance(part, Feature) and part.window is not None:
            yield self._window_quantity(part.window, parameters)

    def _window_quantity(self, window: Window, parameters: Parameters) -> Quantity:
        quantity = setting(window, parameters) if isinstance(window, Param) else window
        longest = _program.MAX_WINDOW_TRADES
        if quantity.value < 1:
            raise RuleError(
                f"a window of {quantity} holds nothing", where=str(window), fix="use a window longer than zero"
            )
        if quantity.kind is Kind.TICKS and quantity.value > longest:
            raise RuleError(f"a window of {quantity} is too long", where=str(window), fix=f"at most {longest} ticks")
        return quantity

    # -- nodes, each built once

    def _node(self, method: str, *arguments: object) -> int:
        key = (method, *((tuple(map(tuple, a)) if isinstance(a, list) else a) for a in arguments))
        if key not in self._built:
            self._built[key] = getattr(self.program, method)(*arguments)
        column = self._built[key]
        assert isinstance(column, int)
        return column

    def _nodes(self, method: str, *arguments: object) -> tuple[int, ...]:
        key = (method, *arguments)
        if key not in self._built:
            self._built[key] = getattr(self.program, method)(*arguments)
        columns = self._built[key]
        assert isinstance(columns, tuple)
        return columns

    def window(self, window: Quantity) -> int:
        """The column of a window's tail."""
        return self._node("window_time" if window.kind is Kind.DURATION else "window_count", window.value)

    def session_vwap(self) -> Exact:
        """The session's VWAP so far."""
        size, price_size, _, _ = self._nodes("session")
        total = Column(size, MAX_SESSION_LOTS)
        weighted = Column(price_size, MAX_SESSION_LOTS * MAX_PRICE_TICKS, wide=True)
        return Exact({(weighted,): Fraction(1)}, {(total,): Fraction(1)}, PRICE)

    def session_vwap_sd(self) -> Real:
        """The volume-weighted standard deviation about it."""
        return Real(self._node("session_sd", self._nodes("session")[0]), PRICE)

    # -- values

    def value(self, expr: Expr, parameters: Parameters) -> Value:
        """Compile an expression.

        Raises:
            RuleError: units that do not agree, or a feature that does not exist.
        """
        if isinstance(expr, Param):
            return self._constant(setting(expr, parameters), str(expr))
        if isinstance(expr, Constant):
            return self._constant(expr.quantity, str(expr))
        if isinstance(expr, Feature):
            return self._feature(expr, parameters)
        if isinstance(expr, Binary):
            left, right = self.value(expr.left, parameters), self.value(expr.right, parameters)
            if expr.op == "/" and isinstance(right, Exact) and not right.numerator:
                raise RuleError(f"{expr} divides by zero", fix="divide by something that is not always zero")
            if expr.op in "+-":
                left, right = self._same_unit(left, right, expr)
            return self._combine(expr.op, left, right)
        raise RuleError(f"{expr} is not an expression of the rule language")

    def _constant(self, quantity: Quantity, text: str) -> Exact:
        if quantity.kind in (Kind.DURATION, Kind.TICKS, Kind.CHOICE):
            raise RuleError(
                f"{text} is a {quantity.kind} and cannot be compared or computed with", fix="use it as a window"
            )
        number: Poly = {(): Fraction(quantity.value)} if quantity.value else {}
        return Exact(number, {(): Fraction(1)}, NO_UNIT, bare=quantity.kind is not Kind.RATIO)

    def _feature(self, expr: Feature, parameters: Parameters) -> Value:
        one: Poly = {(): Fraction(1)}

        def exact(column: Column, unit: Unit, guards: frozenset[Column] = frozenset()) -> Exact:
            return Exact({(column,): Fraction(1)}, one, unit, guards)

        if expr.window is None:
            match expr.feature:
                case "price":
                    return exact(self.price, PRICE)
                case "size":
                    return exact(self.size, SIZE)
                case "bid":
                    return exact(self.bid, PRICE, guards=frozenset({self.bid}))
                case "ask":
                    return exact(self.ask, PRICE, guards=frozenset({self.ask}))
                case "session_vwap":
                    return self.session_vwap()
                case "session_vwap_sd":
                    return self.session_vwap_sd()
            raise RuleError(f"there is no feature {expr.feature!r}")
        quantity = self._window_quantity(expr.window, parameters)
        return self._windowed(expr.feature, self.window(quantity), quantity)

    def _windowed(self, feature: str, tail: int, window: Quantity) -> Value:
        trades = _program.MAX_WINDOW_TRADES if window.kind is Kind.DURATION else window.value
        one: Poly = {(): Fraction(1)}

        def column(method: str, each: int, wide: bool = False) -> Column:
            return Column(self._node(method, tail), each, wide=wide)

        def single(of: Column) -> Poly:
            return {(of,): Fraction(1)}

        match feature:
            case "first_price":
                return Exact(single(column("first_price", MAX_PRICE_TICKS)), one, PRICE)
            case "change":
                first = single(column("first_price", MAX_PRICE_TICKS))
                return Exact(poly_sum(single(self.price), first, -1), first, NO_UNIT)
            case "volume":
                return Exact(single(column("sum_size", MAX_SIZE_LOTS * trades)), one, SIZE)
            case "volume_rate":
                total = single(column("sum_size", MAX_SIZE_LOTS * trades))
                return Exact(total, {(): Fraction(window.value, SECOND_NS)}, RATE)
            case "trade_count":
                return Exact(single(column("count", trades)), one, NO_UNIT)
            case "highest" | "lowest" | "price_range":
                pair = self._nodes("extremes", tail)
                high, low = (single(Column(index, MAX_PRICE_TICKS)) for index in pair)
                if feature == "price_range":
                    return Exact(poly_sum(high, low, -1), single(self.price), NO_UNIT)
                return Exact(high if feature == "highest" else low, one, PRICE)
            case "mean":
                total = single(column("sum_price", MAX_PRICE_TICKS * trades))
                return Exact(total, single(column("count", trades)), PRICE)
            case "vwap":
                total = single(column("sum_price_size", MAX_PRICE_TICKS * MAX_SIZE_LOTS * trades, wide=True))
                return Exact(total, single(column("sum_size", MAX_SIZE_LOTS * trades)), PRICE)
            case "variance" | "stdev":
                count = column("count", trades)
                total = single(column("sum_price", MAX_PRICE_TICKS * trades))
                squares = single(column("sum_price_squared", MAX_PRICE_TICKS**2 * trades, wide=True))
                top = poly_sum(poly_product(squares, single(count)), poly_product(total, total), -1)
                exact = Exact(top, {(count, count): Fraction(1)}, Unit(price=2))
                if feature == "variance":
                    return exact
                return Real(self._node("float_op", "sqrt", self._as_real(exact)), PRICE)
        raise RuleError(f"there is no feature {feature!r}")

    def _same_unit(self, left: Value, right: Value, place: object) -> tuple[Value, Value]:
        """Give a bare number the other side's unit; refuse what cannot be compared."""
        if isinstance(left, Exact) and left.bare and left.unit == NO_UNIT:
            left = self._adopt(left, right.unit)
        elif isinstance(right, Exact) and right.bare and right.unit == NO_UNIT:
            right = self._adopt(right, left.unit)
        if left.unit != right.unit:
            raise RuleError(
                f"{place} mixes {left.unit} and {right.unit}", fix="compare and add only values of the same unit"
            )
        return left, right

    def _adopt(self, number: Exact, unit: Unit) -> Exact:
        scale = Fraction(10) ** (
            unit.price * self.instrument.price_precision + unit.size * self.instrument.size_precision
        )
        return Exact({k: v * scale for k, v in number.numerator.items()}, number.denominator, unit)

    def _combine(self, op: str, left: Value, right: Value) -> Value:
        unit = left.unit if op in "+-" else left.unit.times(right.unit, 1 if op == "*" else -1)
        guards = left.guards | right.guards
        if isinstance(left, Real) or isinstance(right, Real):
            return Real(self._node("float_op", op, self._as_real(left), self._as_real(right)), unit, guards)
        a, b, c, d = left.numerator, left.denominator, right.numerator, right.denominator
        if op == "/":
            c, d = d, c
        if op in "*/":
            top, bottom = poly_product(a, c), poly_product(b, d)
        elif b == d:
            top, bottom = poly_sum(a, c, 1 if op == "+" else -1), b
        else:
            top = poly_sum(poly_product(a, d), poly_product(c, b), 1 if op == "+" else -1)
            bottom = poly_product(b, d)
        top, bottom = common_factor(top, bottom)
        return Exact(
            top, bottom, unit, guards, bare=left.unit == right.unit == NO_UNIT and is_bare(left) and is_bare(right)
        )

    def _as_real(self, value: Value) -> int:
        if isinstance(value, Real):
            return value.column
        if not value.columns():
            return self._node("float_const", float(constant_of(value)))
        top, bottom = whole(value.numerator, value.denominator)
        top_terms, bottom_terms = terms_of(top), terms_of(bottom)
        if top_terms is None or bottom_terms is None:
            raise RuleError("an expression does not fit in 128 bits", fix="use fewer products, or a shorter window")
        return self._node("ratio", top_terms, bottom_terms)

    # -- conditions

    def condition(self, part: Condition, parameters: Parameters, views: list[ConditionView]) -> int:
        """Compile a condition to a bool column, adding a view for each comparison it is made of."""
        if isinstance(part, Joined):
            both = [self.condition(side, parameters, views) for side in (part.left, part.right)]
            return self._node("all_of" if part.op == "&" else "any_of", *both)
        if isinstance(part, Negation):
            return self._node("negation", self.condition(part.inner, parameters, views))
        if not isinstance(part, Comparison):
            raise RuleError(f"{part} is not a condition of the rule language")
        if not has_feature(part.left) and not has_feature(part.right):
            raise RuleError(f"{part} compares two constants and never changes", fix="compare a feature")
        left, right = self._same_unit(self.value(part.left, parameters), self.value(part.right, parameters), part)
        column, exact = self._compare(left, right, part.op)
        for guard in sorted(left.guards | right.guards, key=lambda guard: guard.index):
            column = self._node("all_of", self._known(guard), column)
        view = self._view(part, column, exact, left, right, parameters)
        if all((view.column, view.op) != (other.column, other.op) for other in views):
            views.append(view)
        return column

    def _compare(self, left: Value, right: Value, op: str) -> tuple[int, bool]:
        comparison = _program.COMPARISONS[op]
        if isinstance(left, Exact) and isinstance(right, Exact):
            column = self._compare_exact(left, right, comparison)
            if column is not None:
                return column, True
        return self._node("float_compare", self._as_real(left), self._as_real(right), comparison), False

    def _compare_exact(self, left: Exact, right: Exact, comparison: int) -> int | None:
        """``left - right`` against zero as one polynomial, or None when it does not fit."""
        difference = self._combine("-", left, right)
        assert isinstance(difference, Exact)
        top, bottom = difference.numerator, difference.denominator
        sure = is_positive(bottom)
        (sign,) = whole(top if sure else poly_product(top, bottom))
        terms = terms_of(sign)
        if terms is None:
            return None
        column = self._node("compare", terms, comparison, poly_bound(sign) <= INT64_MAX)
        if not sure:  # the quotient is undefined where its denominator is zero
            (defined,) = whole(bottom)
            defined_terms = terms_of(defined)
            if defined_terms is None:
                return None
            column = self._node("all_of", self._node("compare", defined_terms, _program.COMPARISONS["!="], False), column)
        return column

    def _view(
        self, part: Comparison, column: int, exact: bool, left: Value, right: Value, parameters: Parameters
    ) -> ConditionView:
        unit, precision = left.unit, self.instrument
        scale = 10.0 ** -(unit.price * precision.price_precision + unit.size * precision.size_precision)
        word = {PRICE: "price", SIZE: "size"}.get(unit, "")
        if unit == NO_UNIT and isinstance(part.right, Param | Constant):
            quantity = parameters[part.right.name] if isinstance(part.right, Param) else part.right.quantity
            word = "%" if quantity.kind is Kind.RATIO else "x"
        elif unit == NO_UNIT:
            word = "%"
        return ConditionView(str(part.left), part.op, str(part.right), word, exact, column, left, right, scale)


def setting(param: Param, parameters: Parameters) -> Quantity:
    """The value of a parameter.

    Raises:
        RuleError: the strategy does not declare it.
    """
    if param.name not in parameters:
        raise RuleError(f"{param} is not declared by the strategy", fix="name it in the class body: x = Param(...)")
    return parameters[param.name]


def has_feature(expr: Expr) -> bool:
    """Whether anything in the expression is measured."""
    if isinstance(expr, Binary):
        return has_feature(expr.left) or has_feature(expr.right)
    return isinstance(expr, Feature)
