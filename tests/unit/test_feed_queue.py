"""The queue between socket and engine: order of records and states, and what gives way when it is full."""

from __future__ import annotations

from engine.model import Instrument
from engine.ports import FeedState
from feeds.guard import FeedLimits, check_conservation, decoder_for
from feeds.queue import TickQueue
from feeds.venues import MOCK
from tests.oracle.wire import NOW_NS

LIVE, STALE, GAP, RECONNECTING = FeedState.LIVE, FeedState.STALE, FeedState.GAP, FeedState.RECONNECTING


class Bench:
    def __init__(self, limit: int = 16384) -> None:
        self.decoder = decoder_for(MOCK, FeedLimits())
        for symbol in "AB":
            self.decoder.add_symbol(symbol, price_precision=0, size_precision=0)
        self.decoder.accept_hello(recorded=False, ids_continue=False)
        self.queue = TickQueue(self.decoder, [Instrument("A", 0, 0), Instrument("B", 0, 0)], limit)
        self.queue.mark(LIVE, "", 0)
        self.notes()
        self.stamp = 0

    def receive(self, *records: str) -> None:
        self.stamp += 1
        self.queue.receive(f"[{','.join(records)}]".encode(), self.stamp, NOW_NS + self.stamp)

    def notes(self) -> list[tuple[object, ...]]:
        notes: list[tuple[object, ...]] = []
        for batch in self.queue.drain():
            if batch.state is not None:
                notes.append((batch.state, *batch.gap_instruments))
            if batch.block is not None:
                assert batch.block.bid_lots is not None
                notes.append(tuple(p or -b for p, b in zip(batch.block.price_ticks, batch.block.bid_lots, strict=True)))
        check_conservation(self.decoder)
        return notes


def trade(id: int, price: int = 100, symbol: str = "A") -> str:
    return f'{{"T":"t","S":"{symbol}","i":{id},"t":{NOW_NS},"p":{price},"s":1}}'


def quote(mark: int, symbol: str = "A") -> str:
    """A quote whose bid size tells it from others."""
    return f'{{"T":"q","S":"{symbol}","t":{NOW_NS + mark},"b":99,"bs":{mark},"a":101,"as":1}}'


def heartbeat(n: int) -> str:
    return f'{{"T":"h","t":{NOW_NS},"n":{n}}}'


def test_records_and_states_keep_their_order() -> None:
    bench = Bench()
    bench.receive(trade(1, 101))
    bench.queue.mark(STALE, "", 9)
    bench.queue.mark(RECONNECTING, "", 9)
    bench.queue.mark(LIVE, "", 9)
    bench.receive(trade(2, 102), trade(3, 103))
    assert bench.notes() == [(101,), (STALE,), (RECONNECTING,), (LIVE,), (102, 103)]
    assert bench.notes() == []
    assert bench.queue.empty


def test_the_stamp_is_that_of_the_oldest_record() -> None:
    bench = Bench()
    bench.stamp = 40
    for id in (1, 2, 3):
        bench.receive(trade(id))
    assert [batch.received_ns for batch in bench.queue.drain()] == [41]
    bench.receive(heartbeat(3))
    bench.receive(trade(4))
    assert [batch.received_ns for batch in bench.queue.drain()] == [45]
    bench.queue.mark_gap("", 77)
    assert [batch.received_ns for batch in bench.queue.drain()] == [77]


def test_gaps_at_the_same_place_are_one() -> None:
    bench = Bench()
    bench.receive(trade(1, 101), trade(1, 101, "B"))
    bench.receive(heartbeat(5), heartbeat(7))
    bench.receive(heartbeat(9), trade(3, 103))
    assert bench.notes() == [(101, 101), (GAP, 0, 1), (103,), (LIVE,)]
    assert bench.queue.gaps == 4


def test_the_state_of_before_follows_a_gap() -> None:
    bench = Bench()
    bench.queue.mark(STALE, "", 0)
    bench.receive(heartbeat(5))
    assert bench.notes() == [(STALE,), (GAP, 0, 1), (STALE,)]


def test_only_replaced_quotes_give_way() -> None:
    bench = Bench()
    bench.receive(quote(1), quote(2, "B"), quote(3), trade(1), quote(4), quote(5, "B"), quote(6))
    bench.receive(trade(3), quote(7), quote(8))  # behind a gap
    for n in range(9, 16300):
        bench.receive(quote(n))
    bench.receive(*[quote(n) for n in range(16300, 16800)])
    notes = bench.notes()
    assert notes[0] == (-3, 100, -5, -6)
    assert notes[1:3] == [(GAP, 0), (100,)]
    assert notes[3] == (LIVE,)
    assert notes[4][-1] == -16799
    assert len(notes[4]) < 1000
    offered = 7 + 3 + (16_300 - 9) + 500
    assert bench.decoder.rejected() == {"coalesced": offered - (4 + 1 + len(notes[4]))}


def test_an_overflow_keeps_the_last_state_and_declares_a_gap() -> None:
    bench = Bench()
    bench.queue.mark(STALE, "", 0)
    for n in range(17):
        bench.receive(*[trade(n * 1000 + k) for k in range(1000)])
        if n == 3:
            bench.queue.mark(RECONNECTING, "", 0)
            bench.queue.mark(LIVE, "", 0)
    notes = bench.notes()
    assert notes[:2] == [(GAP, 0, 1), (LIVE,)]
    assert bench.decoder.rejected()["queue_overflow"] == 17_000 - len(notes[2])
    assert bench.queue.gaps == 1
