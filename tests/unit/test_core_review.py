"""What the core owes at its corners: one rule's trouble stays its own, and what is refused leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random

import numpy as np
import pytest

from engine import _program
from engine._core import ALARM, BOUNDARY, ENTRY, FLAT, FOREVER_NS, NONE, TIME, Core
from engine._program import Program
from tests.oracle.features import MAX_INPUT, MAX_TIME

SECOND = 10**9
GREATER = _program.COMPARISONS[">"]


def columns(*rows: tuple[int, ...]) -> list[np.ndarray]:
    return [np.array(column, np.int64) for column in zip(*rows, strict=True)]


def events(core: Core, event: int) -> list[tuple[int, int, int]]:
    """Every event from ``event`` on, as kind, lane and time."""
    seen = []
    while event != NONE:
        seen.append((event, core.event_lane, core.event_ts_ns))
        event = core.advance()
    return seen


def loaded(core: Core, *rows: tuple[int, ...], instrument: list[int] | None = None) -> list[tuple[int, int, int]]:
    core.load(*columns(*rows), None, None, None if instrument is None else np.array(instrument, np.uint16))
    return events(core, core.advance())


# ---------------------------------------------------------------- boundaries and what is refused


@pytest.mark.parametrize("cut", [0, -1, -(2**63)])
def test_a_boundary_at_or_before_the_epoch_lets_nothing_past_the_checks(cut):
    core = Core([Program()])
    core.set_cut(cut)
    assert loaded(core, (-5, 1, 1), (10, 1, 1), (MAX_TIME + 7, 1, 1)) == [(BOUNDARY, -1, cut)]
    assert (core.trades_seen, core.rejected_time, core.engine_ts_ns) == (1, 2, 10)


REFUSED = [(0, 0, 1), (0, 5, 0), (0, MAX_INPUT + 1, 1), (0, 5, MAX_INPUT + 1), (7, 5, 1)]


@pytest.mark.parametrize(
    ("how", "instrument", "price", "size"),
    [(how, *row) for how in ("pushed", "columns", "plain columns") for row in REFUSED[: 4 if "plain" in how else 5]],
)
def test_a_refused_record_neither_moves_time_nor_fires_a_boundary(how, instrument, price, size):
    core = Core([Program()])
    core.set_cut(1000)
    assert core.push(0, 10, 5, 1) == NONE
    if how == "pushed":
        seen = events(core, core.push(instrument, 2000, price, size))
    elif how == "columns":
        seen = loaded(core, (2000, price, size), instrument=[instrument])
    else:
        seen = loaded(core, (2000, price, size))
    assert seen == []
    assert (core.engine_ts_ns, core.next_deadline_ns, core.price(0)) == (10, 1000, 5)
    assert core.rejected_price + core.rejected_size + core.rejected_instrument == 1
    assert events(core, core.push(0, 1500, 6, 1)) == [(BOUNDARY, -1, 1000)]
    assert (core.engine_ts_ns, core.price(0)) == (1500, 6)


def test_refused_records_before_and_after_a_boundary_are_each_counted_once():
    core = Core([Program()])
    core.set_cut(1000)
    rows = [(10, 5, 1), (1001, 0, 1), (20, 6, 1), (1002, 5, 0), (1003, 7, 1), (1004, 0, 1)]
    assert loaded(core, *rows) == [(BOUNDARY, -1, 1000)]
    assert (core.trades_seen, core.rejected_price, core.rejected_size, core.late) == (3, 2, 1, 0)


def test_an_overdue_alarm_waits_for_a_record_that_counts():
    core = Core([Program()])
    core.push(0, 10, 5, 1)
    core.set_alarm(5)
    assert core.push(0, 20, 0, 1) == NONE
    assert loaded(core, (20, 0, 1)) == []
    assert [event for event, *_ in events(core, core.push(0, 30, 5, 1))] == [ALARM]


# ---------------------------------------------------------------- windows that are cut short


def rising(program: Program) -> int:
    """The state of a rule that needs only the last two trades."""
    first = program.first_price(program.window_count(2))
    return program.state(program.compare([(1, (_program.PRICE_COLUMN,)), (-1, (first,))], GREATER, True), -1)


def crowded(program: Program, window_ns: int) -> int:
    """The state of a rule that holds whenever its time window does."""
    count = program.count(program.window_time(window_ns))
    return program.state(program.compare([(1, (count,))], GREATER, True), -1)


def test_a_window_cut_short_silences_only_the_rules_that_use_it():
    program = Program(max_window=10)
    alone = Program(max_window=10)
    silent, heard, unshared = crowded(program, 10**12), rising(program), rising(alone)
    core, other = Core([program]), Core([alone])
    core.add_lane(0, heard, 0)
    core.add_lane(0, silent, 0, 11)
    other.add_lane(0, unshared, 0)
    rows = [(SECOND * i, 100 + i * (-1) ** i, 1) for i in range(1, 31)]
    found = loaded(core, *rows)
    assert found == loaded(other, *rows)
    assert len(found) == 15
    assert {lane for _, lane, _ in found} == {0}
    assert (core.ring(0)[2], other.ring(0)[2]) == (20, 0)


def test_a_trade_is_counted_once_however_many_windows_are_cut_short_at_it():
    program = Program(max_window=10)
    for window_ns in (10**12, 2 * 10**12, 3):
        crowded(program, window_ns)
    core = Core([program])
    for i in range(30):
        core.push(0, SECOND * i, 100, 1)
    assert core.ring(0)[2] == 20


def test_rules_beyond_the_64th_window_are_still_silenced():
    program = Program(max_window=10)
    states = [crowded(program, 10**12 + i) for i in range(70)]
    states.append(rising(program))
    core = Core([program])
    for state in states:
        core.add_lane(0, state, 0, 11)
    found = loaded(core, *[(SECOND * i, 100 + i, 1) for i in range(30)])
    assert [lane for _, lane, _ in found] == [70]


def test_a_session_that_overflows_silences_only_the_rules_that_use_it():
    program = Program()
    size, worth, _, _ = program.session()
    above = program.compare([(1, (worth,)), (-1, (size,))], _program.COMPARISONS[">="])
    states = rising(program), program.state(above, -1)
    core = Core([program])
    core.add_lane(0, states[0], 0)
    core.add_lane(0, states[1], 0, 2**21 + 5)
    n = 2**21 + 10
    prices = np.full(n, 77, np.int64)
    prices[-1] = 78
    core.load(np.arange(n), prices, np.full(n, MAX_INPUT, np.int64))
    assert events(core, core.advance()) == [(ENTRY, 0, n - 1)]
    assert core.ring(0)[2] > 0


# ---------------------------------------------------------------- programs


def test_columns_are_checked_before_they_are_read():
    program = Program()
    for column in (10**6, -1, -(10**6), 2**31 - 1):
        for build in (
            lambda column=column: program.compare([(1, (column,))], GREATER),
            lambda column=column: program.compare([(1, (column, _program.PRICE_COLUMN))], GREATER),
            lambda column=column: program.ratio([(1, (_program.PRICE_COLUMN,))], [(1, (column,))]),
            lambda column=column: program.session_sd(column),
        ):
            with pytest.raises(ValueError, match="column"):
                build()
        assert not program.column_is_exact_int(column)


def test_a_session_deviation_needs_the_session():
    program = Program()
    for column in (_program.PRICE_COLUMN, _program.ASK_COLUMN):
        with pytest.raises(ValueError, match="session"):
            program.session_sd(column)
    size, worth, *_ = program.session()
    for column in (worth, _program.ASK_COLUMN):
        with pytest.raises(ValueError, match="session"):
            program.session_sd(column)
    deviation = program.session_sd(size)
    core = Core([program])
    assert loaded(core, (1, 10, 1), (2, 20, 1)) == []
    assert core.value(0, deviation) == 5.0


def test_the_session_is_summed_once_however_often_it_is_asked_for():
    program = Program()
    size, *_ = program.session()
    assert program.session()[0] == size
    core = Core([program])
    core.push(0, 1, 10, 3)
    assert core.value(0, size) == 3


def test_programs_cannot_be_taken_from_under_a_core():
    program = Program()
    assert Core([program]).programs == (program,)


# ---------------------------------------------------------------- memory

IN_A_CYCLE = """
import gc
from engine._core import Core
from engine._program import Program

