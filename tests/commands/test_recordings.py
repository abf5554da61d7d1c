"""The verbs that run on a recording have the same flags for it, and never write over it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from engine.cli import main
from engine.commands.groups import with_groups
from mock_server.market import generate

VERBS = (
    ("backtest",),
    ("features", "--feature", "last=price"),
    ("explain", "--why-not"),
    ("whatif", "--set", "window=7s"),
    ("lookahead", "momentum_burst"),
    ("strategy", "check", "momentum_burst"),
)

GOOD = "".join(f"2024-01-02T14:30:{second:02}Z,{100 + second % 3},10\n" for second in range(40))
BARS = "timestamp,open,high,low,close,volume\n" + "".join(
    f"2024-01-02T14:{minute:02}:00,100,101,99,100,10\n" for minute in range(5)
)


def run(capsys, *arguments) -> tuple[int, str, list[str]]:
    """The exit code, standard output, and standard error as lines."""
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return ended.value.code, told.out, told.err.splitlines()


@pytest.fixture
def dirty(tmp_path):
    """A tick file with one row that is none."""
    file = tmp_path / "dirty.csv"
    file.write_text("timestamp,price,size\n" + GOOD + "2024-01-02T14:31:00Z,abc,10\n2024-01-02T14:31:01Z,101,10\n")
    return file


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_what_is_advised_about_a_bad_row_works(verb, dirty, capsys):
    code, _, lines = run(capsys, *verb, "--ticks", dirty)
    assert code == 4
    assert len(lines) == 1
    assert f"{dirty.name}:42:" in lines[0]
    assert lines[0].endswith("--on-bad-row skip")

    code, out, lines = run(capsys, *verb, "--ticks", dirty, "--on-bad-row", "skip", "--json")
    assert code in (0, 3)  # 3: the check has found something to say about these few ticks
    assert [line for line in lines if line.startswith("skipped rows: ")] != []
    assert json.loads(out)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    ("flags", "code", "what"),
    [
        (("--on-bad-row", "ignore"), 2, "--on-bad-row ignore is neither stop nor skip"),
        (("--bar-stamps", "middle"), 2, "--bar-stamps middle is neither start nor end"),
        (("--zone", "Mars/Olympus"), 3, "flag --zone: there is no time zone 'Mars/Olympus'; write it as in"),
        (("--bar-period", "1x"), 3, "flag --bar-period: '1x' is not a duration"),
        (("--bar-period", "0s"), 3, "flag --bar-period: "),
        (("--quotes", "quotes.csv"), 2, "--quotes has no meaning with --bars FILE"),
    ],
)
def test_a_flag_that_means_nothing_is_one_line(verb, flags, code, what, tmp_path, capsys):
    file = tmp_path / "bars.csv"
    file.write_text(BARS)
    found, out, lines = run(capsys, *verb, "--bars", file, *flags)
    assert (found, out, len(lines)) == (code, "", 1)
    assert lines[0].startswith(f"error: {what}")


@pytest.mark.parametrize(
    "verb", [*(one for one in VERBS if one[0] != "features"), ("montecarlo",), ("stress",)], ids=" ".join
)
def test_a_setting_that_shows_to_be_wrong_on_the_way_is_named_with_its_place(verb, tmp_path, monkeypatch, capsys):
    file = tmp_path / "good.csv"
    file.write_text("timestamp,price,size\n" + GOOD)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "microburst.toml").write_text("[paper]\nstarting_cash = 1e26\n")
    code, out, lines = run(capsys, *verb, *(() if verb == ("stress",) else ("--ticks", file)))
    assert (code, out) == (3, "")
    assert lines[-1].startswith("error: microburst.toml:2: paper.starting_cash: an account of 1e+26 cannot be kept")


def test_a_backtest_outside_every_session_says_so(tmp_path, capsys):
    file = tmp_path / "good.csv"
    file.write_text("timestamp,price,size\n" + GOOD.replace("2024-01-02", "2024-01-06"))
    said = "nothing was traded: no record is in a session of the calendar us_equities; name that of the exchange"
    for flags in ((), ("--spread", "0.01", "--fills", "ladder")):
        code, _, lines = run(capsys, "backtest", "--ticks", file, "--calendar", "us_equities", *flags, "--quiet")
        assert (code, [line.startswith(said) for line in lines]) == (0, [True])
        assert run(capsys, "backtest", "--ticks", file, "--quiet", *flags)[2] == []


NEVER = """
from engine.rules import TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Never(Strategy):
    long = (change(seconds(2)) >= pct(1)) & (change(seconds(2)) >= pct(50))
    exits = TimeStop(seconds(60))
