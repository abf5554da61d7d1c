"""The page of a report, put together: headline, the large figure, small charts, tables and the passport."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from engine.account.metrics import WATERFALL
from engine.account.pairs import whole_trades
from engine.calendars import calendar as find_calendar
from engine.tools.report.charts import Column, Point, bars, columns, empty, scatter, with_mark
from engine.tools.report.series import MAX_TRADES, figure_data
from engine.tools.report.tables import TABLE_ROWS, days_table, figures_table, passport_table, trades_table
from engine.tools.report.words import money, number, percent, up_or_down

if TYPE_CHECKING:
    from engine.results import BacktestResult

BINS = 25
SCATTER_POINTS = 1_500

REASONS = {
    "SL": "stop loss",
    "DECAY": "decayed stop",
    "BE": "break-even stop",
    "TRAIL": "trailing stop",
    "OPP": "opposite signal",
    "TP": "profit target",
    "TIME": "time stop",
    "FLAT": "flat market",
    "WHEN": "condition held",
    "RISK": "risk limit",
    "RISK_SL": "account's stop",
    "EOD": "before the close",
    "LEG": "other leg of the pair closed",
    "SESSION": "session ended",
    "MANUAL": "by hand",
    "END": "data ended",
}


def report_page(result: BacktestResult) -> str:
    """Return the whole report as HTML, less than a megabyte."""
    found, metrics = result.to_json(), result.metrics
    name = result.title
    symbols = ", ".join(instrument.symbol for instrument in result.file.instruments)
    title = f"{name} on {symbols}"
    data = orjson.dumps(figure_data(result)).decode().replace("<", "\\u003c")
    options = "".join(f'<option value="{i}">{escape(s.symbol)}</option>' for i, s in enumerate(result.file.instruments))
    picker = f'<select id="symbol" aria-label="symbol">{options}</select>' if len(result.file.instruments) > 1 else ""
    return f"""<!doctype html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: backtest {found["run_id"]}</title>
<style>
{_part("page.css")}</style>
</head>
<body>
<header><div><h1>{escape(title)}</h1><p class="quiet">{escape(_subtitle(result))}</p></div>
<button id="theme" type="button">Light or dark</button></header>
<section class="cards">{"".join(_card(*card) for card in _cards(metrics))}</section>
<section class="panel">
<div class="head"><div><h2>Price, trades and equity</h2><p class="quiet">{escape(_legend(result))}</p></div>
<div>{picker} <button id="everything" type="button">Show everything</button></div></div>
<div id="figure"><canvas role="img" aria-label="Price with entries and exits, equity, drawdown"></canvas>
<div id="hover"></div></div>
</section>
<section class="grid">{"".join(_panel(*chart) for chart in _charts(result))}</section>
{_panel("Every figure", "A dash: not defined. docs/reference/metrics.md defines each.", figures_table(metrics))}
{_panel("Days", _days_note(metrics), days_table(metrics))}
{_panel("Trades", _trades_note(result), trades_table(result))}
{_panel("Passport", "What decided this result. Equal passports give equal results.", passport_table(found))}
<script id="data" type="application/json">{data}</script>
<script>
{_part("page.js")}</script>
</body>
</html>
"""


@cache
def _part(name: str) -> str:
    return files("engine.tools.report").joinpath(name).read_text(encoding="utf-8")


def _panel(title: str, note: str, content: str) -> str:
    return f'<section class="panel"><h2>{escape(title)}</h2><p class="quiet">{escape(note)}</p>{content}</section>\n'


def _subtitle(result: BacktestResult) -> str:
    metrics = result.metrics
    days = metrics["daily"]
    period = "no records"
    if days:
        period = days[0]["day"] if len(days) == 1 else f"{days[0]['day']} to {days[-1]['day']}"
    parameters = ", ".join(f"{name} {value}" for name, value in result.passport["parameters"].items())
    return f"{period} · {metrics['ticks']:,} records · run {result.run_id} · {parameters or 'no parameters'}"


def _legend(result: BacktestResult) -> str:
    clock = find_calendar(result.settings.calendar).clock.name
    more = f" The first {MAX_TRADES:,} trades are drawn." if len(result.trades) > MAX_TRADES else ""
    return (
        f"▲ long and ▼ short entries, ○ exits; a solid line joins a trade that won, a dashed one a trade that lost. "
        f"Wheel zooms, dragging moves, the pointer tells. Times: {clock}.{more}"
    )


# --- Headline ---------------------------------------------------------------------------------------------------------


def _cards(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield value, name and class of the figures that one looks for first."""
    net = metrics["net"]
    yield money(float(net), True), "net, after all costs", up_or_down(float(net))
    yield percent(metrics["total_return"], 3, signed=True), "return on the starting cash", ""
    yield money(-float(metrics["max_drawdown"])), "largest drawdown", ""
    yield f"{metrics['trades']:,}", "trades", ""
    yield percent(metrics["win_rate"], 1), "won", ""
    yield number(metrics["profit_factor"]), "profit factor", ""
    if metrics["sharpe"] is None:
        yield number(metrics["sqn"]), "system quality number", ""
    else:
        yield number(metrics["sharpe"]), "Sharpe ratio of days", ""
    yield number(metrics["break_even_bps"]), "break-even cost, bps a side", ""


