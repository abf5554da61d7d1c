"""The catalogue: how each measurement of the rule language becomes nodes of the core's graph.

``engine.rules`` says what a feature means, this module how it is computed: windows from tails and running totals,
anchored windows from sums that grow, bar values from columns that are held. What is exact by definition stays exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from engine import _program
from engine.errors import nearest
from engine.graph.algebra import (
    NO_UNIT,
    PER_SECOND,
    PRICE,
    RATE,
    SIZE,
    TIME,
    Column,
    Exact,
    Real,
    Unit,
    Value,
    poly_product,
    poly_sum,
)
from engine.graph.nodes import ONE, TRADES, Nodes, Parameters, single
from engine.language.grammar import Kind, Quantity, RuleError
from engine.language.measures import Anchored, Bars, BarValue, Feature
from engine.language.parameters import Param
from engine.model import MAX_PRICE_TICKS, MAX_SIZE_LOTS, SECOND_NS

SESSION_BITS = 62
"""A window that is not bounded by trades holds less than 2**62 lots; the core flags one that does not."""

MAX_SESSION_LOTS = 1 << SESSION_BITS
MAX_NS = 1 << 62
COUNT_BITS = 32
"""A window that is not bounded by trades holds less than 2**32 of them; the core flags one that does not."""

ONE_TRADE = Quantity(Kind.TICKS, 1)  # a window that is full from the first trade on
DEVIATION_BITS = 30
"""Prices further from the first one than 2**30 ticks are flagged where deviations are squared."""


def setting(param: Param, parameters: Parameters) -> Quantity:
    """The value of a parameter.

    Raises:
        RuleError: the strategy does not declare it.
    """
    if param.name not in parameters:
        raise RuleError(f"{param} is not declared by the strategy", fix="name it in the class body: x = Param(...)")
    return parameters[param.name]


def quantity_of(value: Param | Quantity | int, parameters: Parameters) -> Quantity:
    """The value of a parameter, quantity or count."""
    if isinstance(value, Param):
        return setting(value, parameters)
    return Quantity(Kind.COUNT, value) if isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class Window:
    """A window in the graph: what its columns are, what bounds them and while what it is undefined."""

    nodes: Nodes
    tail: int
    trades: int  # most that it may hold, where it slides
    gate: int = -1
    anchored: bool = False
    guards: frozenset[int] = frozenset()
    ns: int = 0  # length of a time window

    def count(self) -> Column:
        """Trades in the window."""
        if self.anchored:
            return Column(self.nodes.op("anchored_count", self.tail, self.gate, k=COUNT_BITS), 1 << COUNT_BITS)
        return Column(self.nodes.column("count", self.tail), self.trades)

    def last(self, column: Column) -> Column:
        """A column at its last trade: the present one, unless the window is frozen."""
        if self.gate < 0:
            return column
        return replace(column, index=self.nodes.op("anchored_last", self.tail, self.gate, column.index))

    def first_price(self) -> Column:
        """Price of its oldest trade."""
        if self.anchored:
            return Column(self.nodes.op("anchored_first", self.tail, self.gate), MAX_PRICE_TICKS)
        return Column(self.nodes.column("first_price", self.tail), MAX_PRICE_TICKS)

    def extremes(self) -> tuple[Column, Column]:
        """Highest and lowest price."""
        if self.anchored:
            high, low = self.nodes.columns("add", "anchored_extremes", (self.tail, self.gate))
        else:
            high, low = self.nodes.columns("extremes", self.tail)
        return Column(high, MAX_PRICE_TICKS), Column(low, MAX_PRICE_TICKS)

    def sum_of(self, factors: tuple[Column, ...]) -> Column:
        """Sum of a product of columns over the window."""
        known = {("price",): "sum_price", ("size",): "sum_size", ("price", "size"): "sum_price_size"}
        known[("price", "price")] = "sum_price_squared"
        names = {_program.PRICE_COLUMN: "price", _program.SIZE_COLUMN: "size"}
        method = known.get(tuple(names.get(column.index, "") for column in factors))
        each, terms = 1, [(1, tuple(column.index for column in factors))]
        for column in factors:
            each *= column.bound
        positive = all(column.positive for column in factors)
        if self.anchored:
            bits = SESSION_BITS + sum((column.bound - 1).bit_length() for column in _besides_one(factors))
            index = self.nodes.column("anchored_sum", self.tail, terms, bits, self.gate)
            return Column(index, 1 << bits, positive, wide=bits > SESSION_BITS)
        wide = each * self.trades >= 1 << 63
        if method is None:
            index = self.nodes.column("window_sum", self.tail, terms, wide)
            return Column(index, each * self.trades, positive, wide=wide)
        wide = method in ("sum_price_size", "sum_price_squared")
        return Column(self.nodes.column(method, self.tail), each * self.trades, positive, wide=wide)


class Catalogue:
    """Turns features and bar values into values of one instrument's graph."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.price = Column(_program.PRICE_COLUMN, MAX_PRICE_TICKS)
        self.size = Column(_program.SIZE_COLUMN, MAX_SIZE_LOTS)
        self.waits = True
        """Whether a window is undefined until it has been seen in full. What a rule compares does not wait: the rule
        itself is silent for as long, or for as long as its ``warm_up`` says."""

    # -- windows

    def window_quantity(self, window: Param | Quantity, parameters: Parameters) -> Quantity:
        """The length of a window, within what the core can hold."""
        quantity, longest = quantity_of(window, parameters), _program.MAX_WINDOW_TRADES
        if quantity.value < 1:
            raise RuleError(
                f"a window of {quantity} holds nothing", where=str(window), fix="use a window longer than zero"
            )
        if quantity.kind is Kind.TICKS and quantity.value > longest:
            raise RuleError(f"a window of {quantity} is too long", where=str(window), fix=f"at most {longest} ticks")
        return quantity

    def tail(self, window: Quantity) -> int:
        """The column of a sliding window's tail."""
        return self.nodes.column("window_time" if window.kind is Kind.DURATION else "window_count", window.value)

    def window(self, window: Param | Quantity | Anchored, parameters: Parameters) -> Window:
        """A window in the graph."""
        if isinstance(window, Anchored):
            return self._anchored(window, parameters)
        quantity = self.window_quantity(window, parameters)
        tail, guards = self.tail(quantity), frozenset[int]()
        by_time = quantity.kind is Kind.DURATION
        if self.waits and quantity != ONE_TRADE:
            guards = frozenset({self.nodes.op("warm_time" if by_time else "warm_count", k=quantity.value)})
        if by_time:
            return Window(self.nodes, tail, _program.MAX_WINDOW_TRADES, guards=guards, ns=quantity.value)
        return Window(self.nodes, tail, quantity.value, guards=guards)

    def _anchored(self, window: Anchored, parameters: Parameters) -> Window:
        nodes, gate, over = self.nodes, -1, frozenset[int]()
        match window.kind:
            case "session" | "opening":
                tail = nodes.op("anchor_session")
            case "week":
                tail, over = nodes.op("anchor_week"), frozenset({nodes.op("in_session")})
            case "high" | "low":
                tail = nodes.op("anchor_extreme", k=1 if window.kind == "high" else -1)
            case _:
                tail = nodes.op(f"anchor_{window.kind}", k=window.ns)
        if window.kind == "opening":
            assert window.length is not None
            gate = nodes.op("opening_phase", k=self.window_quantity(window.length, parameters).value)
            over = frozenset({nodes.op("negation", gate), nodes.op("in_session")})
        made = Window(nodes, tail, 0, gate, anchored=True)
        return replace(made, guards=over | {nodes.positive(made.count().index)})

    # -- features of trades

    def feature(self, expr: Feature, parameters: Parameters) -> Value:
        """The value of a feature on the clock of trades.

        Raises:
            RuleError: there is no such feature.
        """
        if expr.feature == "flat_candles":
            assert isinstance(expr.window, Param | Quantity)
            period = self.window_quantity(expr.window, parameters).value
            return self._plain(Column(self.nodes.op("flat_candles", k=period), MAX_NS, positive=False), NO_UNIT)
        if expr.window is None:
            return self._present(expr.feature)
        if expr.feature in ("vwap", "vwap_sd") and isinstance(expr.window, Anchored) and expr.window.kind == "session":
            return self.session_vwap() if expr.feature == "vwap" else self.session_vwap_sd()
        window = self.window(expr.window, parameters)
        build = _WINDOWED.get(expr.feature)
        if build is None:
            raise RuleError(f"there is no feature {expr.feature!r}", fix=nearest(expr.feature, _WINDOWED))
        value = build(self, window, expr.option)
        if isinstance(value, Exact):
            return replace(value, guards=value.guards | window.guards)
        return Real(self.nodes.guarded(value.column, window.guards, TRADES), value.unit)

    def _plain(self, column: Column, unit: Unit, guards: frozenset[int] = frozenset()) -> Exact:
        return Exact(single(column), ONE, unit, guards)

    def _present(self, feature: str) -> Value:
        """What is known at the present trade."""
        nodes = self.nodes
        match feature:
            case "price":
                return self._plain(self.price, PRICE)
            case "size":
                return self._plain(self.size, SIZE)
            case "bid" | "ask" | "bid_size" | "ask_size":
                index = getattr(_program, f"{feature.upper()}_COLUMN")
                known = frozenset({nodes.positive(index)})
                return self._plain(Column(index, MAX_PRICE_TICKS), SIZE if "size" in feature else PRICE, known)
            case "trade_side" | "tick_side":
                return self._plain(self._side("quote" if feature == "trade_side" else "tick"), NO_UNIT)
            case "time_of_day" | "since_open" | "to_close":
                return replace(self._duration(nodes.op(feature)), guards=frozenset({nodes.op("in_session")}))
        raise RuleError(f"there is no feature {feature!r}")

    def _side(self, rule: str) -> Column:
        by_tick = self.nodes.op("tick_side")
        index = by_tick if rule == "tick" else self.nodes.op("quote_side", by_tick)
        return Column(index, 1, positive=False)

    def _duration(self, index: int, *, positive: bool = False) -> Exact:
        """A column of nanoseconds as a duration in seconds."""
        return Exact(single(Column(index, MAX_NS, positive)), {(): Fraction(SECOND_NS)}, TIME)

    def session_vwap(self) -> Exact:
        """The session's VWAP so far."""
        size, price_size, _, _ = self.nodes.columns("session")
        total = Column(size, MAX_SESSION_LOTS)
        weighted = Column(price_size, MAX_SESSION_LOTS * MAX_PRICE_TICKS, wide=True)
        return Exact(single(weighted), single(total), PRICE)

    def session_vwap_sd(self) -> Real:
        """The volume-weighted standard deviation about it."""
        return Real(self.nodes.column("session_sd", self.nodes.columns("session")[0]), PRICE)

    # -- bars

    def bar_length(self, bars: Bars, parameters: Parameters) -> tuple[str, int]:
        """How long a series' bars are, as the core takes it: a kind, and nanoseconds, trades, lots or ticks x lots."""
        quantity, instrument = quantity_of(bars.length, parameters), self.nodes.instrument
        length = Fraction(quantity.value)
        if quantity.kind in (Kind.SIZE, Kind.VALUE):
            length *= 10**instrument.size_precision
        if quantity.kind is Kind.VALUE:
            length *= 10**instrument.price_precision
        if length.denominator != 1 or not 1 <= length < MAX_NS:
            raise RuleError(f"bars of {quantity} cannot be built", where=str(bars), fix="use a longer bar")
        if quantity.kind is Kind.DURATION and not SECOND_NS <= length <= 86_400 * SECOND_NS:
            raise RuleError(f"bars of {quantity} cannot be built", where=str(bars), fix="between 1 second and 1 day")
        return quantity.kind.value, int(length)

    def bar_clock(self, bars: Bars, parameters: Parameters) -> int:
        """The clock of a bar series."""
        return self.nodes.bars(*self.bar_length(bars, parameters))[0]

    def bar_value(self, expr: BarValue, parameters: Parameters, *, developing: bool) -> Exact:
        """One value of a bar series, on its clock; of the developing bar on the clock of trades."""
        _, closed, shown = self.nodes.bars(*self.bar_length(expr.bars, parameters))
        columns = shown if developing else closed
        guards = frozenset({self.nodes.positive(shown["trades"])}) if developing else frozenset[int]()
        match expr.field:
            case "volume":
                return self._plain(Column(columns["volume"], MAX_SESSION_LOTS), SIZE, guards)
            case "trades":
                return self._plain(Column(columns["trades"], MAX_NS), NO_UNIT, guards)
            case "vwap":
                weighted = Column(columns["price_size"], MAX_SESSION_LOTS * MAX_PRICE_TICKS, wide=True)
                return Exact(single(weighted), single(Column(columns["volume"], MAX_SESSION_LOTS)), PRICE, guards)
        return self._plain(Column(columns[expr.field], MAX_PRICE_TICKS), PRICE, guards)


