"""Pairs: buy one leg and sell the other when the spread between them strays, and wait for its return."""

from engine.rules import (
    Hedge,
    Param,
    TimeStop,
    When,
    bars,
    begins,
    bps,
    hedge_ratio,
    hours,
    log,
    minutes,
    of,
    price,
    sample,
    since_open,
    stdev,
    symbol,
    zscore,
)
from engine.strategy import Strategy


class Pairs(Strategy):
    """Both legs of a pair, against the z-score of their log-price spread: sized by the hedge ratio, left together."""

    other = Param(symbol("AMD"), "symbol of the other leg, which must be in the same stream")
    bar = Param(minutes(1), "length of the bars", low="1s")
    length = Param(60, "bars of the hedge ratio and of the z-score", low=3)
    entry_score = Param("2", "least z-score, either way", low=0)
    furthest = Param("4", "z-score, either way, at which the pair has parted: it is left, and not entered", low=0)
    exit_score = Param("0.5", "z-score, either way, at which the legs are together again", low=0)
    least_width = Param(bps(1), "least deviation of the spread; an instrument against itself has none", low=0)
    latest = Param(minutes(1), "greatest age of the other leg's last trade", low=0)
    equal_money = Param(0, "1 makes the legs of equal money; 0 sizes the other one by the hedge ratio", low=0, high=1)
    time_stop = Param(hours(2), "longest holding time; 0 switches it off", low=0)

    b = bars(bar)
    here, there = log(b.close), log(sample(of(other, price), b))
    beta = hedge_ratio(here, there, length)
    spread = here - beta * there
    score = zscore(spread, length)

    is_pair = (stdev(spread, length) >= least_width) & (beta > 0)
    is_fresh = since_open - of(other, since_open) <= latest

    long = begins((score <= -entry_score) & (score > -furthest) & is_pair) & is_fresh
    short = begins((score >= entry_score) & (score < furthest) & is_pair) & is_fresh

    hedge = Hedge(other, ratio=equal_money + (1 - equal_money) * beta)
    exits = (When(abs(score) <= exit_score), When(abs(score) >= furthest, as_stop=True), TimeStop(time_stop))
