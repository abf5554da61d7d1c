"""Runs that are kept: what is read is what was written, exactly, or one line says what is wrong."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

import engine
from engine import cli
from engine.errors import DataError, ExitCode, NotFoundError, UserError
from engine.results import ROW_FIELDS
from engine.tools.runs import RUN_FILE, SavedTrade, load, plain_decimal, runs_in, save
from mock_server.market import generate

SAVED_NS = 1_700_000_000_123_456_789  # 2023-11-14 22:13:20 UTC


@pytest.fixture(scope="module")
def result() -> engine.BacktestResult:
    ticks = generate(60_000)._asdict()
    return engine.backtest(ticks, "momentum_burst", symbol="AAPL", fee="0.3bps", starting_cash="10000/3")


@pytest.fixture
def folder(result, tmp_path) -> Path:
    return save(result, tmp_path / "deep" / "runs", SAVED_NS)


def test_a_run_comes_back_to_the_last_digit(result, folder):
    run = load(folder)
    assert len(result.trades) > 5
    assert [tuple(trade) for trade in run.trades] == [
        tuple(row[name] for name in SavedTrade._fields) for row in result.trade_rows
    ]
    assert run.days == result.daily_pnl
    assert run.starting_cash == Fraction(10_000, 3)
    assert (run.run_id, run.decision_hash, run.saved_ns) == (result.run_id, result.decision_hash, SAVED_NS)
    assert run.passport == json.loads(json.dumps(result.passport))
    assert run.strategy == "MomentumBurst"
    assert run.name == f"20231114-221320-MomentumBurst-{result.run_id[:8]}"


def test_the_saved_trade_has_the_fields_of_a_result():
    assert SavedTrade._fields == ROW_FIELDS


def test_equity_ends_where_the_account_does(result, folder):
    lines = (folder / "equity.csv").read_text().splitlines()
    assert lines[0] == "ts_ns,equity"
    assert len(lines) == 1 + len(result.trades)
    portfolio = result.kernel.portfolio
    assert Decimal(lines[-1].split(",")[1]) == portfolio.money(portfolio.starting + portfolio.realised)


def test_parquet_has_the_same_rows(result, folder):
    frame = pl.read_parquet(folder / "trades.parquet")
    assert frame["entry_ts_ns"].to_list() == [trade.entry_ts_ns for trade in result.trades]


def test_nothing_is_ever_replaced(result, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = save(result, folder.parent, SAVED_NS)
    assert again.name == f"{folder.name}-2"
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert [path for path, _ in runs_in(folder.parent)] == [folder, again]


def test_a_run_without_trades(tmp_path):
    quiet = engine.backtest(generate(500)._asdict(), "momentum_burst")
    run = load(save(quiet, tmp_path, SAVED_NS))
    assert (run.trades, dict(run.days), run.metrics["win_rate"]) == ((), quiet.daily_pnl, None)


@pytest.mark.parametrize("name", ["trades.csv", "days.csv", "equity.csv", "trades.parquet"])
def test_a_changed_or_missing_file_is_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"9\n")
    with pytest.raises(DataError, match=rf"{name}: this file was changed"):
        load(folder)
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}: cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "this is not JSON"),
        ("[]", "this is not a run of microburst"),
        ('{"schema": "microburst.run/99"}', "this is microburst.run/99, not microburst.run/1"),
        ('{"schema": "microburst.run/1"}', "parts are missing"),
        ('{"schema": "microburst.run/1", "files": {}, "result": {}}', "parts of this run are missing"),
    ],
)
def test_a_damaged_or_foreign_sheet_is_one_line(folder, text, said):
    (folder / RUN_FILE).write_text(text)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert said in caught.value.line()
    assert caught.value.exit_code == ExitCode.DATA


def test_what_is_no_run_is_not_found(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path, said in (("none", "no such run"), ("file", "not the folder of a run"), ("folder", "holds no run")):
        with pytest.raises(NotFoundError, match=said):
            load(tmp_path / path)
    with pytest.raises(NotFoundError, match="no such folder"):
        runs_in(tmp_path / "none")


def test_the_list_shows_damaged_ones_too(folder):
    broken = folder.parent / "broken"
    shutil.copytree(folder, broken)
    (broken / RUN_FILE).write_text("{")
    found = dict(runs_in(folder.parent))
    assert isinstance(found[broken], UserError)
    assert isinstance(found[folder], dict)


def test_the_list_names_the_file_that_was_changed(result, tmp_path, capsys):
    changed, gone, sound = (save(result, tmp_path, SAVED_NS) for _ in range(3))
    with (changed / "trades.csv").open("a") as file:
        file.write("\n")
    (gone / "equity.csv").unlink()
    assert cli._execute(["runs", str(tmp_path), "--json"]) == 0
    told = {Path(one["folder"]): one for one in json.loads(capsys.readouterr().out)["runs"]}
    assert told[changed]["fault"] == "trades.csv: this file was changed since the run was kept"
    assert told[gone]["fault"].startswith("equity.csv: cannot be read")
    assert told[sound]["run_id"] == result.run_id


def test_a_place_that_cannot_be_written_is_one_line(result, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot keep the run"):
        save(result, tmp_path / "file", SAVED_NS)


def test_the_passport_tells_the_code(result):
    passport = result.passport
    for name in ("input_sha256", "code_sha256", "build_sha256", "strategy_sha256", "config_sha256"):
        assert len(passport[name]) == 64, name
    other = engine.backtest(result.file, "momentum_burst", window="7s")
    assert other.passport["config_sha256"] != passport["config_sha256"]
    assert other.passport["strategy_sha256"] == passport["strategy_sha256"]


@pytest.mark.parametrize(("number", "text"), [("1.500", "1.5"), ("100", "100"), ("0E-12", "0"), ("-0.010", "-0.01")])
def test_decimals_are_written_in_full_and_without_noise(number, text):
    assert plain_decimal(Decimal(number)) == text
