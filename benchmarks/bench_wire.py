"""Frames to ticks: the proving scanner with its guard, beside orjson with Decimal doing only the conversion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from websockets.asyncio.server import ServerConnection, serve

from engine._wire import Columns, Decoder
from feeds.guard import FeedLimits, check_conservation, decoder_for
from feeds.venues import MOCK
from feeds.ws import WebSocketFeed

RECORDS = 100_000
T0 = 1_700_000_000_000_000_000
HELLO = b'[{"T":"hello","v":1,"clock":"receive","instruments":[{"S":"AAPL","pp":2,"sp":0}]}]'


def trade(n: int) -> str:
    return f'{{"T":"t","S":"AAPL","i":{n},"t":{T0 + n},"p":150.{n % 90 + 10},"s":100,"b":150.00,"a":151.00}}'


def quote(n: int) -> str:
    return f'{{"T":"q","S":"AAPL","t":{T0 + n},"b":150.00,"bs":300,"a":150.{n % 90 + 10},"as":200}}'


def frames(record: Callable[[int], str], per_frame: int, count: int = RECORDS) -> list[bytes]:
    return [
        ("[" + ",".join(record(n + 1) for n in range(first, first + per_frame)) + "]").encode()
        for first in range(0, count, per_frame)
    ]


def fresh() -> tuple[Decoder, Columns]:
    decoder, columns = decoder_for(MOCK, FeedLimits()), Columns(1 << 18, 1 << 18)
    decoder.add_symbol("AAPL", price_precision=2, size_precision=0)
    decoder.accept_hello(recorded=False, ids_continue=False)
    return decoder, columns


@pytest.mark.parametrize("per_frame", [1, 50])
@pytest.mark.parametrize("record", [trade, quote], ids=["trades", "quotes"])
def bench_scanner(benchmark: BenchmarkFixture, record: Callable[[int], str], per_frame: int) -> None:
    batch = frames(record, per_frame)
    decoders = []

    def start() -> tuple[tuple[Decoder, Columns], dict[str, object]]:
        decoders.append(fresh())
        return decoders[-1], {}

    def run(decoder: Decoder, columns: Columns) -> None:
        decode = decoder.decode
        for frame in batch:
            decode(frame, T0, columns)

    benchmark.pedantic(run, setup=start, rounds=7)
    for decoder, columns in decoders:
        assert decoder.accepted == columns.rows == RECORDS
        check_conservation(decoder)
    note(benchmark, sum(map(len, batch)))


def by_float(price: float) -> int:
    return round(price * 100)


def by_decimal(price: float) -> int:
    return int(Decimal(repr(price)).scaleb(2))


@pytest.mark.parametrize("per_frame", [1, 50])
@pytest.mark.parametrize("to_ticks", [by_float, by_decimal])
def bench_orjson(benchmark: BenchmarkFixture, to_ticks: Callable[[float], int], per_frame: int) -> None:
    """The same integers by orjson and Python. Not a proof: neither keys nor ids nor jumps are checked."""
    batch = frames(trade, per_frame)

    def run() -> int:
        rows = []
        for frame in batch:
            for m in orjson.loads(frame):
                if m["T"] == "t":
                    rows.append((m["t"], to_ticks(m["p"]), m["s"], to_ticks(m["b"]), to_ticks(m["a"])))
        return len(rows)

    assert benchmark.pedantic(run, rounds=3) == RECORDS
    note(benchmark, sum(map(len, batch)))


@pytest.mark.parametrize("per_frame", [1, 50])
def bench_socket_to_batches(benchmark: BenchmarkFixture, per_frame: int) -> None:
    """Loopback socket, websockets on both sides in one process, to batches in the consumer's hands."""
    count = RECORDS if per_frame > 1 else RECORDS // 5
    batch = frames(trade, per_frame, count)

    async def handler(connection: ServerConnection) -> None:
        await connection.send(HELLO)
        for frame in batch:
            await connection.send(frame)
        await connection.wait_closed()

    async def run() -> int:
        async with serve(handler, "127.0.0.1", 0, compression=None) as server:
            feed = WebSocketFeed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            taken = 0
            async for ticks in feed.batches():
                taken += len(ticks.block) if ticks.block is not None else 0
                if taken == count:
                    break
            await feed.close()
            return taken

    assert benchmark.pedantic(lambda: asyncio.run(run()), rounds=3) == count
    note(benchmark, sum(map(len, batch)), count)


def note(benchmark: BenchmarkFixture, size: int, records: int = RECORDS) -> None:
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["ns_per_record"] = round(seconds / records * 1e9, 1)
    benchmark.extra_info["records_per_s"] = round(records / seconds)
    benchmark.extra_info["MB_per_s"] = round(size / seconds / 1e6)