def _card(value: str, name: str, style: str) -> str:
    return f'<div class="card"><b class="{style}">{escape(value)}</b><span>{escape(name)}</span></div>'


def _days_note(metrics: Mapping[str, Any]) -> str:
    return f"{len(metrics['daily'])} trading days; open positions are marked at the end of each."


def _trades_note(result: BacktestResult) -> str:
    count = len(result.trades)
    shown = f"The first {TABLE_ROWS:,} of {count:,}; " if count > TABLE_ROWS else ""
    return f"{shown}times are UTC. Click one to see it in the figure. Worst and best: what it stood at before costs."


# --- Charts -----------------------------------------------------------------------------------------------------------


def _charts(result: BacktestResult) -> Iterator[tuple[str, str, str]]:
    metrics = result.metrics
    yield "From gross to net", "What the trades made at the mid, and what each cost took.", _waterfall(metrics)
    note = f"Net of each trade; the dashed line is the mean, {money(float(metrics['expectancy'] or 0), True)}."
    yield "Distribution", note, _distribution([float(t.net) for t in whole_trades(result.trades) if t.reason != "END"])
    rows = [
        (reason, float(group["net"]), f"{REASONS.get(reason, '')} · {group['trades']:,}")
        for reason, group in metrics["by_exit"].items()
    ]
    yield "By exit reason", "Net of the trades that each exit closed, and how many.", bars(rows)
    yield (
        "By hour of entry",
        "Net, on the exchange's clock; the number is that of trades.",
        _columns_of(metrics["by_hour"]),
    )
    if len(metrics["by_weekday"]) > 1:
        yield "By weekday of entry", "Net; the number is that of trades.", _columns_of(metrics["by_weekday"])
    if len(metrics["daily"]) > 1:
        yield "By day", "Result of each trading day, open positions marked at its end.", _day_columns(metrics["daily"])
    if len(result.by_strategy) > 1:
        parts = [(name, float(part["net"]), f"{part['trades']:,} trades") for name, part in result.by_strategy.items()]
        yield "By strategy", "Net of each strategy's trades.", bars(parts)
    sides = [
        (side, float(group["net"]), f"{group['trades']:,} trades, {percent(group['win_rate'])}")
        for side, group in metrics["by_side"].items()
    ]
    yield "Long and short", "Net of each side, its trades and how many of them won.", bars(sides)
    yield "How far it went wrong first", "Net of each trade against its worst moment: ▲ won, ▼ lost.", _worst(result)


def _waterfall(metrics: Mapping[str, Any]) -> str:
    """Columns that begin where the one before ended; net stands on its own and ends at the same height."""
    marks, level = [], 0.0
    for name in WATERFALL:
        amount = float(metrics[name])
        words = name.replace("_cost", "").replace("_", " ")
        if name in ("gross", "net"):
            marks.append(
                Column(words, 0.0, amount, up_or_down(amount), f"{words} {money(amount, True)}", money(amount, True))
            )
            level = amount
            continue
        shown = money(-amount, True)
        marks.append(Column(words, level, level - amount, "cost", f"{words} {shown}", shown))
        level -= amount
    return columns(marks, linked=True)


def _distribution(nets: Sequence[float]) -> str:
    if not nets:
        return empty()
    counts, edges = np.histogram(nets, bins=min(BINS, max(5, len(nets) // 2)))
    middles = (edges[1:] + edges[:-1]) / 2
    marks = [
        Column(
            money(middle, True),
            0,
            int(count),
            up_or_down(middle),
            f"{money(low, True)} to {money(high, True)}: {count} trades",
        )
        for middle, low, high, count in zip(
            middles.tolist(), edges[:-1].tolist(), edges[1:].tolist(), counts, strict=True
        )
    ]
    chart = columns(marks, labels_every=max(1, len(marks) // 6))
    return with_mark(chart, float((sum(nets) / len(nets) - edges[0]) / (edges[-1] - edges[0])))


def _columns_of(groups: Mapping[str, Mapping[str, Any]]) -> str:
    few = len(groups) <= 14
    return columns(
        [
            Column(
                name,
                0,
                float(group["net"]),
                up_or_down(float(group["net"])),
                f"{name}: {money(float(group['net']), True)}, {group['trades']}, {percent(group['win_rate'])} won",
                f"{group['trades']:,}" if few else "",
            )
            for name, group in groups.items()
        ]
    )


def _day_columns(days: Sequence[Mapping[str, Any]]) -> str:
    marks = [
        Column(
            day["day"][5:],
            0,
            float(day["pnl"]),
            up_or_down(float(day["pnl"])),
            f"{day['day']}: {money(float(day['pnl']), True)}",
        )
        for day in days[-120:]
    ]
    return columns(marks, labels_every=max(1, len(marks) // 8))


def _worst(result: BacktestResult) -> str:
    """Each trade by its adverse excursion and its net."""
    rows = result.trade_rows[:SCATTER_POINTS]
    points = [
        Point(
            -float(row["mae"]),
            float(row["net"]),
            f"{row['reason']}: net {money(float(row['net']), True)}, worst {money(float(row['mae']))}",
        )
        for row in rows
    ]
    return scatter(points, "worst moment (adverse excursion, without sign)")
