"""What a backtest gave: trades, signals not taken, figures, and a passport that names everything that decided them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import Any

from engine.account.excursions import Excursion, excursions
from engine.account.metrics import trade_metrics
from engine.account.portfolio import Trade, exact_money, exact_price
from engine.errors import MissingExtraError
from engine.events import SignalRefused, SignalSkipped
from engine.journal.writer import MemoryJournal
from engine.lineup import Entrant, labels
from engine.run_settings import Settings
from engine.sessions.trading_calendar import day_text
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.decision_numbers import decision_numbers
from engine.tools.figures import days_of, further_figures, record_of
from engine.tools.periods import since
from engine.tools.provenance import provenance
from engine.trading.kernel import Kernel

SCHEMA = "microburst.backtest/1"

TRADE_FIELDS = (
    "symbol",
    "side",
    "entry_ts_ns",
    "exit_ts_ns",
    "entry_price",
    "exit_price",
    "qty",
    "reason",
    "gross",
    "spread_cost",
    "slippage_cost",
    "fees",
    "borrow_cost",
    "net",
)
"""What a trade says of itself, in this order."""

MADE_BY = ("entry_decision", "exit_decision")
"""The decisions that sent a trade's entry and its last exit, counted from 1."""

ROW_FIELDS = (*TRADE_FIELDS, *Excursion._fields, "pair", *MADE_BY)
"""What a result says of each trade: also how far the market went against it and for it, whose leg it is, and which
decisions made it."""

LEG_FIELDS = (
    "trade",
    "leg",
    "symbol",
    "side",
    "ts_ns",
    "price",
    "qty",
    "reason",
    "gross",
    "spread_cost",
    "slippage_cost",
    "fees",
    "borrow_cost",
    "net",
)
"""What a result says of each exit of each trade; trades and the exits of one are counted from 1, in order."""


