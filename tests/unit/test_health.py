"""The health file, the verb that reads it, and the watchdog: what outsiders learn, and what ends a hung session."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cli import main
from engine.errors import ExitCode
from engine.live import watchdog
from engine.live.health import HealthFile, read_health
from engine.live.watchdog import Watchdog
from feeds.base import SystemTiming
from tests.gui.golden import snapshot

TIMEOUT_S = 60
PROJECT = Path(__file__).parents[2]
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind exist on POSIX only")

HANGS = """
from engine.rules import TimeStop, change, pct, seconds, ticks
from engine.strategy import Strategy


class Hangs(Strategy):
    long = change(ticks(5)) >= pct("0.001")
    exits = (TimeStop(seconds(1)),)

    def on_fire(self, context, side):
        while True:
            pass
"""


class Long(SystemTiming):
    """Wall time stands at the epoch."""

    def receive_stamp(self) -> tuple[int, int]:
        return 0, 0


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def status(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["status", *flags])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_no_session_is_said_in_a_line(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = status(capsys)
    assert (code, out) == (ExitCode.NOT_FOUND, "")
    assert err == "error: no session is running; start one with: microburst run\n"


def test_the_file_is_its_owners_alone_and_goes_with_the_session(runtime: Path) -> None:
    health = HealthFile()
    health.write("running")
    assert stat.S_IMODE(health.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    (report,) = read_health(runtime)
    assert (report["pid"], report["state"], report["alive"]) == (os.getpid(), "running", True)
    health.remove()
    assert list(runtime.iterdir()) == []


def test_words_for_sessions_that_cannot_speak(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = HealthFile(timing=Long())
    silent.write("running")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(TIMEOUT_S)
    (runtime / f"health-{gone.pid}.json").write_text(
        json.dumps({"pid": gone.pid, "state": "running", "written_ts_ns": 0, "last_error": ""})
    )
    (runtime / "health-1x.json").write_text("{")  # passed over
    (runtime / "health-1y.json").write_text('{"pid": 1, "written_ts_ns": 0}')
    code, out, _ = status(capsys)
    assert code == 0
    assert "no sign of life for" in out
    assert "died" in out
    silent.write("stuck", "the engine has hung")
    assert "stuck: the engine has hung" in status(capsys)[1]
    HealthFile()  # the next engine forgets the dead
    assert [report["pid"] for report in read_health(runtime)] == [os.getpid()]


class Still(SystemTiming):
    """No time passes."""

    def monotonic_ns(self) -> int:
        return 1


def test_what_has_changed_is_written_at_once(runtime: Path) -> None:
    health = HealthFile(timing=Still())
    first = snapshot()
    health.look(first)
    health.look(replace(first, account=replace(first.account, trades=99)))  # waits for its second
    (report,) = read_health(runtime)
    assert (report["state"], report["trades"], list(report["positions"])) == ("running", 3, ["ACME"])
    health.look(replace(first, account=replace(first.account, state="reducing", halted="paused")))
    (report,) = read_health(runtime)
    assert (report["state"], report["halted"]) == ("reducing", "paused")
    health.look(replace(first, symbols=[replace(first.symbols[0], position=None)]))
    (report,) = read_health(runtime)
    assert report["positions"] == {}


def test_a_status_says_how_old_it_is_and_what_a_dead_session_held(
    runtime: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    HealthFile().look(snapshot())
    monkeypatch.setattr("engine.live.health.lives", lambda pid: True)
    _, out, _ = status(capsys)
    assert "as of" in out.splitlines()[0]
    assert re.search(r"ACME short 100 .* \d+\.\d s ago$", out.splitlines()[1]), out
    assert "when it died" not in out
    monkeypatch.setattr("engine.live.health.lives", lambda pid: False)
    _, out, _ = status(capsys)
    assert "ACME short 100 when it died" in out


def test_a_beat_starts_the_count_afresh_and_none_at_all_counts_nothing() -> None:
    dog = Watchdog(lambda why: None)
    heard, looks = dog.look(0, 0)
    assert (heard, looks) == (0, 0)  # not begun
    dog.beat()
    heard, looks = dog.look(heard, looks)
    assert looks == 0
    heard, looks = dog.look(*dog.look(heard, looks))
    assert looks == 2
    dog.beat()
    assert dog.look(heard, looks)[1] == 0


def test_a_thread_that_hangs_is_told_by_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LIMIT_S", 0.2)
    told: list[str] = []
    codes: list[int] = []
    bitten = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        bitten.set()

    with Watchdog(told.append, end) as dog:
        dog.beat()
        assert bitten.wait(TIMEOUT_S)
    assert codes == [ExitCode.STUCK]
    assert len(told) == 1
    assert "the engine has hung for 0.2 s in " in told[0]


def test_who_has_been_released_may_take_his_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a session that ends: its disk may be slow."""
    monkeypatch.setattr(watchdog, "LIMIT_S", 0.2)
    codes: list[int] = []
    with Watchdog(lambda why: None, codes.append) as dog:
        dog.beat()
        dog.release()
        dog._thread.join(TIMEOUT_S)  # it would have bitten first
    assert not codes


def start(tmp_path: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine", "--paper", "--json", "--mock-rate", "500", *flags],
        cwd=PROJECT,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_endless_loop_in_a_strategy_ends_with_code_10_and_says_where(
    runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own: nothing else could end it."""
    (tmp_path / "hangs.py").write_text(HANGS)
    engine = start(tmp_path, "--strategy", f"{tmp_path / 'hangs.py'}:Hangs")
    try:
        _, err = engine.communicate(timeout=TIMEOUT_S)
    finally:
        engine.kill()
    assert engine.returncode == ExitCode.STUCK
    line = next(line for line in err.splitlines() if line.startswith("error: "))
    assert "the engine has hung for 2 s in" in line
    assert "hangs.py:1" in line
    assert "(on_fire)" in line
    code, out, _ = status(capsys, "--json")
    assert code == 0
    (report,) = json.loads(out)["sessions"]
    assert (report["state"], report["alive"], report["pid"]) == ("stuck", False, engine.pid)
    assert "on_fire" in report["last_error"]


@POSIX_ONLY
def test_a_running_session_is_shown_and_a_signal_ends_it_in_order(
    runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = start(tmp_path)
    assert engine.stdout is not None
    assert json.loads(engine.stdout.readline())["event"] in ("status", "open")
    code, out, _ = status(capsys, "--json")
    assert code == 0
    (report,) = json.loads(out)["sessions"]
    assert (report["pid"], report["feed"]["state"]) == (engine.pid, "live")
    assert report["state"] in ("running", "reducing")  # a machine that is too busy looks at old data
    try:
        engine.send_signal(signal.SIGTERM)
        engine.communicate(timeout=TIMEOUT_S)
    finally:
        engine.kill()
    assert engine.returncode == ExitCode.TERMINATED
    assert list(runtime.glob("health-*")) == []
