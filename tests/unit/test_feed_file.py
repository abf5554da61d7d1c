"""A loaded recording as a feed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.model import Clock, Instrument, TickBlock
from engine.ports import FeedState
from feeds.file import FileFeed

INSTRUMENTS = [Instrument("A", 2, 0)]


def block(rows: int) -> TickBlock:
    column = np.arange(1, rows + 1, dtype=np.int64)
    return TickBlock(column, column * 2, column * 3, instrument=np.zeros(rows, np.uint16))


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 35])
async def test_all_records_come_in_order_and_then_the_end(rows: int) -> None:
    feed = FileFeed(block(rows), INSTRUMENTS, address="ticks.csv", batch_rows=10)
    assert feed.clock is Clock.RECORD
    assert list(feed.instruments) == INSTRUMENTS
    assert math.isnan(feed.health().age_ms)
    states, ts_ns, sizes = [], [], []
    async for batch in feed.batches():
        if batch.state is not None:
            states.append(batch.state)
        if batch.block is not None:
            sizes.append(len(batch.block))
            ts_ns += batch.block.ts_ns.tolist()
            assert batch.block.price_ticks.tolist() == [2 * t for t in batch.block.ts_ns.tolist()]
            assert batch.block.bid_ticks is None
            assert batch.block.instrument is not None
            assert len(batch.block.instrument) == len(batch.block)
    assert states == [FeedState.LIVE, FeedState.END]
    assert ts_ns == list(range(1, rows + 1))
    assert all(size == 10 for size in sizes[:-1])
    health = feed.health()
    assert (health.state, health.address) == (FeedState.END, "ticks.csv")
    assert health.offered == health.accepted == rows
    await feed.close()
    assert feed.health().state is FeedState.END


async def test_closing_stops_it() -> None:
    feed = FileFeed(block(100), INSTRUMENTS, batch_rows=10)
    batches = feed.batches()
    await anext(batches)
    await anext(batches)
    await feed.close()
    assert [batch async for batch in batches] == []
    assert feed.health().state is FeedState.CLOSED
    assert feed.health().accepted == 10


def test_a_batch_holds_something() -> None:
    with pytest.raises(ValueError, match="batch_rows"):
        FileFeed(block(1), INSTRUMENTS, batch_rows=0)
