"""The mock market, the dashboard and the benchmarks as processes."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from engine.telemetry_wire import read_endpoints
from tests.commands.conftest import ROOT


def test_the_mock_market_serves_and_stops(start):
    mock = start("mock_server", "--port", "0", "--symbols", "AAPL,BTCUSDT")
    address = mock.line("listening ").removeprefix("listening ")
    with connect(address) as client:
        frames = [client.recv(timeout=20) for _ in range(3)]
    assert all(frames)
    done = mock.end(signal.SIGINT)
    assert done.code in (0, 130)
    assert "Traceback" not in done.err


def test_the_mock_market_refuses_nonsense_in_one_line(run):
    done = run("mock_server", "--rate", "-1")
    assert done.code in (2, 3)
    assert "Traceback" not in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_dashboard_starts_a_demo_and_stops_it(start, environment):
    pytest.importorskip("PySide6.QtWidgets", reason="the dashboard's libraries are not installed", exc_type=ImportError)
    dashboard = start("gui", "--demo")
    directory = Path(environment["MICROBURST_RUNTIME_DIR"])
    while not (directory.is_dir() and read_endpoints(directory)):
        assert dashboard.process.poll() is None, dashboard.process.stderr.read()
    done = dashboard.end(signal.SIGTERM)
    assert "Traceback" not in done.err
    assert done.code in (0, 143)
    assert read_endpoints(directory) == [], "the engine that it started has ended too"


def test_benchmarks_run_only_when_asked_for(start, tmp_path):
    folder = tmp_path / "empty" / "benchmarks"
    shutil.copytree(ROOT / "benchmarks", folder, ignore=shutil.ignore_patterns("results", "__pycache__"))
    nothing = start("pytest", "benchmarks/", "-q", "-p", "no:cacheprovider").end()
    assert nothing.code == 5
    assert "no tests ran" in nothing.out
    quick = ("--benchmark-min-rounds=1", "--benchmark-max-time=0.01", "--benchmark-warmup=off")
    chosen = start(
        "pytest", "benchmarks/bench_end_to_end.py", "--benchmark", "-q", "-k", "in_memory and last", *quick
    ).end(timeout=150)
    assert chosen.code == 0, chosen.out[-3000:]
    assert "passed" in chosen.out
