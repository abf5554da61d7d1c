"""The core at the edges of its inputs: what is refused is counted, what is taken is exact, what is cut is flagged."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from engine import _program
from engine._core import BLOCK_TRADES, ENTRY, NONE, Core
from engine._program import MAX_WINDOW_TRADES, Program
from tests.oracle.features import MAX_INPUT, MAX_TIME, Market, Stream

EDGES = [0, 1, -1, MAX_INPUT, MAX_INPUT + 1, 2**62, 2**63 - 1, -(2**63)]
TIMES = [0, 1, MAX_TIME, MAX_TIME + 1, 2**63 - 1, -1, -(2**63)]


def counters(core: Core) -> dict[str, int]:
    return {
        "instrument": core.rejected_instrument,
        "time": core.rejected_time,
        "price": core.rejected_price,
        "size": core.rejected_size,
    }


def every_edge() -> list[list[int]]:
    """Rows of ``[ts, price, size, bid, ask, instrument, kind]``: one field at an edge, then two."""
    plain = [5, 100, 10, 99, 101, 0, 0]
    fields = {0: TIMES, 1: EDGES, 2: EDGES, 3: EDGES, 4: EDGES, 5: [0, 1, 65535], 6: [0, 1, 255]}
    rows = [plain]
    for field, values in fields.items():
        for value in values:
            row = list(plain)
            row[field] = value
            rows.append(row)
            for other in range(field + 1, 7):
                rows.append([row[i] if i != other else fields[other][-1] for i in range(7)])
    return rows


def load(core: Core, rows: list[list[int]]) -> None:
    ts, price, size, bid, ask, instrument, kind = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    core.load(ts, price, size, bid, ask, instrument.astype(np.uint16), kind.astype(np.uint8))


@pytest.mark.parametrize("row", every_edge(), ids=str)
def test_each_record_is_taken_or_counted_by_its_reason(row):
    stream = Stream([Market()])
    ts, price, size, bid, ask, instrument, kind = row
    taken = stream.take(instrument, ts, price, size, bid, ask, quote=bool(kind))
    core = Core([Program()])
    load(core, [row])
    assert core.advance() == NONE
    assert counters(core) == stream.rejected
    assert (core.trades_seen, core.quotes_seen) == (len(stream.markets[0].trades), stream.quotes)
    assert core.engine_ts_ns == (ts if taken else -(2**63)), "a refused record does not move the clock"
    if kind == 0:
        pushed = Core([Program()])
        assert pushed.push(instrument, ts, price, size, bid, ask) == NONE
        assert counters(pushed) == stream.rejected
        assert pushed.trades_seen == taken
        if (bid, ask, instrument) == (0, 0, 0) or row[3:] == [99, 101, 0, 0]:
            plain = Core([Program()])
            columns = [np.array([value], np.int64) for value in (ts, price, size, bid, ask)]
            plain.load(*columns)
            assert plain.advance() == NONE
            assert counters(plain) == stream.rejected


def test_refused_records_leave_no_trace_between_good_ones():
    rows = [row for edge in every_edge() for row in (edge, [7, 101, 3, 0, 0, 0, 0])]
    rows = [row for row in rows if row[0] <= 7]  # times near the bound would make everything after them late
    stream, program = Stream([Market()]), Program()
    window = program.window_count(50)
    size, worth = program.sum_size(window), program.sum_price_size(window)
    core = Core([program])
    for ts, price, lots, bid, ask, instrument, kind in rows:
        stream.take(instrument, ts, price, lots, bid, ask, quote=bool(kind))
    load(core, rows)
    assert core.advance() == NONE
    trades = stream.markets[0].count_window(50)
    assert counters(core) == stream.rejected
    assert all(stream.rejected.values())
    assert core.value(0, size) == sum(trade.size for trade in trades)
    assert core.value(0, worth) == sum(trade.size * trade.price for trade in trades)
    assert core.quote(0) == (stream.markets[0].bid, stream.markets[0].ask)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, None, "1"])
def test_what_is_no_64_bit_integer_is_refused(value):
    core = Core([Program()])
    for place in range(6):
        record = [0, 5, 100, 10, 99, 101]
        record[place] = value
        with pytest.raises((OverflowError, TypeError)):
            core.push(*record)
    assert core.trades_seen == 0


@pytest.mark.parametrize("instrument", [-1, 1, 65536, 2**31 - 1])
def test_an_instrument_that_does_not_exist_is_counted_even_at_a_boundary(instrument):
    core = Core([Program()])
    core.set_cut(10)
    for ts in (5, 15):
        assert core.push(instrument, ts, 100, 1) == NONE
    assert core.rejected_instrument == 2


@pytest.mark.parametrize("ts", [-1, -(2**63), MAX_TIME + 1, 2**63 - 1])
def test_time_beyond_the_bound_does_not_pass(ts):
    core = Core([Program()])
    core.push(0, 5, 100, 1)
    core.set_cut(10)
    assert core.pass_time(ts) == NONE
    assert (core.rejected_time, core.engine_ts_ns) == (1, 5)
    assert core.push(0, 6, 100, 1) == NONE
    assert core.late == 0


def test_the_largest_sums_are_exact():
    """As many trades of the largest size and price as a window may hold."""
    n = MAX_WINDOW_TRADES
    program = Program()
    window = program.window_time(2**62)
    columns = [getattr(program, name)(window) for name in ("sum_size", "sum_price", "sum_price_size", "count")]
    squared = program.sum_price_squared(window)
    most = np.full(n, MAX_INPUT, np.int64)
    core = Core([program])
    core.load(np.arange(n), most, most)
    assert core.advance() == NONE
    total = n * MAX_INPUT
    assert [core.value(0, column) for column in columns] == [total, total, total * MAX_INPUT, n]
    assert core.value(0, squared) == total * MAX_INPUT
    assert core.ring(0)[2] == 0
    assert core.push(0, n, 1, 1) == NONE
    assert core.ring(0)[2] == 1, "one trade more and the window is cut short, and says so"
    assert core.value(0, columns[0]) == total - MAX_INPUT + 1


def test_a_session_beyond_its_bound_reads_nan_and_silences_the_rule():
    n = 2**21 + 10
    program = Program()
    size, worth, _, _ = program.session()
    vwap = program.ratio([(1, (worth,))], [(1, (size,))])
    deviation = program.session_sd(size)
    above = program.compare([(1, (worth,)), (-1, (size,))], _program.COMPARISONS[">="])
    state = program.state(above, -1)
    core = Core([program])
    core.add_lane(0, state, 0)
    ts = np.arange(n)
    core.load(ts, np.full(n, 77, np.int64), np.full(n, MAX_INPUT, np.int64))
    assert core.advance() == ENTRY
    assert core.value(0, vwap) == 77.0
    assert core.advance() == NONE
    assert isnan(core.value(0, vwap))
    assert isnan(core.value(0, deviation))
    assert 0 < core.ring(0)[2] < 20
    core.begin_session(0)
    assert core.push(0, n, 78, 5) == ENTRY, "the silence ends with the session"
    assert (core.value(0, vwap), core.value(0, deviation)) == (78.0, 0.0)


@pytest.mark.parametrize("how", ["pushed", "loaded"])
def test_a_window_cut_short_silences_its_rule_until_it_fits_again(how):
    program = Program(max_window=8)
    window = program.window_time(100)
    anything = program.compare([(1, (program.count(window),))], _program.COMPARISONS[">"])
    state = program.state(anything, -1)
    core = Core([program])
    core.add_lane(0, state, 0)
    hurry = [*range(0, 20, 2), *range(300, 350, 10), *range(400, 500, 9)]
    expected, market, was_cut, cuts = [], Market(), True, 0
    stream = Stream([market])
    for ts in hurry:
        stream.take(0, ts, 100, 1)
        is_cut = len(market.time_window(100)) > 8
        cuts += is_cut
        if was_cut and not is_cut:
            expected.append(ts)
        was_cut = is_cut
    found = []
    if how == "pushed":
        for ts in hurry:
            event = core.push(0, ts, 100, 1)
            while event:
                found.append(core.event_ts_ns)
                event = core.advance()
    else:
        ones = np.ones(len(hurry), np.int64)
        core.load(np.array(hurry), ones, ones)
        while core.advance():
            found.append(core.event_ts_ns)
    assert found == expected
    assert len(expected) >= 2
    assert core.ring(0)[2] == cuts > 0


def test_the_ring_stays_small_when_windows_do_and_keeps_what_they_need():
    program = Program()
    window = program.window_time(10)
    high, low = program.extremes(window)
    core = Core([program])
    ts = np.arange(0, 300_000)
    core.load(ts, ts + 1, ts + 1)
    assert core.advance() == NONE
    assert core.ring(0) == (2048, 0, 0)
    assert (core.value(0, high), core.value(0, low)) == (300_000, 299_991)
    core.load(np.full(5_000, 300_000), ts[:5_000] + 1, ts[:5_000] + 1)
    assert core.advance() == NONE
    assert core.ring(0)[0] == 8192
    assert (core.value(0, high), core.value(0, low)) == (300_000, 1)


def test_bounds_of_programs():
    for wrong in (0, -1, MAX_WINDOW_TRADES + 1):
        with pytest.raises(ValueError, match="max_window"):
            Program(wrong)
    program = Program(max_window=9)
    for length in (0, -5, 10):
        with pytest.raises(ValueError, match="count window"):
            program.window_count(length)
    for length in (0, -1, 2**62 + 1):
        with pytest.raises(ValueError, match="time window"):
            program.window_time(length)
    window = program.window_count(9)
    for build in (
        lambda: program.sum_size(99),
        lambda: program.negation(window),
        lambda: program.state(-1, -1),
        lambda: program.float_op("+", window, window),
        lambda: program.compare([(1, (window,) * 4)], 0),
        lambda: program.ratio([(1, (99,))], []),
        lambda: program.float_compare(window, window, 0),
    ):
        with pytest.raises(ValueError, match=r"column|factors|state"):
            build()
    with pytest.raises(OverflowError):
        program.compare([(2**63, (window,))], 0)
    assert BLOCK_TRADES == 512
