"""What a change does: two runs over the same ticks, their trades side by side, and why the first difference arose.

Both runs are made by the kernel, one after the other, over the same block in memory. Their decisions are compared in
order; at the first that differs both rules are taken apart (``engine.tools.explain``), so that the answer names the
condition whose outcome changed, with its values in both runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from engine.account.portfolio import exact_money, exact_price
from engine.backtesting import Following, simulate
from engine.events import (
    DayStarted,
    Decision,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    SignalDeclined,
    SignalRefused,
    SignalSkipped,
    TradingHalted,
)
from engine.lineup import Line
from engine.model import Instrument
from engine.results import BacktestResult
from engine.run_settings import Settings
from engine.store.ticks import TickFile
from engine.tools.compare import Difference, differences, figures
from engine.tools.explain import ConditionLine, explain_rows
from engine.tools.observation import engine_time
from engine.tools.trade_diff import Pair, rows_of, totals, trade_diff

SCHEMA = "microburst.whatif/1"

NOTHING = "decides nothing"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of two runs: the strategy with its parameters, or several, and everything else but the ticks."""

    strategy: Line
    settings: Settings


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """A condition that held in one run and not in the other, at the same record."""

    side: str
    name: str
    before: ConditionLine
    after: ConditionLine


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where two runs part: what each decided there, why, and which conditions came out differently."""

    ts_ns: int
    symbol: str
    before: str
    after: str
    why_before: str = ""  # empty where the rule was not asked, as for a fill
    why_after: str = ""
    conditions: list[ConditionChange] = field(default_factory=list)


class WhatIf:
    """Two runs over the same ticks, and what lies between them."""

    def __init__(self, file: TickFile, before: Variant, after: Variant) -> None:
        """Make both runs.

        Raises:
            UserError: the ticks, a setting or a strategy is invalid.
        """
        self.file = file
        self._journals = Following(), Following()
        runs = zip((before, after), self._journals, strict=True)
        self.before, self.after = (
            simulate(file, variant.strategy, variant.settings, journal) for variant, journal in runs
        )

    @cached_property
    def changes(self) -> list[Difference]:
        """What was set differently: parameters, costs, limits, sessions."""
        return differences(self.before.passport, self.after.passport)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Both runs' trades side by side."""
        return trade_diff(rows_of(self.before.trades), rows_of(self.after.trades))

    @cached_property
    def first(self) -> FirstDifference | None:
        """Where the runs part; None when they made the same decisions."""
        found = _parting(*self._journals)
        if found is None:
            return None
        ts_ns, record, before, after = found
        told = next(one for one in (before, after) if one is not None)
        lane = _lane_of(told, self.before if told is before else self.after)
        kernel = self.before.kernel
        instrument = kernel.instruments[kernel.lanes[lane].instrument]
        scale, symbol = kernel.portfolio.scale, instrument.symbol
        words = _in_words(before, instrument, scale), _in_words(after, instrument, scale)
        if isinstance(before, OrderFilled) and isinstance(after, OrderFilled):
            return FirstDifference(ts_ns, symbol, *words)
        clock = engine_time(self.file.block)
        rows = record + 1 if record >= 0 else max(1, int(np.searchsorted(clock, ts_ns, side="left")))
        told_before, told_after = (
            next(one for one in explain_rows(self.file, rule, run.settings, rows, ts_ns) if one.symbol == symbol)
            for run in (self.before, self.after)
            for rule in (run.kernel.lanes[lane].strategy,)
        )
        now = {(line.side, line.name): line for line in told_after.conditions if line.op}
        changed = [
            ConditionChange(line.side, line.name, line, other)
            for line in told_before.conditions
            if (other := now.get((line.side, line.name))) is not None and line.holds is not other.holds
        ]
        return FirstDifference(ts_ns, symbol, *words, told_before.why, told_after.why, changed)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "schema": SCHEMA,
            "before": {"run_id": self.before.run_id, "decision_hash": self.before.decision_hash},
            "after": {"run_id": self.after.run_id, "decision_hash": self.after.decision_hash},
            "changes": [asdict(one) for one in self.changes],
            "trades": {
                fate.value: {"count": count, "net_difference": float(net)}
                for fate, (count, net) in totals(self.pairs).items()
            },
            "metrics": [one.to_json() for one in figures(self.before.metrics, self.after.metrics)],
            "first_difference": None if self.first is None else asdict(self.first),
            "pairs": [pair.to_json() for pair in self.pairs],
        }


Parting = tuple[int, int, Decision | None, Decision | None]
"""When two journals part, the record then (-1 between records), and what each decided then."""


def _parting(before: Following, after: Following) -> Parting | None:
    """Find the first decision that differs. A day's starting equity is no decision of the rule's."""
    left, right = (
        [pair for pair in zip(of.decisions, of.records, strict=True) if not isinstance(pair[0], DayStarted)]
        for of in (before, after)
    )
    at = next((n for n, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), None)
    if at is None:
        at = min(len(left), len(right))
        if len(left) == len(right):
            return None
    one, other = (side[at] if at < len(side) else None for side in (left, right))
    moments = [(decision.ts_ns, record) for decision, record in filter(None, (one, other))]

    def then(made: tuple[Decision, int] | None) -> Decision | None:
        return made[0] if made is not None and (made[0].ts_ns, made[1]) == min(moments) else None

    return *min(moments), then(one), then(other)


def _lane_of(decision: Decision, run: BacktestResult) -> int:
    """The lane that a decision concerns; that of its order for a fill, the first for what is the account's."""
    lane = getattr(decision, "lane", None)
    if lane is None and (order := getattr(decision, "order_id", None)) is not None:
        submitted = (one for one in run.journal.decisions if isinstance(one, OrderSubmitted))
        lane = next(one.lane for one in submitted if one.order_id == order)
    return int(lane or 0)


def _in_words(decision: Decision | None, instrument: Instrument, scale: int) -> str:
    """What a run did, as the end of a sentence about it."""
    match decision:
        case None:
            return NOTHING
        case OrderSubmitted(purpose="entry"):
            return f"enters {'long' if decision.side > 0 else 'short'} {instrument.size(decision.lots)}"
        case OrderSubmitted():
            return f"leaves by {decision.purpose}"
        case OrderRests():
            waits_at = exact_price(instrument, decision.price_ticks)
            return f"has a {decision.kind} order over {instrument.size(decision.lots)} wait at {waits_at}"
        case OrderCancelled():
            return f"gives an order up: {decision.reason}"
        case OrderFilled():
            costs = f"slippage {_plain(decision.slippage, scale)}, fee {_plain(decision.fee, scale)}"
            return f"is filled at {exact_price(instrument, decision.price_ticks)}, {costs}"
        case SignalRefused():
            return f"refuses a {decision.side} signal: {decision.reason}"
        case SignalSkipped():
            return f"skips a {decision.side} signal after a loss"
        case SignalDeclined():
            return "lets a signal pass by its own on_fire"
        case TradingHalted():
            return f"halts: {decision.reason}"
        case _:
            return type(decision).__name__


def _plain(units: int, scale: int) -> str:
    return f"{exact_money(units, scale).normalize():f}"
