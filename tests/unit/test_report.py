"""The report: one file that needs nothing else, whose pictures and tables say what the result says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import engine
from engine.commands.report import write_report
from engine.errors import MissingExtraError
from engine.results import ROW_FIELDS
from engine.sessions.trading_calendar import calendar
from engine.tools.report.charts import HEIGHT, Column, bars, columns, scatter, ticks
from engine.tools.report.page import REASONS, report_page
from engine.tools.report.series import MAX_POINTS, segments
from engine.tools.report.tables import TABLE_ROWS
from engine.tools.report.words import money, number, percent, seconds
from mock_server.market import generate

VOID = {"meta", "br", "line", "rect", "path", "input"}
HOUR_NS = 3600 * 10**9


class Page(HTMLParser):
    """Checks that every element is closed where it was opened, and collects what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.words).append(data)


@pytest.fixture(scope="module")
def result() -> engine.BacktestResult:
    ticks = generate(120_000)._asdict()
    return engine.backtest(ticks, "momentum_burst", symbol="AAPL", fee="0.002/share", slippage_bps="0.1")


@pytest.fixture(scope="module")
def page(result) -> Page:
    return Page(report_page(result))


def test_it_needs_nothing_from_outside(result):
    text = report_page(result)
    assert not re.search(r"https?:|//cdn|@import|url\(|\bsrc=|<link|fetch\(|XMLHttp", text)
    assert len(text) < 1_000_000


def test_a_day_of_five_thousand_trades_is_still_less_than_a_megabyte():
    ticks = generate(600_000)._asdict()
    many = engine.backtest(ticks, "smoke_test", daily_loss_limit="100%", cooldown_signals=0)
    assert len(many.trades) > TABLE_ROWS
    assert len(report_page(many).encode()) < 1_000_000


def test_the_headline_and_the_tables_say_what_the_result_says(result, page):
    words = page.words
    metrics = result.metrics
    assert len(result.trades) > 20
    assert money(float(metrics["net"]), True) in words
    assert f"{metrics['trades']:,}" in words
    assert percent(metrics["win_rate"]) in words
    assert result.run_id in words
    assert result.decision_hash in words
    assert result.passport["code_sha256"] in words
    for reason in metrics["by_reason"]:
        assert reason in words


def test_the_figure_has_every_trade_and_the_equity_of_the_result(result, page):
    data = json.loads(page.scripts[0])
    assert [(row[7], row[10]) for row in data["trades"]] == [(t.reason, float(t.net)) for t in result.trades]
    assert data["equity"]["v"][-1] == pytest.approx(10_000 + float(result.metrics["net"]))
    assert len(data["equity"]["t"]) == len(data["equity"]["v"]) == len(result.trades) + 1
    [symbol] = data["symbols"]
    assert len(symbol["t"]) == len(symbol["p"]) <= MAX_POINTS
    prices = result.file.block.price_ticks
    assert (min(symbol["p"]), max(symbol["p"])) == (prices.min() / 100, prices.max() / 100)


def test_a_hostile_name_stays_a_name():
    name = "</script><img src=x onerror=alert(1)>&'\""
    ticks = generate(60_000)._asdict()
    found = Page(report_page(engine.backtest(ticks, "momentum_burst", symbol=name)))
    assert name in found.words
    assert not any(key == "onerror" for key, _ in found.attributes)
    assert json.loads(found.scripts[0])["symbols"][0]["name"] == name


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_run_without_trades_has_a_report(count):
    ticks = {name: of[:count] for name, of in generate(500)._asdict().items() if of is not None}
    found = Page(report_page(engine.backtest(ticks, "momentum_burst")))
    assert "no trades" in found.words


def test_every_exit_reason_has_words():
    assert set(REASONS) == {reason.value for reason in engine.model.Reason}


def test_the_waterfall_is_drawn_to_scale():
    chart = columns([Column("a", 0, 8, "up", "a"), Column("b", 8, 6, "cost", "b"), Column("c", 0, 6, "up", "c")])
    heights = [float(height) for height in re.findall(r' height="([\d.]+)"', chart)]
    tops = [float(top) for top in re.findall(r'<rect[^>]* y="([\d.]+)"', chart)]
    assert heights[0] - heights[1] == pytest.approx(heights[2], abs=0.2)
    assert tops[0] == tops[1] < tops[2]
    assert all(top + height < HEIGHT for top, height in zip(tops, heights, strict=True))


def test_charts_of_nothing_and_of_zero():
    assert "no trades" in columns([]) + bars([])
    assert Page(bars([("x", 0.0, "")]) + scatter([], "x") + columns([Column("a", 0, 0, "up", "a")])).words


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_ticks_of_an_axis_are_within_it_and_few(low, span):
    assume(span > abs(low) * 1e-9)  # prices and money; where neighbouring doubles are all there is, nothing is round
    found = ticks(low, low + span)
    assert all(low - span * 1e-6 <= one <= low + span * 1.000001 for one in found)
    assert 1 <= len(found) <= 8


def test_nights_are_left_out_of_the_axis():
    """Two hours of records on Friday and one on Monday: the weekend takes as much room as 1.2 % of three hours."""
    minutes = np.arange(0, 121) * 60 * 10**9
    ts_ns = np.concatenate([minutes, 72 * HOUR_NS + minutes[:61]])
    found = segments(calendar("always").clock, ts_ns, 0, int(ts_ns[-1]))
    hour = HOUR_NS // 10**6
    assert found == [[0, 2 * hour, 0], [72 * hour, 73 * hour, 2 * hour + round(0.012 * 3 * hour)]]


def test_bars_of_days_are_no_gaps():
    days = np.arange(10) * 24 * HOUR_NS
    assert len(segments(calendar("always").clock, days, 0, int(days[-1]))) == 1


def test_words():
    assert [number(None), percent(None), seconds(None)] == ["–", "–", "–"]
    assert [money(-1234.5), money(0.0123, True), money(0), money(-0.00001)] == [
        "−1,234.50",
        "+0.0123",
        "0.00",
        "0.0000",
    ]
    assert [seconds(1_500_000_000), seconds(600 * 10**9), seconds(9 * HOUR_NS)] == ["1.50 s", "10.0 min", "9.0 h"]
    assert [number(-1.234), percent(-0.5)] == ["−1.23", "−50.0 %"]


def test_every_ending_writes_the_same_trades(result, tmp_path):
    for ending in ("html", "txt", "json", "csv", "parquet"):
        assert write_report(tmp_path / f"r.{ending}", result, "the tables\n").startswith("report: ")
    assert (tmp_path / "r.txt").read_text() == "the tables\n"
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[:2] == [f"# run {result.run_id}", ",".join(ROW_FIELDS)]
    assert len(lines) == 2 + len(result.trades)
    frame = pl.read_parquet(tmp_path / "r.parquet")
    assert frame["mae"].to_list() == [float(row["mae"]) for row in result.trade_rows]
    saved = json.loads((tmp_path / "r.json").read_text())
    assert [trade["net"] for trade in saved["trades"]] == [float(trade.net) for trade in result.trades]


def test_parquet_names_the_extra_that_it_needs(result, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingExtraError):
        write_report(tmp_path / "r.parquet", result, "")
