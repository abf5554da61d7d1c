"""Crypto VWAP and RSI: around the clock, buy below VWAP when oversold and sell above it when overbought."""

from engine.indicators import rsi
from engine.rules import Param, Stop, Target, TimeStop, bars, begins, minutes, pct, session, vwap
from engine.strategy import Strategy


class CryptoVwapRsi(Strategy):
    """Mean reversion where both the distance to VWAP and the RSI are extreme; the session is the UTC day."""

    bar = Param(minutes(5), "length of the bars", low="1s")
    distance = Param(pct("0.5"), "least distance of the bar's close to VWAP", low=0)
    rsi_length = Param(14, "bars of the RSI", low=1)
    oversold = Param("30", "RSI at or below which it may buy", low=0, high=100)
    overbought = Param("70", "RSI at or above which it may sell", low=0, high=100)
    profit_target = Param(pct("0.6"), "gain that closes", low=0)
    stop_loss = Param(pct("0.4"), "loss that closes", low=0)
    time_stop = Param(minutes(120), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    strength = rsi(b.close, rsi_length)
    centre = vwap(session)

    long = begins((strength <= oversold) & (b.close <= centre * (1 - distance)))
    short = begins((strength >= overbought) & (b.close >= centre * (1 + distance)))

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop))
