"""The vocabulary of rules: what a strategy imports, and every feature that the core computes.

Windows are ``seconds(15)``, ``milliseconds(500)``, ``minutes(1)``, a number of trades, ``ticks(100)``, or begin at a
moment: ``session``, ``week``, ``since("10:30")``, ``since_high``. A window of time holds every trade ``j`` with
``ts_j > ts_now - window``, the present one included.

Bars are ``bars(minutes(5))``, ``bars(ticks(500))``, ``bars(units(10_000))``, ``bars(dollars(1_000_000))``. A bar's
value is seen from the moment its bar has closed, and held until the next one closes.

Every definition, with unit, warm-up and source: ``docs/reference/features.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Never, overload

from engine.errors import nearest
from engine.exits import (
    BreakEven,
    Decay,
    EndOfDay,
    Exit,
    Flat,
    Opposite,
    Reward,
    Stop,
    Target,
    TimeStop,
    Trailing,
)
from engine.grammar import (
    Binary,
    Comparison,
    Condition,
    Constant,
    Elementwise,
    Expr,
    Joined,
    Kind,
    Negation,
    Operand,
    Operators,
    Param,
    Quantity,
    RuleError,
    at,
    bps,
    condition,
    days,
    dollars,
    hours,
    milliseconds,
    minutes,
    operand,
    pct,
    said,
    seconds,
    symbol,
    ticks,
    units,
)
from engine.measures import (
    Anchored,
    Bars,
    Custom,
    Feature,
    Length,
    Other,
    OtherCondition,
    Past,
    Rated,
    Sample,
    Series,
    Symbol,
    Window,
    check_window,
    window_kind,
)
from engine.naming import Call, composed
from engine.quantities import parse_time_ns, parse_time_of_day_ns

__all__ = [
    "Anchored",
    "Bars",
    "Binary",
    "BreakEven",
    "Comparison",
    "Condition",
    "Constant",
    "Custom",
    "Decay",
    "Elementwise",
    "EndOfDay",
    "Exit",
    "Expr",
    "Feature",
    "Flat",
    "Joined",
    "Kind",
    "Negation",
    "Operators",
    "Opposite",
    "Param",
    "Quantity",
    "Rated",
    "Regime",
    "Reward",
    "RuleError",
    "Series",
    "Stop",
    "Target",
    "TimeStop",
    "Trailing",
    "Window",
    "ask",
    "ask_size",
    "at",
    "bars",
    "begins",
    "between",
    "bid",
    "bid_size",
    "bps",
    "change",
    "condition",
    "crosses_above",
    "crosses_below",
    "cumulative",
    "days",
    "dollars",
    "ema",
    "falling",
    "first_price",
    "flat_candles",
    "flow_imbalance",
    "for_at_least",
    "hedge_ratio",
    "highest",
    "hours",
    "latest",
    "log",
    "log_return",
    "lowest",
    "mad",
    "maximum",
    "mean",
    "mean_size",
    "microprice",
    "mid",
    "milliseconds",
    "minimum",
    "minutes",
    "of",
    "opening",
    "order_flow",
    "pct",
    "previous",
    "price",
    "price_range",
    "quote_imbalance",
    "realised_volatility",
    "rising",
    "run_length",
    "sample",
    "seconds",
    "session",
    "signed_volume",
    "since",
    "since_high",
    "since_low",
    "since_open",
    "size",
    "size_ratio",
    "slope",
    "sma",
    "spread",
    "sqrt",
    "stdev",
    "symbol",
    "tick_side",
    "ticks",
    "time_of_day",
    "time_since_high",
    "time_since_low",
    "to_close",
    "total",
    "trade_count",
    "trade_side",
    "units",
    "variance",
    "volume",
    "volume_ratio",
    "vwap",
    "vwap_sd",
    "week",
    "where",
    "wilder",
    "within",
    "zscore",
]  # fmt: skip


# ---------------------------------------------------------------- windows that begin at a moment

session = Anchored("session", "session")
"""Since the session's first trade; under the calendar ``always`` the session is the UTC day."""
week = Anchored("week", "week")
"""Since the first trade of the trading day's week."""
since_high = Anchored("high", "since_high")
"""Since the last trade at the session's high."""
since_low = Anchored("low", "since_low")
"""Since the last trade at the session's low."""