def plain(value: Any) -> Any:
    """JSON's idea of a value: decimals as numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class SignalNote:
    """A signal that was not taken: when it began, its side, the price then, and for a refusal the reason."""

    symbol: str
    ts_ns: int
    side: str
    price: Decimal
    reason: str


class BacktestResult:
    """What a backtest gave. ``to_json`` is what ``engine backtest --json`` prints."""

    def __init__(
        self, file: TickFile, entrants: Sequence[Entrant], settings: Settings, kernel: Kernel, journal: MemoryJournal
    ) -> None:
        self.file, self.settings, self.kernel, self.journal = file, settings, kernel, journal
        self.entrants = dict(zip(labels(entrants), entrants, strict=True))

    @property
    def strategy(self) -> Strategy:
        """The strategy; of several the first."""
        return next(iter(self.entrants.values())).strategy

    @property
    def title(self) -> str:
        """The names of what ran: the strategy's class, or the line-up."""
        alone = len(self.entrants) == 1
        return type(self.strategy).__name__ if alone else " + ".join(self.entrants)

    @property
    def trades(self) -> list[Trade]:
        """Closed trades in order, the one closed by the end of the data last."""
        return self.kernel.trades

    @property
    def decision_hash(self) -> str:
        """Hash of every decision in order: equal for equal runs, on every machine."""
        return self.journal.decision_hash

    @cached_property
    def run_id(self) -> str:
        """Names the run by what went in: ticks, strategy, parameters and settings."""
        went_in = {"input": self.file.source, "input_sha256": self.file.sha256, **self._decides}
        return blake2b(repr(sorted(went_in.items())).encode(), digest_size=8).hexdigest()

    @cached_property
    def passport(self) -> dict[str, Any]:
        """Everything that decides the result: ticks, strategy, parameters, settings, and the code."""
        data = {"input": self.file.source, "input_sha256": self.file.sha256}
        return {**data, **self._decides, **provenance(self._classes, self._decides)}

    @cached_property
    def _decides(self) -> dict[str, Any]:
        """What was chosen, apart from the ticks."""
        told = {label: entrant.to_json() for label, entrant in self.entrants.items()}
        (first, *others) = self.entrants.values()
        if first.is_plain and not others:
            (one,) = told.values()
            return {name: one[name] for name in ("strategy", "parameters")} | self.settings.to_json()
        return {"strategy": self.title, "parameters": {}, "strategies": told, **self.settings.to_json()}

    @property
    def _classes(self) -> list[type[Strategy]]:
        return [type(entrant.strategy) for entrant in self.entrants.values()]

    @cached_property
    def by_strategy(self) -> dict[str, dict[str, Any]]:
        """The figures of each strategy's trades, which together are those of the run; and its refused signals."""
        found = {}
        for label, entrant in self.entrants.items():
            lanes = [lane.number for lane in self.kernel.lanes if lane.strategy is entrant.strategy]
            own = [trade for trade in self.trades if trade.lane in lanes]
            refused = (d for d in self.journal.decisions if isinstance(d, SignalRefused) and d.lane in lanes)
            symbols = [self.kernel.instruments[self.kernel.lanes[number].instrument].symbol for number in lanes]
            reasons = dict(sorted(Counter(str(decision.reason) for decision in refused).items()))
            found[label] = {"symbols": symbols, **trade_metrics(own), "refusals": reasons}
        return found

    def _note_of(self, decision: SignalSkipped | SignalRefused, reason: str) -> SignalNote:
        instrument = self.kernel.instruments[self.kernel.lanes[decision.lane].instrument]
        price = instrument.price(decision.price_ticks)
        return SignalNote(instrument.symbol, decision.ts_ns, decision.side, price, reason)

    @cached_property
    def skipped_signals(self) -> list[SignalNote]:
        """Signals skipped by the cooldown after a loss."""
        return [self._note_of(d, "COOLDOWN") for d in self.journal.decisions if isinstance(d, SignalSkipped)]

    @cached_property
    def refusals(self) -> list[SignalNote]:
        """Signals that risk refused."""
        return [self._note_of(d, d.reason) for d in self.journal.decisions if isinstance(d, SignalRefused)]

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Figures of the run; ``docs/reference/metrics.md`` defines each. Drawdowns are marked at every trade print,
        those at closes at the closed trades.

        ``truncated_ticks`` counts the ticks on which a window would have held more than the core can keep; the rule
        is silent there.
        """
        core, portfolio = self.kernel.core, self.kernel.portfolio
        days = self.daily_pnl
        return {
            "ticks": core.trades_seen + core.quotes_seen - self.warm_up_ticks,
            "warm_up_ticks": self.warm_up_ticks,
            **trade_metrics(self.trades),
            "daily_pnl": list(days.values())[-1] if days else Decimal(0),
            "total_pnl": portfolio.money(core.equity - portfolio.starting),
            "max_drawdown": portfolio.money(core.drawdown),
            "current_drawdown": portfolio.money(core.peak - core.equity),
            "days": days,
            **further_figures(self),
            "late_ticks": core.late,
            "truncated_ticks": sum(core.ring(index)[2] for index in range(len(self.kernel.instruments))),
        }

    @cached_property
    def daily_pnl(self) -> dict[str, Decimal]:
        """Result of each trading day, open positions marked at its end, by ISO date."""
        money = self.kernel.portfolio.money
        return {day_text(one.day): money(one.end - one.start) for one in days_of(self)}

    @cached_property
    def excursions(self) -> list[Excursion]:
        """The worst and the best each trade stood while it was open, in the order of ``trades``."""
        return excursions(self.file.block, self.file.instruments, self.trades)

    @cached_property
    def decided_by(self) -> list[tuple[int, int]]:
        """The decisions that sent each trade's entry and its last exit, in the order of ``trades``."""
        return decision_numbers(self.journal.decisions)

    @cached_property
    def traded(self) -> TickFile:
        """The records of the period that was traded, without those that only warmed up."""
        return since(self.file, self.settings.begins_ns)

    @property
    def warm_up_ticks(self) -> int:
        """Number of records before the period."""
        return len(self.file.block) - len(self.traded.block)

    @property
    def trade_rows(self) -> list[dict[str, Any]]:
        """Every trade by ``ROW_FIELDS``, exactly."""
        return [
            {
                **{name: getattr(trade, name) for name in TRADE_FIELDS},
                **excursion._asdict(),
                "pair": trade.pair,
                **dict(zip(MADE_BY, made_by, strict=True)),
            }
            for trade, excursion, made_by in zip(self.trades, self.excursions, self.decided_by, strict=True)
        ]

    @property
    def leg_rows(self) -> list[dict[str, Any]]:
        """Every exit of every trade by ``LEG_FIELDS``, exactly: their sizes and money add up to the trades'."""
        return [row for number, trade in enumerate(self.trades, start=1) for row in legs_of(number, trade)]

    def _told(self) -> list[dict[str, Any]]:
        """Every trade with its exits, as plain values."""
        rows = [plain({**row, "legs": []}) for row in self.trade_rows]
        for leg in self.leg_rows:
            rows[leg["trade"] - 1]["legs"].append({name: plain(leg[name]) for name in LEG_FIELDS[4:]})
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        block = self.traded.block
        return {
            "schema": SCHEMA,
            "run_id": self.run_id,
            "record": plain(record_of(self)),
            "ticks": len(block),
            "first_ts_ns": int(block.ts_ns[0]) if len(block) else None,
            "last_ts_ns": int(block.ts_ns.max()) if len(block) else None,
            "trades": self._told(),
            "skipped_signals": [self._note(note) for note in self.skipped_signals],
            "refusals": [self._note(note) for note in self.refusals],
            "metrics": plain(self.metrics),
            "by_strategy": plain(self.by_strategy),
            "decision_hash": self.decision_hash,
            "passport": self.passport,
        }

    def _note(self, note: SignalNote) -> dict[str, Any]:
        return {
            "symbol": note.symbol,
            "ts_ns": note.ts_ns,
            "side": note.side,
            "price": float(note.price),
            "reason": note.reason,
        }

    def trades_frame(self) -> Any:
        """Return the trades as a polars frame; needs the ``data`` extra."""
        return frame_of(self.trade_rows, ROW_FIELDS, "trades")

    def legs_frame(self) -> Any:
        """Return the exits of all trades as a polars frame; needs the ``data`` extra."""
        return frame_of(self.leg_rows, LEG_FIELDS, "exits")

    def to_html(self) -> str:
        """Return the report: one HTML file with everything in it."""
        from engine.tools.report.page import report_page

        return report_page(self)

    def plot(self) -> Any:
        """Return a plotly figure of the price with the trades, and of equity; needs the ``data`` extra."""
        from engine.tools.plot import figure

        return figure(self.traded, self.trades, title=repr(self))

    def __repr__(self) -> str:
        metrics = self.metrics
        return (
            f"BacktestResult({self.title}, ticks={metrics['ticks']:,}, trades={metrics['trades']}, "
            f"gross={metrics['gross'].normalize():f}, net={metrics['net'].normalize():f}, "
            f"decision_hash={self.decision_hash})"
        )


