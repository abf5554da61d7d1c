"""`python -m engine backtest`: the result's schema, its repeatability, and every mistake in one line."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TRADE_FIELDS = {
    *("side", "entry_ts_ns", "exit_ts_ns", "entry_price", "exit_price", "qty", "reason"),
    *("gross", "spread_cost", "slippage_cost", "fees", "net"),
}
RESULT_FIELDS = {
    *("schema", "run_id", "ticks", "first_ts_ns", "last_ts_ns", "trades", "skipped_signals", "refusals", "metrics"),
    "decision_hash",
}


@pytest.fixture
def backtest(run):
    def backtest(*arguments: str):
        return run("engine", "backtest", *arguments)

    return backtest


def a_file(tmp_path: Path, text: str, name: str = "ticks.csv") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def a_walk(rows: int = 4000) -> str:
    """Return a made-up tick file with bursts: one trade every 50 ms, the price in waves."""
    lines = ["timestamp,price,size,bid,ask"]
    price = 10_000
    for row in range(rows):
        burst = row % 400 < 60
        price += (4 if row % 800 < 400 else -4) if burst else (row % 3) - 1
        size = 500 if burst else 10
        cents = f"{price / 100:.2f},{size},{(price - 1) / 100:.2f},{(price + 1) / 100:.2f}"
        lines.append(f"{1_704_205_800_000_000_000 + row * 50_000_000},{cents}")
    return "\n".join(lines) + "\n"


def test_the_demo_is_the_same_twice(backtest):
    first, second = (json.loads(backtest("--demo", "--json").out) for _ in range(2))
    assert set(first) >= RESULT_FIELDS
    assert first["schema"].startswith("microburst.backtest/")
    assert first["trades"]
    assert all(set(trade) >= TRADE_FIELDS for trade in first["trades"])
    assert first["decision_hash"] == second["decision_hash"]
    assert first["trades"] == second["trades"]


def test_the_table_and_the_next_command(backtest):
    done = backtest("--demo")
    assert done.code == 0, done.err
    assert "trades" in done.out
    assert "gross" in done.out
    assert "net" in done.out
    assert "next: microburst backtest" in done.err


def test_a_file_settings_and_reports(backtest, tmp_path):
    file = a_file(tmp_path, a_walk())
    with gzip.open(tmp_path / "ticks.csv.gz", "wt") as packed:
        packed.write(a_walk())
    plain = backtest("--ticks", str(file), "--fills", "last", "--json")
    again = backtest("--ticks", str(tmp_path / "ticks.csv.gz"), "--fills", "last", "--json")
    assert plain.code == 0, plain.err
    result = json.loads(plain.out)
    assert result["ticks"] == 4000
    assert result["trades"]
    assert result["trades"] == json.loads(again.out)["trades"]
    for name in ("r.json", "r.csv", "r.html"):
        assert backtest("--ticks", str(file), "--fills", "last", "--report", str(tmp_path / name)).code == 0
    assert json.loads((tmp_path / "r.json").read_text())["decision_hash"] == result["decision_hash"]
    assert "<html" in (tmp_path / "r.html").read_text(encoding="utf-8")
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()[1:]))
    assert [row["entry_ts_ns"] for row in rows] == [str(trade["entry_ts_ns"]) for trade in result["trades"]]
    changed = json.loads(backtest("--ticks", str(file), "--fills", "last", "--set", "direction=long", "--json").out)
    assert {trade["side"] for trade in changed["trades"]} == {"long"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("{} | head -2; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{} --json | head -c 9; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{} > /dev/full", 1, "error: cannot write to standard output: No space left on device"),
        ("{} >&-", 2, "error: standard output is closed"),
    ],
)
def test_an_output_that_does_not_take_it(environment, tmp_path, shell, code, said):
    command = shell.format(f"{shlex.quote(sys.executable)} -m engine backtest --demo -q")
    done = subprocess.run(
        ["bash", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if said else 0), done.stderr
    assert done.stderr.startswith(said)


def test_costs_are_charged(backtest, tmp_path):
    file = str(a_file(tmp_path, a_walk()))
    result = json.loads(
        backtest("--ticks", file, "--fills", "touch", "--fee", "0.01/share", "--slippage-bps", "1", "--json").out
    )
    for trade in result["trades"]:
        costs = sum(float(trade[name]) for name in ("spread_cost", "slippage_cost", "fees"))
        assert float(trade["fees"]) == pytest.approx(0.02)
        assert float(trade["net"]) == pytest.approx(float(trade["gross"]) - costs)
        assert costs > 0.02


@pytest.mark.parametrize(
    ("fills", "spread", "said"),
    [
        ("last", (), "none"),
        *((fills, (), "that of the quotes") for fills in ("touch", "through", "worst")),
        ("through", ("--spread", "0.05"), "0.05"),
    ],
)
def test_the_table_says_which_spread_is_paid(backtest, tmp_path, fills, spread, said):
    done = backtest("--ticks", str(a_file(tmp_path, a_walk())), "--fills", fills, *spread, "-q")
    assert re.search(rf"^spread +{said}$", done.out, re.MULTILINE), done.out


def test_quotes_from_a_file_of_their_own_give_the_same_fills(backtest, tmp_path):
    rows = [line.split(",") for line in a_walk().splitlines()[1:]]
    whole = a_file(tmp_path, a_walk())
    trades = "timestamp,price,size\n" + "".join(f"{row[0]},{row[1]},{row[2]}\n" for row in rows)
    quotes = "timestamp,bid,ask\n" + "".join(f"{row[0]},{row[3]},{row[4]}\n" for row in rows)
    pair = ("--ticks", str(a_file(tmp_path, trades, "t.csv")), "--quotes", str(a_file(tmp_path, quotes, "q.csv")))
    merged = backtest(*pair, "--fills", "touch", "--json")
    assert merged.code == 0, merged.err
    assert json.loads(merged.out)["trades"] == [
        {**trade, "symbol": "t"}
        for trade in json.loads(backtest("--ticks", str(whole), "--fills", "touch", "--json").out)["trades"]
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("timestamp,price,size\n1704205800,1.0,1\n1704205801,nan,1\n", "ticks.csv:3: "),
        ("timestamp,price,size\n1704205800,1.0,1\n1704205801,1.\x00", "ticks.csv: the file is not text"),
        ("timestamp,price,size\n1704205800,1.0,1\n1704205801,1.0\n", "ticks.csv:3: "),
        ("", "ticks.csv: "),
        ("time of day,cost\n1,2\n", "ticks.csv"),
    ],
)
def test_a_bad_file_ends_with_4(backtest, tmp_path, text, line):
    done = backtest("--ticks", str(a_file(tmp_path, text)))
    assert done.code == 4
    assert line in done.error
    assert done.error.startswith("error: ")
    assert done.out == ""


def test_bad_rows_can_be_skipped_and_are_counted(backtest, tmp_path):
    rows = a_walk().splitlines()
    rows.insert(50, "1704205802400000000,nan,1,1,1")
    file = a_file(tmp_path, "\n".join(rows) + "\n")
    done = backtest("--ticks", str(file), "--on-bad-row", "skip", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["ticks"] == 4000
    assert "skipped rows" in done.err
    assert ":51: " in done.err


def test_a_cut_gzip_ends_with_4(backtest, tmp_path):
    packed = gzip.compress(a_walk().encode())
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    done = backtest("--ticks", str(tmp_path / "cut.csv.gz"))
    assert done.code == 4
    assert "cut.csv.gz" in done.error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--ticks", "none.csv"], 4, "none.csv"),
        (["--demo", "--strategy", "momentm"], 5, "did you mean 'momentum_burst'?"),
        (["--demo", "--strategy", "none.py:X"], 5, "none.py: there is no such strategy file"),
        (
            ["--demo", "--set", "windw=7s"],
            3,
            "flag --set windw: MomentumBurst has no parameter 'windw'; did you mean 'window'?",
        ),
        (["--demo", "--set", "window=0s"], 3, "flag --set window: 0s is out of bounds"),
        (["--demo", "--set", "direction=up"], 3, "flag --set direction: 'up' is not allowed"),
        (["--demo", "--calendar", "mars"], 3, "there is no calendar 'mars'"),
        (["--demo", "--fee", "free"], 3, "flag --fee: paper.fee: 'free' is not a fee"),
        (["--demo", "--fil", "last"], 2, "No such option: --fil"),
    ],
)
def test_mistakes_are_one_line(backtest, arguments, code, said):
    done = backtest(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.error


def test_touch_without_quotes_ends_with_4_unless_a_spread_is_given(backtest, tmp_path):
    rows = [",".join(line.split(",")[:3]) for line in a_walk().splitlines()]
    file = str(a_file(tmp_path, "\n".join(rows) + "\n"))
    done = backtest("--ticks", file, "--fills", "touch", "-q")
    assert done.code == 4
    assert "--spread" in done.error
    assert backtest("--ticks", file, "--fills", "touch", "--spread", "0.02").code == 0


RAISES = """from engine.rules import Stop, change, milliseconds, pct
from engine.strategy import Strategy