# ---------------------------------------------------------------- features over a window

Builder = Callable[[Catalogue, Window, str], Value]


def _first_price(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.first_price()), ONE, PRICE)


def _last_price(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.last(of.price)), ONE, PRICE)


def _last_size(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.last(of.size)), ONE, SIZE)


def _change(of: Catalogue, window: Window, _: str) -> Value:
    first = single(window.first_price())
    return Exact(poly_sum(single(window.last(of.price)), first, -1), first, NO_UNIT)


def _volume(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.sum_of((of.size,))), ONE, SIZE)


def _volume_rate(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.sum_of((of.size,))), {(): Fraction(window.ns, SECOND_NS)}, RATE)


def _trade_count(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.count()), ONE, NO_UNIT)


def _trade_count_rate(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.count()), {(): Fraction(window.ns, SECOND_NS)}, PER_SECOND)


def _highest(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.extremes()[0]), ONE, PRICE)


def _lowest(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.extremes()[1]), ONE, PRICE)


def _price_range(of: Catalogue, window: Window, _: str) -> Value:
    high, low = window.extremes()
    return Exact(poly_sum(single(high), single(low), -1), single(window.last(of.price)), NO_UNIT)


def _mean(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.sum_of((of.price,))), single(window.count()), PRICE)


def _variance(of: Catalogue, window: Window, _: str) -> Exact:
    """(n * sum(p**2) - sum(p)**2) / n**2. Where the window is anchored, p is counted from the first price."""
    from_first = of.price
    if window.anchored:
        from_first = Column(of.nodes.op("deviation"), 1 << DEVIATION_BITS, positive=False)
    count = window.count()
    total = single(window.sum_of((from_first,)))
    squares = single(window.sum_of((from_first, from_first)))
    top = poly_sum(poly_product(squares, single(count)), poly_product(total, total), -1)
    return Exact(top, {(count, count): Fraction(1)}, Unit(price=2))


