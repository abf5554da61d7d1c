"""Pairs: trade one leg when its price strays from what the other leg's says, and wait for the return."""

from engine.indicators import pair_spread
from engine.rules import (
    Param,
    Stop,
    Target,
    TimeStop,
    When,
    bars,
    begins,
    bps,
    hours,
    minutes,
    of,
    pct,
    price,
    sample,
    stdev,
    symbol,
    zscore,
)
from engine.strategy import Strategy


class Pairs(Strategy):
    """One leg of a pair, against the z-score of its log-price spread to the other; the other leg is not traded."""

    other = Param(symbol("AMD"), "symbol of the other leg, which must be in the same stream")
    bar = Param(minutes(1), "length of the bars", low="1s")
    length = Param(60, "bars of the hedge ratio and of the z-score", low=3)
    entry_score = Param("2", "least z-score, either way", low=0)
    furthest = Param("4", "greatest z-score: beyond it the pair has parted", low=0)
    exit_score = Param("0.5", "z-score, either way, at which the legs are together again", low=0)
    least_width = Param(bps(1), "least deviation of the spread; an instrument against itself has none", low=0)
    profit_target = Param(pct("0.4"), "gain that closes", low=0)
    stop_loss = Param(pct("0.4"), "loss that closes", low=0)
    time_stop = Param(hours(2), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    spread = pair_spread(b.close, sample(of(other, price), b), length)
    score = zscore(spread, length)

    is_pair = stdev(spread, length) >= least_width

    long = begins((score <= -entry_score) & (score >= -furthest) & is_pair)
    short = begins((score >= entry_score) & (score <= furthest) & is_pair)

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop), When(abs(score) <= exit_score))