def since(moment: str) -> Anchored:
    """Since a time of day where the exchange is, in each session (``since("10:30")``), or a moment in ISO text."""
    if not isinstance(moment, str):
        raise RuleError(f"since({said(moment)}) is not a moment", fix='write since("10:30")')
    if "T" in moment or "-" in moment:
        return Anchored("instant", f"since({moment!r})", parse_time_ns(moment, where="since"))
    return Anchored("time_of_day", f"since({moment!r})", parse_time_of_day_ns(moment, where="since"))


def opening(length: Param | Quantity) -> Anchored:
    """The opening range: the session's first ``length``. Undefined until it is over, then fixed for the session."""
    if not isinstance(length, Param | Quantity) or length.kind is not Kind.DURATION:
        raise RuleError(f"opening({said(length)}) takes a duration", fix="write opening(minutes(15))")
    return Anchored("opening", "opening", length=length)


# ---------------------------------------------------------------- the present trade and its quotes

price = Feature("price")
"""Price of the present trade [price]."""
size = Feature("size")
"""Size of the present trade [size]."""
bid = Feature("bid")
"""Last bid known at the present trade [price]; undefined until there is one."""
ask = Feature("ask")
"""Last ask known at the present trade [price]; undefined until there is one."""
bid_size = Feature("bid_size")
"""Size at the last bid [size]; undefined until there is one."""
ask_size = Feature("ask_size")
"""Size at the last ask [size]; undefined until there is one."""
mid = (bid + ask) / 2
"""Middle of the quote [price]."""
spread = ask - bid
"""Ask less bid [price]."""
quote_imbalance = (bid_size - ask_size) / (bid_size + ask_size)
"""From -1, all size at the ask, to 1, all at the bid [ratio]."""
microprice = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
"""The quote's prices, each weighted by the size on the other side [price]."""
trade_side = Feature("trade_side")
"""1 for a buy, -1 for a sale, by the quote rule: above or below the middle; at it, or without one, the tick rule."""
tick_side = Feature("tick_side")
"""1 or -1 by the tick rule, the sign of the last change of price; 0 before there is one."""
time_of_day = Feature("time_of_day")
"""Time since midnight where the exchange is [duration]: ``time_of_day >= at("10:30")``."""
since_open = Feature("since_open")
"""Time since the session's opening [duration]."""
to_close = Feature("to_close")
"""Time until the session's close [duration]."""


def flat_candles(length: Param | Quantity) -> Feature:
    """Whole candles of ``length`` in a row, up to now, that ended where they began or had no trade [count]."""
    if not isinstance(length, Param | Quantity) or length.kind is not Kind.DURATION:
        raise RuleError(f"flat_candles({said(length)}) takes a duration", fix="write flat_candles(seconds(1))")
    return Feature("flat_candles", length)


# ---------------------------------------------------------------- over a window of trades


def change(window: Window) -> Feature:
    """Net return over the window: (price - first) / first, first being the window's oldest trade [ratio]."""
    return Feature("change", check_window("change", window))


def volume(window: Window) -> Rated:
    """Size traded in the window [size]."""
    return Rated("volume", check_window("volume", window))


def volume_ratio(current: Window, window: Window) -> Binary:
    """Size per second of the ``current`` window against that of the longer ``window`` [ratio]."""
    for each in (current, window):
        if window_kind(check_window("volume_ratio", each)) is not Kind.DURATION:
            fix = "write volume_ratio(seconds(1), seconds(15))"
            raise RuleError(f"volume_ratio({each}) is about sizes per second, and needs a time window", fix=fix)
    return volume(current).rate() / volume(window).rate()


def mean_size(window: Window) -> Binary:
    """Size traded per trade of the window [size]."""
    return volume(check_window("mean_size", window)) / trade_count(window)


def size_ratio(window: Window) -> Binary:
    """The last trade's size against the mean size of the window's other trades [ratio]."""
    last = _last("size", check_window("size_ratio", window))
    return last * (trade_count(window) - 1) / (volume(window) - last)


def _last(measure: str, window: Window) -> Feature:
    """Price or size of the window's last trade: the present one, unless the window is frozen."""
    frozen = isinstance(window, Anchored) and window.kind == "opening"
    return Feature(f"last_{measure}", window) if frozen else Feature(measure)


