"""Smart money: enter at the zones of a lower timeframe, with its structure, order flow and the higher timeframe."""

from engine.indicators import count_of
from engine.rules import (
    Param,
    Stop,
    Target,
    TimeStop,
    bars,
    begins,
    ema,
    flow_imbalance,
    hours,
    minutes,
    pct,
    previous,
    within,
)
from engine.strategy import Strategy
from engine.structure import fair_value_gaps, liquidity_zones, order_blocks, swings


class SmartMoney(Strategy):
    """Zones in which price turns, counted; the flow of orders and the higher timeframe must agree."""

    bar = Param(minutes(5), "length of the lower timeframe's bars", low="1s")
    htf_bar = Param(hours(1), "length of the higher timeframe's bars", low="1s")
    htf_length = Param(20, "bars of the higher timeframe's average", low=1)
    flow_window = Param(minutes(5), "window of the order flow", low="1ns")
    least_flow = Param("0.05", "least share of volume bought less sold, by the tick rule", low=0, high=1)
    memory = Param(3, "bars for which a taken liquidity zone counts", low=1)
    least_signs = Param(2, "how many of order block, gap, liquidity and structure must agree", low=1, high=4)
    profit_target = Param(pct("0.6"), "gain that closes", low=0)
    stop_loss = Param(pct("0.3"), "loss that closes", low=0)
    time_stop = Param(minutes(120), "longest holding time; 0 switches it off", low=0)

    ltf, htf = bars(bar, role="LTF"), bars(htf_bar, role="HTF")
    blocks, gaps, liquidity = order_blocks(ltf), fair_value_gaps(ltf), liquidity_zones(ltf)
    trend = swings(ltf).trend
    htf_average = ema(htf.close, htf_length)
    flow = flow_imbalance(flow_window, "tick")

    at_support = previous(blocks.bullish.stands) & (ltf.low <= blocks.bullish.top)
    at_resistance = previous(blocks.bearish.stands) & (ltf.high >= blocks.bearish.bottom)
    in_gap_below = previous(gaps.bullish.stands) & (ltf.low <= gaps.bullish.top)
    in_gap_above = previous(gaps.bearish.stands) & (ltf.high >= gaps.bearish.bottom)
    swept_below, swept_above = within(liquidity.swept_below, memory), within(liquidity.swept_above, memory)
    signs_up = count_of(at_support, in_gap_below, swept_below, trend > 0)
    signs_down = count_of(at_resistance, in_gap_above, swept_above, trend < 0)

    long = begins(signs_up >= least_signs) & (htf.close > htf_average) & (flow >= least_flow)
    short = begins(signs_down >= least_signs) & (htf.close < htf_average) & (flow <= -least_flow)

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop))
