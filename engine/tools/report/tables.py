"""The tables of a report: every figure, the days, the trades and the passport."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.account.metrics import WATERFALL
from engine.account.portfolio import said_price
from engine.tools.report.charts import empty
from engine.tools.report.words import money, number, percent, seconds

if TYPE_CHECKING:
    from engine.results import BacktestResult

TABLE_ROWS = 500
"""Trades in the table, the first ones."""
TRADE_COLUMNS = (
    *("#", "symbol", "side", "in", "out", "held", "entry", "exit", "size", "exit by"),
    *("gross", "costs", "net", "worst", "best"),
)


def figures_table(metrics: Mapping[str, Any]) -> str:
    fallen, held = metrics["drawdown_at_closes"], metrics["durations_ns"] or {}
    rows: list[tuple[str, str]] = [
        *((name.replace("_", " "), _cell(metrics[name])) for name in (*WATERFALL, "total_pnl")),
        ("total return", percent(metrics["total_return"], 4)),
        ("growth a year (CAGR)", percent(metrics["cagr"], 2)),
        *((f"{name} ratio", number(metrics[name])) for name in ("sharpe", "sortino", "calmar")),
        ("max drawdown, at every trade", _cell(metrics["max_drawdown"])),
        ("current drawdown", _cell(metrics["current_drawdown"])),
        ("max drawdown at closes", f"{_cell(fallen['amount'])} ({percent(fallen['ratio'], 3)})"),
        ("longest below a peak", seconds(fallen["longest_ns"])),
        ("trades; open at the end", f"{metrics['trades']:,}; {metrics['open_at_end']:,}"),
        ("wins; losses", f"{metrics['wins']:,}; {metrics['losses']:,}"),
        ("average win; average loss", f"{_cell(metrics['average_win'])}; {_cell(metrics['average_loss'])}"),
        ("expectancy a trade", _cell(metrics["expectancy"])),
        *((words, number(metrics[name])) for words, name in (("profit factor", "profit_factor"), ("payoff", "payoff"))),
        ("system quality number", number(metrics["sqn"])),
        ("most wins; losses in a row", f"{metrics['consecutive_wins']}; {metrics['consecutive_losses']}"),
        *((f"{word} time held", seconds(held.get(word))) for word in ("shortest", "median", "mean", "longest")),
        ("time in the market", percent(metrics["exposure"])),
        ("capital used over time", percent(metrics["capital_utilisation"], 2)),
        ("turnover", f"{_cell(metrics['turnover'])} ({number(metrics['turnover_ratio'])} × the cash)"),
        ("break-even cost a side", f"{number(metrics['break_even_bps'], 3)} bps"),
        *(
            (f"buy and hold {one['symbol']}", f"{_cell(one['net'])} ({percent(one['return'], 3)})")
            for one in metrics["buy_and_hold"]
        ),
    ]  # fmt: skip
    return f'<div class="figures"><dl>{"".join(_pair(*row) for row in rows)}</dl></div>'


def _pair(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        return money(float(value))
    return str(value)


def days_table(metrics: Mapping[str, Any]) -> str:
    rows = []
    for day in metrics["daily"]:
        result = money(float(day["pnl"]), True)
        amounts = (_cell(day["start"]), _cell(day["end"]), result, percent(day["return"], 4))
        rows.append((day["day"], *amounts, f"{day['trades']:,}"))
    return _table(("day", "equity at the start", "at the end", "result", "return", "trades closed"), rows, text=1)


def trades_table(result: BacktestResult) -> str:
    rows = []
    for count, row in enumerate(result.trade_rows[:TABLE_ROWS], 1):
        side = f"{'▲' if row['side'] == 'long' else '▼'} {row['side']}"
        times = (_moment(row["entry_ts_ns"]), _moment(row["exit_ts_ns"]))
        held = seconds(row["exit_ts_ns"] - row["entry_ts_ns"])
        exact = (said_price(row[name].normalize()) for name in ("entry_price", "exit_price", "qty"))
        gross, net, mae, mfe = (money(float(row[name]), True) for name in ("gross", "net", "mae", "mfe"))
        amounts = (gross, money(float(row["gross"] - row["net"])), net, mae, mfe)
        rows.append((str(count), row["symbol"], side, *times, held, *exact, str(row["reason"]), *amounts))
    return _table(TRADE_COLUMNS, rows, text=5, also_text=(9,), trades=True) if rows else empty()


def _moment(ts_ns: int) -> str:
    return str(np.datetime64(ts_ns, "ns").astype("datetime64[ms]")).replace("T", " ")


def _table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    text: int,
    also_text: Sequence[int] = (),
    *,
    trades: bool = False,
) -> str:
    """A table; the first ``text`` columns and those in ``also_text`` hold words, the others numbers."""

    def cell(tag: str, column: int, content: str) -> str:
        words = column < text or column in also_text
        return f"<{tag}>{escape(content)}</{tag}>" if words else f'<{tag} class="number">{escape(content)}</{tag}>'

    head = "".join(cell("th", column, name) for column, name in enumerate(header))
    body = "".join(
        f"<tr{f' data-trade={count}' if trades else ''}>{''.join(cell('td', c, one) for c, one in enumerate(row))}</tr>"
        for count, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def passport_table(found: Mapping[str, Any]) -> str:
    rows = [("run_id", found["run_id"]), ("decision_hash", found["decision_hash"])]
    for name, value in found["passport"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}={item}" for key, item in value.items()) or "–"
        rows.append((name, "–" if value is None else str(value)))
    body = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>" for name, value in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
