"""The named parameter sets of the golden files: the page's defaults, and six that trade often on recorded data.

Together they exercise every exit reason, both single directions, each timer switched off, windows that are no whole
seconds, every length of cooldown up to five signals, and a loss limit that is reached.
"""

from __future__ import annotations

from fractions import Fraction

from tests.oracle.momentum_burst import SECOND_NS, Params

PARAMETER_SETS: dict[str, Params] = {
    "default": Params(),
    "short_window": Params(
        window_ns=5 * SECOND_NS,
        surge_window_ns=SECOND_NS // 2,
        entry_threshold=Fraction("0.0002"),
        guard=Fraction("0.0002"),
        profit_target=Fraction("0.0006"),
        stop_loss=Fraction("0.0003"),
    ),
    "nervous": Params(
        window_ns=3 * SECOND_NS,
        surge_window_ns=SECOND_NS // 4,
        entry_threshold=Fraction("0.0001"),
        guard=Fraction("0.0001"),
        volume_spike=Fraction("2.5"),
        profit_target=Fraction("0.0004"),
        stop_loss=Fraction("0.0004"),
        time_stop_ns=3 * SECOND_NS,
        flat_candles=0,
        cooldown_signals=0,
    ),
    "candles_only": Params(
        window_ns=10 * SECOND_NS,
        surge_window_ns=2 * SECOND_NS,
        entry_threshold=Fraction("0.0003"),
        guard=Fraction("0.0003"),
        volume_spike=Fraction("1.2"),
        profit_target=Fraction("0.002"),
        stop_loss=Fraction("0.001"),
        time_stop_ns=0,
        flat_candles=3,
        cooldown_signals=1,
    ),
    "odd_times_long": Params(
        window_ns=7_777_777_777,
        surge_window_ns=1_333_333_333,
        entry_threshold=Fraction("0.00015"),
        guard=Fraction("0.00025"),
        volume_spike=Fraction("1.75"),
        profit_target=Fraction("0.0005"),
        stop_loss=Fraction("0.00025"),
        time_stop_ns=4_444_444_444,
        flat_candles=1,
        cooldown_signals=3,
        direction="long",
    ),
    "short_no_timers": Params(
        window_ns=20 * SECOND_NS,
        entry_threshold=Fraction("0.0001"),
        guard=Fraction("0.0002"),
        volume_spike=Fraction(3),
        profit_target=Fraction("0.0003"),
        stop_loss=Fraction("0.0002"),
        time_stop_ns=0,
        flat_candles=0,
        cooldown_signals=5,
        direction="short",
    ),
    "small_purse": Params(
        window_ns=5 * SECOND_NS,
        surge_window_ns=SECOND_NS // 2,
        entry_threshold=Fraction("0.0002"),
        guard=Fraction("0.0002"),
        profit_target=Fraction("0.003"),
        stop_loss=Fraction("0.002"),
        time_stop_ns=60 * SECOND_NS,
        flat_candles=0,
        daily_loss_limit=Fraction("0.01"),
        starting_cash=Fraction(100),
    ),
}
