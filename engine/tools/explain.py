"""Why the engine traded or did not at one moment: every condition with its value, and what risk would have said.

The same kernel runs over the ticks up to that moment and no further, so what is shown is what it knew then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import nan
from typing import Any

import numpy as np

from engine.backtesting import make_kernel
from engine.errors import DataError
from engine.events import DayStarted, Decision, TimePassed
from engine.journal import MemoryJournal
from engine.kernel import Kernel
from engine.lanes import Lane
from engine.model import Kind, TickBlock
from engine.results import Settings
from engine.store import TickFile
from engine.strategy import Strategy

SCHEMA = "microburst.explain/1"


@dataclass(frozen=True, slots=True)
class ConditionLine:
    """One declared comparison at that moment. ``distance`` is value minus threshold, NaN while undefined."""

    name: str
    value: float
    op: str
    threshold: float
    distance: float
    holds: bool
    unit: str


@dataclass(slots=True)
class Explanation:
    """One strategy on one instrument at one moment."""

    symbol: str
    ts_ns: int  # of the last trade up to the moment asked for
    price: float
    bid: float
    ask: float
    warm: bool
    warm_in_ns: int  # until every window has been seen in full; 0 once it has
    conditions: list[ConditionLine] = field(default_factory=list)
    state: str = "none"  # what the rule says: none, long or short
    position: str = "flat"
    cooldown_left: int = 0
    refusal: str = ""  # why risk would open nothing
    decisions: list[str] = field(default_factory=list)  # made on that very trade

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def explain(file: TickFile, strategy: Strategy, settings: Settings, at_ns: int) -> list[Explanation]:
    """Explain the last trade at or before ``at_ns``, one entry per instrument that has traded by then.

    Raises:
        DataError: nothing has traded by then.
    """
    clock = np.maximum.accumulate(file.block.ts_ns)
    rows = int(np.searchsorted(clock, at_ns, side="right"))
    if not rows:
        fix = f"the first is at {np.datetime64(int(clock[0]), 'ns')} UTC" if len(clock) else ""
        raise DataError(f"no tick at or before {np.datetime64(at_ns, 'ns')} UTC", where=file.source, fix=fix)
    block = file.block.part(0, rows)
    journal = MemoryJournal()
    kernel = make_kernel(file.instruments, strategy, settings, journal)
    kernel.process(block)
    kernel.process(TimePassed(at_ns))
    made = [_explain_lane(kernel, lane, block, journal) for lane in kernel.lanes]
    return [found for found in made if found is not None]


def _explain_lane(kernel: Kernel, lane: Lane, block: TickBlock, journal: MemoryJournal) -> Explanation | None:
    core, index = kernel.core, lane.instrument
    instrument = kernel.instruments[index]
    ts_ns = _last_trade_ns(block, index)
    if ts_ns is None:
        return None
    unit = 10.0**-instrument.price_precision
    first_ns, trades = core.warm_since(index)
    cold_ns = max(0, first_ns + lane.rule.warm_up.ns - ts_ns)
    warm = not cold_ns and trades >= lane.rule.warm_up.trades
    bid, ask = core.quote(index)
    conditions = [
        ConditionLine(view.name, value, view.op, threshold, value - threshold, holds, view.unit)
        for view in lane.rule.views
        for value, threshold, holds in [view.values(core, index)]
    ]
    state = int(core.value(index, lane.rule.state) or 0) if warm else 0
    position = kernel.portfolio.positions[index]
    refusal = kernel.risk.refusal(index)
    return Explanation(
        symbol=instrument.symbol,
        ts_ns=ts_ns,
        price=core.price(index) * unit,
        bid=bid * unit if bid else nan,
        ask=ask * unit if ask else nan,
        warm=warm,
        warm_in_ns=cold_ns,
        conditions=conditions,
        state=("none", "long", "short")[state],
        position="flat" if position is None else position.side.word,
        cooldown_left=lane.cooldown_left,
        refusal="" if refusal is None else refusal.value,
        decisions=[_in_words(decision) for decision in journal.decisions if decision.ts_ns == ts_ns],
    )


def _last_trade_ns(block: TickBlock, index: int) -> int | None:
    """Engine time of the instrument's last trade in the block, None without one."""
    chosen = np.ones(len(block), bool) if block.kind is None else block.kind == Kind.TRADE
    if block.instrument is not None:
        chosen &= block.instrument == index
    rows = np.flatnonzero(chosen)
    return int(block.ts_ns[: rows[-1] + 1].max()) if len(rows) else None


def _in_words(decision: Decision) -> str:
    """``OrderFilled price_ticks=17001 …``: the decision's name and what it says."""
    fields = {name: value for name, value in decision._asdict().items() if name != "ts_ns"}
    if isinstance(decision, DayStarted):
        fields.pop("equity", None)
    return " ".join([type(decision).__name__, *(f"{name}={value}" for name, value in fields.items())])
