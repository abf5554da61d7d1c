"""The command itself: one line and an exit code for every mistake, and a clean end however it is asked to stop."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from mock_server.cli import main

TIMEOUT_S = 60
PROJECT = Path(__file__).parents[2]
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind exist on POSIX only")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ("--rat 5", 2, "No such option: --rat"),
        ("--rate fast", 2, "Invalid value for '--rate'"),
        ("--rate 0", 2, "--rate: 0 is not a rate; use 0.01 to 1,000,000 ticks per second"),
        ("--rate nan", 2, "--rate: nan is not a rate"),
        ("--seed -1", 2, "--seed: -1 is out of range; use 0 to 9223372036854775807"),
        ("--port 99999", 2, "--port: 99999 is out of range; use 0 to 65535"),
        ("--host 0.0.0.0", 2, "--host: 0.0.0.0 is not a loopback address; use 127.0.0.1, ::1 or localhost"),
        ("--host example.org", 2, "--host: example.org is not a loopback address"),
        ("--symbols AAPL,AAPL", 2, "--symbols: AAPL is given twice"),
        ("--symbols ,", 2, "--symbols: no symbol given"),
        ("--speed 0", 2, "--speed: '0' is not a speed; write a number above 0, such as 10, or max"),
        ("--speed inf", 2, "--speed: 'inf' is not a speed"),
        ("--duration 5x", 2, "--duration: '5x' is not a duration; write for example 60s, 250ms or 2h"),
        ("--duration 0s", 2, "--duration: '0s' is not a duration"),
        ("--flush never", 2, "--flush: 'never' is not a duration"),
        ("--client-buffer 8MB", 2, "--client-buffer: '8MB' is not a number of bytes; write for example 8MiB or 65536"),
        ("--weather gapp", 2, "--weather: 'gapp' is no weather; did you mean 'gap'?"),
        ("--weather rain", 2, "--weather: 'rain' is no weather; there are calm, burst, gap"),
        ("--weather ,", 2, "--weather: no weather given; for example --weather gap,duplicate"),
        ("--weather nowhere.txt", 4, "nowhere.txt: No such file or directory"),
        ("--weather gap --replay x.csv --seed -1", 2, "--seed: -1 is out of range"),
        ("--epoch now", 2, "--epoch: timestamp 'now' is neither ISO 8601"),
        ("--epoch 1999-12-31T23:59:59Z", 2, "--epoch: the time is before 2000; no reader takes such records"),
        ("--epoch 2116-01-01T00:00:00Z", 2, "--epoch: the time has not come yet; no reader takes such records"),
        ("--price-precision 3", 2, "--price-precision: this flag does not fit the others; it needs --replay FILE"),
        ("--replay x.csv --rate 5", 2, "--rate: this flag does not fit the others"),
        ("--replay x.csv --price-precision 13", 2, "--price-precision: 13 is out of range; use 0 to 12"),
        ("-q --replay nowhere.csv", 4, "nowhere.csv: No such file or directory"),
        ("surplus", 2, "unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(flags, code, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(flags.split())
    out, err = capsys.readouterr()
    assert caught.value.code == code
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_bad_recording_is_told_by_file_and_line(tmp_path, capsys):
    path = tmp_path / "ticks.csv"
    path.write_text("timestamp,price,size\n1700000000,1,1\n1700000001,NaN,1\n")
    with pytest.raises(SystemExit) as caught:
        main(["--quiet", "--replay", str(path)])
    assert caught.value.code == 4
    expected = f"error: {path}:3: price 'NaN' is not a positive decimal number; mend the row or leave it out\n"
    assert capsys.readouterr().err == expected


def test_a_busy_port_exits_6(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as caught:
            main(["--port", str(port)])
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (6, "")
    assert err.startswith(f"error: --port: port {port} on 127.0.0.1 is in use; ")
    assert err.count("\n") == 1


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    flags = {
        "--symbols",
        "--rate",
        "--seed",
        "--quotes",
        "--replay",
        "--price-precision",
        "--size-precision",
        "--speed",
    }
    flags |= {
        "--epoch",
        "--host",
        "--port",
        "--duration",
        "--flush",
        "--client-buffer",
        "--weather",
        "--exit-with-parent",
        "--quiet",
    }
    assert set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) == flags | {"--help"}


@pytest.fixture
def start():
    """Start the command on a free port; what is still running afterwards is killed."""
    running = []

    def start_server(*flags):
        process = subprocess.Popen(
            [sys.executable, "-m", "mock_server", "--port", "0", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        running.append(process)
        line = process.stdout.readline()
        assert re.fullmatch(r"listening ws://127\.0\.0\.1:\d+\n", line), process.communicate(timeout=TIMEOUT_S)
        return process, line.split()[1]

    yield start_server
    for process in running:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def first_trade(connection):
    while True:
        for message in json.loads(connection.recv(timeout=TIMEOUT_S)):
            if message["T"] == "t":
                return message


@POSIX_ONLY
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_clients_and_prints_the_counts(start, number, code):
    process, address = start("--symbols", "MSFT")
    with connect(address) as connection:
        assert first_trade(connection)["S"] == "MSFT"
        process.send_signal(number)
        for _ in connection:  # ends without an error on 1000 and 1001 only
            pass
        assert connection.protocol.close_code == 1001
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (code, "")
    assert "Microburst mock market" in err
    assert address in err
    assert "client 1 connected" in err
    assert re.search(r"^stopped: 1 client, [\d,]+ ticks in [\d,]+ frames, [\d,]+ bytes$", err, re.MULTILINE)
    assert "Traceback" not in err


@POSIX_ONLY
def test_an_embedded_market_leaves_ctrl_c_to_its_parent(start):
    process, address = start("--exit-with-parent", "--quiet")
    with connect(address) as connection:
        process.send_signal(signal.SIGINT)
        ids = [first_trade(connection)["i"] for _ in range(20)]
        assert ids == sorted(ids)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_it_stops_with_its_parent(start):
    process, _ = start("--exit-with-parent", "--quiet")
    out, err = process.communicate(timeout=TIMEOUT_S)  # closes its standard input
    assert (process.returncode, out, err) == (0, "", "")


def test_it_stops_after_its_duration(start):
    process, _ = start("--duration", "1ms", "--quiet")
    assert process.wait(timeout=TIMEOUT_S) == 0


def test_the_same_flags_give_the_same_text_again(start):
    texts = []
    for _ in range(2):
        _, address = start("--seed", "9", "--epoch", "2024-06-03T13:30:00Z", "--quiet")
        with connect(address) as connection:
            texts.append(first_trade(connection))
    assert texts[0] == texts[1]
    assert texts[0]["t"] >= 1_717_421_400_000_000_000


def test_a_recording_is_served_to_the_end(start, tmp_path):
    path = tmp_path / "acme.csv"
    path.write_text("timestamp,price,size,bid,ask\n2024-01-02T14:30:00,10.50,3,10.49,10.51\n")
    process, address = start("--replay", str(path), "--speed", "max")
    with connect(address) as connection:
        frames = [json.loads(frame) for frame in connection]
    assert frames[1] == [
        {"T": "t", "S": "acme", "i": 1, "t": 1704205800000000000, "p": 10.5, "s": 3, "b": 10.49, "a": 10.51}
    ]
    assert frames[-1] == [{"T": "end", "t": 1704205800000000000, "n": 1}]
    process.terminate()
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert "ISO 8601 without a zone, taken as UTC" in err
