"""The rule language on trades: windows from a moment on, the present trade and its quotes, measures of a window."""

from __future__ import annotations

from engine.language.grammar import Binary, Expr, Kind, Quantity, RuleError, said
from engine.language.measures import (
    Anchored,
    Feature,
    Window,
    check_window,
    window_kind,
)
from engine.language.parameters import Param
from engine.quantities import parse_time_ns, parse_time_of_day_ns

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


def last_of(measure: str, window: Window) -> Feature:
    """Price or size of the window's last trade: the present one, unless the window is frozen."""
    frozen = isinstance(window, Anchored) and window.kind == "opening"
    return Feature(f"last_{measure}", window) if frozen else Feature(measure)


# ---------------------------------------------------------------- over a window of trades


def change(window: Window) -> Feature:
    """Net return over the window: (price - first) / first, first being the window's oldest trade [ratio]."""
    return Feature("change", check_window("change", window))


def volume(window: Window) -> Feature:
    """Size traded in the window [size]."""
    return Feature("volume", check_window("volume", window))


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
    last = last_of("size", check_window("size_ratio", window))
    return last * (trade_count(window) - 1) / (volume(window) - last)


def trade_count(window: Window) -> Feature:
    """Trades in the window [count]."""
    return Feature("trade_count", check_window("trade_count", window))


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


for _name, _word in list(globals().items()):
    # Their own names are taken: a strategy that says ``last = price`` renames it for nobody.
    if isinstance(_word, Expr):
        _word.name = _name