"""


def test_what_is_open_at_the_end_of_the_data_is_told_of_near_misses_too(tmp_path, capsys):
    file, strategy = tmp_path / "up.csv", tmp_path / "never.py"
    strategy.write_text(NEVER)
    rows = (f"2024-01-02T14:30:{second:02}Z,{105 if second > 30 else 100},10\n" for second in range(40))
    file.write_text("timestamp,price,size\n" + "".join(rows))
    code, out, _ = run(capsys, "explain", "--ticks", file, "--why-not", "--strategy", f"{strategy}:Never")
    assert code == 0
    assert "\nstill open at the end of the data: 1 near misses\n" in out


def test_strategies_in_quotes_that_are_not_closed_are_wrong_usage(tmp_path, capsys):
    code, _, lines = run(capsys, "compare", "--a", "momentum_burst 'x", "--b", "smoke_test", "--ticks", tmp_path / "no")
    assert (code, len(lines)) == (2, 1)
    assert "names none (No closing quotation); write 'NAME KEY=VALUE ...'" in lines[0]


def test_a_strategy_that_never_trades_is_compared_with_one_that_does(tmp_path, capsys):
    file = tmp_path / "good.csv"
    file.write_text("timestamp,price,size\n" + GOOD)
    code, out, lines = run(capsys, "compare", "--a", "momentum_burst", "--b", "smoke_test", "--ticks", file)
    assert (code, lines) == (0, [])
    assert re.search(r"^trades +0 +[1-9]", out, re.MULTILINE)


def test_a_name_that_is_too_long_for_a_file_is_one_line(capsys):
    for flags in (("--ticks", "x" * 300), ("--demo", "--report", "x" * 300 + ".csv"), ("--demo", "--save", "x" * 300)):
        code, _, lines = run(capsys, "backtest", "--quiet", *flags)
        assert (code in (3, 4), len(lines), "File name too long" in lines[0]) == (True, 1, True)


def test_more_days_than_there_can_be_are_refused(tmp_path, capsys):
    code, _, lines = run(capsys, "backtest", "--demo", "--quiet", "--days", "9" * 30)
    assert (code, len(lines), "are more than any recording has" in lines[0]) == (3, 1, True)


def test_a_kept_run_whose_figures_are_none_is_listed_as_damaged(tmp_path, capsys):
    assert run(capsys, "backtest", "--demo", "--quiet", "--save", tmp_path)[0] == 0
    (folder,) = tmp_path.iterdir()
    head = json.loads((folder / "run.json").read_text())
    head["result"]["metrics"]["net"] = "much"
    (folder / "run.json").write_text(json.dumps(head))
    code, out, lines = run(capsys, "runs", tmp_path)
    assert (code, lines, "parts of run.json are missing" in out) == (0, [], True)


def test_a_size_of_nothing_is_refused(capsys):
    for size in ("0 units", "$0", "0% risk", "0", "kelly 55% cap 0%"):
        code, _, lines = run(capsys, "backtest", "--demo", "--size", size)
        assert (code, lines) == (
            3,
            [f"error: flag --size: sizing.size: a size of {size} enters nothing; write more than 0"],
        )


def test_a_ratio_without_its_sign_is_refused(capsys):
    code, _, lines = run(capsys, "backtest", "--demo", "--set", "stop_loss=5")
    assert (code, lines) == (3, ["error: flag --set stop_loss: 5 is 500%; write it with its %, such as 5%"])


def test_a_flag_of_files_without_a_file_is_refused(capsys):
    code, _, lines = run(capsys, "strategy", "check", "momentum_burst", "--symbol", "AAPL")
    assert code == 2
    assert lines == ["error: one of --ticks FILE and --bars FILE is needed; name the file to run on"]


def test_columns_never_take_the_place_of_what_is_read(tmp_path, capsys):
    ticks, quotes = tmp_path / "ticks.csv", tmp_path / "quotes.csv"
    ticks.write_text("timestamp,price,size\n" + GOOD)
    quotes.write_text("timestamp,bid,ask\n2024-01-02T14:30:00Z,99,101\n")
    link = tmp_path / "link.csv"
    link.symlink_to(ticks)
    before = ticks.read_bytes(), quotes.read_bytes()
    for out in (ticks, quotes, link, tmp_path / "." / "ticks.csv"):
        flags = ("--ticks", ticks, "--quotes", quotes, "--feature", "last=price", "--out", out)
        code, _, lines = run(capsys, "features", *flags)
        assert code == 3
        assert len(lines) == 1
        assert "this file is read, and would be lost" in lines[0]
    assert before == (ticks.read_bytes(), quotes.read_bytes())
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    code, _, lines = run(capsys, "features", "--ticks", ticks, "--feature", "last=price", "--out", folder)
    assert code == 3
    assert "this is a folder" in lines[0]


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_ctrl_c_is_one_line(verb, dirty, capsys, monkeypatch):
    monkeypatch.setattr("engine.store.ticks.read_ticks", interrupt)
    assert run(capsys, *verb, "--ticks", dirty) == (130, "", ["error: interrupted"])


def test_ctrl_c_leaves_no_half_of_a_file(dirty, tmp_path, capsys, monkeypatch):
    def half(*_):
        yield b"timestamp,"
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.tools.feature_files._csv_parts", half)
    flags = ("--ticks", dirty, "--on-bad-row", "skip", "--feature", "last=price", "--out", tmp_path / "out.csv")
    code, out, lines = run(capsys, "features", *flags)
    assert (code, out, lines[-1]) == (130, "", "error: interrupted")
    assert list(tmp_path.iterdir()) == [dirty]


def test_ctrl_c_while_the_program_is_loaded_is_one_line():
    slow = """
