"""How much of each limit is used at this moment: what a dashboard draws as bars.

A limit is a gauge where it has a use that lasts: a loss, a count, a position. Limits of a single order (its size, its
price, its reward) are judged when one is sent, and have none in between. Numbers here are for people; what the limits
compare is exact and in ``engine.account.risk``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine._core import Core
from engine.account.ledger import SECOND_NS
from engine.account.limits import BY_NAME, Measure
from engine.account.portfolio import Portfolio
from engine.account.risk import PDT_EQUITY, PDT_TRADES, RiskGate
from engine.events import Refusal

CLOSES = ("daily_loss_limit", "daily_loss_money", "max_drawdown")
ENDS_DAY = ("max_losses_in_row", "max_stops_in_row", "max_trades_per_day", "pdt")
"""Limits that close everything when they are reached, and those that end the day's entries; others refuse one."""


class Gauge(NamedTuple):
    """A limit, how much of it is used, and its bound, both in its own measure (a ratio as a fraction)."""

    name: str
    use: float
    bound: float
    measure: Measure
    reached: str  # what happens then: "close", "day" or "refuse"


def reached(name: str) -> str:
    """What happens when a limit is reached: everything is closed, the day's entries end, or an entry is refused."""
    return "close" if name in CLOSES else "day" if name in ENDS_DAY else "refuse"


class Gauges:
    """Reads the gauges of one account.

    Args:
        risk: its gate, whose limits are read.
        portfolio: for its money unit and instruments.
        market: the equity and the last prices.
    """

    def __init__(self, risk: RiskGate, portfolio: Portfolio, market: Core) -> None:
        self._risk, self._portfolio, self._market = risk, portfolio, market
        limits = risk.limits
        self._lasting: list[tuple[str, Callable[[], float], float, Measure]] = [
            (name, use, PDT_TRADES, Measure.COUNT)
            if name == "pdt"  # what is set is a rule, not a number
            else (name, use, float(getattr(limits, name)), BY_NAME[name].measure)
            for name, use in self._every().items()
            if getattr(limits, name) is not None
        ]

    @property
    def names(self) -> list[str]:
        """The limits that are on and have a use that lasts."""
        return [name for name, *_ in self._lasting]

    def read(self, ts_ns: int) -> Iterator[Gauge]:
        """Yield every gauge whose limit is on, in the order of the table of limits; ``ts_ns`` is the engine's time."""
        self._ts_ns = ts_ns
        for name, use, bound, measure in self._lasting:
            if name != "pdt" or (self._risk.limits.pdt == "legacy" and self._risk.day_start < PDT_EQUITY * self._unit):
                yield Gauge(name, use(), bound, measure, reached(name))

    def _every(self) -> dict[str, Callable[[], float]]:
        ledger = self._risk.ledger
        instruments = range(len(self._portfolio.instruments))
        return {
            "daily_loss_limit": lambda: self._share(self._lost(), self._risk.day_start),
            "daily_loss_money": lambda: self._lost() / self._unit,
            "max_drawdown": self._fallen,
            "max_losses_in_row": lambda: ledger.losses_in_row,
            "max_stops_in_row": lambda: ledger.stops_in_row,
            "max_trades_per_day": ledger.trades_today,
            "pdt": ledger.possible_day_trades,
            "positions_per_symbol": lambda: max(map(ledger.positions, instruments), default=0),
            "max_position_units": lambda: max(self._units(), default=0.0),
            "max_position_value": lambda: max(self._values(), default=0.0),
            "position_capital_fraction": lambda: self._of_equity(max(self._values(), default=0.0)),
            "max_total_capital_fraction": lambda: self._of_equity(sum(self._values())),
            "max_leverage": lambda: self._of_equity(sum(self._values())),
            "max_open_orders": lambda: len(ledger.working),
            "max_orders_per_second": lambda: ledger.sent_after(self._ts_ns - SECOND_NS),
            "max_cancel_ratio": lambda: ledger.could_end_unfilled() / max(1, ledger.entries_today),
        }

    @property
    def _unit(self) -> int:
        """Money units in one of the account's currency."""
        unit: int = 10**self._portfolio.scale
        return unit

    def _lost(self) -> int:
        return max(self._risk.day_start - self._market.equity, 0)

    def _fallen(self) -> float:
        """Share of the highest equity that is lost; once it has halted, all that may be: it is then counted anew."""
        if self._risk.halted is Refusal.DRAWDOWN:
            return float(self._risk.limits.max_drawdown or 0)
        return self._share(max(self._market.high - self._market.equity, 0), self._market.high)

    @staticmethod
    def _share(part: int, whole: int) -> float:
        return part / whole if whole > 0 else 0.0

    def _of_equity(self, value: float) -> float:
        equity = self._market.equity / self._unit
        return value / equity if equity > 0 else 0.0

    def _units(self) -> Iterator[float]:
        """Size of each position, entries on their way included, in shares, contracts or coins."""
        for (instrument, _), lots in self._risk.ledger.exposures().items():
            yield float(self._portfolio.instruments[instrument].size(lots))

    def _values(self) -> Iterator[float]:
        """Value of each position, entries on their way included, at the last trade, in the account's currency."""
        for (instrument, _), lots in self._risk.ledger.exposures().items():
            units = self._portfolio.units[instrument]
            yield lots * self._market.price(instrument) * units / self._unit
