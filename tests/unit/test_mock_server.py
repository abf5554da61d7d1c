"""The server on a real socket: the same stream for every client, its policies, and what clients may ask for."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mock_server.errors import ExitCode, MockError
from mock_server.listings import listings
from mock_server.market import START_NS, Market, generate
from mock_server.recording import read_recording
from mock_server.server import MockServer
from mock_server.session import BadRequestError, Pace, Source, subscription

MAX = float("inf")


class Log(list):
    """Collects what the server says; ``line(word)`` waits for the first line with that word."""

    def __init__(self):
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, text):
        self.append(text)
        self._news.set()

    async def line(self, word):
        while not any(word in text for text in self):
            self._news.clear()
            await self._news.wait()
        return next(text for text in self if word in text)


def market(*symbols, rate=1000.0, quotes=False, start_ns=START_NS, seed=1):
    listed = listings(symbols or ["AAPL"])
    return Source(listed, lambda: Market(listed, seed=seed, rate=rate, quotes=quotes).blocks(512), start_ns, seed)


def pace(speed=MAX, natural=False, heartbeat_s=3600.0, client_buffer=1 << 23, flush_s=0.001):
    return Pace(speed, natural, flush_s, heartbeat_s, client_buffer)


@asynccontextmanager
async def serving(source, how):
    log = Log()
    server = MockServer(source, how, log)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, f"ws://127.0.0.1:{port}", log
    finally:
        await server.stop()


def client(address, **options):
    # A client that leaves while much is under way need not be polite about it.
    return connect(address, compression=None, close_timeout=0.1, **options)


async def read_until_closed(connection):
    with suppress(ConnectionClosed):
        while True:
            await connection.recv()


async def messages(connection, count):
    """Return the first ``count`` trades and quotes, and the hello."""
    frames = [json.loads(await connection.recv(), parse_float=Decimal)]
    got = []
    while len(got) < count:
        frames.append(json.loads(await connection.recv(), parse_float=Decimal))
        got += [message for message in frames[-1] if message["T"] in {"t", "q"}]
    return frames[0][0], got[:count]


async def test_a_client_gets_exactly_the_generated_market():
    """What arrives over the wire is what ``generate`` returns for the same seed, record by record."""
    symbols = ("AAPL", "BTCUSDT")
    async with serving(market(*symbols, quotes=True), pace()) as (_, address, _), client(address) as connection:
        hello, got = await messages(connection, 3000)
    assert hello == {
        "T": "hello",
        "v": 1,
        "clock": "record",
        "heartbeat_ms": 3_600_000,
        "seed": 1,
        "speed": 0,
        "instruments": [{"S": "AAPL", "pp": 2, "sp": 0}, {"S": "BTCUSDT", "pp": 2, "sp": 5}],
    }
    ticks = generate(3000, symbols=symbols, rate=1000, quotes=True)
    ids = dict.fromkeys(symbols, 0)
    for message, record in zip(got, zip(*(column.tolist() for column in ticks), strict=True), strict=True):
        ts_ns, price, size, bid, ask, bid_lots, ask_lots, instrument, kind = record
        symbol = symbols[instrument]
        expected = {"S": symbol, "t": ts_ns, "b": Decimal(bid).scaleb(-2), "a": Decimal(ask).scaleb(-2)}
        lots = Decimal(1).scaleb(-5 if symbol == "BTCUSDT" else 0)
        if kind == 1:
            expected |= {"T": "q", "bs": bid_lots * lots, "as": ask_lots * lots}
        else:
            ids[symbol] += 1
            expected |= {"T": "t", "i": ids[symbol], "p": Decimal(price).scaleb(-2), "s": size * lots}
        assert message == expected


async def test_clients_get_the_same_stream_at_any_pace_and_time():
    streams = []
    for how in (pace(), pace(speed=50), pace(speed=1, natural=True, flush_s=0.01)):
        async with serving(market(rate=20_000.0), how) as (_, address, _):
            for _ in range(2):
                async with client(address) as connection:
                    streams.append((await messages(connection, 1000))[1])
    assert all(stream == streams[0] for stream in streams)


async def test_at_natural_pace_the_market_begins_when_the_client_connects():
    how = pace(speed=1, natural=True)
    async with serving(market(rate=50_000.0, start_ns=None), how) as (_, address, _):
        starts = []
        for _ in range(2):
            async with client(address) as connection:
                hello, got = await messages(connection, 100)
            assert hello["clock"] == "receive"
            starts.append(got[0]["t"])
            offsets = [message["t"] - got[0]["t"] for message in got]
            assert offsets == (generate(100, rate=50_000).ts_ns - START_NS).tolist()
    assert START_NS < starts[0] < starts[1]


async def test_a_slow_client_is_dropped_at_natural_pace():
    how = pace(speed=1, natural=True, client_buffer=64 * 1024)
    async with serving(market(rate=1_000_000.0), how) as (server, address, log):
        async with client(address, max_queue=1) as connection:
            line = await log.line("slow client")  # until then nothing is read
            await read_until_closed(connection)
        assert line == "client 1 dropped: slow client, more than 65,536 bytes were waiting"
        assert (connection.close_code, connection.close_reason) == (1013, "slow client")
        assert server.counters.slow == 1


async def test_a_market_on_record_time_waits_for_its_client():
    """A client that reads nothing makes the server stop; what it reads later has no hole."""
    async with serving(market(rate=1_000_000.0), pace(client_buffer=1)) as (server, address, _):
        async with client(address, max_queue=1) as connection:
            for _ in range(5000):
                await asyncio.sleep(0)
            # The kernel's socket buffers and the client's own take a few MB; unbounded it would be hundreds.
            assert server.counters.bytes < 32 << 20
            _, got = await messages(connection, 20_000)
            assert [message["i"] for message in got] == list(range(1, 20_001))
        assert server.counters.slow == 0


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "ticks.csv"
    rows = [f"{1_700_000_000_000 + 10 * n},{100 + n % 7}.25,{1 + n % 5}" for n in range(2500)]
    rows[7] = f"{1_700_000_000_000},99.75,3"  # late
    path.write_text("timestamp,price,size\n" + "\n".join(rows))
    return read_recording(path)


@pytest.mark.parametrize("speed", [MAX, 1000.0])
async def test_a_recording_is_pushed_in_file_order_and_ended(recording, speed):
    source = Source(recording.instruments, lambda: recording.blocks(1000), recording.start_ns, None)
    async with serving(source, pace(speed)) as (_, address, log), client(address) as connection:
        frames = [json.loads(frame, parse_float=Decimal) async for frame in connection]
        assert await log.line("recording") == "client 1 has had the whole recording"
    assert connection.close_code == 1000
    assert frames[0][0]["clock"] == "record"
    assert frames[0][0]["seed"] is None
    assert frames[-1] == [{"T": "end", "t": 1_700_000_024_990_000_000, "n": 2500}]
    trades = [message for frame in frames[1:-1] for message in frame]
    assert [trade["i"] for trade in trades] == list(range(1, 2501))
    assert [trade["t"] for trade in trades] == (recording.table[0] + recording.start_ns).tolist()
    assert [int(trade["p"] * 100) for trade in trades] == recording.table[1].tolist()
    assert all("b" not in trade and "a" not in trade for trade in trades)
    assert max(map(len, frames)) <= 1000


async def test_heartbeats_count_what_was_sent():
    how = pace(speed=1, natural=True, heartbeat_s=0.01)
    async with serving(market(rate=1000.0, start_ns=5), how) as (_, address, _), client(address) as connection:
        sent, beats = 0, []
        await connection.recv()
        while len(beats) < 5:
            for message in json.loads(await connection.recv()):
                if message["T"] == "h":
                    assert message["n"] == sent
                    beats.append(message["t"])
                else:
                    sent += 1
    assert beats == sorted(beats)
    assert beats[0] >= 5


async def test_subscribing_leaves_symbols_out_but_counts_their_trades():
    async with serving(market("AAPL", "MSFT"), pace()) as (_, address, _), client(address) as connection:
        await connection.recv()
        await connection.send('{"action":"subscribe","symbols":["MSFT"]}')
        last_id, only = 0, 0
        while only < 5:
            frame = json.loads(await connection.recv())
            ids = [message["i"] for message in frame if message["S"] == "MSFT"]
            assert ids == list(range(last_id + 1, last_id + 1 + len(ids)))
            last_id = ids[-1] if ids else last_id
            both = {message["S"] for message in frame} == {"AAPL", "MSFT"}
            assert not (both and only), "AAPL came back after it had been left out"
            only = 0 if both else only + 1


@pytest.mark.parametrize(
    ("request_text", "code", "reason"),
    [
        ("hi", 1008, "a request must be one JSON object"),
        (b"\xff\x00", 1008, "a request must be one JSON object"),
        ("[" * 4000, 1008, "a request must be one JSON object"),
        ("[]", 1008, 'the only request is {"action":"subscribe","symbols":[...]}'),
        ('{"action":"buy"}', 1008, 'the only request is {"action":"subscribe","symbols":[...]}'),
        ('{"action":"subscribe"}', 1008, '"symbols" must be a list of symbols'),
        ('{"action":"subscribe","symbols":[]}', 1008, '"symbols" must be a list of symbols'),
        ('{"action":"subscribe","symbols":[1]}', 1008, "unknown symbol 1; the hello lists those there are"),
        ('{"action":"subscribe","symbols":["TSLA"]}', 1008, "unknown symbol 'TSLA'; the hello lists those there are"),
        (" " * 5000, 1009, None),
    ],
)
async def test_a_bad_request_closes_the_connection_with_a_reason(request_text, code, reason):
    async with serving(market(), pace(speed=1, natural=True)) as (_, address, log):
        async with client(address) as connection:
            await connection.send(request_text)
            await read_until_closed(connection)
        await log.line("client 1 dropped" if reason else "client 1 left")
        assert connection.close_code == code
        assert reason is None or connection.close_reason == reason


@pytest.mark.parametrize("symbol", ["x" * 4000, "é" * 100, "\U0001f600" * 100])
def test_a_close_reason_fits_into_a_close_frame(symbol):
    with pytest.raises(BadRequestError) as caught:
        subscription(json.dumps({"action": "subscribe", "symbols": [symbol]}), listings(["AAPL"]))
    assert len(str(caught.value).encode()) <= 123


def test_a_subscription_names_each_instrument_once():
    request = '{"action":"subscribe","symbols":["SPY","AAPL","SPY"]}'
    assert np.array_equal(subscription(request, listings(["AAPL", "MSFT", "SPY"])), [0, 2])


async def test_stopping_closes_every_client_with_1001():
    async with serving(market(), pace(speed=1, natural=True)) as (server, address, _):
        connections = [await connect(address) for _ in range(3)]
        await server.stop()
        for connection in connections:
            await connection.wait_closed()
            assert connection.close_code == 1001
        assert server.counters.clients == 3


async def test_a_client_that_vanishes_leaves_the_others_alone():
    async with serving(market(), pace()) as (_, address, log), client(address) as stays:
        gone = await connect(address)
        gone.transport.abort()
        assert await log.line("client 2 left")
        _, got = await messages(stays, 5000)
    assert len(got) == 5000


async def test_a_market_that_is_late_says_so_once():
    """Two blocks that should have been sent two seconds ago: a machine that cannot keep the pace."""

    def late_blocks():
        table = np.ones((9, 3), np.int64)
        table[0], table[7:] = -2_000_000_000, 0
        yield from (table, table)

    source = Source(listings(["AAPL"]), late_blocks, START_NS, 1)
    async with serving(source, pace(speed=1, natural=True)) as (_, address, log), client(address) as connection:
        assert len([frame async for frame in connection]) == 4  # hello, two frames of records, end
    assert [line for line in log if "late" in line] == [
        "client 1 gets its market more than a second late: the rate is too high for this machine"
    ]


async def test_a_fault_of_the_server_is_told():
    def broken_blocks():
        raise ZeroDivisionError("a fault")
        yield

    source = Source(listings(["AAPL"]), broken_blocks, START_NS, 1)
    async with serving(source, pace()) as (_, address, log), client(address) as connection:
        await read_until_closed(connection)
        assert connection.close_code == 1011
    assert log[-1] == "client 1 lost to a fault of the server: ZeroDivisionError('a fault')"


async def test_a_busy_port_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MockError, match=f"--port: port {port} on 127.0.0.1 is in use; .*--port") as caught:
            await MockServer(market(), pace(), print).start("127.0.0.1", port)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
