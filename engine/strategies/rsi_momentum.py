"""RSI and volume: buy when bars are oversold while more is traded than usual."""

from engine.indicators import rsi
from engine.rules import EndOfDay, Param, Stop, Target, TimeStop, bars, begins, minutes, pct, sma
from engine.strategies._intraday import Intraday


class RsiMomentum(Intraday):
    """Long on an oversold RSI with a volume spike."""

    bar = Param(minutes(5), "length of the bars", low="1s")
    rsi_length = Param(14, "bars of the RSI", low=1)
    oversold = Param("30", "RSI at or below which the market is oversold", low=0, high=100)
    volume_length = Param(20, "bars of the average volume, the present one included", low=1)
    volume_factor = Param("1.0", "volume must exceed this multiple of the average", low=0)
    profit_target = Param(pct("1"), "gain that closes", low=0)
    stop_loss = Param(pct("0.5"), "loss that closes", low=0)
    time_stop = Param(minutes(60), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    strength = rsi(b.close, rsi_length)
    usual_volume = sma(b.volume, volume_length)

    long = begins((strength <= oversold) & (b.volume > volume_factor * usual_volume)) & Intraday.may_buy

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop), EndOfDay(Intraday.flatten))
