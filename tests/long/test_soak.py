"""Ten minutes of paper trading at 5,000 ticks per second: nothing lost, memory flat, latency stated.

A viewer watches all the while, as a dashboard does: it makes the session take 30 pictures a second, and fills the
history that is kept for viewers within the first minutes, so that what still grows afterwards is a leak.

The embedded market is asked to stop first: it then says how many ticks it has sent, and the engine, which goes on
looking for it, how many it has taken.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.telemetry_wire import VERSION, Hello, encode, read_endpoints

RATE = 5_000
SECONDS = 600
SAMPLE_S = 10
WARM_S = 150  # by then every buffer and history has its size
MIB = 1 << 20


def growth_per_minute(samples: list[tuple[float, int]]) -> float:
    """Least-squares slope of ``(seconds, bytes)``, in bytes per minute."""
    mean_s = sum(second for second, _ in samples) / len(samples)
    mean_bytes = sum(size for _, size in samples) / len(samples)
    covariance = sum((second - mean_s) * (size - mean_bytes) for second, size in samples)
    return 60 * covariance / sum((second - mean_s) ** 2 for second, _ in samples)


def watch(directory: Path) -> None:
    """Look at a session until it ends."""
    (endpoint,) = read_endpoints(directory)
    with socket.create_connection((endpoint.host, endpoint.port)) as viewer:
        viewer.sendall(encode(Hello(VERSION, endpoint.token)))
        while viewer.recv(MIB):
            pass


@pytest.mark.long
def test_ten_minutes_at_5000_ticks_per_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    command = [sys.executable, "-m", "engine", "--paper", "--mock-rate", str(RATE), "--json"]
    with (
        (tmp_path / "out").open("w+") as out,
        (tmp_path / "err").open("w+") as err,
        subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL) as process,
    ):
        try:
            engine = psutil.Process(process.pid)
            samples: list[tuple[float, int]] = []
            clock = threading.Event()  # never set: only its time-out passes
            for second in range(SAMPLE_S, SECONDS + 1, SAMPLE_S):
                clock.wait(SAMPLE_S)
                assert process.poll() is None, (tmp_path / "err").read_text()
                samples.append((second, engine.memory_info().rss))
                if len(samples) == 1:
                    viewer = threading.Thread(target=watch, args=[tmp_path / "run"], daemon=True)
                    viewer.start()
                assert viewer.is_alive()
            cpu_s = sum(engine.cpu_times()[:2])
            (market,) = (child for child in engine.children() if "mock_server" in child.cmdline())
            market.terminate()
            while '"state":"reconnecting"' not in (tmp_path / "out").read_text().splitlines()[-1]:
                clock.wait(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    summary = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    said = (tmp_path / "err").read_text()
    sent = re.search(r"stopped: 1 client, ([\d,]+) ticks", said)
    assert sent, said
    warm = [sample for sample in samples if sample[0] >= WARM_S]
    lost = int(sent[1].replace(",", "")) - summary["ticks"]
    figures = {
        "ticks": summary["ticks"],
        "lost": lost,
        "rss_1min_mib": round(next(size for second, size in samples if second >= 60) / MIB, 1),
        "rss_end_mib": round(warm[-1][1] / MIB, 1),
        "rss_growth_kib_per_min": round(growth_per_minute(warm) / 1024, 1),
        "p50_us": round(summary["latency_p50_us"], 1),
        "p99_us": round(summary["latency_p99_us"], 1),
        "trades": summary["trades"],
        "cpu_percent": round(100 * cpu_s / SECONDS, 1),
    }
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    assert lost == 0
    assert summary["rejected"] == summary["bad_frames"] == {}
    assert summary["gaps"] == 0
    assert summary["ticks"] > 0.95 * RATE * SECONDS  # starting up takes a few seconds
    assert growth_per_minute(warm) < 256 * 1024