def trade_count(window: Window) -> Rated:
    """Trades in the window [count]."""
    return Rated("trade_count", check_window("trade_count", window))


def first_price(window: Window) -> Feature:
    """Price of the oldest trade in the window [price]."""
    return Feature("first_price", check_window("first_price", window))


def price_range(window: Window) -> Feature:
    """(highest - lowest) / price over the window [ratio]."""
    return Feature("price_range", check_window("price_range", window))


def mean(window: Window) -> Feature:
    """Mean trade price in the window, each trade counting once [price]."""
    return Feature("mean", check_window("mean", window))


def variance(window: Window) -> Feature:
    """Population variance of the trade prices in the window [price squared]."""
    return Feature("variance", check_window("variance", window))


def vwap(window: Window = session) -> Feature:
    """Volume-weighted average price of the window, or of the session so far when none is given [price]."""
    return Feature("vwap", check_window("vwap", window))


def vwap_sd(window: Window = session) -> Feature:
    """Volume-weighted population standard deviation of the window's prices about its VWAP [price]; a double."""
    return Feature("vwap_sd", check_window("vwap_sd", window))


def time_since_high(window: Window) -> Feature:
    """Time since the window's latest trade at its highest price [duration]."""
    return Feature("time_since_high", check_window("time_since_high", window))


def time_since_low(window: Window) -> Feature:
    """Time since the window's latest trade at its lowest price [duration]."""
    return Feature("time_since_low", check_window("time_since_low", window))


def realised_volatility(window: Window) -> Feature:
    """Root of the sum of squared log returns between successive trades of the window [ratio]; a double."""
    return Feature("realised_volatility", check_window("realised_volatility", window))


def signed_volume(window: Window, rule: str = "quote") -> Feature:
    """Size bought less size sold in the window [size]; the aggressor by the ``quote`` rule or the ``tick`` rule."""
    if rule not in ("quote", "tick"):
        raise RuleError(f"signed_volume knows no rule {rule!r}", fix="use rule='quote' or rule='tick'")
    return Feature("signed_volume", check_window("signed_volume", window), rule)


def flow_imbalance(window: Window, rule: str = "quote") -> Binary:
    """Signed volume against volume: from -1, all sold, to 1, all bought [ratio]."""
    return signed_volume(check_window("flow_imbalance", window), rule) / volume(window)


def order_flow(window: Window) -> Feature:
    """Order flow at the best quotes since the window's oldest trade [size]: what came to the bid and left the ask, less
    the reverse (Cont, Kukanov and Stoikov 2014).
    """
    return Feature("order_flow", check_window("order_flow", window))


# ---------------------------------------------------------------- over a window, or over the last n records of a value


def _records(function: str, inputs: tuple[Operand | Condition, ...], length: Length) -> Series:
    """A series function over ``length`` records."""
    return Series(function, tuple(map(operand, inputs)), _count(function, length))


def _count(function: str, length: Length, fix: str = "") -> Length:
    """Return a length that counts records.

    Raises:
        RuleError: a duration, a window, a part of a record, or none.
    """
    fix = fix or f"write {function}(x, 20)"
    count = length.default.value if isinstance(length, Param) else length
    if isinstance(length, Param) and length.kind is not Kind.COUNT:
        raise RuleError(f"{function} counts records, and {length} is a {length.kind}", fix=fix)
    if isinstance(count, bool) or not isinstance(count, int):
        raise RuleError(f"{function} counts records, not {said(length)}", fix=fix)
    if count < 1:
        raise RuleError(f"{function} over {count} records holds nothing", fix="use one record or more")
    return length


def _window_or_records(function: str, what: Window | Expr, length: Length | None) -> Feature | Series:
    """``highest(seconds(15))`` is about prices of a window, ``highest(x, 20)`` about a value's last 20 records."""
    if length is not None:
        return _records(function, (_recorded(function, what),), length)
    return Feature(function, _only_window(function, what))


def _recorded(function: str, what: Window | Expr) -> Expr:
    """Return what stands before a number of records, when it has records.

    Raises:
        RuleError: a window, which has none.
    """
    if isinstance(what, Quantity | Anchored) or (isinstance(what, Param) and what.kind in (Kind.DURATION, Kind.TICKS)):
        fix = f"write {function}({said(what)}) for the prices of a window, or {function}(price, 20) for a value"
        raise RuleError(f"{function} takes a window or a number of records, not both", fix=fix)
    return operand(what)