def legs_of(number: int, trade: Trade) -> list[dict[str, Any]]:
    """The exits of a trade by ``LEG_FIELDS``, exactly; ``number`` is the trade's."""
    instrument, rows = trade.instrument, []
    for place, leg in enumerate(trade.legs, start=1):
        costs = leg.gross_units, leg.spread_units, leg.slippage_units, leg.fee_units, leg.borrow_units, leg.net_units
        price, money = exact_price(instrument, leg.price_ticks), [exact_money(units, trade.scale) for units in costs]
        told = (leg.ts_ns, price, instrument.size(leg.lots), leg.reason, *money)
        rows.append(dict(zip(LEG_FIELDS, (number, place, trade.symbol, trade.side, *told), strict=True)))
    return rows


WHOLE_FIELDS = frozenset(("trade", "leg", "pair", "ts_ns", "entry_ts_ns", "exit_ts_ns", *MADE_BY))
TEXT_FIELDS = frozenset(("symbol", "side", "reason"))


def frame_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str], what: str) -> Any:
    """A polars frame of rows with these columns: decimals as floats, and each ``..ts_ns`` also as a time.

    Raises:
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError(f"a frame of {what}", "data") from None
    kinds = {
        name: pl.Int64 if name in WHOLE_FIELDS else pl.String if name in TEXT_FIELDS else pl.Float64 for name in names
    }
    times = [name for name in names if name.endswith("ts_ns")]
    return pl.DataFrame([plain(dict(row)) for row in rows], kinds).with_columns(
        pl.from_epoch(pl.col(times), time_unit="ns").name.replace("ts_ns", "time")
    )
