"""Opening-range breakout: enter when the price leaves the range of the session's first minutes."""

from engine.rules import (
    EndOfDay,
    Param,
    Stop,
    Target,
    crosses_above,
    crosses_below,
    highest,
    lowest,
    minutes,
    opening,
    pct,
    price,
)
from engine.strategies._intraday import Intraday


class OpeningRangeBreakout(Intraday):
    """Long above the opening range, short below it, by a margin."""

    range_length = Param(minutes(15), "length of the opening range", low="1s")
    breakout = Param(pct("0.1"), "how far beyond the range the price must be", low=0)
    profit_target = Param(pct("1.5"), "gain that closes", low=0)
    stop_loss = Param(pct("0.75"), "loss that closes", low=0)

    top = highest(opening(range_length)) * (1 + breakout)
    bottom = lowest(opening(range_length)) * (1 - breakout)

    may_sell = Intraday.may_enter & ((Intraday.trend_filter == 0) | (price < Intraday.trend_average))

    long = crosses_above(price, top) & Intraday.may_buy
    short = crosses_below(price, bottom) & may_sell

    exits = (Stop(stop_loss), Target(profit_target), EndOfDay(Intraday.flatten))
