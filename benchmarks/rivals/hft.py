"""hftbacktest, in its own idiom: a numba strategy that wakes when the feed has something.

Two ways. *Trades*: the feed has the trade prints only, the strategy keeps its windows and books its own trades at the
last price; no order is sent, so this is the price of the event loop and the rule. It wakes once per instant, with all
trades of that instant. *Quotes and orders*: depth updates come before the trades whose bid or ask differs, timers wake
the strategy by time-out, and entries and exits are market orders that the simulated exchange fills at the touch,
without latency; the fill is read back from the order. Here every trade must be decided on its own, so its time is
counted in 64ths of a nanosecond, in which trades of one instant differ.

The rule is that of the numba kernel; its windows are kept from what the feed delivers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.rivals.common import Int64s, Rule, Ticks, Trades, missing, trades_from_rows
from benchmarks.rivals.numba_kernel import prepare as prepare_kernel

TICK_SIZE = 0.01
SECOND = 1_000_000_000
MILLION = 1_000_000
SL, TP, TIME, FLAT, END = range(5)
FAR = 1 << 60
ZERO, ONE = np.uint64(0), np.uint64(1)
FEED, TIMEOUT = 2, 0
ORDER_SHIFT = 6


class Prepared(NamedTuple):
    """The feed in hftbacktest's own records, and the arguments of the strategy."""

    events: Any
    rule: Int64s
    n_ticks: int
    base_ns: int
    orders: bool


def unavailable() -> str:
    return missing("numba", "hftbacktest")


def prepare_trades(ticks: Ticks, rule: Rule) -> Prepared:
    return prepared(ticks, rule, orders=False)


def prepare_orders(ticks: Ticks, rule: Rule) -> Prepared:
    return prepared(ticks, rule, orders=True)


def prepared(ticks: Ticks, rule: Rule, *, orders: bool) -> Prepared:
    from hftbacktest import BUY_EVENT, EXCH_EVENT, LOCAL_EVENT, TRADE_EVENT
    from hftbacktest.types import event_dtype

    base_ns = int(ticks.ts_ns[0]) // SECOND * SECOND
    times = ticks.ts_ns - base_ns
    if orders:
        times = in_64ths(times)
    events = np.zeros(len(ticks), event_dtype)
    events["ev"] = TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT | BUY_EVENT
    events["exch_ts"] = events["local_ts"] = times
    events["px"] = ticks.price_ticks * TICK_SIZE
    events["qty"] = ticks.size_lots
    if orders:
        events = with_depth(events, ticks)
    return Prepared(events, prepare_kernel(ticks, rule).rule, len(ticks), base_ns, orders)


def in_64ths(times: Int64s) -> Int64s:
    """Return times in 64ths of a nanosecond, each trade of one instant one unit after the one before."""
    first_of_instant = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
    rank = np.arange(len(times)) - np.repeat(first_of_instant, np.diff(first_of_instant, append=len(times)))
    if rank.max() >= 1 << ORDER_SHIFT:
        raise ValueError("more than 64 trades in one instant")
    return (times << ORDER_SHIFT) + rank


def with_depth(trades: Any, ticks: Ticks) -> Any:
    """Put the depth updates that move bid and ask before each trade that finds them moved, at the trade's time."""
    from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT

    blocks = [trades]
    places = [np.arange(len(trades)) * 8 + 7]
    for side, prices, order in ((BUY_EVENT, ticks.bid_ticks, 0), (SELL_EVENT, ticks.ask_ticks, 1)):
        moved = np.flatnonzero(np.diff(prices, prepend=0))
        gone, come = trades[moved].copy(), trades[moved].copy()
        gone["ev"] = come["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
        come["px"], come["qty"] = prices[moved] * TICK_SIZE, 1_000_000
        gone["px"], gone["qty"] = np.concatenate([prices[moved[:1]], prices[moved[:-1]]]) * TICK_SIZE, 0
        blocks += [gone, come]
        places += [moved * 8 + order, moved * 8 + 2 + order]
    return np.concatenate(blocks)[np.argsort(np.concatenate(places), kind="stable")]


def run(job: Prepared) -> Trades:
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

    asset = (
        BacktestAsset()
        .data(job.events)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0, 0)
        .tick_size(TICK_SIZE)
        .lot_size(1)
        .last_trades_capacity(256)
    )
    backtest = HashMapMarketDepthBacktest([asset])
    trades = np.zeros((job.n_ticks, 6), np.int64)
    count = strategy()(backtest, job.rule, trades, job.orders, ORDER_SHIFT if job.orders else 0)
    backtest.close()
    result = trades_from_rows(trades[:count])
    result.entry_ts_ns.__iadd__(job.base_ns)
    result.exit_ts_ns.__iadd__(job.base_ns)
    return result