def _only_window(function: str, what: Window | Expr) -> Window:
    """Return what stands alone in the brackets of a function that also takes a value and a number of records."""
    if isinstance(what, Expr) and not isinstance(what, Param):
        raise RuleError(f"{function}({what}) needs a number of records", fix=f"write {function}({what}, 20)")
    return check_window(function, what)


def highest(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Highest price in a window, or highest value of the last ``length`` records of an expression."""
    return _window_or_records("highest", what, length)


def lowest(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Lowest price in a window, or lowest value of the last ``length`` records of an expression."""
    return _window_or_records("lowest", what, length)


def stdev(what: Window | Expr, length: Length | None = None) -> Feature | Series:
    """Population standard deviation of a window's prices, or of an expression's last ``length`` records; a double."""
    return _window_or_records("stdev", what, length)


def zscore(what: Window | Expr, length: Length | None = None) -> Binary:
    """The present value less the mean, in standard deviations; of a window's prices, or of a value's last records."""
    if length is None:
        window = _only_window("zscore", what)
        return (_last("price", window) - mean(window)) / stdev(window)
    x, length = _recorded("zscore", what), _count("zscore", length)
    return (x - sma(x, length)) / stdev(x, length)


def log_return(what: Window | Expr, length: Length | None = None) -> Elementwise:
    """Natural logarithm of 1 + change over a window, or of a value against itself ``length`` records ago [ratio]."""
    if length is None:
        window = _only_window("log_return", what)
        return log(_last("price", window) / first_price(window))
    x = _recorded("log_return", what)
    return log(x / previous(x, _count("log_return", length)))


@overload
def previous(what: Operand, length: Length = 1) -> Series: ...
@overload
def previous(what: Condition, length: Length = 1) -> Past: ...
def previous(what: Operand | Condition, length: Length = 1) -> Series | Past:
    """A value, or whether a condition held, ``length`` records ago."""
    if isinstance(what, Condition):
        return Past(what, _count("previous", length))
    return _records("previous", (what,), length)


def sma(x: Operand, length: Length) -> Series:
    """Mean of the last ``length`` records."""
    return _records("sma", (x,), length)


def total(x: Operand, length: Length) -> Series:
    """Sum of the last ``length`` records."""
    return _records("total", (x,), length)


def ema(x: Operand, length: Length | None = None, *, half_life: Param | Quantity | None = None) -> Series:
    """Exponential average: alpha 2 / (length + 1), seeded with the mean of the first; or with a half-life in time."""
    if (length is None) == (half_life is None):
        raise RuleError("ema takes a length or a half-life", fix="write ema(x, 20) or ema(x, half_life=seconds(5))")
    if length is not None:
        return _records("ema", (x,), length)
    if not isinstance(half_life, Param | Quantity) or half_life.kind is not Kind.DURATION:
        raise RuleError(f"a half-life of {said(half_life)} is no duration", fix="write ema(x, half_life=seconds(5))")
    return Series("ema_time", (operand(x),), half_life)


def wilder(x: Operand, length: Length) -> Series:
    """Wilder's average: alpha 1 / length, seeded with the mean of the first ``length`` records."""
    return _records("wilder", (x,), length)


def slope(x: Operand, length: Length) -> Series:
    """Slope per record of the least-squares line through the last ``length`` records."""
    return _records("slope", (x,), length)


def mad(x: Operand, length: Length) -> Series:
    """Mean absolute deviation of the last ``length`` records from their mean."""
    return _records("mad", (x,), length)


def hedge_ratio(y: Operand, x: Operand, length: Length) -> Series:
    """Slope of the least-squares line of y on x, with an intercept, over the last ``length`` records."""
    return _records("hedge_ratio", (y, x), length)


def cumulative(x: Operand) -> Series:
    """Sum of all records so far."""
    return Series("cumulative", (operand(x),))


def latest(x: Operand, *, when: Condition, nth: int = 0) -> Series:
    """The value at the last record on which ``when`` held, or at the ``nth`` such record before that."""
    if isinstance(nth, bool) or not isinstance(nth, int) or nth < 0:
        raise RuleError(f"latest has no record {said(nth)}", fix="nth counts back from 0, the last")
    return Series("latest", (condition(when, "latest(when=…)"), operand(x)), Quantity(Kind.COUNT, nth))


# ---------------------------------------------------------------- bars and other instruments


def bars(length: Param | Quantity, role: str = "") -> Bars:
    """A bar series by time, trades, size or value traded; ``role`` is a word for people, such as ``HTF``."""
    kinds = (Kind.DURATION, Kind.TICKS, Kind.SIZE, Kind.VALUE)
    if not isinstance(length, Param | Quantity) or length.kind not in kinds:
        raise RuleError(
            f"bars({said(length)}) has no unit", fix="write bars(minutes(5)), bars(ticks(500)) or bars(units(10_000))"
        )
    if not isinstance(role, str):
        raise RuleError(f"{said(role)} is no role", fix="it is a word for people: bars(minutes(5), role='HTF')")
    return Bars(length, role)


def sample(x: Expr, series: Bars) -> Sample:
    """What an expression on the clock of trades was at the last trade of each bar of a series."""
    if not isinstance(series, Bars):
        raise RuleError(f"sample needs a bar series, not {said(series)}", fix="write sample(x, bars(minutes(1)))")
    return Sample(operand(x), series)


@overload
def of(symbol: Symbol, what: Operand) -> Expr: ...
@overload
def of(symbol: Symbol, what: Condition) -> Condition: ...
def of(symbol: Symbol, what: Operand | Condition) -> Expr | Condition:
    """Another instrument's value or condition as of the present trade of this one."""
    if not isinstance(symbol, str) and not (isinstance(symbol, Param) and symbol.kind is Kind.SYMBOL):
        raise RuleError(f"{said(symbol)} is no symbol", fix="write of('QQQ', price)")
    if isinstance(what, Condition):
        return OtherCondition(symbol, what)
    return Other(symbol, operand(what))


# ---------------------------------------------------------------- functions of values on the same record


def log(x: Operand) -> Elementwise:
    """Natural logarithm; undefined at 0 and below."""
    return Elementwise("log", (operand(x),))


def sqrt(x: Operand) -> Elementwise:
    """Square root; undefined below 0."""
    return Elementwise("sqrt", (operand(x),))


def minimum(*values: Operand) -> Expr:
    """The smallest of two or more values."""
    return _fold("minimum", values)


def maximum(*values: Operand) -> Expr:
    """The largest of two or more values."""
    return _fold("maximum", values)


def _fold(function: str, values: tuple[Operand, ...]) -> Expr:
    if len(values) < 2:
        raise RuleError(f"{function} compares two or more values", fix=f"write {function}(x, y)")
    made = operand(values[0])
    for value in values[1:]:
        made = Elementwise(function, (made, operand(value)))
    return made


def where(when: Condition, x: Operand, y: Operand) -> Elementwise:
    """X where the condition holds, else y."""
    return Elementwise("where", (condition(when, "where"), operand(x), operand(y)))


# ---------------------------------------------------------------- conditions


@composed
def between(x: Operand, low: Operand, high: Operand) -> Joined:
    """Whether low <= x <= high."""
    return (operand(x) >= low) & (operand(x) <= high)


@composed
def crosses_above(x: Operand, y: Operand) -> Joined:
    """Whether x is above y, and was not on the record before."""
    return (operand(x) > operand(y)) & Past(operand(x) <= operand(y), 1)


@composed
def crosses_below(x: Operand, y: Operand) -> Joined:
    """Whether x is below y, and was not on the record before."""
    return (operand(x) < operand(y)) & Past(operand(x) >= operand(y), 1)


@composed
def begins(when: Condition) -> Condition:
    """Whether the condition holds, and did not on the trade before: on bars, on the trade on which it comes to hold.

    What is true of a closed bar stays true until the next one closes. An entry that is stopped out meanwhile would be
    made again at once; one that *begins* is made once.
    """
    trades_in_a_row = run_length(condition(when, "begins") & (price > 0))
    trades_in_a_row.made_by = Call("run_length", (when,), {})
    return when & (trades_in_a_row == 1)


@composed
def rising(x: Operand, length: Length = 1) -> Comparison:
    """Whether x is above what it was ``length`` records ago."""
    return operand(x) > previous(operand(x), _count("rising", length))


@composed
def falling(x: Operand, length: Length = 1) -> Comparison:
    """Whether x is below what it was ``length`` records ago."""
    return operand(x) < previous(operand(x), _count("falling", length))


def run_length(when: Condition) -> Series:
    """Records in a row, up to now, on which the condition held [count]."""
    return Series("run_length", (condition(when, "run_length"),))


@composed
def for_at_least(when: Condition, length: Length) -> Comparison:
    """Whether the condition has held without a break for a duration, or for so many records."""
    held = condition(when, "for_at_least")
    if _is_duration(length):
        return Series("run_time", (held,)) >= length
    count = _count("for_at_least", length, "write for_at_least(x, seconds(5)) or for_at_least(x, 20)")
    return Series("run_length", (held,)) >= count


@composed
def within(when: Condition, length: Length) -> Comparison:
    """Whether the condition has held at some moment less than a duration, or so many records, ago."""
    held = condition(when, "within")
    if _is_duration(length):
        return Series("since_time", (held,)) < length
    count = _count("within", length, "write within(x, seconds(5)) or within(x, 20)")
    return Series("since_count", (held,)) < count


def _is_duration(length: Length) -> bool:
    return isinstance(length, Param | Quantity) and length.kind is Kind.DURATION


@dataclass(frozen=True, slots=True)
class _Is:
    """How a condition on a regime was written; told when it is asked for, as ``engine.naming.Call`` is."""

    regime: Regime
    name: str

    def __str__(self) -> str:
        return f'({self.regime} == "{self.name}")'


def _class_of(declared: object) -> tuple[str, Condition]:
    match declared:
        case (str(name), when):
            return name, condition(when, f"Regime {name!r}")
    fix = 'write Regime(("CALM", x < 1), ("WILD", x > 5))'
    raise RuleError("a class of a regime is its name and a condition, in brackets", fix=fix)


class Regime:
    """Classes of market: the first whose condition holds, else ``otherwise``; ``regime == "CALM"`` is a condition."""

    instead = 'compare it with a class: regime == "CALM"'

    def __init__(self, *classes: tuple[str, Condition], otherwise: str = "NORMAL") -> None:
        declared = [_class_of(each) for each in classes]
        self.names = [*(name for name, _ in declared), otherwise]
        self._conditions = [when for _, when in declared]
        self.name = ""
        self.made_by: object = None
        if len(set(self.names)) != len(self.names) or not classes:
            raise RuleError("a regime's classes need names of their own", fix='write Regime(("CALM", x < 1))')

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __str__(self) -> str:
        return self.name or str(self.made_by or f"Regime({', '.join(self.names)})")

    __repr__ = __str__

    def __eq__(self, name: object) -> Condition:  # type: ignore[override]
        if name not in self.names:
            raise RuleError(f"this regime has no class {name!r}", fix=nearest(str(name), self.names))
        place = self.names.index(str(name))
        earlier = [~when for when in self._conditions[:place]]
        parts = [*earlier, *self._conditions[place : place + 1]]
        made = parts[0]
        for part in parts[1:]:
            made = made & part
        made.made_by = made.made_by or _Is(self, str(name))
        return made

    def __ne__(self, name: object) -> Condition:  # type: ignore[override]
        return ~(self == name)

    __hash__ = None  # type: ignore[assignment]

    @property
    def code(self) -> Expr:
        """The number of the class, from 0 in the order of declaration: for columns and plots; undefined in none."""
        made: Expr = log(0)  # undefined
        for place, name in reversed(list(enumerate(self.names))):
            made = where(self == name, place, made)
        return made


for _name in __all__:
    # Their own names are taken: a strategy that says ``last = price`` renames it for nobody.
    if isinstance(globals().get(_name), Expr):
        globals()[_name].name = _name


def __getattr__(name: str) -> Never:
    """Name the nearest feature for one that does not exist: ``from engine.rules import volme``."""
    if name.startswith("__"):
        raise AttributeError(name)
    words = [word for word in __all__ if word[0].islower()]
    raise AttributeError(f"the rule language has no {name!r}; {nearest(name, words)}")
