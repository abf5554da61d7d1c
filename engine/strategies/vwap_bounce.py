"""VWAP bounce: buy the return into the lower band around the session's VWAP, sell the return into the upper one."""

from engine.indicators import atr
from engine.regimes import five_class
from engine.rules import (
    BreakEven,
    EndOfDay,
    Param,
    Reward,
    Stop,
    Target,
    TimeStop,
    at,
    bars,
    change,
    crosses_above,
    crosses_below,
    minutes,
    pct,
    price,
    session,
    time_of_day,
    volume_ratio,
    vwap,
    vwap_sd,
)
from engine.strategy import Strategy


class VwapBounce(Strategy):
    """Mean reversion to VWAP from its deviation bands, on volume, in a market that does not run away."""

    deviations = Param("2", "half width of the bands in volume-weighted deviations", low=0)
    volume_window = Param(minutes(1), "window whose volume is looked at", low="1ns")
    usual_window = Param(minutes(15), "window of the volume that is usual", low="1ns")
    volume_factor = Param("1.2", "least volume per second against the usual one", low=0)
    trend_window = Param(minutes(15), "window of the move that is not faded", low="1ns")
    trend_limit = Param(pct("0.3"), "greatest move of trend_window, either way", low=0)
    bar = Param(minutes(1), "length of the bars of the regime and the true range", low="1s")
    entries_from = Param(at("09:45"), "time of day from which it may enter")
    entries_until = Param(at("15:30"), "time of day from which it may not")
    atr_length = Param(14, "bars of the average true range", low=1)
    stop_atr = Param("3", "stop, in average true ranges at the entry", low=0)
    reward = Param("1.5", "target, in distances of the stop", low=0)
    break_even = Param(pct("0.1"), "gain from which the stop is the entry price at the least", low=0)
    time_stop = Param(minutes(30), "longest holding time; 0 switches it off", low=0)
    flatten = Param(minutes(15), "how long before the session's close it leaves", low=0)

    centre, deviation = vwap(session), vwap_sd(session)
    lower, upper = centre - deviations * deviation, centre + deviations * deviation
    busy = volume_ratio(volume_window, usual_window) >= volume_factor
    calm = abs(change(trend_window)) <= trend_limit
    runs_away = five_class(bars(bar), atr_length) == "HIGH_VOL_TRENDING"
    in_hours = (time_of_day >= entries_from) & (time_of_day < entries_until)

    long = crosses_above(price, lower) & busy & calm & ~runs_away & in_hours
    short = crosses_below(price, upper) & busy & calm & ~runs_away & in_hours

    stop = Stop(stop_atr * atr(bars(bar), atr_length))
    exits = (stop, Target(Reward(reward)), BreakEven(break_even), TimeStop(time_stop), EndOfDay(flatten))
