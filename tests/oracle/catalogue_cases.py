"""Features of trades, windows and bars twice: as a strategy would write them, and as the reference's function.

Series, indicators, structure and conditions are in ``catalogue_cases_series``, which adds its own to these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from engine import rules as r
from tests.oracle import catalogue as cat
from tests.oracle import catalogue_bars as bars
from tests.oracle import catalogue_indicators as ind
from tests.oracle import catalogue_windows as win
from tests.oracle.catalogue import SECOND_NS, Market, Values

S = SECOND_NS
OPEN_NS = 1_704_205_800 * S
"""2024-01-02 09:30 in New York: the opening of the first session of the streams."""

EXACT, ROUNDED, DOUBLE, CONDITION = "exact", "rounded", "double", "condition"
"""Equal to the bit; a double of the past, rounded once more when it is shown; computed in doubles; a truth."""

Expected = Callable[[Market], list[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    written: Any
    expected: Expected
    kind: str = EXACT


def price_of(m: Market) -> Values:
    return win.present(m, lambda trade: trade.price)


def size_of(m: Market) -> Values:
    return win.present(m, lambda trade: trade.size)


def over(window: cat.Window, feature: win.Feature) -> Expected:
    return lambda m: win.over(m, window, feature)


# ---------------------------------------------------------------- windows

WINDOWS: dict[str, tuple[Any, cat.Window]] = {
    "2s": (r.seconds(2), cat.time_window(2 * S)),
    "250ms": (r.milliseconds(250), cat.time_window(S // 4)),
    "5 trades": (r.ticks(5), cat.count_window(5)),
    "1 trade": (r.ticks(1), cat.count_window(1)),
    "session": (r.session, cat.session_window),
    "week": (r.week, cat.week_window),
    "since high": (r.since_high, cat.since_high),
    "since low": (r.since_low, cat.since_low),
    "opening": (r.opening(r.minutes(1)), cat.opening_window(60 * S)),
}
OVER: dict[str, tuple[Any, win.Feature, str]] = {
    "change": (r.change, win.change, EXACT),
    "log_return": (r.log_return, win.log_return, DOUBLE),
    "volume": (r.volume, win.volume, EXACT),
    "trade_count": (r.trade_count, win.trade_count, EXACT),
    "mean_size": (r.mean_size, win.mean_size, EXACT),
    "size_ratio": (r.size_ratio, win.size_ratio, EXACT),
    "first_price": (r.first_price, win.first_price, EXACT),
    "highest": (r.highest, win.highest, EXACT),
    "lowest": (r.lowest, win.lowest, EXACT),
    "price_range": (r.price_range, win.price_range, EXACT),
    "mean": (r.mean, win.mean, EXACT),
    "variance": (r.variance, win.variance, EXACT),
    "stdev": (r.stdev, win.stdev, DOUBLE),
    "zscore": (r.zscore, win.zscore, DOUBLE),
    "vwap": (r.vwap, win.vwap, EXACT),
    "vwap_sd": (r.vwap_sd, win.vwap_sd, DOUBLE),
    "time_since_high": (r.time_since_high, win.time_since_high, EXACT),
    "time_since_low": (r.time_since_low, win.time_since_low, EXACT),
    "realised_volatility": (r.realised_volatility, win.realised_volatility, DOUBLE),
}
CASES: dict[str, Case] = {
    f"{name}({label})": Case(written(window), over(held, feature), kind)
    for name, (written, feature, kind) in OVER.items()
    for label, (window, held) in WINDOWS.items()
}
for _label, (_window, _held) in WINDOWS.items():
    for _rule in ("quote", "tick"):
        CASES[f"signed_volume({_label}, {_rule})"] = Case(
            r.signed_volume(_window, rule=_rule), lambda m, w=_held, rule=_rule: win.signed_volume(m, w, rule)
        )
        CASES[f"flow_imbalance({_label}, {_rule})"] = Case(
            r.flow_imbalance(_window, rule=_rule), lambda m, w=_held, rule=_rule: win.flow_imbalance(m, w, rule)
        )
    CASES[f"order_flow({_label})"] = Case(r.order_flow(_window), lambda m, w=_held: win.order_flow(m, w))
CASES |= {
    "volume.rate": Case(
        r.volume(r.seconds(2)).rate(), lambda m: win.per_second(win.over(m, cat.time_window(2 * S), win.volume), 2 * S)
    ),
    "volume_ratio": Case(r.volume_ratio(r.seconds(1), r.seconds(2)), lambda m: win.volume_ratio(m, S, 2 * S)),
    "since clock": Case(r.highest(r.since("09:31")), over(cat.since_clock(9, 31), win.highest)),
    "since moment": Case(r.vwap(r.since("2024-01-02T14:31Z")), over(cat.since_instant(OPEN_NS + 60 * S), win.vwap)),
}

# ---------------------------------------------------------------- of the present trade

CASES |= {
    "price": Case(r.price, price_of),
    "size": Case(r.size, size_of),
    "bid": Case(r.bid, lambda m: win.present(m, lambda t: t.bid)),
    "ask": Case(r.ask, lambda m: win.present(m, lambda t: t.ask)),
    "bid_size": Case(r.bid_size, lambda m: win.present(m, lambda t: t.bid_size)),
    "ask_size": Case(r.ask_size, lambda m: win.present(m, lambda t: t.ask_size)),
    "mid": Case(r.mid, lambda m: win.present(m, win.mid)),
    "spread": Case(r.spread, lambda m: win.present(m, win.spread)),
    "quote_imbalance": Case(r.quote_imbalance, lambda m: win.present(m, win.quote_imbalance)),
    "microprice": Case(r.microprice, lambda m: win.present(m, win.microprice)),
    "trade_side": Case(r.trade_side, win.trade_side),
    "tick_side": Case(r.tick_side, win.tick_side),
    "flat_candles": Case(r.flat_candles(r.seconds(1)), lambda m: win.flat_candles(m, S)),
    "time_of_day": Case(r.time_of_day, lambda m: win.present(m, win.time_of_day)),
    "since_open": Case(r.since_open, lambda m: win.present(m, win.since_open)),
    "to_close": Case(r.to_close, lambda m: win.present(m, win.to_close)),
}

# ---------------------------------------------------------------- bars

SERIES: dict[str, tuple[Any, Callable[[Market], list[bars.Bar]]]] = {
    "5s": (r.bars(r.seconds(5)), lambda m: bars.time_bars(m, 5 * S)),
    "1m": (r.bars(r.minutes(1)), lambda m: bars.time_bars(m, 60 * S)),
    "7 trades": (r.bars(r.ticks(7)), lambda m: bars.tick_bars(m, 7)),
    "40 units": (r.bars(r.units(40)), lambda m: bars.volume_bars(m, Fraction(40))),
    "300 dollars": (r.bars(r.dollars(300)), lambda m: bars.dollar_bars(m, Fraction(300))),
    "1d": (r.bars(r.days(1)), bars.day_bars),
}


def on_bars(build: Callable[[Market], list[bars.Bar]], function: Callable[[list[bars.Bar]], Any]) -> Expected:
    """A value of closed bars, held on trades."""

    def values(m: Market) -> list[Any]:
        closed = bars.closed(build(m))
        return bars.lift(m, closed, [None if v is None else Fraction(v) for v in function(closed)])

    return values


def flags_on_bars(build: Callable[[Market], list[bars.Bar]], function: Callable[[list[bars.Bar]], Any]) -> Expected:
    def values(m: Market) -> list[Any]:
        closed = bars.closed(build(m))
        return bars.lift_flags(m, closed, function(closed))

    return values


for _label, (_b, _build) in SERIES.items():
    for _field in ("open", "high", "low", "close", "volume", "trades", "vwap", "typical"):
        CASES[f"bars({_label}).{_field}"] = Case(
            getattr(_b, _field), on_bars(_build, lambda closed, field=_field: ind.column(closed, field))
        )
        CASES[f"bars({_label}).developing.{_field}"] = Case(
            getattr(_b.developing, _field),
            lambda m, build=_build, field=_field: [
                None if b is None else getattr(b, field) for b in bars.developing(m, build(m))
            ],
        )
    CASES[f"sample({_label})"] = Case(
        r.sample(r.vwap(r.ticks(5)), _b),
        lambda m, build=_build: (
            lambda closed: bars.lift(m, closed, bars.sample(closed, win.over(m, cat.count_window(5), win.vwap)))
        )(bars.closed(build(m))),
        ROUNDED,
    )
