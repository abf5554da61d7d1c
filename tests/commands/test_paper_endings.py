"""Every way a paper session on an embedded market ends, seen from outside: the market always ends with it."""

from __future__ import annotations

import json
import signal
import socket

import psutil
import pytest

from engine.telemetry_wire import (
    VERSION,
    Command,
    Done,
    FrameReader,
    Hello,
    History,
    Snapshot,
    decode,
    encode,
    read_control,
    read_endpoints,
)


def embedded_market(engine) -> psutil.Process:
    markets = [child for child in psutil.Process(engine.process.pid).children() if "mock_server" in child.cmdline()]
    if not markets:
        pytest.skip("a mock market already listens on the usual port, so none was embedded")
    return markets[0]


@pytest.fixture
def trading(start):
    """An engine on an embedded market that has told its state for the first time, and the market."""
    engine = start("engine", "--paper", "--json", "--mock-rate", "1000")
    engine.line('{"event":"status"')
    return engine, embedded_market(engine)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal(trading, how, code):
    engine, market = trading
    done = engine.end(how)
    assert done.code == code
    assert json.loads(done.out.splitlines()[-1])["ended"] == "stopped by you"
    assert done.err.splitlines()[-1].startswith("embedded mock market stopped: 1 client, ")
    assert not market.is_running()


def test_a_signal_closes_what_is_open_and_seals_the_journal(start, run, market):
    """While a position is open: it is closed at the market, told, and the recording is whole."""
    quick = ("--set", "window=3s", "--set", "time_stop=60s", "--set", "stop_loss=50%", "--set", "profit_target=50%")
    engine = start("engine", "run", "--feed", market, "--json", *quick, "--set", "flat_candles=0")
    engine.line('{"event":"open"')
    done = engine.end(signal.SIGTERM)
    assert done.code == 143
    told = [json.loads(line) for line in done.out.splitlines()]
    assert [one["reason"] for one in told if one["event"] == "close"][-1] == "MANUAL"
    assert told[-1]["ended"] == "stopped by you"
    assert json.loads(run("engine", "journal", "verify", "last", "--json").out)["sealed"] is True
    assert run("engine", "parity", "last").code == 0


def test_killed_without_a_word(trading):
    """Nobody can tell the market to stop: it notices that the pipe from its parent is closed."""
    engine, market = trading
    assert engine.end(signal.SIGKILL).code == -signal.SIGKILL
    psutil.wait_procs([market], timeout=30)
    assert not market.is_running()


def test_impatience(trading, run):
    """A second Ctrl-C does not wait for an orderly end; what was recorded still replays."""
    engine, market = trading
    engine.process.send_signal(signal.SIGINT)
    assert engine.end(signal.SIGINT).code == 130
    psutil.wait_procs([market], timeout=30)
    assert not market.is_running()
    assert run("engine", "parity", "last").code == 0


def test_a_viewer_asks_for_the_end(trading, environment, tmp_path):
    engine, market = trading
    (endpoint,) = read_endpoints(tmp_path / "run")
    assert endpoint.mode == "DEMO"
    frames = FrameReader()
    with socket.create_connection((endpoint.host, endpoint.port)) as viewer:
        viewer.sendall(encode(Hello(VERSION, endpoint.token, read_control(tmp_path / "run", endpoint.pid))))
        viewer.sendall(encode(Command("stop")))
        told = []
        while data := viewer.recv(1 << 16):
            told += [decode(body) for body in frames.feed(data)]
    assert isinstance(told[0], History)
    assert [one.name for one in told if isinstance(one, Done)] == ["stop"]
    assert isinstance(told[-1], Snapshot)
    assert told[-1].ended == "stopped from the dashboard"
    done = engine.end()
    assert done.code == 0
    assert json.loads(done.out.splitlines()[-1])["ended"] == "stopped from the dashboard"
    assert not market.is_running()


def test_a_market_that_cannot_start_is_one_line(run):
    done = run("engine", "--paper", "--mock-rate", "0")
    assert done.code == 3
    assert "--mock-rate" in done.error
