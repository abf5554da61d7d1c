"""Figures of a run that follow from its closed trades. Money is exact decimal currency, rates are fractions of one.

The legs of a pair are one trade wherever trades are counted or judged (``engine.account.pairs``); sums of money are
the same either way. A trade that was only closed because the data ended (reason ``END``) counts in the totals and by
reason, and apart from that nowhere: the rule did not close it. What is not defined is None, never 0.
``docs/reference/metrics.md`` has every definition with its unit and source; ``engine.account.equity`` has the figures
that need equity and time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any

from engine.account.pairs import whole_trades
from engine.account.portfolio import Trade, rounded
from engine.model import Reason

ZERO = Decimal(0)


def trade_metrics(trades: Sequence[Trade]) -> dict[str, Any]:
    """Return the figures that follow from the closed trades.

    * ``trades``, ``wins``, ``losses``: net above zero is a win, below zero a loss, zero neither; without ``END``
    * ``win_rate``: wins / trades, None without trades; ``average_win``, ``average_loss``: mean net of each
    * ``expectancy``: mean net per trade
    * ``consecutive_losses``: longest run of losses
    * ``gross``, ``spread_cost``, ``slippage_cost``, ``fees``, ``borrow_cost``, ``net``: sums, ``END`` included
    * ``by_reason``: number of trades by exit reason, ``END`` included; ``open_at_end``: trades closed by ``END``
    * ``positions``: number of closed positions, ``END`` included: each leg of a pair is one
    """
    whole = whole_trades(trades)
    own = [trade for trade in whole if trade.reason is not Reason.END]
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
        "open_at_end": len(whole) - len(own),
        "positions": len(trades),
        "gross": sum((trade.gross for trade in trades), ZERO),
        "spread_cost": sum((trade.spread_cost for trade in trades), ZERO),
        "slippage_cost": sum((trade.slippage_cost for trade in trades), ZERO),
        "fees": sum((trade.fees for trade in trades), ZERO),
        "borrow_cost": sum((trade.borrow_cost for trade in trades), ZERO),
        "net": sum((trade.net for trade in trades), ZERO),
        "by_reason": dict(sorted(Counter(trade.reason.value for trade in whole).items())),
    }


def mean(amounts: Sequence[Decimal]) -> Decimal | None:
    """Mean of amounts, None without any."""
    return sum(amounts, ZERO) / len(amounts) if amounts else None


def longest_losing_run(trades: Sequence[Trade]) -> int:
    """The largest number of losses in a row."""
    return longest_run(trade.net < 0 for trade in trades)


def longest_run(holds: Iterable[bool]) -> int:
    """The largest number of True in a row."""
    longest = run = 0
    for one in holds:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest


def quality_metrics(trades: Sequence[Trade]) -> dict[str, Any]:
    """Return the figures that say how good the trades were, ``END`` left out.

    * ``profit_factor``: sum of the wins / sum of the losses without sign; None without a loss
    * ``payoff``: average win / average loss without sign; None without a win or a loss
    * ``sqn``: system quality number, sqrt(trades) x mean net / sample standard deviation of net; None below 2 trades
      and where all are equal
    * ``consecutive_wins``: longest run of wins
    * ``durations_ns``: shortest, median, mean and longest time from entry to exit, rounded down; None without trades
    """
    own = [trade for trade in whole_trades(trades) if trade.reason is not Reason.END]
    wins = [trade.net_units for trade in own if trade.net_units > 0]
    losses = [-trade.net_units for trade in own if trade.net_units < 0]
    payoff = Fraction(sum(wins) * len(losses), sum(losses) * len(wins)) if wins and losses else None
    return {
        "profit_factor": sum(wins) / sum(losses) if losses else None,
        "payoff": None if payoff is None else float(payoff),
        "sqn": quality_number([trade.net_units for trade in own]),
        "consecutive_wins": longest_run(trade.net_units > 0 for trade in own),
        "durations_ns": durations([trade.exit_ts_ns - trade.entry_ts_ns for trade in own]),
    }


def quality_number(nets: Sequence[int]) -> float | None:
    """sqrt(n) x mean / sample standard deviation, from whole numbers: exact up to the last division and root."""
    count, total, squares = len(nets), sum(nets), sum(net * net for net in nets)
    spread = count * squares - total * total  # n (n - 1) times the sample variance
    if count < 2 or not spread:
        return None
    size = sqrt(Fraction(total * total * (count - 1), spread))
    return size if total >= 0 else -size


def durations(held_ns: Sequence[int]) -> dict[str, int] | None:
    """Shortest, median, mean and longest of times, in whole nanoseconds rounded down."""
    if not held_ns:
        return None
    ordered, count = sorted(held_ns), len(held_ns)
    return {
        "shortest": ordered[0],
        "median": (ordered[(count - 1) // 2] + ordered[count // 2]) // 2,
        "mean": sum(ordered) // count,
        "longest": ordered[-1],
    }


def grouped(trades: Iterable[Trade], key: Callable[[Trade], str]) -> dict[str, dict[str, Any]]:
    """Return the figures of each group of trades, by the group's name in order.

    * ``trades``, ``wins``, ``losses``, ``win_rate``, ``expectancy``, ``gross``, ``net`` as of a whole run
    * ``costs``: gross - net
    """
    groups: dict[str, list[Trade]] = {}
    for trade in whole_trades(trades):
        groups.setdefault(key(trade), []).append(trade)
    return {name: _group(groups[name]) for name in sorted(groups)}


def _group(trades: Sequence[Trade]) -> dict[str, Any]:
    wins = sum(trade.net > 0 for trade in trades)
    gross, net = (sum((getattr(trade, name) for trade in trades), ZERO) for name in ("gross", "net"))
    return {
        "trades": len(trades),
        "wins": wins,
        "losses": sum(trade.net < 0 for trade in trades),
        "win_rate": wins / len(trades),
        "expectancy": net / len(trades),
        "gross": gross,
        "costs": gross - net,
        "net": net,
    }


WATERFALL = ("gross", "spread_cost", "slippage_cost", "fees", "borrow_cost", "net")
"""From the result before any cost to what is left: the first less those between is the last, exactly."""


def traded_units(trade: Trade) -> tuple[int, int]:
    """Value of the entry and of the exit, at their fill prices, in money units."""
    unit = 10 ** (trade.scale - trade.instrument.price_precision - trade.instrument.size_precision)
    return rounded(trade.entry_ticks * trade.lots * unit), rounded(trade.exit_ticks * trade.lots * unit)


def break_even_bps(trades: Sequence[Trade]) -> float | None:
    """The cost per side, in basis points of the value traded, at which net would be 0: gross / value of all fills.

    Negative where there is not even a gross profit; None where nothing was traded. The trades are taken as they are:
    other costs may lead to other trades.
    """
    value = sum(sum(traded_units(trade)) for trade in trades)
    return float(Fraction(10_000 * sum(trade.gross_units for trade in trades), value)) if value else None
