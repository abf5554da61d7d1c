"""What the figures of a result are called and how they are written, in every table that shows them."""

from __future__ import annotations

from decimal import Decimal

Figure = int | float | Decimal | None

TITLES = {
    "win_rate": "win rate [%]",
    "exposure": "time in market [%]",
    "capital_utilisation": "capital utilisation [%]",
    "total_return": "total return [%]",
    "cagr": "CAGR [%]",
    "break_even_bps": "break-even cost [bps a side]",
    "consecutive_losses": "losses in a row",
    "consecutive_wins": "wins in a row",
    "open_at_end": "open at the end",
    "sqn": "SQN",
    "daily_pnl": "daily P/L",
    "total_pnl": "total P/L",
}
"""Of the figures that are not called by their names."""

RATIOS = ("profit_factor", "payoff", "sqn", "sharpe", "sortino", "calmar", "turnover_ratio", "break_even_bps")


def title(name: str) -> str:
    """What a figure is called."""
    return TITLES.get(name, name.replace("_", " "))


def said(name: str, value: Figure) -> str:
    """A figure as text: counts whole, rates in percent, ratios to two decimals, money to four; a dash for none."""
    if value is None:
        return "-"
    if title(name).endswith("[%]"):
        return percent(value)
    if name in RATIOS:
        return ratio(value)
    return f"{value:,}" if isinstance(value, int) else money(value)


def so_many(number: int | str, noun: str) -> str:
    """So many of something: ``1 decision``, ``1,204 decisions``."""
    text = number if isinstance(number, str) else f"{number:,}"
    return f"{text} {noun}{'' if text == '1' else 's'}"


def money(amount: Figure) -> str:
    """Money to four decimals."""
    return "-" if amount is None else f"{round(amount, 4) or 0:,.4f}"  # or 0: never -0.0000


def ratio(value: Figure) -> str:
    """A ratio to two decimals."""
    return "-" if value is None else f"{round(value, 2) or 0:,.2f}"


def percent(value: Figure) -> str:
    """A fraction in percent, to one decimal."""
    return "-" if value is None else f"{round(100 * value, 1) or 0:.1f}"