@cache
def strategy() -> Callable[..., int]:
    """Compile the strategy (numba is only needed by those who run it)."""
    import numba
    from hftbacktest import GTC, MARKET

    @numba.njit
    def send(hbt: Any, order_id: int, buy: bool) -> Any:
        """Send a market order for one share, wait for its fill and return the fill's price in ticks."""
        if buy:
            hbt.submit_buy_order(0, order_id, 0.0, 1.0, GTC, MARKET, True)
        else:
            hbt.submit_sell_order(0, order_id, 0.0, 1.0, GTC, MARKET, True)
        price = hbt.orders(0).get(order_id).exec_price_tick
        hbt.clear_inactive_orders(0)
        return price

    @numba.njit
    def momentum_burst(hbt: Any, rule: Int64s, trades: Int64s, orders: bool, shift: int) -> int:
        window, surge_window, entry_ratio, guard, surge_factor, spike_factor = rule[:6]
        target, stop, time_stop, flat_candles, cooldown_signals = rule[6:11]
        n = len(trades)
        ts = np.empty(n, np.int64)
        px = np.empty(n, np.int64)
        qty = np.empty(n, np.int64)
        highs = np.empty(n + 1, np.int32)
        lows = np.empty(n + 1, np.int32)
        high_px = np.empty(n + 1, np.int64)
        low_px = np.empty(n + 1, np.int64)
        high_head = low_head = ZERO
        high_end = low_end = ZERO
        tail = surge_tail = ZERO
        volume = surge_volume = 0
        warm_at = 0
        i = -1

        side = state = cooldown = 0
        count = 0
        order_id = 0
        entry_ts = entry = 0
        low_limit = high_limit = 0
        time_due = candle_end = next_due = FAR
        candle_first = candle_last = flat_run = 0

        more = True
        while more:
            patience = FAR
            if orders and next_due < FAR:
                patience = (next_due << shift) - 1 - hbt.current_timestamp  # the last moment before the deadline
            woken = hbt.wait_next_feed(False, patience) if patience > 0 else TIMEOUT
            more = woken in (FEED, TIMEOUT)

            if woken == TIMEOUT and side != 0:
                reason = -1
                if time_due <= candle_end:
                    reason = TIME
                else:
                    flat_run = flat_run + 1 if candle_first == candle_last else 0
                    candle_first = candle_last = 0
                    if flat_run == flat_candles:
                        reason = FLAT
                    else:
                        candle_end += SECOND
                if reason >= 0:
                    order_id += 1
                    fill = send(hbt, order_id, side < 0)
                    row = trades[count]
                    row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, next_due, entry, fill, reason
                    if side * (fill - entry) < 0:
                        cooldown = cooldown_signals
                    count += 1
                    side = state = 0
                    time_due = candle_end = FAR
                next_due = min(time_due, candle_end)
                continue

            for event in hbt.last_trades(0):
                i += 1
                t = event.exch_ts >> shift
                p = int(event.px / TICK_SIZE + 0.5)
                q = int(event.qty)
                ts[i] = t
                px[i] = p
                qty[i] = q
                if i == 0:
                    warm_at = t + window

                volume += q
                surge_volume += q
                gone = t - window
                while ts[tail] <= gone:
                    volume -= qty[tail]
                    tail += ONE
                gone = t - surge_window
                while ts[surge_tail] <= gone:
                    surge_volume -= qty[surge_tail]
                    surge_tail += ONE
                while high_end > high_head and high_px[high_end - ONE] <= p:
                    high_end -= ONE
                highs[high_end] = i
                high_px[high_end] = p
                high_end += ONE
                while highs[high_head] < tail:
                    high_head += ONE
                while low_end > low_head and low_px[low_end - ONE] >= p:
                    low_end -= ONE
                lows[low_end] = i
                low_px[low_end] = p
                low_end += ONE
                while lows[low_head] < tail:
                    low_head += ONE

                # Without orders the timers are booked when the next trade shows that they have passed.
                while not orders and t >= next_due:
                    reason = -1
                    if time_due <= candle_end:
                        reason = TIME
                    else:
                        flat_run = flat_run + 1 if candle_first == candle_last else 0
                        candle_first = candle_last = 0
                        if flat_run == flat_candles:
                            reason = FLAT
                        else:
                            candle_end += SECOND
                    if reason >= 0:
                        fill = px[i - 1]
                        row = trades[count]
                        row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, next_due, entry, fill, reason
                        if side * (fill - entry) < 0:
                            cooldown = cooldown_signals
                        count += 1
                        side = state = 0
                        time_due = candle_end = FAR
                    next_due = min(time_due, candle_end)

                if side != 0:
                    if t >= candle_end - SECOND:
                        if candle_first == 0:
                            candle_first = p
                        candle_last = p
                    if p <= low_limit or p >= high_limit:
                        reason = SL if (p <= low_limit) == (side > 0) else TP
                        fill = p
                        if orders:
                            order_id += 1
                            fill = send(hbt, order_id, side < 0)
                        row = trades[count]
                        row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, t, entry, fill, reason
                        if side * (fill - entry) < 0:
                            cooldown = cooldown_signals
                        count += 1
                        side = state = 0
                        time_due = candle_end = next_due = FAR
                    continue

                oldest = px[tail]
                move = (p - oldest) * MILLION
                least = entry_ratio * oldest
                now_state = 0
                if (
                    (move >= least or move <= -least)
                    and surge_volume * surge_factor > volume * spike_factor
                    and (high_px[high_head] - low_px[low_head]) * MILLION >= guard * p
                    and t >= warm_at
                ):
                    now_state = 1 if move >= least else -1
                if now_state == state:
                    continue
                state = now_state
                if state == 0:
                    continue
                if cooldown > 0:
                    cooldown -= 1
                    continue
                side, entry_ts, entry = state, t, p
                if orders:
                    order_id += 1
                    entry = send(hbt, order_id, side > 0)
                if side > 0:
                    low_limit = entry * (MILLION - stop) // MILLION
                    high_limit = -((-entry * (MILLION + target)) // MILLION)
                else:
                    low_limit = entry * (MILLION - target) // MILLION
                    high_limit = -((-entry * (MILLION + stop)) // MILLION)
                flat_run = 0
                candle_first = candle_last = 0
                if time_stop > 0:
                    time_due = t + time_stop
                if flat_candles > 0:
                    candle_begin = -((-t) // SECOND) * SECOND
                    candle_end = candle_begin + SECOND
                    if candle_begin == t:
                        candle_first = candle_last = entry
                next_due = min(time_due, candle_end)
            hbt.clear_last_trades(0)

        if side != 0:
            row = trades[count]
            row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, ts[i], entry, px[i], END
            count += 1
        return count

    return momentum_burst
