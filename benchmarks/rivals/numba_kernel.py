"""The yardstick: the bare rule as one hand-written numba loop over the columns.

What it may leave out makes it fast, and is named here: times must be in order (no late records), the whole day is in
memory so that windows are just indices into the columns, there is no account, no risk limit, no order and no money,
only the trades. Everything the rule compares is exact all the same: 64-bit integers hold the cross products for these
prices and sizes, and stop and target are turned into limit prices once per trade.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.rivals.common import Int64s, Rule, Ticks, Trades, missing, trades_from_rows

SECOND = 1_000_000_000
MILLION = 1_000_000
SL, TP, TIME, FLAT, END = range(5)
FAR = np.iinfo(np.int64).max
# Unsigned indices spare numba the check for negative ones: 20 % of the whole loop.
ZERO, ONE = np.uint64(0), np.uint64(1)


class Prepared(NamedTuple):
    """Arguments of the kernel, and room for its trades."""

    ts: Int64s
    px: Int64s
    qty: Int64s
    rule: Int64s
    trades: Int64s


def unavailable() -> str:
    return missing("numba")


def prepare(ticks: Ticks, rule: Rule) -> Prepared:
    if (np.diff(ticks.ts_ns) < 0).any():
        raise ValueError("the numba kernel needs times in order")
    unit = np.gcd(rule.window_ns, rule.surge_window_ns)
    settings = [
        rule.window_ns,
        rule.surge_window_ns,
        rule.entry_per_million,
        rule.guard_per_million,
        # surge > spike, multiplied out: V_s * window * 10^6 > spike * V_w * surge_window, in the smallest whole numbers
        *reduced(rule.window_ns // unit * MILLION, rule.spike_per_million * (rule.surge_window_ns // unit)),
        rule.target_per_million,
        rule.stop_per_million,
        rule.time_stop_ns,
        rule.flat_candles,
        rule.cooldown_signals,
    ]
    room = np.zeros((len(ticks), 6), np.int64)
    return Prepared(ticks.ts_ns, ticks.price_ticks, ticks.size_lots, np.array(settings, np.int64), room)


def reduced(a: int, b: int) -> tuple[int, int]:
    divisor = int(np.gcd(a, b))
    return a // divisor, b // divisor


def run(prepared: Prepared) -> Trades:
    count, _skipped = compiled()(*prepared)
    return trades_from_rows(prepared.trades[:count])


@cache
def compiled() -> Callable[..., tuple[int, int]]:
    """Compile the kernel (numba is only needed by those who run it)."""
    import numba

    @numba.njit(nogil=True)
    def kernel(ts: Int64s, px: Int64s, qty: Int64s, rule: Int64s, trades: Int64s) -> Any:
        """Fill ``trades`` with (side, entry ts, exit ts, entry, exit, reason); return their number and the skipped."""
        window, surge_window, entry_ratio, guard, surge_factor, spike_factor = rule[:6]
        target, stop, time_stop, flat_candles, cooldown_signals = rule[6:11]
        n = len(ts)
        # Ticks that may still become the highest or lowest: their prices and their indices. Never empty.
        high_px = np.empty(n + 1, np.int64)
        low_px = np.empty(n + 1, np.int64)
        highs = np.empty(n + 1, np.int32)
        lows = np.empty(n + 1, np.int32)
        high_head = low_head = ZERO
        high_end = low_end = ZERO
        tail = surge_tail = ZERO
        volume = surge_volume = 0
        warm_at = ts[0] + window

        side = state = cooldown = 0
        count = skipped = 0
        entry_ts = entry = 0
        low_limit = high_limit = 0
        time_due = candle_end = next_due = FAR
        candle_first = candle_last = flat_run = 0  # a first price of 0: no trade yet

        for i in range(n):
            t = ts[i]
            p = px[i]
            q = qty[i]

            # The windows.
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

            # Timers due before this tick, at their deadlines and the last price.
            while t >= next_due:
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
                    row = trades[count]
                    row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, next_due, entry, px[i - 1], reason
                    if side * (px[i - 1] - entry) < 0:
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
                    row = trades[count]
                    row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, t, entry, p, reason
                    if side * (p - entry) < 0:
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
                skipped += 1
                continue
            side, entry_ts, entry = state, t, p
            # Stop and target as limit prices, rounded towards what the exact comparison allows.
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
                    candle_first = candle_last = p
            next_due = min(time_due, candle_end)

        if side != 0:
            row = trades[count]
            row[0], row[1], row[2], row[3], row[4], row[5] = side, entry_ts, ts[n - 1], entry, px[n - 1], END
            count += 1
        return count, skipped

    return kernel
