"""One strategy up the ladder of fill models: how much of its result rests on how its orders are filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.backtesting import backtest, rungs_of
from engine.events import OrderFilled, OrderSubmitted
from engine.lineup import Entrant
from engine.results import BacktestResult
from engine.store.ticks import TickFile
from engine.strategy import Strategy

Traded = type[Strategy] | Strategy | Sequence[Entrant]


def ladder(file: TickFile, strategy: Traded, settings: dict[str, Any]) -> dict[str, BacktestResult]:
    """The same run, with the settings of ``backtest``, by every fill model that the data allows."""
    spread = settings["spread"]
    return {
        rung: backtest(file, strategy, **(settings | {"fills": rung, "spread": None if rung == "last" else spread}))
        for rung in rungs_of(file.block, spread)
    }


def fill_rate(result: BacktestResult) -> float | None:
    """Which share of the lots that entries asked for was filled; None when there was no entry."""
    decisions = result.journal.decisions
    asked = {one.order_id: one.lots for one in decisions if isinstance(one, OrderSubmitted) and one.purpose == "entry"}
    filled = sum(one.lots for one in decisions if isinstance(one, OrderFilled) and one.order_id in asked)
    return filled / sum(asked.values()) if asked else None


def rows(results: dict[str, BacktestResult]) -> list[dict[str, Any]]:
    """What is worth comparing of each rung."""
    return [
        {
            "fills": rung,
            "trades": result.metrics["trades"],
            "fill_rate": fill_rate(result),
            "net": float(result.metrics["net"]),
            "decision_hash": result.decision_hash,
        }
        for rung, result in results.items()
    ]
