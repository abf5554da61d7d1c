"""VWAP scalp: buy when the price, having been well below the session's VWAP, comes back above it."""

from engine.rules import (
    EndOfDay,
    Param,
    Stop,
    Target,
    TimeStop,
    crosses_above,
    minutes,
    pct,
    price,
    session,
    vwap,
    within,
)
from engine.strategies._intraday import Intraday


class VwapScalp(Intraday):
    """Long on the bounce through VWAP after a dip below it."""

    bounce = Param(pct("0.15"), "how far below VWAP the dip must have been", low=0)
    memory = Param(minutes(10), "how long ago the dip may be", low="1ns")
    profit_target = Param(pct("0.5"), "gain that closes", low=0)
    stop_loss = Param(pct("0.3"), "loss that closes", low=0)
    time_stop = Param(minutes(60), "longest holding time; 0 switches it off", low=0)

    centre = vwap(session)
    dip = price <= centre * (1 - bounce)

    long = crosses_above(price, centre) & within(dip, memory) & Intraday.may_buy

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop), EndOfDay(Intraday.flatten))