gc.disable()
for _ in range(5):
    core = Core([Program()])
    core.set_callback(lambda *record, core=core: None)
    del core
print(gc.collect() > 0)
"""


def test_a_core_in_a_cycle_keeps_its_programs_until_it_is_gone():
    """The collector may not take the graphs away first; with what is freed overwritten, a look at one would show."""
    overwritten = os.environ | {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "17"}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CYCLE], env=overwritten, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n")


STARVED = """
import resource, sys
from engine._core import Core
from engine._program import Program

def build():
    program = Program()
    window = program.window_time(10**15)
    size, worth, squares = program.sum_size(window), program.sum_price_size(window), program.sum_price_squared(window)
    read = [program.first_price(window), program.count(window), size, worth, squares, *program.extremes(window)]
    return Core([program]), read

def trade(core, i):
    return core.push(0, 10**9 + i, 1000 + (i * 7) % 50, 1 + i % 3)

spare, n = int(sys.argv[1]), 70_000
plenty, read = build()
for i in range(n):
    trade(plenty, i)
expected = [plenty.value(0, column) for column in read]
del plenty
core, read = build()
for i in range(n - 40_000):
    trade(core, i)
with open("/proc/self/statm") as pages:
    used = int(pages.read().split()[0]) * resource.getpagesize()
limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + spare, limits[1]))
failed = 0
for i in range(n - 40_000, n):
    try:
        trade(core, i)
    except MemoryError:
        failed += 1
        resource.setrlimit(resource.RLIMIT_AS, limits)
        trade(core, i)
print(failed, [core.value(0, column) for column in read] == expected, core.trades_seen == n)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space by RLIMIT_AS")
@pytest.mark.parametrize("spare", [0, 1 << 20, 3 << 19, 2 << 20, 3 << 20, 4 << 20])
def test_a_ring_that_cannot_grow_stays_as_it_was(spare):
    """Between no array and all but one find room; the trade is then given again, and nothing is missing."""
    done = subprocess.run([sys.executable, "-c", STARVED, str(spare)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 True True\n"


# ---------------------------------------------------------------- candles


def in_position(lanes: int, flat_candles: int, deadline_ns: int, entry_ts_ns: int) -> Core:
    """A core whose lanes have all entered at ``entry_ts_ns`` and are watched for candles and a deadline."""
    program = Program()
    state = program.state(program.compare([(1, (_program.PRICE_COLUMN,))], GREATER, True), -1)
    core = Core([program])
    for _ in range(lanes):
        core.add_lane(0, state, 0)
    event = core.push(0, entry_ts_ns, 100, 1)
    while event != NONE:
        assert event == ENTRY
        core.open_lane(core.event_lane, 1, 1, 10**9, deadline_ns, flat_candles, entry_ts_ns, 100)
        event = core.advance()
    return core


@pytest.mark.timeout(120)  # second by second, these years would take the better part of an hour
@pytest.mark.parametrize("early", [0, SECOND])
def test_years_without_a_trade_are_not_walked_second_by_second(early):
    entry, candles, lanes = 5 * SECOND, 2**31 - 1, 300
    due = entry + candles * SECOND
    core = in_position(lanes, candles, due + SECOND - 2 * early, entry)
    found = events(core, core.push(0, MAX_TIME, 100, 1))
    assert found == [(TIME if early else FLAT, lane, due - early) for lane in range(lanes)]


def candle_exit(trades: list[tuple[int, int]], entry: int, candles: int, deadline: int, end: int) -> tuple[int, int]:
    """When and how the position closes, candle by candle."""
    start, run = -(-entry // SECOND) * SECOND, 0
    while True:
        close = start + SECOND
        if deadline <= min(close, end):
            return TIME, deadline
        if close > end:
            return NONE, 0
        prices = [price for ts, price in trades if start <= ts < close]
        if start == entry:
            prices.insert(0, 100)
        run = run + 1 if not prices or prices[0] == prices[-1] else 0
        if run >= candles:
            return FLAT, close
        start = close


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("how", ["pushed", "loaded"])
def test_empty_candles_count_as_if_each_had_been_looked_at(seed, how):
    rng = Random(seed)
    entry = 50 * SECOND + rng.choice([0, 1, SECOND - 1])
    gaps = [0, 1, SECOND - 1, SECOND, SECOND + 1, 3 * SECOND, 7 * SECOND - 1, 40 * SECOND]
    trades, ts = [], entry
    for _ in range(30):
        ts += rng.choice(gaps)
        trades.append((ts, rng.choice([100, 101])))
    candles = rng.choice([1, 2, 3, 8, 39, 40, 41, 100])
    deadline = rng.choice([FOREVER_NS, entry + rng.randrange(1, 200) * SECOND // 2, ts - 1, ts])
    core = in_position(1, candles, deadline, entry)
    found = []
    for batch in [trades] if how == "loaded" else [[trade] for trade in trades]:
        core.load(*columns(*[(ts, price, 1) for ts, price in batch]))
        event = core.advance()
        while event != NONE:
            found.append((event, core.event_ts_ns))
            event = core.advance()
    expected = candle_exit(trades, entry, candles, deadline, ts)
    assert found == ([] if expected[0] == NONE else [expected])