def _stdev(of: Catalogue, window: Window, _: str) -> Value:
    return Real(of.nodes.op("sqrt", of.nodes.as_real(_variance(of, window, ""), TRADES)), PRICE)


def _vwap(of: Catalogue, window: Window, _: str) -> Value:
    return Exact(single(window.sum_of((of.price, of.size))), single(window.sum_of((of.size,))), PRICE)


def _vwap_sd(of: Catalogue, window: Window, _: str) -> Value:
    deviation = Column(of.nodes.op("deviation"), 1 << DEVIATION_BITS, positive=False)
    factors = (of.size,), (deviation, of.size), (deviation, deviation, of.size)
    sums = [window.sum_of(each) for each in factors]
    return Real(of.nodes.op("deviation_sd", *(column.index for column in sums)), PRICE)


def _age(of: Catalogue, window: Window, sign: int) -> Value:
    if window.anchored:
        return of._duration(of.nodes.op("anchored_age", window.tail, window.gate, k=sign))
    return of._duration(of.nodes.op("age_of_extreme", window.tail, k=sign))


def _time_since_high(of: Catalogue, window: Window, _: str) -> Value:
    return _age(of, window, 1)


def _time_since_low(of: Catalogue, window: Window, _: str) -> Value:
    return _age(of, window, -1)


