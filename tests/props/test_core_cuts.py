"""A core's events do not depend on how its stream is cut, nor on the instruments and quotes that run beside."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import _core, _program
from engine._core import BLOCK_TRADES, ENTRY, FOREVER_NS, Core
from engine._program import Program

SECOND = 1_000_000_000
Row = list[int]  # ts, price, size, bid, ask, instrument, kind
Event = tuple[int, int, int, int, int, Any]  # type, lane, instrument, ts, price, volume of the window

LANES = 2  # on each instrument


def make_core(instruments: list[int]) -> tuple[Core, list[int]]:
    """Two lanes an instrument: a move over a second, and a surge over four trades. Returns the volume columns too."""
    programs, states, volumes = [], [], []
    for _ in instruments:
        program = Program()
        second, four = program.window_time(SECOND), program.window_count(4)
        first, surge, price, size = (
            program.first_price(second),
            program.sum_size(four),
            _program.PRICE_COLUMN,
            _program.SIZE_COLUMN,
        )
        up = program.compare([(1000, (price,)), (-1003, (first,))], _program.COMPARISONS[">="], True)
        down = program.compare([(1000, (price,)), (-997, (first,))], _program.COMPARISONS["<="], True)
        crowd = program.compare([(3, (size,)), (-2, (surge,))], _program.COMPARISONS[">"], True)
        programs.append(program)
        states.append((program.state(up, down), program.state(crowd, -1)))
        volumes.append(program.sum_size(second))
    core = Core(programs)
    for index in range(len(instruments)):
        core.add_lane(index, states[index][0], SECOND)
        core.add_lane(index, states[index][1], 0, 4)
    return core, volumes


def answer(core: Core, event: int) -> None:
    """Open at each entry, of a kind that depends on the event alone; look for the next entry after each exit."""
    if event == ENTRY:
        side = 1 if core.event_state == 1 else -1
        price, ts = core.price(core.event_instrument), core.event_ts_ns
        deadline = ts + 2 * SECOND if price % 3 else FOREVER_NS
        core.open_lane(core.event_lane, side, price - 3 * side, price + 4 * side, deadline, price % 4, ts, price)
    else:
        core.close_lane(core.event_lane)


def events_of(rows: list[Row], instruments: list[int], cuts: list[int], end: int) -> list[Event]:
    """Run the rows of these instruments, cut after the given numbers of rows; instruments keep their names."""
    core, volumes = make_core(instruments)
    places = {name: index for index, name in enumerate(instruments)}
    found: list[Event] = []

    def drain(event: int) -> None:
        while event:
            index, lane = core.event_instrument, core.event_lane
            name = instruments[index]
            value = core.value(index, volumes[index])
            found.append((event, name * LANES + lane % LANES, name, core.event_ts_ns, core.price(index), value))
            answer(core, event)
            event = core.advance()

    mine = [row for row in rows if row[5] in places]
    for start, stop in zip([0, *cuts], [*cuts, len(mine)], strict=True):
        part = mine[start:stop]
        if len(part) == 1 and not part[0][6]:
            ts, price, size, bid, ask, name, _ = part[0]
            drain(core.push(places[name], ts, price, size, bid, ask))
        elif part:
            ts, price, size, bid, ask, name, kind = (np.array(c, np.int64) for c in zip(*part, strict=True))
            index = np.array([places[int(n)] for n in name], np.uint16)
            core.load(ts, price, size, bid, ask, index, kind.astype(np.uint8) if kind.any() else None)
            drain(core.advance())
    drain(core.pass_time(end))
    return found


def random_rows(rng: Random, length: int, instruments: int) -> list[Row]:
    """Rows without late records: those are late only beside others."""
    now, prices, rows = 10 * SECOND, [1000] * instruments, []
    for _ in range(length):
        now += rng.choice([0, 0, 0, 1, 10, 50, 100, 500, 1000, 4000]) * 1_000_000
        name = rng.randrange(instruments)
        prices[name] = max(950, min(1050, prices[name] + rng.choice([-4, -2, -1, 0, 0, 1, 2, 4])))
        quote = rng.random() < 0.25
        bid, ask = prices[name] - 1, prices[name] + 1
        row = [now, 0, 0, bid, ask, name, 1] if quote else [now, prices[name], rng.choice([1, 2, 9, 40]), 0, 0, name, 0]
        rows.append(row)
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 60))
def test_cuts_do_not_matter(seed: int, instruments: int, step: int) -> None:
    rng = Random(seed)
    rows = random_rows(rng, rng.choice([50, 600, 1200]), instruments)
    names, end = list(range(instruments)), rows[-1][0] + 9 * SECOND
    whole = events_of(rows, names, [], end)
    assert events_of(rows, names, list(range(1, len(rows))), end) == whole
    cuts = sorted({rng.randrange(len(rows)) for _ in range(len(rows) // step)})
    assert events_of(rows, names, cuts, end) == whole


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_instruments_and_quotes_do_not_disturb_each_other(seed: int) -> None:
    rng = Random(seed)
    rows = random_rows(rng, 1500, 4)
    end = rows[-1][0] + 9 * SECOND
    together = events_of(rows, [0, 1, 2, 3], [], end)
    for name in range(4):
        alone = events_of(rows, [name], [], end)
        assert alone == [event for event in together if event[2] == name]
    trades = [row for row in rows if not row[6]]
    assert events_of(trades, [0, 1, 2, 3], [], end) == together
    assert len({event[0] for event in together}) == 5, "entries and all four exits, or else this says little"


@pytest.mark.parametrize("edge", [-1, 0, 1])
@pytest.mark.parametrize("blocks", [1, 2])
def test_events_at_the_seam_of_two_blocks(edge: int, blocks: int) -> None:
    """The signal begins on the last, the next to last, or the first trade of a block, and exits on the one after."""
    place = blocks * BLOCK_TRADES + edge - 1
    rows = [[i * SECOND, 1000, 1, 0, 0, 0, 0] for i in range(blocks * BLOCK_TRADES + 5)]
    rows[place][1:3] = [1003, 40]
    rows[place][0] = rows[place - 1][0] + 1
    rows[place + 1][1] = 1010
    whole = events_of(rows, [0], [], rows[-1][0])
    assert whole == events_of(rows, [0], list(range(1, len(rows))), rows[-1][0])
    assert [event[:2] for event in whole if event[3] <= rows[place + 1][0]][:4] == [
        (ENTRY, 0),
        (ENTRY, 1),
        (_core.TARGET, 0),
        (_core.TARGET, 1),
    ]
