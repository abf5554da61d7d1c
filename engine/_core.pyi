"""Types of the tick core."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from engine._program import Program

NONE: int
ENTRY: int
STOP: int
TARGET: int
TIME: int
FLAT: int
RISK: int
ALARM: int
BOUNDARY: int
CALLBACK: int
OPPOSITE: int
FILL: int
WHEN: int

RESTS_LIMIT: int
RESTS_STOP: int
RESTS_WATCH: int

LAST: int
TOUCH: int
THROUGH: int
QUEUE: int
WORST: int

DECLARED: int
DECAYED: int
EVEN: int
TRAILING: int

FOREVER_NS: int
BLOCK_TRADES: int

def divide(numerator: int, denominator: int) -> float: ...

@final
class Core:
    """Runs programs over a stream of records and stops at each event."""

    programs: tuple[Program, ...]
    engine_ts_ns: int
    event: int
    event_lane: int
    event_instrument: int
    event_state: int
    event_stop: int
    event_order: int
    event_lots: int
    event_ts_ns: int
    callback: Callable[[int, int, int, int], Any] | None
    callback_result: Any
    trades_seen: int
    quotes_seen: int
    late: int
    rejected_price: int
    rejected_size: int
    rejected_instrument: int
    rejected_time: int
    @property
    def rejected(self) -> int: ...
    def __new__(cls, programs: Sequence[Program]) -> Self: ...
    def add_lane(self, instrument: int, state_column: int, warm_ns: int, warm_trades: int = 0) -> int: ...
    def set_block(self, records: int) -> None: ...
    def tap(self, instrument: int, column: int, out: NDArray[np.uint8], skip: int = 0) -> None: ...
    def untap(self) -> None: ...
    def set_callback(self, callback: Callable[[int, int, int, int], Any] | None) -> None: ...
    def load(
        self,
        ts_ns: NDArray[np.int64],
        price_ticks: NDArray[np.int64],
        size_lots: NDArray[np.int64],
        bid_ticks: NDArray[np.int64] | None = None,
        ask_ticks: NDArray[np.int64] | None = None,
        instrument: NDArray[np.uint16] | None = None,
        kind: NDArray[np.uint8] | None = None,
        bid_lots: NDArray[np.int64] | None = None,
        ask_lots: NDArray[np.int64] | None = None,
        open_ticks: NDArray[np.int64] | None = None,
        high_ticks: NDArray[np.int64] | None = None,
        low_ticks: NDArray[np.int64] | None = None,
        start_ns: NDArray[np.int64] | None = None,
    ) -> None: ...
    def advance(self) -> int: ...
    def push(
        self,
        instrument: int,
        ts_ns: int,
        price_ticks: int,
        size_lots: int,
        bid_ticks: int = 0,
        ask_ticks: int = 0,
        bid_lots: int = 0,
        ask_lots: int = 0,
    ) -> int: ...
    def push_after_boundary(self, instrument: int, *values: int) -> int: ...
    def pass_time(self, ts_ns: int) -> int: ...
    def open_lane(
        self,
        lane: int,
        side: int,
        stop_ticks: int,
        target_ticks: int,
        deadline_ns: int = ...,
        flat_candles: int = 0,
        entry_ts_ns: int = 0,
        first_price_ticks: int = 0,
    ) -> None: ...
    def manage_lane(
        self,
        lane: int,
        best_ticks: int,
        entry_ts_ns: int,
        *,
        decay_ticks: int = 0,
        decay_ns: int = 0,
        even_from: int | None = None,
        even_ticks: int = 0,
        trail_from: int | None = None,
        trail_ticks: int = 0,
        trail_share: int = 0,
        trail_scale: int = 1,
        opposite: int = 0,
        when_column: int = -1,
    ) -> None: ...
    def go_on(self, lane: int, target_ticks: int) -> None: ...
    def stop_of(self, lane: int) -> int: ...
    def close_lane(self, lane: int) -> None: ...
    def hold_lane(self, lane: int) -> None: ...
    def resume_lane(self, lane: int) -> None: ...
    def rest(
        self,
        order: int,
        instrument: int,
        kind: int,
        model: int,
        side: int,
        price_ticks: int,
        lots: int,
        is_exit: bool = False,
    ) -> None: ...
    def resize(self, order: int, lots: int) -> None: ...
    def withdraw(self, order: int) -> None: ...
    def worst_quote(self, order: int) -> tuple[int, int]: ...
    def restart_windows(self, instrument: int) -> None: ...
    def begin_session(
        self,
        instrument: int,
        is_open: bool = True,
        open_ns: int = 0,
        close_ns: int = ...,
        midnight_ns: int = 0,
        week: int = 0,
    ) -> None: ...
    def set_cut(self, ts_ns: int) -> None: ...
    def set_alarm(self, ts_ns: int) -> None: ...
    def set_account(self, equity: int, floor: int | None = None) -> None: ...
    def limit_drawdown(self, share: int = 0, scale: int = 0) -> None: ...
    def book(self, instrument: int, lots: int, unit: int, price_ticks: int | Fraction, costs: int) -> None: ...
    def set_holding(self, instrument: int, lots: int, unit: int, mark_ticks: int) -> None: ...
    @property
    def event_record_number(self) -> int: ...
    @property
    def next_deadline_ns(self) -> int: ...
    @property
    def equity(self) -> int: ...
    @property
    def drawdown(self) -> int: ...
    @property
    def drawdown_reached(self) -> bool: ...
    @property
    def peak(self) -> int: ...
    @property
    def high(self) -> int: ...
    def price(self, instrument: int) -> int: ...
    def quote(self, instrument: int) -> tuple[int, int]: ...
    def displayed(self, instrument: int) -> tuple[int, int]: ...
    def value(self, instrument: int, column: int) -> int | float | None: ...
    def warm_since(self, instrument: int) -> tuple[int, int]: ...
    def ring(self, instrument: int) -> tuple[int, int, int]: ...