import runpy, sys
class Slow:
    def find_spec(self, name, *_):
        if name == "engine.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Slow())
runpy.run_module("engine", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", slow], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "error: interrupted\n")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two flags that belong together."""

    left: Annotated[int, typer.Option("--left")] = 1
    right: Annotated[int, typer.Option("--right")] = 2


def test_the_fields_of_a_group_are_flags_where_the_group_stands():
    said: list[object] = []
    app = typer.Typer()

    @app.command()
    @with_groups
    def verb(name: Annotated[str, typer.Argument()], pair: Pair, last: Annotated[int, typer.Option("--last")] = 3):
        """Say it."""
        said.append((name, pair, last))

    runner = CliRunner()
    assert runner.invoke(app, ["x", "--right", "7"]).exit_code == 0
    assert said == [("x", Pair(1, 7), 3)]
    text = runner.invoke(app, ["--help"]).output
    assert "Say it." in text
    assert text.index("--left") < text.index("--right") < text.index("--last")
    assert runner.invoke(app, ["x", "--pair", "7"]).exit_code == 2


def test_what_was_held_back_fits_a_terminal_of_eighty_columns(tmp_path, capsys):
    file = tmp_path / "ticks.csv"
    market = generate(20_000, seed=3)
    rows = zip(market.ts_ns.tolist(), market.price_ticks.tolist(), market.size_lots.tolist(), strict=True)
    file.write_text("timestamp,price,size\n" + "".join(f"{ts},{price / 100:.2f},{size}\n" for ts, price, size in rows))
    code, out, _ = run(capsys, "explain", "--why-not", "--ticks", file, "--spread", "0.02", "--fee", "0.005/share")
    tables = out.splitlines()[2:]
    assert code == 0
    assert any(line.startswith("short  move <= -entry_threshold") for line in tables)
    assert max(map(len, tables)) <= 80
