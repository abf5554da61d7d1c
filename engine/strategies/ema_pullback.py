"""EMA pullback: buy the first dip to a rising stack of averages."""

from engine.indicators import rsi
from engine.rules import EndOfDay, Param, Stop, Target, TimeStop, bars, begins, between, ema, minutes, pct
from engine.strategies._intraday import Intraday


class EmaPullback(Intraday):
    """Long when a bar dips to the fast or middle average of a bullish stack and holds the slow one."""

    bar = Param(minutes(5), "length of the bars", low="1s")
    fast_length = Param(9, "bars of the fast average", low=1)
    middle_length = Param(21, "bars of the middle average", low=1)
    slow_length = Param(50, "bars of the slow average", low=1)
    rsi_length = Param(14, "bars of the RSI", low=1)
    rsi_low = Param("35", "least RSI", low=0, high=100)
    rsi_high = Param("55", "greatest RSI", low=0, high=100)
    profit_target = Param(pct("1"), "gain that closes", low=0)
    stop_loss = Param(pct("0.5"), "loss that closes", low=0)
    time_stop = Param(minutes(120), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    fast, middle, slow = ema(b.close, fast_length), ema(b.close, middle_length), ema(b.close, slow_length)
    strength = rsi(b.close, rsi_length)

    stacked = (fast > middle) & (middle > slow)
    pulled_back = (b.low <= fast) & (b.close > slow)

    long = begins(stacked & pulled_back & between(strength, rsi_low, rsi_high)) & Intraday.may_buy

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop), EndOfDay(Intraday.flatten))
