"""All figures of a backtest, from its trades, days, ticks and settings; ``docs/reference/metrics.md`` defines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from engine.account import equity as of_equity
from engine.account.equity import Day
from engine.account.metrics import break_even_bps, grouped, quality_metrics, traded_units
from engine.account.pairs import whole_trades
from engine.account.portfolio import Trade
from engine.calendars import calendar as find_calendar
from engine.events import DayStarted
from engine.model import Reason
from engine.sessions.clock import DAY_NS, HOUR_NS, Clock, day_text
from engine.tools.benchmark import buy_and_hold

if TYPE_CHECKING:
    from engine.results import BacktestResult

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def days_of(result: BacktestResult) -> list[Day]:
    """Equity at the start and at the end of each trading day, open positions marked."""
    begins_ns = result.settings.begins_ns or 0
    starts = [d for d in result.journal.decisions if isinstance(d, DayStarted) and d.ts_ns >= begins_ns]
    ends = [*(start.equity for start in starts[1:]), result.kernel.core.equity]
    return [Day(start.day, start.equity, end) for start, end in zip(starts, ends, strict=bool(starts))]


def span_of(result: BacktestResult) -> tuple[int, int]:
    """Time of the first and of the last record, as the engine took them; two zeros without records."""
    block = result.traded.block
    if not len(block):
        return 0, 0
    first = block.ts_ns if block.start_ns is None else block.start_ns
    return int(first[0]), int(block.ts_ns.max())


def further_figures(result: BacktestResult) -> dict[str, Any]:
    """Return the figures beside those of ``engine.account.metrics.trade_metrics``."""
    trades, settings, portfolio = result.trades, result.settings, result.kernel.portfolio
    market, (first_ns, last_ns) = find_calendar(settings.calendar), span_of(result)
    days = days_of(result)
    returns, per_year = of_equity.day_returns(days), of_equity.days_per_year(market)
    points = [(first_ns, portfolio.starting), *_closes(result)]
    fallen = of_equity.drawdown(points, last_ns)
    ended, started = result.kernel.core.equity, portfolio.starting
    grown = of_equity.growth(started, ended, last_ns - first_ns)
    return {
        **quality_metrics(trades),
        **of_equity.use_metrics(trades, started, of_equity.open_ns(market, first_ns, last_ns)),
        "turnover": portfolio.money(sum(sum(traded_units(trade)) for trade in trades)),
        "break_even_bps": break_even_bps(trades),
        "total_return": (ended - started) / started if started else None,
        "cagr": grown,
        "sharpe": of_equity.sharpe(returns, per_year, settings.risk_free_rate),
        "sortino": of_equity.sortino(returns, per_year, settings.risk_free_rate),
        "calmar": grown / fallen.ratio if grown is not None and fallen.ratio else None,
        "drawdown_at_closes": {**fallen._asdict(), "amount": portfolio.money(fallen.amount)},
        **_groups(trades, market.clock),
        "daily": _daily(result, days),
        "buy_and_hold": buy_and_hold(result.traded, settings.venue, settings.starting_cash),
    }


def record_of(result: BacktestResult) -> dict[str, Any]:
    """The run in one line, as tables of many runs have it; ``id`` is the same for the same run."""
    metrics, days = result.metrics, days_of(result)
    money = result.kernel.portfolio.money
    return {
        "id": str(uuid5(NAMESPACE_OID, f"microburst run {result.run_id}")),
        "symbol": ", ".join(instrument.symbol for instrument in result.file.instruments),
        "strategy": result.title,
        "start_date": day_text(days[0].day) if days else None,
        "end_date": day_text(days[-1].day) if days else None,
        "initial_balance": money(result.kernel.portfolio.starting),
        "final_balance": money(result.kernel.core.equity),
        "total_return": metrics["total_return"],
        "max_drawdown": metrics["max_drawdown"],
        "sharpe_ratio": metrics["sharpe"],
        "total_trades": metrics["trades"],
        "winning_trades": metrics["wins"],
        "losing_trades": metrics["losses"],
        "win_rate": metrics["win_rate"],
    }


def _closes(result: BacktestResult) -> list[tuple[int, int]]:
    equity, points = result.kernel.portfolio.starting, []
    for trade in whole_trades(result.trades):
        equity += trade.net_units
        points.append((trade.exit_ts_ns, equity))
    return points


def _groups(trades: list[Trade], clock: Clock) -> dict[str, Any]:
    """Figures by side, by the entry's hour and weekday on the exchange's clock, and by exit reason."""
    whole = whole_trades(trades)
    own = [trade for trade in whole if trade.reason is not Reason.END]

    def shown_ns(trade: Trade) -> int:
        return int(clock.from_utc(np.array([trade.entry_ts_ns]))[0])

    keys: dict[str, Callable[[Trade], str]] = {
        "by_side": lambda trade: trade.side,
        "by_hour": lambda trade: f"{shown_ns(trade) // HOUR_NS % 24:02}",
        "by_weekday": lambda trade: str((shown_ns(trade) // DAY_NS + 3) % 7),  # 1970-01-01 was a Thursday
    }
    by = {name: grouped(own, key) for name, key in keys.items()}
    by["by_weekday"] = {WEEKDAYS[int(number)]: group for number, group in by["by_weekday"].items()}
    return {**by, "by_exit": grouped(whole, lambda trade: trade.reason.value)}


def _daily(result: BacktestResult, days: list[Day]) -> list[dict[str, Any]]:
    """One row a day: equity at its start and end, result, return, and the trades that were closed on it."""
    money, market = result.kernel.portfolio.money, find_calendar(result.settings.calendar)
    closed: dict[int, int] = {}
    for trade in whole_trades(result.trades):
        # What closes with its session belongs to that session's day, not to the next one's.
        day = market.trading_day(trade.exit_ts_ns - (trade.reason is Reason.SESSION))
        closed[day] = closed.get(day, 0) + 1
    return [
        {
            "day": day_text(one.day),
            "start": money(one.start),
            "end": money(one.end),
            "pnl": money(one.end - one.start),
            "return": (one.end - one.start) / one.start if one.start > 0 else None,
            "trades": closed.get(one.day, 0),
        }
        for one in days
    ]
