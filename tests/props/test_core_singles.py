"""A stream of plain trades evaluated one at a time is the same as one evaluated in blocks: every event and column.

Without quotes the core goes from trade to trade by a shorter way (``Core.pass_plain_trades``); what fires, what is
refused or late, alarms, boundaries and open positions all make it leave that way and come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine._core import ALARM, BOUNDARY, ENTRY, FOREVER_NS, NONE, STOP, TARGET, TIME, Core
from engine._program import COMPARISONS, Program

SECOND = 1_000_000_000
AT_LEAST, MORE = COMPARISONS[">="], COMPARISONS[">"]

Tick = tuple[int, int, int]
"""Nanoseconds since the tick before (below 0: late), price, size; a price or size of 0 is refused."""

ticks = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 300_000_000, SECOND, 4 * SECOND, -5]),
        st.sampled_from([100, 101, 101, 102, 103, 104, 0]),
        st.sampled_from([1, 1, 2, 7, 0]),
    ),
    min_size=1,
    max_size=1_400,
)
sizes = st.lists(st.sampled_from([1, 1, 1, 2, 511, 512]), min_size=1, max_size=8)


def graph() -> tuple[Program, int]:
    """Windows of both kinds, everything over them that has a step of its own, and a rule; returns its state column."""
    program = Program(max_window=300)
    long, short, count = program.window_time(5 * SECOND), program.window_time(SECOND), program.window_count(7)
    first, volume = program.first_price(long), program.sum_size(long)
    high, low = program.extremes(long)
    burst, value = program.sum_size(short), program.sum_price_size(long)
    total, squares = program.sum_price(count), program.sum_price_squared(long)
    trades = program.count(short)
    average = program.ratio([(1, (value,))], [(3, (volume,))])
    variance = program.ratio([(1, (squares, trades)), (-1, (total, total))], [(1, (trades, trades))])
    program.float_op("/", average, program.float_const(4.0))
    program.float_op("sqrt", variance)
    program.ratio([(1, (0,)), (-1, (first,))], [(1, (first,))], narrow=True)
    rises = program.compare([(1, (0,)), (-1, (first,))], MORE, narrow=True)
    wide = program.compare([(1, (high,)), (-1, (low,)), (-2, ())], AT_LEAST, narrow=True)
    busy = program.compare([(5, (burst,)), (-1, (volume,))], MORE)
    above = program.compare([(1, (0, volume)), (-1, (value,))], MORE)
    below = program.compare([(1, (value,)), (-1, (0, volume))], MORE)
    falls = program.compare([(-1, (0,)), (1, (first,)), (0, (trades,))], AT_LEAST, narrow=True)
    buys = program.all_of(program.all_of(rises, wide), busy, above)
    sells = program.all_of(program.any_of(falls, busy), below)
    return program, program.state(buys, sells)


def loaded(core: Core, stream: Sequence[Tick]) -> None:
    late = np.array([tick[0] for tick in stream])
    ts = 1_000 * SECOND + np.cumsum(np.maximum(late, 0)) + np.minimum(late, 0)
    core.load(ts, np.array([tick[1] for tick in stream]), np.array([tick[2] for tick in stream]))


def history(stream: Sequence[Tick], blocks: Sequence[int], alarm: int) -> list[Any]:
    """Everything that can be seen at every event, answering each in one way; ``blocks`` take turns at each event."""
    program, state = graph()
    core = Core([program])
    core.add_lane(0, state, SECOND)
    core.set_alarm(1_000 * SECOND + alarm)
    core.set_cut(1_000 * SECOND + 3 * alarm)
    core.set_block(blocks[0])
    loaded(core, stream)
    seen: list[Any] = []

    def look() -> None:
        columns = [repr(core.value(0, column)) for column in range(program.columns)]
        seen.append((core.event, core.event_ts_ns, core.engine_ts_ns, core.event_record_number, core.price(0), columns))

    event = core.advance()
    while event != NONE:
        look()
        if event == ENTRY:
            side, price = (1 if core.event_state == 1 else -1), core.price(0)
            core.open_lane(0, side, price - 2 * side, price + 2 * side, core.event_ts_ns + 9 * SECOND)
            core.set_holding(0, side if len(seen) % 3 == 0 else 0, 1, price)
        elif event in (STOP, TARGET, TIME):
            core.close_lane(0)
            core.set_holding(0, 0, 1, 0)
        elif event == ALARM:
            core.set_alarm(core.event_ts_ns + 7 * alarm if len(seen) < 40 else FOREVER_NS)
        elif event == BOUNDARY:
            core.restart_windows(0)
        core.set_block(blocks[len(seen) % len(blocks)])
        event = core.advance()
    look()
    return [*seen, core.trades_seen, core.late, core.rejected, core.ring(0)[2], core.warm_since(0)]


@given(ticks, sizes, st.integers(1, 30 * SECOND))
@settings(max_examples=120, deadline=None)
def test_blocks_of_one_are_like_any_others(stream: list[Tick], blocks: list[int], alarm: int) -> None:
    expected = history(stream, [512], alarm)
    assert history(stream, [1], alarm) == expected
    assert history(stream, blocks, alarm) == expected


def test_the_stream_fires_and_is_cut() -> None:
    """The rule enters, exits and meets alarms and a boundary, or the test above would compare silence."""
    random = np.random.default_rng(3)
    prices = np.clip(100 + np.cumsum(random.integers(-1, 2, 1_200)), 95, 106)
    stream = [(int(gap), int(price), 1) for gap, price in zip(random.integers(0, SECOND, 1_200), prices, strict=True)]
    seen = {event[0] for event in history(stream, [1], 20 * SECOND) if isinstance(event, tuple) and len(event) == 6}
    assert seen >= {NONE, ENTRY, STOP, TARGET, ALARM, BOUNDARY}
