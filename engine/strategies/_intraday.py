"""What the intraday strategies share: when of the day they may enter, and with which trend."""

from engine.regimes import midday
from engine.rules import Param, at, bars, ema, minutes, price, time_of_day
from engine.strategy import Strategy


class Intraday(Strategy):
    """Entries within hours of the exchange's clock, not at midday; with the trend when that is asked for."""

    risk_profile = "equities"

    entries_from = Param(at("09:45"), "time of day from which it may enter")
    entries_until = Param(at("15:30"), "time of day from which it may not")
    avoid_midday = Param(1, "1: no entry at midday; 0: midday is like any hour", low=0, high=1)
    midday_from = Param(at("12:00"), "time of day at which midday begins")
    midday_until = Param(at("14:00"), "time of day at which midday ends")
    trend_filter = Param(
        0, "1: long only above the average of trend_length bars, short only below; 0: off", low=0, high=1
    )
    trend_bar = Param(minutes(5), "length of the bars of the trend filter", low="1s")
    trend_length = Param(20, "bars in the average of the trend filter", low=1)
    flatten = Param(minutes(5), "how long before the session's close it leaves", low=0)

    trend_average = ema(bars(trend_bar).close, trend_length)
    in_hours = (time_of_day >= entries_from) & (time_of_day < entries_until)
    may_enter = in_hours & ((avoid_midday == 0) | ~midday(midday_from, midday_until))
    may_buy = may_enter & ((trend_filter == 0) | (price > trend_average))
