"""Swing: hold for days what several signs of a turn agree on."""

from engine.indicators import count_of, rsi
from engine.rules import (
    NotBefore,
    Param,
    Stop,
    Target,
    TimeStop,
    bars,
    begins,
    crosses_above,
    days,
    ema,
    hours,
    pct,
    sma,
    within,
)
from engine.strategy import Strategy
from engine.structure import bullish_engulfing, hammer, morning_star


class Swing(Strategy):
    """Long when enough of RSI bounce, support at an average, volume surge and candle pattern agree; held overnight."""

    risk_profile = "equities"
    holds_overnight = True

    bar = Param(hours(1), "length of the bars", low="1s")
    rsi_length = Param(14, "bars of the RSI", low=1)
    oversold = Param("35", "RSI from below which the bounce begins", low=0, high=100)
    support_length = Param(20, "bars of the average that supports", low=1)
    volume_length = Param(20, "bars of the average volume, the present one included", low=1)
    volume_factor = Param("1.5", "volume must exceed this multiple of the average", low=0)
    memory = Param(3, "bars for which a bounce and a pattern count, that of their own included", low=1)
    least_signs = Param(2, "how many of the four signs must agree", low=1, high=4)
    profit_target = Param(pct("4"), "gain that closes", low=0)
    stop_loss = Param(pct("2"), "loss that closes", low=0)
    shortest_hold = Param(days(1), "age before which only the stop closes it; 0 switches it off", low=0)
    time_stop = Param(days(5), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    average = ema(b.close, support_length)
    bounce = within(crosses_above(rsi(b.close, rsi_length), oversold), memory)
    support = (b.low <= average) & (b.close > average)
    surge = b.volume > volume_factor * sma(b.volume, volume_length)
    pattern = within(hammer(b) | bullish_engulfing(b) | morning_star(b), memory)
    signs = count_of(bounce, support, surge, pattern)

    long = begins(signs >= least_signs)

    exits = (Stop(stop_loss), Target(profit_target), NotBefore(shortest_hold), TimeStop(time_stop))
