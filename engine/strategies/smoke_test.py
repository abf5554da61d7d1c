"""Smoke test: trade soon and often, so that one sees within a minute that everything is connected."""

from engine.rules import Param, Stop, Target, TimeStop, falling, pct, price, rising, seconds
from engine.strategy import Strategy


class SmokeTest(Strategy):
    """Long after an uptick, short after a downtick, out after seconds. It has no idea about the market."""

    lookback = Param(1, "trades back that the price is compared with", low=1)
    profit_target = Param(pct("0.1"), "gain that closes", low=0)
    stop_loss = Param(pct("0.1"), "loss that closes", low=0)
    time_stop = Param(seconds(5), "longest holding time; 0 switches it off", low=0)

    long = rising(price, lookback)
    short = falling(price, lookback)

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop))
