"""`python -m engine backtest --bars FILE`: bars by the command line, and every mistake in one line."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import pytest

SETTINGS = ["flat_candles=0", "window=15m", "surge_window=1m", "entry_threshold=0.2%", "time_stop=30m"]


@pytest.fixture
def backtest(run):
    def backtest(*arguments: str):
        return run("engine", "backtest", *arguments)

    return backtest


@pytest.fixture
def bar_file(tmp_path: Path) -> Path:
    """Made-up minutes of one session: the price in waves, with more volume on their slopes."""
    lines, price = ["timestamp,open,high,low,close,volume"], 100.0
    for minute in range(390):
        before, price = price, 100 + 2 * math.sin(minute / 25)
        high, low = max(before, price) + 0.02, min(before, price) - 0.02
        time = datetime(2024, 1, 2, 9, 30) + timedelta(minutes=minute)
        volume = 1000 if minute % 10 == 0 else 100
        lines.append(f"{time.isoformat()},{before:.2f},{high:.2f},{low:.2f},{price:.2f},{volume}")
    path = tmp_path / "spy.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def settings() -> list[str]:
    return [part for setting in SETTINGS for part in ("--set", setting)]


def test_bars_are_read_backtested_and_told_of(backtest, bar_file):
    done = backtest("--bars", str(bar_file), "--zone", "America/New_York", "--calendar", "us_equities", *settings())
    assert done.code == 0, done.err
    assert done.err.startswith(f"{bar_file}: 390 bars; ")
    assert "zone America/New_York, converted to UTC" in done.err
    assert "period 1m (the most frequent step)" in done.err
    assert "bars" in done.out
    assert "2024-01-02 14:31:00 to 2024-01-02 21:00:00 UTC" in done.out
    assert "next:" not in done.err


def test_how_bars_are_read_decides_the_result(backtest, bar_file):
    def result(*flags: str):
        return json.loads(backtest("--bars", str(bar_file), *settings(), "--json", *flags).out)

    plain, at_end = result(), result("--bar-stamps", "end")
    assert plain["ticks"] == 390
    assert plain["trades"]
    assert at_end["trades"][0]["entry_ts_ns"] == plain["trades"][0]["entry_ts_ns"] - 60 * 10**9
    assert at_end["passport"]["input_sha256"] != plain["passport"]["input_sha256"]
    assert result("--bar-period", "1m")["decision_hash"] == plain["decision_hash"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--bars", "{bars}", "--ticks", "x.csv"], 2, "--ticks FILE and --bars FILE: not both"),
        (["--bars", "{bars}", "--demo"], 2, "--bars FILE and --demo: not both"),
        (["--bars", "{bars}", "--quotes", "q.csv"], 2, "--quotes has no meaning with --bars FILE"),
        (["--ticks", "{bars}", "--zone", "UTC"], 2, "--zone has no meaning with --ticks FILE; use it with --bars FILE"),
        (["--demo", "--bar-period", "1m"], 2, "--bar-period says how a file is read, and --demo reads none"),
        (["--bars", "{bars}", "--bar-stamps", "middle"], 2, "--bar-stamps middle is neither start nor end"),
        (["--bars", "{bars}", "--bar-period", "soon"], 3, "'soon'"),
        (["--bars", "{bars}", "--zone", "New York"], 3, "there is no time zone 'New York'"),
        (["--bars", "{bars}"], 3, "MomentumBurst.exits: it closes after 2 flat one-second candles"),
        (["--ticks", "{bars}"], 4, "these are bars, not ticks; backtest reads them with --bars FILE"),
    ],
)
def test_mistakes_are_one_line(backtest, bar_file, flags, code, words):
    done = backtest("-q", *(flag.format(bars=bar_file) for flag in flags))
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.count("\n") == 1


def test_a_report_never_replaces_the_bars(backtest, bar_file):
    before = bar_file.read_bytes()
    done = backtest("--bars", str(bar_file), *settings(), "--report", str(bar_file))
    assert done.code == 3, done.err
    assert "this file is an input" in done.err
    assert bar_file.read_bytes() == before
