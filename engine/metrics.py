"""Figures of a run, each with its definition. Money is exact decimal currency, rates are fractions.

A trade that was only closed because the data ended (reason ``END``) counts in the totals and by reason, and apart from
that nowhere: the rule did not close it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from engine.model import Reason
from engine.portfolio import Trade

ZERO = Decimal(0)


def trade_metrics(trades: Sequence[Trade]) -> dict[str, Any]:
    """Return the figures that follow from the closed trades.

    * ``trades``, ``wins``, ``losses``: net above zero is a win, below zero a loss, zero neither; without ``END``
    * ``win_rate``: wins / trades, None without trades; ``average_win``, ``average_loss``: mean net of each
    * ``expectancy``: mean net per trade
    * ``consecutive_losses``: longest run of losses
    * ``gross``, ``spread_cost``, ``slippage_cost``, ``fees``, ``net``: sums, ``END`` included
    * ``by_reason``: number of trades by exit reason, ``END`` included; ``open_at_end``: trades closed by ``END``
    """
    own = [trade for trade in trades if trade.reason is not Reason.END]
    wins = [trade.net for trade in own if trade.net > 0]
    losses = [trade.net for trade in own if trade.net < 0]
    return {
        "trades": len(own),
        "wins": len(wins),
        "losses": len(losses),
        "win_rate": len(wins) / len(own) if own else None,
        "average_win": mean(wins),
        "average_loss": mean(losses),
        "expectancy": mean([trade.net for trade in own]),
        "consecutive_losses": longest_losing_run(own),
        "open_at_end": len(trades) - len(own),
        "gross": sum((trade.gross for trade in trades), ZERO),
        "spread_cost": sum((trade.spread_cost for trade in trades), ZERO),
        "slippage_cost": sum((trade.slippage_cost for trade in trades), ZERO),
        "fees": sum((trade.fees for trade in trades), ZERO),
        "net": sum((trade.net for trade in trades), ZERO),
        "by_reason": dict(sorted(Counter(trade.reason.value for trade in trades).items())),
    }


def mean(amounts: Sequence[Decimal]) -> Decimal | None:
    """Mean of amounts, None without any."""
    return sum(amounts, ZERO) / len(amounts) if amounts else None


def longest_losing_run(trades: Sequence[Trade]) -> int:
    """The largest number of losses in a row."""
    longest = run = 0
    for trade in trades:
        run = run + 1 if trade.net < 0 else 0
        longest = max(longest, run)
    return longest