def _realised_volatility(of: Catalogue, window: Window, _: str) -> Value:
    nodes = of.nodes
    if window.anchored:
        return Real(nodes.op("anchored_volatility", window.tail, window.gate), NO_UNIT)
    price = Exact(single(of.price), ONE, PRICE)
    before = Column(nodes.op("previous_int", of.price.index, k=1), MAX_PRICE_TICKS)
    step = nodes.logarithm(nodes.combine("/", price, Exact(single(before), ONE, PRICE), TRADES), TRADES)
    squares = nodes.op("roll_sum", nodes.op("*", step, step), window.tail, k=1, x=1.0)
    return Real(nodes.op("sqrt", squares), NO_UNIT)


def _signed_volume(of: Catalogue, window: Window, rule: str) -> Value:
    return Exact(single(window.sum_of((of._side(rule), of.size))), ONE, SIZE)


def _order_flow(of: Catalogue, window: Window, _: str) -> Value:
    flow = of.nodes.column("flow")
    if window.anchored:
        index = of.nodes.op("anchored_change", window.tail, window.gate, flow)
    else:
        index = of.nodes.op("change_since", flow, window.tail)
    return Exact(single(Column(index, MAX_NS, positive=False)), ONE, SIZE)


def _besides_one(factors: tuple[Column, ...]) -> list[Column]:
    """The factors that widen a sum which is bounded by its sizes or, without them, by its first factor."""
    left = list(factors)
    left.remove(next((column for column in left if column.index == _program.SIZE_COLUMN), left[0]))
    return left


_WINDOWED: dict[str, Builder] = {
    "first_price": _first_price,
    "last_price": _last_price,
    "last_size": _last_size,
    "change": _change,
    "volume": _volume,
    "volume_rate": _volume_rate,
    "trade_count": _trade_count,
    "trade_count_rate": _trade_count_rate,
    "highest": _highest,
    "lowest": _lowest,
    "price_range": _price_range,
    "mean": _mean,
    "variance": _variance,
    "stdev": _stdev,
    "vwap": _vwap,
    "vwap_sd": _vwap_sd,
    "time_since_high": _time_since_high,
    "time_since_low": _time_since_low,
    "realised_volatility": _realised_volatility,
    "signed_volume": _signed_volume,
    "order_flow": _order_flow,
}