class Mine(Strategy):
    long = change(milliseconds(500)) > pct("0.001")
    exits = Stop(pct(1))

    def {method}:
        return {what}
"""


@pytest.mark.parametrize(
    ("method", "what", "said"),
    [
        ("on_fire(self, context, side)", "1 / 0", "9: Mine.on_fire raised ZeroDivisionError: division by zero"),
        ("on_tick(self, tick)", "tick.prize", "9: Mine.on_tick raised AttributeError: 'Tick' object has no attribute"),
        ("on_fire(self, context, side)", "'buy'", "8: Mine.on_fire returned 'buy'; return a Signal, or None"),
    ],
)
@pytest.mark.parametrize("verb", ["backtest", "run"])
def test_a_strategy_that_fails_while_it_runs_names_its_line(run, tmp_path, verb, method, what, said):
    file = tmp_path / "mine.py"
    file.write_text(RAISES.format(method=method, what=what))
    source = ["--demo"] if verb == "backtest" else ["--fills", "last", "--duration", "60s"]
    done = run("engine", verb, *source, "--strategy", f"{file}:Mine")
    assert done.code == 3
    assert "Traceback" not in done.err + done.out
    assert [line for line in done.err.splitlines() if line.startswith("error: ")] == [done.err.splitlines()[-1]]
    assert f"error: {file}:{said}" in done.err


@pytest.mark.parametrize("package", ["engine", "mock_server"])
def test_a_file_here_that_is_called_like_a_library_is_not_taken_for_it(run, tmp_path, package):
    """``python -m`` searches the current directory first; people name files as they like."""
    for name in ("attr", "signal", "random", "rich", "orjson"):
        (tmp_path / "empty" / f"{name}.py").write_text("raise SystemExit('this is not a library')\n")
    assert run(package, "--help").code == 0
    assert run("engine", "backtest", "--demo", "-q").code == 0


def test_a_broken_strategy_file_names_its_line(backtest, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import engine\nclass X(:\n")
    done = backtest("--demo", "--strategy", f"{file}:X")
    assert done.code == 3
    assert done.error.startswith(f"error: {file}:2: SyntaxError")
