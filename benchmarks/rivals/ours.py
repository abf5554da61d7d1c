"""Microburst itself: the whole backtest, with features, conditions, orders, risk and exact accounting."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.rivals.common import REASONS, Rule, Ticks, Trades, trades_from_rows

PRICE_PRECISION = 2


class Prepared(NamedTuple):
    """Columns as a user would pass them, and the name of the fills."""

    columns: dict[str, Any]
    fills: str


def unavailable() -> str:
    return ""


def prepare_last(ticks: Ticks, _rule: Rule) -> Prepared:
    columns = {"ts_ns": ticks.ts_ns, "price_ticks": ticks.price_ticks, "size_lots": ticks.size_lots}
    return Prepared(columns, "last")


def prepare_touch(ticks: Ticks, rule: Rule) -> Prepared:
    quotes = {"bid_ticks": ticks.bid_ticks, "ask_ticks": ticks.ask_ticks}
    return Prepared(prepare_last(ticks, rule).columns | quotes, "touch")


def run(job: Prepared) -> Any:
    """Return the result of the backtest; nothing of it is converted within the timed part."""
    import engine

    return engine.backtest(
        job.columns,
        "momentum_burst",
        price_precision=PRICE_PRECISION,
        size_precision=0,
        fills=job.fills,
        calendar="always",
    )


def trades(result: Any) -> Trades:
    """Return the result's trades in the form all rivals are compared in."""
    unit = 10**PRICE_PRECISION
    return trades_from_rows(
        [
            (
                1 if trade.side == "long" else -1,
                trade.entry_ts_ns,
                trade.exit_ts_ns,
                int(trade.entry_price * unit),
                int(trade.exit_price * unit),
                REASONS.index(trade.reason),
            )
            for trade in result.trades
        ]
    )
