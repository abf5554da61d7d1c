"""The verbs that question a strategy read several files as one, as ``backtest`` does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.backtesting import load_ticks
from engine.cli import main
from engine.store.ticks import write_ticks
from mock_server.market import generate


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two symbols in a file each, and the second's later half in a third; ``folder`` has the same three."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    columns = generate(6_000)._asdict()
    one = load_ticks(columns, symbol="ONE")
    two = load_ticks(columns | {"price_ticks": np.asarray(columns["price_ticks"]) + 700}, symbol="TWO")
    half = len(two.block) // 2
    parts = (one.block, one), (two.block.part(0, half), two), (two.block.part(half, len(two.block)), two)
    for number, (block, file) in enumerate(parts, start=1):
        write_ticks(tmp_path / "folder" / f"{number}.csv", block, file.instruments)
    return [f"folder/{number}.csv" for number in (1, 2, 3)]


def flags(files: list[str]) -> list[str]:
    return [part for path in files for part in ("--ticks", path)]


def test_features_of_several_files(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for source, out in ((flags(files), "a.parquet"), (["--ticks", "folder"], "b.parquet")):
        code, _, err = say(capsys, "features", *source, "--feature", "move=change(seconds(5))", "--out", out)
        assert (code, err) == (0, "")
    whole = pl.read_parquet("a.parquet")
    assert whole.equals(pl.read_parquet("b.parquet"))
    code, _, _ = say(
        capsys, "features", "--ticks", files[0], "--feature", "move=change(seconds(5))", "--out", "one.parquet"
    )
    assert code == 0
    alone = pl.read_parquet("one.parquet")
    assert whole.filter(pl.col("symbol") == "ONE")["move"].equals(alone["move"])
    assert whole.filter(pl.col("symbol") == "TWO").height == alone.height, "both halves, one after the other"


def test_lookahead_and_explain(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "lookahead", "momentum_burst", *flags(files), "--points", "3", "--json")
    assert (code, json.loads(out)["mismatch"]) == (0, None)
    code, out, _ = say(capsys, "explain", *flags(files), "--at", "2040-01-01T00:00:00", "--json")
    assert code == 0
    assert [one["symbol"] for one in json.loads(out)["explanations"]] == ["ONE", "TWO"]
    code, out, _ = say(capsys, "explain", *flags(files), "--why-not", "--json")
    assert code == 0
    assert [one["symbol"] for one in json.loads(out)["instruments"]] == ["ONE", "TWO"]


def test_whatif(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say(capsys, "whatif", *flags(files), "--set", "fee=1bps", "--json")
    assert code == 0
    assert {pair["before"]["symbol"] for pair in json.loads(out)["pairs"]} == {"ONE", "TWO"}


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--quotes", "q.csv"], 2, "--quotes goes with one tick file"),
        (["--bars", "folder"], 2, "not both"),
    ],
)
def test_what_does_not_go_together(
    files: list[str], capsys: pytest.CaptureFixture[str], more: list[str], code: int, said: str
) -> None:
    found, _, err = say(capsys, "explain", *flags(files), "--why-not", *more)
    assert (found, said in err) == (code, True)


def test_an_output_never_replaces_an_input(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = say(capsys, "features", *flags(files), "--feature", "p=price", "--out", files[2])
    assert code == 3
    assert len(err.splitlines()) == 1
