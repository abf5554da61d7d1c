"""Series, indicators, structure and conditions twice: as a strategy writes them, and as the reference's function."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from engine import rules as r
from engine.indicators import (
    adx,
    atr,
    bollinger,
    cci,
    donchian,
    keltner,
    macd,
    mfi,
    obv,
    pair_spread,
    rsi,
    stochastic,
    streak,
    true_range,
)
from engine.structure import (
    bearish_engulfing,
    bullish_engulfing,
    doji,
    evening_star,
    fair_value_gaps,
    hammer,
    inside_bar,
    liquidity_zones,
    morning_star,
    order_blocks,
    outside_bar,
    shooting_star,
    swings,
)
from tests.oracle import catalogue as cat
from tests.oracle import catalogue_bars as bars
from tests.oracle import catalogue_cases as plain
from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_series as ser
from tests.oracle import catalogue_structure as struct
from tests.oracle import catalogue_windows as win
from tests.oracle.catalogue import Market, Values
from tests.oracle.catalogue_cases import (
    CONDITION,
    DOUBLE,
    EXACT,
    ROUNDED,
    SERIES,
    Case,
    Expected,
    S,
    flags_on_bars,
    on_bars,
    over,
    price_of,
    size_of,
)

CASES: dict[str, Case] = dict(plain.CASES)
"""All of them, those of ``catalogue_cases`` included."""


def on_trades(function: Callable[..., list[Any]], *columns: Expected) -> Expected:
    """A series function on the clock of trades, which restarts."""
    return lambda m: ser.restarting(m, function, *(column(m) for column in columns))


def times(m: Market) -> list[int]:
    return [trade.ts for trade in m.trades]


# ---------------------------------------------------------------- series

SERIES_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Values], Values], str]] = {
    "previous": (lambda x: r.previous(x, 3), lambda x: ser.previous(x, 3), EXACT),
    "ema": (lambda x: r.ema(x, 4), lambda x: ser.ema(x, 4), DOUBLE),
    "wilder": (lambda x: r.wilder(x, 4), lambda x: ser.wilder(x, 4), DOUBLE),
    "sma": (lambda x: r.sma(x, 4), lambda x: ser.sma(x, 4), DOUBLE),
    "stdev": (lambda x: r.stdev(x, 4), lambda x: ser.stdev(x, 4), DOUBLE),
    "highest": (lambda x: r.highest(x, 4), lambda x: ser.highest(x, 4), EXACT),
    "lowest": (lambda x: r.lowest(x, 4), lambda x: ser.lowest(x, 4), EXACT),
    "total": (lambda x: r.total(x, 4), lambda x: ser.total(x, 4), DOUBLE),
    "zscore": (lambda x: r.zscore(x, 4), lambda x: ser.zscore(x, 4), DOUBLE),
    "slope": (lambda x: r.slope(x, 4), lambda x: ser.slope(x, 4), DOUBLE),
    "log": (r.log, ser.log, DOUBLE),
    "mad": (lambda x: r.mad(x, 4), lambda x: ser.mad(x, 4), DOUBLE),
    "log_return": (lambda x: r.log_return(x, 2), lambda x: ser.log_return(x, 2), DOUBLE),
    "cumulative": (r.cumulative, ser.cumulative, DOUBLE),
    "streak": (streak, ser.streak, EXACT),
    "latest": (
        lambda x: r.latest(x, when=r.rising(x), nth=1),
        lambda x: ser.latest(x, ser.rising(x), 1),
        EXACT,
    ),
    "rsi": (lambda x: rsi(x, 5), lambda x: ind.rsi(x, 5), DOUBLE),
    "macd.line": (lambda x: macd(x, 3, 6, 4).line, lambda x: ind.macd(x, 3, 6, 4).line, DOUBLE),
    "macd.signal": (lambda x: macd(x, 3, 6, 4).signal, lambda x: ind.macd(x, 3, 6, 4).signal, DOUBLE),
    "macd.histogram": (lambda x: macd(x, 3, 6, 4).histogram, lambda x: ind.macd(x, 3, 6, 4).histogram, DOUBLE),
    **{
        f"bollinger.{part}": (
            lambda x, part=part: getattr(bollinger(x, 5, 2), part),
            lambda x, part=part: getattr(ind.bollinger(x, 5, 2), part),
            DOUBLE,
        )
        for part in ("upper", "middle", "lower", "percent")
    },
}
OF_SUMS = ("sma", "total", "slope", "bollinger.middle")
"""Exact where the value is a whole number of ticks or lots."""
_b5, _build5 = SERIES["5s"]
for _name, (_written, _reference, _kind) in SERIES_FUNCTIONS.items():
    _kind_of_whole = EXACT if _name in OF_SUMS else _kind
    CASES[f"{_name} of trades"] = Case(_written(r.price), on_trades(_reference, price_of), _kind_of_whole)
    CASES[f"{_name} of a late size"] = Case(  # undefined at first, and again after every restart
        _written(r.volume(r.ticks(3))),
        on_trades(_reference, over(cat.count_window(3), win.volume)),
        _kind_of_whole,
    )
    CASES[f"{_name} of a late value"] = Case(  # undefined at first, and again after every restart
        _written(r.mean(r.ticks(3))),
        on_trades(_reference, over(cat.count_window(3), win.mean)),
        ROUNDED if _kind == EXACT else _kind,
    )
    CASES[f"{_name} of a value with holes"] = Case(  # undefined wherever nothing traded a second ago
        _written(r.price / r.signed_volume(r.seconds(1), rule="tick")),
        on_trades(
            _reference,
            lambda m: ser.pointwise(cat.quotient, price_of(m), win.signed_volume(m, cat.time_window(S), "tick")),
        ),
        DOUBLE,
    )
    CASES[f"{_name} of bars"] = Case(
        _written(_b5.close),
        on_bars(_build5, lambda closed, f=_reference: f(ind.column(closed, "close"))),
        _kind_of_whole,
    )
CASES |= {
    "ema half life": Case(
        r.ema(r.price, half_life=r.seconds(5)),
        lambda m: ser.restarting(m, lambda x, ts: ser.ema_half_life(x, ts, 5 * S), price_of(m), times(m)),
        DOUBLE,
    ),
    "hedge_ratio": Case(
        r.hedge_ratio(r.price, r.size, 5), on_trades(lambda y, x: ser.hedge_ratio(y, x, 5), price_of, size_of), EXACT
    ),
    "pair_spread": Case(
        pair_spread(r.price, r.size, 5), on_trades(lambda x, y: ind.pair_spread(x, y, 5), price_of, size_of), DOUBLE
    ),
}

# ---------------------------------------------------------------- indicators and structure of bars

BAR_VALUES: dict[str, tuple[Any, Callable[[list[bars.Bar]], Any]]] = {
    "true_range": (true_range(_b5), ind.true_range),
    "atr": (atr(_b5, 4), lambda b: ind.atr(b, 4)),
    "cci": (cci(_b5, 4), lambda b: ind.cci(b, 4)),
    "obv": (obv(_b5), ind.obv),
    "mfi": (mfi(_b5, 4), lambda b: ind.mfi(b, 4)),
    **{
        f"keltner.{part}": (
            getattr(keltner(_b5, 5, 2, atr_length=3), part),
            lambda b, part=part: getattr(ind.keltner(b, 5, 2, 3), part),
        )
        for part in ("upper", "middle", "lower")
    },
    **{
        f"donchian.{part}": (getattr(donchian(_b5, 4), part), lambda b, part=part: getattr(ind.donchian(b, 4), part))
        for part in ("upper", "middle", "lower")
    },
    **{
        f"stochastic.{part}": (
            getattr(stochastic(_b5, 4, 3, 2), part),
            lambda b, part=part: getattr(ind.stochastic(b, 4, 3, 2), part),
        )
        for part in ("k", "d")
    },
    **{
        f"adx.{part}": (getattr(adx(_b5, 4), part), lambda b, part=part: getattr(ind.adx(b, 4), part))
        for part in ("adx", "plus", "minus")
    },
    **{
        f"swings.{part}": (getattr(swings(_b5, 2, 2), part), lambda b, part=part: getattr(struct.swings(b), part))
        for part in ("high", "low", "trend")
    },
}
WHOLE = ("donchian", "swings")
CASES |= {
    name: Case(written, on_bars(_build5, f), EXACT if name.startswith(WHOLE) else DOUBLE)
    for name, (written, f) in BAR_VALUES.items()
}
PATTERNS = (
    doji,
    hammer,
    shooting_star,
    bullish_engulfing,
    bearish_engulfing,
    morning_star,
    evening_star,
    inside_bar,
    outside_bar,
)
CASES |= {f.__name__: Case(f(_b5), flags_on_bars(_build5, getattr(struct, f.__name__)), CONDITION) for f in PATTERNS}
_liquidity = liquidity_zones(_b5, tolerance=r.pct(2))
ZONES: dict[str, tuple[Any, Callable[[list[bars.Bar]], struct.Zones]]] = {
    "fair_value_gaps.bullish": (fair_value_gaps(_b5).bullish, lambda b: struct.fair_value_gaps(b).bullish),
    "fair_value_gaps.bearish": (fair_value_gaps(_b5).bearish, lambda b: struct.fair_value_gaps(b).bearish),
    "order_blocks.bullish": (order_blocks(_b5).bullish, lambda b: struct.order_blocks(b).bullish),
    "order_blocks.bearish": (order_blocks(_b5).bearish, lambda b: struct.order_blocks(b).bearish),
    "liquidity_zones.above": (_liquidity.above, lambda b: struct.liquidity_zones(b, tolerance=Fraction("0.02")).above),
    "liquidity_zones.below": (_liquidity.below, lambda b: struct.liquidity_zones(b, tolerance=Fraction("0.02")).below),
}
for _name, (_zones, _reference_zones) in ZONES.items():
    for _part in ("top", "bottom"):
        CASES[f"{_name}.{_part}"] = Case(
            getattr(_zones, _part), on_bars(_build5, lambda b, f=_reference_zones, part=_part: getattr(f(b), part))
        )
    for _part in ("found", "stands"):
        CASES[f"{_name}.{_part}"] = Case(
            getattr(_zones, _part),
            flags_on_bars(_build5, lambda b, f=_reference_zones, part=_part: getattr(f(b), part)),
            CONDITION,
        )

for _side in ("swept_above", "swept_below"):
    CASES[f"liquidity_zones.{_side}"] = Case(
        getattr(_liquidity, _side),
        flags_on_bars(
            _build5,
            lambda b, side=_side: getattr(struct.liquidity_zones(b, tolerance=Fraction("0.02")), side),
        ),
        CONDITION,
    )

# ---------------------------------------------------------------- conditions

_MEAN = r.mean(r.ticks(5))


def mean_of(m: Market) -> Values:
    return win.over(m, cat.count_window(5), win.mean)


def above(m: Market) -> list[bool]:
    return ser.compare(price_of(m), ">", mean_of(m))


_RANGE = r.price_range(r.ticks(5))
MARKET = r.Regime(("WILD", r.pct("0.9") < _RANGE), ("QUIET", r.pct("0.5") > _RANGE))


def in_class(*bounds: tuple[str, str]) -> Expected:
    """Whether the range of the last five trades keeps all of these bounds; never while it is undefined."""

    def flags(m: Market) -> list[bool]:
        extent = win.over(m, cat.count_window(5), win.price_range)
        return ser.both(*(ser.compare(extent, sign, Fraction(bound)) for sign, bound in bounds))

    return flags


def condition(function: Callable[..., list[Any]], *columns: Expected) -> Expected:
    return on_trades(function, *columns)


CASES |= {
    "above": Case(r.price > _MEAN, above, CONDITION),
    "not above": Case(~(r.price > _MEAN), lambda m: ser.compare(price_of(m), "<=", mean_of(m)), CONDITION),
    "between": Case(
        r.between(r.price, _MEAN, r.highest(r.ticks(5))),
        lambda m: ser.between(price_of(m), mean_of(m), win.over(m, cat.count_window(5), win.highest)),
        CONDITION,
    ),
    "crosses_above": Case(r.crosses_above(r.price, _MEAN), condition(ser.crosses_above, price_of, mean_of), CONDITION),
    "crosses_below": Case(r.crosses_below(r.price, _MEAN), condition(ser.crosses_below, price_of, mean_of), CONDITION),
    "rising": Case(r.rising(r.price, 2), condition(lambda x: ser.rising(x, 2), price_of), CONDITION),
    "falling": Case(r.falling(r.price), condition(ser.falling, price_of), CONDITION),
    "previous condition": Case(
        r.previous(r.price > _MEAN, 2), condition(lambda c: ser.previous_flag(c, 2), above), CONDITION
    ),
    "for_at_least records": Case(
        r.for_at_least(r.price > _MEAN, 3), condition(lambda c: ser.for_at_least_records(c, 3), above), CONDITION
    ),
    "for_at_least time": Case(
        r.for_at_least(r.price > _MEAN, r.seconds(1)),
        condition(lambda c, ts: ser.for_at_least_time(c, ts, S), above, times),
        CONDITION,
    ),
    "within records": Case(
        r.within(r.price > _MEAN, 3), condition(lambda c: ser.within_records(c, 3), above), CONDITION
    ),
    "within time": Case(
        r.within(r.price > _MEAN, r.seconds(1)),
        condition(lambda c, ts: ser.within_time(c, ts, S), above, times),
        CONDITION,
    ),
    "run_length": Case(r.run_length(r.price > _MEAN), condition(ser.run_length, above)),
    "where": Case(
        r.where(r.price > _MEAN, r.size, 1),
        lambda m: ser.where(above(m), size_of(m), 1),
    ),
    "first class": Case(MARKET == "WILD", in_class((">", "0.009")), CONDITION),
    "second class": Case(MARKET == "QUIET", in_class(("<=", "0.009"), ("<", "0.005")), CONDITION),
    "no class": Case(MARKET == "NORMAL", in_class(("<=", "0.009"), (">=", "0.005")), CONDITION),
    "not a class": Case(MARKET != "QUIET", in_class((">=", "0.005")), CONDITION),
}
