"""Exits of trades in files: every format says the same, and the exits of a trade add up to it, to the unit."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import engine
from engine.commands.report import write_report
from engine.results import LEG_FIELDS, BacktestResult
from engine.rules import Stop, Target, TimeStop, change, pct, seconds
from engine.strategy import Strategy
from engine.tools.runs import load, save
from mock_server.market import generate

MONEY = ("gross", "spread_cost", "slippage_cost", "fees", "borrow_cost", "net")


class InParts(Strategy):
    """Takes its profit in thirds, at the market and at the venue."""

    long = change(seconds(5)) >= pct("0.02")
    short = change(seconds(5)) <= pct("-0.02")
    exits = (
        Stop(pct("0.05")),
        Target(pct("0.01"), share=pct(33)),
        Target(pct("0.02"), share=pct(33), resting=True),
        TimeStop(seconds(20)),
    )


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    ticks = generate(30_000)._asdict()
    costs = {"fee": "0.3bps", "slippage_bps": "1/3", "borrow_rate": "900%", "fills": "touch", "spread": "0.01"}
    return engine.backtest(ticks, InParts, symbol="AAPL", position_size=7, daily_loss_limit="100%", **costs)


def added_up(rows: list[dict[str, Any]]) -> dict[int, dict[str, Decimal]]:
    """What the exits of each trade come to, by its number."""
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys((*MONEY, "qty"), Decimal(0)))
    for row in rows:
        for name in (*MONEY, "qty"):
            sums[int(row["trade"])][name] += Decimal(row[name])
    return sums


def test_they_add_up_to_the_trade_exactly(result: BacktestResult, tmp_path: Path) -> None:
    assert any(len(trade.legs) == 3 for trade in result.trades)
    assert any(trade.borrow_units for trade in result.trades)
    for rows in (
        result.leg_rows,
        list(csv.DictReader(written(result, tmp_path, "a.legs.csv").read_text().splitlines()[1:])),
    ):
        sums = added_up(rows)
        assert len(sums) == len(result.trades)
        for number, trade in enumerate(result.trades, start=1):
            assert sums[number] == {name: getattr(trade, name) for name in (*MONEY, "qty")}


def written(result: BacktestResult, folder: Path, name: str) -> Path:
    write_report(folder / name, result, "")
    return folder / name


def test_every_file_has_the_same_exits(result: BacktestResult, tmp_path: Path) -> None:
    lines = written(result, tmp_path, "r.legs.csv").read_text().splitlines()
    assert lines[:2] == [f"# run {result.run_id}", ",".join(LEG_FIELDS)]
    assert len(lines) == 2 + len(result.leg_rows)
    frame = pl.read_parquet(written(result, tmp_path, "r.legs.parquet"))
    assert frame.columns == [*LEG_FIELDS, "time"]
    assert frame["net"].to_list() == [float(row["net"]) for row in result.leg_rows]
    assert frame["ts_ns"].to_list() == [row["ts_ns"] for row in result.leg_rows]
    told = json.loads(written(result, tmp_path, "r.json").read_text())["trades"]
    flat = [leg for trade in told for leg in trade["legs"]]
    assert [leg["fees"] for leg in flat] == frame["fees"].to_list()
    assert set(flat[0]) == set(LEG_FIELDS) - {"trade", "leg", "symbol", "side"}
    assert [trade["legs"][-1]["reason"] for trade in told] == [str(trade.reason) for trade in result.trades]


def test_a_kept_run_has_them(result: BacktestResult, tmp_path: Path) -> None:
    folder = save(result, tmp_path, 1_700_000_000_000_000_000)
    lines = (folder / "legs.csv").read_text().splitlines()
    assert lines == written(result, tmp_path, "r.legs.csv").read_text().splitlines()[1:]
    assert pl.read_parquet(folder / "legs.parquet").height == len(result.leg_rows)
    assert len(load(folder).trades) == len(result.trades)


def test_the_trades_stay_one_on_a_row(result: BacktestResult, tmp_path: Path) -> None:
    assert len(written(result, tmp_path, "legs.csv").read_text().splitlines()) == 2 + len(result.trades)


def test_without_trades_there_are_no_exits() -> None:
    empty = engine.backtest(generate(50)._asdict(), InParts, symbol="AAPL")
    assert (empty.leg_rows, empty.legs_frame().columns) == ([], [*LEG_FIELDS, "time"])
