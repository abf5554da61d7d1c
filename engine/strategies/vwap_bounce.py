"""VWAP bounce: buy the return into the lower band around the session's VWAP, sell the return into the upper one."""

from engine.regimes import five_class
from engine.rules import (
    Param,
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
    regime_bar = Param(minutes(1), "length of the bars that tell the regime", low="1s")
    entries_from = Param(at("09:45"), "time of day from which it may enter")
    entries_until = Param(at("15:30"), "time of day from which it may not")
    stop_loss = Param(pct("0.15"), "loss that closes", low=0)
    profit_target = Param(pct("0.3"), "gain that closes", low=0)
    time_stop = Param(minutes(30), "longest holding time; 0 switches it off", low=0)

    centre, deviation = vwap(session), vwap_sd(session)
    lower, upper = centre - deviations * deviation, centre + deviations * deviation
    busy = volume_ratio(volume_window, usual_window) >= volume_factor
    calm = abs(change(trend_window)) <= trend_limit
    runs_away = five_class(bars(regime_bar)) == "HIGH_VOL_TRENDING"
    in_hours = (time_of_day >= entries_from) & (time_of_day < entries_until)

    long = crosses_above(price, lower) & busy & calm & ~runs_away & in_hours
    short = crosses_below(price, upper) & busy & calm & ~runs_away & in_hours

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop))
