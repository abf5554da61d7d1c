"""What a run is made with besides ticks and strategies: venue, sessions, money, sizes and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from engine.account.limits import RiskLimits
from engine.brokers.paper import VenueModel
from engine.quantities import format_decimal
from engine.sizing import Size, said_size
from engine.strategy import Strategy
from engine.trading.lanes import Assignment


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything besides ticks and strategy that decides a result."""

    venue: VenueModel
    calendar: str
    starting_cash: Fraction
    position_size: Fraction
    limits: RiskLimits = field(default_factory=RiskLimits)
    risk_profile: str = "standard"
    size: Size | None = None  # instead of the position size
    risk_free_rate: Fraction = Fraction(0)  # of a year; what Sharpe and Sortino ratios are measured against
    session_rules: Mapping[str, str] = field(default_factory=dict)  # as they are written, those that are set
    begins_ns: int | None = None  # nothing is opened before: what was recorded up to then only warms up
    ends_ns: int | None = None  # what was recorded from then on is left out

    def assignment(self, strategy: Strategy, instruments: Sequence[int]) -> Assignment:
        """What a strategy trades, and how large: as these settings say, else as it declares itself."""
        return Assignment(strategy, instruments, self.position_size, self.size or strategy.size)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the passport of a result."""
        venue = self.venue
        return {
            "fills": venue.fills,
            "spread": None if venue.spread is None else float(venue.spread),
            "slippage_bps": float(venue.slippage_bps),
            "fee": str(venue.fee),
            "maker_fee": None if venue.maker_fee is None else str(venue.maker_fee),
            "borrow_rate": float(venue.borrow_rate),
            "shorting": venue.shorting,
            "latency_feed": str(venue.latency_feed),
            "latency_order": str(venue.latency_order),
            "calendar": self.calendar,
            "session_rules": dict(self.session_rules),
            "starting_cash": float(self.starting_cash),
            "size": f"{format_decimal(self.position_size)} units" if self.size is None else said_size(self.size),
            "risk_profile": self.risk_profile,
            "risk": self.limits.to_json(),
            "risk_free_rate": float(self.risk_free_rate),
            "begins_ns": self.begins_ns,
            "ends_ns": self.ends_ns,
        }
