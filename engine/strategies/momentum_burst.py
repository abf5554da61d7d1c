"""Momentum burst: enter with a move that comes on a surge of volume, leave fast.

The reference strategy: its trades are checked one by one against an independent implementation of the written rule.
"""

from engine.rules import Flat, Param, Stop, Target, TimeStop, change, pct, price_range, seconds, volume
from engine.strategy import Strategy


class MomentumBurst(Strategy):
    """A net move over the window, while volume surges and the window's range shows that the market is awake."""

    window = Param(seconds(15), "window of the move, the range and the average volume", low="1ns")
    surge_window = Param(seconds(1), "window of the volume surge", low="1ns")
    entry_threshold = Param(pct("0.05"), "least net move of the window, either way", low=0)
    guard = Param(pct("0.1"), "least range of the window", low=0)
    volume_spike = Param("1.5", "surge must exceed this multiple of the window's volume per second", low=0)
    profit_target = Param(pct("0.15"), "gain that closes", low=0)
    stop_loss = Param(pct("0.05"), "loss that closes", low=0)
    time_stop = Param(seconds(8), "longest holding time; 0 switches it off", low=0)
    flat_candles = Param(2, "consecutive flat one-second candles that close; 0 switches it off", low=0)
    cooldown_signals = Param(2, "signals skipped after a losing trade", low=0)

    move = change(window)
    surge = volume(surge_window).rate() / volume(window).rate()
    span = price_range(window)

    awake = (surge > volume_spike) & (span >= guard)
    long = (move >= entry_threshold) & awake
    short = (move <= -entry_threshold) & awake

    warm_up = window
    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop), Flat(flat_candles))
