"""Every column of the core against its definition, trade by trade, however the stream is handed over."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import _core
from tests.oracle.features import MAX_INPUT, Market, Stream
from tests.props.core_board import Board, Window, differences, make_board

Step = tuple[Any, ...]
Read = list[tuple[int, dict[str, Any]]]  # instrument and its columns, one entry a trade

windows = st.lists(
    st.one_of(
        st.tuples(st.just("time"), st.sampled_from([1, 2, 3, 10, 25, 1000, 2**62])),
        st.tuples(st.just("count"), st.sampled_from([1, 2, 3, 6])),
    ),
    max_size=5,
)
prices = st.sampled_from([1, 2, 999, 1000, 1001, 10**8, 2**40 - 2, MAX_INPUT])
sizes = st.sampled_from([1, 2, 5, 6, 100, 10**9, MAX_INPUT])
records = st.tuples(
    st.sampled_from(["trade", "trade", "trade", "quote"]),
    st.integers(0, 1),
    st.sampled_from([0, 1, 2, 5, 9, 10, 30, 5000, -1, -40]),
    prices,
    sizes,
    st.sampled_from([0, 0, 1, 999, MAX_INPUT]),
    st.sampled_from([0, 0, 1001, MAX_INPUT]),
)
steps = st.one_of(
    records,
    records,
    records,
    records,
    st.tuples(st.sampled_from(["restart windows", "restart session"]), st.integers(0, 1)),
    st.tuples(st.just("time passes"), st.integers(0, 12)),
)
streams = st.lists(steps, max_size=60)


class Feeder:
    """Hands one stream of steps both to a core and to the reference; ``reads`` is what the core showed."""

    def __init__(self, boards: list[Board]) -> None:
        self.boards = boards
        self.core = _core.Core([board.program for board in boards])
        self.stream = Stream([Market() for _ in boards])
        self.reads: Read = []
        self.expected: Read = []
        self.ts = 100

    def step(self, step: Step) -> list[int] | None:
        """Take one step; a record comes back as ``[ts, price, size, bid, ask, instrument, kind]``."""
        kind, *rest = step
        if kind == "restart windows":
            self.flush()
            self.core.restart_windows(rest[0])
            market = self.stream.markets[rest[0]]
            market.windows_from = len(market.trades)
        elif kind == "restart session":
            self.flush()
            self.core.begin_session(rest[0])
            market = self.stream.markets[rest[0]]
            market.session_from = len(market.trades)
        elif kind == "time passes":
            self.flush()
            if self.stream.now > 0:
                self.stream.now += rest[0]
                assert self.core.pass_time(self.stream.now) == _core.NONE
        else:
            instrument, gap, price, size, bid, ask = rest
            self.ts = max(0, max(self.ts, self.stream.now) + gap)
            quote = kind == "quote"
            if quote:
                price = size = 0
            self.stream.take(instrument, self.ts, price, size, bid, ask, quote=quote)
            if not quote:
                market = self.stream.markets[instrument]
                self.expected.append((instrument, self.boards[instrument].expected(market)))
            return [self.ts, price, size, bid, ask, instrument, int(quote)]
        return None

    def flush(self) -> None:
        """Hand over what has been gathered, if anything is."""

    def finish(self) -> None:
        """Compare everything."""
        self.flush()
        assert len(self.reads) == len(self.expected)
        for (_, actual), (_, wanted) in zip(self.reads, self.expected, strict=True):
            assert not differences(actual, wanted)
        core, stream = self.core, self.stream
        assert (core.late, core.quotes_seen) == (stream.late, stream.quotes)
        assert core.trades_seen == sum(len(market.trades) for market in stream.markets)


class ByPush(Feeder):
    """One trade at a time; quotes as blocks of one."""

    def step(self, step: Step) -> None:
        record = super().step(step)
        if record is None:
            return
        ts, price, size, bid, ask, instrument, kind = record
        if kind:
            load(self.core, [record])
            assert self.core.advance() == _core.NONE
            return
        assert self.core.push(instrument, ts, price, size, bid, ask) == _core.NONE
        self.reads.append((instrument, self.boards[instrument].read(self.core, instrument)))


class ByBlock(Feeder):
    """As few and as large blocks as possible; a callback stops the core on every trade."""

    def __init__(self, boards: list[Board]) -> None:
        super().__init__(boards)
        self.gathered: list[list[int]] = []
        self.core.set_callback(lambda *_: True)

    def step(self, step: Step) -> None:
        record = super().step(step)
        if record is not None:
            self.gathered.append(record)

    def flush(self) -> None:
        if self.gathered:
            load(self.core, self.gathered)
            while self.core.advance():
                instrument = self.core.event_instrument
                self.reads.append((instrument, self.boards[instrument].read(self.core, instrument)))
            self.gathered = []


def load(core: _core.Core, rows: list[list[int]], *, plain: bool = False) -> None:
    """Load rows of ``[ts, price, size, bid, ask, instrument, kind]``."""
    ts, price, size, bid, ask, instrument, kind = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    if plain:
        core.load(ts, price, size, bid, ask)
    else:
        core.load(ts, price, size, bid, ask, instrument.astype(np.uint16), kind.astype(np.uint8))


@pytest.mark.parametrize("feeder", [ByPush, ByBlock])
@settings(max_examples=150, deadline=None)
@given(windows, windows, st.sampled_from([6, 7, 1000]), streams)
def test_any_stream(feeder: type[Feeder], first: list[Window], second: list[Window], most: int, steps: Any) -> None:
    run = feeder([make_board(first, most), make_board(second)])
    for step in steps:
        run.step(step)
    run.finish()
    for instrument, board in enumerate(run.boards):
        market = run.stream.markets[instrument]
        assert bool(run.core.ring(instrument)[2]) >= bool(market.trades and board.is_cut(market))


PROFILES = {
    "calm": (Random(1), lambda r, p: max(1, p + r.choice([-1, 0, 0, 1])), lambda r: r.choice([1, 2, 5, 10, 100])),
    "spikes": (
        Random(2),
        lambda r, p: min(10**8, max(1, p + r.choice([-(10**6), -7, 0, 7, 10**6]))),
        lambda r: 10**9 if r.random() < 0.01 else r.randint(1, 50),
    ),
    "limits": (
        Random(3),
        lambda r, p: MAX_INPUT - r.choice([0, 0, 1, 5, 10**6]),
        lambda r: MAX_INPUT if r.random() < 0.001 else r.randint(1, 10**9),
    ),
}
WINDOW_SETS: dict[str, list[Window]] = {
    "one": [("time", 4_000)],
    "two": [("time", 20_000), ("time", 250)],
    "three and a count": [("time", 250), ("time", 1), ("time", 20_000), ("count", 777)],
    "separated": [("time", 60), ("count", 3), ("time", 600), ("count", 5_000), ("time", 6)],
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("names", WINDOW_SETS)
def test_random_trades(profile: str, names: str) -> None:
    """Three hundred thousand in all, in blocks and pushes of random length, read at random trades."""
    rng, move, size_of = PROFILES[profile]
    rng.seed(f"{profile} {names}")
    board = make_board(WINDOW_SETS[names], max_window=20_000)
    core, stream = _core.Core([board.program]), Stream([Market()])
    rows, ts, price = [], 1_000, 10_000
    for _ in range(25_000):
        ts += rng.choice([0, 0, 1, 1, 2, 3, -1, 40] if rng.random() < 0.999 else [20_000])
        price = move(rng, price)
        rows.append([ts, price, size_of(rng), 0, 0, 0, 0])
        stream.take(0, *rows[-1][:3])
    market, done = stream.markets[0], 0
    while done < len(rows):
        if rng.random() < 0.5:
            for row in rows[done : done + 3]:
                core.push(0, *row[:3])
            done += len(rows[done : done + 3])
        else:
            cut = min(len(rows), done + rng.choice([1, 2, 100, 511, 512, 513, 3000]))
            load(core, rows[done:cut], plain=True)
            assert core.advance() == _core.NONE
            done = cut
        if rng.random() < 0.35:
            assert not differences(board.read(core, 0), board.expected(market, done - 1)), done
    assert core.late == stream.late > 0
    assert core.ring(0)[2] == 0, "no window was cut short"
    assert bool(core.ring(0)[1]) == (names != "one"), "the ring grew where a window outgrew its first 2048 trades"
